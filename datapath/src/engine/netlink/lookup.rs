//! The way that the kernel goes to an address: routing rules, all tables and what it learned about
//! paths are taken into account, because it is asked and not its tables.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Netlink, mtu_of};
use crate::ipc::Prefix;

/// Bits of an IPv4 address.
const WHOLE: u8 = 32;

/// How datagrams get to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface that they leave through; for an address of this host that of the loopback.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The router that they are given to; `None` if the address is on the link, or the router has
    /// no IPv4 address.
    pub gateway: Option<Ipv4Addr>,
    /// Bytes of the largest datagram that goes out whole: what the route says, where a path that was
    /// found to carry less counts as well, and not more than the interface takes.
    pub mtu: u16,
}

/// The default route of the main table that is taken before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Its interface; the first, if it has several.
    pub ifindex: u32,
    /// Its metric, the lowest there is.
    pub metric: u32,
}

/// Where datagrams go first on their way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The interface that they leave through.
    pub ifindex: u32,
    /// The router that they are given to; `None` if the address is on the link.
    pub gateway: Option<Ipv4Addr>,
}

impl Netlink {
    /// The way to `destination` for what this host sends, from `source` if that is given: there may
    /// be rules about it.
    ///
    /// # Errors
    /// What the kernel says: ENETUNREACH if there is no route, another for a route that leads
    /// nowhere, EINVAL if `source` is no address of this host.
    pub fn route_to(&mut self, destination: Ipv4Addr, source: Option<Ipv4Addr>) -> Result<Way> {
        let mut request = RouteMessage::default();
        request.header.address_family = AddressFamily::Inet;
        request.header.destination_prefix_length = WHOLE;
        let attributes = &mut request.attributes;
        attributes.push(RouteAttribute::Destination(RouteAddress::Inet(destination)));
        if let Some(source) = source {
            request.header.source_prefix_length = WHOLE;
            attributes.push(RouteAttribute::Source(RouteAddress::Inet(source)));
        }
        self.send(RouteNetlinkMessage::GetRoute(request), NLM_F_REQUEST)?;
        let Some(RouteNetlinkMessage::NewRoute(route)) = self.answer()? else {
            bail!("the kernel answered something else than a route");
        };
        let ifindex = interface_of(&route).context("a route without an interface")?;
        let link = self.link_by_index(ifindex)?;
        let name = name_of(&link).context("an interface without a name")?;
        let of_interface = mtu_of(&link);
        Ok(Way {
            ifindex,
            name: name.to_owned(),
            gateway: gateway_of(&route),
            mtu: path_mtu_of(&route).map_or(of_interface, |mtu| mtu.min(of_interface)),
        })
    }

    /// The default route with the lowest metric, if there is one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn default_route(&mut self) -> Result<Option<DefaultRoute>> {
        let mut best: Option<DefaultRoute> = None;
        self.each_main_route(|route| {
            let found = default_of(route);
            // The kernel takes the first of equal ones, and lists it first.
            best = best.into_iter().chain(found).min_by_key(|one| one.metric);
        })?;
        Ok(best)
    }

    /// The way to `destination` by the main table, as if there were no routes through interfaces
    /// that are `avoided`; `None` if there is no other.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn route_around(
        &mut self,
        destination: Ipv4Addr,
        avoided: impl Fn(u32) -> bool,
    ) -> Result<Option<Hop>> {
        let mut best: Option<((u8, u32), Hop)> = None;
        self.each_main_route(|route| {
            let mut hops = hops_to(route, destination).into_iter();
            let Some(hop) = hops.find(|hop| !avoided(hop.ifindex)) else {
                return;
            };
            // The longest prefix, and of those the smallest metric, and of those the first.
            let rank = (
                WHOLE - route.header.destination_prefix_length,
                metric_of(route),
            );
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, hop));
            }
        })?;
        Ok(best.map(|(_, hop)| hop))
    }

    /// Looks at each unicast route of the main table, in the kernel's order.
    fn each_main_route(&mut self, mut look: impl FnMut(&RouteMessage)) -> Result<()> {
        let mut request = RouteMessage::default();
        request.header.address_family = AddressFamily::Inet;
        request.header.table = RouteHeader::RT_TABLE_MAIN;
        request.header.kind = RouteType::Unicast;
        // Else it lists what it keeps of other tables as well.
        let strict = self.socket.set_netlink_get_strict_chk(true);
        strict.context("asking for some routes only")?;
        self.send(
            RouteNetlinkMessage::GetRoute(request),
            NLM_F_REQUEST | NLM_F_DUMP,
        )?;
        loop {
            for message in self.receive()? {
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                        look(&route);
                    }
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                    NetlinkPayload::InnerMessage(_)
                    | NetlinkPayload::Noop
                    | NetlinkPayload::Overrun(_)
                    | _ => bail!("the kernel answered something else than routes"),
                }
            }
        }
    }

    /// The name of an interface.
    ///
    /// # Errors
    /// ENODEV.
    pub fn name(&mut self, ifindex: u32) -> Result<String> {
        let link = self.link_by_index(ifindex)?;
        let name = name_of(&link).context("an interface without a name")?;
        Ok(name.to_owned())
    }

    pub(super) fn link_by_index(&mut self, ifindex: u32) -> Result<LinkMessage> {
        let mut request = LinkMessage::default();
        request.header.index = ifindex;
        // They are most of the answer, and some drivers take their time to collect them.
        let without_statistics = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
        request.attributes.push(without_statistics);
        self.send(RouteNetlinkMessage::GetLink(request), NLM_F_REQUEST)?;
        match self.answer()? {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(link),
            _ => bail!("the kernel answered something else than an interface"),
        }
    }
}

fn default_of(route: &RouteMessage) -> Option<DefaultRoute> {
    if route.header.destination_prefix_length != 0 {
        return None;
    }
    Some(DefaultRoute {
        ifindex: interface_of(route)?,
        metric: metric_of(route),
    })
}

/// The next stops on the way to `destination`, of those that are alive and have an IPv4 address or
/// need none; none if the route does not lead there.
fn hops_to(route: &RouteMessage, destination: Ipv4Addr) -> Vec<Hop> {
    let to = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Destination(RouteAddress::Inet(to)) = attribute {
            Some(*to)
        } else {
            None
        }
    });
    let length = route.header.destination_prefix_length;
    let covered = Prefix::new(to.unwrap_or(Ipv4Addr::UNSPECIFIED), length);
    if covered.is_none() || Prefix::new(destination, length) != covered {
        return Vec::new();
    }
    let several = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::MultiPath(hops) = attribute {
            Some(hops)
        } else {
            None
        }
    });
    let Some(several) = several else {
        let is_dead = route.header.flags.bits() & DEAD != 0 || has_other_gateway(&route.attributes);
        let hop = interface_of(route).filter(|_| !is_dead).map(|ifindex| Hop {
            ifindex,
            gateway: gateway_in(&route.attributes),
        });
        return hop.into_iter().collect();
    };
    several
        .iter()
        .filter(|hop| u32::from(hop.flags.bits()) & DEAD == 0)
        .filter(|hop| !has_other_gateway(&hop.attributes))
        .map(|hop| Hop {
            ifindex: hop.interface_index,
            gateway: gateway_in(&hop.attributes),
        })
        .collect()
}

/// Whether the router has no IPv4 address, which a host route would need.
fn has_other_gateway(attributes: &[RouteAttribute]) -> bool {
    let is_other = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Via(_));
    attributes.iter().any(is_other)
}

fn metric_of(route: &RouteMessage) -> u32 {
    let metric = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Priority(metric) = attribute {
            Some(*metric)
        } else {
            None
        }
    });
    metric.unwrap_or(0)
}

/// RTNH_F_DEAD and RTNH_F_LINKDOWN of <linux/rtnetlink.h>.
const DEAD: u32 = 1 | 16;

/// Where a route leads; the first of several ways.
fn interface_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Oif(ifindex) = attribute {
            Some(*ifindex)
        } else if let RouteAttribute::MultiPath(hops) = attribute {
            hops.first().map(|hop| hop.interface_index)
        } else {
            None
        }
    })
}

fn gateway_of(route: &RouteMessage) -> Option<Ipv4Addr> {
    gateway_in(&route.attributes)
}

fn gateway_in(attributes: &[RouteAttribute]) -> Option<Ipv4Addr> {
    attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Gateway(RouteAddress::Inet(gateway)) = attribute {
            Some(*gateway)
        } else {
            None
        }
    })
}

fn path_mtu_of(route: &RouteMessage) -> Option<u16> {
    let metrics = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Metrics(metrics) = attribute {
            Some(metrics)
        } else {
            None
        }
    });
    let mtu = metrics?.iter().find_map(|metric| {
        if let RouteMetric::Mtu(bytes) = metric {
            Some(*bytes)
        } else {
            None
        }
    });
    mtu.filter(|&bytes| bytes > 0)
        .map(|bytes| u16::try_from(bytes).unwrap_or(u16::MAX))
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::IfName(name) = attribute {
            Some(name.as_str())
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{in_namespace, ip};

    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const BEYOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

    /// A namespace with two uplinks, `one` with 192.0.2.1/24 and `two` with 198.51.100.1/24.
    fn with_uplinks(test: impl FnOnce(Netlink) + Send + 'static) {
        in_namespace(|| {
            for (name, address) in [("one", "192.0.2.1/24"), ("two", "198.51.100.1/24")] {
                ip(&format!("link add {name} type veth peer name {name}-far"));
                ip(&format!("link set {name}-far up"));
                ip(&format!("link set {name} up"));
                ip(&format!("addr add {address} dev {name}"));
            }
            test(Netlink::open().unwrap());
        });
    }

    #[test]
    fn a_neighbour_is_reached_without_a_gateway_and_by_the_mtu_of_its_link() {
        with_uplinks(|mut netlink| {
            ip("link set one mtu 1400");
            let expected = Way {
                ifindex: netlink.ifindex("one").unwrap(),
                name: "one".to_owned(),
                gateway: None,
                mtu: 1400,
            };
            assert_eq!(netlink.route_to(PEER, None).unwrap(), expected);
        });
    }

    #[test]
    fn a_route_by_a_gateway_names_it_and_may_carry_less_than_its_link() {
        with_uplinks(|mut netlink| {
            ip("route add 203.0.113.0/24 via 198.51.100.9 mtu 1300");
            let way = netlink.route_to(BEYOND, None).unwrap();
            assert_eq!((way.name.as_str(), way.mtu), ("two", 1300));
            assert_eq!(way.gateway, Some(Ipv4Addr::new(198, 51, 100, 9)));
            // One that promises too much is not believed.
            ip("route replace 203.0.113.0/24 via 198.51.100.9 mtu 9000");
            assert_eq!(netlink.route_to(BEYOND, None).unwrap().mtu, 1500);
        });
    }

    #[test]
    fn the_addresses_of_this_host_are_reached_by_the_loopback() {
        with_uplinks(|mut netlink| {
            for local in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)] {
                let way = netlink.route_to(local, Some(local)).unwrap();
                assert_eq!((way.name.as_str(), way.ifindex), ("lo", 1));
                // 65536, and no datagram is longer than this.
                assert_eq!((way.gateway, way.mtu), (None, u16::MAX));
            }
        });
    }

    #[test]
    fn rules_about_the_source_count() {
        with_uplinks(|mut netlink| {
            ip("route add default via 192.0.2.9");
            ip("route add default via 198.51.100.9 table 7");
            ip("rule add from 198.51.100.1 table 7");
            let mut by = |source| netlink.route_to(BEYOND, source).unwrap().name;
            assert_eq!(by(None), "one");
            assert_eq!(by(Some(Ipv4Addr::new(192, 0, 2, 1))), "one");
            assert_eq!(by(Some(Ipv4Addr::new(198, 51, 100, 1))), "two");
        });
    }

    #[test]
    fn without_a_route_the_kernel_says_so_and_answers_the_next_question() {
        with_uplinks(|mut netlink| {
            let error = netlink.route_to(BEYOND, None).unwrap_err();
            let error = error.downcast::<std::io::Error>().unwrap();
            assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH));
            ip("route add unreachable 203.0.113.0/24");
            assert!(netlink.route_to(BEYOND, None).is_err());
            assert_eq!(netlink.route_to(PEER, None).unwrap().name, "one");
        });
    }

    #[test]
    fn of_default_routes_the_one_with_the_lowest_metric_is_found() {
        with_uplinks(|mut netlink| {
            assert_eq!(netlink.default_route().unwrap(), None);
            ip("route add default via 192.0.2.9 metric 600");
            ip("route add default via 198.51.100.9 metric 100");
            // Neither this, which is of another table, nor this, which is not everything.
            ip("route add default via 192.0.2.9 metric 1 table 7");
            ip("route add 0.0.0.0/1 via 192.0.2.9 metric 1");
            let two = netlink.ifindex("two").unwrap();
            let expected = DefaultRoute {
                ifindex: two,
                metric: 100,
            };
            assert_eq!(netlink.default_route().unwrap(), Some(expected));
            assert_eq!(netlink.name(two).unwrap(), "two");
            assert_eq!(netlink.route_to(PEER, None).unwrap().name, "one");
        });
    }

    #[test]
    fn of_a_default_route_by_several_ways_the_first_counts() {
        with_uplinks(|mut netlink| {
            ip("route add default nexthop via 198.51.100.9 nexthop via 192.0.2.9");
            let found = netlink.default_route().unwrap().unwrap();
            assert_eq!(netlink.name(found.ifindex).unwrap(), "two");
        });
    }
}

//! Host routes to the servers that are dialed: they keep the way to a server as it is, whatever
//! default route comes through a tunnel.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType,
};

use super::Netlink;
use super::lookup::Hop;
use super::routes::{is_gone, of_ours};

/// A host route that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    server: Ipv4Addr,
    hop: Hop,
}

impl Netlink {
    /// Adds a host route to `server` by the way that leads there now without interfaces that are
    /// `ours`. `None` if none is needed: the address is one of this host's, or there is such a route
    /// already, which is somebody else's.
    ///
    /// # Errors
    /// There is no such way, or what the kernel says.
    pub fn pin(&mut self, server: Ipv4Addr, ours: impl Fn(u32) -> bool) -> Result<Option<Pin>> {
        let way = self.route_to(server, None).ok();
        let hop = match way {
            Some(way) if way.name == "lo" => return Ok(None),
            Some(way) if !ours(way.ifindex) => Some(Hop {
                ifindex: way.ifindex,
                gateway: way.gateway,
            }),
            Some(_) | None => self.route_around(server, &ours)?,
        };
        let Some(hop) = hop else {
            bail!("no route to {server}");
        };
        let pin = Pin { server, hop };
        let added = self.request(
            RouteNetlinkMessage::NewRoute(message(&pin)),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        match added {
            Ok(()) => Ok(Some(pin)),
            Err(error) if is_there(&error) => match self.route_to(server, None) {
                Ok(way) if !ours(way.ifindex) => Ok(None),
                Ok(_) | Err(_) => bail!("a route to {server} leads into a tunnel"),
            },
            Err(error) => Err(error).with_context(|| format!("a route to {server}")),
        }
    }

    /// Whether a host route is still the way to its server.
    pub fn holds(&mut self, pin: &Pin) -> bool {
        self.route_to(pin.server, None)
            .is_ok_and(|way| (way.ifindex, way.gateway) == (pin.hop.ifindex, pin.hop.gateway))
    }

    /// Takes a host route away; one that has gone with its interface is none to worry about.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unpin(&mut self, pin: &Pin) -> Result<()> {
        let deleted = self.request(RouteNetlinkMessage::DelRoute(message(pin)), 0);
        deleted.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
    }
}

fn message(pin: &Pin) -> RouteMessage {
    let mut message = of_ours();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = RouteType::Unicast;
    message.header.destination_prefix_length = 32;
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(RouteAddress::Inet(pin.server)));
    attributes.push(RouteAttribute::Oif(pin.hop.ifindex));
    match pin.hop.gateway {
        Some(gateway) => {
            attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        }
        None => message.header.scope = RouteScope::Link,
    }
    message
}

fn is_there(error: &anyhow::Error) -> bool {
    let error = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error);
    error == Some(libc::EEXIST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{in_namespace, ip};
    use crate::ipc::{Prefix, Route};

    const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

    /// A namespace with an uplink, `wire`, whose router is 192.0.2.254, and a tunnel.
    fn with_uplink(test: impl FnOnce(Netlink, u32, u32) + Send + 'static) {
        in_namespace(|| {
            ip("link add wire type veth peer name far");
            ip("link set wire up");
            ip("link set far up");
            ip("addr add 192.0.2.1/24 dev wire");
            ip("route add default via 192.0.2.254");
            ip("tuntap add mode tun name tunnel");
            ip("link set tunnel up");
            ip("addr add 10.0.0.5 peer 10.0.0.1 dev tunnel");
            let mut netlink = Netlink::open().unwrap();
            let wire = netlink.ifindex("wire").unwrap();
            let tunnel = netlink.ifindex("tunnel").unwrap();
            test(netlink, wire, tunnel);
        });
    }

    fn pins() -> String {
        ip("route show proto 112").trim().to_owned()
    }

    #[test]
    fn the_way_to_a_server_stays_when_a_default_route_comes() {
        with_uplink(|mut netlink, _, tunnel| {
            let ours = |ifindex| ifindex == tunnel;
            let pin = netlink.pin(SERVER, ours).unwrap().unwrap();
            assert_eq!(pins(), "203.0.113.9 via 192.0.2.254 dev wire");
            ip("route replace default dev tunnel");
            assert!(ip("route get 203.0.113.9").contains("dev wire"));
            netlink.unpin(&pin).unwrap();
            assert_eq!(pins(), "");
            netlink.unpin(&pin).unwrap();
        });
    }

    #[test]
    fn a_server_is_reached_around_the_tunnel_that_leads_everywhere() {
        with_uplink(|mut netlink, _, tunnel| {
            let ours = |ifindex| ifindex == tunnel;
            let all = Route {
                destination: Prefix::new(Ipv4Addr::UNSPECIFIED, 0).unwrap(),
                gateway: None,
                metric: 0,
            };
            netlink.add_route(tunnel, &all).unwrap();
            // Longer than the default route, and of no use.
            ip("route add 203.0.113.0/24 dev tunnel");
            assert!(ip("route get 203.0.113.9").contains("dev tunnel"));
            netlink.pin(SERVER, ours).unwrap().unwrap();
            assert!(ip("route get 203.0.113.9").contains("via 192.0.2.254 dev wire"));
        });
    }

    #[test]
    fn of_other_ways_the_longest_prefix_counts_and_then_the_metric() {
        with_uplink(|mut netlink, _, tunnel| {
            ip("route add 203.0.113.9/32 dev tunnel");
            ip("route add 203.0.113.0/28 via 192.0.2.7 metric 9");
            ip("route add 203.0.113.0/28 via 192.0.2.8 metric 7");
            ip("route add 203.0.0.0/16 via 192.0.2.6 metric 1");
            let way = netlink.route_around(SERVER, |ifindex| ifindex == tunnel);
            let gateway = way.unwrap().unwrap().gateway;
            assert_eq!(gateway, Some(Ipv4Addr::new(192, 0, 2, 8)));
        });
    }

    #[test]
    fn a_server_on_the_link_needs_no_gateway_and_one_of_our_own_no_route() {
        with_uplink(|mut netlink, _, tunnel| {
            let ours = |ifindex| ifindex == tunnel;
            let neighbour = Ipv4Addr::new(192, 0, 2, 77);
            netlink.pin(neighbour, ours).unwrap().unwrap();
            assert_eq!(pins(), "192.0.2.77 dev wire scope link");
            let own = Ipv4Addr::new(192, 0, 2, 1);
            assert_eq!(netlink.pin(own, ours).unwrap(), None);
        });
    }

    #[test]
    fn a_route_of_the_operator_s_is_left_to_the_operator() {
        with_uplink(|mut netlink, _, _| {
            ip("route add 203.0.113.9 via 192.0.2.3");
            assert_eq!(netlink.pin(SERVER, |_| false).unwrap(), None);
            assert_eq!(pins(), "");
        });
    }

    #[test]
    fn a_route_of_the_operator_s_into_a_tunnel_is_no_way() {
        with_uplink(|mut netlink, _, tunnel| {
            ip("route add 203.0.113.9 dev tunnel");
            let error = netlink
                .pin(SERVER, |ifindex| ifindex == tunnel)
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "a route to 203.0.113.9 leads into a tunnel"
            );
        });
    }

    #[test]
    fn of_a_route_by_several_ways_one_is_pinned_with_its_gateway() {
        with_uplink(|mut netlink, _, tunnel| {
            ip("route del default");
            ip("route add default nexthop via 192.0.2.7 nexthop via 192.0.2.8");
            ip("route add 203.0.113.0/24 dev tunnel");
            let ours = |ifindex| ifindex == tunnel;
            netlink.pin(SERVER, ours).unwrap().unwrap();
            assert_eq!(pins(), "203.0.113.9 via 192.0.2.7 dev wire");
        });
    }

    #[test]
    fn without_another_way_the_tunnel_is_none() {
        with_uplink(|mut netlink, _, tunnel| {
            ip("route del default");
            let error = netlink.pin(SERVER, |_| false).unwrap_err();
            assert_eq!(error.to_string(), "no route to 203.0.113.9");
            ip("route add default dev tunnel");
            assert!(netlink.pin(SERVER, |ifindex| ifindex == tunnel).is_err());
        });
    }

    #[test]
    fn a_start_deletes_what_a_crash_has_left() {
        with_uplink(|mut netlink, _, tunnel| {
            netlink.pin(SERVER, |ifindex| ifindex == tunnel).unwrap();
            assert_eq!(netlink.delete_routes().unwrap(), 1);
            assert_eq!(pins(), "");
        });
    }
}

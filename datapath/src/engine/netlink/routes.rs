//! Routes through sessions' interfaces. They go with the interface; all carry one protocol number,
//! by which a routing daemon on the machine finds them.

use std::io;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Netlink;
use crate::ipc::Route;
use crate::ipc::membership::ROUTE_PROTOCOL;

impl Netlink {
    /// Adds a route through an interface. It counts before an equal one of another interface: a
    /// peer that dials again is not kept waiting by the session it lost.
    ///
    /// # Errors
    /// What the kernel says: ENETUNREACH if the gateway is not on the interface, EEXIST if the
    /// interface has this route already.
    pub fn add_route(&mut self, ifindex: u32, route: &Route) -> Result<()> {
        let message = through(ifindex, route);
        self.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE)
    }

    /// Deletes a route that [`Self::add_route`] added.
    ///
    /// # Errors
    /// What the kernel says; one that has gone already is none.
    pub fn delete_route(&mut self, ifindex: u32, route: &Route) -> Result<()> {
        let message = through(ifindex, route);
        let deleted = self.request(RouteNetlinkMessage::DelRoute(message), 0);
        deleted.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
    }

    /// Deletes every route that carries our number, and says how many there were.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delete_routes(&mut self) -> Result<usize> {
        let routes = self.routes()?;
        let found = routes.len();
        for mut route in routes {
            // What state it is in is not what it is known by.
            route.header.flags = RouteFlags::empty();
            let deleted = self.request(RouteNetlinkMessage::DelRoute(route), 0);
            if let Err(error) = deleted
                && !is_gone(&error)
            {
                return Err(error);
            }
        }
        Ok(found)
    }

    /// The routes that carry our number.
    fn routes(&mut self) -> Result<Vec<RouteMessage>> {
        // Only so does the kernel pick them itself: a router may have a million others.
        let strict = self.socket.set_netlink_get_strict_chk(true);
        strict.context("asking for some routes only")?;
        self.send(
            RouteNetlinkMessage::GetRoute(of_ours()),
            NLM_F_REQUEST | NLM_F_DUMP,
        )?;
        let mut routes = Vec::new();
        loop {
            for message in self.receive()? {
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                        if route.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL) {
                            routes.push(route);
                        }
                    }
                    NetlinkPayload::Done(_) => return Ok(routes),
                    NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                    NetlinkPayload::InnerMessage(_)
                    | NetlinkPayload::Noop
                    | NetlinkPayload::Overrun(_)
                    | _ => bail!("the kernel answered something else than routes"),
                }
            }
        }
    }
}

fn through(ifindex: u32, route: &Route) -> RouteMessage {
    let mut message = of_ours();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = RouteType::Unicast;
    message.header.destination_prefix_length = route.destination.length();
    let attributes = &mut message.attributes;
    let to = |address: Ipv4Addr| RouteAddress::Inet(address);
    attributes.push(RouteAttribute::Destination(to(route.destination.address())));
    attributes.push(RouteAttribute::Oif(ifindex));
    attributes.push(RouteAttribute::Priority(route.metric));
    match route.gateway.filter(|gateway| !gateway.is_unspecified()) {
        Some(gateway) => attributes.push(RouteAttribute::Gateway(to(gateway))),
        None => message.header.scope = RouteScope::Link,
    }
    message
}

pub(super) fn of_ours() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    message
}

/// It went with its interface in the meantime.
pub(super) fn is_gone(error: &anyhow::Error) -> bool {
    let error = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error);
    matches!(error, Some(libc::ESRCH | libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{in_namespace, ip};
    use crate::ipc::Prefix;

    fn route(destination: [u8; 4], length: u8, gateway: Option<[u8; 4]>, metric: u32) -> Route {
        Route {
            destination: Prefix::new(destination.into(), length).unwrap(),
            gateway: gateway.map(Ipv4Addr::from),
            metric,
        }
    }

    /// A namespace with the interfaces `one` and `two`, and what is beyond each.
    fn with_interfaces(test: impl FnOnce(Netlink, u32, u32) + Send + 'static) {
        in_namespace(|| {
            for (name, peer) in [("one", "10.0.1.1"), ("two", "10.0.1.2")] {
                ip(&format!("tuntap add mode tun name {name}"));
                ip(&format!("addr add 10.0.0.1 peer {peer} dev {name}"));
                ip(&format!("link set {name} up"));
            }
            let mut netlink = Netlink::open().unwrap();
            let one = netlink.ifindex("one").unwrap();
            let two = netlink.ifindex("two").unwrap();
            test(netlink, one, two);
        });
    }

    fn shown() -> Vec<String> {
        let shown = ip(&format!("route show proto {ROUTE_PROTOCOL}"));
        let lines = shown.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let words = words.join(" ");
            words.trim_end_matches(" linkdown").to_owned()
        });
        lines.collect()
    }

    #[test]
    fn a_route_has_its_gateway_and_metric_and_goes_with_its_interface() {
        with_interfaces(|mut netlink, one, _| {
            let behind = route([10, 1, 0, 0], 24, None, 7);
            let by_peer = route([10, 2, 0, 0], 16, Some([10, 0, 1, 1]), 1);
            let all = route([0, 0, 0, 0], 0, Some([0, 0, 0, 0]), 5);
            for route in [behind, by_peer, all] {
                netlink.add_route(one, &route).unwrap();
            }
            let expected = [
                "default dev one scope link metric 5",
                "10.1.0.0/24 dev one scope link metric 7",
                "10.2.0.0/16 via 10.0.1.1 dev one metric 1",
            ];
            assert_eq!(shown(), expected);
            ip("link del one");
            assert!(shown().is_empty());
        });
    }

    #[test]
    fn a_route_by_a_gateway_that_is_elsewhere_is_refused() {
        with_interfaces(|mut netlink, one, _| {
            let astray = route([10, 1, 0, 0], 24, Some([192, 0, 2, 9]), 1);
            let refused = netlink.add_route(one, &astray).unwrap_err();
            let error = refused.downcast::<io::Error>().unwrap().raw_os_error();
            assert_eq!(error, Some(libc::ENETUNREACH));
        });
    }

    #[test]
    fn of_equal_routes_the_newest_counts_until_it_goes() {
        with_interfaces(|mut netlink, one, two| {
            let same = route([10, 1, 0, 0], 24, None, 1);
            netlink.add_route(one, &same).unwrap();
            netlink.add_route(two, &same).unwrap();
            assert!(ip("route get 10.1.0.9").contains("dev two"));
            assert!(netlink.add_route(two, &same).is_err(), "once is enough");
            ip("link del two");
            assert!(ip("route get 10.1.0.9").contains("dev one"));
        });
    }

    #[test]
    fn only_routes_that_carry_our_number_are_deleted() {
        with_interfaces(|mut netlink, one, _| {
            ip("route add 10.9.0.0/16 dev one proto static");
            for third in 0..200 {
                let route = route([10, 1, third, 0], 24, None, third.into());
                netlink.add_route(one, &route).unwrap();
            }
            assert_eq!(netlink.delete_routes().unwrap(), 200);
            assert!(shown().is_empty());
            assert!(ip("route show").contains("10.9.0.0/16"));
            assert_eq!(netlink.delete_routes().unwrap(), 0);
        });
    }
}

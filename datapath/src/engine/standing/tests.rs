use std::net::UdpSocket;
use std::time::Duration;

use mio::{Events, Poll};

use super::*;
use crate::engine::testing::{in_namespace, interfaces, ip, wait_for};
use crate::ipc::Membership;

const NAME: &str = "pptp-out1";
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SESSION: SessionId = SessionId(3);

struct World {
    poll: Poll,
    standings: Standings,
    memberships: Memberships,
}

impl World {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        Self {
            standings: Standings::new(poll.registry(), 16, true).unwrap(),
            poll,
            memberships: Memberships::default(),
        }
    }

    fn stand(&mut self, placeholder: Option<Placeholder>) -> Vec<Warning> {
        let event = self.standings.stand(standing(placeholder));
        let Event::Stands { warnings, .. } = event else {
            panic!("{event:?}");
        };
        warnings
    }

    fn attach(&mut self, interface: &Interface) -> Ready {
        let ready = self
            .standings
            .attach(SESSION, interface, &mut self.memberships);
        ready.unwrap().unwrap()
    }

    fn take_back(&mut self, ready: Ready) -> Returned {
        self.memberships.leave([ready.tun.ifindex]);
        self.standings.take_back(ready.tun, &mut self.memberships)
    }

    /// What is said before it is quiet for a moment.
    fn hear(&mut self) -> Vec<Event> {
        let mut events = Events::with_capacity(8);
        let patience = Some(Duration::from_millis(50));
        let mut said = Vec::new();
        loop {
            self.poll.poll(&mut events, patience).unwrap();
            if events.is_empty() {
                return said;
            }
            for event in &events {
                said.extend(self.standings.handle_ready(event.token()));
            }
        }
    }
}

fn standing(placeholder: Option<Placeholder>) -> Standing {
    Standing {
        name: NAME.to_owned(),
        mtu: 1400,
        placeholder,
    }
}

fn placeholder(default_route: Option<u32>) -> Placeholder {
    Placeholder {
        address: Ipv4Addr::new(10, 64, 64, 64),
        peer: Ipv4Addr::new(10, 112, 112, 112),
        default_route,
    }
}

fn interface(ours: Ipv4Addr) -> Interface {
    Interface {
        name: NAME.to_owned(),
        address: ours,
        peer: PEER,
        mtu: 1300,
        check_source: false,
        ipv6: None,
        membership: Membership::default(),
        stands: true,
    }
}

fn default_route(metric: u32) -> Route {
    Route {
        destination: Prefix::new(Ipv4Addr::UNSPECIFIED, 0).unwrap(),
        gateway: None,
        metric,
    }
}

fn shown() -> String {
    ip(&format!("addr show dev {NAME}"))
}

fn routes() -> String {
    ip("route show")
}

#[test]
fn it_stands_up_without_a_carrier_and_keeps_what_others_put_on_it() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        assert!(
            shown().contains("NO-CARRIER") && shown().contains("UP"),
            "{}",
            shown()
        );
        assert!(shown().contains("mtu 1400"));
        ip("route add 10.1.0.0/16 dev pptp-out1");
        let index = world.standings.by_name[NAME].ifindex;

        let ready = world.attach(&interface(OURS));
        assert_eq!(ready.tun.ifindex, index);
        assert!(!shown().contains("NO-CARRIER"));
        assert!(shown().contains("mtu 1300"));
        assert!(shown().contains("inet 10.0.0.5 peer 10.0.0.1/32"));
        ip("route add 10.2.0.0/16 via 10.0.0.1");
        ip("route add 10.3.0.0/16 dev pptp-out1 src 10.0.0.5");

        assert!(matches!(world.take_back(ready), Returned::Kept));
        assert!(shown().contains("NO-CARRIER"));
        // The same address again: nothing moves.
        let ready = world.attach(&interface(OURS));
        for kept in ["10.1.0.0/16", "10.2.0.0/16 via 10.0.0.1", "10.3.0.0/16"] {
            assert!(routes().contains(kept), "{kept}: {}", routes());
        }
        world.take_back(ready);
        // Another one: only what was bound to the old one goes.
        let ready = world.attach(&interface(Ipv4Addr::new(10, 0, 0, 77)));
        assert!(shown().contains("inet 10.0.0.77 peer 10.0.0.1/32"));
        assert!(!shown().contains("10.0.0.5"));
        assert!(routes().contains("10.1.0.0/16"), "{}", routes());
        assert!(
            routes().contains("10.2.0.0/16 via 10.0.0.1"),
            "{}",
            routes()
        );
        world.take_back(ready);

        drop(world.standings.dismiss(NAME));
        wait_for("it is gone", || interfaces().is_empty().then_some(()));
    });
}

#[test]
fn addresses_that_somebody_took_away_are_given_again() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let ready = world.attach(&interface(OURS));
        world.take_back(ready);
        ip("addr flush dev pptp-out1");
        ip("link set pptp-out1 down");
        let _ready = world.attach(&interface(OURS));
        assert!(shown().contains("inet 10.0.0.5 peer 10.0.0.1/32"));
        assert!(shown().contains(",UP"), "{}", shown());
    });
}

#[test]
fn what_comes_back_before_it_is_asked_for_again_is_kept() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let held = world.attach(&interface(OURS));
        let index = held.tun.ifindex;
        ip("route add 10.1.0.0/16 dev pptp-out1");
        // A control process that starts anew removes the sessions first.
        world.standings.begin_anew();
        assert!(matches!(world.take_back(held), Returned::Kept));
        world.stand(None);
        assert!(world.standings.dismiss_others().is_empty());
        let ready = world.attach(&interface(OURS));
        assert_eq!(ready.tun.ifindex, index);
        assert!(routes().contains("10.1.0.0/16"));
    });
}

#[test]
fn what_one_session_left_unread_is_not_the_next_one_s() {
    in_namespace(|| {
        let mut world = World::new();
        for stand_in in [None, Some(placeholder(None))] {
            world.stand(stand_in);
            let ready = world.attach(&interface(OURS));
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(b"old", "10.0.0.1:7").unwrap();
            world.take_back(ready);
            let ready = world.attach(&interface(Ipv4Addr::new(10, 0, 0, 6)));
            assert_eq!(ready.waiting, Vec::<Vec<u8>>::new());
            let mut buffer = [0; 2000];
            ready.tun.set_nonblocking(true).unwrap();
            assert_eq!(ready.tun.read(&mut buffer).unwrap(), None);
            // Nor is it that of one that comes before this one has let go.
            socket.send_to(b"old", "10.0.0.1:7").unwrap();
            let answer =
                world
                    .standings
                    .attach(SessionId(9), &interface(OURS), &mut world.memberships);
            assert!(matches!(answer, Ok(None)));
            let Returned::Taken(_, _, Ok(ready)) = world.take_back(ready) else {
                panic!("it was to be taken");
            };
            ready.tun.set_nonblocking(true).unwrap();
            assert_eq!(ready.tun.read(&mut buffer).unwrap(), None);
            world.take_back(ready);
        }
    });
}

#[test]
fn what_was_not_read_yet_is_readdressed_and_filtered_as_well() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(Some(placeholder(None)));
        world.standings.await_packets(NAME);
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"one", "10.112.112.112:7").unwrap();
        // It is in the interface's queue; nobody has looked.
        let ready = world.attach(&interface(OURS));
        assert_eq!(ready.waiting.len(), 1);
        let packet = packet_in(&ready.waiting[0], true);
        let packet = crate::wire::ipv4::Packet::new_checked(packet).unwrap();
        assert_eq!(packet.source(), OURS);
        world.take_back(ready);

        socket.send_to(b"one", "10.112.112.112:7").unwrap();
        let mut filtered = interface(OURS);
        filtered.membership.outgoing_filter = Some("out".to_owned());
        let ready = world.attach(&filtered);
        assert_eq!(ready.waiting, Vec::<Vec<u8>>::new());
        ready.tun.set_nonblocking(true).unwrap();
        assert_eq!(ready.tun.read(&mut [0; 2000]).unwrap(), None);
    });
}

#[test]
fn who_waits_for_one_that_is_dismissed_is_told() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let held = world.attach(&interface(OURS));
        for session in [SessionId(4), SessionId(5)] {
            let answer = world
                .standings
                .attach(session, &interface(OURS), &mut world.memberships);
            assert!(matches!(answer, Ok(None)));
        }
        assert_eq!(world.standings.take_refused(), [SessionId(4)]);
        assert!(world.standings.dismiss(NAME).is_none());
        assert_eq!(world.standings.take_refused(), [SessionId(5)]);
        let late = world
            .standings
            .attach(SessionId(6), &interface(OURS), &mut world.memberships);
        assert!(late.is_err(), "it is to go");
        assert!(matches!(world.take_back(held), Returned::Deleted(_)));
    });
}

#[test]
fn another_mtu_and_another_link_local_address_take_the_place_of_those_before() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let mut other = standing(None);
        other.mtu = 1280;
        world.standings.stand(other);
        assert!(shown().contains("mtu 1280"));
        let mut interface = interface(OURS);
        interface.ipv6 = Some("fe80::5".parse().unwrap());
        let ready = world.attach(&interface);
        let other: Ipv6Addr = "fe80::6".parse().unwrap();
        let ifindex = ready.tun.ifindex;
        let mut netlink = Netlink::open().unwrap();
        netlink.add_link_local(ifindex, other).unwrap();
        world.standings.note_link_local(ifindex, Some(other));
        assert!(!shown().contains("fe80::5") && shown().contains("fe80::6"));
        world.take_back(ready);
        assert!(!shown().contains("fe80"), "{}", shown());
    });
}

#[test]
fn a_way_that_changed_is_pinned_anew_also_if_two_have_it() {
    in_namespace(|| {
        let mut world = World::new();
        ip("link add wire type veth peer name far");
        ip("link set far up");
        ip("link set wire up");
        ip("addr add 192.0.2.1/24 dev wire");
        ip("route add default via 192.0.2.254");
        let server = Ipv4Addr::new(203, 0, 113, 9);
        for name in ["one", "two"] {
            world.standings.pin(name.to_owned(), server, |_| false);
        }
        ip("link set wire down");
        ip("link set wire up");
        ip("route add default via 192.0.2.253");
        for name in ["one", "two"] {
            let event = world.standings.pin(name.to_owned(), server, |_| false);
            assert!(matches!(event, Event::Pinned { refused: None, .. }));
            let pinned = ip("route show proto 112");
            assert_eq!(pinned.trim(), "203.0.113.9 via 192.0.2.253 dev wire");
        }
        world.standings.unpin_all();
        assert_eq!(ip("route show proto 112"), "");
    });
}

#[test]
fn one_that_somebody_deletes_is_made_again() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(Some(placeholder(None)));
        world.standings.await_packets(NAME);
        ip("link del pptp-out1");
        assert_eq!(world.hear(), []);
        assert!(shown().contains("inet 10.64.64.64 peer 10.112.112.112/32"));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"one", "10.112.112.112:7").unwrap();
        assert_eq!(world.hear().len(), 1, "it is waited for still");

        // While a session has it: with the session's end.
        let ready = world.attach(&interface(OURS));
        ip("link del pptp-out1");
        assert!(matches!(world.take_back(ready), Returned::Kept));
        let ready = world.attach(&interface(OURS));
        assert!(shown().contains("inet 10.0.0.5 peer 10.0.0.1/32"));
        drop(ready);
    });
}

#[test]
fn routes_of_a_session_go_with_it() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let mut interface = interface(OURS);
        interface.membership.routes = vec![default_route(7)];
        interface.ipv6 = Some("fe80::5".parse().unwrap());
        ip("link add wire type veth peer name far");
        ip("link set far up");
        ip("link set wire up");
        ip("addr add 192.0.2.1/24 dev wire");
        ip("route add default via 192.0.2.254 metric 100");

        let ready = world.attach(&interface);
        assert_eq!(ready.warnings, []);
        assert!(routes().contains("default dev pptp-out1 proto 112 scope link metric 7"));
        assert!(ip("route get 203.0.113.1").contains("dev pptp-out1"));
        world.take_back(ready);
        assert_eq!(ip("route show proto 112"), "");
        assert!(!shown().contains("fe80"), "{}", shown());
        assert!(ip("route get 203.0.113.1").contains("dev wire"));

        ip("route add default via 192.0.2.253 metric 3");
        let ready = world.attach(&interface);
        let [warning] = &ready.warnings[..] else {
            panic!("{:?}", ready.warnings);
        };
        let reason = "the default route of wire with metric 3 goes before it";
        assert_eq!(warning.reason, reason);
    });
}

#[test]
fn the_first_packet_is_told_and_goes_out_from_the_session_s_address() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(Some(placeholder(Some(1))));
        assert!(!shown().contains("NO-CARRIER"));
        assert!(shown().contains("inet 10.64.64.64 peer 10.112.112.112/32"));
        let by_gateway = "default via 10.112.112.112 dev pptp-out1 proto 112 metric 1";
        assert!(routes().contains(by_gateway), "{}", routes());
        world.standings.await_packets(NAME);

        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"all", "224.0.0.251:5353").unwrap();
        assert_eq!(world.hear(), [], "multicast is no reason");
        for _ in 0..100 {
            socket.send_to(b"one", "203.0.113.1:7").unwrap();
        }
        let demand = Event::Demand {
            name: NAME.to_owned(),
        };
        assert_eq!(world.hear(), std::slice::from_ref(&demand));
        assert_eq!(world.hear(), [], "told once");

        let ready = world.attach(&interface(OURS));
        assert_eq!(ready.waiting.len(), MAX_WAITING);
        for read in &ready.waiting {
            let packet = packet_in(read, true);
            let packet = crate::wire::ipv4::Packet::new_checked(packet).unwrap();
            assert_eq!(packet.source(), OURS);
            assert!(packet.verify_checksum());
        }
        assert!(!routes().contains("10.112.112.112"), "{}", routes());
        world.take_back(ready);
        assert!(routes().contains(by_gateway), "{}", routes());
        assert!(!shown().contains("10.0.0.5"));

        // What waited is thrown away, and the next packet told.
        socket.send_to(b"old", "203.0.113.1:7").unwrap();
        world.hear();
        world.standings.await_packets(NAME);
        assert_eq!(world.hear(), []);
        socket.send_to(b"new", "203.0.113.1:7").unwrap();
        assert_eq!(world.hear(), [demand]);
        assert_eq!(world.attach(&interface(OURS)).waiting.len(), 1);
    });
}

#[test]
fn what_an_outgoing_filter_has_not_seen_does_not_go_out() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(Some(placeholder(None)));
        world.standings.await_packets(NAME);
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"one", "10.112.112.112:7").unwrap();
        assert_eq!(world.hear().len(), 1);
        let mut interface = interface(OURS);
        interface.membership.outgoing_filter = Some("out".to_owned());
        assert_eq!(world.attach(&interface).waiting, Vec::<Vec<u8>>::new());
    });
}

#[test]
fn who_comes_before_the_last_has_gone_gets_it_then() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let ready = world.attach(&interface(OURS));
        let other = interface(Ipv4Addr::new(10, 0, 0, 6));
        let next = SessionId(4);
        let answer = world.standings.attach(next, &other, &mut world.memberships);
        assert!(matches!(answer, Ok(None)));
        let Returned::Taken(session, given, Ok(ready)) = world.take_back(ready) else {
            panic!("it was to be taken");
        };
        assert_eq!((session, *given), (next, other.clone()));
        assert!(shown().contains("10.0.0.6"));
        // One that has gone meanwhile does not get it.
        let answer = world
            .standings
            .attach(SESSION, &other, &mut world.memberships);
        assert!(matches!(answer, Ok(None)));
        world.standings.forget(SESSION);
        assert!(matches!(world.take_back(ready), Returned::Kept));
    });
}

#[test]
fn another_control_process_takes_over_what_it_wants_and_the_rest_goes() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(None);
        let mut unwanted = standing(None);
        unwanted.name = "pptp-out2".to_owned();
        assert!(matches!(
            world.standings.stand(unwanted),
            Event::Stands { .. }
        ));
        let held = world.attach(&interface(OURS));
        let index = held.tun.ifindex;
        ip("route add 10.1.0.0/16 dev pptp-out1");

        world.standings.begin_anew();
        world.stand(None);
        drop(world.standings.dismiss_others());
        wait_for("one is left", || (interfaces().len() == 1).then_some(()));
        assert!(matches!(world.take_back(held), Returned::Kept));
        let ready = world.attach(&interface(OURS));
        assert_eq!(ready.tun.ifindex, index);
        assert!(routes().contains("10.1.0.0/16"));

        // One that is dismissed while a session has it goes when it is back.
        assert!(world.standings.dismiss(NAME).is_none());
        assert!(matches!(world.take_back(ready), Returned::Deleted(_)));
        let gone = world
            .standings
            .attach(SESSION, &interface(OURS), &mut world.memberships);
        assert_eq!(gone.unwrap_err(), "no interface pptp-out1 stands");
    });
}

#[test]
fn a_way_that_two_have_pinned_stays_until_both_let_go() {
    in_namespace(|| {
        let mut world = World::new();
        ip("link add wire type veth peer name far");
        ip("link set far up");
        ip("link set wire up");
        ip("addr add 192.0.2.1/24 dev wire");
        let server = Ipv4Addr::new(192, 0, 2, 9);
        for name in ["one", "two"] {
            let event = world.standings.pin(name.to_owned(), server, |_| false);
            assert!(matches!(event, Event::Pinned { refused: None, .. }));
        }
        world.standings.unpin("one");
        assert_eq!(ip("route show proto 112").lines().count(), 1);
        let event = world
            .standings
            .pin("two".to_owned(), Ipv4Addr::new(203, 0, 113, 1), |_| false);
        let Event::Pinned { refused, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!(refused.as_deref(), Some("no route to 203.0.113.1"));
        assert_eq!(ip("route show proto 112"), "", "the former is let go of");
        world.standings.unpin("two");
        world.standings.unpin("never");
    });
}

#[test]
fn a_tcp_connection_s_first_packet_has_its_checksum_right() {
    in_namespace(|| {
        let mut world = World::new();
        world.stand(Some(placeholder(None)));
        world.standings.await_packets(NAME);
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        )
        .unwrap();
        rustix::io::ioctl_fionbio(&socket, true).unwrap();
        let to = std::net::SocketAddrV4::new(Ipv4Addr::new(10, 112, 112, 112), 80);
        let _ = rustix::net::connect(&socket, &to);
        assert_eq!(world.hear().len(), 1);
        let ready = world.attach(&interface(OURS));
        let super_packet = crate::offload::segment::SuperPacket::parse(&ready.waiting[0]).unwrap();
        let segments = super_packet.segments(1300).unwrap();
        let mut packet = vec![0; segments.segment_len(0)];
        segments.write_segment(0, &mut packet);
        let mut pseudo = packet[12..20].to_vec();
        pseudo.extend([0, 6]);
        pseudo.extend(u16::try_from(packet.len() - 20).unwrap().to_be_bytes());
        pseudo.extend(&packet[20..]);
        assert_eq!(packet[12..16], OURS.octets());
        assert_eq!(crate::wire::ipv4::checksum(&pseudo), 0);
    });
}

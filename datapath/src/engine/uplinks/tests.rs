use std::net::Ipv4Addr;
use std::process::Command;

use super::*;
use crate::engine::testing::{in_namespace, ip};
use crate::ids::{CallId, PeerCallId};

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A namespace with the uplinks `one` (192.0.2.1/24), `two` (198.51.100.1/24) and `three`
/// (203.0.113.1/24), of two queues each, and on the last one with an address of its own, `upper`
/// (203.0.114.1/24).
fn with_uplinks(test: impl FnOnce() + Send + 'static) {
    in_namespace(|| {
        for (name, address) in [
            ("one", "192.0.2.1"),
            ("two", "198.51.100.1"),
            ("three", "203.0.113.1"),
        ] {
            let queues = "numtxqueues 2 numrxqueues 2";
            ip(&format!(
                "link add {name} {queues} type veth peer name {name}-far {queues}"
            ));
            ip(&format!("link set {name}-far up"));
            ip(&format!("link set {name} up"));
            ip(&format!("addr add {address}/24 dev {name}"));
        }
        ip("link add link three name upper type macvlan");
        ip("link set upper up");
        ip("addr add 203.0.114.1/24 dev upper");
        test();
    });
}

/// Opens these as `--interface` names them.
fn open(interfaces: &[&str], io: IoChoice, queues: Option<u16>) -> Result<Uplinks> {
    let interfaces: Vec<String> = interfaces.iter().map(|&name| name.to_owned()).collect();
    Uplinks::open(&Wanted {
        interfaces: &interfaces,
        io,
        queues,
        cores: 5,
        rings: xsk::Config {
            rx_frames: 64,
            tx_frames: 64,
            copy: false,
        },
    })
}

fn to(peer: [u8; 4]) -> Tunnel {
    Tunnel {
        ours: OURS,
        peer: peer.into(),
        call_id: CallId(5),
        peer_call_id: PeerCallId(6),
    }
}

fn seen(name: &str, mtu: u16, io: IoMode) -> ipc::Uplink {
    ipc::Uplink {
        name: name.to_owned(),
        mtu,
        io,
    }
}

#[test]
fn a_session_belongs_to_a_worker_of_the_interface_that_its_peer_is_reached_by() {
    with_uplinks(|| {
        ip("link set two mtu 1400");
        let mut uplinks = open(&["one", "two"], IoChoice::Auto, None).unwrap();
        let expected = [
            seen("one", 1500, IoMode::Native),
            seen("two", 1400, IoMode::Native),
        ];
        assert_eq!(uplinks.served(), expected);
        assert_eq!((uplinks.workers(), uplinks.take_queues().len()), (4, 4));

        let one = uplinks.way_of(&to([192, 0, 2, 9]));
        assert_eq!(one.uplink, expected[0]);
        assert_eq!((one.workers, one.exit), (0..2, Exit::Queue));
        let two = uplinks.way_of(&to([198, 51, 100, 9]));
        assert_eq!(two.uplink, expected[1]);
        assert_eq!((two.workers, two.exit), (2..4, Exit::Queue));
    });
}

#[test]
fn what_goes_through_another_interface_goes_by_the_stack_and_by_any_worker() {
    with_uplinks(|| {
        ip("route add 198.51.100.128/25 dev two mtu 1300");
        let mut uplinks = open(&["one"], IoChoice::Auto, None).unwrap();
        for (peer, uplink) in [
            ([198, 51, 100, 9], seen("two", 1500, IoMode::Raw)),
            ([198, 51, 100, 200], seen("two", 1300, IoMode::Raw)),
            ([203, 0, 114, 9], seen("upper", 1500, IoMode::Raw)),
            (OURS.octets(), seen("lo", u16::MAX, IoMode::Raw)),
        ] {
            let way = uplinks.way_of(&to(peer));
            let expected = Way {
                uplink,
                workers: 0..2,
                exit: Exit::Stack,
            };
            assert_eq!(way, expected);
        }
    });
}

#[test]
fn without_a_route_the_first_interface_counts() {
    with_uplinks(|| {
        let mut uplinks = open(&["one", "two"], IoChoice::Auto, Some(1)).unwrap();
        let way = uplinks.way_of(&to([8, 8, 8, 8]));
        let expected = Way {
            uplink: seen("one", 1500, IoMode::Native),
            workers: 0..1,
            exit: Exit::Queue,
        };
        assert_eq!(way, expected);
    });
}

#[test]
fn an_interface_in_raw_mode_has_no_workers_beside_others_that_have() {
    with_uplinks(|| {
        // Below the stack there is room for one.
        let _other = open(&["two"], IoChoice::Native, None).unwrap();
        let mut uplinks = open(&["two", "one"], IoChoice::Auto, None).unwrap();
        let modes: Vec<_> = uplinks.served().iter().map(|one| one.io).collect();
        assert_eq!(modes, [IoMode::Raw, IoMode::Native]);
        assert_eq!(uplinks.workers(), 2);
        let way = uplinks.way_of(&to([198, 51, 100, 9]));
        assert_eq!(way.uplink, seen("two", 1500, IoMode::Raw));
        assert_eq!((way.workers, way.exit), (0..2, Exit::Stack));
    });
}

#[test]
fn what_stands_on_other_interfaces_is_served_as_well_as_the_kernel_lets() {
    with_uplinks(|| {
        ip("link add name lan type bridge");
        ip("link set two master lan");
        ip("link set lan up");
        let mut interfaces = vec!["lan", "upper"];
        let vlan = "link add link three name three.7 up type vlan id 7".split(' ');
        if Command::new("ip").args(vlan).status().unwrap().success() {
            interfaces.push("three.7");
        } else {
            println!("without a VLAN: this kernel has none");
        }
        let uplinks = open(&interfaces, IoChoice::Auto, None).unwrap();
        let served = uplinks.served();
        assert_eq!(served.len(), interfaces.len());
        assert!(served.iter().all(|one| one.io == IoMode::Skb), "{served:?}");
    });
}

#[test]
fn an_interface_without_ethernet_headers_is_served_by_the_stack() {
    with_uplinks(|| {
        ip("tuntap add mode tun name tunnel");
        ip("link set tunnel up");
        let uplinks = open(&["tunnel"], IoChoice::Auto, None).unwrap();
        assert_eq!(uplinks.served()[0].io, IoMode::Raw);
        let refused = open(&["tunnel"], IoChoice::Skb, None).unwrap_err();
        let refused = format!("{refused:#}");
        assert!(refused.contains("no Ethernet headers"), "{refused}");
    });
}

#[test]
fn by_itself_it_takes_the_interface_of_the_default_route() {
    with_uplinks(|| {
        ip("route add default via 192.0.2.9 metric 600");
        ip("route add default via 198.51.100.9 metric 100");
        let uplinks = open(&[], IoChoice::Auto, Some(8)).unwrap();
        assert_eq!(uplinks.served(), [seen("two", 1500, IoMode::Native)]);
        assert_eq!(uplinks.workers(), 2, "it has no more queues");
    });
}

#[test]
fn without_any_interface_there_is_a_worker_for_each_core() {
    with_uplinks(|| {
        let mut uplinks = open(&[], IoChoice::Auto, None).unwrap();
        assert_eq!(uplinks.served(), []);
        assert_eq!((uplinks.workers(), uplinks.take_queues().len()), (5, 0));
        let two = uplinks.way_of(&to([198, 51, 100, 9]));
        assert_eq!(two.uplink, seen("two", 1500, IoMode::Raw));
        assert_eq!((two.workers, two.exit), (0..5, Exit::Stack));
        let nowhere = uplinks.way_of(&to([8, 8, 8, 8]));
        assert_eq!(nowhere.uplink, seen("", 1500, IoMode::Raw));
        assert_eq!(open(&[], IoChoice::Raw, Some(3)).unwrap().workers(), 3);
        assert!(open(&[], IoChoice::Native, None).is_err());
        // One that is down is none.
        ip("route add default dev two");
        ip("link set two down");
        assert_eq!(open(&[], IoChoice::Auto, None).unwrap().served(), []);
    });
}

#[test]
fn what_was_named_and_is_not_there_is_an_error() {
    with_uplinks(|| {
        let refused = open(&["one", "four"], IoChoice::Auto, None).unwrap_err();
        let expected = "--interface four: there is no such interface; see: ip link";
        assert_eq!(refused.to_string(), expected);
        ip("link set two down");
        let refused = open(&["one", "two"], IoChoice::Auto, None).unwrap_err();
        assert!(refused.to_string().contains("two is down"), "{refused}");
        let refused = open(&["one"], IoChoice::Auto, Some(3)).unwrap_err();
        assert_eq!(refused.to_string(), "--queues 3: one has 2 RX queues");
    });
}

#[test]
fn one_that_is_named_twice_is_served_once() {
    with_uplinks(|| {
        ip("link property add dev one altname first");
        let uplinks = open(&["one", "one", "first"], IoChoice::Auto, None).unwrap();
        assert_eq!(uplinks.served(), [seen("one", 1500, IoMode::Native)]);
    });
}

#[test]
fn what_the_programs_of_all_interfaces_counted_is_added_up() {
    let mut totals = Vec::new();
    add_up(&mut totals, vec![("other", 1), ("redirected", 10)]);
    add_up(&mut totals, vec![("other", 2), ("redirected", 20)]);
    let expected = [("other".to_owned(), 3), ("redirected".to_owned(), 30)];
    assert_eq!(totals, expected);
}

//! RFC 1661 §5.6 and §5.7: Code-Reject and Protocol-Reject.

use greyhound_control::cause::Cause;
use greyhound_control::ppp::{Config, UseIpv6, protocol};

use crate::bench::{
    Bench, Frame, PEER_ADDRESS, RESTART, ccp, code, ipcp, lcp, login, packet, server,
};
use crate::suite::Suite;

/// A protocol that we do not know: AppleTalk's control protocol.
const UNKNOWN: u16 = 0x8029;

pub(crate) fn cases(suite: &mut Suite) {
    sent_code_rejects(suite);
    received_code_rejects(suite);
    sent_protocol_rejects(suite);
    received_protocol_rejects(suite);
}

/// A Protocol-Reject of the peer.
fn protocol_reject(number: u16, copy: &[u8]) -> Frame {
    let data = [&number.to_be_bytes()[..], copy].concat();
    lcp(code::PROTOCOL_REJECT, 50, &data)
}

/// A link with both ends at this MRU, and open.
fn with_mru(max_mru: u16, peers: u16) -> Bench {
    let mut bench = Bench::with(Config {
        max_mru,
        ..server()
    });
    bench.hear_ack();
    let [high, low] = peers.to_be_bytes();
    bench.hear(lcp(code::CONFIGURE_REQUEST, 1, &[1, 4, high, low]));
    bench
}

fn sent_code_rejects(suite: &mut Suite) {
    suite.case(
        "5.6",
        "each code that LCP does not have is rejected, with a copy",
        || {
            let mut bench = Bench::opened();
            for unknown in (0..=255).filter(|code| !(1..=13).contains(code)) {
                let packet = packet(unknown, 9, &[1, 2, 3]);
                let sent = bench.hear(Frame::new(protocol::LCP, &packet[..]));
                assert_eq!((sent.len(), sent[0].code()), (1, code::CODE_REJECT));
                assert_eq!(sent[0].data(), packet);
            }
        },
    );
    suite.case(
        "5.6",
        "the codes of RFC 1570 are known, and need no answer",
        || {
            let mut bench = Bench::opened();
            for known in [12, 13] {
                assert_eq!(bench.hear(lcp(known, 1, &[0; 8])), []);
            }
        },
    );
    suite.case(
        "5.6",
        "the identifier changes with each Code-Reject",
        || {
            let mut bench = Bench::opened();
            let mut last = None;
            for _ in 0..300 {
                let id = bench.hear(lcp(99, 1, &[]))[0].id();
                assert_ne!(last.replace(id), Some(id));
            }
        },
    );
    suite.case(
        "5.6",
        "the copy of a large packet is cut to the peer's MRU",
        || {
            let mut bench = with_mru(1460, 576);
            let sent = bench.hear(lcp(99, 1, &[7; 1400]));
            assert_eq!(sent[0].bytes.len(), 576);
            assert_eq!(sent[0].data(), &packet(99, 1, &[7; 1400])[..572]);
        },
    );
    suite.case("5.6", "what fits the peer's MRU is copied whole", || {
        let mut bench = with_mru(1460, 1400);
        let packet = packet(99, 1, &[7; 1392]);
        let sent = bench.hear(Frame::new(protocol::LCP, &packet[..]));
        assert_eq!(sent[0].data(), packet);
    });
    suite.case(
        "5.6",
        "deviation: the copy is also cut to the MRU that we ask for, because more would not fit \
         the path of the tunnel",
        || {
            let mut bench = with_mru(1000, 1500);
            let sent = bench.hear(lcp(99, 1, &[7; 1400]));
            assert_eq!(sent[0].bytes.len(), 1000);
        },
    );
    suite.case("5.6", "padding is not part of the copy", || {
        let mut bench = Bench::opened();
        let packet = packet(99, 1, &[1, 2]);
        let sent = bench.hear(Frame::new(protocol::LCP, [&packet[..], &[0; 40]].concat()));
        assert_eq!(sent[0].data(), packet);
    });
    suite.case(
        "5.6",
        "a malformed packet is not rejected but discarded",
        || {
            let mut bench = Bench::opened();
            for bytes in [&[99, 1, 0, 3][..], &[99, 1, 0, 9, 0], &[99, 1]] {
                assert_eq!(bench.hear(Frame::new(protocol::LCP, bytes)), []);
            }
        },
    );
    suite.case(
        "5.6",
        "IPCP rejects by a Code-Reject of its own what only LCP has",
        || {
            let (mut bench, _) = Bench::network();
            for unknown in 8..=15 {
                let packet = packet(unknown, 9, &[0; 4]);
                let sent = bench.hear(Frame::new(protocol::IPCP, &packet[..]));
                assert_eq!((sent.len(), sent[0].protocol), (1, protocol::IPCP));
                assert_eq!(
                    (sent[0].code(), sent[0].data()),
                    (code::CODE_REJECT, &packet[..])
                );
            }
        },
    );
    suite.case(
        "5.6",
        "deviation: a Code-Reject of a network control protocol has at most 128 bytes, because \
         these packets are smaller and it then fits any MRU",
        || {
            let (mut bench, _) = Bench::network();
            let sent = bench.hear(ipcp(99, 9, &[1; 1000]));
            assert_eq!(sent[0].bytes.len(), 128);
        },
    );
}

fn received_code_rejects(suite: &mut Suite) {
    for (name, permitted) in [
        ("Protocol-Reject", code::PROTOCOL_REJECT),
        ("Echo-Request", code::ECHO_REQUEST),
        ("Echo-Reply", code::ECHO_REPLY),
        ("Discard-Request", code::DISCARD_REQUEST),
        ("a code of RFC 1570", 12),
    ] {
        suite.case(
            "5.6",
            format!("a peer may do without {name}: the link stays"),
            || {
                let mut bench = Bench::up();
                assert_eq!(
                    bench.hear(lcp(code::CODE_REJECT, 1, &packet(permitted, 1, &[]))),
                    []
                );
                assert!(bench.network_is_up() && bench.answers_echo());
            },
        );
    }
    suite.case(
        "5.6",
        "without any of the first seven codes there is no link: it ends",
        || {
            for essential in 1..=7 {
                let mut bench = Bench::up();
                let sent = bench.hear(lcp(code::CODE_REJECT, 1, &packet(essential, 1, &[])));
                assert_eq!(sent.len(), 1);
                assert_eq!(sent[0].code(), code::TERMINATE_REQUEST);
                assert!(!bench.network_is_up());
                bench.pass(RESTART * 2);
                assert_eq!(bench.down(), Some(Cause::LcpFailed));
            }
        },
    );
    suite.case(
        "5.6",
        "a Code-Reject without a rejected packet is discarded",
        || {
            let mut bench = Bench::up();
            assert_eq!(bench.hear(lcp(code::CODE_REJECT, 1, &[])), []);
            assert!(bench.network_is_up());
        },
    );
    suite.case(
        "5.6",
        "a Code-Reject in IPCP of what is essential ends IPCP alone",
        || {
            let mut bench = Bench::up();
            let sent = bench.hear(ipcp(code::CODE_REJECT, 1, &packet(1, 1, &[])));
            assert_eq!(
                (sent.len(), sent[0].protocol, sent[0].code()),
                (1, 0x8021, 5)
            );
            assert!(!bench.network_is_up() && bench.answers_echo());
        },
    );
}

fn sent_protocol_rejects(suite: &mut Suite) {
    suite.case(
        "5.7",
        "a protocol that we do not know is rejected, with a copy",
        || {
            let (mut bench, _) = Bench::network();
            let sent = bench.hear(Frame::new(UNKNOWN, [1, 2, 3, 4, 5]));
            assert_eq!((sent.len(), sent[0].protocol), (1, protocol::LCP));
            assert_eq!(sent[0].code(), code::PROTOCOL_REJECT);
            assert_eq!(sent[0].data(), [0x80, 0x29, 1, 2, 3, 4, 5]);
        },
    );
    suite.case("5.7", "even one whose frame is empty", || {
        let (mut bench, _) = Bench::network();
        let sent = bench.hear(Frame::new(UNKNOWN, []));
        assert_eq!(sent[0].data(), [0x80, 0x29]);
    });
    suite.case(
        "5.7",
        "the identifier changes with each Protocol-Reject",
        || {
            let (mut bench, _) = Bench::network();
            let mut last = None;
            for _ in 0..300 {
                let id = bench.hear(Frame::new(UNKNOWN, [0]))[0].id();
                assert_ne!(last.replace(id), Some(id));
            }
        },
    );
    suite.case(
        "5.7",
        "the copy of a large frame is cut to the peer's MRU",
        || {
            let mut bench = with_mru(1460, 576);
            bench.log_in();
            let sent = bench.hear(Frame::new(UNKNOWN, [7; 1400]));
            assert_eq!(sent[0].bytes.len(), 576);
        },
    );
    suite.case("5.7", "what fits the peer's MRU is copied whole", || {
        let mut bench = with_mru(1460, 1400);
        bench.log_in();
        let sent = bench.hear(Frame::new(UNKNOWN, [7; 1394]));
        assert_eq!(sent[0].bytes.len(), 1400);
        assert_eq!(sent[0].data()[2..], [7; 1394]);
    });
    suite.case(
        "5.7",
        "a protocol that is known and not wanted is rejected",
        || {
            let (mut bench, _) = Bench::network();
            for wanted in [
                ccp(1, 1, &[]),
                Frame::new(protocol::IPV6CP, packet(1, 1, &[])),
            ] {
                let sent = bench.hear(wanted.clone());
                assert_eq!((sent.len(), sent[0].code()), (1, code::PROTOCOL_REJECT));
                assert_eq!(sent[0].data()[..2], wanted.protocol.to_be_bytes());
            }
        },
    );
    suite.case("5.7", "before LCP is open nothing is rejected", || {
        for reach in [
            Bench::req_sent as fn() -> Bench,
            Bench::ack_rcvd,
            Bench::ack_sent,
        ] {
            assert_eq!(reach().hear(Frame::new(UNKNOWN, [0; 9])), []);
        }
    });
    suite.case(
        "5.7",
        "a Protocol-Reject leaves the protocols that are open alone",
        || {
            let mut bench = Bench::up();
            assert_eq!(bench.hear(Frame::new(UNKNOWN, [0; 9])).len(), 1);
            assert!(bench.network_is_up());
        },
    );
}

fn received_protocol_rejects(suite: &mut Suite) {
    suite.case(
        "5.7",
        "a Protocol-Reject of a protocol we did not send is passed over",
        || {
            let mut bench = Bench::up();
            assert_eq!(bench.hear(protocol_reject(UNKNOWN, &[1, 2, 3])), []);
            assert!(bench.network_is_up());
        },
    );
    suite.case(
        "5.7",
        "a Protocol-Reject that is cut off is discarded",
        || {
            let mut bench = Bench::up();
            for data in [&[][..], &[0x80]] {
                assert_eq!(bench.hear(lcp(code::PROTOCOL_REJECT, 1, data)), []);
            }
            assert!(bench.network_is_up());
        },
    );
    suite.case(
        "5.7",
        "CCP rejected: no more of it, and on without encryption",
        || {
            let (mut bench, request) = Bench::encrypting();
            let sent = bench.hear(protocol_reject(protocol::CCP, &request.bytes));
            assert_eq!((sent.len(), sent[0].protocol), (1, protocol::IPCP));
            let later = bench.pass(RESTART * 5);
            assert!(later.iter().all(|frame| frame.protocol == protocol::IPCP));
        },
    );
    suite.case(
        "5.7",
        "IPCP rejected: no more of it, and the link ends",
        || {
            let (mut bench, request) = Bench::network();
            let sent = bench.hear(protocol_reject(protocol::IPCP, &request.bytes));
            assert_eq!((sent.len(), sent[0].code()), (1, code::TERMINATE_REQUEST));
            assert_eq!(bench.link.cause(), Some(Cause::NoNetworkProtocols));
            let later = bench.pass(RESTART * 5);
            assert!(later.iter().all(|frame| frame.protocol == protocol::LCP));
        },
    );
    suite.case(
        "5.7",
        "IPV6CP rejected: no more of it, and on with IPv4",
        || {
            let mut bench = Bench::opened_with(Config {
                ipv6: UseIpv6::Yes,
                ..server()
            });
            let sent = bench.hear(login(1));
            let [_, v4, v6] = &sent[..] else {
                panic!("{sent:?}");
            };
            assert_eq!(bench.hear(protocol_reject(protocol::IPV6CP, &v6.bytes)), []);
            bench.hear(v4.with_code(code::CONFIGURE_ACK));
            bench.hear(ipcp(1, 1, PEER_ADDRESS));
            assert!(bench.network_is_up());
            assert_eq!(bench.pass(RESTART * 5), []);
        },
    );
    suite.case(
        "5.7",
        "the authentication protocol rejected: the link ends",
        || {
            let mut bench = Bench::opened();
            let sent = bench.hear(protocol_reject(protocol::PAP, &[1, 1, 0, 4]));
            assert_eq!(sent[0].code(), code::TERMINATE_REQUEST);
            assert_eq!(bench.link.cause(), Some(Cause::NoCommonAuthentication));
        },
    );
    suite.case("5.7", "LCP rejected: the link ends", || {
        let mut bench = Bench::up();
        let sent = bench.hear(protocol_reject(protocol::LCP, &[1, 1, 0, 4]));
        assert_eq!((sent.len(), sent[0].code()), (1, code::TERMINATE_REQUEST));
        bench.pass(RESTART * 2);
        assert!(bench.down().is_some());
    });
    suite.case(
        "5.7",
        "a Protocol-Reject before LCP is open is discarded, even of LCP",
        || {
            for reach in [
                Bench::req_sent as fn() -> Bench,
                Bench::ack_rcvd,
                Bench::ack_sent,
            ] {
                for number in [protocol::LCP, protocol::IPCP, UNKNOWN] {
                    let mut bench = reach();
                    assert_eq!(bench.hear(protocol_reject(number, &[1, 1, 0, 4])), []);
                    assert_eq!(bench.down(), None);
                    bench.finish_lcp();
                }
            }
        },
    );
    suite.case("5.7", "one while we terminate is discarded, too", || {
        let mut bench = Bench::opened();
        bench.close();
        assert_eq!(
            bench.hear(protocol_reject(protocol::LCP, &[5, 1, 0, 4])),
            []
        );
        assert_eq!(bench.down(), None);
    });
}

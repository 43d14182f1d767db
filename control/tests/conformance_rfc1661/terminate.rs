//! RFC 1661 §5.5: Terminate-Request and Terminate-Ack.

use greyhound_control::cause::Cause;
use greyhound_control::ppp::Command;

use crate::bench::{
    Bench, Frame, PARTING, PEER_ADDRESS, RESTART, WISH, ccp, code, ipcp, lcp, login,
};
use crate::suite::Suite;

pub(crate) fn cases(suite: &mut Suite) {
    suite.case(
        "5.5",
        "Terminate-Ack has the identifier of the request",
        || {
            for id in [0, 1, 128, 255] {
                let mut bench = Bench::opened();
                let answer = bench.hear(lcp(code::TERMINATE_REQUEST, id, &[]));
                assert_eq!(answer, [lcp(code::TERMINATE_ACK, id, &[])]);
            }
        },
    );
    suite.case("5.5", "a Terminate-Request may carry any data", || {
        for data in [&b"bye"[..], &[0; 1400], &[0xff, 0, 0xfe]] {
            let mut bench = Bench::up();
            let answer = bench.hear(lcp(code::TERMINATE_REQUEST, 4, data));
            assert_eq!((answer[0].code(), answer[0].id()), (code::TERMINATE_ACK, 4));
        }
    });
    for (case, reach) in [
        (
            "a Terminate-Request during authentication ends the link",
            Bench::opened as fn() -> Bench,
        ),
        (
            "a Terminate-Request while IPCP negotiates ends the link",
            || Bench::network().0,
        ),
        (
            "a Terminate-Request while CCP negotiates ends the link",
            || Bench::encrypting().0,
        ),
        (
            "a Terminate-Request while the network is up ends the link",
            Bench::up,
        ),
    ] {
        suite.case("5.5", case, || {
            let mut bench = reach();
            let answer = bench.hear(lcp(code::TERMINATE_REQUEST, 7, &[]));
            assert_eq!(answer, [lcp(code::TERMINATE_ACK, 7, &[])]);
            assert!(!bench.network_is_up() && !bench.link_options().opened);
            bench.pass(RESTART + PARTING);
            assert_eq!(bench.down(), Some(Cause::PeerRequest));
        });
    }
    suite.case("5.5", "the network goes down before the link does", || {
        let mut bench = Bench::up();
        bench.log.clear();
        bench.hear(lcp(code::TERMINATE_REQUEST, 7, &[]));
        bench.pass(RESTART + PARTING);
        assert!(matches!(
            bench.log[..],
            [
                Command::NetworkDown,
                Command::SetLink(_),
                Command::Down(Cause::PeerRequest)
            ]
        ));
    });
    suite.case(
        "5.5",
        "each repeated Terminate-Request is acknowledged",
        || {
            let mut bench = Bench::up();
            for id in 1..5 {
                let answer = bench.hear(lcp(code::TERMINATE_REQUEST, id, &[]));
                assert_eq!(answer, [lcp(code::TERMINATE_ACK, id, &[])]);
            }
        },
    );
    suite.case(
        "5.5",
        "a Terminate-Request that crosses ours is acknowledged",
        || {
            let mut bench = Bench::up();
            bench.close();
            let answer = bench.hear(lcp(code::TERMINATE_REQUEST, 6, &[]));
            assert_eq!(answer, [lcp(code::TERMINATE_ACK, 6, &[])]);
        },
    );
    suite.case("5.5", "a malformed Terminate-Request ends nothing", || {
        let mut bench = Bench::up();
        for bytes in [&[5, 1, 0, 3][..], &[5, 1, 0, 5], &[5, 1, 0], &[5]] {
            assert_eq!(bench.hear(Frame::new(0xc021, bytes)), []);
        }
        assert!(bench.network_is_up());
    });
    suite.case(
        "5.5",
        "our Terminate-Request says why, and its Ack ends the link at once",
        || {
            let mut bench = Bench::up();
            let sent = bench.close();
            assert_eq!((sent.len(), sent[0].code()), (1, code::TERMINATE_REQUEST));
            assert_eq!(sent[0].data(), b"administrator request");
            assert_eq!(bench.hear(sent[0].with_code(code::TERMINATE_ACK)), []);
            assert_eq!(bench.down(), Some(Cause::AdministratorRequest));
        },
    );
    suite.case("5.5", "a link may be closed before it was open", || {
        for reach in [
            Bench::req_sent as fn() -> Bench,
            Bench::ack_rcvd,
            Bench::ack_sent,
        ] {
            let mut bench = reach();
            let sent = bench.close();
            assert_eq!(sent[0].code(), code::TERMINATE_REQUEST);
            bench.hear(sent[0].with_code(code::TERMINATE_ACK));
            assert_eq!(bench.down(), Some(Cause::AdministratorRequest));
        }
    });
    suite.case(
        "5.5",
        "Configure packets are passed over while we terminate",
        || {
            let mut bench = Bench::opened();
            bench.close();
            assert_eq!(bench.hear_wish(), []);
            assert_eq!(bench.hear_ack(), []);
            assert_eq!(
                bench.hear(lcp(code::CONFIGURE_NAK, bench.request.id(), &[])),
                []
            );
            assert_eq!(
                bench.hear(lcp(code::CONFIGURE_REJECT, bench.request.id(), &[])),
                []
            );
        },
    );
    suite.case(
        "5.5",
        "a Terminate-Ack that nobody asked for is passed over before Opened",
        || {
            let mut bench = Bench::req_sent();
            assert_eq!(bench.hear(lcp(code::TERMINATE_ACK, 3, &[])), []);
            bench.open_lcp();
        },
    );
    suite.case(
        "5.5",
        "one in Opened tells that the peer is closed: negotiation begins anew",
        || {
            let mut bench = Bench::up();
            let sent = bench.hear(lcp(code::TERMINATE_ACK, 3, &[]));
            assert_eq!(sent, [bench.request.clone()]);
            assert!(!bench.network_is_up());
            bench.open_lcp();
            let request = bench.log_in();
            bench.open_ipcp(&request);
        },
    );
    suite.case(
        "5.5",
        "nothing but LCP is heard once the link terminates",
        || {
            for end in [
                (|bench| {
                    bench.close();
                }) as fn(&mut Bench),
                |bench| {
                    bench.hear(lcp(code::TERMINATE_REQUEST, 1, &[]));
                },
            ] {
                let mut bench = Bench::up();
                end(&mut bench);
                assert_eq!(
                    bench.hear(ipcp(code::CONFIGURE_REQUEST, 1, PEER_ADDRESS)),
                    []
                );
                assert_eq!(bench.hear(ipcp(code::TERMINATE_REQUEST, 1, &[])), []);
                assert_eq!(bench.hear(ccp(code::CONFIGURE_REQUEST, 1, &[])), []);
                assert_eq!(bench.hear(login(1)), []);
                assert_eq!(bench.hear(Frame::new(0x002b, [0; 30])), []);
            }
        },
    );
    suite.case(
        "5.5",
        "after the link is down nothing is heard at all",
        || {
            let mut bench = Bench::opened();
            let sent = bench.close();
            bench.hear(sent[0].with_code(code::TERMINATE_ACK));
            assert!(bench.down().is_some());
            assert_eq!(bench.hear(lcp(code::CONFIGURE_REQUEST, 1, WISH)), []);
            assert_eq!(bench.hear(lcp(code::TERMINATE_REQUEST, 1, &[])), []);
            assert_eq!(bench.link.poll_timeout(), None);
        },
    );
    suite.case(
        "5.5",
        "IPCP's Terminate-Request ends IPCP, and leaves LCP open",
        || {
            let mut bench = Bench::up();
            let answer = bench.hear(ipcp(code::TERMINATE_REQUEST, 8, b"x"));
            assert_eq!(answer, [ipcp(code::TERMINATE_ACK, 8, &[])]);
            assert!(!bench.network_is_up() && bench.answers_echo());
        },
    );
    suite.case(
        "5.5",
        "a link whose only network protocol was terminated ends",
        || {
            let mut bench = Bench::up();
            bench.hear(ipcp(code::TERMINATE_REQUEST, 8, &[]));
            let sent = bench.pass(RESTART);
            assert_eq!(sent.last().map(Frame::code), Some(code::TERMINATE_REQUEST));
            assert_eq!(bench.link.cause(), Some(Cause::NoNetworkProtocols));
        },
    );
    suite.case(
        "5.5",
        "a stray Terminate-Ack of IPCP has IPCP alone negotiate anew",
        || {
            let mut bench = Bench::up();
            let sent = bench.hear(ipcp(code::TERMINATE_ACK, 8, &[]));
            assert_eq!(
                (sent.len(), sent[0].protocol, sent[0].code()),
                (1, 0x8021, 1)
            );
            assert!(!bench.network_is_up() && bench.answers_echo());
            bench.open_ipcp(&sent[0]);
        },
    );
    suite.case(
        "5.5",
        "a peer that terminates CCP goes on without encryption if it may",
        || {
            let (mut bench, _) = Bench::encrypting();
            let sent = bench.hear(ccp(code::TERMINATE_REQUEST, 3, &[]));
            assert_eq!(sent[0], ccp(code::TERMINATE_ACK, 3, &[]));
            assert_eq!((sent[1].protocol, sent[1].code()), (0x8021, 1));
        },
    );
}

//! RFC 1661 §3: the phases of a link.

use greyhound_control::cause::Cause;
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::ppp::{AuthMethod, Command, protocol};

use crate::bench::{
    Bench, Frame, PEER_ADDRESS, RESTART, WISH, client_with, code, ipcp, lcp, login, opt, option,
    packet, pap, server, server_with,
};
use crate::suite::Suite;

/// An IPv4 packet without data.
const IP_PACKET: [u8; 20] = [
    0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 1, 100, 10, 77, 1, 1,
];

pub(crate) fn cases(suite: &mut Suite) {
    establishment(suite);
    authentication(suite);
    network(suite);
    renegotiation(suite);
}

fn establishment(suite: &mut Suite) {
    suite.case("3.3", "a dead link hears nothing and says nothing", || {
        let mut bench = Bench::dead(server(), CountingEntropy(5));
        assert_eq!(bench.hear(lcp(code::CONFIGURE_REQUEST, 1, WISH)), []);
        assert_eq!(bench.pass(RESTART * 20), []);
        assert_eq!(bench.log, []);
    });
    suite.case(
        "3.4",
        "Opened is when an Ack was both sent and received, in either order",
        || {
            let mut bench = Bench::ack_rcvd();
            assert!(!bench.answers_echo());
            bench.hear_wish();
            assert!(bench.answers_echo());
            let mut bench = Bench::ack_sent();
            assert!(!bench.answers_echo());
            bench.hear_ack();
            assert!(bench.answers_echo());
        },
    );
    suite.case(
        "3.4",
        "while LCP is not open, what is not LCP is discarded",
        || {
            for reach in [
                Bench::req_sent as fn() -> Bench,
                Bench::ack_rcvd,
                Bench::ack_sent,
            ] {
                let mut bench = reach();
                for number in [
                    protocol::IP,
                    protocol::IPV6,
                    protocol::IPCP,
                    protocol::CCP,
                    0xc025,
                ] {
                    assert_eq!(bench.hear(Frame::new(number, packet(1, 1, &[]))), []);
                }
                bench.finish_lcp();
                assert_eq!(bench.log_in().id(), 1, "nothing of it is left");
            }
        },
    );
    suite.case(
        "3.4",
        "deviation: a PAP request that comes a step early waits for its turn, because frames \
         overtake each other",
        || {
            let mut bench = Bench::ack_rcvd();
            assert_eq!(bench.hear(login(4)), []);
            let sent = bench.hear_wish();
            assert_eq!((sent[1].protocol, sent[1].code()), (protocol::PAP, 2));
        },
    );
    suite.case(
        "3.4",
        "a link that is not up in a minute is given up",
        || {
            let mut bench = Bench::req_sent();
            for _ in 0..30 {
                // A peer that never wants the same twice.
                bench.hear(lcp(code::CONFIGURE_REQUEST, 1, &opt(99, &[])));
                let id = bench.request.id();
                bench.pass(RESTART);
                bench.hear(lcp(code::CODE_REJECT, id, &[12, 1, 0, 4]));
            }
            assert!(bench.down().is_some());
        },
    );
}

fn authentication(suite: &mut Suite) {
    suite.case(
        "3.5",
        "authentication begins as soon as LCP is open",
        || {
            let mut bench = Bench::with(server_with(&[AuthMethod::MsChapV2]));
            bench.hear_ack();
            let sent = bench.hear_wish();
            assert_eq!((sent[1].protocol, sent[1].code()), (protocol::CHAP, 1));
        },
    );
    suite.case(
        "3.5",
        "no network protocol begins before authentication is complete",
        || {
            let mut bench = Bench::opened();
            assert_eq!(bench.pass(RESTART * 4), []);
            let sent = bench.hear(login(1));
            assert_eq!((sent[1].protocol, sent[1].code()), (protocol::IPCP, 1));
        },
    );
    suite.case(
        "3.5",
        "nor in a client, before the server has agreed",
        || {
            let mut bench = Bench::with(client_with(&[AuthMethod::Pap]));
            bench.hear_ack();
            let wish = opt(option::AUTHENTICATION, &[0xc0, 0x23]);
            let sent = bench.hear(lcp(code::CONFIGURE_REQUEST, 1, &wish));
            assert_eq!(sent.len(), 2);
            let sent = bench.hear(pap(2, sent[1].id(), &[0]));
            assert_eq!((sent.len(), sent[0].protocol), (1, protocol::IPCP));
        },
    );
    suite.case(
        "3.5",
        "what is neither LCP nor authentication is discarded meanwhile",
        || {
            let mut bench = Bench::opened();
            for number in [protocol::IP, protocol::IPV6, 0x00fd, 0x8029, 0xc025] {
                assert_eq!(bench.hear(Frame::new(number, packet(1, 1, &[]))), []);
            }
            assert_eq!(bench.hear(ipcp(code::TERMINATE_REQUEST, 1, &[])), []);
            assert_eq!(bench.hear(ipcp(code::CONFIGURE_ACK, 1, &[])), []);
        },
    );
    suite.case(
        "3.5",
        "deviation: an IPCP request that comes a step early waits for its turn, because frames \
         overtake each other",
        || {
            let mut bench = Bench::opened();
            assert_eq!(bench.hear(ipcp(1, 9, PEER_ADDRESS)), []);
            let sent = bench.hear(login(1));
            assert_eq!(sent[2], ipcp(2, 9, PEER_ADDRESS));
        },
    );
    suite.case(
        "3.5",
        "an authentication protocol that was not agreed on is discarded",
        || {
            let mut bench = Bench::with(server_with(&[AuthMethod::MsChapV2]));
            bench.hear_ack();
            bench.hear_wish();
            assert_eq!(bench.hear(login(1)), []);
            assert!(
                !bench
                    .log
                    .iter()
                    .any(|c| matches!(c, Command::Authenticate { .. }))
            );
        },
    );
    suite.case("3.5", "a client that is refused terminates", || {
        let mut bench = Bench::with(client_with(&[AuthMethod::Pap]));
        bench.hear_ack();
        let wish = opt(option::AUTHENTICATION, &[0xc0, 0x23]);
        let sent = bench.hear(lcp(code::CONFIGURE_REQUEST, 1, &wish));
        let sent = bench.hear(pap(3, sent[1].id(), &[0]));
        assert_eq!(sent[0].code(), code::TERMINATE_REQUEST);
        assert_eq!(
            bench.link.cause(),
            Some(Cause::FailedToAuthenticateOurselves)
        );
    });
    suite.case(
        "3.5",
        "a peer that never authenticates is terminated",
        || {
            let mut bench = Bench::opened();
            let sent = bench.pass(RESTART * 5);
            assert_eq!(sent.last().map(Frame::code), Some(code::TERMINATE_REQUEST));
            assert_eq!(bench.link.cause(), Some(Cause::Timeout));
        },
    );
}

fn network(suite: &mut Suite) {
    suite.case(
        "3.6",
        "network packets before their protocol is open are discarded",
        || {
            for reach in [
                Bench::req_sent as fn() -> Bench,
                Bench::opened,
                || Bench::network().0,
                || Bench::encrypting().0,
            ] {
                let mut bench = reach();
                assert_eq!(bench.hear(Frame::new(protocol::IP, IP_PACKET)), []);
                assert_eq!(bench.hear(Frame::new(protocol::IPV6, [0x60; 40])), []);
                assert_eq!(bench.hear(Frame::new(0x00fd, [0x90, 0, 1, 2, 3])), []);
            }
        },
    );
    suite.case(
        "3.6",
        "a network is up when IPCP is open, and not before",
        || {
            let (mut bench, request) = Bench::network();
            assert!(!bench.network_is_up());
            bench.hear(request.with_code(code::CONFIGURE_ACK));
            assert!(!bench.network_is_up());
            bench.hear(ipcp(1, 1, PEER_ADDRESS));
            assert!(bench.network_is_up());
        },
    );
    suite.case(
        "3.6",
        "IPCP may be negotiated again at any time, without LCP",
        || {
            let mut bench = Bench::up();
            let sent = bench.hear(ipcp(1, 2, PEER_ADDRESS));
            assert_eq!((sent[0].protocol, sent[0].code()), (protocol::IPCP, 1));
            assert_eq!(sent[1], ipcp(2, 2, PEER_ADDRESS));
            assert!(!bench.network_is_up() && bench.link_options().opened);
            bench.hear(sent[0].with_code(code::CONFIGURE_ACK));
            assert!(bench.network_is_up());
        },
    );
    suite.case("3.6", "IPCP waits until CCP has come to an end", || {
        let (mut bench, _) = Bench::encrypting();
        assert_eq!(bench.hear(ipcp(1, 9, PEER_ADDRESS)), []);
    });
    suite.case(
        "3.7",
        "the link ends at once if its carrier is gone, from any phase",
        || {
            for reach in [
                Bench::req_sent as fn() -> Bench,
                Bench::opened,
                || Bench::network().0,
                Bench::up,
            ] {
                let mut bench = reach();
                bench.link.lower_down(bench.now, Cause::HungUp);
                assert_eq!(bench.sent(), []);
                assert_eq!(bench.down(), Some(Cause::HungUp));
                assert!(!bench.network_is_up());
                assert_eq!(bench.hear_wish(), []);
            }
        },
    );
    suite.case(
        "3.7",
        "closing the link is enough: network protocols need no goodbye",
        || {
            let mut bench = Bench::up();
            let sent = bench.close();
            assert_eq!((sent.len(), sent[0].protocol), (1, protocol::LCP));
            assert!(!bench.network_is_up());
        },
    );
}

fn renegotiation(suite: &mut Suite) {
    suite.case(
        "4.1",
        "a Configure-Request in Opened takes all down, and negotiates anew",
        || {
            let mut bench = Bench::up();
            bench.log.clear();
            let sent = bench.hear(lcp(code::CONFIGURE_REQUEST, 2, WISH));
            assert_eq!(
                sent,
                [bench.request.clone(), lcp(code::CONFIGURE_ACK, 2, WISH)]
            );
            assert!(matches!(
                bench.log[..],
                [Command::NetworkDown, Command::SetLink(_)]
            ));
            assert!(!bench.answers_echo());
        },
    );
    suite.case(
        "4.1",
        "after it the peer has to prove again who it is",
        || {
            let mut bench = Bench::up();
            bench.hear(lcp(code::CONFIGURE_REQUEST, 2, WISH));
            bench.hear_ack();
            assert_eq!(
                bench.hear(Frame::new(0x8029, [0; 4])),
                [],
                "not in the Network phase"
            );
            assert_eq!(bench.hear(ipcp(1, 1, PEER_ADDRESS)), []);
            bench.log.clear();
            bench.hear(login(2));
            assert!(
                bench
                    .log
                    .iter()
                    .any(|c| matches!(c, Command::Authenticate { .. }))
            );
        },
    );
    suite.case("4.1", "after it the link comes up as it did first", || {
        let mut bench = Bench::up();
        bench.hear(lcp(code::CONFIGURE_REQUEST, 2, &[]));
        bench.hear_ack();
        assert_eq!(bench.link_options().peer_mru, 1500);
        let request = bench.log_in();
        bench.open_ipcp(&request);
    });
}

//! RFC 1661 §4.6: the Restart timer and the three counters, to the number.

use std::time::Duration;

use greyhound_control::cause::Cause;

use crate::bench::{Bench, NETWORK, PARTING, RESTART, WISH, code, ipcp, lcp, opt, option, server};
use crate::suite::Suite;

const TICK: Duration = Duration::from_millis(1);
/// RFC 1661 §4.6: the defaults.
const MAX_CONFIGURE: u32 = 10;
const MAX_FAILURE: u8 = 5;
/// An MRU in which nothing fits: the one thing in LCP that never converges here.
const TINY_MRU: &[u8] = &[1, 4, 0, 64];

pub(crate) fn cases(suite: &mut Suite) {
    suite.case("4.6", "the Restart timer is 3 s, and not less", || {
        let mut bench = Bench::req_sent();
        assert_eq!(bench.pass(RESTART - TICK), []);
        assert_eq!(bench.pass(TICK), [bench.request.clone()]);
    });
    suite.case(
        "4.6",
        "a late timer event sends one request, not those it missed",
        || {
            let mut bench = Bench::req_sent();
            bench.now += RESTART * 4;
            bench.link.handle_timeout(bench.now);
            assert_eq!(bench.sent().len(), 1);
        },
    );
    suite.case(
        "4.6",
        "Max-Configure: ten requests, the same each time, then the end",
        || {
            let mut bench = Bench::req_sent();
            let request = bench.request.clone();
            for _ in 1..MAX_CONFIGURE {
                assert_eq!(bench.pass(RESTART), std::slice::from_ref(&request));
            }
            assert_eq!(bench.down(), None);
            assert_eq!(bench.pass(RESTART), []);
            assert_eq!(bench.down(), Some(Cause::LcpFailed));
            assert_eq!(bench.pass(RESTART * 20), []);
        },
    );
    suite.case(
        "4.6",
        "deviation: a Configure-Request after Max-Configure is not answered, because the call \
         ended with its link",
        || {
            let mut bench = Bench::req_sent();
            bench.pass(RESTART * MAX_CONFIGURE);
            assert_eq!(bench.hear_wish(), []);
        },
    );
    suite.case("4.6", "Max-Configure counts in Ack-Sent too", || {
        let mut bench = Bench::ack_sent();
        assert_eq!(bench.pass(RESTART * (MAX_CONFIGURE - 1)).len(), 9);
        assert_eq!(bench.pass(RESTART), []);
        assert_eq!(bench.down(), Some(Cause::LcpFailed));
    });
    suite.case(
        "4.6",
        "a request of the peer does not put the Restart timer back",
        || {
            let mut bench = Bench::req_sent();
            bench.pass(RESTART - TICK);
            bench.hear_wish();
            assert_eq!(bench.pass(TICK), [bench.request.clone()]);
        },
    );
    suite.case(
        "4.6",
        "Configure-Ack begins the count of requests anew",
        || {
            let mut bench = Bench::req_sent();
            assert_eq!(bench.pass(RESTART * 8).len(), 8);
            assert_eq!(bench.hear_ack(), []);
            assert_eq!(bench.pass(RESTART * MAX_CONFIGURE).len(), 10);
            assert_eq!(bench.down(), None);
            assert_eq!(bench.pass(RESTART), []);
            assert_eq!(bench.down(), Some(Cause::LcpFailed));
        },
    );
    suite.case(
        "4.6",
        "Configure-Nak begins the count of requests anew",
        || {
            let mut bench = Bench::req_sent();
            assert_eq!(bench.pass(RESTART * 8).len(), 8);
            let nak = lcp(
                code::CONFIGURE_NAK,
                bench.request.id(),
                &opt(option::MRU, &[4, 0]),
            );
            assert_eq!(bench.hear(nak).len(), 1);
            assert_eq!(bench.pass(RESTART * (MAX_CONFIGURE - 1)).len(), 9);
            assert_eq!(bench.down(), None);
            assert_eq!(bench.pass(RESTART), []);
            assert_eq!(bench.down(), Some(Cause::LcpFailed));
        },
    );
    suite.case("4.6", "the Restart timer does not run in Opened", || {
        let mut bench = Bench::opened();
        assert_eq!(bench.pass(RESTART * 4), []);
    });
    suite.case(
        "4.6",
        "nor once the network is up: nothing is due at all",
        || {
            assert_eq!(Bench::up().link.poll_timeout(), None);
        },
    );
    suite.case(
        "4.6",
        "Max-Terminate: two Terminate-Requests, then the end",
        || {
            let mut bench = Bench::opened();
            let first = bench.close();
            assert_eq!(first[0].code(), code::TERMINATE_REQUEST);
            let second = bench.pass(RESTART);
            assert_eq!(
                (second.len(), second[0].code()),
                (1, code::TERMINATE_REQUEST)
            );
            assert_eq!(second[0].data(), first[0].data());
            assert_eq!(bench.down(), None);
            assert_eq!(bench.pass(RESTART), []);
            assert_eq!(bench.down(), Some(Cause::AdministratorRequest));
        },
    );
    suite.case(
        "4.6",
        "Max-Failure: five Configure-Naks, then Configure-Reject",
        || {
            let mut bench = Bench::req_sent();
            for id in 1..=MAX_FAILURE {
                let nak = bench.hear(lcp(code::CONFIGURE_REQUEST, id, TINY_MRU));
                assert_eq!(
                    nak,
                    [lcp(code::CONFIGURE_NAK, id, &opt(option::MRU, &[0, 128]))]
                );
            }
            let reject = bench.hear(lcp(code::CONFIGURE_REQUEST, 6, TINY_MRU));
            assert_eq!(reject, [lcp(code::CONFIGURE_REJECT, 6, TINY_MRU)]);
            let ack = bench.hear(lcp(code::CONFIGURE_REQUEST, 7, &[]));
            assert_eq!(ack, [lcp(code::CONFIGURE_ACK, 7, &[])]);
        },
    );
    suite.case(
        "4.6",
        "Configure-Ack begins the count of Configure-Naks anew",
        || {
            let mut bench = Bench::req_sent();
            for id in 1..=MAX_FAILURE {
                bench.hear(lcp(code::CONFIGURE_REQUEST, id, TINY_MRU));
            }
            bench.hear(lcp(code::CONFIGURE_REQUEST, 6, WISH));
            let nak = bench.hear(lcp(code::CONFIGURE_REQUEST, 7, TINY_MRU));
            assert_eq!(nak[0].code(), code::CONFIGURE_NAK);
        },
    );
    suite.case(
        "4.6",
        "Configure-Reject leaves the count of Configure-Naks alone",
        || {
            let mut bench = Bench::req_sent();
            for id in 1..=MAX_FAILURE {
                bench.hear(lcp(code::CONFIGURE_REQUEST, id, TINY_MRU));
                bench.hear(lcp(code::CONFIGURE_REQUEST, id, &opt(99, &[])));
            }
            let reject = bench.hear(lcp(code::CONFIGURE_REQUEST, 6, TINY_MRU));
            assert_eq!(reject[0].code(), code::CONFIGURE_REJECT);
        },
    );
    suite.case(
        "4.6",
        "after Max-Failure no option of our own is appended",
        || {
            let (mut bench, _) = Bench::network();
            let wanted = opt(3, &NETWORK.peer.octets());
            for id in 1..=MAX_FAILURE {
                let nak = bench.hear(ipcp(code::CONFIGURE_REQUEST, id, &[]));
                assert_eq!(nak, [ipcp(code::CONFIGURE_NAK, id, &wanted)]);
            }
            let ack = bench.hear(ipcp(code::CONFIGURE_REQUEST, 6, &[]));
            assert_eq!(ack, [ipcp(code::CONFIGURE_ACK, 6, &[])]);
        },
    );
    suite.case(
        "4.6",
        "deviation: the eleventh Configure-Nak ends the link, because some peers send the same \
         one for ever",
        || {
            let mut bench = Bench::req_sent();
            for _ in 0..MAX_CONFIGURE {
                let nak = lcp(
                    code::CONFIGURE_NAK,
                    bench.request.id(),
                    &opt(option::MRU, &[8, 0]),
                );
                assert_eq!(bench.hear(nak).len(), 1);
            }
            let nak = lcp(
                code::CONFIGURE_NAK,
                bench.request.id(),
                &opt(option::MRU, &[8, 0]),
            );
            assert_eq!(bench.hear(nak), []);
            assert_eq!(bench.down(), Some(Cause::LcpFailed));
        },
    );
    suite.case(
        "4.6",
        "a Terminate-Request of the peer leaves one Restart period for its Ack",
        || {
            let mut bench = Bench::opened();
            bench.hear(lcp(code::TERMINATE_REQUEST, 1, &[]));
            assert_eq!(bench.pass(RESTART), []);
            assert_eq!(bench.down(), None);
            assert_eq!(bench.pass(PARTING), []);
            assert_eq!(bench.down(), Some(Cause::PeerRequest));
        },
    );
    suite.case(
        "4.6",
        "each control protocol has its own timer and counters",
        || {
            let (mut bench, request) = Bench::network();
            for _ in 1..MAX_CONFIGURE {
                assert_eq!(bench.pass(RESTART), std::slice::from_ref(&request));
            }
            let last = bench.pass(RESTART);
            assert_eq!(
                (last[0].protocol, last[0].code()),
                (0xc021, code::TERMINATE_REQUEST)
            );
            assert_eq!(bench.link.cause(), Some(Cause::NoNetworkProtocols));
        },
    );
    suite.case(
        "4.6",
        "a negotiation that LCP begins again has all its tries",
        || {
            let mut bench = Bench::with(server());
            assert_eq!(bench.pass(RESTART * 8).len(), 8);
            bench.open_lcp();
            bench.log_in();
            assert_eq!(bench.hear(lcp(code::CONFIGURE_REQUEST, 9, WISH)).len(), 2);
            assert_eq!(bench.pass(RESTART * (MAX_CONFIGURE - 1)).len(), 9);
            assert_eq!(bench.down(), None);
        },
    );
}

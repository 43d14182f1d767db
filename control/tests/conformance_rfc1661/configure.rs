//! RFC 1661 §5.1-5.4: Configure-Request, -Ack, -Nak and -Reject, good and bad.

use greyhound_control::cause::Cause;
use greyhound_control::ppp::{AuthMethod, Config};

use crate::bench::{
    Bench, Frame, PEER_ADDRESS, RESTART, WISH, code, ipcp, lcp, opt, option, server, server_with,
};
use crate::suite::Suite;

pub(crate) fn cases(suite: &mut Suite) {
    requests(suite);
    acks(suite);
    naks(suite);
    rejects(suite);
}

/// A Configure-Request of the peer, and what comes out for it.
fn ask(bench: &mut Bench, id: u8, options: &[u8]) -> Vec<Frame> {
    bench.hear(lcp(code::CONFIGURE_REQUEST, id, options))
}

/// An answer to our last Configure-Request with other options.
fn answer(bench: &mut Bench, code: u8, options: &[u8]) -> Vec<Frame> {
    let id = bench.request.id();
    bench.hear(lcp(code, id, options))
}

/// Whether our request is still unanswered.
fn still_asks(bench: &mut Bench) {
    bench.hear_wish();
    assert!(!bench.answers_echo(), "the answer was taken");
    bench.hear_ack();
    assert!(bench.answers_echo());
}

fn requests(suite: &mut Suite) {
    suite.case(
        "5.1",
        "a link that opens sends a Configure-Request at once",
        || {
            let bench = Bench::req_sent();
            assert_eq!(bench.request.code(), code::CONFIGURE_REQUEST);
            assert_eq!(bench.request.kinds(), [1, 3, 5, 7, 8]);
        },
    );
    suite.case(
        "5.1",
        "an option with its default value is not asked for",
        || {
            let bench = Bench::with(Config {
                max_mru: 1500,
                ..server()
            });
            assert_eq!(bench.request.option(option::MRU), None);
        },
    );
    suite.case("5.1", "a retransmission keeps its identifier", || {
        let mut bench = Bench::req_sent();
        let id = bench.request.id();
        bench.pass(RESTART);
        assert_eq!(bench.request.id(), id);
    });
    suite.case(
        "5.1",
        "a request whose options changed has another identifier",
        || {
            let mut bench = Bench::req_sent();
            let id = bench.request.id();
            answer(&mut bench, code::CONFIGURE_NAK, &opt(option::MRU, &[4, 0]));
            assert_ne!(bench.request.id(), id);
        },
    );
    suite.case(
        "5.1",
        "a request after a valid answer has another identifier",
        || {
            let mut bench = Bench::ack_rcvd();
            let id = bench.request.id();
            bench.pass(RESTART);
            assert_ne!(bench.request.id(), id);
        },
    );
    suite.case("5.1", "a request without options is agreed to", || {
        let mut bench = Bench::req_sent();
        assert_eq!(ask(&mut bench, 3, &[]), [lcp(code::CONFIGURE_ACK, 3, &[])]);
    });
    suite.case("5.1", "a repeated request is answered each time", || {
        let mut bench = Bench::req_sent();
        for _ in 0..3 {
            assert_eq!(bench.hear_wish(), [lcp(code::CONFIGURE_ACK, 1, WISH)]);
        }
    });
    suite.case(
        "5.1",
        "of two different requests the last one holds",
        || {
            let mut bench = Bench::req_sent();
            ask(&mut bench, 1, &[1, 4, 5, 0, 7, 2]);
            ask(&mut bench, 2, &[1, 4, 4, 0, 8, 2]);
            bench.hear_ack();
            let agreed = bench.link_options();
            assert_eq!(
                (agreed.peer_mru, agreed.pfc, agreed.acfc),
                (1024, false, true)
            );
        },
    );
    suite.case(
        "5.1",
        "a request that was agreed to and then asked otherwise is void",
        || {
            let mut bench = Bench::ack_sent();
            ask(&mut bench, 2, &opt(99, &[]));
            bench.hear_ack();
            assert!(!bench.answers_echo());
            ask(&mut bench, 3, &[]);
            assert!(bench.answers_echo());
        },
    );
    suite.case(
        "5.1",
        "a request whose options are cut off is discarded",
        || {
            let mut bench = Bench::req_sent();
            for options in [&[1, 4, 5][..], &[5, 6, 1, 2, 3], &[1, 4, 5, 0, 7], &[7]] {
                assert_eq!(ask(&mut bench, 1, options), [], "{options:?}");
            }
        },
    );
    suite.case(
        "5.1",
        "a request with 1400 bytes of options is answered in full",
        || {
            let options: Vec<_> = (0..7).flat_map(|nr| opt(100 + nr, &[nr; 198])).collect();
            let mut bench = Bench::req_sent();
            assert_eq!(
                ask(&mut bench, 1, &options),
                [lcp(code::CONFIGURE_REJECT, 1, &options)]
            );
        },
    );
    suite.case(
        "5.1",
        "the requests of IPCP are judged by the same rules",
        || {
            let (mut bench, _) = Bench::network();
            let options = [PEER_ADDRESS, &opt(99, &[1])].concat();
            let reject = bench.hear(ipcp(code::CONFIGURE_REQUEST, 7, &options));
            assert_eq!(reject, [ipcp(code::CONFIGURE_REJECT, 7, &opt(99, &[1]))]);
        },
    );
}

fn acks(suite: &mut Suite) {
    suite.case(
        "5.2",
        "Configure-Ack repeats identifier, options and their order",
        || {
            let mut bench = Bench::req_sent();
            let wishes: [&[u8]; 3] = [WISH, &[8, 2, 7, 2, 1, 4, 5, 220], &[5, 6, 9, 9, 9, 9]];
            for (id, options) in [0, 1, 255].into_iter().zip(wishes) {
                assert_eq!(
                    ask(&mut bench, id, options),
                    [lcp(code::CONFIGURE_ACK, id, options)]
                );
            }
        },
    );
    suite.case("5.2", "an Ack with another identifier is discarded", || {
        let mut bench = Bench::req_sent();
        for id in 0..=255 {
            if id != bench.request.id() {
                let ack = bench.request.with_code(code::CONFIGURE_ACK).with_id(id);
                assert_eq!(bench.hear(ack), []);
            }
        }
        still_asks(&mut bench);
    });
    let changes: [(&str, fn(&mut Vec<u8>)); 6] = [
        ("an Ack with a value changed is discarded", |options| {
            options[3] ^= 1
        }),
        ("an Ack with options out of order is discarded", |options| {
            options.rotate_left(4)
        }),
        ("an Ack without the last option is discarded", |options| {
            options.truncate(options.len() - 2);
        }),
        (
            "an Ack with an option that was not asked for is discarded",
            |options| {
                options.extend([2, 6, 0, 0, 0, 0]);
            },
        ),
        (
            "an Ack whose last option is cut off is discarded",
            |options| {
                options.truncate(options.len() - 1);
            },
        ),
        ("an Ack without any option is discarded", Vec::clear),
    ];
    for (case, change) in changes {
        suite.case("5.2", case, || {
            let mut bench = Bench::req_sent();
            let mut options = bench.request.data().to_vec();
            change(&mut options);
            assert_eq!(answer(&mut bench, code::CONFIGURE_ACK, &options), []);
            still_asks(&mut bench);
        });
    }
    suite.case(
        "5.2",
        "an Ack to a request that was replaced is discarded",
        || {
            let mut bench = Bench::req_sent();
            let old = bench.request.clone();
            answer(&mut bench, code::CONFIGURE_NAK, &opt(option::MRU, &[4, 0]));
            assert_eq!(bench.hear(old.with_code(code::CONFIGURE_ACK)), []);
            still_asks(&mut bench);
        },
    );
    suite.case(
        "5.2",
        "an Ack to the first of two equal requests counts",
        || {
            let mut bench = Bench::ack_sent();
            let first = bench.request.clone();
            bench.pass(RESTART);
            bench.hear(first.with_code(code::CONFIGURE_ACK));
            assert!(bench.answers_echo());
        },
    );
}

fn naks(suite: &mut Suite) {
    suite.case(
        "5.3",
        "Configure-Nak has the options at fault, and none of the others",
        || {
            let mut bench = Bench::req_sent();
            let nak = ask(&mut bench, 4, &[7, 2, 5, 6, 0, 0, 0, 0, 8, 2, 1, 4, 0, 9]);
            assert_eq!((nak[0].code(), nak[0].id()), (code::CONFIGURE_NAK, 4));
            assert_eq!(nak[0].kinds(), [option::MAGIC_NUMBER, option::MRU]);
            assert_eq!(nak[0].option(option::MRU), Some(vec![0, 128]));
        },
    );
    suite.case(
        "5.3",
        "what a Configure-Nak proposes is then agreed to",
        || {
            let mut bench = Bench::req_sent();
            let nak = ask(&mut bench, 4, &[5, 6, 0, 0, 0, 0, 1, 4, 0, 9]);
            let proposed = nak[0].data().to_vec();
            assert_eq!(
                ask(&mut bench, 5, &proposed),
                [lcp(code::CONFIGURE_ACK, 5, &proposed)]
            );
        },
    );
    suite.case(
        "5.3",
        "an option at fault that is there twice is proposed once",
        || {
            let mut bench = Bench::req_sent();
            let nak = ask(&mut bench, 1, &[1, 4, 0, 9, 1, 4, 0, 8]);
            assert_eq!(nak, [lcp(code::CONFIGURE_NAK, 1, &[1, 4, 0, 128])]);
        },
    );
    suite.case(
        "5.3",
        "an option that we insist on and the peer left out is appended",
        || {
            let (mut bench, _) = Bench::network();
            let nak = bench.hear(ipcp(code::CONFIGURE_REQUEST, 2, &[]));
            assert_eq!(nak, [ipcp(code::CONFIGURE_NAK, 2, PEER_ADDRESS)]);
        },
    );
    suite.case("5.3", "the value of a Nak is asked for next", || {
        let mut bench = Bench::req_sent();
        let sent = answer(&mut bench, code::CONFIGURE_NAK, &opt(option::MRU, &[4, 0]));
        assert_eq!(sent, [bench.request.clone()]);
        assert_eq!(bench.request.option(option::MRU), Some(vec![4, 0]));
        assert_eq!(bench.request.kinds(), [1, 3, 5, 7, 8]);
    });
    suite.case("5.3", "a Nak with another identifier is discarded", || {
        let mut bench = Bench::req_sent();
        let id = bench.request.id().wrapping_add(1);
        let nak = lcp(code::CONFIGURE_NAK, id, &opt(option::MRU, &[4, 0]));
        assert_eq!(bench.hear(nak), []);
        still_asks(&mut bench);
    });
    suite.case(
        "5.3",
        "a Nak counts once: the same again is discarded",
        || {
            let mut bench = Bench::req_sent();
            let nak = lcp(
                code::CONFIGURE_NAK,
                bench.request.id(),
                &opt(option::MRU, &[4, 0]),
            );
            assert_eq!(bench.hear(nak.clone()).len(), 1);
            assert_eq!(bench.hear(nak), []);
        },
    );
    suite.case(
        "5.3",
        "unknown options that a Nak appends are passed over",
        || {
            let mut bench = Bench::req_sent();
            let options = [opt(99, &[1, 2, 3]), opt(option::MRU, &[4, 0]), opt(0, &[])].concat();
            answer(&mut bench, code::CONFIGURE_NAK, &options);
            assert_eq!(bench.request.kinds(), [1, 3, 5, 7, 8]);
            assert_eq!(bench.request.option(option::MRU), Some(vec![4, 0]));
        },
    );
    suite.case(
        "5.3",
        "an option that a Nak appends and that we have no wish for stays away",
        || {
            let mut bench = Bench::req_sent();
            answer(&mut bench, code::CONFIGURE_NAK, &opt(option::ACCM, &[0; 4]));
            assert_eq!(bench.request.kinds(), [1, 3, 5, 7, 8]);
        },
    );
    suite.case(
        "5.3",
        "a Nak without options brings the same wishes again",
        || {
            let mut bench = Bench::req_sent();
            let options = bench.request.data().to_vec();
            assert_eq!(answer(&mut bench, code::CONFIGURE_NAK, &[]).len(), 1);
            assert_eq!(bench.request.data(), options);
        },
    );
    suite.case(
        "5.3",
        "a Nak whose options are cut off is discarded",
        || {
            let mut bench = Bench::req_sent();
            for options in [&[1, 4, 4][..], &[1, 1], &[1, 0], &[1, 4, 4, 0, 5]] {
                assert_eq!(
                    answer(&mut bench, code::CONFIGURE_NAK, options),
                    [],
                    "{options:?}"
                );
            }
            still_asks(&mut bench);
        },
    );
    suite.case(
        "5.3",
        "a Nak with a value of a wrong length changes nothing",
        || {
            let mut bench = Bench::req_sent();
            answer(
                &mut bench,
                code::CONFIGURE_NAK,
                &opt(option::MRU, &[4, 0, 0]),
            );
            assert_eq!(bench.request.option(option::MRU), Some(vec![0x05, 0xb4]));
        },
    );
    suite.case(
        "5.3",
        "a Nak to an option without value does not take it back: only Reject does",
        || {
            let mut bench = Bench::req_sent();
            answer(
                &mut bench,
                code::CONFIGURE_NAK,
                &[opt(7, &[]), opt(8, &[])].concat(),
            );
            assert_eq!(bench.request.kinds(), [1, 3, 5, 7, 8]);
        },
    );
}

fn rejects(suite: &mut Suite) {
    suite.case(
        "5.4",
        "Configure-Reject has the unknown options, unchanged and in order",
        || {
            let mut bench = Bench::req_sent();
            let (one, two) = (opt(200, &[1, 2, 3]), opt(99, &[]));
            let options = [&one, WISH, &two, &one].concat();
            let expected = [&one[..], &two, &one].concat();
            assert_eq!(
                ask(&mut bench, 9, &options),
                [lcp(code::CONFIGURE_REJECT, 9, &expected)]
            );
        },
    );
    suite.case(
        "5.4",
        "what is unknown is rejected before anything is proposed",
        || {
            let mut bench = Bench::req_sent();
            let options = [opt(option::MRU, &[0, 9]), opt(99, &[])].concat();
            let reject = ask(&mut bench, 1, &options);
            assert_eq!(reject, [lcp(code::CONFIGURE_REJECT, 1, &opt(99, &[]))]);
            let nak = ask(&mut bench, 2, &opt(option::MRU, &[0, 9]));
            assert_eq!(nak[0].code(), code::CONFIGURE_NAK);
        },
    );
    suite.case(
        "5.4",
        "each type of option that we do not know is rejected",
        || {
            let mut bench = Bench::req_sent();
            for kind in 0..=255 {
                if [1, 2, 5, 7, 8].contains(&kind) {
                    continue;
                }
                let option = opt(kind, &[1, 2, 3, 4]);
                let reject = ask(&mut bench, kind, &option);
                assert_eq!(reject, [lcp(code::CONFIGURE_REJECT, kind, &option)]);
            }
        },
    );
    for (kind, name) in [
        (option::MRU, "MRU"),
        (option::MAGIC_NUMBER, "Magic-Number"),
        (option::PFC, "Protocol-Field-Compression"),
        (option::ACFC, "Address-and-Control-Field-Compression"),
    ] {
        suite.case(
            "5.4",
            format!("{name}, once rejected, is not asked for again"),
            || {
                let mut bench = Bench::req_sent();
                let id = bench.request.id();
                let option = opt(kind, &bench.request.option(kind).unwrap());
                answer(&mut bench, code::CONFIGURE_REJECT, &option);
                let others: Vec<_> = [1, 3, 5, 7, 8].into_iter().filter(|k| *k != kind).collect();
                assert_eq!(bench.request.kinds(), others);
                assert_ne!(bench.request.id(), id);
                bench.open_lcp();
            },
        );
    }
    suite.case(
        "5.4",
        "a peer may reject all that can be done without",
        || {
            let mut bench = Bench::req_sent();
            let all: Vec<_> = [1, 5, 7, 8]
                .into_iter()
                .flat_map(|kind| opt(kind, &bench.request.option(kind).unwrap()))
                .collect();
            answer(&mut bench, code::CONFIGURE_REJECT, &all);
            assert_eq!(bench.request.kinds(), [option::AUTHENTICATION]);
            bench.open_lcp();
        },
    );
    suite.case(
        "5.4",
        "a Reject with another identifier is discarded",
        || {
            let mut bench = Bench::req_sent();
            let id = bench.request.id().wrapping_sub(1);
            assert_eq!(
                bench.hear(lcp(code::CONFIGURE_REJECT, id, &opt(option::PFC, &[]))),
                []
            );
            still_asks(&mut bench);
        },
    );
    for (case, options) in [
        (
            "a Reject of an option that was not asked for is discarded",
            opt(2, &[0; 4]),
        ),
        (
            "a Reject of an option with another value is discarded",
            opt(1, &[5, 0]),
        ),
        (
            "a Reject of an option with another length is discarded",
            opt(7, &[0]),
        ),
        (
            "a Reject of one option asked for and one not is discarded",
            [opt(7, &[]), opt(99, &[])].concat(),
        ),
        (
            "a Reject whose options are cut off is discarded",
            vec![7, 2, 8],
        ),
    ] {
        suite.case("5.4", case, || {
            let mut bench = Bench::req_sent();
            assert_eq!(answer(&mut bench, code::CONFIGURE_REJECT, &options), []);
            still_asks(&mut bench);
        });
    }
    suite.case(
        "5.4",
        "what a server cannot do without ends the link if it is rejected",
        || {
            let mut bench = Bench::with(server_with(&[AuthMethod::Pap]));
            let auth = opt(option::AUTHENTICATION, &[0xc0, 0x23]);
            let sent = answer(&mut bench, code::CONFIGURE_REJECT, &auth);
            assert_eq!(sent.last().map(Frame::code), Some(code::TERMINATE_REQUEST));
            assert_eq!(bench.link.cause(), Some(Cause::NoCommonAuthentication));
        },
    );
}

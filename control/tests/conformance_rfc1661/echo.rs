//! RFC 1661 §5.8 and §5.9: Echo-Request, Echo-Reply and Discard-Request.

use std::time::Duration;

use greyhound_control::cause::Cause;
use greyhound_control::ppp::{Config, protocol};

use crate::bench::{Bench, Frame, PEER_MAGIC, code, lcp, opt, option, packet, server};
use crate::suite::Suite;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn cases(suite: &mut Suite) {
    replies(suite);
    suite.case(
        "5.8",
        "an Echo-Reply that nobody asked for is passed over",
        || {
            for reach in [Bench::req_sent as fn() -> Bench, Bench::opened, Bench::up] {
                let mut bench = reach();
                assert_eq!(bench.hear(lcp(code::ECHO_REPLY, 1, &PEER_MAGIC)), []);
                assert_eq!(bench.hear(lcp(code::ECHO_REPLY, 1, &[])), []);
            }
        },
    );
    requests(suite);
    suite.case(
        "5.9",
        "a Discard-Request is discarded, in every state and of every length",
        || {
            for reach in [
                Bench::req_sent as fn() -> Bench,
                Bench::ack_rcvd,
                Bench::ack_sent,
                Bench::opened,
                Bench::up,
            ] {
                let mut bench = reach();
                for length in [0, 3, 4, 5, 1000, 1496] {
                    assert_eq!(
                        bench.hear(lcp(code::DISCARD_REQUEST, 1, &vec![1; length])),
                        []
                    );
                }
            }
        },
    );
    suite.case(
        "5.9",
        "a Discard-Request with our own magic number is, too",
        || {
            let mut bench = Bench::up();
            let magic = bench.magic();
            assert_eq!(bench.hear(lcp(code::DISCARD_REQUEST, 1, &magic)), []);
            assert!(bench.network_is_up());
        },
    );
}

fn echo(bench: &mut Bench, id: u8, magic: [u8; 4], data: &[u8]) -> Vec<Frame> {
    bench.hear(lcp(code::ECHO_REQUEST, id, &[&magic, data].concat()))
}

fn reply(bench: &Bench, id: u8, data: &[u8]) -> Frame {
    lcp(code::ECHO_REPLY, id, &[&bench.magic(), data].concat())
}

fn replies(suite: &mut Suite) {
    suite.case(
        "5.8",
        "an Echo-Request in Opened is answered under its identifier",
        || {
            let mut bench = Bench::opened();
            for id in [0, 1, 128, 255] {
                assert_eq!(
                    echo(&mut bench, id, PEER_MAGIC, &[]),
                    [reply(&bench, id, &[])]
                );
            }
        },
    );
    suite.case(
        "5.8",
        "in Opened only: before it there is no answer",
        || {
            for reach in [
                Bench::req_sent as fn() -> Bench,
                Bench::ack_rcvd,
                Bench::ack_sent,
            ] {
                assert_eq!(echo(&mut reach(), 1, PEER_MAGIC, &[1]), []);
            }
        },
    );
    suite.case("5.8", "nor while the link terminates", || {
        let mut bench = Bench::up();
        bench.close();
        assert_eq!(echo(&mut bench, 1, PEER_MAGIC, &[1]), []);
    });
    suite.case(
        "5.8",
        "it is answered in every phase that has LCP open",
        || {
            for reach in [
                Bench::opened as fn() -> Bench,
                || Bench::network().0,
                || Bench::encrypting().0,
                Bench::up,
            ] {
                let mut bench = reach();
                assert_eq!(
                    echo(&mut bench, 7, PEER_MAGIC, &[1]),
                    [reply(&bench, 7, &[1])]
                );
            }
        },
    );
    suite.case(
        "5.8",
        "the data comes back, whatever its length, up to the peer's MRU",
        || {
            let mut bench = Bench::opened();
            for length in 0..=1400 - 8 {
                let data: Vec<_> = (0_u8..=255).cycle().take(length).collect();
                assert_eq!(
                    echo(&mut bench, 1, PEER_MAGIC, &data),
                    [reply(&bench, 1, &data)]
                );
            }
        },
    );
    suite.case(
        "5.8",
        "a request larger than the peer's MRU has an answer that fits it",
        || {
            let mut bench = Bench::opened();
            let answer = echo(&mut bench, 1, PEER_MAGIC, &[9; 1492]);
            assert_eq!(answer, [reply(&bench, 1, &[9; 1392])]);
            assert_eq!(answer[0].bytes.len(), 1400);
        },
    );
    suite.case("5.8", "padding does not come back", || {
        let mut bench = Bench::opened();
        let request = packet(code::ECHO_REQUEST, 1, &[0, 0, 0, 1, 5]);
        let padded = Frame::new(protocol::LCP, [&request[..], &[0; 20]].concat());
        assert_eq!(bench.hear(padded), [reply(&bench, 1, &[5])]);
    });
    suite.case(
        "5.8",
        "a peer without magic number, which sends 0, is answered",
        || {
            let mut bench = Bench::opened();
            assert_eq!(echo(&mut bench, 1, [0; 4], &[5]), [reply(&bench, 1, &[5])]);
        },
    );
    suite.case(
        "5.8",
        "a magic number other than the one negotiated is answered",
        || {
            let mut bench = Bench::opened();
            assert_eq!(echo(&mut bench, 1, [9; 4], &[5]), [reply(&bench, 1, &[5])]);
        },
    );
    suite.case(
        "5.8",
        "deviation: a request with our own magic number is not answered, because on a looped link \
         the answer would be our own, too",
        || {
            let mut bench = Bench::opened();
            let ours = bench.magic();
            assert_eq!(echo(&mut bench, 1, ours, &[5]), []);
        },
    );
    suite.case(
        "5.8",
        "a request without room for a magic number is discarded",
        || {
            let mut bench = Bench::opened();
            for length in 0..4 {
                assert_eq!(
                    bench.hear(lcp(code::ECHO_REQUEST, 1, &[1; 4][..length])),
                    []
                );
            }
        },
    );
    suite.case(
        "5.8",
        "where the peer rejected our magic number, answers carry 0",
        || {
            let mut bench = Bench::req_sent();
            let magic = opt(option::MAGIC_NUMBER, &bench.magic());
            bench.hear(lcp(code::CONFIGURE_REJECT, bench.request.id(), &magic));
            bench.open_lcp();
            let answer = echo(&mut bench, 3, PEER_MAGIC, &[5]);
            assert_eq!(answer, [lcp(code::ECHO_REPLY, 3, &[0, 0, 0, 0, 5])]);
            let answer = echo(&mut bench, 4, [0; 4], &[]);
            assert_eq!(answer, [lcp(code::ECHO_REPLY, 4, &[0; 4])]);
        },
    );
}

fn watched() -> Bench {
    Bench::opened_with(Config {
        keepalive: Some(SECOND * 5),
        ..server()
    })
}

fn requests(suite: &mut Suite) {
    suite.case("5.8", "our Echo-Request carries our magic number", || {
        let mut bench = watched();
        let sent = bench.pass(SECOND * 5);
        assert_eq!((sent.len(), sent[0].code()), (1, code::ECHO_REQUEST));
        assert_eq!(sent[0].data(), bench.magic());
    });
    suite.case("5.8", "its identifier changes with each request", || {
        let mut bench = watched();
        let first = bench.pass(SECOND * 5)[0].id();
        let second = bench.pass(SECOND)[0].id();
        assert_ne!(first, second);
    });
    suite.case("5.8", "an Echo-Reply shows that the peer is there", || {
        let mut bench = watched();
        bench.pass(SECOND * 5);
        assert_eq!(bench.hear(lcp(code::ECHO_REPLY, 1, &PEER_MAGIC)), []);
        assert_eq!(bench.pass(SECOND * 3), []);
    });
    suite.case(
        "5.8",
        "a link without any answer to five requests ends",
        || {
            let mut bench = watched();
            bench.log_in();
            let sent = bench.pass(SECOND * 12);
            let echoes = sent
                .iter()
                .filter(|frame| frame.code() == code::ECHO_REQUEST)
                .count();
            assert_eq!(echoes, 5);
            assert_eq!(bench.down(), Some(Cause::PeerNotResponding));
        },
    );
    suite.case("5.8", "no Echo-Request is sent before Opened", || {
        let mut bench = Bench::with(Config {
            keepalive: Some(SECOND),
            ..server()
        });
        let sent = bench.pass(SECOND * 20);
        assert!(
            sent.iter()
                .all(|frame| frame.code() == code::CONFIGURE_REQUEST)
        );
    });
}

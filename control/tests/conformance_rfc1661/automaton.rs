//! RFC 1661 §4.1: each state that can be reached over the wire, and each event in it.
//!
//! The table stands here as the RFC has it. Of its actions, those are seen that come out: packets,
//! This-Layer-Up, -Down and -Finished. The counters are in the next room.

use greyhound_control::cause::Cause;
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::ppp::Command;

use crate::bench::{Bench, Frame, PARTING, RESTART, WISH, code, lcp, opt, server};
use crate::suite::Suite;

pub(crate) fn cases(suite: &mut Suite) {
    for (state, name, reach) in STATES {
        for (event, cells) in TABLE {
            let at = STATES.iter().position(|other| other.0 == state).unwrap();
            let cell = cells.split_whitespace().nth(at).unwrap();
            if cell == "-" {
                continue;
            }
            let case = format!("{event} in {name}: {cell}");
            suite.case("4.1", case, || check(reach, event, cell));
        }
    }
    deviations(suite);
}

/// RFC 1661 §4.2: the number, the name, and how it is reached here.
const STATES: [(u8, &str, fn() -> Bench); 9] = [
    (0, "Initial", || Bench::dead(server(), CountingEntropy(5))),
    (2, "Closed", closed),
    (3, "Stopped", stopped),
    (4, "Closing", closing),
    (5, "Stopping", stopping),
    (6, "Req-Sent", Bench::req_sent),
    (7, "Ack-Rcvd", Bench::ack_rcvd),
    (8, "Ack-Sent", Bench::ack_sent),
    (9, "Opened", Bench::opened),
];

/// RFC 1661 §4.1 without the state Starting, in which a call that is up never is. "-" is what
/// cannot happen, or is done otherwise: see [`deviations`].
const TABLE: [(&str, &str); 15] = [
    //        0   2      3             4      5      6        7            8          9
    (
        "Open",
        "scr/6 -  -              -      -      6        7            8          9",
    ),
    (
        "Close",
        "-  -      -             4      4      str/4    str/4        str/4      tld,str/4",
    ),
    (
        "TO+",
        "-  -      -             str/4  str/5  scr/6    scr/6        scr/8      -",
    ),
    (
        "TO-",
        "-  -      -             tlf/2  tlf/3  tlf/3    -            tlf/3      -",
    ),
    (
        "RCR+",
        "0  sta/2  scr,sca/8     4      5      sca/8    sca,tlu/9    sca/8      tld,scr,sca/8",
    ),
    (
        "RCR-",
        "0  sta/2  scr,scn/6     4      5      scn/6    scn/7        scn/6      tld,scr,scn/6",
    ),
    (
        "RCA",
        "0  sta/2  sta/3         4      5      7        -            tlu/9      -",
    ),
    (
        "RCN",
        "0  sta/2  sta/3         4      5      scr/6    -            scr/8      -",
    ),
    (
        "RTR",
        "0  sta/2  sta/3         sta/4  sta/5  -        -            -          tld,sta/5",
    ),
    (
        "RTA",
        "0  2      3             tlf/2  tlf/3  6        6            8          tld,scr/6",
    ),
    (
        "RUC",
        "0  scj/2  scj/3         scj/4  scj/5  scj/6    scj/7        scj/8      scj/9",
    ),
    (
        "RXJ+",
        "0  2      3             4      5      6        6            8          9",
    ),
    (
        "RXJ-",
        "0  -      -             tlf/2  tlf/3  tlf/3    tlf/3        tlf/3      tld,str/5",
    ),
    (
        "RXR",
        "0  2      3             4      5      6        7            8          ser/9",
    ),
    (
        "Down",
        "-  -      -             -      -      -        -            -          tld/1",
    ),
];

fn closing() -> Bench {
    let mut bench = Bench::opened();
    bench.close();
    bench.log.clear();
    bench
}

/// After a reject of something essential: this one has a Terminate-Request to repeat.
fn stopping() -> Bench {
    let mut bench = Bench::opened();
    bench.hear(lcp(code::CODE_REJECT, 1, &[1, 1, 0, 4]));
    bench
}

/// Both ends said goodbye: our last answer has a moment before the call is taken away.
fn closed() -> Bench {
    let mut bench = closing();
    bench.hear(lcp(code::TERMINATE_REQUEST, 1, &[]));
    bench.hear(lcp(code::TERMINATE_ACK, 1, &[]));
    bench
}

/// The peer said goodbye, and the Restart timer ran out.
fn stopped() -> Bench {
    let mut bench = Bench::opened();
    bench.hear(lcp(code::TERMINATE_REQUEST, 1, &[]));
    bench.pass(RESTART);
    bench
}

fn cause_event(bench: &mut Bench, event: &str) -> Vec<Frame> {
    let request = bench.request.clone();
    match event {
        "Open" => {
            bench.link.open(bench.now);
            bench.sent()
        }
        "Close" => bench.close(),
        "Down" => {
            bench.link.lower_down(bench.now, Cause::HungUp);
            bench.sent()
        }
        "TO+" => bench.pass(RESTART),
        "TO-" => {
            // Until the last try is out.
            while let Some(at) = bench.link.poll_timeout() {
                let sent = bench.pass(at - bench.now);
                if sent.is_empty() {
                    break;
                }
            }
            Vec::new()
        }
        "RCR+" => bench.hear(lcp(code::CONFIGURE_REQUEST, 8, WISH)),
        "RCR-" => bench.hear(lcp(code::CONFIGURE_REQUEST, 8, &opt(99, &[]))),
        "RCA" if request.bytes.is_empty() => bench.hear(lcp(code::CONFIGURE_ACK, 1, &[])),
        "RCA" => bench.hear(request.with_code(code::CONFIGURE_ACK)),
        "RCN" => {
            let id = request.bytes.get(1).copied().unwrap_or(1);
            bench.hear(lcp(code::CONFIGURE_NAK, id, &opt(1, &[4, 0])))
        }
        "RTR" => bench.hear(lcp(code::TERMINATE_REQUEST, 8, &[])),
        "RTA" => bench.hear(lcp(code::TERMINATE_ACK, 8, &[])),
        "RUC" => bench.hear(lcp(99, 8, &[])),
        "RXJ+" => bench.hear(lcp(code::CODE_REJECT, 8, &[12, 1, 0, 4])),
        "RXJ-" => bench.hear(lcp(code::CODE_REJECT, 8, &[1, 1, 0, 4])),
        "RXR" => bench.hear(lcp(code::ECHO_REQUEST, 8, &[0; 4])),
        other => panic!("{other} is no event"),
    }
}

/// What came out, in the RFC's words.
fn actions(bench: &Bench, sent: &[Frame]) -> Vec<&'static str> {
    let layers = bench.log.iter().filter_map(|command| match command {
        Command::SetLink(options) if options.opened => Some("tlu"),
        Command::SetLink(_) => Some("tld"),
        Command::Down(_) => Some("tlf"),
        _ => None,
    });
    let packets = sent.iter().map(|frame| match frame.code() {
        1 => "scr",
        2 => "sca",
        3 | 4 => "scn",
        5 => "str",
        6 => "sta",
        7 => "scj",
        10 => "ser",
        other => panic!("code {other} in the automaton"),
    });
    let (down, others): (Vec<_>, Vec<_>) = layers.partition(|layer| *layer == "tld");
    down.into_iter().chain(packets).chain(others).collect()
}

fn check(reach: fn() -> Bench, event: &str, cell: &str) {
    let (expected, next) = cell.rsplit_once('/').unwrap_or(("", cell));
    let happen = || {
        let mut bench = reach();
        bench.log.clear();
        let sent = cause_event(&mut bench, event);
        (bench, sent)
    };
    let (bench, sent) = happen();
    let mut found = actions(&bench, &sent);
    if event == "Down" {
        // The call ends with its link.
        assert_eq!(found.pop(), Some("tlf"));
    }
    assert_eq!(found.join(","), expected);
    if bench.down().is_none() {
        assert_eq!(state(&|| happen().0), next.parse().unwrap());
    }
}

/// Which state a link is in, by how it answers; 4 also for 5 and the other way round, which are the
/// same to a peer.
fn state(reach: &dyn Fn() -> Bench) -> Numbered {
    if reach().answers_echo() {
        return Numbered(9);
    }
    let mut bench = reach();
    if !bench.request.bytes.is_empty() {
        bench.hear_ack();
        if bench.answers_echo() {
            return Numbered(8);
        }
    }
    let mut bench = reach();
    let answer: Vec<_> = bench.hear_wish().iter().map(Frame::code).collect();
    if bench.answers_echo() {
        return Numbered(7);
    }
    match answer[..] {
        [code::CONFIGURE_ACK] => Numbered(6),
        [code::TERMINATE_ACK] => Numbered(2),
        [code::CONFIGURE_REQUEST, code::CONFIGURE_ACK] => Numbered(3),
        [] if bench.link.poll_timeout().is_none() => Numbered(0),
        [] => Numbered(4),
        _ => panic!("no state answers {answer:?}"),
    }
}

#[derive(Debug)]
struct Numbered(u8);

impl PartialEq<u8> for Numbered {
    fn eq(&self, other: &u8) -> bool {
        self.0 == *other || (self.0, *other) == (4, 5)
    }
}

fn deviations(suite: &mut Suite) {
    for (name, reach, next) in [
        ("Ack-Rcvd", Bench::ack_rcvd as fn() -> Bench, 7),
        ("Opened", Bench::opened, 9),
    ] {
        for event in ["RCA", "RCN"] {
            suite.case(
                "4.1",
                format!(
                    "deviation: {event} in {name} again for the same request: nothing, because a \
                     network that doubles frames must not take down what is up"
                ),
                || {
                    let happen = || {
                        let mut bench = reach();
                        bench.log.clear();
                        assert_eq!(cause_event(&mut bench, event), []);
                        bench
                    };
                    assert_eq!(happen().log, []);
                    assert_eq!(state(&happen), next);
                },
            );
        }
    }
    for (name, reach) in [
        ("Req-Sent", Bench::req_sent as fn() -> Bench),
        ("Ack-Rcvd", Bench::ack_rcvd),
        ("Ack-Sent", Bench::ack_sent),
    ] {
        suite.case(
            "4.1",
            format!(
                "deviation: RTR in {name}: sta and the end, because asking on a peer that said \
                 goodbye only delays the next call"
            ),
            || {
                let mut bench = reach();
                let answer = bench.hear(lcp(code::TERMINATE_REQUEST, 8, &[]));
                assert_eq!(answer, [lcp(code::TERMINATE_ACK, 8, &[])]);
                assert_eq!(bench.down(), Some(Cause::PeerRequest));
            },
        );
    }
    for (name, reach) in [("Closed", closed as fn() -> Bench), ("Stopped", stopped)] {
        suite.case(
            "4.1",
            format!("deviation: {name} lasts 0.3 s, because the call ends with its link"),
            || {
                let mut bench = reach();
                assert_eq!(bench.pass(PARTING - PARTING / 100), []);
                assert_eq!(bench.down(), None);
                assert_eq!(bench.pass(PARTING / 100), []);
                assert!(bench.down().is_some());
                assert_eq!(bench.hear_wish(), []);
            },
        );
    }
}

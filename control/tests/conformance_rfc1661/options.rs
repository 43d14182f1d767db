//! RFC 1661 §6 and RFC 1662 §7.1: the options of LCP.

use greyhound_control::cause::Cause;
use greyhound_control::entropy::{CountingEntropy, Entropy};
use greyhound_control::ppp::{AuthMethod, Command, Config};

use crate::bench::{
    Bench, Frame, PEER_MAGIC, WISH, client_with, code, lcp, opt, option, server, server_with,
};
use crate::suite::Suite;

const PAP: &[u8] = &[0xc0, 0x23];
const CHAP_MD5: &[u8] = &[0xc2, 0x23, 5];
const MS_CHAP_V1: &[u8] = &[0xc2, 0x23, 0x80];
const MS_CHAP_V2: &[u8] = &[0xc2, 0x23, 0x81];
const EAP: &[u8] = &[0xc2, 0x27];

pub(crate) fn cases(suite: &mut Suite) {
    lists(suite);
    mru(suite);
    authentication(suite);
    quality(suite);
    magic_number(suite);
    loops(suite);
    compression(suite);
}

/// What a server in Req-Sent says to a Configure-Request with these options.
fn answer(options: &[u8]) -> Frame {
    answer_of(&mut Bench::req_sent(), options)
}

fn answer_of(bench: &mut Bench, options: &[u8]) -> Frame {
    let mut sent = bench.hear(lcp(code::CONFIGURE_REQUEST, 1, options));
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

fn is_acked(options: &[u8]) {
    assert_eq!(answer(options), lcp(code::CONFIGURE_ACK, 1, options));
}

fn is_nakked(options: &[u8], proposed: &[u8]) {
    assert_eq!(answer(options), lcp(code::CONFIGURE_NAK, 1, proposed));
}

fn is_rejected(options: &[u8]) {
    assert_eq!(answer(options), lcp(code::CONFIGURE_REJECT, 1, options));
}

/// The peer answers our request with one option.
fn say(bench: &mut Bench, code: u8, kind: u8, data: &[u8]) {
    let id = bench.request.id();
    bench.hear(lcp(code, id, &opt(kind, data)));
}

fn lists(suite: &mut Suite) {
    for (case, options) in [
        (
            "a list with an option of length 0 is discarded",
            &[7, 0, 8, 2][..],
        ),
        (
            "a list with an option of length 1 is discarded",
            &[7, 1, 8, 2],
        ),
        (
            "a list with an option longer than the packet is discarded",
            &[7, 2, 1, 4, 5],
        ),
        (
            "a list with an option of length 255 and no data is discarded",
            &[7, 255],
        ),
        (
            "a list with half a header at its end is discarded",
            &[7, 2, 8],
        ),
    ] {
        suite.case("6", case, || {
            let mut bench = Bench::req_sent();
            assert_eq!(bench.hear(lcp(code::CONFIGURE_REQUEST, 1, options)), []);
        });
    }
    suite.case("6", "options may come in any order", || {
        for start in 0..5 {
            let mut options = [
                &[1, 4, 5, 0][..],
                &[2, 6, 0, 0, 0, 0],
                &[5, 6, 9, 8, 7, 6],
                &[7, 2],
                &[8, 2],
            ];
            options.rotate_left(start);
            is_acked(&options.concat());
        }
    });
    suite.case(
        "6",
        "an option that is there twice is taken as it stands there last",
        || {
            let mut bench = Bench::ack_rcvd();
            answer_of(&mut bench, &[1, 4, 5, 0, 1, 4, 4, 0]);
            assert_eq!(bench.link_options().peer_mru, 1024);
        },
    );
    for (name, kind, proposed) in [
        ("MRU", option::MRU, &[0x05, 0xdc][..]),
        ("Async-Control-Character-Map", option::ACCM, &[0; 4]),
        ("Protocol-Field-Compression", option::PFC, &[]),
        ("Address-and-Control-Field-Compression", option::ACFC, &[]),
    ] {
        suite.case(
            "6",
            format!("{name} of a wrong length is answered with a Nak of the right one"),
            || {
                for length in [0, 1, 2, 3, 4, 5, 253] {
                    if length != proposed.len() {
                        is_nakked(&opt(kind, &vec![1; length]), &opt(kind, proposed));
                    }
                }
            },
        );
    }
    suite.case(
        "6",
        "Magic-Number of a wrong length is answered with a Nak of the right one",
        || {
            for length in [0, 1, 3, 5, 253] {
                let nak = answer(&opt(option::MAGIC_NUMBER, &vec![1; length]));
                assert_eq!(nak.code(), code::CONFIGURE_NAK);
                let proposed = nak.option(option::MAGIC_NUMBER).unwrap();
                assert!(proposed.len() == 4 && proposed != [0; 4]);
            }
        },
    );
    suite.case(
        "6",
        "Authentication-Protocol of a wrong length is answered with a Nak",
        || {
            for data in [
                &[][..],
                &[0xc0],
                &[0xc0, 0x23, 0],
                &[0xc2, 0x23],
                &[0xc2, 0x23, 0x81, 0],
            ] {
                let mut bench = Bench::with(client_with(&[AuthMethod::Pap]));
                let nak = answer_of(&mut bench, &opt(option::AUTHENTICATION, data));
                assert_eq!(nak, lcp(code::CONFIGURE_NAK, 1, &opt(3, PAP)), "{data:?}");
            }
        },
    );
    suite.case(
        "RFC 1662 7.1",
        "any Async-Control-Character-Map is agreed to",
        || {
            for map in [[0; 4], [0xff; 4], [0, 0x0a, 0, 0]] {
                is_acked(&opt(option::ACCM, &map));
            }
        },
    );
    suite.case(
        "RFC 1662 7.1",
        "we do not ask for one: a tunnel escapes nothing",
        || {
            assert_eq!(Bench::req_sent().request.option(option::ACCM), None);
        },
    );
}

fn mru(suite: &mut Suite) {
    suite.case("6.1", "a peer that does not ask has an MRU of 1500", || {
        let mut bench = Bench::ack_rcvd();
        answer_of(&mut bench, &[]);
        assert_eq!(bench.link_options().peer_mru, 1500);
    });
    suite.case("6.1", "any MRU of 128 and more is agreed to", || {
        for mru in [128_u16, 129, 296, 576, 1400, 1500, 1501, 9000, 65535] {
            is_acked(&opt(option::MRU, &mru.to_be_bytes()));
        }
    });
    suite.case(
        "6.1",
        "deviation: an MRU below 128 is answered with a Nak of 128, because our own packets would \
         not fit it",
        || {
            for mru in [0_u16, 1, 64, 127] {
                is_nakked(&opt(option::MRU, &mru.to_be_bytes()), &[1, 4, 0, 128]);
            }
        },
    );
    suite.case(
        "6.1",
        "whatever MRU we asked for, frames of 1500 bytes are received",
        || {
            let mut bench = Bench::opened_with(Config {
                max_mru: 576,
                ..server()
            });
            for length in [576, 577, 1400, 1500] {
                let request = lcp(code::ECHO_REQUEST, 1, &vec![7; length - 4]);
                let answer = bench.hear(request);
                assert_eq!(answer[0].bytes.len(), length.min(1400));
            }
        },
    );
    suite.case(
        "6.1",
        "nothing that we send is larger than the peer's MRU",
        || {
            let mut bench = Bench::ack_rcvd();
            answer_of(&mut bench, &[1, 4, 0, 128]);
            bench.log_in();
            for frame in [
                lcp(code::ECHO_REQUEST, 1, &[7; 1000]),
                lcp(99, 1, &[7; 1000]),
                Frame::new(0x8029, [7; 1000]),
                Frame::new(0x8021, lcp(99, 1, &[7; 1000]).bytes),
            ] {
                let sent = bench.hear(frame);
                assert_eq!((sent.len(), sent[0].bytes.len()), (1, 128), "{sent:?}");
            }
        },
    );
    suite.case("6.1", "a Nak with a smaller MRU is followed", || {
        let mut bench = Bench::req_sent();
        say(&mut bench, code::CONFIGURE_NAK, option::MRU, &[4, 0]);
        assert_eq!(bench.request.option(option::MRU), Some(vec![4, 0]));
    });
    suite.case(
        "6.1",
        "a Nak with a larger MRU is not: the peer may send less",
        || {
            let mut bench = Bench::req_sent();
            say(&mut bench, code::CONFIGURE_NAK, option::MRU, &[5, 220]);
            assert_eq!(bench.request.option(option::MRU), Some(vec![5, 180]));
        },
    );
    suite.case(
        "6.1",
        "where the peer rejects ours, the default of 1500 holds",
        || {
            let mut bench = Bench::req_sent();
            say(&mut bench, code::CONFIGURE_REJECT, option::MRU, &[5, 180]);
            bench.open_lcp();
            let request = bench.log_in();
            bench.open_ipcp(&request);
            let ours = bench.log.iter().find_map(|command| match command {
                Command::NetworkUp { our_mru, .. } => Some(*our_mru),
                _ => None,
            });
            assert_eq!(ours, Some(1500));
        },
    );
}

fn authentication(suite: &mut Suite) {
    let all = [
        AuthMethod::Pap,
        AuthMethod::Chap,
        AuthMethod::MsChapV1,
        AuthMethod::MsChapV2,
    ];
    for (method, data) in all.into_iter().zip([PAP, CHAP_MD5, MS_CHAP_V1, MS_CHAP_V2]) {
        suite.case(
            "6.2",
            format!("a server asks for {method:?} in that protocol's words"),
            || {
                let bench = Bench::with(server_with(&[method]));
                assert_eq!(bench.request.option(option::AUTHENTICATION).unwrap(), data);
            },
        );
        suite.case(
            "6.2",
            format!("a client that has {method:?} agrees to it"),
            || {
                let mut bench = Bench::with(client_with(&[method]));
                let wish = opt(option::AUTHENTICATION, data);
                assert_eq!(
                    answer_of(&mut bench, &wish),
                    lcp(code::CONFIGURE_ACK, 1, &wish)
                );
            },
        );
    }
    suite.case(
        "6.2",
        "a request has one Authentication-Protocol, the strongest",
        || {
            let bench = Bench::with(server_with(&all));
            assert_eq!(bench.request.kinds(), [1, 3, 5, 7, 8]);
            assert_eq!(
                bench.request.option(option::AUTHENTICATION).unwrap(),
                MS_CHAP_V2
            );
        },
    );
    suite.case(
        "6.2",
        "a Nak with a protocol that we have too is followed",
        || {
            let mut bench = Bench::with(server_with(&all));
            say(&mut bench, code::CONFIGURE_NAK, option::AUTHENTICATION, PAP);
            assert_eq!(bench.request.option(option::AUTHENTICATION).unwrap(), PAP);
        },
    );
    suite.case(
        "6.2",
        "a Nak with one that we do not have brings the next of ours",
        || {
            let mut bench = Bench::with(server_with(&all));
            for next in [MS_CHAP_V1, CHAP_MD5, PAP] {
                say(&mut bench, code::CONFIGURE_NAK, option::AUTHENTICATION, EAP);
                assert_eq!(bench.request.option(option::AUTHENTICATION).unwrap(), next);
            }
        },
    );
    suite.case("6.2", "after a Nak to the last one the link ends", || {
        let mut bench = Bench::with(server_with(&[AuthMethod::Pap]));
        say(&mut bench, code::CONFIGURE_NAK, option::AUTHENTICATION, EAP);
        assert_eq!(bench.link.cause(), Some(Cause::NoCommonAuthentication));
    });
    suite.case(
        "6.2",
        "a client answers a protocol that it does not have with its best",
        || {
            let mut bench = Bench::with(client_with(&[AuthMethod::Pap, AuthMethod::MsChapV2]));
            for wanted in [EAP, CHAP_MD5, MS_CHAP_V1, &[0xc2, 0x25]] {
                let nak = answer_of(&mut bench, &opt(option::AUTHENTICATION, wanted));
                assert_eq!(nak, lcp(code::CONFIGURE_NAK, 1, &opt(3, MS_CHAP_V2)));
            }
        },
    );
    suite.case(
        "6.2",
        "a client proves itself by the protocol that was agreed on",
        || {
            let mut bench = Bench::with(client_with(&all));
            bench.hear_ack();
            let wish = [WISH, &opt(option::AUTHENTICATION, PAP)].concat();
            let sent = bench.hear(lcp(code::CONFIGURE_REQUEST, 1, &wish));
            assert_eq!(
                (sent[0].code(), sent[1].protocol),
                (code::CONFIGURE_ACK, 0xc023)
            );
            assert_eq!(sent[1].data(), [1, b'u', 1, b'p']);
        },
    );
    suite.case(
        "6.2",
        "a client does not ask the server to prove itself",
        || {
            let bench = Bench::with(client_with(&all));
            assert_eq!(bench.request.option(option::AUTHENTICATION), None);
        },
    );
    suite.case(
        "6.2",
        "deviation: a server rejects the wish that it prove itself, because it has no name and \
         password at the peer",
        || is_rejected(&opt(option::AUTHENTICATION, PAP)),
    );
    suite.case(
        "6.2",
        "deviation: a client leaves a server that asks for no proof, because then none comes from \
         the server either",
        || {
            let mut bench = Bench::with(client_with(&all));
            bench.hear_ack();
            bench.hear_wish();
            assert_eq!(bench.link.cause(), Some(Cause::NoCommonAuthentication));
        },
    );
}

fn quality(suite: &mut Suite) {
    suite.case(
        "6.3",
        "link quality is not monitored: Quality-Protocol is rejected",
        || {
            is_rejected(&opt(option::QUALITY, &[0xc0, 0x25, 0, 0, 0, 100]));
        },
    );
}

fn magic_number(suite: &mut Suite) {
    suite.case("6.4", "we ask for a magic number other than 0", || {
        assert_ne!(Bench::req_sent().magic(), [0; 4]);
    });
    suite.case("6.4", "each negotiation has its own", || {
        let mut bench = Bench::opened();
        let first = bench.magic();
        bench.hear_wish();
        assert_ne!(bench.magic(), first);
    });
    suite.case("6.4", "a retransmission has the same", || {
        let mut bench = Bench::req_sent();
        let first = bench.magic();
        bench.pass(crate::bench::RESTART * 3);
        assert_eq!(bench.magic(), first);
    });
    suite.case("6.4", "any other number of the peer is agreed to", || {
        for magic in [PEER_MAGIC, [0, 0, 0, 1], [0xff; 4]] {
            is_acked(&opt(option::MAGIC_NUMBER, &magic));
        }
    });
    suite.case("6.4", "0 is answered with a Nak of another number", || {
        let nak = answer(&opt(option::MAGIC_NUMBER, &[0; 4]));
        assert_eq!(nak.code(), code::CONFIGURE_NAK);
        assert_ne!(nak.option(option::MAGIC_NUMBER), Some(vec![0; 4]));
    });
    suite.case(
        "6.4",
        "our own number is answered with a Nak of another one",
        || {
            let mut bench = Bench::req_sent();
            let ours = bench.magic();
            let nak = answer_of(&mut bench, &opt(option::MAGIC_NUMBER, &ours));
            assert_eq!(nak.code(), code::CONFIGURE_NAK);
            assert_ne!(nak.option(option::MAGIC_NUMBER).unwrap(), ours);
        },
    );
    suite.case(
        "6.4",
        "a Nak has us draw a new number, and not take the peer's",
        || {
            let mut bench = Bench::req_sent();
            let first = bench.magic();
            say(
                &mut bench,
                code::CONFIGURE_NAK,
                option::MAGIC_NUMBER,
                &[1, 2, 3, 4],
            );
            assert_ne!(bench.magic(), first);
            assert_ne!(bench.magic(), [1, 2, 3, 4]);
        },
    );
    suite.case(
        "6.4",
        "a number of ours four times in a row is a loop, and ends the link",
        || {
            let mut bench = Bench::req_sent();
            let ours = bench.magic();
            for _ in 0..3 {
                assert_eq!(
                    answer_of(&mut bench, &opt(5, &ours)).code(),
                    code::CONFIGURE_NAK
                );
            }
            bench.hear(lcp(code::CONFIGURE_REQUEST, 1, &opt(5, &ours)));
            assert_eq!(bench.link.cause(), Some(Cause::LcpFailed));
        },
    );
    suite.case("6.4", "three times and then another is not", || {
        let mut bench = Bench::req_sent();
        let ours = bench.magic();
        for _ in 0..3 {
            for _ in 0..3 {
                answer_of(&mut bench, &opt(5, &ours));
            }
            assert_eq!(answer_of(&mut bench, WISH).code(), code::CONFIGURE_ACK);
        }
        assert_eq!(bench.link.cause(), None);
    });
}

/// Draws the same number first as its twin, and others after it.
struct Twin(bool, CountingEntropy);

impl Entropy for Twin {
    fn fill(&mut self, bytes: &mut [u8]) {
        if std::mem::take(&mut self.0) {
            bytes.fill(0x42);
        } else {
            self.1.fill(bytes);
        }
    }
}

fn loops(suite: &mut Suite) {
    suite.case(
        "6.4",
        "two ends that drew the same number by chance come to different ones",
        || {
            let mut one = Bench::with_entropy(server(), Twin(true, CountingEntropy(3)));
            let client = client_with(&[AuthMethod::Pap]);
            let mut other = Bench::with_entropy(client, Twin(true, CountingEntropy(90)));
            assert_eq!(one.magic(), other.magic());
            let mut to_other = vec![one.request.clone()];
            let mut to_one = vec![other.request.clone()];
            for _ in 0..20 {
                let answers = to_one.drain(..).flat_map(|frame| one.hear(frame)).collect();
                let sent: Vec<_> = to_other
                    .drain(..)
                    .flat_map(|frame| other.hear(frame))
                    .collect();
                (to_one, to_other) = (sent, answers);
            }
            assert!(one.network_is_up() && other.network_is_up());
            assert_ne!(one.link_options().magic, other.link_options().magic);
        },
    );
    for (case, config) in [
        ("a server that hears only itself ends the link", server()),
        (
            "a client that hears only itself ends the link",
            client_with(&[AuthMethod::Pap]),
        ),
    ] {
        suite.case("6.4", case, || {
            let mut bench = Bench::with(config);
            let mut frames = vec![bench.request.clone()];
            let mut heard = 0;
            while let Some(frame) = frames.pop() {
                heard += 1;
                assert!(heard < 50, "it never ends");
                frames.extend(bench.hear(frame));
            }
            assert!(bench.link.cause().is_some());
            assert!(
                !bench
                    .log
                    .iter()
                    .any(|command| matches!(command, Command::SetLink(l) if l.opened))
            );
        });
    }
}

fn compression(suite: &mut Suite) {
    for (options, acfc, pfc) in [
        (&[][..], false, false),
        (&[7, 2], false, true),
        (&[8, 2], true, false),
        (&[7, 2, 8, 2], true, true),
    ] {
        suite.case(
            if acfc { "6.6" } else { "6.5" },
            format!("a peer that asks for compression (PFC: {pfc}, ACFC: {acfc}) gets just that"),
            || {
                let mut bench = Bench::ack_rcvd();
                let answer = answer_of(&mut bench, options);
                assert_eq!(answer, lcp(code::CONFIGURE_ACK, 1, options));
                let agreed = bench.link_options();
                assert_eq!((agreed.acfc, agreed.pfc), (acfc, pfc));
            },
        );
    }
    suite.case("6.5", "each direction is agreed on by itself", || {
        let mut bench = Bench::req_sent();
        let id = bench.request.id();
        bench.hear(lcp(code::CONFIGURE_REJECT, id, &[7, 2, 8, 2]));
        bench.open_lcp();
        let agreed = bench.link_options();
        assert!(agreed.acfc && agreed.pfc);
    });
    suite.case(
        "6.5",
        "nothing is compressed any more once LCP left Opened",
        || {
            let mut bench = Bench::opened();
            bench.hear(lcp(code::CONFIGURE_REQUEST, 2, &opt(99, &[])));
            let agreed = bench.link_options();
            assert!(!agreed.acfc && !agreed.pfc && !agreed.opened);
        },
    );
}

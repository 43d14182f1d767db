//! RFC 1661 §2 and §5, RFC 1662 §3.1: how a frame and a packet are laid out.

use std::net::Ipv4Addr;

use greyhound_control::ppp::protocol;
use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::{LinkOptions, Tunnel};
use greyhound_datapath::session::Session;
use greyhound_datapath::wire::{gre, ppp};

use crate::bench::{Bench, Frame, WISH, code, lcp, packet};
use crate::suite::Suite;

pub(crate) fn cases(suite: &mut Suite) {
    protocol_field(suite);
    address_and_control(suite);
    packets(suite);
}

/// The protocol number and the information field of a frame, if it is one.
fn read(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let packet = ppp::Packet::new_checked(frame).ok()?;
    Some((packet.protocol(), packet.information().to_vec()))
}

/// What follows the GRE header of a control packet that a session sends.
fn written(link: LinkOptions, number: u16) -> Vec<u8> {
    let mut session = Session::new(Tunnel {
        ours: Ipv4Addr::new(192, 0, 2, 1),
        peer: Ipv4Addr::new(192, 0, 2, 2),
        call_id: CallId(1),
        peer_call_id: PeerCallId(2),
    });
    session.set_link(link);
    let mut out = [0; 64];
    let length = session.control(number, &[1, 2, 0, 4], &mut out).unwrap();
    let frame = gre::Packet::new_checked(&out[..length]).unwrap();
    frame.payload().to_vec()
}

const COMPRESSED: LinkOptions = LinkOptions {
    acfc: true,
    pfc: true,
    magic: 1,
    opened: true,
    rx_multilink: None,
    tx_multilink: None,
    peer_mru: 1500,
};

fn protocol_field(suite: &mut Suite) {
    suite.case(
        "2",
        "a protocol field of two octets: the first even, the second odd",
        || {
            assert_eq!(read(&[0xc0, 0x21, 1, 2]), Some((protocol::LCP, vec![1, 2])));
            assert_eq!(read(&[0x00, 0x21, 1, 2]), Some((protocol::IP, vec![1, 2])));
        },
    );
    suite.case("2", "an odd first octet is the whole field", || {
        for first in (1..=255).step_by(2).filter(|first| *first != 0xff) {
            assert_eq!(read(&[first, 9]), Some((u16::from(first), vec![9])));
        }
    });
    suite.case("2", "each number that can be one is read as such", || {
        for high in (0..=255).step_by(2) {
            for low in (1..=255).step_by(2) {
                let number = u16::from_be_bytes([high, low]);
                assert_eq!(read(&[high, low, 7]), Some((number, vec![7])));
            }
        }
    });
    suite.case(
        "2",
        "deviation: a field whose second octet is even, too, is dropped without Protocol-Reject, \
         because no protocol can have sent it",
        || {
            for high in (0..=255).step_by(2) {
                for low in (0..=255).step_by(2) {
                    assert_eq!(read(&[high, low, 7, 7]), None);
                }
            }
        },
    );
    suite.case(
        "2",
        "a frame that ends inside its protocol field is discarded",
        || {
            for frame in [
                &[][..],
                &[0xc0],
                &[0x00],
                &[0xff, 0x03],
                &[0xff, 0x03, 0xc0],
            ] {
                assert_eq!(read(frame), None);
            }
        },
    );
    suite.case("2", "the information field may be empty", || {
        assert_eq!(read(&[0xc0, 0x21]), Some((protocol::LCP, vec![])));
        assert_eq!(read(&[0x21]), Some((protocol::IP, vec![])));
    });
    suite.case(
        "6.5",
        "one octet and two are taken for the same number, agreed on or not",
        || {
            assert_eq!(read(&[0x21, 9]), read(&[0x00, 0x21, 9]));
            assert_eq!(
                read(&[0xff, 0x03, 0x21, 9]),
                read(&[0xff, 0x03, 0x00, 0x21, 9])
            );
        },
    );
    suite.case("6.5", "a number above 0xff always has two octets", || {
        for number in [protocol::IPCP, protocol::CCP, protocol::CHAP] {
            let [high, low] = number.to_be_bytes();
            assert_eq!(written(COMPRESSED, number), [high, low, 1, 2, 0, 4]);
        }
    });
    suite.case(
        "6.5",
        "nothing is compressed before the peer asked for it",
        || {
            let frame = written(LinkOptions::default(), protocol::IPCP);
            assert_eq!(frame, [0xff, 0x03, 0x80, 0x21, 1, 2, 0, 4]);
        },
    );
    suite.case(
        "6.5",
        "LCP packets are never compressed, whatever was agreed on",
        || {
            let frame = written(COMPRESSED, protocol::LCP);
            assert_eq!(frame, [0xff, 0x03, 0xc0, 0x21, 1, 2, 0, 4]);
        },
    );
    suite.case(
        "6.5",
        "a number below 0x100 has one octet where the peer asked for that",
        || {
            let header = ppp::Repr {
                protocol: protocol::IP,
                acfc: true,
                pfc: true,
            };
            let mut out = vec![0; header.buffer_len()];
            header.emit(&mut ppp::Packet::new_unchecked(&mut out));
            assert_eq!(out, [0x21]);
        },
    );
}

fn address_and_control(suite: &mut Suite) {
    let section = "RFC 1662 3.1";
    suite.case(
        section,
        "address 0xff and control 0x03 are taken off",
        || {
            assert_eq!(
                read(&[0xff, 0x03, 0xc0, 0x21, 5]),
                Some((protocol::LCP, vec![5]))
            );
        },
    );
    suite.case(
        section,
        "another control field behind 0xff is discarded",
        || {
            for control in (0..=255).filter(|control| *control != 0x03) {
                assert_eq!(read(&[0xff, control, 0xc0, 0x21, 5]), None, "{control:#x}");
            }
        },
    );
    suite.case(section, "0xff is never a protocol number", || {
        assert_eq!(read(&[0xff]), None);
        assert_eq!(read(&[0xff, 0x03, 0xff, 0x03]), None);
        assert_eq!(read(&[0xff, 0xff, 0xc0, 0x21]), None);
    });
    suite.case(
        section,
        "deviation: another address is not told from a protocol field, because frames without \
         address and control are taken before ACFC is agreed on",
        || {
            assert_eq!(
                read(&[0x0b, 0x03, 0xc0, 0x21]),
                Some((0x0b, vec![0x03, 0xc0, 0x21]))
            )
        },
    );
    suite.case(
        "6.6",
        "frames are taken with and without both fields, agreed on or not",
        || {
            assert_eq!(read(&[0xff, 0x03, 0xc0, 0x21, 5]), read(&[0xc0, 0x21, 5]));
        },
    );
    suite.case(
        "6.6",
        "both fields are sent until the peer asked for frames without",
        || {
            let agreed = LinkOptions {
                acfc: false,
                ..COMPRESSED
            };
            assert_eq!(
                written(agreed, protocol::IPCP)[..4],
                [0xff, 0x03, 0x80, 0x21]
            );
            assert_eq!(written(COMPRESSED, protocol::IPCP)[..2], [0x80, 0x21]);
        },
    );
}

fn packets(suite: &mut Suite) {
    suite.case("5", "a packet shorter than its header is discarded", || {
        let mut bench = Bench::opened();
        for length in 0..4 {
            assert_eq!(
                bench.hear(Frame::new(protocol::LCP, &[5, 1, 0, 4][..length])),
                []
            );
        }
        assert!(bench.answers_echo());
    });
    suite.case(
        "5",
        "a packet whose length field is below 4 is discarded",
        || {
            let mut bench = Bench::opened();
            for code in 0..=12 {
                for length in 0..4 {
                    let bytes = [&[code, 1, 0, length], WISH].concat();
                    assert_eq!(bench.hear(Frame::new(protocol::LCP, bytes)), []);
                }
            }
            assert!(bench.answers_echo());
        },
    );
    suite.case(
        "5",
        "a packet whose length field is beyond the frame is discarded",
        || {
            let mut bench = Bench::opened();
            for code in 0..=12 {
                for length in [5_u16, 256, 65535] {
                    let [high, low] = length.to_be_bytes();
                    assert_eq!(
                        bench.hear(Frame::new(protocol::LCP, [code, 1, high, low])),
                        []
                    );
                }
            }
            assert!(bench.answers_echo());
        },
    );
    suite.case(
        "5",
        "what follows the length is padding, and is ignored",
        || {
            let mut bench = Bench::req_sent();
            let padded =
                |bytes: &[u8]| Frame::new(protocol::LCP, [bytes, &[1, 2, 3, 0xff]].concat());
            let request = packet(code::CONFIGURE_REQUEST, 1, WISH);
            assert_eq!(
                bench.hear(padded(&request)),
                [lcp(code::CONFIGURE_ACK, 1, WISH)]
            );
            let ack = bench.request.with_code(code::CONFIGURE_ACK);
            bench.hear(padded(&ack.bytes));
            assert!(bench.answers_echo());
            let goodbye = packet(code::TERMINATE_REQUEST, 9, &[]);
            assert_eq!(
                bench.hear(padded(&goodbye)),
                [lcp(code::TERMINATE_ACK, 9, &[])]
            );
        },
    );
    suite.case("5", "every identifier is answered under itself", || {
        let mut bench = Bench::req_sent();
        for id in 0..=255 {
            let sent = bench.hear(lcp(code::CONFIGURE_REQUEST, id, &[7, 2]));
            assert_eq!(sent, [lcp(code::CONFIGURE_ACK, id, &[7, 2])]);
            let sent = bench.hear(lcp(code::CONFIGURE_REQUEST, id, &[99, 2]));
            assert_eq!(sent, [lcp(code::CONFIGURE_REJECT, id, &[99, 2])]);
        }
    });
    suite.case("5", "a packet may fill an MRU of 1500", || {
        let mut bench = Bench::opened();
        assert_eq!(bench.hear(lcp(code::DISCARD_REQUEST, 1, &[0; 1496])), []);
        let answer = bench.hear(lcp(code::TERMINATE_REQUEST, 1, &[0; 1496]));
        assert_eq!(answer, [lcp(code::TERMINATE_ACK, 1, &[])]);
    });
}

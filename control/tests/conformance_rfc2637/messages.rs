//! §1.4, §2: how messages stand in the TCP stream, and the fields they have in common.

use greyhound_control::cause::Cause;
use greyhound_control::pptp::wire::{
    CallClearRequest, CallDisconnectNotify, DisconnectResult, EchoRequest, GeneralError,
    IncomingCallConnected, IncomingCallReply, IncomingCallRequest, IncomingCallResult,
    OutgoingCallResult, Repr, SetLinkInfo, SimpleResult, StartResult, StopControlConnectionReply,
    StopControlConnectionRequest, StopReason, Text, WanErrorNotify,
};

use crate::bench::{
    Bench, call_reply, call_request, closed, echo_reply, one, sent, start_reply, start_request,
};
use crate::conformance::Suite;

/// Each of the fifteen, with the number of its section, its type and its length.
fn all() -> [(Repr, u16, usize); 15] {
    let none = GeneralError::None;
    [
        (start_request().into(), 1, 156),
        (start_reply(StartResult::Success).into(), 2, 156),
        (
            StopControlConnectionRequest {
                reason: StopReason::None,
            }
            .into(),
            3,
            16,
        ),
        (
            StopControlConnectionReply {
                result: SimpleResult::Ok,
                error: none,
            }
            .into(),
            4,
            16,
        ),
        (EchoRequest { identifier: 7 }.into(), 5, 16),
        (echo_reply(7).into(), 6, 20),
        (call_request(9).into(), 7, 168),
        (call_reply(OutgoingCallResult::Connected).into(), 8, 32),
        (incoming().into(), 9, 220),
        (
            IncomingCallReply {
                call_id: 1,
                peer_call_id: 2,
                result: IncomingCallResult::Connect,
                error: none,
                receive_window: 3,
                processing_delay: 0,
            }
            .into(),
            10,
            24,
        ),
        (
            IncomingCallConnected {
                peer_call_id: 2,
                connect_speed: 9600,
                receive_window: 3,
                processing_delay: 0,
                framing_type: 1,
            }
            .into(),
            11,
            28,
        ),
        (CallClearRequest { call_id: 5 }.into(), 12, 16),
        (
            CallDisconnectNotify {
                call_id: 5,
                result: DisconnectResult::Request,
                error: none,
                cause: 0,
                call_statistics: Text::default(),
            }
            .into(),
            13,
            148,
        ),
        (wan_error(1).into(), 14, 40),
        (
            SetLinkInfo {
                peer_call_id: 1,
                send_accm: 0,
                receive_accm: u32::MAX,
            }
            .into(),
            15,
            24,
        ),
    ]
}

pub(crate) fn incoming() -> IncomingCallRequest {
    IncomingCallRequest {
        call_id: 5,
        call_serial_number: 1,
        bearer_type: 1,
        physical_channel: 0,
        dialed_number_length: 0,
        dialing_number_length: 0,
        dialed_number: Text::default(),
        dialing_number: Text::default(),
        subaddress: Text::default(),
    }
}

pub(crate) fn wan_error(peer_call_id: u16) -> WanErrorNotify {
    WanErrorNotify {
        peer_call_id,
        crc_errors: 1,
        framing_errors: 2,
        hardware_overruns: 3,
        buffer_overruns: 4,
        timeout_errors: 5,
        alignment_errors: 6,
    }
}

/// A start request with these bytes changed.
fn broken(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = Repr::from(start_request()).to_bytes();
    for &(at, byte) in changes {
        bytes[at] = byte;
    }
    bytes
}

pub(crate) fn cases(suite: &mut Suite) {
    suite.case(
        "2.1-2.15",
        "each message has its type and its length",
        || {
            for (message, number, length) in all() {
                let bytes = message.to_bytes();
                assert_eq!(bytes.len(), length);
                assert_eq!(bytes[..2], u16::try_from(length).unwrap().to_be_bytes());
                assert_eq!(bytes[8..10], number.to_be_bytes());
            }
        },
    );
    suite.case("2.1-2.15", "each message reads as it was written", || {
        for (message, ..) in all() {
            assert_eq!(Repr::parse(&message.to_bytes()), Ok(message));
        }
    });
    suite.case(
        "2",
        "each message begins with type 1 and the magic cookie 1A2B3C4D",
        || {
            for (message, ..) in all() {
                assert_eq!(message.to_bytes()[2..8], [0, 1, 0x1a, 0x2b, 0x3c, 0x4d]);
            }
        },
    );
    suite.case("2", "reserved fields are sent as zero", || {
        for (message, ..) in all() {
            assert_eq!(message.to_bytes()[10..12], [0, 0]);
        }
    });
    suite.case("2", "reserved fields are ignored on receipt", || {
        let mut bench = Bench::server();
        assert_eq!(
            sent(&bench.hear_bytes(&broken(&[(10, 1), (11, 2), (14, 3), (15, 4)]))).len(),
            1
        );
        bench.assert_alive();
    });
    suite.case(
        "1.4",
        "a message may be cut into segments of one byte",
        || {
            let mut bench = Bench::server();
            let mut answers = Vec::new();
            for byte in Repr::from(start_request()).to_bytes() {
                answers.extend(bench.hear_bytes(&[byte]));
            }
            assert!(matches!(
                one(&answers),
                Repr::StartControlConnectionReply(_)
            ));
        },
    );
    suite.case("1.4", "a message may be cut anywhere", || {
        let bytes = Repr::from(start_request()).to_bytes();
        for cut in 1..bytes.len() {
            let mut bench = Bench::server();
            assert_eq!(bench.hear_bytes(&bytes[..cut]), []);
            assert_eq!(sent(&bench.hear_bytes(&bytes[cut..])).len(), 1, "{cut}");
        }
    });
    suite.case("1.4", "many messages may come in one segment", || {
        let mut bench = Bench::server();
        let mut bytes = Repr::from(start_request()).to_bytes();
        for identifier in 0..20 {
            bytes.extend(Repr::from(EchoRequest { identifier }).to_bytes());
        }
        let answers = sent(&bench.hear_bytes(&bytes));
        assert_eq!(answers.len(), 21);
        assert_eq!(answers[20], echo_reply(19).into());
    });
    suite.case(
        "1.4",
        "a segment may end one message and begin another",
        || {
            let mut bench = Bench::started();
            let echo = Repr::from(EchoRequest { identifier: 3 }).to_bytes();
            assert_eq!(bench.hear_bytes(&[&echo[..], &echo[..5]].concat()).len(), 1);
            assert_eq!(bench.hear_bytes(&echo[5..]).len(), 1);
        },
    );
    suite.case(
        "2",
        "a wrong magic cookie closes the connection at once",
        || {
            let mut bench = Bench::server();
            let commands = bench.hear_bytes(&broken(&[(4, 0)]));
            assert_eq!(closed(&commands), Some(Cause::ProtocolError));
            assert!(sent(&commands).is_empty());
            assert_eq!(bench.misbehaved("bad-cookie"), 1);
        },
    );
    suite.case(
        "2",
        "a length below the header's does not underflow",
        || {
            for length in 0..12 {
                let mut bench = Bench::server();
                let commands = bench.hear_bytes(&broken(&[(0, 0), (1, length)]));
                assert_eq!(closed(&commands), Some(Cause::ProtocolError), "{length}");
                assert_eq!(bench.misbehaved("bad-length"), 1);
            }
        },
    );
    suite.case(
        "2",
        "a length beyond every message's is not waited for",
        || {
            for length in [221_u16, 0x1000, 0xffff] {
                let [high, low] = length.to_be_bytes();
                let mut bench = Bench::server();
                let commands = bench.hear_bytes(&broken(&[(0, high), (1, low)]));
                assert_eq!(closed(&commands), Some(Cause::ProtocolError), "{length}");
            }
        },
    );
    suite.case(
        "2, 3",
        "a length that is another message's ends the connection in order",
        || {
            let mut bench = Bench::started();
            let mut echo = vec![0; 20];
            echo[..16].copy_from_slice(&Repr::from(EchoRequest { identifier: 3 }).to_bytes());
            echo[1] = 20;
            let commands = bench.hear_bytes(&echo);
            assert!(matches!(
                one(&commands),
                Repr::StopControlConnectionRequest(_)
            ));
            assert_eq!(bench.misbehaved("wrong-length"), 1);
        },
    );
    suite.case(
        "2",
        "a management message, type 2, is not understood",
        || {
            let mut bench = Bench::started();
            bench.hear_bytes(&broken(&[(3, 2)]));
            assert_eq!(bench.misbehaved("unknown-message-type"), 1);
        },
    );
    suite.case(
        "2",
        "a control message type that there is not is told apart",
        || {
            for number in [0, 16, 255] {
                let mut bench = Bench::started();
                bench.hear_bytes(&broken(&[(9, number)]));
                assert_eq!(bench.misbehaved("unknown-control-type"), 1, "{number}");
            }
        },
    );
    suite.case(
        "2.1",
        "a name of 64 characters without a zero behind it is read",
        || {
            let mut bench = Bench::server();
            let mut request = start_request();
            request.host_name = Text([b'x'; 64]);
            assert!(matches!(
                one(&bench.hear(request)),
                Repr::StartControlConnectionReply(_)
            ));
        },
    );
    suite.case("2", "half a message keeps nothing from its timeout", || {
        let mut bench = Bench::server();
        bench.hear_bytes(&broken(&[])[..155]);
        let commands = bench.wait(std::time::Duration::from_secs(15));
        assert_eq!(closed(&commands), Some(Cause::Timeout));
    });
}

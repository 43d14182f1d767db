use proptest::prelude::*;

use super::*;

/// Start-Control-Connection-Request of pptp-linux 1.10, captured.
fn start_request() -> (Vec<u8>, Repr) {
    let mut bytes = hex("009c00011a2b3c4d00010000010000000000000300000003ffff0001");
    bytes.extend(Text::<64>::from("local").0);
    bytes.extend(Text::<64>::from("cananian").0);
    let repr = StartControlConnectionRequest {
        version: 0x0100,
        framing_capabilities: 3,
        bearer_capabilities: 3,
        maximum_channels: 0xffff,
        firmware_revision: 1,
        host_name: "local".into(),
        vendor: "cananian".into(),
    };
    (bytes, repr.into())
}

/// Each message with its bytes. Those of pptp-linux 1.10 and pptpd 1.4 are captured; the others
/// are written down from the figures of RFC 2637 §2.
fn messages() -> Vec<(Vec<u8>, Repr)> {
    let mut start_reply = hex("009c00011a2b3c4d00020000010001000000000000000000000100016c6f63616c");
    start_reply.resize(92, 0);
    start_reply.extend(Text::<64>::from("linux").0);
    let mut call_request = hex("00a800011a2b3c4d000700003e2600000000096000989680");
    call_request.extend(hex("00000003000000030003000000000000"));
    call_request.resize(168, 0);
    let mut incoming = hex("00dc00011a2b3c4d000900000102030400000002000000050003000400000000");
    incoming[28..31].copy_from_slice(b"123");
    incoming.resize(92, 0);
    incoming.extend(b"4567");
    incoming.resize(220, 0);
    let mut notify = hex("009400011a2b3c4d000d0000010204030005000061");
    notify.resize(148, 0);
    vec![
        start_request(),
        (
            start_reply,
            StartControlConnectionReply {
                version: 0x0100,
                result: StartResult::Success,
                error: GeneralError::None,
                framing_capabilities: 0,
                bearer_capabilities: 0,
                maximum_channels: 1,
                firmware_revision: 1,
                host_name: "local".into(),
                vendor: "linux".into(),
            }
            .into(),
        ),
        (
            hex("001000011a2b3c4d0003000003000000"),
            StopControlConnectionRequest {
                reason: StopReason::LocalShutdown,
            }
            .into(),
        ),
        (
            hex("001000011a2b3c4d0004000001000000"),
            StopControlConnectionReply {
                result: SimpleResult::Ok,
                error: GeneralError::None,
            }
            .into(),
        ),
        (
            hex("001000011a2b3c4d0005000001020304"),
            EchoRequest {
                identifier: 0x0102_0304,
            }
            .into(),
        ),
        (
            hex("001400011a2b3c4d000600000102030401000000"),
            EchoReply {
                identifier: 0x0102_0304,
                result: SimpleResult::Ok,
                error: GeneralError::None,
            }
            .into(),
        ),
        (
            call_request,
            OutgoingCallRequest {
                call_id: 0x3e26,
                call_serial_number: 0,
                minimum_bps: 2400,
                maximum_bps: 10_000_000,
                bearer_type: 3,
                framing_type: 3,
                receive_window: 3,
                processing_delay: 0,
                phone_number_length: 0,
                phone_number: Text::default(),
                subaddress: Text::default(),
            }
            .into(),
        ),
        (
            hex("002000011a2b3c4d0008000000003e2601000000009896800003000000000000"),
            OutgoingCallReply {
                call_id: 0,
                peer_call_id: 0x3e26,
                result: OutgoingCallResult::Connected,
                error: GeneralError::None,
                cause: 0,
                connect_speed: 10_000_000,
                receive_window: 3,
                processing_delay: 0,
                physical_channel: 0,
            }
            .into(),
        ),
        (
            incoming,
            IncomingCallRequest {
                call_id: 0x0102,
                call_serial_number: 0x0304,
                bearer_type: 2,
                physical_channel: 5,
                dialed_number_length: 3,
                dialing_number_length: 4,
                dialed_number: "123".into(),
                dialing_number: "4567".into(),
                subaddress: Text::default(),
            }
            .into(),
        ),
        (
            hex("001800011a2b3c4d000a0000010203040205004000010000"),
            IncomingCallReply {
                call_id: 0x0102,
                peer_call_id: 0x0304,
                result: IncomingCallResult::GeneralError,
                error: GeneralError::BadCallId,
                receive_window: 64,
                processing_delay: 1,
            }
            .into(),
        ),
        (
            hex("001c00011a2b3c4d000b00000102000000989680000300010000000100"),
            IncomingCallConnected {
                peer_call_id: 0x0102,
                connect_speed: 10_000_000,
                receive_window: 3,
                processing_delay: 1,
                framing_type: 1,
            }
            .into(),
        ),
        (
            hex("001000011a2b3c4d000c00003e260000"),
            CallClearRequest { call_id: 0x3e26 }.into(),
        ),
        (
            notify,
            CallDisconnectNotify {
                call_id: 0x0102,
                result: DisconnectResult::Request,
                error: GeneralError::BadValue,
                cause: 5,
                call_statistics: "a".into(),
            }
            .into(),
        ),
        (
            hex(
                "002800011a2b3c4d000e00000102000000000001000000020000000300000004\
                 0000000500000006",
            ),
            WanErrorNotify {
                peer_call_id: 0x0102,
                crc_errors: 1,
                framing_errors: 2,
                hardware_overruns: 3,
                buffer_overruns: 4,
                timeout_errors: 5,
                alignment_errors: 6,
            }
            .into(),
        ),
        (
            hex("001800011a2b3c4d000f000001020000ffffffff00000000"),
            SetLinkInfo {
                peer_call_id: 0x0102,
                send_accm: 0xffff_ffff,
                receive_accm: 0,
            }
            .into(),
        ),
    ]
}

#[test]
fn each_message_parses_and_emits_to_the_byte() {
    for (mut bytes, repr) in messages() {
        bytes.truncate(repr.buffer_len());
        assert_eq!(Repr::parse(&bytes), Ok(repr), "{}", repr.name());
        assert_eq!(repr.to_bytes(), bytes, "{}", repr.name());
        assert_eq!(message_len(&bytes), Ok(Some(bytes.len())));
    }
}

#[test]
fn every_truncation_fails_and_waits_for_more() {
    for (_, repr) in messages() {
        let bytes = repr.to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Repr::parse(&bytes[..len]), Err(Error::WrongLength));
            let expected = (len >= 8).then_some(bytes.len());
            assert_eq!(message_len(&bytes[..len]), Ok(expected));
        }
    }
}

#[test]
fn emit_leaves_nothing_of_what_was_in_the_buffer() {
    for (_, repr) in messages() {
        let mut buffer = vec![0xff; repr.buffer_len()];
        repr.emit(&mut buffer);
        assert_eq!(buffer, repr.to_bytes());
    }
}

#[test]
fn reserved_fields_are_ignored() {
    let mut bytes = hex("001000011a2b3c4d000c00003e260000");
    bytes[10] = 0xff;
    bytes[15] = 0xff;
    let expected = CallClearRequest { call_id: 0x3e26 };
    assert_eq!(Repr::parse(&bytes), Ok(expected.into()));
}

#[test]
fn what_is_wrong_with_a_header_is_told_apart() {
    let good = hex("001000011a2b3c4d0005000001020304");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(Repr::parse(&with(7, 0x4e)), Err(Error::BadCookie));
    assert_eq!(Repr::parse(&with(3, 2)), Err(Error::UnknownMessageType));
    assert_eq!(Repr::parse(&with(9, 16)), Err(Error::UnknownControlType));
    assert_eq!(Repr::parse(&with(9, 0)), Err(Error::UnknownControlType));
    assert_eq!(Repr::parse(&with(9, 6)), Err(Error::WrongLength));
    assert_eq!(Repr::parse(&with(1, 17)), Err(Error::WrongLength));
}

#[test]
fn a_stream_out_of_step_shows_as_early_as_it_can() {
    assert_eq!(message_len(&[]), Ok(None));
    assert_eq!(message_len(&[0]), Ok(None));
    assert_eq!(message_len(&[0, 15]), Err(Error::BadLength));
    assert_eq!(message_len(&[0, 0]), Err(Error::BadLength));
    assert_eq!(message_len(&[0, 221]), Err(Error::BadLength));
    assert_eq!(message_len(&[0xff, 0xff]), Err(Error::BadLength));
    assert_eq!(message_len(b"\0\x10\0\x01GET "), Err(Error::BadCookie));
}

#[test]
fn unknown_codes_keep_their_number() {
    assert_eq!(
        OutgoingCallResult::from(99),
        OutgoingCallResult::Unknown(99)
    );
    for value in 0..=u8::MAX {
        assert_eq!(u8::from(GeneralError::from(value)), value);
        assert_eq!(u8::from(StartResult::from(value)), value);
        assert_eq!(u8::from(StopReason::from(value)), value);
        assert_eq!(u8::from(SimpleResult::from(value)), value);
        assert_eq!(u8::from(OutgoingCallResult::from(value)), value);
        assert_eq!(u8::from(IncomingCallResult::from(value)), value);
        assert_eq!(u8::from(DisconnectResult::from(value)), value);
    }
}

#[test]
fn texts_are_cut_at_their_size_and_end_at_the_first_zero() {
    assert_eq!(Text::<4>::from("abcdef").to_string_lossy(), "abcd");
    assert_eq!(Text::<4>(*b"a\0bc").to_string_lossy(), "a");
    assert_eq!(
        Text::<4>(*b"\xff\xffab").to_string_lossy(),
        "\u{fffd}\u{fffd}ab"
    );
}

proptest! {
    #[test]
    fn any_value_survives_the_wire(repr: Repr) {
        let bytes = repr.to_bytes();
        prop_assert_eq!(message_len(&bytes), Ok(Some(bytes.len())));
        prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
    }

    #[test]
    fn arbitrary_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = message_len(&bytes);
        let _ = Repr::parse(&bytes);
    }

    #[test]
    fn an_arbitrary_body_behind_a_good_header_parses_by_its_length(
        control_type in 0_u16..20,
        body in prop::collection::vec(any::<u8>(), 4..=208),
    ) {
        let len = u16::try_from(HEADER_LEN + body.len()).unwrap();
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend(hex("00011a2b3c4d"));
        bytes.extend(control_type.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(&body);
        match Repr::parse(&bytes) {
            Ok(repr) => prop_assert_eq!(repr.buffer_len(), bytes.len()),
            Err(Error::UnknownControlType) => prop_assert!(!(1..=15).contains(&control_type)),
            Err(error) => prop_assert_eq!(error, Error::WrongLength),
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

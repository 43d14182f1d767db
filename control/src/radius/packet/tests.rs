use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"xyzzy5461";
const RANDOM: [u8; 16] = [7; 16];

#[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
fn now() -> Instant {
    Instant::now()
}

fn text(kind: Kind, text: &str) -> Attribute {
    Attribute::text(kind, text)
}

fn build(code: Code, attributes: &[Attribute]) -> (Vec<u8>, [u8; 16]) {
    build_request(code, 9, attributes, SECRET, now(), RANDOM).unwrap()
}

/// The answer to `request`, as another program might make it: without Message-Authenticator.
fn bare_answer(code: u8, request: &[u8], attributes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(HEADER + attributes.len())
        .unwrap()
        .to_be_bytes();
    let mut answer = vec![code, request[1], len[0], len[1]];
    answer.extend(&request[4..HEADER]);
    answer.extend(attributes);
    let digest = Md5::new()
        .chain_update(&answer)
        .chain_update(SECRET)
        .finalize();
    answer[4..HEADER].copy_from_slice(&digest);
    answer
}

#[test]
fn a_request_begins_with_its_message_authenticator_and_says_the_rest_in_order() {
    let attributes = [
        text(kind::USER_NAME, "ann"),
        Attribute::address(kind::NAS_IP_ADDRESS, [192, 0, 2, 1].into()),
        Attribute::integer(kind::NAS_PORT, 258),
        text(kind::MIKROTIK_REALM, "home"),
    ];
    let (bytes, authenticator) = build(Code::AccessRequest, &attributes);
    assert_eq!(authenticator, RANDOM);
    let packet = Packet::new_checked(&bytes).unwrap();
    assert_eq!((packet.code(), packet.id()), (Code::AccessRequest, 9));
    let all: Vec<_> = packet.attributes().collect();
    assert_eq!(all[0].0, kind::MESSAGE_AUTHENTICATOR);
    assert_eq!(
        all[1..],
        [
            (kind::USER_NAME, &b"ann"[..]),
            (kind::NAS_IP_ADDRESS, &[192, 0, 2, 1]),
            (kind::NAS_PORT, &[0, 0, 1, 2]),
            (kind::MIKROTIK_REALM, b"home"),
        ]
    );
    assert_eq!(packet.check_message(&RANDOM, SECRET), Ok(()));
}

#[test]
fn a_request_that_is_no_question_about_a_user_is_signed_by_its_authenticator() {
    for code in [
        Code::AccountingRequest,
        Code::DisconnectRequest,
        Code::CoaRequest,
    ] {
        let (mut bytes, authenticator) = build(code, &[text(kind::USER_NAME, "ann")]);
        assert_ne!(authenticator, RANDOM);
        assert_eq!(verify_request(&bytes, SECRET), Ok(()));
        assert_eq!(verify_request(&bytes, b"other"), Err(Fault::Authenticator));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(verify_request(&bytes, SECRET), Err(Fault::Authenticator));
    }
}

#[test]
fn an_answer_is_believed_with_the_right_secret_to_the_right_request() {
    let (request, authenticator) = build(Code::AccessRequest, &[]);
    let view = Packet::new_checked(&request).unwrap();
    let answer = build_response(
        Code::AccessAccept,
        &view,
        &[text(kind::REPLY_MESSAGE, "hi")],
        SECRET,
    );
    let verify =
        |secret: &[u8], authenticator| verify_response(&answer, authenticator, secret, true);
    assert_eq!(verify(SECRET, &authenticator), Ok(()));
    assert_eq!(verify(b"other", &authenticator), Err(Fault::Authenticator));
    assert_eq!(verify(SECRET, &[8; 16]), Err(Fault::Authenticator));
}

#[test]
fn an_answer_about_a_user_has_a_message_authenticator_where_that_is_required() {
    let (request, authenticator) = build(Code::AccessRequest, &[]);
    for code in [2, 3, 11] {
        let answer = bare_answer(code, &request, &[]);
        let verify = |required| verify_response(&answer, &authenticator, SECRET, required);
        assert_eq!(verify(false), Ok(()));
        assert_eq!(verify(true), Err(Fault::NoMessageAuthenticator));
    }
    // One that is there is right, or nothing is.
    let wrong = [&[80, 18][..], &[1; 16]].concat();
    for (attributes, code) in [(&wrong[..], 2), (&wrong, 5), (&[80, 3, 1], 2)] {
        let answer = bare_answer(code, &request, attributes);
        let verified = verify_response(&answer, &authenticator, SECRET, false);
        assert_eq!(verified, Err(Fault::MessageAuthenticator));
    }
    let (request, authenticator) = build(Code::AccountingRequest, &[]);
    let answer = bare_answer(5, &request, &[]);
    assert_eq!(
        verify_response(&answer, &authenticator, SECRET, true),
        Ok(())
    );
}

#[test]
fn an_answer_says_what_a_proxy_left_in_the_request() {
    let proxy = |value: &[u8]| Attribute::octets(PROXY_STATE, value);
    let (request, authenticator) = build(Code::CoaRequest, &[proxy(b"one"), proxy(b"two")]);
    let view = Packet::new_checked(&request).unwrap();
    let cause = Attribute::integer(kind::ERROR_CAUSE, 503);
    let answer = build_response(Code::CoaNak, &view, &[cause], SECRET);
    assert_eq!(
        verify_response(&answer, &authenticator, SECRET, true),
        Ok(())
    );
    let answer = Packet::new_checked(&answer).unwrap();
    let said: Vec<_> = answer.attributes().skip(1).collect();
    let cause = (kind::ERROR_CAUSE, &503_u32.to_be_bytes()[..]);
    assert_eq!(said, [cause, (PROXY_STATE, b"one"), (PROXY_STATE, b"two")]);
}

#[test]
fn lengths_that_lead_nowhere_are_no_packet() {
    let (good, _) = build(Code::AccessRequest, &[text(kind::USER_NAME, "ann")]);
    assert!(Packet::new_checked(&good).is_ok());
    for len in 0..good.len() {
        assert!(Packet::new_checked(&good[..len]).is_err(), "{len}");
    }
    // What follows is none of it.
    let long = [&good[..], &[0; 9]].concat();
    assert_eq!(Packet::new_checked(&long).unwrap().attributes().count(), 2);
    for (at, byte) in [(0, 99), (2, 0xff), (3, 19), (21, 0), (21, 1), (21, 0xff)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(Packet::new_checked(&bad).is_err(), "{at} {byte}");
    }
}

#[test]
fn attributes_of_a_vendor_are_found_and_nonsense_of_one_is_left_out() {
    let with = |attributes: &[u8]| bare_answer(2, &[0; HEADER], attributes);
    let two = with(&[26, 12, 0, 0, 1, 55, 7, 3, b'x', 8, 3, b'y']);
    let found: Vec<_> = Packet::new_checked(&two).unwrap().attributes().collect();
    let kind = |number| Kind {
        vendor: 311,
        number,
    };
    assert_eq!(found, [(kind(7), &b"x"[..]), (kind(8), b"y")]);
    for nonsense in [
        &[26, 2][..],
        &[26, 5, 0, 0, 1],
        &[26, 8, 0, 0, 1, 55, 7, 1],
        &[26, 8, 0, 0, 1, 55, 7, 9],
    ] {
        let packet = with(nonsense);
        assert_eq!(
            Packet::new_checked(&packet).unwrap().attributes().count(),
            0
        );
    }
}

#[test]
fn what_is_too_long_is_cut_or_refused() {
    let long = "ä".repeat(200);
    let (bytes, _) = build(Code::AccessRequest, &[text(kind::USER_NAME, &long)]);
    let packet = Packet::new_checked(&bytes).unwrap();
    let (_, value) = packet.attributes().nth(1).unwrap();
    assert_eq!(value, "ä".repeat(126).as_bytes());
    let refuse = |attributes: &[Attribute]| {
        build_request(Code::AccessRequest, 1, attributes, SECRET, now(), RANDOM)
    };
    let octets = |len| Attribute::octets(kind::CLASS, vec![0; len]);
    assert!(refuse(&[octets(253)]).is_ok());
    assert_eq!(refuse(&[octets(254)]), Err(TooLong));
    assert_eq!(refuse(&vec![octets(253); 17]), Err(TooLong));
    let password = Value::Password(Zeroizing::new(vec![b'x'; 129]));
    let password = Attribute {
        kind: kind::USER_PASSWORD,
        value: password,
    };
    assert_eq!(refuse(&[password]), Err(TooLong));
    // An answer does without.
    let (request, authenticator) = build(Code::CoaRequest, &[]);
    let request = Packet::new_checked(&request).unwrap();
    let answer = build_response(Code::CoaAck, &request, &vec![octets(253); 17], SECRET);
    assert_eq!(
        verify_response(&answer, &authenticator, SECRET, true),
        Ok(())
    );
    let answer = Packet::new_checked(&answer).unwrap();
    assert_eq!(answer.attributes().count(), 1 + 15);
}

#[test]
fn time_that_has_passed_is_counted_when_the_packet_is_made() {
    let at = now();
    let elapsed = Attribute {
        kind: kind::ACCT_DELAY_TIME,
        value: Value::Elapsed {
            at,
            before: Duration::from_millis(2900),
        },
    };
    let later = at + Duration::from_millis(1200);
    let built = build_request(
        Code::AccountingRequest,
        1,
        &[elapsed],
        SECRET,
        later,
        RANDOM,
    );
    let (bytes, _) = built.unwrap();
    let packet = Packet::new_checked(&bytes).unwrap();
    assert_eq!(packet.attributes().nth(1).unwrap().1, [0, 0, 0, 4]);
}

#[test]
fn a_reply_finds_what_is_hidden_in_it_and_does_not_show_it() {
    let key = hide::hide_key(&[5; 16], [0x80, 1], SECRET, &RANDOM).unwrap();
    let reply = Reply::new(
        Code::AccessAccept,
        vec![
            (kind::MS_MPPE_SEND_KEY, key),
            (kind::SESSION_TIMEOUT, vec![0, 0, 1, 0]),
        ],
        RANDOM,
        SECRET,
    );
    assert_eq!(
        reply.salted(kind::MS_MPPE_SEND_KEY).unwrap().to_vec(),
        [5; 16]
    );
    let shown = format!("{reply:?}");
    assert!(
        shown.contains("Session-Timeout") && !shown.contains("xyzzy"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn whatever_comes_does_no_harm(bytes in vec(any::<u8>(), 0..200), authenticator: [u8; 16]) {
        let mut bytes = bytes;
        if let [_, _, high, low, ..] = &mut bytes[..] {
            *high = 0;
            *low %= 201;
        }
        if let Ok(packet) = Packet::new_checked(&bytes) {
            prop_assert!(packet.attributes().count() <= bytes.len());
        }
        prop_assert!(verify_response(&bytes, &authenticator, SECRET, true).is_err());
        prop_assert!(verify_request(&bytes, SECRET).is_err());
    }
}

use super::*;
use crate::radius::attribute::Value;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 3), 4000);
const TIME: u64 = 1_700_000_000;

#[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
fn now() -> Instant {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START
}

fn incoming() -> Incoming {
    let mut incoming = Incoming::new();
    let secret = |secret: &str| Zeroizing::new(secret.to_owned());
    incoming.configure(vec![
        (*SERVER.ip(), secret("secret")),
        (*SERVER.ip(), secret("other")),
    ]);
    incoming
}

fn user() -> Attribute {
    Attribute::text(kind::USER_NAME, "ann")
}

fn packet(code: Code, attributes: &[Attribute]) -> Vec<u8> {
    let built = packet::build_request(code, 7, attributes, b"secret", now(), [0; 16]);
    built.unwrap().0
}

fn disconnect(attributes: &[Attribute]) -> Vec<u8> {
    packet(Code::DisconnectRequest, attributes)
}

/// The request that it is.
#[track_caller]
fn request(incoming: &mut Incoming, bytes: &[u8]) -> Request {
    match incoming.handle(now(), TIME, SERVER, bytes) {
        Heard::Request(request) => *request,
        other @ (Heard::Nothing | Heard::Answer(_)) => panic!("{other:?}"),
    }
}

/// Code and Error-Cause of an answer.
fn told(answer: &[u8]) -> (Code, Option<u32>) {
    let packet = Packet::new_checked(answer).unwrap();
    let cause = Received::new(packet.attributes()).integer(kind::ERROR_CAUSE);
    (packet.code(), cause)
}

/// Why a CoA-Request about ann is refused at once.
#[track_caller]
fn refusal(attributes: &[Attribute]) -> Option<u32> {
    let attributes = [&[user()], attributes].concat();
    let bytes = packet(Code::CoaRequest, &attributes);
    match incoming().handle(now(), TIME, SERVER, &bytes) {
        Heard::Answer(answer) => {
            let (code, cause) = told(&answer);
            assert_eq!(code, Code::CoaNak);
            cause
        }
        Heard::Request(_) => None,
        Heard::Nothing => panic!("it was dropped"),
    }
}

fn call() -> Call {
    Call {
        identity: "nas".to_owned(),
        session_id: "81a00001deadbeef".to_owned(),
        port: 7,
        caller: [198, 51, 100, 1].into(),
        called: [192, 0, 2, 1].into(),
    }
}

#[test]
fn a_session_is_known_by_whatever_is_said_of_it_and_by_all_of_it() {
    let address = |octets: [u8; 4]| Attribute::address(kind::FRAMED_IP_ADDRESS, octets.into());
    let text = Attribute::text;
    let fits = |attributes: &[Attribute]| {
        let who = request(&mut incoming(), &disconnect(attributes)).who;
        who.fit(&call(), "ann", [10, 0, 0, 5].into(), "<pptp-ann>")
    };
    for right in [
        text(kind::ACCT_SESSION_ID, "81a00001deadbeef"),
        text(kind::ACCT_SESSION_ID, "0x81A00001DEADBEEF"),
        text(kind::USER_NAME, "ann"),
        Attribute::integer(kind::NAS_PORT, 7),
        text(kind::NAS_PORT_ID, "<pptp-ann>"),
        address([10, 0, 0, 5]),
        text(kind::CALLING_STATION_ID, "198.51.100.1"),
    ] {
        assert!(fits(std::slice::from_ref(&right)), "{right:?}");
        assert!(
            !fits(&[right.clone(), text(kind::USER_NAME, "bob")]) || right.kind == kind::USER_NAME
        );
    }
    for wrong in [
        text(kind::ACCT_SESSION_ID, "81a00001deadbee"),
        text(kind::USER_NAME, "Ann"),
        Attribute::integer(kind::NAS_PORT, 8),
        text(kind::NAS_PORT_ID, "<pptp-bob>"),
        address([10, 0, 0, 6]),
        text(kind::CALLING_STATION_ID, "198.51.100.2"),
    ] {
        assert!(!fits(std::slice::from_ref(&wrong)), "{wrong:?}");
    }
}

#[test]
fn a_request_that_names_no_session_or_another_concentrator_is_refused() {
    for attributes in [
        &[][..],
        &[Attribute::text(kind::NAS_IDENTIFIER, "nas")],
        &[Attribute::address(
            kind::FRAMED_IP_ADDRESS,
            [255, 255, 255, 254].into(),
        )],
    ] {
        let heard = incoming().handle(now(), TIME, SERVER, &disconnect(attributes));
        let Heard::Answer(answer) = heard else {
            panic!("{heard:?}")
        };
        assert_eq!(told(&answer), (Code::DisconnectNak, Some(402)));
    }
    let named = [user(), Attribute::text(kind::NAS_IDENTIFIER, "nas")];
    let who = request(&mut incoming(), &disconnect(&named)).who;
    assert!(who.is_for("nas", |_| false) && !who.is_for("other", |_| true));
    let here = Attribute::address(kind::NAS_IP_ADDRESS, [192, 0, 2, 1].into());
    let who = request(&mut incoming(), &disconnect(&[user(), here])).who;
    let ours = |octets: [u8; 4]| who.is_for("nas", |address| address.octets() == octets);
    assert!(ours([192, 0, 2, 1]) && !ours([192, 0, 2, 2]));
}

#[test]
fn what_is_changed_is_changed_and_the_rest_stays() {
    let attributes = [
        user(),
        Attribute::text(kind::MIKROTIK_RATE_LIMIT, "4M"),
        Attribute::integer(kind::SESSION_TIMEOUT, 90),
        Attribute::integer(kind::MIKROTIK_RECV_LIMIT_GIGAWORDS, 1),
    ];
    let request = request(&mut incoming(), &packet(Code::CoaRequest, &attributes));
    let Kind::Change(changes) = request.kind else {
        panic!("{request:?}")
    };
    let before = Grant {
        idle_timeout: Some(Duration::from_secs(5)),
        rate_limit: RateLimit::parse("1M").ok(),
        ..Grant::default()
    };
    let mut grant = before.clone();
    changes.apply(&mut grant);
    let after = Grant {
        rate_limit: RateLimit::parse("4M").ok(),
        session_timeout: Some(Duration::from_secs(90)),
        recv_limit: Some(1 << 32),
        ..before
    };
    assert_eq!(grant, after);
}

#[test]
fn a_timeout_of_nothing_is_none_of_radius() {
    let attributes = [
        user(),
        Attribute::integer(kind::SESSION_TIMEOUT, 0),
        Attribute::integer(kind::IDLE_TIMEOUT, 0),
    ];
    let request = request(&mut incoming(), &packet(Code::CoaRequest, &attributes));
    let Kind::Change(changes) = request.kind else {
        panic!("{request:?}")
    };
    let minute = Some(Duration::from_secs(60));
    let mut grant = Grant {
        session_timeout: minute,
        idle_timeout: minute,
        ..Grant::default()
    };
    changes.apply(&mut grant);
    assert_eq!(grant, Grant::default());
}

#[test]
fn what_cannot_be_changed_or_is_nonsense_is_refused_by_its_cause() {
    let text = Attribute::text;
    for fixed in [
        text(kind::FRAMED_POOL, "p"),
        text(kind::FRAMED_ROUTE, "10.0.0.0/8"),
        text(kind::FILTER_ID, "f.in"),
        text(kind::MIKROTIK_ADDRESS_LIST, "l"),
    ] {
        let with_others = [fixed, text(kind::MIKROTIK_RATE_LIMIT, "1M")];
        assert_eq!(refusal(&with_others), Some(401));
    }
    assert_eq!(
        refusal(&[text(kind::MIKROTIK_RATE_LIMIT, "fast")]),
        Some(407)
    );
    let short = Attribute {
        kind: kind::SESSION_TIMEOUT,
        value: Value::Octets(vec![1, 2]),
    };
    assert_eq!(refusal(&[short]), Some(404));
    assert_eq!(refusal(&[]), Some(402), "there is nothing to change");
    assert_eq!(refusal(&[text(kind::MIKROTIK_GROUP, "gold")]), None);
}

#[test]
fn strangers_and_forgeries_hear_nothing_and_are_counted() {
    let mut incoming = incoming();
    let good = disconnect(&[user()]);
    let stranger = SocketAddrV4::new([192, 0, 2, 9].into(), 4000);
    let mut forged = good.clone();
    forged[25] ^= 1;
    let question = packet(Code::AccountingRequest, &[user()]);
    for (from, bytes) in [
        (stranger, &good[..]),
        (SERVER, &forged),
        (SERVER, &question),
        (SERVER, &[]),
        (SERVER, &good[..19]),
    ] {
        let heard = incoming.handle(now(), TIME, from, bytes);
        assert!(matches!(heard, Heard::Nothing), "{heard:?}");
    }
    let counters = Counters {
        bad_requests: 5,
        ..Counters::default()
    };
    assert_eq!(incoming.counters(), counters);
}

#[test]
fn a_request_of_another_time_is_an_old_one() {
    let at = |time: u64| {
        let time = Attribute::integer(kind::EVENT_TIMESTAMP, u32::try_from(time).unwrap());
        let heard = incoming().handle(now(), TIME, SERVER, &disconnect(&[user(), time]));
        matches!(heard, Heard::Request(_))
    };
    assert!(at(TIME) && at(TIME - 300) && at(TIME + 300));
    assert!(!at(TIME - 301) && !at(TIME + 301));
}

#[test]
fn a_request_that_comes_again_is_answered_again_and_not_carried_out_again() {
    let mut incoming = incoming();
    let bytes = disconnect(&[user()]);
    let first = request(&mut incoming, &bytes);
    let answer = incoming.answer(now(), &first, Ok(()));
    assert_eq!(told(&answer), (Code::DisconnectAck, None));
    let again = incoming.handle(now(), TIME, SERVER, &bytes);
    assert!(matches!(again, Heard::Answer(again) if again == answer));
    let counters = Counters {
        requests: 2,
        acks: 1,
        ..Counters::default()
    };
    assert_eq!(incoming.counters(), counters);
    let elsewhere = SocketAddrV4::new(*SERVER.ip(), 4001);
    let replayed = incoming.handle(now(), TIME, elsewhere, &bytes);
    assert!(
        matches!(replayed, Heard::Answer(_)),
        "whatever port it comes from"
    );
    // Much later it is a new one, if it does not say when it was made.
    let later = incoming.handle(now() + KEPT, TIME, SERVER, &bytes);
    assert!(matches!(later, Heard::Request(_)));
}

#[test]
fn what_is_remembered_of_requests_has_an_end() {
    let mut incoming = incoming();
    for number in 0..u32::try_from(MAX_KEPT).unwrap() + 9 {
        let port = Attribute::integer(kind::NAS_PORT, number);
        let request = request(&mut incoming, &disconnect(&[port]));
        let cause = ErrorCause::SessionContextNotFound;
        let answer = incoming.answer(now(), &request, Err(cause));
        assert_eq!(told(&answer), (Code::DisconnectNak, Some(503)));
    }
    assert_eq!(incoming.answers.len(), MAX_KEPT);
    assert_eq!(incoming.ends.len(), MAX_KEPT);
}

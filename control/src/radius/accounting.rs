//! Accounting-Request (RFC 2866): what a record says on the wire.

use std::time::Instant;

use super::access;
use super::attribute::{Attribute, Kind, Value, kind};
use crate::accounting::{Authentic, Numbers, Occasion, Pending, Told};

/// What an Accounting-Request about `pending` says, whose age was read at `read_at`: it grows until
/// the packet is made.
#[must_use]
pub fn attributes(pending: &Pending, read_at: Instant) -> Vec<Attribute> {
    let mut attributes = match &pending.event {
        Occasion::Start(told) => of_session(START, told),
        Occasion::Interim(told, numbers) => {
            let mut attributes = of_session(INTERIM_UPDATE, told);
            attributes.extend(counters(numbers));
            attributes
        }
        Occasion::Stop(told, numbers, cause) => {
            let mut attributes = of_session(STOP, told);
            attributes.extend(counters(numbers));
            attributes.push(Attribute::integer(
                kind::ACCT_TERMINATE_CAUSE,
                cause.acct_terminate_cause(),
            ));
            attributes
        }
        Occasion::On(identity) => of_all(ACCOUNTING_ON, identity),
        Occasion::Off(identity) => of_all(ACCOUNTING_OFF, identity),
    };
    attributes.push(Attribute {
        kind: kind::ACCT_DELAY_TIME,
        value: Value::Elapsed {
            at: read_at,
            before: pending.age,
        },
    });
    attributes.push(Attribute::integer(
        kind::EVENT_TIMESTAMP,
        at_most(pending.timestamp),
    ));
    attributes
}

/// What every packet about a session says.
fn of_session(status: u32, told: &Told) -> Vec<Attribute> {
    let authentic = match told.authentic {
        Authentic::Radius => 1,
        Authentic::Local => 2,
    };
    let mut attributes = vec![
        Attribute::integer(kind::ACCT_STATUS_TYPE, status),
        Attribute::text(kind::USER_NAME, &*told.user),
    ];
    attributes.extend(access::of_call(
        &told.session_id,
        &told.identity,
        told.port,
        told.caller,
        told.called,
    ));
    attributes.extend([
        Attribute::text(kind::NAS_PORT_ID, &*told.interface),
        Attribute::address(kind::FRAMED_IP_ADDRESS, told.address),
        Attribute::integer(kind::ACCT_AUTHENTIC, authentic),
    ]);
    attributes.extend(
        told.classes
            .iter()
            .map(|class| Attribute::octets(kind::CLASS, &**class)),
    );
    attributes
}

/// About every session that there is, or was.
fn of_all(status: u32, identity: &str) -> Vec<Attribute> {
    vec![
        Attribute::integer(kind::ACCT_STATUS_TYPE, status),
        Attribute::text(kind::NAS_IDENTIFIER, identity),
    ]
}

/// What a session has moved. The upper halves of the bytes are there also where they are 0, so that
/// nobody needs to know what their absence means.
fn counters(numbers: &Numbers) -> [Attribute; 7] {
    let [input_gigawords, input_octets] = halves(numbers.rx_bytes);
    let [output_gigawords, output_octets] = halves(numbers.tx_bytes);
    let number = |kind: Kind, number: u32| Attribute::integer(kind, number);
    [
        number(kind::ACCT_SESSION_TIME, at_most(numbers.duration.as_secs())),
        number(kind::ACCT_INPUT_OCTETS, input_octets),
        number(kind::ACCT_INPUT_GIGAWORDS, input_gigawords),
        number(kind::ACCT_OUTPUT_OCTETS, output_octets),
        number(kind::ACCT_OUTPUT_GIGAWORDS, output_gigawords),
        // There is no upper half for packets: what is counted begins again, as a counter does.
        number(kind::ACCT_INPUT_PACKETS, halves(numbers.rx_packets)[1]),
        number(kind::ACCT_OUTPUT_PACKETS, halves(numbers.tx_packets)[1]),
    ]
}

/// The upper and the lower 32 bits.
fn halves(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

fn at_most(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Acct-Status-Type (RFC 2866 §5.1).
const START: u32 = 1;
const STOP: u32 = 2;
const INTERIM_UPDATE: u32 = 3;
const ACCOUNTING_ON: u32 = 7;
const ACCOUNTING_OFF: u32 = 8;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::cause::Cause;

    const AGE: Duration = Duration::from_secs(77);

    #[expect(clippy::disallowed_methods, reason = "any time will do")]
    fn now() -> Instant {
        Instant::now()
    }

    fn told() -> Box<Told> {
        Box::new(Told {
            session_id: "8f00c0de00000001".into(),
            identity: "edge1".into(),
            port: 12,
            user: "CORP\\alice".into(),
            caller: Ipv4Addr::new(198, 51, 100, 7),
            called: Ipv4Addr::new(192, 0, 2, 1),
            address: Ipv4Addr::new(10, 0, 0, 5),
            interface: "<pptp-alice>".into(),
            authentic: Authentic::Radius,
            classes: vec![b"one".to_vec(), vec![0, 255]],
        })
    }

    fn numbers() -> Numbers {
        Numbers {
            duration: Duration::from_millis(3_600_900),
            rx_bytes: (3 << 32) + 5,
            tx_bytes: 7,
            rx_packets: (1 << 32) + 11,
            tx_packets: 13,
        }
    }

    fn said(event: Occasion, read_at: Instant) -> Vec<Attribute> {
        let pending = Pending {
            id: 1,
            event,
            age: AGE,
            timestamp: 1_800_000_000,
        };
        attributes(&pending, read_at)
    }

    /// Each attribute in a line.
    fn lines(attributes: &[Attribute]) -> Vec<String> {
        let line = |attribute: &Attribute| format!("{} {:?}", attribute.kind, attribute.value);
        attributes.iter().map(line).collect()
    }

    const SESSION: [&str; 15] = [
        "User-Name \"CORP\\\\alice\"",
        "Service-Type 2",
        "Framed-Protocol 1",
        "NAS-Identifier \"edge1\"",
        "NAS-IP-Address 192.0.2.1",
        "NAS-Port 12",
        "NAS-Port-Type 5",
        "Calling-Station-Id \"198.51.100.7\"",
        "Called-Station-Id \"192.0.2.1\"",
        "Acct-Session-Id \"8f00c0de00000001\"",
        "NAS-Port-Id \"<pptp-alice>\"",
        "Framed-IP-Address 10.0.0.5",
        "Acct-Authentic 1",
        "Class 3 octets",
        "Class 2 octets",
    ];
    const COUNTERS: [&str; 7] = [
        "Acct-Session-Time 3600",
        "Acct-Input-Octets 5",
        "Acct-Input-Gigawords 3",
        "Acct-Output-Octets 7",
        "Acct-Output-Gigawords 0",
        "Acct-Input-Packets 11",
        "Acct-Output-Packets 13",
    ];
    const WHEN: [&str; 2] = ["Acct-Delay-Time 77s and more", "Event-Timestamp 1800000000"];

    #[test]
    fn a_start_says_who_is_where_and_since_when() {
        let attributes = said(Occasion::Start(told()), now());
        let expected = [&["Acct-Status-Type 1"][..], &SESSION, &WHEN].concat();
        assert_eq!(lines(&attributes), expected);
    }

    #[test]
    fn an_interim_update_adds_what_was_moved_with_input_from_the_client() {
        let attributes = said(Occasion::Interim(told(), numbers()), now());
        let expected = [&["Acct-Status-Type 3"][..], &SESSION, &COUNTERS, &WHEN].concat();
        assert_eq!(lines(&attributes), expected);
    }

    #[test]
    fn a_stop_adds_why() {
        let stop = Occasion::Stop(told(), numbers(), Cause::IdleTimeout);
        let expected = [
            &["Acct-Status-Type 2"][..],
            &SESSION,
            &COUNTERS,
            &["Acct-Terminate-Cause 4"],
            &WHEN,
        ]
        .concat();
        assert_eq!(lines(&said(stop, now())), expected);
    }

    #[test]
    fn gigawords_are_said_also_when_they_are_0() {
        let interim = Occasion::Interim(told(), Numbers::default());
        let lines = lines(&said(interim, now()));
        for line in ["Acct-Input-Gigawords 0", "Acct-Output-Gigawords 0"] {
            assert!(lines.iter().any(|said| said == line), "{line}");
        }
    }

    #[test]
    fn who_was_let_in_by_a_secret_is_said_to_be_local() {
        let told = Box::new(Told {
            authentic: Authentic::Local,
            classes: Vec::new(),
            ..*told()
        });
        let lines = lines(&said(Occasion::Start(told), now()));
        assert!(lines.contains(&"Acct-Authentic 2".to_owned()));
        assert!(!lines.iter().any(|line| line.starts_with("Class")));
    }

    #[test]
    fn accounting_on_and_off_are_about_no_session() {
        for (event, status) in [
            (Occasion::On("edge1".into()), "Acct-Status-Type 7"),
            (Occasion::Off("edge1".into()), "Acct-Status-Type 8"),
        ] {
            let expected = [&[status, "NAS-Identifier \"edge1\""][..], &WHEN].concat();
            assert_eq!(lines(&said(event, now())), expected);
        }
    }

    #[test]
    fn a_delay_goes_on_from_when_the_row_was_read() {
        let read_at = now();
        let attributes = said(Occasion::Start(told()), read_at);
        let delay = attributes
            .iter()
            .find(|attribute| attribute.kind == kind::ACCT_DELAY_TIME)
            .unwrap();
        let elapsed = Value::Elapsed {
            at: read_at,
            before: AGE,
        };
        assert_eq!(delay.value, elapsed);
    }
}

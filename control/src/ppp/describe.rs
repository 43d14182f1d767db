//! PPP control packets in words, for whoever looks for what goes wrong between two ends. Nothing
//! that proves who somebody is: no password, no challenge, no response.

use std::net::Ipv4Addr;

use super::chap::{self, Credentials, Value, pap};
use super::packet::{ConfigOption, Packet, code};
use super::{AuthMethod, ccp, ipcp, lcp, protocol};

/// A packet as lines: what it is, and for each option that it has one line more. A peer's own words
/// stand in them as they are.
#[must_use]
pub fn describe(protocol: u16, payload: &[u8]) -> Vec<String> {
    let Some(name) = protocol_name(protocol) else {
        return vec![format!(
            "protocol 0x{protocol:04x}, {} bytes",
            payload.len()
        )];
    };
    let Some(packet) = Packet::parse(payload) else {
        return vec![format!("{name} malformed, {} bytes", payload.len())];
    };
    let code = code_name(protocol, packet.code)
        .map_or_else(|| format!("code {}", packet.code), str::to_owned);
    let mut lines = vec![format!("{name} {code} id=0x{:x}", packet.id)];
    match detail(protocol, packet) {
        Detail::None => {}
        Detail::Text(text) => {
            lines[0].push(' ');
            lines[0].push_str(&text);
        }
        Detail::Options(Some(options)) => {
            let shown = options.iter().take(MOST_OPTIONS);
            lines.extend(shown.map(|option| format!("<{}>", option_text(protocol, option))));
            if options.len() > MOST_OPTIONS {
                lines.push(format!("{} more", options.len() - MOST_OPTIONS));
            }
        }
        Detail::Options(None) => lines.push("malformed options".to_owned()),
    }
    lines
}

/// What a packet says beyond its code.
enum Detail {
    None,
    Text(String),
    Options(Option<Vec<ConfigOption>>),
}

fn detail(protocol: u16, packet: Packet<'_>) -> Detail {
    let quoted = |bytes: &[u8]| Detail::Text(format!("\"{}\"", String::from_utf8_lossy(bytes)));
    match (protocol, packet.code) {
        (protocol::CHAP, chap::code::CHALLENGE | chap::code::RESPONSE) => {
            let value = Value::parse(packet.data);
            value.map_or(Detail::None, |value| quoted(value.name))
        }
        (protocol::PAP, pap::REQUEST) => {
            let credentials = Credentials::parse(packet.data);
            credentials.map_or(Detail::None, |one| quoted(one.name))
        }
        // What follows may prove that the server knows the password.
        (protocol::CHAP | protocol::PAP, _) => Detail::None,
        (
            _,
            code::CONFIGURE_REQUEST
            | code::CONFIGURE_ACK
            | code::CONFIGURE_NAK
            | code::CONFIGURE_REJECT,
        ) => Detail::Options(ConfigOption::parse_all(packet.data)),
        (_, code::TERMINATE_REQUEST | code::TERMINATE_ACK) if !packet.data.is_empty() => {
            quoted(packet.data)
        }
        (protocol::LCP, lcp::code::PROTOCOL_REJECT) => match packet.data {
            &[high, low, ..] => {
                let rejected = u16::from_be_bytes([high, low]);
                Detail::Text(format!("protocol 0x{rejected:04x}"))
            }
            _ => Detail::None,
        },
        (protocol::LCP, lcp::code::ECHO_REQUEST | lcp::code::ECHO_REPLY) => {
            match packet.data.first_chunk() {
                Some(&magic) => Detail::Text(format!("magic=0x{:x}", u32::from_be_bytes(magic))),
                None => Detail::None,
            }
        }
        (_, _) => Detail::None,
    }
}

const fn protocol_name(protocol: u16) -> Option<&'static str> {
    Some(match protocol {
        protocol::LCP => "LCP",
        protocol::PAP => "PAP",
        protocol::CHAP => "CHAP",
        protocol::CCP => "CCP",
        protocol::IPCP => "IPCP",
        protocol::IPV6CP => "IPV6CP",
        _ => return None,
    })
}

const fn code_name(protocol: u16, code: u8) -> Option<&'static str> {
    Some(match (protocol, code) {
        (protocol::CHAP, chap::code::CHALLENGE) => "Challenge",
        (protocol::CHAP, chap::code::RESPONSE) => "Response",
        (protocol::CHAP, chap::code::SUCCESS) => "Success",
        (protocol::CHAP, chap::code::FAILURE) => "Failure",
        (protocol::PAP, pap::REQUEST) => "AuthReq",
        (protocol::PAP, pap::ACK) => "AuthAck",
        (protocol::PAP, pap::NAK) => "AuthNak",
        (protocol::CHAP | protocol::PAP, _) => return None,
        (_, code::CONFIGURE_REQUEST) => "ConfReq",
        (_, code::CONFIGURE_ACK) => "ConfAck",
        (_, code::CONFIGURE_NAK) => "ConfNak",
        (_, code::CONFIGURE_REJECT) => "ConfRej",
        (_, code::TERMINATE_REQUEST) => "TermReq",
        (_, code::TERMINATE_ACK) => "TermAck",
        (_, code::CODE_REJECT) => "CodeRej",
        (protocol::LCP, lcp::code::PROTOCOL_REJECT) => "ProtRej",
        (protocol::LCP, lcp::code::ECHO_REQUEST) => "EchoReq",
        (protocol::LCP, lcp::code::ECHO_REPLY) => "EchoRep",
        (protocol::LCP, lcp::code::DISCARD_REQUEST) => "DiscReq",
        (protocol::LCP, lcp::code::IDENTIFICATION) => "Ident",
        (protocol::LCP, lcp::code::TIME_REMAINING) => "TimeRem",
        (protocol::CCP, ccp::RESET_REQUEST) => "ResetReq",
        (protocol::CCP, ccp::RESET_ACK) => "ResetAck",
        (_, _) => return None,
    })
}

fn option_text(protocol: u16, option: &ConfigOption) -> String {
    let number = option.u16();
    let long = option.u32();
    match (protocol, option.kind, number, long) {
        (protocol::LCP, lcp::option::MRU, Some(mru), _) => format!("mru {mru}"),
        (protocol::LCP, lcp::option::MRRU, Some(mrru), _) => format!("mrru {mrru}"),
        (protocol::LCP, lcp::option::ACCM, _, Some(map)) => format!("accm 0x{map:x}"),
        (protocol::LCP, lcp::option::MAGIC_NUMBER, _, Some(magic)) => format!("magic 0x{magic:x}"),
        (protocol::LCP, lcp::option::AUTHENTICATION, _, _) => authentication_text(&option.data),
        (protocol::LCP, lcp::option::PFC, _, _) => "pcomp".to_owned(),
        (protocol::LCP, lcp::option::ACFC, _, _) => "accomp".to_owned(),
        (protocol::LCP, lcp::option::SHORT_SEQUENCE_NUMBERS, _, _) => "ssnhf".to_owned(),
        (protocol::LCP, lcp::option::ENDPOINT_DISCRIMINATOR, _, _) => {
            format!("endpoint{}", hex(&option.data))
        }
        (protocol::IPCP, ipcp::IP_ADDRESS, _, Some(address)) => {
            format!("addr {}", Ipv4Addr::from_bits(address))
        }
        (protocol::IPCP, kind, _, Some(address)) if server_name(kind).is_some() => {
            let name = server_name(kind).unwrap_or_default();
            format!("{name} {}", Ipv4Addr::from_bits(address))
        }
        (protocol::CCP, ccp::MPPE, _, Some(bits)) => mppe_text(bits),
        (_, kind, _, _) => format!("option {kind}{}", hex(&option.data)),
    }
}

fn authentication_text(data: &[u8]) -> String {
    let methods = [
        (AuthMethod::Pap, "pap"),
        (AuthMethod::Chap, "chap"),
        (AuthMethod::MsChapV1, "mschap1"),
        (AuthMethod::MsChapV2, "mschap2"),
    ];
    let known = lcp::method_of(data);
    let name = methods.iter().find(|(method, _)| known == Some(*method));
    name.map_or_else(
        || format!("auth{}", hex(data)),
        |(_, name)| format!("auth {name}"),
    )
}

/// RFC 1877 §1.1-1.4.
const fn server_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        129 => "dns1",
        130 => "wins1",
        131 => "dns2",
        132 => "wins2",
        _ => return None,
    })
}

/// The bits of RFC 3078 §2.1, by their letters.
fn mppe_text(bits: u32) -> String {
    let letters = [
        (0x0100_0000, "H"),
        (0x80, "M"),
        (0x40, "S"),
        (0x20, "L"),
        (0x10, "D"),
        (0x01, "C"),
    ];
    let mut text = "mppe".to_owned();
    for (bit, letter) in letters {
        let sign = if bits & bit == 0 { '-' } else { '+' };
        text.push(' ');
        text.push(sign);
        text.push_str(letter);
    }
    text
}

/// Bytes behind a space, and no space where there are none.
fn hex(data: &[u8]) -> String {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    if digits.is_empty() {
        digits
    } else {
        format!(" {digits}")
    }
}

/// A peer may send hundreds of options of two bytes.
const MOST_OPTIONS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(protocol: u16, payload: &[u8], expected: &[&str]) {
        assert_eq!(describe(protocol, payload), expected);
    }

    #[test]
    fn options_are_told_each_by_itself() {
        // pppd's first LCP Configure-Request, from a capture.
        let request = [
            0x01, 0x01, 0x00, 0x18, 0x01, 0x04, 0x05, 0x78, 0x02, 0x06, 0x00, 0x00, 0x00, 0x00,
            0x05, 0x06, 0x18, 0x42, 0x13, 0xc1, 0x07, 0x02, 0x08, 0x02,
        ];
        let expected = [
            "LCP ConfReq id=0x1",
            "<mru 1400>",
            "<accm 0x0>",
            "<magic 0x184213c1>",
            "<pcomp>",
            "<accomp>",
        ];
        check(protocol::LCP, &request, &expected);
        let nak = [3, 0x1f, 0, 9, 3, 5, 0xc2, 0x23, 0x81];
        check(
            protocol::LCP,
            &nak,
            &["LCP ConfNak id=0x1f", "<auth mschap2>"],
        );
        let request = [1, 2, 0, 16, 3, 6, 10, 0, 0, 5, 129, 6, 9, 9, 9, 9];
        let expected = ["IPCP ConfReq id=0x2", "<addr 10.0.0.5>", "<dns1 9.9.9.9>"];
        check(protocol::IPCP, &request, &expected);
        let request = [1, 3, 0, 12, 18, 6, 1, 0, 0, 0x40, 99, 2];
        let expected = [
            "CCP ConfReq id=0x3",
            "<mppe +H -M +S -L -D -C>",
            "<option 99>",
        ];
        check(protocol::CCP, &request, &expected);
    }

    #[test]
    fn nothing_that_proves_who_somebody_is_is_told() {
        let response = b"\x02\x07\x00\x0b\x03key ann";
        check(
            protocol::CHAP,
            &response[..11],
            &["CHAP Response id=0x7 \" an\""],
        );
        let request = b"\x01\x07\x00\x0f\x03ann\x06secret";
        check(protocol::PAP, request, &["PAP AuthReq id=0x7 \"ann\""]);
        check(
            protocol::CHAP,
            b"\x03\x07\x00\x08S=01",
            &["CHAP Success id=0x7"],
        );
    }

    #[test]
    fn what_is_not_understood_is_told_in_short() {
        check(0x8281, &[1, 2, 0, 4], &["protocol 0x8281, 4 bytes"]);
        check(protocol::LCP, &[1, 2], &["LCP malformed, 2 bytes"]);
        check(protocol::LCP, &[77, 2, 0, 4], &["LCP code 77 id=0x2"]);
        check(
            protocol::LCP,
            &[1, 2, 0, 6, 1, 9],
            &["LCP ConfReq id=0x2", "malformed options"],
        );
        check(
            protocol::LCP,
            &[8, 2, 0, 6, 0x80, 0x57],
            &["LCP ProtRej id=0x2 protocol 0x8057"],
        );
        check(
            protocol::LCP,
            b"\x05\x02\x00\x07bye",
            &["LCP TermReq id=0x2 \"bye\""],
        );
    }

    #[test]
    fn a_packet_full_of_options_does_not_fill_the_log() {
        let mut packet = vec![1, 2, 0x05, 0x00];
        packet.resize(0x500, 2);
        let lines = describe(protocol::LCP, &packet);
        assert_eq!(lines.len(), 1 + MOST_OPTIONS + 1);
        assert_eq!(lines.last().unwrap(), "606 more");
    }

    proptest! {
        #[test]
        fn no_packet_panics(protocol: u16, payload: Vec<u8>) {
            prop_assert!(!describe(protocol, &payload).is_empty());
        }

        #[test]
        fn no_packet_of_a_known_protocol_panics(
            protocol in prop::sample::select(vec![0xc021_u16, 0xc023, 0xc223, 0x80fd, 0x8021, 0x8057]),
            code in 0..20_u8,
            data: Vec<u8>,
        ) {
            let payload = Packet { code, id: 1, data: &data }.emit();
            prop_assert!(!describe(protocol, &payload).is_empty());
        }
    }
}

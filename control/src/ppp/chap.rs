//! The packets of CHAP (RFC 1994 §4), which MS-CHAP shares, and of PAP (RFC 1334 §2.2).

/// RFC 1994 §4.
pub(super) mod code {
    pub(crate) const CHALLENGE: u8 = 1;
    pub(crate) const RESPONSE: u8 = 2;
    pub(crate) const SUCCESS: u8 = 3;
    pub(crate) const FAILURE: u8 = 4;
}

/// RFC 1334 §2.2.
pub(super) mod pap {
    pub(crate) const REQUEST: u8 = 1;
    pub(crate) const ACK: u8 = 2;
    pub(crate) const NAK: u8 = 3;
}

/// The data of a Challenge or Response: a value behind its length, and the sender's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) value: &'a [u8],
    pub(super) name: &'a [u8],
}

impl<'a> Value<'a> {
    /// `None` if the value is empty or cut off, or the name is beyond what any user has.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (value, name) = prefixed(data)?;
        let fits = !value.is_empty() && name.len() <= MAX_NAME_BYTES;
        fits.then_some(Self { value, name })
    }

    /// The bytes; `value` is at most 255.
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut data = prefix(self.value);
        data.extend(self.name);
        data
    }
}

/// The data of PAP's Authenticate-Request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Credentials<'a> {
    pub(super) name: &'a [u8],
    pub(super) password: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// `None` if one of them is cut off.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (name, rest) = prefixed(data)?;
        let (password, _) = prefixed(rest)?;
        Some(Self { name, password })
    }

    /// The bytes; name and password are at most 255 each.
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut data = prefix(self.name);
        data.extend(prefix(self.password));
        data
    }
}

/// The data of PAP's Ack and Nak: a text behind its length.
pub(super) fn pap_message(text: &str) -> Vec<u8> {
    prefix(text.as_bytes())
}

/// What of a text a peer can be shown in one line: without anything that controls a terminal, and
/// at most 200 bytes, which every method has room for.
pub(super) fn displayable(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    let mut shown = String::new();
    for letter in line.trim().chars() {
        if shown.len() + letter.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        shown.push(letter);
    }
    shown
}

/// Splits what stands behind its length from the rest.
fn prefixed(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(length))
}

fn prefix(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    let mut data = vec![length];
    data.extend(&bytes[..usize::from(length)]);
    data
}

/// RFC 2759 §4: a name has up to 256 characters.
const MAX_NAME_BYTES: usize = 256;
/// PAP has room for 255 (RFC 1334 §2.2.2), and MS-CHAPv2 puts its text behind 53 bytes of its own.
const MAX_TEXT_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The Challenge of pptpd's pppd, from a capture.
    const CHALLENGE: &[u8] =
        b"\x10\x7d\x43\xe1\x4c\xaa\x46\x41\xac\x6d\xd4\x9b\x00\xaa\x40\x82\xaapptpd";

    #[test]
    fn a_captured_challenge_reads_and_writes() {
        let challenge = Value::parse(CHALLENGE).unwrap();
        assert_eq!(challenge.value.len(), 16);
        assert_eq!(challenge.name, b"pptpd");
        assert_eq!(challenge.emit(), CHALLENGE);
    }

    #[test]
    fn a_captured_pap_request_reads_and_writes() {
        let request = Credentials::parse(b"\x05User1\x0cStrongPass-1").unwrap();
        assert_eq!(request.name, b"User1");
        assert_eq!(request.password, b"StrongPass-1");
        assert_eq!(request.emit(), b"\x05User1\x0cStrongPass-1");
    }

    #[test]
    fn what_is_cut_off_is_none() {
        for length in 0..=16 {
            assert_eq!(Value::parse(&CHALLENGE[..length]), None);
        }
        for length in 0..18 {
            assert!(Credentials::parse(&b"\x05User1\x0cStrongPass-1"[..length]).is_none());
        }
        assert_eq!(Value::parse(b"\x00pptpd"), None);
    }

    #[test]
    fn a_text_to_be_shown_is_one_printable_line_of_200_bytes() {
        assert_eq!(
            displayable("Kein Guthaben für Müller"),
            "Kein Guthaben für Müller"
        );
        assert_eq!(
            displayable(" one\r\ntwo\x1b[2J\0three\n"),
            "one  two [2J three"
        );
        assert_eq!(displayable(" \r\n"), "");
        assert_eq!(displayable(&"x".repeat(1000)), "x".repeat(200));
        assert_eq!(
            displayable(&"€".repeat(1000)),
            "€".repeat(66),
            "in whole letters"
        );
    }

    proptest! {
        #[test]
        fn values_survive_the_wire(
            value in proptest::collection::vec(any::<u8>(), 1..=255),
            name in proptest::collection::vec(any::<u8>(), 0..=256),
        ) {
            let packet = Value { value: &value, name: &name };
            let bytes = packet.emit();
            prop_assert_eq!(Value::parse(&bytes), Some(packet));
        }

        #[test]
        fn any_bytes_parse_without_panic(bytes: Vec<u8>) {
            let _ = Value::parse(&bytes);
            let _ = Credentials::parse(&bytes);
        }
    }
}

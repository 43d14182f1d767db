//! What a packet is made of: attributes, each a kind and a value.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// Which attribute: its number, of a vendor if it is not one of the RFCs' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The vendor's number (RFC 2865 §5.26); 0 is none.
    pub vendor: u32,
    /// The number, the vendor's own if there is one.
    pub number: u8,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (kind::known(*self), self.vendor) {
            (Some((name, _)), _) => f.write_str(name),
            (None, 0) => write!(f, "attribute {}", self.number),
            (None, vendor) => write!(f, "attribute {} of vendor {vendor}", self.number),
        }
    }
}

/// What the value of an attribute is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTF-8.
    Text,
    /// Bytes.
    Octets,
    /// 32 bits.
    Integer,
    /// An IPv4 address.
    Address,
}

/// What is wrong with an attribute that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} has {length} bytes instead of 4")]
pub struct WrongLength {
    /// Which.
    pub kind: Kind,
    /// How many bytes its value has.
    pub length: usize,
}

impl Kind {
    /// Checks the length of a value that came: that of a number or an address has 4 bytes. Of what
    /// is not known any is right.
    ///
    /// # Errors
    /// [`WrongLength`].
    pub fn check(self, value: &[u8]) -> Result<(), WrongLength> {
        let is_right = match kind::known(self) {
            Some((_, Form::Integer | Form::Address)) => value.len() == 4,
            Some((_, Form::Text | Form::Octets)) | None => true,
        };
        is_right.then_some(()).ok_or(WrongLength {
            kind: self,
            length: value.len(),
        })
    }
}

macro_rules! kinds {
    ($($vendor:literal { $($constant:ident = $number:literal, $name:literal, $form:ident;)+ })+) => {
        /// The attributes that are said or understood here.
        pub mod kind {
            use super::{Form, Kind};

            $($(
                #[doc = $name]
                pub const $constant: Kind = Kind { vendor: $vendor, number: $number };
            )+)+

            /// All of them, each with its name and its form.
            pub const ALL: &[(Kind, &str, Form)] =
                &[$($(($constant, $name, Form::$form),)+)+];

            /// The name and the form of one.
            pub(super) const fn known(kind: Kind) -> Option<(&'static str, Form)> {
                match kind {
                    $($($constant => Some(($name, Form::$form)),)+)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    0 {
        USER_NAME = 1, "User-Name", Text;
        USER_PASSWORD = 2, "User-Password", Text;
        CHAP_PASSWORD = 3, "CHAP-Password", Octets;
        NAS_IP_ADDRESS = 4, "NAS-IP-Address", Address;
        NAS_PORT = 5, "NAS-Port", Integer;
        SERVICE_TYPE = 6, "Service-Type", Integer;
        FRAMED_PROTOCOL = 7, "Framed-Protocol", Integer;
        FRAMED_IP_ADDRESS = 8, "Framed-IP-Address", Address;
        FRAMED_IP_NETMASK = 9, "Framed-IP-Netmask", Address;
        FILTER_ID = 11, "Filter-Id", Text;
        REPLY_MESSAGE = 18, "Reply-Message", Text;
        FRAMED_ROUTE = 22, "Framed-Route", Text;
        STATE = 24, "State", Octets;
        CLASS = 25, "Class", Octets;
        SESSION_TIMEOUT = 27, "Session-Timeout", Integer;
        IDLE_TIMEOUT = 28, "Idle-Timeout", Integer;
        CALLED_STATION_ID = 30, "Called-Station-Id", Text;
        CALLING_STATION_ID = 31, "Calling-Station-Id", Text;
        NAS_IDENTIFIER = 32, "NAS-Identifier", Text;
        ACCT_STATUS_TYPE = 40, "Acct-Status-Type", Integer;
        ACCT_DELAY_TIME = 41, "Acct-Delay-Time", Integer;
        ACCT_INPUT_OCTETS = 42, "Acct-Input-Octets", Integer;
        ACCT_OUTPUT_OCTETS = 43, "Acct-Output-Octets", Integer;
        ACCT_SESSION_ID = 44, "Acct-Session-Id", Text;
        ACCT_AUTHENTIC = 45, "Acct-Authentic", Integer;
        ACCT_SESSION_TIME = 46, "Acct-Session-Time", Integer;
        ACCT_INPUT_PACKETS = 47, "Acct-Input-Packets", Integer;
        ACCT_OUTPUT_PACKETS = 48, "Acct-Output-Packets", Integer;
        ACCT_TERMINATE_CAUSE = 49, "Acct-Terminate-Cause", Integer;
        ACCT_INPUT_GIGAWORDS = 52, "Acct-Input-Gigawords", Integer;
        ACCT_OUTPUT_GIGAWORDS = 53, "Acct-Output-Gigawords", Integer;
        EVENT_TIMESTAMP = 55, "Event-Timestamp", Integer;
        CHAP_CHALLENGE = 60, "CHAP-Challenge", Octets;
        NAS_PORT_TYPE = 61, "NAS-Port-Type", Integer;
        PORT_LIMIT = 62, "Port-Limit", Integer;
        MESSAGE_AUTHENTICATOR = 80, "Message-Authenticator", Octets;
        ACCT_INTERIM_INTERVAL = 85, "Acct-Interim-Interval", Integer;
        NAS_PORT_ID = 87, "NAS-Port-Id", Text;
        FRAMED_POOL = 88, "Framed-Pool", Text;
        ERROR_CAUSE = 101, "Error-Cause", Integer;
    }
    311 {
        MS_CHAP_RESPONSE = 1, "MS-CHAP-Response", Octets;
        MS_CHAP_ERROR = 2, "MS-CHAP-Error", Text;
        MS_MPPE_ENCRYPTION_POLICY = 7, "MS-MPPE-Encryption-Policy", Integer;
        MS_MPPE_ENCRYPTION_TYPES = 8, "MS-MPPE-Encryption-Types", Integer;
        MS_CHAP_DOMAIN = 10, "MS-CHAP-Domain", Text;
        MS_CHAP_CHALLENGE = 11, "MS-CHAP-Challenge", Octets;
        MS_CHAP_MPPE_KEYS = 12, "MS-CHAP-MPPE-Keys", Octets;
        MS_MPPE_SEND_KEY = 16, "MS-MPPE-Send-Key", Octets;
        MS_MPPE_RECV_KEY = 17, "MS-MPPE-Recv-Key", Octets;
        MS_CHAP2_RESPONSE = 25, "MS-CHAP2-Response", Octets;
        MS_CHAP2_SUCCESS = 26, "MS-CHAP2-Success", Octets;
        MS_PRIMARY_DNS_SERVER = 28, "MS-Primary-DNS-Server", Address;
        MS_SECONDARY_DNS_SERVER = 29, "MS-Secondary-DNS-Server", Address;
        MS_PRIMARY_NBNS_SERVER = 30, "MS-Primary-NBNS-Server", Address;
        MS_SECONDARY_NBNS_SERVER = 31, "MS-Secondary-NBNS-Server", Address;
    }
    14988 {
        MIKROTIK_RECV_LIMIT = 1, "Mikrotik-Recv-Limit", Integer;
        MIKROTIK_XMIT_LIMIT = 2, "Mikrotik-Xmit-Limit", Integer;
        MIKROTIK_GROUP = 3, "Mikrotik-Group", Text;
        MIKROTIK_RATE_LIMIT = 8, "Mikrotik-Rate-Limit", Text;
        MIKROTIK_REALM = 9, "Mikrotik-Realm", Text;
        MIKROTIK_RECV_LIMIT_GIGAWORDS = 14, "Mikrotik-Recv-Limit-Gigawords", Integer;
        MIKROTIK_XMIT_LIMIT_GIGAWORDS = 15, "Mikrotik-Xmit-Limit-Gigawords", Integer;
        MIKROTIK_TOTAL_LIMIT = 17, "Mikrotik-Total-Limit", Integer;
        MIKROTIK_TOTAL_LIMIT_GIGAWORDS = 18, "Mikrotik-Total-Limit-Gigawords", Integer;
        MIKROTIK_ADDRESS_LIST = 19, "Mikrotik-Address-List", Text;
    }
}

/// An attribute of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Which.
    pub kind: Kind,
    /// What it says.
    pub value: Value,
}

impl Attribute {
    /// Text, of which as many whole characters are taken as an attribute has room for.
    #[must_use]
    pub fn text(kind: Kind, text: impl Into<String>) -> Self {
        let mut text = text.into();
        let room = if kind.vendor == 0 { ROOM } else { ROOM - 6 };
        text.truncate(text.floor_char_boundary(room));
        Self {
            kind,
            value: Value::Text(text),
        }
    }

    /// Bytes.
    #[must_use]
    pub fn octets(kind: Kind, octets: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            value: Value::Octets(octets.into()),
        }
    }

    /// A number.
    #[must_use]
    pub const fn integer(kind: Kind, number: u32) -> Self {
        Self {
            kind,
            value: Value::Integer(number),
        }
    }

    /// An address.
    #[must_use]
    pub const fn address(kind: Kind, address: Ipv4Addr) -> Self {
        Self {
            kind,
            value: Value::Address(address),
        }
    }
}

/// How many bytes a value has at most (RFC 2865 §5); a vendor's has 6 less (§5.26).
const ROOM: usize = 253;

/// What an attribute says.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// At most 253 bytes of UTF-8, less 6 of a vendor's.
    Text(String),
    /// As many bytes.
    Octets(Vec<u8>),
    /// 32 bits.
    Integer(u32),
    /// An IPv4 address.
    Address(Ipv4Addr),
    /// A password in clear, hidden on the wire (RFC 2865 §5.2).
    Password(Zeroizing<Vec<u8>>),
    /// Seconds that have passed when the packet is made: `before` until `at`, and what came after.
    Elapsed {
        /// When `before` had passed.
        at: Instant,
        /// How long it was then.
        before: Duration,
    },
}

/// Without passwords.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Octets(octets) => write!(f, "{} octets", octets.len()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Password(_) => f.write_str("password"),
            Self::Elapsed { before, .. } => write!(f, "{before:?} and more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The lines `ATTRIBUTE NAME NUMBER TYPE` of a dictionary, and the number of its vendor.
    fn dictionary(text: &str) -> Vec<(String, Kind, String)> {
        let mut vendor = 0;
        let mut found = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["VENDOR", _, number, ..] => vendor = number.parse().unwrap(),
                ["ATTRIBUTE", name, number, form, ..] => {
                    if let Ok(number) = number.parse() {
                        let kind = Kind { vendor, number };
                        found.push((name.to_owned(), kind, form.to_owned()));
                    }
                }
                _ => {}
            }
        }
        found
    }

    #[test]
    fn each_attribute_is_what_the_dictionaries_of_freeradius_say() {
        let path = Path::new("/usr/share/freeradius");
        if !path.join("dictionary.rfc2865").exists() {
            println!("skipped: freeradius-common is not installed");
            return;
        }
        let known: Vec<_> = [
            "rfc2865",
            "rfc2866",
            "rfc2869",
            "rfc3576",
            "microsoft",
            "mikrotik",
        ]
        .iter()
        .flat_map(|name| {
            let bytes = fs::read(path.join(format!("dictionary.{name}"))).unwrap();
            dictionary(&String::from_utf8_lossy(&bytes))
        })
        .collect();
        for &(kind, name, form) in kind::ALL {
            let form = match form {
                Form::Text => &["string"][..],
                Form::Octets => &["octets"],
                Form::Integer => &["integer", "date"],
                Form::Address => &["ipaddr"],
            };
            let is_known = known.iter().any(|(known_name, known, known_form)| {
                let (known_form, _) = known_form.split_once('[').unwrap_or((known_form, ""));
                (known_name.as_str(), *known) == (name, kind) && form.contains(&known_form)
            });
            assert!(is_known, "{name} {kind:?} {form:?}");
        }
    }

    #[test]
    fn an_attribute_is_called_by_its_name_if_it_has_one() {
        assert_eq!(kind::FRAMED_POOL.to_string(), "Framed-Pool");
        assert_eq!(kind::MIKROTIK_GROUP.to_string(), "Mikrotik-Group");
        let odd = |vendor| Kind {
            vendor,
            number: 250,
        };
        assert_eq!(odd(0).to_string(), "attribute 250");
        assert_eq!(odd(9).to_string(), "attribute 250 of vendor 9");
    }

    #[test]
    fn numbers_and_addresses_have_four_bytes_and_what_is_not_known_any() {
        assert_eq!(kind::SESSION_TIMEOUT.check(&[0; 4]), Ok(()));
        assert_eq!(
            kind::FRAMED_IP_ADDRESS
                .check(&[0; 5])
                .unwrap_err()
                .to_string(),
            "Framed-IP-Address has 5 bytes instead of 4"
        );
        assert!(kind::SESSION_TIMEOUT.check(&[]).is_err());
        assert_eq!(kind::CLASS.check(&[]), Ok(()));
        let odd = Kind {
            vendor: 1,
            number: 1,
        };
        assert_eq!(odd.check(&[0; 3]), Ok(()));
    }

    #[test]
    fn a_text_ends_at_a_whole_character_where_there_is_no_more_room() {
        let length = |kind, text: String| {
            let Value::Text(text) = Attribute::text(kind, text).value else {
                panic!("no text");
            };
            text.len()
        };
        assert_eq!(length(kind::USER_NAME, "x".repeat(300)), 253);
        assert_eq!(length(kind::USER_NAME, "ü".repeat(300)), 252);
        assert_eq!(length(kind::MS_CHAP_DOMAIN, "x".repeat(300)), 247);
        assert_eq!(length(kind::USER_NAME, "x".repeat(253)), 253);
    }
}

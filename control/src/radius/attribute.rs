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

/// An attribute of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Which.
    pub kind: Kind,
    /// What it says.
    pub value: Value,
}

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

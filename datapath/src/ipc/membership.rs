//! What the kernel is to know of a session's interface besides its addresses: the routes through
//! it, the firewall's lists that it joins, and the chains that filter its packets.
//!
//! Lists are named sets and filters are chains of the nftables table `inet greyhound`, where the
//! operator's own rules use them.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Who made a route, for the kernel and for `ip route show proto 112`. None of the numbers that
/// iproute2 has a name for; 112 is `p`.
pub const ROUTE_PROTOCOL: u8 = 112;
/// The most routes of one session.
pub const MAX_ROUTES: usize = 64;
/// The most lists that one session's address joins.
pub const MAX_ADDRESS_LISTS: usize = 16;
/// Bytes of the longest name that a list or a chain can have.
pub const MAX_NAME_BYTES: usize = 127;
/// What the names of our own chains and maps in the table begin with.
pub const RESERVED: &str = "greyhound-";

/// Where a session's interface belongs. The default is nowhere, which costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Routes through the interface; of equal ones, that of the newest session counts. Packets
    /// from these networks pass [`super::Interface::check_source`]. What is beyond [`MAX_ROUTES`]
    /// is refused.
    pub routes: Vec<Route>,
    /// Addresses that are in lists while the interface is there. What is beyond
    /// [`MAX_ADDRESS_LISTS`] is refused.
    pub address_lists: Vec<ListedAddress>,
    /// The list that the interface is in.
    pub interface_list: Option<String>,
    /// The chain for packets that come out of the tunnel.
    pub incoming_filter: Option<String>,
    /// The chain for packets that go into it.
    pub outgoing_filter: Option<String>,
}

/// An address in a list of the firewall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAddress {
    /// The operator's name of the list; see [`firewall_name`].
    pub list: String,
    /// The address: one that a server gave the peer, or a client was given.
    pub address: Ipv4Addr,
}

/// A route through a session's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What lies behind the peer.
    pub destination: Prefix,
    /// A router on the interface, as a rule the peer; without one the network is right behind it.
    pub gateway: Option<Ipv4Addr>,
    /// Of routes to the same destination that with the smallest metric counts.
    pub metric: u32,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gateway = self.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED);
        write!(f, "{} {gateway} {}", self.destination, self.metric)
    }
}

/// The IPv4 addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Ipv4Addr, u8)")]
pub struct Prefix {
    address: Ipv4Addr,
    length: u8,
}

impl Prefix {
    /// Those whose first `length` bits are those of `address`, whose other bits mean nothing.
    /// `None` if an address has not as many bits.
    #[must_use]
    pub fn new(address: Ipv4Addr, length: u8) -> Option<Self> {
        let address = Ipv4Addr::from_bits(address.to_bits() & mask(length)?);
        Some(Self { address, length })
    }

    /// The first of them.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// How many bits they share, at most 32.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether the address is one of them.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let differing = address.to_bits() ^ self.address.to_bits();
        mask(self.length).is_some_and(|mask| differing & mask == 0)
    }
}

impl TryFrom<(Ipv4Addr, u8)> for Prefix {
    type Error = &'static str;

    fn try_from((address, length): (Ipv4Addr, u8)) -> Result<Self, Self::Error> {
        Self::new(address, length).ok_or("a prefix is longer than an address")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

fn mask(length: u8) -> Option<u32> {
    let host_bits = 32_u32.checked_sub(length.into())?;
    Some(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// What nftables calls a list or a chain of this name: blanks become `_`, and what does not begin
/// with a letter, `_` or `.` gets a `_` in front.
///
/// # Errors
/// Other characters than nftables knows are not replaced: two names would become one, and a list
/// that lets packets pass would be joined by those of another.
pub fn firewall_name(name: &str) -> Result<String, NameError> {
    let mut mapped = String::with_capacity(name.len() + 1);
    let first = name.chars().next().ok_or(NameError::Empty)?;
    if !first.is_ascii_alphabetic() && !matches!(first, '_' | '.' | ' ') {
        mapped.push('_');
    }
    for character in name.chars() {
        mapped.push(match character {
            ' ' => '_',
            '_' | '.' | '-' | '/' => character,
            _ if character.is_ascii_alphanumeric() => character,
            _ => return Err(NameError::Character(character)),
        });
    }
    if mapped.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    if mapped.starts_with(RESERVED) {
        return Err(NameError::Reserved);
    }
    Ok(mapped)
}

/// Why nftables cannot have a list or a chain of some name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It has no name.
    #[error("it has no name")]
    Empty,
    /// See [`MAX_NAME_BYTES`].
    #[error("its name is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// nftables does not take it in a name.
    #[error("a name in nftables cannot have {0:?} in it")]
    Character(char),
    /// See [`RESERVED`].
    #[error("names that begin with {RESERVED} are taken")]
    Reserved,
}

/// Something that a session was to have and does not; else it lives as if it had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it does without.
    pub lacking: Lacking,
    /// Why, as one line.
    pub reason: String,
}

/// What a session may have to do without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lacking {
    /// The route.
    Route(Route),
    /// The address is not in the list.
    AddressList(ListedAddress),
    /// The interface is not in the list of this name.
    InterfaceList(String),
    /// Packets that come out of the tunnel pass without this chain.
    IncomingFilter(String),
    /// Packets that go into the tunnel pass without this chain.
    OutgoingFilter(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.lacking, self.reason)
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => write!(f, "no route {route}"),
            Self::AddressList(ListedAddress { list, address }) => {
                write!(f, "{address} is not in the address list {list:?}")
            }
            Self::InterfaceList(list) => write!(f, "not in the interface list {list:?}"),
            Self::IncomingFilter(chain) => write!(f, "no incoming filter {chain:?}"),
            Self::OutgoingFilter(chain) => write!(f, "no outgoing filter {chain:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(address: [u8; 4], length: u8) -> Prefix {
        Prefix::new(address.into(), length).unwrap()
    }

    #[test]
    fn a_prefix_has_no_bits_behind_its_length() {
        assert_eq!(prefix([10, 1, 2, 3], 16).to_string(), "10.1.0.0/16");
        assert_eq!(prefix([10, 1, 2, 3], 0).to_string(), "0.0.0.0/0");
        assert_eq!(prefix([10, 1, 2, 3], 32).to_string(), "10.1.2.3/32");
        assert_eq!(Prefix::new(Ipv4Addr::LOCALHOST, 33), None);
    }

    #[test]
    fn a_message_cannot_carry_a_prefix_that_there_is_not() {
        let bytes = postcard::to_stdvec(&(Ipv4Addr::LOCALHOST, 33_u8)).unwrap();
        assert!(postcard::from_bytes::<Prefix>(&bytes).is_err());
        let ours = prefix([10, 1, 0, 0], 16);
        let bytes = postcard::to_stdvec(&ours).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(ours));
    }

    #[test]
    fn names_that_nftables_takes_are_kept_and_others_mapped_or_refused() {
        let kept = |name: &str| Ok(name.to_owned());
        let cases = [
            ("customers", kept("customers")),
            ("VIP.a-b/c_1", kept("VIP.a-b/c_1")),
            ("Blocked Users", kept("Blocked_Users")),
            ("10M", kept("_10M")),
            ("-x", kept("_-x")),
            (" x", kept("_x")),
            ("", Err(NameError::Empty)),
            ("a;b", Err(NameError::Character(';'))),
            ("клиенты", Err(NameError::Character('к'))),
            ("a\nb", Err(NameError::Character('\n'))),
            ("greyhound-incoming", Err(NameError::Reserved)),
        ];
        for (name, expected) in cases {
            assert_eq!(firewall_name(name), expected, "{name}");
        }
        assert!(firewall_name(&"a".repeat(MAX_NAME_BYTES)).is_ok());
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        assert_eq!(firewall_name(&long), Err(NameError::TooLong));
    }

    #[test]
    fn a_warning_says_what_is_lacking_and_why() {
        let route = Route {
            destination: prefix([10, 1, 0, 0], 24),
            gateway: None,
            metric: 1,
        };
        let warning = Warning {
            lacking: Lacking::Route(route),
            reason: "no such gateway".to_owned(),
        };
        let said = "no route 10.1.0.0/24 0.0.0.0 1: no such gateway";
        assert_eq!(warning.to_string(), said);
    }

    proptest! {
        #[test]
        fn a_prefix_contains_its_addresses_and_no_others(
            network: u32, address: u32, length in 0..=32_u8,
        ) {
            let prefix = Prefix::new(network.into(), length).unwrap();
            let shared = (network ^ address).leading_zeros();
            prop_assert_eq!(prefix.contains(address.into()), shared >= length.into());
        }

        #[test]
        fn a_mapped_name_is_one_word_of_nftables(name in "[ -~]{1,20}") {
            let Ok(mapped) = firewall_name(&name) else { return Ok(()) };
            let mut characters = mapped.chars();
            let first = characters.next().unwrap();
            prop_assert!(first.is_ascii_alphabetic() || first == '_' || first == '.');
            prop_assert!(characters.all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c)));
            prop_assert_eq!(firewall_name(&mapped), Ok(mapped));
        }
    }
}

//! How the values of properties are written: each notation reads and writes one type.

use std::net::Ipv4Addr;
use std::time::Duration;

use greyhound_datapath::ipc::membership::firewall_name;
use zeroize::Zeroizing;

use super::rate::RateLimit;
use super::route::Route;
use super::time;
use super::{AddressSource, PeerDns, Service};
use crate::ppp::{AuthMethod, Encryption, UseIpv6};

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not one of the words that stand for a value.
    Syntax,
    /// Not a value of this type.
    Invalid,
    /// A number outside of these limits.
    OutOfRange(String),
    /// Not a range of addresses.
    NotARange,
    /// The schema refuses it, in these words.
    Refused(String),
    /// The value breaks a rule of its own, told in these words.
    Failure(&'static str),
}

/// Something else of the configuration that a value names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `/ppp profile`.
    Profile(String),
    /// `/ip pool`.
    Pool(String),
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// In quotes.
    Quoted,
    /// In quotes, and only to those who ask for it.
    Sensitive,
}

/// A way to write values of one type.
pub(super) trait Notation {
    /// The type.
    type Value;
    /// How `print` shows it.
    const STYLE: Style = Style::Plain;
    /// What values look like, for help.
    const VALUES: &'static str;

    /// Reads a value.
    fn parse(&self, text: &str) -> Result<Self::Value, Fault>;

    /// Writes a value so that [`Self::parse`] reads it back; empty if it is unset.
    fn print(&self, value: &Self::Value) -> String;

    /// Values may name something that has to exist.
    const REFERS: bool = false;

    /// What the value names, which has to exist.
    fn reference(&self, _value: &Self::Value) -> Option<Reference> {
        None
    }

    /// Why the value is of no use, if it is of none.
    fn warning(&self, _value: &Self::Value) -> Option<&'static str> {
        None
    }
}

/// Any text.
pub(super) struct Text;

impl Notation for Text {
    type Value = String;
    const VALUES: &'static str = "text";
    const STYLE: Style = Style::Quoted;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        Ok(text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }
}

/// Text with at least one character.
pub(super) struct Filled;

impl Notation for Filled {
    type Value = String;
    const VALUES: &'static str = "text";
    const STYLE: Style = Style::Quoted;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        if text.is_empty() {
            return Err(Fault::Invalid);
        }
        Ok(text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }
}

/// The name of an interface: what the kernel takes as an alternative name.
pub(super) struct InterfaceName;

impl Notation for InterfaceName {
    type Value = String;
    const VALUES: &'static str = "name";
    const STYLE: Style = Style::Quoted;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        let fits = (1..=127).contains(&text.len()) && text != "." && text != "..";
        if !fits || text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            return Err(Fault::Invalid);
        }
        Ok(text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }
}

/// An IPv4 address or a host name (RFC 1123 §2.1, with underscores let through).
pub(super) struct Host;

impl Notation for Host {
    type Value = String;
    const VALUES: &'static str = "address or name";

    fn parse(&self, text: &str) -> Result<String, Fault> {
        let labels_are_sound = text.trim_end_matches('.').split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
        let numeric = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let sound = if numeric {
            text.parse::<Ipv4Addr>()
                .is_ok_and(|ip| !ip.is_unspecified())
        } else {
            labels_are_sound && text.len() <= 253
        };
        if sound {
            Ok(text.to_owned())
        } else {
            Err(Fault::Invalid)
        }
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }
}

/// A password.
pub(super) struct Password;

impl Notation for Password {
    type Value = Zeroizing<String>;
    const VALUES: &'static str = "text";
    const STYLE: Style = Style::Sensitive;

    fn parse(&self, text: &str) -> Result<Zeroizing<String>, Fault> {
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn print(&self, value: &Zeroizing<String>) -> String {
        value.to_string()
    }
}

/// `yes` or `no`.
pub(super) struct YesNo;

impl Notation for YesNo {
    type Value = bool;
    const VALUES: &'static str = "yes | no";

    fn parse(&self, text: &str) -> Result<bool, Fault> {
        match text {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(Fault::Syntax),
        }
    }

    fn print(&self, value: &bool) -> String {
        if *value { "yes" } else { "no" }.to_owned()
    }
}

/// `yes`, `no`, or `default`: what the next layer says.
pub(super) struct TriState;

impl Notation for TriState {
    type Value = Option<bool>;
    const VALUES: &'static str = "default | yes | no";

    fn parse(&self, text: &str) -> Result<Option<bool>, Fault> {
        match text {
            "default" => Ok(None),
            _ => YesNo.parse(text).map(Some),
        }
    }

    fn print(&self, value: &Option<bool>) -> String {
        value
            .as_ref()
            .map_or_else(|| "default".to_owned(), |value| YesNo.print(value))
    }
}

/// `use-encryption`.
pub(super) struct EncryptionPolicy;

impl Notation for EncryptionPolicy {
    type Value = Option<Encryption>;
    const VALUES: &'static str = "default | no | yes | required";

    fn parse(&self, text: &str) -> Result<Option<Encryption>, Fault> {
        match text {
            "default" => Ok(None),
            "no" => Ok(Some(Encryption::No)),
            "yes" => Ok(Some(Encryption::Yes)),
            // The manual's spelling, beside the console's.
            "required" | "require" => Ok(Some(Encryption::Required)),
            _ => Err(Fault::Syntax),
        }
    }

    fn print(&self, value: &Option<Encryption>) -> String {
        match value {
            None => "default",
            Some(Encryption::No) => "no",
            Some(Encryption::Yes) => "yes",
            Some(Encryption::Required) => "required",
        }
        .to_owned()
    }
}

/// `use-ipv6`.
pub(super) struct Ipv6Policy;

impl Notation for Ipv6Policy {
    type Value = Option<UseIpv6>;
    const VALUES: &'static str = "default | no | yes | required";

    fn parse(&self, text: &str) -> Result<Option<UseIpv6>, Fault> {
        match text {
            "default" => Ok(None),
            "no" => Ok(Some(UseIpv6::No)),
            "yes" => Ok(Some(UseIpv6::Yes)),
            "required" => Ok(Some(UseIpv6::Required)),
            _ => Err(Fault::Syntax),
        }
    }

    fn print(&self, value: &Option<UseIpv6>) -> String {
        match value {
            None => "default",
            Some(UseIpv6::No) => "no",
            Some(UseIpv6::Yes) => "yes",
            Some(UseIpv6::Required) => "required",
        }
        .to_owned()
    }
}

/// `use-peer-dns`.
pub(super) struct PeerDnsUse;

impl Notation for PeerDnsUse {
    type Value = PeerDns;
    const VALUES: &'static str = "no | yes | exclusively";

    fn parse(&self, text: &str) -> Result<PeerDns, Fault> {
        match text {
            "exclusively" => Ok(PeerDns::Exclusively),
            _ => YesNo.parse(text).map(|yes| match yes {
                true => PeerDns::Yes,
                false => PeerDns::No,
            }),
        }
    }

    fn print(&self, value: &PeerDns) -> String {
        match value {
            PeerDns::No => "no",
            PeerDns::Yes => "yes",
            PeerDns::Exclusively => "exclusively",
        }
        .to_owned()
    }
}

/// The distance of a route: of two, the nearer one counts.
pub(super) struct Distance;

impl Notation for Distance {
    type Value = u8;
    const VALUES: &'static str = "0..255";

    fn parse(&self, text: &str) -> Result<u8, Fault> {
        u8::try_from(whole_number(text)?).map_err(|_| Fault::OutOfRange("0..255".to_owned()))
    }

    fn print(&self, value: &u8) -> String {
        value.to_string()
    }
}

/// `disabled`, or the size of the largest packet that fragments make up, in bytes.
pub(super) struct Mrru;

impl Notation for Mrru {
    type Value = Option<u16>;
    const VALUES: &'static str = "disabled | 512..65535";

    fn parse(&self, text: &str) -> Result<Option<u16>, Fault> {
        const LIMITS: std::ops::RangeInclusive<u64> = 512..=65_535;
        if text == "disabled" {
            return Ok(None);
        }
        let number = whole_number(text)?;
        match u16::try_from(number) {
            Ok(size) if LIMITS.contains(&number) => Ok(Some(size)),
            _ => Err(Fault::OutOfRange("512..65535".to_owned())),
        }
    }

    fn print(&self, value: &Option<u16>) -> String {
        value.map_or_else(|| "disabled".to_owned(), |size| size.to_string())
    }
}

/// `unlimited`, or how many there may be.
pub(super) struct Limit;

impl Notation for Limit {
    type Value = Option<u32>;
    const VALUES: &'static str = "unlimited | number";

    fn parse(&self, text: &str) -> Result<Option<u32>, Fault> {
        if text == "unlimited" {
            return Ok(None);
        }
        let number = whole_number(text)?;
        match u32::try_from(number) {
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(Fault::OutOfRange(format!("0..{}", u32::MAX))),
        }
    }

    fn print(&self, value: &Option<u32>) -> String {
        value.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
    }
}

/// The size of a packet in bytes.
pub(super) struct PacketSize;

impl Notation for PacketSize {
    type Value = u16;
    const VALUES: &'static str = "128..1500";

    fn parse(&self, text: &str) -> Result<u16, Fault> {
        // 1500 is what every end takes whatever was agreed on (RFC 1661 §6.1).
        const LIMITS: std::ops::RangeInclusive<u64> = 128..=1500;
        let number = whole_number(text)?;
        match u16::try_from(number) {
            Ok(size) if LIMITS.contains(&number) => Ok(size),
            _ => Err(Fault::OutOfRange("128..1500".to_owned())),
        }
    }

    fn print(&self, value: &u16) -> String {
        value.to_string()
    }
}

/// `disabled`, or a time of whole seconds.
pub(super) struct Keepalive;

impl Notation for Keepalive {
    type Value = Option<Duration>;
    const VALUES: &'static str = "disabled | seconds";

    fn parse(&self, text: &str) -> Result<Option<Duration>, Fault> {
        const LONGEST: Duration = Duration::from_secs(86_400);
        if text == "disabled" {
            return Ok(None);
        }
        let timeout = time::parse(text).ok_or(Fault::Invalid)?;
        if timeout < Duration::from_secs(1) || timeout > LONGEST {
            return Err(Fault::OutOfRange("1..86400".to_owned()));
        }
        Ok(Some(Duration::from_secs(timeout.as_secs())))
    }

    fn print(&self, value: &Option<Duration>) -> String {
        value.map_or_else(
            || "disabled".to_owned(),
            |timeout| timeout.as_secs().to_string(),
        )
    }
}

/// A set of authentication methods, at least one.
pub(super) struct Methods;

impl Methods {
    const WORDS: [(&'static str, AuthMethod); 4] = [
        ("pap", AuthMethod::Pap),
        ("chap", AuthMethod::Chap),
        ("mschap1", AuthMethod::MsChapV1),
        ("mschap2", AuthMethod::MsChapV2),
    ];
}

impl Notation for Methods {
    type Value = Vec<AuthMethod>;
    const VALUES: &'static str = "pap,chap,mschap1,mschap2";

    fn parse(&self, text: &str) -> Result<Vec<AuthMethod>, Fault> {
        let mut methods = text
            .split(',')
            .map(|word| {
                let known = Self::WORDS.iter().find(|(name, _)| *name == word);
                known.map(|&(_, method)| method).ok_or(Fault::Syntax)
            })
            .collect::<Result<Vec<_>, _>>()?;
        methods.sort_unstable();
        methods.dedup();
        Ok(methods)
    }

    fn print(&self, value: &Vec<AuthMethod>) -> String {
        let words: Vec<_> = Self::WORDS
            .iter()
            .filter(|(_, method)| value.contains(method))
            .map(|&(name, _)| name)
            .collect();
        words.join(",")
    }
}

/// The name of a `/ppp profile`.
pub(super) struct ProfileName;

impl Notation for ProfileName {
    type Value = String;
    const VALUES: &'static str = "/ppp profile";
    const REFERS: bool = true;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        Filled.parse(text)
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn reference(&self, value: &String) -> Option<Reference> {
        Some(Reference::Profile(value.clone()))
    }
}

/// `none`, or the name of an `/ip pool`.
pub(super) struct PoolName;

impl Notation for PoolName {
    type Value = Option<String>;
    const VALUES: &'static str = "none | /ip pool";
    const REFERS: bool = true;

    fn parse(&self, text: &str) -> Result<Option<String>, Fault> {
        match text {
            "none" | "" => Ok(None),
            name => Ok(Some(name.to_owned())),
        }
    }

    fn print(&self, value: &Option<String>) -> String {
        value.clone().unwrap_or_else(|| "none".to_owned())
    }

    fn reference(&self, value: &Option<String>) -> Option<Reference> {
        value.clone().map(Reference::Pool)
    }
}

/// An address that may be unset, which `0.0.0.0` is too.
pub(super) struct Address;

impl Notation for Address {
    type Value = Option<Ipv4Addr>;
    const VALUES: &'static str = "address";

    fn parse(&self, text: &str) -> Result<Option<Ipv4Addr>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let address: Ipv4Addr = text.parse().map_err(|_| Fault::Invalid)?;
        if address.is_unspecified() {
            return Ok(None);
        }
        if address.is_multicast() || address.is_broadcast() || address.is_loopback() {
            return Err(Fault::Invalid);
        }
        Ok(Some(address))
    }

    fn print(&self, value: &Option<Ipv4Addr>) -> String {
        value.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// The address of a server or of ours, also of this machine alone; `0.0.0.0` is unset.
pub(super) struct HostAddress;

impl Notation for HostAddress {
    type Value = Option<Ipv4Addr>;
    const VALUES: &'static str = "address";

    fn parse(&self, text: &str) -> Result<Option<Ipv4Addr>, Fault> {
        match text.parse::<Ipv4Addr>() {
            Ok(address) if address.is_loopback() => Ok(Some(address)),
            _ => Address.parse(text),
        }
    }

    fn print(&self, value: &Option<Ipv4Addr>) -> String {
        Address.print(value)
    }
}

/// An address, or the name of an `/ip pool`, or unset.
pub(super) struct AddressOrPool;

impl Notation for AddressOrPool {
    type Value = Option<AddressSource>;
    const VALUES: &'static str = "address | /ip pool";
    const REFERS: bool = true;

    fn parse(&self, text: &str) -> Result<Option<AddressSource>, Fault> {
        // What has only digits and dots is meant as an address, if a mistyped one.
        if text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            Ok(Address.parse(text)?.map(AddressSource::Fixed))
        } else {
            Ok(Some(AddressSource::Pool(text.to_owned())))
        }
    }

    fn print(&self, value: &Option<AddressSource>) -> String {
        match value {
            None => String::new(),
            Some(AddressSource::Fixed(address)) => address.to_string(),
            Some(AddressSource::Pool(name)) => name.clone(),
        }
    }

    fn reference(&self, value: &Option<AddressSource>) -> Option<Reference> {
        match value {
            Some(AddressSource::Pool(name)) => Some(Reference::Pool(name.clone())),
            Some(AddressSource::Fixed(_)) | None => None,
        }
    }
}

/// Up to two addresses: as many as IPCP can tell (RFC 1877 §1).
pub(super) struct TwoAddresses;

impl Notation for TwoAddresses {
    type Value = Vec<Ipv4Addr>;
    const VALUES: &'static str = "address,address";

    fn parse(&self, text: &str) -> Result<Vec<Ipv4Addr>, Fault> {
        let addresses = text
            .split(',')
            .filter_map(|one| Address.parse(one).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.len() > 2 {
            return Err(Fault::Invalid);
        }
        Ok(addresses)
    }

    fn print(&self, value: &Vec<Ipv4Addr>) -> String {
        let texts: Vec<_> = value.iter().map(ToString::to_string).collect();
        texts.join(",")
    }
}

/// The `service` of a secret.
pub(super) struct ServiceName;

impl ServiceName {
    const OTHERS: [&'static str; 6] = ["async", "isdn", "l2tp", "ovpn", "pppoe", "sstp"];
}

impl Notation for ServiceName {
    type Value = Service;
    const VALUES: &'static str = "any | pptp | async | isdn | l2tp | ovpn | pppoe | sstp";

    fn parse(&self, text: &str) -> Result<Service, Fault> {
        match text {
            "any" => Ok(Service::Any),
            "pptp" => Ok(Service::Pptp),
            _ => {
                let other = Self::OTHERS.into_iter().find(|name| *name == text);
                other.map(Service::Other).ok_or(Fault::Syntax)
            }
        }
    }

    fn print(&self, value: &Service) -> String {
        match value {
            Service::Any => "any",
            Service::Pptp => "pptp",
            Service::Other(name) => name,
        }
        .to_owned()
    }

    fn warning(&self, value: &Service) -> Option<&'static str> {
        matches!(value, Service::Other(_)).then_some("this service is not offered: nobody logs in")
    }
}

/// The `caller-id` of a secret: the address that the client has to come from.
pub(super) struct CallerId;

impl Notation for CallerId {
    type Value = String;
    const VALUES: &'static str = "address";
    const STYLE: Style = Style::Quoted;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        Ok(text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn warning(&self, value: &String) -> Option<&'static str> {
        (!value.is_empty() && value.parse::<Ipv4Addr>().is_err())
            .then_some("not an IPv4 address: no PPTP client matches it")
    }
}

/// The ranges of an `/ip pool`: `a-b`, a single address or `a/len`, the network's first and last
/// address included.
pub(super) struct Ranges;

impl Ranges {
    fn parse_one(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let (first, last) = if let Some((first, last)) = text.split_once('-') {
            (first.parse().ok()?, last.parse().ok()?)
        } else if let Some((network, length)) = text.split_once('/') {
            let network: Ipv4Addr = network.parse().ok()?;
            let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
            let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
            let first = network.to_bits() & !hosts;
            (first.into(), (first | hosts).into())
        } else {
            let single: Ipv4Addr = text.parse().ok()?;
            (single, single)
        };
        let unusable = |address: Ipv4Addr| {
            address.octets()[0] == 0 || address.is_loopback() || address.octets()[0] >= 224
        };
        (first <= last && !unusable(first) && !unusable(last)).then_some((first, last))
    }
}

impl Notation for Ranges {
    type Value = Vec<(Ipv4Addr, Ipv4Addr)>;
    const VALUES: &'static str = "first-last,address/length,...";

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        let ranges = text
            .split(',')
            .map(|range| Self::parse_one(range).ok_or(Fault::NotARange))
            .collect::<Result<Vec<_>, _>>()?;
        let mut sorted = ranges.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0].1 >= pair[1].0) {
            return Err(Fault::Failure("failure: ranges overlap"));
        }
        Ok(ranges)
    }

    fn print(&self, value: &Self::Value) -> String {
        let texts: Vec<_> = value
            .iter()
            .map(|(first, last)| {
                if first == last {
                    first.to_string()
                } else {
                    format!("{first}-{last}")
                }
            })
            .collect();
        texts.join(",")
    }
}

/// `rate-limit`.
pub(super) struct Bits;

impl Notation for Bits {
    type Value = Option<RateLimit>;
    const VALUES: &'static str =
        "rx/tx rx-burst/tx-burst rx-threshold/tx-threshold rx-time/tx-time";

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        RateLimit::parse(text).map(Some).map_err(|_| Fault::Invalid)
    }

    fn print(&self, value: &Self::Value) -> String {
        value.map(|limit| limit.to_string()).unwrap_or_default()
    }

    fn warning(&self, value: &Self::Value) -> Option<&'static str> {
        // 8 is what holds without one.
        let is_promise =
            |limit: &RateLimit| limit.least.is_some() || limit.priority.is_some_and(|one| one < 8);
        value
            .filter(is_promise)
            .map(|_| "priority and least rates have no effect: sessions share no queue")
    }
}

/// A time, or unset, which zero is too.
pub(super) struct Timeout;

impl Notation for Timeout {
    type Value = Option<Duration>;
    const VALUES: &'static str = "time";

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        if matches!(text, "" | "none") {
            return Ok(None);
        }
        let time = time::parse(text).ok_or(Fault::Invalid)?;
        Ok(Some(time).filter(|time| !time.is_zero()))
    }

    fn print(&self, value: &Self::Value) -> String {
        value.map(time::text).unwrap_or_default()
    }
}

/// A time, zero included.
pub(super) struct Time;

impl Notation for Time {
    type Value = Duration;
    const VALUES: &'static str = "time";

    fn parse(&self, text: &str) -> Result<Duration, Fault> {
        time::parse(text).ok_or(Fault::Invalid)
    }

    fn print(&self, value: &Duration) -> String {
        time::text(*value)
    }
}

/// How long to wait for an answer.
pub(super) struct Timing;

impl Notation for Timing {
    type Value = Duration;
    const VALUES: &'static str = "10ms..1m";

    fn parse(&self, text: &str) -> Result<Duration, Fault> {
        let time = Time.parse(text)?;
        if (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&time) {
            Ok(time)
        } else {
            Err(Fault::OutOfRange("10ms..1m".to_owned()))
        }
    }

    fn print(&self, value: &Duration) -> String {
        Time.print(value)
    }
}

/// The name of a chain of the firewall, or unset. Who is to be filtered is not let through without:
/// a name that no chain can have is refused.
pub(super) struct Chain;

impl Notation for Chain {
    type Value = Option<String>;
    const VALUES: &'static str = "chain";

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        let name = ListName.parse(text)?;
        match name.as_deref().and_then(unknown_to_nftables) {
            Some(_) => Err(Fault::Invalid),
            None => Ok(name),
        }
    }

    fn print(&self, value: &Self::Value) -> String {
        ListName.print(value)
    }
}

/// The name of a list of the firewall, or unset.
pub(super) struct ListName;

impl Notation for ListName {
    type Value = Option<String>;
    const VALUES: &'static str = "name";

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        let mut names = Names.parse(text)?;
        if names.len() > 1 {
            return Err(Fault::Invalid);
        }
        Ok(names.pop())
    }

    fn print(&self, value: &Self::Value) -> String {
        value.clone().unwrap_or_default()
    }

    fn warning(&self, value: &Self::Value) -> Option<&'static str> {
        value.as_deref().and_then(unknown_to_nftables)
    }
}

/// Names, separated by commas.
pub(super) struct Names;

impl Notation for Names {
    type Value = Vec<String>;
    const STYLE: Style = Style::Quoted;
    const VALUES: &'static str = "name,...";

    fn parse(&self, text: &str) -> Result<Vec<String>, Fault> {
        if matches!(text, "" | "none") {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',') {
            let fits = (1..=64).contains(&name.len()) && !name.contains(char::is_control);
            if !fits {
                return Err(Fault::Invalid);
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        if names.len() > MAX_NAMES {
            return Err(Fault::Invalid);
        }
        Ok(names)
    }

    fn print(&self, value: &Vec<String>) -> String {
        value.join(",")
    }

    fn warning(&self, value: &Vec<String>) -> Option<&'static str> {
        value.iter().find_map(|name| unknown_to_nftables(name))
    }
}

/// Why a name is of no use to the firewall, if it is of none.
fn unknown_to_nftables(name: &str) -> Option<&'static str> {
    firewall_name(name)
        .is_err()
        .then_some("nftables cannot call anything so: it has no effect")
}

/// Lists that an address or an interface can join, and routes that a user can have.
const MAX_NAMES: usize = 16;

/// The path of a program, and its arguments.
pub(super) struct Program;

impl Notation for Program {
    type Value = String;
    const STYLE: Style = Style::Quoted;
    const VALUES: &'static str = "/path/of/program argument ...";

    fn parse(&self, text: &str) -> Result<String, Fault> {
        Ok(text.to_owned())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn warning(&self, value: &String) -> Option<&'static str> {
        (!value.is_empty() && !value.starts_with('/'))
            .then_some("not the path of a program: nothing is run")
    }
}

/// `routes` of a secret.
pub(super) struct Routes;

impl Notation for Routes {
    type Value = Vec<Route>;
    const STYLE: Style = Style::Quoted;
    const VALUES: &'static str = "network/length gateway metric,...";

    fn parse(&self, text: &str) -> Result<Vec<Route>, Fault> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let routes = text
            .split(',')
            .map(|route| Route::parse(route).ok_or(Fault::Invalid))
            .collect::<Result<Vec<_>, _>>()?;
        if routes.len() > MAX_NAMES {
            return Err(Fault::Invalid);
        }
        Ok(routes)
    }

    fn print(&self, value: &Vec<Route>) -> String {
        let texts: Vec<_> = value.iter().map(ToString::to_string).collect();
        texts.join(",")
    }
}

/// A number of bytes; 0 is no limit.
pub(super) struct Bytes;

impl Notation for Bytes {
    type Value = u64;
    const VALUES: &'static str = "bytes; 0 is unlimited";

    fn parse(&self, text: &str) -> Result<u64, Fault> {
        if matches!(text, "" | "unlimited") {
            return Ok(0);
        }
        whole_number(text)
    }

    fn print(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// A UDP port.
pub(super) struct Port;

impl Notation for Port {
    type Value = u16;
    const VALUES: &'static str = "1..65535";

    fn parse(&self, text: &str) -> Result<u16, Fault> {
        match u16::try_from(whole_number(text)?) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(Fault::OutOfRange("1..65535".to_owned())),
        }
    }

    fn print(&self, value: &u16) -> String {
        value.to_string()
    }
}

/// `service` of a RADIUS server.
pub(super) struct RadiusServices;

impl RadiusServices {
    const WORDS: [&'static str; 7] = [
        "ppp", "login", "hotspot", "wireless", "dhcp", "ipsec", "dot1x",
    ];
}

impl Notation for RadiusServices {
    type Value = Vec<String>;
    const VALUES: &'static str = "ppp,login,hotspot,wireless,dhcp,ipsec,dot1x";

    fn parse(&self, text: &str) -> Result<Vec<String>, Fault> {
        let mut services = Vec::new();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            if !Self::WORDS.contains(&word) {
                return Err(Fault::Syntax);
            }
            services.push(word.to_owned());
        }
        services.dedup();
        Ok(services)
    }

    fn print(&self, value: &Vec<String>) -> String {
        value.join(",")
    }

    fn warning(&self, value: &Vec<String>) -> Option<&'static str> {
        (!value.is_empty() && !value.iter().any(|service| service == "ppp"))
            .then_some("only ppp means something: it is not asked")
    }
}

/// `require-message-auth`.
pub(super) struct MessageAuth;

impl Notation for MessageAuth {
    type Value = bool;
    const VALUES: &'static str = "yes-for-request-resp | no";

    fn parse(&self, text: &str) -> Result<bool, Fault> {
        match text {
            "yes-for-request-resp" => Ok(true),
            "no" => Ok(false),
            _ => Err(Fault::Syntax),
        }
    }

    fn print(&self, value: &bool) -> String {
        if *value { "yes-for-request-resp" } else { "no" }.to_owned()
    }
}

fn whole_number(text: &str) -> Result<u64, Fault> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Invalid);
    }
    // All digits: what does not fit is only too large.
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a notation makes of a text, written again.
    fn reads<N: Notation>(notation: &N, text: &str) -> Result<String, Fault> {
        notation.parse(text).map(|value| notation.print(&value))
    }

    fn written(text: &str) -> Result<String, Fault> {
        Ok(text.to_owned())
    }

    #[test]
    fn ranges_are_read_in_each_spelling() {
        assert_eq!(
            reads(&Ranges, "10.0.1.0/30,10.0.0.5,10.0.0.9-10.0.0.20"),
            written("10.0.1.0-10.0.1.3,10.0.0.5,10.0.0.9-10.0.0.20")
        );
        assert_eq!(reads(&Ranges, "10.0.0.7/32"), written("10.0.0.7"));
        assert_eq!(
            reads(&Ranges, "10.1.2.3/8"),
            written("10.0.0.0-10.255.255.255")
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "x",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-",
            "10.0.0.0/33",
            "0.0.0.0/0",
            "10.0.0.1,",
            "127.0.0.1",
            "224.0.0.0/4",
            "10.0.0.1-10.0.0.2-10.0.0.3",
        ] {
            assert_eq!(reads(&Ranges, text), Err(Fault::NotARange), "{text:?}");
        }
        assert_eq!(
            reads(&Ranges, "10.0.0.5-10.0.0.9,10.0.0.9"),
            Err(Fault::Failure("failure: ranges overlap"))
        );
    }

    #[test]
    fn methods_are_a_set_in_the_order_of_strength() {
        assert_eq!(
            reads(&Methods, "mschap2,pap,mschap2"),
            written("pap,mschap2")
        );
        assert_eq!(reads(&Methods, "chap,mschap2"), written("chap,mschap2"));
        assert_eq!(reads(&Methods, "chap"), written("chap"));
        assert_eq!(reads(&Methods, ""), Err(Fault::Syntax));
        assert_eq!(reads(&Methods, "eap"), Err(Fault::Syntax));
    }

    #[test]
    fn packet_sizes_have_limits() {
        assert_eq!(reads(&PacketSize, "1460"), written("1460"));
        for text in ["127", "1501", "99999999999999999999999"] {
            let refused = Err(Fault::OutOfRange("128..1500".to_owned()));
            assert_eq!(reads(&PacketSize, text), refused);
        }
        assert_eq!(reads(&PacketSize, "+1460"), Err(Fault::Invalid));
    }

    #[test]
    fn keepalive_is_a_time_shown_as_seconds() {
        assert_eq!(reads(&Keepalive, "1m"), written("60"));
        assert_eq!(reads(&Keepalive, "00:00:30"), written("30"));
        assert_eq!(reads(&Keepalive, "disabled"), written("disabled"));
        assert_eq!(
            reads(&Keepalive, "0"),
            Err(Fault::OutOfRange("1..86400".to_owned()))
        );
        assert_eq!(reads(&Keepalive, "soon"), Err(Fault::Invalid));
    }

    #[test]
    fn a_mistyped_address_is_not_taken_for_a_pool() {
        assert_eq!(reads(&AddressOrPool, "10.0.0.256"), Err(Fault::Invalid));
        assert_eq!(
            AddressOrPool.parse("pool1"),
            Ok(Some(AddressSource::Pool("pool1".to_owned())))
        );
        assert_eq!(AddressOrPool.parse("0.0.0.0"), Ok(None));
        assert_eq!(AddressOrPool.parse(""), Ok(None));
    }

    #[test]
    fn a_server_is_an_address_or_a_name() {
        for text in ["10.0.0.1", "vpn.example.net", "vpn_1", "a.b."] {
            assert_eq!(reads(&Host, text), written(text));
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.256",
            "0.0.0.0",
            "-a.b",
            "a..b",
            "a b",
            "::1",
            ".",
        ] {
            assert_eq!(reads(&Host, text), Err(Fault::Invalid), "{text:?}");
        }
    }

    #[test]
    fn at_most_two_name_servers_can_be_told() {
        assert_eq!(
            reads(&TwoAddresses, "8.8.8.8,1.1.1.1"),
            written("8.8.8.8,1.1.1.1")
        );
        assert_eq!(reads(&TwoAddresses, ""), written(""));
        assert_eq!(
            reads(&TwoAddresses, "1.1.1.1,2.2.2.2,3.3.3.3"),
            Err(Fault::Invalid)
        );
    }

    #[test]
    fn both_spellings_of_required_are_read() {
        assert_eq!(reads(&EncryptionPolicy, "require"), written("required"));
        assert_eq!(reads(&EncryptionPolicy, "required"), written("required"));
        assert_eq!(reads(&EncryptionPolicy, "maybe"), Err(Fault::Syntax));
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        assert_eq!(reads(&InterfaceName, "<pptp-MT>"), written("<pptp-MT>"));
        for text in ["", ".", "..", "a/b", "a b", &"x".repeat(128)] {
            assert_eq!(reads(&InterfaceName, text), Err(Fault::Invalid));
        }
    }
}

//! The configuration: what the menus of the product hold, as values.
//!
//! A [`Config`] is read from text in the syntax of the product's export ([`Config::parse`]). The
//! [`schema`] says which menus and properties there are; a text that contains anything else, or
//! refers to what does not exist, is refused as a whole.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::ppp::{AuthMethod, Encryption, UseIpv6};

mod check;
mod lex;
mod parse;
mod resolve;
pub mod schema;
pub mod time;
pub mod value;

pub use self::lex::Position;
pub use self::resolve::Resolved;

/// The configuration of the demonstration, in the syntax of the file: a server with the user
/// `MT-User`, password `StrongPass`, and the addresses 10.0.0.1 and 10.0.0.5.
pub const DEMO: &str = include_str!("demo.rsc");

/// The name of the profile that leaves everything to the server's `default-profile`.
pub const DEFAULT_PROFILE: &str = "default";

/// The name of the built-in profile with encryption.
pub const DEFAULT_ENCRYPTION_PROFILE: &str = "default-encryption";

/// Everything that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `/system identity`: the name in prompts and challenges.
    pub identity: String,
    /// `/interface pptp-server server`.
    pub server: PptpServer,
    /// `/interface pptp-client`, in the order they were added.
    pub clients: Vec<PptpClient>,
    /// `/ppp profile`, the two built-in ones first.
    pub profiles: Vec<Profile>,
    /// `/ppp secret`.
    pub secrets: Vec<Secret>,
    /// `/ip pool`.
    pub pools: Vec<Pool>,
}

impl Config {
    /// Reads a configuration from text in the syntax of the product's export.
    ///
    /// # Errors
    /// All that is wrong with the text, in its order. No part of it is to be used then.
    pub fn parse(text: &str) -> Result<(Self, Vec<Warning>), Vec<Error>> {
        parse::parse(text)
    }

    /// The profile called `name`.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// The pool called `name`.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The secret by which `user` logs in over PPTP: one for this service before one for any.
    /// A disabled one is found where there is no other; those of other services do not count.
    #[must_use]
    pub fn secret(&self, user: &str) -> Option<&Secret> {
        // All are looked at, so that the time does not tell who is there.
        let rank = |secret: &Secret| match (secret.disabled, secret.service) {
            (false, Service::Pptp) => Some(4),
            (false, Service::Any) => Some(3),
            (true, Service::Pptp) => Some(2),
            (true, Service::Any) => Some(1),
            (_, Service::Other(_)) => None,
        };
        let named = self.secrets.iter().filter(|secret| secret.name == user);
        named
            .filter_map(|secret| Some((rank(secret)?, secret)))
            .max_by_key(|&(rank, _)| rank)
            .map(|(_, secret)| secret)
    }
}

/// Nothing configured but the two built-in profiles.
impl Default for Config {
    fn default() -> Self {
        Self {
            identity: "Greyhound".to_owned(),
            server: PptpServer::default(),
            clients: Vec::new(),
            profiles: vec![
                Profile {
                    name: DEFAULT_PROFILE.to_owned(),
                    ..Profile::default()
                },
                Profile {
                    name: DEFAULT_ENCRYPTION_PROFILE.to_owned(),
                    use_encryption: Some(Encryption::Yes),
                    ..Profile::default()
                },
            ],
            secrets: Vec::new(),
            pools: Vec::new(),
        }
    }
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} {at}")]
pub struct Error {
    /// Where.
    pub at: Position,
    /// What, in the words of the product where it has some.
    pub text: String,
}

/// What is accepted and of no use, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// What.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.at)
    }
}

/// `/interface pptp-server server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PptpServer {
    /// Listen on TCP 1723. Default no.
    pub enabled: bool,
    /// Methods accepted. Default mschap1, mschap2.
    pub authentication: Vec<AuthMethod>,
    /// The profile of users whose own says `default`. Default `default-encryption`.
    pub default_profile: String,
    /// Silence before echoes are sent; `None` is `disabled`. Default 30 s.
    pub keepalive_timeout: Option<Duration>,
    /// Largest packet we send, in bytes. Default 1460.
    pub max_mtu: u16,
    /// Largest packet we ask for, in bytes. Default 1460.
    pub max_mru: u16,
    /// Largest packet that may come in fragments, in bytes; `None` is `disabled`, the default.
    pub mrru: Option<u16>,
    /// How many clients may be connected; `None` is `unlimited`, the default.
    pub max_sessions: Option<u32>,
}

impl Default for PptpServer {
    fn default() -> Self {
        Self {
            enabled: false,
            authentication: vec![AuthMethod::MsChapV1, AuthMethod::MsChapV2],
            default_profile: DEFAULT_ENCRYPTION_PROFILE.to_owned(),
            keepalive_timeout: Some(Duration::from_secs(30)),
            max_mtu: 1460,
            max_mru: 1460,
            mrru: None,
            max_sessions: None,
        }
    }
}

/// `/interface pptp-client`.
#[derive(Clone, PartialEq, Eq)]
pub struct PptpClient {
    /// Interface name, default `pptp-out1` and so on.
    pub name: String,
    /// The server: an IPv4 address or a DNS name.
    pub connect_to: String,
    /// Our name.
    pub user: String,
    /// Our password.
    pub password: Zeroizing<String>,
    /// Supplies the encryption policy. Default `default-encryption`.
    pub profile: String,
    /// Methods the server may use. Default all four.
    pub allow: Vec<AuthMethod>,
    /// As the server's. Default 60 s.
    pub keepalive_timeout: Option<Duration>,
    /// Default 1460.
    pub max_mtu: u16,
    /// Default 1460.
    pub max_mru: u16,
    /// As the server's.
    pub mrru: Option<u16>,
    /// Default yes: a new client does not dial.
    pub disabled: bool,
    /// Free text.
    pub comment: String,
}

/// A client without a name: reading a configuration gives it `pptp-out1` and so on.
impl Default for PptpClient {
    fn default() -> Self {
        Self {
            name: String::new(),
            connect_to: String::new(),
            user: String::new(),
            password: Zeroizing::default(),
            profile: DEFAULT_ENCRYPTION_PROFILE.to_owned(),
            allow: vec![
                AuthMethod::Pap,
                AuthMethod::Chap,
                AuthMethod::MsChapV1,
                AuthMethod::MsChapV2,
            ],
            keepalive_timeout: Some(Duration::from_secs(60)),
            max_mtu: 1460,
            max_mru: 1460,
            mrru: None,
            disabled: true,
            comment: String::new(),
        }
    }
}

/// Without the password.
impl fmt::Debug for PptpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PptpClient")
            .field("name", &self.name)
            .field("connect_to", &self.connect_to)
            .field("user", &self.user)
            .field("profile", &self.profile)
            .field("allow", &self.allow)
            .field("keepalive_timeout", &self.keepalive_timeout)
            .field("max_mtu", &self.max_mtu)
            .field("max_mru", &self.max_mru)
            .field("mrru", &self.mrru)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// Where an address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// This one.
    Fixed(Ipv4Addr),
    /// Any free one of the pool with this name.
    Pool(String),
}

/// `/ppp profile`. `None` is `default` (ask the next layer) or unset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Our address inside the tunnel.
    pub local_address: Option<AddressSource>,
    /// The peer's address.
    pub remote_address: Option<AddressSource>,
    /// DNS servers told to the peer.
    pub dns_server: Vec<Ipv4Addr>,
    /// WINS servers told to the peer.
    pub wins_server: Vec<Ipv4Addr>,
    /// `use-encryption`.
    pub use_encryption: Option<Encryption>,
    /// `use-ipv6`. Default yes.
    pub use_ipv6: Option<UseIpv6>,
    /// `only-one`: a second login of a user replaces the first.
    pub only_one: Option<bool>,
    /// Free text.
    pub comment: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: String::new(),
            local_address: None,
            remote_address: None,
            dns_server: Vec::new(),
            wins_server: Vec::new(),
            use_encryption: None,
            use_ipv6: Some(UseIpv6::Yes),
            only_one: None,
            comment: String::new(),
        }
    }
}

/// `/ppp secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The login.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// Only `any` and `pptp` log in here.
    pub service: Service,
    /// Default `default`.
    pub profile: String,
    /// If not empty, the address the client must come from.
    pub caller_id: String,
    /// Beats the profile's.
    pub local_address: Option<Ipv4Addr>,
    /// Beats the profile's.
    pub remote_address: Option<Ipv4Addr>,
    /// Kept but not let in.
    pub disabled: bool,
    /// Free text.
    pub comment: String,
}

impl Default for Secret {
    fn default() -> Self {
        Self {
            name: String::new(),
            password: Zeroizing::default(),
            service: Service::Any,
            profile: DEFAULT_PROFILE.to_owned(),
            caller_id: String::new(),
            local_address: None,
            remote_address: None,
            disabled: false,
            comment: String::new(),
        }
    }
}

/// Without the password.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("service", &self.service)
            .field("profile", &self.profile)
            .field("caller_id", &self.caller_id)
            .field("local_address", &self.local_address)
            .field("remote_address", &self.remote_address)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// `service` of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// All of them.
    #[default]
    Any,
    /// PPTP.
    Pptp,
    /// One that this program does not offer; kept with its name.
    Other(&'static str),
}

/// `/ip pool`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// First and last address of each range.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Where to look when it is exhausted.
    pub next_pool: Option<String>,
    /// Free text.
    pub comment: String,
}

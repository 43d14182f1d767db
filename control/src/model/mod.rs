//! The configuration: what the menus of the product hold, as values.

use std::net::Ipv4Addr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::ppp::{AuthMethod, Encryption};

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
}

/// `/interface pptp-client`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Default yes: a new client does not dial.
    pub disabled: bool,
    /// Free text.
    pub comment: String,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// `only-one`: a second login of a user replaces the first.
    pub only_one: Option<bool>,
    /// Free text.
    pub comment: String,
}

/// `/ppp secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

//! The items of the menus, each with its defaults.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::rate::RateLimit;
use super::route::Route;
use super::schema::Meta;
use super::{DEFAULT_ENCRYPTION_PROFILE, DEFAULT_PROFILE};
use crate::ppp::{AuthMethod, Encryption, UseIpv6};

/// `/interface pptp-server server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PptpServer {
    /// See [`Meta`].
    pub meta: Meta,
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
    /// A client that comes again from the same address ends its earlier session. Default no.
    pub one_session_per_host: bool,
}

impl Default for PptpServer {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            enabled: false,
            authentication: vec![AuthMethod::MsChapV1, AuthMethod::MsChapV2],
            default_profile: DEFAULT_ENCRYPTION_PROFILE.to_owned(),
            keepalive_timeout: Some(Duration::from_secs(30)),
            max_mtu: 1460,
            max_mru: 1460,
            mrru: None,
            max_sessions: None,
            one_session_per_host: false,
        }
    }
}

/// `/interface pptp-client`.
#[derive(Clone, PartialEq, Eq)]
pub struct PptpClient {
    /// See [`Meta`].
    pub meta: Meta,
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
    /// Ask the name servers that the server tells. Default no.
    pub use_peer_dns: PeerDns,
    /// Have a default route through the tunnel. Default no.
    pub add_default_route: bool,
    /// The metric of that route. Default 1.
    pub default_route_distance: u8,
    /// Dial when a packet wants to go out. Default no.
    pub dial_on_demand: bool,
    /// Default yes: a new client does not dial.
    pub disabled: bool,
    /// Free text.
    pub comment: String,
}

/// A client without a name: reading a configuration gives it `pptp-out1` and so on.
impl Default for PptpClient {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
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
            use_peer_dns: PeerDns::No,
            add_default_route: false,
            default_route_distance: 1,
            dial_on_demand: false,
            disabled: true,
            comment: String::new(),
        }
    }
}

/// What is done with the name servers that a server tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerDns {
    /// Nothing.
    #[default]
    No,
    /// They are asked as well as the others.
    Yes,
    /// They are asked in place of the others.
    Exclusively,
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

/// `/interface pptp-server`: the interface of one user's session has this name, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// See [`Meta`].
    pub meta: Meta,
    /// Interface name, default `pptp-in1` and so on.
    pub name: String,
    /// The login that it is reserved for.
    pub user: String,
    /// The user's sessions get dynamic interfaces.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// See [`Meta`].
    pub meta: Meta,
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
    /// `change-tcp-mss`: connections are told a segment size that fits into the tunnel.
    pub change_tcp_mss: Option<bool>,
    /// How long a session may last.
    pub session_timeout: Option<Duration>,
    /// How long a session may carry no data.
    pub idle_timeout: Option<Duration>,
    /// How fast a session may be.
    pub rate_limit: Option<RateLimit>,
    /// The firewall chain for what the client sends.
    pub incoming_filter: Option<String>,
    /// The firewall chain for what the client gets.
    pub outgoing_filter: Option<String>,
    /// Lists that the client's address joins.
    pub address_list: Vec<String>,
    /// The list that the interface joins.
    pub interface_list: Option<String>,
    /// The program that runs after connecting, with its arguments; empty if there is none.
    pub on_up: String,
    /// The program that runs after disconnecting.
    pub on_down: String,
    /// Free text.
    pub comment: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            name: String::new(),
            local_address: None,
            remote_address: None,
            dns_server: Vec::new(),
            wins_server: Vec::new(),
            use_encryption: None,
            use_ipv6: Some(UseIpv6::Yes),
            only_one: None,
            change_tcp_mss: None,
            session_timeout: None,
            idle_timeout: None,
            rate_limit: None,
            incoming_filter: None,
            outgoing_filter: None,
            address_list: Vec::new(),
            interface_list: None,
            on_up: String::new(),
            on_down: String::new(),
            comment: String::new(),
        }
    }
}

/// `/ppp secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// See [`Meta`].
    pub meta: Meta,
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
    /// Networks behind the user, reached through the tunnel while it is up.
    pub routes: Vec<Route>,
    /// Bytes that the user may send in a session; 0 is no limit.
    pub limit_bytes_in: u64,
    /// Bytes that the user may get in a session; 0 is no limit.
    pub limit_bytes_out: u64,
    /// Kept but not let in.
    pub disabled: bool,
    /// Free text.
    pub comment: String,
}

impl Default for Secret {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            name: String::new(),
            password: Zeroizing::default(),
            service: Service::Any,
            profile: DEFAULT_PROFILE.to_owned(),
            caller_id: String::new(),
            local_address: None,
            remote_address: None,
            routes: Vec::new(),
            limit_bytes_in: 0,
            limit_bytes_out: 0,
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
    /// See [`Meta`].
    pub meta: Meta,
    /// Its name.
    pub name: String,
    /// First and last address of each range.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Where to look when it is exhausted.
    pub next_pool: Option<String>,
    /// Free text.
    pub comment: String,
}

/// `/system identity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// See [`Meta`].
    pub meta: Meta,
    /// The name in prompts and challenges. Default `Greyhound`.
    pub name: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            name: "Greyhound".to_owned(),
        }
    }
}

/// `/ppp aaa`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aaa {
    /// See [`Meta`].
    pub meta: Meta,
    /// Ask RADIUS about users without a secret. Default no.
    pub use_radius: bool,
    /// Tell RADIUS what users did. Default yes; means something only with `use_radius`.
    pub accounting: bool,
    /// How often meanwhile; zero is never, the default.
    pub interim_update: Duration,
}

impl Default for Aaa {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            use_radius: false,
            accounting: true,
            interim_update: Duration::ZERO,
        }
    }
}

/// `/ppp accounting settings`: how much of what is kept on the disk stays there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountingSettings {
    /// See [`Meta`].
    pub meta: Meta,
    /// How long a session is kept after its end; zero is for ever. Default 365 days.
    pub keep_for: Duration,
    /// How many sessions that have ended are kept; `None` is `unlimited`. Default 1,000,000.
    pub max_sessions: Option<u32>,
}

impl Default for AccountingSettings {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            keep_for: Duration::from_secs(365 * 24 * 60 * 60),
            max_sessions: Some(1_000_000),
        }
    }
}

/// `/radius`: one server. Their order is that in which they are asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Radius {
    /// See [`Meta`].
    pub meta: Meta,
    /// What it is asked about: `ppp` means something here.
    pub service: Vec<String>,
    /// Asked for calls to this address of ours, if not empty.
    pub called_id: String,
    /// Asked for users of this Windows domain, if not empty.
    pub domain: String,
    /// Where it is.
    pub address: Option<Ipv4Addr>,
    /// What it shares with us.
    pub secret: Zeroizing<String>,
    /// UDP port. Default 1812.
    pub authentication_port: u16,
    /// UDP port. Default 1813.
    pub accounting_port: u16,
    /// How long to wait before a request is sent again. Default 1100 ms.
    pub timeout: Duration,
    /// Told what users did only if those before it do not answer. Default no.
    pub accounting_backup: bool,
    /// Sent as Mikrotik-Realm, if not empty.
    pub realm: String,
    /// The address that requests come from; unset is the one that the route has.
    pub src_address: Option<Ipv4Addr>,
    /// Answers must have a Message-Authenticator. Default yes.
    pub require_message_auth: bool,
    /// Not asked.
    pub disabled: bool,
    /// Free text.
    pub comment: String,
}

impl Radius {
    /// Whether it is asked about users of PPP.
    #[must_use]
    pub fn is_for_ppp(&self) -> bool {
        self.service.iter().any(|service| service == "ppp")
    }
}

impl Default for Radius {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            service: Vec::new(),
            called_id: String::new(),
            domain: String::new(),
            address: None,
            secret: Zeroizing::default(),
            authentication_port: 1812,
            accounting_port: 1813,
            timeout: Duration::from_millis(1100),
            accounting_backup: false,
            realm: String::new(),
            src_address: None,
            require_message_auth: true,
            disabled: false,
            comment: String::new(),
        }
    }
}

/// Without what it shares with us.
impl fmt::Debug for Radius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Radius")
            .field("service", &self.service)
            .field("address", &self.address)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// `/radius incoming`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadiusIncoming {
    /// See [`Meta`].
    pub meta: Meta,
    /// Take requests of RADIUS servers. Default no.
    pub accept: bool,
    /// The UDP port they come to. Default 3799.
    pub port: u16,
}

impl Default for RadiusIncoming {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            accept: false,
            port: 3799,
        }
    }
}

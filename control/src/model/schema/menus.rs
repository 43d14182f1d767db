//! The tables of the schema: every property of every menu.

use super::super::value::{
    Address, AddressOrPool, CallerId, EncryptionPolicy, Filled, Host, InterfaceName, Ipv6Policy,
    Keepalive, Limit, Methods, Mrru, Notation, PacketSize, Password, PoolName, ProfileName, Ranges,
    ServiceName, Style, Text, TriState, TwoAddresses, YesNo,
};
use super::super::{Config, Pool, PptpClient, PptpServer, Profile, Secret};
use super::{Accepted, Effect, Item, Menu, Property, Row, Single, Treatment};

macro_rules! kept {
    ($name:literal, $field:ident: $notation:expr, $help:literal $(, $required:ident)?) => {
        Property {
            name: $name,
            help: $help,
            required: kept!(@ $($required)?),
            effect: Effect::Kept {
                set: |item, text| {
                    let value = $notation.parse(text)?;
                    let accepted = Accepted {
                        reference: $notation.reference(&value),
                        warning: $notation.warning(&value),
                    };
                    item.$field = value;
                    Ok(accepted)
                },
                show: |item| $notation.print(&item.$field),
                reset: |item| item.$field = Self::default().$field,
                style: style(&$notation),
            },
        }
    };
    (@) => { false };
    (@ required) => { true };
}

impl Item for Config {
    const MENU: Menu<Self> = Menu {
        path: &["system", "identity"],
        properties: &[kept!(
            "name",
            identity: Filled,
            "what this server calls itself in prompts and challenges"
        )],
    };
}

impl Single for Config {
    fn single(config: &mut Config) -> &mut Self {
        config
    }
}

impl Item for PptpServer {
    const MENU: Menu<Self> = Menu {
        path: &["interface", "pptp-server", "server"],
        properties: &[
            kept!("enabled", enabled: YesNo, "listen on TCP port 1723 and take calls"),
            kept!("max-mtu", max_mtu: PacketSize, "the largest packet that is sent, in bytes"),
            kept!(
                "max-mru",
                max_mru: PacketSize,
                "the largest packet that clients are asked to send, in bytes"
            ),
            kept!(
                "mrru",
                mrru: Mrru,
                "the largest packet that may come in multilink fragments, in bytes"
            ),
            kept!(
                "authentication",
                authentication: Methods,
                "how clients may prove who they are; the strongest is asked for first"
            ),
            kept!(
                "keepalive-timeout",
                keepalive_timeout: Keepalive,
                "silence after which a client is probed, in seconds"
            ),
            kept!(
                "default-profile",
                default_profile: ProfileName,
                "what holds where a user's profile says nothing"
            ),
            kept!(
                "max-sessions",
                max_sessions: Limit,
                "how many clients may be connected at once"
            ),
            words(
                "one-session-per-host",
                "no",
                NO_ONLY,
                "a second call from the same address ends the first",
            ),
        ],
    };
}

impl Single for PptpServer {
    fn single(config: &mut Config) -> &mut Self {
        &mut config.server
    }
}

impl Item for PptpClient {
    const MENU: Menu<Self> = Menu {
        path: &["interface", "pptp-client"],
        properties: &[
            kept!("name", name: InterfaceName, "name of the interface"),
            kept!("max-mtu", max_mtu: PacketSize, "the largest packet that is sent, in bytes"),
            kept!(
                "max-mru",
                max_mru: PacketSize,
                "the largest packet that the server is asked to send, in bytes"
            ),
            kept!(
                "mrru",
                mrru: Mrru,
                "the largest packet that may come in multilink fragments, in bytes"
            ),
            kept!(
                "connect-to",
                connect_to: Host,
                "the server's address or name",
                required
            ),
            kept!("user", user: Filled, "our name, with DOMAIN\\ if there is one", required),
            kept!("password", password: Password, "our password"),
            kept!("profile", profile: ProfileName, "where the encryption policy comes from"),
            kept!(
                "keepalive-timeout",
                keepalive_timeout: Keepalive,
                "silence after which the server is probed, in seconds"
            ),
            words(
                "use-peer-dns",
                "no",
                &[
                    ("no", Treatment::Fine),
                    ("yes", Treatment::NotYet),
                    ("exclusively", Treatment::NotYet),
                ],
                "ask the name servers that the server tells",
            ),
            words(
                "add-default-route",
                "no",
                NO_ONLY,
                "send everything through the tunnel",
            ),
            inert(
                "default-route-distance",
                "",
                &[("1", Treatment::Fine)],
                Treatment::NoEffect,
                "distance of that route",
            ),
            words(
                "dial-on-demand",
                "no",
                NO_ONLY,
                "connect when there is something to send",
            ),
            kept!("allow", allow: Methods, "how we may be asked to prove who we are"),
            kept!("disabled", disabled: YesNo, "do not connect"),
            kept!("comment", comment: Text, "free text"),
        ],
    };
}

impl Row for PptpClient {
    const DUPLICATE: &'static str = "failure: already have interface with such name";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn rows(config: &mut Config) -> &mut Vec<Self> {
        &mut config.clients
    }
}

impl Item for Profile {
    const MENU: Menu<Self> = Menu {
        path: &["ppp", "profile"],
        properties: &[
            kept!("name", name: Filled, "what others refer to it by", required),
            kept!(
                "local-address",
                local_address: AddressOrPool,
                "our address in the tunnel, or the pool it is taken from"
            ),
            kept!(
                "remote-address",
                remote_address: AddressOrPool,
                "the client's address in the tunnel, or the pool it is taken from"
            ),
            kept!("dns-server", dns_server: TwoAddresses, "name servers that the client is told"),
            kept!("wins-server", wins_server: TwoAddresses, "WINS servers that the client is told"),
            kept!(
                "use-encryption",
                use_encryption: EncryptionPolicy,
                "whether MPPE is refused, offered or required"
            ),
            kept!("only-one", only_one: TriState, "a second login of a user ends the first"),
            words(
                "change-tcp-mss",
                "default",
                NEVER_DONE,
                "make TCP connections fit into the tunnel",
            ),
            words(
                "use-compression",
                "default",
                NEVER_DONE,
                "compress with MPPC",
            ),
            kept!("use-ipv6", use_ipv6: Ipv6Policy, "IPv6 inside the tunnel"),
            words(
                "use-mpls",
                "default",
                &[
                    ("default", Treatment::Fine),
                    ("no", Treatment::Fine),
                    ("yes", Treatment::NoEffect),
                    ("required", Treatment::Never("there is no MPLS")),
                ],
                "MPLS inside the tunnel",
            ),
            words(
                "use-upnp",
                "default",
                NEVER_DONE,
                "show the interface to UPnP",
            ),
            inert(
                "session-timeout",
                "",
                NO_TIME,
                Treatment::NotYet,
                "how long a session may last",
            ),
            inert(
                "idle-timeout",
                "",
                NO_TIME,
                Treatment::NotYet,
                "how long a session may carry no data",
            ),
            inert(
                "rate-limit",
                "",
                UNSET,
                Treatment::NotYet,
                "bits per second, rx/tx",
            ),
            inert(
                "incoming-filter",
                "",
                UNSET,
                Treatment::NotYet,
                "firewall chain for what the client sends",
            ),
            inert(
                "outgoing-filter",
                "",
                UNSET,
                Treatment::NotYet,
                "firewall chain for what the client gets",
            ),
            inert(
                "address-list",
                "",
                UNSET,
                Treatment::NotYet,
                "list the client's address joins",
            ),
            inert(
                "interface-list",
                "",
                UNSET,
                Treatment::NotYet,
                "list the interface joins",
            ),
            inert(
                "on-up",
                "",
                UNSET,
                Treatment::NotYet,
                "script that runs after connecting",
            ),
            inert(
                "on-down",
                "",
                UNSET,
                Treatment::NotYet,
                "script that runs after disconnecting",
            ),
            inert(
                "remote-ipv6-prefix-pool",
                "",
                UNSET,
                Treatment::NoEffect,
                "pool of IPv6 prefixes",
            ),
            words(
                "remote-ipv6-prefix-reuse",
                "default",
                NEVER_DONE,
                "keep a client's IPv6 prefix",
            ),
            inert(
                "dhcpv6-pd-pool",
                "",
                UNSET,
                Treatment::NoEffect,
                "pool of delegated prefixes",
            ),
            inert(
                "dhcpv6-lease-time",
                "",
                DEFAULT,
                Treatment::NoEffect,
                "lease of a prefix",
            ),
            words(
                "dhcpv6-use-radius",
                "default",
                NEVER_DONE,
                "ask RADIUS for prefixes",
            ),
            inert(
                "bridge",
                "",
                UNSET,
                Treatment::Never("carry Ethernet by VXLAN or GRETAP inside the tunnel"),
                "bridge that the interface joins",
            ),
            inert(
                "bridge-horizon",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with bridge",
            ),
            inert(
                "bridge-learning",
                "default",
                DEFAULT,
                Treatment::NoEffect,
                "only with bridge",
            ),
            inert(
                "bridge-path-cost",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with bridge",
            ),
            inert(
                "bridge-port-priority",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with bridge",
            ),
            inert(
                "bridge-port-trusted",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with bridge",
            ),
            inert(
                "bridge-port-vid",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with bridge",
            ),
            inert(
                "parent-queue",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with rate-limit",
            ),
            inert(
                "queue-type",
                "default",
                DEFAULT,
                Treatment::NoEffect,
                "only with rate-limit",
            ),
            inert(
                "insert-queue-before",
                "",
                UNSET,
                Treatment::NoEffect,
                "only with rate-limit",
            ),
            kept!("comment", comment: Text, "free text"),
        ],
    };
}

impl Row for Profile {
    const DUPLICATE: &'static str = "failure: already have such entry";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn rows(config: &mut Config) -> &mut Vec<Self> {
        &mut config.profiles
    }
}

impl Item for Secret {
    const MENU: Menu<Self> = Menu {
        path: &["ppp", "secret"],
        properties: &[
            kept!("name", name: Filled, "the login", required),
            kept!("password", password: Password, "the password"),
            kept!("service", service: ServiceName, "the protocol that the user may come by"),
            kept!("profile", profile: ProfileName, "what the user gets"),
            kept!("caller-id", caller_id: CallerId, "the address that the user must come from"),
            kept!("local-address", local_address: Address, "our address in the tunnel"),
            kept!("remote-address", remote_address: Address, "the user's address in the tunnel"),
            inert(
                "routes",
                "",
                UNSET,
                Treatment::NotYet,
                "networks behind the user",
            ),
            inert(
                "ipv6-routes",
                "",
                UNSET,
                Treatment::NotYet,
                "IPv6 networks behind the user",
            ),
            inert(
                "remote-ipv6-prefix",
                "",
                UNSET,
                Treatment::NotYet,
                "the user's IPv6 prefix",
            ),
            inert(
                "limit-bytes-in",
                "0",
                UNLIMITED,
                Treatment::NotYet,
                "bytes from the user",
            ),
            inert(
                "limit-bytes-out",
                "0",
                UNLIMITED,
                Treatment::NotYet,
                "bytes to the user",
            ),
            kept!("disabled", disabled: YesNo, "nobody logs in by it"),
            kept!("comment", comment: Text, "free text"),
        ],
    };
}

impl Row for Secret {
    const DUPLICATE: &'static str = "failure: secret with the same name already exists";

    /// The same name may stand once for each service.
    fn key(&self) -> String {
        format!("{} {}", ServiceName.print(&self.service), self.name)
    }

    fn rows(config: &mut Config) -> &mut Vec<Self> {
        &mut config.secrets
    }
}

impl Item for Pool {
    const MENU: Menu<Self> = Menu {
        path: &["ip", "pool"],
        properties: &[
            kept!("name", name: Filled, "what others refer to it by", required),
            kept!("ranges", ranges: Ranges, "its addresses: a-b, a/len or single ones", required),
            kept!("next-pool", next_pool: PoolName, "where to look when it is exhausted"),
            kept!("comment", comment: Text, "free text"),
        ],
    };
}

impl Row for Pool {
    const DUPLICATE: &'static str = "failure: already have such entry";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn rows(config: &mut Config) -> &mut Vec<Self> {
        &mut config.pools
    }
}

const fn style<N: Notation>(_: &N) -> Style {
    N::STYLE
}

/// A property with a few words for values.
const fn words<T>(
    name: &'static str,
    default: &'static str,
    words: &'static [(&'static str, Treatment)],
    help: &'static str,
) -> Property<T> {
    Property {
        name,
        help,
        required: false,
        effect: Effect::Inert {
            default,
            words,
            others: None,
        },
    }
}

/// A property with any value, of which `fine` ones agree with what the program does.
const fn inert<T>(
    name: &'static str,
    default: &'static str,
    fine: &'static [(&'static str, Treatment)],
    others: Treatment,
    help: &'static str,
) -> Property<T> {
    Property {
        name,
        help,
        required: false,
        effect: Effect::Inert {
            default,
            words: fine,
            others: Some(others),
        },
    }
}

/// Only `no` is what the program does.
const NO_ONLY: &[(&str, Treatment)] = &[("no", Treatment::Fine), ("yes", Treatment::NotYet)];
const UNSET: &[(&str, Treatment)] = &[("", Treatment::Fine), ("none", Treatment::Fine)];
const DEFAULT: &[(&str, Treatment)] = &[("", Treatment::Fine), ("default", Treatment::Fine)];
const UNLIMITED: &[(&str, Treatment)] = &[
    ("0", Treatment::Fine),
    ("", Treatment::Fine),
    ("unlimited", Treatment::Fine),
];
const NO_TIME: &[(&str, Treatment)] = &[
    ("", Treatment::Fine),
    ("none", Treatment::Fine),
    ("0", Treatment::Fine),
    ("0s", Treatment::Fine),
    ("00:00:00", Treatment::Fine),
];
/// Nothing of the kind happens, so that only `yes` promises something.
const NEVER_DONE: &[(&str, Treatment)] = &[
    ("default", Treatment::Fine),
    ("no", Treatment::Fine),
    ("yes", Treatment::NoEffect),
];

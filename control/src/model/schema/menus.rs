//! The tables of the schema: every property of every menu of the configuration.

use super::super::value::{
    Address, AddressOrPool, Bits, Bytes, CallerId, Chain, Distance, EncryptionPolicy, Filled, Host,
    HostAddress, InterfaceName, Ipv6Policy, Keepalive, Limit, ListName, MessageAuth, Methods, Mrru,
    Names, Notation, PacketSize, Password, PeerDnsUse, PoolName, Port, ProfileName, Program,
    RadiusServices, Ranges, Routes, ServiceName, Style, Text, Time, Timeout, Timing, TriState,
    TwoAddresses, YesNo,
};
use super::super::{
    Aaa, AccountingSettings, BUILT_IN, Binding, Config, Identity, Pool, PptpClient, PptpServer,
    Profile, Radius, RadiusIncoming, Secret, built_in_profiles,
};
use super::{Accepted, Effect, Item, Items, Menu, Meta, Property, Treatment};

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
                is_same: |one, other| one.$field == other.$field,
                reset: |item| item.$field = item.default_of().$field,
                refers: refers(&$notation),
                reference: |item| $notation.reference(&item.$field),
                style: style(&$notation),
                values: values(&$notation),
            },
        }
    };
    (@) => { false };
    (@ required) => { true };
}

/// Where the items of a menu are.
macro_rules! single {
    ($field:ident) => {
        fn meta(&self) -> &Meta {
            &self.meta
        }

        fn meta_mut(&mut self) -> &mut Meta {
            &mut self.meta
        }

        fn items(config: &Config) -> &[Self] {
            std::slice::from_ref(&config.$field)
        }

        fn items_mut(config: &mut Config) -> Items<'_, Self> {
            Items::Single(&mut config.$field)
        }
    };
}

/// The same for a menu with any number of them.
macro_rules! many {
    ($field:ident) => {
        fn meta(&self) -> &Meta {
            &self.meta
        }

        fn meta_mut(&mut self) -> &mut Meta {
            &mut self.meta
        }

        fn items(config: &Config) -> &[Self] {
            &config.$field
        }

        fn items_mut(config: &mut Config) -> Items<'_, Self> {
            Items::Many(&mut config.$field)
        }
    };
}

impl Item for Identity {
    const MENU: Menu<Self> = Menu {
        path: &["system", "identity"],
        properties: &[kept!(
            "name",
            name: Filled,
            "what this server calls itself in prompts and challenges"
        )],
        columns: &[],
        blocks: false,
    };

    single!(identity);
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
            kept!(
                "one-session-per-host",
                one_session_per_host: YesNo,
                "a second login from the same address ends the first session"
            ),
        ],
        columns: &[],
        blocks: false,
    };

    single!(server);
}

impl Item for Binding {
    const MENU: Menu<Self> = Menu {
        path: &["interface", "pptp-server"],
        properties: &[
            kept!("name", name: InterfaceName, "name of the interface"),
            kept!("user", user: Filled, "the user that it is reserved for", required),
            kept!("disabled", disabled: YesNo, "the user gets a dynamic interface"),
            kept!("comment", comment: Text, "free text"),
        ],
        columns: &[
            "name",
            "user",
            "mtu",
            "client-address",
            "uptime",
            "encoding",
        ],
        blocks: false,
    };

    many!(bindings);

    fn key(&self) -> String {
        self.name.clone()
    }

    const DUPLICATE: &'static str = "failure: already have interface with such name";
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
            kept!(
                "use-peer-dns",
                use_peer_dns: PeerDnsUse,
                "ask the name servers that the server tells"
            ),
            kept!(
                "add-default-route",
                add_default_route: YesNo,
                "send everything through the tunnel"
            ),
            kept!(
                "default-route-distance",
                default_route_distance: Distance,
                "metric of that route"
            ),
            kept!(
                "dial-on-demand",
                dial_on_demand: YesNo,
                "connect when there is something to send"
            ),
            kept!("allow", allow: Methods, "how we may be asked to prove who we are"),
            kept!("disabled", disabled: YesNo, "do not connect"),
            kept!("comment", comment: Text, "free text"),
        ],
        columns: &["name", "connect-to", "user", "profile"],
        blocks: true,
    };

    many!(clients);

    fn key(&self) -> String {
        self.name.clone()
    }

    const DUPLICATE: &'static str = "failure: already have interface with such name";
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
            kept!("change-tcp-mss", change_tcp_mss: TriState, "make TCP connections fit into the tunnel"),
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
            kept!("session-timeout", session_timeout: Timeout, "how long a session may last"),
            kept!("idle-timeout", idle_timeout: Timeout, "how long a session may carry no data"),
            kept!("rate-limit", rate_limit: Bits, "bits a second from/to the client, with bursts"),
            kept!("incoming-filter", incoming_filter: Chain, "firewall chain for what the client sends"),
            kept!("outgoing-filter", outgoing_filter: Chain, "firewall chain for what the client gets"),
            kept!("address-list", address_list: Names, "firewall sets that the client's address joins"),
            kept!("interface-list", interface_list: ListName, "firewall set that the interface joins"),
            kept!("on-up", on_up: Program, "program that is run after connecting"),
            kept!("on-down", on_down: Program, "program that is run after disconnecting"),
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
        columns: &[
            "name",
            "local-address",
            "remote-address",
            "use-encryption",
            "only-one",
            "rate-limit",
        ],
        blocks: true,
    };

    many!(profiles);

    fn key(&self) -> String {
        self.name.clone()
    }

    fn default_of(&self) -> Self {
        let place = BUILT_IN.iter().position(|&id| id == self.meta.id);
        let built_in = place.and_then(|place| built_in_profiles().into_iter().nth(place));
        built_in.unwrap_or_default()
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
            kept!("routes", routes: Routes, "networks behind the user: NETWORK/LENGTH GATEWAY METRIC"),
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
            kept!("limit-bytes-in", limit_bytes_in: Bytes, "bytes from the user in one session"),
            kept!("limit-bytes-out", limit_bytes_out: Bytes, "bytes to the user in one session"),
            kept!("disabled", disabled: YesNo, "nobody logs in by it"),
            kept!("comment", comment: Text, "free text"),
        ],
        columns: &[
            "name",
            "service",
            "caller-id",
            "password",
            "profile",
            "remote-address",
        ],
        blocks: false,
    };

    many!(secrets);

    /// The same name may stand once for each service.
    fn key(&self) -> String {
        format!("{} {}", ServiceName.print(&self.service), self.name)
    }

    const DUPLICATE: &'static str = "failure: secret with the same name already exists";
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
        columns: &["name", "ranges", "next-pool", "total", "used", "available"],
        blocks: false,
    };

    many!(pools);

    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Item for Aaa {
    const MENU: Menu<Self> = Menu {
        path: &["ppp", "aaa"],
        properties: &[
            kept!("use-radius", use_radius: YesNo, "ask RADIUS about users without a secret"),
            kept!("accounting", accounting: YesNo, "tell RADIUS what its users did"),
            kept!("interim-update", interim_update: Time, "how often meanwhile; 0s is never"),
            words(
                "use-circuit-id-in-nas-port-id",
                "no",
                NEVER_DONE,
                "only with PPPoE relays",
            ),
            words(
                "enable-ipv6-accounting",
                "no",
                NEVER_DONE,
                "count IPv6 by itself",
            ),
        ],
        columns: &[],
        blocks: false,
    };

    single!(aaa);
}

impl Item for AccountingSettings {
    const MENU: Menu<Self> = Menu {
        path: &["ppp", "accounting", "settings"],
        properties: &[
            kept!(
                "keep-for",
                keep_for: Time,
                "how long a session is kept after its end; 0s is for ever"
            ),
            kept!(
                "max-sessions",
                max_sessions: Limit,
                "how many sessions that have ended are kept"
            ),
        ],
        columns: &[],
        blocks: false,
    };

    single!(accounting);
}

impl Item for Radius {
    const MENU: Menu<Self> = Menu {
        path: &["radius"],
        properties: &[
            kept!("service", service: RadiusServices, "what it is asked about"),
            kept!("called-id", called_id: Text, "asked only for calls to this address of ours"),
            kept!("domain", domain: Text, "asked only for users of this Windows domain"),
            kept!("address", address: HostAddress, "where it is"),
            kept!("secret", secret: Password, "what it shares with us"),
            kept!("authentication-port", authentication_port: Port, "UDP port"),
            kept!("accounting-port", accounting_port: Port, "UDP port"),
            kept!("timeout", timeout: Timing, "wait before a request is sent again"),
            kept!(
                "accounting-backup",
                accounting_backup: YesNo,
                "told what users did only if those before it do not answer"
            ),
            kept!("realm", realm: Text, "sent as Mikrotik-Realm"),
            words(
                "protocol",
                "udp",
                &[("udp", Treatment::Fine), ("radsec", Treatment::NotYet)],
                "how it is reached",
            ),
            inert(
                "certificate",
                "none",
                UNSET,
                Treatment::NoEffect,
                "only with radsec",
            ),
            inert(
                "radsec-timeout",
                "3300ms",
                &[("3300ms", Treatment::Fine), ("3s300ms", Treatment::Fine)],
                Treatment::NoEffect,
                "only with radsec",
            ),
            kept!("src-address", src_address: HostAddress, "the address that requests come from"),
            kept!(
                "require-message-auth",
                require_message_auth: MessageAuth,
                "whether answers must have a Message-Authenticator"
            ),
            kept!("disabled", disabled: YesNo, "it is not asked"),
            kept!("comment", comment: Text, "free text"),
        ],
        columns: &["service", "called-id", "domain", "address", "secret"],
        blocks: false,
    };

    many!(radius);
}

impl Item for RadiusIncoming {
    const MENU: Menu<Self> = Menu {
        path: &["radius", "incoming"],
        properties: &[
            kept!("accept", accept: YesNo, "take requests of RADIUS servers"),
            kept!("port", port: Port, "the UDP port that they come to"),
            inert(
                "vrf",
                "main",
                &[("main", Treatment::Fine)],
                Treatment::NoEffect,
                "only main",
            ),
        ],
        columns: &[],
        blocks: false,
    };

    single!(radius_incoming);
}

const fn style<N: Notation>(_: &N) -> Style {
    N::STYLE
}

const fn refers<N: Notation>(_: &N) -> bool {
    N::REFERS
}

const fn values<N: Notation>(_: &N) -> &'static str {
    N::VALUES
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

const UNSET: &[(&str, Treatment)] = &[("", Treatment::Fine), ("none", Treatment::Fine)];
const DEFAULT: &[(&str, Treatment)] = &[("", Treatment::Fine), ("default", Treatment::Fine)];
/// Nothing of the kind happens, so that only `yes` promises something.
const NEVER_DONE: &[(&str, Treatment)] = &[
    ("default", Treatment::Fine),
    ("no", Treatment::Fine),
    ("yes", Treatment::NoEffect),
];

//! Which options pppd has, and what each is here: for a server, where a tunnel out has something else.

use self::Meaning::{
    Address, Anyway, EchoFailure, EchoInterval, Link, Mppe, Name, Profile, Refused, Required,
    Seconds, Without,
};

/// An option of pppd.
pub(super) struct Known {
    /// As it stands in the file.
    pub(super) name: &'static str,
    /// How many words follow.
    pub(super) arguments: usize,
    /// What it is here.
    pub(super) meaning: Meaning,
}

/// What an option is here.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// This property of the server, or of the tunnel out, with the same number.
    Link(&'static str),
    /// This time of the profile, in seconds.
    Seconds(&'static str),
    /// This property of the profile, with this value.
    Profile(&'static str, &'static str),
    /// A way to prove who one is that the peer must use one of.
    Required(&'static str),
    /// One that pppd does not use.
    Refused(&'static str),
    /// One of two addresses of a property of the profile.
    Address(&'static str),
    /// Seconds between two probes.
    EchoInterval,
    /// Probes without an answer.
    EchoFailure,
    /// What pppd calls itself.
    Name,
    /// What the first releases with encryption had: a list of words.
    Mppe,
    /// Nothing else is done here.
    Anyway,
    /// Why there is no such thing.
    Without(&'static str),
}

const EAP: &str = "there is no EAP";
const CLIENT: &str = "is of a tunnel out: add that with /interface pptp-client";
const SERIAL: &str = "only matters on a serial line";
const NONE: &str = "has no equivalent";
const PROGRAM: &str = "programs are not taken over: see on-up and on-down of a profile";
pub(super) const STRENGTH: &str =
    "a strength cannot be refused: the best that both sides have is used";

/// The options that are told apart; any other is said not to be known.
const OPTIONS: &[(&str, usize, Meaning)] = &[
    ("name", 1, Name),
    ("mtu", 1, Link("max-mtu")),
    ("mru", 1, Link("max-mru")),
    ("mrru", 1, Link("mrru")),
    ("idle", 1, Seconds("idle-timeout")),
    ("maxconnect", 1, Seconds("session-timeout")),
    ("ms-dns", 1, Address("dns-server")),
    ("ms-wins", 1, Address("wins-server")),
    ("dns-addr", 1, Address("dns-server")),
    ("wins-addr", 1, Address("wins-server")),
    ("lcp-echo-interval", 1, EchoInterval),
    ("lcp-echo-failure", 1, EchoFailure),
    ("require-pap", 0, Required("pap")),
    ("+pap", 0, Required("pap")),
    ("require-chap", 0, Required("chap")),
    ("+chap", 0, Required("chap")),
    ("require-mschap", 0, Required("mschap1")),
    ("+mschap", 0, Required("mschap1")),
    ("+chapms", 0, Required("mschap1")),
    ("require-chapms", 0, Required("mschap1")),
    ("require-mschap-v2", 0, Required("mschap2")),
    ("+mschap-v2", 0, Required("mschap2")),
    ("+chapms-v2", 0, Required("mschap2")),
    ("require-chapms-v2", 0, Required("mschap2")),
    ("require-eap", 0, Without(EAP)),
    ("refuse-pap", 0, Refused("pap")),
    ("-pap", 0, Refused("pap")),
    ("refuse-chap", 0, Refused("chap")),
    ("-chap", 0, Refused("chap")),
    ("refuse-mschap", 0, Refused("mschap1")),
    ("-mschap", 0, Refused("mschap1")),
    ("-chapms", 0, Refused("mschap1")),
    ("refuse-mschap-v2", 0, Refused("mschap2")),
    ("-mschap-v2", 0, Refused("mschap2")),
    ("-chapms-v2", 0, Refused("mschap2")),
    ("refuse-eap", 0, Anyway),
    ("auth", 0, Anyway),
    (
        "noauth",
        0,
        Without("nobody gets in without a name and a password"),
    ),
    ("require-mppe", 0, Profile("use-encryption", "required")),
    ("require-mppe-128", 0, Profile("use-encryption", "required")),
    ("require-mppe-40", 0, Profile("use-encryption", "required")),
    ("+mppe", 0, Profile("use-encryption", "required")),
    ("+mppe-128", 0, Profile("use-encryption", "required")),
    ("+mppe-40", 0, Profile("use-encryption", "required")),
    ("nomppe", 0, Profile("use-encryption", "no")),
    ("-mppe", 0, Profile("use-encryption", "no")),
    ("noccp", 0, Profile("use-encryption", "no")),
    ("mppe", 1, Mppe),
    ("nomppe-40", 0, Without(STRENGTH)),
    ("nomppe-56", 0, Without(STRENGTH)),
    ("-mppe-40", 0, Without(STRENGTH)),
    ("nomppe-128", 0, Without(STRENGTH)),
    ("-mppe-128", 0, Without(STRENGTH)),
    ("mppe-stateful", 0, Anyway),
    (
        "nomppe-stateful",
        0,
        Without("a peer that insists on it gets it"),
    ),
    ("noipv6", 0, Profile("use-ipv6", "no")),
    ("-ipv6", 0, Profile("use-ipv6", "no")),
    ("+ipv6", 0, Profile("use-ipv6", "yes")),
    ("ipv6", 1, Without(NONE)),
    ("noip", 0, Without("there is no session without IPv4")),
    (
        "proxyarp",
        0,
        Without("ARP is not answered for clients: have their addresses routed here"),
    ),
    ("noproxyarp", 0, Anyway),
    ("nodefaultroute", 0, Anyway),
    ("noreplacedefaultroute", 0, Anyway),
    ("nodefaultroute6", 0, Anyway),
    ("lock", 0, Anyway),
    ("nolock", 0, Anyway),
    ("bsdcomp", 1, Without("there is no compression")),
    ("deflate", 1, Without("there is no compression")),
    ("predictor1", 0, Without("there is no compression")),
    ("nobsdcomp", 0, Anyway),
    ("nodeflate", 0, Anyway),
    ("nodeflatedraft", 0, Anyway),
    ("nopredictor1", 0, Anyway),
    ("novj", 0, Anyway),
    ("-vj", 0, Anyway),
    ("novjccomp", 0, Anyway),
    ("-vjccomp", 0, Anyway),
    ("vj-max-slots", 1, Without("there is no compression")),
    ("noipx", 0, Anyway),
    ("ipx", 0, Without("there is no IPX")),
    ("accomp", 0, Anyway),
    ("pcomp", 0, Anyway),
    ("noaccomp", 0, Without(NONE)),
    ("-ac", 0, Without(NONE)),
    ("nopcomp", 0, Without(NONE)),
    ("-pc", 0, Without(NONE)),
    ("nomagic", 0, Without("magic numbers are always negotiated")),
    ("silent", 0, Without(NONE)),
    ("passive", 0, Without(NONE)),
    ("mp", 0, Without("set mrru to take packets in fragments")),
    (
        "multilink",
        0,
        Without("set mrru to take packets in fragments"),
    ),
    ("nomp", 0, Anyway),
    ("nomultilink", 0, Anyway),
    ("endpoint", 1, Without(NONE)),
    ("noendpoint", 0, Without(NONE)),
    ("default-asyncmap", 0, Anyway),
    ("asyncmap", 1, Without(SERIAL)),
    ("escape", 1, Without(SERIAL)),
    ("local", 0, Without(SERIAL)),
    ("modem", 0, Without(SERIAL)),
    ("crtscts", 0, Without(SERIAL)),
    ("nocrtscts", 0, Without(SERIAL)),
    ("xonxoff", 0, Without(SERIAL)),
    ("connect", 1, Without(SERIAL)),
    ("disconnect", 1, Without(SERIAL)),
    ("init", 1, Without(SERIAL)),
    ("pty", 1, Without(CLIENT)),
    ("user", 1, Without(CLIENT)),
    ("password", 1, Without(CLIENT)),
    ("remotename", 1, Without(CLIENT)),
    ("defaultroute", 0, Without(CLIENT)),
    ("defaultroute-metric", 1, Without(CLIENT)),
    ("defaultroute6", 0, Without(CLIENT)),
    ("replacedefaultroute", 0, Without(CLIENT)),
    ("usepeerdns", 0, Without(CLIENT)),
    ("persist", 0, Without(CLIENT)),
    ("nopersist", 0, Anyway),
    ("maxfail", 1, Without(CLIENT)),
    ("holdoff", 1, Without(CLIENT)),
    ("demand", 0, Without(CLIENT)),
    ("pptp_server", 1, Without(CLIENT)),
    ("pptp_client", 1, Without(CLIENT)),
    ("pptp_phone", 1, Without(CLIENT)),
    ("pptp_sock", 1, Without(CLIENT)),
    ("pptp_window", 1, Without(CLIENT)),
    (
        "call",
        1,
        Without("the options of a tunnel out stand in that file"),
    ),
    ("file", 1, Without("import that file as well")),
    (
        "plugin",
        1,
        Without("plugins are not taken over; RADIUS servers are added with /radius add"),
    ),
    (
        "radius-config-file",
        1,
        Without("RADIUS servers are added with /radius add"),
    ),
    ("avpair", 1, Without(NONE)),
    (
        "ntlm_auth-helper",
        1,
        Without("names and passwords of Windows are asked for by RADIUS"),
    ),
    (
        "login",
        0,
        Without("users of the machine are not users of the server"),
    ),
    ("papcrypt", 0, Without("passwords are not kept as hashes")),
    (
        "chapms-strip-domain",
        0,
        Without("the name of a secret is what the client sends, domain included"),
    ),
    ("domain", 1, Without(NONE)),
    (
        "usehostname",
        0,
        Without("set the name with /system identity"),
    ),
    (
        "allow-ip",
        1,
        Without("nobody gets in without a name and a password"),
    ),
    ("ip-up-script", 1, Without(PROGRAM)),
    ("ip-down-script", 1, Without(PROGRAM)),
    ("welcome", 1, Without(PROGRAM)),
    ("ipparam", 1, Without(PROGRAM)),
    ("linkname", 1, Without(NONE)),
    (
        "unit",
        1,
        Without("names of interfaces are given with /interface pptp-server add"),
    ),
    (
        "ifname",
        1,
        Without("names of interfaces are given with /interface pptp-server add"),
    ),
    (
        "debug",
        0,
        Without("what is logged is said on the command line"),
    ),
    ("nodebug", 0, Anyway),
    ("dump", 0, Anyway),
    ("kdebug", 1, Without(NONE)),
    (
        "logfile",
        1,
        Without("what is logged is said on the command line"),
    ),
    (
        "logfd",
        1,
        Without("what is logged is said on the command line"),
    ),
    (
        "nolog",
        0,
        Without("what is logged is said on the command line"),
    ),
    ("nologfd", 0, Anyway),
    ("record", 1, Without(NONE)),
    ("nodetach", 0, Anyway),
    ("-detach", 0, Anyway),
    ("updetach", 0, Anyway),
    ("hide-password", 0, Anyway),
    ("show-password", 0, Without("passwords are never logged")),
    ("ktune", 0, Without(NONE)),
    ("noktune", 0, Anyway),
    ("sync", 0, Anyway),
    ("receive-all", 0, Anyway),
    ("noipdefault", 0, Anyway),
    ("noremoteip", 0, Without(NONE)),
    (
        "ipcp-accept-local",
        0,
        Without("the server's address is not the client's to choose"),
    ),
    (
        "ipcp-accept-remote",
        0,
        Without("a client's address is not its to choose"),
    ),
    ("ipv6cp-accept-local", 0, Without(NONE)),
    ("active-filter", 1, Without(NONE)),
    (
        "pass-filter",
        1,
        Without("filters are chains: see incoming-filter of a profile"),
    ),
    ("lcp-echo-adaptive", 0, Anyway),
    ("lcp-max-configure", 1, Without(NONE)),
    ("lcp-max-failure", 1, Without(NONE)),
    ("lcp-max-terminate", 1, Without(NONE)),
    ("lcp-restart", 1, Without(NONE)),
    ("ipcp-max-configure", 1, Without(NONE)),
    ("ipcp-max-failure", 1, Without(NONE)),
    ("ipcp-max-terminate", 1, Without(NONE)),
    ("ipcp-restart", 1, Without(NONE)),
    (
        "chap-interval",
        1,
        Without("nobody is asked again while connected"),
    ),
    ("chap-max-challenge", 1, Without(NONE)),
    ("chap-restart", 1, Without(NONE)),
    ("chap-timeout", 1, Without(NONE)),
    ("pap-timeout", 1, Without(NONE)),
    ("pap-restart", 1, Without(NONE)),
    ("pap-max-authreq", 1, Without(NONE)),
    ("child-timeout", 1, Without(NONE)),
    ("privgroup", 1, Without(NONE)),
    ("set", 1, Without(PROGRAM)),
    ("unset", 1, Without(PROGRAM)),
];

/// Whether `mppe` with these words asks for encryption, and not only for a way of it.
pub(super) fn requires_mppe(words: &str) -> bool {
    words.split(',').any(|word| word == "required")
}

/// Whether `mppe` with these words leaves keys of some length out.
pub(super) fn refuses_strength(words: &str) -> bool {
    words
        .split(',')
        .any(|word| matches!(word, "no40" | "no56" | "no128"))
}

impl Known {
    /// The option with this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        let &(name, arguments, meaning) = OPTIONS.iter().find(|(known, ..)| *known == name)?;
        Some(Self {
            name,
            arguments,
            meaning,
        })
    }
}

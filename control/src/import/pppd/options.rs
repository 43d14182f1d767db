//! A file of pppd's options, as `pptpd-options` and `options.pptpd`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::words::{Word, lines};
use crate::import::draft::{Draft, IDENTITY, SERVER};

/// What `text` says; `None` if nothing in it is an option.
pub(in crate::import) fn read(text: &str) -> Option<Draft> {
    let lines = lines(text);
    let ends = lines.iter().scan(0, |end, line| {
        *end += line.words.len();
        Some(*end)
    });
    let ends: Vec<_> = ends.collect();
    let words: Vec<_> = lines.into_iter().flat_map(|line| line.words).collect();
    let mut reader = Reader::default();
    let mut at = 0;
    let mut is_one = words.is_empty();
    while let Some(word) = words.get(at) {
        let Some(option) = Known::find(word.text()) else {
            // How many words belong to it is not known: those of its line.
            let end = ends.iter().find(|&&end| end > at).copied();
            let end = end.unwrap_or(words.len());
            is_one |= reader.unknown(&words[at..end]);
            at = end;
            continue;
        };
        is_one = true;
        let end = (at + 1 + option.arguments).min(words.len());
        reader.option(option, &words[at..end]);
        at = end;
    }
    is_one.then(|| reader.finish())
}

/// Whether a file of options may begin a line with this.
pub(in crate::import) fn is_option(word: &str) -> bool {
    Known::find(word).is_some()
}

/// An option of pppd.
struct Known {
    name: &'static str,
    /// How many words follow.
    arguments: usize,
    meaning: Meaning,
}

/// What an option is here.
#[derive(Clone, Copy)]
enum Meaning {
    /// This property of the server, with the same number.
    Server(&'static str),
    /// This time of the profile, in seconds.
    Seconds(&'static str),
    /// This property of the profile, with this value.
    Profile(&'static str, &'static str),
    /// A way to prove who one is that the client must use one of.
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
const STRENGTH: &str = "a strength cannot be refused: the best that the client offers is used";

use Meaning::{
    Address, Anyway, EchoFailure, EchoInterval, Mppe, Name, Profile, Refused, Required, Seconds,
    Server, Without,
};

/// The options that are told apart; any other is said not to be known.
const OPTIONS: &[(&str, usize, Meaning)] = &[
    ("name", 1, Name),
    ("mtu", 1, Server("max-mtu")),
    ("mru", 1, Server("max-mru")),
    ("mrru", 1, Server("mrru")),
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
        Without("a client that insists on it gets it"),
    ),
    ("noipv6", 0, Profile("use-ipv6", "no")),
    ("-ipv6", 0, Profile("use-ipv6", "no")),
    ("+ipv6", 0, Profile("use-ipv6", "yes")),
    ("ipv6", 1, Without(NONE)),
    ("noip", 0, Without("every client gets an IPv4 address")),
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
    (
        "mp",
        0,
        Without("set mrru of the server to take packets in fragments"),
    ),
    (
        "multilink",
        0,
        Without("set mrru of the server to take packets in fragments"),
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
    ("replacedefaultroute", 0, Without(CLIENT)),
    ("usepeerdns", 0, Without(CLIENT)),
    ("persist", 0, Without(CLIENT)),
    ("nopersist", 0, Anyway),
    ("maxfail", 1, Without(CLIENT)),
    ("holdoff", 1, Without(CLIENT)),
    ("demand", 0, Without(CLIENT)),
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

impl Known {
    fn find(name: &str) -> Option<Self> {
        let &(name, arguments, meaning) = OPTIONS.iter().find(|(known, ..)| *known == name)?;
        Some(Self {
            name,
            arguments,
            meaning,
        })
    }
}

/// Reads option by option.
#[derive(Default)]
struct Reader {
    draft: Draft,
    anyway: Vec<(String, usize)>,
    /// Ways to prove who one is, and where they are named.
    required: Vec<(&'static str, usize)>,
    refused: Vec<(&'static str, usize)>,
    /// Addresses of name servers.
    told: Vec<(&'static str, Ipv4Addr, usize)>,
    /// Numbers, and where they stand.
    echo_interval: Option<(u32, usize)>,
    echo_failure: Option<(u32, usize)>,
}

impl Reader {
    /// Takes an option with its arguments.
    fn option(&mut self, option: Known, words: &[Word]) {
        let Known {
            name,
            arguments,
            meaning,
        } = option;
        let Some((first, given)) = words.split_first() else {
            return;
        };
        let line = *first.lines.start();
        let lines: BTreeSet<_> = words.iter().flat_map(|word| word.lines.clone()).collect();
        let what = format!("option {name}");
        if given.len() < arguments || given.iter().any(|word| word.text.is_none()) {
            return self
                .draft
                .leave_out(lines, what, "what belongs to it is missing");
        }
        let value = given.first().map_or("", Word::text);
        let number = || value.parse::<u32>().ok();
        let refused = match meaning {
            Server(property) => match number() {
                Some(number) => {
                    self.draft
                        .set(SERVER, property, &number.to_string(), lines.clone());
                    None
                }
                None => Some(NOT_A_NUMBER),
            },
            Seconds(property) => match number() {
                // For pppd that is no limit.
                Some(0) => {
                    self.anyway.push((name.to_owned(), line));
                    None
                }
                Some(seconds) => {
                    self.draft
                        .set_for_all(property, &format!("{seconds}s"), lines.clone());
                    None
                }
                None => Some(NOT_A_NUMBER),
            },
            Profile(property, value) => {
                self.draft.set_for_all(property, value, lines.clone());
                None
            }
            Required(method) => {
                self.required.push((method, line));
                None
            }
            Refused(method) => {
                self.refused.push((method, line));
                None
            }
            Address(property) => self.address(property, value, line),
            EchoInterval => match number() {
                Some(number) => {
                    self.echo_interval = Some((number, line));
                    None
                }
                None => Some(NOT_A_NUMBER),
            },
            EchoFailure => match number() {
                Some(number) => {
                    self.echo_failure = Some((number, line));
                    None
                }
                None => Some(NOT_A_NUMBER),
            },
            Name => {
                self.draft.set(IDENTITY, "name", value, lines.clone());
                None
            }
            Mppe if value.split(',').any(|word| word == "required") => {
                self.draft
                    .set_for_all("use-encryption", "required", lines.clone());
                None
            }
            Mppe => Some(STRENGTH),
            Anyway => {
                self.anyway.push((name.to_owned(), line));
                None
            }
            Without(why) => Some(why),
        };
        if let Some(why) = refused {
            self.draft.leave_out(lines, what, why);
        }
    }

    fn address(
        &mut self,
        property: &'static str,
        value: &str,
        line: usize,
    ) -> Option<&'static str> {
        let Ok(address) = value.parse() else {
            return Some("is not an IPv4 address");
        };
        if self.told.iter().filter(|one| one.0 == property).count() == 2 {
            return Some("clients are told two");
        }
        self.told.push((property, address, line));
        None
    }

    /// Takes words of which the first one is no option. Whether they could be the server's and the
    /// client's address.
    fn unknown(&mut self, words: &[Word]) -> bool {
        let Some((first, rest)) = words.split_first() else {
            return false;
        };
        let lines: BTreeSet<_> = words.iter().flat_map(|word| word.lines.clone()).collect();
        let parse = |text: &str| match text {
            "" => Some(None),
            text => text.parse::<Ipv4Addr>().ok().map(Some),
        };
        let pair = first.text().split_once(':');
        let pair = pair.and_then(|(local, remote)| Some((parse(local)?, parse(remote)?)));
        let Some((local, remote)) = pair.filter(|_| rest.is_empty()) else {
            // Only the name: what follows may be a password.
            let what = format!("option {}", first.text());
            let why = "not an option that is known here";
            self.draft.leave_out(lines, what, why);
            return false;
        };
        for (property, address) in [("local-address", local), ("remote-address", remote)] {
            if let Some(address) = address {
                self.draft
                    .set_for_all(property, &address.to_string(), lines.clone());
            }
        }
        if local.is_none() && remote.is_none() {
            self.draft
                .leave_out(lines, "addresses", "neither one is given");
        }
        true
    }

    fn finish(mut self) -> Draft {
        self.methods();
        self.told_addresses();
        self.keepalive();
        let mut draft = self.draft;
        draft.leave_out_together(&self.anyway, "what is done here anyway");
        draft
    }

    /// What the client must use; else what is not refused of what the server takes by default. So
    /// PAP and CHAP, by which nothing can be encrypted, are only taken if they were asked for.
    fn methods(&mut self) {
        const ALL: [&str; 4] = ["pap", "chap", "mschap1", "mschap2"];
        fn has(list: &[(&str, usize)], method: &str) -> bool {
            list.iter().any(|one| one.0 == method)
        }
        let (required, refused) = (&self.required, &self.refused);
        let is_taken = |method: &&str| {
            if required.is_empty() {
                method.starts_with("mschap") && !has(refused, method)
            } else {
                has(required, method)
            }
        };
        let methods: Vec<_> = ALL.into_iter().filter(is_taken).collect();
        let lines: Vec<_> = required.iter().chain(refused).map(|one| one.1).collect();
        if lines.is_empty() {
            return;
        }
        if methods.is_empty() {
            let why = "nothing is left by which a client could prove who it is: set \
                       authentication of /interface pptp-server server";
            return self.draft.leave_out(lines, "options refuse-*", why);
        }
        self.draft
            .set(SERVER, "authentication", &methods.join(","), lines);
    }

    fn told_addresses(&mut self) {
        for property in ["dns-server", "wins-server"] {
            let told = self.told.iter().filter(|one| one.0 == property);
            let addresses: Vec<_> = told.clone().map(|one| one.1.to_string()).collect();
            if !addresses.is_empty() {
                let lines: Vec<_> = told.map(|one| one.2).collect();
                self.draft
                    .set_for_all(property, &addresses.join(","), lines);
            }
        }
    }

    /// pppd ends a session that did not answer for so many intervals.
    fn keepalive(&mut self) {
        let (interval, failure) = (self.echo_interval, self.echo_failure);
        let lines = interval.iter().chain(&failure).map(|one| one.1);
        let lines: Vec<_> = lines.collect();
        match (interval, failure) {
            (Some((interval @ 1.., _)), Some((failure @ 1.., _))) => {
                let timeout = interval.saturating_mul(failure).to_string();
                self.draft.set(SERVER, "keepalive-timeout", &timeout, lines);
            }
            (None, None) => {}
            (Some(_), _) | (_, Some(_)) => {
                let what = "options lcp-echo-interval and lcp-echo-failure";
                let why = "only both together find out that a client is gone";
                self.draft.leave_out(lines, what, why);
            }
        }
    }
}

const NOT_A_NUMBER: &str = "is not a number";

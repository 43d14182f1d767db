//! `accel-ppp.conf`.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::rate::Rate;
use crate::import::draft::{
    AAA, Draft, IDENTITY, Item, POOLS, RADIUS, RADIUS_INCOMING, SERVER, shown,
};
use crate::import::ranges::Ranges;

/// What `text` says; `None` if it has no section of accel-ppp.
pub(in crate::import) fn read(text: &str) -> Option<Draft> {
    let mut reader = Reader::default();
    let mut entries = Vec::new();
    let mut section = None;
    let mut is_one = true;
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let heading = line.strip_prefix('[').and_then(|line| line.split_once(']'));
        if let Some((name, behind)) = heading {
            section = Some(name);
            if !behind.trim().is_empty() {
                let what = format!("[{}]", shown(name));
                let why = "what stands behind the name of a section says nothing";
                reader.draft.leave_out([number], what, why);
            }
            continue;
        }
        is_one = false;
        let Some(section) = section else {
            reader
                .draft
                .leave_out([number], "line", "stands in no section");
            continue;
        };
        entries.push(Entry::read(section, line, number));
    }
    is_one |= entries.iter().any(|entry| is_section(entry.section));
    if !is_one {
        return None;
    }
    let is_module = |entry: &&Entry<'_>| entry.section == "modules";
    let modules = entries.iter().filter(is_module).map(|entry| entry.name);
    let modules: Vec<_> = modules.collect();
    reader.multiplier = multiplier(&entries);
    // What is said of PPTP counts more than what is said of PPP.
    entries.sort_by_key(|entry| entry.section == "pptp");
    for entry in &entries {
        let module = SECTIONS.iter().find(|one| one.0 == entry.section);
        let module = module.map_or("", |one| one.1);
        let is_loaded = modules.is_empty() || module.is_empty() || modules.contains(&module);
        let verdict = if is_loaded {
            reader.entry(entry)
        } else {
            Without("its module is not loaded")
        };
        let why = match verdict {
            Taken => continue,
            Anyway => "what is done here anyway",
            Without(why) => why,
        };
        reader.leave_out(entry, why);
    }
    Some(reader.finish())
}

/// Whether accel-ppp has a section with this name.
pub(in crate::import) fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|one| one.0 == name)
}

/// The sections that are told apart from those of anybody else, each with the module that reads it,
/// if that has to be loaded.
const SECTIONS: &[(&str, &str)] = &[
    ("modules", ""),
    ("core", ""),
    ("common", ""),
    ("ppp", ""),
    ("auth", ""),
    ("pptp", "pptp"),
    ("pppoe", "pppoe"),
    ("l2tp", "l2tp"),
    ("sstp", "sstp"),
    ("ipoe", "ipoe"),
    ("dns", ""),
    ("wins", ""),
    ("radius", "radius"),
    ("client-ip-range", ""),
    ("ip-pool", "ippool"),
    ("log", ""),
    ("log-pgsql", ""),
    ("pppd-compat", ""),
    ("chap-secrets", "chap-secrets"),
    ("shaper", "shaper"),
    ("cli", ""),
    ("snmp", ""),
    ("metrics", ""),
    ("connlimit", ""),
    ("ipv6-pool", ""),
    ("ipv6-dns", ""),
    ("ipv6-dhcp", ""),
    ("ipv6-nd", ""),
];

const NONE: &str = "has no equivalent";
const LOGGED: &str = "what is logged is said on the command line";
const PROGRAM: &str = "programs are not taken over: see on-up and on-down of a profile";
const ONLY_PPTP: &str = "there is only PPTP";
const NO_PREFIXES: &str = "clients get no IPv6 prefixes";
const NOT_KNOWN: &str = "not an option that is known here";

/// One line in a section.
struct Entry<'a> {
    section: &'a str,
    /// Its first word.
    name: &'a str,
    /// Behind an equals sign or a comma.
    value: &'a str,
    /// All of it.
    raw: &'a str,
    line: usize,
}

impl<'a> Entry<'a> {
    fn read(section: &'a str, raw: &'a str, line: usize) -> Self {
        let end = raw.find([' ', '\t', '=', ',']).unwrap_or(raw.len());
        let (name, rest) = raw.split_at(end);
        let value = rest.trim_start().strip_prefix(['=', ',']);
        Self {
            section,
            name,
            value: value.unwrap_or_default().trim_start(),
            raw,
            line,
        }
    }
}

/// What becomes of an entry.
enum Verdict {
    /// It is in the draft.
    Taken,
    /// Nothing else is done here.
    Anyway,
    /// Why there is no such thing.
    Without(&'static str),
}

use Verdict::{Anyway, Taken, Without};

/// What the rates of the shaper are to be multiplied by.
fn multiplier(entries: &[Entry<'_>]) -> f64 {
    let is_it = |entry: &&Entry<'_>| entry.section == "shaper" && entry.name == "rate-multiplier";
    let given = entries.iter().rfind(is_it);
    let given = given.and_then(|entry| entry.value.parse::<f64>().ok());
    given
        .filter(|given| (0.001..=1e6).contains(given))
        .unwrap_or(1.0)
}

/// Reads entry by entry.
#[derive(Default)]
struct Reader<'a> {
    draft: Draft,
    /// Where the module is loaded that takes calls.
    pptp: Option<usize>,
    /// Where it is said that only some may call, or be called.
    restricted: Option<usize>,
    methods: Vec<(&'static str, usize)>,
    /// In the order of the source.
    pools: Vec<Pool>,
    has_mtu: bool,
    multiplier: f64,
    /// Addresses of name servers: the property, which of them, the address, the line.
    told: BTreeMap<(&'static str, &'a str), (&'a str, usize)>,
    echo: BTreeMap<&'static str, (u32, usize)>,
    radius: Vec<Item>,
    radius_timeout: Option<(u32, usize)>,
    radius_source: Option<(&'a str, usize)>,
    /// The section and the reason, and what there is of it.
    left_out: Vec<(String, &'static str, Vec<(String, usize)>)>,
}

/// One pool, whose ranges may stand in several lines.
struct Pool {
    /// Empty for the one without a name.
    name: String,
    ranges: Ranges,
    next: Option<String>,
    lines: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn leave_out(&mut self, entry: &Entry<'_>, why: &'static str) {
        let (section, name) = (format!("[{}]", shown(entry.section)), shown(entry.name));
        let one = (name, entry.line);
        let same = self
            .left_out
            .iter_mut()
            .find(|left| left.0 == section && left.1 == why);
        match same {
            Some((_, _, names)) => names.push(one),
            None => self.left_out.push((section, why, vec![one])),
        }
    }

    fn entry(&mut self, entry: &Entry<'a>) -> Verdict {
        if entry.name.starts_with("$include") {
            return Without("import that file as well");
        }
        match entry.section {
            "modules" => self.module(entry),
            "common" => self.common(entry),
            "ppp" => self.ppp(entry),
            "pptp" => self.pptp(entry),
            "auth" => match (entry.name, entry.value) {
                ("noauth" | "any-login", "1") => {
                    Without("nobody gets in without a name and a password")
                }
                ("noauth" | "any-login", _) => Anyway,
                ("challenge-name", name) => {
                    self.draft.set(IDENTITY, "name", name, [entry.line]);
                    Taken
                }
                _ => Without(NONE),
            },
            "ip-pool" => self.ip_pool(entry),
            "dns" | "wins" => self.told(entry),
            "radius" => self.radius(entry),
            "chap-secrets" => match (entry.name, entry.value) {
                ("gw-ip-address", value) => self.gateway(value, entry.line),
                ("chap-secrets", _) => Without("names the secrets: import that file as well"),
                ("encrypted", "0") => Anyway,
                ("encrypted" | "username-hash", _) => {
                    Without("names and passwords cannot be taken over from hashes")
                }
                _ => Without(NOT_KNOWN),
            },
            "shaper" => self.shaper(entry),
            "client-ip-range" if entry.name == "disable" => Anyway,
            "client-ip-range" => {
                self.restricted.get_or_insert(entry.line);
                Without("keep others away from TCP port 1723 in the firewall")
            }
            "pppoe" | "l2tp" | "sstp" | "ipoe" => Without(ONLY_PPTP),
            "ipv6-pool" | "ipv6-dns" | "ipv6-dhcp" | "ipv6-nd" => Without(NO_PREFIXES),
            "log" | "log-pgsql" => Without(LOGGED),
            "pppd-compat" => Without(PROGRAM),
            "core" | "cli" | "snmp" | "metrics" | "connlimit" => Without(NONE),
            _ => Without("not a section that is known here"),
        }
    }

    fn module(&mut self, entry: &Entry<'_>) -> Verdict {
        let method = match entry.name {
            "pptp" => {
                self.pptp = Some(entry.line);
                return Taken;
            }
            "radius" => {
                self.draft.set(AAA, "use-radius", "yes", [entry.line]);
                self.draft.set(AAA, "accounting", "yes", [entry.line]);
                return Taken;
            }
            "auth_pap" => "pap",
            "auth_chap" | "auth_chap_md5" => "chap",
            "auth_mschap_v1" => "mschap1",
            "auth_mschap_v2" => "mschap2",
            "ippool" | "shaper" | "sigchld" => return Anyway,
            "chap-secrets" => {
                return Without("the secrets stand in a file of their own: import that as well");
            }
            "pppd_compat" => return Without(PROGRAM),
            "l2tp" | "pppoe" | "sstp" | "ipoe" | "vlan-mon" | "vlan_mon" => {
                return Without(ONLY_PPTP);
            }
            "ipv6pool" | "ipv6_dhcp" | "ipv6_nd" => return Without(NO_PREFIXES),
            name if name.starts_with("log") => return Without(LOGGED),
            _ => return Without(NONE),
        };
        self.methods.push((method, entry.line));
        Taken
    }

    fn common(&mut self, entry: &Entry<'_>) -> Verdict {
        match (entry.name, entry.value) {
            ("single-session", "replace") => self.for_all("only-one", "yes", entry),
            ("single-session", "deny") => {
                self.for_all("only-one", "yes", entry);
                Without("a second login of a user replaces the first one, and is not refused")
            }
            ("max-sessions", "0") => Anyway,
            ("max-sessions", number) => self.server("max-sessions", number, entry),
            ("session-timeout", _) => self.session_timeout(entry),
            ("verbose", _) => Without(LOGGED),
            _ => Without(NONE),
        }
    }

    fn ppp(&mut self, entry: &Entry<'_>) -> Verdict {
        match (entry.name, entry.value) {
            ("mtu", number) => {
                self.has_mtu = true;
                self.server("max-mtu", number, entry)
            }
            ("mru", number) => self.server("max-mru", number, entry),
            ("mppe", _) => self.encryption(entry),
            ("ccp", "0") => self.for_all("use-encryption", "no", entry),
            ("ccp", _) => Anyway,
            ("ipv4", "deny") => Without("every client gets an IPv4 address"),
            ("ipv4", _) => Anyway,
            ("ipv6", "deny") => self.for_all("use-ipv6", "no", entry),
            ("ipv6", "allow" | "prefer") => self.for_all("use-ipv6", "yes", entry),
            ("ipv6", "require") => self.for_all("use-ipv6", "required", entry),
            ("lcp-echo-interval", _) => self.echo("interval", entry),
            ("lcp-echo-failure", _) => self.echo("failure", entry),
            ("lcp-echo-timeout", _) => self.echo("timeout", entry),
            ("accomp" | "pcomp", "allow") => Anyway,
            ("verbose", _) => Without(LOGGED),
            _ => Without(NONE),
        }
    }

    fn pptp(&mut self, entry: &Entry<'_>) -> Verdict {
        match (entry.name, entry.value) {
            ("bind", "0.0.0.0") | ("port", "1723") => Anyway,
            ("bind", _) => {
                self.restricted.get_or_insert(entry.line);
                Without("the server listens on all addresses: close the others in the firewall")
            }
            ("port", _) => Without("the port is always 1723"),
            ("mppe", _) => self.encryption(entry),
            ("ppp-max-mtu", _) if self.has_mtu => Without("mtu of [ppp] is taken over"),
            ("ppp-max-mtu", number) => self.server("max-mtu", number, entry),
            ("session-timeout", _) => self.session_timeout(entry),
            ("ip-pool", name) => self.for_all("remote-address", name, entry),
            ("ipv6-pool" | "ipv6-pool-delegate", _) => Without(NO_PREFIXES),
            ("ifname", _) => {
                Without("names of interfaces are given with /interface pptp-server add")
            }
            ("verbose", _) => Without(LOGGED),
            _ => Without(NONE),
        }
    }

    fn ip_pool(&mut self, entry: &Entry<'_>) -> Verdict {
        match (entry.name, entry.value) {
            ("gw-ip-address", value) => return self.gateway(value, entry.line),
            ("attr", "Framed-Pool") => return Anyway,
            ("attr" | "vendor", _) => return Without("RADIUS names the pool by Framed-Pool"),
            ("gw", _) => return Without("accel-ppp passes over it too: see gw-ip-address"),
            ("shuffle" | "reload-orphan", _) => return Without(NONE),
            _ => {}
        }
        let raw = if entry.name == "tunnel" {
            entry.value
        } else {
            entry.raw
        };
        let mut parts = raw.split(',').map(str::trim);
        let Some(ranges) = parts.next().and_then(Ranges::of_accel) else {
            return Without("is not a range of addresses");
        };
        let (mut name, mut next) = ("", None);
        for part in parts {
            match part.split_once('=') {
                Some(("name", value)) => name = value,
                Some(("next", value)) => next = Some(value.to_owned()),
                None => name = part,
                Some(_) => return Without("has more than a range, its name and its next"),
            }
        }
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.name == name) {
            pool.ranges.extend(&ranges);
            pool.next = next.or_else(|| pool.next.take());
            pool.lines.push(entry.line);
        } else {
            self.pools.push(Pool {
                name: name.to_owned(),
                ranges,
                next,
                lines: vec![entry.line],
            });
        }
        Taken
    }

    fn told(&mut self, entry: &Entry<'a>) -> Verdict {
        let property = match entry.name {
            "dns1" | "dns2" => "dns-server",
            "wins1" | "wins2" => "wins-server",
            _ => return Without(NOT_KNOWN),
        };
        if entry.value.parse::<std::net::Ipv4Addr>().is_err() {
            return Without("is not an IPv4 address");
        }
        let key = (property, entry.name);
        match self.told.insert(key, (entry.value, entry.line)) {
            Some((_, line)) => {
                let what = format!("[{}] {}", entry.section, entry.name);
                self.draft
                    .leave_out([line], what, "is set again further down");
                Taken
            }
            None => Taken,
        }
    }

    fn radius(&mut self, entry: &Entry<'a>) -> Verdict {
        let seconds = entry.value.parse::<u32>().ok();
        match entry.name {
            "server" => self.radius_server(entry),
            "auth-server" | "acct-server" => {
                Without("an old form: write server=ADDRESS,SECRET,auth-port=N,acct-port=N")
            }
            "dae-server" => {
                let address = entry.value.split(',').next().unwrap_or_default();
                if let Some((_, port)) = address.split_once(':') {
                    self.draft.set(RADIUS_INCOMING, "port", port, [entry.line]);
                }
                self.draft
                    .set(RADIUS_INCOMING, "accept", "yes", [entry.line]);
                let why = "requests are taken from the servers of /radius, by their secrets";
                self.draft
                    .leave_out([entry.line], "[radius] secret of dae-server", why);
                Taken
            }
            "dae-allowed" => Without("requests are only taken from the servers of /radius"),
            "nas-identifier" => {
                self.draft.set(IDENTITY, "name", entry.value, [entry.line]);
                Taken
            }
            "nas-ip-address" => Without("servers are told the address that requests come from"),
            "bind" => {
                self.radius_source = Some((entry.value, entry.line));
                Taken
            }
            "gw-ip-address" => self.gateway(entry.value, entry.line),
            "timeout" => match seconds {
                Some(seconds) => {
                    self.radius_timeout = Some((seconds, entry.line));
                    Taken
                }
                None => Without("is not a number"),
            },
            "acct-interim-interval" => match seconds {
                Some(seconds) => {
                    let value = format!("{seconds}s");
                    self.draft.set(AAA, "interim-update", &value, [entry.line]);
                    Taken
                }
                None => Without("is not a number"),
            },
            "blast-protection" if entry.value == "1" => Anyway,
            "verbose" | "interim-verbose" => Without(LOGGED),
            _ => Without(NONE),
        }
    }

    /// `address,secret[,auth-port=N][,acct-port=N][,...]`.
    fn radius_server(&mut self, entry: &Entry<'_>) -> Verdict {
        let mut parts = entry.value.split(',');
        let (Some(address), Some(secret)) = (parts.next(), parts.next()) else {
            return Without("has no secret");
        };
        let mut item = Item::add(RADIUS, [entry.line]);
        item.put("address", address.trim(), []);
        let secret = Zeroizing::new(secret.to_owned());
        item.put("secret", &secret, []);
        item.put("service", "ppp", []);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim());
            let property = match name {
                "auth-port" => "authentication-port",
                "acct-port" => "accounting-port",
                _ => {
                    // Only what is known to be a name is repeated: it might be of the secret.
                    let of = [
                        "bind-device",
                        "req-limit",
                        "fail-timeout",
                        "fail-time",
                        "max-fail",
                        "weight",
                        "backup",
                    ];
                    let name = of.into_iter().find(|of| *of == name).unwrap_or("a part");
                    self.draft
                        .leave_out([entry.line], item.title_of(name), NONE);
                    continue;
                }
            };
            if value == "0" {
                item.disable();
                let why = "a server cannot be asked about only one of logins and accounting: \
                           imported disabled";
                self.draft
                    .leave_out([entry.line], item.title_of(property), why);
            } else {
                item.put(property, value, []);
            }
        }
        self.radius.push(item);
        Taken
    }

    fn shaper(&mut self, entry: &Entry<'_>) -> Verdict {
        match entry.name {
            "rate-limit" => match Rate::parse(entry.value, self.multiplier) {
                Some(rate) => self.for_all("rate-limit", &rate.text(), entry),
                None => Without("is not a plain rate"),
            },
            "rate-multiplier" => Without("is in the rate-limit of this file, and nowhere else"),
            "attr" | "attr-down" | "attr-up" | "vendor" => {
                Without("RADIUS says the rate by Mikrotik-Rate-Limit, WISPr or Ascend attributes")
            }
            "verbose" => Without(LOGGED),
            _ => Without(NONE),
        }
    }

    fn encryption(&mut self, entry: &Entry<'_>) -> Verdict {
        let value = match entry.value {
            "require" => "required",
            "prefer" | "allow" => "yes",
            "deny" => "no",
            _ => return Without("is not a policy"),
        };
        self.for_all("use-encryption", value, entry)
    }

    fn session_timeout(&mut self, entry: &Entry<'_>) -> Verdict {
        match entry.value.parse::<u32>() {
            Ok(0) => Anyway,
            Ok(seconds) => self.for_all("session-timeout", &format!("{seconds}s"), entry),
            Err(_) => Without("is not a number"),
        }
    }

    fn echo(&mut self, which: &'static str, entry: &Entry<'_>) -> Verdict {
        match entry.value.parse::<u32>() {
            Ok(0) => Without("is off: the server keeps its own time"),
            Ok(number) => {
                self.echo.insert(which, (number, entry.line));
                Taken
            }
            Err(_) => Without("is not a number"),
        }
    }

    /// The server's address in the tunnels; the length of its network only counts without PPP.
    fn gateway(&mut self, value: &str, line: usize) -> Verdict {
        let address = value.split('/').next().unwrap_or_default();
        self.draft.set_for_all("local-address", address, [line]);
        Taken
    }

    fn server(&mut self, property: &str, value: &str, entry: &Entry<'_>) -> Verdict {
        self.draft.set(SERVER, property, value, [entry.line]);
        Taken
    }

    fn for_all(&mut self, property: &str, value: &str, entry: &Entry<'_>) -> Verdict {
        self.draft.set_for_all(property, value, [entry.line]);
        Taken
    }

    fn finish(mut self) -> Draft {
        self.take_calls();
        self.add_pools();
        self.add_radius();
        self.keepalive();
        let mut draft = self.draft;
        for property in ["dns-server", "wins-server"] {
            let told = self.told.iter().filter(|(key, _)| key.0 == property);
            let (addresses, lines): (Vec<_>, Vec<_>) = told.map(|(_, &one)| one).unzip();
            if !addresses.is_empty() {
                draft.set_for_all(property, &addresses.join(","), lines);
            }
        }
        for (section, why, mut names) in self.left_out {
            if let Some((first, _)) = names.first_mut() {
                *first = format!("{section} {first}");
            }
            draft.leave_out_together(&names, why);
        }
        draft
    }

    /// Turns the server on if accel-ppp took calls from everywhere.
    fn take_calls(&mut self) {
        if !self.methods.is_empty() {
            const ALL: [&str; 4] = ["pap", "chap", "mschap1", "mschap2"];
            let has = |method: &&str| self.methods.iter().any(|one| one.0 == *method);
            let methods: Vec<_> = ALL.into_iter().filter(has).collect();
            let lines: Vec<_> = self.methods.iter().map(|one| one.1).collect();
            self.draft
                .set(SERVER, "authentication", &methods.join(","), lines);
        }
        let Some(line) = self.pptp else {
            return;
        };
        match self.restricted {
            None => self.draft.set(SERVER, "enabled", "yes", [line]),
            Some(restricted) => {
                let what = format!("enabled of {SERVER}");
                let why = format!(
                    "line {restricted} says who may connect and where: see to that in the \
                     firewall, then turn the server on"
                );
                self.draft.leave_out([line], what, why);
            }
        }
    }

    fn add_pools(&mut self) {
        for pool in &self.pools {
            let is_unnamed = pool.name.is_empty();
            let name = if is_unnamed { UNNAMED } else { &pool.name };
            let mut item = Item::add(POOLS, pool.lines.iter().copied());
            item.put("name", name, []);
            item.put("ranges", &pool.ranges.text(), []);
            if let Some(next) = &pool.next {
                item.put("next-pool", next, []);
            }
            self.draft.push(item);
            // Unless the section of PPTP has another one.
            if is_unnamed && !self.draft.is_set_for_all("remote-address") {
                self.draft
                    .set_for_all("remote-address", name, pool.lines.iter().copied());
            }
        }
    }

    fn add_radius(&mut self) {
        let given = [
            (
                "timeout",
                self.radius_timeout
                    .map(|(seconds, line)| (format!("{seconds}s"), line)),
            ),
            (
                "src-address",
                self.radius_source
                    .map(|(address, line)| (address.to_owned(), line)),
            ),
        ];
        for (property, given) in given {
            let Some((value, line)) = given else {
                continue;
            };
            if self.radius.is_empty() {
                let what = format!("[radius] {property}");
                self.draft
                    .leave_out([line], what, "there is no server that it is of");
            }
            for item in &mut self.radius {
                item.put(property, &value, [line]);
            }
        }
        for item in self.radius.drain(..) {
            self.draft.push(item);
        }
    }

    /// How long a client may be silent.
    fn keepalive(&mut self) {
        let number = |which| self.echo.get(which).map(|&(number, _)| number);
        let (interval, failure) = (number("interval"), number("failure").unwrap_or(3));
        let seconds =
            number("timeout").or_else(|| interval.map(|interval| interval.saturating_mul(failure)));
        let lines: Vec<_> = self.echo.values().map(|&(_, line)| line).collect();
        if let Some(seconds) = seconds {
            self.draft
                .set(SERVER, "keepalive-timeout", &seconds.to_string(), lines);
        } else if !lines.is_empty() {
            let why = "says nothing without lcp-echo-interval";
            self.draft.leave_out(lines, "[ppp] lcp-echo-failure", why);
        }
    }
}

/// The name of the pool that has none.
const UNNAMED: &str = "accel-ppp";

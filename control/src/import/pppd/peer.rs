//! Options of pppd for one tunnel out by pptp-linux or accel-pptp's plugin, as `/etc/ppp/peers/NAME`.

use std::collections::BTreeSet;

use super::options::table::{
    Known,
    Meaning::{self, Anyway, EchoFailure, EchoInterval, Profile, Refused, Required, Without},
    STRENGTH,
};
use super::words::{Word, lines};
use crate::import::draft::{Draft, Item, PROFILES};

/// Whether a line of a file says that pppd is to dial by PPTP.
pub(in crate::import) fn is_dial(line: &str) -> bool {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("pty") => words.next().is_some_and(is_pptp),
        Some(word) => word == SERVER_OPTION,
        None => false,
    }
}

/// What `text` says; `None` if it has words and does not dial by PPTP.
pub(in crate::import) fn read(text: &str) -> Option<Draft> {
    let words: Vec<_> = lines(text)
        .into_iter()
        .flat_map(|line| line.words)
        .collect();
    let mut reader = Reader::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let name = word.text();
        let known = Known::find(name);
        let arguments = match &known {
            Some(known) => known.arguments,
            None => usize::from(name == SERVER_OPTION),
        };
        let end = (at + 1 + arguments).min(words.len());
        reader.option(name, known.map(|known| known.meaning), &words[at..end]);
        at = end;
    }
    (words.is_empty() || reader.server.is_some()).then(|| reader.finish())
}

/// Reads option by option.
#[derive(Default)]
struct Reader {
    draft: Draft,
    /// What is set of the client, and where.
    client: Vec<(&'static str, String, BTreeSet<usize>)>,
    /// The same of its profile.
    profile: Vec<(&'static str, String, BTreeSet<usize>)>,
    server: Option<String>,
    refused: Vec<(&'static str, usize)>,
    echo_interval: Option<(u32, BTreeSet<usize>)>,
    echo_failure: Option<(u32, BTreeSet<usize>)>,
    anyway: Vec<(String, usize)>,
    dialed_again: Vec<(String, usize)>,
}

impl Reader {
    /// Takes an option with its arguments.
    fn option(&mut self, name: &str, meaning: Option<Meaning>, words: &[Word]) {
        let lines: BTreeSet<_> = words.iter().flat_map(|word| word.lines.clone()).collect();
        let what = format!("option {name}");
        let value = words.get(1).map_or("", Word::text);
        let has_argument = words.get(1).is_some_and(|word| word.text.is_some());
        let wants_argument =
            name == SERVER_OPTION || Known::find(name).is_some_and(|known| known.arguments > 0);
        if wants_argument && !has_argument {
            let why = "what belongs to it is missing";
            return self.draft.leave_out(lines, what, why);
        }
        let left_out = match (name, meaning) {
            ("pty", _) => match server_of(value) {
                Some(server) => {
                    self.connect_to(server, lines.clone());
                    None
                }
                None => Some("does not say which server pptp is to dial"),
            },
            (SERVER_OPTION, _) => {
                self.connect_to(value, lines.clone());
                None
            }
            ("plugin", _) if value.rsplit('/').next() == Some("pptp.so") => self.done(name, &lines),
            ("user", _) => self.set("user", value, lines.clone()),
            // What pppd calls itself is what it logs in by, unless `user` says otherwise.
            ("name", _) if self.client.iter().any(|one| one.0 == "user") => {
                Some("user says otherwise, and counts")
            }
            ("name", _) => self.set("user", value, lines.clone()),
            ("password", _) => self.set("password", value, lines.clone()),
            ("mtu", _) => self.set("max-mtu", value, lines.clone()),
            ("mru", _) => self.set("max-mru", value, lines.clone()),
            ("mrru", _) => self.set("mrru", value, lines.clone()),
            ("defaultroute", _) => self.set("add-default-route", "yes", lines.clone()),
            ("replacedefaultroute", _) => {
                let _ = self.set("add-default-route", "yes", lines.clone());
                Some("no route is replaced: the one with the smaller distance counts")
            }
            ("usepeerdns", _) => self.set("use-peer-dns", "yes", lines.clone()),
            ("demand", _) => self.set("dial-on-demand", "yes", lines.clone()),
            ("idle" | "maxconnect", _) => match value.parse::<u32>() {
                // For pppd that is no limit.
                Ok(0) => self.done(name, &lines),
                Ok(seconds) => {
                    let property = if name == "idle" {
                        "idle-timeout"
                    } else {
                        "session-timeout"
                    };
                    self.of_profile(property, &format!("{seconds}s"), lines.clone())
                }
                Err(_) => Some("is not a number"),
            },
            ("persist" | "holdoff" | "maxfail", _) => {
                self.dialed_again.extend(named(name, &lines));
                None
            }
            ("nopersist", _) => Some("a client is always dialed again"),
            ("remotename" | "noauth" | "ipparam" | "linkname", _) => self.done(name, &lines),
            ("require-eap", _) => Some("servers are not asked who they are"),
            ("file" | "call", _) => Some("import that file as well, and put both together"),
            (_, Some(Required(_))) => Some("servers are not asked who they are"),
            (_, Some(Refused(method))) => {
                self.refused
                    .extend(lines.iter().map(|&line| (method, line)));
                None
            }
            (_, Some(EchoInterval)) => number(value, &mut self.echo_interval, &lines),
            (_, Some(EchoFailure)) => number(value, &mut self.echo_failure, &lines),
            (_, Some(Profile(property, value))) => self.of_profile(property, value, lines.clone()),
            (_, Some(Meaning::Mppe)) if value.split(',').any(|word| word == "required") => {
                self.of_profile("use-encryption", "required", lines.clone())
            }
            (_, Some(Meaning::Mppe)) => Some(STRENGTH),
            (_, Some(Anyway)) => self.done(name, &lines),
            (_, Some(Without(why))) => Some(why),
            (
                _,
                Some(
                    Meaning::Server(_) | Meaning::Seconds(_) | Meaning::Address(_) | Meaning::Name,
                ),
            ) => Some("is of a server"),
            (_, None) => Some("not an option that is known here"),
        };
        if let Some(why) = left_out {
            self.draft.leave_out(lines, what, why);
        }
    }

    fn connect_to(&mut self, server: &str, lines: BTreeSet<usize>) {
        self.server = Some(server.to_owned());
        let _ = self.set("connect-to", server, lines);
    }

    /// The last one counts, as for pppd.
    fn set(
        &mut self,
        property: &'static str,
        value: &str,
        lines: BTreeSet<usize>,
    ) -> Option<&'static str> {
        put(&mut self.client, property, value, lines);
        None
    }

    fn of_profile(
        &mut self,
        property: &'static str,
        value: &str,
        lines: BTreeSet<usize>,
    ) -> Option<&'static str> {
        put(&mut self.profile, property, value, lines);
        None
    }

    fn done(&mut self, name: &str, lines: &BTreeSet<usize>) -> Option<&'static str> {
        self.anyway.extend(named(name, lines));
        None
    }

    fn finish(mut self) -> Draft {
        let mut draft = std::mem::take(&mut self.draft);
        draft.leave_out_together(&self.anyway, "what is done here anyway");
        let why = "it is dialed again at once, and then later and later, up to a minute";
        draft.leave_out_together(&self.dialed_again, why);
        let Some(server) = self.server.take() else {
            return draft;
        };
        self.keepalive(&mut draft);
        self.methods(&mut draft);
        let mut client = Item::add("/interface pptp-client", []);
        for (property, value, lines) in &self.client {
            client.put(property, value, lines.iter().copied());
        }
        if !self.profile.is_empty() {
            let name = format!("to-{server}");
            let mut profile = Item::add(PROFILES, []);
            profile.put("name", &name, []);
            if self.profile.iter().all(|one| one.0 != "use-encryption") {
                // As the profile has it that a client has without another.
                profile.put("use-encryption", "yes", []);
            }
            profile.put("change-tcp-mss", "yes", []);
            for (property, value, lines) in &self.profile {
                profile.put(property, value, lines.iter().copied());
            }
            client.put("profile", &name, []);
            draft.push(profile);
        }
        draft.push(client);
        draft
    }

    /// What is not refused of the ways to prove who we are.
    fn methods(&mut self, draft: &mut Draft) {
        const ALL: [&str; 4] = ["pap", "chap", "mschap1", "mschap2"];
        let is_left = |method: &&str| self.refused.iter().all(|one| one.0 != *method);
        let left: Vec<_> = ALL.into_iter().filter(is_left).collect();
        let lines: BTreeSet<_> = self.refused.iter().map(|one| one.1).collect();
        if lines.is_empty() {
            return;
        }
        if left.is_empty() {
            let why = "nothing is left by which to log in: set allow of the client";
            return draft.leave_out(lines, "options refuse-*", why);
        }
        let _ = self.set("allow", &left.join(","), lines);
    }

    /// pppd gives up on a server that did not answer for so many intervals.
    fn keepalive(&mut self, draft: &mut Draft) {
        let (interval, failure) = (self.echo_interval.take(), self.echo_failure.take());
        let both = interval.iter().chain(&failure);
        let lines: BTreeSet<_> = both.flat_map(|one| one.1.iter().copied()).collect();
        match (interval, failure) {
            (Some((interval @ 1.., _)), Some((failure @ 1.., _))) => {
                let timeout = interval.saturating_mul(failure).to_string();
                let _ = self.set("keepalive-timeout", &timeout, lines);
            }
            (None, None) => {}
            (Some(_), _) | (_, Some(_)) => {
                let what = "options lcp-echo-interval and lcp-echo-failure";
                let why = "only both together find out that a server is gone";
                draft.leave_out(lines, what, why);
            }
        }
    }
}

fn put(
    properties: &mut Vec<(&'static str, String, BTreeSet<usize>)>,
    property: &'static str,
    value: &str,
    lines: BTreeSet<usize>,
) {
    match properties.iter_mut().find(|one| one.0 == property) {
        Some(one) => {
            value.clone_into(&mut one.1);
            one.2.extend(lines);
        }
        None => properties.push((property, value.to_owned(), lines)),
    }
}

fn number(
    value: &str,
    to: &mut Option<(u32, BTreeSet<usize>)>,
    lines: &BTreeSet<usize>,
) -> Option<&'static str> {
    match value.parse() {
        Ok(number) => {
            *to = Some((number, lines.clone()));
            None
        }
        Err(_) => Some("is not a number"),
    }
}

fn named(name: &str, lines: &BTreeSet<usize>) -> Vec<(String, usize)> {
    lines.iter().map(|&line| (name.to_owned(), line)).collect()
}

/// The server in `pptp HOST --nolaunchpppd ...`, wherever the options stand.
fn server_of(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    words.next().filter(|word| is_pptp(word))?;
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            return Some(word);
        }
        if WITH_VALUES.contains(&word) {
            words.next();
        }
    }
    None
}

/// Options of pptp-linux whose value is the next word.
const WITH_VALUES: &[&str] = &[
    "--phone",
    "--quirks",
    "--logstring",
    "--loglevel",
    "--localbind",
    "--rtmark",
    "--timeout",
    "--idle-wait",
    "--max-echo-wait",
    "--missing-window",
    "--test-type",
    "--test-rate",
];

/// Whether a word is pptp's name or path.
fn is_pptp(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    word.rsplit('/').next() == Some("pptp")
}

/// The plugin's option.
const SERVER_OPTION: &str = "pptp_server";

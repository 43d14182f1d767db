//! A file of pppd's options, as `pptpd-options` and `options.pptpd`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use self::table::Known;
use self::table::Meaning::{
    Address, Anyway, EchoFailure, EchoInterval, Mppe, Name, Profile, Refused, Required, Seconds,
    Server, Without,
};
use super::words::{Word, lines};
use crate::import::draft::{Draft, IDENTITY, SERVER};

pub(super) mod table;

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

/// Reads option by option.
#[derive(Default)]
struct Reader {
    draft: Draft,
    anyway: Vec<(String, usize)>,
    /// Ways to prove who one is, and where they are named.
    required: Vec<(&'static str, usize)>,
    refused: Vec<(&'static str, usize)>,
    /// Addresses of name servers.
    told: Vec<(&'static str, Ipv4Addr, BTreeSet<usize>)>,
    /// Numbers, and where they stand.
    echo_interval: Option<(u32, BTreeSet<usize>)>,
    echo_failure: Option<(u32, BTreeSet<usize>)>,
}

impl Reader {
    /// Takes an option with its arguments.
    fn option(&mut self, option: Known, words: &[Word]) {
        let Known {
            name,
            arguments,
            meaning,
        } = option;
        let Some((_, given)) = words.split_first() else {
            return;
        };
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
                    self.anyway
                        .extend(lines.iter().map(|&line| (name.to_owned(), line)));
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
                self.required
                    .extend(lines.iter().map(|&line| (method, line)));
                None
            }
            Refused(method) => {
                self.refused
                    .extend(lines.iter().map(|&line| (method, line)));
                None
            }
            Address(property) => self.address(property, value, &lines),
            EchoInterval => match number() {
                Some(number) => {
                    self.echo_interval = Some((number, lines.clone()));
                    None
                }
                None => Some(NOT_A_NUMBER),
            },
            EchoFailure => match number() {
                Some(number) => {
                    self.echo_failure = Some((number, lines.clone()));
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
            Mppe => Some(table::STRENGTH),
            Anyway => {
                self.anyway
                    .extend(lines.iter().map(|&line| (name.to_owned(), line)));
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
        lines: &BTreeSet<usize>,
    ) -> Option<&'static str> {
        let Ok(address) = value.parse() else {
            return Some("is not an IPv4 address");
        };
        if self.told.iter().filter(|one| one.0 == property).count() == 2 {
            return Some("clients are told two");
        }
        self.told.push((property, address, lines.clone()));
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
                let lines: Vec<_> = told.flat_map(|one| one.2.iter().copied()).collect();
                self.draft
                    .set_for_all(property, &addresses.join(","), lines);
            }
        }
    }

    /// pppd ends a session that did not answer for so many intervals.
    fn keepalive(&mut self) {
        let (interval, failure) = (self.echo_interval.take(), self.echo_failure.take());
        let both = interval.iter().chain(&failure);
        let lines: Vec<_> = both.flat_map(|one| one.1.iter().copied()).collect();
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

//! A file of pppd's options, as `pptpd-options` and `options.pptpd`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::echo::{self, Echo};
use super::given::{File, Given, INCOMPLETE, NOT_A_NUMBER, Setting, UNKNOWN, addresses, lines_of};
use super::table::Meaning::{
    Address, Anyway, EchoFailure, EchoInterval, Link, Mppe, Name, Profile, Refused, Required,
    Seconds, Without,
};
use super::table::{self, Known};
use super::words::Word;
use crate::import::draft::{Draft, IDENTITY, SERVER};

/// What `text` says; `None` if nothing in it is an option.
pub(in crate::import) fn read(text: &str) -> Option<Draft> {
    let file = File::new(text);
    let mut reader = Reader::default();
    let mut is_one = file.is_empty();
    for given in file.given() {
        is_one |= match given {
            Given::Option(setting) => {
                reader.option(&setting);
                true
            }
            Given::Other(words) => reader.unknown(words),
        };
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
    echo: Echo,
}

impl Reader {
    /// Takes an option with its arguments.
    fn option(&mut self, setting: &Setting<'_>) {
        let lines = setting.lines();
        let Some(value) = setting.value() else {
            return self.draft.leave_out(lines, setting.what(), INCOMPLETE);
        };
        let number = || value.parse::<u32>().map_err(|_| NOT_A_NUMBER);
        let taken = match setting.known.meaning {
            Link(property) => number().map(|number| {
                let number = number.to_string();
                self.draft.set(SERVER, property, &number, lines.clone());
            }),
            Seconds(property) => number().map(|seconds| match seconds {
                // For pppd that is no limit.
                0 => self.anyway.extend(setting.named()),
                _ => {
                    let seconds = format!("{seconds}s");
                    self.draft.set_for_all(property, &seconds, lines.clone());
                }
            }),
            Profile(property, value) => {
                self.draft.set_for_all(property, value, lines.clone());
                Ok(())
            }
            Required(method) => {
                self.required
                    .extend(lines.iter().map(|&line| (method, line)));
                Ok(())
            }
            Refused(method) => {
                self.refused
                    .extend(lines.iter().map(|&line| (method, line)));
                Ok(())
            }
            Address(property) => self.address(property, value, &lines),
            EchoInterval => number().map(|number| self.echo.set_interval(number, lines.clone())),
            EchoFailure => number().map(|number| self.echo.set_failure(number, lines.clone())),
            Name => {
                self.draft.set(IDENTITY, "name", value, lines.clone());
                Ok(())
            }
            Mppe if table::requires_mppe(value) => {
                self.draft
                    .set_for_all("use-encryption", "required", lines.clone());
                Ok(())
            }
            Mppe => Err(table::STRENGTH),
            Anyway => {
                self.anyway.extend(setting.named());
                Ok(())
            }
            Without(why) => Err(why),
        };
        if let Err(why) = taken {
            self.draft.leave_out(lines, setting.what(), why);
        }
    }

    fn address(
        &mut self,
        property: &'static str,
        value: &str,
        lines: &BTreeSet<usize>,
    ) -> Result<(), &'static str> {
        let address = value.parse().map_err(|_| "is not an IPv4 address")?;
        if self.told.iter().filter(|one| one.0 == property).count() == 2 {
            return Err("clients are told two");
        }
        self.told.push((property, address, lines.clone()));
        Ok(())
    }

    /// Takes words of which the first one is no option. Whether they could be the server's and the
    /// client's address.
    fn unknown(&mut self, words: &[Word]) -> bool {
        let lines = lines_of(words);
        let Some((local, remote)) = addresses(words) else {
            // Only the name: what follows may be a password.
            let what = format!("option {}", words.first().map_or("", Word::text));
            self.draft.leave_out(lines, what, UNKNOWN);
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

    fn keepalive(&mut self) {
        match std::mem::take(&mut self.echo).timeout() {
            Some((Ok(timeout), lines)) => {
                let timeout = timeout.to_string();
                self.draft.set(SERVER, "keepalive-timeout", &timeout, lines);
            }
            Some((Err(why), lines)) => self.draft.leave_out(lines, echo::OPTIONS, why),
            None => {}
        }
    }
}

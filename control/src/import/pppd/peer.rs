//! A file of pppd's options for a tunnel out, as stand in `/etc/ppp/peers`: the line is made by
//! pptp-linux, or by pppd's plugin for the kernel's PPTP.

use std::collections::BTreeSet;

use self::program::is_pptp;
use self::table::Meaning;
use super::echo::{self, Echo};
use super::given::{File, Given, INCOMPLETE, NOT_A_NUMBER, Setting, UNKNOWN, addresses, lines_of};
use super::table as shared;
use super::table::Meaning as Shared;
use super::words::Word;
use crate::import::draft::{CLIENTS, Draft, PROFILES};

mod program;
mod table;

/// What `text` says; `None` if it is no tunnel of PPTP. `path` is where the file lies, or empty: the
/// interface is called as the file is, unless that says otherwise.
pub(in crate::import) fn read(path: &str, text: &str) -> Option<Draft> {
    let file = File::new(text);
    if file.is_empty() {
        return Some(Draft::default());
    }
    let tunnel = Tunnel::find(&file)?;
    let name = tunnel
        .interface
        .as_deref()
        .unwrap_or_else(|| file_name(path));
    let mut reader = Reader::new(name, tunnel.host.as_deref().unwrap_or_default());
    for given in file.given() {
        match given {
            Given::Option(setting) => reader.option(&setting),
            Given::Other(words) => reader.other(words),
        }
    }
    Some(reader.finish(file.first_line()))
}

/// Whether `text` has the options of a tunnel out.
pub(in crate::import) fn is_one(text: &str) -> bool {
    Tunnel::find(&File::new(text)).is_some()
}

/// What has to be known before anything else can be called by its name.
#[derive(Default)]
struct Tunnel {
    /// Where it leads to.
    host: Option<String>,
    /// What its interface is called.
    interface: Option<String>,
}

impl Tunnel {
    /// The tunnel of a file, if that has one of PPTP.
    fn find(file: &File) -> Option<Self> {
        let mut tunnel = Self::default();
        let mut is_one = false;
        for given in file.given() {
            let Given::Option(setting) = given else {
                continue;
            };
            let value = setting.value().unwrap_or_default();
            match Meaning::find(setting.known.name) {
                Some(Meaning::Pty) => {
                    if let Some(call) = program::read(value) {
                        is_one = true;
                        tunnel.host = call.host.or(tunnel.host);
                    }
                }
                Some(Meaning::Plugin) => is_one |= is_pptp(value, PLUGIN),
                Some(Meaning::Server) => tunnel.host = Some(value.to_owned()),
                Some(Meaning::Interface) => tunnel.interface = Some(value.to_owned()),
                Some(_) | None => {}
            }
        }
        is_one.then_some(tunnel)
    }
}

/// What the file is called, empty if it is no file but a pipe.
fn file_name(path: &str) -> &str {
    let is_pipe = ["/dev/", "/proc/"].iter().any(|dir| path.starts_with(dir));
    let name = path.rsplit('/').next().filter(|_| !is_pipe);
    name.unwrap_or_default()
}

/// Reads option by option.
struct Reader {
    draft: Draft,
    /// What the profile of the tunnel is called, if it gets one.
    profile: String,
    anyway: Vec<(String, usize)>,
    redials: Vec<(String, usize)>,
    /// Ways to prove who one is.
    refused: Vec<(&'static str, usize)>,
    /// What pppd calls itself, to servers as well unless it has a name for them.
    name: Option<(String, BTreeSet<usize>)>,
    echo: Echo,
}

impl Reader {
    fn new(name: &str, host: &str) -> Self {
        let mut draft = Draft::without_passwords(NO_PASSWORD);
        if !name.is_empty() {
            draft.set_new(CLIENTS, "name", name, []);
        }
        let called = if name.is_empty() { host } else { name };
        Self {
            draft,
            profile: format!("pppd-{called}"),
            anyway: Vec::new(),
            redials: Vec::new(),
            refused: Vec::new(),
            name: None,
            echo: Echo::default(),
        }
    }

    /// Takes an option with its arguments.
    fn option(&mut self, setting: &Setting<'_>) {
        let Some(value) = setting.value() else {
            return self
                .draft
                .leave_out(setting.lines(), setting.what(), INCOMPLETE);
        };
        let taken = match Meaning::find(setting.known.name) {
            Some(meaning) => self.of_tunnel(meaning, setting, value),
            None => self.of_link(setting, value),
        };
        if let Err(why) = taken {
            self.draft.leave_out(setting.lines(), setting.what(), why);
        }
    }

    /// Takes an option that is something else in a tunnel out than for a server.
    fn of_tunnel(
        &mut self,
        meaning: Meaning,
        setting: &Setting<'_>,
        value: &str,
    ) -> Result<(), &'static str> {
        let lines = setting.lines();
        match meaning {
            Meaning::Pty => return self.call(value, &lines),
            // What it makes is said by the options that it brings.
            Meaning::Plugin if is_pptp(value, PLUGIN) => self.anyway.extend(setting.named()),
            Meaning::Plugin => return Err("plugins are not taken over"),
            Meaning::Server => self.set("connect-to", value, lines),
            Meaning::User => self.set("user", value, lines),
            Meaning::Interface => self.set("name", value, lines),
            Meaning::As(property) => self.set(property, value, lines),
            Meaning::Is(property, value) => self.set(property, value, lines),
            Meaning::Strong => {
                self.set_profile("use-encryption", "required", lines);
                return Err(shared::STRENGTH);
            }
            Meaning::Redials => self.redials.extend(setting.named()),
            Meaning::Anyway => self.anyway.extend(setting.named()),
            Meaning::Without(why) => return Err(why),
        }
        Ok(())
    }

    /// Takes an option that is the same for both ends of a link.
    fn of_link(&mut self, setting: &Setting<'_>, value: &str) -> Result<(), &'static str> {
        let lines = setting.lines();
        let number = || value.parse::<u32>().map_err(|_| NOT_A_NUMBER);
        match setting.known.meaning {
            Shared::Link(property) => self.set(property, &number()?.to_string(), lines),
            Shared::Seconds(property) => match number()? {
                // For pppd that is no limit.
                0 => self.anyway.extend(setting.named()),
                seconds => self.set_profile(property, &format!("{seconds}s"), lines),
            },
            Shared::Profile(property, value) => self.set_profile(property, value, lines),
            Shared::Required(_) => return Err(table::PROOF),
            Shared::Refused(method) => {
                self.refused
                    .extend(lines.into_iter().map(|line| (method, line)));
            }
            Shared::Address(_) => return Err(table::ADDRESSES),
            Shared::EchoInterval => self.echo.set_interval(number()?, lines),
            Shared::EchoFailure => self.echo.set_failure(number()?, lines),
            Shared::Name => {
                if let Some((_, before)) = self.name.replace((value.to_owned(), lines)) {
                    let why = "is set again further down";
                    self.draft.leave_out(before, setting.what(), why);
                }
            }
            Shared::Mppe => {
                if shared::requires_mppe(value) {
                    self.set_profile("use-encryption", "required", lines);
                }
                if !shared::requires_mppe(value) || shared::refuses_strength(value) {
                    return Err(shared::STRENGTH);
                }
            }
            Shared::Anyway => self.anyway.extend(setting.named()),
            Shared::Without(why) => return Err(why),
        }
        Ok(())
    }

    /// Takes the command that makes the line.
    fn call(&mut self, command: &str, lines: &BTreeSet<usize>) -> Result<(), &'static str> {
        let call = program::read(command).ok_or("the line of a tunnel of PPTP is that of pptp")?;
        let host = call.host.ok_or("does not say which server to call")?;
        self.set("connect-to", &host, lines.clone());
        for (what, why) in call.left_out {
            self.draft.leave_out(lines.clone(), what, why);
        }
        Ok(())
    }

    /// Takes words of which the first one is no option.
    fn other(&mut self, words: &[Word]) {
        let lines = lines_of(words);
        if addresses(words).is_some() {
            return self.draft.leave_out(lines, "addresses", table::ADDRESSES);
        }
        // Only the name: what follows may be a password.
        let what = format!("option {}", words.first().map_or("", Word::text));
        self.draft.leave_out(lines, what, UNKNOWN);
    }

    /// `first` is the first line that says something.
    fn finish(mut self, first: usize) -> Draft {
        self.our_name();
        self.methods();
        self.keepalive();
        self.own_profile();
        let mut draft = self.draft;
        draft.set_new(CLIENTS, "disabled", "yes", []);
        draft.leave_out_together(&self.anyway, "what is done here anyway");
        draft.leave_out_together(&self.redials, table::REDIALS);
        let what = format!("disabled of {CLIENTS}");
        let why = "the file does not say whether pppd runs: enable it when pppd is stopped";
        draft.leave_out([first], what, why);
        draft
    }

    fn our_name(&mut self) {
        let Some((name, lines)) = self.name.take() else {
            return;
        };
        if self.draft.is_set_new(CLIENTS, "user") {
            let why = "user says what we are called there";
            self.draft.leave_out(lines, "option name", why);
        } else {
            self.set("user", &name, lines);
        }
    }

    /// What is not refused.
    fn methods(&mut self) {
        if self.refused.is_empty() {
            return;
        }
        let lines: BTreeSet<_> = self.refused.iter().map(|one| one.1).collect();
        let is_left = |method: &&str| !self.refused.iter().any(|one| one.0 == *method);
        let methods: Vec<_> = ["pap", "chap", "mschap1", "mschap2"]
            .into_iter()
            .filter(is_left)
            .collect();
        if methods.is_empty() {
            let why = "nothing is left by which we could prove who we are: set allow of \
                       /interface pptp-client";
            return self.draft.leave_out(lines, "options refuse-*", why);
        }
        self.set("allow", &methods.join(","), lines);
    }

    fn keepalive(&mut self) {
        match std::mem::take(&mut self.echo).timeout() {
            Some((Ok(timeout), lines)) => {
                self.set("keepalive-timeout", &timeout.to_string(), lines);
            }
            Some((Err(why), lines)) => self.draft.leave_out(lines, echo::OPTIONS, why),
            None => {}
        }
    }

    /// Gives the profile of the tunnel, if it has one, what that of tunnels without one says.
    fn own_profile(&mut self) {
        if !self.draft.is_set_new(PROFILES, "name") {
            return;
        }
        if !self.draft.is_set_new(PROFILES, "use-encryption") {
            self.set_profile("use-encryption", "yes", BTreeSet::new());
        }
        self.set_profile("change-tcp-mss", "yes", BTreeSet::new());
        let profile = self.profile.clone();
        self.set("profile", &profile, BTreeSet::new());
    }

    fn set(&mut self, property: &str, value: &str, lines: BTreeSet<usize>) {
        self.draft.set_new(CLIENTS, property, value, lines);
    }

    /// Sets a property of the profile of the tunnel, which has one from then on.
    fn set_profile(&mut self, property: &str, value: &str, lines: BTreeSet<usize>) {
        if !self.draft.is_set_new(PROFILES, "name") {
            self.draft.set_new(PROFILES, "name", &self.profile, []);
        }
        self.draft.set_new(PROFILES, property, value, lines);
    }
}

/// pppd's plugin for the kernel's PPTP.
const PLUGIN: &str = "pptp.so";
const NO_PASSWORD: &str = "pppd has it in chap-secrets or pap-secrets: import that file as well, or \
                           set it with /interface pptp-client";

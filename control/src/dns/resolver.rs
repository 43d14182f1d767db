//! The resolvers there are, and what is run to have one use servers or to have it forget them.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};

use super::{By, Setting};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folders that programs are in, as in `PATH`. Root runs what is there.
    pub path: String,
    /// What systemd-resolved keeps of itself while it runs.
    pub resolved: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            path: "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            resolved: "/run/systemd/resolve".into(),
        }
    }
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// systemd-resolved runs.
    Resolved,
    /// There is a resolvconf: which one, [`identify`] asks.
    Resolvconf,
    /// Neither.
    Nothing,
}

impl Places {
    /// What is there now.
    pub(super) fn look(&self) -> Found {
        if self.find(RESOLVECTL).is_some() && self.is_resolved_running() {
            return Found::Resolved;
        }
        match self.find(RESOLVCONF).map(fs::canonicalize) {
            // systemd's own is resolvectl by another name, and of no use without systemd-resolved.
            Some(Ok(path)) if !path.ends_with(RESOLVECTL) => Found::Resolvconf,
            Some(_) | None => Found::Nothing,
        }
    }

    /// The first program of this name.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        let folders = self.path.split(':').map(Path::new);
        let mut paths = folders.map(|folder| folder.join(program));
        paths.find(|path| {
            let found = fs::metadata(path);
            found.is_ok_and(|one| one.is_file() && one.permissions().mode() & 0o111 != 0)
        })
    }

    /// The folder outlives the service, so that a file in it says nothing; a socket that somebody
    /// listens on does. Older ones have no socket.
    fn is_resolved_running(&self) -> bool {
        match UnixStream::connect(self.resolved.join("io.systemd.Resolve")) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.resolved.join("stub-resolv.conf").exists()
            }
            Err(_) => false,
        }
    }
}

/// What a resolver was told, or may have been: enough to take it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Held {
    /// systemd-resolved was told of the interface with this number.
    Resolved {
        /// Of the interface, as the kernel counts. What was said of another one goes with it.
        index: u32,
        /// Whether all names are asked there.
        exclusively: bool,
    },
    /// A resolvconf has a record of this name.
    Resolvconf {
        /// The name.
        record: String,
        /// Whether the record is for itself, which openresolv alone knows.
        exclusively: bool,
        /// Whose program it is.
        by: By,
    },
}

impl Held {
    /// What there will be to take back of a setting by systemd-resolved.
    ///
    /// # Errors
    /// There is no such interface.
    pub(super) fn by_resolved(setting: &Setting) -> Result<Self, String> {
        let index = index(&setting.interface)
            .ok_or_else(|| format!("there is no interface {}", setting.interface))?;
        Ok(Self::Resolved {
            index,
            exclusively: setting.exclusively,
        })
    }

    /// The same by a resolvconf.
    pub(super) fn by_resolvconf(setting: &Setting, by: By) -> Self {
        let name = escaped(&setting.interface);
        let record = if setting.exclusively && by == By::Resolvconf {
            // Among the first of interface-order(5), where tunnels are. The best that there is.
            format!("tun.{name}.greyhound")
        } else {
            format!("{name}.greyhound")
        };
        Self::Resolvconf {
            record,
            exclusively: setting.exclusively && by == By::Openresolv,
            by,
        }
    }

    /// Who was told.
    pub(super) const fn by(&self) -> By {
        match self {
            Self::Resolved { .. } => By::Resolved,
            Self::Resolvconf { by, .. } => *by,
        }
    }

    /// What is run to have the servers of a setting used.
    pub(super) fn set(&self, setting: &Setting) -> Vec<Call> {
        let servers = setting.servers.iter();
        match self {
            Self::Resolved { index, exclusively } => {
                let index = index.to_string();
                let mut dns = vec!["dns".to_owned(), index.clone()];
                dns.extend(servers.map(ToString::to_string));
                let mut calls = vec![Call::of(RESOLVECTL, dns)];
                if *exclusively {
                    // Which routes all names there; the other interfaces have none.
                    calls.push(Call::new(RESOLVECTL, &["domain", &index, "~."]));
                }
                calls.push(Call::new(RESOLVECTL, &["default-route", &index, "yes"]));
                calls
            }
            Self::Resolvconf {
                record,
                exclusively,
                ..
            } => {
                let words: &[&str] = if *exclusively {
                    &["-x", "-a", record]
                } else {
                    &["-a", record]
                };
                let mut call = Call::new(RESOLVCONF, words);
                for server in servers {
                    // A string takes everything.
                    let _ = writeln!(call.input, "nameserver {server}");
                }
                vec![call]
            }
        }
    }

    /// What is run to take back what was told of `interface`; nothing if that went with the
    /// interface.
    pub(super) fn revert(&self, interface: &str) -> Vec<Call> {
        match self {
            Self::Resolved { index: one, .. } if index(interface) != Some(*one) => Vec::new(),
            Self::Resolved { index, .. } => {
                vec![Call::new(RESOLVECTL, &["revert", &index.to_string()])]
            }
            Self::Resolvconf { record, by, .. } => {
                // A record that is not there is an error to openresolv without -f.
                let words: &[&str] = if *by == By::Openresolv {
                    &["-f", "-d", record]
                } else {
                    &["-d", record]
                };
                vec![Call::new(RESOLVCONF, words)]
            }
        }
    }
}

/// What is run to learn whose resolvconf there is.
pub(super) fn identify() -> Call {
    Call::new(RESOLVCONF, &["--version"])
}

/// Whose resolvconf it is, by the first line of what it wrote. Only openresolv's says what it is in
/// every version that has servers in place of others.
pub(super) fn identified(line: Option<&str>) -> By {
    if line.is_some_and(|line| line.starts_with("openresolv ")) {
        By::Openresolv
    } else {
        By::Resolvconf
    }
}

/// A program to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Its name.
    pub(super) program: &'static str,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// What it has to read.
    pub(super) input: String,
}

impl Call {
    fn new(program: &'static str, words: &[&str]) -> Self {
        Self::of(program, words.iter().copied().map(str::to_owned).collect())
    }

    const fn of(program: &'static str, arguments: Vec<String>) -> Self {
        Self {
            program,
            arguments,
            input: String::new(),
        }
    }
}

const RESOLVECTL: &str = "resolvectl";
const RESOLVCONF: &str = "resolvconf";

/// The number of an interface.
fn index(interface: &str) -> Option<u32> {
    if_nametoindex(interface).ok()
}

/// A name that scripts of a resolvconf take for one word, and that no other interface has: what is
/// neither a letter of ASCII nor a digit nor one of `_-.` is `%` and its bytes in hexadecimal. Nor may
/// a name begin with a mark, which records may not.
fn escaped(interface: &str) -> String {
    let mut name = String::new();
    for byte in interface.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'_';
        if is_plain || (!name.is_empty() && b"-.".contains(&byte)) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn setting(interface: &str, exclusively: bool) -> Setting {
        Setting {
            interface: interface.to_owned(),
            servers: vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)],
            exclusively,
        }
    }

    /// As it would be typed.
    fn typed(calls: &[Call]) -> Vec<String> {
        let typed = |call: &Call| format!("{} {}", call.program, call.arguments.join(" "));
        calls.iter().map(typed).collect()
    }

    #[test]
    fn resolved_is_told_of_the_interface_by_its_number() {
        let held = |exclusively| Held::by_resolved(&setting("lo", exclusively)).unwrap();
        assert_eq!(
            typed(&held(false).set(&setting("lo", false))),
            [
                "resolvectl dns 1 10.0.0.1 10.0.0.2",
                "resolvectl default-route 1 yes"
            ]
        );
        assert_eq!(
            typed(&held(true).set(&setting("lo", true))),
            [
                "resolvectl dns 1 10.0.0.1 10.0.0.2",
                "resolvectl domain 1 ~.",
                "resolvectl default-route 1 yes"
            ]
        );
        assert_eq!(typed(&held(true).revert("lo")), ["resolvectl revert 1"]);
    }

    #[test]
    fn what_resolved_was_told_of_an_interface_that_is_gone_is_gone() {
        let other = Held::Resolved {
            index: 7_000_000,
            exclusively: false,
        };
        assert_eq!(other.revert("lo"), []);
        assert_eq!(other.revert("no such one"), []);
        let error = Held::by_resolved(&setting("no such one", false)).unwrap_err();
        assert_eq!(error, "there is no interface no such one");
    }

    #[test]
    fn openresolv_has_servers_in_place_of_others_and_debian_has_them_first() {
        let cases = [
            (
                By::Openresolv,
                false,
                "-a pptp-out1.greyhound",
                "-f -d pptp-out1.greyhound",
            ),
            (
                By::Openresolv,
                true,
                "-x -a pptp-out1.greyhound",
                "-f -d pptp-out1.greyhound",
            ),
            (
                By::Resolvconf,
                false,
                "-a pptp-out1.greyhound",
                "-d pptp-out1.greyhound",
            ),
            (
                By::Resolvconf,
                true,
                "-a tun.pptp-out1.greyhound",
                "-d tun.pptp-out1.greyhound",
            ),
        ];
        for (by, exclusively, set, revert) in cases {
            let setting = setting("pptp-out1", exclusively);
            let held = Held::by_resolvconf(&setting, by);
            let calls = held.set(&setting);
            assert_eq!(typed(&calls), [format!("resolvconf {set}")]);
            assert_eq!(calls[0].input, "nameserver 10.0.0.1\nnameserver 10.0.0.2\n");
            let calls = held.revert("pptp-out1");
            assert_eq!(typed(&calls), [format!("resolvconf {revert}")]);
        }
    }

    #[test]
    fn openresolv_says_what_it_is() {
        assert_eq!(identified(Some("openresolv 3.12.0")), By::Openresolv);
        for line in [
            None,
            Some("Debian resolvconf 1.91"),
            Some("Usage: openresolv "),
        ] {
            assert_eq!(identified(line), By::Resolvconf);
        }
    }

    #[test]
    fn a_record_is_one_word_that_begins_with_no_mark() {
        assert_eq!(escaped("pptp-out1"), "pptp-out1");
        assert_eq!(escaped("-a*b %"), "%2da%2ab%20%25");
        assert_eq!(escaped("..~"), "%2e.%7e");
        assert_eq!(escaped("\u{fc}"), "%c3%bc");
    }

    proptest! {
        #[test]
        fn no_two_interfaces_have_the_same_record(names in prop::collection::vec(".{1,5}", 0..50)) {
            let mut records = BTreeMap::new();
            for name in names {
                let before = records.insert(escaped(&name), name.clone());
                prop_assert!(before.is_none_or(|before| before == name));
            }
        }
    }
}

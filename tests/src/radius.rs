//! FreeRADIUS as its makers built it, with a configuration of the laboratory's own: everything it
//! needs is in a folder that goes with it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::machine::plugged;
use crate::namespace::{Lan, Namespace};
use crate::scratch::Scratch;
use crate::wait::{wait_for, wait_until};

/// What it shares with every client.
pub const SECRET: &str = "testing123";

/// A user, or rather one entry of its `users` file.
#[derive(Clone, Debug)]
pub struct User {
    /// User-Name.
    pub name: String,
    /// The password; `None` rejects the user.
    pub password: Option<String>,
    /// What the answer says, each `Attribute = value` in the words of its dictionaries.
    pub reply: Vec<String>,
}

impl User {
    /// A user who may come in and gets this.
    #[must_use]
    pub fn new(name: &str, password: &str, reply: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            password: Some(password.to_owned()),
            reply: reply.iter().map(|&line| line.to_owned()).collect(),
        }
    }

    /// A user who may not, and is told this.
    #[must_use]
    pub fn rejected(name: &str, message: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: None,
            reply: vec![format!("Reply-Message = \"{message}\"")],
        }
    }

    fn entry(&self) -> String {
        let check = match &self.password {
            Some(password) => format!("Cleartext-Password := \"{password}\""),
            None => "Auth-Type := Reject".to_owned(),
        };
        format!(
            "{} {check}\n    {}\n",
            self.name,
            self.reply.join(",\n    ")
        )
    }
}

/// What comes with an answer to MS-CHAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mppe {
    /// Keys, and the policy that they may be used.
    Allowed,
    /// Keys, and the policy that those of 128 bit must be used.
    Required,
    /// Nothing: FreeRADIUS's `use_mppe = no`.
    WithoutKeys,
}

impl Mppe {
    /// For the module `mschap`.
    const fn settings(self) -> &'static str {
        match self {
            Self::Allowed => "use_mppe = yes\n  require_encryption = no\n  require_strong = no",
            Self::Required => "use_mppe = yes\n  require_encryption = yes\n  require_strong = yes",
            Self::WithoutKeys => "use_mppe = no",
        }
    }
}

/// A running FreeRADIUS on a machine of its own; killed when dropped.
#[derive(Debug)]
pub struct FreeRadius {
    child: Option<Child>,
    folder: Scratch,
    namespace: Namespace,
}

impl FreeRadius {
    /// Plugs a machine into a LAN, and starts it there with these users.
    ///
    /// # Errors
    /// It does not start; the message has its log.
    pub fn on(lan: &Lan, address: Ipv4Addr, users: &[User]) -> Result<Self> {
        Self::with(lan, address, users, Mppe::Allowed)
    }

    /// The same where MS-CHAP brings something else.
    ///
    /// # Errors
    /// As [`Self::on`].
    pub fn with(lan: &Lan, address: Ipv4Addr, users: &[User], mppe: Mppe) -> Result<Self> {
        let mut server = Self {
            child: None,
            folder: Scratch::new("freeradius")?,
            namespace: plugged(lan, address)?,
        };
        let entries: String = users.iter().map(User::entry).collect();
        fs::write(server.folder.file("users"), entries)?;
        let folder = server.folder.path().display().to_string();
        let config = CONFIG.replace("FOLDER", &folder);
        let config = config.replace("MPPE", mppe.settings());
        fs::write(server.folder.file("radiusd.conf"), config)?;
        server.start()?;
        Ok(server)
    }

    /// Starts it again, after [`Self::stop`] or [`Self::kill`].
    ///
    /// # Errors
    /// It does not start; the message has its log.
    pub fn start(&mut self) -> Result<()> {
        // What it said before is kept.
        let log = self.folder.file(LOG);
        let log = File::options().create(true).append(true).open(log)?;
        let mut child = self
            .namespace
            .command("freeradius")
            .args(["-f", "-l", "stdout", "-D", DICTIONARIES, "-d"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start freeradius")?;
        let mut ended = false;
        let ready = wait_until("FreeRADIUS answers", START_PATIENCE, || {
            ended = matches!(child.try_wait(), Ok(Some(_)));
            let answer = || self.ask_itself("status", SIGNED);
            ended || answer().is_ok_and(|said| said.contains(ACCEPT))
        });
        self.child = Some(child);
        ready.with_context(|| self.log())?;
        ensure!(!ended, "freeradius ended: {}", self.log());
        Ok(())
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(child) = &self.child {
            crate::process::send_signal(child.id(), rustix::process::Signal::TERM)?;
        }
        if let Some(mut child) = self.child.take() {
            let ended = wait_for("FreeRADIUS ends", START_PATIENCE, || {
                child.try_wait().transpose()
            });
            if ended.is_err() {
                child.kill()?;
                child.wait()?;
            }
        }
        Ok(())
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The id of its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its machine.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.file(LOG)).unwrap_or_default()
    }

    /// What it was told: the records of its detail file, in the order in which they came.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(&self) -> Result<Vec<Record>> {
        let path = self.folder.file("detail");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(path)?;
        Ok(records_in(&text))
    }

    /// Waits until there are records that this is content with, and returns all.
    ///
    /// # Errors
    /// There are none within `patience`; the message has those that there are.
    pub fn wait_for_records(
        &self,
        what: &str,
        patience: Duration,
        is_enough: impl Fn(&[Record]) -> bool,
    ) -> Result<Vec<Record>> {
        wait_for(what, patience, || {
            self.records().ok().filter(|records| is_enough(records))
        })
        .with_context(|| format!("{:#?}", self.records()))
    }

    /// Sends something to a concentrator as a RADIUS server does: `disconnect` or `coa`, with
    /// attributes, a line each. Returns what radclient says of the answer.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn ask(
        &self,
        concentrator: Ipv4Addr,
        kind: &str,
        attributes: &str,
        secret: &str,
    ) -> Result<String> {
        self.radclient_to(&format!("{concentrator}:3799"), kind, attributes, secret)
    }

    /// Asks this server itself, by `auth`, `acct` or `status`, with attributes, a line each; passwords
    /// stand there in clear. Returns what radclient says of the answer.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn ask_itself(&self, kind: &str, attributes: &str) -> Result<String> {
        let port = if kind == "acct" { 1813 } else { 1812 };
        self.radclient_to(&format!("127.0.0.1:{port}"), kind, attributes, SECRET)
    }

    fn radclient_to(&self, to: &str, kind: &str, attributes: &str, secret: &str) -> Result<String> {
        let path = self.folder.file("request");
        fs::write(&path, format!("{attributes}\n"))?;
        let output = self
            .namespace
            .command("radclient")
            .args(["-x", "-r", "1", "-t", "2", "-D", DICTIONARIES, "-d"])
            .arg(self.folder.path())
            .arg("-f")
            .arg(path)
            .args([to, kind, secret])
            .output()?;
        // It fails when the answer is no: what it says is what counts.
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for FreeRadius {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The records of a detail file. An empty line ends each; one that is just being written does not
/// count yet.
fn records_in(text: &str) -> Vec<Record> {
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    let records = whole.split("\n\n").map(Record::parse);
    records.filter(|record| !record.0.is_empty()).collect()
}

/// One accounting record as FreeRADIUS wrote it down: attributes by name, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(pub Vec<(String, String)>);

impl Record {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.strip_prefix('\t'));
        let pairs = lines.filter_map(|line| line.split_once(" = "));
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
                .collect(),
        )
    }

    /// The first value of an attribute, or nothing.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of an attribute.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter();
        pairs.filter_map(move |(one, value)| (one == name).then_some(&**value))
    }

    /// Acct-Status-Type: `Start`, `Stop`, `Interim-Update`, `Accounting-On`, `Accounting-Off`.
    #[must_use]
    pub fn status(&self) -> &str {
        self.get("Acct-Status-Type")
    }

    /// Acct-Session-Id.
    #[must_use]
    pub fn session(&self) -> &str {
        self.get("Acct-Session-Id")
    }

    /// A number.
    ///
    /// # Errors
    /// There is none.
    pub fn number(&self, name: &str) -> Result<u64> {
        let value = self.get(name).parse();
        value.with_context(|| format!("{name} in {self:?}"))
    }

    /// `Input` or `Output`: bytes, with the upper half that stands by itself.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn octets(&self, direction: &str) -> Result<u64> {
        let low = self.number(&format!("Acct-{direction}-Octets"))?;
        let high = self.number(&format!("Acct-{direction}-Gigawords"))?;
        Ok(high << 32 | low)
    }
}

/// Checks that each session has one Start and one Stop, and that what was told twice says the same.
/// Returns the sessions' Stop records.
///
/// # Errors
/// A record is missing, or two of them differ.
pub fn check_pairs(records: &[Record]) -> Result<Vec<Record>> {
    let mut sessions: Vec<&str> = records.iter().map(Record::session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    let mut stops = Vec::new();
    let mut wrong = String::new();
    for session in sessions.into_iter().filter(|session| !session.is_empty()) {
        for status in ["Start", "Stop"] {
            let mut told = records
                .iter()
                .filter(|record| record.session() == session && record.status() == status)
                .map(Record::without_delay);
            let Some(first) = told.next() else {
                writeln!(wrong, "{session} has no {status}")?;
                continue;
            };
            if told.any(|other| other != first) {
                writeln!(wrong, "{session} has two that differ for {status}")?;
            }
            if status == "Stop" {
                stops.push(first);
            }
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(stops)
}

impl Record {
    /// Without what differs when the same is told again: how late it is, and when it was noted down.
    fn without_delay(&self) -> Self {
        let told_again = ["Acct-Delay-Time", "Timestamp", "Message-Authenticator"];
        let pairs = self.0.iter();
        Self(
            pairs
                .filter(|(name, _)| !told_again.contains(&&**name))
                .cloned()
                .collect(),
        )
    }
}

/// For an attribute list: radclient fills it in.
pub const SIGNED: &str = "Message-Authenticator = 0x00";

/// What radclient says of a login that succeeds.
pub const ACCEPT: &str = "Received Access-Accept";

/// What radclient says of one that does not.
pub const REJECT: &str = "Received Access-Reject";

/// Where the names of attributes are, of the package freeradius-common.
pub const DICTIONARIES: &str = "/usr/share/freeradius";

const LOG: &str = "log";
const START_PATIENCE: Duration = Duration::from_secs(15);

/// FreeRADIUS 3.2 signs its answers by a Message-Authenticator if it is told to.
const CONFIG: &str = "\
prefix = /usr
libdir = /usr/lib/freeradius
confdir = FOLDER
logdir = FOLDER
run_dir = FOLDER
name = radiusd
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
log {
 destination = stdout
 auth = no
}
security {
 max_attributes = 200
 reject_delay = 0
 status_server = yes
}
thread pool {
 start_servers = 4
 max_servers = 8
 min_spare_servers = 2
 max_spare_servers = 8
 max_requests_per_server = 0
}
modules {
 pap {
 }
 chap {
 }
 mschap {
  MPPE
 }
 files {
  usersfile = FOLDER/users
  key = \"%{User-Name}\"
 }
 detail {
  filename = FOLDER/detail
  permissions = 0600
  header = \"%t\"
 }
}
client lab {
 ipaddr = 0.0.0.0/0
 secret = testing123
 require_message_authenticator = yes
}
server default {
 listen {
  type = auth
  ipaddr = *
  port = 1812
 }
 listen {
  type = acct
  ipaddr = *
  port = 1813
 }
 authorize {
  chap
  mschap
  files
  pap
 }
 authenticate {
  Auth-Type PAP {
   pap
  }
  Auth-Type CHAP {
   chap
  }
  Auth-Type MS-CHAP {
   mschap
  }
 }
 preacct {
 }
 accounting {
  detail
 }
 post-auth {
  update reply {
   Message-Authenticator := 0x00
  }
  Post-Auth-Type REJECT {
   update reply {
    Message-Authenticator := 0x00
   }
  }
 }
}
";

#[cfg(test)]
mod tests {
    use super::*;

    const DETAIL: &str = "Tue Nov 24 01:22:48 2026
\tUser-Name = \"bob\"
\tAcct-Status-Type = Stop
\tAcct-Session-Id = \"1\"
\tClass = 0x6f6e65
\tClass = 0x74776f
\tAcct-Input-Octets = 7
\tAcct-Input-Gigawords = 2
\tTimestamp = 1795483368

Tue Nov 24 01:22:49 2026
\tAcct-Status-Type = Start
\tAcct-Session-Id = \"1\"
\tAcct-Delay-Time = 3

";

    fn records() -> Vec<Record> {
        records_in(DETAIL)
    }

    #[test]
    fn a_detail_file_is_read_attribute_by_attribute() {
        let [stop, start] = &records()[..] else {
            panic!("{:?}", records())
        };
        assert_eq!((stop.get("User-Name"), stop.status()), ("bob", "Stop"));
        let classes: Vec<_> = stop.all("Class").collect();
        assert_eq!(classes, ["0x6f6e65", "0x74776f"]);
        assert_eq!(stop.octets("Input").unwrap(), (2 << 32) + 7);
        assert_eq!(start.number("Acct-Delay-Time").unwrap(), 3);
        assert!(start.number("Acct-Session-Time").is_err());
    }

    #[test]
    fn a_record_that_is_just_being_written_does_not_count() {
        let (unfinished, _) = DETAIL.split_once("\tAcct-Delay-Time").unwrap();
        assert_eq!(records_in(unfinished), records()[..1]);
        assert_eq!(records_in("Tue Nov 24\n\tAcct-Status-Type = Start\n"), []);
        assert_eq!(records_in(""), []);
    }

    #[test]
    fn a_session_without_its_pair_or_told_in_two_ways_is_found() {
        let records = records();
        assert_eq!(check_pairs(&records).unwrap().len(), 1);
        assert!(check_pairs(&records[..1]).is_err());
        let mut twice = [&records[..], &records[..1]].concat();
        assert!(check_pairs(&twice).is_ok());
        twice[2].0.retain(|(name, _)| name != "Class");
        assert!(check_pairs(&twice).is_err());
    }
}

//! The process that keeps the system's resolver told.
//!
//! One thread waits for everything at once: for the control process to say what to use, for the ends
//! of programs, and for the word to stop. Of each interface it knows what is wanted and what is
//! held, and does the next thing that brings the two together: one at a time for an interface, so
//! that the last request holds whatever came before it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{Timespec, poll};
use rustix::io::Errno;

use super::job::Job;
use super::record::Record;
use super::resolver::{self, Found, Held, Places};
use super::{By, Event, MOST_SERVERS, Request, Setting, VERSION, line};
use crate::log::{Line, Log, Message};
use crate::programs::asker::{Asker, Heard, readable};

/// How long a program may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// How long taking back may take once the program stops. It is less than what the supervisor waits.
pub const STOP_GRACE: Duration = Duration::from_secs(4);

/// How long to wait before what could not be taken back is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Requests taken before programs get their turn.
const REQUESTS_A_TURN: usize = 256;

/// What a keeper is started with.
#[derive(Debug)]
pub struct Options {
    /// The socket that the control process connects to, which listens already.
    pub listener: OwnedFd,
    /// Where to write down what is set.
    pub run_dir: PathBuf,
    /// Where resolvers are.
    pub places: Places,
    /// How long a program may take.
    pub timeout: Duration,
    /// How long taking back may take once the keeper is to stop.
    pub stop_grace: Duration,
    /// Where lines go that the control process is not there for.
    pub log: Log,
}

/// The process, without what is about being a process.
#[derive(Debug)]
pub struct Keeper {
    control: Asker<Event, Request>,
    places: Places,
    timeout: Duration,
    stop_grace: Duration,
    log: Log,
    record: Record,
    interfaces: BTreeMap<String, Interface>,
    /// Set once it is to stop: until when it may go on.
    stop_by: Option<Instant>,
}

/// An interface, by the kernel's name.
#[derive(Debug, Default)]
struct Interface {
    /// What the control process wants; nothing, if it is to be taken back.
    wanted: Option<Setting>,
    /// `wanted` has not been begun yet.
    is_new: bool,
    /// What a resolver was told, or may have been.
    held: Option<Held>,
    doing: Option<(Doing, Job)>,
    /// Whose resolvconf there is, if that was asked for what is wanted.
    resolvconf: Option<By>,
    /// When to try again what could not be taken back.
    retry_at: Option<Instant>,
    /// That it could not be taken back has been told.
    is_told: bool,
}

/// What a job is for.
#[derive(Debug)]
enum Doing {
    Identifying,
    Setting(Setting),
    Reverting,
}

impl Keeper {
    /// A keeper that nobody has connected to; it takes back first what an earlier one has left.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (record, outcome) = Record::open(&options.run_dir);
        let interfaces = record.table().iter().map(|(name, held)| {
            let held = Some(held.clone());
            let interface = Interface {
                held,
                ..Interface::default()
            };
            (name.clone(), interface)
        });
        let keeper = Self {
            control: Asker::new(options.listener),
            places: options.places,
            timeout: options.timeout,
            stop_grace: options.stop_grace,
            log: options.log,
            interfaces: interfaces.collect(),
            record,
            stop_by: None,
        };
        if let Err(error) = outcome {
            keeper.complain(&format!("what was set before is not known: {error}"));
        }
        keeper
    }

    /// Has servers used until `stop` is readable; then takes back what is set.
    ///
    /// # Errors
    /// The kernel refused what this needs itself.
    pub fn run(mut self, stop: impl AsFd) -> anyhow::Result<()> {
        let outcome = self.turn_until_stopped(stop.as_fd());
        // What is still held stands in the record.
        for interface in self.interfaces.values_mut() {
            if let Some((_, job)) = &mut interface.doing {
                job.kill();
            }
        }
        outcome
    }

    fn turn_until_stopped(&mut self, stop: BorrowedFd<'_>) -> anyhow::Result<()> {
        self.advance(now());
        loop {
            let is_stop = self.wait(stop).context("cannot wait for programs")?;
            let now = now();
            if is_stop {
                self.stop(now);
            }
            if self.stop_by.is_none() {
                self.receive(now)?;
            }
            self.advance(now);
            self.control.flush();
            let is_idle = self.interfaces.is_empty();
            if self.stop_by.is_some_and(|at| is_idle || at <= now) {
                return Ok(());
            }
        }
    }

    /// Waits for something to happen; tells whether `stop` is readable.
    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<bool> {
        let mut fds = Vec::new();
        let jobs = || self.interfaces.values().filter_map(Interface::job);
        fds.extend(jobs().flat_map(Job::descriptors).map(readable));
        if self.stop_by.is_none() {
            fds.extend([self.control.poll_fd(), readable(stop)]);
        }
        let retries = self.interfaces.values().filter_map(|one| one.retry_at);
        let deadlines = jobs().filter_map(Job::deadline).chain(retries);
        let next = deadlines.chain(self.stop_by).min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(now());
            Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            })
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            // A signal; if it is one to stop, `stop` is readable the next time.
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let is_stop = fds.last().is_some_and(|fd| !fd.revents().is_empty());
        Ok(self.stop_by.is_none() && is_stop)
    }

    fn stop(&mut self, now: Instant) {
        self.stop_by.get_or_insert(now + self.stop_grace);
        self.control.forget();
        self.forget_all();
    }

    /// Nothing is wanted any more.
    fn forget_all(&mut self) {
        for interface in self.interfaces.values_mut() {
            interface.want(None);
        }
    }

    /// Takes what the control process wants. Where the two do not understand each other this one
    /// ends, and is started again from the file that the other was started from.
    fn receive(&mut self, now: Instant) -> anyhow::Result<()> {
        for _ in 0..REQUESTS_A_TURN {
            match self.control.hear().context("cannot accept")? {
                Heard::Request(Request::Hello { version: VERSION }) => self.forget_all(),
                Heard::Request(Request::Hello { version }) => {
                    self.complain(&format!("control speaks version {version}, dns {VERSION}"));
                    self.stop(now);
                    break;
                }
                Heard::Request(Request::Set(setting)) => self.want(setting),
                Heard::Request(Request::Revert { interface }) => {
                    if let Some(interface) = self.interfaces.get_mut(&interface) {
                        interface.want(None);
                    }
                }
                // Sessions may go on, or the next control process says Hello.
                Heard::End => {}
                Heard::Nothing => break,
                Heard::Nonsense(error) => {
                    self.complain(&format!("control is not understood: {error}"));
                    self.stop(now);
                    break;
                }
            }
        }
        Ok(())
    }

    fn want(&mut self, setting: Setting) {
        if !(1..=MOST_SERVERS).contains(&setting.servers.len()) {
            let reason = format!("{} servers are no setting", setting.servers.len());
            return self.tell(Event::NotSet { setting, reason });
        }
        let interface = self.interfaces.entry(setting.interface.clone());
        interface.or_default().want(Some(setting));
    }

    /// Does what can be done now for each interface, and forgets those that nothing is left of.
    fn advance(&mut self, now: Instant) {
        for name in self.interfaces.keys().cloned().collect::<Vec<_>>() {
            let Some(mut interface) = self.interfaces.remove(&name) else {
                continue;
            };
            while self.step(now, &name, &mut interface) {}
            if !interface.is_over() {
                self.interfaces.insert(name, interface);
            }
        }
    }

    /// Ends the job that is done, or begins the next one; tells whether there was either.
    fn step(&mut self, now: Instant, name: &str, interface: &mut Interface) -> bool {
        let Some((doing, mut job)) = interface.doing.take() else {
            interface.doing = self.next_job(now, name, interface);
            return interface.doing.is_some();
        };
        let Some(end) = job.advance(now, &self.places, self.timeout) else {
            interface.doing = Some((doing, job));
            return false;
        };
        match (doing, end) {
            (Doing::Identifying, end) => {
                let line = end.ok().flatten();
                interface.resolvconf = Some(resolver::identified(line.as_deref()));
            }
            (Doing::Setting(setting), end) => {
                // Else it is another one that counts.
                let is_wanted = !interface.is_new && interface.wanted.is_some();
                match end {
                    Ok(_) if is_wanted => {
                        if let Some(held) = &interface.held {
                            let by = held.by();
                            self.tell(Event::Set { setting, by });
                        }
                    }
                    Err(reason) if is_wanted => {
                        interface.want(None);
                        self.tell(Event::NotSet { setting, reason });
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            (Doing::Reverting, Ok(_)) => self.forget(name, interface),
            (Doing::Reverting, Err(reason)) => {
                interface.retry_at = Some(now + RETRY);
                if !std::mem::replace(&mut interface.is_told, true) {
                    let interface = name.to_owned();
                    self.tell(Event::NotReverted { interface, reason });
                }
            }
        }
        true
    }

    /// What is to be done next, if anything.
    fn next_job(
        &mut self,
        now: Instant,
        name: &str,
        interface: &mut Interface,
    ) -> Option<(Doing, Job)> {
        if interface.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        interface.retry_at = None;
        if let Some(setting) = interface.wanted.clone() {
            if !interface.is_new {
                return None;
            }
            let held = match self.choose(&setting, interface.resolvconf) {
                Ok(Some(held)) => held,
                Ok(None) => {
                    return Some((Doing::Identifying, Job::new(vec![resolver::identify()])));
                }
                Err(reason) => return self.refuse(name, interface, setting, reason),
            };
            if interface.held.as_ref().is_none_or(|one| *one == held) {
                if let Err(error) = self.record.set(name, Some(&held)) {
                    let reason = format!("it cannot be written down: {error}");
                    return self.refuse(name, interface, setting, reason);
                }
                let job = Job::new(held.set(&setting));
                interface.held = Some(held);
                interface.is_new = false;
                return Some((Doing::Setting(setting), job));
            }
        }
        self.revert(name, interface)
    }

    /// What there will be to take back of a setting; `None` if it is to be asked first whose
    /// resolvconf there is.
    fn choose(&self, setting: &Setting, resolvconf: Option<By>) -> Result<Option<Held>, String> {
        match (self.places.look(), resolvconf) {
            (Found::Resolved, _) => Held::by_resolved(setting).map(Some),
            (Found::Resolvconf, Some(by)) => Ok(Some(Held::by_resolvconf(setting, by))),
            (Found::Resolvconf, None) => Ok(None),
            (Found::Nothing, _) => Err("neither systemd-resolved nor resolvconf is there".into()),
        }
    }

    /// Answers a setting that nothing comes of, and takes back the one before it.
    fn refuse(
        &mut self,
        name: &str,
        interface: &mut Interface,
        setting: Setting,
        reason: String,
    ) -> Option<(Doing, Job)> {
        interface.want(None);
        self.tell(Event::NotSet { setting, reason });
        self.revert(name, interface)
    }

    fn revert(&mut self, name: &str, interface: &mut Interface) -> Option<(Doing, Job)> {
        let held = interface.held.as_ref()?;
        Some((Doing::Reverting, Job::new(held.revert(name))))
    }

    /// Nothing is held of an interface any more.
    fn forget(&mut self, name: &str, interface: &mut Interface) {
        (interface.held, interface.is_told) = (None, false);
        if let Err(error) = self.record.set(name, None) {
            // It is taken back once more by the next process, which does no harm.
            self.complain(&format!("that {name} is reverted cannot be noted: {error}"));
        }
    }

    /// Tells the control process, or the log if it is not there.
    fn tell(&mut self, event: Event) {
        if self.control.is_connected() {
            return self.control.tell(event);
        }
        self.log.write(line::of(&event, None));
    }

    fn complain(&self, text: &str) {
        let text = format!("DNS servers: {text}");
        self.log.write(Line::new(Message::DnsFailed, text));
    }
}

impl Interface {
    /// Has something else wanted than before.
    fn want(&mut self, setting: Option<Setting>) {
        self.is_new = setting.is_some();
        self.wanted = setting;
        self.resolvconf = None;
        self.retry_at = None;
    }

    fn job(&self) -> Option<&Job> {
        self.doing.as_ref().map(|(_, job)| job)
    }

    /// Whether nothing is left to do or to know.
    const fn is_over(&self) -> bool {
        self.wanted.is_none() && self.held.is_none() && self.doing.is_none()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the keeper waits for processes: its clock is the machine's"
)]
fn now() -> Instant {
    Instant::now()
}

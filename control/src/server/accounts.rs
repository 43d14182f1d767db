//! What is kept of sessions, and when: a session gets its interface when it is kept that it is up, and
//! is gone when it is kept that it has ended. In between its numbers are kept from time to time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use greyhound_datapath::ids::SessionId;
use greyhound_datapath::ipc::{self, Request};
use greyhound_datapath::stats::SessionCounters;

use super::{Command, Datapath, Entry, Server, Timer};
use crate::accounting::{Change, Numbers, Opening, Unfinished};
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::radius::access::Call;

/// How often the numbers of a session are kept of which RADIUS wants none: what they were is all that
/// is known if the datapath dies with the process.
const SAMPLE: Duration = Duration::from_secs(300);

/// What is kept of one session.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Once it is up, and until its end is on its way to be kept.
    running: Option<Running>,
    /// The change that has to be kept before what is in `held` may be said.
    waits_for: Option<u64>,
    /// For the datapath.
    held: Vec<Request>,
}

#[derive(Debug)]
struct Running {
    /// How often its numbers are kept.
    interval: Duration,
    /// RADIUS is told of them.
    is_interim: bool,
    /// They are being read for that.
    is_reading: bool,
}

/// What is kept of all.
#[derive(Debug)]
pub(super) struct Accounts {
    /// Makes the session ids of this start of the program differ from those of others.
    nonce: u32,
    /// Changes so far.
    changes: u64,
    /// What happens when a change is kept.
    waiting: BTreeMap<u64, Waiting>,
    /// Sessions of the process before this one that the datapath may hold.
    unfinished: BTreeMap<SessionId, Before>,
    /// Those of them that it has said it holds.
    held: BTreeSet<SessionId>,
    /// RADIUS was told that accounting is on.
    is_on: bool,
}

/// A session of the process before.
#[derive(Debug)]
struct Before {
    session: Unfinished,
    /// When it had its age.
    at: Instant,
}

/// Who waits for a change to be kept.
#[derive(Debug)]
enum Waiting {
    /// A session that is up.
    Up(SessionId),
    /// One that the datapath has removed, with its last counters.
    Gone(SessionId, SessionCounters),
    /// A number of a session of the process before.
    Before(SessionId),
    /// Nobody, but the program does not end before.
    Nobody,
}

impl Accounts {
    pub(super) const fn new(nonce: u32) -> Self {
        Self {
            nonce,
            changes: 0,
            waiting: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            held: BTreeSet::new(),
            is_on: false,
        }
    }

    /// Whether all is kept that was to be.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// What the process before this one left: sessions that were up, and of whose end nothing is kept.
    /// To be called before anything else happens, and again if more is found later.
    pub fn resume(&mut self, now: Instant, unfinished: Vec<Unfinished>) {
        let before = unfinished.into_iter().map(|session| {
            let id = session.datapath;
            (id, Before { session, at: now })
        });
        self.accounts.unfinished.extend(before);
        if matches!(self.datapath, Datapath::Ready(_)) {
            self.end_lost();
        }
        self.retain();
        self.switch_accounting(now);
        self.settle(now);
    }

    /// All changes up to this one are kept.
    pub fn handle_kept(&mut self, now: Instant, up_to: u64) {
        while let Some(first) = self.accounts.waiting.first_entry()
            && *first.key() <= up_to
        {
            let (number, waiting) = first.remove_entry();
            match waiting {
                Waiting::Up(id) => self.let_up(id, number),
                Waiting::Gone(id, counters) => self.let_go(now, id, counters),
                Waiting::Before(id) => self.forget_before(id),
                Waiting::Nobody => {}
            }
        }
        self.outbox.note_kept();
        self.settle(now);
    }

    /// Says a request to the datapath, in the session's order, when it may be said.
    pub(super) fn pass(&mut self, now: Instant, id: SessionId, request: Request) {
        if !matches!(self.datapath, Datapath::Ready(_)) {
            return;
        }
        if matches!(request, Request::Attach { .. }) {
            self.begin_account(now, id);
        }
        match self.sessions.get_mut(&id).map(|entry| &mut entry.account) {
            Some(account) if account.waits_for.is_some() => account.held.push(request),
            Some(_) | None => self.commands.push_back(Command::Datapath(request)),
        }
    }

    /// What every packet about a session says to RADIUS.
    pub(super) fn call(&self, entry: &Entry) -> Call {
        let tunnel = entry.session.tunnel();
        Call {
            identity: self.config.identity.name.clone(),
            session_id: self.account_id(entry.number),
            port: entry.number & PORT,
            caller: tunnel.peer,
            called: tunnel.ours,
        }
    }

    /// A session is gone from the datapath. It is gone for others when that is kept.
    pub(super) fn on_removed(&mut self, now: Instant, id: SessionId, counters: SessionCounters) {
        let before = self.accounts.unfinished.get(&id);
        if let Some(before) = before.filter(|_| self.accounts.held.contains(&id)) {
            let age = before.session.age + now.saturating_duration_since(before.at);
            let change = Change::Ended {
                session_id: before.session.session_id.clone(),
                at: Some(now),
                numbers: Some(numbers(age, &counters)),
                cause: Cause::Crash,
            };
            self.keep(change, Waiting::Before(id));
            return;
        }
        if let Some(change) = self.end_account(now, id, &counters) {
            self.keep(change, Waiting::Gone(id, counters));
        } else {
            self.let_go(now, id, counters);
        }
    }

    /// The datapath is gone: what was counted last is what there is.
    pub(super) fn end_accounts(&mut self, now: Instant) {
        for (number, waiting) in std::mem::take(&mut self.accounts.waiting) {
            match waiting {
                Waiting::Gone(id, counters) => {
                    self.with_session(id, |one| one.handle_removed(now, counters));
                }
                Waiting::Before(id) => {
                    self.accounts.unfinished.remove(&id);
                }
                Waiting::Up(_) | Waiting::Nobody => {}
            }
            self.accounts.waiting.insert(number, Waiting::Nobody);
        }
        self.accounts.held.clear();
        let running = self.sessions.iter();
        let running: Vec<_> = running
            .map(|(&id, entry)| (id, *entry.session.counters()))
            .collect();
        for (id, counters) in running {
            if let Some(change) = self.end_account(now, id, &counters) {
                self.keep(change, Waiting::Nobody);
            }
        }
    }

    /// The datapath holds a session of the process before; if that was up its end is kept when the last
    /// counters are there.
    pub(super) fn note_held(&mut self, held: &ipc::Held) {
        let before = self.accounts.unfinished.get(&held.session);
        if before.is_some_and(|before| before.session.caller == held.tunnel.peer) {
            self.accounts.held.insert(held.session);
        }
    }

    /// Sessions of the process before that the datapath, which has said all that it holds, does not:
    /// it has died as well.
    pub(super) fn end_lost(&mut self) {
        let Accounts {
            unfinished, held, ..
        } = &mut self.accounts;
        let lost = unfinished.extract_if(.., |id, _| !held.contains(id));
        let lost: Vec<_> = lost.map(|(_, before)| before.session.session_id).collect();
        for session_id in lost {
            let change = Change::Ended {
                session_id,
                at: None,
                numbers: None,
                cause: Cause::Crash,
            };
            self.keep(change, Waiting::Nobody);
        }
    }

    /// It is time to keep what a session has moved.
    pub(super) fn count(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else {
            return;
        };
        if let Some(running) = &mut entry.account.running {
            running.is_reading = true;
            self.commands
                .push_back(Command::Datapath(Request::Read { session }));
        }
    }

    /// What a session has moved by now was read.
    pub(super) fn note_counted(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(running) = &mut entry.account.running else {
            return;
        };
        if !std::mem::take(&mut running.is_reading) {
            return;
        }
        let is_interim = running.is_interim;
        let (number, counters) = (entry.number, *entry.session.counters());
        let change = Change::Counted {
            session_id: self.account_id(number),
            at: now,
            numbers: numbers(self.sessions[&id].session.uptime(now), &counters),
            is_interim,
        };
        self.keep(change, Waiting::Nobody);
        self.arm(now, id);
    }

    /// Says how much is to be kept.
    pub(super) fn retain(&mut self) {
        let settings = &self.config.accounting;
        let keep_for = settings.keep_for;
        self.commands.push_back(Command::Retain {
            keep_for: (!keep_for.is_zero()).then_some(keep_for),
            max_sessions: settings.max_sessions.map(u64::from),
        });
    }

    /// Says that accounting begins or ends, if that has changed.
    pub(super) fn switch_accounting(&mut self, now: Instant) {
        let has_server = || {
            let mut servers = self.config.radius.iter();
            servers.any(|one| !one.disabled && one.is_for_ppp() && one.address.is_some())
        };
        let is_on = self.stop_by.is_none() && self.is_told() && has_server();
        if is_on != self.accounts.is_on {
            self.accounts.is_on = is_on;
            let identity = self.config.identity.name.clone();
            let change = Change::Switched {
                identity,
                at: now,
                is_on,
            };
            self.keep(change, Waiting::Nobody);
        }
    }

    /// Whether RADIUS is told of sessions that begin now.
    fn is_told(&self) -> bool {
        self.config.aaa.use_radius && self.config.aaa.accounting
    }

    /// Keeps that a session is up, if that is new; what follows waits for it.
    fn begin_account(&mut self, now: Instant, id: SessionId) {
        let is_told = self.is_told();
        let interval = self.config.aaa.interim_update;
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        let (Some(granted), Some(up)) = (&entry.granted, entry.session.up()) else {
            return;
        };
        if entry.account.running.is_some() {
            return;
        }
        let grant = granted.grant.as_deref();
        let interval = grant.and_then(|grant| grant.interim).unwrap_or(interval);
        let is_interim = is_told && !interval.is_zero();
        let call = self.call(entry);
        let opening = Opening {
            session_id: call.session_id,
            datapath: id,
            identity: call.identity,
            port: call.port,
            user: entry.session.user().to_owned(),
            caller: call.caller,
            called: call.called,
            address: up.network.peer,
            interface: entry.session.name().to_owned(),
            authentic: granted.authentic,
            classes: grant.map_or_else(Vec::new, |grant| grant.classes.clone()),
            is_told,
            at: now,
        };
        let number = self.keep(Change::Began(Box::new(opening)), Waiting::Up(id));
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.account.waits_for = Some(number);
            entry.account.running = Some(Running {
                interval: if is_interim { interval } else { SAMPLE },
                is_interim,
                is_reading: false,
            });
        }
        self.arm(now, id);
    }

    /// It is kept that a session is up.
    fn let_up(&mut self, id: SessionId, number: u64) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        // Another session may have the number of the datapath by now.
        if entry.account.waits_for == Some(number) {
            entry.account.waits_for = None;
            let held = entry.account.held.drain(..);
            self.commands.extend(held.map(Command::Datapath));
        }
    }

    /// It is kept that a session has ended, or there was nothing to be kept.
    fn let_go(&mut self, now: Instant, id: SessionId, counters: SessionCounters) {
        self.with_session(id, |one| one.handle_removed(now, counters));
        self.on_refreshed(id);
        self.forget_before(id);
    }

    /// Nobody needs to know any more of a session that is gone from the datapath.
    fn forget_before(&mut self, session: SessionId) {
        self.accounts.unfinished.remove(&session);
        self.accounts.held.remove(&session);
        self.commands
            .push_back(Command::Datapath(Request::Forget { session }));
        if !self.sessions.contains_key(&session) {
            self.session_ids.release(session);
        }
    }

    /// What is to be kept of a session's end, if it was up.
    fn end_account(
        &mut self,
        now: Instant,
        id: SessionId,
        counters: &SessionCounters,
    ) -> Option<Change> {
        self.timers.set(Timer::Account(id), None);
        let entry = self.sessions.get_mut(&id)?;
        entry.account.running.take()?;
        let (number, session) = (entry.number, &entry.session);
        let (uptime, cause) = (session.uptime(now), session.cause());
        Some(Change::Ended {
            session_id: self.account_id(number),
            at: Some(now),
            numbers: Some(numbers(uptime, counters)),
            cause: cause.unwrap_or(Cause::PortError),
        })
    }

    /// Sets the time to keep what a session has moved. Sessions that came together do not stay so.
    fn arm(&mut self, now: Instant, id: SessionId) {
        let random = self.entropy.next_u16();
        let running = self.sessions.get(&id).map(|entry| &entry.account.running);
        if let Some(Some(running)) = running {
            let jitter = running.interval / 10 * u32::from(random) / u32::from(u16::MAX);
            let at = now + running.interval - jitter;
            self.timers.set(Timer::Account(id), Some(at));
        }
    }

    fn keep(&mut self, change: Change, waiting: Waiting) -> u64 {
        self.accounts.changes += 1;
        let number = self.accounts.changes;
        self.accounts.waiting.insert(number, waiting);
        self.commands.push_back(Command::Keep { number, change });
        number
    }

    /// Acct-Session-Id of the session with this number.
    fn account_id(&self, number: u32) -> String {
        format!("{number:08x}{:08x}", self.accounts.nonce)
    }
}

/// What of a session's number is NAS-Port: which start, and which session of it.
const PORT: u32 = 0x00ff_ffff;

const fn numbers(duration: Duration, counters: &SessionCounters) -> Numbers {
    Numbers {
        duration,
        rx_bytes: counters.rx_bytes,
        tx_bytes: counters.tx_bytes,
        rx_packets: counters.rx_packets,
        tx_packets: counters.tx_packets,
    }
}

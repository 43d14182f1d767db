//! What the main thread knows by heart: which sessions there are and whose they are, what those
//! moved that are removed and not forgotten, and which workers have yet to say what they counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Range;

use crate::ids::{CallId, MAX_SESSIONS, SessionId, WorkerId};
use crate::ipc::{Held, Tunnel, WorkerTotals};
use crate::stats::SessionCounters;

/// The sessions of all workers.
#[derive(Debug)]
pub struct Registry {
    sessions: BTreeMap<SessionId, Session>,
    calls: BTreeSet<(Ipv4Addr, CallId)>,
    /// How many sessions each worker has.
    load: Vec<u32>,
}

#[derive(Debug)]
struct Session {
    tunnel: Tunnel,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This worker has it.
    Live(WorkerId),
    /// This worker has it, and was told to give it up.
    Removing(WorkerId),
    /// No worker has it: that is what it moved in all.
    Removed(SessionCounters),
}

/// Why a session is not to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRemoved {
    /// It is removed already, or about to be.
    Again,
    /// There is none.
    Unknown,
}

impl Registry {
    /// Without sessions, for so many workers.
    #[must_use]
    pub fn new(workers: u16) -> Self {
        Self {
            sessions: BTreeMap::new(),
            calls: BTreeSet::new(),
            load: vec![0; workers.into()],
        }
    }

    /// Enters a session, and says which of the workers `among` is to have it: the one that has the
    /// fewest.
    ///
    /// # Errors
    /// Why there cannot be such a session.
    pub fn install(
        &mut self,
        id: SessionId,
        tunnel: Tunnel,
        among: Range<u16>,
    ) -> Result<WorkerId, String> {
        if id.0 >= MAX_SESSIONS {
            return Err(format!(
                "session {} is beyond the {MAX_SESSIONS} there can be",
                id.0
            ));
        }
        match self.sessions.get(&id).map(|session| session.state) {
            Some(State::Live(_) | State::Removing(_)) => {
                return Err(format!("session {} is in use", id.0));
            }
            Some(State::Removed(_)) => {
                return Err(format!("session {} is removed and not forgotten", id.0));
            }
            None => {}
        }
        let call = (tunnel.peer, tunnel.call_id);
        if self.calls.contains(&call) {
            return Err(format!(
                "call {} of {} is in use",
                tunnel.call_id.0, tunnel.peer
            ));
        }
        let (worker, load) = (0..)
            .map(WorkerId)
            .zip(&mut self.load)
            .filter(|(worker, _)| among.contains(&worker.0))
            .min_by_key(|(_, load)| **load)
            .ok_or("no workers")?;
        *load += 1;
        self.calls.insert(call);
        self.sessions.insert(
            id,
            Session {
                tunnel,
                state: State::Live(worker),
            },
        );
        Ok(worker)
    }

    /// Which worker has the session; `None` also for one that is being removed, or is removed.
    #[must_use]
    pub fn owner(&self, id: SessionId) -> Option<WorkerId> {
        match self.sessions.get(&id)?.state {
            State::Live(worker) => Some(worker),
            State::Removing(_) | State::Removed(_) => None,
        }
    }

    /// Notes that the session is being removed. Until [`Self::forget`], nobody gets its number.
    ///
    /// # Errors
    /// Why there is nothing to do.
    pub fn begin_removal(&mut self, id: SessionId) -> Result<(Tunnel, WorkerId), NotRemoved> {
        let session = self.sessions.get_mut(&id).ok_or(NotRemoved::Unknown)?;
        let State::Live(worker) = session.state else {
            return Err(NotRemoved::Again);
        };
        session.state = State::Removing(worker);
        Ok((session.tunnel, worker))
    }

    /// The session's worker has given it up, and this is what it moved. Its call may be another's
    /// from now on.
    pub fn finish_removal(&mut self, id: SessionId, counters: SessionCounters) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let (State::Live(worker) | State::Removing(worker)) = session.state else {
            return;
        };
        session.state = State::Removed(counters);
        let Tunnel { peer, call_id, .. } = session.tunnel;
        self.calls.remove(&(peer, call_id));
        if let Some(load) = self.load.get_mut(usize::from(worker.0)) {
            *load = load.saturating_sub(1);
        }
    }

    /// What a session that is removed has moved is needed no more. Nothing happens to others.
    pub fn forget(&mut self, id: SessionId) {
        if let Some(Session { state, .. }) = self.sessions.get(&id)
            && let State::Removed(_) = state
        {
            self.sessions.remove(&id);
        }
    }

    /// Every session, until it is forgotten.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let sessions = self.sessions.iter();
        sessions
            .map(|(&session, &Session { tunnel, state })| Held {
                session,
                tunnel,
                removed: match state {
                    State::Live(_) | State::Removing(_) => None,
                    State::Removed(counters) => Some(counters),
                },
            })
            .collect()
    }
}

/// What the workers counted, until every one of them has said so.
#[derive(Debug, Default)]
pub struct Totals {
    /// How often it was asked for since it was answered last.
    asked: u32,
    /// The reports that are still to come and those that came.
    collecting: Option<BTreeMap<WorkerId, WorkerTotals>>,
}

impl Totals {
    /// Someone asks. True if the workers are to be told; else they are being asked already, and
    /// one answer is for both.
    pub fn ask(&mut self) -> bool {
        self.asked += 1;
        if self.collecting.is_some() {
            return false;
        }
        self.collecting = Some(BTreeMap::new());
        true
    }

    /// Whoever asked is gone.
    pub fn nobody_asks(&mut self) {
        self.asked = 0;
    }

    /// A worker reports. The last of `workers` completes the answer: how often it is to be given,
    /// and what it is, in the order of the workers.
    pub fn collect(
        &mut self,
        of_one: WorkerTotals,
        workers: usize,
    ) -> Option<(u32, Vec<WorkerTotals>)> {
        let collecting = self.collecting.as_mut()?;
        collecting.insert(of_one.worker, of_one);
        if collecting.len() < workers {
            return None;
        }
        let totals = self.collecting.take()?.into_values().collect();
        Some((std::mem::take(&mut self.asked), totals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PeerCallId;
    use crate::stats::WorkerCounters;

    /// Of the one there is.
    const ALL: Range<u16> = 0..1;

    fn tunnel(call: u16) -> Tunnel {
        Tunnel {
            ours: Ipv4Addr::new(192, 0, 2, 1),
            peer: Ipv4Addr::new(192, 0, 2, 2),
            call_id: CallId(call),
            peer_call_id: PeerCallId(1),
        }
    }

    fn totals(worker: u16, sessions: u32) -> WorkerTotals {
        WorkerTotals {
            worker: WorkerId(worker),
            core: 0,
            sessions,
            counters: WorkerCounters::default(),
            drops: Vec::new(),
        }
    }

    #[test]
    fn a_session_goes_to_the_worker_that_has_the_fewest() {
        let mut registry = Registry::new(2);
        let mut install = |n: u16| {
            registry
                .install(SessionId(n.into()), tunnel(n), 0..2)
                .unwrap()
        };
        assert_eq!([install(0), install(1), install(2)].map(|w| w.0), [0, 1, 0]);

        for id in [0, 2].map(SessionId) {
            registry.begin_removal(id).unwrap();
            registry.finish_removal(id, SessionCounters::default());
        }

        let next = registry.install(SessionId(7), tunnel(7), ALL);
        assert_eq!(next, Ok(WorkerId(0)));
    }

    #[test]
    fn a_session_goes_to_one_of_the_workers_that_can_have_it() {
        let mut registry = Registry::new(3);
        let mut install = |n: u16, among| registry.install(SessionId(n.into()), tunnel(n), among);
        assert_eq!(install(0, 1..3), Ok(WorkerId(1)));
        assert_eq!(install(1, 1..3), Ok(WorkerId(2)));
        assert_eq!(install(2, 2..3), Ok(WorkerId(2)), "however many it has");
        assert_eq!(install(3, 0..3), Ok(WorkerId(0)));
        assert!(install(4, 3..3).is_err());
        assert_eq!(registry.held().len(), 4, "and what failed is not held");
    }

    /// What a session moved that was there.
    fn moved() -> SessionCounters {
        SessionCounters {
            rx_packets: 3,
            tx_bytes: 1 << 40,
            ..SessionCounters::default()
        }
    }

    #[test]
    fn a_number_or_a_call_in_use_is_refused_until_its_worker_has_let_go() {
        let mut registry = Registry::new(1);
        let (one, two) = (SessionId(1), SessionId(2));
        registry.install(one, tunnel(10), ALL).unwrap();
        for _ in 0..2 {
            let same_number = registry.install(one, tunnel(11), ALL).unwrap_err();
            assert_eq!(same_number, "session 1 is in use");
            let same_call = registry.install(two, tunnel(10), ALL).unwrap_err();
            assert_eq!(same_call, "call 10 of 192.0.2.2 is in use");
            let _ = registry.begin_removal(one);
        }

        registry.finish_removal(one, moved());

        let not_forgotten = registry.install(one, tunnel(11), ALL).unwrap_err();
        assert_eq!(not_forgotten, "session 1 is removed and not forgotten");
        assert_eq!(registry.install(two, tunnel(10), ALL), Ok(WorkerId(0)));
        registry.forget(one);
        assert_eq!(registry.install(one, tunnel(11), ALL), Ok(WorkerId(0)));
    }

    #[test]
    fn what_a_session_moved_is_known_until_it_is_forgotten() {
        let mut registry = Registry::new(1);
        let id = SessionId(5);
        registry.install(id, tunnel(5), ALL).unwrap();
        let held = |removed| {
            vec![Held {
                session: id,
                tunnel: tunnel(5),
                removed,
            }]
        };
        registry.forget(id);
        assert_eq!(registry.held(), held(None), "it is at work");
        registry.begin_removal(id).unwrap();
        registry.forget(id);
        assert_eq!(registry.held(), held(None), "it may still move something");

        registry.finish_removal(id, moved());
        registry.finish_removal(id, SessionCounters::default());

        assert_eq!(registry.held(), held(Some(moved())));
        assert_eq!(registry.owner(id), None);
        assert_eq!(registry.begin_removal(id), Err(NotRemoved::Again));
        registry.forget(id);
        assert_eq!(registry.held(), []);
        registry.forget(id);
        assert_eq!(registry.begin_removal(id), Err(NotRemoved::Unknown));
    }

    #[test]
    fn a_session_that_is_being_removed_is_nobodys() {
        let mut registry = Registry::new(1);
        let id = SessionId(3);
        registry.install(id, tunnel(3), ALL).unwrap();
        assert_eq!(registry.owner(id), Some(WorkerId(0)));
        assert_eq!(registry.held().len(), 1);

        assert_eq!(registry.begin_removal(id), Ok((tunnel(3), WorkerId(0))));

        assert_eq!(registry.owner(id), None);
        assert_eq!(registry.held().len(), 1, "but its number is in use");
        let again = registry.begin_removal(id);
        assert_eq!(again, Err(NotRemoved::Again), "once is enough");
        let unknown = registry.begin_removal(SessionId(4));
        assert_eq!(unknown, Err(NotRemoved::Unknown));
    }

    #[test]
    fn there_are_no_sessions_beyond_the_last() {
        let mut registry = Registry::new(1);
        assert!(
            registry
                .install(SessionId(MAX_SESSIONS), tunnel(1), ALL)
                .is_err()
        );
        let last = SessionId(MAX_SESSIONS - 1);
        assert_eq!(registry.install(last, tunnel(1), ALL), Ok(WorkerId(0)));
    }

    #[test]
    fn each_question_gets_an_answer_in_which_each_worker_is_once() {
        let mut collection = Totals::default();
        assert!(collection.ask());
        assert!(!collection.ask(), "the workers are asked once");

        assert_eq!(collection.collect(totals(1, 5), 2), None);
        assert_eq!(collection.collect(totals(1, 6), 2), None);
        let answer = collection.collect(totals(0, 7), 2);

        assert_eq!(answer, Some((2, vec![totals(0, 7), totals(1, 6)])));
        assert_eq!(collection.collect(totals(0, 7), 2), None, "nobody asked");
        assert!(collection.ask());
    }

    #[test]
    fn who_left_before_the_answer_gets_none() {
        let mut collection = Totals::default();
        collection.ask();
        collection.nobody_asks();
        let answer = collection.collect(totals(0, 0), 1);
        assert_eq!(answer, Some((0, vec![totals(0, 0)])));
    }
}

//! What the main thread knows by heart: which sessions there are, whose they are, and which
//! workers have yet to say what they counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Range;

use crate::ids::{CallId, MAX_SESSIONS, SessionId, WorkerId};
use crate::ipc::{Held, Tunnel, WorkerTotals};

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
    worker: WorkerId,
    removing: bool,
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
        if self.sessions.contains_key(&id) {
            return Err(format!("session {} is in use", id.0));
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
                worker,
                removing: false,
            },
        );
        Ok(worker)
    }

    /// Which worker has the session; `None` also for one that is being removed.
    #[must_use]
    pub fn owner(&self, id: SessionId) -> Option<WorkerId> {
        self.sessions
            .get(&id)
            .filter(|session| !session.removing)
            .map(|session| session.worker)
    }

    /// Notes that the session is being removed. Until [`Self::forget`], nobody gets its number.
    /// `None` if there is no such session, or it is being removed already.
    pub fn begin_removal(&mut self, id: SessionId) -> Option<(Tunnel, WorkerId)> {
        let session = self
            .sessions
            .get_mut(&id)
            .filter(|session| !session.removing)?;
        session.removing = true;
        Some((session.tunnel, session.worker))
    }

    /// The session's worker has given it up.
    pub fn forget(&mut self, id: SessionId) {
        let Some(Session { tunnel, worker, .. }) = self.sessions.remove(&id) else {
            return;
        };
        self.calls.remove(&(tunnel.peer, tunnel.call_id));
        if let Some(load) = self.load.get_mut(usize::from(worker.0)) {
            *load = load.saturating_sub(1);
        }
    }

    /// The sessions that are not being removed.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.sessions
            .iter()
            .filter(|(_, session)| !session.removing)
            .map(|(&session, Session { tunnel, .. })| Held {
                session,
                tunnel: *tunnel,
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

        registry.begin_removal(SessionId(0));
        registry.forget(SessionId(0));
        registry.begin_removal(SessionId(2));
        registry.forget(SessionId(2));

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
            registry.begin_removal(one);
        }

        registry.forget(one);

        assert_eq!(registry.install(one, tunnel(10), ALL), Ok(WorkerId(0)));
    }

    #[test]
    fn a_session_that_is_being_removed_is_nobodys() {
        let mut registry = Registry::new(1);
        let id = SessionId(3);
        registry.install(id, tunnel(3), ALL).unwrap();
        assert_eq!(registry.owner(id), Some(WorkerId(0)));
        assert_eq!(registry.held().len(), 1);

        assert_eq!(registry.begin_removal(id), Some((tunnel(3), WorkerId(0))));

        assert_eq!(registry.owner(id), None);
        assert!(registry.held().is_empty());
        assert_eq!(registry.begin_removal(id), None, "once is enough");
        assert_eq!(registry.begin_removal(SessionId(4)), None);
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

//! Reading all counters from the datapath, a few at a time, so that its queue never fills up with
//! a console's curiosity.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use greyhound_datapath::ids::SessionId;
use greyhound_datapath::ipc::{Request, WorkerTotals};

/// Reads under way at once.
const WINDOW: usize = 64;

/// After that long, a reading that was not answered is given up for a new one.
const PATIENCE: Duration = Duration::from_secs(2);

/// The reading under way, and what the last one found.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    begun: Option<Instant>,
    to_read: VecDeque<SessionId>,
    reading: BTreeSet<SessionId>,
    totals_asked: bool,
    asked: u64,
    answered: u64,
    workers: Vec<WorkerTotals>,
    xdp: Vec<(String, u64)>,
}

impl Refresh {
    /// Begins to read, unless that is under way; returns its number.
    pub(super) fn begin(&mut self, now: Instant, sessions: impl Iterator<Item = SessionId>) -> u64 {
        let is_stale = |begun| now.saturating_duration_since(begun) >= PATIENCE;
        if self.begun.is_none_or(is_stale) {
            self.abandon();
            self.begun = Some(now);
            self.to_read = sessions.collect();
            self.asked += 1;
        }
        self.asked
    }

    /// What to ask the datapath next, as long as not too much is asked.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        self.begun?;
        if self.reading.len() >= WINDOW {
            return None;
        }
        if let Some(session) = self.to_read.pop_front() {
            self.reading.insert(session);
            return Some(Request::Read { session });
        }
        let last = self.reading.is_empty() && !self.totals_asked;
        self.totals_asked |= last;
        last.then_some(Request::ReadTotals)
    }

    /// A session's counters came, or it is gone. Whether [`Self::next_request`] may know more.
    pub(super) fn note_answer(&mut self, session: SessionId) -> bool {
        self.reading.remove(&session)
    }

    /// The totals came: they are the last.
    pub(super) fn finish(&mut self, workers: Vec<WorkerTotals>, xdp: Vec<(String, u64)>) {
        self.workers = workers;
        self.xdp = xdp;
        if std::mem::take(&mut self.totals_asked) {
            self.begun = None;
            self.answered = self.asked;
        }
    }

    /// Nobody is left to answer.
    pub(super) fn abandon(&mut self) {
        self.begun = None;
        self.to_read.clear();
        self.reading.clear();
        self.totals_asked = false;
    }

    /// The number of the last reading that was answered.
    pub(super) const fn answered(&self) -> u64 {
        self.answered
    }

    /// What the workers and the XDP program counted.
    pub(super) fn totals(&self) -> (&[WorkerTotals], &[(String, u64)]) {
        (&self.workers, &self.xdp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(refresh: &mut Refresh) -> Vec<Request> {
        std::iter::from_fn(|| refresh.next_request()).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_few_sessions_at_a_time_are_read_and_the_totals_last() {
        let mut refresh = Refresh::default();
        let sessions = 0..u32::try_from(WINDOW).unwrap() + 1;
        let number = refresh.begin(now(), sessions.clone().map(SessionId));
        assert_eq!(requests(&mut refresh).len(), WINDOW);
        assert!(refresh.note_answer(SessionId(3)));
        assert!(!refresh.note_answer(SessionId(3)));
        assert_eq!(requests(&mut refresh).len(), 1);
        for session in sessions {
            assert!(!requests(&mut refresh).contains(&Request::ReadTotals));
            refresh.note_answer(SessionId(session));
        }
        assert_eq!(requests(&mut refresh), [Request::ReadTotals]);
        assert_ne!(refresh.answered(), number);
        refresh.finish(Vec::new(), vec![("pass".to_owned(), 1)]);
        assert_eq!(refresh.answered(), number);
        assert_eq!(refresh.totals().1, [("pass".to_owned(), 1)]);
    }

    #[test]
    fn who_asks_while_a_reading_is_under_way_gets_that_one_unless_it_is_stuck() {
        let mut refresh = Refresh::default();
        let now = now();
        let first = refresh.begin(now, [SessionId(1)].into_iter());
        assert_eq!(refresh.begin(now, [SessionId(1)].into_iter()), first);
        let later = now + PATIENCE;
        let second = refresh.begin(later, [].into_iter());
        assert_ne!(second, first);
        assert_eq!(requests(&mut refresh), [Request::ReadTotals]);
        refresh.finish(Vec::new(), Vec::new());
        assert_eq!(refresh.answered(), second);
    }
}

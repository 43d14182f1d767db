//! Our call ids: random, so that nobody guesses one and no two hosts behind one address translator
//! clash; unique in the whole process; and not given out again soon, so that a frame of an ended
//! call finds nobody.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use greyhound_datapath::ids::CallId;

use crate::entropy::Entropy;

/// How long an id rests after its call, as long as others are free. Longer than any router keeps
/// an idle GRE flow.
pub const REST: Duration = Duration::from_secs(240);

/// Gives out call ids.
#[derive(Debug)]
pub struct CallIds {
    /// One bit an id: set while it is in use or rests. Id 0 is never given out.
    taken: Vec<u64>,
    free: usize,
    /// In the order of their release.
    resting: VecDeque<(Instant, CallId)>,
}

impl CallIds {
    /// Nothing in use.
    #[must_use]
    pub fn new() -> Self {
        let mut ids = Self {
            taken: vec![0; WORDS],
            free: WORDS * 64,
            resting: VecDeque::new(),
        };
        ids.take(0);
        ids
    }

    /// Gives out an id, or `None` if 65,535 calls exist.
    pub fn allocate(&mut self, now: Instant, entropy: &mut impl Entropy) -> Option<CallId> {
        self.wake(now);
        if self.free == 0 {
            // All others are in use: the one that has rested longest is the best there is.
            return self.resting.pop_front().map(|(_, id)| id);
        }
        let id = self.first_free_from(entropy.next_u16());
        self.take(id);
        Some(CallId(id))
    }

    /// Takes an id back. Each id that was given out comes back once.
    pub fn release(&mut self, now: Instant, id: CallId) {
        self.resting.push_back((now, id));
    }

    /// Frees what has rested long enough.
    fn wake(&mut self, now: Instant) {
        while let Some(&(since, CallId(id))) = self.resting.front()
            && now.saturating_duration_since(since) >= REST
        {
            self.resting.pop_front();
            self.taken[usize::from(id) / 64] &= !(1 << (id % 64));
            self.free += 1;
        }
    }

    /// The first free id at or after `start`, wrapping around; one is free.
    fn first_free_from(&self, start: u16) -> u16 {
        let mut id = start;
        while self.is_taken(id) {
            let rest_of_word = self.taken[usize::from(id) / 64] >> (id % 64);
            let step = u16::try_from(rest_of_word.trailing_ones()).unwrap_or(64);
            id = id.wrapping_add(step);
        }
        id
    }

    fn is_taken(&self, id: u16) -> bool {
        self.taken[usize::from(id) / 64] & (1 << (id % 64)) != 0
    }

    fn take(&mut self, id: u16) {
        self.taken[usize::from(id) / 64] |= 1 << (id % 64);
        self.free -= 1;
    }
}

impl Default for CallIds {
    fn default() -> Self {
        Self::new()
    }
}

const WORDS: usize = (u16::MAX as usize + 1) / 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::entropy::{CountingEntropy, SystemEntropy};

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn every_id_but_zero_is_given_out_once() {
        let (mut ids, now) = (CallIds::new(), now());
        let given: BTreeSet<_> = std::iter::from_fn(|| ids.allocate(now, &mut SystemEntropy))
            .map(|id| id.0)
            .collect();
        assert_eq!(given.len(), 65_535);
        assert_eq!(given.first(), Some(&1));
        assert_eq!(ids.allocate(now, &mut SystemEntropy), None);
    }

    #[test]
    fn an_id_rests_before_it_comes_again() {
        let (mut ids, now) = (CallIds::new(), now());
        // The same random number each time: only the rest keeps the id from coming again.
        let first = ids.allocate(now, &mut CountingEntropy(1)).unwrap();
        ids.release(now, first);
        let second = ids.allocate(now, &mut CountingEntropy(1)).unwrap();
        assert_ne!(first, second);
        let later = now + REST;
        assert_eq!(ids.allocate(later, &mut CountingEntropy(1)), Some(first));
    }

    #[test]
    fn when_all_are_in_use_or_rest_the_longest_rested_comes_first() {
        let (mut ids, now) = (CallIds::new(), now());
        while ids.allocate(now, &mut SystemEntropy).is_some() {}
        ids.release(now, CallId(7));
        ids.release(now + Duration::from_secs(1), CallId(9));
        let soon = now + Duration::from_secs(2);
        assert_eq!(ids.allocate(soon, &mut SystemEntropy), Some(CallId(7)));
        assert_eq!(ids.allocate(soon, &mut SystemEntropy), Some(CallId(9)));
        assert_eq!(ids.allocate(soon, &mut SystemEntropy), None);
    }
}

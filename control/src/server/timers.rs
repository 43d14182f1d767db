//! Deadlines of many things, the next one found without looking at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// At most one deadline for each key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord> Timers<K> {
    pub(super) const fn new() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Sets, moves or clears the deadline of `key`.
    pub(super) fn set(&mut self, key: K, deadline: Option<Instant>) {
        let before = match deadline {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if before == deadline {
            return;
        }
        if let Some(at) = before {
            self.by_time.remove(&(at, key));
        }
        if let Some(at) = deadline {
            self.by_time.insert((at, key));
        }
    }

    /// Takes out the key whose deadline is the earliest, if that has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_moved_deadline_comes_once() {
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
        let now = Instant::now();
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        let mut timers = Timers::new();
        timers.set('a', at(1));
        timers.set('b', at(2));
        timers.set('c', at(3));
        timers.set('a', at(4));
        timers.set('c', None);
        timers.set('b', at(2));
        assert_eq!(timers.next(), at(2));
        assert_eq!(timers.pop_due(now + Duration::from_secs(1)), None);
        let later = now + Duration::from_secs(9);
        assert_eq!(timers.pop_due(later), Some('b'));
        assert_eq!(timers.pop_due(later), Some('a'));
        assert_eq!(timers.pop_due(later), None);
        assert_eq!(timers.next(), None);
    }
}

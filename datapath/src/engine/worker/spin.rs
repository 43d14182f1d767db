//! How long a worker without work goes on looking for some.
//!
//! To sleep and be woken takes from 10 microseconds on bare metal to 50 on a virtual machine, which
//! a packet has to wait; to look for work meanwhile takes a core. So a worker looks as long as
//! packets come soon after each other, and sleeps at once when they come now and then.

use std::time::{Duration, Instant};

/// A sleep this many times as long as looking is worth shows that looking was not.
const LONG: u32 = 8;

/// Parts of the limit that looking never falls below.
const LEAST: u32 = 16;

/// What a worker remembers of its last sleeps.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// How long to look.
    now: Duration,
    /// Since when there was nothing to do.
    since: Option<Instant>,
}

impl Spin {
    /// Looks for at most `limit`.
    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            now: limit,
            since: None,
        }
    }

    /// There was something to do.
    pub(super) const fn worked(&mut self) {
        self.since = None;
    }

    /// There was nothing to do. Whether to look again; otherwise it is time to sleep.
    pub(super) fn goes_on(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        now.duration_since(since) < self.now
    }

    /// The worker slept and is awake.
    pub(super) fn slept(&mut self, now: Instant) {
        let Some(since) = self.since.take() else {
            return;
        };
        let gap = now.duration_since(since);
        if gap < self.limit {
            self.now = self.limit;
        } else if gap > self.limit * LONG {
            self.now = (self.now / 2).max(self.limit / LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);

    /// How long a worker looks that finds nothing, and then sleeps for this time.
    fn idle(spin: &mut Spin, now: &mut Instant, sleep: Duration) -> Duration {
        let start = *now;
        while spin.goes_on(*now) {
            *now += Duration::from_micros(1);
        }
        let looked = now.duration_since(start);
        *now += sleep;
        spin.slept(*now);
        looked
    }

    #[test]
    fn a_worker_that_sleeps_long_looks_shorter_and_shorter() {
        let (mut spin, mut now) = (Spin::new(LIMIT), super::super::clock());
        let sleep = Duration::from_millis(1);
        let looked: Vec<_> = (0..6)
            .map(|_| idle(&mut spin, &mut now, sleep).as_micros())
            .collect();
        assert_eq!(looked, [50, 25, 13, 7, 4, 4]);
    }

    #[test]
    fn a_worker_that_was_woken_at_once_should_have_looked_longer() {
        let (mut spin, mut now) = (Spin::new(LIMIT), super::super::clock());
        for _ in 0..6 {
            idle(&mut spin, &mut now, Duration::from_millis(1));
        }
        idle(&mut spin, &mut now, Duration::from_micros(20));
        let looked = idle(&mut spin, &mut now, Duration::from_micros(200));
        assert_eq!(looked, LIMIT);
        let looked = idle(&mut spin, &mut now, Duration::ZERO);
        assert_eq!(looked, LIMIT, "a sleep that was neither short nor long");
    }

    #[test]
    fn work_begins_the_look_anew() {
        let (mut spin, mut now) = (Spin::new(LIMIT), super::super::clock());
        assert!(spin.goes_on(now));
        now += LIMIT / 2;
        spin.worked();
        assert!(spin.goes_on(now));
        now += LIMIT / 2;
        assert!(spin.goes_on(now));
        now += LIMIT;
        assert!(!spin.goes_on(now));
    }

    #[test]
    fn a_limit_of_zero_is_sleep_at_once() {
        let mut spin = Spin::new(Duration::ZERO);
        assert!(!spin.goes_on(super::super::clock()));
    }
}

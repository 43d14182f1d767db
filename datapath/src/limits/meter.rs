//! How fast: a token bucket, whose rate may be another one while the average is low.

use std::time::{Duration, Instant};

use crate::ipc::{Burst, Rate};

/// How much may pass at once, as time at the rate. In any second that is 2.5 % more than the rate
/// says. It is the 64 KB that one host sends at once from 21 Mbit/s on, and long enough that a
/// worker that looks a millisecond late has nothing to catch up with.
pub const DEPTH: Duration = Duration::from_millis(25);

/// And at least so many bytes: a packet.
pub const LEAST_DEPTH: usize = 1500;

/// Steps in which an average is taken.
pub const STEPS: usize = 16;

/// Measures what passes.
///
/// Between any two moments passes at most what the higher of its rates gives in that time, and
/// [`DEPTH`] of it, or [`LEAST_DEPTH`] or the largest packet if that is more.
#[derive(Clone, Debug)]
pub struct Meter {
    rate: Rate,
    /// Bits a second that hold now.
    current: u64,
    /// What may pass, in parts of a bit: a billion, which is what one bit a second gives in a
    /// second. Below zero behind a packet that was larger than the bucket.
    level: i128,
    /// When the level was that.
    at: Instant,
    average: Option<Average>,
}

impl Meter {
    /// With a full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        let average = rate.burst.and_then(|burst| Average::new(&burst, now));
        let mut meter = Self {
            rate,
            current: rate.bits_per_second.get(),
            level: 0,
            at: now,
            average,
        };
        meter.judge(now);
        meter.level = meter.depth();
        meter
    }

    /// Whether a packet of `len` bytes may pass. One that is larger than the bucket may when that
    /// is full. A time before one that was already given is as that.
    pub fn allows(&mut self, len: usize, now: Instant) -> bool {
        self.fill(now);
        self.level >= self.wanted(len)
    }

    /// Takes note that a packet of `len` bytes passed, allowed or not.
    pub fn take(&mut self, len: usize) {
        self.level = self.level.saturating_sub(price(len));
        if let Some(average) = &mut self.average {
            average.add(len);
        }
    }

    /// When a packet of `len` bytes may pass, if none does before and the rate stays.
    #[must_use]
    pub fn ready_at(&self, len: usize) -> Instant {
        let missing = self.wanted(len).saturating_sub(self.level);
        let missing = u128::try_from(missing).unwrap_or(0);
        let nanos = missing.div_ceil(self.current.into());
        let wait = u64::try_from(nanos).map_or(FOREVER, Duration::from_nanos);
        self.at + wait.min(FOREVER)
    }

    /// What it was made with.
    #[must_use]
    pub const fn rate(&self) -> &Rate {
        &self.rate
    }

    fn fill(&mut self, now: Instant) {
        let Some(elapsed) = now.checked_duration_since(self.at) else {
            return;
        };
        self.at = now;
        let gained = elapsed.as_nanos().saturating_mul(self.current.into());
        let gained = i128::try_from(gained).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(gained);
        self.judge(now);
        self.level = self.level.min(self.depth());
    }

    /// Which rate holds from now on.
    fn judge(&mut self, now: Instant) {
        if let (Some(average), Some(burst)) = (&mut self.average, &self.rate.burst)
            && let Some(is_low) = average.judge(now)
        {
            let rate = if is_low {
                burst.bits_per_second
            } else {
                self.rate.bits_per_second
            };
            self.current = rate.get();
        }
    }

    fn depth(&self) -> i128 {
        let bits = i128::from(self.current) * nanos(DEPTH);
        bits.max(price(LEAST_DEPTH))
    }

    fn wanted(&self, len: usize) -> i128 {
        price(len).min(self.depth())
    }
}

/// The average over a while that moves on in steps.
#[derive(Clone, Debug)]
struct Average {
    /// Bytes times this is what the threshold gives in the whole time, in the same parts as a
    /// meter's level.
    threshold: u128,
    step_nanos: u64,
    origin: Instant,
    /// Steps since the origin; `None` before the first judgement.
    step: Option<u64>,
    /// Bytes of each of the last steps; of step `n` at `n` modulo their number.
    bytes: [u64; STEPS],
}

impl Average {
    /// `None` for a time that cannot be divided.
    fn new(burst: &Burst, now: Instant) -> Option<Self> {
        let step_nanos = burst.time.as_nanos() / STEPS as u128;
        let step_nanos = u64::try_from(step_nanos).unwrap_or(u64::MAX);
        let whole = u128::from(step_nanos) * STEPS as u128;
        (step_nanos > 0).then(|| Self {
            threshold: u128::from(burst.threshold).saturating_mul(whole),
            step_nanos,
            origin: now,
            step: None,
            bytes: [0; STEPS],
        })
    }

    fn add(&mut self, len: usize) {
        let at = place(self.step.unwrap_or(0));
        self.bytes[at] = self.bytes[at].saturating_add(len as u64);
    }

    /// Whether the average of the steps before this one is under the threshold; `None` if that was
    /// already said in this step.
    fn judge(&mut self, now: Instant) -> Option<bool> {
        let since = now.saturating_duration_since(self.origin).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let step = since / self.step_nanos;
        let before = match self.step {
            Some(before) if before >= step => return None,
            before => before,
        };
        // Steps that went by without anything.
        let first = before.map_or(0, |before| before + 1);
        for quiet in first.max(step.saturating_sub(STEPS as u64))..step {
            self.bytes[place(quiet)] = 0;
        }
        let sum: u128 = self.bytes.iter().map(|&bytes| u128::from(bytes)).sum();
        self.bytes[place(step)] = 0;
        self.step = Some(step);
        Some(sum.saturating_mul(BYTE) < self.threshold)
    }
}

fn place(step: u64) -> usize {
    usize::try_from(step % STEPS as u64).unwrap_or_default()
}

/// What a packet takes of a bucket.
fn price(len: usize) -> i128 {
    len as i128 * BYTE as i128
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// A byte in parts of a bit, see [`Meter::level`].
const BYTE: u128 = 8_000_000_000;

/// Longer than anybody waits for a packet.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;

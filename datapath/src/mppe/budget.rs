//! What a session may spend on keys for frames that nobody can tell from forged ones yet.

use std::time::{Duration, Instant};

/// How many key steps the frames of one session may cost beside those that they are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) steps: u32,
    pub(super) refilled: Option<Instant>,
}

impl Budget {
    pub(super) const CAPACITY: u32 = 4096;
    /// How long an empty budget takes to be full.
    const PERIOD: Duration = Duration::from_millis(100);

    pub(super) const fn full() -> Self {
        Self {
            steps: Self::CAPACITY,
            refilled: None,
        }
    }

    pub(super) fn refill(&mut self, now: Instant) {
        let Some(refilled) = self.refilled else {
            self.refilled = Some(now);
            return;
        };
        let elapsed = now.saturating_duration_since(refilled).min(Self::PERIOD);
        let gained = elapsed.as_micros() * u128::from(Self::CAPACITY) / Self::PERIOD.as_micros();
        let gained = u32::try_from(gained).unwrap_or(Self::CAPACITY);
        if gained > 0 {
            self.steps = self.steps.saturating_add(gained).min(Self::CAPACITY);
            self.refilled = Some(now);
        }
    }

    pub(super) fn take(&mut self) -> bool {
        let left = self.steps.checked_sub(1);
        self.steps = left.unwrap_or(0);
        left.is_some()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.steps == 0
    }
}

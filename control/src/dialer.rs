//! When a configured client dials: at once, and again after each end, more and more slowly as long
//! as it does not get through.

use std::time::{Duration, Instant};

/// The wait before the first redial, doubled with each further one.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a name and a TCP connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing until this moment.
    Waiting(Instant),
    /// The server's name is looked up and its port connected to, until this moment at most.
    Connecting(Instant),
    /// There is a control connection; a session may be on it.
    Calling,
    /// Never dials again.
    Off,
}

/// One configured client's timing.
#[derive(Clone, Debug)]
pub struct Dialer {
    stage: Stage,
    next_wait: Duration,
}

impl Dialer {
    /// A client that dials at once, or never if it is `disabled`.
    #[must_use]
    pub const fn new(now: Instant, disabled: bool) -> Self {
        Self {
            stage: if disabled {
                Stage::Off
            } else {
                Stage::Waiting(now)
            },
            next_wait: FIRST_WAIT,
        }
    }

    /// Begins to dial if it is time to.
    pub fn dial_if_due(&mut self, now: Instant) -> bool {
        let due = matches!(self.stage, Stage::Waiting(until) if until <= now);
        if due {
            self.stage = Stage::Connecting(now + CONNECT_TIMEOUT);
        }
        due
    }

    /// TCP is connected.
    pub fn handle_connected(&mut self) {
        if let Stage::Connecting(_) = self.stage {
            self.stage = Stage::Calling;
        }
    }

    /// Packets flow: the next wait is a short one again.
    pub const fn handle_up(&mut self) {
        self.next_wait = FIRST_WAIT;
    }

    /// It ended, wherever it was.
    pub fn handle_ended(&mut self, now: Instant) {
        match self.stage {
            Stage::Connecting(_) | Stage::Calling => {
                self.stage = Stage::Waiting(now + self.next_wait);
                self.next_wait = LONGEST_WAIT.min(self.next_wait * 2);
            }
            Stage::Waiting(_) | Stage::Off => {}
        }
    }

    /// Never dials again.
    pub const fn switch_off(&mut self) {
        self.stage = Stage::Off;
    }

    /// What it does.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether connecting has taken too long.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Connecting(until) if until <= now)
    }

    /// When to look at it again.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waiting(until) | Stage::Connecting(until) => Some(until),
            Stage::Calling | Stage::Off => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    fn now() -> Instant {
        Instant::now()
    }

    /// Dials as soon as it may, and fails at once; returns how long that was from `now`.
    fn fail(dialer: &mut Dialer, now: &mut Instant) -> u64 {
        let due = dialer.poll_timeout().unwrap();
        let waited = due - *now;
        assert!(waited.is_zero() || !dialer.dial_if_due(*now));
        *now = due;
        assert!(dialer.dial_if_due(due));
        dialer.handle_ended(due);
        waited.as_secs()
    }

    #[test]
    fn the_first_dial_is_at_once_and_redials_wait_twice_as_long_up_to_a_minute() {
        let mut now = now();
        let mut dialer = Dialer::new(now, false);
        let waits: Vec<_> = (0..9).map(|_| fail(&mut dialer, &mut now)).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_session_that_came_up_makes_the_next_wait_short() {
        let mut now = now();
        let mut dialer = Dialer::new(now, false);
        for _ in 0..5 {
            fail(&mut dialer, &mut now);
        }
        now = dialer.poll_timeout().unwrap();
        assert!(dialer.dial_if_due(now));
        dialer.handle_connected();
        dialer.handle_up();
        assert_eq!(dialer.poll_timeout(), None);
        dialer.handle_ended(now);
        assert_eq!(dialer.stage(), Stage::Waiting(now + FIRST_WAIT));
    }

    #[test]
    fn an_end_that_is_told_twice_is_one_end() {
        let now = now();
        let mut dialer = Dialer::new(now, false);
        assert!(dialer.dial_if_due(now));
        dialer.handle_ended(now);
        let stage = dialer.stage();
        dialer.handle_ended(now);
        assert_eq!(dialer.stage(), stage);
    }

    #[test]
    fn connecting_is_overdue_after_its_timeout() {
        let now = now();
        let mut dialer = Dialer::new(now, false);
        assert!(dialer.dial_if_due(now));
        assert!(!dialer.is_overdue(now));
        let later = dialer.poll_timeout().unwrap();
        assert_eq!(later, now + CONNECT_TIMEOUT);
        assert!(dialer.is_overdue(later));
    }

    #[test]
    fn a_disabled_client_does_not_dial() {
        let now = now();
        let mut dialer = Dialer::new(now, true);
        assert!(!dialer.dial_if_due(now + Duration::from_secs(3600)));
        assert_eq!(dialer.poll_timeout(), None);
        let mut dialer = Dialer::new(now, false);
        dialer.switch_off();
        assert!(!dialer.dial_if_due(now));
    }
}

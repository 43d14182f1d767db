//! When a configured client dials: at once, and again after each end, more and more slowly as long
//! as it does not get through or not for long.

use std::time::{Duration, Instant};

/// The first wait. Before it there is a redial at once: most ends are not the server's.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A session that packets flowed in for this long was a good one: what comes after it is a new
/// misfortune. One that ends sooner may be refused again and again.
pub const STEADY: Duration = Duration::from_secs(30);

/// How long a name may take to be looked up, a route to be pinned, and one address to be connected
/// to.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing until this moment, and then until a packet wants to go out.
    Resting(Instant),
    /// Nothing until a packet wants to go out.
    Idle,
    /// Nothing until this moment, and then it dials.
    Waiting(Instant),
    /// The server's name is looked up and its port connected to; the step that it is at has until
    /// this moment.
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
    /// Dials for packets only.
    on_demand: bool,
    /// Ends in a row without a good session.
    failures: u32,
    /// Since when packets flow.
    up_since: Option<Instant>,
}

impl Dialer {
    /// A client that dials at once, or with `on_demand` when [`Self::handle_demand`] says so.
    #[must_use]
    pub const fn new(now: Instant, on_demand: bool) -> Self {
        Self {
            stage: if on_demand {
                Stage::Resting(now)
            } else {
                Stage::Waiting(now)
            },
            on_demand,
            failures: 0,
            up_since: None,
        }
    }

    /// Begins to wait for packets if it is time to.
    pub fn rest_if_due(&mut self, now: Instant) -> bool {
        let due = matches!(self.stage, Stage::Resting(until) if until <= now);
        if due {
            self.stage = Stage::Idle;
        }
        due
    }

    /// A packet wants to go out.
    pub fn handle_demand(&mut self, now: Instant) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Waiting(now);
        }
    }

    /// Begins to dial if it is time to.
    pub fn dial_if_due(&mut self, now: Instant) -> bool {
        let due = matches!(self.stage, Stage::Waiting(until) if until <= now);
        if due {
            self.stage = Stage::Connecting(now + STEP_TIMEOUT);
        }
        due
    }

    /// Connecting has come further: the next step has its own time.
    pub fn handle_step(&mut self, now: Instant) {
        if let Stage::Connecting(_) = self.stage {
            self.stage = Stage::Connecting(now + STEP_TIMEOUT);
        }
    }

    /// TCP is connected.
    pub fn handle_connected(&mut self) {
        if let Stage::Connecting(_) = self.stage {
            self.stage = Stage::Calling;
        }
    }

    /// Packets flow.
    pub fn handle_up(&mut self, now: Instant) {
        self.up_since.get_or_insert(now);
    }

    /// It ended, wherever it was, as it `should` have or not. `random` spreads clients that lost
    /// the same server at the same moment.
    ///
    /// Packets that wait are worth one redial. What they were about is over after that: a client
    /// that dials for packets waits for new ones.
    pub fn handle_ended(&mut self, now: Instant, should: bool, random: u16) {
        if !matches!(self.stage, Stage::Connecting(_) | Stage::Calling) {
            return;
        }
        let lasted = self.up_since.take().map(|since| now - since);
        if should || lasted.is_some_and(|lasted| lasted >= STEADY) {
            self.failures = 0;
        }
        let until = now + wait(self.failures, random);
        let again = lasted.is_none() && self.failures == 0 && !should;
        if !should {
            self.failures = self.failures.saturating_add(1);
        }
        self.stage = if self.on_demand && !again {
            Stage::Resting(until)
        } else {
            Stage::Waiting(until)
        };
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

    /// Whether packets flow.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up_since.is_some()
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
            Stage::Resting(until) | Stage::Waiting(until) | Stage::Connecting(until) => Some(until),
            Stage::Idle | Stage::Calling | Stage::Off => None,
        }
    }
}

/// How long to wait after so many failures: not at all, then twice as long each time, less up to a
/// half of it.
fn wait(failures: u32, random: u16) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let factor = 2_u32.saturating_pow(doublings);
    let whole = LONGEST_WAIT.min(FIRST_WAIT.saturating_mul(factor));
    whole - whole / 2 * random.into() / u16::MAX.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    fn now() -> Instant {
        Instant::now()
    }

    /// Dials as soon as it may, and fails at once; returns how long that was from `now`.
    fn fail(dialer: &mut Dialer, now: &mut Instant, random: u16) -> u64 {
        let due = dialer.poll_timeout().unwrap();
        let waited = due - *now;
        assert!(waited.is_zero() || !dialer.dial_if_due(*now));
        *now = due;
        assert!(dialer.dial_if_due(due));
        dialer.handle_ended(due, false, random);
        u64::try_from(waited.as_millis()).unwrap()
    }

    /// Dials, and packets flow for so long.
    fn last(dialer: &mut Dialer, now: &mut Instant, time: Duration, should: bool) {
        *now = dialer.poll_timeout().unwrap();
        assert!(dialer.dial_if_due(*now));
        dialer.handle_connected();
        dialer.handle_up(*now);
        assert_eq!(dialer.poll_timeout(), None);
        *now += time;
        dialer.handle_ended(*now, should, 0);
    }

    #[test]
    fn the_first_redial_is_at_once_and_the_next_wait_twice_as_long_up_to_a_minute() {
        let mut now = now();
        let mut dialer = Dialer::new(now, false);
        let waits: Vec<_> = (0..10).map(|_| fail(&mut dialer, &mut now, 0)).collect();
        let seconds = [0, 0, 1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(waits, seconds.map(|wait| wait * 1000));
    }

    #[test]
    fn chance_makes_a_wait_shorter_by_a_half_at_most() {
        let mut now = now();
        let mut dialer = Dialer::new(now, false);
        let mut waits: Vec<_> = (0..9)
            .map(|_| fail(&mut dialer, &mut now, u16::MAX))
            .collect();
        waits.push(fail(&mut dialer, &mut now, u16::MAX / 2));
        let halves = [0, 0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
        assert_eq!(waits, halves);
        assert_eq!(fail(&mut dialer, &mut now, 0) / 1000, 45);
        assert_eq!(wait(u32::MAX, 0), LONGEST_WAIT);
    }

    #[test]
    fn a_good_session_makes_the_next_redial_one_at_once_and_a_short_one_does_not() {
        let mut now = now();
        let mut dialer = Dialer::new(now, false);
        for _ in 0..5 {
            fail(&mut dialer, &mut now, 0);
        }
        last(&mut dialer, &mut now, STEADY / 2, false);
        assert_eq!(dialer.stage(), Stage::Waiting(now + FIRST_WAIT * 16));
        last(&mut dialer, &mut now, STEADY, false);
        assert_eq!(dialer.stage(), Stage::Waiting(now));
    }

    #[test]
    fn an_end_that_should_have_been_is_no_failure() {
        let mut now = now();
        let mut dialer = Dialer::new(now, false);
        for _ in 0..5 {
            last(&mut dialer, &mut now, Duration::from_secs(1), true);
            assert_eq!(dialer.stage(), Stage::Waiting(now));
        }
    }

    #[test]
    fn an_end_that_is_told_twice_is_one_end() {
        let now = now();
        let mut dialer = Dialer::new(now, false);
        assert!(dialer.dial_if_due(now));
        dialer.handle_ended(now, false, 0);
        let stage = dialer.stage();
        dialer.handle_ended(now, false, 0);
        assert_eq!(dialer.stage(), stage);
    }

    #[test]
    fn each_step_of_connecting_is_overdue_after_its_timeout() {
        let now = now();
        let mut dialer = Dialer::new(now, false);
        assert!(dialer.dial_if_due(now));
        assert!(!dialer.is_overdue(now));
        let later = dialer.poll_timeout().unwrap();
        assert_eq!(later, now + STEP_TIMEOUT);
        assert!(dialer.is_overdue(later));
        dialer.handle_step(later);
        assert!(!dialer.is_overdue(later));
        assert!(dialer.is_overdue(later + STEP_TIMEOUT));
    }

    #[test]
    fn a_client_that_is_off_does_not_dial() {
        let now = now();
        let mut dialer = Dialer::new(now, false);
        dialer.switch_off();
        assert!(!dialer.dial_if_due(now + Duration::from_secs(3600)));
        assert_eq!(dialer.poll_timeout(), None);
        dialer.handle_ended(now, false, 0);
        assert_eq!(dialer.stage(), Stage::Off);
    }

    #[test]
    fn with_dial_on_demand_it_takes_a_packet() {
        let mut now = now();
        let mut dialer = Dialer::new(now, true);
        assert!(!dialer.dial_if_due(now));
        assert!(dialer.rest_if_due(now));
        assert!(!dialer.rest_if_due(now), "told once");
        assert_eq!(dialer.poll_timeout(), None);
        dialer.handle_demand(now);
        last(&mut dialer, &mut now, Duration::from_secs(1), true);
        assert_eq!(dialer.stage(), Stage::Resting(now));
        assert!(dialer.rest_if_due(now));
    }

    #[test]
    fn a_packet_is_worth_one_redial_and_then_another_must_come() {
        let mut now = now();
        let mut dialer = Dialer::new(now, true);
        dialer.rest_if_due(now);
        dialer.handle_demand(now);
        assert_eq!(fail(&mut dialer, &mut now, 0), 0);
        assert_eq!(dialer.stage(), Stage::Waiting(now));
        assert_eq!(fail(&mut dialer, &mut now, 0), 0);
        assert_eq!(dialer.stage(), Stage::Resting(now + FIRST_WAIT));
        dialer.handle_demand(now);
        assert!(!dialer.dial_if_due(now), "too soon");
        assert!(dialer.rest_if_due(now + FIRST_WAIT));
        dialer.handle_demand(now + FIRST_WAIT);
        assert!(dialer.dial_if_due(now + FIRST_WAIT));
    }
}

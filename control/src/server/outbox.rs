//! Records on their way to RADIUS: read from the store some at a time, sent, and taken out of it when
//! they are answered.
//!
//! Records of one session go one after the other, in the order in which they happened. That accounting
//! begins or ends is said when all before it is said, and nothing behind it before that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::accounting::{Occasion, Pending};
use crate::entropy::Entropy;

/// Records read from the store at once.
pub(super) const PAGE: usize = 512;

/// With fewer left than this, more are read.
const LOW: usize = 128;

/// Records that wait for their answers at once. More may not fit into what the kernel keeps for a
/// server that is busy: of 256 at once some were lost, and told 3 s later.
const WINDOW: usize = 64;

/// How long to wait after a record that nobody answered, at first and at most.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The records that are being delivered.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Read and not delivered, in their order, with when they were read.
    records: BTreeMap<i64, (Instant, Pending)>,
    /// Of those, the ones that were sent.
    sent: BTreeSet<i64>,
    /// The sessions of those.
    busy: BTreeSet<String>,
    /// The last one that was read.
    last: i64,
    is_reading: bool,
    /// There may be more to read.
    has_more: bool,
    /// Nobody answered: until when nothing is sent.
    rests_until: Option<Instant>,
    /// How long that is, or was before the one that is tried now.
    rest: Option<Duration>,
}

impl Outbox {
    /// One that does not know what the store has.
    pub(super) const fn new() -> Self {
        Self {
            records: BTreeMap::new(),
            sent: BTreeSet::new(),
            busy: BTreeSet::new(),
            last: 0,
            is_reading: false,
            has_more: true,
            rests_until: None,
            rest: None,
        }
    }

    /// Something was kept, and may be for us.
    pub(super) const fn note_kept(&mut self) {
        self.has_more = true;
    }

    /// What to read next, if anything: records after this one.
    pub(super) fn next_reading(&mut self) -> Option<i64> {
        let is_low = self.records.len() < LOW;
        if self.is_reading || !self.has_more || !is_low {
            return None;
        }
        self.is_reading = true;
        self.has_more = false;
        Some(self.last)
    }

    /// Records were read.
    pub(super) fn take(&mut self, now: Instant, page: Vec<Pending>) {
        self.is_reading = false;
        self.has_more |= page.len() >= PAGE;
        for pending in page {
            self.last = self.last.max(pending.id);
            self.records.insert(pending.id, (now, pending));
        }
    }

    /// The next record to send, with when it was read. To be called until there is none.
    pub(super) fn next(&mut self) -> Option<(Instant, &Pending)> {
        // After a rest one is enough to find out.
        let window = if self.rest.is_none() { WINDOW } else { 1 };
        if self.rests_until.is_some() || self.sent.len() >= window {
            return None;
        }
        let id = self.next_id()?;
        let (at, pending) = self.records.get(&id)?;
        self.sent.insert(id);
        self.busy.extend(session(&pending.event).map(str::to_owned));
        Some((*at, pending))
    }

    fn next_id(&self) -> Option<i64> {
        for (place, (&id, (_, pending))) in self.records.iter().enumerate() {
            let is_sent = self.sent.contains(&id);
            match session(&pending.event) {
                Some(session) if is_sent || self.busy.contains(session) => {}
                Some(_) => return Some(id),
                None => return (place == 0 && !is_sent).then_some(id),
            }
        }
        None
    }

    /// A record was answered.
    pub(super) fn note_delivered(&mut self, id: i64) {
        self.rests_until = None;
        self.rest = None;
        self.note_back(id);
        self.records.remove(&id);
    }

    /// A record was not answered, and goes again later.
    pub(super) fn note_unanswered(&mut self, now: Instant, id: i64, entropy: &mut impl Entropy) {
        self.note_back(id);
        // Those that were sent with it say the same.
        if self.rests_until.is_none() {
            let (first, most) = PATIENCE;
            let rest = self.rest.map_or(first, |rest| (rest * 2).min(most));
            let jitter = rest / 4 * u32::from(entropy.next_u16()) / u32::from(u16::MAX);
            self.rest = Some(rest);
            self.rests_until = Some(now + rest - jitter);
        }
    }

    fn note_back(&mut self, id: i64) {
        self.sent.remove(&id);
        if let Some((_, pending)) = self.records.get(&id)
            && let Some(session) = session(&pending.event)
        {
            self.busy.remove(session);
        }
    }

    /// Who could be asked has changed: what waits is tried at once.
    pub(super) const fn note_servers(&mut self) {
        self.rests_until = None;
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.rests_until
    }

    /// The moment that [`Self::poll_timeout`] named has come; harmless at any other.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.rests_until.take_if(|at| *at <= now);
    }

    /// Whether there is nothing to wait for: everything is delivered that was kept, or nobody answers.
    pub(super) fn is_idle(&self) -> bool {
        let is_empty = self.records.is_empty() && !self.is_reading && !self.has_more;
        is_empty || self.rests_until.is_some()
    }
}

/// Acct-Session-Id of the session that it is about, if it is about one.
fn session(event: &Occasion) -> Option<&str> {
    event.told().map(|told| &*told.session_id)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::accounting::{Authentic, Numbers, Told};
    use crate::cause::Cause;
    use crate::entropy::CountingEntropy;

    #[test]
    fn records_of_a_session_go_one_after_the_other_and_sessions_side_by_side() {
        let mut outbox = filled(&[start(1, "a"), start(2, "b"), stop(3, "a"), stop(4, "b")]);
        assert_eq!(all(&mut outbox), [1, 2]);
        outbox.note_delivered(2);
        assert_eq!(all(&mut outbox), [4]);
        outbox.note_delivered(1);
        assert_eq!(all(&mut outbox), [3]);
        outbox.note_delivered(4);
        assert!(!outbox.is_idle());
        outbox.note_delivered(3);
        assert!(outbox.is_idle());
    }

    #[test]
    fn that_accounting_begins_is_said_behind_all_before_and_before_all_behind() {
        let mut outbox = filled(&[stop(1, "a"), on(2), start(3, "b")]);
        assert_eq!(all(&mut outbox), [1]);
        outbox.note_delivered(1);
        assert_eq!(all(&mut outbox), [2]);
        outbox.note_delivered(2);
        assert_eq!(all(&mut outbox), [3]);
    }

    #[test]
    fn who_does_not_answer_is_tried_by_one_record_later_and_later() {
        let mut entropy = CountingEntropy(1);
        let mut now = now();
        let mut outbox = filled(&[start(1, "a"), start(2, "b"), stop(3, "a")]);
        assert_eq!(all(&mut outbox), [1, 2]);
        let mut rests = Vec::new();
        for ids in [&[2, 1][..], &[1], &[1], &[1], &[1], &[1], &[1], &[1]] {
            for &id in ids {
                outbox.note_unanswered(now, id, &mut entropy);
            }
            assert_eq!(all(&mut outbox), [0; 0]);
            let until = outbox.poll_timeout().unwrap();
            rests.push(until - now);
            now = until;
            outbox.handle_timeout(now);
            assert_eq!(all(&mut outbox), [1], "the first is the one that is tried");
        }
        for (rest, most) in rests.into_iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            let most = Duration::from_secs(most);
            assert!(
                (most * 3 / 4..=most).contains(&rest),
                "{rest:?} of {most:?}"
            );
        }
        outbox.note_delivered(1);
        assert_eq!(all(&mut outbox), [2, 3]);
    }

    #[test]
    fn the_store_is_read_when_there_is_more_and_little_is_left() {
        let mut outbox = Outbox::new();
        assert_eq!(outbox.next_reading(), Some(0));
        assert_eq!(outbox.next_reading(), None, "one reading at a time");
        let page: Vec<_> = (1..=512).map(|id| start(id, &id.to_string())).collect();
        outbox.take(now(), page);
        assert_eq!(outbox.next_reading(), None, "there is enough");
        for id in 1..=385 {
            outbox.note_delivered(id);
        }
        assert_eq!(outbox.next_reading(), Some(512));
        outbox.take(now(), Vec::new());
        assert_eq!(outbox.next_reading(), None, "there is no more");
        outbox.note_kept();
        assert_eq!(outbox.next_reading(), Some(512));
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    fn now() -> Instant {
        Instant::now()
    }

    fn filled(page: &[Pending]) -> Outbox {
        let mut outbox = Outbox::new();
        assert_eq!(outbox.next_reading(), Some(0));
        outbox.take(now(), page.to_vec());
        outbox
    }

    /// The records that go now.
    fn all(outbox: &mut Outbox) -> Vec<i64> {
        std::iter::from_fn(|| outbox.next().map(|(_, pending)| pending.id)).collect()
    }

    fn pending(id: i64, event: Occasion) -> Pending {
        Pending {
            id,
            event,
            age: Duration::ZERO,
            timestamp: 0,
        }
    }

    fn start(id: i64, session: &str) -> Pending {
        pending(id, Occasion::Start(Box::new(told(session))))
    }

    fn stop(id: i64, session: &str) -> Pending {
        let told = Box::new(told(session));
        pending(id, Occasion::Stop(told, Numbers::default(), Cause::HungUp))
    }

    fn on(id: i64) -> Pending {
        pending(id, Occasion::On("nas".to_owned()))
    }

    fn told(session_id: &str) -> Told {
        Told {
            session_id: session_id.to_owned(),
            identity: "nas".to_owned(),
            port: 1,
            user: "ann".to_owned(),
            caller: Ipv4Addr::LOCALHOST,
            called: Ipv4Addr::LOCALHOST,
            address: Ipv4Addr::LOCALHOST,
            interface: "<pptp-ann>".to_owned(),
            authentic: Authentic::Radius,
            classes: Vec::new(),
        }
    }
}

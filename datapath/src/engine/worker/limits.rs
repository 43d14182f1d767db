//! What a session may do, as far as it takes a clock: packets that waited are sent on, and
//! sessions that are idle for too long are told.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::receive::ROOM;
use super::transmit::NoFrame;
use super::{Entry, Outbox, Report, Worker};
use crate::ids::SessionId;
use crate::ipc::Limits;

/// Packets that wait are looked at this often: a rate is right over many of them, and to wake up
/// for each would cost more than to send it.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A packet whose time has not come.
    Release,
    /// That nothing happens for long enough.
    Idle,
}

/// When which session is to be looked at.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// A time that is not the session's own any more means nothing.
    heap: BinaryHeap<Reverse<(Instant, SessionId, Timer)>>,
}

/// The times of one session that are in [`Timers`].
#[derive(Debug, Default)]
pub(super) struct Due {
    release: Option<Instant>,
    idle: Option<Instant>,
}

impl Due {
    fn of(&mut self, timer: Timer) -> &mut Option<Instant> {
        match timer {
            Timer::Release => &mut self.release,
            Timer::Idle => &mut self.idle,
        }
    }
}

impl Timers {
    /// Looks at the session again when the first packet that waits may go.
    pub(super) fn await_release(&mut self, id: SessionId, entry: &mut Entry, now: Instant) {
        if entry.due.release.is_none()
            && let Some(at) = entry.session.release_at(now)
        {
            self.set(id, entry, Timer::Release, at.max(now + LOOK_AGAIN));
        }
    }

    /// Looks at the session again when it may have been idle for too long. Packets put that off
    /// without a word: it is found out then.
    fn await_idle(&mut self, id: SessionId, entry: &mut Entry) {
        if let Some(at) = entry.session.idle_at()
            && entry.due.idle.is_none_or(|due| at < due)
        {
            self.set(id, entry, Timer::Idle, at);
        }
    }

    fn set(&mut self, id: SessionId, entry: &mut Entry, timer: Timer, at: Instant) {
        *entry.due.of(timer) = Some(at);
        self.heap.push(Reverse((at, id, timer)));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|&Reverse((at, ..))| at)
    }

    fn take_due(&mut self, now: Instant) -> Option<(Instant, SessionId, Timer)> {
        self.next().filter(|&at| at <= now)?;
        self.heap.pop().map(|Reverse(due)| due)
    }
}

impl Entry {
    /// Tells the main thread of limits that are reached.
    pub(super) fn say_limits(&mut self, id: SessionId, now: Instant, outbox: &Outbox) {
        while let Some(limit) = self.session.take_limit_reached(now) {
            outbox.report(Report::LimitReached(id, limit));
        }
    }
}

impl Worker {
    pub(super) fn set_limits(&mut self, id: SessionId, limits: Limits) {
        let now = self.now;
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        else {
            return;
        };
        entry.session.set_limits(limits, now);
        entry.say_limits(id, now, &self.outbox);
        self.timers.await_idle(id, entry);
        // What waits may wait no longer, or not until the time that was its own before.
        entry.due.release = None;
        self.release_held(id);
    }

    /// Looks at the sessions that are due. True if there was one.
    pub(super) fn take_timers(&mut self) -> bool {
        let mut worked = false;
        while let Some((at, id, timer)) = self.timers.take_due(self.now) {
            worked = true;
            let Some(entry) = self
                .sessions
                .get_mut(id.0 as usize)
                .and_then(Option::as_deref_mut)
            else {
                continue;
            };
            if entry.due.of(timer).take_if(|due| *due == at).is_none() {
                continue;
            }
            match timer {
                Timer::Release => self.release_held(id),
                Timer::Idle => {
                    entry.say_limits(id, self.now, &self.outbox);
                    self.timers.await_idle(id, entry);
                }
            }
        }
        worked
    }

    /// Sends on the packets whose time has come, and looks again when that of the others has.
    fn release_held(&mut self, id: SessionId) {
        while self.release_rx(id).is_some() {}
        self.merging.close();
        self.write_merged();
        while self.release_tx(id).is_some() {}
        let now = self.now;
        if let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        {
            self.timers.await_release(id, entry, now);
        }
    }

    /// Passes the next packet from the peer on, if there is one; not if there is no memory for it.
    fn release_rx(&mut self, id: SessionId) -> Option<()> {
        let now = self.now;
        let len = self.entry(id)?.session.next_held_rx(now)?.len();
        let mut storage = self.memory_for(ROOM + len)?;
        let entry = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)?;
        if let Some(packet) = entry.session.next_held_rx(now) {
            storage.bytes_mut()[ROOM..].copy_from_slice(packet);
        }
        entry.session.release_rx();
        entry.say_limits(id, now, &self.outbox);
        self.write_packet(id, storage, ROOM..ROOM + len);
        Some(())
    }

    /// The same for the next packet to the peer; not if there is no frame for it.
    fn release_tx(&mut self, id: SessionId) -> Option<()> {
        let now = self.now;
        let len = self.entry(id)?.session.next_held_tx(now)?.len();
        let mut storage = self.memory_for(len)?;
        if let Some(packet) = self.entry(id)?.session.next_held_tx(now) {
            storage.bytes_mut().copy_from_slice(packet);
        }
        let version = storage.bytes().first().map_or(0, |first| first >> 4);
        let sent = self.send_now(id, version, len, |body| {
            body.copy_from_slice(storage.bytes());
        });
        self.recycle(storage);
        match sent {
            Ok(()) => self.entry(id).map(|entry| entry.session.release_tx()),
            Err(NoFrame) => None,
        }
    }
}

//! What a session may do: how fast, how much, and how long nothing. Pure: the time comes in.
//!
//! A packet that comes too early waits, up to [`PATIENCE`] or what TCP needs to go on, and is
//! dropped only when that is full. To drop it at once would do for the rate, but not for TCP: one
//! that is a millisecond away fills any bucket in that time, loses all that follows, and then says
//! nothing for 200 ms.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::ipc::{Limit, Limits, Rate};
use crate::mss::Clamp;
use crate::stats::SessionCounters;

pub mod meter;
pub mod queue;

use meter::Meter;
use queue::{MAX_PACKETS, Queue};

/// How long a packet waits at most, where that is more than a few packets and less than
/// [`MAX_PACKETS`] large ones.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// Bytes of a large packet.
const LARGE: usize = 1500;

/// TCP notices a loss by what comes after it: with fewer on their way it has to wait for a timer.
const LEAST_PACKETS: usize = 4;

/// The limits of one session, and how near they are.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    clamp: Option<Clamp>,
    /// From the peer.
    pub(crate) rx: Shaper,
    /// To the peer.
    pub(crate) tx: Shaper,
    /// When the last packet came or went.
    active: Instant,
    said: Said,
}

/// Which limits were said to be reached.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    idle: bool,
    rx_bytes: bool,
    tx_bytes: bool,
    total_bytes: bool,
}

impl Limiter {
    /// Limits nothing yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            limits: Limits::default(),
            clamp: None,
            rx: Shaper::default(),
            tx: Shaper::default(),
            active: now,
            said: Said::default(),
        }
    }

    /// Other limits from now on. What stays the same goes on as it is; a limit that was said to be
    /// reached is said again when it was raised and reached again.
    pub fn set(&mut self, limits: Limits, now: Instant) {
        let raised = |before: Option<NonZeroU64>, limit: Option<NonZeroU64>| {
            limit != before && limit.is_none_or(|new| Some(new) > before)
        };
        self.said.rx_bytes &= !raised(self.limits.rx_bytes, limits.rx_bytes);
        self.said.tx_bytes &= !raised(self.limits.tx_bytes, limits.tx_bytes);
        self.said.total_bytes &= !raised(self.limits.total_bytes, limits.total_bytes);
        self.said.idle &= self.limits.idle_timeout == limits.idle_timeout;
        self.rx.set_rate(limits.rx_rate, now);
        self.tx.set_rate(limits.tx_rate, now);
        self.limits = limits;
    }

    /// The interface has this MTU; or there is none, and what waits for it is dropped.
    pub fn set_mtu(&mut self, mtu: Option<u16>) {
        if mtu.is_none() {
            self.rx.clear();
            self.tx.clear();
        }
        self.clamp = mtu.filter(|_| self.limits.clamp_mss).map(Clamp::to_mtu);
    }

    /// Changes what has to be changed in a packet.
    pub fn clamp(&self, packet: &mut [u8]) {
        if let Some(clamp) = &self.clamp {
            clamp.apply(packet);
        }
    }

    /// Takes note that there was a packet.
    pub fn note_active(&mut self, now: Instant) {
        self.active = self.active.max(now);
    }

    /// A limit that is reached and was not said to be.
    pub fn take_reached(&mut self, counters: &SessionCounters, now: Instant) -> Option<Limit> {
        let Limits {
            rx_bytes,
            tx_bytes,
            total_bytes,
            ..
        } = self.limits;
        let reaches =
            |bytes: u64, limit: Option<NonZeroU64>| limit.is_some_and(|limit| bytes >= limit.get());
        if !self.said.rx_bytes && reaches(counters.rx_bytes, rx_bytes) {
            self.said.rx_bytes = true;
            return Some(Limit::RxBytes);
        }
        if !self.said.tx_bytes && reaches(counters.tx_bytes, tx_bytes) {
            self.said.tx_bytes = true;
            return Some(Limit::TxBytes);
        }
        let total = counters.rx_bytes.saturating_add(counters.tx_bytes);
        if !self.said.total_bytes && reaches(total, total_bytes) {
            self.said.total_bytes = true;
            return Some(Limit::TotalBytes);
        }
        if self.idle_at().is_some_and(|at| at <= now) {
            self.said.idle = true;
            return Some(Limit::Idle);
        }
        None
    }

    /// When the session will have been idle for too long, if that was not said yet.
    #[must_use]
    pub fn idle_at(&self) -> Option<Instant> {
        let timeout = self.limits.idle_timeout.filter(|_| !self.said.idle)?;
        self.active.checked_add(timeout)
    }

    /// When a packet that waits may go; `now` if there is nothing any more that it waits for.
    #[must_use]
    pub fn release_at(&self, now: Instant) -> Option<Instant> {
        let (rx, tx) = (self.rx.release_at(now), self.tx.release_at(now));
        rx.into_iter().chain(tx).min()
    }

    /// Whether nothing would change without it.
    #[must_use]
    pub fn is_needless(&self) -> bool {
        self.limits == Limits::default() && self.rx.queue.is_empty() && self.tx.queue.is_empty()
    }
}

/// One direction's rate, and what waits for its time.
#[derive(Debug, Default)]
pub struct Shaper {
    meter: Option<Meter>,
    queue: Queue,
}

impl Shaper {
    /// Whether a packet of `len` bytes has to wait.
    pub fn must_wait(&mut self, len: usize, now: Instant) -> bool {
        !self.queue.is_empty()
            || self
                .meter
                .as_mut()
                .is_some_and(|meter| !meter.allows(len, now))
    }

    /// Keeps a packet of `len` bytes that `write` puts in its place. False if it has to be dropped.
    pub fn hold(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        self.queue.push(len, write)
    }

    /// Takes note that a packet of `len` bytes passed.
    pub fn note_passed(&mut self, len: usize) {
        if let Some(meter) = &mut self.meter {
            meter.take(len);
        }
    }

    /// The next packet that waits, if its time has come.
    pub fn next(&mut self, now: Instant) -> Option<&[u8]> {
        let packet = self.queue.front()?;
        let allowed = self
            .meter
            .as_mut()
            .is_none_or(|meter| meter.allows(packet.len(), now));
        allowed.then_some(packet)
    }

    /// Takes the next packet out.
    pub fn release(&mut self) {
        self.queue.pop();
    }

    /// Bytes of the next packet that waits.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        self.queue.front().map(<[u8]>::len)
    }

    /// Drops what waits.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// Whether a packet waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    fn set_rate(&mut self, rate: Option<Rate>, now: Instant) {
        if self.meter.as_ref().map(Meter::rate) == rate.as_ref() {
            return;
        }
        self.meter = rate.map(|rate| Meter::new(rate, now));
        self.queue.set_depth(rate.as_ref().map_or(0, depth));
    }

    fn release_at(&self, now: Instant) -> Option<Instant> {
        let packet = self.queue.front()?;
        let meter = self.meter.as_ref();
        Some(meter.map_or(now, |meter| meter.ready_at(packet.len())))
    }
}

/// How many bytes may wait.
fn depth(rate: &Rate) -> usize {
    let burst = rate.burst.map(|burst| burst.bits_per_second);
    let bits = rate
        .bits_per_second
        .max(burst.unwrap_or(rate.bits_per_second));
    let bytes = u128::from(bits.get()) * PATIENCE.as_millis() / 8000;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    bytes.clamp(LEAST_PACKETS * LARGE, MAX_PACKETS * LARGE)
}

#[cfg(test)]
mod tests;

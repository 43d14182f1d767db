//! What a session may do: packets that wait, or are dropped, or changed, and limits that are
//! reached.

use std::ops::Range;
use std::time::Instant;

use super::{Inner, Session};
use crate::ipc::{Limit, Limits};
use crate::limits::Limiter;
use crate::stats::DropReason;

impl Session {
    /// Limits what the session may do from now on; see [`crate::ipc::Request::SetLimits`]. A
    /// session is idle since then, or since its last packet.
    pub fn set_limits(&mut self, limits: Limits, now: Instant) {
        let limiter = self
            .limiter
            .get_or_insert_with(|| Box::new(Limiter::new(now)));
        limiter.set(limits, now);
        if limiter.is_needless() {
            self.limiter = None;
        }
        self.limit_to_interface();
    }

    /// A limit that is reached and was not said to be, if there is one. To be asked after
    /// each packet, and when [`Self::idle_at`] is due.
    pub fn take_limit_reached(&mut self, now: Instant) -> Option<Limit> {
        let limiter = self.limiter.as_mut()?;
        limiter.take_reached(&self.counters, now)
    }

    /// Whether a packet of `len` bytes to the peer has to wait before it is sealed: with
    /// [`Self::hold_tx`]. One that is sent in fragments and is not at its end goes on.
    pub fn must_hold_tx(&mut self, len: usize, now: Instant) -> bool {
        let is_begun = self.has_fragments();
        let Some(limiter) = &mut self.limiter else {
            return false;
        };
        limiter.note_active(now);
        if is_begun && !limiter.tx.is_waiting() {
            return false;
        }
        limiter.tx.must_wait(len, now)
    }

    /// Keeps a packet of `len` bytes to the peer, which `write` puts in its place, for
    /// [`Self::next_held_tx`].
    ///
    /// # Errors
    /// [`DropReason::RateLimitTx`]: too many wait; then `write` was not called.
    pub fn hold_tx(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Result<(), DropReason> {
        let limiter = self.limiter.as_mut();
        let held = limiter.is_some_and(|limiter| limiter.tx.hold(len, write));
        let outcome = held.then_some(()).ok_or(DropReason::RateLimitTx);
        self.count(outcome)
    }

    /// The next packet to the peer that waits and may now be sealed. Once it was, or will never be,
    /// [`Self::release_tx`] takes it away.
    pub fn next_held_tx(&mut self, now: Instant) -> Option<&[u8]> {
        self.limiter.as_mut()?.tx.next(now)
    }

    /// Takes the next packet to the peer from those that wait.
    pub fn release_tx(&mut self) {
        if let Some(limiter) = &mut self.limiter {
            limiter.tx.release();
        }
    }

    /// The next packet from the peer that waits and may now go to the interface;
    /// [`Self::release_rx`] takes it away. Until then it does not count as received.
    pub fn next_held_rx(&mut self, now: Instant) -> Option<&[u8]> {
        self.limiter.as_mut()?.rx.next(now)
    }

    /// Takes the next packet from the peer from those that wait.
    pub fn release_rx(&mut self) {
        if let Some(limiter) = &mut self.limiter
            && let Some(len) = limiter.rx.next_len()
        {
            limiter.rx.note_passed(len);
            limiter.rx.release();
            self.note_delivered(len);
        }
    }

    /// When to look for packets that waited; `None` if none does.
    #[must_use]
    pub fn release_at(&self, now: Instant) -> Option<Instant> {
        self.limiter.as_ref()?.release_at(now)
    }

    /// When the session will have been idle for too long; `None` if that is no matter, or was said.
    #[must_use]
    pub fn idle_at(&self) -> Option<Instant> {
        self.limiter.as_ref()?.idle_at()
    }

    /// What becomes of a packet from the peer: of the bytes at `packet`.
    pub(super) fn limit_rx(
        &mut self,
        packet: Range<usize>,
        bytes: &mut [u8],
        now: Instant,
    ) -> Result<Inner, DropReason> {
        let Some(limiter) = &mut self.limiter else {
            return Ok(Inner::Ip(packet));
        };
        let bytes = &mut bytes[packet.clone()];
        limiter.note_active(now);
        limiter.clamp(bytes);
        if !limiter.rx.must_wait(bytes.len(), now) {
            limiter.rx.note_passed(bytes.len());
            return Ok(Inner::Ip(packet));
        }
        let held = limiter.rx.hold(bytes.len(), |to| to.copy_from_slice(bytes));
        held.then_some(Inner::Held).ok_or(DropReason::RateLimitRx)
    }

    /// Lets `write` put a packet to the peer in its place, and changes what has to be changed.
    pub(super) fn put_packet(&self, packet: &mut [u8], write: impl FnOnce(&mut [u8])) {
        write(packet);
        if let Some(limiter) = &self.limiter {
            limiter.clamp(packet);
        }
    }

    /// Takes note of a packet of `len` bytes from the peer that goes to the interface.
    pub(super) const fn note_delivered(&mut self, len: usize) {
        self.counters.rx_packets += 1;
        self.counters.rx_bytes += len as u64;
    }

    /// Takes note of a packet of `len` bytes to the peer.
    pub(super) fn note_sent(&mut self, len: usize) {
        self.counters.tx_packets += 1;
        self.counters.tx_bytes += len as u64;
        if let Some(limiter) = &mut self.limiter {
            limiter.tx.note_passed(len);
        }
    }

    /// What waits is dropped without an interface, and segments have to fit through it.
    pub(super) fn limit_to_interface(&mut self) {
        let mtu = self.mtu();
        if let Some(limiter) = &mut self.limiter {
            limiter.set_mtu(mtu);
        }
    }
}

//! Which session key an arriving frame is for, and what it may cost to find out.
//!
//! A frame says its place in the key chain modulo 4096 only; how many sequence numbers went by
//! since the last frame that decrypted says the rest. Nothing here is believed until the plain text
//! proves right: the place in the chain, and the memory of which positions have come, move on
//! frames that decrypted and on nothing else. A forged frame can therefore cost time, within a
//! budget, but cannot lead the receiver astray.

use std::time::Instant;

use super::budget::Budget;
use super::chain::{self, AHEAD, BEHIND};
use super::{Chain, Engine, Parameters, SessionKey};
use crate::seq::{Order, Seen};
use crate::stats::DropReason;
use crate::wire::{Coherency, SeqNum};

/// Frames further ahead than this are not believed: 25 seconds of key steps at the full budget.
pub const MAX_FORWARD: u32 = 1 << 20;

/// Where in the chain a frame seems to be.
#[derive(Debug)]
pub struct Place {
    /// The frame's sequence number.
    seq: SeqNum,
    /// Position of its key.
    position: u64,
    /// Which guess this is, where several positions are possible.
    guess: Option<u32>,
}

/// The receiving end of one direction's encryption.
#[derive(Debug)]
pub struct Receiver {
    parameters: Parameters,
    chain: Chain,
    /// Works on keys beyond the ring; becomes the chain once a frame decrypts with one of them.
    scratch: Option<Box<Chain>>,
    /// Which positions up to the highest one used have come.
    seen: Seen,
    /// Sequence number of the frame with the highest position; none has come at first.
    anchor: Option<SeqNum>,
    /// Unencrypted frames ahead of the anchor: sequence numbers without a position.
    unencrypted: u32,
    /// Counts the guesses that proved wrong since the last frame that decrypted.
    guess: u32,
    budget: Budget,
}

impl Receiver {
    /// A receiver for what the peer sends first.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self {
            chain: Chain::for_receiving(parameters.start_key.clone(), parameters.strength),
            parameters,
            scratch: None,
            // Position 0 is nobody's.
            seen: Seen::first(),
            anchor: None,
            unencrypted: 0,
            guess: 0,
            budget: Budget::full(),
        }
    }

    /// Finds the key of a frame that proved to be at `place`. May step the chain; beyond the ring
    /// it pays for each step, and what was reached when the budget ends is not lost.
    ///
    /// # Errors
    /// [`DropReason::StaleKey`] or [`DropReason::KeyBudget`].
    pub fn key<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        place: &Place,
        now: Instant,
    ) -> Result<SessionKey, DropReason> {
        let position = place.position;
        if position <= self.chain.used() + AHEAD {
            while self.chain.head() < position {
                engine.step(&mut [&mut self.chain]);
            }
            return self.chain.key(position).ok_or(DropReason::StaleKey);
        }
        if let Some(key) = self.chain.key(position) {
            return Ok(key);
        }
        self.budget.refill(now);
        let scratch = match &mut self.scratch {
            Some(scratch)
                if scratch.oldest() <= position && scratch.head() >= self.chain.head() =>
            {
                scratch
            }
            other => {
                if self.budget.is_empty() {
                    return Err(DropReason::KeyBudget);
                }
                other.insert(Box::new(self.chain.clone()))
            }
        };
        while scratch.head() < position {
            if !self.budget.take() {
                return Err(DropReason::KeyBudget);
            }
            engine.step(&mut [scratch.as_mut()]);
        }
        scratch.key(position).ok_or(DropReason::StaleKey)
    }

    /// Takes note that the frame at `place` decrypted.
    ///
    /// # Errors
    /// [`DropReason::DuplicateSeq`] if it did so before, [`DropReason::StaleKey`] if what has come
    /// since left it behind. Then nothing changes.
    pub fn confirm(&mut self, place: &Place) -> Result<Order, DropReason> {
        let Place { seq, position, .. } = *place;
        let used = self.chain.used();
        if position <= used {
            self.check_late(position)?;
            self.seen.set(used - position);
            return Ok(Order::Late);
        }
        if !self.chain.holds(position) {
            match self.scratch.take() {
                Some(scratch) if scratch.holds(position) => self.chain = *scratch,
                other => {
                    self.scratch = other;
                    return Err(DropReason::StaleKey);
                }
            }
        }
        let ahead = position - used;
        self.chain.mark_used(position);
        self.seen.advance(ahead);
        self.anchor = Some(seq);
        self.unencrypted = 0;
        self.guess = 0;
        let reached = |scratch: &mut Box<Chain>| scratch.head() <= position + AHEAD;
        if let Some(scratch) = self.scratch.take_if(reached)
            && scratch.head() > self.chain.head()
        {
            // Other frames of the same burst have their keys from it.
            self.chain = *scratch;
            self.chain.mark_used(position);
        }
        Ok(Order::New {
            skipped: u32::try_from(ahead - 1).unwrap_or(u32::MAX),
        })
    }

    /// Takes note that the frame at `place` did not decrypt.
    pub fn refuse(&mut self, place: &Place) {
        // Of a burst of frames that share a guess only the first may move on to the next guess.
        if place.guess == Some(self.guess) {
            self.guess = self.guess.wrapping_add(1);
        }
    }

    /// Takes note of an unencrypted frame that was ahead of all others.
    pub fn note_unencrypted(&mut self) {
        self.unencrypted = self.unencrypted.saturating_add(1);
    }

    /// Says where in the chain a frame must be.
    ///
    /// Up to [`AHEAD`] positions ahead the count alone decides, so that nothing which is done to
    /// sequence numbers disturbs a session that runs. Further ahead it is the highest position that
    /// the sequence numbers leave room for; each one that proves wrong makes the next frame try
    /// the one 4096 lower, and after the lowest the highest again.
    ///
    /// # Errors
    /// [`DropReason::DuplicateSeq`], [`DropReason::StaleSeq`], [`DropReason::StaleKey`] or
    /// [`DropReason::FutureSeq`].
    pub fn locate(&self, seq: SeqNum, coherency: Coherency) -> Result<Place, DropReason> {
        const ROUND: u64 = Coherency::COUNT as u64;

        let ahead = match self.anchor {
            Some(anchor) => i64::from(seq - anchor),
            None => i64::from(Coherency::COUNT),
        };
        if ahead <= -i64::from(Coherency::COUNT) {
            return Err(DropReason::StaleSeq);
        }
        let at_most = u64::try_from(ahead).unwrap_or(0);
        let likely = at_most.saturating_sub(u64::from(self.unencrypted));
        if likely > u64::from(MAX_FORWARD) {
            return Err(DropReason::FutureSeq);
        }
        let highest = self
            .highest_up_to(at_most.max(AHEAD), coherency)
            .ok_or(DropReason::StaleKey)?;
        let used = self.chain.used();
        let lowest = (used + 1).saturating_sub(BEHIND).max(1);
        let Some(room) = highest.checked_sub(lowest) else {
            return Err(DropReason::StaleKey);
        };
        let guesses = room / ROUND + 1;
        let first = self
            .highest_up_to(likely.max(AHEAD), coherency)
            .map_or(guesses, |position| (highest - position) / ROUND)
            .min(guesses - 1);
        let position = highest - (first + u64::from(self.guess)) % guesses * ROUND;
        if position <= used {
            self.check_late(position)?;
        }
        Ok(Place {
            seq,
            position,
            guess: (guesses > 1).then_some(self.guess),
        })
    }

    /// What the two ends agreed on.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The key chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The key chain, so that a worker can step those of many sessions in one wave.
    pub fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// The highest position with this count, at most `ahead` of the highest one used.
    fn highest_up_to(&self, ahead: u64, coherency: Coherency) -> Option<u64> {
        let top = self.chain.used() + ahead;
        let over = chain::coherency_of(top)
            .value()
            .wrapping_sub(coherency.value());
        top.checked_sub(u64::from(Coherency::new(over).value()))
    }

    fn check_late(&self, position: u64) -> Result<(), DropReason> {
        let behind = self.chain.used() - position;
        if behind >= BEHIND || !self.chain.holds(position) {
            return Err(DropReason::StaleKey);
        }
        if self.seen.has(behind) {
            return Err(DropReason::DuplicateSeq);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

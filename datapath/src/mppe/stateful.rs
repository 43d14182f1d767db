//! Stateful mode (RFC 3078 §7): one RC4 stream runs on from packet to packet, and the session key
//! changes at each *flag* packet, whose coherency count ends in FF.
//!
//! A lost packet loses the place in the stream. The receiver then asks for a reset (CCP
//! Reset-Request), and the next packet comes with the A bit: its sender began with fresh tables.
//! Which key is in them is where implementations differ: RFC 3078 §7.2 keeps the session key until
//! the next flag packet, Linux changes it at each packet with the A bit. So
//! - a [`Receiver`] tries both, and believes the key whose plain text makes sense;
//! - a [`Sender`] answers a reset with a flag packet, for which both agree. The counts it leaves
//!   out look lost.
//!
//! Nothing moves on frames that do not decrypt, so a forged one costs time and no more.

use std::time::{Duration, Instant};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::budget::Budget;
use super::chain::interim_key;
use super::{Parameters, SessionKey, StartKey, Stream, Strength};
use crate::stats::DropReason;
use crate::wire::{Coherency, SeqNum, mppe};

/// How often a reset is asked for while none has come.
pub const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Packets from one flag packet to the next.
const FLAG_PERIOD: u64 = 256;
/// How many bytes of a packet are decrypted to see whether a key is right: the longest IPv4 header
/// and the protocol number in front of it.
const TRIAL_BYTES: usize = 64;
/// Resets that the peer may have answered with packets that were lost, each with a key of its own.
const MAX_LOST_RESETS: u32 = 8;

/// The session key of one direction, and those that follow from it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Keys {
    start_key: StartKey,
    #[zeroize(skip)]
    strength: Strength,
    current: [u8; 16],
}

impl Keys {
    /// At the initial session key, with which the first packet is encrypted.
    fn new(parameters: &Parameters) -> Self {
        let Parameters {
            start_key,
            strength,
            ..
        } = parameters;
        let mut current = *interim_key(&start_key.0, &start_key.0, *strength);
        strength.reduce(&mut current);
        Self {
            start_key: start_key.clone(),
            strength: *strength,
            current,
        }
    }

    /// Goes on to the next one (RFC 3078 §7.3).
    fn step(&mut self) {
        let interim = interim_key(&self.start_key.0, &self.current, self.strength);
        let mut next = Zeroizing::new(*interim);
        let used = self.strength.key_len();
        Stream::new(&SessionKey::new(*interim, self.strength)).apply(&mut next[..used]);
        self.strength.reduce(&mut next);
        self.current = *next;
    }

    fn stream(&self) -> Stream {
        Stream::new(&SessionKey::new(self.current, self.strength))
    }
}

/// The sending end.
pub struct Sender {
    parameters: Parameters,
    keys: Keys,
    stream: Stream,
    /// Number of the next packet; its coherency count is the low twelve bits.
    next: u64,
    reset: bool,
}

impl Sender {
    /// A sender before its first packet.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let keys = Keys::new(&parameters);
        Self {
            stream: keys.stream(),
            parameters,
            keys,
            next: 0,
            reset: false,
        }
    }

    /// The receiver lost its place: the next packet is to be one at which it finds in again.
    pub fn reset(&mut self) {
        self.reset = true;
    }

    /// Begins the next packet: what its header says. [`Self::encrypt`] is to follow.
    pub fn begin(&mut self) -> mppe::Repr {
        if std::mem::take(&mut self.reset) {
            self.next |= FLAG_PERIOD - 1;
        }
        let number = self.next;
        self.next += 1;
        let flushed = is_flag(number);
        if flushed {
            self.keys.step();
            self.stream = self.keys.stream();
        }
        mppe::Repr {
            flushed,
            encrypted: true,
            coherency: coherency_of(number),
        }
    }

    /// Encrypts the packet that was begun.
    pub fn encrypt(&mut self, data: &mut [u8]) {
        self.stream.apply(data);
    }

    /// What the two ends agreed on.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// The receiving end.
pub struct Receiver {
    parameters: Parameters,
    keys: Keys,
    stream: Stream,
    /// Number of the packet that comes next in order; its coherency count is the low twelve bits.
    next: u64,
    /// Sequence number of the last packet that decrypted.
    last: Option<SeqNum>,
    /// How often a reset was asked for since then.
    asked: u32,
    asked_at: Option<Instant>,
    budget: Budget,
}

impl Receiver {
    /// A receiver for what the peer sends first.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let keys = Keys::new(&parameters);
        Self {
            stream: keys.stream(),
            parameters,
            keys,
            next: 0,
            last: None,
            asked: 0,
            asked_at: None,
            budget: Budget::full(),
        }
    }

    /// Decrypts a frame's `data` in place, if it can be, and returns what `judge` makes of it.
    /// `judge` has to tell from the first 64 bytes whether they make sense.
    ///
    /// # Errors
    /// [`DropReason::StaleKey`] for a frame that comes late, [`DropReason::OutOfSync`] for one
    /// behind a gap, [`DropReason::Undecryptable`] where `judge` finds no sense, and
    /// [`DropReason::KeyBudget`]. Then nothing changes.
    pub fn decrypt<T>(
        &mut self,
        seq: SeqNum,
        header: mppe::Repr,
        data: &mut [u8],
        now: Instant,
        judge: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, DropReason> {
        if self.last.is_some_and(|last| seq <= last) {
            return Err(DropReason::StaleKey);
        }
        let number = self.number(seq, header.coherency);
        let judged = if header.flushed || is_flag(number) {
            self.decrypt_fresh(number, data, now, judge)
        } else if number == self.next {
            let mut stream = self.stream.clone();
            try_stream(&mut stream, data, judge)
                .map(|judged| (judged, stream))
                .ok_or(DropReason::Undecryptable)
        } else {
            Err(DropReason::OutOfSync)
        };
        let (judged, stream) = judged?;
        self.stream = stream;
        self.next = number + 1;
        self.last = Some(seq);
        self.asked = 0;
        self.asked_at = None;
        Ok(judged)
    }

    /// Whether it is time to ask the peer for a reset, because a frame was out of sync: how often
    /// that was asked for since the last frame that decrypted, this time included.
    pub fn ask(&mut self, now: Instant) -> Option<u32> {
        let due = self
            .asked_at
            .is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN);
        due.then(|| {
            self.asked_at = Some(now);
            self.asked = self.asked.saturating_add(1);
            self.asked
        })
    }

    /// What the two ends agreed on.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// A frame whose sender began with fresh tables.
    fn decrypt_fresh<T>(
        &mut self,
        number: u64,
        data: &mut [u8],
        now: Instant,
        judge: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(T, Stream), DropReason> {
        self.budget.refill(now);
        let mut keys = self.keys.clone();
        // One change for each flag packet on the way, this one included.
        for _ in 0..(number + 1) / FLAG_PERIOD - self.next / FLAG_PERIOD {
            self.pay()?;
            keys.step();
        }
        // Linux changes it here too, and did so in each answer to a reset that was lost.
        for _ in 0..=MAX_LOST_RESETS + 1 {
            self.pay()?;
            let mut stream = keys.stream();
            if let Some(judged) = try_stream(&mut stream, data, &judge) {
                self.keys = keys;
                return Ok((judged, stream));
            }
            keys.step();
        }
        Err(DropReason::Undecryptable)
    }

    fn pay(&mut self) -> Result<(), DropReason> {
        if self.budget.take() {
            Ok(())
        } else {
            Err(DropReason::KeyBudget)
        }
    }

    /// Which packet this count means: the one that leaves about as many packets out as frames.
    fn number(&self, seq: SeqNum, coherency: Coherency) -> u64 {
        const ROUND: u64 = Coherency::COUNT as u64;

        let nearest = coherency
            .value()
            .wrapping_sub(coherency_of(self.next).value());
        let nearest = u64::from(Coherency::new(nearest).value());
        let frames = self
            .last
            .map_or(0, |last| u64::from((seq - last).unsigned_abs()) - 1);
        let rounds = (frames + ROUND / 2).saturating_sub(nearest) / ROUND;
        self.next + nearest + rounds * ROUND
    }
}

/// Decrypts in place as much as it takes to judge, and the rest if that finds sense; else nothing
/// has changed.
fn try_stream<T>(
    stream: &mut Stream,
    data: &mut [u8],
    judge: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let trial = data.len().min(TRIAL_BYTES);
    let mut fresh = stream.clone();
    stream.apply(&mut data[..trial]);
    let judged = judge(data);
    match judged {
        Some(_) => stream.apply(&mut data[trial..]),
        // RC4 undoes itself.
        None => fresh.apply(&mut data[..trial]),
    }
    judged
}

const fn is_flag(number: u64) -> bool {
    number % FLAG_PERIOD == FLAG_PERIOD - 1
}

fn coherency_of(number: u64) -> Coherency {
    #[expect(clippy::cast_possible_truncation, reason = "taken modulo 4096 anyway")]
    Coherency::new(number as u16)
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("next", &self.next)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

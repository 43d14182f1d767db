//! Multilink over one link (RFC 1990): frames larger than the link carries go in fragments.
//!
//! On one link fragments arrive in order but for what the way to the peer swaps or loses, so a
//! frame is put together as soon as its last fragment is there, whichever that is, and frames are
//! not held back for each other. What is kept is bounded: [`SLOTS`] fragments, each for
//! [`TIMEOUT`]; a newer one takes an older one's place, so that no number, true or forged, keeps
//! others out. Nothing is allocated once the slots have been used.

use std::time::{Duration, Instant};

use crate::ipc;
use crate::stats::DropReason;
use crate::wire::multilink::{Repr, sequence_space};

/// How many fragments are kept at most, and how far they may be apart.
pub const SLOTS: u32 = 64;
/// How long a fragment waits for the others of its frame.
pub const TIMEOUT: Duration = Duration::from_secs(1);

/// Fragments that arrived, until they make up frames.
#[derive(Debug)]
pub struct Reassembler {
    terms: ipc::Multilink,
    /// The fragment with number `n` is in slot `n % SLOTS`.
    slots: Vec<Slot>,
    /// The numbers of a complete frame's fragments, first and count, until it is taken.
    complete: Option<(u32, u32)>,
    /// Fragments that never became part of a frame.
    lost: u64,
}

#[derive(Debug, Default)]
struct Slot {
    held: Option<Held>,
    /// Keeps its memory for the next fragment.
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    header: Repr,
    at: Instant,
}

impl Reassembler {
    /// For what the peer may send.
    #[must_use]
    pub fn new(terms: ipc::Multilink) -> Self {
        Self {
            terms,
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            lost: 0,
            complete: None,
        }
    }

    /// What LCP agreed on.
    #[must_use]
    pub const fn terms(&self) -> &ipc::Multilink {
        &self.terms
    }

    /// Takes a fragment. If it completes a frame, [`Self::take`] is to be called next; returns the
    /// length of that frame.
    ///
    /// # Errors
    /// [`DropReason::DuplicateSeq`]. [`DropReason::BadFragment`]: the frame is larger than our
    /// MRRU, all of it is dropped.
    pub fn insert(
        &mut self,
        header: Repr,
        data: &[u8],
        now: Instant,
    ) -> Result<Option<usize>, DropReason> {
        let slot = self.slot_mut(header.seq);
        if let Some(held) = slot.held
            && held.header.seq == header.seq
            && now.saturating_duration_since(held.at) < TIMEOUT
        {
            return Err(DropReason::DuplicateSeq);
        }
        let replaced = slot.held.replace(Held { header, at: now }).is_some();
        slot.data.clear();
        slot.data.extend_from_slice(data);
        self.lost += u64::from(replaced);
        let Some((first, count)) = self.frame_around(header.seq, now) else {
            return Ok(None);
        };
        let length = self
            .numbers(first, count)
            .map(|seq| self.slot(seq).data.len())
            .sum::<usize>();
        if length > usize::from(self.terms.mrru) + MAX_OVERHEAD {
            self.forget(first, count);
            return Err(DropReason::BadFragment);
        }
        self.complete = Some((first, count));
        Ok(Some(length))
    }

    /// Copies the frame that just became complete to the beginning of `out` and forgets it; false
    /// if there is none, or no room for it.
    pub fn take(&mut self, out: &mut [u8]) -> bool {
        let Some((first, count)) = self.complete.take() else {
            return false;
        };
        let mut rest = out;
        let mut fits = true;
        for seq in self.numbers(first, count) {
            let data = &self.slot(seq).data;
            match rest.split_at_mut_checked(data.len()) {
                Some((part, after)) => {
                    part.copy_from_slice(data);
                    rest = after;
                }
                None => {
                    fits = false;
                    break;
                }
            }
        }
        self.forget(first, count);
        fits
    }

    /// Takes note of a number whose frame came whole: what was kept under it is of the past.
    pub fn pass(&mut self, seq: u32) {
        let passed = self.slot_mut(seq).held.take().is_some();
        self.lost += u64::from(passed);
    }

    /// How many fragments were dropped because others of their frame did not come.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Looks for a whole frame that the fragment `seq` belongs to: its first number and how many.
    fn frame_around(&self, seq: u32, now: Instant) -> Option<(u32, u32)> {
        let space = sequence_space(self.terms.short);
        let held = |seq| {
            let held = self.slot(seq).held?;
            let fresh = now.saturating_duration_since(held.at) < TIMEOUT;
            (held.header.seq == seq && fresh).then_some(held.header)
        };
        let mut first = seq;
        let mut count = 1;
        while !held(first)?.begin {
            first = first.wrapping_sub(1) % space;
            count += 1;
            if count > SLOTS || held(first)?.end {
                return None;
            }
        }
        let mut last = seq;
        while !held(last)?.end {
            last = last.wrapping_add(1) % space;
            count += 1;
            if count > SLOTS || held(last)?.begin {
                return None;
            }
        }
        Some((first, count))
    }

    fn forget(&mut self, first: u32, count: u32) {
        for seq in self.numbers(first, count) {
            self.slot_mut(seq).held = None;
        }
    }

    fn numbers(&self, first: u32, count: u32) -> impl Iterator<Item = u32> + use<> {
        let space = sequence_space(self.terms.short);
        (0..count).map(move |offset| first.wrapping_add(offset) % space)
    }

    fn slot(&self, seq: u32) -> &Slot {
        &self.slots[(seq % SLOTS) as usize]
    }

    fn slot_mut(&mut self, seq: u32) -> &mut Slot {
        &mut self.slots[(seq % SLOTS) as usize]
    }
}

/// A frame on its way out, in fragments.
#[derive(Debug)]
pub struct Fragmenter {
    terms: ipc::Multilink,
    /// Number of the next fragment.
    next: u32,
    /// The PPP frame, its protocol number first.
    frame: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
}

impl Fragmenter {
    /// For what the peer takes.
    #[must_use]
    pub const fn new(terms: ipc::Multilink) -> Self {
        Self {
            terms,
            next: 0,
            frame: Vec::new(),
            sent: 0,
        }
    }

    /// What LCP agreed on.
    #[must_use]
    pub const fn terms(&self) -> &ipc::Multilink {
        &self.terms
    }

    /// Begins a frame of `len` bytes, to be written by the caller, in place of any before it.
    pub fn begin(&mut self, len: usize) -> &mut [u8] {
        self.sent = 0;
        self.frame.clear();
        self.frame.resize(len, 0);
        &mut self.frame
    }

    /// Whether there is something of the frame that is not sent.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.sent < self.frame.len()
    }

    /// Drops what is not sent.
    pub fn abandon(&mut self) {
        self.frame.clear();
        self.sent = 0;
    }

    /// Bytes of the next fragment in a frame whose information field has `room` bytes, header
    /// included; `None` if nothing is pending, or nothing fits.
    #[must_use]
    pub fn next_len(&self, room: usize) -> Option<usize> {
        let header = self.header(0).buffer_len();
        let data = room.checked_sub(header).filter(|data| *data > 0)?;
        let rest = self.frame.len() - self.sent;
        (rest > 0).then_some(header + rest.min(data))
    }

    /// Writes the next fragment, which is to fill `out`, of the length that [`Self::next_len`]
    /// said.
    pub fn write_next(&mut self, out: &mut [u8]) {
        let header = self.header(out.len());
        let (front, data) = out.split_at_mut(header.buffer_len());
        header.emit(front);
        data.copy_from_slice(&self.frame[self.sent..self.sent + data.len()]);
        self.sent += data.len();
        self.next = self.next.wrapping_add(1) % sequence_space(self.terms.short);
    }

    /// The header of a fragment of `len` bytes, header included.
    fn header(&self, len: usize) -> Repr {
        let mut header = Repr {
            begin: self.sent == 0,
            end: false,
            seq: self.next,
            short: self.terms.short,
        };
        header.end = self.sent + len.saturating_sub(header.buffer_len()) == self.frame.len();
        header
    }
}

/// What a frame may have beside a packet of the size of the MRRU: its protocol number, and where
/// it is encrypted another one and the MPPE header. Linux grants the first only.
const MAX_OVERHEAD: usize = 6;

#[cfg(test)]
mod tests;

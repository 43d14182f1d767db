//! Packets on their way to TUN: those of one flow that came in one burst are written as one.
//!
//! The first of a flow stays in its frame. Only when a second one follows are both copied into one
//! large buffer; one that stays alone is written from where it is. Nothing is held beyond the burst
//! it came in, and the packets of a flow keep their order.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use super::super::buffers::{Buffer, Pool, SUPER_BYTES, Storage};
use super::BURST;
use crate::ids::{SessionId, WorkerId};
use crate::offload::coalesce::{Aggregate, Append, Candidate};
use crate::offload::vnet;

/// Flows that may be open at once, each in a place of its own. Two that fall on the same place
/// close each other, which costs a write.
const FLOWS: usize = u64::BITS as usize;

/// What is to be done with a packet's memory.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Write this part of it, virtio-net header included, to the session's interface.
    Write(SessionId, Storage, Range<usize>),
    /// Nothing: the packet was copied.
    Copied(Storage),
}

/// The packets of one flow that came in this burst.
#[derive(Debug)]
struct Flow {
    session: SessionId,
    held: Held,
}

#[derive(Debug)]
enum Held {
    One {
        candidate: Candidate,
        storage: Storage,
        packet: Range<usize>,
    },
    Many {
        aggregate: Aggregate,
        buffer: Buffer,
    },
}

/// The flows that are open, and what came of others.
#[derive(Debug)]
pub(super) struct Merging {
    // hot
    /// Bit `n` says whether `flows[n]` is there.
    open: u64,
    flows: [Option<Flow>; FLOWS],
    outcomes: VecDeque<Outcome>,
    pool: Pool,
    home: WorkerId,
}

impl Merging {
    /// For the worker that its large buffers belong to.
    pub(super) fn new(home: WorkerId) -> Self {
        Self {
            open: 0,
            flows: [const { None }; FLOWS],
            outcomes: VecDeque::with_capacity(2 * BURST),
            // As many as one burst can fill, for each takes two packets at least.
            pool: Pool::new(BURST / 2, SUPER_BYTES),
            home,
        }
    }

    /// A large buffer, if one is free.
    pub(super) fn take(&mut self) -> Option<Storage> {
        let buffer = self.pool.take()?;
        Some(Storage::Super {
            buffer,
            home: self.home,
        })
    }

    /// Takes a packet for an interface that has offloads, and `udp` among them. Its memory comes
    /// back if the packet was copied.
    pub(super) fn add(
        &mut self,
        session: SessionId,
        udp: bool,
        storage: Storage,
        packet: Range<usize>,
    ) -> Option<Storage> {
        let bytes = &storage.bytes()[packet.clone()];
        let Some(candidate) = Candidate::examine(bytes).filter(|packet| udp || packet.is_tcp())
        else {
            // It may be the last of a flow that is open.
            self.close_session(session);
            self.write_alone(session, storage, packet);
            return None;
        };
        let place = place(session, candidate.flow_hash());
        if self.joins(place, session, &candidate, bytes) {
            return Some(storage);
        }
        self.close_at(place);
        self.open |= 1 << place;
        let held = Held::One {
            candidate,
            storage,
            packet,
        };
        self.flows[place] = Some(Flow { session, held });
        None
    }

    /// Takes a packet that is not to be merged: the virtio-net header is put before it, where its
    /// frame's own headers were.
    pub(super) fn write_alone(
        &mut self,
        session: SessionId,
        mut storage: Storage,
        packet: Range<usize>,
    ) {
        let outcome = match packet.start.checked_sub(vnet::HEADER_LEN) {
            Some(start) => {
                storage.bytes_mut()[start..packet.start].fill(0);
                Outcome::Write(session, storage, start..packet.end)
            }
            // There is an IP header at least.
            None => Outcome::Copied(storage),
        };
        self.outcomes.push_back(outcome);
    }

    /// Ends every flow: the burst is over.
    pub(super) fn close(&mut self) {
        while self.open != 0 {
            self.close_at(self.open.trailing_zeros() as usize);
        }
    }

    /// What is to be done next.
    pub(super) fn next_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Takes a large buffer back.
    pub(super) fn put(&mut self, buffer: Buffer) {
        self.pool.put(buffer);
    }

    /// Adds a packet to the flow at its place, if it follows there.
    fn joins(
        &mut self,
        place: usize,
        session: SessionId,
        candidate: &Candidate,
        bytes: &[u8],
    ) -> bool {
        let Some(flow) = &mut self.flows[place] else {
            return false;
        };
        if flow.session != session {
            return false;
        }
        if let Held::One {
            candidate: first,
            storage,
            packet,
        } = &flow.held
        {
            let Some(mut buffer) = self.pool.take() else {
                return false;
            };
            let bytes = &storage.bytes()[packet.clone()];
            let Some(aggregate) = Aggregate::start(first, bytes, buffer.whole_mut()) else {
                self.pool.put(buffer);
                return false;
            };
            let many = Held::Many { aggregate, buffer };
            if let Held::One { storage, .. } = mem::replace(&mut flow.held, many) {
                self.outcomes.push_back(Outcome::Copied(storage));
            }
        }
        let Held::Many { aggregate, buffer } = &mut flow.held else {
            return false;
        };
        if aggregate.append(candidate, bytes, buffer.whole_mut()) == Append::Refused {
            return false;
        }
        if aggregate.is_complete() {
            self.close_at(place);
        }
        true
    }

    fn close_session(&mut self, session: SessionId) {
        let mut open = self.open;
        while open != 0 {
            let place = open.trailing_zeros() as usize;
            open &= open - 1;
            let of_session = |flow: &Flow| flow.session == session;
            if self.flows[place].as_ref().is_some_and(of_session) {
                self.close_at(place);
            }
        }
    }

    /// Ends the flow at this place, if there is one.
    fn close_at(&mut self, place: usize) {
        self.open &= !(1 << place);
        let Some(Flow { session, held }) = self.flows[place].take() else {
            return;
        };
        match held {
            Held::One {
                storage, packet, ..
            } => self.write_alone(session, storage, packet),
            Held::Many {
                aggregate,
                mut buffer,
            } => {
                let len = aggregate.finish(buffer.whole_mut());
                buffer.set_len(len);
                let storage = Storage::Super {
                    buffer,
                    home: self.home,
                };
                self.outcomes
                    .push_back(Outcome::Write(session, storage, 0..len));
            }
        }
    }
}

/// Where a flow is kept.
fn place(session: SessionId, flow_hash: u64) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (flow_hash ^ u64::from(session.0)).wrapping_mul(SPREAD);
    #[expect(clippy::cast_possible_truncation, reason = "six bits are left")]
    {
        (mixed >> (u64::BITS - FLOWS.trailing_zeros())) as usize
    }
}

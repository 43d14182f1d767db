//! Packets on their way to TUN: those of one flow that came in one burst are written as one.
//!
//! The first of a flow stays in its frame. Only when a second one follows are both copied into one
//! large buffer; one that stays alone is written from where it is. Nothing is held beyond the burst
//! it came in, and the packets of a flow keep their order.

use std::collections::VecDeque;
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

    /// Takes a packet for an interface that has offloads, and `udp` among them.
    pub(super) fn add(
        &mut self,
        session: SessionId,
        udp: bool,
        storage: Storage,
        packet: Range<usize>,
    ) {
        let bytes = &storage.bytes()[packet.clone()];
        let Some(candidate) = Candidate::examine(bytes).filter(|packet| udp || packet.is_tcp())
        else {
            // It may be the last of a flow that is open.
            self.close_session(session);
            return self.write_alone(session, storage, packet);
        };
        let place = place(session, candidate.flow_hash());
        let storage = match self.take(place) {
            Some(flow) if flow.session == session => {
                match self.join(place, flow, &candidate, storage, packet.clone()) {
                    Ok(()) => return,
                    Err(storage) => storage,
                }
            }
            Some(other) => {
                self.write(other);
                storage
            }
            None => storage,
        };
        let held = Held::One {
            candidate,
            storage,
            packet,
        };
        self.keep(place, Flow { session, held });
    }

    /// Takes a packet that is not to be merged.
    pub(super) fn add_alone(&mut self, session: SessionId, storage: Storage, packet: Range<usize>) {
        self.write_alone(session, storage, packet);
    }

    /// Ends every flow: the burst is over.
    pub(super) fn close(&mut self) {
        while self.open != 0 {
            let place = self.open.trailing_zeros() as usize;
            if let Some(flow) = self.take(place) {
                self.write(flow);
            }
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

    /// Adds a packet to its flow, which is kept or, when it is complete, written. If it does not
    /// follow there, the flow is written and the packet's memory comes back.
    fn join(
        &mut self,
        place: usize,
        flow: Flow,
        candidate: &Candidate,
        storage: Storage,
        packet: Range<usize>,
    ) -> Result<(), Storage> {
        let Flow { session, held } = flow;
        let (mut aggregate, mut buffer) = match held {
            Held::Many { aggregate, buffer } => (aggregate, buffer),
            Held::One {
                candidate: first,
                storage: first_storage,
                packet: first_packet,
            } => {
                let begun = self.pool.take().and_then(|mut buffer| {
                    let bytes = &first_storage.bytes()[first_packet.clone()];
                    match Aggregate::start(&first, bytes, buffer.whole_mut()) {
                        Some(aggregate) => Some((aggregate, buffer)),
                        None => {
                            self.pool.put(buffer);
                            None
                        }
                    }
                });
                let Some(begun) = begun else {
                    self.write_alone(session, first_storage, first_packet);
                    return Err(storage);
                };
                self.outcomes.push_back(Outcome::Copied(first_storage));
                begun
            }
        };
        let bytes = &storage.bytes()[packet];
        let joined = match aggregate.append(candidate, bytes, buffer.whole_mut()) {
            Append::Merged => {
                self.outcomes.push_back(Outcome::Copied(storage));
                Ok(())
            }
            Append::Refused => Err(storage),
        };
        let over = joined.is_err() || aggregate.is_complete();
        let held = Held::Many { aggregate, buffer };
        let flow = Flow { session, held };
        if over {
            self.write(flow);
        } else {
            self.keep(place, flow);
        }
        joined
    }

    fn close_session(&mut self, session: SessionId) {
        let mut open = self.open;
        while open != 0 {
            let place = open.trailing_zeros() as usize;
            open &= open - 1;
            let ours = self.flows[place]
                .as_ref()
                .is_some_and(|flow| flow.session == session);
            if ours && let Some(flow) = self.take(place) {
                self.write(flow);
            }
        }
    }

    fn write(&mut self, flow: Flow) {
        let Flow { session, held } = flow;
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

    /// Puts the header before the packet, where its frame's own headers were.
    fn write_alone(&mut self, session: SessionId, mut storage: Storage, packet: Range<usize>) {
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

    fn keep(&mut self, place: usize, flow: Flow) {
        self.open |= 1 << place;
        self.flows[place] = Some(flow);
    }

    fn take(&mut self, place: usize) -> Option<Flow> {
        self.open &= !(1 << place);
        self.flows[place].take()
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

//! From TUN to the network: packets are sealed into free frames, encrypted in one batch, and sent
//! through AF_XDP, or through the raw socket while the peer's link-layer address is not known.

use std::ops::Range;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::super::buffers::Storage;
use super::{BURST, Worker, token};
use crate::ids::SessionId;
use crate::mppe::{Engine, Job, SessionKey};
use crate::stats::DropReason;
use crate::wire::{ethernet, ipv4};

/// Without a frame from the peer for so long, its link-layer address counts as unknown: the
/// kernel's neighbour table then knows better.
const LINK_LAYER_STALE: Duration = Duration::from_secs(30);

/// Time to live of what we send.
const TTL: u8 = 64;

/// Bytes of a MAC address.
const ADDRESS: usize = 6;

/// The bit in the first byte of a MAC address that makes it one of a group (IEEE 802).
const GROUP: u8 = 1;

/// The link-layer header to put before a frame to the peer, learned from the peer's own frames.
#[derive(Debug, Default)]
pub(super) struct LinkLayer {
    header: ArrayVec<u8, { ethernet::MAX_HEADER_LEN }>,
    learned: Option<Instant>,
}

impl LinkLayer {
    /// Takes the header of an accepted frame, the other way round.
    pub(super) fn learn(&mut self, arrived: &[u8], now: Instant) {
        let parts = arrived
            .split_first_chunk::<ADDRESS>()
            .and_then(|(ours, rest)| Some((ours, rest.split_first_chunk::<ADDRESS>()?)))
            .filter(|_| arrived.len() <= self.header.capacity());
        let Some((ours, (peer, kind))) = parts else {
            self.learned = None;
            return;
        };
        // Neither is a group address a station's own to send to, nor is one ours to send from: a
        // frame with such a one teaches nothing.
        if (ours[0] | peer[0]) & GROUP != 0 {
            self.learned = None;
            return;
        }
        self.learned = Some(now);
        self.header.clear();
        for part in [peer, ours, kind] {
            // Fits, by the length checked above.
            let _ = self.header.try_extend_from_slice(part);
        }
    }

    fn header(&self, now: Instant) -> Option<&[u8]> {
        let fresh = now.duration_since(self.learned?) < LINK_LAYER_STALE;
        fresh.then_some(&self.header)
    }
}

/// A frame that is written but for its encryption.
#[derive(Debug)]
struct Sealed {
    storage: Storage,
    destination: std::net::Ipv4Addr,
    encrypt: Option<(SessionKey, Range<usize>)>,
}

/// What is sealed and not sent yet.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    frames: ArrayVec<Sealed, BURST>,
    /// Frames in the TX ring that the device did not take yet.
    unsent: usize,
}

impl Outgoing {
    pub(super) fn waits_for_device(&self) -> bool {
        self.unsent > 0
    }
}

impl Worker {
    /// A packet from the interface with this token.
    pub(super) fn send_packet(&mut self, token: u64, packet: &[u8]) {
        self.counters.tun_read += 1;
        let id = token::session(token);
        let current = self
            .entry(id)
            .and_then(|entry| entry.tun.as_ref())
            .map(|(_, token)| *token);
        if current != Some(token) {
            return self.drops.count(DropReason::NoInterface);
        }
        self.send(id, |session, engine, out| {
            let sealed = session.seal(engine, packet, out)?;
            Ok((sealed.len, sealed.encrypt))
        });
    }

    /// A PPP control frame.
    pub(super) fn send_control(&mut self, id: SessionId, protocol: u16, payload: &[u8]) {
        self.send(id, |session, _, out| {
            Ok((session.control(protocol, payload, out)?, None))
        });
    }

    pub(super) fn send_echo_reply(&mut self, id: SessionId, request: &[u8]) {
        self.send(id, |session, _, out| {
            Ok((session.echo_reply(request, out)?, None))
        });
    }

    /// Sends the acknowledgements that found no packet to travel with. Every delay is the same,
    /// so the first in the queue is the first due.
    pub(super) fn send_due_acks(&mut self) {
        while let Some(&(due, id)) = self.owed.front()
            && due <= self.now
        {
            self.owed.pop_front();
            if let Some(entry) = self.entry(id) {
                entry.ack_queued = false;
                self.send_lone_ack(id);
            }
        }
    }

    /// Acknowledges what is owed, unless a packet did already.
    pub(super) fn send_lone_ack(&mut self, id: SessionId) {
        let owed = self.entry(id).map_or(0, |entry| entry.session.ack_owed());
        if owed == 0 {
            return;
        }
        self.counters.lone_acks += 1;
        self.send(id, |session, _, out| {
            Ok((session.lone_ack(out).ok_or(DropReason::TxFull)?, None))
        });
    }

    /// Writes the outer headers around what `seal` writes, and queues the frame.
    fn send<F>(&mut self, id: SessionId, seal: F)
    where
        F: FnOnce(
            &mut crate::session::Session,
            &mut crate::mppe::Portable,
            &mut [u8],
        ) -> Result<(usize, Option<(SessionKey, Range<usize>)>), DropReason>,
    {
        if self.outgoing.frames.is_full() {
            self.flush_transmit();
        }
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        else {
            return self.drops.count(DropReason::UnknownCall);
        };
        let link_layer = entry.link_layer.header(self.now);
        let storage = match (&mut self.queue, link_layer) {
            (Some(queue), Some(_)) => queue.take_tx().map(|frame| Storage::Umem {
                frame,
                home: self.id,
            }),
            _ => self.pool.take().map(|buffer| Storage::Heap {
                buffer,
                home: self.id,
            }),
        };
        let Some(mut storage) = storage else {
            return self.drops.count(DropReason::TxFull);
        };
        let header = if matches!(storage, Storage::Umem { .. }) {
            link_layer
        } else {
            None
        };
        let header = header.unwrap_or_default();
        let network = header.len();
        let gre = network + ipv4::HEADER_LEN;
        let whole = storage.whole_mut();
        whole[..network].copy_from_slice(header);
        let (len, encrypt) = match seal(&mut entry.session, &mut self.engine, &mut whole[gre..]) {
            Ok(sealed) => sealed,
            Err(reason) => {
                self.drops.count(reason);
                return self.recycle(storage);
            }
        };
        let tunnel = entry.session.tunnel();
        let outer = ipv4::Repr {
            source: tunnel.ours,
            destination: tunnel.peer,
            protocol: ipv4::PROTOCOL_GRE,
            payload_len: u16::try_from(len).unwrap_or(u16::MAX),
            tos: 0,
            identification: entry.ip_identification,
            // A router with a smaller MTU may cut it: better slow than a black hole.
            dont_fragment: false,
            ttl: TTL,
        };
        entry.ip_identification = entry.ip_identification.wrapping_add(1);
        outer.emit(&mut ipv4::Packet::new_unchecked(&mut whole[network..gre]));
        storage.set_len(gre + len);
        self.outgoing.frames.push(Sealed {
            storage,
            destination: tunnel.peer,
            encrypt: encrypt.map(|(key, range)| (key, gre + range.start..gre + range.end)),
        });
    }

    /// Encrypts what is queued in one batch and sends it.
    pub(super) fn flush_transmit(&mut self) {
        if !self.outgoing.frames.is_empty() {
            self.encrypt();
            self.transmit();
        }
        if let Some(queue) = &mut self.queue {
            // What the device refuses now stays in the ring, and is offered again.
            self.outgoing.unsent = queue.kick().unwrap_or(0);
        }
    }

    fn encrypt(&mut self) {
        let mut jobs = ArrayVec::<Job<'_>, BURST>::new();
        for frame in &mut self.outgoing.frames {
            if let Some((key, range)) = frame.encrypt.take() {
                jobs.push(Job {
                    key,
                    data: &mut frame.storage.bytes_mut()[range],
                });
            }
        }
        self.engine.crypt(&mut jobs);
    }

    fn transmit(&mut self) {
        let mut steered = ArrayVec::<_, BURST>::new();
        for Sealed {
            storage,
            destination,
            ..
        } in self.outgoing.frames.drain(..)
        {
            match storage {
                Storage::Umem { frame, .. } => steered.push(frame),
                Storage::Heap { buffer, .. } => {
                    match self.raw_sender.send(buffer.bytes(), destination) {
                        Ok(()) => self.counters.tx_raw += 1,
                        Err(_) => self.drops.count(DropReason::RawSend),
                    }
                    self.pool.put(buffer);
                }
            }
        }
        let Some(queue) = &mut self.queue else { return };
        self.counters.tx_xsk += queue.transmit(&mut steered) as u64;
        for frame in steered {
            self.drops.count(DropReason::TxFull);
            queue.recycle(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTAGGED: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    const ANSWER: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];

    #[test]
    fn the_answer_to_a_frame_has_its_addresses_the_other_way_round() {
        let mut link_layer = LinkLayer::default();
        let now = super::super::clock();
        assert_eq!(link_layer.header(now), None, "nothing is known yet");

        link_layer.learn(&UNTAGGED, now);

        assert_eq!(link_layer.header(now), Some(&ANSWER[..]));
    }

    #[test]
    fn vlan_tags_are_kept_as_they_came() {
        let mut link_layer = LinkLayer::default();
        let now = super::super::clock();
        let tags = [0x88, 0xa8, 0, 100, 0x81, 0x00, 0x20, 7, 0x08, 0x00];

        link_layer.learn(&[&UNTAGGED[..12], &tags].concat(), now);

        let expected = [&ANSWER[..12], &tags].concat();
        assert_eq!(link_layer.header(now), Some(&expected[..]));
        link_layer.learn(&UNTAGGED, now);
        assert_eq!(
            link_layer.header(now),
            Some(&ANSWER[..]),
            "the newest counts"
        );
    }

    #[test]
    fn what_was_learned_grows_stale() {
        let mut link_layer = LinkLayer::default();
        let now = super::super::clock();
        link_layer.learn(&UNTAGGED, now);

        let last = now + LINK_LAYER_STALE - Duration::from_millis(1);

        assert!(link_layer.header(last).is_some());
        assert_eq!(link_layer.header(now + LINK_LAYER_STALE), None);
    }

    #[test]
    fn a_header_that_cannot_be_answered_is_not_learned() {
        let now = super::super::clock();
        let mut from_group = UNTAGGED;
        from_group[6] = 3;
        let mut to_group = UNTAGGED;
        to_group[0] = 0xff;
        let too_long = [0; ethernet::MAX_HEADER_LEN + 1];
        for header in [&from_group[..], &to_group, &too_long, &UNTAGGED[..11], &[]] {
            let mut link_layer = LinkLayer::default();
            link_layer.learn(&UNTAGGED, now);
            link_layer.learn(header, now);
            assert_eq!(link_layer.header(now), None, "{header:x?}");
        }
    }
}

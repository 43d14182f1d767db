//! From TUN to the network: what is read is cut to packets, these are sealed into free frames,
//! encrypted in one batch, and sent through AF_XDP, or through the raw socket while the peer's
//! link-layer address is not known.
//!
//! While the device takes no more, what was read waits, and nothing else is read: the kernel then
//! queues before the interface, and tells whoever sends.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::super::buffers::Storage;
use super::super::tun::Offload;
use super::super::uring::ReadBuffer;
use super::{BURST, Worker, token};
use crate::ids::SessionId;
use crate::mppe::{AnyEngine, Engine, Job, SessionKey};
use crate::offload::segment::SuperPacket;
use crate::session::Session;
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
    /// The header of the peer's last frame.
    arrived: ArrayVec<u8, { ethernet::MAX_HEADER_LEN }>,
    header: ArrayVec<u8, { ethernet::MAX_HEADER_LEN }>,
    learned: Option<Instant>,
}

impl LinkLayer {
    /// Takes the header of an accepted frame, the other way round.
    pub(super) fn learn(&mut self, arrived: &[u8], now: Instant) {
        if arrived == &self.arrived[..] && self.learned.is_some() {
            self.learned = Some(now);
            return;
        }
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
        self.arrived.clear();
        // Fits, by the length checked above.
        let _ = self.arrived.try_extend_from_slice(arrived);
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
    /// What was read and waits for free frames.
    stalled: VecDeque<Stalled>,
}

/// What was read from an interface.
#[derive(Debug)]
struct Stalled {
    token: u64,
    bytes: Read,
    /// The first of its packets that is not sent yet.
    next: usize,
}

/// What was read from an interface, with its virtio-net header if there is one.
#[derive(Debug)]
pub(super) enum Read {
    /// By the ring, into a buffer that goes back to it.
    Ring(ReadBuffer),
    /// By the main thread, while there was no session.
    Kept(Vec<u8>),
}

impl Deref for Read {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Ring(buffer) => buffer,
            Self::Kept(bytes) => bytes,
        }
    }
}

/// There is no free frame: nothing was done, and it is worth trying again later.
#[derive(Debug)]
pub(super) struct NoFrame;

impl Outgoing {
    pub(super) fn waits_for_device(&self) -> bool {
        self.unsent > 0 || !self.stalled.is_empty()
    }
}

impl Worker {
    /// What was read from the interface with this token.
    pub(super) fn send_read(&mut self, token: u64, bytes: Read) {
        self.counters.tun_read += 1;
        let read = Stalled {
            token,
            bytes,
            next: 0,
        };
        if !self.outgoing.stalled.is_empty() {
            return self.outgoing.stalled.push_back(read);
        }
        if let Err(rest) = self.send_packets(read) {
            self.outgoing.stalled.push_back(rest);
        }
    }

    /// Goes on with what waits for free frames. True if there was something that could go.
    pub(super) fn send_stalled(&mut self) -> bool {
        let mut worked = false;
        while let Some(read) = self.outgoing.stalled.pop_front() {
            let before = read.next;
            match self.send_packets(read) {
                Ok(()) => worked = true,
                Err(rest) => {
                    worked |= rest.next > before;
                    self.outgoing.stalled.push_front(rest);
                    break;
                }
            }
        }
        worked
    }

    /// Sends the packets of what was read; gives back what there were no frames for.
    fn send_packets(&mut self, mut read: Stalled) -> Result<(), Stalled> {
        let id = token::session(read.token);
        let current = self.entry(id).and_then(|entry| entry.tun.as_ref());
        let offload = match current {
            Some((tun, token)) if *token == read.token => tun.offload,
            Some(_) | None => {
                self.drops.count(DropReason::NoInterface);
                return Ok(());
            }
        };
        let sent = if offload == Offload::Off {
            let packet = &read.bytes[..];
            let version = packet.first().map_or(0, |first| first >> 4);
            self.send_packet(id, version, packet.len(), |body| {
                body.copy_from_slice(packet);
            })
        } else {
            self.send_super(id, &read.bytes, &mut read.next)
        };
        sent.map_err(|NoFrame| read)
    }

    /// Sends the packets that one of up to 64 KB stands for, from `next` on.
    fn send_super(&mut self, id: SessionId, bytes: &[u8], next: &mut usize) -> Result<(), NoFrame> {
        let mtu = self.entry(id).and_then(|entry| entry.session.mtu());
        let mtu = mtu.unwrap_or_default();
        let segments =
            SuperPacket::parse(bytes).and_then(|packet| packet.segments(usize::from(mtu)));
        let segments = match segments {
            Ok(segments) => segments,
            Err(reason) => {
                self.drops.count(reason);
                return Ok(());
            }
        };
        while *next < segments.count() {
            let segment = *next;
            let len = segments.segment_len(segment);
            self.send_packet(id, segments.version(), len, |body| {
                segments.write_segment(segment, body);
            })?;
            *next += 1;
        }
        Ok(())
    }

    /// Sends a packet that `write` puts in its place, or keeps it until its time has come. Without
    /// a free frame, the same packet is to be sent again.
    fn send_packet(
        &mut self,
        id: SessionId,
        version: u8,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), NoFrame> {
        if let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
            && entry.session.must_hold_tx(len, self.now)
        {
            match entry.session.hold_tx(len, write) {
                Ok(()) => self.timers.await_release(id, entry, self.now),
                Err(reason) => self.drops.count(reason),
            }
            return Ok(());
        }
        self.send_now(id, version, len, write)
    }

    /// Sends a packet that `write` puts in its place, whole or in fragments. If the frames run out
    /// among the fragments, the same packet is to be sent again, and goes on where it was.
    pub(super) fn send_now(
        &mut self,
        id: SessionId,
        version: u8,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), NoFrame> {
        let fragmented = self.entry(id).is_some_and(|entry| {
            entry.session.has_fragments() || entry.session.needs_fragments(len)
        });
        if !fragmented {
            return self.send(id, |session, engine, out| {
                let sealed = session.seal_with(engine, version, len, out, write)?;
                Ok((sealed.len, sealed.encrypt))
            });
        }
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        else {
            return Ok(());
        };
        if !entry.session.has_fragments() {
            let engine = &mut self.engine;
            let begun = entry.session.begin_fragments(engine, version, len, write);
            if let Err(reason) = begun {
                self.drops.count(reason);
                return Ok(());
            }
        }
        while self
            .entry(id)
            .is_some_and(|entry| entry.session.has_fragments())
        {
            self.send(id, |session, _, out| {
                Ok((session.next_fragment(out)?, None))
            })?;
        }
        Ok(())
    }

    /// A PPP control frame.
    pub(super) fn send_control(&mut self, id: SessionId, protocol: u16, payload: &[u8]) {
        let sent = self.send(id, |session, _, out| {
            Ok((session.control(protocol, payload, out)?, None))
        });
        self.count_unsent(sent);
    }

    pub(super) fn send_echo_reply(&mut self, id: SessionId, request: &[u8]) {
        let sent = self.send(id, |session, _, out| {
            Ok((session.echo_reply(request, out)?, None))
        });
        self.count_unsent(sent);
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
        let sent = self.send(id, |session, _, out| {
            Ok((session.lone_ack(out).ok_or(DropReason::TxFull)?, None))
        });
        self.count_unsent(sent);
    }

    /// What is not read from an interface cannot wait.
    fn count_unsent(&mut self, sent: Result<(), NoFrame>) {
        if sent.is_err() {
            self.drops.count(DropReason::TxFull);
        }
    }

    /// Writes the outer headers around what `seal` writes, and queues the frame; or counts why it
    /// could not be.
    fn send<F>(&mut self, id: SessionId, seal: F) -> Result<(), NoFrame>
    where
        F: FnOnce(
            &mut Session,
            &mut AnyEngine,
            &mut [u8],
        ) -> Result<(usize, Option<(SessionKey, Range<usize>)>), DropReason>,
    {
        if self.outgoing.frames.is_full() {
            self.flush_transmit();
        }
        let mut storage = self.take_frame(id)?;
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        else {
            self.drop_frame(storage, DropReason::UnknownCall);
            return Ok(());
        };
        let link_layer = entry.link_layer.header(self.now);
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
                self.drop_frame(storage, reason);
                return Ok(());
            }
        };
        self.keys.note(id, entry);
        entry.say_limits(id, self.now, &self.outbox);
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
        Ok(())
    }

    /// Memory for a frame of the session: of the UMEM if its link-layer header is known.
    fn take_frame(&mut self, id: SessionId) -> Result<Storage, NoFrame> {
        let now = self.now;
        let steered = self.queue.is_some()
            && self
                .entry(id)
                .is_some_and(|entry| entry.link_layer.header(now).is_some());
        if let Some(storage) = self.free_frame(steered) {
            return Ok(storage);
        }
        // What is queued goes first; on a device that sends at once that makes room.
        self.flush_transmit();
        self.free_frame(steered).ok_or(NoFrame)
    }

    fn free_frame(&mut self, steered: bool) -> Option<Storage> {
        let home = self.id;
        match &mut self.queue {
            Some(queue) if steered => {
                let frame = queue.take_tx()?;
                Some(Storage::Umem { frame, home })
            }
            Some(_) | None => {
                let buffer = self.pool.take()?;
                Some(Storage::Heap { buffer, home })
            }
        }
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
                // Nobody seals into such a one.
                Storage::Super { buffer, .. } => self.merging.put(buffer),
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

//! From the network to TUN: frames are gathered into a burst, opened, decrypted in one batch,
//! judged, and written, those of one flow together.

use std::ops::Range;

use arrayvec::ArrayVec;
use greyhound_bpf::Metadata;

use super::super::buffers::{BUFFER_BYTES, Storage};
use super::super::tun::Offload;
use super::early::Call;
use super::merge::Outcome;
use super::{
    ACK_DELAY, ACK_FRAMES, BURST, CONTROL_FRAMES, CONTROL_PERIOD, ControlFrame, Entry, Exit,
    Report, Worker,
};
use crate::ids::{CallId, SessionId, WorkerId};
use crate::mppe::{Engine, Job, SessionKey};
use crate::session::{Inner, Opened, Reassembled, Ticket, check_gre};
use crate::stats::DropReason;
use crate::wire::{ethernet, ipv4};

/// In front of what is put into memory of its own: room for the virtio-net header.
pub(super) const ROOM: usize = 16;

/// A frame that arrived, and where in it the IP header begins.
#[derive(Debug)]
pub struct Arrived {
    storage: Storage,
    /// Offset of the IP header: the length of the link-layer header, 0 from the raw socket.
    network: usize,
    /// The session it is said to belong to; the owner checks that.
    session: SessionId,
}

/// A frame whose GRE header was accepted.
#[derive(Debug)]
struct Pending {
    arrived: Arrived,
    gre: Range<usize>,
    ticket: Ticket,
    decrypt: Option<(SessionKey, Range<usize>)>,
}

impl Worker {
    pub(super) fn receive_from_queue(&mut self) -> bool {
        let mut frames = ArrayVec::<_, BURST>::new();
        let Some(queue) = &mut self.queue else {
            return false;
        };
        queue.receive(&mut frames);
        let worked = !frames.is_empty();
        let mut burst = ArrayVec::new();
        for frame in frames {
            self.counters.rx_xsk += 1;
            let Metadata { worker, session } = frame.metadata();
            let storage = Storage::Umem {
                frame,
                home: self.id,
            };
            match ethernet::Frame::new_checked(storage.bytes()).map(|frame| frame.header_len()) {
                Ok(network) => {
                    let owner = WorkerId(u16::try_from(worker).unwrap_or(u16::MAX));
                    let arrived = Arrived {
                        storage,
                        network,
                        session: SessionId(session),
                    };
                    self.gather(owner, arrived, &mut burst);
                }
                Err(_) => self.drop_frame(storage, DropReason::BadIp),
            }
        }
        self.receive(&mut burst);
        worked
    }

    pub(super) fn receive_from_raw(&mut self) -> bool {
        if !self.raw_readable {
            return false;
        }
        let mut burst = ArrayVec::new();
        let mut read = 0;
        while read < BURST {
            let Some(receiver) = &self.raw_receiver else {
                return false;
            };
            let Some(mut buffer) = self.pool.take() else {
                break;
            };
            match receiver.receive(&mut buffer) {
                Ok(Some(len)) => buffer.set_len(len),
                Ok(None) | Err(_) => {
                    self.raw_readable = false;
                    self.pool.put(buffer);
                    break;
                }
            }
            read += 1;
            self.counters.rx_raw += 1;
            let storage = Storage::Heap {
                buffer,
                home: self.id,
            };
            let call = call_of(storage.bytes());
            match call.map(|call| (call, self.routes.get(&call).copied())) {
                Ok((_, Some((worker, session)))) => {
                    let arrived = Arrived {
                        storage,
                        network: 0,
                        session,
                    };
                    self.gather(worker, arrived, &mut burst);
                }
                Ok((call, None)) => {
                    if let Some(oldest) = self.early.keep(self.now, call, storage) {
                        self.drop_frame(oldest, DropReason::UnknownCall);
                    }
                }
                Err(reason) => self.drop_frame(storage, reason),
            }
        }
        self.receive(&mut burst);
        read > 0
    }

    /// The frames that came before their session did.
    pub(super) fn receive_early(&mut self, call: Call, (owner, session): (WorkerId, SessionId)) {
        let mut burst = ArrayVec::new();
        while !burst.is_full()
            && let Some(storage) = self.early.next_of(call)
        {
            let arrived = Arrived {
                storage,
                network: 0,
                session,
            };
            self.gather(owner, arrived, &mut burst);
        }
        self.receive(&mut burst);
    }

    /// Gives up on frames whose session does not come.
    pub(super) fn drop_expired(&mut self) {
        while let Some(storage) = self.early.next_expired(self.now) {
            self.drop_frame(storage, DropReason::UnknownCall);
        }
    }

    pub(super) fn receive_from_inbox(&mut self) -> bool {
        let Some(inbox) = self.inboxes.of(self.id) else {
            return false;
        };
        let mut burst = ArrayVec::<Arrived, BURST>::new();
        while !burst.is_full()
            && let Some(arrived) = inbox.next_arrived()
        {
            self.counters.rx_handoff += 1;
            burst.push(arrived);
        }
        let worked = !burst.is_empty();
        self.receive(&mut burst);
        worked
    }

    /// Puts a frame into the burst, or before the worker that owns its session.
    fn gather(&mut self, owner: WorkerId, arrived: Arrived, burst: &mut ArrayVec<Arrived, BURST>) {
        if owner == self.id {
            burst.push(arrived);
            return;
        }
        let Some(inbox) = self.inboxes.of(owner) else {
            return self.drop_frame(arrived.storage, DropReason::UnknownCall);
        };
        if let Err(arrived) = inbox.hand_over(arrived) {
            self.drop_frame(arrived.storage, DropReason::HandoffFull);
        }
    }

    /// Runs one burst to completion.
    fn receive(&mut self, burst: &mut ArrayVec<Arrived, BURST>) {
        if burst.is_empty() {
            return;
        }
        let is_there = |sessions: &[Option<Box<Entry>>], arrived: &Arrived| {
            matches!(sessions.get(arrived.session.0 as usize), Some(Some(_)))
        };
        if !burst
            .iter()
            .all(|arrived| is_there(&self.sessions, arrived))
        {
            self.catch_up();
        }
        let mut pending = ArrayVec::<Pending, BURST>::new();
        for arrived in burst.drain(..) {
            match self.open(&arrived) {
                Ok((_, Opened::Ack)) => self.recycle(arrived.storage),
                Ok((gre, Opened::Plain(ticket))) => {
                    pending.push(Pending {
                        arrived,
                        gre,
                        ticket,
                        decrypt: None,
                    });
                }
                Ok((gre, Opened::Sealed { ticket, key, data })) => {
                    let decrypt = Some((key, gre.start + data.start..gre.start + data.end));
                    pending.push(Pending {
                        arrived,
                        gre,
                        ticket,
                        decrypt,
                    });
                }
                Err(reason) => self.drop_frame(arrived.storage, reason),
            }
        }
        let mut jobs = ArrayVec::<Job<'_>, BURST>::new();
        for frame in &mut pending {
            if let Some((key, range)) = frame.decrypt.take() {
                jobs.push(Job {
                    key,
                    data: &mut frame.arrived.storage.bytes_mut()[range],
                });
            }
        }
        self.engine.crypt(&mut jobs);
        drop(jobs);
        for frame in pending {
            self.deliver(frame);
        }
        self.merging.close();
        self.write_merged();
    }

    /// Phase one: is this a frame of the session it is said to belong to, and does its GRE header
    /// make sense?
    fn open(&mut self, arrived: &Arrived) -> Result<(Range<usize>, Opened), DropReason> {
        let bytes = arrived.storage.bytes();
        let datagram = &bytes[arrived.network..];
        let ip = ipv4::Packet::new_checked(datagram).map_err(|_| DropReason::BadIp)?;
        if ip.protocol() != ipv4::PROTOCOL_GRE || ip.is_fragment() {
            return Err(DropReason::BadIp);
        }
        let gre = arrived.network + ip.header_len()..arrived.network + ip.total_len();
        let entry = self
            .sessions
            .get_mut(arrived.session.0 as usize)
            .and_then(Option::as_deref_mut)
            .ok_or(DropReason::UnknownCall)?;
        let tunnel = entry.session.tunnel();
        if ip.source() != tunnel.peer || ip.destination() != tunnel.ours {
            return Err(DropReason::UnknownCall);
        }
        let opened = entry
            .session
            .open(&mut self.engine, &bytes[gre.clone()], self.now)?;
        Ok((gre, opened))
    }

    /// Phase three: what was decrypted goes where it belongs.
    fn deliver(&mut self, frame: Pending) {
        let Pending {
            arrived,
            gre,
            ticket,
            ..
        } = frame;
        let Arrived {
            mut storage,
            network,
            session: id,
        } = arrived;
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        else {
            return self.drop_frame(storage, DropReason::UnknownCall);
        };
        let frame = &mut storage.bytes_mut()[gre.clone()];
        let inner = match entry.session.accept(ticket, frame) {
            Ok(inner) => inner,
            Err(reason) => {
                self.report_notice(id);
                return self.drop_frame(storage, reason);
            }
        };
        // What came through another interface says nothing about the one that it is answered by.
        if entry.exit == Exit::Queue
            && let Storage::Umem { frame, .. } = &storage
            && let Some(queue) = &self.queue
            && queue.shares_area_with(frame)
        {
            let header = &storage.bytes()[..network];
            entry.link_layer.learn(header, self.now);
        }
        let ack_now = entry.session.ack_owed() >= ACK_FRAMES;
        if !entry.ack_queued {
            entry.ack_queued = true;
            self.owed.push_back((self.now + ACK_DELAY, id));
        }
        match inner {
            Inner::Fragment => self.recycle(storage),
            Inner::Reassembled(frame) => {
                self.recycle(storage);
                self.deliver_reassembled(id, frame);
            }
            Inner::Ip(_) | Inner::Held | Inner::EchoRequest(_) | Inner::Control { .. } => {
                self.dispatch(id, storage, gre.start, inner);
            }
        }
        if ack_now {
            self.send_lone_ack(id);
        }
    }

    /// A frame that came in fragments is put together in memory of its own.
    fn deliver_reassembled(&mut self, id: SessionId, frame: Reassembled) {
        let Some(mut storage) = self.memory_for(ROOM + frame.len()) else {
            return self.drops.count(DropReason::BadFragment);
        };
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
        else {
            return self.drop_frame(storage, DropReason::UnknownCall);
        };
        let opened = entry.session.open_reassembled(
            &mut self.engine,
            frame,
            storage.bytes_mut(),
            ROOM,
            self.now,
        );
        match opened {
            Ok(inner) => self.dispatch(id, storage, 0, inner),
            Err(reason) => {
                self.report_notice(id);
                self.drop_frame(storage, reason);
            }
        }
    }

    /// Memory for `len` bytes, if some is free.
    pub(super) fn memory_for(&mut self, len: usize) -> Option<Storage> {
        let mut storage = if len <= BUFFER_BYTES {
            let buffer = self.pool.take()?;
            let home = self.id;
            Storage::Heap { buffer, home }
        } else {
            self.merging.take()?
        };
        storage.set_len(len);
        Some(storage)
    }

    /// Sends on what a frame carries. Its ranges count from `start`.
    fn dispatch(&mut self, id: SessionId, storage: Storage, start: usize, inner: Inner) {
        let within = |range: Range<usize>| start + range.start..start + range.end;
        match inner {
            Inner::Ip(packet) => {
                if let Some(entry) = self
                    .sessions
                    .get_mut(id.0 as usize)
                    .and_then(Option::as_deref_mut)
                {
                    self.keys.note(id, entry);
                    entry.say_limits(id, self.now, &self.outbox);
                }
                self.write_packet(id, storage, within(packet));
            }
            Inner::Held => {
                self.recycle(storage);
                if let Some(entry) = self
                    .sessions
                    .get_mut(id.0 as usize)
                    .and_then(Option::as_deref_mut)
                {
                    self.keys.note(id, entry);
                    entry.say_limits(id, self.now, &self.outbox);
                    self.timers.await_release(id, entry, self.now);
                }
            }
            Inner::EchoRequest(request) => {
                self.send_echo_reply(id, &storage.bytes()[within(request)]);
                self.recycle(storage);
            }
            Inner::Control {
                protocol,
                information,
            } => {
                self.pass_to_control(id, protocol, &storage.bytes()[within(information)]);
                self.recycle(storage);
            }
            // Nothing is put together from what was.
            Inner::Fragment | Inner::Reassembled(_) => self.recycle(storage),
        }
    }

    /// Writes what came before the interface that the session has now.
    pub(super) fn write_early(&mut self, id: SessionId) {
        let packets = self.entry(id).map(|entry| entry.session.take_early());
        for packet in packets.unwrap_or_default() {
            let Some(mut storage) = self.memory_for(ROOM + packet.len()) else {
                self.drops.count(DropReason::NoInterface);
                continue;
            };
            storage.bytes_mut()[ROOM..].copy_from_slice(&packet);
            let now = self.now;
            let Some(entry) = self.entry(id) else { return };
            match entry.session.accept_early(storage.bytes_mut(), ROOM, now) {
                Ok(inner) => self.dispatch(id, storage, 0, inner),
                Err(reason) => self.drop_frame(storage, reason),
            }
        }
        self.merging.close();
        self.write_merged();
    }

    fn report_notice(&mut self, id: SessionId) {
        let notice = self.entry(id).and_then(|entry| entry.session.take_notice());
        if let Some(notice) = notice {
            self.report(Report::Notice(id, notice));
        }
    }

    /// Takes a packet for the session's interface. It is written now, or with others of its burst.
    pub(super) fn write_packet(&mut self, id: SessionId, storage: Storage, packet: Range<usize>) {
        let merges = self.entry(id).and_then(|entry| {
            let (tun, _) = entry.tun.as_ref()?;
            Some((tun.offload, entry.merging_refused))
        });
        match merges {
            None => self.drop_frame(storage, DropReason::NoInterface),
            Some((Offload::Off, _)) => self.write(id, storage, packet),
            Some((Offload::Header, _) | (_, true)) => {
                self.merging.write_alone(id, storage, packet);
                self.write_merged();
            }
            Some((offload, false)) => {
                let udp = offload >= Offload::Udp;
                if let Some(copied) = self.merging.add(id, udp, storage, packet) {
                    self.recycle(copied);
                }
                self.write_merged();
            }
        }
    }

    /// Writes what became of the packets that were added.
    pub(super) fn write_merged(&mut self) {
        while let Some(outcome) = self.merging.next_outcome() {
            match outcome {
                Outcome::Write(id, storage, range) => self.write(id, storage, range),
                Outcome::Copied(storage) => self.recycle(storage),
            }
        }
    }

    fn write(&mut self, id: SessionId, storage: Storage, range: Range<usize>) {
        let tun = self
            .sessions
            .get(id.0 as usize)
            .and_then(Option::as_deref)
            .and_then(|entry| entry.tun.as_ref());
        let refused = match tun {
            Some((tun, token)) => self.uring.write(tun, storage, range, *token),
            None => return self.drop_frame(storage, DropReason::NoInterface),
        };
        if let Err(storage) = refused {
            self.drop_frame(storage, DropReason::TunWrite);
        }
    }

    fn pass_to_control(&mut self, id: SessionId, protocol: u16, information: &[u8]) {
        let now = self.now;
        let Some(entry) = self.entry(id) else { return };
        if now.duration_since(entry.control_period) >= CONTROL_PERIOD {
            entry.control_period = now;
            entry.control_frames = 0;
        }
        entry.control_frames += 1;
        if entry.control_frames > CONTROL_FRAMES {
            return self.drops.count(DropReason::ControlQueueFull);
        }
        let frame = ControlFrame {
            session: id,
            protocol,
            payload: information.to_vec(),
        };
        match self.outbox.frames.try_send(frame) {
            // Fails only when the main thread is gone.
            Ok(()) => drop(self.outbox.wake.wake()),
            Err(_) => self.drops.count(DropReason::ControlQueueFull),
        }
    }
}

/// Which call a datagram belongs to: its source and the call id it carries.
fn call_of(datagram: &[u8]) -> Result<(std::net::Ipv4Addr, CallId), DropReason> {
    let ip = ipv4::Packet::new_checked(datagram).map_err(|_| DropReason::BadIp)?;
    let header = check_gre(ip.payload())?;
    Ok((ip.source(), CallId(header.call_id())))
}

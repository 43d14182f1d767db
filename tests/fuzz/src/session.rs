//! Two sessions of the datapath and a wire between them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::{LinkOptions, Multilink, Tunnel};
use greyhound_datapath::mppe::{AnyEngine, Engine, Job, Parameters, StartKey, Strength, engine};
use greyhound_datapath::session::{Inner, InnerAddress, MAX_OVERHEAD, Opened, Session};
use greyhound_datapath::stats::DropReason;
use greyhound_datapath::wire::{gre, ipv4, mppe, ppp};

use crate::input::Input;
use crate::origin;

/// Each end seals packets and control frames for the other, really encrypted; the script delivers
/// them in any order, again, and changed, in bursts as a worker does, while the terms change.
///
/// Checked: every range lies inside its frame; the counters add up; as long as nothing was forged,
/// what comes out was put in, and once only; and what arrives in order opens, whatever else was
/// forged and refused before it.
pub fn session(data: &[u8]) {
    World::run(data).end();
}

/// A frame that was sent.
#[derive(Clone)]
struct Frame {
    bytes: Vec<u8>,
    /// The packet in it; none in a control frame, nor in a fragment.
    packet: Option<Vec<u8>>,
    /// How many frames were sent before it, and how many with packets under the same keys.
    index: u64,
    number: u64,
    /// The packet is one that the usual interface takes.
    good: bool,
    /// The keys it was sealed with, as the receiver's side counts them.
    epoch: u32,
    /// Encrypted by a sender that began with fresh tables.
    flushed: bool,
    /// It, or something made of it, was delivered.
    used: bool,
}

/// One end: the session, and what it must have counted.
struct End {
    session: Session,
    /// Frames from the other end, the newest last.
    frames: Vec<Frame>,
    /// The first of them that was not delivered in its turn.
    next: usize,
    /// Packets that the other end has sealed.
    sealed: BTreeSet<Vec<u8>>,
    /// Numbers of the frames with packets that were delivered, under the keys of now.
    delivered: BTreeSet<u64>,
    /// The newest frame that came.
    highest: Option<u64>,
    rx: Option<Parameters>,
    tx: Option<Parameters>,
    /// Frames that the other end has sent, and packets it has sealed under the keys of now.
    sent: u64,
    sealed_now: u64,
    epoch: u32,
    /// Nothing was ever forged in this direction.
    innocent: bool,
    /// Nothing forged was believed since the keys are those of now, and the two ends have the same.
    steady: bool,
    usual_interface: bool,
    packets_in: u64,
    packets_out: u64,
    dropped: u64,
}

/// What is due in order depends on them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Terms {
    Plain,
    Stateless,
    Stateful,
}

/// How often a script may do what costs hundreds of key steps.
const MAX_LEAPS: u32 = 2;

/// How many packets in a row may be lost without the next one being any less due.
const MAX_GAP: u64 = 128;

impl End {
    /// Takes a frame that the other end sends.
    fn push(&mut self, bytes: Vec<u8>, packet: Option<Vec<u8>>, good: bool) {
        const MAX_FRAMES: usize = 64;

        let flushed = mppe_header(&bytes).is_some_and(|at| bytes[at] & 0x80 != 0);
        if self.frames.len() == MAX_FRAMES {
            self.frames.remove(0);
            self.next = self.next.saturating_sub(1);
        }
        self.frames.push(Frame {
            bytes,
            index: self.sent,
            number: self.sealed_now,
            good,
            epoch: self.epoch,
            flushed,
            used: false,
            packet,
        });
        self.sent += 1;
    }

    fn terms(&self) -> Terms {
        match &self.rx {
            None => Terms::Plain,
            Some(parameters) if parameters.stateless => Terms::Stateless,
            Some(_) => Terms::Stateful,
        }
    }

    /// Whether a frame has to open, now that it comes.
    fn is_due(&self, frame: &Frame) -> bool {
        let in_order = self.highest.is_none_or(|highest| frame.index > highest);
        if !(in_order && self.steady && self.usual_interface && frame.good)
            || frame.used
            || frame.epoch != self.epoch
        {
            return false;
        }
        let expected = self.delivered.last().map_or(0, |last| last + 1);
        match self.terms() {
            Terms::Plain => true,
            Terms::Stateless => frame.number.saturating_sub(expected) < MAX_GAP,
            Terms::Stateful => frame.number == expected || frame.flushed,
        }
    }

    /// Something came from the other end that it would not send.
    fn suspect(&mut self) {
        self.innocent = false;
        self.steady = false;
    }

    fn check(&self) {
        let counters = self.session.counters();
        assert_eq!(counters.rx_packets, self.packets_in);
        assert_eq!(counters.tx_packets, self.packets_out);
        assert_eq!(counters.dropped, self.dropped);
    }
}

struct World {
    ends: [End; 2],
    engine: AnyEngine,
    now: Instant,
    key: u8,
    /// Leaps that cost many key steps.
    leaps: u32,
}

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];

impl World {
    fn run(data: &[u8]) -> Self {
        let mut input = Input::new(data);
        let mut world = Self::new();
        for _ in 0..256 {
            if input.is_empty() {
                break;
            }
            world.step(&mut input);
        }
        world
    }

    fn new() -> Self {
        let end = |us: usize| {
            let outer = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
            let ids = [100, 200];
            End {
                session: Session::new(Tunnel {
                    ours: outer[us],
                    peer: outer[1 - us],
                    call_id: CallId(ids[us]),
                    peer_call_id: PeerCallId(ids[1 - us]),
                }),
                frames: Vec::new(),
                next: 0,
                sealed: BTreeSet::new(),
                delivered: BTreeSet::new(),
                highest: None,
                rx: None,
                tx: None,
                sent: 0,
                sealed_now: 0,
                epoch: 0,
                innocent: true,
                steady: true,
                usual_interface: false,
                packets_in: 0,
                packets_out: 0,
                dropped: 0,
            }
        };
        let mut world = Self {
            ends: [end(0), end(1)],
            engine: engine::detect(),
            now: origin(),
            key: 0,
            leaps: 0,
        };
        for us in 0..2 {
            world.set_interface(us, true, true);
        }
        world
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.u8();
        let us = usize::from(choice >> 7);
        let more = choice >> 4 & 7;
        match choice & 0xf {
            0..4 => self.send(us, more, input),
            4..7 => self.deliver(us, usize::from(more % 4) + 1),
            7 => self.deliver_old(us, input),
            8 | 9 => self.forge(us, input),
            10 => self.send_control(us, input),
            11 => self.set_link(us, more, input),
            12 => self.set_mppe(us, more, input),
            13 => {
                let (present, usual) = (more & 1 == 0, more & 2 == 0);
                self.set_interface(us, present, usual);
            }
            14 => self.look_after(us, more),
            _ => self.leap(us, input),
        }
        for end in &self.ends {
            end.check();
        }
    }

    /// A packet is sealed, of as many bytes as the script says, and in fragments if it must be.
    fn send(&mut self, us: usize, how: u8, input: &mut Input<'_>) {
        let len = usize::from(input.u8());
        let packet = match how {
            0..4 => ipv4_packet(ADDRESSES[us], len),
            4 => ipv4_packet(Ipv4Addr::new(10, 9, 9, 9), len),
            5 => ipv6_packet(len),
            6 => vec![how; len],
            _ => input.bytes().to_vec(),
        };
        let good = how < 4 || how == 5;
        self.seal(us, &packet, good);
    }

    fn seal(&mut self, us: usize, packet: &[u8], good: bool) {
        let Self { ends, engine, .. } = self;
        let [first, second] = ends;
        let (from, to) = if us == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let mut out = vec![0; packet.len() + MAX_OVERHEAD];
        if from.session.needs_fragments(packet.len()) {
            let version = packet.first().map_or(0, |first| first >> 4);
            let begun = from
                .session
                .begin_fragments(engine, version, packet.len(), |to| {
                    to.copy_from_slice(packet)
                });
            if begun.is_err() {
                from.dropped += 1;
                return;
            }
            from.packets_out += 1;
            to.sealed_now += 1;
            to.sealed.insert(packet.to_vec());
            // Whole, it takes part in nothing that is in order.
            to.steady = false;
            while from.session.has_fragments() {
                let mut out = vec![0; 2048];
                let Ok(len) = from.session.next_fragment(&mut out) else {
                    from.dropped += 1;
                    break;
                };
                to.push(out[..len].to_vec(), None, false);
            }
            return;
        }
        let Ok(sealed) = from.session.seal(engine, packet, &mut out) else {
            from.dropped += 1;
            return;
        };
        from.packets_out += 1;
        assert!(sealed.len <= out.len());
        out.truncate(sealed.len);
        if let Some((key, at)) = sealed.encrypt {
            let data = &mut out[at];
            engine.crypt(&mut [Job { key, data }]);
        }
        to.sealed.insert(packet.to_vec());
        to.push(out, Some(packet.to_vec()), good);
        to.sealed_now += 1;
    }

    fn send_control(&mut self, us: usize, input: &mut Input<'_>) {
        let protocol = input.one_of(&[0xc021, 0x80fd, 0x8021, 0xc223, 0x0021, 0x003d, 0x00fd]);
        let payload = match input.u8() {
            // An LCP Echo-Request.
            0..128 => [9, 1, 0, 8, 0, 0, 0, 1].to_vec(),
            _ => input.bytes().to_vec(),
        };
        let mut out = vec![0; payload.len() + MAX_OVERHEAD];
        let len = self.ends[us].session.control(protocol, &payload, &mut out);
        let len = len.expect("there is room");
        out.truncate(len);
        let to = &mut self.ends[1 - us];
        if protocol < 0x8000 {
            // A network packet, or what looks like one, from nowhere.
            to.suspect();
        }
        to.push(out, None, false);
    }

    /// Frames that come in their turn, as one burst.
    fn deliver(&mut self, us: usize, count: usize) {
        let end = &mut self.ends[us];
        let indices: Vec<_> = (end.next..end.frames.len()).take(count).collect();
        end.next += indices.len();
        let frames: Vec<_> = indices.iter().map(|&at| end.frames[at].clone()).collect();
        for &at in &indices {
            end.frames[at].used = true;
        }
        self.receive(us, frames, false);
    }

    /// A frame that came before, or would come later.
    fn deliver_old(&mut self, us: usize, input: &mut Input<'_>) {
        let end = &mut self.ends[us];
        if end.frames.is_empty() {
            return;
        }
        let at = input.below(end.frames.len());
        let frame = end.frames[at].clone();
        end.frames[at].used = true;
        self.receive(us, vec![frame], false);
    }

    /// A frame made of one that was sent, or of nothing.
    fn forge(&mut self, us: usize, input: &mut Input<'_>) {
        let end = &mut self.ends[us];
        let how = input.u8();
        let count = end.frames.len();
        let mut frame = if count == 0 || how & 0xf == 0xf {
            Frame {
                bytes: input.bytes().to_vec(),
                packet: None,
                index: 0,
                number: 0,
                good: false,
                epoch: 0,
                flushed: false,
                used: true,
            }
        } else {
            // The newest are the most interesting.
            let at = count - 1 - input.below(count.min(8));
            end.frames[at].used = true;
            end.frames[at].clone()
        };
        let bytes = &mut frame.bytes;
        if how & 1 != 0 {
            let by = self.distance(input);
            add(bytes, 8, by);
        }
        if how & 2 != 0
            && let Some(at) = mppe_header(&frame.bytes)
        {
            let by = self.distance(input);
            let header = u16::from_be_bytes([frame.bytes[at], frame.bytes[at + 1]]);
            let [_, _, high, low] = by.to_be_bytes();
            let count = header.wrapping_add(u16::from_be_bytes([high, low])) & 0xfff;
            frame.bytes[at..at + 2].copy_from_slice(&(header & 0xf000 | count).to_be_bytes());
        }
        let bytes = &mut frame.bytes;
        if how & 4 != 0 && !bytes.is_empty() {
            let at = input.below(bytes.len());
            bytes[at] ^= input.u8();
        }
        if how & 8 != 0 {
            bytes.truncate(usize::from(input.u8()));
        }
        if how & 0x10 != 0 {
            bytes.extend(input.bytes());
        }
        self.ends[us].innocent = false;
        self.receive(us, vec![frame], true);
    }

    /// Mostly a small number of either sign; a large one costs thousands of key steps.
    fn distance(&mut self, input: &mut Input<'_>) -> u32 {
        let near = input.u8();
        if near == 0x80 && self.leaps < MAX_LEAPS {
            self.leaps = MAX_LEAPS;
            return u32::from(input.u16()) % 9000;
        }
        i32::from(near.cast_signed()).cast_unsigned()
    }

    /// The three phases of a worker: all are opened, all decrypted, all accepted.
    fn receive(&mut self, us: usize, mut frames: Vec<Frame>, forged: bool) {
        let mut opened = Vec::new();
        for frame in &frames {
            let outcome = self.ends[us]
                .session
                .open(&mut self.engine, &frame.bytes, self.now);
            opened.push(outcome);
        }
        let mut jobs = Vec::new();
        let mut tickets = Vec::new();
        for (frame, outcome) in frames.iter_mut().zip(opened) {
            tickets.push(match outcome {
                Ok(Opened::Ack) => None,
                Ok(Opened::Plain(ticket)) => Some(Ok(ticket)),
                Ok(Opened::Sealed { ticket, key, data }) => {
                    let data = &mut frame.bytes[data];
                    jobs.push(Job { key, data });
                    Some(Ok(ticket))
                }
                Err(reason) => Some(Err(reason)),
            });
        }
        self.engine.crypt(&mut jobs);
        for (mut frame, ticket) in frames.into_iter().zip(tickets) {
            let Some(ticket) = ticket else { continue };
            let outcome = ticket.and_then(|ticket| {
                let end = &mut self.ends[us];
                end.session.accept(ticket, &mut frame.bytes)
            });
            self.judge(us, &frame, outcome, forged);
        }
        let _ = self.ends[us].session.take_notice();
    }

    fn judge(
        &mut self,
        us: usize,
        frame: &Frame,
        outcome: Result<Inner, DropReason>,
        forged: bool,
    ) {
        let now = self.now;
        let end = &mut self.ends[us];
        let due = !forged && end.is_due(frame);
        if !forged {
            end.highest = end.highest.max(Some(frame.index));
        }
        let mut whole = frame.bytes.clone();
        let outcome = match outcome {
            Ok(Inner::Reassembled(these)) => {
                let mut out = vec![0; these.len() + 40];
                let inner =
                    end.session
                        .open_reassembled(&mut self.engine, these, &mut out, 20, now);
                whole = out;
                inner
            }
            outcome => outcome,
        };
        match &outcome {
            Ok(Inner::Ip(at)) => {
                let packet = &whole[at.clone()];
                end.packets_in += 1;
                if end.innocent {
                    // Without what followed its end, if it was sealed with more.
                    let sealed = end.sealed.range(packet.to_vec()..).next();
                    let known = sealed.is_some_and(|sealed| sealed.starts_with(packet));
                    assert!(known, "what came out was not put in");
                }
                if end.innocent && frame.packet.is_some() && frame.epoch == end.epoch {
                    let first = end.delivered.insert(frame.number);
                    assert!(first, "delivered twice");
                }
                if due {
                    assert_eq!(Some(packet), frame.packet.as_deref());
                }
                if forged {
                    end.steady = false;
                } else if frame.packet.is_some() && frame.epoch == end.epoch {
                    end.delivered.insert(frame.number);
                }
            }
            Ok(Inner::Control { information, .. }) => {
                assert!(information.end <= whole.len());
                end.steady &= !forged || end.terms() != Terms::Plain;
            }
            Ok(Inner::EchoRequest(at)) => {
                let request = whole[at.clone()].to_vec();
                let mut out = vec![0; request.len() + MAX_OVERHEAD];
                let reply = end.session.echo_reply(&request, &mut out);
                let len = reply.expect("it is a request and there is room");
                end.steady &= !forged || end.terms() != Terms::Plain;
                out.truncate(len);
                self.ends[1 - us].push(out, None, false);
                return;
            }
            Ok(Inner::Fragment | Inner::Reassembled(_)) => end.steady &= !forged,
            Ok(Inner::Held) => unreachable!("nothing is limited"),
            Err(reason) => {
                end.dropped += 1;
                // Forged ones may have used up what a session may spend.
                let spent = *reason == DropReason::KeyBudget && !end.innocent;
                assert!(!due || spent, "{} to what is in order", reason.name());
                // Decrypted, or at least in the window, and only then refused.
                if matches!(
                    reason,
                    DropReason::NoInterface
                        | DropReason::SpoofedSource
                        | DropReason::ProtocolNotUp
                        | DropReason::BadFragment
                ) {
                    end.steady = false;
                }
            }
        }
        if outcome.is_err() && end.terms() == Terms::Plain && forged {
            end.steady = false;
        }
    }

    fn set_link(&mut self, us: usize, how: u8, input: &mut Input<'_>) {
        let more = input.u8();
        let multilink = |bit: u8| {
            (more & bit != 0).then_some(Multilink {
                mrru: if more & 0x40 != 0 { 200 } else { 1600 },
                short: more & 0x80 != 0,
            })
        };
        let link = LinkOptions {
            acfc: how & 1 != 0,
            pfc: how & 2 != 0,
            magic: u32::from(more & 1),
            opened: how & 4 == 0,
            rx_multilink: multilink(2),
            tx_multilink: multilink(4),
            peer_mru: if more & 8 != 0 { 60 } else { 1500 },
        };
        self.ends[us].session.set_link(link);
        if more & 0x10 != 0 {
            self.ends[1 - us].session.set_link(LinkOptions {
                rx_multilink: link.tx_multilink,
                tx_multilink: link.rx_multilink,
                ..link
            });
        }
        // A fragment has no checksum: old ones and new ones that count anew may fit. No peer says
        // anything new while what it sent before is on the way.
        for end in &mut self.ends {
            end.frames.clear();
            end.next = 0;
            end.innocent &= more & 0x10 != 0;
        }
    }

    /// New keys for what `us` receives, at both ends or at one, or none.
    fn set_mppe(&mut self, us: usize, how: u8, input: &mut Input<'_>) {
        self.key = self.key.wrapping_add(1);
        let choice = input.u8();
        let parameters = Parameters {
            start_key: StartKey([self.key; 16]),
            strength: [Strength::Bits40, Strength::Bits56, Strength::Bits128]
                [usize::from(choice) % 3],
            stateless: choice & 0x80 == 0,
        };
        let parameters = (how & 1 == 0).then_some(parameters);
        let [first, second] = &mut self.ends;
        let (to, from) = if us == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let only_one = how & 6 == 6;
        to.rx.clone_from(&parameters);
        to.epoch += 1;
        to.sealed_now = 0;
        to.delivered.clear();
        to.session.set_mppe(to.rx.as_ref(), to.tx.as_ref());
        if !only_one {
            from.tx.clone_from(&parameters);
            from.session.set_mppe(from.rx.as_ref(), from.tx.as_ref());
        }
        to.steady = !only_one && to.innocent;
    }

    fn set_interface(&mut self, us: usize, present: bool, usual: bool) {
        let end = &mut self.ends[us];
        let interface = present.then_some(InnerAddress {
            peer: ADDRESSES[1 - us],
            check_source: usual,
            ipv6: usual,
            mtu: if usual { 1400 } else { 100 },
        });
        end.session.set_interface(interface);
        end.usual_interface = present && usual;
    }

    fn look_after(&mut self, us: usize, how: u8) {
        let end = &mut self.ends[us];
        match how {
            0 => end.session.reset_mppe(),
            1 => {
                let mut chains: Vec<_> = end.session.short_chains(16).collect();
                if !chains.is_empty() {
                    self.engine.step(&mut chains);
                }
            }
            2 => {
                let mut out = [0; 64];
                if let Some(len) = end.session.lone_ack(&mut out) {
                    self.ends[1 - us].push(out[..len].to_vec(), None, false);
                }
            }
            3 => {
                let _ = (end.session.keys_ready(), end.session.take_notice());
            }
            4 => self.now += Duration::from_millis(300),
            _ => self.now += Duration::from_millis(5),
        }
    }

    /// Frames that are lost, as many as the script says.
    fn leap(&mut self, us: usize, input: &mut Input<'_>) {
        if self.leaps >= MAX_LEAPS {
            return;
        }
        self.leaps += 1;
        let packet = ipv4_packet(ADDRESSES[us], 0);
        for _ in 0..input.u8() {
            let end = &mut self.ends[us];
            let mut out = [0; MAX_OVERHEAD + 20];
            match end.session.seal(&mut self.engine, &packet, &mut out) {
                Ok(_) => {
                    end.packets_out += 1;
                    let to = &mut self.ends[1 - us];
                    to.sent += 1;
                    to.sealed_now += 1;
                }
                Err(_) => end.dropped += 1,
            }
        }
    }

    fn end(self) {
        for end in self.ends {
            let counters = end.session.counters();
            assert!(counters.rx_late <= counters.rx_packets);
            assert!(u64::from(end.session.ack_owed()) <= counters.rx_frames);
        }
    }
}

fn ipv4_packet(source: Ipv4Addr, payload: usize) -> Vec<u8> {
    let len = u16::try_from(20 + payload)
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend([192, 0, 2, 9]);
    let checksum = ipv4::checksum(&packet).to_be_bytes();
    packet[10..12].copy_from_slice(&checksum);
    packet.resize(20 + payload, 0xa5);
    packet
}

fn ipv6_packet(payload: usize) -> Vec<u8> {
    let len = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], 17, 64];
    packet.extend([0xfd; 32]);
    packet.resize(40 + payload, 0x5a);
    packet
}

/// Adds to the number of four bytes at `at`.
fn add(bytes: &mut [u8], at: usize, by: u32) {
    if let Some(number) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *number = u32::from_be_bytes(*number).wrapping_add(by).to_be_bytes();
    }
}

/// Where the MPPE header of a frame is, if it is encrypted and in one piece.
fn mppe_header(bytes: &[u8]) -> Option<usize> {
    let packet = gre::Packet::new_checked(bytes).ok()?;
    let frame = ppp::Packet::new_checked(packet.payload()).ok()?;
    let is_encrypted = frame.protocol() == ppp::protocol::COMPRESSED
        && frame.information().len() >= mppe::HEADER_LEN;
    is_encrypted.then(|| packet.header_len() + frame.header_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packets, and their delivery.
    const PACKETS: [u8; 6] = [0x00, 40, 0x00, 8, 0x94, 0x94];

    #[test]
    fn packets_arrive_under_all_terms() {
        for terms in [&[][..], &[0x8c, 2], &[0x8c, 0x82], &[0x3b, 0x1e]] {
            let world = World::run(&[terms, &PACKETS].concat());
            assert_eq!(world.ends[1].packets_in, 2, "{terms:?}");
            world.end();
        }
    }

    #[test]
    fn what_is_forged_and_refused_changes_nothing_for_what_is_due() {
        // The second frame with a count that is not its own, twice; then both as they are.
        let forged = [0x88, 2, 0, 9, 0x88, 2, 0, 0xf0];
        let script = [
            &[0x8c, 2, 0x00, 40, 0x00, 8, 0x84][..],
            &forged,
            &[0x00, 3, 0x94, 0x94],
        ];
        let world = World::run(&script.concat());
        assert!(world.ends[1].steady, "nothing forged was believed");
        assert!(!world.ends[1].innocent);
        assert_eq!(world.ends[1].packets_in, 3);
        world.end();
    }
}

//! What moving packets between AF_XDP and TUN costs without a session and without a cipher: the
//! floor that a tunnel can come near to and not go below.
//!
//! It uses the product's own rings, and takes in the same frames, but for their encryption: the
//! packet is where the headers of fixed length end, and nothing is looked at that need not be.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrayvec::ArrayVec;
use clap::Args;
use greyhound_bpf::Steering;
use greyhound_datapath::engine::tun::{self, Tun};
use greyhound_datapath::engine::uring::{Completion, Config, ReadBuffer, Ring};
use greyhound_datapath::engine::xsk::{BURST, Frame, Queue};
use greyhound_datapath::offload::checksum::Sum;
use greyhound_datapath::offload::coalesce::{Aggregate, Append, Candidate};
use greyhound_datapath::offload::vnet::{self, Gso};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use rustix::fs::{OFlags, fcntl_setfl};
use serde::Serialize;

use crate::common::Common;
use crate::generator::{
    CLIENT, Cipher, ETHERNET_BYTES, Frames, HEADER_BYTES, PORT, Peers, SERVER, Size,
    UDP_HEADER_BYTES, inner_address, outer_headers,
};
use crate::lab::{
    LOAD, Lab, Load, Meeting, Wire, core, gbps, in_words, interface, median, open, rounds, steer,
    timed,
};
use crate::rows::Rows;

/// `greyhound-bench floor`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Bytes of the packets in the tunnel, or `imix`.
    #[arg(long, value_delimiter = ',', default_value = "64,576,1400,imix")]
    sizes: Vec<Size>,
    /// Consecutive packets of one flow.
    #[arg(long, default_value_t = TRAIN)]
    train: usize,
}

/// Consecutive packets of one session unless said otherwise.
pub(crate) const TRAIN: usize = 32;

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    floor: &'static str,
    size: Size,
    train: usize,
    ns: f64,
    mpps: f64,
    gbps: f64,
    /// What the load itself costs; it is taken off.
    generator_ns: f64,
    what: &'static str,
}

/// Numbers of tunnels that no product has, four for each worker. Of these, two are each one's.
pub(crate) const NULL: u32 = 60_000;
pub(crate) const FLOOR: u32 = 60_002;

/// Flows in the frames.
const FLOWS: u32 = 100;

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let lab = Lab::new()?;
    let measured = lab.measure(core(&options.common.cores), |lab| {
        let _sink = lab.sink(0)?;
        let mut bench = Bench::new(lab, options.train)?;
        let time = options.common.time(30) / u32::try_from(options.sizes.len())?;
        let mut measured = Vec::new();
        for &size in &options.sizes {
            bench.prepare(size)?;
            measured.push((size, rounds(time, || bench.round(size))?));
        }
        Ok(measured)
    })?;
    for (size, measured) in measured {
        for (index, (floor, what)) in FLOORS.into_iter().enumerate() {
            let of = |get: fn(&Round, usize) -> Option<f64>| {
                median(
                    measured
                        .iter()
                        .filter_map(|round| get(round, index))
                        .collect(),
                )
            };
            let ns = of(|round, index| round.ns[index]);
            let generator_ns = of(|round, index| round.generator_ns[index]);
            let (Some(ns), Some(generator_ns)) = (ns, generator_ns) else {
                continue;
            };
            rows.push(&Row {
                bench: "floor",
                floor,
                size,
                train: options.train,
                ns,
                mpps: 1e3 / ns,
                gbps: gbps(size, ns),
                generator_ns,
                what,
            })?;
        }
    }
    Ok(())
}

const FLOORS: [(&str, &str); 6] = [
    ("A", "AF_XDP receive"),
    ("C", "AF_XDP receive, io_uring write a packet"),
    ("D", "AF_XDP receive, copy, one write a train"),
    ("D+", "the same, checked as the kernel's GRO does"),
    ("E", "TUN read a packet, AF_XDP transmit"),
    ("F", "TUN read a train, split, AF_XDP transmit"),
];

/// Nanoseconds a packet of each floor, the load taken off, and those of the load.
#[derive(Debug, Default)]
struct Round {
    ns: [Option<f64>; 6],
    generator_ns: [Option<f64>; 6],
}

struct Bench {
    null: Null,
    floor: Floor,
    peers: Peers,
    source: Source,
    loads: Option<[Load; 2]>,
    wires: [Wire; 2],
    train: usize,
}

impl Bench {
    fn new(lab: &Lab, train: usize) -> Result<Self> {
        let wires = [lab.wire("null", 1)?, lab.wire("floor", 1)?];
        Ok(Self {
            null: Null::new(&wires[0], NULL)?,
            floor: Floor::new(&wires[1], FLOOR, 0, FLOWS)?,
            peers: Peers::new(0, FLOWS, train, Cipher::Null)?,
            source: Source::new()?,
            loads: None,
            wires,
            train,
        })
    }

    fn prepare(&mut self, size: Size) -> Result<()> {
        let [null, floor] = &self.wires;
        self.loads = Some([null.load(size)?, floor.load(size)?]);
        self.source.set(size)
    }

    fn round(&mut self, size: Size) -> Result<Round> {
        let mut round = Round::default();
        let alone = Meeting::default();
        let frames = Arc::new(self.peers.frames(LOAD as usize, size)?);
        let [null, near] = self.loads.as_mut().context("not prepared")?;
        let load = up(null, &frames, &alone, || Ok(()))?;
        let ways = [Up::Receive, Up::PerPacket, Up::Copied, Up::Merged];
        for (index, way) in ways.into_iter().enumerate() {
            let all = up(near, &frames, &alone, || self.floor.drain_up(way))?;
            round.ns[index] = Some(all - load);
            round.generator_ns[index] = Some(load);
        }
        for (index, split) in [(4, true), (5, false)] {
            // Without offloads the kernel splits before the queue, at the sender's expense.
            let load = {
                let null = &mut self.null;
                let to = null.address(split);
                let send = |number| self.source.train(to, size, number, self.train);
                down(self.train, send, || null.drain(split), Drain::Free)?
            };
            let to = self.floor.address(split);
            let send = |number| self.source.train(to, size, number, self.train);
            let before = self.floor.sent;
            let all = down(self.train, send, || self.floor.drain_down(), Drain::Counted)?;
            let sent = self.floor.sent - before;
            ensure!(
                sent == u64::from(LOAD),
                "{sent} of {LOAD} packets came out of TUN"
            );
            round.ns[index] = Some(all - load);
            round.generator_ns[index] = Some(load);
        }
        Ok(round)
    }
}

/// Nanoseconds a packet of sending frames and of `drain`.
pub(crate) fn up(
    load: &mut Load,
    frames: &Arc<Frames>,
    meeting: &Meeting,
    drain: impl FnOnce() -> Result<()>,
) -> Result<f64> {
    let sent = load.send(frames, 0)?;
    meeting.wait();
    let time = sent.time + timed(drain)?;
    Ok(time.as_nanos() as f64 / sent.frames as f64)
}

/// Nanoseconds a packet of sending [`LOAD`] packets in trains, given the number of the first of
/// each, and of `drain` if it counts.
pub(crate) fn down(
    train: usize,
    mut send: impl FnMut(usize) -> Result<()>,
    mut drain: impl FnMut() -> Result<()>,
    counts: Drain,
) -> Result<f64> {
    let numbers: Vec<usize> = (0..LOAD as usize / train).map(|at| at * train).collect();
    let mut time = Duration::ZERO;
    for numbers in numbers.chunks(TRAINS_QUEUED) {
        time += timed(|| numbers.iter().try_for_each(|&number| send(number)))?;
        let drained = timed(&mut drain)?;
        if counts == Drain::Counted {
            time += drained;
        }
    }
    Ok(time.as_nanos() as f64 / (numbers.len() * train) as f64)
}

/// Whether taking packets out is a part of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    Counted,
    /// It only makes room for the next.
    Free,
}

/// Trains sent before they are taken out: a TUN's queue and the reader's buffers have room for
/// as many.
pub(crate) const TRAINS_QUEUED: usize = 8;

/// Who sends packets into tunnels: a socket of this machine.
#[derive(Debug)]
pub(crate) struct Source {
    socket: UdpSocket,
    payload: Vec<u8>,
}

impl Source {
    /// In the calling thread's namespace.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            socket: UdpSocket::bind("0.0.0.0:0").context("a socket to send from")?,
            payload: vec![0x5a; 1 << 16],
        })
    }

    /// Prepares for packets of a size: those of one are given to the kernel a train at a time.
    pub(crate) fn set(&self, size: Size) -> Result<()> {
        let payload = match size {
            Size::Bytes(bytes) => i32::from(bytes) - i32::try_from(UDP_HEADER_BYTES)?,
            Size::Imix => 0,
        };
        setsockopt(&self.socket, UdpGsoSegment, &payload).context("UDP_SEGMENT")
    }

    /// Sends one train, whose first packet has this number, into a tunnel.
    pub(crate) fn train(&self, tunnel: u32, size: Size, number: usize, train: usize) -> Result<()> {
        let to = (inner_address(tunnel), PORT);
        let payload = |number| usize::from(size.of(number)) - UDP_HEADER_BYTES;
        match size {
            Size::Bytes(_) => {
                // What one datagram of 64 KB cannot stand for is sent in several.
                let payload = payload(0);
                let at_once = (MAX_DATAGRAM / payload).clamp(1, MAX_SEGMENTS);
                for first in (0..train).step_by(at_once) {
                    let packets = at_once.min(train - first);
                    self.socket
                        .send_to(&self.payload[..packets * payload], to)?;
                }
            }
            Size::Imix => {
                for number in number..number + train {
                    self.socket.send_to(&self.payload[..payload(number)], to)?;
                }
            }
        }
        Ok(())
    }
}

const MAX_DATAGRAM: usize = 65_507;
/// The kernel's limit for one that stands for many, before Linux 6.9.
const MAX_SEGMENTS: usize = 64;

/// The load alone: frames are dropped where they arrive, packets where they are queued.
#[derive(Debug)]
pub(crate) struct Null {
    _discard: greyhound_bpf::generator::Discard,
    interfaces: Interfaces,
    buffer: Vec<u8>,
}

impl Null {
    /// At the near end of a wire, and behind the tunnel with this number and the next.
    pub(crate) fn new(wire: &Wire, tunnel: u32) -> Result<Self> {
        let interfaces = Interfaces::new("null", tunnel)?;
        for tun in [&interfaces.plain, &interfaces.offloading] {
            fcntl_setfl(tun, OFlags::RDWR | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            _discard: greyhound_bpf::generator::Discard::attach(wire.near.ifindex)
                .map_err(in_words)?,
            interfaces,
            buffer: vec![0; 1 << 17],
        })
    }

    /// The tunnel that packets go into to be dropped; `split` if one packet at a time.
    pub(crate) fn address(&self, split: bool) -> u32 {
        self.interfaces.tunnel(split)
    }

    /// Makes room in the queue, which is no cost of the load.
    pub(crate) fn drain(&mut self, split: bool) -> Result<()> {
        let tun = self.interfaces.get(split);
        while rustix::io::read(tun, &mut self.buffer[..]).is_ok() {}
        Ok(())
    }
}

/// Two interfaces: without offloads and with.
#[derive(Debug)]
struct Interfaces {
    plain: Tun,
    offloading: Tun,
    first: u32,
}

impl Interfaces {
    fn new(name: &str, first: u32) -> Result<Self> {
        let create = |kind, number, offload| {
            let interface = interface(&format!("{name}-{kind}"), inner_address(number));
            tun::create(&interface, offload)
        };
        Ok(Self {
            plain: create("plain", first, false)?,
            offloading: create("off", first + 1, true)?,
            first,
        })
    }

    fn get(&self, split: bool) -> &Tun {
        if split { &self.plain } else { &self.offloading }
    }

    fn tunnel(&self, split: bool) -> u32 {
        self.first + u32::from(!split)
    }
}

/// What is done with a frame that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Up {
    /// Nothing.
    Receive,
    /// Its packet is written.
    PerPacket,
    /// Its packet is copied behind those before it, which are written as one.
    Copied,
    /// The same by the rules of GRO, as the product merges.
    Merged,
}

/// Frames and packets from one side to the other.
pub(crate) struct Floor {
    queue: Queue,
    _steering: Steering,
    ring: Ring<Chunk>,
    interfaces: Interfaces,
    buffers: Vec<Vec<u8>>,
    headers: [u8; HEADER_BYTES],
    outgoing: ArrayVec<Frame, BURST>,
    writes: usize,
    /// Frames sent so far.
    pub(crate) sent: u64,
}

/// What is written to a TUN.
#[derive(Debug)]
enum Chunk {
    Frame(Frame),
    Buffer(Vec<u8>),
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame.bytes(),
            Self::Buffer(buffer) => buffer,
        }
    }
}

impl Floor {
    /// At the near end of a wire, where frames of `tunnels` tunnels from `first` on arrive. Packets
    /// for the tunnel `own` and the next go out.
    pub(crate) fn new(wire: &Wire, own: u32, first: u32, tunnels: u32) -> Result<Self> {
        let mut io = open(&wire.near, 1)?;
        let mut steering = io.steering.context("no XDP program")?;
        steer(&mut steering, 0, first, tunnels)?;
        let mut ring = Ring::new(&Config {
            buffers: 64,
            buffer_bytes: 66_000,
            ..Config::default()
        })
        .context("io_uring")?;
        let interfaces = Interfaces::new("floor", own)?;
        ring.read(&interfaces.plain, PLAIN)?;
        ring.read(&interfaces.offloading, OFFLOADING)?;
        let mut headers = [0; HEADER_BYTES];
        if let Some(outer) = headers.first_chunk_mut() {
            outer_headers(SERVER, CLIENT, HEADER_BYTES - ETHERNET_BYTES, outer);
        }
        Ok(Self {
            queue: io.queues.pop().context("no queue")?,
            _steering: steering,
            ring,
            interfaces,
            buffers: Vec::new(),
            headers,
            outgoing: ArrayVec::new(),
            writes: 0,
            sent: 0,
        })
    }

    /// The tunnel whose packets go out; `split` if one at a time.
    pub(crate) fn address(&self, split: bool) -> u32 {
        self.interfaces.tunnel(split)
    }

    /// Takes in what has arrived.
    pub(crate) fn drain_up(&mut self, way: Up) -> Result<()> {
        let mut burst = ArrayVec::new();
        loop {
            let received = self.queue.receive(&mut burst);
            if received == 0 && self.writes == 0 {
                return Ok(());
            }
            match way {
                Up::Receive => {
                    for frame in burst.drain(..) {
                        self.queue.recycle(frame);
                    }
                }
                Up::PerPacket => {
                    for frame in burst.drain(..) {
                        self.write_frame(frame);
                    }
                }
                Up::Copied => self.copy(&mut burst),
                Up::Merged => self.merge(&mut burst),
            }
            self.complete()?;
        }
    }

    /// Sends what is to be read.
    pub(crate) fn drain_down(&mut self) -> Result<()> {
        while self.complete()? {}
        Ok(())
    }

    fn write_frame(&mut self, frame: Frame) {
        let packet = HEADER_BYTES..frame.len();
        let plain = &self.interfaces.plain;
        match self.ring.write(plain, Chunk::Frame(frame), packet, PLAIN) {
            Ok(()) => self.writes += 1,
            Err(Chunk::Frame(frame)) => self.queue.recycle(frame),
            Err(Chunk::Buffer(_)) => {}
        }
    }

    fn write_buffer(&mut self, buffer: Vec<u8>, len: usize) {
        let offloading = &self.interfaces.offloading;
        let buffer = Chunk::Buffer(buffer);
        if self
            .ring
            .write(offloading, buffer, 0..len, OFFLOADING)
            .is_ok()
        {
            self.writes += 1;
        }
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| vec![0; 66_000])
    }

    /// Copies packets of one flow behind each other, as long as they are of the size of the first;
    /// a shorter one is the last. Nothing else is looked at.
    fn copy(&mut self, burst: &mut ArrayVec<Frame, BURST>) {
        let mut open: Option<Copied> = None;
        for frame in burst.drain(..) {
            let packet = &frame.bytes()[HEADER_BYTES..];
            if let Some(mut copied) = open.take() {
                if copied.takes(packet) {
                    copied.add(packet);
                    open = Some(copied);
                } else {
                    let (buffer, len) = copied.finish();
                    self.write_buffer(buffer, len);
                }
            }
            if open.is_none() {
                open = Some(Copied::new(self.buffer(), packet));
            }
            self.queue.recycle(frame);
        }
        if let Some(copied) = open {
            let (buffer, len) = copied.finish();
            self.write_buffer(buffer, len);
        }
    }

    fn merge(&mut self, burst: &mut ArrayVec<Frame, BURST>) {
        let mut open: Option<(Aggregate, Vec<u8>)> = None;
        for frame in burst.drain(..) {
            let packet = &frame.bytes()[HEADER_BYTES..];
            let candidate = Candidate::examine(packet);
            if let (Some(candidate), Some((mut aggregate, mut buffer))) = (&candidate, open.take())
            {
                let append = aggregate.append(candidate, packet, &mut buffer);
                if append == Append::Merged && !aggregate.is_complete() {
                    open = Some((aggregate, buffer));
                } else {
                    let len = aggregate.finish(&mut buffer);
                    self.write_buffer(buffer, len);
                }
                if append == Append::Merged {
                    self.queue.recycle(frame);
                    continue;
                }
            }
            if let Some(candidate) = candidate {
                let mut buffer = self.buffer();
                if let Some(aggregate) = Aggregate::start(&candidate, packet, &mut buffer) {
                    open = Some((aggregate, buffer));
                }
            }
            self.queue.recycle(frame);
        }
        if let Some((aggregate, mut buffer)) = open {
            let len = aggregate.finish(&mut buffer);
            self.write_buffer(buffer, len);
        }
    }

    /// Hands the kernel what there is to do and takes back what it has done. False if that was
    /// nothing.
    fn complete(&mut self) -> Result<bool> {
        self.ring.submit()?;
        let mut worked = false;
        while let Some(completion) = self.ring.next_completion() {
            worked = true;
            match completion {
                Completion::Written { buffer, result, .. } => {
                    self.writes -= 1;
                    result.context("write to TUN")?;
                    match buffer {
                        Chunk::Frame(frame) => self.queue.recycle(frame),
                        Chunk::Buffer(buffer) => self.buffers.push(buffer),
                    }
                }
                Completion::Read { token, bytes } => self.send(token, &bytes)?,
                Completion::ReadEnded { error, .. } | Completion::PollEnded { error, .. } => {
                    return Err(error).context("read from TUN");
                }
                Completion::Ready { .. } => {}
            }
        }
        self.flush()?;
        Ok(worked)
    }

    fn send(&mut self, token: u64, bytes: &ReadBuffer) -> Result<()> {
        if token == PLAIN {
            return self.send_packet(bytes, &[]);
        }
        let (header, packet) = vnet::Header::parse(bytes).context("a virtio-net header")?;
        if header.gso == Gso::None {
            return self.send_packet(packet, &[]);
        }
        let (headers, payload) = packet
            .split_at_checked(UDP_HEADER_BYTES)
            .context("a datagram")?;
        for payload in payload.chunks(header.gso_size.max(1).into()) {
            self.send_packet(headers, payload)?;
        }
        Ok(())
    }

    fn send_packet(&mut self, headers: &[u8], payload: &[u8]) -> Result<()> {
        if self.outgoing.is_full() {
            self.flush()?;
        }
        let mut frame = self.queue.take_tx().context("no frame to send")?;
        let len = HEADER_BYTES + headers.len() + payload.len();
        let room = frame.area_mut().get_mut(..len).context("too long")?;
        let (outer, room) = room.split_at_mut(HEADER_BYTES);
        let (to_headers, to_payload) = room.split_at_mut(headers.len());
        outer.copy_from_slice(&self.headers);
        to_headers.copy_from_slice(headers);
        to_payload.copy_from_slice(payload);
        frame.set_len(len);
        self.outgoing.push(frame);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        self.sent += self.queue.transmit(&mut self.outgoing) as u64;
        for frame in self.outgoing.drain(..) {
            self.queue.recycle(frame);
        }
        self.queue.kick().context("send through AF_XDP")?;
        Ok(())
    }
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor")
            .field("interfaces", &self.interfaces)
            .finish_non_exhaustive()
    }
}

/// Tokens of the two interfaces' operations.
const PLAIN: u64 = 1;
const OFFLOADING: u64 = 2;

/// Datagrams that were copied behind each other.
#[derive(Debug)]
struct Copied {
    buffer: Vec<u8>,
    /// Bytes of the packet so far, and of its first datagram.
    len: usize,
    first: usize,
    packets: usize,
    complete: bool,
}

impl Copied {
    fn new(mut buffer: Vec<u8>, packet: &[u8]) -> Self {
        buffer[vnet::HEADER_LEN..vnet::HEADER_LEN + packet.len()].copy_from_slice(packet);
        Self {
            buffer,
            len: packet.len(),
            first: packet.len(),
            packets: 1,
            complete: false,
        }
    }

    fn takes(&self, packet: &[u8]) -> bool {
        const ADDRESSES: std::ops::Range<usize> = 12..20;
        let ours = &self.buffer[vnet::HEADER_LEN..];
        !self.complete
            && self.packets < MAX_SEGMENTS
            && packet.len() <= self.first
            && self.len + packet.len() <= MAX_DATAGRAM
            && ours[ADDRESSES] == packet[ADDRESSES]
    }

    fn add(&mut self, packet: &[u8]) {
        let payload = &packet[UDP_HEADER_BYTES..];
        let at = vnet::HEADER_LEN + self.len;
        self.buffer[at..at + payload.len()].copy_from_slice(payload);
        self.complete = packet.len() < self.first;
        self.len += payload.len();
        self.packets += 1;
    }

    /// Makes one packet of them; returns the buffer and how much of it that is.
    fn finish(mut self) -> (Vec<u8>, usize) {
        const UDP: u16 = 17;
        let (to_vnet, packet) = self.buffer.split_at_mut(vnet::HEADER_LEN);
        let header = if self.packets == 1 {
            vnet::Header::default()
        } else {
            let packet = &mut packet[..self.len];
            let udp_len = narrow(self.len - 20);
            packet[2..4].copy_from_slice(&narrow(self.len).to_be_bytes());
            packet[10..12].fill(0);
            let sum = Sum::default().plus(&packet[..20]).checksum();
            packet[10..12].copy_from_slice(&sum);
            packet[24..26].copy_from_slice(&udp_len.to_be_bytes());
            let pseudo_header = Sum::default()
                .plus(&packet[12..20])
                .add_u16(UDP)
                .add_u16(udp_len);
            packet[26..28].copy_from_slice(&pseudo_header.fold());
            vnet::Header {
                needs_csum: true,
                gso: Gso::Udp,
                hdr_len: narrow(UDP_HEADER_BYTES),
                gso_size: narrow(self.first - UDP_HEADER_BYTES),
                csum_start: 20,
                csum_offset: 6,
            }
        };
        to_vnet.copy_from_slice(&header.emit());
        (self.buffer, vnet::HEADER_LEN + self.len)
    }
}

/// Lengths within a packet.
fn narrow(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of the frames that a floor takes in.
    fn packets(count: usize, size: Size) -> Vec<Vec<u8>> {
        let mut peers = Peers::new(0, 1, TRAIN, Cipher::Null).unwrap();
        let frames = peers.frames(count, size).unwrap();
        frames
            .iter()
            .map(|frame| frame[HEADER_BYTES..].to_vec())
            .collect()
    }

    #[test]
    fn copying_without_a_look_makes_what_merging_with_checks_makes() {
        let packets = packets(40, Size::Bytes(576));
        let mut copied = Copied::new(vec![0; 66_000], &packets[0]);
        let candidate = Candidate::examine(&packets[0]).unwrap();
        let mut buffer = vec![0; 66_000];
        let mut aggregate = Aggregate::start(&candidate, &packets[0], &mut buffer).unwrap();
        for packet in &packets[1..] {
            assert!(copied.takes(packet));
            copied.add(packet);
            let next = Candidate::examine(packet).unwrap();
            let append = aggregate.append(&next, packet, &mut buffer);
            assert_eq!(append, Append::Merged);
        }
        let len = aggregate.finish(&mut buffer);
        let (copy, copy_len) = copied.finish();
        assert_eq!(copy[..copy_len], buffer[..len]);
    }

    #[test]
    fn a_longer_packet_and_one_behind_a_shorter_are_not_taken() {
        let [small, large] = [64, 576].map(|bytes| packets(1, Size::Bytes(bytes)).remove(0));
        let mut copied = Copied::new(vec![0; 66_000], &large);
        assert!(copied.takes(&small));
        copied.add(&small);
        assert!(!copied.takes(&small));
        assert!(!Copied::new(vec![0; 66_000], &small).takes(&large));
    }
}

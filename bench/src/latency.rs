//! How long a packet takes there and back: an encrypted echo request through AF_XDP, a worker and
//! TUN to the kernel, which answers it, and the answer the same way back.
//!
//! The client has a core of its own and never sleeps; the worker is the product's thread on another
//! one. The floor does the same things without session and cipher in one thread that never sleeps:
//! the time the path takes by itself. The three take turns.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use arrayvec::ArrayVec;
use clap::Args;
use greyhound_bpf::Steering;
use greyhound_datapath::engine::handoff::Inboxes;
use greyhound_datapath::engine::tun::{self, Tun};
use greyhound_datapath::engine::worker::{Command, Parts, Worker};
use greyhound_datapath::engine::xsk::{BURST, Queue};
use greyhound_datapath::ids::WorkerId;
use greyhound_datapath::ipc::WorkerTotals;
use greyhound_datapath::mppe::engine::{AnyEngine, detect};
use greyhound_datapath::mppe::{Engine, Job};
use greyhound_datapath::offload::checksum::Sum;
use greyhound_datapath::session::{Inner, Opened, Session};
use greyhound_datapath::wire::ipv4;
use hdrhistogram::Histogram;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use serde::Serialize;

use crate::common::Common;
use crate::generator::{
    Cipher, ETHERNET_BYTES, Ends, Frames, GATEWAY, HEADER_BYTES, Peers, SERVER, Size, inner_address,
};
use crate::lab::{
    Lab, Line, SPIN, Wire, deadline, in_words, inboxes, install, interface, open, parts, pin,
    steer, totals,
};
use crate::rows::Rows;
use crate::timing::now;

/// `greyhound-bench latency`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Microseconds from an answer to the next request: long enough for an idle worker to fall
    /// asleep in between.
    #[arg(long, value_name = "US", default_value_t = 300)]
    pause: u64,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    load: &'static str,
    mode: &'static str,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    floor_p50_us: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let cores = &options.common.cores;
    let client_core = cores.first().copied().unwrap_or(0);
    let worker_core = cores.get(1).copied().unwrap_or(client_core + 1);
    let pause = Duration::from_micros(options.pause);
    let modes = [("adaptive", SPIN), ("spin", ALWAYS)];
    let time = options.common.time(20) / 2;
    for (mode, spin) in modes {
        let lab = Lab::new()?;
        let measured = lab.measure(client_core, |lab| {
            measure(lab, worker_core, spin, pause, time)
        })?;
        rows.note(&format!(
            "client on core {client_core}, worker on core {worker_core}, which looks for work for \
             {spin:?}; {} answers, {} lost; half the load is {} packets/s of 64 bytes",
            measured.idle.len() + measured.half.len(),
            measured.lost,
            measured.rate,
        ))?;
        let us = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1e3
        };
        for (load, histogram) in [("idle", &measured.idle), ("half", &measured.half)] {
            rows.push(&Row {
                bench: "latency",
                load,
                mode,
                p50_us: us(histogram, 0.5),
                p90_us: us(histogram, 0.9),
                p99_us: us(histogram, 0.99),
                p999_us: us(histogram, 0.999),
                floor_p50_us: us(&measured.floor, 0.5),
            })?;
        }
    }
    Ok(())
}

/// A worker with this limit never sleeps while it is measured.
const ALWAYS: Duration = Duration::from_secs(1);

/// Nanoseconds of each way there and back.
struct Measured {
    idle: Histogram<u64>,
    half: Histogram<u64>,
    floor: Histogram<u64>,
    lost: u64,
    /// Packets a second beside, under half the load.
    rate: u128,
}

fn measure(
    lab: &Lab,
    worker_core: usize,
    spin: Duration,
    pause: Duration,
    time: Duration,
) -> Result<Measured> {
    let histogram = || Histogram::new_with_bounds(1, LONGEST, 3).context("a histogram");
    let mut measured = Measured {
        idle: histogram()?,
        half: histogram()?,
        floor: histogram()?,
        lost: 0,
        rate: 0,
    };
    let _sink = lab.sink(0)?;
    let (wire, floor_wire) = (lab.wire("lat", 1)?, lab.wire("floor", 1)?);
    let mut floor = Inline::new(&floor_wire, pause)?;
    let worker = Running::start(&wire, worker_core, spin)?;
    let mut client = Client::new(&wire, pause)?;
    let mut load = Peers::new(LOAD_TUNNEL, 1, 1, Cipher::Mppe)?;
    // What comes first warms caches, and the worker learns where the client is.
    client.round_trips(WARM_UP, &mut histogram()?, None)?;
    measured.rate = client.most(&mut load, &worker)? / 2;
    let end = deadline(time);
    while now() < end || measured.floor.is_empty() {
        floor.round_trips(TURN, &mut measured.floor)?;
        measured.lost += client.round_trips(TURN, &mut measured.idle, None)?;
        let background = Background::new(&mut load, measured.rate, TURN)?;
        measured.lost += client.round_trips(TURN, &mut measured.half, Some(&background))?;
    }
    worker.check()?;
    Ok(measured)
}

/// Nanoseconds that are told apart from more.
const LONGEST: u64 = 1_000_000_000;
const WARM_UP: Duration = Duration::from_millis(300);
/// How long each of the three is measured in one go.
const TURN: Duration = Duration::from_millis(400);
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_millis(100);

/// Tunnels: of the echoes, of other traffic, of the floor.
const ECHO_TUNNEL: u32 = 0;
const LOAD_TUNNEL: u32 = 1;
const FLOOR_TUNNEL: u32 = 2;

/// The worker, as the product runs it.
struct Running {
    line: Line,
    inboxes: std::sync::Arc<Inboxes>,
    // Detached before the worker ends.
    steering: Option<Steering>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    fn start(wire: &Wire, core: usize, spin: Duration) -> Result<Self> {
        let mut io = open(&wire.near, 1)?;
        let mut steering = io.steering.context("no XDP program")?;
        steer(&mut steering, 0, ECHO_TUNNEL, 2)?;
        let inboxes = inboxes(1)?;
        let queue = io.queues.pop().context("no queue")?;
        let (mut parts, line) = parts(0, u16::try_from(core)?, queue, &inboxes)?;
        parts.spin = spin;
        for number in [ECHO_TUNNEL, LOAD_TUNNEL] {
            install(&line.commands, number, number)?;
        }
        let thread = std::thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || work(parts, core))?;
        let running = Self {
            line,
            inboxes,
            steering: Some(steering),
            thread: Some(thread),
        };
        running.check()?;
        Ok(running)
    }

    /// What the worker counted.
    fn check(&self) -> Result<WorkerTotals> {
        self.tell(Command::ReadTotals);
        let end = deadline(Duration::from_secs(5));
        while self.line.reports.is_empty() {
            if now() > end {
                bail!("the worker does not answer");
            }
            std::thread::yield_now();
        }
        totals(&self.line.reports)
    }

    fn tell(&self, command: Command) {
        // Fails only when the worker has ended, which the next question finds out.
        let _ = self.line.commands.send(command);
        if let Some(inbox) = self.inboxes.of(WorkerId(0)) {
            inbox.wake();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.steering = None;
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(parts: Parts, core: usize) -> Result<()> {
    pin(core)?;
    Worker::new(parts)?.run()?;
    Ok(())
}

/// The far end of the wire, with sessions of its own.
struct Client {
    end: End,
    echo: Session,
    engine: AnyEngine,
    sequence: u16,
    pause: Duration,
}

impl Client {
    fn new(wire: &Wire, pause: Duration) -> Result<Self> {
        Ok(Self {
            end: End::new(wire, [ECHO_TUNNEL, LOAD_TUNNEL])?,
            echo: Ends::of(ECHO_TUNNEL).far_session(),
            engine: detect(),
            sequence: 0,
            pause,
        })
    }

    /// Asks again and again for so long, one at a time; returns how many answers were missing.
    fn round_trips(
        &mut self,
        time: Duration,
        histogram: &mut Histogram<u64>,
        background: Option<&Background>,
    ) -> Result<u64> {
        let start = now();
        let mut lost = 0;
        let mut sent = 0;
        let mut next = start;
        let mut asked: Option<Instant> = None;
        let mut request = self.request()?;
        let mut arrived = ArrayVec::new();
        loop {
            let at = now();
            if at >= start + time {
                return Ok(lost);
            }
            if let Some(background) = background {
                sent += background.send(at - start, sent, &mut self.end)?;
            }
            if asked.is_none() && at >= next {
                let at = now();
                self.end.send(request.iter())?;
                asked = Some(at);
            }
            self.end.queue.receive(&mut arrived);
            let now = now();
            for frame in arrived.drain(..) {
                let answered = self.is_answer(frame.bytes());
                self.end.queue.recycle(frame);
                if let (true, Some(at)) = (answered, asked) {
                    histogram.saturating_record(nanoseconds(now - at));
                    asked = None;
                    next = now + self.pause;
                    request = self.request()?;
                }
            }
            if asked.is_some_and(|at| now - at > PATIENCE) {
                lost += 1;
                asked = None;
                request = self.request()?;
            }
        }
    }

    /// How many packets a second the worker takes when more come than it can take, or than can be
    /// sent here.
    fn most(&mut self, load: &mut Peers, worker: &Running) -> Result<u128> {
        let frames = load.frames(MOST_FRAMES, LOAD_SIZE)?;
        let frames: Vec<&[u8]> = frames.iter().collect();
        let before = worker.check()?.counters.rx_xsk;
        let start = now();
        for frames in frames.chunks(BURST) {
            self.end.send(frames.iter().copied())?;
            self.end.discard();
        }
        let after = worker.check()?.counters.rx_xsk;
        Ok(u128::from(after - before) * 1_000_000_000 / start.elapsed().as_nanos().max(1))
    }

    /// The next echo request, sealed.
    fn request(&mut self) -> Result<Frames> {
        self.sequence = self.sequence.wrapping_add(1);
        let packet = echo_request(ECHO_TUNNEL, self.sequence);
        let mut frames = Frames::default();
        frames.seal(&mut self.echo, &mut self.engine, &packet, Cipher::Mppe)?;
        frames.encrypt(&mut self.engine);
        Ok(frames)
    }

    /// Whether a frame is the answer to the last request; others are acknowledgements, or late.
    fn is_answer(&mut self, frame: &[u8]) -> bool {
        let mut gre = [0; 2048];
        let Some(bytes) = frame.get(ETHERNET_BYTES + ipv4::HEADER_LEN..) else {
            return false;
        };
        let gre = &mut gre[..bytes.len()];
        gre.copy_from_slice(bytes);
        let Ok(Opened::Sealed { ticket, key, data }) = self.echo.open(&mut self.engine, gre, now())
        else {
            return false;
        };
        self.engine.crypt(&mut [Job {
            key,
            data: &mut gre[data],
        }]);
        let Ok(Inner::Ip(packet)) = self.echo.accept(ticket, gre) else {
            return false;
        };
        is_echo_reply(&gre[packet], self.sequence)
    }
}

const LOAD_SIZE: Size = Size::Bytes(64);
/// About 200 ms of them.
const MOST_FRAMES: usize = 150_000;

/// Frames that are sent at a steady rate beside what is measured.
struct Background {
    frames: Frames,
    rate: u128,
}

impl Background {
    fn new(load: &mut Peers, rate: u128, time: Duration) -> Result<Self> {
        Ok(Self {
            frames: load.frames(due(rate, time), LOAD_SIZE)?,
            rate,
        })
    }

    /// Sends what is due at this time and was not sent yet; returns how many that were.
    fn send(&self, passed: Duration, sent: usize, end: &mut End) -> Result<usize> {
        let count = due(self.rate, passed)
            .min(self.frames.len())
            .saturating_sub(sent);
        if count < AT_ONCE {
            return Ok(0);
        }
        let count = count.min(BURST);
        end.send(self.frames.range(sent..sent + count))?;
        Ok(count)
    }
}

/// Packets that a rate makes in a time.
fn due(rate: u128, time: Duration) -> usize {
    usize::try_from(rate * time.as_nanos() / 1_000_000_000).unwrap_or(usize::MAX)
}

/// So few that the client is back soon to look for an answer, and more than one, as they come.
const AT_ONCE: usize = 8;

/// An end of a wire that frames are sent from and received at.
struct End {
    queue: Queue,
    _steering: Steering,
}

impl End {
    /// The far one, where frames of these tunnels arrive.
    fn new(wire: &Wire, tunnels: impl IntoIterator<Item = u32>) -> Result<Self> {
        let mut io = open(&wire.far, 1)?;
        let mut steering = io.steering.context("no XDP program")?;
        for number in tunnels {
            let call = Ends::of(number).tunnel.peer_call_id.0;
            steering
                .insert_session(SERVER, call, 0, number)
                .map_err(in_words)?;
        }
        Ok(Self {
            queue: io.queues.pop().context("no queue")?,
            _steering: steering,
        })
    }

    fn send<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let mut outgoing = ArrayVec::<_, BURST>::new();
        for bytes in frames {
            let mut frame = self.queue.take_tx().context("no frame to send")?;
            let room = frame.area_mut().get_mut(..bytes.len());
            room.context("too long")?.copy_from_slice(bytes);
            frame.set_len(bytes.len());
            outgoing.push(frame);
        }
        self.queue.transmit(&mut outgoing);
        while self.queue.kick().context("send through AF_XDP")? > 0 {}
        Ok(())
    }

    /// Throws away what has arrived.
    fn discard(&mut self) {
        let mut arrived = ArrayVec::new();
        while self.queue.receive(&mut arrived) > 0 {
            for frame in arrived.drain(..) {
                self.queue.recycle(frame);
            }
        }
    }
}

/// All of the way in one thread, which waits for nothing but the kernel's own work.
struct Inline {
    far: End,
    near: Queue,
    _steering: Steering,
    tun: Tun,
    request: Frames,
    /// What goes in front of an answer.
    header: Vec<u8>,
    pause: Duration,
}

impl Inline {
    fn new(wire: &Wire, pause: Duration) -> Result<Self> {
        let mut io = open(&wire.near, 1)?;
        let mut steering = io.steering.context("no XDP program")?;
        steer(&mut steering, 0, FLOOR_TUNNEL, 1)?;
        let tun = tun::create(&interface("floor", inner_address(FLOOR_TUNNEL)), false)?;
        fcntl_setfl(&tun, OFlags::RDWR | OFlags::NONBLOCK)?;
        let ends = Ends::of(FLOOR_TUNNEL);
        let seal = |mut session: Session, packet: &[u8]| {
            let mut frames = Frames::default();
            let sealed = frames.seal(&mut session, &mut detect(), packet, Cipher::Null);
            sealed.map(|()| frames)
        };
        let packet = echo_request(FLOOR_TUNNEL, 1);
        let answer = seal(ends.near_session(), &packet)?;
        let header = answer.iter().next().and_then(|it| it.get(..HEADER_BYTES));
        Ok(Self {
            far: End::new(wire, [FLOOR_TUNNEL])?,
            near: io.queues.pop().context("no queue")?,
            _steering: steering,
            tun,
            header: header.context("no header")?.to_vec(),
            request: seal(ends.far_session(), &packet)?,
            pause,
        })
    }

    fn round_trips(&mut self, time: Duration, histogram: &mut Histogram<u64>) -> Result<()> {
        let end = deadline(time);
        while now() < end {
            let start = now();
            self.round_trip()?;
            histogram.saturating_record(nanoseconds(start.elapsed()));
            let next = now() + self.pause;
            while now() < next {
                std::hint::spin_loop();
            }
        }
        Ok(())
    }

    fn round_trip(&mut self) -> Result<()> {
        self.far.send(self.request.iter())?;
        let request = receive(&mut self.near)?;
        rustix::io::write(&self.tun, &request.bytes()[HEADER_BYTES..]).context("write to TUN")?;
        self.near.recycle(request);
        let mut answer = self.near.take_tx().context("no frame to send")?;
        let (header, packet) = answer.area_mut().split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&self.header);
        let end = deadline(PATIENCE);
        let len = loop {
            match rustix::io::read(&self.tun, &mut *packet) {
                Err(Errno::AGAIN) if now() < end => {}
                read => break read.context("read from TUN")?,
            }
        };
        answer.set_len(HEADER_BYTES + len);
        let mut outgoing = ArrayVec::<_, BURST>::new();
        outgoing.push(answer);
        self.near.transmit(&mut outgoing);
        self.near.kick().context("send through AF_XDP")?;
        let answer = receive(&mut self.far.queue)?;
        self.far.queue.recycle(answer);
        Ok(())
    }
}

fn receive(queue: &mut Queue) -> Result<greyhound_datapath::engine::xsk::Frame> {
    let mut arrived = ArrayVec::new();
    let end = deadline(PATIENCE);
    while queue.receive(&mut arrived) == 0 {
        if now() > end {
            return Err(anyhow!("a frame is lost on the way"));
        }
    }
    arrived.pop().context("a frame")
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// An echo request (RFC 792) of 84 bytes from the far end of a tunnel.
fn echo_request(tunnel: u32, sequence: u16) -> Vec<u8> {
    const LEN: usize = 84;
    let mut packet = vec![0x5a; LEN];
    let (ip, icmp) = packet.split_at_mut(ipv4::HEADER_LEN);
    ipv4::Repr {
        source: inner_address(tunnel),
        destination: GATEWAY,
        protocol: ICMP,
        payload_len: u16::try_from(icmp.len()).unwrap_or(u16::MAX),
        tos: 0,
        identification: sequence,
        dont_fragment: false,
        ttl: 64,
    }
    .emit(&mut ipv4::Packet::new_unchecked(ip));
    icmp[..4].copy_from_slice(&[ECHO_REQUEST, 0, 0, 0]);
    icmp[4..6].copy_from_slice(&IDENTIFIER);
    icmp[6..8].copy_from_slice(&sequence.to_be_bytes());
    let checksum = Sum::default().plus(icmp).checksum();
    icmp[2..4].copy_from_slice(&checksum);
    packet
}

fn is_echo_reply(packet: &[u8], sequence: u16) -> bool {
    let Ok(packet) = ipv4::Packet::new_checked(packet) else {
        return false;
    };
    let expected = [&[ECHO_REPLY, 0][..], &IDENTIFIER, &sequence.to_be_bytes()];
    packet.protocol() == ICMP
        && packet
            .payload()
            .first_chunk::<8>()
            .is_some_and(|icmp| [&icmp[..2], &icmp[4..6], &icmp[6..]] == expected)
}

const ICMP: u8 = 1;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const IDENTIFIER: [u8; 2] = [0x12, 0x34];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_request_is_told_from_others() {
        let mut packet = echo_request(0, 7);
        assert!(Sum::default().plus(&packet[20..]).is_valid());
        assert!(!is_echo_reply(&packet, 7), "a request");
        packet[20] = ECHO_REPLY;
        assert!(is_echo_reply(&packet, 7));
        assert!(!is_echo_reply(&packet, 8));
        assert!(!is_echo_reply(&packet[..83], 7));
        assert!(!is_echo_reply(&[], 7));
    }
}

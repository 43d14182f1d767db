//! Packets per second of the smallest packets: one flow of UDP through the whole tunnel, counted
//! where it is delivered.
//!
//! An overloaded machine delivers less than it could, because the sender takes the time of those who
//! carry its packets. So every turn offers several rates, and its best delivery counts. Whatever the
//! tunnel, the sender and the receiver are the same.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use greyhound_tests::wait::now;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt};
use serde::Serialize;

use crate::against::{Contender, Direction, Leg, Other, TURN, Track, median, take_turns};
use crate::common::Common;
use crate::cpu::Snapshot;
use crate::rows::Rows;

/// `greyhound-bench pps`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Which way the packets go.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "up,down"
    )]
    direction: Vec<OneWay>,
    /// How the packets are handed to the kernel.
    #[arg(long, value_enum, default_value_t = Sender::Segment)]
    sender: Sender,
    /// Other tunnels to measure beside it.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    against: Vec<Other>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OneWay {
    Up,
    Down,
}

/// How the packets are handed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Sender {
    /// `UDP_SEGMENT`: one buffer that the kernel, or whoever can do it later, cuts into packets.
    Segment,
    /// `sendmmsg`: every packet by itself, many in one call.
    Mmsg,
}

/// One line of the result: of the rounds' best deliveries the median.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    tunnel: &'static str,
    direction: &'static str,
    /// Bytes of a packet inside the tunnel, IP header included.
    size: usize,
    pps: Option<f64>,
    /// The part that was sent and not delivered.
    loss: Option<f64>,
    cpu_s_per_mpkt: Option<f64>,
    /// The product's packets per second to those of the better of the others.
    ratio_to_better: Option<f64>,
    /// How the packets were handed to the kernel.
    sender: Sender,
    /// Packets per second that were sent for it.
    sent_pps: Option<f64>,
    /// Why there are no figures.
    error: Option<String>,
}

/// What one rate in one turn gave.
#[derive(Clone, Copy, Debug)]
struct Sample {
    sent_pps: f64,
    pps: f64,
    cpu_s_per_mpkt: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let mut contenders = vec![Contender::Greyhound { offload: true }];
    contenders.extend(options.against.iter().map(|&other| Contender::Other(other)));
    let directions = &options.direction;
    let window = options.window(contenders.len(), directions.len() * OFFERS.len());
    let track = Track::lay(&options.common.cores)?;

    // By contender, by direction: each round's best.
    let mut samples = vec![vec![Vec::<Sample>::new(); directions.len()]; contenders.len()];
    let failed = take_turns(&track, &contenders, ROUNDS, rows, |contender, tunnel| {
        for (direction, samples) in directions.iter().zip(&mut samples[contender]) {
            let known = samples.iter().map(|sample| sample.pps).reduce(f64::max);
            for leg in track.legs(direction.direction(), tunnel.ends()) {
                samples.push(best_of_a_turn(leg, options.sender, known, window)?);
            }
        }
        Ok(())
    })?;

    let mut lines = Vec::new();
    for (number, direction) in directions.iter().enumerate() {
        for (at, contender) in contenders.iter().enumerate() {
            let own = &samples[at][number];
            let others: Vec<&[Sample]> = if at == 0 {
                let others = samples[1..].iter();
                others.map(|of| of[number].as_slice()).collect()
            } else {
                Vec::new()
            };
            let middle = middle(own);
            lines.push(Row {
                bench: "pps",
                tunnel: contender.name(),
                direction: direction.direction().name(),
                size: PACKET_BYTES,
                pps: middle.map(|sample| sample.pps),
                loss: middle.map(|sample| sample.loss()),
                cpu_s_per_mpkt: middle.map(|sample| sample.cpu_s_per_mpkt),
                ratio_to_better: ratio_to_better(own, &others),
                sender: options.sender,
                sent_pps: middle.map(|sample| sample.sent_pps),
                error: failed[at].clone(),
            });
        }
    }
    rows.push_all(&lines)
}

impl Options {
    /// How long one measurement is, so that all rounds together take the time that was asked for.
    fn window(&self, contenders: usize, cases: usize) -> Duration {
        let turns = u32::try_from(contenders * ROUNDS).unwrap_or(u32::MAX);
        let cases = u32::try_from(cases).unwrap_or(u32::MAX);
        let turn = self.common.time(DEFAULT_SECONDS) / turns.max(1);
        let each = turn.saturating_sub(TURN) / cases.max(1);
        each.saturating_sub(WARM_UP + SILENCE * 3).max(SHORTEST)
    }
}

impl OneWay {
    fn direction(self) -> Direction {
        match self {
            Self::Up => Direction::Up,
            Self::Down => Direction::Down,
        }
    }
}

impl Sample {
    fn loss(&self) -> f64 {
        // What was on its way when the window began may make it look like a gain.
        (1.0 - self.pps / self.sent_pps.max(1.0)).max(0.0)
    }
}

/// Tries each of [`OFFERS`]; those that are relative go by the best that is known by then.
fn best_of_a_turn(
    leg: Leg<'_>,
    sender: Sender,
    mut known: Option<f64>,
    window: Duration,
) -> Result<Sample> {
    let flow = Flow::open(leg, sender)?;
    let mut best: Option<Sample> = None;
    for offer in OFFERS {
        let rate = offer.and_then(|factor| Some(known? * factor));
        let sample = flow.measure(rate, window)?;
        known = Some(known.map_or(sample.pps, |known| known.max(sample.pps)));
        if best.is_none_or(|best| sample.pps > best.pps) {
            best = Some(sample);
        }
    }
    best.context("nothing was offered")
}

/// The one whose figure is the median.
fn middle(samples: &[Sample]) -> Option<Sample> {
    let pps = median(samples.iter().map(|sample| sample.pps).collect())?;
    samples
        .iter()
        .find(|sample| sample.pps.total_cmp(&pps).is_eq())
        .copied()
}

/// Compared round by round, as neighbours in time.
fn ratio_to_better(own: &[Sample], others: &[&[Sample]]) -> Option<f64> {
    let ratio = |(round, own): (usize, &Sample)| {
        let rivals = others.iter().filter_map(|of| of.get(round));
        let better = rivals.map(|rival| rival.pps).reduce(f64::max)?;
        Some(own.pps / better)
    };
    median(own.iter().enumerate().filter_map(ratio).collect())
}

/// A sender in one namespace and a receiver in the other.
struct Flow {
    sender: Sender,
    near: UdpSocket,
    far: UdpSocket,
}

/// What both threads of a flow see.
#[derive(Default)]
struct Shared {
    sent_enough: AtomicBool,
    received_all: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Shared {
    fn wait_for_silence(&self) {
        let end = now() + PATIENCE;
        let mut before = None;
        while now() < end {
            let received = Some(self.received.load(Ordering::Relaxed));
            if received == before {
                break;
            }
            before = received;
            sleep(SILENCE);
        }
    }
}

impl Flow {
    fn open(leg: Leg<'_>, sender: Sender) -> Result<Self> {
        let far = leg.to.inside(|| UdpSocket::bind(leg.address))??;
        setsockopt(&far, RcvBufForce, &RECEIVE_BUFFER)?;
        // Packets of a flow that come together are received together, where the kernel can.
        setsockopt(&far, UdpGroSegment, &true)?;
        far.set_read_timeout(Some(LOOK_AGAIN))?;
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let near = leg.from.inside(|| {
            let near = UdpSocket::bind(any)?;
            near.connect(leg.address)?;
            io::Result::Ok(near)
        })??;
        if sender == Sender::Segment {
            let size = i32::try_from(PAYLOAD_BYTES)?;
            setsockopt(&near, UdpGsoSegment, &size)?;
        }
        near.set_write_timeout(Some(LOOK_AGAIN))?;
        Ok(Self { sender, near, far })
    }

    /// Sends at a rate, or as fast as it goes, and counts for a while.
    fn measure(&self, rate: Option<f64>, window: Duration) -> Result<Sample> {
        let shared = Shared::default();
        thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(&shared));
            let sender = scope.spawn(|| self.send(rate, &shared));
            sleep(WARM_UP);
            let read = || {
                let sent = shared.sent.load(Ordering::Relaxed);
                (sent, shared.received.load(Ordering::Relaxed))
            };
            let before = (Snapshot::take(), read());
            sleep(window);
            let after = (Snapshot::take(), read());
            // Nothing may return before both are told: the threads would not end. What is still on
            // its way belongs to this measurement, not to the next.
            shared.sent_enough.store(true, Ordering::Relaxed);
            shared.wait_for_silence();
            shared.received_all.store(true, Ordering::Relaxed);
            for thread in [sender, receiver] {
                let ended = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
                ended.context("UDP")?;
            }
            let passed = before.0?.until(&after.0?);
            let (sent, received) = (after.1.0 - before.1.0, after.1.1 - before.1.1);
            Ok(Sample {
                sent_pps: sent as f64 / passed.wall,
                pps: received as f64 / passed.wall,
                cpu_s_per_mpkt: passed.busy * 1e6 / received.max(1) as f64,
            })
        })
    }

    fn send(&self, rate: Option<f64>, shared: &Shared) -> io::Result<()> {
        let started = now();
        let mut sent: u64 = 0;
        let payloads = vec![0x5a; PAYLOAD_BYTES * BATCH];
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
        while !shared.sent_enough.load(Ordering::Relaxed) {
            if let Some(rate) = rate
                && sent as f64 > started.elapsed().as_secs_f64() * rate
            {
                sleep(PACE);
                continue;
            }
            let batch = match self.sender {
                Sender::Segment => self.near.send(&payloads).map(|_| BATCH),
                Sender::Mmsg => {
                    let slices: Vec<[IoSlice<'_>; 1]> = payloads
                        .chunks(PAYLOAD_BYTES)
                        .map(|payload| [IoSlice::new(payload)])
                        .collect();
                    let fd = self.near.as_raw_fd();
                    let none = [None; BATCH];
                    let flags = MsgFlags::empty();
                    sendmmsg(fd, &mut headers, slices.iter(), none, [], flags)
                        .map(Iterator::count)
                        .map_err(io::Error::from)
                }
            };
            match batch {
                Ok(batch) => {
                    sent += batch as u64;
                    shared.sent.store(sent, Ordering::Relaxed);
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&self, shared: &Shared) -> io::Result<()> {
        let mut buffers = vec![[0; RECEIVE_BYTES]; BATCH];
        let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
        while !shared.received_all.load(Ordering::Relaxed) {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers
                .iter_mut()
                .map(|buffer| [IoSliceMut::new(buffer)])
                .collect();
            let fd = self.far.as_raw_fd();
            let flags = MsgFlags::MSG_WAITFORONE;
            match recvmmsg(fd, &mut headers, slices.iter_mut(), flags, None) {
                Ok(messages) => {
                    let bytes: usize = messages.map(|message| message.bytes).sum();
                    let packets = (bytes / PAYLOAD_BYTES) as u64;
                    shared.received.fetch_add(packets, Ordering::Relaxed);
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A full queue, or a timeout: to be tried again.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
        || error.kind() == ErrorKind::Interrupted
        || error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}

/// As fast as it goes; then parts of the best that is known.
const OFFERS: [Option<f64>; 5] = [None, Some(0.95), Some(1.2), Some(1.5), Some(2.0)];

/// IP and UDP headers are 28 bytes of it.
const PACKET_BYTES: usize = 64;
const PAYLOAD_BYTES: usize = PACKET_BYTES - 28;

/// Packets in one call, and as many as the kernel takes in one buffer to be cut.
const BATCH: usize = 64;

/// What the kernel may put together for the receiver is not longer.
const RECEIVE_BYTES: usize = 4096;

const RECEIVE_BUFFER: usize = 16 << 20;

const ROUNDS: usize = 3;

const DEFAULT_SECONDS: u64 = 40;

const WARM_UP: Duration = Duration::from_millis(150);

/// The ticks of /proc/stat are a hundredth of a second.
const SHORTEST: Duration = Duration::from_millis(300);

/// How soon a thread without anything to do notices that it is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Nothing arrives any more if nothing does for this long.
const SILENCE: Duration = Duration::from_millis(20);

/// How long to wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at how many packets are due.
const PACE: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pps: f64) -> Sample {
        Sample {
            sent_pps: 2.0 * pps,
            pps,
            cpu_s_per_mpkt: 1.0,
        }
    }

    #[test]
    fn packets_that_are_sent_are_counted_when_they_arrive() {
        for sender in [Sender::Segment, Sender::Mmsg] {
            let far = UdpSocket::bind("127.0.0.1:0").unwrap();
            far.set_read_timeout(Some(LOOK_AGAIN)).unwrap();
            setsockopt(&far, UdpGroSegment, &true).unwrap();
            let near = UdpSocket::bind("127.0.0.1:0").unwrap();
            near.connect(far.local_addr().unwrap()).unwrap();
            if sender == Sender::Segment {
                setsockopt(&near, UdpGsoSegment, &36).unwrap();
            }
            let flow = Flow { sender, near, far };
            let sample = flow.measure(Some(10_000.0), SHORTEST).unwrap();
            assert!(sample.pps > 5_000.0 && sample.pps < 20_000.0, "{sample:?}");
            assert!(sample.loss() < 0.1, "{sample:?}");
        }
    }

    #[test]
    fn the_better_of_the_others_is_sought_in_every_round() {
        let own = [4.0, 6.0, 9.0].map(sample);
        let one = [1.0, 1.0, 3.0].map(sample);
        let another = [2.0, 0.5].map(sample);
        // 4/2, 6/1, 9/3
        assert_eq!(ratio_to_better(&own, &[&one, &another]), Some(3.0));
        assert_eq!(ratio_to_better(&own, &[]), None);
    }

    #[test]
    fn what_did_not_arrive_is_lost() {
        assert!((sample(10.0).loss() - 0.5).abs() < 1e-9);
        let gain = Sample {
            sent_pps: 5.0,
            ..sample(10.0)
        };
        assert!(gain.loss() <= 0.0);
    }
}

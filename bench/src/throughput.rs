//! What a packet costs a worker, in encrypted sessions, beside the least that it could: the floor
//! of the same frames without session and cipher, and the cipher alone.
//!
//! The worker is the product's own, and so are its sessions, its interfaces and the XDP program.
//! All that is compared takes turns in short rounds, for only ratios mean something on a machine
//! with other work; of the rounds' figures the median counts.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrayvec::ArrayVec;
use clap::{Args, ValueEnum};
use greyhound_bpf::generator::Discard;
use greyhound_datapath::engine::worker::BURST;
use greyhound_datapath::ipc::{Limits, Rate, WorkerTotals};
use greyhound_datapath::mppe::engine::{AnyEngine, detect};
use greyhound_datapath::mppe::{Chain, Engine, Job, StartKey, Strength};
use serde::Serialize;

use crate::common::Common;
use crate::floor::{Drain, FLOOR, Floor, NULL, Null, Source, TRAIN, TRAINS_QUEUED, Up, down, up};
use crate::generator::{Cipher, Peers, Size, beyond};
use crate::lab::{
    LOAD, Lab, Load, Meeting, Product, Wire, core, deadline, efficiency, gbps, median, rounds,
    timed,
};
use crate::rows::Rows;
use crate::timing::now;

/// `greyhound-bench throughput`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Bytes of the packets in the tunnel, or `imix`.
    #[arg(long, value_delimiter = ',', default_value = "64,576,1400,imix")]
    pub(crate) sizes: Vec<Size>,
    /// How many sessions the packets are of.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000,10000")]
    pub(crate) sessions: Vec<u32>,
    /// Which way the packets go.
    #[arg(long, value_delimiter = ',', default_value = "up,down,duplex")]
    pub(crate) directions: Vec<Direction>,
    /// What the sessions are held to, beside one another.
    #[arg(long, value_delimiter = ',', default_value = "none")]
    pub(crate) limits: Vec<Held>,
    /// Consecutive packets of one session.
    #[arg(long, default_value_t = TRAIN)]
    pub(crate) train: usize,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// From the client: decrypted.
    Up,
    /// To the client: encrypted.
    Down,
    /// As many one way as the other.
    Duplex,
}

/// What sessions are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Held {
    /// Nothing.
    None,
    /// `change-tcp-mss=yes`, as the built-in profiles have it.
    Mss,
    /// A rate that is never reached, besides.
    Rate,
}

impl Held {
    fn limits(self) -> Limits {
        let far = NonZeroU64::new(FAR).map(Rate::steady);
        Limits {
            rx_rate: far.filter(|_| self == Self::Rate),
            tx_rate: far.filter(|_| self == Self::Rate),
            clamp_mss: self != Self::None,
            ..Limits::default()
        }
    }
}

/// Bits a second that no worker reaches.
const FAR: u64 = 1_000_000_000_000;

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    direction: Direction,
    size: Size,
    sessions: u32,
    limits: Held,
    workers: u32,
    ns: f64,
    mpps: f64,
    gbps: f64,
    floor_ns: f64,
    crypto_ns: f64,
    efficiency: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let kinds = u32::try_from(options.limits.len())?;
    let all = kinds * options.sessions.iter().sum::<u32>();
    ensure!(
        (1..=MAX_SESSIONS).contains(&all),
        "1 to {MAX_SESSIONS} sessions in all"
    );
    let trains = 1..=LOAD as usize / TRAINS_QUEUED;
    ensure!(
        trains.contains(&options.train),
        "a train has 1 to {} packets",
        trains.end()
    );
    rows.note(&format!(
        "trains of {} packets of one session, the sessions in turn; bursts of {LOAD} packets",
        options.train
    ))?;
    let (many, few): (Vec<u32>, Vec<u32>) = options
        .sessions
        .iter()
        .partition(|&&sessions| sessions > FEW);
    let mut labs: Vec<&[u32]> = many.chunks(1).collect();
    if !few.is_empty() {
        labs.insert(0, &few);
    }
    let cases = options.sessions.len() * options.directions.len();
    let time = options.common.time(120) / u32::try_from(cases)?;
    for sessions in labs {
        // A worker makes keys ahead: in turns, one direction would pay for the keys of another.
        for &direction in &options.directions {
            let one = Options {
                directions: vec![direction],
                ..options.clone()
            };
            let time = time * u32::try_from(sessions.len())?;
            in_one_lab(&one, sessions, time, rows)?;
        }
    }
    Ok(())
}

/// With more sessions than so many, the kernel is slower for everyone in the namespace: each has an
/// interface, with the same local address.
const FEW: u32 = 100;

fn in_one_lab(
    options: &Options,
    all_sessions: &[u32],
    time: Duration,
    rows: &mut Rows,
) -> Result<()> {
    let sessions = all_sessions.iter();
    let cases: Vec<_> = sessions
        .flat_map(|&sessions| options.limits.iter().map(move |&held| (sessions, held)))
        .collect();
    let lab = Lab::new()?;
    let measured = lab.measure(core(&options.common.cores), |lab| {
        let _sink = lab.sink(0)?;
        let mut tracks = Vec::new();
        let mut first = 0;
        for &(sessions, held) in &cases {
            let wire = lab.wire(&format!("s{}", tracks.len()), 1)?;
            let mut product = Product::new(&wire, first, sessions)?;
            if held != Held::None {
                product.limit(held.limits())?;
            }
            let discard = wire.discard()?;
            let mut track = Track::new(wire, product, 0, first, sessions, options.train)?;
            track.discard = Some(discard);
            tracks.push(track);
            first += sessions;
        }
        let mut bench = Bench::new(lab, 0, tracks, &options.directions, options.train)?;
        bench.measure(&options.sizes, time)
    })?;
    for (size, rounds) in &measured {
        for &direction in &options.directions {
            for (index, &case) in cases.iter().enumerate() {
                rows.push(&row(rounds, *size, direction, (index, case))?)?;
            }
        }
    }
    Ok(())
}

fn row(
    rounds: &[Round],
    size: Size,
    direction: Direction,
    (index, (sessions, limits)): (usize, (u32, Held)),
) -> Result<Row> {
    let Figures {
        ns,
        floor_ns,
        crypto_ns,
    } = medians(rounds, direction, index)?;
    Ok(Row {
        bench: "throughput",
        direction,
        size,
        sessions,
        limits,
        workers: 1,
        ns,
        mpps: 1e3 / ns,
        gbps: gbps(size, ns),
        floor_ns,
        crypto_ns,
        efficiency: efficiency(floor_ns, crypto_ns, ns),
    })
}

/// The middle figures of one track's rounds.
pub(crate) fn medians(rounds: &[Round], direction: Direction, track: usize) -> Result<Figures> {
    let of = |get: fn(&Figures) -> f64| {
        let figures = rounds.iter().map(|round| &round[track]);
        median(figures.flat_map(|of| of.of(direction)).map(get).collect()).context("no figures")
    };
    Ok(Figures {
        ns: of(|figures| figures.ns)?,
        floor_ns: of(|figures| figures.floor_ns)?,
        crypto_ns: of(|figures| figures.crypto_ns)?,
    })
}

/// Half as many tunnels as call ids, less those that floors have.
const MAX_SESSIONS: u32 = 50_000;

/// Of each number of sessions the figures of one round.
pub(crate) type Round = Vec<OfSessions>;

/// The figures of one round, by direction.
#[derive(Debug, Default)]
pub(crate) struct OfSessions(Vec<(Direction, Figures)>);

/// Nanoseconds a packet, the load taken off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) ns: f64,
    pub(crate) floor_ns: f64,
    pub(crate) crypto_ns: f64,
}

impl OfSessions {
    fn of(&self, direction: Direction) -> impl Iterator<Item = &Figures> {
        self.0
            .iter()
            .filter(move |(of, _)| *of == direction)
            .map(|(_, figures)| figures)
    }
}

/// All that one thread needs.
pub(crate) struct Bench {
    directions: Vec<Direction>,
    train: usize,
    source: Source,
    null: Null,
    null_wire: Wire,
    null_load: Option<Load>,
    floor: Floor,
    floor_wire: Wire,
    _floor_discard: Discard,
    floor_load: Option<Load>,
    tracks: Vec<Track>,
}

/// A worker with so many sessions, and all that it is measured with.
pub(crate) struct Track {
    tunnels: Tunnels,
    product: Product,
    wire: Wire,
    discard: Option<Discard>,
    /// Until when the sessions know where their peers are.
    fresh_until: Instant,
    load: Option<Load>,
    crypto: Crypto,
    /// Before which the other workers are waited for.
    pub(crate) meeting: Arc<Meeting>,
}

/// The tunnels of one track.
struct Tunnels {
    first: u32,
    count: u32,
    peers: Peers,
    /// As the floor takes them in.
    plain: Peers,
    /// Trains sent to them so far.
    down: u32,
}

impl Bench {
    /// For the worker with this number.
    pub(crate) fn new(
        lab: &Lab,
        worker: u8,
        tracks: Vec<Track>,
        directions: &[Direction],
        train: usize,
    ) -> Result<Self> {
        let null_wire = lab.wire(&format!("null{worker}"), 1)?;
        let floor_wire = lab.wire(&format!("floor{worker}"), 1)?;
        let first = tracks.iter().map(|track| track.tunnels.first).min();
        let first = first.context("nothing to measure")?;
        let tunnels = tracks.iter().map(|track| track.tunnels.count).sum();
        let skipped = 4 * u32::from(worker);
        Ok(Self {
            directions: directions.to_vec(),
            train,
            source: Source::new()?,
            null: Null::new(&null_wire, NULL + skipped)?,
            floor: Floor::new(&floor_wire, FLOOR + skipped, first, tunnels)?,
            _floor_discard: floor_wire.discard()?,
            null_load: None,
            floor_load: None,
            null_wire,
            floor_wire,
            tracks,
        })
    }

    /// Rounds of each size.
    pub(crate) fn measure(
        &mut self,
        sizes: &[Size],
        time: Duration,
    ) -> Result<Vec<(Size, Vec<Round>)>> {
        let time = time / u32::try_from(sizes.len())?.max(1);
        let mut measured = Vec::new();
        for &size in sizes {
            self.prepare(size)?;
            let mut figures = rounds(time, || self.round(size))?;
            // What comes first finds nothing in the caches, and no keys made ahead.
            figures.remove(0);
            measured.push((size, figures));
        }
        Ok(measured)
    }

    fn prepare(&mut self, size: Size) -> Result<()> {
        self.null_load = Some(self.null_wire.load(size)?);
        self.floor_load = Some(self.floor_wire.load(size)?);
        for track in &mut self.tracks {
            track.load = Some(track.wire.load(size)?);
            track.crypto = Crypto::new(size, track.tunnels.count);
        }
        self.source.set(size)
    }

    fn round(&mut self, size: Size) -> Result<Round> {
        let goes = |direction| self.directions.contains(&direction);
        let duplex = goes(Direction::Duplex);
        let (goes_up, goes_down) = (
            goes(Direction::Up) || duplex,
            goes(Direction::Down) || duplex,
        );
        let down_load = if goes_down {
            self.down_load(size)?
        } else {
            0.0
        };
        let down_floor = if goes_down {
            self.down_floor(size)? - down_load
        } else {
            0.0
        };
        let mut round = Round::new();
        for index in 0..self.tracks.len() {
            let (up_load, up_floor) = if goes_up {
                self.up_floor(index, size)?
            } else {
                (0.0, 0.0)
            };
            let track = &mut self.tracks[index];
            let crypto_ns = track.crypto.measure()?;
            let mut figures = OfSessions::default();
            for &direction in &self.directions {
                let (ns, floor_ns) = match direction {
                    Direction::Up => (track.up(size)? - up_load, up_floor),
                    Direction::Down => {
                        let ns = track.down(&self.source, size, self.train)?;
                        (ns - down_load, down_floor)
                    }
                    Direction::Duplex => {
                        let ns = track.duplex(&self.source, size, self.train)?;
                        let load = f64::midpoint(up_load, down_load);
                        (ns - load, f64::midpoint(up_floor, down_floor))
                    }
                };
                let of = Figures {
                    ns,
                    floor_ns,
                    crypto_ns,
                };
                figures.0.push((direction, of));
            }
            round.push(figures);
        }
        Ok(round)
    }

    /// What it costs to send frames, and beside that to carry their packets to the sink.
    fn up_floor(&mut self, track: usize, size: Size) -> Result<(f64, f64)> {
        let track = &mut self.tracks[track];
        let plain = &mut track.tunnels.plain;
        let frames = Arc::new(plain.frames(LOAD as usize, size)?);
        let load = self.null_load.as_mut().context("not prepared")?;
        let load = up(load, &frames, &track.meeting, || Ok(()))?;
        let to_floor = self.floor_load.as_mut().context("not prepared")?;
        let floor = up(to_floor, &frames, &track.meeting, || {
            self.floor.drain_up(Up::Copied)
        })?;
        Ok((load, floor - load))
    }

    fn down_load(&mut self, size: Size) -> Result<f64> {
        let to = self.null.address(false);
        let send = |number| self.source.train(to, size, number, self.train);
        down(self.train, send, || self.null.drain(false), Drain::Free)
    }

    fn down_floor(&mut self, size: Size) -> Result<f64> {
        let to = self.floor.address(false);
        let before = self.floor.sent;
        let send = |number| self.source.train(to, size, number, self.train);
        let drain = || self.floor.drain_down();
        let ns = down(self.train, send, drain, Drain::Counted)?;
        let (sent, expected) = (self.floor.sent - before, whole_trains(self.train) as u64);
        ensure!(
            sent == expected,
            "{sent} of {expected} packets came out of TUN"
        );
        Ok(ns)
    }
}

impl Track {
    /// The worker at the near end of a wire, with the tunnels from `first` on.
    pub(crate) fn new(
        wire: Wire,
        product: Product,
        worker: u8,
        first: u32,
        count: u32,
        train: usize,
    ) -> Result<Self> {
        let peers = |cipher| {
            let peers = Peers::new(first, count, train, cipher)?;
            Ok::<_, anyhow::Error>(peers.to(beyond(worker)))
        };
        Ok(Self {
            tunnels: Tunnels {
                first,
                count,
                peers: peers(Cipher::Mppe)?,
                plain: peers(Cipher::Null)?,
                down: 0,
            },
            product,
            discard: None,
            fresh_until: now(),
            load: None,
            crypto: Crypto::new(Size::Imix, count),
            meeting: Arc::default(),
            wire,
        })
    }

    fn up(&mut self, size: Size) -> Result<f64> {
        let frames = Arc::new(self.tunnels.peers.frames(LOAD as usize, size)?);
        let before = self.product.totals()?;
        let load = self.load.as_mut().context("not prepared")?;
        let ns = up(load, &frames, &self.meeting, || self.product.drain())?;
        let passed = Passed::between(&before, &self.product.totals()?);
        passed.check(passed.received, frames.len())?;
        Ok(ns)
    }

    fn down(&mut self, source: &Source, size: Size, train: usize) -> Result<f64> {
        self.keep_fresh(size)?;
        let before = self.product.totals()?;
        let send = |number| source.train(self.tunnels.next(), size, number, train);
        let drain = || self.product.drain();
        self.meeting.wait();
        let ns = down(train, send, drain, Drain::Counted)?;
        let passed = Passed::between(&before, &self.product.totals()?);
        passed.check(passed.sent, whole_trains(train))?;
        Ok(ns)
    }

    /// Both at once: a part of the trains is sent, then a part of the frames is looked at.
    fn duplex(&mut self, source: &Source, size: Size, train: usize) -> Result<f64> {
        self.keep_fresh(size)?;
        let frames = Arc::new(self.tunnels.peers.frames(LOAD as usize, size)?);
        let before = self.product.totals()?;
        let load = self.load.as_mut().context("not prepared")?;
        let numbers: Vec<usize> = (0..LOAD as usize / train).map(|at| at * train).collect();
        let parts = numbers.chunks(TRAINS_QUEUED);
        let passes = (LOAD as usize / BURST).div_ceil(parts.len());
        let sent = load.send(&frames, 0)?;
        self.meeting.wait();
        let time = timed(|| {
            for numbers in parts {
                for &number in numbers {
                    source.train(self.tunnels.next(), size, number, train)?;
                }
                for _ in 0..passes {
                    self.product.pass()?;
                }
            }
            self.product.drain()
        })?;
        let passed = Passed::between(&before, &self.product.totals()?);
        passed.check(passed.received, frames.len())?;
        passed.check(passed.sent, whole_trains(train))?;
        let time = sent.time + time;
        Ok(time.as_nanos() as f64 / (frames.len() + whole_trains(train)) as f64)
    }

    /// A session that has not heard from its peer for long sends through the raw socket.
    fn keep_fresh(&mut self, size: Size) -> Result<()> {
        if self.fresh_until > now() {
            return Ok(());
        }
        self.fresh_until = deadline(FRESH);
        let frames = Arc::new(self.tunnels.peers.one_each(size)?);
        let load = self.load.as_mut().context("not prepared")?;
        for skipped in (0..frames.len()).step_by(LOAD as usize) {
            load.send(&frames, skipped)?;
            self.product.drain()?;
        }
        Ok(())
    }
}

/// For how long a worker knows where a peer is without hearing from it, and some less.
const FRESH: Duration = Duration::from_secs(15);

impl Tunnels {
    /// The one whose turn it is to be sent to.
    fn next(&mut self) -> u32 {
        let number = self.first + self.down;
        self.down = (self.down + 1) % self.count;
        number
    }
}

/// Packets of all trains of one round.
fn whole_trains(train: usize) -> usize {
    LOAD as usize / train * train
}

/// What a worker counted in between.
#[derive(Debug)]
struct Passed {
    received: u64,
    sent: u64,
    dropped: u64,
    after: WorkerTotals,
}

impl Passed {
    fn between(before: &WorkerTotals, after: &WorkerTotals) -> Self {
        let drops = |of: &WorkerTotals| of.drops.iter().map(|(_, count)| count).sum::<u64>();
        Self {
            received: after.counters.rx_xsk - before.counters.rx_xsk,
            sent: after.counters.tx_xsk - before.counters.tx_xsk,
            dropped: drops(after) - drops(before),
            after: after.clone(),
        }
    }

    /// Figures of packets that went nowhere are none.
    fn check(&self, passed: u64, expected: usize) -> Result<()> {
        let nearly_all = expected as u64 * 99 / 100;
        ensure!(
            passed >= nearly_all && self.dropped <= expected as u64 / 100,
            "of {expected} packets {passed} went through; the worker counted {:?} and dropped {:?}",
            self.after.counters,
            self.after.drops
        );
        Ok(())
    }
}

/// The cipher alone, as a worker's bursts come: a key and a packet each, keys of as many sessions
/// at once as there are.
struct Crypto {
    engine: AnyEngine,
    chains: Vec<Chain>,
    packets: Vec<Vec<u8>>,
}

impl Crypto {
    fn new(size: Size, sessions: u32) -> Self {
        let chain = |number: u32| {
            let mut key = [0x5a; 16];
            key[..4].copy_from_slice(&number.to_ne_bytes());
            // The ring for receiving has room for a burst.
            Chain::for_receiving(StartKey(key), Strength::Bits128)
        };
        let most = u32::try_from(BURST).unwrap_or(u32::MAX);
        Self {
            engine: detect(),
            chains: (0..sessions.clamp(1, most)).map(chain).collect(),
            packets: (0..BURST)
                .map(|number| vec![0; PROTOCOL_BYTES + usize::from(size.of(number))])
                .collect(),
        }
    }

    fn measure(&mut self) -> Result<f64> {
        let bursts = LOAD as usize / BURST;
        let time = timed(|| (0..bursts).try_for_each(|_| self.burst()))?;
        Ok(time.as_nanos() as f64 / (bursts * BURST) as f64)
    }

    fn burst(&mut self) -> Result<()> {
        let sessions = self.chains.len();
        let each = BURST.div_ceil(sessions);
        for _ in 0..each {
            let short = |chain: &&mut Chain| chain.ready() < each as u64;
            let mut wave: ArrayVec<_, BURST> = self.chains.iter_mut().filter(short).collect();
            self.engine.step(&mut wave);
        }
        let mut jobs = ArrayVec::<_, BURST>::new();
        for (number, data) in self.packets.iter_mut().enumerate() {
            let chain = &mut self.chains[number % sessions];
            let position = chain.used() + 1;
            let key = chain.key(position).context("a key is missing")?;
            chain.mark_used(position);
            jobs.push(Job { key, data });
        }
        self.engine.crypt(&mut jobs);
        Ok(())
    }
}

/// The packet's protocol number is encrypted, too.
const PROTOCOL_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_programs_has_the_agreed_names() {
        let figures = |ns| {
            OfSessions(vec![(
                Direction::Up,
                Figures {
                    ns,
                    floor_ns: 300.0,
                    crypto_ns: 100.0,
                },
            )])
        };
        let rounds: Vec<Round> = [400.0, 9000.0, 500.0]
            .map(|ns| vec![figures(1.0), figures(ns)])
            .into();

        let row = row(
            &rounds,
            Size::Bytes(1250),
            Direction::Up,
            (1, (100, Held::None)),
        )
        .unwrap();

        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"bench":"throughput","direction":"up","size":1250,"sessions":100,"limits":"none","workers":1,"ns":500.0,"mpps":2.0,"gbps":20.0,"floor_ns":300.0,"crypto_ns":100.0,"efficiency":0.8}"#
        );
    }

    #[test]
    fn the_cipher_alone_goes_on_with_the_keys_of_few_and_of_many_sessions() {
        for sessions in [1, 3, 64, 1000] {
            let mut crypto = Crypto::new(Size::Imix, sessions);
            assert!(crypto.measure().unwrap() > 0.0, "{sessions}");
        }
    }
}

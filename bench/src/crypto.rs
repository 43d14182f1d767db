//! MPPE alone: for each packet a step of its key chain and RC4 over its payload, in batches of
//! packets of as many sessions, as in a worker's burst. Every engine is measured in the same run,
//! for only ratios mean something on a machine with other work.

use std::fmt;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Duration;

use arrayvec::ArrayVec;
use clap::Args;
use greyhound_datapath::mppe::engine::{self, Want, make_ready};
use greyhound_datapath::mppe::{
    Chain, Crates, Engine, Job, Parameters, Portable, Receiver, StartKey, Strength,
};
use greyhound_datapath::wire::{Coherency, SeqNum};
use serde::Serialize;

use crate::timing::{self, Cost};

#[cfg(feature = "openssl")]
mod openssl;

/// What payloads are measured: the smallest, small ones, the minimum of IPv4, full ones, a mixture.
const SIZES: [Size; 5] = [
    Size::Bytes(64),
    Size::Bytes(256),
    Size::Bytes(576),
    Size::Bytes(1400),
    Size::Imix,
];

/// Packets in a batch of one size.
const BATCH: usize = 32;
/// Seven small packets, four middle ones and a large one, in no order.
const IMIX: [usize; 12] = [64, 576, 64, 64, 1400, 64, 576, 64, 576, 64, 576, 64];
/// Packets in a batch of the mixture: three times the twelve.
const IMIX_BATCH: usize = 36;
/// Packets in the bursts of `--batch`, the most of all.
const BURST: usize = 44;

/// `greyhound-bench crypto`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How long to measure, all together.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// The cores to use; one thread measures, on the first of them.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    json: bool,
    /// Measure a single packet, and bursts of one session and of many, instead.
    #[arg(long, conflicts_with = "forged")]
    batch: bool,
    /// Measure what a forged coherency count can cost, instead.
    #[arg(long)]
    forged: bool,
}

pub(crate) fn run(options: &Options, out: impl Write) -> anyhow::Result<()> {
    if let Some(&id) = options.cores.first() {
        let pinned = core_affinity::set_for_current(core_affinity::CoreId { id });
        anyhow::ensure!(pinned, "core {id} is not to be had");
    }
    let time = Duration::from_secs(options.seconds.max(1));
    let mut table = Table {
        json: options.json,
        out,
    };
    if options.forged {
        forged(time, &mut table)
    } else if options.batch {
        bursts(time, &mut table)
    } else {
        sizes(time, &mut table)
    }
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    engine: &'static str,
    size: Size,
    cycles: f64,
    pps: f64,
    ratio_to_crates: f64,
}

fn sizes(time: Duration, table: &mut Table<impl Write>) -> anyhow::Result<()> {
    let engines = engines()?;
    let mut cases = Vec::new();
    for size in SIZES {
        for &(name, new) in &engines {
            cases.push((name, size, Burst::of_size(new()?, size)));
        }
    }
    let costs = measure(cases.iter_mut().map(|(_, _, burst)| burst), time);
    table.head("ENGINE        SIZE CYCLES/PACKET    PACKETS/S   X CRATES")?;
    let per_packet = |index: usize| {
        let packets = cases[index].2.packets() as f64;
        (costs[index].cycles / packets, costs[index].ns / packets)
    };
    for (index, (name, size, _)) in cases.iter().enumerate() {
        let of_size = index - index % engines.len();
        let crates = engines.iter().position(|(name, _)| *name == CRATES);
        let (cycles, ns) = per_packet(index);
        let row = Row {
            bench: "crypto",
            engine: name,
            size: *size,
            cycles,
            pps: 1e9 / ns,
            ratio_to_crates: per_packet(of_size + crates.unwrap_or(0)).0 / cycles,
        };
        let Row {
            pps,
            ratio_to_crates,
            ..
        } = row;
        table.line(&row, |out| {
            writeln!(
                out,
                "{name:<9} {size:>8} {cycles:>13.0} {pps:>12.0} {ratio_to_crates:>10.2}"
            )
        })?;
    }
    Ok(())
}

/// One line about a burst.
#[derive(Debug, Serialize)]
struct BurstRow {
    bench: &'static str,
    engine: &'static str,
    size: Size,
    packets: usize,
    sessions: usize,
    cycles: f64,
    pps: f64,
}

/// What a burst costs that is small, or whose packets belong to one session, so that their keys
/// can only be made one after the other.
fn bursts(time: Duration, table: &mut Table<impl Write>) -> anyhow::Result<()> {
    let mut cases = Vec::new();
    for size in [64, 1400] {
        for (packets, sessions) in [(1, 1), (BURST, BURST), (BURST, 4), (BURST, 1)] {
            for &(name, new) in &engines()? {
                let burst = Burst::new(new()?, &vec![size; packets], sessions);
                cases.push((name, size, sessions, burst));
            }
        }
    }
    let costs = measure(cases.iter_mut().map(|(_, _, _, burst)| burst), time);
    table.head("ENGINE        SIZE  PACKETS SESSIONS CYCLES/PACKET    PACKETS/S")?;
    for ((engine, size, sessions, burst), cost) in cases.iter().zip(costs) {
        let packets = burst.packets();
        let cycles = cost.cycles / packets as f64;
        let pps = 1e9 * packets as f64 / cost.ns;
        let row = BurstRow {
            bench: "batch",
            engine,
            size: Size::Bytes(*size),
            packets,
            sessions: *sessions,
            cycles,
            pps,
        };
        table.line(&row, |out| {
            writeln!(
                out,
                "{engine:<9} {size:>8} {packets:>8} {sessions:>8} {cycles:>13.0} {pps:>12.0}"
            )
        })?;
    }
    Ok(())
}

/// One line about forged packets.
#[derive(Debug, Serialize)]
struct ForgedRow {
    bench: &'static str,
    engine: &'static str,
    /// The worst packet of all.
    ns_worst_packet: f64,
    /// All that one session's receiver may spend, again and again, in 100 ms.
    ns_per_100ms: f64,
}

/// What it costs to look for the keys of frames that say they are far ahead, in one session.
fn forged(time: Duration, table: &mut Table<impl Write>) -> anyhow::Result<()> {
    let engines = engines()?;
    let mut worst = vec![[f64::INFINITY; 2]; engines.len()];
    let end = timing::now() + time;
    loop {
        for (&(_, new), worst) in engines.iter().zip(&mut worst) {
            let costs = forge(new()?.as_mut());
            for (worst, cost) in worst.iter_mut().zip(costs) {
                *worst = worst.min(cost);
            }
        }
        if timing::now() >= end {
            break;
        }
    }
    table.head("ENGINE    US/WORST PACKET    US/100 MS")?;
    for ((engine, _), [packet, period]) in engines.iter().zip(worst) {
        let row = ForgedRow {
            bench: "forged",
            engine,
            ns_worst_packet: packet,
            ns_per_100ms: period,
        };
        let [packet, period] = [packet / 1e3, period / 1e3];
        table.line(&row, |out| {
            writeln!(out, "{engine:<9} {packet:>15.0} {period:>12.0}")
        })?;
    }
    Ok(())
}

/// Plays forged frames to a receiver, a thousand in each 100 ms of its time; returns what the worst
/// one took, and what all of the second 100 ms did. The budget is full before the first.
fn forge(engine: &mut dyn Engine) -> [f64; 2] {
    const FRAMES: u32 = 1000;
    const PERIOD: Duration = Duration::from_millis(100);

    let mut receiver = Receiver::new(Parameters {
        start_key: StartKey([0x5a; 16]),
        strength: Strength::Bits128,
        stateless: true,
    });
    let begin = timing::now();
    let mut worst = Duration::ZERO;
    let mut period = Duration::ZERO;
    for frame in 0..2 * FRAMES {
        let now = begin + PERIOD * frame / FRAMES;
        let start = timing::now();
        // Where the keys for the one are, those for the other no longer are.
        let count = Coherency::new(if frame % 2 == 0 { 4095 } else { 300 });
        if let Ok(place) = receiver.locate(SeqNum::FIRST, count) {
            // No key, or one that proves wrong.
            let _ = black_box(receiver.key(engine, &place, now));
            receiver.refuse(&place);
        }
        let took = start.elapsed();
        worst = worst.max(took);
        if frame >= FRAMES {
            period += took;
        }
    }
    [worst, period].map(|time| time.as_nanos() as f64)
}

const CRATES: &str = "crates";

type New = fn() -> anyhow::Result<Box<dyn Engine>>;

/// The engines that this build and this machine have, by name.
fn engines() -> anyhow::Result<Vec<(&'static str, New)>> {
    let mut engines: Vec<(&'static str, New)> = Vec::new();
    let best = engine::detect();
    if best.name() != PORTABLE {
        engines.push((best.name(), || Ok(Box::new(engine::detect()))));
    }
    engines.push((PORTABLE, || Ok(Box::new(Portable))));
    engines.push((CRATES, || Ok(Box::new(Crates))));
    #[cfg(feature = "openssl")]
    match openssl::Openssl::load() {
        Ok(_) => engines.push(("openssl", || Ok(Box::new(openssl::Openssl::load()?)))),
        Err(error) => writeln!(io::stderr(), "no openssl: {error}")?,
    }
    #[cfg(not(feature = "openssl"))]
    writeln!(io::stderr(), "no openssl: not built with the feature")?;
    Ok(engines)
}

const PORTABLE: &str = "portable";

/// Payload of the packets of a batch.
#[derive(Clone, Copy, Debug)]
enum Size {
    Bytes(usize),
    Imix,
}

impl Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::Imix => "imix".serialize(serializer),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Imix => f.pad("imix"),
        }
    }
}

/// Packets that come again and again, each time with the next keys of their sessions.
struct Burst {
    engine: Box<dyn Engine>,
    chains: Vec<Chain>,
    packets: Vec<Vec<u8>>,
}

impl Burst {
    fn of_size(engine: Box<dyn Engine>, size: Size) -> Self {
        match size {
            Size::Bytes(bytes) => Self::new(engine, &[bytes; BATCH], BATCH),
            Size::Imix => {
                let sizes: Vec<_> = IMIX.into_iter().cycle().take(IMIX_BATCH).collect();
                Self::new(engine, &sizes, IMIX_BATCH)
            }
        }
    }

    fn new(engine: Box<dyn Engine>, sizes: &[usize], sessions: usize) -> Self {
        let chain = |number: usize| {
            let mut key = [0x5a; 16];
            key[0] = number.to_le_bytes()[0];
            // The ring for receiving has room for a burst.
            Chain::for_receiving(StartKey(key), Strength::Bits128)
        };
        Self {
            engine,
            chains: (0..sessions).map(chain).collect(),
            packets: sizes.iter().map(|size| vec![0; *size]).collect(),
        }
    }

    fn packets(&self) -> usize {
        self.packets.len()
    }

    /// Makes the keys and encrypts, as a worker does it.
    fn run(&mut self) {
        let sessions = self.chains.len();
        let each = (self.packets.len() / sessions) as u64;
        let mut wants: ArrayVec<_, BURST> = self
            .chains
            .iter_mut()
            .map(|chain| Want { chain, ready: each })
            .collect();
        make_ready(self.engine.as_mut(), &mut wants);
        drop(wants);
        let mut jobs = ArrayVec::<_, BURST>::new();
        for (number, data) in self.packets.iter_mut().enumerate() {
            let chain = &mut self.chains[number % sessions];
            let position = chain.used() + 1;
            chain.mark_used(position);
            let key = chain.key(position).expect("it was made ready");
            jobs.push(Job { key, data });
        }
        self.engine.crypt(&mut jobs);
    }
}

fn measure<'a>(bursts: impl Iterator<Item = &'a mut Burst>, time: Duration) -> Vec<Cost> {
    let mut work: Vec<Box<dyn FnMut() + '_>> = bursts
        .map(|burst| Box::new(|| burst.run()) as Box<dyn FnMut()>)
        .collect();
    timing::measure(&mut work, time)
}

/// Lines for people or for programs.
struct Table<W> {
    json: bool,
    out: W,
}

impl<W: Write> Table<W> {
    fn head(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{text}")
    }

    fn line(
        &mut self,
        row: &impl Serialize,
        text: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        if self.json {
            writeln!(self.out, "{}", serde_json::to_string(row)?)?;
        } else {
            text(&mut self.out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_programs_has_the_agreed_names() {
        let row = |size| Row {
            bench: "crypto",
            engine: "lanes",
            size,
            cycles: 1.5,
            pps: 2.5,
            ratio_to_crates: 3.5,
        };
        let text = |size| serde_json::to_string(&row(size)).unwrap();

        assert_eq!(
            text(Size::Bytes(64)),
            r#"{"bench":"crypto","engine":"lanes","size":64,"cycles":1.5,"pps":2.5,"ratio_to_crates":3.5}"#
        );
        assert!(text(Size::Imix).contains(r#""size":"imix""#));
    }

    #[test]
    fn each_engine_has_a_row_for_each_size() {
        for (batch, forged) in [(false, false), (true, false), (false, true)] {
            let options = Options {
                seconds: 1,
                cores: Vec::new(),
                json: true,
                batch,
                forged,
            };
            let mut out = Vec::new();

            run(&options, &mut out).unwrap();

            let engines = engines().unwrap().len();
            let rows = String::from_utf8(out).unwrap().lines().count();
            assert_eq!(rows % engines, 0);
            assert!(rows > 0);
        }
    }
}

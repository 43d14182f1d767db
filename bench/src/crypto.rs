//! MPPE alone: for each packet a step of its key chain and RC4 over its payload, in batches of
//! packets of as many sessions, as in a worker's burst. Every engine is measured in the same run,
//! for only ratios mean something on a machine with other work.

use std::hint::black_box;
use std::time::Duration;

use arrayvec::ArrayVec;
use clap::Args;
use greyhound_datapath::mppe::engine;
use greyhound_datapath::mppe::{
    Chain, Crates, Engine, Job, Parameters, Portable, Receiver, StartKey, Strength,
};
use greyhound_datapath::wire::{Coherency, SeqNum};
use serde::Serialize;

use crate::common::Common;
use crate::rows::Rows;
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
    #[command(flatten)]
    pub(crate) common: Common,
    /// Measure a single packet, and bursts of one session and of many, instead.
    #[arg(long, conflicts_with = "forged")]
    batch: bool,
    /// Measure what a forged coherency count can cost, instead.
    #[arg(long)]
    forged: bool,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> anyhow::Result<()> {
    if let Some(&id) = options.common.cores.first() {
        let pinned = core_affinity::set_for_current(core_affinity::CoreId { id });
        anyhow::ensure!(pinned, "core {id} is not to be had");
    }
    let time = options.common.time(4);
    if options.forged {
        forged(time, rows)
    } else if options.batch {
        bursts(time, rows)
    } else {
        sizes(time, rows)
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

fn sizes(time: Duration, rows: &mut Rows) -> anyhow::Result<()> {
    let engines = engines(rows)?;
    let mut cases = Vec::new();
    for size in SIZES {
        for &(name, new) in &engines {
            cases.push((name, size, Burst::of_size(new()?, size)));
        }
    }
    let costs = measure(cases.iter_mut().map(|(_, _, burst)| burst), time);
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
        rows.push(&row)?;
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
fn bursts(time: Duration, rows: &mut Rows) -> anyhow::Result<()> {
    let mut cases = Vec::new();
    for size in [64, 1400] {
        for (packets, sessions) in [(1, 1), (BURST, BURST), (BURST, 4), (BURST, 1)] {
            for &(name, new) in &engines(rows)? {
                let burst = Burst::new(new()?, &vec![size; packets], sessions);
                cases.push((name, size, sessions, burst));
            }
        }
    }
    let costs = measure(cases.iter_mut().map(|(_, _, _, burst)| burst), time);
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
        rows.push(&row)?;
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
fn forged(time: Duration, rows: &mut Rows) -> anyhow::Result<()> {
    let engines = engines(rows)?;
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
    for ((engine, _), [packet, period]) in engines.iter().zip(worst) {
        let row = ForgedRow {
            bench: "forged",
            engine,
            ns_worst_packet: packet,
            ns_per_100ms: period,
        };
        rows.push(&row)?;
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
fn engines(rows: &mut Rows) -> anyhow::Result<Vec<(&'static str, New)>> {
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
        Err(error) => rows.note(&format!("no openssl: {error}"))?,
    }
    #[cfg(not(feature = "openssl"))]
    rows.note("no openssl: not built with the feature")?;
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
        for _ in 0..self.packets.len() / sessions {
            let mut wave: ArrayVec<_, BURST> = self.chains.iter_mut().collect();
            self.engine.step(&mut wave);
        }
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

#[cfg(test)]
mod tests {
    use std::io;

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
                common: Common {
                    seconds: Some(1),
                    ..Common::default()
                },
                batch,
                forged,
            };
            let mut rows = Rows::new(true, io::sink());

            run(&options, &mut rows).unwrap();

            let engines = engines(&mut rows).unwrap().len();
            let rows = rows.all().len();
            assert_eq!(rows % engines, 0);
            assert!(rows > 0);
        }
    }
}

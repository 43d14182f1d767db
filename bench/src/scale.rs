//! What more workers bring: each with a core, a queue and sessions of its own, all busy at the same
//! time. What they share is the kernel, the memory and its caches.
//!
//! As in `throughput` a core's generator and worker take turns on it; workers begin each turn
//! together.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde::Serialize;

use crate::common::Common;
use crate::floor::TRAIN;
use crate::generator::Size;
use crate::lab::{Lab, Meeting, Product, efficiency, gbps, inboxes, open, parts, pin, steer};
use crate::rows::Rows;
use crate::throughput::{Bench, Direction, Figures, Round, Track, medians};

/// `greyhound-bench scale`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Bytes of the packets in the tunnel, or `imix`.
    #[arg(long, value_delimiter = ',', default_value = "64,1400")]
    sizes: Vec<Size>,
    /// How many sessions each worker has.
    #[arg(long, default_value_t = 100)]
    sessions: u32,
    /// Which way the packets go.
    #[arg(long, value_delimiter = ',', default_value = "up,down")]
    directions: Vec<Direction>,
    /// Consecutive packets of one session.
    #[arg(long, default_value_t = TRAIN)]
    train: usize,
    /// How many workers; 1, 2, 4 and so on up to the cores otherwise.
    #[arg(long, value_delimiter = ',')]
    workers: Vec<u8>,
}

/// One line of the result: nanoseconds of a worker, packets of all.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    direction: Direction,
    size: Size,
    sessions: u32,
    workers: u8,
    ns: f64,
    mpps: f64,
    gbps: f64,
    floor_ns: f64,
    crypto_ns: f64,
    efficiency: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let cores = if options.common.cores.is_empty() {
        (0..available_parallelism().map_or(1, NonZero::get)).collect()
    } else {
        options.common.cores.clone()
    };
    let counts = if options.workers.is_empty() {
        doubled(cores.len())
    } else {
        options.workers.clone()
    };
    let time = options.common.time(30) / u32::try_from(counts.len())?.max(1);
    for workers in counts {
        let cores = cores
            .get(..workers.into())
            .with_context(|| format!("{workers} workers on {} cores", cores.len()))?;
        // A generator's frames arrive on the queue that its core's number leads to.
        let queues: BTreeSet<usize> = cores.iter().map(|core| core % cores.len()).collect();
        ensure!(
            queues.len() == cores.len(),
            "cores {cores:?} are not on a queue each: take consecutive ones"
        );
        let first = *cores.first().context("at least one worker is needed")?;
        let lab = Lab::new()?;
        let measured = lab.measure(first, |lab| measure(lab, options, cores, time))?;
        for (index, &size) in options.sizes.iter().enumerate() {
            for &direction in &options.directions {
                let figures: Vec<Figures> = measured
                    .iter()
                    .map(|sizes| medians(&sizes[index].1, direction, 0))
                    .collect::<Result<_>>()?;
                rows.push(&row(&figures, size, direction, options.sessions))?;
            }
        }
    }
    Ok(())
}

/// 1, 2, 4 and so on, and the most.
fn doubled(most: usize) -> Vec<u8> {
    let most = u8::try_from(most).unwrap_or(u8::MAX).min(MAX_WORKERS);
    let powers = (0..8).map(|power| 1 << power);
    let mut counts: Vec<u8> = powers.take_while(|&count| count < most).collect();
    counts.push(most);
    counts
}

/// What the product takes.
const MAX_WORKERS: u8 = 64;

/// For each worker, the rounds of each size.
fn measure(
    lab: &Lab,
    options: &Options,
    cores: &[usize],
    time: std::time::Duration,
) -> Result<Vec<Vec<(Size, Vec<Round>)>>> {
    let workers = u16::try_from(cores.len())?;
    let wire = lab.wire("scale", workers)?;
    let _discard = wire.discard()?;
    let mut io = open(&wire.near, workers)?;
    let mut steering = io.steering.context("no XDP program")?;
    let inboxes = inboxes(workers)?;
    let meeting = Arc::new(Meeting::of(cores.len()));
    let mut queues: Vec<_> = io.queues.drain(..).map(Some).collect();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for &core in cores {
            let number = u8::try_from(core % cores.len())?;
            let first = u32::from(number) * options.sessions;
            steer(&mut steering, number.into(), first, options.sessions)?;
            let queue = queues.get_mut(usize::from(number)).and_then(Option::take);
            let core_id = u16::try_from(core)?;
            let (parts, line) =
                parts(number.into(), core_id, queue.context("no queue")?, &inboxes)?;
            let (wire, meeting) = (wire.clone(), Arc::clone(&meeting));
            threads.push(scope.spawn(move || {
                pin(core)?;
                let _sink = lab.sink(number)?;
                let product = Product::of(parts, line, first, options.sessions)?;
                let (sessions, train) = (options.sessions, options.train);
                let mut track = Track::new(wire, product, number, first, sessions, train)?;
                track.meeting = meeting;
                let tracks = vec![track];
                let mut bench = Bench::new(lab, number, tracks, &options.directions, train)?;
                bench.measure(&options.sizes, time)
            }));
        }
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?)
            .collect()
    })
}

fn row(workers: &[Figures], size: Size, direction: Direction, sessions: u32) -> Row {
    let count = workers.len() as f64;
    let mean = |get: fn(&Figures) -> f64| workers.iter().map(get).sum::<f64>() / count;
    let (ns, floor_ns, crypto_ns) = (
        mean(|figures| figures.ns),
        mean(|figures| figures.floor_ns),
        mean(|figures| figures.crypto_ns),
    );
    Row {
        bench: "scale",
        direction,
        size,
        sessions,
        workers: u8::try_from(workers.len()).unwrap_or(u8::MAX),
        ns,
        mpps: workers.iter().map(|figures| 1e3 / figures.ns).sum(),
        gbps: workers.iter().map(|figures| gbps(size, figures.ns)).sum(),
        floor_ns,
        crypto_ns,
        efficiency: efficiency(floor_ns, crypto_ns, ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_all_workers_are_added_up() {
        let figures = |ns| Figures {
            ns,
            floor_ns: 300.0,
            crypto_ns: 100.0,
        };
        let row = row(
            &[figures(400.0), figures(500.0)],
            Size::Bytes(125),
            Direction::Up,
            10,
        );
        assert_eq!(row.workers, 2);
        assert!((row.mpps - 4.5).abs() < 1e-9);
        assert!((row.gbps - 4.5).abs() < 1e-9);
        assert!((row.efficiency - 400.0 / 450.0).abs() < 1e-9);
    }

    #[test]
    fn workers_are_doubled_up_to_the_cores() {
        assert_eq!(doubled(1), [1]);
        assert_eq!(doubled(2), [1, 2]);
        assert_eq!(doubled(6), [1, 2, 4, 6]);
        assert_eq!(doubled(300), [1, 2, 4, 8, 16, 32, 64]);
    }
}

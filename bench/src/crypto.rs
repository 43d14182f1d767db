//! MPPE alone: for each packet a step of its key chain and RC4 over its payload, 32 sessions at a
//! time, as in a worker's burst.

use std::time::{Duration, Instant};

use clap::Args;
use greyhound_datapath::mppe::{Chain, Engine, Job, Portable, StartKey, Strength};
use serde::Serialize;

use crate::common::Common;
use crate::rows::Rows;

/// Bytes of payload: the smallest packets, small ones, the minimum of IPv4, full ones.
const SIZES: [usize; 4] = [64, 256, 576, 1400];
/// Packets in one batch.
const BATCH: usize = 32;
/// Batches between two looks at the clock.
const ROUNDS: u64 = 16;

/// `greyhound-bench crypto`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    engine: &'static str,
    size: usize,
    ns: f64,
    pps: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> anyhow::Result<()> {
    let time = options.common.time(4) / 4;
    for size in SIZES {
        rows.push(&measure(size, time))?;
    }
    Ok(())
}

/// The fastest of the rounds counts: a slower one was disturbed by something else.
fn measure(size: usize, time: Duration) -> Row {
    let mut engine = Portable;
    let chain = |number: usize| {
        let mut key = [0x5a; 16];
        key[0] = number.to_le_bytes()[0];
        Chain::for_sending(StartKey(key), Strength::Bits128)
    };
    let mut chains: Vec<Chain> = (0..BATCH).map(chain).collect();
    let mut packets = vec![vec![0u8; size]; BATCH];
    let mut best = f64::INFINITY;
    let end = clock() + time;
    while clock() < end {
        let start = clock();
        for _ in 0..ROUNDS {
            engine.step(&mut chains.iter_mut().collect::<Vec<_>>());
            let mut jobs: Vec<Job<'_>> = chains
                .iter_mut()
                .zip(&mut packets)
                .filter_map(|(chain, data)| {
                    let position = chain.head();
                    chain.mark_used(position);
                    Some(Job {
                        key: chain.key(position)?,
                        data,
                    })
                })
                .collect();
            engine.crypt(&mut jobs);
        }
        let packets = ROUNDS * BATCH as u64;
        best = best.min(start.elapsed().as_nanos() as f64 / packets as f64);
    }
    Row {
        bench: "crypto",
        engine: "crates",
        size,
        ns: best,
        pps: 1e9 / best,
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

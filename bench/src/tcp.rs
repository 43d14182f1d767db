//! Bulk TCP through the whole tunnel: the product's client to the product's server, real processes
//! over a veth pair, beside the same traffic over the bare wire and through other tunnels.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use greyhound_tests::bulk::Bulk;
use serde::Serialize;

use crate::against::{Contender, Direction, Other, TURN, Track, Tunnel, median, take_turns};
use crate::common::Common;
use crate::cpu::{self, Snapshot};
use crate::rows::Rows;

/// `greyhound-bench tcp`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many connections at once.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1,8"
    )]
    streams: Vec<usize>,
    /// Which way the bytes go.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "up,down,duplex"
    )]
    direction: Vec<Direction>,
    /// With the TUN interfaces' offload, and without.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "on,off"
    )]
    offload: Vec<Switch>,
    /// Other tunnels to measure beside it.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    against: Vec<Other>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// One line of the result: the median of the rounds.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    tunnel: &'static str,
    streams: usize,
    direction: &'static str,
    /// Of the product's own TUN interfaces.
    offload: Option<&'static str>,
    /// Payload; `duplex` both ways together.
    gbps: Option<f64>,
    /// CPU seconds of the whole machine, with those who send and receive.
    cpu_s_per_gbit: Option<f64>,
    /// The same traffic without a tunnel.
    bare_gbps: Option<f64>,
    /// The product's throughput to that of the better of the others.
    ratio_to_better: Option<f64>,
    /// The same per CPU second.
    ratio_to_better_per_cpu_s: Option<f64>,
    /// Why there are no figures.
    error: Option<String>,
    /// CPU seconds per second of each process that used any.
    processes: BTreeMap<String, f64>,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    streams: usize,
    direction: Direction,
}

/// What one turn measured of one case.
#[derive(Clone, Debug)]
struct Sample {
    gbps: f64,
    cpu_s_per_gbit: f64,
    processes: BTreeMap<String, f64>,
}

/// By contender, by case, in the order of the rounds.
type Samples = Vec<Vec<Vec<Sample>>>;

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let contenders = options.contenders();
    let cases = options.cases();
    let window = options.window(contenders.len(), cases.len());
    let track = Track::lay(&options.common.cores)?;

    let mut samples: Samples = vec![vec![Vec::new(); cases.len()]; contenders.len()];
    let failed = take_turns(&track, &contenders, ROUNDS, rows, |contender, tunnel| {
        for (case, samples) in cases.iter().zip(&mut samples[contender]) {
            samples.push(case.measure(&track, tunnel, window)?);
        }
        Ok(())
    })?;

    let mut lines = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        for (contender, error) in contenders.iter().zip(&failed) {
            if *contender != Contender::Wire {
                let of = |contender: Contender| -> &[Sample] {
                    let at = contenders.iter().position(|&other| other == contender);
                    at.map_or(&[], |at| &samples[at][number])
                };
                let others: Vec<&[Sample]> = options
                    .against
                    .iter()
                    .map(|&other| of(Contender::Other(other)))
                    .collect();
                lines.push(Row {
                    error: error.clone(),
                    ..row(
                        *case,
                        *contender,
                        of(*contender),
                        of(Contender::Wire),
                        &others,
                    )
                });
            }
        }
    }
    rows.push_all(&lines)
}

impl Options {
    fn contenders(&self) -> Vec<Contender> {
        let mut contenders = vec![Contender::Wire];
        contenders.extend(self.offload.iter().map(|&switch| Contender::Greyhound {
            offload: switch == Switch::On,
        }));
        contenders.extend(self.against.iter().map(|&other| Contender::Other(other)));
        contenders
    }

    fn cases(&self) -> Vec<Case> {
        let of = |&streams: &usize| {
            let directions = self.direction.iter();
            directions.map(move |&direction| Case { streams, direction })
        };
        self.streams.iter().flat_map(of).collect()
    }

    /// How long one measurement is, so that all rounds together take the time that was asked for.
    fn window(&self, contenders: usize, cases: usize) -> Duration {
        let turns = u32::try_from(contenders * ROUNDS).unwrap_or(u32::MAX);
        let cases = u32::try_from(cases).unwrap_or(u32::MAX);
        let turn = self.common.time(DEFAULT_SECONDS) / turns.max(1);
        let each = turn.saturating_sub(TURN) / cases.max(1);
        each.saturating_sub(WARM_UP + COOL_DOWN).max(SHORTEST)
    }
}

impl Case {
    fn measure(&self, track: &Track, tunnel: &dyn Tunnel, window: Duration) -> Result<Sample> {
        let legs = track.legs(self.direction, tunnel.ends());
        let flows = legs
            .iter()
            .map(|leg| Bulk::start(leg.from, leg.to, leg.address, self.streams))
            .collect::<Result<Vec<_>>>()?;
        let received = || flows.iter().map(Bulk::received).sum::<u64>();
        let processes = tunnel.processes();
        let times = || -> Vec<f64> {
            let time = |pid| cpu::of_process(pid).unwrap_or_default().as_secs_f64();
            processes.iter().map(|&(_, pid)| time(pid)).collect()
        };

        sleep(WARM_UP);
        let before = (Snapshot::take()?, received(), times());
        sleep(window);
        let after = (Snapshot::take()?, received(), times());
        for flow in flows {
            flow.stop()?;
        }

        let passed = before.0.until(&after.0);
        let gbit = (after.1 - before.1) as f64 * 8.0 / 1e9;
        let used = before.2.iter().zip(&after.2);
        let used = used.map(|(before, after)| (after - before) / passed.wall);
        Ok(Sample {
            gbps: gbit / passed.wall,
            // Nothing at all within a window is a result too, but no ratio.
            cpu_s_per_gbit: passed.busy / gbit.max(1e-6),
            processes: processes
                .iter()
                .map(|(name, _)| name.clone())
                .zip(used)
                .filter(|&(_, used)| used > 0.0)
                .collect(),
        })
    }
}

fn row(
    case: Case,
    contender: Contender,
    own: &[Sample],
    wire: &[Sample],
    others: &[&[Sample]],
) -> Row {
    let is_product = matches!(contender, Contender::Greyhound { .. });
    let others = if is_product { others } else { &[] };
    let (throughput, per_cpu) = ratios(own, others);
    let middle =
        |figure: fn(&Sample) -> f64, of: &[Sample]| median(of.iter().map(figure).collect());
    let gbps = middle(|sample| sample.gbps, own);
    Row {
        bench: "tcp",
        tunnel: contender.name(),
        streams: case.streams,
        direction: case.direction.name(),
        offload: contender.offload(),
        gbps,
        cpu_s_per_gbit: middle(|sample| sample.cpu_s_per_gbit, own),
        bare_gbps: middle(|sample| sample.gbps, wire),
        ratio_to_better: throughput,
        ratio_to_better_per_cpu_s: per_cpu,
        // Of the round whose throughput is reported.
        processes: own
            .iter()
            .find(|sample| Some(sample.gbps) == gbps)
            .map(|sample| sample.processes.clone())
            .unwrap_or_default(),
        error: None,
    }
}

/// Compared round by round, with the better of the others in that round: a busy moment of the
/// machine falls on neighbours alike.
fn ratios(own: &[Sample], others: &[&[Sample]]) -> (Option<f64>, Option<f64>) {
    let mut throughput = Vec::new();
    let mut per_cpu = Vec::new();
    for (round, own) in own.iter().enumerate() {
        let rivals: Vec<&Sample> = others.iter().filter_map(|of| of.get(round)).collect();
        let fastest = rivals.iter().map(|rival| rival.gbps).reduce(f64::max);
        let cheapest = rivals.iter().map(|rival| rival.cpu_s_per_gbit);
        throughput.extend(fastest.map(|fastest| own.gbps / fastest));
        let cheapest = cheapest.reduce(f64::min);
        per_cpu.extend(cheapest.map(|cheapest| cheapest / own.cpu_s_per_gbit));
    }
    (median(throughput), median(per_cpu))
}

const ROUNDS: usize = 3;

const DEFAULT_SECONDS: u64 = 60;

/// Until TCP has found its pace.
const WARM_UP: Duration = Duration::from_millis(500);

/// Until the streams have ended.
const COOL_DOWN: Duration = Duration::from_millis(100);

/// The ticks of /proc/stat are a hundredth of a second.
const SHORTEST: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(gbps: f64, cpu_s_per_gbit: f64) -> Sample {
        Sample {
            gbps,
            cpu_s_per_gbit,
            processes: BTreeMap::new(),
        }
    }

    #[test]
    fn the_better_of_the_others_is_sought_in_every_round() {
        let own = [sample(4.0, 0.5), sample(6.0, 0.5), sample(9.0, 0.5)];
        let one = [sample(1.0, 1.0), sample(1.0, 2.0), sample(3.0, 1.0)];
        let another = [sample(2.0, 3.0), sample(0.5, 1.5)];
        let (throughput, per_cpu) = ratios(&own, &[&one, &another]);
        // 4/2, 6/1, 9/3 and 1/0.5, 1.5/0.5, 1/0.5
        assert_eq!(throughput, Some(3.0));
        assert_eq!(per_cpu, Some(2.0));
    }

    #[test]
    fn without_others_there_is_no_ratio() {
        assert_eq!(ratios(&[sample(1.0, 1.0)], &[]), (None, None));
    }
}

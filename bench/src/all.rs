//! Every benchmark in one run, and whether its figures are what they have to be.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, CommandFactory, Parser};
use serde::Serialize;

use crate::common::Common;
use crate::report::targets;
use crate::rows::Rows;
use crate::{Bench, Options as Program};

/// `greyhound-bench all`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// A benchmark that gave no figures.
#[derive(Debug, Serialize)]
struct Failure {
    bench: String,
    error: String,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let names = names();
    let weights: u32 = names.iter().map(|name| weight(name)).sum();
    let time = options.common.time(DEFAULT_SECONDS);
    let mut failed = Vec::new();
    for name in names {
        let share = time * weight(&name) / weights;
        rows.note(&format!("\n=== {name}, about {} s", share.as_secs()))?;
        if let Err(error) = bench(&name, share, &options.common)?.run(rows) {
            let error = format!("{error:#}");
            let bench = name.clone();
            rows.push(&Failure { bench, error })?;
            failed.push(name);
        }
    }
    rows.note("\n=== targets")?;
    let verdicts = targets::check(rows.all());
    rows.push_all(&verdicts)?;
    if !failed.is_empty() {
        bail!("without figures: {}", failed.join(", "));
    }
    Ok(())
}

/// Every subcommand but this one.
fn names() -> Vec<String> {
    let command = Program::command();
    let names = command.get_subcommands().map(|bench| bench.get_name());
    names
        .filter(|&name| name != "all" && name != "help")
        .map(ToOwned::to_owned)
        .collect()
}

/// A subcommand with its own defaults, as if it had been typed.
fn bench(name: &str, time: Duration, common: &Common) -> Result<Bench> {
    let mut line = vec!["greyhound-bench".to_owned(), name.to_owned()];
    line.extend(["--seconds".to_owned(), time.as_secs().max(1).to_string()]);
    if !common.cores.is_empty() {
        let cores: Vec<String> = common.cores.iter().map(usize::to_string).collect();
        line.extend(["--cores".to_owned(), cores.join(",")]);
    }
    if AGAINST_OTHERS.contains(&name) {
        line.extend(["--against".to_owned(), "wireguard-go,openvpn".to_owned()]);
    }
    Ok(Program::try_parse_from(line)?.bench)
}

/// Parts of the time: the more cases a benchmark has, the more it needs.
fn weight(name: &str) -> u32 {
    match name {
        "tcp" => 9,
        "throughput" => 6,
        "pps" | "scale" => 3,
        "latency" => 2,
        _ => 1,
    }
}

const AGAINST_OTHERS: [&str; 2] = ["tcp", "pps"];

const DEFAULT_SECONDS: u64 = 450;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_can_be_started_from_here() {
        let common = Common {
            cores: vec![0, 1],
            ..Common::default()
        };
        let names = names();
        assert!(names.iter().any(|name| name == "tcp"), "{names:?}");
        for name in names {
            let bench = bench(&name, Duration::from_secs(7), &common).unwrap();
            assert_eq!(bench.common().seconds, Some(7), "{name}");
            assert_eq!(bench.common().cores, [0, 1], "{name}");
        }
    }
}

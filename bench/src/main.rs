//! `greyhound-bench`: what Greyhound and its parts cost on this machine.
//!
//! Every benchmark puts its results into [`rows::Rows`] as it gets them. Speed is reported beside
//! what it is to be compared with, measured in the same run: a figure alone tells about the machine.

#![forbid(unsafe_code)]

use std::io::stdout;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::common::Common;
use crate::machine::Machine;
use crate::rows::Rows;

mod accounting;
mod against;
mod all;
mod common;
mod cpu;
mod crypto;
mod floor;
mod generator;
mod lab;
mod latency;
mod machine;
mod pps;
mod report;
mod rows;
mod scale;
mod secrets;
mod storm;
mod tcp;
mod throughput;
mod timing;

/// Measures Greyhound on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// All of them, and whether their figures are what they have to be.
    All(all::Options),
    /// What MPPE costs for a packet: its key and its payload, in batches as a worker forms them.
    Crypto(crypto::Options),
    /// What moving packets costs without a session and without a cipher.
    Floor(floor::Options),
    /// What a packet costs a worker in encrypted sessions, beside the least that it could.
    Throughput(throughput::Options),
    /// The same with more and more workers, each on a core of its own.
    Scale(scale::Options),
    /// How long an encrypted packet takes there and back through a worker.
    Latency(latency::Options),
    /// Calls a second, what each costs, and what a session takes of memory.
    Storm(storm::Options),
    /// How long a configuration with very many users takes to start, print and change.
    Secrets(secrets::Options),
    /// How long keeping an accounting record takes beside a million others, and looking at them.
    Accounting(accounting::Options),
    /// Bulk TCP from client to server through the whole tunnel, in two namespaces.
    Tcp(tcp::Options),
    /// Small packets from client to server through the whole tunnel, in two namespaces.
    Pps(pps::Options),
}

impl Bench {
    fn common(&self) -> &Common {
        match self {
            Self::All(options) => &options.common,
            Self::Crypto(options) => &options.common,
            Self::Floor(options) => &options.common,
            Self::Throughput(options) => &options.common,
            Self::Scale(options) => &options.common,
            Self::Latency(options) => &options.common,
            Self::Storm(options) => &options.common,
            Self::Secrets(options) => &options.common,
            Self::Accounting(options) => &options.common,
            Self::Tcp(options) => &options.common,
            Self::Pps(options) => &options.common,
        }
    }

    fn run(&self, rows: &mut Rows) -> Result<()> {
        match self {
            Self::All(options) => all::run(options, rows),
            Self::Crypto(options) => crypto::run(options, rows),
            Self::Floor(options) => floor::run(options, rows),
            Self::Throughput(options) => throughput::run(options, rows),
            Self::Scale(options) => scale::run(options, rows),
            Self::Latency(options) => latency::run(options, rows),
            Self::Storm(options) => storm::run(options, rows),
            Self::Secrets(options) => secrets::run(options, rows),
            Self::Accounting(options) => accounting::run(options, rows),
            Self::Tcp(options) => tcp::run(options, rows),
            Self::Pps(options) => pps::run(options, rows),
        }
    }
}

fn main() -> Result<()> {
    let Options { bench } = Options::parse();
    let common = bench.common();
    let mut rows = Rows::new(common.json, stdout());
    rows.push(&Machine::read())?;
    let measured = bench.run(&mut rows);
    if let Some(path) = &common.report {
        // What was measured until something failed is worth a page, too.
        report::write(path, rows.all())?;
    }
    measured
}

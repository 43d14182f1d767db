//! `greyhound-bench`: what the parts of Greyhound cost on this machine.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};

mod crypto;
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
    /// What MPPE costs for a packet: its key and its payload, in batches as a worker forms them.
    Crypto(crypto::Options),
}

fn main() -> anyhow::Result<()> {
    match Options::parse().bench {
        Bench::Crypto(options) => crypto::run(&options, std::io::stdout().lock()),
    }
}

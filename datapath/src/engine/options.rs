//! The flags of `greyhound-datapath`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

/// The most workers there can be.
pub const MAX_WORKERS: u16 = 64;

/// The packet path of Greyhound. Started by `greyhound up`; by hand only for experiments.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// An interface that the tunnels' GRE comes in and goes out through; several if given more than
    /// once, or as a list with commas. Each is served in the best way it allows, and what goes
    /// through others takes a raw socket. Default: the interface of the default route.
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    pub interface: Vec<String>,
    /// Cores to pin the workers to, e.g. 1-3,6. Default: every core this process may use.
    #[arg(long)]
    pub cores: Option<Cores>,
    /// How many RX queues of each interface to serve, one worker each. Default: all that it has, up
    /// to 64 of all interfaces; a queue that is not served goes through the slow path. Without an
    /// interface that is served by AF_XDP: how many workers. Default: one for each core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_WORKERS)))]
    pub queues: Option<u16>,
    /// How frames reach the workers. `auto` tries native, then skb, then raw.
    #[arg(long, value_enum, default_value = "auto")]
    pub io: IoChoice,
    /// Frames that each queue's ring holds, in each direction: a power of two from 64 to 16384.
    /// More survive a longer burst; fewer stay in the processor's cache.
    #[arg(long, default_value_t = 4096, value_parser = ring_size)]
    pub ring_size: u32,
    /// Microseconds for which a worker without work looks for some, at most, before it sleeps.
    /// More answers sooner, and takes the core; 0 sleeps at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub spin: u64,
    /// Read and write the interfaces packet by packet: the kernel neither merges nor splits any.
    #[arg(long)]
    pub no_offload: bool,
    /// Where the socket for the control process is.
    #[arg(long, default_value = "/run/greyhound")]
    pub run_dir: PathBuf,
}

fn ring_size(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|size: &u32| size.is_power_of_two() && (64..=16_384).contains(size))
        .ok_or_else(|| "not a power of two from 64 to 16384".to_owned())
}

/// `--io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IoChoice {
    /// The first of the others that works.
    Auto,
    /// AF_XDP by the driver's own XDP.
    Native,
    /// AF_XDP with the generic hook, which every driver has.
    Skb,
    /// The raw protocol-47 socket alone.
    Raw,
}

/// A list of cores: numbers and ranges, in the order they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(pub Vec<u16>);

/// Why a list of cores could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a core or a range of cores such as 1-3")]
pub struct CoresError(String);

impl FromStr for Cores {
    type Err = CoresError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut cores = Vec::new();
        for part in text.split(',') {
            let error = || CoresError(part.to_owned());
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u16>().ok().filter(|&core| core < 1024);
            let (first, last) = (
                number(first).ok_or_else(error)?,
                number(last).ok_or_else(error)?,
            );
            if first > last {
                return Err(error());
            }
            cores.extend(first..=last);
        }
        Ok(Self(cores))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores: Vec<String> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&cores.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read_in_order() {
        assert_eq!("1-3,6".parse(), Ok(Cores(vec![1, 2, 3, 6])));
        assert_eq!("5".parse(), Ok(Cores(vec![5])));
        assert_eq!("7,0-1".parse(), Ok(Cores(vec![7, 0, 1])));
    }

    #[test]
    fn rings_have_sizes_that_the_kernel_takes() {
        assert_eq!(ring_size("64"), Ok(64));
        assert_eq!(ring_size("16384"), Ok(16_384));
        for size in ["", "0", "32", "1000", "32768", "-64", "many"] {
            assert!(ring_size(size).is_err(), "{size}");
        }
    }

    #[test]
    fn what_is_not_a_core_is_named() {
        for (text, part) in [
            ("", ""),
            ("1,", ""),
            ("3-1", "3-1"),
            ("a", "a"),
            ("0-9999", "0-9999"),
            ("-1", "-1"),
        ] {
            assert_eq!(
                text.parse::<Cores>(),
                Err(CoresError(part.to_owned())),
                "{text}"
            );
        }
    }
}

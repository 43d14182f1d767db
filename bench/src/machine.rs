//! What machine the figures are from.

use std::fs;
use std::num::NonZero;
use std::process::Command;
use std::thread::available_parallelism;

use serde::Serialize;

/// The first row of every run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    bench: &'static str,
    cpu: String,
    cores: usize,
    kernel: String,
    date: String,
    version: &'static str,
}

impl Machine {
    /// This machine. What it does not tell stays empty.
    pub(crate) fn read() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            bench: "machine",
            cpu: model(&cpus).unwrap_or_default().to_owned(),
            cores: available_parallelism().map_or(1, NonZero::get),
            kernel: kernel.trim().to_owned(),
            date: date(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn model(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then_some(value.trim())
    })
}

fn date() -> String {
    let output = Command::new("date").args(["--utc", "+%F %T UTC"]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_among_the_facts_of_a_core() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 79\nmodel name\t: Some CPU @ 2.3GHz\n";
        assert_eq!(model(cpuinfo), Some("Some CPU @ 2.3GHz"));
        assert_eq!(model("processor : 0\n"), None);
    }

    #[test]
    fn the_date_is_there() {
        assert!(date().ends_with(" UTC"));
    }
}

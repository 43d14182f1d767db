//! The options that every subcommand has.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Flattened into the options of every subcommand.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Common {
    /// How long to measure, everything together; each benchmark has a default of its own.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// The cores to measure on, as `0,1`; whatever the machine has otherwise.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the results as a page with charts, too.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

impl Common {
    /// The time that was asked for, at least a second; `default` seconds if none was.
    pub(crate) fn time(&self, default: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default).max(1))
    }
}

//! What makes the keeper a process: what it may do, what it has open.

use std::path::PathBuf;

use anyhow::Context;
use caps::Capability;

use super::keeper::{Keeper, Options, STOP_GRACE, TIMEOUT};
use super::resolver::Places;
use crate::io::privilege;
use crate::log::Log;
use crate::programs::process;

/// Keeps the system's resolver told until SIGTERM or SIGINT. Standard input is the socket that the
/// control process connects to.
///
/// # Errors
/// What keeps it from starting.
pub fn run(run_dir: PathBuf, log: Log) -> anyhow::Result<()> {
    process::close_what_was_inherited().context("cannot look for open files")?;
    // It stays root, which systemd-resolved and the files of resolvconf ask for, and keeps but one
    // right: scripts that resolvconf runs write into folders of name servers that are other users,
    // as dnsmasq's into /run/dnsmasq.
    privilege::drop_all_but(&[Capability::CAP_DAC_OVERRIDE].into())?;
    let run_dir = std::path::absolute(run_dir).context("cannot find the run directory")?;
    process::settle()?;
    let options = Options {
        listener: process::listener()?,
        run_dir,
        places: Places::default(),
        timeout: TIMEOUT,
        stop_grace: STOP_GRACE,
        log,
    };
    let stop = process::stop_signals()?;
    Keeper::new(options).run(&stop)
}

//! Everything of the control process that touches the kernel: sockets, signals, the clock.
//!
//! One thread, one mio loop around the sans-IO [`crate::server::Server`]. What is read goes in,
//! what comes out is carried out; nothing here knows a protocol.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;

use crate::log::Log;
use crate::model::Config;
use crate::pptp;

mod boot;
mod console;
mod datapath;
mod event_loop;
pub(crate) mod privilege;
mod resolve;
mod store;
mod tcp;
mod udp;

use self::event_loop::EventLoop;
pub use self::store::Store;

/// What the control process is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the sockets are: the datapath's and the console's. Created if it is not there.
    pub run_dir: PathBuf,
    /// What is to survive a restart. Created if it is not there.
    pub state_dir: PathBuf,
    /// The configuration.
    pub config: Config,
    /// Where changes of it are kept; `None` is nowhere.
    pub store: Option<Store>,
    /// The address to listen on; `None` is all of them.
    pub bind: Option<Ipv4Addr>,
    /// The TCP port to listen on and to dial. Anything but [`pptp::PORT`] is for tests: no PPTP
    /// client knows of another.
    pub port: u16,
    /// Where lines go.
    pub log: Log,
}

impl Options {
    /// The usual port on all addresses, and a log that is not written anywhere.
    #[must_use]
    pub fn new(run_dir: PathBuf, state_dir: PathBuf, config: Config) -> Self {
        Self {
            run_dir,
            state_dir,
            config,
            store: None,
            bind: None,
            port: pptp::PORT,
            log: Log::default(),
        }
    }
}

/// Runs the control process until SIGTERM or SIGINT.
///
/// Gives up every capability of the process for good before the first byte is read.
///
/// # Errors
/// What keeps it from starting: a folder, a socket, a port in use.
pub fn run(options: Options) -> anyhow::Result<()> {
    privilege::confine()?;
    for folder in [&options.run_dir, &options.state_dir] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    let boot = boot::count(&options.state_dir)?;
    let state_dir = options.state_dir.clone();
    let mut event_loop = EventLoop::new(options, boot, Box::new(clock))?;
    event_loop.watch_signals()?;
    privilege::drop_all()?;
    event_loop.check_store();
    event_loop.keep_accounts(&state_dir)?;
    while event_loop.turn()? {}
    Ok(())
}

/// The one clock of the process.
#[expect(
    clippy::disallowed_methods,
    reason = "here the time enters the process; everything else is told"
)]
fn clock() -> Instant {
    Instant::now()
}

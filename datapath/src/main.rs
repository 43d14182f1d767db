//! `greyhound-datapath`: the process that moves the packets.
//!
//! Exit status: 0 after SIGTERM or SIGINT, 2 when it cannot run as it was told to (starting it
//! again will not help), 1 when it broke.

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use greyhound_datapath::engine::manager::{Manager, Setup};
use greyhound_datapath::engine::options::{IoChoice, Options};
use greyhound_datapath::engine::uplinks::{Uplinks, Wanted};
use greyhound_datapath::engine::{privileges, tun, xsk};
use greyhound_datapath::ipc::seqpacket::Listener;
use rustix::process::{Signal, set_parent_process_death_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let (manager, _signal) = match start(&options) {
        Ok(started) => started,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(2);
        }
    };
    match manager.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<(Manager, UnixStream)> {
    // Whoever started this process is responsible for it: without, it ends.
    set_parent_process_death_signal(Some(Signal::TERM)).context("prctl")?;
    privileges::check(options.io == IoChoice::Raw)?;
    tun::check()?;
    let (signal, writer) = UnixStream::pair().context("socketpair")?;
    for number in [SIGTERM, SIGINT] {
        let writer = writer.try_clone().context("dup")?;
        signal_hook::low_level::pipe::register(number, writer).context("sigaction")?;
    }
    let allowed: Vec<u16> = core_affinity::get_core_ids()
        .context("the kernel does not say which cores there are")?
        .iter()
        .filter_map(|core| u16::try_from(core.id).ok())
        .collect();
    let cores = match &options.cores {
        Some(cores) => cores.0.clone(),
        None => allowed.clone(),
    };
    if let Some(core) = cores.iter().find(|core| !allowed.contains(core)) {
        bail!("--cores: core {core} is not one that this process may use ({allowed:?})");
    }
    let rings = xsk::Config {
        rx_frames: options.ring_size,
        tx_frames: options.ring_size,
        copy: false,
    };
    let uplinks = Uplinks::open(&Wanted {
        interfaces: &options.interface,
        io: options.io,
        queues: options.queues,
        cores: u16::try_from(cores.len()).unwrap_or(u16::MAX),
        rings,
    })?;
    let workers = usize::from(uplinks.workers());
    let cores: Vec<u16> = cores.iter().copied().cycle().take(workers).collect();
    std::fs::create_dir_all(&options.run_dir)
        .with_context(|| format!("creating {}", options.run_dir.display()))?;
    let path = options.run_dir.join("datapath.sock");
    let listener =
        Listener::bind(&path).with_context(|| format!("listening on {}", path.display()))?;
    let served = uplinks.served();
    let started = Manager::start(Setup {
        uplinks,
        spin: Duration::from_micros(options.spin),
        offload: !options.no_offload,
        frames_per_queue: (rings.rx_frames + rings.tx_frames) as usize,
        cores: cores.clone(),
        listener,
        signal,
    })?;
    let mppe = greyhound_datapath::mppe::engine::detect().name();
    let interface = listed(served.iter().map(|uplink| uplink.name.clone()));
    let io = listed(served.iter().map(|uplink| uplink.io.to_string()));
    tracing::info!(%interface, %io, ?cores, mppe, "moving frames");
    Ok(started)
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(",")
}

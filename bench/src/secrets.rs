//! A configuration with very many users: how long starting, looking up, printing and changing take,
//! and what all of it needs of memory.
//!
//! The real control process reads a real file and is asked by its socket, as the console does it;
//! a change is timed until it is on the disk. Only a look-up is timed in this process: it is too
//! short to be seen from outside.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use greyhound_control::console::wire::{self, Numbers, Reply, Request};
use greyhound_control::model::{Config, Running};
use greyhound_tests::process::program;
use greyhound_tests::scratch::Scratch;
use greyhound_tests::wait::{now, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::common::Common;
use crate::rows::Rows;

/// `greyhound-bench secrets`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many users are configured.
    #[arg(long, default_value_t = 20_000)]
    secrets: u32,
    /// How often each thing is done; the median counts.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// The result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    secrets: u32,
    /// From the start of the process to its first answer.
    start_ms: f64,
    /// Who a user is.
    lookup_us: f64,
    /// `/ppp secret print` of all, received.
    print_ms: f64,
    /// `/ppp secret add`, kept on the disk.
    change_ms: f64,
    /// What a file of this size takes to be written and synced, with nothing else.
    disk_ms: f64,
    /// Of the control process after its start, in MiB.
    memory_mib: f64,
    /// The most it ever had, prints and changes included.
    peak_mib: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let folder = Scratch::new("secrets")?;
    let text = configuration(options.secrets);
    let file = folder.file("greyhound.rsc");
    fs::write(&file, &text)?;

    let mut starts = Vec::new();
    let mut control = None;
    for _ in 0..options.rounds {
        drop(control.take());
        let began = now();
        let started = Control::start(&folder)?;
        starts.push(began.elapsed());
        control = Some(started);
    }
    let control = control.context("no round")?;
    let memory_mib = control.memory("VmRSS:")?;

    let mut prints = Vec::new();
    let mut changes = Vec::new();
    let mut disk = Vec::new();
    for round in 0..options.rounds {
        let began = now();
        let printed = control.ask("/ppp secret print")?;
        prints.push(began.elapsed());
        let lines = printed.text.lines().count();
        ensure!(
            lines > options.secrets as usize,
            "{lines} lines were printed"
        );

        let began = now();
        control.ask(&format!("/ppp secret add name=new{round} password=secret"))?;
        changes.push(began.elapsed());

        let began = now();
        let alone = fs::File::create(folder.file("alone"))?;
        std::io::Write::write_all(&mut &alone, text.as_bytes())?;
        alone.sync_all()?;
        disk.push(began.elapsed());
    }
    let kept = fs::read_to_string(&file)?;
    let last = format!("name=new{} ", options.rounds - 1);
    ensure!(kept.contains(&last), "the last change is not in the file");

    rows.push(&Row {
        bench: "secrets",
        secrets: options.secrets,
        start_ms: median_ms(starts),
        lookup_us: lookup_us(&text, options.secrets),
        print_ms: median_ms(prints),
        change_ms: median_ms(changes),
        disk_ms: median_ms(disk),
        memory_mib,
        peak_mib: control.memory("VmHWM:")?,
    })
}

/// Users with a profile, an address and a comment each.
fn configuration(secrets: u32) -> String {
    let mut text = "/ip pool\nadd name=customers ranges=10.64.0.0/16\n\
                    /ppp profile\nadd name=home remote-address=customers local-address=10.0.0.1\n\
                    /ppp secret\n"
        .to_owned();
    for number in 0..secrets {
        let _ = writeln!(
            text,
            "add comment=\"contract {number}\" name=customer{number} password=secret{number} \
             profile=home service=pptp"
        );
    }
    text
}

/// Looks users up one after the other, in an order that no cache foresees; every other one does not
/// exist.
fn lookup_us(text: &str, secrets: u32) -> f64 {
    const LOOKUPS: u32 = 200_000;
    let config = Config::parse(text).map_or_else(|_| Config::default(), |(config, _)| config);
    let running = Running::new(config);
    let names: Vec<_> = (0..LOOKUPS)
        .map(|number| {
            format!(
                "customer{}",
                number.wrapping_mul(2_654_435_761) % (2 * secrets)
            )
        })
        .collect();
    let began = now();
    for name in &names {
        black_box(running.secret(name));
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(LOOKUPS)
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// A control process without datapath.
struct Control<'a> {
    child: Child,
    folder: &'a Scratch,
}

impl<'a> Control<'a> {
    /// Returns once it answers.
    fn start(folder: &'a Scratch) -> Result<Self> {
        let child = Command::new(program("greyhound")?)
            .arg("control")
            .arg("--config")
            .arg(folder.file("greyhound.rsc"))
            .arg("--run-dir")
            .arg(folder.path())
            .arg("--state-dir")
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .context("start greyhound control")?;
        let control = Self { child, folder };
        wait_for("the control process answers", PATIENCE, || {
            control.ask("/system identity print").ok()
        })?;
        Ok(control)
    }

    fn ask(&self, line: &str) -> Result<Reply> {
        let request = Request {
            line: line.to_owned(),
            menu: Vec::new(),
            numbers: Numbers::new(),
            json: false,
            width: 80,
        };
        let reply = wire::ask(self.folder.path(), &request)?;
        ensure!(reply.status == 0, "{line}: {}", reply.text);
        Ok(reply)
    }

    /// A line of proc_pid_status(5), in MiB.
    fn memory(&self, key: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: f64 = kib.with_context(|| format!("no {key}"))?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Control<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::TERM));
        }
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

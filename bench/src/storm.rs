//! Call set-up: clients that come all at once, as they do after a power cut.
//!
//! A real concentrator in a namespace, and in another one a single thread that plays many clients:
//! the product's own control connections and links, sans-IO, over real TCP and real GRE, without
//! interfaces of their own. A set-up is timed from the TCP connection's beginning to IPCP's opening:
//! MS-CHAPv2 and MPPE with 128 bit. What it costs each process is its CPU time, which is all there
//! is to compare where generator and server share the cores; beside it stands what creating the
//! interfaces alone costs the kernel. Then our own client dials that server, again and again.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use greyhound_datapath::engine::tun;
use greyhound_datapath::ipc::{Interface, Membership};
use greyhound_tests::machine::{Machine, plugged};
use greyhound_tests::namespace::{Lan, Namespace};
use greyhound_tests::tunnel::SERVER;
use greyhound_tests::wait::{now, wait_until};
use hdrhistogram::Histogram;
use rustix::param::clock_ticks_per_second;
use serde::Serialize;

use crate::common::Common;
use crate::rows::Rows;

mod clients;
mod dial;
mod radius;

/// `greyhound-bench storm`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many calls are set up; all stay up until the last one is.
    #[arg(long, default_value_t = 2000)]
    sessions: u16,
    /// How many are being set up at the same time.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// FreeRADIUS knows the users, and is told what they do
    #[arg(long)]
    radius: bool,
    /// With --radius: how many storms one after the other, of which the first is measured
    #[arg(long, default_value_t = 1)]
    rounds: u16,
}

/// The result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    sessions: u16,
    in_flight: usize,
    /// Set-ups a second by the clock, interfaces included.
    per_second: f64,
    /// Set-ups a CPU second of the control process.
    per_control_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU time of a set-up, in microseconds.
    control_us: f64,
    datapath_us: f64,
    clients_us: f64,
    /// What creating an interface alone takes, in microseconds.
    interface_us: f64,
    /// What both processes grew by for each session, in KiB.
    memory_kib: f64,
    /// From the clients' end to the last session's, in seconds.
    ending_s: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    if options.radius {
        return radius::run(options, rows);
    }
    let interface_us = interfaces_alone()?;
    let lan = Lan::new()?;
    let server = Machine::on(&lan, SERVER, &config(options.sessions), &[])?;
    let namespace = plugged(&lan, CLIENTS)?;
    let (control, datapath) = (server.greyhound.control()?, server.greyhound.datapath()?);

    // What the first sessions allocate once is not theirs.
    storm(&namespace, WARM_UP, options.in_flight)?.end();
    server.wait_for_sessions(0, ENDING)?;
    let before = (Process::read(control)?, Process::read(datapath)?);
    let own = cpu_of_this_thread_group()?;
    let began = now();
    let storm = storm(&namespace, options.sessions, options.in_flight)?;
    let clients = cpu_of_this_thread_group()?.saturating_sub(own);
    // The clients' IPCP is open before the server's last interfaces are there.
    let interfaces = || interfaces_in(&server.namespace).unwrap_or(0);
    wait_until("every session has its interface", ENDING, || {
        interfaces() >= options.sessions.into()
    })?;
    let took = began.elapsed();
    let after = (Process::read(control)?, Process::read(datapath)?);
    server
        .wait_for_sessions(options.sessions.into(), ENDING)
        .context("not every session of the clients is one of the server")?;

    let latencies = storm.latencies.clone();
    let ending = now();
    storm.end();
    server.wait_for_sessions(0, ENDING)?;
    wait_until("every interface is gone", ENDING, || {
        server.wait_for_no_tunnels(Duration::ZERO).is_ok()
    })?;
    let ending_s = ending.elapsed().as_secs_f64();
    dial::run(&lan, &user(0), PASSWORD, rows)?;
    server.stop()?;

    let sessions = f64::from(options.sessions);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / sessions;
    let control_us = each(after.0.cpu.saturating_sub(before.0.cpu));
    let grown = |after: &Process, before: &Process| after.rss_kib.saturating_sub(before.rss_kib);
    let grown = grown(&after.0, &before.0) + grown(&after.1, &before.1);
    rows.push(&Row {
        bench: "storm",
        sessions: options.sessions,
        in_flight: options.in_flight,
        per_second: sessions / took.as_secs_f64(),
        per_control_second: 1e6 / control_us,
        p50_ms: milliseconds(&latencies, 0.50),
        p99_ms: milliseconds(&latencies, 0.99),
        control_us,
        datapath_us: each(after.1.cpu.saturating_sub(before.1.cpu)),
        clients_us: each(clients),
        interface_us,
        memory_kib: kib(grown) / sessions,
        ending_s,
    })
}

/// Calls that are up.
struct Storm {
    latencies: Histogram<u64>,
    calls: clients::Calls,
}

impl Storm {
    /// The clients are gone, without goodbye but for TCP's.
    fn end(self) {
        drop(self.calls);
    }
}

fn storm(namespace: &Namespace, sessions: u16, in_flight: usize) -> Result<Storm> {
    namespace.inside(|| {
        let mut calls = clients::Calls::new(CLIENTS, SERVER)?;
        let mut latencies = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        calls.set_up(sessions, in_flight, |took| {
            // Durations of a storm are far below what a histogram holds.
            latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        })?;
        Ok(Storm { latencies, calls })
    })?
}

/// Tunnel interfaces in a namespace.
fn interfaces_in(namespace: &Namespace) -> Result<usize> {
    let table = namespace.inside(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    Ok(table.matches("<pptp-").count())
}

/// Microseconds to create, configure and raise an interface, by itself.
fn interfaces_alone() -> Result<f64> {
    const COUNT: u8 = 200;
    let namespace = Namespace::new("interfaces")?;
    namespace.inside(|| {
        let began = now();
        let mut kept = Vec::new();
        for number in 0..COUNT {
            let interface = Interface {
                name: format!("<pptp-user{number}>"),
                address: Ipv4Addr::new(10, 0, 0, 1),
                peer: Ipv4Addr::new(10, 1, 0, number),
                mtu: 1400,
                check_source: true,
                ipv6: None,
                membership: Membership::default(),
                stands: false,
            };
            kept.push(tun::create(&interface, true)?);
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT))
    })?
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
struct Process {
    cpu: Duration,
    rss_kib: u64,
}

impl Process {
    fn read(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rss| rss.trim().strip_suffix(" kB"));
        Ok(Self {
            cpu: cpu_of(&format!("/proc/{pid}/stat"))?,
            rss_kib: rss.context("no VmRSS")?.parse()?,
        })
    }
}

fn cpu_of_this_thread_group() -> Result<Duration> {
    cpu_of("/proc/self/stat")
}

/// User and system time of a process, see proc_pid_stat(5).
fn cpu_of(path: &str) -> Result<Duration> {
    const USER_AND_SYSTEM: [usize; 2] = [11, 12];
    let stat = fs::read_to_string(path)?;
    let (_, fields) = stat.rsplit_once(") ").context("an unknown form of stat")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let mut ticks = 0;
    for at in USER_AND_SYSTEM {
        ticks += fields
            .get(at)
            .context("stat is too short")?
            .parse::<u64>()?;
    }
    ensure!(clock_ticks_per_second() > 0, "no clock ticks");
    Ok(Duration::from_millis(
        ticks * 1000 / clock_ticks_per_second(),
    ))
}

fn milliseconds(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of seconds")]
    let micros = latencies.value_at_quantile(quantile) as f64;
    micros / 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a process has less than 2^53 KiB"
)]
fn kib(kib: u64) -> f64 {
    kib as f64
}

/// A user for each session.
fn config(sessions: u16) -> String {
    let mut config = CONFIG.to_owned();
    for number in 0..sessions.max(WARM_UP) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            config,
            "add name={} password={PASSWORD} profile=storm",
            user(number)
        );
    }
    config
}

fn user(number: u16) -> String {
    format!("user{number}")
}

const PASSWORD: &str = "StrongPass-1";

const CONFIG: &str = "\
/ip pool
add name=clients ranges=10.1.0.1-10.1.250.254
/ppp profile
add name=storm local-address=10.0.0.1 remote-address=clients use-encryption=required use-ipv6=no
/interface pptp-server server
set authentication=mschap2 default-profile=storm enabled=yes
/ppp secret
";

/// Where all clients are.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Sessions before those that are measured.
const WARM_UP: u16 = 64;

/// How long thousands of sessions may take to end.
const ENDING: Duration = Duration::from_secs(60);

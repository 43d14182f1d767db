//! From `disabled=no` to connected: our own client and our own server, each a real process in a
//! namespace of its own, asked by the console's socket as an operator would.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use greyhound_control::console::wire::{self, Numbers, Request};
use greyhound_tests::machine::Machine;
use greyhound_tests::namespace::Lan;
use greyhound_tests::process::run_dir_in;
use greyhound_tests::tunnel::SERVER;
use greyhound_tests::wait::now;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::rows::Rows;

/// Dials that are measured.
const DIALS: u32 = 50;
/// Dials before them.
const WARM_UP: u32 = 5;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the client is asked whether it is connected.
const GLANCE: Duration = Duration::from_millis(1);

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// The result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    dials: u32,
    /// From the change's being asked for to `monitor` saying connected.
    p50_ms: f64,
    p90_ms: f64,
    max_ms: f64,
}

/// Measures dials against a server on `lan` whose user this is.
pub(super) fn run(lan: &Lan, user: &str, password: &str, rows: &mut Rows) -> Result<()> {
    let config = format!(
        "/interface pptp-client\n\
         add name=pptp-out1 connect-to={SERVER} user={user} password={password}\n"
    );
    let client = Machine::on(lan, CLIENT, &config, &[])?;
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for dial in 0..WARM_UP + DIALS {
        let began = now();
        ask(&client, "/interface pptp-client set pptp-out1 disabled=no")?;
        wait_for(&client, "connected", began)?;
        let took = began.elapsed();
        if dial >= WARM_UP {
            times.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
        ask(&client, "/interface pptp-client set pptp-out1 disabled=yes")?;
        wait_for(&client, "disabled", now())?;
    }
    client.stop()?;
    rows.push(&Row {
        bench: "dial",
        dials: DIALS,
        p50_ms: super::milliseconds(&times, 0.50),
        p90_ms: super::milliseconds(&times, 0.90),
        max_ms: super::milliseconds(&times, 1.0),
    })
}

fn wait_for(client: &Machine, status: &str, since: Instant) -> Result<()> {
    let wanted = format!("status: {status}\n");
    loop {
        let monitor = ask(client, "/interface pptp-client monitor pptp-out1 once")?;
        if monitor.contains(&wanted) {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "not {status}:\n{monitor}");
        thread::sleep(GLANCE);
    }
}

fn ask(client: &Machine, line: &str) -> Result<String> {
    let request = Request {
        line: line.to_owned(),
        menu: Vec::new(),
        numbers: Numbers::new(),
        json: false,
        width: 80,
    };
    let run_dir = run_dir_in(client.greyhound.folder().path());
    let reply = wire::ask(&run_dir, &request)?;
    ensure!(reply.status == 0, "{line}: {}", reply.text);
    Ok(reply.text)
}

//! The same storm where FreeRADIUS knows the users and is told what they do, on the same cores; beside
//! it stands what FreeRADIUS answers its own client, radclient.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::machine::{Machine, plugged};
use greyhound_tests::namespace::Lan;
use greyhound_tests::process::descriptors;
use greyhound_tests::radius::{DICTIONARIES, FreeRadius, Record, SECRET, User, check_pairs};
use greyhound_tests::scratch::Scratch;
use greyhound_tests::tunnel::SERVER;
use greyhound_tests::wait::now;
use serde::Serialize;

use super::{CLIENTS, ENDING, Options, PASSWORD, Process, WARM_UP, milliseconds, storm, user};
use crate::rows::Rows;

/// The result.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    sessions: u16,
    in_flight: usize,
    /// Set-ups a second by the clock, each with an Access-Request and the Start that follows.
    per_second: f64,
    /// Access-Requests of the same method that radclient gets answered a second, alone, and what each
    /// takes FreeRADIUS of CPU time, in microseconds.
    radclient_per_second: f64,
    freeradius_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU time of a set-up, in microseconds.
    control_us: f64,
    /// From the last set-up to the last Start that FreeRADIUS noted down, and from the clients' end to
    /// the last Stop, in seconds.
    starts_s: f64,
    stops_s: f64,
    /// What RADIUS was asked and told in all.
    requests: u32,
    /// Descriptors of the control process before all of it and after.
    descriptors_before: usize,
    descriptors_after: usize,
}

pub(super) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let lan = Lan::new()?;
    let count = options.sessions.max(WARM_UP);
    let users: Vec<_> = (0..count)
        .map(|number| User::new(&user(number), PASSWORD, &[]))
        .chain([User::new(LOGIN_USER, LOGIN_PASSWORD, &[])])
        .collect();
    let radius = FreeRadius::on(&lan, RADIUS, &users)?;
    let (radclient_per_second, freeradius_us) = alone(&radius, options.in_flight)?;

    let server = Machine::on(&lan, SERVER, CONFIG, &[])?;
    let namespace = plugged(&lan, CLIENTS)?;
    let control = server.greyhound.control()?;
    storm(&namespace, WARM_UP, options.in_flight)?.end();
    server.wait_for_sessions(0, ENDING)?;
    let told = |count: u16, status: &'static str| {
        let what = format!("{count} times {status}");
        radius.wait_for_records(&what, ENDING, |records| {
            has(records, status) >= usize::from(count)
        })
    };
    told(WARM_UP, "Stop")?;
    let descriptors_before = descriptors(control)?;
    let before = Process::read(control)?;

    let began = now();
    let storm = storm(&namespace, options.sessions, options.in_flight)?;
    server.wait_for_sessions(options.sessions.into(), ENDING)?;
    let took = began.elapsed();
    told(WARM_UP + options.sessions, "Start")?;
    let starts_s = (began.elapsed() - took).as_secs_f64();
    let after = Process::read(control)?;
    let latencies = storm.latencies.clone();
    let ending = now();
    storm.end();
    told(WARM_UP + options.sessions, "Stop")?;
    let stops_s = ending.elapsed().as_secs_f64();
    server.wait_for_sessions(0, ENDING)?;
    for round in 1..options.rounds {
        super::storm(&namespace, options.sessions, options.in_flight)?.end();
        server.wait_for_sessions(0, ENDING)?;
        rows.note(&format!(
            "round {round}: {} descriptors",
            descriptors(control)?
        ))?;
    }
    let all = WARM_UP + options.sessions * options.rounds;
    let records = told(all, "Stop")?;
    let sessions = check_pairs(&records)?.len();
    ensure!(sessions == usize::from(all), "{sessions} of {all} sessions");
    let descriptors_after = descriptors(control)?;
    server.stop()?;

    let cpu = after.cpu.saturating_sub(before.cpu);
    rows.push(&Row {
        bench: "storm-radius",
        sessions: options.sessions,
        in_flight: options.in_flight,
        per_second: f64::from(options.sessions) / took.as_secs_f64(),
        radclient_per_second,
        freeradius_us,
        p50_ms: milliseconds(&latencies, 0.50),
        p99_ms: milliseconds(&latencies, 0.99),
        control_us: cpu.as_secs_f64() * 1e6 / f64::from(options.sessions),
        starts_s,
        stops_s,
        // A login, a Start and a Stop each.
        requests: 3 * u32::from(all),
        descriptors_before,
        descriptors_after,
    })
}

/// Of how many sessions this was told; it may have been told twice.
fn has(records: &[Record], status: &str) -> usize {
    let told = records.iter().filter(|one| one.status() == status);
    told.map(Record::session).collect::<BTreeSet<_>>().len()
}

/// Access-Requests a second that radclient gets answered, by MS-CHAPv2, as many at once, and
/// microseconds that each takes the server.
fn alone(radius: &FreeRadius, in_flight: usize) -> Result<(f64, f64)> {
    let process = radius.process().context("FreeRADIUS does not run")?;
    let timed = |count| -> Result<Duration> {
        let began = now();
        log_in(radius, in_flight, count)?;
        Ok(began.elapsed())
    };
    // Its threads are started, and what both read first is in memory.
    timed(REQUESTS)?;
    let before = Process::read(process)?.cpu;
    let mut took = Duration::ZERO;
    for _ in 0..RUNS {
        // What reading the dictionaries takes is not the server's.
        let start = timed(1)?;
        took += timed(REQUESTS)?.saturating_sub(start);
    }
    let cpu = Process::read(process)?.cpu.saturating_sub(before);
    let requests = f64::from(REQUESTS * RUNS);
    Ok((
        requests / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / requests,
    ))
}

/// Has radclient send so many requests, all of which have to be accepted.
fn log_in(radius: &FreeRadius, in_flight: usize, count: u32) -> Result<()> {
    let folder = Scratch::new("radclient")?;
    let path = folder.file("requests");
    fs::write(&path, LOGIN.repeat(count as usize))?;
    let output = radius
        .namespace()
        .command("radclient")
        .args(["-q", "-s", "-D", DICTIONARIES, "-d"])
        .arg(folder.path())
        .args(["-p", &in_flight.to_string(), "-f"])
        .arg(&path)
        .args(["127.0.0.1:1812", "auth", SECRET])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let accepted = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Accepted"))
        .and_then(|rest| rest.rsplit(' ').next()?.parse::<u32>().ok());
    let accepted = accepted.with_context(|| format!("radclient said {said}"))?;
    ensure!(accepted == count, "{accepted} of {count} accepted: {said}");
    Ok(())
}

/// In one run: radclient looks at all of them again and again, and with more it is what is measured.
const REQUESTS: u32 = 2000;
const RUNS: u32 = 5;

/// The login of RFC 2759 §9.2: radclient itself computes version 1 only.
const LOGIN: &str = "\
Message-Authenticator = 0x00
User-Name = \"User\"
MS-CHAP-Challenge = 0x5b5d7c7d7b3f2f3e3c2c602132262628
MS-CHAP2-Response = 0x000021402324255e262a28295f2b3a337c7e000000000000000082309ecd8d708b5ea08faa3981cd83544233114a3d85d6df

";
const LOGIN_USER: &str = "User";
const LOGIN_PASSWORD: &str = "clientPass";

const RADIUS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

const CONFIG: &str = "\
/ip pool
add name=clients ranges=10.1.0.1-10.1.250.254
/ppp profile
set default-encryption local-address=10.0.0.1 remote-address=clients use-encryption=required use-ipv6=no
/interface pptp-server server
set authentication=mschap2 enabled=yes
/ppp aaa
set use-radius=yes
/radius
add service=ppp address=192.0.2.3 secret=testing123 timeout=3s
";

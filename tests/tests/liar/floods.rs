//! Servers that send far too much of something.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::liar::{Flood, Lie};
use greyhound_tests::ping::Ping;
use greyhound_tests::wait::now;

use super::laboratory::{Client, Laboratory, PATIENCE, Row, row};

pub(crate) fn rows() -> Vec<Row> {
    let floods = [
        Flood::Echoes,
        Flood::ConfigureRequests,
        Flood::ProtocolRejects,
        Flood::Numbers,
        Flood::LinkInfos,
    ];
    let floods = floods.map(|flood| row(Lie::Floods(flood), ""));
    let honest = row(Lie::None, "");
    std::iter::once(honest).chain(floods).collect()
}

/// The client answers its operator meanwhile, holds no more memory, and the session of an honest
/// server goes on.
pub(crate) fn check((laboratory, clients): (Laboratory, Vec<Client>)) -> Result<()> {
    let [honest, floods @ ..] = &*clients else {
        return Ok(());
    };
    let machine = &laboratory.client;
    laboratory.set([&*honest.name], "disabled=no")?;
    machine.wait_for_clients(1, PATIENCE)?;
    let control = machine.greyhound.control()?;
    let before = resident(control)?;

    laboratory.set(floods.iter().map(|flood| &*flood.name), "disabled=no")?;
    let began = now();
    let [mut sent, mut received] = [0, 0];
    let mut slowest = Duration::ZERO;
    while began.elapsed() < FLOODED {
        let asked = now();
        let running = machine.greyhound.console()?.clients()?;
        slowest = slowest.max(asked.elapsed());
        let is_up = running
            .iter()
            .any(|one| one.running && one.name == honest.name);
        ensure!(is_up, "the honest server was lost\n{}", laboratory.log());
        let [.., number] = honest
            .name
            .split_at("liar".len())
            .1
            .parse::<u8>()?
            .to_be_bytes();
        let inside = format!("10.9.{number}.1");
        let ping = Ping::run(
            &machine.namespace,
            &["-q", "-i", "0.02", "-c", "50", "-W", "1", &inside],
        )?;
        sent += ping.sent;
        received += ping.received;
    }
    let after = resident(control)?;

    for flood in floods {
        let seen = flood.liar.seen()?;
        ensure!(seen.flooded > MANY, "{:?}: {seen:?}", flood.row.lie);
    }
    ensure!(
        slowest < Duration::from_secs(1),
        "an answer took {slowest:?}"
    );
    ensure!(
        received * 20 >= sent * 19,
        "{received} of {sent} pings came back"
    );
    ensure!(
        after < before + GROWTH,
        "{before} kB before, {after} kB after"
    );
    ensure!(honest.liar.seen()?.ups == 1, "{:?}", honest.liar.seen());
    laboratory.close()
}

/// What a process has in memory, in kB.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("no VmRSS")?.parse()?)
}

const FLOODED: Duration = Duration::from_secs(8);

/// What one server floods with, at least.
const MANY: usize = 20_000;

/// What a few sessions, and a log that is written, may take: in kB.
const GROWTH: u64 = 16 << 10;

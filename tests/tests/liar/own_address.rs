//! A server whose address inside the tunnel is its address outside.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use greyhound_tests::liar::Lie;
use greyhound_tests::machine::UPLINK;
use greyhound_tests::ping::Ping;

use super::laboratory::{Client, Laboratory, PATIENCE, Row, row};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 232);

pub(crate) fn rows() -> Vec<Row> {
    let client = Ipv4Addr::new(10, 9, 1, 2);
    let server = SERVER;
    vec![row(Lie::Addresses { server, client }, "")]
}

/// It is connected, and the tunnel is not led into itself.
pub(crate) fn check((laboratory, clients): (Laboratory, Vec<Client>)) -> Result<()> {
    let client = clients.first().context("no client")?;
    let machine = &laboratory.client;
    laboratory.set([&*client.name], "disabled=no")?;
    machine.wait_for_clients(1, PATIENCE)?;

    let route = machine.namespace.ip(&format!("route get {SERVER}"))?;
    let by_the_wire = format!("dev {UPLINK} ");
    ensure!(route.contains(&by_the_wire), "{route}");
    let said = format!("remote address {SERVER} is the server's own outside the tunnel");
    ensure!(laboratory.log().contains(&said), "{}", laboratory.log());
    let behind = format!("route add 10.77.0.0/24 dev {}", client.name);
    machine.namespace.ip(&behind)?;
    let words = ["-q", "-i", "0.02", "-c", "50", "-W", "1", "10.77.0.1"];
    let ping = Ping::run(&machine.namespace, &words)?;
    ensure!(ping.received == ping.sent, "{ping:?}");
    ensure!(client.liar.seen()?.dials.len() == 1, "{}", laboratory.log());
    laboratory.close()
}

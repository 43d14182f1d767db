//! What a profile and a secret say, seen on the wire and in the log of a real concentrator.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use greyhound_tests::namespace::Namespace;
use greyhound_tests::ping::Ping;
use greyhound_tests::tcp::{Amount, transfer};
use greyhound_tests::tunnel::{INNER_CLIENT, INNER_SERVER, SERVER_CONFIG, Tunnel};
use greyhound_tests::wait::{now, wait_for};

#[test]
#[ignore = "needs root: ./run test"]
fn a_rate_limit_holds_the_right_way_round() -> Result<()> {
    let tunnel = with("/ppp profile set test rate-limit=4M/12M")?;
    let (server, client) = (&tunnel.server.namespace, &tunnel.client.namespace);

    let upload = rate(client, server, INNER_SERVER)?;
    let download = rate(server, client, INNER_CLIENT)?;

    // What TCP and IP headers take is part of the limit: 40 to 60 of some 1450 bytes.
    assert!((3.2..=4.1).contains(&upload), "up {upload:.2} Mbit/s of 4");
    assert!(
        (9.6..=12.2).contains(&download),
        "down {download:.2} Mbit/s of 12"
    );
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_ends_with_the_bytes_that_its_secret_allows() -> Result<()> {
    let tunnel = with("/ppp secret set User1 limit-bytes-in=100000")?;
    let before = session(&tunnel)?;
    // The limit is on what the client sends, so that a download does not reach it so soon.
    let words = ["-q", "-A", "-c", "200", "-s", "1000", INNER_SERVER];
    Ping::run(&tunnel.client.namespace, &words)?;

    wait_for_line(
        &tunnel,
        "<pptp-User1>: terminating... - traffic limit reached",
    )?;
    // It dials again, and is counted anew.
    wait_for("another session", PATIENCE, || {
        session(&tunnel).ok().filter(|now| *now != before)
    })?;
    tunnel.recover()?;
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_without_data_ends_and_one_with_data_does_not() -> Result<()> {
    let tunnel = with("/ppp profile set test idle-timeout=3s")?;
    let began = now();
    let before = session(&tunnel)?;
    let words = ["-q", "-i", "0.5", "-c", "10", INNER_SERVER];
    Ping::run(&tunnel.client.namespace, &words)?;
    assert!(began.elapsed() >= Duration::from_secs(4));
    assert_eq!(session(&tunnel)?, before, "it was not idle");

    wait_for_line(&tunnel, "<pptp-User1>: terminating... - idle timeout")?;
    assert!(began.elapsed() >= Duration::from_secs(6));
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_is_in_its_lists_and_brings_its_routes_while_it_is_up() -> Result<()> {
    let tunnel = with(
        "/ppp profile set test address-list=customers interface-list=tunnels\n\
         /ppp secret set User1 routes=10.99.0.0/16",
    )?;
    let listed = |what: &str, with: &str| -> Result<bool> {
        let output = tunnel.server.namespace.run("sh", &["-c", what])?;
        Ok(output.contains(with))
    };
    let seen = [
        ("nft list set inet greyhound customers", "10.0.0.5"),
        ("nft list set inet greyhound tunnels", "<pptp-User1>"),
        ("ip route show proto 112", "10.99.0.0/16"),
    ];
    for (what, with) in seen {
        assert!(listed(what, with)?, "{what} has no {with}");
    }
    let client = tunnel.client.greyhound.console()?;
    client.text(&["/interface pptp-client disable 0"])?;
    tunnel.server.wait_for_no_tunnels(PATIENCE)?;
    for (what, with) in seen {
        assert!(!listed(what, with)?, "{what} still has {with}");
    }
    tunnel.close()
}

/// A tunnel whose concentrator has this configured besides.
fn with(more: &str) -> Result<Tunnel> {
    Tunnel::open_to(&format!("{SERVER_CONFIG}{more}\n"), &[])
}

/// What TCP carries in some seconds, in Mbit/s. The first one fills what waits.
fn rate(from: &Namespace, to: &Namespace, address: &str) -> Result<f64> {
    let address = SocketAddr::new(address.parse()?, PORT);
    let transfer = transfer(from, to, address, Amount::For(Duration::from_secs(4)))?;
    Ok(transfer.bits_per_second() / 1e6)
}

fn session(tunnel: &Tunnel) -> Result<String> {
    let console = tunnel.server.greyhound.console()?;
    console.text(&["/ppp active get 0 session-id"])
}

fn wait_for_line(tunnel: &Tunnel, line: &str) -> Result<()> {
    wait_for(line, PATIENCE, || {
        tunnel.server.greyhound.log().contains(line).then_some(())
    })
}

const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 5001;

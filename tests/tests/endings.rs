//! How sessions end: by the stop of either end, by the loss of a peer, by a wrong password.

use std::time::Duration;

use anyhow::{Context, Result};
use greyhound_tests::machine::Machine;
use greyhound_tests::namespace::Lan;
use greyhound_tests::tunnel::{CLIENT, SERVER, SERVER_CONFIG, Tunnel};
use greyhound_tests::wait::{now, wait_until};

#[test]
#[ignore = "needs root: ./run test"]
fn an_operator_reads_the_life_of_a_session_in_the_log() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let Tunnel { client, server, .. } = tunnel;

    let steps = [
        "pptp-out1: initializing...",
        "pptp-out1: connecting...",
        "pptp-out1: authenticated",
        "pptp-out1: using encoding - MPPE128 stateless",
        "pptp-out1: connected",
    ];
    wait_for_log(&client, &steps)?;
    client.stop()?;
    wait_for_log(
        &server,
        &[
            "TCP connection established from 192.0.2.2",
            "User1 logged in, 10.0.0.5 from 192.0.2.2",
            "<pptp-User1>: authenticated",
            "<pptp-User1>: using encoding - MPPE128 stateless",
            "<pptp-User1>: connected",
            "<pptp-User1>: terminating... - hungup",
            "User1 logged out, ",
            "<pptp-User1>: disconnected",
        ],
    )?;
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_server_that_stops_says_goodbye_and_leaves_nothing() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let Tunnel { client, server, .. } = tunnel;

    server.stop()?;

    // It need not find out by itself: that would take it a minute.
    let has_carrier = || {
        let shown = client.namespace.ip("link show dev pptp-out1")?;
        Ok::<_, anyhow::Error>(!shown.contains("NO-CARRIER"))
    };
    wait_until(
        "its interface has no carrier",
        Duration::from_secs(2),
        || has_carrier().is_ok_and(|carrier| !carrier),
    )?;
    // It dials again at once, and then has another reason to give.
    let said = [
        "pptp-out1: terminating... - hungup",
        "pptp-out1: initializing...",
    ];
    wait_for_log(&client, &said)?;
    client.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_client_that_vanishes_is_noticed_by_the_keepalive() -> Result<()> {
    let config = SERVER_CONFIG.replace("enabled=yes", "enabled=yes keepalive-timeout=2");
    let tunnel = Tunnel::open_to(&config, &[])?;
    let vanished = now();

    // Nothing is sent any more, not even the end of the TCP connection.
    tunnel.client.namespace.ip("link set wire down")?;
    tunnel.server.wait_for_sessions(0, PATIENCE)?;
    tunnel.server.wait_for_no_tunnels(PATIENCE)?;
    let noticed = vanished.elapsed();

    // Two seconds of silence, five echoes a second apart.
    assert!(noticed > Duration::from_secs(5), "{noticed:?}");
    assert!(noticed < Duration::from_secs(12), "{noticed:?}");
    wait_for_log(
        &tunnel.server,
        &[
            "<pptp-User1>: connected",
            "<pptp-User1>: terminating... - peer is not responding",
            "User1 logged out, ",
            "<pptp-User1>: disconnected",
        ],
    )?;
    let Tunnel { client, server, .. } = tunnel;
    server.stop()?;
    client.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_client_with_a_wrong_password_says_so_and_slows_down() -> Result<()> {
    let lan = Lan::new()?;
    let server = Machine::on(&lan, SERVER, SERVER_CONFIG, &[])?;
    let client = "/interface pptp-client\n\
                  add name=pptp-out1 connect-to=192.0.2.1 user=User1 password=WrongPass \
                  disabled=no\n";
    let client = Machine::on(&lan, CLIENT, client, &[])?;
    let refusals = || {
        let log = server.greyhound.log();
        log.matches("user User1 authentication failed").count()
    };

    let started = now();
    wait_until("the client has tried five times", PATIENCE, || {
        refusals() == 5
    })
    .with_context(|| server.greyhound.log())?;
    let took = started.elapsed();
    let told = client.greyhound.console()?.client_last_end("pptp-out1")?;
    wait_for_log(&client, &[&format!("pptp-out1: terminating... - {REASON}")])?;
    let logs = [server.greyhound.log(), client.greyhound.log()];
    client.stop()?;
    server.wait_for_sessions(0, PATIENCE)?;
    server.stop()?;

    // The second is at once; then it waits 1, 2 and 4 seconds, or down to a half of that.
    assert!(took > Duration::from_millis(3500), "{took:?}");
    assert_eq!(told.as_deref(), Some(REASON), "{}\n{}", logs[0], logs[1]);
    for log in &logs {
        for secret in ["StrongPass-1", "WrongPass"] {
            assert!(!log.contains(secret), "a password in the log:\n{log}");
        }
    }
    Ok(())
}

/// Waits until the log has these texts, one line after the other.
fn wait_for_log(machine: &Machine, texts: &[&str]) -> Result<()> {
    machine.wait_for_log(texts, PATIENCE)
}

/// What a client says whose server does not accept it.
const REASON: &str = "failed to authenticate ourselves to peer";

const PATIENCE: Duration = Duration::from_secs(20);

//! Many sessions at once, and nothing left of them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use greyhound_tests::bpf::{hash_entries, program_on};
use greyhound_tests::console::Client;
use greyhound_tests::machine::{Machine, UPLINK};
use greyhound_tests::namespace::Lan;
use greyhound_tests::ping::Ping;
use greyhound_tests::process::{Greyhound, descriptors};
use greyhound_tests::wait::wait_until;

#[test]
#[ignore = "needs root: ./run test"]
fn a_hundred_sessions_come_and_go_without_a_trace() -> Result<()> {
    let lan = Lan::new()?;
    let server = Machine::on(&lan, SERVER, &server_config()?, &[])?;
    let program = program_on(&server.namespace, UPLINK)?.context("no XDP program")?;
    let before = (held(&server.greyhound)?, hash_entries(program)?);

    let client = Machine::on(&lan, CLIENT, &client_config()?, &[])?;
    let connected = client.wait_for_clients(SESSIONS, Duration::from_secs(30))?;
    server.wait_for_sessions(SESSIONS, PATIENCE)?;
    let during = hash_entries(program)?;
    let unanswered: Vec<String> = thread::scope(|scope| {
        let pings: Vec<_> = connected
            .iter()
            .map(
                |Client {
                     name: interface, ..
                 }| {
                    let namespace = &client.namespace;
                    // By its own interface: the server has one address for all.
                    let words = [
                        "-q", "-c", "3", "-i", "0.2", "-W", "2", "-I", interface, "10.0.0.1",
                    ];
                    (interface, scope.spawn(move || Ping::run(namespace, &words)))
                },
            )
            .collect();
        pings
            .into_iter()
            .filter_map(|(interface, ping)| match ping.join() {
                Ok(Ok(Ping {
                    sent: 3,
                    received: 3,
                })) => None,
                other => Some(format!("{interface}: {other:?}")),
            })
            .collect()
    });
    client.stop()?;
    server.wait_for_sessions(0, PATIENCE)?;
    server.wait_for_no_tunnels(PATIENCE)?;
    let after = || -> Result<_> { Ok((held(&server.greyhound)?, hash_entries(program)?)) };
    // The last descriptors are closed by a thread of their own.
    let returned = wait_until("what the sessions held is free again", PATIENCE, || {
        after().is_ok_and(|after| after == before)
    });

    assert_eq!(connected.len(), SESSIONS);
    assert!(during >= SESSIONS, "{during} entries in the maps");
    assert!(unanswered.is_empty(), "lost pings: {unanswered:#?}");
    returned.with_context(|| format!("before {before:?}, after {:?}", after()))?;
    assert_eq!(server.greyhound.console()?.datapath()?.sessions, 0);
    server.stop()
}

/// Open descriptors of the control and the datapath process.
fn held(greyhound: &Greyhound) -> Result<(usize, usize)> {
    Ok((
        descriptors(greyhound.control()?)?,
        descriptors(greyhound.datapath()?)?,
    ))
}

fn server_config() -> Result<String> {
    let mut config = String::from(
        "/ip pool\n\
         add name=clients ranges=10.0.0.10-10.0.0.250\n\
         /ppp profile\n\
         add name=many local-address=10.0.0.1 remote-address=clients use-encryption=required\n\
         /interface pptp-server server\n\
         set authentication=mschap2 default-profile=many enabled=yes\n\
         /ppp secret\n",
    );
    for number in 1..=SESSIONS {
        writeln!(
            config,
            "add name=user{number} password=Pass-{number} profile=many service=pptp"
        )?;
    }
    Ok(config)
}

fn client_config() -> Result<String> {
    let mut config = String::from("/interface pptp-client\n");
    for number in 1..=SESSIONS {
        writeln!(
            config,
            "add name=out{number} connect-to={SERVER} user=user{number} password=Pass-{number} \
             disabled=no"
        )?;
    }
    Ok(config)
}

const SESSIONS: usize = 100;
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PATIENCE: Duration = Duration::from_secs(15);

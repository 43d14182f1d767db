//! PPTP clients that nobody here wrote against the concentrator.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use greyhound_tests::guest::{DataPath, Guest, Role};
use greyhound_tests::machine::Machine;
use greyhound_tests::namespace::Lan;
use greyhound_tests::ping::Ping;
use greyhound_tests::tcp::{self, Amount};
use greyhound_tests::tunnel::{SERVER, SERVER_CONFIG};

#[test]
#[ignore = "needs root: ./run test"]
fn pptp_linux_connects_and_moves_traffic() -> Result<()> {
    client_connects_in_time_and_moves_traffic(DataPath::PptpLinux)
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_kernel_client_connects_and_moves_traffic() -> Result<()> {
    client_connects_in_time_and_moves_traffic(DataPath::Kernel)
}

/// Traffic has to pass each time; a machine that is busy with something else may cost one its time.
fn client_connects_in_time_and_moves_traffic(data_path: DataPath) -> Result<()> {
    let mut took = Vec::new();
    while took.len() < 3 {
        took.push(client_connects_and_moves_traffic(data_path)?);
        if took.last().is_some_and(|&took| took < IN_TIME) {
            return Ok(());
        }
    }
    bail!("{took:?} from the guest's start to its link")
}

/// Returns how long it took from the guest's start to its link.
fn client_connects_and_moves_traffic(data_path: DataPath) -> Result<Duration> {
    let lan = Lan::new()?;
    let server = Machine::on(&lan, SERVER, SERVER_CONFIG, &[])?;
    let role = client(data_path, PASSWORD);
    let listen = |port| {
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        tcp::listen(&server.namespace, any)
    };
    let (upload, download) = (listen(UPLOAD)?, listen(DOWNLOAD)?);

    let mut guest = Guest::boot(&lan, GUEST, &role)?;
    let link = guest.wait_for_link(Duration::from_secs(30))?;
    let session = server.greyhound.console()?.sessions()?;
    let (received, sent) = thread::scope(|scope| -> Result<_> {
        let receiver = scope.spawn(|| tcp::receive(&tcp::accept(&upload)?));
        let sender = scope.spawn(|| tcp::send(&tcp::accept(&download)?, BULK));
        let panicked = |_| anyhow!("a TCP thread panicked");
        Ok((
            receiver.join().map_err(panicked)?.context("upload")?,
            sender.join().map_err(panicked)?.context("download")?,
        ))
    })
    .with_context(|| server.greyhound.log())?;
    let report = guest.finish(Duration::from_secs(60))?;
    server.wait_for_sessions(0, ENDING)?;
    server.wait_for_no_tunnels(ENDING)?;
    let counted = server.greyhound.console()?.datapath()?;
    server.stop()?;

    let story = format!("{}\n{}", report.output, report.pppd_log);
    assert_eq!((link.peer, link.ours), (INNER_SERVER, INNER_CLIENT));
    assert_eq!(session.len(), 1);
    assert_eq!(session[0].name, "<pptp-User1>");
    assert_eq!(session[0].encoding, "MPPE128 stateless");
    let ping = Ping::parse(&report.output).map(|ping| (ping.sent, ping.received));
    assert_eq!(ping, Some((1000, 1000)), "{story}");
    assert_eq!(
        (received.bytes, sent),
        (BULK_BYTES as u64, BULK_BYTES as u64)
    );
    assert!(
        report.file("received")? == tcp::pattern(BULK_BYTES),
        "{story}"
    );
    assert_eq!(report.pppd_status, Some(HUNG_UP_BY_SIGNAL), "{story}");
    assert!(counted.counter("rx-xsk") > 1000, "{counted:?}");
    Ok(link.after)
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_wrong_password_is_told_and_ends_in_order() -> Result<()> {
    let lan = Lan::new()?;
    let server = Machine::on(&lan, SERVER, SERVER_CONFIG, &[])?;

    let guest = Guest::boot(&lan, GUEST, &client(DataPath::PptpLinux, "WrongPass"))?;
    let report = guest.finish(Duration::from_secs(30))?;
    server.wait_for_sessions(0, ENDING)?;
    server.wait_for_no_tunnels(ENDING)?;
    let log = server.greyhound.log();
    server.stop()?;

    assert!(report.pppd_log.contains("E=691"), "{}", report.pppd_log);
    // Both ends close LCP by its own packets; neither waits for the other to vanish.
    assert!(
        report.pppd_log.contains("rcvd [LCP Term"),
        "{}",
        report.pppd_log
    );
    assert_eq!(
        report.pppd_status,
        Some(AUTHENTICATION_FAILED),
        "{}",
        report.pppd_log
    );
    for secret in [PASSWORD, "WrongPass"] {
        assert!(!log.contains(secret), "a password in the log:\n{log}");
    }
    Ok(())
}

fn client(data_path: DataPath, password: &str) -> Role {
    Role::Client {
        data_path,
        server: SERVER,
        user: "User1".to_owned(),
        password: password.to_owned(),
        script: format!(
            "cat /job/pattern >/dev/tcp/$peer/{UPLOAD}\n\
             cat </dev/tcp/$peer/{DOWNLOAD} >/job/received\n\
             read -r mtu </sys/class/net/$interface/mtu\n\
             ping -q -A -c 1000 -M do -s $((mtu - 28)) $peer\n"
        ),
        files: vec![("pattern".to_owned(), tcp::pattern(BULK_BYTES))],
    }
}

const PASSWORD: &str = "StrongPass-1";
const GUEST: &str = "192.0.2.2/24";
const INNER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const INNER_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const UPLOAD: u16 = 7001;
const DOWNLOAD: u16 = 7002;

/// A user-mode guest is slow; what counts is that every byte is right.
const BULK_BYTES: usize = 1_000_000;
const BULK: Amount = Amount::Bytes(BULK_BYTES as u64);

/// About 2.5 s of it are the guest's own start, and 1 s pptp-linux sleeps.
const IN_TIME: Duration = Duration::from_secs(6);

/// From the client's end to the last trace of it.
const ENDING: Duration = Duration::from_secs(5);

/// Exit status of pppd, see pppd(8).
const HUNG_UP_BY_SIGNAL: i32 = 5;

/// The same.
const AUTHENTICATION_FAILED: i32 = 19;

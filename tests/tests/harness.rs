//! The test peers among themselves: what is not green here says nothing about the product.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use greyhound_tests::guest::{DataPath, Guest, Role};
use greyhound_tests::namespace::{Lan, Namespace, cleanup, join};
use greyhound_tests::ping::Ping;
use greyhound_tests::tcp::{Amount, transfer};

#[test]
#[ignore = "needs root: ./run test"]
fn two_namespaces_reach_each_other() -> Result<()> {
    let (near, far) = (Namespace::new("near")?, Namespace::new("far")?);
    join(&near, &far, "wire", 2)?;
    near.ip("addr add 192.0.2.1/24 dev wire")?;
    far.ip("addr add 192.0.2.2/24 dev wire")?;

    let ping = Ping::run(&near, &["-c", "3", "-i", "0.01", "192.0.2.2"])?;
    assert_eq!((ping.sent, ping.received), (3, 3));
    let there = transfer(
        &near,
        &far,
        "192.0.2.2:7000".parse()?,
        Amount::Bytes(1_000_000),
    )?;
    assert_eq!(there.bytes, 1_000_000);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_namespace_goes_with_everything_in_it() -> Result<()> {
    let namespace = Namespace::new("short")?;
    let name = namespace.name().to_owned();
    let mut sleeper = namespace.command("sleep").arg("60").spawn()?;

    drop(namespace);

    assert!(!sleeper.wait()?.success());
    assert!(Namespace::existing(&name)?.is_none());
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn machines_come_and_go_on_a_lan() -> Result<()> {
    let lan = Lan::new()?;
    let first = Namespace::new("first")?;
    let second = Namespace::new("second")?;
    lan.plug(&first, "wire", "192.0.2.1/24", 1)?;
    lan.plug(&second, "wire", "192.0.2.2/24", 1)?;
    drop(first);

    let third = Namespace::new("third")?;
    lan.plug(&third, "wire", "192.0.2.3/24", 1)?;

    let ping = Ping::run(&second, &["-c", "3", "-i", "0.01", "192.0.2.3"])?;
    assert_eq!((ping.sent, ping.received), (3, 3));
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn what_a_killed_run_left_is_cleaned_up() -> Result<()> {
    // No process has this id: the largest is 2^22.
    let name = "greyhound-4194305-0-left";
    let mut namespace = Namespace::named(name)?;
    let mut sleeper = namespace.command("sleep").arg("60").spawn()?;
    namespace.keep();
    drop(namespace);

    cleanup();

    assert!(!sleeper.wait()?.success());
    assert!(Namespace::existing(name)?.is_none());
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn pptp_linux_talks_to_pptpd() -> Result<()> {
    client_talks_to_pptpd(DataPath::PptpLinux)
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_kernel_client_talks_to_pptpd() -> Result<()> {
    client_talks_to_pptpd(DataPath::Kernel)
}

fn client_talks_to_pptpd(data_path: DataPath) -> Result<()> {
    let lan = Lan::new()?;
    let (ours, peer) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 5));
    let role = Role::Server {
        logins: vec![(USER.to_owned(), PASSWORD.to_owned())],
        ours: ours.to_string(),
        peers: peer.to_string(),
        options: vec![
            "require-mschap-v2".to_owned(),
            "require-mppe-128".to_owned(),
        ],
        files: Vec::new(),
    };
    let mut server = Guest::boot(&lan, "192.0.2.2/24", &role)?;
    server.wait_until_ready(BOOT)?;

    let role = Role::Client {
        data_path,
        server: Ipv4Addr::new(192, 0, 2, 2),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        script: "ping -q -A -c 100 -s 1300 -M do $peer".to_owned(),
        files: Vec::new(),
    };
    let mut client = Guest::boot(&lan, "192.0.2.3/24", &role)?;
    let link = client.wait_for_link(BOOT)?;
    let report = client.finish(BOOT)?;
    server.stop()?;
    let server = server.finish(BOOT)?;

    assert!(
        link.after < BOOT,
        "the link was up {:?} after the start",
        link.after
    );
    assert_eq!((link.ours, link.peer), (peer, ours));
    let ping = Ping::parse(&report.output).map(|ping| (ping.sent, ping.received));
    assert_eq!(
        ping,
        Some((100, 100)),
        "{}\n{}",
        report.output,
        report.pppd_log
    );
    let encryption = "MPPE 128-bit stateless compression enabled";
    assert!(report.pppd_log.contains(encryption), "{}", report.pppd_log);
    assert_eq!(report.pppd_status, Some(5), "{}", report.pppd_log);
    assert!(
        server.pppd_log.contains("LCP terminated by peer"),
        "{}",
        server.pppd_log
    );
    Ok(())
}

const USER: &str = "User1";
const PASSWORD: &str = "StrongPass-1";

/// Booting, and any one step of a guest.
const BOOT: Duration = Duration::from_secs(30);

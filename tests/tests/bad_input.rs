//! Nonsense from the network and from the operator: counted or refused, and never the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::machine::{UPLINK, plugged};
use greyhound_tests::namespace::{Lan, Namespace};
use greyhound_tests::process::Up;
use greyhound_tests::scratch::Scratch;
use greyhound_tests::tunnel::{SERVER, SERVER_CONFIG, Tunnel};
use greyhound_tests::wait::{now, wait_until};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket};

#[test]
#[ignore = "needs root: ./run test"]
fn nonsense_on_tcp_1723_ends_only_its_own_connection() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let cookie = [0x1a, 0x2b, 0x3c, 0x4d];
    let header = |length: u16, kind: u16, cookie: [u8; 4]| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(1u16.to_be_bytes());
        bytes.extend(cookie);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    };

    for (what, bytes) in [
        (
            "a wrong magic cookie",
            header(156, 1, [0xde, 0xad, 0xbe, 0xef]),
        ),
        ("a message longer than any", header(0xffff, 1, cookie)),
        ("a length shorter than the header", header(4, 1, cookie)),
        (
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
    ] {
        let mut stream = dial(&tunnel)?;
        stream.write_all(&bytes)?;
        let ended = closed_after(&mut stream, Duration::from_secs(5));
        ended.with_context(|| format!("{what}\n{}", tunnel.server.greyhound.log()))?;
    }
    // Understood, but too early: refused with a reply, and closed when no start follows.
    let mut stream = dial(&tunnel)?;
    let mut call = header(168, 7, cookie);
    call.resize(168, 0);
    stream.write_all(&call)?;
    let mut reply = [0; 32];
    stream.read_exact(&mut reply)?;
    assert_eq!(reply[9], 8, "an Outgoing-Call-Reply: {reply:x?}");
    assert_eq!(
        reply[16..18],
        [2, 1],
        "general error, not connected: {reply:x?}"
    );
    closed_after(&mut stream, Duration::from_secs(20)).context("a call before the start")?;
    // Cut short by the peer: nothing is left to wait for.
    let mut stream = dial(&tunnel)?;
    stream.write_all(&header(156, 1, cookie)[..7])?;
    drop(stream);

    tunnel.check()?;
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_silent_connection_is_closed() -> Result<()> {
    let tunnel = Tunnel::open()?;

    let silence = closed_after(&mut dial(&tunnel)?, Duration::from_secs(30))?;

    assert!(silence > Duration::from_secs(5), "closed after {silence:?}");
    tunnel.check()?;
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn forged_gre_is_counted_and_harms_no_session() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let counters = || tunnel.server.greyhound.console()?.datapath();
    let before = counters()?;

    let raw = raw_gre(&tunnel)?;
    for packet in [
        vec![],
        vec![0x30, 0x81, 0x88],
        // Version 0, as other tunnels use it.
        vec![0x00, 0x00, 0x08, 0x00, 0x45, 0x00],
        // Not PPP.
        gre(0x3081, 0x0800, 4, 1, 7, b"what"),
        // A payload that ends before its length.
        gre(0x3081, 0x880b, 9000, 1, 7, b"what"),
    ] {
        forge(&raw, &packet)?;
    }
    // One of these call ids is the session's; the others are nobody's.
    for call_id in 0..=u16::MAX {
        // Far ahead of what the session expects, with an MPPE count that was never reached.
        forge(
            &raw,
            &gre(
                0x3081,
                0x880b,
                4,
                call_id,
                0x7fff_ffff,
                &[0xfd, 0x9f, 0xff, 0],
            ),
        )?;
        // Long past.
        forge(
            &raw,
            &gre(0x3081, 0x880b, 4, call_id, 0, &[0xfd, 0x90, 0, 0]),
        )?;
        // An acknowledgement of what was never sent.
        forge(&raw, &gre(0x2081, 0x880b, 0, call_id, 0x7fff_ffff, b""))?;
    }

    let counted = wait_until("the drops are counted", PATIENCE, || {
        counters().is_ok_and(|after| {
            ["truncated-gre", "bad-gre", "unknown-call"]
                .iter()
                .all(|reason| after.dropped(reason) > before.dropped(reason))
                && after.dropped_in_all() > before.dropped_in_all() + 5
        })
    });
    counted.with_context(|| format!("before {before:?}\nafter {:?}", counters()))?;
    tunnel.check()?;
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_missing_interface_is_one_clear_line() -> Result<()> {
    let namespace = Namespace::new("bare")?;
    let output = Up::new(SERVER_CONFIG, "eth7").refused(&namespace)?;
    assert_refused(&output, "eth7")
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_missing_capability_is_one_clear_line() -> Result<()> {
    let lan = Lan::new()?;
    let namespace = plugged(&lan, SERVER)?;
    for capability in ["net_admin", "net_raw"] {
        let up = Up::new(SERVER_CONFIG, UPLINK).without(capability);
        let output = up.refused(&namespace)?;
        assert_refused(&output, &format!("CAP_{}", capability.to_uppercase()))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_mistake_in_the_configuration_is_told_by_line_and_column() -> Result<()> {
    let lan = Lan::new()?;
    let namespace = plugged(&lan, SERVER)?;
    let config = "/interface pptp-server server\nset enabled=yes colour=blue\n";
    let output = Up::new(config, UPLINK).refused(&namespace)?;
    assert_refused(&output, "line 2")?;
    assert_refused(&output, "column 17")
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_second_instance_is_refused_and_the_first_lives() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let up = Up::new(SERVER_CONFIG, UPLINK);

    // The same folder, and another folder but the same port.
    let same = up.refused_in(&tunnel.server.namespace, tunnel.server.greyhound.folder())?;
    let other = up.refused_in(&tunnel.server.namespace, &Scratch::new("second")?)?;

    assert_refused(&same, "running")?;
    assert_refused(&other, "1723")?;
    tunnel.check()?;
    tunnel.close()
}

/// Connects to the concentrator from the client's machine: where else could nonsense do more harm.
fn dial(tunnel: &Tunnel) -> Result<TcpStream> {
    let address = SocketAddr::new(SERVER.into(), 1723);
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    Ok(tunnel.client.namespace.inside(connect)??)
}

/// Opens a socket there that sends what follows an IP header of protocol 47.
fn raw_gre(tunnel: &Tunnel) -> Result<OwnedFd> {
    let protocol = Protocol::from_raw(47.try_into()?);
    let open = || socket(AddressFamily::INET, SocketType::RAW, Some(protocol));
    Ok(tunnel.client.namespace.inside(open)??)
}

fn forge(raw: &OwnedFd, packet: &[u8]) -> Result<()> {
    let to = SocketAddrV4::new(SERVER, 0);
    let sent = sendto(raw, packet, SendFlags::empty(), &to);
    sent.with_context(|| format!("send {packet:02x?}"))?;
    Ok(())
}

/// An enhanced GRE header (RFC 2637 §4.1) with what follows it; `number` is the sequence number
/// where the S bit is set, else the acknowledgement.
fn gre(flags: u16, protocol: u16, length: u16, call_id: u16, number: u32, rest: &[u8]) -> Vec<u8> {
    let mut packet = flags.to_be_bytes().to_vec();
    packet.extend(protocol.to_be_bytes());
    packet.extend(length.to_be_bytes());
    packet.extend(call_id.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend(rest);
    packet
}

/// Reads until the peer ends the connection, and returns how long that took.
fn closed_after(stream: &mut TcpStream, patience: Duration) -> Result<Duration> {
    let started = now();
    stream.set_read_timeout(Some(patience))?;
    let mut answer = [0; 1024];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return Ok(started.elapsed()),
            Ok(_) => ensure!(started.elapsed() < patience, "it goes on talking"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Ok(started.elapsed());
            }
            Err(error) => return Err(error).context("still open"),
        }
    }
}

fn assert_refused(output: &Output, word: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it went well: {said}");
    ensure!(said.trim().lines().count() == 1, "not one line: {said}");
    ensure!(said.contains(word), "nothing about {word}: {said}");
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(15);

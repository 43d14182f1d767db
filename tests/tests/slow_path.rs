//! What XDP leaves to the kernel: fragments, IP options, other workers' sessions on the one raw
//! socket. Slower, and not a packet is lost.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::console::Datapath;
use greyhound_tests::machine::{Machine, QUEUES, UPLINK};
use greyhound_tests::namespace::{Lan, Namespace, join};
use greyhound_tests::ping::Ping;
use greyhound_tests::process::Up;
use greyhound_tests::tunnel::{CLIENT, INNER_SERVER, SERVER, SERVER_CONFIG};
use greyhound_tests::wait::wait_for;
use rustix::net::{
    AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketType, recv, sendto, socket,
};

#[test]
#[ignore = "needs root: ./run test"]
fn datagrams_in_fragments_arrive_through_the_raw_socket() -> Result<()> {
    let (router, server, client) = (
        Namespace::new("router")?,
        Namespace::new("server")?,
        Namespace::new("client")?,
    );
    join(&router, &server, UPLINK, QUEUES)?;
    join(&router, &client, FAR, QUEUES)?;
    server.ip(&format!("addr add {SERVER}/24 dev {UPLINK}"))?;
    client.ip(&format!("addr add {CLIENT_FAR}/24 dev {FAR}"))?;
    router.ip(&format!("addr add 192.0.2.254/24 dev {UPLINK}"))?;
    router.ip(&format!("addr add 198.51.100.254/24 dev {FAR}"))?;
    server.ip("route add default via 192.0.2.254")?;
    client.ip("route add default via 198.51.100.254")?;
    router.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
    // On the way to the server, and only there, the router cuts.
    router.ip(&format!("route add {SERVER}/32 dev {UPLINK} mtu 1000"))?;
    let native = ["--io", "native"];
    let server = Machine {
        greyhound: Up::new(SERVER_CONFIG, UPLINK)
            .with(&native)
            .start(&server)?,
        namespace: server,
    };
    let client = Machine {
        greyhound: Up::new(&client_config(1), FAR)
            .with(&native)
            .start(&client)?,
        namespace: client,
    };
    client
        .wait_for_clients(1, CONNECT)
        .with_context(|| server.greyhound.log())?;
    let before = server.greyhound.console()?.datapath()?;

    ping(&client, "out1", &["-s", "1400", "-c", "100"], &server)?;

    let after = server.greyhound.console()?.datapath()?;
    assert!(grown(&before, &after, "rx-raw") >= 100, "{after:?}");
    assert!(
        after.xdp("fragment") >= before.xdp("fragment") + 200,
        "{after:?}"
    );
    // What fits goes the fast way meanwhile.
    ping(&client, "out1", &["-c", "100"], &server)?;
    let small = server.greyhound.console()?.datapath()?;
    assert!(grown(&after, &small, "rx-xsk") >= 100, "{small:?}");
    client.stop()?;
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn an_echo_request_with_ip_options_is_answered() -> Result<()> {
    let lan = Lan::new()?;
    let server = Machine::on(&lan, SERVER, SERVER_CONFIG, &["--io", "native"])?;
    // Its kernel sends and receives, so that one can listen to it.
    let client = Machine::on(&lan, CLIENT, &client_config(1), &["--io", "raw"])?;
    client
        .wait_for_clients(1, CONNECT)
        .with_context(|| server.greyhound.log())?;
    let wire = client.namespace.inside(listen)??;
    ping(&client, "out1", &["-c", "5"], &server)?;
    let newest = wait_for("a frame of the client's is overheard", PATIENCE, || {
        overheard(&wire).find_map(|datagram| numbered_gre(&datagram, CLIENT))
    })?;
    let before = server.greyhound.console()?.datapath()?;

    let (call_id, seq) = newest;
    // Ahead of what the pings have used by now, and not so far that the client falls behind.
    let request = echo_request(call_id, seq + 40);
    let to = SocketAddrV4::new(SERVER, 0);
    let sender = client.namespace.inside(|| raw_socket(RAW))??;
    sendto(&sender, &with_ip_options(&request), SendFlags::empty(), &to)?;

    wait_for("the answer is overheard", PATIENCE, || {
        overheard(&wire).find(|datagram| from(datagram) == Some(SERVER) && is_answer(datagram))
    })
    .with_context(|| format!("{:?}", server.greyhound.console().map(|c| c.datapath())))?;
    let after = server.greyhound.console()?.datapath()?;
    assert!(grown(&before, &after, "rx-raw") >= 1, "{after:?}");
    assert!(
        after.xdp("ip-options") > before.xdp("ip-options"),
        "{after:?}"
    );
    ping(&client, "out1", &["-c", "50"], &server)?;
    client.stop()?;
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn one_raw_socket_serves_the_sessions_of_every_worker() -> Result<()> {
    let lan = Lan::new()?;
    let raw = ["--io", "raw", "--queues", "2"];
    let config = format!(
        "{SERVER_CONFIG}add name=User2 password=StrongPass-2 profile=test \
         remote-address=10.0.0.6 service=pptp\n"
    );
    let server = Machine::on(&lan, SERVER, &config, &raw)?;
    let clients = format!("{}{}", client_config(1), client_config(2));
    let client = Machine::on(&lan, CLIENT, &clients, &raw)?;
    client
        .wait_for_clients(2, CONNECT)
        .with_context(|| server.greyhound.log())?;

    // More than a worker has buffers: each must come back to the worker it was taken from.
    for interface in ["out1", "out2"] {
        ping(&client, interface, &["-c", "1000"], &server)?;
    }

    let counted = server.greyhound.console()?.datapath()?;
    assert!(counted.counter("rx-handoff") >= 1000, "{counted:?}");
    assert_eq!(counted.dropped("handoff-full"), 0, "{counted:?}");
    client.stop()?;
    server.stop()
}

/// Pings through the tunnel without a loss.
fn ping(client: &Machine, interface: &str, words: &[&str], server: &Machine) -> Result<()> {
    let mut all = vec!["-q", "-A", "-I", interface];
    all.extend(words);
    all.push(INNER_SERVER);
    let ping = Ping::run(&client.namespace, &all)?;
    let counted = || server.greyhound.console().map(|console| console.datapath());
    ensure!(
        ping.sent == ping.received,
        "{interface}: {ping:?}\n{:?}\n{}",
        counted(),
        server.greyhound.log()
    );
    Ok(())
}

fn grown(before: &Datapath, after: &Datapath, counter: &str) -> u64 {
    after.counter(counter) - before.counter(counter)
}

fn client_config(number: u8) -> String {
    format!(
        "/interface pptp-client\n\
         add name=out{number} connect-to={SERVER} user=User{number} \
         password=StrongPass-{number} disabled=no\n"
    )
}

/// Hears every datagram of the calling thread's namespace, in both directions.
fn listen() -> rustix::io::Result<OwnedFd> {
    let everything = RawProtocol::new(u32::from(ETH_P_ALL.to_be())).map(Protocol::from_raw);
    socket(AddressFamily::PACKET, SocketType::DGRAM, everything)
}

fn raw_socket(protocol: u32) -> rustix::io::Result<OwnedFd> {
    let protocol = RawProtocol::new(protocol).map(Protocol::from_raw);
    socket(AddressFamily::INET, SocketType::RAW, protocol)
}

/// What was heard and not taken yet.
fn overheard(wire: &OwnedFd) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || {
        let mut datagram = vec![0; 2048];
        let (len, _) = recv(wire, &mut datagram[..], RecvFlags::DONTWAIT).ok()?;
        datagram.truncate(len);
        Some(datagram)
    })
}

fn from(datagram: &[u8]) -> Option<Ipv4Addr> {
    let address: [u8; 4] = datagram.get(12..16)?.try_into().ok()?;
    Some(address.into())
}

/// Call id and sequence number of a GRE datagram from `source` that has one.
fn numbered_gre(datagram: &[u8], source: Ipv4Addr) -> Option<(u16, u32)> {
    if datagram.first() != Some(&0x45) || datagram.get(9) != Some(&GRE) {
        return None;
    }
    let gre = datagram.get(20..32)?;
    let numbered = gre[0] & 0x10 != 0;
    (from(datagram)? == source && numbered).then(|| {
        let call_id = u16::from_be_bytes([gre[6], gre[7]]);
        (
            call_id,
            u32::from_be_bytes([gre[8], gre[9], gre[10], gre[11]]),
        )
    })
}

/// A GRE packet (RFC 2637 §4.1) with an LCP Echo-Request (RFC 1661 §5.8).
fn echo_request(call_id: u16, seq: u32) -> Vec<u8> {
    let mut lcp = vec![0xff, 0x03, 0xc0, 0x21, 9, IDENTIFIER, 0, 12];
    lcp.extend([0; 4]);
    lcp.extend(b"echo");
    let mut packet = vec![0x30, 0x01, 0x88, 0x0b, 0, 16];
    packet.extend(call_id.to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend(lcp);
    packet
}

/// Three No-Operations and the end of the options; the kernel fills in the rest of the header.
fn with_ip_options(gre: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x46, 0, 0, 0, 0, 0, 0, 0, 64, GRE, 0, 0];
    datagram.extend(CLIENT.octets());
    datagram.extend(SERVER.octets());
    datagram.extend([1, 1, 1, 0]);
    datagram.extend(gre);
    datagram
}

fn is_answer(datagram: &[u8]) -> bool {
    let reply = [0xc0, 0x21, 10, IDENTIFIER];
    datagram.get(9) == Some(&GRE) && datagram.windows(4).any(|window| window == reply)
}

const GRE: u8 = 47;
/// IPPROTO_RAW: the caller writes the IP header.
const RAW: u32 = 255;
const ETH_P_ALL: u16 = 3;
const IDENTIFIER: u8 = 0x77;

/// The router's and the client's side of the wire between them.
const FAR: &str = "far";
const CLIENT_FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

const CONNECT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(10);

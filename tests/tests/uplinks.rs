//! Machines with several ways out, and with none that anybody named: each session's frames take the
//! interface that the kernel's routes say, in the way that this interface allows.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::console::Datapath;
use greyhound_tests::machine::{Machine, QUEUES};
use greyhound_tests::namespace::{Namespace, join};
use greyhound_tests::ping::Ping;
use greyhound_tests::process::Up;

#[test]
#[ignore = "needs root: ./run test"]
fn a_client_dials_by_two_interfaces_and_moves_frames_in_two_ways() -> Result<()> {
    // The bridge is there, and nobody said that it is to be served.
    let lab = Laboratory::start("wire")?;
    assert_eq!(lab.counted()?.io, "native");

    let (before, after) = lab.ping(1)?;
    assert!(grown(&before, &after, "rx-xsk") >= PINGS, "{after:?}");
    assert!(grown(&before, &after, "tx-xsk") >= PINGS, "{after:?}");
    assert!(grown(&before, &after, "rx-raw") < FEW, "{after:?}");
    assert!(grown(&before, &after, "tx-raw") < FEW, "{after:?}");
    let (before, after) = lab.ping(2)?;
    assert!(grown(&before, &after, "rx-raw") >= PINGS, "{after:?}");
    assert!(grown(&before, &after, "tx-raw") >= PINGS, "{after:?}");
    assert!(grown(&before, &after, "rx-xsk") < FEW, "{after:?}");
    assert!(grown(&before, &after, "tx-xsk") < FEW, "{after:?}");

    let log = lab.client.greyhound.log();
    assert!(log.contains("is not served"), "{log}");
    lab.check_mtu()?;
    lab.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn two_interfaces_are_served_each_as_well_as_it_lets() -> Result<()> {
    let lab = Laboratory::start("wire,lan")?;
    let datapath = lab.counted()?;
    assert_eq!(datapath.io, "native,skb");
    assert_eq!(datapath.all["uplink"], "wire,lan");
    let workers = datapath.all["workers"].as_array().map_or(0, Vec::len);
    assert_eq!(
        workers, 3,
        "two for the queues of a cable, one for a bridge"
    );

    for number in [1, 2] {
        let (before, after) = lab.ping(number)?;
        assert!(grown(&before, &after, "rx-xsk") >= PINGS, "{after:?}");
        assert!(grown(&before, &after, "tx-xsk") >= PINGS, "{after:?}");
        assert!(grown(&before, &after, "rx-raw") < FEW, "{after:?}");
        assert!(grown(&before, &after, "tx-raw") < FEW, "{after:?}");
    }

    lab.check_mtu()?;
    lab.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn what_arrives_by_another_interface_is_answered_by_the_one_of_the_route() -> Result<()> {
    let (server, client) = (Namespace::new("server")?, Namespace::new("client")?);
    for (network, interface) in [("192.0.2", "one"), ("198.51.100", "two")] {
        join(&server, &client, interface, QUEUES)?;
        server.ip(&format!("addr add {network}.1/24 dev {interface}"))?;
        client.ip(&format!("addr add {network}.2/24 dev {interface}"))?;
    }
    // There by the one, and back by the other.
    client.ip("route add 192.0.2.1/32 dev two src 192.0.2.2")?;
    let server = started(server, &server_config(1), "one,two")?;
    let client = started(client, &client_config(&[(1, "192.0.2.1")]), "one,two")?;
    client
        .wait_for_clients(1, CONNECT)
        .with_context(|| server.greyhound.log())?;
    let before = client.greyhound.console()?.datapath()?;

    let ping = Ping::run(&client.namespace, &["-q", "-A", "-c", "100", "10.0.1.1"])?;

    assert_eq!((ping.sent, ping.received), (100, 100));
    let after = client.greyhound.console()?.datapath()?;
    assert!(grown(&before, &after, "rx-xsk") >= PINGS, "{after:?}");
    assert!(grown(&before, &after, "rx-handoff") >= PINGS, "{after:?}");
    // What is known of the one's cable says nothing about the other's.
    assert_eq!(after.counter("tx-xsk"), 0, "{after:?}");
    assert!(grown(&before, &after, "tx-raw") >= PINGS, "{after:?}");
    client.stop()?;
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn without_a_word_the_interface_of_the_default_route_is_served() -> Result<()> {
    let (server, client) = (Namespace::new("server")?, Namespace::new("client")?);
    join(&server, &client, "wire", QUEUES)?;
    server.ip("addr add 192.0.2.1/24 dev wire")?;
    client.ip("addr add 192.0.2.2/24 dev wire")?;
    client.ip("route add default via 192.0.2.1 metric 100")?;
    let server = started(server, &server_config(1), "wire")?;
    let client = started(client, &client_config(&[(1, "192.0.2.1")]), "")?;

    let datapath = client.greyhound.console()?.datapath()?;
    assert_eq!(
        (datapath.io.as_str(), &datapath.all["uplink"]),
        ("native", &"wire".into())
    );
    let log = client.greyhound.log();
    assert!(log.contains("that of the default route is served"), "{log}");
    client
        .wait_for_clients(1, CONNECT)
        .with_context(|| server.greyhound.log())?;
    let ping = Ping::run(&client.namespace, &["-q", "-A", "-c", "100", "10.0.1.1"])?;
    assert_eq!((ping.sent, ping.received), (100, 100));
    client.stop()?;
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_machine_that_nothing_leads_away_from_dials_itself() -> Result<()> {
    let namespace = Namespace::new("alone")?;
    let config = format!("{}{}", server_config(1), client_config(&[(1, "127.0.0.1")]));
    let machine = started(namespace, &config, "")?;

    machine.wait_for_clients(1, CONNECT)?;

    let console = machine.greyhound.console()?;
    let datapath = console.datapath()?;
    assert_eq!(datapath.io, "raw");
    assert!(datapath.counter("rx-raw") > 0, "{datapath:?}");
    assert_eq!(datapath.sessions, 2, "{datapath:?}");
    let detail = console.json(&["interface", "pptp-server", "print", "detail"])?;
    assert_eq!(detail[0]["path-mtu"], u16::MAX, "{detail}");
    machine.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn an_interface_that_is_not_there_is_named_and_nothing_starts() -> Result<()> {
    let namespace = Namespace::new("alone")?;
    let refused = Up::new("", "lo,nowhere").refused(&namespace)?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(!refused.status.success());
    assert!(
        said.contains("--interface nowhere: there is no such interface"),
        "{said}"
    );
    Ok(())
}

/// Two servers, and a client that reaches one by a cable and the other by a bridge, behind which
/// datagrams must be smaller.
struct Laboratory {
    // The client hangs up while the servers are there.
    client: Machine,
    servers: [Machine; 2],
}

impl Laboratory {
    /// Starts all three, the client on these interfaces, and waits until it has both sessions.
    fn start(interfaces: &str) -> Result<Self> {
        let client = Namespace::new("client")?;
        let first = Namespace::new("server")?;
        join(&client, &first, "wire", QUEUES)?;
        client.ip("addr add 192.0.2.2/24 dev wire")?;
        first.ip("addr add 192.0.2.1/24 dev wire")?;
        let second = Namespace::new("server")?;
        join(&client, &second, "port", QUEUES)?;
        client.ip("link add lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        client.ip("link set port master lan mtu 1400")?;
        client.ip("link set lan up")?;
        client.ip("addr add 198.51.100.2/24 dev lan")?;
        second.ip("link set port mtu 1400")?;
        second.ip("addr add 198.51.100.1/24 dev port")?;
        let servers = [
            started(first, &server_config(1), "wire")?,
            started(second, &server_config(2), "port")?,
        ];
        let config = client_config(&[(1, "192.0.2.1"), (2, "198.51.100.1")]);
        let client = started(client, &config, interfaces)?;
        let connected = client.wait_for_clients(2, CONNECT);
        connected.with_context(|| servers[1].greyhound.log())?;
        Ok(Self { client, servers })
    }

    /// What the client has counted.
    fn counted(&self) -> Result<Datapath> {
        self.client.greyhound.console()?.datapath()
    }

    /// Pings a server without a loss, and says what the client had counted before and after.
    fn ping(&self, number: u8) -> Result<(Datapath, Datapath)> {
        let inner = format!("10.0.{number}.1");
        let ping = |count: &str| {
            let words = ["-q", "-A", "-c", count, &inner];
            let ping = Ping::run(&self.client.namespace, &words)?;
            let log = || self.client.greyhound.log();
            ensure!(ping.sent == ping.received, "{number}: {ping:?}\n{}", log());
            Ok(())
        };
        // The first one may still find the way.
        ping("1")?;
        let before = self.counted()?;
        ping("100")?;
        Ok((before, self.counted()?))
    }

    /// The way to the second server carries less, and both ends know it.
    fn check_mtu(&self) -> Result<()> {
        for (server, path) in self.servers.iter().zip([1500, 1400]) {
            let console = server.greyhound.console()?;
            let detail = console.json(&["interface", "pptp-server", "print", "detail"])?;
            ensure!(detail[0]["path-mtu"] == path, "{detail}");
        }
        let console = self.client.greyhound.console()?;
        let mtu = |name: &str| {
            let state = console.json(&["interface", "pptp-client", "monitor", name, "once"])?;
            state["mtu"].as_u64().context("no mtu")
        };
        ensure!(mtu("out1")? == 1500 - OVERHEAD, "{}", mtu("out1")?);
        ensure!(mtu("out2")? == 1400 - OVERHEAD, "{}", mtu("out2")?);
        Ok(())
    }

    fn stop(self) -> Result<()> {
        self.client.stop()?;
        self.servers.into_iter().try_for_each(Machine::stop)
    }
}

fn started(namespace: Namespace, config: &str, interfaces: &str) -> Result<Machine> {
    Ok(Machine {
        greyhound: Up::new(config, interfaces).start(&namespace)?,
        namespace,
    })
}

fn grown(before: &Datapath, after: &Datapath, counter: &str) -> u64 {
    after.counter(counter) - before.counter(counter)
}

fn server_config(number: u8) -> String {
    format!(
        "/ppp profile\n\
         add name=test local-address=10.0.{number}.1 use-encryption=required\n\
         /interface pptp-server server\n\
         set authentication=mschap2 default-profile=test enabled=yes\n\
         /ppp secret\n\
         add name=User1 password=StrongPass-1 profile=test remote-address=10.0.{number}.5 \
         service=pptp\n"
    )
}

/// Clients `out1` and so on, of these servers.
fn client_config(servers: &[(u8, &str)]) -> String {
    let mut config = "/interface pptp-client\n".to_owned();
    for (number, server) in servers {
        config += &format!(
            "add name=out{number} connect-to={server} user=User1 password=StrongPass-1 \
             disabled=no\n"
        );
    }
    config
}

const PINGS: u64 = 100;

/// Frames that no ping sent: an echo of LCP, an acknowledgement.
const FEW: u64 = 20;

/// What the tunnel adds to a packet, with everything compressed and encrypted.
const OVERHEAD: u64 = 40;

const CONNECT: Duration = Duration::from_secs(15);

//! What a client that dials out does to its machine: routes, a packet that dials, and nothing left.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::machine::{Machine, UPLINK};
use greyhound_tests::namespace::Lan;
use greyhound_tests::ping::Ping;
use greyhound_tests::process::send_signal;
use greyhound_tests::tunnel::{CLIENT, INNER_SERVER, SERVER, SERVER_CONFIG};
use greyhound_tests::wait::wait_until;
use rustix::process::Signal;

#[test]
#[ignore = "needs root: ./run test"]
fn everything_goes_through_the_tunnel_but_the_tunnel() -> Result<()> {
    let lab = Lab::new(&client_config(
        "add-default-route=yes default-route-distance=5",
    ))?;
    let Lab { client, server, .. } = &lab;
    client.wait_for_clients(1, PATIENCE)?;
    // The operator's own route has a greater metric, and stays.
    lab.goes_by(ELSEWHERE, "pptp-out1")?;
    lab.goes_by("192.0.2.1", UPLINK)?;
    let routes = lab.routes()?;
    ensure!(routes.len() == 2, "{routes:?}");
    ensure!(
        routes.contains(&"default dev pptp-out1 scope link metric 5".to_owned()),
        "{routes:?}"
    );
    ensure!(
        routes.contains(&"192.0.2.1 dev wire scope link".to_owned()),
        "{routes:?}"
    );
    lab.ping(INNER_SERVER)?;

    // The server goes: so do the routes, and the operator's counts again; the interface stays.
    let index = lab.index()?;
    client
        .namespace
        .ip("route add 10.77.0.0/16 dev pptp-out1")?;
    let session = server.typed("/ppp active remove [find]")?;
    ensure!(session.is_empty(), "{session}");
    wait_until("the client is back", PATIENCE, || {
        let log = client.greyhound.log();
        log.matches("pptp-out1: connected").count() == 2
    })?;
    ensure!(lab.index()? == index, "another interface");
    lab.goes_by("10.77.1.1", "pptp-out1")?;
    lab.goes_by(ELSEWHERE, "pptp-out1")?;
    lab.ping(INNER_SERVER)?;

    client.typed("/interface pptp-client disable pptp-out1")?;
    client.wait_for_no_tunnels(PATIENCE)?;
    lab.goes_by(ELSEWHERE, UPLINK)?;
    ensure!(lab.routes()?.is_empty(), "{:?}", lab.routes()?);
    lab.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_default_route_that_another_goes_before_is_told_of() -> Result<()> {
    let lab = Lab::new(&client_config(
        "add-default-route=yes default-route-distance=200",
    ))?;
    lab.client.wait_for_clients(1, PATIENCE)?;
    let told = "the default route of wire with metric 100 goes before it";
    lab.client.wait_for_log(&[told], PATIENCE)?;
    lab.goes_by(ELSEWHERE, UPLINK)?;
    lab.ping(INNER_SERVER)?;
    lab.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_crash_leaves_routes_that_the_next_start_deletes() -> Result<()> {
    let config = client_config("add-default-route=yes default-route-distance=5");
    let mut lab = Lab::new(&config)?;
    lab.client.wait_for_clients(1, PATIENCE)?;

    // Of the datapath alone: it is started again, and all is as before.
    let killed = lab.client.greyhound.datapath()?;
    send_signal(killed, Signal::KILL)?;
    wait_until("another datapath runs", PATIENCE, || {
        let running = lab.client.greyhound.datapath();
        running.is_ok_and(|pid| pid != killed)
    })?;
    wait_until("the client is back", PATIENCE, || {
        let log = lab.client.greyhound.log();
        log.matches("pptp-out1: connected").count() == 2
    })?;
    ensure!(lab.routes()?.len() == 2, "{:?}", lab.routes()?);
    lab.ping(INNER_SERVER)?;

    // Of the control process alone: it takes over the interface with all that is on it.
    let index = lab.index()?;
    lab.client
        .namespace
        .ip("route add 10.77.0.0/16 dev pptp-out1")?;
    let killed = lab.client.greyhound.control()?;
    send_signal(killed, Signal::KILL)?;
    wait_until("another control process has connected", PATIENCE, || {
        let log = lab.client.greyhound.log();
        log.matches("pptp-out1: connected").count() == 3
    })
    .with_context(|| lab.client.greyhound.log())?;
    ensure!(lab.index()? == index, "another interface");
    lab.goes_by("10.77.1.1", "pptp-out1")?;
    lab.ping(INNER_SERVER)?;

    // Of everything: what may be left is the way to the server, which harms nobody.
    lab.client.greyhound.kill_everything()?;
    wait_until("the operator's route counts again", PATIENCE, || {
        lab.goes_by(ELSEWHERE, UPLINK).is_ok()
    })?;
    lab.client
        .namespace
        .ip("route replace 192.0.2.1 dev wire proto 112")?;
    let disabled = config.replace("disabled=no", "disabled=yes");
    lab.client.start_again(&disabled)?;
    wait_until("its route is deleted", PATIENCE, || {
        lab.routes().is_ok_and(|routes| routes.is_empty())
    })?;
    lab.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_packet_dials_and_arrives_and_silence_hangs_up() -> Result<()> {
    let lab = Lab::new(&client_config(
        "add-default-route=yes default-route-distance=5 dial-on-demand=yes profile=demand",
    ))?;
    let status = || {
        lab.client
            .typed("/interface pptp-client monitor pptp-out1 once")
    };
    let waits = || status().is_ok_and(|status| status.contains("waiting for packets..."));
    wait_until("it waits for packets", PATIENCE, waits)?;
    let shown = lab.client.namespace.ip("addr show dev pptp-out1")?;
    ensure!(shown.contains("peer 10.112.112.112/32"), "{shown}");
    ensure!(
        lab.routes()? == ["default via 10.112.112.112 dev pptp-out1 metric 5"],
        "{:?}",
        lab.routes()?
    );
    // Nothing happens by itself.
    std::thread::sleep(Duration::from_secs(2));
    ensure!(waits(), "{}", lab.client.greyhound.log());

    // One packet: it dials, waits, and is answered.
    let ping = Ping::run(
        &lab.client.namespace,
        &["-c", "1", "-W", "10", INNER_SERVER],
    )?;
    let log = || lab.client.greyhound.log();
    ensure!(ping.received == 1, "{ping:?}\n{}", log());
    lab.client.wait_for_clients(1, PATIENCE)?;
    lab.ping(INNER_SERVER)?;
    let index = lab.index()?;

    // Two seconds without data, and it waits for the next one.
    wait_until("it waits for packets again", PATIENCE, waits).with_context(log)?;
    lab.client
        .wait_for_log(&["terminating... - idle timeout", "disconnected"], PATIENCE)?;
    lab.server.wait_for_sessions(0, PATIENCE)?;
    ensure!(lab.index()? == index, "another interface");
    let again = Ping::run(
        &lab.client.namespace,
        &["-c", "1", "-W", "10", INNER_SERVER],
    )?;
    ensure!(again.received == 1, "{again:?}\n{}", log());

    lab.client
        .typed("/interface pptp-client remove pptp-out1")?;
    lab.client.wait_for_no_tunnels(PATIENCE)?;
    ensure!(lab.routes()?.is_empty(), "{:?}", lab.routes()?);
    lab.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn without_a_resolver_the_server_s_name_servers_are_told_and_not_used() -> Result<()> {
    // Where there is one it is the machine's own, which is not this test's to change.
    let resolvers = [
        "/sbin/resolvconf",
        "/usr/sbin/resolvconf",
        "/usr/bin/resolvectl",
    ];
    if resolvers
        .iter()
        .any(|path| std::path::Path::new(path).exists())
    {
        println!("skipped: this machine has a resolver to be told");
        return Ok(());
    }
    let server = SERVER_CONFIG.replace("add name=test ", "add name=test dns-server=10.0.0.53 ");
    let lab = Lab::with(&server, &client_config("use-peer-dns=yes"))?;
    lab.client.wait_for_clients(1, PATIENCE)?;
    let told = [
        "pptp-out1: connected",
        "neither systemd-resolved nor resolvconf",
        "10.0.0.53",
    ];
    lab.client.wait_for_log(&told[..2], PATIENCE)?;
    ensure!(lab.client.greyhound.log().contains(told[2]));
    lab.close()
}

/// A server, and a client with a default route of its own beside.
struct Lab {
    client: Machine,
    server: Machine,
    _lan: Lan,
}

impl Lab {
    fn new(client: &str) -> Result<Self> {
        Self::with(SERVER_CONFIG, client)
    }

    fn with(server: &str, client: &str) -> Result<Self> {
        let lan = Lan::new()?;
        let server = Machine::on(&lan, SERVER, server, &[])?;
        // It has a way out before it dials.
        let disabled = client.replace("disabled=no", "disabled=yes");
        let machine = Machine::on(&lan, CLIENT, &disabled, &[])?;
        machine
            .namespace
            .ip("route add default via 192.0.2.254 metric 100")?;
        if client != disabled {
            machine.typed("/interface pptp-client enable pptp-out1")?;
        }
        Ok(Self {
            client: machine,
            server,
            _lan: lan,
        })
    }

    /// Routes of ours, in `ip`'s words.
    fn routes(&self) -> Result<Vec<String>> {
        let shown = self.client.namespace.ip("route show proto 112")?;
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(shown.lines().map(words).collect())
    }

    fn goes_by(&self, address: &str, interface: &str) -> Result<()> {
        let way = self.client.namespace.ip(&format!("route get {address}"))?;
        ensure!(way.contains(&format!("dev {interface} ")), "{way}");
        Ok(())
    }

    fn index(&self) -> Result<String> {
        let shown = self.client.namespace.ip("link show dev pptp-out1")?;
        let (index, _) = shown.split_once(':').context("no index")?;
        Ok(index.to_owned())
    }

    fn ping(&self, address: &str) -> Result<()> {
        let ping = Ping::run(
            &self.client.namespace,
            &["-q", "-i", "0.02", "-c", "20", address],
        )?;
        let log = || self.client.greyhound.log();
        ensure!(ping.received == ping.sent, "{ping:?}\n{}", log());
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.client.stop()?;
        self.server.wait_for_sessions(0, PATIENCE)?;
        self.server.stop()
    }
}

fn client_config(properties: &str) -> String {
    format!(
        "/ppp profile\n\
         add name=demand use-encryption=yes idle-timeout=2s\n\
         /interface pptp-client\n\
         add name=pptp-out1 connect-to={SERVER} user=User1 password=StrongPass-1 \
         {properties} disabled=no\n"
    )
}

/// Nobody is there.
const ELSEWHERE: &str = "203.0.113.1";

const PATIENCE: Duration = Duration::from_secs(20);

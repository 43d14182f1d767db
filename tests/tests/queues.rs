//! `--queues` and `--cores`: fewer workers than the interface has queues, and where they run.

use std::time::Duration;

use anyhow::Result;
use greyhound_tests::machine::{Machine, QUEUES, UPLINK};
use greyhound_tests::namespace::{Namespace, join};
use greyhound_tests::ping::Ping;
use greyhound_tests::process::Up;
use greyhound_tests::tunnel::{self, CLIENT, SERVER, Tunnel};

#[test]
#[ignore = "needs root: ./run test"]
fn a_queue_without_a_worker_takes_the_slow_path() -> Result<()> {
    // Without a bridge between them, what is sent on one queue arrives on the queue of its number.
    let (server, client) = (Namespace::new("server")?, Namespace::new("client")?);
    join(&server, &client, UPLINK, QUEUES)?;
    server.ip(&format!("addr add {SERVER}/24 dev {UPLINK}"))?;
    client.ip(&format!("addr add {CLIENT}/24 dev {UPLINK}"))?;
    let up = Up::new(SERVER_CONFIG, UPLINK).with(&["--queues", "1"]);
    let server = Machine {
        greyhound: up.start(&server)?,
        namespace: server,
    };
    // The client's two workers, one session each, send on two queues.
    let up = Up::new(CLIENT_CONFIG, UPLINK);
    let client = Machine {
        greyhound: up.start(&client)?,
        namespace: client,
    };
    client.wait_for_clients(2, Duration::from_secs(15))?;

    for interface in ["pptp-out1", "pptp-out2"] {
        let words = ["-q", "-A", "-c", "100", "-I", interface, "10.0.0.1"];
        let ping = Ping::run(&client.namespace, &words)?;
        assert_eq!((ping.sent, ping.received), (100, 100), "{interface}");
    }

    let datapath = server.greyhound.console()?.datapath()?;
    let (steered, slow) = (datapath.counter("rx-xsk"), datapath.counter("rx-raw"));
    assert!(steered >= 100, "{datapath:?}");
    assert!(slow >= 100, "{datapath:?}");
    assert!(datapath.xdp("no-socket") >= 100, "{datapath:?}");
    client.stop()?;
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn workers_run_on_the_cores_they_are_given() -> Result<()> {
    let tunnel = Tunnel::open_to(tunnel::SERVER_CONFIG, &["--cores", "1"])?;

    let datapath = tunnel.server.greyhound.console()?.datapath()?;

    let workers = datapath.all["workers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let cores: Vec<_> = workers
        .iter()
        .map(|worker| worker["core"].as_u64())
        .collect();
    assert_eq!(cores, [Some(1), Some(1)], "two queues, one core");
    tunnel.close()
}

const SERVER_CONFIG: &str = "\
/ip pool
add name=clients ranges=10.0.0.10-10.0.0.20
/ppp profile
add name=test local-address=10.0.0.1 remote-address=clients use-encryption=required
/interface pptp-server server
set authentication=mschap2 default-profile=test enabled=yes
/ppp secret
add name=User1 password=StrongPass-1 profile=test service=pptp
";

const CLIENT_CONFIG: &str = "\
/interface pptp-client
add name=pptp-out1 connect-to=192.0.2.1 user=User1 password=StrongPass-1 disabled=no
add name=pptp-out2 connect-to=192.0.2.1 user=User1 password=StrongPass-1 disabled=no
";

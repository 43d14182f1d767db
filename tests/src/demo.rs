//! The demonstration: two namespaces joined by a veth with two queues, the concentrator in one, the
//! product's own client in the other, and real traffic between them.

use std::fmt;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use greyhound_control::model::DEMO;
use rustix::process::Signal;

use crate::console::Datapath;
use crate::machine::{Machine, QUEUES, UPLINK};
use crate::namespace::{Namespace, join};
use crate::ping::Ping;
use crate::process::{self, Up};
use crate::scratch::Scratch;
use crate::tcp::{Amount, Transfer, transfer};
use crate::wait::{now, wait_until};

/// The demonstration, connected.
#[derive(Debug)]
pub struct Demo {
    // Dropped in this order: the client hangs up while the server is there.
    client: Machine,
    server: Machine,
    /// From the start of the first program to a client that is connected.
    pub connected_after: Duration,
    /// Keeps others from the names for people while this process lives.
    lock: Option<File>,
}

/// Why one may believe that traffic flowed, and how.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// `native`, `skb` or `raw`.
    pub io: String,
    /// What both ends say the encryption is.
    pub encoding: String,
    /// Frames that the server's XDP program redirected to a worker.
    pub redirected: u64,
    /// Frames that the server's workers received through AF_XDP.
    pub rx_xsk: u64,
    /// Frames that they sent through AF_XDP.
    pub tx_xsk: u64,
    /// Frames that they received through the raw socket.
    pub rx_raw: u64,
    /// Frames that they sent through the raw socket.
    pub tx_raw: u64,
}

impl Demo {
    /// Starts it in namespaces of this run, with `--io` for both ends.
    ///
    /// # Errors
    /// One of the programs does not start, or they do not connect; the message has their logs.
    pub fn start(io: &str) -> Result<Self> {
        Self::assemble(
            (Namespace::new("server")?, Scratch::new("server")?),
            (Namespace::new("client")?, Scratch::new("client")?),
            io,
        )
    }

    /// Starts it under names that a person can remember. What another one left is removed.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_for_people(io: &str) -> Result<Self> {
        let lock = lock()?;
        remove_kept()?;
        let place = |name: &str| -> Result<_> {
            let folder = Scratch::at(std::env::temp_dir().join(name))?;
            Ok((Namespace::named(name)?, folder))
        };
        let mut demo = Self::assemble(place(SERVER)?, place(CLIENT)?, io)?;
        demo.lock = Some(lock);
        Ok(demo)
    }

    fn assemble(
        (server, server_folder): (Namespace, Scratch),
        (client, client_folder): (Namespace, Scratch),
        io: &str,
    ) -> Result<Self> {
        join(&server, &client, UPLINK, QUEUES)?;
        server.ip(&format!("addr add {SERVER_ADDRESS}/24 dev {UPLINK}"))?;
        client.ip(&format!("addr add {CLIENT_ADDRESS}/24 dev {UPLINK}"))?;
        let arguments = ["--queues", &QUEUES.to_string(), "--io", io];

        let started = now();
        let up = Up::new(DEMO, UPLINK).with(&arguments);
        let server = Machine {
            greyhound: up.start_in(&server, &Arc::new(server_folder))?,
            namespace: server,
        };
        let up = Up::new(&client_config(), UPLINK).with(&arguments);
        let client = Machine {
            greyhound: up.start_in(&client, &Arc::new(client_folder))?,
            namespace: client,
        };
        client
            .wait_for_clients(1, CONNECT)
            .with_context(|| server.greyhound.log())?;
        Ok(Self {
            client,
            server,
            connected_after: started.elapsed(),
            lock: None,
        })
    }

    /// The concentrator's side.
    #[must_use]
    pub fn server(&self) -> &Machine {
        &self.server
    }

    /// The client's side.
    #[must_use]
    pub fn client(&self) -> &Machine {
        &self.client
    }

    /// Pings the server through the tunnel, with packets that fill the tunnel's MTU.
    ///
    /// # Errors
    /// `ping` cannot send.
    pub fn ping(&self, count: u32) -> Result<Ping> {
        let mtu = self
            .client
            .namespace
            .interfaces()?
            .get(TUNNEL)
            .and_then(|link| link["mtu"].as_u64());
        let payload = mtu.context("the tunnel has no MTU")? - IP_AND_ICMP_BYTES;
        let (payload, count) = (payload.to_string(), count.to_string());
        Ping::run(
            &self.client.namespace,
            &[
                "-q",
                "-A",
                "-M",
                "do",
                "-s",
                &payload,
                "-c",
                &count,
                INNER_SERVER,
            ],
        )
    }

    /// TCP from the client to the server through the tunnel.
    ///
    /// # Errors
    /// As [`transfer`].
    pub fn upload(&self, amount: Amount) -> Result<Transfer> {
        let to = inner(INNER_SERVER)?;
        transfer(&self.client.namespace, &self.server.namespace, to, amount)
    }

    /// TCP from the server to the client through the tunnel.
    ///
    /// # Errors
    /// As [`transfer`].
    pub fn download(&self, amount: Amount) -> Result<Transfer> {
        let to = inner(INNER_CLIENT)?;
        transfer(&self.server.namespace, &self.client.namespace, to, amount)
    }

    /// Reads the counters, and checks that they can only come from encrypted traffic that took the
    /// path its I/O mode promises.
    ///
    /// # Errors
    /// What is missing.
    pub fn evidence(&self) -> Result<Evidence> {
        let console = self.server.greyhound.console()?;
        let sessions = console.sessions()?;
        ensure!(sessions.len() == 1, "one session expected: {sessions:?}");
        let client = self.client.greyhound.console()?;
        for encoding in [&sessions[0].encoding, &client.client_encoding(TUNNEL)?] {
            ensure!(encoding == ENCODING, "the encryption is {encoding:?}");
        }
        let evidence = Evidence::read(ENCODING, &console.datapath()?);
        let moved = match evidence.io.as_str() {
            "native" | "skb" => {
                evidence.redirected > 0 && evidence.rx_xsk > 0 && evidence.tx_xsk > 0
            }
            "raw" => evidence.rx_raw > 0 && evidence.tx_raw > 0 && evidence.rx_xsk == 0,
            other => bail!("an unknown I/O mode: {other}"),
        };
        ensure!(moved, "the traffic took another way: {evidence:?}");
        Ok(evidence)
    }

    /// Ends both ends in an orderly way, the client first, and checks that nothing is left.
    ///
    /// # Errors
    /// One does not end well, or leaves something.
    pub fn stop(self) -> Result<()> {
        self.client.stop().context("client")?;
        self.server.wait_for_sessions(0, CONNECT)?;
        self.server.stop().context("server")
    }

    /// Leaves everything running.
    pub fn keep(mut self) {
        for machine in [&mut self.server, &mut self.client] {
            machine.greyhound.keep();
            machine.namespace.keep();
        }
    }
}

impl Evidence {
    fn read(encoding: &str, datapath: &Datapath) -> Self {
        Self {
            io: datapath.io.clone(),
            encoding: encoding.to_owned(),
            redirected: datapath.xdp("redirected"),
            rx_xsk: datapath.counter("rx-xsk"),
            tx_xsk: datapath.counter("tx-xsk"),
            rx_raw: datapath.counter("rx-raw"),
            tx_raw: datapath.counter("tx-raw"),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, I/O mode {}: XDP redirected {}; AF_XDP received {}, sent {}; \
             raw socket received {}, sent {}",
            self.encoding,
            self.io,
            self.redirected,
            self.rx_xsk,
            self.tx_xsk,
            self.rx_raw,
            self.tx_raw
        )
    }
}

/// Ends a demonstration that was kept running; without one it does nothing.
///
/// # Errors
/// It does not end, or cannot be removed; or a demonstration is at work that was not kept.
pub fn stop_kept() -> Result<()> {
    let _lock = lock()?;
    remove_kept()
}

fn lock() -> Result<File> {
    let file = File::create(LOCK).with_context(|| format!("create {LOCK}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another demonstration is at work"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {LOCK}")),
    }
}

fn remove_kept() -> Result<()> {
    for name in [CLIENT, SERVER] {
        if let Some(namespace) = Namespace::existing(name)? {
            let pids = namespace.processes()?;
            let watched: Vec<u32> = pids
                .iter()
                .flat_map(|&pid| process::children(pid))
                .collect();
            // Who watches the others ends them.
            for &pid in pids.iter().filter(|pid| !watched.contains(pid)) {
                process::send_signal(pid, Signal::TERM)?;
            }
            let empty = || namespace.processes().is_ok_and(|pids| pids.is_empty());
            wait_until("the programs end", CONNECT, empty)?;
        }
        let folder = std::env::temp_dir().join(name);
        if folder.exists() {
            drop(Scratch::at(folder)?);
        }
    }
    Ok(())
}

/// Where the files of a kept demonstration's concentrator are.
#[must_use]
pub fn kept_run_dir() -> PathBuf {
    process::run_dir_in(&std::env::temp_dir().join(SERVER))
}

fn client_config() -> String {
    format!(
        "/interface pptp-client\n\
         add name={TUNNEL} connect-to={SERVER_ADDRESS} user=MT-User password=StrongPass \
         disabled=no\n"
    )
}

fn inner(address: &str) -> Result<SocketAddr> {
    Ok(SocketAddr::new(address.parse()?, 5001))
}

/// The namespace of the concentrator that people look at.
pub const SERVER: &str = "greyhound-demo-server";

/// The namespace of its client.
pub const CLIENT: &str = "greyhound-demo-client";

/// The concentrator's address inside the tunnel.
pub const INNER_SERVER: &str = "10.0.0.1";

/// Held by the demonstration at work. One that was kept is at work no longer.
const LOCK: &str = "/run/greyhound-demo.lock";

/// What both ends must agree on.
pub const ENCODING: &str = "MPPE128 stateless";

/// The client's interface.
const TUNNEL: &str = "pptp-out1";

const INNER_CLIENT: &str = "10.0.0.5";
const SERVER_ADDRESS: &str = "192.0.2.1";
const CLIENT_ADDRESS: &str = "192.0.2.2";
/// Headers of an echo request.
const IP_AND_ICMP_BYTES: u64 = 20 + 8;

const CONNECT: Duration = Duration::from_secs(15);

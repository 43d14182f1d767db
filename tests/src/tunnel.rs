//! The usual case: one concentrator, one client of the product, one tunnel between them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::machine::Machine;
use crate::namespace::Lan;
use crate::ping::Ping;
use crate::wait::wait_until;

/// A tunnel that is up.
#[derive(Debug)]
pub struct Tunnel {
    // Dropped in this order: the client hangs up while the server is there.
    /// The client's end.
    pub client: Machine,
    /// The concentrator's end.
    pub server: Machine,
    _lan: Lan,
}

impl Tunnel {
    /// Starts both ends and waits until packets pass.
    ///
    /// # Errors
    /// One does not start, or they do not connect.
    pub fn open() -> Result<Self> {
        Self::open_to(SERVER_CONFIG, &[])
    }

    /// The same with another configuration of the concentrator, which has to know the client's
    /// user, and with further arguments for it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_to(server_config: &str, arguments: &[&str]) -> Result<Self> {
        let lan = Lan::new()?;
        let server = Machine::on(&lan, SERVER, server_config, arguments)?;
        let client = Machine::on(&lan, CLIENT, CLIENT_CONFIG, &[])?;
        client
            .wait_for_clients(1, CONNECT)
            .with_context(|| server.greyhound.log())?;
        let tunnel = Self {
            client,
            server,
            _lan: lan,
        };
        tunnel.check()?;
        Ok(tunnel)
    }

    /// Checks that no packet is lost.
    ///
    /// # Errors
    /// One is; the message has the server's log.
    pub fn check(&self) -> Result<()> {
        let words = ["-q", "-A", "-c", "50", INNER_SERVER];
        let ping = Ping::run(&self.client.namespace, &words)?;
        let log = || self.server.greyhound.log();
        ensure!(ping.sent == ping.received, "{ping:?}\n{}", log());
        Ok(())
    }

    /// Waits until packets pass again, after one end was lost and the client has dialled anew.
    ///
    /// # Errors
    /// They do not; the message has both logs.
    pub fn recover(&self) -> Result<()> {
        wait_until("packets pass again", REDIAL, || {
            let words = ["-q", "-c", "1", "-W", "1", INNER_SERVER];
            let ping = Ping::run(&self.client.namespace, &words);
            ping.is_ok_and(|ping| ping.received == 1)
        })
        .with_context(|| self.client.greyhound.log())
        .with_context(|| self.server.greyhound.log())
    }

    /// Ends both ends in an orderly way and checks that nothing is left of the session.
    ///
    /// # Errors
    /// Something is.
    pub fn close(self) -> Result<()> {
        self.client.stop().context("client")?;
        self.server.wait_for_sessions(0, CONNECT)?;
        self.server.wait_for_no_tunnels(CONNECT)?;
        self.server.stop().context("server")
    }
}

/// The concentrator's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The concentrator's address inside the tunnel.
pub const INNER_SERVER: &str = "10.0.0.1";

/// The client's address inside the tunnel.
pub const INNER_CLIENT: &str = "10.0.0.5";

/// A concentrator with one user.
pub const SERVER_CONFIG: &str = "\
/ppp profile
add name=test local-address=10.0.0.1 use-encryption=required
/interface pptp-server server
set authentication=mschap2 default-profile=test enabled=yes
/ppp secret
add name=User1 password=StrongPass-1 profile=test remote-address=10.0.0.5 service=pptp
";

/// Its client.
pub const CLIENT_CONFIG: &str = "\
/interface pptp-client
add name=pptp-out1 connect-to=192.0.2.1 user=User1 password=StrongPass-1 disabled=no
";

const CONNECT: Duration = Duration::from_secs(15);

/// A client waits a little longer after each failed attempt.
const REDIAL: Duration = Duration::from_secs(40);

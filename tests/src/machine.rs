//! A namespace with the product running in it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::console::Client;
use crate::namespace::{Lan, Namespace};
use crate::process::{Greyhound, Up};
use crate::wait::wait_until;

/// A machine of the laboratory.
#[derive(Debug)]
pub struct Machine {
    // Dropped first: its programs end before the namespace goes.
    /// The product.
    pub greyhound: Greyhound,
    /// The namespace.
    pub namespace: Namespace,
}

impl Machine {
    /// Plugs a new machine into a LAN and starts the product there.
    ///
    /// # Errors
    /// It does not start.
    pub fn on(lan: &Lan, address: Ipv4Addr, config: &str, arguments: &[&str]) -> Result<Self> {
        let namespace = plugged(lan, address)?;
        let up = Up::new(config, UPLINK).with(arguments);
        Ok(Self {
            greyhound: up.start(&namespace)?,
            namespace,
        })
    }

    /// Starts the product again in the same place, after it was killed.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self, config: &str) -> Result<()> {
        let folder = Arc::clone(self.greyhound.folder());
        self.greyhound = Up::new(config, UPLINK).start_in(&self.namespace, &folder)?;
        Ok(())
    }

    /// What its console answers to a line.
    ///
    /// # Errors
    /// The console says that something is wrong.
    pub fn typed(&self, line: &str) -> Result<String> {
        self.greyhound.console()?.text(&[line])
    }

    /// Waits until its log has these texts, one line after the other.
    ///
    /// # Errors
    /// It has not within `patience`; the message has the log.
    pub fn wait_for_log(&self, texts: &[&str], patience: Duration) -> Result<()> {
        let log = || self.greyhound.log();
        wait_until(&format!("the log has {texts:#?}"), patience, || {
            let log = log();
            let mut lines = log.lines();
            texts
                .iter()
                .all(|text| lines.any(|line| line.contains(text)))
        })
        .with_context(log)
    }

    /// Waits until this many of its clients are connected, and returns them.
    ///
    /// # Errors
    /// They are not within `patience`; the message has its log.
    pub fn wait_for_clients(&self, count: usize, patience: Duration) -> Result<Vec<Client>> {
        self.greyhound.wait_for_clients(count, patience)
    }

    /// Waits until its server has this many sessions.
    ///
    /// # Errors
    /// It has another number after `patience`; the message has its log.
    pub fn wait_for_sessions(&self, count: usize, patience: Duration) -> Result<()> {
        let console = self.greyhound.console()?;
        let reached = || {
            console
                .sessions()
                .is_ok_and(|sessions| sessions.len() == count)
        };
        wait_until(&format!("{count} sessions"), patience, reached)
            .with_context(|| self.greyhound.log())
    }

    /// Waits until it has no interfaces but those it was plugged in with.
    ///
    /// # Errors
    /// Some are left after `patience`; the message names them.
    pub fn wait_for_no_tunnels(&self, patience: Duration) -> Result<()> {
        let tunnels = || tunnels_in(&self.namespace);
        wait_until("every tunnel interface is gone", patience, || {
            tunnels().is_ok_and(|names| names.is_empty())
        })
        .with_context(|| format!("left: {:?}\n{}", tunnels(), self.greyhound.log()))
    }

    /// Ends the product in an orderly way and checks that nothing of it is left.
    ///
    /// # Errors
    /// It ends otherwise, or leaves an interface, a process or its XDP program.
    pub fn stop(mut self) -> Result<()> {
        let status = self.greyhound.stop()?;
        ensure!(status.success(), "{status}\n{}", self.greyhound.log());
        let left = tunnels_in(&self.namespace)?;
        ensure!(left.is_empty(), "interfaces left: {left:?}");
        let left = self.namespace.processes()?;
        ensure!(left.is_empty(), "processes left: {left:?}");
        let wires = self.namespace.interfaces()?;
        let with_xdp: Vec<_> = wires
            .iter()
            .filter(|(_, link)| link.get("xdp").is_some())
            .collect();
        ensure!(with_xdp.is_empty(), "XDP left: {with_xdp:?}");
        Ok(())
    }
}

/// A namespace on a LAN, without the product.
///
/// # Errors
/// It cannot be created.
pub fn plugged(lan: &Lan, address: Ipv4Addr) -> Result<Namespace> {
    let namespace = Namespace::new("machine")?;
    lan.plug(&namespace, UPLINK, &format!("{address}/24"), QUEUES)?;
    Ok(namespace)
}

/// The tunnel interfaces in a namespace: those that are neither loopback nor Ethernet.
///
/// # Errors
/// `ip` failed.
pub fn tunnels_in(namespace: &Namespace) -> Result<Vec<String>> {
    let interfaces = namespace.interfaces()?;
    Ok(interfaces
        .into_iter()
        .filter(|(_, link)| link["link_type"] == "none")
        .map(|(name, _)| name)
        .collect())
}

/// The interface of a machine that leads to the others.
pub const UPLINK: &str = "wire";

/// Its queues: more than one, so that frames arrive on a queue that is not the session's own.
pub const QUEUES: u16 = 2;

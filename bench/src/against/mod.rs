//! Who is measured between the two ends of one wire: Greyhound, others like it, and the wire itself.
//!
//! Only one of them runs at a time, in the same two namespaces and over the same veth pair: what one
//! leaves on the interface, as an XDP program, would change the others' figures. They take turns,
//! round by round, so that a busy minute of the machine falls on all of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use greyhound_tests::machine::UPLINK;
use greyhound_tests::namespace::{Namespace, join};
use greyhound_tests::ping::Ping;
use greyhound_tests::process::send_signal;
use greyhound_tests::tunnel::{CLIENT, SERVER};
use greyhound_tests::wait::{wait_for, wait_until};
use rustix::process::Signal;

use crate::rows::Rows;

mod greyhound;
mod openvpn;
mod wireguard;

/// Other tunnels in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Other {
    /// WireGuard in Go, on a TUN interface.
    WireguardGo,
    /// OpenVPN over UDP, on a TUN interface.
    Openvpn,
}

/// One who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// No tunnel: what the wire and the kernel can do.
    Wire,
    /// The product.
    Greyhound {
        /// Without it the TUN interfaces carry single packets only.
        offload: bool,
    },
    /// Another tunnel.
    Other(Other),
}

/// Which way the packets go: `up` from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
    /// Both ways at once.
    Duplex,
}

/// Queues of the wire, unless cores are given: more than one, or nothing could go wrong with them.
const QUEUES: usize = 2;

/// Two namespaces with a wire between them, and the addresses on it.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) server: Namespace,
    pub(crate) client: Namespace,
    cores: Vec<usize>,
}

/// A tunnel that is up; dropping it ends its processes.
pub(crate) trait Tunnel: fmt::Debug {
    /// The addresses inside the tunnel.
    fn ends(&self) -> Ends;

    /// Its processes by name.
    fn processes(&self) -> Vec<(String, u32)>;

    /// Ends it and waits until the track is as it was before.
    ///
    /// # Errors
    /// It does not end.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// An address at each end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) server: Ipv4Addr,
    pub(crate) client: Ipv4Addr,
}

/// One leg of the traffic: from where to where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg<'a> {
    pub(crate) from: &'a Namespace,
    pub(crate) to: &'a Namespace,
    pub(crate) address: SocketAddr,
}

impl Track {
    /// Lays the wire, with a queue for each core that Greyhound is to use.
    ///
    /// # Errors
    /// Namespaces or veth pairs cannot be made: it needs root.
    pub(crate) fn lay(cores: &[usize]) -> Result<Self> {
        let server = Namespace::new("bench-server")?;
        let client = Namespace::new("bench-client")?;
        let cores = if cores.is_empty() {
            let all = core_affinity::get_core_ids().context("which cores there are")?;
            all.iter().map(|core| core.id).take(QUEUES).collect()
        } else {
            cores.to_vec()
        };
        let queues = u16::try_from(cores.len()).context("too many cores")?;
        join(&server, &client, UPLINK, queues)?;
        server.ip(&format!("addr add {SERVER}/24 dev {UPLINK}"))?;
        client.ip(&format!("addr add {CLIENT}/24 dev {UPLINK}"))?;
        Ok(Self {
            server,
            client,
            cores,
        })
    }

    /// The legs of a direction between two addresses, which are those of a tunnel or of the wire.
    pub(crate) fn legs(&self, direction: Direction, ends: Ends) -> Vec<Leg<'_>> {
        let up = Leg {
            from: &self.client,
            to: &self.server,
            address: SocketAddr::new(IpAddr::V4(ends.server), UP_PORT),
        };
        let down = Leg {
            from: &self.server,
            to: &self.client,
            address: SocketAddr::new(IpAddr::V4(ends.client), DOWN_PORT),
        };
        match direction {
            Direction::Up => vec![up],
            Direction::Down => vec![down],
            Direction::Duplex => vec![up, down],
        }
    }

    /// Waits until the server answers through the tunnel.
    fn wait_for_answer(&self, ends: Ends) -> Result<()> {
        let server = ends.server.to_string();
        wait_until("the tunnel answers", START, || {
            let words = ["-q", "-c", "1", "-W", "1", &server];
            Ping::run(&self.client, &words).is_ok_and(|ping| ping.received == 1)
        })
    }
}

impl Contender {
    /// What the rows call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Greyhound { .. } => "greyhound",
            Self::Other(Other::WireguardGo) => "wireguard-go",
            Self::Other(Other::Openvpn) => "openvpn",
        }
    }

    /// Whether the product's offload is on; nobody else is asked.
    pub(crate) fn offload(self) -> Option<&'static str> {
        match self {
            Self::Greyhound { offload: true } => Some("on"),
            Self::Greyhound { offload: false } => Some("off"),
            Self::Wire | Self::Other(_) => None,
        }
    }

    /// Starts it and waits until packets pass.
    ///
    /// # Errors
    /// It does not start, or nothing passes; the message says why.
    pub(crate) fn start(self, track: &Track) -> Result<Box<dyn Tunnel>> {
        let tunnel: Box<dyn Tunnel> = match self {
            Self::Wire => Box::new(Wire),
            Self::Greyhound { offload } => Box::new(greyhound::Pair::start(track, offload)?),
            Self::Other(Other::WireguardGo) => Box::new(wireguard::Pair::start(track)?),
            Self::Other(Other::Openvpn) => Box::new(openvpn::Pair::start(track)?),
        };
        track.wait_for_answer(tunnel.ends())?;
        Ok(tunnel)
    }
}

impl Direction {
    /// What the rows call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Duplex => "duplex",
        }
    }
}

/// Lets every contender run once a round, and `measure` it while it does. One that fails is left out
/// of the remaining rounds; the result tells of each why, in their order.
///
/// # Errors
/// What went wrong cannot be told.
pub(crate) fn take_turns(
    track: &Track,
    contenders: &[Contender],
    rounds: usize,
    rows: &mut Rows,
    mut measure: impl FnMut(usize, &dyn Tunnel) -> Result<()>,
) -> Result<Vec<Option<String>>> {
    let mut failed: Vec<Option<String>> = vec![None; contenders.len()];
    for _ in 0..rounds {
        for (number, contender) in contenders.iter().enumerate() {
            if failed[number].is_some() {
                continue;
            }
            let turn = || {
                let tunnel = contender.start(track)?;
                measure(number, tunnel.as_ref())?;
                tunnel.stop()
            };
            if let Err(error) = { turn }() {
                let name = contender.name();
                let offload = contender.offload();
                let offload = offload.map_or(String::new(), |state| format!(", offload {state}"));
                rows.note(&format!("{name}{offload}: {error:#}"))?;
                failed[number] = Some(first_paragraph(&format!("{error:#}")));
            }
        }
    }
    Ok(failed)
}

/// What comes after it is advice how to use a program, or a log.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// The middle one of some figures; of an even number the lower one.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// The wire without a tunnel.
#[derive(Debug)]
struct Wire;

impl Tunnel for Wire {
    fn ends(&self) -> Ends {
        Ends {
            server: SERVER,
            client: CLIENT,
        }
    }

    fn processes(&self) -> Vec<(String, u32)> {
        Vec::new()
    }

    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// A program that runs until it is told to end, or its value is dropped.
#[derive(Debug)]
struct Program {
    child: Child,
}

impl Program {
    fn start(mut command: Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { child })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGTERM and waits for its end.
    fn stop(&mut self) -> Result<()> {
        send_signal(self.pid(), Signal::TERM)?;
        wait_for("a tunnel ends on SIGTERM", START, || {
            self.child.try_wait().transpose()
        })??;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both do nothing to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a turn takes beside measuring, about: to start, to connect, to end.
pub(crate) const TURN: Duration = Duration::from_millis(1500);

/// Long enough for any of them to start or to end.
const START: Duration = Duration::from_secs(15);

const UP_PORT: u16 = 5001;
const DOWN_PORT: u16 = 5002;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_counts() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(1.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn others_are_called_as_their_packages() {
        let name = |other: Other| {
            let value = other.to_possible_value().unwrap();
            value.get_name().to_owned()
        };
        for other in [Other::WireguardGo, Other::Openvpn] {
            assert_eq!(name(other), Contender::Other(other).name());
        }
    }
}

//! The interfaces that the process serves. Each has its own way to move frames, by AF_XDP its own
//! XDP program and workers, one for each queue; and a session belongs to a worker of the interface
//! by which the kernel reaches its peer. What goes another way, goes by the raw socket.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Result, bail, ensure};
use greyhound_bpf::Steering;

use super::netlink::{Netlink, Uplink};
use super::options::{IoChoice, MAX_WORKERS};
use super::probe;
use super::worker::Exit;
use super::xsk::{self, Queue};
use crate::ids::{SessionId, WorkerId};
use crate::ipc::{self, IoMode, Tunnel};

/// What an outer datagram may have where nothing is known about the way.
const USUAL_MTU: u16 = 1500;

/// Interfaces that it is said of that they are not served: tunnels come and go.
const SAID: usize = 64;

/// What was asked for, of all the flags.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The interfaces by name; none at all is that of the default route.
    pub interfaces: &'a [String],
    /// The ways to move frames that are allowed.
    pub io: IoChoice,
    /// How many queues of each interface to serve.
    pub queues: Option<u16>,
    /// How many cores the workers may have.
    pub cores: u16,
    /// Of each queue.
    pub rings: xsk::Config,
}

/// All of them.
#[derive(Debug)]
pub struct Uplinks {
    served: Vec<Served>,
    workers: u16,
    /// Those of the workers, in their order; none if no interface is served by AF_XDP.
    queues: Vec<Queue>,
    /// To ask for routes.
    netlink: Netlink,
    /// Interfaces that are not served and that a session's frames took, as far as it was said.
    said: BTreeSet<u32>,
}

/// One of them.
#[derive(Debug)]
struct Served {
    uplink: Uplink,
    mode: IoMode,
    /// Its XDP program; `None` in raw mode.
    steering: Option<Steering>,
    /// Those of its queues; none in raw mode.
    workers: Range<u16>,
}

/// How a session's frames go, and who may move them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface.
    pub uplink: ipc::Uplink,
    /// The workers that the session can belong to.
    pub workers: Range<u16>,
    /// What they send it by.
    pub exit: Exit,
}

impl Uplinks {
    /// Finds the interfaces, and opens each in the best way there is.
    ///
    /// # Errors
    /// An interface that was named does not exist, is down, or cannot be served in a way that is
    /// allowed.
    pub fn open(wanted: &Wanted<'_>) -> Result<Self> {
        let named = !wanted.interfaces.is_empty();
        let mut found = Vec::<Uplink>::new();
        for name in wanted.interfaces {
            let uplink = Uplink::by_name(name)?;
            if found.iter().all(|one| one.ifindex != uplink.ifindex) {
                found.push(uplink);
            }
        }
        let mut netlink = Netlink::open()?;
        if !named {
            found.extend(by_default_route(&mut netlink));
            let xdp_only = matches!(wanted.io, IoChoice::Native | IoChoice::Skb);
            ensure!(
                !xdp_only || !found.is_empty(),
                "AF_XDP needs an interface: name one with --interface"
            );
        }
        let most = most_queues(&found, wanted, named)?;
        let mut uplinks = Self {
            served: Vec::new(),
            workers: 0,
            queues: Vec::new(),
            netlink,
            said: BTreeSet::new(),
        };
        let mut rx_queues = 0;
        for uplink in found {
            rx_queues = rx_queues.max(uplink.rx_queues);
            let queues = uplink.rx_queues.min(most);
            let io = probe::open(wanted.io, &uplink, queues, &wanted.rings)?;
            uplinks.add(uplink, io);
        }
        if uplinks.workers == 0 {
            let usual = if named { rx_queues } else { wanted.cores };
            uplinks.workers = wanted.queues.unwrap_or(usual).clamp(1, MAX_WORKERS);
        }
        Ok(uplinks)
    }

    fn add(&mut self, uplink: Uplink, io: probe::Io) {
        let first = self.workers;
        // No more than `most_queues`.
        self.workers += u16::try_from(io.queues.len()).unwrap_or(u16::MAX);
        self.queues.extend(io.queues);
        self.served.push(Served {
            uplink,
            mode: io.mode,
            steering: io.steering,
            workers: first..self.workers,
        });
    }

    /// How many workers there are to be.
    #[must_use]
    pub fn workers(&self) -> u16 {
        self.workers
    }

    /// The queues of the workers, in their order: fewer than workers only if there are none.
    pub fn take_queues(&mut self) -> Vec<Queue> {
        std::mem::take(&mut self.queues)
    }

    /// The interfaces, in the order they were named in.
    #[must_use]
    pub fn served(&self) -> Vec<ipc::Uplink> {
        let mtu = |served: &Served| served.uplink.mtu;
        self.served.iter().map(|one| one.seen(mtu(one))).collect()
    }

    /// How the frames of a tunnel go, as the kernel's routes are now.
    pub fn way_of(&mut self, tunnel: &Tunnel) -> Way {
        let way = match self.netlink.route_to(tunnel.peer, Some(tunnel.ours)) {
            Ok(way) => way,
            Err(error) => {
                tracing::debug!(peer = %tunnel.peer, "no route: {error:#}");
                return self.way_without_route();
            }
        };
        let served = self
            .served
            .iter()
            .find(|one| one.uplink.ifindex == way.ifindex);
        if let Some(served) = served {
            return self.way_by(served, way.mtu);
        }
        if self.workers_have_queues() && self.said.len() < SAID && self.said.insert(way.ifindex) {
            tracing::info!(
                interface = %way.name,
                peer = %tunnel.peer,
                "is not served: what goes through it takes the raw socket"
            );
        }
        self.way_by_stack(ipc::Uplink {
            name: way.name,
            mtu: way.mtu,
            io: IoMode::Raw,
        })
    }

    /// There may be one by the time that something is sent.
    fn way_without_route(&self) -> Way {
        match self.served.first() {
            Some(first) => self.way_by(first, first.uplink.mtu),
            None => self.way_by_stack(ipc::Uplink {
                name: String::new(),
                mtu: USUAL_MTU,
                io: IoMode::Raw,
            }),
        }
    }

    fn way_by(&self, served: &Served, mtu: u16) -> Way {
        let uplink = served.seen(mtu);
        if served.workers.is_empty() {
            return self.way_by_stack(uplink);
        }
        Way {
            uplink,
            workers: served.workers.clone(),
            exit: Exit::Queue,
        }
    }

    fn way_by_stack(&self, uplink: ipc::Uplink) -> Way {
        Way {
            uplink,
            workers: 0..self.workers,
            exit: Exit::Stack,
        }
    }

    fn workers_have_queues(&self) -> bool {
        self.served.iter().any(|one| !one.workers.is_empty())
    }

    /// Has the frames of a session steered to its worker, whichever interface they come through.
    pub fn insert_session(&mut self, tunnel: &Tunnel, worker: WorkerId, id: SessionId) {
        for served in &mut self.served {
            let Some(steering) = &mut served.steering else {
                continue;
            };
            let call = tunnel.call_id.0;
            if let Err(error) = steering.insert_session(tunnel.peer, call, worker.0, id.0) {
                // Not fatal: its frames take the slow path.
                let interface = &served.uplink.name;
                tracing::warn!(%error, %interface, session = id.0, "not steered");
            }
        }
    }

    /// Has the frames of a session steered no more.
    pub fn remove_session(&mut self, tunnel: &Tunnel, id: SessionId) {
        for served in &mut self.served {
            let Some(steering) = &mut served.steering else {
                continue;
            };
            if let Err(error) = steering.remove_session(tunnel.peer, tunnel.call_id.0) {
                let interface = &served.uplink.name;
                tracing::warn!(%error, %interface, session = id.0, "was not steered");
            }
        }
    }

    /// What the XDP programs counted together; empty if there is none.
    #[must_use]
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut totals = Vec::new();
        for steering in self.served.iter().filter_map(|one| one.steering.as_ref()) {
            match steering.counters() {
                Ok(counters) => add_up(&mut totals, counters),
                Err(error) => {
                    tracing::warn!(%error, "the XDP program's counters cannot be read");
                }
            }
        }
        totals
    }

    /// Detaches the XDP programs.
    pub fn detach(&mut self) {
        for served in &mut self.served {
            served.steering = None;
        }
    }
}

impl Served {
    /// What others are told of it.
    fn seen(&self, mtu: u16) -> ipc::Uplink {
        ipc::Uplink {
            name: self.uplink.name.clone(),
            mtu,
            io: self.mode,
        }
    }
}

/// The interface of the default route, if it is of any use.
fn by_default_route(netlink: &mut Netlink) -> Option<Uplink> {
    let route = match netlink.default_route() {
        Ok(Some(route)) => route,
        Ok(None) => {
            tracing::info!("no --interface and no default route: all takes the raw socket");
            return None;
        }
        Err(error) => {
            tracing::warn!("no --interface, and the default route is unknown: {error:#}");
            return None;
        }
    };
    let found = netlink.name(route.ifindex);
    match found.and_then(|name| Uplink::by_name(&name)) {
        Ok(uplink) => {
            tracing::info!(
                interface = %uplink.name,
                metric = route.metric,
                "no --interface: that of the default route is served"
            );
            Some(uplink)
        }
        Err(error) => {
            tracing::warn!("the interface of the default route is of no use: {error:#}");
            None
        }
    }
}

/// How many queues of each interface are served by AF_XDP, at most.
fn most_queues(found: &[Uplink], wanted: &Wanted<'_>, named: bool) -> Result<u16> {
    let interfaces = u16::try_from(found.len()).unwrap_or(u16::MAX);
    if interfaces > MAX_WORKERS {
        bail!("--interface: no more than {MAX_WORKERS} can be served");
    }
    let share = MAX_WORKERS / interfaces.max(1);
    if wanted.io == IoChoice::Raw {
        return Ok(share);
    }
    if let Some(queues) = wanted.queues {
        let widest = found.iter().max_by_key(|uplink| uplink.rx_queues);
        if let Some(widest) = widest.filter(|widest| named && widest.rx_queues < queues) {
            let Uplink {
                name, rx_queues, ..
            } = widest;
            bail!("--queues {queues}: {name} has {rx_queues} RX queues");
        }
        return Ok(queues.min(share));
    }
    for Uplink {
        name, rx_queues, ..
    } in found
    {
        if *rx_queues > share {
            tracing::warn!(
                interface = %name,
                rx_queues,
                "only {share} queues are served; have no more with: ethtool -L {name} combined \
                 {share}"
            );
        }
    }
    Ok(share)
}

fn add_up(totals: &mut Vec<(String, u64)>, counters: Vec<(&'static str, u64)>) {
    if totals.is_empty() {
        let counters = counters.into_iter();
        return totals.extend(counters.map(|(name, count)| (name.to_owned(), count)));
    }
    // All of them are of the same program, in the same order.
    for ((_, total), (_, count)) in totals.iter_mut().zip(counters) {
        *total += count;
    }
}

#[cfg(test)]
mod tests;

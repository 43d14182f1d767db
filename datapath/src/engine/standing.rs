//! Interfaces that outlive sessions, and the ways to servers that are kept as they are.
//!
//! Such an interface is up from the first to the last, under one index. A session has it from
//! [`Standings::attach`] to [`Standings::take_back`]; in between it is here. Without a session it
//! has no carrier, or it has stand-in addresses and its packets are read here: the first is told,
//! and those that can wait do.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::membership::{self, Memberships};
use super::netlink::{Netlink, Pin};
use super::tun::{self, Offload, Tun};
use crate::ids::SessionId;
use crate::ipc::membership::MAX_ROUTES;
use crate::ipc::{Event, Interface, Lacking, Placeholder, Prefix, Route, Standing, Warning};
use crate::waiting::{is_wanted, packet_in, readdress};

/// Room for a packet of 64 KB and its header.
const PACKET_BYTES: usize = 66_000;
/// Packets that wait for a session, at most: the first are worth the most.
const MAX_WAITING: usize = 32;
/// Packets thrown away at once; an interface's queue holds 500.
const MOST_DRAINED: usize = 4096;
/// Packets read from one interface before the others get their turn.
const READS_A_TURN: usize = 64;

/// All of them.
#[derive(Debug)]
pub struct Standings {
    registry: Registry,
    netlink: Netlink,
    offload: bool,
    by_name: BTreeMap<String, One>,
    pins: BTreeMap<String, Ipv4Addr>,
    /// For each server that is pinned, the route, unless it needs none.
    pinned: BTreeMap<Ipv4Addr, Option<Pin>>,
    next_token: usize,
    buffer: Vec<u8>,
    /// Sessions that waited for an interface which they will not get.
    refused: Vec<SessionId>,
}

/// An interface.
#[derive(Debug)]
struct One {
    standing: Standing,
    /// The control process that is connected has asked for it.
    is_wanted: bool,
    /// It goes when the session that has it lets go of it.
    is_dismissed: bool,
    kernel_name: String,
    ifindex: u32,
    token: Token,
    /// `None` while a session has it.
    tun: Option<Tun>,
    /// What it has now.
    addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    link_local: Option<Ipv6Addr>,
    routes: Vec<Route>,
    /// The next packet is told.
    awaits: bool,
    waiting: VecDeque<Vec<u8>>,
    /// A session that is to have it when the last one has let go of it.
    next: Option<(SessionId, Interface)>,
}

/// An interface on its way to a session's worker.
#[derive(Debug)]
pub struct Ready {
    /// The interface.
    pub tun: Tun,
    /// What it does without.
    pub warnings: Vec<Warning>,
    /// What was read from it while it waited: the session's first packets.
    pub waiting: Vec<Vec<u8>>,
}

/// What becomes of an interface that a worker has let go of.
#[derive(Debug)]
pub enum Returned {
    /// It does not stand: it is to be deleted.
    Deleted(Tun),
    /// It stands.
    Kept,
    /// The next session has it already, or cannot.
    Taken(SessionId, Box<Interface>, Result<Ready, String>),
}

impl Standings {
    /// None yet. Their descriptors will be polled with tokens from `first_token` on.
    ///
    /// # Errors
    /// What opening rtnetlink and epoll say.
    pub fn new(registry: &Registry, first_token: usize, offload: bool) -> Result<Self> {
        Ok(Self {
            registry: registry.try_clone().context("epoll")?,
            netlink: Netlink::open()?,
            offload,
            by_name: BTreeMap::new(),
            pins: BTreeMap::new(),
            pinned: BTreeMap::new(),
            next_token: first_token,
            buffer: vec![0; PACKET_BYTES],
            refused: Vec::new(),
        })
    }

    /// Another control process is connected: what it does not ask for is nobody's.
    pub fn begin_anew(&mut self) {
        for one in self.by_name.values_mut() {
            one.is_wanted = false;
            one.awaits = false;
            one.next = None;
        }
    }

    /// Carries out [`crate::ipc::Request::Stand`].
    pub fn stand(&mut self, standing: Standing) -> Event {
        let name = standing.name.clone();
        match self.try_stand(standing) {
            Ok((kernel_name, ifindex, warnings)) => Event::Stands {
                name,
                kernel_name,
                ifindex,
                warnings,
            },
            Err(error) => Event::CannotStand {
                name,
                reason: format!("{error:#}"),
            },
        }
    }

    fn try_stand(&mut self, standing: Standing) -> Result<(String, u32, Vec<Warning>)> {
        let name = standing.name.clone();
        if !self.by_name.contains_key(&name) {
            let tun = tun::create_bare(&mut self.netlink, &name, standing.mtu, self.offload)?;
            tun.set_nonblocking(true)?;
            let token = Token(self.next_token);
            self.next_token += 1;
            let one = One {
                standing: standing.clone(),
                is_wanted: true,
                is_dismissed: false,
                kernel_name: tun.kernel_name.clone(),
                ifindex: tun.ifindex,
                token,
                tun: None,
                addresses: None,
                link_local: None,
                routes: Vec::new(),
                awaits: false,
                waiting: VecDeque::new(),
                next: None,
            };
            self.watch(&tun, token)?;
            self.by_name
                .entry(name.clone())
                .or_insert(one)
                .tun
                .replace(tun);
        }
        let one = self.by_name.get_mut(&name).context("it is there")?;
        one.is_wanted = true;
        one.is_dismissed = false;
        let former = std::mem::replace(&mut one.standing, standing);
        let warnings = if one.tun.is_some() {
            if one.standing.mtu != former.mtu {
                self.netlink.set_mtu(one.ifindex, one.standing.mtu)?;
            }
            one.rest(&mut self.netlink)?
        } else {
            Vec::new()
        };
        Ok((one.kernel_name.clone(), one.ifindex, warnings))
    }

    /// Carries out [`crate::ipc::Request::Dismiss`]; gives back what is to be deleted.
    pub fn dismiss(&mut self, name: &str) -> Option<Tun> {
        self.unpin(name);
        self.let_go(name)
    }

    /// Carries out [`crate::ipc::Request::DismissOthers`]; gives back what is to be deleted.
    pub fn dismiss_others(&mut self) -> Vec<Tun> {
        let all = self.by_name.iter();
        let others = all.filter(|(_, one)| !one.is_wanted);
        let others: Vec<String> = others.map(|(name, _)| name.clone()).collect();
        for name in self.pins.keys().cloned().collect::<Vec<_>>() {
            if self.by_name.get(&name).is_none_or(|one| !one.is_wanted) {
                self.unpin(&name);
            }
        }
        others
            .into_iter()
            .filter_map(|name| self.let_go(&name))
            .collect()
    }

    /// Forgets an interface that nobody has any more. One that a session has goes when it is back.
    fn let_go(&mut self, name: &str) -> Option<Tun> {
        let one = self.by_name.get_mut(name)?;
        one.is_dismissed = true;
        let refused = one.next.take().map(|(session, _)| session);
        self.refused.extend(refused);
        let tun = one.tun.take()?;
        self.by_name.remove(name);
        self.unwatch(&tun);
        Some(tun)
    }

    /// Carries out [`crate::ipc::Request::Await`].
    pub fn await_packets(&mut self, name: &str) {
        let Some(one) = self.by_name.get_mut(name) else {
            return;
        };
        if one.standing.placeholder.is_none() {
            return;
        }
        if let Some(tun) = &one.tun {
            one.waiting.clear();
            drain(tun, &mut self.buffer, |_| {});
        }
        one.awaits = true;
    }

    /// There is something to read at the interface with this token. What it says, if that is
    /// anything.
    pub fn handle_ready(&mut self, token: Token) -> Option<Event> {
        let mut all = self.by_name.iter_mut();
        let (name, one) = all.find(|(_, one)| one.token == token)?;
        let tun = one.tun.take()?;
        let has_header = tun.offload != Offload::Off;
        let mut event = None;
        let mut ended = Ok(true);
        for _ in 0..READS_A_TURN {
            let read = match tun.read(&mut self.buffer) {
                Ok(Some(len)) => &self.buffer[..len],
                other => {
                    ended = other.map(|_| false);
                    break;
                }
            };
            if one.keep(read, has_header) && std::mem::take(&mut one.awaits) {
                event = Some(Event::Demand { name: name.clone() });
            }
        }
        let fd = tun.as_fd().as_raw_fd();
        one.tun = Some(tun);
        match ended {
            Ok(false) => {}
            // There may be more, which is told anew by this.
            Ok(true) => {
                let again = SourceFd(&fd).reregister(&self.registry, token, Interest::READABLE);
                if let Err(error) = again {
                    tracing::error!(interface = %one.kernel_name, %error, "is not watched");
                }
            }
            Err(error) => {
                tracing::debug!(interface = %one.kernel_name, %error, "cannot be read");
                let name = name.clone();
                self.replace(&name);
            }
        }
        event
    }

    /// Gives the interface that stands under the name to a session; `None` if another one has not
    /// let go of it yet: [`Self::take_back`] gives it then.
    ///
    /// # Errors
    /// Why the session cannot have it.
    pub fn attach(
        &mut self,
        session: SessionId,
        interface: &Interface,
        memberships: &mut Memberships,
    ) -> Result<Option<Ready>, String> {
        let name = &interface.name;
        let one = self.by_name.get_mut(name);
        let one = one.filter(|one| !one.is_dismissed);
        let one = one.ok_or_else(|| format!("no interface {name} stands"))?;
        let Some(tun) = one.tun.take() else {
            let former = one.next.replace((session, interface.clone()));
            self.refused.extend(former.map(|(session, _)| session));
            return Ok(None);
        };
        let ready = self.equip(tun, interface, memberships);
        ready.map(Some).map_err(|error| format!("{error:#}"))
    }

    /// Sessions that waited for an interface which they will not get.
    pub fn take_refused(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.refused)
    }

    /// The session does not want it any more.
    pub fn forget(&mut self, session: SessionId) {
        for one in self.by_name.values_mut() {
            one.next.take_if(|(next, _)| *next == session);
        }
    }

    /// A worker has let go of an interface, which is in no membership any more.
    pub fn take_back(&mut self, tun: Tun, memberships: &mut Memberships) -> Returned {
        let mut all = self.by_name.iter_mut();
        let Some((name, one)) = all.find(|(_, one)| one.ifindex == tun.ifindex) else {
            return Returned::Deleted(tun);
        };
        if one.is_dismissed {
            let name = name.clone();
            self.by_name.remove(&name);
            return Returned::Deleted(tun);
        }
        if let Err(error) = tun.set_nonblocking(true) {
            tracing::error!(interface = %tun.kernel_name, %error, "cannot be kept");
        }
        // What the session has left unread was for nobody else.
        one.waiting.clear();
        drain(&tun, &mut self.buffer, |_| {});
        if let Some((session, interface)) = one.next.take() {
            let ready = self.equip(tun, &interface, memberships);
            let ready = ready.map_err(|error| format!("{error:#}"));
            return Returned::Taken(session, Box::new(interface), ready);
        }
        if self.netlink.name(tun.ifindex).is_err() {
            let name = name.clone();
            drop(tun);
            self.replace(&name);
            return Returned::Kept;
        }
        let token = one.token;
        one.tun = Some(tun);
        if let Err(error) = one.rest(&mut self.netlink) {
            tracing::warn!(interface = %one.kernel_name, "without a session: {error:#}");
        }
        let name = one.standing.name.clone();
        if let Some(tun) = self.by_name.get(&name).and_then(|one| one.tun.as_ref())
            && let Err(error) = self.watch(tun, token)
        {
            tracing::error!(interface = %tun.kernel_name, "is not watched: {error:#}");
        }
        Returned::Kept
    }

    /// Makes an interface again that somebody has deleted.
    fn replace(&mut self, name: &str) {
        let Some(One {
            standing,
            is_wanted,
            awaits,
            tun,
            ..
        }) = self.by_name.remove(name)
        else {
            return;
        };
        if let Some(tun) = &tun {
            self.unwatch(tun);
        }
        // Its name is free once it is closed, whatever is wrong with it.
        drop(tun);
        tracing::warn!(interface = name, "was deleted; it is made again");
        match self.try_stand(standing) {
            Ok(_) => {
                if let Some(new) = self.by_name.get_mut(name) {
                    (new.is_wanted, new.awaits) = (is_wanted, awaits);
                }
            }
            Err(error) => tracing::error!(interface = name, "{error:#}"),
        }
    }

    /// The session that has an interface carries IPv6 by another address, or no more.
    pub fn note_link_local(&mut self, ifindex: u32, ours: Option<Ipv6Addr>) {
        let mut all = self.by_name.values_mut();
        let Some(one) = all.find(|one| one.ifindex == ifindex) else {
            return;
        };
        if let Some(former) = one
            .link_local
            .filter(|_| ours.is_some() && ours != one.link_local)
        {
            let _ = self.netlink.delete_link_local(ifindex, former);
        }
        one.link_local = ours.or(one.link_local);
    }

    /// Makes an interface what a session needs.
    fn equip(
        &mut self,
        tun: Tun,
        interface: &Interface,
        memberships: &mut Memberships,
    ) -> Result<Ready> {
        self.unwatch(&tun);
        let one = self
            .by_name
            .get_mut(&interface.name)
            .context("it is there")?;
        let has_header = tun.offload != Offload::Off;
        let stand_in = one.addresses;
        let equipped = one.equip(
            &mut self.netlink,
            &tun,
            interface,
            memberships,
            &mut self.buffer,
        );
        match equipped {
            Ok(warnings) => {
                let mut waiting = Vec::from(std::mem::take(&mut one.waiting));
                if interface.membership.outgoing_filter.is_some() {
                    // The filter is to see every packet, and these it did not see.
                    waiting.clear();
                }
                if let Some((from, _)) = stand_in {
                    for read in &mut waiting {
                        readdress(read, has_header, from, interface.address);
                    }
                }
                Ok(Ready {
                    tun,
                    warnings,
                    waiting,
                })
            }
            Err(error) if self.netlink.name(tun.ifindex).is_err() => {
                memberships.leave([tun.ifindex]);
                drop(tun);
                self.replace(&interface.name);
                Err(error)
            }
            Err(error) => {
                memberships.leave([tun.ifindex]);
                let token = one.token;
                let watched = tun.set_nonblocking(true).map_err(anyhow::Error::from);
                let watched = watched.and_then(|()| self.watch(&tun, token));
                if let Err(error) = watched {
                    tracing::error!(interface = %tun.kernel_name, "is not watched: {error:#}");
                }
                if let Some(one) = self.by_name.get_mut(&interface.name) {
                    one.tun = Some(tun);
                    let _ = one.rest(&mut self.netlink);
                }
                Err(error)
            }
        }
    }

    /// Carries out [`crate::ipc::Request::Pin`]; `sessions` are the interfaces that sessions have.
    pub fn pin(&mut self, name: String, server: Ipv4Addr, sessions: impl Fn(u32) -> bool) -> Event {
        self.unpin(&name);
        let kept = self.pinned.get(&server).copied().flatten();
        let refused = if kept.is_some_and(|pin| self.netlink.holds(&pin)) {
            None
        } else {
            // The network has changed, and the kernel may have taken it away.
            if let Some(Some(former)) = self.pinned.remove(&server) {
                let _ = self.netlink.unpin(&former);
            }
            let standing = &self.by_name;
            let ours =
                |ifindex| sessions(ifindex) || standing.values().any(|one| one.ifindex == ifindex);
            match self.netlink.pin(server, ours) {
                Ok(pin) => {
                    self.pinned.insert(server, pin);
                    None
                }
                Err(error) => Some(format!("{error:#}")),
            }
        };
        if refused.is_none() {
            self.pins.insert(name.clone(), server);
        }
        Event::Pinned {
            name,
            server,
            refused,
        }
    }

    /// Carries out [`crate::ipc::Request::Unpin`].
    pub fn unpin(&mut self, name: &str) {
        let Some(server) = self.pins.remove(name) else {
            return;
        };
        if self.pins.values().any(|other| *other == server) {
            return;
        }
        if let Some(Some(pin)) = self.pinned.remove(&server)
            && let Err(error) = self.netlink.unpin(&pin)
        {
            tracing::warn!(%server, "its route stays: {error:#}");
        }
    }

    /// Takes all pinned routes away.
    pub fn unpin_all(&mut self) {
        for name in self.pins.keys().cloned().collect::<Vec<_>>() {
            self.unpin(&name);
        }
    }

    fn watch(&self, tun: &Tun, token: Token) -> Result<()> {
        let fd = tun.as_fd().as_raw_fd();
        let watched = self
            .registry
            .register(&mut SourceFd(&fd), token, Interest::READABLE);
        watched.context("epoll")
    }

    /// One that is not watched need not be told apart.
    fn unwatch(&self, tun: &Tun) {
        let fd = tun.as_fd().as_raw_fd();
        let _ = self.registry.deregister(&mut SourceFd(&fd));
    }
}

impl One {
    /// Keeps a packet for the next session, if it is one to bring that about; whether it is.
    fn keep(&mut self, read: &[u8], has_header: bool) -> bool {
        if self.standing.placeholder.is_none() || !is_wanted(packet_in(read, has_header)) {
            return false;
        }
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(read.to_vec());
        }
        true
    }

    /// Makes it what it is without a session.
    fn rest(&mut self, netlink: &mut Netlink) -> Result<Vec<Warning>> {
        let Some(tun) = &self.tun else {
            return Ok(Vec::new());
        };
        let mut routes = Vec::new();
        if let Some(Placeholder {
            address,
            peer,
            default_route,
        }) = self.standing.placeholder
        {
            give(netlink, self.ifindex, &mut self.addresses, (address, peer))?;
            routes.extend(default_route.and_then(|metric| default_route_by(peer, metric)));
        }
        if let Some(ours) = self.link_local.take() {
            // It may have gone by itself: IPv6 was switched off, say.
            let _ = netlink.delete_link_local(self.ifindex, ours);
        }
        let has_carrier = self.standing.placeholder.is_some();
        tun.set_carrier(has_carrier)?;
        if has_carrier {
            netlink.wait_until_running(self.ifindex)?;
        }
        Ok(self.set_routes(netlink, &routes))
    }

    /// Makes it what a session needs.
    fn equip(
        &mut self,
        netlink: &mut Netlink,
        tun: &Tun,
        interface: &Interface,
        memberships: &mut Memberships,
        buffer: &mut [u8],
    ) -> Result<Vec<Warning>> {
        let ifindex = self.ifindex;
        let membership = &interface.membership;
        let mut warnings = memberships.join(ifindex, &self.kernel_name, membership);
        netlink.set_mtu(ifindex, interface.mtu)?;
        let addresses = (interface.address, interface.peer);
        give(netlink, ifindex, &mut self.addresses, addresses)?;
        // What was sent until now has the address and the filters of before.
        let has_header = tun.offload != Offload::Off;
        drain(tun, buffer, |read| {
            self.keep(read, has_header);
        });
        tun.set_nonblocking(false)?;
        if self.link_local != interface.ipv6 {
            if let Some(former) = self.link_local.take() {
                let _ = netlink.delete_link_local(ifindex, former);
            }
            if let Some(ours) = interface.ipv6 {
                match netlink.add_link_local(ifindex, ours) {
                    Ok(()) => self.link_local = Some(ours),
                    // IPv4 works all the same.
                    Err(error) => {
                        tracing::warn!(interface = %self.kernel_name, "no IPv6: {error:#}");
                    }
                }
            }
        }
        netlink.set_up(ifindex)?;
        tun.set_carrier(true)?;
        netlink.wait_until_running(ifindex)?;
        warnings.extend(self.set_routes(netlink, &membership.routes));
        Ok(warnings)
    }

    /// Has these routes and no others of ours; says which it does not have, or to no effect.
    fn set_routes(&mut self, netlink: &mut Netlink, routes: &[Route]) -> Vec<Warning> {
        let former = std::mem::take(&mut self.routes);
        let new: Vec<Route> = routes
            .iter()
            .filter(|route| !former.contains(route))
            .copied()
            .collect();
        let mut warnings = membership::add_routes(self.ifindex, &new);
        for route in former.iter().filter(|route| !routes.contains(route)) {
            if let Err(error) = netlink.delete_route(self.ifindex, route) {
                tracing::warn!(interface = %self.kernel_name, %route, "stays: {error:#}");
            }
        }
        let is_refused = |route: &Route| {
            let is_it = |warning: &Warning| warning.lacking == Lacking::Route(*route);
            warnings.iter().any(is_it)
        };
        self.routes = routes
            .iter()
            .take(MAX_ROUTES)
            .filter(|route| !is_refused(route))
            .copied()
            .collect();
        for route in &new {
            warnings.extend(self.overruled(netlink, route));
        }
        warnings
    }

    /// Another default route that counts in place of this one.
    fn overruled(&self, netlink: &mut Netlink, route: &Route) -> Option<Warning> {
        if route.destination.length() > 0 {
            return None;
        }
        let best = netlink.default_route().ok()??;
        if best.ifindex == self.ifindex {
            return None;
        }
        let name = netlink.name(best.ifindex).unwrap_or_default();
        Some(Warning {
            lacking: Lacking::Route(*route),
            reason: format!(
                "the default route of {name} with metric {} goes before it",
                best.metric
            ),
        })
    }
}

/// Reads what there is, which is no more than the interface's queue holds, unless more comes as
/// fast as it is read.
fn drain(tun: &Tun, buffer: &mut [u8], mut each: impl FnMut(&[u8])) {
    for _ in 0..MOST_DRAINED {
        match tun.read(buffer) {
            Ok(Some(len)) => each(&buffer[..len]),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Gives an interface addresses in place of those it has. It is never without one: with the last
/// address the kernel takes all routes away.
fn give(
    netlink: &mut Netlink,
    ifindex: u32,
    has: &mut Option<(Ipv4Addr, Ipv4Addr)>,
    new: (Ipv4Addr, Ipv4Addr),
) -> Result<()> {
    let former = has.filter(|former| *former != new);
    // With the same peer it would be a second address of the first one's network, and go with it.
    let is_second = former.is_some_and(|(_, peer)| peer == new.1);
    if is_second {
        add(netlink, ifindex, (DUMMY, DUMMY))?;
    }
    if let Some(former) = former.filter(|_| is_second) {
        take(netlink, ifindex, former);
    }
    // Also what it should have already: somebody may have taken it away.
    add(netlink, ifindex, new)?;
    *has = Some(new);
    if let Some(former) = former.filter(|_| !is_second) {
        take(netlink, ifindex, former);
    }
    if is_second {
        take(netlink, ifindex, (DUMMY, DUMMY));
    }
    Ok(())
}

fn take(netlink: &mut Netlink, ifindex: u32, (ours, peer): (Ipv4Addr, Ipv4Addr)) {
    if let Err(error) = netlink.delete_address(ifindex, ours, peer) {
        // Somebody may have done that before.
        tracing::debug!(ifindex, %ours, "{error:#}");
    }
}

fn add(netlink: &mut Netlink, ifindex: u32, (ours, peer): (Ipv4Addr, Ipv4Addr)) -> Result<()> {
    let added = netlink.add_address(ifindex, ours, peer);
    added.or_else(|error| if is_there(&error) { Ok(()) } else { Err(error) })
}

/// Stands in for an address for a moment (RFC 7600 §4.8).
const DUMMY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

fn default_route_by(gateway: Ipv4Addr, metric: u32) -> Option<Route> {
    Some(Route {
        destination: Prefix::new(Ipv4Addr::UNSPECIFIED, 0)?,
        gateway: Some(gateway),
        metric,
    })
}

fn is_there(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.and_then(io::Error::raw_os_error) == Some(libc::EEXIST)
}

#[cfg(test)]
mod tests;

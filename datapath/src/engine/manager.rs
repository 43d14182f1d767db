//! The main thread: talks to the control process, creates interfaces, tells the workers.
//!
//! It outlives any control process. A new connection takes the place of the old one; sessions
//! stay as they are and are listed to whoever says Hello, and so is what those moved that are removed,
//! until it is said to be noted down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam::channel::{Receiver, Sender};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::handoff::Inboxes;
use super::membership::Memberships;
use super::netlink::Netlink;
use super::reaper::Reaper;
use super::registry::{NotRemoved, Registry, Totals};
use super::standing::{Ready, Returned, Standings};
use super::tun::{Offload, Tun};
use super::uplinks::Uplinks;
use super::uring::hint;
use super::worker::{Command, ControlFrame, Outbox, POOL_BUFFERS, Parts, Report, Worker};
use super::{membership, privileges, raw, tun};
use crate::ids::{MAX_SESSIONS, SessionId, WorkerId};
use crate::ipc::membership::MAX_ROUTES;
use crate::ipc::seqpacket::{Channel, Error as ChannelError, Listener};
use crate::ipc::{self, Event, Request, Tunnel, WorkerTotals};
use crate::session::{InnerAddress, Notice};

const LISTENER: Token = Token(0);
const CONTROL: Token = Token(1);
const WORKERS: Token = Token(2);
const SIGNAL: Token = Token(3);
const FIREWALL: Token = Token(4);
/// Interfaces that stand without a session have those from here on.
const FIRST_STANDING: usize = 16;

/// PPP frames on their way to the control process; beyond it peers' frames are dropped.
const FRAMES_QUEUED: usize = 4096;
/// Events that wait for a control process that does not read, frames aside.
const EVENTS_QUEUED: usize = 4 * MAX_SESSIONS as usize;
/// Sessions in one [`Event::Held`].
const HELD_PER_EVENT: usize = 100;
/// Requests carried out before the workers are listened to again.
const REQUESTS: usize = 64;
/// Requests that a connection may still hold when another takes its place: more than its socket has
/// room for.
const LAST_REQUESTS: usize = 4096;

/// The main thread's state.
#[derive(Debug)]
pub struct Manager {
    poll: Poll,
    listener: Listener,
    control: Option<Channel<Event, Request>>,
    pending: VecDeque<Event>,
    registry: Registry,
    totals: Totals,
    uplinks: Uplinks,
    /// Whether interfaces are to have offloads, and whether one did not get them all.
    offload: bool,
    offload_missed: bool,
    workers: Vec<Handle>,
    reports: Receiver<Report>,
    frames: Receiver<ControlFrame>,
    reaper: Reaper,
    inboxes: Arc<Inboxes>,
    /// The kernel's index of each session's interface.
    interfaces: BTreeMap<SessionId, u32>,
    memberships: Memberships,
    standings: Standings,
}

/// A worker's thread, and how to tell it something.
#[derive(Debug)]
struct Handle {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
}

/// What a process needs before it starts its workers.
#[derive(Debug)]
pub struct Setup {
    /// The interfaces that GRE goes through, and how.
    pub uplinks: Uplinks,
    /// UMEM frames of each queue, in both directions.
    pub frames_per_queue: usize,
    /// How long a worker looks for work before it sleeps.
    pub spin: Duration,
    /// Whether interfaces are to have offloads.
    pub offload: bool,
    /// The core of each worker.
    pub cores: Vec<u16>,
    /// Where the control process connects.
    pub listener: Listener,
    /// Readable when the process is to end.
    pub signal: std::os::unix::net::UnixStream,
}

impl Manager {
    /// Starts the workers and waits until they are at work. Afterwards the process holds no capability but the one that creating
    /// interfaces takes, and the workers none.
    ///
    /// # Errors
    /// What opening sockets and rings, creating threads and dropping capabilities say. The workers
    /// that could begin are still there: the process has to end.
    pub fn start(mut setup: Setup) -> Result<(Self, std::os::unix::net::UnixStream)> {
        let poll = Poll::new().context("epoll")?;
        let waker = Arc::new(Waker::new(poll.registry(), WORKERS).context("eventfd")?);
        let workers = u16::try_from(setup.cores.len()).context("too many workers")?;
        let owned = setup.frames_per_queue + POOL_BUFFERS;
        let inboxes = Arc::new(Inboxes::new(workers, owned).context("eventfd")?);
        let (reports_out, reports) = crossbeam::channel::unbounded();
        let (frames_out, frames) = crossbeam::channel::bounded(FRAMES_QUEUED);
        let outbox = Outbox {
            reports: reports_out,
            frames: frames_out,
            wake: waker,
        };
        let mut queues = setup.uplinks.take_queues().into_iter();
        let mut receiver = Some(raw::Receiver::new().context("raw socket for protocol 47")?);
        let reaper = Reaper::start().context("starting the reaper thread")?;
        let standings = Standings::new(poll.registry(), FIRST_STANDING, setup.offload)?;
        let (begun_out, begun) = crossbeam::channel::unbounded();
        let mut handles = Vec::new();
        for (core, number) in setup.cores.iter().copied().zip(0u16..) {
            let (commands_out, commands) = crossbeam::channel::unbounded();
            let parts = Parts {
                id: WorkerId(number),
                core,
                queue: queues.next(),
                raw_receiver: receiver.take(),
                raw_sender: raw::Sender::new().context("raw socket to send")?,
                inboxes: Arc::clone(&inboxes),
                commands,
                outbox: outbox.clone(),
                spin: setup.spin,
            };
            let begun = begun_out.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(parts, &begun))
                .context("starting a worker thread")?;
            handles.push(Handle {
                commands: commands_out,
                thread,
            });
        }
        drop(begun_out);
        for _ in &handles {
            let answer = begun.recv().context("a worker ended before it began")?;
            answer.map_err(anyhow::Error::msg)?;
        }
        privileges::keep_interfaces_only()?;
        let registry = poll.registry();
        let listener_fd = setup.listener.as_raw_fd();
        registry.register(&mut SourceFd(&listener_fd), LISTENER, Interest::READABLE)?;
        let signal_fd = setup.signal.as_raw_fd();
        registry.register(&mut SourceFd(&signal_fd), SIGNAL, Interest::READABLE)?;
        let memberships = Memberships::start();
        if let Some(fd) = memberships.watched() {
            registry.register(&mut SourceFd(&fd), FIREWALL, Interest::READABLE)?;
        }
        let manager = Self {
            poll,
            listener: setup.listener,
            control: None,
            pending: VecDeque::new(),
            registry: Registry::new(workers),
            totals: Totals::default(),
            uplinks: setup.uplinks,
            offload: setup.offload,
            offload_missed: false,
            workers: handles,
            reports,
            frames,
            reaper,
            inboxes,
            interfaces: BTreeMap::new(),
            memberships,
            standings,
        };
        Ok((manager, setup.signal))
    }

    /// Runs until a signal says to end, then takes every interface away.
    ///
    /// # Errors
    /// When the poll fails or a worker breaks: the process then starts anew.
    pub fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(64);
        let mut more_requests = false;
        let result = loop {
            let patience = more_requests.then_some(Duration::ZERO);
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    break Err(anyhow::Error::new(error).context("epoll"));
                }
                Ok(()) | Err(_) => {}
            }
            if events.iter().any(|event| event.token() == SIGNAL) {
                break Ok(());
            }
            if events.iter().any(|event| event.token() == LISTENER) {
                self.accept();
            }
            if events.iter().any(|event| event.token() == FIREWALL) {
                self.memberships.repair();
            }
            for event in &events {
                if event.token().0 >= FIRST_STANDING
                    && let Some(event) = self.standings.handle_ready(event.token())
                {
                    self.say(event);
                }
            }
            if let Err(broken) = self.take_reports() {
                break Err(broken);
            }
            more_requests = self.take_requests();
            self.take_frames();
            self.flush();
        };
        self.stop();
        result
    }

    fn stop(mut self) {
        // First of all the kernel stops redirecting, so that nothing lands in rings nobody reads.
        self.uplinks.detach();
        for worker in 0..self.workers.len() {
            self.tell(worker_id(worker), Command::Stop);
        }
        for handle in self.workers.drain(..) {
            if handle.thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        self.memberships.leave_all();
        self.standings.unpin_all();
        for report in self.reports.try_iter() {
            if let Report::Released(tun) = report {
                self.reaper.bury(tun);
            }
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept::<Event, Request>() {
                Ok(Some(channel)) => {
                    // What the former control process said last counts all the same, above all
                    // what it had noted down.
                    for _ in 0..LAST_REQUESTS.div_ceil(REQUESTS) {
                        if !self.take_requests() {
                            break;
                        }
                    }
                    self.disconnect();
                    let fd = channel.as_raw_fd();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    let registered =
                        self.poll
                            .registry()
                            .register(&mut SourceFd(&fd), CONTROL, interest);
                    if let Err(error) = registered {
                        tracing::error!(%error, "cannot watch the control process's connection");
                        continue;
                    }
                    tracing::info!("control process connected");
                    self.standings.begin_anew();
                    self.control = Some(channel);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept the control process");
                    return;
                }
            }
        }
    }

    fn disconnect(&mut self) {
        let Some(channel) = self.control.take() else {
            return;
        };
        let fd = channel.as_raw_fd();
        // Closing it takes it out of the poll as well.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        self.pending.clear();
        self.totals.nobody_asks();
        tracing::info!(
            sessions = self.registry.held().len(),
            "control process disconnected"
        );
    }

    /// True if there may be more: creating many interfaces must not keep all else waiting.
    fn take_requests(&mut self) -> bool {
        for _ in 0..REQUESTS {
            let Some(control) = &mut self.control else {
                return false;
            };
            match control.receive() {
                Ok(Some(request)) => self.handle_request(request),
                Ok(None) => return false,
                Err(error) => {
                    if !matches!(error, ChannelError::Closed) {
                        tracing::error!(%error, "control process");
                    }
                    self.disconnect();
                    return false;
                }
            }
        }
        true
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Hello { version } => self.hello(version),
            Request::Install { session, tunnel } => {
                let event = match self.install(session, tunnel) {
                    Ok(uplink) => Event::Installed { session, uplink },
                    Err(reason) => Event::Failed { session, reason },
                };
                self.say(event);
            }
            Request::SetLink { session, link } => {
                self.tell_owner(session, Command::SetLink(session, link));
            }
            Request::SetMppe { session, rx, tx } => {
                self.tell_owner(session, Command::SetMppe(session, rx, tx));
            }
            Request::ResetMppe { session } => self.tell_owner(session, Command::ResetMppe(session)),
            Request::Attach { session, interface } => {
                if let Err(reason) = self.attach(session, &interface) {
                    self.say(Event::Failed { session, reason });
                }
            }
            Request::SetIpv6 { session, address } => self.set_ipv6(session, address),
            Request::Detach { session } => {
                self.interfaces.remove(&session);
                self.standings.forget(session);
                self.tell_owner(session, Command::Detach(session));
            }
            Request::SetLimits { session, limits } => {
                self.tell_owner(session, Command::SetLimits(session, limits));
            }
            Request::Send {
                session,
                protocol,
                payload,
            } => {
                self.tell_owner(session, Command::Send(session, protocol, payload));
            }
            Request::Read { session } => self.tell_owner(session, Command::Read(session)),
            Request::Remove { session } => self.remove(session),
            Request::Forget { session } => self.registry.forget(session),
            Request::Stand { standing } => {
                let event = self.standings.stand(standing);
                self.say(event);
            }
            Request::Dismiss { name } => {
                let dismissed = self.standings.dismiss(&name);
                dismissed.into_iter().for_each(|tun| self.reaper.bury(tun));
                self.say_refused();
            }
            Request::DismissOthers => {
                let dismissed = self.standings.dismiss_others();
                dismissed.into_iter().for_each(|tun| self.reaper.bury(tun));
                self.say_refused();
            }
            Request::Await { name } => self.standings.await_packets(&name),
            Request::Pin { name, server } => {
                let sessions: BTreeSet<u32> = self.interfaces.values().copied().collect();
                let is_session = |ifindex| sessions.contains(&ifindex);
                let event = self.standings.pin(name, server, is_session);
                self.say(event);
            }
            Request::Unpin { name } => self.standings.unpin(&name),
            Request::ReadTotals => {
                if self.totals.ask() {
                    for worker in 0..self.workers.len() {
                        self.tell(worker_id(worker), Command::ReadTotals);
                    }
                }
            }
        }
    }

    fn hello(&mut self, version: u16) {
        let workers = u16::try_from(self.workers.len()).unwrap_or(u16::MAX);
        self.say(Event::Hello {
            version: ipc::VERSION,
            uplinks: self.uplinks.served(),
            workers,
        });
        if version != ipc::VERSION {
            tracing::error!(
                version,
                ours = ipc::VERSION,
                "control process of another version"
            );
            // What it says next would be taken for something else.
            self.flush();
            return self.disconnect();
        }
        let held = self.registry.held();
        let mut chunks = held.chunks(HELD_PER_EVENT).peekable();
        if chunks.peek().is_none() {
            return self.say(Event::Held {
                sessions: Vec::new(),
                last: true,
            });
        }
        while let Some(chunk) = chunks.next() {
            let last = chunks.peek().is_none();
            self.say(Event::Held {
                sessions: chunk.to_vec(),
                last,
            });
        }
    }

    /// Says which interface the session's frames go through.
    fn install(&mut self, id: SessionId, tunnel: Tunnel) -> Result<ipc::Uplink, String> {
        let way = self.uplinks.way_of(&tunnel);
        let worker = self.registry.install(id, tunnel, way.workers)?;
        // The owner first: a frame that is steered finds its session.
        self.tell(worker, Command::Install(id, tunnel, way.exit));
        self.tell(
            WorkerId(0),
            Command::Route(tunnel.peer, tunnel.call_id, Some((worker, id))),
        );
        self.uplinks.insert_session(&tunnel, worker, id);
        Ok(way.uplink)
    }

    /// Gives the session its interface, or has it given later, and says so.
    fn attach(&mut self, id: SessionId, interface: &ipc::Interface) -> Result<(), String> {
        let owner = self.registry.owner(id);
        owner.ok_or_else(|| format!("no session {}", id.0))?;
        if interface.stands {
            let ready = self
                .standings
                .attach(id, interface, &mut self.memberships)?;
            if let Some(ready) = ready {
                self.hand_over(id, interface, ready);
            }
            self.say_refused();
            return Ok(());
        }
        let membership = &interface.membership;
        let (mut warnings, mut joined) = (Vec::new(), None);
        let created = tun::create_prepared(interface, self.offload, |ifindex, name| {
            warnings = self.memberships.join(ifindex, name, membership);
            joined = Some(ifindex);
        });
        let tun = match created {
            Ok(tun) => tun,
            Err(error) => {
                self.memberships.leave(joined);
                return Err(format!("{error:#}"));
            }
        };
        warnings.extend(membership::add_routes(tun.ifindex, &membership.routes));
        let waiting = Vec::new();
        let ready = Ready {
            tun,
            warnings,
            waiting,
        };
        self.hand_over(id, interface, ready);
        Ok(())
    }

    /// Tells sessions of an interface that they will not get.
    fn say_refused(&mut self) {
        for session in self.standings.take_refused() {
            let reason = "its interface was taken away or given to another".to_owned();
            self.say(Event::Failed { session, reason });
        }
    }

    /// Gives the worker the interface, and says so.
    fn hand_over(&mut self, id: SessionId, interface: &ipc::Interface, ready: Ready) {
        let Ready {
            tun,
            warnings,
            waiting,
        } = ready;
        let networks = interface.membership.routes.iter().take(MAX_ROUTES);
        let networks = networks.map(|route| route.destination).collect();
        if self.offload && tun.offload < Offload::Udp && !self.offload_missed {
            // One is as all the others.
            self.offload_missed = true;
            tracing::warn!(
                interface = %tun.kernel_name,
                offload = ?tun.offload,
                "the kernel does not leave us all that it could; Linux 6.2 does"
            );
        }
        self.tell_owner(id, Command::SetNetworks(id, networks));
        let inner = InnerAddress {
            peer: interface.peer,
            check_source: interface.check_source,
            ipv6: interface.ipv6.is_some(),
            mtu: interface.mtu,
        };
        self.interfaces.insert(id, tun.ifindex);
        self.say(Event::Attached {
            session: id,
            kernel_name: tun.kernel_name.clone(),
            ifindex: tun.ifindex,
        });
        for warning in warnings {
            self.say(Event::Warning {
                session: id,
                warning,
            });
        }
        match self.registry.owner(id) {
            Some(owner) => self.tell(owner, Command::Attach(id, tun, inner, waiting)),
            // It was removed while it waited for the interface.
            None => {
                self.memberships.leave([tun.ifindex]);
                self.take_back(tun);
            }
        }
    }

    /// Nobody reads or writes an interface any more, and it is in no membership.
    fn take_back(&mut self, tun: Tun) {
        match self.standings.take_back(tun, &mut self.memberships) {
            Returned::Deleted(tun) => self.reaper.bury(tun),
            Returned::Kept => {}
            Returned::Taken(session, interface, Ok(ready)) => {
                self.hand_over(session, &interface, ready);
            }
            Returned::Taken(session, _, Err(reason)) => {
                self.say(Event::Failed { session, reason });
            }
        }
    }

    fn set_ipv6(&mut self, id: SessionId, address: Option<Ipv6Addr>) {
        let Some(&ifindex) = self.interfaces.get(&id) else {
            return;
        };
        if let Some(ours) = address
            && let Err(error) =
                Netlink::open().and_then(|mut netlink| netlink.add_link_local(ifindex, ours))
        {
            // IPv4 works all the same.
            tracing::warn!(session = id.0, "no IPv6: {error:#}");
        }
        self.standings.note_link_local(ifindex, address);
        self.tell_owner(id, Command::SetIpv6(id, address.is_some()));
    }

    fn remove(&mut self, id: SessionId) {
        let (tunnel, worker) = match self.registry.begin_removal(id) {
            Ok(live) => live,
            // Who asks again has been told, or will be: a second answer might be taken for that of
            // the session which gets the number next.
            Err(NotRemoved::Again) => return,
            Err(NotRemoved::Unknown) => {
                return self.say(Event::Failed {
                    session: id,
                    reason: format!("no session {}", id.0),
                });
            }
        };
        self.interfaces.remove(&id);
        self.standings.forget(id);
        self.uplinks.remove_session(&tunnel, id);
        self.tell(
            WorkerId(0),
            Command::Route(tunnel.peer, tunnel.call_id, None),
        );
        self.tell(worker, Command::Remove(id));
    }

    fn take_reports(&mut self) -> Result<()> {
        let mut released = Vec::new();
        while let Ok(report) = self.reports.try_recv() {
            match report {
                Report::Counters(session, counters) => {
                    self.say(Event::Counters { session, counters });
                }
                Report::Released(tun) => released.push(tun),
                Report::Removed(id, counters) => {
                    self.registry.finish_removal(id, counters);
                    self.say(Event::Removed {
                        session: id,
                        counters,
                    });
                }
                Report::Failed(session, reason) => self.say(Event::Failed { session, reason }),
                Report::Notice(session, Notice::OutOfSync { times }) => {
                    self.say(Event::MppeOutOfSync { session, times });
                }
                Report::Notice(session, Notice::KeysDiffer) => {
                    self.say(Event::MppeKeysDiffer { session });
                }
                Report::LimitReached(session, limit) => {
                    self.say(Event::LimitReached { session, limit });
                }
                Report::MergingRefused(session) => tracing::warn!(
                    session = session.0,
                    "the kernel refused a merged packet; this session's are written one by one"
                ),
                Report::Totals(totals) => self.collect(totals),
                Report::Broken(worker, reason) => {
                    anyhow::bail!("worker {} broke: {reason}", worker.0);
                }
            }
        }
        // Nothing passes them any more. Many sessions often end at once: one transaction is for all.
        self.memberships
            .leave(released.iter().map(|tun| tun.ifindex));
        for tun in released {
            self.take_back(tun);
        }
        Ok(())
    }

    fn collect(&mut self, of_one: WorkerTotals) {
        let Some((asked, workers)) = self.totals.collect(of_one, self.workers.len()) else {
            return;
        };
        let xdp = self.uplinks.counters();
        for _ in 0..asked {
            let (workers, xdp) = (workers.clone(), xdp.clone());
            self.say(Event::Totals { workers, xdp });
        }
    }

    fn take_frames(&mut self) {
        // What does not fit stays in the channel, and what does not fit there is dropped and
        // counted by the worker: peers cannot make this process grow.
        while self.pending.len() < FRAMES_QUEUED
            && let Ok(ControlFrame {
                session,
                protocol,
                payload,
            }) = self.frames.try_recv()
        {
            if self.registry.owner(session).is_some() {
                self.say(Event::Frame {
                    session,
                    protocol,
                    payload,
                });
            }
        }
    }

    fn say(&mut self, event: Event) {
        if self.control.is_none() {
            return;
        }
        self.pending.push_back(event);
        if self.pending.len() > EVENTS_QUEUED {
            tracing::error!("the control process does not read: disconnecting it");
            self.disconnect();
        }
    }

    fn flush(&mut self) {
        while let (Some(control), Some(event)) = (&mut self.control, self.pending.front()) {
            match control.send(event) {
                Ok(()) => drop(self.pending.pop_front()),
                Err(ChannelError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(ChannelError::Closed) => return self.disconnect(),
                Err(error) => {
                    tracing::error!(%error, "cannot tell the control process");
                    return self.disconnect();
                }
            }
        }
    }

    fn tell_owner(&self, id: SessionId, command: Command) {
        // A request about a session that has just been removed has crossed with that removal.
        if let Some(worker) = self.registry.owner(id) {
            self.tell(worker, command);
        }
    }

    fn tell(&self, worker: WorkerId, command: Command) {
        let Some(handle) = self.workers.get(usize::from(worker.0)) else {
            return;
        };
        // Fails only when the worker has ended, which its last report says.
        let _ = handle.commands.send(command);
        if let Some(inbox) = self.inboxes.of(worker) {
            inbox.wake();
        }
    }
}

/// A worker's thread: pinned, without capabilities, until it is told to stop. It says once whether
/// it could begin.
fn work(parts: Parts, begun: &Sender<Result<(), String>>) {
    let will = Will {
        worker: parts.id,
        outbox: parts.outbox.clone(),
    };
    let pinned = core_affinity::set_for_current(core_affinity::CoreId {
        id: parts.core.into(),
    });
    if !pinned {
        tracing::warn!(
            worker = parts.id.0,
            core = parts.core,
            "cannot be pinned to its core"
        );
    }
    let built = Worker::new(parts).map_err(|error| format!("io_uring: {error}{}", hint(&error)));
    let built = built.and_then(|worker| {
        privileges::drop_all().map_err(|error| format!("{error:#}"))?;
        Ok(worker)
    });
    // Sending fails only when the main thread is gone.
    let worker = match built {
        Ok(worker) => worker,
        Err(reason) => return drop(begun.send(Err(reason))),
    };
    let _ = begun.send(Ok(()));
    if let Err(error) = worker.run() {
        will.tell(format!("io_uring: {error}"));
    }
}

/// Says that a worker is no more, also if it panics.
struct Will {
    worker: WorkerId,
    outbox: Outbox,
}

impl Will {
    fn tell(&self, reason: String) {
        // Fails only when the main thread is gone.
        let _ = self
            .outbox
            .reports
            .send(Report::Broken(self.worker, reason));
        let _ = self.outbox.wake.wake();
    }
}

impl Drop for Will {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell("it panicked".to_owned());
        }
    }
}

fn worker_id(index: usize) -> WorkerId {
    WorkerId(u16::try_from(index).expect("there are at most 65535 workers"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::ids::{CallId, PeerCallId};
    use crate::ipc::Held;
    use crate::stats::SessionCounters;

    #[test]
    fn sessions_that_moved_all_there_is_fit_into_one_message() {
        let most = u64::MAX;
        let held = Held {
            session: SessionId(MAX_SESSIONS),
            tunnel: Tunnel {
                ours: Ipv4Addr::BROADCAST,
                peer: Ipv4Addr::BROADCAST,
                call_id: CallId(u16::MAX),
                peer_call_id: PeerCallId(u16::MAX),
            },
            removed: Some(SessionCounters {
                rx_frames: most,
                rx_packets: most,
                rx_bytes: most,
                tx_packets: most,
                tx_bytes: most,
                rx_late: most,
                rx_lost: most,
                rx_fragments: most,
                rx_fragments_lost: most,
                tx_fragments: most,
                dropped: most,
            }),
        };
        let event = Event::Held {
            sessions: vec![held; HELD_PER_EVENT],
            last: false,
        };
        let bytes = postcard::to_stdvec(&event).unwrap();
        assert!(bytes.len() <= ipc::MAX_MESSAGE_BYTES, "{}", bytes.len());
    }

    #[test]
    fn a_worker_that_panics_is_missed() {
        let poll = Poll::new().unwrap();
        let (reports, reported) = crossbeam::channel::unbounded();
        let (frames, _) = crossbeam::channel::bounded(1);
        let outbox = Outbox {
            reports,
            frames,
            wake: Arc::new(Waker::new(poll.registry(), WORKERS).unwrap()),
        };
        let begin = |panics: bool| {
            let will = Will {
                worker: WorkerId(3),
                outbox: outbox.clone(),
            };
            let thread = std::thread::spawn(move || {
                let _will = will;
                assert!(!panics, "as the test wants it");
            });
            thread.join()
        };

        begin(false).unwrap();
        assert!(reported.is_empty(), "an orderly end is no news");
        begin(true).unwrap_err();

        assert!(matches!(
            reported.try_recv(),
            Ok(Report::Broken(WorkerId(3), _))
        ));
    }
}

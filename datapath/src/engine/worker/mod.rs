//! A worker: one thread, pinned to one core, with one RX queue, one io_uring and its own
//! sessions. It runs each burst to completion and holds no lock and no capability: it reads
//! hostile bytes. `receive` takes frames from the network to TUN, `transmit` the other way.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use super::buffers::{BUFFER_BYTES, Pool, Storage};
use super::handoff::{Inbox, Inboxes};
use super::raw;
use super::tun::Tun;
use super::uring::{self, Completion, Ring};
use super::xsk::Queue;
use crate::ids::{CallId, SessionId, WorkerId};
use crate::ipc::{Limit, Limits, LinkOptions, Prefix, Tunnel, WorkerTotals};
use crate::mppe::{AnyEngine, Parameters, engine};
use crate::session::{InnerAddress, Notice, Session};
use crate::stats::{DropReason, Drops, SessionCounters, WorkerCounters};

mod early;
mod keys;
mod limits;
mod merge;
mod receive;
mod spin;
mod transmit;

use early::Early;
use keys::Keys;
use limits::{Due, Timers};
use merge::Merging;
pub use receive::Arrived;
use spin::Spin;
use transmit::Read;

/// Frames handled in one go. More adds latency and no speed.
pub const BURST: usize = 64;

/// How long an acknowledgement waits for a packet to travel with.
const ACK_DELAY: Duration = Duration::from_millis(20);
/// Frames after which an acknowledgement waits no longer: half of the window of 256 we announce. One
/// alone costs 4 microseconds, mostly the kernel's.
const ACK_FRAMES: u32 = 128;
/// The longest sleep; a worker has nothing to do then, so it only bounds what a lost wake costs.
const SLEEP: Duration = Duration::from_secs(1);
/// The longest sleep while the device is too busy to take what waits in the TX ring.
const BUSY_SLEEP: Duration = Duration::from_millis(1);
/// Commands carried out in one go.
const COMMANDS: usize = 64;
/// How often they are looked for when a frame's session is not there yet.
const MAX_CATCH_UP: usize = 64;
/// Control frames that one session may send to the control process in [`CONTROL_PERIOD`].
const CONTROL_FRAMES: u32 = 200;
const CONTROL_PERIOD: Duration = Duration::from_secs(1);
/// Buffers of one worker for what goes through the raw sockets, in both directions.
pub const POOL_BUFFERS: usize = 4 * BURST;
/// Packets that are read from interfaces before one of them is done with. When all wait for the
/// device, the interfaces are not read, and the kernel queues.
const READS: u16 = 64;
/// Room for what is read at once: a packet of 64 KB and its header.
const READ_BYTES: u32 = 66_000;

/// What the main thread tells a worker.
#[derive(Debug)]
pub enum Command {
    /// Own a new session, whose frames leave by this.
    Install(SessionId, Tunnel, Exit),
    /// See [`crate::ipc::Request::SetLink`].
    SetLink(SessionId, LinkOptions),
    /// See [`crate::ipc::Request::SetMppe`].
    SetMppe(SessionId, Option<Parameters>, Option<Parameters>),
    /// See [`crate::ipc::Request::ResetMppe`].
    ResetMppe(SessionId),
    /// Move the session's packets to and from this interface, beginning with those that were read
    /// from it before.
    Attach(SessionId, Tun, InnerAddress, Vec<Vec<u8>>),
    /// These networks are behind the peer.
    SetNetworks(SessionId, Vec<Prefix>),
    /// Carry IPv6, or not.
    SetIpv6(SessionId, bool),
    /// Give the interface back.
    Detach(SessionId),
    /// See [`crate::ipc::Request::SetLimits`].
    SetLimits(SessionId, Limits),
    /// Send a control frame.
    Send(SessionId, u16, Vec<u8>),
    /// Report the counters.
    Read(SessionId),
    /// Give the session up.
    Remove(SessionId),
    /// Which worker owns the session whose frames come from this address with this call id. Told
    /// to the worker that reads the raw socket.
    Route(std::net::Ipv4Addr, CallId, Option<(WorkerId, SessionId)>),
    /// Report what the worker counted.
    ReadTotals,
    /// End.
    Stop,
}

/// What the frames of a session leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The worker's queue, as soon as the peer's link-layer address is known.
    Queue,
    /// The kernel's stack, by the raw socket: they take another interface than that of the queue.
    Stack,
}

/// What a worker tells the main thread.
#[derive(Debug)]
pub enum Report {
    /// See [`crate::ipc::Event::Counters`].
    Counters(SessionId, SessionCounters),
    /// Encrypted frames do not make sense.
    Notice(SessionId, Notice),
    /// See [`crate::ipc::Event::LimitReached`].
    LimitReached(SessionId, Limit),
    /// An interface nobody reads or writes any more.
    Released(Tun),
    /// See [`crate::ipc::Event::Removed`].
    Removed(SessionId, SessionCounters),
    /// A command failed.
    Failed(SessionId, String),
    /// The kernel refused a merged packet; the session's packets are now written one by one.
    MergingRefused(SessionId),
    /// The answer to [`Command::ReadTotals`].
    Totals(WorkerTotals),
    /// The worker cannot go on.
    Broken(WorkerId, String),
}

/// A PPP frame for the control process.
#[derive(Debug)]
pub struct ControlFrame {
    /// The session.
    pub session: SessionId,
    /// The PPP protocol number.
    pub protocol: u16,
    /// The information field.
    pub payload: Vec<u8>,
}

/// How a worker reaches the main thread.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// What must not be lost; bounded by the commands it answers.
    pub reports: Sender<Report>,
    /// What peers cause; bounded, and dropped when full.
    pub frames: Sender<ControlFrame>,
    /// Wakes the main thread.
    pub wake: Arc<mio::Waker>,
}

impl Outbox {
    fn report(&self, report: Report) {
        // Fails only when the main thread is gone, and then so is everything.
        let _ = self.reports.send(report);
        let _ = self.wake.wake();
    }
}

/// What a worker is made of. Built by the main thread, which has the capabilities for it.
#[derive(Debug)]
pub struct Parts {
    /// Its number.
    pub id: WorkerId,
    /// The core it is pinned to.
    pub core: u16,
    /// Its RX queue and the rings to it; `None` in raw mode.
    pub queue: Option<Queue>,
    /// The raw socket to read; one worker has it.
    pub raw_receiver: Option<raw::Receiver>,
    /// The raw socket to send through.
    pub raw_sender: raw::Sender,
    /// Every worker's inbox.
    pub inboxes: Arc<Inboxes>,
    /// From the main thread.
    pub commands: Receiver<Command>,
    /// To the main thread.
    pub outbox: Outbox,
    /// How long it looks for work, at most, before it sleeps.
    pub spin: Duration,
}

/// The running worker.
#[derive(Debug)]
pub struct Worker {
    // hot
    queue: Option<Queue>,
    /// The ring will say when the queue has frames. Asked for before a sleep only: to a worker that
    /// is awake each burst would come with a wake-up.
    queue_polled: bool,
    uring: Ring<Storage>,
    engine: AnyEngine,
    sessions: Vec<Option<Box<Entry>>>,
    pool: Pool,
    outgoing: transmit::Outgoing,
    merging: Box<Merging>,
    keys: Keys,
    counters: WorkerCounters,
    drops: Drops,
    owed: std::collections::VecDeque<(Instant, SessionId)>,
    timers: Timers,
    now: Instant,
    spin: Spin,
    inboxes: Arc<Inboxes>,
    id: WorkerId,
    // cold
    raw_receiver: Option<raw::Receiver>,
    raw_readable: bool,
    early: Early,
    raw_sender: raw::Sender,
    routes: std::collections::HashMap<(std::net::Ipv4Addr, CallId), (WorkerId, SessionId)>,
    releasing: std::collections::HashMap<u64, Tun>,
    /// Interfaces of `releasing` whose reads the ring had no room to cancel yet.
    uncancelled: Vec<u64>,
    generation: u32,
    commands: Receiver<Command>,
    outbox: Outbox,
    core: u16,
    stopping: bool,
}

/// A session and what the worker knows of it beside.
#[derive(Debug)]
struct Entry {
    // hot
    session: Session,
    exit: Exit,
    link_layer: transmit::LinkLayer,
    ip_identification: u16,
    tun: Option<(Tun, u64)>,
    ack_queued: bool,
    keys_wanted: bool,
    due: Due,
    /// The kernel refused a merged packet: none of this interface is merged any more.
    merging_refused: bool,
    // cold
    control_period: Instant,
    control_frames: u32,
}

/// What a completion of the ring belongs to: the high half says what, the low half which.
mod token {
    use crate::ids::SessionId;

    pub(super) const QUEUE: u64 = 1 << 32;
    pub(super) const WAKE: u64 = 2 << 32;
    pub(super) const RAW: u64 = 3 << 32;
    /// Interfaces have the session in the low half, and from here on a generation in the high
    /// half, so that what a former interface of the session has left over is not taken for its own.
    pub(super) const FIRST_GENERATION: u32 = 16;

    pub(super) fn interface(generation: u32, session: SessionId) -> u64 {
        (u64::from(generation) << 32) | u64::from(session.0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "takes the low half")]
    pub(super) fn session(token: u64) -> SessionId {
        SessionId(token as u32)
    }
}

impl Worker {
    /// Takes the parts and the thread it is called on: the ring belongs to it.
    ///
    /// # Errors
    /// What io_uring_setup(2) says, e.g. that it is disabled by `kernel.io_uring_disabled`.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let mut uring = Ring::new(&uring::Config {
            buffers: READS,
            buffer_bytes: READ_BYTES,
            ..uring::Config::default()
        })?;
        let inbox = parts.inboxes.of(parts.id).ok_or(io::ErrorKind::NotFound)?;
        uring.poll(inbox, token::WAKE)?;
        if let Some(receiver) = &parts.raw_receiver {
            uring.poll(receiver, token::RAW)?;
        }
        Ok(Self {
            queue: parts.queue,
            queue_polled: false,
            uring,
            engine: engine::detect(),
            sessions: Vec::new(),
            pool: Pool::new(POOL_BUFFERS, BUFFER_BYTES),
            outgoing: transmit::Outgoing::default(),
            merging: Box::new(Merging::new(parts.id)),
            keys: Keys::default(),
            counters: WorkerCounters::default(),
            drops: Drops::default(),
            owed: std::collections::VecDeque::with_capacity(1024),
            timers: Timers::default(),
            now: clock(),
            spin: Spin::new(parts.spin),
            inboxes: parts.inboxes,
            id: parts.id,
            raw_receiver: parts.raw_receiver,
            raw_readable: true,
            early: Early::default(),
            raw_sender: parts.raw_sender,
            routes: std::collections::HashMap::new(),
            releasing: std::collections::HashMap::new(),
            uncancelled: Vec::new(),
            generation: token::FIRST_GENERATION,
            commands: parts.commands,
            outbox: parts.outbox,
            core: parts.core,
            stopping: false,
        })
    }

    /// Runs until [`Command::Stop`].
    ///
    /// # Errors
    /// When the ring fails, which leaves nothing to run on.
    pub fn run(mut self) -> io::Result<()> {
        let ended = self.work();
        self.give_interfaces_back();
        ended
    }

    fn work(&mut self) -> io::Result<()> {
        while !self.stopping {
            let worked = self.pass()?;
            if worked {
                self.spin.worked();
            } else if self.spin.goes_on(self.now) {
                std::hint::spin_loop();
            } else {
                self.sleep()?;
                self.spin.slept(clock());
            }
        }
        Ok(())
    }

    /// The last thing a worker does: many interfaces go faster together than one by one.
    fn give_interfaces_back(self) {
        // Until then the kernel reads from them.
        drop(self.uring);
        let attached = self.sessions.into_iter().flatten();
        let attached = attached.filter_map(|entry| entry.tun.map(|(tun, _)| tun));
        for tun in attached.chain(self.releasing.into_values()) {
            // Fails only when the main thread is gone.
            let _ = self.outbox.reports.send(Report::Released(tun));
        }
    }

    /// One look at everything, without waiting. True if there was something to do. [`Self::run`]
    /// does this over and over; benchmarks do it themselves, to time it.
    ///
    /// # Errors
    /// When the ring fails.
    pub fn pass(&mut self) -> io::Result<bool> {
        self.now = clock();
        let mut worked = self.take_commands();
        self.take_home();
        worked |= self.receive_from_queue();
        worked |= self.receive_from_raw();
        self.drop_expired();
        worked |= self.receive_from_inbox();
        self.uring.submit()?;
        worked |= self.send_stalled();
        worked |= self.take_timers();
        worked |= self.take_completions()?;
        self.send_due_acks();
        self.flush_transmit();
        worked |= self.make_keys(!worked);
        Ok(worked)
    }

    fn sleep(&mut self) -> io::Result<()> {
        let Some(inbox) = self.inboxes.of(self.id) else {
            return Ok(());
        };
        let ack = self.owed.front().map(|&(due, _)| due);
        let due = ack.into_iter().chain(self.timers.next()).min();
        if !inbox.fall_asleep() && self.commands.is_empty() {
            if let Some(queue) = &self.queue
                && !self.queue_polled
            {
                self.uring.poll_once(queue, token::QUEUE)?;
                self.queue_polled = true;
            }
            let longest = if self.outgoing.waits_for_device() {
                BUSY_SLEEP
            } else {
                SLEEP
            };
            let time = due.map_or(longest, |due| {
                due.saturating_duration_since(self.now).min(longest)
            });
            self.uring.submit_and_wait(Some(time))?;
        }
        inbox.awake();
        Ok(())
    }

    fn take_commands(&mut self) -> bool {
        let mut worked = false;
        // Bounded, so that a flood of commands does not starve the packets.
        for _ in 0..COMMANDS {
            let Ok(command) = self.commands.try_recv() else {
                break;
            };
            worked = true;
            self.handle_command(command);
        }
        worked
    }

    /// A session is installed before its frames are steered: what says so is among the commands.
    fn catch_up(&mut self) {
        for _ in 0..MAX_CATCH_UP {
            if !self.take_commands() {
                break;
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Install(id, tunnel, exit) => {
                let index = id.0 as usize;
                if self.sessions.len() <= index {
                    self.sessions.resize_with(index + 1, || None);
                }
                self.sessions[index] = Some(Box::new(Entry {
                    session: Session::new(tunnel),
                    exit,
                    link_layer: transmit::LinkLayer::default(),
                    ip_identification: 0,
                    tun: None,
                    ack_queued: false,
                    keys_wanted: false,
                    due: Due::default(),
                    merging_refused: false,
                    control_period: self.now,
                    control_frames: 0,
                }));
            }
            Command::SetLink(id, link) => {
                if let Some(entry) = self.entry(id) {
                    entry.session.set_link(link);
                }
            }
            Command::SetMppe(id, rx, tx) => {
                if let Some(entry) = self.entry(id) {
                    entry.session.set_mppe(rx.as_ref(), tx.as_ref());
                }
            }
            Command::ResetMppe(id) => {
                if let Some(entry) = self.entry(id) {
                    entry.session.reset_mppe();
                }
            }
            Command::Attach(id, tun, inner, waiting) => {
                if let Some(token) = self.attach(id, tun, inner) {
                    self.write_early(id);
                    for read in waiting {
                        self.send_read(token, Read::Kept(read));
                    }
                }
            }
            Command::SetNetworks(id, networks) => {
                if let Some(entry) = self.entry(id) {
                    entry.session.set_networks(networks);
                }
            }
            Command::SetIpv6(id, ipv6) => {
                if let Some(entry) = self.entry(id) {
                    entry.session.set_ipv6(ipv6);
                }
            }
            Command::Detach(id) => self.detach(id),
            Command::SetLimits(id, limits) => self.set_limits(id, limits),
            Command::Send(id, protocol, payload) => self.send_control(id, protocol, &payload),
            Command::Read(id) => {
                if let Some(counters) = self.entry(id).map(|entry| entry.session.counters()) {
                    self.report(Report::Counters(id, counters));
                }
            }
            Command::Remove(id) => {
                self.detach(id);
                let entry = self.sessions.get_mut(id.0 as usize).and_then(Option::take);
                if let Some(entry) = entry {
                    self.report(Report::Removed(id, entry.session.counters()));
                }
            }
            Command::Route(peer, call_id, Some(owner)) => {
                self.routes.insert((peer, call_id), owner);
                self.receive_early((peer, call_id), owner);
            }
            Command::Route(peer, call_id, None) => {
                self.routes.remove(&(peer, call_id));
            }
            Command::ReadTotals => {
                let totals = self.totals();
                self.report(Report::Totals(totals));
            }
            Command::Stop => self.stopping = true,
        }
    }

    /// The token of the interface, if the session has it now.
    fn attach(&mut self, id: SessionId, tun: Tun, inner: InnerAddress) -> Option<u64> {
        self.generation = self.generation.wrapping_add(1).max(token::FIRST_GENERATION);
        let token = token::interface(self.generation, id);
        let Some(entry) = self
            .sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_mut)
        else {
            self.report(Report::Released(tun));
            return None;
        };
        if let Err(error) = self.uring.read(&tun, token) {
            self.report(Report::Failed(
                id,
                format!("cannot read {}: {error}", tun.kernel_name),
            ));
            self.report(Report::Released(tun));
            return None;
        }
        let former = entry.tun.replace((tun, token));
        entry.session.set_interface(Some(inner));
        if let Some((tun, token)) = former {
            self.release(tun, token);
        }
        Some(token)
    }

    /// The interface is given back when the ring has let go of it.
    fn detach(&mut self, id: SessionId) {
        let Some(entry) = self.entry(id) else { return };
        entry.session.set_interface(None);
        let Some((tun, token)) = entry.tun.take() else {
            return;
        };
        self.release(tun, token);
    }

    fn release(&mut self, tun: Tun, token: u64) {
        self.releasing.insert(token, tun);
        if self.uring.cancel(token).is_err() {
            // Its queue is full; there is room when completions have been taken.
            self.uncancelled.push(token);
        }
    }

    fn take_completions(&mut self) -> io::Result<bool> {
        let mut worked = false;
        while let Some(token) = self.uncancelled.pop() {
            if self.uring.cancel(token).is_err() {
                self.uncancelled.push(token);
                break;
            }
        }
        for _ in 0..4 * BURST {
            let Some(completion) = self.uring.next_completion() else {
                break;
            };
            worked = true;
            match completion {
                Completion::Ready { token } => {
                    self.raw_readable |= token == token::RAW;
                    self.queue_polled &= token != token::QUEUE;
                }
                // Deaf on one ear, the worker would only seem to work.
                Completion::PollEnded { error, .. } => return Err(error),
                Completion::Read { token, bytes } => self.send_read(token, Read::Ring(bytes)),
                Completion::ReadEnded { token, error } => self.read_ended(token, &error),
                Completion::Written {
                    token,
                    buffer,
                    result,
                } => self.written(token, buffer, result),
            }
        }
        Ok(worked)
    }

    fn written(&mut self, token: u64, storage: Storage, result: io::Result<usize>) {
        match result {
            Ok(_) => self.counters.tun_written += 1,
            Err(error) => {
                self.drops.count(DropReason::TunWrite);
                let merged = matches!(storage, Storage::Super { .. });
                if merged && error.kind() == io::ErrorKind::InvalidInput {
                    self.merging_was_refused(token::session(token));
                }
            }
        }
        self.recycle(storage);
    }

    /// A kernel that took the offloads and not the packets.
    fn merging_was_refused(&mut self, id: SessionId) {
        let Some(entry) = self.entry(id) else { return };
        if !entry.merging_refused {
            entry.merging_refused = true;
            self.report(Report::MergingRefused(id));
        }
    }

    /// The reads of an interface end when they are cancelled, or when the interface is gone.
    fn read_ended(&mut self, token: u64, error: &io::Error) {
        if let Some(tun) = self.releasing.remove(&token) {
            return self.report(Report::Released(tun));
        }
        let id = token::session(token);
        let Some(entry) = self.entry(id) else { return };
        if entry
            .tun
            .as_ref()
            .is_some_and(|(_, current)| *current == token)
        {
            entry.session.set_interface(None);
            if let Some((tun, _)) = entry.tun.take() {
                let reason = format!("interface {} went away: {error}", tun.kernel_name);
                self.report(Report::Failed(id, reason));
                self.report(Report::Released(tun));
            }
        }
    }

    /// Takes in what other workers gave back.
    fn take_home(&mut self) {
        while let Some(storage) = self.inboxes.of(self.id).and_then(Inbox::next_returned) {
            self.keep(storage);
        }
    }

    /// Gives a frame's memory back to where it came from.
    fn recycle(&mut self, storage: Storage) {
        let home = storage.home();
        if home == self.id {
            return self.keep(storage);
        }
        let refused = match self.inboxes.of(home) {
            Some(inbox) => inbox.give_back(storage).err(),
            None => Some(storage),
        };
        if let Some(storage) = refused {
            self.keep(storage);
        }
    }

    fn keep(&mut self, storage: Storage) {
        match storage {
            Storage::Heap { buffer, .. } => self.pool.put(buffer),
            Storage::Super { buffer, .. } => self.merging.put(buffer),
            Storage::Umem { frame, .. } => {
                if let Some(queue) = &mut self.queue {
                    queue.recycle(frame);
                }
            }
        }
    }

    fn drop_frame(&mut self, storage: Storage, reason: DropReason) {
        self.drops.count(reason);
        self.recycle(storage);
    }

    fn totals(&self) -> WorkerTotals {
        let sessions = self.sessions.iter().flatten().count();
        WorkerTotals {
            worker: self.id,
            core: self.core,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            counters: self.counters,
            drops: self
                .drops
                .iter()
                .filter(|&(_, count)| count > 0)
                .map(|(reason, count)| (reason.name().to_owned(), count))
                .collect(),
        }
    }

    fn entry(&mut self, id: SessionId) -> Option<&mut Entry> {
        self.sessions
            .get_mut(id.0 as usize)
            .and_then(Option::as_deref_mut)
    }

    fn report(&self, report: Report) {
        self.outbox.report(report);
    }
}

/// The time, once a pass.
#[expect(
    clippy::disallowed_methods,
    reason = "the engine is where the clock is read"
)]
fn clock() -> Instant {
    Instant::now()
}

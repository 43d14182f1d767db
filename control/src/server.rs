//! The engine: connections, sessions, users, addresses, and the clients that dial.
//!
//! Sans-IO. What happens on sockets comes in through the `handle_*` functions; after each of them,
//! carry out what [`Server::poll_command`] gives until that is `None`, then arrange to call
//! [`Server::handle_timeout`] at [`Server::poll_timeout`].
//!
//! A call takes this way: Outgoing-Call-Request, a call id and a session number are drawn, the
//! datapath is told (`Install`), only then the caller (Outgoing-Call-Reply). Its end: whatever
//! comes first tells the session, the session's link goes down, the datapath removes it, the
//! call is cleared. A number is free again when the datapath has let go of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use greyhound_datapath::ids::{CallId, SessionId};
use greyhound_datapath::ipc::{self, Event, Request, Uplink};

use crate::aaa::pool::Pools;
use crate::accounting::{Authentic, Change};
use crate::cause::Cause;
use crate::console::snapshot::Snapshot;
use crate::dialer::Dialer;
use crate::dns;
use crate::entropy::Entropy;
use crate::hooks::Hook;
use crate::model::{Config, PptpClient, Resolved, Running};
use crate::pptp::{CallIds, Connection, Misbehaviours};
use crate::radius::access::Grant;
use crate::radius::client::{SocketId, Ticket};
use crate::radius::incoming::Incoming;
use crate::session::Session;
use crate::session::line::{Field, Line, Message};

mod accounts;
mod calls;
mod clients;
mod datapath;
mod half_open;
mod hooks;
mod ids;
mod incoming;
mod login;
mod outbox;
mod radius;
mod reconfigure;
mod refresh;
mod sessions;
mod snapshot;
mod standing;
mod terms;
mod timers;
mod users;

use self::accounts::{Account, Accounts};
use self::clients::Attempt;
use self::half_open::HalfOpen;
pub use self::half_open::{MAX_STRANGER_CALLS, MAX_STRANGERS, MAX_STRANGERS_PER_SOURCE};
use self::hooks::Hooks;
pub use self::ids::ConnId;
use self::ids::{ClientId, SessionIds};
use self::outbox::Outbox;
use self::radius::Radius;
use self::refresh::Refresh;
use self::timers::Timers;
use self::users::Users;

/// How long sessions may take to end in good order when the program stops.
pub const POLITE_STOP: Duration = Duration::from_secs(2);

/// How long the program may take to stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// What the server asks of the I/O.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send bytes on a TCP connection.
    Send {
        /// Which one.
        conn: ConnId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Close a TCP connection when everything is sent, or give up connecting it. The server has
    /// forgotten it already.
    Close {
        /// Which one.
        conn: ConnId,
    },
    /// Look up the IPv4 addresses of a server; answer with [`Server::handle_resolved`].
    Resolve {
        /// What the question is called.
        conn: ConnId,
        /// An IPv4 address or a DNS name.
        host: String,
    },
    /// Connect to a PPTP server; answer with [`Server::handle_connected`] or
    /// [`Server::handle_unreachable`].
    Connect {
        /// What the connection is to be called.
        conn: ConnId,
        /// The server.
        address: Ipv4Addr,
    },
    /// Tell the datapath.
    Datapath(Request),
    /// Close the connection to the datapath: it does not speak our language.
    CloseDatapath,
    /// Write a line into the log.
    Log(Line),
    /// Run a program of the operator's.
    RunHook(Hook),
    /// Have the system's resolver use DNS servers that a peer gave, in place of those that were said
    /// before of the same interface.
    SetDns {
        /// The interface as `print` names it.
        name: String,
        /// Which, and for which interface of the kernel's.
        setting: dns::Setting,
    },
    /// Have it use those of an interface no longer, if it does.
    RevertDns {
        /// The kernel's name of the interface.
        interface: String,
    },
    /// Keep this on disk; say [`Server::handle_kept`] when it is.
    Keep {
        /// Later changes have higher numbers.
        number: u64,
        /// What.
        change: Change,
    },
    /// Read what RADIUS is still to be told; answer with [`Server::handle_records`].
    LoadRecords {
        /// Records after this one.
        after: i64,
        /// How many at most.
        limit: usize,
    },
    /// Keep sessions that have ended for so long, and so many of them; `None` is no limit.
    Retain {
        /// How long.
        keep_for: Option<Duration>,
        /// How many.
        max_sessions: Option<u64>,
    },
    /// RADIUS was told: the record need not be kept for it any longer.
    RecordDelivered(i64),
    /// Open a UDP socket; what comes on it is for [`Server::handle_radius`].
    OpenRadius {
        /// What it is to be called.
        socket: SocketId,
        /// The address that it sends from; `None` leaves that to the kernel.
        address: Option<Ipv4Addr>,
    },
    /// Close it.
    CloseRadius {
        /// Which one.
        socket: SocketId,
    },
    /// Send a datagram.
    SendRadius {
        /// From which socket.
        socket: SocketId,
        /// Where to.
        to: SocketAddrV4,
        /// What.
        bytes: Vec<u8>,
    },
    /// Answer what came to the port of `/radius incoming`.
    AnswerIncoming {
        /// Where to.
        to: SocketAddrV4,
        /// What.
        bytes: Vec<u8>,
    },
}

/// The engine.
#[derive(Debug)]
pub struct Server<E> {
    config: Running,
    entropy: E,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: u32,
    half_open: HalfOpen,
    call_ids: CallIds,
    /// Calls that have a session.
    calls: BTreeMap<CallId, SessionId>,
    sessions: BTreeMap<SessionId, Entry>,
    session_ids: SessionIds,
    users: Users,
    pools: Pools,
    /// How the last session of each user ended, since this program started.
    last_ends: BTreeMap<String, LastEnd>,
    clients: BTreeMap<ClientId, Client>,
    next_client: u32,
    datapath: Datapath,
    refresh: Refresh,
    accounts: Accounts,
    outbox: Outbox,
    radius: Radius<E>,
    incoming: Incoming,
    /// Sessions so far.
    arrivals: u64,
    /// `session-id` of the next session.
    next_number: u32,
    /// Set once the program stops: by when it has to.
    stop_by: Option<Instant>,
    misbehaviours: Misbehaviours,
    /// The log is told of each control packet.
    is_traced: bool,
    timers: Timers<Timer>,
    /// What may have something to say.
    touched: VecDeque<Timer>,
    commands: VecDeque<Command>,
}

/// A control connection.
#[derive(Debug)]
struct Conn {
    pptp: Connection,
    ours: Ipv4Addr,
    peer: Ipv4Addr,
    /// The configured client that it belongs to, if we dialled.
    client: Option<ClientId>,
    /// Counted in `half_open`.
    is_stranger: bool,
    /// The same, of those beyond the limit.
    is_turned_away: bool,
    /// Sessions that have not ended.
    sessions: usize,
    /// A session of it said why it ended, and so why the dial did.
    told: bool,
}

/// A session and what it holds.
#[derive(Debug)]
struct Entry {
    session: Session,
    conn: ConnId,
    client: Option<ClientId>,
    /// Counts sessions, in the order they came.
    arrival: u64,
    /// `session-id`.
    number: u32,
    /// Addresses that nobody else may have meanwhile.
    leases: Vec<Ipv4Addr>,
    hooks: Hooks,
    account: Account,
    /// What RADIUS was asked about its user.
    asking: Option<Ticket>,
    /// Server: what the configuration gave when the user logged in.
    granted: Option<Granted>,
    /// The configuration gives something else by now.
    is_stale: bool,
}

/// How a user's last session ended.
#[derive(Clone, Copy, Debug)]
struct LastEnd {
    at: Instant,
    caller: Ipv4Addr,
    cause: Cause,
}

/// What a user got at login.
#[derive(Debug)]
struct Granted {
    /// The name of the secret, or that by which RADIUS knows the user.
    user: String,
    resolved: Resolved,
    authentic: Authentic,
    /// What RADIUS said.
    grant: Option<Box<Grant>>,
}

/// A configured client at work.
#[derive(Debug)]
struct Client {
    /// As it was when it began.
    config: PptpClient,
    /// Changed or removed: it only comes to its end.
    is_retired: bool,
    /// What its profile gave to the session.
    granted: Option<Resolved>,
    dialer: Dialer,
    /// What is asked for, or has come of it.
    conn: Option<ConnId>,
    attempt: Attempt,
    session: Option<SessionId>,
    /// The address that it was given last.
    address: Option<Ipv4Addr>,
    /// The interface whose name servers the system asks, or was to.
    resolves_by: Option<String>,
    /// Tells its placeholders from those of the others.
    unit: u8,
    /// Why it ended the last time.
    last_end: Option<Cause>,
}

/// The datapath process.
#[derive(Debug)]
enum Datapath {
    Absent,
    /// Hello is sent.
    Greeting,
    /// Hello came, the sessions held are still being told.
    Telling(Hello),
    Ready(Hello),
}

/// What the datapath said about itself.
#[derive(Clone, Debug)]
struct Hello {
    uplinks: Vec<Uplink>,
}

/// What has deadlines, in the order in which it is looked after when all are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// When sessions that did not end in good order are to be cut off.
    PoliteStop,
    /// When to look after a configured client.
    Client(ClientId),
    /// When to look after a connection.
    Conn(ConnId),
    /// When to look after a session.
    Session(SessionId),
    /// When to keep what a session has moved.
    Account(SessionId),
    /// When to look after what RADIUS is asked.
    Radius,
}

/// Events from outside.
impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// An engine without datapath. `boot` tells starts of the program apart in `session-id`.
    #[must_use]
    pub fn new(now: Instant, config: impl Into<Running>, entropy: E, boot: u8) -> Self {
        let (config, mut entropy): (Running, E) = (config.into(), entropy);
        let mut incoming = Incoming::new();
        incoming.configure(incoming::askers(&config));
        let mut server = Self {
            pools: Pools::new(&config.pools),
            accounts: Accounts::new(entropy.next_u32()),
            outbox: Outbox::new(),
            radius: Radius::new(now, &config, entropy.clone()),
            incoming,
            config,
            entropy,
            conns: BTreeMap::new(),
            next_conn: 0,
            half_open: HalfOpen::default(),
            call_ids: CallIds::new(),
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            session_ids: SessionIds::default(),
            users: Users::default(),
            last_ends: BTreeMap::new(),
            clients: BTreeMap::new(),
            next_client: 0,
            datapath: Datapath::Absent,
            refresh: Refresh::default(),
            arrivals: 0,
            next_number: SESSION_NUMBER_CLASS | u32::from(boot & 0xf) << 20,
            stop_by: None,
            misbehaviours: Misbehaviours::default(),
            is_traced: false,
            timers: Timers::new(),
            touched: VecDeque::new(),
            commands: VecDeque::new(),
        };
        server.begin_clients(now);
        server.settle(now);
        server
    }

    /// Tells the log of each control packet and message of connections from here on.
    pub const fn trace(&mut self) {
        self.is_traced = true;
    }

    /// A client connected. Where there are too many that have not proved who they are it is told
    /// so; `None`: there are even too many of those, close it.
    pub fn handle_accepted(
        &mut self,
        now: Instant,
        ours: Ipv4Addr,
        peer: Ipv4Addr,
    ) -> Option<ConnId> {
        if self.stop_by.is_some() {
            return None;
        }
        if !self.half_open.enter(peer) {
            let text = format!("TCP connection from {peer} refused: too many without a session");
            self.log(Line::new(Message::TcpRefused, text).with(Field::Caller, peer));
            if !self.half_open.turn_away() {
                return None;
            }
            let id = self.next_conn();
            let pptp = Connection::full(now, &self.config.identity.name);
            self.insert_conn(id, pptp, (ours, peer), None);
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.is_stranger = false;
                conn.is_turned_away = true;
            }
            self.settle(now);
            return Some(id);
        }
        let text = format!("TCP connection established from {peer}");
        self.log(Line::new(Message::TcpEstablished, text).with(Field::Caller, peer));
        let conn = self.next_conn();
        let pptp = Connection::server(now, &self.config.identity.name);
        self.insert_conn(conn, pptp, (ours, peer), None);
        self.settle(now);
        Some(conn)
    }

    /// Bytes arrived on a connection.
    pub fn handle_data(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.pptp.handle_data(now, bytes);
            self.touched.push_back(Timer::Conn(conn));
            self.settle(now);
        }
    }

    /// A connection was closed by the peer, broke, or could not be made.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.pptp.handle_hangup(now);
            self.touched.push_back(Timer::Conn(conn));
        } else if let Some(client) = self.client_of(conn) {
            self.on_unreachable(
                now,
                client,
                Cause::ConnectFailed,
                "the connection was closed",
            );
        }
        self.settle(now);
    }

    /// The datapath is connected.
    pub fn handle_datapath_connected(&mut self, now: Instant) {
        self.lose_datapath(now);
        self.datapath = Datapath::Greeting;
        self.commands.push_back(Command::Datapath(Request::Hello {
            version: ipc::VERSION,
        }));
        self.settle(now);
    }

    /// The datapath said something.
    pub fn handle_datapath_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Hello {
                version,
                uplinks,
                workers: _,
            } => self.on_hello(now, version, Hello { uplinks }),
            Event::Held { sessions, last } => self.on_held(now, &sessions, last),
            Event::Installed { session, uplink } => {
                self.with_session(session, |one| one.handle_installed(uplink));
            }
            Event::Frame {
                session,
                protocol,
                payload,
            } => self.with_session(session, |one| one.handle_frame(now, protocol, &payload)),
            Event::Attached {
                session,
                kernel_name,
                ifindex,
            } => self.with_session(session, |one| {
                one.handle_attached(now, kernel_name, ifindex);
            }),
            Event::Failed { session, reason } => {
                self.with_session(session, |one| one.handle_failed(now, &reason));
            }
            Event::Warning { session, warning } => {
                self.with_session(session, |one| one.handle_warning(now, &warning));
            }
            Event::MppeOutOfSync { session, times } => {
                self.with_session(session, |one| one.handle_mppe_out_of_sync(now, times));
            }
            Event::MppeKeysDiffer { session } => {
                self.with_session(session, |one| one.handle_mppe_keys_differ(now));
            }
            Event::LimitReached { session, limit } => {
                self.with_session(session, |one| one.handle_limit_reached(now, limit));
            }
            Event::Counters { session, counters } => {
                self.with_session(session, |one| one.handle_counters(now, counters));
                self.note_counted(now, session);
                self.on_refreshed(session);
            }
            Event::Removed { session, counters } => self.on_removed(now, session, counters),
            Event::Stands { name, warnings, .. } => self.on_stands(&name, &warnings),
            Event::CannotStand { name, reason } => self.on_cannot_stand(&name, &reason),
            Event::Demand { name } => self.on_demand(now, &name),
            Event::Pinned {
                name,
                server,
                refused,
            } => self.on_pinned(now, &name, server, refused.as_deref()),
            Event::Totals { workers, xdp } => self.refresh.finish(workers, xdp),
        }
        self.settle(now);
    }

    /// The connection to the datapath is gone: every session with it.
    pub fn handle_datapath_lost(&mut self, now: Instant) {
        self.lose_datapath(now);
        self.settle(now);
    }

    /// The moment that [`Self::poll_timeout`] named has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::PoliteStop => self.cut_off(now),
                Timer::Client(_) => {}
                Timer::Conn(conn) => {
                    if let Some(entry) = self.conns.get_mut(&conn) {
                        entry.pptp.handle_timeout(now);
                    }
                }
                Timer::Session(session) => {
                    if let Some(entry) = self.sessions.get_mut(&session) {
                        entry.session.handle_timeout(now);
                    }
                }
                Timer::Account(session) => self.count(session),
                Timer::Radius => {
                    self.radius.client.handle_timeout(now);
                    self.outbox.handle_timeout(now);
                }
            }
            self.touched.push_back(timer);
        }
        self.settle(now);
    }

    /// Ends everything in good order; done when [`Self::is_stopped`].
    pub fn stop(&mut self, now: Instant) {
        if self.stop_by.is_some() {
            return;
        }
        self.stop_by = Some(now + STOP_TIMEOUT);
        self.timers.set(Timer::PoliteStop, Some(now + POLITE_STOP));
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            self.switch_off(now, client, Cause::Reboot);
        }
        let mut busy = BTreeSet::new();
        for (&id, entry) in &mut self.sessions {
            entry.session.close(now, Cause::Reboot);
            busy.insert(entry.conn);
            self.touched.push_back(Timer::Session(id));
        }
        for (&id, conn) in &mut self.conns {
            if !busy.contains(&id) {
                conn.pptp.stop(now, Cause::Reboot);
                self.touched.push_back(Timer::Conn(id));
            }
        }
        self.settle(now);
    }

    /// Asks the datapath for all counters, for [`Self::snapshot`]. They are there when
    /// [`Self::refreshed`] returns what this returns; `None` if there is nobody to ask.
    pub fn refresh(&mut self, now: Instant) -> Option<u64> {
        if !matches!(self.datapath, Datapath::Ready(_)) {
            return None;
        }
        let sessions = self.sessions.keys().copied();
        let generation = self.refresh.begin(now, sessions);
        self.read_on();
        Some(generation)
    }

    /// The next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.stop_by).min()
    }

    /// Which [`Self::refresh`] was answered last.
    #[must_use]
    pub const fn refreshed(&self) -> u64 {
        self.refresh.answered()
    }

    /// Whether all that [`Self::stop`] began has come to its end, or to the end of its time.
    #[must_use]
    pub fn is_stopped(&self, now: Instant) -> bool {
        let is_empty = self.conns.is_empty() && self.sessions.is_empty();
        let is_told = self.accounts.is_settled() && self.outbox.is_idle();
        self.stop_by
            .is_some_and(|at| (is_empty && is_told) || at <= now)
    }

    /// What is configured.
    #[must_use]
    pub const fn config(&self) -> &Config {
        self.config.config()
    }

    /// The running state, as of the last [`Self::refresh`].
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        snapshot::take(self, now)
    }

    /// What the clients of ended connections did wrong.
    #[must_use]
    pub const fn misbehaviours(&self) -> &Misbehaviours {
        &self.misbehaviours
    }
}

/// What all share.
impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Lets everything that may have something to say say it.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(one) = self.touched.pop_front() {
                match one {
                    Timer::PoliteStop | Timer::Account(_) | Timer::Radius => {}
                    Timer::Client(client) => self.look_after_client(now, client),
                    Timer::Conn(conn) => self.pump_conn(now, conn),
                    Timer::Session(session) => self.pump_session(now, session),
                }
            }
            if self.stop_by.is_some() && self.sessions.is_empty() {
                self.switch_accounting(now);
            }
            self.pump_radius(now);
            if self.touched.is_empty() {
                return;
            }
        }
    }

    fn log(&mut self, line: Line) {
        self.commands.push_back(Command::Log(line));
    }
}

/// The first byte of `session-id`: a PPP session.
const SESSION_NUMBER_CLASS: u32 = 0x8100_0000;

#[cfg(test)]
mod tests;

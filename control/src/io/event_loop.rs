//! The loop: waits for sockets and deadlines, tells the server, carries out what it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::Options;
use super::console::Console;
use super::datapath::{Datapath, Lost};
use super::resolve::Resolver;
use super::store::Store;
use super::tcp::{LINGER, Received, Stream};
use super::udp::{Asked, Asking};
use crate::accounting::{
    self,
    keeper::{Keeper, Report},
};
use crate::console::accounts::{self, Found};
use crate::console::command::{self, Context as Facts};
use crate::console::wire::{Reply, Request};
use crate::dns;
use crate::entropy::SystemEntropy;
use crate::hooks;
use crate::log::{Line, Log, Message};
use crate::model::Config;
use crate::radius::client::SocketId;
use crate::server::{Command, ConnId, Server};

const LISTENER: Token = Token(0);
const SIGNALS: Token = Token(1);
const DATAPATH: Token = Token(2);
const CONSOLE: Token = Token(3);
/// Other threads have something to say.
const WAKER: Token = Token(4);
const HOOKS: Token = Token(5);
const DNS: Token = Token(6);
const INCOMING: Token = Token(7);
/// From here on even numbers are TCP connections and odd ones are the console's.
const FIRST_CONNECTION: usize = 16;
/// From here on are the sockets by which RADIUS is asked; there are never so many connections.
const FIRST_RADIUS: usize = 1 << 48;

/// TCP connections let in before the others get their turn.
const ACCEPTS_A_TURN: usize = 64;

/// Reads from one TCP connection before the others get their turn.
const READS_A_TURN: usize = 4;

/// Datapath events taken before the others get their turn.
const EVENTS_A_TURN: usize = 1024;

/// How long to let no connection in when there is no descriptor or memory for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the start waits for the records of the process before.
const OPENING: Duration = Duration::from_secs(10);

/// Connections that may wait for their peer to close, too.
const MAX_CLOSING: usize = 1024;

/// The loop.
pub(super) struct EventLoop {
    clock: Box<dyn Fn() -> Instant>,
    log: Log,
    poll: Poll,
    server: Server<SystemEntropy>,
    address: SocketAddrV4,
    store: Option<Store>,
    listener: Option<TcpListener>,
    /// When to accept, whether or not the listener has something to say.
    accept_at: Option<Instant>,
    streams: BTreeMap<ConnId, Stream>,
    /// Connections whose server's address is being looked up.
    resolving: BTreeSet<ConnId>,
    resolver: Resolver,
    /// Connections that have not been read to the end.
    unread: BTreeSet<ConnId>,
    closing: BTreeSet<(Instant, ConnId)>,
    datapath: Datapath,
    /// The datapath has not been read to the end.
    datapath_unread: bool,
    console: Console,
    hooks: hooks::client::Client,
    dns: dns::client::Client,
    waker: Arc<Waker>,
    /// Keeps accounts on disk; `None` is nowhere.
    keeper: Option<Keeper>,
    asking: Asking,
    /// The port of `/radius incoming`, if it is open.
    asked: Option<Asked>,
    signals: Option<UnixStream>,
    /// Set once the server has stopped: until when to wait for what is still to be sent.
    leave_by: Option<Instant>,
}

impl EventLoop {
    /// Opens the sockets.
    pub(super) fn new(
        options: Options,
        boot: u8,
        clock: Box<dyn Fn() -> Instant>,
    ) -> anyhow::Result<Self> {
        let now = clock();
        let poll = Poll::new().context("cannot create an epoll set")?;
        let registry = poll.registry();
        let address = options.bind.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let address = SocketAddrV4::new(address, options.port);
        let listener = if options.config.server.enabled {
            Some(listen(address, &poll)?)
        } else {
            None
        };
        let mut server = Server::new(now, options.config, SystemEntropy, boot);
        if options.log.wants(Message::PppPacket) || options.log.wants(Message::ControlMessage) {
            server.trace();
        }
        let waker = Waker::new(registry, WAKER).context("cannot create an eventfd")?;
        let waker = Arc::new(waker);
        let asked = hear(server.config(), *address.ip(), &poll)?;
        Ok(Self {
            log: options.log,
            console: Console::new(&options.run_dir, CONSOLE, registry)?,
            datapath: Datapath::new(&options.run_dir, DATAPATH, now),
            server,
            address,
            store: options.store,
            accept_at: None,
            listener,
            streams: BTreeMap::new(),
            resolving: BTreeSet::new(),
            resolver: Resolver::new(Arc::clone(&waker)),
            waker,
            keeper: None,
            asking: Asking::default(),
            asked,
            unread: BTreeSet::new(),
            closing: BTreeSet::new(),
            datapath_unread: false,
            signals: None,
            hooks: hooks::client::Client::new(&options.run_dir, HOOKS),
            dns: dns::client::Client::new(&options.run_dir, DNS, now),
            leave_by: None,
            clock,
            poll,
        })
    }

    /// Says so if changes could not be kept. To be called with the rights that there will be then.
    pub(super) fn check_store(&self) {
        if let Some(store) = &self.store
            && let Err(error) = store.check()
        {
            let path = store.path().display();
            let text = format!("{path} cannot be written, nor the configuration changed: {error}");
            self.log(Message::ConfigurationUnkept, text);
        }
    }

    /// Keeps accounts in this folder from here on, and tells the server what an earlier process left
    /// there. To be called with the rights that there will be then: threads have their own.
    pub(super) fn keep_accounts(&mut self, state_dir: &Path) -> anyhow::Result<()> {
        let waker = Arc::clone(&self.waker);
        let path = state_dir.join(accounting::store::FILE);
        let wake = move || {
            // The loop may be gone by now.
            let _ = waker.wake();
        };
        let keeper = Keeper::start(path, wake).context("cannot start a thread for accounting")?;
        // Nothing is to happen before it is known what was up.
        let mut unfinished = None;
        while unfinished.is_none() {
            match keeper.wait(OPENING) {
                Some(Report::Opened(found)) => unfinished = Some(found),
                Some(Report::Log(line)) => self.log.write(line),
                Some(Report::Kept { .. } | Report::Page(_) | Report::Rows { .. }) | None => break,
            }
        }
        self.keeper = Some(keeper);
        self.server
            .resume((self.clock)(), unfinished.unwrap_or_default());
        Ok(())
    }

    /// Makes SIGTERM and SIGINT stop the server in good order.
    pub(super) fn watch_signals(&mut self) -> anyhow::Result<()> {
        let (ours, handlers) = StdUnixStream::pair().context("cannot create a socket pair")?;
        ours.set_nonblocking(true)?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::low_level::pipe::register(signal, handlers.try_clone()?)
                .context("cannot handle signals")?;
        }
        let mut ours = UnixStream::from_std(ours);
        let registry = self.poll.registry();
        registry.register(&mut ours, SIGNALS, Interest::READABLE)?;
        self.signals = Some(ours);
        Ok(())
    }

    /// Waits for something to happen and does what is to be done about it; returns whether there
    /// will be more.
    pub(super) fn turn(&mut self) -> anyhow::Result<bool> {
        let mut now = (self.clock)();
        self.advance(now);
        if self.has_ended(now) {
            return Ok(false);
        }
        let mut events = Events::with_capacity(1024);
        let timeout = self.timeout(now);
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other.context("cannot wait for events")?,
        }
        now = (self.clock)();
        for event in &events {
            match event.token() {
                LISTENER => self.accept_at = Some(now),
                SIGNALS => self.read_signals(now),
                DATAPATH => {
                    self.datapath_unread = true;
                    let flushed = self.datapath.flush();
                    self.keep_datapath(now, flushed);
                }
                CONSOLE => self.console.note_waiting(),
                WAKER => {
                    self.tell_resolved(now);
                    self.hear_keeper(now);
                }
                HOOKS => self.hooks.handle_ready(now, self.poll.registry()),
                DNS => self.dns.handle_ready(now, self.poll.registry()),
                INCOMING => {
                    if let Some(asked) = &mut self.asked {
                        asked.is_unread = true;
                    }
                }
                Token(token) if token >= FIRST_RADIUS => {
                    if let Ok(socket) = u32::try_from(token - FIRST_RADIUS) {
                        self.asking.note_ready(SocketId(socket));
                    }
                }
                Token(token) => {
                    let number = token.saturating_sub(FIRST_CONNECTION);
                    match (u32::try_from(number / 2), number % 2) {
                        (Ok(conn), 0) => self.on_stream_ready(now, ConnId(conn)),
                        (_, _) => {
                            let refresh = || self.server.refresh(now);
                            self.console.handle_ready(now, number / 2, refresh);
                        }
                    }
                }
            }
        }
        self.take_turns(now);
        self.advance(now);
        Ok(true)
    }

    /// Everybody's share of what is there to read.
    fn take_turns(&mut self, now: Instant) {
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept(now);
        }
        for conn in std::mem::take(&mut self.unread) {
            self.read(now, conn);
        }
        if self.datapath_unread {
            self.read_datapath(now);
        }
        for (socket, (from, bytes)) in self.asking.receive() {
            self.server.handle_radius(now, socket, from, &bytes);
        }
        let asked = self.asked.as_mut().filter(|asked| asked.is_unread);
        for (from, bytes) in asked.map(Asked::receive).unwrap_or_default() {
            self.server.handle_incoming(now, unix_time(), from, &bytes);
        }
    }

    /// Does what is due, and what the server wants.
    fn advance(&mut self, now: Instant) {
        if self.datapath.connect_if_due(now, self.poll.registry()) {
            self.log(Message::DatapathConnected, "datapath connected".to_owned());
            self.datapath_unread = true;
            self.server.handle_datapath_connected(now);
        }
        if self.server.poll_timeout().is_some_and(|at| at <= now) {
            self.server.handle_timeout(now);
        }
        while let Some(&(at, conn)) = self.closing.first()
            && at <= now
        {
            self.closing.pop_first();
            self.streams.remove(&conn);
        }
        self.obey(now);
        self.hooks.advance(now, self.poll.registry());
        self.dns.advance(now, self.poll.registry());
        while let Some(line) = self.hooks.poll_line().or_else(|| self.dns.poll_line()) {
            self.log.write(line);
        }
        let token = |id| Token(FIRST_CONNECTION + 2 * id + 1);
        self.console.accept(now, self.poll.registry(), token);
        while let Some((id, request)) = self.console.due(now, self.server.refreshed()) {
            match (accounts::wanted(&request), &self.keeper) {
                (Some(wanted), Some(keeper)) => {
                    keeper.read(id, wanted.limit, wanted.filter);
                    self.console.let_look(now, id, request);
                }
                (_, _) => self.reply(now, id, &request, Found::default()),
            }
        }
        self.console.drop_overdue(now);
    }

    /// Carries out a request of the console, and answers it.
    fn reply(&mut self, now: Instant, id: usize, request: &Request, accounting: Found<'_>) {
        let reply = self.answer(now, request, accounting);
        self.console.reply(now, id, &reply);
        self.obey(now);
    }

    /// Carries out a request of the console, or says why nothing is done.
    fn answer(&mut self, now: Instant, request: &Request, accounting: Found<'_>) -> Reply {
        let outcome = command::execute(
            request,
            &Facts {
                config: self.server.config(),
                snapshot: &self.server.snapshot(now),
                log: &self.log.recent(),
                accounting,
                date: date(),
            },
        );
        if let Some(config) = outcome.config
            && let Err(error) = self.change(now, config)
        {
            return command::refused(&[format!("failure: {error:#}")], request);
        }
        for number in outcome.disconnect {
            self.server.disconnect(now, number);
        }
        for text in outcome.said {
            self.log(Message::SettingsChanged, text);
        }
        outcome.reply
    }

    /// Goes on with another configuration, once it is kept.
    fn change(&mut self, now: Instant, config: Config) -> anyhow::Result<()> {
        let is_server = config.server.enabled;
        let listener = match self.listener.take() {
            Some(listener) => Some(listener),
            None if is_server => Some(listen(self.address, &self.poll)?),
            None => None,
        };
        let asked = match &mut self.asked {
            Some(asked) if asked.is_as(&config) => None,
            Some(_) | None => Some(hear(&config, *self.address.ip(), &self.poll)?),
        };
        let saved = self.store.as_ref().map_or(Ok(()), |store| {
            let place = || format!("cannot save {}", store.path().display());
            store.save(&config).with_context(place)
        });
        let was_server = self.server.config().server.enabled;
        let listens = if saved.is_ok() { is_server } else { was_server };
        self.listener = listener.filter(|_| listens);
        saved?;
        if let Some(asked) = asked {
            self.asked = asked;
        }
        if is_server && !was_server {
            self.accept_at = Some(now);
        }
        self.server.reconfigure(now, config.into());
        Ok(())
    }

    /// Carries out what the server wants until it wants nothing more.
    fn obey(&mut self, now: Instant) {
        while let Some(command) = self.server.poll_command() {
            self.carry_out(now, command);
        }
    }

    fn carry_out(&mut self, now: Instant, command: Command) {
        match command {
            Command::Send { conn, bytes } => {
                let sent = self.streams.get_mut(&conn).map(|one| one.send(&bytes));
                if let Some(Err(_)) = sent {
                    self.on_stream_end(now, conn);
                }
            }
            Command::Close { conn } => self.close(now, conn),
            Command::Resolve { conn, host } => {
                self.resolving.insert(conn);
                self.resolver.look_up(conn, &host);
            }
            Command::Connect { conn, address } => {
                if let Err(error) = self.connect(conn, address) {
                    self.on_unreachable(now, conn, &error);
                }
            }
            Command::Datapath(request) => {
                let sent = self.datapath.send(request);
                self.keep_datapath(now, sent);
            }
            Command::CloseDatapath => self.datapath.close(now, self.poll.registry()),
            Command::Log(line) => self.log.write(line),
            Command::RunHook(hook) => self.hooks.start(now, hook, self.poll.registry()),
            Command::SetDns { name, setting } => {
                self.dns.set(now, name, setting, self.poll.registry());
            }
            Command::RevertDns { interface } => {
                self.dns.revert(now, &interface, self.poll.registry());
            }
            Command::Keep { number, change } => match &self.keeper {
                Some(keeper) => keeper.keep(number, change),
                None => self.server.handle_kept(now, number),
            },
            Command::LoadRecords { after, limit } => match &self.keeper {
                Some(keeper) => keeper.load(after, limit),
                None => self.server.handle_records(now, Vec::new()),
            },
            Command::Retain {
                keep_for,
                max_sessions,
            } => {
                if let Some(keeper) = &self.keeper {
                    keeper.set_retention(keep_for, max_sessions);
                }
            }
            Command::RecordDelivered(record) => {
                if let Some(keeper) = &self.keeper {
                    keeper.delivered(vec![record]);
                }
            }
            Command::OpenRadius { socket, address } => {
                let number = usize::try_from(socket.0).unwrap_or_default();
                let (token, registry) = (Token(FIRST_RADIUS + number), self.poll.registry());
                if let Err(error) = self.asking.open(registry, socket, address, token) {
                    let reason = error.to_string();
                    self.server.handle_radius_failed(now, socket, &reason);
                }
            }
            Command::CloseRadius { socket } => self.asking.close(socket),
            Command::SendRadius { socket, to, bytes } => self.asking.send(socket, to, &bytes),
            Command::AnswerIncoming { to, bytes } => {
                if let Some(asked) = &self.asked {
                    asked.send(to, &bytes);
                }
            }
        }
    }

    /// Takes what the thread has to say that keeps accounts.
    fn hear_keeper(&mut self, now: Instant) {
        while let Some(report) = self.keeper.as_ref().and_then(Keeper::poll) {
            match report {
                Report::Opened(unfinished) => self.server.resume(now, unfinished),
                Report::Kept { up_to } => self.server.handle_kept(now, up_to),
                Report::Page(page) => self.server.handle_records(now, page),
                Report::Log(line) => self.log.write(line),
                Report::Rows {
                    token,
                    rows,
                    is_cut,
                } => {
                    if let Some(request) = self.console.found(token) {
                        let found = Found {
                            rows: &rows,
                            is_cut,
                            date: Some(date()),
                        };
                        self.reply(now, token, &request, found);
                    }
                }
            }
        }
    }

    /// How long to wait.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let is_asked = self.asked.as_ref().is_some_and(|asked| asked.is_unread);
        let is_answered = self.asking.has_unread();
        if self.datapath_unread || !self.unread.is_empty() || is_asked || is_answered {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.server.poll_timeout(),
            self.datapath.retry_at(),
            self.console.poll_timeout(),
            self.hooks.poll_timeout(),
            self.dns.poll_timeout(),
            self.accept_at,
            self.closing.first().map(|&(at, _)| at),
            self.leave_by,
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Whether the server has stopped and all it had to say is said, or has had its time.
    fn has_ended(&mut self, now: Instant) -> bool {
        if !self.server.is_stopped(now) {
            return false;
        }
        let leave_by = *self.leave_by.get_or_insert(now + LINGER);
        let is_flushed = self.streams.is_empty()
            && self.datapath.is_flushed()
            && self.hooks.is_flushed()
            && self.dns.is_flushed();
        is_flushed || leave_by <= now
    }
}

/// TCP.
impl EventLoop {
    /// Lets clients in.
    fn accept(&mut self, now: Instant) {
        self.accept_at = None;
        let Some(listener) = &self.listener else {
            return;
        };
        for _ in 0..ACCEPTS_A_TURN {
            match listener.accept() {
                Ok((socket, peer)) => {
                    let ours = socket.local_addr().map(|address| address.ip());
                    let (IpAddr::V4(peer), Ok(IpAddr::V4(ours))) = (peer.ip(), ours) else {
                        continue;
                    };
                    if let Some(conn) = self.server.handle_accepted(now, ours, peer) {
                        let stream = Stream::accepted(socket);
                        if insert(&self.poll, &mut self.streams, conn, stream).is_err() {
                            self.server.handle_closed(now, conn);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // This one is gone already; the next may not be.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.log(Message::AcceptFailed, format!("cannot accept: {error}"));
                    self.accept_at = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        self.accept_at = Some(now);
    }

    fn tell_resolved(&mut self, now: Instant) {
        while let Some((conn, answer)) = self.resolver.found() {
            // It may have been given up meanwhile.
            if self.resolving.remove(&conn) {
                self.server.handle_resolved(now, conn, answer);
            }
        }
    }

    /// A connection cannot be made.
    fn on_unreachable(&mut self, now: Instant, conn: ConnId, error: &io::Error) {
        self.streams.remove(&conn);
        let text = error.to_string();
        // The number says nothing that the words do not.
        let words = text.split(" (os error").next().unwrap_or(&text);
        self.server
            .handle_unreachable(now, conn, error.kind(), words);
    }

    fn connect(&mut self, conn: ConnId, address: Ipv4Addr) -> io::Result<()> {
        let socket = TcpStream::connect(SocketAddrV4::new(address, self.address.port()).into())?;
        let stream = Stream::connecting(socket);
        insert(&self.poll, &mut self.streams, conn, stream)
    }

    fn on_stream_ready(&mut self, now: Instant, conn: ConnId) {
        let Some(stream) = self.streams.get_mut(&conn) else {
            return;
        };
        match stream.finish_connecting() {
            Ok(Some((ours, peer))) => self.server.handle_connected(now, conn, ours, peer),
            Ok(None) => {}
            Err(error) => return self.on_unreachable(now, conn, &error),
        }
        // If the connection is broken, reading shows it, after what the peer sent before.
        let _ = stream.flush();
        self.unread.insert(conn);
    }

    fn read(&mut self, now: Instant, conn: ConnId) {
        let mut buffer = [0; 4096];
        for _ in 0..READS_A_TURN {
            let Some(stream) = self.streams.get_mut(&conn) else {
                return;
            };
            match stream.receive(&mut buffer) {
                Received::Bytes(count) => {
                    if stream.closes_at().is_none() {
                        self.server.handle_data(now, conn, &buffer[..count]);
                        self.obey(now);
                    }
                }
                Received::Nothing => return,
                Received::End => return self.on_stream_end(now, conn),
            }
        }
        self.unread.insert(conn);
    }

    /// Nothing more comes on a connection.
    fn on_stream_end(&mut self, now: Instant, conn: ConnId) {
        let Some(stream) = self.streams.remove(&conn) else {
            return;
        };
        match stream.closes_at() {
            Some(at) => {
                self.closing.remove(&(at, conn));
            }
            None => self.server.handle_closed(now, conn),
        }
    }

    /// The server is done with a connection.
    fn close(&mut self, now: Instant, conn: ConnId) {
        self.resolving.remove(&conn);
        let Some(stream) = self.streams.get_mut(&conn) else {
            return;
        };
        match stream.close(now) {
            Some(at) if self.closing.len() < MAX_CLOSING => {
                self.closing.insert((at, conn));
                self.unread.insert(conn);
            }
            Some(_) | None => {
                self.streams.remove(&conn);
            }
        }
    }
}

/// The datapath and signals.
impl EventLoop {
    fn read_datapath(&mut self, now: Instant) {
        for _ in 0..EVENTS_A_TURN {
            match self.datapath.receive() {
                Ok(Some(event)) => {
                    self.server.handle_datapath_event(now, event);
                    self.obey(now);
                }
                Ok(None) => {
                    self.datapath_unread = false;
                    return;
                }
                Err(error) => return self.keep_datapath(now, Err(error)),
            }
        }
    }

    /// Closes the connection to the datapath if it is of no more use.
    fn keep_datapath(&mut self, now: Instant, result: Result<(), Lost>) {
        if let Err(error) = result {
            self.log(Message::DatapathLost, format!("datapath lost: {error}"));
            self.datapath_unread = false;
            self.datapath.close(now, self.poll.registry());
            self.server.handle_datapath_lost(now);
        }
    }

    fn read_signals(&mut self, now: Instant) {
        let Some(signals) = &mut self.signals else {
            return;
        };
        let mut buffer = [0; 64];
        while matches!(signals.read(&mut buffer), Ok(count) if count > 0) {}
        // A start that comes to nothing is told by whoever failed, and by nobody else.
        if self.datapath.is_connected() {
            self.log(Message::Stopping, "stopping".to_owned());
        }
        self.stop(now);
    }

    fn log(&self, message: Message, text: String) {
        self.log.write(Line::new(message, text));
    }

    /// Ends everything in good order.
    pub(super) fn stop(&mut self, now: Instant) {
        self.listener = None;
        self.server.stop(now);
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("server", &self.server)
            .field("streams", &self.streams)
            .field("datapath", &self.datapath)
            .finish_non_exhaustive()
    }
}

fn listen(address: SocketAddrV4, poll: &Poll) -> anyhow::Result<TcpListener> {
    let mut listener = TcpListener::bind(address.into())
        .with_context(|| format!("cannot listen on TCP {address}"))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    Ok(listener)
}

/// Opens the port of `/radius incoming`, if that is wanted.
fn hear(config: &Config, address: Ipv4Addr, poll: &Poll) -> anyhow::Result<Option<Asked>> {
    let incoming = &config.radius_incoming;
    if !incoming.accept {
        return Ok(None);
    }
    let asked = Asked::listen(poll.registry(), address, incoming.port, INCOMING);
    let place = || format!("cannot listen on UDP {address}:{}", incoming.port);
    asked.map(Some).with_context(place)
}

/// The time of day in seconds, against which a request of a RADIUS server is held.
fn unix_time() -> u64 {
    let since = date().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The time of day, for what the console shows.
#[expect(
    clippy::disallowed_methods,
    reason = "a date is shown to people, and held against that of a request that may be an old one"
)]
fn date() -> SystemTime {
    SystemTime::now()
}

/// Registers and keeps a connection.
fn insert(
    poll: &Poll,
    streams: &mut BTreeMap<ConnId, Stream>,
    conn: ConnId,
    mut stream: Stream,
) -> io::Result<()> {
    let number = usize::try_from(conn.0).map_err(|_| ErrorKind::Unsupported)?;
    let token = Token(FIRST_CONNECTION + 2 * number);
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(stream.socket(), token, interest)?;
    streams.insert(conn, stream);
    Ok(())
}

#[cfg(test)]
mod tests;

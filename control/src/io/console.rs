//! The console's end of [`crate::console::wire`]: a few connections at a time, one command each.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use crate::console::wire::{self, Reply, Request};

/// Connections at once. More wait in the listener's queue.
const MAX_CONNECTIONS: usize = 32;

/// How long a connection may take over its request, and over reading its reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer waits for what is looked up on the disk.
const LOOK_PATIENCE: Duration = Duration::from_secs(60);

/// How long an answer waits for fresh counters.
const REFRESH_PATIENCE: Duration = Duration::from_millis(500);

/// The console's connections.
#[derive(Debug)]
pub(super) struct Console {
    listener: UnixListener,
    path: PathBuf,
    connections: BTreeMap<usize, Connection>,
    next: usize,
    /// Somebody may be waiting in the listener's queue.
    accepts: bool,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    state: State,
    deadline: Instant,
}

#[derive(Debug)]
enum State {
    /// What has come of the request.
    Reading(Vec<u8>),
    /// The answer waits until the counters of this reading are there.
    Waiting(Request, u64),
    /// The answer waits for what is looked up.
    Looking(Request),
    /// What is left of the reply.
    Writing(Vec<u8>),
}

impl Console {
    /// Listens in the run folder, taking the place of what an earlier process left there.
    pub(super) fn new(run_dir: &Path, token: Token, registry: &Registry) -> anyhow::Result<Self> {
        let path = run_dir.join(wire::SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let mut listener = UnixListener::bind(&path)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Self {
            listener,
            path,
            connections: BTreeMap::new(),
            next: 0,
            accepts: true,
        })
    }

    /// Somebody may be waiting.
    pub(super) const fn note_waiting(&mut self) {
        self.accepts = true;
    }

    /// Lets in who waits, as long as there is room. `token` names the connection's events.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) {
        while self.accepts && self.connections.len() < MAX_CONNECTIONS {
            let Ok((mut stream, _)) = self.listener.accept() else {
                self.accepts = false;
                return;
            };
            let id = self.next;
            self.next += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut stream, token(id), interest).is_ok() {
                let connection = Connection {
                    stream,
                    state: State::Reading(Vec::new()),
                    deadline: now + PATIENCE,
                };
                self.connections.insert(id, connection);
            }
        }
    }

    /// Something happened on a connection. `refresh` asks for fresh counters; it names the reading
    /// to wait for, or nothing if there are none to wait for.
    pub(super) fn handle_ready(
        &mut self,
        now: Instant,
        id: usize,
        refresh: impl FnOnce() -> Option<u64>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let goes_on = match connection.state {
            State::Reading(_) => connection.read(now, refresh),
            State::Waiting(..) | State::Looking(_) => Ok(true),
            State::Writing(_) => connection.write(),
        };
        if !goes_on.unwrap_or(false) {
            self.connections.remove(&id);
        }
    }

    /// A request whose counters are there or have taken too long, to be answered at once with
    /// [`Self::reply`].
    pub(super) fn due(&mut self, now: Instant, refreshed: u64) -> Option<(usize, Request)> {
        let (&id, connection) = self.connections.iter_mut().find(|(_, connection)| {
            let reading = match connection.state {
                State::Waiting(_, reading) => reading,
                State::Reading(_) | State::Looking(_) | State::Writing(_) => return false,
            };
            reading <= refreshed || connection.deadline <= now
        })?;
        let taken = std::mem::replace(&mut connection.state, State::Writing(Vec::new()));
        match taken {
            State::Waiting(request, _) => Some((id, request)),
            State::Reading(_) | State::Looking(_) | State::Writing(_) => None,
        }
    }

    /// Lets a request that was due wait for what is looked up for it.
    pub(super) fn let_look(&mut self, now: Instant, id: usize, request: Request) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.state = State::Looking(request);
            connection.deadline = now + LOOK_PATIENCE;
        }
    }

    /// The request that something was looked up for, if it still waits; to be answered at once.
    pub(super) fn found(&mut self, id: usize) -> Option<Request> {
        let connection = self.connections.get_mut(&id)?;
        match std::mem::replace(&mut connection.state, State::Writing(Vec::new())) {
            State::Looking(request) => Some(request),
            other @ (State::Reading(_) | State::Waiting(..) | State::Writing(_)) => {
                connection.state = other;
                None
            }
        }
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, now: Instant, id: usize, reply: &Reply) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.state = State::Writing(wire::encode_reply(reply));
        connection.deadline = now + PATIENCE;
        if !connection.write().unwrap_or(false) {
            self.connections.remove(&id);
        }
    }

    /// Drops who is too slow.
    pub(super) fn drop_overdue(&mut self, now: Instant) {
        self.connections
            .retain(|_, connection| connection.deadline > now);
    }

    /// When to look after it at the latest.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.connections.values().map(|one| one.deadline);
        deadlines.min()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Nobody is left to tell; the next start replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Connection {
    /// Reads on; returns whether the connection goes on.
    fn read(&mut self, now: Instant, refresh: impl FnOnce() -> Option<u64>) -> io::Result<bool> {
        let State::Reading(received) = &mut self.state else {
            return Ok(true);
        };
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    received.extend_from_slice(&buffer[..count]);
                    // What is long is not looked through again for each piece of it.
                    if !buffer[..count].contains(&b'\n') && received.len() < wire::MAX_REQUEST_BYTES
                    {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
            match wire::decode_request(received) {
                Ok(None) => {}
                Ok(Some(request)) => {
                    // Nothing to wait for is a reading that is long answered.
                    self.state = State::Waiting(request, refresh().unwrap_or(0));
                    self.deadline = now + REFRESH_PATIENCE;
                    return Ok(true);
                }
                Err(_) => return Ok(false),
            }
        }
    }

    /// Writes on; returns whether the connection goes on.
    fn write(&mut self) -> io::Result<bool> {
        let State::Writing(reply) = &mut self.state else {
            return Ok(true);
        };
        let mut written = 0;
        while written < reply.len() {
            match self.stream.write(&reply[written..]) {
                Ok(0) => return Ok(false),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        reply.drain(..written);
        Ok(!reply.is_empty())
    }
}

//! The connection to the datapath process: made again when it breaks, with a bounded queue.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greyhound_datapath::ipc::seqpacket::{Channel, Error};
use greyhound_datapath::ipc::{Event, Request};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// The datapath's socket in the run folder.
pub(super) const SOCKET: &str = "datapath.sock";

/// How long to wait before the next attempt to connect.
const RETRY: Duration = Duration::from_millis(250);

/// Requests that may wait for the datapath to read. More means that it does not.
const MAX_QUEUED: usize = 65_536;

/// The connection is gone, and why.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The socket says so.
    #[error(transparent)]
    Channel(#[from] Error),
    /// The datapath does not read.
    #[error("it does not read its requests")]
    Stuck,
}

/// The connection to the datapath.
#[derive(Debug)]
pub(super) struct Datapath {
    path: PathBuf,
    token: Token,
    channel: Option<Channel<Request, Event>>,
    queue: VecDeque<Request>,
    retry_at: Option<Instant>,
}

impl Datapath {
    /// Not connected yet.
    pub(super) fn new(run_dir: &Path, token: Token, now: Instant) -> Self {
        Self {
            path: run_dir.join(SOCKET),
            token,
            channel: None,
            queue: VecDeque::new(),
            retry_at: Some(now),
        }
    }

    /// Whether there is a connection.
    pub(super) const fn is_connected(&self) -> bool {
        self.channel.is_some()
    }

    /// Connects if it is time to; returns whether there is a connection that was not there before.
    pub(super) fn connect_if_due(&mut self, now: Instant, registry: &Registry) -> bool {
        if self.retry_at.is_none_or(|at| at > now) {
            return false;
        }
        let connected = Channel::connect(&self.path).and_then(|channel| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut SourceFd(&channel.as_raw_fd()), self.token, interest)?;
            Ok(channel)
        });
        self.channel = connected.ok();
        self.retry_at = self.channel.is_none().then_some(now + RETRY);
        self.channel.is_some()
    }

    /// Sends a request, or queues it. Without a connection it is thrown away: the server knows.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub(super) fn send(&mut self, request: Request) -> Result<(), Lost> {
        if self.channel.is_none() {
            return Ok(());
        }
        if self.queue.len() >= MAX_QUEUED {
            return Err(Lost::Stuck);
        }
        self.queue.push_back(request);
        self.flush()
    }

    /// Sends what is queued, as far as the socket takes it.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub(super) fn flush(&mut self) -> Result<(), Lost> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        while let Some(request) = self.queue.front() {
            match channel.send(request) {
                Ok(()) => {
                    self.queue.pop_front();
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives the next event, if there is one.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub(super) fn receive(&mut self) -> Result<Option<Event>, Lost> {
        match &mut self.channel {
            Some(channel) => Ok(channel.receive()?),
            None => Ok(None),
        }
    }

    /// Closes the connection; the next attempt is a little later.
    pub(super) fn close(&mut self, now: Instant, registry: &Registry) {
        if let Some(channel) = self.channel.take() {
            // Closing the descriptor takes it out of the poll set anyway.
            let _ = registry.deregister(&mut SourceFd(&channel.as_raw_fd()));
        }
        self.queue.clear();
        self.retry_at = Some(now + RETRY);
    }

    /// When to call [`Self::connect_if_due`].
    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether all that was to be sent is sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty()
    }
}

//! The control process's end: which servers are to be used goes out, lines for the log come back.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greyhound_datapath::ipc::seqpacket::{Channel, Error};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::{Event, Request, SOCKET, Setting, VERSION, line};
use crate::log::Line;
use crate::programs::asker::try_send;

/// How long to wait before the next attempt to connect.
const RETRY: Duration = Duration::from_millis(250);

/// After so many attempts in a row it is said that there is nobody to connect to.
const ATTEMPTS: u32 = 40;

/// Says which servers to use. Connects at once, since the first word of a control process takes back
/// what the last one had set, and again whenever something is to be set.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    token: Token,
    channel: Option<Channel<Request, Event>>,
    outbox: VecDeque<Request>,
    /// What is to be used, by the kernel's name of the interface.
    wanted: BTreeMap<String, Wanted>,
    retry_at: Option<Instant>,
    attempts: u32,
    lines: VecDeque<Line>,
}

/// What is to be used for an interface.
#[derive(Debug)]
struct Wanted {
    /// The interface as `print` names it.
    name: String,
    setting: Setting,
}

impl Client {
    /// Connects at the first [`Self::advance`]. `token` is that of the connection.
    #[must_use]
    pub fn new(run_dir: &Path, token: Token, now: Instant) -> Self {
        Self {
            path: run_dir.join(SOCKET),
            token,
            channel: None,
            outbox: VecDeque::new(),
            wanted: BTreeMap::new(),
            retry_at: Some(now),
            attempts: 0,
            lines: VecDeque::new(),
        }
    }

    /// Has servers used, in place of those that were said before of the same interface. `name` is what
    /// `print` calls it. What becomes of it is told by [`Self::poll_line`].
    pub fn set(&mut self, now: Instant, name: String, setting: Setting, registry: &Registry) {
        self.ask(now, Request::Set(setting.clone()));
        let wanted = Wanted { name, setting };
        self.wanted.insert(wanted.setting.interface.clone(), wanted);
        self.advance(now, registry);
    }

    /// Has the servers of an interface used no longer. Nothing comes of it if none are.
    pub fn revert(&mut self, now: Instant, interface: &str, registry: &Registry) {
        if self.wanted.remove(interface).is_some() {
            let interface = interface.to_owned();
            self.ask(now, Request::Revert { interface });
            self.advance(now, registry);
        }
    }

    /// The connection is ready for something: takes what has come and sends what waits.
    pub fn handle_ready(&mut self, now: Instant, registry: &Registry) {
        while let Some(channel) = &mut self.channel {
            match channel.receive() {
                Ok(Some(event)) => self.on_event(&event),
                Ok(None) => break,
                Err(_) => self.disconnect(now, registry),
            }
        }
        self.advance(now, registry);
    }

    /// Does what is due at this time.
    pub fn advance(&mut self, now: Instant, registry: &Registry) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.connect(now, registry);
        }
        if self.flush().is_err() {
            self.disconnect(now, registry);
        }
    }

    /// The next line for the log.
    pub fn poll_line(&mut self) -> Option<Line> {
        self.lines.pop_front()
    }

    /// When to call [`Self::advance`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether all that was asked for has been sent.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Without a connection nothing waits: the next one begins with all that is wanted.
    fn ask(&mut self, now: Instant, request: Request) {
        if self.channel.is_some() {
            self.outbox.push_back(request);
        } else {
            self.retry_at.get_or_insert(now);
        }
    }

    fn connect(&mut self, now: Instant, registry: &Registry) {
        let connected = Channel::connect(&self.path).and_then(|channel| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut SourceFd(&channel.as_raw_fd()), self.token, interest)?;
            Ok(channel)
        });
        match connected {
            Ok(channel) => {
                self.channel = Some(channel);
                let wanted = self.wanted.values();
                let sets = wanted.map(|one| Request::Set(one.setting.clone()));
                self.outbox.push_back(Request::Hello { version: VERSION });
                self.outbox.extend(sets);
                (self.retry_at, self.attempts) = (None, 0);
            }
            Err(error) => self.put_off(now, &error),
        }
    }

    /// Nobody listens. As long as nothing is wanted, that is nobody's concern.
    fn put_off(&mut self, now: Instant, error: &io::Error) {
        self.attempts = self.attempts.saturating_add(1);
        self.retry_at = (!self.wanted.is_empty()).then_some(now + RETRY);
        if self.attempts == ATTEMPTS {
            let reason = format!("{}: {error}", self.path.display());
            for Wanted { name, setting } in self.wanted.values() {
                let line = line::not_set(setting, &reason, Some(name));
                self.lines.push_back(line);
            }
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        while let (Some(channel), Some(request)) = (&mut self.channel, self.outbox.front()) {
            if !try_send(channel, request)? {
                break;
            }
            self.outbox.pop_front();
        }
        Ok(())
    }

    fn on_event(&mut self, event: &Event) {
        let interface = match event {
            Event::Set { setting, .. } | Event::NotSet { setting, .. } => &setting.interface,
            Event::NotReverted { interface, .. } => interface,
        };
        let name = self.wanted.get(interface).map(|one| one.name.as_str());
        self.lines.push_back(line::of(event, name));
    }

    /// The process takes back what it has set when it is started again, and is told anew.
    fn disconnect(&mut self, now: Instant, registry: &Registry) {
        if let Some(channel) = self.channel.take() {
            // Closing the descriptor takes it out of the poll set anyway.
            let _ = registry.deregister(&mut SourceFd(&channel.as_raw_fd()));
        }
        self.outbox.clear();
        self.retry_at = (!self.wanted.is_empty()).then_some(now + RETRY);
    }
}

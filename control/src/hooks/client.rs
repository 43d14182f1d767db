//! The control process's end: what is to be run goes out, lines for the log come back.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greyhound_datapath::ipc::seqpacket::{Channel, Error};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::{Event, Hook, Request, SOCKET, VERSION, line};
use crate::log::Line;
use crate::programs::asker::try_send;
use crate::programs::{End, Outcome};

/// How long to wait before the next attempt to connect.
const RETRY: Duration = Duration::from_millis(250);

/// How often to try before the hooks that wait are given up.
const ATTEMPTS: u32 = 40;

/// Hooks that may wait to be sent. More means that nobody takes them.
const MAX_QUEUED: usize = 16_384;

/// Asks for hooks. Connects when there is the first one, and again when that is needed.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    token: Token,
    channel: Option<Channel<Request, Event>>,
    /// What is to be sent to the process that is connected.
    greeting: Option<Request>,
    queue: VecDeque<(u64, Hook)>,
    /// Hooks that were sent and have not ended.
    sent: BTreeMap<u64, Hook>,
    next: u64,
    retry_at: Option<Instant>,
    attempts: u32,
    lines: VecDeque<Line>,
}

impl Client {
    /// Not connected. `token` is that of the connection.
    #[must_use]
    pub fn new(run_dir: &Path, token: Token) -> Self {
        Self {
            path: run_dir.join(SOCKET),
            token,
            channel: None,
            greeting: None,
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            next: 0,
            retry_at: None,
            attempts: 0,
            lines: VecDeque::new(),
        }
    }

    /// Has a hook run when it is its turn. What becomes of it is told by [`Self::poll_line`].
    pub fn start(&mut self, now: Instant, hook: Hook, registry: &Registry) {
        if self.queue.len() >= MAX_QUEUED {
            return self.lines.extend(dropped(&hook, "too many hooks wait"));
        }
        self.queue.push_back((self.next, hook));
        self.next += 1;
        if self.channel.is_none() && self.retry_at.is_none() {
            self.retry_at = Some(now);
        }
        self.advance(now, registry);
    }

    /// The connection is ready for something: takes what has come and sends what waits.
    pub fn handle_ready(&mut self, now: Instant, registry: &Registry) {
        while let Some(channel) = &mut self.channel {
            match channel.receive() {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => break,
                Err(error) => self.disconnect(now, registry, &error),
            }
        }
        self.advance(now, registry);
    }

    /// Does what is due at this time.
    pub fn advance(&mut self, now: Instant, registry: &Registry) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.connect(now, registry);
        }
        if let Err(error) = self.flush() {
            self.disconnect(now, registry, &error);
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
        self.queue.is_empty()
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
                self.greeting = Some(Request::Hello { version: VERSION });
                (self.retry_at, self.attempts) = (None, 0);
            }
            Err(_) if self.attempts < ATTEMPTS => {
                self.attempts += 1;
                self.retry_at = Some(now + RETRY);
            }
            Err(error) => {
                let reason = format!("{}: {error}", self.path.display());
                for (_, hook) in std::mem::take(&mut self.queue) {
                    self.lines.extend(dropped(&hook, &reason));
                }
                (self.retry_at, self.attempts) = (None, 0);
            }
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Some(channel) = &mut self.channel else {
            return Ok(());
        };
        if let Some(greeting) = &self.greeting {
            if !try_send(channel, greeting)? {
                return Ok(());
            }
            self.greeting = None;
        }
        while let Some((id, hook)) = self.queue.pop_front() {
            let request = Request::Run {
                id,
                hook: hook.clone(),
            };
            match try_send(channel, &request) {
                Ok(true) => {
                    self.sent.insert(id, hook);
                }
                Ok(false) => {
                    self.queue.push_front((id, hook));
                    return Ok(());
                }
                Err(Error::TooLarge(_)) => {
                    self.lines
                        .extend(dropped(&hook, "its arguments are too long"));
                }
                Err(error) => {
                    self.queue.push_front((id, hook));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Output { id, source, text } => {
                if let Some(hook) = self.sent.get(&id) {
                    self.lines.push_back(line::output(hook, source, &text));
                }
            }
            Event::Ended { id, end } => {
                if let Some(hook) = self.sent.remove(&id) {
                    self.lines.extend(line::ended(&hook, &end));
                }
            }
        }
    }

    /// What was sent may have been run, and is not run twice.
    fn disconnect(&mut self, now: Instant, registry: &Registry, error: &Error) {
        if let Some(channel) = self.channel.take() {
            // Closing the descriptor takes it out of the poll set anyway.
            let _ = registry.deregister(&mut SourceFd(&channel.as_raw_fd()));
        }
        for hook in std::mem::take(&mut self.sent).into_values() {
            let reason = format!("the process that runs hooks is lost: {error}");
            let end = End::without_run(Outcome::Lost(reason));
            self.lines.extend(line::ended(&hook, &end));
        }
        self.retry_at = (!self.queue.is_empty()).then_some(now + RETRY);
    }
}

fn dropped(hook: &Hook, reason: &str) -> Vec<Line> {
    line::ended(hook, &End::without_run(Outcome::Dropped(reason.to_owned())))
}

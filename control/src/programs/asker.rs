//! The control process, as a process sees it that works for it: who connects to a socket that listens
//! already, one after another.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use greyhound_datapath::ipc::seqpacket::{Channel, Error};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Who is served: `R` is what it asks for and `E` is what it is told.
#[derive(Debug)]
pub(crate) struct Asker<E, R> {
    listener: OwnedFd,
    channel: Option<Channel<E, R>>,
    outbox: VecDeque<E>,
}

/// What was heard.
#[derive(Debug)]
pub(crate) enum Heard<R> {
    /// For now there is no more.
    Nothing,
    /// A request.
    Request(R),
    /// The connection has ended; the next one may wait already.
    End,
    /// What is not understood. The connection is closed.
    Nonsense(Error),
}

impl<E: Serialize, R: DeserializeOwned> Asker<E, R> {
    /// Nobody has connected yet.
    pub(crate) const fn new(listener: OwnedFd) -> Self {
        Self {
            listener,
            channel: None,
            outbox: VecDeque::new(),
        }
    }

    /// What to wait for.
    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        let Some(channel) = &self.channel else {
            return readable(self.listener.as_fd());
        };
        let mut interest = PollFlags::IN;
        interest.set(PollFlags::OUT, !self.outbox.is_empty());
        PollFd::from_borrowed_fd(channel.as_fd(), interest)
    }

    /// Hears the next request; lets somebody in, once the last one has been heard to its end.
    ///
    /// # Errors
    /// The kernel lets nobody in.
    pub(crate) fn hear(&mut self) -> io::Result<Heard<R>> {
        if self.channel.is_none() {
            self.accept()?;
        }
        let Some(channel) = &mut self.channel else {
            return Ok(Heard::Nothing);
        };
        Ok(match channel.receive() {
            Ok(Some(request)) => Heard::Request(request),
            Ok(None) => Heard::Nothing,
            Err(Error::Closed) => {
                self.forget();
                Heard::End
            }
            Err(error) => {
                self.forget();
                Heard::Nonsense(error)
            }
        })
    }

    /// Tells something, when there is room for it.
    pub(crate) fn tell(&mut self, event: E) {
        self.outbox.push_back(event);
    }

    /// Whether there is somebody to be told.
    pub(crate) const fn is_connected(&self) -> bool {
        self.channel.is_some()
    }

    /// How much waits to be told.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Sends what the socket has room for.
    pub(crate) fn flush(&mut self) {
        while let (Some(channel), Some(event)) = (&mut self.channel, self.outbox.front()) {
            match try_send(channel, event) {
                Ok(true) => {
                    self.outbox.pop_front();
                }
                Ok(false) => return,
                // What it still asked for is to be read before it is forgotten.
                Err(_) => return self.outbox.clear(),
            }
        }
    }

    /// Closes the connection; nothing waits any more.
    pub(crate) fn forget(&mut self) {
        self.channel = None;
        self.outbox.clear();
    }

    fn accept(&mut self) -> io::Result<()> {
        match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(fd) => self.channel = Some(Channel::from(fd)),
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

/// Waits for something to read.
pub(crate) fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// Sends a message; tells whether the socket took it.
///
/// # Errors
/// As [`Channel::send`], but for an interruption.
pub(crate) fn try_send<S, R>(channel: &mut Channel<S, R>, message: &S) -> Result<bool, Error>
where
    S: Serialize,
    R: DeserializeOwned,
{
    loop {
        match channel.send(message) {
            Ok(()) => return Ok(true),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

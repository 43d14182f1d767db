//! One TCP connection: what it has to send, bounded, and an end that lets the peer read it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

/// What may wait to be sent. A peer that does not read 64 KiB of control messages does not read.
const MAX_QUEUED: usize = 64 * 1024;

/// How long a connection that is closed may take to send what it has and hear of the peer's end.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// What became of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// That many bytes are in the buffer.
    Bytes(usize),
    /// There is nothing now.
    Nothing,
    /// There will be nothing more.
    End,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    state: State,
    queue: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// To be dropped at this moment, or when the peer has closed too.
    Closing(Instant),
}

impl Stream {
    /// A connection that a peer made.
    pub(super) fn accepted(socket: TcpStream) -> Self {
        let _ = socket.set_nodelay(true);
        Self::new(socket, State::Open)
    }

    /// A connection that we are about to make.
    pub(super) const fn connecting(socket: TcpStream) -> Self {
        Self::new(socket, State::Connecting)
    }

    /// Looks whether a connection has been made; returns our address and the peer's when it has.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn finish_connecting(&mut self) -> io::Result<Option<(Ipv4Addr, Ipv4Addr)>> {
        if self.state != State::Connecting {
            return Ok(None);
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        let peer = match self.socket.peer_addr() {
            Ok(peer) => peer,
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(None),
            Err(error) => return Err(error),
        };
        self.state = State::Open;
        let _ = self.socket.set_nodelay(true);
        match (self.socket.local_addr()?.ip(), peer.ip()) {
            (IpAddr::V4(ours), IpAddr::V4(peer)) => Ok(Some((ours, peer))),
            (_, _) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Sends bytes, or queues them.
    ///
    /// # Errors
    /// The connection is broken, or the peer does not read.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.queue.len() + bytes.len() > MAX_QUEUED {
            return Err(ErrorKind::StorageFull.into());
        }
        self.queue.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends what is queued, as far as the socket takes it.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            if self.state == State::Connecting || sent == self.queue.len() {
                break Ok(());
            }
            match self.socket.write(&self.queue[sent..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.queue.drain(..sent);
        if self.queue.is_empty() && self.closes_at().is_some() {
            // The peer reads to the end and then closes; a plain close could throw away what it
            // has not read yet. If it is gone already, there is nobody left to tell.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        result
    }

    /// Receives what fits into `buffer`.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Received::End,
                Ok(count) => return Received::Bytes(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Received::Nothing,
                Err(_) => return Received::End,
            }
        }
    }

    /// Begins to close: sends what is queued, then says that nothing more comes. Returns when to
    /// drop the connection, if there is something to wait for.
    pub(super) fn close(&mut self, now: Instant) -> Option<Instant> {
        let was_open = self.state == State::Open;
        let at = now + LINGER;
        self.state = State::Closing(at);
        (was_open && self.flush().is_ok()).then_some(at)
    }

    /// When to drop a connection that is closing.
    pub(super) const fn closes_at(&self) -> Option<Instant> {
        match self.state {
            State::Closing(at) => Some(at),
            State::Connecting | State::Open => None,
        }
    }

    /// The socket, to be registered.
    pub(super) const fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    const fn new(socket: TcpStream, state: State) -> Self {
        Self {
            socket,
            state,
            queue: Vec::new(),
        }
    }
}

//! UDP: the sockets by which RADIUS servers are asked, and the port by which they ask.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use crate::model::Config;
use crate::radius::client::SocketId;

/// Datagrams read from one socket before the others get their turn.
const READS_A_TURN: usize = 64;

/// RFC 2865 §3: no packet is larger.
const MAX_DATAGRAM: usize = 4096;

/// A datagram, and where it came from.
type Datagram = (SocketAddrV4, Vec<u8>);

/// The sockets by which servers are asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    sockets: BTreeMap<SocketId, UdpSocket>,
    /// Those that have not been read to the end.
    unread: BTreeSet<SocketId>,
}

impl Asking {
    pub(super) fn open(
        &mut self,
        registry: &Registry,
        id: SocketId,
        address: Option<Ipv4Addr>,
        token: Token,
    ) -> io::Result<()> {
        let address = SocketAddrV4::new(address.unwrap_or(Ipv4Addr::UNSPECIFIED), 0);
        let mut socket = UdpSocket::bind(address.into())?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        self.sockets.insert(id, socket);
        Ok(())
    }

    pub(super) fn close(&mut self, id: SocketId) {
        self.sockets.remove(&id);
        self.unread.remove(&id);
    }

    /// Sends a datagram, or loses it: who waits for an answer sends again.
    pub(super) fn send(&self, id: SocketId, to: SocketAddrV4, bytes: &[u8]) {
        if let Some(socket) = self.sockets.get(&id) {
            let _ = socket.send_to(bytes, to.into());
        }
    }

    pub(super) fn note_ready(&mut self, id: SocketId) {
        self.unread.insert(id);
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Some of what came, of each socket its share.
    pub(super) fn receive(&mut self) -> Vec<(SocketId, Datagram)> {
        let mut received = Vec::new();
        for id in std::mem::take(&mut self.unread) {
            let Some(socket) = self.sockets.get(&id) else {
                continue;
            };
            for _ in 0..READS_A_TURN {
                match receive(socket) {
                    Some(datagram) => received.push((id, datagram)),
                    None => break,
                }
            }
            if received.last().is_some_and(|&(last, _)| last == id) {
                self.unread.insert(id);
            }
        }
        received
    }
}

/// The port of `/radius incoming`.
#[derive(Debug)]
pub(super) struct Asked {
    socket: UdpSocket,
    port: u16,
    pub(super) is_unread: bool,
}

impl Asked {
    pub(super) fn listen(
        registry: &Registry,
        address: Ipv4Addr,
        port: u16,
        token: Token,
    ) -> io::Result<Self> {
        let mut socket = UdpSocket::bind(SocketAddrV4::new(address, port).into())?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Self {
            socket,
            port,
            is_unread: false,
        })
    }

    /// Whether it is the port that this configuration wants.
    pub(super) fn is_as(&self, config: &Config) -> bool {
        let incoming = &config.radius_incoming;
        incoming.accept && incoming.port == self.port
    }

    /// Some of what came.
    pub(super) fn receive(&mut self) -> Vec<Datagram> {
        let mut received = Vec::new();
        self.is_unread = true;
        while received.len() < READS_A_TURN {
            match receive(&self.socket) {
                Some(datagram) => received.push(datagram),
                None => {
                    self.is_unread = false;
                    break;
                }
            }
        }
        received
    }

    /// Answers, or does not: who asked asks again.
    pub(super) fn send(&self, to: SocketAddrV4, bytes: &[u8]) {
        let _ = self.socket.send_to(bytes, to.into());
    }
}

/// The next datagram over IPv4, cut where no packet may go on.
fn receive(socket: &UdpSocket) -> Option<Datagram> {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((len, SocketAddr::V4(from))) => return Some((from, buffer[..len].to_vec())),
            Ok((_, SocketAddr::V6(_))) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            // A server that is not there: an answer to what was sent before.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

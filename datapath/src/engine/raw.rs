//! The slow path: raw sockets. What XDP passed to the kernel (fragments, which the kernel has put
//! together by now; IP options; unknown calls; queues without a worker) arrives here, and what
//! cannot go out through AF_XDP leaves here. Complete and correct, only slower.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv,
    sendto, socket_with, sockopt,
};

use super::buffers::Buffer;

/// IP protocol 47.
const GRE: u32 = 47;
/// IPPROTO_RAW: sends whole IP datagrams, receives nothing.
const RAW: u32 = 255;
/// Bytes the kernel may queue for us: about 2000 full frames with their bookkeeping.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Receives every GRE datagram that reaches the kernel's stack.
#[derive(Debug)]
pub struct Receiver(OwnedFd);

impl Receiver {
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn new() -> io::Result<Self> {
        let fd = raw_socket(GRE)?;
        // Needs CAP_NET_ADMIN; the smaller default still works.
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BUFFER_BYTES);
        Ok(Self(fd))
    }

    /// Receives one datagram, IP header first, and gives its length; `None` if there is none.
    /// What is longer than the buffer is cut: its header then promises more than there is.
    ///
    /// # Errors
    /// What recv(2) says, EAGAIN and EINTR excepted.
    pub fn receive(&self, buffer: &mut Buffer) -> io::Result<Option<usize>> {
        match recv(&self.0, buffer.whole_mut(), RecvFlags::DONTWAIT) {
            Ok((received, _)) => Ok(Some(received)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends IP datagrams; the kernel finds the route and the link-layer address.
#[derive(Debug)]
pub struct Sender(OwnedFd);

impl Sender {
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn new() -> io::Result<Self> {
        Ok(Self(raw_socket(RAW)?))
    }

    /// Sends one datagram, which begins with its IP header.
    ///
    /// # Errors
    /// What sendto(2) says: no route, EMSGSIZE, EAGAIN when the device's queue is full.
    pub fn send(&self, datagram: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        let destination = SocketAddrV4::new(destination, 0);
        sendto(&self.0, datagram, SendFlags::DONTWAIT, &destination)?;
        Ok(())
    }
}

fn raw_socket(protocol: u32) -> io::Result<OwnedFd> {
    let protocol = RawProtocol::new(protocol).map(Protocol::from_raw);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        flags,
        protocol,
    )?)
}

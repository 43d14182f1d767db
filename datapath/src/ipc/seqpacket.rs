//! The transport of [`super`]: a non-blocking SOCK_SEQPACKET socket and its two message types.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, connect, listen, recv, send, socket_with, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_MESSAGE_BYTES;

/// One end of the connection: sends `S`, receives `R`. Non-blocking.
pub struct Channel<S, R> {
    fd: OwnedFd,
    buffer: Vec<u8>,
    messages: PhantomData<fn(S) -> R>,
}

/// Why a message could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other end closed the connection.
    #[error("the connection is closed")]
    Closed,
    /// The other end sent what cannot be decoded: another version, most likely.
    #[error("undecodable message")]
    Undecodable(#[source] postcard::Error),
    /// The message to send is larger than [`MAX_MESSAGE_BYTES`].
    #[error("message of {0} bytes is too large")]
    TooLarge(usize),
    /// The socket failed. `WouldBlock` from [`Channel::send`]: the other end does not read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<S: Serialize, R: DeserializeOwned> Channel<S, R> {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What connect(2) says: nothing there, nobody listening, no permission.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let fd = seqpacket()?;
        connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Self::from(fd))
    }

    /// A connected pair, for tests.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn pair() -> io::Result<(Self, Channel<R, S>)>
    where
        S: DeserializeOwned,
        R: Serialize,
    {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self::from(one), Channel::from(other)))
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`Error::Io`] with `WouldBlock` if the socket's buffer is full; [`Error::Closed`].
    pub fn send(&mut self, message: &S) -> Result<(), Error> {
        let encoded = postcard::to_stdvec(message).map_err(Error::Undecodable)?;
        if encoded.len() > MAX_MESSAGE_BYTES {
            return Err(Error::TooLarge(encoded.len()));
        }
        match send(&self.fd, &encoded, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Err(Error::Closed),
            Err(error) => Err(Error::Io(error.into())),
        }
    }

    /// Receives one message, or `None` if there is none to read.
    ///
    /// # Errors
    /// [`Error::Closed`] at the end of the connection, [`Error::Undecodable`], [`Error::Io`].
    pub fn receive(&mut self) -> Result<Option<R>, Error> {
        let mut recv = || recv(&self.fd, &mut self.buffer[..], RecvFlags::empty());
        // An end that closes with something unread resets the connection: this is said once, and
        // before what that end had sent.
        let received = match recv() {
            Err(rustix::io::Errno::CONNRESET) => recv(),
            received => received,
        };
        let received = match received {
            Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => return Err(Error::Closed),
            Ok((_, received)) => received,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(Error::Io(error.into())),
        };
        let message = postcard::from_bytes(&self.buffer[..received]).map_err(Error::Undecodable)?;
        Ok(Some(message))
    }
}

impl<S, R> From<OwnedFd> for Channel<S, R> {
    fn from(fd: OwnedFd) -> Self {
        Self {
            fd,
            buffer: vec![0; MAX_MESSAGE_BYTES],
            messages: PhantomData,
        }
    }
}

impl<S, R> AsFd for Channel<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<S, R> AsRawFd for Channel<S, R> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl<S, R> fmt::Debug for Channel<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}

/// A listening socket in the file system, removed when dropped.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    path: std::path::PathBuf,
}

impl Listener {
    /// Binds to `path`, taking the place of what an earlier process left there.
    ///
    /// # Errors
    /// What bind(2) and listen(2) say.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let fd = seqpacket()?;
        bind(&fd, &SocketAddrUnix::new(path)?)?;
        listen(&fd, 4)?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Accepts a waiting connection, or `None` if there is none.
    ///
    /// # Errors
    /// What accept(2) says.
    pub fn accept<S, R>(&self) -> io::Result<Option<Channel<S, R>>> {
        match accept_with(&self.fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(fd) => Ok(Some(Channel::from(fd))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nobody is left to tell; the next start removes it as well.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn seqpacket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::ipc::{Event, Request};

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (mut control, mut datapath) = Channel::<Request, Event>::pair().unwrap();
        let sent = Request::Send {
            session: SessionId(7),
            protocol: 0xc021,
            payload: vec![1; 1500],
        };
        control.send(&sent).unwrap();
        control.send(&Request::ReadTotals).unwrap();
        assert_eq!(datapath.receive().unwrap(), Some(sent));
        assert_eq!(datapath.receive().unwrap(), Some(Request::ReadTotals));
        assert_eq!(datapath.receive().unwrap(), None);
    }

    #[test]
    fn a_closed_end_and_nonsense_are_told_apart() {
        let (control, mut datapath) = Channel::<Request, Event>::pair().unwrap();
        send(&control.fd, &[0xff; 9], SendFlags::empty()).unwrap();
        assert!(matches!(datapath.receive(), Err(Error::Undecodable(_))));
        drop(control);
        assert!(matches!(datapath.receive(), Err(Error::Closed)));
        assert!(matches!(
            datapath.send(&Event::Totals {
                workers: vec![],
                xdp: vec![]
            }),
            Err(Error::Closed)
        ));
    }

    #[test]
    fn what_was_said_before_the_end_is_heard_even_if_the_answer_was_not() {
        let (mut control, mut datapath) = Channel::<Request, Event>::pair().unwrap();
        control.send(&Request::ReadTotals).unwrap();
        let (workers, xdp) = (vec![], vec![]);
        datapath.send(&Event::Totals { workers, xdp }).unwrap();
        drop(control);
        assert_eq!(datapath.receive().unwrap(), Some(Request::ReadTotals));
        assert!(matches!(datapath.receive(), Err(Error::Closed)));
    }

    #[test]
    fn a_full_socket_would_block_and_a_large_message_is_refused() {
        let (mut control, _datapath) = Channel::<Request, Event>::pair().unwrap();
        let frame = Request::Send {
            session: SessionId(7),
            protocol: 0xc021,
            payload: vec![1; 1500],
        };
        let full = (0..100_000).find_map(|_| control.send(&frame).err());
        assert!(
            matches!(full, Some(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock)
        );
        let large = Request::Send {
            session: SessionId(7),
            protocol: 1,
            payload: vec![1; 20_000],
        };
        assert!(matches!(control.send(&large), Err(Error::TooLarge(_))));
    }

    #[test]
    fn a_listener_replaces_what_was_left_and_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("greyhound-ipc-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("s");
        std::fs::write(&path, "stale").unwrap();
        let listener = Listener::bind(&path).unwrap();
        assert!(listener.accept::<Event, Request>().unwrap().is_none());
        let mut control = Channel::<Request, Event>::connect(&path).unwrap();
        let mut datapath = listener.accept::<Event, Request>().unwrap().unwrap();
        control.send(&Request::Hello { version: 1 }).unwrap();
        assert_eq!(
            datapath.receive().unwrap(),
            Some(Request::Hello { version: 1 })
        );
        drop(listener);
        assert!(!path.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

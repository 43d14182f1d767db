//! Bulk TCP as fast as it goes, counted where it arrives. Whether the content is right is the
//! business of [`crate::tcp`]: to look at every byte would cost more than a fast tunnel does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::net::sockopt::set_socket_linger;

use crate::namespace::Namespace;
use crate::tcp::{PATIENCE, accept, listen};

/// Streams that send until they are stopped or dropped.
#[derive(Debug)]
pub struct Bulk {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    received: AtomicU64,
}

impl Bulk {
    /// Opens `streams` connections from one namespace to an address in another, and sends over all
    /// of them at once, each with a thread at either end.
    ///
    /// # Errors
    /// A connection is not made.
    pub fn start(
        from: &Namespace,
        to: &Namespace,
        address: SocketAddr,
        streams: usize,
    ) -> Result<Self> {
        let listener = listen(to, address)?;
        let shared = Arc::new(Shared::default());
        let mut pairs = Vec::new();
        for _ in 0..streams {
            let near = from
                .inside(|| TcpStream::connect_timeout(&address, PATIENCE))?
                .with_context(|| format!("connect to {address}"))?;
            let far = accept(&listener)?;
            for stream in [&near, &far] {
                // What is still on its way when the stream ends must not disturb the next one.
                set_socket_linger(stream, Some(Duration::ZERO))?;
                stream.set_write_timeout(Some(LOOK_AGAIN))?;
                stream.set_read_timeout(Some(LOOK_AGAIN))?;
            }
            pairs.push((near, far));
        }
        let mut bulk = Self {
            shared,
            threads: Vec::new(),
        };
        for (near, far) in pairs {
            let shared = Arc::clone(&bulk.shared);
            bulk.threads.push(thread::spawn(move || shared.send(&near)));
            let shared = Arc::clone(&bulk.shared);
            bulk.threads
                .push(thread::spawn(move || shared.receive(&far)));
        }
        Ok(bulk)
    }

    /// Payload bytes that arrived so far, all streams together.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Ends the streams.
    ///
    /// # Errors
    /// One of them had ended before.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut first = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| anyhow!("a stream panicked"))?;
            let ended = ended.context("a stream ended early");
            first = first.and(ended);
        }
        first
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`.
        let _ = self.end();
    }
}

impl Shared {
    fn send(&self, mut stream: &TcpStream) -> io::Result<()> {
        let block = vec![0x5a; WRITE_BYTES];
        self.until_stopped(|| stream.write(&block).map(drop))
    }

    fn receive(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        self.until_stopped(|| match stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => {
                self.received.fetch_add(length as u64, Ordering::Relaxed);
                Ok(())
            }
        })
    }

    fn until_stopped(&self, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            match work() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The other end may have noticed the end first.
                Err(_) if self.stop.load(Ordering::Relaxed) => break,
                result => result?,
            }
        }
        Ok(())
    }
}

/// In one write.
const WRITE_BYTES: usize = 128 << 10;

/// In one read at most.
const READ_BYTES: usize = 256 << 10;

/// How soon a thread without anything to do notices that it is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

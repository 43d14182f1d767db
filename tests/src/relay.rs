//! A wire that misbehaves: what enters at one end leaves at the other, but some frames are lost,
//! some late, some come twice.
//!
//! Which ones is drawn from a seed. Only GRE is treated so: a lost ARP frame would cost a second
//! and tell nothing.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::namespace::{Namespace, add_veth};
use crate::random::Random;

/// What happens to GRE frames, of a thousand each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// So many are lost.
    pub lost: u16,
    /// So many are overtaken by one to [`MOST_OVERTAKERS`] others.
    pub late: u16,
    /// So many come twice.
    pub twice: u16,
}

/// What happened to GRE frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that arrived.
    pub frames: u64,
    /// Lost ones.
    pub lost: u64,
    /// Overtaken ones.
    pub late: u64,
    /// Repeated ones.
    pub twice: u64,
}

/// The wire; it is cut when dropped.
#[derive(Debug)]
pub struct Relay {
    stop: Arc<AtomicBool>,
    directions: Vec<Direction>,
    _namespace: Namespace,
}

#[derive(Debug)]
struct Direction {
    counted: Arc<Counted>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Counted {
    frames: AtomicU64,
    lost: AtomicU64,
    late: AtomicU64,
    twice: AtomicU64,
}

impl Relay {
    /// Lays it between two namespaces, in each of which its end is called `interface`.
    ///
    /// # Errors
    /// An interface cannot be created, or the packets of one not be read.
    pub fn lay(
        near: &Namespace,
        far: &Namespace,
        interface: &str,
        queues: u16,
        faults: Faults,
        seed: u64,
    ) -> Result<Self> {
        let namespace = Namespace::new("relay")?;
        add_veth((near, interface), (&namespace, "near"), queues)?;
        add_veth((far, interface), (&namespace, "far"), queues)?;
        let open = |name: &str| namespace.inside(|| packet_socket(name))?;
        let (near, far) = (Arc::new(open("near")?), Arc::new(open("far")?));
        let stop = Arc::new(AtomicBool::new(false));
        let directions = [(&near, &far), (&far, &near)];
        let directions = directions
            .into_iter()
            .zip(seed..)
            .map(|((from, to), seed)| {
                let counted = Arc::new(Counted::default());
                let mut forwarder = Forwarder {
                    from: Arc::clone(from),
                    to: Arc::clone(to),
                    stop: Arc::clone(&stop),
                    faults,
                    random: Random::new(seed),
                    held: Vec::new(),
                    counted: Arc::clone(&counted),
                };
                let thread = thread::spawn(move || forwarder.run());
                let thread = Some(thread);
                Direction { counted, thread }
            })
            .collect();
        Ok(Self {
            stop,
            directions,
            _namespace: namespace,
        })
    }

    /// What happened so far, to both directions together.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let all = |what: fn(&Counted) -> &AtomicU64| {
            let directions = self.directions.iter();
            directions
                .map(|direction| what(&direction.counted).load(Ordering::Relaxed))
                .sum()
        };
        Tally {
            frames: all(|counted| &counted.frames),
            lost: all(|counted| &counted.lost),
            late: all(|counted| &counted.late),
            twice: all(|counted| &counted.twice),
        }
    }

    /// Cuts it.
    ///
    /// # Errors
    /// It did not carry everything that it should have.
    pub fn cut(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        for direction in &mut self.directions {
            if let Some(thread) = direction.thread.take() {
                let ended = thread.join();
                ended.map_err(|_| anyhow!("a thread of the relay panicked"))??;
            }
        }
        Ok(self.tally())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for direction in &mut self.directions {
            if let Some(thread) = direction.thread.take() {
                // Whoever wants to know how it ended cuts it.
                let _ = thread.join();
            }
        }
    }
}

/// One direction.
struct Forwarder {
    from: Arc<OwnedFd>,
    to: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    faults: Faults,
    random: Random,
    /// Frames held back, and how many others are still to overtake each.
    held: Vec<(usize, Vec<u8>)>,
    counted: Arc<Counted>,
}

impl Forwarder {
    fn run(&mut self) -> Result<()> {
        let mut buffer = vec![0; LARGEST_FRAME];
        while !self.stop.load(Ordering::Relaxed) {
            match recv(self.from.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => self.judge(&buffer[..length])?,
                // Nobody is left to overtake those that are held.
                Err(Errno::EAGAIN) => self.release(usize::MAX)?,
                // The interface at the other end went.
                Err(Errno::ENETDOWN) => {}
                Err(error) => return Err(error).context("receive a frame"),
            }
        }
        Ok(())
    }

    fn judge(&mut self, frame: &[u8]) -> Result<()> {
        if !is_gre(frame) {
            return self.forward(frame);
        }
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        count(&self.counted.frames);
        if self.random.happens(self.faults.lost) {
            count(&self.counted.lost);
            return Ok(());
        }
        if self.random.happens(self.faults.late) {
            count(&self.counted.late);
            let overtakers = self.random.between(1, MOST_OVERTAKERS);
            self.held.push((overtakers, frame.to_owned()));
            return Ok(());
        }
        self.forward(frame)?;
        if self.random.happens(self.faults.twice) {
            count(&self.counted.twice);
            self.forward(frame)?;
        }
        self.release(1)
    }

    /// Forwards the held frames that have been overtaken often enough, now by so many more.
    fn release(&mut self, overtakers: usize) -> Result<()> {
        let mut due = Vec::new();
        self.held.retain_mut(|(left, frame)| {
            *left = left.saturating_sub(overtakers);
            if *left == 0 {
                due.push(std::mem::take(frame));
            }
            *left > 0
        });
        due.iter().try_for_each(|frame| self.forward(frame))
    }

    fn forward(&self, frame: &[u8]) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            match send(self.to.as_raw_fd(), frame, MsgFlags::empty()) {
                // The veth's ring is full: what gets lost is for `Faults` to say.
                Err(Errno::ENOBUFS) => thread::yield_now(),
                Ok(_) | Err(Errno::ENETDOWN) => break,
                Err(error) => return Err(error).context("send a frame"),
            }
        }
        Ok(())
    }
}

/// Opens a socket for every frame of an interface of this thread's namespace.
fn packet_socket(interface: &str) -> Result<OwnedFd> {
    let address = link_address(interface)?;
    let all = SockProtocol::EthAll;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, all)?;
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER)?;
    setsockopt(
        &socket,
        ReceiveTimeout,
        &TimeVal::milliseconds(STANDSTILL_MS),
    )?;
    bind(socket.as_raw_fd(), &address).with_context(|| format!("bind to {interface}"))?;
    Ok(socket)
}

fn link_address(interface: &str) -> Result<LinkAddr> {
    let mut addresses = getifaddrs().context("list interfaces")?;
    addresses
        .find_map(|address| {
            let of_it = address.interface_name == interface;
            of_it.then(|| address.address?.as_link_addr().copied())?
        })
        .ok_or_else(|| std::io::Error::from(ErrorKind::NotFound))
        .with_context(|| format!("interface {interface}"))
}

/// Ethernet, IPv4 without options, protocol 47.
fn is_gre(frame: &[u8]) -> bool {
    frame.get(12..15) == Some(&[0x08, 0x00, 0x45]) && frame.get(23) == Some(&47)
}

/// How many frames may overtake a late one: fewer than a session's window has room for.
pub const MOST_OVERTAKERS: usize = 8;

/// For how long nothing comes until those held back go on.
const STANDSTILL_MS: i64 = 4;

/// All that two ends ever have on the way.
const RECEIVE_BUFFER: usize = 64 << 20;

const LARGEST_FRAME: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gre_is_told_from_arp_and_from_tcp() {
        let mut frame = [0; 60];
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[23] = 47;
        assert!(is_gre(&frame));
        frame[23] = 6;
        assert!(!is_gre(&frame));
        frame[12..15].copy_from_slice(&[0x08, 0x06, 0x00]);
        frame[23] = 47;
        assert!(!is_gre(&frame));
        assert!(!is_gre(&[]));
    }
}

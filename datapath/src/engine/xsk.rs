//! AF_XDP: frames straight from and to a queue of the network card.
//!
//! All queues of an interface share one area of memory (the UMEM), cut into chunks of [`CHUNK_BYTES`]. A [`Frame`]
//! owns one chunk from the moment the kernel hands it out until a ring takes it back, so a chunk is
//! never in two places. Frames may travel to another thread and be given back to any [`Queue`].
//! What only the kernel can break (an address outside of the area, a length beyond the chunk) is
//! checked where it comes in.
//!
//! The program that steers frames into these sockets is `greyhound_bpf`'s; nothing is attached here.
#![allow(
    unsafe_code,
    reason = "the fence around the rings and the memory shared with the kernel"
)]

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::net::{AddressFamily, SocketType};
use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, SocketConfig};
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, Socket, TxQueue};

mod area;

use area::{Area, narrow, ring_size};
pub use area::{CHUNK_BYTES, FRAME_BYTES, Frame};

/// The most frames that one call moves.
pub const BURST: usize = 64;

/// How many frames each queue gets, and how its socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Frames that wait in the kernel to be filled: the burst that a busy worker survives.
    /// A power of two, default 4096.
    pub rx_frames: u32,
    /// Frames to send, and what the worker holds. A power of two, default 4096.
    pub tx_frames: u32,
    /// Have the kernel copy frames even where the driver could place them in our memory itself.
    /// Default false: the kernel chooses.
    pub copy: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rx_frames: 4096,
            tx_frames: 4096,
            copy: false,
        }
    }
}

/// Why the sockets could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number of frames or queues that the rings cannot have.
    #[error("{0} is not a possible number of frames or queues")]
    Size(u32),
    /// An interface name with a NUL in it.
    #[error("{0:?} is not an interface name")]
    InterfaceName(String),
    /// The kernel refused the memory.
    #[error("the UMEM of {bytes} bytes was refused: {source}{}", memory_hint(.source))]
    Memory {
        /// Its size.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a socket.
    #[error("{interface}: no AF_XDP socket on queue {queue}: {source}{}", bind_hint(.source))]
    Bind {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Sets up the memory and binds one socket to each of the queues `0..queues` of `interface`.
///
/// To be called once for an interface in the life of a process: the memory is never unmapped, because frames are on
/// their way through other threads and the kernel, and counting references to it for each frame
/// would be the one cache line that all workers share. A queue that was closed is not bound again
/// by the same process.
///
/// # Errors
/// [`Error`] with the cause and what to do about it.
pub fn open(interface: &str, queues: u32, config: &Config) -> Result<Vec<Queue>, Error> {
    let name = CString::new(interface).map_err(|_| Error::InterfaceName(interface.to_owned()))?;
    let (area, mut frames) = Area::new(queues, config)?;
    let mut flags = BindFlags::XDP_USE_NEED_WAKEUP;
    flags.set(BindFlags::XDP_COPY, config.copy);
    let socket = SocketConfig::builder()
        .rx_queue_size(ring_size(config.rx_frames)?)
        .tx_queue_size(ring_size(config.tx_frames)?)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(flags)
        .build();
    let per_queue = frames.len() / queues as usize;
    let mut opened = Vec::with_capacity(queues as usize);
    for queue in 0..queues {
        let free = frames.split_off(frames.len() - per_queue);
        let ends = bind(socket, area, &Interface::new(name.clone()), queue);
        let ends = ends.map_err(|source| Error::Bind {
            interface: interface.to_owned(),
            queue,
            source,
        })?;
        opened.push(Queue::new(ends, area, free, config));
    }
    Ok(opened)
}

/// How many queues of an interface a socket can be bound to: `0` up to this.
///
/// # Errors
/// What ioctl(2) says: there is no such interface, for one.
pub fn queues(interface: &str) -> io::Result<u32> {
    let any = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    let mut channels = Channels {
        command: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    // SAFETY: a structure of integers and pointers, for which zeros are valid.
    let mut request = unsafe { mem::zeroed::<libc::ifreq>() };
    let room = request.ifr_name.len() - 1;
    if interface.len() > room {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the request points to what this command of this ioctl fills, and both are alive.
    let result = unsafe { libc::ioctl(any.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        let error = io::Error::last_os_error();
        // A driver without such a notion has one queue.
        return match error.raw_os_error() {
            Some(libc::EOPNOTSUPP) => Ok(1),
            _ => Err(error),
        };
    }
    Ok((channels.combined + channels.rx.max(channels.tx)).max(1))
}

/// `struct ethtool_channels` of <linux/ethtool.h>.
#[derive(Default)]
#[repr(C)]
struct Channels {
    command: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// What the kernel and this process counted on one queue since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames dropped because they did not fit a chunk or none was to be had.
    pub rx_dropped: u64,
    /// Frames dropped because this process did not read fast enough.
    pub rx_ring_full: u64,
    /// How often the kernel found no chunk to fill.
    pub fill_ring_empty: u64,
    /// Chunks to fill that the kernel refused.
    pub rx_invalid: u64,
    /// Frames to send that the kernel refused.
    pub tx_invalid: u64,
    /// How often the kernel looked for a frame to send and found none.
    pub tx_ring_empty: u64,
    /// Descriptors from the kernel that pointed outside of their chunk.
    pub bad_descriptors: u64,
}

/// Both directions of one queue of the card, for the one worker that owns it.
#[derive(Debug)]
pub struct Queue {
    // hot
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
    area: &'static Area,
    /// Chunks that are with nobody.
    free: Vec<FrameDesc>,
    scratch: [FrameDesc; BURST],
    /// Chunks given to the fill ring that have not come back as received frames.
    in_rx: u32,
    /// Chunks given to the TX ring that have not come back as completions.
    in_tx: u32,
    // cold
    rx_frames: u32,
    tx_frames: u32,
    bad_descriptors: u64,
}

impl Queue {
    /// Appends received frames to `into`, as many as there are and fit, and gives the kernel new
    /// chunks in place of them. Returns how many.
    pub fn receive(&mut self, into: &mut ArrayVec<Frame, BURST>) -> usize {
        let room = into.remaining_capacity();
        // SAFETY: the descriptors are handed out below only as frames that were checked to be of
        // this area, and the kernel does not touch a chunk again before it is given back.
        let received = unsafe { self.rx.consume(&mut self.scratch[..room]) };
        self.in_rx = self.in_rx.saturating_sub(narrow(received));
        let before = into.len();
        for index in 0..received {
            let desc = self.scratch[index];
            match self.area.checked(desc) {
                Some(frame) => {
                    frame.prefetch();
                    into.push(frame);
                }
                None => self.bad_descriptors += 1,
            }
        }
        self.refill();
        into.len() - before
    }

    /// Takes a frame back, whatever queue it came from.
    pub fn recycle(&mut self, frame: Frame) {
        if !self.shares_area_with(&frame) {
            return;
        }
        let area = self.area;
        self.free.push(area.reset(frame.into_desc()));
        if self.free.len() > self.tx_frames as usize + 2 * BURST {
            // More than this queue ever gives out: frames of a queue that hands them to us.
            for desc in self.free.drain(self.free.len() - BURST..) {
                area.give_up(desc);
            }
        }
    }

    /// A frame to write and transmit, of length 0; `None` if all are in use.
    pub fn take_tx(&mut self) -> Option<Frame> {
        if self.free.is_empty() {
            self.reclaim();
            self.adopt();
        }
        self.free.pop().map(|desc| Frame {
            desc,
            area: self.area,
        })
    }

    /// Moves frames from the front of `frames` to the TX ring, as many as fit, and returns how
    /// many. They are sent by the next [`Self::kick`].
    pub fn transmit(&mut self, frames: &mut ArrayVec<Frame, BURST>) -> usize {
        frames.retain(|frame| self.shares_area_with(frame));
        self.reclaim();
        let free = self.tx.nb_free(narrow(frames.len())) as usize;
        let count = frames.len().min(free);
        for (slot, frame) in self.scratch.iter_mut().zip(frames.drain(..count)) {
            *slot = frame.into_desc();
        }
        // SAFETY: the descriptors come from frames, which are of this area, and whose ownership of
        // their chunks ended in `into_desc`.
        let sent = unsafe { self.tx.produce(&self.scratch[..count]) };
        // The ring had room for all of them and nobody else fills it; were it otherwise, the rest
        // would be lost to everyone.
        for index in sent..count {
            self.free.push(self.area.reset(self.scratch[index]));
        }
        self.in_tx += narrow(sent);
        sent
    }

    /// Tells the kernel of frames to send, if it wants to be told, and returns how many it has not
    /// taken yet. More than 0 means that the device is busy: kick again later.
    ///
    /// # Errors
    /// What sendto(2) says, except for the device being busy or down.
    pub fn kick(&mut self) -> io::Result<usize> {
        let mut waiting = self.tx_waiting();
        // One call sends a limited number of frames (32, unless the socket is told otherwise).
        while waiting > 0 && self.tx.needs_wakeup() {
            self.tx.wakeup()?;
            let left = self.tx_waiting();
            if left >= waiting {
                break;
            }
            waiting = left;
        }
        Ok(waiting)
    }

    /// Takes back the frames that the kernel has sent, and returns how many.
    pub fn reclaim(&mut self) -> usize {
        let mut total = 0;
        loop {
            // SAFETY: what the completion ring returns was given to the TX ring before, and is
            // checked to be of this area by `reset`.
            let sent = unsafe { self.completion.consume(&mut self.scratch) };
            for index in 0..sent {
                let desc = self.scratch[index];
                if self.area.contains(&desc) {
                    self.free.push(self.area.reset(desc));
                } else {
                    self.bad_descriptors += 1;
                }
            }
            total += sent;
            if sent < BURST {
                break;
            }
        }
        self.in_tx = self.in_tx.saturating_sub(narrow(total));
        total
    }

    /// What was counted so far.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let kernel = self.rx.fd().xdp_statistics()?;
        Ok(Statistics {
            rx_dropped: kernel.rx_dropped(),
            rx_ring_full: kernel.rx_ring_full(),
            fill_ring_empty: kernel.rx_fill_ring_empty_descs(),
            rx_invalid: kernel.rx_invalid_descs(),
            tx_invalid: kernel.tx_invalid_descs(),
            tx_ring_empty: kernel.tx_ring_empty_descs(),
            bad_descriptors: self.bad_descriptors,
        })
    }

    fn new(ends: Ends, area: &'static Area, chunks: Vec<FrameDesc>, config: &Config) -> Self {
        let (rx, fill, tx, completion) = ends;
        let mut free = Vec::with_capacity(chunks.len() + 4 * BURST);
        free.extend(chunks);
        let mut queue = Self {
            rx,
            fill,
            tx,
            completion,
            area,
            free,
            scratch: [FrameDesc::default(); BURST],
            in_rx: 0,
            in_tx: 0,
            rx_frames: config.rx_frames,
            tx_frames: config.tx_frames,
            bad_descriptors: 0,
        };
        queue.refill();
        queue
    }

    /// Whether the frame is of the same call of [`open`], so came through the same interface. Frames
    /// of two do not mix: one that is given to the other's queue is dropped, to where it belongs.
    #[must_use]
    pub fn shares_area_with(&self, frame: &Frame) -> bool {
        ptr::eq(self.area, frame.area)
    }

    /// Gives the kernel chunks until it has its share again.
    fn refill(&mut self) {
        let missing = (self.rx_frames - self.in_rx) as usize;
        if missing < REFILL.min(self.rx_frames as usize) {
            return;
        }
        if self.free.len() < 2 * BURST {
            self.reclaim();
            self.adopt();
        }
        let count = missing.min(self.free.len());
        let start = self.free.len() - count;
        // SAFETY: these descriptors are of this area, and leave the list of free chunks below.
        let given = unsafe { self.fill.produce(&self.free[start..]) };
        // The ring takes all or none.
        if given == count {
            self.free.truncate(start);
            self.in_rx += narrow(given);
        }
        if self.fill.needs_wakeup() {
            // A driver that ran dry waits to be told. Should this fail, the next refill repeats it.
            let _ = self.fill.wakeup(self.rx.fd_mut(), 0);
        }
    }

    /// Takes over chunks that were dropped, or that another queue had too many of.
    fn adopt(&mut self) {
        for _ in 0..BURST {
            let Some(desc) = self.area.unclaimed.pop() else {
                break;
            };
            self.free.push(desc);
        }
    }

    fn tx_waiting(&mut self) -> usize {
        (self.tx_frames - self.tx.nb_free_exact()) as usize
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is closed only when its queues are dropped, which `self` owns.
        unsafe { BorrowedFd::borrow_raw(self.rx.fd().as_raw_fd()) }
    }
}

/// The four rings of a socket.
type Ends = (RxQueue, FillQueue, TxQueue, CompQueue);

/// Opens a socket for the queue.
fn bind(config: SocketConfig, area: &Area, interface: &Interface, queue: u32) -> io::Result<Ends> {
    let mut patience = 0..100;
    loop {
        // SAFETY: the rings are only given descriptors of the area that they are created with.
        let created = unsafe { Socket::new(config, &area.umem, interface, queue) };
        let error = match created {
            Ok((tx, rx, Some((fill, completion)))) => return Ok((rx, fill, tx, completion)),
            // It would share those of another socket of this process on the same queue.
            Ok((_, _, None)) => return Err(io::Error::from_raw_os_error(libc::EBUSY)),
            Err(error) => cause(&error),
        };
        let busy = error.raw_os_error() == Some(libc::EBUSY);
        if !busy || patience.next().is_none() {
            return Err(error);
        }
        // The kernel lets go of a queue some time after its last socket was closed.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Fill rings are topped up in steps of this many, to touch the shared producer index less often.
const REFILL: usize = 16;

/// The operating system's error at the bottom of one of the library's.
fn cause(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let errno = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    match errno {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::other(error.to_string()),
    }
}

fn memory_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "; it counts against RLIMIT_MEMLOCK: raise that limit (LimitMEMLOCK= of systemd) \
             or run with CAP_IPC_LOCK"
        }
        Some(libc::EPERM) => "; AF_XDP needs CAP_NET_RAW",
        Some(libc::EAFNOSUPPORT) => "; this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)",
        _ => "",
    }
}

fn bind_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EBUSY) => "; another program has an AF_XDP socket on this queue",
        Some(libc::EPERM) => "; AF_XDP needs CAP_NET_RAW",
        Some(libc::EINVAL) => "; the interface has no such queue, or is not up",
        Some(libc::ENODEV) => "; there is no such interface",
        Some(libc::EOPNOTSUPP) => "; the driver cannot do this, try without zero copy",
        _ => "",
    }
}

#[cfg(test)]
mod tests;

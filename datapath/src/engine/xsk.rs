//! AF_XDP: frames straight from and to a queue of the network card.
//!
//! All queues share one area of memory (the UMEM), cut into chunks of [`CHUNK_BYTES`]. A [`Frame`]
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
use std::fmt;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::slice;
use std::thread;
use std::time::Duration;

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;
use greyhound_bpf::Metadata;
use rustix::net::{AddressFamily, SocketType};
use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig,
};
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, Socket, TxQueue, Umem};

/// The most frames that one call moves.
pub const BURST: usize = 64;

/// The bytes of one chunk: the smallest the kernel takes, and enough for an Ethernet frame.
pub const CHUNK_BYTES: usize = 2048;

/// The bytes of a frame that fit into a chunk behind the headroom the kernel keeps for XDP.
pub const FRAME_BYTES: usize = CHUNK_BYTES - HEADROOM_BYTES;

const HEADROOM_BYTES: usize = 256;
const METADATA_BYTES: usize = size_of::<Metadata>();

// The XDP program passes what does not fit, so both must have the same idea of it.
const _: () = assert!(FRAME_BYTES == greyhound_bpf::MAX_FRAME_BYTES);

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
/// To be called once in the life of a process: the memory is never unmapped, because frames are on
/// their way through other threads and the kernel, and counting references to it for each frame
/// would be the one cache line that all workers share. A queue that was closed is not bound again
/// by the same process.
///
/// # Errors
/// [`Error`] with the cause and what to do about it.
pub fn open(interface: &str, queues: u32, config: &Config) -> Result<Vec<Queue>, Error> {
    let name = CString::new(interface).map_err(|_| Error::InterfaceName(interface.to_owned()))?;
    let (area, mut frames) = Area::new(queues, config)?;
    let per_queue = frames.len() / queues as usize;
    let mut opened = Vec::with_capacity(queues as usize);
    for queue in 0..queues {
        let free = frames.split_off(frames.len() - per_queue);
        let bound = Queue::bind(area, Interface::new(name.clone()), queue, free, config);
        opened.push(bound.map_err(|source| Error::Bind {
            interface: interface.to_owned(),
            queue,
            source,
        })?);
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
        *to = from.cast_signed();
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

/// A chunk of the shared memory and the frame in it.
///
/// Dropped instead of recycled, it finds its way back through a list that all queues share.
#[must_use = "a frame goes back to a queue: transmit or recycle it"]
pub struct Frame {
    desc: FrameDesc,
    area: &'static Area,
}

impl Frame {
    /// The frame's bytes, writable.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let length = self.len();
        &mut self.area_mut()[..length]
    }

    /// The room there is for the frame, whatever its length, to write it anew.
    pub fn area_mut(&mut self) -> &mut [u8] {
        let room = CHUNK_BYTES - offset(&self.desc);
        // SAFETY: `desc` was checked to lie within the area (`Area::checked`) or was made by it, so
        // the rest of its chunk does too. The chunk belongs to this frame alone, and the mutable
        // borrow of the frame keeps everyone else out of it.
        unsafe { slice::from_raw_parts_mut(self.area.at(self.desc.addr()), room) }
    }

    /// Sets the frame's length. Beyond the room of [`Self::area_mut`], it is cut to that.
    pub fn set_len(&mut self, length: usize) {
        // SAFETY: the descriptor is of this area, and its chunk belongs to this frame alone.
        let mut data = unsafe { self.area.umem.data_mut(&mut self.desc) };
        data.cursor().set_pos(length);
    }

    /// The frame's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `desc` was checked to lie within the area with its whole length, or was made by
        // it and its length was set by `set_len`. The chunk belongs to this frame alone.
        unsafe { slice::from_raw_parts(self.area.at(self.desc.addr()), self.len()) }
    }

    /// The frame's length.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty frame is no case of its own"
    )]
    pub fn len(&self) -> usize {
        self.desc.lengths().data()
    }

    /// What the XDP program wrote in front of a received frame: the owner of its session.
    ///
    /// It was true when the frame arrived. By now the session may be gone and its index in use by
    /// another, so compare the frame's source address and call id with the session found by it.
    /// In a frame that was not received it means nothing.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        let start = self.area.at(self.desc.addr() - METADATA_BYTES);
        // SAFETY: every descriptor leaves room for the metadata in front of it within its own
        // chunk, which belongs to this frame alone; any bytes are a valid value.
        unsafe { ptr::read_unaligned(start.cast::<Metadata>()) }
    }

    /// Ends the ownership without giving the chunk back: a ring or a free list takes it.
    fn into_desc(self) -> FrameDesc {
        ManuallyDrop::new(self).desc
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("chunk", &(self.desc.addr() / CHUNK_BYTES))
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.area.unclaimed_push(self.desc);
    }
}

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
                Some(frame) => into.push(frame),
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
                area.unclaimed_push(desc);
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

    fn bind(
        area: &'static Area,
        interface: Interface,
        queue: u32,
        free: Vec<FrameDesc>,
        config: &Config,
    ) -> io::Result<Self> {
        let mut flags = BindFlags::XDP_USE_NEED_WAKEUP;
        flags.set(BindFlags::XDP_COPY, config.copy);
        let socket = SocketConfig::builder()
            .rx_queue_size(ring_size(config.rx_frames)?)
            .tx_queue_size(ring_size(config.tx_frames)?)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(flags)
            .build();
        let mut patience = 0..100;
        let (tx, rx, rings) = loop {
            // SAFETY: the rings are only given descriptors of the area that they are created with.
            let created = unsafe { Socket::new(socket, &area.umem, &interface, queue) };
            match created {
                Ok(ends) => break ends,
                Err(error) => {
                    let error = cause(&error);
                    let busy = error.raw_os_error() == Some(libc::EBUSY);
                    if !busy || patience.next().is_none() {
                        return Err(error);
                    }
                    // The kernel lets go of a queue some time after its last socket was closed.
                    thread::sleep(Duration::from_millis(10));
                }
            }
        };
        let (fill, completion) = rings.ok_or_else(|| io::Error::from_raw_os_error(libc::EBUSY))?;
        let mut list = Vec::with_capacity(free.len() + 4 * BURST);
        list.extend(free);
        let mut bound = Self {
            rx,
            fill,
            tx,
            completion,
            area,
            free: list,
            scratch: [FrameDesc::default(); BURST],
            in_rx: 0,
            in_tx: 0,
            rx_frames: config.rx_frames,
            tx_frames: config.tx_frames,
            bad_descriptors: 0,
        };
        bound.refill();
        Ok(bound)
    }

    /// Frames of two calls of [`open`] do not mix; such a one is dropped, to where it belongs.
    fn shares_area_with(&self, frame: &Frame) -> bool {
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

/// The memory shared with the kernel. It is never unmapped, see [`open`].
#[derive(Debug)]
struct Area {
    umem: Umem,
    /// The exposed address of its first byte.
    base: usize,
    /// The descriptor of each chunk as it was made, for chunks that came back with another offset.
    pristine: Box<[FrameDesc]>,
    /// Chunks of frames that were dropped, and surplus of one queue for another.
    unclaimed: ArrayQueue<FrameDesc>,
}

impl Area {
    fn new(queues: u32, config: &Config) -> Result<(&'static Self, Vec<FrameDesc>), Error> {
        let frames = config
            .rx_frames
            .checked_add(config.tx_frames)
            .and_then(|per_queue| per_queue.checked_mul(queues))
            .and_then(NonZeroU32::new)
            .ok_or(Error::Size(queues))?;
        let bytes = frames.get() as usize * CHUNK_BYTES;
        let refused = |source| Error::Memory { bytes, source };
        let layout = UmemConfig::builder()
            .frame_size(FrameSize::new(narrow(CHUNK_BYTES)).map_err(|_| Error::Size(2048))?)
            .fill_queue_size(size(config.rx_frames)?)
            .comp_queue_size(size(config.tx_frames)?)
            .build()
            .map_err(|error| refused(io::Error::other(error)))?;
        let (umem, descriptors) =
            Umem::new(layout, frames, false).map_err(|error| refused(cause(&error)))?;
        let mut first = FrameDesc::default();
        // SAFETY: the default descriptor is of the first chunk, which nobody uses yet.
        let mut start = unsafe { umem.data_mut(&mut first) };
        let base = start.contents_mut().as_mut_ptr().expose_provenance();
        let area = Box::new(Self {
            umem,
            base,
            pristine: descriptors.clone().into_boxed_slice(),
            unclaimed: ArrayQueue::new(descriptors.len()),
        });
        Ok((Box::leak(area), descriptors))
    }

    /// A pointer to the byte at `address`, an offset that was checked to be within the area.
    fn at(&self, address: usize) -> *mut u8 {
        // The mapping was made by mmap(2), outside of what the compiler sees, and its address was
        // exposed when it was taken.
        ptr::with_exposed_provenance_mut(self.base + address)
    }

    /// A frame from a descriptor that the kernel wrote, if it is within its chunk.
    fn checked(&'static self, desc: FrameDesc) -> Option<Frame> {
        let fits =
            offset(&desc) >= METADATA_BYTES && desc.lengths().data() <= CHUNK_BYTES - offset(&desc);
        if !self.contains(&desc) {
            return None;
        }
        let frame = Frame { desc, area: self };
        // A frame that does not fit is dropped here, which gives its chunk back.
        fits.then_some(frame)
    }

    fn contains(&self, desc: &FrameDesc) -> bool {
        desc.addr() / CHUNK_BYTES < self.pristine.len()
    }

    /// The descriptor of an empty frame in the same chunk.
    fn reset(&self, mut desc: FrameDesc) -> FrameDesc {
        if offset(&desc) != HEADROOM_BYTES {
            return self.pristine[desc.addr() / CHUNK_BYTES];
        }
        desc.set_options(0);
        // SAFETY: the descriptor is of this area, and its chunk is with nobody.
        let mut data = unsafe { self.umem.data_mut(&mut desc) };
        data.cursor().set_pos(0);
        desc
    }

    fn unclaimed_push(&self, desc: FrameDesc) {
        // There is room for every chunk, and each exists once.
        let _ = self.unclaimed.push(self.reset(desc));
    }
}

/// Where in its chunk a frame begins.
fn offset(desc: &FrameDesc) -> usize {
    desc.addr() % CHUNK_BYTES
}

/// Fill rings are topped up in steps of this many, to touch the shared producer index less often.
const REFILL: usize = 16;

fn size(frames: u32) -> Result<QueueSize, Error> {
    QueueSize::new(frames).map_err(|_| Error::Size(frames))
}

fn ring_size(frames: u32) -> io::Result<QueueSize> {
    QueueSize::new(frames).map_err(io::Error::other)
}

/// Counts of frames and bytes of chunks: all far below 2^32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "counts of at most all frames"
)]
fn narrow(count: usize) -> u32 {
    count as u32
}

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

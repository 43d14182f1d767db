//! The memory that all queues share, and the frames in it.

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::ptr;
use std::slice;

use crossbeam::queue::ArrayQueue;
use greyhound_bpf::Metadata;
use xsk_rs::Umem;
use xsk_rs::config::{FrameSize, QueueSize, UmemConfig};
use xsk_rs::umem::frame::FrameDesc;

use super::{Config, Error, cause};

/// The bytes of one chunk: the smallest the kernel takes, and enough for an Ethernet frame.
pub const CHUNK_BYTES: usize = 2048;

/// The bytes of a frame that fit into a chunk behind the headroom the kernel keeps for XDP.
pub const FRAME_BYTES: usize = CHUNK_BYTES - HEADROOM_BYTES;

pub(super) const HEADROOM_BYTES: usize = 256;
const METADATA_BYTES: usize = size_of::<Metadata>();

const CACHE_LINE_BYTES: usize = 64;

// The XDP program passes what does not fit, so both must have the same idea of it.
const _: () = assert!(FRAME_BYTES == greyhound_bpf::MAX_FRAME_BYTES);

/// A chunk of the shared memory and the frame in it.
///
/// Dropped instead of recycled, it finds its way back through a list that all queues share.
#[must_use = "a frame goes back to a queue: transmit or recycle it"]
pub struct Frame {
    pub(super) desc: FrameDesc,
    pub(super) area: &'static Area,
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

    /// Has the processor fetch the frame into its cache, the metadata before it included.
    pub(super) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        for line in (0..METADATA_BYTES + self.len()).step_by(CACHE_LINE_BYTES) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let start = self.area.at(self.desc.addr() - METADATA_BYTES);
            let line = start.wrapping_add(line);
            // SAFETY: a hint, which reads nothing, wherever it points to.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast_const().cast()) };
        }
    }

    /// Ends the ownership without giving the chunk back: a ring or a free list takes it.
    pub(super) fn into_desc(self) -> FrameDesc {
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
        self.area.give_up(self.desc);
    }
}

/// The memory shared with the kernel. It is never unmapped, see [`open`](super::open).
#[derive(Debug)]
pub(super) struct Area {
    pub(super) umem: Umem,
    /// The exposed address of its first byte.
    base: usize,
    /// The descriptor of each chunk as it was made, for chunks that came back with another offset.
    pub(super) pristine: Box<[FrameDesc]>,
    /// Chunks of frames that were dropped, and surplus of one queue for another.
    pub(super) unclaimed: ArrayQueue<FrameDesc>,
}

impl Area {
    pub(super) fn new(
        queues: u32,
        config: &Config,
    ) -> Result<(&'static Self, Vec<FrameDesc>), Error> {
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
            .fill_queue_size(ring_size(config.rx_frames)?)
            .comp_queue_size(ring_size(config.tx_frames)?)
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
    pub(super) fn checked(&'static self, desc: FrameDesc) -> Option<Frame> {
        let fits =
            offset(&desc) >= METADATA_BYTES && desc.lengths().data() <= CHUNK_BYTES - offset(&desc);
        if !self.contains(&desc) {
            return None;
        }
        let frame = Frame { desc, area: self };
        // A frame that does not fit is dropped here, which gives its chunk back.
        fits.then_some(frame)
    }

    pub(super) fn contains(&self, desc: &FrameDesc) -> bool {
        desc.addr() / CHUNK_BYTES < self.pristine.len()
    }

    /// The descriptor of an empty frame in the same chunk.
    pub(super) fn reset(&self, mut desc: FrameDesc) -> FrameDesc {
        if offset(&desc) != HEADROOM_BYTES {
            return self.pristine[desc.addr() / CHUNK_BYTES];
        }
        desc.set_options(0);
        // SAFETY: the descriptor is of this area, and its chunk is with nobody.
        let mut data = unsafe { self.umem.data_mut(&mut desc) };
        data.cursor().set_pos(0);
        desc
    }

    /// Puts a chunk where any queue finds it.
    pub(super) fn give_up(&self, desc: FrameDesc) {
        // There is room for every chunk, and each exists once.
        let _ = self.unclaimed.push(self.reset(desc));
    }
}

/// The size of a ring for so many frames.
pub(super) fn ring_size(frames: u32) -> Result<QueueSize, Error> {
    QueueSize::new(frames).map_err(|_| Error::Size(frames))
}

/// Where in its chunk a frame begins.
fn offset(desc: &FrameDesc) -> usize {
    desc.addr() % CHUNK_BYTES
}

/// Counts of frames and bytes of chunks: all far below 2^32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "counts of at most all frames"
)]
pub(super) fn narrow(count: usize) -> u32 {
    count as u32
}

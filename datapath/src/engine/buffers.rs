//! The memory that frames are in: UMEM chunks for AF_XDP, heap buffers for the slow path. Those
//! come from a pool and go back to it, so that a worker that runs allocates nothing.

use std::fmt;

use super::xsk::Frame;
use crate::ids::WorkerId;
use crate::offload::vnet;

/// Bytes of one buffer: a full Ethernet frame and room to spare, the same as a UMEM chunk.
pub const BUFFER_BYTES: usize = 2048;

/// Bytes of a buffer for many packets in one: the largest IP packet, and a header before it.
pub const SUPER_BYTES: usize = vnet::HEADER_LEN + 65_535;

/// A buffer of a [`Pool`], of which the first `len` bytes are in use.
pub struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// Says how many bytes hold the frame; at most as many as there are count.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(self.bytes.len());
    }

    /// All of the buffer.
    pub fn whole_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The frame, to be decrypted in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The memory a frame is in.
#[derive(Debug)]
pub enum Storage {
    /// A chunk of the UMEM, for AF_XDP.
    Umem {
        /// The chunk.
        frame: Frame,
        /// The worker whose ring it belongs to.
        home: WorkerId,
    },
    /// A buffer of a [`Pool`], for the raw socket.
    Heap {
        /// The buffer.
        buffer: Buffer,
        /// The worker whose pool it is of.
        home: WorkerId,
    },
    /// A buffer of [`SUPER_BYTES`], for packets that go to an interface as one.
    Super {
        /// The buffer.
        buffer: Buffer,
        /// The worker whose pool it is of.
        home: WorkerId,
    },
}

impl Storage {
    /// The worker that it goes back to.
    #[must_use]
    pub const fn home(&self) -> WorkerId {
        match self {
            Self::Umem { home, .. } | Self::Heap { home, .. } | Self::Super { home, .. } => *home,
        }
    }

    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Umem { frame, .. } => frame.bytes(),
            Self::Heap { buffer, .. } | Self::Super { buffer, .. } => buffer.bytes(),
        }
    }

    /// The frame, to be decrypted or encrypted in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Umem { frame, .. } => frame.bytes_mut(),
            Self::Heap { buffer, .. } | Self::Super { buffer, .. } => buffer.bytes_mut(),
        }
    }

    /// All that may be written.
    pub fn whole_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Umem { frame, .. } => frame.area_mut(),
            Self::Heap { buffer, .. } | Self::Super { buffer, .. } => buffer.whole_mut(),
        }
    }

    /// Says how much of [`Self::whole_mut`] is the frame.
    pub fn set_len(&mut self, len: usize) {
        match self {
            Self::Umem { frame, .. } => frame.set_len(len),
            Self::Heap { buffer, .. } | Self::Super { buffer, .. } => buffer.set_len(len),
        }
    }
}

impl AsRef<[u8]> for Storage {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// The buffers of one worker that are free.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Buffer>,
    limit: usize,
}

impl Pool {
    /// A pool of `count` buffers of `bytes` each.
    #[must_use]
    pub fn new(count: usize, bytes: usize) -> Self {
        let buffer = || Buffer {
            bytes: vec![0; bytes].into_boxed_slice(),
            len: 0,
        };
        Self {
            free: (0..count).map(|_| buffer()).collect(),
            limit: count,
        }
    }

    /// A free buffer, if there is one.
    pub fn take(&mut self) -> Option<Buffer> {
        self.free.pop()
    }

    /// Gives a buffer back. A pool keeps no more than it began with: what was taken from another
    /// belongs there.
    pub fn put(&mut self, buffer: Buffer) {
        if self.free.len() < self.limit {
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_what_it_has_and_keeps_no_more_than_it_began_with() {
        let mut pool = Pool::new(2, BUFFER_BYTES);
        let (one, two) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(pool.take().is_none());
        pool.put(one);
        pool.put(two);
        pool.put(Pool::new(1, BUFFER_BYTES).take().unwrap());
        assert_eq!(pool.free.len(), 2);
    }

    #[test]
    fn a_length_beyond_the_buffer_is_cut() {
        let mut buffer = Pool::new(1, BUFFER_BYTES).take().unwrap();
        buffer.set_len(65_535);
        assert_eq!(buffer.bytes().len(), BUFFER_BYTES);
    }
}

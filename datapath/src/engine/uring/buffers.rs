//! The buffers that the kernel picks from to read into.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// What was read, in a buffer that goes back to its ring when dropped.
pub struct ReadBuffer {
    id: u16,
    length: usize,
    buffers: Rc<Buffers>,
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the kernel filled this buffer and does not touch it again before it is provided
        // again in `drop`; its length was checked against the buffer's size.
        unsafe { slice::from_raw_parts(self.buffers.at(self.id), self.length) }
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the mutable borrow keeps everyone else out.
        unsafe { slice::from_raw_parts_mut(self.buffers.at(self.id), self.length) }
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer")
            .field("id", &self.id)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.buffers.out.set(self.buffers.out.get() - 1);
        self.buffers.provide(self.id);
    }
}

/// The buffers to read into, and the ring of those that the kernel may fill.
pub(super) struct Buffers {
    entries: NonNull<BufRingEntry>,
    bytes: NonNull<u8>,
    pub(super) count: u16,
    size: u32,
    tail: Cell<u16>,
    /// How many are with the caller.
    out: Cell<u16>,
}

impl Buffers {
    pub(super) fn new(count: u16, size: u32) -> io::Result<Self> {
        let possible = count.is_power_of_two() && size > 0;
        let layouts = Self::layouts(count, size).filter(|_| possible);
        let (entries, bytes) = layouts.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            entries: zeroed(entries).cast(),
            bytes: zeroed(bytes),
            count,
            size,
            tail: Cell::new(0),
            out: Cell::new(0),
        })
    }

    fn layouts(count: u16, size: u32) -> Option<(Layout, Layout)> {
        let entries = usize::from(count) * size_of::<BufRingEntry>();
        let bytes = usize::from(count).checked_mul(size as usize)?;
        let entries = Layout::from_size_align(entries, PAGE).ok()?;
        Some((entries, Layout::from_size_align(bytes, PAGE).ok()?))
    }

    pub(super) fn provide_all(&self) {
        for id in 0..self.count {
            self.provide(id);
        }
    }

    /// Lets the kernel fill buffer `id`.
    fn provide(&self, id: u16) {
        let tail = self.tail.get();
        let entry = usize::from(tail & (self.count - 1));
        // SAFETY: masked by the number of entries, a power of two.
        let entry = unsafe { self.entries.add(entry) };
        // SAFETY: the entries were allocated zeroed, which is a valid entry. The kernel only reads
        // entries between its head and the tail published below, and this one is not among them.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(self.at(id).expose_provenance() as u64);
        entry.set_len(self.size);
        entry.set_bid(id);
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the first entry, initialised as above; the tail lies in its unused last field.
        let shared = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: an aligned u16 that the kernel only reads, and only this thread writes.
        let shared = unsafe { AtomicU16::from_ptr(shared.cast_mut()) };
        shared.store(self.tail.get(), Ordering::Release);
    }

    /// The buffer that the kernel says it filled, if there can be such a one.
    pub(super) fn filled(self: &Rc<Self>, id: u16, length: usize) -> Option<ReadBuffer> {
        if id >= self.count || length > self.size as usize {
            return None;
        }
        self.out.set(self.out.get() + 1);
        Some(ReadBuffer {
            id,
            length,
            buffers: Rc::clone(self),
        })
    }

    /// How many are not with the caller.
    pub(super) fn free(&self) -> u16 {
        self.count - self.out.get()
    }

    /// Where the ring of them is, for the kernel.
    pub(super) fn address(&self) -> u64 {
        self.entries.as_ptr().expose_provenance() as u64
    }

    /// The first byte of buffer `id`, which is below `count`.
    fn at(&self, id: u16) -> *mut u8 {
        // SAFETY: each buffer lies within the allocation, which is of `count` times `size` bytes.
        unsafe { self.bytes.add(usize::from(id) * self.size as usize) }.as_ptr()
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers")
            .field("count", &self.count)
            .field("size", &self.size)
            .field("out", &self.out)
            .finish_non_exhaustive()
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        let Some((entries, bytes)) = Self::layouts(self.count, self.size) else {
            return;
        };
        // SAFETY: allocated with this layout in `new`. The ring that used it is gone, see its drop.
        unsafe { dealloc(self.entries.as_ptr().cast(), entries) };
        // SAFETY: likewise.
        unsafe { dealloc(self.bytes.as_ptr(), bytes) };
    }
}

fn zeroed(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout made by `Buffers::layouts` for possible sizes is empty.
    let start = unsafe { alloc_zeroed(layout) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Entries of a buffer ring must begin at a page.
const PAGE: usize = 4096;

//! One io_uring for one worker: it waits for everything the worker waits for, reads TUN interfaces
//! into buffers that the kernel picks, and writes from buffers that it owns until they are written.
//!
//! What the kernel may touch at any moment is out of the caller's reach: a buffer to write lives in
//! the ring until its completion, a buffer to read into is handed out only after the kernel filled
//! it, and dropping the ring waits until the kernel has let go of both.
//!
//! Operations are told apart by a token of the caller's. The ring belongs to the thread that made
//! it, whose other system calls also move its operations on.
#![allow(
    unsafe_code,
    reason = "the fence around memory that the kernel reads and writes"
)]

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

mod buffers;

use buffers::Buffers;
pub use buffers::ReadBuffer;

/// The sizes of a [`Ring`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Operations that are handed to the kernel in one go, a power of two. Default 256.
    pub entries: u32,
    /// Writes that may be under way at once. Default 1024.
    pub writes: u32,
    /// Buffers to read into, a power of two up to 32768. Default 512.
    pub buffers: u16,
    /// The size of each: what is longer is cut. Default 2048.
    pub buffer_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            entries: 256,
            writes: 1024,
            buffers: 512,
            buffer_bytes: 2048,
        }
    }
}

/// What became of an operation.
#[derive(Debug)]
pub enum Completion<B> {
    /// A polled descriptor became readable. Read it until it is empty: only what comes after that
    /// is reported again.
    Ready {
        /// The poll's token.
        token: u64,
    },
    /// A poll ended: cancelled (`ECANCELED`), or its descriptor failed. Its token is free.
    PollEnded {
        /// The poll's token.
        token: u64,
        /// Why.
        error: io::Error,
    },
    /// A packet, or a piece of a stream, was read.
    Read {
        /// The read's token.
        token: u64,
        /// The bytes, in a buffer that goes back to the ring when dropped.
        bytes: ReadBuffer,
    },
    /// A read ended: cancelled (`ECANCELED`), at the end of a stream, or its descriptor failed (an
    /// interface that was deleted: `EBADFD`). Its token is free.
    ReadEnded {
        /// The read's token.
        token: u64,
        /// Why.
        error: io::Error,
    },
    /// A write is done.
    Written {
        /// The write's token.
        token: u64,
        /// The buffer, given back.
        buffer: B,
        /// How many bytes were written.
        result: io::Result<usize>,
    },
}

/// An io_uring whose writes own buffers of type `B`.
pub struct Ring<B: AsRef<[u8]> + 'static> {
    // hot
    ring: IoUring,
    buffers: Rc<Buffers>,
    writes: Box<[Option<Write<B>>]>,
    free_writes: Vec<u32>,
    watches: Vec<Option<Watch>>,
    /// Watches that the kernel ended of its own accord, to be handed to it again.
    lapsed: VecDeque<u32>,
    // cold
    free_watches: Vec<u32>,
    /// Watches that ended without the kernel.
    ended: VecDeque<u32>,
    /// Operations whose last completion has not come.
    in_kernel: usize,
}

impl<B: AsRef<[u8]> + 'static> Ring<B> {
    /// Makes a ring for the calling thread.
    ///
    /// # Errors
    /// What io_uring_setup(2) says: forbidden by `kernel.io_uring_disabled`, too old a kernel
    /// (6.7 is needed), or sizes that are no power of two.
    pub fn new(config: &Config) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(config.entries.max(256) * 16)
            .build(config.entries)?;
        let buffers = Rc::new(Buffers::new(config.buffers, config.buffer_bytes)?);
        let address = buffers.address();
        // SAFETY: the entries are allocated for `count` buffers, and outlive every operation that
        // uses them: `drop` waits for these, or never frees the entries.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, buffers.count, GROUP, 0)?;
        };
        buffers.provide_all();
        Ok(Self {
            ring,
            buffers,
            writes: (0..config.writes).map(|_| None).collect(),
            free_writes: (0..config.writes).rev().collect(),
            watches: Vec::new(),
            lapsed: VecDeque::new(),
            free_watches: Vec::new(),
            ended: VecDeque::new(),
            in_kernel: 0,
        })
    }

    /// Reports each time that `fd` becomes readable, until cancelled.
    ///
    /// `token` must not be in use by another poll or read. `fd` must stay open until
    /// [`Completion::PollEnded`].
    ///
    /// # Errors
    /// What io_uring_enter(2) says.
    pub fn poll(&mut self, fd: impl AsFd, token: u64) -> io::Result<()> {
        self.watch(Kind::Poll, fd.as_fd().as_raw_fd(), token)
    }

    /// Reports that `fd` is readable, once: its token is free then. What comes meanwhile costs the
    /// kernel nothing.
    ///
    /// As of [`Self::poll`] otherwise.
    ///
    /// # Errors
    /// What io_uring_enter(2) says.
    pub fn poll_once(&mut self, fd: impl AsFd, token: u64) -> io::Result<()> {
        self.watch(Kind::PollOnce, fd.as_fd().as_raw_fd(), token)
    }

    /// Reads all that comes out of `fd`, until cancelled.
    ///
    /// `token` must not be in use by another poll or read. `fd` must stay open until
    /// [`Completion::ReadEnded`]. While all buffers are with the caller, reading pauses.
    ///
    /// # Errors
    /// What io_uring_enter(2) says.
    pub fn read(&mut self, fd: impl AsFd, token: u64) -> io::Result<()> {
        self.watch(Kind::Read, fd.as_fd().as_raw_fd(), token)
    }

    /// Writes `range` of the bytes of `buffer` to `fd`, which must stay open until the next
    /// [`Self::submit`]. Writes to one interface are done in the order they were given.
    ///
    /// # Errors
    /// The buffer comes back if as many writes as the ring holds are under way, if it has no such
    /// range, or if the kernel takes no more operations.
    pub fn write(
        &mut self,
        fd: impl AsFd,
        buffer: B,
        range: Range<usize>,
        token: u64,
    ) -> Result<(), B> {
        let Some(slot) = self.free_writes.pop() else {
            return Err(buffer);
        };
        // The bytes are looked up after the buffer moved to where it stays.
        let write = self.writes[slot as usize].insert(Write { token, buffer });
        let entry = write.buffer.as_ref().get(range).and_then(|bytes| {
            let length = u32::try_from(bytes.len()).ok()?;
            let fd = Fd(fd.as_fd().as_raw_fd());
            // As for a stream: at the current position, which is all that a TUN knows.
            Some(opcode::Write::new(fd, bytes.as_ptr(), length).offset(u64::MAX))
        });
        let pushed = match entry {
            Some(entry) => self.push(entry.build(), Kind::Write, slot).is_ok(),
            None => false,
        };
        if pushed {
            return Ok(());
        }
        self.free_writes.push(slot);
        match self.writes[slot as usize].take() {
            Some(write) => Err(write.buffer),
            None => Ok(()),
        }
    }

    /// Ends the poll or read with this token: its last completion is [`Completion::PollEnded`] or
    /// [`Completion::ReadEnded`]. Without such a one, nothing happens.
    ///
    /// # Errors
    /// What io_uring_enter(2) says.
    pub fn cancel(&mut self, token: u64) -> io::Result<()> {
        let found = self.watches.iter_mut().zip(0..).find_map(|(watch, slot)| {
            let watch = watch.as_mut()?;
            (watch.token == token && !watch.cancelled).then_some((watch, slot))
        });
        let Some((watch, slot)) = found else {
            return Ok(());
        };
        watch.cancelled = true;
        if let Some(lapsed) = self.lapsed.iter().position(|&lapsed| lapsed == slot) {
            self.lapsed.remove(lapsed);
            self.ended.push_back(slot);
            return Ok(());
        }
        let target = user_data(watch.kind, slot);
        let pushed = self.push(opcode::AsyncCancel::new(target).build(), Kind::Cancel, 0);
        if pushed.is_err()
            && let Some(watch) = &mut self.watches[slot as usize]
        {
            // Not under way: it may be asked for again.
            watch.cancelled = false;
        }
        pushed
    }

    /// Hands the kernel what was asked for since the last time, if anything.
    ///
    /// # Errors
    /// What io_uring_enter(2) says, other than that completions have to be taken first.
    pub fn submit(&mut self) -> io::Result<()> {
        self.renew()?;
        let queue = self.ring.submission();
        if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() {
            return Ok(());
        }
        drop(queue);
        tolerate(self.ring.submit())
    }

    /// Like [`Self::submit`], then waits until there is a completion or the time is over.
    /// `None` waits for ever.
    ///
    /// # Errors
    /// What io_uring_enter(2) says, other than a signal or that completions have to be taken first.
    pub fn submit_and_wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.renew()?;
        if !self.ended.is_empty() {
            return self.submit();
        }
        let time = timeout.map(Timespec::from);
        let mut arguments = SubmitArgs::new();
        if let Some(time) = &time {
            arguments = arguments.timespec(time);
        }
        tolerate(self.ring.submitter().submit_with_args(1, &arguments))
    }

    /// The next completion, if there is one.
    pub fn next_completion(&mut self) -> Option<Completion<B>> {
        loop {
            if let Some(slot) = self.ended.pop_front() {
                return self.end(slot, io::Error::from_raw_os_error(libc::ECANCELED));
            }
            let entry = self.ring.completion().next()?;
            if let Some(completion) = self.complete(&entry) {
                return Some(completion);
            }
        }
    }

    /// How many writes may be started before one has to complete.
    #[must_use]
    pub fn free_writes(&self) -> usize {
        self.free_writes.len()
    }

    fn watch(&mut self, kind: Kind, fd: RawFd, token: u64) -> io::Result<()> {
        let slot = self.free_watches.pop().unwrap_or_else(|| {
            self.watches.push(None);
            // Later, among packets, no memory is to be asked for.
            for list in [&mut self.lapsed, &mut self.ended] {
                list.reserve(self.watches.len() - list.len());
            }
            index(self.watches.len() - 1)
        });
        self.watches[slot as usize] = Some(Watch {
            kind,
            fd,
            token,
            cancelled: false,
        });
        self.arm(slot).inspect_err(|_| {
            self.watches[slot as usize] = None;
            self.free_watches.push(slot);
        })
    }

    fn arm(&mut self, slot: u32) -> io::Result<()> {
        let Some(watch) = &self.watches[slot as usize] else {
            return Ok(());
        };
        let (kind, fd) = (watch.kind, Fd(watch.fd));
        let entry = match kind {
            Kind::Read => opcode::ReadMulti::new(fd, 0, GROUP)
                .offset(u64::MAX)
                .build(),
            Kind::PollOnce => opcode::PollAdd::new(fd, POLL_IN).build(),
            Kind::Poll | Kind::Write | Kind::Cancel => {
                opcode::PollAdd::new(fd, POLL_IN).multi(true).build()
            }
        };
        self.push(entry, kind, slot)
    }

    /// Hands lapsed watches to the kernel again; no more reads than there are buffers for.
    fn renew(&mut self) -> io::Result<()> {
        let mut buffers = self.buffers.free();
        for _ in 0..self.lapsed.len() {
            let Some(slot) = self.lapsed.pop_front() else {
                break;
            };
            let reads = self.watches[slot as usize]
                .as_ref()
                .is_some_and(|watch| watch.kind == Kind::Read);
            if reads && buffers == 0 {
                self.lapsed.push_back(slot);
                continue;
            }
            if let Err(error) = self.arm(slot) {
                self.lapsed.push_front(slot);
                return Err(error);
            }
            buffers = buffers.saturating_sub(u16::from(reads));
        }
        Ok(())
    }

    fn push(&mut self, entry: squeue::Entry, kind: Kind, slot: u32) -> io::Result<()> {
        let entry = entry.user_data(user_data(kind, slot));
        if self.ring.submission().is_full() {
            tolerate(self.ring.submit())?;
        }
        // SAFETY: what the entry points to stays in place until its completion: a buffer to write
        // in `writes`, buffers to read into in `buffers`, and `drop` waits for both.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| io::Error::from_raw_os_error(libc::EBUSY))?;
        if kind != Kind::Cancel {
            self.in_kernel += 1;
        }
        Ok(())
    }

    fn complete(&mut self, entry: &cqueue::Entry) -> Option<Completion<B>> {
        let (kind, slot) = operation(entry.user_data());
        match kind {
            Kind::Write => self.complete_write(slot, entry),
            Kind::Read | Kind::Poll | Kind::PollOnce => self.complete_watch(slot, entry),
            Kind::Cancel => None,
        }
    }

    fn complete_write(&mut self, slot: u32, entry: &cqueue::Entry) -> Option<Completion<B>> {
        let Write { token, buffer } = self.writes.get_mut(slot as usize)?.take()?;
        self.free_writes.push(slot);
        self.in_kernel -= 1;
        Some(Completion::Written {
            token,
            buffer,
            result: outcome(entry.result()),
        })
    }

    fn complete_watch(&mut self, slot: u32, entry: &cqueue::Entry) -> Option<Completion<B>> {
        let watch = self.watches.get(slot as usize)?.as_ref()?;
        let (kind, token, cancelled) = (watch.kind, watch.token, watch.cancelled);
        let result = outcome(entry.result());
        let buffer = cqueue::buffer_select(entry.flags())
            .and_then(|id| self.buffers.filled(id, *result.as_ref().unwrap_or(&0)));
        let over = !cqueue::more(entry.flags());
        if over {
            self.in_kernel -= 1;
        }
        match (result, buffer) {
            (Ok(length), Some(bytes)) if length > 0 => {
                if over {
                    self.lapse(slot, cancelled);
                }
                Some(Completion::Read { token, bytes })
            }
            (Ok(_), _) if kind == Kind::PollOnce => {
                self.watches[slot as usize] = None;
                self.free_watches.push(slot);
                Some(Completion::Ready { token })
            }
            (Ok(_), _) if kind == Kind::Poll => {
                if over {
                    self.lapse(slot, cancelled);
                }
                Some(Completion::Ready { token })
            }
            (Ok(_), _) if over => self.end(slot, io::ErrorKind::UnexpectedEof.into()),
            (Err(error), _) if over && error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.lapse(slot, cancelled);
                None
            }
            (Err(error), _) if over => self.end(slot, error),
            (Ok(_) | Err(_), _) => None,
        }
    }

    /// The kernel gave up a watch that nobody wants ended, or that was just about to be ended.
    fn lapse(&mut self, slot: u32, cancelled: bool) {
        if cancelled {
            self.ended.push_back(slot);
        } else {
            self.lapsed.push_back(slot);
        }
    }

    fn end(&mut self, slot: u32, error: io::Error) -> Option<Completion<B>> {
        let Watch { kind, token, .. } = self.watches.get_mut(slot as usize)?.take()?;
        self.free_watches.push(slot);
        Some(match kind {
            Kind::Read => Completion::ReadEnded { token, error },
            Kind::Poll | Kind::PollOnce | Kind::Write | Kind::Cancel => {
                Completion::PollEnded { token, error }
            }
        })
    }
}

impl<B: AsRef<[u8]> + 'static> Drop for Ring<B> {
    fn drop(&mut self) {
        self.lapsed.clear();
        // Errors leave operations in the kernel, which the loop below finds out.
        let _ = tolerate(self.ring.submit());
        let _ = self
            .ring
            .submitter()
            .register_sync_cancel(Some(Timespec::new().sec(1)), CancelBuilder::any());
        for _ in 0..100 {
            while self.next_completion().is_some() {
                self.lapsed.clear();
            }
            if self.in_kernel == 0 {
                return;
            }
            let _ = self.submit_and_wait(Some(Duration::from_millis(10)));
        }
        // The kernel may still use them: better lost than freed under its hands.
        mem::forget(mem::take(&mut self.writes));
        mem::forget(Rc::clone(&self.buffers));
    }
}

impl<B: AsRef<[u8]> + 'static> fmt::Debug for Ring<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("in_kernel", &self.in_kernel)
            .field("free_writes", &self.free_writes.len())
            .field("buffers", &self.buffers)
            .finish_non_exhaustive()
    }
}

/// A poll or read that goes on until it is cancelled.
#[derive(Debug)]
struct Watch {
    kind: Kind,
    fd: RawFd,
    token: u64,
    cancelled: bool,
}

/// A write under way. The kernel reads the buffer, so it stays where it is.
#[derive(Debug)]
struct Write<B> {
    token: u64,
    buffer: B,
}

/// What an operation is, in the upper half of its user data; the lower is its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Poll = 0,
    Read = 1,
    Write = 2,
    Cancel = 3,
    PollOnce = 4,
}

fn user_data(kind: Kind, slot: u32) -> u64 {
    (kind as u64) << 32 | u64::from(slot)
}

fn operation(user_data: u64) -> (Kind, u32) {
    let kind = match user_data >> 32 {
        0 => Kind::Poll,
        1 => Kind::Read,
        2 => Kind::Write,
        4 => Kind::PollOnce,
        _ => Kind::Cancel,
    };
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    let slot = user_data as u32;
    (kind, slot)
}

fn outcome(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// What to do about an error of [`Ring::new`], to follow it on the line; empty if that is unknown.
#[must_use]
pub fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            "; it is switched off for this process: sysctl kernel.io_uring_disabled=0, and allow \
             it in the container's seccomp profile"
        }
        Some(libc::ENOSYS) => "; this kernel has none (CONFIG_IO_URING)",
        Some(libc::EINVAL) => "; this kernel is too old, 6.7 is needed",
        Some(libc::ENOMEM) => {
            "; it counts against RLIMIT_MEMLOCK: raise that limit (LimitMEMLOCK= of systemd)"
        }
        _ => "",
    }
}

/// What io_uring_enter(2) reports that the caller's loop takes care of by going on.
fn tolerate(entered: io::Result<usize>) -> io::Result<()> {
    match entered {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            // The time is over; a signal came; completions have to be taken before more is done.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY) => Ok(()),
            _ => Err(error),
        },
    }
}

#[expect(clippy::cast_possible_truncation, reason = "one for each interface")]
fn index(slot: usize) -> u32 {
    slot as u32
}

/// The one group of buffers that a ring has.
const GROUP: u16 = 0;

const POLL_IN: u32 = libc::POLLIN as u32;

#[cfg(test)]
mod tests;

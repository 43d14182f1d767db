//! From one worker to another: frames that arrived on a queue whose worker does not own the
//! session, and their memory on its way home. Also how a worker is woken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};

use super::buffers::Storage;
use super::worker::Arrived;
use crate::ids::WorkerId;

/// Frames that one worker may have waiting from the others.
const INBOX_FRAMES: usize = 1024;

/// What the other threads may put before a worker.
#[derive(Debug)]
pub struct Inbox {
    arrived: ArrayQueue<Arrived>,
    returned: ArrayQueue<Storage>,
    asleep: AtomicBool,
    wake: OwnedFd,
}

impl Inbox {
    /// An inbox for a worker that owns memory for so many frames.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new(owned: usize) -> io::Result<Self> {
        Ok(Self {
            arrived: ArrayQueue::new(INBOX_FRAMES),
            returned: ArrayQueue::new(owned.max(1)),
            asleep: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    /// Puts a frame before the worker.
    ///
    /// # Errors
    /// Gives the frame back if too many wait.
    pub fn hand_over(&self, frame: Arrived) -> Result<(), Arrived> {
        self.arrived.push(frame)?;
        self.wake_if_asleep();
        Ok(())
    }

    /// Gives the memory of a frame back to the worker it came from.
    ///
    /// # Errors
    /// Gives it back to the caller if that worker has as much as it ever owned.
    pub fn give_back(&self, storage: Storage) -> Result<(), Storage> {
        let from_pool = matches!(storage, Storage::Heap { .. });
        self.returned.push(storage)?;
        // Its owner takes UMEM frames home when it has others to read: only one that sleeps over
        // an empty ring would wait for them in vain. A pool is small, and without a buffer the raw
        // socket is not read.
        if from_pool || self.returned.len() > self.returned.capacity() / 8 {
            self.wake_if_asleep();
        }
        Ok(())
    }

    /// The next frame that another worker handed over.
    pub fn next_arrived(&self) -> Option<Arrived> {
        self.arrived.pop()
    }

    /// The next memory that came home.
    pub fn next_returned(&self) -> Option<Storage> {
        self.returned.pop()
    }

    /// Wakes the worker if it sleeps, at the cost of a system call only then.
    pub fn wake_if_asleep(&self) {
        // Looked at before it is written: a worker that is awake keeps its cache line.
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Wakes the worker in any case.
    pub fn wake(&self) {
        // The counter of an eventfd overflows after 2^64 - 2 wake-ups that nobody read.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Said by the worker before it looks a last time and sleeps. True if something came meanwhile.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.arrived.is_empty() || !self.returned.is_empty()
    }

    /// Said by the worker when it is awake: clears what woke it.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// The inboxes of all workers.
#[derive(Debug)]
pub struct Inboxes(Vec<Inbox>);

impl Inboxes {
    /// One for each of `workers`, each of which owns memory for so many frames.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new(workers: u16, owned: usize) -> io::Result<Self> {
        Ok(Self(
            (0..workers)
                .map(|_| Inbox::new(owned))
                .collect::<io::Result<_>>()?,
        ))
    }

    /// The inbox of `worker`; `None` for a number nobody has.
    #[must_use]
    pub fn of(&self, worker: WorkerId) -> Option<&Inbox> {
        self.0.get(usize::from(worker.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::buffers::{BUFFER_BYTES, Pool};

    const HOME: WorkerId = WorkerId(0);

    fn of_pool(pool: &mut Pool) -> Storage {
        let buffer = pool.take().unwrap();
        Storage::Heap { buffer, home: HOME }
    }

    fn woken(inbox: &Inbox) -> bool {
        rustix::io::read(inbox, &mut [0u8; 8]).is_ok()
    }

    #[test]
    fn a_buffer_that_comes_home_wakes_a_worker_that_may_have_run_out_of_them() {
        let inbox = Inbox::new(100).unwrap();
        let mut pool = Pool::new(2, BUFFER_BYTES);

        assert!(!inbox.fall_asleep(), "nothing to stay awake for");
        inbox.give_back(of_pool(&mut pool)).unwrap();
        assert!(woken(&inbox));
        inbox.give_back(of_pool(&mut pool)).unwrap();

        assert!(!woken(&inbox), "one system call wakes it");
        assert!(inbox.fall_asleep(), "two buffers are to be taken home");
    }

    #[test]
    fn a_worker_that_is_awake_costs_no_system_call() {
        let inbox = Inbox::new(100).unwrap();
        inbox
            .give_back(of_pool(&mut Pool::new(1, BUFFER_BYTES)))
            .unwrap();
        assert!(!woken(&inbox));
    }

    #[test]
    fn a_wake_up_of_the_last_sleep_does_not_end_the_next() {
        let inbox = Inbox::new(1).unwrap();
        inbox.fall_asleep();
        inbox.wake_if_asleep();
        inbox.awake();
        assert!(!woken(&inbox));
    }

    #[test]
    fn what_does_not_fit_comes_back_to_whoever_brought_it() {
        let inbox = Inbox::new(1).unwrap();
        let mut pool = Pool::new(2, BUFFER_BYTES);
        inbox.give_back(of_pool(&mut pool)).unwrap();

        let refused = inbox.give_back(of_pool(&mut pool)).unwrap_err();

        assert_eq!(refused.home(), HOME);
        assert!(inbox.next_returned().is_some());
        assert!(inbox.next_returned().is_none());
    }
}

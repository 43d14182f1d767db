//! Whose turn it is: so many at once, and of one interface one after another.

use std::collections::{BTreeSet, VecDeque};

/// Jobs that wait, and the interfaces of those that run.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: VecDeque<(String, T)>,
    /// Interfaces that have a job running.
    busy: BTreeSet<String>,
    at_once: usize,
}

impl<T> Queue<T> {
    /// The most jobs that may wait.
    pub(super) const LONGEST: usize = 16_384;

    /// A queue that has at most `at_once` jobs running.
    pub(super) const fn new(at_once: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            busy: BTreeSet::new(),
            at_once,
        }
    }

    /// Adds a job; gives it back if there are too many.
    pub(super) fn push(&mut self, interface: String, job: T) -> Result<(), T> {
        if self.waiting.len() >= Self::LONGEST {
            return Err(job);
        }
        self.waiting.push_back((interface, job));
        Ok(())
    }

    /// The next job that may start, which counts as running until [`Self::finish`].
    pub(super) fn start(&mut self) -> Option<T> {
        if self.busy.len() >= self.at_once {
            return None;
        }
        let mut waiting = self.waiting.iter();
        let index = waiting.position(|(interface, _)| !self.busy.contains(interface))?;
        let (interface, job) = self.waiting.remove(index)?;
        self.busy.insert(interface);
        Some(job)
    }

    /// The running job of an interface has ended.
    pub(super) fn finish(&mut self, interface: &str) {
        self.busy.remove(interface);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The jobs that wait, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.iter_mut().map(|(_, job)| job)
    }

    /// Takes all that wait.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.waiting.drain(..).map(|(_, job)| job)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_waits_for_its_own_interface_holds_nobody_else_up() {
        let mut queue = Queue::new(2);
        for (interface, job) in [("a", 1), ("a", 2), ("b", 3), ("c", 4)] {
            queue.push(interface.to_owned(), job).unwrap();
        }
        assert_eq!((queue.start(), queue.start()), (Some(1), Some(3)));
        assert_eq!(queue.start(), None);
        queue.finish("b");
        assert_eq!((queue.start(), queue.start()), (Some(4), None));
        queue.finish("a");
        assert_eq!(queue.start(), Some(2));
        assert!(queue.is_empty());
    }

    #[test]
    fn only_so_many_wait() {
        let mut queue = Queue::new(1);
        for job in 0..Queue::<usize>::LONGEST {
            queue.push("a".to_owned(), job).unwrap();
        }
        assert_eq!(queue.push("a".to_owned(), 0), Err(0));
        assert_eq!(queue.drain().count(), Queue::<usize>::LONGEST);
    }

    proptest! {
        #[test]
        fn all_run_in_the_order_of_their_interface_and_never_too_many_at_once(
            interfaces in prop::collection::vec(0..5_u8, 0..60),
            at_once in 1..4_usize,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut queue = Queue::new(at_once);
            for (number, interface) in interfaces.iter().enumerate() {
                queue.push(interface.to_string(), (*interface, number)).unwrap();
            }
            let (mut running, mut ended) = (Vec::new(), Vec::new());
            for pick in picks {
                while let Some(job) = queue.start() {
                    running.push(job);
                }
                prop_assert!(running.len() <= at_once);
                if running.is_empty() {
                    break;
                }
                let job = running.swap_remove(pick.index(running.len()));
                queue.finish(&job.0.to_string());
                ended.push(job);
            }
            prop_assert_eq!(ended.len(), interfaces.len());
            for interface in 0..5 {
                let of_it = ended.iter().filter(|job| job.0 == interface);
                prop_assert!(of_it.map(|job| job.1).is_sorted());
            }
        }
    }
}

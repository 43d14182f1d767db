//! Packets that wait for their time, in one piece of memory: allocated when the first one has to
//! wait, and not for each of them.

use std::collections::VecDeque;
use std::ops::Range;

/// Packets at most.
pub const MAX_PACKETS: usize = 64;

/// Packets, first in, first out. Each lies in one piece, in a ring.
#[derive(Debug, Default)]
pub struct Queue {
    bytes: Box<[u8]>,
    packets: VecDeque<Range<usize>>,
    /// How many bytes there should be.
    depth: usize,
}

impl Queue {
    /// From now on takes packets of so many bytes together. What it holds it keeps.
    pub const fn set_depth(&mut self, bytes: usize) {
        self.depth = bytes;
    }

    /// Adds a packet of `len` bytes that `write` puts in its place. False if it is full, or could
    /// never hold that packet; then `write` was not called.
    pub fn push(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        if self.packets.is_empty() && self.bytes.len() != self.depth {
            self.bytes = vec![0; self.depth].into_boxed_slice();
            self.packets.reserve(MAX_PACKETS);
        }
        let Some(start) = self.room_for(len) else {
            return false;
        };
        let at = start..start + len;
        write(&mut self.bytes[at.clone()]);
        self.packets.push_back(at);
        true
    }

    /// Takes the next packet out.
    pub fn pop(&mut self) {
        self.packets.pop_front();
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.packets.clear();
    }

    /// The next packet.
    #[must_use]
    pub fn front(&self) -> Option<&[u8]> {
        self.packets.front().map(|at| &self.bytes[at.clone()])
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Where `len` bytes are free in one piece.
    fn room_for(&self, len: usize) -> Option<usize> {
        if len == 0 || self.packets.len() >= MAX_PACKETS {
            return None;
        }
        let end = self.bytes.len();
        let (Some(first), Some(last)) = (self.packets.front(), self.packets.back()) else {
            return (len <= end).then_some(0);
        };
        let fits = |free: Range<usize>| (len <= free.len()).then_some(free.start);
        if last.start < first.start {
            fits(last.end..first.start)
        } else {
            fits(last.end..end).or_else(|| fits(0..first.start))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn push(queue: &mut Queue, packet: &[u8]) -> bool {
        queue.push(packet.len(), |to| to.copy_from_slice(packet))
    }

    #[test]
    fn it_is_full_at_its_depth_and_at_64_packets() {
        let mut queue = Queue::default();
        assert!(!push(&mut queue, &[1]), "no depth");
        queue.set_depth(1000);
        for number in 0..10 {
            assert!(push(&mut queue, &[number; 100]));
        }
        assert!(!push(&mut queue, &[10]));
        queue.pop();
        assert!(!push(&mut queue, &[10; 101]));
        assert!(push(&mut queue, &[10; 100]));
        queue.clear();
        for _ in 0..MAX_PACKETS {
            assert!(push(&mut queue, &[1]));
        }
        assert!(!push(&mut queue, &[1]));
    }

    #[test]
    fn another_depth_waits_until_it_is_empty() {
        let mut queue = Queue::default();
        queue.set_depth(100);
        assert!(push(&mut queue, &[7; 100]));
        queue.set_depth(50);
        assert_eq!(queue.front(), Some(&[7; 100][..]));
        queue.pop();
        assert!(!push(&mut queue, &[8; 51]));
        assert!(push(&mut queue, &[8; 50]));
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in(
            depth in 1_usize..500,
            steps in prop::collection::vec((any::<bool>(), 0_usize..120), 0..400),
        ) {
            let mut queue = Queue::default();
            queue.set_depth(depth);
            let mut expected = VecDeque::new();
            for (number, (adds, len)) in (0_u8..=255).cycle().zip(steps) {
                if adds {
                    let packet = vec![number; len];
                    let total = expected.iter().map(Vec::len).sum::<usize>() + len;
                    if push(&mut queue, &packet) {
                        prop_assert!(total <= depth);
                        expected.push_back(packet);
                    } else {
                        let is_empty = expected.is_empty() && (1..=depth).contains(&len);
                        prop_assert!(!is_empty, "there was room");
                    }
                } else {
                    queue.pop();
                    expected.pop_front();
                }
                prop_assert_eq!(queue.front(), expected.front().map(Vec::as_slice));
                prop_assert_eq!(queue.is_empty(), expected.is_empty());
            }
        }
    }
}

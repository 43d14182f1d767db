//! Frames that overtook the request that installs their session: a caller speaks as soon as it has
//! the Outgoing-Call-Reply, which goes another way than the request. Without them its first
//! Configure-Request would be lost, and a connection take 3 s longer.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::super::buffers::Storage;
use crate::ids::CallId;

/// Who sent a frame, and the call id in it.
pub(super) type Call = (Ipv4Addr, CallId);

/// Frames kept at most: the oldest goes first.
const KEPT: usize = 64;
/// How long one is kept.
const PATIENCE: Duration = Duration::from_millis(500);

/// Frames of calls that nobody knows yet.
#[derive(Debug, Default)]
pub(super) struct Early {
    frames: VecDeque<(Instant, Call, Storage)>,
}

impl Early {
    /// Keeps a frame; gives back one that has to make room for it.
    pub(super) fn keep(&mut self, now: Instant, call: Call, storage: Storage) -> Option<Storage> {
        let oldest = if self.frames.len() < KEPT {
            None
        } else {
            self.frames.pop_front()
        };
        self.frames.push_back((now, call, storage));
        oldest.map(|(_, _, storage)| storage)
    }

    /// The next frame that was kept in vain.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<Storage> {
        self.frames
            .pop_front_if(|(since, _, _)| now.duration_since(*since) >= PATIENCE)
            .map(|(_, _, storage)| storage)
    }

    /// The first frame of a call that is known now.
    pub(super) fn next_of(&mut self, call: Call) -> Option<Storage> {
        let at = self.frames.iter().position(|(_, of, _)| *of == call)?;
        self.frames.remove(at).map(|(_, _, storage)| storage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::buffers::{BUFFER_BYTES, Pool};
    use super::*;

    const CALL: Call = (Ipv4Addr::new(192, 0, 2, 2), CallId(5));
    const OTHER: Call = (Ipv4Addr::new(192, 0, 2, 2), CallId(6));

    fn frame(len: usize) -> Storage {
        let mut buffer = Pool::new(1, BUFFER_BYTES).take().unwrap();
        buffer.set_len(len);
        Storage::Heap {
            buffer,
            home: crate::ids::WorkerId(0),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the origin"
    )]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn frames_of_a_call_come_in_their_order_and_others_stay() {
        let (mut early, now) = (Early::default(), origin());
        for (call, len) in [(CALL, 1), (OTHER, 2), (CALL, 3)] {
            assert!(early.keep(now, call, frame(len)).is_none());
        }
        let lens: Vec<_> = std::iter::from_fn(|| early.next_of(CALL))
            .map(|storage| storage.bytes().len())
            .collect();
        assert_eq!(lens, [1, 3]);
        assert!(early.next_expired(now).is_none());
        assert_eq!(early.next_expired(now + PATIENCE).unwrap().bytes().len(), 2);
        assert!(early.next_expired(now + PATIENCE).is_none());
    }

    #[test]
    fn a_flood_pushes_out_the_oldest() {
        let (mut early, now) = (Early::default(), origin());
        for len in 0..KEPT {
            assert!(early.keep(now, OTHER, frame(len)).is_none());
        }
        assert_eq!(early.keep(now, CALL, frame(99)).unwrap().bytes().len(), 0);
        assert_eq!(early.next_of(CALL).unwrap().bytes().len(), 99);
    }
}

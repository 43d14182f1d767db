//! The numbers of sessions and connections.

use std::collections::BTreeSet;

use greyhound_datapath::ids::{MAX_SESSIONS, SessionId};

/// A TCP connection, as server and I/O call it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// A configured client at work. A client that is changed is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientId(pub(super) u32);

/// Which session numbers are in use. Free ones are given out in turn, so that one that was given
/// back stays unused for long.
#[derive(Debug, Default)]
pub(super) struct SessionIds {
    in_use: BTreeSet<SessionId>,
    next: u32,
}

impl SessionIds {
    /// Gives out a number, or `None` if the datapath can hold no more sessions.
    pub(super) fn allocate(&mut self) -> Option<SessionId> {
        if self.in_use.len() >= MAX_SESSIONS as usize {
            return None;
        }
        loop {
            let id = SessionId(self.next);
            self.next = (self.next + 1) % MAX_SESSIONS;
            if self.in_use.insert(id) {
                return Some(id);
            }
        }
    }

    /// Notes that the datapath uses a number from before.
    pub(super) fn take(&mut self, id: SessionId) {
        self.in_use.insert(id);
    }

    /// Takes a number back.
    pub(super) fn release(&mut self, id: SessionId) {
        self.in_use.remove(&id);
    }

    /// Takes all numbers back.
    pub(super) fn release_all(&mut self) {
        self.in_use.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_around_and_those_in_use_are_passed_over() {
        let mut ids = SessionIds::default();
        ids.take(SessionId(1));
        assert_eq!(ids.allocate(), Some(SessionId(0)));
        assert_eq!(ids.allocate(), Some(SessionId(2)));
        ids.release(SessionId(0));
        assert_eq!(ids.allocate(), Some(SessionId(3)));
        let rest: BTreeSet<_> = std::iter::from_fn(|| ids.allocate()).collect();
        assert_eq!(rest.len(), MAX_SESSIONS as usize - 3);
        assert!(rest.contains(&SessionId(0)));
        ids.release(SessionId(7));
        assert_eq!(ids.allocate(), Some(SessionId(7)));
        assert_eq!(ids.allocate(), None);
    }
}

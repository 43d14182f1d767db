//! Limits on clients that have not proved who they are: strangers must not use up what users need.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Connections of strangers in all.
pub const MAX_STRANGERS: usize = 1024;

/// Connections of strangers from one address. A translator with many users behind it that all
/// come back at once stays below it or takes a second try.
pub const MAX_STRANGERS_PER_SOURCE: usize = 128;

/// Sessions that one connection of a stranger may have at once.
pub const MAX_STRANGER_CALLS: usize = 4;

/// Connections beyond these limits, which live until they are told so.
pub(super) const MAX_TURNED_AWAY: usize = 256;

/// Counts connections of strangers.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    turned_away: usize,
    total: usize,
    by_source: BTreeMap<Ipv4Addr, usize>,
}

impl HalfOpen {
    /// Counts a new connection, unless there are too many.
    pub(super) fn enter(&mut self, source: Ipv4Addr) -> bool {
        let here = self.by_source.get(&source).copied().unwrap_or(0);
        if self.total >= MAX_STRANGERS || here >= MAX_STRANGERS_PER_SOURCE {
            return false;
        }
        self.total += 1;
        self.by_source.insert(source, here + 1);
        true
    }

    /// Counts a connection that is to be told that there are too many, unless even of these are.
    pub(super) fn turn_away(&mut self) -> bool {
        let has_room = self.turned_away < MAX_TURNED_AWAY;
        self.turned_away += usize::from(has_room);
        has_room
    }

    /// One that was turned away is gone.
    pub(super) fn forget_turned_away(&mut self) {
        self.turned_away = self.turned_away.saturating_sub(1);
    }

    /// The stranger is one no more: known or gone.
    pub(super) fn leave(&mut self, source: Ipv4Addr) {
        if let Some(here) = self.by_source.get_mut(&source) {
            self.total -= 1;
            *here -= 1;
            if *here == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_and_all_together_are_limited() {
        let mut strangers = HalfOpen::default();
        let first = Ipv4Addr::new(192, 0, 2, 1);
        for _ in 0..MAX_STRANGERS_PER_SOURCE {
            assert!(strangers.enter(first));
        }
        assert!(!strangers.enter(first));
        let others = u8::try_from(MAX_STRANGERS - MAX_STRANGERS_PER_SOURCE).unwrap_or(u8::MAX);
        let mut let_in = MAX_STRANGERS_PER_SOURCE;
        for _ in 0..8 {
            for host in 2..others {
                let_in += usize::from(strangers.enter(Ipv4Addr::new(192, 0, 2, host)));
            }
        }
        assert_eq!(let_in, MAX_STRANGERS);
        strangers.leave(first);
        assert!(strangers.enter(first));
        assert!(!strangers.enter(Ipv4Addr::new(198, 51, 100, 1)));
    }

    #[test]
    fn nothing_is_kept_about_sources_that_left() {
        let mut strangers = HalfOpen::default();
        let source = Ipv4Addr::new(192, 0, 2, 1);
        assert!(strangers.enter(source));
        strangers.leave(source);
        strangers.leave(source);
        assert!(strangers.by_source.is_empty());
        assert_eq!(strangers.total, 0);
    }
}

//! The receive window over GRE sequence numbers (RFC 2637 §4.4), which tells new frames from late
//! ones, and both from duplicates.
//!
//! Looking and moving are separate, so that a frame moves the window only after everything else
//! about it proved right. This window never holds frames back to restore their order: inside the
//! tunnel is IP, which does not need it.

use crate::stats::DropReason;
use crate::wire::SeqNum;

/// How many numbers, counted back from the highest one, are remembered one by one.
pub const REORDER: u32 = 64;

/// How a frame stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is ahead of all others.
    New {
        /// How many numbers between it and the highest one before have not come.
        skipped: u32,
    },
    /// A later one came first.
    Late,
}

/// Which sequence numbers have come. Begins with whichever number comes first.
#[derive(Clone, Debug, Default)]
pub struct SeqWindow {
    highest: Option<SeqNum>,
    seen: Seen,
    lost: u64,
}

impl SeqWindow {
    /// Takes note that the frame with this number has come.
    ///
    /// # Errors
    /// As [`Self::check`]; then nothing changes.
    pub fn commit(&mut self, seq: SeqNum) -> Result<Order, DropReason> {
        let order = self.check(seq)?;
        match order {
            Order::New { skipped } => {
                if self.highest.is_some() {
                    self.seen.advance(u64::from(skipped) + 1);
                    self.lost += u64::from(skipped);
                } else {
                    self.seen = Seen::first();
                }
                self.highest = Some(seq);
            }
            Order::Late => {
                self.seen.set(self.behind(seq));
                self.lost = self.lost.saturating_sub(1);
            }
        }
        Ok(order)
    }

    /// Begins anew at this number, which is known to be right where the window is known not to be.
    pub fn restart(&mut self, seq: SeqNum) {
        self.highest = Some(seq);
        self.seen = Seen::first();
    }

    /// Looks where a number stands, without a change.
    ///
    /// # Errors
    /// [`DropReason::DuplicateSeq`] or [`DropReason::StaleSeq`].
    pub fn check(&self, seq: SeqNum) -> Result<Order, DropReason> {
        let Some(highest) = self.highest else {
            return Ok(Order::New { skipped: 0 });
        };
        if seq > highest {
            return Ok(Order::New {
                skipped: (seq - highest).unsigned_abs() - 1,
            });
        }
        let behind = self.behind(seq);
        if behind >= u64::from(REORDER) {
            return Err(DropReason::StaleSeq);
        }
        if self.seen.has(behind) {
            return Err(DropReason::DuplicateSeq);
        }
        Ok(Order::Late)
    }

    /// The highest number that has come: what an acknowledgement says.
    #[must_use]
    pub const fn highest(&self) -> Option<SeqNum> {
        self.highest
    }

    /// How many numbers were skipped and have not come late.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// How far `seq`, which is not ahead, is behind the highest number.
    fn behind(&self, seq: SeqNum) -> u64 {
        self.highest
            .map_or(0, |highest| u64::from((highest - seq).unsigned_abs()))
    }
}

/// Which of the last 64 of something have been seen, counted back from the newest one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen(u64);

impl Seen {
    /// The newest one has been seen, and none before it.
    pub(crate) const fn first() -> Self {
        Self(1)
    }

    /// Makes the one `ahead` of the newest the newest, and seen.
    pub(crate) fn advance(&mut self, ahead: u64) {
        let shifted = u32::try_from(ahead)
            .ok()
            .and_then(|ahead| self.0.checked_shl(ahead))
            .unwrap_or(0);
        self.0 = shifted | 1;
    }

    /// Notes the one `behind` the newest; does nothing where none are remembered.
    pub(crate) fn set(&mut self, behind: u64) {
        self.0 |= Self::bit(behind);
    }

    /// Whether the one `behind` the newest has been seen; none are remembered from 64 on.
    pub(crate) fn has(self, behind: u64) -> bool {
        self.0 & Self::bit(behind) != 0
    }

    fn bit(behind: u64) -> u64 {
        u32::try_from(behind)
            .ok()
            .and_then(|behind| 1_u64.checked_shl(behind))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn commit_all(window: &mut SeqWindow, seqs: &[u32]) {
        for &seq in seqs {
            window.commit(SeqNum(seq)).unwrap();
        }
    }

    #[test]
    fn the_first_number_may_be_any() {
        let mut window = SeqWindow::default();

        let order = window.commit(SeqNum(4_000_000_000));

        assert_eq!(order, Ok(Order::New { skipped: 0 }));
        assert_eq!(window.highest(), Some(SeqNum(4_000_000_000)));
        assert_eq!(window.lost(), 0);
    }

    #[test]
    fn a_late_number_takes_itself_off_the_lost_ones() {
        let mut window = SeqWindow::default();
        commit_all(&mut window, &[0, 1, 4]);
        assert_eq!(window.lost(), 2);

        let order = window.commit(SeqNum(2));

        assert_eq!(order, Ok(Order::Late));
        assert_eq!(window.lost(), 1);
        assert_eq!(window.highest(), Some(SeqNum(4)));
    }

    #[test]
    fn a_number_comes_once() {
        let mut window = SeqWindow::default();
        commit_all(&mut window, &[7, 9, 8]);

        for seq in [7, 8, 9] {
            let outcome = window.commit(SeqNum(seq));
            assert_eq!(outcome, Err(DropReason::DuplicateSeq), "{seq}");
        }
    }

    #[test]
    fn the_window_is_64_numbers_deep() {
        let mut window = SeqWindow::default();
        commit_all(&mut window, &[100]);

        assert_eq!(window.check(SeqNum(37)), Ok(Order::Late));
        assert_eq!(window.check(SeqNum(36)), Err(DropReason::StaleSeq));
    }

    #[test]
    fn looking_changes_nothing() {
        let mut window = SeqWindow::default();
        commit_all(&mut window, &[5]);

        for _ in 0..2 {
            assert_eq!(window.check(SeqNum(9)), Ok(Order::New { skipped: 3 }));
        }

        assert_eq!(window.highest(), Some(SeqNum(5)));
        assert_eq!(window.lost(), 0);
    }

    #[test]
    fn numbers_wrap() {
        let mut window = SeqWindow::default();
        commit_all(&mut window, &[u32::MAX - 1, 1]);

        assert_eq!(window.lost(), 2);
        assert_eq!(window.commit(SeqNum(u32::MAX)), Ok(Order::Late));
        assert_eq!(window.commit(SeqNum(0)), Ok(Order::Late));
        assert_eq!(window.lost(), 0);
    }

    #[test]
    fn a_restart_forgets_where_the_window_was() {
        let mut window = SeqWindow::default();
        commit_all(&mut window, &[1_000_000]);

        window.restart(SeqNum(10));

        assert_eq!(window.check(SeqNum(11)), Ok(Order::New { skipped: 0 }));
        assert_eq!(window.check(SeqNum(10)), Err(DropReason::DuplicateSeq));
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_all_numbers(
            base: u32,
            steps in proptest::collection::vec(-80_i64..90, 1..300),
        ) {
            let mut window = SeqWindow::default();
            let mut all = BTreeSet::from([0]);
            window.commit(SeqNum(base)).unwrap();
            let mut highest = 0_i64;
            for step in steps {
                let at = highest + step;
                let seq = SeqNum(base.wrapping_add_signed(i32::try_from(at).unwrap()));

                let outcome = window.commit(seq);

                let expected = if at > highest {
                    Ok(Order::New { skipped: u32::try_from(at - highest - 1).unwrap() })
                } else if highest - at >= i64::from(REORDER) {
                    Err(DropReason::StaleSeq)
                } else if all.contains(&at) {
                    Err(DropReason::DuplicateSeq)
                } else {
                    Ok(Order::Late)
                };
                prop_assert_eq!(outcome, expected);
                if outcome.is_ok() {
                    all.insert(at);
                    highest = highest.max(at);
                }
                prop_assert_eq!(window.highest(), Some(SeqNum(base) + u32::try_from(highest).unwrap()));
            }
        }
    }
}

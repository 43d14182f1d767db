//! How pppd finds out that its peer is gone: it ends a session that did not answer to so many probes
//! in a row.

use std::collections::BTreeSet;

/// What the file says of it.
#[derive(Default)]
pub(super) struct Echo {
    interval: Option<(u32, BTreeSet<usize>)>,
    failure: Option<(u32, BTreeSet<usize>)>,
}

impl Echo {
    /// Seconds between two probes, and where that stands.
    pub(super) fn set_interval(&mut self, seconds: u32, lines: BTreeSet<usize>) {
        set(&mut self.interval, seconds, lines);
    }

    /// Probes without an answer, and where that stands.
    pub(super) fn set_failure(&mut self, probes: u32, lines: BTreeSet<usize>) {
        set(&mut self.failure, probes, lines);
    }

    /// After how many seconds of silence a peer is gone, or why that is not said; and where it
    /// stands. `None` if nothing of it is given.
    pub(super) fn timeout(self) -> Option<(Result<u32, &'static str>, BTreeSet<usize>)> {
        let (interval, failure) = (self.interval, self.failure);
        let both = interval.iter().chain(&failure);
        let lines: BTreeSet<_> = both.flat_map(|one| one.1.iter().copied()).collect();
        let timeout = match (interval, failure) {
            (None, None) => return None,
            (Some((interval @ 1.., _)), Some((failure @ 1.., _))) => {
                Ok(interval.saturating_mul(failure))
            }
            (Some(_), _) | (_, Some(_)) => {
                Err("only both together find out that the other side is gone")
            }
        };
        Some((timeout, lines))
    }
}

/// The last one counts; the lines of all are told with it.
fn set(slot: &mut Option<(u32, BTreeSet<usize>)>, value: u32, mut lines: BTreeSet<usize>) {
    if let Some((_, before)) = slot.take() {
        lines.extend(before);
    }
    *slot = Some((value, lines));
}

/// What the two are called in what is left out.
pub(super) const OPTIONS: &str = "options lcp-echo-interval and lcp-echo-failure";

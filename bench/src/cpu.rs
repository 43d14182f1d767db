//! CPU time of the whole machine, from /proc/stat, and of single processes.
//!
//! Much of a tunnel's work is done in softirqs that no process is charged for, so figures of
//! processes alone would flatter whoever leaves the most to the kernel.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use greyhound_tests::wait::now;
use rustix::param::clock_ticks_per_second;

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    at: Instant,
    counters: Counters,
}

/// What passed between two snapshots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// Seconds by the clock.
    pub(crate) wall: f64,
    /// CPU seconds of all cores in which they were not idle.
    pub(crate) busy: f64,
}

/// Ticks of all cores together that no work was done in, as `/proc/stat` counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    cores: u32,
    idle: u64,
    iowait: u64,
    steal: u64,
}

impl Snapshot {
    /// Reads the counters.
    ///
    /// # Errors
    /// /proc/stat is not there, or not as expected.
    pub(crate) fn take() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        Ok(Self {
            at: now(),
            counters: Counters::parse(&text).context("an unknown form of /proc/stat")?,
        })
    }

    /// What passed from this one to a later one.
    pub(crate) fn until(&self, later: &Self) -> Passed {
        let wall = later.at.duration_since(self.at).as_secs_f64();
        let not_worked = later.counters.not_worked() - self.counters.not_worked();
        let not_worked = not_worked / ticks_per_second();
        Passed {
            wall,
            // Ticks are coarse: an idle machine may count one more than the clock has seen.
            busy: (wall * f64::from(self.counters.cores) - not_worked).max(0.0),
        }
    }
}

impl Counters {
    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines();
        let mut all = lines.next()?.split_whitespace();
        if all.next()? != "cpu" {
            return None;
        }
        let ticks: Vec<u64> = all.map_while(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal
        let &[_, _, _, idle, iowait, _, _, steal, ..] = ticks.as_slice() else {
            return None;
        };
        let cores = lines.take_while(|line| line.starts_with("cpu")).count();
        Some(Self {
            cores: u32::try_from(cores).ok()?,
            idle,
            iowait,
            steal,
        })
    }

    fn not_worked(&self) -> f64 {
        (self.idle + self.iowait + self.steal) as f64
    }
}

/// CPU time of a process so far, its own and the kernel's on its behalf; `None` if there is no such
/// process.
pub(crate) fn of_process(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = process_ticks(&stat)?;
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second()))
}

/// The name in parentheses may hold anything.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    // From the third field on; the times are the 14th and the 15th.
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn ticks_per_second() -> f64 {
    clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
cpu  499740 1314 150695 2080456 206717 5 3195 747 0 0
cpu0 240715 587 67591 1060217 100269 2 1133 374 0 0
cpu1 259024 727 83104 1020238 106448 3 2062 373 0 0
intr 12345 0 9
ctxt 678
";

    #[test]
    fn the_line_of_all_cores_is_read() {
        let counters = Counters {
            cores: 2,
            idle: 2_080_456,
            iowait: 206_717,
            steal: 747,
        };
        assert_eq!(Counters::parse(STAT), Some(counters));
    }

    #[test]
    fn what_is_no_proc_stat_is_nothing() {
        for text in ["", "cpu", "cpu 1 2 3 4", "intr 1 2 3 4 5 6 7 8 9"] {
            assert_eq!(Counters::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn busy_is_what_neither_idled_nor_waited_nor_was_stolen() {
        let before = Snapshot {
            at: now(),
            counters: Counters {
                cores: 2,
                idle: 1000,
                iowait: 100,
                steal: 10,
            },
        };
        let mut after = before;
        after.at += Duration::from_secs(10);
        let ticks = clock_ticks_per_second();
        after.counters.idle += 4 * ticks;
        after.counters.iowait += 2 * ticks;
        after.counters.steal += ticks;
        let passed = before.until(&after);
        assert!((passed.wall - 10.0).abs() < 1e-9);
        assert!((passed.busy - 13.0).abs() < 1e-9, "{passed:?}");
    }

    #[test]
    fn the_name_of_a_process_may_hold_parentheses() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 1 0";
        assert_eq!(process_ticks(stat), Some(300));
    }

    #[test]
    fn this_process_has_times() {
        assert!(of_process(std::process::id()).is_some());
        assert!(Snapshot::take().is_ok());
    }
}

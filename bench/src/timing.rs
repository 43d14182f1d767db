//! Times short pieces of work on a machine that others use too.
//!
//! The pieces take turns, many short rounds of them, so that what disturbs one disturbs all. Before
//! and after each, a chain of dependent additions shows how long a cycle is at the moment, whatever
//! the clock does, and independent ones show how much of the core is ours: another hardware thread
//! of it takes issue slots. Of the samples in which as much was ours as ever, the lower quartile is
//! the cost.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What a piece of work takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// In cycles of the core.
    pub(crate) cycles: f64,
    /// In nanoseconds.
    pub(crate) ns: f64,
}

/// Measures pieces of work against each other for about as long as `time`, and at least once.
pub(crate) fn measure(work: &mut [Box<dyn FnMut() + '_>], time: Duration) -> Vec<Cost> {
    let mut samples = vec![Vec::new(); work.len()];
    let end = now() + time;
    loop {
        for (work, samples) in work.iter_mut().zip(&mut samples) {
            // What the piece before left in caches and predictors is not this one's cost.
            work();
            samples.push(Sample::take(work));
        }
        if now() >= end {
            break;
        }
    }
    let mut crowds: Vec<f64> = samples
        .iter()
        .flatten()
        .map(|sample| sample.crowd)
        .collect();
    let limit = at(&mut crowds, QUIETEST) * TOLERANCE;
    samples.iter().map(|samples| cost(samples, limit)).collect()
}

/// Where among all samples the quiet ones are looked for: the very lowest are errors of the clock.
const QUIETEST: f64 = 0.1;

/// How much more crowded than those a sample may be.
const TOLERANCE: f64 = 1.15;

/// Which of the quiet samples counts.
const QUARTILE: f64 = 0.25;

fn cost(samples: &[Sample], limit: f64) -> Cost {
    let quiet = |sample: &&Sample| sample.crowd <= limit;
    let some = samples.iter().any(|sample| quiet(&sample));
    let chosen = samples.iter().filter(|sample| !some || quiet(sample));
    let (mut cycles, mut ns): (Vec<f64>, Vec<f64>) =
        chosen.map(|sample| (sample.cycles, sample.ns)).unzip();
    Cost {
        cycles: at(&mut cycles, QUARTILE),
        ns: at(&mut ns, QUARTILE),
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    ns: f64,
    cycles: f64,
    /// Cycles that an independent addition took: the more, the less of the core was ours.
    crowd: f64,
}

impl Sample {
    fn take(work: &mut dyn FnMut()) -> Self {
        let before = Probe::take();
        let start = now();
        work();
        let ns = elapsed(start);
        let after = Probe::take();
        let cycle = before.dependent.min(after.dependent);
        Self {
            ns,
            cycles: ns / cycle,
            crowd: before.independent.max(after.independent) / cycle,
        }
    }
}

/// Nanoseconds that one simple instruction takes.
struct Probe {
    /// If it needs the result of the one before: one cycle.
    dependent: f64,
    /// If it does not.
    independent: f64,
}

impl Probe {
    /// Rounds of each of the two loops, a few microseconds.
    const ROUNDS: u32 = 400;
    /// Dependent steps in a round, of two instructions each.
    const DEPENDENT: u32 = 16;
    /// Independent steps in a round, of two instructions in each of the chains.
    const INDEPENDENT: u32 = 4;
    /// As many as there are instructions at the same time in any core, in two cycles.
    const CHAINS: usize = 6;

    fn take() -> Self {
        // Neither known to the compiler, nor to be folded into one multiplication.
        let (mask, addend) = (black_box(0x1234_5678_9abc_def1_u64), black_box(3_u64));
        let mut chain = black_box(1_u64);
        let start = now();
        for _ in 0..Self::ROUNDS {
            for _ in 0..Self::DEPENDENT {
                chain = (chain ^ mask).wrapping_add(addend);
            }
        }
        black_box(chain);
        let dependent = elapsed(start) / f64::from(Self::ROUNDS * Self::DEPENDENT * 2);

        let mut chains = black_box([1_u64; Self::CHAINS]);
        let start = now();
        for _ in 0..Self::ROUNDS {
            for _ in 0..Self::INDEPENDENT {
                for chain in &mut chains {
                    *chain = (*chain ^ mask).wrapping_add(addend);
                }
            }
        }
        black_box(chains);
        let steps = f64::from(Self::ROUNDS * Self::INDEPENDENT * 2) * Self::CHAINS as f64;
        Self {
            dependent,
            independent: elapsed(start) / steps,
        }
    }
}

/// The value that a fraction of all values is below.
fn at(values: &mut [f64], fraction: f64) -> f64 {
    let last = values.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a length")]
    let index = (last as f64 * fraction) as usize;
    let (_, value, _) = values.select_nth_unstable_by(index.min(last), f64::total_cmp);
    *value
}

fn elapsed(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_work_costs_about_twice_as_much() {
        let spin = |rounds: u64| {
            move || {
                let mut x = black_box(1_u64);
                for _ in 0..rounds {
                    x = black_box(x);
                }
            }
        };
        let costs = measure(
            &mut [Box::new(spin(5_000)), Box::new(spin(10_000))],
            Duration::from_millis(200),
        );

        let ratio = costs[1].cycles / costs[0].cycles;
        assert!((1.5..3.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn crowded_samples_do_not_count() {
        let sample = |cycles, crowd| Sample {
            ns: cycles / 4.0,
            cycles,
            crowd,
        };
        let samples = [sample(100.0, 0.2), sample(50.0, 0.4), sample(101.0, 0.2)];

        assert_eq!(cost(&samples, 0.23).cycles, 100.0);
        assert_eq!(cost(&samples, 0.1).cycles, 50.0, "if all are, all count");
    }

    #[test]
    fn a_quartile_is_a_value() {
        assert_eq!(at(&mut [4.0, 1.0, 3.0, 2.0, 5.0], 0.25), 2.0);
        assert_eq!(at(&mut [7.0], 0.25), 7.0);
    }
}

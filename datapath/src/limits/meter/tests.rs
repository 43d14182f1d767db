use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

const MEGABIT: u64 = 1_000_000;

fn bits(bits: u64) -> NonZeroU64 {
    NonZeroU64::new(bits).unwrap()
}

fn steady(bits_per_second: u64) -> Rate {
    Rate::steady(bits(bits_per_second))
}

fn bursting(bits_per_second: u64, burst: u64, threshold: u64, seconds: u64) -> Rate {
    Rate {
        bits_per_second: bits(bits_per_second),
        burst: Some(Burst {
            bits_per_second: bits(burst),
            threshold,
            time: Duration::from_secs(seconds),
        }),
    }
}

#[expect(clippy::disallowed_methods, reason = "times count from here")]
fn origin() -> Instant {
    Instant::now()
}

/// Lets as much pass as may in each of these seconds, looked at every millisecond; says how many
/// bits that were.
fn greedy(meter: &mut Meter, start: Instant, seconds: std::ops::Range<u64>) -> Vec<u64> {
    let second = |second: u64| {
        let mut passed = 0;
        for milli in 0..1000 {
            let now = start + Duration::from_millis(second * 1000 + milli);
            while meter.allows(1000, now) {
                meter.take(1000);
                passed += 8000;
            }
        }
        passed
    };
    seconds.map(second).collect()
}

fn is_about(bits: u64, expected: u64) -> bool {
    bits.abs_diff(expected) <= expected / 20
}

#[test]
fn a_full_bucket_passes_at_once_and_then_the_rate() {
    let start = origin();
    let mut meter = Meter::new(steady(8 * MEGABIT), start);
    for _ in 0..25 {
        assert!(meter.allows(1000, start));
        meter.take(1000);
    }
    assert!(!meter.allows(1000, start));
    assert_eq!(meter.ready_at(1000), start + Duration::from_millis(1));
    assert!(!meter.allows(1000, start + Duration::from_micros(999)));
    assert!(meter.allows(1000, start + Duration::from_millis(1)));
}

#[test]
fn a_bucket_that_was_left_alone_holds_no_more_than_when_it_was_new() {
    let start = origin();
    let mut meter = Meter::new(steady(8 * MEGABIT), start);
    let later = start + Duration::from_secs(1000);
    let passed = (0..1000)
        .take_while(|_| {
            let allowed = meter.allows(1000, later);
            meter.take(1000);
            allowed
        })
        .count();
    assert_eq!(passed, 25);
}

#[test]
fn a_packet_larger_than_the_bucket_passes_when_that_is_full_and_is_paid_for() {
    let start = origin();
    let mut meter = Meter::new(steady(64_000), start);
    assert!(meter.allows(3000, start));
    meter.take(3000);
    assert!(!meter.allows(1, start));
    let full = start + Duration::from_millis(375);
    assert_eq!(meter.ready_at(3000), full);
    assert!(!meter.allows(3000, full - Duration::from_nanos(1)));
    assert!(meter.allows(3000, full));
}

#[test]
fn time_that_goes_back_gives_nothing_and_takes_nothing() {
    let start = origin();
    let mut meter = Meter::new(steady(8 * MEGABIT), start);
    let later = start + Duration::from_millis(100);
    assert!(meter.allows(25_000, later));
    meter.take(25_000);
    assert!(!meter.allows(1, start));
    assert!(meter.allows(1000, later + Duration::from_millis(1)));
}

#[test]
fn a_burst_lasts_until_the_average_reaches_the_threshold() {
    let start = origin();
    let rate = bursting(MEGABIT, 4 * MEGABIT, 750_000, 16);
    let mut meter = Meter::new(rate, start);
    // 4 Mbit/s for 3 s is 0.75 Mbit/s for 16 s.
    for bits in greedy(&mut meter, start, 0..3) {
        assert!(is_about(bits, 4 * MEGABIT), "{bits}");
    }
    for bits in greedy(&mut meter, start, 3..40) {
        assert!(is_about(bits, MEGABIT), "{bits}");
    }
}

#[test]
fn a_burst_comes_again_after_a_time_of_quiet() {
    let start = origin();
    let rate = bursting(MEGABIT, 4 * MEGABIT, 750_000, 16);
    let mut meter = Meter::new(rate, start);
    greedy(&mut meter, start, 0..10);
    for bits in greedy(&mut meter, start, 30..33) {
        assert!(is_about(bits, 4 * MEGABIT), "{bits}");
    }
    for bits in greedy(&mut meter, start, 33..40) {
        assert!(is_about(bits, MEGABIT), "{bits}");
    }
}

#[test]
fn a_threshold_above_the_rate_is_the_average() {
    let start = origin();
    let rate = bursting(MEGABIT, 4 * MEGABIT, 2 * MEGABIT, 16);
    let mut meter = Meter::new(rate, start);
    let seconds = greedy(&mut meter, start, 0..160);
    let average = seconds.iter().sum::<u64>() / 160;
    assert!(average.abs_diff(2 * MEGABIT) <= MEGABIT / 5, "{average}");
}

#[test]
fn without_a_threshold_or_time_there_is_no_burst() {
    let start = origin();
    for (threshold, seconds) in [(0, 16), (MEGABIT, 0)] {
        let rate = bursting(MEGABIT, 4 * MEGABIT, threshold, seconds);
        let mut meter = Meter::new(rate, start);
        for bits in greedy(&mut meter, start, 0..5) {
            assert!(is_about(bits, MEGABIT), "{bits}");
        }
    }
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let burst = (1_u64..500 * MEGABIT, 0..500 * MEGABIT, 0_u64..20_000);
    let burst = burst.prop_map(|(rate, threshold, millis)| Burst {
        bits_per_second: bits(rate),
        threshold,
        time: Duration::from_millis(millis),
    });
    (1_u64..500 * MEGABIT, prop::option::of(burst)).prop_map(|(rate, burst)| Rate {
        bits_per_second: bits(rate),
        burst,
    })
}

fn highest(rate: &Rate) -> u64 {
    let burst = rate.burst.map_or(0, |burst| burst.bits_per_second.get());
    rate.bits_per_second.get().max(burst)
}

proptest! {
    #[test]
    fn no_time_has_more_than_its_share(
        rate in any_rate(),
        packets in prop::collection::vec((1_usize..2000, 0_u64..20_000_000), 1..80),
    ) {
        let start = origin();
        let mut now = start;
        let mut meter = Meter::new(rate, now);
        let mut passed: Vec<(Duration, i128)> = Vec::new();
        for &(len, gap) in &packets {
            now += Duration::from_nanos(gap);
            if meter.allows(len, now) {
                meter.take(len);
                passed.push((now - start, price(len)));
            }
        }
        let highest = i128::from(highest(&rate));
        let largest = passed.iter().map(|&(_, price)| price).max().unwrap_or(0);
        let at_once = (highest * nanos(DEPTH)).max(price(LEAST_DEPTH)).max(largest);
        for (first, &(from, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for &(to, price) in &passed[first..] {
                sum += price;
                prop_assert!(sum <= at_once + highest * nanos(to - from));
            }
        }
    }

    #[test]
    fn who_waits_no_longer_than_told_has_the_rate(
        bits_per_second in 1_u64..500 * MEGABIT,
        lens in prop::collection::vec(1_usize..2000, 1..200),
    ) {
        let start = origin();
        let mut now = start;
        let mut meter = Meter::new(steady(bits_per_second), now);
        let mut passed = 0;
        for len in lens {
            let ready = meter.ready_at(len);
            if ready > now {
                let early = ready - Duration::from_nanos(1);
                prop_assert!(early <= now || !meter.allows(len, early));
                now = ready;
            }
            // One so slow that a day is not enough.
            if meter.allows(len, now) {
                meter.take(len);
                passed += price(len);
                // A part of a nanosecond is lost where the bucket is full.
                let given = i128::from(bits_per_second) * nanos(now - start);
                prop_assert!(passed >= given - given / 1000);
            }
        }
    }

    #[test]
    fn nothing_overflows(
        rate in 1..=u64::MAX,
        burst in 1..=u64::MAX,
        threshold: u64,
        time in 0_u64..=u64::MAX,
        packets in prop::collection::vec((0_usize..=70_000, 0_u64..1 << 50), 0..50),
    ) {
        let mut now = origin();
        let burst = Burst {
            bits_per_second: bits(burst),
            threshold,
            time: Duration::from_nanos(time),
        };
        let rate = Rate { bits_per_second: bits(rate), burst: Some(burst) };
        let mut meter = Meter::new(rate, now);
        for (len, gap) in packets {
            now += Duration::from_nanos(gap);
            meter.allows(len, now);
            meter.take(len);
            prop_assert!(meter.ready_at(len) >= now || meter.allows(len, now));
        }
    }
}

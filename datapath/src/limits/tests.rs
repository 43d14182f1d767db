use super::*;
use crate::ipc::Burst;

const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "times count from here")]
fn origin() -> Instant {
    Instant::now()
}

fn rate(bits_per_second: u64) -> Option<Rate> {
    NonZeroU64::new(bits_per_second).map(Rate::steady)
}

fn counters(rx_bytes: u64, tx_bytes: u64) -> SessionCounters {
    SessionCounters {
        rx_bytes,
        tx_bytes,
        ..SessionCounters::default()
    }
}

fn bytes(rx_bytes: u64, tx_bytes: u64) -> Limits {
    Limits {
        rx_bytes: NonZeroU64::new(rx_bytes),
        tx_bytes: NonZeroU64::new(tx_bytes),
        ..Limits::default()
    }
}

fn idle(timeout: Duration) -> Limits {
    Limits {
        idle_timeout: Some(timeout),
        ..Limits::default()
    }
}

fn both_rates(bits_per_second: u64) -> Limits {
    Limits {
        rx_rate: rate(bits_per_second),
        tx_rate: rate(bits_per_second),
        ..Limits::default()
    }
}

/// Lets everything pass that may, and one more wait.
fn exhaust(shaper: &mut Shaper, now: Instant) {
    while !shaper.must_wait(1000, now) {
        shaper.note_passed(1000);
    }
    assert!(shaper.hold(1000, |to| to.fill(1)));
}

#[test]
fn a_limit_of_bytes_is_said_once_when_it_is_reached() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    limiter.set(bytes(1000, 2000), now);
    assert_eq!(limiter.take_reached(&counters(999, 1999), now), None);
    let all = counters(1000, 2000);
    assert_eq!(limiter.take_reached(&all, now), Some(Limit::RxBytes));
    assert_eq!(limiter.take_reached(&all, now), Some(Limit::TxBytes));
    assert_eq!(limiter.take_reached(&counters(9999, 9999), now), None);
}

#[test]
fn a_limit_of_bytes_is_said_again_when_it_was_raised() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    let reached = |limiter: &mut Limiter, limits, rx| {
        limiter.set(limits, now);
        limiter.take_reached(&counters(rx, 0), now)
    };
    assert_eq!(
        reached(&mut limiter, bytes(1000, 0), 1000),
        Some(Limit::RxBytes)
    );
    assert_eq!(
        reached(&mut limiter, bytes(1000, 5), 1500),
        None,
        "as it was"
    );
    assert_eq!(reached(&mut limiter, bytes(500, 0), 1500), None, "lowered");
    assert_eq!(reached(&mut limiter, bytes(2000, 0), 1500), None);
    assert_eq!(
        reached(&mut limiter, bytes(2000, 0), 2000),
        Some(Limit::RxBytes)
    );
    assert_eq!(reached(&mut limiter, bytes(0, 0), 9000), None, "none");
    assert_eq!(
        reached(&mut limiter, bytes(100, 0), 9000),
        Some(Limit::RxBytes)
    );
}

#[test]
fn a_limit_of_both_directions_counts_them_together() {
    let now = origin();
    let total = |bytes| Limits {
        total_bytes: NonZeroU64::new(bytes),
        ..Limits::default()
    };
    let mut limiter = Limiter::new(now);
    limiter.set(total(1000), now);
    assert_eq!(limiter.take_reached(&counters(499, 500), now), None);
    let reached = limiter.take_reached(&counters(500, 500), now);
    assert_eq!(reached, Some(Limit::TotalBytes));
    assert_eq!(limiter.take_reached(&counters(900, 900), now), None);
    limiter.set(total(2000), now);
    assert_eq!(limiter.take_reached(&counters(999, 1000), now), None);
    let reached = limiter.take_reached(&counters(u64::MAX, 1), now);
    assert_eq!(reached, Some(Limit::TotalBytes));
}

#[test]
fn a_session_is_idle_when_nothing_came_or_went_for_long_enough() {
    let start = origin();
    let mut limiter = Limiter::new(start);
    limiter.set(idle(10 * SECOND), start);
    let none = SessionCounters::default();
    assert_eq!(limiter.idle_at(), Some(start + 10 * SECOND));
    limiter.note_active(start + 6 * SECOND);
    limiter.note_active(start + 5 * SECOND);
    assert_eq!(limiter.take_reached(&none, start + 10 * SECOND), None);
    assert_eq!(limiter.idle_at(), Some(start + 16 * SECOND));
    let reached = limiter.take_reached(&none, start + 16 * SECOND);
    assert_eq!(reached, Some(Limit::Idle));
    assert_eq!(limiter.idle_at(), None);
    assert_eq!(limiter.take_reached(&none, start + 99 * SECOND), None);
}

#[test]
fn another_idle_timeout_counts_from_the_same_packet() {
    let start = origin();
    let mut limiter = Limiter::new(start);
    limiter.set(idle(10 * SECOND), start);
    limiter.note_active(start + SECOND);
    limiter.set(idle(3 * SECOND), start + 2 * SECOND);
    assert_eq!(limiter.idle_at(), Some(start + 4 * SECOND));
    limiter.set(idle(Duration::MAX), start + 2 * SECOND);
    assert_eq!(limiter.idle_at(), None);
}

#[test]
fn so_much_waits_as_passes_in_a_moment_but_enough_for_tcp() {
    let depth = |bits: u64| depth(&rate(bits).unwrap());
    assert_eq!(depth(1), LEAST_PACKETS * LARGE);
    assert_eq!(depth(2_000_000), 12_500);
    assert_eq!(depth(u64::MAX), MAX_PACKETS * LARGE);
}

#[test]
fn a_burst_has_room_to_wait_too() {
    let mut rate = rate(2_000_000).unwrap();
    rate.burst = Some(Burst {
        bits_per_second: NonZeroU64::new(4_000_000).unwrap(),
        threshold: 1,
        time: SECOND,
    });
    assert_eq!(depth(&rate), 25_000);
}

#[test]
fn packets_wait_behind_those_that_do() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    limiter.set(both_rates(1_000_000), now);
    let shaper = &mut limiter.tx;
    exhaust(shaper, now);
    let later = now + SECOND;
    assert!(shaper.must_wait(1, later), "or it would overtake");
    assert_eq!(shaper.next(later), Some(&[1; 1000][..]));
    shaper.note_passed(1000);
    shaper.release();
    assert!(!shaper.must_wait(1, later));
}

#[test]
fn one_direction_does_not_wait_for_the_other() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    limiter.set(both_rates(1_000_000), now);
    exhaust(&mut limiter.rx, now);
    assert!(!limiter.tx.must_wait(1000, now));
    assert!(limiter.release_at(now).is_some_and(|at| at > now));
}

#[test]
fn the_same_rate_again_gives_nothing() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    limiter.set(both_rates(1_000_000), now);
    exhaust(&mut limiter.rx, now);
    limiter.set(both_rates(1_000_000), now);
    assert_eq!(limiter.rx.next(now), None);
    limiter.set(both_rates(2_000_000), now);
    assert!(limiter.rx.next(now).is_some());
}

#[test]
fn what_waits_goes_at_once_when_the_rate_is_taken_away() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    limiter.set(both_rates(1_000_000), now);
    exhaust(&mut limiter.rx, now);
    limiter.set(Limits::default(), now);
    assert!(!limiter.is_needless(), "one waits");
    assert_eq!(limiter.release_at(now), Some(now));
    assert!(limiter.rx.next(now).is_some());
    limiter.rx.release();
    assert!(limiter.is_needless());
}

#[test]
fn what_waits_is_dropped_with_the_interface() {
    let now = origin();
    let mut limiter = Limiter::new(now);
    limiter.set(both_rates(1_000_000), now);
    exhaust(&mut limiter.rx, now);
    exhaust(&mut limiter.tx, now);
    limiter.set_mtu(Some(1400));
    assert!(limiter.rx.is_waiting() && limiter.tx.is_waiting());
    limiter.set_mtu(None);
    assert!(!limiter.rx.is_waiting() && !limiter.tx.is_waiting());
}

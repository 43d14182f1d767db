//! A session that keeps to limits.

use std::num::NonZeroU64;

use super::*;
use crate::ipc::{Limit, Limits, Rate};

/// One packet fills the bucket of this rate, and 6000 bytes wait.
const SLOW: u64 = 100_000;

fn slow() -> Option<Rate> {
    NonZeroU64::new(SLOW).map(Rate::steady)
}

fn modes() -> [(Pair, &'static str); 3] {
    [
        (Pair::plain(), "plain"),
        (Pair::encrypted(), "stateless"),
        (Pair::stateful(), "stateful"),
    ]
}

/// Takes the packets that wait and may go, until `end`.
fn rx_until(session: &mut Session, now: &mut Instant, end: Instant) -> Vec<Vec<u8>> {
    let mut released = Vec::new();
    while let Some(at) = session.release_at(*now).filter(|&at| at <= end) {
        *now = at.max(*now);
        released.push(session.next_held_rx(*now).unwrap().to_vec());
        session.release_rx();
    }
    released
}

#[test]
fn packets_from_the_peer_wait_for_their_time_and_come_as_they_were_sent() {
    for (mut pair, mode) in modes() {
        let limits = Limits {
            rx_rate: slow(),
            ..Limits::default()
        };
        pair.server.set_limits(limits, pair.now);
        let packets: Vec<_> = (1000..1005)
            .map(|len| large_packet(CLIENT_INNER, len))
            .collect();
        let (mut at_once, mut held, mut dropped) = (Vec::new(), 0, 0);
        for packet in packets.iter().chain([&packets[0]; 5]) {
            let frame = send(&mut pair.client, packet);
            match receive(&mut pair.server, &frame, pair.now) {
                Ok((Inner::Ip(at), bytes)) => at_once.push(bytes[at].to_vec()),
                Ok((Inner::Held, _)) => held += 1,
                Err(RateLimitRx) => dropped += 1,
                other => panic!("{mode}: {other:?}"),
            }
        }
        assert_eq!((at_once.len(), held, dropped), (1, 5, 4), "{mode}");
        let counters = pair.server.counters();
        assert_eq!((counters.rx_packets, counters.dropped), (1, 4), "{mode}");

        // 1000 bytes take 80 ms.
        let end = pair.now + Duration::from_millis(450);
        let late = rx_until(&mut pair.server, &mut pair.now, end);
        let came: Vec<_> = at_once.into_iter().chain(late).collect();
        assert_eq!(came[..5], packets, "{mode}");
        assert_eq!(came[5..], packets[..1], "{mode}");
        assert_eq!(pair.server.release_at(pair.now), None);
        assert_eq!(pair.server.counters().rx_packets, 6, "{mode}");
    }
}

#[test]
fn packets_put_together_of_fragments_wait_too() {
    let mut pair = Pair::encrypted();
    with_multilink(&mut pair, false);
    let limits = Limits {
        rx_rate: slow(),
        ..Limits::default()
    };
    pair.server.set_limits(limits, pair.now);
    let packet = large_packet(CLIENT_INNER, 1600);
    let mut inners = Vec::new();
    for _ in 0..2 {
        for frame in send_all(&mut pair.client, &packet) {
            let (Inner::Reassembled(whole), _) =
                receive(&mut pair.server, &frame, pair.now).unwrap()
            else {
                continue;
            };
            let mut out = vec![0; 16 + whole.len()];
            let server = &mut pair.server;
            inners.push(server.open_reassembled(&mut Portable, whole, &mut out, 16, pair.now));
        }
    }
    assert!(
        matches!(inners[..], [Ok(Inner::Ip(_)), Ok(Inner::Held)]),
        "{inners:?}"
    );
    let end = pair.now + Duration::from_secs(1);
    let late = rx_until(&mut pair.server, &mut pair.now, end);
    assert_eq!(late, [packet]);
}

#[test]
fn packets_to_the_peer_wait_before_they_are_sealed() {
    for (mut pair, mode) in modes() {
        let limits = Limits {
            tx_rate: slow(),
            ..Limits::default()
        };
        pair.client.set_limits(limits, pair.now);
        let packet = large_packet(CLIENT_INNER, 1000);
        assert!(!pair.client.must_hold_tx(1000, pair.now), "{mode}");
        let first = send(&mut pair.client, &packet);
        let mut held = 0;
        while pair
            .client
            .hold_tx(1000, |to| to.copy_from_slice(&packet))
            .is_ok()
        {
            assert!(pair.client.must_hold_tx(1000, pair.now), "{mode}");
            held += 1;
        }
        assert_eq!(held, 6, "{mode}");
        assert_eq!(pair.client.counters().tx_packets, 1, "{mode}");
        assert_eq!(pair.client.counters().dropped, 1, "{mode}");

        assert_eq!(pair.client.next_held_tx(pair.now), None, "{mode}");
        pair.now = pair.client.release_at(pair.now).unwrap();
        let waited = pair.client.next_held_tx(pair.now).unwrap().to_vec();
        let second = send(&mut pair.client, &waited);
        pair.client.release_tx();
        for frame in [first, second] {
            let got = receive_any(&mut pair.server, &frame, pair.now).unwrap();
            assert_eq!(got.as_ref(), Some(&packet), "{mode}");
        }
        assert_eq!(pair.client.next_held_tx(pair.now), None, "{mode}");
    }
}

#[test]
fn what_waits_does_not_survive_its_interface() {
    let mut pair = Pair::plain();
    let limits = Limits {
        rx_rate: slow(),
        ..Limits::default()
    };
    pair.server.set_limits(limits, pair.now);
    for n in 0..200 {
        let frame = pair.client_sends(n);
        let _ = receive(&mut pair.server, &frame, pair.now);
    }
    assert!(pair.server.release_at(pair.now).is_some());
    let delivered = pair.server.counters();
    pair.server.set_interface(None);
    assert_eq!(pair.server.release_at(pair.now), None);
    pair.server.release_rx();
    assert_eq!(pair.server.counters(), delivered, "nor does it count");
}

#[test]
fn control_frames_neither_wait_nor_keep_a_session_awake() {
    let mut pair = Pair::encrypted();
    let timeout = Duration::from_secs(60);
    let limits = Limits {
        rx_rate: NonZeroU64::new(1).map(Rate::steady),
        idle_timeout: Some(timeout),
        ..Limits::default()
    };
    let start = pair.now;
    pair.server.set_limits(limits, start);
    pair.now += Duration::from_secs(10);
    let echo = [9, 1, 0, 8, 0, 0, 0, 0];
    for payload in [&echo[..], &[1, 7, 0, 4]] {
        let frame = control_frame(&mut pair.client, protocol::LCP, payload);
        let (inner, _) = receive(&mut pair.server, &frame, pair.now).unwrap();
        let passes = matches!(inner, Inner::EchoRequest(_) | Inner::Control { .. });
        assert!(passes, "{inner:?}");
    }
    assert_eq!(pair.server.idle_at(), Some(start + timeout));

    let frame = pair.client_sends(1);
    pair.server_gets(&frame).unwrap();
    assert_eq!(pair.server.idle_at(), Some(pair.now + timeout));
    pair.now += Duration::from_secs(10);
    assert!(!pair.server.must_hold_tx(100, pair.now));
    assert_eq!(pair.server.idle_at(), Some(pair.now + timeout));

    pair.now += timeout;
    let reached = pair.server.take_limit_reached(pair.now);
    assert_eq!(reached, Some(Limit::Idle));
    assert_eq!(pair.server.take_limit_reached(pair.now), None);
}

#[test]
fn bytes_count_from_the_sessions_beginning_and_each_way() {
    let mut pair = Pair::encrypted();
    let packet = large_packet(CLIENT_INNER, 1000);
    for n in 1..=5 {
        if n == 3 {
            let limits = Limits {
                rx_bytes: NonZeroU64::new(4000),
                tx_bytes: NonZeroU64::new(1000),
                ..Limits::default()
            };
            pair.server.set_limits(limits, pair.now);
        }
        let frame = send(&mut pair.client, &packet);
        receive(&mut pair.server, &frame, pair.now).unwrap();
        let reached = pair.server.take_limit_reached(pair.now);
        assert_eq!(reached, (n == 4).then_some(Limit::RxBytes), "{n}");
    }
    send(&mut pair.server, &packet);
    let reached = pair.server.take_limit_reached(pair.now);
    assert_eq!(reached, Some(Limit::TxBytes));
}

#[test]
fn bytes_of_both_ways_count_together() {
    let mut pair = Pair::encrypted();
    let packet = large_packet(CLIENT_INNER, 1000);
    let limits = Limits {
        total_bytes: NonZeroU64::new(4000),
        ..Limits::default()
    };
    pair.server.set_limits(limits, pair.now);
    for n in 1..=5 {
        if n % 2 == 0 {
            send(&mut pair.server, &packet);
        } else {
            let frame = send(&mut pair.client, &packet);
            receive(&mut pair.server, &frame, pair.now).unwrap();
        }
        let reached = pair.server.take_limit_reached(pair.now);
        assert_eq!(reached, (n == 4).then_some(Limit::TotalBytes), "{n}");
    }
}

#[test]
fn a_session_without_limits_keeps_nothing_for_them() {
    let mut pair = Pair::plain();
    let limits = Limits {
        rx_rate: slow(),
        clamp_mss: true,
        ..Limits::default()
    };
    pair.server.set_limits(limits, pair.now);
    assert!(pair.server.limiter.is_some());
    pair.server.set_limits(Limits::default(), pair.now);
    assert!(pair.server.limiter.is_none());
}

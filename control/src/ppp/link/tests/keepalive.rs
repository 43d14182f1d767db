//! `keepalive-timeout`.

use super::*;
use crate::ppp::packet::code;

fn pair() -> Pair {
    let keepalive = Some(Duration::from_secs(30));
    let mut pair = Pair::new(
        Config {
            keepalive,
            ..server()
        },
        client(),
    );
    pair.open();
    pair.run(Duration::from_secs(2));
    assert!(pair.server.is_up());
    pair
}

#[test]
fn an_idle_peer_that_answers_stays() {
    let mut pair = pair();
    pair.run(Duration::from_secs(600));
    assert!(pair.server.is_up() && pair.client.is_up());
    assert_eq!(pair.server.count(|c| matches!(c, Command::MissedEcho)), 0);
    let echoes = pair.server.sent(protocol::LCP, lcp::code::ECHO_REQUEST);
    assert!((10..=20).contains(&echoes), "{echoes} echoes in 600 s");
}

#[test]
fn a_peer_that_is_gone_misses_five_echoes() {
    let mut pair = pair();
    pair.faults.lost = 100;
    let begin = pair.now;
    pair.run(Duration::from_secs(33));
    assert_eq!(pair.server.link.cause, None);
    pair.run_until(Duration::from_millis(100), |pair| {
        pair.server.link.cause.is_some()
    });
    assert_eq!(pair.server.link.cause, Some(Cause::PeerNotResponding));
    assert_eq!(pair.server.sent(protocol::LCP, code::TERMINATE_REQUEST), 1);
    assert_eq!(pair.server.count(|c| matches!(c, Command::Down(_))), 1);
    assert_eq!(pair.server.count(|c| matches!(c, Command::MissedEcho)), 5);
    assert_eq!(pair.server.sent(protocol::LCP, lcp::code::ECHO_REQUEST), 5);
    let took = pair.now - begin;
    assert!(took <= Duration::from_millis(42_600), "{took:?}");
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let mut pair = pair();
    pair.faults.lost = 100;
    for _ in 0..60 {
        pair.run(Duration::from_secs(10));
        pair.server.rx_frames += 1;
    }
    assert_eq!(pair.server.count(|c| matches!(c, Command::MissedEcho)), 0);
    assert_eq!(pair.server.sent(protocol::LCP, lcp::code::ECHO_REQUEST), 0);
}

#[test]
fn a_frame_among_the_echoes_starts_the_silence_anew() {
    let mut pair = pair();
    pair.faults.lost = 100;
    pair.run_until(Duration::from_millis(100), |pair| {
        pair.server.count(|c| matches!(c, Command::MissedEcho)) == 3
    });
    pair.server.rx_frames += 1;
    pair.run(Duration::from_secs(29));
    assert_eq!(pair.server.count(|c| matches!(c, Command::MissedEcho)), 3);
    assert_eq!(pair.server.link.cause, None);
}

//! What a network may do to frames.

use super::*;

#[test]
fn loss_duplication_and_disorder_delay_it_but_the_keys_fit_when_both_are_up() {
    let mut up = 0;
    for seed in 1..300 {
        let mut pair = Pair::new(server(), client());
        pair.random = seed;
        pair.faults = Faults {
            lost: 10,
            duplicated: 10,
            delayed: 10,
        };
        pair.open();
        pair.run(Duration::from_secs(120));
        let both_up = pair.server.is_up() && pair.client.is_up();
        let one_gave_up = pair.server.down().or_else(|| pair.client.down());
        assert!(both_up || one_gave_up.is_some(), "seed {seed}");
        if both_up {
            up += 1;
            assert_eq!(pair.server.rx, pair.client.tx, "seed {seed}");
            assert_eq!(pair.server.tx, pair.client.rx, "seed {seed}");
        }
    }
    assert!(up > 280, "only {up} of 299 came up");
}

#[test]
fn half_of_all_frames_lost_never_wedges_a_link() {
    for seed in 1..100 {
        let mut pair = Pair::new(server(), client());
        pair.random = seed;
        pair.faults.lost = 50;
        pair.open();
        pair.run(Duration::from_secs(100));
        pair.faults.lost = 0;
        pair.run(Duration::from_secs(100));
        for side in [&pair.server, &pair.client] {
            assert!(side.is_up() || side.down().is_some(), "seed {seed}");
        }
    }
}

#[test]
fn a_lost_success_is_sent_again_for_the_repeated_response() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, response, success) = authenticate(&mut link);
    link.handle_frame(now, protocol::CHAP, &response);
    let again = drain(&mut link);
    assert_eq!(sent_on(&again, protocol::CHAP), [success]);
    assert!(
        !again
            .iter()
            .any(|c| matches!(c, Command::Authenticate { .. }))
    );
}

#[test]
fn a_response_is_repeated_until_it_is_answered() {
    let mut pair = Pair::new(server(), client());
    pair.open();
    pair.run_until(Duration::from_millis(1), |pair| {
        pair.server.sent(protocol::CHAP, 3) > 0
    });
    // The Success, and what the server begins with after it.
    pair.in_flight.clear();
    pair.run(Duration::from_secs(7));
    assert!(pair.server.is_up() && pair.client.is_up());
    assert_eq!(pair.client.sent(protocol::CHAP, 2), 2);
}

#[test]
fn a_challenge_is_repeated_until_it_is_answered() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let mut now = open_lcp(&mut link);
    let challenge = sent_on(&drain(&mut link), protocol::CHAP);
    assert_eq!(challenge.len(), 1);
    now += Duration::from_secs(3);
    link.handle_timeout(now);
    assert_eq!(sent_on(&drain(&mut link), protocol::CHAP), challenge);
}

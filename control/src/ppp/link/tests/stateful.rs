//! Stateful MPPE with a peer that insists on it, and its resets.

use super::*;

/// A link whose peer insists on stateful mode in both directions.
fn insist(link: &mut Link) -> Instant {
    let (now, ..) = authenticate(link);
    let stateful = hex("120600000040");
    let request = sent_on(&drain(link), protocol::CCP).remove(0);
    link.handle_frame(now, protocol::CCP, &packet(3, request[1], &stateful));
    let mut ack = sent_on(&drain(link), protocol::CCP).remove(0);
    assert_eq!(ack[4..], stateful);
    ack[0] = 2;
    link.handle_frame(now, protocol::CCP, &ack);
    for id in 1..=3 {
        link.handle_frame(now, protocol::CCP, &packet(1, id, &stateful));
    }
    now
}

#[test]
fn it_is_shown_as_what_it_is() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    insist(&mut link);

    let encodings: Vec<_> = drain(&mut link)
        .iter()
        .filter_map(|command| match command {
            Command::SetMppe {
                rx: Some(rx),
                tx: Some(tx),
                encoding,
            } if !rx.stateless && !tx.stateless => Some(encoding.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(encodings, ["MPPE128 stateful"]);
}

#[test]
fn a_reset_is_carried_out_behind_its_acknowledgement() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = insist(&mut link);
    drain(&mut link);

    link.handle_frame(now, protocol::CCP, &packet(14, 7, &[]));

    assert_eq!(
        drain(&mut link),
        [
            Command::Send {
                protocol: protocol::CCP,
                payload: packet(15, 7, &[]),
            },
            Command::ResetMppe
        ]
    );
}

#[test]
fn a_lost_place_is_answered_with_reset_requests_and_at_last_with_the_end() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = insist(&mut link);
    drain(&mut link);

    for times in 1..=MAX_RESETS {
        link.handle_mppe_out_of_sync(now, times);
        let sent = sent_on(&drain(&mut link), protocol::CCP);
        assert_eq!(sent.len(), 1, "{times}");
        assert_eq!(sent[0][0], 14);
    }
    link.handle_mppe_out_of_sync(now, MAX_RESETS + 1);

    assert_eq!(link.cause(), Some(Cause::MppeOutOfSync));
}

#[test]
fn nothing_is_reset_before_encryption_is_up() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, ..) = authenticate(&mut link);
    drain(&mut link);

    link.handle_mppe_out_of_sync(now, 1);
    link.handle_frame(now, protocol::CCP, &packet(14, 7, &[]));

    assert_eq!(drain(&mut link), []);
}

//! Packets that come before the interface.

use super::*;

/// A pair of which the server has no interface yet.
fn before_the_interface() -> (Pair, Option<InnerAddress>) {
    let mut pair = Pair::encrypted();
    let interface = pair.server.interface.take();
    pair.server.early = Early::default();
    pair.server.link.opened = true;
    (pair, interface)
}

fn is_kept(pair: &mut Pair, frame: &[u8]) -> bool {
    let received = receive(&mut pair.server, frame, pair.now);
    received.is_ok_and(|(inner, _)| inner == Inner::Held)
}

/// What comes of the packets that were kept, as the server's interface is now.
fn kept(pair: &mut Pair) -> Vec<Result<Inner, DropReason>> {
    const START: usize = 7;
    let packets = pair.server.take_early();
    let now = pair.now;
    packets
        .into_iter()
        .map(|packet| {
            let mut bytes = vec![0; START];
            bytes.extend_from_slice(&packet);
            let inner = pair.server.accept_early(&mut bytes, START, now)?;
            assert_eq!(inner, Inner::Ip(START..bytes.len()));
            Ok(inner)
        })
        .collect()
}

#[test]
fn the_first_packets_wait_for_the_interface_and_are_judged_then() {
    let (mut pair, interface) = before_the_interface();
    for n in 0..8 {
        let frame = pair.client_sends(n);
        assert!(is_kept(&mut pair, &frame), "{n}");
    }
    let frame = pair.client_sends(8);
    assert_eq!(pair.server_gets(&frame), Err(NoInterface), "one too many");
    assert_eq!(pair.server.counters().rx_packets, 0);
    pair.server.set_interface(interface);
    assert_eq!(kept(&mut pair).len(), 8);
    assert_eq!(pair.server.counters().rx_packets, 8);
    assert!(pair.server.take_early().is_empty(), "once is enough");

    // Only before the first interface.
    pair.server.set_interface(None);
    let frame = pair.client_sends(9);
    assert_eq!(pair.server_gets(&frame), Err(NoInterface));
}

#[test]
fn an_early_packet_with_another_source_than_it_may_have_is_dropped() {
    let (mut pair, interface) = before_the_interface();
    let frame = pair.client_sends(0);
    assert!(is_kept(&mut pair, &frame));
    let interface = interface.map(|interface| InnerAddress {
        peer: [10, 9, 9, 9].into(),
        check_source: true,
        ..interface
    });
    pair.server.set_interface(interface);
    let dropped = pair.server.counters().dropped;
    assert_eq!(kept(&mut pair), [Err(SpoofedSource)]);
    assert_eq!(pair.server.counters().dropped, dropped + 1);
}

#[test]
fn what_came_in_clear_before_encryption_began_is_not_let_in_by_it() {
    let (mut pair, interface) = before_the_interface();
    let parameters = pair.server.rx.as_ref().map(Rx::parameters).cloned();
    pair.server.set_mppe(None, None);
    pair.client.set_mppe(None, None);
    let frame = pair.client_sends(0);
    assert!(is_kept(&mut pair, &frame));
    pair.server.set_mppe(parameters.as_ref(), None);
    pair.server.set_interface(interface);
    assert!(kept(&mut pair).is_empty());
}

#[test]
fn a_link_that_is_not_open_keeps_nothing() {
    let (mut pair, _) = before_the_interface();
    pair.server.link.opened = false;
    let frame = pair.client_sends(0);
    assert_eq!(pair.server_gets(&frame), Err(NoInterface));
}

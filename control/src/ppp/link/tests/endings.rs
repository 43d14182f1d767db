//! How a link ends, and the cause that stays.

use super::*;

#[test]
fn the_end_that_closes_says_why_and_the_other_hears_it() {
    let mut pair = Pair::up();
    let now = pair.now;
    pair.server.link.close(now, Cause::AdministratorRequest);
    pair.server.link.close(now, Cause::Reboot);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.server.down(), Some(Cause::AdministratorRequest));
    assert!(!pair.client.is_up());
    let (_, farewell) = pair.server.sent.last().unwrap();
    assert_eq!(farewell[0], code::TERMINATE_REQUEST);
    assert_eq!(&farewell[4..], b"administrator request");
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.client.down(), Some(Cause::PeerRequest));
}

#[test]
fn a_peer_that_does_not_answer_is_told_twice() {
    let mut pair = Pair::up();
    pair.faults.lost = 100;
    let now = pair.now;
    pair.server.link.close(now, Cause::Reboot);
    pair.run(Duration::from_millis(5990));
    assert_eq!(pair.server.down(), None);
    pair.run(Duration::from_millis(20));
    assert_eq!(pair.server.down(), Some(Cause::Reboot));
    assert_eq!(pair.server.sent(protocol::LCP, code::TERMINATE_REQUEST), 2);
}

#[test]
fn two_goodbyes_at_once_leave_time_for_the_answers() {
    let mut pair = Pair::up();
    let now = pair.now;
    pair.server.link.close(now, Cause::AuthenticationFailed);
    pair.client
        .link
        .close(now, Cause::FailedToAuthenticateOurselves);
    pair.run(Duration::from_millis(250));
    assert_eq!(pair.server.sent(protocol::LCP, code::TERMINATE_ACK), 1);
    assert_eq!((pair.server.down(), pair.client.down()), (None, None));
    pair.run(Duration::from_millis(150));
    assert_eq!(pair.server.down(), Some(Cause::AuthenticationFailed));
    assert_eq!(
        pair.client.down(),
        Some(Cause::FailedToAuthenticateOurselves)
    );
}

#[test]
fn a_call_that_is_gone_ends_at_once() {
    let mut pair = Pair::up();
    let now = pair.now;
    pair.server.link.lower_down(now, Cause::HungUp);
    pair.flush(End::Server);
    assert_eq!(pair.server.down(), Some(Cause::HungUp));
    assert!(!pair.server.is_up());
    assert_eq!(pair.server.link.poll_timeout(), None);
    pair.server.link.lower_down(now, Cause::Reboot);
    pair.server.link.close(now, Cause::Reboot);
    pair.server
        .link
        .handle_frame(now, protocol::LCP, &packet(9, 1, &[0; 4]));
    pair.flush(End::Server);
}

#[test]
fn the_first_cause_stays_when_the_call_goes_too() {
    let mut pair = Pair::up();
    let now = pair.now;
    pair.server.link.close(now, Cause::IdleTimeout);
    pair.server.link.lower_down(now, Cause::HungUp);
    pair.flush(End::Server);
    assert_eq!(pair.server.down(), Some(Cause::IdleTimeout));
}

#[test]
fn a_link_that_never_opened_closes_at_once() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(1)));
    link.close(start(), Cause::Reboot);
    assert_eq!(drain(&mut link), [Command::Down(Cause::Reboot)]);
}

#[test]
fn a_peer_that_says_nothing_gets_ten_requests_in_thirty_seconds() {
    let mut pair = Pair::new(server(), client());
    pair.server.link.open(pair.now);
    pair.faults.lost = 100;
    pair.run(Duration::from_secs(29));
    assert_eq!(pair.server.down(), None);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.server.down(), Some(Cause::LcpFailed));
    assert_eq!(pair.server.sent(protocol::LCP, 1), 10);
    let first = &pair.server.sent[0];
    assert!(pair.server.sent.iter().all(|sent| sent == first));
}

#[test]
fn a_peer_that_does_not_log_in_is_closed_after_fifteen_seconds() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let mut now = open_lcp(&mut link);
    for second in 1..=15 {
        assert_eq!(link.cause, None, "second {second}");
        now += Duration::from_secs(1);
        link.handle_timeout(now);
    }
    assert_eq!(link.cause, Some(Cause::Timeout));
}

#[test]
fn a_peer_that_agrees_to_all_and_asks_for_nothing_is_closed_after_a_minute() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let mut now = start();
    link.open(now);
    for second in 1..=60 {
        assert_eq!(link.cause, None, "second {second}");
        for mut payload in sent_on(&drain(&mut link), protocol::LCP) {
            payload[0] = 2;
            link.handle_frame(now, protocol::LCP, &payload);
        }
        now += Duration::from_secs(1);
        link.handle_timeout(now);
    }
    assert_eq!(link.cause, Some(Cause::Timeout));
}

#[test]
fn a_goodbye_before_lcp_is_open_ends_the_link() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = start();
    link.open(now);
    drain(&mut link);
    link.handle_frame(now, protocol::LCP, &packet(5, 3, b"no"));
    assert_eq!(
        drain(&mut link),
        [
            Command::Send {
                protocol: protocol::LCP,
                payload: packet(6, 3, &[]),
            },
            Command::Down(Cause::PeerRequest),
        ]
    );
}

#[test]
fn a_peer_that_closes_ipcp_leaves_no_network() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    link.handle_frame(now, protocol::IPCP, &packet(5, 3, &[]));
    assert!(drain(&mut link).contains(&Command::NetworkDown));
    link.handle_timeout(now + Duration::from_secs(3));
    assert_eq!(link.cause, Some(Cause::NoNetworkProtocols));
}

//! What happens when a layer that is up negotiates again.

use super::*;

#[test]
fn lcp_again_takes_everything_down_and_up() {
    let mut pair = Pair::up();
    let now = pair.now;
    let request = packet(1, 200, &hex("01040514 0506 11223344 0702 0802"));
    pair.server.link.handle_frame(now, protocol::LCP, &request);
    pair.flush(End::Server);
    assert!(!pair.server.is_up());
    assert_eq!((&pair.server.rx, &pair.server.tx), (&None, &None));
    assert!(
        pair.server
            .log
            .contains(&Command::SetLink(LinkOptions::default()))
    );
    pair.run(Duration::from_secs(10));
    assert!(pair.server.is_up() && pair.client.is_up());
    assert_eq!(
        pair.server
            .count(|c| matches!(c, Command::Authenticated { .. })),
        2
    );
    assert_eq!(pair.server.rx, pair.client.tx);
}

#[test]
fn a_verdict_that_came_too_late_is_not_taken_for_another_s() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = open_lcp(&mut link);
    let challenge = sent_on(&drain(&mut link), protocol::CHAP).remove(0);
    let answer = |challenge: &[u8], password: &str| {
        let password = Zeroizing::new(password.to_owned());
        let mut claimant = Claimant::new(now, AuthMethod::MsChapV2, USER, &password);
        match claimant.handle_packet(now, challenge, &mut CountingEntropy(3)) {
            Heard::Answer(response) => response,
            other => panic!("{other:?}"),
        }
    };
    link.handle_frame(now, protocol::CHAP, &answer(&challenge, PASSWORD));
    let Some(Command::Authenticate { user, proof }) = link.poll_command() else {
        panic!("the response was not passed on");
    };

    // LCP again, and a response with a wrong password, before the first verdict.
    let request = packet(1, 9, &hex("0506184213c1"));
    link.handle_frame(now, protocol::LCP, &request);
    let mut ack = sent_on(&drain(&mut link), protocol::LCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::LCP, &ack);
    let challenge = sent_on(&drain(&mut link), protocol::CHAP).remove(0);
    let wrong = answer(&challenge, "WrongPass");
    link.handle_frame(now, protocol::CHAP, &wrong);
    assert_eq!(drain(&mut link), []);

    link.handle_verdict(now, verdict(&user, &proof, Encryption::Yes));
    assert_eq!(drain(&mut link), []);
    link.handle_frame(now, protocol::CHAP, &wrong);
    let Some(Command::Authenticate { user, proof }) = link.poll_command() else {
        panic!("the second response was not passed on");
    };
    link.handle_verdict(now, verdict(&user, &proof, Encryption::Yes));
    let failure = sent_on(&drain(&mut link), protocol::CHAP).remove(0);
    assert_eq!(failure[0], 4);
}

#[test]
fn a_server_may_ask_again_at_any_time() {
    let mut pair = Pair::up();
    let now = pair.now;
    let challenge = packet(1, 99, &hex("107d43e14caa4641ac6dd49b00aa4082aa7070747064"));
    pair.client
        .link
        .handle_frame(now, protocol::CHAP, &challenge);
    let sent = sent_on(&drain(&mut pair.client.link), protocol::CHAP);
    assert_eq!(sent[0][..2], [2, 99]);
    let success = packet(3, 99, b"S=0000000000000000000000000000000000000000");
    pair.client.link.handle_frame(now, protocol::CHAP, &success);
    assert_eq!(pair.client.link.cause, Some(Cause::ServerUnproven));
}

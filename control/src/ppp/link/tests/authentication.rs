//! Who proves what to whom, how often, and what a wrong answer leads to.

use super::*;

const WRONG: &str = "WrongPass";

/// A server link whose peer was asked to prove itself by `method`: the time and the Challenge.
fn asked(link: &mut Link) -> (Instant, Vec<u8>) {
    let now = open_lcp(link);
    let challenge = sent_on(&drain(link), protocol::CHAP).remove(0);
    (now, challenge)
}

/// The Response of a client with this password.
fn response(method: AuthMethod, challenge: &[u8], password: &str) -> Vec<u8> {
    let password = Zeroizing::new(password.to_owned());
    let mut claimant = Claimant::new(start(), method, USER, &password);
    match claimant.handle_packet(start(), challenge, &mut CountingEntropy(3)) {
        Heard::Answer(response) => response,
        other => panic!("{other:?}"),
    }
}

/// Answers with this password, and gives the verdict of the local database.
fn answer(link: &mut Link, now: Instant, response: &[u8]) -> Vec<Vec<u8>> {
    link.handle_frame(now, protocol::CHAP, response);
    let mut commands = drain(link);
    for command in commands.clone() {
        if let Command::Authenticate { user, proof } = command {
            link.handle_verdict(now, verdict(&user, &proof, Encryption::Yes));
            commands.extend(drain(link));
        }
    }
    sent_on(&commands, protocol::CHAP)
}

/// The Challenge that a Failure carries, as a packet.
fn next_challenge(failure: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(&failure[4..]).unwrap();
    let digits = text.split(' ').find_map(|word| word.strip_prefix("C="));
    let value = hex(digits.unwrap());
    let length = u8::try_from(value.len()).unwrap();
    packet(
        1,
        failure[1].wrapping_add(1),
        &[&[length][..], &value].concat(),
    )
}

#[test]
fn every_method_works_in_both_roles() {
    for method in ALL_METHODS {
        let mut pair = Pair::new(server_with(&[method]), client());
        pair.open();
        pair.run(Duration::from_secs(10));
        assert!(pair.server.is_up() && pair.client.is_up(), "{method:?}");
        let encoding = if method.has_keys() {
            "MPPE128 stateless"
        } else {
            ""
        };
        assert_eq!(pair.server.encoding(), encoding, "{method:?}");
    }
}

#[test]
fn a_wrong_password_ends_every_method_and_is_told_as_that() {
    for method in ALL_METHODS {
        let mut pair = Pair::new(server_with(&[method]), client_with(WRONG, &ALL_METHODS));
        pair.open();
        pair.run(Duration::from_secs(20));
        assert_eq!(
            pair.server.down(),
            Some(Cause::AuthenticationFailed),
            "{method:?}"
        );
        assert_eq!(
            pair.client.down(),
            Some(Cause::FailedToAuthenticateOurselves),
            "{method:?}"
        );
        let told = Command::Refused {
            reason: "Authentication failed (691)".to_owned(),
        };
        assert_eq!(
            pair.client.log.contains(&told),
            method.has_keys(),
            "{method:?}"
        );
    }
}

#[test]
fn the_strongest_method_that_both_ends_have_is_used() {
    for (allowed, used) in [
        (
            &[AuthMethod::Pap, AuthMethod::Chap, AuthMethod::MsChapV1][..],
            AuthMethod::MsChapV1,
        ),
        (&[AuthMethod::Pap, AuthMethod::Chap], AuthMethod::Chap),
        (&[AuthMethod::Pap], AuthMethod::Pap),
    ] {
        let mut pair = Pair::new(server_with(&ALL_METHODS), client_with(PASSWORD, allowed));
        pair.open();
        pair.run(Duration::from_secs(10));
        let proof = pair.server.log.iter().find_map(|command| match command {
            Command::Authenticate { proof, .. } => Some(proof.method()),
            _ => None,
        });
        assert_eq!(proof, Some(used));
        assert!(pair.server.is_up());
    }
}

#[test]
fn who_was_wrong_may_try_twice_again_with_the_challenge_of_the_failure() {
    for method in [AuthMethod::MsChapV1, AuthMethod::MsChapV2] {
        for right_at in 0..4 {
            let mut link = Link::new(server_with(&[method]), Box::new(CountingEntropy(5)));
            let (now, mut challenge) = asked(&mut link);
            for attempt in 0..3 {
                let password = if attempt == right_at { PASSWORD } else { WRONG };
                let answers = answer(&mut link, now, &response(method, &challenge, password));
                assert_eq!(answers.len(), 1);
                if attempt == right_at {
                    assert_eq!(answers[0][0], 3, "{method:?} {right_at}");
                    break;
                }
                assert_eq!(answers[0][0], 4);
                assert_eq!(
                    answers[0][1], challenge[1],
                    "the identifier of the Response"
                );
                let text = String::from_utf8(answers[0][4..].to_vec()).unwrap();
                let retry = if attempt < 2 {
                    "E=691 R=1 C="
                } else {
                    "E=691 R=0 C="
                };
                assert!(text.starts_with(retry), "{text}");
                challenge = next_challenge(&answers[0]);
            }
            let failed = (right_at == 3).then_some(Cause::AuthenticationFailed);
            assert_eq!(link.cause(), failed, "{method:?} {right_at}");
        }
    }
}

#[test]
fn a_failure_that_was_lost_is_sent_again() {
    let mut link = Link::new(
        server_with(&[AuthMethod::MsChapV2]),
        Box::new(CountingEntropy(5)),
    );
    let (now, challenge) = asked(&mut link);
    let wrong = response(AuthMethod::MsChapV2, &challenge, WRONG);
    let first = answer(&mut link, now, &wrong);
    assert_eq!(answer(&mut link, now, &wrong), first);
}

#[test]
fn who_goes_or_falls_silent_after_a_wrong_password_failed_to_log_in() {
    let silent = |link: &mut Link, now| {
        for second in 1..60 {
            link.handle_timeout(now + Duration::from_secs(second));
        }
    };
    let goes = |link: &mut Link, now| link.handle_frame(now, protocol::LCP, &packet(5, 9, &[]));
    let vanishes = |link: &mut Link, now| link.lower_down(now, Cause::HungUp);
    for end in [silent, goes, vanishes] as [fn(&mut Link, Instant); 3] {
        let mut link = Link::new(
            server_with(&[AuthMethod::MsChapV2]),
            Box::new(CountingEntropy(5)),
        );
        let (now, challenge) = asked(&mut link);
        answer(
            &mut link,
            now,
            &response(AuthMethod::MsChapV2, &challenge, WRONG),
        );
        assert_eq!(link.cause(), None);
        end(&mut link, now);
        assert_eq!(link.cause(), Some(Cause::AuthenticationFailed));
    }
}

#[test]
fn other_refusals_have_their_codes_and_no_second_try() {
    for (refusal, code) in [
        (Refusal::RestrictedHours, 646),
        (Refusal::Disabled, 647),
        (Refusal::PasswordExpired, 648),
        (Refusal::NoPermission, 649),
    ] {
        let mut link = Link::new(
            server_with(&[AuthMethod::MsChapV2]),
            Box::new(CountingEntropy(5)),
        );
        let (now, challenge) = asked(&mut link);
        let right = response(AuthMethod::MsChapV2, &challenge, PASSWORD);
        link.handle_frame(now, protocol::CHAP, &right);
        drain(&mut link);
        let message = None;
        link.handle_verdict(now, Verdict::Reject { refusal, message });
        let failure = sent_on(&drain(&mut link), protocol::CHAP).remove(0);
        let text = String::from_utf8(failure[4..].to_vec()).unwrap();
        assert!(text.starts_with(&format!("E={code} R=0 C=")), "{text}");
        assert_eq!(link.cause(), Some(Cause::AuthenticationFailed));
    }
}

#[test]
fn a_user_who_is_turned_away_is_told_why_in_the_words_of_the_database() {
    let told = |method: AuthMethod, message: &str| {
        let mut link = Link::new(server_with(&[method]), Box::new(CountingEntropy(5)));
        let (now, protocol) = (open_lcp(&mut link), method.protocol());
        let proof = match sent_on(&drain(&mut link), protocol).pop() {
            Some(challenge) => response(method, &challenge, PASSWORD),
            None => packet(1, 1, b"\x05User1\x0cStrongPass-1"),
        };
        link.handle_frame(now, protocol, &proof);
        drain(&mut link);
        let verdict = Verdict::Reject {
            refusal: Refusal::NoPermission,
            message: Some(message.to_owned()),
        };
        link.handle_verdict(now, verdict);
        let refusal = sent_on(&drain(&mut link), protocol).remove(0);
        String::from_utf8(refusal[4..].to_vec()).unwrap()
    };
    let words = "No credit\r\n";
    assert_eq!(told(AuthMethod::Pap, words), "\tNo credit");
    assert_eq!(told(AuthMethod::Chap, words), "No credit");
    assert!(told(AuthMethod::MsChapV2, words).ends_with(" V=3 M=No credit"));
    assert!(told(AuthMethod::MsChapV1, words).ends_with(" V=2"));
    // What cannot be shown is as nothing.
    assert_eq!(told(AuthMethod::Pap, "\0\n"), "\rAccess denied");
    assert_eq!(told(AuthMethod::Chap, ""), "Access denied");
    assert!(told(AuthMethod::MsChapV2, " ").ends_with(" M=No dial-in permission"));
    assert!(
        told(AuthMethod::MsChapV2, &"é".repeat(500)).ends_with(&["M=", &"é".repeat(100)].concat())
    );
}

#[test]
fn a_peer_is_asked_again_while_it_is_connected() {
    for method in [AuthMethod::Chap, AuthMethod::MsChapV1, AuthMethod::MsChapV2] {
        let config = Config {
            rechallenge: Some(Duration::from_secs(30)),
            ..server_with(&[method])
        };
        let mut pair = Pair::new(config, client());
        pair.open();
        pair.run(Duration::from_secs(100));
        assert!(pair.server.is_up() && pair.client.is_up(), "{method:?}");
        assert_eq!(pair.server.sent(protocol::CHAP, 1), 4, "{method:?}");
        assert_eq!(pair.server.sent(protocol::CHAP, 3), 4, "{method:?}");
        let ups = pair
            .server
            .count(|c| matches!(c, Command::NetworkUp { .. }));
        let users = pair
            .server
            .count(|c| matches!(c, Command::Authenticated { .. }));
        assert_eq!((ups, users), (1, 1), "nothing else changes");
        assert_eq!(pair.server.undecryptable, 0);
    }
}

#[test]
fn a_peer_that_cannot_prove_itself_again_is_sent_away() {
    let config = Config {
        rechallenge: Some(Duration::from_secs(30)),
        ..server_with(&[AuthMethod::MsChapV2])
    };
    let mut link = Link::new(config, Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    let later = now + Duration::from_secs(30);
    link.handle_timeout(later);
    let challenge = sent_on(&drain(&mut link), protocol::CHAP).remove(0);
    assert_eq!(challenge[0], 1);
    // Nothing comes back.
    for second in 1..20 {
        link.handle_timeout(later + Duration::from_secs(second));
    }
    assert_eq!(link.cause(), Some(Cause::Timeout));
}

#[test]
fn a_peer_by_pap_is_not_asked_again() {
    let config = Config {
        rechallenge: Some(Duration::from_secs(30)),
        ..server_with(&[AuthMethod::Pap])
    };
    let mut pair = Pair::new(config, client());
    pair.open();
    pair.run(Duration::from_secs(100));
    assert!(pair.server.is_up());
    assert_eq!(pair.server.sent(protocol::PAP, 2), 1);
}

/// pptpd's Challenge of 18 bytes and the answer of pppd, from a capture.
#[test]
fn chap_md5_of_any_length_is_answered_as_pppd_does() {
    let password = Zeroizing::new(PASSWORD.to_owned());
    for length in [1_u8, 16, 18, 23, 255] {
        let mut claimant = Claimant::new(start(), AuthMethod::Chap, USER, &password);
        let value = [&[length][..], &vec![7; usize::from(length)], b"pptpd"].concat();
        let heard = claimant.handle_packet(start(), &packet(1, 4, &value), &mut CountingEntropy(1));
        let Heard::Answer(answer) = heard else {
            panic!("{heard:?}");
        };
        assert_eq!(answer[4], 16);
        let proof = Proof::Chap {
            identifier: 4,
            challenge: vec![7; usize::from(length)],
            response: answer[5..21].try_into().unwrap(),
        };
        assert!(proof.check(USER, PASSWORD).is_some(), "{length}");
        assert!(proof.check(USER, WRONG).is_none(), "{length}");
    }
}

/// pppd crashed on an EAP frame whose length was not checked (CVE-2020-8597).
#[test]
fn eap_of_any_length_is_rejected_and_nothing_else() {
    for length in [0, 1, 3, 4, 5, 200, 1500] {
        let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
        let now = bring_up(&mut link);
        link.handle_frame(now, 0xc227, &vec![4; length]);
        let commands = drain(&mut link);
        let sent = sent_on(&commands, protocol::LCP);
        assert_eq!((commands.len(), sent.len()), (1, 1));
        assert_eq!((sent[0][0], &sent[0][4..6]), (8, &[0xc2, 0x27][..]));
        // And before the network phase by nothing.
        let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
        let now = open_lcp(&mut link);
        drain(&mut link);
        link.handle_frame(now, 0xc227, &vec![4; length]);
        assert_eq!(drain(&mut link), []);
    }
}

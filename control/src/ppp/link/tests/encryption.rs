//! `use-encryption`: who encrypts, who goes without, who leaves.

use greyhound_datapath::mppe::Strength;

use super::*;

fn outcome(server_policy: Encryption, client_policy: Encryption) -> Pair {
    let mut pair = Pair::new(
        server(),
        Config {
            encryption: client_policy,
            ..client()
        },
    );
    pair.encryption = server_policy;
    pair.open();
    pair.run(Duration::from_secs(20));
    pair
}

#[test]
fn it_is_used_where_both_ends_will() {
    for server_policy in [Encryption::Yes, Encryption::Required] {
        for client_policy in [Encryption::Yes, Encryption::Required] {
            let pair = outcome(server_policy, client_policy);
            assert!(pair.server.is_up() && pair.client.is_up());
            assert_eq!(pair.server.encoding(), "MPPE128 stateless");
        }
    }
}

#[test]
fn it_is_done_without_where_one_end_refuses_and_the_other_may() {
    for (server_policy, client_policy) in [
        (Encryption::No, Encryption::No),
        (Encryption::No, Encryption::Yes),
        (Encryption::Yes, Encryption::No),
    ] {
        let pair = outcome(server_policy, client_policy);
        assert!(
            pair.server.is_up() && pair.client.is_up(),
            "{server_policy:?} {client_policy:?}"
        );
        assert_eq!((&pair.server.rx, &pair.server.tx), (&None, &None));
        assert_eq!((&pair.client.rx, &pair.client.tx), (&None, &None));
    }
}

#[test]
fn the_end_that_requires_it_leaves_the_end_that_refuses_it_and_both_know_why() {
    for (server, client) in [
        (Encryption::Required, Encryption::No),
        (Encryption::No, Encryption::Required),
    ] {
        let pair = outcome(server, client);
        assert_eq!(pair.server.down(), Some(Cause::EncryptionNotNegotiated));
        assert_eq!(pair.client.down(), Some(Cause::EncryptionNotNegotiated));
    }
}

#[test]
fn a_method_without_keys_is_not_asked_for_where_it_is_required() {
    let mut pair = Pair::new(
        Config {
            encryption: Encryption::Required,
            ..server_with(&ALL_METHODS)
        },
        client_with(PASSWORD, &[AuthMethod::Pap]),
    );
    pair.open();
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.server.down(), Some(Cause::NoCommonAuthentication));
    assert_eq!(pair.server.sent(protocol::PAP, 2), 0);
}

#[test]
fn a_user_who_must_encrypt_and_came_without_keys_is_sent_away() {
    let mut pair = Pair::new(server_with(&[AuthMethod::Pap]), client());
    pair.encryption = Encryption::Required;
    pair.open();
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.server.down(), Some(Cause::EncryptionNotNegotiated));
}

#[test]
fn rx_keys_are_in_place_before_the_peer_may_encrypt() {
    let pair = Pair::up();
    assert_eq!(pair.server.undecryptable, 0);
    assert_eq!(pair.client.undecryptable, 0);

    // Frames overtake each other, and the first encrypted one overtakes what made it possible.
    for seed in 1..200 {
        let mut pair = Pair::new(server(), client());
        pair.random = seed;
        pair.faults.delayed = 50;
        pair.open();
        pair.run(Duration::from_secs(30));
        assert!(pair.server.is_up() && pair.client.is_up(), "seed {seed}");
        assert_eq!(pair.server.undecryptable, 0, "seed {seed}");
        assert_eq!(pair.client.undecryptable, 0, "seed {seed}");
    }
}

#[test]
fn the_network_goes_down_while_ccp_negotiates_again() {
    let mut pair = Pair::up();
    let now = pair.now;
    let request = packet(1, 77, &hex("120601000040"));
    pair.server.link.handle_frame(now, protocol::CCP, &request);
    pair.flush(End::Server);
    assert!(!pair.server.is_up());
    assert_eq!(pair.server.tx, None);
    pair.run(Duration::from_secs(5));
    assert!(pair.server.is_up() && pair.client.is_up());
    assert_eq!(pair.server.encoding(), "MPPE128 stateless");
    assert_eq!(pair.server.rx, pair.client.tx);
}

#[test]
fn a_link_that_was_encrypted_does_not_go_on_in_clear() {
    let mut pair = Pair::up();
    let now = pair.now;
    let rejection = packet(8, 9, &hex("80fd 0101000a 120601000040"));
    pair.server
        .link
        .handle_frame(now, protocol::LCP, &rejection);
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.server.down(), Some(Cause::EncryptionNotNegotiated));
    assert!(!pair.server.is_up());
}

#[test]
fn ccp_negotiated_again_without_encryption_does_not_go_on_in_clear() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    // The peer asks for nothing, and rejects what we ask for.
    for id in 10..20 {
        link.handle_frame(now, protocol::CCP, &packet(1, id, &[]));
        for request in sent_on(&drain(&mut link), protocol::CCP) {
            let code = if request.len() > 4 { 4 } else { 2 };
            if request[0] == 1 {
                let answer = packet(code, request[1], &request[4..]);
                link.handle_frame(now, protocol::CCP, &answer);
            }
        }
    }
    assert_eq!(link.cause, Some(Cause::EncryptionNotNegotiated));
    assert!(!link.network_is_up);
}

#[test]
fn a_user_has_the_strengths_that_it_may_have() {
    for (allowed, encoding) in [
        (vec![Strength::Bits40], "MPPE40 stateless"),
        (vec![Strength::Bits56], "MPPE56 stateless"),
        (vec![Strength::Bits128], "MPPE128 stateless"),
        (vec![Strength::Bits40, Strength::Bits56], "MPPE56 stateless"),
    ] {
        for policy in [Encryption::Yes, Encryption::Required] {
            let mut pair = Pair::new(server(), client());
            pair.encryption = policy;
            pair.strengths = Some(allowed.iter().copied().collect());
            pair.open();
            pair.run(Duration::from_secs(20));
            assert!(pair.server.is_up() && pair.client.is_up(), "{allowed:?}");
            assert_eq!(pair.server.encoding(), encoding);
            assert_eq!(pair.client.encoding(), encoding);
            assert_eq!(pair.server.undecryptable + pair.client.undecryptable, 0);
        }
    }
}

/// A server link as a user who may have 128 bit only, and what it sends by CCP to a peer that has
/// 40 bit only, by itself and for us.
fn weak_peer(policy: Encryption) -> (Link, Vec<Vec<u8>>) {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, _) = log_in_with(&mut link, |accept| {
        accept.encryption = policy;
        accept.strengths = Some([Strength::Bits128].into_iter().collect());
    });
    let mut said = Vec::new();
    let mut wish = "120601000020";
    for id in 10..20 {
        if link.ipcp.is_some() || link.cause.is_some() {
            break;
        }
        link.handle_frame(now, protocol::CCP, &packet(1, id, &hex(wish)));
        for request in sent_on(&drain(&mut link), protocol::CCP) {
            if request[0] == 1 {
                let answer = match request.len() {
                    4 => packet(2, request[1], &[]),
                    _ => packet(3, request[1], &hex("120601000020")),
                };
                link.handle_frame(now, protocol::CCP, &answer);
            } else if request[0] == 4 {
                wish = "";
            }
            said.push(request);
        }
    }
    (link, said)
}

#[test]
fn a_peer_that_has_none_of_the_user_s_strengths_goes_on_without_if_it_may() {
    let (link, said) = weak_peer(Encryption::Yes);
    let offer = said.iter().find(|packet| packet[0] == 1).unwrap();
    assert_eq!(offer[4..], hex("120601000040"));
    assert!(
        said.contains(&packet(4, 10, &hex("120601000020"))),
        "{said:02x?}"
    );
    assert_eq!(link.cause, None);
    assert_eq!(link.mppe, (None, None));
    assert!(link.ipcp.is_some());

    let (link, _) = weak_peer(Encryption::Required);
    assert_eq!(link.cause, Some(Cause::EncryptionNotNegotiated));
}

#[test]
fn a_user_who_may_have_no_strength_is_not_encrypted() {
    for (policy, down) in [
        (Encryption::Yes, None),
        (Encryption::Required, Some(Cause::EncryptionNotNegotiated)),
    ] {
        let mut pair = Pair::new(server(), client());
        pair.encryption = policy;
        pair.strengths = Some(Strengths::from_iter([]));
        pair.open();
        pair.run(Duration::from_secs(20));
        assert_eq!(pair.server.down(), down);
        assert_eq!(pair.server.is_up(), down.is_none());
        assert_eq!(pair.server.encoding(), "");
        assert_eq!(pair.server.sent(protocol::CCP, 1), 0);
    }
}

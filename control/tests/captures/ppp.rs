//! The PPP link of either end, the check of the proofs, and the decryption of all frames with the
//! keys that come out of it.

use greyhound_control::cause::Cause;
use greyhound_control::ppp::{AuthMethod, MppeKeys, Proof, protocol};
use greyhound_datapath::mppe::{Parameters, Strength};

use crate::pcap::{CLIENT_INNER, PASSWORD, SERVER_INNER};
use crate::replay::{Replay, USER, WRONG_PASSWORD};

#[test]
fn every_request_of_either_end_is_answered() {
    for name in [
        "mschap1-mppe128-stateless",
        "mschap2-mppe128-badpass",
        "mschap2-mppe128-ipv6",
        "mschap2-mppe128-stateless",
        "mschap2-mppe40-stateless",
        "pap-nomppe",
    ] {
        let replay = Replay::of(name);
        replay.server.assert_answered(&format!("{name}, server"));
        replay.client.assert_answered(&format!("{name}, client"));
    }
}

#[test]
fn sessions_come_up_with_the_addresses_of_the_capture_and_end_in_good_order() {
    for name in [
        "mschap1-mppe128-stateless",
        "mschap2-mppe128-ipv6",
        "mschap2-mppe128-stateless",
        "mschap2-mppe40-stateless",
        "pap-nomppe",
    ] {
        let Replay { server, client } = Replay::of(name);
        assert_eq!(
            server.network,
            Some((SERVER_INNER, CLIENT_INNER)),
            "{name}, server"
        );
        assert_eq!(
            client.network,
            Some((CLIENT_INNER, SERVER_INNER)),
            "{name}, client"
        );
        assert_eq!(server.down, Some(Cause::PeerRequest), "{name}");
        assert_eq!(client.down, Some(Cause::AdministratorRequest), "{name}");
    }
}

#[test]
fn each_end_proves_itself_with_the_bytes_of_the_capture() {
    for name in [
        "mschap1-mppe128-stateless",
        "mschap2-mppe128-ipv6",
        "mschap2-mppe128-stateful",
        "mschap2-mppe128-stateless",
        "mschap2-mppe40-stateless",
    ] {
        let Replay { server, client } = Replay::of(name);
        assert_eq!(server.sent_on(protocol::CHAP).len(), 2, "{name}");
        assert_eq!(
            server.sent_on(protocol::CHAP),
            client.heard_on(protocol::CHAP),
            "{name}: Challenge and Success"
        );
        assert_eq!(client.sent_on(protocol::CHAP).len(), 1, "{name}");
        assert_eq!(
            client.sent_on(protocol::CHAP),
            server.heard_on(protocol::CHAP),
            "{name}: Response"
        );
    }

    let Replay { server, client } = Replay::of("pap-nomppe");
    assert_eq!(
        client.sent_on(protocol::PAP),
        server.heard_on(protocol::PAP)
    );
}

#[test]
fn the_right_password_is_accepted_and_any_other_refused() {
    for (name, method) in [
        ("mschap1-mppe128-stateless", AuthMethod::MsChapV1),
        ("mschap2-mppe128-ipv6", AuthMethod::MsChapV2),
        ("mschap2-mppe128-stateful", AuthMethod::MsChapV2),
        ("mschap2-mppe128-stateless", AuthMethod::MsChapV2),
        ("mschap2-mppe40-stateless", AuthMethod::MsChapV2),
        ("pap-nomppe", AuthMethod::Pap),
    ] {
        let Replay { server, client } = Replay::of(name);
        let (user, proof) = server.proof.expect(name);
        assert_eq!(user, USER, "{name}");
        assert_eq!(proof.method(), method, "{name}");

        let (message, keys) = proof.check(&user, PASSWORD).expect(name);
        assert_eq!(keys.is_some(), method.has_keys(), "{name}");
        for wrong in ["", WRONG_PASSWORD, "strongpass-1", "StrongPass-1 "] {
            assert_eq!(proof.check(&user, wrong), None, "{name}, {wrong:?}");
        }
        if method == AuthMethod::MsChapV2 {
            const PROOF_LEN: usize = "S=".len() + 40;
            let success = client.heard_on(protocol::CHAP).pop().expect(name);
            let captured = str::from_utf8(&success[4..]).unwrap();
            assert!(captured.starts_with("S="), "{name}");
            assert_eq!(message[..PROOF_LEN], captured[..PROOF_LEN], "{name}");
        }
    }
}

#[test]
fn a_wrong_password_is_refused_and_both_ends_part_in_good_order() {
    let Replay { server, client } = Replay::of("mschap2-mppe128-badpass");

    let (user, proof) = server.proof.as_ref().unwrap();
    assert_eq!(proof.check(user, PASSWORD), None);
    // What makes it the proof of another password, not of none.
    assert!(proof.check(user, WRONG_PASSWORD).is_some());

    let failure = server.sent_on(protocol::CHAP).pop().unwrap();
    assert!(failure[4..].starts_with(b"E=691 R=1 C="), "{failure:02X?}");
    // Another try was allowed; it is the captured server that gives up here.
    assert_eq!(server.down, Some(Cause::AdministratorRequest));
    assert_eq!(client.down, Some(Cause::FailedToAuthenticateOurselves));
    assert_eq!((server.network, client.network), (None, None));
}

#[test]
fn chap_with_md5_is_answered_and_checked_as_pppd_does() {
    let Replay { server, client } = Replay::of("chapmd5-nomppe");

    assert_eq!(client.network, Some((CLIENT_INNER, SERVER_INNER)));
    assert_eq!(
        client.sent_on(protocol::CHAP),
        server.heard_on(protocol::CHAP)
    );
    let challenge = client.heard_on(protocol::CHAP).remove(0);
    let response = server.heard_on(protocol::CHAP).remove(0);
    let proof = Proof::Chap {
        identifier: response[1],
        challenge: challenge[5..5 + 18].to_vec(),
        response: response[5..5 + 16].try_into().unwrap(),
    };
    assert!(proof.check(USER, PASSWORD).is_some());
    assert_eq!(proof.check(USER, WRONG_PASSWORD), None);
}

#[test]
fn every_encrypted_frame_decrypts_with_the_keys_of_the_proof() {
    // IPv4 and IPv6 packets that the client and the server received, as counted by a decryptor that
    // shares no code with this one.
    for (name, strength, client_packets, server_packets) in [
        (
            "mschap1-mppe128-stateless",
            Strength::Bits128,
            (204, 1),
            (307, 1),
        ),
        ("mschap2-mppe128-ipv6", Strength::Bits128, (5, 23), (5, 23)),
        (
            "mschap2-mppe128-stateless",
            Strength::Bits128,
            (223, 2),
            (323, 2),
        ),
        (
            "mschap2-mppe40-stateless",
            Strength::Bits40,
            (207, 1),
            (295, 1),
        ),
    ] {
        let Replay { server, client } = Replay::of(name);
        let (user, proof) = server.proof.as_ref().unwrap();
        let (_, keys) = proof.check(user, PASSWORD).expect(name);
        let MppeKeys { bits128, bits40 } = keys.expect(name);
        let keys = match strength {
            Strength::Bits128 => bits128,
            Strength::Bits40 | Strength::Bits56 => bits40,
        };
        for (end, at, key, packets) in [
            (&server, "server", keys.rx, server_packets),
            (&client, "client", keys.tx, client_packets),
        ] {
            let expected = Parameters {
                start_key: key,
                strength,
                stateless: true,
            };
            assert_eq!(end.rx, Some(expected), "{name}, {at}");
            assert_eq!((end.ipv4, end.not_taken), packets, "{name}, {at}");
            let counters = end.session.counters();
            // The IPv6 packets were dropped once decrypted, and nothing else was dropped or lost.
            assert_eq!(counters.dropped, u64::from(end.not_taken), "{name}, {at}");
            assert_eq!(counters.rx_lost, 0, "{name}, {at}");
        }
    }
}

#[test]
fn a_peer_that_asks_for_stateful_encryption_is_asked_for_stateless_first() {
    let Replay { server, client } = Replay::of("mschap2-mppe128-stateful");

    let nak = [3, 1, 0, 10, 18, 6, 1, 0, 0, 0x40];
    for end in [&server, &client] {
        let sent = end.sent_on(protocol::CCP);
        assert!(sent.iter().any(|sent| *sent == nak), "{sent:02X?}");
    }
}

//! How two ends come up.

use super::*;

#[test]
fn both_ends_come_up_encrypted_and_in_order() {
    let pair = Pair::up();
    let names = |side: &Side| -> Vec<_> {
        side.log
            .iter()
            .map(|command| match command {
                Command::SetLink(link) => format!("SetLink {} {}", link.acfc, link.pfc),
                Command::Authenticate { user, proof } => {
                    format!("Authenticate {user} {:?}", proof.method())
                }
                Command::Authenticated { user } => format!("Authenticated {user}"),
                Command::SetMppe { rx, tx, encoding } => {
                    format!("SetMppe {} {} {encoding}", rx.is_some(), tx.is_some())
                }
                Command::NetworkUp {
                    network,
                    peer_mru,
                    our_mru,
                    compression,
                    ..
                } => format!(
                    "NetworkUp {} {} {:?} {peer_mru} {our_mru} {compression:?}",
                    network.ours, network.peer, network.dns[0]
                ),
                other => format!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(
        names(&pair.server),
        [
            "SetLink true true",
            "Authenticate DOMAIN\\User1 MsChapV2",
            "Authenticated DOMAIN\\User1",
            "SetMppe true false ",
            "SetMppe true true MPPE128 stateless",
            "NetworkUp 10.77.1.1 10.77.1.100 Some(9.9.9.9) 1400 1460 (true, true)",
        ]
    );
    assert_eq!(
        names(&pair.client),
        [
            "SetLink true true",
            "Authenticated DOMAIN\\User1",
            "SetMppe true false ",
            "SetMppe true true MPPE128 stateless",
            "NetworkUp 10.77.1.100 10.77.1.1 Some(9.9.9.9) 1460 1400 (true, true)",
        ]
    );
    assert_eq!(pair.server.rx, pair.client.tx);
    assert_eq!(pair.server.tx, pair.client.rx);
    assert_ne!(pair.server.tx, pair.server.rx);
}

#[test]
fn it_takes_no_retransmission() {
    let pair = Pair::up();
    let up = pair.frames;
    assert!(up < 40, "{up} frames");
    assert!(pair.server.link.poll_timeout().is_none());
    assert!(pair.client.link.poll_timeout().is_none());
}

#[test]
fn every_method_lets_the_right_password_in() {
    for (method, encoding) in [
        (AuthMethod::Pap, ""),
        (AuthMethod::MsChapV1, "MPPE128 stateless"),
        (AuthMethod::MsChapV2, "MPPE128 stateless"),
    ] {
        let mut pair = Pair::new(server_with(&[method]), client());
        pair.open();
        pair.run(Duration::from_secs(2));
        assert!(pair.server.is_up() && pair.client.is_up(), "{method:?}");
        assert_eq!(pair.server.encoding(), encoding, "{method:?}");
        assert_eq!(pair.client.encoding(), encoding, "{method:?}");
        assert_eq!(pair.server.undecryptable + pair.client.undecryptable, 0);
    }
}

#[test]
fn every_method_turns_the_wrong_password_away() {
    for method in [AuthMethod::Pap, AuthMethod::MsChapV1, AuthMethod::MsChapV2] {
        let mut pair = Pair::new(server_with(&[method]), client_with("WrongPass", &[method]));
        pair.open();
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.server.down(), Some(Cause::AuthenticationFailed));
        assert_eq!(
            pair.client.down(),
            Some(Cause::FailedToAuthenticateOurselves)
        );
        let failure = pair
            .server
            .sent
            .iter()
            .find(|(protocol, _)| *protocol == method.protocol());
        assert!(failure.is_some(), "{method:?}");
    }
}

#[test]
fn a_failure_has_the_words_of_rfc_2759() {
    let mut pair = Pair::new(server(), client_with("WrongPass", &ALL_METHODS));
    pair.open();
    pair.run(Duration::from_secs(2));
    let (_, failure) = pair
        .server
        .sent
        .iter()
        .find(|(protocol, payload)| *protocol == protocol::CHAP && payload[0] == 4)
        .unwrap();
    let text = std::str::from_utf8(&failure[4..]).unwrap();
    let (head, tail) = text.split_at("E=691 R=1 C=".len());
    assert_eq!(head, "E=691 R=1 C=");
    assert!(tail[..32].bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(&tail[32..], " V=3 M=Authentication failed");
}

#[test]
fn ends_without_a_common_method_part() {
    let mut pair = Pair::new(
        server_with(&[AuthMethod::MsChapV2]),
        client_with(PASSWORD, &[AuthMethod::Pap]),
    );
    pair.open();
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.server.down(), Some(Cause::NoCommonAuthentication));
    assert!(pair.client.down().is_some());
}

#[test]
fn the_client_s_wish_decides_between_the_methods_of_the_server() {
    let mut pair = Pair::new(
        server_with(&[AuthMethod::Pap, AuthMethod::MsChapV1, AuthMethod::MsChapV2]),
        client_with(PASSWORD, &[AuthMethod::Pap]),
    );
    pair.open();
    pair.run(Duration::from_secs(2));
    assert!(pair.server.is_up() && pair.client.is_up());
    assert_eq!(pair.server.sent(protocol::PAP, 2), 1);
}

#[test]
fn a_user_without_an_address_is_let_in_and_out_again() {
    let mut pair = Pair::new(server(), client());
    pair.network = None;
    pair.open();
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.server.down(), Some(Cause::NoRemoteAddress));
    for side in [&pair.server, &pair.client] {
        assert_eq!(
            side.count(|c| matches!(c, Command::Authenticated { .. })),
            1
        );
    }
}

#[test]
fn a_configuration_shows_no_password_in_debug_output() {
    let shown = format!("{:?}", client());
    assert!(shown.contains(USER) && !shown.contains(PASSWORD), "{shown}");
}

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use greyhound_datapath::ids::{PeerCallId, WorkerId};
use greyhound_datapath::ipc::{
    Held, Interface, IoMode, Limits, LinkOptions, Tunnel, Uplink, WorkerTotals,
};
use greyhound_datapath::stats::{SessionCounters, WorkerCounters};
use proptest::prelude::*;

use super::half_open::MAX_TURNED_AWAY;
use super::*;
use crate::accounting::Pending;
use crate::entropy::CountingEntropy;
use crate::hooks::When;
use crate::pptp::connection::FULL_TIMEOUT;
use crate::pptp::requests::{call_request, start_request};
use crate::pptp::wire::{CallClearRequest, GeneralError, OutgoingCallResult, Repr, StartResult};
use crate::session;

mod accounts;
mod dialling;
mod radius;
mod reconfigure;

const SERVER: &str = "
    /interface pptp-server server
    set enabled=yes
    /ip pool
    add name=guests ranges=10.0.1.10-10.0.1.11
    /ppp profile
    add name=pooled local-address=10.0.0.1 remote-address=guests
    add name=single local-address=10.0.0.1 remote-address=guests only-one=yes
    add name=nowhere
    /ppp secret
    add name=ann password=secret local-address=10.0.0.1 remote-address=10.0.0.5
    add name=bob password=secret profile=pooled
    add name=eve password=secret profile=single
    add name=far password=secret profile=pooled caller-id=192.0.2.99
    add name=off password=secret profile=pooled disabled=yes
    add name=sstp password=secret profile=pooled service=sstp
    add name=lost password=secret profile=nowhere
";

// A session from end to end

#[test]
fn a_session_comes_up_and_ends_with_the_log_lines_in_their_order() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.client.take_log();
    assert_eq!(
        world.server.take_log(),
        [
            "pptp,info TCP connection established from 192.0.2.1",
            "pptp,ppp,info,account ann logged in, 10.0.0.5 from 192.0.2.1",
            "pptp,ppp,info <pptp-ann>: authenticated",
            "pptp,ppp,info <pptp-ann>: using encoding - MPPE128 stateless",
            "pptp,ppp,info <pptp-ann>: connected",
        ]
    );
    world.advance(Duration::from_secs(7));
    world.server.datapath.counters = SessionCounters {
        rx_bytes: 100,
        tx_bytes: 200,
        rx_packets: 3,
        tx_packets: 4,
        ..SessionCounters::default()
    };
    world.client.stop(world.now);
    world.run_until(|world| world.server.sessions() == 0 && world.client.is_stopped());
    assert_eq!(
        world.server.take_log(),
        [
            "pptp,ppp,info <pptp-ann>: terminating... - hungup",
            "pptp,ppp,info,account ann logged out, 7 100 200 3 4 from 192.0.2.1",
            "pptp,ppp,info <pptp-ann>: disconnected",
        ]
    );
    world.check_nothing_is_left();
}

#[test]
fn the_lines_of_a_session_say_what_they_are_about() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.advance(Duration::from_secs(7));
    world.server.datapath.counters = SessionCounters {
        rx_bytes: 100,
        tx_bytes: 200,
        rx_packets: 3,
        tx_packets: 4,
        ..SessionCounters::default()
    };
    world.client.stop(world.now);
    world.run_until(|world| world.server.sessions() == 0 && world.client.is_stopped());
    let fields = |message| {
        let mut lines = world.server.lines.iter();
        let found = lines.find(|line| line.message == Some(message));
        let mut fields = found.expect("it was said").fields.clone();
        fields.sort();
        fields
    };
    let own = |fields: &[(Field, &str)]| -> Vec<(Field, String)> {
        let own = fields.iter();
        own.map(|&(field, value)| (field, value.to_owned()))
            .collect()
    };
    assert_eq!(
        fields(Message::TcpEstablished),
        own(&[(Field::Caller, "192.0.2.1")])
    );
    assert_eq!(
        fields(Message::LoggedIn),
        own(&[
            (Field::User, "ann"),
            (Field::Session, "0x81a00000"),
            (Field::Interface, "<pptp-ann>"),
            (Field::Caller, "192.0.2.1"),
            (Field::Address, "10.0.0.5"),
        ])
    );
    assert_eq!(
        fields(Message::LoggedOut),
        own(&[
            (Field::User, "ann"),
            (Field::Session, "0x81a00000"),
            (Field::Interface, "<pptp-ann>"),
            (Field::KernelName, "tun0"),
            (Field::Caller, "192.0.2.1"),
            (Field::Address, "10.0.0.5"),
            (Field::Cause, "hungup"),
            (Field::Duration, "7"),
            (Field::RxBytes, "100"),
            (Field::TxBytes, "200"),
            (Field::RxPackets, "3"),
            (Field::TxPackets, "4"),
        ])
    );
    let order = [
        Message::TcpEstablished,
        Message::LoggedIn,
        Message::Authenticated,
        Message::Encoding,
        Message::Connected,
        Message::Terminating,
        Message::LoggedOut,
        Message::Disconnected,
    ];
    let said = world.server.lines.iter().filter_map(|line| line.message);
    let said: Vec<_> = said.filter(|message| order.contains(message)).collect();
    assert_eq!(said, order);
}

#[test]
fn control_messages_and_packets_are_told_if_they_are_wanted() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.server.engine.trace();
    world.run_until(|world| world.is_connected(0));
    let said = |message| -> Vec<_> {
        let lines = world.server.lines.iter();
        let lines = lines.filter(|line| line.message == Some(message));
        lines.map(|line| &*line.text).collect()
    };
    assert_eq!(
        said(Message::ControlMessage),
        [
            "rcvd Start-Control-Connection-Request from 192.0.2.1",
            "sent Start-Control-Connection-Reply to 192.0.2.1",
            "rcvd Outgoing-Call-Request from 192.0.2.1",
            "sent Outgoing-Call-Reply to 192.0.2.1",
        ]
    );
    let packets = said(Message::PppPacket);
    let request = packets
        .iter()
        .position(|text| text.contains("rcvd LCP ConfReq id="));
    assert!(
        packets[request.unwrap() + 1].starts_with("   <"),
        "{packets:#?}"
    );
    let response = packets
        .iter()
        .find(|text| text.contains("rcvd CHAP Response"));
    assert!(response.unwrap().ends_with(" \"ann\""), "{packets:#?}");
    assert!(packets.contains(&"   <addr 10.0.0.5>"), "{packets:#?}");
    let client = world.client.lines.iter();
    let mut messages = client.filter_map(|line| line.message);
    assert!(!messages.any(|one| one == Message::PppPacket || one == Message::ControlMessage));
}

#[test]
fn hooks_run_when_a_session_has_come_up_and_when_it_has_ended() {
    let hooks = r#"on-up="/etc/up 'a b' \$c" on-down=/etc/down"#;
    let server = format!("{SERVER}\n/ppp profile set default {hooks}\n");
    let clients = [("out1", "ann", "secret")];
    let mut world = World::new(&server, &clients);
    let profile = format!("/ppp profile set default-encryption {hooks}\n");
    let client = format!("{}{profile}", client_config(&clients));
    world.client = Host::new(&client, "192.0.2.1");
    world.client.greet(world.now);
    world.run_until(|world| world.is_connected(0));
    let told = |hook: &Hook, name: &str| -> Option<String> {
        let mut variables = hook.environment.iter();
        let found = variables.find(|(variable, _)| variable == name)?;
        Some(found.1.clone())
    };
    for (host, interface, ours, peer) in [
        (&world.server, "<pptp-ann>", "10.0.0.1", "10.0.0.5"),
        (&world.client, "out1", "10.0.0.5", "10.0.0.1"),
    ] {
        let [up] = &host.hooks[..] else {
            panic!("{:?}", host.hooks);
        };
        assert_eq!((up.when, &*up.interface), (When::Up, interface));
        assert_eq!(up.program.to_str(), Some("/etc/up"));
        assert_eq!(up.arguments, ["a b", "$c"]);
        for (name, value) in [
            ("PPTP_HOOK", Some("on-up")),
            ("PPTP_USER", Some("ann")),
            ("PPTP_INTERFACE", Some(interface)),
            ("PPTP_KERNEL_NAME", Some("tun0")),
            ("PPTP_LOCAL_ADDRESS", Some(ours)),
            ("PPTP_REMOTE_ADDRESS", Some(peer)),
            ("PPTP_CALLER_ID", Some("192.0.2.1")),
            ("PPTP_CALLED_ID", Some("192.0.2.2")),
            ("PPTP_CAUSE", None),
        ] {
            assert_eq!(told(up, name).as_deref(), value, "{name}");
        }
    }
    world.advance(Duration::from_secs(7));
    world.client.stop(world.now);
    world.run_until(|world| world.server.sessions() == 0 && world.client.is_stopped());
    for host in [&world.server, &world.client] {
        let [_, down] = &host.hooks[..] else {
            panic!("{:?}", host.hooks);
        };
        assert_eq!(down.when, When::Down);
        assert_eq!(down.program.to_str(), Some("/etc/down"));
        assert_eq!(told(down, "PPTP_DURATION").as_deref(), Some("7"));
        assert!(told(down, "PPTP_CAUSE").is_some());
    }
}

#[test]
fn a_lost_datapath_ends_sessions_with_their_hooks_once() {
    let server = format!("{SERVER}\n/ppp profile set default on-up=/up on-down=/down\n");
    let mut world = World::new(&server, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.server.lose_datapath(world.now);
    let ran: Vec<_> = world.server.hooks.iter().map(|hook| hook.when).collect();
    assert_eq!(ran, [When::Up, When::Down]);
}

#[test]
fn what_cannot_be_a_hook_is_a_warning_and_a_session_that_never_came_up_has_none() {
    let server = format!("{SERVER}\n/ppp profile set pooled on-up=\":log info up\"\n");
    let server = format!("{server}/ppp profile set default on-up=\":log info up\"\n");
    let clients = [("out1", "ann", "wrong"), ("out2", "bob", "secret")];
    let mut world = World::new(&server, &clients);
    world.run_until(|world| world.is_connected(1));
    assert!(world.server.hooks.is_empty());
    let log = world.server.take_log();
    let warnings = log.iter().filter(|line| line.starts_with("script,"));
    let warning = "script,warning <pptp-bob>: on-up: :log is not an absolute path";
    assert_eq!(warnings.collect::<Vec<_>>(), [warning]);
}

#[test]
fn a_client_logs_its_steps_and_its_end() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    assert_eq!(
        world.client.take_log(),
        [
            "pptp,ppp,info out1: initializing...",
            "pptp,ppp,info out1: connecting...",
            "pptp,ppp,info out1: authenticated",
            "pptp,ppp,info out1: using encoding - MPPE128 stateless",
            "pptp,ppp,info out1: connected",
        ]
    );
    world.server.stop(world.now);
    world.run_until(|world| world.client.sessions() == 0);
    let log = world.client.take_log();
    assert_eq!(
        log[..2],
        [
            "pptp,ppp,info out1: terminating... - hungup",
            "pptp,ppp,info out1: disconnected",
        ]
    );
}

#[test]
fn a_dial_that_fails_says_why_once() {
    let mut world = World::new(SERVER, &[("out1", "ann", "wrong")]);
    world.run_until(|world| {
        let client = &world.client.engine.clients[&ClientId(0)];
        client.last_end.is_some() && client.session.is_none()
    });
    let log = world.client.take_log();
    assert_eq!(
        log[2..5],
        [
            "pptp,ppp,error out1: the server refused: Authentication failed (691)",
            "pptp,ppp,info out1: terminating... - failed to authenticate ourselves to peer",
            "pptp,ppp,info out1: disconnected",
        ]
    );
    let last_end = world.client.engine.clients[&ClientId(0)].last_end;
    assert_eq!(last_end, Some(Cause::FailedToAuthenticateOurselves));
}

#[test]
fn both_ends_know_the_addresses_the_mtu_and_the_encoding() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.advance(Duration::from_secs(5));
    let server = world.server.engine.snapshot(world.now);
    let [session] = server.server_sessions.as_slice() else {
        panic!("not one session");
    };
    assert_eq!(session.name, "<pptp-ann>");
    assert_eq!(session.kernel_name, "tun0");
    assert_eq!(session.user, "ann");
    assert_eq!(session.client_address, CLIENT);
    assert_eq!(session.address, Ipv4Addr::new(10, 0, 0, 5));
    assert_eq!(session.encoding, "MPPE128 stateless");
    assert_eq!(session.uptime, Duration::from_secs(5));
    assert_eq!(session.session_id, 0x81a0_0000);
    // 1500 less 40: compressed headers on both sides.
    assert_eq!((session.mtu, session.mru), (1460, 1460));
    assert_eq!((session.path_mtu, session.overhead), (1500, 40));
    let client = world.client.engine.snapshot(world.now);
    let [state] = client.clients.as_slice() else {
        panic!("not one client");
    };
    assert_eq!(state.status, "connected");
    let connected = state.connected.as_ref().unwrap();
    assert_eq!(connected.local_address, Ipv4Addr::new(10, 0, 0, 5));
    assert_eq!(connected.remote_address, Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(connected.mtu, 1460);
    let attached = &world.server.datapath.interfaces[&SessionId(0)];
    assert!(attached.check_source);
    let attached = &world.client.datapath.interfaces[&SessionId(0)];
    assert_eq!(attached.name, "out1");
    assert!(!attached.check_source);
}

#[test]
fn a_narrow_uplink_makes_the_mtu_smaller() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.server.datapath.uplink_mtu = 1400;
    world.server.greet(world.now);
    world.run_until(|world| world.is_connected(0));
    let server = world.server.engine.snapshot(world.now);
    assert_eq!(server.server_sessions[0].mtu, 1360);
}

#[test]
fn the_datapath_knows_the_call_before_the_caller_does() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    server.greet(now());
    let conn = server.accept(now(), CLIENT).unwrap();
    server.receive(now(), conn, start_request());
    server.engine.drain();
    server.receive(now(), conn, call_request(0));
    let commands = server.engine.drain();
    let install = commands
        .iter()
        .position(|command| matches!(command, Command::Datapath(Request::Install { .. })));
    let reply = commands
        .iter()
        .position(|command| matches!(command, Command::Send { .. }));
    assert!(install.unwrap() < reply.unwrap());
    // The client may not listen to GRE before it has the reply.
    let speaks = |command: &Command| matches!(command, Command::Datapath(Request::Send { .. }));
    assert!(!commands.iter().any(speaks));
    let later = now() + session::SPEAK_TIMEOUT;
    server.engine.handle_timeout(later);
    assert!(server.engine.drain().iter().any(speaks));
}

// Logging in

#[test]
fn who_may_not_log_in_is_turned_away_and_leaves_nothing() {
    let cases = [
        ("ann", "wrong"),
        ("nobody", "secret"),
        ("far", "secret"),
        ("off", "secret"),
        ("sstp", "secret"),
    ];
    for (user, password) in cases {
        let mut world = World::new(SERVER, &[("out1", user, password)]);
        world.run_until(|world| {
            let log = &world.client.log;
            log.iter().any(|line| line.ends_with("disconnected"))
        });
        let log = world.client.take_log();
        let end = "failed to authenticate ourselves to peer";
        assert!(log.iter().any(|line| line.ends_with(end)), "{log:?}");
        world.run_until(|world| world.server.sessions() == 0);
        let log = world.server.take_log();
        let refusal = format!(": user {user} authentication failed");
        assert!(log[1].starts_with("pptp,ppp,error <"), "{log:?}");
        assert!(log[1].ends_with(&refusal), "{log:?}");
        assert!(log[2].ends_with("terminating... - authentication failed"));
        assert!(log[3].ends_with("disconnected"));
        world.client.stop(world.now);
        world.run_until(|world| world.client.is_stopped());
        world.check_nothing_is_left();
    }
}

#[test]
fn a_domain_in_front_of_the_name_does_not_matter_if_nobody_is_called_so() {
    let mut world = World::new(SERVER, &[("out1", "OFFICE\\ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    let server = world.server.engine.snapshot(world.now);
    assert_eq!(server.server_sessions[0].name, "<pptp-ann>");
    assert_eq!(server.server_sessions[0].user, "OFFICE\\ann");
}

#[test]
fn a_user_may_come_twice_and_gets_two_addresses_and_names() {
    let clients = [("out1", "bob", "secret"), ("out2", "bob", "secret")];
    let mut world = World::new(SERVER, &clients);
    world.run_until(|world| world.is_connected(0) && world.is_connected(1));
    let server = world.server.engine.snapshot(world.now);
    let mut sessions: Vec<_> = server
        .server_sessions
        .iter()
        .map(|session| (session.name.as_str(), session.address.octets()[3]))
        .collect();
    sessions.sort_unstable();
    assert_eq!(sessions, [("<pptp-bob-1>", 11), ("<pptp-bob>", 10)]);
}

#[test]
fn only_one_lets_a_second_login_replace_the_first() {
    let clients = [("out1", "eve", "secret"), ("out2", "eve", "secret")];
    let mut world = World::new(SERVER, &clients);
    world.client.hold(1);
    world.run_until(|world| world.is_connected(0));
    world.client.hold(0);
    world.release(1);
    world.server.take_log();
    world.run_until(|world| world.is_connected(1));
    let log = world.server.take_log();
    assert_eq!(
        log[..2],
        [
            "pptp,info TCP connection established from 192.0.2.1",
            "pptp,ppp,info <pptp-eve>: terminating... - administrator request",
        ]
    );
    world.run_until(|world| world.server.sessions() == 1);
    let server = world.server.engine.snapshot(world.now);
    assert_eq!(server.server_sessions[0].name, "<pptp-eve>");
    assert_eq!(server.server_sessions[0].address.octets()[3], 10);
}

#[test]
fn a_user_with_an_address_of_its_own_replaces_the_session_that_has_it() {
    let clients = [("out1", "ann", "secret"), ("out2", "ann", "secret")];
    let mut world = World::new(SERVER, &clients);
    world.client.hold(1);
    world.run_until(|world| world.is_connected(0));
    world.client.hold(0);
    world.release(1);
    world.run_until(|world| world.is_connected(1));
    world.run_until(|world| world.server.sessions() == 1);
}

#[test]
fn an_exhausted_pool_and_a_profile_without_addresses_are_named_in_the_log() {
    let clients = [
        ("out1", "bob", "secret"),
        ("out2", "bob", "secret"),
        ("out3", "bob", "secret"),
    ];
    let mut world = World::new(SERVER, &clients);
    world.run_until(|world| {
        let log = &world.server.log;
        log.iter().any(|line| line.contains("could not determine"))
    });
    let log = world.server.take_log();
    let full =
        "pptp,ppp,error no remote-address for bob: no free address: pool guests has 0 of 2 free";
    assert!(log.iter().any(|line| line == full), "{log:#?}");

    let mut world = World::new(SERVER, &[("out1", "lost", "secret")]);
    world.run_until(|world| {
        let log = &world.server.log;
        log.iter().any(|line| line.contains("could not determine"))
    });
    let log = world.server.take_log();
    let unset =
        "pptp,ppp,error no local-address for lost: neither the secret nor a profile has one";
    assert!(log.iter().any(|line| line == unset), "{log:#?}");
}

#[test]
fn a_client_that_does_not_authenticate_in_time_is_ended() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    server.greet(now());
    server.call(now(), CLIENT, 7);
    let mut later = now();
    while server.sessions() > 0 || later == now() {
        later = server.engine.poll_timeout().unwrap();
        server.engine.handle_timeout(later);
        server.obey(later);
    }
    assert!(later <= now() + session::AUTHENTICATION_TIMEOUT + Duration::from_secs(10));
    let log = server.take_log();
    assert!(
        log[1].ends_with("no GRE from 192.0.2.1 - protocol 47 blocked?"),
        "{log:?}"
    );
    assert!(log[2].ends_with("terminating... - timeout"), "{log:?}");
}

// The datapath

#[test]
fn without_a_datapath_calls_are_refused_and_clients_wait() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    let conn = server.accept(now(), CLIENT).unwrap();
    server.receive(now(), conn, start_request());
    server.engine.drain();
    server.receive(now(), conn, call_request(7));
    assert_eq!(server.refusal(), GeneralError::PacError);
    let client = Host::new(&client_config(&[("out1", "ann", "secret")]), "192.0.2.1");
    assert_eq!(client.engine.poll_timeout(), None);
}

#[test]
fn a_datapath_of_another_version_is_left() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    server.engine.handle_datapath_connected(now());
    let hello = Request::Hello {
        version: ipc::VERSION,
    };
    let said = server.engine.drain();
    assert_eq!(said.last(), Some(&Command::Datapath(hello)));
    server.engine.handle_datapath_event(
        now(),
        Event::Hello {
            version: ipc::VERSION + 1,
            uplinks: Vec::new(),
            workers: 1,
        },
    );
    assert_eq!(server.engine.drain().last(), Some(&Command::CloseDatapath));
}

#[test]
fn what_a_datapath_holds_from_before_is_removed_and_its_number_not_used_meanwhile() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    let tunnel = Tunnel {
        ours: Ipv4Addr::new(192, 0, 2, 2),
        peer: CLIENT,
        call_id: CallId(1),
        peer_call_id: PeerCallId(1),
    };
    server.datapath.sessions.insert(SessionId(0), tunnel);
    server.datapath.answers_removals = false;
    server.greet(now());
    assert!(server.datapath.sessions.is_empty());
    server.call(now(), CLIENT, 7);
    let numbers: Vec<_> = server.datapath.sessions.keys().copied().collect();
    assert_eq!(numbers, [SessionId(1)]);
}

#[test]
fn what_a_datapath_knows_of_a_removed_session_is_forgotten_and_its_number_free() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    let tunnel = Tunnel {
        ours: Ipv4Addr::new(192, 0, 2, 2),
        peer: CLIENT,
        call_id: CallId(1),
        peer_call_id: PeerCallId(1),
    };
    let removed = (tunnel, SessionCounters::default());
    server.datapath.removed.insert(SessionId(0), removed);
    server.greet(now());
    assert!(server.datapath.removed.is_empty());
    server.call(now(), CLIENT, 7);
    let numbers: Vec<_> = server.datapath.sessions.keys().copied().collect();
    assert_eq!(numbers, [SessionId(0)]);
}

#[test]
fn a_lost_datapath_ends_all_sessions_and_a_new_one_gets_them_again() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.server.take_log();
    world.server.lose_datapath(world.now);
    assert_eq!(world.server.sessions(), 0);
    let log = world.server.take_log();
    assert_eq!(
        log,
        [
            "pptp,ppp,info <pptp-ann>: terminating... - datapath failed",
            "pptp,ppp,info,account ann logged out, 0 0 0 0 0 from 192.0.2.1",
            "pptp,ppp,info <pptp-ann>: disconnected",
        ]
    );
    world.run_until(|world| !world.is_connected(0));
    world.server.greet(world.now);
    world.run_until(|world| world.is_connected(0));
}

#[test]
fn a_client_whose_datapath_is_lost_dials_again_when_it_is_back() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.client.lose_datapath(world.now);
    world.run_until(|world| world.server.sessions() == 0);
    world.advance(Duration::from_secs(100));
    assert!(!world.is_connected(0));
    world.client.greet(world.now);
    world.run_until(|world| world.is_connected(0));
}

#[test]
fn what_the_datapath_cannot_do_ends_the_session_with_its_reason() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.server.datapath.refuses_interfaces = true;
    world.run_until(|world| {
        let log = &world.server.log;
        log.iter().any(|line| line.ends_with("disconnected"))
    });
    let log = world.server.take_log();
    let reason = "pptp,ppp,error <pptp-ann>: no interface for you";
    let at = log.iter().position(|line| line == reason).unwrap();
    assert!(log[at + 1].ends_with("terminating... - datapath failed"));
}

#[test]
fn counters_are_read_on_request_and_the_totals_with_them() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    assert_eq!(Host::new(SERVER, "192.0.2.2").engine.refresh(now()), None);
    world.run_until(|world| world.is_connected(0));
    world.server.datapath.counters.rx_packets = 42;
    let asked = world.server.engine.refresh(world.now).unwrap();
    world.run_until(|world| world.server.engine.refreshed() == asked);
    let snapshot = world.server.engine.snapshot(world.now);
    assert_eq!(snapshot.server_sessions[0].counters.rx_packets, 42);
    let datapath = snapshot.datapath.unwrap();
    assert_eq!(datapath.workers.len(), 1);
    let [uplink] = &datapath.uplinks[..] else {
        panic!("{:?}", datapath.uplinks);
    };
    assert_eq!((uplink.name.as_str(), uplink.io), ("eth0", IoMode::Skb));
}

#[test]
fn a_peer_that_falls_silent_is_noticed_by_the_counters() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.server.take_log();
    world.gre_is_cut = true;
    let before = world.now;
    world.run_until(|world| world.server.sessions() == 0);
    let took = world.now - before;
    assert!(
        took > Duration::from_secs(34) && took < Duration::from_secs(45),
        "{took:?}"
    );
    let log = world.server.take_log();
    let missed = "pptp,ppp,info <pptp-ann>: LCP missed echo reply";
    assert_eq!(log.iter().filter(|line| *line == missed).count(), 5);
    assert!(
        log.iter()
            .any(|line| line.ends_with("terminating... - peer is not responding"))
    );
}

// Dialling

#[test]
fn a_server_that_cannot_be_reached_is_tried_again_and_again() {
    let mut client = Host::new(&client_config(&[("out1", "ann", "secret")]), "192.0.2.1");
    client.greet(now());
    let mut dials = Vec::new();
    let mut now = now();
    for _ in 0..5 {
        let conn = client.connects.pop_front().unwrap();
        dials.push(now - self::now());
        client
            .engine
            .handle_unreachable(now, conn, ErrorKind::ConnectionRefused, "refused");
        client.obey(now);
        if !client.connects.is_empty() {
            continue;
        }
        now = client.engine.poll_timeout().unwrap();
        client.engine.handle_timeout(now);
        client.obey(now);
    }
    let waits: Vec<_> = dials.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(waits[0], Duration::ZERO, "the first is at once");
    for (wait, seconds) in waits[1..].iter().zip([1, 2, 4]) {
        let whole = Duration::from_secs(seconds);
        assert!((whole / 2..=whole).contains(wait), "{waits:?}");
    }
    let state = &client.engine.snapshot(now).clients[0];
    assert_eq!(
        (state.status, state.last_end),
        ("connecting", Some(Cause::ConnectRefused))
    );
    assert_eq!(
        client.take_log()[..5],
        [
            "pptp,ppp,info out1: initializing...",
            "pptp,ppp,info out1: connecting...",
            "pptp,ppp,warning out1: cannot connect to 192.0.2.2: refused",
            "pptp,ppp,info out1: terminating... - connection refused",
            "pptp,ppp,info out1: disconnected",
        ]
    );
}

#[test]
fn a_name_that_is_never_resolved_is_given_up() {
    let mut client = Host::new(&client_config(&[("out1", "ann", "secret")]), "192.0.2.1");
    client.greet(now());
    client.engine.drain();
    let deadline = client.engine.poll_timeout().unwrap();
    client.engine.handle_timeout(deadline);
    let commands = client.engine.drain();
    assert!(matches!(commands[0], Command::Close { .. }));
}

// Strangers

#[test]
fn connections_without_a_session_are_limited_and_their_end_makes_room() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    server.greet(now());
    let accepted: Vec<_> = (0..MAX_STRANGERS_PER_SOURCE)
        .filter_map(|_| server.accept(now(), CLIENT))
        .collect();
    assert_eq!(accepted.len(), MAX_STRANGERS_PER_SOURCE);
    // The next one is told why, and the connection ends.
    let turned_away = server.accept(now(), CLIENT).unwrap();
    server.engine.drain();
    server.receive(now(), turned_away, start_request());
    let commands = server.engine.drain();
    let reply = commands.iter().find_map(|command| {
        if let Command::Send { bytes, .. } = command {
            Repr::parse(bytes).ok()
        } else {
            None
        }
    });
    let Some(Repr::StartControlConnectionReply(reply)) = reply else {
        panic!("{commands:?}");
    };
    assert_eq!(reply.result, StartResult::GeneralError);
    assert_eq!(reply.error, GeneralError::NoResource);
    let closes = |command: &Command| matches!(command, Command::Close { .. });
    assert!(commands.iter().any(closes));
    // Even of those there may be too many, and all give up in time.
    let more = (0..1000)
        .filter_map(|_| server.accept(now(), CLIENT))
        .count();
    assert_eq!(more, MAX_TURNED_AWAY);
    server.engine.handle_timeout(now() + FULL_TIMEOUT);
    server.engine.drain();
    assert!(server.accept(now(), CLIENT).is_some());
    server.engine.handle_closed(now(), accepted[0]);
    assert!(server.accept(now(), CLIENT).is_some());
}

#[test]
fn a_stranger_gets_few_sessions_on_a_connection() {
    let mut server = Host::new(SERVER, "192.0.2.2");
    server.greet(now());
    let conn = server.accept(now(), CLIENT).unwrap();
    server.receive(now(), conn, start_request());
    for call in 0..u16::try_from(MAX_STRANGER_CALLS).unwrap() {
        server.receive(now(), conn, call_request(call));
    }
    server.obey(now());
    assert_eq!(server.sessions(), MAX_STRANGER_CALLS);
    server.receive(now(), conn, call_request(99));
    assert_eq!(server.refusal(), GeneralError::NoResource);
    assert_eq!(server.sessions(), MAX_STRANGER_CALLS);
}

#[test]
fn more_calls_than_max_sessions_are_refused_for_lack_of_resources() {
    let config = SERVER.replace("set enabled=yes", "set enabled=yes max-sessions=2");
    let mut server = Host::new(&config, "192.0.2.2");
    server.greet(now());
    let conn = server.accept(now(), CLIENT).unwrap();
    server.receive(now(), conn, start_request());
    for call in 0..2 {
        server.receive(now(), conn, call_request(call));
    }
    server.obey(now());
    assert_eq!(server.sessions(), 2);
    server.receive(now(), conn, call_request(9));
    assert_eq!(server.refusal(), GeneralError::NoResource);
    assert_eq!(server.sessions(), 2);
}

#[test]
fn a_hundred_clients_at_once_come_up_and_leave_nothing() {
    let names: Vec<_> = (0..100).map(|client| format!("out{client}")).collect();
    let clients: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), "bob", "secret"))
        .collect();
    let config = SERVER.replace("10.0.1.10-10.0.1.11", "10.0.1.10-10.0.1.150");
    let mut world = World::new(&config, &clients);
    world.run_until(|world| (0..100).all(|client| world.is_connected(client)));
    let server = world.server.engine.snapshot(world.now);
    let addresses: BTreeSet<_> = server
        .server_sessions
        .iter()
        .map(|one| one.address)
        .collect();
    assert_eq!(addresses.len(), 100);
    assert!(world.now - now() < Duration::from_secs(5));
    world.client.stop(world.now);
    world.run_until(|world| world.client.is_stopped() && world.server.sessions() == 0);
    world.check_nothing_is_left();
}

// Stopping

#[test]
fn a_stop_tells_every_peer_and_takes_the_interfaces_away() {
    let mut world = World::new(
        SERVER,
        &[("out1", "ann", "secret"), ("out2", "bob", "secret")],
    );
    world.run_until(|world| world.is_connected(0) && world.is_connected(1));
    world.server.take_log();
    let before = world.now;
    world.server.stop(world.now);
    world.run_until(|world| world.server.is_stopped());
    assert!(
        world.now - before < Duration::from_secs(1),
        "peers answered"
    );
    assert!(world.server.datapath.sessions.is_empty());
    let log = world.server.take_log();
    assert!(log.contains(&"pptp,ppp,info <pptp-ann>: terminating... - reboot".to_owned()));
    assert!(log.contains(&"pptp,ppp,info <pptp-bob>: disconnected".to_owned()));
    assert_eq!(world.server.accept(world.now, CLIENT), None);
}

#[test]
fn a_stop_does_not_wait_for_peers_that_do_not_answer() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    let before = world.now;
    world.gre_is_cut = true;
    world.tcp_is_cut = true;
    world.server.stop(world.now);
    world.run_until(|world| world.server.is_stopped());
    assert!(world.now - before <= STOP_TIMEOUT);
    assert!(world.server.datapath.sessions.is_empty());
}

// Nonsense

#[derive(Clone, Debug)]
enum Step {
    Accept,
    Send(usize, Box<Repr>),
    HangUp(usize),
    Frame(u32, u16, Vec<u8>),
    Removed(u32),
    Failed(u32),
    Wait(u64),
    LoseDatapath,
    Greet,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let conn = 0..4_usize;
    let call = 0..3_u16;
    let session = 0..4_u32;
    let protocol = prop::sample::select(vec![0xc021, 0xc223, 0xc023, 0x80fd, 0x8021, 0x21, 0xfd]);
    let send = |conn, repr| Step::Send(conn, Box::new(repr));
    prop_oneof![
        4 => Just(Step::Accept),
        6 => conn.clone().prop_map(move |conn| send(conn, start_request())),
        8 => (conn.clone(), call.clone()).prop_map(move |(conn, id)| send(conn, call_request(id))),
        3 => (conn.clone(), call).prop_map(move |(conn, call_id)| {
            send(conn, CallClearRequest { call_id }.into())
        }),
        2 => (conn.clone(), any::<Repr>()).prop_map(move |(conn, repr)| send(conn, repr)),
        2 => conn.prop_map(Step::HangUp),
        8 => (session.clone(), protocol, any::<[u8; 3]>(), any::<Vec<u8>>()).prop_map(
            |(session, protocol, [code, id, _], data)| {
                let len = u16::try_from(data.len() + 4).unwrap_or(4).to_be_bytes();
                let head = [code % 12, id % 3, len[0], len[1]];
                Step::Frame(session, protocol, [&head, data.as_slice()].concat())
            }
        ),
        1 => session.clone().prop_map(Step::Removed),
        1 => session.prop_map(Step::Failed),
        4 => (0..20_u64).prop_map(Step::Wait),
        1 => Just(Step::LoseDatapath),
        2 => Just(Step::Greet),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #[test]
    fn nothing_that_peers_and_the_datapath_do_breaks_the_engine_or_leaks(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let (mut host, mut now, mut conns) = (Host::new(SERVER, "192.0.2.2"), now(), Vec::new());
        host.greet(now);
        for step in steps {
            match step {
                Step::Accept => conns.extend(host.accept(now, CLIENT)),
                Step::Send(conn, repr) => {
                    if let Some(&conn) = conns.get(conn) {
                        host.receive(now, conn, *repr);
                    }
                }
                Step::HangUp(conn) => {
                    if conn < conns.len() {
                        host.engine.handle_closed(now, conns.remove(conn));
                    }
                }
                Step::Frame(session, protocol, payload) => {
                    let session = SessionId(session);
                    let frame = Event::Frame { session, protocol, payload };
                    host.engine.handle_datapath_event(now, frame);
                }
                Step::Removed(session) => {
                    let session = SessionId(session);
                    // The datapath says so of its own accord only if it is so.
                    if let Some(tunnel) = host.datapath.sessions.remove(&session) {
                        let counters = SessionCounters::default();
                        host.datapath.removed.insert(session, (tunnel, counters));
                        let removed = Event::Removed { session, counters };
                        host.engine.handle_datapath_event(now, removed);
                    }
                }
                Step::Failed(session) => {
                    let (session, reason) = (SessionId(session), String::new());
                    host.engine.handle_datapath_event(now, Event::Failed { session, reason });
                }
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    host.engine.handle_timeout(now);
                }
                Step::LoseDatapath => host.lose_datapath(now),
                Step::Greet => {
                    host.datapath.sessions.clear();
                    host.datapath.removed.clear();
                    host.greet(now);
                }
                Step::Stop => host.stop(now),
            }
            host.obey(now);
        }
        for conn in conns {
            host.engine.handle_closed(now, conn);
            host.obey(now);
        }
        prop_assert!(host.engine.conns.is_empty());
        prop_assert_eq!(host.sessions(), 0);
        prop_assert!(host.engine.calls.is_empty());
        prop_assert!(host.engine.pools.used().next().is_none());
        prop_assert!(host.datapath.sessions.is_empty());
        prop_assert!(host.datapath.removed.is_empty());
        for _ in 0..MAX_STRANGERS_PER_SOURCE {
            prop_assert!(host.engine.half_open.enter(CLIENT), "a stranger is still counted");
        }
    }
}

// Helpers

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The same moment for the whole test.
fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START
}

fn client_config(clients: &[(&str, &str, &str)]) -> String {
    let mut text = "/interface pptp-client\n".to_owned();
    for (name, user, password) in clients {
        let user = user.replace('\\', "\\\\");
        text += &format!(
            "add name={name} user=\"{user}\" password={password} connect-to=192.0.2.2 disabled=no\n"
        );
    }
    text
}

trait Drain {
    fn drain(&mut self) -> Vec<Command>;
}

impl Drain for Server<CountingEntropy> {
    fn drain(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.poll_command()).collect()
    }
}

/// What a datapath would do, as far as the control process can tell.
struct Datapath {
    sessions: BTreeMap<SessionId, Tunnel>,
    /// Removed, and not forgotten.
    removed: BTreeMap<SessionId, (Tunnel, SessionCounters)>,
    links: BTreeMap<SessionId, LinkOptions>,
    limits: BTreeMap<SessionId, Limits>,
    interfaces: BTreeMap<SessionId, Interface>,
    counters: SessionCounters,
    uplink_mtu: u16,
    refuses_interfaces: bool,
    answers_removals: bool,
    /// What was asked about interfaces that stand, and about pins.
    standing: Vec<Request>,
    /// Why there is no way to a server.
    unreachable: BTreeMap<Ipv4Addr, String>,
}

/// A host with the control process on it, its log, and what it said to the world.
struct Host {
    engine: Server<CountingEntropy>,
    address: Ipv4Addr,
    datapath: Datapath,
    log: Vec<String>,
    lines: Vec<Line>,
    hooks: Vec<Hook>,
    /// What was asked of the system's resolver.
    dns: Vec<Command>,
    /// Bytes for the other host.
    tcp: VecDeque<(ConnId, Vec<u8>)>,
    connects: VecDeque<ConnId>,
    closes: VecDeque<ConnId>,
    /// What was to be kept, and whether that is said to be at once.
    changes: Vec<Change>,
    keeps: bool,
    /// The store: what RADIUS is to be told, and was not.
    records: BTreeMap<i64, Pending>,
    /// What was sent to RADIUS servers, and in answer to them.
    asked: VecDeque<(SocketId, SocketAddrV4, Vec<u8>)>,
    answered: VecDeque<Vec<u8>>,
    /// PPP frames for the other host: to which of its calls.
    gre: VecDeque<(CallId, u16, Vec<u8>)>,
    stopped: bool,
}

impl Host {
    fn new(config: &str, address: &str) -> Self {
        let (config, _) = Config::parse(config).unwrap();
        let address: Ipv4Addr = address.parse().unwrap();
        // Two ends with the same random numbers would take each other for a mirror.
        let entropy = CountingEntropy(address.octets()[3]);
        Self {
            engine: Server::new(now(), config, entropy, 0xa),
            address,
            datapath: Datapath {
                sessions: BTreeMap::new(),
                links: BTreeMap::new(),
                limits: BTreeMap::new(),
                interfaces: BTreeMap::new(),
                removed: BTreeMap::new(),
                counters: SessionCounters::default(),
                uplink_mtu: 1500,
                refuses_interfaces: false,
                answers_removals: true,
                standing: Vec::new(),
                unreachable: BTreeMap::new(),
            },
            log: Vec::new(),
            lines: Vec::new(),
            hooks: Vec::new(),
            dns: Vec::new(),
            tcp: VecDeque::new(),
            connects: VecDeque::new(),
            closes: VecDeque::new(),
            changes: Vec::new(),
            keeps: true,
            records: BTreeMap::new(),
            asked: VecDeque::new(),
            answered: VecDeque::new(),
            gre: VecDeque::new(),
            stopped: false,
        }
    }

    fn greet(&mut self, now: Instant) {
        self.engine.handle_datapath_connected(now);
        self.obey(now);
    }

    fn lose_datapath(&mut self, now: Instant) {
        self.datapath.sessions.clear();
        self.datapath.removed.clear();
        self.datapath.interfaces.clear();
        self.engine.handle_datapath_lost(now);
        self.obey(now);
    }

    fn accept(&mut self, now: Instant, peer: Ipv4Addr) -> Option<ConnId> {
        self.engine.handle_accepted(now, self.address, peer)
    }

    fn receive(&mut self, now: Instant, conn: ConnId, message: Repr) {
        self.engine.handle_data(now, conn, &message.to_bytes());
    }

    /// A client's TCP connection, start and call.
    fn call(&mut self, now: Instant, peer: Ipv4Addr, call_id: u16) -> ConnId {
        let conn = self.accept(now, peer).unwrap();
        self.receive(now, conn, start_request());
        self.receive(now, conn, call_request(call_id));
        self.obey(now);
        conn
    }

    /// Keeps a configured client from dialling.
    fn hold(&mut self, client: u32) {
        let client = ClientId(client);
        let state = self.engine.clients.get_mut(&client).unwrap();
        state.dialer.switch_off();
    }

    fn stop(&mut self, now: Instant) {
        self.engine.stop(now);
        self.obey(now);
    }

    /// The error of the one call reply among what is to be sent.
    #[track_caller]
    fn refusal(&mut self) -> GeneralError {
        let reply = self.engine.drain().into_iter().find_map(|command| {
            let Command::Send { bytes, .. } = command else {
                return None;
            };
            let Ok(Repr::OutgoingCallReply(reply)) = Repr::parse(&bytes) else {
                return None;
            };
            (reply.result == OutgoingCallResult::GeneralError).then_some(reply.error)
        });
        reply.expect("a refusal was sent")
    }

    /// Carries out what the engine asks for; returns whether that was anything.
    fn obey(&mut self, now: Instant) -> bool {
        let mut obeyed = false;
        while let Some(command) = self.engine.poll_command() {
            obeyed = true;
            match command {
                Command::Send { conn, bytes } => self.tcp.push_back((conn, bytes)),
                Command::Close { conn } => self.closes.push_back(conn),
                Command::Resolve { conn, host } => {
                    let answer = host.parse().map(|address| vec![address]);
                    let answer = answer.map_err(|_| "no such name".to_owned());
                    self.engine.handle_resolved(now, conn, answer);
                }
                Command::Connect { conn, .. } => self.connects.push_back(conn),
                Command::Datapath(request) => {
                    for event in self.answer(request) {
                        self.engine.handle_datapath_event(now, event);
                    }
                }
                Command::CloseDatapath => panic!("the versions are the same"),
                Command::RunHook(hook) => self.hooks.push(hook),
                Command::SetDns { .. } | Command::RevertDns { .. } => self.dns.push(command),
                Command::Keep { number, change } => {
                    self.changes.push(change);
                    if self.keeps {
                        self.engine.handle_kept(now, number);
                    }
                }
                Command::LoadRecords { after, limit } => {
                    let page = self.records.range(after + 1..).take(limit);
                    let page = page.map(|(_, record)| record.clone()).collect();
                    self.engine.handle_records(now, page);
                }
                Command::RecordDelivered(record) => {
                    self.records.remove(&record);
                }
                Command::OpenRadius { .. }
                | Command::CloseRadius { .. }
                | Command::Retain { .. } => {}
                Command::SendRadius { socket, to, bytes } => {
                    self.asked.push_back((socket, to, bytes));
                }
                Command::AnswerIncoming { bytes, .. } => self.answered.push_back(bytes),
                Command::Log(line) => {
                    self.log.push(format!("{} {}", line.topics, line.text));
                    self.lines.push(line);
                }
            }
        }
        self.stopped = self.engine.is_stopped(now);
        obeyed
    }

    fn answer(&mut self, request: Request) -> Vec<Event> {
        let datapath = &mut self.datapath;
        if let Request::Stand { .. }
        | Request::Dismiss { .. }
        | Request::DismissOthers
        | Request::Await { .. }
        | Request::Pin { .. }
        | Request::Unpin { .. } = request
        {
            datapath.standing.push(request.clone());
        }
        match request {
            Request::Hello { version } => {
                let sessions = datapath.sessions.iter();
                let held = sessions.map(|(&session, &tunnel)| (session, tunnel, None));
                let removed = datapath.removed.iter();
                let removed = removed
                    .map(|(&session, &(tunnel, counters))| (session, tunnel, Some(counters)));
                let held = held.chain(removed).map(|(session, tunnel, removed)| Held {
                    session,
                    tunnel,
                    removed,
                });
                vec![
                    Event::Hello {
                        version,
                        uplinks: vec![Uplink {
                            name: "eth0".to_owned(),
                            mtu: datapath.uplink_mtu,
                            io: IoMode::Skb,
                        }],
                        workers: 1,
                    },
                    Event::Held {
                        sessions: held.collect(),
                        last: true,
                    },
                ]
            }
            Request::Install { session, tunnel } => {
                let before = datapath.sessions.insert(session, tunnel);
                assert_eq!(before, None, "{session:?} is in use");
                assert!(!datapath.removed.contains_key(&session), "not forgotten");
                vec![]
            }
            Request::SetLink { session, link } => {
                datapath.links.insert(session, link);
                vec![]
            }
            Request::SetMppe { .. } | Request::ResetMppe { .. } | Request::SetIpv6 { .. } => vec![],
            Request::Stand { standing } => vec![Event::Stands {
                kernel_name: standing.name.clone(),
                name: standing.name,
                ifindex: 1,
                warnings: Vec::new(),
            }],
            Request::Pin { name, server } => vec![Event::Pinned {
                name,
                refused: datapath.unreachable.get(&server).cloned(),
                server,
            }],
            Request::Dismiss { .. }
            | Request::DismissOthers
            | Request::Await { .. }
            | Request::Unpin { .. } => vec![],
            Request::SetLimits { session, limits } => {
                datapath.limits.insert(session, limits);
                vec![]
            }
            Request::Attach { session, interface } => {
                if datapath.refuses_interfaces {
                    let reason = "no interface for you".to_owned();
                    return vec![Event::Failed { session, reason }];
                }
                datapath.interfaces.insert(session, interface);
                vec![Event::Attached {
                    session,
                    kernel_name: format!("tun{}", session.0),
                    ifindex: session.0 + 1,
                }]
            }
            Request::Detach { session } => {
                datapath.interfaces.remove(&session);
                vec![]
            }
            Request::Send {
                session,
                protocol,
                payload,
            } => {
                if let Some(tunnel) = datapath.sessions.get(&session) {
                    let call = CallId(tunnel.peer_call_id.0);
                    self.gre.push_back((call, protocol, payload));
                }
                vec![]
            }
            Request::Read { session } => vec![Event::Counters {
                session,
                counters: datapath.counters,
            }],
            Request::Remove { session } => {
                let tunnel = datapath.sessions.remove(&session);
                datapath.interfaces.remove(&session);
                let counters = datapath.counters;
                if datapath.answers_removals {
                    let removed = tunnel.map(|tunnel| (session, (tunnel, counters)));
                    datapath.removed.extend(removed);
                    vec![Event::Removed { session, counters }]
                } else {
                    vec![]
                }
            }
            Request::Forget { session } => {
                datapath.removed.remove(&session);
                vec![]
            }
            Request::ReadTotals => vec![Event::Totals {
                workers: vec![WorkerTotals {
                    worker: WorkerId(0),
                    core: 0,
                    sessions: 1,
                    counters: WorkerCounters::default(),
                    drops: vec![],
                }],
                xdp: vec![],
            }],
        }
    }

    fn take_log(&mut self) -> Vec<String> {
        // The notes about what peers call themselves are no part of any order.
        let mut log = std::mem::take(&mut self.log);
        log.retain(|line| !line.starts_with("pptp,debug "));
        log
    }

    fn sessions(&self) -> usize {
        self.engine.sessions.len()
    }

    const fn is_stopped(&self) -> bool {
        self.stopped
    }
}

/// A server, a client, and what is between them. Time passes when nobody has anything to say.
struct World {
    now: Instant,
    server: Host,
    client: Host,
    /// TCP connections: the client's name and the server's.
    wires: Vec<(ConnId, ConnId)>,
    gre_is_cut: bool,
    tcp_is_cut: bool,
}

impl World {
    fn new(server: &str, clients: &[(&str, &str, &str)]) -> Self {
        let mut world = Self {
            now: now(),
            server: Host::new(server, "192.0.2.2"),
            client: Host::new(&client_config(clients), "192.0.2.1"),
            wires: Vec::new(),
            gre_is_cut: false,
            tcp_is_cut: false,
        };
        world.server.greet(world.now);
        world.client.greet(world.now);
        world
    }

    /// Lets a client dial that was held.
    fn release(&mut self, client: u32) {
        let client = ClientId(client);
        let state = self.client.engine.clients.get_mut(&client).unwrap();
        state.dialer = Dialer::new(self.now, false);
        self.client.engine.touched.push_back(Timer::Client(client));
        self.client.engine.settle(self.now);
    }

    fn is_connected(&self, client: usize) -> bool {
        let snapshot = self.client.engine.snapshot(self.now);
        snapshot.clients[client].status == "connected"
    }

    #[track_caller]
    fn run_until(&mut self, condition: impl Fn(&Self) -> bool) {
        let deadline = self.now + Duration::from_secs(600);
        while !condition(self) {
            if !self.carry() {
                let next = self.next_timeout().filter(|&at| at <= deadline);
                let next = next.expect("the condition comes true in time");
                self.pass_until(next);
            }
        }
    }

    /// Lets time pass in which frames arrive at both ends.
    fn advance_alive(&mut self, duration: Duration) {
        const STEP: Duration = Duration::from_secs(5);
        let end = self.now + duration;
        while self.now < end {
            for host in [&mut self.server, &mut self.client] {
                host.datapath.counters.rx_frames += 1;
            }
            self.advance(STEP.min(end - self.now));
        }
    }

    /// Lets time pass.
    fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            while self.carry() {}
            match self.next_timeout().filter(|&at| at <= end) {
                Some(at) => self.pass_until(at),
                None => break,
            }
        }
        self.pass_until(end);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let server = self.server.engine.poll_timeout();
        server
            .into_iter()
            .chain(self.client.engine.poll_timeout())
            .min()
    }

    fn pass_until(&mut self, at: Instant) {
        self.now = at.max(self.now);
        for host in [&mut self.server, &mut self.client] {
            host.engine.handle_timeout(self.now);
            host.obey(self.now);
        }
    }

    /// Carries what each host has for the other; returns whether there was anything.
    fn carry(&mut self) -> bool {
        let now = self.now;
        let mut moved = self.server.obey(now) | self.client.obey(now);
        while let Some(conn) = self.client.connects.pop_front() {
            moved = true;
            match self.server.accept(now, CLIENT) {
                Some(accepted) => {
                    self.wires.push((conn, accepted));
                    let (ours, peer) = (self.client.address, self.server.address);
                    self.client.engine.handle_connected(now, conn, ours, peer);
                }
                None => self.client.engine.handle_closed(now, conn),
            }
        }
        let cuts = (self.tcp_is_cut, self.gre_is_cut);
        let (server, client, wires) = (&mut self.server, &mut self.client, &self.wires);
        moved |= Self::carry_one_way(now, client, server, wires, true, cuts);
        moved |= Self::carry_one_way(now, server, client, wires, false, cuts);
        moved
    }

    fn carry_one_way(
        now: Instant,
        from: &mut Host,
        to: &mut Host,
        wires: &[(ConnId, ConnId)],
        client_sends: bool,
        (tcp_is_cut, gre_is_cut): (bool, bool),
    ) -> bool {
        let other_end = |conn: ConnId| {
            let found = wires.iter().rev().find_map(|&(client, server)| {
                let (near, far) = if client_sends {
                    (client, server)
                } else {
                    (server, client)
                };
                (near == conn).then_some(far)
            });
            found.filter(|_| !tcp_is_cut)
        };
        let mut moved = from.obey(now);
        while let Some((conn, bytes)) = from.tcp.pop_front() {
            moved = true;
            if let Some(far) = other_end(conn) {
                to.engine.handle_data(now, far, &bytes);
            }
        }
        while let Some(conn) = from.closes.pop_front() {
            moved = true;
            if let Some(far) = other_end(conn) {
                to.engine.handle_closed(now, far);
            }
        }
        while let Some((call, protocol, payload)) = from.gre.pop_front() {
            moved = true;
            let session = to
                .datapath
                .sessions
                .iter()
                .find_map(|(&session, tunnel)| (tunnel.call_id == call).then_some(session));
            if let Some(session) = session
                && !gre_is_cut
            {
                to.engine.handle_datapath_event(
                    now,
                    Event::Frame {
                        session,
                        protocol,
                        payload,
                    },
                );
            }
        }
        moved
    }

    /// Nothing of any session is left on either host.
    fn check_nothing_is_left(&self) {
        for host in [&self.server, &self.client] {
            assert!(host.engine.sessions.is_empty());
            assert!(host.engine.calls.is_empty());
            assert!(host.engine.pools.used().next().is_none());
            assert!(host.datapath.sessions.is_empty());
            assert!(host.datapath.removed.is_empty());
            assert!(host.datapath.interfaces.is_empty());
        }
    }
}

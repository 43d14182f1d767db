use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::requests::{call_request, start_request, start_request_of};
use super::super::wire::{
    CallClearRequest, DisconnectResult, IncomingCallRequest, IncomingCallResult, OutgoingCallReply,
    OutgoingCallResult, SetLinkInfo, WanErrorNotify,
};
use super::*;

// The start exchange

#[test]
fn a_client_that_starts_is_answered_and_named() {
    let mut server = Server::new();
    server.receive(start_request());
    server.expect_sent("StartControlConnectionReply");
    assert_eq!(
        server.connection.poll_command(),
        Some(Command::Started {
            host_name: "client".to_owned(),
            vendor: "cananian".to_owned()
        })
    );
    assert_eq!(server.connection.poll_command(), None);
}

#[test]
fn a_minor_version_is_ours_too_and_a_major_one_is_not() {
    let mut server = Server::new();
    server.receive(start_request_of(0x0101));
    server.expect_sent("StartControlConnectionReply");

    let mut server = Server::new();
    server.receive(start_request_of(0x0200));
    let Repr::StartControlConnectionReply(reply) = server.next_sent() else {
        panic!("not a reply");
    };
    assert_eq!(reply.result, StartResult::VersionNotSupported);
    assert_eq!(reply.version, 0x0100);
    server.expect_closed(Cause::ProtocolError);
    assert_eq!(server.misbehaviours(), [("bad-version", 1)]);
}

#[test]
fn a_second_start_is_refused_and_the_connection_lives() {
    let mut server = Server::established();
    server.receive(start_request());
    let Repr::StartControlConnectionReply(reply) = server.next_sent() else {
        panic!("not a reply");
    };
    assert_eq!(reply.result, StartResult::AlreadyExists);
    server.receive(EchoRequest { identifier: 1 });
    server.expect_sent("EchoReply");
    assert_eq!(server.misbehaviours(), [("second-start", 1)]);
}

#[test]
fn a_client_that_says_nothing_is_closed_after_the_start_timeout() {
    let mut server = Server::new();
    let deadline = server.connection.poll_timeout().unwrap();
    assert_eq!(deadline, server.now + START_TIMEOUT);
    server.wait(START_TIMEOUT - Duration::from_millis(1));
    assert_eq!(server.connection.poll_command(), None);
    server.wait(Duration::from_millis(1));
    server.expect_closed(Cause::Timeout);
    assert_eq!(server.connection.poll_timeout(), None);
}

#[test]
fn half_a_start_request_does_not_prolong_the_start_timeout() {
    let mut server = Server::new();
    server.wait(START_TIMEOUT / 2);
    let bytes = start_request().to_bytes();
    server.connection.handle_data(server.now, &bytes[..100]);
    server.wait(START_TIMEOUT / 2);
    server.expect_closed(Cause::Timeout);
}

#[test]
fn a_client_that_starts_and_does_not_call_is_stopped() {
    let mut server = Server::established();
    server.wait(NO_CALL_TIMEOUT);
    server.expect_sent("StopControlConnectionRequest");
    server.wait(STOP_TIMEOUT);
    server.expect_closed(Cause::Timeout);
}

#[test]
fn a_server_that_refuses_or_speaks_another_version_is_left() {
    let mut client = client();
    client.start(now());
    drain(&mut client);
    let reply = StartControlConnectionReply {
        result: StartResult::NotAuthorized,
        ..start_reply()
    };
    client.handle_data(now(), &Repr::from(reply).to_bytes());
    assert_eq!(drain(&mut client), [Command::Close(Cause::CallRefused)]);
    let refused = Refused::Connection(StartResult::NotAuthorized, GeneralError::None);
    assert_eq!(client.refused(), Some(refused));

    let mut client = self::client();
    client.start(now());
    drain(&mut client);
    let reply = StartControlConnectionReply {
        version: 0x0200,
        ..start_reply()
    };
    client.handle_data(now(), &Repr::from(reply).to_bytes());
    let stop = Repr::from(StopControlConnectionRequest {
        reason: StopReason::Protocol,
    });
    assert_eq!(drain(&mut client), [Command::Send(stop.to_bytes())]);
    client.handle_timeout(now() + STOP_TIMEOUT);
    assert_eq!(drain(&mut client), [Command::Close(Cause::ProtocolError)]);
}

#[test]
fn a_server_that_does_not_answer_the_start_is_left_after_a_minute() {
    let mut client = client();
    client.start(now());
    drain(&mut client);
    assert_eq!(client.poll_timeout(), Some(now() + REPLY_TIMEOUT));
    client.handle_timeout(now() + REPLY_TIMEOUT);
    assert_eq!(drain(&mut client), [Command::Close(Cause::Timeout)]);
}

// Framing

#[test]
fn messages_may_be_cut_anywhere_and_come_together() {
    let mut stream = start_request().to_bytes();
    stream.extend(call_request(5).to_bytes());
    stream.extend(Repr::from(EchoRequest { identifier: 9 }).to_bytes());
    let mut expected = Server::new();
    expected.connection.handle_data(expected.now, &stream);
    let expected = drain(&mut expected.connection);
    assert_eq!(expected.len(), 4);
    for cut in 1..stream.len() {
        let mut server = Server::new();
        server.connection.handle_data(server.now, &stream[..cut]);
        server.connection.handle_data(server.now, &stream[cut..]);
        assert_eq!(drain(&mut server.connection), expected, "cut at {cut}");
    }
    let mut server = Server::new();
    for byte in &stream {
        server.connection.handle_data(server.now, &[*byte]);
    }
    assert_eq!(drain(&mut server.connection), expected);
}

#[test]
fn a_stream_out_of_step_closes_at_once() {
    let cases: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\n", "bad-length"),
        (b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4e", "bad-cookie"),
        (b"\x00\x0b", "bad-length"),
        (b"\x00\x00", "bad-length"),
        (b"\xff\xff", "bad-length"),
    ];
    for (bytes, name) in cases {
        let mut server = Server::established();
        server.connection.handle_data(server.now, bytes);
        server.expect_closed(Cause::ProtocolError);
        assert_eq!(server.misbehaviours(), [(name, 1)]);
    }
}

#[test]
fn a_message_that_cannot_be_understood_stops_the_connection() {
    let echo = Repr::from(EchoRequest { identifier: 1 }).to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = echo.clone();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        (with(3, 2), "unknown-message-type"),
        (with(9, 99), "unknown-control-type"),
        (with(9, 6), "wrong-length"),
    ];
    for (bytes, name) in cases {
        let mut server = Server::with_call(7, 77);
        server.connection.handle_data(server.now, &bytes);
        server.expect_sent("CallDisconnectNotify");
        server.expect_ended(77, Cause::ProtocolError);
        server.expect_sent("StopControlConnectionRequest");
        server.receive(StopControlConnectionReply {
            result: SimpleResult::Ok,
            error: GeneralError::None,
        });
        server.expect_closed(Cause::ProtocolError);
        assert_eq!(server.misbehaviours(), [(name, 1)]);

        let mut server = Server::new();
        server.connection.handle_data(server.now, &bytes);
        server.expect_closed(Cause::ProtocolError);
    }
}

#[test]
fn nothing_is_done_after_the_end() {
    let mut server = Server::new();
    server.connection.handle_data(server.now, b"GET / HTTP/1.1");
    server.expect_closed(Cause::ProtocolError);
    server.receive(start_request());
    server.connection.handle_hangup(server.now);
    server.connection.stop(server.now, Cause::Reboot);
    server.wait(Duration::from_secs(3600));
    assert_eq!(server.connection.poll_command(), None);
}

// Echo

#[test]
fn a_quiet_peer_is_asked_and_closed_when_it_does_not_answer() {
    let mut server = Server::with_call(7, 77);
    server.wait(ECHO_INTERVAL - Duration::from_millis(1));
    assert_eq!(server.connection.poll_command(), None);
    server.wait(Duration::from_millis(1));
    server.expect_sent("EchoRequest");
    server.wait(ECHO_INTERVAL);
    server.expect_ended(77, Cause::PeerNotResponding);
    server.expect_closed(Cause::PeerNotResponding);
}

#[test]
fn an_answer_keeps_the_connection_and_a_stray_one_does_not() {
    let mut server = Server::with_call(7, 77);
    for _ in 0..3 {
        server.wait(ECHO_INTERVAL);
        let Repr::EchoRequest(echo) = server.next_sent() else {
            panic!("not an echo");
        };
        server.receive(echo_reply(echo.identifier));
        assert_eq!(server.connection.poll_command(), None);
    }
    server.wait(ECHO_INTERVAL);
    server.expect_sent("EchoRequest");
    server.receive(echo_reply(999));
    server.wait(ECHO_INTERVAL);
    server.expect_ended(77, Cause::PeerNotResponding);
    server.expect_closed(Cause::PeerNotResponding);
    assert_eq!(server.misbehaviours(), [("stray-echo-reply", 1)]);
}

#[test]
fn any_message_puts_the_echo_off() {
    let mut server = Server::with_call(7, 77);
    server.wait(ECHO_INTERVAL / 2);
    server.receive(EchoRequest { identifier: 0xabcd });
    let Repr::EchoReply(reply) = server.next_sent() else {
        panic!("not a reply");
    };
    assert_eq!((reply.identifier, reply.result), (0xabcd, SimpleResult::Ok));
    server.wait(ECHO_INTERVAL / 2);
    assert_eq!(server.connection.poll_command(), None);
}

// Calls of a server

#[test]
fn a_call_is_accepted_with_the_peers_id_zero_too() {
    for peer in [0, 7, 0xffff] {
        let mut server = Server::established();
        server.receive(call_request(peer));
        server.expect(Command::CallRequested {
            peer_call_id: PeerCallId(peer),
            window: 3,
        });
        assert!(
            server
                .connection
                .accept_call(server.now, PeerCallId(peer), CallId(77))
        );
        let Repr::OutgoingCallReply(reply) = server.next_sent() else {
            panic!("not a reply");
        };
        assert_eq!(reply.result, OutgoingCallResult::Connected);
        assert_eq!((reply.call_id, reply.peer_call_id), (77, peer));
        assert_eq!(reply.receive_window, WINDOW);
    }
}

#[test]
fn a_call_is_refused_with_the_reason_given() {
    let mut server = Server::established();
    server.receive(call_request(7));
    drain(&mut server.connection);
    server.connection.refuse_call(
        server.now,
        PeerCallId(7),
        OutgoingCallResult::GeneralError,
        GeneralError::NoResource,
    );
    let Repr::OutgoingCallReply(reply) = server.next_sent() else {
        panic!("not a reply");
    };
    assert_eq!(reply.result, OutgoingCallResult::GeneralError);
    assert_eq!(reply.error, GeneralError::NoResource);
    assert_eq!(reply.peer_call_id, 7);
    assert_eq!(server.connection.poll_command(), None);
    assert!(
        !server
            .connection
            .accept_call(server.now, PeerCallId(7), CallId(77))
    );
}

#[test]
fn several_calls_live_on_one_connection() {
    let mut server = Server::established();
    for call in 0..3 {
        server.receive(call_request(call));
        drain(&mut server.connection);
        let ours = CallId(70 + call);
        assert!(
            server
                .connection
                .accept_call(server.now, PeerCallId(call), ours)
        );
        server.expect_sent("OutgoingCallReply");
    }
    server.receive(CallClearRequest { call_id: 1 });
    server.expect_sent("CallDisconnectNotify");
    server.expect_ended(71, Cause::PeerRequest);
    server.connection.handle_hangup(server.now);
    let ended: BTreeSet<_> = drain(&mut server.connection)
        .into_iter()
        .filter_map(|command| match command {
            Command::CallEnded { call_id, cause } => {
                assert_eq!(cause, Cause::HungUp);
                Some(call_id.0)
            }
            Command::Close(_)
            | Command::Send(_)
            | Command::Traced(..)
            | Command::Started { .. }
            | Command::CallRequested { .. }
            | Command::CallConnected { .. } => None,
        })
        .collect();
    assert_eq!(ended, BTreeSet::from([70, 72]));
}

#[test]
fn a_second_call_with_the_same_id_and_too_many_calls_are_refused() {
    let mut server = Server::with_call(0, 100);
    server.receive(call_request(0));
    assert_eq!(server.next_refusal(), GeneralError::BadCallId);
    for call in 1..u16::try_from(MAX_CALLS).unwrap() {
        server.receive(call_request(call));
        drain(&mut server.connection);
    }
    server.receive(call_request(9999));
    assert_eq!(server.next_refusal(), GeneralError::NoResource);
    assert_eq!(
        server.misbehaviours(),
        [("duplicate-call", 1), ("too-many-calls", 1)]
    );
}

/// pptp-linux 1.10 ends like this: Call-Clear-Request and FIN, waiting for nothing.
#[test]
fn a_clear_request_with_a_fin_behind_it_is_the_peers_request() {
    let mut server = Server::with_call(7, 77);
    server.receive(CallClearRequest { call_id: 7 });
    server.connection.handle_hangup(server.now);
    let Repr::CallDisconnectNotify(notify) = server.next_sent() else {
        panic!("not a notify");
    };
    assert_eq!(notify.call_id, 77);
    assert_eq!(notify.result, DisconnectResult::Request);
    server.expect_ended(77, Cause::PeerRequest);
    server.expect_closed(Cause::HungUp);
}

#[test]
fn clearing_a_call_notifies_the_peer_and_keeps_the_connection_for_another() {
    let mut server = Server::with_call(7, 77);
    server
        .connection
        .clear_call(server.now, CallId(77), Cause::AdministratorRequest);
    let Repr::CallDisconnectNotify(notify) = server.next_sent() else {
        panic!("not a notify");
    };
    assert_eq!(notify.result, DisconnectResult::AdminShutdown);
    server.expect_ended(77, Cause::AdministratorRequest);
    server.receive(call_request(7));
    server.expect(Command::CallRequested {
        peer_call_id: PeerCallId(7),
        window: 3,
    });
}

#[test]
fn notices_about_a_call_are_taken_and_those_about_no_call_counted() {
    let mut server = Server::with_call(7, 77);
    for peer_call_id in [77, 78] {
        server.receive(SetLinkInfo {
            peer_call_id,
            send_accm: 0,
            receive_accm: 0,
        });
        server.receive(WanErrorNotify {
            peer_call_id,
            crc_errors: 1,
            framing_errors: 0,
            hardware_overruns: 0,
            buffer_overruns: 0,
            timeout_errors: 0,
            alignment_errors: 0,
        });
    }
    server.receive(CallClearRequest { call_id: 8 });
    assert_eq!(server.connection.poll_command(), None);
    assert_eq!(server.misbehaviours(), [("unknown-call", 3)]);
}

#[test]
fn calls_before_the_start_are_refused_as_not_connected() {
    let mut server = Server::new();
    server.receive(call_request(7));
    assert_eq!(server.next_refusal(), GeneralError::NotConnected);
    server.receive(CallClearRequest { call_id: 7 });
    server.receive(EchoRequest { identifier: 1 });
    assert_eq!(server.connection.poll_command(), None);
    assert_eq!(
        server.misbehaviours(),
        [("call-before-start", 2), ("unexpected-message", 1)]
    );
    server.receive(start_request());
    server.expect_sent("StartControlConnectionReply");
}

#[test]
fn an_incoming_call_is_not_accepted() {
    let mut server = Server::established();
    server.receive(IncomingCallRequest {
        call_id: 9,
        call_serial_number: 0,
        bearer_type: 1,
        physical_channel: 0,
        dialed_number_length: 0,
        dialing_number_length: 0,
        dialed_number: Text::default(),
        dialing_number: Text::default(),
        subaddress: Text::default(),
    });
    let Repr::IncomingCallReply(reply) = server.next_sent() else {
        panic!("not a reply");
    };
    assert_eq!(reply.result, IncomingCallResult::DoNotAccept);
    assert_eq!(reply.peer_call_id, 9);
    assert_eq!(server.misbehaviours(), [("unserved-call", 1)]);
}

/// The order that once crashed another server, all of it in one segment, and each other order.
#[test]
fn start_call_and_clear_in_any_order_and_in_one_segment_are_survived() {
    let messages = [
        start_request(),
        call_request(7),
        Repr::from(CallClearRequest { call_id: 7 }),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut server = Server::new();
        let segment: Vec<u8> = order
            .iter()
            .flat_map(|&at| messages[at].to_bytes())
            .collect();
        server.connection.handle_data(server.now, &segment);
        let commands = drain(&mut server.connection);
        let asked = commands
            .iter()
            .any(|command| matches!(command, Command::CallRequested { .. }));
        let accepted = server
            .connection
            .accept_call(server.now, PeerCallId(7), CallId(77));
        // Only a call that came after the start and was not cleared is there to take.
        assert_eq!(
            asked,
            order.iter().position(|&at| at == 0) < order.iter().position(|&at| at == 1)
        );
        assert_eq!(accepted, asked && order != [0, 1, 2]);
    }
}

// Two machines

#[test]
fn client_and_server_start_call_clear_and_stop() {
    let mut pair = Pair::calling();
    assert_eq!(
        pair.client_saw.pop(),
        Some(Command::CallConnected {
            call_id: CallId(50),
            peer_call_id: PeerCallId(1000),
            window: WINDOW,
        })
    );
    pair.client
        .clear_call(now(), CallId(50), Cause::AdministratorRequest);
    pair.drive();
    let ended = |id, cause| Command::CallEnded {
        call_id: CallId(id),
        cause,
    };
    assert_eq!(pair.client_saw, [ended(50, Cause::AdministratorRequest)]);
    assert_eq!(pair.server_saw.pop(), Some(ended(1000, Cause::PeerRequest)));
    pair.client_saw.clear();
    pair.client.stop(now(), Cause::AdministratorRequest);
    pair.drive();
    assert_eq!(
        pair.client_saw,
        [Command::Close(Cause::AdministratorRequest)]
    );
    assert_eq!(
        pair.server_saw.pop(),
        Some(Command::Close(Cause::PeerRequest))
    );
}

#[test]
fn a_server_that_stops_ends_the_clients_calls() {
    let mut pair = Pair::calling();
    pair.client_saw.clear();
    pair.server.stop(now(), Cause::Reboot);
    pair.drive();
    let close = Command::Close(Cause::PeerRequest);
    let ended = Command::CallEnded {
        call_id: CallId(50),
        cause: Cause::PeerRequest,
    };
    assert_eq!(pair.client_saw, [ended, close]);
    assert_eq!(pair.server_saw.pop(), Some(Command::Close(Cause::Reboot)));
}

#[test]
fn a_refused_call_ends_and_the_connection_stays() {
    let mut pair = Pair::started();
    pair.refuse = true;
    pair.client.request_call(now(), CallId(50));
    pair.drive();
    assert_eq!(
        pair.client_saw.pop(),
        Some(Command::CallEnded {
            call_id: CallId(50),
            cause: Cause::CallRefused
        })
    );
    let refused = pair.client.refused().map(|refused| refused.to_string());
    assert_eq!(refused.as_deref(), Some("the call: busy (result 4)"));
    pair.refuse = false;
    pair.client.request_call(now(), CallId(51));
    pair.drive();
    assert!(matches!(
        pair.client_saw.pop(),
        Some(Command::CallConnected { .. })
    ));
}

#[test]
fn a_call_that_is_not_answered_ends_with_its_connection() {
    let mut pair = Pair::started();
    pair.client.request_call(now(), CallId(50));
    drain(&mut pair.client);
    let deadline = pair.client.poll_timeout().unwrap();
    assert_eq!(deadline, now() + REPLY_TIMEOUT);
    pair.client.handle_timeout(deadline);
    let commands = drain(&mut pair.client);
    assert_eq!(
        commands[0],
        Command::CallEnded {
            call_id: CallId(50),
            cause: Cause::Timeout
        }
    );
    pair.client.handle_timeout(deadline + STOP_TIMEOUT);
    assert_eq!(drain(&mut pair.client), [Command::Close(Cause::Timeout)]);
}

#[test]
fn a_cleared_call_ends_even_if_the_server_does_not_notify() {
    let mut pair = Pair::calling();
    pair.client.clear_call(now(), CallId(50), Cause::Reboot);
    drain(&mut pair.client);
    pair.client.handle_timeout(now() + STOP_TIMEOUT);
    assert_eq!(
        drain(&mut pair.client),
        [Command::CallEnded {
            call_id: CallId(50),
            cause: Cause::Reboot
        }]
    );
}

#[test]
fn the_reply_to_a_call_that_was_given_up_does_not_bring_it_back() {
    let mut pair = Pair::started();
    pair.client.request_call(now(), CallId(50));
    pair.client
        .clear_call(now(), CallId(50), Cause::AdministratorRequest);
    pair.drive();
    assert_eq!(
        pair.client_saw,
        [Command::CallEnded {
            call_id: CallId(50),
            cause: Cause::AdministratorRequest
        }]
    );
}

// Nonsense

proptest! {
    #[test]
    fn arbitrary_bytes_in_arbitrary_chunks_do_no_harm(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        established: bool,
    ) {
        let mut server = if established { Server::with_call(7, 77) } else { Server::new() };
        for chunk in chunks {
            server.connection.handle_data(server.now, &chunk);
            check_bounds(&server.connection);
            drain(&mut server.connection);
        }
    }

    #[test]
    fn arbitrary_messages_and_calls_keep_the_promises(
        steps in prop::collection::vec(step(), 0..60),
        client: bool,
    ) {
        let mut now = now();
        let mut connection = if client { self::client() } else { Connection::server(now, "s") };
        let (mut given, mut ended, mut next_id) = (BTreeSet::new(), BTreeSet::new(), 1);
        let mut closed = false;
        if client {
            connection.start(now);
        }
        for step in steps {
            match step {
                Step::Receive(repr) => connection.handle_data(now, &repr.to_bytes()),
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    connection.handle_timeout(now);
                }
                Step::Request => {
                    if connection.state == State::Established {
                        given.insert(next_id);
                    }
                    connection.request_call(now, CallId(next_id));
                    next_id += 1;
                }
                Step::Accept(peer) => {
                    if connection.accept_call(now, PeerCallId(peer), CallId(next_id)) {
                        given.insert(next_id);
                    }
                    next_id += 1;
                }
                Step::Clear(id) => connection.clear_call(now, CallId(id), Cause::Reboot),
            }
            check_bounds(&connection);
            for command in drain(&mut connection) {
                prop_assert!(!closed, "{command:?} after the close");
                match command {
                    Command::CallEnded { call_id, .. } => {
                        prop_assert!(given.contains(&call_id.0));
                        prop_assert!(ended.insert(call_id.0), "ended twice");
                    }
                    Command::Close(_) => closed = true,
                    Command::Send(bytes) => prop_assert!(Repr::parse(&bytes).is_ok()),
                    Command::Traced(..)
                    | Command::Started { .. }
                    | Command::CallRequested { .. }
                    | Command::CallConnected { .. } => {}
                }
            }
        }
        connection.handle_hangup(now);
        for command in drain(&mut connection) {
            if let Command::CallEnded { call_id, .. } = command {
                prop_assert!(ended.insert(call_id.0), "ended twice");
            }
        }
        prop_assert_eq!(given, ended);
        prop_assert_eq!(connection.poll_timeout(), None);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Receive(Box<Repr>),
    Wait(u64),
    Request,
    Accept(u16),
    Clear(u16),
}

/// Messages that are likely to fit each other: few ids, right versions.
fn step() -> impl Strategy<Value = Step> {
    let id = 0..4_u16;
    prop_oneof![
        1 => any::<Repr>().prop_map(receive),
        2 => Just(receive(start_request())),
        2 => Just(receive(start_reply())),
        4 => id.clone().prop_map(|id| receive(call_request(id))),
        2 => (id.clone(), id.clone(), any::<u8>()).prop_map(|(call_id, peer_call_id, result)| {
            let reply = OutgoingCallReply {
                call_id,
                peer_call_id,
                result: (result % 4).into(),
                error: GeneralError::None,
                cause: 0,
                connect_speed: 0,
                receive_window: 1,
                processing_delay: 0,
                physical_channel: 0,
            };
            receive(reply)
        }),
        2 => id.clone().prop_map(|call_id| receive(CallClearRequest { call_id })),
        1 => (0..90_u64).prop_map(Step::Wait),
        2 => Just(Step::Request),
        4 => id.clone().prop_map(Step::Accept),
        1 => id.prop_map(Step::Clear),
    ]
}

fn receive(message: impl Into<Repr>) -> Step {
    Step::Receive(Box::new(message.into()))
}

fn check_bounds(connection: &Connection) {
    assert!(connection.buffer.capacity() <= 2 * wire::MAX_LEN);
    assert!(connection.calls.len() <= MAX_CALLS);
}

// Helpers

/// The same moment for the whole test.
fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START
}

fn client() -> Connection {
    Connection::client(now(), "client")
}

fn drain(connection: &mut Connection) -> Vec<Command> {
    std::iter::from_fn(|| connection.poll_command()).collect()
}

fn start_reply() -> StartControlConnectionReply {
    StartControlConnectionReply {
        version: 0x0100,
        result: StartResult::Success,
        error: GeneralError::None,
        framing_capabilities: 0,
        bearer_capabilities: 0,
        maximum_channels: 1,
        firmware_revision: 1,
        host_name: "server".into(),
        vendor: "linux".into(),
    }
}

fn echo_reply(identifier: u32) -> EchoReply {
    EchoReply {
        identifier,
        result: SimpleResult::Ok,
        error: GeneralError::None,
    }
}

/// A server's end of a connection, and its clock.
struct Server {
    connection: Connection,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        Self {
            connection: Connection::server(now(), "server"),
            now: now(),
        }
    }

    fn established() -> Self {
        let mut server = Self::new();
        server.receive(start_request());
        drain(&mut server.connection);
        server
    }

    fn with_call(peer: u16, ours: u16) -> Self {
        let mut server = Self::established();
        server.receive(call_request(peer));
        let taken = server
            .connection
            .accept_call(server.now, PeerCallId(peer), CallId(ours));
        assert!(taken);
        drain(&mut server.connection);
        server
    }

    fn receive(&mut self, message: impl Into<Repr>) {
        let bytes = message.into().to_bytes();
        self.connection.handle_data(self.now, &bytes);
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.connection.handle_timeout(self.now);
    }

    #[track_caller]
    fn next_sent(&mut self) -> Repr {
        let command = self.connection.poll_command();
        let Some(Command::Send(bytes)) = command else {
            panic!("not sent: {command:?}");
        };
        Repr::parse(&bytes).unwrap()
    }

    #[track_caller]
    fn next_refusal(&mut self) -> GeneralError {
        let Repr::OutgoingCallReply(reply) = self.next_sent() else {
            panic!("not a reply to a call");
        };
        assert_eq!(reply.result, OutgoingCallResult::GeneralError);
        reply.error
    }

    #[track_caller]
    fn expect(&mut self, command: Command) {
        assert_eq!(self.connection.poll_command(), Some(command));
    }

    #[track_caller]
    fn expect_sent(&mut self, name: &str) {
        assert_eq!(self.next_sent().name(), name);
    }

    #[track_caller]
    fn expect_ended(&mut self, call_id: u16, cause: Cause) {
        let call_id = CallId(call_id);
        self.expect(Command::CallEnded { call_id, cause });
    }

    #[track_caller]
    fn expect_closed(&mut self, cause: Cause) {
        self.expect(Command::Close(cause));
        assert_eq!(self.connection.poll_command(), None);
    }

    fn misbehaviours(&self) -> Vec<(&'static str, u64)> {
        self.connection.misbehaviours().iter().collect()
    }
}

/// A client and a server back to back. The server answers calls with the ids 1000, 1001, ...
struct Pair {
    client: Connection,
    server: Connection,
    refuse: bool,
    next_id: u16,
    client_saw: Vec<Command>,
    server_saw: Vec<Command>,
}

impl Pair {
    fn started() -> Self {
        let mut pair = Self {
            client: client(),
            server: Connection::server(now(), "server"),
            refuse: false,
            next_id: 1000,
            client_saw: Vec::new(),
            server_saw: Vec::new(),
        };
        pair.client.start(now());
        pair.drive();
        assert_eq!(
            pair.client_saw,
            [Command::Started {
                host_name: "server".to_owned(),
                vendor: "Greyhound".to_owned()
            }]
        );
        pair.client_saw.clear();
        pair
    }

    fn calling() -> Self {
        let mut pair = Self::started();
        pair.client.request_call(now(), CallId(50));
        pair.drive();
        pair
    }

    /// Carries bytes until nobody has anything to say, and keeps the other commands.
    fn drive(&mut self) {
        loop {
            let commands = drain(&mut self.client);
            let replies = drain(&mut self.server);
            if commands.is_empty() && replies.is_empty() {
                return;
            }
            for command in commands {
                if let Command::Send(bytes) = command {
                    self.server.handle_data(now(), &bytes);
                } else {
                    self.client_saw.push(command);
                }
            }
            for command in replies {
                if let Command::Send(bytes) = command {
                    self.client.handle_data(now(), &bytes);
                } else if let Command::CallRequested { peer_call_id, .. } = command {
                    self.answer(peer_call_id);
                } else {
                    self.server_saw.push(command);
                }
            }
        }
    }

    fn answer(&mut self, peer: PeerCallId) {
        if self.refuse {
            let (result, error) = (OutgoingCallResult::Busy, GeneralError::None);
            self.server.refuse_call(now(), peer, result, error);
        } else {
            let id = CallId(self.next_id);
            self.next_id += 1;
            self.server.accept_call(now(), peer, id);
        }
    }
}

//! §2.7 to §2.15, §3.2: calls.

use std::time::Duration;

use greyhound_control::cause::Cause;
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::pptp::wire::{
    CallClearRequest, CallDisconnectNotify, DisconnectResult, GeneralError, IncomingCallConnected,
    IncomingCallReply, IncomingCallResult, OutgoingCallReply, OutgoingCallResult, Repr,
    SetLinkInfo, Text,
};
use greyhound_control::pptp::{CallIds, Command};
use greyhound_datapath::ids::{CallId, PeerCallId};

use crate::bench::{
    Bench, OURS, PEER, call_reply, call_request, closed, ended, one, sent, start_request,
};
use crate::conformance::Suite;
use crate::messages::{incoming, wan_error};

fn reply(commands: &[Command]) -> OutgoingCallReply {
    let Repr::OutgoingCallReply(reply) = one(commands) else {
        panic!("{commands:?}");
    };
    reply
}

fn notify(commands: &[Command]) -> CallDisconnectNotify {
    let Repr::CallDisconnectNotify(notify) = one(commands) else {
        panic!("{commands:?}");
    };
    notify
}

fn disconnected(call_id: u16) -> CallDisconnectNotify {
    CallDisconnectNotify {
        call_id,
        result: DisconnectResult::LostCarrier,
        error: GeneralError::None,
        cause: 0,
        call_statistics: Text::default(),
    }
}

fn is_asked(commands: &[Command], peer: u16) -> bool {
    commands.iter().any(|command| {
        matches!(command, Command::CallRequested { peer_call_id, .. } if peer_call_id.0 == peer)
    })
}

pub(crate) fn cases(suite: &mut Suite) {
    request(suite);
    refusal(suite);
    clear(suite);
    notices(suite);
    client(suite);
    order(suite);
}

fn request(suite: &mut Suite) {
    suite.case(
        "2.8",
        "a call that is taken is answered with result 1 and both ids",
        || {
            let mut bench = Bench::started();
            assert!(is_asked(&bench.hear(call_request(0xffff)), 0xffff));
            bench
                .connection
                .accept_call(bench.now, PeerCallId(0xffff), OURS);
            let reply = reply(&bench.drain());
            assert_eq!((reply.call_id, reply.peer_call_id), (OURS.0, 0xffff));
            assert_eq!(reply.result, OutgoingCallResult::Connected);
            assert_eq!(reply.error, GeneralError::None);
        },
    );
    suite.case("2.7", "call id 0 is one like any other", || {
        let mut bench = Bench::started();
        assert!(is_asked(&bench.hear(call_request(0)), 0));
        assert!(bench.connection.accept_call(bench.now, PeerCallId(0), OURS));
        assert_eq!(reply(&bench.drain()).peer_call_id, 0);
    });
    suite.case("2.8", "the reply announces a window and a speed", || {
        let mut bench = Bench::started();
        bench.hear(call_request(1));
        bench.connection.accept_call(bench.now, PeerCallId(1), OURS);
        let reply = reply(&bench.drain());
        assert!(reply.receive_window > 0 && reply.connect_speed > 0);
    });
    suite.case(
        "3.2.3",
        "several calls live on one control connection",
        || {
            let mut bench = Bench::started();
            for call in 0..32 {
                assert!(is_asked(&bench.hear(call_request(call)), call));
                let ours = CallId(1000 + call);
                assert!(
                    bench
                        .connection
                        .accept_call(bench.now, PeerCallId(call), ours)
                );
            }
            bench.drain();
            let commands = bench.hear(CallClearRequest { call_id: 7 });
            assert_eq!(ended(&commands), [(CallId(1007), Cause::PeerRequest)]);
            bench.assert_alive();
        },
    );
    suite.case(
        "3.2.2",
        "calls may be answered in another order than they came",
        || {
            let mut bench = Bench::started();
            bench.hear(call_request(1));
            bench.hear(call_request(2));
            for (peer, ours) in [(2, 22), (1, 11)] {
                bench
                    .connection
                    .accept_call(bench.now, PeerCallId(peer), CallId(ours));
                let reply = reply(&bench.drain());
                assert_eq!((reply.call_id, reply.peer_call_id), (ours, peer));
            }
        },
    );
    suite.case(
        "2.8",
        "our ids are never 0, differ, and rest for minutes",
        || {
            let now = Bench::server().now;
            let (mut ids, mut entropy) = (CallIds::new(), CountingEntropy(3));
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..2000 {
                let id = ids.allocate(now, &mut entropy).unwrap();
                assert!(id.0 != 0 && seen.insert(id.0));
                ids.release(now, id);
            }
        },
    );
}

fn refusal(suite: &mut Suite) {
    suite.case(
        "2.8",
        "a refused call has the result and error that were given",
        || {
            for (result, error) in [
                (OutgoingCallResult::GeneralError, GeneralError::NoResource),
                (OutgoingCallResult::GeneralError, GeneralError::PacError),
                (OutgoingCallResult::Busy, GeneralError::None),
                (OutgoingCallResult::DoNotAccept, GeneralError::None),
            ] {
                let mut bench = Bench::started();
                bench.hear(call_request(5));
                bench
                    .connection
                    .refuse_call(bench.now, PeerCallId(5), result, error);
                let reply = reply(&bench.drain());
                assert_eq!(
                    (reply.result, reply.error, reply.peer_call_id),
                    (result, error, 5)
                );
                bench.assert_alive();
            }
        },
    );
    suite.case(
        "2.8, 2.16",
        "a second call with an id in use gets error 5, bad call id",
        || {
            let mut bench = Bench::with_call();
            let reply = reply(&bench.hear(call_request(PEER)));
            assert_eq!(reply.result, OutgoingCallResult::GeneralError);
            assert_eq!(reply.error, GeneralError::BadCallId);
            assert_eq!(bench.misbehaved("duplicate-call"), 1);
        },
    );
    suite.case(
        "2.8, 2.16",
        "more calls than a connection may have get error 4, no resource",
        || {
            let mut bench = Bench::started();
            let mut refused = None;
            for call in 0..100 {
                let commands = bench.hear(call_request(call));
                if !is_asked(&commands, call) {
                    refused = Some(reply(&commands));
                    break;
                }
                bench
                    .connection
                    .accept_call(bench.now, PeerCallId(call), CallId(1000 + call));
                bench.drain();
            }
            assert_eq!(refused.unwrap().error, GeneralError::NoResource);
            bench.assert_alive();
        },
    );
    suite.case(
        "2.8, 2.16",
        "a call before the start gets error 1, not connected",
        || {
            let mut bench = Bench::server();
            let reply = reply(&bench.hear(call_request(5)));
            assert_eq!(reply.result, OutgoingCallResult::GeneralError);
            assert_eq!(reply.error, GeneralError::NotConnected);
            assert_eq!(bench.misbehaved("call-before-start"), 1);
        },
    );
    suite.case("2.10", "an incoming call is not accepted: result 3", || {
        let mut bench = Bench::started();
        let Repr::IncomingCallReply(reply) = one(&bench.hear(incoming())) else {
            panic!("no reply");
        };
        assert_eq!(reply.result, IncomingCallResult::DoNotAccept);
        assert_eq!(reply.peer_call_id, 5);
        bench.assert_alive();
    });
    suite.case(
        "2.10, 2.16",
        "an incoming call before the start gets error 1",
        || {
            let mut bench = Bench::server();
            let Repr::IncomingCallReply(reply) = one(&bench.hear(incoming())) else {
                panic!("no reply");
            };
            assert_eq!(reply.error, GeneralError::NotConnected);
        },
    );
    suite.case("2.8", "a call to a client is prohibited: result 7", || {
        let mut bench = Bench::client_started();
        let reply = reply(&bench.hear(call_request(5)));
        assert_eq!(reply.result, OutgoingCallResult::DoNotAccept);
    });
}

fn clear(suite: &mut Suite) {
    suite.case(
        "2.12, 2.13",
        "a clear request is answered with disconnect, result 4",
        || {
            let mut bench = Bench::with_call();
            let commands = bench.hear(CallClearRequest { call_id: PEER });
            let notify = notify(&commands);
            assert_eq!(notify.call_id, OURS.0);
            assert_eq!(notify.result, DisconnectResult::Request);
            assert_eq!(ended(&commands), [(OURS, Cause::PeerRequest)]);
        },
    );
    suite.case(
        "2.13",
        "we disconnect with result 3 for an administrator",
        || {
            let mut bench = Bench::with_call();
            bench
                .connection
                .clear_call(bench.now, OURS, Cause::AdministratorRequest);
            assert_eq!(
                notify(&bench.drain()).result,
                DisconnectResult::AdminShutdown
            );
        },
    );
    suite.case(
        "2.13",
        "we disconnect with result 1 for a peer that is gone",
        || {
            let mut bench = Bench::with_call();
            bench
                .connection
                .clear_call(bench.now, OURS, Cause::PeerNotResponding);
            assert_eq!(notify(&bench.drain()).result, DisconnectResult::LostCarrier);
        },
    );
    suite.case(
        "2.13, 2.16",
        "we disconnect with result 2, error 6, for a fault of our own",
        || {
            let mut bench = Bench::with_call();
            bench
                .connection
                .clear_call(bench.now, OURS, Cause::PortError);
            let notify = notify(&bench.drain());
            assert_eq!(notify.result, DisconnectResult::GeneralError);
            assert_eq!(notify.error, GeneralError::PacError);
        },
    );
    suite.case(
        "2.12",
        "a clear request for a call that there is not is counted",
        || {
            let mut bench = Bench::with_call();
            assert_eq!(bench.hear(CallClearRequest { call_id: 99 }), []);
            assert_eq!(bench.misbehaved("unknown-call"), 1);
            bench.assert_alive();
        },
    );
    suite.case("2.12", "a second clear request ends nothing twice", || {
        let mut bench = Bench::with_call();
        bench.hear(CallClearRequest { call_id: PEER });
        let commands = bench.hear(CallClearRequest { call_id: PEER });
        assert_eq!(ended(&commands), []);
        bench.assert_alive();
    });
    suite.case(
        "2.12",
        "a call may be cleared before it was answered",
        || {
            let mut bench = Bench::started();
            bench.hear(call_request(5));
            bench.hear(CallClearRequest { call_id: 5 });
            assert!(!bench.connection.accept_call(bench.now, PeerCallId(5), OURS));
            bench.assert_alive();
        },
    );
    suite.case(
        "3.2",
        "an id may be called again when its call is over",
        || {
            let mut bench = Bench::with_call();
            bench.hear(CallClearRequest { call_id: PEER });
            assert!(is_asked(&bench.hear(call_request(PEER)), PEER));
        },
    );
}

fn notices(suite: &mut Suite) {
    suite.case("2.15", "set-link-info is taken, whatever its maps", || {
        let mut bench = Bench::with_call();
        for accm in [0, 0x000a_0000, u32::MAX] {
            let info = SetLinkInfo {
                peer_call_id: OURS.0,
                send_accm: accm,
                receive_accm: accm,
            };
            assert_eq!(bench.hear(info), []);
        }
        assert_eq!(bench.misbehaved("unknown-call"), 0);
        bench.assert_alive();
    });
    suite.case(
        "2.15",
        "set-link-info for a call that there is not is counted",
        || {
            let mut bench = Bench::with_call();
            let info = SetLinkInfo {
                peer_call_id: 99,
                send_accm: 0,
                receive_accm: 0,
            };
            assert_eq!(bench.hear(info), []);
            assert_eq!(bench.misbehaved("unknown-call"), 1);
        },
    );
    suite.case(
        "2.14",
        "wan-error-notify is taken, and counted for no call",
        || {
            let mut bench = Bench::with_call();
            assert_eq!(bench.hear(wan_error(OURS.0)), []);
            assert_eq!(bench.misbehaved("unknown-call"), 0);
            assert_eq!(bench.hear(wan_error(99)), []);
            assert_eq!(bench.misbehaved("unknown-call"), 1);
        },
    );
    suite.case(
        "2.10, 2.11",
        "messages of incoming calls that there are not are counted",
        || {
            let mut bench = Bench::with_call();
            bench.hear(IncomingCallReply {
                call_id: 1,
                peer_call_id: OURS.0,
                result: IncomingCallResult::Connect,
                error: GeneralError::None,
                receive_window: 3,
                processing_delay: 0,
            });
            bench.hear(IncomingCallConnected {
                peer_call_id: OURS.0,
                connect_speed: 1,
                receive_window: 1,
                processing_delay: 0,
                framing_type: 1,
            });
            assert_eq!(bench.misbehaved("unexpected-message"), 2);
            bench.assert_alive();
        },
    );
}

fn client(suite: &mut Suite) {
    suite.case(
        "2.7",
        "a client calls with its id, a window, and a serial number",
        || {
            let mut bench = Bench::client_started();
            bench.connection.request_call(bench.now, OURS);
            let Repr::OutgoingCallRequest(request) = one(&bench.drain()) else {
                panic!("no request");
            };
            assert_eq!(request.call_id, OURS.0);
            assert!(request.receive_window > 0);
        },
    );
    suite.case(
        "2.8",
        "result 1 connects a client's call, with id 0 too",
        || {
            let mut bench = Bench::calling();
            let commands = bench.hear(call_reply(OutgoingCallResult::Connected));
            assert!(matches!(
                commands[..],
                [Command::CallConnected {
                    call_id: OURS,
                    peer_call_id: PeerCallId(PEER),
                    ..
                }]
            ));
        },
    );
    suite.case("2.8", "every other result ends a client's call", || {
        for result in (2..=7).chain([0, 8, 255]) {
            let mut bench = Bench::calling();
            let commands = bench.hear(call_reply(OutgoingCallResult::from(result)));
            assert_eq!(ended(&commands), [(OURS, Cause::CallRefused)], "{result}");
        }
    });
    suite.case(
        "3.2.4",
        "a client waits 60 s for the reply to its call",
        || {
            let mut bench = Bench::calling();
            bench.wait(Duration::from_secs(59));
            assert!(ended(&bench.drain()).is_empty());
            assert_eq!(ended(&bench.wait(Duration::from_secs(61))).len(), 1);
        },
    );
    suite.case("2.8", "a reply to no call of ours is counted", || {
        let mut bench = Bench::calling();
        let mut reply = call_reply(OutgoingCallResult::Connected);
        reply.peer_call_id = 99;
        assert_eq!(bench.hear(reply), []);
        assert_eq!(bench.misbehaved("unknown-call"), 1);
    });
    suite.case("2.8", "a second reply connects nothing twice", || {
        let mut bench = Bench::client_with_call();
        let commands = bench.hear(call_reply(OutgoingCallResult::Connected));
        assert_eq!(commands, []);
    });
    suite.case(
        "2.12",
        "a client ends a call by a clear request and waits for the notify",
        || {
            let mut bench = Bench::client_with_call();
            bench
                .connection
                .clear_call(bench.now, OURS, Cause::AdministratorRequest);
            let commands = bench.drain();
            assert_eq!(one(&commands), CallClearRequest { call_id: OURS.0 }.into());
            assert!(ended(&commands).is_empty());
            assert_eq!(ended(&bench.hear(disconnected(PEER))).len(), 1);
        },
    );
    suite.case("2.13", "a disconnect notify ends a client's call", || {
        let mut bench = Bench::client_with_call();
        let commands = bench.hear(disconnected(PEER));
        assert_eq!(ended(&commands), [(OURS, Cause::PeerRequest)]);
        assert_eq!(closed(&commands), None);
    });
    suite.case("2.7", "a client may have several calls", || {
        let mut bench = Bench::client_started();
        for call in 1..=5 {
            bench.connection.request_call(bench.now, CallId(call));
        }
        assert_eq!(sent(&bench.drain()).len(), 5);
        for call in 1..=5 {
            let mut reply = call_reply(OutgoingCallResult::Connected);
            (reply.call_id, reply.peer_call_id) = (call + 100, call);
            assert_eq!(bench.hear(reply).len(), 1);
        }
    });
}

fn order(suite: &mut Suite) {
    suite.case(
        "3",
        "start, call and clear in one segment are survived (crashed accel-ppp)",
        || {
            let mut bench = Bench::server();
            let messages: [Repr; 3] = [
                start_request().into(),
                call_request(1).into(),
                CallClearRequest { call_id: 1 }.into(),
            ];
            let bytes: Vec<_> = messages.iter().flat_map(Repr::to_bytes).collect();
            bench.hear_bytes(&bytes);
            assert!(!bench.connection.accept_call(bench.now, PeerCallId(1), OURS));
            bench.assert_alive();
        },
    );
    suite.case(
        "3",
        "start, call and clear in any order are survived",
        || {
            let messages: [Repr; 3] = [
                start_request().into(),
                call_request(1).into(),
                CallClearRequest { call_id: 1 }.into(),
            ];
            for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let mut bench = Bench::server();
                for at in order {
                    bench.hear(messages[at]);
                }
                bench.assert_alive();
            }
        },
    );
    suite.case(
        "2.4",
        "deviation: a connection without a call is stopped after 15 s",
        || {
            let mut bench = Bench::started();
            let commands = bench.wait(Duration::from_secs(15));
            assert!(matches!(
                one(&commands),
                Repr::StopControlConnectionRequest(_)
            ));
        },
    );
}

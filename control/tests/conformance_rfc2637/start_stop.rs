//! §2.1 to §2.6, §3.1: how a connection begins, is kept alive, and ends.

use std::time::Duration;

use greyhound_control::cause::Cause;
use greyhound_control::pptp::wire::{
    EchoRequest, GeneralError, Repr, SimpleResult, StartControlConnectionReply, StartResult,
    StopControlConnectionReply, StopControlConnectionRequest, StopReason,
};
use greyhound_control::pptp::{Command, Connection};

use crate::bench::{
    Bench, OURS, call_request, closed, echo_reply, ended, one, sent, start_reply, start_request,
};
use crate::conformance::Suite;

const MINUTE: Duration = Duration::from_secs(60);

fn start_answer(bench: &mut Bench, version: u16) -> (StartControlConnectionReply, Vec<Command>) {
    let mut request = start_request();
    request.version = version;
    let commands = bench.hear(request);
    let Repr::StartControlConnectionReply(reply) = one(&commands) else {
        panic!("{commands:?}");
    };
    (reply, commands)
}

fn stop(reason: StopReason) -> StopControlConnectionRequest {
    StopControlConnectionRequest { reason }
}

fn stopped() -> StopControlConnectionReply {
    StopControlConnectionReply {
        result: SimpleResult::Ok,
        error: GeneralError::None,
    }
}

pub(crate) fn cases(suite: &mut Suite) {
    start(suite);
    echo(suite);
    end(suite);
}

fn start(suite: &mut Suite) {
    suite.case(
        "2.2",
        "a start request is answered with result 1 and version 1.0",
        || {
            let (reply, _) = start_answer(&mut Bench::server(), 0x0100);
            assert_eq!(
                (reply.result, reply.error),
                (StartResult::Success, GeneralError::None)
            );
            assert_eq!(reply.version, 0x0100);
        },
    );
    suite.case("2.2", "the reply names us and our vendor", || {
        let (reply, _) = start_answer(&mut Bench::server(), 0x0100);
        assert_eq!(reply.host_name.to_string_lossy(), "concentrator");
        assert!(!reply.vendor.to_string_lossy().is_empty());
    });
    suite.case("2.1", "a later minor version is taken", || {
        let (reply, _) = start_answer(&mut Bench::server(), 0x0101);
        assert_eq!(reply.result, StartResult::Success);
    });
    suite.case(
        "2.2",
        "another major version gets result 5 and the end",
        || {
            for version in [0x0000, 0x0200, 0xff00] {
                let (reply, commands) = start_answer(&mut Bench::server(), version);
                assert_eq!(reply.result, StartResult::VersionNotSupported);
                assert_eq!(closed(&commands), Some(Cause::ProtocolError));
            }
        },
    );
    suite.case(
        "2.2",
        "a second start request gets result 3, and the first stands",
        || {
            let mut bench = Bench::started();
            let (reply, _) = start_answer(&mut bench, 0x0100);
            assert_eq!(reply.result, StartResult::AlreadyExists);
            bench.assert_alive();
        },
    );
    suite.case(
        "2.2, 2.16",
        "a caller that there is no room for gets result 2, error 4",
        || {
            let bench = Bench::server();
            let mut bench = Bench {
                connection: Connection::full(bench.now, "concentrator"),
                ..bench
            };
            let (reply, commands) = start_answer(&mut bench, 0x0100);
            assert_eq!(reply.result, StartResult::GeneralError);
            assert_eq!(reply.error, GeneralError::NoResource);
            assert_eq!(closed(&commands), Some(Cause::NoResource));
        },
    );
    suite.case(
        "3.1.2",
        "who connects and says nothing is closed after 15 s",
        || {
            let mut bench = Bench::server();
            assert_eq!(bench.wait(Duration::from_secs(14)), []);
            assert_eq!(
                closed(&bench.wait(Duration::from_secs(1))),
                Some(Cause::Timeout)
            );
        },
    );
    suite.case(
        "2.1",
        "a client begins with a start request for version 1.0",
        || {
            let Repr::StartControlConnectionRequest(request) = one(&Bench::client().drain()) else {
                panic!("not a start request");
            };
            assert_eq!(request.version, 0x0100);
            assert_eq!(request.maximum_channels, 0, "a PNS says 0");
        },
    );
    suite.case(
        "2.2",
        "a client that is refused closes, whatever the result",
        || {
            for result in 2..=255 {
                let mut bench = Bench::client();
                let commands = bench.hear(start_reply(StartResult::from(result)));
                assert_eq!(closed(&commands), Some(Cause::CallRefused), "{result}");
            }
        },
    );
    suite.case(
        "2.2, 2.3",
        "a client leaves a server of another version with reason 2",
        || {
            let mut bench = Bench::client();
            bench.drain();
            let mut reply = start_reply(StartResult::Success);
            reply.version = 0x0200;
            let commands = bench.hear(reply);
            assert_eq!(one(&commands), stop(StopReason::Protocol).into());
        },
    );
    suite.case("3.1.4", "a client waits 60 s for the start reply", || {
        let mut bench = Bench::client();
        bench.drain();
        assert_eq!(bench.wait(MINUTE - Duration::from_secs(1)), []);
        assert_eq!(
            closed(&bench.wait(Duration::from_secs(1))),
            Some(Cause::Timeout)
        );
    });
    suite.case(
        "3.1.3",
        "deviation: a start request to a client is counted, for no peer that \
        follows the RFC sends one on a connection we opened",
        || {
            let mut bench = Bench::client();
            bench.drain();
            assert_eq!(bench.hear(start_request()), []);
            assert_eq!(bench.misbehaved("second-start"), 1);
            assert_eq!(bench.hear(start_reply(StartResult::Success)).len(), 1);
        },
    );
    suite.case(
        "3.1.2",
        "a reply that nobody asked for changes nothing",
        || {
            let mut bench = Bench::server();
            assert_eq!(bench.hear(start_reply(StartResult::Success)), []);
            assert_eq!(bench.misbehaved("unexpected-message"), 1);
            let (reply, _) = start_answer(&mut bench, 0x0100);
            assert_eq!(reply.result, StartResult::Success);
        },
    );
}

fn echo(suite: &mut Suite) {
    suite.case(
        "2.6",
        "an echo is answered with its identifier and result 1",
        || {
            for identifier in [0, 1, u32::MAX] {
                let mut bench = Bench::started();
                let answer = one(&bench.hear(EchoRequest { identifier }));
                assert_eq!(answer, echo_reply(identifier).into());
            }
        },
    );
    suite.case("3.1.4", "an echo before the start is not answered", || {
        let mut bench = Bench::server();
        assert_eq!(bench.hear(EchoRequest { identifier: 1 }), []);
        assert_eq!(bench.misbehaved("unexpected-message"), 1);
    });
    suite.case(
        "3.1.4",
        "60 s of silence are followed by an echo request",
        || {
            let mut bench = Bench::with_call();
            assert_eq!(bench.wait(MINUTE - Duration::from_secs(1)), []);
            let commands = bench.wait(Duration::from_secs(1));
            assert!(matches!(one(&commands), Repr::EchoRequest(_)));
        },
    );
    suite.case("3.1.4", "any message puts the echo off", || {
        let mut bench = Bench::with_call();
        bench.wait(Duration::from_secs(59));
        bench.hear(EchoRequest { identifier: 1 });
        assert_eq!(bench.wait(Duration::from_secs(59)), []);
    });
    suite.case(
        "3.1.4",
        "an echo that is not answered within 60 s ends the connection",
        || {
            let mut bench = Bench::with_call();
            bench.wait(MINUTE);
            assert_eq!(bench.wait(MINUTE - Duration::from_secs(1)), []);
            let commands = bench.wait(Duration::from_secs(1));
            assert_eq!(closed(&commands), Some(Cause::PeerNotResponding));
            assert_eq!(ended(&commands), [(OURS, Cause::PeerNotResponding)]);
        },
    );
    suite.case(
        "2.6",
        "only the reply with the right identifier counts",
        || {
            let mut bench = Bench::with_call();
            let Repr::EchoRequest(EchoRequest { identifier }) = one(&bench.wait(MINUTE)) else {
                panic!("no echo request");
            };
            bench.hear(echo_reply(identifier.wrapping_add(1)));
            assert_eq!(bench.misbehaved("stray-echo-reply"), 1);
            bench.hear(echo_reply(identifier));
            assert_eq!(closed(&bench.wait(Duration::from_secs(59))), None);
        },
    );
    suite.case("3.1.4", "a client asks by echo as well", || {
        let mut bench = Bench::client_with_call();
        assert!(matches!(one(&bench.wait(MINUTE)), Repr::EchoRequest(_)));
    });
}

fn end(suite: &mut Suite) {
    suite.case(
        "2.4",
        "a stop request is answered with result 1, and TCP closed",
        || {
            for reason in [
                StopReason::None,
                StopReason::LocalShutdown,
                StopReason::Unknown(9),
            ] {
                let mut bench = Bench::started();
                let commands = bench.hear(stop(reason));
                assert_eq!(one(&commands), stopped().into());
                assert_eq!(closed(&commands), Some(Cause::PeerRequest));
            }
        },
    );
    suite.case("2.3", "a stop request clears all calls", || {
        let mut bench = Bench::with_call();
        let commands = bench.hear(stop(StopReason::None));
        assert_eq!(ended(&commands), [(OURS, Cause::PeerRequest)]);
    });
    suite.case(
        "2.3",
        "we stop with reason 1, and with 3 when we shut down",
        || {
            for (cause, reason) in [
                (Cause::AdministratorRequest, StopReason::None),
                (Cause::Reboot, StopReason::LocalShutdown),
            ] {
                let mut bench = Bench::started();
                bench.connection.stop(bench.now, cause);
                assert_eq!(one(&bench.drain()), stop(reason).into());
            }
        },
    );
    suite.case("3.1.1", "the stop reply closes TCP", || {
        let mut bench = Bench::started();
        bench
            .connection
            .stop(bench.now, Cause::AdministratorRequest);
        bench.drain();
        let commands = bench.hear(stopped());
        assert_eq!(closed(&commands), Some(Cause::AdministratorRequest));
    });
    suite.case(
        "3.1.1",
        "deviation: a stop reply is waited for 3 s and not 60, for nothing is lost",
        || {
            let mut bench = Bench::started();
            bench
                .connection
                .stop(bench.now, Cause::AdministratorRequest);
            bench.drain();
            assert_eq!(bench.wait(Duration::from_secs(2)), []);
            assert!(closed(&bench.wait(Duration::from_secs(1))).is_some());
        },
    );
    suite.case(
        "3.1.1",
        "where both ends stop at once both are answered",
        || {
            let mut bench = Bench::started();
            bench
                .connection
                .stop(bench.now, Cause::AdministratorRequest);
            bench.drain();
            let commands = bench.hear(stop(StopReason::None));
            assert_eq!(one(&commands), stopped().into());
            assert!(closed(&commands).is_some());
        },
    );
    suite.case(
        "3.1.1",
        "while we wait for the stop reply nothing new begins",
        || {
            let mut bench = Bench::started();
            bench
                .connection
                .stop(bench.now, Cause::AdministratorRequest);
            bench.drain();
            assert_eq!(bench.hear(call_request(4)), []);
            assert_eq!(bench.hear(start_request()), []);
        },
    );
    suite.case("3.1.2", "a stop before the start is answered", || {
        let mut bench = Bench::server();
        let commands = bench.hear(stop(StopReason::None));
        assert_eq!(one(&commands), stopped().into());
        assert!(closed(&commands).is_some());
    });
    suite.case(
        "3.1",
        "TCP that closes without a word ends its calls",
        || {
            let mut bench = Bench::with_call();
            bench.connection.handle_hangup(bench.now);
            let commands = bench.drain();
            assert_eq!(ended(&commands), [(OURS, Cause::HungUp)]);
            assert_eq!(closed(&commands), Some(Cause::HungUp));
        },
    );
    suite.case(
        "3.1",
        "after the end nothing is said, whatever comes",
        || {
            let mut bench = Bench::started();
            bench.hear(stop(StopReason::None));
            assert_eq!(bench.hear(start_request()), []);
            assert_eq!(bench.wait(MINUTE * 10), []);
            assert!(sent(&bench.hear_bytes(&[0xff; 300])).is_empty());
        },
    );
}

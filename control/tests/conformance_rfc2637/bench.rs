//! The connection under test, and a peer that a case plays by hand.

use std::time::{Duration, Instant};

use greyhound_control::cause::Cause;
use greyhound_control::pptp::wire::{
    EchoReply, GeneralError, OutgoingCallReply, OutgoingCallRequest, OutgoingCallResult, Repr,
    SimpleResult, StartControlConnectionReply, StartControlConnectionRequest, StartResult, Text,
};
use greyhound_control::pptp::{Command, Connection};
use greyhound_datapath::ids::{CallId, PeerCallId};

/// Our id of the first call.
pub(crate) const OURS: CallId = CallId(0x1234);
/// The peer's: 0 is as good as any, and pptpd begins with it.
pub(crate) const PEER: u16 = 0;

/// A connection and the time.
pub(crate) struct Bench {
    pub(crate) connection: Connection,
    pub(crate) now: Instant,
}

impl Bench {
    /// A server to which somebody connected.
    pub(crate) fn server() -> Self {
        let now = start();
        let connection = Connection::server(now, "concentrator");
        Self { connection, now }
    }

    /// A server that was asked to start.
    pub(crate) fn started() -> Self {
        let mut bench = Self::server();
        bench.hear(start_request());
        bench
    }

    /// A server with a call.
    pub(crate) fn with_call() -> Self {
        let mut bench = Self::started();
        bench.hear(call_request(PEER));
        assert!(
            bench
                .connection
                .accept_call(bench.now, PeerCallId(PEER), OURS)
        );
        bench.drain();
        bench
    }

    /// A client that connected and asked to start.
    pub(crate) fn client() -> Self {
        let now = start();
        let mut connection = Connection::client(now, "client");
        connection.start(now);
        Self { connection, now }
    }

    /// A client whose start was answered.
    pub(crate) fn client_started() -> Self {
        let mut bench = Self::client();
        bench.hear(start_reply(StartResult::Success));
        bench
    }

    /// A client that has called, and was not answered.
    pub(crate) fn calling() -> Self {
        let mut bench = Self::client_started();
        bench.connection.request_call(bench.now, OURS);
        bench.drain();
        bench
    }

    /// A client with a call.
    pub(crate) fn client_with_call() -> Self {
        let mut bench = Self::calling();
        bench.hear(call_reply(OutgoingCallResult::Connected));
        bench
    }

    /// A message arrives; what comes of it.
    pub(crate) fn hear(&mut self, message: impl Into<Repr>) -> Vec<Command> {
        self.hear_bytes(&message.into().to_bytes())
    }

    pub(crate) fn hear_bytes(&mut self, bytes: &[u8]) -> Vec<Command> {
        self.connection.handle_data(self.now, bytes);
        self.drain()
    }

    /// Time passes; what comes of it.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<Command> {
        let end = self.now + time;
        let mut commands = Vec::new();
        while let Some(at) = self.connection.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
            commands.extend(self.drain());
        }
        self.now = end;
        commands
    }

    pub(crate) fn drain(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.connection.poll_command()).collect()
    }

    /// Whether it still answers, and so lives.
    pub(crate) fn assert_alive(&mut self) {
        use greyhound_control::pptp::wire::EchoRequest;
        let answers = self.hear(EchoRequest { identifier: 77 });
        assert_eq!(sent(&answers), [Repr::from(echo_reply(77))]);
    }

    /// How often it counted a misbehaviour of this name.
    pub(crate) fn misbehaved(&self, name: &str) -> u64 {
        let counts = self.connection.misbehaviours().iter();
        counts
            .filter(|(of, _)| *of == name)
            .map(|(_, count)| count)
            .sum()
    }
}

/// The messages among commands.
pub(crate) fn sent(commands: &[Command]) -> Vec<Repr> {
    let bytes = commands.iter().filter_map(|command| {
        if let Command::Send(bytes) = command {
            Some(bytes)
        } else {
            None
        }
    });
    bytes.map(|bytes| Repr::parse(bytes).unwrap()).collect()
}

/// The one message among commands.
pub(crate) fn one(commands: &[Command]) -> Repr {
    let messages = sent(commands);
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0]
}

/// Why it closed, if it did.
pub(crate) fn closed(commands: &[Command]) -> Option<Cause> {
    commands.iter().find_map(|command| {
        if let Command::Close(cause) = command {
            Some(*cause)
        } else {
            None
        }
    })
}

/// The calls that ended.
pub(crate) fn ended(commands: &[Command]) -> Vec<(CallId, Cause)> {
    let ends = commands.iter().filter_map(|command| {
        if let Command::CallEnded { call_id, cause } = command {
            Some((*call_id, *cause))
        } else {
            None
        }
    });
    ends.collect()
}

#[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
fn start() -> Instant {
    Instant::now()
}

pub(crate) fn start_request() -> StartControlConnectionRequest {
    StartControlConnectionRequest {
        version: 0x0100,
        framing_capabilities: 3,
        bearer_capabilities: 3,
        maximum_channels: 0,
        firmware_revision: 1,
        host_name: "peer".into(),
        vendor: "cananian".into(),
    }
}

pub(crate) fn start_reply(result: StartResult) -> StartControlConnectionReply {
    StartControlConnectionReply {
        version: 0x0100,
        result,
        error: GeneralError::None,
        framing_capabilities: 3,
        bearer_capabilities: 3,
        maximum_channels: 0,
        firmware_revision: 1,
        host_name: "peer".into(),
        vendor: "linux".into(),
    }
}

pub(crate) fn call_request(call_id: u16) -> OutgoingCallRequest {
    OutgoingCallRequest {
        call_id,
        call_serial_number: 1,
        minimum_bps: 300,
        maximum_bps: 100_000_000,
        bearer_type: 3,
        framing_type: 3,
        receive_window: 3,
        processing_delay: 0,
        phone_number_length: 0,
        phone_number: Text::default(),
        subaddress: Text::default(),
    }
}

/// To our first call.
pub(crate) fn call_reply(result: OutgoingCallResult) -> OutgoingCallReply {
    OutgoingCallReply {
        call_id: PEER,
        peer_call_id: OURS.0,
        result,
        error: GeneralError::None,
        cause: 0,
        connect_speed: 10_000_000,
        receive_window: 3,
        processing_delay: 0,
        physical_channel: 0,
    }
}

pub(crate) fn echo_reply(identifier: u32) -> EchoReply {
    EchoReply {
        identifier,
        result: SimpleResult::Ok,
        error: GeneralError::None,
    }
}

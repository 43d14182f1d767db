//! One control connection, RFC 2637 §3, in either role, with its calls.
//!
//! The bytes of the TCP connection go in as they come, cut anywhere; [`Command`]s come out. After
//! each call of a `&mut` method: drain [`Connection::poll_command`], then ask
//! [`Connection::poll_timeout`] when to call [`Connection::handle_timeout`].
//!
//! What a peer can make this hold is bounded: one message that is not complete yet, and
//! [`MAX_CALLS`] calls.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use greyhound_datapath::ids::{CallId, PeerCallId};

use self::calls::{Call, Refusal};
use super::fsm::{self, Action, Event, State};
use super::misbehaviour::{Misbehaviour, Misbehaviours};
use super::refused::Refused;
use super::wire::{
    self, EchoReply, EchoRequest, GeneralError, Repr, SimpleResult, StartControlConnectionReply,
    StartControlConnectionRequest, StartResult, StopControlConnectionReply,
    StopControlConnectionRequest, StopReason, Text,
};
use crate::cause::Cause;

mod calls;

/// How long a client may take from its TCP connection to its start request.
pub const START_TIMEOUT: Duration = Duration::from_secs(15);

/// How long one that there is no room for may take.
pub const FULL_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection may be without a call.
pub const NO_CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// RFC 2637 §3: how long a reply may take before the control connection is closed.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a stop reply or the end of a call is waited for. RFC 2637 has 60 s for them too, but
/// nothing is lost any more when the wait ends early.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// RFC 2637 §3.1.4: how long nothing may arrive before an Echo-Request goes out, and how long its
/// reply may take.
pub const ECHO_INTERVAL: Duration = Duration::from_secs(60);

/// The calls that one connection may have.
pub const MAX_CALLS: usize = 64;

/// The window that we announce, in GRE packets: four bursts of the datapath, which acknowledges after
/// half of it.
pub const WINDOW: u16 = 256;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// What a [`Connection`] asks of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send these bytes.
    Send(Vec<u8>),
    /// This message was received or sent; only after [`Connection::trace`].
    Traced(Direction, &'static str),
    /// Close the TCP connection when everything is sent. Comes once; nothing follows.
    Close(Cause),
    /// The start exchange is done: calls can be made.
    Started {
        /// What the peer calls itself.
        host_name: String,
        /// What the peer is.
        vendor: String,
    },
    /// Server: call [`Connection::accept_call`] or [`Connection::refuse_call`].
    CallRequested {
        /// The peer's id of the call.
        peer_call_id: PeerCallId,
        /// GRE packets that the peer buffers.
        window: u16,
    },
    /// Client: the call carries data.
    CallConnected {
        /// As given to [`Connection::request_call`].
        call_id: CallId,
        /// The peer's id of the call.
        peer_call_id: PeerCallId,
        /// GRE packets that the peer buffers.
        window: u16,
    },
    /// A call that was accepted or requested is over; its id is free. Comes once for each.
    CallEnded {
        /// Our id of the call.
        call_id: CallId,
        /// Why.
        cause: Cause,
    },
}

/// One control connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    host_name: String,
    /// Server: there is no room for this one.
    is_full: bool,
    state: State,
    /// When the state began.
    since: Instant,
    /// What has arrived of a message.
    buffer: Vec<u8>,
    /// When the last message arrived.
    heard: Instant,
    /// The Echo-Request that is not answered yet.
    echo: Option<(Instant, u32)>,
    last_echo_identifier: u32,
    calls: Vec<Call>,
    call_serial_number: u16,
    /// Since when there has been no call.
    without_call: Instant,
    /// The first one stays.
    cause: Option<Cause>,
    commands: VecDeque<Command>,
    misbehaviours: Misbehaviours,
    /// Client: what the server refused last.
    refused: Option<Refused>,
    is_traced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

impl Connection {
    /// A connection that a client opened to us.
    #[must_use]
    pub fn server(now: Instant, host_name: &str) -> Self {
        Self::new(Role::Server, now, host_name)
    }

    /// A connection that a client opened to a server that has no room for it: the start request
    /// is answered with result 2 and error 4, no resource (RFC 2637 §2.2), and nothing else is.
    #[must_use]
    pub fn full(now: Instant, host_name: &str) -> Self {
        Self {
            is_full: true,
            cause: Some(Cause::NoResource),
            ..Self::new(Role::Server, now, host_name)
        }
    }

    /// A connection that we opened; [`Self::start`] begins.
    #[must_use]
    pub fn client(now: Instant, host_name: &str) -> Self {
        Self::new(Role::Client, now, host_name)
    }

    /// Gives [`Command::Traced`] for each message from here on.
    pub const fn trace(&mut self) {
        self.is_traced = true;
    }

    /// Client: sends the start request.
    pub fn start(&mut self, now: Instant) {
        self.apply(now, Event::Start, &Input::None);
    }

    /// Ends every call and then the connection; [`Command::Close`] follows, at the latest after
    /// [`STOP_TIMEOUT`].
    pub fn stop(&mut self, now: Instant, cause: Cause) {
        self.cause.get_or_insert(cause);
        self.apply(now, Event::Stop, &Input::None);
    }

    /// Takes bytes that arrived, any number of them.
    pub fn handle_data(&mut self, now: Instant, mut bytes: &[u8]) {
        while self.state != State::Closed {
            let wanted = match wire::message_len(&self.buffer) {
                Ok(len) => len.unwrap_or(wire::HEADER_LEN),
                Err(error) => {
                    self.count_malformed(error);
                    self.apply(now, Event::OutOfStep, &Input::None);
                    return;
                }
            };
            let missing = wanted.saturating_sub(self.buffer.len());
            if missing == 0 {
                let message = std::mem::take(&mut self.buffer);
                self.handle_message(now, &message);
                self.buffer = message;
                self.buffer.clear();
                continue;
            }
            if bytes.is_empty() {
                return;
            }
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.buffer.extend_from_slice(taken);
            bytes = rest;
        }
    }

    /// The peer closed the TCP connection, or it broke.
    pub fn handle_hangup(&mut self, now: Instant) {
        self.apply(now, Event::HangUp, &Input::None);
    }

    /// The moment that [`Self::poll_timeout`] named has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.time_out_calls(now);
        if self.state_deadline().is_some_and(|at| at <= now) {
            self.apply(now, Event::Timeout, &Input::None);
        }
        if self.no_call_deadline().is_some_and(|at| at <= now) {
            self.cause.get_or_insert(Cause::Timeout);
            self.apply(now, Event::Stop, &Input::None);
        }
        if self.echo_due().is_some_and(|at| at <= now) {
            self.last_echo_identifier = self.last_echo_identifier.wrapping_add(1);
            self.echo = Some((now, self.last_echo_identifier));
            self.send(EchoRequest {
                identifier: self.last_echo_identifier,
            });
        }
    }

    /// The next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.calls_deadline()
            .into_iter()
            .chain(self.state_deadline())
            .chain(self.no_call_deadline())
            .chain(self.echo_due())
            .min()
    }

    /// What the peer did wrong so far.
    #[must_use]
    pub const fn misbehaviours(&self) -> &Misbehaviours {
        &self.misbehaviours
    }

    /// Client: what the server refused last, if anything; [`Cause::CallRefused`] is due to it.
    #[must_use]
    pub const fn refused(&self) -> Option<Refused> {
        self.refused
    }

    fn new(role: Role, now: Instant, host_name: &str) -> Self {
        Self {
            role,
            host_name: host_name.to_owned(),
            is_full: false,
            state: State::Idle,
            since: now,
            buffer: Vec::with_capacity(wire::MAX_LEN),
            heard: now,
            echo: None,
            last_echo_identifier: 0,
            calls: Vec::new(),
            call_serial_number: 0,
            without_call: now,
            cause: None,
            commands: VecDeque::new(),
            misbehaviours: Misbehaviours::default(),
            refused: None,
            is_traced: false,
        }
    }

    fn handle_message(&mut self, now: Instant, message: &[u8]) {
        self.heard = now;
        let repr = match Repr::parse(message) {
            Ok(repr) => repr,
            Err(error) => {
                self.count_malformed(error);
                self.apply(now, Event::Malformed, &Input::None);
                return;
            }
        };
        self.note(Direction::Received, &repr);
        let (event, input) = self.classify(repr);
        self.apply(now, event, &input);
    }

    /// Turns a message into the event of the table, with what its actions need of it.
    fn classify(&mut self, repr: Repr) -> (Event, Input) {
        match repr {
            Repr::StartControlConnectionRequest(start) => {
                let names = Input::Start(start.host_name, start.vendor);
                if self.is_full {
                    (Event::StartRequestRefused, names)
                } else if is_our_version(start.version) {
                    (Event::StartRequest, names)
                } else {
                    self.misbehaviours.count(Misbehaviour::BadVersion);
                    (Event::StartRequestRefused, names)
                }
            }
            Repr::StartControlConnectionReply(start) => {
                let names = Input::Start(start.host_name, start.vendor);
                if start.result != StartResult::Success {
                    if self.state == State::WaitCtlReply {
                        self.refused = Some(Refused::Connection(start.result, start.error));
                    }
                    (Event::StartReplyRefused, names)
                } else if is_our_version(start.version) {
                    (Event::StartReply, names)
                } else {
                    self.misbehaviours.count(Misbehaviour::BadVersion);
                    (Event::StartReplyBadVersion, names)
                }
            }
            Repr::StopControlConnectionRequest(_) => (Event::StopRequest, Input::None),
            Repr::StopControlConnectionReply(_) => (Event::StopReply, Input::None),
            Repr::EchoRequest(echo) => (Event::EchoRequest, Input::Echo(echo.identifier)),
            Repr::EchoReply(echo) => (Event::EchoReply, Input::Echo(echo.identifier)),
            Repr::OutgoingCallRequest(_) | Repr::IncomingCallRequest(_) => {
                (Event::CallRequest, Input::Call(Box::new(repr)))
            }
            Repr::OutgoingCallReply(_)
            | Repr::IncomingCallReply(_)
            | Repr::IncomingCallConnected(_)
            | Repr::CallClearRequest(_)
            | Repr::CallDisconnectNotify(_)
            | Repr::WanErrorNotify(_)
            | Repr::SetLinkInfo(_) => (Event::CallMessage, Input::Call(Box::new(repr))),
        }
    }

    /// Looks the event up in the table and does what it says.
    fn apply(&mut self, now: Instant, event: Event, input: &Input) {
        let (state, actions) = fsm::connection(self.state, event);
        let is_end = matches!(state, State::WaitStopReply | State::Closed);
        if is_end && state != self.state {
            let cause = cause_of(self.state, event);
            self.cause.get_or_insert(cause);
        }
        let before = std::mem::replace(&mut self.state, state);
        if before != state {
            self.since = now;
        }
        for &action in actions {
            self.act(now, action, before, event, input);
        }
        if state == State::Established
            && before != state
            && let Input::Start(host_name, vendor) = input
        {
            self.without_call = now;
            self.commands.push_back(Command::Started {
                host_name: host_name.to_string_lossy(),
                vendor: vendor.to_string_lossy(),
            });
        }
    }

    fn act(&mut self, now: Instant, action: Action, before: State, event: Event, input: &Input) {
        match action {
            Action::SendStartRequest => {
                let start = StartControlConnectionRequest {
                    version: wire::VERSION,
                    framing_capabilities: ANY_FRAMING,
                    bearer_capabilities: ANY_BEARER,
                    maximum_channels: 0,
                    firmware_revision: FIRMWARE_REVISION,
                    host_name: self.host_name.as_str().into(),
                    vendor: VENDOR.into(),
                };
                self.send(start);
            }
            Action::SendStartReply => {
                self.send_start_reply(StartResult::Success, GeneralError::None);
            }
            Action::RefuseStart if self.is_full => {
                self.send_start_reply(StartResult::GeneralError, GeneralError::NoResource);
            }
            Action::RefuseStart => {
                self.send_start_reply(StartResult::VersionNotSupported, GeneralError::None);
            }
            Action::RefuseSecondStart => {
                self.send_start_reply(StartResult::AlreadyExists, GeneralError::None);
            }
            Action::SendStopRequest => {
                let reason = match (event, self.cause) {
                    (Event::StartReplyBadVersion, _) => StopReason::Protocol,
                    (_, Some(Cause::Reboot)) => StopReason::LocalShutdown,
                    (_, _) => StopReason::None,
                };
                self.send(StopControlConnectionRequest { reason });
            }
            Action::SendStopReply => self.send(StopControlConnectionReply {
                result: SimpleResult::Ok,
                error: GeneralError::None,
            }),
            Action::SendEchoReply => {
                if let &Input::Echo(identifier) = input {
                    self.send(EchoReply {
                        identifier,
                        result: SimpleResult::Ok,
                        error: GeneralError::None,
                    });
                }
            }
            Action::TakeEchoReply => match (self.echo, input) {
                (Some((_, sent)), &Input::Echo(received)) if sent == received => self.echo = None,
                (_, _) => self.misbehaviours.count(Misbehaviour::StrayEchoReply),
            },
            Action::HandleCall => {
                if let Input::Call(repr) = input {
                    self.handle_call_message(now, repr);
                }
            }
            Action::RefuseCall => {
                if let Input::Call(repr) = input {
                    self.refuse_request(repr, Refusal::NOT_CONNECTED);
                }
            }
            Action::Count => self.misbehaviours.count(match (before, event) {
                (_, Event::StartRequest | Event::StartRequestRefused) => Misbehaviour::SecondStart,
                (_, Event::EchoReply) => Misbehaviour::StrayEchoReply,
                (State::Idle | State::WaitCtlReply, Event::CallRequest | Event::CallMessage) => {
                    Misbehaviour::CallBeforeStart
                }
                (_, _) => Misbehaviour::UnexpectedMessage,
            }),
            // RFC 2637 §2.3: a stop request clears all calls. They are cleared one by one all the
            // same, for peers that only look at calls.
            Action::EndCalls => self.end_calls(matches!(event, Event::Stop | Event::Malformed)),
            Action::Close => {
                let cause = self.cause.unwrap_or(Cause::ProtocolError);
                self.commands.push_back(Command::Close(cause));
            }
        }
    }

    fn send_start_reply(&mut self, result: StartResult, error: GeneralError) {
        self.send(StartControlConnectionReply {
            version: wire::VERSION,
            result,
            error,
            framing_capabilities: ANY_FRAMING,
            bearer_capabilities: ANY_BEARER,
            maximum_channels: u16::MAX,
            firmware_revision: FIRMWARE_REVISION,
            host_name: self.host_name.as_str().into(),
            vendor: VENDOR.into(),
        });
    }

    fn send(&mut self, message: impl Into<Repr>) {
        let message = message.into();
        self.note(Direction::Sent, &message);
        self.commands.push_back(Command::Send(message.to_bytes()));
    }

    fn note(&mut self, direction: Direction, message: &Repr) {
        if self.is_traced {
            let traced = Command::Traced(direction, message.name());
            self.commands.push_back(traced);
        }
    }

    fn count_malformed(&mut self, error: wire::Error) {
        self.misbehaviours.count(match error {
            wire::Error::BadCookie => Misbehaviour::BadCookie,
            wire::Error::BadLength => Misbehaviour::BadLength,
            wire::Error::UnknownMessageType => Misbehaviour::UnknownMessageType,
            wire::Error::UnknownControlType => Misbehaviour::UnknownControlType,
            wire::Error::WrongLength => Misbehaviour::WrongLength,
        });
    }

    /// When [`Event::Timeout`] is due.
    fn state_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle if self.is_full => Some(self.since + FULL_TIMEOUT),
            State::Idle => Some(self.since + START_TIMEOUT),
            State::WaitCtlReply => Some(self.since + REPLY_TIMEOUT),
            State::Established => self.echo.map(|(sent, _)| sent + ECHO_INTERVAL),
            State::WaitStopReply => Some(self.since + STOP_TIMEOUT),
            State::Closed => None,
        }
    }

    fn no_call_deadline(&self) -> Option<Instant> {
        let waits = self.state == State::Established && self.calls.is_empty();
        waits.then_some(self.without_call + NO_CALL_TIMEOUT)
    }

    fn echo_due(&self) -> Option<Instant> {
        let quiet = self.state == State::Established && self.echo.is_none();
        quiet.then_some(self.heard + ECHO_INTERVAL)
    }
}

/// What a message brings that its event does not say.
#[derive(Debug)]
enum Input {
    None,
    Start(Text<64>, Text<64>),
    Echo(u32),
    Call(Box<Repr>),
}

/// RFC 2637 §2: the high byte is the major version; minor ones are to understand each other.
const fn is_our_version(version: u16) -> bool {
    version >> 8 == wire::VERSION >> 8
}

/// Why a connection ends by an event.
const fn cause_of(state: State, event: Event) -> Cause {
    match event {
        Event::StopRequest => Cause::PeerRequest,
        Event::HangUp => Cause::HungUp,
        Event::Timeout => match state {
            State::Established => Cause::PeerNotResponding,
            State::Idle | State::WaitCtlReply | State::WaitStopReply | State::Closed => {
                Cause::Timeout
            }
        },
        Event::StartReplyRefused => Cause::CallRefused,
        Event::Start | Event::Stop | Event::StopReply => Cause::AdministratorRequest,
        Event::StartRequest
        | Event::StartRequestRefused
        | Event::StartReply
        | Event::StartReplyBadVersion
        | Event::EchoRequest
        | Event::EchoReply
        | Event::CallRequest
        | Event::CallMessage
        | Event::Malformed
        | Event::OutOfStep => Cause::ProtocolError,
    }
}

/// Asynchronous and synchronous framing: nothing is framed on GRE, so either is right.
const ANY_FRAMING: u32 = 3;

/// Analog and digital lines.
const ANY_BEARER: u32 = 3;

const FIRMWARE_REVISION: u16 = 1;

const VENDOR: &str = "Greyhound";

#[cfg(test)]
mod tests;

//! The calls of a control connection, RFC 2637 §3.2.

use std::time::Instant;

use greyhound_datapath::ids::{CallId, PeerCallId};

use super::{
    ANY_BEARER, ANY_FRAMING, Command, Connection, MAX_CALLS, REPLY_TIMEOUT, Role, STOP_TIMEOUT,
    WINDOW,
};
use crate::cause::Cause;
use crate::pptp::fsm::{self, CallAction, CallEvent, CallState, State};
use crate::pptp::misbehaviour::Misbehaviour;
use crate::pptp::refused::Refused;
use crate::pptp::wire::{
    CallClearRequest, CallDisconnectNotify, DisconnectResult, GeneralError, IncomingCallReply,
    IncomingCallResult, OutgoingCallReply, OutgoingCallRequest, OutgoingCallResult, Repr, Text,
};

#[derive(Debug)]
pub(super) struct Call {
    state: CallState,
    /// `None` until a server accepts.
    ours: Option<CallId>,
    /// `None` until a server answers.
    peer: Option<PeerCallId>,
    /// The peer's window, once known.
    window: u16,
    deadline: Option<Instant>,
    cause: Option<Cause>,
}

impl Connection {
    /// Client: calls the server. Ignored unless the start exchange is done.
    pub fn request_call(&mut self, now: Instant, call_id: CallId) {
        if self.state != State::Established {
            return;
        }
        self.call_serial_number = self.call_serial_number.wrapping_add(1);
        self.send(OutgoingCallRequest {
            call_id: call_id.0,
            call_serial_number: self.call_serial_number,
            minimum_bps: MINIMUM_BPS,
            maximum_bps: LINE_BPS,
            bearer_type: ANY_BEARER,
            framing_type: ANY_FRAMING,
            receive_window: WINDOW,
            processing_delay: 0,
            phone_number_length: 0,
            phone_number: Text::default(),
            subaddress: Text::default(),
        });
        self.calls.push(Call {
            state: CallState::WaitReply,
            ours: Some(call_id),
            peer: None,
            window: 0,
            deadline: Some(now + REPLY_TIMEOUT),
            cause: None,
        });
    }

    /// Server: takes a call. Returns whether it was still there to take.
    pub fn accept_call(&mut self, now: Instant, peer_call_id: PeerCallId, call_id: CallId) -> bool {
        let Some(at) = self.waiting_call(peer_call_id) else {
            return false;
        };
        self.calls[at].ours = Some(call_id);
        self.apply_to_call(now, at, CallEvent::Accept, &CallInput::None);
        true
    }

    /// Server: does not take a call.
    pub fn refuse_call(
        &mut self,
        now: Instant,
        peer_call_id: PeerCallId,
        result: OutgoingCallResult,
        error: GeneralError,
    ) {
        if let Some(at) = self.waiting_call(peer_call_id) {
            let refusal = CallInput::Refusal(result, error);
            self.apply_to_call(now, at, CallEvent::Refuse, &refusal);
        }
    }

    /// Ends a call; [`Command::CallEnded`] follows, at the latest after [`STOP_TIMEOUT`].
    pub fn clear_call(&mut self, now: Instant, call_id: CallId, cause: Cause) {
        if let Some(at) = self.position(|call| call.ours == Some(call_id)) {
            self.calls[at].cause.get_or_insert(cause);
            self.apply_to_call(now, at, CallEvent::Clear, &CallInput::None);
        }
    }

    /// Does what is due about calls.
    pub(super) fn time_out_calls(&mut self, now: Instant) {
        while let Some(at) = self.position(|call| call.deadline.is_some_and(|at| at <= now)) {
            self.calls[at].deadline = None;
            self.apply_to_call(now, at, CallEvent::Timeout, &CallInput::None);
        }
    }

    /// When something is due about calls.
    pub(super) fn calls_deadline(&self) -> Option<Instant> {
        self.calls.iter().filter_map(|call| call.deadline).min()
    }

    /// Ends all calls; `tell` the peer about each if it still listens.
    pub(super) fn end_calls(&mut self, tell: bool) {
        for call in std::mem::take(&mut self.calls) {
            if tell {
                self.send_end_of(&call);
            }
            self.end(call);
        }
    }

    pub(super) fn handle_call_message(&mut self, now: Instant, repr: &Repr) {
        let ours = |id| Some(CallId(id));
        let peers = |id| Some(PeerCallId(id));
        let (at, event, input) = match repr {
            Repr::OutgoingCallRequest(request) => return self.handle_call_request(request),
            Repr::IncomingCallRequest(_) => {
                self.misbehaviours.count(Misbehaviour::UnservedCall);
                return self.refuse_request(repr, Refusal::DO_NOT_ACCEPT);
            }
            Repr::IncomingCallReply(_) | Repr::IncomingCallConnected(_) => {
                self.misbehaviours.count(Misbehaviour::UnexpectedMessage);
                return;
            }
            Repr::OutgoingCallReply(reply) => (
                self.position(|call| call.ours == ours(reply.peer_call_id)),
                if reply.result == OutgoingCallResult::Connected {
                    CallEvent::ReplyConnected
                } else {
                    CallEvent::ReplyRefused
                },
                CallInput::Reply(reply),
            ),
            Repr::CallClearRequest(clear) => (
                self.position(|call| call.peer == peers(clear.call_id)),
                CallEvent::ClearRequest,
                CallInput::None,
            ),
            Repr::CallDisconnectNotify(notify) => (
                self.position(|call| call.peer == peers(notify.call_id)),
                CallEvent::DisconnectNotify,
                CallInput::None,
            ),
            Repr::WanErrorNotify(notify) => (
                self.position(|call| call.ours == ours(notify.peer_call_id)),
                CallEvent::Notice,
                CallInput::None,
            ),
            Repr::SetLinkInfo(info) => (
                self.position(|call| call.ours == ours(info.peer_call_id)),
                CallEvent::Notice,
                CallInput::None,
            ),
            Repr::StartControlConnectionRequest(_)
            | Repr::StartControlConnectionReply(_)
            | Repr::StopControlConnectionRequest(_)
            | Repr::StopControlConnectionReply(_)
            | Repr::EchoRequest(_)
            | Repr::EchoReply(_) => return,
        };
        match at {
            Some(at) => self.apply_to_call(now, at, event, &input),
            None => self.misbehaviours.count(Misbehaviour::UnknownCall),
        }
    }

    fn handle_call_request(&mut self, request: &OutgoingCallRequest) {
        let peer = PeerCallId(request.call_id);
        let refusal = if self.role == Role::Client {
            Some((Misbehaviour::UnservedCall, Refusal::DO_NOT_ACCEPT))
        } else if self.position(|call| call.peer == Some(peer)).is_some() {
            Some((Misbehaviour::DuplicateCall, Refusal::BAD_CALL_ID))
        } else if self.calls.len() >= MAX_CALLS {
            Some((Misbehaviour::TooManyCalls, Refusal::NO_RESOURCE))
        } else {
            None
        };
        if let Some((misbehaviour, refusal)) = refusal {
            self.misbehaviours.count(misbehaviour);
            return self.refuse_request(&Repr::OutgoingCallRequest(*request), refusal);
        }
        self.calls.push(Call {
            state: CallState::WaitAnswer,
            ours: None,
            peer: Some(peer),
            window: request.receive_window,
            deadline: None,
            cause: None,
        });
        self.commands.push_back(Command::CallRequested {
            peer_call_id: peer,
            window: request.receive_window,
        });
    }

    /// Looks the event up in the table of calls and does what it says.
    fn apply_to_call(&mut self, now: Instant, at: usize, event: CallEvent, input: &CallInput<'_>) {
        let mut call = self.calls.swap_remove(at);
        let (state, actions) = fsm::call(call.state, event);
        if state.is_none() {
            call.cause.get_or_insert(match event {
                CallEvent::ClearRequest | CallEvent::DisconnectNotify => Cause::PeerRequest,
                CallEvent::ReplyRefused => Cause::CallRefused,
                CallEvent::Timeout => Cause::Timeout,
                CallEvent::Accept
                | CallEvent::Refuse
                | CallEvent::Clear
                | CallEvent::ReplyConnected
                | CallEvent::Notice => Cause::AdministratorRequest,
            });
        }
        if let &CallInput::Reply(reply) = input {
            call.peer.get_or_insert(PeerCallId(reply.call_id));
            call.window = reply.receive_window;
            if state.is_none() {
                self.refused = Some(Refused::Call(reply.result, reply.error));
            }
        }
        let mut stop = false;
        for action in actions {
            match action {
                CallAction::SendReply => self.send(OutgoingCallReply {
                    call_id: call.ours.map_or(0, |id| id.0),
                    peer_call_id: call.peer.map_or(0, |id| id.0),
                    result: OutgoingCallResult::Connected,
                    error: GeneralError::None,
                    cause: 0,
                    connect_speed: LINE_BPS,
                    receive_window: WINDOW,
                    processing_delay: 0,
                    physical_channel: 0,
                }),
                CallAction::SendRefusal => {
                    let (result, error) = match *input {
                        CallInput::Refusal(result, error) => (result, error),
                        CallInput::None | CallInput::Reply(..) => {
                            (OutgoingCallResult::NoCarrier, GeneralError::None)
                        }
                    };
                    self.send_refusal(call.peer.map_or(0, |id| id.0), result, error);
                }
                CallAction::SendClearRequest | CallAction::SendDisconnectNotify => {
                    self.send_end(&call, *action, event);
                }
                CallAction::Connected => {
                    if let (Some(call_id), Some(peer_call_id)) = (call.ours, call.peer) {
                        self.commands.push_back(Command::CallConnected {
                            call_id,
                            peer_call_id,
                            window: call.window,
                        });
                    }
                }
                CallAction::Count => self.misbehaviours.count(Misbehaviour::UnexpectedMessage),
                // Below, where the call is given away.
                CallAction::Ended => {}
                CallAction::StopConnection => stop = true,
            }
        }
        match state {
            None => {
                self.end(call);
                if self.calls.is_empty() {
                    self.without_call = now;
                }
            }
            Some(state) => {
                if state != call.state {
                    call.deadline =
                        (state == CallState::WaitDisconnect).then_some(now + STOP_TIMEOUT);
                }
                call.state = state;
                self.calls.push(call);
            }
        }
        if stop {
            self.stop(now, Cause::Timeout);
        }
    }

    /// Tells the caller about the end of a call, if the caller knows the call.
    fn end(&mut self, call: Call) {
        let Some(call_id) = call.ours else { return };
        let cause = call
            .cause
            .or(self.cause)
            .unwrap_or(Cause::AdministratorRequest);
        self.commands
            .push_back(Command::CallEnded { call_id, cause });
    }

    /// Says that a call ends, as its state demands.
    fn send_end_of(&mut self, call: &Call) {
        let (_, actions) = fsm::call(call.state, CallEvent::Clear);
        for &action in actions {
            match action {
                CallAction::SendClearRequest | CallAction::SendDisconnectNotify => {
                    self.send_end(call, action, CallEvent::Clear);
                }
                CallAction::SendRefusal => {
                    let (result, error) = Refusal::DO_NOT_ACCEPT.outgoing;
                    self.send_refusal(call.peer.map_or(0, |id| id.0), result, error);
                }
                CallAction::SendReply
                | CallAction::Connected
                | CallAction::Count
                | CallAction::Ended
                | CallAction::StopConnection => {}
            }
        }
    }

    fn send_end(&mut self, call: &Call, action: CallAction, event: CallEvent) {
        let Some(CallId(call_id)) = call.ours else {
            return;
        };
        if action == CallAction::SendClearRequest {
            return self.send(CallClearRequest { call_id });
        }
        let result = match (event, call.cause.or(self.cause)) {
            (CallEvent::ClearRequest, _) => DisconnectResult::Request,
            (
                _,
                Some(
                    Cause::AdministratorRequest
                    | Cause::Reboot
                    | Cause::SessionTimeout
                    | Cause::IdleTimeout
                    | Cause::TrafficLimit,
                ),
            ) => DisconnectResult::AdminShutdown,
            (_, Some(Cause::PortError | Cause::ProtocolError)) => DisconnectResult::GeneralError,
            (_, _) => DisconnectResult::LostCarrier,
        };
        let error = if result == DisconnectResult::GeneralError {
            GeneralError::PacError
        } else {
            GeneralError::None
        };
        self.send(CallDisconnectNotify {
            call_id,
            result,
            error,
            cause: 0,
            call_statistics: Text::default(),
        });
    }

    /// Refuses a call for which there is no state.
    pub(super) fn refuse_request(&mut self, repr: &Repr, refusal: Refusal) {
        if let Repr::OutgoingCallRequest(request) = repr {
            let (result, error) = refusal.outgoing;
            self.send_refusal(request.call_id, result, error);
        } else if let Repr::IncomingCallRequest(request) = repr {
            let (result, error) = refusal.incoming;
            self.send(IncomingCallReply {
                call_id: 0,
                peer_call_id: request.call_id,
                result,
                error,
                receive_window: 0,
                processing_delay: 0,
            });
        }
    }

    fn send_refusal(&mut self, peer: u16, result: OutgoingCallResult, error: GeneralError) {
        self.send(OutgoingCallReply {
            call_id: 0,
            peer_call_id: peer,
            result,
            error,
            cause: 0,
            connect_speed: 0,
            receive_window: 0,
            processing_delay: 0,
            physical_channel: 0,
        });
    }

    fn position(&self, wanted: impl Fn(&Call) -> bool) -> Option<usize> {
        self.calls.iter().position(wanted)
    }

    fn waiting_call(&self, peer: PeerCallId) -> Option<usize> {
        self.position(|call| call.state == CallState::WaitAnswer && call.peer == Some(peer))
    }
}

/// What an event of a call brings.
#[derive(Debug)]
enum CallInput<'a> {
    None,
    Refusal(OutgoingCallResult, GeneralError),
    Reply(&'a OutgoingCallReply),
}

/// How the two kinds of calls are refused for the same reason.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    outgoing: (OutgoingCallResult, GeneralError),
    incoming: (IncomingCallResult, GeneralError),
}

impl Refusal {
    pub(super) const NOT_CONNECTED: Self = Self::general(GeneralError::NotConnected);
    const BAD_CALL_ID: Self = Self::general(GeneralError::BadCallId);
    const NO_RESOURCE: Self = Self::general(GeneralError::NoResource);
    const DO_NOT_ACCEPT: Self = Self {
        outgoing: (OutgoingCallResult::DoNotAccept, GeneralError::None),
        incoming: (IncomingCallResult::DoNotAccept, GeneralError::None),
    };

    const fn general(error: GeneralError) -> Self {
        Self {
            outgoing: (OutgoingCallResult::GeneralError, error),
            incoming: (IncomingCallResult::GeneralError, error),
        }
    }
}

/// Below any line a server could have.
const MINIMUM_BPS: u32 = 300;

/// What we claim the line to run at: peers show it, and some do not believe more.
const LINE_BPS: u32 = 100_000_000;

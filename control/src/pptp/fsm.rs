//! The two machines of RFC 2637 §3 as pure functions: the control connection and the call.
//!
//! A connection takes either role, so one table holds both figures of §3.1; the states of a call
//! differ by who placed it. A PNS places calls (that is a client), a PAC answers them (a server).
//! Incoming calls, §3.2.1 and §3.2.2, are not offered: they are refused without a state.

/// States of the control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP is connected; nobody has said anything.
    Idle,
    /// We sent Start-Control-Connection-Request.
    WaitCtlReply,
    /// Calls can be made.
    Established,
    /// We sent Stop-Control-Connection-Request.
    WaitStopReply,
    /// The TCP connection is to be closed, or is.
    Closed,
}

/// What happens to the control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The caller wants a control connection.
    Start,
    /// The caller wants an end.
    Stop,
    /// Start-Control-Connection-Request with a version we know.
    StartRequest,
    /// Start-Control-Connection-Request with another, or one that there is no room for.
    StartRequestRefused,
    /// Start-Control-Connection-Reply: success.
    StartReply,
    /// Start-Control-Connection-Reply with a version we do not know.
    StartReplyBadVersion,
    /// Start-Control-Connection-Reply: anything but success.
    StartReplyRefused,
    /// Stop-Control-Connection-Request.
    StopRequest,
    /// Stop-Control-Connection-Reply.
    StopReply,
    /// Echo-Request.
    EchoRequest,
    /// Echo-Reply.
    EchoReply,
    /// Outgoing-Call-Request or Incoming-Call-Request.
    CallRequest,
    /// Any other message about a call.
    CallMessage,
    /// A message that can be told from its neighbours, but not understood.
    Malformed,
    /// The bytes are not messages.
    OutOfStep,
    /// What was waited for did not come in time.
    Timeout,
    /// The TCP connection is gone.
    HangUp,
}

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send Start-Control-Connection-Request.
    SendStartRequest,
    /// Send Start-Control-Connection-Reply: success.
    SendStartReply,
    /// Send Start-Control-Connection-Reply: why not.
    RefuseStart,
    /// Send Start-Control-Connection-Reply: there is a control connection already.
    RefuseSecondStart,
    /// Send Stop-Control-Connection-Request.
    SendStopRequest,
    /// Send Stop-Control-Connection-Reply.
    SendStopReply,
    /// Send Echo-Reply.
    SendEchoReply,
    /// See whether the reply is the one that is waited for.
    TakeEchoReply,
    /// Give the message to its call.
    HandleCall,
    /// Refuse a call: not connected.
    RefuseCall,
    /// Count the message as one that does not belong here.
    Count,
    /// End every call.
    EndCalls,
    /// Close the TCP connection.
    Close,
}

/// The control connection, RFC 2637 §3.1.1 and §3.1.2.
///
/// ```text
///          Idle --Start--> WaitCtlReply --Reply--> Established --Stop--> WaitStopReply
///            |                 |                    ^      |                  |
///            +--Start request (version is ours) ----+      | Stop request     | Stop reply
///            |                 | refused, timeout          v                  v
///            +--- refused -----+----------------------> Closed <--------------+
/// ```
///
/// RFC 2637 §3: a malformed message closes the control connection; one that shows that the stream
/// is out of step closes TCP at once (§2). The collision of §3.1.3 concerns two TCP connections
/// between the same hosts. Deciding it by address would keep all but one of the clients behind one
/// address translator out, so both connections live. A start request on the very connection that
/// we opened is no collision: nobody who follows the RFC sends it.
#[must_use]
pub const fn connection(state: State, event: Event) -> (State, &'static [Action]) {
    use Action::*;
    use Event::*;
    use State::*;
    match (state, event) {
        (Idle, Start) => (WaitCtlReply, &[SendStartRequest]),
        (Idle, StartRequest) => (Established, &[SendStartReply]),
        (Idle, StartRequestRefused) => (Closed, &[RefuseStart, Close]),
        (Idle, StopRequest) => (Closed, &[SendStopReply, Close]),
        (Idle, CallRequest) => (Idle, &[Count, RefuseCall]),
        (Idle, EchoRequest | CallMessage) => (Idle, &[Count]),
        (Idle, StartReply | StartReplyBadVersion | StartReplyRefused | StopReply | EchoReply) => {
            (Idle, &[Count])
        }
        (Idle, Stop | Malformed | OutOfStep | Timeout | HangUp) => (Closed, &[Close]),

        (WaitCtlReply, Start) => (WaitCtlReply, &[]),
        (WaitCtlReply, StartReply) => (Established, &[]),
        (WaitCtlReply, StartReplyBadVersion) => (WaitStopReply, &[SendStopRequest]),
        (WaitCtlReply, StartReplyRefused) => (Closed, &[EndCalls, Close]),
        (WaitCtlReply, StartRequest | StartRequestRefused) => (WaitCtlReply, &[Count]),
        (WaitCtlReply, StopRequest) => (Closed, &[SendStopReply, EndCalls, Close]),
        (WaitCtlReply, CallRequest) => (WaitCtlReply, &[Count, RefuseCall]),
        (WaitCtlReply, EchoRequest | CallMessage | StopReply | EchoReply) => {
            (WaitCtlReply, &[Count])
        }
        (WaitCtlReply, Stop | Malformed | OutOfStep | Timeout | HangUp) => {
            (Closed, &[EndCalls, Close])
        }

        (Established, Start) => (Established, &[]),
        (Established, Stop | Malformed) => (WaitStopReply, &[EndCalls, SendStopRequest]),
        (Established, StartRequest | StartRequestRefused) => {
            (Established, &[Count, RefuseSecondStart])
        }
        (Established, StartReply | StartReplyBadVersion | StartReplyRefused | StopReply) => {
            (Established, &[Count])
        }
        (Established, StopRequest) => (Closed, &[EndCalls, SendStopReply, Close]),
        (Established, EchoRequest) => (Established, &[SendEchoReply]),
        (Established, EchoReply) => (Established, &[TakeEchoReply]),
        (Established, CallRequest | CallMessage) => (Established, &[HandleCall]),
        (Established, OutOfStep | Timeout | HangUp) => (Closed, &[EndCalls, Close]),

        (WaitStopReply, StopReply | Malformed | OutOfStep | Timeout | HangUp) => (Closed, &[Close]),
        (WaitStopReply, StopRequest) => (Closed, &[SendStopReply, Close]),
        (
            WaitStopReply,
            Start | Stop | StartRequest | StartRequestRefused | StartReply | StartReplyBadVersion
            | StartReplyRefused | EchoRequest | EchoReply | CallRequest | CallMessage,
        ) => (WaitStopReply, &[]),

        (
            Closed,
            Start | Stop | StartRequest | StartRequestRefused | StartReply | StartReplyBadVersion
            | StartReplyRefused | StopRequest | StopReply | EchoRequest | EchoReply | CallRequest
            | CallMessage | Malformed | OutOfStep | Timeout | HangUp,
        ) => (Closed, &[]),
    }
}

/// States of a call. A call that ended has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// PNS: we sent Outgoing-Call-Request.
    WaitReply,
    /// PNS: the call carries data.
    Calling,
    /// PNS: we sent Call-Clear-Request.
    WaitDisconnect,
    /// PAC: the caller of this machine decides about an Outgoing-Call-Request (`wait_cs_ans`).
    WaitAnswer,
    /// PAC: the call carries data.
    Called,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// The caller takes it.
    Accept,
    /// The caller does not take it.
    Refuse,
    /// The caller wants an end.
    Clear,
    /// Outgoing-Call-Reply: connected.
    ReplyConnected,
    /// Outgoing-Call-Reply: anything else.
    ReplyRefused,
    /// Call-Clear-Request.
    ClearRequest,
    /// Call-Disconnect-Notify.
    DisconnectNotify,
    /// Set-Link-Info or WAN-Error-Notify.
    Notice,
    /// No reply in time.
    Timeout,
}

/// What to do about a call, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAction {
    /// Send Outgoing-Call-Reply: connected.
    SendReply,
    /// Send Outgoing-Call-Reply with the reason of the refusal.
    SendRefusal,
    /// Send Call-Clear-Request.
    SendClearRequest,
    /// Send Call-Disconnect-Notify.
    SendDisconnectNotify,
    /// Tell the caller that the call carries data.
    Connected,
    /// Count the message as one that does not belong here.
    Count,
    /// Tell the caller that the call has ended; its id is free.
    Ended,
    /// Stop the control connection: its peer does not answer.
    StopConnection,
}

/// A call, RFC 2637 §3.2.3 (PAC) and §3.2.4 (PNS). `None`: the call is over.
#[must_use]
pub const fn call(
    state: CallState,
    event: CallEvent,
) -> (Option<CallState>, &'static [CallAction]) {
    use CallAction::*;
    use CallEvent::*;
    use CallState::*;
    match (state, event) {
        (WaitReply, ReplyConnected) => (Some(Calling), &[Connected]),
        (WaitReply, ReplyRefused) => (None, &[Ended]),
        (WaitReply | Calling, Clear) => (Some(WaitDisconnect), &[SendClearRequest]),
        // RFC 2637 §3: a reply that does not come within 60 s closes the control connection.
        (WaitReply, Timeout) => (None, &[Ended, StopConnection]),
        (Calling | Called, ReplyConnected | ReplyRefused) => (Some(state), &[Count]),
        (Calling | WaitAnswer | Called, Timeout) => (Some(state), &[]),
        (WaitReply | Calling | Called, Accept | Refuse) => (Some(state), &[]),

        (WaitDisconnect, Timeout) => (None, &[Ended]),
        // The reply to a call that was given up before it was answered.
        (WaitDisconnect, ReplyConnected) => (Some(WaitDisconnect), &[]),
        (WaitDisconnect, ReplyRefused) => (None, &[Ended]),
        (WaitDisconnect, Accept | Refuse | Clear) => (Some(WaitDisconnect), &[]),

        (WaitAnswer, Accept) => (Some(Called), &[SendReply]),
        (WaitAnswer, Refuse | Clear) => (None, &[SendRefusal, Ended]),
        (WaitAnswer, ReplyConnected | ReplyRefused) => (Some(WaitAnswer), &[Count]),
        (Called, Clear) => (None, &[SendDisconnectNotify, Ended]),

        // The clear came in the same segment as the request: there is no id of ours to notify with.
        (WaitAnswer, ClearRequest) => (None, &[SendRefusal, Ended]),

        // A PAC is to send Call-Disconnect-Notify, a PNS Call-Clear-Request. Both are taken from
        // both: the meaning is the same, and the peer waits for the answer.
        (WaitReply | Calling | WaitDisconnect | Called, ClearRequest) => {
            (None, &[SendDisconnectNotify, Ended])
        }
        (WaitReply | Calling | WaitDisconnect | WaitAnswer | Called, DisconnectNotify) => {
            (None, &[Ended])
        }
        (WaitReply | Calling | WaitDisconnect | WaitAnswer | Called, Notice) => (Some(state), &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn all_states_and_events_of_the_connection() {
        use Event::*;
        use State::*;
        let mut table = String::new();
        for event in [
            Start,
            Stop,
            StartRequest,
            StartRequestRefused,
            StartReply,
            StartReplyBadVersion,
            StartReplyRefused,
            StopRequest,
            StopReply,
            EchoRequest,
            EchoReply,
            CallRequest,
            CallMessage,
            Malformed,
            OutOfStep,
            Timeout,
            HangUp,
        ] {
            writeln!(table, "{event:?}").unwrap();
            for state in [Idle, WaitCtlReply, Established, WaitStopReply, Closed] {
                let (next, actions) = connection(state, event);
                let (state, next) = (format!("{state:?}"), format!("{next:?}"));
                writeln!(table, "    {state:<14} {next:<14} {actions:?}").unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn all_states_and_events_of_a_call() {
        use CallEvent::*;
        use CallState::*;
        let mut table = String::new();
        for event in [
            Accept,
            Refuse,
            Clear,
            ReplyConnected,
            ReplyRefused,
            ClearRequest,
            DisconnectNotify,
            Notice,
            Timeout,
        ] {
            writeln!(table, "{event:?}").unwrap();
            for state in [WaitReply, Calling, WaitDisconnect, WaitAnswer, Called] {
                let (next, actions) = call(state, event);
                let next = next.map_or_else(|| "over".to_owned(), |next| format!("{next:?}"));
                let state = format!("{state:?}");
                writeln!(table, "    {state:<14} {next:<14} {actions:?}").unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }
}

//! The option negotiation automaton of RFC 1661 §4 as a pure function, the same for LCP and every
//! control protocol above it.
//!
//! Not here: packets, timers, counters and options. `negotiation` carries the actions out.
//! The automaton has neither the passive nor the restart option of RFC 1661 §4.4.

use std::fmt;

/// RFC 1661 §4.2, in the order of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// 0: the lower layer is down, nobody wants it.
    Initial,
    /// 1: wanted, but the lower layer is down.
    Starting,
    /// 2: the lower layer is up, nobody wants this one.
    Closed,
    /// 3: it was open or tried to be, and gave up.
    Stopped,
    /// 4: Terminate-Request sent; becomes Closed.
    Closing,
    /// 5: terminated by the peer; becomes Stopped.
    Stopping,
    /// 6: Configure-Request sent.
    ReqSent,
    /// 7: and it was acknowledged.
    AckRcvd,
    /// 8: and the peer's was acknowledged.
    AckSent,
    /// 9: both were.
    Opened,
}

/// RFC 1661 §4.3, in the order of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Up: the lower layer is ready.
    Up,
    /// Down: the lower layer is gone.
    Down,
    /// Open: this layer is wanted.
    Open,
    /// Close: it is wanted no more.
    Close,
    /// TO+: the restart timer expired and tries are left.
    Timeout,
    /// TO-: it expired and none is left.
    LastTimeout,
    /// RCR+: an acceptable Configure-Request came.
    GoodConfigureRequest,
    /// RCR-: an unacceptable one came.
    BadConfigureRequest,
    /// RCA: Configure-Ack came.
    ConfigureAck,
    /// RCN: Configure-Nak or Configure-Reject came.
    ConfigureNak,
    /// RTR: Terminate-Request came.
    TerminateRequest,
    /// RTA: Terminate-Ack came.
    TerminateAck,
    /// RUC: a packet with an unknown code came.
    UnknownCode,
    /// RXJ+: a reject of something that can be done without came.
    PermittedReject,
    /// RXJ-: a reject of something essential came.
    FatalReject,
    /// RXR: an echo, a discard or the like came.
    Echo,
}

/// RFC 1661 §4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// tlu
    ThisLayerUp,
    /// tld
    ThisLayerDown,
    /// tls
    ThisLayerStarted,
    /// tlf
    ThisLayerFinished,
    /// irc
    InitializeRestartCount,
    /// zrc
    ZeroRestartCount,
    /// scr
    SendConfigureRequest,
    /// sca
    SendConfigureAck,
    /// scn: Configure-Nak or Configure-Reject
    SendConfigureNak,
    /// str
    SendTerminateRequest,
    /// sta
    SendTerminateAck,
    /// scj
    SendCodeReject,
    /// ser: the answer to an echo
    SendEchoReply,
}

use Action::{
    InitializeRestartCount as irc, SendCodeReject as scj, SendConfigureAck as sca,
    SendConfigureNak as scn, SendConfigureRequest as scr, SendEchoReply as ser,
    SendTerminateAck as sta, SendTerminateRequest as str_, ThisLayerDown as tld,
    ThisLayerFinished as tlf, ThisLayerStarted as tls, ThisLayerUp as tlu, ZeroRestartCount as zrc,
};

impl State {
    /// The restart timer runs in these states only (RFC 1661 §4.6).
    pub(super) const fn has_timer(self) -> bool {
        match self {
            Self::Closing | Self::Stopping | Self::ReqSent | Self::AckRcvd | Self::AckSent => true,
            Self::Initial | Self::Starting | Self::Closed | Self::Stopped | Self::Opened => false,
        }
    }
}

/// What happens in `state` on `event`: the next state and what is to be done, in that order.
///
/// ```text
/// RFC 1661 §4.1; "-" cannot happen, and is ignored here.
///
///       | State
///       |    0         1         2         3         4         5
/// Events| Initial   Starting  Closed    Stopped   Closing   Stopping
/// ------+-----------------------------------------------------------
///  Up   |    2     irc,scr/6     -         -         -         -
///  Down |    -         -         0       tls/1       0         1
///  Open |  tls/1       1     irc,scr/6     3         5         5
///  Close|    0       tlf/0       2         2         4         4
///  TO+  |    -         -         -         -       str/4     str/5
///  TO-  |    -         -         -         -       tlf/2     tlf/3
///  RCR+ |    -         -       sta/2 irc,scr,sca/8   4         5
///  RCR- |    -         -       sta/2 irc,scr,scn/6   4         5
///  RCA  |    -         -       sta/2     sta/3       4         5
///  RCN  |    -         -       sta/2     sta/3       4         5
///  RTR  |    -         -       sta/2     sta/3     sta/4     sta/5
///  RTA  |    -         -         2         3       tlf/2     tlf/3
///  RUC  |    -         -       scj/2     scj/3     scj/4     scj/5
///  RXJ+ |    -         -         2         3         4         5
///  RXJ- |    -         -       tlf/2     tlf/3     tlf/2     tlf/3
///  RXR  |    -         -         2         3         4         5
///
///       |    6         7         8           9
/// Events| Req-Sent  Ack-Rcvd  Ack-Sent    Opened
/// ------+-----------------------------------------
///  Up   |    -         -         -           -
///  Down |    1         1         1         tld/1
///  Open |    6         7         8           9
///  Close|irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
///  TO+  |  scr/6     scr/6     scr/8         -
///  TO-  |  tlf/3     tlf/3     tlf/3         -
///  RCR+ |  sca/8   sca,tlu/9   sca/8   tld,scr,sca/8
///  RCR- |  scn/6     scn/7     scn/6   tld,scr,scn/6
///  RCA  |  irc/7     scr/6   irc,tlu/9   tld,scr/6
///  RCN  |irc,scr/6   scr/6   irc,scr/8   tld,scr/6
///  RTR  |  sta/6     sta/6     sta/6   tld,zrc,sta/5
///  RTA  |    6         6         8       tld,scr/6
///  RUC  |  scj/6     scj/7     scj/8       scj/9
///  RXJ+ |    6         6         8           9
///  RXJ- |  tlf/3     tlf/3     tlf/3   tld,irc,str/5
///  RXR  |    6         7         8         ser/9
/// ```
pub(super) const fn transition(state: State, event: Event) -> (State, &'static [Action]) {
    use Event as E;
    use State as S;
    match event {
        E::Up => match state {
            S::Initial => (S::Closed, &[]),
            S::Starting => (S::ReqSent, &[irc, scr]),
            S::Closed
            | S::Stopped
            | S::Closing
            | S::Stopping
            | S::ReqSent
            | S::AckRcvd
            | S::AckSent
            | S::Opened => (state, &[]),
        },
        E::Down => match state {
            S::Initial | S::Starting => (state, &[]),
            S::Closed | S::Closing => (S::Initial, &[]),
            S::Stopped => (S::Starting, &[tls]),
            S::Stopping | S::ReqSent | S::AckRcvd | S::AckSent => (S::Starting, &[]),
            S::Opened => (S::Starting, &[tld]),
        },
        E::Open => match state {
            S::Initial => (S::Starting, &[tls]),
            S::Closed => (S::ReqSent, &[irc, scr]),
            S::Closing => (S::Stopping, &[]),
            S::Starting
            | S::Stopped
            | S::Stopping
            | S::ReqSent
            | S::AckRcvd
            | S::AckSent
            | S::Opened => (state, &[]),
        },
        E::Close => match state {
            S::Initial | S::Closed | S::Closing => (state, &[]),
            S::Starting => (S::Initial, &[tlf]),
            S::Stopped => (S::Closed, &[]),
            S::Stopping => (S::Closing, &[]),
            S::ReqSent | S::AckRcvd | S::AckSent => (S::Closing, &[irc, str_]),
            S::Opened => (S::Closing, &[tld, irc, str_]),
        },
        E::Timeout => match state {
            S::Initial | S::Starting | S::Closed | S::Stopped | S::Opened => (state, &[]),
            S::Closing | S::Stopping => (state, &[str_]),
            S::ReqSent | S::AckRcvd => (S::ReqSent, &[scr]),
            S::AckSent => (S::AckSent, &[scr]),
        },
        E::LastTimeout => match state {
            S::Initial | S::Starting | S::Closed | S::Stopped | S::Opened => (state, &[]),
            S::Closing => (S::Closed, &[tlf]),
            S::Stopping | S::ReqSent | S::AckRcvd | S::AckSent => (S::Stopped, &[tlf]),
        },
        E::GoodConfigureRequest => match state {
            S::Initial | S::Starting | S::Closing | S::Stopping => (state, &[]),
            S::Closed => (S::Closed, &[sta]),
            S::Stopped => (S::AckSent, &[irc, scr, sca]),
            S::ReqSent | S::AckSent => (S::AckSent, &[sca]),
            S::AckRcvd => (S::Opened, &[sca, tlu]),
            S::Opened => (S::AckSent, &[tld, scr, sca]),
        },
        E::BadConfigureRequest => match state {
            S::Initial | S::Starting | S::Closing | S::Stopping => (state, &[]),
            S::Closed => (S::Closed, &[sta]),
            S::Stopped => (S::ReqSent, &[irc, scr, scn]),
            S::ReqSent | S::AckSent => (S::ReqSent, &[scn]),
            S::AckRcvd => (S::AckRcvd, &[scn]),
            S::Opened => (S::ReqSent, &[tld, scr, scn]),
        },
        E::ConfigureAck => match state {
            S::Initial | S::Starting | S::Closing | S::Stopping => (state, &[]),
            S::Closed | S::Stopped => (state, &[sta]),
            S::ReqSent => (S::AckRcvd, &[irc]),
            S::AckRcvd => (S::ReqSent, &[scr]),
            S::AckSent => (S::Opened, &[irc, tlu]),
            S::Opened => (S::ReqSent, &[tld, scr]),
        },
        E::ConfigureNak => match state {
            S::Initial | S::Starting | S::Closing | S::Stopping => (state, &[]),
            S::Closed | S::Stopped => (state, &[sta]),
            S::ReqSent => (S::ReqSent, &[irc, scr]),
            S::AckRcvd => (S::ReqSent, &[scr]),
            S::AckSent => (S::AckSent, &[irc, scr]),
            S::Opened => (S::ReqSent, &[tld, scr]),
        },
        E::TerminateRequest => match state {
            S::Initial | S::Starting => (state, &[]),
            S::Closed | S::Stopped | S::Closing | S::Stopping => (state, &[sta]),
            S::ReqSent | S::AckRcvd | S::AckSent => (S::ReqSent, &[sta]),
            S::Opened => (S::Stopping, &[tld, zrc, sta]),
        },
        E::TerminateAck => match state {
            S::Initial | S::Starting | S::Closed | S::Stopped => (state, &[]),
            S::Closing => (S::Closed, &[tlf]),
            S::Stopping => (S::Stopped, &[tlf]),
            S::ReqSent | S::AckRcvd => (S::ReqSent, &[]),
            S::AckSent => (S::AckSent, &[]),
            S::Opened => (S::ReqSent, &[tld, scr]),
        },
        E::UnknownCode => match state {
            S::Initial | S::Starting => (state, &[]),
            S::Closed
            | S::Stopped
            | S::Closing
            | S::Stopping
            | S::ReqSent
            | S::AckRcvd
            | S::AckSent
            | S::Opened => (state, &[scj]),
        },
        E::PermittedReject => match state {
            S::AckRcvd => (S::ReqSent, &[]),
            S::Initial
            | S::Starting
            | S::Closed
            | S::Stopped
            | S::Closing
            | S::Stopping
            | S::ReqSent
            | S::AckSent
            | S::Opened => (state, &[]),
        },
        E::FatalReject => match state {
            S::Initial | S::Starting => (state, &[]),
            S::Closed | S::Closing => (S::Closed, &[tlf]),
            S::Stopped | S::Stopping | S::ReqSent | S::AckRcvd | S::AckSent => (S::Stopped, &[tlf]),
            S::Opened => (S::Stopping, &[tld, irc, str_]),
        },
        E::Echo => match state {
            S::Opened => (S::Opened, &[ser]),
            S::Initial
            | S::Starting
            | S::Closed
            | S::Stopped
            | S::Closing
            | S::Stopping
            | S::ReqSent
            | S::AckRcvd
            | S::AckSent => (state, &[]),
        },
    }
}

/// The RFC's short name.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThisLayerUp => "tlu",
            Self::ThisLayerDown => "tld",
            Self::ThisLayerStarted => "tls",
            Self::ThisLayerFinished => "tlf",
            Self::InitializeRestartCount => "irc",
            Self::ZeroRestartCount => "zrc",
            Self::SendConfigureRequest => "scr",
            Self::SendConfigureAck => "sca",
            Self::SendConfigureNak => "scn",
            Self::SendTerminateRequest => "str",
            Self::SendTerminateAck => "sta",
            Self::SendCodeReject => "scj",
            Self::SendEchoReply => "ser",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 10] = [
        State::Initial,
        State::Starting,
        State::Closed,
        State::Stopped,
        State::Closing,
        State::Stopping,
        State::ReqSent,
        State::AckRcvd,
        State::AckSent,
        State::Opened,
    ];

    const EVENTS: [(Event, &str); 16] = [
        (Event::Up, "Up"),
        (Event::Down, "Down"),
        (Event::Open, "Open"),
        (Event::Close, "Close"),
        (Event::Timeout, "TO+"),
        (Event::LastTimeout, "TO-"),
        (Event::GoodConfigureRequest, "RCR+"),
        (Event::BadConfigureRequest, "RCR-"),
        (Event::ConfigureAck, "RCA"),
        (Event::ConfigureNak, "RCN"),
        (Event::TerminateRequest, "RTR"),
        (Event::TerminateAck, "RTA"),
        (Event::UnknownCode, "RUC"),
        (Event::PermittedReject, "RXJ+"),
        (Event::FatalReject, "RXJ-"),
        (Event::Echo, "RXR"),
    ];

    /// The table of RFC 1661 §4.1, printed by the function itself.
    fn table() -> String {
        let mut lines = String::from("     ");
        for state in STATES {
            lines += &format!(" {:13}", format!("{} {state:?}", state as usize));
        }
        for (event, name) in EVENTS {
            lines = format!("{}\n{name:5}", lines.trim_end());
            for state in STATES {
                let (next, actions) = transition(state, event);
                let names: Vec<_> = actions.iter().map(ToString::to_string).collect();
                let cell = if names.is_empty() {
                    format!("{}", next as usize)
                } else {
                    format!("{}/{}", names.join(","), next as usize)
                };
                lines += &format!(" {cell:13}");
            }
        }
        lines.trim_end().to_owned()
    }

    #[test]
    fn every_state_answers_every_event_as_the_table_says() {
        insta::assert_snapshot!(table(), @r"
              0 Initial     1 Starting    2 Closed      3 Stopped     4 Closing     5 Stopping    6 ReqSent     7 AckRcvd     8 AckSent     9 Opened
        Up    2             irc,scr/6     2             3             4             5             6             7             8             9
        Down  0             1             0             tls/1         0             1             1             1             1             tld/1
        Open  tls/1         1             irc,scr/6     3             5             5             6             7             8             9
        Close 0             tlf/0         2             2             4             4             irc,str/4     irc,str/4     irc,str/4     tld,irc,str/4
        TO+   0             1             2             3             str/4         str/5         scr/6         scr/6         scr/8         9
        TO-   0             1             2             3             tlf/2         tlf/3         tlf/3         tlf/3         tlf/3         9
        RCR+  0             1             sta/2         irc,scr,sca/8 4             5             sca/8         sca,tlu/9     sca/8         tld,scr,sca/8
        RCR-  0             1             sta/2         irc,scr,scn/6 4             5             scn/6         scn/7         scn/6         tld,scr,scn/6
        RCA   0             1             sta/2         sta/3         4             5             irc/7         scr/6         irc,tlu/9     tld,scr/6
        RCN   0             1             sta/2         sta/3         4             5             irc,scr/6     scr/6         irc,scr/8     tld,scr/6
        RTR   0             1             sta/2         sta/3         sta/4         sta/5         sta/6         sta/6         sta/6         tld,zrc,sta/5
        RTA   0             1             2             3             tlf/2         tlf/3         6             6             8             tld,scr/6
        RUC   0             1             scj/2         scj/3         scj/4         scj/5         scj/6         scj/7         scj/8         scj/9
        RXJ+  0             1             2             3             4             5             6             6             8             9
        RXJ-  0             1             tlf/2         tlf/3         tlf/2         tlf/3         tlf/3         tlf/3         tlf/3         tld,irc,str/5
        RXR   0             1             2             3             4             5             6             7             8             ser/9
        ");
    }

    #[test]
    fn a_layer_goes_up_and_down_in_turn() {
        for state in STATES {
            for (event, _) in EVENTS {
                let (next, actions) = transition(state, event);
                let ups = actions.contains(&tlu);
                let downs = actions.contains(&tld);
                assert_eq!(ups, state != State::Opened && next == State::Opened);
                assert_eq!(downs, state == State::Opened && next != State::Opened);
            }
        }
    }
}

//! What a peer can do wrong on a control connection, each with a counter of its own.

macro_rules! misbehaviours {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// One thing that a peer did wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Misbehaviour {
            $($(#[$doc])* $variant,)+
        }

        impl Misbehaviour {
            /// All of them, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The counter's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

misbehaviours! {
    /// A magic cookie was wrong; nothing after it can be understood.
    BadCookie => "bad-cookie",
    /// A length field that no message has.
    BadLength => "bad-length",
    /// A message type other than 1.
    UnknownMessageType => "unknown-message-type",
    /// A control message type that RFC 2637 does not know.
    UnknownControlType => "unknown-control-type",
    /// A length that is another message's.
    WrongLength => "wrong-length",
    /// A start request or reply of another major version.
    BadVersion => "bad-version",
    /// A start request where there was one already.
    SecondStart => "second-start",
    /// A message about calls before the start exchange.
    CallBeforeStart => "call-before-start",
    /// A message that the state has no use for.
    UnexpectedMessage => "unexpected-message",
    /// A message about a call that does not exist.
    UnknownCall => "unknown-call",
    /// A second call with the same id.
    DuplicateCall => "duplicate-call",
    /// More calls than one connection may have.
    TooManyCalls => "too-many-calls",
    /// An incoming call, or a call to a client: neither is offered here.
    UnservedCall => "unserved-call",
    /// An Echo-Reply that nobody asked for.
    StrayEchoReply => "stray-echo-reply",
}

/// A counter for each [`Misbehaviour`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misbehaviours([u64; Misbehaviour::ALL.len()]);

impl Misbehaviours {
    /// Counts one.
    pub fn count(&mut self, misbehaviour: Misbehaviour) {
        self.0[misbehaviour as usize] += 1;
    }

    /// Adds what another connection counted.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// How often it was counted.
    #[must_use]
    pub fn of(&self, misbehaviour: Misbehaviour) -> u64 {
        self.0[misbehaviour as usize]
    }

    /// Those that happened, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Misbehaviour::ALL
            .iter()
            .map(|&one| (one.name(), self.of(one)))
            .filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_zeroes_are_left_out() {
        let mut one = Misbehaviours::default();
        one.count(Misbehaviour::BadCookie);
        let mut sum = Misbehaviours::default();
        sum.count(Misbehaviour::UnknownCall);
        sum.add(&one);
        sum.add(&one);
        let counted: Vec<_> = sum.iter().collect();
        assert_eq!(counted, [("bad-cookie", 2), ("unknown-call", 1)]);
    }
}

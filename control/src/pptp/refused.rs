//! Why a server refuses a client, in its own codes and in words.

use std::fmt;

use super::wire::{GeneralError, OutgoingCallResult, StartResult};

/// What a server refused, with the result and error codes that it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The control connection (RFC 2637 §2.2).
    Connection(StartResult, GeneralError),
    /// The call (RFC 2637 §2.8).
    Call(OutgoingCallResult, GeneralError),
}

/// `the call: busy (result 4)`, `the call: no resource (result 2, error 4)`.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, result, words, error) = match *self {
            Self::Connection(result, error) => {
                let words = start_words(result, error);
                ("the control connection", u8::from(result), words, error)
            }
            Self::Call(result, error) => {
                let words = call_words(result, error);
                ("the call", u8::from(result), words, error)
            }
        };
        write!(f, "{what}: {words} (result {result}")?;
        if error != GeneralError::None {
            write!(f, ", error {}", u8::from(error))?;
        }
        f.write_str(")")
    }
}

const fn start_words(result: StartResult, error: GeneralError) -> &'static str {
    match result {
        StartResult::GeneralError => error_words(error),
        StartResult::AlreadyExists => "there is one already",
        StartResult::NotAuthorized => "not authorized",
        StartResult::VersionNotSupported => "protocol version not supported",
        StartResult::Success | StartResult::Unknown(_) => UNKNOWN,
    }
}

const fn call_words(result: OutgoingCallResult, error: GeneralError) -> &'static str {
    match result {
        OutgoingCallResult::GeneralError => error_words(error),
        OutgoingCallResult::NoCarrier => "no carrier",
        OutgoingCallResult::Busy => "busy",
        OutgoingCallResult::NoDialTone => "no dial tone",
        OutgoingCallResult::TimeOut => "time out",
        OutgoingCallResult::DoNotAccept => "do not accept",
        OutgoingCallResult::Connected | OutgoingCallResult::Unknown(_) => UNKNOWN,
    }
}

/// RFC 2637 §2.16.
const fn error_words(error: GeneralError) -> &'static str {
    match error {
        GeneralError::None => "general error",
        GeneralError::NotConnected => "not connected",
        GeneralError::BadFormat => "bad format",
        GeneralError::BadValue => "bad value",
        GeneralError::NoResource => "no resource",
        GeneralError::BadCallId => "bad call id",
        GeneralError::PacError => "error of its own",
        GeneralError::Unknown(_) => UNKNOWN,
    }
}

const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_words_and_by_its_codes() {
        let call = |result, error| {
            let refused = Refused::Call(OutgoingCallResult::from(result), error);
            refused.to_string()
        };
        assert_eq!(call(4, GeneralError::None), "the call: busy (result 4)");
        assert_eq!(
            call(2, GeneralError::NoResource),
            "the call: no resource (result 2, error 4)"
        );
        assert_eq!(
            call(99, GeneralError::None),
            "the call: unknown (result 99)"
        );
        assert_eq!(
            Refused::Connection(StartResult::NotAuthorized, GeneralError::Unknown(7)).to_string(),
            "the control connection: not authorized (result 4, error 7)"
        );
        assert_eq!(
            Refused::Connection(StartResult::GeneralError, GeneralError::None).to_string(),
            "the control connection: general error (result 2)"
        );
    }

    #[test]
    fn every_known_code_but_success_has_words() {
        for code in 2..=7 {
            let result = OutgoingCallResult::from(code);
            assert_ne!(call_words(result, GeneralError::None), UNKNOWN, "{code}");
        }
        for code in 2..=5 {
            let result = StartResult::from(code);
            assert_ne!(start_words(result, GeneralError::None), UNKNOWN, "{code}");
        }
        for code in 0..=6 {
            assert_ne!(error_words(GeneralError::from(code)), UNKNOWN, "{code}");
        }
    }
}

//! The result, error and reason codes, RFC 2637 §2. Numbers that the RFC does not know are kept.

use super::Field;

macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A number that RFC 2637 does not know.
            Unknown(u8),
        }

        impl From<u8> for $name {
            fn from(value: u8) -> Self {
                match value {
                    $($value => Self::$variant,)+
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $value,)+
                    $name::Unknown(other) => other,
                }
            }
        }

        impl Field for $name {
            const LEN: usize = 1;

            fn read(bytes: &[u8]) -> Self {
                Self::from(bytes[0])
            }

            fn write(&self, bytes: &mut [u8]) {
                bytes[0] = u8::from(*self);
            }
        }
    };
}

open_enum! {
    /// RFC 2637 §2.16: the general error codes, which explain a result of "general error".
    GeneralError {
        /// No general error.
        None = 0,
        /// No control connection exists yet.
        NotConnected = 1,
        /// A length is wrong, or the magic cookie.
        BadFormat = 2,
        /// A field is out of range, or a reserved field is not zero.
        BadValue = 3,
        /// Resources are short.
        NoResource = 4,
        /// The call id is not valid here.
        BadCallId = 5,
        /// Something of the vendor's own.
        PacError = 6,
    }
}

open_enum! {
    /// RFC 2637 §2.2: the result in a Start-Control-Connection-Reply.
    StartResult {
        /// The control connection exists.
        Success = 1,
        /// See the error code.
        GeneralError = 2,
        /// There is one already.
        AlreadyExists = 3,
        /// The requester may not have one.
        NotAuthorized = 4,
        /// The requester's protocol version is not supported.
        VersionNotSupported = 5,
    }
}

open_enum! {
    /// RFC 2637 §2.3: the reason in a Stop-Control-Connection-Request.
    StopReason {
        /// A general request.
        None = 1,
        /// The other's version is not supported.
        Protocol = 2,
        /// The sender shuts down.
        LocalShutdown = 3,
    }
}

open_enum! {
    /// RFC 2637 §2.4, §2.6: the result in the replies to stop and echo requests.
    SimpleResult {
        /// Done.
        Ok = 1,
        /// See the error code.
        GeneralError = 2,
    }
}

open_enum! {
    /// RFC 2637 §2.8: the result in an Outgoing-Call-Reply.
    OutgoingCallResult {
        /// The call is established.
        Connected = 1,
        /// See the error code.
        GeneralError = 2,
        /// No carrier was detected.
        NoCarrier = 3,
        /// The line is busy.
        Busy = 4,
        /// There is no dial tone.
        NoDialTone = 5,
        /// It took too long.
        TimeOut = 6,
        /// Prohibited by an administrator.
        DoNotAccept = 7,
    }
}

open_enum! {
    /// RFC 2637 §2.10: the result in an Incoming-Call-Reply.
    IncomingCallResult {
        /// Answer the call.
        Connect = 1,
        /// See the error code.
        GeneralError = 2,
        /// Do not answer it.
        DoNotAccept = 3,
    }
}

open_enum! {
    /// RFC 2637 §2.13: the result in a Call-Disconnect-Notify.
    DisconnectResult {
        /// The carrier was lost.
        LostCarrier = 1,
        /// See the error code.
        GeneralError = 2,
        /// For administrative reasons.
        AdminShutdown = 3,
        /// A Call-Clear-Request asked for it.
        Request = 4,
    }
}

//! The 15 messages of the control connection, RFC 2637 §2.
//!
//! Each message begins with the same 12 bytes (length, message type, magic cookie, control message
//! type, reserved) and has a length of its own that never varies. Reserved fields are ignored on
//! parse and zero on emit. [`message_len`] cuts a byte stream into messages, [`Repr`] is what one
//! of them means.

mod code;

pub use code::{
    DisconnectResult, GeneralError, IncomingCallResult, OutgoingCallResult, SimpleResult,
    StartResult, StopReason,
};

/// RFC 2637 §1.4: the constant in each message that shows that the stream is still in step.
pub const MAGIC_COOKIE: u32 = 0x1a2b_3c4d;

/// RFC 2637 §2: the version in the start messages: major 1, minor 0.
pub const VERSION: u16 = 0x0100;

/// RFC 2637 §2: the only message type with a meaning; 2, management, has none yet.
const CONTROL_MESSAGE: u16 = 1;

/// Bytes in front of what differs from message to message.
pub const HEADER_LEN: usize = 12;

/// Bytes of the shortest message, e.g. Stop-Control-Connection-Request.
pub const MIN_LEN: usize = 16;

/// Bytes of the longest message, Incoming-Call-Request.
pub const MAX_LEN: usize = 220;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The magic cookie is not there: the stream is out of step (RFC 2637 §2).
    #[error("bad magic cookie")]
    BadCookie,
    /// The length field is below [`MIN_LEN`] or above [`MAX_LEN`]: no message is so long.
    #[error("length out of range")]
    BadLength,
    /// Not a control message.
    #[error("unknown message type")]
    UnknownMessageType,
    /// None of the 15.
    #[error("unknown control message type")]
    UnknownControlType,
    /// The length is not that of the control message type.
    #[error("wrong length for the message")]
    WrongLength,
}

/// Returns the length of the message at the front of `stream`, or `None` if more bytes are needed
/// to tell.
///
/// # Errors
/// [`Error::BadLength`] and [`Error::BadCookie`], as early as the bytes show it: what follows
/// cannot be cut into messages any more.
pub fn message_len(stream: &[u8]) -> Result<Option<usize>, Error> {
    let Some(length) = stream.first_chunk() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if !(MIN_LEN..=MAX_LEN).contains(&length) {
        return Err(Error::BadLength);
    }
    let Some(cookie) = stream.get(4..).and_then(<[u8]>::first_chunk) else {
        return Ok(None);
    };
    if u32::from_be_bytes(*cookie) != MAGIC_COOKIE {
        return Err(Error::BadCookie);
    }
    Ok(Some(length))
}

/// A text of fixed size, filled up with zeroes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>(pub [u8; N]);

impl<const N: usize> Text<N> {
    /// What stands before the first zero, as far as it is text.
    #[must_use]
    pub fn to_string_lossy(&self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(N);
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

/// Cuts a longer text off.
impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        for (byte, &from) in bytes.iter_mut().zip(text.as_bytes()) {
            *byte = from;
        }
        Self(bytes)
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

/// A field of a message: a fixed number of bytes that mean something, whatever their value.
trait Field: Sized {
    const LEN: usize;

    /// Reads the first `LEN` bytes of `bytes`, which are there.
    fn read(bytes: &[u8]) -> Self;

    /// Writes the first `LEN` bytes of `bytes`, which are there.
    fn write(&self, bytes: &mut [u8]);
}

impl Field for u8 {
    const LEN: usize = 1;

    fn read(bytes: &[u8]) -> Self {
        bytes[0]
    }

    fn write(&self, bytes: &mut [u8]) {
        bytes[0] = *self;
    }
}

impl Field for u16 {
    const LEN: usize = 2;

    fn read(bytes: &[u8]) -> Self {
        Self::from_be_bytes([bytes[0], bytes[1]])
    }

    fn write(&self, bytes: &mut [u8]) {
        bytes[..2].copy_from_slice(&self.to_be_bytes());
    }
}

impl Field for u32 {
    const LEN: usize = 4;

    fn read(bytes: &[u8]) -> Self {
        Self::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    fn write(&self, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&self.to_be_bytes());
    }
}

impl<const N: usize> Field for Text<N> {
    const LEN: usize = N;

    fn read(bytes: &[u8]) -> Self {
        let mut text = [0; N];
        text.copy_from_slice(&bytes[..N]);
        Self(text)
    }

    fn write(&self, bytes: &mut [u8]) {
        bytes[..N].copy_from_slice(&self.0);
    }
}

/// Declares the messages: number, length, and each field with its type and offset.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident = $type:literal, $len:literal bytes {
            $($(#[$field_doc:meta])* $field:ident: $kind:ty = $offset:literal,)*
        }
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $kind,)*
            }

            impl $name {
                /// Bytes of the message, header included.
                pub const LEN: usize = $len;

                fn read(bytes: &[u8; $len]) -> Self {
                    const { $(assert!($offset + <$kind as Field>::LEN <= $len);)* }
                    Self { $($field: Field::read(&bytes[$offset..]),)* }
                }

                fn write(&self, bytes: &mut [u8]) {
                    $(self.$field.write(&mut bytes[$offset..]);)*
                }
            }

            impl From<$name> for Repr {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }
        )+

        /// One message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Repr {
            $($(#[$doc])* $name($name),)+
        }

        impl Repr {
            /// Parses one whole message, as cut out by [`message_len`].
            ///
            /// # Errors
            /// Whatever is wrong with the header; unknown numbers in fields are kept.
            pub fn parse(message: &[u8]) -> Result<Self, Error> {
                let header: &[u8; HEADER_LEN] = message.first_chunk().ok_or(Error::WrongLength)?;
                if usize::from(u16::read(header)) != message.len() {
                    return Err(Error::WrongLength);
                }
                if u32::read(&header[4..]) != MAGIC_COOKIE {
                    return Err(Error::BadCookie);
                }
                if u16::read(&header[2..]) != CONTROL_MESSAGE {
                    return Err(Error::UnknownMessageType);
                }
                match u16::read(&header[8..]) {
                    $($type => message
                        .try_into()
                        .map(|bytes| Self::$name($name::read(bytes)))
                        .map_err(|_| Error::WrongLength),)+
                    _ => Err(Error::UnknownControlType),
                }
            }

            /// The number of bytes that [`Self::emit`] writes.
            #[must_use]
            pub const fn buffer_len(&self) -> usize {
                match self {
                    $(Self::$name(_) => $len,)+
                }
            }

            /// Writes the message into `buffer`.
            ///
            /// # Panics
            /// If `buffer` is not [`Self::buffer_len`] bytes long.
            pub fn emit(&self, buffer: &mut [u8]) {
                buffer.fill(0);
                let (control_type, len): (u16, u16) = match self {
                    $(Self::$name(_) => ($type, $len),)+
                };
                len.write(buffer);
                CONTROL_MESSAGE.write(&mut buffer[2..]);
                MAGIC_COOKIE.write(&mut buffer[4..]);
                control_type.write(&mut buffer[8..]);
                match self {
                    $(Self::$name(message) => message.write(buffer),)+
                }
            }

            /// The message as bytes.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                let mut bytes = vec![0; self.buffer_len()];
                self.emit(&mut bytes);
                bytes
            }

            /// The name that RFC 2637 gives the message, with dashes left out.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                }
            }
        }

        #[cfg(test)]
        impl proptest::arbitrary::Arbitrary for Repr {
            type Parameters = ();
            type Strategy = proptest::strategy::BoxedStrategy<Self>;

            /// Any value of each field of each message: what `read` makes of random bytes.
            fn arbitrary_with((): ()) -> Self::Strategy {
                use proptest::prelude::*;
                prop_oneof![
                    $(proptest::collection::vec(any::<u8>(), $len).prop_map(|bytes| {
                        let bytes: &[u8; $len] = bytes.as_slice().try_into().unwrap();
                        Self::$name($name::read(bytes))
                    }),)+
                ]
                .boxed()
            }
        }
    };
}

messages! {
    /// RFC 2637 §2.1.
    StartControlConnectionRequest = 1, 156 bytes {
        /// The version that the sender wishes to use.
        version: u16 = 12,
        /// Bit 0: asynchronous framing, bit 1: synchronous framing.
        framing_capabilities: u32 = 16,
        /// Bit 0: analog access, bit 1: digital access.
        bearer_capabilities: u32 = 20,
        /// The number of sessions that a PAC supports; 0 from a PNS.
        maximum_channels: u16 = 24,
        /// The vendor's version.
        firmware_revision: u16 = 26,
        /// The DNS name of the sender.
        host_name: Text<64> = 28,
        /// Describes the sender's type.
        vendor: Text<64> = 92,
    }

    /// RFC 2637 §2.2.
    StartControlConnectionReply = 2, 156 bytes {
        /// The version that the sender wishes to use.
        version: u16 = 12,
        /// Whether the control connection exists.
        result: StartResult = 14,
        /// Explains a general error.
        error: GeneralError = 15,
        /// Bit 0: asynchronous framing, bit 1: synchronous framing.
        framing_capabilities: u32 = 16,
        /// Bit 0: analog access, bit 1: digital access.
        bearer_capabilities: u32 = 20,
        /// The number of sessions that a PAC supports; 0 from a PNS.
        maximum_channels: u16 = 24,
        /// The vendor's version.
        firmware_revision: u16 = 26,
        /// The DNS name of the sender.
        host_name: Text<64> = 28,
        /// Describes the sender's type.
        vendor: Text<64> = 92,
    }

    /// RFC 2637 §2.3.
    StopControlConnectionRequest = 3, 16 bytes {
        /// Why.
        reason: StopReason = 12,
    }

    /// RFC 2637 §2.4.
    StopControlConnectionReply = 4, 16 bytes {
        /// Whether the control connection is closed.
        result: SimpleResult = 12,
        /// Explains a general error.
        error: GeneralError = 13,
    }

    /// RFC 2637 §2.5.
    EchoRequest = 5, 16 bytes {
        /// Comes back in the reply.
        identifier: u32 = 12,
    }

    /// RFC 2637 §2.6.
    EchoReply = 6, 20 bytes {
        /// That of the request.
        identifier: u32 = 12,
        /// Whether the request was valid.
        result: SimpleResult = 16,
        /// Explains a general error.
        error: GeneralError = 17,
    }

    /// RFC 2637 §2.7, from PNS to PAC: what a client calls a server with.
    OutgoingCallRequest = 7, 168 bytes {
        /// The sender's id of the call.
        call_id: u16 = 12,
        /// Tells calls apart in logs.
        call_serial_number: u16 = 14,
        /// Lowest acceptable line speed in bits per second.
        minimum_bps: u32 = 16,
        /// Highest acceptable line speed in bits per second.
        maximum_bps: u32 = 20,
        /// 1 analog, 2 digital, 3 any.
        bearer_type: u32 = 24,
        /// 1 asynchronous, 2 synchronous, 3 either.
        framing_type: u32 = 28,
        /// GRE packets that the sender buffers.
        receive_window: u16 = 32,
        /// How long the sender takes over a packet, in tenths of a second.
        processing_delay: u16 = 34,
        /// Digits in `phone_number`.
        phone_number_length: u16 = 36,
        /// The number to dial.
        phone_number: Text<64> = 40,
        /// More to dial.
        subaddress: Text<64> = 104,
    }

    /// RFC 2637 §2.8.
    OutgoingCallReply = 8, 32 bytes {
        /// The sender's id of the call.
        call_id: u16 = 12,
        /// The call id of the request.
        peer_call_id: u16 = 14,
        /// Whether the call is established.
        result: OutgoingCallResult = 16,
        /// Explains a general error.
        error: GeneralError = 17,
        /// More on a failure.
        cause: u16 = 18,
        /// Line speed in bits per second.
        connect_speed: u32 = 20,
        /// GRE packets that the sender buffers.
        receive_window: u16 = 24,
        /// How long the sender takes over a packet, in tenths of a second.
        processing_delay: u16 = 26,
        /// The vendor's own; for logs.
        physical_channel: u32 = 28,
    }

    /// RFC 2637 §2.9, from PAC to PNS: a line rings.
    IncomingCallRequest = 9, 220 bytes {
        /// The sender's id of the call.
        call_id: u16 = 12,
        /// Tells calls apart in logs.
        call_serial_number: u16 = 14,
        /// 1 analog, 2 digital.
        bearer_type: u32 = 16,
        /// The vendor's own.
        physical_channel: u32 = 20,
        /// Digits in `dialed_number`.
        dialed_number_length: u16 = 24,
        /// Digits in `dialing_number`.
        dialing_number_length: u16 = 26,
        /// What the caller dialled.
        dialed_number: Text<64> = 28,
        /// The caller.
        dialing_number: Text<64> = 92,
        /// More that was dialled.
        subaddress: Text<64> = 156,
    }

    /// RFC 2637 §2.10.
    IncomingCallReply = 10, 24 bytes {
        /// The sender's id of the call.
        call_id: u16 = 12,
        /// The call id of the request.
        peer_call_id: u16 = 14,
        /// Whether to answer the line.
        result: IncomingCallResult = 16,
        /// Explains a general error.
        error: GeneralError = 17,
        /// GRE packets that the sender buffers.
        receive_window: u16 = 18,
        /// How long the sender takes over a packet, in tenths of a second.
        processing_delay: u16 = 20,
    }

    /// RFC 2637 §2.11.
    IncomingCallConnected = 11, 28 bytes {
        /// The receiver's id of the call.
        peer_call_id: u16 = 12,
        /// Line speed in bits per second.
        connect_speed: u32 = 16,
        /// GRE packets that the sender buffers.
        receive_window: u16 = 20,
        /// How long the sender takes over a packet, in tenths of a second.
        processing_delay: u16 = 22,
        /// 1 asynchronous, 2 synchronous.
        framing_type: u32 = 24,
    }

    /// RFC 2637 §2.12, from PNS to PAC: hang up.
    CallClearRequest = 12, 16 bytes {
        /// The sender's id of the call.
        call_id: u16 = 12,
    }

    /// RFC 2637 §2.13, from PAC to PNS: it is hung up.
    CallDisconnectNotify = 13, 148 bytes {
        /// The sender's id of the call.
        call_id: u16 = 12,
        /// Why.
        result: DisconnectResult = 14,
        /// Explains a general error.
        error: GeneralError = 15,
        /// More on why.
        cause: u16 = 16,
        /// The vendor's own; for logs.
        call_statistics: Text<128> = 20,
    }

    /// RFC 2637 §2.14, from PAC to PNS.
    WanErrorNotify = 14, 40 bytes {
        /// The receiver's id of the call.
        peer_call_id: u16 = 12,
        /// Since the call began.
        crc_errors: u32 = 16,
        /// Since the call began.
        framing_errors: u32 = 20,
        /// Since the call began.
        hardware_overruns: u32 = 24,
        /// Since the call began.
        buffer_overruns: u32 = 28,
        /// Since the call began.
        timeout_errors: u32 = 32,
        /// Since the call began.
        alignment_errors: u32 = 36,
    }

    /// RFC 2637 §2.15, from PNS to PAC: what LCP agreed on.
    SetLinkInfo = 15, 24 bytes {
        /// The receiver's id of the call.
        peer_call_id: u16 = 12,
        /// Control characters that the client escapes; without effect on GRE.
        send_accm: u32 = 16,
        /// Control characters that the client wants escaped; without effect on GRE.
        receive_accm: u32 = 20,
    }
}

#[cfg(test)]
mod tests;

//! MPPE (RFC 3078) with the keys of RFC 3079.
//!
//! A [`Chain`] is one direction's session keys, an [`Engine`] computes them and applies RC4, many
//! packets at a time, and a [`Receiver`] decides which key an arriving frame is for. All that is of
//! stateless mode; [`stateful`] mode needs no more than one RC4 stream.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

mod budget;
pub mod chain;
pub mod engine;
pub mod receiver;
pub mod stateful;

pub use chain::{Chain, SessionKey};
pub use engine::{AnyEngine, Crates, Engine, Job, Portable, Stream, StreamJob};
pub use receiver::Receiver;

/// How many bits of a session key are secret (RFC 3078 §2.1, the S, M and L bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strength {
    /// L: 40 bits; the first 3 of 8 key bytes are D1 26 9E.
    Bits40,
    /// M: 56 bits; the first of 8 key bytes is D1.
    Bits56,
    /// S: 128 bits; 16 key bytes.
    Bits128,
}

impl Strength {
    /// How many bytes of a start key or session key are used.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Bits40 | Self::Bits56 => 8,
            Self::Bits128 => 16,
        }
    }

    /// Overwrites the key bytes that are not secret (RFC 3079 §3.2).
    pub fn reduce(self, key: &mut [u8; 16]) {
        match self {
            Self::Bits40 => key[..3].copy_from_slice(&[0xD1, 0x26, 0x9E]),
            Self::Bits56 => key[0] = 0xD1,
            Self::Bits128 => {}
        }
    }
}

/// One direction's start key (RFC 3079 §2.3, §3.3): 16 bytes, of which 40 and 56 bit use 8.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct StartKey(pub [u8; 16]);

/// What CCP agreed on for one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The start key.
    pub start_key: StartKey,
    /// Bits of the session keys.
    pub strength: Strength,
    /// A new session key for each packet (RFC 3078 §6); else after 256 packets.
    pub stateless: bool,
}

impl std::fmt::Debug for StartKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StartKey(..)")
    }
}

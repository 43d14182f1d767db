//! What a session may do, and what it is told when it has done that.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a session may do; the default is anything. `rx` is from the peer, `tx` to the peer, and a
/// byte is one of a network packet, inner IP header included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How fast packets from the peer are passed on.
    pub rx_rate: Option<Rate>,
    /// How fast packets to the peer are passed on.
    pub tx_rate: Option<Rate>,
    /// Bytes from the peer, counted from the session's beginning, after which
    /// [`Limit::RxBytes`] is said.
    pub rx_bytes: Option<NonZeroU64>,
    /// Bytes to the peer, counted in the same way, after which [`Limit::TxBytes`] is said.
    pub tx_bytes: Option<NonZeroU64>,
    /// Bytes in both directions together, counted in the same way, after which
    /// [`Limit::TotalBytes`] is said.
    pub total_bytes: Option<NonZeroU64>,
    /// Time without a network packet in either direction after which [`Limit::Idle`] is said.
    /// What keeps the link itself alive does not count.
    pub idle_timeout: Option<Duration>,
    /// Lower the segment size that TCP hosts offer, in both directions, to what the interface's
    /// MTU has room for.
    pub clamp_mss: bool,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bits a second, of network packets.
    pub bits_per_second: NonZeroU64,
    /// For a while more than that.
    pub burst: Option<Burst>,
}

impl Rate {
    /// A rate that always is the same.
    #[must_use]
    pub const fn steady(bits_per_second: NonZeroU64) -> Self {
        Self {
            bits_per_second,
            burst: None,
        }
    }
}

/// Another rate that holds as long as the average is low. It is judged sixteen times in `time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// Bits a second while the burst lasts.
    pub bits_per_second: NonZeroU64,
    /// Bits a second: the burst holds while the average is under this, so never if it is 0.
    pub threshold: u64,
    /// What the average is taken over. No time is no burst.
    pub time: Duration,
}

/// A limit that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// [`Limits::idle_timeout`].
    Idle,
    /// [`Limits::rx_bytes`].
    RxBytes,
    /// [`Limits::tx_bytes`].
    TxBytes,
    /// [`Limits::total_bytes`].
    TotalBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle timeout",
            Self::RxBytes => "limit of bytes received",
            Self::TxBytes => "limit of bytes sent",
            Self::TotalBytes => "limit of bytes in both directions",
        })
    }
}

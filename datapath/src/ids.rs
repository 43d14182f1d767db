//! The numbers that name things, each its own type so that two of them cannot be swapped.

use serde::{Deserialize, Serialize};

/// The most sessions one datapath process holds; a [`SessionId`] is below it.
pub const MAX_SESSIONS: u32 = 65_535;

/// The call id that we chose: what the peer writes into the GRE frames it sends us (RFC 2637 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u16);

/// The call id that the peer chose: what we write into the GRE frames we send. 0 is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerCallId(pub u16);

/// A session, as control and datapath call it. Chosen by control, below [`MAX_SESSIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u32);

/// A worker thread of the datapath, counted from 0; worker *i* owns RX queue *i*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u16);

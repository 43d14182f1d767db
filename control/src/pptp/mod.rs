//! PPTP's control connection (RFC 2637 §2, §3), in both roles.
//!
//! Sans-IO: the bytes of the TCP connection and the time go in, [`connection::Command`]s come out.
//! What GRE carries is the datapath's.

pub mod call_ids;
pub mod connection;
pub mod fsm;
pub mod misbehaviour;
pub mod refused;
#[cfg(test)]
pub(crate) mod requests;
pub mod wire;

pub use call_ids::CallIds;
pub use connection::{Command, Connection, Direction};
pub use misbehaviour::{Misbehaviour, Misbehaviours};
pub use refused::Refused;

/// RFC 2637 §2: the port that a server listens on.
pub const PORT: u16 = 1723;

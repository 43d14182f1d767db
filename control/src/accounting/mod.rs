//! Accounting: what each session was and moved, kept on disk before anybody is told that it is up or
//! gone, and told to RADIUS from there.

pub mod export;
pub mod keeper;
pub mod reader;
mod schema;
pub mod store;
mod value;
mod writer;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use greyhound_datapath::ids::SessionId;

use crate::cause::Cause;

/// What is to be kept, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A session is up.
    Began(Box<Opening>),
    /// What a session that is up has moved by now.
    Counted {
        /// [`Opening::session_id`].
        session_id: String,
        /// When.
        at: Instant,
        /// Since it is up.
        numbers: Numbers,
        /// RADIUS is to be told, by an Interim-Update, if it is told of the session at all.
        is_interim: bool,
    },
    /// A session has ended.
    Ended {
        /// [`Opening::session_id`].
        session_id: String,
        /// When; `None` is when it was counted last, which is all that is known of it.
        at: Option<Instant>,
        /// What it moved in all; `None` is what it had when it was counted last.
        numbers: Option<Numbers>,
        /// Why.
        cause: Cause,
    },
    /// RADIUS is to be told that accounting begins or ends here: Accounting-On, Accounting-Off.
    Switched {
        /// NAS-Identifier.
        identity: String,
        /// When.
        at: Instant,
        /// On.
        is_on: bool,
    },
}

/// A session that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Acct-Session-Id: unique, also across starts of the program.
    pub session_id: String,
    /// What the datapath calls it: how it is found again if this process dies.
    pub datapath: SessionId,
    /// NAS-Identifier.
    pub identity: String,
    /// NAS-Port.
    pub port: u32,
    /// The user as it logged in.
    pub user: String,
    /// Where the client connects from.
    pub caller: Ipv4Addr,
    /// The address of ours that it connects to.
    pub called: Ipv4Addr,
    /// The client's address inside the tunnel.
    pub address: Ipv4Addr,
    /// The name of the interface.
    pub interface: String,
    /// Who let the user in.
    pub authentic: Authentic,
    /// RADIUS attribute Class, each.
    pub classes: Vec<Vec<u8>>,
    /// RADIUS is to be told of it.
    pub is_told: bool,
    /// When.
    pub at: Instant,
}

/// Who let a user in: the values of Acct-Authentic (RFC 2866 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentic {
    /// 1: RADIUS.
    Radius,
    /// 2: a secret of the configuration.
    Local,
}

/// What a session has moved. `rx` is what came from the client: Input in RFC 2866.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// For how long it has been up.
    pub duration: Duration,
    /// Bytes of IP packets from the client.
    pub rx_bytes: u64,
    /// Bytes of IP packets to the client.
    pub tx_bytes: u64,
    /// IP packets from the client.
    pub rx_packets: u64,
    /// IP packets to the client.
    pub tx_packets: u64,
}

/// A session that was up when the process before this one ended, and of whose end nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// [`Opening::session_id`].
    pub session_id: String,
    /// [`Opening::datapath`].
    pub datapath: SessionId,
    /// [`Opening::caller`], which the datapath knows as well.
    pub caller: Ipv4Addr,
    /// When it began, as long before now as it is known.
    pub age: Duration,
}

/// What RADIUS is to be told: a row of the outbox, with all that the packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The row. Later rows have higher numbers.
    pub id: i64,
    /// What happened.
    pub event: Occasion,
    /// How long ago, when the row was read.
    pub age: Duration,
    /// When that was, in seconds since 1970: Event-Timestamp.
    pub timestamp: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Acct-Status-Type Start.
    Start(Box<Told>),
    /// Interim-Update.
    Interim(Box<Told>, Numbers),
    /// Stop.
    Stop(Box<Told>, Numbers, Cause),
    /// Accounting-On, of whom this is.
    On(String),
    /// Accounting-Off.
    Off(String),
}

impl Occasion {
    /// The session that it is about, if it is about one.
    #[must_use]
    pub const fn told(&self) -> Option<&Told> {
        match self {
            Self::Start(told) | Self::Interim(told, _) | Self::Stop(told, _, _) => Some(told),
            Self::On(_) | Self::Off(_) => None,
        }
    }
}

/// What every packet about a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// See [`Opening`] for all of them.
    pub session_id: String,
    /// NAS-Identifier.
    pub identity: String,
    /// NAS-Port.
    pub port: u32,
    /// User-Name.
    pub user: String,
    /// Calling-Station-Id.
    pub caller: Ipv4Addr,
    /// Called-Station-Id.
    pub called: Ipv4Addr,
    /// Framed-IP-Address.
    pub address: Ipv4Addr,
    /// NAS-Port-Id.
    pub interface: String,
    /// Acct-Authentic.
    pub authentic: Authentic,
    /// Class.
    pub classes: Vec<Vec<u8>>,
}

/// The time of day: records outlive the process, and the start of the machine that its clock counts
/// from.
#[expect(
    clippy::disallowed_methods,
    reason = "the threads wait for the disk, not for the loop"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The clock of [`Change`].
#[expect(
    clippy::disallowed_methods,
    reason = "the threads wait for the disk, not for the loop"
)]
fn ticks() -> Instant {
    Instant::now()
}

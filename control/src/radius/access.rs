//! Authentication: what is asked about a user, and what an answer gives.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::model::rate::RateLimit;
use crate::model::route::Route;
use crate::ppp::{Encryption, MppeKeys, Proof, Refusal};

/// A user who wants in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name as it came, a Windows domain included.
    pub user: String,
    /// What was sent.
    pub proof: Proof,
    /// The call.
    pub call: Call,
}

/// Whose call it is: what every packet about a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// NAS-Identifier: what we are called.
    pub identity: String,
    /// Acct-Session-Id.
    pub session_id: String,
    /// NAS-Port: the number of the session.
    pub port: u32,
    /// Calling-Station-Id: where the client connects from.
    pub caller: Ipv4Addr,
    /// Called-Station-Id: the address of ours that it connects to.
    pub called: Ipv4Addr,
}

/// What came of a [`Login`].
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Access-Accept.
    Accept(Box<Grant>),
    /// Access-Reject.
    Reject {
        /// What MS-CHAP-Error says, else that name or password are wrong.
        refusal: Refusal,
        /// Reply-Message, or the text of MS-CHAP-Error.
        message: Option<String>,
    },
    /// An answer that no session can be made of; says what is wrong or missing, in a line.
    Unusable(String),
}

/// What an Access-Accept gives. What is `None` or empty was not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// For the Success packet: MS-CHAP2-Success, or Reply-Message.
    pub message: String,
    /// Where encryption begins.
    pub keys: Option<MppeKeys>,
    /// MS-MPPE-Encryption-Policy.
    pub encryption: Option<Encryption>,
    /// MS-MPPE-Encryption-Types: bits of RFC 2548 §2.4.5, 0x2 is 40 bit, 0x4 128 bit, 0x8 56 bit.
    pub encryption_types: Option<u32>,
    /// Framed-IP-Address, if it is an address: 255.255.255.254 and the like are none.
    pub address: Option<Ipv4Addr>,
    /// Framed-Pool.
    pub pool: Option<String>,
    /// Framed-Route, and the network of Framed-IP-Netmask if that is not one address.
    pub routes: Vec<Route>,
    /// Session-Timeout.
    pub session_timeout: Option<Duration>,
    /// Idle-Timeout.
    pub idle_timeout: Option<Duration>,
    /// Acct-Interim-Interval, at least 60 s.
    pub interim: Option<Duration>,
    /// Class, each to be sent in all accounting.
    pub classes: Vec<Vec<u8>>,
    /// Port-Limit.
    pub port_limit: Option<u32>,
    /// Mikrotik-Group: the profile.
    pub group: Option<String>,
    /// Mikrotik-Rate-Limit.
    pub rate_limit: Option<RateLimit>,
    /// Mikrotik-Recv-Limit with its gigawords: bytes from the client.
    pub recv_limit: Option<u64>,
    /// Mikrotik-Xmit-Limit with its gigawords: bytes to the client.
    pub xmit_limit: Option<u64>,
    /// Mikrotik-Total-Limit with its gigawords: bytes in both directions.
    pub total_limit: Option<u64>,
    /// Mikrotik-Address-List.
    pub address_lists: Vec<String>,
    /// MS-Primary-DNS-Server and -Secondary.
    pub dns: [Option<Ipv4Addr>; 2],
    /// MS-Primary-NBNS-Server and -Secondary.
    pub wins: [Option<Ipv4Addr>; 2],
}

//! DNS servers that a peer gave: the system's resolver uses them while the session is up.
//!
//! The control process reads bytes of strangers, so it changes nothing of the system itself. It tells
//! a process of its own (`greyhound dns`, [`keeper::Keeper`]) over a socket in the run directory
//! which servers to use ([`client::Client`]), in addresses and numbers, never in words of a peer.
//! That process asks systemd-resolved or resolvconf, whichever is there, and takes back what it
//! has set: at the end of a session, when it is stopped, and after a crash at its next start.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

pub mod client;
mod job;
pub mod keeper;
mod line;
pub mod process;
mod record;
pub mod resolver;

/// The socket's name in the run directory.
pub const SOCKET: &str = "dns.sock";

/// Changes whenever a message changes; both ends must have the same.
pub const VERSION: u16 = 1;

/// The most servers that a peer gives (RFC 1877 §1.1, §1.3).
pub const MOST_SERVERS: usize = 2;

/// What the resolver is to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The kernel's name of the session's interface.
    pub interface: String,
    /// The servers, the first one first: one or two.
    pub servers: Vec<Ipv4Addr>,
    /// In place of those that there are, not beside them.
    pub exclusively: bool,
}

/// From control to the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// The first message of a connection, which begins with nothing set. A process of another
    /// [`VERSION`] ends, and is started again from the file that the sender was started from.
    Hello { version: u16 },
    /// Use these servers in place of what was said of the interface before. Answered by
    /// [`Event::Set`] or [`Event::NotSet`], unless another request for the interface comes first.
    Set(Setting),
    /// Use no servers for this interface. Only a failure is answered.
    Revert { interface: String },
}

/// From the process to control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Event {
    /// The servers are used.
    Set { setting: Setting, by: By },
    /// The servers are not used, and why.
    NotSet { setting: Setting, reason: String },
    /// What was set could not be taken back yet, and why. It is tried again.
    NotReverted { interface: String, reason: String },
}

/// Which program was asked to use servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// systemd-resolved.
    Resolved,
    /// The resolvconf of the project openresolv.
    Openresolv,
    /// Debian's resolvconf, which knows no servers in place of others.
    Resolvconf,
}

impl By {
    /// What the log calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolved => "systemd-resolved",
            Self::Openresolv => "openresolv",
            Self::Resolvconf => "resolvconf",
        }
    }
}

#[cfg(test)]
mod tests;

//! What control and datapath say to each other: one message a datagram over a Unix
//! SOCK_SEQPACKET socket, encoded by postcard, in order, versioned by [`VERSION`].
//!
//! The datapath listens; it outlives the control process. On [`Request::Hello`] it answers with
//! what it holds, so that a control process that comes back knows every session still forwarded.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::ids::{CallId, PeerCallId, SessionId, WorkerId};
use crate::mppe::Parameters;
use crate::stats::{SessionCounters, WorkerCounters};

mod limits;
pub mod membership;
pub mod seqpacket;
mod standing;

pub use limits::{Burst, Limit, Limits, Rate};
pub use membership::{Lacking, ListedAddress, Membership, Prefix, Route, Warning};
pub use standing::{Placeholder, Standing};

/// Changes whenever a message changes; both ends must have the same.
pub const VERSION: u16 = 6;

/// The largest encoded message. A PPP frame is at most 1500 bytes; `Hello` with every session held
/// is the largest and is cut into several [`Event::Held`].
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// The two ends of a call, which is what a GRE frame is matched by (RFC 2637 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Our address: destination of the frames that arrive.
    pub ours: Ipv4Addr,
    /// The peer's address.
    pub peer: Ipv4Addr,
    /// Our call id.
    pub call_id: CallId,
    /// The peer's call id.
    pub peer_call_id: PeerCallId,
}

/// What LCP agreed on, as far as the frames we send and the echoes we answer go (RFC 1661 §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkOptions {
    /// Leave out FF 03 (the peer accepted Address-and-Control-Field-Compression).
    pub acfc: bool,
    /// One-byte protocol numbers (the peer accepted Protocol-Field-Compression).
    pub pfc: bool,
    /// Our magic number, put into Echo-Replies; 0 if none was negotiated.
    pub magic: u32,
    /// LCP is Opened: the datapath answers Echo-Requests itself.
    pub opened: bool,
    /// The peer may send Multilink frames.
    pub rx_multilink: Option<Multilink>,
    /// The peer takes Multilink frames.
    pub tx_multilink: Option<Multilink>,
    /// Bytes of the largest information field that may be sent, whatever the protocol: the peer's
    /// MRU, or less where the path carries less. What is larger goes in fragments, if it may.
    pub peer_mru: u16,
}

/// Multilink over this one link, in one direction (RFC 1990): what is larger than the link carries
/// goes in fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multilink {
    /// Bytes of the information field of the largest frame that fragments may make up: the MRRU of
    /// the end that receives them.
    pub mrru: u16,
    /// Sequence numbers of 12 bits in place of 24 (RFC 1990 §5.1.2).
    pub short: bool,
}

/// The interface that carries a session's packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The name an operator sees, at most 127 bytes, e.g. `<pptp-MT-User>`. The kernel's name is
    /// the same where 15 bytes hold it; else a shortened one, and this is its altname.
    pub name: String,
    /// Our address inside the tunnel.
    pub address: Ipv4Addr,
    /// The peer's address inside the tunnel.
    pub peer: Ipv4Addr,
    /// Bytes of the largest packet we may send.
    pub mtu: u16,
    /// Drop and count packets from the peer whose source is neither `peer` nor in a network that
    /// there is a route to. Set by a server, which gave that address; not by a client, behind
    /// whose peer lies a whole network.
    pub check_source: bool,
    /// Carry IPv6 as well (RFC 5072): our link-local address, made of our interface identifier.
    pub ipv6: Option<Ipv6Addr>,
    /// Its routes, lists and filters.
    pub membership: Membership,
    /// Take the interface that stands under this name, by [`Request::Stand`], and give it back with
    /// the session's end. Without, one is created, and deleted with the session.
    pub stands: bool,
}

/// From control to datapath.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The first message of a connection; answered by [`Event::Hello`] and [`Event::Held`].
    Hello {
        /// The sender's [`VERSION`].
        version: u16,
    },
    /// Begin to receive the frames of a call. Answered by [`Event::Failed`] if that cannot be.
    Install {
        /// A session that is not in use, nor removed and not forgotten.
        session: SessionId,
        /// Its frames.
        tunnel: Tunnel,
    },
    /// What LCP agreed on; may come again when LCP renegotiates.
    SetLink {
        /// The session.
        session: SessionId,
        /// What holds from the next frame on.
        link: LinkOptions,
    },
    /// What CCP agreed on, each direction by itself; `None` is no encryption. A direction that has
    /// these very parameters already goes on where it is; only after `None` does it begin anew.
    SetMppe {
        /// The session.
        session: SessionId,
        /// For what the peer sends.
        rx: Option<Parameters>,
        /// For what we send.
        tx: Option<Parameters>,
    },
    /// The peer lost its place in stateful MPPE and sent a CCP Reset-Request: let it find in again.
    /// Means nothing in stateless mode.
    ResetMppe {
        /// The session.
        session: SessionId,
    },
    /// Create and raise the session's interface; answered by [`Event::Attached`] or `Failed`, and
    /// by an [`Event::Warning`] for each thing that it has to do without.
    Attach {
        /// The session.
        session: SessionId,
        /// What it should be.
        interface: Interface,
    },
    /// Carry IPv6 from now on, or no more: our link-local address on the session's interface.
    SetIpv6 {
        /// The session; without an interface nothing happens.
        session: SessionId,
        /// See [`Interface::ipv6`].
        address: Option<Ipv6Addr>,
    },
    /// Take the session's interface away; the session stays.
    Detach {
        /// The session.
        session: SessionId,
    },
    /// What the session may do. May come again at any time; what it has moved still counts, and
    /// rates that stay as they were go on where they are. Without it a session may do anything.
    SetLimits {
        /// The session.
        session: SessionId,
        /// All its limits.
        limits: Limits,
    },
    /// Send a PPP control frame, unencrypted.
    Send {
        /// The session.
        session: SessionId,
        /// The PPP protocol number, e.g. 0xC021.
        protocol: u16,
        /// The information field.
        payload: Vec<u8>,
    },
    /// Read a session's counters; answered by [`Event::Counters`].
    Read {
        /// The session.
        session: SessionId,
    },
    /// Remove a session and its interface; answered by [`Event::Removed`], once, however often it
    /// is asked for. What it moved is kept until [`Request::Forget`].
    Remove {
        /// The session.
        session: SessionId,
    },
    /// What a session that is removed has moved was noted down: keep it no longer. Its number is
    /// free afterwards. Means nothing of any other session.
    Forget {
        /// The session.
        session: SessionId,
    },
    /// Have an interface that outlives sessions; again for what changed of it. Answered by
    /// [`Event::Stands`] or [`Event::CannotStand`]. One that was there before this connection is
    /// taken over, whatever session of that time still has it.
    Stand {
        /// What it should be.
        standing: Standing,
    },
    /// Take an interface away that stands, when no session has it any more.
    Dismiss {
        /// Its name.
        name: String,
    },
    /// Take away all that stand and that this connection has not asked for.
    DismissOthers,
    /// Throw away what waits at an interface that stands without a session, and say
    /// [`Event::Demand`] at the next packet.
    Await {
        /// Its name. Without a placeholder, nothing happens.
        name: String,
    },
    /// Keep the way to a server as it is now, whatever routes come: a host route through the
    /// gateway by which it is reached without the interfaces that stand. Takes the place of the one
    /// pinned before under this name. Answered by [`Event::Pinned`].
    Pin {
        /// Of a standing interface.
        name: String,
        /// The server.
        server: Ipv4Addr,
    },
    /// Take the pinned route away.
    Unpin {
        /// Of a standing interface.
        name: String,
    },
    /// Read what the workers and the XDP program counted; answered by [`Event::Totals`].
    ReadTotals,
}

/// A session that the datapath holds from before this connection, or what it still knows of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The session.
    pub session: SessionId,
    /// Its frames.
    pub tunnel: Tunnel,
    /// What it moved in all, if it is removed and was not forgotten. One that is only about to be
    /// removed has `None`; [`Event::Removed`] will follow, whether it is asked for again or not.
    pub removed: Option<SessionCounters>,
}

/// How frames reach a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IoMode {
    /// AF_XDP below the stack, by the driver's own XDP.
    Native,
    /// AF_XDP with the generic (SKB) XDP hook.
    Skb,
    /// The raw protocol-47 socket only.
    Raw,
}

impl fmt::Display for IoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Skb => "skb",
            Self::Raw => "raw",
        })
    }
}

/// An interface that GRE goes out and comes in through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// Bytes of the largest outer datagram that goes out whole.
    pub mtu: u16,
    /// How its frames are moved.
    pub io: IoMode,
}

/// What one worker is and has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTotals {
    /// Which worker.
    pub worker: WorkerId,
    /// The core it is pinned to.
    pub core: u16,
    /// Sessions it holds.
    pub sessions: u32,
    /// What it moved.
    pub counters: WorkerCounters,
    /// What it dropped, by [`crate::stats::DropReason::name`]; zeroes left out.
    pub drops: Vec<(String, u64)>,
}

/// From datapath to control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The answer to [`Request::Hello`].
    Hello {
        /// The sender's [`VERSION`]; if it differs, nothing else is understood.
        version: u16,
        /// The interfaces it was started for, in that order; none if all takes raw sockets, whatever
        /// interface it goes through.
        uplinks: Vec<Uplink>,
        /// How many workers there are.
        workers: u16,
    },
    /// Some of what the datapath holds; the last one after a Hello has `last` set.
    Held {
        /// Sessions.
        sessions: Vec<Held>,
        /// No more follow.
        last: bool,
    },
    /// The way that the frames of a session take, found when it was installed: the first that is
    /// said of it, unless [`Request::Install`] failed.
    Installed {
        /// The session.
        session: SessionId,
        /// The interface by which the kernel reaches the peer. Its MTU is that of the route, if
        /// that has one. Any interface but those in [`Event::Hello`] is in mode
        /// [`IoMode::Raw`].
        uplink: Uplink,
    },
    /// A PPP frame that is control's business: any protocol but an established network one.
    Frame {
        /// The session.
        session: SessionId,
        /// The PPP protocol number.
        protocol: u16,
        /// The information field.
        payload: Vec<u8>,
    },
    /// The session's interface is up.
    Attached {
        /// The session.
        session: SessionId,
        /// The kernel's name of the interface.
        kernel_name: String,
        /// The kernel's index of the interface.
        ifindex: u32,
    },
    /// The session's interface is not all it should be; the session lives on.
    Warning {
        /// The session.
        session: SessionId,
        /// What it lacks, and why.
        warning: Warning,
    },
    /// A request could not be carried out; the session is as it was.
    Failed {
        /// The session.
        session: SessionId,
        /// What was asked and why it failed, as one line.
        reason: String,
    },
    /// Stateful MPPE: a frame is missing and nothing can be decrypted before the peer has had a CCP
    /// Reset-Request. Comes again while that has no effect.
    MppeOutOfSync {
        /// The session.
        session: SessionId,
        /// How often this was said since the last frame that decrypted, this one included.
        times: u32,
    },
    /// Since MPPE began, frames have come and none decrypted: the two ends have different keys.
    /// Said once.
    MppeKeysDiffer {
        /// The session.
        session: SessionId,
    },
    /// The session has reached a limit, and goes on all the same. Said once for each, and again
    /// when [`Request::SetLimits`] raised it and it was reached again.
    LimitReached {
        /// The session.
        session: SessionId,
        /// Which.
        limit: Limit,
    },
    /// The answer to [`Request::Read`].
    Counters {
        /// The session.
        session: SessionId,
        /// What it has moved.
        counters: SessionCounters,
    },
    /// The session is gone, its interface too or about to. Its number is not free before
    /// [`Request::Forget`].
    Removed {
        /// The session.
        session: SessionId,
        /// What it moved in all.
        counters: SessionCounters,
    },
    /// An interface stands.
    Stands {
        /// Its name.
        name: String,
        /// The kernel's name of it.
        kernel_name: String,
        /// The kernel's index of it.
        ifindex: u32,
        /// What does not hold of it.
        warnings: Vec<Warning>,
    },
    /// An interface that was to stand does not.
    CannotStand {
        /// Its name.
        name: String,
        /// Why, as one line.
        reason: String,
    },
    /// A packet wants to go out through an interface that stands without a session. Said once after
    /// each [`Request::Await`].
    Demand {
        /// The interface's name.
        name: String,
    },
    /// The answer to [`Request::Pin`].
    Pinned {
        /// As in the request.
        name: String,
        /// As in the request.
        server: Ipv4Addr,
        /// Why there is no way to the server, or it could not be kept, as one line.
        refused: Option<String>,
    },
    /// The answer to [`Request::ReadTotals`].
    Totals {
        /// Each worker.
        workers: Vec<WorkerTotals>,
        /// The XDP program's counters by name; empty in raw mode.
        xdp: Vec<(String, u64)>,
    },
}

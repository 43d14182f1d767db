//! What `print` looks at: the running state, copied at one moment.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use greyhound_datapath::ipc::{Uplink, WorkerTotals};
use greyhound_datapath::stats::SessionCounters;

use crate::aaa::pool::{Occupancy, Used};
use crate::cause::Cause;
use crate::model::Id;

/// The running state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Sessions of the server, in the order they came.
    pub server_sessions: Vec<ServerSession>,
    /// Configured clients, in the order of the configuration.
    pub clients: Vec<ClientState>,
    /// How the last session of each user ended, in the order of their names.
    pub last_ends: Vec<LastEnd>,
    /// Addresses in use.
    pub used: Vec<Used>,
    /// How full the pools are.
    pub pools: Vec<Occupancy>,
    /// The datapath, if it is connected.
    pub datapath: Option<DatapathState>,
    /// Each `/radius` that is asked.
    pub radius: Vec<RadiusState>,
    /// What came to `/radius incoming`.
    pub radius_incoming: RadiusIncomingState,
}

/// One session of the server: a row of `/interface pptp-server` and of `/ppp active`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSession {
    /// Interface name, `<pptp-USER>`.
    pub name: String,
    /// The kernel's name of the interface.
    pub kernel_name: String,
    /// The login.
    pub user: String,
    /// Our address inside the tunnel.
    pub local_address: Ipv4Addr,
    /// The profile of the user's secret, if there is still one.
    pub profile: String,
    /// The configuration gives something else by now.
    pub is_stale: bool,
    /// Bytes that the user may send and get; 0 is no limit.
    pub limit_bytes: (u64, u64),
    /// Effective MTU in bytes.
    pub mtu: u16,
    /// Our MRU as negotiated, in bytes.
    pub mru: u16,
    /// What the way to the client carries, outer headers included, in bytes.
    pub path_mtu: u16,
    /// What the tunnel adds to a packet, in bytes.
    pub overhead: u16,
    /// Where the client connects from: `client-address` and `caller-id`.
    pub client_address: Ipv4Addr,
    /// Its address inside the tunnel.
    pub address: Ipv4Addr,
    /// Since the network came up.
    pub uptime: Duration,
    /// `MPPE128 stateless`, or empty.
    pub encoding: String,
    /// `session-id`.
    pub session_id: u32,
    /// RADIUS let the user in.
    pub is_radius: bool,
    /// What it moved.
    pub counters: SessionCounters,
}

/// How the last session of a user ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEnd {
    /// The name of the secret.
    pub user: String,
    /// How long ago.
    pub ago: Duration,
    /// Where the client had called from.
    pub caller: Ipv4Addr,
    /// Why.
    pub cause: Cause,
}

/// One `/interface pptp-client` at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientState {
    /// Interface name.
    pub name: String,
    /// `disabled`, `waiting for packets...`, `initializing`, `connecting`, `authenticated`,
    /// `connected`, `terminating`.
    pub status: &'static str,
    /// How long it waits before it dials again, if it does.
    pub redials_in: Option<Duration>,
    /// Why it ended the last time, if it did.
    pub last_end: Option<Cause>,
    /// While connected.
    pub connected: Option<ClientConnected>,
    /// Its profile gives something else by now.
    pub is_stale: bool,
}

/// What a connected client has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConnected {
    /// The kernel's name of the interface.
    pub kernel_name: String,
    /// Since the network came up.
    pub uptime: Duration,
    /// `MPPE128 stateless`, or empty.
    pub encoding: String,
    /// Effective MTU in bytes.
    pub mtu: u16,
    /// Our MRU in bytes.
    pub mru: u16,
    /// Our address inside the tunnel.
    pub local_address: Ipv4Addr,
    /// The server's address inside the tunnel.
    pub remote_address: Ipv4Addr,
    /// The link-local addresses of both, if IPv6 is carried.
    pub ipv6: Option<(Ipv6Addr, Ipv6Addr)>,
    /// The way to the server.
    pub uplink: Uplink,
    /// What the tunnel adds to a packet, in bytes.
    pub overhead: u16,
    /// What it moved.
    pub counters: SessionCounters,
}

/// The datapath process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatapathState {
    /// The interfaces that GRE goes through.
    pub uplinks: Vec<Uplink>,
    /// Each worker.
    pub workers: Vec<WorkerTotals>,
    /// The XDP program's counters.
    pub xdp: Vec<(String, u64)>,
}

/// One RADIUS server, and what came of the requests to it since it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RadiusState {
    /// The item of `/radius`.
    pub id: Id,
    /// It answers, as far as is known.
    pub is_alive: bool,
    /// Requests that wait for an answer.
    pub pending: u64,
    /// Requests, each counted once however often it was sent.
    pub requests: u64,
    /// Access-Accepts and Accounting-Responses.
    pub accepts: u64,
    /// Access-Rejects.
    pub rejects: u64,
    /// Requests that were sent again.
    pub resends: u64,
    /// Requests that nothing came of.
    pub timeouts: u64,
    /// Answers that were no good: most often those of a server with another secret.
    pub bad_replies: u64,
    /// How long the last answer took.
    pub last_request_rtt: Option<Duration>,
}

/// What came to `/radius incoming` (RFC 5176), and what was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RadiusIncomingState {
    /// Requests that were good, whatever was answered.
    pub requests: u64,
    /// Those that were not, and got no answer.
    pub bad_requests: u64,
    /// Answers that what was asked for is done.
    pub acks: u64,
    /// Answers that it is not.
    pub naks: u64,
}

//! The running state, as the console shows it.

use std::time::{Duration, Instant};

use super::{Client, Datapath, Entry, Server};
use crate::accounting::Authentic;
use crate::console::snapshot::{
    ClientConnected, ClientState, DatapathState, LastEnd, RadiusIncomingState, RadiusState,
    ServerSession, Snapshot,
};
use crate::dialer;
use crate::model::Id;
use crate::session::Stage;

/// Copies the running state.
pub(super) fn take<E>(server: &Server<E>, now: Instant) -> Snapshot {
    let mut entries: Vec<_> = server
        .sessions
        .values()
        .filter(|entry| entry.client.is_none())
        .collect();
    entries.sort_by_key(|entry| entry.arrival);
    Snapshot {
        server_sessions: entries
            .into_iter()
            .filter_map(|entry| server_session(server, entry, now))
            .collect(),
        clients: server
            .clients
            .values()
            .filter(|client| !client.is_retired)
            .map(|client| ClientState {
                name: client.config.name.clone(),
                status: status(server, client),
                last_end: client.last_end,
                redials_in: redials_in(client, now),
                connected: connected(server, client, now),
                is_stale: is_stale(server, client),
            })
            .collect(),
        last_ends: server
            .last_ends
            .iter()
            .map(|(user, end)| LastEnd {
                user: user.clone(),
                ago: now.saturating_duration_since(end.at),
                caller: end.caller,
                cause: end.cause,
            })
            .collect(),
        used: server.pools.used().cloned().collect(),
        pools: server.pools.occupancy().collect(),
        datapath: datapath(server),
        radius: radius(server),
        radius_incoming: radius_incoming(server),
    }
}

fn server_session<E>(server: &Server<E>, entry: &Entry, now: Instant) -> Option<ServerSession> {
    let session = &entry.session;
    let up = session.up()?;
    (session.stage() == Stage::Connected).then(|| ServerSession {
        name: session.name().to_owned(),
        kernel_name: session.kernel_name().to_owned(),
        user: session.user().to_owned(),
        local_address: up.network.ours,
        is_stale: entry.is_stale,
        profile: entry.profile(&server.config),
        limit_bytes: entry.limit_bytes(),
        mtu: up.mtu,
        mru: up.mru,
        path_mtu: up.path_mtu,
        overhead: up.overhead,
        client_address: session.tunnel().peer,
        address: up.network.peer,
        uptime: session.uptime(now),
        encoding: session.encoding().to_owned(),
        session_id: entry.number,
        is_radius: entry
            .granted
            .as_ref()
            .is_some_and(|granted| granted.authentic == Authentic::Radius),
        counters: *session.counters(),
    })
}

/// Whether the client's profile gives something else by now.
fn is_stale<E>(server: &Server<E>, client: &Client) -> bool {
    let now = server.config.resolve_client(&client.config);
    let then = client.granted.as_ref();
    client.session.is_some() && then.is_some_and(|then| *then != now)
}

fn status<E>(server: &Server<E>, client: &Client) -> &'static str {
    let session = client.session.and_then(|id| server.sessions.get(&id));
    match (
        client.dialer.stage(),
        session.map(|one| one.session.stage()),
    ) {
        (_, Some(Stage::Authenticated)) => "authenticated",
        (_, Some(Stage::Connected)) => "connected",
        (_, Some(Stage::Removing | Stage::Gone)) => "terminating",
        (dialer::Stage::Off, None) => "disabled",
        (dialer::Stage::Idle, None) => "waiting for packets...",
        (dialer::Stage::Resting(_) | dialer::Stage::Waiting(_), None) => "initializing",
        (dialer::Stage::Connecting(_), None) if !client.is_connecting() => "initializing",
        (dialer::Stage::Connecting(_) | dialer::Stage::Calling, None)
        | (_, Some(Stage::Establishing)) => "connecting",
    }
}

/// How long a client waits before it dials again, if it does.
fn redials_in(client: &Client, now: Instant) -> Option<Duration> {
    match client.dialer.stage() {
        dialer::Stage::Waiting(until) => Some(until.saturating_duration_since(now)),
        dialer::Stage::Resting(_)
        | dialer::Stage::Idle
        | dialer::Stage::Connecting(_)
        | dialer::Stage::Calling
        | dialer::Stage::Off => None,
    }
}

fn connected<E>(server: &Server<E>, client: &Client, now: Instant) -> Option<ClientConnected> {
    let session = &server.sessions.get(&client.session?)?.session;
    let up = session.up()?;
    (session.stage() == Stage::Connected).then(|| ClientConnected {
        kernel_name: session.kernel_name().to_owned(),
        uptime: session.uptime(now),
        encoding: session.encoding().to_owned(),
        mtu: up.mtu,
        mru: up.mru,
        local_address: up.network.ours,
        remote_address: up.network.peer,
        ipv6: up.ipv6.map(|ipv6| (ipv6.ours, ipv6.peer)),
        uplink: session.uplink().clone(),
        overhead: up.overhead,
        counters: *session.counters(),
    })
}

fn radius<E>(server: &Server<E>) -> Vec<RadiusState> {
    let servers = server.radius.client.counters();
    servers
        .map(|(key, is_alive, counters)| RadiusState {
            id: Id(key),
            is_alive,
            pending: counters.pending,
            requests: counters.requests,
            accepts: counters.accepts,
            rejects: counters.rejects,
            resends: counters.resends,
            timeouts: counters.timeouts,
            bad_replies: counters.bad_replies,
            last_request_rtt: counters.last_request_rtt,
        })
        .collect()
}

fn radius_incoming<E>(server: &Server<E>) -> RadiusIncomingState {
    let counters = server.incoming.counters();
    RadiusIncomingState {
        requests: counters.requests,
        bad_requests: counters.bad_requests,
        acks: counters.acks,
        naks: counters.naks,
    }
}

fn datapath<E>(server: &Server<E>) -> Option<DatapathState> {
    let Datapath::Ready(hello) = &server.datapath else {
        return None;
    };
    let (workers, xdp) = server.refresh.totals();
    Some(DatapathState {
        uplinks: hello.uplinks.clone(),
        workers: workers.to_vec(),
        xdp: xdp.to_vec(),
    })
}

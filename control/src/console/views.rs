//! What each menu shows of the running state: the properties of its rows, its flags and columns.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use greyhound_datapath::ipc::{IoMode, WorkerTotals};
use greyhound_datapath::stats::SessionCounters;
use serde_json::{Map, Value as Json, json};

use super::accounts::{self, Found};
use super::print::{Flag, Record, Value, View};
use super::show;
use super::snapshot::{ClientState, DatapathState, RadiusIncomingState, ServerSession, Snapshot};
use crate::aaa::pool::Used;
use crate::language::path::Path;
use crate::log::Recent;
use crate::model::table::{self, Table};
use crate::model::value::Style;
use crate::model::{Config, Id, PptpClient, time};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) config: &'a Config,
    pub(super) snapshot: &'a Snapshot,
    pub(super) log: &'a Recent,
    pub(super) accounting: Found<'a>,
    pub(super) date: SystemTime,
    /// Passwords are shown.
    pub(super) show_sensitive: bool,
    /// Nothing but the columns of a table will be looked at.
    pub(super) only_columns: bool,
}

/// The properties that rows have while something runs, by menu, with what they mean: read, never set.
pub const LIVE: &[(&Path, &[(&str, &str)])] = &[
    (
        &["interface", "pptp-server"],
        &[
            (
                "mtu",
                "the largest packet that goes to the client, in bytes",
            ),
            (
                "mru",
                "the largest packet that the client agreed to send, in bytes",
            ),
            (
                "path-mtu",
                "what the way to the client carries, outer headers included, in bytes",
            ),
            ("overhead", "what the tunnel adds to a packet, in bytes"),
            ("client-address", "where the client connects from"),
            ("uptime", "since when packets flow"),
            (
                "encoding",
                "how packets are encrypted; empty if they are not",
            ),
            ("kernel-name", "what the kernel calls the interface"),
            (
                STALE,
                "yes if the configuration gives something else by now",
            ),
        ],
    ),
    (
        &["interface", "pptp-client"],
        &[(STALE, "yes if the profile says something else by now")],
    ),
    (
        &["ppp", "secret"],
        &[
            (
                "last-logged-out",
                "when the user's last session ended, since the program started",
            ),
            ("last-caller-id", "where the user had called from"),
            (
                "last-disconnect-reason",
                "why it ended: the cause that RADIUS has for it",
            ),
        ],
    ),
    (
        &["ppp", "active"],
        &[
            ("name", "the user"),
            ("service", "pptp"),
            ("caller-id", "where the client connects from"),
            ("address", "the client's address in the tunnel"),
            ("uptime", "since when packets flow"),
            (
                "encoding",
                "how packets are encrypted; empty if they are not",
            ),
            ("session-id", "the number of the session, in hexadecimal"),
            (
                "limit-bytes-in",
                "bytes that the user may send; 0 is no limit",
            ),
            (
                "limit-bytes-out",
                "bytes that the user may get; 0 is no limit",
            ),
            (
                STALE,
                "yes if the configuration gives something else by now",
            ),
            ("bytes", "to and from the client (print stats)"),
            ("packets", "to and from the client (print stats)"),
            (
                "late",
                "packets that came after later ones and were dropped (print stats)",
            ),
            ("lost", "packets that never came (print stats)"),
            (
                "dropped",
                "packets that were dropped, for whatever reason (print stats)",
            ),
        ],
    ),
    (
        &["ip", "pool"],
        &[
            ("total", "addresses in it"),
            ("used", "those that somebody has"),
            ("available", "those that nobody has"),
        ],
    ),
    (
        &["ip", "pool", "used"],
        &[
            (
                "pool",
                "where it was taken from; empty if it was configured",
            ),
            ("address", "the address"),
            ("owner", "the service that gave it out"),
            ("info", "the user who has it"),
        ],
    ),
    (accounts::PATH, accounts::NAMES),
    (
        &["log"],
        &[
            ("time", "when, in UTC"),
            ("topics", "what it is about"),
            ("message", "what happened"),
        ],
    ),
];

/// That the configuration gives something else by now.
const STALE: &str = "stale-profile";

fn live_names(path: &Path) -> impl Iterator<Item = &'static str> + use<> {
    let menu = LIVE.iter().find(|(menu, _)| *menu == path);
    let properties = menu.map_or(&[][..], |(_, properties)| properties);
    properties.iter().map(|&(name, _)| name)
}

/// What a menu has to show.
pub(super) enum Content {
    /// Any number of rows.
    Rows(View),
    /// One, which is always there.
    Single(View),
    /// A page of its own.
    Page { text: String, json: Json },
}

/// What the menu at `path` has to show.
///
/// # Errors
/// It has nothing to show, or not now.
pub(super) fn content(path: &Path, facts: &Facts<'_>) -> Result<Content, String> {
    Ok(Content::Rows(match path {
        ["interface", "pptp-server"] => pptp_server(facts),
        ["interface", "pptp-client"] => pptp_client(facts),
        ["ppp", "active"] => ppp_active(facts.snapshot),
        ["ppp", "secret"] => ppp_secret(facts),
        ["ip", "pool"] => ip_pool(facts),
        ["ip", "pool", "used"] => ip_pool_used(facts.snapshot),
        ["log"] => log(facts.log),
        accounts::PATH => accounts::view(facts.accounting.rows, facts.accounting.date),
        ["datapath"] => {
            let state = facts.snapshot.datapath.as_ref();
            let state = state.ok_or("failure: the datapath is not connected")?;
            return Ok(Content::Page {
                text: datapath(state),
                json: datapath_json(state),
            });
        }
        _ => {
            let table = table::at(path).ok_or("expected command name")?;
            let view = configured(table, facts);
            return Ok(if table.is_single() {
                Content::Single(view)
            } else {
                Content::Rows(view)
            });
        }
    }))
}

/// A menu of the configuration, as the schema has it. Flags and the comment are shown in places of
/// their own.
fn configured(table: &'static dyn Table, facts: &Facts<'_>) -> View {
    let properties = table.properties();
    let has = |name| table.exactly(name);
    let (disabled, comment) = (has("disabled"), has("comment"));
    let record = |row| {
        let show = |property| table.show(facts.config, row, property);
        let is_set = |property: Option<usize>| property.is_some_and(|one| show(one) == "yes");
        let mut flags = String::new();
        if is_set(disabled) {
            flags.push('X');
        }
        if table.is_built_in(facts.config, row) {
            flags.push('*');
        }
        let is_wanted = |name| !facts.only_columns || table.columns().contains(name);
        let shown = properties.iter().enumerate();
        let shown = shown.filter(|(_, property)| is_wanted(&property.name));
        let shown =
            shown.filter(|&(number, _)| Some(number) != disabled && Some(number) != comment);
        let fields = shown.map(|(number, property)| {
            let value = match property.style {
                Style::Quoted => Value::Quoted(show(number)),
                Style::Sensitive if facts.show_sensitive => Value::Quoted(show(number)),
                Style::Sensitive => Value::Quoted(HIDDEN.to_owned()),
                Style::Plain => Value::Word(show(number)),
            };
            (property.name, value)
        });
        Record {
            id: table.id(facts.config, row),
            flags,
            comment: comment.map_or_else(String::new, show),
            fields: fields.collect(),
            stats: Vec::new(),
        }
    };
    let flags: &'static [Flag] = match table.path() {
        ["ppp", "profile"] => &[DEFAULT],
        ["interface", "pptp-client"] => &[DISABLED, RUNNING],
        ["interface", "pptp-server"] => &[DISABLED, DYNAMIC, RUNNING],
        _ if disabled.is_some() => &[DISABLED],
        _ => &[],
    };
    View {
        flags,
        columns: table.columns(),
        names: table.names(),
        records: (0..table.len(facts.config)).map(record).collect(),
        blocks: table.blocks(),
        ..View::default()
    }
}

/// `/interface pptp-server`: those reserved for users, then those of the other sessions.
fn pptp_server(facts: &Facts<'_>) -> View {
    let table = table::at(&["interface", "pptp-server"]);
    let mut view = table.map_or_else(View::default, |table| configured(table, facts));
    let sessions = &facts.snapshot.server_sessions;
    let mut by_name: BTreeMap<&str, &ServerSession> = BTreeMap::new();
    for session in sessions {
        by_name.insert(&session.name, session);
    }
    for (record, binding) in view.records.iter_mut().zip(&facts.config.bindings) {
        if let Some(session) = by_name.remove(binding.name.as_str()) {
            record.flags.push('R');
            let live = live(session);
            record
                .fields
                .retain(|(name, _)| live.iter().all(|(other, _)| other != name));
            record.fields.splice(0..0, live);
        }
    }
    let dynamic = sessions
        .iter()
        .filter(|one| by_name.contains_key(one.name.as_str()));
    view.records.extend(dynamic.map(|session| Record {
        id: Id(session.session_id),
        flags: "DR".to_owned(),
        fields: live(session),
        ..Record::default()
    }));
    view.columns = &[
        "name",
        "user",
        "mtu",
        "client-address",
        "uptime",
        "encoding",
        "stale-profile",
    ];
    view.names.extend(live_names(&["interface", "pptp-server"]));
    view
}

fn live(session: &ServerSession) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("name", quoted(&session.name)),
        ("user", quoted(&session.user)),
        ("mtu", Value::Number(session.mtu.into())),
        ("mru", Value::Number(session.mru.into())),
        ("path-mtu", Value::Number(session.path_mtu.into())),
        ("overhead", Value::Number(session.overhead.into())),
        ("client-address", address(session.client_address)),
        ("uptime", Value::Uptime(session.uptime)),
        ("encoding", quoted(&session.encoding)),
        ("kernel-name", quoted(&session.kernel_name)),
    ];
    fields.extend(stale(session.is_stale));
    fields
}

/// That the configuration gives something else by now.
fn stale(is_stale: bool) -> Option<(&'static str, Value)> {
    is_stale.then(|| (STALE, Value::Word("yes".to_owned())))
}

/// `/ppp secret`, and how each user's last session ended.
fn ppp_secret(facts: &Facts<'_>) -> View {
    let table = table::at(&["ppp", "secret"]);
    let mut view = table.map_or_else(View::default, |table| configured(table, facts));
    let ends = facts.snapshot.last_ends.iter();
    let ends: BTreeMap<_, _> = ends.map(|end| (end.user.as_str(), end)).collect();
    for (record, secret) in view.records.iter_mut().zip(&facts.config.secrets) {
        if let Some(end) = ends
            .get(secret.name.as_str())
            .filter(|_| !facts.only_columns)
        {
            let at = facts.date.checked_sub(end.ago).unwrap_or(facts.date);
            record.fields.extend([
                ("last-logged-out", Value::Word(show::date(at))),
                ("last-caller-id", quoted(&end.caller.to_string())),
                ("last-disconnect-reason", quoted(end.cause.reason())),
            ]);
        }
    }
    view.names.extend(live_names(&["ppp", "secret"]));
    view
}

/// `/ppp active`.
fn ppp_active(snapshot: &Snapshot) -> View {
    let record = |session: &ServerSession| {
        let (limit_in, limit_out) = session.limit_bytes;
        let mut fields = vec![
            ("name", quoted(&session.user)),
            ("service", Value::Word("pptp".to_owned())),
            ("caller-id", quoted(&session.client_address.to_string())),
            ("address", address(session.address)),
            ("uptime", Value::Uptime(session.uptime)),
            ("encoding", quoted(&session.encoding)),
            ("session-id", Value::Hexadecimal(session.session_id)),
            ("limit-bytes-in", Value::Number(limit_in)),
            ("limit-bytes-out", Value::Number(limit_out)),
        ];
        fields.extend(stale(session.is_stale));
        let stats = traffic(&session.counters);
        Record {
            id: Id(session.session_id),
            flags: if session.is_radius { "R" } else { "" }.to_owned(),
            fields,
            stats: stats.into(),
            ..Record::default()
        }
    };
    View {
        flags: &[RADIUS],
        columns: &[
            "name",
            "service",
            "caller-id",
            "address",
            "uptime",
            "encoding",
            "stale-profile",
        ],
        stats: &["name", "bytes", "packets", "late", "lost", "dropped"],
        names: live_names(&["ppp", "active"]).collect(),
        records: snapshot.server_sessions.iter().map(record).collect(),
        ..View::default()
    }
}

/// `/interface pptp-client`: the configuration, and whether it runs.
fn pptp_client(facts: &Facts<'_>) -> View {
    let table = table::at(&["interface", "pptp-client"]);
    let mut view = table.map_or_else(View::default, |table| configured(table, facts));
    let states = facts.snapshot.clients.iter();
    let states: BTreeMap<_, _> = states.map(|state| (state.name.as_str(), state)).collect();
    for (record, client) in view.records.iter_mut().zip(&facts.config.clients) {
        if !client.add_default_route {
            // Of no route, as the product has it.
            record
                .fields
                .retain(|(name, _)| *name != "default-route-distance");
        }
        if let Some(state) = states.get(client.name.as_str()) {
            if state.connected.is_some() {
                record.flags.push('R');
            }
            record.fields.extend(stale(state.is_stale));
        }
    }
    view.names.extend(live_names(&["interface", "pptp-client"]));
    view
}

/// `/ip pool`, and how full each is.
fn ip_pool(facts: &Facts<'_>) -> View {
    let table = table::at(&["ip", "pool"]);
    let mut view = table.map_or_else(View::default, |table| configured(table, facts));
    let pools = facts.snapshot.pools.iter();
    let pools: BTreeMap<_, _> = pools.map(|pool| (pool.pool.as_str(), pool)).collect();
    for (record, pool) in view.records.iter_mut().zip(&facts.config.pools) {
        if let Some(state) = pools.get(pool.name.as_str()) {
            record.fields.extend([
                ("total", Value::Number(state.total)),
                ("used", Value::Number(state.total - state.free)),
                ("available", Value::Number(state.free)),
            ]);
        }
    }
    view.names.extend(live_names(&["ip", "pool"]));
    view
}

/// `/ip pool used`.
fn ip_pool_used(snapshot: &Snapshot) -> View {
    let record = |used: &Used| Record {
        id: Id(used.address.to_bits()),
        fields: vec![
            ("pool", Value::Word(used.pool.clone().unwrap_or_default())),
            ("address", address(used.address)),
            ("owner", quoted(&used.owner.service)),
            ("info", quoted(&used.owner.info)),
        ],
        ..Record::default()
    };
    View {
        columns: &["pool", "address", "owner", "info"],
        names: live_names(&["ip", "pool", "used"]).collect(),
        records: snapshot.used.iter().map(record).collect(),
        ..View::default()
    }
}

/// `/log`.
fn log(log: &Recent) -> View {
    let records = (1..).zip(log.iter()).map(|(number, entry)| Record {
        id: Id(number),
        fields: vec![
            ("time", Value::Word(show::date(entry.time))),
            ("topics", Value::Word(entry.line.topics.to_owned())),
            ("message", quoted(&entry.line.text)),
        ],
        ..Record::default()
    });
    View {
        columns: &["time", "topics", "message"],
        names: live_names(&["log"]).collect(),
        records: records.collect(),
        is_log: true,
        ..View::default()
    }
}

/// `monitor` of a row of the menu at `path`; `None` if it has gone.
pub(super) fn monitor(path: &Path, id: Id, facts: &Facts<'_>) -> Option<Record> {
    if path == ["radius"] {
        return monitor_radius(id, facts);
    }
    if path == ["radius", "incoming"] {
        return Some(monitor_incoming(facts.snapshot.radius_incoming));
    }
    if path == ["interface", "pptp-client"] {
        let client = facts
            .config
            .clients
            .iter()
            .find(|client| client.meta.id == id)?;
        return Some(monitor_client(client, facts.snapshot));
    }
    let binding = facts
        .config
        .bindings
        .iter()
        .find(|binding| binding.meta.id == id);
    let mut sessions = facts.snapshot.server_sessions.iter();
    let session = sessions.find(|session| match binding {
        Some(binding) => session.name == binding.name,
        None => session.session_id == id.0,
    });
    let Some(session) = session else {
        let status = if binding?.disabled {
            "disabled"
        } else {
            "waiting for call..."
        };
        return Some(Record {
            fields: vec![("status", Value::Word(status.to_owned()))],
            ..Record::default()
        });
    };
    Some(Record {
        fields: vec![
            ("status", Value::Word("connected".to_owned())),
            ("uptime", Value::Uptime(session.uptime)),
            ("user", Value::Word(session.user.clone())),
            ("caller-id", address(session.client_address)),
            ("encoding", Value::Word(session.encoding.clone())),
            ("mtu", Value::Number(session.mtu.into())),
            ("mru", Value::Number(session.mru.into())),
            ("local-address", address(session.local_address)),
            ("remote-address", address(session.address)),
        ],
        ..Record::default()
    })
}

/// `/interface pptp-client monitor`.
fn monitor_client(client: &PptpClient, snapshot: &Snapshot) -> Record {
    let state = state_of(client, snapshot);
    let idle = if client.disabled {
        "disabled"
    } else {
        "initializing"
    };
    let status = state.map_or(idle, |state| state.status);
    let mut fields = vec![("status", Value::Word(status.to_owned()))];
    if let Some(connected) = state.and_then(|state| state.connected.as_ref()) {
        fields.extend([
            ("uptime", Value::Uptime(connected.uptime)),
            ("encoding", Value::Word(connected.encoding.clone())),
            ("mtu", Value::Number(connected.mtu.into())),
            ("mru", Value::Number(connected.mru.into())),
            ("local-address", address(connected.local_address)),
            ("remote-address", address(connected.remote_address)),
        ]);
        if let Some((ours, peer)) = connected.ipv6 {
            fields.extend([
                ("local-ipv6-address", Value::Word(ours.to_string())),
                ("remote-ipv6-address", Value::Word(peer.to_string())),
            ]);
        }
        let uplink = &connected.uplink;
        fields.extend([
            ("path-mtu", Value::Number(uplink.mtu.into())),
            ("overhead", Value::Number(connected.overhead.into())),
            ("uplink", Value::Word(uplink.name.clone())),
            ("io", Value::Word(uplink.io.to_string())),
        ]);
    } else {
        if let Some(wait) = state.and_then(|state| state.redials_in) {
            fields.push(("redials-in", Value::Uptime(wait)));
        }
        if let Some(cause) = state.and_then(|state| state.last_end) {
            fields.push(("last-disconnect-reason", Value::Word(cause.to_string())));
        }
    }
    Record {
        fields,
        ..Record::default()
    }
}

/// `/radius monitor`.
fn monitor_radius(id: Id, facts: &Facts<'_>) -> Option<Record> {
    let mut servers = facts.config.radius.iter();
    let server = servers.find(|server| server.meta.id == id)?;
    let mut states = facts.snapshot.radius.iter();
    let state = states.find(|state| state.id == id);
    let status = match state {
        Some(state) if state.is_alive => "answering",
        Some(_) => "not answering",
        None if server.disabled => "disabled",
        None => "not asked",
    };
    let mut fields = vec![("status", Value::Word(status.to_owned()))];
    if let Some(state) = state {
        let counts = [
            ("pending", state.pending),
            ("requests", state.requests),
            ("accepts", state.accepts),
            ("rejects", state.rejects),
            ("resends", state.resends),
            ("timeouts", state.timeouts),
            ("bad-replies", state.bad_replies),
        ];
        fields.extend(counts.map(|(name, count)| (name, Value::Number(count))));
        fields.extend(state.last_request_rtt.map(|rtt| {
            // Less than can be written is not nothing.
            let rtt = rtt.max(Duration::from_millis(1));
            ("last-request-rtt", Value::Word(time::text(rtt)))
        }));
    }
    Some(Record {
        fields,
        ..Record::default()
    })
}

/// `/radius incoming monitor`.
fn monitor_incoming(state: RadiusIncomingState) -> Record {
    let counts = [
        ("requests", state.requests),
        ("bad-requests", state.bad_requests),
        ("acks", state.acks),
        ("naks", state.naks),
    ];
    Record {
        fields: counts
            .map(|(name, count)| (name, Value::Number(count)))
            .to_vec(),
        ..Record::default()
    }
}

/// `/datapath print`: how the frames move, each worker, what was dropped, the XDP program.
fn datapath(state: &DatapathState) -> String {
    let sessions: u64 = state
        .workers
        .iter()
        .map(|worker| u64::from(worker.sessions))
        .sum();
    let summary = Record {
        fields: vec![
            ("io", Value::Word(ways(state))),
            ("uplink", Value::Word(uplinks(state))),
            ("workers", Value::Number(state.workers.len() as u64)),
            ("sessions", Value::Number(sessions)),
        ],
        ..Record::default()
    };
    let workers = View {
        columns: &[
            "core",
            "sessions",
            "rx-xsk",
            "rx-raw",
            "rx-handoff",
            "tx-xsk",
            "tx-raw",
            "lone-acks",
            "tun-read",
            "tun-written",
            "dropped",
        ],
        records: state.workers.iter().map(worker).collect(),
        ..View::default()
    };
    let drops = View {
        columns: &["worker", "dropped", "count"],
        records: state.workers.iter().flat_map(drops).collect(),
        ..View::default()
    };
    let xdp = View {
        columns: &["xdp", "count"],
        records: state.xdp.iter().map(xdp).collect(),
        ..View::default()
    };
    let parts = [summary.lines(), workers.table(), drops.table(), xdp.table()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// The interfaces that GRE goes through.
fn uplinks(state: &DatapathState) -> String {
    let names = state.uplinks.iter().map(|uplink| uplink.name.as_str());
    names.collect::<Vec<_>>().join(",")
}

/// How frames move at each of them; all of them where none was chosen.
fn ways(state: &DatapathState) -> String {
    if state.uplinks.is_empty() {
        return IoMode::Raw.to_string();
    }
    let ways = state.uplinks.iter().map(|uplink| uplink.io.to_string());
    ways.collect::<Vec<_>>().join(",")
}

/// The same for programs.
fn datapath_json(state: &DatapathState) -> Json {
    let counts = |counts: &[(String, u64)]| -> Map<String, Json> {
        counts
            .iter()
            .map(|(name, count)| (name.clone(), json!(count)))
            .collect()
    };
    let workers: Vec<_> = state
        .workers
        .iter()
        .map(|totals| {
            let mut row = worker(totals).json(&[]);
            row["worker"] = json!(totals.worker.0);
            row["drops"] = Json::Object(counts(&totals.drops));
            row
        })
        .collect();
    json!({
        "io": ways(state),
        "uplink": uplinks(state),
        "workers": workers,
        "xdp": counts(&state.xdp),
    })
}

const DISABLED: Flag = Flag {
    letter: 'X',
    word: "disabled",
};
const DYNAMIC: Flag = Flag {
    letter: 'D',
    word: "dynamic",
};
const DEFAULT: Flag = Flag {
    letter: '*',
    word: "default",
};
const RADIUS: Flag = Flag {
    letter: 'R',
    word: "radius",
};
const RUNNING: Flag = Flag {
    letter: 'R',
    word: "running",
};

fn state_of<'a>(client: &PptpClient, snapshot: &'a Snapshot) -> Option<&'a ClientState> {
    let states = &mut snapshot.clients.iter();
    states.find(|state| state.name == client.name)
}

/// Stands for a value that is not to be seen.
const HIDDEN: &str = "*****";

fn traffic(counters: &SessionCounters) -> [(&'static str, Value); 5] {
    let pair = |tx, rx| Value::Traffic { tx, rx };
    [
        ("bytes", pair(counters.tx_bytes, counters.rx_bytes)),
        ("packets", pair(counters.tx_packets, counters.rx_packets)),
        ("late", Value::Count(counters.rx_late)),
        ("lost", Value::Count(counters.rx_lost)),
        ("dropped", Value::Count(counters.dropped)),
    ]
}

fn worker(totals: &WorkerTotals) -> Record {
    let counters = &totals.counters;
    let dropped = totals.drops.iter().map(|(_, count)| count).sum();
    let counts = [
        ("core", totals.core.into()),
        ("sessions", totals.sessions.into()),
        ("rx-xsk", counters.rx_xsk),
        ("rx-raw", counters.rx_raw),
        ("rx-handoff", counters.rx_handoff),
        ("tx-xsk", counters.tx_xsk),
        ("tx-raw", counters.tx_raw),
        ("lone-acks", counters.lone_acks),
        ("tun-read", counters.tun_read),
        ("tun-written", counters.tun_written),
        ("dropped", dropped),
    ];
    Record {
        fields: counts
            .map(|(name, count)| (name, Value::Count(count)))
            .to_vec(),
        ..Record::default()
    }
}

fn drops(totals: &WorkerTotals) -> impl Iterator<Item = Record> {
    let worker = u64::from(totals.worker.0);
    totals.drops.iter().map(move |(reason, count)| Record {
        fields: vec![
            ("worker", Value::Number(worker)),
            ("dropped", Value::Word(reason.clone())),
            ("count", Value::Count(*count)),
        ],
        ..Record::default()
    })
}

fn xdp((name, count): &(String, u64)) -> Record {
    Record {
        fields: vec![
            ("xdp", Value::Word(name.clone())),
            ("count", Value::Count(*count)),
        ],
        ..Record::default()
    }
}

fn quoted(text: &str) -> Value {
    Value::Quoted(text.to_owned())
}

fn address(address: Ipv4Addr) -> Value {
    Value::Word(address.to_string())
}

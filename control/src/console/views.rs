//! What each menu shows of the running state: the properties of its rows, its flags and columns.

use std::net::Ipv4Addr;

use greyhound_datapath::ipc::WorkerTotals;
use greyhound_datapath::stats::SessionCounters;
use serde_json::{Map, Value as Json, json};

use super::print::{Flag, Record, Value, View};
use super::snapshot::{ClientState, DatapathState, ServerSession, Snapshot};
use crate::model::schema::{Effect, Item, Property};
use crate::model::value::Style;
use crate::model::{Config, PptpClient};

/// `/interface pptp-server print`.
pub(super) fn pptp_server(snapshot: &Snapshot) -> View {
    let record = |session: &ServerSession| Record {
        flags: "DR",
        fields: vec![
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
        ],
        ..Record::default()
    };
    View {
        flags: &[DISABLED, DYNAMIC, RUNNING],
        columns: &[
            "name",
            "user",
            "mtu",
            "client-address",
            "uptime",
            "encoding",
        ],
        records: snapshot.server_sessions.iter().map(record).collect(),
    }
}

/// `/ppp active print`; with what each session moved for `stats`.
pub(super) fn ppp_active(snapshot: &Snapshot, with_traffic: bool) -> View {
    let record = |session: &ServerSession| {
        let mut record = Record {
            fields: vec![
                ("name", quoted(&session.user)),
                ("service", Value::Word("pptp".to_owned())),
                ("caller-id", quoted(&session.client_address.to_string())),
                ("address", address(session.address)),
                ("uptime", Value::Uptime(session.uptime)),
                ("encoding", quoted(&session.encoding)),
                ("session-id", Value::Hexadecimal(session.session_id)),
                ("limit-bytes-in", Value::Number(0)),
                ("limit-bytes-out", Value::Number(0)),
            ],
            ..Record::default()
        };
        if with_traffic {
            record.fields.extend(traffic(&session.counters));
        }
        record
    };
    View {
        flags: &[Flag {
            letter: 'R',
            word: "radius",
        }],
        columns: if with_traffic {
            &["name", "bytes", "packets", "late", "lost", "dropped"]
        } else {
            &[
                "name",
                "service",
                "caller-id",
                "address",
                "uptime",
                "encoding",
            ]
        },
        records: snapshot.server_sessions.iter().map(record).collect(),
    }
}

/// `/interface pptp-client print`: the configuration, and whether it runs.
pub(super) fn pptp_client(config: &Config, snapshot: &Snapshot, show_sensitive: bool) -> View {
    let record = |client: &PptpClient| {
        let is_running = state_of(client, snapshot).is_some_and(|state| state.connected.is_some());
        Record {
            flags: match (client.disabled, is_running) {
                (true, true) => "XR",
                (true, false) => "X",
                (false, true) => "R",
                (false, false) => "",
            },
            comment: client.comment.clone(),
            fields: properties(client, show_sensitive),
        }
    };
    View {
        flags: &[DISABLED, RUNNING],
        columns: &["name", "connect-to", "user", "profile"],
        records: config.clients.iter().map(record).collect(),
    }
}

/// `/interface pptp-client monitor`.
pub(super) fn monitor(client: &PptpClient, snapshot: &Snapshot) -> Record {
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
    } else if let Some(cause) = state.and_then(|state| state.last_end) {
        fields.push(("last-disconnect-reason", Value::Word(cause.to_string())));
    }
    Record {
        fields,
        ..Record::default()
    }
}

/// `/datapath print`: how the frames move, each worker, what was dropped, the XDP program.
pub(super) fn datapath(state: &DatapathState) -> String {
    let sessions: u64 = state
        .workers
        .iter()
        .map(|worker| u64::from(worker.sessions))
        .sum();
    let summary = Record {
        fields: vec![
            ("io", Value::Word(state.io.to_string())),
            ("uplink", Value::Word(state.uplink.clone())),
            ("workers", Value::Number(state.workers.len() as u64)),
            ("sessions", Value::Number(sessions)),
        ],
        ..Record::default()
    };
    let workers = View {
        flags: &[],
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
    };
    let drops = View {
        flags: &[],
        columns: &["worker", "dropped", "count"],
        records: state.workers.iter().flat_map(drops).collect(),
    };
    let xdp = View {
        flags: &[],
        columns: &["xdp", "count"],
        records: state.xdp.iter().map(xdp).collect(),
    };
    let parts = [summary.lines(), workers.table(), drops.table(), xdp.table()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// The same for programs.
pub(super) fn datapath_json(state: &DatapathState) -> Json {
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
        "io": state.io.to_string(),
        "uplink": state.uplink,
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
const RUNNING: Flag = Flag {
    letter: 'R',
    word: "running",
};

fn state_of<'a>(client: &PptpClient, snapshot: &'a Snapshot) -> Option<&'a ClientState> {
    let states = &mut snapshot.clients.iter();
    states.find(|state| state.name == client.name)
}

/// The properties of a configured item, as the schema has them. Flags and the comment are shown
/// in places of their own.
fn properties<T: Item>(item: &T, show_sensitive: bool) -> Vec<(&'static str, Value)> {
    let shown = |property: &&Property<T>| !matches!(property.name, "disabled" | "comment");
    let value = |property: &Property<T>| match property.effect {
        Effect::Kept { show, style, .. } => match style {
            Style::Quoted => Value::Quoted(show(item)),
            Style::Sensitive if show_sensitive => Value::Quoted(show(item)),
            Style::Sensitive => Value::Quoted(HIDDEN.to_owned()),
            Style::Plain => Value::Word(show(item)),
        },
        Effect::Inert { default, .. } => Value::Word(default.to_owned()),
    };
    let properties = T::MENU.properties.iter().filter(shown);
    properties
        .map(|property| (property.name, value(property)))
        .collect()
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

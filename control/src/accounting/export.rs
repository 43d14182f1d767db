//! All that is stored, for other programs: oldest first, row by row, however much it is.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::Authentic;
use super::reader::{Reader, Row};

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180: a line with the names, then one for each session.
    Csv,
    /// One array, an object for each session.
    Json,
}

/// Writes all sessions that are stored at `path`, those that are up included.
///
/// # Errors
/// The store cannot be read, or `out` not be written.
pub fn export(path: &Path, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    let reader = Reader::open(path)?;
    let mut written = Ok(());
    let mut count = 0_u64;
    if format == Format::Csv {
        let names = FIELDS.iter().map(|(name, _)| *name);
        write!(out, "{}\r\n", names.collect::<Vec<_>>().join(","))?;
    }
    reader.for_each(false, &mut |row| {
        written = match format {
            Format::Csv => csv(&row, out),
            Format::Json => object(&row, count == 0, out),
        };
        count += 1;
        if written.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    written?;
    if format == Format::Json {
        out.write_all(if count == 0 { b"[]\n" } else { b"\n]\n" })?;
    }
    out.flush()?;
    Ok(())
}

fn csv(row: &Row, out: &mut dyn Write) -> io::Result<()> {
    let values = FIELDS.iter().map(|(_, of)| match of(row) {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    });
    write!(out, "{}\r\n", values.collect::<Vec<_>>().join(","))
}

fn object(row: &Row, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
    let fields = FIELDS.iter();
    let object: Map<_, _> = fields
        .map(|(name, of)| ((*name).to_owned(), of(row)))
        .collect();
    let before = if is_first { "[\n" } else { ",\n" };
    write!(out, "{before}{}", Value::Object(object))
}

/// RFC 4180 §2: what has a comma, a quote or a line end stands in quotes.
fn quoted(text: String) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// What is written of a session: the properties of `/ppp accounting`, times as RFC 3339 has them,
/// `uptime` in seconds.
const FIELDS: &[(&str, fn(&Row) -> Value)] = &[
    ("session-id", |row| json!(row.session_id)),
    ("user", |row| json!(row.user)),
    ("caller-id", |row| json!(row.caller)),
    ("called-id", |row| json!(row.called)),
    ("address", |row| json!(row.address)),
    ("interface", |row| json!(row.interface)),
    ("radius", |row| json!(row.authentic == Authentic::Radius)),
    ("began", |row| time(Some(row.began))),
    ("ended", |row| time(row.ended)),
    ("uptime", |row| json!(row.numbers.duration.as_secs())),
    ("bytes-in", |row| json!(row.numbers.rx_bytes)),
    ("bytes-out", |row| json!(row.numbers.tx_bytes)),
    ("packets-in", |row| json!(row.numbers.rx_packets)),
    ("packets-out", |row| json!(row.numbers.tx_packets)),
    ("cause", |row| {
        json!(row.cause.map(|cause| cause.to_string()))
    }),
    ("reason", |row| json!(row.cause.map(|cause| cause.reason()))),
    ("pending", |row| json!(row.is_pending)),
];

fn time(time: Option<SystemTime>) -> Value {
    // What is before 1970 was the time of a clock that was never set.
    let time = time.map(|time| time.max(UNIX_EPOCH));
    json!(time.map(|time| humantime::format_rfc3339_seconds(time).to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    use greyhound_datapath::ids::SessionId;

    use super::super::store::Store;
    use super::super::{Change, Numbers, Opening};
    use super::*;
    use crate::cause::Cause;

    fn exported(name: &str, users: &[&str], format: Format) -> String {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("accounting.db");
        let (mut store, _) = Store::open(&path, UNIX_EPOCH).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
        let at = Instant::now();
        let began = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (number, user) in (1..).zip(users) {
            let opening = Opening {
                session_id: format!("session-{number}"),
                datapath: SessionId(number),
                identity: "nas".to_owned(),
                port: 1,
                user: (*user).to_owned(),
                caller: Ipv4Addr::new(192, 0, 2, 1),
                called: Ipv4Addr::new(192, 0, 2, 2),
                address: Ipv4Addr::new(10, 0, 0, 5),
                interface: format!("<pptp-{user}>"),
                authentic: Authentic::Radius,
                classes: Vec::new(),
                is_told: true,
                at,
            };
            let ended = Change::Ended {
                session_id: opening.session_id.clone(),
                at: Some(at),
                numbers: Some(Numbers {
                    duration: Duration::from_secs(60),
                    rx_bytes: 1 << 40,
                    tx_bytes: 2,
                    rx_packets: 3,
                    tx_packets: 4,
                }),
                cause: Cause::IdleTimeout,
            };
            let began = (began, Change::Began(Box::new(opening)));
            let later = began.0 + Duration::from_secs(60);
            store.apply(&[began]).unwrap();
            // The last one is still up.
            if usize::try_from(number).unwrap() < users.len() {
                store.apply(&[(later, ended)]).unwrap();
            }
        }
        drop(store);
        let mut out = Vec::new();
        export(&path, format, &mut out).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_a_line_for_each_session_and_quotes_where_they_are_needed() {
        let text = exported("csv", &["A, \"ann\"", "bob"], Format::Csv);
        assert_eq!(
            text,
            "session-id,user,caller-id,called-id,address,interface,radius,began,ended,uptime,\
             bytes-in,bytes-out,packets-in,packets-out,cause,reason,pending\r\n\
             session-1,\"A, \"\"ann\"\"\",192.0.2.1,192.0.2.2,10.0.0.5,\"<pptp-A, \"\"ann\"\">\",\
             true,2023-11-14T22:13:20Z,2023-11-14T22:14:20Z,60,1099511627776,2,3,4,idle timeout,\
             idle-timeout,true\r\n\
             session-2,bob,192.0.2.1,192.0.2.2,10.0.0.5,<pptp-bob>,true,2023-11-14T22:13:20Z,,0,\
             0,0,0,0,,,true\r\n"
        );
    }

    #[test]
    fn json_is_one_array() {
        let text = exported("json", &["ann", "bob"], Format::Json);
        let sessions: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions[0]["bytes-in"], json!(1_u64 << 40));
        assert_eq!(sessions[0]["reason"], "idle-timeout");
        assert_eq!(sessions[1]["ended"], Value::Null);
        assert_eq!(exported("none", &[], Format::Json), "[]\n");
    }
}

//! What the figures of a run have to be. Each target is a ratio of figures of the same run.

use serde::Serialize;
use serde_json::Value;

use crate::rows::{Row, text};

/// One line of the verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    bench: &'static str,
    target: String,
    required: String,
    measured: Option<f64>,
    met: &'static str,
}

#[derive(Clone, Copy)]
enum Required {
    AtLeast(f64),
    AtMost(f64),
}

/// Compares the rows of a run with what is required.
pub(crate) fn check(rows: &[Row]) -> Vec<Verdict> {
    use Required::{AtLeast, AtMost};
    let mut verdicts = Vec::new();
    let mut target = |name: String, required: Required, measured: Option<f64>| {
        verdicts.push(Verdict::new(name, required, measured));
    };

    for (size, least) in [("64", 3.6), ("256", 3.3), ("576", 3.2), ("1400", 3.0)] {
        // Lanes come in widths; the CPU's best one counts.
        let of_lanes = crypto(rows, "lanes", Some(size)).reduce(f64::max);
        let name = format!("crypto, lanes to crates, {size} B");
        target(name, AtLeast(least), of_lanes);
    }
    let portable = crypto(rows, "portable", None).reduce(f64::min);
    let name = "crypto, portable to crates, any size";
    target(name.to_owned(), AtLeast(1.7), portable);

    for (direction, size, least) in [
        ("up", "1400", 0.85),
        ("up", "64", 0.75),
        ("down", "1400", 0.80),
    ] {
        let of = [
            ("bench", "throughput"),
            ("direction", direction),
            ("size", size),
            ("sessions", "100"),
            ("workers", "1"),
        ];
        let name = format!("throughput, efficiency, {direction}, {size} B, 100 sessions, 1 worker");
        target(name, AtLeast(least), figure(rows, &of, "efficiency"));
    }
    let name = "throughput, ns with 1000 sessions to ns with 1, worst";
    target(name.to_owned(), AtMost(1.3), many_sessions(rows));

    let storm = [("bench", "storm")];
    let name = "storm, set-ups a CPU second of the control process";
    target(
        name.to_owned(),
        AtLeast(1000.0),
        figure(rows, &storm, "per_control_second"),
    );
    let name = "storm, set-ups a second, clients on the same cores";
    target(
        name.to_owned(),
        AtLeast(1000.0),
        figure(rows, &storm, "per_second"),
    );
    let name = "dial, ms from disabled=no to connected, median";
    target(
        name.to_owned(),
        AtMost(100.0),
        figure(rows, &[("bench", "dial")], "p50_ms"),
    );
    let name = "storm, KiB a session";
    target(
        name.to_owned(),
        AtMost(64.0),
        figure(rows, &storm, "memory_kib"),
    );

    let secrets = [("bench", "secrets"), ("secrets", "20000")];
    for (name, most, key) in [
        ("secrets, ms to start with 20,000", 1000.0, "start_ms"),
        ("secrets, us to look one up", 10.0, "lookup_us"),
        ("secrets, ms to print all", 200.0, "print_ms"),
        ("secrets, ms to change one and keep it", 100.0, "change_ms"),
        ("secrets, MiB of the control process", 40.0, "memory_mib"),
    ] {
        let measured = figure(rows, &secrets, key);
        target(name.to_owned(), AtMost(most), measured);
    }

    let whole = [("bench", "accounting"), ("sessions", "1000000")];
    let name = "accounting, ms to start with 1,000,000 sessions";
    target(
        name.to_owned(),
        AtMost(1000.0),
        figure(rows, &whole, "start_ms"),
    );
    let one = [
        ("bench", "accounting-keeping"),
        ("sync", "full"),
        ("batch", "1"),
    ];
    let name = "accounting, us to keep a change, p99";
    target(
        name.to_owned(),
        AtMost(1000.0),
        figure(rows, &one, "p99_us"),
    );
    let name = "accounting, p99 of the same to that of the disk alone";
    target(
        name.to_owned(),
        AtMost(1.5),
        figure(rows, &one, "p99_to_floor"),
    );

    for mode in ["adaptive", "spin"] {
        let name = format!("latency, idle, {mode}, p50 to the floor's");
        target(name, AtMost(2.5), latency(rows, mode));
    }

    for direction in ["up", "down"] {
        let of = |offload| {
            [
                ("bench", "tcp"),
                ("tunnel", "greyhound"),
                ("streams", "1"),
                ("direction", direction),
                ("offload", offload),
            ]
        };
        let with = figure(rows, &of("on"), "gbps");
        let without = figure(rows, &of("off"), "gbps");
        let ratio = with.zip(without).map(|(with, without)| with / without);
        let name = format!("tcp, offload on to off, 1 stream {direction}");
        target(name, AtLeast(3.0), ratio);
    }
    for (key, what, least) in [
        ("ratio_to_better", "to the better of the others", 3.0),
        ("ratio_to_better_per_cpu_s", "the same per CPU second", 2.5),
    ] {
        for direction in ["up", "down"] {
            let of = [
                ("bench", "tcp"),
                ("tunnel", "greyhound"),
                ("streams", "1"),
                ("direction", direction),
                ("offload", "on"),
            ];
            let name = format!("tcp, {what}, 1 stream {direction}");
            target(name, AtLeast(least), figure(rows, &of, key));
        }
    }
    for direction in ["up", "down"] {
        let of = [
            ("bench", "pps"),
            ("tunnel", "greyhound"),
            ("direction", direction),
            ("size", "64"),
        ];
        let name = format!("pps, to the better of the others, 64 B {direction}");
        target(name, AtLeast(4.0), figure(rows, &of, "ratio_to_better"));
    }
    verdicts
}

impl Verdict {
    fn new(target: String, required: Required, measured: Option<f64>) -> Self {
        let (required, met) = match required {
            Required::AtLeast(least) => (format!(">= {least}"), measured.map(|it| it >= least)),
            Required::AtMost(most) => (format!("<= {most}"), measured.map(|it| it <= most)),
        };
        Self {
            bench: "target",
            target,
            required,
            measured,
            met: match met {
                Some(true) => "yes",
                Some(false) => "no",
                None => "not measured",
            },
        }
    }
}

/// The ratios of the engines whose names begin so.
fn crypto<'a>(
    rows: &'a [Row],
    engine: &'a str,
    size: Option<&'a str>,
) -> impl Iterator<Item = f64> + 'a {
    rows.iter()
        .filter(move |row| {
            is(row, "bench", "crypto")
                && row
                    .get("engine")
                    .is_some_and(|it| text(it).starts_with(engine))
                && size.is_none_or(|size| is(row, "size", size))
        })
        .filter_map(|row| number(row, "ratio_to_crates"))
}

/// What a packet costs more among a thousand sessions, of all that is measured with both.
fn many_sessions(rows: &[Row]) -> Option<f64> {
    let with = |row: &Row, sessions| {
        let same = ["bench", "direction", "size", "workers"].map(|key| {
            let value = row.get(key).unwrap_or(&Value::Null);
            (key, text(value))
        });
        let mut of: Vec<(&str, &str)> = same.iter().map(|(key, it)| (*key, it.as_str())).collect();
        of.push(("sessions", sessions));
        figure(rows, &of, "ns")
    };
    rows.iter()
        .filter(|row| is(row, "bench", "throughput"))
        .filter_map(|row| Some(with(row, "1000")? / with(row, "1")?))
        .reduce(f64::max)
}

fn latency(rows: &[Row], mode: &str) -> Option<f64> {
    let of = [("bench", "latency"), ("load", "idle"), ("mode", mode)];
    Some(figure(rows, &of, "p50_us")? / figure(rows, &of, "floor_p50_us")?)
}

/// A figure of the first row with these values.
fn figure(rows: &[Row], of: &[(&str, &str)], key: &str) -> Option<f64> {
    let fits = |row: &&Row| of.iter().all(|(key, value)| is(row, key, value));
    number(rows.iter().find(fits)?, key)
}

fn is(row: &Row, key: &str, value: &str) -> bool {
    row.get(key).is_some_and(|it| text(it) == value)
}

fn number(row: &Row, key: &str) -> Option<f64> {
    row.get(key).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(rows: Value) -> Vec<Row> {
        serde_json::from_value(rows).unwrap()
    }

    fn verdict(rows: &[Row], target: &str) -> (Option<f64>, &'static str) {
        let verdicts = check(rows);
        let found = verdicts.iter().find(|it| it.target.contains(target));
        let found = found.unwrap();
        (found.measured, found.met)
    }

    #[test]
    fn what_no_row_tells_is_not_measured() {
        let nothing = check(&[]);
        assert!(
            nothing.iter().all(|it| it.met == "not measured"),
            "{nothing:?}"
        );
        assert_eq!(nothing.len(), 31);
    }

    #[test]
    fn the_widest_lanes_and_the_worst_size_count() {
        let rows = rows(json!([
            {"bench": "crypto", "engine": "lanes8", "size": 64, "ratio_to_crates": 3.0},
            {"bench": "crypto", "engine": "lanes16", "size": 64, "ratio_to_crates": 3.7},
            {"bench": "crypto", "engine": "portable", "size": 64, "ratio_to_crates": 1.8},
            {"bench": "crypto", "engine": "portable", "size": 256, "ratio_to_crates": 1.6},
        ]));
        assert_eq!(verdict(&rows, "lanes to crates, 64 B"), (Some(3.7), "yes"));
        assert_eq!(verdict(&rows, "portable"), (Some(1.6), "no"));
        assert_eq!(
            verdict(&rows, "lanes to crates, 256 B"),
            (None, "not measured")
        );
    }

    #[test]
    fn a_ratio_may_be_of_two_rows() {
        let tcp = |offload, gbps: f64| {
            json!({"bench": "tcp", "tunnel": "greyhound", "streams": 1, "direction": "up",
                   "offload": offload, "gbps": gbps, "ratio_to_better": 2.0})
        };
        let throughput = |sessions: u32, ns: f64| {
            json!({"bench": "throughput", "direction": "up", "size": 64, "workers": 1,
                   "sessions": sessions, "ns": ns, "efficiency": null})
        };
        let rows = rows(json!([
            tcp("on", 6.0),
            tcp("off", 1.5),
            throughput(1, 100.0),
            throughput(1000, 120.0),
            {"bench": "latency", "load": "idle", "mode": "adaptive", "p50_us": 30.0, "floor_p50_us": 10.0},
        ]));
        assert_eq!(
            verdict(&rows, "offload on to off, 1 stream up"),
            (Some(4.0), "yes")
        );
        assert_eq!(
            verdict(&rows, "better of the others, 1 stream up"),
            (Some(2.0), "no")
        );
        assert_eq!(verdict(&rows, "1000 sessions"), (Some(1.2), "yes"));
        assert_eq!(verdict(&rows, "latency"), (Some(3.0), "no"));
        assert_eq!(verdict(&rows, "efficiency, up, 64 B").1, "not measured");
    }
}

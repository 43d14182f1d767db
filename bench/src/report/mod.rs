//! A run as one page that needs nothing else: its machine, its targets, charts, every row.
//!
//! It goes by the keys of the rows alone. A benchmark of which it knows no chart gets its table.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use self::svg::{Bars, Group};
use crate::rows::{Row, text};

mod svg;
pub(crate) mod targets;

/// How the rows of a benchmark become charts.
struct Chart {
    bench: &'static str,
    title: &'static str,
    unit: &'static str,
    /// There is a chart for each of their values.
    split: &'static [&'static str],
    /// There is a group of bars for each of theirs.
    groups: &'static [&'static str],
    series: Series,
    logarithmic: bool,
}

enum Series {
    /// A bar for each of these figures of a row.
    Figures(&'static [&'static str]),
    /// A bar for each row of a group, called by these values.
    Rows(&'static [&'static str], &'static str),
    /// The same with one divided by the figure.
    Inverse(&'static [&'static str], &'static str),
}

/// Writes the page.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: &Path, rows: &[Row]) -> Result<()> {
    fs::write(path, render(rows)).with_context(|| format!("write {}", path.display()))
}

fn render(rows: &[Row]) -> String {
    let mut page = String::new();
    page.push_str(HEAD);
    for row in of_bench(rows, MACHINE) {
        let facts: Vec<String> = row
            .iter()
            .filter(|(key, _)| *key != BENCH)
            .map(|(key, value)| format!("{} {}", escaped(key), escaped(&text(value))))
            .collect();
        page.push_str(&format!("<p>{}</p>\n", facts.join(" · ")));
    }
    let mut names: Vec<&str> = Vec::new();
    // The verdict is what most readers look for.
    for name in [TARGET].into_iter().chain(rows.iter().filter_map(bench_of)) {
        if !names.contains(&name) && name != MACHINE {
            names.push(name);
        }
    }
    for name in names {
        let own: Vec<&Row> = of_bench(rows, name).collect();
        if !own.is_empty() {
            let _ = section(name, &own, &mut page);
        }
    }
    page.push_str("</body></html>\n");
    page
}

fn section(name: &str, rows: &[&Row], page: &mut String) -> std::fmt::Result {
    writeln!(page, "<h2>{}</h2>", escaped(name))?;
    for chart in CHARTS.iter().filter(|chart| chart.bench == name) {
        for bars in chart.bars(rows) {
            if let Some(svg) = bars.svg() {
                writeln!(page, "<figure>{svg}</figure>")?;
            }
        }
    }
    // Rows of a benchmark may differ in their keys.
    for same in rows.chunk_by(|a, b| a.keys().eq(b.keys())) {
        table(same, page)?;
    }
    Ok(())
}

fn table(rows: &[&Row], page: &mut String) -> std::fmt::Result {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    page.push_str("<div><table>\n<tr>");
    for key in first.keys().filter(|key| *key != BENCH) {
        write!(page, "<th>{}</th>", escaped(key))?;
    }
    page.push_str("</tr>\n");
    for row in rows {
        page.push_str("<tr>");
        for (_, value) in row.iter().filter(|(key, _)| *key != BENCH) {
            let class = match value {
                Value::Number(_) => " class=\"number\"",
                Value::Null
                | Value::Bool(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => "",
            };
            write!(page, "<td{class}>{}</td>", escaped(&text(value)))?;
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
    Ok(())
}

impl Chart {
    fn bars(&self, rows: &[&Row]) -> Vec<Bars> {
        distinct(rows, |row| label(row, self.split, true))
            .into_iter()
            .map(|(split, rows)| {
                let title = if split.is_empty() {
                    self.title.to_owned()
                } else {
                    format!("{}, {split}", self.title)
                };
                let series = self.series.names(&rows);
                let groups = distinct(&rows, |row| label(row, self.groups, false));
                let group = |(label, rows): (String, Vec<&Row>)| Group {
                    label,
                    figures: series
                        .iter()
                        .map(|name| self.series.figure(name, &rows))
                        .collect(),
                };
                Bars {
                    title,
                    unit: self.unit,
                    groups: groups.into_iter().map(group).collect(),
                    series,
                    logarithmic: self.logarithmic,
                }
            })
            .collect()
    }
}

impl Series {
    fn names(&self, rows: &[&Row]) -> Vec<String> {
        match self {
            Self::Figures(keys) => keys
                .iter()
                .filter(|key| rows.iter().any(|row| number(row, key).is_some()))
                .map(|&key| key.to_owned())
                .collect(),
            Self::Rows(keys, _) | Self::Inverse(keys, _) => {
                let named = distinct(rows, |row| label(row, keys, false));
                named.into_iter().map(|(name, _)| name).collect()
            }
        }
    }

    /// The figure of one series in one group.
    fn figure(&self, name: &str, rows: &[&Row]) -> Option<f64> {
        let of = |keys: &[&str], key: &str| {
            let row = rows.iter().find(|row| label(row, keys, false) == name)?;
            number(row, key)
        };
        match self {
            Self::Figures(_) => number(rows.first()?, name),
            Self::Rows(keys, key) => of(keys, key),
            Self::Inverse(keys, key) => of(keys, key).map(|figure| 1.0 / figure),
        }
    }
}

/// The rows by what `name` says of them, in the order in which the names first appear.
fn distinct<'a>(rows: &[&'a Row], name: impl Fn(&Row) -> String) -> Vec<(String, Vec<&'a Row>)> {
    let mut seen = BTreeSet::new();
    let names = rows.iter().map(|row| name(row));
    let names: Vec<String> = names.filter(|it| seen.insert(it.clone())).collect();
    names
        .into_iter()
        .map(|it| {
            let own = rows.iter().filter(|row| name(row) == it).copied();
            let own = own.collect();
            (it, own)
        })
        .collect()
}

/// What a row says to these keys, without those that it has no value for.
fn label(row: &Row, keys: &[&str], with_keys: bool) -> String {
    let words = keys.iter().filter_map(|&key| {
        let value = row.get(key).filter(|value| !value.is_null())?;
        let value = text(value);
        // A word such as `up` tells by itself what it is; `on` and a number do not.
        let named = with_keys || key == "offload";
        Some(if named {
            format!("{key} {value}")
        } else {
            value
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

fn of_bench<'a>(rows: &'a [Row], name: &'a str) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| bench_of(row) == Some(name))
}

fn bench_of(row: &Row) -> Option<&str> {
    row.get(BENCH).and_then(Value::as_str)
}

fn number(row: &Row, key: &str) -> Option<f64> {
    row.get(key).and_then(Value::as_f64)
}

/// Text that is only text, in an element and in an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const BENCH: &str = "bench";
const MACHINE: &str = "machine";
const TARGET: &str = "target";

const CHARTS: [Chart; 10] = [
    Chart {
        bench: "crypto",
        title: "MPPE of one packet",
        unit: "CPU cycles by bytes of payload",
        split: &[],
        groups: &["size"],
        series: Series::Rows(&["engine"], "cycles"),
        logarithmic: false,
    },
    Chart {
        bench: "crypto",
        title: "MPPE beside the crates",
        unit: "times as many packets per second",
        split: &[],
        groups: &["size"],
        series: Series::Rows(&["engine"], "ratio_to_crates"),
        logarithmic: false,
    },
    Chart {
        bench: "throughput",
        title: "One packet, beside the floor",
        unit: "ns by size",
        split: &["direction", "sessions", "workers"],
        groups: &["size"],
        series: Series::Figures(&["ns", "floor_ns", "crypto_ns"]),
        logarithmic: false,
    },
    Chart {
        bench: "throughput",
        title: "Efficiency",
        unit: "of the floor's packets per second",
        split: &["sessions", "workers"],
        groups: &["size"],
        series: Series::Rows(&["direction"], "efficiency"),
        logarithmic: false,
    },
    Chart {
        bench: "latency",
        title: "Latency",
        unit: "µs by load and mode",
        split: &[],
        groups: &["load", "mode"],
        series: Series::Figures(&["floor_p50_us", "p50_us", "p90_us", "p99_us", "p999_us"]),
        logarithmic: true,
    },
    Chart {
        bench: "scale",
        title: "Over workers",
        unit: "million packets per second by workers",
        split: &["size", "sessions"],
        groups: &["workers"],
        series: Series::Rows(&["direction"], "mpps"),
        logarithmic: false,
    },
    Chart {
        bench: "tcp",
        title: "Bulk TCP",
        unit: "Gbit/s by streams and direction",
        split: &[],
        groups: &["streams", "direction"],
        series: Series::Rows(&["tunnel", "offload"], "gbps"),
        logarithmic: false,
    },
    Chart {
        bench: "tcp",
        title: "Bulk TCP for the CPU's time",
        unit: "Gbit per CPU second of the whole machine",
        split: &[],
        groups: &["streams", "direction"],
        series: Series::Inverse(&["tunnel", "offload"], "cpu_s_per_gbit"),
        logarithmic: false,
    },
    Chart {
        bench: "pps",
        title: "Small packets",
        unit: "packets per second delivered",
        split: &["size"],
        groups: &["direction"],
        series: Series::Rows(&["tunnel"], "pps"),
        logarithmic: false,
    },
    Chart {
        bench: "pps",
        title: "Small packets",
        unit: "CPU seconds per million",
        split: &["size"],
        groups: &["direction"],
        series: Series::Rows(&["tunnel"], "cpu_s_per_mpkt"),
        logarithmic: false,
    },
];

const HEAD: &str = "\
<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Greyhound: benchmarks</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886 }
div { overflow-x: auto }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #8884; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
figure { margin: 1.5rem 0 }
svg { width: 100%; font: 12px system-ui, sans-serif }
svg text { fill: currentColor }
svg text.title { font-size: 14px; font-weight: 600 }
svg text.mark { text-anchor: end; opacity: .7 }
svg text.group { text-anchor: middle }
svg line { stroke: #8885 }
</style></head><body>
<h1>Greyhound: benchmarks</h1>
";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(rows: Value) -> String {
        let rows: Vec<Row> = serde_json::from_value(rows).unwrap();
        render(&rows)
    }

    /// Every element that is opened is closed, in the right order.
    fn assert_nested(page: &str) {
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '/']).find(|it| !it.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag} in {page}");
            } else if !tag.ends_with('/') && name != "!DOCTYPE" && name != "meta" {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?} in {page}");
    }

    #[test]
    fn every_row_is_in_the_page_and_known_benchmarks_have_charts() {
        let page = page(json!([
            {"bench": "machine", "cpu": "A & B", "cores": 2},
            {"bench": "throughput", "direction": "up", "size": 64, "sessions": 1, "workers": 1,
             "ns": 987.0, "floor_ns": 600.0, "efficiency": 0.61},
            {"bench": "throughput", "direction": "up", "size": 1400, "sessions": 1, "workers": 1,
             "ns": 1987.0, "floor_ns": 1600.0, "efficiency": 0.8},
            {"bench": "latency", "load": "idle", "mode": "block", "p50_us": 31.5,
             "p90_us": 63.0, "p99_us": 218.0, "p999_us": 1909.0, "floor_p50_us": 8.9},
            {"bench": "tcp", "tunnel": "greyhound", "streams": 1, "direction": "up",
             "offload": "on", "gbps": 0.65, "cpu_s_per_gbit": 3.0},
            {"bench": "unheard-of", "note": "<script>"},
            {"bench": "target", "target": "fast", "required": ">= 3", "measured": null,
             "met": "not measured"},
        ]));
        assert_nested(&page);
        for part in [
            "cores 2 · cpu A &amp; B",
            "<td class=\"number\">987</td>",
            "One packet, beside the floor, direction up sessions 1 workers 1, ns by size",
            "<title>floor_ns: 1600</title>",
            "<title>p999_us: 1909</title>",
            "<title>greyhound offload on: 0.65</title>",
            "<h2>unheard-of</h2>",
            "<td>&lt;script&gt;</td>",
            "<td>not measured</td>",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        assert!(page.find("<h2>target</h2>") < page.find("<h2>throughput</h2>"));
        // throughput 2, latency 1, tcp 2
        assert_eq!(page.matches("<svg").count(), 5);
    }

    #[test]
    fn it_needs_nothing_from_elsewhere() {
        let page = page(json!([]));
        assert_nested(&page);
        for word in ["http", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}

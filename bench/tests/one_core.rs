//! The benchmarks that step a worker, as short as they go: whether they measure, not what.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn measure(words: &str) -> Result<Vec<Value>> {
    let output = Command::new(env!("CARGO_BIN_EXE_greyhound-bench"))
        .args(words.split(' '))
        .args(["--json", "--seconds", "1"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words}: {said}");
    let rows = String::from_utf8(output.stdout)?;
    // The first is about the machine.
    rows.lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).context("a line that is no JSON"))
        .collect()
}

fn is_positive(row: &Value, figure: &str) -> bool {
    row[figure].as_f64().is_some_and(|it| it > 0.0)
}

#[test]
#[ignore = "needs root: ./run test"]
fn each_floor_has_a_figure() {
    let rows = measure("floor --sizes 576").unwrap();
    let floors: Vec<_> = rows.iter().map(|row| row["floor"].clone()).collect();
    assert_eq!(floors, ["A", "C", "D", "D+", "E", "F"]);
    for row in rows {
        assert!(is_positive(&row, "ns"), "{row}");
    }
}

#[test]
#[ignore = "needs root: ./run test"]
fn encrypted_packets_go_all_ways_through_a_worker() {
    let rows = measure("throughput --sizes 64,imix --sessions 1,3").unwrap();
    assert_eq!(rows.len(), 2 * 2 * 3);
    for row in rows {
        for figure in ["ns", "floor_ns", "crypto_ns", "efficiency"] {
            assert!(is_positive(&row, figure), "{row}");
        }
    }
}

#[test]
#[ignore = "needs root: ./run test"]
fn workers_are_busy_side_by_side() {
    let rows = measure("scale --sizes 576 --sessions 2 --directions up").unwrap();
    let last = rows.last().unwrap();
    assert!(is_positive(last, "mpps"), "{last}");
    assert_eq!(last["bench"], "scale");
}

#[test]
#[ignore = "needs root: ./run test"]
fn echoes_come_back_through_a_worker() {
    let rows = measure("latency").unwrap();
    let loads: Vec<_> = rows.iter().map(|row| row["load"].clone()).collect();
    assert_eq!(loads, ["idle", "half", "idle", "half"]);
    for row in rows {
        for figure in ["p50_us", "p90_us", "p99_us", "p999_us", "floor_p50_us"] {
            assert!(is_positive(&row, figure), "{row}");
        }
    }
}

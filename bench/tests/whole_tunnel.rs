//! The benchmarks with real processes, as short as they go: whether they measure, not what.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use greyhound_tests::process::programs;
use serde_json::Value;

fn measure(words: &str) -> Result<Vec<Value>> {
    let output = Command::new(env!("CARGO_BIN_EXE_greyhound-bench"))
        .args(words.split(' '))
        .args(["--json", "--seconds", "1"])
        .env("GREYHOUND_PROGRAMS", programs()?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words}: {said}");
    let rows = String::from_utf8(output.stdout)?;
    rows.lines()
        .map(|line| serde_json::from_str(line).context("a line that is no JSON"))
        .collect()
}

#[test]
#[ignore = "needs root: ./run test"]
fn tcp_is_measured_through_the_tunnel_and_beside_it() {
    let rows = measure("tcp --streams 1 --direction up --offload on").unwrap();
    let [machine, tcp] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    assert_eq!(machine["bench"], "machine");
    assert_eq!(tcp["bench"], "tcp");
    assert_eq!(tcp["offload"], "on");
    for figure in ["gbps", "cpu_s_per_gbit", "bare_gbps"] {
        assert!(tcp[figure].as_f64().is_some_and(|it| it > 0.0), "{tcp}");
    }
}

#[test]
#[ignore = "needs root: ./run test"]
fn packets_are_counted_behind_the_tunnel() {
    let rows = measure("pps --direction down").unwrap();
    let pps = rows.last().unwrap();
    assert_eq!((&pps["bench"], &pps["size"]), (&"pps".into(), &64.into()));
    assert!(pps["pps"].as_f64().is_some_and(|it| it > 1000.0), "{pps}");
    assert!(pps["loss"].as_f64().is_some_and(|it| it < 1.0), "{pps}");
}

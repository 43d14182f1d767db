//! What the kernel holds of the XDP program, as `bpftool` shows it.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::namespace::{Namespace, run};

/// The id of the XDP program on an interface, if there is one.
///
/// # Errors
/// There is no such interface.
pub fn program_on(namespace: &Namespace, interface: &str) -> Result<Option<u64>> {
    let interfaces = namespace.interfaces()?;
    let link = interfaces
        .get(interface)
        .with_context(|| format!("no {interface} in {}", namespace.name()))?;
    Ok(link["xdp"]["prog"]["id"].as_u64())
}

/// How many entries the hash maps of a program hold: one for each call that XDP takes.
///
/// # Errors
/// `bpftool` failed.
pub fn hash_entries(program: u64) -> Result<usize> {
    let shown = bpftool(&["prog", "show", "id", &program.to_string()])?;
    let maps = shown["map_ids"]
        .as_array()
        .context("a program without maps")?;
    let mut entries = 0;
    for map in maps.iter().filter_map(Value::as_u64) {
        let map = map.to_string();
        if bpftool(&["map", "show", "id", &map])?["type"] == "hash" {
            let dump = bpftool(&["map", "dump", "id", &map])?;
            entries += dump.as_array().context("a dump that is no list")?.len();
        }
    }
    Ok(entries)
}

fn bpftool(words: &[&str]) -> Result<Value> {
    let mut arguments = vec!["--json"];
    arguments.extend(words);
    let text = run("bpftool", &arguments)?;
    serde_json::from_str(&text).with_context(|| format!("bpftool {}: {text}", words.join(" ")))
}

//! Asks a running concentrator, by the same program an operator uses.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The console of one running instance.
#[derive(Clone, Debug)]
pub struct Console {
    program: PathBuf,
    run_dir: PathBuf,
}

/// A session of the server, of `/interface pptp-server` or `/ppp active`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The interface, or of `/ppp active` the user.
    pub name: String,
    /// `MPPE128 stateless`, or empty.
    pub encoding: String,
}

/// A row of `/interface pptp-client`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The interface.
    pub name: String,
    /// It is connected.
    pub running: bool,
}

/// What the datapath counted, all workers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datapath {
    /// `native`, `skb` or `raw`.
    pub io: String,
    /// Sessions of all workers.
    pub sessions: u64,
    /// All of it, as it was printed.
    pub all: Value,
}

impl Console {
    /// Of the instance with this run folder.
    #[must_use]
    pub fn new(program: PathBuf, run_dir: PathBuf) -> Self {
        Self { program, run_dir }
    }

    /// What a command prints.
    ///
    /// # Errors
    /// It fails; the message has what it said.
    pub fn text(&self, words: &[&str]) -> Result<String> {
        self.ask(&[], words)
    }

    /// The same facts for programs.
    ///
    /// # Errors
    /// It fails, or prints no JSON.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let text = self.ask(&["--json"], words)?;
        serde_json::from_str(&text).with_context(|| format!("{}: {text}", words.join(" ")))
    }

    /// The rows of `/interface pptp-server`.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let rows = self.json(&["interface", "pptp-server", "print"])?;
        rows_of(&rows)?.iter().map(session).collect()
    }

    /// The rows of `/ppp active`.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn active(&self) -> Result<Vec<Session>> {
        let rows = self.json(&["ppp", "active", "print"])?;
        rows_of(&rows)?.iter().map(session).collect()
    }

    /// The rows of `/interface pptp-client`.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn clients(&self) -> Result<Vec<Client>> {
        let rows = self.json(&["interface", "pptp-client", "print"])?;
        rows_of(&rows)?
            .iter()
            .map(|row| {
                Ok(Client {
                    name: text(row, "name")?,
                    running: row["running"] == true,
                })
            })
            .collect()
    }

    /// What `/interface pptp-client monitor` says the encryption of a client is.
    ///
    /// # Errors
    /// As [`Self::json`], also while it is not connected.
    pub fn client_encoding(&self, name: &str) -> Result<String> {
        let state = self.json(&["interface", "pptp-client", "monitor", name, "once"])?;
        text(&state, "encoding")
    }

    /// Why a client's last connection ended, by `/interface pptp-client monitor`; `None` while it
    /// is connected, and before its first end.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn client_last_end(&self, name: &str) -> Result<Option<String>> {
        let state = self.json(&["interface", "pptp-client", "monitor", name, "once"])?;
        Ok(text(&state, "last-disconnect-reason").ok())
    }

    /// The datapath's counters.
    ///
    /// # Errors
    /// As [`Self::json`], also while no datapath is connected.
    pub fn datapath(&self) -> Result<Datapath> {
        let all = self.json(&["datapath", "print"])?;
        Ok(Datapath {
            io: text(&all, "io")?,
            sessions: sum(&all["workers"], "sessions"),
            all,
        })
    }

    fn ask(&self, options: &[&str], words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--run-dir").arg(&self.run_dir);
        let output = command.args(options).args(words).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}: {said}", words.join(" "), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Datapath {
    /// A counter of the workers, all together.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        sum(&self.all["workers"], name)
    }

    /// What the workers dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: &str) -> u64 {
        let workers = self.all["workers"].as_array();
        workers.map_or(0, |workers| {
            workers
                .iter()
                .filter_map(|worker| worker["drops"][reason].as_u64())
                .sum()
        })
    }

    /// Everything that was dropped, whatever the reason.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        let workers = self.all["workers"].as_array();
        workers.map_or(0, |workers| {
            workers
                .iter()
                .filter_map(|worker| worker["drops"].as_object())
                .flat_map(serde_json::Map::values)
                .filter_map(Value::as_u64)
                .sum()
        })
    }

    /// A counter of the XDP program.
    #[must_use]
    pub fn xdp(&self, name: &str) -> u64 {
        self.all["xdp"][name].as_u64().unwrap_or_default()
    }
}

fn session(row: &Value) -> Result<Session> {
    Ok(Session {
        name: text(row, "name")?,
        encoding: text(row, "encoding").unwrap_or_default(),
    })
}

fn rows_of(rows: &Value) -> Result<&Vec<Value>> {
    rows.as_array()
        .with_context(|| format!("not a list: {rows}"))
}

fn text(row: &Value, property: &str) -> Result<String> {
    let value = row[property].as_str();
    let value = value.with_context(|| format!("no {property} in {row}"))?;
    Ok(value.to_owned())
}

fn sum(rows: &Value, property: &str) -> u64 {
    let rows = rows.as_array();
    rows.map_or(0, |rows| {
        rows.iter().filter_map(|row| row[property].as_u64()).sum()
    })
}

//! What processes have in common that run programs for the control process: how a program is started,
//! heard, timed and killed, how the control process is listened to, and what makes a process fit
//! for it.
//!
//! A program is executed directly: there is no shell.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) mod asker;
pub(crate) mod output;
pub(crate) mod process;
mod running;

pub(crate) use self::running::{KILL_PATIENCE, Launch, PATH, Running};

/// Where a program wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    /// How long it ran.
    pub(crate) lasted: Duration,
    /// Lines it wrote beyond those that are passed on.
    pub(crate) left_out: u64,
}

impl End {
    /// Of a program that did not run.
    pub(crate) const fn without_run(outcome: Outcome) -> Self {
        Self {
            outcome,
            lasted: Duration::ZERO,
            left_out: 0,
        }
    }
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It exited with this status.
    Exited(i32),
    /// It was ended by this signal.
    Signalled(i32),
    /// It took too long and was killed, with what it had started.
    TimedOut,
    /// It was still running when the process stopped, and was killed.
    Stopped,
    /// There is no program that may be run, and why.
    NotStarted(String),
    /// It was not run, and why.
    Dropped(String),
    /// It was or was not run; nobody knows, and why.
    Lost(String),
}

//! Hooks: programs of the operator that run when a session has come up and when it has ended.
//!
//! The control process reads bytes of strangers, so it starts nothing itself. It tells a process of
//! its own (`greyhound hooks`, [`runner::Runner`]) over a socket in the run directory what to run
//! ([`client::Client`]), and hears what the programs say and how they end. That process has no
//! privilege and is another user unless the operator says otherwise.
//!
//! A hook is executed directly: there is no shell, and what a peer calls itself is only ever a value
//! in the environment.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod client;
mod environment;
mod line;
pub mod process;
mod program;
mod queue;
pub mod runner;
pub mod user;

use crate::programs::{End, Source};

pub use self::environment::{Accounting, Subject, environment};
pub use self::program::{Program, ProgramError};

/// The socket's name in the run directory.
pub const SOCKET: &str = "hooks.sock";

/// Changes whenever a message changes; both ends must have the same.
pub const VERSION: u16 = 1;

/// How long a hook may take; after that it and what it started are killed.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What a hook runs after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// A session has come up.
    Up,
    /// A session that had come up has ended.
    Down,
}

impl When {
    /// The property of the profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "on-up",
            Self::Down => "on-down",
        }
    }
}

/// One run of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What it runs after.
    pub when: When,
    /// The interface, as `print` names it. Hooks of one interface run one after another, in the
    /// order in which they were asked for: `on-down` after `on-up` has ended, and those of the
    /// next session of that name after those of the last.
    pub interface: String,
    /// The absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment, but for `PATH`.
    pub environment: Vec<(String, String)>,
    /// How long it may take.
    pub timeout: Duration,
}

impl Hook {
    /// A run of `program` for a session.
    #[must_use]
    pub fn new(when: When, program: Program, subject: &Subject) -> Self {
        Self {
            when,
            interface: subject.interface.clone(),
            program: program.path,
            arguments: program.arguments,
            environment: environment(when, subject),
            timeout: TIMEOUT,
        }
    }
}

/// From control to the runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// The first message of a connection. A runner of another [`VERSION`] ends, and is started
    /// again from the file that the sender was started from.
    Hello { version: u16 },
    /// Run this when it is its turn; answered by [`Event::Ended`] with the same number, which no
    /// other run of the connection has.
    Run { id: u64, hook: Hook },
}

/// From the runner to control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Event {
    /// A line that a hook wrote.
    Output {
        id: u64,
        source: Source,
        text: String,
    },
    /// A hook is over, or nothing came of it.
    Ended { id: u64, end: End },
}

#[cfg(test)]
mod tests;

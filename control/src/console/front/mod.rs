//! The console as a person sits before it: a prompt, a line editor, completion and help. A script
//! finds the same commands behind a pipe, line by line.
//!
//! What a command does is the control process's business, which is asked as by anybody else. The
//! console itself knows what may be typed, which it takes from the schema, and a few commands
//! that it carries out itself.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context;

use super::wire::{self, Reply, Request};

mod assistant;
mod colour;
mod complete;
mod guide;
mod history;
mod keys;
mod monitor;
mod own;
mod pager;
mod pipe;
mod reading;
mod session;
mod statement;
mod terminal;

/// Runs the console on standard input and output until the user leaves: with a prompt and a line
/// editor if both are a terminal, else line by line up to the first error. The control process is
/// that whose run directory is `run_dir`; with `json` it answers for a program. Returns the exit
/// status.
///
/// # Errors
/// Standard input, standard output or the terminal fails, or there is no control process when a
/// user sits down before a terminal.
pub fn run(run_dir: &Path, json: bool) -> anyhow::Result<u8> {
    let mut exchange = |request: &Request| wire::ask(run_dir, request);
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return terminal::run(&mut exchange, json);
    }
    pipe::run(
        &mut exchange,
        json,
        &mut io::stdin().lock(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    )
    .context("standard input or output")
}

/// The way to the control process. If there is no answer, it is not known whether the command was
/// carried out.
type Exchange<'a> = dyn FnMut(&Request) -> Result<Reply, wire::Error> + 'a;

/// What is said of a failure: itself and what it comes from.
fn told(error: wire::Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

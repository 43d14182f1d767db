//! The console as a person sits before it: a prompt, a line editor, completion and help. A script
//! finds the same commands behind a pipe, line by line.
//!
//! What a command does is the control process's business, which is asked through an [`Exchange`].
//! The console itself knows what may be typed, which it takes from the schema, and one command:
//! `quit`.

use std::io::{self, IsTerminal};
use std::time::Duration;

mod assistant;
mod colour;
mod complete;
mod guide;
mod history;
mod keys;
mod monitor;
mod pager;
mod pipe;
mod reading;
mod session;
mod statement;
mod terminal;

/// The way to the control process.
pub trait Exchange {
    /// Has a command carried out.
    ///
    /// # Errors
    /// There is no answer, and it is not known whether the command was carried out.
    fn run(&mut self, request: &Request) -> io::Result<Reply>;

    /// The names of the items that the menu `path` has now; none if there is no answer.
    fn names(&mut self, path: &[&str]) -> Vec<String>;

    /// What the server calls itself now, for the prompt; empty if there is no answer.
    fn identity(&mut self) -> String;
}

/// A command as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// One or more statements. A line end among them is escaped, or ends a statement.
    pub line: String,
    /// The menu in which it was typed.
    pub menu: Vec<String>,
    /// The items that the last print of this console numbered, by their ids.
    pub numbers: Vec<u32>,
    /// Characters in a line of the terminal; [`u16::MAX`] if lines are not to be wrapped.
    pub width: u16,
}

/// What the control process answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// What is to be shown; for a refused command, why.
    pub text: String,
    /// What became of the command.
    pub status: Status,
    /// The menu in which the next command begins; `None` leaves it as it is.
    pub menu: Option<Vec<String>>,
    /// The items that numbers mean from now on: those of the request if nothing was printed.
    pub numbers: Vec<u32>,
    /// The same is to be asked again after this time, as it is about something that changes.
    pub again: Option<Duration>,
}

/// What became of a command, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It was carried out.
    #[default]
    Done,
    /// It was not, or not all of it.
    Refused,
}

/// Runs the console on standard input and output until the user leaves: with a prompt and a line
/// editor if both are a terminal, else line by line up to the first error.
///
/// # Errors
/// Standard input, standard output or the terminal fails. What the exchange has to say is told to
/// the user instead.
pub fn run(exchange: &mut dyn Exchange) -> io::Result<Status> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return terminal::run(exchange);
    }
    pipe::run(
        exchange,
        &mut io::stdin().lock(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    )
}

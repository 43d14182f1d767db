//! The commands of the console: words in, text out.
//!
//! A path may be written with spaces or slashes, and each of its words may be shortened as long as
//! it is unambiguous. Errors have the words of the product, with the column in the command as its
//! words stand when one space separates them.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::print::{Record, View};
use super::snapshot::Snapshot;
use super::views;
use crate::model::Config;

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What to print; ends with a line end unless it is empty.
    pub text: String,
    /// The exit status: 0, or 1 after an error.
    pub status: u8,
}

/// Carries out the command `words` and answers as text, or as JSON for programs; blocks are
/// wrapped at `width` characters.
#[must_use]
pub fn execute(
    words: &[String],
    json: bool,
    config: &Config,
    snapshot: &Snapshot,
    width: usize,
) -> Reply {
    let (text, status) = match (answer(words, config, snapshot), json) {
        (Ok(answer), false) => (answer.text(width), 0),
        (Ok(answer), true) => (answer.json(), 0),
        (Err(text), false) => (text + "\n", 1),
        (Err(text), true) => (lines_of(&json!({ "error": text })), 1),
    };
    Reply { text, status }
}

fn answer(words: &[String], config: &Config, snapshot: &Snapshot) -> Result<Answer, String> {
    let line = words.join(" ");
    let (show, arguments) = command(&line)?;
    show(&arguments, config, snapshot)
}

/// What is shown, before it is known whether a person or a program reads it.
enum Answer {
    Table(View),
    Blocks(View),
    Lines(Record),
    Page { text: String, json: Json },
}

impl Answer {
    fn text(self, width: usize) -> String {
        match self {
            Self::Table(view) => view.table(),
            Self::Blocks(view) => view.blocks(width),
            Self::Lines(record) => record.lines(),
            Self::Page { text, .. } => text,
        }
    }

    fn json(self) -> String {
        lines_of(&match self {
            Self::Table(view) | Self::Blocks(view) => view.json(),
            Self::Lines(record) => record.json(&[]),
            Self::Page { json, .. } => json,
        })
    }
}

fn lines_of(json: &Json) -> String {
    format!("{json:#}\n")
}

/// A command, given what follows its path.
type Show = fn(&[Word<'_>], &Config, &Snapshot) -> Result<Answer, String>;

/// The commands by their paths.
const COMMANDS: &[(&[&str], Show)] = &[
    (&["interface", "pptp-server", "print"], print_pptp_server),
    (&["interface", "pptp-client", "print"], print_pptp_client),
    (
        &["interface", "pptp-client", "monitor"],
        monitor_pptp_client,
    ),
    (&["ppp", "active", "print"], print_ppp_active),
    (&["datapath", "print"], print_datapath),
];

fn print_pptp_server(
    arguments: &[Word<'_>],
    _config: &Config,
    snapshot: &Snapshot,
) -> Result<Answer, String> {
    let options = options(arguments, &["brief", "detail", "without-paging"])?;
    let view = views::pptp_server(snapshot);
    Ok(if options.contains(&"detail") {
        Answer::Blocks(view)
    } else {
        Answer::Table(view)
    })
}

/// Clients have more properties than a line holds: they are shown as blocks unless asked for.
fn print_pptp_client(
    arguments: &[Word<'_>],
    config: &Config,
    snapshot: &Snapshot,
) -> Result<Answer, String> {
    let known = ["brief", "detail", "show-sensitive", "without-paging"];
    let options = options(arguments, &known)?;
    let view = views::pptp_client(config, snapshot, options.contains(&"show-sensitive"));
    Ok(if options.contains(&"brief") {
        Answer::Table(view)
    } else {
        Answer::Blocks(view)
    })
}

fn monitor_pptp_client(
    arguments: &[Word<'_>],
    config: &Config,
    snapshot: &Snapshot,
) -> Result<Answer, String> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err("missing value(s) of argument(s) numbers".to_owned());
    };
    let by_name = config
        .clients
        .iter()
        .find(|client| client.name == name.text);
    let by_number = || config.clients.get(name.text.parse::<usize>().ok()?);
    let client = by_name.or_else(by_number).ok_or("no such item")?;
    if !options(rest, &["once"])?.contains(&"once") {
        return Err("monitor without once is not supported yet".to_owned());
    }
    Ok(Answer::Lines(views::monitor(client, snapshot)))
}

fn print_ppp_active(
    arguments: &[Word<'_>],
    _config: &Config,
    snapshot: &Snapshot,
) -> Result<Answer, String> {
    let options = options(arguments, &["brief", "detail", "stats", "without-paging"])?;
    let view = views::ppp_active(snapshot, options.contains(&"stats"));
    Ok(if options.contains(&"detail") {
        Answer::Blocks(view)
    } else {
        Answer::Table(view)
    })
}

fn print_datapath(
    arguments: &[Word<'_>],
    _config: &Config,
    snapshot: &Snapshot,
) -> Result<Answer, String> {
    options(arguments, &["without-paging"])?;
    let state = snapshot
        .datapath
        .as_ref()
        .ok_or("failure: the datapath is not connected")?;
    Ok(Answer::Page {
        text: views::datapath(state),
        json: views::datapath_json(state),
    })
}

/// The command that `line` begins with, and the words behind its path.
fn command(line: &str) -> Result<(Show, Vec<Word<'_>>), String> {
    let mut path: Vec<&'static str> = Vec::new();
    let mut rest = Word {
        text: line,
        column: 1,
    };
    loop {
        let (word, behind) = rest.split(|c| c == '/' || c.is_whitespace());
        rest = behind;
        if word.text.is_empty() {
            let below: Vec<_> = below(&path).collect();
            return Err(format!("expected command name: {}", below.join(", ")));
        }
        match find(word.text, below(&path)) {
            Found::One(name) => path.push(name),
            Found::Many => return Err(word.error("ambiguous command name")),
            Found::None => return Err(word.error("bad command name")),
        }
        let known = COMMANDS.iter().find(|(command, _)| *command == path);
        if let Some(&(_, show)) = known {
            return Ok((show, rest.words()));
        }
    }
}

/// The names that may follow `path`.
fn below(path: &[&str]) -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = COMMANDS
        .iter()
        .filter(|(command, _)| command.starts_with(path))
        .filter_map(|(command, _)| command.get(path.len()).copied())
        .collect();
    names.dedup();
    names.into_iter()
}

/// What a word may mean.
enum Found {
    None,
    One(&'static str),
    Many,
}

/// Finds the name that `word` is, or is the beginning of.
fn find(word: &str, names: impl Iterator<Item = &'static str>) -> Found {
    let mut found = Found::None;
    for name in names.filter(|name| name.starts_with(word)) {
        if name == word {
            return Found::One(name);
        }
        found = match found {
            Found::None => Found::One(name),
            Found::One(_) | Found::Many => Found::Many,
        };
    }
    found
}

/// The options that `arguments` are, each written in full.
fn options(arguments: &[Word<'_>], known: &[&'static str]) -> Result<Vec<&'static str>, String> {
    arguments
        .iter()
        .map(|word| match find(word.text, known.iter().copied()) {
            Found::One(option) => Ok(option),
            Found::None | Found::Many => Err(format!(
                "expected end of command (line 1 column {})",
                word.column
            )),
        })
        .collect()
}

/// A part of the line and the column where it begins.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    text: &'a str,
    column: usize,
}

impl<'a> Word<'a> {
    /// The first part that contains no separator, and what follows it.
    fn split(self, is_separator: fn(char) -> bool) -> (Self, Self) {
        let begin = self.text.trim_start_matches(is_separator);
        let (first, rest) = begin.split_at(begin.find(is_separator).unwrap_or(begin.len()));
        let at = |text: &'a str, from: &'a str| Self {
            text,
            column: self.column + self.text.chars().count() - from.chars().count(),
        };
        (at(first, begin), at(rest, rest))
    }

    /// Its parts between blanks.
    fn words(mut self) -> Vec<Self> {
        let mut words = Vec::new();
        loop {
            let (word, rest) = self.split(char::is_whitespace);
            if word.text.is_empty() {
                return words;
            }
            words.push(word);
            self = rest;
        }
    }

    fn error(self, text: &str) -> String {
        let name: String = self
            .text
            .chars()
            .take(64)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        format!("{text} {name} (line 1 column {})", self.column)
    }
}

#[cfg(test)]
mod tests;

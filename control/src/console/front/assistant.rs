//! What the line editor asks while a line is edited: completion, colours, and the keys for help.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Context, Event, EventContext, Helper, RepeatCount,
};

use super::Exchange;
use super::colour::Colours;
use super::complete::{Candidate, candidates, help};
use super::guide::Guide;
use super::reading::{Class, Reading};
use super::session;
use super::statement::ends_in_quotes;
use crate::language::path::Path;

/// Helps to type a command.
pub(super) struct Assistant<'e> {
    pub(super) guide: Guide,
    pub(super) colours: Colours,
    pub(super) exchange: RefCell<&'e mut Exchange<'e>>,
    pub(super) typing: Arc<Mutex<Typing>>,
    /// The menu in which the command begins.
    pub(super) home: Cell<&'static Path>,
    /// What was listed last.
    pub(super) listed: RefCell<BTreeMap<String, Class>>,
}

/// What the keys for help share with the rest.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// The lines of the statement before that which is edited.
    pub(super) before: String,
    /// Help was asked for, at this place of the line.
    pub(super) asked: Option<usize>,
}

impl Typing {
    /// Changes or reads it.
    pub(super) fn with<T>(shared: &Mutex<Self>, access: impl FnOnce(&mut Self) -> T) -> T {
        access(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<'e> Assistant<'e> {
    /// Nothing typed yet.
    pub(super) fn new(exchange: &'e mut Exchange<'e>, colours: Colours) -> Self {
        Self {
            guide: Guide::new(),
            colours,
            exchange: RefCell::new(exchange),
            typing: Arc::default(),
            home: Cell::default(),
            listed: RefCell::default(),
        }
    }

    /// What may stand at the end of `line`, which is the part of it up to the cursor.
    pub(super) fn help(&self, line: &str) -> Vec<Candidate> {
        self.at_end_of(line, |reading| {
            help(&self.guide, &reading.next, &|path| self.names(path))
        })
    }

    /// Reads the statement up to the end of `line`, the lines before included.
    fn at_end_of<T>(&self, line: &str, tell: impl FnOnce(&Reading<'_>) -> T) -> T {
        let before = Typing::with(&self.typing, |typing| typing.before.clone());
        tell(&Reading::new(
            &self.guide,
            self.home.get(),
            &(before + line),
        ))
    }

    fn names(&self, path: &[&str]) -> Vec<String> {
        session::names(&mut **self.exchange.borrow_mut(), path)
    }
}

impl Completer for &Assistant<'_> {
    type Candidate = Candidate;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Candidate>)> {
        let before = Typing::with(&self.typing, |typing| typing.before.len());
        let (start, candidates) = self.at_end_of(&line[..at], |reading| {
            let names = |path: &[&str]| self.names(path);
            let candidates = candidates(&self.guide, &reading.next, &names);
            (reading.next.start, candidates)
        });
        let classes = candidates.iter().map(|one| (one.shown.clone(), one.class));
        *self.listed.borrow_mut() = classes.collect();
        // A word that begins in the line before is not this line's.
        Ok(match start.checked_sub(before) {
            Some(start) => (start, candidates),
            None => (at, Vec::new()),
        })
    }
}

impl rustyline::completion::Candidate for Candidate {
    fn display(&self) -> &str {
        &self.shown
    }

    fn replacement(&self) -> &str {
        &self.replacement
    }
}

impl Highlighter for &Assistant<'_> {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let before = Typing::with(&self.typing, |typing| typing.before.len());
        let spans = self.at_end_of(line, |reading| {
            let spans = reading.spans.iter();
            let here = spans.filter_map(|span| {
                let mut span = span.clone();
                span.range = span.range.start.checked_sub(before)?..span.range.end - before;
                Some(span)
            });
            here.collect::<Vec<_>>()
        });
        self.colours.paint_line(line, &spans)
    }

    fn highlight_candidate<'c>(&self, shown: &'c str, _: CompletionType) -> Cow<'c, str> {
        match self.listed.borrow().get(shown) {
            Some(&class) => self.colours.paint(class, shown),
            None => Cow::Borrowed(shown),
        }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.colours.are_on
    }
}

impl Hinter for &Assistant<'_> {
    type Hint = String;
}

impl Validator for &Assistant<'_> {}

impl Helper for &Assistant<'_> {}

/// The key that asks for help.
pub(super) struct HelpKey {
    pub(super) typing: Arc<Mutex<Typing>>,
    /// It is a character that may be meant as such in quotes.
    pub(super) is_character: bool,
}

impl ConditionalEventHandler for HelpKey {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, at: &EventContext<'_>) -> Option<Cmd> {
        Typing::with(&self.typing, |typing| {
            let before = format!("{}{}", typing.before, &at.line()[..at.pos()]);
            if self.is_character && ends_in_quotes(&before) {
                return None;
            }
            typing.asked = Some(at.pos());
            // The line is shown once more with the cursor where it is. What was typed behind the key
            // is not lost by this, as it would be if the line were abandoned.
            Some(Cmd::AcceptLine)
        })
    }
}

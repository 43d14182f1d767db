//! Reads the statements of a file or an import into a configuration.
//!
//! Every statement is read, also after an error, so that all errors are told at once.

use super::change::change;
use super::draft::{Draft, changes};
use super::schema::MENUS;
use super::{Config, Error, Warning, table};
use crate::language::lex::{self, Malformed, Word, WordKind};
use crate::language::path::{Invocation, Resolved, resolve};

/// Carries out all statements of `text`, or none.
pub(super) fn read(config: Config, text: &str) -> Result<(Config, Vec<Warning>), Vec<Error>> {
    let mut reader = Reader {
        draft: Draft::new(config),
        menu: Vec::new(),
        lost: false,
    };
    for statement in lex::statements(text) {
        match statement {
            Ok(words) => reader.statement(&words),
            Err(Malformed(at)) => reader.draft.fail(at, "syntax error"),
        }
        if reader.draft.errors() >= MAX_ERRORS {
            break;
        }
    }
    reader.draft.finish()
}

/// More errors than this are one: the text is not a configuration.
const MAX_ERRORS: usize = 50;

struct Reader {
    draft: Draft,
    /// Where paths begin that do not begin with a slash.
    menu: Vec<&'static str>,
    /// The last menu line was wrong: what stands relative to it cannot be judged.
    lost: bool,
}

impl Reader {
    fn statement(&mut self, words: &[Word]) {
        let is_bare = |word: &Word| matches!(word.kind, WordKind::Bare(_));
        let is_rooted =
            matches!(words, [Word { kind: WordKind::Bare(text), .. }, ..] if text.starts_with('/'));
        if self.lost && !is_rooted {
            return;
        }
        match resolve(MENUS, &self.menu, words) {
            Ok(Resolved::Enter(menu)) => {
                self.menu = menu;
                self.lost = false;
            }
            Ok(Resolved::Run(invocation)) => self.run(&invocation),
            Err(Error { at, text }) => {
                self.lost = is_rooted && words.iter().all(is_bare);
                self.draft.fail(at, text);
            }
        }
    }

    fn run(&mut self, invocation: &Invocation<'_>) {
        let table = table::at(&invocation.path).filter(|_| changes(invocation.command));
        let Some(table) = table else {
            let name = invocation.command.name();
            let text = format!("{name} is only for the console");
            return self.draft.fail(invocation.at, text);
        };
        if let Err(Error { at, text }) = change(&mut self.draft, table, invocation, None) {
            self.draft.fail(at, text);
        }
    }
}

#[cfg(test)]
mod tests;

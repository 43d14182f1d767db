//! Which items a command means: by number, name, id or condition.

use super::Id;
use super::table::Table;
use super::{Config, Error};
use crate::language::condition::{Condition, Subject};
use crate::language::lex::{Word, WordKind};

/// What can be selected.
pub(crate) trait Choice: Subject {
    /// Who it is.
    fn id(&self) -> Id;
}

/// The numbers that the last `print` gave to items; without one they are counted from 0.
pub(crate) type Numbers<'a> = Option<&'a [Id]>;

/// A row of the configuration, to be selected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// Its menu.
    pub(crate) table: &'static dyn Table,
    /// What it is in.
    pub(crate) config: &'a Config,
    /// Which one.
    pub(crate) row: usize,
}

impl<'a> Row<'a> {
    /// Every row of a menu.
    pub(crate) fn all(
        table: &'static dyn Table,
        config: &'a Config,
    ) -> impl Iterator<Item = Row<'a>> {
        (0..table.len(config)).map(move |row| Row { table, config, row })
    }
}

impl Subject for Row<'_> {
    fn value(&self, name: &str) -> Option<String> {
        if name == "default" {
            let is_built_in = self.table.is_built_in(self.config, self.row);
            return Some(if is_built_in { "yes" } else { "no" }.to_owned());
        }
        let crate::language::path::Found::One(property) = self.table.property(name) else {
            return None;
        };
        Some(self.table.show(self.config, self.row, property))
    }
}

impl Choice for Row<'_> {
    fn id(&self) -> Id {
        self.table.id(self.config, self.row)
    }
}

/// The items that `word` means, each once.
///
/// # Errors
/// It is no selector, or names something that is not there.
pub(crate) fn selected<C: Choice>(
    choices: &[C],
    word: &Word,
    numbers: Numbers<'_>,
) -> Result<Vec<Id>, Error> {
    let no_such_item = || Error::new(word.at, "no such item");
    let ids = match &word.kind {
        WordKind::Quoted(name) => named(choices, name),
        WordKind::Bare(list) => list_of(choices, list, numbers).ok_or_else(no_such_item)?,
        WordKind::Argument { name, value, .. } if name == "numbers" => {
            list_of(choices, value, numbers).ok_or_else(no_such_item)?
        }
        WordKind::Brackets(words) => {
            let find = matches!(words.first(), Some(Word { kind: WordKind::Bare(find), .. }) if find == "find");
            if !find {
                return Err(Error::new(
                    words.first().map_or(word.at, |word| word.at),
                    "syntax error",
                ));
            }
            return found(choices, &words[1..], word);
        }
        WordKind::Argument { .. }
        | WordKind::Unset(_)
        | WordKind::Comparison { .. }
        | WordKind::Open
        | WordKind::Close
        | WordKind::Not => {
            let text = "missing value(s) of argument(s) numbers";
            return Err(Error::new(word.at, text));
        }
    };
    if ids.is_empty() {
        return Err(no_such_item());
    }
    Ok(ids)
}

/// The items that a condition holds for; there may be none.
pub(crate) fn found<C: Choice>(
    choices: &[C],
    condition: &[Word],
    whole: &Word,
) -> Result<Vec<Id>, Error> {
    let condition = match condition {
        [
            Word {
                kind: WordKind::Bare(word),
                ..
            },
            rest @ ..,
        ] if word == "where" => rest,
        condition => condition,
    };
    let condition = Condition::parse(condition, whole.at)?;
    let mut ids = Vec::new();
    for choice in choices {
        if condition.holds(choice)? {
            ids.push(choice.id());
        }
    }
    Ok(ids)
}

/// Numbers, names and ids, separated by commas; `None` if one of them is nothing.
fn list_of<C: Choice>(choices: &[C], list: &str, numbers: Numbers<'_>) -> Option<Vec<Id>> {
    let mut ids = Vec::new();
    for text in list.split(',') {
        let by_id = Id::parse(text).filter(|&id| choices.iter().any(|one| one.id() == id));
        let mut these = match by_id {
            Some(id) => vec![id],
            None => named(choices, text),
        };
        if these.is_empty() {
            let number: usize = text.parse().ok()?;
            let id = match numbers {
                Some(numbers) => *numbers.get(number)?,
                None => choices.get(number)?.id(),
            };
            // What the last print showed may be gone.
            these.extend(choices.iter().any(|one| one.id() == id).then_some(id));
        }
        if these.is_empty() {
            return None;
        }
        ids.extend(
            these
                .into_iter()
                .filter(|id| !ids.contains(id))
                .collect::<Vec<_>>(),
        );
    }
    Some(ids)
}

fn named<C: Choice>(choices: &[C], name: &str) -> Vec<Id> {
    let same = |choice: &&C| choice.value("name").as_deref() == Some(name);
    choices.iter().filter(same).map(Choice::id).collect()
}

//! What a command that changes the configuration does, wherever it comes from: the file, the
//! console, an import.

use super::draft::Draft;
use super::select::{Numbers, Row, selected};
use super::table::Table;
use super::{Error, Id};
use crate::language::lex::{Position, Word, WordKind};
use crate::language::path::{Command, Found, Invocation, shortened};

/// Carries out a command of `table`. Errors of values are noted in the draft, so that all of them
/// are told; the id of an item that was made is returned.
///
/// # Errors
/// It cannot be understood which items are meant, or what is to be done with them.
pub(crate) fn change(
    draft: &mut Draft,
    table: &'static dyn Table,
    invocation: &Invocation<'_>,
    numbers: Numbers<'_>,
) -> Result<Option<Id>, Error> {
    let Invocation {
        command,
        at,
        arguments,
        ..
    } = *invocation;
    let items = |draft: &Draft| items(draft, table, at, arguments, numbers);
    match command {
        Command::Add => return add(draft, table, at, arguments, numbers).map(Some),
        Command::Set if table.is_single() => {
            let ids = [table.id(draft.config(), 0)];
            draft.set(table, at, &ids, arguments);
        }
        Command::Set => {
            let (ids, rest) = items(draft)?;
            warn_of_none(draft, &ids, at);
            draft.set(table, at, &ids, rest);
        }
        Command::Reset => {
            no_more(arguments)?;
            draft.reset(table, at);
        }
        Command::Enable | Command::Disable => {
            let (ids, rest) = items(draft)?;
            no_more(rest)?;
            warn_of_none(draft, &ids, at);
            let value = if command == Command::Disable {
                "yes"
            } else {
                "no"
            };
            draft.write(table, at, &ids, ("disabled", value));
        }
        Command::Remove => {
            let (ids, rest) = items(draft)?;
            no_more(rest)?;
            warn_of_none(draft, &ids, at);
            draft.remove(table, at, &ids);
        }
        Command::Comment => {
            let (ids, rest) = items(draft)?;
            let comment = text(rest, at, "comment")?;
            warn_of_none(draft, &ids, at);
            draft.write(table, at, &ids, ("comment", &comment));
        }
        Command::Unset => {
            let (ids, rest) = items(draft)?;
            let names = text(rest, at, "value-name")?;
            let place = rest.first().map_or(at, |word| word.at);
            let names: Vec<_> = names
                .split(',')
                .map(|name| (place, name.to_owned()))
                .collect();
            draft.unset(table, at, &ids, &names);
        }
        Command::Move => {
            let (ids, rest) = items(draft)?;
            let (before, rest) = match rest.split_first() {
                None => (None, rest),
                Some((word, rest)) => (Some(destination(draft, table, word, numbers)?), rest),
            };
            no_more(rest)?;
            for id in ids {
                draft.move_before(table, at, id, before);
            }
        }
        Command::Export | Command::Find | Command::Get | Command::Monitor | Command::Print => {
            let text = format!("{} changes nothing", command.name());
            return Err(Error::new(at, text));
        }
    }
    Ok(None)
}

/// `add`, in which `copy-from` names the item to begin with.
fn add(
    draft: &mut Draft,
    table: &'static dyn Table,
    at: Position,
    arguments: &[Word],
    numbers: Numbers<'_>,
) -> Result<Id, Error> {
    let copy = |word: &Word| named(word, COPY_FROM);
    let Some(original) = arguments.iter().find_map(copy) else {
        return Ok(draft.add(table, at, arguments, None));
    };
    let rows: Vec<_> = Row::all(table, draft.config()).collect();
    let original = selected(&rows, &original, numbers)?.first().copied();
    let rest = arguments.iter().filter(|word| copy(word).is_none());
    Ok(draft.add(table, at, rest, original))
}

/// The argument of `add` that names the item to begin with.
pub const COPY_FROM: &str = "copy-from";

/// The items that the first argument means, and the arguments behind it.
fn items<'a>(
    draft: &Draft,
    table: &'static dyn Table,
    at: Position,
    arguments: &'a [Word],
    numbers: Numbers<'_>,
) -> Result<(Vec<Id>, &'a [Word]), Error> {
    let Some((selector, rest)) = arguments.split_first() else {
        return Err(Error::new(at, "missing value(s) of argument(s) numbers"));
    };
    let rows: Vec<_> = Row::all(table, draft.config()).collect();
    Ok((selected(&rows, selector, numbers)?, rest))
}

/// The one item that `word` means, also as `destination=`.
fn destination(
    draft: &Draft,
    table: &'static dyn Table,
    word: &Word,
    numbers: Numbers<'_>,
) -> Result<Id, Error> {
    let rows: Vec<_> = Row::all(table, draft.config()).collect();
    let found = match named(word, "destination") {
        Some(word) => selected(&rows, &word, numbers)?,
        None => selected(&rows, word, numbers)?,
    };
    let first = found.first().copied();
    first.ok_or_else(|| Error::new(word.at, "no such item"))
}

/// The value of `name=value` as a word of its own.
fn named(word: &Word, wanted: &str) -> Option<Word> {
    let WordKind::Argument {
        name,
        value,
        value_at,
    } = &word.kind
    else {
        return None;
    };
    (name == wanted).then(|| Word {
        at: *value_at,
        kind: WordKind::Bare(value.to_string()),
    })
}

/// The text of the one argument, given by its name or without.
fn text(arguments: &[Word], at: Position, wanted: &str) -> Result<String, Error> {
    let Some((word, rest)) = arguments.split_first() else {
        return Err(Error::new(
            at,
            format!("missing value(s) of argument(s) {wanted}"),
        ));
    };
    no_more(rest)?;
    match &word.kind {
        WordKind::Bare(text) | WordKind::Quoted(text) => Ok(text.clone()),
        WordKind::Argument { name, value, .. }
            if matches!(shortened(name, [(wanted, ())].into_iter()), Found::One(())) =>
        {
            Ok(value.to_string())
        }
        WordKind::Argument { .. }
        | WordKind::Unset(_)
        | WordKind::Comparison { .. }
        | WordKind::Open
        | WordKind::Close
        | WordKind::Not
        | WordKind::Brackets(_) => Err(Error::new(word.at, "expected end of command")),
    }
}

fn no_more(arguments: &[Word]) -> Result<(), Error> {
    match arguments.first() {
        None => Ok(()),
        Some(word) => Err(Error::new(word.at, "expected end of command")),
    }
}

/// A `find` that finds nothing does nothing, as scripts rely on; whoever mistyped should know.
fn warn_of_none(draft: &mut Draft, ids: &[Id], at: Position) {
    if ids.is_empty() {
        draft.warn(at, "no item was found: nothing is changed");
    }
}

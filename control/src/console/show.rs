//! `print`, `find` and `get`: what of a menu is shown, and in which form.

use std::time::SystemTime;

use serde_json::{Value as Json, json};

use super::print::{Record, View};
use super::views::Content;
use super::wire::Request;
use crate::language::lex::{Position, Word, WordKind};
use crate::language::path::{Found, Invocation, shortened};
use crate::model::{Error, Id, export, found, selected};

/// What was asked of `print`.
#[derive(Debug)]
pub(super) struct Options<'w> {
    form: Option<Form>,
    pub(super) show_sensitive: bool,
    show_ids: bool,
    stats: bool,
    proplist: Option<(Position, String)>,
    from: Option<Word>,
    condition: Option<(&'w [Word], &'w Word)>,
}

/// How rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Blocks,
    Terse,
    ValueList,
    AsValue,
    Count,
}

/// What is shown.
pub(super) struct Shown {
    pub(super) text: String,
    /// Who has the numbers 0, 1 and so on from now on.
    pub(super) numbers: Option<Vec<Id>>,
}

/// The words that `print` takes.
pub const OPTIONS: &[(&str, &str)] = &[
    ("as-value", "one line, for scripts"),
    ("brief", "a table"),
    ("count-only", "only how many there are"),
    ("detail", "every property"),
    ("show-ids", "ids in place of numbers"),
    ("show-sensitive", "passwords too"),
    ("stats", "what was moved"),
    ("terse", "a line for each item"),
    ("value-list", "a line for each property"),
    ("without-paging", "all at once"),
];

impl<'w> Options<'w> {
    /// Reads what follows `print`.
    pub(super) fn parse(invocation: &Invocation<'w>) -> Result<Self, Error> {
        let mut options = Self {
            form: None,
            show_sensitive: false,
            show_ids: false,
            stats: false,
            proplist: None,
            from: None,
            condition: None,
        };
        let mut words = invocation.arguments;
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            let unexpected = || Error::new(word.at, "expected end of command");
            match &word.kind {
                WordKind::Bare(text) if text == "where" => {
                    options.condition = Some((rest, word));
                    break;
                }
                WordKind::Bare(text) => {
                    let known = OPTIONS.iter().map(|&(name, _)| (name, name));
                    let Found::One(option) = shortened(text, known) else {
                        return Err(unexpected());
                    };
                    options.take(option);
                }
                WordKind::Argument {
                    name,
                    value,
                    value_at,
                } => match name.as_str() {
                    "proplist" => options.proplist = Some((*value_at, value.to_string())),
                    "from" => {
                        options.from = Some(Word {
                            at: *value_at,
                            kind: WordKind::Bare(value.to_string()),
                        });
                    }
                    _ => return Err(unexpected()),
                },
                WordKind::Quoted(_)
                | WordKind::Unset(_)
                | WordKind::Comparison { .. }
                | WordKind::Open
                | WordKind::Close
                | WordKind::Not
                | WordKind::Brackets(_) => return Err(unexpected()),
            }
        }
        Ok(options)
    }

    fn take(&mut self, option: &str) {
        match option {
            "as-value" => self.form = Some(Form::AsValue),
            "brief" => self.form = Some(Form::Table),
            "count-only" => self.form = Some(Form::Count),
            "detail" => self.form = Some(Form::Blocks),
            "terse" => self.form = Some(Form::Terse),
            "value-list" => self.form = Some(Form::ValueList),
            "show-ids" => self.show_ids = true,
            "show-sensitive" => self.show_sensitive = true,
            "stats" => self.stats = true,
            _ => {}
        }
    }

    /// The words behind `where`; none if there are none.
    pub(super) fn condition_words(&self) -> &'w [Word] {
        self.condition.map_or(&[], |(words, _)| words)
    }

    /// Whether all rows are shown in a table of the usual columns, where `blocks` are shown if
    /// nothing is asked for.
    pub(super) fn is_plain_table(&self, blocks: bool) -> bool {
        let is_table = self.form == Some(Form::Table) || (self.form.is_none() && !blocks);
        is_table && self.proplist.is_none() && self.from.is_none() && self.condition.is_none()
    }

    /// Shows a menu.
    pub(super) fn show(&self, content: Content, request: &Request) -> Result<Shown, Error> {
        let mut view = match content {
            Content::Rows(view) => view,
            Content::Single(mut view) => {
                self.filter(&mut view)?;
                let record = view.records.first().cloned().unwrap_or_default();
                let text = match (request.json, self.form) {
                    (true, _) => lines_of(&record.json(&[])),
                    (false, Some(Form::AsValue)) => view.as_value(),
                    (false, _) => record.lines(),
                };
                return Ok(Shown {
                    text,
                    numbers: None,
                });
            }
            Content::Page { text, json } => {
                let text = if request.json { lines_of(&json) } else { text };
                return Ok(Shown {
                    text,
                    numbers: None,
                });
            }
        };
        self.filter(&mut view)?;
        view.with_ids = self.show_ids;
        if self.stats {
            view.show_stats();
        }
        let blocks = if view.blocks {
            Form::Blocks
        } else {
            Form::Table
        };
        let form = self.form.unwrap_or(blocks);
        let width = usize::from(request.width);
        let text = match form {
            Form::Count => format!("{}\n", view.records.len()),
            _ if request.json => lines_of(&view.json()),
            Form::Table if view.is_log => view.log(),
            Form::Table => view.table(),
            Form::Blocks => view.blocks(width),
            Form::Terse => view.terse(),
            Form::ValueList => view.value_list(),
            Form::AsValue => view.as_value(),
        };
        let numbers = view.records.iter().map(|record| record.id).collect();
        Ok(Shown {
            text,
            numbers: Some(numbers),
        })
    }

    /// Leaves only the rows and properties that are asked for.
    fn filter(&self, view: &mut View) -> Result<(), Error> {
        if let Some((condition, word)) = self.condition {
            let ids = matching(view, condition, word)?;
            view.keep(&ids);
        }
        if let Some(word) = &self.from {
            let rows: Vec<_> = view.rows().collect();
            let ids = selected(&rows, word, None)?;
            drop(rows);
            view.keep(&ids);
        }
        if let Some((at, list)) = &self.proplist {
            let mut names = Vec::new();
            for name in list.split(',').filter(|name| !name.is_empty()) {
                names.push(property(view, name, *at)?);
            }
            view.choose(&names);
        }
        Ok(())
    }
}

/// The rows that a condition holds for.
fn matching(view: &View, condition: &[Word], whole: &Word) -> Result<Vec<Id>, Error> {
    let rows: Vec<_> = view.rows().collect();
    let ids = found(&rows, condition, whole)?;
    // A name that the menu does not have is wrong also where there is no row.
    if rows.is_empty() {
        let nobody = Record::default();
        found(&[view.row(&nobody)], condition, whole)?;
    }
    Ok(ids)
}

/// Whether a condition holds for any row; none always does.
pub(super) fn fits(view: &View, condition: &[Word]) -> bool {
    let Some(first) = condition.first() else {
        return true;
    };
    let whole = Word {
        at: first.at,
        kind: WordKind::Open,
    };
    let rows: Vec<_> = view.rows().collect();
    found(&rows, condition, &whole).is_ok_and(|ids| !ids.is_empty())
}

/// The condition of `find`, with or without `where` before it.
pub(super) fn condition_of_find<'w>(invocation: &Invocation<'w>) -> &'w [Word] {
    match invocation.arguments {
        [
            Word {
                kind: WordKind::Bare(word),
                ..
            },
            rest @ ..,
        ] if word == "where" => rest,
        all => all,
    }
}

/// `find`.
pub(super) fn find(view: &View, invocation: &Invocation<'_>) -> Result<Vec<Id>, Error> {
    let whole = Word {
        at: invocation.at,
        kind: WordKind::Open,
    };
    let condition = condition_of_find(invocation);
    matching(view, condition, &whole)
}

/// `get`, once it is known of what.
pub(super) fn get(
    view: &View,
    record: &Record,
    arguments: &[Word],
    as_json: bool,
) -> Result<String, Error> {
    let Some((word, rest)) = arguments.split_first() else {
        let mut one = view.clone();
        one.records = vec![record.clone()];
        return Ok(if as_json {
            lines_of(&record.json(view.flags))
        } else {
            one.as_value()
        });
    };
    let unexpected = |word: &Word| Error::new(word.at, "expected end of command");
    if let Some(word) = rest.first() {
        return Err(unexpected(word));
    }
    let (at, name) = match &word.kind {
        WordKind::Bare(name) => (word.at, name.as_str()),
        WordKind::Argument {
            name,
            value,
            value_at,
        } if name == "value-name" => (*value_at, value.as_str()),
        WordKind::Argument { .. }
        | WordKind::Quoted(_)
        | WordKind::Unset(_)
        | WordKind::Comparison { .. }
        | WordKind::Open
        | WordKind::Close
        | WordKind::Not
        | WordKind::Brackets(_) => return Err(unexpected(word)),
    };
    let name = property(view, name, at)?;
    let value = record.value(name, view.flags);
    Ok(if as_json {
        lines_of(&json!(value))
    } else {
        format!("{value}\n")
    })
}

/// Whether `monitor` is to tell once, not again and again.
pub(super) fn is_once(arguments: &[Word]) -> Result<bool, Error> {
    let Some((word, rest)) = arguments.split_first() else {
        return Ok(false);
    };
    let is_it = |text: &str| matches!(shortened(text, [("once", ())].into_iter()), Found::One(()));
    match (&word.kind, rest.first()) {
        (WordKind::Bare(text), None) if is_it(text) => Ok(true),
        (WordKind::Bare(text), Some(other)) if is_it(text) => {
            Err(Error::new(other.at, "expected end of command"))
        }
        _ => Err(Error::new(word.at, "expected end of command")),
    }
}

/// The words that `export` takes.
pub(super) const EXPORT_OPTIONS: &[(&str, &str)] = &[
    ("compact", "without what has its default"),
    ("show-sensitive", "passwords too"),
    ("terse", "a line for each item, with its whole path"),
    ("verbose", "also what has its default"),
];

/// What was asked of `export`.
pub(super) fn export_options(arguments: &[Word]) -> Result<export::Options, Error> {
    let mut options = export::Options::default();
    for word in arguments {
        let mut known = EXPORT_OPTIONS.iter().map(|&(name, _)| name);
        let option = if let WordKind::Bare(text) = &word.kind {
            shortened(text, known.map(|name| (name, name)))
        } else if let WordKind::Argument { name, value_at, .. } = &word.kind
            && known.any(|known| known == name)
        {
            return Err(Error::new(*value_at, "syntax error"));
        } else {
            Found::None
        };
        match option {
            Found::One("show-sensitive") => options.show_sensitive = true,
            Found::One("terse") => options.terse = true,
            Found::One("verbose") => options.verbose = true,
            Found::One(_) => {}
            Found::None | Found::Many => {
                return Err(Error::new(word.at, "expected end of command"));
            }
        }
    }
    Ok(options)
}

/// The property that `name` is, or is the beginning of.
fn property(view: &View, name: &str, at: Position) -> Result<&'static str, Error> {
    match shortened(name, view.names.iter().map(|&known| (known, known))) {
        Found::One(name) => Ok(name),
        Found::None | Found::Many => {
            let text = "input does not match any value of value-name";
            Err(Error::new(at, text))
        }
    }
}

/// A time of day as the product writes it.
pub(super) fn date(date: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(date).to_string();
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

fn lines_of(json: &Json) -> String {
    format!("{json:#}\n")
}

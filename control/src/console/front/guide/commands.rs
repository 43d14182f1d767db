//! What each command of a menu takes.

use std::time::SystemTime;

use super::values::properties;
use super::{Argument, Command, Condition, NUMBERS, Positional, Values};
use crate::console::accounts::Found;
use crate::console::print::View;
use crate::console::show;
use crate::console::snapshot::Snapshot;
use crate::console::views::{self, Content, Facts};
use crate::language::path::{self, Path};
use crate::log::Recent;
use crate::model::table::{self, Table};
use crate::model::{COPY_FROM, Config};

/// `command` in the menu `path`, with what it takes there.
pub(super) fn command(path: &'static Path, command: path::Command) -> Command {
    let items: &[Positional] = if is_single(path) {
        &[]
    } else {
        &[Positional::Items]
    };
    let (positional, mut arguments, condition) = match command {
        path::Command::Add => {
            let mut arguments = properties(path);
            let copy = named(COPY_FROM, "the item to begin with", path);
            arguments.extend((!arguments.is_empty()).then_some(copy));
            (&[][..], arguments, Condition::Nowhere)
        }
        path::Command::Set => (items, optional(properties(path)), Condition::Nowhere),
        path::Command::Get | path::Command::Unset => {
            let mut names = conditions(path);
            for name in &mut names {
                name.values = None;
            }
            if command == path::Command::Unset {
                let kept = properties(path);
                names.retain(|name| kept.iter().any(|one| one.name == name.name));
            }
            (items, names, Condition::Nowhere)
        }
        path::Command::Comment => {
            let text = Argument::of("comment", "the text", Values::shaped("text"));
            (
                &[Positional::Items, Positional::Text][..],
                vec![text],
                Condition::Nowhere,
            )
        }
        path::Command::Move => {
            let place = named("destination", "the item that stands behind it then", path);
            (
                &[Positional::Items, Positional::Items][..],
                vec![place],
                Condition::Nowhere,
            )
        }
        path::Command::Disable | path::Command::Enable | path::Command::Remove => {
            (items, Vec::new(), Condition::Nowhere)
        }
        path::Command::Monitor => {
            let once = Argument::word("once", "only now");
            (items, vec![once], Condition::Nowhere)
        }
        path::Command::Export => {
            let words = show::EXPORT_OPTIONS.iter();
            let words = words.map(|&(name, help)| Argument::word(name, help));
            (&[][..], words.collect(), Condition::Nowhere)
        }
        path::Command::Print => {
            let has_rows = !is_single(path) && view(path).is_some();
            let condition = if has_rows {
                Condition::BehindWhere
            } else {
                Condition::Nowhere
            };
            (&[][..], print(path), condition)
        }
        path::Command::Find => (&[][..], Vec::new(), Condition::AtOnce),
        path::Command::Reset => (&[][..], Vec::new(), Condition::Nowhere),
    };
    if positional.first() == Some(&Positional::Items) {
        arguments.push(named(NUMBERS, "the items", path));
    }
    arguments.sort_by_key(|argument| argument.name);
    Command {
        name: command.name(),
        help: command.help(),
        positional,
        arguments,
        condition,
    }
}

/// What the items of the menu `path` may be chosen by: their properties and flags.
pub(super) fn conditions(path: &'static Path) -> Vec<Argument> {
    let Some(view) = view(path) else {
        return Vec::new();
    };
    let known = properties(path);
    let mut conditions: Vec<_> = view
        .names
        .iter()
        .map(|&name| {
            let known = known.iter().find(|argument| argument.name == name);
            let mut argument =
                known.map_or_else(|| Argument::of(name, "", Values::default()), Clone::clone);
            if let Some(values) = &mut argument.values {
                values.is_required = false;
                values.default.clear();
                if name == "name" {
                    values.names_of = Some(path);
                }
            }
            argument
        })
        .collect();
    for flag in view.flags {
        if conditions.iter().all(|known| known.name != flag.word) {
            conditions.push(Argument::word(flag.word, "a flag"));
        }
    }
    conditions.sort_by_key(|argument| argument.name);
    conditions
}

fn print(path: &'static Path) -> Vec<Argument> {
    let view = view(path);
    let has_stats = view.as_ref().is_some_and(|view| !view.stats.is_empty());
    let has_secrets = properties(path).iter().any(Argument::is_sensitive);
    let applies = |name: &str| match name {
        "stats" => has_stats,
        "show-sensitive" => has_secrets,
        _ => true,
    };
    let options = show::OPTIONS.iter().filter(|(name, _)| applies(name));
    let mut arguments: Vec<_> = options
        .map(|&(name, help)| Argument::word(name, help))
        .collect();
    if let Some(view) = view {
        let names = Values {
            words: view.names.iter().map(|&name| name.to_owned()).collect(),
            is_list: true,
            ..Values::default()
        };
        arguments.push(Argument::of("proplist", "only these properties", names));
        if !is_single(path) {
            arguments.push(named("from", "only these items", path));
        }
    }
    arguments
}

/// What the menu `path` shows, without any items.
fn view(path: &'static Path) -> Option<View> {
    let (config, snapshot, log) = (Config::default(), Snapshot::default(), Recent::default());
    let facts = Facts {
        config: &config,
        snapshot: &snapshot,
        log: &log,
        accounting: Found::default(),
        show_sensitive: false,
        only_columns: true,
        date: SystemTime::UNIX_EPOCH,
    };
    match views::content(path, &facts) {
        Ok(Content::Rows(view) | Content::Single(view)) => Some(view),
        Ok(Content::Page { .. }) | Err(_) => None,
    }
}

fn is_single(path: &Path) -> bool {
    table::at(path).is_some_and(Table::is_single)
}

/// An argument that names items of the menu `path`.
fn named(name: &'static str, help: &'static str, path: &'static Path) -> Argument {
    let values = Values {
        names_of: Some(path),
        is_list: true,
        ..Values::default()
    };
    Argument::of(name, help, values)
}

/// The same where nothing is missing: what is not given stays as it is.
fn optional(mut arguments: Vec<Argument>) -> Vec<Argument> {
    for values in arguments.iter_mut().filter_map(|one| one.values.as_mut()) {
        values.is_required = false;
    }
    arguments
}

//! Completion and help: what may stand where a line ends.

use super::guide::{Argument, Condition, Guide, Positional, Step, Values, purpose};
use super::reading::{Class, Next, Place};
use crate::language::{shown, write};

/// Asks for the names of the items that a menu has now.
pub(super) type Names<'a> = dyn Fn(&[&str]) -> Vec<String> + 'a;

/// Something that may stand at the end of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// How it is listed.
    pub(super) shown: String,
    /// What takes the place of what was typed of it.
    pub(super) replacement: String,
    pub(super) class: Class,
    /// What it means; empty if its name says all.
    pub(super) help: String,
}

impl Candidate {
    fn new(name: &str, end: &str, class: Class, help: String) -> Self {
        Self {
            shown: name.to_owned(),
            replacement: format!("{name}{end}"),
            class,
            help,
        }
    }

    /// An item or a value, in quotes if it needs them.
    fn value(name: &str, end: &str, next: &Next<'_>) -> Self {
        Self {
            replacement: quoted(name, next.is_quoted) + end,
            ..Self::new(&shown(name), "", Class::Value, String::new())
        }
    }
}

/// What may stand where `next` is, as far as it can be listed.
pub(super) fn candidates(guide: &Guide, next: &Next<'_>, names: &Names<'_>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    match &next.place {
        Place::Path(menu) => {
            let separator = if next.is_slashed { "/" } else { " " };
            if next.typed.starts_with('.') && !menu.is_empty() {
                let help = "the menu above".to_owned();
                candidates.push(Candidate::new("..", separator, Class::Menu, help));
            }
            candidates.extend(guide.below(menu).into_iter().map(|step| match step {
                Step::Menu(name) => {
                    let path: Vec<_> = menu.iter().copied().chain([name]).collect();
                    Candidate::new(name, separator, Class::Menu, purpose(&path))
                }
                Step::Command(command) => {
                    let help = command.help.to_owned();
                    Candidate::new(command.name, " ", Class::Command, help)
                }
            }));
        }
        Place::Arguments {
            menu,
            positional: [Positional::Items, ..],
            ..
        } => candidates.extend(
            names(menu)
                .iter()
                .map(|name| Candidate::value(name, "", next)),
        ),
        Place::Arguments { command, given, .. } => {
            let free = command
                .arguments
                .iter()
                .filter(|argument| !given.contains(&argument.name));
            candidates.extend(free.map(property));
            if command.condition == Condition::BehindWhere {
                let help = "only those that meet a condition".to_owned();
                candidates.push(Candidate::new("where", " ", Class::Property, help));
            }
        }
        Place::Condition(menu) => {
            let properties = guide.conditions(menu).iter();
            candidates.extend(properties.map(|argument| Candidate {
                help: argument.help.to_owned(),
                ..property(argument)
            }));
        }
        Place::Value(Argument {
            values: Some(values),
            ..
        }) => {
            let end = if values.is_list { "" } else { " " };
            let words = values.words.iter().cloned();
            let named = values.names_of.map(names).unwrap_or_default();
            for value in words.chain(named) {
                candidates.push(Candidate::value(&value, end, next));
            }
        }
        Place::Value(_) | Place::Unknown => {}
    }
    candidates.retain(|candidate| candidate.shown.starts_with(&*next.typed));
    candidates
}

/// What `?` tells: a line for each candidate, and one for what cannot be listed.
pub(super) fn help(guide: &Guide, next: &Next<'_>, names: &Names<'_>) -> Vec<Candidate> {
    let mut rows = candidates(guide, next, names);
    let other = match &next.place {
        Place::Arguments {
            positional: [Positional::Items, ..],
            ..
        } => {
            let help = "numbers of the last print, names, ids, or [find ...]";
            Some(("numbers", help.to_owned()))
        }
        Place::Value(Argument {
            values: Some(values),
            help,
            ..
        }) => match &*values.shape {
            // What is chosen by it is of any shape.
            "" if values.words.is_empty() && values.names_of.is_none() => Some(("value", *help)),
            "" => None,
            shape => Some((shape, *help)),
        }
        .map(|(shape, help)| (shape, described(help, default_of(values)))),
        Place::Path(_)
        | Place::Arguments { .. }
        | Place::Condition(_)
        | Place::Value(_)
        | Place::Unknown => None,
    };
    if let Some((shape, help)) = other {
        let shown = format!("<{shape}>");
        rows.push(Candidate::new(&shown, "", Class::Value, help));
    }
    rows
}

fn property(argument: &Argument) -> Candidate {
    let Some(values) = &argument.values else {
        return Candidate::new(
            argument.name,
            " ",
            Class::Property,
            argument.help.to_owned(),
        );
    };
    let mut notes = Vec::new();
    if values.is_required {
        notes.push("required".to_owned());
    }
    let mut choice: Vec<_> = values.words.clone();
    choice.extend(
        values
            .names_of
            .map(|menu| format!("an item of /{}", menu.join(" "))),
    );
    choice.extend((!values.shape.is_empty()).then(|| values.shape.clone()));
    if !choice.is_empty() {
        let separator = if values.is_list { "," } else { " | " };
        notes.push(choice.join(separator));
    }
    notes.extend(default_of(values));
    notes.extend(argument.is_inert.then(|| "has no effect".to_owned()));
    Candidate {
        replacement: format!("{}=", argument.name),
        ..Candidate::new(
            argument.name,
            "",
            Class::Property,
            described(argument.help, notes),
        )
    }
}

fn default_of(values: &Values) -> Option<String> {
    (!values.default.is_empty()).then(|| format!("default {}", values.default))
}

fn described(help: &str, notes: impl IntoIterator<Item = String>) -> String {
    let notes: Vec<_> = notes.into_iter().collect();
    if notes.is_empty() {
        help.to_owned()
    } else {
        format!("{help} ({})", notes.join("; "))
    }
}

/// `text` as one word of the language: in quotes if it needs them or `anyway`.
fn quoted(text: &str, anyway: bool) -> String {
    // Where items are named, a comma stands between two of them.
    if anyway || text.contains(',') {
        write::quoted(text)
    } else {
        write::value(text)
    }
}

#[cfg(test)]
mod tests;

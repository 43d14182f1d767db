//! Reads statements into a [`Config`], by the schema.
//!
//! Every statement is read, also after an error, so that all errors are told at once.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::{self, Malformed, Position, Word, WordKind};
use super::schema::{Effect, Item, NOT_YET, Property, Row, Single, Treatment};
use super::value::{Fault, Reference};
use super::{
    Config, DEFAULT_ENCRYPTION_PROFILE, DEFAULT_PROFILE, Error, Pool, PptpClient, PptpServer,
    Profile, Secret, Warning, check,
};

/// Reads the whole of `text`.
pub(super) fn parse(text: &str) -> Result<(Config, Vec<Warning>), Vec<Error>> {
    let mut reader = Reader::default();
    for statement in lex::statements(text) {
        match statement {
            Ok(words) => reader.statement(&words),
            Err(Malformed(at)) => reader.fail(at, "syntax error"),
        }
        if reader.errors.len() >= MAX_ERRORS {
            break;
        }
    }
    check::check(&mut reader);
    if reader.errors.is_empty() {
        Ok((reader.config, reader.warnings))
    } else {
        reader.errors.sort_by_key(|error| error.at);
        Err(reader.errors)
    }
}

/// More errors than this are one: the text is not a configuration.
const MAX_ERRORS: usize = 50;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) config: Config,
    pub(super) warnings: Vec<Warning>,
    pub(super) errors: Vec<Error>,
    /// What values name, to be looked up at the end: a text may name what stands further down.
    pub(super) references: Vec<(Position, Reference)>,
    /// Where each row was added, by the path of its menu, in the order of the rows.
    pub(super) added: BTreeMap<&'static [&'static str], Vec<Position>>,
    /// Where the value of a property of a single item stands, by its name.
    pub(super) single_values: BTreeMap<&'static str, Position>,
    menu: Vec<&'static str>,
    /// The last menu line was wrong: what stands relative to it cannot be judged.
    lost: bool,
}

impl Reader {
    pub(super) fn fail(&mut self, at: Position, text: impl Into<String>) {
        self.errors.push(Error {
            at,
            text: text.into(),
        });
    }

    fn warn(&mut self, at: Position, text: String) {
        self.warnings.push(Warning { at, text });
    }

    /// A path alone enters a menu; a path with a command runs it and stays where it was.
    fn statement(&mut self, words: &[Word]) {
        let is_bare = |word: &Word| matches!(word.kind, WordKind::Bare(_));
        let is_rooted =
            matches!(words, [Word { kind: WordKind::Bare(text), .. }, ..] if text.starts_with('/'));
        if self.lost && !is_rooted {
            return;
        }
        let mut path = self.menu.clone();
        for (index, word) in words.iter().enumerate() {
            let WordKind::Bare(text) = &word.kind else {
                return self.fail(word.at, "syntax error");
            };
            if text.starts_with('/') {
                path.clear();
            }
            let mut segments = Segments::of(word.at, text);
            while let Some((at, segment)) = segments.next() {
                match step(&path, segment) {
                    Step::Up => {
                        path.pop();
                    }
                    Step::Menu(name) => path.push(name),
                    Step::Command(run) if segments.clone().next().is_none() => {
                        return run(self, at, &words[index + 1..]);
                    }
                    Step::NotYet => {
                        let menu = path.join(" ");
                        return self.fail(at, format!("/{menu} is not supported yet"));
                    }
                    Step::Command(_) | Step::Unknown => {
                        self.lost = is_rooted && words.iter().all(is_bare);
                        return self.fail(at, format!("bad command name {}", shown(segment)));
                    }
                }
            }
        }
        self.menu = path;
        self.lost = false;
    }

    /// `add`.
    fn add<T: Row>(&mut self, at: Position, arguments: &[Word]) {
        let mut item = T::default();
        let given = self.assign(std::slice::from_mut(&mut item), arguments);
        let missing: Vec<_> = T::MENU
            .properties
            .iter()
            .filter(|property| property.required && !given.contains(property.name))
            .map(|property| property.name)
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(" ");
            self.fail(at, format!("missing value(s) of argument(s) {missing}"));
        }
        // Added even if a value is wrong, so that nothing is said about references to it.
        T::rows(&mut self.config).push(item);
        self.added.entry(T::MENU.path).or_default().push(at);
    }

    /// `set` of a menu with one item.
    fn set_single<T: Single>(&mut self, _at: Position, arguments: &[Word]) {
        let mut item = T::single(&mut self.config).clone();
        self.assign(std::slice::from_mut(&mut item), arguments);
        *T::single(&mut self.config) = item;
        for argument in arguments {
            if let WordKind::Argument { name, value_at, .. } = &argument.kind
                && let Some(property) = T::MENU.property(name)
            {
                self.single_values.insert(property.name, *value_at);
            }
        }
    }

    /// `set` of `/ppp profile`, whose built-in items cannot be added.
    fn set_profile(&mut self, at: Position, arguments: &[Word]) {
        let Some((selector, arguments)) = arguments.split_first() else {
            return self.fail(at, "missing value(s) of argument(s) numbers");
        };
        let Some(selected) = self.select(selector) else {
            return;
        };
        if selected.is_empty() {
            return self.fail(selector.at, "no such item");
        }
        let mut items: Vec<_> = selected
            .iter()
            .map(|&index| self.config.profiles[index].clone())
            .collect();
        let given = self.assign(&mut items, arguments);
        if given.contains("name") && selected.iter().any(|&index| index < BUILT_IN) {
            return self.fail(at, "failure: can not rename default profile");
        }
        for (index, item) in selected.into_iter().zip(items) {
            self.config.profiles[index] = item;
        }
    }

    /// The indexes of the profiles that `selector` means; `None` after an error.
    fn select(&mut self, selector: &Word) -> Option<Vec<usize>> {
        let profiles = &self.config.profiles;
        let all = 0..profiles.len();
        match &selector.kind {
            WordKind::Quoted(name) => {
                return Some(all.filter(|&index| profiles[index].name == *name).collect());
            }
            WordKind::Bare(list) => {
                let mut selected = Vec::new();
                for name in list.split(',') {
                    let name = match name {
                        "*0" => DEFAULT_PROFILE,
                        "*FFFFFFFE" => DEFAULT_ENCRYPTION_PROFILE,
                        name => name,
                    };
                    match profiles.iter().position(|profile| profile.name == name) {
                        Some(index) => selected.push(index),
                        None => return Some(Vec::new()),
                    }
                }
                return Some(selected);
            }
            WordKind::Brackets(words) => {
                let mut words = words.iter();
                let find = words.next();
                if !find.is_some_and(|word| word.kind == WordKind::Bare("find".to_owned())) {
                    let at = find.map_or(selector.at, |word| word.at);
                    self.fail(at, "syntax error");
                    return None;
                }
                let mut selected: Vec<_> = all.collect();
                for word in words {
                    let WordKind::Argument { name, value, .. } = &word.kind else {
                        self.fail(word.at, "syntax error");
                        return None;
                    };
                    let shown: Box<dyn Fn(usize) -> String> = if name == "default" {
                        Box::new(|index| if index < BUILT_IN { "yes" } else { "no" }.to_owned())
                    } else if let Some(Property {
                        effect: Effect::Kept { show, .. },
                        ..
                    }) = Profile::MENU.property(name)
                    {
                        Box::new(|index| show(&self.config.profiles[index]))
                    } else {
                        self.fail(word.at, "expected end of command");
                        return None;
                    };
                    selected.retain(|&index| shown(index) == **value);
                }
                return Some(selected);
            }
            WordKind::Argument { .. } | WordKind::Unset(_) => {}
        }
        self.fail(selector.at, "missing value(s) of argument(s) numbers");
        None
    }

    /// Gives `arguments` to each of `items`; the names of those that were given.
    fn assign<T: Item>(&mut self, items: &mut [T], arguments: &[Word]) -> BTreeSet<&'static str> {
        let mut given = BTreeSet::new();
        for argument in arguments {
            let (name, value) = match &argument.kind {
                WordKind::Argument {
                    name,
                    value,
                    value_at,
                } => (name, Some((value, *value_at))),
                WordKind::Unset(name) => (name, None),
                WordKind::Bare(_) | WordKind::Quoted(_) | WordKind::Brackets(_) => {
                    self.fail(argument.at, "expected end of command");
                    continue;
                }
            };
            let Some(property) = T::MENU.property(name) else {
                self.fail(argument.at, "expected end of command");
                continue;
            };
            if !given.insert(property.name) {
                self.fail(argument.at, "expected end of command");
                continue;
            }
            match (value, &property.effect) {
                (None, Effect::Kept { reset, .. }) => items.iter_mut().for_each(reset),
                (None, Effect::Inert { .. }) => {}
                (Some((value, at)), Effect::Kept { set, .. }) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        match set(item, value) {
                            // What is said about a value is said once, not for each item.
                            Ok(_) if index > 0 => {}
                            Ok(accepted) => {
                                let reference = accepted.reference;
                                self.references.extend(reference.map(|named| (at, named)));
                                if let Some(text) = accepted.warning {
                                    self.warn(at, format!("{name}: {text}"));
                                }
                            }
                            Err(fault) => {
                                self.fail(at, fault_text(property.name, fault));
                                break;
                            }
                        }
                    }
                }
                (Some((value, at)), Effect::Inert { words, others, .. }) => {
                    self.treat(property.name, value, at, words, *others);
                }
            }
        }
        given
    }

    /// Does what the schema says about a value of an inert property.
    fn treat(
        &mut self,
        name: &str,
        value: &str,
        at: Position,
        words: &[(&'static str, Treatment)],
        others: Option<Treatment>,
    ) {
        let word = words.iter().find(|(word, _)| *word == value);
        let Some(treatment) = word.map(|&(_, treatment)| treatment).or(others) else {
            return self.fail(at, "syntax error");
        };
        let setting = word.map_or_else(|| name.to_owned(), |(word, _)| format!("{name}={word}"));
        match treatment {
            Treatment::Fine => {}
            Treatment::NoEffect => self.warn(at, format!("{setting} has no effect")),
            Treatment::NotYet => self.fail(at, format!("{setting} is not supported yet")),
            Treatment::Never(instead) => {
                self.fail(at, format!("{setting} is not supported: {instead}"));
            }
        }
    }
}

/// The profiles before this index are built in.
const BUILT_IN: usize = 2;

/// A command of a menu, given where it stands and what follows it.
type Command = fn(&mut Reader, Position, &[Word]);

/// The menus of the file, each with its commands.
const MENUS: &[(&[&str], &[(&str, Command)])] = &[
    (
        PptpServer::MENU.path,
        &[("set", Reader::set_single::<PptpServer>)],
    ),
    (PptpClient::MENU.path, &[("add", Reader::add::<PptpClient>)]),
    (
        Profile::MENU.path,
        &[
            ("add", Reader::add::<Profile>),
            ("set", Reader::set_profile),
        ],
    ),
    (Secret::MENU.path, &[("add", Reader::add::<Secret>)]),
    (Pool::MENU.path, &[("add", Reader::add::<Pool>)]),
    (Config::MENU.path, &[("set", Reader::set_single::<Config>)]),
];

/// What a word means in a menu.
enum Step {
    Up,
    Menu(&'static str),
    Command(Command),
    NotYet,
    Unknown,
}

fn step(path: &[&str], word: &str) -> Step {
    if word == ".." {
        return Step::Up;
    }
    let below = MENUS
        .iter()
        .map(|(menu, _)| *menu)
        .chain(NOT_YET.iter().copied())
        .filter(|menu| menu.starts_with(path))
        .find_map(|menu| menu.get(path.len()).filter(|name| **name == word));
    if let Some(name) = below {
        return Step::Menu(name);
    }
    let commands = MENUS.iter().find(|(menu, _)| *menu == path);
    if let Some((_, commands)) = commands {
        let found = commands.iter().find(|(name, _)| *name == word);
        return found.map_or(Step::Unknown, |&(_, run)| Step::Command(run));
    }
    if NOT_YET.contains(&path) {
        Step::NotYet
    } else {
        Step::Unknown
    }
}

/// The parts of a path between its slashes, with their positions.
#[derive(Clone)]
struct Segments<'a> {
    at: Position,
    rest: &'a str,
}

impl<'a> Segments<'a> {
    const fn of(at: Position, text: &'a str) -> Self {
        Self { at, rest: text }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (Position, &'a str);

    fn next(&mut self) -> Option<(Position, &'a str)> {
        let begin = self.rest.trim_start_matches('/');
        let at = self.at.plus(self.rest.len() - begin.len());
        let end = begin.find('/').unwrap_or(begin.len());
        let (segment, rest) = begin.split_at(end);
        self.at = at.plus(segment.chars().count());
        self.rest = rest;
        (!segment.is_empty()).then_some((at, segment))
    }
}

/// The words of the product for a value that was refused.
fn fault_text(name: &str, fault: Fault) -> String {
    match fault {
        Fault::Syntax => "syntax error".to_owned(),
        Fault::Invalid => format!("invalid value for argument {name}"),
        Fault::OutOfRange(limits) => format!("value of {name} out of range ({limits})"),
        Fault::NotARange => "value of range expects range of ip addresses".to_owned(),
        Fault::Failure(text) => text.to_owned(),
    }
}

/// A word of the text as an error may repeat it: short, and without control characters.
fn shown(word: &str) -> String {
    word.chars()
        .take(64)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;

//! A configuration that is being changed: commands change it one after the other, then everything
//! must fit together, or nothing of it counts.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::table::{self, Table};
use super::value::{Fault, Reference};
use super::{Config, Error, Id, Warning, check};
use crate::language::lex::{Position, Word, WordKind};
use crate::language::path::{Command, Found, Path};

/// A configuration that is being changed.
#[derive(Debug)]
pub struct Draft {
    pub(super) config: Config,
    errors: Vec<Error>,
    warnings: Vec<Warning>,
    /// Where values stand that were set.
    values: HashMap<(&'static Path, Id, &'static str), Position>,
    /// Where rows were added.
    rows: HashMap<(&'static Path, Id), Position>,
    /// Where the last command stands.
    at: Position,
    is_changed: bool,
}

impl Draft {
    /// Begins with a configuration that fits together.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            errors: Vec::new(),
            warnings: Vec::new(),
            values: HashMap::new(),
            rows: HashMap::new(),
            at: Position { line: 1, column: 1 },
            is_changed: false,
        }
    }

    /// As far as it has come.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a command has changed anything.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// How many errors there are.
    #[must_use]
    pub const fn errors(&self) -> usize {
        self.errors.len()
    }

    /// Notes an error.
    pub fn fail(&mut self, at: Position, text: impl Into<String>) {
        self.errors.push(Error::new(at, text));
    }

    /// Notes what is of no use.
    pub fn warn(&mut self, at: Position, text: impl Into<String>) {
        let text = text.into();
        self.warnings.push(Warning { at, text });
    }

    /// Checks that everything fits together; the configuration and what is of no use in it.
    ///
    /// # Errors
    /// All that is wrong, in the order of the text.
    pub fn finish(mut self) -> Result<(Config, Vec<Warning>), Vec<Error>> {
        check::check(&mut self);
        if self.errors.is_empty() {
            self.warnings.sort_by_key(|warning| warning.at);
            return Ok((self.config, self.warnings));
        }
        self.errors.sort_by_key(|error| error.at);
        Err(self.errors)
    }

    /// Carries out a command that makes an item; returns its id.
    pub(crate) fn add<'a>(
        &mut self,
        table: &'static dyn Table,
        at: Position,
        arguments: impl IntoIterator<Item = &'a Word>,
        copy_of: Option<Id>,
    ) -> Id {
        self.change(at);
        let copy_of = copy_of.and_then(|id| table.row(&self.config, id));
        let row = table.add(&mut self.config, copy_of);
        let id = table.id(&self.config, row);
        self.rows.insert((table.path(), id), at);
        if let Some(name) = table.exactly("name").filter(|_| copy_of.is_some()) {
            table.reset(&mut self.config, row, name);
        }
        let given = self.assign(table, &[row], arguments);
        let missing: Vec<_> = table
            .required()
            .filter(|&(property, name)| {
                !given.contains(name) && table.show(&self.config, row, property).is_empty()
            })
            .map(|(_, name)| name)
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(" ");
            self.fail(at, format!("missing value(s) of argument(s) {missing}"));
        }
        id
    }

    /// Changes properties of items.
    pub(crate) fn set(
        &mut self,
        table: &'static dyn Table,
        at: Position,
        ids: &[Id],
        arguments: &[Word],
    ) {
        self.change(at);
        let rows = self.rows_of(table, ids);
        let names: Vec<_> = rows.iter().map(|&row| self.name(table, row)).collect();
        let given = self.assign(table, &rows, arguments);
        if !given.contains("name") || table.is_single() {
            return;
        }
        if rows.iter().any(|&row| table.is_built_in(&self.config, row)) {
            return self.fail(at, "failure: can not rename default profile");
        }
        for (&row, old) in rows.iter().zip(names) {
            let new = self.name(table, row);
            self.rename(table.path(), &old, &new);
        }
    }

    /// Writes the same value to a property of items: `enable`, `disable`, `comment`.
    pub(crate) fn write(
        &mut self,
        table: &'static dyn Table,
        at: Position,
        ids: &[Id],
        (name, value): (&str, &str),
    ) {
        self.change(at);
        let Some(property) = table.exactly(name) else {
            return self.fail(at, "syntax error");
        };
        for row in self.rows_of(table, ids) {
            if let Err(fault) = table.set(&mut self.config, row, property, value) {
                return self.fail(at, fault_text(name, fault));
            }
        }
    }

    /// Puts defaults back.
    pub(crate) fn unset(
        &mut self,
        table: &'static dyn Table,
        at: Position,
        ids: &[Id],
        names: &[(Position, String)],
    ) {
        self.change(at);
        let rows = self.rows_of(table, ids);
        for (at, name) in names {
            let Found::One(property) = table.property(name) else {
                self.fail(*at, "input does not match any value of value-name");
                continue;
            };
            for &row in &rows {
                table.reset(&mut self.config, row, property);
            }
        }
    }

    /// Puts every default back of a menu with one item.
    pub(crate) fn reset(&mut self, table: &'static dyn Table, at: Position) {
        self.change(at);
        for property in 0..table.names().len() {
            table.reset(&mut self.config, 0, property);
        }
    }

    /// Takes items away.
    pub(crate) fn remove(&mut self, table: &'static dyn Table, at: Position, ids: &[Id]) {
        self.change(at);
        let rows = self.rows_of(table, ids);
        if rows.iter().any(|&row| table.is_built_in(&self.config, row)) {
            return self.fail(at, "failure: can not remove default profile");
        }
        let ids: HashSet<_> = ids.iter().copied().collect();
        table.remove(&mut self.config, &ids);
    }

    /// Puts an item in front of another one, or at the end.
    pub(crate) fn move_before(
        &mut self,
        table: &'static dyn Table,
        at: Position,
        id: Id,
        before: Option<Id>,
    ) {
        self.change(at);
        let Some(row) = table.row(&self.config, id) else {
            return;
        };
        let before = before.and_then(|id| table.row(&self.config, id));
        table.move_before(&mut self.config, row, before);
    }

    /// Where a value stands that was set, or the row that was added; `None` if this draft began
    /// with it.
    pub(super) fn place(
        &self,
        path: &'static Path,
        id: Id,
        property: &'static str,
    ) -> Option<Position> {
        let value = self.values.get(&(path, id, property));
        value.or_else(|| self.rows.get(&(path, id))).copied()
    }

    /// Notes an error about an item: where it was added, else where the value stands, else at the
    /// last command.
    pub(super) fn fail_at(
        &mut self,
        path: &'static Path,
        id: Id,
        property: &'static str,
        text: impl Into<String>,
    ) {
        let row = self.rows.get(&(path, id));
        let value = self.values.get(&(path, id, property));
        let at = row.or(value).copied().unwrap_or(self.at);
        self.fail(at, text);
    }

    /// Where the last command stands.
    pub(super) const fn last_command(&self) -> Position {
        self.at
    }

    fn change(&mut self, at: Position) {
        self.at = at;
        self.is_changed = true;
    }

    fn rows_of(&self, table: &'static dyn Table, ids: &[Id]) -> Vec<usize> {
        if let [id] = ids {
            return table.row(&self.config, *id).into_iter().collect();
        }
        let ids: HashSet<_> = ids.iter().collect();
        let rows = 0..table.len(&self.config);
        rows.filter(|&row| ids.contains(&table.id(&self.config, row)))
            .collect()
    }

    fn name(&self, table: &'static dyn Table, row: usize) -> String {
        let name = table.exactly("name");
        name.map_or_else(String::new, |name| table.show(&self.config, row, name))
    }

    /// Those who refer to an item go on to do so when its name changes.
    fn rename(&mut self, path: &Path, old: &str, new: &str) {
        let (old, kind): (_, fn(String) -> Reference) = match path {
            ["ppp", "profile"] => (Reference::Profile(old.to_owned()), Reference::Profile),
            ["ip", "pool"] => (Reference::Pool(old.to_owned()), Reference::Pool),
            _ => return,
        };
        let _ = kind;
        for table in table::TABLES {
            for row in 0..table.len(&self.config) {
                for property in 0..table.names().len() {
                    if table.reference(&self.config, row, property).as_ref() == Some(&old) {
                        // What was a name before is one now.
                        let _ = table.set(&mut self.config, row, property, new);
                    }
                }
            }
        }
    }

    /// Gives `arguments` to each of `rows`; the names of those that were given.
    fn assign<'a>(
        &mut self,
        table: &'static dyn Table,
        rows: &[usize],
        arguments: impl IntoIterator<Item = &'a Word>,
    ) -> BTreeSet<&'static str> {
        let names = table.names();
        let mut given = BTreeSet::new();
        for argument in arguments {
            let (name, value) = match &argument.kind {
                WordKind::Argument {
                    name,
                    value,
                    value_at,
                } => (name, Some((value, *value_at))),
                WordKind::Unset(name) => (name, None),
                WordKind::Bare(_)
                | WordKind::Quoted(_)
                | WordKind::Brackets(_)
                | WordKind::Comparison { .. }
                | WordKind::Open
                | WordKind::Close
                | WordKind::Not => {
                    self.fail(argument.at, "expected end of command");
                    continue;
                }
            };
            let property = match table.property(name) {
                Found::One(property) if given.insert(names[property]) => property,
                Found::One(_) | Found::None | Found::Many => {
                    self.fail(argument.at, "expected end of command");
                    continue;
                }
            };
            let name = names[property];
            for &row in rows {
                let Some((value, at)) = value else {
                    table.reset(&mut self.config, row, property);
                    continue;
                };
                let id = table.id(&self.config, row);
                self.values.insert((table.path(), id, name), at);
                match table.set(&mut self.config, row, property, value) {
                    Ok(accepted) => {
                        // What is said about a value is said once, not for each item.
                        if let Some(text) = accepted.warning.filter(|_| row == rows[0]) {
                            let text = warning_text(name, value, text);
                            self.warnings.push(Warning { at, text });
                        }
                    }
                    Err(fault) => {
                        self.fail(at, fault_text(name, fault));
                        break;
                    }
                }
            }
        }
        given
    }
}

/// What changes the configuration; other commands only look at it.
#[must_use]
pub(crate) const fn changes(command: Command) -> bool {
    match command {
        Command::Add
        | Command::Comment
        | Command::Disable
        | Command::Enable
        | Command::Move
        | Command::Remove
        | Command::Reset
        | Command::Set
        | Command::Unset => true,
        Command::Export | Command::Find | Command::Get | Command::Monitor | Command::Print => false,
    }
}

fn warning_text(name: &str, value: &str, text: &str) -> String {
    if text == NO_EFFECT {
        // A word is part of the setting, a text may be long.
        let is_word = value.len() <= 16 && value.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_word && matches!(value, "yes" | "no" | "default" | "required") {
            return format!("{name}={value} {text}");
        }
        return format!("{name} {text}");
    }
    format!("{name}: {text}")
}

const NO_EFFECT: &str = "has no effect";

/// The words of the product for a value that was refused.
fn fault_text(name: &str, fault: Fault) -> String {
    match fault {
        Fault::Syntax => "syntax error".to_owned(),
        Fault::Invalid => format!("invalid value for argument {name}"),
        Fault::OutOfRange(limits) => format!("value of {name} out of range ({limits})"),
        Fault::NotARange => "value of range expects range of ip addresses".to_owned(),
        Fault::Refused(text) => text,
        Fault::Failure(text) => text.to_owned(),
    }
}

//! What may be typed: the menus, their commands, and what these take.
//!
//! All of it is taken from the [schema](crate::model::schema), from what prints and exports can
//! show, and from what the language knows of commands. Only the commands that the console carries
//! out itself are named here.

use std::collections::BTreeMap;

use crate::language::path::{self, Found, Path, shortened};
use crate::model::schema::MENUS;

mod commands;
mod values;

/// The commands that the console carries out itself, in every menu.
pub(super) const OWN: &[(&str, &str)] = &[(QUIT, "leave the console")];

/// The command that leaves the console.
pub(super) const QUIT: &str = "quit";

/// The name of the items that a command is about, which may be left out.
pub(super) const NUMBERS: &str = "numbers";

/// Everything that may be typed.
#[derive(Debug)]
pub(super) struct Guide {
    menus: BTreeMap<&'static Path, Menu>,
    /// What works in every menu.
    own: Vec<Command>,
}

/// A menu, or the way to some.
#[derive(Debug)]
struct Menu {
    /// The menus below it.
    below: Vec<&'static str>,
    commands: Vec<Command>,
    /// What its items may be chosen by.
    conditions: Vec<Argument>,
}

/// A command of a menu.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// What comes first, without a name.
    pub(super) positional: &'static [Positional],
    /// What it takes besides.
    pub(super) arguments: Vec<Argument>,
    pub(super) condition: Condition,
}

/// What a command takes without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Positional {
    /// Items of its menu.
    Items,
    /// A text, which may have its name as well.
    Text,
}

/// Where a command takes a condition that items have to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Nowhere,
    BehindWhere,
    /// It takes nothing else.
    AtOnce,
}

/// Something that may follow a command.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// What stands behind `=`; `None` if the name is all.
    pub(super) values: Option<Values>,
    /// This program does nothing about it.
    pub(super) is_inert: bool,
}

impl Argument {
    /// A name that stands alone.
    const fn word(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            values: None,
            is_inert: false,
        }
    }

    /// A name with one of these values.
    const fn of(name: &'static str, help: &'static str, values: Values) -> Self {
        Self {
            name,
            help,
            values: Some(values),
            is_inert: false,
        }
    }

    /// Its value is nobody else's business.
    pub(super) fn is_sensitive(&self) -> bool {
        let values = self.values.as_ref();
        values.is_some_and(|values| values.is_sensitive)
    }
}

/// The values of an argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// Those that are words.
    pub(super) words: Vec<String>,
    /// The menu whose items' names are values.
    pub(super) names_of: Option<&'static Path>,
    /// What other values look like, as `128..1500`; empty if there are none.
    pub(super) shape: String,
    /// Several of them may be given, with commas between.
    pub(super) is_list: bool,
    /// What holds without it; empty if nothing does.
    pub(super) default: String,
    /// The command does not work without it.
    pub(super) is_required: bool,
    /// It is nobody else's business.
    pub(super) is_sensitive: bool,
}

impl Values {
    /// Anything that looks like this.
    fn shaped(shape: &str) -> Self {
        Self {
            shape: shape.to_owned(),
            ..Self::default()
        }
    }
}

/// What a word of a path names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Menu(&'static str),
    Command(&'a Command),
}

impl Step<'_> {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Menu(name) => name,
            Self::Command(command) => command.name,
        }
    }
}

impl Guide {
    /// Of the menus that this program has.
    pub(super) fn new() -> Self {
        let paths = MENUS.iter().flat_map(|menu| {
            let ends = 0..=menu.path.len();
            ends.map(|end| &menu.path[..end])
        });
        let own = OWN.iter().map(|&(name, help)| Command {
            name,
            help,
            positional: &[],
            arguments: Vec::new(),
            condition: Condition::Nowhere,
        });
        Self {
            menus: paths.map(|path| (path, Menu::at(path))).collect(),
            own: own.collect(),
        }
    }

    /// What may be named in the menu `path`: the menus below it, then the commands.
    pub(super) fn below(&self, path: &[&str]) -> Vec<Step<'_>> {
        let menu = self.menu(path);
        let menus = menu.into_iter().flat_map(|menu| &menu.below);
        let commands = menu.into_iter().flat_map(|menu| &menu.commands);
        let menus = menus.map(|&name| Step::Menu(name));
        let commands = commands.chain(&self.own);
        menus.chain(commands.map(Step::Command)).collect()
    }

    /// What `word` names in the menu `path`, in full or by a beginning that nothing else has.
    pub(super) fn step(&self, path: &[&str], word: &str) -> Option<Step<'_>> {
        let steps = self.below(path).into_iter();
        one(shortened(word, steps.map(|step| (step.name(), step))))
    }

    /// `path` as it is written here; `None` if there is no such menu.
    pub(super) fn path(&self, path: &[String]) -> Option<&'static Path> {
        let mut known = self.menus.keys();
        known.find(|known| known.iter().eq(path)).copied()
    }

    /// What the items of the menu `path` may be chosen by.
    pub(super) fn conditions(&self, path: &[&str]) -> &[Argument] {
        self.menu(path).map_or(&[], |menu| &menu.conditions)
    }

    fn menu(&self, path: &[&str]) -> Option<&Menu> {
        let mut menus = self.menus.iter();
        let found = menus.find(|(known, _)| **known == path)?;
        Some(found.1)
    }
}

impl Menu {
    fn at(path: &'static Path) -> Self {
        let mut below = Vec::new();
        let mut commands = Vec::new();
        for name in path::names(MENUS, path) {
            match name {
                path::Name::Menu(name) => below.push(name),
                path::Name::Command(command) => commands.push(commands::command(path, command)),
            }
        }
        below.sort_unstable();
        commands.sort_by_key(|command| command.name);
        Self {
            below,
            commands,
            conditions: commands::conditions(path),
        }
    }
}

impl Command {
    /// What `word` names among its arguments, in full or by a beginning that nothing else has.
    pub(super) fn argument(&self, word: &str) -> Option<&Argument> {
        named(&self.arguments, word)
    }
}

/// The one of `arguments` that `word` names, in full or by a beginning that nothing else has.
pub(super) fn named<'a>(arguments: &'a [Argument], word: &str) -> Option<&'a Argument> {
    one(shortened(word, arguments.iter().map(|one| (one.name, one))))
}

fn one<T>(found: Found<T>) -> Option<T> {
    match found {
        Found::One(one) => Some(one),
        Found::None | Found::Many => None,
    }
}

/// What the menu `path` holds, in a line.
pub(super) fn purpose(path: &[&str]) -> String {
    let menu = MENUS.iter().find(|menu| menu.path == path);
    menu.map_or_else(
        || {
            // The way to others holds those.
            let below = MENUS.iter().filter(|menu| menu.path.starts_with(path));
            let names = below.filter_map(|menu| menu.path.get(path.len()));
            let mut names: Vec<_> = names.copied().collect();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        },
        |menu| menu.help.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_menu_has_a_purpose_and_every_command_and_property_help() {
        let guide = Guide::new();
        for (path, menu) in &guide.menus {
            assert!(path.is_empty() || !purpose(path).is_empty(), "{path:?}");
            assert!(!menu.commands.is_empty(), "{path:?}");
            for command in &menu.commands {
                assert!(!command.help.is_empty(), "{}", command.name);
                for argument in &command.arguments {
                    let is_state = command.name == "get";
                    assert!(is_state || !argument.help.is_empty(), "{}", argument.name);
                }
            }
        }
    }

    #[test]
    fn a_beginning_is_enough_if_nothing_else_has_it() {
        let guide = Guide::new();
        let step = |path: &[&str], word| guide.step(path, word).map(|step| step.name());
        assert_eq!(step(&[], "in"), Some("interface"));
        assert_eq!(step(&[], "i"), None);
        assert_eq!(step(&[], ""), None);
        assert_eq!(step(&["interface"], "pptp"), None);
        assert_eq!(step(&["ppp", "secret"], "p"), Some("print"));
        assert_eq!(step(&["ppp"], "nothing"), None);
        assert_eq!(
            step(&["interface", "pptp-server"], "server"),
            Some("server")
        );
    }

    #[test]
    fn a_command_takes_what_its_menu_has() {
        let guide = Guide::new();
        for (path, command, expected) in [
            (
                &["ip", "pool"][..],
                "add",
                "comment copy-from name next-pool ranges",
            ),
            (
                &["ip", "pool"],
                "unset",
                "comment name next-pool numbers ranges",
            ),
            (&["ip", "pool"], "comment", "comment numbers"),
            (&["radius"], "move", "destination numbers"),
            (&["ppp", "active"], "remove", "numbers"),
            (&["system", "identity"], "set", "name"),
            (&["system", "identity"], "get", "name"),
            (&["interface", "pptp-client"], "monitor", "numbers once"),
            (&[], "export", "compact show-sensitive terse verbose"),
            (
                &["datapath"],
                "print",
                "as-value brief count-only detail show-ids terse value-list without-paging",
            ),
        ] {
            let Some(Step::Command(found)) = guide.step(path, command) else {
                panic!("{command}");
            };
            let names: Vec<_> = found.arguments.iter().map(|one| one.name).collect();
            assert_eq!(names.join(" "), expected, "{path:?} {command}");
        }
        let active = guide.conditions(&["ppp", "active"]);
        assert!(active.iter().any(|one| one.name == "caller-id"));
        let server = guide.conditions(&["interface", "pptp-server"]);
        assert!(server.iter().any(|one| one.name == "dynamic"));
    }
}

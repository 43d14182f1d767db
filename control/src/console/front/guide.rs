//! What may be typed: the menus, their commands, and what these take.
//!
//! This is no second list of properties: their names, help and defaults are those of the
//! [schema](crate::model::schema), and what they take is found out by [asking](probe) the schema's
//! own reader.

use crate::model::{Config, Pool, PptpClient, PptpServer, Profile, Secret};

mod commands;
mod probe;

/// The path of a menu.
pub(super) type Path = &'static [&'static str];

/// Everything that may be typed.
#[derive(Debug)]
pub(super) struct Guide {
    menus: Vec<Menu>,
    /// What works in every menu.
    everywhere: Vec<Command>,
}

/// A menu with commands.
#[derive(Debug)]
pub(super) struct Menu {
    path: Path,
    commands: Vec<Command>,
    /// What its items may be chosen by.
    properties: Vec<Argument>,
}

/// A command of a menu.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// It is about items of its menu, which come first.
    pub(super) takes_items: bool,
    /// What it takes besides.
    pub(super) arguments: Vec<Argument>,
    pub(super) condition: Condition,
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
}

impl Argument {
    /// Its value is nobody else's business.
    pub(super) fn is_sensitive(&self) -> bool {
        self.values
            .as_ref()
            .is_some_and(|values| values.is_sensitive)
    }
}

/// The values of an argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// Those that are words.
    pub(super) words: Vec<&'static str>,
    /// The menu whose items' names are values.
    pub(super) names_of: Option<Path>,
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
        let menus = vec![
            commands::root(),
            commands::sessions(),
            commands::single::<PptpServer>(),
            commands::running::<PptpClient>(),
            commands::rows::<Pool>(),
            commands::active(),
            commands::rows::<Profile>(),
            commands::rows::<Secret>(),
            commands::single::<Config>(),
            commands::datapath(),
        ];
        let everywhere = vec![commands::quit()];
        Self { menus, everywhere }
    }

    /// What may be named in the menu `path`: the menus below it, then the commands.
    pub(super) fn below(&self, path: &[&str]) -> Vec<Step<'_>> {
        let mut names: Vec<_> = self
            .menus
            .iter()
            .filter(|menu| menu.path.starts_with(path))
            .filter_map(|menu| menu.path.get(path.len()).copied())
            .collect();
        names.sort_unstable();
        names.dedup();
        let commands = self.menu(path).map_or(&[][..], |menu| &menu.commands);
        let menus = names.into_iter().map(Step::Menu);
        let commands = commands.iter().chain(&self.everywhere);
        menus.chain(commands.map(Step::Command)).collect()
    }

    /// What `word` names in the menu `path`, in full or by a beginning that nothing else has.
    pub(super) fn step(&self, path: &[&str], word: &str) -> Option<Step<'_>> {
        unambiguous(self.below(path), word, Step::name)
    }

    /// `path` as it is written here; `None` if there is no such menu.
    pub(super) fn path(&self, path: &[String]) -> Option<Vec<&'static str>> {
        let is_begun = |menu: &&Menu| menu.path.iter().zip(path).all(|(ours, word)| ours == word);
        let mut menus = self
            .menus
            .iter()
            .filter(|menu| menu.path.len() >= path.len());
        let menu = menus.find(is_begun)?;
        Some(menu.path[..path.len()].to_vec())
    }

    /// What the items of the menu `path` may be chosen by.
    pub(super) fn properties(&self, path: &[&str]) -> &[Argument] {
        self.menu(path).map_or(&[], |menu| &menu.properties)
    }

    fn menu(&self, path: &[&str]) -> Option<&Menu> {
        self.menus.iter().find(|menu| menu.path == path)
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
    unambiguous(arguments, word, |argument| argument.name)
}

/// What the menu `path` is for, in a few words.
pub(super) fn purpose(path: &[&str]) -> &'static str {
    let known = PURPOSES.iter().find(|(menu, _)| *menu == path);
    known.map_or("", |&(_, purpose)| purpose)
}

const PURPOSES: &[(Path, &str)] = &[
    (&["interface"], "tunnels"),
    (&["interface", "pptp-client"], "tunnels that we dial"),
    (&["interface", "pptp-server"], "tunnels of clients"),
    (
        &["interface", "pptp-server", "server"],
        "how clients are let in",
    ),
    (&["ip"], "addresses"),
    (&["ip", "pool"], "where clients' addresses are taken from"),
    (&["ppp"], "users and what they get"),
    (&["ppp", "active"], "users who are logged in"),
    (&["ppp", "profile"], "what users have in common"),
    (&["ppp", "secret"], "users and their passwords"),
    (&["system"], "this machine"),
    (&["system", "identity"], "its name"),
    (&["datapath"], "how the packets move"),
];

fn unambiguous<T>(
    all: impl IntoIterator<Item = T>,
    word: &str,
    name: impl Fn(&T) -> &'static str,
) -> Option<T> {
    let mut found = None;
    let mut is_ambiguous = word.is_empty();
    for one in all {
        if name(&one) == word {
            return Some(one);
        }
        if name(&one).starts_with(word) {
            is_ambiguous |= found.is_some();
            found = Some(one);
        }
    }
    found.filter(|_| !is_ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_menu_has_a_purpose_and_every_command_help() {
        let guide = Guide::new();
        for menu in &guide.menus {
            for end in 1..=menu.path.len() {
                assert!(!purpose(&menu.path[..end]).is_empty(), "{:?}", menu.path);
            }
            assert!(!menu.commands.is_empty(), "{:?}", menu.path);
            for command in &menu.commands {
                assert!(!command.help.is_empty(), "{}", command.name);
                for argument in &command.arguments {
                    assert!(!argument.help.is_empty(), "{}", argument.name);
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
}

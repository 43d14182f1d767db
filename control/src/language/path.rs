//! Which command of which menu a statement means.
//!
//! A path is written with spaces or slashes, and each of its words may be shortened as long as it
//! is unambiguous. A path alone enters a menu; a path with a command runs that and stays where it
//! was.

use super::lex::{Position, Word, WordKind};
use super::{Error, shown};

/// The words of a menu's path.
pub type Path = [&'static str];

/// A menu: where it is, and what can be done there.
#[derive(Debug)]
pub struct Menu {
    /// The words of its path: `["ppp", "secret"]`.
    pub path: &'static Path,
    /// What it holds, in a line.
    pub help: &'static str,
    /// What can be done there, besides `export`, which can be done everywhere.
    pub commands: &'static [Command],
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])* $variant:ident => $name:literal, $help:literal;)+) => {
        /// What can be done in a menu.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Command {
            $($(#[doc = $doc])* $variant,)+
        }

        impl Command {
            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it does, in a line.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $help,)+
                }
            }
        }
    };
}

commands! {
    /// Makes an item.
    Add => "add", "make an item";
    /// Writes a comment to items.
    Comment => "comment", "write a comment to items";
    /// Switches items off.
    Disable => "disable", "switch items off";
    /// Switches items on.
    Enable => "enable", "switch items on";
    /// Writes the commands that make the configuration.
    Export => "export", "write the commands that make this configuration";
    /// Names the items that a condition holds for.
    Find => "find", "name the items that a condition holds for";
    /// Tells one value.
    Get => "get", "tell the value of one property";
    /// Shows what goes on, again and again.
    Monitor => "monitor", "show what goes on, again and again";
    /// Puts an item in front of another one.
    Move => "move", "put an item in front of another one";
    /// Shows items.
    Print => "print", "show items";
    /// Takes items away.
    Remove => "remove", "take items away; a session ends";
    /// Puts every default back.
    Reset => "reset", "put every default back";
    /// Changes properties.
    Set => "set", "change properties of items";
    /// Puts defaults back.
    Unset => "unset", "put the default of a property back";
}

/// What a statement means.
#[derive(Debug)]
pub(crate) enum Resolved<'a> {
    /// From now on, paths begin here.
    Enter(Vec<&'static str>),
    /// A command.
    Run(Invocation<'a>),
}

/// A command where it stands.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    /// The menu; for `export` it may be the beginning of the paths of several.
    pub(crate) path: Vec<&'static str>,
    /// The command.
    pub(crate) command: Command,
    /// Where the command stands.
    pub(crate) at: Position,
    /// What follows it.
    pub(crate) arguments: &'a [Word],
}

/// Finds out what a statement means in the menu `current`.
///
/// # Errors
/// It means nothing, or more than one thing.
pub(crate) fn resolve<'a>(
    menus: &'static [Menu],
    current: &Path,
    words: &'a [Word],
) -> Result<Resolved<'a>, Error> {
    let mut path = current.to_vec();
    for (index, word) in words.iter().enumerate() {
        let WordKind::Bare(text) = &word.kind else {
            return Err(Error::new(word.at, "syntax error"));
        };
        if text.starts_with('/') {
            path.clear();
        }
        let mut segments = Segments::of(word.at, text);
        while let Some((at, segment)) = segments.next() {
            if segment == ".." {
                path.pop();
                continue;
            }
            match find(segment, names(menus, &path)) {
                Found::One(Name::Menu(name)) => path.push(name),
                Found::One(Name::Command(command)) if segments.clone().next().is_none() => {
                    return Ok(Resolved::Run(Invocation {
                        path,
                        command,
                        at,
                        arguments: &words[index + 1..],
                    }));
                }
                Found::Many => {
                    let text = format!("ambiguous command name {}", shown(segment));
                    return Err(Error::new(at, text));
                }
                Found::One(Name::Command(_)) | Found::None => {
                    let text = format!("bad command name {}", shown(segment));
                    return Err(Error::new(at, text));
                }
            }
        }
    }
    Ok(Resolved::Enter(path))
}

/// What may follow a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A menu below.
    Menu(&'static str),
    /// A command.
    Command(Command),
}

impl Name {
    /// As it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Menu(name) => name,
            Self::Command(command) => command.name(),
        }
    }
}

/// Everything that may follow `path`, the menus first.
#[must_use]
pub fn names(menus: &'static [Menu], path: &Path) -> Vec<Name> {
    let below = menus.iter().filter(|menu| menu.path.starts_with(path));
    let mut names = Vec::new();
    for menu in below {
        if let Some(&name) = menu.path.get(path.len())
            && !names.contains(&Name::Menu(name))
        {
            names.push(Name::Menu(name));
        }
    }
    let here = menus.iter().find(|menu| menu.path == path);
    let commands = here.into_iter().flat_map(|menu| menu.commands);
    names.extend(commands.map(|&command| Name::Command(command)));
    names.push(Name::Command(Command::Export));
    names
}

/// What a word may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// Nothing.
    None,
    /// This.
    One(T),
    /// More than one thing.
    Many,
}

/// Finds the name that `word` is, or is the beginning of.
#[must_use]
pub fn find(word: &str, names: Vec<Name>) -> Found<Name> {
    shortened(word, names.into_iter().map(|name| (name.text(), name)))
}

/// Finds what `word` is the name of, or the beginning of the one name of.
pub fn shortened<'a, T>(word: &str, names: impl Iterator<Item = (&'a str, T)>) -> Found<T> {
    let mut found = Found::None;
    for (name, meaning) in names.filter(|(name, _)| name.starts_with(word)) {
        if name == word {
            return Found::One(meaning);
        }
        found = match found {
            Found::None => Found::One(meaning),
            Found::One(_) | Found::Many => Found::Many,
        };
    }
    found
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

//! The schema: each menu with its properties. Reading, validation, defaults, `print`, `export`,
//! completion, help and docs/reference.md follow from it; nothing else knows the name of a property
//! of the configuration.
//!
//! A property is *kept* if this program acts on it: it is a field of the menu's item. What the
//! product's language has besides is *inert*: each of its values is either what this program does
//! anyway, or is kept as it is and warned of, or is refused, so that nobody believes in a setting
//! that does nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::Config;
use super::value::{Fault, Reference, Style};
use crate::language::path;

mod menus;
mod tree;

pub use self::tree::MENUS;

/// A menu whose items are of type `T`. The defaults are those of `T::default()`.
#[derive(Debug)]
pub struct Menu<T: 'static> {
    /// The words of its path: `["ppp", "secret"]`.
    pub path: &'static path::Path,
    /// In the order in which `print` shows them.
    pub properties: &'static [Property<T>],
    /// Those that are columns of a table.
    pub columns: &'static [&'static str],
    /// `print` shows blocks, not a table, unless it is asked for one.
    pub blocks: bool,
}

/// One property of a menu.
#[derive(Debug)]
pub struct Property<T: 'static> {
    /// Its name.
    pub name: &'static str,
    /// What it means, in a line.
    pub help: &'static str,
    /// `add` must give it a value.
    pub required: bool,
    /// What a value does.
    pub effect: Effect<T>,
}

/// What setting a property does.
#[derive(Debug)]
pub enum Effect<T: 'static> {
    /// It is a field of the item.
    Kept {
        /// Reads a value into the item.
        set: fn(&mut T, &str) -> Result<Accepted, Fault>,
        /// Writes the item's value; empty if it is unset.
        show: fn(&T) -> String,
        /// Whether two items have the same value.
        is_same: fn(&T, &T) -> bool,
        /// Puts the default back.
        reset: fn(&mut T),
        /// The value may name something.
        refers: bool,
        /// What the item's value names.
        reference: fn(&T) -> Option<Reference>,
        /// How `print` shows it.
        style: Style,
        /// What values look like, for help.
        values: &'static str,
    },
    /// It is kept as it was written, and that is all.
    Inert {
        /// Its default, empty if it is unset.
        default: &'static str,
        /// Its words, each with what is done about it.
        words: &'static [(&'static str, Treatment)],
        /// The same for any other value; `None` if there is none.
        others: Option<Treatment>,
    },
}

/// A value was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What it names, to be looked up once everything is read.
    pub reference: Option<Reference>,
    /// Why it is of no use, if it is of none.
    pub warning: Option<&'static str>,
}

/// What is done about a value of an inert property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing: the program behaves as it says.
    Fine,
    /// A warning: it has no effect.
    NoEffect,
    /// An error: it would have to have an effect.
    NotYet,
    /// An error: it never will; the text says what to do instead.
    Never(&'static str),
}

/// What tells an item from all others of its menu, for as long as the program runs: `*1A`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*{:X}", self.0)
    }
}

impl Id {
    /// Reads `*1A`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('*')?;
        let sound = (1..=8).contains(&digits.len()) && !digits.starts_with('+');
        u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| sound)
            .map(Self)
    }
}

/// What every item has besides its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Who it is.
    pub id: Id,
    /// Values of inert properties that are not their default.
    pub inert: BTreeMap<&'static str, String>,
}

/// An item of a menu of the configuration.
pub trait Item: Default + Clone + 'static {
    /// Its menu.
    const MENU: Menu<Self>;

    /// What it has besides its fields.
    fn meta(&self) -> &Meta;

    /// The same.
    fn meta_mut(&mut self) -> &mut Meta;

    /// All items of a configuration; a menu with a single one has that.
    fn items(config: &Config) -> &[Self];

    /// The same.
    fn items_mut(config: &mut Config) -> Items<'_, Self>;

    /// What no two items may have in common.
    fn key(&self) -> String {
        String::new()
    }

    /// What is said of a second item with the same [`Self::key`].
    const DUPLICATE: &'static str = "failure: already have such entry";

    /// The default of an item, which for a built-in one is another.
    fn default_of(&self) -> Self {
        Self::default()
    }
}

/// The items of a menu.
#[derive(Debug)]
pub enum Items<'a, T> {
    /// A menu with one item, which is always there.
    Single(&'a mut T),
    /// A menu with any number of them.
    Many(&'a mut Vec<T>),
}

impl<'a, T> Items<'a, T> {
    /// All of them.
    #[must_use]
    pub fn slice(self) -> &'a mut [T] {
        match self {
            Self::Single(item) => std::slice::from_mut(item),
            Self::Many(items) => items,
        }
    }
}

/// The value of a property, empty if it is unset.
pub fn show<T: Item>(item: &T, property: &Property<T>) -> String {
    match property.effect {
        Effect::Kept { show, .. } => show(item),
        Effect::Inert { default, .. } => {
            let kept = item.meta().inert.get(property.name);
            kept.map_or_else(|| default.to_owned(), Clone::clone)
        }
    }
}

#[cfg(test)]
mod tests;

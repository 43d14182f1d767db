//! The menus of the configuration as tables of texts, whatever their items are: what commands,
//! `print`, `export`, completion and help work with.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use super::items::{
    Aaa, AccountingSettings, Binding, Identity, Pool, PptpClient, PptpServer, Profile, Radius,
    RadiusIncoming, Secret,
};
use super::schema::{self, Accepted, Effect, Id, Item, Items, Property, Treatment};
use super::value::{Fault, Reference, Style};
use super::{BUILT_IN, Config};
use crate::language::path::{Found, Path, shortened};

/// The table at a path; `None` if what is there is not configured.
#[must_use]
pub fn at(path: &Path) -> Option<&'static dyn Table> {
    TABLES.iter().find(|table| table.path() == path).copied()
}

/// Every table.
pub const TABLES: &[&dyn Table] = &[
    &Of::<Identity>::NEW,
    &Of::<Pool>::NEW,
    &Of::<Profile>::NEW,
    &Of::<PptpServer>::NEW,
    &Of::<Binding>::NEW,
    &Of::<PptpClient>::NEW,
    &Of::<Secret>::NEW,
    &Of::<Aaa>::NEW,
    &Of::<AccountingSettings>::NEW,
    &Of::<Radius>::NEW,
    &Of::<RadiusIncoming>::NEW,
];

/// What is known of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: &'static str,
    /// What it means, in a line.
    pub help: &'static str,
    /// What values look like; empty for an inert one.
    pub values: String,
    /// What it is unless it is set, empty if nothing.
    pub default: String,
    /// `add` must give it a value.
    pub required: bool,
    /// How `print` shows it.
    pub style: Style,
    /// This program does nothing about it; what it does about a value that promises something.
    pub is_inert: bool,
    /// The values that are refused, with the reason; empty if none is.
    pub refused: Vec<String>,
}

/// A menu of the configuration. Rows and properties are counted from 0; one that is not there
/// panics.
pub trait Table: fmt::Debug + Sync {
    /// The words of its path.
    fn path(&self) -> &'static Path;

    /// It has one item, which is always there.
    fn is_single(&self) -> bool;

    /// The properties that are columns of `print`.
    fn columns(&self) -> &'static [&'static str];

    /// `print` shows blocks unless it is asked for a table.
    fn blocks(&self) -> bool;

    /// Its properties, in the order in which `print` shows them.
    fn properties(&self) -> Vec<Info>;

    /// The names of its properties.
    fn names(&self) -> Vec<&'static str>;

    /// The properties that `add` must give a value, with their names.
    fn required(&self) -> Box<dyn Iterator<Item = (usize, &'static str)>>;

    /// The properties that may name something, with their names.
    fn referring(&self) -> Vec<(usize, &'static str)>;

    /// Which property this is the name of, or the beginning of the one name of.
    fn property(&self, name: &str) -> Found<usize>;

    /// How many rows there are.
    fn len(&self, config: &Config) -> usize;

    /// Who a row is.
    fn id(&self, config: &Config, row: usize) -> Id;

    /// A value, empty if it is unset.
    fn show(&self, config: &Config, row: usize, property: usize) -> String;

    /// For each property, whether a row has its default.
    fn defaults(&self, config: &Config, row: usize) -> Vec<bool>;

    /// What a value names.
    fn reference(&self, config: &Config, row: usize, property: usize) -> Option<Reference>;

    /// Changes a value.
    ///
    /// # Errors
    /// It is none of this property.
    fn set(
        &self,
        config: &mut Config,
        row: usize,
        property: usize,
        text: &str,
    ) -> Result<Accepted, Fault>;

    /// Puts a default back.
    fn reset(&self, config: &mut Config, row: usize, property: usize);

    /// Appends a row of defaults, or a copy of another row; its number. A single one stays alone.
    fn add(&self, config: &mut Config, copy_of: Option<usize>) -> usize;

    /// Takes the rows away that are among these. A built-in one stays.
    fn remove(&self, config: &mut Config, ids: &HashSet<Id>);

    /// Puts a row in front of another one, or at the end.
    fn move_before(&self, config: &mut Config, row: usize, before: Option<usize>);

    /// The rows that repeat what is another one's alone.
    fn duplicates(&self, config: &Config) -> Vec<usize>;

    /// What is said of them.
    fn duplicate(&self) -> &'static str;

    /// Whether a row is always there.
    fn is_built_in(&self, config: &Config, row: usize) -> bool {
        BUILT_IN.contains(&self.id(config, row)) && !self.is_single()
    }

    /// The row of this id.
    fn row(&self, config: &Config, id: Id) -> Option<usize> {
        (0..self.len(config)).find(|&row| self.id(config, row) == id)
    }

    /// The number of the property of exactly this name.
    fn exactly(&self, name: &str) -> Option<usize> {
        self.names().iter().position(|&known| known == name)
    }
}

/// The table of one type of items.
struct Of<T>(PhantomData<fn() -> T>);

impl<T> Of<T> {
    const NEW: Self = Self(PhantomData);
}

impl<T: Item> fmt::Debug for Of<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Of").field(&T::MENU.path).finish()
    }
}

impl<T: Item> Of<T> {
    fn property_at(property: usize) -> &'static Property<T> {
        &T::MENU.properties[property]
    }
}

impl<T: Item> Table for Of<T> {
    fn path(&self) -> &'static Path {
        T::MENU.path
    }

    fn is_single(&self) -> bool {
        matches!(T::items_mut(&mut Config::default()), Items::Single(_))
    }

    fn columns(&self) -> &'static [&'static str] {
        T::MENU.columns
    }

    fn blocks(&self) -> bool {
        T::MENU.blocks
    }

    fn properties(&self) -> Vec<Info> {
        let item = T::default();
        let info = |property: &Property<T>| {
            let (values, style, refused) = match &property.effect {
                Effect::Kept { style, values, .. } => ((*values).to_owned(), *style, Vec::new()),
                Effect::Inert { words, others, .. } => {
                    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                    let values = match others {
                        Some(_) => String::new(),
                        None => known.join(" | "),
                    };
                    let words = words.iter().map(|&(word, treatment)| (word, treatment));
                    let others = others.map(|treatment| ("any other value", treatment));
                    let refused =
                        words
                            .chain(others)
                            .filter_map(|(word, treatment)| match treatment {
                                Treatment::Fine | Treatment::NoEffect => None,
                                Treatment::NotYet => Some(format!("{word}: not supported yet")),
                                Treatment::Never(instead) => Some(format!("{word}: {instead}")),
                            });
                    (values, Style::Plain, refused.collect())
                }
            };
            let is_inert = matches!(property.effect, Effect::Inert { .. });
            Info {
                name: property.name,
                help: property.help,
                values,
                default: schema::show(&item, property),
                required: property.required,
                style,
                is_inert,
                refused,
            }
        };
        T::MENU.properties.iter().map(info).collect()
    }

    fn names(&self) -> Vec<&'static str> {
        let properties = T::MENU.properties.iter();
        properties.map(|property| property.name).collect()
    }

    fn required(&self) -> Box<dyn Iterator<Item = (usize, &'static str)>> {
        let properties = T::MENU.properties.iter().enumerate();
        let required = properties.filter(|(_, property)| property.required);
        Box::new(required.map(|(number, property)| (number, property.name)))
    }

    fn referring(&self) -> Vec<(usize, &'static str)> {
        let properties = T::MENU.properties.iter().enumerate();
        let refers =
            |property: &Property<T>| matches!(property.effect, Effect::Kept { refers: true, .. });
        let referring = properties.filter(|(_, property)| refers(property));
        referring
            .map(|(number, property)| (number, property.name))
            .collect()
    }

    fn property(&self, name: &str) -> Found<usize> {
        let names = T::MENU.properties.iter().map(|property| property.name);
        shortened(name, names.zip(0..))
    }

    fn len(&self, config: &Config) -> usize {
        T::items(config).len()
    }

    fn id(&self, config: &Config, row: usize) -> Id {
        T::items(config)[row].meta().id
    }

    fn show(&self, config: &Config, row: usize, property: usize) -> String {
        schema::show(&T::items(config)[row], Self::property_at(property))
    }

    fn defaults(&self, config: &Config, row: usize) -> Vec<bool> {
        let item = &T::items(config)[row];
        let default = item.default_of();
        let is_default = |property: &Property<T>| match property.effect {
            Effect::Kept { is_same, .. } => is_same(item, &default),
            Effect::Inert { .. } => !item.meta().inert.contains_key(property.name),
        };
        T::MENU.properties.iter().map(is_default).collect()
    }

    fn reference(&self, config: &Config, row: usize, property: usize) -> Option<Reference> {
        match Self::property_at(property).effect {
            Effect::Kept { reference, .. } => reference(&T::items(config)[row]),
            Effect::Inert { .. } => None,
        }
    }

    fn set(
        &self,
        config: &mut Config,
        row: usize,
        property: usize,
        text: &str,
    ) -> Result<Accepted, Fault> {
        let item = &mut T::items_mut(config).slice()[row];
        let property = Self::property_at(property);
        match &property.effect {
            Effect::Kept { set, .. } => set(item, text),
            Effect::Inert {
                default,
                words,
                others,
            } => {
                let accepted = treat(property.name, text, words, *others)?;
                let inert = &mut item.meta_mut().inert;
                if text == *default {
                    inert.remove(property.name);
                } else {
                    inert.insert(property.name, text.to_owned());
                }
                Ok(accepted)
            }
        }
    }

    fn reset(&self, config: &mut Config, row: usize, property: usize) {
        let item = &mut T::items_mut(config).slice()[row];
        let property = Self::property_at(property);
        match property.effect {
            Effect::Kept { reset, .. } => reset(item),
            Effect::Inert { .. } => {
                item.meta_mut().inert.remove(property.name);
            }
        }
    }

    fn add(&self, config: &mut Config, copy_of: Option<usize>) -> usize {
        let id = Id(config.next_id);
        config.next_id += 1;
        let mut item = copy_of.map_or_else(T::default, |row| T::items(config)[row].clone());
        item.meta_mut().id = id;
        match T::items_mut(config) {
            Items::Single(_) => 0,
            Items::Many(items) => {
                items.push(item);
                items.len() - 1
            }
        }
    }

    fn remove(&self, config: &mut Config, ids: &HashSet<Id>) {
        if let Items::Many(items) = T::items_mut(config) {
            let stays = |item: &T| {
                let id = item.meta().id;
                BUILT_IN.contains(&id) || !ids.contains(&id)
            };
            items.retain(stays);
        }
    }

    fn move_before(&self, config: &mut Config, row: usize, before: Option<usize>) {
        if let Items::Many(items) = T::items_mut(config) {
            let item = items.remove(row);
            let place = before.map_or(items.len(), |before| before - usize::from(before > row));
            items.insert(place, item);
        }
    }

    fn duplicates(&self, config: &Config) -> Vec<usize> {
        let mut seen = HashSet::new();
        let items = T::items(config).iter().enumerate();
        items
            .filter_map(|(row, item)| {
                let key = item.key();
                (!key.is_empty() && !seen.insert(key)).then_some(row)
            })
            .collect()
    }

    fn duplicate(&self) -> &'static str {
        T::DUPLICATE
    }
}

/// What the schema says about a value of an inert property.
fn treat(
    name: &str,
    value: &str,
    words: &[(&'static str, Treatment)],
    others: Option<Treatment>,
) -> Result<Accepted, Fault> {
    let word = words.iter().find(|(word, _)| *word == value);
    let Some(treatment) = word.map(|&(_, treatment)| treatment).or(others) else {
        return Err(Fault::Syntax);
    };
    let setting = word.map_or_else(|| name.to_owned(), |(word, _)| format!("{name}={word}"));
    match treatment {
        Treatment::Fine => Ok(Accepted::default()),
        Treatment::NoEffect => Ok(Accepted {
            reference: None,
            warning: Some("has no effect"),
        }),
        Treatment::NotYet => Err(Fault::Refused(format!("{setting} is not supported yet"))),
        Treatment::Never(instead) => Err(Fault::Refused(format!(
            "{setting} is not supported: {instead}"
        ))),
    }
}

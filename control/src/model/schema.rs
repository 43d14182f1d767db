//! The schema: each menu with its properties. Reading, validation, defaults and `print` follow
//! from it; nothing else knows the name of a property.
//!
//! A property is *kept* if this program acts on it: it is a field of the menu's item. What the
//! product's language has besides is *inert*: each of its values is either what this program does
//! anyway, or has no effect and is warned of, or is refused, so that nobody believes in a setting
//! that does nothing.

use super::Config;
use super::value::{Fault, Reference, Style};

mod menus;

/// A menu whose items are of type `T`. The defaults are those of `T::default()`.
#[derive(Debug)]
pub struct Menu<T: 'static> {
    /// The words of its path: `["ppp", "secret"]`.
    pub path: &'static [&'static str],
    /// In the order in which `print` shows them.
    pub properties: &'static [Property<T>],
}

impl<T> Menu<T> {
    /// The property called `name`.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&'static Property<T>> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }
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
        /// Puts the default back.
        reset: fn(&mut T),
        /// How `print` shows it.
        style: Style,
    },
    /// It is read, and that is all.
    Inert {
        /// Its only value here, empty if it is unset.
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

/// An item of a menu of the configuration.
pub trait Item: Default + Clone + 'static {
    /// Its menu.
    const MENU: Menu<Self>;
}

/// The item of a menu that has many.
pub(super) trait Row: Item {
    /// What is said of a second item with the same [`Self::key`].
    const DUPLICATE: &'static str;

    /// What no two items may have in common.
    fn key(&self) -> String;

    /// All items.
    fn rows(config: &mut Config) -> &mut Vec<Self>;
}

/// The item of a menu that has one.
pub(super) trait Single: Item {
    /// The item.
    fn single(config: &mut Config) -> &mut Self;
}

/// Menus of the product that this program does not have: a word in them is told so.
pub(super) const NOT_YET: &[&[&str]] = &[
    &["interface", "pptp-server"],
    &["ppp", "aaa"],
    &["radius"],
    &["radius", "incoming"],
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Pool, PptpClient, PptpServer, Profile, Secret};
    use super::*;

    #[test]
    fn every_property_has_a_name_of_its_own_and_help() {
        fn check<T: Item>() {
            let mut names = BTreeSet::new();
            for property in T::MENU.properties {
                assert!(names.insert(property.name), "{} twice", property.name);
                assert!(!property.help.is_empty(), "{} has no help", property.name);
            }
        }
        check::<Config>();
        check::<PptpServer>();
        check::<PptpClient>();
        check::<Profile>();
        check::<Secret>();
        check::<Pool>();
    }

    /// Required properties have no default worth the name, and a client's is made up on `add`.
    #[test]
    fn every_default_reads_back_as_itself() {
        fn check<T: Item>() {
            for property in T::MENU.properties {
                let mut item = T::default();
                match property.effect {
                    Effect::Kept {
                        set, show, reset, ..
                    } => {
                        let default = show(&item);
                        if default.is_empty() {
                            continue;
                        }
                        assert!(set(&mut item, &default).is_ok(), "{}", property.name);
                        assert_eq!(show(&item), default);
                        reset(&mut item);
                        assert_eq!(show(&item), default);
                    }
                    Effect::Inert {
                        default,
                        words,
                        others,
                    } => {
                        let known = words.iter().find(|(word, _)| *word == default);
                        let treatment = known.map(|&(_, treatment)| treatment).or(others);
                        assert!(treatment.is_some(), "{}", property.name);
                        if !default.is_empty() {
                            assert_eq!(treatment, Some(Treatment::Fine), "{}", property.name);
                        }
                    }
                }
            }
        }
        check::<Config>();
        check::<PptpServer>();
        check::<PptpClient>();
        check::<Profile>();
        check::<Secret>();
        check::<Pool>();
    }

    #[test]
    fn the_defaults_are_those_of_the_product() {
        fn defaults<T: Item>() -> String {
            let item = T::default();
            let texts = T::MENU.properties.iter().map(|property| {
                let text = match property.effect {
                    Effect::Kept { show, .. } => show(&item),
                    Effect::Inert { default, .. } => default.to_owned(),
                };
                format!("{}={text}", property.name)
            });
            texts.collect::<Vec<_>>().join(" ")
        }
        assert_eq!(
            defaults::<PptpServer>(),
            "enabled=no max-mtu=1460 max-mru=1460 mrru=disabled authentication=mschap1,mschap2 \
             keepalive-timeout=30 default-profile=default-encryption max-sessions=unlimited \
             one-session-per-host=no"
        );
        assert_eq!(
            defaults::<PptpClient>(),
            "name= max-mtu=1460 max-mru=1460 mrru=disabled connect-to= user= password= \
             profile=default-encryption keepalive-timeout=60 use-peer-dns=no \
             add-default-route=no default-route-distance= dial-on-demand=no \
             allow=pap,chap,mschap1,mschap2 disabled=yes comment="
        );
        assert_eq!(
            defaults::<Secret>(),
            "name= password= service=any profile=default caller-id= local-address= \
             remote-address= routes= ipv6-routes= remote-ipv6-prefix= limit-bytes-in=0 \
             limit-bytes-out=0 disabled=no comment="
        );
        assert_eq!(defaults::<Pool>(), "name= ranges= next-pool=none comment=");
        assert_eq!(defaults::<Config>(), "name=Greyhound");
    }
}

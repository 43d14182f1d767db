//! What a property takes, found out by asking its reader: it is given words and samples, and what
//! it takes over it knows.

use super::{Path, Values};
use crate::model::schema::{Effect, Item, Property, Treatment};
use crate::model::value::{Fault, Reference, Style};

/// The values of `property`.
pub(super) fn values_of<T: Item>(property: &Property<T>) -> Values {
    let values = match &property.effect {
        Effect::Kept {
            set, show, style, ..
        } => {
            let read = |text: &str| {
                let mut item = T::default();
                let accepted = set(&mut item, text)?;
                Ok((accepted.reference, show(&item)))
            };
            Values {
                default: show(&T::default()),
                is_sensitive: *style == Style::Sensitive,
                ..asked(&read)
            }
        }
        Effect::Inert { default, words, .. } => {
            let offered = words.iter().filter(|(word, treatment)| {
                let works = matches!(treatment, Treatment::Fine | Treatment::NoEffect);
                works && !word.is_empty()
            });
            Values {
                words: offered.map(|&(word, _)| word).collect(),
                default: (*default).to_owned(),
                ..Values::default()
            }
        }
    };
    Values {
        is_required: property.required,
        ..values
    }
}

/// Words that some property takes: one that is not here is not found by asking.
const WORDS: [&str; 20] = [
    "any",
    "async",
    "auto",
    "chap",
    "default",
    "disabled",
    "exclusively",
    "l2tp",
    "mschap1",
    "mschap2",
    "no",
    "none",
    "ovpn",
    "pap",
    "pppoe",
    "pptp",
    "required",
    "sstp",
    "unlimited",
    "yes",
];

/// Means nothing: what takes it over takes any text, or looks for something with this name.
const NONSENSE: &str = "nonsense";

/// Samples of values with what they are called. The first that is taken over tells the shape.
const SHAPES: [(&str, &str); 4] = [
    ("192.0.2.1-192.0.2.9", "address-address"),
    ("192.0.2.1", "address"),
    ("1m30s", "time"),
    ("8", "number"),
];

/// Answers what a text names and how the value is written, or what is wrong with it.
type Reader<'a> = dyn Fn(&str) -> Result<(Option<Reference>, String), Fault> + 'a;

/// Puts the questions.
fn asked(read: &Reader<'_>) -> Values {
    let names_of = match read(NONSENSE) {
        Ok((Some(reference), _)) => Some(menu_of(&reference)),
        Ok((None, _)) => {
            return Values {
                shape: "text".to_owned(),
                ..Values::default()
            };
        }
        Err(_) => None,
    };
    let is_value = |text: &str| matches!(read(text), Ok((None, _)));
    let is_word = |word: &&str| matches!(read(word), Ok((None, written)) if written == **word);
    let words: Vec<_> = WORDS.into_iter().filter(|word| is_word(word)).collect();
    let shape = limits(read).unwrap_or_else(|| {
        let known = SHAPES.iter().find(|(sample, _)| is_value(sample));
        known
            .map(|&(_, shape)| shape.to_owned())
            .unwrap_or_default()
    });
    let two_words = match words[..] {
        [.., first, second] => Some(format!("{first},{second}")),
        _ => None,
    };
    let lists = [Some("192.0.2.1,192.0.2.2"), two_words.as_deref()];
    let is_list = names_of.is_none() && lists.into_iter().flatten().any(is_value);
    Values {
        words,
        names_of,
        shape,
        is_list,
        ..Values::default()
    }
}

/// Between which numbers a value has to be, if the reader says so of one that is too large.
fn limits(read: &Reader<'_>) -> Option<String> {
    match read("99999999999") {
        Err(Fault::OutOfRange(limits)) => Some(limits),
        Ok(_) | Err(_) => None,
    }
}

const fn menu_of(reference: &Reference) -> Path {
    match reference {
        Reference::Profile(_) => &["ppp", "profile"],
        Reference::Pool(_) => &["ip", "pool"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pool, PptpClient, PptpServer, Profile, Secret};

    #[test]
    fn the_reader_tells_its_words_limits_and_lists() {
        fn told<T: Item>(name: &str) -> String {
            let values = values_of(T::MENU.property(name).unwrap());
            let mut told = vec![values.words.join(" "), values.shape];
            told.extend(values.names_of.map(|path| format!("/{}", path.join("/"))));
            told.extend(values.is_list.then(|| "list".to_owned()));
            told.retain(|part| !part.is_empty());
            told.join(", ")
        }
        for (told, expected) in [
            (told::<PptpServer>("enabled"), "no yes"),
            (told::<PptpServer>("max-mtu"), "128..1500"),
            (told::<PptpServer>("mrru"), "disabled, 512..65535"),
            (
                told::<PptpServer>("authentication"),
                "chap mschap1 mschap2 pap, list",
            ),
            (
                told::<PptpServer>("keepalive-timeout"),
                "disabled, 1..86400",
            ),
            (told::<PptpServer>("default-profile"), "/ppp/profile"),
            (
                told::<PptpServer>("max-sessions"),
                "unlimited, 0..4294967295",
            ),
            (told::<PptpClient>("connect-to"), "text"),
            (told::<PptpClient>("password"), "text"),
            (told::<Profile>("local-address"), "address, /ip/pool"),
            (told::<Profile>("dns-server"), "address, list"),
            (told::<Profile>("use-encryption"), "default no required yes"),
            // Only what is not refused.
            (told::<Profile>("use-mpls"), "default no yes"),
            (
                told::<Secret>("service"),
                "any async l2tp ovpn pppoe pptp sstp",
            ),
            (told::<Secret>("remote-address"), "address"),
            (told::<Pool>("ranges"), "address-address, list"),
            (told::<Pool>("next-pool"), "none, /ip/pool"),
        ] {
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn passwords_are_known_as_such() {
        for name in ["name", "password"] {
            let values = values_of(Secret::MENU.property(name).unwrap());
            assert_eq!(values.is_sensitive, name == "password");
            assert_eq!(values.is_required, name == "name");
        }
    }
}

//! The options of a file, one after the other, each with the words that belong to it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::table::Known;
use super::words::{Word, lines};

/// A file of options.
pub(super) struct File {
    words: Vec<Word>,
    /// How many words there are up to the end of each line.
    ends: Vec<usize>,
}

/// What stands in a file of options.
pub(super) enum Given<'a> {
    /// An option that pppd has.
    Option(Setting<'a>),
    /// Words, at least one, of which the first one is no option that is known.
    Other(&'a [Word]),
}

/// An option of pppd where it is given.
pub(super) struct Setting<'a> {
    /// Which one.
    pub(super) known: Known,
    words: &'a [Word],
}

impl File {
    /// Cuts `text` into words.
    pub(super) fn new(text: &str) -> Self {
        let lines = lines(text);
        let ends = lines.iter().scan(0, |end, line| {
            *end += line.words.len();
            Some(*end)
        });
        Self {
            ends: ends.collect(),
            words: lines.into_iter().flat_map(|line| line.words).collect(),
        }
    }

    /// Whether nothing stands in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The line where the first word stands.
    pub(super) fn first_line(&self) -> usize {
        self.words.first().map_or(1, |word| *word.lines.start())
    }

    /// What stands in it, in its order.
    pub(super) fn given(&self) -> impl Iterator<Item = Given<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = self.words.get(at)?;
            let known = Known::find(first.text());
            let end = match &known {
                Some(known) => (at + 1 + known.arguments).min(self.words.len()),
                // How many words belong to it is not known: those of its line.
                None => {
                    let line = self.ends.partition_point(|&end| end <= at);
                    self.ends.get(line).copied().unwrap_or(self.words.len())
                }
            };
            let words = &self.words[at..end];
            at = end;
            Some(match known {
                Some(known) => Given::Option(Setting { known, words }),
                None => Given::Other(words),
            })
        })
    }
}

impl Setting<'_> {
    /// The lines that it stands in.
    pub(super) fn lines(&self) -> BTreeSet<usize> {
        lines_of(self.words)
    }

    /// Its name with each of its lines, to be left out together with others.
    pub(super) fn named(&self) -> impl Iterator<Item = (String, usize)> {
        let name = self.known.name;
        self.lines().into_iter().map(|line| (name.to_owned(), line))
    }

    /// What it is called in what is left out.
    pub(super) fn what(&self) -> String {
        format!("option {}", self.known.name)
    }

    /// The first word behind it, empty if it takes none. `None` if a word that belongs to it is
    /// missing or cannot be read.
    pub(super) fn value(&self) -> Option<&str> {
        let arguments = self.words.get(1..).unwrap_or_default();
        let is_whole = arguments.len() == self.known.arguments
            && arguments.iter().all(|word| word.text.is_some());
        is_whole.then(|| arguments.first().map_or("", Word::text))
    }
}

/// The lines that words stand in.
pub(super) fn lines_of(words: &[Word]) -> BTreeSet<usize> {
    words.iter().flat_map(|word| word.lines.clone()).collect()
}

/// What [`Given::Other`] is if it is `LOCAL:REMOTE`, of which either may be left away.
pub(super) fn addresses(words: &[Word]) -> Option<(Option<Ipv4Addr>, Option<Ipv4Addr>)> {
    let parse = |text: &str| match text {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let [word] = words else {
        return None;
    };
    let (local, remote) = word.text().split_once(':')?;
    Some((parse(local)?, parse(remote)?))
}

/// Why an option with such an argument is left out.
pub(super) const NOT_A_NUMBER: &str = "is not a number";
/// Why an option without all of its arguments is left out.
pub(super) const INCOMPLETE: &str = "what belongs to it is missing";
/// Why an option that pppd may have, in a release or by a plugin, is left out.
pub(super) const UNKNOWN: &str = "not an option that is known here";

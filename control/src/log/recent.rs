//! The last lines of the log, for `/log print`.

use std::collections::VecDeque;

use super::Entry;

/// The last lines, oldest first. Bounded in number and in bytes.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    entries: VecDeque<Entry>,
    /// Of all texts and values.
    bytes: usize,
}

impl Recent {
    /// The most lines that are kept.
    pub const LINES: usize = 1000;

    /// The most bytes that are kept of texts and values.
    pub const BYTES: usize = 512 * 1024;

    /// Adds a line; the oldest ones go where there is no room for it.
    pub fn push(&mut self, entry: Entry) {
        self.bytes += size(&entry);
        self.entries.push_back(entry);
        while (self.entries.len() > Self::LINES || self.bytes > Self::BYTES)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= size(&oldest);
        }
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }
}

/// Bytes of a line's text and values.
fn size(entry: &Entry) -> usize {
    let values = entry.line.fields.iter().map(|(_, value)| value.len());
    entry.line.text.len() + values.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::super::{Field, Line, Message};
    use super::*;

    fn entry(text: String) -> Entry {
        Entry {
            time: SystemTime::UNIX_EPOCH,
            line: Line::new(Message::Connected, text).with(Field::User, "ann"),
        }
    }

    #[test]
    fn the_oldest_line_makes_room_for_the_newest() {
        let mut recent = Recent::default();
        for number in 0..=Recent::LINES {
            recent.push(entry(number.to_string()));
        }
        assert_eq!(recent.iter().len(), Recent::LINES);
        let mut texts = recent.iter().map(|entry| entry.line.text.as_str());
        assert_eq!(texts.next(), Some("1"));
        assert_eq!(texts.next_back(), Some("1000"));
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_there_is_room_for(
            lengths in prop::collection::vec(0..200_000_usize, 0..20),
        ) {
            let mut recent = Recent::default();
            for length in lengths {
                recent.push(entry("x".repeat(length)));
                let bytes: usize = recent.iter().map(size).sum();
                prop_assert_eq!(bytes, recent.bytes);
                prop_assert!(bytes <= Recent::BYTES);
                prop_assert_eq!(recent.iter().next_back().unwrap().line.text.len(), length);
            }
        }
    }
}

//! A line of the log.

use std::fmt::Display;

use tracing::Level;

use super::{Field, Message, text};

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The topics, separated by commas.
    pub topics: &'static str,
    /// The text.
    pub text: String,
    /// Which kind of message it is, if it is one that others wait for.
    pub message: Option<Message>,
    /// What it is about. Values may be a peer's own words, unchanged.
    pub fields: Vec<(Field, String)>,
}

impl Line {
    /// A message with the level and the topics of its kind.
    #[must_use]
    pub const fn new(message: Message, text: String) -> Self {
        Self {
            level: message.level(),
            topics: message.topics(),
            text,
            message: Some(message),
            fields: Vec::new(),
        }
    }

    /// A line that nobody waits for.
    #[must_use]
    pub const fn other(level: Level, topics: &'static str, text: String) -> Self {
        Self {
            level,
            topics,
            text,
            message: None,
            fields: Vec::new(),
        }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl Display) -> Self {
        self.fields.push((field, value.to_string()));
        self
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(name, _)| *name == field)?;
        Some(&found.1)
    }

    /// The same as it is kept and written: no longer than [`text::LONGEST`], and without what could
    /// be taken for another line.
    pub(super) fn tamed(mut self) -> Self {
        self.text = text::printable(&self.text);
        text::cut(&mut self.text, text::LONGEST);
        for (_, value) in &mut self.fields {
            text::cut(value, text::LONGEST_VALUE);
        }
        self
    }
}

//! The language of the console and of the configuration's file: statements of a menu, a command and
//! its arguments.
//!
//! What a statement is made of ([`lex`]), which command of which menu it means ([`path`]), and what
//! is asked for behind `where` ([`condition`]). Nothing here knows what a command does.

pub mod condition;
pub mod lex;
pub mod path;
pub mod write;

pub use self::lex::Position;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} {at}")]
pub struct Error {
    /// Where.
    pub at: Position,
    /// What, in the words of the product where it has some.
    pub text: String,
}

impl Error {
    /// An error at a place.
    pub fn new(at: Position, text: impl Into<String>) -> Self {
        Self {
            at,
            text: text.into(),
        }
    }
}

/// A word of the text as an error may repeat it: short, and without control characters.
#[must_use]
pub fn shown(word: &str) -> String {
    word.chars()
        .take(64)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

//! What stands behind `where` and `find`: a condition on the properties and flags of an item.

use std::cmp::Ordering;
use std::net::Ipv4Addr;

use regex::{Regex, RegexBuilder};

use super::Error;
use super::lex::{Operator, Position, Word, WordKind};
use crate::model::time;

/// A condition. Terms that stand beside one another must all hold.
#[derive(Debug)]
pub enum Condition {
    /// Every one of them holds; none of none does.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A flag is set, or a property is `yes`.
    Flag(Name),
    /// A property has this value.
    Equal(Name, String),
    /// A property compares to a value.
    Compare(Name, Operator, String),
    /// A property matches.
    Matches(Name, Regex),
}

/// The name of a property or flag, and where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    /// As it was written; it may be shortened.
    pub text: String,
    /// Where.
    pub at: Position,
}

/// What a condition is put to.
pub trait Subject {
    /// The value of a property, or `yes` or `no` for a flag; `None` if there is no such thing in
    /// the menu at all.
    fn value(&self, name: &str) -> Option<String>;
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn parse(words: &[Word], end: Position) -> Result<Self, Error> {
        let mut parser = Parser {
            words: words.iter(),
            end,
            depth: 0,
        };
        let condition = parser.any()?;
        match parser.words.next() {
            None => Ok(condition),
            Some(word) => Err(Error::new(word.at, "syntax error")),
        }
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// It names what the menu does not have.
    pub fn holds(&self, subject: &impl Subject) -> Result<bool, Error> {
        let value = |name: &Name| {
            subject
                .value(&name.text)
                .ok_or_else(|| Error::new(name.at, "expected end of command"))
        };
        Ok(match self {
            Self::All(terms) => {
                let mut all = true;
                for term in terms {
                    all &= term.holds(subject)?;
                }
                all
            }
            Self::Any(terms) => {
                let mut any = false;
                for term in terms {
                    any |= term.holds(subject)?;
                }
                any
            }
            Self::Not(term) => !term.holds(subject)?,
            Self::Flag(name) => matches!(value(name)?.as_str(), "yes" | "true"),
            Self::Equal(name, wanted) => is_equal(&value(name)?, wanted),
            Self::Compare(name, operator, wanted) => {
                let order = compare(&value(name)?, wanted);
                match operator {
                    Operator::NotEqual => order != Some(Ordering::Equal),
                    Operator::Less => order == Some(Ordering::Less),
                    Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
                    Operator::Greater => order == Some(Ordering::Greater),
                    Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
                    Operator::Matches => false,
                }
            }
            Self::Matches(name, regex) => regex.is_match(&value(name)?),
        })
    }
}

/// Reads words by descending: any, all, one.
struct Parser<'a> {
    words: std::slice::Iter<'a, Word>,
    end: Position,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, Error> {
        let mut terms = vec![self.all()?];
        while self.take(&["or", "||"]) {
            terms.push(self.all()?);
        }
        Ok(match terms.len() {
            1 => terms.remove(0),
            _ => Condition::Any(terms),
        })
    }

    fn all(&mut self) -> Result<Condition, Error> {
        let mut terms = Vec::new();
        loop {
            let next = self.words.as_slice().first();
            match next.map(|word| &word.kind) {
                None | Some(WordKind::Close) => break,
                Some(WordKind::Bare(word)) if matches!(word.as_str(), "or" | "||") => break,
                Some(_) => {}
            }
            if self.take(&["and", "&&"]) {
                continue;
            }
            terms.push(self.one()?);
        }
        Ok(match terms.len() {
            1 => terms.remove(0),
            _ => Condition::All(terms),
        })
    }

    fn one(&mut self) -> Result<Condition, Error> {
        let Some(word) = self.words.next() else {
            return Err(Error::new(self.end, "syntax error"));
        };
        let name = |text: &String| Name {
            text: text.clone(),
            at: word.at,
        };
        match &word.kind {
            WordKind::Not => Ok(Condition::Not(Box::new(self.one()?))),
            WordKind::Open => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Error::new(word.at, "syntax error"));
                }
                let inner = self.any()?;
                self.depth -= 1;
                match self.words.next().map(|word| &word.kind) {
                    Some(WordKind::Close) => Ok(inner),
                    _ => Err(Error::new(word.at, "syntax error")),
                }
            }
            WordKind::Bare(text) => Ok(Condition::Flag(name(text))),
            WordKind::Unset(text) => Ok(Condition::Not(Box::new(Condition::Flag(name(text))))),
            WordKind::Argument {
                name: text, value, ..
            } => Ok(Condition::Equal(name(text), value.to_string())),
            WordKind::Comparison {
                name: text,
                operator: Operator::Matches,
                value,
            } => {
                let regex = RegexBuilder::new(value).size_limit(MAX_REGEX_BYTES).build();
                let regex = regex.map_err(|_| Error::new(word.at, "syntax error"))?;
                Ok(Condition::Matches(name(text), regex))
            }
            WordKind::Comparison {
                name: text,
                operator,
                value,
            } => Ok(Condition::Compare(name(text), *operator, value.clone())),
            WordKind::Quoted(_) | WordKind::Brackets(_) | WordKind::Close => {
                Err(Error::new(word.at, "syntax error"))
            }
        }
    }

    /// Takes the next word if it is one of these.
    fn take(&mut self, these: &[&str]) -> bool {
        let next = self.words.as_slice().first().map(|word| &word.kind);
        let taken = matches!(next, Some(WordKind::Bare(word)) if these.contains(&word.as_str()));
        if taken {
            self.words.next();
        }
        taken
    }
}

/// Parentheses in parentheses: more than anybody writes, less than a stack holds.
const MAX_DEPTH: usize = 50;

/// What a regular expression may take.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Whether a property has a value: yes and true are the same.
fn is_equal(value: &str, wanted: &str) -> bool {
    let same = |text| match text {
        "true" => "yes",
        "false" => "no",
        other => other,
    };
    same(value) == same(wanted)
}

/// How two values compare: as numbers, times or addresses if both are, else as texts.
fn compare(value: &str, wanted: &str) -> Option<Ordering> {
    fn both<T: Ord>(value: Option<T>, wanted: Option<T>) -> Option<Ordering> {
        Some(value?.cmp(&wanted?))
    }
    if value.is_empty() != wanted.is_empty() {
        return None;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let address = |text: &str| text.parse::<Ipv4Addr>().ok();
    both(number(value), number(wanted))
        .or_else(|| both(time::parse(value), time::parse(wanted)))
        .or_else(|| both(address(value), address(wanted)))
        .or_else(|| Some(value.cmp(wanted)))
}

#[cfg(test)]
mod tests {
    use super::super::lex::statements;
    use super::*;

    struct Row;

    impl Subject for Row {
        fn value(&self, name: &str) -> Option<String> {
            let value = match name {
                "name" => "ann-2",
                "disabled" => "no",
                "dynamic" => "yes",
                "mtu" => "1450",
                "uptime" => "1h5m",
                "address" => "10.0.0.9",
                "comment" => "",
                _ => return None,
            };
            Some(value.to_owned())
        }
    }

    #[test]
    fn a_condition_holds_or_does_not() {
        for (text, expected) in [
            ("name=ann-2", true),
            ("name!=ann-2", false),
            ("name~\"^ann-[0-9]$\"", true),
            ("name~\"^bob\"", false),
            ("dynamic", true),
            ("!dynamic", false),
            ("disabled=no", true),
            ("disabled=false", true),
            ("mtu>999", true),
            ("mtu<=1450", true),
            ("mtu<1450", false),
            ("uptime>59m", true),
            ("uptime<10m", false),
            ("address<10.0.0.10", true),
            ("comment<5", false),
            ("dynamic name=bob", false),
            ("dynamic and name=ann-2", true),
            ("name=bob or dynamic", true),
            ("name=bob || (dynamic && mtu>=1450)", true),
            ("!(name=bob or disabled)", true),
            ("name=bob or name=ann-2 disabled", false),
        ] {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_told_with_its_place() {
        for (text, column, what) in [
            ("(dynamic", 1, "syntax error"),
            ("\"dynamic\"", 1, "syntax error"),
            ("dynamic foo=1", 9, "expected end of command"),
            ("dynamic or foo", 12, "expected end of command"),
            ("name~\"(\"", 1, "syntax error"),
        ] {
            let error = holds(text).unwrap_err();
            assert_eq!(
                (error.at.column, error.text.as_str()),
                (column, what),
                "{text}"
            );
        }
        let deep = "(".repeat(100) + "dynamic" + &")".repeat(100);
        assert!(holds(&deep).is_err());
    }

    fn holds(text: &str) -> Result<bool, Error> {
        let words = statements(text).next().and_then(Result::ok);
        let words = words.expect("it is made of words");
        let end = Position { line: 1, column: 1 };
        Condition::parse(&words, end)?.holds(&Row)
    }
}

//! Cuts an export into statements, and these into words. Where the language's own reader refuses a
//! statement, this one goes on: through scripts, whose lines are no statements; past values that
//! are not text, as comments in other code pages; and it knows all lines that a statement stands in.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

/// One statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// The lines it stands in.
    pub(super) lines: RangeInclusive<usize>,
    pub(super) words: Vec<Word>,
    /// Why its words mean nothing, if they do not.
    pub(super) fault: Option<&'static str>,
}

/// One word of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `/ppp`, `add`, `*0`.
    Bare(String),
    /// `"a name"`.
    Quoted(Value),
    /// `name=value`.
    Argument { name: String, value: Value },
    /// `!name`.
    Unset(String),
    /// `[ find default=yes ]`, without the brackets.
    Brackets(Vec<Self>),
    /// A variable, an expression, a block of commands.
    Script,
}

impl Word {
    /// Name and value of an argument whose value is text.
    pub(super) fn text_argument(&self) -> Option<(&str, &str)> {
        if let Self::Argument {
            name,
            value: Value::Text(value),
        } = self
        {
            Some((name, value))
        } else {
            None
        }
    }
}

/// What a word stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// This text, without quotes and escapes.
    Text(Zeroizing<String>),
    /// What a script would compute.
    Script,
    /// An escape that is none, or bytes that are not UTF-8.
    Unreadable,
}

/// The statements of `text`.
pub(super) fn statements(text: &str) -> impl Iterator<Item = Raw> + '_ {
    let mut cursor = Cursor {
        rest: text,
        line: 1,
        fault: None,
    };
    std::iter::from_fn(move || {
        cursor.skip_between_statements();
        cursor.peek()?;
        Some(cursor.statement())
    })
}

/// A place in the text that moves forward.
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
    /// What is wrong with the statement.
    fault: Option<&'static str>,
}

impl Cursor<'_> {
    /// The next character, seen past any joined line ends.
    fn peek(&mut self) -> Option<char> {
        while let Some(next) = self
            .rest
            .strip_prefix("\\\n")
            .or_else(|| self.rest.strip_prefix("\\\r\n"))
        {
            self.rest = next.trim_start_matches([' ', '\t']);
            self.line += 1;
        }
        self.rest.chars().next()
    }

    /// Takes the character that stands there.
    fn bump(&mut self) {
        let mut chars = self.rest.chars();
        if chars.next() == Some('\n') {
            self.line += 1;
        }
        self.rest = chars.as_str();
    }

    fn skip_between_statements(&mut self) {
        while let Some(next) = self.peek() {
            if next == '#' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if next.is_whitespace() || next == ';' {
                self.bump();
            } else {
                return;
            }
        }
    }

    fn statement(&mut self) -> Raw {
        let first = self.line;
        self.fault = None;
        let mut words = Vec::new();
        let mut last = first;
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('\n' | ';') => break,
                Some('[') => {
                    self.bump();
                    words.push(Word::Brackets(self.brackets()));
                }
                Some(_) => words.push(self.word()),
            }
            last = self.line;
        }
        Raw {
            lines: first..=last,
            words,
            fault: self.fault,
        }
    }

    fn skip_blanks(&mut self) {
        while self
            .peek()
            .is_some_and(|next| next != '\n' && next.is_whitespace())
        {
            self.bump();
        }
    }

    /// What stands up to `]`.
    fn brackets(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            match self.peek() {
                None => {
                    self.fault = Some("a bracket is not closed");
                    return words;
                }
                Some(']') => {
                    self.bump();
                    return words;
                }
                Some(next) if next.is_whitespace() || next == ';' => self.bump(),
                Some('[') => {
                    self.balanced();
                    words.push(Word::Script);
                }
                Some(_) => words.push(self.word()),
            }
        }
    }

    /// Everything up to the bracket that closes the one that stands there, which may be lines below.
    fn balanced(&mut self) {
        let mut depth = 0_usize;
        while let Some(next) = self.peek() {
            match next {
                '[' | '(' | '{' => depth += 1,
                ']' | ')' | '}' => depth = depth.saturating_sub(1),
                '"' => {
                    self.quoted();
                    continue;
                }
                '\\' => self.bump(),
                _ => {}
            }
            self.bump();
            if depth == 0 {
                return;
            }
        }
        self.fault = Some("a bracket is not closed");
    }

    fn word(&mut self) -> Word {
        match self.peek() {
            Some('"') => {
                let value = self.quoted();
                if self.is_at_end_of_word() {
                    return Word::Quoted(value);
                }
                self.bare(&[]);
                return Word::Quoted(Value::Unreadable);
            }
            Some('!') => {
                self.bump();
                return match self.bare(&[]) {
                    Value::Text(name) => Word::Unset(name.to_string()),
                    Value::Script | Value::Unreadable => Word::Script,
                };
            }
            _ => {}
        }
        let name = self.bare(&['=']);
        if self.peek() == Some('=') {
            self.bump();
            let value = self.value();
            return match name {
                Value::Text(name) => Word::Argument {
                    name: name.to_string(),
                    value,
                },
                Value::Script | Value::Unreadable => Word::Script,
            };
        }
        match name {
            Value::Text(text) => Word::Bare(text.to_string()),
            Value::Script => Word::Script,
            Value::Unreadable => Word::Quoted(Value::Unreadable),
        }
    }

    /// What stands behind an equals sign.
    fn value(&mut self) -> Value {
        if self.peek() != Some('"') {
            return self.bare(&[]);
        }
        let value = self.quoted();
        if self.is_at_end_of_word() {
            return value;
        }
        self.bare(&[]);
        Value::Unreadable
    }

    fn is_at_end_of_word(&mut self) -> bool {
        self.peek()
            .is_none_or(|next| next.is_whitespace() || matches!(next, ';' | ']'))
    }

    /// Characters up to a blank, the end of the statement or one of `stops`.
    fn bare(&mut self, stops: &[char]) -> Value {
        let mut text = Zeroizing::new(String::new());
        let mut is_script = false;
        let mut is_readable = true;
        while let Some(next) = self.peek() {
            match next {
                // Where nothing opened it, it belongs to the word.
                ']' if text.is_empty() && !is_script => is_script = true,
                ';' | ']' => break,
                _ if next.is_whitespace() || stops.contains(&next) => break,
                '[' | '(' | '{' => {
                    is_script = true;
                    self.balanced();
                    continue;
                }
                '$' | ')' | '}' => is_script = true,
                '"' => {
                    is_readable = false;
                    self.quoted();
                    continue;
                }
                '\\' => is_readable = false,
                _ => text.push(next),
            }
            self.bump();
        }
        if is_script {
            Value::Script
        } else if is_readable {
            Value::Text(text)
        } else {
            Value::Unreadable
        }
    }

    /// A string in quotes, which may go over lines.
    fn quoted(&mut self) -> Value {
        self.bump();
        let mut bytes = Zeroizing::new(Vec::new());
        let mut is_readable = true;
        let mut is_script = false;
        loop {
            match self.peek() {
                None => {
                    self.fault = Some("a quotation mark is not closed");
                    return Value::Unreadable;
                }
                Some('"') => {
                    self.bump();
                    break;
                }
                Some('$') => {
                    self.bump();
                    // In front of anything else it is a dollar sign.
                    let names = |next: char| next.is_alphanumeric() || "([\"_".contains(next);
                    is_script |= self.peek().is_some_and(names);
                    bytes.push(b'$');
                }
                Some('\\') => match self.escape() {
                    Some(byte) => bytes.push(byte),
                    None => is_readable = false,
                },
                Some(next) => {
                    bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                    self.bump();
                }
            }
        }
        match std::str::from_utf8(&bytes) {
            _ if is_script => Value::Script,
            Ok(text) if is_readable => Value::Text(Zeroizing::new(text.to_owned())),
            Ok(_) | Err(_) => Value::Unreadable,
        }
    }

    /// One escape sequence, `\` included. `None` if it is none, of which the `\` is taken and what
    /// stands behind it.
    fn escape(&mut self) -> Option<u8> {
        self.bump();
        let letter = self.rest.chars().next()?;
        let byte = match letter {
            '"' | '\\' | '$' | '?' => u8::try_from(letter).ok()?,
            '_' => b' ',
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            _ => {
                let high = hexadecimal(letter);
                self.bump();
                let low = self.peek().and_then(hexadecimal);
                let byte = high? << 4 | low?;
                self.bump();
                return Some(byte);
            }
        };
        self.bump();
        Some(byte)
    }
}

/// The value of an upper-case hexadecimal digit: `\B` begins a byte, `\b` is a backspace.
fn hexadecimal(digit: char) -> Option<u8> {
    let value = digit.to_digit(16)?;
    (!digit.is_ascii_lowercase()).then(|| u8::try_from(value).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_stands_in_all_the_lines_that_it_is_continued_in() {
        assert_eq!(
            shapes("# x\r\nadd a=\\\r\n    1 b=\"x\\\n  y\"\nset c; print\n"),
            ["2-4 add a=1 b=xy", "5-5 set c", "5-5 print"]
        );
    }

    #[test]
    fn a_block_of_a_script_ends_where_its_brackets_do() {
        assert_eq!(
            shapes(":if ($a = \"}\") do={\n  /ppp secret add name=x\n} else={}\n/ppp secret\n"),
            ["1-3 :if <> do=<> else=<>", "4-4 /ppp secret"]
        );
        assert_eq!(
            shapes("set [ find a=[ b ] ] $x"),
            ["1-1 set [find a=<>] <>"]
        );
        assert_eq!(shapes("] } a=$b"), ["1-1 <> <> a=<>"]);
    }

    #[test]
    fn what_is_never_closed_is_a_fault_up_to_the_end() {
        for text in [
            "add a=\"b\nset c=d",
            "add {\nset c",
            "set [ find\nx",
            "x\"\\",
        ] {
            let all: Vec<_> = statements(text).collect();

            assert_eq!(all.len(), 1, "{text}");
            assert!(all[0].fault.is_some(), "{text}");
            assert_eq!(*all[0].lines.end(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn values_that_cannot_be_read_do_not_hide_their_neighbours() {
        assert_eq!(
            shapes(r#"add a="\CF" b="\z" c=DOM\u d="x"y e="\D0\9F\_$ok" f=1 "g"h"#),
            ["1-1 add a=? b=? c=? d=? e=<> f=1 '?'"]
        );
        assert_eq!(shapes(r#"a b="\D0\9F\_\$ok\"" !c"#), ["1-1 a b=П $ok\" !c"]);
    }

    fn shapes(text: &str) -> Vec<String> {
        statements(text)
            .map(|raw| {
                assert_eq!(raw.fault, None);
                let lines = format!("{}-{}", raw.lines.start(), raw.lines.end());
                format!("{lines} {}", shape(&raw.words))
            })
            .collect()
    }

    fn shape(words: &[Word]) -> String {
        let value = |value: &Value| match value {
            Value::Text(text) => text.to_string(),
            Value::Script => "<>".to_owned(),
            Value::Unreadable => "?".to_owned(),
        };
        let one = |word: &Word| match word {
            Word::Bare(text) => text.clone(),
            Word::Quoted(text) => format!("'{}'", value(text)),
            Word::Argument { name, value: text } => format!("{name}={}", value(text)),
            Word::Unset(name) => format!("!{name}"),
            Word::Brackets(words) => format!("[{}]", shape(words)),
            Word::Script => "<>".to_owned(),
        };
        words.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

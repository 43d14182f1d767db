//! Cuts text into statements, and statements into words with their positions.
//!
//! A statement ends at the end of its line or at `;`. A `\` at the end of a line joins it with the
//! next one, without that one's indentation, also inside a value. Scripting (`:put`, `$name`) is
//! not part of the language; parentheses and comparisons are, for what stands behind `where`.

use std::fmt;

use zeroize::Zeroizing;

/// Where something stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Position {
    /// The place `characters` further on in the same line.
    pub(crate) const fn plus(self, characters: usize) -> Self {
        Self {
            line: self.line,
            column: self.column + characters,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(line {} column {})", self.line, self.column)
    }
}

/// One word of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Where it begins.
    pub(crate) at: Position,
    /// What it is.
    pub(crate) kind: WordKind,
}

/// The kinds of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WordKind {
    /// `print`, `/ppp`, `*0`.
    Bare(String),
    /// `"a name"`.
    Quoted(String),
    /// `name=value`.
    Argument {
        /// Left of the equals sign.
        name: String,
        /// Right of it, without quotes and escapes.
        value: Zeroizing<String>,
        /// Where the value begins, its quote included.
        value_at: Position,
    },
    /// `!name`: back to the default; behind `where`: this flag is not set.
    Unset(String),
    /// `name~value` and the like, behind `where`.
    Comparison {
        /// Left of the operator.
        name: String,
        /// The operator.
        operator: Operator,
        /// Right of it.
        value: String,
    },
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `!` in front of a parenthesis.
    Not,
    /// `[ find default=yes ]`, without the brackets.
    Brackets(Vec<Word>),
}

/// How two values are compared, besides `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `~`: the value is a regular expression.
    Matches,
}

impl Operator {
    /// The longer one of two that begin alike stands first.
    const ALL: [(&'static str, Self); 6] = [
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
        ("~", Self::Matches),
    ];
}

/// The text is not made of words; the position says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) Position);

/// The statements of `text`. A malformed one is reported and skipped to the end of its line.
pub(crate) fn statements(text: &str) -> impl Iterator<Item = Result<Vec<Word>, Malformed>> + '_ {
    let mut cursor = Cursor::new(text);
    std::iter::from_fn(move || {
        cursor.skip_between_statements();
        cursor.peek()?;
        let statement = cursor.statement();
        if statement.is_err() {
            cursor.skip_line();
        }
        Some(statement)
    })
}

/// A place in the text that moves forward.
struct Cursor<'a> {
    rest: &'a str,
    at: Position,
    /// Parentheses that are open.
    depth: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: Position { line: 1, column: 1 },
            depth: 0,
        }
    }

    /// The next character, seen past any joined line ends.
    fn peek(&mut self) -> Option<char> {
        while let Some(next) = self
            .rest
            .strip_prefix("\\\n")
            .or_else(|| self.rest.strip_prefix("\\\r\n"))
        {
            let line = next.trim_start_matches([' ', '\t']);
            self.at = Position {
                line: self.at.line + 1,
                column: 1 + next.len() - line.len(),
            };
            self.rest = line;
        }
        self.rest.chars().next()
    }

    /// Takes the character that [`Self::peek`] showed.
    fn bump(&mut self) {
        let mut chars = self.rest.chars();
        match chars.next() {
            Some('\n') => {
                self.at = Position {
                    line: self.at.line + 1,
                    column: 1,
                };
            }
            Some(_) => self.at.column += 1,
            None => {}
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

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|next| next != '\n') {
            self.bump();
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

    fn statement(&mut self) -> Result<Vec<Word>, Malformed> {
        self.depth = 0;
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('\n' | ';') => return Ok(words),
                Some('[') => {
                    let at = self.at;
                    self.bump();
                    let kind = WordKind::Brackets(self.brackets()?);
                    words.push(Word { at, kind });
                }
                Some(_) => words.push(self.word()?),
            }
        }
    }

    /// What stands up to `]`; brackets inside brackets are malformed.
    fn brackets(&mut self) -> Result<Vec<Word>, Malformed> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('\n' | ';') => return Err(Malformed(self.at)),
                Some(']') => {
                    self.bump();
                    self.expect_end_of_word()?;
                    return Ok(words);
                }
                Some(_) => words.push(self.word()?),
            }
        }
    }

    fn word(&mut self) -> Result<Word, Malformed> {
        let at = self.at;
        let kind = match self.peek() {
            Some('"') => WordKind::Quoted(self.quoted()?.to_string()),
            Some('(') => {
                self.bump();
                self.depth += 1;
                return Ok(Word {
                    at,
                    kind: WordKind::Open,
                });
            }
            Some(')') => {
                self.bump();
                self.depth = self.depth.checked_sub(1).ok_or(Malformed(at))?;
                WordKind::Close
            }
            Some('!') => {
                self.bump();
                if self.peek() == Some('(') {
                    return Ok(Word {
                        at,
                        kind: WordKind::Not,
                    });
                }
                let name = self.bare(&['='])?;
                if name.is_empty() {
                    return Err(Malformed(self.at));
                }
                WordKind::Unset(name.to_string())
            }
            // The name of a dynamic interface.
            Some('<') => WordKind::Bare(self.bare(&['='])?.to_string()),
            _ => self.named(at)?,
        };
        self.expect_end_of_word()?;
        Ok(Word { at, kind })
    }

    /// A bare word, `name=value`, or a comparison.
    fn named(&mut self, at: Position) -> Result<WordKind, Malformed> {
        let name = self.bare(&['=', '!', '<', '>', '~'])?;
        if self.peek() == Some('=') {
            if name.is_empty() {
                return Err(Malformed(at));
            }
            self.bump();
            let (value_at, value) = self.value()?;
            return Ok(WordKind::Argument {
                name: name.to_string(),
                value,
                value_at,
            });
        }
        if name.is_empty() {
            return Err(Malformed(at));
        }
        let rest = self.rest;
        let operator = Operator::ALL
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign));
        let Some((sign, operator)) = operator else {
            return Ok(WordKind::Bare(name.to_string()));
        };
        for _ in sign.chars() {
            self.bump();
        }
        let (_, value) = self.value()?;
        Ok(WordKind::Comparison {
            name: name.to_string(),
            operator,
            value: value.to_string(),
        })
    }

    /// What stands behind `=` or another operator, and where it begins.
    fn value(&mut self) -> Result<(Position, Zeroizing<String>), Malformed> {
        // A joined line end stands between `=` and the value: look past it first.
        let quoted = self.peek() == Some('"');
        let at = self.at;
        let value = if quoted {
            self.quoted()?
        } else {
            self.bare(&[])?
        };
        Ok((at, value))
    }

    /// Characters up to a blank, the end of the statement or one of `stops`. What only quotes may
    /// hold is malformed, so that a script is not taken for a value.
    fn bare(&mut self, stops: &[char]) -> Result<Zeroizing<String>, Malformed> {
        let mut text = Zeroizing::new(String::new());
        while let Some(next) = self.peek() {
            let ends = next.is_whitespace() || matches!(next, ';' | ']') || stops.contains(&next);
            if ends || (next == ')' && self.depth > 0) {
                break;
            }
            if matches!(next, '"' | '[' | '(' | ')' | '{' | '}' | '$' | '\\') {
                return Err(Malformed(self.at));
            }
            text.push(next);
            self.bump();
        }
        Ok(text)
    }

    /// A string in quotes. Its bytes after the escapes must be UTF-8.
    fn quoted(&mut self) -> Result<Zeroizing<String>, Malformed> {
        let open = self.at;
        self.bump();
        let mut bytes = Zeroizing::new(Vec::new());
        loop {
            match self.peek() {
                None | Some('\n') => return Err(Malformed(open)),
                Some('"') => {
                    self.bump();
                    let text = std::str::from_utf8(&bytes).map_err(|_| Malformed(open))?;
                    return Ok(Zeroizing::new(text.to_owned()));
                }
                Some('\\') => bytes.push(self.escape()?),
                Some(next) => {
                    bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                    self.bump();
                }
            }
        }
    }

    /// One escape sequence, `\` included.
    fn escape(&mut self) -> Result<u8, Malformed> {
        let at = self.at;
        self.bump();
        // The character behind the backslash is taken as it stands: the second one of `\\` at the
        // end of a line does not join lines.
        let Some(letter) = self.rest.chars().next() else {
            return Err(Malformed(at));
        };
        let byte = match letter {
            '"' | '\\' | '$' | '?' => u8::try_from(letter).map_err(|_| Malformed(at))?,
            '_' => b' ',
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            _ => {
                let high = hexadecimal(letter).ok_or(Malformed(at))?;
                self.bump();
                let low = self.peek().and_then(hexadecimal).ok_or(Malformed(at))?;
                high << 4 | low
            }
        };
        self.bump();
        Ok(byte)
    }

    fn expect_end_of_word(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            None | Some(';' | ']') => Ok(()),
            Some(')') if self.depth > 0 => Ok(()),
            Some(next) if next.is_whitespace() => Ok(()),
            Some(_) => Err(Malformed(self.at)),
        }
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
    use proptest::prelude::*;

    #[test]
    fn statements_end_at_the_line_end_or_a_semicolon() {
        assert_eq!(
            shapes("# by hand\r\n/ppp secret; print\n\n  # more\nadd\n"),
            ["2:1 /ppp | 2:6 secret", "2:14 print", "5:1 add"]
        );
    }

    #[test]
    fn a_joined_line_loses_its_indentation_also_inside_a_value() {
        assert_eq!(
            shapes("add name=po\\\n    ol ranges=\\\r\n    \"10.0.0.1-\\\n  10.0.0.9\" x"),
            ["1:1 add | 1:5 name=pool@1:10 | 2:8 ranges=10.0.0.1-10.0.0.9@3:5 | 4:13 x"]
        );
    }

    #[test]
    fn escapes_stand_for_their_bytes() {
        assert_eq!(
            shapes(r#"a x="DOM\\user \"q\" \$5 \C3\A9\_\t" "b c" !dns"#),
            ["1:1 a | 1:3 x=DOM\\user \"q\" $5 é \t@1:5 | 1:38 'b c' | 1:44 !dns"]
        );
        assert_eq!(shapes("a x=\"b\\\\\\\n  c\""), ["1:1 a | 1:3 x=b\\c@1:5"]);
    }

    #[test]
    fn brackets_hold_words() {
        assert_eq!(
            shapes("set [ find default=yes ] a=1"),
            ["1:1 set | 1:5 [1:7 find | 1:12 default=yes@1:20] | 1:26 a=1@1:28"]
        );
        assert_eq!(
            shapes("set [find] a="),
            ["1:1 set | 1:5 [1:6 find] | 1:12 a=@1:14"]
        );
    }

    #[test]
    fn conditions_have_operators_and_parentheses() {
        assert_eq!(
            shapes("print where (name~\"^a b\" or !(mtu>=1400)) !dynamic user!=x"),
            [
                "1:1 print | 1:7 where | 1:13 ( | 1:14 name Matches ^a b | 1:26 or | 1:29 ! | 1:30 ( \
                 | 1:31 mtu GreaterOrEqual 1400 | 1:40 ) | 1:41 ) | 1:43 !dynamic | 1:52 user NotEqual x"
            ]
        );
        assert_eq!(
            shapes("remove <pptp-a>,<pptp-b>"),
            ["1:1 remove | 1:8 <pptp-a>,<pptp-b>"]
        );
    }

    #[test]
    fn what_is_not_a_word_is_reported_where_it_stands() {
        for (text, column) in [
            ("add name=\"open", 10),
            ("add name=\"bad \\x\"", 15),
            ("add name=\"bad \\C3\"", 10),
            ("add name=\"bad \\4\"", 15),
            ("add name=\"a\"b", 13),
            ("add name=a\"b", 11),
            ("add name=$pool", 10),
            ("add name=DOM\\user", 13),
            ("set [ find", 11),
            ("set [ find [ a ] ]", 12),
            ("set ] a", 5),
            (":put 1)", 7),
            ("add x(", 6),
            ("find ~x", 6),
            ("add =5", 5),
            ("add !", 6),
            ("add \\", 5),
            ("add name=\"\\", 11),
        ] {
            assert_eq!(
                statements(text).next(),
                Some(Err(Malformed(Position { line: 1, column }))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_statement_after_a_malformed_one_is_read() {
        let all: Vec<_> = statements("add x=\"\\\n open\nprint").collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].is_err());
        assert!(all[1].is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics_or_hangs(text in r#"([a-z=/ ;#\[\]()<>~"\\$!\r\n]|\\\n|\PC){0,80}"#) {
            prop_assert!(statements(&text).count() <= text.len());
        }

        #[test]
        fn a_quoted_value_reads_back(value in any::<String>()) {
            let quoted: String = value
                .bytes()
                .map(|byte| format!("\\{byte:02X}"))
                .collect();
            let text = format!("a b=\"{quoted}\"");
            let words = statements(&text).next().unwrap().unwrap();
            let WordKind::Argument { value: read, .. } = &words[1].kind else {
                panic!("not an argument");
            };
            prop_assert_eq!(read.as_str(), value);
        }
    }

    fn shapes(text: &str) -> Vec<String> {
        statements(text)
            .map(|words| shape(&words.unwrap()))
            .collect()
    }

    fn shape(words: &[Word]) -> String {
        let one = |word: &Word| {
            let place = |at: Position| format!("{}:{}", at.line, at.column);
            let kind = match &word.kind {
                WordKind::Bare(text) => text.clone(),
                WordKind::Quoted(text) => format!("'{text}'"),
                WordKind::Argument {
                    name,
                    value,
                    value_at,
                } => format!("{name}={}@{}", value.as_str(), place(*value_at)),
                WordKind::Unset(name) => format!("!{name}"),
                WordKind::Comparison {
                    name,
                    operator,
                    value,
                } => format!("{name} {operator:?} {value}"),
                WordKind::Open => "(".to_owned(),
                WordKind::Close => ")".to_owned(),
                WordKind::Not => "!".to_owned(),
                WordKind::Brackets(words) => {
                    return format!("{} [{}]", place(word.at), shape(words));
                }
            };
            format!("{} {kind}", place(word.at))
        };
        words.iter().map(one).collect::<Vec<_>>().join(" | ")
    }
}

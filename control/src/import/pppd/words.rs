//! Cuts the files of pppd into words, by its rules: quotes may stand anywhere in a word and go over
//! lines, a backslash begins an escape also between them, `#` where a word could begin or end begins
//! a comment, and a backslash at the end of a line joins it with the next one.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

/// The words of one line, or of several that are joined.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Line {
    pub(in crate::import) words: Vec<Word>,
}

impl Line {
    /// The lines of the text that it stands in.
    pub(in crate::import) fn lines(&self) -> RangeInclusive<usize> {
        let first = self.words.first().map_or(1, |word| *word.lines.start());
        let last = self.words.last().map_or(1, |word| *word.lines.end());
        first..=last
    }
}

/// One word.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::import) struct Word {
    /// Without quotes and escapes. `None` if these make bytes that are not UTF-8, or it is longer
    /// than pppd reads, or a quotation mark is not closed.
    pub(in crate::import) text: Option<Zeroizing<String>>,
    /// Where it stands.
    pub(in crate::import) lines: RangeInclusive<usize>,
}

impl Word {
    /// Its text, empty if it cannot be read.
    pub(in crate::import) fn text(&self) -> &str {
        self.text.as_ref().map_or("", |text| text.as_str())
    }
}

/// The lines of `text` that have words.
pub(in crate::import) fn lines(text: &str) -> Vec<Line> {
    let mut cursor = Cursor {
        rest: text,
        line: 1,
    };
    let mut lines = Vec::new();
    let mut line = Line::default();
    loop {
        let is_new = cursor.skip_between_words();
        if is_new && !line.words.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if cursor.rest.is_empty() {
            break;
        }
        line.words.push(cursor.word());
    }
    if !line.words.is_empty() {
        lines.push(line);
    }
    lines
}

/// pppd reads one byte less.
const LONGEST: usize = 1024;

/// A place in the text that moves forward.
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) {
        let mut chars = self.rest.chars();
        if chars.next() == Some('\n') {
            self.line += 1;
        }
        self.rest = chars.as_str();
    }

    /// Goes to the next word or the end. Whether a line ended before it.
    fn skip_between_words(&mut self) -> bool {
        let mut is_new = false;
        while let Some(next) = self.peek() {
            if next == '#' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if self.rest.starts_with("\\\n") {
                self.bump();
                self.bump();
            } else if is_space(next) {
                is_new |= next == '\n';
                self.bump();
            } else {
                break;
            }
        }
        is_new
    }

    fn word(&mut self) -> Word {
        let first = self.line;
        let mut bytes = Zeroizing::new(Vec::new());
        let mut quote = None;
        while let Some(next) = self.peek() {
            match next {
                '\\' => {
                    self.bump();
                    self.escape(&mut bytes);
                    continue;
                }
                _ if quote == Some(next) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(next),
                _ if quote.is_none() && (is_space(next) || next == '#') => break,
                _ => bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            self.bump();
        }
        let is_sound = quote.is_none() && bytes.len() < LONGEST && !bytes.contains(&0);
        let text = std::str::from_utf8(&bytes).ok().filter(|_| is_sound);
        Word {
            text: text.map(|text| Zeroizing::new(text.to_owned())),
            lines: first..=self.line,
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, bytes: &mut Vec<u8>) {
        let Some(next) = self.peek() else {
            return;
        };
        let byte = match next {
            '\n' => return self.bump(),
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            's' => b' ',
            't' => b'\t',
            '0'..='7' => return bytes.push(self.number(8, 3)),
            'x' => {
                self.bump();
                return bytes.push(self.number(16, 2));
            }
            _ => {
                bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                return self.bump();
            }
        };
        bytes.push(byte);
        self.bump();
    }

    /// The byte that up to `most` digits make; what is above it is lost, as in pppd.
    fn number(&mut self, radix: u32, most: usize) -> u8 {
        let mut value = 0_u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(radix)) else {
                break;
            };
            value = (value * radix + digit) & 0xff;
            self.bump();
        }
        u8::try_from(value).unwrap_or_default()
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_end_at_blanks_and_comments_unless_quoted() {
        assert_eq!(
            shapes("a  \"b c\"d 'e\"#'#no\n\n# no\n\tf#g\nh"),
            ["1-1 a|b cd|e\"#", "4-4 f", "5-5 h"]
        );
    }

    #[test]
    fn a_backslash_joins_lines_and_begins_escapes_also_in_quotes() {
        assert_eq!(
            shapes("a \\\n b\\\nc \"d\\\ne\nf\"\ng"),
            ["1-5 a|bc|de\nf", "6-6 g"]
        );
        assert_eq!(
            shapes(r#"DOM\\u \"q\" \sx\t '\'\x41\xg' \303\251 \1018 \\"#),
            ["1-1 DOM\\u|\"q\"| x\t|?|é|A8|\\"]
        );
    }

    #[test]
    fn what_pppd_would_not_read_as_it_stands_is_unreadable() {
        let long = "x".repeat(LONGEST);
        for text in ["\\377", "a\\0", "\"open", "'open\n\n", long.as_str()] {
            let lines = lines(text);
            assert_eq!(lines.len(), 1, "{text}");
            assert_eq!(lines[0].words[0].text, None, "{text}");
        }
        assert!(lines("\\").iter().all(|line| line.words.len() == 1));
    }

    proptest! {
        #[test]
        fn every_word_reads_back_by_its_octal_numbers(text in "[^\0]{1,99}") {
            let escaped: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
            let lines = lines(&escaped);

            prop_assert_eq!(lines.len(), 1);
            prop_assert_eq!(lines[0].words.len(), 1);
            prop_assert_eq!(lines[0].words[0].text(), text);
        }
    }

    fn shapes(text: &str) -> Vec<String> {
        lines(text)
            .iter()
            .map(|line| {
                let word = |word: &Word| {
                    word.text
                        .as_ref()
                        .map_or_else(|| "?".to_owned(), |text| text.to_string())
                };
                let words: Vec<String> = line.words.iter().map(word).collect();
                let lines = line.lines();
                format!("{}-{} {}", lines.start(), lines.end(), words.join("|"))
            })
            .collect()
    }
}

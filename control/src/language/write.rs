//! Writes values so that the language reads them back.

use std::fmt::Write as _;

/// A value as it stands behind `=`: in quotes if it needs them.
#[must_use]
pub fn value(text: &str) -> String {
    if text.is_empty() || !text.chars().all(is_plain) {
        quoted(text)
    } else {
        text.to_owned()
    }
}

/// A value in quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text between quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// What never needs quotes. Other characters might not either, but every reader of an export knows
/// these.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ',' | '-' | '_' | ':' | '/' | '*' | '@' | '+')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lex::{WordKind, statements};
    use super::*;

    #[test]
    fn only_what_needs_quotes_has_them() {
        assert_eq!(
            value("10.0.0.1-10.0.0.9,pool_2"),
            "10.0.0.1-10.0.0.9,pool_2"
        );
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("a b"), "\"a b\"");
        assert_eq!(value("<pptp-a>"), "\"<pptp-a>\"");
        assert_eq!(value("DOM\\u$\"\u{1b}\n"), r#""DOM\\u\$\"\1B\n""#);
    }

    proptest! {
        #[test]
        fn every_value_reads_back(text in any::<String>()) {
            let line = format!("add name={}", value(&text));
            let words = statements(&line).next().unwrap().unwrap();
            let WordKind::Argument { value, .. } = &words[1].kind else {
                panic!("not an argument: {line}");
            };
            prop_assert_eq!(value.as_str(), text);
        }
    }
}

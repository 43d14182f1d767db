//! Texts of strangers, made harmless for who reads the log.

/// The longest text of a line, in bytes.
pub const LONGEST: usize = 2048;

/// The longest value of a field, in bytes.
pub const LONGEST_VALUE: usize = 512;

/// A text without what could fake a line of the log: every character that ends a line, moves the
/// cursor or changes the order of what is read is a question mark.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_treacherous(c) { '?' } else { c })
        .collect()
}

/// Shortens a text to `most` bytes at most, between two characters. What is cut off ends in `...`.
pub fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = text.floor_char_boundary(most.saturating_sub(3));
        text.truncate(end);
        text.push_str("...");
    }
}

/// Controls, the separators of lines and paragraphs, and the marks of the writing direction.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_peer_cannot_break_a_line() {
        assert_eq!(printable("DOM\\a b\r\nc\u{1b}[0m"), "DOM\\a b??c?[0m");
        assert_eq!(printable("a\u{85}b\u{2028}c\u{202e}d"), "a?b?c?d");
        assert_eq!(printable("Jürgen Ω 漢"), "Jürgen Ω 漢");
    }

    #[test]
    fn what_is_cut_says_so() {
        let mut text = "Jürgen".to_owned();
        cut(&mut text, 7);
        assert_eq!(text, "Jürgen");
        cut(&mut text, 5);
        assert_eq!(text, "J...");
    }

    proptest! {
        #[test]
        fn a_text_is_one_line_of_bounded_length(text: String, most in 3_usize..40) {
            let mut text = printable(&text);
            prop_assert!(!text.contains(is_treacherous));
            prop_assert!(text.lines().count() <= 1);
            cut(&mut text, most);
            prop_assert!(text.len() <= most);
        }
    }
}

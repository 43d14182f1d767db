//! Puts together a statement that is typed in several lines.
//!
//! A line that ends with `\`, or within quotes, brackets or parentheses, is not all of it.
//! The language knows `\` only, so that the other line ends are written as what they mean: in
//! quotes a line end is part of the text, elsewhere it is a blank.

/// Lines that were typed so far.
#[derive(Debug, Default)]
pub(super) struct Statement {
    text: String,
    open: Option<Open>,
}

/// Why a line is not the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// A quote has no end.
    Quote,
    /// `[` or `(` has no counterpart.
    Bracket(char),
    /// The line ends with `\`.
    Line,
}

impl Open {
    /// What stands before the next line.
    pub(super) fn prompt(self) -> String {
        let sign = match self {
            Self::Quote => '"',
            Self::Bracket(bracket) => bracket,
            Self::Line => '\\',
        };
        format!("{sign}... ")
    }
}

impl Statement {
    /// Takes the next line, without its end; answers whether it was the last one.
    pub(super) fn push(&mut self, line: &str) -> bool {
        self.text.push_str(line);
        let (open, is_joined) = open_at_end(&self.text);
        self.open = open;
        if let Some(open) = open {
            self.text.push_str(match open {
                _ if is_joined => "\n",
                Open::Quote => "\\n",
                Open::Line => "\n",
                Open::Bracket(_) => " \\\n",
            });
        }
        open.is_none()
    }

    /// Why there are more lines to come.
    pub(super) const fn open(&self) -> Option<Open> {
        self.open
    }

    /// All that was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Whether `text` ends within quotes.
pub(super) fn ends_in_quotes(text: &str) -> bool {
    open_at_end(text).0 == Some(Open::Quote)
}

/// What is open at the end of `text`, and whether it ends with a `\` that joins it with the next.
fn open_at_end(text: &str) -> (Option<Open>, bool) {
    let mut is_quoted = false;
    let mut brackets = Vec::new();
    let mut is_begin = true;
    let mut is_joined = false;
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        is_joined = false;
        match next {
            '\\' => {
                // An escape, or a line end that is none.
                is_joined = chars.next().is_none();
            }
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '#' if is_begin && brackets.is_empty() => {
                let is_line_end = |c| c == '\n';
                if !chars.by_ref().any(is_line_end) {
                    break;
                }
                continue;
            }
            '[' | '(' => brackets.push(next),
            ']' | ')' => {
                brackets.pop();
            }
            _ => {}
        }
        let ends_statement = matches!(next, '\n' | ';');
        is_begin = !is_quoted && (ends_statement || is_begin && next.is_whitespace());
    }
    let open = if is_quoted {
        Some(Open::Quote)
    } else if let Some(&bracket) = brackets.last() {
        Some(Open::Bracket(bracket))
    } else {
        is_joined.then_some(Open::Line)
    };
    (open, is_joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_on_while_something_is_open() {
        for (lines, expected) in [
            (&["print"][..], "print"),
            (&["add \\", "  name=a"], "add \\\n  name=a"),
            (&["set [find", "name=a] b=1"], "set [find \\\nname=a] b=1"),
            (&["print where (a", "or b)"], "print where (a \\\nor b)"),
            (&["add comment=\"a", " b\""], "add comment=\"a\\n b\""),
            (&["add comment=\"a\\", " b\""], "add comment=\"a\\\n b\""),
            (&["add comment=\"a\\\\", "b\""], "add comment=\"a\\\\\\nb\""),
            (&["# it's [ \"here\\"], "# it's [ \"here\\"),
            (&["print; # ["], "print; # ["),
            (&["add name=\"[\" b=1"], "add name=\"[\" b=1"),
            (&["print ]"], "print ]"),
            (&[""], ""),
        ] {
            let mut statement = Statement::default();
            let (last, first) = lines.split_last().unwrap();
            for line in first {
                assert!(!statement.push(line), "{line}");
            }
            assert!(statement.push(last), "{last}");
            assert_eq!(statement.text(), expected);
        }
    }

    #[test]
    fn the_prompt_tells_what_is_open() {
        for (line, expected) in [
            ("a \"[", "\"... "),
            ("a [b", "[... "),
            ("a (b [c]", "(... "),
            ("a\\", "\\... "),
        ] {
            let mut statement = Statement::default();
            statement.push(line);
            assert_eq!(statement.open().unwrap().prompt(), expected);
        }
    }

    #[test]
    fn a_question_mark_in_quotes_is_text() {
        assert!(ends_in_quotes("add comment=\"why"));
        assert!(!ends_in_quotes("add comment=\"why\" "));
        assert!(!ends_in_quotes("# \"why"));
    }
}

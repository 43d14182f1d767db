//! Colours on a terminal.

use std::borrow::Cow;
use std::io::IsTerminal;

use super::reading::{Class, Span};

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colours {
    pub(super) are_on: bool,
}

impl Colours {
    /// Colours if `out` is a terminal and nobody asked for none (NO_COLOR that is not empty).
    pub(super) fn for_output(out: &impl IsTerminal) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            are_on: out.is_terminal() && !is_unwanted,
        }
    }

    /// `text` as something of this class.
    pub(super) fn paint(self, class: Class, text: &str) -> Cow<'_, str> {
        if self.are_on && !text.is_empty() {
            Cow::Owned(format!("\x1b[{}m{text}\x1b[0m", code(class)))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// `line` with each of its parts as what it is.
    pub(super) fn paint_line<'a>(self, line: &'a str, spans: &[Span]) -> Cow<'a, str> {
        if !self.are_on {
            return Cow::Borrowed(line);
        }
        let mut out = String::new();
        let mut end = 0;
        for span in spans {
            out.push_str(&line[end..span.range.start]);
            out.push_str(&self.paint(span.class, &line[span.range.clone()]));
            end = span.range.end;
        }
        out.push_str(&line[end..]);
        Cow::Owned(out)
    }
}

/// How a terminal is told (ECMA-48, SGR).
const fn code(class: Class) -> &'static str {
    match class {
        Class::Menu => "36",
        Class::Command => "1;35",
        Class::Property => "32",
        Class::Value => "33",
        Class::Comment => "2",
        Class::Error => "31",
    }
}

#[cfg(test)]
mod tests {
    use super::super::guide::Guide;
    use super::super::reading::Reading;
    use super::*;

    #[test]
    fn each_part_of_a_line_has_its_colour_and_nothing_is_lost() {
        let line = " /ip pool add name=a nix=1";
        let guide = Guide::new();
        let spans = Reading::new(&guide, &[], line).spans;

        let painted = Colours { are_on: true }.paint_line(line, &spans);

        assert_eq!(
            painted,
            " /\x1b[36mip\x1b[0m \x1b[36mpool\x1b[0m \x1b[1;35madd\x1b[0m \
             \x1b[32mname\x1b[0m=\x1b[33ma\x1b[0m \x1b[31mnix\x1b[0m=\x1b[33m1\x1b[0m"
        );
        assert_eq!(Colours { are_on: false }.paint_line(line, &spans), line);
    }
}

//! What a console remembers from one command to the next, and what it carries out itself.

use std::borrow::Cow;
use std::io;

use super::guide::Guide;
use super::reading::{Reading, statements};
use super::{Exchange, Reply, Request};

/// Where the user is, and what numbers mean there.
#[derive(Debug, Default)]
pub(super) struct Session {
    menu: Vec<String>,
    numbers: Vec<u32>,
}

impl Session {
    /// Has `line` carried out, for a terminal of this width.
    ///
    /// # Errors
    /// Those of the exchange.
    pub(super) fn ask(
        &mut self,
        exchange: &mut dyn Exchange,
        line: &str,
        width: u16,
    ) -> io::Result<Reply> {
        let reply = exchange.run(&Request {
            line: line.to_owned(),
            menu: self.menu.clone(),
            numbers: self.numbers.clone(),
            width,
        })?;
        self.numbers.clone_from(&reply.numbers);
        if let Some(menu) = &reply.menu {
            self.menu.clone_from(menu);
        }
        Ok(reply)
    }

    /// The menu, as the prompt tells it.
    pub(super) fn path(&self) -> String {
        if self.menu.is_empty() {
            String::new()
        } else {
            format!("/{}", self.menu.join("/"))
        }
    }

    /// The menu, in the words of the guide; the root if the guide does not know it.
    pub(super) fn home(&self, guide: &Guide) -> Vec<&'static str> {
        guide.path(&self.menu).unwrap_or_default()
    }
}

/// The part of `text` that is for the control process, and whether the user leaves after it.
pub(super) fn without_quit<'t>(
    guide: &Guide,
    home: &[&'static str],
    text: &'t str,
) -> (&'t str, bool) {
    let Some(last) = statements(text).pop() else {
        return (text, false);
    };
    let home = Reading::new(guide, home, &text[..last.start]).menu;
    let invocation = Reading::new(guide, &home, &text[last.clone()]).invocation;
    if invocation.is_some_and(|invocation| invocation.command.name == "quit") {
        (&text[..last.start], true)
    } else {
        (text, false)
    }
}

/// Whether there is anything in `text` to be carried out.
pub(super) fn is_empty(text: &str) -> bool {
    statements(text).is_empty()
}

/// `text` so that it does nothing to a terminal but fill lines, with a line end behind the last.
pub(super) fn lines_of(text: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_harmless) && (text.is_empty() || text.ends_with('\n')) {
        return Cow::Borrowed(text);
    }
    let shown = |c| if is_harmless(c) { c } else { '?' };
    let mut lines: String = text.replace("\r\n", "\n").chars().map(shown).collect();
    if !lines.is_empty() && !lines.ends_with('\n') {
        lines.push('\n');
    }
    Cow::Owned(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quit_is_not_for_the_control_process() {
        let guide = Guide::new();
        for (text, expected) in [
            ("quit", ("", true)),
            ("/quit", ("", true)),
            ("qu", ("", true)),
            ("print", ("print", false)),
            ("/ppp secret; quit", ("/ppp secret;", true)),
            (
                "/ppp secret add name=quit",
                ("/ppp secret add name=quit", false),
            ),
            ("quit; print", ("quit; print", false)),
            ("# quit", ("# quit", false)),
            ("", ("", false)),
        ] {
            assert_eq!(without_quit(&guide, &[], text), expected, "{text}");
        }
        assert_eq!(without_quit(&guide, &["ppp", "secret"], "q"), ("", true));
    }

    #[test]
    fn an_answer_does_nothing_to_the_terminal() {
        assert_eq!(lines_of("a\tb\nc\n"), "a\tb\nc\n");
        assert_eq!(lines_of("a"), "a\n");
        assert_eq!(lines_of(""), "");
        assert_eq!(lines_of("\x1b[31mred\r\n"), "?[31mred\n");
    }
}

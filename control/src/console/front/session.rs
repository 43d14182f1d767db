//! What a console remembers from one command to the next.

use std::borrow::Cow;

use super::guide::Guide;
use super::reading::statements;
use super::{Exchange, Reply, Request};
use crate::console::wire::Numbers;
use crate::language::path::Path;

/// Where the user is, and what numbers mean there.
#[derive(Debug)]
pub(super) struct Session {
    menu: Vec<String>,
    numbers: Numbers,
    json: bool,
}

impl Session {
    /// In the root; with `json` what is asked is answered for a program.
    pub(super) const fn new(json: bool) -> Self {
        Self {
            menu: Vec::new(),
            numbers: Numbers::new(),
            json,
        }
    }

    /// What asks for `line` to be carried out here, for a terminal of this width.
    pub(super) fn request(&self, line: &str, width: u16) -> Request {
        Request {
            line: line.to_owned(),
            menu: self.menu.clone(),
            numbers: self.numbers.clone(),
            json: self.json,
            width,
        }
    }

    /// Takes note of what a command has changed here.
    pub(super) fn note(&mut self, reply: &Reply) {
        self.menu.clone_from(&reply.menu);
        self.numbers.extend(reply.numbers.clone());
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
    pub(super) fn home(&self, guide: &Guide) -> &'static Path {
        guide.path(&self.menu).unwrap_or_default()
    }
}

/// The names of the items that the menu `path` has now; none if there is no answer.
pub(super) fn names(exchange: &mut Exchange<'_>, path: &[&str]) -> Vec<String> {
    let asked = answer(
        exchange,
        &format!("/{} print proplist=name", path.join(" ")),
    );
    let rows: Vec<Named> = asked
        .and_then(|reply| serde_json::from_str(&reply).ok())
        .unwrap_or_default();
    let names = rows.into_iter().map(|row| row.name);
    names.filter(|name| !name.is_empty()).collect()
}

/// What the server calls itself now, for the prompt; empty if there is no answer.
pub(super) fn identity(exchange: &mut Exchange<'_>) -> String {
    let asked = answer(exchange, "/system identity get name");
    asked
        .and_then(|reply| serde_json::from_str(&reply).ok())
        .unwrap_or_default()
}

/// An item of a menu, of which the name is asked.
#[derive(serde::Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

/// What a question of the console itself is answered with, in JSON.
fn answer(exchange: &mut Exchange<'_>, line: &str) -> Option<String> {
    let request = Session::new(true).request(line, u16::MAX);
    let reply = exchange(&request).ok()?;
    (reply.status == 0).then_some(reply.text)
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
    use super::super::wire::Error;
    use super::*;

    #[test]
    fn an_answer_does_nothing_to_the_terminal() {
        assert_eq!(lines_of("a\tb\nc\n"), "a\tb\nc\n");
        assert_eq!(lines_of("a"), "a\n");
        assert_eq!(lines_of(""), "");
        assert_eq!(lines_of("\x1b[31mred\r\n"), "?[31mred\n");
    }

    #[test]
    fn what_numbers_mean_is_kept_for_each_menu() {
        let mut session = Session::new(false);
        let reply = |menu: &str, ids: &[u32]| Reply {
            text: String::new(),
            status: 0,
            menu: vec!["ip".to_owned()],
            numbers: Numbers::from([(menu.to_owned(), ids.to_vec())]),
            repeats: false,
        };
        session.note(&reply("ip pool", &[1, 2]));
        session.note(&reply("radius", &[7]));
        session.note(&reply("ip pool", &[2]));

        let request = session.request("print", 80);
        assert_eq!(request.menu, ["ip"]);
        let expected = [("ip pool", vec![2]), ("radius", vec![7])];
        assert_eq!(
            request.numbers,
            expected.map(|(menu, ids)| (menu.to_owned(), ids)).into()
        );
    }

    #[test]
    fn nobody_has_a_name_when_nobody_answers() {
        let mut nobody = |_: &Request| Err(Error::TooLong(0));
        assert_eq!(identity(&mut nobody), "");
        assert_eq!(names(&mut nobody, &["ip", "pool"]), Vec::<String>::new());
    }
}

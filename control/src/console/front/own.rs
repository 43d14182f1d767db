//! The commands that the console carries out itself: what they do concerns it alone, or files that
//! only the user's side has.

use std::path::PathBuf;

use super::Exchange;
use super::guide::{Guide, IMPORT, QUIT};
use super::reading::{Reading, statements};
use crate::console::import::{self, Report};
use crate::language::lex::{self, WordKind};

/// A command that is not for the control process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// The user leaves.
    Quit,
    /// A file is to be taken over; `None` if the statement does not name one.
    Import(Option<PathBuf>),
}

/// The part of `text`, typed in the menu `home`, that is for the control process, and the command
/// of the console that stands behind it, if there is one.
pub(super) fn split<'t>(
    guide: &Guide,
    home: &[&'static str],
    text: &'t str,
) -> (&'t str, Option<Own>) {
    let Some(last) = statements(text).pop() else {
        return (text, None);
    };
    let home = Reading::new(guide, home, &text[..last.start]).menu;
    let invocation = Reading::new(guide, &home, &text[last.clone()]).invocation;
    let own = invocation.and_then(|invocation| match invocation.command.name {
        QUIT => Some(Own::Quit),
        IMPORT => Some(Own::Import(file(&text[last.clone()]))),
        _ => None,
    });
    match own {
        Some(own) => (&text[..last.start], Some(own)),
        None => (text, None),
    }
}

/// Takes over a file.
///
/// # Errors
/// Why nothing of it was, in words.
pub(super) fn import(exchange: &mut Exchange<'_>, file: Option<PathBuf>) -> Result<Report, String> {
    let file = file.ok_or("missing value(s) of argument(s) file-name")?;
    import::run(exchange, &file, None, false)
        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// The file that a statement names behind its command.
fn file(statement: &str) -> Option<PathBuf> {
    let words = lex::statements(statement).next()?.ok()?;
    let mut names = words.into_iter().skip(1).map(|word| match word.kind {
        WordKind::Bare(name) | WordKind::Quoted(name) => Some(name),
        WordKind::Argument { name, value, .. } if name == "file-name" => Some(value.to_string()),
        WordKind::Argument { .. }
        | WordKind::Unset(_)
        | WordKind::Comparison { .. }
        | WordKind::Open
        | WordKind::Close
        | WordKind::Not
        | WordKind::Brackets(_) => None,
    });
    let name = names.next()??;
    names.next().is_none().then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quit_is_not_for_the_control_process() {
        let guide = Guide::new();
        for (text, rest, quits) in [
            ("quit", "", true),
            ("/quit", "", true),
            ("qu", "", true),
            ("print", "print", false),
            ("/ppp secret; quit", "/ppp secret;", true),
            (
                "/ppp secret add name=quit",
                "/ppp secret add name=quit",
                false,
            ),
            ("quit; print", "quit; print", false),
            ("# quit", "# quit", false),
            ("", "", false),
        ] {
            let expected = (rest, quits.then_some(Own::Quit));
            assert_eq!(split(&guide, &[], text), expected, "{text}");
        }
        for (text, expected) in [
            ("import a.rsc", Some("a.rsc")),
            ("/import \"my file\"", Some("my file")),
            (
                "import file-name=/etc/ppp/chap-secrets",
                Some("/etc/ppp/chap-secrets"),
            ),
            ("import", None),
            ("import a b", None),
        ] {
            let expected = Own::Import(expected.map(PathBuf::from));
            assert_eq!(split(&guide, &[], text), ("", Some(expected)), "{text}");
        }
        let found = split(&guide, &["ppp", "secret"], "q");
        assert_eq!(found, ("", Some(Own::Quit)));
    }
}

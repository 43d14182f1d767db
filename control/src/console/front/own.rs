//! The commands that the console carries out itself: what they do concerns it alone, or files that
//! only the user's side has.

use super::guide::{Guide, QUIT};
use super::reading::{Reading, statements};

/// A command that is not for the control process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// The user leaves.
    Quit,
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
        _ => None,
    });
    match own {
        Some(own) => (&text[..last.start], Some(own)),
        None => (text, None),
    }
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
        let found = split(&guide, &["ppp", "secret"], "q");
        assert_eq!(found, ("", Some(Own::Quit)));
    }
}

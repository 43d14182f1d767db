//! Which lines are remembered, and where.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::guide::{Argument, Guide};
use super::reading::{Reading, statements};

/// How many lines are remembered.
pub(super) const MAX_LINES: usize = 1000;

/// The file, in the user's folder for state; `None` if the user has no home. The folder is made.
///
/// # Errors
/// It cannot be made.
pub(super) fn file(variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Option<PathBuf>> {
    let folder = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    let Some(state) = state else {
        return Ok(None);
    };
    let dir = state.join("greyhound");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    Ok(Some(dir.join("history")))
}

/// Whether `line`, typed in the menu `home`, may be remembered: it holds no password or secret,
/// not even in a command that is wrong.
pub(super) fn may_keep(guide: &Guide, home: &[&'static str], line: &str) -> bool {
    let mut home = home.to_vec();
    for range in statements(line) {
        let statement = &line[range];
        let reading = Reading::new(guide, &home, statement);
        let holds_secret = reading.invocation.is_some_and(|invocation| {
            let mut given = invocation.given.into_iter();
            given.any(Argument::is_sensitive)
        });
        if holds_secret {
            return false;
        }
        home = reading.menu;
    }
    !line
        .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | ';'))
        .any(looks_secret)
}

/// `password=`, `new-secret=`, or a beginning of such a name.
fn looks_secret(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else {
        return false;
    };
    let name = name.to_ascii_lowercase();
    ["password", "secret"].into_iter().any(|secret| {
        let is_beginning = name.len() > 1 && secret.starts_with(&*name);
        is_beginning || name.contains("pass") || name.contains("secret")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_line_with_a_password_is_not_remembered() {
        let guide = Guide::new();
        for (line, expected) in [
            ("/ppp secret print", true),
            ("/ppp secret add name=password", true),
            ("/ppp secret add name=u password=x", false),
            ("/ppp secret add name=u p=x pa=x", false),
            ("/ppp secret add name=u pass=\"two words\"", false),
            ("/ppp secret; add name=u passw=x; print", false),
            ("/radius add address=192.0.2.1 secret=x", false),
            ("/radius add sec=x", false),
            ("add nonsense PASSWORD=x", false),
            ("/int pptp-client\nset 0 \\\n password=x", false),
            ("set [find password=x] name=y", false),
        ] {
            assert_eq!(may_keep(&guide, &[], line), expected, "{line}");
        }
        assert!(!may_keep(&guide, &["ppp", "secret"], "add pas=x"));
    }

    #[test]
    fn the_file_is_where_the_user_keeps_state() {
        let root = std::env::temp_dir().join(format!("greyhound-history-{}", std::process::id()));
        let home = root.clone();
        let found = file(|name| (name == "HOME").then(|| home.clone().into_os_string()));
        let dir = root.join(".local/state/greyhound");
        assert_eq!(found.unwrap(), Some(dir.join("history")));
        let mode = std::fs::metadata(&dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let state = root.join("state");
        let found = file(|_| Some(state.clone().into_os_string()));
        assert_eq!(found.unwrap(), Some(state.join("greyhound/history")));
        std::fs::remove_dir_all(&root).unwrap();

        assert_eq!(file(|_| None).unwrap(), None);
        assert_eq!(file(|_| Some("relative".into())).unwrap(), None);
    }
}

//! The user that hooks run as.

use anyhow::{Context, bail};

/// A user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
}

/// Whom the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// `nobody`, if the program runs as root.
    Unprivileged,
    /// The user of this name.
    Named(&'a str),
    /// Root itself.
    Root,
}

impl User {
    /// `nobody`, where there is no list of users.
    const NOBODY: Self = Self {
        uid: 65_534,
        gid: 65_534,
    };

    /// The user to become for hooks, of a program that runs as `own`; `None` to stay the same.
    ///
    /// # Errors
    /// There is no such user, it is root by another name, or only root could become it.
    pub fn choose(choice: Choice<'_>, own: u32) -> anyhow::Result<Option<Self>> {
        match choice {
            Choice::Root if own == 0 => Ok(None),
            Choice::Root => bail!("hooks can run as root only if greyhound does"),
            Choice::Unprivileged if own == 0 => {
                Ok(Some(Self::find("nobody")?.unwrap_or(Self::NOBODY)))
            }
            Choice::Unprivileged => Ok(None),
            Choice::Named(name) => {
                let user = Self::find(name)?.with_context(|| format!("there is no user {name}"))?;
                if user.uid == 0 {
                    bail!("hooks as the user {name} are hooks as root: say --hooks-as-root");
                }
                if user.uid == own {
                    return Ok(None);
                }
                if own != 0 {
                    bail!("hooks can run as {name} only if greyhound runs as root");
                }
                Ok(Some(user))
            }
        }
    }

    fn find(name: &str) -> anyhow::Result<Option<Self>> {
        let found = nix::unistd::User::from_name(name)
            .with_context(|| format!("the user {name} cannot be looked up"))?;
        Ok(found.map(|user| Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_somebody_else_unless_it_is_told_not_to() {
        let nobody = User::choose(Choice::Unprivileged, 0).unwrap().unwrap();
        assert_ne!(nobody.uid, 0);
        assert_ne!(nobody.gid, 0);
        let daemon = User::choose(Choice::Named("daemon"), 0).unwrap().unwrap();
        assert_ne!(daemon.uid, 0);
        assert_eq!(User::choose(Choice::Root, 0).unwrap(), None);
    }

    #[test]
    fn who_is_not_root_stays_who_it_is() {
        let daemon = User::choose(Choice::Named("daemon"), 0).unwrap().unwrap();
        assert_eq!(User::choose(Choice::Unprivileged, 1000).unwrap(), None);
        assert_eq!(
            User::choose(Choice::Named("daemon"), daemon.uid).unwrap(),
            None
        );
        assert!(User::choose(Choice::Named("daemon"), 1000).is_err());
        assert!(User::choose(Choice::Root, 1000).is_err());
    }

    #[test]
    fn root_by_name_and_nobody_at_all_are_refused() {
        let error = |name| {
            User::choose(Choice::Named(name), 0)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("root"),
            "hooks as the user root are hooks as root: say --hooks-as-root"
        );
        assert_eq!(error("no such user"), "there is no user no such user");
    }
}

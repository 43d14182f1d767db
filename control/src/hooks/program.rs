//! What an operator writes where a hook is wanted: the path of a program, and its arguments.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A program with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its absolute path.
    pub path: PathBuf,
    /// What it is called with, after its name.
    pub arguments: Vec<String>,
}

/// Why something is no hook.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Nothing at all.
    #[error("no program is named")]
    Empty,
    /// Words in quotes, of which one does not end.
    #[error("a quote is not closed")]
    Unquoted,
    /// A zero byte, which no argument can have.
    #[error("a zero byte in the name of a program or in an argument")]
    ZeroByte,
    /// A relative path or a bare name.
    #[error("{} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// There is no such file, or it cannot be looked at.
    #[error("{} cannot be run: {source}", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder, a device, or a file without the permission to be executed.
    #[error("{} is not an executable file", .0.display())]
    NotExecutable(PathBuf),
    /// Root is to run what somebody else can change.
    #[error("root does not run {}: users other than root may change {}", program.display(), changeable.display())]
    Changeable {
        /// The program.
        program: PathBuf,
        /// The program, or a folder that it is in.
        changeable: PathBuf,
    },
}

impl Program {
    /// Takes a line apart into a path and arguments. Words are separated by spaces and may be
    /// quoted as for a shell, but nothing in them has a meaning: no variables, no patterns.
    ///
    /// # Errors
    /// [`ProgramError::Empty`], [`ProgramError::Unquoted`], [`ProgramError::ZeroByte`],
    /// [`ProgramError::Relative`].
    pub fn parse(line: &str) -> Result<Self, ProgramError> {
        if line.contains('\0') {
            return Err(ProgramError::ZeroByte);
        }
        let words = shell_words::split(line).map_err(|_| ProgramError::Unquoted)?;
        let mut words = words.into_iter();
        let path = PathBuf::from(words.next().ok_or(ProgramError::Empty)?);
        if !path.is_absolute() {
            return Err(ProgramError::Relative(path));
        }
        Ok(Self {
            path,
            arguments: words.collect(),
        })
    }

    /// Whether there is such a program now. What this process finds may be out of reach for the
    /// user that hooks run as.
    ///
    /// # Errors
    /// [`ProgramError::Missing`], [`ProgramError::NotExecutable`].
    pub fn check(&self) -> Result<(), ProgramError> {
        check(&self.path)
    }
}

/// Whether `path` is a file that somebody may execute.
pub(super) fn check(path: &Path) -> Result<(), ProgramError> {
    let metadata = look_at(path)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(ProgramError::NotExecutable(path.to_owned()));
    }
    Ok(())
}

/// Whether root alone decides what `path` is: the file and every folder on the way to it.
pub(super) fn check_for_root(path: &Path) -> Result<(), ProgramError> {
    let real = fs::canonicalize(path).map_err(|source| ProgramError::Missing {
        path: path.to_owned(),
        source,
    })?;
    // A link on the way may be changed as well.
    for one in path.ancestors().chain(real.ancestors()) {
        let metadata = look_at(one)?;
        if metadata.uid() != 0 || metadata.permissions().mode() & 0o022 != 0 {
            return Err(ProgramError::Changeable {
                program: path.to_owned(),
                changeable: one.to_owned(),
            });
        }
    }
    Ok(())
}

fn look_at(path: &Path) -> Result<Metadata, ProgramError> {
    fs::metadata(path).map_err(|source| ProgramError::Missing {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_a_path_and_arguments_and_nothing_in_it_is_expanded() {
        let program = Program::parse("/etc/ppp/up 'two words' $HOME *.c \"\" a\\ b").unwrap();
        assert_eq!(program.path, Path::new("/etc/ppp/up"));
        assert_eq!(program.arguments, ["two words", "$HOME", "*.c", "", "a b"]);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for (line, message) in [
            ("", "no program is named"),
            ("  ", "no program is named"),
            ("/bin/true 'a", "a quote is not closed"),
            (
                "/bin/tr\0ue",
                "a zero byte in the name of a program or in an argument",
            ),
            ("true", "true is not an absolute path"),
            ("./true", "./true is not an absolute path"),
            (":log info up", ":log is not an absolute path"),
        ] {
            assert_eq!(Program::parse(line).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_program_is_a_file_that_can_be_executed() {
        let check = |path: &str| Program::parse(path).unwrap().check();
        assert!(check("/bin/sh").is_ok());
        assert!(matches!(check("/bin"), Err(ProgramError::NotExecutable(_))));
        assert!(matches!(
            check("/proc/version"),
            Err(ProgramError::NotExecutable(_))
        ));
        let missing = check("/nonexistent/up").unwrap_err().to_string();
        assert!(
            missing.starts_with("/nonexistent/up cannot be run: No such file"),
            "{missing}"
        );
    }

    #[test]
    fn root_runs_only_what_nobody_else_can_change() {
        assert!(check_for_root(Path::new("/bin/sh")).is_ok());
        // Everybody may write into /tmp.
        let path =
            std::env::temp_dir().join(format!("greyhound-changeable-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let checked = check_for_root(&path);
        fs::remove_file(&path).unwrap();
        assert!(
            matches!(checked, Err(ProgramError::Changeable { .. })),
            "{checked:?}"
        );
    }

    proptest! {
        #[test]
        fn no_line_panics_and_a_quoted_word_is_that_word(line: String, word in "[^\0]*") {
            let _ = Program::parse(&line);
            let program = Program::parse(&format!("/x {}", shell_words::quote(&word))).unwrap();
            prop_assert_eq!(program.arguments, [word]);
        }
    }
}

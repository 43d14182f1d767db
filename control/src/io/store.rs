//! The file that the configuration is kept in: replaced as a whole after each change, so that a
//! crash at any moment leaves the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use zeroize::Zeroizing;

use crate::model::Config;
use crate::model::export::{WHOLE, export};

/// What a file that this program wrote begins with.
const OURS: &str = "# Written by Greyhound";

/// The file that the configuration is kept in.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// What has been done of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Created,
    HalfWritten,
    Written,
    Synced,
    OriginalKept,
    Renamed,
    FolderSynced,
}

impl Store {
    /// Keeps the configuration at `path`; if that is a symbolic link, where it leads.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let path = fs::canonicalize(&path).unwrap_or(path);
        Self { path }
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process may write there at all: who has no capability may not where only root
    /// with all of them could.
    ///
    /// # Errors
    /// It may not; or there is no such folder.
    pub fn check(&self) -> io::Result<()> {
        access(self.folder(), Access::WRITE_OK | Access::EXEC_OK)?;
        Ok(())
    }

    /// Writes a configuration. A file that somebody else wrote is kept beside it, as `FILE.orig`.
    ///
    /// # Errors
    /// The new file could not be written, or not put in the place of the old one, which is as it
    /// was.
    pub fn save(&self, config: &Config) -> io::Result<()> {
        self.save_stepwise(config, |_| {})
    }

    fn save_stepwise(&self, config: &Config, mut done: impl FnMut(Step)) -> io::Result<()> {
        let text = Zeroizing::new(format!(
            "{OURS} {} after a change: comments are not kept\n{}",
            env!("CARGO_PKG_VERSION"),
            *Zeroizing::new(export(config, &[], WHOLE))
        ));
        let new = self.beside(".new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        // It may have been there, left by a crash.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        done(Step::Created);
        let (first, rest) = text.as_bytes().split_at(text.len() / 2);
        file.write_all(first)?;
        done(Step::HalfWritten);
        file.write_all(rest)?;
        done(Step::Written);
        file.sync_all()?;
        done(Step::Synced);
        self.keep_original()?;
        done(Step::OriginalKept);
        fs::rename(&new, &self.path)?;
        done(Step::Renamed);
        File::open(self.folder())?.sync_all()?;
        done(Step::FolderSynced);
        Ok(())
    }

    /// Gives a file that this program did not write a second name.
    fn keep_original(&self) -> io::Result<()> {
        let mut begin = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(OURS.len() as u64).read_to_end(&mut begin)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if begin == OURS.as_bytes() {
            return Ok(());
        }
        match fs::hard_link(&self.path, self.beside(".orig")) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn folder(&self) -> &Path {
        let folder = self.path.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or_else(|| Path::new("."))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const OLD: &str = "/ppp secret add name=old password=one";
    const NEW: &str = "/ppp secret add name=new password=two";
    const STEPS: [Step; 7] = [
        Step::Created,
        Step::HalfWritten,
        Step::Written,
        Step::Synced,
        Step::OriginalKept,
        Step::Renamed,
        Step::FolderSynced,
    ];

    #[test]
    fn what_is_saved_is_the_configuration_for_nobody_else_to_read() {
        let folder = Folder::new("saved");
        let store = Store::new(folder.0.join("greyhound.rsc"));
        store.save(&config(OLD)).unwrap();
        store.save(&config(NEW)).unwrap();

        assert_eq!(folder.names(), ["greyhound.rsc"]);
        let text = fs::read_to_string(store.path()).unwrap();
        let saved = Config::parse(&text).unwrap().0;
        assert_eq!(saved.secrets[0].name, "new");
        let mode = fs::metadata(store.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_somebody_else_is_kept_once() {
        let folder = Folder::new("original");
        let path = folder.0.join("greyhound.rsc");
        fs::write(&path, "# by hand\n").unwrap();
        let store = Store::new(path.clone());
        store.save(&config(OLD)).unwrap();
        fs::write(&path, "# by hand again\n").unwrap();
        store.save(&config(NEW)).unwrap();

        assert_eq!(folder.names(), ["greyhound.rsc", "greyhound.rsc.orig"]);
        let original = fs::read_to_string(folder.0.join("greyhound.rsc.orig")).unwrap();
        assert_eq!(original, "# by hand\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_before_anything_is_changed() {
        let folder = Folder::new("checked");
        assert!(Store::new(folder.0.join("greyhound.rsc")).check().is_ok());
        assert!(
            Store::new(folder.0.join("no/greyhound.rsc"))
                .check()
                .is_err()
        );
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let folder = Folder::new("link");
        fs::write(folder.0.join("real.rsc"), "").unwrap();
        let link = folder.0.join("link.rsc");
        std::os::unix::fs::symlink("real.rsc", &link).unwrap();
        Store::new(link.clone()).save(&config(NEW)).unwrap();

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(
            fs::read_to_string(folder.0.join("real.rsc"))
                .unwrap()
                .contains("new")
        );
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_and_changes_nothing() {
        let folder = Folder::new("unwritable");
        let path = folder.0.join("greyhound.rsc");
        let store = Store::new(path.clone());
        store.save(&config(OLD)).unwrap();
        let before = fs::read(&path).unwrap();
        fs::create_dir(folder.0.join("greyhound.rsc.new")).unwrap();

        assert!(store.save(&config(NEW)).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    /// Runs itself again for each step, to be killed there.
    #[test]
    fn a_process_killed_at_any_step_leaves_the_old_or_the_new_file_whole() {
        if let Ok(path) = std::env::var(PATH) {
            return save_and_die(path);
        }
        let folder = Folder::new("killed");
        let path = folder.0.join("greyhound.rsc");
        for (index, step) in STEPS.iter().enumerate() {
            let store = Store::new(path.clone());
            store.save(&config(OLD)).unwrap();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", SELF])
                .env(PATH, &path)
                .env(STEP, index.to_string())
                .output()
                .unwrap()
                .status;
            assert!(!status.success(), "{step:?} was not reached");

            let text = fs::read_to_string(&path).unwrap();
            let (config, _) = Config::parse(&text).unwrap();
            let is_done = matches!(step, Step::Renamed | Step::FolderSynced);
            let expected = if is_done { "new" } else { "old" };
            assert_eq!(config.secrets[0].name, expected, "{step:?}");
            // The next change finds what the crash left, and does not mind.
            store.save(&config).unwrap();
            assert_eq!(folder.names(), ["greyhound.rsc"], "{step:?}");
        }
    }

    const SELF: &str = concat!(
        "io::store::tests::",
        "a_process_killed_at_any_step_leaves_the_old_or_the_new_file_whole"
    );
    const PATH: &str = "GREYHOUND_TEST_PATH";
    const STEP: &str = "GREYHOUND_TEST_STEP";

    fn save_and_die(path: String) {
        let last: usize = std::env::var(STEP).unwrap().parse().unwrap();
        let saved = Store::new(path.into()).save_stepwise(&config(NEW), |step| {
            if step == STEPS[last] {
                std::process::abort();
            }
        });
        saved.unwrap();
    }

    fn config(text: &str) -> Config {
        Config::parse(text).unwrap().0
    }

    /// A folder that goes away with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("greyhound-store-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

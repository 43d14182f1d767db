//! Folders for what a run writes, and the names of everything a run creates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result};

/// What everything of the laboratory begins with.
pub const PREFIX: &str = "greyhound-";

/// A folder that is removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    kept: AtomicBool,
}

impl Scratch {
    /// Creates a folder of this run.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn new(label: &str) -> Result<Self> {
        Self::at(std::env::temp_dir().join(unique_name(label)))
    }

    /// Creates `path` anew; what was there is removed.
    ///
    /// # Errors
    /// It cannot be removed or created.
    pub fn at(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        let kept = AtomicBool::new(false);
        Ok(Self { path, kept })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Leaves it where it is when the value is dropped.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            // It lies in the folder for temporary files; the next run's cleanup tries again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A name that no other value of any running process has: `greyhound-PID-NUMBER-LABEL`.
#[must_use]
pub fn unique_name(label: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{number}-{label}", process::id())
}

/// Whether `name` was given by a run whose process no longer exists.
#[must_use]
pub fn is_left_over(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// Removes the folders of runs that were killed.
pub fn remove_left_over_folders() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_left_over) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_after_its_value() {
        let scratch = Scratch::new("folder").unwrap();
        let path = scratch.path().to_owned();
        fs::write(scratch.file("note"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn only_names_of_dead_runs_are_left_over() {
        assert!(!is_left_over(&unique_name("mine")));
        assert!(!is_left_over("greyhound-demo-server"));
        assert!(!is_left_over("somebody-else"));
        // The largest pid that Linux gives out is 2^22.
        assert!(is_left_over("greyhound-4194305-0-server"));
    }
}

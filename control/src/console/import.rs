//! `import`: what a file of another program says, carried out by the running one.
//!
//! The file is read where the command was typed, with the rights of who typed it; only what it comes
//! to is sent.

use std::path::{Path, PathBuf};
use std::{fs, io};

use zeroize::Zeroizing;

use super::wire::{self, Numbers, Reply, Request};
use crate::import::{self, Imported, Kind, NotThatKind};

/// What an import would do.
#[derive(Debug)]
pub struct Plan {
    /// What the file was taken for.
    pub kind: Kind,
    /// What it comes to.
    pub imported: Imported,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error("{} cannot be read", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what it was taken for.
    #[error("{}: {source}", .path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is not.
        #[source]
        source: NotThatKind,
    },
    /// The running program could not be asked.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// It refused.
    #[error("{0}")]
    Refused(String),
}

/// Reads a file and finds out what it would add to the running configuration. `kind`: what to take
/// it for; else that is found out.
///
/// # Errors
/// The file, or the running program, cannot be understood.
pub fn plan(run_dir: &Path, path: &Path, kind: Option<Kind>) -> Result<Plan, Error> {
    let bytes = fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let bytes = Zeroizing::new(bytes);
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let kind = kind.unwrap_or_else(|| import::detect(&path.to_string_lossy(), &text));
    let existing = Zeroizing::new(ask(run_dir, "/export show-sensitive")?.text);
    let imported = import::import(kind, &text, &existing).map_err(|source| Error::Kind {
        path: path.to_owned(),
        source,
    })?;
    Ok(Plan { kind, imported })
}

/// Carries a plan out, all of it or nothing; returns what it has that is of no use, a line each.
///
/// # Errors
/// The running program refuses it or does not answer.
pub fn carry_out(run_dir: &Path, plan: &Plan) -> Result<String, Error> {
    ask(run_dir, &plan.imported.text()).map(|reply| reply.text)
}

fn ask(run_dir: &Path, line: &str) -> Result<Reply, Error> {
    let request = Request {
        line: line.to_owned(),
        menu: Vec::new(),
        numbers: Numbers::new(),
        json: false,
        width: u16::MAX,
    };
    let reply = wire::ask(run_dir, &request)?;
    if reply.status == 0 {
        Ok(reply)
    } else {
        Err(Error::Refused(reply.text.trim_end().to_owned()))
    }
}

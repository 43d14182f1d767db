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

/// The way to the running program.
pub type Exchange<'a> = dyn FnMut(&Request) -> Result<Reply, wire::Error> + 'a;

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is printed.
    pub text: String,
    /// What was left out, and what is of no use, a line each.
    pub said: Vec<String>,
}

/// Takes over a file: all that the running program takes, or nothing.
///
/// # Errors
/// As [`plan`] and [`carry_out`].
pub fn run(
    exchange: &mut Exchange<'_>,
    path: &Path,
    kind: Option<Kind>,
    dry_run: bool,
) -> Result<Report, Error> {
    let plan = plan(exchange, path, kind)?;
    let left_out = plan.imported.left_out.iter();
    let mut said: Vec<_> = left_out
        .map(|one| {
            let (line, what, why) = (one.line, &one.what, &one.why);
            format!("{}:{line}: left out: {what}: {why}", path.display())
        })
        .collect();
    if dry_run {
        let text = plan.imported.text().to_string();
        return Ok(Report { text, said });
    }
    let warnings = carry_out(exchange, &plan)?;
    said.extend(warnings.lines().map(str::to_owned));
    Ok(Report {
        text: "Script file loaded and executed successfully\n".to_owned(),
        said,
    })
}

/// Reads a file and finds out what it would add to the running configuration. `kind`: what to take
/// it for; else that is found out.
///
/// # Errors
/// The file, or the running program, cannot be understood.
pub fn plan(exchange: &mut Exchange<'_>, path: &Path, kind: Option<Kind>) -> Result<Plan, Error> {
    let bytes = fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let bytes = Zeroizing::new(bytes);
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let name = path.to_string_lossy();
    let kind = kind.unwrap_or_else(|| import::detect(&name, &text));
    let existing = Zeroizing::new(ask(exchange, "/export show-sensitive")?.text);
    let imported = import::import(kind, &name, &text, &existing).map_err(|source| Error::Kind {
        path: path.to_owned(),
        source,
    })?;
    Ok(Plan { kind, imported })
}

/// Carries a plan out, all of it or nothing; returns what it has that is of no use, a line each.
///
/// # Errors
/// The running program refuses it or does not answer.
pub fn carry_out(exchange: &mut Exchange<'_>, plan: &Plan) -> Result<String, Error> {
    ask(exchange, &plan.imported.text()).map(|reply| reply.text)
}

fn ask(exchange: &mut Exchange<'_>, line: &str) -> Result<Reply, Error> {
    let request = Request {
        line: line.to_owned(),
        menu: Vec::new(),
        numbers: Numbers::new(),
        json: false,
        width: u16::MAX,
    };
    let reply = exchange(&request)?;
    if reply.status == 0 {
        Ok(reply)
    } else {
        Err(Error::Refused(reply.text.trim_end().to_owned()))
    }
}

//! What is set, on disk: written before a resolver is told, so that who comes after a crash can take
//! it back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::resolver::Held;

/// The file's name in the run directory.
const FILE: &str = "dns.json";

/// What resolvers were told, by the kernel's name of the interface.
pub(super) type Table = BTreeMap<String, Held>;

/// The file.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// What stands in it.
    written: Table,
}

impl Record {
    /// Reads what an earlier process has left; none is nothing.
    ///
    /// # Errors
    /// It cannot be read, or makes no sense. It is as good as empty then.
    pub(super) fn open(run_dir: &Path) -> (Self, io::Result<()>) {
        let path = run_dir.join(FILE);
        let (written, outcome) = match read(&path) {
            Ok(written) => (written, Ok(())),
            Err(error) => (Table::new(), Err(error)),
        };
        (Self { path, written }, outcome)
    }

    /// What stands in it.
    pub(super) const fn table(&self) -> &Table {
        &self.written
    }

    /// Writes what is held of an interface; `None` is nothing. A crash leaves the one or the other.
    ///
    /// # Errors
    /// It cannot be written, and stays as it is.
    pub(super) fn set(&mut self, interface: &str, held: Option<&Held>) -> io::Result<()> {
        if self.written.get(interface) == held {
            return Ok(());
        }
        let mut table = self.written.clone();
        match held {
            Some(held) => table.insert(interface.to_owned(), held.clone()),
            None => table.remove(interface),
        };
        self.write(&table)?;
        self.written = table;
        Ok(())
    }

    fn write(&self, table: &Table) -> io::Result<()> {
        if table.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let new = self.path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(table)?)?;
        fs::rename(&new, &self.path)
    }
}

fn read(path: &Path) -> io::Result<Table> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(error),
    }
}

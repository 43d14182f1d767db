//! The file: how it is opened, what is in it, and what becomes of one that is of no use.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// `PRAGMA user_version` of a file with these tables.
pub(super) const VERSION: i64 = 1;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A later version of this program has written the file.
    #[error("the file is of a later version ({0}) than this program ({VERSION})")]
    Later(i64),
    /// The file is there, and has other tables than these.
    #[error("the file is not one of accounting records")]
    Foreign,
    /// Around the file.
    #[error(transparent)]
    File(#[from] io::Error),
    /// In the file.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl Error {
    /// The file will never be of use, whatever room there is on the disk.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Foreign => true,
            // What has a table, and is not what was written there.
            Self::Sqlite(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::Utf8Error(..),
            ) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
            Self::Later(_) | Self::File(_) => false,
        }
    }
}

/// Opens the file to write to, and makes it one if there is none.
///
/// WAL, because a commit is then one write and one sync, and who reads holds up nobody. `FULL`,
/// because what was said to be kept has to survive a crash of the machine, too; what that costs is
/// little more than what the disk takes (docs/performance.md, *Accounting records*). The log is put
/// into the file whenever it has 4000 pages, 16 MiB, and is not left longer than twice that.
pub(super) fn connect(path: &Path, now: SystemTime) -> Result<Connection, Error> {
    create(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(Error::Later(version));
    }
    let tables: i64 = db.query_row(TABLES, [], |row| row.get(0))?;
    let expected = if version == 0 { 0 } else { 2 };
    if tables != expected || version < 0 {
        return Err(Error::Foreign);
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "wal_autocheckpoint", 4000)?;
    db.pragma_update(None, "journal_size_limit", 32 << 20)?;
    db.set_prepared_statement_cache_capacity(32);
    if version == 0 {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(SCHEMA)?;
        // What was read from a file before this one is never taken for what is in this one.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let first = i64::try_from(since.as_micros()).unwrap_or(0);
        change.execute(FIRST_RECORD, [first])?;
        change.pragma_update(None, "user_version", VERSION)?;
        change.commit()?;
    }
    Ok(db)
}

/// Opens the file to read what is in it.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// What every database begins with.
const HEADER: &[u8] = b"SQLite format 3\0";

/// Sees to it that the file is there, empty if it is new, and nobody else's to read: the log beside it gets the
/// same mode from it.
fn create(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Err(Error::Foreign);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    // SQLite would make a database of a file that is shorter than a page, and of one without any
    // bytes, whatever there is in the log beside it.
    let mut begin = Vec::new();
    file.take(HEADER.len() as u64).read_to_end(&mut begin)?;
    let is_new = begin.is_empty() && !with(path, "-wal").exists();
    if begin != HEADER && !is_new {
        return Err(Error::Foreign);
    }
    sync_folder(path)?;
    Ok(())
}

/// Gives a file that is of no use another name, and the log beside it with it, so that what is in
/// them can still be looked for. Returns the name.
pub(super) fn move_aside(path: &Path, now: SystemTime) -> Result<PathBuf, Error> {
    let mut seconds = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let aside = loop {
        let aside = with(path, &format!(".corrupt-{}", seconds.as_secs()));
        if fs::symlink_metadata(&aside).is_err() {
            break aside;
        }
        seconds += Duration::from_secs(1);
    };
    // The log first: one that stays behind alone would be taken for that of the new file.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with(path, suffix), with(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    sync_folder(path)?;
    Ok(aside)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name is on the disk only once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// None in a file that is new, two in ours.
const TABLES: &str = "
    SELECT coalesce(sum(iif(name IN ('session', 'outbox'), 1, 1000)), 0)
    FROM sqlite_schema
    WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";

/// The number of the last record of the outbox, before there is one.
const FIRST_RECORD: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)";

/// Times are milliseconds since 1970, addresses numbers, counters the 64 bits of them.
///
/// An index costs each change something. There are those by which a session is found when something
/// happens to it, by which the ones are found that have not ended or ended first, and by which it is
/// known whether RADIUS was told all of one.
const SCHEMA: &str = "
    CREATE TABLE session (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL UNIQUE,
        datapath INTEGER,              -- NULL once it has ended
        identity TEXT NOT NULL,
        port INTEGER NOT NULL,
        user TEXT NOT NULL,
        caller INTEGER NOT NULL,
        called INTEGER NOT NULL,
        address INTEGER NOT NULL,
        interface TEXT NOT NULL,
        authentic INTEGER NOT NULL,    -- Acct-Authentic
        classes BLOB NOT NULL,         -- each: four bytes of length, the first one highest, and so many
        is_told INTEGER NOT NULL,
        began INTEGER NOT NULL,
        counted_at INTEGER NOT NULL,
        ended INTEGER,
        duration INTEGER NOT NULL DEFAULT 0,
        rx_bytes INTEGER NOT NULL DEFAULT 0,
        tx_bytes INTEGER NOT NULL DEFAULT 0,
        rx_packets INTEGER NOT NULL DEFAULT 0,
        tx_packets INTEGER NOT NULL DEFAULT 0,
        cause TEXT                     -- NULL until it has ended
    ) STRICT;
    CREATE INDEX session_ended ON session (ended);

    -- What RADIUS is still to be told, in this order.
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session INTEGER REFERENCES session (id),
        identity TEXT,                 -- of what is about no session
        kind INTEGER NOT NULL,         -- Acct-Status-Type
        at INTEGER NOT NULL,
        duration INTEGER NOT NULL DEFAULT 0,
        rx_bytes INTEGER NOT NULL DEFAULT 0,
        tx_bytes INTEGER NOT NULL DEFAULT 0,
        rx_packets INTEGER NOT NULL DEFAULT 0,
        tx_packets INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX outbox_session ON outbox (session);";

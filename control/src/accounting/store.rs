//! Accounting records on the disk: what each session was, and what RADIUS is still to be told.
//!
//! A batch of changes is one transaction, and is on the disk when [`Store::apply`] returns. What
//! RADIUS is to be told of a change is written down with the change itself, so that neither is ever
//! there without the other; it goes once RADIUS has confirmed it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use greyhound_datapath::ids::SessionId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

pub use super::schema::Error;
use super::schema::{connect, move_aside};
use super::value;
use super::{Change, Occasion, Opening, Pending, Told, Unfinished};
use crate::cause::Cause;

/// The name of the file in the state folder.
pub const FILE: &str = "accounting.db";

/// The most sessions that go in one transaction of [`Store::prune`], and the most records of the
/// outbox that it looks at.
const PRUNED_AT_ONCE: i64 = 1000;

/// How many of the oldest sessions [`Store::prune`] looks at to find some of which RADIUS was told
/// everything.
const LOOKED_AT: i64 = 10 * PRUNED_AT_ONCE;

/// The values of Acct-Status-Type (RFC 2866 §5.1), by which records of the outbox are told apart.
const START: i64 = 1;
const STOP: i64 = 2;
const INTERIM: i64 = 3;
const ON: i64 = 7;
const OFF: i64 = 8;

/// The store, open for writing. One process has it open so.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    /// How many sessions have ended, once that was asked for.
    ended: Option<i64>,
    /// The last record of the outbox that [`Self::prune`] found too old, or left to its session.
    too_old: i64,
}

/// What there was to be done to open the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// What was there was of no use, and has this name now; and what was wrong with it.
    pub moved_aside: Option<(PathBuf, String)>,
}

/// What [`Store::prune`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Sessions that are gone.
    pub sessions: u64,
    /// Records that are gone without RADIUS having confirmed them.
    pub given_up: u64,
    /// There may be more to go.
    pub is_more: bool,
}

impl Store {
    /// Opens the store, and makes it if there is none. A file that is damaged where it is looked at,
    /// or is something else, gets another name first. Damage elsewhere shows later:
    /// [`Error::is_corruption`].
    ///
    /// # Errors
    /// The file cannot be made or read, or a later version of this program has written it.
    pub fn open(path: &Path, now: SystemTime) -> Result<(Self, Opened), Error> {
        match Self::try_open(path, now) {
            Err(error) if error.is_corruption() => {
                let moved_aside = Some((move_aside(path, now)?, error.to_string()));
                Ok((Self::try_open(path, now)?, Opened { moved_aside }))
            }
            opened => Ok((opened?, Opened::default())),
        }
    }

    fn try_open(path: &Path, now: SystemTime) -> Result<Self, Error> {
        let store = Self {
            db: connect(path, now)?,
            path: path.to_owned(),
            ended: None,
            too_old: 0,
        };
        // What is asked for first at every start.
        store.unfinished(now)?;
        store.pending(0, 1, now)?;
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes it, and gives it another name, with which it can still be looked at. Returns the name.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn move_aside(self, now: SystemTime) -> Result<PathBuf, Error> {
        drop(self.db);
        move_aside(&self.path, now)
    }

    /// From now on, what was kept last may be gone after a crash of the machine, though not of this
    /// process. Only to compare with.
    ///
    /// # Errors
    /// It was not to be had.
    pub fn sync_less(&self) -> Result<(), Error> {
        Ok(self.db.pragma_update(None, "synchronous", "NORMAL")?)
    }

    /// Keeps changes, each with the time of day at which it happened: all of them or, after an error,
    /// none. Returns how many were about a session that is not there or has ended already, for which
    /// there is nothing to be done. A session that has begun already does not begin again, and is
    /// not counted.
    ///
    /// # Errors
    /// The disk is full or broken, or the file is.
    pub fn apply(&mut self, batch: &[(SystemTime, Change)]) -> Result<usize, Error> {
        self.commit(batch, &[])
    }

    /// Forgets records of the outbox, which RADIUS has confirmed.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn delivered(&mut self, ids: &[i64]) -> Result<(), Error> {
        self.commit(&[], ids).map(|_| ())
    }

    /// [`Self::apply`] and [`Self::delivered`] in one transaction.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn commit(
        &mut self,
        batch: &[(SystemTime, Change)],
        delivered: &[i64],
    ) -> Result<usize, Error> {
        if batch.is_empty() && delivered.is_empty() {
            return Ok(0);
        }
        let all = begin(&mut self.db)?;
        let (mut ended, mut ignored) = (0, 0);
        for (time, change) in batch {
            match apply(&all, value::to_millis(*time), change)? {
                Effect::Kept => {}
                Effect::Ended => ended += 1,
                Effect::Nothing => ignored += 1,
            }
        }
        let mut delete = all.prepare_cached("DELETE FROM outbox WHERE id = ?")?;
        for id in delivered {
            delete.execute([id])?;
        }
        drop(delete);
        all.commit()?;
        self.ended = self.ended.map(|before| before + ended);
        Ok(ignored)
    }

    /// The records of the outbox after the one with the number `after`, the oldest first, `limit` of
    /// them at most. Their ages are those at `now`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pending(
        &self,
        after: i64,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<Pending>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut select = self.db.prepare_cached(PENDING)?;
        let found = select.query_map([after, limit], |row| pending(row, now))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The sessions that have begun and not ended, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn unfinished(&self, now: SystemTime) -> Result<Vec<Unfinished>, Error> {
        let mut select = self.db.prepare_cached(
            "SELECT session_id, datapath, caller, began FROM session
             WHERE ended IS NULL ORDER BY id",
        )?;
        let found = select.query_map([], |row| {
            Ok(Unfinished {
                session_id: row.get(0)?,
                datapath: SessionId(row.get(1)?),
                caller: value::address(row, 2)?,
                age: age(row.get(3)?, now),
            })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Lets go what is too old or too much, in one short transaction: to be called again as long as
    /// there [is more](Pruned::is_more).
    ///
    /// Sessions that ended longer than `keep_for` ago go, and with them what RADIUS was not told of
    /// them; so do interims and what is about no session. Of the others that have ended,
    /// `max_sessions` may stay; those of which RADIUS was not told everything do not go for that.
    ///
    /// # Errors
    /// As [`Self::apply`]; nothing has gone then.
    pub fn prune(
        &mut self,
        now: SystemTime,
        keep_for: Option<Duration>,
        max_sessions: Option<u64>,
    ) -> Result<Pruned, Error> {
        let all = begin(&mut self.db)?;
        let mut pruned = Pruned::default();
        let mut too_old = self.too_old;
        if let Some(keep_for) = keep_for {
            let before = value::to_millis(now).saturating_sub(value::span(keep_for));
            prune_old_sessions(&all, before, &mut pruned)?;
            prune_old_records(&all, before, &mut too_old, &mut pruned)?;
        }
        let mut ended = self.ended;
        if let Some(max) = max_sessions {
            let before = match ended {
                Some(ended) => ended,
                None => all.query_row(ENDED, [], |row| row.get(0))?,
            };
            // Counted before this transaction, or in the midst of it.
            let gone = if ended.is_some() {
                signed(pruned.sessions)
            } else {
                0
            };
            let left = before - gone;
            let gone = prune_excess(&all, left - signed(max), &mut pruned)?;
            ended = Some(left - gone);
        } else {
            ended = ended.map(|before| before - signed(pruned.sessions));
        }
        all.commit()?;
        (self.ended, self.too_old) = (ended, too_old);
        Ok(pruned)
    }
}

/// Writers do not begin as readers: who has read something cannot become one if it has changed.
fn begin(db: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    db.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// What a change did.
enum Effect {
    Kept,
    /// And one more session has ended.
    Ended,
    Nothing,
}

fn apply(all: &Transaction<'_>, at: i64, change: &Change) -> rusqlite::Result<Effect> {
    match change {
        Change::Began(opening) => apply_began(all, at, opening),
        Change::Counted {
            session_id,
            at: _,
            numbers,
            is_interim,
        } => {
            let numbers = value::to_numbers(numbers);
            let [duration, rx_bytes, tx_bytes, rx_packets, tx_packets] = numbers;
            let mut update = all.prepare_cached(COUNTED)?;
            let session = update
                .query_row(
                    params![
                        session_id, at, duration, rx_bytes, tx_bytes, rx_packets, tx_packets
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let Some((session, is_told)) = session else {
                return Ok(Effect::Nothing);
            };
            if is_told && *is_interim {
                tell(all, session, INTERIM, at, numbers)?;
            }
            Ok(Effect::Kept)
        }
        Change::Ended {
            session_id,
            at: known_at,
            numbers,
            cause,
        } => {
            let at = known_at.map(|_| at);
            let numbers = numbers.as_ref().map(value::to_numbers);
            let number = |index: usize| numbers.map(|numbers| numbers[index]);
            let mut update = all.prepare_cached(ENDED_NOW)?;
            let session = update
                .query_row(
                    params![
                        session_id,
                        at,
                        number(0),
                        number(1),
                        number(2),
                        number(3),
                        number(4),
                        cause.name()
                    ],
                    |row| {
                        let numbers = value::to_numbers(&value::numbers(row, 3)?);
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, numbers))
                    },
                )
                .optional()?;
            let Some((session, is_told, at, numbers)) = session else {
                return Ok(Effect::Nothing);
            };
            if is_told {
                tell(all, session, STOP, at, numbers)?;
            }
            Ok(Effect::Ended)
        }
        Change::Switched {
            identity,
            at: _,
            is_on,
        } => {
            let kind = if *is_on { ON } else { OFF };
            let mut insert =
                all.prepare_cached("INSERT INTO outbox (identity, kind, at) VALUES (?, ?, ?)")?;
            insert.execute(params![identity, kind, at])?;
            Ok(Effect::Kept)
        }
    }
}

fn apply_began(all: &Transaction<'_>, at: i64, opening: &Opening) -> rusqlite::Result<Effect> {
    let Opening {
        session_id,
        datapath,
        identity,
        port,
        user,
        caller,
        called,
        address,
        interface,
        authentic,
        classes,
        is_told,
        at: _,
    } = opening;
    let mut insert = all.prepare_cached(BEGAN)?;
    let inserted = insert.execute(params![
        session_id,
        datapath.0,
        identity,
        port,
        user,
        caller.to_bits(),
        called.to_bits(),
        address.to_bits(),
        interface,
        value::to_authentic(*authentic),
        value::to_classes(classes),
        is_told,
        at
    ])?;
    if inserted > 0 && *is_told {
        tell(all, all.last_insert_rowid(), START, at, [0; 5])?;
    }
    Ok(Effect::Kept)
}

/// Writes down what RADIUS is to be told of a session.
fn tell(
    all: &Transaction<'_>,
    session: i64,
    kind: i64,
    at: i64,
    numbers: [i64; 5],
) -> rusqlite::Result<()> {
    let [duration, rx_bytes, tx_bytes, rx_packets, tx_packets] = numbers;
    all.prepare_cached(TELL)?.execute(params![
        session, kind, at, duration, rx_bytes, tx_bytes, rx_packets, tx_packets
    ])?;
    Ok(())
}

/// Sessions that ended before a time, and what RADIUS was not told of them.
fn prune_old_sessions(
    all: &Transaction<'_>,
    before: i64,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let mut select =
        all.prepare_cached("SELECT id FROM session WHERE ended < ? ORDER BY ended LIMIT ?")?;
    let ids = select.query_map([before, PRUNED_AT_ONCE], |row| row.get(0))?;
    for id in ids.collect::<Result<Vec<i64>, _>>()? {
        let mut delete = all.prepare_cached("DELETE FROM outbox WHERE session = ?")?;
        pruned.given_up += delete.execute([id])? as u64;
        delete_session(all, id, pruned)?;
    }
    pruned.is_more |= signed(pruned.sessions) == PRUNED_AT_ONCE;
    Ok(())
}

/// Records from before a time, the others than those by which RADIUS knows that a session began or
/// ended. Where they are too young has no need to be looked at twice.
fn prune_old_records(
    all: &Transaction<'_>,
    before: i64,
    too_old: &mut i64,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let mut select =
        all.prepare_cached("SELECT id, at, kind FROM outbox WHERE id > ? ORDER BY id LIMIT ?")?;
    let records = select.query_map([*too_old, PRUNED_AT_ONCE], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let records: Vec<(i64, i64, i64)> = records.collect::<Result<_, _>>()?;
    let old = records.iter().take_while(|(_, at, _)| *at < before);
    let mut seen = 0;
    for &(id, _, kind) in old {
        if kind != START && kind != STOP {
            let mut delete = all.prepare_cached("DELETE FROM outbox WHERE id = ?")?;
            pruned.given_up += delete.execute([id])? as u64;
        }
        *too_old = id;
        seen += 1;
    }
    pruned.is_more |= seen == PRUNED_AT_ONCE;
    Ok(())
}

/// As many of the sessions that ended first as are too many. Returns how many went.
fn prune_excess(all: &Transaction<'_>, excess: i64, pruned: &mut Pruned) -> rusqlite::Result<i64> {
    let room = PRUNED_AT_ONCE - signed(pruned.sessions);
    let most = excess.min(room);
    if most <= 0 {
        return Ok(0);
    }
    let mut select = all.prepare_cached(FIRST_ENDED)?;
    let ids = select.query_map([LOOKED_AT, most], |row| row.get(0))?;
    let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
    for &id in &ids {
        delete_session(all, id, pruned)?;
    }
    let gone = i64::try_from(ids.len()).unwrap_or(most);
    pruned.is_more |= gone == room;
    Ok(gone)
}

fn delete_session(all: &Transaction<'_>, id: i64, pruned: &mut Pruned) -> rusqlite::Result<()> {
    let mut delete = all.prepare_cached("DELETE FROM session WHERE id = ?")?;
    pruned.sessions += delete.execute([id])? as u64;
    Ok(())
}

fn pending(row: &rusqlite::Row<'_>, now: SystemTime) -> rusqlite::Result<Pending> {
    let kind: i64 = row.get(1)?;
    let at: i64 = row.get(2)?;
    let event = match kind {
        ON => Occasion::On(row.get(8)?),
        OFF => Occasion::Off(row.get(8)?),
        START => Occasion::Start(told(row)?),
        STOP => {
            let name: String = row.get(9)?;
            // A name that is not known can only be that of a version that knew more.
            let cause = Cause::parse(&name).unwrap_or(Cause::Crash);
            Occasion::Stop(told(row)?, value::numbers(row, 3)?, cause)
        }
        _ => Occasion::Interim(told(row)?, value::numbers(row, 3)?),
    };
    Ok(Pending {
        id: row.get(0)?,
        event,
        age: age(at, now),
        timestamp: value::from_span(at).as_secs(),
    })
}

fn told(row: &rusqlite::Row<'_>) -> rusqlite::Result<Box<Told>> {
    let classes: Vec<u8> = row.get(18)?;
    Ok(Box::new(Told {
        session_id: row.get(10)?,
        identity: row.get(8)?,
        port: row.get(11)?,
        user: row.get(12)?,
        caller: value::address(row, 13)?,
        called: value::address(row, 14)?,
        address: value::address(row, 15)?,
        interface: row.get(16)?,
        authentic: value::from_authentic(row.get(17)?),
        classes: value::from_classes(&classes),
    }))
}

/// Nothing is younger than now, whatever happened to the clock.
fn age(at: i64, now: SystemTime) -> Duration {
    let at = value::from_millis(at);
    now.duration_since(at).unwrap_or(Duration::ZERO)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const BEGAN: &str = "
    INSERT INTO session (session_id, datapath, identity, port, user, caller, called, address,
        interface, authentic, classes, is_told, began, counted_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)
    ON CONFLICT (session_id) DO NOTHING";

const COUNTED: &str = "
    UPDATE session SET counted_at = ?2, duration = ?3, rx_bytes = ?4, tx_bytes = ?5,
        rx_packets = ?6, tx_packets = ?7
    WHERE session_id = ?1 AND ended IS NULL
    RETURNING id, is_told";

const ENDED_NOW: &str = "
    UPDATE session SET datapath = NULL, ended = coalesce(?2, counted_at),
        duration = coalesce(?3, duration), rx_bytes = coalesce(?4, rx_bytes),
        tx_bytes = coalesce(?5, tx_bytes), rx_packets = coalesce(?6, rx_packets),
        tx_packets = coalesce(?7, tx_packets), cause = ?8
    WHERE session_id = ?1 AND ended IS NULL
    RETURNING id, is_told, ended, duration, rx_bytes, tx_bytes, rx_packets, tx_packets";

const TELL: &str = "
    INSERT INTO outbox (session, kind, at, duration, rx_bytes, tx_bytes, rx_packets, tx_packets)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

const PENDING: &str = "
    SELECT outbox.id, outbox.kind, outbox.at, outbox.duration, outbox.rx_bytes, outbox.tx_bytes,
        outbox.rx_packets, outbox.tx_packets, coalesce(outbox.identity, session.identity),
        session.cause, session.session_id, session.port, session.user, session.caller,
        session.called, session.address, session.interface, session.authentic, session.classes
    FROM outbox LEFT JOIN session ON session.id = outbox.session
    WHERE outbox.id > ? ORDER BY outbox.id LIMIT ?";

const ENDED: &str = "SELECT count(*) FROM session WHERE ended IS NOT NULL";

const FIRST_ENDED: &str = "
    SELECT id FROM (SELECT id FROM session WHERE ended IS NOT NULL ORDER BY ended LIMIT ?) AS first
    WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.session = first.id) LIMIT ?";

#[cfg(test)]
mod tests;

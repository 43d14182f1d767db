//! Looks at what is stored, on a connection of its own: who writes does not wait for who reads, and
//! who reads sees what was there when it began.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::Connection;

use super::schema::{Error, connect_to_read};
use super::value;
use super::{Authentic, Numbers};
use crate::cause::Cause;

/// The store, open for reading.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
}

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Acct-Session-Id.
    pub session_id: String,
    /// The user as it logged in.
    pub user: String,
    /// Where the client connects from.
    pub caller: Ipv4Addr,
    /// The address of ours that it connects to.
    pub called: Ipv4Addr,
    /// The client's address inside the tunnel.
    pub address: Ipv4Addr,
    /// The name of the interface.
    pub interface: String,
    /// Who let the user in.
    pub authentic: Authentic,
    /// When.
    pub began: SystemTime,
    /// When it ended, unless it is up.
    pub ended: Option<SystemTime>,
    /// In all, or when it was counted last.
    pub numbers: Numbers,
    /// Why it ended, if it has and that is known.
    pub cause: Option<Cause>,
    /// RADIUS is still to be told something of it.
    pub is_pending: bool,
}

impl Reader {
    /// Opens a store that is there.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let db = connect_to_read(path)?;
        Ok(Self { db })
    }

    /// Hands over one session after the other, in the order in which they began or the reverse, until
    /// `take` has enough.
    ///
    /// # Errors
    /// It cannot be read on.
    pub fn for_each(
        &self,
        newest_first: bool,
        take: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let order = if newest_first { "DESC" } else { "ASC" };
        let sql = format!("{SELECT} ORDER BY id {order}");
        let mut select = self.db.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Some(found) = rows.next()? {
            if take(row(found)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let ended: Option<i64> = row.get(8)?;
    let cause: Option<String> = row.get(9)?;
    Ok(Row {
        session_id: row.get(0)?,
        user: row.get(1)?,
        caller: value::address(row, 2)?,
        called: value::address(row, 3)?,
        address: value::address(row, 4)?,
        interface: row.get(5)?,
        authentic: value::from_authentic(row.get(6)?),
        began: value::from_millis(row.get(7)?),
        ended: ended.map(value::from_millis),
        numbers: value::numbers(row, 10)?,
        cause: cause.as_deref().and_then(Cause::parse),
        is_pending: row.get(15)?,
    })
}

const SELECT: &str = "
    SELECT session_id, user, caller, called, address, interface, authentic, began, ended, cause,
        duration, rx_bytes, tx_bytes, rx_packets, tx_packets,
        EXISTS (SELECT 1 FROM outbox WHERE outbox.session = session.id)
    FROM session";

//! Keeps accounting records without holding up the loop: one thread writes, another one looks up what
//! the console asks for.
//!
//! What waits when the writer comes to it is one transaction: the busier it is, the less a change
//! costs. A disk that cannot be written ends no session. It is said, what is to be kept stays in
//! memory, and is tried again.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use super::reader::{Reader, Row};
use super::writer::{Request, Writer};
use super::{Change, Pending, Unfinished};
use crate::log::{Line, Message};

/// The most changes that wait in memory for a disk that cannot be written.
const ROOM: usize = 1_000_000;

/// How long dropping a [`Keeper`] waits for what is left to be kept.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps accounting records. Dropping it keeps what waits, if that is possible in [`PATIENCE`].
pub struct Keeper {
    requests: Sender<Request>,
    reports: Receiver<Report>,
    /// `None` ends the thread that reads.
    lookups: Option<Sender<Lookup>>,
    is_over: Arc<AtomicBool>,
    /// Both threads have the other end, and nothing to say.
    alive: Receiver<Infallible>,
    threads: Vec<JoinHandle<()>>,
}

/// What the keeper has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What was kept before is known: these sessions have no end. Comes first, and a second time if
    /// the file could not be opened at first.
    Opened(Vec<Unfinished>),
    /// All changes up to this number are on the disk; or cannot be for now, which a line of the log
    /// says.
    Kept {
        /// The number.
        up_to: u64,
    },
    /// What RADIUS is to be told: the answer to [`Keeper::load`].
    Page(Vec<Pending>),
    /// Sessions, the newest first: the answer to [`Keeper::read`].
    Rows {
        /// Whose.
        token: usize,
        /// As many as were asked for, or all.
        rows: Vec<Row>,
        /// There are more.
        is_cut: bool,
    },
    /// For the log.
    Log(Line),
}

/// What the console asks for.
struct Lookup {
    token: usize,
    limit: usize,
    filter: Box<dyn Fn(&Row) -> bool + Send>,
}

/// Where reports go.
#[derive(Clone)]
pub(super) struct Reports {
    sender: Sender<Report>,
    wake: Arc<Mutex<dyn Fn() + Send>>,
}

impl Keeper {
    /// Opens or makes the store at `path`, and calls `wake` whenever there is something to
    /// [poll](Self::poll).
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(path: PathBuf, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        Self::start_with_room(path, ROOM, wake)
    }

    fn start_with_room(
        path: PathBuf,
        room: usize,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, received) = channel();
        let (lookups, asked) = channel();
        let (sender, reports) = channel();
        let (living, alive) = channel();
        let wake = Arc::new(Mutex::new(wake));
        let reporting = Reports { sender, wake };
        let is_over = Arc::new(AtomicBool::new(false));
        let mut keeper = Self {
            requests,
            reports,
            lookups: Some(lookups),
            is_over: Arc::clone(&is_over),
            alive,
            threads: Vec::new(),
        };
        let (living_too, reporting_too, path_too) =
            (living.clone(), reporting.clone(), path.clone());
        keeper.spawn("accounting", move || {
            Writer::new(path, room, received, reporting).run();
            drop(living);
        })?;
        keeper.spawn("accounting-read", move || {
            for lookup in asked {
                look_up(&path_too, &lookup, &is_over, &reporting_too);
            }
            drop(living_too);
        })?;
        Ok(keeper)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned());
        self.threads.push(thread.spawn(run)?);
        Ok(())
    }

    /// Keeps a change, and reports [`Report::Kept`] with its number or a later one. Numbers rise.
    pub fn keep(&self, number: u64, change: Change) {
        let time = time_of_day(&change);
        self.ask(Request::Keep(number, time, change));
    }

    /// Asks for a page of what RADIUS is to be told: records after the one with the number `after`,
    /// `limit` of them at most. What was to be kept before this is in it.
    pub fn load(&self, after: i64, limit: usize) {
        self.ask(Request::Load { after, limit });
    }

    /// RADIUS has confirmed these. Until that is on the disk a page may have them again.
    pub fn delivered(&self, ids: Vec<i64>) {
        self.ask(Request::Delivered(ids));
    }

    /// How long, and how many, sessions that have ended are kept: see [`super::store::Store::prune`].
    /// Until this is said all are.
    pub fn set_retention(&self, keep_for: Option<Duration>, max_sessions: Option<u64>) {
        self.ask(Request::Retain {
            keep_for,
            max_sessions,
        });
    }

    /// Asks for the newest `limit` sessions of those that `filter` lets through.
    pub fn read(&self, token: usize, limit: usize, filter: Box<dyn Fn(&Row) -> bool + Send>) {
        let lookup = Lookup {
            token,
            limit,
            filter,
        };
        if let Some(lookups) = &self.lookups {
            // The thread ends after this value only.
            let _ = lookups.send(lookup);
        }
    }

    /// Waits for what it has to say; `None` if it says nothing for so long.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Option<Report> {
        self.reports.recv_timeout(patience).ok()
    }

    /// The next thing that there is to say.
    #[must_use]
    pub fn poll(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    fn ask(&self, request: Request) {
        // As for lookups.
        let _ = self.requests.send(request);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.lookups = None;
        self.ask(Request::Stop);
        match self.alive.recv_timeout(PATIENCE) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Disconnected) => {
                for thread in self.threads.drain(..) {
                    // It has ended. What it died of was said by its panic.
                    let _ = thread.join();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Reports {
    /// Reports something.
    pub(super) fn send(&self, report: Report) {
        // Nobody may want to know any more.
        let _ = self.sender.send(report);
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        wake();
    }

    /// Says something in the log.
    pub(super) fn say(&self, message: Message, text: String) {
        self.send(Report::Log(Line::new(message, text)));
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}

/// A connection for each lookup: the file may be another one by now, and they are rare.
fn look_up(path: &Path, lookup: &Lookup, is_over: &AtomicBool, reports: &Reports) {
    let mut rows = Vec::new();
    let mut is_cut = false;
    let mut take = |row: Row| {
        if is_over.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        if (lookup.filter)(&row) {
            if rows.len() == lookup.limit {
                is_cut = true;
                return ControlFlow::Break(());
            }
            rows.push(row);
        }
        ControlFlow::Continue(())
    };
    let read = Reader::open(path).and_then(|reader| reader.for_each(true, &mut take));
    if let Err(error) = read {
        let text = format!("accounting records cannot be read: {error}");
        reports.say(Message::AccountingUnread, text);
    }
    let token = lookup.token;
    reports.send(Report::Rows {
        token,
        rows,
        is_cut,
    });
}

/// When a change happened, by the clock on the wall as it is now.
fn time_of_day(change: &Change) -> SystemTime {
    let at = match change {
        Change::Began(opening) => Some(opening.at),
        Change::Ended { at, .. } => *at,
        Change::Counted { at, .. } | Change::Switched { at, .. } => Some(*at),
    };
    let now = super::now();
    let Some(at) = at else {
        return now;
    };
    let ticks = super::ticks();
    let ago = ticks.saturating_duration_since(at);
    let ahead = at.saturating_duration_since(ticks);
    now.checked_sub(ago).map_or(now, |time| time + ahead)
}

#[cfg(test)]
mod tests;

//! The thread that writes accounting records.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use super::keeper::{Report, Reports};
use super::store::{Error, Opened, Store};
use super::{Change, Opening, now, ticks};
use crate::log::{Field, Line, Message};

/// How long to wait before what could not be kept is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is said that nothing can be kept.
const REPEAT: Duration = Duration::from_secs(60);

/// How often what is too old is looked for.
const PRUNE: Duration = Duration::from_secs(60);

/// The most requests that are taken together, and changes that are one transaction.
const AT_ONCE: usize = 10_000;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Keep(u64, SystemTime, Change),
    Delivered(Vec<i64>),
    Load {
        after: i64,
        limit: usize,
    },
    Retain {
        keep_for: Option<Duration>,
        max_sessions: Option<u64>,
    },
    /// To keep what came before, and end.
    Stop,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    requests: Receiver<Request>,
    reports: Reports,
    /// `None` as long as the file cannot be opened.
    store: Option<Store>,
    /// What was kept before was reported, or that nothing is known of it for now.
    opened: Option<Known>,
    /// What is to be kept, and was not so far.
    waiting: VecDeque<(SystemTime, Change)>,
    /// The most of them.
    room: usize,
    /// How many were given up for want of room since that was said.
    given_up: u64,
    /// What RADIUS has confirmed, and is still in the store.
    delivered: Vec<i64>,
    /// The sessions that are up, as the store has them: to begin a new one with, should it be of no
    /// use one day.
    up: BTreeMap<String, (SystemTime, Box<Opening>)>,
    failing: Option<Failing>,
    keep_for: Option<Duration>,
    max_sessions: Option<u64>,
    prune_at: Option<Instant>,
}

/// What was reported of what was kept before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Everything,
}

/// Nothing can be kept.
#[derive(Clone, Copy, Debug)]
struct Failing {
    said_at: Instant,
    retry_at: Instant,
}

/// What came in one turn.
#[derive(Debug, Default)]
struct Turn {
    /// The number of the last change.
    up_to: Option<u64>,
    loads: Vec<(i64, usize)>,
    is_last: bool,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        room: usize,
        requests: Receiver<Request>,
        reports: Reports,
    ) -> Self {
        Self {
            path,
            requests,
            reports,
            store: None,
            opened: None,
            waiting: VecDeque::new(),
            room,
            given_up: 0,
            delivered: Vec::new(),
            up: BTreeMap::new(),
            failing: None,
            keep_for: None,
            max_sessions: None,
            prune_at: None,
        }
    }

    /// Works until it is to stop.
    pub(super) fn run(mut self) {
        self.commit();
        loop {
            let turn = self.take();
            let is_due = self
                .failing
                .is_none_or(|failing| failing.retry_at <= ticks());
            if is_due || turn.is_last {
                self.commit();
            }
            if let Some(up_to) = turn.up_to {
                self.reports.send(Report::Kept { up_to });
            }
            for (after, limit) in turn.loads {
                self.load(after, limit);
            }
            if turn.is_last {
                return;
            }
            self.prune();
        }
    }

    /// Waits for something to do, and takes all requests that there are.
    fn take(&mut self) -> Turn {
        let mut turn = Turn::default();
        let retry_at = self.failing.map(|failing| failing.retry_at);
        let due = [retry_at, self.prune_at].into_iter().flatten().min();
        let first = match due {
            None => self.requests.recv().map_err(RecvTimeoutError::from),
            Some(due) => self
                .requests
                .recv_timeout(due.saturating_duration_since(ticks())),
        };
        match first {
            Ok(request) => self.accept(request, &mut turn),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => turn.is_last = true,
        }
        for _ in 1..AT_ONCE {
            let Ok(request) = self.requests.try_recv() else {
                break;
            };
            self.accept(request, &mut turn);
        }
        turn
    }

    fn accept(&mut self, request: Request, turn: &mut Turn) {
        match request {
            Request::Keep(number, time, change) => {
                if self.waiting.len() >= self.room {
                    self.make_room();
                }
                self.waiting.push_back((time, change));
                turn.up_to = Some(number);
            }
            Request::Delivered(ids) => self.delivered.extend(ids),
            Request::Load { after, limit } => turn.loads.push((after, limit)),
            Request::Retain {
                keep_for,
                max_sessions,
            } => {
                (self.keep_for, self.max_sessions) = (keep_for, max_sessions);
                self.prune_at = Some(ticks());
            }
            Request::Stop => turn.is_last = true,
        }
    }

    /// The oldest of what a session has moved meanwhile goes first: the next says as much. Some go
    /// together, because looking for them takes a while.
    fn make_room(&mut self) {
        let before = self.waiting.len();
        let mut left = (self.room / 100).max(1);
        self.waiting.retain(|(_, change)| {
            let goes = left > 0 && matches!(change, Change::Counted { .. });
            left -= usize::from(goes);
            !goes
        });
        if self.waiting.len() == before {
            self.waiting.pop_front();
        }
        self.given_up += (before - self.waiting.len()) as u64;
    }

    /// Keeps all that waits, or says why not.
    fn commit(&mut self) {
        let mut is_anew = false;
        while self.store.is_none() || !self.waiting.is_empty() || !self.delivered.is_empty() {
            match self.commit_some() {
                Ok(()) => {}
                Err(error) if error.is_corruption() && !is_anew => {
                    is_anew = true;
                    if let Err(error) = self.begin_anew(&error) {
                        return self.fail(&error);
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
        if self.failing.take().is_some() {
            self.say_given_up();
            let text = "accounting records are kept again".to_owned();
            self.reports.say(Message::AccountingKept, text);
        }
    }

    /// Keeps as much as one transaction takes.
    fn commit_some(&mut self) -> Result<(), Error> {
        let store = match &mut self.store {
            Some(store) => store,
            None => self.store.insert(self.reports.open(&self.path)?),
        };
        if self.opened != Some(Known::Everything) {
            let unfinished = store.unfinished(now())?;
            if self.opened.is_none() || !unfinished.is_empty() {
                self.reports.send(Report::Opened(unfinished));
            }
            self.opened = Some(Known::Everything);
        }
        let count = self.waiting.len().min(AT_ONCE);
        let batch = &self.waiting.make_contiguous()[..count];
        let ignored = store.commit(batch, &self.delivered)?;
        self.delivered.clear();
        for (time, change) in self.waiting.drain(..count) {
            match change {
                Change::Began(opening) => {
                    let session_id = opening.session_id.clone();
                    self.up.entry(session_id).or_insert((time, opening));
                }
                Change::Ended { session_id, .. } => {
                    self.up.remove(&session_id);
                }
                Change::Counted { .. } | Change::Switched { .. } => {}
            }
        }
        if ignored > 0 {
            let text = format!("{ignored} changes are about no session of the accounting records");
            let line = Line::new(Message::AccountingIgnored, text).with(Field::Count, ignored);
            self.reports.send(Report::Log(line));
        }
        Ok(())
    }

    /// Moves a file that is of no use aside. The sessions that are up begin again in the new one: to
    /// be told twice that they began does RADIUS no harm, never to be told that they ended does.
    fn begin_anew(&mut self, error: &Error) -> Result<(), Error> {
        let Some(store) = self.store.take() else {
            // It was moved aside when it was opened, and the new one is no better.
            return Ok(());
        };
        let aside = store.move_aside(now())?;
        self.reports
            .say_moved(&self.path, &aside, &error.to_string());
        let mut up: Vec<_> = std::mem::take(&mut self.up).into_values().collect();
        up.sort_by_key(|(_, opening)| opening.at);
        for (time, opening) in up.into_iter().rev() {
            self.waiting.push_front((time, Change::Began(opening)));
        }
        Ok(())
    }

    /// Nothing can be kept for now.
    fn fail(&mut self, error: &Error) {
        let now = ticks();
        let said_at = self.failing.map(|failing| failing.said_at);
        let is_said = said_at.filter(|&said_at| now.duration_since(said_at) < REPEAT);
        if is_said.is_none() {
            let text = format!("accounting records cannot be kept: {error}");
            self.reports.say(Message::AccountingUnkept, text);
            self.say_given_up();
        }
        self.failing = Some(Failing {
            said_at: is_said.unwrap_or(now),
            retry_at: now + RETRY,
        });
        if self.opened.is_none() {
            // Sessions are not to wait for the disk. What is found later is told then.
            self.reports.send(Report::Opened(Vec::new()));
            self.opened = Some(Known::Nothing);
        }
    }

    fn say_given_up(&mut self) {
        let count = std::mem::take(&mut self.given_up);
        if count > 0 {
            self.reports.say_given_up(count, "too many wait to be kept");
        }
    }

    fn load(&mut self, after: i64, limit: usize) {
        let page = match &self.store {
            Some(store) => store.pending(after, limit, now()),
            None => Ok(Vec::new()),
        };
        let page = page.unwrap_or_else(|error| {
            self.mind(&error, Message::AccountingUnread, "read");
            Vec::new()
        });
        self.reports.send(Report::Page(page));
    }

    /// Lets go some of what is too old, if it is time.
    fn prune(&mut self) {
        let is_due = self.prune_at.is_some_and(|due| due <= ticks());
        let Some(store) = self.store.as_mut().filter(|_| is_due) else {
            return;
        };
        let mut next = PRUNE;
        match store.prune(now(), self.keep_for, self.max_sessions) {
            Ok(pruned) => {
                if pruned.given_up > 0 {
                    let why = "RADIUS did not confirm them in time";
                    self.reports.say_given_up(pruned.given_up, why);
                }
                if pruned.is_more {
                    next = Duration::ZERO;
                }
            }
            Err(error) => self.mind(&error, Message::AccountingUnkept, "deleted"),
        }
        self.prune_at = Some(ticks() + next);
    }

    /// Something else than keeping went wrong.
    fn mind(&mut self, error: &Error, message: Message, what: &str) {
        if error.is_corruption() {
            match self.begin_anew(error) {
                Ok(()) => self.commit(),
                Err(error) => self.fail(&error),
            }
            return;
        }
        let text = format!("accounting records cannot be {what}: {error}");
        self.reports.say(message, text);
    }
}

impl Reports {
    /// Opens the store, and says what became of one that was of no use.
    fn open(&self, path: &Path) -> Result<Store, Error> {
        let (store, Opened { moved_aside }) = Store::open(path, now())?;
        if let Some((aside, why)) = moved_aside {
            self.say_moved(path, &aside, &why);
        }
        Ok(store)
    }

    fn say_moved(&self, path: &Path, aside: &Path, why: &str) {
        let (path, aside) = (path.display(), aside.display());
        let text = format!("{path} is of no use, and was moved to {aside}: {why}");
        self.say(Message::AccountingMoved, text);
    }

    fn say_given_up(&self, count: u64, why: &str) {
        let text = format!("{count} accounting records were given up: {why}");
        let line = Line::new(Message::AccountingGivenUp, text).with(Field::Count, count);
        self.send(Report::Log(line));
    }
}

//! The log: lines with topics and fields, kept for `/log print` and written to where the operator
//! wants them.
//!
//! Nothing here waits: a line that cannot be written at once is lost and counted, and the next that
//! can be is preceded by how many those were.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

mod bridge;
mod destination;
mod field;
mod filter;
mod journald;
mod line;
mod message;
mod recent;
mod stream;
mod syslog;
pub mod text;

pub use self::destination::Destination;
pub use self::field::Field;
pub use self::filter::{Filter, Topics, TopicsError};
pub use self::line::Line;
pub use self::message::Message;
pub use self::recent::Recent;

/// A line and when it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub time: SystemTime,
    /// What.
    pub line: Line,
}

/// Where entries are written.
trait Sink: Send {
    /// Writes an entry now or not at all.
    fn write(&mut self, entry: &Entry) -> io::Result<()>;
}

/// The log of the process. A clone is the same log.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    filter: Filter,
    recent: Recent,
    sink: Option<Box<dyn Sink>>,
    /// Lines that could not be written since one could.
    lost: u64,
}

impl Log {
    /// A log that writes to `destination` what `filter` lets through. The default log writes
    /// nowhere, and keeps what matters more than `debug`.
    ///
    /// # Errors
    /// There is no such socket on this machine, or no more of them can be had.
    pub fn open(destination: Destination, filter: Filter) -> io::Result<Self> {
        Ok(Self::with_sink(destination.open()?, filter))
    }

    /// A log that writes to standard error what `filter` lets through.
    #[must_use]
    pub fn stderr(filter: Filter) -> Self {
        Self::with_sink(destination::stderr(), filter)
    }

    fn with_sink(sink: Box<dyn Sink>, filter: Filter) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            filter,
            recent: Recent::default(),
            sink: Some(sink),
            lost: 0,
        })))
    }

    /// Whether lines of this kind are wanted: what is costly to say need not be said otherwise.
    #[must_use]
    pub fn wants(&self, message: Message) -> bool {
        self.inner().filter.wants(message.level(), message.topics())
    }

    /// Keeps and writes a line, if it is one that is wanted.
    pub fn write(&self, line: Line) {
        let mut inner = self.inner();
        if inner.filter.wants(line.level, line.topics) {
            inner.write(Entry {
                time: now(),
                line: line.tamed(),
            });
        }
    }

    /// The last lines. Nothing can be written while they are looked at.
    #[must_use]
    pub fn recent(&self) -> impl std::ops::Deref<Target = Recent> + '_ {
        Kept(self.inner())
    }

    /// Lines that could not be written since one could.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.inner().lost
    }

    /// Takes what libraries of this process tell `tracing`, too. Once in a process.
    pub fn listen_to_tracing(&self) {
        bridge::install(self.clone());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What a panic left behind is still a log.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, entry: Entry) {
        if let Some(sink) = &mut self.sink {
            if self.lost > 0 && sink.write(&lines_lost(entry.time, self.lost)).is_ok() {
                self.lost = 0;
            }
            // What comes later is not to be there without what was lost before it being told.
            if self.lost > 0 || sink.write(&entry).is_err() {
                self.lost += 1;
            }
        }
        self.recent.push(entry);
    }
}

fn lines_lost(time: SystemTime, count: u64) -> Entry {
    let text = format!("{count} lines of the log could not be written");
    Entry {
        time,
        line: Line::new(Message::LinesLost, text).with(Field::Count, count),
    }
}

/// The lines that are kept, with the log held for as long.
struct Kept<'a>(MutexGuard<'a, Inner>);

impl std::ops::Deref for Kept<'_> {
    type Target = Recent;

    fn deref(&self) -> &Recent {
        &self.0.recent
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "here lines get their time; who says them need not know it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tracing::Level;

use super::*;

/// A folder that goes with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("greyhound-log-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A sink that can be broken.
#[derive(Clone, Default)]
struct Played {
    is_broken: Arc<AtomicBool>,
    texts: Arc<Mutex<Vec<String>>>,
}

impl Sink for Played {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.add(&entry.line.text);
        Ok(())
    }
}

impl Played {
    fn add(&self, text: &str) {
        self.texts.lock().unwrap().push(text.to_owned());
    }
}

fn line(text: &str) -> Line {
    Line::new(Message::Connected, text.to_owned())
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_told_of_before_the_next_one() {
    let played = Played::default();
    let log = Log::with_sink(Box::new(played.clone()), Filter::default());
    log.write(line("one"));
    played.is_broken.store(true, Ordering::Relaxed);
    log.write(line("two"));
    log.write(line("three"));
    assert_eq!(log.lost(), 2);
    played.is_broken.store(false, Ordering::Relaxed);
    log.write(line("four"));
    assert_eq!(log.lost(), 0);
    let told = "2 lines of the log could not be written";
    assert_eq!(*played.texts.lock().unwrap(), ["one", told, "four"]);
    let recent = log.recent();
    let kept: Vec<_> = recent.iter().map(|entry| &entry.line.text).collect();
    assert_eq!(kept, ["one", "two", "three", "four"]);
}

#[test]
fn what_is_not_wanted_is_neither_written_nor_kept() {
    let played = Played::default();
    let topics = vec!["ppp,!account".parse().unwrap()];
    let log = Log::with_sink(Box::new(played.clone()), Filter::new(None, topics));
    log.write(line("wanted"));
    log.write(Line::new(Message::LoggedIn, "account".to_owned()));
    log.write(Line::new(Message::Stopping, "not of PPP".to_owned()));
    log.write(Line::other(Level::DEBUG, "ppp,debug", "debug".to_owned()));
    assert_eq!(*played.texts.lock().unwrap(), ["wanted"]);
    assert_eq!(log.recent().iter().len(), 1);
}

#[test]
fn what_is_kept_is_as_harmless_as_what_is_written() {
    let log = Log::default();
    log.write(line("a\nb\u{1b}").with(Field::User, "x".repeat(100_000)));
    let recent = log.recent();
    let entry = recent.iter().next().unwrap();
    assert_eq!(entry.line.text, "a?b?");
    assert_eq!(
        entry.line.field(Field::User).unwrap().len(),
        text::LONGEST_VALUE
    );
    assert_eq!(entry.line.field(Field::Caller), None);
}

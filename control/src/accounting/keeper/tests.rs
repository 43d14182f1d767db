use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::channel;
use std::time::Instant;

use greyhound_datapath::ids::SessionId;

use super::*;
use crate::accounting::store::{FILE, Store};
use crate::accounting::{Authentic, Numbers, Occasion, Opening, ticks};
use crate::cause::Cause;

#[test]
fn what_is_reported_as_kept_is_in_the_file_and_comes_back_as_unfinished() {
    let folder = Folder::new("kept");
    let mut heard = folder.keeper();
    assert_eq!(heard.next(), Report::Opened(Vec::new()));
    heard.keeper.keep(1, began("a"));
    heard.keeper.keep(2, began("b"));
    heard.keeper.keep(3, ended("a"));
    heard.kept(3);
    let (store, _) = Store::open(&folder.path(), super::super::now()).unwrap();
    assert_eq!(store.pending(0, 9, super::super::now()).unwrap().len(), 3);
    drop(store);
    drop(heard);

    let mut heard = folder.keeper();
    let Report::Opened(unfinished) = heard.next() else {
        panic!("not opened");
    };
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].session_id, "b");
    assert!(unfinished[0].age < Duration::from_secs(60));
}

#[test]
fn a_page_has_what_was_to_be_kept_before_it_was_asked_for() {
    let folder = Folder::new("page");
    let mut heard = folder.keeper();
    heard.keeper.keep(1, began("a"));
    heard.keeper.keep(2, ended("a"));
    heard.keeper.load(0, 100);
    let page = heard.page();
    assert_eq!(page.len(), 2);
    assert!(matches!(page[0].event, Occasion::Start(_)));
    assert!(page[0].age < Duration::from_secs(60));

    heard.keeper.delivered(vec![page[0].id]);
    heard.keeper.load(0, 100);
    let left = heard.page();
    assert_eq!((left.len(), left[0].id), (1, page[1].id));
    heard.keeper.load(page[1].id, 100);
    assert_eq!(heard.page(), []);
}

#[test]
fn what_waits_when_the_keeper_goes_is_kept() {
    let folder = Folder::new("dropped");
    let heard = folder.keeper();
    for number in 0..25_000 {
        heard.keeper.keep(number, began(&number.to_string()));
    }
    drop(heard);
    let reader = Reader::open(&folder.path()).unwrap();
    let mut count = 0;
    reader
        .for_each(false, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(count, 25_000);
}

#[test]
fn times_are_those_at_which_it_happened() {
    let folder = Folder::new("times");
    let mut heard = folder.keeper();
    let Change::Began(mut opening) = began("a") else {
        panic!("it did not begin");
    };
    opening.at = ticks().checked_sub(Duration::from_secs(5)).unwrap();
    heard.keeper.keep(1, Change::Began(opening));
    heard.keeper.load(0, 1);
    let age = heard.page()[0].age.as_secs_f64();
    assert!((4.9..60.0).contains(&age), "{age}");
}

#[test]
fn the_console_gets_the_newest_that_it_asked_for() {
    let folder = Folder::new("rows");
    let mut heard = folder.keeper();
    for (number, name) in (1..).zip(["a", "b", "c", "d"]) {
        heard.keeper.keep(number, began(name));
    }
    heard.kept(4);
    let mut read = |limit, without: &'static str| {
        let filter = move |row: &Row| row.session_id != without;
        heard.keeper.read(7, limit, Box::new(filter));
        heard.until(|report| match report {
            Report::Rows {
                token: 7,
                rows,
                is_cut,
            } => {
                let names: String = rows.into_iter().map(|row| row.session_id).collect();
                Some((names, is_cut))
            }
            Report::Opened(_)
            | Report::Kept { .. }
            | Report::Page(_)
            | Report::Rows { .. }
            | Report::Log(_) => None,
        })
    };
    assert_eq!(read(2, "c"), ("db".to_owned(), true));
    assert_eq!(read(3, "c"), ("dba".to_owned(), false));
    assert_eq!(read(0, "c"), (String::new(), true));
}

#[test]
fn what_is_about_no_session_is_said() {
    let folder = Folder::new("ignored");
    let mut heard = folder.keeper();
    heard.keeper.keep(1, ended("a"));
    let line = heard.line(Message::AccountingIgnored);
    assert_eq!(
        line,
        "1 changes are about no session of the accounting records"
    );
}

#[test]
fn sessions_go_on_while_nothing_can_be_kept_and_all_is_kept_later() {
    let folder = Folder::new("failing");
    // There is no folder to make the file in.
    fs::remove_dir(&folder.0).unwrap();
    let mut heard = folder.keeper();
    let line = heard.line(Message::AccountingUnkept);
    assert!(
        line.starts_with("accounting records cannot be kept: No such file"),
        "{line}"
    );
    assert_eq!(heard.next(), Report::Opened(Vec::new()));
    heard.keeper.keep(1, began("a"));
    assert_eq!(heard.next(), Report::Kept { up_to: 1 });
    heard.keeper.load(0, 9);
    assert_eq!(heard.next(), Report::Page(Vec::new()));
    heard.keeper.keep(2, ended("a"));
    assert_eq!(heard.next(), Report::Kept { up_to: 2 });

    fs::create_dir(&folder.0).unwrap();
    // Said once in a minute, not at each of the attempts.
    let Report::Log(line) = heard.next() else {
        panic!("nothing was said");
    };
    assert_eq!(line.text, "accounting records are kept again");
    heard.keeper.load(0, 9);
    assert_eq!(heard.page().len(), 2);
}

#[test]
fn of_too_much_that_waits_the_oldest_interims_go_first() {
    let folder = Folder::new("room");
    fs::remove_dir(&folder.0).unwrap();
    let mut heard = folder.keeper_with_room(4);
    heard.keeper.keep(1, began("a"));
    for number in 2..=10 {
        heard.keeper.keep(number, counted("a", number));
    }
    heard.keeper.keep(11, ended("a"));
    heard.kept(11);
    fs::create_dir(&folder.0).unwrap();
    let line = heard.line(Message::AccountingGivenUp);
    assert_eq!(
        line,
        "7 accounting records were given up: too many wait to be kept"
    );
    heard.line(Message::AccountingKept);
    heard.keeper.load(0, 9);
    let page = heard.page();
    let moved: Vec<_> = page
        .iter()
        .map(|one| match &one.event {
            Occasion::Start(_) => 0,
            Occasion::Interim(_, numbers) => numbers.rx_bytes,
            Occasion::Stop(..) => 99,
            Occasion::On(_) | Occasion::Off(_) => panic!("{one:?}"),
        })
        .collect();
    assert_eq!(moved, [0, 9, 10, 99]);
}

#[test]
fn damage_found_while_running_moves_the_file_aside_and_sessions_that_are_up_begin_again() {
    let folder = Folder::new("damaged");
    let mut heard = folder.keeper();
    heard.keeper.keep(1, began("a"));
    heard.keeper.keep(2, began("b"));
    heard.kept(2);
    heard.keeper.load(0, 9);
    let old = heard.page();
    // That somebody else has changed it is why the writer looks at the file again.
    let other = rusqlite::Connection::open(folder.path()).unwrap();
    other
        .execute_batch("UPDATE session SET port = 1; PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    drop(other);
    let mut file = fs::File::options();
    let file = file.write(true).open(folder.path()).unwrap();
    let length = file.metadata().unwrap().len();
    for page in 1..length / 4096 {
        file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
    heard.keeper.keep(3, ended("a"));
    let line = heard.line(Message::AccountingMoved);
    assert!(line.contains(" is of no use, and was moved to "), "{line}");
    heard.kept(3);
    // What was confirmed meanwhile is about the old file.
    heard
        .keeper
        .delivered(old.iter().map(|one| one.id).collect());
    heard.keeper.load(old[1].id, 9);
    let page = heard.page();
    let events: Vec<_> = page
        .iter()
        .map(|one| match &one.event {
            Occasion::Start(told) => ("start", told.session_id.as_str()),
            Occasion::Stop(told, ..) => ("stop", told.session_id.as_str()),
            Occasion::Interim(..) | Occasion::On(_) | Occasion::Off(_) => panic!("{one:?}"),
        })
        .collect();
    assert_eq!(events, [("start", "a"), ("start", "b"), ("stop", "a")]);
}

#[test]
fn what_is_too_old_goes_once_it_is_known_how_old_it_may_be() {
    let folder = Folder::new("retained");
    let mut heard = folder.keeper();
    let mut number = 0;
    for name in 0..1500 {
        for change in [began(&name.to_string()), ended(&name.to_string())] {
            number += 1;
            heard.keeper.keep(number, change);
        }
    }
    heard.kept(number);
    thread::sleep(Duration::from_millis(5));
    heard.keeper.set_retention(Some(Duration::ZERO), None);
    for records in [2000, 1000] {
        let line = heard.line(Message::AccountingGivenUp);
        assert!(line.starts_with(&format!("{records} accounting records")));
    }
    heard.keeper.load(0, 9);
    assert_eq!(heard.page(), []);
}

fn began(session_id: &str) -> Change {
    Change::Began(Box::new(Opening {
        session_id: session_id.to_owned(),
        datapath: SessionId(7),
        identity: "here".to_owned(),
        port: 31292,
        user: "ann".to_owned(),
        caller: Ipv4Addr::new(192, 0, 2, 1),
        called: Ipv4Addr::new(198, 51, 100, 1),
        address: Ipv4Addr::new(10, 0, 0, 5),
        interface: "<pptp-ann>".to_owned(),
        authentic: Authentic::Radius,
        classes: Vec::new(),
        is_told: true,
        at: ticks(),
    }))
}

fn counted(session_id: &str, rx_bytes: u64) -> Change {
    Change::Counted {
        session_id: session_id.to_owned(),
        at: ticks(),
        numbers: Numbers {
            rx_bytes,
            ..Numbers::default()
        },
        is_interim: true,
    }
}

fn ended(session_id: &str) -> Change {
    Change::Ended {
        session_id: session_id.to_owned(),
        at: Some(ticks()),
        numbers: None,
        cause: Cause::HungUp,
    }
}

/// A keeper and what it says.
struct Heard {
    keeper: Keeper,
    woken: Receiver<()>,
}

impl Heard {
    fn next(&mut self) -> Report {
        self.until(Some)
    }

    fn until<T>(&mut self, found: impl Fn(Report) -> Option<T>) -> T {
        let end: Instant = ticks() + Duration::from_secs(60);
        loop {
            while let Some(report) = self.keeper.poll() {
                if let Some(found) = found(report) {
                    return found;
                }
            }
            let left = end.saturating_duration_since(ticks());
            self.woken.recv_timeout(left).unwrap();
        }
    }

    fn kept(&mut self, number: u64) {
        self.until(|report| (report == Report::Kept { up_to: number }).then_some(()));
    }

    fn page(&mut self) -> Vec<Pending> {
        self.until(|report| match report {
            Report::Page(page) => Some(page),
            Report::Opened(_) | Report::Kept { .. } | Report::Rows { .. } | Report::Log(_) => None,
        })
    }

    fn line(&mut self, message: Message) -> String {
        self.until(|report| match report {
            Report::Log(line) if line.message == Some(message) => Some(line.text),
            Report::Opened(_)
            | Report::Kept { .. }
            | Report::Page(_)
            | Report::Rows { .. }
            | Report::Log(_) => None,
        })
    }
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("greyhound-keeper-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join(FILE)
    }

    fn keeper(&self) -> Heard {
        self.keeper_with_room(ROOM)
    }

    fn keeper_with_room(&self, room: usize) -> Heard {
        let (wake, woken) = channel();
        let wake = move || {
            let _ = wake.send(());
        };
        let keeper = Keeper::start_with_room(self.path(), room, wake).unwrap();
        Heard { keeper, woken }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

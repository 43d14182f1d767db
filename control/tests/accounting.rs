//! Accounting records when the process is killed, and when the disk is full.
//!
//! Each test runs itself again as the process that something happens to.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "what holds for tests holds for their helpers"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use greyhound_control::accounting::keeper::{Keeper, Report};
use greyhound_control::accounting::store::{FILE, Store};
use greyhound_control::accounting::{Authentic, Change, Numbers, Occasion, Opening};
use greyhound_control::cause::Cause;
use greyhound_control::log::Message;
use greyhound_datapath::ids::SessionId;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

#[test]
fn what_was_kept_before_the_process_is_killed_is_there_after_it() {
    if let Ok(path) = std::env::var(PATH) {
        return keep_until_killed(path.into(), &std::env::var(ROUND).unwrap());
    }
    let folder = Folder::new("killed");
    for round in 0..ROUNDS {
        let mut child = again(
            "what_was_kept_before_the_process_is_killed_is_there_after_it",
            &folder.path(),
            round,
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.by_ref().map(Result::unwrap);
        let first = { first }.find_map(|line| number(&line)).unwrap();
        // From at once to after many transactions and a checkpoint.
        thread::sleep(Duration::from_millis(round * round * 5));
        child.kill().unwrap();
        child.wait().unwrap();
        // What is in the pipe was said before.
        let rest = lines.map(Result::unwrap);
        let kept = rest.filter_map(|line| number(&line)).last();
        is_all_there(&folder.path(), round, kept.unwrap_or(first));
    }
}

/// Sessions that begin, are counted twice and end, each in four changes.
fn keep_until_killed(path: PathBuf, round: &str) {
    let (keeper, woken) = start(path);
    for number in 1.. {
        let session_id = format!("{round}-{}", (number - 1) / 4);
        let change = match (number - 1) % 4 {
            0 => began(session_id),
            3 => ended(session_id),
            step => counted(session_id, step),
        };
        keeper.keep(number, change);
        // Now a change alone, now many together.
        if number % 97 < 60 {
            let end = Instant::now() + PATIENCE;
            while say_kept(&keeper) < number {
                assert!(Instant::now() < end, "nothing is kept");
                let _ = woken.recv_timeout(PATIENCE);
            }
        }
    }
}

/// Says what is kept, and returns it.
fn say_kept(keeper: &Keeper) -> u64 {
    let mut kept = 0;
    while let Some(report) = keeper.poll() {
        if let Report::Kept { up_to } = report {
            kept = up_to;
            // One write: a line is there as a whole.
            let line = format!("{KEPT}{up_to}\n");
            stdout().write_all(line.as_bytes()).unwrap();
            stdout().flush().unwrap();
        }
    }
    kept
}

/// The changes that are there are the first ones, `kept` at least; no session of any round has
/// anything twice.
fn is_all_there(path: &Path, round: u64, kept: u64) {
    let now = SystemTime::now();
    let (store, opened) = Store::open(path, now).unwrap();
    assert_eq!(opened.moved_aside, None);
    let mut sessions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for pending in store.pending(0, usize::MAX, now).unwrap() {
        let (told, step) = match pending.event {
            Occasion::Start(told) => (told, 0),
            Occasion::Interim(told, numbers) => (told, numbers.rx_bytes),
            Occasion::Stop(told, ..) => (told, 3),
            other @ (Occasion::On(_) | Occasion::Off(_)) => panic!("{other:?}"),
        };
        sessions.entry(told.session_id).or_default().push(step);
    }
    for (session_id, steps) in &sessions {
        let expected = [0, 1, 2, 3].get(..steps.len());
        assert_eq!(Some(&steps[..]), expected, "{session_id}");
    }
    let ours: u64 = (0..)
        .map_while(|number| sessions.get(&format!("{round}-{number}")))
        .map(|steps| steps.len() as u64)
        .sum();
    assert!(ours >= kept, "round {round}: {ours} of {kept} are there");
    let of_round = format!("{round}-");
    let all = sessions.iter().filter(|(id, _)| id.starts_with(&of_round));
    let partial: Vec<_> = all
        .clone()
        .filter(|(_, steps)| steps.len() < 4)
        .map(|(id, _)| id.clone())
        .collect();
    assert!(partial.len() <= 1, "{partial:?}");
    assert_eq!(ours, all.map(|(_, steps)| steps.len() as u64).sum::<u64>());
    let unfinished = store.unfinished(now).unwrap();
    let unfinished = unfinished.into_iter().map(|one| one.session_id);
    let unfinished: Vec<_> = unfinished.filter(|id| id.starts_with(&of_round)).collect();
    assert_eq!(unfinished, partial);
}

#[test]
fn sessions_go_on_while_the_disk_is_full_and_all_is_kept_once_there_is_room() {
    if let Ok(path) = std::env::var(PATH) {
        return run_out_of_room(&PathBuf::from(path));
    }
    let folder = Folder::new("full");
    let child = again(
        "sessions_go_on_while_the_disk_is_full_and_all_is_kept_once_there_is_room",
        &folder.path(),
        0,
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// A limit of the size of files stands for the end of the disk.
fn run_out_of_room(path: &Path) {
    let signal = Signal::XFSZ.as_raw();
    signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).unwrap();
    let (keeper, woken) = start(path.to_owned());
    let next = || loop {
        if let Some(report) = keeper.poll() {
            return report;
        }
        woken.recv_timeout(PATIENCE).unwrap();
    };
    assert_eq!(next(), Report::Opened(Vec::new()));
    keeper.keep(1, began("0".to_owned()));
    assert_eq!(next(), Report::Kept { up_to: 1 });

    let wal = path.with_file_name(format!("{FILE}-wal"));
    let limit = getrlimit(Resource::Fsize);
    let current = Some(fs::metadata(wal).unwrap().len() + 10_000);
    setrlimit(Resource::Fsize, Rlimit { current, ..limit }).unwrap();
    let mut lines = Vec::new();
    for number in 2..=100 {
        keeper.keep(number, began(number.to_string()));
        loop {
            match next() {
                Report::Log(line) => lines.push(line),
                Report::Kept { up_to } => {
                    assert_eq!(up_to, number);
                    break;
                }
                other @ (Report::Opened(_) | Report::Page(_) | Report::Rows { .. }) => {
                    panic!("{other:?}")
                }
            }
        }
    }
    // What is kept can be read all the while.
    keeper.load(0, 1000);
    let page = loop {
        match next() {
            Report::Page(page) => break page,
            Report::Log(line) => lines.push(line),
            other @ (Report::Opened(_) | Report::Kept { .. } | Report::Rows { .. }) => {
                panic!("{other:?}")
            }
        }
    };
    assert!((1..100).contains(&page.len()), "{}", page.len());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].message, Some(Message::AccountingUnkept));
    let text = &lines[0].text;
    assert!(
        text.starts_with("accounting records cannot be kept: "),
        "{text}"
    );

    setrlimit(Resource::Fsize, limit).unwrap();
    let Report::Log(line) = next() else {
        panic!("nothing was said");
    };
    assert_eq!(line.message, Some(Message::AccountingKept));
    drop(keeper);
    let now = SystemTime::now();
    let (store, opened) = Store::open(path, now).unwrap();
    assert_eq!(opened.moved_aside, None);
    let pending = store.pending(0, 1000, now).unwrap();
    assert_eq!(pending.len(), 100);
}

fn start(path: PathBuf) -> (Keeper, Receiver<()>) {
    let (wake, woken) = channel();
    let keeper = Keeper::start(path, move || {
        let _ = wake.send(());
    });
    (keeper.unwrap(), woken)
}

/// This test once more, as a process of its own.
fn again(test: &str, path: &Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(PATH, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn number(line: &str) -> Option<u64> {
    // The harness has begun the line.
    let (_, number) = line.split_once(KEPT)?;
    number.parse().ok()
}

fn began(session_id: String) -> Change {
    Change::Began(Box::new(Opening {
        session_id,
        datapath: SessionId(7),
        identity: "here".to_owned(),
        port: 31292,
        user: "ann".to_owned(),
        caller: Ipv4Addr::new(192, 0, 2, 1),
        called: Ipv4Addr::new(198, 51, 100, 1),
        address: Ipv4Addr::new(10, 0, 0, 5),
        interface: "<pptp-ann>".to_owned(),
        authentic: Authentic::Radius,
        classes: vec![b"class".to_vec()],
        is_told: true,
        at: Instant::now(),
    }))
}

fn counted(session_id: String, rx_bytes: u64) -> Change {
    Change::Counted {
        session_id,
        at: Instant::now(),
        numbers: Numbers {
            rx_bytes,
            ..Numbers::default()
        },
        is_interim: true,
    }
}

fn ended(session_id: String) -> Change {
    Change::Ended {
        session_id,
        at: Some(Instant::now()),
        numbers: None,
        cause: Cause::HungUp,
    }
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("greyhound-accounting-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join(FILE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PATH: &str = "GREYHOUND_TEST_PATH";
const ROUND: &str = "GREYHOUND_TEST_ROUND";
const ROUNDS: u64 = 12;
const KEPT: &str = "kept: ";
const PATIENCE: Duration = Duration::from_secs(60);

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::time::{Instant, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::accounting::reader::{Reader, Row};
use crate::accounting::{Authentic, Numbers};

#[test]
fn what_radius_is_to_be_told_is_there_after_a_restart_in_order() {
    let folder = Folder::new("order");
    let mut store = folder.store();
    let sixty = numbers(60);
    store
        .apply(&[
            (at(0), switched(true)),
            (at(1), began("a", true)),
            (at(61), counted("a", sixty, true)),
            (at(90), ended("a", Some(numbers(89)), Cause::HungUp)),
            (at(91), switched(false)),
        ])
        .unwrap();
    drop(store);

    let store = folder.store();
    let pending = store.pending(0, 100, at(100)).unwrap();
    let told = Box::new(told("a"));
    let events: Vec<_> = pending.iter().map(|one| one.event.clone()).collect();
    assert_eq!(
        events,
        [
            Occasion::On("here".to_owned()),
            Occasion::Start(told.clone()),
            Occasion::Interim(told.clone(), sixty),
            Occasion::Stop(told, numbers(89), Cause::HungUp),
            Occasion::Off("here".to_owned()),
        ]
    );
    let ages: Vec<_> = pending.iter().map(|one| one.age.as_secs()).collect();
    assert_eq!(ages, [100, 99, 39, 10, 9]);
    assert_eq!(pending[1].timestamp, EPOCH + 1);
    assert!(pending.is_sorted_by_key(|one| one.id));
}

#[test]
fn what_radius_has_confirmed_is_not_told_again() {
    let folder = Folder::new("delivered");
    let mut store = folder.store();
    store
        .apply(&[(at(0), began("a", true)), (at(1), began("b", true))])
        .unwrap();
    let first = store.pending(0, 1, at(2)).unwrap();
    let rest = store.pending(first[0].id, 100, at(2)).unwrap();
    assert_eq!((first.len(), rest.len()), (1, 1));
    store.delivered(&[first[0].id, 12345]).unwrap();
    drop(store);
    let mut store = folder.store();
    assert_eq!(store.pending(0, 100, at(2)).unwrap(), rest);

    // A number is not given twice, or a confirmation that comes late would take another record.
    store.delivered(&[rest[0].id]).unwrap();
    drop(store);
    let mut store = folder.store();
    store.apply(&[(at(3), began("c", true))]).unwrap();
    assert!(store.pending(0, 1, at(4)).unwrap()[0].id > rest[0].id);
}

#[test]
fn a_session_that_radius_is_not_told_of_is_kept_all_the_same() {
    let folder = Folder::new("untold");
    let mut store = folder.store();
    store
        .apply(&[
            (at(0), began("a", false)),
            (at(5), counted("a", numbers(5), true)),
            (at(9), ended("a", Some(numbers(9)), Cause::PeerRequest)),
        ])
        .unwrap();
    assert_eq!(store.pending(0, 100, at(10)).unwrap(), []);
    let rows = folder.rows(true);
    let expected = Row {
        session_id: "a".to_owned(),
        user: "ann".to_owned(),
        caller: CALLER,
        called: CALLED,
        address: ADDRESS,
        interface: "<pptp-ann>".to_owned(),
        authentic: Authentic::Radius,
        began: at(0),
        ended: Some(at(9)),
        numbers: numbers(9),
        cause: Some(Cause::PeerRequest),
        is_pending: false,
    };
    assert_eq!(rows, [expected]);
}

#[test]
fn counting_alone_tells_radius_nothing() {
    let folder = Folder::new("counting");
    let mut store = folder.store();
    store
        .apply(&[
            (at(0), began("a", true)),
            (at(5), counted("a", numbers(5), false)),
        ])
        .unwrap();
    assert_eq!(store.pending(0, 100, at(10)).unwrap().len(), 1);
    let row = &folder.rows(true)[0];
    assert_eq!(
        (row.numbers, row.ended, row.cause),
        (numbers(5), None, None)
    );
    assert!(row.is_pending);
}

#[test]
fn an_end_of_which_nothing_is_known_is_what_was_counted_last() {
    let folder = Folder::new("unknown");
    let mut store = folder.store();
    store
        .apply(&[
            (at(0), began("a", true)),
            (at(5), counted("a", numbers(5), false)),
            (at(0), began("b", true)),
        ])
        .unwrap();
    let end = |session_id: &str| Change::Ended {
        session_id: session_id.to_owned(),
        at: None,
        numbers: None,
        cause: Cause::Crash,
    };
    store
        .apply(&[(at(70), end("a")), (at(70), end("b"))])
        .unwrap();
    let pending = store.pending(0, 100, at(100)).unwrap();
    assert_eq!(pending.len(), 4);
    let stops = [("a", numbers(5), 95), ("b", Numbers::default(), 100)];
    for (pending, (name, numbers, age)) in pending[2..].iter().zip(stops) {
        let stop = Occasion::Stop(Box::new(told(name)), numbers, Cause::Crash);
        assert_eq!((&pending.event, pending.age.as_secs()), (&stop, age));
    }
    assert_eq!(folder.rows(false)[0].ended, Some(at(5)));
}

#[test]
fn what_is_about_no_session_is_counted_and_holds_up_nothing() {
    let folder = Folder::new("nothing");
    let mut store = folder.store();
    let ignored = store
        .apply(&[
            (at(0), counted("a", numbers(1), true)),
            (at(0), ended("a", None, Cause::HungUp)),
            (at(1), began("a", true)),
            (at(2), began("a", true)),
            (at(3), ended("a", None, Cause::HungUp)),
            (at(4), ended("a", None, Cause::Crash)),
            (at(5), counted("a", numbers(1), true)),
            (at(6), began("a", true)),
        ])
        .unwrap();
    assert_eq!(ignored, 4);
    let pending = store.pending(0, 100, at(10)).unwrap();
    assert_eq!(pending.len(), 2);
    assert!(matches!(
        pending[1].event,
        Occasion::Stop(_, _, Cause::HungUp)
    ));
    assert_eq!(store.unfinished(at(9)).unwrap(), []);
}

#[test]
fn sessions_without_an_end_are_found() {
    let folder = Folder::new("unfinished");
    let mut store = folder.store();
    store
        .apply(&[
            (at(0), began("a", true)),
            (at(1), began("b", false)),
            (at(2), began("c", true)),
            (at(3), ended("a", None, Cause::HungUp)),
        ])
        .unwrap();
    drop(store);
    let unfinished = folder.store().unfinished(at(10)).unwrap();
    let expected = |name: &str, age| Unfinished {
        session_id: name.to_owned(),
        datapath: SessionId(7),
        caller: CALLER,
        age: Duration::from_secs(age),
    };
    assert_eq!(unfinished, [expected("b", 9), expected("c", 8)]);
    // The clock was set back meanwhile.
    assert_eq!(
        folder.store().unfinished(UNIX_EPOCH).unwrap()[0].age,
        Duration::ZERO
    );
}

#[test]
fn rows_come_in_either_order_until_there_are_enough() {
    let folder = Folder::new("rows");
    let mut store = folder.store();
    for name in ["a", "b", "c"] {
        store.apply(&[(at(0), began(name, true))]).unwrap();
    }
    let names = |newest_first, enough| {
        let mut names = String::new();
        let reader = Reader::open(store.path()).unwrap();
        reader
            .for_each(newest_first, &mut |row| {
                names += &row.session_id;
                if names.len() == enough {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        names
    };
    assert_eq!(names(true, 9), "cba");
    assert_eq!(names(false, 9), "abc");
    assert_eq!(names(true, 2), "cb");
}

#[test]
fn who_reads_holds_up_nobody_and_sees_what_was_there_when_it_began() {
    let folder = Folder::new("reading");
    let mut store = folder.store();
    for name in ["a", "b"] {
        store.apply(&[(at(0), began(name, true))]).unwrap();
    }
    let mut seen = 0;
    let reader = Reader::open(store.path()).unwrap();
    reader
        .for_each(false, &mut |_| {
            seen += 1;
            let new = [(at(1), began(&format!("new{seen}"), true))];
            store.apply(&new).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, 2);
    assert_eq!(folder.rows(true).len(), 4);
}

#[test]
fn the_file_is_for_nobody_else_to_read() {
    let folder = Folder::new("mode");
    let path = folder.path();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = folder.store();
    store.apply(&[(at(0), began("a", true))]).unwrap();
    assert_eq!(
        folder.names(),
        [FILE, &format!("{FILE}-shm"), &format!("{FILE}-wal")]
    );
    for name in folder.names() {
        let mode = fs::metadata(folder.0.join(&name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn each_commit_is_on_the_disk_when_it_is_told() {
    let folder = Folder::new("pragmas");
    let store = folder.store();
    fn pragma<T: rusqlite::types::FromSql>(store: &Store, name: &str) -> T {
        let value = store.db.pragma_query_value(None, name, |row| row.get(0));
        value.unwrap()
    }
    assert_eq!(pragma::<String>(&store, "journal_mode"), "wal");
    assert_eq!(pragma::<i64>(&store, "synchronous"), 2);
    assert_eq!(pragma::<i64>(&store, "foreign_keys"), 1);
}

#[test]
fn the_log_beside_the_file_does_not_grow_without_bound() {
    let folder = Folder::new("wal");
    let mut store = folder.store();
    store.sync_less().unwrap();
    for round in 0..60 {
        let many: Vec<_> = (0..500)
            .map(|number| (at(0), began(&format!("{round}-{number}"), true)))
            .collect();
        store.apply(&many).unwrap();
    }
    let wal = fs::metadata(folder.0.join(format!("{FILE}-wal"))).unwrap();
    assert!(wal.len() < 33 << 20, "{}", wal.len());
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let folder = Folder::new("later");
    let store = folder.store();
    store.db.pragma_update(None, "user_version", 2).unwrap();
    drop(store);
    let error = Store::open(&folder.path(), at(0)).unwrap_err();
    assert!(matches!(error, Error::Later(2)), "{error}");
    assert!(!error.is_corruption());
    assert_eq!(folder.names(), [FILE]);
}

#[test]
fn a_file_of_another_program_is_moved_aside() {
    let folder = Folder::new("foreign");
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(other);
    folder.is_moved_aside();
}

#[test]
fn what_is_no_database_is_moved_aside() {
    for (name, content) in [("short", &b"x"[..]), ("long", &[b'x'; 100_000])] {
        let folder = Folder::new(name);
        fs::write(folder.path(), content).unwrap();
        folder.is_moved_aside();
        let aside = folder.0.join(format!("{FILE}.corrupt-{EPOCH}"));
        assert_eq!(fs::read(aside).unwrap(), content);
    }
}

#[test]
fn a_log_without_its_file_is_moved_aside_and_not_deleted() {
    let folder = Folder::new("log-alone");
    let mut store = folder.store();
    store.apply(&[(at(0), began("a", true))]).unwrap();
    std::mem::forget(store);
    let wal = folder.0.join(format!("{FILE}-wal"));
    let log = fs::read(&wal).unwrap();
    fs::remove_file(folder.path()).unwrap();
    folder.is_moved_aside();
    let aside = folder.0.join(format!("{FILE}.corrupt-{EPOCH}-wal"));
    assert_eq!(fs::read(aside).unwrap(), log);
}

#[test]
fn a_folder_in_the_place_of_the_file_is_moved_aside() {
    let folder = Folder::new("folder");
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("note"), "x").unwrap();
    folder.is_moved_aside();
}

#[test]
fn a_damaged_header_is_found_at_the_start() {
    let folder = Folder::new("header");
    folder.fill();
    folder.overwrite(0, &[0xa5; 100]);
    folder.is_moved_aside();
}

#[test]
fn a_file_cut_short_is_found_at_the_start_or_when_it_matters() {
    for length in [3, 512, 4096, 10_000, 50_000] {
        let folder = Folder::new("cut");
        folder.fill();
        let file = File::options().write(true).open(folder.path()).unwrap();
        assert!(file.metadata().unwrap().len() > length);
        file.set_len(length).unwrap();
        folder.is_moved_aside_in_time();
    }
}

#[test]
fn a_damaged_page_is_found_at_the_start_or_when_it_matters() {
    let whole = Folder::new("whole");
    whole.fill();
    let pages = fs::metadata(whole.path()).unwrap().len() / 4096;
    assert!(pages > 20);
    let mut found_at_start = 0;
    for page in 1..pages {
        let folder = Folder::new("page");
        fs::copy(whole.path(), folder.path()).unwrap();
        folder.overwrite(page * 4096, &[0xa5; 4096]);
        found_at_start += u32::from(folder.is_moved_aside_in_time());
    }
    assert!(found_at_start > 0);
}

#[test]
fn the_log_of_a_damaged_file_goes_with_it() {
    let folder = Folder::new("aside");
    let mut store = folder.store();
    store.apply(&[(at(0), began("a", true))]).unwrap();
    // As if it had been killed: the log is left.
    std::mem::forget(store);
    folder.overwrite(0, &[0xa5; 4096]);
    let wal = folder.0.join(format!("{FILE}-wal"));
    let length = fs::metadata(&wal).unwrap().len();
    assert!(length > 0);
    // The log has the header, too.
    folder.overwrite_file(&wal, 0, &[0xa5; 4096]);
    folder.is_moved_aside();
    let aside = folder.0.join(format!("{FILE}.corrupt-{EPOCH}-wal"));
    assert_eq!(fs::metadata(aside).unwrap().len(), length);
}

#[test]
fn two_files_moved_aside_in_the_same_second_are_both_left() {
    let folder = Folder::new("twice");
    for content in ["one", "two"] {
        fs::write(folder.path(), content).unwrap();
        drop(Store::open(&folder.path(), at(0)).unwrap());
    }
    for (seconds, content) in [(EPOCH, "one"), (EPOCH + 1, "two")] {
        let aside = folder.0.join(format!("{FILE}.corrupt-{seconds}"));
        assert_eq!(fs::read_to_string(aside).unwrap(), content);
    }
}

#[test]
fn a_full_disk_keeps_all_of_a_batch_or_nothing_and_is_no_damage() {
    let folder = Folder::new("full");
    let mut store = folder.store();
    store.apply(&[(at(0), began("a", true))]).unwrap();
    let pages: i64 = store
        .db
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    store
        .db
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let many: Vec<_> = (0..1000)
        .map(|number| (at(1), began(&format!("many{number}"), true)))
        .collect();
    let error = store.apply(&many).unwrap_err();
    assert!(!error.is_corruption(), "{error}");
    assert_eq!(folder.rows(true).len(), 1);

    store
        .db
        .pragma_update(None, "max_page_count", 1 << 30)
        .unwrap();
    store.apply(&many).unwrap();
    assert_eq!(folder.rows(true).len(), 1001);
}

#[test]
fn sessions_that_ended_too_long_ago_go_with_what_was_not_told_of_them() {
    let folder = Folder::new("old");
    let mut store = folder.store();
    for (name, end) in [("a", 10), ("b", 20), ("c", 30)] {
        store
            .apply(&[
                (at(0), began(name, true)),
                (at(end), ended(name, None, Cause::HungUp)),
            ])
            .unwrap();
    }
    store.apply(&[(at(0), began("up", true))]).unwrap();
    let keep_for = Some(Duration::from_secs(80));
    let pruned = store.prune(at(105), keep_for, None).unwrap();
    let expected = Pruned {
        sessions: 2,
        given_up: 4,
        is_more: false,
    };
    assert_eq!(pruned, expected);
    let names: Vec<_> = folder
        .rows(false)
        .into_iter()
        .map(|row| row.session_id)
        .collect();
    assert_eq!(names, ["c", "up"]);
    assert_eq!(store.pending(0, 100, at(105)).unwrap().len(), 3);
    assert_eq!(
        store.prune(at(105), keep_for, None).unwrap(),
        Pruned::default()
    );
}

#[test]
fn what_is_about_no_session_and_interims_do_not_wait_for_ever() {
    let folder = Folder::new("old-switched");
    let mut store = folder.store();
    store
        .apply(&[
            (at(0), switched(false)),
            (at(0), began("a", true)),
            (at(1), counted("a", numbers(1), true)),
            (at(2), switched(true)),
            (at(50), counted("a", numbers(50), true)),
            (at(50), switched(true)),
        ])
        .unwrap();
    let keep_for = Some(Duration::from_secs(80));
    let given_up = |store: &mut Store, now| store.prune(at(now), keep_for, None).unwrap().given_up;
    assert_eq!(given_up(&mut store, 100), 3);
    let left = store.pending(0, 100, at(100)).unwrap();
    assert_eq!(left.len(), 3);
    assert!(matches!(left[0].event, Occasion::Start(_)));
    assert_eq!(given_up(&mut store, 120), 0);
    assert_eq!(given_up(&mut store, 131), 2);
    assert_eq!(store.pending(0, 100, at(100)).unwrap().len(), 1);
}

#[test]
fn sessions_that_are_too_many_go_unless_radius_is_to_be_told_of_them() {
    let folder = Folder::new("many");
    let mut store = folder.store();
    for number in 0..10 {
        let name = format!("{number}");
        store
            .apply(&[
                (at(0), began(&name, number == 0)),
                (at(number + 1), ended(&name, None, Cause::HungUp)),
            ])
            .unwrap();
    }
    store.apply(&[(at(0), began("up", false))]).unwrap();
    let pruned = store.prune(at(20), None, Some(4)).unwrap();
    assert_eq!((pruned.sessions, pruned.given_up), (6, 0));
    let names = |folder: &Folder| -> Vec<String> {
        folder
            .rows(false)
            .into_iter()
            .map(|row| row.session_id)
            .collect()
    };
    assert_eq!(names(&folder), ["0", "7", "8", "9", "up"]);
    // Also of those that ended since.
    store
        .apply(&[(at(30), ended("up", None, Cause::HungUp))])
        .unwrap();
    assert_eq!(store.prune(at(40), None, Some(4)).unwrap().sessions, 1);
    let ids: Vec<_> = store
        .pending(0, 9, at(40))
        .unwrap()
        .iter()
        .map(|one| one.id)
        .collect();
    store.delivered(&ids).unwrap();
    assert_eq!(store.prune(at(40), None, Some(3)).unwrap().sessions, 1);
    assert_eq!(names(&folder), ["8", "9", "up"]);
}

#[test]
fn much_goes_in_many_short_transactions() {
    let folder = Folder::new("pieces");
    let mut store = folder.store();
    store.sync_less().unwrap();
    let many = (0..2500).flat_map(|number| {
        let name = format!("{number}");
        [
            (at(0), began(&name, false)),
            (at(1), ended(&name, None, Cause::HungUp)),
        ]
    });
    store.apply(&many.collect::<Vec<_>>()).unwrap();
    let (mut calls, mut sessions) = (0, 0);
    loop {
        let pruned = store
            .prune(at(100), Some(Duration::from_secs(10)), Some(100))
            .unwrap();
        calls += 1;
        sessions += pruned.sessions;
        if !pruned.is_more {
            break;
        }
    }
    assert_eq!((calls, sessions), (3, 2500));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_value_comes_back_as_it_was(
        texts in proptest::collection::vec(".*", 4),
        classes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4),
        bits: [u32; 5],
        counts: [u64; 4],
        seconds in 0_u64..=u64::MAX >> 12,
        is_local: bool,
    ) {
        let opening = Opening {
            session_id: texts[0].clone(),
            datapath: SessionId(bits[3]),
            identity: texts[1].clone(),
            port: bits[4],
            user: texts[2].clone(),
            caller: Ipv4Addr::from_bits(bits[0]),
            called: Ipv4Addr::from_bits(bits[1]),
            address: Ipv4Addr::from_bits(bits[2]),
            interface: texts[3].clone(),
            authentic: if is_local { Authentic::Local } else { Authentic::Radius },
            classes: classes.clone(),
            is_told: true,
            at: instant(),
        };
        let numbers = Numbers {
            duration: Duration::from_secs(seconds),
            rx_bytes: counts[0],
            tx_bytes: counts[1],
            rx_packets: counts[2],
            tx_packets: counts[3],
        };
        let folder = Folder::new("values");
        let mut store = folder.store();
        store.apply(&[
            (at(0), Change::Began(Box::new(opening.clone()))),
            (at(1), counted(&texts[0], numbers, true)),
        ]).unwrap();
        prop_assert_eq!(store.unfinished(at(0)).unwrap()[0].datapath, opening.datapath);
        let told = Told {
            session_id: opening.session_id,
            identity: opening.identity,
            port: opening.port,
            user: opening.user,
            caller: opening.caller,
            called: opening.called,
            address: opening.address,
            interface: opening.interface,
            authentic: opening.authentic,
            classes,
        };
        let pending = store.pending(0, 9, at(1)).unwrap();
        prop_assert_eq!(&pending[1].event, &Occasion::Interim(Box::new(told), numbers));
        prop_assert_eq!(folder.rows(true)[0].numbers, numbers);
    }
}

/// How many sessions make a file of some pages.
const FILLED: u32 = 400;
const EPOCH: u64 = 1_800_000_000;
const CALLER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CALLED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

/// So many seconds after the beginning of the test.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(EPOCH + seconds)
}

/// The store takes the times of day that stand beside the changes.
#[expect(clippy::disallowed_methods, reason = "no test looks at it")]
fn instant() -> Instant {
    Instant::now()
}

fn numbers(seconds: u64) -> Numbers {
    Numbers {
        duration: Duration::from_secs(seconds),
        rx_bytes: seconds << 32,
        tx_bytes: seconds * 1000,
        rx_packets: seconds * 10,
        tx_packets: seconds,
    }
}

fn began(session_id: &str, is_told: bool) -> Change {
    Change::Began(Box::new(Opening {
        session_id: session_id.to_owned(),
        datapath: SessionId(7),
        identity: "here".to_owned(),
        port: 31292,
        user: "ann".to_owned(),
        caller: CALLER,
        called: CALLED,
        address: ADDRESS,
        interface: "<pptp-ann>".to_owned(),
        authentic: Authentic::Radius,
        classes: vec![b"one".to_vec(), Vec::new(), b"three".to_vec()],
        is_told,
        at: instant(),
    }))
}

fn told(session_id: &str) -> Told {
    Told {
        session_id: session_id.to_owned(),
        identity: "here".to_owned(),
        port: 31292,
        user: "ann".to_owned(),
        caller: CALLER,
        called: CALLED,
        address: ADDRESS,
        interface: "<pptp-ann>".to_owned(),
        authentic: Authentic::Radius,
        classes: vec![b"one".to_vec(), Vec::new(), b"three".to_vec()],
    }
}

fn counted(session_id: &str, numbers: Numbers, is_interim: bool) -> Change {
    Change::Counted {
        session_id: session_id.to_owned(),
        at: instant(),
        numbers,
        is_interim,
    }
}

fn ended(session_id: &str, numbers: Option<Numbers>, cause: Cause) -> Change {
    Change::Ended {
        session_id: session_id.to_owned(),
        at: Some(instant()),
        numbers,
        cause,
    }
}

fn switched(is_on: bool) -> Change {
    Change::Switched {
        identity: "here".to_owned(),
        at: instant(),
        is_on,
    }
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("greyhound-accounting-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// Opens what is of use, or new.
    fn store(&self) -> Store {
        let (store, opened) = Store::open(&self.path(), at(0)).unwrap();
        assert_eq!(opened, Opened::default());
        store
    }

    fn rows(&self, newest_first: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        let reader = Reader::open(&self.path()).unwrap();
        reader
            .for_each(newest_first, &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A store with many sessions, closed.
    fn fill(&self) {
        let mut store = self.store();
        let many: Vec<_> = (0..FILLED)
            .map(|number| (at(0), began(&format!("{number}"), true)))
            .collect();
        store.apply(&many).unwrap();
    }

    fn overwrite(&self, offset: u64, bytes: &[u8]) {
        self.overwrite_file(&self.path(), offset, bytes);
    }

    fn overwrite_file(&self, path: &Path, offset: u64, bytes: &[u8]) {
        let mut file = File::options().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// What is there is moved aside at the start, and the new one works.
    fn is_moved_aside(&self) {
        let (mut store, opened) = Store::open(&self.path(), at(0)).unwrap();
        let aside = self.0.join(format!("{FILE}.corrupt-{EPOCH}"));
        assert!(aside.exists());
        assert_eq!(opened.moved_aside.unwrap().0, aside);
        store.apply(&[(at(0), began("new", true))]).unwrap();
        assert_eq!(store.pending(0, 9, at(0)).unwrap().len(), 1);
    }

    /// What is there is moved aside at the start, or nothing that is done with it does harm: damage
    /// that is met is told as such. Returns whether it was met at the start.
    fn is_moved_aside_in_time(&self) -> bool {
        let (mut store, opened) = Store::open(&self.path(), at(0)).unwrap();
        if opened.moved_aside.is_some() {
            return true;
        }
        let ends = (0..FILLED).map(|number| {
            let end = ended(&format!("{number}"), None, Cause::HungUp);
            store.apply(&[(at(1), end)]).map(|_| ())
        });
        let ends: Vec<_> = ends.collect();
        let read = store.pending(0, 10_000, at(1)).map(|_| ());
        let errors: Vec<_> = ends
            .into_iter()
            .chain([read])
            .filter_map(Result::err)
            .collect();
        for error in &errors {
            assert!(error.is_corruption(), "{error}");
        }
        let aside = store.move_aside(at(0)).unwrap();
        assert!(aside.exists());
        assert_eq!(self.store().pending(0, 9, at(0)).unwrap(), []);
        false
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! Very many accounting records: how long keeping one more takes, beside what the disk takes for as
//! many bytes, and how long starting and looking at them take.
//!
//! The store is used in this process, as the thread does that has it. A commit and a write of the
//! disk take turns, so that whatever else the disk is busy with disturbs both.

use std::fs::{self, File};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::Args;
use greyhound_control::accounting::reader::Reader;
use greyhound_control::accounting::store::{FILE, Store};
use greyhound_control::accounting::{Authentic, Change, Numbers, Opening};
use greyhound_control::cause::Cause;
use greyhound_datapath::ids::SessionId;
use greyhound_tests::scratch::Scratch;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::common::Common;
use crate::rows::Rows;
use crate::timing::now;

/// `greyhound-bench accounting`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many sessions are stored; one in a hundred is up, and RADIUS is still to be told of it.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u32,
}

/// What the store as a whole takes.
#[derive(Debug, Serialize)]
struct Whole {
    bench: &'static str,
    sessions: u32,
    /// Opening it, with what has no end and the first page of what RADIUS is to be told.
    start_ms: f64,
    /// 1000 records that RADIUS is to be told.
    page_ms: f64,
    /// The newest 1000 sessions.
    newest_ms: f64,
    /// All sessions, none of which is wanted.
    all_ms: f64,
    file_mib: f64,
    /// What this process grew by for the store, after all of it was read.
    memory_mib: f64,
}

/// What keeping one more takes.
#[derive(Debug, Serialize)]
struct Keeping {
    bench: &'static str,
    /// What is on the disk when it is said to be kept survives a crash of the machine (full) or of
    /// the process (normal).
    sync: &'static str,
    /// How many changes are kept together.
    batch: u64,
    commits: u64,
    /// That a commit writes, on average.
    bytes: usize,
    p50_us: f64,
    p99_us: f64,
    /// As many bytes, written and synced with nothing else.
    floor_p50_us: f64,
    floor_p99_us: f64,
    p99_to_floor: f64,
}

pub(crate) fn run(options: &Options, rows: &mut Rows) -> Result<()> {
    let folder = Scratch::new("accounting")?;
    let before = memory_mib()?;
    let mut store = open(&folder)?;
    fill(&mut store, options.sessions)?;
    drop(store);

    let mut starts = Vec::new();
    for _ in 0..ROUNDS {
        let began = now();
        let store = open(&folder)?;
        let unfinished = store.unfinished(time(0))?;
        let page = store.pending(0, 100, time(0))?;
        starts.push(began.elapsed());
        ensure!(unfinished.len() == options.sessions.div_ceil(UP) as usize);
        ensure!(!page.is_empty());
    }

    let mut store = open(&folder)?;
    let mut pages = Vec::new();
    let (mut newest, mut all) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = now();
        black_box(store.pending(0, 1000, time(0))?);
        pages.push(began.elapsed());
        newest.push(print(&folder, 1000)?);
        all.push(print(&folder, u32::MAX)?);
    }
    rows.push(&Whole {
        bench: "accounting",
        sessions: options.sessions,
        start_ms: median_ms(starts),
        page_ms: median_ms(pages),
        newest_ms: median_ms(newest),
        all_ms: median_ms(all),
        file_mib: fs::metadata(folder.file(FILE))?.len() as f64 / MIB,
        memory_mib: memory_mib()? - before,
    })?;

    let share = options.common.time(DEFAULT_SECONDS) / 4;
    let mut disk = Disk::new(&folder)?;
    let mut keeping = Vec::new();
    for sync in ["full", "normal"] {
        if sync == "normal" {
            store.sync_less()?;
        }
        for batch in [1, 100] {
            keeping.push(keep(&mut store, &mut disk, sync, batch, share)?);
        }
    }
    rows.push_all(&keeping)
}

fn open(folder: &Scratch) -> Result<Store> {
    let (store, opened) = Store::open(&folder.file(FILE), time(0))?;
    ensure!(opened.moved_aside.is_none());
    Ok(store)
}

/// Sessions that have ended, and every hundredth that has not.
fn fill(store: &mut Store, sessions: u32) -> Result<()> {
    let numbers: Vec<_> = (0..sessions).collect();
    for numbers in numbers.chunks(FILLED_AT_ONCE) {
        let mut batch = Vec::new();
        for &number in numbers {
            let is_up = number.is_multiple_of(UP);
            let name = format!("filled-{number}");
            batch.push((time(u64::from(number)), began(&name, number, is_up)));
            if !is_up {
                batch.push((time(u64::from(number) + 1), ended(&name)));
            }
        }
        store.apply(&batch)?;
    }
    Ok(())
}

/// Sessions begin and end as RADIUS is to be told of it, `batch` changes at a time.
fn keep(
    store: &mut Store,
    disk: &mut Disk,
    sync: &'static str,
    batch: u64,
    share: Duration,
) -> Result<Keeping> {
    let mut changes = changes(sync, batch);
    let mut next = || -> Vec<_> {
        let taken = changes.by_ref().take(usize::try_from(batch).unwrap_or(1));
        taken.collect()
    };
    let before = written()?;
    for _ in 0..WARMING_UP {
        store.apply(&next())?;
    }
    let bytes = usize::try_from((written()? - before) / WARMING_UP)?;

    let mut commits = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 3)?;
    let mut floor = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 3)?;
    let end = now() + share;
    while now() < end {
        let batch = next();
        let began = now();
        store.apply(&batch)?;
        commits.saturating_record(ns(began.elapsed()));
        floor.saturating_record(ns(disk.write(bytes)?));
    }
    let us = |histogram: &Histogram<u64>, quantile| {
        histogram.value_at_quantile(quantile) as f64 / 1000.0
    };
    Ok(Keeping {
        bench: "accounting-keeping",
        sync,
        batch,
        commits: commits.len(),
        bytes,
        p50_us: us(&commits, 0.5),
        p99_us: us(&commits, 0.99),
        floor_p50_us: us(&floor, 0.5),
        floor_p99_us: us(&floor, 0.99),
        p99_to_floor: us(&commits, 0.99) / us(&floor, 0.99),
    })
}

/// Beginnings and ends in turns.
fn changes(sync: &'static str, batch: u64) -> impl Iterator<Item = (SystemTime, Change)> {
    (0_u32..).flat_map(move |number| {
        let name = format!("{sync}-{batch}-{number}");
        let at = time(2_000_000 + u64::from(number));
        [(at, began(&name, number, true)), (at, ended(&name))]
    })
}

/// A file as long as the log of the store becomes, written from begin to end again and again.
struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    fn new(folder: &Scratch) -> Result<Self> {
        let file = File::create(folder.file("floor"))?;
        file.write_all_at(&vec![0xff; LOG], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    fn write(&mut self, bytes: usize) -> Result<Duration> {
        let data = vec![self.at.to_le_bytes()[0]; bytes];
        if self.at + bytes as u64 > LOG as u64 {
            self.at = 0;
        }
        let began = now();
        self.file.write_all_at(&data, self.at)?;
        self.file.sync_data()?;
        let took = began.elapsed();
        self.at += bytes as u64;
        Ok(took)
    }
}

/// Reads sessions as the console does, the newest first.
fn print(folder: &Scratch, most: u32) -> Result<Duration> {
    let began = now();
    let reader = Reader::open(&folder.file(FILE))?;
    let mut count = 0;
    reader.for_each(true, &mut |row| {
        black_box(row);
        count += 1;
        if count == most {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(began.elapsed())
}

fn began(session_id: &str, number: u32, is_told: bool) -> Change {
    Change::Began(Box::new(Opening {
        session_id: session_id.to_owned(),
        datapath: SessionId(number % 60_000),
        identity: "concentrator".to_owned(),
        port: number,
        user: format!("customer{}@example.org", number % 20_000),
        caller: Ipv4Addr::from_bits(0xc000_0200 | (number % 256)),
        called: Ipv4Addr::new(198, 51, 100, 1),
        address: Ipv4Addr::from_bits(0x0a40_0000 | (number % 65_536)),
        interface: format!("<pptp-customer{}>", number % 20_000),
        authentic: Authentic::Radius,
        classes: vec![vec![0x5a; 32]],
        is_told,
        at: now(),
    }))
}

fn ended(session_id: &str) -> Change {
    Change::Ended {
        session_id: session_id.to_owned(),
        at: Some(now()),
        numbers: Some(Numbers {
            duration: Duration::from_secs(3600),
            rx_bytes: 123_456_789,
            tx_bytes: 9_876_543_210,
            rx_packets: 1_234_567,
            tx_packets: 7_654_321,
        }),
        cause: Cause::PeerRequest,
    }
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Bytes that this process has written so far.
fn written() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.context("no wchar")?.parse()?)
}

/// Of this process.
fn memory_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("no VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

const UP: u32 = 100;
const ROUNDS: usize = 5;
const WARMING_UP: u64 = 100;
const FILLED_AT_ONCE: usize = 10_000;
const LONGEST_NS: u64 = 60_000_000_000;
const LOG: usize = 16 << 20;
const MIB: f64 = 1_048_576.0;
const DEFAULT_SECONDS: u64 = 40;

//! A keeper in a thread, a client, and programs that write down how they are called.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use greyhound_datapath::ipc::seqpacket::{Channel, Listener};
use mio::{Events, Poll, Token};

use super::client::Client;
use super::keeper::{Keeper, Options};
use super::resolver::Places;
use super::*;
use crate::log::{Field, Line, Log, Message};

#[test]
fn servers_are_set_and_reverted_and_each_time_it_is_written_down_before() {
    let mut world = World::start(&[RESOLVCONF, "cat DIR/dns.json >> DIR/calls"]);
    world.set(setting("out1", &[1, 2], false));
    let lines = world.lines(1);
    assert_eq!(lines[0].text, "one: using DNS servers 10.0.0.1,10.0.0.2");
    assert_eq!(lines[0].message, Some(Message::DnsUsed));
    assert_eq!(lines[0].field(Field::Interface), Some("one"));
    assert_eq!(lines[0].field(Field::KernelName), Some("out1"));
    let calls = world.calls();
    let set = calls.find("resolvconf -a out1.greyhound").unwrap();
    assert!(calls[set..].starts_with(
        "resolvconf -a out1.greyhound\n< nameserver 10.0.0.1\n< nameserver 10.0.0.2\n{"
    ));
    assert!(
        calls[set..].contains("\"record\": \"out1.greyhound\""),
        "{calls}"
    );
    world.revert("out1");
    world.wait_until_nothing_is_held();
    assert!(world.calls().contains("resolvconf -d out1.greyhound\n"));
    world.end();
}

#[test]
fn of_several_requests_the_last_one_holds() {
    let mut world = World::start(&[RESOLVCONF, "sleep 0.2"]);
    for last in 1..=20 {
        world.set(setting("out1", &[last], false));
    }
    world.revert("out2");
    let lines = world.lines(1);
    assert_eq!(lines[0].text, "one: using DNS servers 10.0.0.20");
    let calls = world.calls();
    assert!(calls.ends_with("< nameserver 10.0.0.20\n"), "{calls}");
    assert!(calls.matches(" -a ").count() <= 2, "{calls}");
    world.set(setting("out1", &[1], false));
    world.revert("out1");
    world.wait_until_nothing_is_held();
    assert!(world.client.poll_line().is_none());
    world.end();
}

#[test]
fn without_a_resolver_it_is_said_which_servers_are_not_used() {
    let mut world = World::start(&[]);
    world.set(setting("out1", &[1, 2], false));
    let lines = world.lines(1);
    assert_eq!(lines[0].message, Some(Message::DnsFailed));
    assert_eq!(
        lines[0].text,
        "one: not using DNS servers 10.0.0.1,10.0.0.2: \
         neither systemd-resolved nor resolvconf is there"
    );
    world.end();
}

#[test]
fn what_failed_half_way_is_taken_back_and_said_with_the_last_words() {
    let mut world = World::start(&[
        RESOLVCONF,
        "case $1 in -a) echo first; echo 'it will not' >&2; exit 3;; esac",
    ]);
    world.set(setting("out1", &[1], false));
    assert_eq!(
        world.lines(1)[0].text,
        "one: not using DNS servers 10.0.0.1: \
         resolvconf -a out1.greyhound ended with status 3: it will not"
    );
    world.wait_until_nothing_is_held();
    assert!(world.calls().contains("resolvconf -d out1.greyhound\n"));
    world.end();
}

#[test]
fn a_program_that_hangs_is_killed_and_holds_no_other_interface_up() {
    let mut world = World::start(&[RESOLVCONF, "case \"$*\" in -a*out1*) sleep 1000;; esac"]);
    world.set(setting("out1", &[1], false));
    world.set(setting("out2", &[2], false));
    let lines = world.lines(2);
    assert_eq!(lines[0].text, "one: using DNS servers 10.0.0.2");
    assert_eq!(
        lines[1].text,
        "one: not using DNS servers 10.0.0.1: \
         resolvconf -a out1.greyhound took longer than 0.5 s"
    );
    world.end();
}

#[test]
fn what_cannot_be_taken_back_is_said_once_and_tried_again() {
    let mut world = World::start(&[
        RESOLVCONF,
        "case $1 in -d) [ -e DIR/may ] || { touch DIR/tried; exit 1; };; esac",
    ]);
    world.set(setting("out1", &[1], false));
    world.lines(1);
    world.revert("out1");
    assert_eq!(
        world.lines(1)[0].text,
        "out1: its DNS servers are still used: \
         resolvconf -d out1.greyhound ended with status 1"
    );
    fs::write(world.dir.join("may"), "").unwrap();
    world.wait_until_nothing_is_held();
    assert!(world.client.poll_line().is_none());
    world.end();
}

#[test]
fn a_keeper_that_stops_takes_everything_back() {
    let mut world = World::start(&[RESOLVCONF]);
    world.set(setting("out1", &[1], false));
    world.set(setting("out2", &[2], false));
    world.lines(2);
    assert_eq!(world.held(), ["out1", "out2"]);
    world.end();
    let calls = world.calls();
    for name in ["out1", "out2"] {
        assert!(calls.contains(&format!("resolvconf -d {name}.greyhound\n")));
    }
    assert_eq!(world.held(), [""; 0]);
}

#[test]
fn a_keeper_begins_by_taking_back_what_the_last_one_left() {
    let dir = folder();
    let left = "{\"out1\": {\"resolvconf\": {\"record\": \"out1.greyhound\", \
                \"exclusively\": false, \"by\": \"Openresolv\"}}}";
    fs::write(dir.join("dns.json"), left).unwrap();
    let mut world = World::start_in(dir, &[RESOLVCONF]);
    world.wait_until_nothing_is_held();
    assert_eq!(world.calls(), "resolvconf -f -d out1.greyhound\n");
    world.end();

    let dir = folder();
    fs::write(dir.join("dns.json"), "nonsense").unwrap();
    let mut world = World::start_in(dir, &[RESOLVCONF]);
    world.set(setting("out1", &[1], false));
    world.lines(1);
    let log = world.end();
    let recent = log.recent();
    let text = &recent.iter().next().unwrap().line.text;
    let expected = "DNS servers: what was set before is not known: ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_control_process_that_comes_back_begins_with_nothing_set() {
    let mut world = World::start(&[RESOLVCONF]);
    world.set(setting("out1", &[1], false));
    world.set(setting("out2", &[2], false));
    world.lines(2);
    world.client = Client::new(&world.dir, Token(0), now());
    world.set(setting("out2", &[2], false));
    world.lines(1);
    wait_until(|| world.held() == ["out2"]);
    assert!(world.calls().contains("resolvconf -d out1.greyhound\n"));
    world.end();
}

#[test]
fn a_keeper_that_comes_back_is_told_again() {
    let mut world = World::start(&[RESOLVCONF]);
    world.set(setting("out1", &[1], false));
    world.set(setting("out2", &[2], false));
    world.lines(2);
    world.revert("out2");
    wait_until(|| world.held() == ["out1"]);
    world.stop_keeper();
    assert_eq!(world.held(), [""; 0]);
    world.start_keeper();
    let lines = world.lines(1);
    assert_eq!(lines[0].text, "one: using DNS servers 10.0.0.1");
    assert_eq!(world.held(), ["out1"]);
    world.end();
}

#[test]
fn resolved_is_asked_where_it_runs_and_resolvconf_elsewhere() {
    let mut world = World::start(&[RESOLVCONF]);
    world.program("resolvectl", "");
    let resolved = world.dir.join("resolve");
    fs::create_dir(&resolved).unwrap();
    let socket = resolved.join("io.systemd.Resolve");
    let mut set = |exclusively| {
        fs::write(world.dir.join("calls"), "").unwrap();
        world.set(setting("lo", &[1], exclusively));
        let text = world.lines(1).remove(0).text;
        let calls = world.calls();
        (text, calls.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let (text, calls) = set(true);
    assert_eq!(
        text,
        "one: using DNS servers 10.0.0.1 first: Debian's resolvconf cannot use them exclusively"
    );
    let resolvconf = ["resolvconf --version", "resolvconf -a tun.lo.greyhound"];
    assert_eq!(calls[..2], resolvconf);
    // It moves from the one to the other.
    let listener = UnixListener::bind(&socket).unwrap();
    let (text, calls) = set(true);
    assert_eq!(text, "one: using DNS servers 10.0.0.1 exclusively");
    let resolved = [
        "resolvconf -d tun.lo.greyhound",
        "resolvectl dns 1 10.0.0.1",
        "resolvectl domain 1 ~.",
        "resolvectl default-route 1 yes",
    ];
    assert_eq!(calls, resolved);
    let (_, calls) = set(false);
    let resolved = [
        "resolvectl revert 1",
        "resolvectl dns 1 10.0.0.1",
        "resolvectl default-route 1 yes",
    ];
    assert_eq!(calls, resolved);
    // Its socket stays where it was when it has ended.
    drop(listener);
    assert!(socket.exists());
    let (_, calls) = set(false);
    let resolvconf = [
        "resolvconf --version",
        "resolvectl revert 1",
        "resolvconf -a lo.greyhound",
    ];
    assert_eq!(calls[..3], resolvconf);
    world.set(setting("gone", &[1], false));
    world.lines(1);
    world.end();
}

#[test]
fn resolvectl_by_another_name_is_no_resolvconf() {
    let mut world = World::start(&[]);
    world.program("resolvectl", "");
    let folder = world.dir.join("bin");
    std::os::unix::fs::symlink(folder.join("resolvectl"), folder.join("resolvconf")).unwrap();
    world.set(setting("lo", &[1], false));
    assert_eq!(world.lines(1)[0].message, Some(Message::DnsFailed));
    fs::create_dir(world.dir.join("resolve")).unwrap();
    // As of a version that has no socket.
    fs::write(world.dir.join("resolve/stub-resolv.conf"), "").unwrap();
    world.set(setting("lo", &[1], false));
    assert_eq!(world.lines(1)[0].message, Some(Message::DnsUsed));
    world.set(setting("no such one", &[1], false));
    assert_eq!(
        world.lines(1)[0].text,
        "one: not using DNS servers 10.0.0.1: there is no interface no such one"
    );
    world.end();
}

#[test]
fn a_keeper_makes_room_for_one_of_another_version() {
    for nonsense in [false, true] {
        let mut world = World::start(&[]);
        let path = world.dir.join(SOCKET);
        let poll = Poll::new().unwrap();
        world.client = Client::new(Path::new("/nonexistent"), Token(0), now());
        if nonsense {
            let mut control = Channel::<[u8; 3], Event>::connect(&path).unwrap();
            control.send(&[0xff; 3]).unwrap();
            drop(poll);
        } else {
            let mut control = Channel::<Request, Event>::connect(&path).unwrap();
            let version = VERSION + 1;
            control.send(&Request::Hello { version }).unwrap();
        }
        wait_until(|| world.keeper.as_ref().unwrap().is_finished());
    }
}

#[test]
fn a_setting_without_servers_or_with_too_many_is_none() {
    let mut world = World::start(&[RESOLVCONF]);
    for servers in [&[][..], &[1, 2, 3]] {
        world.set(setting("out1", servers, false));
        let text = world.lines(1).remove(0).text;
        let expected = format!("{} servers are no setting", servers.len());
        assert!(text.ends_with(&expected), "{text}");
    }
    assert_eq!(world.calls(), "");
    world.end();
}

#[test]
fn without_a_keeper_that_is_said_after_a_while_and_nobody_asks_if_nothing_is_wanted() {
    let dir = folder();
    let poll = Poll::new().unwrap();
    let mut now = now();
    let mut client = Client::new(&dir, Token(0), now);
    client.advance(now, poll.registry());
    assert_eq!(client.poll_timeout(), None);
    client.set(
        now,
        "one".to_owned(),
        setting("out1", &[1], false),
        poll.registry(),
    );
    let line = loop {
        if let Some(line) = client.poll_line() {
            break line;
        }
        now = client.poll_timeout().unwrap();
        client.advance(now, poll.registry());
    };
    assert_eq!(
        line.text,
        format!(
            "one: not using DNS servers 10.0.0.1: {}: No such file or directory (os error 2)",
            dir.join(SOCKET).display()
        )
    );
    assert!(client.is_flushed() && client.poll_timeout().is_some());
    client.revert(now, "out1", poll.registry());
    now = client.poll_timeout().unwrap();
    client.advance(now, poll.registry());
    assert_eq!(client.poll_timeout(), None);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn messages_arrive_as_they_were_sent() {
    let (mut control, mut keeper) = Channel::<Request, Event>::pair().unwrap();
    let setting = setting("\u{fc} b", &[1, 255], true);
    let interface = "a".repeat(15);
    for request in [
        Request::Hello { version: VERSION },
        Request::Set(setting.clone()),
        Request::Revert {
            interface: interface.clone(),
        },
    ] {
        control.send(&request).unwrap();
        assert_eq!(keeper.receive().unwrap(), Some(request));
    }
    let reason = "r".to_owned();
    let by = |by| Event::Set {
        setting: setting.clone(),
        by,
    };
    for event in [
        by(By::Resolved),
        by(By::Openresolv),
        by(By::Resolvconf),
        Event::NotSet {
            setting: setting.clone(),
            reason: reason.clone(),
        },
        Event::NotReverted { interface, reason },
    ] {
        keeper.send(&event).unwrap();
        assert_eq!(control.receive().unwrap(), Some(event));
    }
}

/// A keeper in a thread, and a client.
struct World {
    dir: PathBuf,
    poll: Poll,
    client: Client,
    log: Log,
    stop: UnixStream,
    keeper: Option<JoinHandle<anyhow::Result<()>>>,
    listener: Option<Listener>,
}

/// A program of this name that writes down its arguments and what it has to read.
const RESOLVCONF: &str = "resolvconf";

impl World {
    /// With the program that `words` names first, which does what they say then. `DIR` stands for
    /// the run directory.
    fn start(words: &[&str]) -> Self {
        Self::start_in(folder(), words)
    }

    fn start_in(dir: PathBuf, words: &[&str]) -> Self {
        fs::create_dir(dir.join("bin")).unwrap();
        fs::write(dir.join("calls"), "").unwrap();
        let listener = Listener::bind(&dir.join(SOCKET)).unwrap();
        let mut world = Self {
            poll: Poll::new().unwrap(),
            client: Client::new(&dir, Token(0), now()),
            dir,
            log: Log::default(),
            stop: UnixStream::pair().unwrap().0,
            keeper: None,
            listener: Some(listener),
        };
        if let [name, does @ ..] = words {
            world.program(name, &does.join("\n"));
        }
        world.start_keeper();
        world
    }

    fn start_keeper(&mut self) {
        let listener = self.listener.as_ref().unwrap();
        let keeper = Keeper::new(Options {
            listener: listener.as_fd().try_clone_to_owned().unwrap(),
            run_dir: self.dir.clone(),
            places: Places {
                path: format!("{}:/usr/bin:/bin", self.dir.join("bin").display()),
                resolved: self.dir.join("resolve"),
            },
            timeout: Duration::from_millis(500),
            stop_grace: PATIENCE,
            log: self.log.clone(),
        });
        let (stop, stopped) = UnixStream::pair().unwrap();
        self.stop = stop;
        self.keeper = Some(thread::spawn(move || keeper.run(stopped)));
    }

    fn program(&self, name: &str, does: &str) {
        let dir = self.dir.display().to_string();
        let script = format!(
            "#!/bin/sh\n{{ echo {name} \"$@\"; [ \"$1\" != -a ] || sed 's/^/< /'; }} >> DIR/calls\n{does}\n"
        );
        let path = self.dir.join("bin").join(name);
        // Written elsewhere: a thread that is just starting a program has the file open as well.
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", "printf %s \"$1\" > \"$0\""])
            .arg(&path)
            .arg(script.replace("DIR", &dir))
            .status();
        assert!(status.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn set(&mut self, setting: Setting) {
        let registry = self.poll.registry();
        self.client.set(now(), "one".to_owned(), setting, registry);
    }

    fn revert(&mut self, interface: &str) {
        self.client.revert(now(), interface, self.poll.registry());
    }

    /// The next lines.
    fn lines(&mut self, count: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let deadline = now() + PATIENCE;
        while lines.len() < count {
            assert!(now() < deadline, "{lines:?}");
            let mut events = Events::with_capacity(4);
            let patience = Some(Duration::from_millis(20));
            // A child that ends may interrupt it.
            let _ = self.poll.poll(&mut events, patience);
            self.client.handle_ready(now(), self.poll.registry());
            lines.extend(std::iter::from_fn(|| self.client.poll_line()));
        }
        assert_eq!(lines.len(), count, "{lines:?}");
        lines
    }

    /// How programs were called, a line each, and what they had to read.
    fn calls(&self) -> String {
        fs::read_to_string(self.dir.join("calls")).unwrap()
    }

    /// The interfaces that stand in the record.
    fn held(&self) -> Vec<String> {
        let Ok(bytes) = fs::read(self.dir.join("dns.json")) else {
            return Vec::new();
        };
        let table: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        table.as_object().unwrap().keys().cloned().collect()
    }

    fn wait_until_nothing_is_held(&self) {
        wait_until(|| self.held().is_empty());
    }

    fn stop_keeper(&mut self) {
        self.stop.write_all(&[0]).unwrap();
        self.keeper.take().unwrap().join().unwrap().unwrap();
    }

    /// The keeper is stopped, and nothing is left.
    fn end(&mut self) -> Log {
        self.stop_keeper();
        let left = fs::read_dir(&self.dir).unwrap();
        let left: BTreeSet<_> = left.map(|one| one.unwrap().file_name()).collect();
        assert!(
            !left
                .iter()
                .any(|name| name.to_string_lossy().contains("json"))
        );
        self.log.clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            let _ = self.stop.write_all(&[0]);
            let _ = keeper.join();
        }
        self.listener = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Servers of 10.0.0.0/24.
fn setting(interface: &str, servers: &[u8], exclusively: bool) -> Setting {
    let servers = servers.iter().map(|&last| Ipv4Addr::new(10, 0, 0, last));
    Setting {
        interface: interface.to_owned(),
        servers: servers.collect(),
        exclusively,
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = now() + PATIENCE;
    while !condition() {
        assert!(now() < deadline, "it does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("greyhound-dns-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

#[expect(clippy::disallowed_methods, reason = "the processes are real")]
fn now() -> Instant {
    Instant::now()
}

const PATIENCE: Duration = Duration::from_secs(20);

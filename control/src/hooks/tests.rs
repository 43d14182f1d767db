//! Hooks over a real socket, with real programs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use greyhound_datapath::ipc::seqpacket::{Channel, Error, Listener};
use mio::{Events, Poll, Token};

use super::client::Client;
use super::environment::tests::{accounting, subject};
use super::runner::{Options, Runner};
use super::*;
use crate::log::{Field, Line, Log, Message};
use crate::programs::Outcome;
use crate::programs::output::Output;

#[test]
fn a_hook_has_the_documented_environment_and_no_other() {
    let mut world = World::start(4);
    let down = Subject {
        accounting: Some(accounting()),
        ..subject()
    };
    for (when, subject) in [(When::Up, subject()), (When::Down, down)] {
        let program = Program::parse("/usr/bin/env").unwrap();
        world.ask(Hook::new(when, program, &subject));
    }
    let lines = world.lines_of(2);
    let mut variables = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PPTP_CALLED_ID=192.0.2.254",
        "PPTP_CALLER_ID=192.0.2.1",
        "PPTP_HOOK=on-up",
        "PPTP_IFINDEX=7",
        "PPTP_INTERFACE=<pptp-ann>",
        "PPTP_KERNEL_NAME=tun0",
        "PPTP_LOCAL_ADDRESS=10.0.0.1",
        "PPTP_REMOTE_ADDRESS=10.0.0.5",
        "PPTP_SESSION=0x81a00000",
        "PPTP_USER=ann",
    ];
    assert_eq!(said(&lines, "<pptp-ann>: on-up: "), own(&variables));
    variables.retain(|variable| !variable.starts_with("PPTP_HOOK"));
    variables.extend([
        "PPTP_CAUSE=hungup",
        "PPTP_DURATION=306",
        "PPTP_HOOK=on-down",
        "PPTP_RX_BYTES=81234",
        "PPTP_RX_PACKETS=512",
        "PPTP_TX_BYTES=901234",
        "PPTP_TX_PACKETS=799",
    ]);
    assert_eq!(said(&lines, "<pptp-ann>: on-down: "), own(&variables));
}

#[test]
fn a_hook_begins_at_the_root_with_nothing_to_read() {
    let mut world = World::start(4);
    for program in ["/bin/pwd", "/bin/readlink /proc/self/fd/0"] {
        world.ask(hook("a", program));
    }
    let lines = world.lines_of(2);
    assert_eq!(said(&lines, "a: on-up: "), own(&["/", "/dev/null"]));
}

#[test]
fn a_hook_that_takes_too_long_is_killed_with_what_it_started() {
    let mut world = World::start(4);
    let script = world.script("slow", "sleep 1000 & echo $$ $!; wait");
    world.ask(Hook {
        timeout: Duration::from_millis(300),
        ..hook("a", &script)
    });
    let lines = world.lines_of(1);
    let text = format!("a: on-up: {script} took longer than 0.3 s and was killed");
    assert_eq!(texts(&lines, Message::HookFailed), [text]);
    let output = texts(&lines, Message::HookOutput).remove(0);
    let pids = output.strip_prefix("a: on-up: ").unwrap();
    for pid in pids.split(' ') {
        wait_until(|| has_ended(pid));
    }
}

#[test]
fn what_a_hook_leaves_in_the_background_goes_on_and_holds_nothing_up() {
    let mut world = World::start(1);
    let script = world.script("daemon", "sleep 1000 & echo $!");
    world.ask(hook("a", &script));
    world.ask(hook("a", "/bin/true"));
    let lines = world.lines_of(2);
    let output = texts(&lines, Message::HookOutput).remove(0);
    let pid = output.strip_prefix("a: on-up: ").unwrap();
    assert!(!has_ended(pid));
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn on_down_waits_for_on_up_and_for_nobody_else() {
    let mut world = World::start(4);
    let said = world.dir.join("said");
    let said = said.display();
    let up = world.script("up", &format!("sleep 0.5; echo up >> {said}"));
    let down = world.script("down", &format!("echo down >> {said}"));
    let other = world.script("other", &format!("echo other >> {said}"));
    world.ask(hook("a", &up));
    world.ask(Hook {
        when: When::Down,
        ..hook("a", &down)
    });
    world.ask(hook("b", &other));
    world.lines_of(3);
    let said = fs::read_to_string(world.dir.join("said")).unwrap();
    assert_eq!(said, "other\nup\ndown\n");
}

#[test]
fn what_a_hook_writes_is_in_the_log_up_to_a_limit() {
    let mut world = World::start(4);
    world.ask(hook("a", "/usr/bin/seq 1000"));
    let script = world.script("complain", "echo one; echo two >&2; exit 3");
    world.ask(hook("b", &script));
    let lines = world.lines_of(2);
    let of_a = said(&lines, "a: on-up: ");
    assert_eq!(of_a.len(), Output::LINES + 1);
    let more = "900 more lines of /usr/bin/seq are left out";
    assert!(of_a.contains(more), "{of_a:?}");
    assert_eq!(texts(&lines, Message::HookComplaint), ["b: on-up: two"]);
    let [failed] = &texts(&lines, Message::HookFailed)[..] else {
        panic!("{lines:?}");
    };
    let text = format!("b: on-up: {script} ended with status 3 after ");
    assert!(failed.starts_with(&text), "{failed}");
}

#[test]
fn lines_say_which_session_and_which_program_they_are_of() {
    let mut world = World::start(4);
    let program = Program::parse("/bin/echo hello").unwrap();
    world.ask(Hook::new(When::Up, program, &subject()));
    let lines = world.lines_of(1);
    let fields = &lines[0].fields;
    assert_eq!(lines[0].text, "<pptp-ann>: on-up: hello");
    let expected = [
        (Field::Hook, "on-up"),
        (Field::User, "ann"),
        (Field::Session, "0x81a00000"),
        (Field::Interface, "<pptp-ann>"),
        (Field::KernelName, "tun0"),
        (Field::Program, "/bin/echo"),
    ];
    assert_eq!(
        *fields,
        expected.map(|(field, value)| (field, value.to_owned()))
    );
}

#[test]
fn a_program_that_is_not_there_is_a_warning() {
    let mut world = World::start(4);
    for program in ["/nonexistent/up", "/proc/version", "/bin"] {
        world.ask(hook("a", program));
    }
    let lines = world.lines_of(3);
    assert_eq!(
        texts(&lines, Message::HookMissing),
        [
            "a: on-up: /nonexistent/up cannot be run: No such file or directory (os error 2)",
            "a: on-up: /proc/version is not an executable file",
            "a: on-up: /bin is not an executable file",
        ]
    );
    assert!(lines.iter().all(|line| line.level == tracing::Level::WARN));
}

#[test]
fn a_hundred_hooks_at_once_all_run_and_never_more_than_may() {
    let mut world = World::start(4);
    let count = world.dir.join("count");
    let count = count.display();
    let script = world.script(
        "one",
        &format!("echo + >> {count}; sleep 0.02; echo - >> {count}"),
    );
    for number in 0..100 {
        world.ask(hook(&number.to_string(), &script));
    }
    world.lines_of(100);
    let count = fs::read_to_string(world.dir.join("count")).unwrap();
    let (mut running, mut most, mut all) = (0_u32, 0, 0);
    for line in count.lines() {
        if line == "+" {
            (running, all) = (running + 1, all + 1);
        } else {
            running -= 1;
        }
        most = most.max(running);
    }
    assert_eq!((all, running), (100, 0));
    assert!((2..=4).contains(&most), "{most}");
}

#[test]
fn what_was_asked_for_before_the_stop_is_run_and_what_takes_too_long_is_killed() {
    let mut world = World::start(1);
    let done = world.dir.join("done");
    let script = world.script("down", &format!("sleep 0.1; touch {}", done.display()));
    world.ask(hook("a", &script));
    world.ask(hook("b", "/bin/sleep 1000"));
    world.ask(hook("c", "/bin/true"));
    assert!(world.client.is_flushed());
    let log = world.end();
    assert!(done.exists());
    let recent = log.recent();
    let lines = recent.iter().map(|entry| &*entry.line.text);
    let lines: BTreeSet<_> = lines.collect();
    let killed = |line: &str| {
        line.starts_with("b: on-up: /bin/sleep was killed after ")
            && line.ends_with(" s, since greyhound stops")
    };
    assert!(lines.iter().any(|line| killed(line)), "{lines:?}");
    let dropped = "c: on-up: /bin/true was not run: greyhound stops";
    assert!(lines.contains(dropped), "{lines:?}");
}

#[test]
fn a_runner_makes_room_for_one_of_another_version() {
    for nonsense in [false, true] {
        let world = World::start(1);
        let path = world.dir.join(SOCKET);
        if nonsense {
            let mut control = Channel::<[u8; 3], Event>::connect(&path).unwrap();
            control.send(&[0xff; 3]).unwrap();
        } else {
            let mut control = Channel::<Request, Event>::connect(&path).unwrap();
            let version = VERSION + 1;
            control.send(&Request::Hello { version }).unwrap();
        }
        wait_until(|| world.runner.as_ref().unwrap().is_finished());
    }
}

#[test]
fn a_control_process_that_comes_back_is_served_and_what_the_last_one_asked_for_is_run() {
    let mut world = World::start(1);
    let done = world.dir.join("done");
    let script = world.script("up", &format!("sleep 0.1; touch {}", done.display()));
    world.ask(hook("a", &script));
    world.client = Client::new(&world.dir, Token(0));
    world.ask(hook("a", "/bin/echo again"));
    let lines = world.lines_of(1);
    assert_eq!(texts(&lines, Message::HookOutput), ["a: on-up: again"]);
    assert!(done.exists());
}

#[test]
fn without_a_runner_hooks_are_given_up_after_a_while() {
    let dir = folder();
    let poll = Poll::new().unwrap();
    let mut client = Client::new(&dir, Token(0));
    assert_eq!(client.poll_timeout(), None);
    let mut now = now();
    client.start(now, hook("a", "/bin/true"), poll.registry());
    while let Some(at) = client.poll_timeout() {
        assert!(client.poll_line().is_none() && !client.is_flushed());
        now = at;
        client.advance(now, poll.registry());
    }
    let line = client.poll_line().unwrap();
    assert!(
        line.text.starts_with("a: on-up: /bin/true was not run: ")
            && line
                .text
                .ends_with("hooks.sock: No such file or directory (os error 2)"),
        "{}",
        line.text
    );
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_hook_is_not_run_twice_when_the_runner_is_lost() {
    let dir = folder();
    let poll = Poll::new().unwrap();
    let listener = Listener::bind(&dir.join(SOCKET)).unwrap();
    let mut client = Client::new(&dir, Token(0));
    let mut now = now();
    for text in ["one", "two"] {
        client.start(now, hook("a", &format!("/bin/{text}")), poll.registry());
        let mut runner = listener.accept::<Event, Request>().unwrap().unwrap();
        let hello = Request::Hello { version: VERSION };
        assert_eq!(runner.receive().unwrap(), Some(hello));
        let Some(Request::Run { hook, .. }) = runner.receive().unwrap() else {
            panic!("no request");
        };
        assert_eq!(hook.program, Path::new("/bin").join(text));
        assert!(runner.receive().unwrap().is_none());
        drop(runner);
        now += Duration::from_secs(1);
        client.handle_ready(now, poll.registry());
        let expected = format!(
            "a: on-up: what became of /bin/{text} is not known: \
             the process that runs hooks is lost: the connection is closed"
        );
        assert_eq!(client.poll_line().unwrap().text, expected);
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_hook_that_no_message_holds_is_not_run() {
    let mut world = World::start(1);
    world.ask(Hook {
        arguments: vec!["x".repeat(20_000)],
        ..hook("a", "/bin/true")
    });
    let lines = world.lines_of(1);
    let text = "a: on-up: /bin/true was not run: its arguments are too long";
    assert_eq!(texts(&lines, Message::HookFailed), [text]);
}

#[test]
fn messages_arrive_as_they_were_sent() {
    let (mut control, mut runner) = Channel::<Request, Event>::pair().unwrap();
    let hook = Hook::new(
        When::Down,
        Program::parse("/etc/down 'a b' \u{fc}").unwrap(),
        &subject(),
    );
    for request in [
        Request::Hello { version: VERSION },
        Request::Run { id: u64::MAX, hook },
    ] {
        control.send(&request).unwrap();
        assert_eq!(runner.receive().unwrap(), Some(request));
    }
    let mut events = vec![Event::Output {
        id: 7,
        source: Source::Stderr,
        text: "text".to_owned(),
    }];
    for outcome in [
        Outcome::Exited(-1),
        Outcome::Signalled(9),
        Outcome::TimedOut,
        Outcome::Stopped,
        Outcome::NotStarted("a".to_owned()),
        Outcome::Dropped("b".to_owned()),
        Outcome::Lost("c".to_owned()),
    ] {
        let end = End {
            outcome,
            lasted: Duration::new(1, 2),
            left_out: u64::MAX,
        };
        events.push(Event::Ended { id: 0, end });
    }
    for event in events {
        runner.send(&event).unwrap();
        assert_eq!(control.receive().unwrap(), Some(event));
    }
    drop(runner);
    assert!(matches!(control.receive(), Err(Error::Closed)));
}

/// A runner in a thread, and a client.
struct World {
    dir: PathBuf,
    poll: Poll,
    client: Client,
    log: Log,
    stop: UnixStream,
    runner: Option<JoinHandle<anyhow::Result<()>>>,
    listener: Option<Listener>,
}

impl World {
    fn start(at_once: usize) -> Self {
        let dir = folder();
        let listener = Listener::bind(&dir.join(SOCKET)).unwrap();
        let log = Log::default();
        let runner = Runner::new(Options {
            listener: listener.as_fd().try_clone_to_owned().unwrap(),
            at_once,
            stop_grace: Duration::from_secs(1),
            as_root: false,
            refusal: None,
            log: log.clone(),
        });
        let (stop, stopped) = UnixStream::pair().unwrap();
        Self {
            poll: Poll::new().unwrap(),
            client: Client::new(&dir, Token(0)),
            dir,
            log,
            stop,
            runner: Some(thread::spawn(move || runner.run(stopped))),
            listener: Some(listener),
        }
    }

    /// The path of an executable script.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        // Written elsewhere: a thread that is just starting a program has the file open as well.
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\""])
            .arg(&path)
            .arg(text)
            .status();
        assert!(status.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn ask(&mut self, hook: Hook) {
        self.client.start(now(), hook, self.poll.registry());
    }

    /// The lines of so many hooks, each up to its end.
    fn lines_of(&mut self, hooks: usize) -> Vec<Line> {
        let (mut lines, mut ended) = (Vec::new(), 0);
        let deadline = now() + PATIENCE;
        while ended < hooks {
            assert!(now() < deadline, "{ended} of {hooks}: {lines:?}");
            let mut events = Events::with_capacity(4);
            let patience = Some(Duration::from_millis(100));
            // A child that ends may interrupt it.
            let _ = self.poll.poll(&mut events, patience);
            self.client.handle_ready(now(), self.poll.registry());
            while let Some(line) = self.client.poll_line() {
                let ends = [
                    Message::HookEnded,
                    Message::HookFailed,
                    Message::HookMissing,
                ];
                ended += usize::from(line.message.is_some_and(|one| ends.contains(&one)));
                lines.push(line);
            }
        }
        lines
    }

    /// The control process ends, then the runner is stopped.
    fn end(&mut self) -> Log {
        self.client = Client::new(&self.dir, Token(0));
        self.stop.write_all(&[0]).unwrap();
        let runner = self.runner.take().unwrap();
        runner.join().unwrap().unwrap();
        self.log.clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runner) = self.runner.take() {
            let _ = self.stop.write_all(&[0]);
            let _ = runner.join();
        }
        self.listener = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A hook that is told nothing.
fn hook(interface: &str, line: &str) -> Hook {
    let program = Program::parse(line).unwrap();
    Hook {
        when: When::Up,
        interface: interface.to_owned(),
        program: program.path,
        arguments: program.arguments,
        environment: Vec::new(),
        timeout: PATIENCE,
    }
}

/// What was written to standard output, and the count of what was not.
fn said(lines: &[Line], prefix: &str) -> BTreeSet<String> {
    let texts = texts(lines, Message::HookOutput).into_iter();
    texts
        .filter_map(|text| text.strip_prefix(prefix).map(str::to_owned))
        .collect()
}

fn own(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().copied().map(str::to_owned).collect()
}

fn texts(lines: &[Line], message: Message) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.message == Some(message));
    lines.map(|line| line.text.clone()).collect()
}

fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
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
    let name = format!("greyhound-hooks-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

#[expect(clippy::disallowed_methods, reason = "the processes are real")]
fn now() -> Instant {
    Instant::now()
}

const PATIENCE: Duration = Duration::from_secs(30);

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::*;

#[test]
fn a_program_that_ends_is_started_again() {
    let dir = TestDir::new("restart");
    let supervised = Supervised::start(vec![
        shell(&dir, "echo a >> starts; echo working >&2; exec sleep 60"),
        shell(
            &dir,
            "echo b >> starts; test $(grep -c b starts) -ge 3 && exec sleep 60; exit 1",
        ),
    ]);

    wait_until(|| {
        dir.lines("starts")
            .iter()
            .filter(|line| *line == "b")
            .count()
            == 3
    });
    let (outcome, log) = supervised.stop();

    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(
        dir.lines("starts")
            .iter()
            .filter(|line| *line == "a")
            .count(),
        1
    );
    assert!(log.contains("working\n"), "{log}");
    assert!(
        log.contains("shell ended (exit status: 1), starts again in 0.01 s\n"),
        "{log}"
    );
    assert!(log.contains("starts again in 0.02 s\n"), "{log}");
}

#[test]
fn a_program_that_cannot_start_is_given_up_with_its_last_words() {
    let dir = TestDir::new("gives-up");
    let programs = vec![
        shell(
            &dir,
            "trap 'echo other >> stopped; exit' TERM; touch ready; while :; do sleep 0.01; done",
        ),
        shell(
            &dir,
            "while ! test -e ready; do sleep 0.01; done; echo x >> starts; echo no such key >&2; exit 1",
        ),
    ];

    let (outcome, _) = Supervised::start(programs).finish();

    assert_eq!(
        outcome.unwrap_err().to_string(),
        "shell failed 3 times right after its start: no such key"
    );
    assert_eq!(dir.lines("starts").len(), 3);
    assert_eq!(dir.lines("stopped"), ["other"]);
}

#[test]
fn a_configuration_problem_is_not_tried_again() {
    let dir = TestDir::new("configuration");
    let programs = vec![shell(
        &dir,
        "echo x >> starts; printf 'no interface eth9' >&2; exit 2",
    )];

    let (outcome, log) = Supervised::start(programs).finish();

    assert_eq!(outcome.unwrap_err().to_string(), "shell: no interface eth9");
    assert_eq!(dir.lines("starts").len(), 1);
    assert_eq!(log, "no interface eth9\n");
}

#[test]
fn a_configuration_problem_is_told_without_the_goodbye_of_the_others() {
    let dir = TestDir::new("goodbye");
    let programs = vec![
        shell(
            &dir,
            "until [ -e ready ]; do sleep 0.01; done; echo no interface eth9 >&2; exit 2",
        ),
        shell(
            &dir,
            "trap 'echo stopping >&2; exit' TERM; >ready; while :; do sleep 0.01; done",
        ),
    ];

    let (_, log) = Supervised::start(programs).finish();

    assert_eq!(log, "no interface eth9\n");
}

#[test]
fn an_end_without_a_word_is_told_by_its_status() {
    let dir = TestDir::new("silent");

    let (outcome, _) = Supervised::start(vec![shell(&dir, "kill -KILL $$")]).finish();

    let text = outcome.unwrap_err().to_string();
    assert!(
        text.ends_with("right after its start: signal: 9 (SIGKILL)"),
        "{text}"
    );
}

#[test]
fn programs_are_stopped_one_after_the_other_the_last_one_first() {
    let dir = TestDir::new("order");
    let script = |name: &str| {
        format!(
            "trap 'echo {name} stops >> order; sleep 0.05; echo {name} ends >> order; exit' TERM
             echo {name} >> started; while :; do sleep 0.01; done"
        )
    };
    let supervised = Supervised::start(vec![
        shell(&dir, &script("datapath")),
        shell(&dir, &script("control")),
    ]);

    wait_until(|| dir.lines("started").len() == 2);
    let (outcome, _) = supervised.stop();

    assert!(outcome.is_ok());
    assert_eq!(
        dir.lines("order"),
        [
            "control stops",
            "control ends",
            "datapath stops",
            "datapath ends"
        ]
    );
}

#[test]
fn a_program_that_does_not_stop_is_killed() {
    let dir = TestDir::new("killed");
    let supervised = Supervised::with_grace(
        vec![shell(
            &dir,
            "trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done",
        )],
        Duration::from_millis(50),
    );

    wait_until(|| dir.lines("pid").len() == 1);
    let (outcome, log) = supervised.stop();

    assert!(outcome.is_ok());
    assert_eq!(log, "shell does not stop and is killed\n");
    let pid = &dir.lines("pid")[0];
    assert!(
        !Path::new("/proc").join(pid).exists(),
        "{pid} is still there"
    );
}

#[test]
fn a_program_that_is_not_there_ends_it_all() {
    let dir = TestDir::new("not-there");
    let missing = Program {
        name: "missing",
        path: "/nonexistent/program".into(),
        arguments: Vec::new(),
        stdin: None,
    };
    let programs = vec![shell(&dir, "echo $$ > pid; exec sleep 60"), missing];

    let (outcome, _) = Supervised::start(programs).finish();

    assert_eq!(
        outcome.unwrap_err().to_string(),
        "missing could not be started"
    );
}

#[test]
fn a_program_that_writes_without_end_is_read_while_another_one_stops() {
    let dir = TestDir::new("chatty");
    let supervised = Supervised::start(vec![
        shell(&dir, "trap 'exit' TERM; while :; do echo line >&2; done"),
        shell(
            &dir,
            "trap 'sleep 0.1; exit' TERM; echo x > started; while :; do sleep 0.01; done",
        ),
    ]);

    wait_until(|| dir.lines("started").len() == 1);
    let (outcome, log) = supervised.stop();

    assert!(outcome.is_ok());
    assert!(log.lines().all(|line| line == "line"));
}

#[test]
fn a_program_that_ends_by_itself_while_another_one_stops_is_not_started_again() {
    let dir = TestDir::new("meanwhile");
    let supervised = Supervised::start(vec![
        shell(
            &dir,
            "echo x >> started; while ! test -e stopping; do sleep 0.01; done",
        ),
        shell(
            &dir,
            "trap 'touch stopping; sleep 0.2; exit' TERM
             echo y >> started; while :; do sleep 0.01; done",
        ),
    ]);

    wait_until(|| dir.lines("started").len() == 2);
    let (outcome, log) = supervised.stop();

    assert!(outcome.is_ok());
    assert_eq!(dir.lines("started").len(), 2);
    assert_eq!(log, "");
}

#[test]
fn pauses_double_up_to_the_longest_and_begin_again_after_a_long_life() {
    let policy = Policy::default();
    let mut restarts = Restarts::new(&policy);
    let mut pauses = |lived: u64, count: usize| -> Vec<_> {
        let lived = Duration::from_secs(lived);
        (0..count)
            .map(|_| restarts.pause_after(lived).map(|pause| pause.as_millis()))
            .collect()
    };

    assert_eq!(
        pauses(2, 7),
        [200, 400, 800, 1600, 3200, 5000, 5000].map(Some)
    );
    assert_eq!(pauses(6, 2), [200, 200].map(Some));
    assert_eq!(
        pauses(0, 5),
        [Some(400), Some(800), Some(1600), Some(3200), None]
    );
}

#[test]
fn only_failures_in_a_row_are_counted() {
    let policy = Policy::default();
    let mut restarts = Restarts::new(&policy);

    for _ in 0..3 {
        for _ in 0..4 {
            assert!(restarts.pause_after(Duration::ZERO).is_some());
        }
        assert!(restarts.pause_after(policy.settled).is_some());
    }
}

#[test]
fn output_is_passed_on_in_whole_lines() {
    let mut output = Output::new(None);
    let mut log = Vec::new();

    output.take(b"one\ntw", &mut log);
    assert_eq!(log, b"one\n");
    output.take(b"o\n\n", &mut log);
    assert_eq!(log, b"one\ntwo\n");
    assert_eq!(output.last, "two");
    output.take(&[b'x'; 3 * LONGEST_LINE], &mut log);
    assert!(output.begun.len() < LONGEST_LINE);
    output.take(b"\xff", &mut log);
    output.finish(&mut log);
    assert!(output.last.ends_with('\u{fffd}'));
}

/// A supervisor in a thread of its own.
struct Supervised {
    stop: UnixStream,
    thread: JoinHandle<(Result<(), Error>, String)>,
}

impl Supervised {
    fn start(programs: Vec<Program>) -> Self {
        Self::with_grace(programs, Duration::from_secs(30))
    }

    fn with_grace(programs: Vec<Program>, grace: Duration) -> Self {
        let policy = Policy {
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(100),
            settled: Duration::from_secs(30),
            attempts: 3,
            grace,
        };
        let (stop, stopped) = UnixStream::pair().unwrap();
        let thread = thread::spawn(move || {
            let mut log = Vec::new();
            let outcome = supervise(&programs, &policy, &stopped, &mut log);
            (outcome, String::from_utf8(log).unwrap())
        });
        Self { stop, thread }
    }

    fn stop(self) -> (Result<(), Error>, String) {
        (&self.stop).write_all(b"x").unwrap();
        self.finish()
    }

    fn finish(self) -> (Result<(), Error>, String) {
        self.thread.join().unwrap()
    }
}

fn shell(dir: &TestDir, script: &str) -> Program {
    let script = format!("cd '{}' && {{ {script}\n}}", dir.0.display());
    Program {
        name: "shell",
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        stdin: None,
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = now() + Duration::from_secs(30);
    while !condition() {
        assert!(now() < deadline, "the condition did not come true");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A directory that goes away with the test.
struct TestDir(PathBuf);

impl TestDir {
    fn new(name: &str) -> Self {
        let name = format!("greyhound-supervisor-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The lines of a file that a program wrote; none if there is no such file.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

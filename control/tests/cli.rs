//! The program as it is called: its options, its messages and its exit status.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what holds for tests holds for their helpers"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

#[test]
fn help_names_the_subcommands_and_the_console_commands() {
    let output = greyhound(&["--help"]);

    assert!(output.status.success());
    let text = stdout(&output);
    for part in [
        "up ",
        "check-config",
        "--run-dir <DIR>",
        "ppp active print [detail|stats]",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("  control"), "{text}");
    let up = stdout(&greyhound(&["up", "--help"]));
    for option in [
        "--config <FILE>",
        "--interface <IF>",
        "--cores <LIST>",
        "--io <MODE>",
    ] {
        assert!(up.contains(option), "{option} is not in\n{up}");
    }
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_with_file_line_and_column() {
    let dir = TestDir::new("bad-config");
    let file = dir.write(
        "bad.rsc",
        "/ppp secret\nadd name=u profile=nix\nadd foo=1 name=v\n",
    );
    let expected = format!(
        "{file}:2:20: input does not match any value of profile (line 2 column 20)\n\
         {file}:3:5: expected end of command (line 3 column 5)\n"
    );
    let run_dir = dir.path("run");

    for arguments in [
        vec!["check-config", &file],
        vec![
            "up",
            "--config",
            &file,
            "--interface",
            "lo",
            "--run-dir",
            &run_dir,
        ],
    ] {
        let output = greyhound(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stderr(&output), expected);
    }
    assert!(!Path::new(&run_dir).exists());
}

#[test]
fn a_good_configuration_passes_with_its_warnings() {
    let dir = TestDir::new("good-config");
    let file = dir.write("good.rsc", "/ppp profile add name=p use-upnp=yes\n");

    let output = greyhound(&["check-config", &file]);

    assert!(output.status.success());
    assert_eq!(
        stderr(&output),
        format!("{file}:1:34: warning: use-upnp=yes has no effect (line 1 column 34)\n")
    );
}

#[test]
fn a_configuration_that_is_not_there_is_told_in_one_line() {
    let output = greyhound(&["check-config", "/nonexistent/file.rsc"]);

    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.starts_with("greyhound: /nonexistent/file.rsc cannot be read: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn up_needs_exactly_one_configuration() {
    for arguments in [
        vec!["up", "--interface", "lo"],
        vec!["up", "--interface", "lo", "--config", "x", "--demo-config"],
    ] {
        assert_eq!(greyhound(&arguments).status.code(), Some(2));
    }
}

#[test]
fn the_console_says_that_nothing_runs() {
    let dir = TestDir::new("nothing-runs");
    let run_dir = dir.path("run");

    let output = greyhound(&["--run-dir", &run_dir, "/ppp/active/print"]);

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "greyhound: no greyhound runs with the run directory {run_dir}: \
             start it with `greyhound up`\n"
        )
    );
}

#[test]
fn the_console_passes_the_words_on_and_the_answer_back() {
    let dir = TestDir::new("console");
    let listener = UnixListener::bind(dir.path("control.sock")).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte).unwrap();
            received.push(byte[0]);
        }
        stream
            .write_all(
                b"{\"text\":\"an answer\\n\",\"status\":1,\"menu\":[],\"numbers\":{},\"repeats\":false}\n",
            )
            .unwrap();
        String::from_utf8(received).unwrap()
    });

    let run_dir = dir.path("");
    let output = greyhound(&["--run-dir", &run_dir, "ppp", "active", "print", "--json"]);

    assert_eq!(stdout(&output), "an answer\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        server.join().unwrap(),
        "{\"line\":\"ppp active print\",\"menu\":[],\"numbers\":{},\"json\":true,\"width\":65535}\n"
    );
}

#[test]
fn a_datapath_that_cannot_do_what_it_is_told_ends_up_with_its_message() {
    let Some(dir) = TestDir::with_programs("datapath", "echo no interface eth9 >&2; exit 2") else {
        return;
    };
    fs::write(dir.path("stale"), "").unwrap();
    fs::create_dir(dir.path("run")).unwrap();
    drop(UnixListener::bind(dir.path("run/control.sock")).unwrap());

    let output = dir.up();

    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text, "no interface eth9\n",
        "told once, by the one that knows"
    );
    assert!(!Path::new(&dir.path("run/control.sock")).exists());
    let pid: u32 = fs::read_to_string(dir.path("run/lock"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(pid > 0);
}

#[test]
fn a_second_instance_is_told_of_the_first_in_one_line() {
    let Some(dir) = TestDir::with_programs("second", "exit 2") else {
        return;
    };
    fs::create_dir(dir.path("run")).unwrap();
    let mut lock = fs::File::create(dir.path("run/lock")).unwrap();
    lock.lock().unwrap();
    writeln!(lock, "4711").unwrap();

    let output = dir.up();

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "greyhound: another greyhound (process 4711) is running with the run directory {}\n",
            dir.path("run")
        )
    );
}

#[test]
fn a_missing_datapath_is_named() {
    let Some(dir) = TestDir::with_programs("no-datapath", "exit 2") else {
        return;
    };
    fs::remove_file(dir.path("greyhound-datapath")).unwrap();

    let output = dir.up();

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "greyhound: {} does not exist: greyhound-datapath belongs beside greyhound\n",
            dir.path("greyhound-datapath")
        )
    );
}

/// A file that is being written when another thread forks cannot be executed until that child has
/// become another program (ETXTBSY): writing programs and starting them take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn greyhound(arguments: &[&str]) -> Output {
    let _turn = turn();
    Command::new(env!("CARGO_BIN_EXE_greyhound"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory that goes away with the test.
struct TestDir(PathBuf);

impl TestDir {
    fn new(name: &str) -> Self {
        let name = format!("greyhound-cli-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// With the program and, beside it, a shell script for a datapath. `None`, and a line that
    /// says so, without the privileges that `up` asks for.
    fn with_programs(name: &str, script: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root");
            return None;
        }
        let dir = Self::new(name);
        let _turn = turn();
        fs::copy(env!("CARGO_BIN_EXE_greyhound"), dir.path("greyhound")).unwrap();
        let datapath = dir.write("greyhound-datapath", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(datapath, fs::Permissions::from_mode(0o755)).unwrap();
        Some(dir)
    }

    /// Runs `greyhound up` in this directory until it ends.
    fn up(&self) -> Output {
        let _turn = turn();
        Command::new(self.path("greyhound"))
            .args(["up", "--demo-config", "--interface", "eth9"])
            .args([
                "--run-dir",
                &self.path("run"),
                "--state-dir",
                &self.path("state"),
            ])
            .output()
            .unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

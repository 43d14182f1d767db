//! The process that runs hooks: whose it is, and what it and its programs may do.

#![expect(
    clippy::unwrap_used,
    reason = "what holds for tests holds for their helpers"
)]

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use greyhound_control::hooks::client::Client;
use greyhound_control::hooks::{Hook, SOCKET, TIMEOUT, When};
use greyhound_control::log::Message;
use greyhound_datapath::ipc::seqpacket::Listener;
use mio::{Events, Poll, Token};

#[test]
#[ignore = "needs root: ./run test"]
fn hooks_are_another_user_without_any_privilege() {
    let mut runner = Runner::start("another-user", &["--user", "65534", "65533"]);
    let status = runner.output_of("/bin/cat", &["/proc/self/status"]);
    let value = |name: &str| {
        let line = status.iter().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status:?}"))
            .trim_start_matches(':')
            .replace('?', " ")
            .trim()
            .to_owned()
    };
    assert_eq!(value("Uid"), "65534 65534 65534 65534");
    assert_eq!(value("Gid"), "65533 65533 65533 65533");
    assert_eq!(value("Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    assert_eq!(value("NoNewPrivs"), "1");
}

#[test]
#[ignore = "needs root: ./run test"]
fn hooks_have_nothing_open_and_the_limits_that_programs_expect() {
    let mut runner = Runner::start("limits", &["--user", "65534", "65534"]);
    // The last one is the folder that it lists.
    let listed = runner.output_of("/bin/ls", &["-m", "/proc/self/fd"]);
    assert_eq!(listed, ["0, 1, 2, 3"]);
    let limits = runner.output_of("/bin/sh", &["-c", "ulimit -S -n; umask"]);
    assert_eq!(limits, ["1024", "0022"]);
}

#[test]
#[ignore = "needs root: ./run test"]
fn root_is_asked_for_and_then_runs_only_what_is_its_own() {
    let mut runner = Runner::start("not-root", &[]);
    let text = "<pptp-ann>: on-up: hooks do not run: root has to be asked for";
    let refusal = [(Message::HookMissing, text.to_owned())];
    assert_eq!(runner.run("/bin/true", &[]), refusal);

    let mut runner = Runner::start("as-root", &["--as-root"]);
    assert_eq!(runner.output_of("/usr/bin/id", &["-u"]), ["0"]);
    let program = runner.dir.join("program");
    fs::copy("/bin/true", &program).unwrap();
    let lines = runner.run(program.to_str().unwrap(), &[]);
    let [(Message::HookMissing, text)] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(
        text.ends_with(": users other than root may change /tmp"),
        "{text}"
    );
}

#[test]
#[ignore = "needs root: ./run test"]
fn who_cannot_become_another_user_runs_nothing() {
    let setpriv = ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"];
    let user = ["--user", "65534", "65534"];
    let mut runner = Runner::start_by(&setpriv, "unable", &user);
    let text = "<pptp-ann>: on-up: hooks do not run: cannot become the user 65534: \
                EPERM: Operation not permitted";
    let refusal = [(Message::HookMissing, text.to_owned())];
    assert_eq!(runner.run("/bin/true", &[]), refusal);
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_runner_that_is_stopped_ends_what_runs_and_tells_it_on_standard_error() {
    let mut runner = Runner::start("stopped", &["--user", "65534", "65534"]);
    runner.run("/bin/true", &[]);
    let hook = hook("/bin/sleep", &["0.2"]);
    runner.client.start(now(), hook, runner.poll.registry());
    assert!(runner.client.is_flushed());
    runner.client = Client::new(&runner.dir, Token(0));
    let output = runner.stop();
    assert!(output.status.success(), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let text = " script,debug <pptp-ann>: on-up: /bin/sleep ended after ";
    assert!(stderr.contains(text), "{stderr}");
}

/// A process that runs hooks, and what the control process has of it.
struct Runner {
    dir: PathBuf,
    child: Option<Child>,
    poll: Poll,
    client: Client,
    /// The socket's name goes with it.
    _listener: Listener,
}

impl Runner {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_by(&[], name, arguments)
    }

    /// The same through another program.
    fn start_by(launcher: &[&str], name: &str, arguments: &[&str]) -> Self {
        let name = format!("greyhound-hooks-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let listener = Listener::bind(&dir.join(SOCKET)).unwrap();
        let stdin = listener.as_fd().try_clone_to_owned().unwrap();
        // As of somebody who does not close what is open: 9 is inherited.
        let child = Command::new("/bin/sh")
            .args([
                "-c",
                "ulimit -S -n 4096; exec 9</dev/null; exec \"$@\"",
                "sh",
            ])
            .args(launcher)
            .arg(env!("CARGO_BIN_EXE_greyhound"))
            .arg("hooks")
            .args(arguments)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::from(stdin))
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            child: Some(child),
            poll: Poll::new().unwrap(),
            client: Client::new(&dir, Token(0)),
            dir,
            _listener: listener,
        }
    }

    /// What a program writes to its standard output.
    fn output_of(&mut self, program: &str, arguments: &[&str]) -> Vec<String> {
        let lines = self.run(program, arguments);
        let output = lines.into_iter().filter_map(|(message, text)| {
            let text = text.strip_prefix("<pptp-ann>: on-up: ")?.to_owned();
            (message == Message::HookOutput).then_some(text)
        });
        output.collect()
    }

    /// The lines of the log about a run of a program.
    fn run(&mut self, program: &str, arguments: &[&str]) -> Vec<(Message, String)> {
        let hook = hook(program, arguments);
        self.client.start(now(), hook, self.poll.registry());
        let mut lines = Vec::new();
        let deadline = now() + Duration::from_secs(30);
        loop {
            assert!(now() < deadline, "{lines:?}");
            let mut events = Events::with_capacity(4);
            let patience = Some(Duration::from_millis(100));
            // A child that ends may interrupt it.
            let _ = self.poll.poll(&mut events, patience);
            self.client.handle_ready(now(), self.poll.registry());
            while let Some(line) = self.client.poll_line() {
                let message = line.message.unwrap();
                lines.push((message, line.text));
                if !matches!(message, Message::HookOutput | Message::HookComplaint) {
                    return lines;
                }
            }
        }
    }

    fn stop(&mut self) -> Output {
        let child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn hook(program: &str, arguments: &[&str]) -> Hook {
    Hook {
        when: When::Up,
        interface: "<pptp-ann>".to_owned(),
        program: program.into(),
        arguments: arguments.iter().copied().map(str::to_owned).collect(),
        environment: Vec::new(),
        timeout: TIMEOUT,
    }
}

#[expect(clippy::disallowed_methods, reason = "the processes are real")]
fn now() -> Instant {
    Instant::now()
}

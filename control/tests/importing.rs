//! `greyhound import` asked of a running control process, as an operator who comes from elsewhere
//! would.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what holds for tests holds for their helpers"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

#[test]
fn exports_in_three_styles_come_out_as_they_went_in() {
    for name in ["v6-compact.rsc", "v7-terse.rsc", "v7-verbose.rsc"] {
        let first = Control::start(name);
        let source = first.source(name);
        let done = first.run(&["import", &source]);
        assert!(done.status.success(), "{name}: {}", stderr(&done));
        assert_eq!(
            stdout(&done),
            "Script file loaded and executed successfully\n"
        );
        let exported = first.exported();

        // It has the port of `/radius incoming`.
        drop(first);
        let second = Control::start(&format!("{name}-again"));
        let again = second.dir.join("exported.rsc");
        fs::write(&again, &exported).unwrap();
        let done = second.run(&["import", again.to_str().unwrap()]);
        assert!(done.status.success(), "{name}: {}", stderr(&done));
        assert_eq!(second.exported(), exported, "{name}");
        assert!(exported.contains("/ppp secret\n"), "{exported}");
    }
}

#[test]
fn a_dry_run_tells_what_would_be_added_and_left_out_and_changes_nothing() {
    let control = Control::start("dry-run");
    let before = control.exported();
    let source = control.source("whole-router.rsc");
    let done = control.run(&["import", "--dry-run", &source]);

    assert!(done.status.success());
    assert!(
        stdout(&done).contains("/ppp secret add "),
        "{}",
        stdout(&done)
    );
    let left_out = stderr(&done);
    let first = left_out.lines().next().unwrap();
    assert!(
        first.starts_with(&format!("{source}:")) && first.contains(": left out: "),
        "{first}"
    );
    assert_eq!(control.exported(), before);
}

#[test]
fn the_console_imports_as_well() {
    let control = Control::start("console");
    let source = control.source("v7-terse.rsc");
    let done = control.type_in(&format!(
        "/ppp secret\nimport \"{source}\"\nprint count-only\n"
    ));
    assert!(done.status.success(), "{}", stderr(&done));
    let out = stdout(&done);
    let count = out.strip_prefix("Script file loaded and executed successfully\n");
    assert!(
        count.is_some_and(|count| count.trim().parse::<u32>().unwrap() > 0),
        "{out}"
    );
    let refused = control.type_in("import /no/such/file\nprint");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("/no/such/file cannot be read"));
}

#[test]
fn a_tunnel_of_pptpsetup_is_called_as_its_file_and_gets_its_password() {
    let control = Control::start("peers");
    let peer = control.source("peers/provider");
    let done = control.run(&["import", &peer]);
    assert!(done.status.success(), "{}", stderr(&done));
    let secrets = control.dir.join("chap-secrets");
    fs::write(&secrets, "me provider \"out\" *\n").unwrap();
    let done = control.run(&["import", secrets.to_str().unwrap()]);
    assert!(done.status.success(), "{}", stderr(&done));

    let exported = control.exported();
    for given in ["name=provider", "password=out", "profile=pppd-provider"] {
        assert!(exported.contains(given), "{exported}");
    }
    assert!(!exported.contains("disabled=no"), "{exported}");
}

#[test]
fn what_is_of_another_kind_or_not_there_is_an_error() {
    let control = Control::start("errors");
    let file = control.dir.join("noise");
    fs::write(&file, "\u{1}\u{2}\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &["import", file][..],
        &["import", "--as", "accel-ppp", file],
        &["import", "/no/such/file"],
    ] {
        let refused = control.run(arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(
            stderr(&refused).starts_with("greyhound: "),
            "{}",
            stderr(&refused)
        );
    }
    assert_eq!(control.exported(), "");
}

/// A control process without datapath, with a folder of its own.
struct Control {
    child: Child,
    dir: PathBuf,
}

impl Control {
    fn start(name: &str) -> Self {
        let name = format!("greyhound-importing-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let child = Command::new(PROGRAM)
            .arg("control")
            .arg("--config")
            .arg(dir.join("greyhound.rsc"))
            .arg("--run-dir")
            .arg(&dir)
            .arg("--state-dir")
            .arg(&dir)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let control = Self { child, dir };
        for _ in 0..1000 {
            if control
                .run(&["/system", "identity", "print"])
                .status
                .success()
            {
                return control;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the control process does not answer");
    }

    /// A fixture that does not make this machine a server.
    fn source(&self, name: &str) -> String {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/sources");
        let bytes = fs::read(fixture.join(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes).replace("enabled=yes", "enabled=no");
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let dir = self.dir.to_str().unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(["--run-dir", dir])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// What the console does with lines that come through a pipe.
    fn type_in(&self, lines: &str) -> Output {
        let input = self.dir.join("input");
        fs::write(&input, lines).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("--run-dir").arg(&self.dir);
        command.stdin(fs::File::open(input).unwrap());
        command.output().unwrap()
    }

    /// What is configured, without the line that has the date.
    fn exported(&self) -> String {
        let text = stdout(&self.run(&["export", "show-sensitive"]));
        text.lines()
            .skip(2)
            .map(|line| line.to_owned() + "\n")
            .collect()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_greyhound");

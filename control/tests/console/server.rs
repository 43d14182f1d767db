//! A control process without a datapath: it answers the console, and nobody connects to it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than anything takes that comes at all.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait before looking again.
pub const PAUSE: Duration = Duration::from_millis(10);

/// A control process with a configuration, and the home of the user who asks it.
pub struct Server {
    dir: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// One with a few items.
    pub fn start() -> Self {
        Self::with("")
    }

    /// One with `more` items.
    pub fn with(more: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("greyhound-console-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("run")).unwrap();
        fs::create_dir_all(dir.join("home")).unwrap();
        fs::write(dir.join("config.rsc"), format!("{CONFIG}{more}")).unwrap();
        let mut server = Self { dir, process: None };
        let process = greyhound(&server.dir)
            .args(["control", "--config"])
            .arg(server.dir.join("config.rsc"))
            .arg("--state-dir")
            .arg(server.dir.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        server.process = Some(process);
        let socket = server.dir.join("run/control.sock");
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if UnixStream::connect(&socket).is_ok() {
                return server;
            }
            thread::sleep(PAUSE);
        }
        panic!("the control process does not answer");
    }

    /// The program as one calls it to ask this process.
    pub fn greyhound(&self) -> Command {
        greyhound(&self.dir)
    }

    /// Asks one thing.
    pub fn asked(&self, words: &[&str]) -> Output {
        self.greyhound().args(words).output().unwrap()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const CONFIG: &str = "\
/system identity set name=Lab
/ip pool add name=clients ranges=10.0.0.1-10.0.0.5
/ip pool add name=guests ranges=10.0.1.1-10.0.1.5
/ppp profile add name=staff
/interface pptp-client add name=out1 connect-to=127.0.0.1 user=u password=p disabled=yes
/ppp secret add name=ann password=p profile=staff
";

fn greyhound(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greyhound"));
    command
        .arg("--run-dir")
        .arg(dir.join("run"))
        .env("TERM", "xterm-256color")
        .env("HOME", dir.join("home"))
        .env_remove("XDG_STATE_HOME")
        .env_remove("NO_COLOR");
    command
}

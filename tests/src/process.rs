//! The product's programs, started and ended as an operator would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::console::{Client, Console};
use crate::namespace::Namespace;
use crate::scratch::Scratch;
use crate::wait::{wait_for, wait_until};

/// How to start `greyhound up`.
#[derive(Clone, Debug)]
pub struct Up {
    /// The configuration; `None` is what is kept in the folder, if anything is.
    pub config: Option<String>,
    /// The interface that GRE goes through, or several with commas; if empty, none is named.
    pub interface: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// A capability that is taken from it before it starts, as setpriv(1) calls it.
    without: Option<String>,
}

impl Up {
    /// With this configuration on this interface.
    #[must_use]
    pub fn new(config: &str, interface: &str) -> Self {
        Self {
            config: Some(config.to_owned()),
            interface: interface.to_owned(),
            arguments: Vec::new(),
            without: None,
        }
    }

    /// With what it kept itself, which at first is nothing.
    #[must_use]
    pub fn keeping(interface: &str) -> Self {
        Self {
            config: None,
            ..Self::new("", interface)
        }
    }

    /// Takes a capability from it, in the words of setpriv(1): `net_admin`.
    #[must_use]
    pub fn without(mut self, capability: &str) -> Self {
        self.without = Some(capability.to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Starts it in a namespace and waits until its console answers and its datapath is there.
    ///
    /// # Errors
    /// It ends, or says nothing for some seconds; the message has its log.
    pub fn start(&self, namespace: &Namespace) -> Result<Greyhound> {
        self.start_in(namespace, &Arc::new(Scratch::new("run")?))
    }

    /// The same with a folder for its configuration, sockets, state and log, which may hold those
    /// of an earlier one.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(&self, namespace: &Namespace, folder: &Arc<Scratch>) -> Result<Greyhound> {
        let log = File::create(folder.file(LOG))?;
        let mut command = self.command(namespace, folder)?;
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("start greyhound up")?;
        let mut greyhound = Greyhound {
            child,
            folder: Arc::clone(folder),
            kept: false,
        };
        greyhound.wait_until_ready()?;
        Ok(greyhound)
    }

    /// Starts it where it should refuse, and waits for its end.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub fn refused(&self, namespace: &Namespace) -> Result<Output> {
        self.refused_in(namespace, &Scratch::new("refused")?)
    }

    /// The same with a folder that another instance may be using.
    ///
    /// # Errors
    /// As [`Self::refused`].
    pub fn refused_in(&self, namespace: &Namespace, folder: &Scratch) -> Result<Output> {
        let mut command = self.command(namespace, folder)?;
        let (stdout, stderr) = (folder.file("stdout"), folder.file("stderr"));
        command
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?);
        let mut child = command.spawn().context("start greyhound up")?;
        let ended = wait_for("greyhound up ends", START_PATIENCE, || {
            child.try_wait().transpose()
        });
        let Ok(status) = ended else {
            child.kill()?;
            child.wait()?;
            bail!(
                "greyhound up went on, with {:?}",
                fs::read_to_string(stderr)
            );
        };
        Ok(Output {
            status: status?,
            stdout: fs::read(stdout)?,
            stderr: fs::read(stderr)?,
        })
    }

    fn command(&self, namespace: &Namespace, folder: &Scratch) -> Result<Command> {
        let greyhound = program("greyhound")?;
        let mut command = match &self.without {
            None => namespace.command(greyhound),
            Some(capability) => {
                let mut command = namespace.command("setpriv");
                command
                    .arg(format!("--bounding-set=-{capability}"))
                    .arg(format!("--inh-caps=-{capability}"))
                    .arg(greyhound);
                command
            }
        };
        command.arg("up");
        let config = folder.file("config.rsc");
        if let Some(text) = &self.config {
            fs::write(&config, text)?;
        }
        if !self.interface.is_empty() {
            command.args(["--interface", &self.interface]);
        }
        command
            .arg("--config")
            .arg(config)
            .arg("--run-dir")
            .arg(folder.file(RUN))
            .arg("--state-dir")
            .arg(folder.file(STATE))
            .args(&self.arguments);
        Ok(command)
    }
}

/// A running `greyhound up`; killed with what it started when dropped.
#[derive(Debug)]
pub struct Greyhound {
    child: Child,
    folder: Arc<Scratch>,
    kept: bool,
}

impl Greyhound {
    /// Asks its console.
    ///
    /// # Errors
    /// The program is missing.
    pub fn console(&self) -> Result<Console> {
        Ok(Console::new(program("greyhound")?, self.folder.file(RUN)))
    }

    /// Waits until this many of its clients are connected, and returns them.
    ///
    /// # Errors
    /// They are not within `patience`; the message has its log.
    pub fn wait_for_clients(&self, count: usize, patience: Duration) -> Result<Vec<Client>> {
        let console = self.console()?;
        let connected = || {
            let mut clients = console.clients().ok()?;
            clients.retain(|client| client.running);
            (clients.len() == count).then_some(clients)
        };
        let what = format!("{count} clients are connected");
        wait_for(&what, patience, connected).with_context(|| self.log())
    }

    /// The process that was started, which watches the others.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.child.id()
    }

    /// The processes that it watches: id by program and role, as `greyhound-datapath` and
    /// `greyhound control`.
    #[must_use]
    pub fn watched(&self) -> BTreeMap<String, u32> {
        children(self.child.id())
            .into_iter()
            .filter_map(|pid| Some((title(pid)?, pid)))
            .collect()
    }

    /// The datapath process.
    ///
    /// # Errors
    /// There is none at the moment.
    pub fn datapath(&self) -> Result<u32> {
        self.watched_as("greyhound-datapath")
    }

    /// The control process.
    ///
    /// # Errors
    /// There is none at the moment.
    pub fn control(&self) -> Result<u32> {
        self.watched_as("greyhound control")
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.file(LOG)).unwrap_or_default()
    }

    /// Ends it by SIGTERM and waits for its orderly end.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        send_signal(self.child.id(), Signal::TERM)?;
        wait_for("greyhound ends on SIGTERM", STOP_PATIENCE, || {
            self.child.try_wait().transpose()
        })?
        .context("wait for greyhound")
    }

    /// Kills all of its processes at once, as a power cut would; the supervisor first, so that
    /// nothing is restarted.
    ///
    /// # Errors
    /// One of them cannot be killed.
    pub fn kill_everything(&mut self) -> Result<()> {
        let watched = self.watched();
        send_signal(self.child.id(), Signal::KILL)?;
        self.child.wait()?;
        for pid in watched.into_values() {
            // It may be gone already: who is watched ends with the watcher.
            let _ = send_signal(pid, Signal::KILL);
            wait_until("a killed process is gone", STOP_PATIENCE, || !exists(pid))?;
        }
        Ok(())
    }

    /// Its folder, to start another one with the same state.
    #[must_use]
    pub fn folder(&self) -> &Arc<Scratch> {
        &self.folder
    }

    /// Leaves it running, with its folder, when the value is dropped.
    pub fn keep(&mut self) {
        self.kept = true;
        self.folder.keep();
    }

    fn watched_as(&self, title: &str) -> Result<u32> {
        let watched = self.watched();
        let found = watched.get(title).copied();
        found.with_context(|| format!("no {title} among {watched:?}"))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let console = self.console()?;
        let ready = wait_for("the console answers", START_PATIENCE, || {
            match self.child.try_wait() {
                Ok(Some(status)) => Some(Some(status)),
                _ => console.datapath().is_ok().then_some(None),
            }
        });
        match ready.with_context(|| self.log())? {
            None => Ok(()),
            Some(status) => bail!("greyhound up ended with {status}\n{}", self.log()),
        }
    }
}

impl Drop for Greyhound {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the log is lost otherwise")]
            {
                eprintln!("--- log of greyhound\n{}", self.log());
            }
        }
        let watched = self.watched();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in watched.into_values() {
            let _ = send_signal(pid, Signal::KILL);
        }
    }
}

/// Where the product's programs are: beside the folder of the program that runs now, or where
/// `GREYHOUND_PROGRAMS` says.
///
/// # Errors
/// This program cannot be found.
pub fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("GREYHOUND_PROGRAMS") {
        return Ok(folder.into());
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program without a folder")?;
    // A test lies in deps/, a program in its parent.
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.to_owned())
}

/// Where `greyhound up` has its sockets, of one that was started with this folder.
#[must_use]
pub fn run_dir_in(folder: &Path) -> PathBuf {
    folder.join(RUN)
}

/// One of the product's programs.
///
/// # Errors
/// It has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = programs()?.join(name);
    ensure!(
        path.exists(),
        "{} is missing: cargo build --workspace --bins",
        path.display()
    );
    Ok(path)
}

/// How many descriptors a process has open.
///
/// # Errors
/// There is no such process.
pub fn descriptors(pid: u32) -> Result<usize> {
    let folder = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&folder).with_context(|| folder)?.count())
}

/// Sends a signal to a process that we started.
///
/// # Errors
/// There is no such process.
pub fn send_signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("not a process id")?;
    kill_process(pid, signal).with_context(|| format!("signal {signal:?} to {pid:?}"))
}

/// Whether there is such a process, and it is not just waiting to be waited for.
#[must_use]
pub fn exists(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z')
}

/// The direct children of a process.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| {
            state_and_parent(pid).is_some_and(|(state, of)| of == parent && state != 'Z')
        })
        .collect()
}

/// State letter and parent from /proc/PID/stat; the name before them may hold anything.
fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// The program's name, and for `greyhound` its first argument: `greyhound control`.
fn title(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let mut words = line.split('\0');
    let name = Path::new(words.next()?).file_name()?.to_str()?.to_owned();
    match words.next() {
        Some(role) if name == "greyhound" => Some(format!("{name} {role}")),
        _ => Some(name),
    }
}

/// Long enough for a probe of every I/O mode on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// Long enough for every interface to go.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

const LOG: &str = "log";
const RUN: &str = "run";
const STATE: &str = "state";

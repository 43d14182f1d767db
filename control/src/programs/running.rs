//! One program that runs: its process group, its output, its time.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::output::Output;
use super::{End, Outcome, Source};

/// A program to be run.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Its absolute path.
    pub(crate) program: &'a Path,
    /// Its arguments.
    pub(crate) arguments: &'a [String],
    /// Where it finds programs that it names without a path.
    pub(crate) path: &'a str,
    /// Its whole environment, but for `PATH`.
    pub(crate) environment: &'a [(String, String)],
    /// What it has to read: less than a pipe holds.
    pub(crate) input: &'a [u8],
    /// How long it may take.
    pub(crate) timeout: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pidfd: OwnedFd,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    since: Instant,
    deadline: Instant,
    /// What the end is put down to, once the process group has been killed.
    killed: Option<Outcome>,
    /// What it wrote.
    output: Output,
}

impl Running {
    /// Starts a program: no shell, `/` as its folder, just that environment and a process group of
    /// its own.
    ///
    /// # Errors
    /// It cannot be run; what to say of it.
    pub(crate) fn start(now: Instant, launch: &Launch<'_>) -> Result<Self, String> {
        let program = launch.program.display();
        let variables = launch.environment.iter();
        let input = launch.input;
        let stdin = if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        };
        let mut child = Command::new(launch.program)
            .args(launch.arguments)
            .env_clear()
            .env("PATH", launch.path)
            .envs(variables.map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{program} cannot be run: {error}"))?;
        if let Some(mut pipe) = child.stdin.take() {
            // The pipe holds it all, so that this does not wait. Who does not read has its reasons.
            let _ = pipe.write_all(input);
        }
        match watch(&mut child) {
            Ok((pidfd, stdout, stderr)) => Ok(Self {
                child,
                pidfd,
                stdout,
                stderr,
                since: now,
                deadline: now + launch.timeout,
                killed: None,
                output: Output::default(),
            }),
            Err(error) => {
                // It does not go on unwatched.
                kill(&child);
                let _ = child.wait();
                Err(format!("{program} cannot be watched: {error}"))
            }
        }
    }

    /// The next line that it wrote.
    pub(crate) fn pop_line(&mut self) -> Option<(Source, String)> {
        self.output.pop()
    }

    /// A line could not be passed on.
    pub(crate) const fn leave_out(&mut self) {
        self.output.leave_out();
    }

    /// Lines that were not passed on.
    pub(crate) const fn left_out(&self) -> u64 {
        self.output.left_out()
    }

    /// What becomes readable when something is to be done.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pidfd = std::iter::once(self.pidfd.as_fd());
        let stdout = self.stdout.iter().map(AsFd::as_fd);
        pidfd
            .chain(stdout)
            .chain(self.stderr.iter().map(AsFd::as_fd))
    }

    /// When to call [`Self::advance`] at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.killed.is_none().then_some(self.deadline)
    }

    /// Takes what was written, kills what took too long; returns how it ended, once it has.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<End> {
        // Looked at before the pipes: what it wrote before its end is in them then.
        let status = match self.child.try_wait() {
            Ok(status) => status,
            // Nobody else waits for it, so that this does not happen.
            Err(error) => return Some(self.end(now, Outcome::Lost(error.to_string()))),
        };
        read(&mut self.stdout, Source::Stdout, &mut self.output);
        read(&mut self.stderr, Source::Stderr, &mut self.output);
        let Some(status) = status else {
            if self.killed.is_none() && self.deadline <= now {
                self.kill(Outcome::TimedOut);
            }
            return None;
        };
        let outcome = self.killed.take().unwrap_or_else(|| outcome(status));
        Some(self.end(now, outcome))
    }

    /// Kills it, with all that it started and that did not leave its process group.
    pub(crate) fn kill(&mut self, why: Outcome) {
        kill(&self.child);
        self.killed = Some(why);
    }

    /// What it left behind may go on writing, and nobody reads it.
    fn end(&mut self, now: Instant, outcome: Outcome) -> End {
        self.output.finish();
        End {
            outcome,
            lasted: now.saturating_duration_since(self.since),
            left_out: self.output.left_out(),
        }
    }
}

/// Where programs are, as a rule.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is read from a pipe at a time, so that one that is written without end holds nobody up.
const BYTES_A_TURN: usize = 64 * 1024;

fn watch(child: &mut Child) -> io::Result<(OwnedFd, Option<ChildStdout>, Option<ChildStderr>)> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    if let Some(pipe) = &stdout {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    if let Some(pipe) = &stderr {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    Ok((pidfd, stdout, stderr))
}

/// The child has not been waited for yet, so that the number of its group is nobody else's.
fn kill(child: &Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// Reads what is there; a pipe that has ended is let go.
fn read(pipe: &mut Option<impl Read>, source: Source, output: &mut Output) {
    let mut buffer = [0; 4096];
    for _ in 0..BYTES_A_TURN / buffer.len() {
        let Some(reader) = pipe else {
            return;
        };
        match reader.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => output.take(source, &buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => *pipe = None,
        }
    }
}

fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(code),
        (None, Some(signal)) => Outcome::Signalled(signal),
        // Stopped or continued: not asked for, so that it is not told.
        (None, None) => Outcome::Lost(status.to_string()),
    }
}

/// How long what was killed may take to be gone.
pub(crate) const KILL_PATIENCE: Duration = Duration::from_secs(1);

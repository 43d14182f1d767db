//! One program that runs: its process group, its output, its time.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::output::Output;
use super::program::{check, check_for_root};
use super::{End, Hook, Outcome, Source};

/// A hook that runs.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pidfd: OwnedFd,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    since: Instant,
    deadline: Instant,
    /// What the end is put down to, once the process group has been killed.
    killed: Option<Outcome>,
    /// What it wrote.
    pub(super) output: Output,
}

impl Running {
    /// Starts a program: no shell, nothing to read, `/` as its folder, the hook's environment and a
    /// process group of its own.
    ///
    /// # Errors
    /// There is no program that may be run; what to say of it.
    pub(super) fn start(now: Instant, hook: &Hook, as_root: bool) -> Result<Self, String> {
        check(&hook.program).map_err(|error| error.to_string())?;
        if as_root {
            check_for_root(&hook.program).map_err(|error| error.to_string())?;
        }
        let variables = hook.environment.iter();
        let mut child = Command::new(&hook.program)
            .args(&hook.arguments)
            .env_clear()
            .env("PATH", PATH)
            .envs(variables.map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", hook.program.display()))?;
        match watch(&mut child) {
            Ok((pidfd, stdout, stderr)) => Ok(Self {
                child,
                pidfd,
                stdout,
                stderr,
                since: now,
                deadline: now + hook.timeout,
                killed: None,
                output: Output::default(),
            }),
            Err(error) => {
                // It does not go on unwatched.
                kill(&child);
                let _ = child.wait();
                Err(format!(
                    "{} cannot be watched: {error}",
                    hook.program.display()
                ))
            }
        }
    }

    /// What becomes readable when something is to be done.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pidfd = std::iter::once(self.pidfd.as_fd());
        let stdout = self.stdout.iter().map(AsFd::as_fd);
        pidfd
            .chain(stdout)
            .chain(self.stderr.iter().map(AsFd::as_fd))
    }

    /// When to call [`Self::advance`] at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.killed.is_none().then_some(self.deadline)
    }

    /// Takes what was written, kills what took too long; returns how it ended, once it has.
    pub(super) fn advance(&mut self, now: Instant) -> Option<End> {
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
    pub(super) fn kill(&mut self, why: Outcome) {
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

/// Where a hook finds programs that it names without a path.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(1);

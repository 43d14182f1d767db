//! Starts programs, starts one that ends again, and stops all of them in order.
//!
//! One thread waits for everything at once: for the ends of the programs (pidfds), for what they
//! write to their standard error, which goes on to the supervisor's log line by line, and for the
//! word to stop. Each program is a process group of its own, so that Ctrl-C in a terminal reaches
//! the supervisor alone and the order of stopping holds. That a program does not outlive a killed
//! supervisor is the program's own care (PR_SET_PDEATHSIG).

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The exit status by which a program says that it will fail in the same way again: what it was
/// told to do is not possible here.
pub const CONFIGURATION_STATUS: i32 = 2;

/// A program to be kept running.
#[derive(Clone, Debug)]
pub struct Program {
    /// What the log calls it.
    pub name: &'static str,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it has as standard input; `None` is nothing to read.
    pub stdin: Option<Arc<OwnedFd>>,
}

/// How patient the supervisor is.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The pause before a program is started again; each further end doubles it.
    pub first_pause: Duration,
    /// The longest pause. A program that ran for longer begins with the first pause again.
    pub longest_pause: Duration,
    /// A program that ended before this has failed to start.
    pub settled: Duration,
    /// After so many failed starts in a row the supervisor gives up.
    pub attempts: u32,
    /// How long a program may take to stop before it is killed.
    pub grace: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            settled: Duration::from_secs(1),
            attempts: 5,
            grace: Duration::from_secs(5),
        }
    }
}

/// Why the supervisor ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started at all.
    #[error("{name} could not be started")]
    Start {
        /// The program.
        name: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed to start too often.
    #[error("{name} failed {attempts} times right after its start: {last}")]
    GaveUp {
        /// The program.
        name: &'static str,
        /// How often.
        attempts: u32,
        /// The last line it wrote, or its exit status.
        last: String,
    },
    /// A program ended with [`CONFIGURATION_STATUS`].
    #[error("{name}: {last}")]
    Configuration {
        /// The program.
        name: &'static str,
        /// The last line it wrote, or its exit status.
        last: String,
    },
    /// The kernel refused what the supervisor needs itself.
    #[error("waiting for the programs is not possible")]
    Wait(#[source] io::Error),
}

/// Runs `programs` until `stop` is readable. They are started in their order and stopped in the
/// opposite one, each with SIGTERM and, after the grace, SIGKILL; none of them is left behind.
///
/// # Errors
/// Why it ended without having been told to.
pub fn supervise(
    programs: &[Program],
    policy: &Policy,
    stop: impl AsFd,
    log: &mut dyn Write,
) -> Result<(), Error> {
    let mut nowhere = io::sink();
    let mut supervisor = Supervisor {
        slots: programs
            .iter()
            .map(|program| Slot::new(program, policy))
            .collect(),
        policy,
        log,
    };
    let outcome = supervisor.run(stop.as_fd());
    if matches!(outcome, Err(Error::Configuration { .. })) && supervisor.is_starting() {
        // What the others say about their end would only stand beside what is wrong.
        supervisor.log = &mut nowhere;
    }
    let stopped = supervisor.stop_all();
    outcome?;
    stopped
}

struct Supervisor<'a> {
    slots: Vec<Slot<'a>>,
    policy: &'a Policy,
    log: &'a mut dyn Write,
}

/// A program and what has become of it.
struct Slot<'a> {
    program: &'a Program,
    restarts: Restarts<'a>,
    state: State,
}

enum State {
    /// To be started at this time.
    Due(Instant),
    Running(Running),
    Stopped,
}

struct Running {
    child: Child,
    pidfd: OwnedFd,
    output: Output,
    since: Instant,
}

/// How a program ended.
struct End {
    status: ExitStatus,
    lived: Duration,
    /// The last line it wrote, or its exit status in words.
    last: String,
}

impl Supervisor<'_> {
    /// Returns once `stop` is readable.
    fn run(&mut self, stop: BorrowedFd<'_>) -> Result<(), Error> {
        loop {
            let now = now();
            for slot in &mut self.slots {
                if matches!(slot.state, State::Due(at) if at <= now) {
                    slot.start()?;
                }
            }
            let next_start = self.slots.iter().filter_map(|slot| match slot.state {
                State::Due(at) => Some(at),
                State::Running(_) | State::Stopped => None,
            });
            if self.wait(Some(stop), next_start.min())? {
                return Ok(());
            }
            for slot in &mut self.slots {
                if let Some(end) = slot.take_end(self.log)? {
                    slot.restart(&end, self.policy, self.log)?;
                }
            }
        }
    }

    /// Whether none of the programs has done anything yet.
    fn is_starting(&self) -> bool {
        let now = now();
        let mut running = self.slots.iter().filter_map(Slot::running);
        running.all(|one| now.saturating_duration_since(one.since) < self.policy.settled)
    }

    fn stop_all(&mut self) -> Result<(), Error> {
        for index in (0..self.slots.len()).rev() {
            self.stop(index)?;
        }
        Ok(())
    }

    /// Stops one program while the others may go on writing.
    fn stop(&mut self, index: usize) -> Result<(), Error> {
        let deadline = now() + self.policy.grace;
        let name = self.slots[index].program.name;
        self.slots[index].signal(Signal::TERM);
        let mut is_killed = false;
        loop {
            // Those whose turn to stop comes later may end meanwhile.
            for slot in &mut self.slots {
                slot.take_end(self.log)?;
            }
            if !matches!(self.slots[index].state, State::Running(_)) {
                self.slots[index].state = State::Stopped;
                return Ok(());
            }
            if now() < deadline {
                self.wait(None, Some(deadline))?;
            } else {
                // The end of its output may be there before its own.
                if !std::mem::replace(&mut is_killed, true) {
                    let _ = writeln!(self.log, "{name} does not stop and is killed");
                    self.slots[index].signal(Signal::KILL);
                }
                self.wait(None, Some(now() + self.policy.grace))?;
            }
        }
    }

    /// Waits until something happens or `until`, and passes on what the programs wrote. Tells
    /// whether `stop` is readable.
    fn wait(
        &mut self,
        stop: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Result<bool, Error> {
        let running = || self.slots.iter().filter_map(Slot::running);
        let mut fds: Vec<_> = running()
            .map(|running| PollFd::from_borrowed_fd(running.pidfd.as_fd(), PollFlags::IN))
            .collect();
        let pipes = running().filter_map(|running| running.output.pipe.as_ref());
        fds.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        if let Some(stop) = stop {
            fds.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
        }
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(now());
            Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            })
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            // A signal; if it is one to stop, `stop` is readable the next time.
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(Error::Wait(errno.into())),
        }
        let is_stop = stop.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        for slot in &mut self.slots {
            if let State::Running(running) = &mut slot.state {
                running.output.pass_on(self.log);
            }
        }
        Ok(is_stop)
    }
}

impl<'a> Slot<'a> {
    fn new(program: &'a Program, policy: &'a Policy) -> Self {
        Self {
            program,
            restarts: Restarts::new(policy),
            state: State::Due(now()),
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        let name = self.program.name;
        let stdin = match &self.program.stdin {
            Some(fd) => fd.try_clone().map(Stdio::from),
            None => Ok(Stdio::null()),
        };
        let child = Command::new(&self.program.path)
            .args(&self.program.arguments)
            .stdin(stdin.map_err(|source| Error::Start { name, source })?)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Start { name, source })?;
        let running = Running::new(child).map_err(|source| Error::Start { name, source })?;
        self.state = State::Running(running);
        Ok(())
    }

    /// What a program that ended leaves behind, if it has.
    fn take_end(&mut self, log: &mut dyn Write) -> Result<Option<End>, Error> {
        let State::Running(running) = &mut self.state else {
            return Ok(None);
        };
        let Some(status) = running.child.try_wait().map_err(Error::Wait)? else {
            return Ok(None);
        };
        running.output.pass_on(log);
        running.output.finish(log);
        let last = std::mem::take(&mut running.output.last);
        let end = End {
            status,
            lived: now().saturating_duration_since(running.since),
            last: if last.is_empty() {
                status.to_string()
            } else {
                last
            },
        };
        self.state = State::Stopped;
        Ok(Some(end))
    }

    /// Plans the next start after an end that nobody asked for.
    fn restart(&mut self, end: &End, policy: &Policy, log: &mut dyn Write) -> Result<(), Error> {
        let name = self.program.name;
        let last = || end.last.clone();
        if end.status.code() == Some(CONFIGURATION_STATUS) {
            return Err(Error::Configuration { name, last: last() });
        }
        let Some(pause) = self.restarts.pause_after(end.lived) else {
            let attempts = policy.attempts;
            return Err(Error::GaveUp {
                name,
                attempts,
                last: last(),
            });
        };
        let seconds = pause.as_secs_f32();
        let status = end.status;
        let _ = writeln!(log, "{name} ended ({status}), starts again in {seconds} s");
        self.state = State::Due(now() + pause);
        Ok(())
    }

    /// Signals the program if it runs. One that has just ended is none the worse for it.
    fn signal(&self, signal: Signal) {
        if let Some(running) = self.running() {
            let _ = pidfd_send_signal(&running.pidfd, signal);
        }
    }

    fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) => Some(running),
            State::Due(_) | State::Stopped => None,
        }
    }
}

impl Running {
    /// Watches over `child`, which does not go on unwatched.
    fn new(mut child: Child) -> io::Result<Self> {
        match Self::watch(&mut child) {
            Ok((pidfd, output)) => Ok(Self {
                child,
                pidfd,
                output,
                since: now(),
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn watch(child: &mut Child) -> io::Result<(OwnedFd, Output)> {
        let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        if let Some(pipe) = &child.stderr {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok((pidfd, Output::new(child.stderr.take())))
    }
}

/// What a program writes to its standard error, cut into lines.
struct Output {
    /// Until its end; not blocking.
    pipe: Option<ChildStderr>,
    /// The beginning of a line.
    begun: Vec<u8>,
    /// The last line that is not blank.
    last: String,
}

impl Output {
    const fn new(pipe: Option<ChildStderr>) -> Self {
        Self {
            pipe,
            begun: Vec::new(),
            last: String::new(),
        }
    }

    /// Writes what has come to `log`, whole lines only: two programs write to it. No more than a
    /// full pipe at a time, so that one that writes without end does not hold up the others.
    fn pass_on(&mut self, log: &mut dyn Write) {
        let mut buffer = [0; 4096];
        for _ in 0..PIPE_BYTES / buffer.len() {
            let Some(pipe) = &mut self.pipe else {
                return;
            };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.take(&buffer[..count], log),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn take(&mut self, bytes: &[u8], log: &mut dyn Write) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun.len() >= LONGEST_LINE {
                self.finish(log);
            }
        }
    }

    /// Ends the line that was begun.
    fn finish(&mut self, log: &mut dyn Write) {
        let line = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            text.clone_into(&mut self.last);
            // A log that cannot be written is no reason to stop the programs.
            let _ = writeln!(log, "{text}");
        }
    }
}

/// What a pipe holds (pipe(7)).
const PIPE_BYTES: usize = 65_536;

/// A line that is longer is passed on in pieces.
const LONGEST_LINE: usize = 8192;

/// How often a program has failed, and what that means.
#[derive(Debug)]
struct Restarts<'a> {
    policy: &'a Policy,
    pause: Duration,
    failed_starts: u32,
}

impl<'a> Restarts<'a> {
    const fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            pause: policy.first_pause,
            failed_starts: 0,
        }
    }

    /// The pause before the next start of a program that ran for `lived`; `None` to give up.
    fn pause_after(&mut self, lived: Duration) -> Option<Duration> {
        if lived < self.policy.settled {
            self.failed_starts += 1;
        } else {
            self.failed_starts = 0;
        }
        if self.failed_starts >= self.policy.attempts {
            return None;
        }
        if lived > self.policy.longest_pause {
            self.pause = self.policy.first_pause;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.policy.longest_pause);
        Some(pause)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the supervisor waits for processes: its clock is the machine's"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;

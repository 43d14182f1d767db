//! The process that runs hooks.
//!
//! One thread waits for everything at once: for the control process to say what to run, for the
//! ends of programs (pidfds), for what they write, and for the word to stop. What there is to tell
//! goes to the control process, and to this process's own log while there is none.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{Timespec, poll};
use rustix::io::Errno;

use super::queue::Queue;
use super::{Event, Hook, Request, VERSION, line, program};
use crate::log::{Line, Log, Message};
use crate::programs::asker::{Asker, Heard, readable};
use crate::programs::{End, KILL_PATIENCE, Launch, Outcome, PATH, Running, Source};

/// How many hooks run at once; the others wait.
pub const AT_ONCE: usize = 16;

/// How long hooks may take once the program stops. It is less than what the supervisor waits.
pub const STOP_GRACE: Duration = Duration::from_secs(4);

/// What a runner is started with.
#[derive(Debug)]
pub struct Options {
    /// The socket that the control process connects to, which listens already.
    pub listener: OwnedFd,
    /// How many hooks run at once.
    pub at_once: usize,
    /// How long hooks may take once the runner is to stop.
    pub stop_grace: Duration,
    /// Hooks run as root.
    pub as_root: bool,
    /// Why nothing may be run, if so: each hook is answered with it.
    pub refusal: Option<String>,
    /// Where lines go that the control process is not there for.
    pub log: Log,
}

/// The process that runs hooks, without what is about being a process.
#[derive(Debug)]
pub struct Runner {
    control: Asker<Event, Request>,
    stop_grace: Duration,
    as_root: bool,
    refusal: Option<String>,
    log: Log,
    queue: Queue<Job>,
    running: BTreeMap<u64, (Job, Running)>,
    /// Hooks that were started.
    started: u64,
    /// Set once it is to stop: until when it may go on.
    stop_by: Option<Instant>,
}

/// A hook that was asked for.
#[derive(Debug)]
struct Job {
    /// Its number, while the connection is there that it came by.
    id: Option<u64>,
    hook: Hook,
}

impl Runner {
    /// A runner that nobody has connected to.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            control: Asker::new(options.listener),
            stop_grace: options.stop_grace,
            as_root: options.as_root,
            refusal: options.refusal,
            log: options.log,
            queue: Queue::new(options.at_once),
            running: BTreeMap::new(),
            started: 0,
            stop_by: None,
        }
    }

    /// Runs hooks until `stop` is readable; then those that were asked for until
    /// the grace is over, and kills what still runs.
    ///
    /// # Errors
    /// The kernel refused what this needs itself; what still runs is killed then, too.
    pub fn run(mut self, stop: impl AsFd) -> anyhow::Result<()> {
        let outcome = self.turn_until_stopped(stop.as_fd());
        self.kill_all();
        outcome
    }

    fn turn_until_stopped(&mut self, stop: BorrowedFd<'_>) -> anyhow::Result<()> {
        loop {
            let is_stop = self.wait(stop).context("cannot wait for hooks")?;
            let now = now();
            if is_stop {
                self.stop(now);
            }
            let is_more = self.receive(now)?;
            self.advance(now);
            self.control.flush();
            let is_idle = !is_more && self.queue.is_empty() && self.running.is_empty();
            if self.stop_by.is_some_and(|at| is_idle || at <= now) {
                return Ok(());
            }
        }
    }

    /// Waits for something to happen; tells whether `stop` is readable.
    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<bool> {
        let mut fds = vec![self.control.poll_fd()];
        let running = self.running.values();
        fds.extend(running.flat_map(|(_, running)| running.descriptors().map(readable)));
        if self.stop_by.is_none() {
            fds.push(readable(stop));
        }
        let deadlines = self.running.values().filter_map(|(_, one)| one.deadline());
        let next = deadlines.chain(self.stop_by).min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(now());
            Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            })
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            // A signal; if it is one to stop, `stop` is readable the next time.
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let is_stop = fds.last().is_some_and(|fd| !fd.revents().is_empty());
        Ok(self.stop_by.is_none() && is_stop)
    }

    fn stop(&mut self, now: Instant) {
        self.stop_by.get_or_insert(now + self.stop_grace);
    }

    /// Takes what the control process asks for; tells whether there may be more. Where the two do
    /// not understand each other this one ends, and is started again from the file that the other
    /// was started from.
    fn receive(&mut self, now: Instant) -> anyhow::Result<bool> {
        for _ in 0..REQUESTS_A_TURN {
            match self.control.hear().context("cannot accept")? {
                Heard::Request(Request::Hello { version: VERSION }) => {}
                Heard::Request(Request::Hello { version }) => {
                    self.forget_control();
                    self.complain(&format!(
                        "control speaks version {version}, hooks {VERSION}"
                    ));
                    self.stop(now);
                    return Ok(false);
                }
                Heard::Request(Request::Run { id, hook }) => self.ask(id, hook),
                Heard::Nothing => return Ok(false),
                Heard::End => self.forget_control(),
                Heard::Nonsense(error) => {
                    self.forget_control();
                    self.complain(&format!("control is not understood: {error}"));
                    self.stop(now);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn ask(&mut self, id: u64, hook: Hook) {
        let job = Job { id: Some(id), hook };
        if let Err(job) = self.queue.push(job.hook.interface.clone(), job) {
            let reason = "too many hooks wait".to_owned();
            self.tell_end(&job, End::without_run(Outcome::Dropped(reason)));
        }
    }

    /// Hears of what runs, and starts what may run.
    fn advance(&mut self, now: Instant) {
        for number in self.running.keys().copied().collect::<Vec<_>>() {
            let Some((job, mut running)) = self.running.remove(&number) else {
                continue;
            };
            let end = running.advance(now);
            while let Some((source, text)) = running.pop_line() {
                if self.control.waiting() < OUTPUT_WAITING {
                    self.tell_output(&job, source, text);
                } else {
                    running.leave_out();
                }
            }
            match end {
                Some(end) => {
                    self.queue.finish(&job.hook.interface);
                    let left_out = running.left_out();
                    self.tell_end(&job, End { left_out, ..end });
                }
                None => {
                    self.running.insert(number, (job, running));
                }
            }
        }
        while let Some(job) = self.queue.start() {
            let started = match &self.refusal {
                Some(reason) => Err(reason.clone()),
                None => start(now, &job.hook, self.as_root),
            };
            match started {
                Ok(running) => {
                    self.running.insert(self.started, (job, running));
                    self.started += 1;
                }
                Err(reason) => {
                    self.queue.finish(&job.hook.interface);
                    self.tell_end(&job, End::without_run(Outcome::NotStarted(reason)));
                }
            }
        }
    }

    fn tell_output(&mut self, job: &Job, source: Source, text: String) {
        match job.id {
            Some(id) => self.control.tell(Event::Output { id, source, text }),
            None => self.log.write(line::output(&job.hook, source, &text)),
        }
    }

    fn tell_end(&mut self, job: &Job, end: End) {
        match job.id {
            Some(id) => self.control.tell(Event::Ended { id, end }),
            None => {
                for line in line::ended(&job.hook, &end) {
                    self.log.write(line);
                }
            }
        }
    }

    /// Nobody waits for an answer to what was asked for; it is run all the same.
    fn forget_control(&mut self) {
        self.control.forget();
        let running = self.running.values_mut().map(|(job, _)| job);
        for job in running.chain(self.queue.iter_mut()) {
            job.id = None;
        }
    }

    /// Ends everything, and says so.
    fn kill_all(&mut self) {
        self.forget_control();
        let reason = "greyhound stops".to_owned();
        for job in self.queue.drain().collect::<Vec<_>>() {
            self.tell_end(&job, End::without_run(Outcome::Dropped(reason.clone())));
        }
        for (_, running) in self.running.values_mut() {
            running.kill(Outcome::Stopped);
        }
        let patience = now() + KILL_PATIENCE;
        while !self.running.is_empty() && now() < patience {
            self.advance(now());
            let running = self.running.values();
            let mut fds: Vec<_> = running
                .flat_map(|(_, running)| running.descriptors())
                .map(readable)
                .collect();
            let tick = Timespec {
                tv_sec: 0,
                tv_nsec: 10_000_000,
            };
            let _ = poll(&mut fds, Some(&tick));
        }
    }

    fn complain(&self, text: &str) {
        self.log
            .write(Line::new(Message::HookFailed, text.to_owned()));
    }
}

/// Starts a hook: there is nothing for it to read.
fn start(now: Instant, hook: &Hook, as_root: bool) -> Result<Running, String> {
    program::check(&hook.program).map_err(|error| error.to_string())?;
    if as_root {
        program::check_for_root(&hook.program).map_err(|error| error.to_string())?;
    }
    let launch = Launch {
        program: &hook.program,
        arguments: &hook.arguments,
        path: PATH,
        environment: &hook.environment,
        input: &[],
        timeout: hook.timeout,
    };
    Running::start(now, &launch)
}

/// Requests taken before the programs that run get their turn.
const REQUESTS_A_TURN: usize = 256;

/// Events that may wait for the control process before what hooks write is left out.
const OUTPUT_WAITING: usize = 1024;

#[expect(
    clippy::disallowed_methods,
    reason = "the runner waits for processes: its clock is the machine's"
)]
fn now() -> Instant {
    Instant::now()
}

//! What is done for one interface: programs run one after another, up to the first that fails.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::resolver::{Call, Places};
use crate::programs::{Launch, Outcome, Running};

/// Programs that run one after another.
#[derive(Debug)]
pub(super) struct Job {
    waiting: VecDeque<Call>,
    running: Option<(Call, Running)>,
    /// The first line that the last one wrote.
    first: Option<String>,
    /// The last line, which tells what was wrong.
    last: Option<String>,
}

impl Job {
    /// Begins with the first call at the next [`Self::advance`].
    pub(super) fn new(calls: Vec<Call>) -> Self {
        Self {
            waiting: calls.into(),
            running: None,
            first: None,
            last: None,
        }
    }

    /// What becomes readable when something is to be done.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let running = self.running.iter();
        running.flat_map(|(_, running)| running.descriptors())
    }

    /// When to call [`Self::advance`] at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().and_then(|(_, one)| one.deadline())
    }

    /// Kills what runs.
    pub(super) fn kill(&mut self) {
        if let Some((_, running)) = &mut self.running {
            running.kill(Outcome::Stopped);
        }
    }

    /// Does what can be done now. Returns how it ended, once it has: well, with the first line that
    /// the last program wrote, or with what was wrong.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        places: &Places,
        timeout: Duration,
    ) -> Option<Result<Option<String>, String>> {
        loop {
            if let Some((call, running)) = &mut self.running {
                let end = running.advance(now);
                while let Some((_, line)) = running.pop_line() {
                    self.first.get_or_insert_with(|| line.clone());
                    self.last = Some(line);
                }
                let what = describe(call, &end?.outcome, timeout);
                self.running = None;
                if let Some(what) = what {
                    return Some(Err(match &self.last {
                        Some(last) => format!("{what}: {last}"),
                        None => what,
                    }));
                }
            }
            let Some(call) = self.waiting.pop_front() else {
                return Some(Ok(self.first.take()));
            };
            (self.first, self.last) = (None, None);
            match start(now, &call, places, timeout) {
                Ok(running) => self.running = Some((call, running)),
                Err(reason) => return Some(Err(reason)),
            }
        }
    }
}

fn start(now: Instant, call: &Call, places: &Places, timeout: Duration) -> Result<Running, String> {
    let program = places.find(call.program);
    let program = program.ok_or_else(|| format!("there is no {}", call.program))?;
    let launch = Launch {
        program: &program,
        arguments: &call.arguments,
        path: &places.path,
        // What it writes is told in the log: in the language of the log.
        environment: &[("LC_ALL".to_owned(), "C".to_owned())],
        input: call.input.as_bytes(),
        timeout,
    };
    Running::start(now, &launch)
}

/// What was wrong with the end of a program, if anything was.
fn describe(call: &Call, outcome: &Outcome, timeout: Duration) -> Option<String> {
    let how = match outcome {
        Outcome::Exited(0) => return None,
        Outcome::Exited(status) => format!("ended with status {status}"),
        Outcome::Signalled(signal) => format!("was ended by signal {signal}"),
        Outcome::TimedOut => format!("took longer than {} s", timeout.as_secs_f32()),
        Outcome::Stopped => "was killed, since greyhound stops".to_owned(),
        Outcome::NotStarted(reason) | Outcome::Dropped(reason) | Outcome::Lost(reason) => {
            reason.clone()
        }
    };
    let arguments = call.arguments.join(" ");
    Some(format!("{} {arguments} {how}", call.program))
}

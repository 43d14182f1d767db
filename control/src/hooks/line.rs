//! What the log says of hooks.

use super::Hook;
use crate::log::{Field, Line, Message};
use crate::programs::{End, Outcome, Source};

/// What `hook` wrote.
pub(super) fn output(hook: &Hook, source: Source, text: &str) -> Line {
    let message = match source {
        Source::Stdout => Message::HookOutput,
        Source::Stderr => Message::HookComplaint,
    };
    line(message, hook, text)
}

/// What became of `hook`: a line, and before it one that counts what was left out.
pub(super) fn ended(hook: &Hook, end: &End) -> Vec<Line> {
    let program = hook.program.display();
    let lasted = end.lasted.as_secs_f32();
    let (message, text) = match &end.outcome {
        Outcome::Exited(0) => (
            Message::HookEnded,
            format!("{program} ended after {lasted:.1} s"),
        ),
        Outcome::Exited(status) => (
            Message::HookFailed,
            format!("{program} ended with status {status} after {lasted:.1} s"),
        ),
        Outcome::Signalled(signal) => (
            Message::HookFailed,
            format!("{program} was ended by signal {signal} after {lasted:.1} s"),
        ),
        Outcome::TimedOut => (
            Message::HookFailed,
            format!(
                "{program} took longer than {:.1} s and was killed",
                hook.timeout.as_secs_f32()
            ),
        ),
        Outcome::Stopped => (
            Message::HookFailed,
            format!("{program} was killed after {lasted:.1} s, since greyhound stops"),
        ),
        Outcome::NotStarted(reason) => (Message::HookMissing, reason.clone()),
        Outcome::Lost(reason) => (
            Message::HookFailed,
            format!("what became of {program} is not known: {reason}"),
        ),
        Outcome::Dropped(reason) => (
            Message::HookFailed,
            format!("{program} was not run: {reason}"),
        ),
    };
    let mut lines = Vec::new();
    if end.left_out > 0 {
        let count = end.left_out;
        let text = format!("{count} more lines of {program} are left out");
        lines.push(line(Message::HookOutput, hook, &text).with(Field::Count, count));
    }
    lines.push(line(message, hook, &text));
    lines
}

/// A line under the name of the hook's interface, with what the hook itself was told of the
/// session.
fn line(message: Message, hook: &Hook, text: &str) -> Line {
    let when = hook.when.name();
    let mut line = Line::new(message, format!("{}: {when}: {text}", hook.interface));
    for field in [
        Field::Hook,
        Field::User,
        Field::Session,
        Field::Interface,
        Field::KernelName,
    ] {
        let mut variables = hook.environment.iter();
        if let Some((_, value)) = variables.find(|(name, _)| name == field.journal_name()) {
            line = line.with(field, value);
        }
    }
    line.with(Field::Program, hook.program.display())
}

//! The programs that run when a session has come up and when it has ended.

use std::time::Instant;

use greyhound_datapath::ids::SessionId;

use super::{Command, Server};
use crate::entropy::Entropy;
use crate::hooks::{Accounting, Hook, Program, Subject, When};
use crate::log::{Field, Line, Message};
use crate::session::{Session, Side, Stage};

/// The hooks of a session.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    on_up: String,
    on_down: String,
    /// What the session is, once it has come up.
    subject: Option<Subject>,
}

impl Hooks {
    /// What runs when a session has come up and when it has ended, each a program with arguments,
    /// or empty.
    pub(super) fn new(on_up: &str, on_down: &str) -> Self {
        Self {
            on_up: on_up.to_owned(),
            on_down: on_down.to_owned(),
            subject: None,
        }
    }
}

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Looks whether a session has come up: whether packets flow for the first time.
    pub(super) fn note_up(&mut self, id: SessionId) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let has_come_up = entry.session.stage() == Stage::Connected;
        if !has_come_up || entry.hooks.subject.is_some() {
            return;
        }
        let Some(subject) = subject(&entry.session, entry.number) else {
            return;
        };
        entry.hooks.subject = Some(subject.clone());
        let line = entry.hooks.on_up.clone();
        self.run_hook(When::Up, &line, &subject);
    }

    /// A session has ended, and its counters are the last ones.
    pub(super) fn note_down(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let (Some(mut subject), Some(cause)) = (entry.hooks.subject.take(), entry.session.cause())
        else {
            return;
        };
        let counters = entry.session.counters();
        subject.accounting = Some(Accounting {
            cause,
            duration: entry.session.uptime(now),
            rx_bytes: counters.rx_bytes,
            tx_bytes: counters.tx_bytes,
            rx_packets: counters.rx_packets,
            tx_packets: counters.tx_packets,
        });
        let line = std::mem::take(&mut entry.hooks.on_down);
        self.run_hook(When::Down, &line, &subject);
    }

    fn run_hook(&mut self, when: When, line: &str, subject: &Subject) {
        if line.trim().is_empty() {
            return;
        }
        match Program::parse(line) {
            Ok(program) => {
                let hook = Hook::new(when, program, subject);
                self.commands.push_back(Command::RunHook(hook));
            }
            Err(error) => {
                let (interface, name) = (&subject.interface, when.name());
                let line = Line::new(
                    Message::HookMissing,
                    format!("{interface}: {name}: {error}"),
                );
                let line = line
                    .with(Field::Hook, name)
                    .with(Field::User, &subject.user);
                self.log(line.with(Field::Interface, interface));
            }
        }
    }
}

/// What a hook is told of a session that has come up.
fn subject(session: &Session, number: u32) -> Option<Subject> {
    let network = session.up()?.network;
    let tunnel = session.tunnel();
    let (caller_id, called_id) = match session.side() {
        Side::Server => (tunnel.peer, tunnel.ours),
        Side::Client(_) => (tunnel.ours, tunnel.peer),
    };
    Some(Subject {
        user: session.user().to_owned(),
        session: number,
        interface: session.name().to_owned(),
        kernel_name: session.kernel_name().to_owned(),
        ifindex: session.ifindex(),
        local_address: network.ours,
        remote_address: network.peer,
        caller_id,
        called_id,
        accounting: None,
    })
}

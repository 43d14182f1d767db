//! RADIUS at work: who is asked about users, told what they did, and what comes of it.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Instant;

use greyhound_datapath::ids::SessionId;

use super::login::{self, Known};
use super::outbox::PAGE;
use super::{Command, Server, Timer};
use crate::accounting::{Authentic, Pending};
use crate::entropy::Entropy;
use crate::model::Config;
use crate::ppp::{Proof, Refusal, Verdict};
use crate::radius::access::{self, Decision, Login};
use crate::radius::accounting;
use crate::radius::client::{self, Answer, Client, Purpose, Question, SocketId, Ticket};
use crate::radius::packet::Code;
use crate::session::line::{self, Field, Line, Message};

/// What is asked of RADIUS.
#[derive(Debug)]
pub(super) struct Radius<E> {
    pub(super) client: Client<E>,
    asked: BTreeMap<Ticket, Asked>,
    next: u64,
}

/// What an answer is for.
#[derive(Debug)]
enum Asked {
    /// May this user in?
    Login(SessionId, Box<Login>),
    /// A record of the outbox.
    Record(i64),
}

impl<E: Entropy> Radius<E> {
    pub(super) fn new(now: Instant, config: &Config, entropy: E) -> Self {
        let mut client = Client::new(entropy);
        client.configure(now, servers(config));
        Self {
            client,
            asked: BTreeMap::new(),
            next: 0,
        }
    }

    fn ask(&mut self, now: Instant, asked: Asked, question: Question) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.asked.insert(ticket, asked);
        self.client.ask(now, ticket, question);
        ticket
    }
}

/// Events from outside.
impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// A datagram came on a socket that [`Command::OpenRadius`] asked for.
    pub fn handle_radius(
        &mut self,
        now: Instant,
        socket: SocketId,
        from: SocketAddrV4,
        bytes: &[u8],
    ) {
        self.radius.client.handle_datagram(now, socket, from, bytes);
        self.settle(now);
    }

    /// That socket cannot be had.
    pub fn handle_radius_failed(&mut self, now: Instant, socket: SocketId, reason: &str) {
        self.radius.client.handle_open_failed(now, socket, reason);
        self.settle(now);
    }

    /// What the store had, in answer to [`Command::LoadRecords`].
    pub fn handle_records(&mut self, now: Instant, page: Vec<Pending>) {
        self.outbox.take(now, page);
        self.settle(now);
    }
}

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Asks RADIUS about a user.
    pub(super) fn ask_radius(&mut self, now: Instant, id: SessionId, user: &str, proof: &Proof) {
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        let login = Login {
            user: user.to_owned(),
            proof: proof.clone(),
            call: self.call(entry),
        };
        let question = Question {
            purpose: Purpose::Authentication,
            user: user.to_owned(),
            called: Some(login.call.called),
            attributes: login.attributes(),
        };
        let asked = Asked::Login(id, Box::new(login));
        let ticket = self.radius.ask(now, asked, question);
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.asking = Some(ticket);
        }
    }

    /// A session does not want to know any more.
    pub(super) fn forget_question(&mut self, id: SessionId) {
        let entry = self.sessions.get_mut(&id);
        if let Some(ticket) = entry.and_then(|entry| entry.asking.take()) {
            self.radius.client.forget(ticket);
            self.radius.asked.remove(&ticket);
        }
    }

    /// Other servers, or the same.
    pub(super) fn reconfigure_radius(&mut self, now: Instant) {
        self.radius.client.configure(now, servers(&self.config));
        self.outbox.note_servers();
        self.switch_accounting(now);
    }

    /// Does what the client of RADIUS says, and tells it what is to be told.
    pub(super) fn pump_radius(&mut self, now: Instant) {
        loop {
            self.send_records(now);
            let Some(command) = self.radius.client.poll_command() else {
                break;
            };
            match command {
                client::Command::Open { socket, address } => {
                    self.commands
                        .push_back(Command::OpenRadius { socket, address });
                }
                client::Command::Close { socket } => {
                    self.commands.push_back(Command::CloseRadius { socket });
                }
                client::Command::Send { socket, to, bytes } => {
                    let send = Command::SendRadius { socket, to, bytes };
                    self.commands.push_back(send);
                }
                client::Command::Answer { ticket, answer } => self.on_answer(now, ticket, answer),
                client::Command::Log(line) => self.log(line),
            }
        }
        let deadlines = [
            self.radius.client.poll_timeout(),
            self.outbox.poll_timeout(),
        ];
        let next = deadlines.into_iter().flatten().min();
        self.timers.set(Timer::Radius, next);
    }

    /// Sends what may be sent.
    fn send_records(&mut self, now: Instant) {
        if let Some(after) = self.outbox.next_reading() {
            let read = Command::LoadRecords { after, limit: PAGE };
            self.commands.push_back(read);
        }
        while let Some((read_at, pending)) = self.outbox.next() {
            let told = pending.event.told();
            let question = Question {
                purpose: Purpose::Accounting,
                user: told.map_or_else(String::new, |told| told.user.clone()),
                called: told.map(|told| told.called),
                attributes: accounting::attributes(pending, read_at),
            };
            let asked = Asked::Record(pending.id);
            self.radius.ask(now, asked, question);
        }
    }

    fn on_answer(&mut self, now: Instant, ticket: Ticket, answer: Answer) {
        match self.radius.asked.remove(&ticket) {
            Some(Asked::Login(id, login)) => {
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.asking = None;
                }
                self.on_decided(now, id, &login, answer);
            }
            Some(Asked::Record(id)) => match answer {
                Answer::Reply(reply) if reply.code == Code::AccountingResponse => {
                    self.outbox.note_delivered(id);
                    self.commands.push_back(Command::RecordDelivered(id));
                }
                Answer::Reply(_) | Answer::Unanswered | Answer::NoServer => {
                    self.outbox.note_unanswered(now, id, &mut self.entropy);
                }
            },
            None => {}
        }
    }

    /// There is an answer about a user, or none came.
    fn on_decided(&mut self, now: Instant, id: SessionId, login: &Login, answer: Answer) {
        let user = &login.user;
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Unanswered => {
                return self.refuse(now, id, user, "no RADIUS server answers");
            }
            Answer::NoServer => {
                return self.refuse(now, id, user, "there is no RADIUS server to ask");
            }
        };
        let config = &self.config;
        let policy = |group: Option<&str>| match group {
            Some(group) => config.profile_encryption(group),
            None => config.resolve_default().encryption,
        };
        match access::decide(login, policy, &reply) {
            Decision::Accept(grant) => match login::resolve(config, None, &grant) {
                Ok(resolved) => {
                    let known = Known {
                        name: user.clone(),
                        resolved,
                        message: grant.message.clone(),
                        keys: grant.keys.clone(),
                        authentic: Authentic::Radius,
                        grant: Some(grant),
                    };
                    self.let_in(now, id, user, known);
                }
                Err(reason) => self.refuse(now, id, user, &reason),
            },
            Decision::Reject { refusal, message } => {
                let verdict = Verdict::Reject { refusal, message };
                self.with_session(id, |one| one.handle_verdict(now, user, "", verdict));
            }
            Decision::Unusable(reason) => self.refuse(now, id, user, &reason),
        }
    }

    /// Does not let a user in, for a reason that is ours or the server's, not the user's.
    pub(super) fn refuse(&mut self, now: Instant, id: SessionId, user: &str, reason: &str) {
        let text = line::printable(&format!("user {user} refused: {reason}"));
        let mut line = Line::new(Message::LoginUndecided, text).with(Field::User, user);
        if let Some(entry) = self.sessions.get(&id) {
            line = line.with(Field::Caller, entry.session.tunnel().peer);
        }
        self.log(line);
        let verdict = Verdict::Reject {
            refusal: Refusal::NoPermission,
            message: None,
        };
        self.with_session(id, |one| one.handle_verdict(now, user, "", verdict));
    }
}

/// The servers that are asked about users of PPP, in their order.
fn servers(config: &Config) -> Vec<client::Server> {
    let of_ppp = config
        .radius
        .iter()
        .filter(|one| !one.disabled && one.is_for_ppp());
    of_ppp
        .filter_map(|one| {
            Some(client::Server {
                key: one.meta.id.0,
                address: one.address?,
                authentication_port: one.authentication_port,
                accounting_port: one.accounting_port,
                secret: one.secret.clone(),
                timeout: one.timeout,
                realm: one.realm.clone(),
                src_address: one.src_address,
                require_message_auth: one.require_message_auth,
                called_id: one.called_id.clone(),
                domain: one.domain.clone(),
                accounting_backup: one.accounting_backup,
            })
        })
        .collect()
}

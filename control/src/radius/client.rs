//! Gets questions to a server and its answers back: servers in their order, sent again, given up.
//!
//! Sans-IO. A few sockets live long and serve all servers: a question has one of 256 numbers on its
//! way from one socket to one port of a server, and a socket more is opened when all are taken.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::attribute::{Attribute, Value, kind};
use super::packet::{self, Code, Packet, Reply};
use crate::entropy::Entropy;
use crate::log::{Field, Line, Message};

/// How often a question is sent to one server.
const TRIES: u8 = 3;

/// How long a server is passed over that did not answer.
const DEAD_TIME: Duration = Duration::from_secs(30);

/// Sockets for one source address, each with 256 questions under way to each port of a server.
const MAX_SOCKETS: usize = 16;

/// Questions that wait for a number.
const MAX_WAITING: usize = 65_536;

/// How often it is said of a server that its answers are not to be believed.
const COMPLAINT: Duration = Duration::from_secs(60);

/// A server, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Names it to the caller.
    pub key: u32,
    /// Where it is.
    pub address: Ipv4Addr,
    /// UDP port for questions about users.
    pub authentication_port: u16,
    /// UDP port for accounting.
    pub accounting_port: u16,
    /// What it shares with us.
    pub secret: Zeroizing<String>,
    /// How long to wait before a question is sent again.
    pub timeout: Duration,
    /// Mikrotik-Realm, if not empty.
    pub realm: String,
    /// The address that questions come from; `None` is the one that the route has.
    pub src_address: Option<Ipv4Addr>,
    /// Answers about users must have a Message-Authenticator.
    pub require_message_auth: bool,
    /// Asked for calls to this address of ours only, if not empty.
    pub called_id: String,
    /// Asked for users of this Windows domain only, if not empty.
    pub domain: String,
    /// Told what users did only if those before it do not answer.
    pub accounting_backup: bool,
}

impl Server {
    fn port(&self, purpose: Purpose) -> SocketAddrV4 {
        let port = match purpose {
            Purpose::Authentication => self.authentication_port,
            Purpose::Accounting => self.accounting_port,
        };
        SocketAddrV4::new(self.address, port)
    }

    fn is_for(&self, question: &Question) -> bool {
        let called = question.called.map(|called| called.to_string());
        let domain = question.user.rsplit_once('\\').map(|(domain, _)| domain);
        let is_called = self.called_id.is_empty() || called.is_none_or(|one| one == self.called_id);
        let is_domain = self.domain.is_empty()
            || domain.is_some_and(|one| one.eq_ignore_ascii_case(&self.domain));
        is_called && is_domain
    }
}

/// What the caller knows a question by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A UDP socket. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Whether a user may come in.
    Authentication,
    /// What a user did.
    Accounting,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub purpose: Purpose,
    /// The user, a Windows domain included; empty if it is about none.
    pub user: String,
    /// The address of ours that was called, if it is about a call.
    pub called: Option<Ipv4Addr>,
    /// What it says.
    pub attributes: Vec<Attribute>,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This, from one of the servers.
    Reply(Reply),
    /// Nobody answered.
    Unanswered,
    /// There is nobody to ask.
    NoServer,
}

/// What the client asks of its caller.
#[derive(Clone, Debug)]
pub enum Command {
    /// Open a socket.
    Open {
        /// What it is to be called.
        socket: SocketId,
        /// The address that it sends from; `None` leaves that to the kernel.
        address: Option<Ipv4Addr>,
    },
    /// Close it.
    Close {
        /// Which one.
        socket: SocketId,
    },
    /// Send a datagram.
    Send {
        /// From which socket.
        socket: SocketId,
        /// Where to.
        to: SocketAddrV4,
        /// What.
        bytes: Vec<u8>,
    },
    /// This came of a question. Said once of each that was not forgotten.
    Answer {
        /// Which one.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// For the log.
    Log(Line),
}

/// What `monitor` shows of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions that wait for its answer.
    pub pending: u64,
    /// Questions that it was asked.
    pub requests: u64,
    /// Access-Accept and Accounting-Response.
    pub accepts: u64,
    /// Access-Reject and Access-Challenge.
    pub rejects: u64,
    /// Questions sent again.
    pub resends: u64,
    /// Questions that it did not answer.
    pub timeouts: u64,
    /// Answers to nothing that was asked, or that are not to be believed.
    pub bad_replies: u64,
    /// How long the last answer took.
    pub last_request_rtt: Option<Duration>,
}

/// The client.
#[derive(Debug)]
pub struct Client<E> {
    entropy: E,
    servers: Vec<State>,
    sockets: Vec<Socket>,
    next_socket: u32,
    questions: BTreeMap<Ticket, Asked>,
    /// Those under way, by what their answers are known by.
    under_way: BTreeMap<Way, Ticket>,
    /// Those that found no free number.
    waiting: VecDeque<Ticket>,
    deadlines: BTreeSet<(Instant, Ticket)>,
    commands: VecDeque<Command>,
}

#[derive(Debug)]
struct State {
    server: Server,
    counters: Counters,
    /// Passed over until then.
    dead_until: Option<Instant>,
    /// It was said that it does not answer.
    is_missed: bool,
    /// When it answered last.
    heard: Option<Instant>,
    complained: Option<Instant>,
}

#[derive(Debug)]
struct Socket {
    id: SocketId,
    address: Option<Ipv4Addr>,
    /// For each port of a server: the number that was taken last.
    last: HashMap<SocketAddrV4, u8>,
    /// How many are taken.
    taken: HashMap<SocketAddrV4, u16>,
}

/// What the answer to a question is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    socket: SocketId,
    to: SocketAddrV4,
    id: u8,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    /// Keys of the servers that are still to be asked.
    rest: VecDeque<u32>,
    sent: Option<Sent>,
}

/// A question that waits for the answer of a server.
#[derive(Debug)]
struct Sent {
    key: u32,
    way: Way,
    bytes: Vec<u8>,
    authenticator: [u8; 16],
    tries: u8,
    at: Instant,
    first: Instant,
    deadline: Instant,
}

impl<E> Client<E> {
    /// The servers in their order: the key of each, whether it answers as far as is known, and what
    /// it did.
    pub fn counters(&self) -> impl Iterator<Item = (u32, bool, Counters)> {
        let servers = self.servers.iter();
        servers.map(|state| (state.server.key, !state.is_missed, state.counters))
    }
}

impl<E: Entropy> Client<E> {
    /// One that knows no server.
    pub fn new(entropy: E) -> Self {
        Self {
            entropy,
            servers: Vec::new(),
            sockets: Vec::new(),
            next_socket: 0,
            questions: BTreeMap::new(),
            under_way: BTreeMap::new(),
            waiting: VecDeque::new(),
            deadlines: BTreeSet::new(),
            commands: VecDeque::new(),
        }
    }

    /// Goes on with these servers, in this order. What is as it was goes on; questions to one that is
    /// not there any more, or is another now, go to the next.
    pub fn configure(&mut self, now: Instant, servers: Vec<Server>) {
        let mut old = std::mem::take(&mut self.servers);
        for server in servers {
            let same = old.iter().position(|state| state.server == server);
            let state = same.map(|at| old.swap_remove(at));
            self.servers.push(state.unwrap_or(State {
                server,
                counters: Counters::default(),
                dead_until: None,
                is_missed: false,
                heard: None,
                complained: None,
            }));
        }
        let gone: BTreeSet<_> = old.iter().map(|state| state.server.key).collect();
        let is_lost = |asked: &Asked| {
            let sent = asked.sent.as_ref();
            sent.is_some_and(|sent| gone.contains(&sent.key))
        };
        let lost = self.questions.iter().filter(|(_, asked)| is_lost(asked));
        let lost: Vec<_> = lost.map(|(&ticket, _)| ticket).collect();
        for ticket in lost {
            self.take_back(ticket);
            self.ask_next(now, ticket);
        }
        let servers = &self.servers;
        let is_wanted = |socket: &Socket| {
            let mut servers = servers.iter();
            servers.any(|state| state.server.src_address == socket.address)
        };
        let unwanted = self.sockets.extract_if(.., |socket| !is_wanted(socket));
        let closes = unwanted.map(|socket| Command::Close { socket: socket.id });
        self.commands.extend(closes);
    }

    /// Asks a question; [`Command::Answer`] follows.
    pub fn ask(&mut self, now: Instant, ticket: Ticket, question: Question) {
        let rest = self.fitting(now, &question);
        let asked = Asked {
            question,
            rest,
            sent: None,
        };
        self.questions.insert(ticket, asked);
        if self.questions[&ticket].rest.is_empty() {
            return self.finish(ticket, Answer::NoServer);
        }
        self.ask_next(now, ticket);
    }

    /// Nobody wants to know any more.
    pub fn forget(&mut self, ticket: Ticket) {
        self.take_back(ticket);
        self.questions.remove(&ticket);
    }

    /// A datagram came.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        from: SocketAddrV4,
        bytes: &[u8],
    ) {
        let id = bytes.get(1).copied().unwrap_or_default();
        let way = Way {
            socket,
            to: from,
            id,
        };
        let ticket = self.under_way.get(&way).copied();
        let asked = ticket.and_then(|ticket| Some((ticket, self.questions.get(&ticket)?)));
        let Some((ticket, asked)) = asked else {
            return self.count_stray(from);
        };
        let (purpose, sent) = (asked.question.purpose, asked.sent.as_ref());
        let Some(sent) = sent else { return };
        let (key, first, at) = (sent.key, sent.first, sent.at);
        let Some(state) = self.servers.iter_mut().find(|one| one.server.key == key) else {
            return;
        };
        let secret = state.server.secret.as_bytes();
        let required = state.server.require_message_auth;
        let verified = packet::verify_response(bytes, &sent.authenticator, secret, required);
        let packet = verified.and_then(|()| Ok(Packet::new_checked(bytes)?));
        let packet = match packet {
            Ok(packet) if is_answer(purpose, packet.code()) => packet,
            Ok(_) => return state.counters.bad_replies += 1,
            Err(fault) => {
                state.counters.bad_replies += 1;
                let line = state.complain(now, fault);
                return self.commands.extend(line.map(Command::Log));
            }
        };
        let attributes = packet.attributes();
        let attributes = attributes.map(|(kind, value)| (kind, value.to_vec()));
        let reply = Reply::new(
            packet.code(),
            attributes.collect(),
            sent.authenticator,
            secret,
        );
        if matches!(packet.code(), Code::AccessReject | Code::AccessChallenge) {
            state.counters.rejects += 1;
        } else {
            state.counters.accepts += 1;
        }
        // Of one that was sent again it is not known which was answered.
        let since = if sent.tries == 1 { at } else { first };
        state.counters.last_request_rtt = Some(now.saturating_duration_since(since));
        let line = state.note_heard(now);
        self.commands.extend(line.map(Command::Log));
        self.take_back(ticket);
        self.finish(ticket, Answer::Reply(reply));
        self.let_wait_no_longer(now);
    }

    /// A socket cannot be had: what it was to carry goes to nobody.
    pub fn handle_open_failed(&mut self, now: Instant, socket: SocketId, reason: &str) {
        let Some(place) = self.sockets.iter().position(|one| one.id == socket) else {
            return;
        };
        let failed = self.sockets.swap_remove(place);
        let address = failed.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let text = format!("cannot ask RADIUS servers from {address}: {reason}");
        self.log(Line::new(Message::RadiusUnsent, text));
        let on_it = self
            .under_way
            .iter()
            .filter(|(way, _)| way.socket == socket);
        let on_it: Vec<_> = on_it.map(|(_, &ticket)| ticket).collect();
        for ticket in on_it {
            self.take_back(ticket);
            self.ask_next(now, ticket);
        }
    }

    /// The moment that [`Self::poll_timeout`] named has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, ticket)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            self.on_timeout(now, ticket);
        }
        self.let_wait_no_longer(now);
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// The next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The servers to ask, in the order in which they are asked, but for those that do not answer. One
    /// of which that was found out some time ago is tried with this question.
    fn fitting(&mut self, now: Instant, question: &Question) -> VecDeque<u32> {
        let mut fit: Vec<_> = self
            .servers
            .iter_mut()
            .filter(|one| one.server.is_for(question))
            .collect();
        let is_dead = |one: &State| one.dead_until.is_some_and(|until| until > now);
        if !fit.iter().all(|one| is_dead(one)) {
            fit.retain(|one| !is_dead(one));
        }
        for state in &mut fit {
            state.dead_until = state.dead_until.map(|_| now + DEAD_TIME);
        }
        if question.purpose == Purpose::Accounting {
            fit.sort_by_key(|one| one.server.accounting_backup);
        }
        fit.into_iter().map(|one| one.server.key).collect()
    }

    /// Sends a question to the next server, or gives it up.
    fn ask_next(&mut self, now: Instant, ticket: Ticket) {
        loop {
            let Some(asked) = self.questions.get_mut(&ticket) else {
                return;
            };
            let Some(key) = asked.rest.pop_front() else {
                return self.finish(ticket, Answer::Unanswered);
            };
            let Some(place) = self.servers.iter().position(|one| one.server.key == key) else {
                continue;
            };
            match self.send_to(now, ticket, place) {
                Ok(true) => return,
                // The next server has the same socket, or a number for it will be free soon.
                Ok(false) if self.waiting.len() < MAX_WAITING => {
                    if let Some(asked) = self.questions.get_mut(&ticket) {
                        asked.rest.push_front(key);
                    }
                    return self.waiting.push_back(ticket);
                }
                Ok(false) => return self.finish(ticket, Answer::Unanswered),
                Err(packet::TooLong) => {
                    let text = "a RADIUS request does not fit into a packet".to_owned();
                    self.log(Line::new(Message::RadiusUnsent, text));
                }
            }
        }
    }

    /// Sends a question to a server for the first time; `false` if all numbers are taken.
    fn send_to(
        &mut self,
        now: Instant,
        ticket: Ticket,
        place: usize,
    ) -> Result<bool, packet::TooLong> {
        let Some(asked) = self.questions.get_mut(&ticket) else {
            return Ok(true);
        };
        let (purpose, server) = (asked.question.purpose, &self.servers[place].server);
        let mut attributes = asked.question.attributes.clone();
        if let Some(source) = server.src_address {
            // Who answers knows us by it.
            for one in &mut attributes {
                if one.kind == kind::NAS_IP_ADDRESS {
                    one.value = Value::Address(source);
                }
            }
        }
        if !server.realm.is_empty() {
            attributes.push(Attribute::text(kind::MIKROTIK_REALM, &*server.realm));
        }
        let (to, key, timeout) = (server.port(purpose), server.key, server.timeout);
        let (address, secret) = (server.src_address, server.secret.clone());
        let Some(way) = self.take_number(address, to) else {
            return Ok(false);
        };
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let code = match purpose {
            Purpose::Authentication => Code::AccessRequest,
            Purpose::Accounting => Code::AccountingRequest,
        };
        let built =
            packet::build_request(code, way.id, &attributes, secret.as_bytes(), now, random);
        let (bytes, authenticator) = match built {
            Ok(built) => built,
            Err(error) => {
                self.free_number(way);
                return Err(error);
            }
        };
        let deadline = now + jittered(timeout, &mut self.entropy);
        self.commands.push_back(Command::Send {
            socket: way.socket,
            to,
            bytes: bytes.clone(),
        });
        let counters = &mut self.servers[place].counters;
        counters.requests += 1;
        counters.pending += 1;
        self.under_way.insert(way, ticket);
        self.deadlines.insert((deadline, ticket));
        if let Some(asked) = self.questions.get_mut(&ticket) {
            asked.sent = Some(Sent {
                key,
                way,
                bytes,
                authenticator,
                tries: 1,
                at: now,
                first: now,
                deadline,
            });
        }
        Ok(true)
    }

    /// A server has not answered in time: it is asked once more, or the next one.
    fn on_timeout(&mut self, now: Instant, ticket: Ticket) {
        let asked = self.questions.get_mut(&ticket);
        let Some(sent) = asked.and_then(|asked| asked.sent.as_mut()) else {
            return;
        };
        let key = sent.key;
        let state = self.servers.iter_mut().find(|one| one.server.key == key);
        let Some(state) = state else { return };
        if sent.tries < TRIES {
            state.counters.resends += 1;
            sent.tries += 1;
            sent.at = now;
            sent.deadline = now + jittered(state.server.timeout, &mut self.entropy);
            self.deadlines.insert((sent.deadline, ticket));
            return self.commands.push_back(Command::Send {
                socket: sent.way.socket,
                to: sent.way.to,
                bytes: sent.bytes.clone(),
            });
        }
        state.counters.timeouts += 1;
        // It may have answered others meanwhile.
        let line = if state.heard.is_none_or(|heard| heard < sent.first) {
            state.note_missed(now)
        } else {
            None
        };
        self.commands.extend(line.map(Command::Log));
        self.take_back(ticket);
        self.ask_next(now, ticket);
    }

    /// A question waits for no server any more.
    fn take_back(&mut self, ticket: Ticket) {
        let asked = self.questions.get_mut(&ticket);
        let Some(sent) = asked.and_then(|asked| asked.sent.take()) else {
            return;
        };
        self.deadlines.remove(&(sent.deadline, ticket));
        self.under_way.remove(&sent.way);
        self.free_number(sent.way);
        let mut servers = self.servers.iter_mut();
        if let Some(state) = servers.find(|one| one.server.key == sent.key) {
            state.counters.pending -= 1;
        }
    }

    fn finish(&mut self, ticket: Ticket, answer: Answer) {
        if self.questions.remove(&ticket).is_some() {
            self.commands.push_back(Command::Answer { ticket, answer });
        }
    }

    /// Sends what waited for a number.
    fn let_wait_no_longer(&mut self, now: Instant) {
        for _ in 0..self.waiting.len() {
            let Some(ticket) = self.waiting.pop_front() else {
                return;
            };
            let before = self.waiting.len();
            self.ask_next(now, ticket);
            if self.waiting.len() > before {
                // There is still none: the first stays the first.
                if let Some(first) = self.waiting.pop_back() {
                    self.waiting.push_front(first);
                }
                return;
            }
        }
    }

    /// A number for a question on its way from this address to this port.
    fn take_number(&mut self, address: Option<Ipv4Addr>, to: SocketAddrV4) -> Option<Way> {
        let ours = |socket: &&mut Socket| socket.address == address;
        let has_room = |socket: &Socket| socket.taken.get(&to).is_none_or(|&taken| taken < 256);
        let mut fitting = self.sockets.iter_mut().filter(ours);
        let count = fitting.by_ref().count();
        let mut fitting = self.sockets.iter_mut().filter(ours);
        let socket = match fitting.find(|socket| has_room(socket)) {
            Some(socket) => socket,
            None if count < MAX_SOCKETS => {
                let id = SocketId(self.next_socket);
                self.next_socket += 1;
                self.commands.push_back(Command::Open {
                    socket: id,
                    address,
                });
                self.sockets.push(Socket {
                    id,
                    address,
                    last: HashMap::new(),
                    taken: HashMap::new(),
                });
                self.sockets.last_mut()?
            }
            None => return None,
        };
        *socket.taken.entry(to).or_default() += 1;
        let last = socket.last.entry(to).or_insert(u8::MAX);
        loop {
            *last = last.wrapping_add(1);
            let way = Way {
                socket: socket.id,
                to,
                id: *last,
            };
            if !self.under_way.contains_key(&way) {
                return Some(way);
            }
        }
    }

    fn free_number(&mut self, way: Way) {
        let mut sockets = self.sockets.iter_mut();
        let socket = sockets.find(|socket| socket.id == way.socket);
        if let Some(taken) = socket.and_then(|socket| socket.taken.get_mut(&way.to)) {
            *taken = taken.saturating_sub(1);
        }
    }

    /// What came from a server's port and answers nothing is counted there.
    fn count_stray(&mut self, from: SocketAddrV4) {
        let is_it = |server: &Server| {
            let ports = [Purpose::Authentication, Purpose::Accounting];
            ports.iter().any(|&purpose| server.port(purpose) == from)
        };
        if let Some(state) = self.servers.iter_mut().find(|one| is_it(&one.server)) {
            state.counters.bad_replies += 1;
        }
    }

    fn log(&mut self, line: Line) {
        self.commands.push_back(Command::Log(line));
    }
}

impl State {
    /// It answered.
    fn note_heard(&mut self, now: Instant) -> Option<Line> {
        self.heard = Some(now);
        self.dead_until = None;
        std::mem::take(&mut self.is_missed).then(|| self.line("answers again", Message::RadiusBack))
    }

    /// It did not answer a question, nor any other since that was asked.
    fn note_missed(&mut self, now: Instant) -> Option<Line> {
        self.dead_until = Some(now + DEAD_TIME);
        let is_new = !std::mem::replace(&mut self.is_missed, true);
        is_new.then(|| self.line("does not answer", Message::RadiusMissing))
    }

    /// Its answer is not to be believed.
    fn complain(&mut self, now: Instant, fault: packet::Fault) -> Option<Line> {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < COMPLAINT;
        if self.complained.is_some_and(is_recent) {
            return None;
        }
        self.complained = Some(now);
        let hint = match fault {
            packet::Fault::Malformed => "",
            packet::Fault::Authenticator | packet::Fault::MessageAuthenticator => {
                " - is the secret the same?"
            }
            packet::Fault::NoMessageAuthenticator => " - see require-message-auth",
        };
        let text = format!("answered, and that is dropped: {fault}{hint}");
        Some(self.line(&text, Message::RadiusUnbelieved))
    }

    fn line(&self, what: &str, message: Message) -> Line {
        let address = self.server.address;
        Line::new(message, format!("RADIUS server {address} {what}"))
            .with(Field::RadiusServer, address)
    }
}

/// Whether a packet of this code answers such a question.
fn is_answer(purpose: Purpose, code: Code) -> bool {
    match purpose {
        Purpose::Authentication => matches!(
            code,
            Code::AccessAccept | Code::AccessReject | Code::AccessChallenge
        ),
        Purpose::Accounting => code == Code::AccountingResponse,
    }
}

/// A tenth more or less, so that what began together does not stay together.
fn jittered(timeout: Duration, entropy: &mut impl Entropy) -> Duration {
    let random = u32::from(entropy.next_u16());
    timeout * 9 / 10 + timeout / 5 * random / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests;

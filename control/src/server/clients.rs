//! The configured clients: dialling, and dialling again.
//!
//! A dial takes these steps, each with its own time: the name is looked up; for each address in
//! turn the way to it is pinned, if there is to be a default route, and its port connected to. From
//! there on the control connection and the session have the word. There is one dial of a client at
//! a time, and none while its last session is not all gone.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_datapath::ipc::Request;

use super::{Client, ClientId, Command, ConnId, Datapath, Server, Timer};
use crate::cause::Cause;
use crate::dialer::{Dialer, Stage};
use crate::entropy::Entropy;
use crate::model::PptpClient;
use crate::pptp::Connection;
use crate::session::interface_name;
use crate::session::line::{self, Field, Line, Message};

/// How far a dial is that has no connection yet.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// Addresses that were not tried yet.
    untried: VecDeque<Ipv4Addr>,
    /// The one that is tried.
    trying: Option<Ipv4Addr>,
    /// One that was connected to without much coming of it: the next dial begins behind it.
    avoided: Option<Ipv4Addr>,
}

impl Client {
    /// Whether one of the server's addresses is being connected to.
    pub(super) const fn is_connecting(&self) -> bool {
        self.attempt.trying.is_some()
    }
}

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Begins with every configured client.
    pub(super) fn begin_clients(&mut self, now: Instant) {
        for client in self.config.clients.clone() {
            self.begin_client(now, client);
        }
    }

    /// Begins with a client, unless it is disabled.
    pub(super) fn begin_client(&mut self, now: Instant, config: PptpClient) {
        if config.disabled {
            return;
        }
        let client = ClientId(self.next_client);
        self.next_client = self.next_client.wrapping_add(1);
        let state = Client {
            dialer: Dialer::new(now, config.dial_on_demand),
            unit: self.free_unit(),
            config,
            is_retired: false,
            granted: None,
            conn: None,
            attempt: Attempt::default(),
            session: None,
            address: None,
            resolves_by: None,
            last_end: None,
        };
        self.clients.insert(client, state);
        if matches!(self.datapath, Datapath::Ready(_)) {
            self.stand(client);
        }
        self.touched.push_back(Timer::Client(client));
    }

    /// Ends what a client began and begins nothing more.
    pub(super) fn switch_off(&mut self, now: Instant, client: ClientId, cause: Cause) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        state.dialer.switch_off();
        let (conn, session) = (state.conn, state.session);
        let Some(conn) = conn else {
            return;
        };
        if let Some(entry) = session.and_then(|session| self.sessions.get_mut(&session)) {
            entry.session.close(now, cause);
            self.touched.extend(session.map(Timer::Session));
        } else if let Some(entry) = self.conns.get_mut(&conn) {
            entry.pptp.stop(now, cause);
            self.touched.push_back(Timer::Conn(conn));
        } else {
            self.commands.push_back(Command::Close { conn });
            self.on_dial_ended(now, client, Some(cause));
        }
    }

    pub(super) fn look_after_client(&mut self, now: Instant, client: ClientId) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        let is_quiet = state.conn.is_none() && state.session.is_none();
        if state.is_retired && is_quiet {
            return self.forget_client(client);
        }
        if state.dialer.is_overdue(now) {
            self.on_step_overdue(now, client);
        }
        // Without a datapath there is nothing to call with.
        let ready = matches!(self.datapath, Datapath::Ready(_));
        let is_free = ready && is_quiet && !self.is_succession(client);
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        if is_free && state.dialer.rest_if_due(now) {
            self.await_packets(client);
        } else if is_free && state.dialer.dial_if_due(now) {
            self.dial(client);
        }
        let state = self.clients.get(&client);
        let deadline = state.and_then(|state| {
            let waits = matches!(state.dialer.stage(), Stage::Waiting(_) | Stage::Resting(_));
            let deadline = state.dialer.poll_timeout();
            deadline.filter(|_| is_free || !waits)
        });
        self.timers.set(Timer::Client(client), deadline);
    }

    /// The resolver's answer to [`Command::Resolve`]: at least one address, or why there is none.
    pub fn handle_resolved(
        &mut self,
        now: Instant,
        conn: ConnId,
        answer: Result<Vec<Ipv4Addr>, String>,
    ) {
        let Some(client) = self.client_of(conn) else {
            return;
        };
        match answer {
            Ok(addresses) => {
                if let Some(state) = self.clients.get_mut(&client) {
                    state.attempt.untried = in_turn(addresses, state.attempt.avoided);
                }
                self.try_next(now, client, Cause::NameNotResolved);
            }
            Err(reason) => {
                self.say_not_resolved(client, &reason);
                self.on_dial_ended(now, client, Some(Cause::NameNotResolved));
            }
        }
        self.settle(now);
    }

    /// What [`Command::Connect`] asked for is there.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId, ours: Ipv4Addr, peer: Ipv4Addr) {
        let Some(client) = self.client_of(conn) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(&client) {
            client.dialer.handle_connected();
        }
        let mut pptp = Connection::client(now, &self.config.identity.name);
        pptp.start(now);
        self.insert_conn(conn, pptp, (ours, peer), Some(client));
        self.settle(now);
    }

    /// What [`Command::Connect`] asked for cannot be had: the kernel's kind of error, and its words.
    pub fn handle_unreachable(&mut self, now: Instant, conn: ConnId, kind: ErrorKind, words: &str) {
        if let Some(client) = self.client_of(conn) {
            self.on_unreachable(now, client, cause_of(kind), words);
        }
        self.settle(now);
    }

    /// The datapath's answer to [`Request::Pin`].
    pub(super) fn on_pinned(
        &mut self,
        now: Instant,
        name: &str,
        server: Ipv4Addr,
        refused: Option<&str>,
    ) {
        let waits = |client: &Client| {
            !client.is_retired
                && interface_name(&client.config.name) == name
                && client.attempt.trying == Some(server)
                && matches!(client.dialer.stage(), Stage::Connecting(_))
        };
        let mut clients = self.clients.iter();
        let Some((&client, _)) = clients.find(|(_, state)| waits(state)) else {
            return;
        };
        match refused {
            None => self.connect(now, client, server),
            Some(reason) => self.on_unreachable(now, client, Cause::NoRoute, reason),
        }
    }

    fn dial(&mut self, client: ClientId) {
        let line = self.client_line(client, Message::Initializing, "initializing...");
        self.log(line);
        let conn = self.next_conn();
        if let Some(state) = self.clients.get_mut(&client) {
            state.conn = Some(conn);
            let host = state.config.connect_to.clone();
            self.commands.push_back(Command::Resolve { conn, host });
        }
    }

    /// Goes on with the next address. `cause`: why the last one was nothing.
    fn try_next(&mut self, now: Instant, client: ClientId, cause: Cause) {
        // Each attempt has a number of its own: what is told of an earlier one comes too late.
        let conn = self.next_conn();
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        state.conn = Some(conn);
        state.attempt.trying = state.attempt.untried.pop_front();
        let Some(address) = state.attempt.trying else {
            return self.on_dial_ended(now, client, Some(cause));
        };
        state.dialer.handle_step(now);
        self.touched.push_back(Timer::Client(client));
        if state.config.add_default_route {
            let name = interface_name(&state.config.name);
            self.commands.push_back(Command::Datapath(Request::Pin {
                name,
                server: address,
            }));
        } else {
            self.connect(now, client, address);
        }
    }

    fn connect(&mut self, now: Instant, client: ClientId, address: Ipv4Addr) {
        let line = self.client_line(client, Message::Connecting, "connecting...");
        self.log(line.with(Field::Caller, address));
        if let Some(state) = self.clients.get_mut(&client)
            && let Some(conn) = state.conn
        {
            state.dialer.handle_step(now);
            self.touched.push_back(Timer::Client(client));
            self.commands.push_back(Command::Connect { conn, address });
        }
    }

    fn on_step_overdue(&mut self, now: Instant, client: ClientId) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        if let Some(conn) = state.conn {
            self.commands.push_back(Command::Close { conn });
        }
        if state.attempt.trying.is_some() {
            self.on_unreachable(now, client, Cause::ConnectFailed, "no answer");
        } else {
            self.say_not_resolved(client, "no answer");
            self.on_dial_ended(now, client, Some(Cause::NameNotResolved));
        }
    }

    pub(super) fn on_unreachable(
        &mut self,
        now: Instant,
        client: ClientId,
        cause: Cause,
        words: &str,
    ) {
        let Some(state) = self.clients.get(&client) else {
            return;
        };
        if let Some(address) = state.attempt.trying {
            let text = format!("cannot connect to {address}: {words}");
            let line = self.client_line(client, Message::ConnectFailed, &text);
            self.log(line.with(Field::Caller, address));
        }
        self.try_next(now, client, cause);
    }

    fn say_not_resolved(&mut self, client: ClientId, reason: &str) {
        let host = self
            .clients
            .get(&client)
            .map_or("", |state| &state.config.connect_to);
        let text = format!("cannot resolve {host}: {reason}");
        let line = self.client_line(client, Message::NameNotResolved, &text);
        self.log(line);
    }

    /// A dial came to its end. `cause`: why, if no session has said so.
    pub(super) fn on_dial_ended(&mut self, now: Instant, client: ClientId, cause: Option<Cause>) {
        let random = self.entropy.next_u16();
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        state.conn = None;
        if let Some(cause) = cause {
            state.last_end = Some(cause);
        }
        let tried = state.attempt.trying.take();
        let was_up = state.dialer.is_up();
        state.attempt = Attempt {
            avoided: tried.filter(|_| !was_up),
            ..Attempt::default()
        };
        let should = state.last_end.is_some_and(is_no_failure);
        state.dialer.handle_ended(now, should, random);
        self.touched.push_back(Timer::Client(client));
        if tried.is_some() {
            self.unpin(client);
        }
        let Some(cause) = cause else {
            return;
        };
        let text = format!("terminating... - {cause}");
        for (message, text) in [
            (Message::Terminating, &*text),
            (Message::Disconnected, "disconnected"),
        ] {
            let line = self.client_line(client, message, text);
            self.log(line.with(Field::Cause, cause));
        }
    }

    pub(super) fn client_of(&self, conn: ConnId) -> Option<ClientId> {
        self.clients
            .iter()
            .find(|(_, client)| client.conn == Some(conn))
            .map(|(&id, _)| id)
    }

    /// Whether another client of this name, which this one takes the place of, has not ended yet.
    fn is_succession(&self, client: ClientId) -> bool {
        let Some(state) = self.clients.get(&client) else {
            return false;
        };
        self.clients
            .range(..client)
            .any(|(_, other)| other.config.name == state.config.name)
    }

    /// Nothing is left of a client that was changed or removed.
    fn forget_client(&mut self, client: ClientId) {
        self.timers.set(Timer::Client(client), None);
        let Some(state) = self.clients.remove(&client) else {
            return;
        };
        let name = state.config.name;
        let mut others = self.clients.iter();
        match others.find(|(_, other)| other.config.name == name) {
            // It has the interface from here on, and may dial.
            Some((&successor, _)) => self.touched.push_back(Timer::Client(successor)),
            None => self.dismiss(&name),
        }
    }

    /// A line about a client that has no session to speak of.
    pub(super) fn client_line(&self, client: ClientId, message: Message, text: &str) -> Line {
        let config = self.clients.get(&client).map(|state| &state.config);
        let (name, user) = config.map_or(("", ""), |config| (&*config.name, &*config.user));
        let text = line::printable(&format!("{name}: {text}"));
        Line::new(message, text)
            .with(Field::Interface, name)
            .with(Field::User, user)
    }
}

/// Whether an end is one that the operator, or the client itself, wanted.
const fn is_no_failure(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::IdleTimeout | Cause::SessionTimeout | Cause::AdministratorRequest
    )
}

/// Why an address cannot be connected to.
fn cause_of(kind: ErrorKind) -> Cause {
    if kind == ErrorKind::ConnectionRefused {
        Cause::ConnectRefused
    } else if matches!(
        kind,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable
    ) {
        Cause::NoRoute
    } else {
        Cause::ConnectFailed
    }
}

/// The addresses in the resolver's order; those up to `avoided` come last.
fn in_turn(mut addresses: Vec<Ipv4Addr>, avoided: Option<Ipv4Addr>) -> VecDeque<Ipv4Addr> {
    let place = addresses.iter().position(|&one| Some(one) == avoided);
    if let Some(place) = place {
        let count = addresses.len();
        addresses.rotate_left((place + 1) % count);
    }
    addresses.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_begins_behind_the_address_that_was_no_good() {
        let [a, b, c] = [1, 2, 3].map(|last| Ipv4Addr::new(192, 0, 2, last));
        for (avoided, expected) in [
            (None, [a, b, c]),
            (Some(a), [b, c, a]),
            (Some(c), [a, b, c]),
            (Some(Ipv4Addr::LOCALHOST), [a, b, c]),
        ] {
            assert_eq!(in_turn(vec![a, b, c], avoided), expected);
        }
    }
}

//! The configured clients: dialling, and dialling again.

use std::time::Instant;

use super::{Client, ClientId, Command, ConnId, Datapath, Server, Timer};
use crate::cause::Cause;
use crate::dialer::Dialer;
use crate::entropy::Entropy;
use crate::model::PptpClient;
use crate::session::line::{self, Field, Line, Message};

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Begins with every configured client.
    pub(super) fn begin_clients(&mut self, now: Instant) {
        for client in self.config.clients.clone() {
            self.begin_client(now, client);
        }
    }

    pub(super) fn begin_client(&mut self, now: Instant, config: PptpClient) {
        let client = ClientId(self.next_client);
        self.next_client = self.next_client.wrapping_add(1);
        let state = Client {
            dialer: Dialer::new(now, config.disabled),
            config,
            is_retired: false,
            granted: None,
            conn: None,
            session: None,
            last_end: None,
        };
        self.clients.insert(client, state);
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
        let Some(state) = self.clients.get(&client) else {
            return;
        };
        if state.is_retired && state.conn.is_none() && state.session.is_none() {
            self.clients.remove(&client);
            self.timers.set(Timer::Client(client), None);
            return;
        }
        if state.dialer.is_overdue(now)
            && let Some(conn) = state.conn
        {
            self.commands.push_back(Command::Close { conn });
            self.on_dial_ended(now, client, Some(Cause::ConnectFailed));
        }
        // Without a datapath there is nothing to call with.
        let ready = matches!(self.datapath, Datapath::Ready(_));
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        if ready && state.dialer.dial_if_due(now) {
            let conn = self.next_conn();
            self.dial(client, conn);
        }
        let state = self.clients.get(&client);
        let deadline = state.and_then(|state| state.dialer.poll_timeout());
        self.timers
            .set(Timer::Client(client), deadline.filter(|_| ready));
    }

    fn dial(&mut self, client: ClientId, conn: ConnId) {
        let line = self.client_line(client, Message::Initializing, "initializing...");
        self.log(line);
        if let Some(state) = self.clients.get_mut(&client) {
            state.conn = Some(conn);
            let host = state.config.connect_to.clone();
            self.commands.push_back(Command::Connect { conn, host });
        }
    }

    /// A dial came to its end. `cause`: why, if no session has said so.
    pub(super) fn on_dial_ended(&mut self, now: Instant, client: ClientId, cause: Option<Cause>) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        state.conn = None;
        state.dialer.handle_ended(now);
        self.touched.push_back(Timer::Client(client));
        let Some(cause) = cause else {
            return;
        };
        state.last_end = Some(cause);
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

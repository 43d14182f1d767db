//! The configured clients: dialling, and dialling again.

use std::time::Instant;

use super::{Command, ConnId, Datapath, Server, Timer};
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::session::line::{self, Field, Line, Message};

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    pub(super) fn look_after_client(&mut self, now: Instant, client: usize) {
        if self.clients[client].dialer.is_overdue(now)
            && let Some(conn) = self.clients[client].conn
        {
            self.commands.push_back(Command::Close { conn });
            self.on_dial_ended(now, client, Some(Cause::ConnectFailed));
        }
        // Without a datapath there is nothing to call with.
        let ready = matches!(self.datapath, Datapath::Ready(_));
        if ready && self.clients[client].dialer.dial_if_due(now) {
            let conn = self.next_conn();
            self.clients[client].conn = Some(conn);
            let line = self.client_line(client, Message::Initializing, "initializing...");
            self.log(line);
            let host = self.config.clients[client].connect_to.clone();
            self.commands.push_back(Command::Connect { conn, host });
        }
        let deadline = self.clients[client].dialer.poll_timeout();
        self.timers
            .set(Timer::Client(client), deadline.filter(|_| ready));
    }

    /// A dial came to its end. `cause`: why, if no session has said so.
    pub(super) fn on_dial_ended(&mut self, now: Instant, client: usize, cause: Option<Cause>) {
        if let Some(cause) = cause {
            self.clients[client].last_end = Some(cause);
            let text = format!("terminating... - {cause}");
            for (message, text) in [
                (Message::Terminating, &*text),
                (Message::Disconnected, "disconnected"),
            ] {
                let line = self.client_line(client, message, text);
                self.log(line.with(Field::Cause, cause));
            }
        }
        let client_state = &mut self.clients[client];
        client_state.conn = None;
        client_state.dialer.handle_ended(now);
        self.touched.push_back(Timer::Client(client));
    }

    pub(super) fn client_of(&self, conn: ConnId) -> Option<usize> {
        self.clients
            .iter()
            .position(|client| client.conn == Some(conn))
    }

    /// A line about a client that has no session to speak of.
    pub(super) fn client_line(&self, client: usize, message: Message, text: &str) -> Line {
        let client = &self.config.clients[client];
        let text = line::printable(&format!("{}: {text}", client.name));
        Line::new(message, text)
            .with(Field::Interface, &client.name)
            .with(Field::User, &client.user)
    }
}

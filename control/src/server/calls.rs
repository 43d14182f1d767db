//! Control connections and the calls on them.

use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::{IoMode, Tunnel, Uplink};

use super::accounts::Account;
use super::half_open::MAX_STRANGER_CALLS;
use super::hooks::Hooks;
use super::standing::default_route;
use super::terms::terms;
use super::{ClientId, Command, Conn, ConnId, Datapath, Entry, Server, Timer};
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::ppp;
use crate::pptp::wire::{GeneralError, OutgoingCallResult};
use crate::pptp::{self, Connection, Direction};
use crate::session::line::{self, Field, Line, Message};
use crate::session::{self, Session, Side};

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    pub(super) fn next_conn(&mut self) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn = self.next_conn.wrapping_add(1);
        conn
    }

    pub(super) fn insert_conn(
        &mut self,
        id: ConnId,
        mut pptp: Connection,
        (ours, peer): (Ipv4Addr, Ipv4Addr),
        client: Option<ClientId>,
    ) {
        if self.is_traced {
            pptp.trace();
        }
        let conn = Conn {
            pptp,
            ours,
            peer,
            client,
            is_stranger: client.is_none(),
            is_turned_away: false,
            sessions: 0,
            told: false,
        };
        self.conns.insert(id, conn);
        self.touched.push_back(Timer::Conn(id));
    }

    /// Does what one connection says, until it says nothing more.
    pub(super) fn pump_conn(&mut self, now: Instant, id: ConnId) {
        while let Some(conn) = self.conns.get_mut(&id) {
            let Some(command) = conn.pptp.poll_command() else {
                let deadline = conn.pptp.poll_timeout();
                self.timers.set(Timer::Conn(id), deadline);
                return;
            };
            match command {
                pptp::Command::Send(bytes) => {
                    self.commands.push_back(Command::Send { conn: id, bytes });
                }
                pptp::Command::Traced(direction, name) => {
                    let (peer, name) = (conn.peer, with_dashes(name));
                    let text = match direction {
                        Direction::Received => format!("rcvd {name} from {peer}"),
                        Direction::Sent => format!("sent {name} to {peer}"),
                    };
                    let line = Line::new(Message::ControlMessage, text);
                    self.log(line.with(Field::Caller, peer));
                }
                pptp::Command::Started { host_name, vendor } => {
                    let peer = conn.peer;
                    let text = format!("{peer} is {host_name} ({vendor})");
                    let line = Line::new(Message::PeerNamed, line::printable(&text));
                    self.log(line.with(Field::Caller, peer));
                    self.call_if_client(now, id);
                }
                pptp::Command::CallRequested { peer_call_id, .. } => {
                    self.on_call_requested(now, id, peer_call_id);
                }
                pptp::Command::CallConnected {
                    call_id,
                    peer_call_id,
                    ..
                } => self.on_call_connected(now, id, call_id, peer_call_id),
                pptp::Command::CallEnded { call_id, cause } => {
                    self.on_call_ended(now, id, call_id, cause);
                }
                pptp::Command::Close(cause) => self.on_conn_closed(now, id, cause),
            }
        }
    }

    pub(super) fn on_call_requested(&mut self, now: Instant, id: ConnId, peer_call_id: PeerCallId) {
        let is_greedy = |conn: &Conn| conn.is_stranger && conn.sessions >= MAX_STRANGER_CALLS;
        let drawn = if self.conns.get(&id).is_some_and(is_greedy) || self.is_full() {
            Err(GeneralError::NoResource)
        } else {
            self.draw_ids(now)
        };
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let (call_id, session) = match drawn {
            Ok(drawn) => drawn,
            Err(error) => {
                let result = OutgoingCallResult::GeneralError;
                conn.pptp.refuse_call(now, peer_call_id, result, error);
                return;
            }
        };
        // The call may have been cleared in the same segment.
        if !conn.pptp.accept_call(now, peer_call_id, call_id) {
            self.call_ids.release(now, call_id);
            self.session_ids.release(session);
            return;
        }
        let server = &self.config.server;
        let link = ppp::Config {
            role: ppp::Role::Server {
                name: self.config.identity.name.clone(),
                methods: server.authentication.clone(),
            },
            max_mru: server.max_mru,
            mrru: server.mrru,
            // This comes with the user too.
            ipv6: ppp::UseIpv6::Yes,
            // The policy comes with the user.
            encryption: ppp::Encryption::Yes,
            keepalive: server.keepalive_timeout,
            rechallenge: None,
        };
        let call = (call_id, peer_call_id, Side::Server, server.max_mtu);
        self.open_session(now, id, session, call, link);
        // The datapath must know the call before the caller does.
        self.pump_session(now, session);
    }

    /// Whether as many clients are connected as `max-sessions` allows, those included that are not
    /// logged in yet.
    fn is_full(&self) -> bool {
        let most = self.config.server.max_sessions;
        let clients = || {
            self.sessions
                .values()
                .filter(|entry| entry.client.is_none())
        };
        most.is_some_and(|most| clients().count() >= most as usize)
    }

    /// A call id and a session number, or why there are none.
    pub(super) fn draw_ids(&mut self, now: Instant) -> Result<(CallId, SessionId), GeneralError> {
        if self.stop_by.is_some() || !matches!(self.datapath, Datapath::Ready(_)) {
            return Err(GeneralError::PacError);
        }
        let session = self
            .session_ids
            .allocate()
            .ok_or(GeneralError::NoResource)?;
        match self.call_ids.allocate(now, &mut self.entropy) {
            Some(call_id) => Ok((call_id, session)),
            None => {
                self.session_ids.release(session);
                Err(GeneralError::NoResource)
            }
        }
    }

    /// The start exchange of a client is done: it calls.
    pub(super) fn call_if_client(&mut self, now: Instant, id: ConnId) {
        let Some(client) = self.conns.get(&id).and_then(|conn| conn.client) else {
            return;
        };
        match self.draw_ids(now) {
            Ok((call_id, session)) => {
                self.calls.insert(call_id, session);
                if let Some(client) = self.clients.get_mut(&client) {
                    client.session = Some(session);
                }
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.pptp.request_call(now, call_id);
                }
            }
            Err(_) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.pptp.stop(now, Cause::PortError);
                }
            }
        }
    }

    pub(super) fn on_call_connected(
        &mut self,
        now: Instant,
        id: ConnId,
        call_id: CallId,
        peer: PeerCallId,
    ) {
        let client = self.conns.get(&id).and_then(|conn| conn.client);
        let (Some(client), Some(&session)) = (client, self.calls.get(&call_id)) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&client) else {
            return;
        };
        let config = &client.config;
        let resolved = self.config.resolve_client(config);
        let link = ppp::Config {
            role: ppp::Role::Client {
                user: config.user.clone(),
                password: config.password.clone(),
                allow: config.allow.clone(),
            },
            max_mru: config.max_mru,
            mrru: config.mrru,
            ipv6: resolved.ipv6,
            encryption: resolved.encryption,
            keepalive: config.keepalive_timeout,
            rechallenge: None,
        };
        let route = default_route(config);
        let side = Side::Client(config.name.clone());
        let call = (call_id, peer, side, config.max_mtu);
        client.granted = Some(resolved.clone());
        self.open_session(now, id, session, call, link);
        if let Some(entry) = self.sessions.get_mut(&session) {
            let mut terms = terms(&resolved);
            terms.routes.extend(route);
            entry.session.set_terms(terms);
            entry.hooks = Hooks::new(&resolved.on_up, &resolved.on_down);
        }
    }

    pub(super) fn open_session(
        &mut self,
        now: Instant,
        id: ConnId,
        session: SessionId,
        (call_id, peer_call_id, side, max_mtu): (CallId, PeerCallId, Side, u16),
        link: ppp::Config,
    ) {
        let (Some(conn), Datapath::Ready(hello)) = (self.conns.get_mut(&id), &self.datapath) else {
            // The datapath went away between the call's request and its answer.
            self.calls.remove(&call_id);
            self.forget_session(session);
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.pptp.clear_call(now, call_id, Cause::PortError);
            }
            return;
        };
        conn.sessions += 1;
        let config = session::Config {
            session,
            tunnel: Tunnel {
                ours: conn.ours,
                peer: conn.peer,
                call_id,
                peer_call_id,
            },
            side,
            max_mtu,
            uplink: hello.uplinks.first().cloned().unwrap_or_else(unknown),
            link,
            is_traced: self.is_traced,
        };
        let entry = Entry {
            session: Session::open(now, config, Box::new(self.entropy.clone())),
            conn: id,
            client: conn.client,
            arrival: self.arrivals,
            number: self.next_number,
            leases: Vec::new(),
            hooks: Hooks::default(),
            account: Account::default(),
            asking: None,
            granted: None,
            is_stale: false,
        };
        self.arrivals += 1;
        self.next_number = next_number(self.next_number);
        self.calls.insert(call_id, session);
        self.sessions.insert(session, entry);
        self.touched.push_back(Timer::Session(session));
    }

    pub(super) fn on_call_ended(
        &mut self,
        now: Instant,
        id: ConnId,
        call_id: CallId,
        cause: Cause,
    ) {
        self.call_ids.release(now, call_id);
        let Some(session) = self.calls.remove(&call_id) else {
            return;
        };
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.session.abort(now, cause);
            self.touched.push_back(Timer::Session(session));
        } else {
            // A client's call that never became a session.
            self.forget_session(session);
        }
        if let Some(conn) = self.conns.get_mut(&id)
            && conn.client.is_some()
        {
            conn.pptp.stop(now, cause);
        }
    }

    pub(super) fn on_conn_closed(&mut self, now: Instant, id: ConnId, cause: Cause) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        self.timers.set(Timer::Conn(id), None);
        self.misbehaviours.add(conn.pptp.misbehaviours());
        for (name, count) in conn.pptp.misbehaviours().iter() {
            let text = format!("{} misbehaved: {name} {count}", conn.peer);
            let line = Line::new(Message::PeerMisbehaved, text);
            self.log(
                line.with(Field::Caller, conn.peer)
                    .with(Field::Count, count),
            );
        }
        if conn.is_stranger {
            self.half_open.leave(conn.peer);
        }
        if conn.is_turned_away {
            self.half_open.forget_turned_away();
        }
        self.commands.push_back(Command::Close { conn: id });
        if let Some(client) = conn.client {
            if cause == Cause::CallRefused
                && let Some(refused) = conn.pptp.refused()
            {
                let text = format!("the server refused {refused}");
                let line = self.client_line(client, Message::CallRefused, &text);
                self.log(line.with(Field::Caller, conn.peer));
            }
            let session = self.clients.get(&client).and_then(|client| client.session);
            let had_session = session.is_some_and(|session| self.sessions.contains_key(&session));
            let told = conn.told || had_session;
            self.on_dial_ended(now, client, (!told).then_some(cause));
        }
    }
}

/// The number after `number`: the lowest 20 bits count.
const fn next_number(number: u32) -> u32 {
    (number & !0xf_ffff) | (number.wrapping_add(1) & 0xf_ffff)
}

/// The name of a message as RFC 2637 writes it: `Echo-Request` of `EchoRequest`.
fn with_dashes(name: &str) -> String {
    let mut dashed = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.push(c);
    }
    dashed
}

/// Until the datapath says which way it is.
fn unknown() -> Uplink {
    Uplink {
        name: String::new(),
        mtu: 1500,
        io: IoMode::Raw,
    }
}

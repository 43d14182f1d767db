//! What sessions want: users checked, addresses found, ends carried out.

use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_datapath::ids::SessionId;

use super::hooks::Hooks;
use super::login::Unknown;
use super::terms::terms;
use super::{Command, Entry, Granted, LastEnd, Server, Timer, login};
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::model::AddressSource;
use crate::ppp::{self, Refusal};
use crate::session::line::{self, Field, Line, Message};
use crate::session::{self, Stage};

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Does what one session says, until it says nothing more.
    pub(super) fn pump_session(&mut self, now: Instant, id: SessionId) {
        while let Some(entry) = self.sessions.get_mut(&id) {
            let Some(command) = entry.session.poll_command() else {
                let deadline = entry.session.poll_timeout();
                self.timers.set(Timer::Session(id), deadline);
                self.note_stage(now, id);
                self.note_up(id);
                return;
            };
            match command {
                session::Command::Datapath(request) => self.pass(now, id, request),
                session::Command::Log(line) => {
                    let number = format!("0x{:08x}", entry.number);
                    self.log(line.with(Field::Session, number));
                }
                session::Command::Authenticate { user, proof } => {
                    self.authenticate(now, id, &user, &proof);
                }
                session::Command::Ended(cause) => self.on_session_ended(now, id, cause),
                session::Command::Gone => {
                    self.note_down(now, id);
                    self.forget_session(id);
                }
            }
        }
    }

    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        id: SessionId,
        user: &str,
        proof: &ppp::Proof,
    ) {
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        let caller = entry.session.tunnel().peer;
        if !entry.is_in() {
            self.give_back(id);
        }
        match login::check(&self.config, user, caller, proof) {
            Ok(known) => self.let_in(now, id, user, known),
            Err(Unknown::Absent) if self.config.aaa.use_radius => {
                self.ask_radius(now, id, user, proof);
            }
            Err(Unknown::Absent) => self.turn_away(now, id, user, Refusal::WrongLogin),
            Err(Unknown::Refused(refusal)) => self.turn_away(now, id, user, refusal),
        }
    }

    fn turn_away(&mut self, now: Instant, id: SessionId, user: &str, refusal: Refusal) {
        let message = None;
        let verdict = ppp::Verdict::Reject { refusal, message };
        self.with_session(id, |one| one.handle_verdict(now, user, "", verdict));
    }

    /// A user is who it says: gives it what it gets.
    pub(super) fn let_in(&mut self, now: Instant, id: SessionId, user: &str, known: login::Known) {
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        if entry.is_in() {
            return self.let_in_again(now, id, user, known);
        }
        let caller = entry.session.tunnel().peer;
        self.replace_sessions(now, &known);
        if self.config.server.one_session_per_host {
            self.replace_host(now, id, caller);
        }
        let others = self.users.sessions_of(&known.name);
        let most = self.port_limit(&known, &others);
        let others = others.len();
        if let Some(most) = most.filter(|&most| others >= most as usize) {
            let reason = format!("has {others} sessions already, and Port-Limit is {most}");
            return self.refuse(now, id, user, &reason);
        }
        let (user_name, mut leases) = (&known.name, Vec::new());
        let network = login::addresses(&mut self.pools, &known.resolved, user_name, &mut leases);
        if let Err(reason) = &network {
            let line = Line::new(Message::NoAddress, line::printable(reason));
            self.log(line.with(Field::User, user).with(Field::Caller, caller));
        }
        let bindings = self.config.bindings.iter();
        let bindings = bindings.filter(|one| !one.disabled && one.user == *user_name);
        let name = self
            .users
            .enter(id, user_name, bindings.map(|one| &*one.name));
        let accept = accept(&known, network.ok());
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.leases = leases;
            entry.is_stale = false;
            entry.session.set_terms(terms(&known.resolved));
            entry.hooks = Hooks::new(&known.resolved.on_up, &known.resolved.on_down);
            entry.granted = Some(Granted {
                user: known.name,
                resolved: known.resolved,
                authentic: known.authentic,
                grant: known.grant,
            });
        }
        self.with_session(id, |one| one.handle_verdict(now, user, &name, accept));
    }

    /// How many sessions a user may have: as RADIUS says now, or has said of one that there is.
    fn port_limit(&self, known: &login::Known, others: &[SessionId]) -> Option<u32> {
        let others = others.iter().filter_map(|id| self.sessions.get(id));
        let granted = others.filter_map(|entry| entry.granted.as_ref()?.grant.as_deref());
        let all = granted.chain(known.grant.as_deref());
        all.filter_map(|grant| grant.port_limit).min()
    }

    /// A user who is in has proved again who that is; it keeps what it has.
    fn let_in_again(&mut self, now: Instant, id: SessionId, user: &str, known: login::Known) {
        let same = |entry: &Entry| entry.session.user() == user;
        if !self.sessions.get(&id).is_some_and(same) {
            return self.turn_away(now, id, user, Refusal::WrongLogin);
        }
        let verdict = accept(&known, None);
        self.with_session(id, |one| one.handle_verdict(now, user, "", verdict));
    }

    /// Ends the sessions that a new one of the same user takes the place of: all of them with
    /// `only-one`, else the one that has the address that is the user's alone. Their addresses and
    /// names are free afterwards.
    pub(super) fn replace_sessions(&mut self, now: Instant, known: &login::Known) {
        let fixed = match &known.resolved.remote {
            Some(AddressSource::Fixed(address)) => Some(*address),
            Some(AddressSource::Pool(_)) | None => None,
        };
        for other in self.users.sessions_of(&known.name) {
            let Some(entry) = self.sessions.get_mut(&other) else {
                continue;
            };
            let has_address = fixed.is_some_and(|address| entry.leases.contains(&address));
            if known.resolved.only_one || has_address {
                entry.session.close(now, Cause::AdministratorRequest);
                entry.session.abort(now, Cause::AdministratorRequest);
                self.pump_session(now, other);
            }
        }
    }

    /// Ends the other sessions of clients at the same address.
    fn replace_host(&mut self, now: Instant, id: SessionId, caller: Ipv4Addr) {
        let is_same = |(other, entry): &(&SessionId, &Entry)| {
            **other != id
                && entry.client.is_none()
                && entry.is_in()
                && entry.session.tunnel().peer == caller
        };
        let same = self.sessions.iter().filter(is_same);
        let same: Vec<_> = same.map(|(&other, _)| other).collect();
        for other in same {
            if let Some(entry) = self.sessions.get_mut(&other) {
                entry.session.close(now, Cause::AdministratorRequest);
                entry.session.abort(now, Cause::AdministratorRequest);
                self.pump_session(now, other);
            }
        }
    }

    pub(super) fn on_session_ended(&mut self, now: Instant, id: SessionId, cause: Cause) {
        self.give_back(id);
        self.forget_question(id);
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        let (conn_id, call_id) = (entry.conn, entry.session.tunnel().call_id);
        if let Some(granted) = &entry.granted {
            let last = LastEnd {
                at: now,
                caller: entry.session.tunnel().peer,
                cause,
            };
            self.last_ends.insert(granted.user.clone(), last);
        }
        if let Some(client) = entry.client
            && let Some(client) = self.clients.get_mut(&client)
        {
            client.last_end = Some(cause);
            if let Some(interface) = client.resolves_by.take() {
                self.commands.push_back(Command::RevertDns { interface });
            }
        }
        if let Some(conn) = self.conns.get_mut(&conn_id) {
            conn.sessions -= 1;
            conn.told = true;
            conn.pptp.clear_call(now, call_id, cause);
            if self.stop_by.is_some() {
                conn.pptp.stop(now, cause);
            }
            self.touched.push_back(Timer::Conn(conn_id));
        }
    }

    /// Gives back what a session holds of what others may want.
    pub(super) fn give_back(&mut self, id: SessionId) {
        self.users.leave(id);
        if let Some(entry) = self.sessions.get_mut(&id) {
            for address in entry.leases.drain(..) {
                self.pools.release(address);
            }
        }
    }

    /// Nothing is left of a session, or nothing came of it.
    pub(super) fn forget_session(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.session_ids.release(id);
        self.timers.set(Timer::Session(id), None);
        self.timers.set(Timer::Account(id), None);
        for (&client, state) in &mut self.clients {
            if state.session.take_if(|session| *session == id).is_some() {
                self.touched.push_back(Timer::Client(client));
            }
        }
    }

    /// Whom the others have to know about once a session has come further.
    pub(super) fn note_stage(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get(&id) else {
            return;
        };
        match entry.session.stage() {
            Stage::Authenticated | Stage::Connected => {}
            Stage::Establishing | Stage::Removing | Stage::Gone => return,
        }
        if let (Some(client), Stage::Connected) = (entry.client, entry.session.stage())
            && let Some(up) = entry.session.up()
        {
            let (network, kernel_name) = (up.network, entry.session.kernel_name().to_owned());
            return self.note_client_up(now, client, &network, &kernel_name);
        }
        if let Some(conn) = self.conns.get_mut(&entry.conn)
            && std::mem::take(&mut conn.is_stranger)
        {
            self.half_open.leave(conn.peer);
        }
    }

    /// The time for a good order is over.
    pub(super) fn cut_off(&mut self, now: Instant) {
        for (&id, entry) in &mut self.sessions {
            entry.session.abort(now, Cause::Reboot);
            self.touched.push_back(Timer::Session(id));
        }
        for (&id, conn) in &mut self.conns {
            conn.pptp.stop(now, Cause::Reboot);
            self.touched.push_back(Timer::Conn(id));
        }
    }
}

/// Lets a user in, with these addresses.
fn accept(known: &login::Known, network: Option<ppp::Network>) -> ppp::Verdict {
    let grant = known.grant.as_deref();
    ppp::Verdict::Accept(Box::new(ppp::Accept {
        message: known.message.clone(),
        keys: known.keys.clone(),
        strengths: grant
            .and_then(|grant| grant.encryption_types)
            .filter(|&types| types != 0)
            .map(ppp::Strengths::from_types),
        encryption: known.resolved.encryption,
        ipv6: known.resolved.ipv6,
        network,
    }))
}

//! What RADIUS servers ask of sessions that are up: to end them, and to change what they may do
//! (RFC 5176).

use std::net::SocketAddrV4;
use std::time::Instant;

use greyhound_datapath::ids::SessionId;

use super::terms::terms;
use super::{Command, Entry, Server, Timer, login};
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::model::{Config, Resolved};
use crate::radius::access::Grant;
use crate::radius::incoming::{Changes, ErrorCause, Heard, Kind, Request};
use crate::session::line::{Field, Line, Message};

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// A datagram came to the port of `/radius incoming`; `unix_time` is the time of day, in seconds.
    pub fn handle_incoming(
        &mut self,
        now: Instant,
        unix_time: u64,
        from: SocketAddrV4,
        bytes: &[u8],
    ) {
        let answer = match self.incoming.handle(now, unix_time, from, bytes) {
            Heard::Nothing => None,
            Heard::Answer(answer) => Some(answer),
            Heard::Request(request) => {
                let outcome = self.carry_out(now, from, &request);
                Some(self.incoming.answer(now, &request, outcome))
            }
        };
        if let Some(bytes) = answer {
            self.commands
                .push_back(Command::AnswerIncoming { to: from, bytes });
        }
        self.settle(now);
    }

    /// Whose requests are taken.
    pub(super) fn reconfigure_incoming(&mut self) {
        let servers = askers(&self.config);
        self.incoming.configure(servers);
    }

    fn carry_out(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        request: &Request,
    ) -> Result<(), ErrorCause> {
        let who = &request.who;
        // What requests are sent from, and what clients call.
        let is_ours = |address| {
            let mut servers = self.config.radius.iter();
            let mut called = self.sessions.values();
            servers.any(|server| server.src_address == Some(address))
                || called.any(|entry| entry.session.tunnel().ours == address)
        };
        if !who.is_for(&self.config.identity.name, is_ours) {
            return Err(ErrorCause::NasIdentificationMismatch);
        }
        let is_meant = |entry: &Entry| {
            let Some(up) = entry.session.up() else {
                return false;
            };
            let (user, name) = (entry.session.user(), entry.session.name());
            entry.client.is_none() && who.fit(&self.call(entry), user, up.network.peer, name)
        };
        let meant = self.sessions.iter().filter(|(_, entry)| is_meant(entry));
        let meant: Vec<_> = meant.map(|(&id, _)| id).collect();
        if meant.is_empty() {
            return Err(ErrorCause::SessionContextNotFound);
        }
        match &request.kind {
            Kind::Disconnect => {
                for id in meant {
                    self.say_of(id, format!("disconnected by RADIUS server {}", from.ip()));
                    if let Some(entry) = self.sessions.get_mut(&id) {
                        entry.session.close(now, Cause::AdministratorRequest);
                        self.touched.push_back(Timer::Session(id));
                    }
                }
            }
            Kind::Change(changes) => {
                // All or none: what one cannot have is not begun with the others.
                let resolved = meant.into_iter().map(|id| {
                    let (grant, resolved) = self.granted_now(id, changes)?;
                    Ok((id, grant, resolved))
                });
                for (id, grant, resolved) in resolved.collect::<Result<Vec<_>, ErrorCause>>()? {
                    self.change_terms(now, id, grant, resolved);
                    self.say_of(id, format!("changed by RADIUS server {}", from.ip()));
                }
            }
        }
        Ok(())
    }

    /// What RADIUS gives a session from here on, and what it has with that.
    fn granted_now(
        &self,
        id: SessionId,
        changes: &Changes,
    ) -> Result<(Box<Grant>, Resolved), ErrorCause> {
        let granted = self.sessions.get(&id).and_then(|one| one.granted.as_ref());
        let granted = granted.ok_or(ErrorCause::SessionContextNotFound)?;
        let mut grant = granted.grant.clone().unwrap_or_default();
        changes.apply(&mut grant);
        let secret = granted.secret(&self.config);
        let resolved = login::resolve(&self.config, secret, &grant);
        Ok((
            grant,
            resolved.map_err(|_| ErrorCause::InvalidAttributeValue)?,
        ))
    }

    /// What may change of a session that is up: rates, limits, times. What it has besides - addresses,
    /// routes, lists, filters - it keeps to its end.
    fn change_terms(&mut self, now: Instant, id: SessionId, grant: Box<Grant>, new: Resolved) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(granted) = &mut entry.granted else {
            return;
        };
        let changed = Resolved {
            session_timeout: new.session_timeout,
            idle_timeout: new.idle_timeout,
            rate_limit: new.rate_limit,
            limit_bytes_in: new.limit_bytes_in,
            limit_bytes_out: new.limit_bytes_out,
            limit_bytes_total: new.limit_bytes_total,
            only_one: new.only_one,
            ..granted.resolved.clone()
        };
        entry.session.change_terms(now, terms(&changed));
        entry.is_stale = changed != new;
        granted.resolved = changed;
        granted.grant = Some(grant);
        self.touched.push_back(Timer::Session(id));
    }

    fn say_of(&mut self, id: SessionId, text: String) {
        if let Some(entry) = self.sessions.get(&id) {
            let name = entry.session.name();
            let line = Line::new(Message::RadiusChanged, format!("{name}: {text}"))
                .with(Field::Interface, name)
                .with(Field::User, entry.session.user())
                .with(Field::Session, format!("0x{:08x}", entry.number));
            self.log(line);
        }
    }
}

/// The servers whose requests are taken: all that are asked for PPP.
pub(super) fn askers(config: &Config) -> Vec<(std::net::Ipv4Addr, zeroize::Zeroizing<String>)> {
    let of_ppp = config
        .radius
        .iter()
        .filter(|one| !one.disabled && one.is_for_ppp());
    of_ppp
        .filter_map(|one| Some((one.address?, one.secret.clone())))
        .collect()
}

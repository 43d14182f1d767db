//! Another configuration while everything runs: what it does not concern goes on as it was.
//!
//! Profiles, secrets and the settings of the server hold for whoever comes next; sessions that
//! began with others are marked. Pools keep what is in use. A client that was changed is dialled
//! anew, and a session that has the interface of a binding ends with that.

use std::collections::HashMap;
use std::time::Instant;

use super::{Entry, Granted, Server, login};
use crate::accounting::Authentic;
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::model::{Id, PptpClient, Resolved, Running, Secret};
use crate::session::Stage;

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// Goes on with another configuration.
    pub fn reconfigure(&mut self, now: Instant, config: Running) {
        let old = std::mem::replace(&mut self.config, config);
        if old.pools != self.config.pools {
            self.pools.reconfigure(&self.config.pools);
        }
        if old.clients != self.config.clients {
            self.change_clients(now);
        }
        if old.bindings != self.config.bindings {
            self.end_unbound(now, &old);
        }
        if old.server.enabled && !self.config.server.enabled {
            self.end_server(now);
        }
        let config = &self.config;
        self.last_ends
            .retain(|user, _| config.secret(user).is_some());
        if old.accounting != self.config.accounting {
            self.retain();
        }
        self.mark_stale();
        self.reconfigure_radius(now);
        self.reconfigure_incoming();
        self.settle(now);
    }

    /// Ends the session of the server that has this `session-id`; whether there was one.
    pub fn disconnect(&mut self, now: Instant, number: u32) -> bool {
        let mut sessions = self.sessions.iter_mut();
        let Some((&id, entry)) = sessions.find(|(_, entry)| entry.number == number) else {
            return false;
        };
        entry.session.close(now, Cause::AdministratorRequest);
        self.touched.push_back(super::Timer::Session(id));
        self.settle(now);
        true
    }

    fn change_clients(&mut self, now: Instant) {
        let mut wanted: HashMap<Id, PptpClient> = HashMap::new();
        for client in &self.config.clients {
            wanted.insert(client.meta.id, client.clone());
        }
        let mut retired = Vec::new();
        for (&id, state) in self
            .clients
            .iter_mut()
            .filter(|(_, state)| !state.is_retired)
        {
            let same = |config: &&PptpClient| at_work(config) == at_work(&state.config);
            let item = state.config.meta.id;
            if let Some(config) = wanted.get(&item).filter(same) {
                state.config = config.clone();
                wanted.remove(&item);
            } else {
                state.is_retired = true;
                retired.push(id);
            }
        }
        for id in retired {
            self.switch_off(now, id, Cause::AdministratorRequest);
            self.touched.push_back(super::Timer::Client(id));
        }
        if self.stop_by.is_none() {
            let order = self.config.clients.clone();
            for client in order
                .iter()
                .filter_map(|client| wanted.remove(&client.meta.id))
            {
                self.begin_client(now, client);
            }
        }
    }

    /// Ends the sessions whose interface is no binding of theirs any more.
    fn end_unbound(&mut self, now: Instant, old: &Running) {
        let is_bound = |config: &Running, name: &str, user: &str| {
            let mut bindings = config.bindings.iter();
            bindings.any(|one| !one.disabled && one.name == name && one.user == user)
        };
        for (&id, entry) in &mut self.sessions {
            let (name, user) = (entry.session.name(), entry.user());
            if is_bound(old, name, user) && !is_bound(&self.config, name, user) {
                entry.session.close(now, Cause::AdministratorRequest);
                self.touched.push_back(super::Timer::Session(id));
            }
        }
    }

    /// The server is switched off: nobody is served any more.
    fn end_server(&mut self, now: Instant) {
        for (&id, entry) in self
            .sessions
            .iter_mut()
            .filter(|(_, entry)| entry.client.is_none())
        {
            entry.session.close(now, Cause::AdministratorRequest);
            self.touched.push_back(super::Timer::Session(id));
        }
        for (&id, conn) in self
            .conns
            .iter_mut()
            .filter(|(_, conn)| conn.client.is_none())
        {
            if conn.sessions == 0 {
                conn.pptp.stop(now, Cause::AdministratorRequest);
                self.touched.push_back(super::Timer::Conn(id));
            }
        }
    }

    /// Marks the sessions that would get something else if they logged in now.
    fn mark_stale(&mut self) {
        let config = &self.config;
        for entry in self.sessions.values_mut() {
            let Some(granted) = &entry.granted else {
                continue;
            };
            let now = granted.resolve_now(config);
            entry.is_stale = now.as_ref() != Some(&granted.resolved);
        }
    }
}

impl Granted {
    /// The user's secret, if that let it in and is still there.
    pub(super) fn secret<'a>(&self, config: &'a Running) -> Option<&'a Secret> {
        let secret = || config.secret(&self.user).filter(|secret| !secret.disabled);
        match self.authentic {
            Authentic::Local => secret(),
            Authentic::Radius => None,
        }
    }

    /// What the user would get now; `None` if it would not come in.
    fn resolve_now(&self, config: &Running) -> Option<Resolved> {
        let secret = self.secret(config);
        match (self.authentic, &self.grant) {
            (Authentic::Local, None) => secret.map(|secret| config.resolve(secret)),
            (Authentic::Local, Some(grant)) => login::resolve(config, Some(secret?), grant).ok(),
            (Authentic::Radius, grant) => login::resolve(config, None, grant.as_deref()?).ok(),
        }
    }
}

impl Entry {
    /// The name that the configuration knows the user by; empty before login.
    pub(super) fn user(&self) -> &str {
        self.granted.as_ref().map_or("", |granted| &granted.user)
    }

    /// The profile that RADIUS named, or that of the user's secret; empty if there is none.
    pub(super) fn profile(&self, config: &Running) -> String {
        let named = |granted: &Granted| granted.grant.as_ref()?.group.clone();
        let of_secret =
            |granted: &Granted| granted.secret(config).map(|secret| secret.profile.clone());
        let granted = self.granted.as_ref();
        let profile = granted.and_then(|granted| named(granted).or_else(|| of_secret(granted)));
        profile.unwrap_or_default()
    }

    /// Bytes that the user may send and get; 0 is no limit.
    pub(super) fn limit_bytes(&self) -> (u64, u64) {
        let resolved = self.granted.as_ref().map(|granted| &granted.resolved);
        resolved.map_or((0, 0), |one| (one.limit_bytes_in, one.limit_bytes_out))
    }

    /// Whether the user is in.
    pub(super) fn is_in(&self) -> bool {
        matches!(
            self.session.stage(),
            Stage::Authenticated | Stage::Connected
        )
    }
}

/// What of a client makes a difference to its session.
fn at_work(client: &PptpClient) -> PptpClient {
    PptpClient {
        meta: Default::default(),
        comment: String::new(),
        ..client.clone()
    }
}

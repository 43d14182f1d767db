//! What can only be judged once every change is made: names, references, pools in a circle, and
//! encryption without keys.

use std::collections::{HashMap, HashSet};

use super::draft::Draft;
use super::schema::{Id, Item};
use super::table::{TABLES, Table};
use super::value::Reference;
use super::{Aaa, Binding, Config, Pool, PptpClient, PptpServer, Radius, RadiusIncoming};
use crate::language::path::Path;
use crate::ppp::{AuthMethod, Encryption};

/// Finishes what was changed and reports what does not fit together.
pub(super) fn check(draft: &mut Draft) {
    name_interfaces(&mut draft.config);
    duplicates(draft);
    references(draft);
    if draft.errors() == 0 {
        pool_circles(draft);
        keys_for_encryption(draft);
    }
    without_effect(draft);
}

/// RADIUS that nobody can be asked by, or that nobody can speak to us by: whoever turns it on is told
/// what is missing.
fn without_effect(draft: &mut Draft) {
    let config = &draft.config;
    let servers = config.radius.iter().filter(|server| !server.disabled);
    let is_asked = |server: &&Radius| {
        server.address.is_some() && server.service.iter().any(|service| service == "ppp")
    };
    let mut warnings: Vec<(&'static Path, Id, &'static str, &str)> = Vec::new();
    if config.aaa.use_radius && !servers.clone().any(|server| is_asked(&server)) {
        let text = "use-radius=yes has no effect: no /radius is enabled with service=ppp and an \
                    address";
        warnings.push((Aaa::MENU.path, config.aaa.meta.id, "use-radius", text));
    }
    if config.radius_incoming.accept && !servers.clone().any(|server| server.address.is_some()) {
        let text = "accept=yes has no effect: no /radius is enabled with an address, and requests \
                    of others are not taken";
        let id = config.radius_incoming.meta.id;
        warnings.push((RadiusIncoming::MENU.path, id, "accept", text));
    }
    let without_secret = servers.filter(|server| server.secret.is_empty());
    warnings.extend(without_secret.map(|server| {
        let text = "secret is empty: whoever is on the way can answer in the server's place";
        (Radius::MENU.path, server.meta.id, "secret", text)
    }));
    for (path, id, property, text) in warnings {
        if let Some(at) = draft.place(path, id, property) {
            draft.warn(at, text);
        }
    }
}

/// Gives interfaces without a name the first free `pptp-outN` or `pptp-inN`.
fn name_interfaces(config: &mut Config) {
    let clients = config.clients.iter().map(|client| &client.name);
    let bindings = config.bindings.iter().map(|binding| &binding.name);
    let mut taken: HashSet<String> = clients.chain(bindings).cloned().collect();
    let mut name = |stem: &str| {
        let free = (1_u32..)
            .map(|number| format!("{stem}{number}"))
            .find(|name| !taken.contains(name));
        let free = free.unwrap_or_default();
        taken.insert(free.clone());
        free
    };
    for client in &mut config.clients {
        if client.name.is_empty() {
            client.name = name("pptp-out");
        }
    }
    for binding in &mut config.bindings {
        if binding.name.is_empty() {
            binding.name = name("pptp-in");
        }
    }
}

fn duplicates(draft: &mut Draft) {
    for &table in TABLES {
        for row in table.duplicates(&draft.config) {
            let id = table.id(&draft.config, row);
            draft.fail_at(table.path(), id, "name", table.duplicate());
        }
    }
    let names: HashSet<_> = draft
        .config
        .clients
        .iter()
        .map(|client| client.name.clone())
        .collect();
    let bindings = draft.config.bindings.iter();
    let twice: Vec<_> = bindings
        .filter(|binding| names.contains(&binding.name))
        .map(|binding| binding.meta.id)
        .collect();
    for id in twice {
        draft.fail_at(Binding::MENU.path, id, "name", Binding::DUPLICATE);
    }
}

/// What is named must be there.
fn references(draft: &mut Draft) {
    let profiles: HashSet<_> = draft
        .config
        .profiles
        .iter()
        .map(|profile| profile.name.clone())
        .collect();
    let pools: HashSet<_> = draft
        .config
        .pools
        .iter()
        .map(|pool| pool.name.clone())
        .collect();
    for &table in TABLES {
        let referring = table.referring();
        for row in 0..table.len(&draft.config) {
            for &(property, name) in &referring {
                let Some(reference) = table.reference(&draft.config, row, property) else {
                    continue;
                };
                let (is_there, kind, of) = match &reference {
                    Reference::Profile(of) => (profiles.contains(of), "profile", of),
                    Reference::Pool(of) => (pools.contains(of), "pool", of),
                };
                if is_there {
                    continue;
                }
                let id = table.id(&draft.config, row);
                match draft.place(table.path(), id, name) {
                    Some(at) => draft.fail(at, format!("input does not match any value of {kind}")),
                    // Nobody said this name now: what it named was taken away.
                    None => {
                        let user = described(table, &draft.config, row);
                        let text = format!("failure: {kind} {of} is in use by {user}");
                        draft.fail(draft.last_command(), text);
                    }
                }
            }
        }
    }
}

/// A row as an error names it: `/ppp secret user1`.
fn described(table: &dyn Table, config: &Config, row: usize) -> String {
    let path = table.path().join(" ");
    match table.exactly("name").filter(|_| !table.is_single()) {
        Some(name) => format!("/{path} {}", table.show(config, row, name)),
        None => format!("/{path}"),
    }
}

/// A pool must not come back to itself by `next-pool`.
fn pool_circles(draft: &mut Draft) {
    let config = &draft.config;
    let next: HashMap<&str, &str> = config
        .pools
        .iter()
        .filter_map(|pool| Some((pool.name.as_str(), pool.next_pool.as_deref()?)))
        .collect();
    let comes_back = |pool: &&Pool| {
        let mut at = next.get(pool.name.as_str());
        for _ in 0..config.pools.len() {
            match at {
                None => return false,
                Some(&name) if name == pool.name => return true,
                Some(name) => at = next.get(name),
            }
        }
        false
    };
    let circles = config.pools.iter().filter(comes_back);
    let circles: Vec<_> = circles
        .map(|pool| (pool.meta.id, pool.name.clone()))
        .collect();
    for (id, name) in circles {
        let text = format!("failure: next-pool leads from {name} back to {name}");
        draft.fail_at(Pool::MENU.path, id, "next-pool", text);
    }
}

/// MPPE takes its keys from MS-CHAP: where encryption is required and no user can have keys,
/// nobody could connect.
fn keys_for_encryption(draft: &mut Draft) {
    let config = &draft.config;
    let mut failures: Vec<(&'static Path, Id, &'static str)> = Vec::new();
    if !gives_keys(&config.server.authentication) {
        let required = |encryption| encryption == Encryption::Required;
        let profiles: HashSet<_> = config
            .secrets
            .iter()
            .map(|secret| secret.profile.as_str())
            .collect();
        let somebody = required(config.resolve_default().encryption)
            || profiles
                .iter()
                .any(|profile| required(config.profile_encryption(profile)));
        if somebody {
            failures.push((
                PptpServer::MENU.path,
                config.server.meta.id,
                "authentication",
            ));
        }
    }
    for client in &config.clients {
        let required = config.resolve_client(client).encryption == Encryption::Required;
        if required && !gives_keys(&client.allow) {
            failures.push((PptpClient::MENU.path, client.meta.id, "allow"));
        }
    }
    for (path, id, property) in failures {
        let text = format!("use-encryption=required needs mschap1 or mschap2 in {property}");
        draft.fail_at(path, id, property, text);
    }
}

/// Whether one of the methods gives MPPE its keys (RFC 3079).
fn gives_keys(methods: &[AuthMethod]) -> bool {
    methods.iter().any(|method| method.has_keys())
}

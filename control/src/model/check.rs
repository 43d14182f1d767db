//! What can only be judged once the whole text is read: names, references, pools in a circle, and
//! encryption without keys.

use std::collections::BTreeSet;

use super::parse::Reader;
use super::schema::{Item, Row};
use super::value::Reference;
use super::{Config, Pool, PptpClient, Profile, Secret};
use crate::ppp::{AuthMethod, Encryption};

/// Finishes what was read and reports what does not fit together.
pub(super) fn check(reader: &mut Reader) {
    name_clients(reader);
    duplicates::<PptpClient>(reader);
    duplicates::<Pool>(reader);
    duplicates::<Profile>(reader);
    duplicates::<Secret>(reader);
    references(reader);
    if reader.errors.is_empty() {
        pool_circles(reader);
        keys_for_encryption(reader);
    }
}

/// Gives clients without a name the first free `pptp-outN`.
fn name_clients(reader: &mut Reader) {
    let clients = &mut reader.config.clients;
    let mut taken: BTreeSet<_> = clients.iter().map(|client| client.name.clone()).collect();
    let mut numbers = 1_u32..;
    for client in clients.iter_mut().filter(|client| client.name.is_empty()) {
        let free = numbers
            .by_ref()
            .map(|number| format!("pptp-out{number}"))
            .find(|name| !taken.contains(name));
        if let Some(name) = free {
            taken.insert(name.clone());
            client.name = name;
        }
    }
}

fn duplicates<T: Row>(reader: &mut Reader) {
    let rows = T::rows(&mut reader.config);
    let built_in = rows.len() - reader.added.get(T::MENU.path).map_or(0, Vec::len);
    let mut seen = BTreeSet::new();
    let again: Vec<_> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| !seen.insert(row.key()))
        .filter_map(|(index, _)| index.checked_sub(built_in))
        .collect();
    for index in again {
        let at = reader.added[T::MENU.path][index];
        reader.fail(at, T::DUPLICATE);
    }
}

fn references(reader: &mut Reader) {
    for (at, reference) in std::mem::take(&mut reader.references) {
        let (found, kind) = match &reference {
            Reference::Profile(name) => (reader.config.profile(name).is_some(), "profile"),
            Reference::Pool(name) => (reader.config.pool(name).is_some(), "pool"),
        };
        if !found {
            reader.fail(at, format!("input does not match any value of {kind}"));
        }
    }
}

/// A pool must not come back to itself by `next-pool`.
fn pool_circles(reader: &mut Reader) {
    let config = &reader.config;
    let circles: Vec<_> = (0..config.pools.len())
        .filter(|&index| comes_back(config, &config.pools[index]))
        .collect();
    for index in circles {
        let name = &reader.config.pools[index].name;
        let text = format!("failure: next-pool leads from {name} back to {name}");
        let at = reader.added[Pool::MENU.path][index];
        reader.fail(at, text);
    }
}

fn comes_back(config: &Config, pool: &Pool) -> bool {
    let mut at = pool;
    for _ in 0..config.pools.len() {
        let next = at.next_pool.as_deref().and_then(|name| config.pool(name));
        match next {
            None => return false,
            Some(next) if next.name == pool.name => return true,
            Some(next) => at = next,
        }
    }
    false
}

/// MPPE takes its keys from MS-CHAP: where encryption is required and no user can have keys,
/// nobody could connect.
fn keys_for_encryption(reader: &mut Reader) {
    let config = &reader.config;
    let mut failures = Vec::new();
    if !gives_keys(&config.server.authentication) {
        let required = |encryption| encryption == Encryption::Required;
        let users = config.secrets.iter().map(|secret| config.resolve(secret));
        let somebody = users
            .chain([config.resolve_default()])
            .any(|resolved| required(resolved.encryption));
        // Without MS-CHAP the property was set: the default has it.
        let at = reader.single_values.get(AUTHENTICATION);
        failures.extend(at.filter(|_| somebody).map(|&at| (at, AUTHENTICATION)));
    }
    let added = reader.added.get(PptpClient::MENU.path);
    for (client, &at) in config.clients.iter().zip(added.into_iter().flatten()) {
        let required = config.client_encryption(client) == Encryption::Required;
        if required && !gives_keys(&client.allow) {
            failures.push((at, "allow"));
        }
    }
    for (at, property) in failures {
        reader.fail(
            at,
            format!("use-encryption=required needs mschap1 or mschap2 in {property}"),
        );
    }
}

/// Whether one of the methods gives MPPE its keys (RFC 3079).
fn gives_keys(methods: &[AuthMethod]) -> bool {
    methods.iter().any(|method| method.has_keys())
}

/// The property of the server that names the methods.
const AUTHENTICATION: &str = "authentication";

//! `chap-secrets` and `pap-secrets`: the client's name, the server's, the secret, and the addresses
//! that the client may have.

use std::net::Ipv4Addr;

use super::words::{Line, Word, lines};
use crate::import::draft::{CLIENTS, Command, Draft, Item, SECRETS};
use crate::import::judge::Client;

/// What `text` says; `None` if no line of it has a secret. `own` is what this machine is called: a
/// secret for that server is one for this server. `clients` are the tunnels out that have no
/// password yet: a secret for the user and the name of one is that.
pub(in crate::import) fn read(
    text: &str,
    own: Option<&str>,
    mut clients: Vec<Client>,
) -> Option<Draft> {
    let lines = lines(text);
    let is_one = |line: &Line| line.words.len() >= 3;
    if !lines.is_empty() && !lines.iter().any(is_one) {
        return None;
    }
    let mut draft = Draft::without_passwords(UNREADABLE);
    for line in &lines {
        match password_of_client(line, &mut clients) {
            Some(item) => draft.push(item),
            None => entry(&mut draft, line, own),
        }
    }
    Some(draft)
}

/// The password of a tunnel out, of which the first one counts. What follows says which addresses
/// somebody may have who logs in here.
fn password_of_client(line: &Line, clients: &mut Vec<Client>) -> Option<Item> {
    let [user, server, secret, ..] = &line.words[..] else {
        return None;
    };
    let password = secret.text.as_ref()?;
    let is_plain = !password.is_empty() && !password.starts_with("@/") && !is_hash(password);
    let is_it = |client: &Client| client.name == server.text() && client.user == user.text();
    let index = clients.iter().position(is_it).filter(|_| is_plain)?;
    let command = Command::SetItem(clients.swap_remove(index).name);
    let mut item = Item::new(CLIENTS, command, line.lines());
    item.put("password", password, []);
    Some(item)
}

fn entry(draft: &mut Draft, line: &Line, own: Option<&str>) {
    let [client, server, secret, rest @ ..] = &line.words[..] else {
        return draft.leave_out(line.lines(), "entry", "it has no secret");
    };
    let why = match client.text() {
        "*" => Some("its secret is good for every name, and a user here has one name"),
        "" => Some("its name is empty or cannot be read"),
        _ => None,
    };
    if let Some(why) = why {
        return draft.leave_out(line.lines(), "entry", why);
    }
    let mut item = Item::add(SECRETS, line.lines());
    item.put("name", client.text(), []);
    let mut left_out = Vec::new();
    match secret.text.as_ref().map(|text| text.as_str()) {
        Some(text) if text.starts_with("@/") => item.hide_secret("stands in a file of its own"),
        Some(text) if is_hash(text) => item.hide_secret("is kept as a hash only"),
        Some(text) => item.put("password", text, []),
        None => item.lose("password"),
    }
    if let Some(why) = limit_service(&mut item, server, own) {
        left_out.push(("service", why));
    }
    let end = rest.iter().position(|word| word.text() == "--");
    let (addresses, options) = rest.split_at(end.unwrap_or(rest.len()));
    if let Some(why) = limit_addresses(&mut item, addresses) {
        left_out.push(("remote-address", why));
    }
    if !options.is_empty() {
        left_out.push(("options", "options of pppd for one user are not taken over"));
    }
    for (what, why) in left_out {
        draft.leave_out(line.lines(), item.title_of(what), why);
    }
    draft.push(item);
}

/// Who may ask for it. pppd compares what its option `name` says.
fn limit_service(item: &mut Item, server: &Word, own: Option<&str>) -> Option<&'static str> {
    match server.text() {
        "*" => None,
        name if name == "pptpd" || own == Some(name) => {
            item.put("service", "pptp", []);
            None
        }
        "l2tpd" => {
            item.put("service", "l2tp", []);
            None
        }
        _ => {
            item.put("service", "pptp", []);
            item.disable();
            Some(
                "its server is neither * nor pptpd: imported disabled; enable it if that is the \
                 name in the options of pptpd, and not that of another server or of a tunnel out",
            )
        }
    }
}

/// Which addresses the client may have. pppd gives it the first one of a host.
fn limit_addresses(item: &mut Item, words: &[Word]) -> Option<&'static str> {
    let address = |word: &Word| word.text().parse::<Ipv4Addr>().ok();
    let stop = words.iter().position(|word| word.text() == "-");
    let words = &words[..stop.unwrap_or(words.len())];
    let any = words.iter().position(|word| word.text() == "*");
    let before = &words[..any.unwrap_or(words.len())];
    let is_simple = before.iter().all(|word| address(word).is_some());
    if words.is_empty() {
        item.disable();
        return Some("pppd lets it have no address: imported disabled");
    }
    match before.iter().find_map(address) {
        None if before.is_empty() => None,
        Some(first) if is_simple => {
            item.put("remote-address", &first.to_string(), []);
            (words.len() > 1).then_some("it may have others too: here it gets the first one")
        }
        Some(_) | None => {
            item.disable();
            Some(
                "networks, names and exclusions cannot be kept to: imported disabled; give it one \
                 address, or enable it to get one of its profile",
            )
        }
    }
}

/// What crypt(3) makes: pppd takes such a secret in `pap-secrets` for one.
fn is_hash(secret: &str) -> bool {
    let mut parts = secret.split('$');
    parts.next() == Some("")
        && parts
            .next()
            .is_some_and(|id| !id.is_empty() && id.len() <= 3)
        && parts.next().is_some()
        && parts.next().is_some_and(|hash| hash.len() >= 22)
}

const UNREADABLE: &str = "cannot be read: its quotes or escapes do not make text";

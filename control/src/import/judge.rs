//! The one door to the model, which alone knows what menus, properties and values there are.

use crate::model::{Config, Identity};

/// Something that the model has against a text.
pub(super) struct Objection {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// What, in the model's words.
    pub(super) text: String,
}

impl Objection {
    /// Whether it is about something that may stand elsewhere: a profile or a pool, or what is to be
    /// set.
    pub(super) fn is_about_a_reference(&self) -> bool {
        self.text.starts_with("input does not match any value of ") || self.text == "no such item"
    }
}

/// What the model has against `text`, which is in its language; empty if it takes all of it.
pub(super) fn objections(text: &str) -> Vec<Objection> {
    match Config::parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .into_iter()
            .map(|error| Objection {
                line: error.at.line,
                column: error.at.column,
                text: error.text,
            })
            .collect(),
    }
}

/// What this machine is called by `text`, if it says that.
pub(super) fn identity(text: &str) -> Option<String> {
    let (config, _) = Config::parse(text).ok()?;
    let name = config.identity.name;
    (name != Identity::default().name).then_some(name)
}

/// The tunnels out in `text` that have no password.
pub(super) fn clients_without_password(text: &str) -> Vec<Client> {
    let clients = Config::parse(text).map(|(config, _)| config.clients);
    let clients = clients.unwrap_or_default().into_iter();
    clients
        .filter(|client| client.password.is_empty())
        .map(|client| Client {
            name: client.name,
            user: client.user,
        })
        .collect()
}

/// A tunnel out.
pub(super) struct Client {
    /// What its interface is called.
    pub(super) name: String,
    /// Who logs in.
    pub(super) user: String,
}

/// Whether there is a menu with this path (`/ppp secret`).
pub(super) fn is_menu(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/ -".contains(c);
    path.len() > 1 && path.chars().all(plain) && objections(path).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_says_which_menus_there_are() {
        assert!(is_menu("/ppp secret"));
        assert!(is_menu("/interface pptp-server server"));
        for path in [
            "/",
            "",
            "/ip firewall filter",
            "/ppp secret add",
            "/Ppp",
            "/ppp secret\n",
        ] {
            assert!(!is_menu(path), "{path:?}");
        }
    }

    /// Objections are told apart by what they begin with, and places are found by their columns.
    #[test]
    fn objections_say_where_and_whether_it_is_a_reference() {
        let all = objections(
            "\n/ppp secret add name=a profile=gone bridge=x\n/interface pptp-client set gone user=a",
        );
        let all: Vec<_> = all
            .iter()
            .map(|one| (one.line, one.column, one.is_about_a_reference()))
            .collect();

        assert_eq!(all, [(2, 32, true), (2, 37, false), (3, 28, true)]);
    }
}

//! Which user has which sessions, and what their interfaces are called.

use std::collections::{BTreeMap, BTreeSet};

use greyhound_datapath::ids::SessionId;

/// The sessions of users that are logged in.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Each user's sessions by what they are called.
    sessions: BTreeMap<String, BTreeMap<Name, SessionId>>,
    /// The user of each session, and what it is called.
    by_session: BTreeMap<SessionId, (String, Name)>,
    /// Also those of different users must differ: `ann`'s second and the first of `ann-1`.
    names: BTreeSet<String>,
}

/// What the interface of a session is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// 0 is `<pptp-USER>`, others stand behind it.
    Dynamic(u32),
    /// As the binding of the user says.
    Bound(String),
}

impl Name {
    fn text(&self, user: &str) -> String {
        match self {
            Self::Dynamic(0) => format!("<pptp-{user}>"),
            Self::Dynamic(number) => format!("<pptp-{user}-{number}>"),
            Self::Bound(name) => name.clone(),
        }
    }
}

impl Users {
    /// Notes that a user is logged in, and returns the name of the session's interface: the first
    /// of `bindings` that no other session has, else a dynamic one.
    pub(super) fn enter<'a>(
        &mut self,
        id: SessionId,
        user: &str,
        mut bindings: impl Iterator<Item = &'a str>,
    ) -> String {
        self.leave(id);
        let free = bindings.find(|&name| !self.names.contains(name));
        let sessions = self.sessions.entry(user.to_owned()).or_default();
        let name = match free {
            Some(name) => Name::Bound(name.to_owned()),
            None => {
                let mut number = lowest_free(sessions);
                let is_taken = |number| {
                    let name = Name::Dynamic(number);
                    sessions.contains_key(&name) || self.names.contains(&name.text(user))
                };
                while is_taken(number) {
                    number += 1;
                }
                Name::Dynamic(number)
            }
        };
        let text = name.text(user);
        sessions.insert(name.clone(), id);
        self.by_session.insert(id, (user.to_owned(), name));
        self.names.insert(text.clone());
        text
    }

    /// Notes that a session is nobody's any more.
    pub(super) fn leave(&mut self, id: SessionId) {
        let Some((user, name)) = self.by_session.remove(&id) else {
            return;
        };
        self.names.remove(&name.text(&user));
        if let Some(sessions) = self.sessions.get_mut(&user) {
            sessions.remove(&name);
            if sessions.is_empty() {
                self.sessions.remove(&user);
            }
        }
    }

    /// The sessions of a user.
    pub(super) fn sessions_of(&self, user: &str) -> Vec<SessionId> {
        let sessions = self.sessions.get(user).into_iter();
        sessions.flat_map(BTreeMap::values).copied().collect()
    }
}

fn lowest_free(sessions: &BTreeMap<Name, SessionId>) -> u32 {
    let dynamic = sessions.keys().filter_map(|name| match name {
        Name::Dynamic(number) => Some(*number),
        Name::Bound(_) => None,
    });
    let mut free = 0;
    for number in dynamic {
        if number != free {
            break;
        }
        free += 1;
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: std::iter::Empty<&str> = std::iter::empty();

    #[test]
    fn a_second_session_of_a_user_gets_a_number_and_a_name_is_free_again_after_its_end() {
        let mut users = Users::default();
        assert_eq!(users.enter(SessionId(1), "ann", NONE), "<pptp-ann>");
        assert_eq!(users.enter(SessionId(2), "ann", NONE), "<pptp-ann-1>");
        assert_eq!(users.enter(SessionId(3), "ann", NONE), "<pptp-ann-2>");
        assert_eq!(users.enter(SessionId(4), "bob", NONE), "<pptp-bob>");
        users.leave(SessionId(2));
        assert_eq!(users.enter(SessionId(5), "ann", NONE), "<pptp-ann-1>");
        let of_ann = [SessionId(1), SessionId(5), SessionId(3)];
        assert_eq!(users.sessions_of("ann"), of_ann);
    }

    #[test]
    fn the_names_of_different_users_differ_too() {
        let mut users = Users::default();
        assert_eq!(users.enter(SessionId(1), "ann-1", NONE), "<pptp-ann-1>");
        assert_eq!(users.enter(SessionId(2), "ann", NONE), "<pptp-ann>");
        assert_eq!(users.enter(SessionId(3), "ann", NONE), "<pptp-ann-2>");
        users.leave(SessionId(3));
        users.leave(SessionId(1));
        assert_eq!(users.enter(SessionId(4), "ann", NONE), "<pptp-ann-1>");
    }

    #[test]
    fn a_binding_goes_to_the_first_session_and_the_next_one_is_dynamic() {
        let mut users = Users::default();
        let bindings = || ["branch", "spare"].into_iter();
        assert_eq!(users.enter(SessionId(1), "ann", bindings()), "branch");
        assert_eq!(users.enter(SessionId(2), "ann", bindings()), "spare");
        assert_eq!(users.enter(SessionId(3), "ann", bindings()), "<pptp-ann>");
        assert_eq!(users.enter(SessionId(4), "ann", bindings()), "<pptp-ann-1>");
        users.leave(SessionId(1));
        assert_eq!(users.enter(SessionId(5), "ann", bindings()), "branch");
        assert_eq!(users.sessions_of("ann").len(), 4);
    }

    #[test]
    fn nothing_is_kept_about_users_that_left() {
        let mut users = Users::default();
        users.enter(SessionId(1), "ann", NONE);
        users.enter(SessionId(1), "bob", NONE);
        assert_eq!(users.sessions_of("ann"), []);
        users.leave(SessionId(1));
        users.leave(SessionId(1));
        assert!(users.sessions.is_empty() && users.names.is_empty());
        assert!(users.by_session.is_empty());
    }
}

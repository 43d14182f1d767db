//! Which user has which sessions, and what their interfaces are called.

use std::collections::{BTreeMap, BTreeSet};

use greyhound_datapath::ids::SessionId;

/// The sessions of users that are logged in.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Each user's sessions by their number: 0 for `<pptp-USER>`, else what stands behind it.
    sessions: BTreeMap<String, BTreeMap<u32, SessionId>>,
    /// User and number of each session.
    by_session: BTreeMap<SessionId, (String, u32)>,
    /// Also those of different users must differ: `ann`'s second and the first of `ann-1`.
    names: BTreeSet<String>,
}

impl Users {
    /// Notes that a user is logged in, and returns the name of the session's interface.
    pub(super) fn enter(&mut self, id: SessionId, user: &str) -> String {
        self.leave(id);
        let sessions = self.sessions.entry(user.to_owned()).or_default();
        let mut number = lowest_free(sessions);
        let mut name = name_of(user, number);
        while sessions.contains_key(&number) || self.names.contains(&name) {
            number += 1;
            name = name_of(user, number);
        }
        sessions.insert(number, id);
        self.by_session.insert(id, (user.to_owned(), number));
        self.names.insert(name.clone());
        name
    }

    /// Notes that a session is nobody's any more.
    pub(super) fn leave(&mut self, id: SessionId) {
        let Some((user, number)) = self.by_session.remove(&id) else {
            return;
        };
        self.names.remove(&name_of(&user, number));
        if let Some(sessions) = self.sessions.get_mut(&user) {
            sessions.remove(&number);
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

fn name_of(user: &str, number: u32) -> String {
    match number {
        0 => format!("<pptp-{user}>"),
        number => format!("<pptp-{user}-{number}>"),
    }
}

fn lowest_free(sessions: &BTreeMap<u32, SessionId>) -> u32 {
    (0..)
        .zip(sessions.keys())
        .find_map(|(number, &taken)| (number != taken).then_some(number))
        .unwrap_or_else(|| sessions.keys().next_back().map_or(0, |last| last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_session_of_a_user_gets_a_number_and_a_name_is_free_again_after_its_end() {
        let mut users = Users::default();
        assert_eq!(users.enter(SessionId(1), "ann"), "<pptp-ann>");
        assert_eq!(users.enter(SessionId(2), "ann"), "<pptp-ann-1>");
        assert_eq!(users.enter(SessionId(3), "ann"), "<pptp-ann-2>");
        assert_eq!(users.enter(SessionId(4), "bob"), "<pptp-bob>");
        users.leave(SessionId(2));
        assert_eq!(users.enter(SessionId(5), "ann"), "<pptp-ann-1>");
        let of_ann = [SessionId(1), SessionId(5), SessionId(3)];
        assert_eq!(users.sessions_of("ann"), of_ann);
    }

    #[test]
    fn the_names_of_different_users_differ_too() {
        let mut users = Users::default();
        assert_eq!(users.enter(SessionId(1), "ann-1"), "<pptp-ann-1>");
        assert_eq!(users.enter(SessionId(2), "ann"), "<pptp-ann>");
        assert_eq!(users.enter(SessionId(3), "ann"), "<pptp-ann-2>");
        users.leave(SessionId(3));
        users.leave(SessionId(1));
        assert_eq!(users.enter(SessionId(4), "ann"), "<pptp-ann-1>");
    }

    #[test]
    fn nothing_is_kept_about_users_that_left() {
        let mut users = Users::default();
        users.enter(SessionId(1), "ann");
        users.enter(SessionId(1), "bob");
        assert_eq!(users.sessions_of("ann"), []);
        users.leave(SessionId(1));
        users.leave(SessionId(1));
        assert!(users.sessions.is_empty() && users.names.is_empty());
        assert!(users.by_session.is_empty());
    }
}

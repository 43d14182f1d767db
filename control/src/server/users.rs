//! Which user has which sessions, and what their interfaces are called.

use std::collections::{BTreeMap, BTreeSet};

use greyhound_datapath::ids::SessionId;

/// The sessions of users that are logged in.
#[derive(Debug, Default)]
pub(super) struct Users {
    sessions: BTreeMap<String, BTreeSet<SessionId>>,
    /// Login and name of each session.
    by_session: BTreeMap<SessionId, (String, String)>,
    names: BTreeSet<String>,
}

impl Users {
    /// Notes that a user is logged in, and returns the name of the session's interface.
    pub(super) fn enter(&mut self, id: SessionId, user: &str) -> String {
        self.leave(id);
        let name = self.free_name(user);
        self.names.insert(name.clone());
        self.sessions.entry(user.to_owned()).or_default().insert(id);
        self.by_session.insert(id, (user.to_owned(), name.clone()));
        name
    }

    /// Notes that a session is nobody's any more.
    pub(super) fn leave(&mut self, id: SessionId) {
        let Some((user, name)) = self.by_session.remove(&id) else {
            return;
        };
        self.names.remove(&name);
        if let Some(sessions) = self.sessions.get_mut(&user) {
            sessions.remove(&id);
            if sessions.is_empty() {
                self.sessions.remove(&user);
            }
        }
    }

    /// The sessions of a user.
    pub(super) fn sessions_of(&self, user: &str) -> Vec<SessionId> {
        let sessions = self.sessions.get(user).into_iter().flatten();
        sessions.copied().collect()
    }

    /// `<pptp-USER>`, or with a number from 1 on behind it.
    fn free_name(&self, user: &str) -> String {
        let first = format!("<pptp-{user}>");
        if !self.names.contains(&first) {
            return first;
        }
        let mut number = 1_u32;
        loop {
            let name = format!("<pptp-{user}-{number}>");
            if !self.names.contains(&name) {
                return name;
            }
            number += 1;
        }
    }
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
        let of_ann = [SessionId(1), SessionId(3), SessionId(5)];
        assert_eq!(users.sessions_of("ann"), of_ann);
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

//! A line of the log, with the topics that operators filter by.

use tracing::Level;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The topics, separated by commas.
    pub topics: &'static str,
    /// The text.
    pub text: String,
}

/// What happens to a session.
#[must_use]
pub const fn info(text: String) -> Line {
    Line {
        level: Level::INFO,
        topics: "pptp,ppp,info",
        text,
    }
}

/// What an accountant looks for.
#[must_use]
pub const fn account(text: String) -> Line {
    Line {
        level: Level::INFO,
        topics: "pptp,ppp,info,account",
        text,
    }
}

/// What should not have happened.
#[must_use]
pub const fn failure(text: String) -> Line {
    Line {
        level: Level::ERROR,
        topics: "pptp,ppp,error",
        text,
    }
}

/// What someone should look at.
#[must_use]
pub const fn warning(text: String) -> Line {
    Line {
        level: Level::WARN,
        topics: "pptp,ppp,warning",
        text,
    }
}

/// What explains something else.
#[must_use]
pub const fn debug(text: String) -> Line {
    Line {
        level: Level::DEBUG,
        topics: "pptp,ppp,debug",
        text,
    }
}

/// What happens to a control connection.
#[must_use]
pub const fn control(text: String) -> Line {
    Line {
        level: Level::INFO,
        topics: "pptp,info",
        text,
    }
}

/// What explains what happens to a control connection.
#[must_use]
pub const fn control_debug(text: String) -> Line {
    Line {
        level: Level::DEBUG,
        topics: "pptp,debug",
        text,
    }
}

/// A text of the peer's without what could fake a line of the log.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_break_a_line() {
        assert_eq!(printable("DOM\\a b\r\nc\u{1b}[0m"), "DOM\\a b??c?[0m");
    }
}

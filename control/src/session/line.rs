//! Lines of the log about sessions and control connections that are no message of their own.

use tracing::Level;

pub use crate::log::text::printable;
pub use crate::log::{Field, Line, Message};

/// What happens to a session.
#[must_use]
pub const fn info(text: String) -> Line {
    Line::other(Level::INFO, "pptp,ppp,info", text)
}

/// What an accountant looks for.
#[must_use]
pub const fn account(text: String) -> Line {
    Line::other(Level::INFO, "pptp,ppp,info,account", text)
}

/// What should not have happened.
#[must_use]
pub const fn failure(text: String) -> Line {
    Line::other(Level::ERROR, "pptp,ppp,error", text)
}

/// What someone should look at.
#[must_use]
pub const fn warning(text: String) -> Line {
    Line::other(Level::WARN, "pptp,ppp,warning", text)
}

/// What explains something else.
#[must_use]
pub const fn debug(text: String) -> Line {
    Line::other(Level::DEBUG, "pptp,ppp,debug", text)
}

/// What happens to a control connection.
#[must_use]
pub const fn control(text: String) -> Line {
    Line::other(Level::INFO, "pptp,info", text)
}

/// What explains what happens to a control connection.
#[must_use]
pub const fn control_debug(text: String) -> Line {
    Line::other(Level::DEBUG, "pptp,debug", text)
}

//! What the configuration gives a session, in the words of the session.

use crate::model::Resolved;
use crate::session::Terms;

/// The terms of who gets this.
pub(super) const fn terms(resolved: &Resolved) -> Terms {
    Terms {
        session_timeout: resolved.session_timeout,
    }
}

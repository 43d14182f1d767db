//! Which kind of text it is.

use super::{Kind, routeros};

/// Tells the kinds apart: by what only one of them has in it, by the name of the file, and else by
/// what most of its lines look like.
#[must_use]
pub fn detect(name: &str, text: &str) -> Kind {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let is_rooted = first.is_some_and(|line| line.starts_with('/'));
    if routeros::has_header(text) || is_rooted || name.ends_with(".rsc") {
        return Kind::RouterOs;
    }
    Kind::Unknown
}

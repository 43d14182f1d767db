//! What holds for every text.

use std::collections::BTreeSet;

use greyhound_control::import::Imported;

/// The lines of `source` that say something, and of which nothing was said: neither blank, nor a
/// comment, nor a menu line, nor in a statement or in what was left out.
pub(crate) fn lost_lines(source: &str, imported: &Imported) -> Vec<usize> {
    let statements = imported.statements.iter().flat_map(|one| &one.lines);
    let left_out = imported.left_out.iter().flat_map(|one| &one.lines);
    let told: BTreeSet<usize> = statements.chain(left_out).copied().collect();
    source
        .lines()
        .enumerate()
        .filter(|(index, line)| says_something(line) && !told.contains(&(index + 1)))
        .map(|(index, _)| index + 1)
        .collect()
}

fn says_something(line: &str) -> bool {
    let line = line.trim();
    let is_menu = line.starts_with('/') && !line.contains(['=', '"']);
    let is_section = line.starts_with('[') && line.ends_with(']');
    !(line.is_empty() || line.starts_with('#') || is_menu || is_section)
}

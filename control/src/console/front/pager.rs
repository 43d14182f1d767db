//! Shows what is longer than the screen page by page.

use std::io::{self, Write};
use std::os::fd::AsFd;

use super::keys::{Key, Keys};
use super::monitor::Size;

const FOOTER: &str = "-- [Q quit|D dump|down]";

/// Whether `text` is longer than the screen.
pub(super) fn is_long(text: &str, size: Size) -> bool {
    rows_of(text, size.width) >= usize::from(size.height.max(2))
}

/// Shows `text`, stopping whenever the screen is full.
///
/// # Errors
/// The terminal fails.
pub(super) fn show(
    keys: &Keys<impl AsFd>,
    out: &mut dyn Write,
    size: Size,
    text: &str,
) -> io::Result<()> {
    let page = usize::from(size.height.max(2)) - 1;
    let mut room = page;
    for line in text.split_inclusive('\n') {
        let rows = rows_of(line, size.width);
        while room < rows && room < page {
            write!(out, "{FOOTER}")?;
            out.flush()?;
            let key = keys.wait(None)?;
            write!(out, "\r\x1b[K")?;
            match key {
                Some(Key::Quit) => return out.flush(),
                Some(Key::Dump) => room = usize::MAX,
                Some(Key::Line) => room += rows,
                Some(Key::Page) => room = page,
                Some(Key::Other) | None => {}
            }
        }
        out.write_all(line.as_bytes())?;
        room = room.saturating_sub(rows);
    }
    out.flush()
}

/// How many lines of the screen `text` takes.
fn rows_of(text: &str, width: u16) -> usize {
    let width = usize::from(width.max(1));
    let rows = |line: &str| line.chars().count().div_ceil(width).max(1);
    text.lines().map(rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_as_much_of_the_screen_as_it_needs() {
        assert_eq!(rows_of("a\n\nbcd\nbcdefg\n", 3), 1 + 1 + 1 + 2);
        let size = Size {
            width: 3,
            height: 4,
        };
        assert!(!is_long("a\nb\nc\n", size));
        assert!(is_long("a\nb\nc\nd\n", size));
    }
}

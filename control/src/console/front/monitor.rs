//! Shows what changes, in place, until a key ends it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use super::keys::{Key, Keys};

/// What is to be shown next.
#[derive(Debug)]
pub(super) struct View {
    /// Lines.
    pub(super) text: String,
    /// When it is out of date; `None` if it is the last one.
    pub(super) again: Option<Duration>,
}

/// Characters in a line and lines of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u16,
    pub(super) height: u16,
}

const FOOTER: &str = "-- [Q quit|D dump]";

/// Shows `view` and what `next` answers after it, each in the place of the one before. The last one
/// stays.
///
/// # Errors
/// The terminal fails.
pub(super) fn watch(
    keys: &Keys<impl AsFd>,
    out: &mut dyn Write,
    size: &dyn Fn() -> Size,
    mut view: View,
    next: &mut dyn FnMut() -> View,
) -> io::Result<()> {
    let mut rows = 0;
    loop {
        erase(out, rows)?;
        let (lines, count) = fitting(&view.text, size());
        out.write_all(lines.as_bytes())?;
        rows = count;
        let Some(pause) = view.again else {
            return out.flush();
        };
        write!(out, "{FOOTER}")?;
        out.flush()?;
        let key = keys.wait(Some(pause))?;
        write!(out, "\r\x1b[K")?;
        match key {
            Some(Key::Quit) => return out.flush(),
            Some(Key::Dump) => rows = 0,
            Some(Key::Line | Key::Page | Key::Other) | None => {}
        }
        view = next();
    }
}

/// Takes the last `rows` lines away (ECMA-48: CPL, ED).
fn erase(out: &mut dyn Write, rows: usize) -> io::Result<()> {
    if rows > 0 {
        write!(out, "\x1b[{rows}F\x1b[J")?;
    }
    Ok(())
}

/// As much of `text` as there is room for above the last line, and how many lines that is: what
/// has left the screen cannot be taken away again.
fn fitting(text: &str, size: Size) -> (String, usize) {
    let height = usize::from(size.height.max(2)) - 1;
    let width = usize::from(size.width.max(1));
    let lines: Vec<String> = text
        .lines()
        .take(height)
        .map(|line| line.chars().take(width).collect::<String>() + "\n")
        .collect();
    (lines.concat(), lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut() {
        let size = Size {
            width: 3,
            height: 3,
        };
        assert_eq!(fitting("abcd\ne\nf\n", size), ("abc\ne\n".to_owned(), 2));
        assert_eq!(fitting("", size), (String::new(), 0));
        let none = Size {
            width: 0,
            height: 0,
        };
        assert_eq!(fitting("ab\nc\n", none), ("a\n".to_owned(), 1));
    }
}

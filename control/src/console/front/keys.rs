//! Single keys, for what is shown while no line is edited.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `q`, Ctrl-C and Ctrl-D, and the end of the terminal.
    Quit,
    /// `d`: all that is left, or as it is now.
    Dump,
    /// The down arrow and the return key: one line more.
    Line,
    /// Space and page down: as much as fits.
    Page,
    Other,
}

/// The keyboard, whose keys arrive one by one while this lives, and are not shown.
#[derive(Debug)]
pub(super) struct Keys<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Keys<T> {
    /// Takes the keys of `terminal`.
    ///
    /// # Errors
    /// It is no terminal.
    pub(super) fn of(terminal: T) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        // Ctrl-C is a key, too.
        modes.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &modes)?;
        Ok(Self { terminal, before })
    }

    /// Waits for a key, for as long as it takes if `timeout` is `None`. Answers `None` if there was
    /// none in time.
    ///
    /// # Errors
    /// The terminal fails.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Option<Key>> {
        let Some(first) = self.byte(timeout)? else {
            return Ok(None);
        };
        let mut sequence = vec![first];
        // What a key sends comes at once.
        while first == ESCAPE && sequence.len() < LONGEST_SEQUENCE {
            match self.byte(Some(Duration::ZERO))? {
                Some(byte) => sequence.push(byte),
                None => break,
            }
        }
        Ok(Some(meaning(&sequence)))
    }

    /// The next byte; that of Ctrl-D if there will be none any more.
    fn byte(&self, timeout: Option<Duration>) -> io::Result<Option<u8>> {
        let timeout = timeout.map(|time| Timespec::try_from(time).unwrap_or_default());
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            // Whoever waited for it asks again: the size of the window may be another one.
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut byte = [0];
        match rustix::io::read(&self.terminal, &mut byte) {
            Ok(0) | Err(Errno::IO) => Ok(Some(CONTROL_D)),
            Ok(_) => Ok(Some(byte[0])),
            Err(Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl<T: AsFd> Drop for Keys<T> {
    fn drop(&mut self) {
        // If the terminal is gone, so are its modes.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

const CONTROL_C: u8 = 0x03;
const CONTROL_D: u8 = 0x04;
const ESCAPE: u8 = 0x1b;

/// Longer than those of the keys that mean something.
const LONGEST_SEQUENCE: usize = 8;

/// What the bytes of a key mean (ECMA-48, as xterm sends them).
fn meaning(sequence: &[u8]) -> Key {
    match sequence {
        [b'q' | b'Q' | CONTROL_C | CONTROL_D] => Key::Quit,
        [b'd' | b'D'] => Key::Dump,
        [b'\r' | b'\n'] | b"\x1b[B" | b"\x1bOB" => Key::Line,
        b" " | b"\x1b[6~" => Key::Page,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_of_the_screen_says() {
        for (sequence, expected) in [
            (&b"q"[..], Key::Quit),
            (b"\x03", Key::Quit),
            (b"D", Key::Dump),
            (b"\r", Key::Line),
            (b"\x1b[B", Key::Line),
            (b" ", Key::Page),
            (b"\x1b", Key::Other),
            (b"x", Key::Other),
        ] {
            assert_eq!(meaning(sequence), expected);
        }
    }
}

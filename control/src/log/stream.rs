//! Lines of text on a pipe, a terminal or a file: `TIME TOPICS TEXT`.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::Level;

use super::{Entry, Sink};

/// Writes lines.
pub(super) struct Stream<W> {
    out: W,
    has_colours: bool,
    /// The rest of a line that was begun.
    begun: Vec<u8>,
}

impl<W: Write + AsFd> Stream<W> {
    pub(super) const fn new(out: W, has_colours: bool) -> Self {
        Self {
            out,
            has_colours,
            begun: Vec::new(),
        }
    }

    /// Writes what is begun, as far as that is possible without waiting.
    fn flush(&mut self) -> io::Result<()> {
        while !self.begun.is_empty() {
            // A pipe that is ready takes so many bytes at once (pipe(7)), and so do the others.
            let piece = &self.begun[..self.begun.len().min(PIPE_BUF)];
            wait_for_nothing(&self.out)?;
            let written = self.out.write(piece)?;
            if written == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.begun.drain(..written);
        }
        Ok(())
    }
}

impl<W: Write + AsFd + Send> Sink for Stream<W> {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.flush()?;
        // Nothing of a line that nobody can take is begun.
        wait_for_nothing(&self.out)?;
        self.begun = format(entry, self.has_colours).into_bytes();
        match self.flush() {
            // The rest comes before the next line.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => {
                self.begun.clear();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Fails where writing would have to wait.
fn wait_for_nothing(out: impl AsFd) -> io::Result<()> {
    let mut fds = [PollFd::new(&out, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&now))? {
        0 => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

fn format(entry: &Entry, has_colours: bool) -> String {
    let time = humantime::format_rfc3339_millis(entry.time);
    let (topics, text) = (entry.line.topics, &entry.line.text);
    match colour(entry.line.level).filter(|_| has_colours) {
        Some(colour) => format!("{time} \u{1b}[{colour}m{topics}\u{1b}[0m {text}\n"),
        None => format!("{time} {topics} {text}\n"),
    }
}

/// SGR parameters; most lines are nothing special.
const fn colour(level: Level) -> Option<&'static str> {
    match level {
        Level::ERROR => Some("31"),
        Level::WARN => Some("33"),
        Level::INFO => None,
        Level::DEBUG | Level::TRACE => Some("2"),
    }
}

/// What can be written to a pipe that is ready without waiting, in bytes (Linux).
const PIPE_BUF: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::super::{Field, Line, Message};
    use super::*;

    fn entry(message: Message, text: &str) -> Entry {
        Entry {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123),
            line: Line::new(message, text.to_owned())
                .with(Field::User, "ann")
                .tamed(),
        }
    }

    #[test]
    fn a_line_has_time_topics_and_text_and_on_a_terminal_colour() {
        let connected = entry(Message::Connected, "<pptp-ann>: connected");
        let failed = entry(Message::LoginFailed, "<7>: user ann authentication failed");
        assert_eq!(
            format(&connected, false),
            "2009-02-13T23:31:30.123Z pptp,ppp,info <pptp-ann>: connected\n"
        );
        assert_eq!(format(&connected, true), format(&connected, false));
        assert_eq!(
            format(&failed, true),
            "2009-02-13T23:31:30.123Z \u{1b}[31mpptp,ppp,error\u{1b}[0m \
             <7>: user ann authentication failed\n"
        );
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_every_line_in_it_is_whole() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut stream = Stream::new(writer, false);
        let text = "x".repeat(1000);
        let mut written = 0;
        while stream.write(&entry(Message::Connected, &text)).is_ok() {
            written += 1;
            assert!(written < 1_000_000, "it is full at some time");
        }
        let mut taken = vec![0; 20_000];
        reader.read_exact(&mut taken).unwrap();
        stream.write(&entry(Message::Connected, "again")).unwrap();
        drop(stream);
        reader.read_to_end(&mut taken).unwrap();
        let taken = String::from_utf8(taken).unwrap();
        let whole = format(&entry(Message::Connected, &text), false);
        let lines: Vec<_> = taken.split_inclusive('\n').collect();
        assert_eq!(lines.len(), written + 1);
        assert!(lines[..written].iter().all(|line| *line == whole));
        assert!(lines[written].ends_with(" again\n"));
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error_and_nothing_more() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut stream = Stream::new(writer, false);
        for _ in 0..2 {
            let error = stream.write(&entry(Message::Connected, "x")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_peer_calls_itself_is_one_line(text: String) {
            let line = format(&entry(Message::Connected, &text), false);
            prop_assert_eq!(line.matches(char::is_control).collect::<Vec<_>>(), ["\n"]);
            prop_assert!(line.ends_with('\n'));
        }
    }
}

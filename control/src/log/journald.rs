//! The journal, by journald's native protocol: a datagram an entry, a field a line of it, or its
//! length and its bytes where they are no line.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::{Entry, Sink};

/// Writes into the journal.
pub(super) struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journald {
    /// Fails if nobody listens at `path`. Who listens there later, after a restart, is found too.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }
}

impl Sink for Journald {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        // A line's text and values are bounded, so that a datagram always holds them.
        let datagram = encode(entry);
        self.socket.send_to(&datagram, &self.path).map(drop)
    }
}

/// The datagram of an entry. The topics stand before the text: the journal does not show fields by
/// default, and who forwards a message may forward nothing else.
fn encode(entry: &Entry) -> Vec<u8> {
    let line = &entry.line;
    let mut datagram = Vec::with_capacity(512);
    let mut put = |name, value: &str| put(&mut datagram, name, value);
    put("MESSAGE", &format!("{} {}", line.topics, line.text));
    put("PRIORITY", priority(line.level));
    put("SYSLOG_FACILITY", DAEMON);
    put("SYSLOG_IDENTIFIER", "greyhound");
    put("PPTP_TOPICS", line.topics);
    if let Some(message) = line.message {
        put("MESSAGE_ID", &format!("{:032x}", message.id()));
        put("PPTP_MESSAGE", message.name());
    }
    for (field, value) in &line.fields {
        put(field.journal_name(), value);
    }
    datagram
}

/// Appends a field. Only a value without control characters is written as a line.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains(char::is_control) {
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        datagram.push(b'\n');
        datagram.extend_from_slice(&length.to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

/// The severities of syslog(3).
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// LOG_DAEMON of syslog(3).
const DAEMON: &str = "3";

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::super::tests::Folder;
    use super::super::{Field, Line, Message, text};
    use super::*;

    fn entry(line: Line) -> Entry {
        Entry {
            time: SystemTime::UNIX_EPOCH,
            line: line.tamed(),
        }
    }

    /// Takes a datagram apart as journald does.
    fn decode(mut datagram: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        while !datagram.is_empty() {
            let end = datagram.iter().position(|&b| b == b'\n').unwrap();
            let (head, rest) = (&datagram[..end], &datagram[end + 1..]);
            if let Some(equals) = head.iter().position(|&b| b == b'=') {
                fields.push((text(&head[..equals]), text(&head[equals + 1..])));
                datagram = rest;
            } else {
                let (length, rest) = rest.split_first_chunk().unwrap();
                let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
                fields.push((text(head), text(&rest[..length])));
                assert_eq!(rest[length], b'\n');
                datagram = &rest[length + 1..];
            }
        }
        fields
    }

    #[test]
    fn an_entry_has_its_id_its_topics_and_its_fields() {
        let line = Line::new(Message::LoggedIn, "ann logged in, 10.0.0.5".to_owned())
            .with(Field::User, "ann")
            .with(Field::Address, "10.0.0.5");
        let expected = "MESSAGE=pptp,ppp,info,account ann logged in, 10.0.0.5\n\
                        PRIORITY=6\n\
                        SYSLOG_FACILITY=3\n\
                        SYSLOG_IDENTIFIER=greyhound\n\
                        PPTP_TOPICS=pptp,ppp,info,account\n\
                        MESSAGE_ID=a94e13128d24498f94e4118726e16fa7\n\
                        PPTP_MESSAGE=logged-in\n\
                        PPTP_USER=ann\n\
                        PPTP_ADDRESS=10.0.0.5\n";
        assert_eq!(encode(&entry(line)), expected.as_bytes());
    }

    #[test]
    fn a_value_with_a_line_end_is_counted_out() {
        let mut datagram = Vec::new();
        put(&mut datagram, "PPTP_USER", "a\nMESSAGE=b");
        let expected = [
            &b"PPTP_USER\n"[..],
            &11_u64.to_le_bytes(),
            b"a\nMESSAGE=b\n",
        ]
        .concat();
        assert_eq!(datagram, expected);
    }

    #[test]
    fn the_largest_entry_is_received_whole_and_a_journal_that_restarts_is_found_again() {
        let folder = Folder::new();
        let path = folder.path().join("socket");
        assert!(Journald::open(&path).is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut journald = Journald::open(&path).unwrap();
        let mut line = Line::new(Message::LoggedIn, "x".repeat(100_000));
        for &field in Field::ALL {
            line = line.with(field, "\n".repeat(100_000));
        }
        let entry = entry(line);
        assert_eq!(entry.line.text.len(), text::LONGEST);
        journald.write(&entry).unwrap();
        let mut datagram = vec![0; 200_000];
        let length = listener.recv(&mut datagram).unwrap();
        assert_eq!(decode(&datagram[..length]), decode(&encode(&entry)));
        drop(listener);
        assert!(journald.write(&entry).is_err());
        std::fs::remove_file(&path).unwrap();
        let listener = UnixDatagram::bind(&path).unwrap();
        journald.write(&entry).unwrap();
        assert_eq!(listener.recv(&mut datagram).unwrap(), length);
    }

    #[test]
    fn a_journal_that_does_not_read_holds_nobody_up() {
        let folder = Folder::new();
        let path = folder.path().join("socket");
        let _listener = UnixDatagram::bind(&path).unwrap();
        let mut journald = Journald::open(&path).unwrap();
        let entry = entry(Line::new(Message::Connected, "x".to_owned()));
        let full = (0..1_000_000).find_map(|_| journald.write(&entry).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    proptest! {
        #[test]
        fn whatever_a_peer_calls_itself_stays_in_its_field(text: String, user: String) {
            let line = Line::new(Message::LoggedIn, text)
                .with(Field::User, &user)
                .with(Field::Caller, "192.0.2.1");
            let fields = decode(&encode(&entry(line)));
            let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(names, [
                "MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "PPTP_TOPICS",
                "MESSAGE_ID", "PPTP_MESSAGE", "PPTP_USER", "PPTP_CALLER",
            ]);
            prop_assert!(!fields[0].1.contains(char::is_control));
            prop_assert_eq!(&fields[7].1, &user);
        }
    }
}

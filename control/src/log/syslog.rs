//! A syslog daemon on this machine, by RFC 5424: the fields as structured data, the topics in the
//! text, where every daemon keeps them.

use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::{Entry, Sink, text};

/// Sends to a syslog daemon.
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    host: String,
    process: u32,
}

impl Syslog {
    /// Fails if nobody listens at `path`. Who listens there later, after a restart, is found too.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let host = rustix::system::uname();
        Ok(Self {
            socket,
            path: path.to_owned(),
            host: header_word(&host.nodename().to_string_lossy(), 255),
            process: std::process::id(),
        })
    }
}

impl Sink for Syslog {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let message = encode(entry, &self.host, self.process);
        self.socket
            .send_to(message.as_bytes(), &self.path)
            .map(drop)
    }
}

/// `<PRI>1 TIME HOST greyhound PID MSGID [fields] topics text` (RFC 5424 §6).
fn encode(entry: &Entry, host: &str, process: u32) -> String {
    let line = &entry.line;
    let priority = DAEMON * 8 + severity(line.level);
    let time = humantime::format_rfc3339_millis(entry.time);
    let message_id = line.message.map_or("-", |message| message.name());
    let mut all = format!("<{priority}>1 {time} {host} greyhound {process} {message_id} ");
    all.push('[');
    all.push_str(SD_ID);
    put(&mut all, "topics", line.topics);
    if let Some(message) = line.message {
        put(&mut all, "id", &format!("{:032x}", message.id()));
    }
    for (field, value) in &line.fields {
        put(&mut all, field.syslog_name(), value);
    }
    all.push_str("] ");
    if !line.text.is_ascii() {
        // What is UTF-8 says so (RFC 5424 §6.4).
        all.push('\u{feff}');
    }
    all.push_str(line.topics);
    all.push(' ');
    all.push_str(&line.text);
    all
}

/// Appends a parameter of the structured data (RFC 5424 §6.3.3). Daemons on the way cut at line
/// ends, so that there is none in a value.
fn put(all: &mut String, name: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = write!(all, " {name}=\"");
    for c in text::printable(value).chars() {
        if matches!(c, '"' | '\\' | ']') {
            all.push('\\');
        }
        all.push(c);
    }
    all.push('"');
}

/// A word of the header: printable ASCII, and `-` for nothing (RFC 5424 §6).
fn header_word(text: &str, most: usize) -> String {
    let word: String = text
        .chars()
        .filter(char::is_ascii_graphic)
        .take(most)
        .collect();
    if word.is_empty() {
        "-".to_owned()
    } else {
        word
    }
}

/// The severities of RFC 5424 §6.2.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// "System daemons" of RFC 5424 §6.2.1.
const DAEMON: u8 = 3;

/// The name of our structured data: RFC 5424 §7.2.2 wants an enterprise number behind it, and this
/// is the one that RFC 5612 leaves to those who have none.
const SD_ID: &str = "greyhound@32473";

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::super::tests::Folder;
    use super::super::{Field, Line, Message};
    use super::*;

    fn entry(line: Line) -> Entry {
        Entry {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123),
            line: line.tamed(),
        }
    }

    #[test]
    fn an_entry_has_its_fields_as_structured_data_and_its_topics_in_the_text() {
        let line = Line::new(
            Message::LoginFailed,
            "<7>: user a authentication failed".into(),
        )
        .with(Field::User, "a\"b\\c]\n");
        assert_eq!(
            encode(&entry(line), "gate", 42),
            "<27>1 2009-02-13T23:31:30.123Z gate greyhound 42 login-failed \
             [greyhound@32473 topics=\"pptp,ppp,error\" id=\"c971be1da5ac47bf8673570ec644e11f\" \
             user=\"a\\\"b\\\\c\\]?\"] pptp,ppp,error <7>: user a authentication failed"
        );
    }

    #[test]
    fn what_is_not_ascii_begins_with_the_mark_of_utf_8() {
        let line = Line::other(Level::DEBUG, "pptp,debug", "Jürgen".to_owned());
        assert_eq!(
            encode(&entry(line), "-", 1),
            "<31>1 2009-02-13T23:31:30.123Z - greyhound 1 - \
             [greyhound@32473 topics=\"pptp,debug\"] \u{feff}pptp,debug Jürgen"
        );
    }

    #[test]
    fn a_host_has_a_name_of_printable_ascii() {
        assert_eq!(header_word("my gate\n", 255), "mygate");
        assert_eq!(header_word("ü", 255), "-");
        assert_eq!(header_word("abc", 2), "ab");
    }

    #[test]
    fn the_daemon_receives_a_datagram_an_entry() {
        let folder = Folder::new();
        let path = folder.path().join("log");
        assert!(Syslog::open(&path).is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(&path).unwrap();
        let entry = entry(Line::new(
            Message::Connected,
            "<pptp-ann>: connected".into(),
        ));
        syslog.write(&entry).unwrap();
        let mut datagram = [0; 1000];
        let length = listener.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        assert_eq!(text, encode(&entry, &syslog.host, std::process::id()));
        let full = (0..1_000_000).find_map(|_| syslog.write(&entry).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    /// The value of the last parameter and what follows the structured data.
    fn decode(message: &str) -> (String, String) {
        let (_, rest) = message.split_once(" user=\"").unwrap();
        let (mut value, mut chars) = (String::new(), rest.chars());
        loop {
            match chars.next().unwrap() {
                '"' => break,
                '\\' => value.push(chars.next().unwrap()),
                c => value.push(c),
            }
        }
        (value, chars.collect())
    }

    proptest! {
        #[test]
        fn whatever_a_peer_calls_itself_is_one_line_and_stays_in_its_field(
            text: String,
            user in r#"[\PC\n"\\\]]{0,40}"#,
        ) {
            let line = Line::new(Message::LoggedIn, text).with(Field::User, &user);
            let message = encode(&entry(line), "gate", 1);
            prop_assert!(!message.contains(char::is_control));
            let (value, rest) = decode(&message);
            prop_assert_eq!(value, text::printable(&user));
            prop_assert!(rest.starts_with("] "));
        }
    }
}

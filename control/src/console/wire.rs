//! How the console asks the running control process: a Unix stream socket, one line of JSON each
//! way, then the connection ends.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The socket's name in the run directory.
pub const SOCKET: &str = "control.sock";

/// The longest request, its line end included: the commands of a whole configuration fit. A server
/// closes a connection that sends more.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// A command to be carried out by [`super::command::execute`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The statements.
    pub line: String,
    /// The words of the menu that they begin in.
    #[serde(default)]
    pub menu: Vec<String>,
    /// What the rows of earlier prints were.
    #[serde(default)]
    pub numbers: Numbers,
    /// Answer for a program.
    pub json: bool,
    /// Characters in a line of the terminal.
    pub width: u16,
}

/// For a menu, the id of each row of its last print: whoever saw that may mean them by number.
pub type Numbers = BTreeMap<String, Vec<u32>>;

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What to print; ends with a line end unless it is empty.
    pub text: String,
    /// The exit status: 0, or 1 after an error.
    pub status: u8,
    /// The words of the menu that the statements ended in.
    pub menu: Vec<String>,
    /// What the rows of the prints were: replaces what was known of these menus.
    pub numbers: Numbers,
    /// It is to be asked again and again.
    pub repeats: bool,
}

/// Why there is no request or no reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens on the socket.
    #[error("no greyhound runs with the run directory {}: start it with `greyhound up`", .0.display())]
    NotRunning(PathBuf),
    /// The socket belongs to somebody else.
    #[error("{} may not be opened: ask as the user who started greyhound, or as root", .0.display())]
    NotPermitted(PathBuf),
    /// The connection failed.
    #[error("the connection to {} failed", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What came is longer than it may be.
    #[error("more than {0} bytes in a message")]
    TooLong(usize),
    /// What came is not a message.
    #[error("not a message of the console")]
    Malformed(#[source] serde_json::Error),
}

/// The request that `received` holds; `None` if its end has not come yet. What follows the line is
/// ignored.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::TooLong`]: the connection is of no use any more.
pub fn decode_request(received: &[u8]) -> Result<Option<Request>, Error> {
    match first_line(received) {
        Some(line) if line.len() < MAX_REQUEST_BYTES => serde_json::from_slice(line)
            .map(Some)
            .map_err(Error::Malformed),
        None if received.len() < MAX_REQUEST_BYTES => Ok(None),
        Some(_) | None => Err(Error::TooLong(MAX_REQUEST_BYTES)),
    }
}

/// The line that says `reply`.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    line_of(reply)
}

/// Asks the control process whose run directory is `run_dir`.
///
/// # Errors
/// Every variant but that the request was malformed.
pub fn ask(run_dir: &Path, request: &Request) -> Result<Reply, Error> {
    let path = run_dir.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|source| {
        let kind = source.kind();
        if kind == io::ErrorKind::NotFound || kind == io::ErrorKind::ConnectionRefused {
            Error::NotRunning(run_dir.to_owned())
        } else if kind == io::ErrorKind::PermissionDenied {
            Error::NotPermitted(path.clone())
        } else {
            let path = path.clone();
            Error::Io { path, source }
        }
    })?;
    let received = exchange(&mut stream, &line_of(request)).map_err(|source| Error::Io {
        path: path.clone(),
        source,
    })?;
    let Some(line) = first_line(&received) else {
        if received.len() >= MAX_REPLY_BYTES {
            return Err(Error::TooLong(MAX_REPLY_BYTES));
        }
        let source = io::ErrorKind::UnexpectedEof.into();
        return Err(Error::Io { path, source });
    };
    serde_json::from_slice(line).map_err(Error::Malformed)
}

/// Sends `request` and returns what comes back up to the first line end.
fn exchange(stream: &mut UnixStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while received.len() < MAX_REPLY_BYTES {
        let count = stream.read(&mut buffer)?;
        received.extend_from_slice(&buffer[..count]);
        if count == 0 || buffer[..count].contains(&b'\n') {
            break;
        }
    }
    Ok(received)
}

/// How often it is asked for what [repeats](Reply::repeats).
pub const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The longest reply: a table of every session that there can be fits.
const MAX_REPLY_BYTES: usize = 256 * 1024 * 1024;

/// How long the control process may take for a reply.
const PATIENCE: Duration = Duration::from_secs(10);

fn line_of(message: &impl Serialize) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(message).expect("strings, numbers and booleans have a form in JSON");
    line.push(b'\n');
    line
}

fn first_line(received: &[u8]) -> Option<&[u8]> {
    let end = received.iter().position(|&byte| byte == b'\n')?;
    Some(&received[..end])
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_complete_at_its_line_end() {
        let line = line_of(&request());

        for end in 0..line.len() {
            assert!(decode_request(&line[..end]).unwrap().is_none());
        }
        assert_eq!(decode_request(&line).unwrap(), Some(request()));
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in ["\n", "{}\n", "nonsense\n", "{\"line\":[1]}\n"] {
            assert!(matches!(
                decode_request(text.as_bytes()),
                Err(Error::Malformed(_))
            ));
        }
        let endless = vec![b' '; MAX_REQUEST_BYTES];
        assert!(matches!(decode_request(&endless), Err(Error::TooLong(_))));
        assert!(decode_request(&endless[1..]).unwrap().is_none());
    }

    #[test]
    fn the_reply_of_a_listening_process_is_returned() {
        let dir = TestDir::new("reply");
        let listener = UnixListener::bind(dir.0.join(SOCKET)).unwrap();
        let reply = Reply {
            text: "line\n".repeat(50_000),
            status: 1,
            menu: vec!["ppp".to_owned()],
            numbers: Numbers::from([("ip pool".to_owned(), vec![1, 2])]),
            repeats: false,
        };
        let answer = reply.clone();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            let request = loop {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                received.push(byte[0]);
                if let Some(request) = decode_request(&received).unwrap() {
                    break request;
                }
            };
            stream.write_all(&encode_reply(&answer)).unwrap();
            request
        });

        assert_eq!(ask(&dir.0, &request()).unwrap(), reply);
        assert_eq!(server.join().unwrap(), request());
    }

    #[test]
    fn a_process_that_hangs_up_is_an_error() {
        let dir = TestDir::new("hangs-up");
        let listener = UnixListener::bind(dir.0.join(SOCKET)).unwrap();
        let server = thread::spawn(move || drop(listener.accept().unwrap()));

        assert!(matches!(ask(&dir.0, &request()), Err(Error::Io { .. })));
        server.join().unwrap();
    }

    #[test]
    fn that_nothing_runs_is_said_in_one_line() {
        let dir = TestDir::new("nothing");
        let expected = format!(
            "no greyhound runs with the run directory {}: start it with `greyhound up`",
            dir.0.display()
        );

        assert_eq!(ask(&dir.0, &request()).unwrap_err().to_string(), expected);
        // A socket that a killed process left.
        drop(UnixListener::bind(dir.0.join(SOCKET)).unwrap());
        assert_eq!(ask(&dir.0, &request()).unwrap_err().to_string(), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode_request(&bytes);
        }
    }

    fn request() -> Request {
        Request {
            line: "ppp active\nprint".to_owned(),
            menu: vec!["ppp".to_owned()],
            numbers: Numbers::from([("ip pool".to_owned(), vec![1, 2])]),
            json: false,
            width: 80,
        }
    }

    /// A directory that goes away with the test.
    struct TestDir(PathBuf);

    impl TestDir {
        fn new(name: &str) -> Self {
            let name = format!("greyhound-wire-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for TestDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

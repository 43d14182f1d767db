//! What the console under test runs in, and the control process it asks.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use greyhound_control::console::front::{Exchange, Reply, Request, Status};

/// The variable that says to be the console.
pub const CONSOLE: &str = "GREYHOUND_TEST_CONSOLE";

/// The console, to be started.
pub fn console(home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "the_console_that_is_tested"])
        .args(["--nocapture", "--test-threads=1"])
        .env(CONSOLE, "1")
        .env("TERM", "xterm-256color")
        .env("HOME", home)
        .env_remove("XDG_STATE_HOME")
        .env_remove("NO_COLOR");
    command
}

/// Waits until the terminal is set up, and clears it of what the test has said.
pub fn wait_for_size() {
    if !io::stdin().is_terminal() {
        return;
    }
    let columns = || rustix::termios::tcgetwinsize(io::stdin()).unwrap().ws_col;
    while columns() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    print!("\x1b[2J\x1b[H");
}

/// Answers what the tests need.
#[derive(Default)]
pub struct Script {
    identity: Option<String>,
    looks: u32,
}

impl Exchange for Script {
    fn run(&mut self, request: &Request) -> io::Result<Reply> {
        let mut reply = Reply {
            numbers: request.numbers.clone(),
            ..Reply::default()
        };
        let words: Vec<_> = request.line.split_whitespace().collect();
        match &words[..] {
            ["/"] => reply.menu = Some(Vec::new()),
            [".."] => {
                let mut menu = request.menu.clone();
                menu.pop();
                reply.menu = Some(menu);
            }
            ["/ppp", "secret"] => reply.menu = Some(vec!["ppp".to_owned(), "secret".to_owned()]),
            ["/ppp", "secret", "print", ..] => {
                reply.text = (1..=60).map(|row| format!("row {row}\n")).collect();
            }
            ["/system", "identity", "set", name] => {
                self.identity = name.strip_prefix("name=").map(str::to_owned);
            }
            ["monitor", _] => {
                self.looks = self.looks % 9 + 1;
                reply.text = format!("  status: connected\n  looked: {}\n", self.looks);
                reply.again = Some(Duration::from_millis(100));
            }
            ["bad"] => {
                reply.text = "bad command name bad (line 1 column 1)".to_owned();
                reply.status = Status::Refused;
            }
            ["gone"] => return Err(io::Error::other("nobody answers")),
            _ => {
                self.looks = 0;
                let line = request.line.replace('\n', "|");
                reply.text = format!("ran `{line}` in /{}\n", request.menu.join("/"));
            }
        }
        Ok(reply)
    }

    fn names(&mut self, path: &[&str]) -> Vec<String> {
        match path {
            ["ppp", "profile"] => vec!["default".to_owned(), "staff".to_owned()],
            _ => Vec::new(),
        }
    }

    fn identity(&mut self) -> String {
        self.identity.clone().unwrap_or_else(|| "Lab".to_owned())
    }
}

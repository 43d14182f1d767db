//! A table of ways in which two ends connect, and of what came of each.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

/// What is to come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The link is up, and every byte arrives.
    Up {
        /// What `print` shows.
        encoding: &'static str,
        /// The same.
        mtu: u64,
    },
    /// As before, on a wire that does wrong in both directions: TCP arrives, pings need not.
    UpOnBadWire {
        /// What `print` shows.
        encoding: &'static str,
        /// The same.
        mtu: u64,
        /// What the wire does, as netem's options.
        faults: &'static str,
    },
    /// It is not; a line of the server's log about this user says why.
    Down(&'static str),
}

/// MTU and ENCODING of a session, as `print` shows them; `None` of one that is not up.
pub type Seen = Option<(u64, String)>;

/// What came of the rows.
#[derive(Debug)]
pub struct Table {
    /// What its peers are, at the head of their column.
    peers: &'static str,
    lines: Vec<String>,
    failures: Vec<String>,
}

impl Table {
    /// An empty one, whose peers are called this at the head of their column.
    #[must_use]
    pub const fn of(peers: &'static str) -> Self {
        Self {
            peers,
            lines: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Takes over the rows of another one.
    pub fn extend(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.failures.extend(other.failures);
    }

    /// Adds a row: who the peer was; how it was proved who is who, what encrypts, what is special;
    /// what was to come of it, and what did.
    pub fn add(
        &mut self,
        peer: &str,
        words: [&str; 3],
        expected: Expected,
        seen: &Seen,
        outcome: Result<()>,
    ) {
        let [auth, encryption, what] = words;
        let (mtu, encoding) = match seen {
            Some((mtu, encoding)) => (mtu.to_string(), encoding.as_str()),
            None => (String::new(), ""),
        };
        let result = match (&outcome, expected) {
            (Err(_), _) => "FAILED",
            (Ok(()), Expected::Up { .. } | Expected::UpOnBadWire { .. }) => "up, every byte right",
            (Ok(()), Expected::Down(why)) => why,
        };
        self.lines.push(format!(
            "| {peer} | {auth} | {encryption} | {what} | {mtu} | {encoding} | {result} |"
        ));
        if let Err(error) = outcome {
            self.failures
                .push(format!("{peer}, {auth}, {encryption}, {what}: {error:#}"));
        }
    }

    /// The table, in Markdown.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "| {} | authentication | encryption | case | MTU | ENCODING | result |\n\
             |---|---|---|---|---|---|---|\n",
            self.peers
        );
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Prints the table, writes it to `$GREYHOUND_CONFORMANCE/NAME.md` if that is set, and checks
    /// that every row is as it should be.
    ///
    /// # Errors
    /// Some are not; the message says which and why.
    pub fn conclude(self, name: &str) -> Result<()> {
        let text = self.text();
        #[expect(clippy::print_stdout, reason = "the table is for people")]
        {
            println!("{text}");
        }
        if let Some(folder) = std::env::var_os("GREYHOUND_CONFORMANCE") {
            fs::create_dir_all(&folder)?;
            fs::write(Path::new(&folder).join(format!("{name}.md")), text)?;
        }
        ensure!(self.failures.is_empty(), "{}", self.failures.join("\n\n"));
        Ok(())
    }
}

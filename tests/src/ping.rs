//! What `ping` counted.

use anyhow::{Context, Result};

use crate::namespace::Namespace;

/// Sent and answered echo requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Requests sent.
    pub sent: u32,
    /// Replies received, duplicates left out.
    pub received: u32,
}

impl Ping {
    /// Runs `ping` in a namespace. Lost packets are a result, not an error.
    ///
    /// # Errors
    /// `ping` could not send at all.
    pub fn run(namespace: &Namespace, arguments: &[&str]) -> Result<Self> {
        let output = namespace.command("ping").args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Self::parse(&text).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("ping {}: {text}{said}", arguments.join(" "))
        })
    }

    /// Finds the summary line in what `ping` printed.
    #[must_use]
    pub fn parse(output: &str) -> Option<Self> {
        let summary = output
            .lines()
            .find(|line| line.contains(" packets transmitted, "))?;
        let mut numbers = summary
            .split(", ")
            .filter_map(|part| part.split(' ').next()?.parse().ok());
        Some(Self {
            sent: numbers.next()?,
            received: numbers.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_found() {
        let output = "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n\n\
                      --- 10.0.0.1 ping statistics ---\n\
                      5 packets transmitted, 4 received, +1 duplicates, 20% packet loss, time 4ms\n";
        let counted = Ping {
            sent: 5,
            received: 4,
        };
        assert_eq!(Ping::parse(output), Some(counted));
    }

    #[test]
    fn output_without_a_summary_is_nothing() {
        assert_eq!(Ping::parse("ping: connect: Network is unreachable\n"), None);
    }
}

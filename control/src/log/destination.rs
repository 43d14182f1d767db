//! Where the log goes.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;

use clap::ValueEnum;
use rustix::fs::fstat;

use super::Sink;
use super::journald::Journald;
use super::stream::Stream;
use super::syslog::Syslog;

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Destination {
    /// Standard error, a line each
    Stderr,
    /// The journal of systemd, with fields and message ids
    Journald,
    /// The syslog daemon at /dev/log, by RFC 5424
    Syslog,
}

impl Destination {
    /// The journal if standard error goes there anyway: there it has fields. `journal_stream` is
    /// the value of $JOURNAL_STREAM, `device:inode` of what systemd gave a service as its standard
    /// error (systemd.exec(5)); children have the variable too, and may write elsewhere.
    #[must_use]
    pub fn detect(journal_stream: Option<&str>, stderr: impl AsFd) -> Self {
        let told = journal_stream.and_then(|value| {
            let (device, inode) = value.split_once(':')?;
            Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
        });
        let is_it = |(device, inode)| {
            fstat(stderr).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode))
        };
        match told {
            Some(told) if is_it(told) => Self::Journald,
            Some(_) | None => Self::Stderr,
        }
    }

    /// What writes there. Fails if there is no such thing on this machine.
    pub(super) fn open(self) -> io::Result<Box<dyn Sink>> {
        Ok(match self {
            Self::Stderr => stderr(),
            Self::Journald => Box::new(Journald::open(Path::new(JOURNAL))?),
            Self::Syslog => Box::new(Syslog::open(Path::new(DEV_LOG))?),
        })
    }
}

pub(super) fn stderr() -> Box<dyn Sink> {
    let stderr = io::stderr();
    let has_colours = stderr.is_terminal();
    Box::new(Stream::new(stderr, has_colours))
}

/// Where journald listens (systemd's "native" protocol).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where a syslog daemon listens.
const DEV_LOG: &str = "/dev/log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_chosen_if_standard_error_is_what_systemd_connected_to_it() {
        let (reader, writer) = io::pipe().unwrap();
        let stat = fstat(&writer).unwrap();
        let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert_eq!(
            Destination::detect(Some(&stream), &writer),
            Destination::Journald
        );
        let elsewhere = io::pipe().unwrap().1;
        for (stream, stderr) in [(Some(&*stream), &elsewhere), (None, &writer)] {
            assert_eq!(Destination::detect(stream, stderr), Destination::Stderr);
        }
        for nonsense in ["", ":", "8", "8:x", "1:2:3"] {
            assert_eq!(
                Destination::detect(Some(nonsense), &writer),
                Destination::Stderr
            );
        }
        drop(reader);
    }
}

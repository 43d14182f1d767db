//! What makes a process fit to run programs: what it has open, where it is, when it ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use anyhow::Context;
use nix::unistd::close;
use rustix::fs::Mode;
use rustix::process::{
    Resource, Rlimit, Signal, chdir, getrlimit, set_parent_process_death_signal, setrlimit, umask,
};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Closes all but the standard streams: whoever started greyhound may have had files open that are
/// no business of a program that is started. To be called before anything else is opened.
pub(crate) fn close_what_was_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_string_lossy().parse::<RawFd>();
        inherited.extend(number.ok().filter(|&fd| fd > 2));
    }
    for fd in inherited {
        // One of them was the folder itself, which is closed already.
        let _ = close(fd);
    }
    Ok(())
}

/// Has the process end when its parent does, and gives it what programs have that a service manager
/// starts. To be called once it is the user that it is to be: becoming another one forgets the
/// parent.
pub(crate) fn settle() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot ask for a signal at the end of the parent")?;
    chdir("/").context("cannot go to /")?;
    umask(Mode::WGRP | Mode::WOTH);
    limit_files().context("cannot set the limit of open files")
}

/// Standard input: the socket that the control process connects to.
pub(crate) fn listener() -> anyhow::Result<OwnedFd> {
    let listener = io::stdin().as_fd().try_clone_to_owned();
    listener.context("no socket")
}

/// A socket that becomes readable when this process is told to stop.
pub(crate) fn stop_signals() -> anyhow::Result<UnixStream> {
    let watch = || {
        let (stop, raise) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, raise.try_clone()?)?;
        }
        Ok::<_, io::Error>(stop)
    };
    watch().context("cannot handle signals")
}

/// The supervisor has raised its limit; a program that uses select(2) relies on the usual one.
fn limit_files() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let usual = limit.maximum.map_or(FILES, |most| most.min(FILES));
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(usual),
            ..limit
        },
    )
}

/// The usual soft limit of open files.
const FILES: u64 = 1024;

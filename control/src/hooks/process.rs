//! What makes the runner a process: whose it is, what it may do, what it has open.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, close, setgroups, setresgid, setresuid};
use rustix::fs::Mode;
use rustix::process::{
    Resource, Rlimit, Signal, chdir, geteuid, getrlimit, set_parent_process_death_signal,
    setrlimit, umask,
};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::runner::{AT_ONCE, Options, Runner, STOP_GRACE};
use super::user::User;
use crate::io::privilege;
use crate::log::Log;

/// Whose programs hooks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Those of another user; every privilege is given up for good.
    Become(User),
    /// Those of the user that this process has; every privilege is given up for good.
    Stay,
    /// Root's.
    Root,
}

/// Runs hooks until SIGTERM or SIGINT. Standard input is the socket that the control process
/// connects to.
///
/// Where it cannot become who it should be, it runs nothing and says so of each hook: tunnels do not
/// end for that.
///
/// # Errors
/// What keeps it from starting.
pub fn run(privilege: Privilege, log: Log) -> anyhow::Result<()> {
    close_what_was_inherited().context("cannot look for open files")?;
    let refusal = drop_privileges(privilege).err();
    if refusal.is_some() {
        privilege::drop_all()?;
    }
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot ask for a signal at the end of the parent")?;
    // What programs have that a service manager starts.
    chdir("/").context("cannot go to /")?;
    umask(Mode::WGRP | Mode::WOTH);
    limit_files().context("cannot set the limit of open files")?;
    let listener = io::stdin().as_fd().try_clone_to_owned();
    let options = Options {
        listener: listener.context("no socket")?,
        at_once: AT_ONCE,
        stop_grace: STOP_GRACE,
        as_root: privilege == Privilege::Root,
        refusal: refusal.map(|error| format!("hooks do not run: {error:#}")),
        log,
    };
    let stop = stop_signals().context("cannot handle signals")?;
    Runner::new(options).run(&stop)
}

/// Closes all but the standard streams: whoever started greyhound may have had files open that are
/// no business of a hook.
fn close_what_was_inherited() -> io::Result<()> {
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

fn drop_privileges(privilege: Privilege) -> anyhow::Result<()> {
    match privilege {
        Privilege::Root => return Ok(()),
        Privilege::Stay => {}
        Privilege::Become(user) => {
            privilege::empty_bounding_set()?;
            become_user(user).with_context(|| format!("cannot become the user {}", user.uid))?;
        }
    }
    if geteuid().is_root() {
        bail!("root has to be asked for");
    }
    privilege::drop_all()
}

fn become_user(User { uid, gid }: User) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
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

/// A socket that becomes readable when this process is told to stop.
fn stop_signals() -> io::Result<UnixStream> {
    let (stop, raise) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, raise.try_clone()?)?;
    }
    Ok(stop)
}

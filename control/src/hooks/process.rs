//! What makes the runner a process: whose it is, and what it may do.

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::geteuid;

use super::runner::{AT_ONCE, Options, Runner, STOP_GRACE};
use super::user::User;
use crate::io::privilege;
use crate::log::Log;
use crate::programs::process;

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
    process::close_what_was_inherited().context("cannot look for open files")?;
    let refusal = drop_privileges(privilege).err();
    if refusal.is_some() {
        privilege::drop_all()?;
    }
    process::settle()?;
    let options = Options {
        listener: process::listener()?,
        at_once: AT_ONCE,
        stop_grace: STOP_GRACE,
        as_root: privilege == Privilege::Root,
        refusal: refusal.map(|error| format!("hooks do not run: {error:#}")),
        log,
    };
    let stop = process::stop_signals()?;
    Runner::new(options).run(&stop)
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

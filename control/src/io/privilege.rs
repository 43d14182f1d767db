//! What the process may do. It reads bytes of strangers, so that is as little as possible.

use anyhow::Context;
use caps::{CapSet, Capability};
use rustix::fs::Mode;
use rustix::process::{Signal, set_parent_process_death_signal, umask};
use rustix::thread::set_no_new_privs;

/// Ends the process when its parent, the supervisor, ends; and keeps what it creates to its user.
pub(super) fn confine() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot ask for a signal at the end of the parent")?;
    umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

/// Gives up every capability, and the way to get one back. No thread may have been started.
pub(crate) fn drop_all() -> anyhow::Result<()> {
    set_no_new_privs(true).context("cannot set no_new_privs")?;
    empty_bounding_set()?;
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        caps::clear(None, set).context("cannot give up capabilities")?;
    }
    Ok(())
}

/// Makes sure that no program that is executed gets a capability. Which are held stays as it is.
pub(crate) fn empty_bounding_set() -> anyhow::Result<()> {
    // Emptying the set takes a capability. Without it there is none to lose either.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        caps::clear(None, CapSet::Bounding).context("cannot empty the bounding set")?;
    }
    Ok(())
}

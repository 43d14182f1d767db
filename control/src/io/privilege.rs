//! What the process may do. It reads bytes of strangers, so that is as little as possible.

use anyhow::Context;
use caps::{CapSet, Capability, CapsHashSet};
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
    drop_all_but(&CapsHashSet::new())
}

/// The same, but that programs which this process executes as root have those of `kept` that it has
/// had itself.
pub(crate) fn drop_all_but(kept: &CapsHashSet) -> anyhow::Result<()> {
    set_no_new_privs(true).context("cannot set no_new_privs")?;
    limit_bounding_set(kept)?;
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective] {
        caps::clear(None, set).context("cannot give up capabilities")?;
    }
    let held = caps::read(None, CapSet::Permitted).context("cannot read capabilities")?;
    let kept = held.intersection(kept).copied().collect();
    caps::set(None, CapSet::Permitted, &kept).context("cannot give up capabilities")
}

/// Makes sure that no program that is executed gets a capability. Which are held stays as it is.
pub(crate) fn empty_bounding_set() -> anyhow::Result<()> {
    limit_bounding_set(&CapsHashSet::new())
}

fn limit_bounding_set(kept: &CapsHashSet) -> anyhow::Result<()> {
    // Changing the set takes a capability. Without it there is none to lose either.
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    for capability in caps::all().difference(kept) {
        // An older kernel does not know all of them.
        if caps::has_cap(None, CapSet::Bounding, *capability).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, *capability)
                .context("cannot limit the bounding set")?;
        }
    }
    Ok(())
}

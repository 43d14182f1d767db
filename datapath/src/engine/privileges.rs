//! Capabilities: what the process needs to start, what its main thread keeps, and that its
//! workers have none.

use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability, CapsHashSet};

/// What starting takes, and what for.
const NEEDED: [(Capability, &str); 3] = [
    (
        Capability::CAP_NET_ADMIN,
        "to create interfaces and attach XDP",
    ),
    (Capability::CAP_NET_RAW, "to open AF_XDP and raw sockets"),
    (Capability::CAP_BPF, "to load the XDP program"),
];

/// Checks that the process may do what it has to.
///
/// # Errors
/// Names every capability that is missing and what it is for.
pub fn check(raw_only: bool) -> Result<()> {
    let mut missing = Vec::new();
    for (capability, purpose) in NEEDED {
        let needless = raw_only && capability == Capability::CAP_BPF;
        let held = caps::has_cap(None, CapSet::Effective, capability)
            .context("reading the process's capabilities")?;
        if !held && !needless {
            missing.push(format!("{capability} ({purpose})"));
        }
    }
    if !missing.is_empty() {
        bail!("missing {}; run as root", missing.join(", "));
    }
    Ok(())
}

/// Keeps CAP_NET_ADMIN, which creating and removing interfaces takes, and drops all others.
///
/// # Errors
/// What capset(2) says.
pub fn keep_interfaces_only() -> Result<()> {
    set(&CapsHashSet::from([Capability::CAP_NET_ADMIN]))
}

/// Drops every capability of this thread.
///
/// # Errors
/// What capset(2) says.
pub fn drop_all() -> Result<()> {
    set(&CapsHashSet::new())
}

fn set(keep: &CapsHashSet) -> Result<()> {
    for from in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, from, keep).context("dropping capabilities")?;
    }
    caps::clear(None, CapSet::Inheritable).context("dropping capabilities")
}

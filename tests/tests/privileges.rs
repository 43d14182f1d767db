//! Who may do what once everything runs: hostile bytes are read without a capability.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use greyhound_tests::tunnel::Tunnel;

/// CAP_NET_ADMIN, which creating and deleting interfaces takes.
const NET_ADMIN: u64 = 1 << 12;

/// CAP_DAC_OVERRIDE, which scripts of resolvconf take that write for other users.
const DAC_OVERRIDE: u64 = 1 << 1;

#[test]
#[ignore = "needs root: ./run test"]
fn who_makes_interfaces_or_has_dns_servers_used_has_one_capability_and_nobody_else_any()
-> Result<()> {
    let tunnel = Tunnel::open()?;
    let greyhound = &tunnel.server.greyhound;

    let control = capabilities(greyhound.control()?)?;
    let datapath = capabilities(greyhound.datapath()?)?;

    assert!(control.values().all(|&held| held == 0), "{control:x?}");
    let watched = greyhound.watched();
    let hooks = *watched
        .get("greyhound hooks")
        .context("nobody runs hooks")?;
    let held = capabilities(hooks)?;
    assert!(held.values().all(|&held| held == 0), "{held:x?}");
    let status = fs::read_to_string(format!("/proc/{hooks}/status"))?;
    let nobody = "Uid:\t65534\t65534\t65534\t65534\n";
    assert!(status.contains(nobody), "{status}");
    let dns = *watched
        .get("greyhound dns")
        .context("nobody has DNS servers used")?;
    let held = capabilities(dns)?;
    let is_dac_override = |held: &u64| *held == DAC_OVERRIDE;
    assert!(held.values().all(is_dac_override), "{held:x?}");
    let workers = datapath
        .iter()
        .filter(|(name, _)| name.starts_with("worker-"));
    assert_eq!(workers.clone().count(), 2, "{datapath:x?}");
    for (name, &held) in &datapath {
        let allowed = if name.starts_with("worker-") {
            0
        } else {
            NET_ADMIN
        };
        assert_eq!(held & !allowed, 0, "{name} of {datapath:x?}");
    }
    tunnel.close()
}

/// The permitted capabilities of each thread of a process, by the thread's name. What is not
/// permitted cannot be made effective again.
fn capabilities(pid: u32) -> Result<BTreeMap<String, u64>> {
    fs::read_dir(format!("/proc/{pid}/task"))?
        .map(|thread| {
            let thread = thread?.path();
            let name = fs::read_to_string(thread.join("comm"))?.trim().to_owned();
            let status = fs::read_to_string(thread.join("status"))?;
            let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
            let permitted = permitted.context("no CapPrm")?.trim();
            Ok((name, u64::from_str_radix(permitted, 16)?))
        })
        .collect()
}

//! What the program says when it cannot start: one line, and status 2, so that nobody starts it
//! again in vain. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::process::Command;

/// Runs the program for at most a second in a network namespace of its own, where the shell
/// prepared something, below a command such as prlimit(1). Returns its status and what it said.
fn start(prepare: &str, below: &str) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_greyhound-datapath");
    let folder = std::env::temp_dir().join(format!("greyhound-start-{}", std::process::id()));
    let script = format!(
        "ip link set lo up && {prepare} && exec {below} timeout 1 {program} --interface lo \
         --io raw --queues 2 --run-dir {}",
        folder.display()
    );
    let output = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(folder);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

/// Ended by timeout(1): it ran.
const RAN: Option<i32> = Some(124);

#[test]
fn it_starts_on_a_machine_that_has_everything() {
    let (status, said) = start("true", "");
    assert_eq!(status, RAN, "{said}");
}

#[test]
fn a_machine_without_tun_is_told_how_to_get_it() {
    let (status, said) = start("mount -t tmpfs none /dev/net", "");
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("modprobe tun"), "{said}");
}

#[test]
fn a_missing_capability_is_named() {
    let (status, said) = start("true", "setpriv --bounding-set -net_raw");
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("CAP_NET_RAW"), "{said}");
}

#[test]
fn whatever_there_is_too_little_of_it_says_so_and_gives_up() {
    let mut reasons = Vec::new();
    for descriptors in 8..64 {
        let (status, said) = start("true", &format!("prlimit --nofile={descriptors}"));
        if status == RAN {
            break;
        }
        assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
        reasons.push(said);
    }
    // The workers make their rings themselves, when the main thread has all it needs.
    let last = reasons.last().unwrap();
    assert!(last.contains("io_uring"), "{reasons:#?}");
}

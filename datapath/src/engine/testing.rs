//! What the tests of the engine share: a network namespace to play in, and patience.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::panic;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs a test in a network namespace of its own, which ends with it. Needs root.
pub(super) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let root = rustix::process::geteuid().is_root();
    assert!(root, "this test makes a network namespace: run it as root");
    // On a thread of its own: there is no way back from the namespace.
    let ran = thread::spawn(|| {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The line comes from inside of the new namespace.
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let file = std::fs::File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        ip("link set lo up");
        test();
    });
    if let Err(cause) = ran.join() {
        panic::resume_unwind(cause);
    }
}

/// Runs ip(8) in the calling thread's namespace.
pub(super) fn ip(arguments: &str) -> String {
    let arguments = arguments.split(' ');
    let output = Command::new("ip").args(arguments.clone()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The interfaces of the calling thread's namespace besides the loopback.
pub(super) fn interfaces() -> Vec<String> {
    // A dump of ip(8) is cut short when something changes meanwhile, be it in another namespace.
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name != "lo")
        .collect()
}

/// Gives up all capabilities of the calling thread but these.
pub(super) fn keep_capabilities(kept: &[Capability]) {
    let kept = kept.iter().copied().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).unwrap();
    }
}

/// Repeats `attempt` until it returns something, for at most ten seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "waits for the kernel, in real time"
)]
pub(super) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        thread::yield_now();
    }
}

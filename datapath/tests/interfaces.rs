//! TUN interfaces made and deleted for real, in a network namespace of the test's own. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;

use greyhound_datapath::engine::reaper::Reaper;
use greyhound_datapath::engine::tun;
use greyhound_datapath::ipc::{Interface, Membership};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace that the thread which made it is in; gone when dropped.
struct Namespace(String);

impl Namespace {
    fn enter(name: &str) -> Self {
        let name = format!("greyhound-{name}-{}", std::process::id());
        ip(&["netns", "add", &name]);
        let namespace = Self(name);
        let file = File::open(format!("/run/netns/{}", namespace.0)).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind).unwrap();
        namespace
    }

    fn show(&self, what: &[&str]) -> String {
        let mut arguments = vec!["-n", &self.0];
        arguments.extend(what);
        ip(&arguments)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .expect("ip, of package iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {arguments:?}: {error} (these tests run as root)"
    );
    String::from_utf8(output.stdout).unwrap()
}

fn interface(name: &str, last: u8) -> Interface {
    Interface {
        name: name.to_owned(),
        address: Ipv4Addr::new(10, 0, 0, 1),
        peer: Ipv4Addr::new(10, 0, 1, last),
        mtu: 1456,
        check_source: true,
        ipv6: None,
        membership: Membership::default(),
        stands: false,
    }
}

#[test]
fn an_interface_is_what_was_asked_for() {
    let namespace = Namespace::enter("asked");
    let tun = tun::create(&interface("<pptp-MT-User>", 5), false).unwrap();
    assert_eq!(tun.kernel_name, "<pptp-MT-User>");
    let shown = namespace.show(&["addr", "show", "dev", "<pptp-MT-User>"]);
    assert!(shown.contains("mtu 1456"), "{shown}");
    assert!(shown.contains("inet 10.0.0.1 peer 10.0.1.5/32"), "{shown}");
    assert!(shown.contains("UP,LOWER_UP"), "{shown}");
    assert!(
        !shown.contains("inet6"),
        "the kernel gave it an IPv6 address by itself: {shown}"
    );
    drop(tun);
    let left = namespace.show(&["-o", "link"]);
    assert!(
        !left.contains("pptp"),
        "closing the descriptor deletes it: {left}"
    );
}

#[test]
fn a_long_name_is_the_altname_and_a_second_session_gets_a_number() {
    let namespace = Namespace::enter("names");
    let name = "<pptp-somebody-with-a-long-name>";
    let first = tun::create(&interface(name, 1), false).unwrap();
    let second = tun::create(&interface(name, 2), false).unwrap();
    assert_eq!(first.kernel_name, "<pptp-somebody>");
    assert_eq!(second.kernel_name, "<pptp-somebod>1");
    let shown = namespace.show(&["link", "show", "dev", name]);
    assert!(
        shown.contains(&first.kernel_name),
        "found by its altname: {shown}"
    );
}

#[test]
fn a_hundred_interfaces_are_buried_together() {
    let namespace = Namespace::enter("buried");
    let reaper = Reaper::start().unwrap();
    let made: Vec<_> = (0..100)
        .map(|n| tun::create(&interface(&format!("<pptp-u{n}>"), n), false).unwrap())
        .collect();
    assert_eq!(
        namespace.show(&["-o", "link"]).matches("<pptp-u").count(),
        100
    );
    for tun in made {
        reaper.bury(tun);
    }
    drop(reaper);
    assert_eq!(
        namespace.show(&["-o", "link"]).matches("<pptp-u").count(),
        0
    );
}

//! The process that has the system use the DNS servers of peers, with the resolvers of Debian.

#![expect(
    clippy::unwrap_used,
    reason = "what holds for tests holds for their helpers"
)]

use std::fs;
use std::io::{BufRead, BufReader};

use rustix::process::Signal;

use self::machine::{INTERFACE, Machine, wait_until};

mod machine;

#[test]
#[ignore = "needs root: ./run test"]
fn resolved_uses_the_servers_of_a_session_and_forgets_them() {
    let mut machine = Machine::with(&SYSTEMD, RESOLVED);
    let said = machine.set(true);
    let servers = "pptp-out1: using DNS servers 10.0.0.1,10.0.0.2";
    assert_eq!(said, format!("{servers} exclusively"));
    assert_eq!(resolved(&machine), ["10.0.0.1 10.0.0.2", "~.", "yes"]);

    assert_eq!(machine.set(false), servers);
    assert_eq!(resolved(&machine), ["10.0.0.1 10.0.0.2", "", "yes"]);

    machine.revert();
    machine.wait_until_nothing_is_held();
    assert_eq!(resolved(&machine), ["", "", "no"]);

    // By SIGTERM, and by a crash.
    machine.set(true);
    machine.end_keeper(Signal::TERM);
    assert_eq!(resolved(&machine), ["", "", "no"]);
    machine.start_keeper(&[]);
    machine.line();
    assert_eq!(resolved(&machine), ["10.0.0.1 10.0.0.2", "~.", "yes"]);
    machine.end_keeper(Signal::KILL);
    machine.forget_control();
    assert_eq!(resolved(&machine), ["10.0.0.1 10.0.0.2", "~.", "yes"]);
    machine.start_keeper(&[]);
    machine.wait_until_nothing_is_held();
    assert_eq!(resolved(&machine), ["", "", "no"]);
}

#[test]
#[ignore = "needs root: ./run test"]
fn what_resolved_was_told_goes_with_the_interface() {
    let mut machine = Machine::with(&SYSTEMD, RESOLVED);
    machine.set(true);
    machine.run("ip", &["link", "delete", INTERFACE]);
    machine.revert();
    machine.wait_until_nothing_is_held();
    let said = machine.set(true);
    let expected = "pptp-out1: not using DNS servers 10.0.0.1,10.0.0.2: \
                    there is no interface pptp-out1";
    assert_eq!(said, expected);
    machine.run("ip", &["tuntap", "add", INTERFACE, "mode", "tun"]);
    machine.set(false);
    assert_eq!(resolved(&machine), ["10.0.0.1 10.0.0.2", "", "yes"]);
}

#[test]
#[ignore = "needs root: ./run test"]
fn openresolv_has_them_beside_the_others_or_in_their_place() {
    let mut machine = Machine::with(&["openresolv"], OTHERS);
    let others = ["192.0.2.1", "192.0.2.2"];
    machine.wait_for_name_servers(&others);
    assert_eq!(
        machine.set(false),
        "pptp-out1: using DNS servers 10.0.0.1,10.0.0.2"
    );
    let all = ["192.0.2.1", "192.0.2.2", "10.0.0.1", "10.0.0.2"];
    assert_eq!(machine.name_servers(), all);
    assert_eq!(
        machine.set(true),
        "pptp-out1: using DNS servers 10.0.0.1,10.0.0.2 exclusively"
    );
    assert_eq!(machine.name_servers(), ["10.0.0.1", "10.0.0.2"]);
    machine.revert();
    machine.wait_until_nothing_is_held();
    assert_eq!(machine.name_servers(), others);

    // By SIGTERM, and by a crash.
    machine.set(true);
    machine.end_keeper(Signal::TERM);
    assert_eq!(machine.name_servers(), others);
    machine.start_keeper(&[]);
    machine.line();
    machine.end_keeper(Signal::KILL);
    machine.forget_control();
    assert_eq!(machine.name_servers(), ["10.0.0.1", "10.0.0.2"]);
    machine.start_keeper(&[]);
    machine.wait_until_nothing_is_held();
    assert_eq!(machine.name_servers(), others);
    assert_eq!(machine.run("resolvconf", &["-i"]).trim(), "eth0.dhclient");
}

#[test]
#[ignore = "needs root: ./run test"]
fn debians_resolvconf_has_them_beside_the_others_or_before_them() {
    let mut machine = Machine::with(&["resolvconf"], &format!("{DEBIAN}{OTHERS}"));
    let others = ["192.0.2.1", "192.0.2.2"];
    machine.wait_for_name_servers(&others);
    machine.set(false);
    // No more than three are written.
    let all = ["192.0.2.1", "192.0.2.2", "10.0.0.1"];
    assert_eq!(machine.name_servers(), all);
    assert_eq!(
        machine.set(true),
        "pptp-out1: using DNS servers 10.0.0.1,10.0.0.2 first: \
         Debian's resolvconf cannot use them exclusively"
    );
    let first = ["10.0.0.1", "10.0.0.2", "192.0.2.1"];
    assert_eq!(machine.name_servers(), first);
    // A name server of another user was told as well.
    let told = machine.run("cat", &["/run/other/servers"]);
    assert!(told.contains("nameserver 10.0.0.1\n"), "{told}");
    machine.end_keeper(Signal::KILL);
    machine.forget_control();
    machine.start_keeper(&[]);
    machine.wait_until_nothing_is_held();
    assert_eq!(machine.name_servers(), others);
    assert_eq!(machine.run("resolvconf", &["-i"]).trim(), "eth0.dhclient");
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_keeper_whose_parent_is_killed_takes_everything_back() {
    let mut machine = Machine::with(&["openresolv"], OTHERS);
    machine.set(false);
    machine.end_keeper(Signal::TERM);
    // A shell gives what runs beside it nothing to read, unless it is told.
    let beside = "exec 3<&0; \"$@\" <&3 & echo $!; wait";
    machine.start_keeper(&["sh", "-c", beside, "sh"]);
    machine.line();
    let mut line = String::new();
    let stdout = machine.keeper().stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let keeper = line.trim().to_owned();
    machine.end_keeper(Signal::KILL);
    machine.wait_for_name_servers(&["192.0.2.1", "192.0.2.2"]);
    wait_until("the keeper is gone", || {
        let stat = fs::read_to_string(format!("/proc/{keeper}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    });
    assert!(!machine.dir.join("dns.json").exists());
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_keeper_is_root_with_a_single_capability_for_scripts() {
    let mut machine = Machine::with(&["openresolv"], OTHERS);
    machine.set(false);
    let pid = machine.keeper().id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(':').trim().to_owned()
    };
    assert_eq!(value("Uid"), "0\t0\t0\t0");
    // CAP_DAC_OVERRIDE.
    let single = "0000000000000002";
    let none = "0000000000000000";
    for (set, expected) in [
        ("CapInh", none),
        ("CapPrm", single),
        ("CapEff", none),
        ("CapBnd", single),
        ("CapAmb", none),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(value(set), expected, "{set}");
    }
}

#[test]
#[ignore = "needs root: ./run test"]
fn where_no_resolver_runs_nothing_is_used_and_nothing_changed() {
    let mut machine = Machine::with(&SYSTEMD, "rm -f /etc/resolv.conf");
    let said = machine.set(true);
    let expected = "pptp-out1: not using DNS servers 10.0.0.1,10.0.0.2: \
                    neither systemd-resolved nor resolvconf is there";
    assert_eq!(said, expected);
    machine.run("test", &["!", "-e", "/etc/resolv.conf"]);
}

/// What systemd-resolved says of the interface: servers, domains, whether it is asked by default.
fn resolved(machine: &Machine) -> [String; 3] {
    ["dns", "domain", "default-route"].map(|property| {
        let line = machine.run("resolvectl", &[property, INTERFACE]);
        let (_, value) = line.split_once("):").unwrap();
        value.trim().to_owned()
    })
}

/// The packages of systemd-resolved: it has a library of its own version.
const SYSTEMD: [&str; 2] = ["systemd-resolved", "libsystemd-shared"];

/// Starts systemd-resolved and the bus that it is asked over.
const RESOLVED: &str = "
echo 'systemd-resolve:x:990:990::/:/usr/sbin/nologin' >>/etc/passwd
echo 'systemd-resolve:x:990:' >>/etc/group
mkdir -p /run/dbus /run/systemd/resolve
chown systemd-resolve: /run/systemd/resolve
dbus-daemon --system --fork --nopidfile
/lib/systemd/systemd-resolved 2>/dev/null &
for _ in $(seq 100); do
    resolvectl dns >/dev/null 2>&1 && break
    sleep 0.1
done
";

/// What the package does when it is installed, and a script for a name server of another user.
const DEBIAN: &str = "
mkdir -p /run/resolvconf/interface
: >/run/resolvconf/enable-updates
: >/run/resolvconf/resolv.conf
ln -sf /run/resolvconf/resolv.conf /etc/resolv.conf
mkdir /run/other
chown nobody: /run/other
printf '#!/bin/sh\\ncd /run/other\\ncp ../resolvconf/resolv.conf new && mv new servers\\n' >/etc/resolvconf/update.d/other
chmod +x /etc/resolvconf/update.d/other
";

/// Name servers that the machine has anyway.
const OTHERS: &str = "
rm -f /etc/resolv.conf.bak
printf 'nameserver 192.0.2.1\\nnameserver 192.0.2.2\\n' | resolvconf -a eth0.dhclient
";

//! Servers that cannot be found or reached: it is said, and as soon as they can, they are connected.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::liar::{Liar, Lie};
use greyhound_tests::machine::plugged;
use greyhound_tests::namespace::{Lan, Namespace};
use greyhound_tests::scratch::Scratch;
use greyhound_tests::wait::wait_until;

use super::laboratory::Laboratory;

/// The item, where it dials, why that fails at first, and what the log says about it.
const CASES: [(&str, &str, &str, &str); 5] = [
    (
        "unnamed",
        "no-such.invalid",
        "could not resolve the server's name",
        "cannot resolve no-such.invalid: ",
    ),
    (
        "unrouted",
        "198.51.100.88",
        "no route to the server",
        "cannot connect to 198.51.100.88: ",
    ),
    (
        "absent",
        "192.0.2.251",
        "no route to the server",
        "cannot connect to 192.0.2.251: ",
    ),
    (
        "refused",
        "192.0.2.252",
        "connection refused",
        "cannot connect to 192.0.2.252: ",
    ),
    (
        "dropped",
        "203.0.113.77",
        "could not connect",
        "cannot connect to 203.0.113.77: no answer",
    ),
];

/// A name with two addresses, of which nobody has the first.
const BOTH: (&str, &str) = ("both", "two-addresses.invalid");

/// The laboratory, and the hosts file that its client sees.
pub(crate) struct Names {
    laboratory: Laboratory,
    hosts: Hosts,
}

pub(crate) fn prepare(lan: &Lan) -> Result<Names> {
    let servers = plugged(lan, SERVERS)?;
    let client = plugged(lan, Ipv4Addr::new(192, 0, 2, 241))?;
    servers.ip("addr add 192.0.2.252/24 dev wire")?;
    // It forwards nothing, and says nothing of that.
    client.ip(&format!("route add 203.0.113.0/24 via {SERVERS}"))?;
    let hosts = Hosts::of(&client)?;
    hosts.write("192.0.2.253 two-addresses.invalid\n192.0.2.254 two-addresses.invalid\n")?;
    let items = CASES.map(|(name, to, ..)| (name, to));
    let items: Vec<_> = items.into_iter().chain([BOTH]).collect();
    let laboratory = Laboratory::inside(client, servers, &items)?;
    Ok(Names { laboratory, hosts })
}

pub(crate) fn check(names: Names) -> Result<()> {
    let Names { laboratory, hosts } = names;
    let second = laboratory.serve([192, 0, 2, 254].into(), Lie::None)?;
    let every = CASES.iter().map(|(name, ..)| *name).chain([BOTH.0]);
    laboratory.set(every, "disabled=no")?;

    let is_told = || laboratory.monitor("dropped", "last-disconnect-reason");
    wait_until("the first SYNs are given up", GIVEN_UP, || {
        is_told().is_ok_and(|told| told.is_some())
    })?;
    for (name, _, cause, says) in CASES {
        let checked = laboratory.check_cause(name, cause, says);
        checked.with_context(|| format!("{name}\n{}", laboratory.log()))?;
    }
    let (name, _) = BOTH;
    ensure!(second.seen()?.ups == 1, "{:?}", second.seen());
    let status = laboratory.monitor(name, "status")?;
    ensure!(status.as_deref() == Some("connected"), "{name}: {status:?}");
    let tried = "both: cannot connect to 192.0.2.253: ";
    ensure!(laboratory.log().contains(tried), "{}", laboratory.log());

    // Everything is mended, and nobody tells the client.
    let named = laboratory.serve([192, 0, 2, 250].into(), Lie::None)?;
    hosts.write("192.0.2.250 no-such.invalid\n")?;
    let absent = laboratory.serve([192, 0, 2, 251].into(), Lie::None)?;
    let refused = Liar::start(&laboratory.servers, [192, 0, 2, 252].into(), Lie::None)?;
    let routed = laboratory.serve([198, 51, 100, 88].into(), Lie::None)?;
    let route = format!("route add 198.51.100.0/24 via {SERVERS}");
    laboratory.client.namespace.ip(&route)?;
    let answered = laboratory.serve([203, 0, 113, 77].into(), Lie::None)?;
    laboratory
        .client
        .wait_for_clients(CASES.len() + 1, MENDED)?;
    for liar in [&named, &absent, &refused, &routed, &answered] {
        let ups = liar.seen()?.ups;
        ensure!(ups == 1, "{ups}\n{}", laboratory.log());
    }
    laboratory.close()
}

/// What `ip netns exec` puts in the place of files in /etc, for one namespace.
struct Hosts {
    folder: Scratch,
}

impl Hosts {
    /// To be called before anything is started there.
    fn of(namespace: &Namespace) -> Result<Self> {
        let path: PathBuf = Path::new("/etc/netns").join(namespace.name());
        let hosts = Self {
            folder: Scratch::at(path)?,
        };
        hosts.write("")?;
        // Nobody there who could be asked.
        fs::write(hosts.folder.file("resolv.conf"), "nameserver 127.0.0.1\n")?;
        Ok(hosts)
    }

    /// In place: what was put there is this very file.
    fn write(&self, lines: &str) -> Result<()> {
        let text = format!("127.0.0.1 localhost\n{lines}");
        Ok(fs::write(self.folder.file("hosts"), text)?)
    }
}

const SERVERS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 240);

/// An address has 15 s to answer.
const GIVEN_UP: Duration = Duration::from_secs(25);

/// The wait for the next dial, which was doubled a few times by then.
const MENDED: Duration = Duration::from_secs(20);

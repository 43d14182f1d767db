//! One client with many items, each with a server of its own.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use greyhound_control::dialer::FIRST_WAIT;
use greyhound_tests::liar::{Liar, Lie, PASSWORD, Seen, USER};
use greyhound_tests::machine::{Machine, UPLINK, plugged};
use greyhound_tests::namespace::{Lan, Namespace};
use greyhound_tests::process::{Up, descriptors};
use greyhound_tests::wait::{wait_for, wait_until};

/// One lie and what is to come of it.
pub(crate) struct Row {
    pub(crate) lie: Lie,
    /// What stands behind `terminating... -` in the log, and in `monitor`; nothing if the first dial
    /// is to go on.
    cause: &'static str,
    /// What the log has besides, if anything.
    says: &'static str,
    /// How long one dial takes, at most.
    takes: Duration,
}

pub(crate) fn row(lie: Lie, cause: &'static str) -> Row {
    Row {
        lie,
        cause,
        says: "",
        takes: Duration::from_secs(2),
    }
}

impl Row {
    pub(crate) fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    pub(crate) fn takes(self, seconds: u64) -> Self {
        let takes = Duration::from_secs(seconds);
        Self { takes, ..self }
    }
}

/// The client and what its servers live in.
pub(crate) struct Laboratory {
    // Dropped first: it hangs up while the servers are there.
    pub(crate) client: Machine,
    pub(crate) servers: Namespace,
    names: Vec<String>,
    /// Descriptors of the control process before it dialed.
    descriptors: usize,
}

/// An item of the client, and its server.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) row: Row,
    pub(crate) liar: Liar,
}

impl Laboratory {
    /// A client with these items, by name and `connect-to`; none dials yet. What tells it from
    /// others on the LAN is `number`.
    pub(crate) fn new(lan: &Lan, number: u8, items: &[(&str, &str)]) -> Result<Self> {
        let servers = plugged(lan, Ipv4Addr::new(192, 0, 2, number))?;
        let namespace = plugged(lan, Ipv4Addr::new(192, 0, 2, number + 1))?;
        Self::inside(namespace, servers, items)
    }

    /// The same with namespaces that were prepared.
    pub(crate) fn inside(
        namespace: Namespace,
        servers: Namespace,
        items: &[(&str, &str)],
    ) -> Result<Self> {
        let mut config = String::from("/ppp profile\nadd name=safe use-encryption=required\n");
        config.push_str("/interface pptp-client\n");
        for (name, connect_to) in items {
            writeln!(
                config,
                "add name={name} connect-to={connect_to} user={USER} password={PASSWORD} \
                 profile=safe disabled=yes"
            )?;
        }
        let greyhound = Up::new(&config, UPLINK).with(&TOPICS).start(&namespace)?;
        let client = Machine {
            greyhound,
            namespace,
        };
        Ok(Self {
            descriptors: descriptors(client.greyhound.control()?)?,
            client,
            servers,
            names: items.iter().map(|(name, _)| (*name).to_owned()).collect(),
        })
    }

    /// One with an item and a server for each row; the last byte of their addresses counts up from
    /// `first`.
    pub(crate) fn with(lan: &Lan, rows: Vec<Row>, first: u8) -> Result<(Self, Vec<Client>)> {
        let numbers = || first + 2..=u8::MAX;
        let named = |number: u8| (format!("liar{number}"), format!("192.0.2.{number}"));
        let items: Vec<_> = numbers().take(rows.len()).map(named).collect();
        let items: Vec<_> = items.iter().map(|(name, to)| (&**name, &**to)).collect();
        let laboratory = Self::new(lan, first, &items)?;
        let clients = rows.into_iter().zip(numbers()).map(|(row, number)| {
            let address = Ipv4Addr::new(192, 0, 2, number);
            let liar = laboratory.serve(address, row.lie.clone())?;
            let (name, _) = named(number);
            Ok(Client { name, row, liar })
        });
        let clients = clients.collect::<Result<_>>()?;
        Ok((laboratory, clients))
    }

    /// Starts a server.
    pub(crate) fn serve(&self, address: Ipv4Addr, lie: Lie) -> Result<Liar> {
        let words = format!("addr add {address}/24 dev {UPLINK}");
        self.servers.ip(&words)?;
        Liar::start(&self.servers, address, lie)
    }

    pub(crate) fn set<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        what: &str,
    ) -> Result<()> {
        let console = self.client.greyhound.console()?;
        for name in names {
            console.text(&["interface", "pptp-client", "set", name, what])?;
        }
        Ok(())
    }

    pub(crate) fn log(&self) -> String {
        self.client.greyhound.log()
    }

    /// What `monitor` says of a client.
    pub(crate) fn monitor(&self, name: &str, property: &str) -> Result<Option<String>> {
        let console = self.client.greyhound.console()?;
        let state = console.json(&["interface", "pptp-client", "monitor", name, "once"])?;
        Ok(state[property].as_str().map(ToOwned::to_owned))
    }

    /// What a client came to after a while of dialing.
    pub(crate) fn check(&self, client: &Client) -> Result<()> {
        let Client { name, row, liar } = client;
        let seen = liar.seen()?;
        if row.cause.is_empty() {
            let status = self.monitor(name, "status")?;
            ensure!(status.as_deref() == Some("connecting"), "{status:?}");
            ensure!(seen.dials.len() == 1, "{seen:?}");
            return Ok(());
        }
        self.check_cause(name, row.cause, row.says)?;
        ensure!(seen.clear == 0, "{} packets in clear", seen.clear);
        check_dials(&seen, row.takes)
    }

    /// Whether every session of a client ended with this cause and no other, and the log says this
    /// about it or its server.
    pub(crate) fn check_cause(&self, name: &str, cause: &str, says: &str) -> Result<()> {
        // While it is connected there is none.
        let told = || self.monitor(name, "last-disconnect-reason").ok()?;
        let told = wait_for("it is not connected", PATIENCE, told)?;
        ensure!(told == cause, "monitor says {told:?} in place of {cause:?}");
        let log = self.log();
        let ends = |line: &&str| line.contains(&format!("{name}: terminating... - "));
        let ends: Vec<&str> = log.lines().filter(ends).collect();
        let cause = format!("terminating... - {cause}");
        ensure!(
            !ends.is_empty() && ends.iter().all(|line| line.ends_with(&cause)),
            "{ends:?}"
        );
        let address = name.replace("liar", "192.0.2.");
        let is_it = |line: &str| line.contains(name) || line.contains(&address);
        let said = log.lines().any(|line| is_it(line) && line.contains(says));
        ensure!(said, "the log does not say {says:?}");
        Ok(())
    }

    /// Disables every client; nothing may be left of any session.
    pub(crate) fn close(self) -> Result<()> {
        self.set(self.names.iter().map(String::as_str), "disabled=yes")?;
        let greyhound = &self.client.greyhound;
        let console = greyhound.console()?;
        let sessions = || anyhow::Ok(console.datapath()?.sessions);
        wait_until("no session is left", PATIENCE, || {
            sessions().is_ok_and(|sessions| sessions == 0)
        })
        .with_context(|| self.log())?;
        let control = greyhound.control()?;
        let open = || descriptors(control);
        wait_until("no descriptor is left", PATIENCE, || {
            open().is_ok_and(|open| open <= self.descriptors)
        })
        .with_context(|| format!("{} before, {:?} now", self.descriptors, open()))?;
        self.client.wait_for_no_tunnels(PATIENCE)?;
        self.client.stop()
    }
}

/// The first redial may be at once, and each further one waits twice as long as the one before, less
/// a half of it at most.
fn check_dials(seen: &Seen, takes: Duration) -> Result<()> {
    let gaps: Vec<Duration> = seen.dials.windows(2).map(|two| two[1] - two[0]).collect();
    let mut least = Duration::ZERO;
    // The wait begins with the end of a session, which is not before its dial.
    for (number, gap) in gaps.iter().enumerate() {
        ensure!(*gap + SLACK >= least, "redial {number} too soon: {gaps:?}");
        ensure!(
            *gap <= least * 2 + takes,
            "redial {number} too late: {gaps:?}"
        );
        least = (least * 2).max(FIRST_WAIT / 2);
    }
    let since = seen.dials.last().map(Instant::elapsed);
    ensure!(
        since.is_some_and(|since| since <= least * 2 + takes),
        "no dial any more: {gaps:?}"
    );
    Ok(())
}

/// All that is said about tunnels, but not each packet.
const TOPICS: [&str; 4] = [
    "--log-topics",
    "debug,pptp,!packet",
    "--log-topics",
    "pptp,!packet",
];

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const SLACK: Duration = Duration::from_millis(50);

//! Servers that lie to our client: each session ends with its cause named, nothing is left of it,
//! and the client dials again, more and more slowly.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use greyhound_control::dialer::FIRST_WAIT;
use greyhound_control::ppp::protocol::{CCP, IPCP, LCP};
use greyhound_control::pptp::wire::{GeneralError, OutgoingCallResult, StartResult};
use greyhound_tests::liar::{Liar, Lie, PASSWORD, Seen, Step, USER};
use greyhound_tests::machine::{Machine, UPLINK, plugged};
use greyhound_tests::namespace::{Lan, Namespace};
use greyhound_tests::process::descriptors;
use greyhound_tests::tunnel::{CLIENT, SERVER};
use greyhound_tests::wait::wait_until;

/// One lie and what is to come of it.
struct Row {
    lie: Lie,
    /// What stands behind `terminating... -` in the log, and in `monitor`.
    cause: &'static str,
    /// What the log has besides, if anything.
    says: &'static str,
    /// How long one dial takes, at most.
    takes: Duration,
}

#[test]
#[ignore = "needs root: ./run test"]
fn each_lie_ends_the_session_with_its_cause_and_the_next_dials_wait_longer_and_longer() -> Result<()>
{
    let laboratory = Laboratory::with(lies())?;
    let before = descriptors(laboratory.client.greyhound.control()?)?;

    laboratory.set_all("disabled=no")?;
    sleep(WATCHED);
    let mut wrong = String::new();
    let mut clients = laboratory.clients.iter().rev();
    clients.try_for_each(|client| {
        if let Err(error) = laboratory.check(client) {
            writeln!(wrong, "{:?}: {error:#}", client.row.lie)?;
        }
        anyhow::Ok(())
    })?;
    laboratory.set_all("disabled=yes")?;
    ensure!(wrong.is_empty(), "{wrong}\n{}", laboratory.log());

    laboratory.expect_nothing_left(before)?;
    laboratory.client.stop()
}

fn lies() -> Vec<Row> {
    use GeneralError as Error;
    use OutgoingCallResult as Call;

    let message = |length: u16, kind: u16| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend([0, 1, 0x1a, 0x2b, 0x3c, 0x4d]);
        bytes.extend(kind.to_be_bytes());
        bytes.resize(usize::from(length).max(16), 0);
        bytes
    };
    let garbage = |bytes: &[u8], counter| {
        let lie = Lie::Garbage(bytes.to_vec());
        row(lie, "protocol error").says(counter)
    };
    let addresses = |server: [u8; 4], client: [u8; 4], given| {
        let (server, client) = (server.into(), client.into());
        let lie = Lie::Addresses { server, client };
        row(lie, "unusable address").says(given)
    };
    vec![
        row(Lie::WrongProof, "failed to authenticate ourselves to peer"),
        row(Lie::WrongKeys, "MPPE keys disagree").says("can be decrypted"),
        row(Lie::WeakKeys, "hungup").says("using encoding - MPPE40 stateless"),
        row(Lie::NoEncryption, "encryption not negotiated"),
        row(Lie::HalfEncryption, "encryption not negotiated"),
        // It says that it wants no encryption, and is given 3 s to think better of it.
        row(Lie::EndsEncryption, "encryption not negotiated").takes(4),
        addresses([127, 0, 0, 1], [10, 9, 1, 2], "127.0.0.1"),
        addresses([10, 9, 1, 1], [127, 0, 0, 1], "127.0.0.1"),
        addresses([10, 9, 1, 1], [224, 0, 0, 1], "224.0.0.1"),
        addresses([255, 255, 255, 255], [10, 9, 1, 2], "255.255.255.255"),
        addresses([10, 9, 1, 1], [10, 9, 1, 1], "10.9.1.1"),
        row(
            Lie::Addresses {
                server: [10, 9, 1, 1].into(),
                client: [0, 0, 0, 0].into(),
            },
            "could not determine remote address",
        ),
        row(Lie::Naks(LCP), "LCP not negotiated"),
        row(Lie::Naks(CCP), "encryption not negotiated"),
        row(Lie::Naks(IPCP), "no network protocols running"),
        row(
            Lie::RefusesStart(StartResult::NotAuthorized, Error::None),
            "call refused",
        ),
        row(
            Lie::RefusesStart(StartResult::GeneralError, Error::NoResource),
            "call refused",
        ),
        row(Lie::RefusesCall(Call::Busy, Error::None), "call refused"),
        row(
            Lie::RefusesCall(Call::GeneralError, Error::NoResource),
            "call refused",
        ),
        row(
            Lie::RefusesCall(Call::Unknown(99), Error::None),
            "call refused",
        ),
        row(Lie::HangsUp(Step::Connected), "hungup"),
        row(Lie::HangsUp(Step::Started), "hungup"),
        row(Lie::HangsUp(Step::Called), "hungup"),
        row(Lie::HangsUp(Step::LcpOpen), "hungup"),
        row(Lie::HangsUp(Step::Authenticated), "hungup").says("authenticated"),
        row(Lie::HangsUp(Step::Up), "hungup").says(": connected"),
        row(Lie::WrongCallId, "hungup").says("misbehaved: unknown-call 1"),
        garbage(
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "misbehaved: bad-length 1",
        ),
        garbage(
            &[0, 156, 0, 1, 0xde, 0xad, 0xbe, 0xef],
            "misbehaved: bad-cookie 1",
        ),
        garbage(&message(221, 2), "misbehaved: bad-length 1"),
        garbage(&message(15, 2), "misbehaved: bad-length 1"),
        garbage(&message(16, 2), "misbehaved: wrong-length 1"),
        garbage(&message(16, 99), "misbehaved: unknown-control-type 1"),
    ]
}

fn row(lie: Lie, cause: &'static str) -> Row {
    Row {
        lie,
        cause,
        says: "",
        takes: Duration::from_secs(2),
    }
}

impl Row {
    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn takes(self, seconds: u64) -> Self {
        let takes = Duration::from_secs(seconds);
        Self { takes, ..self }
    }
}

/// A client with an item for each of many servers.
struct Laboratory {
    // Dropped first: it hangs up while the servers are there.
    client: Machine,
    clients: Vec<Client>,
    _servers: Namespace,
    _lan: Lan,
}

/// An item of the client, and its server.
struct Client {
    name: String,
    row: Row,
    liar: Liar,
}

impl Laboratory {
    fn with(rows: Vec<Row>) -> Result<Self> {
        let lan = Lan::new()?;
        let servers = plugged(&lan, SERVER)?;
        let mut config = String::from("/ppp profile\nadd name=safe use-encryption=required\n");
        config.push_str("/interface pptp-client\n");
        let mut clients = Vec::new();
        for (row, last) in rows.into_iter().zip(100..) {
            let address = Ipv4Addr::new(192, 0, 2, last);
            servers.ip(&format!("addr add {address}/24 dev {UPLINK}"))?;
            let name = format!("liar{last}");
            writeln!(
                config,
                "add name={name} connect-to={address} user={USER} password={PASSWORD} \
                 profile=safe disabled=yes"
            )?;
            let liar = Liar::start(&servers, address, row.lie.clone())?;
            clients.push(Client { name, row, liar });
        }
        let client = Machine::on(&lan, CLIENT, &config, &TOPICS)?;
        Ok(Self {
            client,
            clients,
            _servers: servers,
            _lan: lan,
        })
    }

    fn set_all(&self, what: &str) -> Result<()> {
        let console = self.client.greyhound.console()?;
        for client in &self.clients {
            console.text(&["interface", "pptp-client", "set", &client.name, what])?;
        }
        Ok(())
    }

    fn log(&self) -> String {
        self.client.greyhound.log()
    }

    /// What a client came to after a while of dialing.
    fn check(&self, client: &Client) -> Result<()> {
        let Client { name, row, liar } = client;
        let console = self.client.greyhound.console()?;
        let told = console.client_last_end(name)?;
        ensure!(
            told.as_deref() == Some(row.cause),
            "monitor says {told:?} in place of {:?}",
            row.cause
        );
        let log = self.log();
        let ours: Vec<&str> = log.lines().filter(|line| line.contains(&**name)).collect();
        let cause = format!("{name}: terminating... - {}", row.cause);
        let ended = ours.iter().filter(|line| line.contains(&cause)).count();
        let others = ours
            .iter()
            .filter(|line| line.contains("terminating... - ") && !line.contains(&cause));
        let others: Vec<_> = others.collect();
        ensure!(
            ended > 0 && others.is_empty(),
            "{ended} ended so, {others:?}"
        );
        if !row.says.is_empty() {
            let address = row_address(name);
            let said = log.lines().any(|line| {
                line.contains(row.says) && (line.contains(&**name) || line.contains(&address))
            });
            ensure!(said, "the log does not say {:?}", row.says);
        }
        let seen = liar.seen()?;
        ensure!(seen.clear == 0, "{} packets in clear", seen.clear);
        check_dials(&seen, row.takes)
    }

    /// Nothing is left of any session.
    fn expect_nothing_left(&self, descriptors_before: usize) -> Result<()> {
        let greyhound = &self.client.greyhound;
        let console = greyhound.console()?;
        let sessions = || Ok::<_, anyhow::Error>(console.datapath()?.sessions);
        wait_until("no session is left", PATIENCE, || {
            sessions().is_ok_and(|sessions| sessions == 0)
        })
        .with_context(|| self.log())?;
        let control = greyhound.control()?;
        let open = || descriptors(control);
        wait_until("no descriptor is left", PATIENCE, || {
            open().is_ok_and(|open| open <= descriptors_before)
        })
        .with_context(|| format!("{descriptors_before} before, {:?} now", open()))?;
        self.client.wait_for_no_tunnels(PATIENCE)
    }
}

fn row_address(name: &str) -> String {
    name.replace("liar", "192.0.2.")
}

/// The first redial may be at once, and each further one waits twice as long as the one before, less
/// a half of it at most.
fn check_dials(seen: &Seen, takes: Duration) -> Result<()> {
    let gaps: Vec<Duration> = seen.dials.windows(2).map(|two| two[1] - two[0]).collect();
    let mut least = FIRST_WAIT / 2;
    // The wait begins with the end of a session, which is not before its dial.
    for (number, gap) in gaps.iter().enumerate().skip(1) {
        ensure!(*gap + SLACK >= least, "redial {number} too soon: {gaps:?}");
        ensure!(
            *gap <= least * 2 + takes,
            "redial {number} too late: {gaps:?}"
        );
        least *= 2;
    }
    let since = |dial: &Instant| dial.elapsed();
    ensure!(seen.dials.len() > 2, "no more dials: {gaps:?}");
    ensure!(
        seen.dials
            .last()
            .map(since)
            .is_some_and(|since| since < least * 2 + takes),
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

/// How long clients dial before they are looked at.
const WATCHED: Duration = Duration::from_secs(12);

const SLACK: Duration = Duration::from_millis(50);

const PATIENCE: Duration = Duration::from_secs(10);

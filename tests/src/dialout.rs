//! Our client dialling a server that nobody here wrote, pptpd in a guest, and what is to come of it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::guest::{Guest, Role};
use crate::interop::{PASSWORD, PATTERN, pings_arrived, traffic, transfers_arrived};
use crate::machine::Machine;
use crate::namespace::Lan;
use crate::table::{Expected, Seen, Table};
use crate::tcp;
use crate::tunnel::SERVER;
use crate::wait::{wait_for, wait_until};

/// The users of [`pptpd`], each with its password.
pub const LOGINS: [(&str, &str); 3] = [
    ("User1", PASSWORD),
    ("User2", PASSWORD),
    ("MT-User", "StrongPass"),
];

/// Profiles that say how much is to be encrypted.
pub const PROFILES: &str = "\
/ppp profile
add name=no use-encryption=no
add name=yes use-encryption=yes
add name=required use-encryption=required
";

/// What pptpd's pppd asks for unless a test says otherwise: MS-CHAPv2 and MPPE-128.
pub const USUAL: [&str; 2] = ["require-mschap-v2", "require-mppe-128"];

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Options of the server's pppd.
    pub server: Vec<String>,
    /// Properties of our client, besides name, server and login.
    pub client: String,
    /// Its password.
    pub password: String,
    /// For people: how it is proved who is who, what encrypts, what is special.
    pub words: [&'static str; 3],
    /// What is to come of it.
    pub expected: Expected,
    /// Bash of the server's pings, with `$peer` our address inside the tunnel, and `$interface`.
    pub pings: String,
}

/// A client that is connected, as `monitor` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its interface.
    pub name: String,
    /// Its address inside the tunnel.
    pub ours: Ipv4Addr,
    /// The server's address inside the tunnel.
    pub peer: Ipv4Addr,
    /// In bytes.
    pub mtu: u64,
    /// `MPPE128 stateless`, or empty.
    pub encoding: String,
}

/// Boots a guest with pptpd as the LAN's [`SERVER`], and waits until it takes calls.
///
/// # Errors
/// It does not boot.
pub fn pptpd(lan: &Lan, options: &[&str]) -> Result<Guest> {
    let login = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
    let role = Role::Server {
        logins: LOGINS.map(login).to_vec(),
        // An address of its own for each tunnel: two routes to one address would be one.
        ours: "10.0.0.1-9".to_owned(),
        peers: "10.0.0.11-19".to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        files: vec![("pattern".to_owned(), tcp::pattern(PATTERN))],
    };
    let mut guest = Guest::boot(lan, &format!("{SERVER}/24"), &role)?;
    guest.wait_until_ready(BOOT)?;
    Ok(guest)
}

/// The line that adds a client of [`pptpd`], enabled, with these properties besides.
#[must_use]
pub fn add_client(name: &str, (user, password): (&str, &str), properties: &str) -> String {
    format!(
        "/interface pptp-client add name={name} connect-to={SERVER} user={user} \
         password={password} disabled=no {properties}"
    )
}

/// Waits until a client is connected.
///
/// # Errors
/// It is not within `patience`; the message has our log.
pub fn wait_for_link(client: &Machine, name: &str, patience: Duration) -> Result<Link> {
    let what = format!("{name} is connected");
    let link = wait_for(&what, patience, || link(client, name).transpose());
    link.with_context(|| client.greyhound.log())?
}

/// What `monitor` says of a client; `None` while it is not connected.
///
/// # Errors
/// The console fails, or leaves something out.
pub fn link(client: &Machine, name: &str) -> Result<Option<Link>> {
    let state = monitor(client, name)?;
    if state["status"] != "connected" {
        return Ok(None);
    }
    let text = |property: &str| {
        let value = state[property].as_str();
        value.with_context(|| format!("no {property} in {state}"))
    };
    let mtu = &state["mtu"];
    let mtu = mtu.as_u64().or_else(|| mtu.as_str()?.parse().ok());
    Ok(Some(Link {
        name: name.to_owned(),
        ours: text("local-address")?.parse()?,
        peer: text("remote-address")?.parse()?,
        mtu: mtu.with_context(|| format!("no mtu in {state}"))?,
        encoding: text("encoding").unwrap_or_default().to_owned(),
    }))
}

fn monitor(client: &Machine, name: &str) -> Result<Value> {
    let words = ["interface", "pptp-client", "monitor", name, "once"];
    client.greyhound.console()?.json(&words)
}

/// Waits until a client that does not get through says this reason for its last end, in the log
/// and to `monitor`.
///
/// # Errors
/// It does not within `patience`; the message has our log.
pub fn wait_for_reason(client: &Machine, name: &str, why: &str, patience: Duration) -> Result<()> {
    let told_before = reasons(client, name, why);
    let told = || {
        let told = monitor(client, name).is_ok_and(|now| now["last-disconnect-reason"] == why);
        told && reasons(client, name, why) > told_before
    };
    wait_until(&format!("{name} says {why:?}"), patience, told).with_context(|| {
        let now = monitor(client, name).unwrap_or_default();
        format!("{now}\n{}", client.greyhound.log())
    })
}

/// How often the log gives this reason for an end of a client.
#[must_use]
pub fn reasons(client: &Machine, name: &str, why: &str) -> usize {
    let line = format!("{name}: terminating... - {why}");
    client.greyhound.log().matches(&line).count()
}

/// Moves traffic through links, all at once, while the client's machine has
/// [`Services`](crate::interop::Services) running: TCP in both directions and pings that the server
/// begins, then pings that we begin, as large as the link carries.
///
/// # Errors
/// A byte of it is lost or wrong; the message has what both ends said.
pub fn exchange(server: &mut Guest, client: &Machine, links: &[Link], pings: &str) -> Result<()> {
    let mut script = String::new();
    for Link { ours, .. } in links {
        let traffic = traffic(pings);
        writeln!(
            script,
            "(peer={ours}\nwait_for 5 reaches $peer\n{traffic}) >/job/output.{ours} 2>&1 &"
        )?;
    }
    server.order(&format!("{script}wait"), TRANSFER)?;
    for link in links {
        let output = server.read(&format!("output.{}", link.ours));
        let checked = transfers_arrived(&output)
            .and_then(|()| pings_arrived(&output))
            .and_then(|()| ping_back(client, link, &output));
        checked.with_context(|| {
            let counted = client.typed("/datapath print").unwrap_or_default();
            format!("{}: {counted}\n{}", link.name, server.read("pppd.log"))
        })?;
    }
    Ok(())
}

/// Pings the other end of a link; over IPv6 too, if the server's pings said what its address is.
fn ping_back(client: &Machine, link: &Link, output: &str) -> Result<()> {
    let ping = |to: &[&str]| {
        let words = ["-q", "-l", "5", "-c", "5", "-p", "5aa5", "-I", &link.name];
        pings_arrived(&client.namespace.run("ping", &[&words[..], to].concat())?)
    };
    let size = (link.mtu - IP_AND_ICMP).to_string();
    ping(&["-M", "do", "-s", &size, &link.peer.to_string()])?;
    match output.lines().find_map(|line| line.strip_prefix(HERE)) {
        Some(address) => ping(&["-s", "1000", address]),
        None => Ok(()),
    }
}

/// Runs rows, one after the other, each by a client that is added for it and removed after it.
///
/// # Errors
/// The laboratory fails; what fails of a row is in the table.
pub fn run(server: &mut Guest, client: &Machine, rows: &[Row]) -> Result<Table> {
    let mut table = Table::of("server");
    for row in rows {
        let options = row.server.join(" ");
        let order = format!("wait_for 10 calls_are_gone; pppd_options {options}");
        server.order(&order, STEP)?;
        let mut seen = None;
        let outcome = dial(server, client, row, &mut seen).with_context(|| row.client.clone());
        client.typed(&format!("/interface pptp-client remove {NAME}"))?;
        client.wait_for_no_tunnels(STEP)?;
        table.add("pptpd", row.words, row.expected, &seen, outcome);
    }
    Ok(table)
}

fn dial(server: &mut Guest, client: &Machine, row: &Row, seen: &mut Seen) -> Result<()> {
    let (user, _) = LOGINS[0];
    client.typed(&add_client(NAME, (user, &row.password), &row.client))?;
    let (encoding, mtu) = match row.expected {
        Expected::Up { encoding, mtu } | Expected::UpOnBadWire { encoding, mtu, .. } => {
            (encoding, mtu)
        }
        Expected::Down(why) => {
            wait_for_reason(client, NAME, why, STEP)?;
            let told = client.greyhound.log().contains(&row.password);
            ensure!(!told, "the password is in the log");
            return Ok(());
        }
    };
    let link = wait_for_link(client, NAME, STEP).with_context(|| server.read("pppd.log"))?;
    *seen = Some((link.mtu, link.encoding.clone()));
    let expected = Some((mtu, encoding.to_owned()));
    ensure!(*seen == expected, "{seen:?}, expected {expected:?}");
    exchange(server, client, &[link], &row.pings)
}

/// The pings of a usual row: few, and all at once. `ping -A` gives the last of many no more time than
/// the others took, and a guest may just then be without a core; more at once are lost in its pipes.
pub const PINGS: &str = "ping -q -l 5 -c 5 -s 1000 -p 5aa5 $peer";

/// What stands before the server's link-local address in what its pings say.
const HERE: &str = "here: ";

/// Headers of an echo request.
const IP_AND_ICMP: u64 = 28;

/// The client of the rows.
const NAME: &str = "pptp-out1";

/// Booting.
const BOOT: Duration = Duration::from_secs(30);

/// What takes a second or two of an idle machine.
const STEP: Duration = Duration::from_secs(20);

/// How long a link's traffic may take.
const TRANSFER: Duration = Duration::from_secs(45);

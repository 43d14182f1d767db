//! A concentrator whose users FreeRADIUS knows, and which it tells what they did.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::guest::{Case, DataPath, Guest, Role};
use greyhound_tests::machine::Machine;
use greyhound_tests::namespace::Lan;
use greyhound_tests::ping::Ping;
use greyhound_tests::process::program;
use greyhound_tests::radius::{FreeRadius, Record, SECRET, User, check_pairs};
use greyhound_tests::wait::{now, wait_for, wait_until};
use serde_json::Value;

mod both_ways;
mod crashes;
mod encryption;
mod freeradius;
mod incoming;
mod limits;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const RADIUS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);
const OTHER_RADIUS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 4);
const PATIENCE: Duration = Duration::from_secs(20);

/// A concentrator that knows nobody itself.
const CONCENTRATOR: &str = "\
/ip pool
add name=guests ranges=10.0.1.10-10.0.1.250
add name=gold ranges=10.0.2.10-10.0.2.250
/ppp profile
set default-encryption local-address=10.0.0.1 remote-address=guests use-ipv6=no
add name=gold local-address=10.0.0.1 remote-address=gold rate-limit=4M use-ipv6=no
/interface pptp-server server
set authentication=pap,chap,mschap1,mschap2 enabled=yes
/ppp aaa
set use-radius=yes
/radius
add service=ppp address=192.0.2.3 secret=testing123 timeout=500ms
";

/// The machines of a test.
struct World {
    // Dropped from the top down.
    client: Machine,
    server: Machine,
    radius: FreeRadius,
    lan: Lan,
}

impl World {
    /// With these users, and these clients of theirs.
    fn new(users: &[User], clients: &str) -> Result<Self> {
        Self::with("", users, clients)
    }

    /// With more in the concentrator's configuration.
    fn with(more: &str, users: &[User], clients: &str) -> Result<Self> {
        let lan = Lan::new()?;
        let radius = FreeRadius::on(&lan, RADIUS, users)?;
        let server = Machine::on(&lan, SERVER, &format!("{CONCENTRATOR}{more}\n"), &[])?;
        let client = Machine::on(&lan, CLIENT, clients, &[])?;
        Ok(Self {
            client,
            server,
            radius,
            lan,
        })
    }

    /// Ends both ends in good order; what FreeRADIUS was told by then.
    fn close(self) -> Result<Vec<Record>> {
        self.client.stop()?;
        self.server.wait_for_sessions(0, PATIENCE)?;
        self.server.stop()?;
        let is_over = |records: &[Record]| records.last().is_some_and(is_off);
        let records = self
            .radius
            .wait_for_records("Accounting-Off", PATIENCE, is_over)?;
        drop(self.lan);
        Ok(records)
    }
}

fn is_off(record: &Record) -> bool {
    record.status() == "Accounting-Off"
}

/// A client that dials the concentrator.
fn dial(name: &str, user: &str, password: &str, more: &str) -> String {
    format!(
        "/interface pptp-client\n\
         add name={name} connect-to={SERVER} user={user} password={password} disabled=no {more}\n"
    )
}

fn ping(world: &World, interface: &str, count: u32) -> Result<()> {
    let count = count.to_string();
    let words = [
        "-q", "-c", &count, "-i", "0.05", "-W", "2", "-I", interface, "10.0.0.1",
    ];
    let ping = Ping::run(&world.client.namespace, &words)?;
    ensure!(ping.sent == ping.received, "{ping:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn each_method_lets_in_whom_radius_knows_and_nobody_else() -> Result<()> {
    let methods = ["pap", "chap", "mschap1", "mschap2"];
    let mut clients = "/ppp profile add name=sealed use-encryption=required\n\
                       /ppp profile add name=plain use-encryption=no\n"
        .to_owned();
    let mut users = vec![User::rejected("nobody", "not paid")];
    for method in methods {
        let profile = if method.starts_with("ms") {
            "sealed"
        } else {
            "plain"
        };
        let properties = format!("allow={method} profile={profile}");
        let user = format!("user-{method}");
        clients += &dial(&format!("ok-{method}"), &user, "secret", &properties);
        clients += &dial(&format!("bad-{method}"), &user, "wrong", &properties);
        clients += &dial(&format!("no-{method}"), "nobody", "secret", &properties);
        users.push(User::new(&user, "secret", &["Service-Type = Framed-User"]));
    }
    let world = World::new(&users, &clients)?;

    let connected = world.client.wait_for_clients(methods.len(), PATIENCE)?;
    for client in &connected {
        assert!(client.name.starts_with("ok-"), "{connected:?}");
        ping(&world, &client.name, 20).with_context(|| client.name.clone())?;
    }
    let console = world.client.greyhound.console()?;
    for (client, encoding) in [
        ("ok-mschap1", "MPPE128 stateless"),
        ("ok-mschap2", "MPPE128 stateless"),
    ] {
        assert_eq!(console.client_encoding(client)?, encoding, "{client}");
    }
    for method in methods {
        let line = format!("user user-{method} authentication failed");
        world.server.wait_for_log(&[&line], PATIENCE)?;
    }
    world
        .server
        .wait_for_log(&["user nobody authentication failed"], PATIENCE)?;
    let active = world.server.typed("/ppp active print")?;
    let marked = active.lines().filter(|line| line.contains("  R  ")).count();
    assert_eq!(marked, methods.len(), "{active}");

    let records = world.close()?;
    assert_eq!(check_pairs(&records)?.len(), methods.len());
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn pppd_is_let_in_by_radius_and_its_packets_are_encrypted_with_its_keys() -> Result<()> {
    let lan = Lan::new()?;
    let users = [User::new(
        "User1",
        "StrongPass-1",
        &["Session-Timeout = 600"],
    )];
    let radius = FreeRadius::on(&lan, RADIUS, &users)?;
    let server = Machine::on(&lan, SERVER, CONCENTRATOR, &[])?;
    let role = Role::Client {
        data_path: DataPath::PptpLinux,
        server: SERVER,
        user: "User1".to_owned(),
        password: "StrongPass-1".to_owned(),
        script: "ping -q -A -c 500 -W 2 $peer".to_owned(),
        files: Vec::new(),
    };
    let mut guest = Guest::boot(&lan, "192.0.2.9/24", &role)?;
    guest.wait_for_link(Duration::from_secs(30))?;
    let sessions = server.greyhound.console()?.sessions()?;
    assert_eq!(sessions[0].encoding, "MPPE128 stateless");
    let report = guest.finish(Duration::from_secs(60))?;
    let ping = Ping::parse(&report.output).map(|ping| (ping.sent, ping.received));
    assert_eq!(
        ping,
        Some((500, 500)),
        "{}\n{}",
        report.output,
        report.pppd_log
    );
    server.wait_for_sessions(0, PATIENCE)?;

    let has_stop = |records: &[Record]| records.iter().any(|one| one.status() == "Stop");
    let records = radius.wait_for_records("a Stop", PATIENCE, has_stop)?;
    let stop = &check_pairs(&records)?[0];
    // An IP header, an ICMP header, 56 bytes.
    assert!(stop.number("Acct-Input-Packets")? >= 500);
    assert!(stop.octets("Input")? >= 500 * 84);
    assert_eq!(stop.get("Acct-Terminate-Cause"), "User-Request");
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn what_an_accept_says_is_what_the_user_gets() -> Result<()> {
    let gets = [
        "Framed-IP-Address = 10.5.5.5",
        "Framed-Route += \"10.77.0.0/16 0.0.0.0 3\"",
        "Framed-Route += \"10.78.0.0/24\"",
        "Mikrotik-Rate-Limit = \"3M/5M\"",
        "Mikrotik-Address-List = \"customers\"",
        "Idle-Timeout = 900",
        "Mikrotik-Xmit-Limit = 100000000",
        "MS-Primary-DNS-Server = 10.0.0.53",
        "Class = \"one\"",
        "Class += \"two\"",
    ];
    let users = [
        User::new("ann", "secret", &gets),
        User::new("bob", "secret", &["Mikrotik-Group = \"gold\""]),
        User::new(
            "cid",
            "secret",
            &["Framed-Pool = \"gold\", Session-Timeout = 4"],
        ),
        User::new("dan", "secret", &["Framed-Pool = \"pond\""]),
        User::new(
            "eve",
            "secret",
            &["MS-MPPE-Encryption-Policy = Encryption-Required, MS-MPPE-Encryption-Types = 2"],
        ),
    ];
    let mut clients = String::new();
    for user in ["ann", "bob", "cid", "dan", "eve"] {
        clients += &dial(user, user, "secret", "allow=mschap2");
    }
    let world = World::new(&users, &clients)?;
    let console = world.server.greyhound.console()?;
    let line = "user dan refused: Framed-Pool pond: there is no such pool";
    world.server.wait_for_log(&[line], PATIENCE)?;
    world.server.wait_for_log(
        &[
            "<pptp-cid>: connected",
            "<pptp-cid>: terminating... - session timeout",
        ],
        PATIENCE,
    )?;
    let of = |user: &str, property: &str| {
        let get = format!("/ppp active get [find name={user}] {property}");
        wait_for(&get, PATIENCE, || console.text(&[&get]).ok())
    };
    assert_eq!(of("ann", "address")?.trim(), "10.5.5.5");
    assert_eq!(of("ann", "limit-bytes-out")?.trim(), "100000000");
    assert!(of("bob", "address")?.starts_with("10.0.2."));
    assert!(of("cid", "address")?.starts_with("10.0.2."));
    assert_eq!(of("eve", "encoding")?.trim(), "MPPE40 stateless");
    let routes = world.server.namespace.run("ip", &["route"])?;
    for route in ["10.77.0.0/16", "10.78.0.0/24"] {
        assert!(routes.contains(route), "{routes}");
    }
    let list = ["list", "set", "inet", "greyhound", "customers"];
    let list = world.server.namespace.run("nft", &list)?;
    assert!(list.contains("10.5.5.5"), "{list}");

    let records = world.close()?;
    for record in records.iter().filter(|one| one.get("User-Name") == "ann") {
        let classes: Vec<_> = record.all("Class").collect();
        assert_eq!(classes, ["0x6f6e65", "0x74776f"], "{record:?}");
    }
    let stops = check_pairs(&records)?;
    let of_cid = stops.iter().find(|one| one.get("User-Name") == "cid");
    let of_cid = of_cid.context("no Stop of cid")?;
    assert_eq!(of_cid.get("Acct-Terminate-Cause"), "Session-Timeout");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn accounting_is_exact_to_the_packet() -> Result<()> {
    let world = World::new(
        &[User::new("ann", "secret", &["Acct-Interim-Interval = 60"])],
        &dial("ann", "ann", "secret", "allow=mschap2"),
    )?;
    world.client.wait_for_clients(1, PATIENCE)?;
    ping(&world, "ann", 40)?;
    let words = [
        "-q", "-c", "10", "-i", "0.05", "-s", "1000", "-I", "ann", "10.0.0.1",
    ];
    Ping::run(&world.client.namespace, &words)?;
    let seen = world.server.typed("/ppp active print stats")?;
    let kept = world
        .server
        .typed("/ppp accounting print where user=ann and active")?;
    assert!(kept.contains(" RA  ") && kept.contains(" ann "), "{kept}");
    let state = world.server.greyhound.folder().file("state");
    let words = ["accounting", "--format", "json", "--state-dir"];
    let export = Command::new(program("greyhound")?)
        .args(words)
        .arg(state)
        .output()?;
    let export: Value = serde_json::from_slice(&export.stdout)?;
    assert_eq!(
        (&export[0]["user"], &export[0]["ended"]),
        (&"ann".into(), &Value::Null)
    );

    let records = world.close()?;
    let [on, start, stop, off] = &records[..] else {
        anyhow::bail!("{records:#?}")
    };
    assert_eq!(
        (on.status(), off.status()),
        ("Accounting-On", "Accounting-Off")
    );
    assert_eq!((start.status(), stop.status()), ("Start", "Stop"));
    assert_eq!(start.get("Acct-Authentic"), "RADIUS");
    assert_eq!(
        start.get("Framed-IP-Address"),
        stop.get("Framed-IP-Address")
    );
    assert_eq!(start.get("Calling-Station-Id"), CLIENT.to_string());
    // 50 pings, of 84 and of 1028 bytes, and nothing else: there is no IPv6.
    assert_eq!(stop.number("Acct-Input-Packets")?, 50, "{seen}");
    assert_eq!(stop.number("Acct-Output-Packets")?, 50);
    assert_eq!(stop.octets("Input")?, 40 * 84 + 10 * 1028);
    assert_eq!(stop.octets("Output")?, 40 * 84 + 10 * 1028);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_wrong_secret_is_named_and_nobody_waits_for_ever() -> Result<()> {
    let world = World::with(
        "/radius set 0 secret=other",
        &[User::new("ann", "secret", &[])],
        &dial("ann", "ann", "secret", "allow=mschap2"),
    )?;
    let began = now();
    let refused = "user ann refused: no RADIUS server answers";
    world.server.wait_for_log(&[refused], PATIENCE)?;
    ensure!(began.elapsed() < Duration::from_secs(10));
    world.server.typed("/radius set 0 secret=testing123")?;
    world.client.wait_for_clients(1, Duration::from_secs(40))?;
    world.close()?;
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_second_server_is_asked_while_the_first_is_away() -> Result<()> {
    let users = [
        User::new("ann", "secret", &[]),
        User::new("bob", "secret", &[]),
    ];
    let second =
        format!("/radius add service=ppp address={OTHER_RADIUS} secret={SECRET} timeout=500ms");
    let mut world = World::with(
        &second,
        &users,
        &dial("ann", "ann", "secret", "allow=mschap2"),
    )?;
    let other = FreeRadius::on(&world.lan, OTHER_RADIUS, &users)?;
    world.client.wait_for_clients(1, PATIENCE)?;
    world.radius.kill()?;
    world
        .client
        .typed(&dial("bob", "bob", "secret", "allow=mschap2").replace('\n', " "))?;
    world.client.wait_for_clients(2, PATIENCE)?;
    let missing = format!("RADIUS server {RADIUS} does not answer");
    world.server.wait_for_log(&[&missing], PATIENCE)?;
    let has_bob = |records: &[Record]| records.iter().any(|one| one.get("User-Name") == "bob");
    other.wait_for_records("the Start of bob", PATIENCE, has_bob)?;

    world.radius.start()?;
    let back = format!("RADIUS server {RADIUS} answers again");
    let console = world.client.greyhound.console()?;
    wait_until("the first is asked again", Duration::from_secs(60), || {
        let _ = console.text(&["/interface pptp-client disable bob"]);
        let _ = console.text(&["/interface pptp-client enable bob"]);
        std::thread::sleep(Duration::from_secs(2));
        world.server.greyhound.log().contains(&back)
    })?;
    world.close()?;
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn what_could_not_be_told_is_told_when_the_server_is_back() -> Result<()> {
    let mut world = World::new(
        &[User::new("ann", "secret", &[])],
        &dial("ann", "ann", "secret", "allow=mschap2"),
    )?;
    world.client.wait_for_clients(1, PATIENCE)?;
    ping(&world, "ann", 5)?;
    world.radius.stop()?;
    // While nobody listens the session ends and the concentrator is killed and started again.
    world.client.typed("/interface pptp-client disable ann")?;
    world.server.wait_for_sessions(0, PATIENCE)?;
    world.server.greyhound.kill_everything()?;
    world.server.start_again(&format!("{CONCENTRATOR}\n"))?;
    std::thread::sleep(Duration::from_secs(2));
    world.radius.start()?;
    let has_stop = |records: &[Record]| records.iter().any(|one| one.status() == "Stop");
    let records = world
        .radius
        .wait_for_records("the Stop", Duration::from_secs(60), has_stop)?;
    let stops = check_pairs(&records)?;
    assert_eq!(stops[0].number("Acct-Input-Packets")?, 5);
    let told = records.iter().find(|one| one.status() == "Stop");
    let delay = told.map(|told| told.number("Acct-Delay-Time"));
    assert!(delay.context("no Stop")?? >= 1);
    world.close()?;
    Ok(())
}

//! Our client against a server that nobody here wrote: Debian's pptpd and pppd in a guest.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use greyhound_tests::dialout::{
    self, LOGINS, Link, PINGS, PROFILES, Row, USUAL, add_client, exchange, pptpd, reasons,
    wait_for_link,
};
use greyhound_tests::guest::Guest;
use greyhound_tests::interop::{Capture, PASSWORD, Services};
use greyhound_tests::machine::{Machine, UPLINK, plugged};
use greyhound_tests::namespace::{Lan, Namespace};
use greyhound_tests::ping::Ping;
use greyhound_tests::process::{Up, run_dir_in};
use greyhound_tests::table::Expected;
use greyhound_tests::tcp::{self, Amount};
use greyhound_tests::tunnel::{CLIENT, SERVER};
use greyhound_tests::wait::{now, wait_until};

#[test]
#[ignore = "needs root: ./run test"]
fn every_method_and_encryption_of_pptpd() -> Result<()> {
    let lan = Lan::new()?;
    let client = Machine::on(&lan, CLIENT, PROFILES, &[])?;
    // Its tunnels may carry IPv6.
    client
        .namespace
        .set("net/ipv6/conf/default/disable_ipv6", "0")?;
    let mut server = pptpd(&lan, &USUAL)?;
    let services = Services::new(&client)?;
    let capture = Capture::start(&lan)?;
    let table = services.during(|| dialout::run(&mut server, &client, &rows()))?;
    client.stop()?;
    halt(server)?;
    let captured = capture.check();
    table.conclude("client-methods")?;
    ensure!(captured? > 1000, "hardly anything was captured");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_server_that_was_gone_is_dialled_again_without_a_hand() -> Result<()> {
    let lan = Lan::new()?;
    let client = Machine::on(&lan, CLIENT, PROFILES, &[])?;
    let mut server = pptpd(&lan, &USUAL)?;
    let services = Services::new(&client)?;
    client.typed(&add_client(NAME, LOGINS[0], "keepalive-timeout=2"))?;
    let first = wait_for_link(&client, NAME, DIAL)?;
    services.during(|| {
        exchange(&mut server, &client, &[first], PINGS)?;
        for (what, ends, comes_back, why) in [
            ("killed", "kill_pptpd", "pause 2; start_pptpd", "hungup"),
            ("hangs up", "hang_up", "", "hungup"),
            (
                // Nothing gets out of the guest, not even the end of a connection.
                "silent",
                "ip link set vec0 down; kill_pptpd",
                "ip link set vec0 up; start_pptpd",
                "peer is not responding",
            ),
        ] {
            let before = reasons(&client, NAME, why);
            server.order(ends, DIAL).context(what)?;
            let ended = || reasons(&client, NAME, why) > before;
            wait_until(&format!("{what}: {why}"), DIAL, ended)
                .with_context(|| client.greyhound.log())?;
            server.order(comes_back, DIAL).context(what)?;
            let again = wait_for_link(&client, NAME, REDIAL).context(what)?;
            exchange(&mut server, &client, &[again], PINGS).context(what)?;
            // What it waits between its dials begins anew.
            client.typed(&format!("/interface pptp-client disable {NAME}"))?;
            client.wait_for_no_tunnels(DIAL)?;
            client.typed(&format!("/interface pptp-client enable {NAME}"))?;
            wait_for_link(&client, NAME, DIAL).context(what)?;
        }
        Ok(())
    })?;
    client.stop()?;
    halt(server)
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_server_with_one_address_inside_and_outside_carries_what_is_routed_there() -> Result<()> {
    let lan = Lan::new()?;
    let client = Machine::on(&lan, CLIENT, PROFILES, &[])?;
    let mut server = pptpd(&lan, &USUAL)?;
    let order = format!(
        "sed -i 's/^localip .*/localip {SERVER}/' /etc/pptpd.conf; kill_pptpd; start_pptpd\n\
         ip addr add {BEHIND}/32 dev lo"
    );
    server.order(&order, DIAL)?;
    client.typed(&add_client(NAME, LOGINS[0], ""))?;
    let link = wait_for_link(&client, NAME, DIAL)?;
    client.wait_for_log(&["there is no route to it inside"], DIAL)?;
    client
        .namespace
        .ip(&format!("route add {BEHIND} dev {NAME}"))?;
    ping(&client, BEHIND)?;
    let way = client.namespace.ip(&format!("route get {SERVER}"))?;

    // The route is the operator's, and stands as the interface does.
    server.order("kill_pptpd; start_pptpd", DIAL)?;
    wait_until("it was noticed", DIAL, || {
        reasons(&client, NAME, "hungup") > 0
    })?;
    let again = wait_for_link(&client, NAME, REDIAL)?;
    ping(&client, BEHIND)?;
    client.stop()?;
    halt(server)?;

    ensure!(way.contains(UPLINK), "the tunnel carries itself: {way}");
    ensure!(
        link.peer == SERVER && again.peer == SERVER,
        "{link:?}, {again:?}"
    );
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn two_clients_at_once_and_a_third_that_is_not_let_in() -> Result<()> {
    let lan = Lan::new()?;
    let client = Machine::on(&lan, CLIENT, PROFILES, &[])?;
    let mut server = pptpd(&lan, &USUAL)?;
    let services = Services::new(&client)?;
    let started = now();
    let (user, _) = LOGINS[0];
    client.typed(&add_client("wrong", (user, "WrongPass"), ""))?;
    let names = ["pptp-out1", "pptp-out2"];
    for (name, login) in names.into_iter().zip(LOGINS) {
        client.typed(&add_client(name, login, "profile=required"))?;
    }
    let links = names.map(|name| wait_for_link(&client, name, DIAL));
    let links = links.into_iter().collect::<Result<Vec<_>>>()?;
    services.during(|| exchange(&mut server, &client, &links, PINGS))?;

    // It says why, and tries again, each time a little later.
    let mut ends = Vec::new();
    while ends.len() < 4 {
        let more = || reasons(&client, "wrong", NOT_US) > ends.len();
        wait_until("another try", DIAL, more).with_context(|| client.greyhound.log())?;
        ends.push(started.elapsed());
    }
    let told = client.greyhound.console()?.client_last_end("wrong")?;
    ensure!(told.as_deref() == Some(NOT_US), "{told:?}");
    let (first, last) = (
        ends[1].saturating_sub(ends[0]),
        ends[3].saturating_sub(ends[2]),
    );
    ensure!(
        last > first && ends[3] > Duration::from_secs(2),
        "a flood: {ends:?}"
    );
    let log = client.greyhound.log();
    for secret in [PASSWORD, "WrongPass"] {
        ensure!(!log.contains(secret), "a password in the log:\n{log}");
    }
    // The others were not disturbed.
    services.during(|| exchange(&mut server, &client, &links, PINGS))?;
    for link in &links {
        let now = dialout::link(&client, &link.name)?;
        ensure!(now.as_ref() == Some(link), "{now:?}, was {link:?}");
    }
    client.stop()?;
    halt(server)
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_machine_serves_while_it_is_dialled_out_itself() -> Result<()> {
    let lan = Lan::new()?;
    let config = format!("{PROFILES}{SERVES}");
    let middle = Machine::on(&lan, CLIENT, &config, &[])?;
    let mut server = pptpd(&lan, &USUAL)?;
    let outer = Machine::on(&lan, OUTER, "", &[])?;
    let dial = format!(
        "/interface pptp-client add name=pptp-out1 connect-to={CLIENT} user=User3 \
         password={PASSWORD} disabled=no"
    );
    outer.typed(&dial)?;
    middle.typed(&add_client(NAME, LOGINS[0], "profile=required"))?;
    let link = wait_for_link(&middle, NAME, DIAL)?;
    wait_for_link(&outer, "pptp-out1", DIAL).with_context(|| middle.greyhound.log())?;

    let services = Services::new(&middle)?;
    let served = thread::scope(|scope| {
        let served = scope.spawn(|| {
            let address = SocketAddr::new(INNER.into(), 5001);
            let amount = Amount::For(Duration::from_secs(1));
            tcp::transfer(&outer.namespace, &middle.namespace, address, amount)
        });
        services.during(|| exchange(&mut server, &middle, &[link], PINGS))?;
        served
            .join()
            .map_err(|_| anyhow!("the transfer panicked"))?
    })?;
    let sessions = middle.greyhound.console()?.sessions()?;
    outer.stop()?;
    middle.wait_for_sessions(0, DIAL)?;
    middle.stop()?;
    halt(server)?;

    ensure!(served.bytes > 100_000, "{served:?}");
    let names: Vec<_> = sessions.iter().map(|session| &*session.name).collect();
    ensure!(names == ["<pptp-User3>"], "{sessions:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_machine_dials_itself() -> Result<()> {
    let lan = Lan::new()?;
    let machine = Machine::on(&lan, SERVER, SERVES, &[])?;
    machine.typed(&add_client(NAME, ("User3", PASSWORD), ""))?;
    let link = wait_for_link(&machine, NAME, DIAL)?;
    machine.wait_for_sessions(1, DIAL)?;
    let session = &machine.greyhound.console()?.sessions()?[0];
    ensure!(session.name == "<pptp-User3>", "{session:?}");
    ensure!(
        session.encoding == link.encoding,
        "{session:?} and {link:?}"
    );
    let both_ends = machine.greyhound.console()?.datapath()?.sessions;
    ensure!(both_ends == 2, "{both_ends} sessions of the datapath");
    machine.typed(&format!("/interface pptp-client disable {NAME}"))?;
    machine.wait_for_no_tunnels(DIAL)?;
    machine.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_manual_of_the_client_is_walked_through_word_by_word() -> Result<()> {
    let lan = Lan::new()?;
    let mut server = pptpd(&lan, &USUAL)?;
    let namespace = plugged(&lan, CLIENT)?;
    let untouched = footprint(&namespace)?;
    let client = Machine {
        greyhound: Up::keeping(UPLINK).start(&namespace)?,
        namespace,
    };
    let idle = footprint(&client.namespace)?;

    let add = format!(
        "/interface/pptp-client/add connect-to={SERVER} disabled=no max-mtu=1450 max-mru=1450 \
         name=pptp-out1 user=MT-User password=StrongPass"
    );
    ensure!(client.typed(&add)?.is_empty());
    // One that is added without a word about it stands still.
    client
        .typed("/interface pptp-client add connect-to=vpn.example.com user=me password=secret")?;
    let link = wait_for_link(&client, NAME, DIAL)?;
    assert_eq!(
        client.typed("/interface pptp-client print")?,
        format!(
            "Flags: X - disabled; R - running\n 0  R name=\"pptp-out1\" max-mtu=1450 max-mru=1450 \
             mrru=disabled connect-to={SERVER} user=\"MT-User\" password=\"*****\" \
             profile=default-encryption keepalive-timeout=60 use-peer-dns=no \
             add-default-route=no dial-on-demand=no allow=pap,chap,mschap1,mschap2\n \
             1 X  name=\"pptp-out2\" max-mtu=1460 max-mru=1460 mrru=disabled \
             connect-to=vpn.example.com user=\"me\" password=\"*****\" \
             profile=default-encryption keepalive-timeout=60 use-peer-dns=no \
             add-default-route=no dial-on-demand=no allow=pap,chap,mschap1,mschap2\n"
        )
    );
    let monitor = client.typed("/interface pptp-client monitor pptp-out1 once")?;
    // How far they are from the margin is the longest name's business, which an IPv6 address has.
    let lines: Vec<_> = monitor.lines().map(str::trim_start).collect();
    ensure!(lines[0] == "status: connected", "{monitor}");
    ensure!(lines[1].starts_with("uptime: "), "{monitor}");
    let Link { ours, peer, .. } = link;
    assert_eq!(
        lines[2..7].join("\n"),
        format!(
            "encoding: MPPE128 stateless\nmtu: 1400\nmru: 1450\nlocal-address: {ours}\n\
             remote-address: {peer}"
        )
    );
    for line in [
        "path-mtu: 1500",
        "overhead: 40",
        "uplink: wire",
        "io: native",
    ] {
        ensure!(lines.contains(&line), "{line}\n{monitor}");
    }
    ping(&client, peer)?;

    // The server is gone, and comes back.
    server.order("kill_pptpd", DIAL)?;
    let gone = || dialout::link(&client, NAME).is_ok_and(|link| link.is_none());
    wait_until("the client notices", DIAL, gone)?;
    let print = client.typed("/interface pptp-client print count-only where running")?;
    assert_eq!(print, "0\n");
    server.order("pause 2; start_pptpd", DIAL)?;
    let link = wait_for_link(&client, NAME, REDIAL)?;
    ping(&client, link.peer)?;

    // Nothing is left of it, first of the client, then of the program.
    client.typed("/interface pptp-client set pptp-out1 disabled=yes")?;
    client.wait_for_no_tunnels(DIAL)?;
    server.order("wait_for 10 calls_are_gone", DIAL)?;
    assert_eq!(footprint(&client.namespace)?, idle);
    client.typed("/interface pptp-client remove [find]")?;
    assert_eq!(
        client.typed("/interface pptp-client print count-only")?,
        "0\n"
    );
    let folder = Arc::clone(client.greyhound.folder());
    let Machine {
        mut greyhound,
        namespace,
    } = client;
    let status = greyhound.stop()?;
    ensure!(status.success(), "{status}\n{}", greyhound.log());
    assert_eq!(footprint(&namespace)?, untouched);
    let left = fs::read_dir(run_dir_in(folder.path()))?;
    let left: Vec<_> = left.flatten().map(|file| file.file_name()).collect();
    // Whoever starts next takes the lock; to remove it would let two of them hold one each.
    ensure!(left == ["lock"], "{left:?}");
    halt(server)
}

/// What a program could leave in a namespace: interfaces, routes, rules and packet filters.
fn footprint(namespace: &Namespace) -> Result<String> {
    let mut footprint = String::new();
    for words in ["-o link", "route show table all", "rule"] {
        footprint.push_str(&namespace.ip(words)?);
    }
    footprint.push_str(&namespace.run("nft", &["list", "ruleset"])?);
    Ok(footprint)
}

fn ping(client: &Machine, peer: Ipv4Addr) -> Result<()> {
    let words = ["-q", "-l", "5", "-c", "5", &peer.to_string()];
    let ping = Ping::run(&client.namespace, &words)?;
    ensure!(ping.sent == 5 && ping.received == 5, "{ping:?}");
    Ok(())
}

fn halt(server: Guest) -> Result<()> {
    server.stop()?;
    server.finish(Duration::from_secs(20)).map(drop)
}

/// A server with a user of its own.
const SERVES: &str = "\
/ppp profile
add name=served local-address=10.1.0.1 use-encryption=required
/interface pptp-server server
set enabled=yes default-profile=served
/ppp secret
add name=User3 password=StrongPass-1 profile=served remote-address=10.1.0.5
";

/// Its address inside the tunnel.
const INNER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// Who dials it.
const OUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

/// An address behind [`pptpd`].
const BEHIND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

const NAME: &str = "pptp-out1";

/// What a client says whose server does not accept it.
const NOT_US: &str = "failed to authenticate ourselves to peer";

/// What takes a second or two of an idle machine.
const DIAL: Duration = Duration::from_secs(20);

/// A client waits a little longer after each failed attempt.
const REDIAL: Duration = Duration::from_secs(40);

const PAP: &str = "require-pap";
const CHAP: &str = "require-chap";
const MSCHAP1: &str = "require-mschap";
const MSCHAP2: &str = "require-mschap-v2";
const PLAIN: [&str; 2] = ["nomppe", "noccp"];
const STATEFUL: [&str; 3] = ["mppe-stateful", "plugin", "/job/mppe-stateful.so"];

/// What the server asks for as MTU and MRU; less than anything here needs.
const MTU: u64 = 1400;

fn up(encoding: &'static str) -> Expected {
    Expected::Up { encoding, mtu: MTU }
}

fn row(server: &[&str], client: &str, words: [&'static str; 3], expected: Expected) -> Row {
    Row {
        server: server.iter().map(|&option| option.to_owned()).collect(),
        client: client.to_owned(),
        password: PASSWORD.to_owned(),
        words,
        expected,
        pings: PINGS.to_owned(),
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let methods = [
        ("PAP", PAP, "pap"),
        ("CHAP-MD5", CHAP, "chap"),
        ("MS-CHAPv1", MSCHAP1, "mschap1"),
        ("MS-CHAPv2", MSCHAP2, "mschap2"),
    ];
    for (name, option, allowed) in methods {
        let server = [&[option][..], &PLAIN].concat();
        for (policy, what) in [("no", ""), ("yes", "the peer refuses encryption")] {
            let client = format!("profile={policy} allow={allowed}");
            rows.push(row(&server, &client, [name, "none", what], up("")));
        }
    }
    // The server begins with EAP, and goes down from there, method by method.
    let words = ["PAP", "none", "the peer would rather have others"];
    rows.push(row(&PLAIN, "profile=no allow=pap", words, up("")));
    for (name, option, strength, encodings) in [
        (
            "MS-CHAPv1",
            MSCHAP1,
            "require-mppe-128",
            ["MPPE128 stateless", "MPPE128 stateful"],
        ),
        (
            "MS-CHAPv2",
            MSCHAP2,
            "require-mppe-128",
            ["MPPE128 stateless", "MPPE128 stateful"],
        ),
        (
            "MS-CHAPv2",
            MSCHAP2,
            "require-mppe-40",
            ["MPPE40 stateless", "MPPE40 stateful"],
        ),
    ] {
        let stateless = vec![option, strength];
        let stateful = [&stateless[..], &STATEFUL].concat();
        for (server, encoding) in [stateless, stateful].iter().zip(encodings) {
            let words = [name, encoding, ""];
            rows.push(row(server, "profile=required", words, up(encoding)));
        }
    }
    rows.extend(refusals());
    rows.push(ipv6());
    rows.extend(multilink());
    rows
}

/// What does not come up.
fn refusals() -> Vec<Row> {
    let plain = [&[MSCHAP2][..], &PLAIN].concat();
    let pap = [&[PAP][..], &PLAIN].concat();
    let mut wrong = row(
        &USUAL,
        "profile=required",
        ["MS-CHAPv2", "MPPE128 stateless", "wrong password"],
        Expected::Down("failed to authenticate ourselves to peer"),
    );
    wrong.password = "WrongPass".to_owned();
    vec![
        row(
            &plain,
            "profile=required",
            ["MS-CHAPv2", "none", "encryption is required"],
            Expected::Down("encryption not negotiated"),
        ),
        row(
            &pap,
            "profile=required",
            ["PAP", "none", "encryption is required"],
            Expected::Down("no common authentication method"),
        ),
        row(
            &USUAL,
            "profile=no",
            ["MS-CHAPv2", "none", "the peer requires encryption"],
            Expected::Down("encryption not negotiated"),
        ),
        row(
            &pap,
            "profile=no allow=mschap2",
            ["PAP", "none", "only MS-CHAPv2 is allowed"],
            Expected::Down("no common authentication method"),
        ),
        wrong,
    ]
}

/// Pings between the addresses that IPV6CP made.
fn ipv6() -> Row {
    let server = [&USUAL[..], &["+ipv6"]].concat();
    let words = ["MS-CHAPv2", "MPPE128 stateless", "IPv6"];
    let mut row = row(&server, "profile=required", words, up("MPPE128 stateless"));
    row.pings = "here() { [ -e /job/link6 ]; }; wait_for 5 here\n\
                 read -r interface ours6 peer6 </job/link6\n\
                 echo here: $ours6\n\
                 ping -6 -q -l 5 -c 5 -s 1000 -p 5aa5 $peer6%$interface"
        .to_owned();
    row
}

/// Packets larger than the link, in both directions.
fn multilink() -> Vec<Row> {
    let bundle = ["multilink", "mrru", "1500", "endpoint", "local:01.02.03"];
    let plain = [&[MSCHAP2][..], &PLAIN, &bundle].concat();
    let encrypted = [&USUAL[..], &bundle].concat();
    let mut rows = Vec::new();
    for (server, policy, words, encoding, mtu) in [
        (
            plain,
            "no",
            ["MS-CHAPv2", "none", "Multilink, MRRU 1500"],
            "",
            1500,
        ),
        (
            encrypted,
            "required",
            ["MS-CHAPv2", "MPPE128 stateless", "Multilink, MRRU 1500"],
            "MPPE128 stateless",
            1497,
        ),
    ] {
        let client = format!("profile={policy} mrru=1500");
        let expected = Expected::Up { encoding, mtu };
        let mut row = row(&server, &client, words, expected);
        row.pings = "read -r mtu </sys/class/net/$interface/mtu\n\
                     ping -q -l 5 -c 5 -M do -s $((mtu - 28)) -p 5aa5 $peer"
            .to_owned();
        rows.push(row);
    }
    // A peer that does not want it goes without.
    rows.push(row(
        &USUAL,
        "profile=required mrru=1500",
        [
            "MS-CHAPv2",
            "MPPE128 stateless",
            "no Multilink, which we offer",
        ],
        up("MPPE128 stateless"),
    ));
    rows
}

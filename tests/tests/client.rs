//! Our client against a server that nobody here wrote: Debian's pptpd and pppd in a guest.

use std::time::Duration;

use anyhow::{Result, ensure};
use greyhound_tests::dialout::{self, PINGS, PROFILES, Row, USUAL, pptpd};
use greyhound_tests::interop::{Capture, PASSWORD, Services};
use greyhound_tests::machine::Machine;
use greyhound_tests::namespace::Lan;
use greyhound_tests::table::Expected;
use greyhound_tests::tunnel::CLIENT;

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
    server.stop()?;
    server.finish(Duration::from_secs(20))?;
    let captured = capture.check();
    table.conclude("client-methods")?;
    ensure!(captured? > 1000, "hardly anything was captured");
    Ok(())
}

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
        // The server begins with EAP, and goes down from there to what the client allows.
        let client = format!("profile=no allow={allowed}");
        let words = [name, "none", "the peer offers every method"];
        rows.push(row(&PLAIN, &client, words, up("")));
    }
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
            Expected::Down("hungup"),
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
                 ping -6 -q -A -c 20 -s 1000 -p 5aa5 $peer6%$interface"
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
                     ping -q -A -c 20 -M do -s $((mtu - 28)) -p 5aa5 $peer"
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

//! Peers that nobody here wrote, in every way they can dial in.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use greyhound_tests::guest::{DataPath, Guest, Role};
use greyhound_tests::interop::{self, CONFIG, Capture, PASSWORD, Row, Services, row, traffic};
use greyhound_tests::machine::Machine;
use greyhound_tests::namespace::Lan;
use greyhound_tests::ping::Ping;
use greyhound_tests::table::{Expected, Table};
use greyhound_tests::tunnel::SERVER;

#[test]
#[ignore = "needs root: ./run test"]
fn every_method_and_encryption_of_two_clients() -> Result<()> {
    both_clients("interop-methods", CONFIG, methods)
}

#[test]
#[ignore = "needs root: ./run test"]
fn packets_larger_than_the_link_by_multilink() -> Result<()> {
    let config = CONFIG.replace("enabled=yes", "enabled=yes mrru=1500");
    both_clients("interop-multilink", &config, multilink)
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_bad_wire_and_a_long_session() -> Result<()> {
    both_clients("interop-wire", CONFIG, wire)
}

#[test]
#[ignore = "needs root: ./run test"]
fn sixteen_calls_from_one_guest() -> Result<()> {
    let lan = Lan::new()?;
    let server = machine(&lan, CONFIG)?;
    let capture = Capture::start(&lan)?;
    let others = "for call in {2..16}; do \
         pppd pty \"pptp $server --nolaunchpppd\" nodetach noauth nodefaultroute maxfail 1 \
         user \"$user\" remotename server mtu 1400 mru 1400 require-mppe-128 \
         nobsdcomp nodeflate novj novjccomp >/job/call$call.log 2>&1 & done\n\
         all_up() { [ $(ip -4 -o addr show | grep -c ppp) -eq 16 ]; }\n\
         wait_for 60 all_up\n\
         pause 1\n\
         for call in {0..15}; do ping -q -c 5 -i 0.05 -I ppp$call $peer | grep received; done\n\
         : >/job/pinged\n\
         counted() { [ -e /job/counted ]; }\n\
         wait_for 20 counted\n\
         kill $(jobs -p)\n";
    let role = Role::Client {
        data_path: DataPath::PptpLinux,
        server: SERVER,
        user: "yes-linux".to_owned(),
        password: PASSWORD.to_owned(),
        script: others.to_owned(),
        files: Vec::new(),
    };
    let mut guest = Guest::boot(&lan, "192.0.2.2/24", &role)?;
    guest.wait_for_link(Duration::from_secs(30))?;
    guest.wait_for("pinged", Duration::from_secs(100))?;
    let console = server.greyhound.console()?;
    let sessions = console.sessions()?;
    let counted = console.text(&["datapath", "print"])?;
    guest.tell("counted")?;
    let report = guest.finish(Duration::from_secs(30))?;
    server.wait_for_sessions(0, Duration::from_secs(20))?;
    let log = server.greyhound.log();
    server.stop()?;
    let captured = capture.check()?;

    ensure!(captured > 16 * 20, "{captured} packets were captured");
    ensure!(sessions.len() == 16, "{} sessions\n{log}", sessions.len());
    let all = report
        .output
        .matches("5 packets transmitted, 5 received")
        .count();
    ensure!(all == 16, "{all} of 16 calls\n{}\n{counted}", report.output);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_guest_that_is_killed_is_missed() -> Result<()> {
    let lan = Lan::new()?;
    let server = machine(&lan, CONFIG)?;
    let mut row = row(
        DataPath::Kernel,
        ["MS-CHAPv2", "MPPE128 stateless", ""],
        "yes",
        &["require-mppe-128"],
        Expected::Down(""),
    );
    row.case.name = "killed".to_owned();
    row.case.traffic = "ping -q -c 5 -i 0.05 $peer".to_owned();
    let role = Role::Cases {
        server: SERVER,
        cases: vec![row.case],
        files: Vec::new(),
    };
    let mut guest = Guest::boot(&lan, "192.0.2.2/24", &role)?;
    guest.wait_for("killed.tried", Duration::from_secs(30))?;
    let ping = Ping::parse(&guest.read("killed.output")).map(|ping| ping.received);
    drop(guest);
    // Two seconds of silence, five echoes a second apart, and what it takes to end.
    server.wait_for_sessions(0, Duration::from_secs(20))?;
    let log = server.greyhound.log();
    server.stop()?;

    ensure!(ping == Some(5), "{ping:?}");
    let missed = log.matches("LCP missed echo reply").count();
    ensure!(missed == 5, "{missed} missed echoes\n{log}");
    ensure!(log.contains("peer is not responding"), "{log}");
    Ok(())
}

/// Runs what a client is to do for both of them at once, each in a guest of its own.
fn both_clients(name: &str, config: &str, rows: fn(DataPath) -> Vec<Row>) -> Result<()> {
    let lan = Lan::new()?;
    let server = machine(&lan, config)?;
    let services = Services::new(&server)?;
    let capture = Capture::start(&lan)?;
    let table = services.during(|| {
        thread::scope(|scope| {
            let guests = [
                (DataPath::PptpLinux, "192.0.2.2/24"),
                (DataPath::Kernel, "192.0.2.3/24"),
            ];
            let guests = guests.map(|(data_path, address)| {
                let (lan, server) = (&lan, &server);
                // One after the other: two taps made at once would have the same name.
                thread::sleep(Duration::from_millis(300));
                scope.spawn(move || {
                    let mut rows = rows(data_path);
                    interop::number(&mut rows);
                    interop::run(lan, server, address, &rows)
                })
            });
            let mut table = Table::of("client");
            for guest in guests {
                table.extend(guest.join().map_err(|_| anyhow!("a guest panicked"))??);
            }
            Ok(table)
        })
    })?;
    server.wait_for_sessions(0, Duration::from_secs(20))?;
    server.stop()?;
    let captured = capture.check();
    table.conclude(name)?;
    ensure!(captured? > 1000, "hardly anything was captured");
    Ok(())
}

/// A server whose tunnels may carry IPv6.
fn machine(lan: &Lan, config: &str) -> Result<Machine> {
    let server = Machine::on(lan, SERVER, config, &[])?;
    server
        .namespace
        .set("net/ipv6/conf/default/disable_ipv6", "0")?;

    Ok(server)
}

const PAP: [&str; 3] = ["refuse-chap", "refuse-mschap", "refuse-mschap-v2"];
const CHAP: [&str; 3] = ["refuse-pap", "refuse-mschap", "refuse-mschap-v2"];
const MSCHAP1: [&str; 3] = ["refuse-pap", "refuse-chap", "refuse-mschap-v2"];
const MSCHAP2: [&str; 3] = ["refuse-pap", "refuse-chap", "refuse-mschap"];
const STATEFUL: [&str; 3] = ["mppe-stateful", "plugin", "/job/mppe-stateful.so"];

/// What the client asks for as MTU and MRU; less than anything here needs.
const MTU: u64 = 1400;

fn up(encoding: &'static str) -> Expected {
    Expected::Up { encoding, mtu: MTU }
}

fn methods(data_path: DataPath) -> Vec<Row> {
    let mut rows = Vec::new();
    let methods = [
        ("PAP", PAP),
        ("CHAP-MD5", CHAP),
        ("MS-CHAPv1", MSCHAP1),
        ("MS-CHAPv2", MSCHAP2),
    ];
    for (name, refusals) in methods {
        for policy in ["no", "yes"] {
            let options = [&refusals[..], &["nomppe"]].concat();
            let what = ["", "the peer refuses encryption"][usize::from(policy == "yes")];
            rows.push(row(
                data_path,
                [name, "none", what],
                policy,
                &options,
                up(""),
            ));
        }
    }
    for (name, refusals, strength, encodings) in [
        // "MS-CHAP LM not supported", says pppd of what 40 bit keys are made of after MS-CHAPv1.
        (
            "MS-CHAPv1",
            MSCHAP1,
            "128",
            ["MPPE128 stateless", "MPPE128 stateful"],
        ),
        (
            "MS-CHAPv2",
            MSCHAP2,
            "128",
            ["MPPE128 stateless", "MPPE128 stateful"],
        ),
        (
            "MS-CHAPv2",
            MSCHAP2,
            "40",
            ["MPPE40 stateless", "MPPE40 stateful"],
        ),
    ] {
        let option = format!("require-mppe-{strength}");
        let stateless = [&refusals[..], &[&option]].concat();
        let stateful = [&stateless[..], &STATEFUL].concat();
        for (options, encoding) in [stateless, stateful].iter().zip(encodings) {
            rows.push(row(
                data_path,
                [name, encoding, ""],
                "required",
                options,
                up(encoding),
            ));
        }
    }
    let required = [&MSCHAP2[..], &["require-mppe-128"]].concat();
    let refused = Expected::Down("authentication failed");
    let words = ["MS-CHAPv2", "MPPE128 stateless", "wrong password"];
    let mut wrong = row(data_path, words, "required", &required, refused);
    wrong.case.password = "WrongPass".to_owned();
    rows.push(wrong);

    let options = [&MSCHAP2[..], &["nomppe"]].concat();
    let refused = Expected::Down("encryption not negotiated");
    let words = ["MS-CHAPv2", "none", "encryption is required"];
    rows.push(row(data_path, words, "required", &options, refused));

    let options = [&PAP[..], &["nomppe"]].concat();
    let words = ["PAP", "none", "encryption is required"];
    rows.push(row(data_path, words, "required", &options, refused));

    let words = ["MS-CHAPv2", "MPPE128 stateless", "IPv6"];
    let options = [&required[..], &["+ipv6"]].concat();
    let mut ipv6 = row(
        data_path,
        words,
        "required",
        &options,
        up("MPPE128 stateless"),
    );
    ipv6.case.before = "busybox modprobe ipv6".to_owned();
    ipv6.case.traffic = traffic(
        "here() { [ -e /job/link6 ]; }; wait_for 5 here\n\
         read -r interface ours6 peer6 </job/link6\n\
         ping -6 -q -c 20 -i 0.05 -s 1000 -p 5aa5 $peer6%$interface",
    );
    rows.push(ipv6);
    rows
}

fn multilink(data_path: DataPath) -> Vec<Row> {
    let bundle = ["multilink", "mrru", "1500", "endpoint", "local:04.05.06"];
    // Whole packets in one Ethernet frame have room for 1400; 1500 less what MPPE adds is offered.
    let (plain, encrypted) = match data_path {
        DataPath::PptpLinux => (1500, 1497),
        DataPath::Kernel => (1500, 1496),
    };
    let large = "read -r mtu </sys/class/net/$interface/mtu\n\
                 ping -q -c 50 -i 0.02 -M do -s $((mtu - 28)) -p 5aa5 $peer";
    let mut rows = Vec::new();
    for (words, policy, encryption, encoding, mtu) in [
        (
            ["MS-CHAPv2", "none", "Multilink, MRRU 1500"],
            "no",
            &["nomppe"][..],
            "",
            plain,
        ),
        (
            ["MS-CHAPv2", "MPPE128 stateless", "Multilink, MRRU 1500"],
            "required",
            &["require-mppe-128"],
            "MPPE128 stateless",
            encrypted,
        ),
    ] {
        let options = [&MSCHAP2[..], &bundle, encryption].concat();
        let expected = Expected::Up { encoding, mtu };
        let mut row = row(data_path, words, policy, &options, expected);
        row.case.traffic = traffic(large);
        rows.push(row);
    }
    // A peer that does not want it goes without.
    let options = [&MSCHAP2[..], &["require-mppe-128"]].concat();
    let words = [
        "MS-CHAPv2",
        "MPPE128 stateless",
        "no Multilink, which we offer",
    ];
    rows.push(row(
        data_path,
        words,
        "required",
        &options,
        up("MPPE128 stateless"),
    ));
    rows
}

fn wire(data_path: DataPath) -> Vec<Row> {
    let stateless = [&MSCHAP2[..], &["require-mppe-128"]].concat();
    let stateful = [&stateless[..], &STATEFUL].concat();
    let mut rows = Vec::new();
    for (options, encoding) in [
        (&stateless, "MPPE128 stateless"),
        (&stateful, "MPPE128 stateful"),
    ] {
        for (what, faults) in [
            ("2 % of the packets lost", "loss 2%"),
            ("5 % of the packets doubled", "duplicate 5%"),
            ("packets overtake each other", "delay 20ms reorder 90% 50%"),
        ] {
            let words = ["MS-CHAPv2", encoding, what];
            let expected = Expected::UpOnBadWire {
                encoding,
                mtu: MTU,
                faults,
            };
            let mut row = row(data_path, words, "required", options, expected);
            let ping = traffic("ping -q -c 50 -i 0.02 -s 500 $peer");
            row.case.traffic = format!("{SPOIL}\nspoil {faults}\n{ping}\nrepair\n");
            rows.push(row);
        }
        let words = ["MS-CHAPv2", encoding, "the coherency count wraps"];
        let mut wrap = row(data_path, words, "required", options, up(encoding));
        wrap.case.traffic = traffic("ping -q -A -c 5000 -s 64 -p 5aa5 $peer");
        rows.push(wrap);
    }
    rows
}

/// Netem on what the guest sends, and on what it receives: that goes by way of another interface.
const SPOIL: &str = "\
spoil() {
    busybox modprobe -a sch_netem sch_ingress ifb act_mirred cls_matchall
    ip link show ifb0 >/dev/null 2>&1 || ip link add ifb0 type ifb
    ip link set ifb0 up
    tc qdisc replace dev vec0 root netem \"$@\"
    tc qdisc replace dev ifb0 root netem \"$@\"
    tc qdisc add dev vec0 ingress
    tc filter add dev vec0 parent ffff: matchall action mirred egress redirect dev ifb0
}
repair() {
    tc -s qdisc show
    tc qdisc del dev vec0 ingress
    tc qdisc del dev vec0 root
}";

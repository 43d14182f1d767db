use std::net::Ipv4Addr;
use std::time::Duration;

use greyhound_datapath::ids::WorkerId;
use greyhound_datapath::ipc::{IoMode, WorkerTotals};
use greyhound_datapath::stats::{SessionCounters, WorkerCounters};
use proptest::prelude::*;

use super::super::snapshot::{ClientConnected, ClientState, DatapathState, ServerSession};
use super::*;
use crate::cause::Cause;

/// The sample of the manual, with whole headings and true alignment.
#[test]
fn interface_pptp_server_print() {
    assert_eq!(
        text("interface pptp-server print", &one_session()),
        [
            "Flags: D - dynamic; R - running",
            "Columns: NAME, USER, MTU, CLIENT-ADDRESS, UPTIME, ENCODING",
            "#      NAME            USER     MTU   CLIENT-ADDRESS  UPTIME  ENCODING         ",
            "0  DR  <pptp-MT-User>  MT-User  1450  192.168.51.3    44m8s   MPPE128 stateless",
        ]
        .join("\n")
            + "\n"
    );
}

#[test]
fn ppp_active_print() {
    assert_eq!(
        text("/ppp/active/print", &one_session()),
        [
            "Columns: NAME, SERVICE, CALLER-ID, ADDRESS, UPTIME, ENCODING",
            "#  NAME     SERVICE  CALLER-ID     ADDRESS   UPTIME  ENCODING         ",
            "0  MT-User  pptp     192.168.51.3  10.0.0.5  44m8s   MPPE128 stateless",
        ]
        .join("\n")
            + "\n"
    );
}

#[test]
fn a_session_without_encryption_has_no_encoding_column() {
    let mut snapshot = one_session();
    snapshot.server_sessions[0].encoding.clear();

    let table = text("interface pptp-server print", &snapshot);

    assert!(!table.contains("ENCODING"), "{table}");
}

#[test]
fn details_stand_in_blocks() {
    assert_eq!(
        text("ppp active print detail", &one_session()),
        "Flags: R - radius\n \
         0   name=\"MT-User\" service=pptp caller-id=\"192.168.51.3\" address=10.0.0.5 uptime=44m8s\n     \
         encoding=\"MPPE128 stateless\" session-id=0x81A00001 limit-bytes-in=0 limit-bytes-out=0\n"
    );
    assert_eq!(
        text("interface pptp-server print detail", &one_session()),
        "Flags: X - disabled; D - dynamic; R - running\n \
         0  DR name=\"<pptp-MT-User>\" user=\"MT-User\" mtu=1450 mru=1460 \
         path-mtu=1500 overhead=40\n       \
         client-address=192.168.51.3 uptime=44m8s encoding=\"MPPE128 stateless\"\n       \
         kernel-name=\"<pptp-MT-User>\"\n"
    );
}

#[test]
fn stats_are_seen_from_the_router() {
    assert_eq!(
        text("ppp active print stats", &one_session()),
        "Columns: NAME, BYTES, PACKETS, LATE, LOST, DROPPED\n\
         #  NAME                BYTES    PACKETS  LATE  LOST  DROPPED\n\
         0  MT-User  2 900 000 000/62  2 000/100     3     4        5\n"
    );
}

#[test]
fn clients_are_shown_as_the_schema_has_them() {
    let config = config();
    let snapshot = one_client();

    assert_eq!(
        run(
            "interface pptp-client print",
            false,
            &config,
            &snapshot,
            100
        )
        .text,
        "Flags: X - disabled; R - running\n \
         0  R name=\"pptp-out1\" max-mtu=1450 max-mru=1460 mrru=disabled connect-to=192.168.62.2\n      \
         user=\"MT-User\" password=\"*****\" profile=default-encryption keepalive-timeout=60\n      \
         use-peer-dns=no add-default-route=no dial-on-demand=no allow=pap,chap,mschap1,mschap2\n \
         1 X  ;;; spare\n      \
         name=\"pptp-out2\" max-mtu=1460 max-mru=1460 mrru=disabled connect-to=vpn.example.net\n      \
         user=\"DOM\\\\u\" password=\"*****\" profile=default-encryption keepalive-timeout=60 \
         use-peer-dns=no\n      \
         add-default-route=no dial-on-demand=no allow=mschap2\n"
    );
    let shown = run(
        "interface pptp-client print show-s",
        false,
        &config,
        &snapshot,
        100,
    )
    .text;
    assert!(shown.contains("password=\"StrongPass\""), "{shown}");
    assert_eq!(
        run(
            "interface pptp-client print brief",
            false,
            &config,
            &snapshot,
            100
        )
        .text,
        "Flags: X - disabled; R - running\n\
         Columns: NAME, CONNECT-TO, USER, PROFILE\n\
         #      NAME       CONNECT-TO       USER     PROFILE           \n\
         0   R  pptp-out1  192.168.62.2     MT-User  default-encryption\n\
         ;;; spare\n\
         1  X   pptp-out2  vpn.example.net  DOM\\u    default-encryption\n"
    );
}

#[test]
fn a_client_is_monitored_by_name_or_number() {
    let expected = "           status: connected\n           \
                    uptime: 48m6s\n         \
                    encoding: MPPE128 stateless\n              \
                    mtu: 1450\n              \
                    mru: 1450\n    \
                    local-address: 10.0.0.5\n   \
                    remote-address: 10.0.0.1\n";
    for command in [
        "/interface pptp-client monitor pptp-out1 once",
        "int pptp-c m 0 o",
    ] {
        let reply = run(command, false, &config(), &one_client(), 80);
        assert_eq!((reply.text.as_str(), reply.status), (expected, 0));
    }
    let reply = run(
        "interface pptp-client monitor pptp-out2 once",
        false,
        &config(),
        &one_client(),
        80,
    );
    assert_eq!(reply.text, "   status: disabled\n");
}

#[test]
fn a_client_that_is_turned_away_says_why() {
    let mut snapshot = one_client();
    snapshot.clients[0] = ClientState {
        name: "pptp-out1".to_owned(),
        status: "initializing",
        last_end: Some(Cause::FailedToAuthenticateOurselves),
        connected: None,
    };

    assert_eq!(
        text("interface pptp-client monitor 0 once", &snapshot),
        "                   status: initializing\n   \
         last-disconnect-reason: failed to authenticate ourselves to peer\n"
    );
}

#[test]
fn the_datapath_shows_what_moves_frames() {
    assert_eq!(
        text("datapath print", &with_datapath()),
        [
            "         io: native",
            "     uplink: eth0",
            "    workers: 2",
            "   sessions: 3",
            "",
            "Columns: CORE, SESSIONS, RX-XSK, RX-RAW, RX-HANDOFF, TX-XSK, TX-RAW, LONE-ACKS, \
             TUN-READ, TUN-WRITTEN, DROPPED",
            "#  CORE  SESSIONS  RX-XSK  RX-RAW  RX-HANDOFF  TX-XSK  TX-RAW  LONE-ACKS  TUN-READ  \
             TUN-WRITTEN  DROPPED",
            "0     1         2    1000       0           0       0       0          0         0\
             \x20           0        7",
            "1     3         1       0       0           0       0       0          0         0\
             \x20           0        0",
            "",
            "Columns: WORKER, DROPPED, COUNT",
            "#  WORKER  DROPPED        COUNT",
            "0  0       duplicate-seq      4",
            "1  0       unknown-call       3",
            "",
            "Columns: XDP, COUNT",
            "#  XDP         COUNT",
            "0  redirected   1000",
        ]
        .join("\n")
            + "\n"
    );
    let reply = run(
        "datapath print",
        false,
        &Config::default(),
        &Snapshot::default(),
        80,
    );
    assert_eq!(reply.text, "failure: the datapath is not connected\n");
    assert_eq!(reply.status, 1);
}

#[test]
fn programs_get_the_same_facts() {
    let json = |command: &str, snapshot: &Snapshot| -> Json {
        let reply = run(command, true, &config(), snapshot, 80);
        assert_eq!(reply.status, 0);
        serde_json::from_str(&reply.text).unwrap()
    };

    assert_eq!(
        json("interface pptp-server print", &one_session()),
        json!([{
            "name": "<pptp-MT-User>", "user": "MT-User", "mtu": 1450, "mru": 1460,
            "path-mtu": 1500, "overhead": 40,
            "client-address": "192.168.51.3", "uptime": "44m8s", "uptime-seconds": 2648,
            "encoding": "MPPE128 stateless", "kernel-name": "<pptp-MT-User>",
            "disabled": false, "dynamic": true, "running": true,
        }])
    );
    assert_eq!(
        json("ppp active print stats", &one_session())[0]["rx-bytes"],
        json!(62)
    );
    assert_eq!(
        json("interface pptp-client monitor 0 once", &one_client())["mtu"],
        json!(1450)
    );
    assert_eq!(
        json("interface pptp-client print", &one_client())[1]["comment"],
        json!("spare")
    );
    let datapath = json("datapath print", &with_datapath());
    assert_eq!(datapath["xdp"], json!({"redirected": 1000}));
    assert_eq!(datapath["workers"][0]["rx-xsk"], json!(1000));
    assert_eq!(datapath["workers"][0]["drops"]["unknown-call"], json!(3));
    let reply = run("foo", true, &config(), &one_session(), 80);
    assert_eq!(
        serde_json::from_str::<Json>(&reply.text).unwrap(),
        json!({"error": "bad command name foo (line 1 column 1)"})
    );
    assert_eq!(reply.status, 1);
}

#[test]
fn paths_take_slashes_or_spaces_and_unambiguous_beginnings() {
    let expected = text("interface pptp-server print", &one_session());
    for command in [
        "/interface pptp-server print",
        "/interface/pptp-server/print",
        "interface/pptp-server print",
        "  int   pptp-s   p",
        "/i/pptp-s/p brief",
        "interface pptp-server print without-paging",
    ] {
        assert_eq!(text(command, &one_session()), expected, "{command}");
    }
    let one_word = ["ppp active print detail".to_owned()];
    let reply = execute(&one_word, false, &config(), &one_session(), 80);
    assert_eq!(reply.status, 0);
}

#[test]
fn errors_are_told_in_the_words_of_the_product_with_their_place() {
    for (command, expected) in [
        ("foo", "bad command name foo (line 1 column 1)"),
        (
            "/interface foo print",
            "bad command name foo (line 1 column 12)",
        ),
        ("/interface/foo", "bad command name foo (line 1 column 12)"),
        (
            "interface pptp print",
            "ambiguous command name pptp (line 1 column 11)",
        ),
        (
            "ppp active remove 0",
            "bad command name remove (line 1 column 12)",
        ),
        (
            "ppp active print foo",
            "expected end of command (line 1 column 18)",
        ),
        (
            "ppp active print detail  \u{1b}x",
            "expected end of command (line 1 column 26)",
        ),
        ("a\u{1b}b", "bad command name a?b (line 1 column 1)"),
        (
            "interface",
            "expected command name: pptp-server, pptp-client",
        ),
        ("", "expected command name: interface, ppp, datapath"),
        (
            "interface pptp-client monitor",
            "missing value(s) of argument(s) numbers",
        ),
        ("interface pptp-client monitor nix once", "no such item"),
        ("interface pptp-client monitor 7 once", "no such item"),
        (
            "interface pptp-client monitor 0",
            "monitor without once is not supported yet",
        ),
        (
            "interface pptp-client monitor 0 x",
            "expected end of command (line 1 column 33)",
        ),
    ] {
        let reply = run(command, false, &config(), &one_session(), 80);
        assert_eq!(reply.text, format!("{expected}\n"), "{command}");
        assert_eq!(reply.status, 1);
    }
}

proptest! {
    #[test]
    fn no_words_panic(words in proptest::collection::vec(any::<String>(), 0..5), json: bool) {
        let reply = execute(&words, json, &config(), &one_session(), 80);
        prop_assert!(reply.text.ends_with('\n'));
    }
}

fn run(command: &str, json: bool, config: &Config, snapshot: &Snapshot, width: usize) -> Reply {
    let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
    execute(&words, json, config, snapshot, width)
}

fn text(command: &str, snapshot: &Snapshot) -> String {
    let reply = run(command, false, &config(), snapshot, 90);
    assert_eq!(reply.status, 0, "{}", reply.text);
    reply.text
}

fn config() -> Config {
    let text = "/interface pptp-client\n\
                add connect-to=192.168.62.2 disabled=no max-mtu=1450 password=StrongPass user=MT-User\n\
                add allow=mschap2 comment=spare connect-to=vpn.example.net user=\"DOM\\\\u\"\n";
    Config::parse(text).unwrap().0
}

fn one_session() -> Snapshot {
    Snapshot {
        server_sessions: vec![ServerSession {
            name: "<pptp-MT-User>".to_owned(),
            kernel_name: "<pptp-MT-User>".to_owned(),
            user: "MT-User".to_owned(),
            mtu: 1450,
            mru: 1460,
            path_mtu: 1500,
            overhead: 40,
            client_address: Ipv4Addr::new(192, 168, 51, 3),
            address: Ipv4Addr::new(10, 0, 0, 5),
            uptime: Duration::from_millis(2_648_900),
            encoding: "MPPE128 stateless".to_owned(),
            session_id: 0x81a0_0001,
            counters: SessionCounters {
                rx_frames: 110,
                rx_packets: 100,
                rx_bytes: 62,
                tx_packets: 2000,
                tx_bytes: 2_900_000_000,
                rx_late: 3,
                rx_lost: 4,
                dropped: 5,
                ..SessionCounters::default()
            },
        }],
        ..Snapshot::default()
    }
}

fn one_client() -> Snapshot {
    Snapshot {
        clients: vec![ClientState {
            name: "pptp-out1".to_owned(),
            status: "connected",
            last_end: None,
            connected: Some(ClientConnected {
                kernel_name: "pptp-out1".to_owned(),
                uptime: Duration::from_secs(2886),
                encoding: "MPPE128 stateless".to_owned(),
                mtu: 1450,
                mru: 1450,
                local_address: Ipv4Addr::new(10, 0, 0, 5),
                remote_address: Ipv4Addr::new(10, 0, 0, 1),
                counters: SessionCounters::default(),
            }),
        }],
        ..Snapshot::default()
    }
}

fn with_datapath() -> Snapshot {
    let worker = |number, core, sessions| WorkerTotals {
        worker: WorkerId(number),
        core,
        sessions,
        counters: WorkerCounters::default(),
        drops: Vec::new(),
    };
    let mut busy = worker(0, 1, 2);
    busy.counters.rx_xsk = 1000;
    busy.drops = vec![
        ("duplicate-seq".to_owned(), 4),
        ("unknown-call".to_owned(), 3),
    ];
    Snapshot {
        datapath: Some(DatapathState {
            uplink: "eth0".to_owned(),
            io: IoMode::Native,
            workers: vec![busy, worker(1, 3, 1)],
            xdp: vec![("redirected".to_owned(), 1000)],
        }),
        ..Snapshot::default()
    }
}

use std::net::Ipv4Addr;
use std::time::Duration;

use greyhound_datapath::ids::WorkerId;
use greyhound_datapath::ipc::{IoMode, Uplink, WorkerTotals};
use greyhound_datapath::stats::{SessionCounters, WorkerCounters};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::snapshot::{
    ClientConnected, ClientState, DatapathState, RadiusIncomingState, RadiusState, ServerSession,
};
use super::*;
use crate::aaa::pool::{Occupancy, Owner, Used};
use crate::accounting::reader::Row;
use crate::accounting::{self, Authentic};
use crate::cause::Cause;
use crate::console::accounts::{self, Found};
use crate::log::{Entry, Line, Message};

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
fn what_radius_servers_did_is_monitored() {
    let config = read(
        "/radius add service=ppp address=192.0.2.3 secret=s
         /radius add service=ppp address=192.0.2.4 secret=s
         /radius add service=ppp address=192.0.2.5 secret=s disabled=yes",
    );
    let state = |place: usize, is_alive| RadiusState {
        id: config.radius[place].meta.id,
        is_alive,
        ..RadiusState::default()
    };
    let snapshot = Snapshot {
        radius: vec![
            RadiusState {
                pending: 1,
                requests: 20,
                accepts: 15,
                rejects: 3,
                resends: 2,
                timeouts: 1,
                bad_replies: 4,
                last_request_rtt: Some(Duration::from_millis(12)),
                ..state(0, true)
            },
            state(1, false),
        ],
        radius_incoming: RadiusIncomingState {
            requests: 5,
            bad_requests: 1,
            acks: 3,
            naks: 2,
        },
        ..Snapshot::default()
    };
    let text = |command: &str| run(command, false, &config, &snapshot, 80).text;
    assert_eq!(
        text("/radius monitor 0 once"),
        [
            "             status: answering",
            "            pending: 1",
            "           requests: 20",
            "            accepts: 15",
            "            rejects: 3",
            "            resends: 2",
            "           timeouts: 1",
            "        bad-replies: 4",
            "   last-request-rtt: 12ms",
        ]
        .join("\n")
            + "\n"
    );
    assert!(text("/radius monitor 1 once").contains("status: not answering"));
    assert!(text("/radius monitor 2 once").contains("status: disabled"));
    let incoming = text("/radius incoming monitor once");
    for line in ["requests: 5", "bad-requests: 1", "acks: 3", "naks: 2"] {
        assert!(incoming.contains(line), "{incoming}");
    }
}

/// `/ppp accounting` with two sessions: one that ended, and one that is up.
fn accounts_after(command: &str, json: bool) -> Reply {
    let session = |session_id: &str, user: &str| Row {
        session_id: session_id.to_owned(),
        user: user.to_owned(),
        caller: Ipv4Addr::new(192, 0, 2, 1),
        called: Ipv4Addr::new(192, 0, 2, 2),
        address: Ipv4Addr::new(10, 0, 0, 5),
        interface: format!("<pptp-{user}>"),
        authentic: Authentic::Local,
        began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        ended: None,
        numbers: accounting::Numbers::default(),
        cause: None,
        is_pending: false,
    };
    let numbers = accounting::Numbers {
        duration: Duration::from_secs(61),
        rx_bytes: 1234,
        tx_bytes: 56_789,
        rx_packets: 3,
        tx_packets: 4,
    };
    let ended = session("81a0000000000001", "ann");
    let rows = [
        session("81a0000100000001", "bob"),
        Row {
            ended: Some(ended.began + numbers.duration),
            numbers,
            cause: Some(Cause::IdleTimeout),
            authentic: Authentic::Radius,
            is_pending: true,
            ..ended
        },
    ];
    let (request, config, snapshot) = (line(command), config(), Snapshot::default());
    let request = Request { json, ..request };
    let wanted = accounts::wanted(&request).expect("it is about this menu");
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| (wanted.filter)(row))
        .collect();
    let context = Context {
        accounting: Found {
            rows: &rows,
            is_cut: command.contains("cut"),
            date: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_003_600)),
        },
        ..context(&config, &snapshot)
    };
    execute(&request, &context).reply
}

#[test]
fn ppp_accounting_print() {
    assert_eq!(
        accounts_after("/ppp/accounting/print", false).text,
        [
            "Flags: R - radius; A - active; P - pending",
            "Columns: BEGAN, USER, CALLER-ID, ADDRESS, UPTIME, BYTES, REASON",
            "#       BEGAN                USER  CALLER-ID  ADDRESS   UPTIME         BYTES  REASON      ",
            "0   A   2023-11-14 22:13:20  bob   192.0.2.1  10.0.0.5  1h               0/0              ",
            "1  R P  2023-11-14 22:13:20  ann   192.0.2.1  10.0.0.5  1m1s    56 789/1 234  idle-timeout",
        ]
        .join("\n")
            + "\n"
    );
}

#[test]
fn sessions_that_were_are_chosen_where_they_are_looked_up() {
    let count = |command: &str| {
        let reply = accounts_after(
            &format!("/ppp accounting print count-only {command}"),
            false,
        );
        reply.text.trim().to_owned()
    };
    assert_eq!(count(""), "2");
    assert_eq!(count("where user=ann"), "1");
    assert_eq!(count("where active"), "1");
    assert_eq!(count("where bytes-in>1000 and reason=idle-timeout"), "1");
    assert_eq!(count("where user~\"^c\""), "0");
    let wrong = accounts_after("/ppp accounting print where size=1", false);
    assert_eq!(wrong.status, 1, "{}", wrong.text);
    let found = accounts_after("/ppp accounting find user=bob", false);
    assert_eq!(found.text, "*1\n");
    let rows = accounts_after("/ppp accounting print where user=ann", true).text;
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows[0]["bytes-in"], 1234, "{rows}");
    assert_eq!(
        (&rows[0]["radius"], &rows[0]["pending"]),
        (&true.into(), &true.into())
    );
    assert!(accounts::wanted(&line("/ppp active print")).is_none());
    assert!(accounts::wanted(&line("/ppp accounting settings print")).is_none());
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
                    remote-address: 10.0.0.1\n         \
                    path-mtu: 1500\n         \
                    overhead: 40\n           \
                    uplink: eth0\n               \
                    io: native\n";
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
        redials_in: Some(Duration::from_secs(4)),
        last_end: Some(Cause::FailedToAuthenticateOurselves),
        connected: None,
        is_stale: false,
    };

    assert_eq!(
        text("interface pptp-client monitor 0 once", &snapshot),
        "                   status: initializing\n               \
         redials-in: 4s\n   \
         last-disconnect-reason: failed to authenticate ourselves to peer\n"
    );
}

#[test]
fn a_datapath_for_no_interface_in_particular_moves_frames_by_raw_sockets() {
    let mut snapshot = with_datapath();
    if let Some(datapath) = &mut snapshot.datapath {
        datapath.uplinks.clear();
    }
    let shown = text("datapath print", &snapshot);
    assert!(shown.starts_with("         io: raw\n"), "{shown}");
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
    assert_eq!(
        reply.text,
        "failure: the datapath is not connected (line 1 column 10)\n"
    );
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
            ".id": "*81A00001",
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
        "/in/pptp-s/p brief",
        "interface pptp-server print without-paging",
    ] {
        assert_eq!(text(command, &one_session()), expected, "{command}");
    }
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
            "ppp active print foo",
            "expected end of command (line 1 column 18)",
        ),
        (
            "ppp active print detail  x",
            "expected end of command (line 1 column 26)",
        ),
        (
            "ppp active print \u{1b}x",
            "expected end of command (line 1 column 18)",
        ),
        ("a\u{1b}b", "bad command name a?b (line 1 column 1)"),
        (
            "interface pptp-client monitor",
            "missing value(s) of argument(s) numbers (line 1 column 23)",
        ),
        (
            "interface pptp-client monitor nix once",
            "no such item (line 1 column 31)",
        ),
        (
            "interface pptp-client monitor 7 once",
            "no such item (line 1 column 31)",
        ),
        (
            "interface pptp-client monitor 0 x",
            "expected end of command (line 1 column 33)",
        ),
        ("ppp active remove 7", "no such item (line 1 column 19)"),
        (
            "ppp active print where foo=1",
            "expected end of command (line 1 column 24)",
        ),
        (
            "ppp active print proplist=foo",
            "input does not match any value of value-name (line 1 column 27)",
        ),
        (
            "ppp active add name=x",
            "bad command name add (line 1 column 12)",
        ),
        (
            "interface pptp-server comment \"<pptp-MT-User>\" x",
            "failure: can not change dynamic interface (line 1 column 31)",
        ),
        (
            "export show-sensitive=yes",
            "syntax error (line 1 column 23)",
        ),
        (
            "ppp secret add name=u profile=nix",
            "input does not match any value of profile (line 1 column 31)",
        ),
        (
            "ppp profile remove default-encryption",
            "failure: can not remove default profile (line 1 column 13)",
        ),
        (
            "ppp profile add name=p; ppp secret add name=u profile=p foo=1",
            "expected end of command (line 1 column 57)",
        ),
    ] {
        let reply = run(command, false, &config(), &one_session(), 80);
        assert_eq!(reply.text, format!("{expected}\n"), "{command}");
        assert_eq!(reply.status, 1);
    }
}

#[test]
fn a_profile_in_use_is_not_removed() {
    let config = read("/ppp profile add name=p\n/ppp secret add name=u profile=p");
    let outcome = request("/ppp profile remove p", &config);

    assert_eq!(
        outcome.reply.text,
        "failure: profile p is in use by /ppp secret u (line 1 column 14)\n"
    );
    assert_eq!(outcome.config, None);
}

#[test]
fn a_change_is_a_new_configuration_and_says_nothing() {
    let outcome = request(
        "/ppp secret add name=MT-User password=StrongPass",
        &config(),
    );

    assert_eq!((outcome.reply.text.as_str(), outcome.reply.status), ("", 0));
    let secrets = outcome.config.unwrap().secrets;
    assert_eq!(secrets[0].name, "MT-User");
    assert_eq!(outcome.said, ["ppp secret added by admin"]);
    let server = request("/interface/pptp-server/server/set enabled=yes", &config());
    assert_eq!(server.said, ["PPTP Server settings changed by admin"]);
    assert!(server.config.unwrap().server.enabled);
}

#[test]
fn a_request_changes_everything_or_nothing() {
    let good = "/ppp secret add name=a; add name=b; /ppp profile add name=p";
    assert!(
        request(good, &config()).config.is_none(),
        "add stands in the root"
    );
    let good = "/ppp secret; add name=a; add name=b; /ppp profile add name=p";
    let outcome = request(good, &config());
    assert_eq!(outcome.reply.menu, ["ppp", "secret"]);
    assert_eq!(outcome.config.unwrap().secrets.len(), 2);
    let bad = format!("{good}; /ppp secret set a profile=nix");
    let outcome = request(&bad, &config());
    assert_eq!((outcome.config, outcome.reply.status), (None, 1));
}

#[test]
fn what_changes_nothing_is_no_new_configuration() {
    let config = config();
    for line in [
        "/interface pptp-client print",
        "/interface pptp-client set 0 max-mtu=1450",
        "/ppp secret remove [find name=nix]",
        "/interface pptp-client",
    ] {
        assert_eq!(request(line, &config).config, None, "{line}");
    }
}

#[test]
fn numbers_are_those_of_the_last_print() {
    let config = read("/ppp secret\nadd name=a\nadd name=b disabled=yes\nadd name=c");
    let printed = request("/ppp secret print where disabled", &config).reply;
    let ids = &printed.numbers["ppp secret"];
    assert_eq!(ids.len(), 1);
    let mut second = line("/ppp secret remove 0");
    second.numbers = printed.numbers;
    let after = execute(&second, &context(&config, &Snapshot::default()))
        .config
        .unwrap();
    let names: Vec<_> = after
        .secrets
        .iter()
        .map(|secret| secret.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c"]);
    // Without a print they count from 0.
    let after = request("/ppp secret remove 0", &config).config.unwrap();
    assert_eq!(after.secrets[0].name, "b");
    // What was printed and is gone is not mistaken for what stands there now.
    second.line = "/ppp secret remove 0".to_owned();
    let gone = read("/ppp secret\nadd name=a");
    let outcome = execute(&second, &context(&gone, &Snapshot::default()));
    assert_eq!(outcome.reply.text, "no such item (line 1 column 20)\n");
}

#[test]
fn removing_a_dynamic_row_ends_its_session() {
    for command in [
        "/ppp active remove 0",
        "/ppp active remove [find name=MT-User]",
        "/interface pptp-server remove \"<pptp-MT-User>\"",
        "/interface pptp-server remove [find dynamic]",
    ] {
        let outcome = run_whole(command, &config(), &one_session());
        assert_eq!(outcome.disconnect, [0x81a0_0001], "{command}");
        assert_eq!(outcome.config, None);
    }
    let none = run_whole(
        "/ppp active remove [find name=nobody]",
        &config(),
        &one_session(),
    );
    assert_eq!((none.disconnect, none.reply.status), (vec![], 0));
}

#[test]
fn a_binding_shows_the_session_that_has_it() {
    let config = read(
        "/interface pptp-server\nadd name=branch user=MT-User comment=\"the branch\"\n\
         add name=other user=x disabled=yes",
    );
    let mut snapshot = one_session();
    snapshot.server_sessions[0].name = "branch".to_owned();
    assert_eq!(
        run(
            "/interface pptp-server print",
            false,
            &config,
            &snapshot,
            90
        )
        .text,
        "Flags: X - disabled; R - running\n\
         Columns: NAME, USER, MTU, CLIENT-ADDRESS, UPTIME, ENCODING\n\
         #      NAME    USER     MTU   CLIENT-ADDRESS  UPTIME  ENCODING         \n\
         ;;; the branch\n\
         0   R  branch  MT-User  1450  192.168.51.3    44m8s   MPPE128 stateless\n\
         1  X   other   x                                                       \n"
    );
    let changed = run_whole("/interface pptp-server set 0 name=b2", &config, &snapshot);
    assert_eq!(changed.config.unwrap().bindings[0].name, "b2");
    let removed = run_whole("/interface pptp-server remove 0", &config, &snapshot);
    assert_eq!(removed.config.unwrap().bindings.len(), 1);
    assert!(removed.disconnect.is_empty());
    assert_eq!(
        run(
            "/interface pptp-server monitor branch once",
            false,
            &config,
            &snapshot,
            90
        )
        .text,
        "           status: connected\n           uptime: 44m8s\n             user: MT-User\n        \
         caller-id: 192.168.51.3\n         encoding: MPPE128 stateless\n              mtu: 1450\n              \
         mru: 1460\n    local-address: 10.0.0.1\n   remote-address: 10.0.0.5\n"
    );
}

#[test]
fn a_session_with_what_is_no_longer_configured_is_marked() {
    let mut snapshot = one_session();
    snapshot.server_sessions[0].is_stale = true;
    let table = text("/ppp active print", &snapshot);
    assert!(table.contains("STALE-PROFILE\n"), "{table}");
    assert!(
        text(
            "/ppp active print count-only where stale-profile",
            &snapshot
        ) == "1\n"
    );
}

#[test]
fn prints_take_conditions_forms_and_properties() {
    let config = read(
        "/ppp secret\nadd name=ann password=x service=pptp remote-address=10.0.0.5\n\
         add name=bob disabled=yes comment=\"on leave\" profile=default-encryption",
    );
    for (command, expected) in [
        (
            "/ppp secret print",
            "Flags: X - disabled\n\
             Columns: NAME, SERVICE, PASSWORD, PROFILE, REMOTE-ADDRESS\n\
             #     NAME  SERVICE  PASSWORD  PROFILE             REMOTE-ADDRESS\n\
             0     ann   pptp     *****     default             10.0.0.5      \n\
             ;;; on leave\n\
             1  X  bob   any      *****     default-encryption                \n",
        ),
        ("/ppp secret print count-only", "2\n"),
        ("/ppp secret print count-only where disabled", "1\n"),
        (
            "/ppp secret print count-only where name~\"^a\" or disabled=yes",
            "2\n",
        ),
        (
            "/ppp secret print count-only where !disabled service=pptp",
            "1\n",
        ),
        (
            "/ppp secret print proplist=name,password show-sensitive where name=ann",
            "Columns: NAME, PASSWORD\n#  NAME  PASSWORD\n0  ann   x       \n",
        ),
        (
            "/ppp secret print terse proplist=name,comment",
            " 0   name=ann\n 1 X comment=\"on leave\" name=bob\n",
        ),
        (
            "/ppp secret print brief show-ids proplist=name from=bob",
            "Flags: X - disabled\nColumns: NAME\n#      NAME\n;;; on leave\n*2  X  bob \n",
        ),
        (
            "/ppp secret print value-list proplist=name,profile",
            "      name: ann     bob\n   profile: default default-encryption\n",
        ),
        (
            "/ppp secret print as-value proplist=name",
            ".id=*1;name=ann;.id=*2;name=bob\n",
        ),
        ("/ppp secret find where disabled", "*2\n"),
        ("/ppp secret find name=nobody", ""),
        ("/ppp secret get 0 remote-address", "10.0.0.5\n"),
        (
            "/ppp secret get [find name=bob] value-name=comment",
            "on leave\n",
        ),
        ("/system identity get name", "Greyhound\n"),
        ("/system identity print", "   name: Greyhound\n"),
        ("/ppp secret print where name=nobody", ""),
    ] {
        let reply = run(command, false, &config, &Snapshot::default(), 90);
        assert_eq!(reply.text, expected, "{command}");
        assert_eq!(reply.status, 0);
    }
    let json = run(
        "/ppp secret print proplist=name",
        true,
        &config,
        &Snapshot::default(),
        90,
    );
    let json: Json = serde_json::from_str(&json.text).unwrap();
    assert_eq!(json[1]["name"], json!("bob"));
    assert_eq!(
        (&json[1]["disabled"], &json[1][".id"]),
        (&json!(true), &json!("*2"))
    );
    assert_eq!(json[1].get("profile"), None);
}

#[test]
fn profiles_pools_and_single_menus_are_shown() {
    let config = read(
        "/ip pool add name=p ranges=10.0.0.1-10.0.0.9\n/ppp profile add name=q remote-address=p",
    );
    let pool = Occupancy {
        pool: "p".to_owned(),
        free: 8,
        total: 9,
    };
    let used = Used {
        pool: Some("p".to_owned()),
        address: Ipv4Addr::new(10, 0, 0, 1),
        owner: Owner {
            service: "pptp".to_owned(),
            info: "ann".to_owned(),
        },
    };
    let snapshot = Snapshot {
        pools: vec![pool],
        used: vec![used],
        ..Snapshot::default()
    };
    let text = |command| run(command, false, &config, &snapshot, 90).text;
    assert_eq!(
        text("/ip pool print"),
        "Columns: NAME, RANGES, NEXT-POOL, TOTAL, USED, AVAILABLE\n\
         #  NAME  RANGES             NEXT-POOL  TOTAL  USED  AVAILABLE\n\
         0  p     10.0.0.1-10.0.0.9  none       9      1     8        \n"
    );
    assert_eq!(
        text("/ip pool used print"),
        "Columns: POOL, ADDRESS, OWNER, INFO\n\
         #  POOL  ADDRESS   OWNER  INFO\n\
         0  p     10.0.0.1  pptp   ann \n"
    );
    insta::assert_snapshot!(text("/ppp profile print"));
    insta::assert_snapshot!(text("/interface pptp-server server print"));
    insta::assert_snapshot!(text("/ppp aaa print; /radius incoming print"));
}

#[test]
fn the_log_is_printed_line_by_line() {
    let mut log = Recent::default();
    for (seconds, text) in [(0, "<pptp-a>: connected"), (61, "<pptp-b>: connected")] {
        log.push(Entry {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            line: Line::new(Message::Connected, text.to_owned()),
        });
    }
    let (config, snapshot) = (Config::default(), Snapshot::default());
    let context = Context {
        log: &log,
        accounting: Found::default(),
        ..context(&config, &snapshot)
    };
    let text = |command| execute(&line(command), &context).reply.text;
    assert_eq!(
        text("/log print"),
        "1970-01-01 00:00:00 pptp,ppp,info <pptp-a>: connected\n\
         1970-01-01 00:01:01 pptp,ppp,info <pptp-b>: connected\n"
    );
    assert_eq!(
        text("/log print count-only where message~\"pptp-b\""),
        "1\n"
    );
}

#[test]
fn exports_say_when_and_by_whom_and_read_back() {
    let config = config();
    let text = request("/export show-sensitive", &config).reply.text;
    assert!(
        text.starts_with("# 1970-01-01 00:00:00 by Greyhound "),
        "{text}"
    );
    assert!(text.contains("password=StrongPass"));
    assert_eq!(read(&text), config);
    let part = request("/interface pptp-client export", &config).reply.text;
    assert!(!part.contains("StrongPass") && part.contains("/interface pptp-client\n"));
    assert!(
        request("/ppp export", &config)
            .reply
            .text
            .ends_with("\n#\n")
    );
}

#[test]
fn monitor_is_to_be_asked_again_unless_once() {
    let snapshot = one_client();
    assert!(
        run(
            "interface pptp-client monitor 0",
            false,
            &config(),
            &snapshot,
            80
        )
        .repeats
    );
    assert!(
        !run(
            "interface pptp-client monitor 0 once",
            false,
            &config(),
            &snapshot,
            80
        )
        .repeats
    );
}

proptest! {
    #[test]
    fn no_line_panics(words in proptest::collection::vec(word(), 0..12), json: bool) {
        let config = config();
        let mut request = line(&words.concat());
        request.json = json;
        let outcome = execute(&request, &context(&config, &one_session()));
        prop_assert!(outcome.reply.text.is_empty() || outcome.reply.text.ends_with('\n'));
        if let Some(config) = outcome.config {
            let written = export(&config, &[], crate::model::export::WHOLE);
            prop_assert!(Config::parse(&written).is_ok(), "{}", written);
        }
    }
}

/// Pieces of the language, so that what is put together gets past the lexer.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/interface pptp-server ",
        "/interface pptp-client ",
        "/ppp active ",
        "/ppp secret ",
        "/ppp profile ",
        "/ip pool ",
        "/radius ",
        "print ",
        "add ",
        "set ",
        "remove ",
        "get ",
        "find ",
        "unset ",
        "move ",
        "comment ",
        "disable ",
        "monitor ",
        "where ",
        "[find ",
        "] ",
        "(",
        ")",
        "name=",
        "user=",
        "ranges=10.0.0.1 ",
        "connect-to=a ",
        "a ",
        "b ",
        "0 ",
        "0,1 ",
        "*1 ",
        "; ",
        "or ",
        "~\"a\" ",
        "proplist=",
        "copy-from=",
        "default",
        "terse ",
        "value-list ",
        "as-value ",
        "detail ",
        "once ",
        "export ",
        "!",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

fn line(line: &str) -> Request {
    Request {
        line: line.to_owned(),
        menu: Vec::new(),
        numbers: Numbers::new(),
        json: false,
        width: 90,
    }
}

fn context<'a>(config: &'a Config, snapshot: &'a Snapshot) -> Context<'a> {
    static LOG: std::sync::LazyLock<Recent> = std::sync::LazyLock::new(Recent::default);
    Context {
        config,
        snapshot,
        log: &LOG,
        accounting: Found::default(),
        date: SystemTime::UNIX_EPOCH,
    }
}

fn request(command: &str, config: &Config) -> Outcome {
    run_whole(command, config, &Snapshot::default())
}

fn run_whole(command: &str, config: &Config, snapshot: &Snapshot) -> Outcome {
    execute(&line(command), &context(config, snapshot))
}

fn run(command: &str, json: bool, config: &Config, snapshot: &Snapshot, width: u16) -> Reply {
    let request = Request {
        json,
        width,
        ..line(command)
    };
    execute(&request, &context(config, snapshot)).reply
}

fn read(text: &str) -> Config {
    Config::parse(text).unwrap().0
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
            local_address: Ipv4Addr::new(10, 0, 0, 1),
            profile: "default".to_owned(),
            is_stale: false,
            limit_bytes: (0, 0),
            mtu: 1450,
            mru: 1460,
            path_mtu: 1500,
            overhead: 40,
            client_address: Ipv4Addr::new(192, 168, 51, 3),
            address: Ipv4Addr::new(10, 0, 0, 5),
            uptime: Duration::from_millis(2_648_900),
            encoding: "MPPE128 stateless".to_owned(),
            session_id: 0x81a0_0001,
            is_radius: false,
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
            redials_in: None,
            last_end: None,
            is_stale: false,
            connected: Some(ClientConnected {
                kernel_name: "pptp-out1".to_owned(),
                uptime: Duration::from_secs(2886),
                encoding: "MPPE128 stateless".to_owned(),
                mtu: 1450,
                mru: 1450,
                local_address: Ipv4Addr::new(10, 0, 0, 5),
                remote_address: Ipv4Addr::new(10, 0, 0, 1),
                ipv6: None,
                uplink: Uplink {
                    name: "eth0".to_owned(),
                    mtu: 1500,
                    io: IoMode::Native,
                },
                overhead: 40,
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
            uplinks: vec![Uplink {
                name: "eth0".to_owned(),
                mtu: 1500,
                io: IoMode::Native,
            }],
            workers: vec![busy, worker(1, 3, 1)],
            xdp: vec![("redirected".to_owned(), 1000)],
        }),
        ..Snapshot::default()
    }
}

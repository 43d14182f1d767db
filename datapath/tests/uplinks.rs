//! Which interfaces the program serves, by what it says of itself and of its sessions. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::net::Ipv4Addr;
use std::process::Command;

use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::{Event, IoMode, LinkOptions, Request, Tunnel, Uplink, WorkerTotals};
use program::{Control, Program};

#[expect(dead_code, reason = "shared with tests, which need more of it")]
mod program;

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LCP: u16 = 0xc021;
/// Identifier 5, no magic number, and something to know it by (RFC 1661 §5.8).
const ECHO_REQUEST: [u8; 12] = *b"\x09\x05\x00\x0c\0\0\0\0echo";

/// Starts the program with these arguments in a namespace with a veth of two queues, `wire`, behind
/// what the shell prepares there.
fn start(name: &str, prepare: &str, arguments: &str) -> Program {
    let queues = "numtxqueues 2 numrxqueues 2";
    let prepare = format!(
        "ip link add wire {queues} type veth peer name far {queues} && ip link set far up \
         && ip link set wire up && ip addr add {OURS}/24 dev wire && {prepare}"
    );
    Program::start(name, &prepare, arguments)
}

/// Installs a session whose call ids are these, and opens its link.
fn install(
    control: &mut Control,
    number: u32,
    peer: Ipv4Addr,
    (ours, theirs): (u16, u16),
) -> Uplink {
    let session = SessionId(number);
    let tunnel = Tunnel {
        ours: OURS,
        peer,
        call_id: CallId(ours),
        peer_call_id: PeerCallId(theirs),
    };
    control.say(&Request::Install { session, tunnel });
    let installed = control.hear(|event| matches!(event, Event::Installed { .. }));
    let link = LinkOptions {
        opened: true,
        ..LinkOptions::default()
    };
    control.say(&Request::SetLink { session, link });
    let Event::Installed { uplink, .. } = installed else {
        unreachable!("nothing else was wanted")
    };
    uplink
}

fn seen(name: &str, mtu: u16, io: IoMode) -> Uplink {
    Uplink {
        name: name.to_owned(),
        mtu,
        io,
    }
}

#[test]
fn a_session_with_the_host_itself_goes_through_the_loopback() {
    let program = start("itself", "true", "--interface wire");
    let mut datapath = program.connect();
    assert_eq!(datapath.uplinks, [seen("wire", 1500, IoMode::Native)]);
    // Two ends of one call in one process.
    for (number, call_ids) in [(1, (5, 6)), (2, (6, 5))] {
        let uplink = install(&mut datapath, number, OURS, call_ids);
        assert_eq!(uplink, seen("lo", u16::MAX, IoMode::Raw));
    }

    for number in [1, 2] {
        datapath.say(&Request::Send {
            session: SessionId(number),
            protocol: LCP,
            payload: ECHO_REQUEST.to_vec(),
        });
        // The other one's datapath has answered.
        let answer = datapath.hear(|event| matches!(event, Event::Frame { .. }));
        let Event::Frame {
            session, payload, ..
        } = answer
        else {
            unreachable!("nothing else was wanted")
        };
        assert_eq!((session, payload[0]), (SessionId(number), 10));
        assert!(payload.ends_with(b"echo"), "{payload:?}");
    }

    let totals = datapath.totals();
    let sum = |of: fn(&WorkerTotals) -> u64| totals.iter().map(of).sum::<u64>();
    assert!(sum(|one| one.counters.tx_raw) >= 4, "{totals:?}");
    assert!(sum(|one| one.counters.rx_raw) >= 4, "{totals:?}");
    assert_eq!(sum(|one| one.counters.tx_xsk), 0, "{totals:?}");
}

#[test]
fn the_route_of_a_session_says_how_much_goes_out_whole() {
    let prepare = "ip route add 198.51.100.0/24 via 192.0.2.9 mtu 1280";
    let program = start("route", prepare, "--interface wire --queues 1");
    let mut datapath = program.connect();
    let near = install(&mut datapath, 1, [192, 0, 2, 2].into(), (5, 6));
    assert_eq!(near, seen("wire", 1500, IoMode::Native));
    let far = install(&mut datapath, 2, [198, 51, 100, 2].into(), (7, 8));
    assert_eq!(far, seen("wire", 1280, IoMode::Native));
}

#[test]
fn one_interface_in_raw_mode_has_a_worker_for_each_of_its_queues() {
    let program = start("raw", "true", "--interface wire --io raw");
    let datapath = program.connect();
    assert_eq!(datapath.uplinks, [seen("wire", 1500, IoMode::Raw)]);
    assert_eq!(datapath.workers, 2);
}

#[test]
fn without_a_default_route_the_raw_socket_serves_everything() {
    let program = start("none", "true", "--queues 3");
    let mut datapath = program.connect();
    assert_eq!((&datapath.uplinks[..], datapath.workers), (&[][..], 3));
    let uplink = install(&mut datapath, 1, [192, 0, 2, 2].into(), (5, 6));
    assert_eq!(uplink, seen("wire", 1500, IoMode::Raw));
}

#[test]
fn an_interface_that_was_named_and_is_not_there_is_status_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_greyhound-datapath"))
        .args(["--interface", "lo,greyhound-none", "--io", "raw"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--interface greyhound-none"), "{said}");
}

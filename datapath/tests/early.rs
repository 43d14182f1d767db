//! A frame that comes before the session it belongs to, against the real program. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::net::{Ipv4Addr, SocketAddrV4};

use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::{Event, Request, Tunnel};
use program::{Control, Program, wait_for};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket};

mod program;

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SESSION: SessionId = SessionId(7);

/// Enhanced GRE for call 5, sequence number 0, with an empty LCP Configure-Request.
const CONFIGURE_REQUEST: [u8; 20] = [
    0x30, 0x01, 0x88, 0x0b, 0, 8, 0, 5, 0, 0, 0, 0, 0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4,
];

fn raw_frames(control: &mut Control) -> u64 {
    let totals = control.totals();
    totals.iter().map(|one| one.counters.rx_raw).sum()
}

#[test]
fn a_frame_that_overtakes_its_session_is_not_lost() {
    let program = Program::start("early", "true", "--interface lo --io raw");
    program.enter_namespace();
    let mut datapath = program.connect();
    let protocol = Protocol::from_raw(47.try_into().unwrap());
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(protocol)).unwrap();
    let to = SocketAddrV4::new(ADDRESS, 0);
    sendto(&raw, &CONFIGURE_REQUEST, SendFlags::empty(), &to).unwrap();
    wait_for("the frame is read", || {
        (raw_frames(&mut datapath) > 0).then_some(())
    });

    let tunnel = Tunnel {
        ours: ADDRESS,
        peer: ADDRESS,
        call_id: CallId(5),
        peer_call_id: PeerCallId(6),
    };
    datapath.say(&Request::Install {
        session: SESSION,
        tunnel,
    });

    let frame = datapath.hear(|event| matches!(event, Event::Frame { .. }));
    let expected = Event::Frame {
        session: SESSION,
        protocol: 0xc021,
        payload: vec![1, 1, 0, 4],
    };
    assert_eq!(frame, expected);
}

//! A frame that comes before the session it belongs to, against the real program. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::seqpacket::Channel;
use greyhound_datapath::ipc::{Event, Request, Tunnel, VERSION};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SESSION: SessionId = SessionId(7);

/// Enhanced GRE for call 5, sequence number 0, with an empty LCP Configure-Request.
const CONFIGURE_REQUEST: [u8; 20] = [
    0x30, 0x01, 0x88, 0x0b, 0, 8, 0, 5, 0, 0, 0, 0, 0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4,
];

/// The program in a network namespace of its own, in which this thread is as well.
struct Datapath {
    program: Child,
    folder: PathBuf,
    channel: Channel<Request, Event>,
}

impl Datapath {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("greyhound-early-{}", std::process::id()));
        let program = env!("CARGO_BIN_EXE_greyhound-datapath");
        let script = format!(
            "ip link set lo up && echo && exec {program} --interface lo --io raw --run-dir {}",
            folder.display()
        );
        let mut program = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The line comes from inside of the namespace.
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let namespace = File::open(format!("/proc/{}/ns/net", program.id())).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind).unwrap();
        let path = folder.join("datapath.sock");
        let channel = wait_for("the datapath listens", || Channel::connect(&path).ok());
        let mut datapath = Self {
            program,
            folder,
            channel,
        };
        datapath.say(&Request::Hello { version: VERSION });
        datapath.hear(|event| matches!(event, Event::Held { last: true, .. }));
        datapath
    }

    fn say(&mut self, request: &Request) {
        self.channel.send(request).unwrap();
    }

    fn hear(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        wait_for("an event", || {
            self.channel.receive().unwrap().filter(&wanted)
        })
    }

    fn raw_frames(&mut self) -> u64 {
        self.say(&Request::ReadTotals);
        let totals = self.hear(|event| matches!(event, Event::Totals { .. }));
        let Event::Totals { workers, .. } = totals else {
            return 0;
        };
        workers.iter().map(|one| one.counters.rx_raw).sum()
    }
}

impl Drop for Datapath {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_frame_that_overtakes_its_session_is_not_lost() {
    let mut datapath = Datapath::start();
    let protocol = Protocol::from_raw(47.try_into().unwrap());
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(protocol)).unwrap();
    let to = SocketAddrV4::new(ADDRESS, 0);
    sendto(&raw, &CONFIGURE_REQUEST, SendFlags::empty(), &to).unwrap();
    wait_for("the frame is read", || {
        (datapath.raw_frames() > 0).then_some(())
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

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(reached) = attempt() {
            return reached;
        }
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(2));
    }
}

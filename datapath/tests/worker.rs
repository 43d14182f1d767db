//! A worker stepped by hand, between AF_XDP and TUN. Packets come in encrypted, go to TUN merged, are
//! routed back into it by the kernel, come out of it as one and go out by AF_XDP again. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::fs::File;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::process::Command as Program;
use std::sync::Arc;

use arrayvec::ArrayVec;
use greyhound_bpf::{Mode, Steering};
use greyhound_datapath::engine::handoff::Inboxes;
use greyhound_datapath::engine::worker::{self, Command, Exit, Outbox, Parts, Report, Worker};
use greyhound_datapath::engine::{raw, tun, xsk};
use greyhound_datapath::ids::{CallId, PeerCallId, SessionId, WorkerId};
use greyhound_datapath::ipc::{
    Interface, Limits, LinkOptions, Membership, Rate, Tunnel, WorkerTotals,
};
use greyhound_datapath::mppe::{Engine, Job, Parameters, Portable, StartKey, Strength};
use greyhound_datapath::session::{InnerAddress, Session};
use greyhound_datapath::stats::{DropReason, SessionCounters};
use greyhound_datapath::wire::ipv4;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PACKETS: u64 = 1_000_000;
const WARM_UP: u64 = 50_000;
/// Packets of one session that come together.
const TRAIN: usize = 32;
const SESSIONS: u16 = 12;
const RINGS: xsk::Config = xsk::Config {
    rx_frames: 1024,
    tx_frames: 1024,
    copy: false,
};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Behind the peer: what is sent there comes back.
const BEYOND: [u8; 4] = [198, 51, 100, 1];

/// A worker, the far ends of its sessions, and the wire between them.
struct Bench {
    worker: Worker,
    commands: crossbeam::channel::Sender<Command>,
    reports: crossbeam::channel::Receiver<Report>,
    peers: Vec<Peer>,
    wire: xsk::Queue,
    _steering: Steering,
    namespace: Namespace,
}

impl Bench {
    fn new(name: &str) -> Self {
        let namespace = Namespace::enter(name);
        for line in [
            "link add server address 02:00:00:00:00:01 type veth peer name client address 02:00:00:00:00:02",
            "link set server up",
            "link set client up",
        ] {
            namespace.ip(line);
        }
        // That of this thread's namespace.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let mut steering = Steering::load().unwrap();
        let ifindex = namespace.ifindex("server");
        steering.attach(ifindex, Mode::Native).unwrap();
        let queue = xsk::open("server", 1, &RINGS).unwrap().remove(0);
        steering.set_socket(0, &queue).unwrap();
        let wire = xsk::open("client", 1, &RINGS).unwrap().remove(0);
        let (worker, commands, reports) = worker(queue);
        let peers = (0..SESSIONS)
            .map(|number| {
                let peer = Peer::new(number);
                let id = SessionId(number.into());
                steering
                    .insert_session(CLIENT, peer.call_id.0, 0, id.0)
                    .unwrap();
                for command in peer.commands(id) {
                    commands.send(command).unwrap();
                }
                peer
            })
            .collect();
        namespace.ip(&format!("route add {} dev t0", Ipv4Addr::from(BEYOND)));
        Self {
            worker,
            commands,
            reports,
            peers,
            wire,
            _steering: steering,
            namespace,
        }
    }

    /// Sends a train of the next session and lets the worker work; returns its allocations.
    fn turn(&mut self) -> u64 {
        self.peers[0].send(&mut self.wire);
        self.peers.rotate_left(1);
        let counted = allocation_counter::measure(|| self.work());
        counted.count_total
    }

    fn work(&mut self) {
        while self.worker.pass().unwrap() {}
    }

    /// The sessions that have been removed since the last time.
    fn removed(&self) -> Vec<(SessionId, SessionCounters)> {
        let reports = self.reports.try_iter();
        let removed = reports.filter_map(|report| {
            if let Report::Removed(id, counters) = report {
                Some((id, counters))
            } else {
                None
            }
        });
        removed.collect()
    }

    fn totals(&mut self) -> WorkerTotals {
        self.commands.send(Command::ReadTotals).unwrap();
        self.worker.pass().unwrap();
        let totals = self.reports.try_iter().find_map(|report| {
            if let Report::Totals(totals) = report {
                Some(totals)
            } else {
                None
            }
        });
        totals.unwrap()
    }
}

#[test]
fn a_million_packets_and_not_one_allocation() {
    let mut bench = Bench::new("allocations");
    for _ in 0..WARM_UP / TRAIN as u64 {
        bench.turn();
    }
    let moved = |bench: &mut Bench| {
        let totals = bench.totals();
        let counters = totals.counters;
        assert!(
            counters.tun_written * 8 < counters.rx_xsk,
            "merged: {counters:?}"
        );
        assert!(counters.tun_read * 8 < counters.tx_xsk + 8, "{counters:?}");
        assert_eq!(totals.drops, [], "{counters:?}");
        counters.rx_xsk + counters.tx_xsk
    };

    let before = moved(&mut bench);
    let mut allocations = 0;
    let mut after = before;
    while after - before < PACKETS {
        for _ in 0..1000 {
            allocations += bench.turn();
        }
        after = moved(&mut bench);
    }

    assert_eq!(allocations, 0, "in {} packets", after - before);
}

#[test]
fn what_comes_too_fast_is_kept_or_dropped_without_an_allocation() {
    let mut bench = Bench::new("limits");
    // What 12 packets in a second need, and one that nobody exceeds.
    let slow = NonZeroU64::new(100_000).map(Rate::steady);
    let fast = NonZeroU64::new(1 << 40).map(Rate::steady);
    for number in 0..SESSIONS {
        let rate = if number % 2 == 0 { slow } else { fast };
        let limits = Limits {
            rx_rate: rate,
            tx_rate: rate,
            idle_timeout: Some(std::time::Duration::from_secs(3600)),
            clamp_mss: true,
            ..Limits::default()
        };
        let id = SessionId(number.into());
        bench.commands.send(Command::SetLimits(id, limits)).unwrap();
    }
    for _ in 0..500 {
        bench.turn();
    }

    let allocations: u64 = (0..2000).map(|_| bench.turn()).sum();

    let totals = bench.totals();
    let dropped = |reason: DropReason| {
        let mut drops = totals.drops.iter();
        drops.any(|(name, _)| name == reason.name())
    };
    // All that comes back goes to the first session, a slow one.
    for reason in [DropReason::RateLimitRx, DropReason::RateLimitTx] {
        assert!(dropped(reason), "{reason:?}: {totals:?}");
    }
    assert_eq!(allocations, 0);
}

#[test]
fn what_waits_for_a_slow_rate_goes_by_the_faster_one_that_follows() {
    let mut bench = Bench::new("faster");
    bench.work();
    // What comes back goes to the first session, and the kernel does not tell another that this
    // was the long way.
    bench.peers.rotate_left(1);
    let [slow, first] = [1, 0].map(SessionId);
    let limit = |bench: &mut Bench, bits_per_second| {
        let limits = Limits {
            rx_rate: NonZeroU64::new(bits_per_second).map(Rate::steady),
            ..Limits::default()
        };
        bench
            .commands
            .send(Command::SetLimits(slow, limits))
            .unwrap();
        bench.work();
    };
    let came_back = |bench: &mut Bench| {
        bench.commands.send(Command::Read(first)).unwrap();
        bench.work();
        let mut reports = bench.reports.try_iter();
        let sent = reports.find_map(|report| {
            if let Report::Counters(_, counters) = report {
                Some(counters.tx_packets)
            } else {
                None
            }
        });
        sent.unwrap()
    };
    // A packet takes 10 s.
    limit(&mut bench, 100);
    bench.turn();
    // The packets of a full bucket of the least size.
    assert_eq!(came_back(&mut bench), 11);

    // And now 10 ms.
    limit(&mut bench, 100_000);

    let all = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        came_back(&mut bench) == TRAIN as u64
    });
    assert!(all, "{} of {TRAIN}", came_back(&mut bench));
}

#[test]
fn what_the_device_does_not_take_waits_and_is_not_lost() {
    let mut bench = Bench::new("backpressure");
    for _ in 0..SESSIONS {
        bench.turn();
    }
    // An acknowledgement is due after 20 ms, and does not wait for a free frame.
    std::thread::sleep(std::time::Duration::from_millis(30));
    bench.work();
    let before = bench.totals().counters;
    bench.namespace.ip("link set server down");
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // More than there are frames and buffers to read into; the kernel queues 500 before an
    // interface.
    let packets = u64::from(RINGS.tx_frames) + 400;
    for number in 0..packets {
        socket
            .send_to(&number.to_be_bytes(), (Ipv4Addr::new(10, 0, 1, 0), 9))
            .unwrap();
        bench.work();
    }
    let waiting = bench.totals().counters;
    assert!(waiting.tun_read - before.tun_read < packets, "{waiting:?}");

    bench.namespace.ip("link set server up");
    for _ in 0..1000 {
        bench.work();
    }

    let totals = bench.totals();
    assert_eq!(totals.counters.tun_read - before.tun_read, packets);
    assert!(totals.counters.tx_xsk - before.tx_xsk >= packets);
    assert_eq!(totals.drops, []);
}

/// A session is installed before its frames are steered, but a worker may have looked for commands
/// just before, or have more of them than it takes at once.
#[test]
fn a_frame_waits_for_the_command_that_brings_its_session() {
    let mut bench = Bench::new("behind");
    bench.work();
    let id = SessionId(bench.peers[0].number.into());
    let [install, ..] = bench.peers[0].commands(id);
    bench.commands.send(Command::Remove(id)).unwrap();
    bench.work();
    for _ in 0..200 {
        bench.commands.send(Command::Read(SessionId(999))).unwrap();
    }
    bench.commands.send(install).unwrap();

    bench.turn();

    let totals = bench.totals();
    let reasons: Vec<_> = totals.drops.iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["mppe-not-up"], "{totals:?}");
}

/// What is counted in the end is what went through, wherever the removal finds the packets.
#[test]
fn a_removed_session_has_counted_what_went_through_and_counts_no_more() {
    let (first, second) = (SessionId(0), SessionId(1));
    let mut cut = std::collections::BTreeSet::new();
    for passes in 0..6 {
        let mut bench = Bench::new(&format!("removed-{passes}"));
        bench.work();
        bench.turn();
        // What comes back goes to the first session.
        bench.peers[0].send(&mut bench.wire);
        for _ in 0..passes {
            bench.worker.pass().unwrap();
        }
        for id in [first, second] {
            bench.commands.send(Command::Remove(id)).unwrap();
        }
        bench.work();

        let removed = bench.removed();
        let [(_, sender), (_, receiver)] = removed[..] else {
            panic!("{removed:?}");
        };
        let totals = bench.totals();
        let counters = totals.counters;
        let sent = counters.tx_xsk - counters.lone_acks;
        assert_eq!(sender.tx_packets, sent, "{passes}: {sender:?} {totals:?}");
        assert_eq!(sender.rx_packets, TRAIN as u64, "{passes}");
        cut.insert(receiver.rx_packets);

        // Both go on as if nothing had happened.
        bench.turn();
        bench.peers.rotate_right(2);
        bench.turn();
        assert_eq!(bench.removed(), [], "{passes}: once");
        let after = bench.totals().counters;
        assert_eq!(after.tx_xsk - after.lone_acks, sent, "{passes}");
    }
    let (before, behind) = (0, TRAIN as u64);
    assert_eq!(cut.into_iter().collect::<Vec<_>>(), [before, behind]);
}

#[test]
fn what_waits_for_its_time_when_its_session_is_removed_was_not_received() {
    let mut bench = Bench::new("waited");
    bench.work();
    bench.peers.rotate_left(1);
    let [slow, first] = [1, 0].map(SessionId);
    // A packet takes 10 s.
    let limits = Limits {
        rx_rate: NonZeroU64::new(100).map(Rate::steady),
        ..Limits::default()
    };
    bench
        .commands
        .send(Command::SetLimits(slow, limits))
        .unwrap();
    bench.work();
    bench.turn();
    for id in [slow, first] {
        bench.commands.send(Command::Remove(id)).unwrap();
        bench.work();
    }

    let removed = bench.removed();
    let [(_, slow), (_, first)] = removed[..] else {
        panic!("{removed:?}");
    };
    // All that came through the one came back to the other.
    assert_eq!(slow.rx_packets, first.tx_packets);
    assert_eq!(slow.rx_bytes, first.tx_bytes);
    assert!((1..TRAIN as u64).contains(&slow.rx_packets), "{slow:?}");
}

fn worker(
    queue: xsk::Queue,
) -> (
    Worker,
    crossbeam::channel::Sender<Command>,
    crossbeam::channel::Receiver<Report>,
) {
    let poll = mio::Poll::new().unwrap();
    let (commands_out, commands) = crossbeam::channel::unbounded();
    let (reports_out, reports) = crossbeam::channel::unbounded();
    let (frames, _) = crossbeam::channel::bounded(1);
    let owned = (RINGS.rx_frames + RINGS.tx_frames) as usize + worker::POOL_BUFFERS;
    let worker = Worker::new(Parts {
        id: WorkerId(0),
        core: 0,
        queue: Some(queue),
        raw_receiver: None,
        raw_sender: raw::Sender::new().unwrap(),
        inboxes: Arc::new(Inboxes::new(1, owned).unwrap()),
        commands,
        outbox: Outbox {
            reports: reports_out,
            frames,
            wake: Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()),
        },
        spin: std::time::Duration::ZERO,
    });
    (worker.unwrap(), commands_out, reports)
}

/// The other end of a session.
struct Peer {
    number: u8,
    call_id: CallId,
    peer_call_id: PeerCallId,
    session: Session,
    identification: u16,
}

impl Peer {
    fn new(number: u16) -> Self {
        let (call_id, peer_call_id) = (CallId(100 + number), PeerCallId(200 + number));
        let mut session = Session::new(Tunnel {
            ours: CLIENT,
            peer: SERVER,
            call_id: CallId(peer_call_id.0),
            peer_call_id: PeerCallId(call_id.0),
        });
        session.set_interface(Some(inner()));
        let (up, down) = keys();
        session.set_mppe(Some(&down), Some(&up));
        Self {
            number: number.to_le_bytes()[0],
            call_id,
            peer_call_id,
            session,
            identification: 0,
        }
    }

    /// What makes a worker its other end.
    fn commands(&self, id: SessionId) -> [Command; 4] {
        let tunnel = Tunnel {
            ours: SERVER,
            peer: CLIENT,
            call_id: self.call_id,
            peer_call_id: self.peer_call_id,
        };
        let interface = Interface {
            name: format!("t{}", self.number),
            address: Ipv4Addr::new(10, 0, 0, 1),
            peer: Ipv4Addr::new(10, 0, 1, self.number),
            mtu: 1400,
            check_source: false,
            ipv6: None,
            membership: Membership::default(),
            stands: false,
        };
        let (up, down) = keys();
        [
            Command::Install(id, tunnel, Exit::Queue),
            Command::SetLink(id, LinkOptions::default()),
            Command::SetMppe(id, Some(up), Some(down)),
            Command::Attach(
                id,
                tun::create(&interface, true).unwrap(),
                inner(),
                Vec::new(),
            ),
        ]
    }

    /// Sends a train.
    fn send(&mut self, wire: &mut xsk::Queue) {
        let mut frames = ArrayVec::new();
        for _ in 0..TRAIN {
            let mut frame = wire.take_tx().unwrap();
            let len = self.write(frame.area_mut());
            frame.set_len(len);
            frames.push(frame);
        }
        assert_eq!(wire.transmit(&mut frames), TRAIN);
        assert_eq!(wire.kick().unwrap(), 0);
        wire.reclaim();
    }

    fn write(&mut self, out: &mut [u8]) -> usize {
        const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
        let packet = datagram(self.number, self.identification);
        out[..14].copy_from_slice(&ETHERNET);
        let (head, gre) = out.split_at_mut(14 + ipv4::HEADER_LEN);
        let sealed = self.session.seal(&mut Portable, &packet, gre).unwrap();
        let (key, range) = sealed.encrypt.unwrap();
        Portable.crypt(&mut [Job {
            key,
            data: &mut gre[range],
        }]);
        let header = ipv4::Repr {
            source: CLIENT,
            destination: SERVER,
            protocol: ipv4::PROTOCOL_GRE,
            payload_len: u16::try_from(sealed.len).unwrap(),
            tos: 0,
            identification: self.identification,
            dont_fragment: false,
            ttl: 64,
        };
        header.emit(&mut ipv4::Packet::new_unchecked(&mut head[14..]));
        self.identification = self.identification.wrapping_add(1);
        14 + ipv4::HEADER_LEN + sealed.len
    }
}

/// A datagram of the session's flow, which the kernel routes back.
fn datagram(number: u8, identification: u16) -> [u8; 128] {
    let mut packet = [0x5a; 128];
    let header = ipv4::Repr {
        source: Ipv4Addr::new(10, 0, 1, number),
        destination: BEYOND.into(),
        protocol: 17,
        payload_len: 108,
        tos: 0,
        identification,
        dont_fragment: false,
        ttl: 64,
    };
    header.emit(&mut ipv4::Packet::new_unchecked(&mut packet[..]));
    packet[20..26].copy_from_slice(&[0x10, number, 0x20, 0, 0, 108]);
    packet[26..28].fill(0);
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, 17, 0, 108]);
    pseudo.extend(&packet[20..]);
    let checksum = ipv4::checksum(&pseudo);
    packet[26..28].copy_from_slice(&checksum.to_be_bytes());
    packet
}

fn keys() -> (Parameters, Parameters) {
    let of = |byte| Parameters {
        start_key: StartKey([byte; 16]),
        strength: Strength::Bits128,
        stateless: true,
    };
    (of(1), of(2))
}

fn inner() -> InnerAddress {
    InnerAddress {
        peer: Ipv4Addr::new(10, 0, 1, 1),
        check_source: false,
        ipv6: false,
        mtu: 1400,
    }
}

/// A network namespace that this thread is in; gone when dropped.
struct Namespace(String);

impl Namespace {
    fn enter(name: &str) -> Self {
        let name = format!("greyhound-{name}-{}", std::process::id());
        let namespace = Self(name);
        run(&["netns", "add", &namespace.0]);
        let file = File::open(format!("/run/netns/{}", namespace.0)).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).unwrap();
        namespace
    }

    fn ip(&self, line: &str) {
        run(&[&["-n", &self.0], &line.split(' ').collect::<Vec<_>>()[..]].concat());
    }

    fn ifindex(&self, name: &str) -> u32 {
        let shown = run(&["-n", &self.0, "-o", "link", "show", name]);
        shown.split(':').next().unwrap().parse().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Program::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn run(arguments: &[&str]) -> String {
    let output = Program::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

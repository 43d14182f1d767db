//! Packets through the XDP program, and the program onto interfaces. Needs root.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use caps::{CapSet, Capability};
use greyhound_bpf::{Error, MAX_FRAME_BYTES, MAX_QUEUES, Metadata, Mode, Outcome, Steering};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Socket, Type};

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const CALL_ID: u16 = 0x1234;
const OWNER: Metadata = Metadata {
    worker: 3,
    session: 0x0001_0203,
};

#[test]
fn each_frame_meets_its_fate_and_is_counted_once_under_its_name() {
    let steered = Outcome::Redirected(OWNER);
    #[rustfmt::skip]
    let cases = [
        ("data", frame(), "redirected"),
        ("data with an acknowledgement", Frame { gre: GRE_DATA_ACK, ..frame() }, "redirected"),
        ("a lone acknowledgement", Frame { gre: GRE_ACK, ..frame() }, "redirected"),
        ("a VLAN tag", Frame { vlans: &[0x8100], ..frame() }, "redirected"),
        ("a service tag", Frame { vlans: &[0x88a8], ..frame() }, "redirected"),
        ("QinQ", Frame { vlans: &[0x88a8, 0x8100], ..frame() }, "redirected"),
        ("two customer tags", Frame { vlans: &[0x8100, 0x8100], ..frame() }, "redirected"),
        ("three tags", Frame { vlans: &[0x88a8, 0x8100, 0x8100], ..frame() }, "other"),
        ("don't fragment", Frame { fragment: 0x4000, ..frame() }, "redirected"),
        ("the first fragment", Frame { fragment: 0x2000, ..frame() }, "fragment"),
        ("a middle fragment", Frame { fragment: 0x2001, ..frame() }, "fragment"),
        ("the last fragment", Frame { fragment: 0x00b9, ..frame() }, "fragment"),
        ("the farthest fragment", Frame { fragment: 0x1fff, ..frame() }, "fragment"),
        ("IP options", Frame { version_ihl: 0x46, options: &[1; 4], ..frame() }, "ip-options"),
        ("all the IP options", Frame { version_ihl: 0x4f, options: &[1; 40], ..frame() }, "ip-options"),
        ("a fragment with IP options", Frame { version_ihl: 0x46, options: &[1; 4], fragment: 0x2000, ..frame() }, "ip-options"),
        ("an IP header of four words", Frame { version_ihl: 0x44, ..frame() }, "other"),
        ("IP version 6 in an IPv4 frame", Frame { version_ihl: 0x65, ..frame() }, "other"),
        ("IPv6", Frame { ether_type: 0x86dd, ..frame() }, "other"),
        ("ARP", Frame { ether_type: 0x0806, ..frame() }, "other"),
        ("TCP", Frame { protocol: 6, ..frame() }, "other"),
        ("a fragment of UDP", Frame { protocol: 17, fragment: 0x2000, ..frame() }, "other"),
        ("GRE version 0", Frame { gre: [0x30, 0x00, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("GRE version 2", Frame { gre: [0x30, 0x02, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("no key", Frame { gre: [0x10, 0x01, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("a checksum", Frame { gre: [0xb0, 0x01, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("routing", Frame { gre: [0x70, 0x01, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("a strict source route", Frame { gre: [0x38, 0x01, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("recursion", Frame { gre: [0x31, 0x01, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("reserved flags", Frame { gre: [0x30, 0x09, 0x88, 0x0b], ..frame() }, "bad-gre"),
        ("IPv4 in GRE", Frame { gre: [0x30, 0x01, 0x08, 0x00], ..frame() }, "bad-gre"),
        ("another call id", Frame { call_id: CALL_ID + 1, ..frame() }, "unknown-call"),
        ("the call id turned around", Frame { call_id: CALL_ID.swap_bytes(), ..frame() }, "unknown-call"),
        ("another peer", Frame { source: Ipv4Addr::new(192, 0, 2, 8), ..frame() }, "unknown-call"),
        ("the longest frame", Frame { length: MAX_FRAME_BYTES, ..frame() }, "redirected"),
        ("a longer frame", Frame { length: MAX_FRAME_BYTES + 1, ..frame() }, "oversize"),
        ("a jumbo frame", Frame { length: 3000, ..frame() }, "oversize"),
    ];
    let (mut steering, socket) = (load(), xsk());
    steering.set_socket(0, &socket).unwrap();
    for (name, frame, fate) in cases {
        let expected = if fate == "redirected" {
            steered.clone()
        } else {
            Outcome::Passed
        };
        assert_fate(&steering, name, &frame.bytes(), &expected, fate);
    }
}

#[test]
fn a_frame_that_ends_inside_of_a_header_passes_whatever_its_length() {
    let (mut steering, socket) = (load(), xsk());
    steering.set_socket(0, &socket).unwrap();
    let tags: [&[u16]; 3] = [&[], &[0x8100], &[0x88a8, 0x8100]];
    for vlans in tags {
        let bytes = Frame { vlans, ..frame() }.bytes();
        // Up to the end of the call id, which is all that the program looks at.
        let headers = 14 + 4 * vlans.len() + 20 + 8;
        for length in 14..headers {
            let name = format!("{length} bytes with {} tags", vlans.len());
            assert_fate(
                &steering,
                &name,
                &bytes[..length],
                &Outcome::Passed,
                "truncated",
            );
        }
        let steered = Outcome::Redirected(OWNER);
        assert_fate(
            &steering,
            "all headers",
            &bytes[..headers],
            &steered,
            "redirected",
        );
    }
}

#[test]
fn a_queue_without_a_socket_leaves_frames_to_the_kernel() {
    let (mut steering, socket) = (load(), xsk());
    let bytes = frame().bytes();
    assert_fate(
        &steering,
        "never set",
        &bytes,
        &Outcome::Passed,
        "no-socket",
    );
    steering.set_socket(1, &socket).unwrap();
    assert_fate(
        &steering,
        "set elsewhere",
        &bytes,
        &Outcome::Passed,
        "no-socket",
    );
    steering.set_socket(0, &socket).unwrap();
    assert_fate(
        &steering,
        "set",
        &bytes,
        &Outcome::Redirected(OWNER),
        "redirected",
    );
    steering.clear_socket(0).unwrap();
    steering.clear_socket(0).unwrap();
    assert_fate(&steering, "cleared", &bytes, &Outcome::Passed, "no-socket");
    steering.set_socket(0, &socket).unwrap();
    drop(socket);
    assert_fate(&steering, "closed", &bytes, &Outcome::Passed, "no-socket");
}

#[test]
fn a_session_is_steered_from_when_it_is_inserted_until_it_is_removed() {
    let (mut steering, socket) = (load(), xsk());
    steering.set_socket(0, &socket).unwrap();
    let bytes = frame().bytes();
    let moved = Metadata {
        worker: u32::from(u16::MAX),
        session: u32::MAX,
    };
    steering
        .insert_session(PEER, CALL_ID, u16::MAX, u32::MAX)
        .unwrap();
    assert_eq!(steering.sessions(), 1);
    assert_eq!(steering.run(&bytes).unwrap(), Outcome::Redirected(moved));
    for call_id in [0, u16::MAX] {
        steering.insert_session(PEER, call_id, 0, 0).unwrap();
        let other = Frame { call_id, ..frame() }.bytes();
        assert_eq!(
            steering.run(&other).unwrap(),
            Outcome::Redirected(Metadata::default())
        );
        steering.remove_session(PEER, call_id).unwrap();
        assert_eq!(steering.run(&other).unwrap(), Outcome::Passed);
    }
    steering.remove_session(PEER, CALL_ID).unwrap();
    steering.remove_session(PEER, CALL_ID).unwrap();
    assert_eq!(steering.sessions(), 0);
    assert_eq!(steering.run(&bytes).unwrap(), Outcome::Passed);
}

#[test]
fn a_queue_beyond_the_last_is_refused() {
    let mut steering = load();
    let error = steering.set_socket(MAX_QUEUES, xsk()).unwrap_err();
    assert!(
        error.to_string().starts_with("the map of sockets: "),
        "{error}"
    );
    steering.set_socket(MAX_QUEUES - 1, xsk()).unwrap();
}

#[test]
fn the_program_is_attached_in_the_mode_asked_for_and_detached_when_dropped() {
    let _namespace = Namespace::enter();
    ip("link add va mtu 9000 type veth peer name vb mtu 9000");
    let ifindex = ifindex("va");
    for (mode, shown) in [(Mode::Native, " xdp "), (Mode::Skb, " xdpgeneric ")] {
        let mut steering = load();
        steering.attach(ifindex, mode).unwrap();
        let link = ip("link show va");
        assert!(link.contains(shown), "{link}");
        steering.detach();
        assert!(!ip("link show va").contains("xdp"), "{mode}");
        steering.attach(ifindex, mode).unwrap();
        drop(steering);
        assert!(!ip("link show va").contains("xdp"), "{mode}");
    }
}

#[test]
fn errors_of_attaching_say_what_is_in_the_way() {
    let _namespace = Namespace::enter();
    ip("link add va type veth peer name vb");
    let (mut first, mut second) = (load(), load());
    first.attach(ifindex("va"), Mode::Native).unwrap();
    for mode in [Mode::Native, Mode::Skb] {
        let error = second.attach(ifindex("va"), mode).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("; another XDP program is attached to it"),
            "{error}"
        );
    }
    let error = second.attach(1, Mode::Native).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("; its driver has no native XDP"),
        "{error}"
    );
    for missing in [4711, u32::MAX] {
        let error = second.attach(missing, Mode::Native).unwrap_err();
        assert!(
            matches!(error, Error::Attach { ifindex, .. } if ifindex == missing),
            "{error}"
        );
        assert!(
            error.to_string().ends_with("; there is no such interface"),
            "{error}"
        );
    }
}

#[test]
fn two_capabilities_are_enough_to_steer_and_fewer_are_asked_for() {
    let _namespace = Namespace::enter();
    ip("link add va type veth peer name vb");
    let ifindex = ifindex("va");
    keep_capabilities(&[Capability::CAP_BPF, Capability::CAP_NET_ADMIN]);
    let mut steering = load();
    steering.attach(ifindex, Mode::Native).unwrap();
    keep_capabilities(&[]);
    let error = Steering::load().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the XDP program was not loaded: Operation not permitted (os error 1); \
         CAP_BPF and CAP_NET_ADMIN are needed"
    );
    // Maps that are open stay usable, for a process that has given up all it had.
    steering.insert_session(PEER, 1, 0, 0).unwrap();
    assert_eq!(steering.sessions(), 2);
}

/// Gives up all capabilities of the calling thread but these.
fn keep_capabilities(kept: &[Capability]) {
    let kept = kept.iter().copied().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).unwrap();
    }
}

fn load() -> Steering {
    let root = rustix::process::geteuid().is_root();
    assert!(
        root,
        "these tests load a program into the kernel: run them as root"
    );
    let mut steering = Steering::load().unwrap();
    let worker = OWNER.worker.try_into().unwrap();
    steering
        .insert_session(PEER, CALL_ID, worker, OWNER.session)
        .unwrap();
    steering
}

/// A socket that can be in the map, which is all that the program looks for.
fn xsk() -> Socket {
    const AF_XDP: i32 = 44;
    Socket::new(Domain::from(AF_XDP), Type::RAW, None).unwrap()
}

fn assert_fate(steering: &Steering, name: &str, bytes: &[u8], expected: &Outcome, fate: &str) {
    let before = steering.counters().unwrap();
    assert_eq!(&steering.run(bytes).unwrap(), expected, "{name}");
    let after = steering.counters().unwrap();
    let counted: Vec<_> = (before.iter().zip(&after))
        .flat_map(|(before, after)| (before.1..after.1).map(|_| after.0))
        .collect();
    assert_eq!(counted, [fate], "{name}");
}

/// The first four bytes of a GRE header: K and S, K and S and A, K and A.
const GRE_DATA: [u8; 4] = [0x30, 0x01, 0x88, 0x0b];
const GRE_DATA_ACK: [u8; 4] = [0x30, 0x81, 0x88, 0x0b];
const GRE_ACK: [u8; 4] = [0x20, 0x81, 0x88, 0x0b];

struct Frame {
    vlans: &'static [u16],
    ether_type: u16,
    version_ihl: u8,
    fragment: u16,
    protocol: u8,
    source: Ipv4Addr,
    options: &'static [u8],
    gre: [u8; 4],
    call_id: u16,
    length: usize,
}

/// A frame of the call that [`load`] steers.
fn frame() -> Frame {
    Frame {
        vlans: &[],
        ether_type: 0x0800,
        version_ihl: 0x45,
        fragment: 0,
        protocol: 47,
        source: PEER,
        options: &[],
        gre: GRE_DATA,
        call_id: CALL_ID,
        length: 100,
    }
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for (tag, tpid) in self.vlans.iter().enumerate() {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend([0, 100 + u8::try_from(tag).unwrap()]);
        }
        bytes.extend(self.ether_type.to_be_bytes());
        bytes.extend([self.version_ihl, 0, 0, 86, 0, 1]);
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend([198, 51, 100, 1]);
        bytes.extend(self.options);
        bytes.extend(self.gre);
        bytes.extend([0, 50]);
        bytes.extend(self.call_id.to_be_bytes());
        bytes.resize(self.length, 0x5a);
        bytes
    }
}

/// A network namespace for the calling thread. It ends with the thread and the child that made it.
struct Namespace(Child);

impl Namespace {
    fn enter() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The line comes from inside of the new namespace.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let file = std::fs::File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).unwrap();
        Self(child)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn ifindex(interface: &str) -> u32 {
    let shown = ip(&format!("-o link show {interface}"));
    shown.split(':').next().unwrap().parse().unwrap()
}

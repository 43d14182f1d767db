//! What the fuzzers begin with: the frames and messages of captured sessions, every message and
//! packet by itself, and what others have crashed on.

use std::collections::BTreeSet;

use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::{self, Event, Held, LinkOptions, Request, Tunnel};
use greyhound_datapath::mppe::{Parameters, StartKey, Strength};
use greyhound_datapath::offload::vnet::{Gso, Header};
use greyhound_datapath::stats::SessionCounters;
use greyhound_datapath::wire::{gre, ipv4, ppp};

use crate::input::Input;
use crate::messages::message;

#[expect(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared with tests, which need more of it"
)]
#[path = "../../pcaps/pcap.rs"]
mod pcap;

/// An input.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Of which target.
    pub target: &'static str,
    /// What it is.
    pub name: String,
    /// The bytes.
    pub input: Vec<u8>,
}

/// All of them.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Seeds::default();
    captured_frames(&mut seeds);
    captured_messages(&mut seeds);
    between_processes(&mut seeds);
    text(&mut seeds);
    offload(&mut seeds);
    connections(&mut seeds);
    links(&mut seeds);
    pairs(&mut seeds);
    sessions(&mut seeds);
    servers(&mut seeds);
    answers(&mut seeds);
    seeds.0
}

#[derive(Default)]
struct Seeds(Vec<Seed>);

impl Seeds {
    fn add(&mut self, target: &'static str, name: impl Into<String>, input: impl Into<Vec<u8>>) {
        self.0.push(Seed {
            target,
            name: name.into(),
            input: input.into(),
        });
    }
}

/// What RADIUS servers say: code, method, and each attribute that means something.
fn answers(seeds: &mut Seeds) {
    let of_vendor = |vendor: u32, number: u8, value: &[u8]| {
        let len = u8::try_from(value.len()).expect("a short value");
        let vendor = vendor.to_be_bytes();
        [&[26, len + 8][..], &vendor, &[number, len + 2], value].concat()
    };
    let proof = [b"\x01S=", &[b'A'; 40][..]].concat();
    let pieces = [
        ("nothing", Vec::new()),
        ("address", vec![8, 6, 10, 0, 0, 5, 9, 6, 255, 255, 255, 0]),
        ("route", [&[22, 12][..], b"10.0.0.0/8"].concat()),
        (
            "times",
            vec![27, 6, 0, 0, 0, 60, 28, 6, 0, 0, 0, 9, 85, 6, 0, 0, 0, 1],
        ),
        ("class", vec![25, 3, 1, 25, 3, 2, 62, 6, 0, 0, 0, 1]),
        (
            "user",
            vec![1, 5, b'a', b'n', b'n', 55, 6, 0x65, 0x53, 0xf1, 0],
        ),
        ("rate", of_vendor(14988, 8, b"1M/2M 3M/4M 1M/1M 8/8")),
        ("group", of_vendor(14988, 3, b"gold")),
        ("limit", of_vendor(14988, 17, &[0, 0, 0, 1])),
        ("proof", of_vendor(311, 26, &proof)),
        ("error", of_vendor(311, 2, b"\x01E=691 R=0 C=00 V=3 M=No")),
        ("key", of_vendor(311, 16, &[0x80; 34])),
        ("keys", of_vendor(311, 12, &[7; 32])),
        ("signature", [&[80, 18][..], &[0; 16]].concat()),
    ];
    for (name, attributes) in pieces {
        for code in [2, 3, 5, 11, 40, 43] {
            for method in 0..4 {
                let input = [&[code, method][..], &attributes].concat();
                seeds.add("radius", format!("{name}-{code}-{method}"), input);
            }
        }
    }
}

/// One frame of each kind that the captures have: by protocol, code and size.
fn captured_frames(seeds: &mut Seeds) {
    let mut kinds = BTreeSet::new();
    for name in pcap::CAPTURES {
        for (number, packet) in pcap::packets(name, ipv4::PROTOCOL_GRE).iter().enumerate() {
            let bytes = &packet.payload;
            let inside = gre::Packet::new_checked(bytes).ok().and_then(|gre| {
                let frame = ppp::Packet::new_checked(gre.payload()).ok()?;
                let information = frame.information();
                let code = information
                    .first()
                    .copied()
                    .filter(|_| frame.protocol() > 0x7fff);
                Some((frame.protocol(), code, information.to_vec()))
            });
            let kind = inside
                .as_ref()
                .map(|(protocol, code, _)| (*protocol, *code));
            if !kinds.insert((kind, bytes.len() / 128)) {
                continue;
            }
            let what = format!("{name}, GRE frame {number}");
            seeds.add("frames", &what, bytes.as_slice());
            // To a session it is a frame that nobody sent.
            let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
            seeds.add(
                "session",
                &what,
                [&[0x08, 0x0f, len], &bytes[..len.into()]].concat(),
            );
            let Some((protocol, Some(_), packet)) = inside else {
                continue;
            };
            // To a link it is a packet as it is, in either role, at the beginning and later.
            let which = [0xc021, 0xc023, 0xc223, 0x80fd, 0x8021, 0x8057];
            let Some(which) = which.iter().position(|one| *one == protocol) else {
                continue;
            };
            let which = u8::try_from(which).unwrap_or(0);
            let len = u8::try_from(packet.len()).unwrap_or(u8::MAX);
            let step = [&[14, which, len], &packet[..len.into()]].concat();
            for role in [0, 1] {
                let begin = [role, 0x05, 0x0f, 0x02];
                let up = up_to_network(role, 8);
                seeds.add("ppp_link", &what, [&begin, step.as_slice()].concat());
                seeds.add("ppp_link", &what, [&begin, up.as_slice(), &step].concat());
            }
        }
    }
}

fn captured_messages(seeds: &mut Seeds) {
    const TCP: u8 = 6;

    let mut known = BTreeSet::new();
    for name in pcap::CAPTURES {
        for packet in pcap::packets(name, TCP) {
            let segment = packet.payload;
            let data = &segment[usize::from(segment[12] >> 4) * 4..];
            if data.is_empty() || !known.insert(data.to_vec()) {
                continue;
            }
            seeds.add("pptp_messages", name, data);
            let len = u8::try_from(data.len()).unwrap_or(u8::MAX);
            let step = [&[7, len], &data[..len.into()]].concat();
            seeds.add("pptp_connection", name, [&[0], step.as_slice()].concat());
            seeds.add("pptp_connection", name, [&[1], step.as_slice()].concat());
        }
    }
    let mut all = Vec::new();
    for kind in 0..16 {
        all.extend(message(&mut Input::new(&[kind, 0, 7, 0])));
    }
    for kind in 0..16 {
        let one = message(&mut Input::new(&[kind, 0, 7, 0]));
        seeds.add("pptp_messages", format!("control message type {kind}"), one);
    }
    seeds.add("pptp_messages", "one of each", all);
    // Shorter than what every message has.
    for len in [0, 1, 4, 8, 11, 12, 15] {
        let mut short = message(&mut Input::new(&[1, 0, 0, 0]));
        short[1] = len;
        seeds.add("pptp_messages", format!("length {len}"), short.as_slice());
        short.truncate(usize::from(len).max(2));
        seeds.add("pptp_messages", format!("{len} bytes"), short);
    }
}

fn between_processes(seeds: &mut Seeds) {
    let session = SessionId(3);
    let parameters = Parameters {
        start_key: StartKey([7; 16]),
        strength: Strength::Bits128,
        stateless: true,
    };
    let requests = [
        Request::Hello {
            version: ipc::VERSION,
        },
        Request::SetLink {
            session,
            link: LinkOptions::default(),
        },
        Request::SetMppe {
            session,
            rx: Some(parameters),
            tx: None,
        },
        Request::Send {
            session,
            protocol: 0xc021,
            payload: vec![1, 1, 0, 4],
        },
        Request::Remove { session },
        Request::Forget { session },
        Request::ReadTotals,
    ];
    for request in requests {
        let bytes = postcard::to_stdvec(&request).unwrap_or_default();
        seeds.add("ipc", format!("{request:?}"), bytes);
    }
    let tunnel = Tunnel {
        ours: [192, 0, 2, 2].into(),
        peer: [192, 0, 2, 9].into(),
        call_id: CallId(5),
        peer_call_id: PeerCallId(6),
    };
    let held = [None, Some(SessionCounters::default())].map(|removed| Held {
        session,
        tunnel,
        removed,
    });
    let events = [
        Event::Held {
            sessions: Vec::new(),
            last: true,
        },
        Event::Held {
            sessions: held.to_vec(),
            last: false,
        },
        Event::Removed {
            session,
            counters: SessionCounters::default(),
        },
        Event::Frame {
            session,
            protocol: 0xc021,
            payload: vec![1, 1, 0, 4],
        },
        Event::Attached {
            session,
            kernel_name: "tun0".into(),
            ifindex: 3,
        },
        Event::Failed {
            session,
            reason: "no".into(),
        },
        Event::Totals {
            workers: Vec::new(),
            xdp: vec![("pass".into(), 1)],
        },
    ];
    for event in events {
        let bytes = postcard::to_stdvec(&event).unwrap_or_default();
        seeds.add("ipc", format!("{event:?}"), bytes);
    }
}

fn text(seeds: &mut Seeds) {
    let demo = include_str!("../../../control/src/model/demo.rsc");
    seeds.add("configuration", "the demonstration", demo);
    seeds.add(
        "configuration",
        "quotes, continued lines, comments",
        "/ppp secret\nadd name=\"a \\\"b\\\" \\41\" \\\n  password=x # y\nset 0 disabled=yes\n\
         /ip pool add name=a ranges=10.0.0.1-10.0.0.9,10.0.1.0/24 next-pool=b\n",
    );
    seeds.add(
        "configuration",
        "times and rates",
        "/ppp profile\nadd name=p session-timeout=1d2h3m4s idle-timeout=00:10:00 rate-limit=1M/2M\n\
         /interface pptp-server server set enabled=yes keepalive-timeout=disabled mrru=1600\n",
    );
    seeds.add(
        "configuration",
        "every menu and kind of change",
        "/system identity set name=gate\n/ip pool add name=a ranges=10.0.0.0/24; add name=b \
         ranges=10.0.1.1 next-pool=a\n/ppp profile\nadd name=p rate-limit=\"1M/4M 2M/8M 1M/4M 8/8\" \
         address-list=x,y incoming-filter=c on-up=\"/bin/true a\"\nset [ find default=yes name~\"enc\" ] \
         use-encryption=required\n/interface pptp-server add user=u\n/ppp secret\nadd name=u profile=p \
         routes=\"10.1.0.0/16 10.0.0.5 1\" limit-bytes-in=5\nadd copy-from=u name=v\ncomment 0 \"x y\"\n\
         disable [find name=v]\nunset u profile\nremove *2\n/radius add address=127.0.0.1 service=ppp\n\
         add address=10.0.0.1\nmove 1 0\n/radius incoming set accept=yes\n/ppp aaa reset\n",
    );
    for command in [
        "ppp active print",
        "interface pptp-server print detail",
        "/interface/pptp-client/monitor 0",
        "datapath print",
        "ppp secret print where name=ann or (disabled and !comment~\"x\")",
        "/ppp secret print terse show-ids proplist=name,profile from=0",
        "/ppp secret set 0,bob name=x !caller-id; print value-list; print as-value",
        "/ppp profile add copy-from=pooled name=q; remove pooled",
        "/interface pptp-server add user=ann; /interface pptp-server remove [find !dynamic]",
        "/ppp secret get [find name=ann] remote-address",
        "/export verbose terse show-sensitive",
        "/log print; /ip pool used print count-only",
        "int pptp-s pr stats",
        "",
        "help",
    ] {
        seeds.add("console", command, command);
        let line = format!(
            "{{\"line\":{command:?},\"menu\":[\"ppp\"],\"numbers\":{{\"ppp secret\":[1]}},\
             \"json\":true,\"width\":80}}\n"
        );
        seeds.add("console", format!("{command}, as a line"), line);
    }
}

fn offload(seeds: &mut Seeds) {
    seeds.add(
        "merge",
        "three segments and a datagram",
        [
            &[0x00, 8, 1, 2, 3, 4, 5, 6, 7, 8][..],
            &[0x00, 8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x04, 0x18, 3, 1, 2, 3],
            &[0x02, 4, 1, 2, 3, 4],
            &[0x02, 4, 1, 2, 3, 4],
            &[0x11, 12, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 4, 1, 2, 3, 4],
            &[0x11, 12, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 4, 1, 2, 3, 4],
        ]
        .concat(),
    );
    let mut tcp = vec![0x45, 0, 0, 90, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 5];
    tcp.extend([192, 0, 2, 9, 0x13, 0x89, 0x9c, 0x40, 0, 0, 0, 1, 0, 0, 0, 2]);
    tcp.extend([0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    tcp.resize(90, 7);
    for (gso, size) in [
        (Gso::Tcp4, 20),
        (Gso::Tcp4, 0),
        (Gso::Tcp4, 1),
        (Gso::None, 0),
    ] {
        let header = Header {
            needs_csum: true,
            gso,
            hdr_len: 40,
            gso_size: size,
            csum_start: 20,
            csum_offset: 16,
        };
        let input = [&[5, 0xdc], &header.emit()[..], &tcp].concat();
        seeds.add("split", format!("{gso:?} of {size}"), input);
    }
    let mut udp = vec![0x60, 0, 0, 0, 0, 38, 17, 64];
    udp.extend([0xfd; 32]);
    udp.extend([0x13, 0x89, 0x9c, 0x40, 0, 38, 0, 0]);
    udp.resize(78, 7);
    let header = Header {
        needs_csum: true,
        gso: Gso::Udp,
        hdr_len: 48,
        gso_size: 10,
        csum_start: 40,
        csum_offset: 6,
    };
    let input = [&[5, 0xdc], &header.emit()[..], &udp].concat();
    seeds.add("split", "datagrams over IPv6", input);
}

/// A message in the script of a connection: as itself.
const fn say(kind: u8, first: u8, second: u8) -> [u8; 5] {
    [0, kind, first, second, 0]
}

fn connections(seeds: &mut Seeds) {
    let start = say(1, 0, 0);
    let call = say(7, 7, 0);
    let clear = say(12, 7, 0);
    // The order that stopped another server.
    let input = [&[0][..], &start, &call, &clear].concat();
    seeds.add("pptp_connection", "start, call, clear", input);
    let input = [&[0][..], &start, &call, &[11], &clear, &say(3, 1, 0)].concat();
    seeds.add("pptp_connection", "a whole call", input);
    let input = [
        &[0][..],
        &call,
        &start,
        &start,
        &call,
        &call,
        &[12],
        &[9, 61],
        &[9, 61],
    ]
    .concat();
    seeds.add("pptp_connection", "everything twice", input);
    let input = [
        &[1][..],
        &say(2, 0, 0),
        &[13],
        &say(8, 9, 1),
        &say(13, 9, 0),
    ]
    .concat();
    seeds.add("pptp_connection", "a client's call", input);
    let input = [
        &[1][..],
        &say(2, 0, 0),
        &[13],
        &say(8, 9, 1),
        &[14, 1],
        &[10],
        &[10],
    ]
    .concat();
    seeds.add("pptp_connection", "a client's call, cleared in vain", input);
    for kind in 0..16 {
        let input = [&[0][..], &start, &call, &[11], &say(kind, 7, 1)].concat();
        seeds.add("pptp_connection", format!("type {kind} in a call"), input);
    }
    // A length below the fixed header.
    let input = [&[0][..], &start, &[0, 7, 7, 0, 1, 1, 1, 8]].concat();
    seeds.add("pptp_connection", "length 8", input);
}

/// LCP, authentication, and all networks, in the script of a link.
fn up_to_network(role: u8, methods: u8) -> Vec<u8> {
    // A magic number, and what a server asks for.
    let asks: &[u8] = match (role, methods) {
        (0, _) => &[],
        (_, 1) => &[3, 4, 0xc0, 0x23],
        (_, 2) => &[3, 5, 0xc2, 0x23, 5],
        (_, 4) => &[3, 5, 0xc2, 0x23, 0x80],
        (_, _) => &[3, 5, 0xc2, 0x23, 0x81],
    };
    let options = [&[5, 6, 1, 2, 3, 4], asks].concat();
    let mut script = vec![7, u8::try_from(options.len()).unwrap_or(0)];
    script.extend(options);
    // The size of what is proved by, and where it is a server's the verdict and a policy.
    script.push(match (role, methods) {
        (0, 2) | (_, 4) => 0,
        (_, _) => 1,
    });
    if role == 0 {
        script.extend([0, 0x05]);
    }
    script.extend([6, 18, 6, 1, 0, 0, 0x40]);
    script.extend([6, 3, 6, 10, 77, 1, 100]);
    script.extend([10, 1, 10, 0, 0, 0, 0, 0, 0, 0, 5]);
    if role == 1 {
        // A Configure-Nak with its address, and agreement.
        script.extend([0, 4, 3, 4, 27, 5, 4]);
    }
    script
}

fn links(seeds: &mut Seeds) {
    for role in [0, 1] {
        for (methods, policy) in [(1, 0), (2, 0x10), (8, 0x25), (8, 0x37)] {
            let begin = [role, policy, methods, 2];
            let up = up_to_network(role, methods);
            let whole = [&begin, up.as_slice()].concat();
            seeds.add(
                "ppp_link",
                format!("role {role} up, {methods}"),
                whole.as_slice(),
            );
            let endings: [(&str, &[u8]); 5] = [
                ("ends", &[15, 0]),
                ("lower layer goes", &[15, 33]),
                ("silence", &[11, 11, 11, 11, 11, 11, 11, 11]),
                ("terminated", &[0, 0, 5, 1]),
                ("begins anew", &[7, 0]),
            ];
            for (what, step) in endings {
                seeds.add("ppp_link", what, [whole.as_slice(), step].concat());
            }
        }
        let begin = [role, 0, 15, 0];
        let raw = |which: u8, packet: &[u8]| {
            let len = u8::try_from(packet.len()).unwrap_or(u8::MAX);
            [&begin, [14, which, len].as_slice(), packet].concat()
        };
        // Options of length 0 and 1.
        seeds.add(
            "ppp_link",
            "option of length 0",
            raw(0, &[1, 1, 0, 6, 1, 0]),
        );
        seeds.add(
            "ppp_link",
            "option of length 1",
            raw(0, &[1, 1, 0, 6, 1, 1]),
        );
        seeds.add("ppp_link", "packet of length 3", raw(0, &[1, 1, 0, 3]));
        // The EAP packet of CVE-2020-8597, whose value is as long as it says it is.
        let mut eap = vec![1, 1, 0, 60, 4, 16];
        eap.resize(60, b'A');
        let step = [&begin, [14, 12, 0xc2, 0x27, 60].as_slice(), &eap].concat();
        seeds.add("ppp_link", "EAP with a long name", step);
        // Values of a challenge and a response that are longer than what follows.
        for size in [0, 8, 16, 48, 49, 50, 255] {
            for code in [1, 2] {
                let mut packet = vec![code, 1, 0, 58, size];
                packet.resize(58, 3);
                let name = format!("value of {size}");
                seeds.add(
                    "ppp_link",
                    name,
                    [raw(2, &packet), up_to_network(role, 8)].concat(),
                );
            }
        }
    }
}

fn pairs(seeds: &mut Seeds) {
    for methods in [1, 2, 4, 8] {
        for policy in [0, 5, 0xf] {
            let begin = [policy, methods, 2, policy, methods, 0, policy];
            seeds.add("ppp_pair", "undisturbed", begin);
            let settle = [0x75, 0xf5, 0xf5];
            for harm in 8..16 {
                let input = [&begin[..], &settle, &[harm, 3, 9, 1], &settle, &[7, 7, 7]].concat();
                seeds.add("ppp_pair", format!("harm {harm} later"), input);
                let input = [&begin[..], &[0x80 | harm, 1, 9, 1], &settle, &[7, 7]].concat();
                seeds.add("ppp_pair", format!("harm {harm} at first"), input);
            }
        }
    }
}

fn sessions(seeds: &mut Seeds) {
    let packets = [0x00, 40, 0x00, 0, 0x50, 10];
    let deliver = [0x84, 0x94, 0x84];
    for (what, mppe) in [
        ("plain", &[][..]),
        ("stateless", &[0x8c, 2]),
        ("stateful", &[0x8c, 0x82]),
        ("40 bits", &[0x8c, 0]),
        ("keys at one end", &[0xec, 2]),
        ("multilink", &[0x3b, 0x1e]),
        ("multilink, encrypted", &[0x3b, 0x1e, 0x8c, 2]),
        ("multilink, stateful", &[0x3b, 0x1e, 0x8c, 0x82]),
    ] {
        let begin = [mppe, &packets, &deliver].concat();
        seeds.add("session", what, begin.as_slice());
        // Numbers, counts, bits, lengths.
        for forged in [
            &[0x88, 1, 0, 1][..],
            &[0x88, 2, 0, 1],
            &[0x88, 4, 0, 16, 1],
            &[0x88, 8, 0, 9],
        ] {
            let input = [&begin[..], &packets, forged, &deliver, &packets, &deliver].concat();
            seeds.add("session", format!("{what}, forged"), input);
        }
        // Lost, late, and again.
        let input = [
            &begin[..],
            &packets,
            &[0x0f, 100],
            &packets,
            &[0x87, 0, 0x87, 62],
            &deliver,
        ]
        .concat();
        seeds.add("session", format!("{what}, late"), input);
        let input = [
            &begin[..],
            &[0x0e],
            &packets,
            &deliver,
            &[0x0a, 0, 0, 0x84, 0x84, 0x2e],
        ]
        .concat();
        seeds.add("session", format!("{what}, reset and echo"), input);
        // A count 4094 steps away on a frame that is two places late.
        let far = [0x88, 2, 2, 0x80, 0x0f, 0xfe];
        let input = [
            &begin[..],
            &packets,
            &packets,
            &deliver,
            &far,
            &packets,
            &deliver,
        ]
        .concat();
        seeds.add("session", format!("{what}, a count far away"), input);
    }
}

fn servers(seeds: &mut Seeds) {
    let call = [15, 0, 7];
    for user in 0..7 {
        for how in [0xf8, 0xf9, 0xfa, 0xfe] {
            let log_in = [8, 0, user, how];
            let begin = [&[0][..], &call, &log_in].concat();
            seeds.add("server", format!("user {user} logs in"), begin.as_slice());
            let second = [15, 1, 8, 8, 1, user, how];
            let input = [
                &begin,
                &second[..],
                &[12, 12, 12],
                &[5, 0],
                &[14, 255, 0, 0],
            ]
            .concat();
            seeds.add("server", format!("user {user} twice"), input);
        }
    }
    let begin = [&[1][..], &call, &[8, 0, 1, 0xf8]].concat();
    for (what, step) in [
        ("the datapath fails", &[13, 0, 0, 0, 0][..]),
        ("the datapath removes it", &[13, 0, 0, 0, 64]),
        ("the datapath is lost", &[14, 10]),
        ("the datapath begins anew", &[14, 40, 15, 1, 7]),
        ("stop", &[14, 0, 12, 12]),
        ("our own call", &[14, 100, 1, 2, 1, 0, 0, 1, 8, 9, 1, 0]),
        (
            "start, call, clear",
            &[0, 0, 1, 1, 0, 0, 0, 0, 1, 7, 7, 0, 0, 0, 1, 12, 7, 0, 0, 0],
        ),
        ("a packet", &[6, 0, 0, 5, 0]),
        ("silence", &[11, 60, 11, 60, 12, 12, 12]),
    ] {
        seeds.add("server", what, [begin.as_slice(), step].concat());
    }
}

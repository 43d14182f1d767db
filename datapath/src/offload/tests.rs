//! Merging and splitting against a reference that is slow and obvious: packets are built from what
//! they mean, one field after the other.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::coalesce::{Aggregate, Append, Candidate};
use super::segment::SuperPacket;
use super::vnet::{self, Gso, Header};
use crate::stats::DropReason;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;
const CWR: u8 = 0x80;

/// What a packet means.
#[derive(Clone, Debug)]
struct Meaning {
    v6: bool,
    protocol: u8,
    ports: (u16, u16),
    id: u16,
    dont_fragment: bool,
    seq: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Meaning {
    fn tcp(seq: u32, payload: &[u8]) -> Self {
        Self {
            v6: false,
            protocol: TCP,
            ports: (5001, 40_000),
            id: 7,
            dont_fragment: true,
            seq,
            flags: ACK,
            // NOP, NOP, timestamps.
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: payload.to_vec(),
        }
    }

    fn udp(id: u16, payload: &[u8]) -> Self {
        Self {
            protocol: UDP,
            id,
            dont_fragment: false,
            options: Vec::new(),
            ..Self::tcp(0, payload)
        }
    }

    fn transport(&self, checksum: [u8; 2]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.ports.0.to_be_bytes());
        bytes.extend(self.ports.1.to_be_bytes());
        if self.protocol == TCP {
            bytes.extend(self.seq.to_be_bytes());
            bytes.extend(0xdead_beef_u32.to_be_bytes());
            bytes.push(u8::try_from((20 + self.options.len()) / 4).unwrap() << 4);
            bytes.push(self.flags);
            bytes.extend(501u16.to_be_bytes());
            bytes.extend(checksum);
            bytes.extend([0, 0]);
            bytes.extend(&self.options);
        } else {
            let len = u16::try_from(8 + self.payload.len()).unwrap();
            bytes.extend(len.to_be_bytes());
            bytes.extend(checksum);
        }
        bytes.extend(&self.payload);
        bytes
    }

    fn addresses(&self) -> Vec<u8> {
        if self.v6 {
            let from = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).octets();
            let to = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).octets();
            [from, to].concat()
        } else {
            let from = Ipv4Addr::new(10, 0, 0, 5).octets();
            let to = Ipv4Addr::new(192, 0, 2, 9).octets();
            [from, to].concat()
        }
    }

    fn pseudo_header(&self) -> Vec<u8> {
        let len = u16::try_from(self.transport([0, 0]).len()).unwrap();
        let mut bytes = self.addresses();
        bytes.extend([0, self.protocol]);
        bytes.extend(len.to_be_bytes());
        bytes
    }

    /// The packet on the wire, with right checksums.
    fn packet(&self) -> Vec<u8> {
        let mut summed = self.pseudo_header();
        summed.extend(self.transport([0, 0]));
        let mut checksum = !sum(&summed);
        if checksum == 0 {
            checksum = 0xffff;
        }
        self.network(&self.transport(checksum.to_be_bytes()))
    }

    /// As the kernel gives it to those who compute checksums themselves.
    fn unfinished(&self) -> Vec<u8> {
        self.network(&self.transport(sum(&self.pseudo_header()).to_be_bytes()))
    }

    fn network(&self, transport: &[u8]) -> Vec<u8> {
        let len = u16::try_from(transport.len()).unwrap();
        let mut bytes = Vec::new();
        if self.v6 {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(len.to_be_bytes());
            bytes.extend([self.protocol, 63]);
            bytes.extend(self.addresses());
        } else {
            bytes.extend([0x45, 0]);
            bytes.extend((len + 20).to_be_bytes());
            bytes.extend(self.id.to_be_bytes());
            bytes.extend([
                if self.dont_fragment { 0x40 } else { 0 },
                0,
                63,
                self.protocol,
            ]);
            bytes.extend([0, 0]);
            bytes.extend(self.addresses());
            let checksum = (!sum(&bytes)).to_be_bytes();
            bytes[10..12].copy_from_slice(&checksum);
        }
        bytes.extend(transport);
        bytes
    }

    fn transport_at(&self) -> u16 {
        if self.v6 { 40 } else { 20 }
    }

    /// The packets that this one stands for when it is cut into pieces of `size`.
    fn cut(&self, size: usize) -> Vec<Self> {
        let pieces = self.payload.chunks(size).count();
        self.payload
            .chunks(size)
            .enumerate()
            .map(|(index, payload)| {
                let mut flags = self.flags;
                if index + 1 < pieces {
                    flags &= !(PSH | FIN);
                }
                if index > 0 {
                    flags &= !CWR;
                }
                Self {
                    id: self.id.wrapping_add(u16::try_from(index).unwrap()),
                    seq: self.seq.wrapping_add(u32::try_from(index * size).unwrap()),
                    flags,
                    payload: payload.to_vec(),
                    ..self.clone()
                }
            })
            .collect()
    }

    /// With its header in front, as it is read from TUN.
    fn super_packet(&self, size: u16) -> Vec<u8> {
        let header = Header {
            needs_csum: true,
            gso: match (self.protocol, self.v6) {
                (TCP, false) => Gso::Tcp4,
                (TCP, true) => Gso::Tcp6,
                _ => Gso::Udp,
            },
            hdr_len: 0,
            gso_size: size,
            csum_start: self.transport_at(),
            csum_offset: if self.protocol == TCP { 16 } else { 6 },
        };
        [&header.emit()[..], &self.unfinished()].concat()
    }
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

fn meaning() -> impl Strategy<Value = Meaning> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<u16>(),
        any::<u32>(),
        0usize..=10,
        prop::collection::vec(any::<u8>(), 1..20_000),
        prop::sample::select(vec![ACK, ACK | PSH]),
    )
        .prop_map(|(v6, tcp, id, seq, words, payload, flags)| Meaning {
            v6,
            id,
            flags,
            options: if tcp { vec![1; words * 4] } else { Vec::new() },
            ..if tcp {
                Meaning::tcp(seq, &payload)
            } else {
                Meaning::udp(id, &payload)
            }
        })
}

/// Merges all that can be, in order, and gives what would be written.
fn merge(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut written = Vec::new();
    let mut open: Option<(Aggregate, Vec<u8>)> = None;
    let finish = |(aggregate, mut buffer): (Aggregate, Vec<u8>)| {
        let len = aggregate.finish(&mut buffer);
        buffer.truncate(len);
        buffer
    };
    for packet in packets {
        let candidate = Candidate::examine(packet);
        if let (Some((aggregate, buffer)), Some(candidate)) = (&mut open, &candidate)
            && aggregate.append(candidate, packet, buffer) == Append::Merged
        {
            continue;
        }
        written.extend(open.take().map(finish));
        let mut buffer = vec![0xaa; 70_000];
        let begun = candidate.and_then(|first| Aggregate::start(&first, packet, &mut buffer));
        match begun {
            Some(aggregate) => open = Some((aggregate, buffer)),
            None => written.push([&Header::default().emit()[..], packet].concat()),
        }
    }
    written.extend(open.map(finish));
    written
}

fn split(written: &[u8], mtu: usize) -> Result<Vec<Vec<u8>>, DropReason> {
    let segments = SuperPacket::parse(written)?.segments(mtu)?;
    let packets = (0..segments.count()).map(|index| {
        let mut out = vec![0x55; segments.segment_len(index)];
        segments.write_segment(index, &mut out);
        out
    });
    Ok(packets.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn splitting_gives_what_the_reference_gives(packet in meaning(), size in 1u16..1500) {
        let size = size.max(u16::try_from(packet.payload.len() / 60).unwrap());
        let expected: Vec<_> = packet.cut(size.into()).iter().map(Meaning::packet).collect();

        prop_assert_eq!(split(&packet.super_packet(size), 2000), Ok(expected));
    }

    #[test]
    fn what_was_merged_splits_into_the_same_packets(packet in meaning(), size in 1usize..1500) {
        let size = size.max(packet.payload.len() / 60);
        let packets: Vec<_> = packet.cut(size).iter().map(Meaning::packet).collect();

        let written = merge(&packets);

        prop_assert_eq!(written.len(), 1);
        let expected = if packets.len() == 1 {
            [&Header::default().emit()[..], &packets[0]].concat()
        } else {
            let mut expected = packet.super_packet(u16::try_from(size).unwrap());
            let hdr_len = packets[0].len() - packet.payload.len().min(size);
            expected[2..4].copy_from_slice(&u16::try_from(hdr_len).unwrap().to_ne_bytes());
            expected
        };
        prop_assert_eq!(&written[0], &expected);
        prop_assert_eq!(split(&written[0], 2000), Ok(packets));
    }

    #[test]
    fn whatever_comes_no_byte_is_changed_or_lost(
        streams in prop::collection::vec(meaning(), 1..4),
        order in prop::collection::vec((0usize..4, 0usize..100, 0usize..10_000), 0..40),
    ) {
        // Packets of several streams in any order, some of them damaged.
        let cut: Vec<Vec<_>> = streams.iter().map(|stream| stream.cut(700)).collect();
        let packets: Vec<Vec<u8>> = order
            .iter()
            .map(|&(stream, index, damage)| {
                let stream = &cut[stream % cut.len()];
                let mut packet = stream[index % stream.len()].packet();
                if damage < packet.len() {
                    packet[damage] ^= 0x10;
                }
                packet
            })
            .collect();

        let written = merge(&packets);

        let mut again = Vec::new();
        for one in &written {
            let single = Header::parse(one).is_some_and(|(header, _)| header.gso == Gso::None);
            if single {
                again.push(one[vnet::HEADER_LEN..].to_vec());
            } else {
                again.extend(split(one, 2000).unwrap());
            }
        }
        let of_no_meaning = |packet: &Vec<u8>| {
            let mut packet = packet.clone();
            if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
                packet[4..6].fill(0);
                packet[10..12].fill(0);
            }
            packet
        };
        prop_assert_eq!(
            again.iter().map(of_no_meaning).collect::<Vec<_>>(),
            packets.iter().map(of_no_meaning).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_header_that_lies_harms_nobody(
        packet in meaning(),
        size in 1u16..1500,
        lies in prop::collection::vec((0usize..80, any::<u8>()), 1..6),
        cut in 0usize..2000,
        mtu in 0usize..2000,
    ) {
        let mut bytes = packet.super_packet(size);
        for (at, lie) in lies {
            let at = at % bytes.len();
            bytes[at] = lie;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        // Whatever comes out, it is within bounds.
        if let Ok(packets) = split(&bytes, mtu) {
            prop_assert!(packets.iter().all(|packet| packet.len() <= mtu));
        }
        let _ = Candidate::examine(&bytes);
    }

    #[test]
    fn any_bytes_at_all_harm_nobody(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        others in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = split(&bytes, 1400);
        merge(&[bytes, others]);
    }
}

#[test]
fn a_single_packet_gets_the_checksum_it_lacks() {
    let packet = Meaning::tcp(1, b"data");
    let header = Header {
        needs_csum: true,
        csum_start: 20,
        csum_offset: 16,
        ..Header::default()
    };
    let read = [&header.emit()[..], &packet.unfinished()].concat();
    assert_eq!(split(&read, 1500), Ok(vec![packet.packet()]));
}

#[test]
fn a_packet_with_nothing_left_to_do_is_as_it_was() {
    let packet = Meaning::udp(3, b"data").packet();
    let read = [&Header::default().emit()[..], &packet].concat();
    assert_eq!(split(&read, 1500), Ok(vec![packet.clone()]));
    assert_eq!(split(&read, packet.len() - 1), Err(DropReason::TooBig));
}

#[test]
fn segments_fit_the_mtu_and_datagrams_keep_their_size() {
    let tcp = Meaning::tcp(1, &[7; 3000]);
    let room = 1000 - 52;
    let expected: Vec<_> = tcp.cut(room).iter().map(Meaning::packet).collect();
    assert_eq!(split(&tcp.super_packet(1400), 1000), Ok(expected));

    let udp = Meaning::udp(1, &[7; 3000]);
    assert_eq!(
        split(&udp.super_packet(1400), 1000),
        Err(DropReason::TooBig)
    );
    for mtu in 0..=52 {
        let split = split(&tcp.super_packet(1400), mtu);
        assert_eq!(split, Err(DropReason::TooBig), "{mtu}");
    }
}

#[test]
fn flags_that_belong_to_one_segment_are_on_that_one() {
    let mut packet = Meaning::tcp(u32::MAX - 10, &[1; 250]);
    packet.flags = ACK | PSH | FIN | CWR;
    let packets = split(&packet.super_packet(100), 1500).unwrap();
    let flags: Vec<u8> = packets.iter().map(|packet| packet[33]).collect();
    assert_eq!(flags, [ACK | CWR, ACK, ACK | PSH | FIN]);
}

#[test]
fn headers_that_contradict_their_packet_are_refused() {
    let packet = Meaning::tcp(1, &[0; 300]);
    let good = packet.super_packet(100);
    assert!(SuperPacket::parse(&good).is_ok());
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        SuperPacket::parse(&bad).map(|_| ())
    };
    let refused = Err(DropReason::BadSuperPacket);
    assert_eq!(with(0, &[0]), refused, "split, but do not sum");
    assert_eq!(with(1, &[4]), refused, "IPv6");
    assert_eq!(with(1, &[3]), refused, "fragments of UDP");
    assert_eq!(with(4, &[0, 0]), refused, "into nothing");
    assert_eq!(with(6, &19u16.to_ne_bytes()), refused, "in the IP header");
    assert_eq!(with(6, &9999u16.to_ne_bytes()), refused, "beyond the end");
    assert_eq!(with(8, &6u16.to_ne_bytes()), refused, "as UDP");
    assert_eq!(with(10, &[0x75]), refused, "of IP version 7");
    assert_eq!(with(12, &[0xff, 0xff]), refused, "longer than it is");
    assert_eq!(with(42, &[0xf0]), Ok(()), "with more options");
    assert_eq!(with(42, &[0x40]), refused, "without a TCP header");
    let all_header = Meaning::tcp(1, &[]).super_packet(100);
    assert!(SuperPacket::parse(&all_header).is_err(), "without payload");
}

#[test]
fn what_does_not_follow_is_not_merged() {
    let size = 100;
    let all = Meaning {
        dont_fragment: false,
        ..Meaning::tcp(1000, &[9; 300])
    };
    let [first, second, third] = &all.cut(size)[..] else {
        panic!("three pieces");
    };
    let pair = |next: &Meaning| merge(&[first.packet(), next.packet()]).len();
    assert_eq!(pair(second), 1);
    let variants = [
        ("a gap", third.clone()),
        ("a repetition", first.clone()),
        (
            "another port",
            Meaning {
                ports: (5001, 40_001),
                ..second.clone()
            },
        ),
        (
            "another identification",
            Meaning {
                id: 99,
                ..second.clone()
            },
        ),
        (
            "DF",
            Meaning {
                dont_fragment: true,
                ..second.clone()
            },
        ),
        (
            "FIN",
            Meaning {
                flags: ACK | FIN,
                ..second.clone()
            },
        ),
        (
            "SYN",
            Meaning {
                flags: ACK | 2,
                ..second.clone()
            },
        ),
        (
            "ECE",
            Meaning {
                flags: ACK | 0x40,
                ..second.clone()
            },
        ),
        (
            "other options",
            Meaning {
                options: vec![1; 12],
                ..second.clone()
            },
        ),
        (
            "no options",
            Meaning {
                options: vec![],
                ..second.clone()
            },
        ),
        (
            "a longer one",
            Meaning {
                payload: vec![0; 101],
                ..second.clone()
            },
        ),
        (
            "no data",
            Meaning {
                payload: vec![],
                ..second.clone()
            },
        ),
    ];
    for (why, next) in variants {
        assert_eq!(pair(&next), 2, "{why}");
    }
    let short = Meaning {
        payload: vec![1; 50],
        ..second.clone()
    };
    let after = Meaning {
        seq: 1150,
        id: third.id,
        ..third.clone()
    };
    let merged = merge(&[first.packet(), short.packet(), after.packet()]);
    assert_eq!(merged.len(), 2, "nothing after a short one");
    let mut pushed = second.clone();
    pushed.flags |= PSH;
    let merged = merge(&[first.packet(), pushed.packet(), third.packet()]);
    assert_eq!(merged.len(), 2, "nothing after a push");
    for (at, why) in [(1, "type of service"), (8, "time to live"), (34, "window")] {
        let mut other = second.packet();
        other[at] ^= 0x10;
        let compensated = if at == 34 { 36 } else { 10 };
        other[compensated] ^= 0x10;
        assert_eq!(merge(&[first.packet(), other]).len(), 2, "{why}");
    }
}

#[test]
fn what_cannot_be_merged_is_not_looked_at_twice() {
    let tcp = Meaning::tcp(1, b"data").packet();
    assert!(Candidate::examine(&tcp).is_some_and(|candidate| candidate.is_tcp()));
    let udp = Meaning::udp(1, b"data").packet();
    assert!(Candidate::examine(&udp).is_some_and(|candidate| !candidate.is_tcp()));
    let with = |packet: &[u8], at: usize, byte: u8| {
        let mut packet = packet.to_vec();
        packet[at] = byte;
        Candidate::examine(&packet).is_none()
    };
    assert!(with(&tcp, 0, 0x46), "IP options");
    assert!(with(&tcp, 6, 0x20), "the first fragment");
    assert!(with(&tcp, 7, 1), "another fragment");
    assert!(with(&tcp, 9, 1), "ICMP");
    assert!(with(&udp, 25, 11), "a datagram shorter than its packet");
    let mut unsummed = udp;
    unsummed[26..28].fill(0);
    assert!(Candidate::examine(&unsummed).is_none(), "no checksum");
    let mut padded = tcp;
    padded.push(0);
    assert!(
        Candidate::examine(&padded).is_none(),
        "more than the packet"
    );
}

#[test]
fn a_wrong_checksum_travels_alone_and_unchanged() {
    let all = Meaning::tcp(1, &[9; 300]);
    let mut packets: Vec<_> = all.cut(100).iter().map(Meaning::packet).collect();
    packets[1][60] ^= 1;

    let written = merge(&packets);

    let alone = written.iter().map(|one| one[vnet::HEADER_LEN..].to_vec());
    assert_eq!(alone.collect::<Vec<_>>(), packets);
}

#[test]
fn merging_ends_before_a_packet_that_would_be_too_long() {
    let piece = |n: u32| Meaning::tcp(1 + n * 1000, &[9; 1000]).packet();
    let packets: Vec<_> = (0..70).map(piece).collect();
    let written = merge(&packets);
    assert_eq!(written.len(), 2);
    assert!(written[0].len() <= vnet::HEADER_LEN + 65_535);
    assert!(written[0].len() > vnet::HEADER_LEN + 64_535);
}

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::offload::segment::SuperPacket;
use crate::offload::vnet;

const MTU: u16 = 1450;
const ACK: u8 = 0x10;

/// What a packet with a TCP header means.
#[derive(Clone, Debug)]
struct Meaning {
    v6: bool,
    /// IPv6 extension headers: kind and length, the last of which leads to TCP.
    extensions: Vec<(u8, usize)>,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Meaning {
    fn syn(options: &[u8]) -> Self {
        Self {
            v6: false,
            extensions: Vec::new(),
            flags: SYN,
            options: options.to_vec(),
            payload: Vec::new(),
        }
    }

    fn syn_v6(options: &[u8]) -> Self {
        Self {
            v6: true,
            ..Self::syn(options)
        }
    }

    fn headers_len(&self) -> usize {
        if self.v6 {
            40 + self.extensions.iter().map(|&(_, len)| len).sum::<usize>()
        } else {
            20
        }
    }

    /// The packet, its checksum right.
    fn packet(&self) -> Vec<u8> {
        let mut packet = self.without_checksum();
        let checksum = checksum_of(&packet, self.headers_len());
        let at = self.headers_len() + CHECKSUM;
        packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet
    }

    fn without_checksum(&self) -> Vec<u8> {
        assert!(self.options.len().is_multiple_of(4), "whole words");
        let mut tcp = vec![0x13, 0x89, 0x9c, 0x40, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0];
        tcp.push(u8::try_from((20 + self.options.len()) / 4).unwrap() << 4);
        tcp.extend([self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let mut packet = Vec::new();
        if self.v6 {
            let kinds: Vec<u8> = self.extensions.iter().map(|&(kind, _)| kind).collect();
            let mut following = kinds.iter().skip(1).chain([&TCP]);
            let len = self.headers_len() - 40 + tcp.len();
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(u16::try_from(len).unwrap().to_be_bytes());
            packet.extend([kinds.first().copied().unwrap_or(TCP), 64]);
            packet.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
            packet.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
            for &(kind, len) in &self.extensions {
                packet.push(*following.next().unwrap());
                // Of a fragment header this byte is reserved.
                packet.push(if kind == FRAGMENT { 0 } else { words(len) });
                packet.extend(std::iter::repeat_n(0, len - 2));
            }
        } else {
            let len = u16::try_from(20 + tcp.len()).unwrap();
            packet.extend([0x45, 0]);
            packet.extend(len.to_be_bytes());
            packet.extend([0, 7, 0x40, 0, 64, TCP, 0, 0]);
            packet.extend(Ipv4Addr::new(192, 0, 2, 1).octets());
            packet.extend(Ipv4Addr::new(192, 0, 2, 2).octets());
        }
        packet.extend(tcp);
        packet
    }
}

fn words(len: usize) -> u8 {
    u8::try_from(len / 8 - 1).unwrap()
}

/// The checksum of the TCP segment from `start` on, word by word (RFC 9293 §3.1, RFC 8200 §8.1).
fn checksum_of(packet: &[u8], start: usize) -> u16 {
    let addresses = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    let tcp = &packet[start..];
    let mut bytes = packet[addresses].to_vec();
    bytes.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
    bytes.extend([0, TCP]);
    bytes.extend(&tcp[..CHECKSUM]);
    bytes.extend([0, 0]);
    bytes.extend(&tcp[CHECKSUM + 2..]);
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn has_right_checksum(packet: &[u8], start: usize) -> bool {
    let at = start + CHECKSUM;
    packet[at..at + 2] == checksum_of(packet, start).to_be_bytes()
}

fn clamped(packet: &[u8]) -> (bool, Vec<u8>) {
    let mut packet = packet.to_vec();
    let lowered = Clamp::to_mtu(MTU).apply(&mut packet);
    (lowered, packet)
}

const OFFER_1460: [u8; 4] = [2, 4, 0x05, 0xb4];

#[test]
fn an_offer_that_is_too_large_becomes_the_mtu_without_the_headers() {
    for flags in [SYN, SYN | ACK] {
        for (meaning, expected) in [
            (Meaning::syn(&OFFER_1460), MTU - 40),
            (Meaning::syn_v6(&OFFER_1460), MTU - 60),
        ] {
            let meaning = Meaning { flags, ..meaning };
            let (lowered, packet) = clamped(&meaning.packet());
            let start = meaning.headers_len();
            assert!(lowered);
            assert_eq!(packet[start + 22..start + 24], expected.to_be_bytes());
            assert!(has_right_checksum(&packet, start));
        }
    }
}

#[test]
fn an_offer_is_found_at_an_odd_place_and_more_than_once() {
    let options = [1, 2, 4, 0xff, 0xff, 1, 2, 4, 0x80, 0, 0, 0];
    let meaning = Meaning::syn(&options);

    let (lowered, packet) = clamped(&meaning.packet());

    assert!(lowered);
    assert_eq!(
        packet[40..],
        [1, 2, 4, 0x05, 0x82, 1, 2, 4, 0x05, 0x82, 0, 0]
    );
    assert!(has_right_checksum(&packet, 20));
}

#[test]
fn offers_behind_extension_headers_are_found() {
    let extensions = vec![
        (HOP_BY_HOP, 8),
        (DESTINATION_OPTIONS, 24),
        (ROUTING, 16),
        (FRAGMENT, 8),
    ];
    let meaning = Meaning {
        extensions,
        ..Meaning::syn_v6(&OFFER_1460)
    };

    let (lowered, packet) = clamped(&meaning.packet());

    assert!(lowered);
    assert!(has_right_checksum(&packet, meaning.headers_len()));
}

#[test]
fn what_need_not_be_lowered_stays_as_it_is() {
    let small = [2, 4, 0x05, 0x82];
    let authenticated = Meaning {
        extensions: vec![(51, 8)],
        ..Meaning::syn_v6(&OFFER_1460)
    };
    let many = Meaning {
        extensions: vec![(DESTINATION_OPTIONS, 8); MAX_EXTENSIONS],
        ..Meaning::syn_v6(&OFFER_1460)
    };
    let data = Meaning {
        flags: ACK,
        ..Meaning::syn(&OFFER_1460)
    };
    for meaning in [
        Meaning::syn(&small),
        Meaning::syn(&[]),
        // Behind the end of the options, of a wrong length, behind one that goes too far.
        Meaning::syn(&[0, 0, 0, 0, 2, 4, 0xff, 0xff]),
        Meaning::syn(&[2, 3, 0xff, 1]),
        Meaning::syn(&[2, 5, 0xff, 0xff, 1, 1, 1, 1]),
        Meaning::syn(&[3, 40, 0xff, 0xff]),
        Meaning::syn(&[3, 0, 2, 4, 0xff, 0xff, 0, 0]),
        // The option is cut off by the end of the header.
        Meaning::syn(&[1, 2, 4, 0xff]),
        data,
        authenticated,
        many,
    ] {
        let packet = meaning.packet();
        assert_eq!(clamped(&packet), (false, packet), "{meaning:?}");
    }
}

#[test]
fn fragments_stay_as_they_are() {
    // More follow; not the first.
    for fragment in [[0x20, 0], [0, 1]] {
        let mut packet = Meaning::syn(&OFFER_1460).packet();
        packet[6..8].copy_from_slice(&fragment);
        assert_eq!(clamped(&packet), (false, packet));
    }
    for fragment in [[0, 1], [0, 8]] {
        let meaning = Meaning {
            extensions: vec![(FRAGMENT, 8)],
            ..Meaning::syn_v6(&OFFER_1460)
        };
        let mut packet = meaning.packet();
        packet[42..44].copy_from_slice(&fragment);
        assert_eq!(clamped(&packet), (false, packet));
    }
}

#[test]
fn an_mtu_without_room_for_headers_clamps_nothing() {
    for (mtu, meaning) in [
        (40, Meaning::syn(&OFFER_1460)),
        (60, Meaning::syn_v6(&OFFER_1460)),
        (0, Meaning::syn(&OFFER_1460)),
    ] {
        let mut packet = meaning.packet();
        assert!(!Clamp::to_mtu(mtu).apply(&mut packet));
        assert_eq!(packet, meaning.packet());
    }
}

/// The kernel leaves the checksum of what it sends itself to the interface.
#[test]
fn a_packet_from_tun_with_part_of_a_checksum_is_right_in_the_end() {
    for meaning in [Meaning::syn(&OFFER_1460), Meaning::syn_v6(&OFFER_1460)] {
        let start = meaning.headers_len();
        let mut packet = meaning.without_checksum();
        let addresses = if meaning.v6 { 8..40 } else { 12..20 };
        let pseudo_header = Sum::default()
            .plus(&packet[addresses])
            .add_u16(TCP.into())
            .add_u16(u16::try_from(packet.len() - start).unwrap());
        packet[start + CHECKSUM..start + CHECKSUM + 2].copy_from_slice(&pseudo_header.fold());
        let header = vnet::Header {
            needs_csum: true,
            csum_start: u16::try_from(start).unwrap(),
            csum_offset: 16,
            ..vnet::Header::default()
        };
        let read = [&header.emit()[..], &packet].concat();
        let segments = SuperPacket::parse(&read).unwrap().segments(MTU.into());
        let segments = segments.unwrap();
        let mut written = vec![0; segments.segment_len(0)];
        segments.write_segment(0, &mut written);

        assert!(Clamp::to_mtu(MTU).apply(&mut written));

        assert!(has_right_checksum(&written, start));
    }
}

/// Options as a host sends them, or anybody.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        Just(vec![NO_OPERATION]),
        any::<[u8; 2]>().prop_map(|[high, low]| vec![MAXIMUM_SEGMENT_SIZE, 4, high, low]),
        Just(vec![4, 2]),
        any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        any::<[u8; 8]>().prop_map(|times| [&[8, 10], &times[..]].concat()),
        prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(one, 0..8).prop_map(|options| {
        let mut options = options.concat();
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), END_OF_OPTIONS);
        options
    })
}

fn meaning() -> impl Strategy<Value = Meaning> {
    let kind = prop::sample::select(vec![HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT]);
    let extension = (kind, 1_usize..4).prop_map(|(kind, words)| {
        let len = if kind == FRAGMENT { 8 } else { 8 * words };
        (kind, len)
    });
    (
        any::<bool>(),
        prop::collection::vec(extension, 0..4),
        any::<u8>(),
        options(),
        prop::collection::vec(any::<u8>(), 0..50),
    )
        .prop_map(|(v6, extensions, flags, options, payload)| Meaning {
            v6,
            extensions,
            flags,
            options,
            payload,
        })
}

/// Where the offers are that a host would find in these options.
fn offers(options: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => break,
            1 => at += 1,
            kind => {
                let Some(&len) = options.get(at + 1) else {
                    break;
                };
                let len = usize::from(len);
                if len < 2 || at + len > options.len() {
                    break;
                }
                if kind == 2 && len == 4 {
                    found.push(at + 2);
                }
                at += len;
            }
        }
    }
    found
}

proptest! {
    #[test]
    fn every_offer_is_lowered_and_nothing_else_is_changed(meaning in meaning(), mtu in 100_u16..) {
        let max = mtu - if meaning.v6 { 60 } else { 40 };
        let mut expected = meaning.clone();
        if meaning.flags & SYN != 0 {
            for at in offers(&meaning.options) {
                let offer = u16::from_be_bytes([meaning.options[at], meaning.options[at + 1]]);
                expected.options[at..at + 2].copy_from_slice(&offer.min(max).to_be_bytes());
            }
        }
        let mut packet = meaning.packet();

        let lowered = Clamp::to_mtu(mtu).apply(&mut packet);

        prop_assert_eq!(packet, expected.packet(), "checksum included");
        prop_assert_eq!(lowered, expected.options != meaning.options);
    }

    #[test]
    fn a_damaged_packet_stays_damaged(meaning in meaning(), damage in 1..u16::MAX) {
        let mut packet = meaning.packet();
        let at = meaning.headers_len() + CHECKSUM;
        let wrong = u16::from_be_bytes([packet[at], packet[at + 1]]) ^ damage;
        prop_assume!(wrong != 0 && wrong != u16::MAX);
        packet[at..at + 2].copy_from_slice(&wrong.to_be_bytes());

        Clamp::to_mtu(MTU).apply(&mut packet);

        prop_assert!(!has_right_checksum(&packet, meaning.headers_len()));
    }

    #[test]
    fn what_is_cut_off_or_overwritten_does_not_panic(
        meaning in meaning(),
        changes in prop::collection::vec((0_usize..120, any::<u8>()), 0..8),
        len in 0_usize..200,
        mtu: u16,
    ) {
        let mut packet = meaning.packet();
        for (at, byte) in changes {
            if let Some(to) = packet.get_mut(at) {
                *to = byte;
            }
        }
        packet.truncate(len);
        let before = packet.clone();
        let lowered = Clamp::to_mtu(mtu).apply(&mut packet);
        prop_assert_eq!(lowered, packet != before);
    }
}

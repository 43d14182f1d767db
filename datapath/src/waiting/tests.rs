use proptest::prelude::*;

use super::*;
use crate::wire::ipv4::checksum;

const FROM: Ipv4Addr = Ipv4Addr::new(10, 64, 64, 64);
const TO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// An IPv4 packet with this payload, whose transport has its checksum at `at`.
fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ipv4::HEADER_LEN];
    let repr = ipv4::Repr {
        source: from,
        destination: to,
        protocol,
        payload_len: u16::try_from(payload.len()).unwrap(),
        tos: 0,
        identification: 7,
        dont_fragment: true,
        ttl: 64,
    };
    repr.emit(&mut ipv4::Packet::new_unchecked(&mut packet[..]));
    packet.extend_from_slice(payload);
    packet
}

/// What the addresses add to a transport's checksum.
fn pseudo_header(packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len() - ipv4::HEADER_LEN).unwrap();
    let mut header = packet[12..20].to_vec();
    header.extend([0, packet[9]]);
    header.extend(length.to_be_bytes());
    header
}

/// The checksum that the transport should have, its field being zero.
fn whole_sum(packet: &[u8], at: usize) -> u16 {
    let mut all = pseudo_header(packet);
    let mut transport = packet[ipv4::HEADER_LEN..].to_vec();
    let field = at - ipv4::HEADER_LEN;
    transport[field..field + 2].fill(0);
    all.extend(transport);
    match checksum(&all) {
        0 if packet[9] == UDP => u16::MAX,
        sum => sum,
    }
}

fn put(packet: &mut [u8], at: usize, sum: u16) {
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn sum_at(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

fn is_same(one: u16, other: u16) -> bool {
    // Ones' complement has two zeroes.
    one == other || [one, other].iter().all(|sum| matches!(*sum, 0 | u16::MAX))
}

proptest! {
    #[test]
    fn checksums_are_those_of_a_packet_sent_from_there(
        from in any::<u32>(),
        to in any::<u32>(),
        payload in prop::collection::vec(any::<u8>(), 20..80),
        is_udp in any::<bool>(),
        is_partial in any::<bool>(),
    ) {
        let (from, to) = (Ipv4Addr::from_bits(from), Ipv4Addr::from_bits(to));
        let (protocol, at) = if is_udp { (UDP, 20 + UDP_CHECKSUM) } else { (TCP, 20 + TCP_CHECKSUM) };
        let before = |from| {
            let mut packet = packet(from, PEER, protocol, &payload);
            let sum = if is_partial {
                !checksum(&pseudo_header(&packet))
            } else {
                whole_sum(&packet, at)
            };
            put(&mut packet, at, sum);
            packet
        };
        let header = vnet::Header {
            needs_csum: is_partial,
            csum_start: 20,
            csum_offset: u16::try_from(at - 20).unwrap(),
            ..vnet::Header::default()
        };
        let mut read = [&header.emit()[..], &before(from)].concat();
        readdress(&mut read, true, from, to);
        let after = packet_in(&read, true);
        let expected = before(to);
        prop_assert!(ipv4::Packet::new_checked(after).unwrap().verify_checksum());
        prop_assert!(is_same(sum_at(after, at), sum_at(&expected, at)));
        prop_assert_eq!(&after[12..20], &expected[12..20]);
        prop_assert_eq!(&after[20..at], &expected[20..at]);
        prop_assert_eq!(&after[at + 2..], &expected[at + 2..]);
        if is_udp && !is_partial {
            prop_assert_ne!(sum_at(after, at), 0, "that would be none");
        }
    }

    #[test]
    fn nonsense_is_left_alone_or_stays_as_long_as_it_was(
        bytes in prop::collection::vec(any::<u8>(), 0..90),
        has_header in any::<bool>(),
    ) {
        let mut read = bytes.clone();
        readdress(&mut read, has_header, FROM, TO);
        prop_assert_eq!(read.len(), bytes.len());
        let _ = is_wanted(packet_in(&read, has_header));
    }
}

#[test]
fn a_packet_of_somebody_behind_us_keeps_its_source() {
    let forwarded = packet(Ipv4Addr::new(192, 168, 1, 9), PEER, UDP, &[0; 20]);
    let mut read = forwarded.clone();
    readdress(&mut read, false, FROM, TO);
    assert_eq!(read, forwarded);
}

#[test]
fn only_the_first_fragment_has_a_checksum_of_the_transport() {
    let mut read = packet(FROM, PEER, UDP, &[0xab; 30]);
    // A later fragment: eight times five bytes precede it.
    read[6..8].copy_from_slice(&5_u16.to_be_bytes());
    read[10..12].fill(0);
    let sum = checksum(&read[..20]);
    put(&mut read, 10, sum);
    readdress(&mut read, false, FROM, TO);
    assert_eq!(read[12..16], TO.octets());
    assert_eq!(read[20..], [0xab; 30]);
    assert!(
        ipv4::Packet::new_checked(&read[..])
            .unwrap()
            .verify_checksum()
    );
}

#[test]
fn udp_without_a_checksum_stays_without() {
    let mut read = packet(FROM, PEER, UDP, &[0; 20]);
    readdress(&mut read, false, FROM, TO);
    assert_eq!(sum_at(&read, 20 + UDP_CHECKSUM), 0);
    assert_eq!(read[12..16], TO.octets());
}

#[test]
fn what_is_said_to_all_neighbours_is_not_worth_a_session() {
    for (to, wanted) in [
        ([192, 0, 2, 77], true),
        ([10, 112, 112, 112], true),
        ([224, 0, 0, 251], false),
        ([239, 255, 255, 250], false),
        ([255, 255, 255, 255], false),
    ] {
        let packet = packet(FROM, to.into(), UDP, &[0; 8]);
        assert_eq!(is_wanted(&packet), wanted, "{to:?}");
    }
    let mut six = vec![0; 48];
    six[0] = 0x60;
    six[5] = 8;
    six[24] = 0xff;
    assert!(!is_wanted(&six), "router solicitation");
    six[24] = 0x20;
    assert!(is_wanted(&six));
    assert!(!is_wanted(&[]));
    assert!(!is_wanted(&[0x45, 0, 0]));
    assert!(!is_wanted(&[0; 40]));
}

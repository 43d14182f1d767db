//! Packets merged for TUN, and split from it.

use greyhound_datapath::offload::coalesce::{Aggregate, Append, Candidate};
use greyhound_datapath::offload::segment::SuperPacket;
use greyhound_datapath::offload::vnet;
use greyhound_datapath::wire::{ipv4, ipv6};

use crate::input::Input;

/// The header of the kernel and a packet, behind two bytes with the largest size of what it is split
/// into.
pub fn split(data: &[u8]) {
    let mut input = Input::new(data);
    let mtu = usize::from(input.u16());
    for packet in parts(input.rest(), mtu) {
        assert!(packet.len() <= mtu);
        // The kernel may have given us a fragment, or what is merged from no two packets.
        let _ = Candidate::examine(&packet);
    }
}

/// What the kernel's packet is split into; nothing if it is refused.
fn parts(bytes: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let Ok(segments) = SuperPacket::parse(bytes).and_then(|packet| packet.segments(mtu)) else {
        return Vec::new();
    };
    assert!(segments.count() > 0);
    let mut parts = Vec::new();
    for index in 0..segments.count() {
        let mut out = vec![0; segments.segment_len(index)];
        segments.write_segment(index, &mut out);
        let whole = match segments.version() {
            4 => ipv4::Packet::new_checked(&out).map(|packet| packet.total_len()),
            _ => ipv6::Packet::new_checked(&out).map(|packet| packet.total_len()),
        };
        assert_eq!(whole, Ok(out.len()), "part {index} of {}", segments.count());
        parts.push(out);
    }
    parts
}

/// Packets that came in one burst. What is merged of them is split into the same packets again.
pub fn merge(data: &[u8]) {
    let mut input = Input::new(data);
    let packets = packets(&mut input);
    let mut buffer = vec![0; vnet::HEADER_LEN + 4096];
    let mut merged: Option<(Aggregate, Vec<Vec<u8>>)> = None;
    for packet in packets {
        // A session lets no other pass.
        let passes =
            ipv4::Packet::new_checked(&packet).map_or(true, |packet| packet.verify_checksum());
        let Some(candidate) = Candidate::examine(&packet).filter(|_| passes) else {
            continue;
        };
        let _ = (candidate.is_tcp(), candidate.flow_hash());
        if let Some((aggregate, those)) = &mut merged {
            if aggregate.append(&candidate, &packet, &mut buffer) == Append::Merged {
                those.push(packet);
                continue;
            }
            check(aggregate, those, &mut buffer);
        }
        merged = Aggregate::start(&candidate, &packet, &mut buffer).map(|it| (it, vec![packet]));
    }
    if let Some((aggregate, those)) = &merged {
        check(aggregate, those, &mut buffer);
    }
}

fn check(aggregate: &Aggregate, packets: &[Vec<u8>], buffer: &mut [u8]) {
    let len = aggregate.finish(buffer);
    let mut parts = parts(&buffer[..len], usize::from(u16::MAX));
    assert_eq!(parts.len(), packets.len());
    for (part, packet) in parts.iter_mut().zip(packets) {
        let mut packet = packet.clone();
        forget_what_means_nothing(part);
        forget_what_means_nothing(&mut packet);
        assert_eq!(*part, packet);
    }
}

/// Of IPv4 the identification, which means nothing in a packet that may not be fragmented, and the
/// header checksum, which was found right before a packet is merged; and the two zeroes of a
/// checksum are one.
fn forget_what_means_nothing(packet: &mut [u8]) {
    const DONT_FRAGMENT: u8 = 0x40;
    const TCP: u8 = 6;

    let (transport, protocol) = if packet[0] >> 4 == 4 {
        if packet[6] & DONT_FRAGMENT != 0 {
            packet[4..6].fill(0);
        }
        packet[10..12].fill(0);
        (usize::from(packet[0] & 0xf) * 4, packet[9])
    } else {
        (40, packet[6])
    };
    let at = transport + if protocol == TCP { 16 } else { 6 };
    if let Some(checksum) = packet.get_mut(at..at + 2)
        && checksum == [0xff, 0xff]
    {
        checksum.fill(0);
    }
}

/// Packets of a few flows: of fields as the script has them, or of those of the packet before.
fn packets(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut seq = 1000_u32;
    let mut id = 7_u16;
    while !input.is_empty() && packets.len() < 16 {
        let kind = input.u8();
        let (v6, udp) = (kind & 1 != 0, kind & 2 != 0);
        if kind & 0xf0 == 0xf0 {
            packets.push(input.bytes().to_vec());
            continue;
        }
        let flags = if kind & 4 != 0 { input.u8() } else { 0x10 };
        if kind & 8 != 0 {
            seq = seq.wrapping_add(u32::from(input.u8()));
            id = id.wrapping_add(1);
        }
        let options = if kind & 0x10 != 0 { input.bytes() } else { &[] };
        let options = &options[..options.len().min(40) & !3];
        let payload = input.bytes();
        let mut packet = packet(v6, udp, (seq, id), flags, options, payload);
        if kind & 0x20 != 0 {
            // Something is not as it should be.
            let at = input.below(packet.len());
            packet[at] ^= input.u8();
        }
        if kind & 0x40 != 0 {
            // Padding.
            packet.extend(input.bytes());
        }
        seq = seq.wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
        id = id.wrapping_add(1);
        packets.push(packet);
    }
    packets
}

fn packet(
    v6: bool,
    udp: bool,
    (seq, id): (u32, u16),
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut transport = vec![0x13, 0x89, 0x9c, 0x40];
    if !udp {
        transport.extend(seq.to_be_bytes());
        transport.extend([0, 0, 0, 9]);
        let words = u8::try_from(5 + options.len() / 4).unwrap_or(5);
        transport.extend([words << 4, flags, 0x01, 0xf5, 0, 0, 0, 0]);
        transport.extend(options);
    } else {
        let len = u16::try_from(8 + payload.len()).unwrap_or(8);
        transport.extend(len.to_be_bytes());
        transport.extend([0, 0]);
    }
    transport.extend(payload);
    let len = u16::try_from(transport.len()).unwrap_or(0).to_be_bytes();
    let protocol = if udp { 17 } else { 6 };
    let (mut head, addresses_at) = if v6 {
        let mut head = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
        head.extend([0xfd; 16]);
        head.extend([0xfe; 16]);
        (head, 8)
    } else {
        let total = u16::try_from(20 + transport.len())
            .unwrap_or(0)
            .to_be_bytes();
        let id = id.to_be_bytes();
        let fragment = if flags & 0x40 != 0 { 0 } else { 0x40 };
        let mut head = vec![0x45, 0, total[0], total[1], id[0], id[1], fragment, 0];
        head.extend([64, protocol, 0, 0, 10, 0, 0, 5, 192, 0, 2, 9]);
        let sum = checksum(&head);
        head[10..12].copy_from_slice(&sum);
        (head, 12)
    };
    let mut summed = head[addresses_at..].to_vec();
    summed.extend([0, protocol, len[0], len[1]]);
    summed.extend(&transport);
    let at = if udp { 6 } else { 16 };
    let mut sum = checksum(&summed);
    if sum == [0, 0] {
        sum = [0xff, 0xff];
    }
    transport[at..at + 2].copy_from_slice(&sum);
    head.extend(transport);
    head
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    ipv4::checksum(bytes).to_be_bytes()
}

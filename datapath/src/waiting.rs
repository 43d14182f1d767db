//! Packets that wait at an interface for a session: which of them are worth one, and what they
//! become when its address is another than they were sent from.

use std::net::Ipv4Addr;

use crate::offload::vnet;
use crate::wire::{ipv4, ipv6};

/// Whether a packet is worth a session. What the machine says to all its neighbours, unasked, is
/// not: mDNS, IGMP, router solicitations.
#[must_use]
pub fn is_wanted(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => ipv4::Packet::new_checked(packet).is_ok_and(|packet| {
            let to = packet.destination();
            !(to.is_multicast() || to.is_broadcast() || to.is_unspecified())
        }),
        Some(6) => ipv6::Packet::new_checked(packet)
            .is_ok_and(|packet| !packet.destination().is_multicast()),
        Some(_) | None => false,
    }
}

/// The packet in what was read from an interface.
#[must_use]
pub fn packet_in(read: &[u8], has_header: bool) -> &[u8] {
    let header = if has_header { vnet::HEADER_LEN } else { 0 };
    read.get(header..).unwrap_or_default()
}

/// Gives a packet that was sent from `from` the source `to`, checksums included (RFC 1624 §3);
/// others are left as they are. With `has_header` a virtio-net header stands before it, and the
/// checksum may be one that is yet to be completed.
pub fn readdress(read: &mut [u8], has_header: bool, from: Ipv4Addr, to: Ipv4Addr) {
    let mut is_partial = false;
    let mut begins = 0;
    if has_header {
        let Some((header, _)) = vnet::Header::parse(read) else {
            return;
        };
        is_partial = header.needs_csum;
        begins = vnet::HEADER_LEN;
    }
    let packet = &mut read[begins..];
    let Ok(view) = ipv4::Packet::new_checked(&*packet) else {
        return;
    };
    if view.source() != from {
        return;
    }
    let transport = view.header_len();
    let protocol = view.protocol();
    let is_first = u16::from_be_bytes([packet[6], packet[7]]) & FRAGMENT_OFFSET == 0;
    packet[SOURCE..SOURCE + 4].copy_from_slice(&to.octets());
    update(packet, HEADER_CHECKSUM, |sum| !replaced(!sum, from, to));
    let at = match protocol {
        TCP => transport + TCP_CHECKSUM,
        UDP => transport + UDP_CHECKSUM,
        // Others do not count the addresses.
        _ => return,
    };
    if !is_first || packet.len() < at + 2 {
        return;
    }
    update(packet, at, |sum| {
        if is_partial {
            replaced(sum, from, to)
        } else if protocol == UDP && sum == 0 {
            // There is none.
            0
        } else {
            match !replaced(!sum, from, to) {
                // In UDP that would say that there is none.
                0 if protocol == UDP => u16::MAX,
                sum => sum,
            }
        }
    });
}

fn update(packet: &mut [u8], at: usize, change: impl FnOnce(u16) -> u16) {
    let sum = u16::from_be_bytes([packet[at], packet[at + 1]]);
    packet[at..at + 2].copy_from_slice(&change(sum).to_be_bytes());
}

/// A sum in ones' complement with one address in it in place of another.
fn replaced(sum: u16, from: Ipv4Addr, to: Ipv4Addr) -> u16 {
    let words = |address: Ipv4Addr| {
        let bits = address.to_bits();
        [bits >> 16, bits & 0xffff]
    };
    let mask = u32::from(u16::MAX);
    let taken = words(from).map(|word| !word & mask);
    let mut total = u32::from(sum) + taken.into_iter().chain(words(to)).sum::<u32>();
    while total > mask {
        total = (total >> 16) + (total & mask);
    }
    u16::try_from(total).unwrap_or(u16::MAX)
}

const FRAGMENT_OFFSET: u16 = 0x1fff;
/// Where in the IPv4 header (RFC 791 §3.1).
const HEADER_CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where in the header of TCP (RFC 9293 §3.1) and UDP (RFC 768).
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;

#[cfg(test)]
mod tests;

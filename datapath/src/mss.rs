//! The largest segment that two TCP hosts offer each other (RFC 9293 §3.7.1), lowered to what a
//! tunnel carries whole: hosts behind a tunnel often do not hear that it carries less than their
//! own links do.
//!
//! Only the number in an option that is there is changed, only downwards, and the checksum by the
//! difference (RFC 1624 eqn. 3), so that a packet that was damaged stays damaged.

use crate::offload::checksum::Sum;
use crate::wire::{ipv4, ipv6};

/// What to lower offers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamp {
    v4: u16,
    v6: u16,
}

impl Clamp {
    /// For an interface with this MTU, in bytes.
    #[must_use]
    pub const fn to_mtu(mtu: u16) -> Self {
        Self {
            v4: mtu.saturating_sub(V4_HEADERS),
            v6: mtu.saturating_sub(V6_HEADERS),
        }
    }

    /// Lowers the offer in an IP packet, if it has one: in a TCP SYN or SYN-ACK that is no fragment.
    /// True if there was something to lower. The packet's TCP checksum is its whole one, not the
    /// part that a virtio-net header announces.
    pub fn apply(&self, packet: &mut [u8]) -> bool {
        let (max, tcp) = match packet.first().map_or(0, |first| first >> 4) {
            4 => (self.v4, v4_payload(packet)),
            6 => (self.v6, v6_payload(packet)),
            _ => return false,
        };
        match tcp {
            Some((start, end)) if max > 0 => lower(&mut packet[start..end], max),
            Some(_) | None => false,
        }
    }
}

/// Where the TCP segment of an IPv4 packet begins and ends.
fn v4_payload(packet: &[u8]) -> Option<(usize, usize)> {
    let ip = ipv4::Packet::new_checked(packet).ok()?;
    let whole = ip.protocol() == TCP && !ip.is_fragment();
    whole.then(|| (ip.header_len(), ip.total_len()))
}

/// Where the TCP segment of an IPv6 packet begins and ends, behind extension headers that may be
/// passed over (RFC 8200 §4). An authentication header is none of them: it would notice.
fn v6_payload(packet: &[u8]) -> Option<(usize, usize)> {
    let end = ipv6::Packet::new_checked(packet).ok()?.total_len();
    let mut next = packet[NEXT_HEADER];
    let mut at = ipv6::HEADER_LEN;
    for _ in 0..MAX_EXTENSIONS {
        let header = packet.get(at..end)?;
        let len = match next {
            TCP => return Some((at, end)),
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => 8 * (usize::from(*header.get(1)?) + 1),
            // One that says that this is all (RFC 6946).
            FRAGMENT if u16::from_be_bytes([*header.get(2)?, *header.get(3)?]) & !RESERVED == 0 => {
                8
            }
            _ => return None,
        };
        next = *header.first()?;
        at += len;
    }
    None
}

/// Lowers what a TCP segment offers.
fn lower(tcp: &mut [u8], max: u16) -> bool {
    let Some(header) = tcp.get(..HEADER_LEN) else {
        return false;
    };
    if header[FLAGS] & SYN == 0 {
        return false;
    }
    let end = usize::from(header[DATA_OFFSET] >> 4) * 4;
    if end > tcp.len() {
        return false;
    }
    let mut lowered = false;
    let mut at = HEADER_LEN;
    // Of several offers a host believes whichever it likes.
    while let Some(&[kind, ref rest @ ..]) = tcp.get(at..end) {
        let len = match (kind, rest) {
            (END_OF_OPTIONS, _) | (_, []) => break,
            (NO_OPERATION, _) => 1,
            (MAXIMUM_SEGMENT_SIZE, &[4, high, low, ..]) => {
                let offer = u16::from_be_bytes([high, low]);
                if offer > max {
                    replace(tcp, at + 2, offer, max);
                    lowered = true;
                }
                4
            }
            (_, &[len, ..]) if len >= 2 => usize::from(len),
            (_, _) => break,
        };
        at += len;
    }
    lowered
}

/// Writes another number at this place, and the checksum that goes with it.
fn replace(tcp: &mut [u8], at: usize, old: u16, new: u16) {
    tcp[at..at + 2].copy_from_slice(&new.to_be_bytes());
    // Options begin anywhere; at an odd place the bytes belong to the other halves of their words.
    let as_summed = |number: u16| {
        if at.is_multiple_of(2) {
            number
        } else {
            number.swap_bytes()
        }
    };
    let checksum = u16::from_be_bytes([tcp[CHECKSUM], tcp[CHECKSUM + 1]]);
    let sum = Sum::default()
        .add_u16(!checksum)
        .add_u16(!as_summed(old))
        .add_u16(as_summed(new));
    tcp[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.checksum());
}

/// Bytes of an IPv4 header without options and of a TCP header without options (RFC 9293 §3.7.1).
const V4_HEADERS: u16 = 40;
/// The same of IPv6.
const V6_HEADERS: u16 = 60;

/// Protocol numbers, as of IANA.
const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// In the second word of a fragment header.
const RESERVED: u16 = 0b110;
/// More than anybody sends.
const MAX_EXTENSIONS: usize = 8;

/// Offset in the IPv6 header (RFC 8200 §3).
const NEXT_HEADER: usize = 6;

/// The TCP header (RFC 9293 §3.1).
const HEADER_LEN: usize = 20;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
const SYN: u8 = 0x02;

/// Kinds of TCP options (RFC 9293 §3.1).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

#[cfg(test)]
mod tests;

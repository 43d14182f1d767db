//! Where the headers of a TCP or UDP packet lie, and the few fields that merging and splitting
//! change.

use super::checksum::Sum;
use crate::wire::{ipv4, ipv6};

/// The network protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    V4,
    V6,
}

/// The transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Where its header has the checksum.
    pub(super) const fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => tcp::CHECKSUM,
            Self::Udp => udp::CHECKSUM,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Bytes of the header at the beginning of `segment`, if they are there.
    pub(super) fn header_len(self, segment: &[u8]) -> Option<usize> {
        match self {
            Self::Udp => (segment.len() >= udp::HEADER_LEN).then_some(udp::HEADER_LEN),
            Self::Tcp => {
                let words = segment.get(tcp::DATA_OFFSET)? >> 4;
                let len = usize::from(words) * 4;
                (len >= tcp::HEADER_LEN && len <= segment.len()).then_some(len)
            }
        }
    }
}

/// Where the headers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) network: Network,
    pub(super) transport: Transport,
    /// Where the transport header begins.
    pub(super) transport_at: usize,
    /// Where the payload begins: the length of all headers.
    pub(super) payload_at: usize,
}

impl Headers {
    /// Looks at a whole packet. `None` if it is anything but TCP or UDP straight after an IPv4 or
    /// IPv6 header without options, of the length that it says, and no fragment.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let network = network(packet)?;
        let (protocol, transport_at, len) = match network {
            Network::V4 => {
                let ip = ipv4::Packet::new_checked(packet).ok()?;
                if ip.is_fragment() || ip.header_len() != ipv4::HEADER_LEN {
                    return None;
                }
                (ip.protocol(), ipv4::HEADER_LEN, ip.total_len())
            }
            Network::V6 => {
                let ip = ipv6::Packet::new_checked(packet).ok()?;
                (packet[v6::NEXT_HEADER], ipv6::HEADER_LEN, ip.total_len())
            }
        };
        let transport = [Transport::Tcp, Transport::Udp]
            .into_iter()
            .find(|transport| transport.number() == protocol)?;
        if len != packet.len() {
            return None;
        }
        let header_len = transport.header_len(&packet[transport_at..])?;
        Some(Self {
            network,
            transport,
            transport_at,
            payload_at: transport_at + header_len,
        })
    }

    /// The sum of the pseudo-header for a transport header and payload of `len` bytes (RFC 9293
    /// §3.1, RFC 768, RFC 8200 §8.1).
    pub(super) fn pseudo_header(&self, packet: &[u8], len: usize) -> Sum {
        let addresses = match self.network {
            Network::V4 => &packet[v4::ADDRESSES..ipv4::HEADER_LEN],
            Network::V6 => &packet[v6::ADDRESSES..ipv6::HEADER_LEN],
        };
        Sum::default()
            .plus(addresses)
            .add_u16(self.transport.number().into())
            .add_u16(narrow(len))
    }

    /// Makes the IP header that of a packet of `len` bytes, all headers included; over IPv4 with
    /// an identification that is `ahead` of what it was.
    pub(super) fn set_network_len(&self, packet: &mut [u8], len: usize, ahead: u16) {
        match self.network {
            Network::V4 => {
                let header = &mut packet[..self.transport_at];
                put_u16(header, v4::TOTAL_LEN, narrow(len));
                if ahead > 0 {
                    let id = read_u16(header, v4::IDENTIFICATION).wrapping_add(ahead);
                    put_u16(header, v4::IDENTIFICATION, id);
                }
                put_u16(header, v4::CHECKSUM, 0);
                let checksum = Sum::default().plus(header).checksum();
                header[v4::CHECKSUM..v4::CHECKSUM + 2].copy_from_slice(&checksum);
            }
            Network::V6 => put_u16(packet, v6::PAYLOAD_LEN, narrow(len - ipv6::HEADER_LEN)),
        }
    }
}

/// What the first byte of a packet says it is.
pub(super) fn network(packet: &[u8]) -> Option<Network> {
    match packet.first()? >> 4 {
        4 => Some(Network::V4),
        6 => Some(Network::V6),
        _ => None,
    }
}

pub(super) fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// A length within an IP packet.
pub(super) fn narrow(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Offsets in the IPv4 header (RFC 791 §3.1).
pub(super) mod v4 {
    pub(crate) const TOTAL_LEN: usize = 2;
    pub(crate) const IDENTIFICATION: usize = 4;
    pub(crate) const FLAGS: usize = 6;
    pub(crate) const CHECKSUM: usize = 10;
    pub(crate) const ADDRESSES: usize = 12;
    /// In the byte at [`FLAGS`].
    pub(crate) const DONT_FRAGMENT: u8 = 0x40;
}

/// Offsets in the IPv6 header (RFC 8200 §3).
pub(super) mod v6 {
    pub(crate) const PAYLOAD_LEN: usize = 4;
    pub(crate) const NEXT_HEADER: usize = 6;
    pub(crate) const ADDRESSES: usize = 8;
}

/// Offsets in the TCP header (RFC 9293 §3.1).
pub(super) mod tcp {
    pub(crate) const SEQ: usize = 4;
    pub(crate) const ACK: usize = 8;
    pub(crate) const DATA_OFFSET: usize = 12;
    pub(crate) const FLAGS: usize = 13;
    pub(crate) const WINDOW: usize = 14;
    pub(crate) const CHECKSUM: usize = 16;
    pub(crate) const HEADER_LEN: usize = 20;
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK_FLAG: u8 = 0x10;
    pub(crate) const CWR: u8 = 0x80;
}

/// Offsets in the UDP header (RFC 768).
pub(super) mod udp {
    pub(crate) const LEN: usize = 4;
    pub(crate) const CHECKSUM: usize = 6;
    pub(crate) const HEADER_LEN: usize = 8;
}

//! One packet that stands for many becomes the many, as in the kernel's GSO, with the checksums that
//! were left to us.

use super::checksum::Sum;
use super::header::{Headers, Network, Transport, narrow, network, put_u16, read_u32, tcp, udp};
use super::vnet::{self, Gso};
use crate::stats::DropReason;
use crate::wire::{ipv4, ipv6};

/// What was read from a TUN with `IFF_VNET_HDR`.
#[derive(Clone, Copy, Debug)]
pub struct SuperPacket<'a> {
    packet: &'a [u8],
    network: Network,
    left: Left,
}

/// What was left to us.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    /// The checksum over all from `start` on, to be put at `at`.
    Checksum {
        start: usize,
        at: usize,
    },
    /// Splitting, into packets of `size` bytes of payload.
    Split {
        headers: Headers,
        size: usize,
    },
}

impl<'a> SuperPacket<'a> {
    /// Reads the header and checks that the packet is what it says.
    ///
    /// # Errors
    /// [`DropReason::BadSuperPacket`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        Self::read(bytes).ok_or(DropReason::BadSuperPacket)
    }

    /// Decides how to split it: into packets of at most `mtu` bytes.
    ///
    /// # Errors
    /// [`DropReason::TooBig`]: they cannot be as small. Datagrams have the size that they have.
    pub fn segments(self, mtu: usize) -> Result<Segments<'a>, DropReason> {
        let Self {
            packet,
            network,
            left,
        } = self;
        let (left, count) = match left {
            Left::Nothing | Left::Checksum { .. } if packet.len() > mtu => {
                return Err(DropReason::TooBig);
            }
            Left::Nothing | Left::Checksum { .. } => (left, 1),
            Left::Split { headers, size } => {
                let room = mtu.saturating_sub(headers.payload_at);
                let size = match headers.transport {
                    Transport::Tcp => size.min(room),
                    Transport::Udp if size > room => return Err(DropReason::TooBig),
                    Transport::Udp => size,
                };
                if size == 0 {
                    return Err(DropReason::TooBig);
                }
                let payload = packet.len() - headers.payload_at;
                (Left::Split { headers, size }, payload.div_ceil(size))
            }
        };
        Ok(Segments {
            packet,
            network,
            left,
            count,
        })
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, packet) = vnet::Header::parse(bytes)?;
        let network = network(packet)?;
        let whole = match network {
            Network::V4 => ipv4::Packet::new_checked(packet).ok()?.total_len(),
            Network::V6 => ipv6::Packet::new_checked(packet).ok()?.total_len(),
        };
        if whole != packet.len() {
            return None;
        }
        let start = usize::from(header.csum_start);
        let left = match (header.gso, header.needs_csum) {
            (Gso::None, false) => Left::Nothing,
            (Gso::None, true) => {
                let at = start + usize::from(header.csum_offset);
                let inside = start >= ip_header_len(network, packet) && at + 2 <= packet.len();
                if !inside {
                    return None;
                }
                Left::Checksum { start, at }
            }
            // The kernel leaves the checksum to whoever splits.
            (_, false) => return None,
            (gso, true) => {
                let transport = match (gso, network) {
                    (Gso::Udp, _) => Transport::Udp,
                    (Gso::Tcp4, Network::V4) | (Gso::Tcp6, Network::V6) => Transport::Tcp,
                    (Gso::Tcp4 | Gso::Tcp6 | Gso::None, _) => return None,
                };
                let least = ip_header_len(network, packet);
                let placed = match network {
                    Network::V4 => start == least,
                    // Extension headers may come before.
                    Network::V6 => start >= least,
                };
                if !placed || usize::from(header.csum_offset) != transport.checksum_at() {
                    return None;
                }
                let header_len = transport.header_len(packet.get(start..)?)?;
                let headers = Headers {
                    network,
                    transport,
                    transport_at: start,
                    payload_at: start + header_len,
                };
                if header.gso_size == 0 || headers.payload_at == packet.len() {
                    return None;
                }
                let size = usize::from(header.gso_size);
                Left::Split { headers, size }
            }
        };
        Some(Self {
            packet,
            network,
            left,
        })
    }
}

/// The packets that one stands for.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    network: Network,
    left: Left,
    count: usize,
}

impl Segments<'_> {
    /// How many there are, at least one.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the packet with this number, from 0.
    #[must_use]
    pub fn segment_len(&self, index: usize) -> usize {
        match self.left {
            Left::Nothing | Left::Checksum { .. } => self.packet.len(),
            Left::Split { headers, size } => {
                let left = self.packet.len() - headers.payload_at - index * size;
                headers.payload_at + left.min(size)
            }
        }
    }

    /// The version of IP.
    #[must_use]
    pub const fn version(&self) -> u8 {
        match self.network {
            Network::V4 => 4,
            Network::V6 => 6,
        }
    }

    /// Writes the packet with this number into `out`, which is as long as it is.
    ///
    /// # Panics
    /// `out` has another length than [`Self::segment_len`] says.
    pub fn write_segment(&self, index: usize, out: &mut [u8]) {
        match self.left {
            Left::Nothing => out.copy_from_slice(self.packet),
            Left::Checksum { start, at } => {
                let (head, rest) = self.packet.split_at(start);
                let (head_to, rest_to) = out.split_at_mut(start);
                head_to.copy_from_slice(head);
                let sum = Sum::default().add_copied(rest, rest_to);
                out[at..at + 2].copy_from_slice(&not_absent(sum.checksum()));
            }
            Left::Split { headers, size } => self.write_part(&headers, size, index, out),
        }
    }

    fn write_part(&self, headers: &Headers, size: usize, index: usize, out: &mut [u8]) {
        let before = index * size;
        let len = out.len();
        let (head, payload) = self.packet.split_at(headers.payload_at);
        let (head_to, payload_to) = out.split_at_mut(headers.payload_at);
        head_to.copy_from_slice(head);
        headers.set_network_len(head_to, len, narrow(index));
        let transport_len = len - headers.transport_at;
        let pseudo_header = headers.pseudo_header(head_to, transport_len);
        let transport = &mut head_to[headers.transport_at..];
        match headers.transport {
            Transport::Udp => put_u16(transport, udp::LEN, narrow(transport_len)),
            Transport::Tcp => {
                let seq = read_u32(transport, tcp::SEQ).wrapping_add(narrow(before).into());
                transport[tcp::SEQ..tcp::SEQ + 4].copy_from_slice(&seq.to_be_bytes());
                if index > 0 {
                    transport[tcp::FLAGS] &= !tcp::CWR;
                }
                if index + 1 < self.count {
                    transport[tcp::FLAGS] &= !(tcp::FIN | tcp::PSH);
                }
            }
        }
        let at = headers.transport.checksum_at();
        put_u16(transport, at, 0);
        let payload = &payload[before..before + payload_to.len()];
        let sum = pseudo_header
            .plus(transport)
            .add_copied(payload, payload_to);
        transport[at..at + 2].copy_from_slice(&not_absent(sum.checksum()));
    }
}

/// In UDP a checksum of zero means that there is none, and the other zero of ones' complement stands
/// for it (RFC 768). TCP takes either.
fn not_absent(checksum: [u8; 2]) -> [u8; 2] {
    if checksum == [0, 0] {
        [0xff, 0xff]
    } else {
        checksum
    }
}

fn ip_header_len(network: Network, packet: &[u8]) -> usize {
    match network {
        Network::V4 => usize::from(packet[0] & 0x0f) * 4,
        Network::V6 => ipv6::HEADER_LEN,
    }
}

//! The header in front of a packet on a TUN with `IFF_VNET_HDR`: `struct virtio_net_hdr` of
//! <linux/virtio_net.h>, ten bytes in the machine's own order.

/// Bytes of the header.
pub const HEADER_LEN: usize = 10;

/// What the header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The checksum at `csum_start` + `csum_offset` is yet to be computed over all that follows
    /// `csum_start`; the field holds the sum of the pseudo-header.
    pub needs_csum: bool,
    /// What the packet stands for.
    pub gso: Gso,
    /// Bytes of all headers; a hint.
    pub hdr_len: u16,
    /// Payload bytes of each packet that it stands for.
    pub gso_size: u16,
    /// Where the transport header begins.
    pub csum_start: u16,
    /// Where in the transport header the checksum is.
    pub csum_offset: u16,
}

/// What a packet stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gso {
    /// Itself.
    #[default]
    None,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over either.
    Udp,
}

impl Header {
    /// Reads the header of a packet, which follows it; `None` if it is cut off or says what we did
    /// not offer to take.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, packet) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [flags, gso_type, ref fields @ ..] = *header;
        let gso = match gso_type & !GSO_ECN {
            GSO_NONE => Gso::None,
            GSO_TCPV4 => Gso::Tcp4,
            GSO_TCPV6 => Gso::Tcp6,
            GSO_UDP_L4 => Gso::Udp,
            _ => return None,
        };
        let (fields, _) = fields.as_chunks::<2>();
        let field = |index: usize| u16::from_ne_bytes(fields[index]);
        let header = Self {
            needs_csum: flags & NEEDS_CSUM != 0,
            gso,
            hdr_len: field(0),
            gso_size: field(1),
            csum_start: field(2),
            csum_offset: field(3),
        };
        Some((header, packet))
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = if self.needs_csum { NEEDS_CSUM } else { 0 };
        bytes[1] = match self.gso {
            Gso::None => GSO_NONE,
            Gso::Tcp4 => GSO_TCPV4,
            Gso::Tcp6 => GSO_TCPV6,
            Gso::Udp => GSO_UDP_L4,
        };
        let fields = [
            self.hdr_len,
            self.gso_size,
            self.csum_start,
            self.csum_offset,
        ];
        for (to, field) in bytes[2..].chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&field.to_ne_bytes());
        }
        bytes
    }
}

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// The first of the packets has CWR set, and it alone; the packet's own flags say so too.
const GSO_ECN: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header {
            needs_csum: true,
            gso: Gso::Udp,
            hdr_len: 28,
            gso_size: 1372,
            csum_start: 20,
            csum_offset: 6,
        };
        let mut bytes = header.emit().to_vec();
        assert_eq!(bytes[..2], [1, 5]);
        bytes.extend([0x45, 0]);
        assert_eq!(Header::parse(&bytes), Some((header, &[0x45, 0][..])));
        for len in 0..HEADER_LEN {
            assert_eq!(Header::parse(&bytes[..len]), None);
        }
    }

    #[test]
    fn kinds_that_were_not_offered_are_refused() {
        for kind in [2, 3, 6, 7, 0x40] {
            let mut bytes = Header::default().emit();
            bytes[1] = kind;
            assert_eq!(Header::parse(&bytes), None, "{kind}");
        }
        let mut ecn = Header::default().emit();
        ecn[1] = 0x81;
        let gso = Header::parse(&ecn).map(|(header, _)| header.gso);
        assert_eq!(gso, Some(Gso::Tcp4));
    }
}

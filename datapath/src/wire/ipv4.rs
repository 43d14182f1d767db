//! IPv4 headers (RFC 791): read with any options, written without.

use std::net::Ipv4Addr;

use super::{Error, Field, Result, read_u16};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// The protocol number of GRE (RFC 2637 §4).
pub const PROTOCOL_GRE: u8 = 47;

/// A view of an IPv4 packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use super::Field;

    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TOS: usize = 1;
    pub(super) const TOTAL_LEN: Field = 2..4;
    pub(super) const IDENTIFICATION: Field = 4..6;
    pub(super) const FLAGS: Field = 6..8;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: Field = 10..12;
    pub(super) const SOURCE: Field = 12..16;
    pub(super) const DESTINATION: Field = 16..20;

    pub(super) const DONT_FRAGMENT: u16 = 0x4000;
    pub(super) const MORE_FRAGMENTS: u16 = 0x2000;
    pub(super) const FRAGMENT_OFFSET: u16 = 0x1FFF;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps a buffer without looking at it.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps a buffer that holds a whole packet; bytes may follow it.
    ///
    /// # Errors
    /// It is not version 4, or one of its lengths cannot be.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no getter panics: 20 <= header length <= total length <= buffer.
    ///
    /// # Errors
    /// It is not version 4, or one of its lengths cannot be.
    pub fn check_len(&self) -> Result<()> {
        let len = self.buffer.as_ref().len();
        if len < HEADER_LEN || self.version() != 4 {
            return Err(Error);
        }
        let (header_len, total_len) = (self.header_len(), self.total_len());
        if header_len < HEADER_LEN || total_len < header_len || len < total_len {
            return Err(Error);
        }
        Ok(())
    }

    /// Returns the version, 4.
    #[inline]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[field::VERSION_IHL] >> 4
    }

    /// Returns the length of the header in bytes, options included.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::VERSION_IHL] & 0x0F) * 4
    }

    /// Returns the type of service: DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.buffer.as_ref()[field::TOS]
    }

    /// Returns the length of header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(read_u16(self.buffer.as_ref(), field::TOTAL_LEN))
    }

    /// Returns the identification.
    #[inline]
    pub fn identification(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::IDENTIFICATION)
    }

    /// Returns whether routers must not fragment the packet.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags() & field::DONT_FRAGMENT != 0
    }

    /// Returns whether this is a part of a larger packet.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.flags() & (field::MORE_FRAGMENTS | field::FRAGMENT_OFFSET) != 0
    }

    /// Returns the time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.buffer.as_ref()[field::TTL]
    }

    /// Returns the protocol number of the payload.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.buffer.as_ref()[field::PROTOCOL]
    }

    /// Returns the header checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        self.address(field::SOURCE)
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        self.address(field::DESTINATION)
    }

    /// Returns the payload, as long as the total length says.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len()..self.total_len()]
    }

    /// Returns whether the header checksum is right.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum(&self.buffer.as_ref()[..self.header_len()]) == 0
    }

    fn flags(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::FLAGS)
    }

    fn address(&self, at: Field) -> Ipv4Addr {
        let mut octets = [0; 4];
        octets.copy_from_slice(&self.buffer.as_ref()[at]);
        octets.into()
    }
}

/// What an IPv4 header says; options are left out, fragments are not represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Who sent the packet.
    pub source: Ipv4Addr,
    /// Who receives it.
    pub destination: Ipv4Addr,
    /// The protocol number of the payload.
    pub protocol: u8,
    /// Bytes behind the header, at most 65515.
    pub payload_len: u16,
    /// DSCP and ECN.
    pub tos: u8,
    /// Tells the fragments of one packet from those of another.
    pub identification: u16,
    /// Routers must not fragment it.
    pub dont_fragment: bool,
    /// Time to live.
    pub ttl: u8,
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// A length cannot be, the checksum is wrong, or it is a fragment.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self> {
        packet.check_len()?;
        if !packet.verify_checksum() || packet.is_fragment() {
            return Err(Error);
        }
        let payload_len = packet.total_len() - packet.header_len();
        Ok(Self {
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol(),
            payload_len: u16::try_from(payload_len).map_err(|_| Error)?,
            tos: packet.tos(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            ttl: packet.ttl(),
        })
    }

    /// Returns how many bytes [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header with its checksum.
    ///
    /// # Panics
    /// The buffer is shorter than [`Self::buffer_len`].
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        const VERSION_4_IHL_5: u8 = 0x45;
        const HEADER: u16 = 20;

        let data = packet.buffer.as_mut();
        let flags = if self.dont_fragment {
            field::DONT_FRAGMENT
        } else {
            0
        };
        data[field::VERSION_IHL] = VERSION_4_IHL_5;
        data[field::TOS] = self.tos;
        data[field::TOTAL_LEN]
            .copy_from_slice(&self.payload_len.saturating_add(HEADER).to_be_bytes());
        data[field::IDENTIFICATION].copy_from_slice(&self.identification.to_be_bytes());
        data[field::FLAGS].copy_from_slice(&flags.to_be_bytes());
        data[field::TTL] = self.ttl;
        data[field::PROTOCOL] = self.protocol;
        data[field::CHECKSUM].fill(0);
        data[field::SOURCE].copy_from_slice(&self.source.octets());
        data[field::DESTINATION].copy_from_slice(&self.destination.octets());
        let sum = checksum(&data[..HEADER_LEN]);
        data[field::CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The internet checksum (RFC 1071); 0 over data that contains its own right checksum.
#[must_use]
pub fn checksum(data: &[u8]) -> u16 {
    let (pairs, rest) = data.as_chunks::<2>();
    let mut sum: u64 = pairs
        .iter()
        .map(|&pair| u64::from(u16::from_be_bytes(pair)))
        .sum();
    if let [last] = rest {
        sum += u64::from(*last) << 8;
    }
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return !folded,
            Err(_) => sum = (sum & 0xFFFF) + (sum >> 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packet 22 of mschap2-mppe128-stateless.pcap: an acknowledgement from pptp-linux.
    const BYTES: [u8; 32] = [
        0x45, 0x00, 0x00, 0x20, 0xB3, 0xFE, 0x40, 0x00, 0x40, 0x2F, 0x72, 0x14, 0x0A, 0x4D, 0x00,
        0x01, 0x0A, 0x4D, 0x00, 0x02, 0x20, 0x81, 0x88, 0x0B, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x05,
    ];

    fn repr() -> Repr {
        Repr {
            source: Ipv4Addr::new(10, 77, 0, 1),
            destination: Ipv4Addr::new(10, 77, 0, 2),
            protocol: PROTOCOL_GRE,
            payload_len: 12,
            tos: 0,
            identification: 0xB3FE,
            dont_fragment: true,
            ttl: 64,
        }
    }

    #[test]
    fn a_header_parses() {
        let packet = Packet::new_checked(&BYTES).unwrap();

        assert_eq!(Repr::parse(&packet), Ok(repr()));
        assert_eq!(packet.payload(), &BYTES[20..]);
    }

    #[test]
    fn a_header_emits() {
        let mut bytes = [0xA5; 20];

        repr().emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, BYTES[..20]);
    }

    #[test]
    fn each_truncation_fails() {
        for len in 0..BYTES.len() {
            assert!(Packet::new_checked(&BYTES[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn options_and_trailing_bytes_are_left_out_of_the_payload() {
        let mut bytes = vec![0x46, 0, 0, 26];
        bytes.extend_from_slice(&BYTES[4..20]);
        bytes.extend_from_slice(&[0x94, 4, 0, 0, 0xAB, 0xCD, 0xEE, 0xEE]);

        let packet = Packet::new_checked(&bytes).unwrap();

        assert_eq!(packet.payload(), [0xAB, 0xCD]);
    }

    #[test]
    fn impossible_lengths_fail() {
        for (at, value, what) in [
            (0, 0x44, "header shorter than 20"),
            (0, 0x4F, "header longer than the packet"),
            (0, 0x65, "version 6"),
            (3, 19, "total shorter than the header"),
            (3, 33, "total longer than the buffer"),
        ] {
            let mut bytes = BYTES;
            bytes[at] = value;
            assert!(Packet::new_checked(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn a_wrong_checksum_or_a_fragment_is_no_repr() {
        let mut damaged = BYTES;
        damaged[8] = 63;
        let mut fragment = BYTES;
        fragment[6] = 0x20;
        fragment[10..12].fill(0);
        let sum = checksum(&fragment[..20]);
        fragment[10..12].copy_from_slice(&sum.to_be_bytes());

        for bytes in [damaged, fragment] {
            let packet = Packet::new_checked(&bytes).unwrap();
            assert_eq!(Repr::parse(&packet), Err(Error));
        }
    }

    #[test]
    fn the_checksum_covers_an_odd_last_byte() {
        assert_eq!(checksum(&[0x12]), !0x1200);
        assert_eq!(checksum(&[]), 0xFFFF);
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(
            source: [u8; 4],
            destination: [u8; 4],
            protocol: u8,
            payload_len in 0_u16..3000,
            tos: u8,
            identification: u16,
            dont_fragment: bool,
            ttl: u8,
        ) {
            let repr = Repr {
                source: source.into(),
                destination: destination.into(),
                protocol, payload_len, tos, identification, dont_fragment, ttl,
            };
            let mut bytes = vec![0xFF; HEADER_LEN + usize::from(payload_len)];

            repr.emit(&mut Packet::new_unchecked(&mut bytes));

            prop_assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(repr));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>, plausible: bool) {
            if let (true, Some(first)) = (plausible, bytes.first_mut()) {
                *first = 0x40 | *first & 0x0F;
            }
            if let Ok(packet) = Packet::new_checked(&bytes) {
                let _ = (packet.payload(), packet.verify_checksum(), Repr::parse(&packet));
            }
        }
    }
}

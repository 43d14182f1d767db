//! Enhanced GRE headers (RFC 2637 §4.1).
//!
//! The recursion control and the bits that RFC 2637 calls Flags are ignored; a checksum or a
//! source route, which would shift the fields, makes a header that is not enhanced GRE.

use std::cmp::Ordering;
use std::ops::{Add, Sub};

use super::{Error, Field, Result, read_u16, read_u32};

/// Bytes of the largest header: sequence and acknowledgement number both present.
pub const MAX_HEADER_LEN: usize = field::FIXED + 2 * field::NUMBER;

/// A GRE sequence number. They count up and wrap, and are ordered by the shorter way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// The first one of a session (RFC 2637 §4.4).
    pub const FIRST: Self = Self(0);
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, rhs: u32) -> Self {
        Self(self.0.wrapping_add(rhs))
    }
}

impl Sub for SeqNum {
    type Output = i32;

    /// How far `self` is ahead of `rhs`; negative if it is behind.
    fn sub(self, rhs: Self) -> i32 {
        self.0.wrapping_sub(rhs.0).cast_signed()
    }
}

impl PartialOrd for SeqNum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (*self - *other).partial_cmp(&0)
    }
}

/// A view of an enhanced GRE packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use super::Field;

    pub(super) const FLAGS: Field = 0..2;
    pub(super) const PROTOCOL: Field = 2..4;
    pub(super) const PAYLOAD_LEN: Field = 4..6;
    pub(super) const CALL_ID: Field = 6..8;
    pub(super) const FIXED: usize = 8;
    /// Length of the sequence number, and of the acknowledgement number behind it.
    pub(super) const NUMBER: usize = 4;
}

mod flag {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    pub(super) const ACKNOWLEDGEMENT: u16 = 0x0080;
    pub(super) const VERSION: u16 = 0x0007;
}

const ENHANCED_VERSION: u16 = 1;
const PROTOCOL_PPP: u16 = 0x880B;

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps a buffer without looking at it.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps a buffer that holds a whole packet; bytes may follow it.
    ///
    /// # Errors
    /// It is not enhanced GRE, or ends before its payload does.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no getter panics.
    ///
    /// # Errors
    /// It is not enhanced GRE, or ends before its payload does.
    pub fn check_len(&self) -> Result<()> {
        let len = self.buffer.as_ref().len();
        if len < field::FIXED || !self.is_enhanced() {
            return Err(Error);
        }
        if len < self.header_len() + usize::from(self.payload_len()) {
            return Err(Error);
        }
        Ok(())
    }

    /// Returns whether the first four bytes are those of an enhanced GRE header: version 1,
    /// protocol 0x880B, a key, neither checksum nor routing. Works on any buffer.
    #[inline]
    pub fn is_enhanced(&self) -> bool {
        const LOOKED_AT: u16 = flag::CHECKSUM | flag::ROUTING | flag::KEY | flag::VERSION;

        self.buffer.as_ref().len() >= field::PROTOCOL.end
            && self.flags() & LOOKED_AT == flag::KEY | ENHANCED_VERSION
            && read_u16(self.buffer.as_ref(), field::PROTOCOL) == PROTOCOL_PPP
    }

    /// Returns the payload length.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::PAYLOAD_LEN)
    }

    /// Returns the call id, which the receiver of the packet chose.
    #[inline]
    pub fn call_id(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::CALL_ID)
    }

    /// Returns the sequence number, if there is one.
    #[inline]
    pub fn seq(&self) -> Option<SeqNum> {
        let at = field::FIXED;
        self.has(flag::SEQUENCE)
            .then(|| SeqNum(read_u32(self.buffer.as_ref(), at..at + field::NUMBER)))
    }

    /// Returns the acknowledgement number, if there is one.
    #[inline]
    pub fn ack(&self) -> Option<SeqNum> {
        let at = self.header_len().saturating_sub(field::NUMBER);
        self.has(flag::ACKNOWLEDGEMENT)
            .then(|| SeqNum(read_u32(self.buffer.as_ref(), at..at + field::NUMBER)))
    }

    /// Returns the length of the header: where the payload begins.
    #[inline]
    pub fn header_len(&self) -> usize {
        let numbers =
            usize::from(self.has(flag::SEQUENCE)) + usize::from(self.has(flag::ACKNOWLEDGEMENT));
        field::FIXED + numbers * field::NUMBER
    }

    /// Returns the payload, as long as the payload length says.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let start = self.header_len();
        &self.buffer.as_ref()[start..start + usize::from(self.payload_len())]
    }

    fn has(&self, bit: u16) -> bool {
        self.flags() & bit != 0
    }

    fn flags(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::FLAGS)
    }
}

/// What an enhanced GRE header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The call id that the receiver chose.
    pub call_id: u16,
    /// Bytes of PPP behind the header; 0 in an acknowledgement without payload.
    pub payload_len: u16,
    /// The number of this packet; there is one exactly when there is a payload.
    pub seq: Option<SeqNum>,
    /// The highest number that the sender of this packet has received.
    pub ack: Option<SeqNum>,
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// It is not enhanced GRE, or ends before its payload does.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self> {
        packet.check_len()?;
        Ok(Self {
            call_id: packet.call_id(),
            payload_len: packet.payload_len(),
            seq: packet.seq(),
            ack: packet.ack(),
        })
    }

    /// Returns how many bytes [`Self::emit`] writes.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        let numbers = usize::from(self.seq.is_some()) + usize::from(self.ack.is_some());
        field::FIXED + numbers * field::NUMBER
    }

    /// Writes the header.
    ///
    /// # Panics
    /// The buffer is shorter than [`Self::buffer_len`].
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        let mut flags = flag::KEY | ENHANCED_VERSION;
        if self.seq.is_some() {
            flags |= flag::SEQUENCE;
        }
        if self.ack.is_some() {
            flags |= flag::ACKNOWLEDGEMENT;
        }
        let data = packet.buffer.as_mut();
        data[field::FLAGS].copy_from_slice(&flags.to_be_bytes());
        data[field::PROTOCOL].copy_from_slice(&PROTOCOL_PPP.to_be_bytes());
        data[field::PAYLOAD_LEN].copy_from_slice(&self.payload_len.to_be_bytes());
        data[field::CALL_ID].copy_from_slice(&self.call_id.to_be_bytes());
        let mut at = field::FIXED;
        for number in [self.seq, self.ack].into_iter().flatten() {
            data[at..at + field::NUMBER].copy_from_slice(&number.0.to_be_bytes());
            at += field::NUMBER;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The shape of RFC 2637 §4.1 with both numbers and three bytes of payload.
    const BYTES: [u8; 19] = [
        0x30, 0x81, 0x88, 0x0B, 0x00, 0x03, 0x3E, 0x26, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
        0x07, 0xFD, 0x90, 0x00,
    ];

    const REPR: Repr = Repr {
        call_id: 15910,
        payload_len: 3,
        seq: Some(SeqNum(5)),
        ack: Some(SeqNum(7)),
    };

    #[test]
    fn a_header_parses() {
        let packet = Packet::new_checked(&BYTES).unwrap();

        assert_eq!(Repr::parse(&packet), Ok(REPR));
        assert_eq!(packet.payload(), [0xFD, 0x90, 0x00]);
    }

    #[test]
    fn a_header_emits() {
        let mut bytes = [0xA5; 16];

        REPR.emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, BYTES[..16]);
    }

    #[test]
    fn an_acknowledgement_without_payload_is_twelve_bytes() {
        let repr = Repr {
            call_id: 0,
            payload_len: 0,
            seq: None,
            ack: Some(SeqNum(0x0102_0304)),
        };
        let mut bytes = [0xA5; 12];

        repr.emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, [0x20, 0x81, 0x88, 0x0B, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(repr));
    }

    #[test]
    fn each_truncation_fails() {
        for len in 0..BYTES.len() {
            assert!(Packet::new_checked(&BYTES[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn bytes_behind_the_payload_are_left_out() {
        let mut bytes = BYTES.to_vec();
        bytes.extend_from_slice(&[0; 27]);

        assert_eq!(Packet::new_checked(&bytes).unwrap().payload().len(), 3);
    }

    #[test]
    fn other_kinds_of_gre_fail() {
        for (at, value, what) in [
            (0, 0xB0, "checksum"),
            (0, 0x70, "routing"),
            (0, 0x10, "no key"),
            (1, 0x80, "version 0"),
            (1, 0x82, "version 2"),
            (2, 0x08, "another protocol"),
        ] {
            let mut bytes = BYTES;
            bytes[at] = value;
            assert!(Packet::new_checked(&bytes).is_err(), "{what}");
            assert!(!Packet::new_unchecked(&bytes).is_enhanced(), "{what}");
        }
    }

    #[test]
    fn reserved_bits_are_ignored() {
        let mut bytes = BYTES;
        bytes[0] |= 0x0F;
        bytes[1] |= 0x78;

        assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(REPR));
    }

    #[test]
    fn sequence_numbers_are_ordered_across_the_wrap() {
        let last = SeqNum(u32::MAX);

        assert_eq!(last + 1, SeqNum::FIRST);
        assert!(last < SeqNum(5));
        assert!(SeqNum(5) > last);
        assert_eq!(SeqNum(5) - last, 6);
        assert_eq!(last - SeqNum(5), -6);
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(
            call_id: u16,
            payload_len in 0_u16..3000,
            seq in any::<Option<u32>>().prop_map(|seq| seq.map(SeqNum)),
            ack in any::<Option<u32>>().prop_map(|ack| ack.map(SeqNum)),
        ) {
            let repr = Repr { call_id, payload_len, seq, ack };
            let mut bytes = vec![0xFF; repr.buffer_len() + usize::from(payload_len)];

            repr.emit(&mut Packet::new_unchecked(&mut bytes));

            let packet = Packet::new_checked(&bytes).unwrap();
            prop_assert_eq!(packet.payload().len(), usize::from(payload_len));
            prop_assert_eq!(Repr::parse(&packet), Ok(repr));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>, plausible: bool) {
            if plausible && bytes.len() >= 6 {
                bytes[0] = bytes[0] & 0x1F | 0x20;
                bytes[1] = bytes[1] & 0xF8 | 1;
                bytes[2..5].copy_from_slice(&[0x88, 0x0B, 0]);
            }
            let _ = Packet::new_unchecked(&bytes).is_enhanced();
            if let Ok(packet) = Packet::new_checked(&bytes) {
                let _ = (packet.payload(), Repr::parse(&packet));
            }
        }
    }
}

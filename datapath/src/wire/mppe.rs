//! MPPE headers (RFC 3078 §3.1): four flags and a coherency count of twelve bits.
//!
//! The B and C bits belong to MPPC compression, which is not negotiated: ignored, sent as 0.

use super::{Error, Field, Result, read_u16};

/// Bytes of the header.
pub const HEADER_LEN: usize = 2;

/// A coherency count: numbers the encrypted packets of one direction, modulo 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coherency(u16);

impl Coherency {
    /// How many there are.
    pub const COUNT: u16 = 0x1000;

    /// Takes the low twelve bits.
    #[must_use]
    pub const fn new(value: u16) -> Self {
        Self(value % Self::COUNT)
    }

    /// Returns the count, below [`Self::COUNT`].
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

/// A view of an MPPE header and the encrypted bytes behind it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use super::Field;

    pub(super) const HEADER: Field = 0..2;

    pub(super) const A: u16 = 0x8000;
    pub(super) const D: u16 = 0x1000;
    pub(super) const COUNT: u16 = 0x0FFF;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps a buffer without looking at it.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps a buffer that holds a whole header.
    ///
    /// # Errors
    /// It ends inside the header.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no getter panics.
    ///
    /// # Errors
    /// It ends inside the header.
    pub fn check_len(&self) -> Result<()> {
        if self.buffer.as_ref().len() < HEADER_LEN {
            return Err(Error);
        }
        Ok(())
    }

    /// Returns the A bit: this packet begins with fresh tables, which is each one if stateless.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        self.header() & field::A != 0
    }

    /// Returns the D bit: the packet is encrypted.
    #[inline]
    pub fn is_encrypted(&self) -> bool {
        self.header() & field::D != 0
    }

    /// Returns the coherency count.
    #[inline]
    pub fn coherency(&self) -> Coherency {
        Coherency(self.header() & field::COUNT)
    }

    /// Returns what is behind the header.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[HEADER_LEN..]
    }

    fn header(&self) -> u16 {
        read_u16(self.buffer.as_ref(), field::HEADER)
    }
}

/// What an MPPE header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The A bit.
    pub flushed: bool,
    /// The D bit.
    pub encrypted: bool,
    /// The coherency count.
    pub coherency: Coherency,
}

impl Repr {
    /// Returns the header of a stateless packet (RFC 3078 §6: the A bit on each).
    #[must_use]
    pub const fn stateless(coherency: Coherency) -> Self {
        Self {
            flushed: true,
            encrypted: true,
            coherency,
        }
    }

    /// Reads a header.
    ///
    /// # Errors
    /// It is cut off.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self> {
        packet.check_len()?;
        Ok(Self {
            flushed: packet.is_flushed(),
            encrypted: packet.is_encrypted(),
            coherency: packet.coherency(),
        })
    }

    /// Returns how many bytes [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header.
    ///
    /// # Panics
    /// The buffer is shorter than [`Self::buffer_len`].
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        let mut header = self.coherency.0;
        if self.flushed {
            header |= field::A;
        }
        if self.encrypted {
            header |= field::D;
        }
        packet.buffer.as_mut()[field::HEADER].copy_from_slice(&header.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_stateless_header_is_9000() {
        let mut bytes = [0xA5; 2];

        Repr::stateless(Coherency::new(0)).emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, [0x90, 0x00]);
    }

    #[test]
    fn a_stateful_header_parses() {
        let packet = Packet::new_checked([0x11, 0x23, 0xEE]).unwrap();

        assert_eq!(
            Repr::parse(&packet),
            Ok(Repr {
                flushed: false,
                encrypted: true,
                coherency: Coherency::new(0x123),
            })
        );
        assert_eq!(packet.payload(), [0xEE]);
    }

    #[test]
    fn the_compression_bits_are_ignored() {
        let packet = Packet::new_checked([0xF0, 0x01]).unwrap();

        assert_eq!(Repr::parse(&packet), Ok(Repr::stateless(Coherency::new(1))));
    }

    #[test]
    fn each_truncation_fails() {
        assert_eq!(Packet::new_checked([0x90]).err(), Some(Error));
        assert_eq!(Packet::new_checked([]).err(), Some(Error));
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(flushed: bool, encrypted: bool, count: u16) {
            let repr = Repr { flushed, encrypted, coherency: Coherency::new(count) };
            let mut bytes = [0xFF; 2];

            repr.emit(&mut Packet::new_unchecked(&mut bytes));

            prop_assert_eq!(Repr::parse(&Packet::new_checked(bytes).unwrap()), Ok(repr));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            if let Ok(packet) = Packet::new_checked(&bytes) {
                prop_assert!(packet.coherency().value() < Coherency::COUNT);
                prop_assert_eq!(packet.payload().len(), bytes.len() - HEADER_LEN);
            }
        }
    }
}

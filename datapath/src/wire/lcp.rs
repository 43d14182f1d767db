//! The two LCP packets that the packet path answers by itself: Echo-Request and Echo-Reply
//! (RFC 1661 §5.8). All other codes belong to the control process.

use super::{Error, Field, Result, read_u16, read_u32};

/// Bytes in front of the data: code, identifier, length, magic number.
pub const HEADER_LEN: usize = 8;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 9.
    EchoRequest,
    /// 10.
    EchoReply,
}

/// A view of an echo packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use super::Field;

    pub(super) const CODE: usize = 0;
    pub(super) const IDENTIFIER: usize = 1;
    pub(super) const LENGTH: Field = 2..4;
    pub(super) const MAGIC: Field = 4..8;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps a buffer without looking at it.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps a buffer that holds a whole echo packet; padding may follow it.
    ///
    /// # Errors
    /// It is cut off, its length cannot be, or its code is another.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no getter panics.
    ///
    /// # Errors
    /// It is cut off, its length cannot be, or its code is another.
    pub fn check_len(&self) -> Result<()> {
        let len = self.buffer.as_ref().len();
        if len < HEADER_LEN || self.length() < HEADER_LEN || len < self.length() {
            return Err(Error);
        }
        self.parse_code().map(|_| ())
    }

    /// Returns the identifier, which a reply repeats.
    #[inline]
    pub fn identifier(&self) -> u8 {
        self.buffer.as_ref()[field::IDENTIFIER]
    }

    /// Returns the length of the packet.
    #[inline]
    pub fn length(&self) -> usize {
        usize::from(read_u16(self.buffer.as_ref(), field::LENGTH))
    }

    /// Returns the sender's magic number.
    #[inline]
    pub fn magic(&self) -> u32 {
        read_u32(self.buffer.as_ref(), field::MAGIC)
    }

    fn parse_code(&self) -> Result<Code> {
        match self.buffer.as_ref()[field::CODE] {
            9 => Ok(Code::EchoRequest),
            10 => Ok(Code::EchoReply),
            _ => Err(Error),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Returns the data, which a reply repeats.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        &self.buffer.as_ref()[HEADER_LEN..self.length()]
    }
}

/// What an echo packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// Request or reply.
    pub code: Code,
    /// Which request it is or answers.
    pub identifier: u8,
    /// The sender's magic number.
    pub magic: u32,
    /// What a reply repeats; at most 65527 bytes.
    pub data: &'a [u8],
}

impl<'a> Repr<'a> {
    /// Reads an echo packet.
    ///
    /// # Errors
    /// It is cut off, its length cannot be, or its code is another.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self> {
        packet.check_len()?;
        Ok(Self {
            code: packet.parse_code()?,
            identifier: packet.identifier(),
            magic: packet.magic(),
            data: packet.data(),
        })
    }

    /// Returns the answer to a request, with our magic number.
    #[must_use]
    pub const fn reply(self, magic: u32) -> Self {
        Self {
            code: Code::EchoReply,
            magic,
            ..self
        }
    }

    /// Returns how many bytes [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.data.len()
    }

    /// Writes the packet.
    ///
    /// # Panics
    /// The buffer is shorter than [`Self::buffer_len`].
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        let data = packet.buffer.as_mut();
        let length = u16::try_from(self.buffer_len()).unwrap_or(u16::MAX);
        data[field::CODE] = match self.code {
            Code::EchoRequest => 9,
            Code::EchoReply => 10,
        };
        data[field::IDENTIFIER] = self.identifier;
        data[field::LENGTH].copy_from_slice(&length.to_be_bytes());
        data[field::MAGIC].copy_from_slice(&self.magic.to_be_bytes());
        data[HEADER_LEN..self.buffer_len()].copy_from_slice(self.data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An Echo-Request laid out as in RFC 1661 §5.8, identifier 3, two bytes of data.
    const BYTES: [u8; 10] = [9, 3, 0, 10, 0xB2, 0x6A, 0x06, 0x6E, 0xCA, 0xFE];

    const REPR: Repr<'static> = Repr {
        code: Code::EchoRequest,
        identifier: 3,
        magic: 0xB26A_066E,
        data: &[0xCA, 0xFE],
    };

    #[test]
    fn a_request_parses() {
        assert_eq!(Repr::parse(&Packet::new_unchecked(&BYTES)), Ok(REPR));
    }

    #[test]
    fn a_request_emits() {
        let mut bytes = [0xA5; 10];

        REPR.emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, BYTES);
    }

    #[test]
    fn a_reply_repeats_identifier_and_data_under_our_magic_number() {
        let mut bytes = [0; 10];

        REPR.reply(1).emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, [10, 3, 0, 10, 0, 0, 0, 1, 0xCA, 0xFE]);
    }

    #[test]
    fn each_truncation_fails() {
        for len in 0..BYTES.len() {
            assert!(Packet::new_checked(&BYTES[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn other_codes_and_impossible_lengths_fail() {
        for (at, value) in [(0, 8), (0, 11), (3, 7), (3, 11)] {
            let mut bytes = BYTES;
            bytes[at] = value;
            assert!(Packet::new_checked(&bytes).is_err(), "{at} {value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(
            request: bool,
            identifier: u8,
            magic: u32,
            data: Vec<u8>,
        ) {
            let code = if request { Code::EchoRequest } else { Code::EchoReply };
            let repr = Repr { code, identifier, magic, data: &data };
            let mut bytes = vec![0; repr.buffer_len()];

            repr.emit(&mut Packet::new_unchecked(&mut bytes));

            prop_assert_eq!(Repr::parse(&Packet::new_unchecked(&bytes)), Ok(repr));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>) {
            if bytes.len() > 3 {
                bytes[0] = 9 + (bytes[0] & 1);
                bytes[2] = 0;
            }
            if let Ok(packet) = Packet::new_checked(&bytes) {
                prop_assert!(packet.data().len() + HEADER_LEN <= bytes.len());
            }
        }
    }
}

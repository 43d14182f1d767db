//! Multilink headers (RFC 1990 §3): two flags and a sequence number of 24 bits, or of 12 where the
//! receiver asked for that.

use super::{Error, Result};

/// Bytes of the header with a long sequence number.
pub const LONG_HEADER_LEN: usize = 4;
/// Bytes of the header with a short one.
pub const SHORT_HEADER_LEN: usize = 2;

/// What a Multilink header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// B: the frame begins with this fragment.
    pub begin: bool,
    /// E: it ends with this one.
    pub end: bool,
    /// Numbers the fragments, whatever frame they are of: modulo 2^24, or 2^12 if `short`.
    pub seq: u32,
    /// The header's form, which it does not tell itself.
    pub short: bool,
}

const BEGIN: u8 = 0x80;
const END: u8 = 0x40;

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// It is cut off.
    pub fn parse(data: &[u8], short: bool) -> Result<Self> {
        let (flags, seq) = match (short, data) {
            (true, &[high, low, ..]) => (high, u32::from_be_bytes([0, 0, high & 0x0F, low])),
            (false, &[flags, high, middle, low, ..]) => {
                (flags, u32::from_be_bytes([0, high, middle, low]))
            }
            (true | false, _) => return Err(Error),
        };
        Ok(Self {
            begin: flags & BEGIN != 0,
            end: flags & END != 0,
            seq,
            short,
        })
    }

    /// Bytes of the header.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        if self.short {
            SHORT_HEADER_LEN
        } else {
            LONG_HEADER_LEN
        }
    }

    /// Writes the header to the beginning of `data`.
    ///
    /// # Panics
    /// `data` is shorter than [`Self::buffer_len`].
    pub fn emit(&self, data: &mut [u8]) {
        let flags = if self.begin { BEGIN } else { 0 } | if self.end { END } else { 0 };
        let [_, high, middle, low] = self.seq.to_be_bytes();
        if self.short {
            data[..SHORT_HEADER_LEN].copy_from_slice(&[flags | (middle & 0x0F), low]);
        } else {
            data[..LONG_HEADER_LEN].copy_from_slice(&[flags, high, middle, low]);
        }
    }

    /// Whether the frame is in one piece.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.begin && self.end
    }
}

/// How many sequence numbers there are.
#[must_use]
pub const fn sequence_space(short: bool) -> u32 {
    if short { 1 << 12 } else { 1 << 24 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1990 §3, figures 1 and 2.
    #[test]
    fn both_forms_are_as_in_the_rfc() {
        let first = Repr {
            begin: true,
            end: false,
            seq: 0x01_02_03,
            short: false,
        };
        let mut bytes = [0xFF; 4];
        first.emit(&mut bytes);
        assert_eq!(bytes, [0x80, 1, 2, 3]);
        let last = Repr {
            begin: false,
            end: true,
            seq: 0xABC,
            short: true,
        };
        last.emit(&mut bytes);
        assert_eq!(bytes[..2], [0x4A, 0xBC]);
        assert_eq!(Repr::parse(&[0x4A, 0xBC], true), Ok(last));
    }

    #[test]
    fn reserved_bits_mean_nothing() {
        let long = Repr::parse(&[0x3F, 0, 0, 7], false).unwrap();
        assert_eq!((long.begin, long.end, long.seq), (false, false, 7));
        let short = Repr::parse(&[0x30, 7], true).unwrap();
        assert_eq!((short.begin, short.end, short.seq), (false, false, 7));
    }

    #[test]
    fn a_header_that_is_cut_off_is_an_error() {
        for length in 0..4 {
            assert_eq!(Repr::parse(&[0xC0; 4][..length], false), Err(Error));
        }
        assert_eq!(Repr::parse(&[0xC0], true), Err(Error));
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(begin: bool, end: bool, seq: u32, short: bool) {
            let seq = seq % sequence_space(short);
            let repr = Repr { begin, end, seq, short };
            let mut bytes = [0; 4];
            repr.emit(&mut bytes);
            prop_assert_eq!(Repr::parse(&bytes, short), Ok(repr));
        }
    }
}

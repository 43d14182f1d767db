//! PPP headers (RFC 1661 §2, RFC 1662 §3.1) as PPTP carries them: without flags, escapes and FCS.
//!
//! Both compressions of RFC 1661 §6.5 and §6.6 are understood whether they were negotiated or not;
//! the two forms cannot be mistaken for each other.

use super::{Error, Result, read_u16};

/// Bytes of the largest header: address, control, two-byte protocol.
pub const MAX_HEADER_LEN: usize = 4;

/// The protocol numbers that the packet path knows; all others are the control process's.
pub mod protocol {
    /// Internet Protocol version 4 (RFC 1332).
    pub const IPV4: u16 = 0x0021;
    /// Multilink (RFC 1990).
    pub const MULTILINK: u16 = 0x003D;
    /// Internet Protocol version 6 (RFC 5072).
    pub const IPV6: u16 = 0x0057;
    /// A compressed datagram (RFC 1962), which is how MPPE frames are marked (RFC 3078 §3).
    pub const COMPRESSED: u16 = 0x00FD;
    /// Link Control Protocol (RFC 1661).
    pub const LCP: u16 = 0xC021;
}

const ADDRESS_CONTROL: [u8; 2] = [0xFF, 0x03];

/// A view of a PPP frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps a buffer without looking at it.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps a buffer that holds a whole header.
    ///
    /// # Errors
    /// The frame ends inside its header, or the protocol number is not one.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no getter panics.
    ///
    /// # Errors
    /// The frame ends inside its header, or the protocol number is not one: RFC 1661 §2 wants the
    /// last byte odd and, of two bytes, the first even. 0xFF alone is the address field.
    pub fn check_len(&self) -> Result<()> {
        let data = self.buffer.as_ref();
        match data.get(self.protocol_at()..) {
            None | Some([] | [0xFF, ..]) => Err(Error),
            Some([first, ..]) if first & 1 == 1 => Ok(()),
            Some([_, second, ..]) if second & 1 == 1 => Ok(()),
            Some(_) => Err(Error),
        }
    }

    /// Returns whether the frame begins with the address and control fields. Works on any buffer.
    #[inline]
    pub fn has_address_control(&self) -> bool {
        self.buffer.as_ref().starts_with(&ADDRESS_CONTROL)
    }

    /// Returns whether the protocol number is in its one-byte form.
    #[inline]
    pub fn is_protocol_compressed(&self) -> bool {
        self.buffer.as_ref()[self.protocol_at()] & 1 == 1
    }

    /// Returns the protocol number.
    #[inline]
    pub fn protocol(&self) -> u16 {
        let at = self.protocol_at();
        if self.is_protocol_compressed() {
            u16::from(self.buffer.as_ref()[at])
        } else {
            read_u16(self.buffer.as_ref(), at..at + 2)
        }
    }

    /// Returns the length of the header: where the information field begins.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.protocol_at() + if self.is_protocol_compressed() { 1 } else { 2 }
    }

    /// Returns the information field, padding included.
    #[inline]
    pub fn information(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len()..]
    }

    fn protocol_at(&self) -> usize {
        if self.has_address_control() {
            ADDRESS_CONTROL.len()
        } else {
            0
        }
    }
}

/// What a PPP header says, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The protocol number.
    pub protocol: u16,
    /// The address and control fields are left out (ACFC, RFC 1661 §6.6).
    pub acfc: bool,
    /// A number below 0x100 has one byte (PFC, RFC 1661 §6.5); does nothing to larger ones.
    pub pfc: bool,
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// The frame ends inside its header, or the protocol number is not one.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self> {
        packet.check_len()?;
        Ok(Self {
            protocol: packet.protocol(),
            acfc: !packet.has_address_control(),
            pfc: packet.is_protocol_compressed(),
        })
    }

    /// Returns how many bytes [`Self::emit`] writes.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        let address_control = if self.acfc { 0 } else { 2 };
        let protocol = if self.short_protocol().is_some() {
            1
        } else {
            2
        };
        address_control + protocol
    }

    /// Writes the header.
    ///
    /// # Panics
    /// The buffer is shorter than [`Self::buffer_len`].
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        let mut data = packet.buffer.as_mut();
        if !self.acfc {
            data[..2].copy_from_slice(&ADDRESS_CONTROL);
            data = &mut data[2..];
        }
        match self.short_protocol() {
            Some(short) => data[0] = short,
            None => data[..2].copy_from_slice(&self.protocol.to_be_bytes()),
        }
    }

    fn short_protocol(&self) -> Option<u8> {
        if self.pfc {
            u8::try_from(self.protocol).ok()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each form, as pppd and the kernel's pptp client send it.
    const FORMS: [(&[u8], Repr); 4] = [
        (
            &[0xFF, 0x03, 0xC0, 0x21],
            Repr {
                protocol: protocol::LCP,
                acfc: false,
                pfc: false,
            },
        ),
        (
            &[0x80, 0xFD],
            Repr {
                protocol: 0x80FD,
                acfc: true,
                pfc: false,
            },
        ),
        (
            &[0xFD],
            Repr {
                protocol: protocol::COMPRESSED,
                acfc: true,
                pfc: true,
            },
        ),
        (
            &[0xFF, 0x03, 0x21],
            Repr {
                protocol: protocol::IPV4,
                acfc: false,
                pfc: true,
            },
        ),
    ];

    #[test]
    fn each_form_parses() {
        for (header, repr) in FORMS {
            let mut bytes = header.to_vec();
            bytes.extend_from_slice(&[0xAB, 0xCD]);

            let packet = Packet::new_checked(&bytes).unwrap();

            assert_eq!(Repr::parse(&packet), Ok(repr));
            assert_eq!(packet.information(), [0xAB, 0xCD]);
        }
    }

    #[test]
    fn each_form_emits() {
        for (header, repr) in FORMS {
            let mut bytes = vec![0xA5; repr.buffer_len()];

            repr.emit(&mut Packet::new_unchecked(&mut bytes));

            assert_eq!(bytes, header);
        }
    }

    #[test]
    fn a_large_protocol_number_is_never_compressed() {
        let repr = Repr {
            protocol: protocol::LCP,
            acfc: true,
            pfc: true,
        };
        let mut bytes = [0; 2];

        repr.emit(&mut Packet::new_unchecked(&mut bytes));

        assert_eq!(bytes, [0xC0, 0x21]);
    }

    #[test]
    fn each_truncation_fails() {
        for (header, _) in FORMS {
            for len in 0..header.len() {
                assert!(Packet::new_checked(&header[..len]).is_err(), "{header:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_protocol_number_fail() {
        for bytes in [[0x00, 0x20], [0xFF, 0x21], [0xC0, 0x22]] {
            assert!(Packet::new_checked(&bytes).is_err(), "{bytes:02X?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(number: u16, acfc: bool, pfc: bool) {
            // RFC 1661 §2: the low byte is odd, the high one even; 0x00FF is reserved for 0xFF.
            let protocol = number & 0xFEFF | 1;
            prop_assume!(protocol != 0x00FF);
            let repr = Repr { protocol, acfc, pfc: pfc && protocol < 0x100 };
            let mut bytes = vec![0; repr.buffer_len()];

            repr.emit(&mut Packet::new_unchecked(&mut bytes));

            prop_assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(repr));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            if let Ok(packet) = Packet::new_checked(&bytes) {
                let _ = (packet.information(), Repr::parse(&packet));
            }
        }
    }
}

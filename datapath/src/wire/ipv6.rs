//! IPv6 headers (RFC 8200), as far as a tunnel looks at them: version, length, addresses.

use std::net::Ipv6Addr;

use super::{Error, Field, Result, read_u16};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// A view of an IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use super::Field;

    pub(super) const VERSION: usize = 0;
    pub(super) const PAYLOAD_LEN: Field = 4..6;
    pub(super) const SOURCE: Field = 8..24;
    pub(super) const DESTINATION: Field = 24..40;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps a buffer that holds a whole packet; bytes may follow it.
    ///
    /// # Errors
    /// It is not version 6, or ends before its payload does.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let packet = Self { buffer };
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no getter panics.
    ///
    /// # Errors
    /// It is not version 6, or ends before its payload does.
    pub fn check_len(&self) -> Result<()> {
        let len = self.buffer.as_ref().len();
        if len < HEADER_LEN || self.version() != 6 || len < self.total_len() {
            return Err(Error);
        }
        Ok(())
    }

    /// Returns the version, 6.
    #[inline]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[field::VERSION] >> 4
    }

    /// Returns the length of header and payload. A jumbogram (RFC 2675) shows its header only.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(read_u16(self.buffer.as_ref(), field::PAYLOAD_LEN))
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        self.address(field::SOURCE)
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        self.address(field::DESTINATION)
    }

    fn address(&self, at: Field) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.buffer.as_ref()[at]);
        octets.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 3, 58, 255];
        bytes.extend_from_slice(&"fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        bytes.extend_from_slice(&"ff02::2".parse::<Ipv6Addr>().unwrap().octets());
        bytes.extend_from_slice(&[1, 2, 3]);
        bytes
    }

    #[test]
    fn a_header_is_read() {
        let mut bytes = bytes();
        bytes.push(0xEE);

        let packet = Packet::new_checked(&bytes).unwrap();

        assert_eq!(packet.total_len(), 43);
        assert_eq!(packet.source().to_string(), "fe80::1");
        assert_eq!(packet.destination().to_string(), "ff02::2");
    }

    #[test]
    fn each_truncation_and_another_version_fail() {
        let mut bytes = bytes();
        for len in 0..bytes.len() {
            assert!(Packet::new_checked(&bytes[..len]).is_err(), "{len}");
        }

        bytes[0] = 0x40;

        assert!(Packet::new_checked(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>) {
            if let Some(first) = bytes.first_mut() {
                *first = 0x60;
            }
            if let Ok(packet) = Packet::new_checked(&bytes) {
                prop_assert!(packet.total_len() <= bytes.len());
                let _ = (packet.source(), packet.destination());
            }
        }
    }
}

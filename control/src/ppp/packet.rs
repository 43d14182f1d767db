//! The packets that LCP and every control protocol share: code, identifier, length, data
//! (RFC 1661 §5), and the configuration options inside them (§6).

/// The codes that every control protocol has (RFC 1661 §5).
pub(super) mod code {
    pub(crate) const CONFIGURE_REQUEST: u8 = 1;
    pub(crate) const CONFIGURE_ACK: u8 = 2;
    pub(crate) const CONFIGURE_NAK: u8 = 3;
    pub(crate) const CONFIGURE_REJECT: u8 = 4;
    pub(crate) const TERMINATE_REQUEST: u8 = 5;
    pub(crate) const TERMINATE_ACK: u8 = 6;
    pub(crate) const CODE_REJECT: u8 = 7;
}

/// Code, identifier and length.
pub(super) const HEADER_BYTES: usize = 4;
/// The smallest MRU we agree to send within: what we echo of a peer's bytes is cut to fit it.
pub(super) const LEAST_MRU: u16 = 128;

/// A packet of LCP, CCP, IPCP, CHAP or PAP: they all have the same four-byte header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) code: u8,
    pub(super) id: u8,
    pub(super) data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; what follows its length is padding (RFC 1661 §5). `None` if it is cut off.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let &[code, id, high, low, ..] = bytes else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let data = bytes.get(HEADER_BYTES..length)?;
        Some(Self { code, id, data })
    }

    /// The bytes of the packet; data beyond the length field's reach is cut off.
    pub(super) fn emit(&self) -> Vec<u8> {
        let data = &self.data[..self.data.len().min(usize::from(u16::MAX) - HEADER_BYTES)];
        let length = u16::try_from(HEADER_BYTES + data.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(usize::from(length));
        bytes.extend([self.code, self.id]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(data);
        bytes
    }
}

/// One configuration option: type and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigOption {
    pub(super) kind: u8,
    pub(super) data: Vec<u8>,
}

impl ConfigOption {
    /// An option of type `kind`.
    pub(super) fn new(kind: u8, data: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            data: data.into(),
        }
    }

    /// Reads a list of options. `None` if one has a length below 2 or beyond the end.
    pub(super) fn parse_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut options = Vec::new();
        while let &[kind, length, ..] = bytes {
            let length = usize::from(length);
            options.push(Self::new(kind, bytes.get(2..length)?));
            bytes = &bytes[length..];
        }
        bytes.is_empty().then_some(options)
    }

    /// The bytes of a list of options. None of ours, and none read, is longer than 255 bytes.
    pub(super) fn emit_all(options: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for option in options {
            let data = &option.data[..option.data.len().min(MAX_OPTION_DATA_BYTES)];
            let length = u8::try_from(2 + data.len()).unwrap_or(u8::MAX);
            bytes.extend([option.kind, length]);
            bytes.extend(data);
        }
        bytes
    }

    /// The data as a number of 16 bits, if it is one.
    pub(super) fn u16(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.data.as_slice().try_into().ok()?))
    }

    /// The data as a number of 32 bits, if it is one.
    pub(super) fn u32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.data.as_slice().try_into().ok()?))
    }
}

const MAX_OPTION_DATA_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// pppd's first LCP Configure-Request, from a capture.
    const CONFIGURE_REQUEST: [u8; 28] = [
        0x01, 0x01, 0x00, 0x18, 0x01, 0x04, 0x05, 0x78, 0x02, 0x06, 0x00, 0x00, 0x00, 0x00, 0x05,
        0x06, 0x18, 0x42, 0x13, 0xc1, 0x07, 0x02, 0x08, 0x02, // padding:
        0, 0, 0, 0,
    ];

    #[test]
    fn a_captured_configure_request_reads_and_writes() {
        let packet = Packet::parse(&CONFIGURE_REQUEST).unwrap();
        assert_eq!((packet.code, packet.id), (code::CONFIGURE_REQUEST, 1));
        let options = ConfigOption::parse_all(packet.data).unwrap();
        assert_eq!(options[0].u16(), Some(1400));
        assert_eq!(options[2].u32(), Some(0x1842_13c1));
        assert_eq!(
            options.iter().map(|o| o.kind).collect::<Vec<_>>(),
            [1, 2, 5, 7, 8]
        );

        let data = ConfigOption::emit_all(&options);
        let again = Packet {
            data: &data,
            ..packet
        };
        assert_eq!(again.emit(), CONFIGURE_REQUEST[..24]);
    }

    #[test]
    fn a_truncated_packet_is_none() {
        for length in 0..24 {
            assert_eq!(Packet::parse(&CONFIGURE_REQUEST[..length]), None);
        }
    }

    #[test]
    fn a_length_below_the_header_is_none() {
        assert_eq!(Packet::parse(&[1, 1, 0, 3]), None);
        assert_eq!(Packet::parse(&[1, 1, 0, 0, 9]), None);
    }

    #[test]
    fn options_cut_off_or_too_short_are_none() {
        assert_eq!(ConfigOption::parse_all(&[1, 4, 5]), None);
        assert_eq!(ConfigOption::parse_all(&[1, 1]), None);
        assert_eq!(ConfigOption::parse_all(&[7, 0]), None);
        assert_eq!(ConfigOption::parse_all(&[7, 2, 8]), None);
    }

    proptest! {
        #[test]
        fn packets_survive_the_wire(code: u8, id: u8, data: Vec<u8>) {
            let packet = Packet { code, id, data: &data };
            let bytes = packet.emit();
            prop_assert_eq!(Packet::parse(&bytes), Some(packet));
        }

        #[test]
        fn options_survive_the_wire(
            list in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..=253)), 0..8),
        ) {
            let options: Vec<_> = list.into_iter().map(|(kind, data)| ConfigOption::new(kind, data)).collect();
            prop_assert_eq!(ConfigOption::parse_all(&ConfigOption::emit_all(&options)), Some(options));
        }

        #[test]
        fn any_bytes_parse_without_panic(bytes: Vec<u8>) {
            if let Some(packet) = Packet::parse(&bytes) {
                let options = ConfigOption::parse_all(packet.data);
                prop_assert!(options.is_none_or(|options| ConfigOption::emit_all(&options) == packet.data));
            }
        }
    }
}

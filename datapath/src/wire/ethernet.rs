//! Ethernet II frames with up to two VLAN tags (IEEE 802.1Q, 802.1ad).
//!
//! A third tag is not looked into: it shows up as the EtherType, which nothing carries.

use std::fmt;

use arrayvec::ArrayVec;

use super::{Error, Field, Result, read_u16};

/// How many VLAN tags are looked through.
pub const MAX_TAGS: usize = 2;

/// Bytes of the largest header: two addresses, two tags, the EtherType.
pub const MAX_HEADER_LEN: usize = field::UNTAGGED + MAX_TAGS * field::TAG_LEN;

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(pub [u8; 6]);

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtherType {
    /// 0x0800.
    Ipv4,
    /// 0x8100, a customer VLAN tag.
    Vlan,
    /// 0x86DD.
    Ipv6,
    /// 0x88A8, a service VLAN tag.
    ServiceVlan,
    /// Anything else.
    Unknown(u16),
}

/// One VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Which kind of tag: [`EtherType::Vlan`] or [`EtherType::ServiceVlan`].
    pub kind: EtherType,
    /// Priority, drop eligibility and VLAN number.
    pub control: u16,
}

/// A view of an Ethernet II frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    use super::Field;

    pub(super) const DESTINATION: Field = 0..6;
    pub(super) const SOURCE: Field = 6..12;
    pub(super) const TYPE_AT: usize = 12;
    pub(super) const UNTAGGED: usize = 14;
    pub(super) const TAG_LEN: usize = 4;
}

impl<T: AsRef<[u8]>> Frame<T> {
    /// Wraps a buffer without looking at it.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps a buffer that holds a whole header.
    ///
    /// # Errors
    /// The frame ends inside its header.
    pub fn new_checked(buffer: T) -> Result<Self> {
        let frame = Self::new_unchecked(buffer);
        frame.check_len()?;
        Ok(frame)
    }

    /// Makes sure that no getter panics.
    ///
    /// # Errors
    /// The frame ends inside its header.
    pub fn check_len(&self) -> Result<()> {
        let len = self.buffer.as_ref().len();
        let mut header_len = field::UNTAGGED;
        for tags in 0..=MAX_TAGS {
            header_len = field::UNTAGGED + tags * field::TAG_LEN;
            if len < header_len {
                return Err(Error);
            }
            if !self.type_at(tags).is_tag() {
                break;
            }
        }
        debug_assert_eq!(header_len, self.header_len());
        Ok(())
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> Address {
        self.address(field::DESTINATION)
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> Address {
        self.address(field::SOURCE)
    }

    /// Returns how many VLAN tags there are, at most [`MAX_TAGS`].
    #[inline]
    pub fn tags_len(&self) -> usize {
        (0..MAX_TAGS)
            .take_while(|&index| self.type_at(index).is_tag())
            .count()
    }

    /// Returns the tag at `index`, which is below [`Self::tags_len`].
    #[inline]
    pub fn tag(&self, index: usize) -> Tag {
        let at = field::UNTAGGED + index * field::TAG_LEN;
        Tag {
            kind: self.type_at(index),
            control: read_u16(self.buffer.as_ref(), at..at + 2),
        }
    }

    /// Returns the EtherType behind the tags.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        self.type_at(self.tags_len())
    }

    /// Returns the length of the header: where the network header begins.
    #[inline]
    pub fn header_len(&self) -> usize {
        field::UNTAGGED + self.tags_len() * field::TAG_LEN
    }

    /// Returns what the frame carries, padding included.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len()..]
    }

    fn type_at(&self, tags: usize) -> EtherType {
        let at = field::TYPE_AT + tags * field::TAG_LEN;
        read_u16(self.buffer.as_ref(), at..at + 2).into()
    }

    fn address(&self, at: Field) -> Address {
        let mut address = [0; 6];
        address.copy_from_slice(&self.buffer.as_ref()[at]);
        Address(address)
    }
}

/// What an Ethernet header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Who receives the frame.
    pub destination: Address,
    /// Who sent it.
    pub source: Address,
    /// Its VLAN tags, the outer one first.
    pub tags: ArrayVec<Tag, MAX_TAGS>,
    /// What it carries.
    pub ethertype: EtherType,
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// The frame ends inside its header.
    pub fn parse<T: AsRef<[u8]>>(frame: &Frame<T>) -> Result<Self> {
        frame.check_len()?;
        Ok(Self {
            destination: frame.destination(),
            source: frame.source(),
            tags: (0..frame.tags_len())
                .map(|index| frame.tag(index))
                .collect(),
            ethertype: frame.ethertype(),
        })
    }

    /// Returns the header of an answer: the addresses change places.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        std::mem::swap(&mut self.source, &mut self.destination);
        self
    }

    /// Returns how many bytes [`Self::emit`] writes.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        field::UNTAGGED + self.tags.len() * field::TAG_LEN
    }

    /// Writes the header.
    ///
    /// # Panics
    /// The buffer is shorter than [`Self::buffer_len`].
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, frame: &mut Frame<T>) {
        let data = frame.buffer.as_mut();
        data[field::DESTINATION].copy_from_slice(&self.destination.0);
        data[field::SOURCE].copy_from_slice(&self.source.0);
        let mut at = field::TYPE_AT;
        for tag in &self.tags {
            data[at..at + 2].copy_from_slice(&u16::from(tag.kind).to_be_bytes());
            data[at + 2..at + 4].copy_from_slice(&tag.control.to_be_bytes());
            at += field::TAG_LEN;
        }
        data[at..at + 2].copy_from_slice(&u16::from(self.ethertype).to_be_bytes());
    }
}

impl EtherType {
    const fn is_tag(self) -> bool {
        matches!(self, Self::Vlan | Self::ServiceVlan)
    }
}

impl From<u16> for EtherType {
    fn from(value: u16) -> Self {
        match value {
            0x0800 => Self::Ipv4,
            0x8100 => Self::Vlan,
            0x86DD => Self::Ipv6,
            0x88A8 => Self::ServiceVlan,
            other => Self::Unknown(other),
        }
    }
}

impl From<EtherType> for u16 {
    fn from(value: EtherType) -> Self {
        match value {
            EtherType::Ipv4 => 0x0800,
            EtherType::Vlan => 0x8100,
            EtherType::Ipv6 => 0x86DD,
            EtherType::ServiceVlan => 0x88A8,
            EtherType::Unknown(other) => other,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two tags as IEEE 802.1ad orders them, service VLAN 100 outside, customer VLAN 7 inside.
    const QINQ: [u8; 24] = [
        0x02, 0x77, 0, 0, 0, 2, 0x02, 0x77, 0, 0, 0, 1, 0x88, 0xA8, 0x00, 0x64, 0x81, 0x00, 0x20,
        0x07, 0x08, 0x00, 0x45, 0x00,
    ];

    fn repr() -> Repr {
        Repr {
            destination: Address([0x02, 0x77, 0, 0, 0, 2]),
            source: Address([0x02, 0x77, 0, 0, 0, 1]),
            tags: [
                Tag {
                    kind: EtherType::ServiceVlan,
                    control: 100,
                },
                Tag {
                    kind: EtherType::Vlan,
                    control: 0x2007,
                },
            ]
            .into(),
            ethertype: EtherType::Ipv4,
        }
    }

    #[test]
    fn two_tags_parse() {
        let frame = Frame::new_checked(&QINQ).unwrap();

        assert_eq!(Repr::parse(&frame), Ok(repr()));
        assert_eq!(frame.header_len(), MAX_HEADER_LEN);
        assert_eq!(frame.payload(), [0x45, 0x00]);
    }

    #[test]
    fn two_tags_emit() {
        let mut bytes = [0xA5; 22];

        repr().emit(&mut Frame::new_unchecked(&mut bytes));

        assert_eq!(bytes, QINQ[..22]);
    }

    #[test]
    fn an_untagged_frame_has_its_network_header_at_14() {
        let mut bytes = [0; 14];
        bytes[12..].copy_from_slice(&[0x08, 0x00]);

        let frame = Frame::new_checked(&bytes).unwrap();

        assert_eq!(frame.header_len(), 14);
        assert_eq!(frame.ethertype(), EtherType::Ipv4);
        assert!(frame.payload().is_empty());
    }

    #[test]
    fn a_third_tag_is_left_as_the_ethertype() {
        let mut bytes = QINQ;
        bytes[20..22].copy_from_slice(&[0x81, 0x00]);

        let frame = Frame::new_checked(&bytes).unwrap();

        assert_eq!(frame.ethertype(), EtherType::Vlan);
    }

    #[test]
    fn each_truncation_fails() {
        for len in 0..22 {
            assert_eq!(Frame::new_checked(&QINQ[..len]).err(), Some(Error), "{len}");
        }
    }

    #[test]
    fn an_answer_swaps_the_addresses() {
        let answer = repr().reversed();

        assert_eq!(answer.source.to_string(), "02:77:00:00:00:02");
        assert_eq!(answer.destination.to_string(), "02:77:00:00:00:01");
        assert_eq!(answer.tags, repr().tags);
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(
            destination: [u8; 6],
            source: [u8; 6],
            controls in proptest::collection::vec((any::<bool>(), any::<u16>()), 0..=2),
            ethertype in any::<u16>().prop_map(EtherType::from).prop_filter("no third tag", |t| !t.is_tag()),
        ) {
            let repr = Repr {
                destination: Address(destination),
                source: Address(source),
                tags: controls
                    .into_iter()
                    .map(|(service, control)| Tag {
                        kind: if service { EtherType::ServiceVlan } else { EtherType::Vlan },
                        control,
                    })
                    .collect(),
                ethertype,
            };
            let mut bytes = vec![0xFF; repr.buffer_len()];

            repr.emit(&mut Frame::new_unchecked(&mut bytes));

            prop_assert_eq!(Repr::parse(&Frame::new_checked(&bytes).unwrap()), Ok(repr));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            if let Ok(frame) = Frame::new_checked(&bytes) {
                let repr = Repr::parse(&frame).unwrap();
                prop_assert_eq!(repr.buffer_len() + frame.payload().len(), bytes.len());
            }
        }
    }
}

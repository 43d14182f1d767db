//! The Internet checksum (RFC 1071), fast: in words of the machine's own order, which only the last
//! step puts right, and while bytes are copied that have to be copied anyway.

/// A sum of 16-bit words in ones' complement, not yet folded. Add parts in any order, each of an
/// even number of bytes but the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes.
    #[must_use]
    pub fn plus(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut lanes = [0; LANES];
        for block in blocks {
            add_block(&mut lanes, block);
        }
        self.add_lanes(lanes).add_rest(rest)
    }

    /// Copies bytes, and adds them in the same pass.
    ///
    /// # Panics
    /// `to` is not as long as `from`.
    #[must_use]
    pub fn add_copied(self, from: &[u8], to: &mut [u8]) -> Self {
        assert_eq!(from.len(), to.len(), "copies all or nothing");
        let (blocks, rest) = from.as_chunks::<BLOCK>();
        let (blocks_to, rest_to) = to.as_chunks_mut::<BLOCK>();
        let mut lanes = [0; LANES];
        for (block, to) in blocks.iter().zip(blocks_to) {
            *to = *block;
            add_block(&mut lanes, block);
        }
        rest_to.copy_from_slice(rest);
        self.add_lanes(lanes).add_rest(rest)
    }

    /// Adds a number as it stands in a packet.
    #[must_use]
    pub fn add_u16(self, number: u16) -> Self {
        Self(self.0 + u64::from(u16::from_ne_bytes(number.to_be_bytes())))
    }

    /// The sum in 16 bits, as it is put into a packet where a checksum is yet to be added.
    #[must_use]
    pub fn fold(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum >> 16) + (sum & u64::from(u16::MAX));
        }
        #[expect(clippy::cast_possible_truncation, reason = "folded above")]
        (sum as u16).to_ne_bytes()
    }

    /// The checksum.
    #[must_use]
    pub fn checksum(self) -> [u8; 2] {
        self.fold().map(|byte| !byte)
    }

    /// Whether this is the sum of bytes with their checksum among them.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.fold() == [0xff, 0xff]
    }

    fn add_lanes(self, lanes: [u64; LANES]) -> Self {
        // Each lane has added fewer than 2^27 words of 32 bits for bytes of up to 4 GB.
        Self(lanes.iter().fold(self.0, |sum, &lane| {
            sum + (lane >> 32) + (lane & u64::from(u32::MAX))
        }))
    }

    fn add_rest(self, bytes: &[u8]) -> Self {
        let (words, odd) = bytes.as_chunks::<2>();
        let sum = words.iter().fold(self.0, |sum, &word| {
            sum + u64::from(u16::from_ne_bytes(word))
        });
        let last = odd.first().map_or(0, |&byte| u16::from_ne_bytes([byte, 0]));
        Self(sum + u64::from(last))
    }
}

/// The words of a block, each in a lane of its own: what a compiler makes vector instructions of.
fn add_block(lanes: &mut [u64; LANES], block: &[u8; BLOCK]) {
    let (words, _) = block.as_chunks::<4>();
    for (lane, &word) in lanes.iter_mut().zip(words) {
        *lane += u64::from(u32::from_ne_bytes(word));
    }
}

const BLOCK: usize = 64;
const LANES: usize = BLOCK / 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 §4.1, word by word.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1071_sums_to_what_it_says() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().plus(&bytes).fold(), [0xdd, 0xf2]);
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_reference(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            from in 0usize..70,
            cut in 0usize..3000,
        ) {
            let bytes = &bytes[from.min(bytes.len())..];
            let cut = cut.min(bytes.len()) & !1;
            let (first, second) = bytes.split_at(cut);
            let mut copy = vec![0; second.len()];

            let sum = Sum::default().add_copied(second, &mut copy).plus(first);

            prop_assert_eq!(u16::from_be_bytes(sum.checksum()), reference(bytes));
            prop_assert_eq!(copy, second);
        }

        #[test]
        fn a_checksum_makes_its_bytes_valid(
            mut bytes in prop::collection::vec(any::<u8>(), 2..200),
            wrong in 1..=u16::MAX - 1,
        ) {
            bytes[..2].fill(0);
            let checksum = Sum::default().plus(&bytes).checksum();
            bytes[..2].copy_from_slice(&checksum);
            prop_assert!(Sum::default().plus(&bytes).is_valid());

            let other = u16::from_be_bytes(checksum) ^ wrong;
            bytes[..2].copy_from_slice(&other.to_be_bytes());
            let zero = other == 0 || other == u16::MAX;
            prop_assert!(zero || !Sum::default().plus(&bytes).is_valid());
        }

        #[test]
        fn a_number_counts_as_its_bytes_do(number: u16) {
            let sum = Sum::default().add_u16(number).fold();
            prop_assert_eq!(sum, Sum::default().plus(&number.to_be_bytes()).fold());
        }
    }
}

//! Numbers that look random and are the same in every run: splitmix64.

/// A generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// With a seed of its own, it gives numbers of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        let numbers = (last - first + 1) as u64;
        first + usize::try_from(self.draw() % numbers).unwrap_or_default()
    }

    /// Whether it happens, this often in a thousand.
    pub fn happens(&mut self, per_mille: u16) -> bool {
        self.draw() % 1000 < u64::from(per_mille)
    }

    /// That many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.draw().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_another_seed_others() {
        let first = Random::new(1).bytes(1001);
        assert_eq!(first.len(), 1001);
        assert_eq!(Random::new(1).bytes(1001), first);
        assert_ne!(Random::new(2).bytes(1001), first);
    }

    #[test]
    fn both_ends_of_a_range_come() {
        let mut random = Random::new(3);
        let numbers: Vec<usize> = (0..100).map(|_| random.between(5, 8)).collect();
        assert_eq!(numbers.iter().min(), Some(&5));
        assert_eq!(numbers.iter().max(), Some(&8));
    }

    #[test]
    fn what_happens_once_in_a_hundred_happens_so() {
        let mut random = Random::new(4);
        let happened = (0..100_000).filter(|_| random.happens(10)).count();
        assert!((800..1200).contains(&happened), "{happened}");
    }
}

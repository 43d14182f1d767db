//! Which strengths of MPPE a user may have.

use greyhound_datapath::mppe::Strength;

/// A set of strengths of MPPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strengths {
    /// As CCP's option has them (RFC 3078 §2.1), without any other bit.
    bits: u32,
}

impl Strengths {
    /// 40, 56 and 128 bit.
    pub const ALL: Self = Self { bits: 0xe0 };

    /// What MS-MPPE-Encryption-Types allows (RFC 2548 §2.4.5): 0x2 is 40 bit, 0x4 is 128 bit, and
    /// 0x8, which came later, 56 bit. Other bits mean nothing.
    #[must_use]
    pub fn from_types(types: u32) -> Self {
        [
            (0x2, Strength::Bits40),
            (0x4, Strength::Bits128),
            (0x8, Strength::Bits56),
        ]
        .into_iter()
        .filter_map(|(bit, strength)| (types & bit != 0).then_some(strength))
        .collect()
    }

    /// Whether there is none: nothing can be encrypted.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Whether this one is in it.
    #[must_use]
    pub const fn contains(self, strength: Strength) -> bool {
        self.bits & bit(strength) != 0
    }

    /// The bits of CCP's option.
    pub(super) const fn bits(self) -> u32 {
        self.bits
    }
}

impl FromIterator<Strength> for Strengths {
    fn from_iter<I: IntoIterator<Item = Strength>>(strengths: I) -> Self {
        let strengths = strengths.into_iter();
        Self {
            bits: strengths.fold(0, |bits, strength| bits | bit(strength)),
        }
    }
}

/// The L, M and S bits (RFC 3078 §2.1).
pub(super) const fn bit(strength: Strength) -> u32 {
    match strength {
        Strength::Bits40 => 0x20,
        Strength::Bits56 => 0x80,
        Strength::Bits128 => 0x40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: [Strength; 3] = [Strength::Bits40, Strength::Bits56, Strength::Bits128];

    #[test]
    fn a_set_has_what_was_put_into_it() {
        for wanted in EACH {
            let one: Strengths = [wanted].into_iter().collect();
            assert_eq!(
                EACH.map(|other| one.contains(other)),
                EACH.map(|o| o == wanted)
            );
            assert!(!one.is_empty());
        }
        assert_eq!(Strengths::ALL, EACH.into_iter().collect());
        assert!(Strengths::from_iter([]).is_empty());
    }

    #[test]
    fn encryption_types_are_read_bit_by_bit() {
        let of = |types| EACH.map(|strength| Strengths::from_types(types).contains(strength));
        assert_eq!(of(0), [false, false, false]);
        assert_eq!(of(2), [true, false, false]);
        assert_eq!(of(4), [false, false, true]);
        assert_eq!(of(6), [true, false, true]);
        assert_eq!(of(8), [false, true, false]);
        assert_eq!(of(u32::MAX), [true, true, true]);
        assert_eq!(of(!0xe), [false, false, false]);
    }
}

//! One direction's session keys in stateless mode (RFC 3078 §7.3, RFC 3079 §3).
//!
//! The keys follow from the start key alone, each from the one before. They are counted here by
//! *position*: how many key changes lie behind a key. Position 0 is the initial session key, with
//! which nothing is encrypted, for in stateless mode the key changes before each packet, the first
//! included; the packet with coherency count `c` has position `c + 1`, modulo 4096.

use std::fmt;

use sha1::{Digest, Sha1};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{StartKey, Strength};
use crate::wire::Coherency;

/// How many positions behind the one last used keep their key, in a chain for receiving.
pub const BEHIND: u64 = 64;

/// How many positions ahead of the one last used may have theirs, in a chain for receiving.
pub const AHEAD: u64 = 192;

/// The same in a chain for sending: what comes out of TUN at once is up to 47 packets.
pub const AHEAD_SENDING: u64 = 128;

/// The RC4 key of one packet.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SessionKey {
    bytes: [u8; 16],
    #[zeroize(skip)]
    strength: Strength,
}

impl SessionKey {
    /// Takes a key of which the first [`Strength::key_len`] bytes are used.
    #[must_use]
    pub const fn new(bytes: [u8; 16], strength: Strength) -> Self {
        Self { bytes, strength }
    }

    /// Returns the bytes that RC4 is keyed with: 8 or 16.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.strength.key_len()]
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// One direction's session keys: the newest one, and as many before it as the ring holds.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Chain {
    start_key: StartKey,
    #[zeroize(skip)]
    strength: Strength,
    /// The key of position `p` is in slot `p % ring.len()`.
    ring: Box<[[u8; 16]]>,
    /// How many slots are for keys ahead of the one last used.
    ahead: u64,
    /// Position of the newest key.
    head: u64,
    /// Position of the newest key that a packet was really encrypted with.
    used: u64,
}

impl Chain {
    /// A chain at its beginning, with room for late packets and for those after a gap.
    #[must_use]
    pub fn for_receiving(start_key: StartKey, strength: Strength) -> Self {
        Self::new(start_key, strength, BEHIND, AHEAD)
    }

    /// A chain at its beginning, with room for the keys of the packets to come.
    #[must_use]
    pub fn for_sending(start_key: StartKey, strength: Strength) -> Self {
        Self::new(start_key, strength, 1, AHEAD_SENDING)
    }

    fn new(start_key: StartKey, strength: Strength, behind: u64, ahead: u64) -> Self {
        let mut initial = interim_key(&start_key.0, &start_key.0, strength);
        strength.reduce(&mut initial);
        let mut ring: Box<[[u8; 16]]> = (0..behind + ahead).map(|_| [0; 16]).collect();
        ring[0] = *initial;
        Self {
            start_key,
            strength,
            ring,
            ahead,
            head: 0,
            used: 0,
        }
    }

    /// Adds the key after [`Self::newest`], not yet reduced; for engines. Forgets the oldest one.
    pub fn push(&mut self, mut key: [u8; 16]) {
        self.strength.reduce(&mut key);
        self.head += 1;
        let slot = self.slot(self.head);
        self.ring[slot] = key;
        key.zeroize();
    }

    /// Takes note that a packet with this position was encrypted or decrypted.
    pub fn mark_used(&mut self, position: u64) {
        self.used = self.used.max(position);
    }

    /// Returns the key of a position, if the ring holds it.
    #[must_use]
    pub fn key(&self, position: u64) -> Option<SessionKey> {
        self.holds(position)
            .then(|| SessionKey::new(self.ring[self.slot(position)], self.strength))
    }

    /// Returns whether the ring holds the key of a position.
    #[must_use]
    pub fn holds(&self, position: u64) -> bool {
        (self.oldest()..=self.head).contains(&position)
    }

    /// Position of the oldest key held.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        (self.head + 1).saturating_sub(self.ring.len() as u64)
    }

    /// Position of the newest key held.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// The highest position that was really used.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// How many keys are ready ahead of the highest position used.
    #[must_use]
    pub const fn ready(&self) -> u64 {
        self.head.saturating_sub(self.used)
    }

    /// Whether one more key can be made ready without forgetting one that may yet be needed.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.ready() < self.ahead
    }

    /// The start key; for engines.
    #[must_use]
    pub const fn start_key(&self) -> &[u8; 16] {
        &self.start_key.0
    }

    /// The newest session key, from which the next one follows; for engines.
    #[must_use]
    pub fn newest(&self) -> &[u8; 16] {
        &self.ring[self.slot(self.head)]
    }

    /// How many bits of the keys are secret.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        self.strength
    }

    fn slot(&self, position: u64) -> usize {
        // The remainder is below the length of the ring, which is a usize.
        #[expect(clippy::cast_possible_truncation, reason = "below ring.len()")]
        {
            (position % self.ring.len() as u64) as usize
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("strength", &self.strength)
            .field("head", &self.head)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

/// The coherency count of a packet, from its position.
#[must_use]
pub fn coherency_of(position: u64) -> Coherency {
    // Only the low twelve bits count.
    #[expect(clippy::cast_possible_truncation, reason = "taken modulo 4096 anyway")]
    Coherency::new(position.wrapping_sub(1) as u16)
}

/// `GetNewKeyFromSHA` of RFC 3079 §3: what RC4 then encrypts with itself to make a session key.
#[must_use]
pub fn interim_key(
    start_key: &[u8; 16],
    session_key: &[u8; 16],
    strength: Strength,
) -> Zeroizing<[u8; 16]> {
    const PAD_1: [u8; 40] = [0x00; 40];
    const PAD_2: [u8; 40] = [0xF2; 40];

    let len = strength.key_len();
    let digest = Zeroizing::new(<[u8; 20]>::from(
        Sha1::new()
            .chain_update(&start_key[..len])
            .chain_update(PAD_1)
            .chain_update(&session_key[..len])
            .chain_update(PAD_2)
            .finalize(),
    ));
    let mut key = Zeroizing::new([0; 16]);
    key[..len].copy_from_slice(&digest[..len]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mppe::{Engine, Portable};

    /// The start key of RFC 3079 §3.5.3; §3.5.1 and §3.5.2 use its first half.
    const START_KEY: [u8; 16] = [
        0x8B, 0x7C, 0xDC, 0x14, 0x9B, 0x99, 0x3A, 0x1B, 0xA1, 0x18, 0xCB, 0x15, 0x3F, 0x56, 0xDC,
        0xCB,
    ];

    fn chain(strength: Strength) -> Chain {
        Chain::for_receiving(StartKey(START_KEY), strength)
    }

    fn advance(chain: &mut Chain, steps: usize) {
        for _ in 0..steps {
            Portable.step(&mut [chain]);
        }
    }

    #[test]
    fn the_initial_keys_are_those_of_rfc_3079() {
        let cases: [(Strength, &[u8]); 3] = [
            // §3.5.1
            (
                Strength::Bits40,
                &[0xD1, 0x26, 0x9E, 0xC4, 0x9F, 0xA6, 0x2E, 0x3E],
            ),
            // §3.5.2
            (
                Strength::Bits56,
                &[0xD1, 0x5C, 0x00, 0xC4, 0x9F, 0xA6, 0x2E, 0x3E],
            ),
            // §3.5.3
            (
                Strength::Bits128,
                &[
                    0x40, 0x5C, 0xB2, 0x24, 0x7A, 0x79, 0x56, 0xE6, 0xE2, 0x11, 0x00, 0x7A, 0xE2,
                    0x7B, 0x22, 0xD4,
                ],
            ),
        ];
        for (strength, expected) in cases {
            let key = chain(strength).key(0).unwrap();
            assert_eq!(key.as_bytes(), expected, "{strength:?}");
        }
    }

    #[test]
    fn the_ring_holds_64_keys_behind_and_192_ahead() {
        let mut chain = chain(Strength::Bits128);
        advance(&mut chain, 1000);
        chain.mark_used(1000);
        assert!(chain.has_room());
        let behind = chain.key(1000 - BEHIND + 1).unwrap();

        advance(&mut chain, 192);

        assert_eq!(chain.ready(), AHEAD);
        assert!(!chain.has_room());
        assert_eq!(chain.oldest(), 1000 - BEHIND + 1);
        assert_eq!(chain.key(1000 - BEHIND + 1), Some(behind));
        assert_eq!(chain.key(1000 - BEHIND), None);
        assert_eq!(chain.key(1193), None);
    }

    #[test]
    fn each_strength_steps_to_keys_with_its_own_fixed_bytes() {
        for (strength, fixed) in [
            (Strength::Bits40, &[0xD1, 0x26, 0x9E][..]),
            (Strength::Bits56, &[0xD1][..]),
            (Strength::Bits128, &[][..]),
        ] {
            let mut chain = chain(strength);
            advance(&mut chain, 3);
            for position in 1..=3 {
                let key = chain.key(position).unwrap();
                assert_eq!(key.as_bytes().len(), strength.key_len());
                assert!(key.as_bytes().starts_with(fixed), "{strength:?}");
                assert_ne!(Some(key), chain.key(position - 1));
            }
        }
    }

    #[test]
    fn the_coherency_count_is_one_less_than_the_position() {
        assert_eq!(coherency_of(1).value(), 0);
        assert_eq!(coherency_of(4096).value(), 4095);
        assert_eq!(coherency_of(4097).value(), 0);
    }

    #[test]
    fn no_key_shows_in_debug_output() {
        let chain = chain(Strength::Bits128);

        assert_eq!(format!("{:?}", chain.key(0).unwrap()), "SessionKey(..)");
        assert_eq!(
            format!("{chain:?}"),
            "Chain { strength: Bits128, head: 0, used: 0, .. }"
        );
    }
}

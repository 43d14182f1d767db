//! The SHA-1 of RFC 3079 §3 by the SHA extensions, up to four chains in turns: one alone waits for
//! the result of each instruction.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_set_epi64x, _mm_sha1msg1_epu32, _mm_sha1msg2_epu32,
    _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_xor_si128,
};
use std::array;

use super::super::batch::Key;
use super::super::portable::INITIAL;
use super::rc4::bits;
use crate::mppe::{Chain, Strength};

/// [`super::Kernels::interim_keys`]
#[target_feature(enable = "sse4.1,sha")]
pub(super) fn interim_keys(chains: &[&mut Chain], keys: &mut [Key]) {
    for (chains, keys) in chains.chunks(4).zip(keys.chunks_mut(4)) {
        match keys {
            [a, b, c, d] => [*a, *b, *c, *d] = digests(chains),
            [a, b, c] => [*a, *b, *c] = digests(chains),
            [a, b] => [*a, *b] = digests(chains),
            keys => {
                for (chain, key) in chains.chunks(1).zip(keys) {
                    [*key] = digests(chain);
                }
            }
        }
    }
}

/// Hashes for the first `N` chains.
#[target_feature(enable = "sse4.1,sha")]
#[inline(never)]
fn digests<const N: usize>(chains: &[&mut Chain]) -> [Key; N] {
    let [a, b, c, d, e] = INITIAL.map(u128::from);
    let mut state = [vector((a << 96) | (b << 64) | (c << 32) | d); N];
    let mut fifth = [vector(e << 96); N];
    let messages: [_; N] = array::from_fn(|n| message(chains[n]));
    for block in [0, 1] {
        let mut words: [[__m128i; 4]; N] =
            array::from_fn(|n| messages[n][block].map(|number| vector(number)));
        let mut now = state;
        let mut before = fifth;
        // Four rounds of each chain, by the function and the constant of this part of the hash.
        macro_rules! rounds {
            ($part:literal: $($group:literal)*) => {$(
                for n in 0..N {
                    let words = &mut words[n];
                    if $group >= 4 {
                        let sum = _mm_sha1msg1_epu32(words[$group % 4], words[($group + 1) % 4]);
                        let sum = _mm_xor_si128(sum, words[($group + 2) % 4]);
                        words[$group % 4] = _mm_sha1msg2_epu32(sum, words[($group + 3) % 4]);
                    }
                    let input = if $group == 0 {
                        _mm_add_epi32(before[n], words[0])
                    } else {
                        _mm_sha1nexte_epu32(before[n], words[$group % 4])
                    };
                    before[n] = now[n];
                    now[n] = _mm_sha1rnds4_epu32::<$part>(now[n], input);
                }
            )*};
        }
        rounds!(0: 0 1 2 3 4);
        rounds!(1: 5 6 7 8 9);
        rounds!(2: 10 11 12 13 14);
        rounds!(3: 15 16 17 18 19);
        for n in 0..N {
            fifth[n] = _mm_sha1nexte_epu32(before[n], fifth[n]);
            state[n] = _mm_add_epi32(state[n], now[n]);
        }
    }
    array::from_fn(|n| {
        let digest = bits(state[n]);
        let key = match chains[n].strength() {
            Strength::Bits128 => digest,
            Strength::Bits40 | Strength::Bits56 => (digest & FIRST_HALF) | (digest >> 64),
        };
        key.to_be_bytes()
    })
}

/// The two blocks that are hashed for a chain, as numbers of which the first byte is the highest:
/// start key, 40 times 00, session key, 40 times F2, and what SHA-1 appends.
fn message(chain: &Chain) -> [[u128; 4]; 2] {
    const PAD: u128 = u128::from_be_bytes([0xF2; 16]);
    const END: u128 = 0x80 << 120;

    let start_key = u128::from_be_bytes(*chain.start_key());
    let session_key = u128::from_be_bytes(*chain.newest());
    match chain.strength() {
        Strength::Bits128 => [
            [start_key, 0, 0, session_key >> 64],
            [(session_key << 64) | (PAD >> 64), PAD, PAD, END | (112 * 8)],
        ],
        Strength::Bits40 | Strength::Bits56 => {
            let session_key = (session_key & FIRST_HALF) | (PAD >> 64);
            [
                [start_key & FIRST_HALF, 0, 0, session_key],
                [PAD, PAD, END, 96 * 8],
            ]
        }
    }
}

/// Where an 8-byte key is in a number of 16 bytes.
const FIRST_HALF: u128 = u128::MAX << 64;

#[target_feature(enable = "sse4.1")]
#[inline]
fn vector(number: u128) -> __m128i {
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    let [low, high] = [number as i64, (number >> 64) as i64];
    _mm_set_epi64x(high, low)
}

//! Eight packets at a time, on any processor, without intrinsics.

use sha1::block_api::compress;
use zeroize::optimization_barrier;

use super::batch::{self, Kernels, Key, LANES, QUAD};
use super::stream::State;
use super::{Engine, Job, StreamJob};
use crate::mppe::Chain;

/// The engine for any processor.
///
/// Row `i` of its permutations holds byte `i` of all packets of a group, which share `i`: what
/// would be one write a packet is one write a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Engine for Portable {
    fn step(&mut self, chains: &mut [&mut Chain]) {
        batch::step(*self, chains);
    }

    fn crypt(&mut self, jobs: &mut [Job<'_>]) {
        batch::crypt(*self, jobs);
    }

    fn crypt_streams(&mut self, jobs: &mut [StreamJob<'_>]) {
        batch::crypt_streams(*self, jobs);
    }
}

impl Kernels for Portable {
    /// Each stream alone: without vectors, turns gain no more than [`State::apply`] does.
    const STREAMS: usize = 1;

    fn interim_keys(self, chains: &[&mut Chain], keys: &mut [Key]) {
        interim_keys(chains, keys);
    }

    fn four(self, keys: &[Key; QUAD], data: &mut [&mut [u8]; QUAD]) {
        let mut rows = identity::<QUAD>();
        schedule(&mut rows, keys);
        encrypt_quad::<QUAD, 0>(&mut rows, data);
    }

    fn eight(self, keys: &[Key; LANES], data: &mut [&mut [u8]; LANES]) {
        // A local, and not a field: at some places in the heap it would share cache sets with the
        // packets, and cost half as much again.
        let mut rows = identity::<LANES>();
        schedule(&mut rows, keys);
        let [a, b, c, d, e, f, g, h] = data;
        encrypt_quad::<LANES, 0>(&mut rows, &mut [a, b, c, d]);
        encrypt_quad::<LANES, QUAD>(&mut rows, &mut [e, f, g, h]);
    }

    fn stream(self, states: &mut [&mut State], data: &mut [&mut [u8]]) {
        for (state, data) in states.iter_mut().zip(data) {
            state.apply(data);
        }
    }
}

/// [`Kernels::interim_keys`], by a SHA-1 that is given whole blocks.
pub(super) fn interim_keys(chains: &[&mut Chain], keys: &mut [Key]) {
    for (chain, key) in chains.iter().zip(keys) {
        let len = chain.strength().key_len();
        let mut message = [0; 2 * BLOCK];
        let bits = 8 * (2 * len + 2 * PAD);
        message[..len].copy_from_slice(&chain.start_key()[..len]);
        message[len + PAD..][..len].copy_from_slice(&chain.newest()[..len]);
        message[2 * len + PAD..][..PAD].fill(0xF2);
        message[2 * len + 2 * PAD] = 0x80;
        message[2 * BLOCK - 8..].copy_from_slice(&(bits as u64).to_be_bytes());
        let mut state = INITIAL;
        let (blocks, _) = message.as_chunks();
        compress(&mut state, blocks);
        for (bytes, word) in key.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        key.copy_within(..16 - len, len);
        message = [0; 2 * BLOCK];
        state = [0; 5];
        optimization_barrier(&message);
        optimization_barrier(&state);
    }
}

/// Bytes of a block of SHA-1.
const BLOCK: usize = 64;
/// Bytes of each of the two pads.
const PAD: usize = 40;
/// The state that SHA-1 begins with (FIPS 180-4 §5.3.1).
pub(super) const INITIAL: [u32; 5] = [
    0x6745_2301,
    0xEFCD_AB89,
    0x98BA_DCFE,
    0x1032_5476,
    0xC3D2_E1F0,
];

/// Bytes of keystream that are gathered before they meet the data.
const STEPS: usize = 16;

/// The permutations of `N` lanes before any key.
#[inline]
pub(super) const fn identity<const N: usize>() -> [[u8; N]; 256] {
    const {
        let mut rows = [[0; N]; 256];
        let mut i = 0_usize;
        while i < rows.len() {
            rows[i] = [i.to_le_bytes()[0]; N];
            i += 1;
        }
        rows
    }
}

/// The key schedule of `N` lanes, a quad of them at a time in each row.
#[inline(never)]
fn schedule<const N: usize>(rows: &mut [[u8; N]; 256], keys: &[Key; N]) {
    let mut j = [0_u8; N];
    for start in (0..rows.len()).step_by(STEPS) {
        for k in 0..STEPS {
            for quad in (0..N).step_by(QUAD) {
                let mut row = [0; QUAD];
                for lane in quad..quad + QUAD {
                    let moved = rows[start + k][lane];
                    j[lane] = j[lane].wrapping_add(keys[lane][k]).wrapping_add(moved);
                    row[lane - quad] = rows[usize::from(j[lane])][lane];
                    rows[usize::from(j[lane])][lane] = moved;
                }
                rows[start + k][quad..quad + QUAD].copy_from_slice(&row);
            }
        }
    }
}

/// Encrypts with the lanes from `FIRST` on, from their beginning.
#[inline(never)]
fn encrypt_quad<const N: usize, const FIRST: usize>(
    rows: &mut [[u8; N]; 256],
    data: &mut [&mut [u8]; QUAD],
) {
    let longest = data.iter().map(|data| data.len()).max().unwrap_or(0);
    let mut j = [0_u8; QUAD];
    for start in (0..longest).step_by(STEPS) {
        let mut keystream = [[0_u64; 2]; QUAD];
        for k in 0..STEPS {
            let i = (start + k + 1) % 256;
            let mut row = [0; QUAD];
            let mut sum = [0_u8; QUAD];
            for lane in 0..QUAD {
                let moved = rows[i][FIRST + lane];
                j[lane] = j[lane].wrapping_add(moved);
                row[lane] = rows[usize::from(j[lane])][FIRST + lane];
                rows[usize::from(j[lane])][FIRST + lane] = moved;
                sum[lane] = moved.wrapping_add(row[lane]);
            }
            rows[i][FIRST..FIRST + QUAD].copy_from_slice(&row);
            for lane in 0..QUAD {
                let byte = rows[usize::from(sum[lane])][FIRST + lane];
                let word = &mut keystream[lane][k / 8];
                *word = (*word | u64::from(byte)).rotate_right(8);
            }
        }
        for (data, [low, high]) in data.iter_mut().zip(keystream) {
            combine(data, start, u128::from(low) | (u128::from(high) << 64));
        }
    }
}

/// Adds 16 bytes of keystream to the data that is left from `start` on.
#[inline]
pub(super) fn combine(data: &mut [u8], start: usize, keystream: u128) {
    let Some(rest) = data.get_mut(start..) else {
        return;
    };
    if let Some(block) = rest.first_chunk_mut() {
        *block = (u128::from_le_bytes(*block) ^ keystream).to_le_bytes();
    } else {
        for (byte, key) in rest.iter_mut().zip(keystream.to_le_bytes()) {
            *byte ^= key;
        }
    }
}

//! RC4 with a permutation of its own for each stream: for packets too few to share one, and for
//! stateful mode, where each stream is at another place.
//!
//! Streams may take turns, byte by byte, so that none waits for its own memory.

use std::array;
use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::batch::{Key, repeated};
use crate::mppe::SessionKey;

/// Bytes of keystream that are gathered in a register before they meet the data.
const BLOCK: usize = 8;

/// RC4 that goes on where it stopped, from packet to packet: one direction of a session in
/// stateful mode (RFC 3078 §7.1), until its key changes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Stream {
    pub(super) state: State,
}

impl Stream {
    /// A stream at its beginning.
    #[must_use]
    pub fn new(key: &SessionKey) -> Self {
        let [state] = schedule(&[repeated(key)]);
        Self { state }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(..)")
    }
}

/// A permutation and the two places in it.
#[derive(Clone, Zeroize)]
pub(super) struct State {
    pub(super) permutation: [u8; 256],
    pub(super) i: u8,
    pub(super) j: u8,
}

/// Makes the permutations of `N` keys.
pub(super) fn schedule<const N: usize>(keys: &[Key; N]) -> [State; N] {
    let mut states = [const {
        State {
            permutation: IDENTITY,
            i: 0,
            j: 0,
        }
    }; N];
    let mut j = [0_u8; N];
    for start in (0..IDENTITY.len()).step_by(size_of::<Key>()) {
        for k in 0..size_of::<Key>() {
            for lane in 0..N {
                let permutation = &mut states[lane].permutation;
                let moved = permutation[start + k];
                j[lane] = j[lane].wrapping_add(moved).wrapping_add(keys[lane][k]);
                permutation[start + k] = permutation[usize::from(j[lane])];
                permutation[usize::from(j[lane])] = moved;
            }
        }
    }
    states
}

/// Lets `N` streams take turns over data of one length.
///
/// # Panics
/// The lengths differ.
pub(super) fn take_turns<const N: usize>(states: &mut [&mut State; N], data: &mut [&mut [u8]; N]) {
    let mut at: [_; N] = array::from_fn(|lane| (states[lane].i, states[lane].j));
    let len = data[0].len();
    let whole = len - len % BLOCK;
    for start in (0..whole).step_by(BLOCK) {
        let mut keystream = [0_u64; N];
        for k in 0..BLOCK {
            for lane in 0..N {
                let byte = next(&mut states[lane].permutation, &mut at[lane]);
                keystream[lane] |= u64::from(byte) << (8 * k);
            }
        }
        for lane in 0..N {
            for (byte, key) in data[lane][start..start + BLOCK]
                .iter_mut()
                .zip(keystream[lane].to_le_bytes())
            {
                *byte ^= key;
            }
        }
    }
    for lane in 0..N {
        for byte in &mut data[lane][whole..len] {
            *byte ^= next(&mut states[lane].permutation, &mut at[lane]);
        }
        (states[lane].i, states[lane].j) = at[lane];
    }
}

#[inline]
fn next(permutation: &mut [u8; 256], (i, j): &mut (u8, u8)) -> u8 {
    *i = i.wrapping_add(1);
    let moved = permutation[usize::from(*i)];
    *j = j.wrapping_add(moved);
    let other = permutation[usize::from(*j)];
    permutation[usize::from(*j)] = moved;
    permutation[usize::from(*i)] = other;
    permutation[usize::from(moved.wrapping_add(other))]
}

const IDENTITY: [u8; 256] = {
    let mut permutation = [0; 256];
    let mut i = 0_usize;
    while i < permutation.len() {
        permutation[i] = i.to_le_bytes()[0];
        i += 1;
    }
    permutation
};

//! RC4 with a permutation of its own for each stream: for packets too few to share one, and for
//! stateful mode, where each stream is at another place.

use std::{array, fmt};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::batch::{Key, repeated};
use crate::mppe::SessionKey;

/// Bytes of keystream that are gathered before they meet the data.
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
        let key = Zeroizing::new(repeated(key));
        let mut stream = Self { state: State::NEW };
        schedule(array::from_mut(&mut stream.state), array::from_ref(&*key));
        stream
    }

    /// Encrypts or decrypts what comes next, in place.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.state.apply(data);
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

impl State {
    /// Before any key.
    pub(super) const NEW: Self = Self {
        permutation: IDENTITY,
        i: 0,
        j: 0,
    };

    /// Encrypts or decrypts what comes next.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        let permutation = &mut self.permutation;
        let mut i = self.i.wrapping_add(1);
        let mut j = self.j;
        let mut moved = permutation[usize::from(i)];
        let mut next = || {
            j = j.wrapping_add(moved);
            let other = permutation[usize::from(j)];
            let sum = moved.wrapping_add(other);
            // As in the key schedule: read before the swap.
            let next = i.wrapping_add(1);
            let after = permutation[usize::from(next)];
            permutation[usize::from(j)] = moved;
            permutation[usize::from(i)] = other;
            if j != next {
                moved = after;
            }
            i = next;
            permutation[usize::from(sum)]
        };
        let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
        for block in blocks {
            let mut keystream = [0; BLOCK];
            keystream.fill_with(&mut next);
            let sum = u64::from_ne_bytes(*block) ^ u64::from_ne_bytes(keystream);
            *block = sum.to_ne_bytes();
        }
        for byte in rest {
            *byte ^= next();
        }
        self.i = i.wrapping_sub(1);
        self.j = j;
    }
}

/// Makes the permutations of `N` keys out of [`State::NEW`].
#[expect(
    clippy::needless_range_loop,
    reason = "an iterator over bytes of keys would hide that lanes go together"
)]
pub(super) fn schedule<const N: usize>(states: &mut [State; N], keys: &[Key; N]) {
    let mut j = [0_u8; N];
    let mut moved = [0_u8; N];
    for start in (0..IDENTITY.len()).step_by(size_of::<Key>()) {
        for k in 0..size_of::<Key>() {
            for lane in 0..N {
                let permutation = &mut states[lane].permutation;
                let i = start + k;
                let next = (i + 1) % IDENTITY.len();
                j[lane] = j[lane]
                    .wrapping_add(moved[lane])
                    .wrapping_add(keys[lane][k]);
                let at = usize::from(j[lane]);
                // Read before the swap, and put right if the swap changed it: a processor, which
                // does not know yet where the swap will write, would wait for that.
                let after = permutation[next];
                permutation[i] = permutation[at];
                permutation[at] = moved[lane];
                if at != next {
                    moved[lane] = after;
                }
            }
        }
    }
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

//! The fence around what the compiler cannot check: that the processor knows the instructions, and
//! that a byte in a register is below 256.

#![expect(
    unsafe_code,
    reason = "calls code for the processor that was detected, and adds bytes by one instruction"
)]

use std::arch::{asm, is_x86_feature_detected};
use std::hint::assert_unchecked;

use super::super::batch::{Key, LANES, QUAD};
use super::super::portable;
use super::super::stream::State;
use super::{rc4, sha};
use crate::mppe::Chain;

/// Proof that this processor has SSE4.1: there is no other way to get one than [`Self::detect`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor {
    /// It has the SHA extensions, and SSSE3, as well.
    sha: bool,
}

impl Processor {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("sse4.1").then(|| Self {
            sha: is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3"),
        })
    }

    #[cfg(test)]
    pub(super) fn without_sha(self) -> Self {
        Self { sha: false }
    }

    pub(super) fn interim_keys(self, chains: &[&mut Chain], keys: &mut [Key]) {
        if self.sha {
            // SAFETY: `detect` saw sse4.1, ssse3 and sha.
            unsafe { sha::interim_keys(chains, keys) }
        } else {
            portable::interim_keys(chains, keys);
        }
    }

    pub(super) fn four(self, keys: &[Key; QUAD], data: &mut [&mut [u8]; QUAD]) {
        // SAFETY: `detect` saw sse4.1.
        unsafe { rc4::four(keys, data) }
    }

    pub(super) fn eight(self, keys: &[Key; LANES], data: &mut [&mut [u8]; LANES]) {
        // SAFETY: `detect` saw sse4.1.
        unsafe { rc4::eight(keys, data) }
    }

    pub(super) fn stream(self, states: &mut [&mut State], data: &mut [&mut [u8]]) {
        // SAFETY: `detect` saw sse4.1.
        unsafe { rc4::stream(states, data) }
    }
}

/// A byte that has a whole register to itself, so that it can be an address as it is. With `u8` the
/// compiler clears the rest of the register after each addition, which takes a tenth of the time.
#[derive(Clone, Copy)]
pub(super) struct Index(
    /// Below 256.
    u64,
);

impl Index {
    #[inline(always)]
    pub(super) fn new(byte: u8) -> Self {
        Self(u64::from(byte))
    }

    /// Adds modulo 256.
    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let mut sum = self.0;
        // SAFETY: the instruction changes the low byte of `sum` and the flags, nothing else; no
        // memory and no stack.
        unsafe {
            asm!("add {0:l}, {1:l}", inout(reg) sum, in(reg) other.0, options(pure, nomem, nostack));
        }
        Self(sum)
    }

    #[inline(always)]
    pub(super) fn get(self) -> usize {
        // SAFETY: `new` gives a byte; `plus` changes the low byte of what was a byte.
        unsafe { assert_unchecked(self.0 < 256) };
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        {
            self.0 as usize
        }
    }

    #[inline(always)]
    pub(super) fn byte(self) -> u8 {
        self.0.to_le_bytes()[0]
    }
}

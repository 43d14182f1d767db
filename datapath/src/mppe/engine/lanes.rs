//! Eight packets at a time, by the instructions of x86-64 processors since about 2017.

use super::batch::{self, Kernels, Key, LANES, QUAD};
use super::stream::State;
use super::{Engine, Job, StreamJob};
use crate::mppe::Chain;

mod processor;
mod rc4;
mod sha;

use processor::Processor;

/// The engine for x86-64 with SSE4.1, and by preference with the SHA extensions.
///
/// It lays its permutations out as [`super::Portable`] does, puts rows and keystream together in
/// vector registers, and computes the hashes of four chains at a time.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    processor: Processor,
}

impl Lanes {
    /// The engine, if this processor can run it.
    #[must_use]
    pub fn detect() -> Option<Self> {
        Processor::detect().map(|processor| Self { processor })
    }

    /// The engine as it is on a processor without the SHA extensions.
    #[cfg(test)]
    pub(super) fn without_sha(self) -> Self {
        Self {
            processor: self.processor.without_sha(),
        }
    }
}

impl Engine for Lanes {
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

impl Kernels for Lanes {
    const STREAMS: usize = QUAD;

    fn interim_keys(self, chains: &[&mut Chain], keys: &mut [Key]) {
        self.processor.interim_keys(chains, keys);
    }

    fn four(self, keys: &[Key; QUAD], data: &mut [&mut [u8]; QUAD]) {
        self.processor.four(keys, data);
    }

    fn eight(self, keys: &[Key; LANES], data: &mut [&mut [u8]; LANES]) {
        self.processor.eight(keys, data);
    }

    fn stream(self, states: &mut [&mut State], data: &mut [&mut [u8]]) {
        self.processor.stream(states, data);
    }
}

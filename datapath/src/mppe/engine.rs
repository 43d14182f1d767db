//! The arithmetic of MPPE, many packets at a time: one RC4 stream cannot be hurried, but the
//! packets of stateless mode do not depend on each other once their keys are known.
//!
//! A processor's time goes into waiting for the memory of a permutation that the byte before just
//! changed. Several packets in lockstep fill the wait, and they share the place `i`, so that one
//! write serves them all.

use super::{Chain, SessionKey};

mod batch;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod portable;
mod reference;
mod stream;

#[cfg(target_arch = "x86_64")]
pub use lanes::Lanes;
pub use portable::Portable;
pub use reference::Crates;
pub use stream::Stream;

/// RC4 over one packet of stateless mode. Encrypting and decrypting are the same.
#[derive(Debug)]
pub struct Job<'a> {
    /// The packet's session key.
    pub key: SessionKey,
    /// What is encrypted or decrypted in place.
    pub data: &'a mut [u8],
}

/// RC4 over one packet of stateful mode: it goes on where the session's packet before stopped.
#[derive(Debug)]
pub struct StreamJob<'a> {
    /// The session's stream; each job of a batch has another one's.
    pub stream: &'a mut Stream,
    /// What is encrypted or decrypted in place.
    pub data: &'a mut [u8],
}

/// Who does the arithmetic. No engine allocates memory.
pub trait Engine {
    /// Adds one key to each chain (RFC 3078 §7.3).
    fn step(&mut self, chains: &mut [&mut Chain]);

    /// Does each job. The more there are, and the nearer their lengths, the less each one costs;
    /// their order means nothing.
    fn crypt(&mut self, jobs: &mut [Job<'_>]);

    /// Does each job; their order means nothing.
    fn crypt_streams(&mut self, jobs: &mut [StreamJob<'_>]);
}

/// Chooses the fastest engine that this processor can run.
#[must_use]
pub fn detect() -> AnyEngine {
    #[cfg(target_arch = "x86_64")]
    if let Some(lanes) = Lanes::detect() {
        return AnyEngine::Lanes(lanes);
    }
    AnyEngine::Portable(Portable)
}

/// The engine that was chosen at start.
#[derive(Clone, Copy, Debug)]
pub enum AnyEngine {
    /// For processors with the instructions it needs.
    #[cfg(target_arch = "x86_64")]
    Lanes(Lanes),
    /// For all others.
    Portable(Portable),
}

impl AnyEngine {
    /// What a log or a benchmark calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(_) => "lanes",
            Self::Portable(_) => "portable",
        }
    }
}

impl Engine for AnyEngine {
    fn step(&mut self, chains: &mut [&mut Chain]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(engine) => engine.step(chains),
            Self::Portable(engine) => engine.step(chains),
        }
    }

    fn crypt(&mut self, jobs: &mut [Job<'_>]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(engine) => engine.crypt(jobs),
            Self::Portable(engine) => engine.crypt(jobs),
        }
    }

    fn crypt_streams(&mut self, jobs: &mut [StreamJob<'_>]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(engine) => engine.crypt_streams(jobs),
            Self::Portable(engine) => engine.crypt_streams(jobs),
        }
    }
}

#[cfg(test)]
mod tests;

//! MPPE by the crates `rc4` and `sha1`, one packet after the other: what the other engines are
//! tested against, and measured against.

use rc4::{KeyInit, Rc4, StreamCipher};

use super::{Engine, Job, StreamJob};
use crate::mppe::Chain;
use crate::mppe::chain::interim_key;

/// The reference: simple, on any processor, not fast.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crates;

impl Engine for Crates {
    fn step(&mut self, chains: &mut [&mut Chain]) {
        for chain in chains {
            let strength = chain.strength();
            let interim = interim_key(chain.start_key(), chain.newest(), strength);
            let mut key = *interim;
            let len = strength.key_len();
            apply(&interim[..len], &mut key[..len]);
            chain.push(key);
        }
    }

    fn crypt(&mut self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            apply(job.key.as_bytes(), job.data);
        }
    }

    /// The state of a stream is not the crate's, so these are as simple as they come, but not its.
    fn crypt_streams(&mut self, jobs: &mut [StreamJob<'_>]) {
        for job in jobs {
            job.stream.state.apply(job.data);
        }
    }
}

fn apply(key: &[u8], data: &mut [u8]) {
    Rc4::new_from_slice(key)
        .expect("RC4 takes keys of 8 and of 16 bytes")
        .apply_keystream(data);
}

//! MPPE by OpenSSL: SHA-1 and RC4 of libcrypto, whose legacy provider has RC4.

use std::fmt;

use greyhound_datapath::mppe::{Chain, Engine, Job, StreamJob};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::provider::Provider;
use openssl::sha::Sha1;

const PAD_1: [u8; 40] = [0x00; 40];
const PAD_2: [u8; 40] = [0xF2; 40];

/// Bytes of a key; those of 40 and 56 bit are not measured.
const KEY: usize = 16;

/// One packet after the other.
pub(super) struct Openssl {
    context: CipherCtx,
    /// RC4 works as long as it is loaded.
    _legacy: Provider,
}

impl Openssl {
    /// Loads the legacy provider beside the default one.
    ///
    /// # Errors
    /// This libcrypto has no RC4.
    pub(super) fn load() -> Result<Self, ErrorStack> {
        let legacy = Provider::try_load(None, "legacy", true)?;
        let mut context = CipherCtx::new()?;
        context.encrypt_init(Some(Cipher::rc4()), Some(&[0; KEY]), None)?;
        Ok(Self {
            context,
            _legacy: legacy,
        })
    }

    fn apply(&mut self, key: &[u8], data: &mut [u8]) {
        self.context
            .encrypt_init(None, Some(key), None)
            .and_then(|()| self.context.cipher_update_inplace(data, data.len()))
            .expect("RC4 takes any key of 16 bytes, and any data");
    }
}

impl Engine for Openssl {
    fn step(&mut self, chains: &mut [&mut Chain]) {
        for chain in chains {
            let mut hash = Sha1::new();
            hash.update(chain.start_key());
            hash.update(&PAD_1);
            hash.update(chain.newest());
            hash.update(&PAD_2);
            let digest = hash.finish();
            let mut key = [0; KEY];
            key.copy_from_slice(&digest[..KEY]);
            self.apply(&digest[..KEY], &mut key);
            chain.push(key);
        }
    }

    fn crypt(&mut self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            self.apply(job.key.as_bytes(), job.data);
        }
    }

    fn crypt_streams(&mut self, _: &mut [StreamJob<'_>]) {
        unreachable!("only stateless mode is measured");
    }
}

impl fmt::Debug for Openssl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Openssl(..)")
    }
}

#[cfg(test)]
mod tests {
    use greyhound_datapath::mppe::{Crates, StartKey, Strength};

    use super::*;

    #[test]
    fn it_computes_what_the_others_do() {
        let mut openssl = Openssl::load().unwrap();
        let mut chain = Chain::for_sending(StartKey([7; 16]), Strength::Bits128);
        let mut expected = chain.clone();
        openssl.step(&mut [&mut chain]);
        Crates.step(&mut [&mut expected]);
        let key = chain.key(1).unwrap();
        assert_eq!(Some(&key), expected.key(1).as_ref());

        let mut data = [[0; 100]; 2];
        let [one, two] = &mut data;
        openssl.crypt(&mut [Job {
            key: key.clone(),
            data: one,
        }]);
        Crates.crypt(&mut [Job { key, data: two }]);
        assert_eq!(data[0], data[1]);
    }
}

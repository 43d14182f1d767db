//! The arithmetic of MPPE, many packets at a time: one RC4 stream cannot be hurried, but the
//! packets of stateless mode do not depend on each other once their keys are known.

use rc4::{KeyInit, Rc4, StreamCipher};

use super::chain::interim_key;
use super::{Chain, SessionKey};

/// RC4 over one packet. Encrypting and decrypting are the same.
#[derive(Debug)]
pub struct Job<'a> {
    /// The packet's session key.
    pub key: SessionKey,
    /// What is encrypted or decrypted in place.
    pub data: &'a mut [u8],
}

/// Who does the arithmetic. Chosen once, at start, by what the processor can do.
pub trait Engine {
    /// Adds one key to each chain (RFC 3078 §7.3).
    fn step(&mut self, chains: &mut [&mut Chain]);

    /// Does each job; their order means nothing.
    fn crypt(&mut self, jobs: &mut [Job<'_>]);
}

/// One packet after the other, on any processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Engine for Portable {
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
}

fn apply(key: &[u8], data: &mut [u8]) {
    Rc4::new_from_slice(key)
        .expect("RC4 takes keys of 8 and of 16 bytes")
        .apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mppe::{StartKey, Strength};

    /// RFC 3079 §3.5: the plain text of the samples.
    const MESSAGE: &[u8; 12] = b"test message";

    #[test]
    fn the_message_of_rfc_3079_encrypts_under_each_strength() {
        let start_key = [
            0x8B, 0x7C, 0xDC, 0x14, 0x9B, 0x99, 0x3A, 0x1B, 0xA1, 0x18, 0xCB, 0x15, 0x3F, 0x56,
            0xDC, 0xCB,
        ];
        for (strength, expected) in [
            // §3.5.1
            (
                Strength::Bits40,
                [
                    0x92, 0x91, 0x37, 0x91, 0x7E, 0x58, 0x03, 0xD6, 0x68, 0xD7, 0x58, 0x98,
                ],
            ),
            // The key of §3.5.2; the bytes are those of a second, independent RC4.
            (
                Strength::Bits56,
                [
                    0x3F, 0x10, 0x68, 0x33, 0xFA, 0x44, 0x8D, 0xA8, 0x42, 0xBC, 0x57, 0xB8,
                ],
            ),
            // §3.5.3
            (
                Strength::Bits128,
                [
                    0x81, 0x84, 0x83, 0x17, 0xDF, 0x68, 0x84, 0x62, 0x72, 0xFB, 0x5A, 0xBE,
                ],
            ),
        ] {
            let chain = Chain::for_sending(StartKey(start_key), strength);
            let mut data = *MESSAGE;

            Portable.crypt(&mut [Job {
                key: chain.key(0).unwrap(),
                data: &mut data,
            }]);

            assert_eq!(data, expected, "{strength:?}");
        }
    }

    #[test]
    fn the_keystreams_are_those_of_rfc_6229() {
        let mut key = [0; 16];
        for (byte, value) in key.iter_mut().zip(1..) {
            *byte = value;
        }
        let mut short = [0; 16];
        let mut long = [0; 16];

        Portable.crypt(&mut [
            Job {
                key: SessionKey::new(key, Strength::Bits56),
                data: &mut short,
            },
            Job {
                key: SessionKey::new(key, Strength::Bits128),
                data: &mut long,
            },
        ]);

        // §2, key length 64 bits.
        assert_eq!(
            short,
            [
                0x97, 0xAB, 0x8A, 0x1B, 0xF0, 0xAF, 0xB9, 0x61, 0x32, 0xF2, 0xF6, 0x72, 0x58, 0xDA,
                0x15, 0xA8,
            ]
        );
        // §2, key length 128 bits.
        assert_eq!(
            long,
            [
                0x9A, 0xC7, 0xCC, 0x9A, 0x60, 0x9D, 0x1E, 0xF7, 0xB2, 0x93, 0x28, 0x99, 0xCD, 0xE4,
                0x1B, 0x97,
            ]
        );
    }

    #[test]
    fn a_wave_steps_each_chain_once() {
        let chain = |byte| Chain::for_sending(StartKey([byte; 16]), Strength::Bits128);
        let (mut one, mut two) = (chain(1), chain(2));
        let mut alone = chain(2);

        Portable.step(&mut [&mut one, &mut two]);
        Portable.step(&mut [&mut alone]);

        assert_eq!((one.head(), two.head()), (1, 1));
        assert_ne!(one.key(1), two.key(1));
        assert_eq!(two.key(1), alone.key(1));
    }
}

use proptest::prelude::*;
use rc4::{KeyInit, Rc4, StreamCipher};

use super::*;
use crate::mppe::{StartKey, Strength};

const STRENGTHS: [Strength; 3] = [Strength::Bits40, Strength::Bits56, Strength::Bits128];

/// RFC 3079 §3.5: the plain text of the samples.
const MESSAGE: &[u8; 12] = b"test message";

/// Runs a test with every engine that this processor has.
fn with_each_engine(mut test: impl FnMut(&mut dyn Engine)) {
    test(&mut Crates);
    with_each_fast_engine(test);
}

/// Runs a test with every engine but the reference.
fn with_each_fast_engine(mut test: impl FnMut(&mut dyn Engine)) {
    test(&mut Portable);
    #[cfg(target_arch = "x86_64")]
    match Lanes::detect() {
        Some(mut lanes) => {
            test(&mut lanes);
            test(&mut lanes.without_sha());
        }
        None => eprintln!("skipped for lanes: the processor lacks SSE4.1"),
    }
}

fn keystream(key: &SessionKey, len: usize) -> Vec<u8> {
    let mut keystream = vec![0; len];
    Rc4::new_from_slice(key.as_bytes())
        .unwrap()
        .apply_keystream(&mut keystream);
    keystream
}

/// A key like no other number's.
fn session_key(number: usize, strength: Strength) -> SessionKey {
    let mut bytes = [0x5A; 16];
    bytes[..8].copy_from_slice(&(number * 0x9E37_79B9).to_le_bytes());
    SessionKey::new(bytes, strength)
}

fn chain(number: usize, strength: Strength) -> Chain {
    let mut start_key = [0xA5; 16];
    start_key[..8].copy_from_slice(&(number * 0x9E37_79B9).to_le_bytes());
    Chain::for_receiving(StartKey(start_key), strength)
}

/// Encrypts zeros with each key and compares with the reference.
fn check_batch(engine: &mut dyn Engine, batch: &[(SessionKey, usize)]) {
    let mut data: Vec<Vec<u8>> = batch.iter().map(|(_, len)| vec![0; *len]).collect();
    let mut jobs: Vec<Job<'_>> = batch
        .iter()
        .zip(&mut data)
        .map(|((key, _), data)| Job {
            key: key.clone(),
            data,
        })
        .collect();

    engine.crypt(&mut jobs);

    for ((key, len), data) in batch.iter().zip(data) {
        assert!(data == keystream(key, *len), "{len} of {}", batch.len());
    }
}

/// Whether two chains hold the same keys.
fn assert_same_keys(one: &Chain, other: &Chain) {
    assert_eq!(one.head(), other.head());
    for position in one.oldest()..=one.head() {
        assert_eq!(one.key(position), other.key(position), "{position}");
    }
}

#[test]
fn the_message_of_rfc_3079_encrypts_under_each_strength() {
    let start_key = [
        0x8B, 0x7C, 0xDC, 0x14, 0x9B, 0x99, 0x3A, 0x1B, 0xA1, 0x18, 0xCB, 0x15, 0x3F, 0x56, 0xDC,
        0xCB,
    ];
    let expected = [
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
    ];
    with_each_engine(|engine| {
        for (strength, expected) in expected {
            let chain = Chain::for_sending(StartKey(start_key), strength);
            let mut data = *MESSAGE;

            engine.crypt(&mut [Job {
                key: chain.key(0).unwrap(),
                data: &mut data,
            }]);

            assert_eq!(data, expected, "{strength:?}");
        }
    });
}

#[test]
fn the_keystreams_are_those_of_rfc_6229() {
    let mut key = [0; 16];
    for (byte, value) in key.iter_mut().zip(1..) {
        *byte = value;
    }
    // §2, key length 64 bits and key length 128 bits: bytes 0 to 15, 240 to 255, and 1520 to 1535.
    let expected = [
        (
            Strength::Bits56,
            [
                0x97AB_8A1B_F0AF_B961_32F2_F672_58DA_15A8_u128,
                0x9636_EBC9_8419_26F4_F7D1_F362_BDDF_6E18,
                0x1FE8_9867_13F0_7C3D_9AE1_C163_FF8C_F9D3,
            ],
        ),
        (
            Strength::Bits128,
            [
                0x9AC7_CC9A_609D_1EF7_B293_2899_CDE4_1B97,
                0x0659_02E4_B620_F6CC_36C8_589F_6643_2F2B,
                0xB401_10C4_190B_5622_A961_16B0_017E_D297,
            ],
        ),
    ];
    with_each_engine(|engine| {
        // Alone, in pairs, and in each larger group.
        for copies in 1..=8 {
            for (strength, expected) in expected {
                let mut data = vec![[0; 1536]; copies];
                let mut jobs: Vec<Job<'_>> = data
                    .iter_mut()
                    .map(|data| Job {
                        key: SessionKey::new(key, strength),
                        data,
                    })
                    .collect();

                engine.crypt(&mut jobs);

                for data in data {
                    for (at, expected) in [0, 240, 1520].into_iter().zip(expected) {
                        assert_eq!(data[at..at + 16], expected.to_be_bytes(), "{at}");
                    }
                }
            }
        }
    });
}

#[test]
fn packets_of_each_length_are_encrypted() {
    const LONGEST: usize = 4000;
    // Lengths as far apart as this share a batch, so that groups hold short and long ones.
    const BATCHES: usize = 70;

    with_each_fast_engine(|engine| {
        let keys: Vec<_> = (0..9)
            .map(|number| session_key(number, STRENGTHS[number % 3]))
            .collect();
        let keystreams: Vec<_> = keys.iter().map(|key| keystream(key, LONGEST)).collect();
        for batch in 0..BATCHES {
            let mut data: Vec<Vec<u8>> = (batch..=LONGEST)
                .step_by(BATCHES)
                .map(|len| vec![0; len])
                .collect();
            let mut jobs: Vec<Job<'_>> = data
                .iter_mut()
                .zip(keys.iter().cycle())
                .map(|(data, key)| Job {
                    key: key.clone(),
                    data,
                })
                .collect();

            engine.crypt(&mut jobs);

            for (data, keystream) in data.iter().zip(keystreams.iter().cycle()) {
                assert!(*data == keystream[..data.len()], "{}", data.len());
            }
        }
    });
}

#[test]
fn batches_of_each_size_are_encrypted() {
    with_each_fast_engine(|engine| {
        for strength in STRENGTHS {
            for size in 0..=70 {
                let batch: Vec<_> = (0..size)
                    .map(|number| (session_key(number, strength), 40 + number % 37))
                    .collect();
                check_batch(engine, &batch);
            }
        }
    });
}

#[test]
fn encrypting_twice_gives_the_packet_back() {
    with_each_engine(|engine| {
        let mut data: Vec<Vec<u8>> = (0..20).map(|number| vec![number; 100]).collect();
        for _ in 0..2 {
            let mut jobs: Vec<Job<'_>> = data
                .iter_mut()
                .enumerate()
                .map(|(number, data)| Job {
                    key: session_key(number, Strength::Bits128),
                    data,
                })
                .collect();
            engine.crypt(&mut jobs);
        }
        for (number, data) in (0..).zip(data) {
            assert_eq!(data, vec![number; 100]);
        }
    });
}

#[test]
fn a_wave_steps_each_chain_once() {
    with_each_fast_engine(|engine| {
        for size in 0..=70 {
            let mut chains: Vec<_> = (0..size).map(|n| chain(n, STRENGTHS[n % 3])).collect();
            let mut expected = chains.clone();

            engine.step(&mut chains.iter_mut().collect::<Vec<_>>());
            Crates.step(&mut expected.iter_mut().collect::<Vec<_>>());

            for (chain, expected) in chains.iter().zip(&expected) {
                assert_eq!(chain.head(), 1);
                assert_same_keys(chain, expected);
            }
        }
    });
}

#[test]
fn chains_go_on_when_their_ring_has_wrapped() {
    const STEPS: usize = 600;

    for size in [1, 2, 4, 6, 8] {
        let mut expected: Vec<_> = (0..size).map(|n| chain(n, STRENGTHS[n % 3])).collect();
        for _ in 0..STEPS {
            Crates.step(&mut expected.iter_mut().collect::<Vec<_>>());
        }
        with_each_fast_engine(|engine| {
            let mut chains: Vec<_> = (0..size).map(|n| chain(n, STRENGTHS[n % 3])).collect();
            for _ in 0..STEPS {
                engine.step(&mut chains.iter_mut().collect::<Vec<_>>());
            }
            for (chain, expected) in chains.iter().zip(&expected) {
                assert_same_keys(chain, expected);
            }
        });
    }
}

#[test]
fn a_stream_begins_as_a_packet_does() {
    with_each_engine(|engine| {
        for strength in STRENGTHS {
            let key = session_key(1, strength);
            let mut data = [0; 300];
            engine.crypt_streams(&mut [StreamJob {
                stream: &mut Stream::new(&key),
                data: &mut data,
            }]);
            assert_eq!(data[..], keystream(&key, 300));
        }
    });
}

#[test]
fn nothing_of_a_stream_shows_in_debug_output() {
    let stream = Stream::new(&session_key(1, Strength::Bits128));

    assert_eq!(format!("{stream:?}"), "Stream(..)");
}

#[test]
fn the_engine_chosen_at_start_has_a_name() {
    assert!(["lanes", "portable"].contains(&detect().name()));
    assert_eq!(AnyEngine::Portable(Portable).name(), "portable");
}

fn any_strength() -> impl Strategy<Value = Strength> {
    prop::sample::select(&STRENGTHS[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_batch_is_encrypted_as_by_the_reference(
        batch in prop::collection::vec((any::<[u8; 16]>(), any_strength(), 0..2000_usize), 0..70)
    ) {
        let batch: Vec<_> = batch
            .into_iter()
            .map(|(key, strength, len)| (SessionKey::new(key, strength), len))
            .collect();
        with_each_fast_engine(|engine| check_batch(engine, &batch));
    }

    #[test]
    fn any_waves_step_chains_as_the_reference_does(
        start_keys in prop::collection::vec((any::<[u8; 16]>(), any_strength()), 1..24),
        waves in prop::collection::vec(any::<u32>(), 1..24),
    ) {
        let new = || -> Vec<_> {
            start_keys
                .iter()
                .map(|(key, strength)| Chain::for_sending(StartKey(*key), *strength))
                .collect()
        };
        let run = |engine: &mut dyn Engine, chains: &mut [Chain]| {
            for wave in &waves {
                let mut chains: Vec<_> = chains
                    .iter_mut()
                    .enumerate()
                    .filter(|(bit, _)| wave >> bit & 1 == 1)
                    .map(|(_, chain)| chain)
                    .collect();
                engine.step(&mut chains);
            }
        };
        let mut expected = new();
        run(&mut Crates, &mut expected);
        with_each_fast_engine(|engine| {
            let mut chains = new();
            run(engine, &mut chains);
            for (chain, expected) in chains.iter().zip(&expected) {
                assert_same_keys(chain, expected);
            }
        });
    }

    #[test]
    fn streams_split_anywhere_give_their_keystreams(
        keys in prop::collection::vec((any::<[u8; 16]>(), any_strength()), 1..10),
        rounds in prop::collection::vec(prop::collection::vec(0..300_usize, 10), 1..8),
    ) {
        let keys: Vec<_> = keys
            .into_iter()
            .map(|(key, strength)| SessionKey::new(key, strength))
            .collect();
        with_each_engine(|engine| {
            let mut streams: Vec<_> = keys.iter().map(Stream::new).collect();
            let mut whole = vec![Vec::new(); keys.len()];
            for lens in &rounds {
                let mut data: Vec<Vec<u8>> = lens.iter().map(|len| vec![0; *len]).collect();
                let mut jobs: Vec<StreamJob<'_>> = streams
                    .iter_mut()
                    .zip(&mut data)
                    .map(|(stream, data)| StreamJob { stream, data })
                    .collect();
                engine.crypt_streams(&mut jobs);
                for (whole, data) in whole.iter_mut().zip(data) {
                    whole.extend(data);
                }
            }
            for (key, whole) in keys.iter().zip(whole) {
                assert!(whole == keystream(key, whole.len()));
            }
        });
    }
}

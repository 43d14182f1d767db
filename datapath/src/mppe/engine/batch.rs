//! How a batch is cut into groups that a processor works on at once. The engines differ in their
//! kernels only.
//!
//! Keys are wiped from the stack when a batch is done. Permutations and what the kernels spill are
//! not: that would cost more than it keeps from a reader of this memory, where the chains are too.

use std::cmp::Reverse;
use std::{array, mem};

use arrayvec::ArrayVec;
use zeroize::optimization_barrier;

use super::stream::{State, schedule};
use super::{Job, StreamJob};
use crate::mppe::{Chain, SessionKey};

/// Packets, or key chains, in a full group.
pub(super) const LANES: usize = 8;

/// Half a group: as many lanes as make keystream at the same time.
pub(super) const QUAD: usize = 4;

/// How many jobs are sorted together.
const SORTED: usize = 64;

/// An RC4 key. One of 8 bytes stands here twice, which is the same key to RC4.
pub(super) type Key = [u8; 16];

/// What an engine does its own way.
pub(super) trait Kernels: Copy {
    /// Of how many streams a group is made, at most [`QUAD`].
    const STREAMS: usize;

    /// Computes `GetNewKeyFromSHA` (RFC 3079 §3) of up to [`LANES`] chains.
    fn interim_keys(self, chains: &[&mut Chain], keys: &mut [Key]);

    /// Encrypts four packets of any lengths, in the time that the longest takes.
    fn four(self, keys: &[Key; QUAD], data: &mut [&mut [u8]; QUAD]);

    /// Encrypts eight packets of any lengths: the first four in the time that the longest of these
    /// takes, then the others likewise.
    fn eight(self, keys: &[Key; LANES], data: &mut [&mut [u8]; LANES]);

    /// Moves up to [`QUAD`] streams on, over data of one length.
    fn stream(self, states: &mut [&mut State], data: &mut [&mut [u8]]);
}

/// [`super::Engine::step`]
pub(super) fn step<K: Kernels>(kernels: K, chains: &mut [&mut Chain]) {
    let mut interim = [[0; 16]; LANES];
    let mut keys = interim;
    for wave in chains.chunks_mut(LANES) {
        kernels.interim_keys(wave, &mut interim[..wave.len()]);
        keys = interim;
        let mut data = keys.each_mut().map(|key| &mut key[..]);
        encrypt(kernels, &interim, &mut data[..wave.len()]);
        for (chain, key) in wave.iter_mut().zip(&mut keys) {
            key[chain.strength().key_len()..].fill(0);
            chain.push(*key);
        }
    }
    wipe(&mut keys);
    wipe(&mut interim);
}

/// [`super::Engine::crypt`]. Packets of about one length share a group, and those that do not fill
/// one, which costs more a byte, are the shortest.
pub(super) fn crypt<K: Kernels>(kernels: K, jobs: &mut [Job<'_>]) {
    let mut keys = [[0; 16]; LANES];
    for jobs in jobs.chunks_mut(SORTED) {
        let mut sorted: ArrayVec<_, SORTED> = jobs.iter_mut().collect();
        sorted.sort_unstable_by_key(|job| Reverse(job.data.len()));
        for group in sorted.chunks_mut(LANES) {
            let mut data = ArrayVec::<&mut [u8], LANES>::new();
            for (job, key) in group.iter_mut().zip(&mut keys) {
                *key = repeated(&job.key);
                data.push(job.data);
            }
            encrypt(kernels, &keys, &mut data);
        }
    }
    wipe(&mut keys);
}

/// [`super::Engine::crypt_streams`]
pub(super) fn crypt_streams<K: Kernels>(kernels: K, jobs: &mut [StreamJob<'_>]) {
    for jobs in jobs.chunks_mut(SORTED) {
        let mut sorted: ArrayVec<_, SORTED> = jobs.iter_mut().collect();
        sorted.sort_unstable_by_key(|job| Reverse(job.data.len()));
        for group in sorted.chunks_mut(K::STREAMS) {
            let mut states = ArrayVec::<&mut State, QUAD>::new();
            let mut data = ArrayVec::new();
            for job in group {
                states.push(&mut job.stream.state);
                data.push(&mut *job.data);
            }
            run(kernels, &mut states, data);
        }
    }
}

/// Encrypts up to [`LANES`] packets, sorted by length. A kernel with a lane to spare is faster than
/// the next smaller ones one after the other.
fn encrypt<K: Kernels>(kernels: K, keys: &[Key; LANES], data: &mut [&mut [u8]]) {
    let (quad, rest) = keys.split_at(QUAD);
    match data.len() {
        0..=2 => encrypt_few(kernels, keys, data),
        3..=QUAD => kernels.four(first_chunk(quad), &mut padded(data)),
        5..=6 => {
            let (data, rest_data) = data.split_at_mut(QUAD);
            kernels.four(first_chunk(quad), &mut padded(data));
            encrypt_few(kernels, rest, rest_data);
        }
        _ => kernels.eight(keys, &mut padded(data)),
    }
}

/// Encrypts up to two packets.
fn encrypt_few<K: Kernels>(kernels: K, keys: &[Key], data: &mut [&mut [u8]]) {
    match data {
        [] => {}
        [one] => {
            let mut states = [State::NEW];
            schedule(&mut states, first_chunk(keys));
            kernels.stream(&mut states.each_mut(), &mut [one]);
        }
        [longer, shorter, ..] => {
            let mut states = [const { State::NEW }; 2];
            schedule(&mut states, first_chunk(keys));
            let data = [&mut **longer, &mut **shorter].into_iter().collect();
            run(kernels, &mut states.each_mut(), data);
        }
    }
}

/// Runs streams over data of which the longest comes first.
fn run<K: Kernels>(kernels: K, states: &mut [&mut State], mut data: ArrayVec<&mut [u8], QUAD>) {
    while let Some(shortest) = data.last() {
        let common = shortest.len();
        let mut heads = ArrayVec::<_, QUAD>::new();
        for data in &mut data {
            let (head, tail) = mem::take(data).split_at_mut(common);
            heads.push(head);
            *data = tail;
        }
        kernels.stream(&mut states[..heads.len()], &mut heads);
        let left = data.iter().filter(|data| !data.is_empty()).count();
        data.truncate(left);
    }
}

/// Makes a key of 16 bytes.
pub(super) fn repeated(key: &SessionKey) -> Key {
    let bytes = key.as_bytes();
    let mut repeated = [0; 16];
    for part in repeated.chunks_exact_mut(bytes.len()) {
        part.copy_from_slice(bytes);
    }
    repeated
}

/// Lanes without a packet get an empty one.
fn padded<'a, const N: usize>(data: &'a mut [&mut [u8]]) -> [&'a mut [u8]; N] {
    let mut data = data.iter_mut();
    array::from_fn(|_| data.next().map_or(&mut [][..], |data| &mut **data))
}

fn first_chunk<const N: usize>(keys: &[Key]) -> &[Key; N] {
    keys.first_chunk()
        .expect("there are eight keys, or half of them")
}

fn wipe(keys: &mut [Key; LANES]) {
    *keys = [[0; 16]; LANES];
    optimization_barrier(keys);
}

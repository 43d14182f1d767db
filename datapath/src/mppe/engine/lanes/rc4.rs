//! RC4 for SSE4.1, whose insertion of a byte into a vector puts rows and keystream together.
//!
//! The inner loops are unrolled by macros, because the place of an insertion must be a constant.

use std::arch::x86_64::{
    __m128i, _mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_cvtsi128_si64, _mm_extract_epi64,
    _mm_insert_epi8, _mm_setzero_si128,
};
use std::array;

use super::super::batch::{Key, LANES, QUAD};
use super::super::portable::{combine, identity};
use super::super::stream::State;
use super::processor::Index;

/// Bytes of keystream that are gathered in a vector before they meet the data.
const STEPS: usize = size_of::<__m128i>();

/// Byte `i` of the permutations of all lanes, for each `i`.
#[repr(align(64))]
struct Rows<const N: usize>([[u8; N]; 256]);

/// [`super::Kernels::four`]
#[target_feature(enable = "sse4.1")]
pub(super) fn four(keys: &[Key; QUAD], data: &mut [&mut [u8]; QUAD]) {
    let mut rows = Rows(identity());
    schedule(&mut rows, keys);
    encrypt_quad::<QUAD, 0>(&mut rows, data);
}

/// [`super::Kernels::eight`]
#[target_feature(enable = "sse4.1")]
pub(super) fn eight(keys: &[Key; LANES], data: &mut [&mut [u8]; LANES]) {
    // A local, and not a field: at some places in the heap it would share cache sets with the
    // packets, and cost half as much again.
    let mut rows = Rows(identity());
    schedule(&mut rows, keys);
    let [a, b, c, d, e, f, g, h] = data;
    encrypt_quad::<LANES, 0>(&mut rows, &mut [a, b, c, d]);
    encrypt_quad::<LANES, QUAD>(&mut rows, &mut [e, f, g, h]);
}

/// [`super::Kernels::stream`]. Streams at one place, as those of new packets are, share `i`.
#[target_feature(enable = "sse4.1")]
pub(super) fn stream(states: &mut [&mut State], data: &mut [&mut [u8]]) {
    let alike = states.windows(2).all(|pair| pair[0].i == pair[1].i);
    match (states, data, alike) {
        ([a, b, c, d], [w, x, y, z], _) => {
            turns::<4, false>(&mut [a, b, c, d], &mut [w, x, y, z]);
        }
        ([a, b, c], [x, y, z], _) => turns::<3, false>(&mut [a, b, c], &mut [x, y, z]),
        ([a, b], [x, y], true) => turns::<2, true>(&mut [a, b], &mut [x, y]),
        ([a, b], [x, y], false) => turns::<2, false>(&mut [a, b], &mut [x, y]),
        (states, data, _) => {
            for (state, data) in states.iter_mut().zip(data) {
                state.apply(data);
            }
        }
    }
}

/// Repeats a macro for the steps of a block.
macro_rules! each_step {
    ($step:ident) => {
        $step!(0);
        $step!(1);
        $step!(2);
        $step!(3);
        $step!(4);
        $step!(5);
        $step!(6);
        $step!(7);
        $step!(8);
        $step!(9);
        $step!(10);
        $step!(11);
        $step!(12);
        $step!(13);
        $step!(14);
        $step!(15);
    };
}

/// The key schedule of `N` lanes, a quad of them at a time in each row.
#[target_feature(enable = "sse4.1")]
#[inline(never)]
fn schedule<const N: usize>(Rows(rows): &mut Rows<N>, keys: &[Key; N]) {
    let mut j = [Index::new(0); N];
    for start in (0..rows.len()).step_by(STEPS) {
        macro_rules! step {
            ($k:literal) => {
                for quad in (0..N).step_by(QUAD) {
                    let i = start + $k;
                    let mut swap = |lane: usize| {
                        let moved = rows[i][lane];
                        j[lane] = j[lane]
                            .plus(Index::new(keys[lane][$k]))
                            .plus(Index::new(moved));
                        let other = rows[j[lane].get()][lane];
                        rows[j[lane].get()][lane] = moved;
                        i32::from(other)
                    };
                    let row = _mm_cvtsi32_si128(swap(quad));
                    let row = _mm_insert_epi8::<1>(row, swap(quad + 1));
                    let row = _mm_insert_epi8::<2>(row, swap(quad + 2));
                    let row = _mm_insert_epi8::<3>(row, swap(quad + 3));
                    rows[i][quad..quad + QUAD]
                        .copy_from_slice(&_mm_cvtsi128_si32(row).to_le_bytes());
                }
            };
        }
        each_step!(step);
    }
}

/// Encrypts with the lanes from `FIRST` on, from their beginning.
#[target_feature(enable = "sse4.1")]
#[inline(never)]
fn encrypt_quad<const N: usize, const FIRST: usize>(
    Rows(rows): &mut Rows<N>,
    data: &mut [&mut [u8]; QUAD],
) {
    let longest = data.iter().map(|data| data.len()).max().unwrap_or(0);
    let mut j = [Index::new(0); QUAD];
    for start in (0..longest).step_by(STEPS) {
        let mut keystream = [_mm_setzero_si128(); QUAD];
        macro_rules! step {
            ($k:literal) => {{
                let i = (start + $k + 1) % 256;
                let mut swap = |lane: usize| {
                    let moved = Index::new(rows[i][FIRST + lane]);
                    j[lane] = j[lane].plus(moved);
                    let other = Index::new(rows[j[lane].get()][FIRST + lane]);
                    rows[j[lane].get()][FIRST + lane] = moved.byte();
                    (i32::from(other.byte()), moved.plus(other))
                };
                let (row, (a, b, c, d)) = {
                    let (byte, a) = swap(0);
                    let row = _mm_cvtsi32_si128(byte);
                    let (byte, b) = swap(1);
                    let row = _mm_insert_epi8::<1>(row, byte);
                    let (byte, c) = swap(2);
                    let row = _mm_insert_epi8::<2>(row, byte);
                    let (byte, d) = swap(3);
                    (_mm_insert_epi8::<3>(row, byte), (a, b, c, d))
                };
                rows[i][FIRST..FIRST + QUAD].copy_from_slice(&_mm_cvtsi128_si32(row).to_le_bytes());
                for (lane, sum) in [a, b, c, d].into_iter().enumerate() {
                    let byte = rows[sum.get()][FIRST + lane];
                    keystream[lane] = _mm_insert_epi8::<$k>(keystream[lane], i32::from(byte));
                }
            }};
        }
        each_step!(step);
        for (data, keystream) in data.iter_mut().zip(keystream) {
            combine(data, start, bits(keystream));
        }
    }
}

/// Lets `N` streams take turns over data of one length.
#[target_feature(enable = "sse4.1")]
#[inline(never)]
fn turns<const N: usize, const ALIKE: bool>(
    states: &mut [&mut State; N],
    data: &mut [&mut [u8]; N],
) {
    let len = data[0].len();
    let whole = len - len % STEPS;
    let mut i: [usize; N] = array::from_fn(|lane| states[lane].i.into());
    let mut j: [u8; N] = array::from_fn(|lane| states[lane].j);
    for start in (0..whole).step_by(STEPS) {
        let mut keystream = [_mm_setzero_si128(); N];
        macro_rules! step {
            ($k:literal) => {
                for lane in 0..N {
                    let permutation = &mut states[lane].permutation;
                    let at = if ALIKE { 0 } else { lane };
                    if at == lane {
                        i[at] = (i[at] + 1) % 256;
                    }
                    let moved = permutation[i[at]];
                    j[lane] = j[lane].wrapping_add(moved);
                    let other = permutation[usize::from(j[lane])];
                    permutation[usize::from(j[lane])] = moved;
                    permutation[i[at]] = other;
                    let byte = permutation[usize::from(moved.wrapping_add(other))];
                    keystream[lane] = _mm_insert_epi8::<$k>(keystream[lane], i32::from(byte));
                }
            };
        }
        each_step!(step);
        for (data, keystream) in data.iter_mut().zip(keystream) {
            combine(data, start, bits(keystream));
        }
    }
    for lane in 0..N {
        states[lane].i = states[lane].i.wrapping_add(whole.to_le_bytes()[0]);
        states[lane].j = j[lane];
        states[lane].apply(&mut data[lane][whole..]);
    }
}

#[target_feature(enable = "sse4.1")]
#[inline]
pub(super) fn bits(vector: __m128i) -> u128 {
    let low = _mm_cvtsi128_si64(vector).cast_unsigned();
    let high = _mm_extract_epi64::<1>(vector).cast_unsigned();
    u128::from(low) | (u128::from(high) << 64)
}

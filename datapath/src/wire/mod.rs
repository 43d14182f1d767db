//! Wire formats: views of headers in a byte buffer, and plain values that they hold.
//!
//! Each protocol has one file with two types. `Packet` (for Ethernet `Frame`) wraps a buffer and
//! reads or writes single fields in it. `Repr` is what the header means; `Repr::parse` rejects what
//! is wrong and `Repr::emit` cannot fail, given a buffer of `buffer_len()` bytes.
//!
//! Bytes from outside go through `new_checked`: once `check_len` has passed, no getter panics.
//! `new_unchecked` is for emission only, where the stale contents of the buffer mean nothing.
//! Reserved bits are ignored when parsing and zero when emitting.

use std::ops::Range;

pub mod ethernet;
pub mod gre;
pub mod ipv4;
pub mod ipv6;
pub mod lcp;
pub mod mppe;
pub mod multilink;
pub mod ppp;

pub use gre::SeqNum;
pub use mppe::Coherency;

/// The bytes are malformed, cut off, or something that is not carried here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed or unsupported bytes")]
pub struct Error;

/// The result of parsing.
pub type Result<T> = std::result::Result<T, Error>;

/// Where a field lies in its header.
type Field = Range<usize>;

fn read_u16(data: &[u8], field: Field) -> u16 {
    u16::from_be_bytes([data[field.start], data[field.start + 1]])
}

fn read_u32(data: &[u8], field: Field) -> u32 {
    let at = field.start;
    u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
}

//! PPTP messages as a script writes them.

use greyhound_control::pptp::wire::{HEADER_LEN, MAGIC_COOKIE, VERSION};

use crate::input::Input;

/// Bytes of each message, by control message type from 1.
const LENGTHS: [u16; 15] = [
    156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24,
];

/// A message: one byte for its type, two for the ids it begins with, one that says what is odd about
/// it, which may want more.
pub(crate) fn message(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.below(LENGTHS.len() + 1);
    let (first, second) = (input.u8(), input.u8());
    let odd = input.u8();
    let len = LENGTHS.get(kind.wrapping_sub(1)).copied().unwrap_or(16);
    let mut bytes = vec![0; usize::from(len)];
    bytes[..2].copy_from_slice(&len.to_be_bytes());
    bytes[3] = 1;
    bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    bytes[9] = u8::try_from(kind).unwrap_or(0);
    bytes[HEADER_LEN + 1] = first;
    bytes[HEADER_LEN + 3] = second;
    if matches!(kind, 1 | 2) {
        bytes[HEADER_LEN..HEADER_LEN + 2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[HEADER_LEN + 2] = 1;
    }
    if matches!(kind, 4 | 6 | 8 | 10) {
        // Result: 1 is what all wish for.
        let at = match kind {
            4 => HEADER_LEN,
            _ => HEADER_LEN + 4,
        };
        bytes[at] = 1;
    }
    if odd & 1 != 0 {
        // Other fields, or the header.
        let at = usize::from(input.u8()) % bytes.len();
        for (byte, new) in bytes[at..].iter_mut().zip(input.bytes()) {
            *byte = *new;
        }
    }
    if odd & 2 != 0 {
        let len = usize::from(input.u8());
        bytes.truncate(len);
    }
    bytes
}

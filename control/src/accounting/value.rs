//! How values are written into the file, and read from it.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Authentic, Numbers};

/// Milliseconds since 1970; 0 for what was before.
pub(super) fn to_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    span(since)
}

/// The reverse of [`to_millis`].
pub(super) fn from_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + from_span(millis)
}

/// Milliseconds, as many as fit.
pub(super) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The reverse of [`span`].
pub(super) fn from_span(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Duration in milliseconds, bytes and packets.
pub(super) fn to_numbers(numbers: &Numbers) -> [i64; 5] {
    [
        span(numbers.duration),
        numbers.rx_bytes.cast_signed(),
        numbers.tx_bytes.cast_signed(),
        numbers.rx_packets.cast_signed(),
        numbers.tx_packets.cast_signed(),
    ]
}

/// Reads [`to_numbers`] from five columns that begin at `first`.
pub(super) fn numbers(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Numbers> {
    let count = |index: usize| row.get(first + index).map(i64::cast_unsigned);
    Ok(Numbers {
        duration: from_span(row.get(first)?),
        rx_bytes: count(1)?,
        tx_bytes: count(2)?,
        rx_packets: count(3)?,
        tx_packets: count(4)?,
    })
}

/// Reads an address.
pub(super) fn address(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Ipv4Addr> {
    row.get(index).map(Ipv4Addr::from_bits)
}

/// The value of Acct-Authentic.
pub(super) const fn to_authentic(authentic: Authentic) -> i64 {
    match authentic {
        Authentic::Radius => 1,
        Authentic::Local => 2,
    }
}

/// The reverse of [`to_authentic`].
pub(super) const fn from_authentic(value: i64) -> Authentic {
    match value {
        1 => Authentic::Radius,
        _ => Authentic::Local,
    }
}

/// Each with its length before it.
pub(super) fn to_classes(classes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for class in classes {
        let length = u32::try_from(class.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(class);
    }
    bytes
}

/// The reverse of [`to_classes`].
pub(super) fn from_classes(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut classes = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (class, rest) = rest.split_at(length.min(rest.len()));
        classes.push(class.to_owned());
        bytes = rest;
    }
    classes
}

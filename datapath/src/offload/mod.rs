//! Many packets as one: what goes into TUN is merged, what comes out is split, so that the kernel's
//! stack sees one packet of up to 64 KB in place of up to 47 of 1400 bytes.
//!
//! Pure functions over byte slices. [`vnet`] is the header that the kernel wants and gives in front
//! of a packet, [`coalesce`] does what the kernel calls GRO, [`segment`] what it calls GSO, and
//! [`checksum`] is the arithmetic of both, done in the same pass as the copying.
//!
//! Merging follows the kernel's rules: nothing is merged that could not be split again into the same
//! packets. Only the identification of IPv4 packets that may not be fragmented can come out
//! different, where it means nothing (RFC 6864 §4.1).

pub mod checksum;
pub mod coalesce;
mod header;
pub mod segment;
#[cfg(test)]
mod tests;
pub mod vnet;

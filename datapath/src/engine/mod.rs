//! The engine.

pub mod netlink;
#[cfg(test)]
mod testing;
pub mod tun;
pub mod uring;
pub mod xsk;

//! The engine.

pub mod netlink;
pub mod reaper;
#[cfg(test)]
mod testing;
pub mod tun;
pub mod uring;
pub mod xsk;

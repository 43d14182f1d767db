//! Everything that touches the kernel: sockets, rings, interfaces, threads.
//!
//! The main thread ([`manager`]) keeps the capabilities, talks to the control process and creates
//! interfaces. Each [`worker`] is a thread pinned to a core; it holds no capability, owns its
//! sessions, and moves their packets between [`xsk`] or [`raw`] and TUN by way of [`uring`].

pub mod buffers;
pub mod handoff;
pub mod manager;
pub mod membership;
pub mod netlink;
pub mod nftables;
pub mod options;
pub mod privileges;
pub mod probe;
pub mod raw;
pub mod reaper;
pub mod registry;
pub mod standing;
#[cfg(test)]
mod testing;
pub mod tun;
pub mod uplinks;
pub mod uring;
pub mod worker;
pub mod xsk;

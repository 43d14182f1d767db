//! The packet path of Greyhound: enhanced GRE (RFC 2637 §4), MPPE (RFC 3078), AF_XDP, io_uring, TUN.
//!
//! Without the `engine` feature the library is pure: bytes and the time go in, bytes and decisions
//! come out. That part is what the control process, the benchmarks and the tests depend on.
//! The `engine` feature adds everything that touches the kernel, and the program.

#[cfg(feature = "engine")]
pub mod engine;
pub mod ids;
pub mod ipc;
pub mod limits;
pub mod mppe;
pub mod mss;
pub mod multilink;
pub mod offload;
pub mod seq;
pub mod session;
pub mod stats;
pub mod waiting;
pub mod wire;

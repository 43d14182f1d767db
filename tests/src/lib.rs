//! Greyhound against real kernels and real peers: the laboratory that the tests and the demo use.
//!
//! A machine of the laboratory is a network namespace. Peers that nobody here wrote run in
//! user-mode Linux guests, because pppd needs a kernel with PPP and the host's may have none.
//! Everything is removed when its value is dropped, also by a panic; what a killed run left is
//! removed by the next one.

#![forbid(unsafe_code)]

pub mod bpf;
pub mod bulk;
pub mod console;
pub mod datapath;
pub mod demo;
pub mod dialout;
pub mod exchange;
pub mod guest;
pub mod interop;
pub mod liar;
pub mod machine;
pub mod namespace;
pub mod ping;
pub mod process;
pub mod radius;
pub mod random;
pub mod relay;
pub mod scratch;
pub mod table;
pub mod tcp;
pub mod tunnel;
pub mod wait;

//! The engine.

pub mod uring;
pub mod xsk;

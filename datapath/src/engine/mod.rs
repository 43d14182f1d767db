//! The engine.

#[cfg(test)]
mod testing;
pub mod uring;
pub mod xsk;

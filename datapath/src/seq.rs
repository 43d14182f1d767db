//! Sequence numbers.

//! The files of pppd: secrets, and options.

pub(super) mod options;
pub(super) mod peer;
pub(super) mod secrets;
mod words;

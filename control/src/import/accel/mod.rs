//! The files of accel-ppp: secrets, and the configuration.

pub(super) mod conf;
mod rate;
pub(super) mod secrets;

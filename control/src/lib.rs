//! The control process of Greyhound: TCP 1723, PPP, authentication, configuration, console.

#![forbid(unsafe_code)]

pub mod aaa;
pub mod accounting;
pub mod cause;
pub mod console;
pub mod dialer;
pub mod dns;
pub mod entropy;
pub mod hooks;
pub mod import;
pub mod io;
pub mod language;
pub mod log;
pub mod model;
pub mod ppp;
pub mod pptp;
mod programs;
pub mod radius;
pub mod server;
pub mod session;
pub mod supervisor;

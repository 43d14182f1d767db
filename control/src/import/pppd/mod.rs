//! The files of pppd: secrets, and options, of a server and of a tunnel out.

mod echo;
mod given;
pub(super) mod options;
pub(super) mod peer;
pub(super) mod secrets;
mod table;
mod words;

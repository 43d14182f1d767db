//! RADIUS (RFC 2865, 2866, 2869, 2548, 5176): a server says who may come in and what each gets, is
//! told what they did, and changes that while they are connected.
//!
//! Sans-IO, and in layers: `attribute` says what attributes there are, `packet` puts them on the wire
//! and takes them from there, `client` gets requests to a server and its answers back; `access`,
//! `accounting` and `incoming` say what packets mean to a session.

pub mod access;
pub mod accounting;
pub mod attribute;
pub mod client;
pub mod hide;
pub mod incoming;
pub mod packet;
mod received;

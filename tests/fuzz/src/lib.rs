//! Hostile input for every reader and every state machine of Greyhound.
//!
//! A target is a function that takes any bytes and panics if something is wrong. What it feeds is
//! the library as the programs use it; what it checks beside panics says each target. The programs
//! in `libfuzzer/` give them what a fuzzer thinks of; the test `corpora` gives them again what was
//! found once, and the [`seeds`] from which the fuzzers begin.
//!
//! [`frames`], [`ipc`], [`pptp_messages`], [`configuration`], [`console`], [`split`] and [`merge`]
//! read the bytes as they are. To the others they are a script, read by [`input::Input`]: what the
//! peer says and when, so that state machines are reached in all their states.

pub mod input;
pub mod seeds;

mod connection;
mod link;
mod messages;
mod offload;
mod pair;
mod ppp;
mod radius;
mod server;
mod session;
mod text;
mod wire;

pub use connection::pptp_connection;
pub use link::ppp_link;
pub use offload::{merge, split};
pub use pair::ppp_pair;
pub use radius::radius;
pub use server::server;
pub use session::session;
pub use text::{configuration, console};
pub use wire::{frames, ipc, pptp_messages};

use std::sync::LazyLock;
use std::time::Instant;

/// A target.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also that of its program and of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("configuration", configuration),
    ("console", console),
    ("frames", frames),
    ("ipc", ipc),
    ("merge", merge),
    ("ppp_link", ppp_link),
    ("ppp_pair", ppp_pair),
    ("pptp_connection", pptp_connection),
    ("pptp_messages", pptp_messages),
    ("radius", radius),
    ("server", server),
    ("session", session),
    ("split", split),
];

/// The moment at which every script begins.
fn origin() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the origin"
    )]
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    *ORIGIN
}

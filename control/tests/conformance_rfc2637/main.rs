//! RFC 2637, section by section: each case is a sentence of it, held against the control connection
//! that the program runs.
//!
//! A case gives a [`greyhound_control::pptp::Connection`] bytes and the time, and looks at what
//! comes out. What is done otherwise on purpose is a case too, whose name begins with "deviation".
//! `cargo test -p greyhound-control --test conformance_rfc2637 -- --nocapture` prints the table.

#![cfg(test)]

#[path = "../conformance/mod.rs"]
mod conformance;

mod bench;
mod calls;
mod messages;
mod start_stop;

use conformance::Suite;

#[test]
fn rfc_2637() {
    let mut suite = Suite::new("rfc2637", "RFC 2637: PPTP");
    messages::cases(&mut suite);
    start_stop::cases(&mut suite);
    calls::cases(&mut suite);
    suite.finish(50);
}

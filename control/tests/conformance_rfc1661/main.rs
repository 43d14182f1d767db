//! RFC 1661 and RFC 1662, section by section: each case is a sentence of them, held against the
//! machine that the program runs.
//!
//! A case drives a [`greyhound_control::ppp::Link`] by frames and by the time, as its caller does,
//! and looks at nothing but what comes out. What is done otherwise on purpose is a case too, whose
//! name begins with "deviation". `cargo test -p greyhound-control --test conformance_rfc1661 --
//! --nocapture` prints the table.
#![cfg(test)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a case looks for some commands among all"
)]

use suite::Suite;

mod automaton;
mod bench;
mod configure;
mod counters;
mod echo;
mod format;
mod options;
mod phases;
mod rejects;
#[path = "../conformance/mod.rs"]
mod suite;
mod terminate;

#[test]
fn rfc_1661_and_rfc_1662() {
    let mut suite = Suite::new("rfc1661", "RFC 1661 and RFC 1662: PPP");
    format::cases(&mut suite);
    phases::cases(&mut suite);
    automaton::cases(&mut suite);
    counters::cases(&mut suite);
    configure::cases(&mut suite);
    terminate::cases(&mut suite);
    rejects::cases(&mut suite);
    echo::cases(&mut suite);
    options::cases(&mut suite);
    suite.finish(110);
}

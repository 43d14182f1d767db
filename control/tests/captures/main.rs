//! Captured sessions of other people's PPTP, replayed through the code of the control process.
//!
//! Both ends are played: what pppd and pptp-linux sent goes to our server, what pptpd sent goes to
//! our client. The captures lie in tests/pcaps; INDEX.md there says what is in each.
#![cfg(test)]

use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_datapath::wire::gre;

mod control_connection;
#[path = "../../../tests/pcaps/pcap.rs"]
mod pcap;
mod ppp;
mod replay;

/// The call id in the GRE frames to one end, which it chose itself.
fn call_id_to(end: Ipv4Addr, frames: &[pcap::Packet]) -> u16 {
    let frame = frames.iter().find(|frame| frame.destination == end);
    let frame = frame.expect("each end receives a frame");
    gre::Packet::new_checked(&frame.payload).unwrap().call_id()
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant serves as the origin"
)]
fn now() -> Instant {
    Instant::now()
}

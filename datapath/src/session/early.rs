//! Packets that came before the interface did: the peer's end of the network is up as soon as it has
//! our Configure-Ack, and ours when the kernel has made an interface, some milliseconds later.
//! Without them the first packet of a session would be lost as a rule.

use std::ops::Range;
use std::time::Instant;

use super::receive::IpPacket;
use super::{Inner, Session};
use crate::seq::Order;
use crate::stats::DropReason;
use crate::wire::ppp::protocol;

/// Packets kept at most: the first of a handshake or two.
const KEPT: usize = 8;

/// Those of one session, until it has had an interface.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// With what the session was encrypted by then.
    packets: Vec<(u32, Box<[u8]>)>,
    /// There has been an interface.
    pub(super) is_over: bool,
}

impl Session {
    /// Keeps a packet for which there is no interface yet, if it may be kept.
    pub(super) fn keep_early(&mut self, packet: Range<usize>, bytes: &[u8]) -> Option<Inner> {
        let early = &mut self.early;
        if early.is_over || !self.link.opened || early.packets.len() == KEPT {
            return None;
        }
        early
            .packets
            .push((self.generation, bytes.get(packet)?.into()));
        Some(Inner::Held)
    }

    /// The packets that came before the interface, which there is now: for [`Self::accept_early`], in
    /// their order. What came under another encryption than there is now is none of them.
    pub fn take_early(&mut self) -> Vec<Box<[u8]>> {
        let current = self.generation;
        let packets = std::mem::take(&mut self.early.packets).into_iter();
        packets
            .filter(|(generation, _)| *generation == current)
            .map(|(_, packet)| packet)
            .collect()
    }

    /// Judges such a packet, which is in `bytes` from `start` on, as one that comes now.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn accept_early(
        &mut self,
        bytes: &mut [u8],
        start: usize,
        at: Instant,
    ) -> Result<Inner, DropReason> {
        let packet = bytes.get(start..).unwrap_or_default();
        let number = match packet.first().map(|first| first >> 4) {
            Some(6) => protocol::IPV6,
            Some(_) | None => protocol::IPV4,
        };
        let outcome = IpPacket::parse(number, packet, start)
            .ok_or(DropReason::BadInnerIp)
            .and_then(|packet| self.admit(packet, Order::New { skipped: 0 }, bytes, at));
        self.count(outcome)
    }
}

//! One session: bytes in, bytes out. Nothing here does I/O, reads a clock, or allocates per packet.
//!
//! A frame that arrives goes through three phases, so that a worker can decrypt many at once:
//! [`Session::open`] parses the outside and finds the key, the caller decrypts (see
//! [`crate::mppe::Engine::crypt`]), [`Session::accept`] judges what came out. Sequence window and
//! key chain move in the last phase only. Once what the peer sends is encrypted, they move on
//! frames whose plain text is a valid IP packet; an unencrypted control frame then still moves the
//! window, by a bounded jump, but the encrypted ones do not depend on the window.
//!
//! A packet to send is sealed, then encrypted by the caller in the same way.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Instant;

use early::Early;
use encryption::{Rx, Tx};

use crate::ipc::{LinkOptions, Prefix, Tunnel};
use crate::limits::Limiter;
use crate::mppe::receiver::Place;
use crate::mppe::{Chain, Engine, Parameters, SessionKey};
use crate::multilink::{Fragmenter, Reassembler};
use crate::seq::SeqWindow;
use crate::stats::{DropReason, SessionCounters};
use crate::wire::{SeqNum, gre, lcp, mppe, multilink, ppp};

mod early;
mod encryption;
mod fragments;
mod limits;
mod receive;
mod send;

pub use encryption::Notice;
pub use fragments::Reassembled;

#[cfg(feature = "engine")]
pub(crate) use receive::check_gre;

/// How many bytes [`Session::seal`] and [`Session::control`] put in front of what they carry, at
/// most: GRE, PPP and MPPE headers and the inner protocol number.
pub const MAX_OVERHEAD: usize =
    gre::MAX_HEADER_LEN + ppp::MAX_HEADER_LEN + mppe::HEADER_LEN + INNER_PROTOCOL_LEN;

/// How far an unencrypted frame may be ahead of all others once MPPE is on.
pub const MAX_UNENCRYPTED_JUMP: u32 = 4096;

/// Bytes of the protocol number inside an encrypted frame.
const INNER_PROTOCOL_LEN: usize = 2;

/// What a session may carry once it has an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerAddress {
    /// The peer's address inside the tunnel.
    pub peer: Ipv4Addr,
    /// Drop packets from the peer whose source is neither `peer` nor in a network behind it.
    pub check_source: bool,
    /// Carry IPv6 as well (RFC 5072); such a packet's source is its own affair.
    pub ipv6: bool,
    /// Bytes of the largest packet that may be sent.
    pub mtu: u16,
}

/// What a frame is from the outside. Ranges count from the beginning of the GRE header.
#[derive(Debug)]
pub enum Opened {
    /// An acknowledgement and nothing else: done.
    Ack,
    /// Not encrypted, or in stateful mode, where a frame cannot be decrypted before the one before
    /// it was judged: goes straight to [`Session::accept`].
    Plain(Ticket),
    /// Encrypted in stateless mode: `data` is to be decrypted with `key` first.
    Sealed {
        /// For [`Session::accept`].
        ticket: Ticket,
        /// The key of this packet.
        key: SessionKey,
        /// The encrypted bytes.
        data: Range<usize>,
    },
}

/// What [`Session::accept`] has to know of the frame from [`Session::open`].
#[derive(Debug)]
pub struct Ticket {
    seq: SeqNum,
    at: Instant,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Plain {
        protocol: u16,
        information: Range<usize>,
    },
    Sealed {
        place: Place,
        data: Range<usize>,
        /// Which receiver the place is of.
        generation: u32,
    },
    /// Of stateful mode, not decrypted yet.
    Stream {
        header: mppe::Repr,
        data: Range<usize>,
    },
    /// A part of a frame.
    Fragment {
        header: multilink::Repr,
        data: Range<usize>,
    },
}

/// What a frame carries. Ranges count from the beginning of the GRE header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// A whole IP packet, padding cut off.
    Ip(Range<usize>),
    /// A whole IP packet that came too early, and was copied: see [`Session::next_held_rx`], and
    /// [`Session::take_early`] where there is no interface yet.
    Held,
    /// A frame that is the control process's business.
    Control {
        /// The PPP protocol number.
        protocol: u16,
        /// The information field, padding included.
        information: Range<usize>,
    },
    /// An LCP Echo-Request, for [`Session::echo_reply`].
    EchoRequest(Range<usize>),
    /// A part of a frame whose other parts are still to come.
    Fragment,
    /// The last part of a frame, for [`Session::open_reassembled`].
    Reassembled(Reassembled),
}

/// A frame to send.
#[derive(Debug)]
pub struct Sealed {
    /// Its length.
    pub len: usize,
    /// What is still to be encrypted, and with which key.
    pub encrypt: Option<(SessionKey, Range<usize>)>,
}

/// One session's state, owned by one worker.
#[derive(Debug)]
pub struct Session {
    tunnel: Tunnel,
    link: LinkOptions,
    interface: Option<InnerAddress>,
    early: Early,
    /// Whose packets the peer may send besides its own.
    networks: Vec<Prefix>,
    rx: Option<Rx>,
    tx: Option<Tx>,
    /// Counts the receivers there were.
    generation: u32,
    /// Whether what is received makes sense.
    sense: encryption::Sense,
    /// `None` if nothing is limited, so that nobody else pays for it.
    limiter: Option<Box<Limiter>>,
    reassembler: Option<Box<Reassembler>>,
    fragmenter: Option<Box<Fragmenter>>,
    window: SeqWindow,
    /// Frames received since the last acknowledgement was sent.
    ack_owed: u32,
    /// The number of the next frame we send.
    next_seq: SeqNum,
    /// The highest number of ours that the peer has acknowledged.
    acknowledged: Option<SeqNum>,
    counters: SessionCounters,
}

impl Session {
    /// A session at its beginning: no frame seen, LCP not opened, not encrypted, no interface.
    #[must_use]
    pub fn new(tunnel: Tunnel) -> Self {
        Self {
            tunnel,
            link: LinkOptions::default(),
            interface: None,
            early: Early::default(),
            networks: Vec::new(),
            rx: None,
            tx: None,
            generation: 0,
            sense: encryption::Sense::default(),
            limiter: None,
            reassembler: None,
            fragmenter: None,
            window: SeqWindow::default(),
            ack_owed: 0,
            next_seq: SeqNum::FIRST,
            acknowledged: None,
            counters: SessionCounters::default(),
        }
    }

    /// Takes over what LCP agreed on.
    pub fn set_link(&mut self, link: LinkOptions) {
        self.link = link;
        self.set_multilink(link.rx_multilink, link.tx_multilink);
    }

    /// Takes over what CCP agreed on. A direction whose parameters are as they were goes on where
    /// it is; to begin it anew, as CCP does when it opens again, switch it off in between.
    pub fn set_mppe(&mut self, rx: Option<&Parameters>, tx: Option<&Parameters>) {
        if self.rx.as_ref().map(Rx::parameters) != rx {
            self.rx = rx.cloned().map(Rx::new);
            self.generation = self.generation.wrapping_add(1);
            self.sense = encryption::Sense::default();
        }
        if self.tx.as_ref().map(Tx::parameters) != tx {
            self.tx = tx.cloned().map(Tx::new);
        }
    }

    /// The peer lost its place in stateful MPPE: the next packet is one at which it finds in again.
    pub fn reset_mppe(&mut self) {
        if let Some(Tx::Stateful(sender)) = &mut self.tx {
            sender.reset();
        }
    }

    /// What the control process should know about the frame that was just refused, if anything.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.sense.take_notice()
    }

    /// Says what network packets may pass; none do without an interface. The networks behind the
    /// peer go with it.
    pub fn set_interface(&mut self, interface: Option<InnerAddress>) {
        if interface.is_none() {
            self.networks.clear();
        }
        self.early.is_over |= interface.is_some();
        self.interface = interface;
        self.abandon_fragments();
        self.limit_to_interface();
    }

    /// Says what networks are behind the peer, whose packets pass [`InnerAddress::check_source`].
    pub fn set_networks(&mut self, networks: Vec<Prefix>) {
        self.networks = networks;
    }

    /// Carries IPv6 on the interface that there is, or no more.
    pub fn set_ipv6(&mut self, ipv6: bool) {
        if let Some(interface) = &mut self.interface {
            interface.ipv6 = ipv6;
        }
    }

    /// Phase one of receiving: looks at the outside of a frame and finds its key. `gre` is what the
    /// IP packet carries, padding included.
    ///
    /// Frames of one burst may all be opened before the first is accepted, as long as a burst has
    /// no more than [`crate::mppe::chain::AHEAD`] of them.
    ///
    /// # Errors
    /// Why the frame was dropped.
    pub fn open<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        gre: &[u8],
        now: Instant,
    ) -> Result<Opened, DropReason> {
        let outcome = self.open_uncounted(engine, gre, now);
        self.count(outcome)
    }

    /// Phase three of receiving: judges the frame that `ticket` was given for, by now decrypted.
    /// One of stateful mode is decrypted here.
    ///
    /// # Errors
    /// Why the frame was dropped.
    pub fn accept(&mut self, ticket: Ticket, gre: &mut [u8]) -> Result<Inner, DropReason> {
        let Ticket { seq, at, content } = ticket;
        let outcome = match content {
            Content::Plain {
                protocol,
                information,
            } => self.accept_plain(seq, protocol, information, gre, at),
            Content::Sealed {
                place,
                data,
                generation,
            } => {
                let outcome = self.accept_sealed(seq, &place, data, generation, gre, at);
                self.sense.note(&outcome, at);
                outcome
            }
            Content::Stream { header, data } => {
                let outcome = self.accept_stream(seq, header, data, gre, at);
                self.sense.note(&outcome, at);
                outcome
            }
            Content::Fragment { header, data } => self.accept_fragment(seq, header, data, gre, at),
        };
        self.count(outcome)
    }

    /// Writes the frame that carries an IP packet into `out`, which the caller then encrypts where
    /// [`Sealed::encrypt`] says so.
    ///
    /// # Errors
    /// Why the packet was dropped; [`DropReason::TooBig`] also if `out` cannot hold the frame,
    /// which has at most [`MAX_OVERHEAD`] bytes more than the packet.
    pub fn seal<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Sealed, DropReason> {
        let version = packet.first().map_or(0, |first| first >> 4);
        self.seal_with(engine, version, packet.len(), out, |body| {
            body.copy_from_slice(packet);
        })
    }

    /// Like [`Self::seal`], for a packet that `write` puts in its place: of `len` bytes and this
    /// IP version.
    ///
    /// # Errors
    /// As of [`Self::seal`]; then `write` was not called.
    pub fn seal_with<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        version: u8,
        len: usize,
        out: &mut [u8],
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Sealed, DropReason> {
        let outcome = self.seal_uncounted(engine, version, len, out, write);
        self.count(outcome)
    }

    /// Writes a frame that carries a control packet, never encrypted, into `out`; returns its
    /// length.
    ///
    /// # Errors
    /// [`DropReason::TooBig`]: `out` cannot hold the frame, which has at most [`MAX_OVERHEAD`]
    /// bytes more than the payload.
    pub fn control(
        &mut self,
        protocol: u16,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let outcome = self
            .begin_frame(self.control_header(protocol), payload.len(), out)
            .map(|body| {
                out[body.clone()].copy_from_slice(payload);
                body.end
            });
        self.count(outcome)
    }

    /// Writes the answer to an LCP Echo-Request, which is what [`Inner::EchoRequest`] points at,
    /// into `out`; returns its length.
    ///
    /// # Errors
    /// [`DropReason::TruncatedPpp`]: `request` is not a request. [`DropReason::TooBig`]: `out`
    /// cannot hold the answer.
    pub fn echo_reply(&mut self, request: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        let outcome = self.echo_reply_uncounted(request, out);
        self.count(outcome)
    }

    /// Writes an acknowledgement without payload into `out`, if one is owed; returns its length.
    pub fn lone_ack(&mut self, out: &mut [u8]) -> Option<usize> {
        let header = gre::Repr {
            call_id: self.tunnel.peer_call_id.0,
            payload_len: 0,
            seq: None,
            ack: Some(self.owed_ack()?),
        };
        let out = out.get_mut(..header.buffer_len())?;
        header.emit(&mut gre::Packet::new_unchecked(&mut *out));
        self.ack_owed = 0;
        Some(out.len())
    }

    /// The key chains, of the two directions, with fewer than `ready` keys made ready: for a worker
    /// that lets its engine step those of many sessions at once, each by one key.
    pub fn short_chains(&mut self, ready: u64) -> impl Iterator<Item = &mut Chain> {
        let rx = self.rx.as_mut().and_then(Rx::chain_mut);
        let tx = self.tx.as_mut().and_then(Tx::chain_mut);
        rx.into_iter()
            .chain(tx)
            .filter(move |chain| chain.ready() < ready && chain.has_room())
    }

    /// How many keys are ready in the direction that has fewer; `None` if neither is
    /// encrypted in stateless mode.
    #[must_use]
    pub fn keys_ready(&self) -> Option<u64> {
        let rx = self.rx.as_ref().and_then(Rx::chain);
        let tx = self.tx.as_ref().and_then(Tx::chain);
        rx.into_iter().chain(tx).map(Chain::ready).min()
    }

    /// The two ends of the call.
    #[must_use]
    pub const fn tunnel(&self) -> &Tunnel {
        &self.tunnel
    }

    /// Bytes of the largest packet that may be sent; `None` without an interface.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        self.interface.as_ref().map(|interface| interface.mtu)
    }

    /// What the session has moved.
    #[must_use]
    pub fn counters(&self) -> SessionCounters {
        SessionCounters {
            rx_lost: self.window.lost(),
            rx_fragments_lost: self.reassembler.as_ref().map_or(0, |these| these.lost()),
            ..self.counters
        }
    }

    /// How many frames were received since the last acknowledgement was sent.
    #[must_use]
    pub const fn ack_owed(&self) -> u32 {
        self.ack_owed
    }

    /// How many of the frames sent the peer has not acknowledged. Nothing waits for it: a peer's
    /// receive window (pptp-linux says 3) is no measure of what it can take.
    #[must_use]
    pub fn unacknowledged(&self) -> u32 {
        let from = self.acknowledged.map_or(SeqNum::FIRST, |seq| seq + 1);
        (self.next_seq - from).unsigned_abs()
    }

    fn count<T>(&mut self, outcome: Result<T, DropReason>) -> Result<T, DropReason> {
        if outcome.is_err() {
            self.counters.dropped += 1;
        }
        outcome
    }
}

fn parse_echo_request(packet: &[u8]) -> Option<lcp::Repr<'_>> {
    lcp::Repr::parse(&lcp::Packet::new_unchecked(packet))
        .ok()
        .filter(|echo| echo.code == lcp::Code::EchoRequest)
}

#[cfg(test)]
mod tests;

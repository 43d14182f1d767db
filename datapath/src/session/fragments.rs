//! Multilink: packets that go, or come, in fragments (RFC 1990).
//!
//! What is put together from fragments is as a frame that came in one piece: it may be encrypted,
//! and it stands where its last fragment does.

use std::ops::Range;
use std::time::Instant;

use super::encryption::Rx;
use super::receive::{IpPacket, is_network};
use super::{Content, Inner, Opened, Session};
use crate::ipc::Multilink;
use crate::mppe::{Engine, Job};
use crate::multilink::{Fragmenter, Reassembler};
use crate::seq::Order;
use crate::stats::DropReason;
use crate::wire::ppp::protocol;
use crate::wire::{SeqNum, multilink, ppp};

/// A frame that the last of its fragments completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassembled {
    /// Of that fragment.
    seq: SeqNum,
    order: Order,
    len: usize,
}

impl Reassembled {
    /// Bytes of the frame.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Session {
    /// Copies a frame out of its fragments to `at` in `out`, and does with it what is done with
    /// one that came in one piece. Ranges in what is returned count from the beginning of `out`.
    ///
    /// # Errors
    /// Why the frame was dropped; [`DropReason::BadFragment`] also if `out` cannot hold it.
    pub fn open_reassembled<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        frame: Reassembled,
        out: &mut [u8],
        at: usize,
        now: Instant,
    ) -> Result<Inner, DropReason> {
        let outcome = self.open_reassembled_uncounted(engine, frame, out, at, now);
        self.count(outcome)
    }

    /// Whether a packet of `len` bytes is to be sent in fragments: with
    /// [`Self::begin_fragments`].
    #[must_use]
    pub fn needs_fragments(&self, len: usize) -> bool {
        let information = if self.tx.is_some() {
            self.encrypted_len(len)
        } else {
            len
        };
        self.fragmenter.is_some() && information > usize::from(self.link.peer_mru)
    }

    /// Seals and encrypts a packet that is to go in fragments, as
    /// [`Self::seal_with`](Session::seal_with) does one that goes as a whole.
    /// [`Self::next_fragment`] then writes its frames.
    ///
    /// # Errors
    /// Why the packet was dropped.
    pub fn begin_fragments<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        version: u8,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), DropReason> {
        // Taken out for as long as it lends its memory.
        let Some(mut fragmenter) = self.fragmenter.take() else {
            return self.count(Err(DropReason::TooBig));
        };
        let outcome = self.fill(engine, &mut fragmenter, version, len, write);
        self.fragmenter = Some(fragmenter);
        self.count(outcome)
    }

    /// Whether a packet is not sent to its end.
    #[must_use]
    pub fn has_fragments(&self) -> bool {
        self.fragmenter
            .as_ref()
            .is_some_and(|fragmenter| fragmenter.is_pending())
    }

    /// Writes the frame with the next fragment into `out`; returns its length.
    ///
    /// # Errors
    /// [`DropReason::TooBig`]: `out` cannot hold it, or the link carries none; the rest of the
    /// packet is dropped.
    pub fn next_fragment(&mut self, out: &mut [u8]) -> Result<usize, DropReason> {
        let outcome = self.next_fragment_uncounted(out);
        if outcome.is_err() {
            self.abandon_fragments();
        }
        self.count(outcome)
    }

    pub(super) fn set_multilink(&mut self, rx: Option<Multilink>, tx: Option<Multilink>) {
        if self.reassembler.as_ref().map(|these| *these.terms()) != rx {
            self.reassembler = rx.map(|terms| Box::new(Reassembler::new(terms)));
        }
        if self.fragmenter.as_ref().map(|these| *these.terms()) != tx {
            self.fragmenter = tx.map(|terms| Box::new(Fragmenter::new(terms)));
        }
    }

    pub(super) fn abandon_fragments(&mut self) {
        if let Some(fragmenter) = &mut self.fragmenter {
            fragmenter.abandon();
        }
    }

    pub(super) fn accept_fragment(
        &mut self,
        seq: SeqNum,
        header: multilink::Repr,
        data: Range<usize>,
        gre: &[u8],
        at: Instant,
    ) -> Result<Inner, DropReason> {
        let data = gre.get(data).ok_or(DropReason::TruncatedPpp)?;
        let order = self.check_plain(seq)?;
        let reassembler = self.reassembler.as_mut();
        let reassembler = reassembler.ok_or(DropReason::BadFragment)?;
        let complete = reassembler.insert(header, data, at)?;
        self.counters.rx_fragments += 1;
        let Some(len) = complete else {
            self.commit_plain(seq, order)?;
            return Ok(Inner::Fragment);
        };
        // This one stands for the whole frame, which may have a place in the chain of keys.
        self.window.commit(seq)?;
        self.note_received();
        Ok(Inner::Reassembled(Reassembled { seq, order, len }))
    }

    fn open_reassembled_uncounted<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        frame: Reassembled,
        out: &mut [u8],
        at: usize,
        now: Instant,
    ) -> Result<Inner, DropReason> {
        let Reassembled { seq, order, len } = frame;
        let end = at + len;
        let bytes = out.get_mut(at..end).ok_or(DropReason::BadFragment)?;
        let taken = self.reassembler.as_mut().is_some_and(|r| r.take(bytes));
        if !taken {
            return Err(DropReason::BadFragment);
        }
        let ppp = ppp::Packet::new_checked(&*bytes).map_err(|_| DropReason::TruncatedPpp)?;
        let number = ppp.protocol();
        let information = end - ppp.information().len()..end;
        if number == protocol::COMPRESSED {
            let opened = self.open_sealed(engine, seq, ppp.information(), information, now)?;
            let packet = self.decrypt_reassembled(engine, seq, opened, &mut out[..end], now);
            self.sense.note(&packet, now);
            let (packet, order) = packet?;
            return self.admit(packet, order, out, now);
        }
        if self.rx.is_some() && is_network(number) {
            return Err(DropReason::NotEncrypted);
        }
        if let (Some(Rx::Stateless(rx)), Order::New { .. }) = (&mut self.rx, order) {
            rx.note_unencrypted();
        }
        let bytes = &out[information.clone()];
        let packet = IpPacket::parse_plain(number, bytes, information.start)?;
        self.admit_plain(number, packet, information, order, out, now)
    }

    fn decrypt_reassembled<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        seq: SeqNum,
        opened: Opened,
        out: &mut [u8],
        now: Instant,
    ) -> Result<(IpPacket, Order), DropReason> {
        let content = match opened {
            Opened::Sealed { ticket, key, data } => {
                let data = out.get_mut(data).ok_or(DropReason::TruncatedPpp)?;
                engine.crypt(&mut [Job { key, data }]);
                ticket.content
            }
            Opened::Plain(ticket) => ticket.content,
            Opened::Ack => return Err(DropReason::BadFragment),
        };
        match content {
            Content::Sealed {
                place,
                data,
                generation,
            } => self.judge_sealed(&place, data, generation, out),
            Content::Stream { header, data } => {
                let packet = self.decrypt_stream(seq, header, data, out, now)?;
                Ok((packet, Order::New { skipped: 0 }))
            }
            Content::Plain { .. } | Content::Fragment { .. } => Err(DropReason::BadFragment),
        }
    }

    fn fill<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        fragmenter: &mut Fragmenter,
        version: u8,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), DropReason> {
        let number = self.check_outgoing(version, len)?;
        let number_len = self.number_len();
        let put_number = |number: u16, frame: &mut [u8]| {
            let number = number.to_be_bytes();
            frame[..number_len].copy_from_slice(&number[number.len() - number_len..]);
        };
        if self.tx.is_some() {
            let key = self.next_key(engine)?;
            let frame = fragmenter.begin(number_len + self.encrypted_len(len));
            put_number(protocol::COMPRESSED, frame);
            let body = &mut frame[number_len..];
            if let Some((key, at)) = self.write_encrypted(key, number, body, write) {
                let data = &mut body[at];
                engine.crypt(&mut [Job { key, data }]);
            }
        } else {
            let frame = fragmenter.begin(number_len + len);
            put_number(number, frame);
            self.put_packet(&mut frame[number_len..], write);
        }
        self.note_sent(len);
        Ok(())
    }

    fn next_fragment_uncounted(&mut self, out: &mut [u8]) -> Result<usize, DropReason> {
        let room = usize::from(self.link.peer_mru);
        let fragmenter = self.fragmenter.as_ref();
        let len = fragmenter.and_then(|fragmenter| fragmenter.next_len(room));
        let len = len.ok_or(DropReason::TooBig)?;
        let body = self.begin_frame(self.header(protocol::MULTILINK), len, out)?;
        if let Some(fragmenter) = &mut self.fragmenter {
            fragmenter.write_next(&mut out[body.clone()]);
        }
        self.counters.tx_fragments += 1;
        Ok(body.end)
    }
}

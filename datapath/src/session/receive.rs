//! What arrives: [`Session::open`] and [`Session::accept`], behind their signatures.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Instant;

use super::encryption::Rx;
use super::{Content, Inner, MAX_UNENCRYPTED_JUMP, Opened, Session, Ticket, parse_echo_request};
use crate::mppe::Engine;
use crate::mppe::receiver::Place;
use crate::seq::Order;
use crate::stats::DropReason;
use crate::wire::ppp::protocol;
use crate::wire::{SeqNum, gre, ipv4, ipv6, mppe, multilink, ppp};

/// Looks at a GRE header, and says what is wrong with it.
pub(crate) fn check_gre(gre: &[u8]) -> Result<gre::Packet<&[u8]>, DropReason> {
    const FLAGS_AND_PROTOCOL: usize = 4;
    let packet = gre::Packet::new_unchecked(gre);
    if packet.check_len().is_ok() {
        Ok(packet)
    } else if gre.len() < FLAGS_AND_PROTOCOL || packet.is_enhanced() {
        Err(DropReason::TruncatedGre)
    } else {
        Err(DropReason::BadGre)
    }
}

impl Session {
    pub(super) fn open_uncounted<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        gre: &[u8],
        now: Instant,
    ) -> Result<Opened, DropReason> {
        let packet = check_gre(gre)?;
        if packet.call_id() != self.tunnel.call_id.0 {
            return Err(DropReason::UnknownCall);
        }
        if let Some(ack) = packet.ack() {
            self.handle_ack(ack);
        }
        let Some(seq) = packet.seq() else {
            if packet.payload_len() > 0 {
                return Err(DropReason::MissingSeq);
            }
            if packet.ack().is_none() {
                return Err(DropReason::BadGre);
            }
            self.counters.rx_frames += 1;
            return Ok(Opened::Ack);
        };
        let mut frame =
            ppp::Packet::new_checked(packet.payload()).map_err(|_| DropReason::TruncatedPpp)?;
        let end = packet.header_len() + packet.payload().len();
        if frame.protocol() == protocol::MULTILINK
            && let Some(reassembler) = &mut self.reassembler
        {
            let data = &gre[end - frame.information().len()..end];
            let header = multilink::Repr::parse(data, reassembler.terms().short)
                .map_err(|_| DropReason::BadFragment)?;
            let data = &data[header.buffer_len()..];
            if !header.is_whole() {
                self.check_plain(seq)?;
                return Ok(Opened::Plain(Ticket {
                    seq,
                    at: now,
                    content: Content::Fragment {
                        header,
                        data: end - data.len()..end,
                    },
                }));
            }
            reassembler.pass(header.seq);
            frame = ppp::Packet::new_checked(data).map_err(|_| DropReason::TruncatedPpp)?;
        }
        let information = end - frame.information().len()..end;
        if frame.protocol() == protocol::COMPRESSED {
            return self.open_sealed(engine, seq, frame.information(), information, now);
        }
        self.check_plain(seq)?;
        if self.rx.is_some() && is_network(frame.protocol()) {
            return Err(DropReason::NotEncrypted);
        }
        Ok(Opened::Plain(Ticket {
            seq,
            at: now,
            content: Content::Plain {
                protocol: frame.protocol(),
                information,
            },
        }))
    }

    pub(super) fn open_sealed<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        seq: SeqNum,
        information: &[u8],
        at: Range<usize>,
        now: Instant,
    ) -> Result<Opened, DropReason> {
        let rx = self.rx.as_mut().ok_or(DropReason::MppeNotUp)?;
        let header = mppe::Packet::new_checked(information)
            .and_then(|packet| mppe::Repr::parse(&packet))
            .map_err(|_| DropReason::TruncatedPpp)?;
        let data = at.start + mppe::HEADER_LEN..at.end;
        let rx = match rx {
            Rx::Stateless(rx) if header.encrypted && header.flushed => rx,
            Rx::Stateful(_) if header.encrypted => {
                return Ok(Opened::Plain(Ticket {
                    seq,
                    at: now,
                    content: Content::Stream { header, data },
                }));
            }
            Rx::Stateless(_) | Rx::Stateful(_) => return Err(DropReason::BadMppeHeader),
        };
        let place = rx.locate(seq, header.coherency)?;
        let key = rx.key(engine, &place, now)?;
        Ok(Opened::Sealed {
            ticket: Ticket {
                seq,
                at: now,
                content: Content::Sealed {
                    place,
                    data: data.clone(),
                    generation: self.generation,
                },
            },
            key,
            data,
        })
    }

    pub(super) fn accept_plain(
        &mut self,
        seq: SeqNum,
        number: u16,
        information: Range<usize>,
        gre: &mut [u8],
        at: Instant,
    ) -> Result<Inner, DropReason> {
        let bytes = gre
            .get(information.clone())
            .ok_or(DropReason::TruncatedPpp)?;
        let order = self.check_plain(seq)?;
        let packet = IpPacket::parse_plain(number, bytes, information.start)?;
        self.commit_plain(seq, order)?;
        self.admit_plain(number, packet, information, order, gre, at)
    }

    /// Takes note of an unencrypted frame.
    pub(super) fn commit_plain(&mut self, seq: SeqNum, order: Order) -> Result<(), DropReason> {
        self.window.commit(seq)?;
        self.note_received();
        if let (Some(Rx::Stateless(rx)), Order::New { .. }) = (&mut self.rx, order) {
            rx.note_unencrypted();
        }
        Ok(())
    }

    /// What an unencrypted frame is, whose information field is there in `bytes`.
    pub(super) fn admit_plain(
        &mut self,
        number: u16,
        packet: Option<IpPacket>,
        information: Range<usize>,
        order: Order,
        bytes: &mut [u8],
        at: Instant,
    ) -> Result<Inner, DropReason> {
        match packet {
            Some(packet) => self.admit(packet, order, bytes, at),
            None if number == protocol::LCP && self.answers_echo(&bytes[information.clone()]) => {
                Ok(Inner::EchoRequest(information))
            }
            None => Ok(Inner::Control {
                protocol: number,
                information,
            }),
        }
    }

    pub(super) fn accept_sealed(
        &mut self,
        seq: SeqNum,
        place: &Place,
        data: Range<usize>,
        generation: u32,
        gre: &mut [u8],
        at: Instant,
    ) -> Result<Inner, DropReason> {
        let (packet, order) = self.judge_sealed(place, data, generation, gre)?;
        // The key chain says what is new; the window, which unencrypted frames move too, follows.
        if self.window.commit(seq).is_err() && matches!(order, Order::New { .. }) {
            self.window.restart(seq);
        }
        self.note_received();
        self.admit(packet, order, gre, at)
    }

    /// Whether a frame decrypted to a packet, and how it stands to those before it.
    pub(super) fn judge_sealed(
        &mut self,
        place: &Place,
        data: Range<usize>,
        generation: u32,
        gre: &[u8],
    ) -> Result<(IpPacket, Order), DropReason> {
        let rx = match &mut self.rx {
            Some(Rx::Stateless(rx)) if generation == self.generation => rx,
            _ => return Err(DropReason::StaleKey),
        };
        let offset = data.start;
        let plain = gre.get(data);
        let Some(packet) = plain.and_then(|plain| IpPacket::parse_decrypted(plain, offset)) else {
            rx.refuse(place);
            return Err(DropReason::Undecryptable);
        };
        let order = rx.confirm(place)?;
        Ok((packet, order))
    }

    pub(super) fn accept_stream(
        &mut self,
        seq: SeqNum,
        header: mppe::Repr,
        data: Range<usize>,
        gre: &mut [u8],
        at: Instant,
    ) -> Result<Inner, DropReason> {
        let packet = self.decrypt_stream(seq, header, data, gre, at)?;
        // As of a stateless frame: what decrypted is right, wherever the window is.
        if self.window.commit(seq).is_err() {
            self.window.restart(seq);
        }
        self.note_received();
        self.admit(packet, Order::New { skipped: 0 }, gre, at)
    }

    pub(super) fn decrypt_stream(
        &mut self,
        seq: SeqNum,
        header: mppe::Repr,
        data: Range<usize>,
        gre: &mut [u8],
        at: Instant,
    ) -> Result<IpPacket, DropReason> {
        let Some(Rx::Stateful(rx)) = &mut self.rx else {
            return Err(DropReason::StaleKey);
        };
        let offset = data.start;
        let data = gre.get_mut(data).ok_or(DropReason::TruncatedPpp)?;
        let judge = |plain: &[u8]| IpPacket::parse_decrypted(plain, offset);
        let packet = rx.decrypt(seq, header, data, at, judge);
        if let Err(DropReason::OutOfSync | DropReason::Undecryptable) = packet
            && let Some(times) = rx.ask(at)
        {
            self.sense.lost(times);
        }
        packet
    }

    /// What still can keep a valid packet, which is there in `bytes`, from the interface.
    pub(super) fn admit(
        &mut self,
        packet: IpPacket,
        order: Order,
        bytes: &mut [u8],
        at: Instant,
    ) -> Result<Inner, DropReason> {
        let Some(interface) = &self.interface else {
            let kept = self.keep_early(packet.at, bytes);
            return kept.ok_or(DropReason::NoInterface);
        };
        match packet.source {
            Some(source)
                if interface.check_source
                    && source != interface.peer
                    && !self.networks.iter().any(|network| network.contains(source)) =>
            {
                return Err(DropReason::SpoofedSource);
            }
            None if !interface.ipv6 => return Err(DropReason::ProtocolNotUp),
            Some(_) | None => {}
        }
        let len = packet.at.len();
        let inner = if self.limiter.is_some() {
            self.limit_rx(packet.at, bytes, at)?
        } else {
            Inner::Ip(packet.at)
        };
        // One that waits counts when it goes: a session may end before.
        if inner != Inner::Held {
            self.note_delivered(len);
        }
        if order == Order::Late {
            self.counters.rx_late += 1;
        }
        Ok(inner)
    }

    /// Where an unencrypted frame stands. Without encryption a peer is believed whatever it skips,
    /// or a long loss would be the end; with it, anybody's guess at a number must be a good one.
    pub(super) fn check_plain(&self, seq: SeqNum) -> Result<Order, DropReason> {
        let order = self.window.check(seq)?;
        match order {
            Order::New { skipped } if self.rx.is_some() && skipped >= MAX_UNENCRYPTED_JUMP => {
                Err(DropReason::FutureSeq)
            }
            Order::New { .. } | Order::Late => Ok(order),
        }
    }

    pub(super) fn note_received(&mut self) {
        self.counters.rx_frames += 1;
        self.ack_owed = self.ack_owed.saturating_add(1);
    }

    /// The peer acknowledges all up to `ack`; only what was sent can be, and never less than before.
    fn handle_ack(&mut self, ack: SeqNum) {
        let sent = ack < self.next_seq;
        if sent && self.acknowledged.is_none_or(|before| ack > before) {
            self.acknowledged = Some(ack);
        }
    }

    /// Whether an LCP packet is a request that [`Self::echo_reply`] can answer. A request under our
    /// own magic number came from ourselves: a loop, which LCP has to see (RFC 1661 §5.8).
    fn answers_echo(&self, packet: &[u8]) -> bool {
        let ours = self.link.magic;
        self.link.opened
            && parse_echo_request(packet)
                .is_some_and(|request| request.magic == 0 || request.magic != ours)
    }
}

/// A valid IP packet in a frame.
pub(super) struct IpPacket {
    at: Range<usize>,
    /// Its source, if it is IPv4.
    source: Option<Ipv4Addr>,
}

impl IpPacket {
    /// Looks for the packet that `number` promises in `bytes`, which begin at `offset`.
    pub(super) fn parse(number: u16, bytes: &[u8], offset: usize) -> Option<Self> {
        let (len, source) = match number {
            protocol::IPV4 => {
                let packet = ipv4::Packet::new_checked(bytes).ok()?;
                if !packet.verify_checksum() {
                    return None;
                }
                (packet.total_len(), Some(packet.source()))
            }
            protocol::IPV6 => (ipv6::Packet::new_checked(bytes).ok()?.total_len(), None),
            _ => return None,
        };
        Some(Self {
            at: offset..offset + len,
            source,
        })
    }

    /// The packet of an unencrypted frame, if that is what it carries.
    pub(super) fn parse_plain(
        number: u16,
        bytes: &[u8],
        offset: usize,
    ) -> Result<Option<Self>, DropReason> {
        if !is_network(number) {
            return Ok(None);
        }
        let packet = Self::parse(number, bytes, offset).ok_or(DropReason::BadInnerIp)?;
        Ok(Some(packet))
    }

    /// Looks for a protocol number and its packet in the decrypted part of a frame, which begins at
    /// `offset`. RFC 3078 §3
    /// encrypts network packets only, so anything else is what a wrong key gives.
    fn parse_decrypted(plain: &[u8], offset: usize) -> Option<Self> {
        let frame = ppp::Packet::new_checked(plain).ok()?;
        let offset = offset + frame.header_len();
        let packet = Self::parse(frame.protocol(), frame.information(), offset)?;
        // IPv6 has no checksum: of wrong keys one in 16,000 would pass if its length were not exact.
        let is_whole = packet.at.end == offset + frame.information().len();
        (packet.source.is_some() || is_whole).then_some(packet)
    }
}

pub(super) const fn is_network(number: u16) -> bool {
    matches!(number, protocol::IPV4 | protocol::IPV6)
}

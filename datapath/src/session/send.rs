//! What is sent: headers, acknowledgements, and the keys of encrypted packets.

use std::ops::Range;

use super::encryption::Tx;
use super::{Sealed, Session, parse_echo_request};
use crate::mppe::{Engine, SessionKey, chain};
use crate::stats::DropReason;
use crate::wire::ppp::protocol;
use crate::wire::{SeqNum, gre, lcp, mppe, ppp};

impl Session {
    pub(super) fn seal_uncounted<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        version: u8,
        len: usize,
        out: &mut [u8],
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Sealed, DropReason> {
        let number = self.check_outgoing(version, len)?;
        let sealed = if self.tx.is_some() {
            self.seal_encrypted(engine, number, len, out, write)?
        } else {
            let body = self.begin_frame(self.header(number), len, out)?;
            self.put_packet(&mut out[body.clone()], write);
            Sealed {
                len: body.end,
                encrypt: None,
            }
        };
        self.note_sent(len);
        Ok(sealed)
    }

    fn seal_encrypted<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
        number: u16,
        len: usize,
        out: &mut [u8],
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Sealed, DropReason> {
        let key = self.next_key(engine)?;
        let len = self.encrypted_len(len);
        let body = self.begin_frame(self.header(protocol::COMPRESSED), len, out)?;
        let encrypt = self.write_encrypted(key, number, &mut out[body.clone()], write);
        Ok(Sealed {
            len: body.end,
            encrypt: encrypt.map(|(key, at)| (key, body.start + at.start..body.end)),
        })
    }

    /// Whether a packet may go, and the number of its protocol.
    pub(super) fn check_outgoing(&self, version: u8, len: usize) -> Result<u16, DropReason> {
        let interface = self.interface.as_ref().ok_or(DropReason::NoInterface)?;
        if len > usize::from(interface.mtu) {
            return Err(DropReason::TooBig);
        }
        match version {
            4 => Ok(protocol::IPV4),
            6 if interface.ipv6 => Ok(protocol::IPV6),
            6 => Err(DropReason::ProtocolNotUp),
            _ => Err(DropReason::BadInnerIp),
        }
    }

    /// The key of the next encrypted packet in stateless mode, which stays the same until
    /// [`Self::write_encrypted`] uses it; none in stateful mode, where a stream runs on.
    pub(super) fn next_key<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
    ) -> Result<Option<(u64, SessionKey)>, DropReason> {
        match &mut self.tx {
            Some(Tx::Stateless(tx)) => Ok(Some(tx.next_key(engine).ok_or(DropReason::StaleKey)?)),
            Some(Tx::Stateful(_)) => Ok(None),
            None => Err(DropReason::MppeNotUp),
        }
    }

    /// Bytes of the information field that carries an encrypted packet of `len` bytes.
    pub(super) const fn encrypted_len(&self, len: usize) -> usize {
        mppe::HEADER_LEN + self.number_len() + len
    }

    /// Fills the information field of an encrypted packet; says what of it is still to be
    /// encrypted, and with which key.
    pub(super) fn write_encrypted(
        &mut self,
        key: Option<(u64, SessionKey)>,
        number: u16,
        body: &mut [u8],
        write: impl FnOnce(&mut [u8]),
    ) -> Option<(SessionKey, Range<usize>)> {
        let end = body.len();
        let (header, data) = body.split_at_mut(mppe::HEADER_LEN);
        // PFC counts inside of the encryption as well: the byte it saves lets a packet of 1460 fit
        // into 1500.
        let (numbered, packet) = data.split_at_mut(self.number_len());
        let number = number.to_be_bytes();
        numbered.copy_from_slice(&number[number.len() - numbered.len()..]);
        self.put_packet(packet, write);
        let mut header = mppe::Packet::new_unchecked(header);
        match (&mut self.tx, key) {
            (Some(Tx::Stateless(tx)), Some((position, key))) => {
                tx.chain.mark_used(position);
                mppe::Repr::stateless(chain::coherency_of(position)).emit(&mut header);
                Some((key, mppe::HEADER_LEN..end))
            }
            // A stream runs on from packet to packet: there is nothing to gather.
            (Some(Tx::Stateful(tx)), _) => {
                tx.begin().emit(&mut header);
                tx.encrypt(data);
                None
            }
            // Nobody has a key who did not ask for it.
            (Some(Tx::Stateless(_)), None) | (None, _) => None,
        }
    }

    /// Bytes of a network protocol's number.
    pub(super) const fn number_len(&self) -> usize {
        if self.link.pfc { 1 } else { 2 }
    }

    pub(super) fn echo_reply_uncounted(
        &mut self,
        request: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let reply = parse_echo_request(request)
            .ok_or(DropReason::TruncatedPpp)?
            .reply(self.link.magic);
        let header = self.control_header(protocol::LCP);
        let body = self.begin_frame(header, reply.buffer_len(), out)?;
        reply.emit(&mut lcp::Packet::new_unchecked(&mut out[body.clone()]));
        Ok(body.end)
    }

    /// Writes GRE and PPP headers for `body_len` bytes, with the acknowledgement owed; returns
    /// where these bytes go. Nothing has changed if it fails.
    pub(super) fn begin_frame(
        &mut self,
        header: ppp::Repr,
        body_len: usize,
        out: &mut [u8],
    ) -> Result<Range<usize>, DropReason> {
        let payload_len = header.buffer_len() + body_len;
        let outer = gre::Repr {
            call_id: self.tunnel.peer_call_id.0,
            payload_len: u16::try_from(payload_len).map_err(|_| DropReason::TooBig)?,
            seq: Some(self.next_seq),
            ack: self.owed_ack(),
        };
        let body_at = outer.buffer_len() + header.buffer_len();
        let body = body_at..body_at + body_len;
        if out.len() < body.end {
            return Err(DropReason::TooBig);
        }
        outer.emit(&mut gre::Packet::new_unchecked(&mut *out));
        header.emit(&mut ppp::Packet::new_unchecked(
            &mut out[outer.buffer_len()..],
        ));
        self.next_seq = self.next_seq + 1;
        self.ack_owed = 0;
        Ok(body)
    }

    pub(super) fn owed_ack(&self) -> Option<SeqNum> {
        self.window.highest().filter(|_| self.ack_owed > 0)
    }

    /// RFC 1661 §6.5, §6.6: LCP packets are never compressed.
    pub(super) const fn control_header(&self, number: u16) -> ppp::Repr {
        if number == protocol::LCP {
            ppp::Repr {
                protocol: number,
                acfc: false,
                pfc: false,
            }
        } else {
            self.header(number)
        }
    }

    pub(super) const fn header(&self, number: u16) -> ppp::Repr {
        ppp::Repr {
            protocol: number,
            acfc: self.link.acfc,
            pfc: self.link.pfc,
        }
    }
}

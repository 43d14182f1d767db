//! The far ends of many tunnels: what they send is sealed and encrypted ahead, frame by frame, so
//! that sending it costs no time while something is measured.
//!
//! Frames come in trains, as those of bulk traffic do: so many consecutive packets of one session,
//! then as many of the next.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::{LinkOptions, Tunnel};
use greyhound_datapath::mppe::engine::{AnyEngine, detect};
use greyhound_datapath::mppe::{Engine, Job, Parameters, StartKey, Strength};
use greyhound_datapath::offload::checksum::Sum;
use greyhound_datapath::session::{InnerAddress, MAX_OVERHEAD, Session};
use greyhound_datapath::wire::ipv4;
use serde::{Serialize, Serializer};

/// Bytes of a packet inside of the tunnel, its IP header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// All the same.
    Bytes(u16),
    /// A mixture: of twelve packets seven of 64 bytes, four of 576, one of 1400.
    Imix,
}

/// An order without long runs of one size.
const IMIX: [u16; 12] = [64, 576, 64, 64, 1400, 64, 576, 64, 576, 64, 576, 64];

impl Size {
    /// Of the packet with this number.
    pub(crate) fn of(self, number: usize) -> u16 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Imix => IMIX[number % IMIX.len()],
        }
    }

    /// Of the longest packet.
    pub(crate) fn longest(self) -> u16 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Imix => IMIX.into_iter().max().unwrap_or_default(),
        }
    }

    /// On average.
    pub(crate) fn mean(self) -> f64 {
        match self {
            Self::Bytes(bytes) => bytes.into(),
            Self::Imix => IMIX.into_iter().map(f64::from).sum::<f64>() / IMIX.len() as f64,
        }
    }
}

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "imix" {
            return Ok(Self::Imix);
        }
        let bytes = text.parse().context("neither a number nor imix")?;
        if !(MIN_INNER..=MAX_INNER).contains(&bytes) {
            bail!("not from {MIN_INNER} to {MAX_INNER}");
        }
        Ok(Self::Bytes(bytes))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Imix => f.write_str("imix"),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::Imix => serializer.serialize_str("imix"),
        }
    }
}

/// Who frames are from and to; the same for all tunnels, for the call id tells them apart.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The end that is measured.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The measured end's address inside of every tunnel.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Where packets from the tunnels are routed on to: each worker's have an address of their own.
pub(crate) const fn beyond(worker: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 1, worker)
}
/// What may be sent through a tunnel; the frame around it fits into 1500 bytes.
pub(crate) const INNER_MTU: u16 = MAX_INNER;
/// Bytes of an Ethernet header without tags.
pub(crate) const ETHERNET_BYTES: usize = 14;
/// Bytes before the packet in a frame from [`Peers::frames`]: all fields are always there.
pub(crate) const HEADER_BYTES: usize = ETHERNET_BYTES + ipv4::HEADER_LEN + 12 + 4 + 2 + 2;
/// Bytes of IP and UDP header.
pub(crate) const UDP_HEADER_BYTES: usize = 28;
/// The port that the far ends send from and listen on.
pub(crate) const PORT: u16 = 4321;

/// One tunnel as seen from the measured end.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) tunnel: Tunnel,
    pub(crate) link: LinkOptions,
    /// Of what the far end sends.
    pub(crate) rx: Parameters,
    /// Of what the measured end sends.
    pub(crate) tx: Parameters,
    /// The far end inside of the tunnel.
    pub(crate) inner: InnerAddress,
}

impl Ends {
    /// The tunnel with this number, below 65,535.
    pub(crate) fn of(number: u32) -> Self {
        let call = u16::try_from(number + 1).unwrap_or(u16::MAX);
        Self {
            tunnel: Tunnel {
                ours: SERVER,
                peer: CLIENT,
                call_id: CallId(call),
                peer_call_id: PeerCallId(call),
            },
            link: LinkOptions {
                opened: true,
                ..LinkOptions::default()
            },
            rx: parameters(number, 1),
            tx: parameters(number, 2),
            inner: InnerAddress {
                peer: inner_address(number),
                check_source: true,
                ipv6: false,
                mtu: INNER_MTU,
            },
        }
    }

    /// The measured end's session, as the worker makes it.
    pub(crate) fn near_session(&self) -> Session {
        let mut session = Session::new(self.tunnel);
        session.set_link(self.link);
        session.set_mppe(Some(&self.rx), Some(&self.tx));
        session.set_interface(Some(self.inner));
        session
    }

    /// The far end's session.
    pub(crate) fn far_session(&self) -> Session {
        let mut session = Session::new(Tunnel {
            ours: self.tunnel.peer,
            peer: self.tunnel.ours,
            call_id: CallId(self.tunnel.peer_call_id.0),
            peer_call_id: PeerCallId(self.tunnel.call_id.0),
        });
        session.set_link(self.link);
        session.set_mppe(Some(&self.tx), Some(&self.rx));
        session.set_interface(Some(InnerAddress {
            peer: GATEWAY,
            check_source: false,
            ..self.inner
        }));
        session
    }
}

/// The far end's address inside of the tunnel with this number.
pub(crate) fn inner_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + number)
}

fn parameters(number: u32, direction: u8) -> Parameters {
    let mut key = [direction; 16];
    key[..4].copy_from_slice(&number.to_ne_bytes());
    Parameters {
        start_key: StartKey(key),
        strength: Strength::Bits128,
        stateless: true,
    }
}

/// Whether frames are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// As they have to be.
    Mppe,
    /// Only their headers say so: what a floor takes in, which knows no keys.
    Null,
}

/// The far ends.
pub(crate) struct Peers {
    sessions: Vec<(Session, u16)>,
    engine: AnyEngine,
    cipher: Cipher,
    train: usize,
    /// Where their packets go.
    to: Ipv4Addr,
    sent: usize,
}

impl Peers {
    /// The tunnels from `first` on.
    pub(crate) fn new(first: u32, count: u32, train: usize, cipher: Cipher) -> Result<Self> {
        let sessions = (first..first + count)
            .map(|number| (Ends::of(number).far_session(), 0))
            .collect();
        Ok(Self {
            sessions,
            engine: detect(),
            cipher,
            train: train.max(1),
            to: beyond(0),
            sent: 0,
        })
    }

    /// The same, whose packets go to another address.
    pub(crate) fn to(self, to: Ipv4Addr) -> Self {
        Self { to, ..self }
    }

    /// The next frames, where the last call left off.
    pub(crate) fn frames(&mut self, count: usize, size: Size) -> Result<Frames> {
        let mut frames = Frames::default();
        for _ in 0..count {
            let session = self.sent / self.train % self.sessions.len();
            let size = size.of(self.sent);
            self.add(session, size, &mut frames)?;
            self.sent += 1;
        }
        frames.encrypt(&mut self.engine);
        Ok(frames)
    }

    /// One frame of each tunnel.
    pub(crate) fn one_each(&mut self, size: Size) -> Result<Frames> {
        let mut frames = Frames::default();
        for session in 0..self.sessions.len() {
            self.add(session, size.of(0), &mut frames)?;
        }
        frames.encrypt(&mut self.engine);
        Ok(frames)
    }

    fn add(&mut self, index: usize, size: u16, frames: &mut Frames) -> Result<()> {
        let (session, identification) = &mut self.sessions[index];
        // Ours, seen from there.
        let tunnel = *session.tunnel();
        let number = u32::from(tunnel.peer_call_id.0) - 1;
        let packet = datagram(inner_address(number), self.to, *identification, size);
        *identification = identification.wrapping_add(1);
        frames.seal(session, &mut self.engine, &packet, self.cipher)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("sessions", &self.sessions.len())
            .field("train", &self.train)
            .finish_non_exhaustive()
    }
}

/// Frames in the order in which they are to be sent.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    jobs: Vec<(greyhound_datapath::mppe::SessionKey, usize, usize)>,
}

impl Frames {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.range(0..self.len())
    }

    /// Some of them.
    pub(crate) fn range(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        range.map(|index| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[start..self.ends[index]]
        })
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds a frame that carries a packet; it is yet to be encrypted.
    pub(crate) fn seal(
        &mut self,
        session: &mut Session,
        engine: &mut AnyEngine,
        packet: &[u8],
        cipher: Cipher,
    ) -> Result<()> {
        const GRE: usize = ETHERNET_BYTES + ipv4::HEADER_LEN;
        let start = self.bytes.len();
        self.bytes
            .resize(start + GRE + MAX_OVERHEAD + packet.len(), 0);
        let frame = &mut self.bytes[start..];
        let sealed = session
            .seal(engine, packet, &mut frame[GRE..])
            .map_err(|reason| anyhow::anyhow!("not sealed: {}", reason.name()))?;
        let tunnel = session.tunnel();
        outer_headers(
            tunnel.ours,
            tunnel.peer,
            sealed.len,
            frame
                .first_chunk_mut()
                .context("a frame without room for headers")?,
        );
        self.bytes.truncate(start + GRE + sealed.len);
        self.ends.push(self.bytes.len());
        if let (Some((key, range)), Cipher::Mppe) = (sealed.encrypt, cipher) {
            let at = start + GRE;
            self.jobs.push((key, at + range.start, at + range.end));
        }
        Ok(())
    }

    /// Encrypts what is sealed.
    pub(crate) fn encrypt(&mut self, engine: &mut AnyEngine) {
        let mut rest = &mut self.bytes[..];
        let mut taken = 0;
        let mut jobs = Vec::with_capacity(self.jobs.len());
        for (key, start, end) in self.jobs.drain(..) {
            let (before, after) = rest.split_at_mut(end - taken);
            let data = &mut before[start - taken..];
            jobs.push(Job { key, data });
            (rest, taken) = (after, end);
        }
        for burst in jobs.chunks_mut(64) {
            engine.crypt(burst);
        }
    }
}

/// Ethernet and IP header of a frame whose GRE packet has so many bytes.
pub(crate) fn outer_headers(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    gre_len: usize,
    to: &mut [u8; ETHERNET_BYTES + ipv4::HEADER_LEN],
) {
    let (ethernet, ip) = to.split_at_mut(ETHERNET_BYTES);
    ethernet.copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
    ipv4::Repr {
        source,
        destination,
        protocol: ipv4::PROTOCOL_GRE,
        payload_len: u16::try_from(gre_len).unwrap_or(u16::MAX),
        tos: 0,
        identification: 0,
        dont_fragment: false,
        ttl: 64,
    }
    .emit(&mut ipv4::Packet::new_unchecked(ip));
}

/// A UDP datagram of `size` bytes, its checksum included.
fn datagram(source: Ipv4Addr, destination: Ipv4Addr, identification: u16, size: u16) -> Vec<u8> {
    const UDP: u8 = 17;
    let mut packet = vec![0x5a; usize::from(size)];
    let (ip, udp) = packet.split_at_mut(ipv4::HEADER_LEN);
    let len = u16::try_from(udp.len()).unwrap_or(u16::MAX);
    ipv4::Repr {
        source,
        destination,
        protocol: UDP,
        payload_len: len,
        tos: 0,
        identification,
        dont_fragment: false,
        ttl: 64,
    }
    .emit(&mut ipv4::Packet::new_unchecked(ip));
    udp[..2].copy_from_slice(&PORT.to_be_bytes());
    udp[2..4].copy_from_slice(&PORT.to_be_bytes());
    udp[4..6].copy_from_slice(&len.to_be_bytes());
    udp[6..8].fill(0);
    let sum = Sum::default()
        .plus(&source.octets())
        .plus(&destination.octets())
        .add_u16(UDP.into())
        .add_u16(len)
        .plus(udp);
    udp[6..8].copy_from_slice(&sum.checksum());
    packet
}

/// Headers and eight bytes.
const MIN_INNER: u16 = 36;
/// What fits into an Ethernet frame of 1500 bytes with all that goes around it.
const MAX_INNER: u16 = 1456;

#[cfg(test)]
mod tests {
    use greyhound_datapath::session::{Inner, Opened};

    use super::*;

    const GRE: usize = ETHERNET_BYTES + ipv4::HEADER_LEN;

    fn near_session(number: u32) -> Session {
        Ends::of(number).near_session()
    }

    fn open(session: &mut Session, frame: &[u8]) -> Vec<u8> {
        let mut engine = detect();
        let mut gre = frame[GRE..].to_vec();
        let now = crate::timing::now();
        let Opened::Sealed { ticket, key, data } = session.open(&mut engine, &gre, now).unwrap()
        else {
            panic!("not encrypted");
        };
        engine.crypt(&mut [Job {
            key,
            data: &mut gre[data],
        }]);
        let Inner::Ip(packet) = session.accept(ticket, &mut gre).unwrap() else {
            panic!("not a packet");
        };
        gre[packet].to_vec()
    }

    #[test]
    fn prepared_frames_open_into_the_packets_they_were_made_of() {
        let mut peers = Peers::new(7, 2, 3, Cipher::Mppe).unwrap();
        let mut near = [near_session(7), near_session(8)];
        let mut identifications = [0, 0];
        // Twice as many as there are keys ready at once.
        for _ in 0..40 {
            let frames = peers.frames(12, Size::Imix).unwrap();
            assert_eq!(frames.len(), 12);
            for (index, frame) in frames.iter().enumerate() {
                let session = index / 3 % 2;
                let packet = open(&mut near[session], frame);
                let expected = datagram(
                    inner_address(7 + u32::try_from(session).unwrap()),
                    beyond(0),
                    identifications[session],
                    IMIX[index],
                );
                assert_eq!(packet, expected);
                identifications[session] += 1;
            }
        }
    }

    #[test]
    fn the_packet_of_a_floor_is_where_it_is_looked_for() {
        let mut peers = Peers::new(0, 1, 32, Cipher::Null).unwrap();
        let frames = peers.frames(1, Size::Bytes(100)).unwrap();
        let frame = frames.iter().next().unwrap();
        let expected = datagram(inner_address(0), beyond(0), 0, 100);
        assert_eq!(frame[HEADER_BYTES..], expected);
    }

    #[test]
    fn the_checksum_of_a_datagram_is_right() {
        let packet = datagram(CLIENT, SERVER, 5, 77);
        let mut sum = Sum::default().add_u16(17).add_u16(57);
        sum = sum.plus(&packet[12..20]).plus(&packet[20..]);
        assert!(sum.is_valid());
        assert!(
            ipv4::Packet::new_checked(&packet)
                .unwrap()
                .verify_checksum()
        );
    }

    #[test]
    fn sizes_are_numbers_or_the_mixture() {
        assert_eq!("64".parse::<Size>().unwrap(), Size::Bytes(64));
        assert_eq!("imix".parse::<Size>().unwrap(), Size::Imix);
        for text in ["", "big", "35", "1457", "70000"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert!((Size::Imix.mean() - 346.0).abs() < 0.1);
        let mixture = (0..12).map(|number| Size::Imix.of(number));
        assert_eq!(mixture.filter(|&bytes| bytes == 64).count(), 7);
    }
}

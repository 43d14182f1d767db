//! Packets of one flow that follow each other become one that stands for them, as in the kernel's
//! GRO.

use super::header::{Headers, Network, Transport, put_u16, read_u16, read_u32, tcp, udp, v4};
use super::vnet::{self, Gso};

/// The largest IP packet.
const MAX_PACKET: usize = 65_535;

/// The kernel takes no more of UDP at once (`UDP_MAX_SEGMENTS` before Linux 6.9).
const MAX_UDP_SEGMENTS: u16 = 64;

/// A packet that could be merged with others of its flow, from a look at its headers alone.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    headers: Headers,
    flow_hash: u64,
    payload_len: usize,
}

impl Candidate {
    /// Looks at the headers of a whole IP packet. `None` for what is never merged: anything but
    /// TCP or UDP without IP options, fragments, TCP segments without data or with flags other
    /// than ACK and PSH, datagrams without a checksum.
    #[must_use]
    pub fn examine(packet: &[u8]) -> Option<Self> {
        let headers = Headers::parse(packet)?;
        let transport = &packet[headers.transport_at..];
        let mergeable = match headers.transport {
            Transport::Tcp => transport[tcp::FLAGS] & !tcp::PSH == tcp::ACK_FLAG,
            Transport::Udp => {
                read_u16(transport, udp::CHECKSUM) != 0
                    && usize::from(read_u16(transport, udp::LEN)) == transport.len()
            }
        };
        let payload_len = packet.len() - headers.payload_at;
        (mergeable && payload_len > 0).then(|| Self {
            headers,
            flow_hash: flow_hash(&headers, packet),
            payload_len,
        })
    }

    /// Whether it is TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.headers.transport == Transport::Tcp
    }

    /// The same for all packets of a flow, and rarely for two flows.
    #[must_use]
    pub const fn flow_hash(&self) -> u64 {
        self.flow_hash
    }
}

/// Whether a packet was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// Yes.
    Merged,
    /// No: it is of another flow, or does not follow, or its checksum is wrong. The others are as
    /// they were.
    Refused,
}

/// Packets that are becoming one, in a buffer of the caller's: room for [`vnet::HEADER_LEN`] bytes,
/// the first packet, and the payload of those after it.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate {
    headers: Headers,
    /// Bytes of the IP packet so far.
    len: usize,
    /// Payload bytes of the first packet.
    size: usize,
    packets: u16,
    complete: bool,
    /// TCP: a packet had PSH set.
    pushed: bool,
}

impl Aggregate {
    /// Begins with a copy of `packet`, of which `first` was made. `None` if its checksum is wrong,
    /// or the buffer too small.
    #[must_use]
    pub fn start(first: &Candidate, packet: &[u8], buffer: &mut [u8]) -> Option<Self> {
        let headers = first.headers;
        let to = buffer.get_mut(vnet::HEADER_LEN..vnet::HEADER_LEN + packet.len())?;
        let (network, transport) = packet.split_at(headers.transport_at);
        let (network_to, transport_to) = to.split_at_mut(headers.transport_at);
        network_to.copy_from_slice(network);
        let sum = headers
            .pseudo_header(packet, transport.len())
            .add_copied(transport, transport_to);
        let pushed = pushes(&headers, packet);
        sum.is_valid().then_some(Self {
            headers,
            len: packet.len(),
            size: first.payload_len,
            packets: 1,
            complete: pushed,
            pushed,
        })
    }

    /// Adds a packet, of which `next` was made, to those in `buffer`.
    pub fn append(&mut self, next: &Candidate, packet: &[u8], buffer: &mut [u8]) -> Append {
        let Some((merged, room)) = buffer
            .get_mut(vnet::HEADER_LEN..)
            .and_then(|buffer| buffer.split_at_mut_checked(self.len))
        else {
            return Append::Refused;
        };
        if !self.takes(next, packet, merged) {
            return Append::Refused;
        }
        let Some(room) = room.get_mut(..next.payload_len) else {
            return Append::Refused;
        };
        let Headers {
            transport_at,
            payload_at,
            ..
        } = self.headers;
        let sum = self
            .headers
            .pseudo_header(packet, packet.len() - transport_at)
            .plus(&packet[transport_at..payload_at])
            .add_copied(&packet[payload_at..], room);
        if !sum.is_valid() {
            return Append::Refused;
        }
        self.len += next.payload_len;
        self.packets += 1;
        self.pushed = pushes(&self.headers, packet);
        self.complete = self.pushed || next.payload_len < self.size;
        Append::Merged
    }

    /// Whether no other packet can follow.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// How many packets it stands for.
    #[must_use]
    pub const fn packets(&self) -> u16 {
        self.packets
    }

    /// Makes one packet of them and puts the header before it. Returns the length of both. A packet
    /// that stayed alone is what it was, to the byte.
    ///
    /// # Panics
    /// `buffer` is not the one that they are in.
    pub fn finish(&self, buffer: &mut [u8]) -> usize {
        let (vnet, packet) = buffer.split_at_mut(vnet::HEADER_LEN);
        vnet.copy_from_slice(&self.header().emit());
        if self.packets > 1 {
            self.finish_headers(&mut packet[..self.len]);
        }
        vnet::HEADER_LEN + self.len
    }

    fn finish_headers(&self, packet: &mut [u8]) {
        let headers = &self.headers;
        headers.set_network_len(packet, self.len, 0);
        let transport_len = self.len - headers.transport_at;
        let pseudo_header = headers.pseudo_header(packet, transport_len).fold();
        let transport = &mut packet[headers.transport_at..];
        match headers.transport {
            Transport::Tcp if self.pushed => transport[tcp::FLAGS] |= tcp::PSH,
            Transport::Tcp => {}
            Transport::Udp => {
                put_u16(transport, udp::LEN, super::header::narrow(transport_len));
            }
        }
        let at = headers.transport.checksum_at();
        transport[at..at + 2].copy_from_slice(&pseudo_header);
    }

    fn header(&self) -> vnet::Header {
        if self.packets == 1 {
            return vnet::Header::default();
        }
        let headers = &self.headers;
        let narrow = super::header::narrow;
        vnet::Header {
            needs_csum: true,
            gso: match (headers.transport, headers.network) {
                (Transport::Udp, _) => Gso::Udp,
                (Transport::Tcp, Network::V4) => Gso::Tcp4,
                (Transport::Tcp, Network::V6) => Gso::Tcp6,
            },
            hdr_len: narrow(headers.payload_at),
            gso_size: narrow(self.size),
            csum_start: narrow(headers.transport_at),
            csum_offset: narrow(headers.transport.checksum_at()),
        }
    }

    /// Whether a packet is the next one of the flow, so that splitting would give it again.
    fn takes(&self, next: &Candidate, packet: &[u8], merged: &[u8]) -> bool {
        let headers = &self.headers;
        if next.headers != *headers
            || self.complete
            || next.payload_len > self.size
            || self.len + next.payload_len > MAX_PACKET
        {
            return false;
        }
        let (ours, theirs) = (
            &merged[headers.transport_at..headers.payload_at],
            &packet[headers.transport_at..headers.payload_at],
        );
        let transport = match headers.transport {
            Transport::Udp => ours[..4] == theirs[..4] && self.packets < MAX_UDP_SEGMENTS,
            Transport::Tcp => {
                let sent = self.len - headers.payload_at;
                let expected =
                    read_u32(ours, tcp::SEQ).wrapping_add(super::header::narrow(sent).into());
                ours[..tcp::SEQ] == theirs[..tcp::SEQ]
                    && read_u32(theirs, tcp::SEQ) == expected
                    && ours[tcp::ACK..tcp::FLAGS] == theirs[tcp::ACK..tcp::FLAGS]
                    && ours[tcp::WINDOW..tcp::CHECKSUM] == theirs[tcp::WINDOW..tcp::CHECKSUM]
                    && ours[tcp::CHECKSUM + 2..] == theirs[tcp::CHECKSUM + 2..]
            }
        };
        transport && self.same_network(packet, merged)
    }

    fn same_network(&self, packet: &[u8], merged: &[u8]) -> bool {
        match self.headers.network {
            Network::V4 => {
                let expected = read_u16(merged, v4::IDENTIFICATION).wrapping_add(self.packets);
                merged[..v4::TOTAL_LEN] == packet[..v4::TOTAL_LEN]
                    && merged[v4::FLAGS..v4::CHECKSUM] == packet[v4::FLAGS..v4::CHECKSUM]
                    && merged[v4::ADDRESSES..self.headers.transport_at]
                        == packet[v4::ADDRESSES..self.headers.transport_at]
                    && (packet[v4::FLAGS] & v4::DONT_FRAGMENT != 0
                        || read_u16(packet, v4::IDENTIFICATION) == expected)
            }
            Network::V6 => {
                use super::header::v6;
                merged[..v6::PAYLOAD_LEN] == packet[..v6::PAYLOAD_LEN]
                    && merged[v6::NEXT_HEADER..self.headers.transport_at]
                        == packet[v6::NEXT_HEADER..self.headers.transport_at]
            }
        }
    }
}

/// Whether the sender wants a packet, and with it all before, delivered at once.
fn pushes(headers: &Headers, packet: &[u8]) -> bool {
    headers.transport == Transport::Tcp && packet[headers.transport_at + tcp::FLAGS] & tcp::PSH != 0
}

/// Addresses, ports and protocol in one number.
fn flow_hash(headers: &Headers, packet: &[u8]) -> u64 {
    let addresses = match headers.network {
        Network::V4 => v4::ADDRESSES,
        Network::V6 => super::header::v6::ADDRESSES,
    };
    // The ports follow the addresses, for there are no options.
    let (words, _) = packet[addresses..headers.transport_at + 4].as_chunks::<4>();
    let seed = headers.transport.checksum_at() as u64;
    words.iter().fold(seed, |hash, &word| {
        (hash.rotate_left(5) ^ u64::from(u32::from_ne_bytes(word))).wrapping_mul(MULTIPLIER)
    })
}

/// Odd, and of as many ones as zeros: the golden ratio's.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

//! Captured sessions of other people's PPTP, replayed through the codecs and through [`Session`].
//!
//! The captures lie in tests/pcaps; INDEX.md there says what is in each. Both ends are played: every
//! frame goes to the session that received it then. What the control process would have done is
//! done here, from the control frames that the sessions hand out: keys are derived from the CHAP
//! exchange, and encryption is switched on where CCP's Configure-Ack arrives.
#![cfg(test)]

use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::{LinkOptions, Tunnel};
use greyhound_datapath::mppe::{Engine, Job, Parameters, Portable, StartKey, Strength};
use greyhound_datapath::session::{Inner, InnerAddress, Opened, Session};
use greyhound_datapath::stats::DropReason;
use greyhound_datapath::wire::{gre, ipv4, mppe, ppp};
use md4::{Digest, Md4};
use pcap::{CAPTURES, CLIENT, CLIENT_INNER, PASSWORD, Packet, SERVER, SERVER_INNER};
use sha1::Sha1;

#[path = "../../tests/pcaps/pcap.rs"]
mod pcap;

/// What one end received in one capture.
#[derive(Debug, Default)]
struct Received {
    ipv4: u32,
    ipv6: u32,
    echo_requests: u32,
    control: u32,
    acks: u32,
}

#[test]
fn every_header_parses_and_is_emitted_the_same() {
    for name in CAPTURES {
        let frames = pcap::packets(name, ipv4::PROTOCOL_GRE);
        assert!(frames.len() > 10, "{name}");
        for (number, frame) in frames.iter().enumerate() {
            let what = format!("{name}, GRE frame {number}");
            let bytes = &frame.payload;
            let packet = gre::Packet::new_checked(bytes).expect(&what);
            let repr = gre::Repr::parse(&packet).expect(&what);
            let mut emitted = vec![0; repr.buffer_len()];
            repr.emit(&mut gre::Packet::new_unchecked(&mut emitted));
            assert!(bytes.starts_with(&emitted), "{what}");
            if repr.seq.is_none() {
                assert_eq!(repr.payload_len, 0, "{what}");
                continue;
            }

            let payload = packet.payload();
            let packet = ppp::Packet::new_checked(payload).expect(&what);
            let repr = ppp::Repr::parse(&packet).expect(&what);
            let mut emitted = vec![0; repr.buffer_len()];
            repr.emit(&mut ppp::Packet::new_unchecked(&mut emitted));
            assert!(payload.starts_with(&emitted), "{what}");
            if repr.protocol != ppp::protocol::COMPRESSED {
                continue;
            }

            let packet = mppe::Packet::new_checked(packet.information()).expect(&what);
            let repr = mppe::Repr::parse(&packet).expect(&what);
            assert!(repr.encrypted, "{what}");
        }
    }
}

#[test]
fn stateless_sessions_decrypt_to_valid_packets() {
    // IPv4 and IPv6 packets that the client and the server received, as counted by a decryptor that
    // shares no code with this one.
    for (name, client, server) in [
        ("mschap1-mppe128-stateless", (204, 1), (307, 1)),
        ("mschap2-mppe128-ipv6", (5, 23), (5, 23)),
        ("mschap2-mppe128-stateless", (223, 2), (323, 2)),
        ("mschap2-mppe40-stateless", (207, 1), (295, 1)),
    ] {
        let replay = Replay::of(name);
        assert!(replay.encrypted, "{name}");
        replay.assert_packets(name, client, server);
    }
}

#[test]
fn sessions_without_encryption_deliver_their_packets() {
    for (name, client, server) in [
        ("chapmd5-nomppe", (186, 1), (281, 1)),
        ("pap-nomppe", (198, 1), (309, 1)),
    ] {
        let replay = Replay::of(name);
        assert!(!replay.encrypted, "{name}");
        replay.assert_packets(name, client, server);
    }
}

#[test]
fn a_session_that_was_refused_carries_control_frames_only() {
    let replay = Replay::of("mschap2-mppe128-badpass");

    let server = &replay.server.received;
    let client = &replay.client.received;
    assert_eq!((server.ipv4, server.ipv6), (0, 0));
    assert_eq!((client.ipv4, client.ipv6), (0, 0));
    // The client gets 5 of LCP, one of them an Echo-Request, and 2 of CHAP; the server 5 and 1.
    assert_eq!((client.echo_requests, client.control), (1, 6));
    assert_eq!((server.echo_requests, server.control), (0, 6));
}

#[test]
fn stateful_sessions_decrypt_to_valid_packets() {
    let replay = Replay::of("mschap2-mppe128-stateful");

    assert!(replay.stateful);
    replay.assert_packets("mschap2-mppe128-stateful", (208, 1), (301, 1));
}

/// One end of a captured call.
struct End {
    session: Session,
    /// The key of what arrives here.
    rx: Option<StartKey>,
    received: Received,
}

impl End {
    fn new(ours: (Ipv4Addr, u16), peer: (Ipv4Addr, u16), inner_peer: Ipv4Addr) -> Self {
        let mut session = Session::new(Tunnel {
            ours: ours.0,
            peer: peer.0,
            call_id: CallId(ours.1),
            peer_call_id: PeerCallId(peer.1),
        });
        session.set_interface(Some(InnerAddress {
            peer: inner_peer,
            check_source: true,
            ipv6: false,
            mtu: 1400,
        }));
        session.set_link(LinkOptions {
            opened: true,
            ..LinkOptions::default()
        });
        Self {
            session,
            rx: None,
            received: Received::default(),
        }
    }

    /// Receives a frame; returns the control frame that it was.
    fn receive(&mut self, frame: &Packet, origin: Instant) -> Option<(u16, Vec<u8>)> {
        let mut bytes = frame.payload.clone();
        let now = origin + frame.at;
        let opened = match self.session.open(&mut Portable, &bytes, now) {
            Ok(opened) => opened,
            Err(reason) => {
                assert_eq!(reason, DropReason::MppeNotUp, "{bytes:02X?}");
                return None;
            }
        };
        let ticket = match opened {
            Opened::Ack => {
                self.received.acks += 1;
                return None;
            }
            Opened::Plain(ticket) => ticket,
            Opened::Sealed { ticket, key, data } => {
                let data = &mut bytes[data];
                Portable.crypt(&mut [Job { key, data }]);
                ticket
            }
        };
        match self.session.accept(ticket, &mut bytes) {
            Ok(Inner::Ip(at)) => {
                assert_eq!(bytes[at][0] >> 4, 4);
                self.received.ipv4 += 1;
                None
            }
            // Judged valid, and dropped because nothing said that IPV6CP is up.
            Err(DropReason::ProtocolNotUp) => {
                self.received.ipv6 += 1;
                None
            }
            Ok(Inner::EchoRequest(_)) => {
                self.received.echo_requests += 1;
                None
            }
            Ok(Inner::Control {
                protocol,
                information,
            }) => {
                self.received.control += 1;
                Some((protocol, bytes[information].to_vec()))
            }
            Ok(Inner::Fragment | Inner::Reassembled(_)) => panic!("Multilink was not agreed on"),
            Ok(Inner::Held) => panic!("nothing is limited"),
            Err(reason) => panic!("{}: {bytes:02X?}", reason.name()),
        }
    }
}

/// A capture, replayed to its end.
struct Replay {
    client: End,
    server: End,
    challenge: Vec<u8>,
    /// Encryption was switched on.
    encrypted: bool,
    /// It is in stateful mode.
    stateful: bool,
}

impl Replay {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the origin"
    )]
    fn of(name: &str) -> Self {
        let frames = pcap::packets(name, ipv4::PROTOCOL_GRE);
        let call_id = |of: Ipv4Addr| {
            let frame = frames.iter().find(|frame| frame.destination == of);
            let frame = frame.expect("each end receives a frame");
            gre::Packet::new_checked(&frame.payload).unwrap().call_id()
        };
        let client = (CLIENT, call_id(CLIENT));
        let server = (SERVER, call_id(SERVER));
        let mut replay = Self {
            client: End::new(client, server, SERVER_INNER),
            server: End::new(server, client, CLIENT_INNER),
            challenge: Vec::new(),
            encrypted: false,
            stateful: false,
        };
        let origin = Instant::now();
        for frame in &frames {
            let to_client = frame.destination == CLIENT;
            let end = if to_client {
                &mut replay.client
            } else {
                &mut replay.server
            };
            if let Some((protocol, packet)) = end.receive(frame, origin) {
                replay.handle_control(to_client, protocol, &packet);
            }
        }
        replay
    }

    /// Does what the control process at the receiving end does.
    fn handle_control(&mut self, to_client: bool, protocol: u16, packet: &[u8]) {
        const CHAP: u16 = 0xC223;
        const CCP: u16 = 0x80FD;
        const CHALLENGE: u8 = 1;
        const RESPONSE: u8 = 2;
        const CONFIGURE_ACK: u8 = 2;

        match (protocol, packet) {
            (CHAP, [CHALLENGE, _, _, _, size, value @ ..]) => {
                self.challenge = value[..usize::from(*size)].to_vec();
            }
            (CHAP, [RESPONSE, _, _, _, 49, value @ ..]) => self.derive(&value[24..48]),
            // One option, MPPE (RFC 3078 §2.1).
            (CCP, [CONFIGURE_ACK, _, _, 10, 18, 6, bits @ ..]) => {
                let end = if to_client {
                    &mut self.client
                } else {
                    &mut self.server
                };
                let parameters = Parameters {
                    start_key: end.rx.clone().expect("keys come before CCP"),
                    strength: match bits[3] {
                        0x40 => Strength::Bits128,
                        0x20 => Strength::Bits40,
                        other => panic!("strength {other:02X}"),
                    },
                    stateless: bits[0] == 1,
                };
                end.session.set_mppe(Some(&parameters), None);
                self.encrypted = true;
                self.stateful |= !parameters.stateless;
            }
            _ => {}
        }
    }

    /// RFC 3079 §2.4 (MS-CHAPv1, whose challenge has 8 bytes) and §3.4 (MS-CHAPv2).
    fn derive(&mut self, nt_response: &[u8]) {
        const MASTER: &[u8] = b"This is the MPPE Master Key";
        const CLIENT_SENDS: &[u8] = b"On the client side, this is the send key; \
            on the server side, it is the receive key.";
        const SERVER_SENDS: &[u8] = b"On the client side, this is the receive key; \
            on the server side, it is the send key.";

        let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let hash_hash = Md4::digest(Md4::digest(password));
        if self.challenge.len() == 8 {
            let start_key = start_key(&[&hash_hash, &hash_hash, &self.challenge]);
            self.server.rx = Some(start_key.clone());
            self.client.rx = Some(start_key);
        } else {
            let master = start_key(&[&hash_hash, nt_response, MASTER]).0;
            let of = |magic| start_key(&[&master, &[0; 40], magic, &[0xF2; 40]]);
            self.server.rx = Some(of(CLIENT_SENDS));
            self.client.rx = Some(of(SERVER_SENDS));
        }
    }

    #[track_caller]
    fn assert_packets(&self, name: &str, client: (u32, u32), server: (u32, u32)) {
        for (end, at, expected) in [
            (&self.client, "client", client),
            (&self.server, "server", server),
        ] {
            let received = &end.received;
            let counters = end.session.counters();
            assert_eq!((received.ipv4, received.ipv6), expected, "{name}, {at}");
            assert_eq!(counters.rx_packets, u64::from(received.ipv4));
            // What was dropped is the IPv6 packets, and nothing went missing on the way.
            assert_eq!(counters.dropped, u64::from(received.ipv6), "{name}, {at}");
            assert_eq!(counters.rx_lost, 0, "{name}, {at}");
            assert!(received.control > 0 && received.acks > 0, "{name}, {at}");
        }
        // pptpd's pppd asks for an echo while it authenticates the client.
        assert_eq!(self.client.received.echo_requests, 1, "{name}");
    }
}

/// The first 16 bytes of a SHA-1 digest, which is how every MPPE key is cut.
fn start_key(parts: &[&[u8]]) -> StartKey {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    StartKey(key)
}

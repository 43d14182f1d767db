use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ids::{CallId, PeerCallId};
use crate::mppe::{Job, Portable, StartKey, Strength};
use crate::stats::DropReason::*;
use crate::wire::ppp::protocol;
use crate::wire::{Coherency, ipv4};

mod early;
mod limits;

const SERVER_INNER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT_INNER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const MTU: u16 = 1400;
const CLIENT_CALL_ID: u16 = 15910;

/// Two sessions back to back, and the time.
struct Pair {
    server: Session,
    client: Session,
    now: Instant,
}

impl Pair {
    /// Both ends up, without encryption.
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the origin"
    )]
    fn plain() -> Self {
        // pptpd's first call has id 0.
        let (server_id, client_id) = (0, CLIENT_CALL_ID);
        let (server, client) = (Ipv4Addr::new(10, 77, 0, 3), Ipv4Addr::new(10, 77, 0, 1));
        let mut pair = Self {
            server: Session::new(Tunnel {
                ours: server,
                peer: client,
                call_id: CallId(server_id),
                peer_call_id: PeerCallId(client_id),
            }),
            client: Session::new(Tunnel {
                ours: client,
                peer: server,
                call_id: CallId(client_id),
                peer_call_id: PeerCallId(server_id),
            }),
            now: Instant::now(),
        };
        pair.server.set_interface(Some(InnerAddress {
            peer: CLIENT_INNER,
            check_source: true,
            ipv6: false,
            mtu: MTU,
        }));
        pair.client.set_interface(Some(InnerAddress {
            peer: SERVER_INNER,
            check_source: false,
            ipv6: false,
            mtu: MTU,
        }));
        for (session, magic) in [(&mut pair.server, 0x5E), (&mut pair.client, 0xC1)] {
            session.set_link(LinkOptions {
                acfc: true,
                pfc: true,
                magic,
                opened: true,
                ..LinkOptions::default()
            });
        }
        pair
    }

    /// Both ends up, MPPE both ways.
    fn encrypted() -> Self {
        let mut pair = Self::plain();
        let (up, down) = (parameters(1), parameters(2));
        pair.server.set_mppe(Some(&up), Some(&down));
        pair.client.set_mppe(Some(&down), Some(&up));
        pair
    }

    /// Both ends up, MPPE both ways, stateful.
    fn stateful() -> Self {
        let mut pair = Self::plain();
        let (up, down) = (stateful(1), stateful(2));
        pair.server.set_mppe(Some(&up), Some(&down));
        pair.client.set_mppe(Some(&down), Some(&up));
        pair
    }

    /// The frame in which the client sends its packet number `n`.
    fn client_sends(&mut self, n: u16) -> Vec<u8> {
        send(&mut self.client, &ipv4_packet(CLIENT_INNER, n))
    }

    /// What the server makes of a frame: the number of the packet it delivers.
    fn server_gets(&mut self, frame: &[u8]) -> Result<u16, DropReason> {
        match receive(&mut self.server, frame, self.now)? {
            (Inner::Ip(at), bytes) => Ok(number_of(&bytes[at])),
            (other, _) => panic!("not a packet: {other:?}"),
        }
    }

    /// The client's frames `numbers` are lost on the way.
    fn lose(&mut self, numbers: Range<u16>) {
        for n in numbers {
            self.client_sends(n);
        }
    }
}

fn parameters(byte: u8) -> Parameters {
    Parameters {
        start_key: StartKey([byte; 16]),
        strength: Strength::Bits128,
        stateless: true,
    }
}

fn stateful(byte: u8) -> Parameters {
    Parameters {
        stateless: false,
        ..parameters(byte)
    }
}

/// An IPv4 packet with a number that tells it from others.
fn ipv4_packet(source: Ipv4Addr, number: u16) -> Vec<u8> {
    let repr = ipv4::Repr {
        source,
        destination: Ipv4Addr::new(192, 0, 2, 1),
        protocol: 17,
        payload_len: 10 + number % 50,
        tos: 0,
        identification: number,
        dont_fragment: false,
        ttl: 64,
    };
    let mut bytes = vec![0x5A; repr.buffer_len() + usize::from(repr.payload_len)];
    repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
    bytes
}

fn ipv6_packet() -> Vec<u8> {
    let mut bytes = vec![0; 44];
    bytes[0] = 0x60;
    bytes[5] = 4;
    bytes
}

fn number_of(packet: &[u8]) -> u16 {
    ipv4::Packet::new_checked(packet).unwrap().identification()
}

/// Seals and encrypts.
#[track_caller]
fn send(session: &mut Session, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![0xA5; packet.len() + MAX_OVERHEAD];
    let sealed = session.seal(&mut Portable, packet, &mut out).unwrap();
    out.truncate(sealed.len);
    if let Some((key, at)) = sealed.encrypt {
        Portable.crypt(&mut [Job {
            key,
            data: &mut out[at],
        }]);
    }
    out
}

/// Opens, decrypts and accepts one frame.
fn receive(
    session: &mut Session,
    frame: &[u8],
    now: Instant,
) -> Result<(Inner, Vec<u8>), DropReason> {
    let mut outcome = receive_burst(session, &[frame.to_vec()], now);
    outcome.pop().expect("one frame, one outcome")
}

/// Opens, decrypts and accepts frames as a worker does: phase by phase.
fn receive_burst(
    session: &mut Session,
    frames: &[Vec<u8>],
    now: Instant,
) -> Vec<Result<(Inner, Vec<u8>), DropReason>> {
    let mut bytes = frames.to_vec();
    let mut jobs = Vec::new();
    let mut tickets = Vec::new();
    for frame in &mut bytes {
        tickets.push(match session.open(&mut Portable, frame, now) {
            Ok(Opened::Plain(ticket)) => Ok(ticket),
            Ok(Opened::Sealed { ticket, key, data }) => {
                let data = &mut frame[data];
                jobs.push(Job { key, data });
                Ok(ticket)
            }
            Ok(Opened::Ack) => panic!("an acknowledgement is not expected here"),
            Err(reason) => Err(reason),
        });
    }
    Portable.crypt(&mut jobs);
    drop(jobs);
    tickets
        .into_iter()
        .zip(bytes)
        .map(|(ticket, mut frame)| Ok((session.accept(ticket?, &mut frame)?, frame)))
        .collect()
}

/// A frame as a peer that we do not control might write it.
fn raw_frame(call_id: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let repr = gre::Repr {
        call_id,
        payload_len: u16::try_from(payload.len()).unwrap(),
        seq: Some(SeqNum(seq)),
        ack: None,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut gre::Packet::new_unchecked(&mut bytes));
    bytes.extend_from_slice(payload);
    bytes
}

fn control_frame(session: &mut Session, number: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; payload.len() + MAX_OVERHEAD];
    let len = session.control(number, payload, &mut out).unwrap();
    out.truncate(len);
    out
}

// What goes onto the wire.

#[test]
fn the_first_encrypted_frame_has_the_peers_call_id_sequence_0_and_count_0() {
    let mut pair = Pair::encrypted();

    let frame = send(&mut pair.server, &ipv4_packet(SERVER_INNER, 0));

    // Flags K and S, version 1, 0x880B, 33 bytes for call 15910, number 0; FD; A and D, count 0.
    let expected = [
        0x30, 0x01, 0x88, 0x0B, 0, 34, 0x3E, 0x26, 0, 0, 0, 0, 0xFD, 0x90, 0x00,
    ];
    assert_eq!(frame[..15], expected);
    assert_eq!(frame.len(), 12 + 34);
}

/// With PFC inside of the encryption too, 20 bytes of outer IP header, and an acknowledgement, a
/// packet of 1460 bytes fits into 1500.
#[test]
fn with_both_compressions_an_encrypted_packet_costs_40_bytes_at_most() {
    let mut pair = Pair::encrypted();
    // What is to be acknowledged: any frame of the server's.
    let mut frame = vec![0; 100];
    let len = pair
        .server
        .control(protocol::LCP, &[9, 1, 0, 8, 0, 0, 0, 0], &mut frame)
        .unwrap();
    let Ok(Opened::Plain(ticket)) = pair.client.open(&mut Portable, &frame[..len], pair.now) else {
        panic!("not a plain frame");
    };
    pair.client.accept(ticket, &mut frame[..len]).unwrap();
    let mtu = 1460;
    pair.client.set_interface(Some(InnerAddress {
        peer: SERVER_INNER,
        check_source: false,
        ipv6: false,
        mtu,
    }));
    let packet = vec![0x45; usize::from(mtu)];
    let mut out = vec![0; 2000];

    let sealed = pair.client.seal(&mut Portable, &packet, &mut out).unwrap();

    assert!(gre::Packet::new_checked(&out[..]).unwrap().ack().is_some());
    assert_eq!(20 + sealed.len, 1500);
}

#[test]
fn frames_are_compressed_as_agreed() {
    for (acfc, pfc, expected) in [
        (false, false, &[0xFF, 0x03, 0x00, 0xFD][..]),
        (true, false, &[0x00, 0xFD]),
        (false, true, &[0xFF, 0x03, 0xFD]),
        (true, true, &[0xFD]),
    ] {
        let mut pair = Pair::encrypted();
        pair.client.set_link(LinkOptions {
            acfc,
            pfc,
            ..LinkOptions::default()
        });

        let frame = pair.client_sends(7);

        assert!(frame[12..].starts_with(expected), "{acfc} {pfc}");
        assert_eq!(pair.server_gets(&frame), Ok(7));
    }
}

#[test]
fn lcp_is_never_compressed_and_other_control_is_as_agreed() {
    let mut pair = Pair::encrypted();

    let lcp = control_frame(&mut pair.client, protocol::LCP, &[1, 2, 0, 4]);
    let ccp = control_frame(&mut pair.client, 0x80FD, &[1, 2, 0, 4]);

    assert_eq!(lcp[12..], [0xFF, 0x03, 0xC0, 0x21, 1, 2, 0, 4]);
    assert_eq!(ccp[12..], [0x80, 0xFD, 1, 2, 0, 4]);
}

#[test]
fn an_acknowledgement_rides_on_the_next_frame() {
    let mut pair = Pair::encrypted();
    for n in 0..3 {
        let frame = pair.client_sends(n);
        pair.server_gets(&frame).unwrap();
    }
    assert_eq!(pair.server.ack_owed(), 3);

    let frame = send(&mut pair.server, &ipv4_packet(SERVER_INNER, 0));

    let packet = gre::Packet::new_checked(&frame).unwrap();
    assert_eq!(packet.ack(), Some(SeqNum(2)));
    assert_eq!(pair.server.ack_owed(), 0);
    assert_eq!(pair.client.unacknowledged(), 3);
    receive(&mut pair.client, &frame, pair.now).unwrap();
    assert_eq!(pair.client.unacknowledged(), 0);
}

#[test]
fn a_lone_acknowledgement_is_sent_once() {
    let mut pair = Pair::plain();
    let mut out = [0; 64];
    assert_eq!(pair.server.lone_ack(&mut out), None);
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();

    assert_eq!(pair.server.lone_ack(&mut out), Some(12));
    assert_eq!(pair.server.lone_ack(&mut out), None);

    let opened = pair.client.open(&mut Portable, &out[..12], pair.now);
    assert!(matches!(opened, Ok(Opened::Ack)));
    assert_eq!(pair.client.unacknowledged(), 0);
    assert_eq!(pair.client.counters().rx_frames, 1);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_or_of_less_than_before_is_ignored() {
    let mut pair = Pair::plain();
    pair.lose(0..5);
    for (ack, left) in [(3, 1), (1, 1), (5, 1), (u32::MAX, 1), (4, 0)] {
        let repr = gre::Repr {
            call_id: CLIENT_CALL_ID,
            payload_len: 0,
            seq: None,
            ack: Some(SeqNum(ack)),
        };
        let mut frame = [0; 12];
        repr.emit(&mut gre::Packet::new_unchecked(&mut frame));

        pair.client.open(&mut Portable, &frame, pair.now).unwrap();

        assert_eq!(pair.client.unacknowledged(), left, "{ack}");
    }
}

#[test]
fn what_cannot_be_sealed_has_its_reason_and_takes_no_number() {
    let mut pair = Pair::encrypted();
    let mut out = vec![0; 2000];
    let mut big = ipv4_packet(CLIENT_INNER, 0);
    big.resize(usize::from(MTU) + 1, 0);
    for (packet, room, reason) in [
        (big, 2000, TooBig),
        (ipv4_packet(CLIENT_INNER, 0), 40, TooBig),
        (ipv6_packet(), 2000, ProtocolNotUp),
        (vec![0x15; 40], 2000, BadInnerIp),
        (vec![], 2000, BadInnerIp),
    ] {
        let outcome = pair.client.seal(&mut Portable, &packet, &mut out[..room]);
        assert_eq!(outcome.err(), Some(reason));
    }
    pair.client.set_interface(None);
    let outcome = pair
        .client
        .seal(&mut Portable, &ipv4_packet(CLIENT_INNER, 0), &mut out);
    assert_eq!(outcome.err(), Some(NoInterface));
    assert_eq!(pair.client.counters().dropped, 6);

    let frame = {
        pair.client.set_interface(Some(InnerAddress {
            peer: SERVER_INNER,
            check_source: false,
            ipv6: false,
            mtu: MTU,
        }));
        pair.client_sends(1)
    };

    assert_eq!(frame[8..15], [0, 0, 0, 0, 0xFD, 0x90, 0x00]);
}

// What arrives.

#[test]
fn packets_travel_both_ways_with_and_without_encryption() {
    for mut pair in [Pair::plain(), Pair::encrypted()] {
        for n in 0..300 {
            let frame = pair.client_sends(n);
            assert_eq!(pair.server_gets(&frame), Ok(n));

            let packet = ipv4_packet(SERVER_INNER, n);
            let frame = send(&mut pair.server, &packet);
            let (inner, bytes) = receive(&mut pair.client, &frame, pair.now).unwrap();
            let Inner::Ip(at) = inner else {
                panic!("not a packet: {inner:?}")
            };
            assert_eq!(bytes[at], packet);
        }
        let counters = pair.server.counters();
        assert_eq!(counters.rx_frames, 300);
        assert_eq!(counters.rx_packets, 300);
        assert_eq!(counters.tx_packets, 300);
        assert_eq!(counters.tx_bytes, pair.client.counters().rx_bytes);
        assert_eq!((counters.rx_lost, counters.dropped), (0, 0));
    }
}

#[test]
fn padding_outside_and_inside_is_cut_off() {
    let mut pair = Pair::plain();
    let packet = ipv4_packet(CLIENT_INNER, 1);
    let mut payload = vec![0x21];
    payload.extend_from_slice(&packet);
    payload.extend_from_slice(&[0; 9]);
    let mut frame = raw_frame(0, 0, &payload);
    frame.extend_from_slice(&[0xEE; 20]);

    let (inner, bytes) = receive(&mut pair.server, &frame, pair.now).unwrap();

    assert_eq!(inner, Inner::Ip(13..13 + packet.len()));
    assert_eq!(bytes[13..13 + packet.len()], packet);
}

#[test]
fn a_late_frame_is_delivered_and_a_second_copy_is_not() {
    for mut pair in [Pair::plain(), Pair::encrypted()] {
        let frames: Vec<_> = (0..4).map(|n| pair.client_sends(n)).collect();

        assert_eq!(pair.server_gets(&frames[0]), Ok(0));
        assert_eq!(pair.server_gets(&frames[3]), Ok(3));
        assert_eq!(pair.server.counters().rx_lost, 2);
        assert_eq!(pair.server_gets(&frames[1]), Ok(1));
        for copy in [0, 1, 3] {
            assert_eq!(pair.server_gets(&frames[copy]), Err(DuplicateSeq));
        }

        let counters = pair.server.counters();
        assert_eq!((counters.rx_late, counters.rx_lost), (1, 1));
        assert_eq!((counters.rx_packets, counters.dropped), (3, 3));
    }
}

#[test]
fn two_copies_in_one_burst_are_delivered_once() {
    for mut pair in [Pair::plain(), Pair::encrypted()] {
        let frame = pair.client_sends(0);

        let outcomes = receive_burst(&mut pair.server, &[frame.clone(), frame], pair.now);

        assert!(outcomes[0].is_ok());
        assert_eq!(outcomes[1], Err(DuplicateSeq));
    }
}

#[test]
fn each_frame_that_cannot_be_carried_has_its_reason() {
    let lcp_echo = [0xFF, 0x03, 0xC0, 0x21, 9, 1, 0, 8, 0, 0, 0, 1];
    let mut plain_ip = vec![0x21];
    plain_ip.extend_from_slice(&ipv4_packet(CLIENT_INNER, 0));
    let mut spoofed = vec![0x21];
    spoofed.extend_from_slice(&ipv4_packet(Ipv4Addr::new(10, 0, 0, 6), 0));
    let mut ipv6 = vec![0x57];
    ipv6.extend_from_slice(&ipv6_packet());
    let mut damaged = plain_ip.clone();
    damaged[9] ^= 1;
    let mut no_seq = raw_frame(0, 0, &plain_ip);
    no_seq[0] = 0x20;
    let mut neither = raw_frame(0, 0, &[]);
    neither[0] = 0x20;
    let mut version_0 = raw_frame(0, 0, &plain_ip);
    version_0[1] = 0;
    let whole = raw_frame(0, 0, &plain_ip);
    let cut_off = whole[..whole.len() - 1].to_vec();

    type Case = (fn() -> Pair, Vec<u8>, DropReason, &'static str);
    let cases: Vec<Case> = vec![
        (Pair::plain, cut_off, TruncatedGre, "payload cut off"),
        (Pair::plain, whole[..3].to_vec(), TruncatedGre, "3 bytes"),
        (
            Pair::plain,
            whole[..11].to_vec(),
            TruncatedGre,
            "number cut off",
        ),
        (Pair::plain, vec![], TruncatedGre, "nothing"),
        (Pair::plain, version_0, BadGre, "version 0"),
        (Pair::plain, neither, BadGre, "neither number"),
        (Pair::plain, no_seq, MissingSeq, "data without number"),
        (
            Pair::plain,
            raw_frame(1, 0, &plain_ip),
            UnknownCall,
            "another call",
        ),
        (Pair::plain, raw_frame(0, 0, &[]), TruncatedPpp, "no PPP"),
        (
            Pair::plain,
            raw_frame(0, 0, &[0xFF, 0x03, 0xC0]),
            TruncatedPpp,
            "protocol cut off",
        ),
        (
            Pair::plain,
            raw_frame(0, 0, &[0xFD, 0x90, 0, 1]),
            MppeNotUp,
            "MPPE before CCP",
        ),
        (
            Pair::plain,
            raw_frame(0, 0, &ipv6),
            ProtocolNotUp,
            "IPv6 before IPV6CP",
        ),
        (
            Pair::plain,
            raw_frame(0, 0, &damaged),
            BadInnerIp,
            "IPv4 checksum",
        ),
        (
            Pair::plain,
            raw_frame(0, 0, &plain_ip[..30]),
            BadInnerIp,
            "packet cut off",
        ),
        (
            Pair::plain,
            raw_frame(0, 0, &spoofed),
            SpoofedSource,
            "another source",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &plain_ip),
            NotEncrypted,
            "clear IPv4",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &ipv6),
            NotEncrypted,
            "clear IPv6",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &[0xFD, 0x90]),
            TruncatedPpp,
            "MPPE header cut off",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &[0xFD, 0x80, 0, 1, 2]),
            BadMppeHeader,
            "no D bit",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &[0xFD, 0x10, 0, 1, 2]),
            BadMppeHeader,
            "no A bit",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &[0xFD, 0x90, 0]),
            Undecryptable,
            "nothing encrypted",
        ),
        (
            Pair::encrypted,
            raw_frame(0, 0, &[0xFD, 0x90, 0, 1, 2, 3, 4, 5]),
            Undecryptable,
            "noise",
        ),
    ];
    for (pair, frame, reason, what) in cases {
        let mut pair = pair();
        assert_eq!(pair.server_gets(&frame), Err(reason), "{what}");
        assert_eq!(pair.server.counters().dropped, 1, "{what}");
    }

    // Those that need a session which has run.
    let mut pair = Pair::encrypted();
    for n in 0..100 {
        let frame = control_frame(&mut pair.client, 0x8021, &[1]);
        assert!(receive(&mut pair.server, &frame, pair.now).is_ok(), "{n}");
    }
    for (seq, reason) in [
        (99, DuplicateSeq),
        (35, StaleSeq),
        (99 + MAX_UNENCRYPTED_JUMP + 1, FutureSeq),
    ] {
        let frame = raw_frame(0, seq, &lcp_echo);
        let outcome = receive(&mut pair.server, &frame, pair.now);
        assert_eq!(outcome.err(), Some(reason), "{seq}");
    }
    let frame = raw_frame(0, 99 + MAX_UNENCRYPTED_JUMP, &lcp_echo);
    assert!(receive(&mut pair.server, &frame, pair.now).is_ok());
}

#[test]
fn without_an_interface_packets_are_dropped_but_the_session_keeps_its_place() {
    let mut pair = Pair::encrypted();
    let interface = pair.server.interface;
    pair.server.set_interface(None);
    for n in 0..5000 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Err(NoInterface));
    }
    assert_eq!(pair.server.counters().rx_frames, 5000);
    pair.server.set_interface(interface);

    let frame = pair.client_sends(5000);

    assert_eq!(pair.server_gets(&frame), Ok(5000));
}

#[test]
fn a_server_takes_packets_from_the_networks_behind_its_client_while_there_are_any() {
    let mut pair = Pair::plain();
    let behind = Ipv4Addr::new(10, 1, 2, 3);
    let attempt = |pair: &mut Pair, source| {
        let frame = send(&mut pair.client, &ipv4_packet(source, 1));
        pair.server_gets(&frame)
    };
    pair.server
        .set_networks(vec![Prefix::new(behind, 24).unwrap()]);
    assert_eq!(attempt(&mut pair, behind), Ok(1));
    let beside = Ipv4Addr::new(10, 1, 3, 3);
    assert_eq!(attempt(&mut pair, beside), Err(SpoofedSource));

    let interface = pair.server.interface;
    pair.server.set_interface(None);
    pair.server.set_interface(interface);
    assert_eq!(attempt(&mut pair, behind), Err(SpoofedSource));
}

#[test]
fn a_client_takes_packets_from_any_inner_source() {
    let mut pair = Pair::encrypted();
    let far = Ipv4Addr::new(198, 51, 100, 7);

    let frame = send(&mut pair.server, &ipv4_packet(far, 1));

    assert!(receive(&mut pair.client, &frame, pair.now).is_ok());
}

#[test]
fn an_encrypted_ipv6_packet_is_judged_before_it_is_dropped() {
    let mut pair = Pair::encrypted();
    let mut frame = vec![0x90, 0x00, 0x00, 0x57];
    frame.extend_from_slice(&ipv6_packet());
    let mut chain = Chain::for_sending(StartKey([1; 16]), Strength::Bits128);
    Portable.step(&mut [&mut chain]);
    Portable.crypt(&mut [Job {
        key: chain.key(1).unwrap(),
        data: &mut frame[2..],
    }]);
    frame.insert(0, 0xFD);

    let outcome = pair.server_gets(&raw_frame(0, 0, &frame));

    assert_eq!(outcome, Err(ProtocolNotUp));
    assert_eq!(pair.server.counters().rx_frames, 1);
}

#[test]
fn control_frames_go_to_the_control_process() {
    for mut pair in [Pair::plain(), Pair::encrypted()] {
        for (number, payload) in [
            (protocol::LCP, &[1, 1, 0, 4][..]),
            (0x80FD, &[14, 1, 0, 4]),
            (0xC223, &[1, 2, 3]),
            (0x002D, &[0x45]),
            (0x003D, &[0x80]),
        ] {
            let frame = control_frame(&mut pair.client, number, payload);

            let (inner, bytes) = receive(&mut pair.server, &frame, pair.now).unwrap();

            let Inner::Control {
                protocol,
                information,
            } = inner
            else {
                panic!("{number:04X}: {inner:?}")
            };
            assert_eq!(protocol, number);
            assert_eq!(bytes[information], *payload);
        }
    }
}

#[test]
fn an_echo_request_is_answered_under_our_magic_number() {
    let mut pair = Pair::encrypted();
    let request = [9, 0x2A, 0, 10, 0, 0, 0, 0xC1, 0xAB, 0xCD];
    let frame = control_frame(&mut pair.client, protocol::LCP, &request);
    let (inner, bytes) = receive(&mut pair.server, &frame, pair.now).unwrap();
    let Inner::EchoRequest(at) = inner else {
        panic!("not an echo request: {inner:?}")
    };

    let mut out = [0; 64];
    let len = pair.server.echo_reply(&bytes[at], &mut out).unwrap();

    let (inner, bytes) = receive(&mut pair.client, &out[..len], pair.now).unwrap();
    let Inner::Control {
        protocol,
        information,
    } = inner
    else {
        panic!("not control: {inner:?}")
    };
    assert_eq!(protocol, protocol::LCP);
    assert_eq!(
        bytes[information],
        [10, 0x2A, 0, 10, 0, 0, 0, 0x5E, 0xAB, 0xCD]
    );
}

#[test]
fn echo_requests_that_need_judgement_go_to_the_control_process() {
    let good = [9, 1, 0, 8, 0, 0, 0, 0xC1];
    let ours = [9, 1, 0, 8, 0, 0, 0, 0x5E];
    let too_long = [9, 1, 0, 9, 0, 0, 0, 0xC1];
    let too_short = [9, 1, 0, 4];
    let reply = [10, 1, 0, 8, 0, 0, 0, 0xC1];
    for (opened, request, what) in [
        (false, &good[..], "LCP is not opened"),
        (true, &ours, "our own magic number"),
        (true, &too_long, "length beyond the frame"),
        (true, &too_short, "no magic number"),
        (true, &reply, "a reply"),
    ] {
        let mut pair = Pair::plain();
        pair.server.set_link(LinkOptions {
            opened,
            magic: 0x5E,
            ..LinkOptions::default()
        });
        let frame = control_frame(&mut pair.client, protocol::LCP, request);

        let (inner, _) = receive(&mut pair.server, &frame, pair.now).unwrap();

        assert!(matches!(inner, Inner::Control { .. }), "{what}: {inner:?}");
    }
}

#[test]
fn only_a_request_is_answered() {
    let mut pair = Pair::plain();
    let mut out = [0; 64];

    let outcome = pair.server.echo_reply(&[10, 1, 0, 8, 0, 0, 0, 1], &mut out);

    assert_eq!(outcome, Err(TruncatedPpp));
}

// What must not lead a session astray.

#[test]
fn forged_encrypted_frames_change_nothing() {
    let mut pair = Pair::encrypted();
    for n in 0..10 {
        let frame = pair.client_sends(n);
        pair.server_gets(&frame).unwrap();
    }

    for n in 0..2000_u32 {
        let count = Coherency::new(u16::try_from(n * 7 % 4096).unwrap());
        let [high, low] = (0x9000 | count.value()).to_be_bytes();
        let forged = raw_frame(0, 10 + n * 500, &[0xFD, high, low, 1, 2, 3, 4, 5, 6]);
        assert!(pair.server_gets(&forged).is_err());
    }

    let counters = pair.server.counters();
    assert_eq!((counters.rx_frames, counters.rx_lost), (10, 0));
    for n in 10..100 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Ok(n));
    }
    assert_eq!(pair.server.counters().rx_lost, 0);
}

#[test]
fn forged_unencrypted_frames_do_not_disturb_encrypted_ones() {
    let mut pair = Pair::encrypted();
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();
    let late = pair.client_sends(1);

    for n in 1..=100 {
        let forged = raw_frame(0, n * MAX_UNENCRYPTED_JUMP, &[0xC0, 0x21, 5, 1, 0, 4]);
        receive(&mut pair.server, &forged, pair.now).unwrap();
    }

    for n in 2..200 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Ok(n));
    }
    assert_eq!(pair.server_gets(&late), Err(StaleKey));
    // The window is back where the peer really is: its control frames arrive.
    let frame = control_frame(&mut pair.client, protocol::LCP, &[1, 1, 0, 4]);
    assert!(receive(&mut pair.server, &frame, pair.now).is_ok());
}

#[test]
fn a_frame_replayed_under_a_new_sequence_number_is_a_duplicate() {
    let mut pair = Pair::encrypted();
    let mut first = pair.client_sends(0);
    pair.server_gets(&first).unwrap();
    let frame = pair.client_sends(1);
    pair.server_gets(&frame).unwrap();

    first[8..12].copy_from_slice(&2_u32.to_be_bytes());

    assert_eq!(pair.server_gets(&first), Err(DuplicateSeq));
    let frame = pair.client_sends(2);
    assert_eq!(pair.server_gets(&frame), Ok(2));
}

#[test]
fn a_packet_two_slots_late_costs_no_key_step_and_does_not_kill_the_session() {
    let mut pair = Pair::encrypted();
    let frames: Vec<_> = (0..20).map(|n| pair.client_sends(n)).collect();
    for n in [0, 1, 2, 3, 5, 6] {
        pair.server_gets(&frames[n]).unwrap();
    }
    let head = |pair: &mut Pair| {
        let rx = pair.server.rx.as_mut().unwrap();
        rx.chain().unwrap().head()
    };
    let before = head(&mut pair);

    assert_eq!(pair.server_gets(&frames[4]), Ok(4));

    assert_eq!(head(&mut pair), before);
    for (n, frame) in (7..).zip(&frames[7..]) {
        assert_eq!(pair.server_gets(frame), Ok(n));
    }
}

#[test]
fn after_5000_lost_frames_the_session_recovers() {
    let mut pair = Pair::encrypted();
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();
    pair.lose(1..5001);

    let mut lost_to_the_budget = 0_u32;
    let recovered = (5001..6000).find(|&n| {
        pair.now += Duration::from_millis(1);
        let frame = pair.client_sends(n);
        match pair.server_gets(&frame) {
            Ok(number) => number == n,
            Err(reason) => {
                assert_eq!(reason, KeyBudget);
                lost_to_the_budget += 1;
                false
            }
        }
    });

    let recovered = recovered.expect("the session recovers");
    assert!((1..50).contains(&lost_to_the_budget));
    for n in recovered + 1..recovered + 100 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Ok(n));
    }
    assert_eq!(
        pair.server.counters().rx_lost,
        u64::from(5000 + lost_to_the_budget)
    );
}

#[test]
fn an_encrypted_session_that_was_idle_but_for_control_frames_goes_on() {
    let mut pair = Pair::encrypted();
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();
    for _ in 0..9000 {
        let frame = control_frame(&mut pair.client, protocol::LCP, &[10, 1, 0, 8, 0, 0, 0, 1]);
        receive(&mut pair.server, &frame, pair.now).unwrap();
    }

    let frame = pair.client_sends(1);

    assert_eq!(pair.server_gets(&frame), Ok(1));
}

// What control may change.

#[test]
fn a_reset_is_nothing_to_stateless_mode() {
    let mut pair = Pair::encrypted();
    pair.client.reset_mppe();

    let frame = pair.client_sends(0);

    assert_eq!(pair.server_gets(&frame), Ok(0));
}

// Stateful mode.

#[test]
fn stateful_packets_flow_both_ways_past_flag_packets() {
    let mut pair = Pair::stateful();
    for n in 0..1000 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Ok(n));
        let frame = send(&mut pair.server, &ipv4_packet(SERVER_INNER, n));
        let (inner, bytes) = receive(&mut pair.client, &frame, pair.now).unwrap();
        assert!(matches!(inner, Inner::Ip(at) if number_of(&bytes[at.clone()]) == n));
    }
    assert_eq!(pair.server.counters().rx_packets, 1000);
    assert_eq!(pair.server.take_notice(), None);
}

#[test]
fn a_burst_of_stateful_packets_may_be_opened_before_the_first_is_judged() {
    let mut pair = Pair::stateful();
    let frames: Vec<_> = (0..64).map(|n| pair.client_sends(n)).collect();

    let outcomes = receive_burst(&mut pair.server, &frames, pair.now);

    assert!(outcomes.iter().all(Result::is_ok));
}

#[test]
fn a_lost_stateful_packet_is_noticed_and_a_reset_mends_it() {
    let mut pair = Pair::stateful();
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();
    pair.lose(1..2);

    let frame = pair.client_sends(2);
    assert_eq!(pair.server_gets(&frame), Err(OutOfSync));
    let notice = pair.server.take_notice();
    assert_eq!(notice, Some(Notice::OutOfSync { times: 1 }));
    let frame = pair.client_sends(3);
    assert_eq!(pair.server_gets(&frame), Err(OutOfSync));
    assert_eq!(pair.server.take_notice(), None, "not for each frame");

    pair.client.reset_mppe();
    for n in 4..10 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Ok(n));
    }
    assert_eq!(pair.server.counters().dropped, 2);
}

#[test]
fn stateful_frames_on_a_stateless_session_and_the_other_way_round_are_told() {
    let mut pair = Pair::encrypted();
    pair.client.set_mppe(None, Some(&stateful(1)));
    let frame = pair.client_sends(0);
    assert_eq!(pair.server_gets(&frame), Err(BadMppeHeader));

    let mut pair = Pair::encrypted();
    pair.server.set_mppe(Some(&stateful(1)), None);
    let frame = pair.client_sends(0);
    assert_eq!(
        pair.server_gets(&frame),
        Ok(0),
        "the first key changes too, as Linux does"
    );
    let frame = pair.client_sends(1);
    assert_eq!(pair.server_gets(&frame), Ok(1));
}

// Multilink.

/// The frames in which a packet goes, of which some may be encrypted already.
fn send_all(session: &mut Session, packet: &[u8]) -> Vec<Vec<u8>> {
    if !session.needs_fragments(packet.len()) {
        return vec![send(session, packet)];
    }
    let begun = session.begin_fragments(&mut Portable, packet[0] >> 4, packet.len(), |body| {
        body.copy_from_slice(packet);
    });
    begun.unwrap();
    let mut frames = Vec::new();
    while session.has_fragments() {
        let mut out = vec![0; 2000];
        let len = session.next_fragment(&mut out).unwrap();
        out.truncate(len);
        frames.push(out);
    }
    frames
}

/// The packet that a frame carries or completes, if it does.
fn receive_any(
    session: &mut Session,
    frame: &[u8],
    now: Instant,
) -> Result<Option<Vec<u8>>, DropReason> {
    match receive(session, frame, now)? {
        (Inner::Ip(at), bytes) => Ok(Some(bytes[at].to_vec())),
        (Inner::Fragment, _) => Ok(None),
        (Inner::Reassembled(frame), _) => {
            const AT: usize = 16;
            let mut out = vec![0; AT + frame.len()];
            let inner = session.open_reassembled(&mut Portable, frame, &mut out, AT, now)?;
            let Inner::Ip(at) = inner else {
                panic!("not a packet: {inner:?}");
            };
            Ok(Some(out[at].to_vec()))
        }
        (other, _) => panic!("not a packet: {other:?}"),
    }
}

/// An IPv4 packet of `len` bytes.
fn large_packet(source: Ipv4Addr, len: u16) -> Vec<u8> {
    let repr = ipv4::Repr {
        source,
        destination: Ipv4Addr::new(192, 0, 2, 1),
        protocol: 17,
        payload_len: len - 20,
        tos: 0,
        identification: len,
        dont_fragment: false,
        ttl: 64,
    };
    let mut bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
    bytes
}

/// Makes both ends take packets of up to 1600 bytes over a link of 1400.
fn with_multilink(pair: &mut Pair, short: bool) {
    let terms = Some(crate::ipc::Multilink { mrru: 1600, short });
    for session in [&mut pair.server, &mut pair.client] {
        session.set_link(LinkOptions {
            acfc: true,
            pfc: true,
            opened: true,
            rx_multilink: terms,
            tx_multilink: terms,
            peer_mru: 1400,
            ..LinkOptions::default()
        });
        let interface = session.interface.unwrap();
        session.set_interface(Some(InnerAddress {
            mtu: 1600,
            ..interface
        }));
    }
}

#[test]
fn packets_larger_than_the_link_carries_go_in_fragments() {
    for (mut pair, mode) in [
        (Pair::plain(), "plain"),
        (Pair::encrypted(), "stateless"),
        (Pair::stateful(), "stateful"),
    ] {
        for short in [false, true] {
            with_multilink(&mut pair, short);
            for len in (20..1600)
                .step_by(13)
                .chain([1395, 1396, 1397, 1400, 1401, 1599, 1600])
            {
                let packet = large_packet(CLIENT_INNER, len);
                let frames = send_all(&mut pair.client, &packet);
                assert_eq!(frames.len(), if len > 1400 { 2 } else { frames.len() });
                assert!(frames.iter().all(|frame| frame.len() <= 1400 + 16 + 2));
                let got: Vec<_> = frames
                    .iter()
                    .filter_map(|frame| receive_any(&mut pair.server, frame, pair.now).unwrap())
                    .collect();
                assert_eq!(got, [packet], "{mode} {len}");
            }
        }
        let counters = pair.server.counters();
        assert_eq!((counters.dropped, counters.rx_lost), (0, 0), "{mode}");
        assert_eq!(counters.rx_fragments, pair.client.counters().tx_fragments);
        assert!(counters.rx_fragments > 0);
    }
}

#[test]
fn fragments_are_as_rfc_1990_wants_them() {
    let mut pair = Pair::plain();
    with_multilink(&mut pair, false);

    let frames = send_all(&mut pair.client, &large_packet(CLIENT_INNER, 1500));

    // Protocol 003D in its short form, B and number 0; the packet's own protocol, 21.
    assert_eq!(frames[0][12..17], [0x3D, 0x80, 0, 0, 0]);
    assert_eq!(frames[0][17..19], [0x21, 0x45]);
    assert_eq!(frames[1][12..17], [0x3D, 0x40, 0, 0, 1]);
    assert_eq!(frames[0].len(), 12 + 1 + 1400);
}

#[test]
fn a_frame_that_came_whole_in_a_multilink_header_is_as_without() {
    let mut pair = Pair::encrypted();
    with_multilink(&mut pair, false);
    for n in 0..20 {
        let frame = pair.client_sends(n);
        let mut wrapped = vec![0x3D, 0xC0, 0, 0, u8::try_from(n).unwrap()];
        wrapped.extend(&frame[12..]);
        let frame = raw_frame(0, u32::from(n), &wrapped);
        assert_eq!(pair.server_gets(&frame), Ok(n));
    }
    let ipcp = [0x3D, 0xC0, 0, 0, 20, 0x80, 0x21, 1, 1, 0, 4];
    let outcome = receive(&mut pair.server, &raw_frame(0, 20, &ipcp), pair.now);
    let Ok((Inner::Control { protocol, .. }, _)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(protocol, 0x8021);
}

#[test]
fn lost_fragments_cost_their_packets_and_no_key() {
    let mut pair = Pair::encrypted();
    with_multilink(&mut pair, false);
    let mut got = 0;
    for n in 0..6000_u16 {
        let packet = large_packet(CLIENT_INNER, 1450 + n % 100);
        for (at, frame) in send_all(&mut pair.client, &packet).iter().enumerate() {
            if n % 7 == 3 && at == usize::from(n % 2) {
                continue;
            }
            if receive_any(&mut pair.server, frame, pair.now).unwrap() == Some(packet.clone()) {
                got += 1;
            }
        }
    }
    assert_eq!(got, 6000 - 857);
    assert!(pair.server.counters().rx_fragments_lost > 700);
}

#[test]
fn a_multilink_frame_nobody_agreed_on_is_the_control_process_s() {
    let mut pair = Pair::encrypted();
    let frame = raw_frame(0, 0, &[0x3D, 0xC0, 0, 0, 0, 0x21, 0x45]);
    let outcome = receive(&mut pair.server, &frame, pair.now);
    assert!(matches!(
        outcome,
        Ok((Inner::Control { protocol: 0x3D, .. }, _))
    ));
}

#[test]
fn broken_multilink_frames_are_told() {
    let mut pair = Pair::plain();
    with_multilink(&mut pair, false);
    for (seq, payload, reason) in [
        (0, &[0x3D, 0xC0, 0, 0][..], BadFragment),
        (1, &[0x3D, 0xC0, 0, 0, 0], TruncatedPpp),
        (2, &[0x3D, 0xC0, 0, 0, 0, 0xFF], TruncatedPpp),
        (3, &[0x3D, 0xC0, 0, 0, 0, 0x21, 0x45], BadInnerIp),
    ] {
        let outcome = receive(&mut pair.server, &raw_frame(0, seq, payload), pair.now);
        assert_eq!(outcome.err(), Some(reason), "{payload:02X?}");
    }
    let begin = [&[0x3D, 0x80, 0, 0, 7][..], &[0x21; 1000]].concat();
    receive(&mut pair.server, &raw_frame(0, 4, &begin), pair.now).unwrap();
    let end = [&[0x3D, 0x40, 0, 0, 8][..], &[0x45; 1000]].concat();
    let outcome = receive(&mut pair.server, &raw_frame(0, 5, &end), pair.now);
    assert_eq!(outcome.err(), Some(BadFragment), "larger than our MRRU");
}

// Keys that differ.

#[test]
fn keys_that_differ_from_the_first_frame_on_are_told_once() {
    for stateless in [true, false] {
        let mut pair = Pair::plain();
        let of = |byte| Parameters {
            stateless,
            ..parameters(byte)
        };
        pair.client.set_mppe(None, Some(&of(1)));
        pair.server.set_mppe(Some(&of(2)), None);
        let mut notices = Vec::new();
        for n in 0..40 {
            pair.now += Duration::from_millis(100);
            let frame = pair.client_sends(n);
            assert!(pair.server_gets(&frame).is_err());
            let notice = pair.server.take_notice();
            notices.extend(notice.filter(|notice| *notice == Notice::KeysDiffer));
        }
        assert_eq!(notices, [Notice::KeysDiffer], "stateless={stateless}");
    }
}

#[test]
fn keys_that_were_right_once_do_not_differ_later() {
    let mut pair = Pair::encrypted();
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();
    for n in 1..50 {
        pair.now += Duration::from_millis(100);
        let mut frame = pair.client_sends(n);
        frame[20..].fill(0);
        assert_eq!(pair.server_gets(&frame), Err(Undecryptable));
        assert_eq!(pair.server.take_notice(), None);
    }
}

#[test]
fn a_direction_whose_parameters_stay_goes_on_while_the_other_is_switched() {
    let mut pair = Pair::plain();
    let (up, down) = (parameters(1), parameters(2));
    pair.server.set_mppe(Some(&up), None);
    pair.client.set_mppe(None, Some(&up));
    let frame = pair.client_sends(0);
    assert_eq!(pair.server_gets(&frame), Ok(0));

    pair.server.set_mppe(Some(&up), Some(&down));
    pair.client.set_mppe(Some(&down), Some(&up));

    let frame = pair.client_sends(1);
    assert_eq!(frame[13..15], [0x90, 0x01]);
    assert_eq!(pair.server_gets(&frame), Ok(1));
    let frame = send(&mut pair.server, &ipv4_packet(SERVER_INNER, 2));
    assert!(receive(&mut pair.client, &frame, pair.now).is_ok());
}

#[test]
fn switched_off_and_on_encryption_begins_anew() {
    let mut pair = Pair::encrypted();
    let frame = pair.client_sends(0);
    pair.server_gets(&frame).unwrap();
    let (up, down) = (parameters(1), parameters(2));
    pair.server.set_mppe(None, None);
    pair.client.set_mppe(None, None);
    let frame = pair.client_sends(1);
    assert_eq!(pair.server_gets(&frame), Ok(1));

    pair.server.set_mppe(Some(&up), Some(&down));
    pair.client.set_mppe(Some(&down), Some(&up));

    let frame = pair.client_sends(2);
    assert_eq!(frame[13..15], [0x90, 0x00]);
    assert_eq!(pair.server_gets(&frame), Ok(2));
}

#[test]
fn a_ticket_from_before_the_keys_changed_is_stale() {
    let mut pair = Pair::encrypted();
    let mut frame = pair.client_sends(0);
    let Ok(Opened::Sealed { ticket, key, data }) =
        pair.server.open(&mut Portable, &frame, pair.now)
    else {
        panic!("not opened")
    };
    Portable.crypt(&mut [Job {
        key,
        data: &mut frame[data],
    }]);
    pair.server.set_mppe(Some(&parameters(3)), None);

    assert_eq!(pair.server.accept(ticket, &mut frame), Err(StaleKey));
}

#[test]
fn a_worker_may_make_keys_ready_ahead() {
    let mut pair = Pair::encrypted();
    for _ in 0..1000 {
        let mut chains: Vec<_> = pair
            .client
            .short_chains(u64::MAX)
            .chain(pair.server.short_chains(8))
            .collect();
        Portable.step(&mut chains);
    }
    let ready: Vec<_> = [&mut pair.client, &mut pair.server]
        .into_iter()
        .flat_map(|session| session.rx.iter_mut().map(|rx| rx.chain().unwrap().ready()))
        .collect();
    assert_eq!(ready, [192, 8]);

    for n in 0..500 {
        let frame = pair.client_sends(n);
        assert_eq!(pair.server_gets(&frame), Ok(n));
    }
}

// Any network, any bytes.

/// What the network does to one frame.
#[derive(Clone, Copy, Debug)]
struct Fate {
    lost: bool,
    /// By how many places it comes later.
    delay: usize,
    /// By how many places a second copy comes later, if there is one.
    copy: Option<usize>,
}

fn fate() -> impl Strategy<Value = Fate> {
    (
        prop::bool::weighted(0.1),
        prop_oneof![3 => Just(0), 1 => 0..32_usize],
        prop::option::weighted(0.1, 0..32_usize),
    )
        .prop_map(|(lost, delay, copy)| Fate { lost, delay, copy })
}

/// The frames in the order they arrive.
fn through_network(frames: Vec<Vec<u8>>, fates: &[Fate]) -> Vec<Vec<u8>> {
    let mut arriving = Vec::new();
    for (place, (frame, fate)) in frames.into_iter().zip(fates).enumerate() {
        if fate.lost {
            continue;
        }
        if let Some(copy) = fate.copy {
            arriving.push((place + copy, frame.clone()));
        }
        arriving.push((place + fate.delay, frame));
    }
    arriving.sort_by_key(|&(place, _)| place);
    arriving.into_iter().map(|(_, frame)| frame).collect()
}

/// Which packets `session` delivers, sorted.
fn delivered(
    session: &mut Session,
    frames: &[Vec<u8>],
    bursts: &[usize],
    now: Instant,
) -> Vec<u16> {
    let mut rest = frames;
    let mut numbers = Vec::new();
    for &burst in bursts.iter().cycle() {
        let (burst, after) = rest.split_at(burst.min(rest.len()));
        for (inner, bytes) in receive_burst(session, burst, now).into_iter().flatten() {
            let Inner::Ip(at) = inner else {
                panic!("not a packet: {inner:?}")
            };
            numbers.push(number_of(&bytes[at]));
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    numbers.sort_unstable();
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_network_does_not_lose_is_delivered_exactly_once(
        encrypted: bool,
        up in prop::collection::vec(fate(), 1..300),
        down in prop::collection::vec(fate(), 1..300),
        bursts in prop::collection::vec(1..=64_usize, 1..10),
    ) {
        let mut pair = if encrypted { Pair::encrypted() } else { Pair::plain() };
        let numbers = |fates: &[Fate]| -> Vec<u16> {
            (0..).zip(fates).filter(|(_, fate)| !fate.lost).map(|(n, _)| n).collect()
        };
        let from_client = (0..).zip(&up).map(|(n, _)| pair.client_sends(n)).collect();
        let from_server = (0..)
            .zip(&down)
            .map(|(n, _)| send(&mut pair.server, &ipv4_packet(SERVER_INNER, n)))
            .collect();

        let at_server = through_network(from_client, &up);
        let at_client = through_network(from_server, &down);

        prop_assert_eq!(
            delivered(&mut pair.server, &at_server, &bursts, pair.now),
            numbers(&up)
        );
        prop_assert_eq!(
            delivered(&mut pair.client, &at_client, &bursts, pair.now),
            numbers(&down)
        );
    }

    #[test]
    fn arbitrary_frames_neither_panic_nor_disturb(
        encrypted: bool,
        noise in prop::collection::vec(
            (any::<bool>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..64)),
            1..40,
        ),
    ) {
        let mut pair = if encrypted { Pair::encrypted() } else { Pair::plain() };
        let frame = pair.client_sends(0);
        prop_assert_eq!(pair.server_gets(&frame), Ok(0));
        for (framed, seq, mut bytes) in noise {
            if framed {
                // Most of them look encrypted; without MPPE such frames are the only ones that
                // nobody can take for good.
                if !encrypted || seq % 4 != 0 {
                    bytes.insert(0, 0xFD);
                }
                bytes = raw_frame(0, seq % 10_000, &bytes);
            }
            let _ = receive(&mut pair.server, &bytes, pair.now);
        }
        let frame = pair.client_sends(1);
        prop_assert_eq!(pair.server_gets(&frame), Ok(1));
    }

    #[test]
    fn damaged_frames_do_not_panic(
        encrypted: bool,
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut pair = if encrypted { Pair::encrypted() } else { Pair::plain() };
        for (n, (at, value)) in (0..).zip(damages) {
            let mut frame = pair.client_sends(n);
            let at = at.index(frame.len());
            frame[at] = value;
            let cut = cut.index(frame.len() * 4);
            frame.truncate(cut.max(1));
            if !matches!(pair.server.open(&mut Portable, &frame, pair.now), Ok(Opened::Ack)) {
                let _ = receive(&mut pair.server, &frame, pair.now);
            }
        }
    }

    #[test]
    fn a_ticket_for_another_buffer_does_not_panic(length in 0..200_usize, encrypted: bool) {
        let mut pair = if encrypted { Pair::encrypted() } else { Pair::plain() };
        let frame = pair.client_sends(0);
        let mut other = vec![0x45; length];
        match pair.server.open(&mut Portable, &frame, pair.now).unwrap() {
            Opened::Plain(ticket) | Opened::Sealed { ticket, .. } => {
                prop_assert!(pair.server.accept(ticket, &mut other).is_err());
            }
            Opened::Ack => prop_assert!(false, "not an acknowledgement"),
        }
    }
}

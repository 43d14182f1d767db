//! The readers of single frames and messages. What one accepts, its writer must write so that it
//! reads the same again.

use std::fmt::Debug;

use greyhound_control::pptp::wire as pptp;
use greyhound_datapath::ipc::{Event, Request};
use greyhound_datapath::wire::{ethernet, gre, ipv4, ipv6, lcp, mppe, multilink, ppp};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Ethernet, IPv4, IPv6, GRE, PPP, MPPE, Multilink and LCP: each at the beginning of the input, and
/// each inside of the one before it.
pub fn frames(data: &[u8]) {
    if let Ok(frame) = ethernet::Frame::new_checked(data) {
        if let Ok(repr) = ethernet::Repr::parse(&frame) {
            let mut bytes = vec![0; repr.buffer_len()];
            repr.emit(&mut ethernet::Frame::new_unchecked(&mut bytes));
            let again = ethernet::Frame::new_checked(&bytes).expect("what was written is whole");
            assert_eq!(ethernet::Repr::parse(&again).as_ref(), Ok(&repr));
            let _ = repr.reversed();
        }
        in_ethernet(frame.payload());
    }
    in_ethernet(data);
    in_ip(data);
    in_gre(data);
    information(data);
}

fn in_ethernet(data: &[u8]) {
    if let Ok(packet) = ipv6::Packet::new_checked(data) {
        assert!(packet.total_len() <= data.len());
        let _ = (packet.version(), packet.source(), packet.destination());
    }
    let Ok(packet) = ipv4::Packet::new_checked(data) else {
        return;
    };
    assert!(packet.header_len() + packet.payload().len() <= data.len());
    assert!(packet.total_len() <= data.len());
    let _ = (packet.verify_checksum(), packet.is_fragment(), packet.tos());
    let _ = (packet.identification(), packet.ttl(), packet.version());
    if let Ok(repr) = ipv4::Repr::parse(&packet) {
        let mut bytes = vec![0; repr.buffer_len() + packet.payload().len()];
        bytes[repr.buffer_len()..].copy_from_slice(packet.payload());
        repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes));
        let again = ipv4::Packet::new_checked(&bytes).expect("what was written is whole");
        assert_eq!(ipv4::Repr::parse(&again), Ok(repr));
    }
    in_ip(packet.payload());
}

fn in_ip(data: &[u8]) {
    let Ok(packet) = gre::Packet::new_checked(data) else {
        return;
    };
    assert!(packet.header_len() + packet.payload().len() <= data.len());
    if let Ok(repr) = gre::Repr::parse(&packet) {
        let mut bytes = vec![0; repr.buffer_len() + packet.payload().len()];
        bytes[repr.buffer_len()..].copy_from_slice(packet.payload());
        repr.emit(&mut gre::Packet::new_unchecked(&mut bytes));
        let again = gre::Packet::new_checked(&bytes).expect("what was written is whole");
        assert_eq!(gre::Repr::parse(&again), Ok(repr));
    }
    in_gre(packet.payload());
}

fn in_gre(data: &[u8]) {
    let Ok(packet) = ppp::Packet::new_checked(data) else {
        return;
    };
    assert_eq!(packet.header_len() + packet.information().len(), data.len());
    if let Ok(repr) = ppp::Repr::parse(&packet) {
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut ppp::Packet::new_unchecked(&mut bytes));
        let again = ppp::Packet::new_checked(&bytes).expect("what was written is whole");
        assert_eq!(again.protocol(), repr.protocol);
    }
    information(packet.information());
}

fn information(data: &[u8]) {
    if let Ok(packet) = mppe::Packet::new_checked(data) {
        let _ = packet.payload();
        if let Ok(repr) = mppe::Repr::parse(&packet) {
            let mut bytes = vec![0; repr.buffer_len()];
            repr.emit(&mut mppe::Packet::new_unchecked(&mut bytes));
            let again = mppe::Packet::new_unchecked(&bytes);
            assert_eq!(mppe::Repr::parse(&again), Ok(repr));
        }
    }
    if let Ok(packet) = lcp::Packet::new_checked(data)
        && let Ok(repr) = lcp::Repr::parse(&packet)
    {
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut lcp::Packet::new_unchecked(&mut bytes));
        let again = lcp::Packet::new_checked(bytes.as_slice()).expect("what was written is whole");
        assert_eq!(lcp::Repr::parse(&again), Ok(repr));
        assert!(repr.reply(7).buffer_len() <= data.len());
    }
    for short in [false, true] {
        if let Ok(repr) = multilink::Repr::parse(data, short) {
            let mut bytes = vec![0; repr.buffer_len()];
            repr.emit(&mut bytes);
            assert_eq!(multilink::Repr::parse(&bytes, short), Ok(repr));
            assert!(repr.seq < multilink::sequence_space(short));
        }
    }
}

/// What the control process and the datapath say to each other, as either may say it.
pub fn ipc(data: &[u8]) {
    survives::<Request>(data);
    survives::<Event>(data);
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    let Ok(message) = postcard::from_bytes::<T>(data) else {
        return;
    };
    let bytes = postcard::to_stdvec(&message).expect("every message can be written");
    assert_eq!(postcard::from_bytes::<T>(&bytes), Ok(message));
}

/// The messages of PPTP's control connection, as a stream.
pub fn pptp_messages(data: &[u8]) {
    // As one message, whatever its header says.
    let _ = pptp::Repr::parse(data);
    let mut rest = data;
    while let Ok(Some(len)) = pptp::message_len(rest) {
        assert!((pptp::MIN_LEN..=pptp::MAX_LEN).contains(&len));
        // A shorter part of it says the same, or nothing yet.
        for cut in 0..rest.len().min(pptp::HEADER_LEN) {
            assert!(matches!(
                pptp::message_len(&rest[..cut]),
                Ok(None) | Ok(Some(_))
            ));
        }
        let Some((message, after)) = rest.split_at_checked(len) else {
            return;
        };
        if let Ok(repr) = pptp::Repr::parse(message) {
            let bytes = repr.to_bytes();
            assert_eq!(bytes.len(), len);
            assert_eq!(pptp::Repr::parse(&bytes), Ok(repr));
            let _ = format!("{} {repr:?}", repr.name());
        }
        rest = after;
    }
}

//! Reads the captures beside this file; shared by the tests of several crates, which include it
//! with `#[path]`. What is in each capture says INDEX.md.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use greyhound_datapath::wire::{ethernet, ipv4};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const CLIENT_INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 100);
pub(crate) const SERVER_INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
pub(crate) const PASSWORD: &str = "StrongPass-1";

pub(crate) const CAPTURES: [&str; 8] = [
    "chapmd5-nomppe",
    "mschap1-mppe128-stateless",
    "mschap2-mppe128-badpass",
    "mschap2-mppe128-ipv6",
    "mschap2-mppe128-stateful",
    "mschap2-mppe128-stateless",
    "mschap2-mppe40-stateless",
    "pap-nomppe",
];

/// What one IPv4 packet of a capture carries.
pub(crate) struct Packet {
    /// Since the capture began.
    pub(crate) at: Duration,
    pub(crate) destination: Ipv4Addr,
    /// A GRE frame or a TCP segment.
    pub(crate) payload: Vec<u8>,
}

/// The packets of a capture that carry an IP protocol, e.g. GRE, in the order of their arrival.
pub(crate) fn packets(name: &str, protocol: u8) -> Vec<Packet> {
    // Whichever crate includes this lies somewhere in the workspace.
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/pcaps"))
        .find(|folder| folder.is_dir())
        .expect("the captures lie in the workspace");
    let path = folder.join(name).with_extension("pcap");
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let records = records(&file);
    let begin = records.first().map_or(Duration::ZERO, |&(at, _)| at);
    records
        .into_iter()
        .filter_map(|(at, bytes)| {
            let frame = ethernet::Frame::new_checked(bytes).ok()?;
            if frame.ethertype() != ethernet::EtherType::Ipv4 {
                return None;
            }
            let packet = ipv4::Packet::new_checked(frame.payload()).expect("tcpdump cut nothing");
            if packet.protocol() != protocol {
                return None;
            }
            let repr = ipv4::Repr::parse(&packet).expect("a valid, whole IPv4 header");
            Some(Packet {
                at: at.saturating_sub(begin),
                destination: repr.destination,
                payload: packet.payload().to_vec(),
            })
        })
        .collect()
}

/// Time and bytes of each packet in a pcap file: little-endian, microseconds, Ethernet.
fn records(file: &[u8]) -> Vec<(Duration, &[u8])> {
    const MAGIC: [u8; 4] = [0xD4, 0xC3, 0xB2, 0xA1];
    const ETHERNET: u32 = 1;
    const FILE_HEADER_LEN: usize = 24;
    const RECORD_HEADER_LEN: usize = 16;

    let word = |bytes: &[u8], index: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[index * 4..index * 4 + 4]);
        u32::from_le_bytes(word)
    };
    assert_eq!(file[..4], MAGIC);
    assert_eq!(word(file, 5), ETHERNET);
    let mut records = Vec::new();
    let mut rest = &file[FILE_HEADER_LEN..];
    while !rest.is_empty() {
        let (header, after) = rest.split_at(RECORD_HEADER_LEN);
        let (captured, original) = (word(header, 2), word(header, 3));
        assert_eq!(captured, original, "the capture cut a packet");
        let (bytes, after) = after.split_at(usize::try_from(captured).unwrap());
        let at = Duration::from_secs(word(header, 0).into())
            + Duration::from_micros(word(header, 1).into());
        records.push((at, bytes));
        rest = after;
    }
    records
}

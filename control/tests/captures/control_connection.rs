//! TCP port 1723: the codec and the state machine of the control connection, in both roles.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use greyhound_control::cause::Cause;
use greyhound_control::pptp::wire::{self, Repr};
use greyhound_control::pptp::{Command, Connection, Misbehaviours};
use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::wire::ipv4;
use proptest::prelude::*;

use crate::pcap::{self, CAPTURES, CLIENT, SERVER};
use crate::{call_id_to, now};

#[test]
fn every_control_message_parses_and_is_emitted_the_same() {
    for name in CAPTURES {
        for messages in [messages_to(name, SERVER), messages_to(name, CLIENT)] {
            for bytes in messages {
                let message = Repr::parse(&bytes).unwrap();
                assert_eq!(message.to_bytes(), bytes, "{name}, {}", message.name());
            }
        }
        let names = |end| -> Vec<_> {
            let messages = messages_to(name, end).into_iter();
            messages
                .map(|bytes| Repr::parse(&bytes).unwrap().name())
                .collect()
        };
        assert_eq!(
            names(SERVER),
            [
                "StartControlConnectionRequest",
                "OutgoingCallRequest",
                "CallClearRequest"
            ],
            "{name}"
        );
        assert_eq!(
            names(CLIENT),
            ["StartControlConnectionReply", "OutgoingCallReply"],
            "{name}"
        );
    }
}

#[test]
fn a_clients_stream_drives_our_server_wherever_it_is_cut() {
    for name in CAPTURES {
        let frames = pcap::packets(name, ipv4::PROTOCOL_GRE);
        let [start, call, clear] = messages_to(name, SERVER).try_into().unwrap();
        let peer_call_id = PeerCallId(call_id_to(CLIENT, &frames));
        // The client waits for the answer to its call before it clears it, and for nothing else.
        let flights = [[start, call].concat(), clear];
        proptest!(ProptestConfig::with_cases(32), |(cuts in cuts())| {
            let now = now();
            let call_id = CallId(7);
            let mut server = Connection::server(now, "greyhound");
            let mut log = Vec::new();
            for chunk in cut(&flights, &cuts) {
                server.handle_data(now, chunk);
                while let Some(command) = server.poll_command() {
                    if matches!(command, Command::CallRequested { .. }) {
                        prop_assert!(server.accept_call(now, peer_call_id, call_id));
                    }
                    log.push(command);
                }
            }
            server.handle_hangup(now);
            log.extend(std::iter::from_fn(|| server.poll_command()));

            let sent = sent(&mut log);
            let names: Vec<_> = sent.iter().map(Repr::name).collect();
            prop_assert_eq!(
                names,
                ["StartControlConnectionReply", "OutgoingCallReply", "CallDisconnectNotify"]
            );
            let Repr::OutgoingCallReply(reply) = sent[1] else {
                unreachable!("its name is that");
            };
            prop_assert_eq!((reply.call_id, reply.peer_call_id), (call_id.0, peer_call_id.0));
            prop_assert_eq!(
                log,
                [
                    Command::Started {
                        host_name: "local".into(),
                        vendor: "cananian".into(),
                    },
                    Command::CallRequested { peer_call_id, window: 3 },
                    Command::CallEnded { call_id, cause: Cause::PeerRequest },
                    Command::Close(Cause::HungUp),
                ]
            );
            prop_assert_eq!(server.misbehaviours(), &Misbehaviours::default());
        });
    }
}

#[test]
fn a_servers_stream_drives_our_client_wherever_it_is_cut() {
    for name in CAPTURES {
        let frames = pcap::packets(name, ipv4::PROTOCOL_GRE);
        let flights = messages_to(name, CLIENT);
        let call_id = CallId(call_id_to(CLIENT, &frames));
        let peer_call_id = PeerCallId(call_id_to(SERVER, &frames));
        proptest!(ProptestConfig::with_cases(32), |(cuts in cuts())| {
            let now = now();
            let mut client = Connection::client(now, "greyhound");
            client.start(now);
            let mut log = Vec::new();
            for chunk in cut(&flights, &cuts) {
                client.handle_data(now, chunk);
                while let Some(command) = client.poll_command() {
                    if matches!(command, Command::Started { .. }) {
                        client.request_call(now, call_id);
                    }
                    log.push(command);
                }
            }

            let sent: Vec<_> = sent(&mut log).iter().map(Repr::name).collect();
            prop_assert_eq!(sent, ["StartControlConnectionRequest", "OutgoingCallRequest"]);
            prop_assert_eq!(
                log,
                [
                    Command::Started {
                        host_name: "local".into(),
                        vendor: "linux".into(),
                    },
                    Command::CallConnected { call_id, peer_call_id, window: 3 },
                ]
            );
            prop_assert_eq!(client.misbehaviours(), &Misbehaviours::default());
        });
    }
}

/// The messages that one end got over the control connection.
fn messages_to(name: &str, end: Ipv4Addr) -> Vec<Vec<u8>> {
    let stream = tcp_stream_to(name, end);
    let mut messages = Vec::new();
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let len = wire::message_len(rest).unwrap().unwrap();
        let (message, after) = rest.split_at(len);
        messages.push(message.to_vec());
        rest = after;
    }
    messages
}

/// What one end got over TCP, put together by sequence numbers.
fn tcp_stream_to(name: &str, end: Ipv4Addr) -> Vec<u8> {
    const TCP: u8 = 6;
    const SYN: u8 = 2;

    let mut first = None;
    let mut segments = BTreeMap::new();
    for packet in pcap::packets(name, TCP) {
        if packet.destination != end {
            continue;
        }
        let segment = packet.payload;
        let seq = u32::from_be_bytes(segment[4..8].try_into().unwrap());
        if segment[13] & SYN != 0 {
            first = Some(seq.wrapping_add(1));
            continue;
        }
        let data = &segment[usize::from(segment[12] >> 4) * 4..];
        if !data.is_empty() {
            let offset = seq.wrapping_sub(first.expect("the capture has the handshake"));
            segments.insert(usize::try_from(offset).unwrap(), data.to_vec());
        }
    }
    let mut stream = Vec::new();
    for (offset, data) in segments {
        assert_eq!(offset, stream.len(), "{name}: a gap or an overlap");
        stream.extend(data);
    }
    stream
}

/// Lengths of the pieces that arrive.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..400, 1..20)
}

/// Cuts each flight into pieces of these lengths, over and over.
fn cut<'a>(flights: &'a [Vec<u8>], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut lengths = cuts.iter().cycle();
    let mut pieces = Vec::new();
    for mut rest in flights.iter().map(Vec::as_slice) {
        while !rest.is_empty() {
            let length = lengths
                .next()
                .map_or(rest.len(), |len| rest.len().min(*len));
            let (piece, after) = rest.split_at(length);
            pieces.push(piece);
            rest = after;
        }
    }
    pieces
}

/// Takes the messages that were sent out of `log`.
fn sent(log: &mut Vec<Command>) -> Vec<Repr> {
    let mut sent = Vec::new();
    log.retain(|command| {
        let Command::Send(bytes) = command else {
            return true;
        };
        sent.push(Repr::parse(bytes).unwrap());
        false
    });
    sent
}

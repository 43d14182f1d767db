//! Plays a capture through a [`Link`] and a [`Session`] for each end.
//!
//! The random numbers are those of the capture, so what our ends prove themselves with has to be
//! the same to the last byte. The rest they say in their own way, see [`End::hear`].

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_control::cause::Cause;
use greyhound_control::entropy::Entropy;
use greyhound_control::ppp::{
    Accept, AuthMethod, Command, Config, Encryption, Link, Network, Proof, Refusal, Role, UseIpv6,
    Verdict, protocol,
};
use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::Tunnel;
use greyhound_datapath::mppe::{Engine, Job, Parameters, Portable};
use greyhound_datapath::session::{Inner, InnerAddress, Opened, Session};
use greyhound_datapath::stats::DropReason;
use greyhound_datapath::wire::{gre, ipv4, ppp};
use zeroize::Zeroizing;

use crate::pcap::{self, CLIENT, CLIENT_INNER, PASSWORD, Packet, SERVER, SERVER_INNER};
use crate::{call_id_to, now};

pub(crate) const USER: &str = "User1";
/// What the client of `mschap2-mppe128-badpass` says.
pub(crate) const WRONG_PASSWORD: &str = "WrongPass";

/// A capture, replayed to its end through both of our ends.
pub(crate) struct Replay {
    pub(crate) server: End,
    pub(crate) client: End,
}

impl Replay {
    pub(crate) fn of(name: &str) -> Self {
        let frames = pcap::packets(name, ipv4::PROTOCOL_GRE);
        let origin = now();
        let mut server = End::server(name, &frames, origin);
        let mut client = End::client(name, &frames, origin);
        let mut end = origin;
        for frame in &frames {
            let now = origin + frame.at;
            let (receiver, sender) = if frame.destination == CLIENT {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            if let Some((protocol, packet)) = receiver.receive(now, &frame.payload) {
                if (protocol, packet[0]) == (protocol::LCP, code::TERMINATE_REQUEST) {
                    sender.link.close(now, Cause::AdministratorRequest);
                    sender.obey(now);
                }
                receiver.hear(now, protocol, packet);
            }
            end = now;
        }
        for side in [&mut server, &mut client] {
            side.link.lower_down(end, Cause::HungUp);
            side.obey(end);
        }
        Self { server, client }
    }
}

/// One of our ends: the link, the session in the datapath, and what their caller does.
pub(crate) struct End {
    link: Link,
    pub(crate) session: Session,
    sent: Vec<(u16, Vec<u8>)>,
    heard: Vec<(u16, Vec<u8>)>,
    /// What the link had to decide about: user and proof.
    pub(crate) proof: Option<(String, Proof)>,
    /// How what arrived was decrypted.
    pub(crate) rx: Option<Parameters>,
    /// The addresses inside the tunnel: ours and the peer's.
    pub(crate) network: Option<(Ipv4Addr, Ipv4Addr)>,
    pub(crate) down: Option<Cause>,
    pub(crate) ipv4: u32,
    /// Network packets that were valid and are not wanted.
    pub(crate) not_taken: u32,
}

impl End {
    /// Our server in the place of pptpd.
    fn server(name: &str, frames: &[Packet], now: Instant) -> Self {
        let methods = match name.split('-').next() {
            Some("pap") => vec![AuthMethod::Pap],
            Some("mschap1") => vec![AuthMethod::MsChapV1],
            _ => vec![AuthMethod::MsChapV2],
        };
        let said = control_packets_to(CLIENT, frames);
        let mut random = magic_number(&said);
        if let Some([_, id, _, _, size, challenge @ ..]) =
            find(&said, protocol::CHAP, code::CHALLENGE)
        {
            random.extend(&challenge[..usize::from(*size)]);
            random.push(*id);
        }
        let role = Role::Server {
            name: "pptpd".into(),
            methods,
        };
        Self::new(role, random, (SERVER, CLIENT), frames, now)
    }

    /// Our client in the place of pppd.
    fn client(name: &str, frames: &[Packet], now: Instant) -> Self {
        let password = if name.ends_with("badpass") {
            WRONG_PASSWORD
        } else {
            PASSWORD
        };
        let said = control_packets_to(SERVER, frames);
        let mut random = magic_number(&said);
        if let Some(response) = find(&said, protocol::CHAP, code::RESPONSE) {
            random.extend(&response[5..5 + 16]);
        }
        let role = Role::Client {
            user: USER.into(),
            password: Zeroizing::new(password.into()),
            allow: vec![
                AuthMethod::Pap,
                AuthMethod::Chap,
                AuthMethod::MsChapV1,
                AuthMethod::MsChapV2,
            ],
        };
        Self::new(role, random, (CLIENT, SERVER), frames, now)
    }

    fn new(
        role: Role,
        random: Vec<u8>,
        (ours, peer): (Ipv4Addr, Ipv4Addr),
        frames: &[Packet],
        now: Instant,
    ) -> Self {
        let config = Config {
            role,
            max_mru: 1400,
            mrru: None,
            rechallenge: None,
            encryption: Encryption::Yes,
            ipv6: UseIpv6::No,
            keepalive: None,
        };
        let mut end = Self {
            link: Link::new(config, Box::new(Scripted(random.into()))),
            session: Session::new(Tunnel {
                ours,
                peer,
                call_id: CallId(call_id_to(ours, frames)),
                peer_call_id: PeerCallId(call_id_to(peer, frames)),
            }),
            sent: Vec::new(),
            heard: Vec::new(),
            proof: None,
            rx: None,
            network: None,
            down: None,
            ipv4: 0,
            not_taken: 0,
        };
        end.link.open(now);
        end.obey(now);
        end
    }

    /// A GRE frame arrives. Returns the control packet that is for the link.
    fn receive(&mut self, now: Instant, gre: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut bytes = gre.to_vec();
        let ticket = match self.session.open(&mut Portable, &bytes, now) {
            Ok(Opened::Ack) => return None,
            Ok(Opened::Plain(ticket)) => ticket,
            Ok(Opened::Sealed { ticket, key, data }) => {
                let data = &mut bytes[data];
                Portable.crypt(&mut [Job { key, data }]);
                ticket
            }
            // No encryption was agreed on. Counted by the session.
            Err(DropReason::MppeNotUp) => return None,
            Err(reason) => panic!("{}: {bytes:02X?}", reason.name()),
        };
        match self.session.accept(ticket, &mut bytes) {
            Ok(Inner::Ip(_)) => self.ipv4 += 1,
            // Decrypted and valid; dropped because IPv6 is not taken, or no network came up.
            Err(DropReason::ProtocolNotUp | DropReason::NoInterface) => self.not_taken += 1,
            Ok(Inner::EchoRequest(at)) => {
                let mut reply = [0; 64];
                self.session.echo_reply(&bytes[at], &mut reply).unwrap();
            }
            Ok(Inner::Control {
                protocol,
                information,
            }) => return Some((protocol, bytes[information].to_vec())),
            Ok(Inner::Fragment | Inner::Reassembled(_)) => panic!("Multilink was not agreed on"),
            // Before the network is up: judged when it is.
            Ok(Inner::Held) => assert!(self.network.is_none(), "nothing is limited"),
            Err(reason) => panic!("{}: {bytes:02X?}", reason.name()),
        }
        None
    }

    /// The packets that came before the network was up.
    fn receive_early(&mut self, now: Instant) {
        for mut packet in self.session.take_early() {
            match self.session.accept_early(&mut packet, 0, now) {
                Ok(Inner::Ip(_)) => self.ipv4 += 1,
                Err(DropReason::ProtocolNotUp) => self.not_taken += 1,
                other => panic!("{other:?}: {packet:02X?}"),
            }
        }
    }

    /// A control packet arrives.
    fn hear(&mut self, now: Instant, protocol: u16, packet: Vec<u8>) {
        match (protocol, packet[0]) {
            (protocol::LCP | protocol::CCP | protocol::IPCP, code::CONFIGURE_ACK) => {
                self.hear_configure_ack(now, protocol, &packet);
            }
            (protocol::CCP, code::CONFIGURE_REQUEST) => {
                // A peer that is not satisfied with our suggestion insists on its own.
                for _ in 0..3 {
                    self.feed(now, protocol, &packet);
                    let answer = self.sent_on(protocol).pop();
                    if answer.is_none_or(|answer| answer[0] != code::CONFIGURE_NAK) {
                        break;
                    }
                }
            }
            _ => self.feed(now, protocol, &packet),
        }
        self.heard.push((protocol, packet));
    }

    /// The Configure-Ack was for another program's request, so it is made to fit ours. That to
    /// other encryption than ours becomes the suggestion to use that one.
    fn hear_configure_ack(&mut self, now: Instant, protocol: u16, ack: &[u8]) {
        let is_for = |request: &[u8]| protocol != protocol::CCP || request[4..] == ack[4..];
        if let Some(asked) = self.asked(protocol).filter(|asked| !is_for(asked)) {
            let nak = [&[code::CONFIGURE_NAK, asked[1]], &ack[2..]].concat();
            self.feed(now, protocol, &nak);
        }
        if let Some(mut asked) = self.asked(protocol).filter(|asked| is_for(asked)) {
            asked[0] = code::CONFIGURE_ACK;
            self.feed(now, protocol, &asked);
        }
    }

    fn feed(&mut self, now: Instant, protocol: u16, packet: &[u8]) {
        self.link.handle_frame(now, protocol, packet);
        self.obey(now);
    }

    /// Does what the link asks for.
    fn obey(&mut self, now: Instant) {
        while let Some(command) = self.link.poll_command() {
            match command {
                Command::Send { protocol, payload } => self.sent.push((protocol, payload)),
                Command::SetLink(options) => self.session.set_link(options),
                Command::Authenticate { user, proof } => {
                    let verdict = verdict(&user, &proof);
                    self.proof = Some((user, proof));
                    self.link.handle_verdict(now, verdict);
                }
                Command::SetMppe { rx, tx, .. } => {
                    self.session.set_mppe(rx.as_ref(), tx.as_ref());
                    if rx.is_some() {
                        self.rx = rx;
                    }
                }
                Command::NetworkUp { network, .. } => {
                    self.network = Some((network.ours, network.peer));
                    self.session.set_interface(Some(InnerAddress {
                        peer: network.peer,
                        check_source: true,
                        ipv6: false,
                        mtu: 1400,
                    }));
                    self.receive_early(now);
                }
                Command::NetworkDown => self.session.set_interface(None),
                Command::Down(cause) => self.down = Some(cause),
                Command::Authenticated { user } => assert_eq!(user, USER),
                Command::Sample | Command::MissedEcho => panic!("there is no keepalive"),
                Command::Refused { .. } | Command::SetIpv6(_) => {}
                Command::ResetMppe => self.session.reset_mppe(),
            }
        }
    }

    /// The last Configure-Request of ours.
    fn asked(&self, protocol: u16) -> Option<Vec<u8>> {
        let mut sent = self.sent_on(protocol).into_iter();
        sent.rfind(|packet| packet[0] == code::CONFIGURE_REQUEST)
    }

    pub(crate) fn sent_on(&self, protocol: u16) -> Vec<Vec<u8>> {
        on(protocol, &self.sent)
    }

    pub(crate) fn heard_on(&self, protocol: u16) -> Vec<Vec<u8>> {
        on(protocol, &self.heard)
    }

    /// Asserts that no packet was ignored that wants an answer.
    pub(crate) fn assert_answered(&self, what: &str) {
        assert!(!self.heard.is_empty(), "{what}");
        for (protocol, heard) in &self.heard {
            let (code, id) = (heard[0], heard[1]);
            let is_answered = |codes: &[u8]| {
                let sent = self.sent_on(*protocol);
                sent.iter()
                    .any(|sent| codes.contains(&sent[0]) && sent[1] == id)
            };
            let answered = match (*protocol, code) {
                // Not spoken here; what is rejected is sent back (RFC 1661 §5.7).
                (protocol::IPV6CP, _) => self.sent_on(protocol::LCP).iter().any(|sent| {
                    sent[0] == code::PROTOCOL_REJECT
                        && sent[4..6] == protocol.to_be_bytes()
                        && sent[6..] == *heard
                }),
                (protocol::CHAP, code::CHALLENGE) => is_answered(&[code::RESPONSE]),
                (protocol::CHAP, code::RESPONSE) => {
                    is_answered(&[code::CHAP_SUCCESS, code::CHAP_FAILURE])
                }
                (protocol::PAP, 1) => is_answered(&[2, 3]),
                (protocol::LCP | protocol::CCP | protocol::IPCP, code::CONFIGURE_REQUEST) => {
                    is_answered(&[code::CONFIGURE_ACK, code::CONFIGURE_NAK])
                }
                (protocol::LCP, code::TERMINATE_REQUEST) => is_answered(&[code::TERMINATE_ACK]),
                _ => true,
            };
            assert!(answered, "{what}: {protocol:04X} {heard:02X?}");
        }
    }
}

/// What the local user database says.
fn verdict(user: &str, proof: &Proof) -> Verdict {
    match proof.check(user, PASSWORD) {
        Some((message, keys)) => Verdict::Accept(Box::new(Accept {
            message,
            keys,
            encryption: Encryption::Yes,
            strengths: None,
            ipv6: UseIpv6::No,
            network: Some(Network {
                ours: SERVER_INNER,
                peer: CLIENT_INNER,
                dns: [None; 2],
                wins: [None; 2],
            }),
        })),
        None => Verdict::Reject {
            refusal: Refusal::WrongLogin,
            message: None,
        },
    }
}

/// Random bytes that are known beforehand, then zeroes.
struct Scripted(VecDeque<u8>);

impl Entropy for Scripted {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.pop_front().unwrap_or(0);
        }
    }
}

/// Codes of LCP, CCP and IPCP, and where so called of CHAP.
mod code {
    pub(crate) const CONFIGURE_REQUEST: u8 = 1;
    pub(crate) const CONFIGURE_ACK: u8 = 2;
    pub(crate) const CONFIGURE_NAK: u8 = 3;
    pub(crate) const TERMINATE_REQUEST: u8 = 5;
    pub(crate) const TERMINATE_ACK: u8 = 6;
    pub(crate) const PROTOCOL_REJECT: u8 = 8;
    pub(crate) const CHALLENGE: u8 = 1;
    pub(crate) const RESPONSE: u8 = 2;
    pub(crate) const CHAP_SUCCESS: u8 = 3;
    pub(crate) const CHAP_FAILURE: u8 = 4;
}

/// What one end was told in clear beside network packets: protocol and packet.
fn control_packets_to(end: Ipv4Addr, frames: &[Packet]) -> Vec<(u16, Vec<u8>)> {
    frames
        .iter()
        .filter(|frame| frame.destination == end)
        .filter_map(|frame| {
            let gre = gre::Packet::new_checked(&frame.payload).unwrap();
            let frame = ppp::Packet::new_checked(gre.payload()).ok()?;
            let is_control = frame.protocol() >= 0x8000;
            is_control.then(|| (frame.protocol(), frame.information().to_vec()))
        })
        .collect()
}

fn on(wanted: u16, packets: &[(u16, Vec<u8>)]) -> Vec<Vec<u8>> {
    let packets = packets.iter().filter(|(protocol, _)| *protocol == wanted);
    packets.map(|(_, packet)| packet.clone()).collect()
}

fn find(packets: &[(u16, Vec<u8>)], protocol: u16, code: u8) -> Option<&[u8]> {
    let wanted = |(of, packet): &&(u16, Vec<u8>)| *of == protocol && packet[0] == code;
    packets.iter().find(wanted).map(|(_, packet)| &packet[..])
}

/// The magic number that an end asked for, as the random bytes that it comes from.
fn magic_number(said: &[(u16, Vec<u8>)]) -> Vec<u8> {
    const MAGIC_NUMBER: u8 = 5;

    let request = find(said, protocol::LCP, code::CONFIGURE_REQUEST).unwrap();
    let mut options = &request[4..];
    while let [kind, length, rest @ ..] = options {
        let (data, after) = rest.split_at(usize::from(*length) - 2);
        if *kind == MAGIC_NUMBER {
            return u32::from_be_bytes(data.try_into().unwrap())
                .to_ne_bytes()
                .to_vec();
        }
        options = after;
    }
    panic!("pppd always asks for one");
}

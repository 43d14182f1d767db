//! One connection to a lying server, with its call.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use greyhound_control::entropy::SystemEntropy;
use greyhound_control::ppp::{
    self, Accept, AuthMethod, Config, Encryption, Link, MppeKeys, Network, Proof, Refusal, Role,
    StartKeys, UseIpv6, Verdict, protocol,
};
use greyhound_control::pptp::wire::{self, Repr};
use greyhound_control::pptp::{self, Connection};
use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::Tunnel;
use greyhound_datapath::mppe::StartKey;
use greyhound_datapath::mppe::engine::{Engine, Job, Portable};
use greyhound_datapath::session::{Inner, InnerAddress, MAX_OVERHEAD, Opened, Session};
use greyhound_datapath::wire::SeqNum;
use greyhound_datapath::wire::gre;
use rustix::net::{SendFlags, sendto};

use super::{Flood, Lie, PASSWORD, Seen, Step};

/// A connection.
pub(super) struct Call {
    lie: Lie,
    pub(super) tcp: TcpStream,
    /// What the TCP connection did not take yet.
    unsent: Vec<u8>,
    ours: Ipv4Addr,
    client: Ipv4Addr,
    id: CallId,
    pptp: Connection,
    /// From the call on.
    ppp: Option<Ppp>,
    hang_up_at: Option<Instant>,
    is_over: bool,
    /// Counts what lies and floods need numbers for.
    count: u32,
}

struct Ppp {
    link: Link,
    session: Session,
    peer: PeerCallId,
    /// The client has spoken.
    is_begun: bool,
    /// LCP is open, or was.
    was_open: bool,
    /// Packets may flow since.
    up: Option<Instant>,
    /// Protocols whose turn has come, of those that are lied in.
    begun: BTreeSet<u16>,
    /// It was told that CCP is closed.
    told: bool,
}

impl Call {
    pub(super) fn new(
        now: Instant,
        lie: Lie,
        tcp: TcpStream,
        (ours, client): (Ipv4Addr, Ipv4Addr),
        id: CallId,
    ) -> Self {
        Self {
            lie,
            tcp,
            unsent: Vec::new(),
            ours,
            client,
            id,
            pptp: Connection::server(now, "liar"),
            ppp: None,
            hang_up_at: None,
            is_over: false,
            count: 0,
        }
    }

    /// Whether the connection is to be closed.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn handle_tcp(
        &mut self,
        now: Instant,
        bytes: &[u8],
        gre: &OwnedFd,
        seen: &mut Seen,
    ) -> Result<()> {
        if let Lie::Garbage(garbage) = &self.lie {
            let garbage = garbage.clone();
            self.write(&garbage);
        } else if self.lie != Lie::Silence {
            self.pptp.handle_data(now, bytes);
        }
        self.pump(now, gre, seen)
    }

    pub(super) fn handle_hangup(
        &mut self,
        now: Instant,
        gre: &OwnedFd,
        seen: &mut Seen,
    ) -> Result<()> {
        self.pptp.handle_hangup(now);
        self.is_over = true;
        self.pump(now, gre, seen)
    }

    /// A GRE frame of this call.
    pub(super) fn handle_gre(
        &mut self,
        now: Instant,
        frame: &mut [u8],
        gre: &OwnedFd,
        seen: &mut Seen,
    ) -> Result<()> {
        let Some(ppp) = &mut self.ppp else {
            return Ok(());
        };
        if !ppp.is_begun {
            ppp.is_begun = true;
            ppp.link.open(now);
        }
        let mut engine = Portable;
        let (ticket, is_clear) = match ppp.session.open(&mut engine, frame, now) {
            Ok(Opened::Plain(ticket)) => (ticket, true),
            Ok(Opened::Sealed { ticket, key, data }) => {
                let data = &mut frame[data];
                engine.crypt(&mut [Job { key, data }]);
                (ticket, false)
            }
            Ok(Opened::Ack) => return Ok(()),
            // The session has lost its keys; the client should not send in clear all the same.
            Err(_) => return Ok(()),
        };
        match ppp.session.accept(ticket, frame) {
            Ok(Inner::Control {
                protocol: number,
                information,
            }) => {
                let payload = frame[information].to_vec();
                if !self.answer(now, number, &payload, gre)?
                    && let Some(ppp) = &mut self.ppp
                {
                    ppp.link.handle_frame(now, number, &payload);
                }
            }
            Ok(Inner::EchoRequest(request)) => {
                let mut out = vec![0; request.len() + MAX_OVERHEAD];
                let length = ppp.session.echo_reply(&frame[request], &mut out);
                let length = length.map_err(|reason| anyhow!("{}", reason.name()))?;
                self.send_gre(gre, &out[..length])?;
            }
            Ok(Inner::Ip(packet)) => {
                seen.clear += usize::from(is_clear);
                if let Some(reply) = echo_reply(&frame[packet]) {
                    self.send_packet(gre, &reply)?;
                }
            }
            Ok(Inner::Held | Inner::Fragment | Inner::Reassembled(_)) | Err(_) => {}
        }
        self.pump(now, gre, seen)
    }

    /// What is due, and what it sends without being asked.
    pub(super) fn tick(&mut self, now: Instant, gre: &OwnedFd, seen: &mut Seen) -> Result<()> {
        if self.hang_up_at.is_some_and(|at| at <= now) {
            self.is_over = true;
        }
        if self.is_over {
            return Ok(());
        }
        if self.lie != Lie::Silence {
            self.pptp.handle_timeout(now);
        }
        if let Some(ppp) = &mut self.ppp {
            ppp.link.handle_timeout(now);
        }
        self.pump(now, gre, seen)?;
        self.write(&[]);
        self.go_on(now, gre, seen)
    }

    /// Does what the machines want, until they want nothing more.
    fn pump(&mut self, now: Instant, gre: &OwnedFd, seen: &mut Seen) -> Result<()> {
        loop {
            if let Some(command) = self.pptp.poll_command() {
                self.on_pptp(now, command);
            } else if let Some(ppp) = &mut self.ppp
                && let Some(command) = ppp.link.poll_command()
            {
                self.on_ppp(now, command, gre, seen)?;
            } else {
                return Ok(());
            }
        }
    }

    fn on_pptp(&mut self, now: Instant, command: pptp::Command) {
        match command {
            pptp::Command::Send(bytes) => self.send_message(now, &bytes),
            pptp::Command::CallRequested { peer_call_id, .. } => {
                if let Lie::RefusesCall(result, error) = self.lie {
                    self.pptp.refuse_call(now, peer_call_id, result, error);
                } else if self.pptp.accept_call(now, peer_call_id, self.id) {
                    self.ppp = Some(self.begin(peer_call_id));
                }
            }
            pptp::Command::CallEnded { .. } => self.ppp = None,
            pptp::Command::Close(_) => self.is_over = true,
            pptp::Command::Traced(..)
            | pptp::Command::Started { .. }
            | pptp::Command::CallConnected { .. } => {}
        }
    }

    fn on_ppp(
        &mut self,
        now: Instant,
        command: ppp::Command,
        gre: &OwnedFd,
        seen: &mut Seen,
    ) -> Result<()> {
        let lie = self.lie.clone();
        let Some(ppp) = &mut self.ppp else {
            return Ok(());
        };
        match command {
            ppp::Command::Send {
                protocol: number,
                mut payload,
            } => {
                ppp.begun.insert(number);
                if lie == Lie::Mute(number) || lie == Lie::Asks(number) {
                    return Ok(());
                }
                if lie == Lie::WeakKeys && number == protocol::CCP {
                    payload = packet(CONFIGURE_REQUEST, 1, &MPPE_40);
                }
                return self.say(gre, number, &payload);
            }
            ppp::Command::SetLink(options) => {
                ppp.was_open |= options.opened;
                ppp.session.set_link(options);
                if options.opened {
                    self.reach(now, Step::LcpOpen);
                }
            }
            ppp::Command::Authenticate { user, proof } => {
                let verdict = self.verdict(&user, &proof);
                if let Some(ppp) = &mut self.ppp {
                    ppp.link.handle_verdict(now, verdict);
                }
            }
            ppp::Command::Authenticated { .. } => self.reach(now, Step::Authenticated),
            ppp::Command::SetMppe { rx, tx, .. } => {
                ppp.session.set_mppe(rx.as_ref(), tx.as_ref());
            }
            ppp::Command::NetworkUp { network, .. } => {
                ppp.session.set_interface(Some(InnerAddress {
                    peer: network.peer,
                    check_source: false,
                    ipv6: false,
                    mtu: MTU,
                }));
                ppp.up = Some(now);
                seen.ups += 1;
                self.reach(now, Step::Up);
            }
            ppp::Command::NetworkDown => ppp.up = None,
            ppp::Command::Down(cause) => self.pptp.clear_call(now, self.id, cause),
            ppp::Command::ResetMppe => ppp.session.reset_mppe(),
            ppp::Command::Refused { .. }
            | ppp::Command::SetIpv6(_)
            | ppp::Command::Sample
            | ppp::Command::MissedEcho => {}
        }
        Ok(())
    }

    fn begin(&self, peer: PeerCallId) -> Ppp {
        let config = Config {
            role: Role::Server {
                name: "liar".to_owned(),
                methods: vec![AuthMethod::MsChapV2],
            },
            max_mru: 1460,
            mrru: None,
            encryption: self.encryption(),
            ipv6: UseIpv6::No,
            keepalive: None,
            rechallenge: None,
        };
        Ppp {
            link: Link::new(config, Box::new(SystemEntropy)),
            session: Session::new(Tunnel {
                ours: self.ours,
                peer: self.client,
                call_id: self.id,
                peer_call_id: peer,
            }),
            peer,
            is_begun: false,
            was_open: false,
            up: None,
            begun: BTreeSet::new(),
            told: false,
        }
    }

    fn encryption(&self) -> Encryption {
        if self.lie == Lie::NoEncryption {
            Encryption::No
        } else {
            Encryption::Yes
        }
    }

    fn verdict(&self, user: &str, proof: &Proof) -> Verdict {
        let Some((mut message, mut keys)) = proof.check(user, PASSWORD) else {
            let refusal = Refusal::WrongLogin;
            let message = None;
            return Verdict::Reject { refusal, message };
        };
        if self.lie == Lie::WrongProof {
            // Of the right length, but of another password.
            message = format!("S={:040X} M=Welcome", 0x0bad_cafe);
        }
        if self.lie == Lie::WrongKeys {
            let keys_of = |byte| StartKeys {
                rx: StartKey([byte; 16]),
                tx: StartKey([byte; 16]),
            };
            keys = Some(MppeKeys {
                bits128: keys_of(0x5a),
                bits40: keys_of(0xa5),
            });
        }
        let [.., number] = self.ours.octets();
        let (ours, peer) = if let Lie::Addresses { server, client } = self.lie {
            (server, client)
        } else {
            let inside = |last| Ipv4Addr::new(10, 9, number, last);
            (inside(1), inside(2))
        };
        Verdict::Accept(Box::new(Accept {
            message,
            keys,
            encryption: self.encryption(),
            strengths: None,
            ipv6: UseIpv6::No,
            network: Some(Network {
                ours,
                peer,
                dns: [None; 2],
                wins: [None; 2],
            }),
        }))
    }

    /// Sends a message of the control connection, which may be bent.
    fn send_message(&mut self, now: Instant, bytes: &[u8]) {
        let message = match (Repr::parse(bytes), &self.lie) {
            (
                Ok(Repr::StartControlConnectionReply(mut reply)),
                &Lie::RefusesStart(result, error),
            ) => {
                (reply.result, reply.error) = (result, error);
                self.hang_up_at = Some(now + A_MOMENT);
                reply.into()
            }
            (Ok(Repr::OutgoingCallReply(mut reply)), Lie::WrongCallId) => {
                reply.peer_call_id ^= 1;
                self.hang_up_at = Some(now + A_MOMENT);
                reply.into()
            }
            (Ok(message), _) => message,
            (Err(_), _) => return,
        };
        self.write(&message.to_bytes());
        if let Repr::StartControlConnectionReply(_) = message {
            self.reach(now, Step::Started);
        } else if let Repr::OutgoingCallReply(_) = message {
            self.reach(now, Step::Called);
        }
    }

    /// It has come so far.
    fn reach(&mut self, now: Instant, step: Step) {
        if self.lie == Lie::HangsUp(step) {
            // What was said last has to arrive before the end.
            self.hang_up_at.get_or_insert(now + A_MOMENT);
        }
    }

    /// Answers a packet as the lie demands; `false` if the lie is not about this one.
    fn answer(&mut self, now: Instant, number: u16, payload: &[u8], gre: &OwnedFd) -> Result<bool> {
        let (Some(&code), Some(&id)) = (payload.first(), payload.get(1)) else {
            return Ok(false);
        };
        let is_request = code == CONFIGURE_REQUEST;
        let is_ccp = number == protocol::CCP;
        let options = payload.get(4..).unwrap_or_default();
        let lie = &self.lie;
        let answer = if *lie == Lie::Mute(number) || *lie == Lie::Asks(number) {
            return Ok(true);
        } else if *lie == Lie::Naks(number) && is_request {
            self.count += 1;
            packet(CONFIGURE_NAK, id, &self.wish(number))
        } else if *lie == Lie::HalfEncryption && is_ccp && is_request {
            let code = if options.is_empty() {
                CONFIGURE_ACK
            } else {
                CONFIGURE_REJECT
            };
            packet(code, id, options)
        } else if *lie == Lie::WeakKeys && is_ccp {
            if !is_request {
                return Ok(true);
            }
            if options == MPPE_40 {
                self.hang_up_at.get_or_insert(now + A_MOMENT);
                packet(CONFIGURE_ACK, id, options)
            } else {
                packet(CONFIGURE_NAK, id, &MPPE_40)
            }
        } else {
            return Ok(false);
        };
        self.say(gre, number, &answer)?;
        Ok(true)
    }

    /// An option of a protocol with another value each time.
    fn wish(&self, number: u16) -> Vec<u8> {
        let [.., high, low] = self.count.to_be_bytes();
        if number == protocol::IPCP {
            vec![3, 6, 10, 9, high, low.max(1)]
        } else {
            // A magic number is the one thing that LCP never has enough of.
            vec![5, 6, 1, 1, high, low]
        }
    }

    /// What it sends of its own accord.
    fn go_on(&mut self, now: Instant, gre: &OwnedFd, seen: &mut Seen) -> Result<()> {
        let Some(ppp) = &mut self.ppp else {
            return Ok(());
        };
        let is_late = |up: Instant| up + A_MOMENT <= now;
        if let Lie::Asks(number) = self.lie {
            if !ppp.begun.contains(&number) {
                return Ok(());
            }
            self.count += 1;
            let [.., id] = self.count.to_be_bytes();
            let wish = self.wish(number);
            self.say(gre, number, &packet(CONFIGURE_REQUEST, id, &wish))
        } else if self.lie == Lie::WrongKeys && ppp.up.is_some() {
            let mut packet = [0; 64];
            packet[0] = 0x45;
            self.send_packet(gre, &packet)
        } else if self.lie == Lie::EndsEncryption && !ppp.told && ppp.up.is_some_and(is_late) {
            ppp.told = true;
            self.say(gre, protocol::CCP, &packet(TERMINATE_REQUEST, 9, &[]))
        } else if let Lie::Floods(flood) = self.lie
            && ppp.was_open
        {
            seen.flooded += BURST;
            (0..BURST).try_for_each(|_| self.flood(flood, gre))
        } else {
            Ok(())
        }
    }

    fn flood(&mut self, flood: Flood, gre: &OwnedFd) -> Result<()> {
        self.count = self.count.wrapping_add(1);
        let number = self.count.wrapping_mul(SPREAD);
        let [.., high, low] = number.to_be_bytes();
        let Some(peer) = self.ppp.as_ref().map(|ppp| ppp.peer) else {
            return Ok(());
        };
        match flood {
            Flood::Echoes => self.say(gre, protocol::LCP, &packet(ECHO_REQUEST, low, &[0; 64])),
            Flood::ConfigureRequests => {
                // What an honest one asks for, with another magic number.
                let mut options = vec![3, 5, 0xc2, 0x23, 0x81, 5, 6];
                options.extend(number.max(1).to_be_bytes());
                let request = packet(CONFIGURE_REQUEST, low, &options);
                self.say(gre, protocol::LCP, &request)
            }
            Flood::ProtocolRejects => {
                let rejected = [0x40 | high & 0x0f, low | 1, 1, 2, 3];
                self.say(gre, protocol::LCP, &packet(PROTOCOL_REJECT, low, &rejected))
            }
            Flood::Numbers => {
                let rest = [0x00, 0xfd, 0x90 | high & 0x0f, low, high, low, high, low];
                let header = gre::Repr {
                    call_id: peer.0,
                    payload_len: 8,
                    seq: Some(SeqNum(number)),
                    ack: Some(SeqNum(!number)),
                };
                let mut frame = vec![0; header.buffer_len()];
                header.emit(&mut gre::Packet::new_unchecked(&mut frame[..]));
                frame.extend(rest);
                self.send_gre(gre, &frame)
            }
            Flood::LinkInfos => {
                let info = Repr::from(wire::SetLinkInfo {
                    peer_call_id: peer.0,
                    send_accm: number,
                    receive_accm: !number,
                });
                self.write(&info.to_bytes());
                Ok(())
            }
        }
    }

    /// Sends an IP packet, encrypted as was agreed on.
    fn send_packet(&mut self, gre: &OwnedFd, packet: &[u8]) -> Result<()> {
        let Some(ppp) = &mut self.ppp else {
            return Ok(());
        };
        let mut out = vec![0; packet.len() + MAX_OVERHEAD];
        let mut engine = Portable;
        let sealed = ppp.session.seal(&mut engine, packet, &mut out);
        let sealed = sealed.map_err(|reason| anyhow!("{}", reason.name()))?;
        if let Some((key, data)) = sealed.encrypt {
            let data = &mut out[data];
            engine.crypt(&mut [Job { key, data }]);
        }
        self.send_gre(gre, &out[..sealed.len])
    }

    fn say(&mut self, gre: &OwnedFd, number: u16, payload: &[u8]) -> Result<()> {
        let Some(ppp) = &mut self.ppp else {
            return Ok(());
        };
        let mut out = vec![0; payload.len() + MAX_OVERHEAD];
        let length = ppp.session.control(number, payload, &mut out);
        let length = length.map_err(|reason| anyhow!("{}", reason.name()))?;
        self.send_gre(gre, &out[..length])
    }

    fn send_gre(&self, gre: &OwnedFd, frame: &[u8]) -> Result<()> {
        match sendto(
            gre,
            frame,
            SendFlags::empty(),
            &SocketAddrV4::new(self.client, 0),
        ) {
            // GRE promises nothing.
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => Ok(()),
            Err(error) => Err(error).context("send GRE"),
        }
    }

    /// Writes to the control connection what it takes, and keeps some of the rest for later.
    fn write(&mut self, bytes: &[u8]) {
        if self.unsent.len() < MOST_UNSENT {
            self.unsent.extend(bytes);
        }
        while !self.unsent.is_empty() {
            match self.tcp.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.is_over = true;
                    return;
                }
            }
        }
    }
}

/// A packet of a PPP control protocol (RFC 1661 §5).
fn packet(code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + data.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    let mut packet = vec![code, id, high, low];
    packet.extend(data);
    packet
}

/// The answer to an ICMP echo request without IP options, whoever it is for.
fn echo_reply(packet: &[u8]) -> Option<Vec<u8>> {
    const ECHO_REQUEST: u8 = 8;
    const ICMP: u8 = 1;

    let (&0x45, &ICMP, &ECHO_REQUEST) = (packet.first()?, packet.get(9)?, packet.get(20)?) else {
        return None;
    };
    let mut reply = packet.to_vec();
    reply[12..16].copy_from_slice(packet.get(16..20)?);
    reply[16..20].copy_from_slice(packet.get(12..16)?);
    reply[20] = 0;
    // RFC 1624: the sum grows by what the type and code have shrunk by.
    let sum = u16::from_be_bytes([*packet.get(22)?, *packet.get(23)?]);
    let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([ECHO_REQUEST, 0]));
    let sum = sum + u16::from(carry);
    reply[22..24].copy_from_slice(&sum.to_be_bytes());
    Some(reply)
}

/// How long what was said last has to arrive before the end.
const A_MOMENT: Duration = Duration::from_millis(300);

/// What a flood sends each tick.
const BURST: usize = 100;

/// Makes numbers that follow each other far apart.
const SPREAD: u32 = 0x9e37_79b9;

const MOST_UNSENT: usize = 1 << 16;

const MTU: u16 = 1400;

/// CCP's option for MPPE, stateless and of 40 bit (RFC 3078 §2.1).
const MPPE_40: [u8; 6] = [18, 6, 1, 0, 0, 0x20];

/// RFC 1661 §5.
const CONFIGURE_REQUEST: u8 = 1;
const CONFIGURE_ACK: u8 = 2;
const CONFIGURE_NAK: u8 = 3;
const CONFIGURE_REJECT: u8 = 4;
const TERMINATE_REQUEST: u8 = 5;
const PROTOCOL_REJECT: u8 = 8;
const ECHO_REQUEST: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_an_echo_request_goes_back_and_has_its_checksum() {
        let mut request = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0];
        request.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        request.extend([8, 0, 0xf7, 0xfd, 0, 1, 0, 1]);

        let reply = echo_reply(&request).unwrap();

        assert_eq!(reply[12..20], [10, 0, 0, 2, 10, 0, 0, 1]);
        assert_eq!(reply[20..], [0, 0, 0xff, 0xfd, 0, 1, 0, 1]);
        assert_eq!(echo_reply(&reply), None);
        assert_eq!(echo_reply(&request[..21]), None);
    }
}

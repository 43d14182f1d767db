//! Two links back to back under virtual time, and one link against the frames of real peers.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for some commands among all"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use zeroize::Zeroizing;

use super::*;
use crate::entropy::CountingEntropy;
use crate::ppp::{Ipv6, Proof, Refusal};

mod authentication;
mod encryption;
mod endings;
mod establishment;
mod faults;
mod hostile;
mod interop;
mod ipv6;
mod keepalive;
mod multilink;
mod renegotiation;
mod stateful;

const USER: &str = "User1";
const PASSWORD: &str = "StrongPass-1";

const NETWORK: Network = Network {
    ours: Ipv4Addr::new(10, 77, 1, 1),
    peer: Ipv4Addr::new(10, 77, 1, 100),
    dns: [Some(Ipv4Addr::new(9, 9, 9, 9)), None],
    wins: [None, None],
};

fn server() -> Config {
    Config {
        role: Role::Server {
            name: "greyhound".into(),
            methods: vec![AuthMethod::MsChapV1, AuthMethod::MsChapV2],
        },
        max_mru: 1460,
        mrru: None,
        encryption: Encryption::Yes,
        ipv6: UseIpv6::No,
        keepalive: None,
        rechallenge: None,
    }
}

fn server_with(methods: &[AuthMethod]) -> Config {
    Config {
        role: Role::Server {
            name: "greyhound".into(),
            methods: methods.to_vec(),
        },
        ..server()
    }
}

fn client() -> Config {
    client_with(PASSWORD, &ALL_METHODS)
}

fn client_with(password: &str, allow: &[AuthMethod]) -> Config {
    Config {
        role: Role::Client {
            user: format!("DOMAIN\\{USER}"),
            password: Zeroizing::new(password.into()),
            allow: allow.to_vec(),
        },
        max_mru: 1400,
        mrru: None,
        encryption: Encryption::Yes,
        ipv6: UseIpv6::No,
        keepalive: None,
        rechallenge: None,
    }
}

const ALL_METHODS: [AuthMethod; 4] = [
    AuthMethod::Pap,
    AuthMethod::Chap,
    AuthMethod::MsChapV1,
    AuthMethod::MsChapV2,
];

/// What the local user database says.
fn verdict(user: &str, proof: &Proof, encryption: Encryption) -> Verdict {
    match proof.check(user, PASSWORD) {
        Some((message, keys)) if user.ends_with(USER) => Verdict::Accept(Box::new(Accept {
            message,
            keys,
            encryption,
            strengths: None,
            ipv6: UseIpv6::No,
            network: Some(NETWORK),
        })),
        Some(_) | None => Verdict::Reject {
            refusal: Refusal::WrongLogin,
            message: None,
        },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Server,
    Client,
}

/// One end: the link and what its caller and its datapath know.
struct Side {
    link: Link,
    /// Everything but Send and Sample.
    log: Vec<Command>,
    sent: Vec<(u16, Vec<u8>)>,
    rx: Option<Parameters>,
    tx: Option<Parameters>,
    rx_frames: u64,
    undecryptable: u64,
}

/// What may happen to a frame, in percent of all frames.
#[derive(Clone, Copy, Default)]
struct Faults {
    lost: u64,
    duplicated: u64,
    /// Delayed by up to 50 ms more than the usual 10.
    delayed: u64,
}

enum Frame {
    Control(u16, Vec<u8>),
    /// A packet under the keys that its sender has.
    Data(Parameters),
}

/// Two links and the network between them.
struct Pair {
    server: Side,
    client: Side,
    now: Instant,
    in_flight: BTreeMap<(Instant, u64), (End, Frame)>,
    frames: u64,
    faults: Faults,
    random: u64,
    /// The policy of the user's profile.
    encryption: Encryption,
    strengths: Option<Strengths>,
    ipv6: UseIpv6,
    /// The addresses of the user.
    network: Option<Network>,
}

impl Side {
    fn new(config: Config, seed: u8) -> Self {
        Self {
            link: Link::new(config, Box::new(CountingEntropy(seed))),
            log: Vec::new(),
            sent: Vec::new(),
            rx: None,
            tx: None,
            rx_frames: 0,
            undecryptable: 0,
        }
    }

    fn is_up(&self) -> bool {
        let ups = self.count(|command| matches!(command, Command::NetworkUp { .. }));
        let downs = self.count(|command| matches!(command, Command::NetworkDown));
        assert!(ups == downs || ups == downs + 1, "{:?}", self.log);
        ups > downs
    }

    fn count(&self, wanted: fn(&Command) -> bool) -> usize {
        self.log.iter().filter(|command| wanted(command)).count()
    }

    fn down(&self) -> Option<Cause> {
        let causes: Vec<_> = self
            .log
            .iter()
            .filter_map(|command| match command {
                Command::Down(cause) => Some(*cause),
                _ => None,
            })
            .collect();
        assert!(causes.len() <= 1, "{:?}", self.log);
        causes.first().copied()
    }

    fn encoding(&self) -> String {
        self.log
            .iter()
            .rev()
            .find_map(|command| match command {
                Command::SetMppe { encoding, .. } => Some(encoding.to_string()),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// How often a packet with this code was sent.
    fn sent(&self, protocol: u16, code: u8) -> usize {
        self.sent
            .iter()
            .filter(|(number, payload)| (*number, payload[0]) == (protocol, code))
            .count()
    }
}

impl Pair {
    fn new(server: Config, client: Config) -> Self {
        Self {
            encryption: server.encryption,
            strengths: None,
            ipv6: server.ipv6,
            network: Some(NETWORK),
            server: Side::new(server, 1),
            client: Side::new(client, 97),
            now: start(),
            in_flight: BTreeMap::new(),
            frames: 0,
            faults: Faults::default(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Two ends that came up.
    fn up() -> Self {
        let mut pair = Self::new(server(), client());
        pair.open();
        pair.run(Duration::from_secs(2));
        assert!(pair.server.is_up() && pair.client.is_up());
        pair
    }

    fn open(&mut self) {
        self.server.link.open(self.now);
        self.client.link.open(self.now);
    }

    /// Lets the time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for step in 0.. {
            assert!(step < 100_000, "the links never rest");
            self.flush(End::Server);
            self.flush(End::Client);
            let frame = self.in_flight.keys().next().copied();
            let frame_at = frame.map(|(at, _)| at);
            let timers = [
                self.server.link.poll_timeout(),
                self.client.link.poll_timeout(),
            ];
            let next = timers.into_iter().flatten().chain(frame_at).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if frame_at == Some(next) {
                let (_, (to, frame)) = self.in_flight.pop_first().unwrap();
                self.deliver(to, frame);
            } else {
                for side in [&mut self.server, &mut self.client] {
                    if side.link.poll_timeout().is_some_and(|at| at <= self.now) {
                        side.link.handle_timeout(self.now);
                    }
                }
            }
        }
        self.now = end;
    }

    /// Lets the time pass in steps until something holds; it has a minute.
    fn run_until(&mut self, step: Duration, holds: impl Fn(&Self) -> bool) {
        let deadline = self.now + Duration::from_secs(60);
        while !holds(self) {
            assert!(self.now < deadline, "never came");
            self.run(step);
        }
    }

    fn deliver(&mut self, to: End, frame: Frame) {
        let now = self.now;
        let side = self.side(to);
        side.rx_frames += 1;
        match frame {
            Frame::Control(protocol, payload) => side.link.handle_frame(now, protocol, &payload),
            Frame::Data(parameters) if side.rx.as_ref() == Some(&parameters) => {}
            Frame::Data(_) => side.undecryptable += 1,
        }
    }

    /// Carries out what an end commands.
    fn flush(&mut self, end: End) {
        while let Some(command) = self.side(end).link.poll_command() {
            assert_eq!(self.side(end).down(), None, "{command:?} after Down");
            let (now, encryption, network) = (self.now, self.encryption, self.network);
            let (strengths, ipv6) = (self.strengths, self.ipv6);
            let side = self.side(end);
            match &command {
                Command::Send { protocol, payload } => {
                    side.sent.push((*protocol, payload.clone()));
                    self.transmit(end, || Frame::Control(*protocol, payload.clone()));
                    continue;
                }
                Command::Sample => {
                    side.link.handle_activity(now, side.rx_frames);
                    continue;
                }
                Command::Authenticate { user, proof } => {
                    let mut verdict = verdict(user, proof, encryption);
                    if let Verdict::Accept(accept) = &mut verdict {
                        accept.network = network;
                        accept.strengths = strengths;
                        accept.ipv6 = ipv6;
                    }
                    side.link.handle_verdict(now, verdict);
                }
                Command::SetMppe { rx, tx, .. } => {
                    (side.rx, side.tx) = (rx.clone(), tx.clone());
                    // The boldest datapath there can be: it encrypts as soon as it may.
                    if let Some(parameters) = tx {
                        self.transmit(end, || Frame::Data(parameters.clone()));
                    }
                }
                Command::NetworkUp { .. } => {
                    if let Some(parameters) = side.tx.clone() {
                        self.transmit(end, || Frame::Data(parameters.clone()));
                    }
                }
                Command::SetLink(_)
                | Command::Authenticated { .. }
                | Command::NetworkDown
                | Command::MissedEcho
                | Command::Refused { .. }
                | Command::ResetMppe
                | Command::SetIpv6(_)
                | Command::Down(_) => {}
            }
            self.side(end).log.push(command);
        }
    }

    fn transmit(&mut self, from: End, frame: impl Fn() -> Frame) {
        let to = match from {
            End::Server => End::Client,
            End::Client => End::Server,
        };
        let copies = 1 + u64::from(self.percent() < self.faults.duplicated);
        for _ in 0..copies {
            if self.percent() < self.faults.lost {
                continue;
            }
            let mut delay = 10;
            if self.percent() < self.faults.delayed {
                delay += self.percent() / 2;
            }
            self.frames += 1;
            let at = self.now + Duration::from_millis(delay);
            self.in_flight.insert((at, self.frames), (to, frame()));
        }
    }

    /// xorshift64: the same faults in each run.
    fn percent(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Server => &mut self.server,
            End::Client => &mut self.client,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
fn start() -> Instant {
    Instant::now()
}

fn drain(link: &mut Link) -> Vec<Command> {
    std::iter::from_fn(|| link.poll_command()).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks_exact(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).unwrap();
            u8::from_str_radix(pair, 16).unwrap()
        })
        .collect()
}

fn packet(code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    Packet { code, id, data }.emit()
}

/// The payloads that are sent on `protocol`.
fn sent_on(commands: &[Command], wanted: u16) -> Vec<Vec<u8>> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Send { protocol, payload } if *protocol == wanted => Some(payload.clone()),
            _ => None,
        })
        .collect()
}

/// Opens LCP with a peer that does whatever the link asks. The time when it is open.
fn open_lcp(link: &mut Link) -> Instant {
    let now = start();
    link.open(now);
    let request = sent_on(&drain(link), protocol::LCP).remove(0);
    let mut ack = request;
    ack[0] = 2;
    link.handle_frame(now, protocol::LCP, &ack);
    let peers = packet(1, 1, &hex("010405780206000000000506184213c107020802"));
    link.handle_frame(now, protocol::LCP, &peers);
    now
}

/// Then logs in. The time, the peer's Response and the Success for it.
fn authenticate(link: &mut Link) -> (Instant, Vec<u8>, Vec<u8>) {
    authenticate_with(link, UseIpv6::No)
}

/// The same as a user with this policy.
fn authenticate_with(link: &mut Link, ipv6: UseIpv6) -> (Instant, Vec<u8>, Vec<u8>) {
    let (now, response) = log_in_with(link, |accept| accept.ipv6 = ipv6);
    let Some(Command::Send { payload, .. }) = link.poll_command() else {
        panic!("no success");
    };
    (now, response, payload)
}

/// The same as a user about whom this is said: the time and the peer's Response.
fn log_in_with(link: &mut Link, about: impl FnOnce(&mut Accept)) -> (Instant, Vec<u8>) {
    let now = open_lcp(link);
    let challenge = sent_on(&drain(link), protocol::CHAP).remove(0);
    let password = Zeroizing::new(PASSWORD.to_owned());
    let mut claimant = Claimant::new(now, AuthMethod::MsChapV2, USER, &password);
    let Heard::Answer(response) = claimant.handle_packet(now, &challenge, &mut CountingEntropy(3))
    else {
        panic!("no response to the challenge");
    };
    link.handle_frame(now, protocol::CHAP, &response);
    let Some(Command::Authenticate { user, proof }) = link.poll_command() else {
        panic!("the response was not passed on");
    };
    let mut verdict = verdict(&user, &proof, Encryption::Yes);
    if let Verdict::Accept(accept) = &mut verdict {
        about(accept);
    }
    link.handle_verdict(now, verdict);
    (now, response)
}

/// Then brings CCP up.
fn encrypt(link: &mut Link) -> Instant {
    let (now, ..) = authenticate(link);
    let mut ack = sent_on(&drain(link), protocol::CCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::CCP, &ack);
    let request = packet(1, 1, &hex("120601000040"));
    link.handle_frame(now, protocol::CCP, &request);
    now
}

/// Then IPCP.
fn bring_up(link: &mut Link) -> Instant {
    let now = encrypt(link);
    let mut ack = sent_on(&drain(link), protocol::IPCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::IPCP, &ack);
    let request = packet(1, 1, &hex("03060a4d0164"));
    link.handle_frame(now, protocol::IPCP, &request);
    assert!(
        drain(link)
            .iter()
            .any(|command| matches!(command, Command::NetworkUp { .. }))
    );
    now
}

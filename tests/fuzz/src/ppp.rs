//! What the targets about PPP share: links as a script configures them, the checks of what a link
//! says, and packets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use greyhound_control::cause::Cause;
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::ppp::{
    Accept, AuthMethod, Command, Config, Encryption, Link, MppeKeys, Network, Proof, Refusal, Role,
    StartKeys, Strengths, UseIpv6, Verdict, protocol,
};
use greyhound_datapath::mppe::StartKey;
use zeroize::Zeroizing;

use crate::input::Input;

pub(crate) const USER: &str = "User1";
pub(crate) const PASSWORD: &str = "StrongPass-1";

pub(crate) const CONFIGURE_REQUEST: u8 = 1;
pub(crate) const CONFIGURE_ACK: u8 = 2;

const METHODS: [AuthMethod; 4] = [
    AuthMethod::Pap,
    AuthMethod::Chap,
    AuthMethod::MsChapV1,
    AuthMethod::MsChapV2,
];

/// A configuration, of three bytes.
pub(crate) fn config(is_client: bool, input: &mut Input<'_>) -> Config {
    let (policy, methods, more) = (input.u8(), input.u8(), input.u8());
    let mut methods: Vec<_> = (0..4)
        .filter(|bit| methods >> bit & 1 != 0)
        .map(|bit| METHODS[bit])
        .collect();
    if methods.is_empty() {
        methods = vec![AuthMethod::Pap];
    }
    let role = if is_client {
        Role::Client {
            user: USER.into(),
            password: Zeroizing::new(PASSWORD.into()),
            allow: methods,
        }
    } else {
        Role::Server {
            name: "greyhound".into(),
            methods,
        }
    };
    Config {
        role,
        max_mru: if more & 1 != 0 { 1500 } else { 1460 },
        mrru: (more & 2 != 0).then_some(1600),
        encryption: encryption(policy),
        ipv6: ipv6(policy >> 2),
        keepalive: (policy & 0x10 != 0).then_some(Duration::from_secs(30)),
        rechallenge: (policy & 0x20 != 0).then_some(Duration::from_secs(600)),
    }
}

const fn encryption(policy: u8) -> Encryption {
    match policy & 3 {
        0 => Encryption::No,
        3 => Encryption::Required,
        _ => Encryption::Yes,
    }
}

const fn ipv6(policy: u8) -> UseIpv6 {
    match policy & 3 {
        0 => UseIpv6::No,
        3 => UseIpv6::Required,
        _ => UseIpv6::Yes,
    }
}

/// What the authenticator says, whatever was proved: one byte, and one for the user's policies.
pub(crate) fn verdict(input: &mut Input<'_>) -> Verdict {
    let choice = input.u8();
    if choice & 7 == 7 {
        let refusals = [
            Refusal::WrongLogin,
            Refusal::RestrictedHours,
            Refusal::Disabled,
            Refusal::PasswordExpired,
            Refusal::NoPermission,
        ];
        return Verdict::Reject {
            refusal: refusals[usize::from(choice >> 3) % refusals.len()],
            message: (choice & 0x80 != 0).then(|| "Not you\r\n".repeat(usize::from(choice))),
        };
    }
    let policy = input.u8();
    let keys = StartKeys {
        rx: StartKey([1; 16]),
        tx: StartKey([2; 16]),
    };
    let keys = MppeKeys {
        bits128: keys.clone(),
        bits40: keys,
    };
    accept(
        "S=0123456789ABCDEF0123456789ABCDEF01234567 M=Hello".into(),
        (choice & 8 == 0).then_some(keys),
        policy,
        choice & 0x10 == 0,
    )
}

/// What an authenticator says that knows the password.
pub(crate) fn honest_verdict(user: &str, proof: &Proof, policy: u8) -> Verdict {
    match proof.check(user, PASSWORD) {
        Some((message, keys)) => accept(message, keys, policy, true),
        None => Verdict::Reject {
            refusal: Refusal::WrongLogin,
            message: None,
        },
    }
}

fn accept(message: String, keys: Option<MppeKeys>, policy: u8, addresses: bool) -> Verdict {
    Verdict::Accept(Box::new(Accept {
        message,
        keys,
        encryption: encryption(policy),
        strengths: (policy & 0x10 != 0).then(|| Strengths::from_types(u32::from(policy >> 4))),
        ipv6: ipv6(policy >> 2),
        network: addresses.then_some(Network {
            ours: Ipv4Addr::new(10, 77, 1, 1),
            peer: Ipv4Addr::new(10, 77, 1, 100),
            dns: [Some(Ipv4Addr::new(9, 9, 9, 9)), None],
            wins: [None, Some(Ipv4Addr::new(9, 9, 9, 10))],
        }),
    }))
}

/// A link, and what was seen of it.
pub(crate) struct Watched {
    pub(crate) link: Link,
    /// What it sent and nobody has taken.
    pub(crate) sent: Vec<(u16, Vec<u8>)>,
    /// Its last packet of each protocol and code.
    pub(crate) last: BTreeMap<(u16, u8), Vec<u8>>,
    /// Proofs to be judged.
    pub(crate) asks: Vec<(String, Proof)>,
    pub(crate) down: Option<Cause>,
    pub(crate) up: Option<Network>,
    /// How many frames the datapath has counted.
    pub(crate) rx_frames: u64,
    opened: bool,
    authenticated: bool,
    encrypted: (bool, bool),
    /// Without it nothing may be carried.
    encryption: Encryption,
}

impl Watched {
    pub(crate) fn new(config: Config, seed: u8) -> Self {
        Self {
            encryption: config.encryption,
            link: Link::new(config, Box::new(CountingEntropy(seed))),
            sent: Vec::new(),
            last: BTreeMap::new(),
            asks: Vec::new(),
            down: None,
            up: None,
            rx_frames: 0,
            opened: false,
            authenticated: false,
            encrypted: (false, false),
        }
    }

    pub(crate) fn open(&mut self, now: Instant) {
        self.link.open(now);
        self.obey(now);
    }

    pub(crate) fn hear(&mut self, now: Instant, protocol: u16, payload: &[u8]) {
        self.rx_frames += 1;
        self.link.handle_frame(now, protocol, payload);
        self.obey(now);
    }

    pub(crate) fn judge(&mut self, now: Instant, verdict: Verdict) {
        // The policy is the user's from now on, if there was anybody to ask about.
        if let Verdict::Accept(accept) = &verdict
            && !self.asks.is_empty()
            && self.up.is_none()
        {
            self.encryption = accept.encryption;
        }
        self.asks.clear();
        self.link.handle_verdict(now, verdict);
        self.obey(now);
    }

    /// What is due by now is done.
    pub(crate) fn time_out(&mut self, now: Instant) {
        for _ in 0..4 {
            self.link.handle_timeout(now);
            self.obey(now);
            if self.link.poll_timeout().is_none_or(|at| at > now) {
                return;
            }
        }
        let due = self.link.poll_timeout();
        assert!(due.is_none_or(|at| at > now), "a deadline stays due");
    }

    pub(crate) fn obey(&mut self, now: Instant) {
        for count in 0.. {
            let Some(command) = self.link.poll_command() else {
                break;
            };
            assert_eq!(self.down, None, "{command:?} after the end");
            assert!(count < 64, "too much is said at once");
            match command {
                Command::Send { protocol, payload } => self.on_send(protocol, payload),
                Command::SetLink(options) => self.opened = options.opened,
                Command::Authenticate { user, proof } => {
                    assert!(self.asks.is_empty(), "one proof at a time");
                    self.asks.push((user, proof));
                }
                Command::Authenticated { .. } => self.authenticated = true,
                Command::SetMppe { rx, tx, encoding } => {
                    self.encrypted = (rx.is_some(), tx.is_some());
                    let _ = encoding.to_string();
                }
                Command::NetworkUp {
                    network,
                    peer_mru,
                    our_mru,
                    ..
                } => {
                    assert!(self.up.is_none(), "up twice");
                    assert!(self.opened && self.authenticated);
                    assert!(peer_mru >= 64 && our_mru >= 64);
                    if self.encryption == Encryption::Required {
                        assert_ne!(self.encrypted, (false, false), "up without encryption");
                    }
                    self.up = Some(network);
                }
                Command::NetworkDown => assert!(self.up.take().is_some(), "down twice"),
                Command::Sample => self.link.handle_activity(now, self.rx_frames),
                Command::SetIpv6(_)
                | Command::Refused { .. }
                | Command::ResetMppe
                | Command::MissedEcho => {}
                Command::Down(cause) => {
                    assert!(self.up.is_none(), "ended with its network up");
                    assert_eq!(self.link.poll_timeout(), None);
                    self.down = Some(cause);
                }
            }
        }
        assert!(self.sent.len() < 4096);
    }

    fn on_send(&mut self, protocol: u16, payload: Vec<u8>) {
        assert!(payload.len() >= 4 && payload.len() <= 1500);
        let length = u16::from_be_bytes([payload[2], payload[3]]);
        assert_eq!(usize::from(length), payload.len(), "{protocol:04X}");
        if protocol != protocol::LCP {
            assert!(self.opened, "{protocol:04X} before LCP is open");
        }
        if matches!(protocol, protocol::CCP | protocol::IPCP | protocol::IPV6CP) {
            assert!(self.authenticated, "{protocol:04X} before authentication");
        }
        self.last.insert((protocol, payload[0]), payload.clone());
        self.sent.push((protocol, payload));
    }
}

const PROTOCOLS: [u16; 12] = [
    protocol::LCP,
    protocol::PAP,
    protocol::CHAP,
    protocol::CCP,
    protocol::IPCP,
    protocol::IPV6CP,
    protocol::IP,
    protocol::IPV6,
    0x00fd,
    0x8281,
    0xc227,
    0x00ff,
];

/// A protocol, of one byte or three.
pub(crate) fn protocol(input: &mut Input<'_>) -> u16 {
    let which = input.below(16);
    PROTOCOLS.get(which).copied().unwrap_or_else(|| input.u16())
}

/// The options that a packet may have.
const OPTIONS: &[&[u8]] = &[
    // LCP
    &[1, 4, 0x05, 0xb4],
    &[1, 4, 0x00, 0x40],
    &[1, 4, 0xff, 0xff],
    &[2, 6, 0, 0, 0, 0],
    &[3, 4, 0xc0, 0x23],
    &[3, 5, 0xc2, 0x23, 5],
    &[3, 5, 0xc2, 0x23, 0x80],
    &[3, 5, 0xc2, 0x23, 0x81],
    &[3, 4, 0xc2, 0x27],
    &[4, 4, 0xc0, 0x25],
    &[5, 6, 1, 2, 3, 4],
    &[5, 6, 0, 0, 0, 0],
    &[7, 2],
    &[8, 2],
    &[13, 3, 6],
    &[17, 4, 0x06, 0x40],
    &[18, 2],
    &[19, 9, 3, 1, 2, 3, 4, 5, 6],
    // CCP
    &[18, 6, 1, 0, 0, 0x40],
    &[18, 6, 0, 0, 0, 0x40],
    &[18, 6, 1, 0, 0, 0x20],
    &[18, 6, 1, 0, 0, 0xe0],
    &[18, 6, 1, 0, 0, 0x41],
    &[18, 6, 0, 0, 0, 0],
    &[26, 4, 0x78, 0],
    &[21, 3, 0x2f],
    // IPCP
    &[3, 6, 0, 0, 0, 0],
    &[3, 6, 10, 77, 1, 100],
    &[3, 6, 10, 77, 1, 1],
    &[129, 6, 0, 0, 0, 0],
    &[130, 6, 0, 0, 0, 0],
    &[131, 6, 9, 9, 9, 9],
    &[132, 6, 0, 0, 0, 0],
    &[2, 6, 0, 0x2d, 0x0f, 1],
    &[1, 10, 1, 1, 1, 1, 2, 2, 2, 2],
    // IPV6CP
    &[1, 10, 0, 0, 0, 0, 0, 0, 0, 0],
    &[1, 10, 2, 0, 0, 0, 0, 0, 0, 5],
    // Nonsense
    &[5, 0],
    &[5, 1],
    &[1, 2],
    &[3, 200],
    &[],
];

/// A packet: code, identifier, length, and a body made in one of several ways.
pub(crate) fn packet(
    input: &mut Input<'_>,
    protocol: u16,
    last: &BTreeMap<(u16, u8), Vec<u8>>,
) -> Vec<u8> {
    let code = input.u8();
    let how = input.u8();
    let asked = last.get(&(protocol, CONFIGURE_REQUEST));
    // What an answer must repeat is what was asked.
    let id = if how & 1 != 0 {
        input.u8()
    } else {
        asked.map_or(1, |asked| asked[1])
    };
    let mut body = Vec::new();
    if how & 2 != 0 {
        body.extend(asked.map_or(&[][..], |asked| &asked[4..]));
    }
    for _ in 0..how >> 2 & 3 {
        body.extend(input.one_of(OPTIONS));
    }
    if how & 0x10 != 0 {
        body.extend(input.bytes());
    }
    if how & 0x20 != 0 && !body.is_empty() {
        let at = input.below(body.len());
        body[at] = input.u8();
    }
    let mut length = 4 + body.len();
    if how & 0x40 != 0 {
        length = usize::from(input.u8());
    }
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![code & 31, id, length[0], length[1]];
    packet.extend(body);
    if how & 0x80 != 0 {
        packet.truncate(usize::from(input.u8()));
    }
    packet
}

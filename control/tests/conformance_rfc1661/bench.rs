//! The machine under test, and a peer that a case plays by hand.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use greyhound_control::cause::Cause;
use greyhound_control::entropy::{CountingEntropy, Entropy};
use greyhound_control::ppp::{
    Accept, AuthMethod, Command, Config, Encryption, Link, MppeKeys, Network, Role, StartKeys,
    UseIpv6, Verdict, protocol,
};
use greyhound_datapath::ipc::LinkOptions;
use greyhound_datapath::mppe::StartKey;
use zeroize::Zeroizing;

/// Codes of RFC 1661 §5.
pub(crate) mod code {
    pub(crate) const CONFIGURE_REQUEST: u8 = 1;
    pub(crate) const CONFIGURE_ACK: u8 = 2;
    pub(crate) const CONFIGURE_NAK: u8 = 3;
    pub(crate) const CONFIGURE_REJECT: u8 = 4;
    pub(crate) const TERMINATE_REQUEST: u8 = 5;
    pub(crate) const TERMINATE_ACK: u8 = 6;
    pub(crate) const CODE_REJECT: u8 = 7;
    pub(crate) const PROTOCOL_REJECT: u8 = 8;
    pub(crate) const ECHO_REQUEST: u8 = 9;
    pub(crate) const ECHO_REPLY: u8 = 10;
    pub(crate) const DISCARD_REQUEST: u8 = 11;
}

/// Types of RFC 1661 §6 and RFC 1662 §7.1.
pub(crate) mod option {
    pub(crate) const MRU: u8 = 1;
    pub(crate) const ACCM: u8 = 2;
    pub(crate) const AUTHENTICATION: u8 = 3;
    pub(crate) const QUALITY: u8 = 4;
    pub(crate) const MAGIC_NUMBER: u8 = 5;
    pub(crate) const PFC: u8 = 7;
    pub(crate) const ACFC: u8 = 8;
}

/// RFC 1661 §4.6: the default of the Restart timer.
pub(crate) const RESTART: Duration = Duration::from_secs(3);
/// How long our last answer has before the call is taken away.
pub(crate) const PARTING: Duration = Duration::from_millis(300);
/// What the peer asks for if nothing else is said: MRU 1400, a map of control characters, a magic
/// number, both compressions.
pub(crate) const WISH: &[u8] = &[
    1, 4, 0x05, 0x78, 2, 6, 0, 0, 0, 0, 5, 6, 0x18, 0x42, 0x13, 0xc1, 7, 2, 8, 2,
];
/// The peer's magic number in [`WISH`].
pub(crate) const PEER_MAGIC: [u8; 4] = [0x18, 0x42, 0x13, 0xc1];
/// The addresses that a server gives out.
pub(crate) const NETWORK: Network = Network {
    ours: Ipv4Addr::new(10, 77, 1, 1),
    peer: Ipv4Addr::new(10, 77, 1, 100),
    dns: [None, None],
    wins: [None, None],
};
/// What a peer asks for in IPCP to be agreed to at once.
pub(crate) const PEER_ADDRESS: &[u8] = &[3, 6, 10, 77, 1, 100];

/// What a PPP frame carries: the protocol number and the information field.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) protocol: u16,
    pub(crate) bytes: Vec<u8>,
}

/// In hexadecimal, as RFCs and captures have it.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}[", self.protocol)?;
        for byte in &self.bytes {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("]")
    }
}

impl Frame {
    pub(crate) fn new(protocol: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            protocol,
            bytes: bytes.into(),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        self.bytes[0]
    }

    pub(crate) fn id(&self) -> u8 {
        self.bytes[1]
    }

    /// What follows the header of four bytes.
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[4..]
    }

    /// The data of this option; `None` if it is not there.
    pub(crate) fn option(&self, kind: u8) -> Option<Vec<u8>> {
        let mut bytes = self.data();
        while let [found, length, ..] = bytes {
            let (one, rest) = bytes.split_at(usize::from(*length));
            if *found == kind {
                return Some(one[2..].to_vec());
            }
            bytes = rest;
        }
        None
    }

    /// The types of all options, in order.
    pub(crate) fn kinds(&self) -> Vec<u8> {
        let mut kinds = Vec::new();
        let mut bytes = self.data();
        while let [kind, length, ..] = bytes {
            kinds.push(*kind);
            bytes = &bytes[usize::from(*length)..];
        }
        kinds
    }

    /// The same packet with another code: an answer to a request.
    pub(crate) fn with_code(&self, code: u8) -> Self {
        let mut answer = self.clone();
        answer.bytes[0] = code;
        answer
    }

    /// The same packet with another identifier.
    pub(crate) fn with_id(&self, id: u8) -> Self {
        let mut other = self.clone();
        other.bytes[1] = id;
        other
    }
}

/// A packet with the header that all control protocols share.
pub(crate) fn packet(code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + data.len()).unwrap().to_be_bytes();
    [&[code, id], &length[..], data].concat()
}

pub(crate) fn lcp(code: u8, id: u8, data: &[u8]) -> Frame {
    Frame::new(protocol::LCP, packet(code, id, data))
}

pub(crate) fn ipcp(code: u8, id: u8, data: &[u8]) -> Frame {
    Frame::new(protocol::IPCP, packet(code, id, data))
}

pub(crate) fn ccp(code: u8, id: u8, data: &[u8]) -> Frame {
    Frame::new(protocol::CCP, packet(code, id, data))
}

pub(crate) fn pap(code: u8, id: u8, data: &[u8]) -> Frame {
    Frame::new(protocol::PAP, packet(code, id, data))
}

/// A PAP Authenticate-Request: user "u", password "p".
pub(crate) fn login(id: u8) -> Frame {
    pap(1, id, &[1, b'u', 1, b'p'])
}

/// One configuration option.
pub(crate) fn opt(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(2 + data.len()).unwrap();
    [&[kind, length], data].concat()
}

/// A server that takes PAP, and neither encrypts nor carries IPv6: the least there is beyond LCP.
pub(crate) fn server() -> Config {
    Config {
        role: Role::Server {
            name: "greyhound".into(),
            methods: vec![AuthMethod::Pap],
        },
        max_mru: 1460,
        mrru: None,
        encryption: Encryption::No,
        ipv6: UseIpv6::No,
        keepalive: None,
        rechallenge: None,
    }
}

/// A server that takes these methods.
pub(crate) fn server_with(methods: &[AuthMethod]) -> Config {
    Config {
        role: Role::Server {
            name: "greyhound".into(),
            methods: methods.to_vec(),
        },
        ..server()
    }
}

/// A client that lets the server use these methods.
pub(crate) fn client_with(methods: &[AuthMethod]) -> Config {
    Config {
        role: Role::Client {
            user: "u".into(),
            password: Zeroizing::new("p".into()),
            allow: methods.to_vec(),
        },
        ..server()
    }
}

/// A [`Link`] after its caller has called `open`, at the time when it did.
pub(crate) struct Bench {
    pub(crate) link: Link,
    pub(crate) now: Instant,
    /// All that came out but frames, oldest first.
    pub(crate) log: Vec<Command>,
    /// The last Configure-Request of LCP that came out.
    pub(crate) request: Frame,
    /// Frames that came out and that no case has looked at.
    unread: Vec<Frame>,
    /// What a user's profile says: what the configuration of the link does.
    encryption: Encryption,
    ipv6: UseIpv6,
    /// How many frames the datapath has seen.
    rx_frames: u64,
}

impl Bench {
    /// In the Dead phase: `open` was not called.
    #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
    pub(crate) fn dead(config: Config, entropy: impl Entropy + Send + 'static) -> Self {
        Self {
            encryption: config.encryption,
            ipv6: config.ipv6,
            link: Link::new(config, Box::new(entropy)),
            now: Instant::now(),
            log: Vec::new(),
            request: Frame::new(0, []),
            unread: Vec::new(),
            rx_frames: 0,
        }
    }

    /// In Req-Sent. What was sent is in [`Self::request`].
    pub(crate) fn with(config: Config) -> Self {
        Self::with_entropy(config, CountingEntropy(5))
    }

    pub(crate) fn with_entropy(config: Config, entropy: impl Entropy + Send + 'static) -> Self {
        let mut bench = Self::dead(config, entropy);
        bench.link.open(bench.now);
        assert_eq!(bench.sent(), [bench.request.clone()]);
        bench
    }

    /// A server in Req-Sent.
    pub(crate) fn req_sent() -> Self {
        Self::with(server())
    }

    /// A server in Ack-Rcvd.
    pub(crate) fn ack_rcvd() -> Self {
        let mut bench = Self::req_sent();
        assert_eq!(bench.hear_ack(), []);
        bench
    }

    /// A server in Ack-Sent.
    pub(crate) fn ack_sent() -> Self {
        let mut bench = Self::req_sent();
        bench.hear_wish();
        bench
    }

    /// A server in Opened, which waits for the peer's password.
    pub(crate) fn opened() -> Self {
        Self::opened_with(server())
    }

    /// Any server in Opened that asks for PAP.
    pub(crate) fn opened_with(config: Config) -> Self {
        let mut bench = Self::with(config);
        bench.open_lcp();
        bench
    }

    /// A server in the Network phase: IPCP is in Req-Sent. Its Configure-Request comes along.
    pub(crate) fn network() -> (Self, Frame) {
        let mut bench = Self::opened();
        let request = bench.log_in();
        (bench, request)
    }

    /// A server whose network is up.
    pub(crate) fn up() -> Self {
        let (mut bench, request) = Self::network();
        bench.open_ipcp(&request);
        bench
    }

    /// A server that wants encryption, with CCP in Req-Sent, and its Configure-Request.
    pub(crate) fn encrypting() -> (Self, Frame) {
        let mut bench = Self::opened_with(Config {
            encryption: Encryption::Yes,
            ..server()
        });
        let sent = bench.hear(login(1));
        assert_eq!((sent[0].protocol, sent[0].code()), (protocol::PAP, 2));
        (bench, sent[1].clone())
    }

    /// From Req-Sent to Opened.
    pub(crate) fn open_lcp(&mut self) {
        assert_eq!(self.hear_ack(), []);
        assert_eq!(self.hear_wish().len(), 1);
        assert!(self.link_options().opened);
    }

    /// From any state before Opened to Opened.
    pub(crate) fn finish_lcp(&mut self) {
        self.hear_wish();
        if !self.link_options().opened {
            self.hear_ack();
        }
        assert!(self.answers_echo());
    }

    /// Logs in by PAP; returns the first Configure-Request of IPCP.
    pub(crate) fn log_in(&mut self) -> Frame {
        let sent = self.hear(login(1));
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert_eq!((sent[0].protocol, sent[0].code()), (protocol::PAP, 2));
        assert_eq!((sent[1].protocol, sent[1].code()), (protocol::IPCP, 1));
        sent[1].clone()
    }

    /// From IPCP's Req-Sent until the network is up.
    pub(crate) fn open_ipcp(&mut self, request: &Frame) {
        assert_eq!(self.hear(request.with_code(code::CONFIGURE_ACK)), []);
        let answer = self.hear(ipcp(1, 1, PEER_ADDRESS));
        assert_eq!(answer, [ipcp(2, 1, PEER_ADDRESS)]);
        assert!(self.network_is_up());
    }

    /// The peer sends a frame. What comes out for it.
    pub(crate) fn hear(&mut self, frame: Frame) -> Vec<Frame> {
        self.rx_frames += 1;
        self.link
            .handle_frame(self.now, frame.protocol, &frame.bytes);
        self.sent()
    }

    /// The peer agrees to our last Configure-Request.
    pub(crate) fn hear_ack(&mut self) -> Vec<Frame> {
        self.hear(self.request.with_code(code::CONFIGURE_ACK))
    }

    /// The peer asks for [`WISH`].
    pub(crate) fn hear_wish(&mut self) -> Vec<Frame> {
        self.hear(lcp(code::CONFIGURE_REQUEST, 1, WISH))
    }

    /// The caller ends the link.
    pub(crate) fn close(&mut self) -> Vec<Frame> {
        self.link.close(self.now, Cause::AdministratorRequest);
        self.sent()
    }

    /// The time passes. What comes out.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Frame> {
        let end = self.now + time;
        for step in 0.. {
            assert!(step < 1000, "the link never rests");
            let Some(at) = self.link.poll_timeout().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.link.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.sent()
    }

    /// The frames that came out since this was asked last.
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        self.drain();
        std::mem::take(&mut self.unread)
    }

    /// Whether LCP is in Opened, as far as the peer can tell: it answers to an Echo-Request.
    pub(crate) fn answers_echo(&mut self) -> bool {
        let answer = self.hear(lcp(code::ECHO_REQUEST, 77, &PEER_MAGIC));
        matches!(&answer[..], [reply] if reply.code() == code::ECHO_REPLY)
    }

    /// Why the link is finished, once it is.
    pub(crate) fn down(&self) -> Option<Cause> {
        self.log.iter().find_map(|command| match command {
            Command::Down(cause) => Some(*cause),
            _ => None,
        })
    }

    /// What the datapath was told last about the link.
    pub(crate) fn link_options(&self) -> LinkOptions {
        let told = self.log.iter().rev().find_map(|command| match command {
            Command::SetLink(options) => Some(*options),
            _ => None,
        });
        told.unwrap_or_default()
    }

    pub(crate) fn network_is_up(&self) -> bool {
        let last = self.log.iter().rev().find_map(|command| match command {
            Command::NetworkUp { .. } => Some(true),
            Command::NetworkDown => Some(false),
            _ => None,
        });
        last.unwrap_or(false)
    }

    /// Our magic number, as it was asked for last.
    pub(crate) fn magic(&self) -> [u8; 4] {
        let magic = self.request.option(option::MAGIC_NUMBER).unwrap();
        magic.try_into().unwrap()
    }

    fn drain(&mut self) {
        while let Some(command) = self.link.poll_command() {
            assert_eq!(self.down(), None, "{command:?} after Down");
            match command {
                Command::Send { protocol, payload } => {
                    let frame = Frame::new(protocol, payload);
                    if (protocol, frame.code()) == (protocol::LCP, code::CONFIGURE_REQUEST) {
                        self.request = frame.clone();
                    }
                    self.unread.push(frame);
                }
                Command::Authenticate { .. } => {
                    self.log.push(command);
                    let verdict = Verdict::Accept(Box::new(Accept {
                        message: String::new(),
                        keys: Some(keys()),
                        encryption: self.encryption,
                        strengths: None,
                        ipv6: self.ipv6,
                        network: Some(NETWORK),
                    }));
                    self.link.handle_verdict(self.now, verdict);
                }
                Command::Sample => self.link.handle_activity(self.now, self.rx_frames),
                other => self.log.push(other),
            }
        }
    }
}

fn keys() -> MppeKeys {
    let keys = StartKeys {
        rx: StartKey([1; 16]),
        tx: StartKey([2; 16]),
    };
    MppeKeys {
        bits128: keys.clone(),
        bits40: keys,
    }
}

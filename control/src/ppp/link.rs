//! One PPP link from the first Configure-Request to the last Terminate-Ack (RFC 1661 §3).
//!
//! The phases and what starts what: LCP, then authentication, then CCP where encryption is wanted,
//! then IPCP and IPV6CP. Endings: the first cause stays ([`Link::close`]); whatever ends LCP leads to one
//! [`Command::Down`], and after it nothing is said or done.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use greyhound_datapath::ipc::LinkOptions;
use greyhound_datapath::mppe::Parameters;

use super::auth::{Authenticator, Claim, Claimant, Heard, Tick};
use super::ccp::{self, Ccp};
use super::fsm::State;
use super::ipcp::Ipcp;
use super::ipv6cp::Ipv6cp;
use super::keepalive::{Finding, Keepalive};
use super::lcp::{self, Authentication, Lcp};
use super::mschap;
use super::negotiation::{Negotiation, Output, Protocol};
use super::packet::{HEADER_BYTES, Packet, code};
use super::{
    Accept, AuthMethod, Command, Config, Encoding, Encryption, Network, Role, Strengths, UseIpv6,
    Verdict, protocol,
};
use crate::cause::Cause;
use crate::entropy::Entropy;

mod network;

/// One PPP link.
///
/// The caller feeds it with the `handle_*` functions. After each it carries out what
/// [`Self::poll_command`] gives until that is `None`, and then arranges to call
/// [`Self::handle_timeout`] at [`Self::poll_timeout`].
pub struct Link {
    config: Config,
    entropy: Box<dyn Entropy + Send>,
    phase: Phase,
    /// Why the link ends, once it does.
    cause: Option<Cause>,
    lcp: Negotiation<Lcp>,
    auth: Option<Auth>,
    checking: Checking,
    /// The policies for this user.
    encryption: Encryption,
    strengths: Strengths,
    use_ipv6: UseIpv6,
    /// What a server gives this user.
    network: Option<Network>,
    /// Not there before authentication, nor once the peer refused it, nor if it is not wanted.
    ccp: Option<Negotiation<Ccp>>,
    /// CCP was open with encryption: from here on, nothing without.
    encrypted: bool,
    /// The peer wants to encrypt, and we refused.
    refused_mppe: bool,
    /// What the datapath was told last.
    mppe: (Option<Parameters>, Option<Parameters>),
    /// Not there until CCP is open or refused.
    ipcp: Option<Negotiation<Ipcp>>,
    /// Not there until then either, nor once it is refused, nor if it is not wanted.
    ipv6cp: Option<Negotiation<Ipv6cp>>,
    /// When IPV6CP has to be open, where it is required.
    ipv6_deadline: Option<Instant>,
    network_is_up: bool,
    /// The last packet of each protocol that came before its turn.
    early: BTreeMap<u16, Vec<u8>>,
    keepalive: Option<Keepalive>,
    /// When a network must be up.
    setup_deadline: Option<Instant>,
    /// Server: when the peer is to prove again who it is.
    challenge_at: Option<Instant>,
    /// The peer said goodbye, and we answered.
    peer_said_goodbye: bool,
    /// When the link ends, though LCP has finished.
    parting: Option<Instant>,
    commands: VecDeque<Command>,
}

/// RFC 1661 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The lower layer has not been up.
    Dead,
    Establish,
    Authenticate,
    Network,
    Terminate,
    /// [`Command::Down`] was given.
    Finished,
}

/// Our part in authentication.
#[derive(Debug)]
enum Auth {
    Server(Authenticator),
    Client(Claimant),
}

/// Whether the caller is checking a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checking {
    No,
    Yes,
    /// One that LCP's renegotiation made worthless: its verdict is to be ignored, and no other
    /// proof is passed on before, so that no verdict is taken for another's.
    Abandoned,
}

impl Link {
    /// A link whose lower layer is not up yet.
    #[must_use]
    pub fn new(config: Config, entropy: Box<dyn Entropy + Send>) -> Self {
        let usable = |methods: &[AuthMethod]| {
            let mut methods: Vec<_> = methods.to_vec();
            // Encryption has its keys from the authentication.
            methods.retain(|method| method.has_keys() || config.encryption != Encryption::Required);
            methods.sort_unstable_by(|one, other| other.cmp(one));
            methods.dedup();
            methods
        };
        let authentication = match &config.role {
            Role::Server { methods, .. } => Authentication::Ask(usable(methods)),
            Role::Client { allow, .. } => Authentication::Allow(usable(allow)),
        };
        Self {
            lcp: Negotiation::new(Lcp::new(config.max_mru, config.mrru, authentication)),
            encryption: config.encryption,
            strengths: Strengths::ALL,
            use_ipv6: config.ipv6,
            config,
            entropy,
            phase: Phase::Dead,
            cause: None,
            auth: None,
            checking: Checking::No,
            network: None,
            ccp: None,
            encrypted: false,
            refused_mppe: false,
            mppe: (None, None),
            ipcp: None,
            ipv6cp: None,
            ipv6_deadline: None,
            network_is_up: false,
            early: BTreeMap::new(),
            keepalive: None,
            setup_deadline: None,
            challenge_at: None,
            peer_said_goodbye: false,
            parting: None,
            commands: VecDeque::new(),
        }
    }

    /// The lower layer, a PPTP call, is up: negotiation begins.
    pub fn open(&mut self, now: Instant) {
        if self.phase != Phase::Dead {
            return;
        }
        self.phase = Phase::Establish;
        self.setup_deadline = Some(now + SETUP);
        self.lcp.start(now, &mut *self.entropy);
        self.pump(now);
    }

    /// A PPP frame came that the datapath does not handle itself.
    pub fn handle_frame(&mut self, now: Instant, protocol: u16, payload: &[u8]) {
        match self.phase {
            Phase::Dead | Phase::Finished => return,
            Phase::Establish | Phase::Authenticate | Phase::Network | Phase::Terminate => {}
        }
        match protocol {
            protocol::LCP => self.on_lcp_frame(now, payload),
            protocol::PAP | protocol::CHAP => self.on_auth_frame(now, protocol, payload),
            protocol::CCP | protocol::IPCP | protocol::IPV6CP => {
                self.on_network_frame(now, protocol, payload);
            }
            // Data that came before its network was up, or after.
            protocol::IP | protocol::IPV6 | COMPRESSED => {}
            _ if self.phase == Phase::Network => self.reject_protocol(protocol, payload),
            _ => {}
        }
        self.pump(now);
    }

    /// The answer to [`Command::Authenticate`].
    pub fn handle_verdict(&mut self, now: Instant, verdict: Verdict) {
        let checking = std::mem::replace(&mut self.checking, Checking::No);
        let (Checking::Yes, Some(Auth::Server(authenticator))) = (checking, &mut self.auth) else {
            return;
        };
        let method = authenticator.method();
        match verdict {
            Verdict::Accept(accept) => {
                let Some((user, payload)) = authenticator.accept(&accept.message) else {
                    return;
                };
                self.challenge_at = self
                    .config
                    .rechallenge
                    .filter(|_| method != AuthMethod::Pap)
                    .map(|every| now + every);
                if self.phase == Phase::Network {
                    // It proved again who it is; nothing else changes.
                    return self.send(method.protocol(), payload);
                }
                let Accept {
                    keys,
                    encryption,
                    strengths,
                    ipv6,
                    network,
                    ..
                } = *accept;
                self.send(method.protocol(), payload);
                self.commands.push_back(Command::Authenticated { user });
                self.encryption = encryption;
                self.strengths = strengths.unwrap_or(Strengths::ALL);
                self.use_ipv6 = ipv6;
                self.network = network;
                match network {
                    Some(_) => self.enter_network(now, keys),
                    None => self.close(now, Cause::NoRemoteAddress),
                }
            }
            Verdict::Reject { refusal, message } => {
                let (error, message) = (refusal.code(), message.as_deref());
                let answer = authenticator.reject(now, error, message, &mut *self.entropy);
                let mut may_retry = false;
                if let Some((payload, retry)) = answer {
                    self.send(method.protocol(), payload);
                    may_retry = retry;
                }
                if !may_retry {
                    self.close(now, Cause::AuthenticationFailed);
                }
            }
        }
        self.pump(now);
    }

    /// The answer to [`Command::Sample`]: how many frames the datapath has received in all.
    pub fn handle_activity(&mut self, now: Instant, rx_frames: u64) {
        let Some(keepalive) = &mut self.keepalive else {
            return;
        };
        let finding = keepalive.handle_activity(now, rx_frames);
        match finding {
            Finding::Alive => {}
            Finding::Silent => self.send_echo(),
            Finding::Missed => {
                self.commands.push_back(Command::MissedEcho);
                self.send_echo();
            }
            Finding::Dead => {
                self.commands.push_back(Command::MissedEcho);
                // A last word, without waiting for an answer from a peer that gives none.
                self.close(now, Cause::PeerNotResponding);
                self.lower_down(now, Cause::PeerNotResponding);
            }
        }
        self.pump(now);
    }

    /// The datapath lost its place in what the peer encrypts, and has said so `times` times since
    /// it last had it.
    pub fn handle_mppe_out_of_sync(&mut self, now: Instant, times: u32) {
        if times > MAX_RESETS {
            self.close(now, Cause::MppeOutOfSync);
        } else if let Some(ccp) = &mut self.ccp
            && ccp.state() == State::Opened
        {
            ccp.send(ccp::RESET_REQUEST, &[]);
        }
        self.pump(now);
    }

    /// Does what is due. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Finished {
            return;
        }
        if self.parting.is_some_and(|at| at <= now) {
            return self.finish();
        }
        if self.setup_deadline.is_some_and(|at| at <= now) {
            self.close(now, Cause::Timeout);
        }
        self.lcp.handle_timeout(now, &mut *self.entropy);
        if let Some(ccp) = &mut self.ccp {
            ccp.handle_timeout(now, &mut *self.entropy);
        }
        if let Some(ipcp) = &mut self.ipcp {
            ipcp.handle_timeout(now, &mut *self.entropy);
        }
        if let Some(ipv6cp) = &mut self.ipv6cp {
            ipv6cp.handle_timeout(now, &mut *self.entropy);
        }
        if self.ipv6_deadline.is_some_and(|at| at <= now) {
            self.close(now, Cause::Ipv6NotNegotiated);
        }
        self.pump(now);
        self.on_auth_timeout(now);
        if self.challenge_at.is_some_and(|at| at <= now) {
            self.challenge_again(now);
        }
        if let Some(keepalive) = &mut self.keepalive
            && keepalive.handle_timeout(now)
        {
            self.commands.push_back(Command::Sample);
        }
        self.pump(now);
    }

    /// Ends the link in good order: Terminate-Request, twice if need be, then [`Command::Down`].
    pub fn close(&mut self, now: Instant, cause: Cause) {
        if self.phase == Phase::Finished {
            return;
        }
        let cause = self.why(cause);
        let cause = *self.cause.get_or_insert(cause);
        self.phase = Phase::Terminate;
        self.setup_deadline = None;
        self.challenge_at = None;
        self.keepalive = None;
        self.auth = None;
        self.early.clear();
        self.lcp.close(now, &mut *self.entropy, &cause.to_string());
        self.pump(now);
        if !self.lcp.state().has_timer() {
            self.finish();
        }
    }

    /// The call is gone: nothing can be sent any more.
    pub fn lower_down(&mut self, now: Instant, cause: Cause) {
        if self.phase == Phase::Finished {
            return;
        }
        let cause = self.why(cause);
        self.cause.get_or_insert(cause);
        self.lcp.lower_down(now, &mut *self.entropy);
        self.pump(now);
        self.finish();
    }

    /// The next thing for the caller to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Why the link ends, as soon as it has begun to.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Finished {
            return None;
        }
        let auth = match &self.auth {
            Some(Auth::Server(authenticator)) => authenticator.poll_timeout(),
            Some(Auth::Client(claimant)) => claimant.poll_timeout(),
            None => None,
        };
        [
            self.parting,
            self.setup_deadline,
            self.challenge_at,
            self.lcp.poll_timeout(),
            auth,
            self.ccp.as_ref().and_then(Negotiation::poll_timeout),
            self.ipcp.as_ref().and_then(Negotiation::poll_timeout),
            self.ipv6cp.as_ref().and_then(Negotiation::poll_timeout),
            self.ipv6_deadline,
            self.keepalive.as_ref().and_then(Keepalive::poll_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// LCP and authentication.
impl Link {
    fn on_lcp_frame(&mut self, now: Instant, payload: &[u8]) {
        let wants_to_end = is_terminate_request(payload);
        let was_negotiating = self.lcp.is_negotiating();
        if wants_to_end {
            let cause = self.why(Cause::PeerRequest);
            self.cause.get_or_insert(cause);
            self.phase = Phase::Terminate;
            self.peer_said_goodbye = true;
        }
        self.lcp.handle_packet(now, &mut *self.entropy, payload);
        self.pump(now);
        if wants_to_end && was_negotiating {
            // RFC 1661 would have us go on asking a peer that said goodbye.
            self.finish();
        } else if let Some(cause) = self.lcp.protocol().failure()
            && self.phase != Phase::Terminate
        {
            self.close(now, cause);
        }
    }

    fn on_lcp(&mut self, now: Instant, output: Output) {
        match output {
            Output::Send(payload) => self.send(protocol::LCP, payload),
            Output::Up => self.enter_authenticate(now),
            Output::Down => self.leave_open(now),
            // Interop: where both ends said goodbye at once, pptp-linux drops our Terminate-Ack if
            // the call ends right behind it, and pppd takes that for a hangup.
            Output::Finished if self.peer_said_goodbye && self.parting.is_none() => {
                self.parting = Some(now + PARTING);
            }
            Output::Finished => {
                self.cause.get_or_insert(Cause::LcpFailed);
                self.finish();
            }
            Output::ProtocolRejected(protocol::CCP) => {
                if let Some(ccp) = &mut self.ccp {
                    ccp.refused(now, &mut *self.entropy);
                }
            }
            Output::ProtocolRejected(protocol::IPCP) => {
                if let Some(ipcp) = &mut self.ipcp {
                    ipcp.refused(now, &mut *self.entropy);
                }
            }
            Output::ProtocolRejected(protocol::IPV6CP) => {
                if let Some(ipv6cp) = &mut self.ipv6cp {
                    ipv6cp.refused(now, &mut *self.entropy);
                }
            }
            Output::ProtocolRejected(protocol::PAP | protocol::CHAP)
                if self.phase == Phase::Authenticate =>
            {
                self.close(now, Cause::NoCommonAuthentication);
            }
            Output::ProtocolRejected(_) => {}
        }
    }

    fn enter_authenticate(&mut self, now: Instant) {
        if self.phase != Phase::Establish {
            return;
        }
        self.phase = Phase::Authenticate;
        let options = self.lcp.protocol().link_options();
        self.commands.push_back(Command::SetLink(options));
        self.keepalive = self.config.keepalive.map(|silence| {
            self.commands.push_back(Command::Sample);
            Keepalive::new(now, silence)
        });
        let Some(method) = self.lcp.protocol().method() else {
            // A server that wants no proof from us gives none of itself.
            self.close(now, Cause::NoCommonAuthentication);
            return;
        };
        let (auth, first) = match &self.config.role {
            Role::Server { name, .. } => {
                let authenticator = Authenticator::new(now, method, name, &mut *self.entropy);
                let challenge = authenticator.challenge();
                (Auth::Server(authenticator), challenge)
            }
            Role::Client { user, password, .. } => {
                let claimant = Claimant::new(now, method, user, password);
                let request = claimant.request();
                (Auth::Client(claimant), request)
            }
        };
        self.auth = Some(auth);
        if let Some(payload) = first {
            self.send(method.protocol(), payload);
        }
        self.replay(now, method.protocol());
    }

    /// LCP is open no more: everything above it ends.
    fn leave_open(&mut self, now: Instant) {
        if self.network_is_up {
            self.setup_deadline = Some(now + SETUP);
        }
        self.stop_networks();
        self.ccp = None;
        self.set_mppe(None, None, Encoding::default());
        self.encrypted = false;
        self.auth = None;
        self.challenge_at = None;
        if self.checking == Checking::Yes {
            self.checking = Checking::Abandoned;
        }
        self.keepalive = None;
        self.early.clear();
        self.commands
            .push_back(Command::SetLink(LinkOptions::default()));
        if self.phase != Phase::Terminate {
            self.phase = Phase::Establish;
        } else {
            self.setup_deadline = None;
        }
    }

    fn on_auth_frame(&mut self, now: Instant, protocol: u16, payload: &[u8]) {
        match self.phase {
            Phase::Establish => self.keep_early(protocol, payload),
            Phase::Authenticate | Phase::Network => {}
            Phase::Dead | Phase::Terminate | Phase::Finished => return,
        }
        match &mut self.auth {
            Some(Auth::Server(authenticator)) => {
                if authenticator.method().protocol() != protocol || self.checking != Checking::No {
                    return;
                }
                match authenticator.handle_packet(payload) {
                    Claim::Ignored => {}
                    Claim::Check { user, proof } => {
                        self.checking = Checking::Yes;
                        let command = Command::Authenticate { user, proof };
                        self.commands.push_back(command);
                    }
                    Claim::Repeat(payload) => self.send(protocol, payload),
                }
            }
            Some(Auth::Client(claimant)) => {
                if claimant.method().protocol() != protocol {
                    return;
                }
                match claimant.handle_packet(now, payload, &mut *self.entropy) {
                    Heard::Ignored => {}
                    Heard::Answer(payload) => self.send(protocol, payload),
                    Heard::Accepted(keys) if self.phase == Phase::Authenticate => {
                        if let Role::Client { user, .. } = &self.config.role {
                            let user = user.clone();
                            self.commands.push_back(Command::Authenticated { user });
                        }
                        self.enter_network(now, keys);
                    }
                    Heard::Accepted(_) => {}
                    Heard::Refused(code) => {
                        if let Some(code) = code {
                            let reason = match mschap::failure_text(code) {
                                Some(text) => format!("{text} ({code})"),
                                None => format!("error {code}"),
                            };
                            self.commands.push_back(Command::Refused { reason });
                        }
                        self.close(now, Cause::FailedToAuthenticateOurselves);
                    }
                    Heard::Impostor => self.close(now, Cause::ServerUnproven),
                }
            }
            None => {}
        }
    }

    /// RFC 1994 §2: at any time, as often as the authenticator likes.
    fn challenge_again(&mut self, now: Instant) {
        self.challenge_at = None;
        let (Some(method), Role::Server { name, .. }) =
            (self.lcp.protocol().method(), &self.config.role)
        else {
            return;
        };
        let authenticator = Authenticator::new(now, method, name, &mut *self.entropy);
        if let Some(payload) = authenticator.challenge() {
            self.send(method.protocol(), payload);
        }
        self.auth = Some(Auth::Server(authenticator));
    }

    fn on_auth_timeout(&mut self, now: Instant) {
        let (tick, method, again) = match &mut self.auth {
            Some(Auth::Server(authenticator)) => (
                authenticator.handle_timeout(now),
                authenticator.method(),
                authenticator.challenge(),
            ),
            Some(Auth::Client(claimant)) => (
                claimant.handle_timeout(now),
                claimant.method(),
                claimant.request(),
            ),
            None => return,
        };
        match tick {
            Tick::Nothing => {}
            Tick::Resend => {
                if let Some(payload) = again {
                    self.send(method.protocol(), payload);
                }
            }
            Tick::TimedOut => self.close(now, Cause::Timeout),
        }
    }

    fn send_echo(&mut self) {
        let magic = self.lcp.protocol().magic().to_be_bytes();
        self.lcp.send(lcp::code::ECHO_REQUEST, &magic);
    }

    /// RFC 1661 §5.7. The peer may know the protocol; we do not, or not on this link.
    fn reject_protocol(&mut self, protocol: u16, payload: &[u8]) {
        let mut data = protocol.to_be_bytes().to_vec();
        data.extend(payload);
        data.truncate(usize::from(self.lcp.protocol().room()).saturating_sub(HEADER_BYTES));
        self.lcp.send(lcp::code::PROTOCOL_REJECT, &data);
    }
}

/// What all protocols share.
impl Link {
    /// Why the link really ends: whoever goes, or falls silent, after a wrong password goes because
    /// of that, and after our refusal to encrypt because of that, unless the network came up.
    fn why(&self, cause: Cause) -> Cause {
        let goes = matches!(cause, Cause::PeerRequest | Cause::HungUp | Cause::Timeout);
        if goes && self.refused_mppe && !self.network_is_up {
            return Cause::EncryptionNotNegotiated;
        }
        match &self.auth {
            Some(Auth::Server(authenticator)) if goes && authenticator.has_refused() => {
                Cause::AuthenticationFailed
            }
            Some(Auth::Server(_) | Auth::Client(_)) | None => cause,
        }
    }

    /// Carries on what the machines said until none says anything more.
    fn pump(&mut self, now: Instant) {
        while self.phase != Phase::Finished {
            if let Some(output) = self.lcp.poll_output() {
                self.on_lcp(now, output);
            } else if let Some(output) = self.ccp.as_mut().and_then(Negotiation::poll_output) {
                self.on_ccp(now, output);
            } else if let Some(output) = self.ipcp.as_mut().and_then(Negotiation::poll_output) {
                self.on_ipcp(now, output);
            } else if let Some(output) = self.ipv6cp.as_mut().and_then(Negotiation::poll_output) {
                self.on_ipv6cp(now, output);
            } else {
                return;
            }
        }
    }

    /// Remembers the packet of a protocol whose turn has not come: frames overtake each other, and
    /// an end may be a step ahead. What begins something has code 1 in every protocol.
    fn keep_early(&mut self, protocol: u16, payload: &[u8]) {
        if payload.first() == Some(&code::CONFIGURE_REQUEST) {
            self.early.insert(protocol, payload.to_vec());
        }
    }

    /// It is the turn of `protocol`.
    fn replay(&mut self, now: Instant, protocol: u16) {
        if let Some(payload) = self.early.remove(&protocol) {
            self.handle_frame(now, protocol, &payload);
        }
    }

    fn send(&mut self, protocol: u16, payload: Vec<u8>) {
        self.commands.push_back(Command::Send { protocol, payload });
    }

    fn finish(&mut self) {
        if self.phase == Phase::Finished {
            return;
        }
        self.stop_networks();
        self.phase = Phase::Finished;
        self.auth = None;
        self.ccp = None;
        self.early.clear();
        let cause = self.cause.unwrap_or(Cause::LcpFailed);
        self.commands.push_back(Command::Down(cause));
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("phase", &self.phase)
            .field("cause", &self.cause)
            .field("lcp", &self.lcp)
            .field("ccp", &self.ccp)
            .field("ipcp", &self.ipcp)
            .field("ipv6cp", &self.ipv6cp)
            .finish_non_exhaustive()
    }
}

fn is_terminate_request(payload: &[u8]) -> bool {
    Packet::parse(payload).is_some_and(|packet| packet.code == code::TERMINATE_REQUEST)
}

/// A compressed datagram (RFC 1962 §2): MPPE's.
const COMPRESSED: u16 = 0x00fd;
/// How long our last answer has to arrive before the call is taken away.
const PARTING: Duration = Duration::from_millis(300);
/// CCP Reset-Requests without effect, one each 200 ms and more, before the link is given up.
const MAX_RESETS: u32 = 20;
/// How long a link may take until a network is up. Each machine gives up by itself; this ends
/// what a peer keeps going for ever.
const SETUP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;

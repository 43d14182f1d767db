//! One session: the PPP link of a call, and what the datapath does for it.
//!
//! Sans-IO glue: what the link wants becomes [`Request`]s and log lines, what the datapath reports
//! goes to the link. Who the peer is and which address it gets is for the owner to say.
//!
//! A session ends in two steps. [`Command::Ended`]: the link is down, the call can be cleared and
//! everything but the session's number given back. [`Command::Gone`]: the datapath has nothing of
//! it any more, and its last counters are in the log.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use greyhound_datapath::ids::SessionId;
use greyhound_datapath::ipc::{
    Interface, Lacking, Limit, Limits, LinkOptions, ListedAddress, Membership, Multilink, Request,
    Route, Tunnel, Uplink, Warning,
};
use greyhound_datapath::stats::SessionCounters;

use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::ppp::{self, Ipv6, Link, Network, Proof, Verdict};

pub mod line;

use self::line::{Field, Line, Message};

/// How long no frame of a peer may arrive before the log says that GRE seems to be blocked.
pub const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server waits for the client to speak first. A client may open its end of GRE only
/// when it has our Outgoing-Call-Reply; what we send before is lost, and costs 3 s.
pub const SPEAK_TIMEOUT: Duration = Duration::from_millis(250);

/// How long a client may take to prove who it is.
pub const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(15);

/// What a session asks of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// For the datapath.
    Datapath(Request),
    /// For the log.
    Log(Line),
    /// Server: check this and call [`Session::handle_verdict`].
    Authenticate {
        /// The name as received.
        user: String,
        /// What was sent.
        proof: Proof,
    },
    /// The link is down: clear the call, give the address back.
    Ended(Cause),
    /// Nothing is left: the number is free. Nothing follows.
    Gone,
}

/// Which end we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// A client called us. Named once it is known who it is.
    Server,
    /// We dialled, for the interface of this name.
    Client(String),
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number that datapath and control know it by.
    pub session: SessionId,
    /// The frames of its call.
    pub tunnel: Tunnel,
    /// Which end we are.
    pub side: Side,
    /// `max-mtu`, in bytes.
    pub max_mtu: u16,
    /// The way to the peer, as far as it is known yet.
    pub uplink: Uplink,
    /// The PPP link.
    pub link: ppp::Config,
    /// Tell the log of each control packet.
    pub is_traced: bool,
}

/// What a session may do, and what belongs to it while it is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long packets may flow.
    pub session_timeout: Option<Duration>,
    /// How fast, how many, and how long none may.
    pub limits: Limits,
    /// Networks behind the peer.
    pub routes: Vec<Route>,
    /// Lists of the firewall that the address joins which the server gave the client.
    pub address_lists: Vec<String>,
    /// The list that the interface joins.
    pub interface_list: Option<String>,
    /// The firewall's chain for what the peer sends.
    pub incoming_filter: Option<String>,
    /// The same for what the peer gets.
    pub outgoing_filter: Option<String>,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// LCP and authentication.
    Establishing,
    /// Both ends are who they say; network protocols are negotiated.
    Authenticated,
    /// Packets flow.
    Connected,
    /// The datapath is asked to remove it.
    Removing,
    /// [`Command::Gone`] was given.
    Gone,
}

/// What a session has once its network is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Up {
    /// The addresses.
    pub network: Network,
    /// The link-local ones, if IPv6 is carried.
    pub ipv6: Option<Ipv6>,
    /// The largest packet that goes to the peer, in bytes.
    pub mtu: u16,
    /// What the way to the peer carries, outer IP header included, in bytes.
    pub path_mtu: u16,
    /// What a packet grows by on that way, at most, in bytes.
    pub overhead: u16,
    /// What the peer agreed to send at most, in bytes.
    pub mru: u16,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    stage: Stage,
    /// What log and `print` call it.
    name: String,
    /// The login; empty until it is known.
    user: String,
    /// The address that the peer was given.
    granted: Option<Ipv4Addr>,
    encoding: String,
    encrypts: bool,
    /// What the peer takes in fragments.
    multilink: Option<Multilink>,
    up: Option<Up>,
    /// Attach requests without an answer: a later one overtakes an earlier one's answer.
    attaching: u32,
    kernel_name: String,
    ifindex: u32,
    /// When packets began to flow.
    since: Option<Instant>,
    terms: Terms,
    counters: SessionCounters,
    /// The link waits for counters.
    sampling: bool,
    /// Server: when to open the link if the client does not speak first.
    speak_at: Option<Instant>,
    /// When the first frame should have arrived.
    first_frame_due: Option<Instant>,
    /// Server: when the client must have proved who it is.
    authentication_due: Option<Instant>,
    cause: Option<Cause>,
    commands: VecDeque<Command>,
}

impl Session {
    /// Begins a session on a call that has just been established.
    #[must_use]
    pub fn open(now: Instant, config: Config, entropy: Box<dyn Entropy + Send>) -> Self {
        let name = match &config.side {
            Side::Server => format!("<{}>", config.tunnel.call_id.0),
            Side::Client(name) => name.clone(),
        };
        let is_server = config.side == Side::Server;
        let mut session = Self {
            link: Link::new(config.link.clone(), entropy),
            stage: Stage::Establishing,
            name,
            user: String::new(),
            granted: None,
            encoding: String::new(),
            encrypts: false,
            multilink: None,
            up: None,
            attaching: 0,
            kernel_name: String::new(),
            ifindex: 0,
            since: None,
            terms: Terms::default(),
            counters: SessionCounters::default(),
            sampling: false,
            speak_at: is_server.then_some(now + SPEAK_TIMEOUT),
            first_frame_due: Some(now + FIRST_FRAME_TIMEOUT),
            authentication_due: is_server.then_some(now + AUTHENTICATION_TIMEOUT),
            cause: None,
            commands: VecDeque::new(),
            config,
        };
        session.request(Request::Install {
            session: session.config.session,
            tunnel: session.config.tunnel,
        });
        if !is_server {
            session.link.open(now);
            session.pump(now);
        }
        session
    }

    /// A PPP frame came.
    pub fn handle_frame(&mut self, now: Instant, protocol: u16, payload: &[u8]) {
        self.first_frame_due = None;
        if self.is_alive() {
            self.open_link(now);
            self.trace("rcvd", protocol, payload);
            self.link.handle_frame(now, protocol, payload);
            self.pump(now);
        }
    }

    /// Server: the answer to [`Command::Authenticate`]. `name` is what the session is called from
    /// here on, if it is let in.
    pub fn handle_verdict(&mut self, now: Instant, user: &str, name: &str, verdict: Verdict) {
        if !self.is_alive() {
            return;
        }
        match &verdict {
            // It proved again who it is.
            Verdict::Accept(_) if self.stage != Stage::Establishing => {}
            Verdict::Accept(accept) => {
                self.granted = accept.network.map(|network| network.peer);
                name.clone_into(&mut self.name);
            }
            Verdict::Reject { .. } => {
                let (name, shown) = (&self.name, line::printable(user));
                let text = format!("{name}: user {shown} authentication failed");
                self.log(Line::new(Message::LoginFailed, text).with(Field::User, user));
            }
        }
        self.link.handle_verdict(now, verdict);
        self.pump(now);
    }

    /// What it may do, once it is known who the peer is.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// What it may do from here on. Networks, lists and filters stay as they are until its interface
    /// is made anew.
    pub fn change_terms(&mut self, now: Instant, terms: Terms) {
        let is_limited = terms.limits != self.terms.limits;
        self.terms = terms;
        if is_limited && self.up.is_some() && self.is_alive() {
            self.request(Request::SetLimits {
                session: self.config.session,
                limits: self.terms.limits,
            });
        }
        self.handle_timeout(now);
    }

    /// The datapath has it, and knows the way to the peer.
    pub fn handle_installed(&mut self, uplink: Uplink) {
        self.config.uplink = uplink;
    }

    /// The session's interface is up.
    pub fn handle_attached(&mut self, now: Instant, kernel_name: String, ifindex: u32) {
        self.attaching = self.attaching.saturating_sub(1);
        if self.attaching > 0 || self.up.is_none() || !self.is_alive() {
            return;
        }
        self.kernel_name = kernel_name;
        self.ifindex = ifindex;
        self.stage = Stage::Connected;
        self.since.get_or_insert(now);
        self.say(Message::Connected, "connected");
    }

    /// The datapath could not do what it was asked.
    pub fn handle_failed(&mut self, now: Instant, reason: &str) {
        // What was asked after the first failure fails too.
        if self.is_alive() && self.cause.is_none() {
            self.say(Message::SessionFailed, reason);
            self.close(now, Cause::PortError);
        }
    }

    /// It has done all that it may.
    pub fn handle_limit_reached(&mut self, now: Instant, limit: Limit) {
        let cause = match limit {
            Limit::Idle => Cause::IdleTimeout,
            Limit::RxBytes | Limit::TxBytes | Limit::TotalBytes => Cause::TrafficLimit,
        };
        self.close(now, cause);
    }

    /// The session has to do without something that belongs to its interface. Without its filter
    /// it ends: what was to be kept out would come in.
    pub fn handle_warning(&mut self, now: Instant, warning: &Warning) {
        if !self.is_alive() {
            return;
        }
        let text = line::printable(&warning.to_string());
        self.say(Message::Lacking, &text);
        match warning.lacking {
            Lacking::IncomingFilter(_) | Lacking::OutgoingFilter(_) => {
                self.close(now, Cause::PortError);
            }
            Lacking::Route(_) | Lacking::AddressList(_) | Lacking::InterfaceList(_) => {}
        }
    }

    /// Stateful MPPE lost its place, and this was said so often already.
    pub fn handle_mppe_out_of_sync(&mut self, now: Instant, times: u32) {
        if self.is_alive() {
            self.link.handle_mppe_out_of_sync(now, times);
            self.pump(now);
        }
    }

    /// Nothing that came decrypted since encryption began.
    pub fn handle_mppe_keys_differ(&mut self, now: Instant) {
        if self.is_alive() {
            let peer = self.config.tunnel.peer;
            let text = format!("nothing from {peer} can be decrypted - MPPE keys disagree");
            self.say(Message::KeysDisagree, &text);
            self.close(now, Cause::KeysDisagree);
        }
    }

    /// What the session has moved so far.
    pub fn handle_counters(&mut self, now: Instant, counters: SessionCounters) {
        self.counters = counters;
        if std::mem::take(&mut self.sampling) && self.is_alive() {
            self.link.handle_activity(now, counters.rx_frames);
            self.pump(now);
        }
    }

    /// The datapath has removed it.
    pub fn handle_removed(&mut self, now: Instant, counters: SessionCounters) {
        self.counters = counters;
        self.abort(now, Cause::PortError);
        self.finish(now);
    }

    /// The datapath is gone, and the session with it.
    pub fn handle_datapath_lost(&mut self, now: Instant) {
        self.abort(now, Cause::PortError);
        self.finish(now);
    }

    /// Ends it in good order.
    pub fn close(&mut self, now: Instant, cause: Cause) {
        if self.is_alive() {
            self.link.close(now, cause);
            self.pump(now);
        }
    }

    /// Ends it at once: the call is gone, or there is no time.
    pub fn abort(&mut self, now: Instant, cause: Cause) {
        if self.is_alive() {
            self.link.lower_down(now, cause);
            self.pump(now);
        }
    }

    /// The moment that [`Self::poll_timeout`] named has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.is_alive() {
            return;
        }
        if self.first_frame_due.is_some_and(|at| at <= now) {
            self.first_frame_due = None;
            let peer = self.config.tunnel.peer;
            let text = format!("no GRE from {peer} - protocol 47 blocked?");
            self.say(Message::NoGre, &text);
        }
        if self.speak_at.is_some_and(|at| at <= now) {
            self.open_link(now);
        }
        if self.authentication_due.is_some_and(|at| at <= now) {
            self.authentication_due = None;
            self.close(now, Cause::Timeout);
        }
        if self.expires_at().is_some_and(|at| at <= now) {
            self.terms.session_timeout = None;
            self.close(now, Cause::SessionTimeout);
        }
        self.link.handle_timeout(now);
        self.pump(now);
    }

    /// The next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.is_alive() {
            return None;
        }
        let link = self.link.poll_timeout();
        let ours = [self.speak_at, self.first_frame_due, self.authentication_due];
        let ours = ours.into_iter().flatten();
        link.into_iter().chain(ours).chain(self.expires_at()).min()
    }

    /// The way that its frames take.
    #[must_use]
    pub const fn uplink(&self) -> &Uplink {
        &self.config.uplink
    }

    /// How far it is.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What log and `print` call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The login, once it is known.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The frames of its call.
    #[must_use]
    pub const fn tunnel(&self) -> &Tunnel {
        &self.config.tunnel
    }

    /// What each direction is encrypted with, as `print` shows it.
    #[must_use]
    pub fn encoding(&self) -> &str {
        &self.encoding
    }

    /// The kernel's name of the interface, once there is one.
    #[must_use]
    pub fn kernel_name(&self) -> &str {
        &self.kernel_name
    }

    /// The kernel's index of the interface, 0 before there is one.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Which end of it we are.
    #[must_use]
    pub const fn side(&self) -> &Side {
        &self.config.side
    }

    /// Why it ended, once it has.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// What it has while its network is up.
    #[must_use]
    pub const fn up(&self) -> Option<&Up> {
        self.up.as_ref()
    }

    /// For how long packets have flowed.
    #[must_use]
    pub fn uptime(&self, now: Instant) -> Duration {
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// What it had moved when the datapath was last asked.
    #[must_use]
    pub const fn counters(&self) -> &SessionCounters {
        &self.counters
    }

    /// Opens the link of a server that has waited for its client to speak.
    fn open_link(&mut self, now: Instant) {
        if self.speak_at.take().is_some() {
            self.link.open(now);
        }
    }

    /// Where the interface belongs, now that it has addresses.
    fn membership(&self, network: &Network) -> Membership {
        let address = match self.config.side {
            Side::Server => network.peer,
            Side::Client(_) => network.ours,
        };
        let terms = &self.terms;
        let listed = |list: &String| ListedAddress {
            list: list.clone(),
            address,
        };
        Membership {
            routes: terms.routes.clone(),
            address_lists: terms.address_lists.iter().map(listed).collect(),
            interface_list: terms.interface_list.clone(),
            incoming_filter: terms.incoming_filter.clone(),
            outgoing_filter: terms.outgoing_filter.clone(),
        }
    }

    /// The peer's address on the interface. Where it is the address by which the tunnel itself
    /// reaches the peer, there is none but ours: a route to it would lead the tunnel into itself.
    fn gateway(&mut self, network: &Network) -> Ipv4Addr {
        if self.config.side == Side::Server || network.peer != self.config.tunnel.peer {
            return network.peer;
        }
        let text = format!(
            "remote address {} is the server's own outside the tunnel: there is no route to it inside",
            network.peer
        );
        self.say(Message::AddressDoubtful, &text);
        network.ours
    }

    /// When packets will have flowed for long enough.
    fn expires_at(&self) -> Option<Instant> {
        self.since?.checked_add(self.terms.session_timeout?)
    }

    const fn is_alive(&self) -> bool {
        match self.stage {
            Stage::Establishing | Stage::Authenticated | Stage::Connected => true,
            Stage::Removing | Stage::Gone => false,
        }
    }

    /// Does what the link says.
    fn pump(&mut self, now: Instant) {
        while let Some(command) = self.link.poll_command() {
            self.on_link(now, command);
        }
        if let Some(cause) = self.link.cause() {
            self.note_cause(cause);
        }
    }

    fn on_link(&mut self, now: Instant, command: ppp::Command) {
        let session = self.config.session;
        match command {
            ppp::Command::Send { protocol, payload } => {
                self.trace("sent", protocol, &payload);
                self.request(Request::Send {
                    session,
                    protocol,
                    payload,
                });
            }
            ppp::Command::SetLink(link) => self.on_link_options(link),
            ppp::Command::Authenticate { user, proof } => {
                self.commands
                    .push_back(Command::Authenticate { user, proof });
            }
            ppp::Command::Authenticated { user } => self.on_authenticated(user),
            ppp::Command::Refused { reason } => {
                let text = format!("the server refused: {reason}");
                self.say(Message::LoginRefused, &text);
            }
            ppp::Command::SetMppe { rx, tx, encoding } => {
                self.encrypts = tx.is_some();
                self.on_encoding(encoding.to_string());
                self.request(Request::SetMppe { session, rx, tx });
            }
            ppp::Command::ResetMppe => self.request(Request::ResetMppe { session }),
            ppp::Command::NetworkUp {
                network,
                ipv6,
                peer_mru,
                our_mru,
                compression,
            } => match unusable(&network) {
                Some(address) if self.config.side != Side::Server => {
                    let text = format!("the server gave {address}, which no tunnel can have");
                    self.say(Message::AddressDoubtful, &text);
                    self.link.close(now, Cause::UnusableAddress);
                }
                Some(_) | None => {
                    self.on_network_up(network, ipv6, peer_mru, our_mru, compression);
                }
            },
            ppp::Command::SetIpv6(ipv6) => {
                if let Some(up) = &mut self.up {
                    up.ipv6 = ipv6;
                    let address = ipv6.map(|ipv6| ipv6.ours);
                    self.request(Request::SetIpv6 { session, address });
                }
            }
            ppp::Command::NetworkDown => {
                if self.up.take().is_some() {
                    self.request(Request::Detach { session });
                }
                if self.stage == Stage::Connected {
                    self.stage = Stage::Authenticated;
                }
            }
            ppp::Command::Sample => {
                self.sampling = true;
                self.request(Request::Read { session });
            }
            ppp::Command::MissedEcho => {
                self.say(Message::EchoMissed, "LCP missed echo reply");
            }
            ppp::Command::Down(cause) => self.on_down(cause),
        }
    }

    fn on_authenticated(&mut self, user: String) {
        self.stage = Stage::Authenticated;
        self.authentication_due = None;
        self.user = user;
        if self.config.side == Side::Server {
            let address = self.granted.unwrap_or(Ipv4Addr::UNSPECIFIED);
            let (user, peer) = (line::printable(&self.user), self.config.tunnel.peer);
            let text = format!("{user} logged in, {address} from {peer}");
            self.log(Line::new(Message::LoggedIn, text));
        }
        self.say(Message::Authenticated, "authenticated");
    }

    fn on_encoding(&mut self, encoding: String) {
        let is_new = encoding != self.encoding && !encoding.is_empty();
        self.encoding.clone_from(&encoding);
        if is_new {
            self.say(Message::Encoding, &format!("using encoding - {encoding}"));
        }
    }

    fn on_link_options(&mut self, mut link: LinkOptions) {
        if link.tx_multilink.is_some() {
            let overhead = overhead((link.acfc, link.pfc), false);
            let path = self.config.uplink.mtu.saturating_sub(overhead);
            link.peer_mru = link.peer_mru.min(path);
        }
        self.multilink = link.tx_multilink;
        self.request(Request::SetLink {
            session: self.config.session,
            link,
        });
    }

    fn on_network_up(
        &mut self,
        network: Network,
        ipv6: Option<Ipv6>,
        peer_mru: u16,
        our_mru: u16,
        compression: (bool, bool),
    ) {
        let overhead = overhead(compression, self.encrypts);
        let path = self.config.uplink.mtu.saturating_sub(overhead);
        let mtu = match self.multilink {
            // What does not fit goes in fragments, and the peer may count what encryption adds.
            Some(multilink) => {
                let ours = self.config.link.mrru.unwrap_or(multilink.mrru);
                let added = mppe_overhead(compression.1, self.encrypts);
                multilink.mrru.min(ours).saturating_sub(added)
            }
            None => self.config.max_mtu.min(peer_mru).min(path),
        };
        let mtu = mtu.max(LEAST_MTU);
        self.up = Some(Up {
            network,
            ipv6,
            mtu,
            path_mtu: self.config.uplink.mtu,
            overhead,
            mru: our_mru,
        });
        if self.terms.limits != Limits::default() {
            self.request(Request::SetLimits {
                session: self.config.session,
                limits: self.terms.limits,
            });
        }
        self.attaching += 1;
        let peer = self.gateway(&network);
        self.request(Request::Attach {
            session: self.config.session,
            interface: Interface {
                name: interface_name(&self.name),
                address: network.ours,
                peer,
                mtu,
                // A server gave the peer its one address; behind a client's server is a network.
                check_source: self.config.side == Side::Server,
                ipv6: ipv6.map(|ipv6| ipv6.ours),
                membership: self.membership(&network),
                stands: matches!(self.config.side, Side::Client(_)),
            },
        });
    }

    fn on_down(&mut self, cause: Cause) {
        self.note_cause(cause);
        self.stage = Stage::Removing;
        self.request(Request::Remove {
            session: self.config.session,
        });
        self.commands.push_back(Command::Ended(cause));
    }

    /// The first cause is the cause.
    fn note_cause(&mut self, cause: Cause) {
        if self.cause.is_none() {
            self.cause = Some(cause);
            self.say(Message::Terminating, &format!("terminating... - {cause}"));
        }
    }

    /// The datapath has nothing of it any more.
    fn finish(&mut self, now: Instant) {
        if self.stage != Stage::Removing {
            return;
        }
        self.stage = Stage::Gone;
        if self.config.side == Side::Server && !self.user.is_empty() {
            self.log_logged_out(now);
        }
        self.say(Message::Disconnected, "disconnected");
        self.commands.push_back(Command::Gone);
    }

    fn request(&mut self, request: Request) {
        self.commands.push_back(Command::Datapath(request));
    }

    fn log_logged_out(&mut self, now: Instant) {
        let (user, peer) = (line::printable(&self.user), self.config.tunnel.peer);
        let seconds = self.uptime(now).as_secs();
        let SessionCounters {
            rx_bytes,
            tx_bytes,
            rx_packets,
            tx_packets,
            ..
        } = self.counters;
        let text = format!(
            "{user} logged out, {seconds} {rx_bytes} {tx_bytes} {rx_packets} {tx_packets} from {peer}"
        );
        let line = Line::new(Message::LoggedOut, text)
            .with(Field::Duration, seconds)
            .with(Field::RxBytes, rx_bytes)
            .with(Field::TxBytes, tx_bytes)
            .with(Field::RxPackets, rx_packets)
            .with(Field::TxPackets, tx_packets);
        self.log(line);
    }

    /// Logs a control packet, if that is wanted: what it is under the session's name, and its options
    /// below.
    fn trace(&mut self, direction: &str, protocol: u16, payload: &[u8]) {
        if !self.config.is_traced {
            return;
        }
        let mut lines = ppp::describe(protocol, payload).into_iter();
        if let Some(packet) = lines.next() {
            self.say(Message::PppPacket, &format!("{direction} {packet}"));
        }
        for option in lines {
            self.log(Line::new(Message::PppPacket, format!("   {option}")));
        }
    }

    /// Logs what happens to the session, under its name.
    fn say(&mut self, message: Message, text: &str) {
        let text = line::printable(&format!("{}: {text}", self.name));
        self.log(Line::new(message, text));
    }

    /// Logs a line, with all that is known of the session.
    fn log(&mut self, line: Line) {
        let mut line = line
            .with(Field::Interface, &self.name)
            .with(Field::Caller, self.config.tunnel.peer);
        if !self.user.is_empty() {
            line = line.with(Field::User, &self.user);
        }
        if !self.kernel_name.is_empty() {
            line = line.with(Field::KernelName, &self.kernel_name);
        }
        let address = self.up.map(|up| up.network.peer).or(self.granted);
        if let Some(address) = address {
            line = line.with(Field::Address, address);
        }
        if !self.encoding.is_empty() {
            line = line.with(Field::Encoding, &self.encoding);
        }
        if let Some(cause) = self.cause {
            line = line.with(Field::Cause, cause);
        }
        self.commands.push_back(Command::Log(line));
    }
}

/// Bytes that a packet grows by on its way into an outer datagram, at most.
///
/// Outer IPv4 header, enhanced GRE with sequence and acknowledgement numbers (RFC 2637 §4.1),
/// address and control (RFC 1661 §3.1), protocol number, and what MPPE adds.
fn overhead((acfc, pfc): (bool, bool), encrypts: bool) -> u16 {
    let outer = 20 + 8 + 4 + 4;
    let address_control = if acfc { 0 } else { 2 };
    let protocol = if pfc { 1 } else { 2 };
    outer + address_control + mppe_overhead(pfc, encrypts) + protocol
}

/// Whether an address can be that of another host, or of ours towards it.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !(address.is_loopback() || first == 0 || first >= 224)
}

/// An address of a tunnel that no interface can have, or both ends the same.
fn unusable(network: &Network) -> Option<Ipv4Addr> {
    [network.ours, network.peer]
        .into_iter()
        .find(|address| !is_host(*address))
        .or_else(|| (network.ours == network.peer).then_some(network.peer))
}

/// What MPPE adds to a packet: its own protocol number and the coherency count (RFC 3078 §3).
fn mppe_overhead(pfc: bool, encrypts: bool) -> u16 {
    match (encrypts, pfc) {
        (false, _) => 0,
        (true, true) => 3,
        (true, false) => 4,
    }
}

/// A name that the kernel takes: it wants neither slash nor colon nor white space.
pub(crate) fn interface_name(name: &str) -> String {
    let mut taken: String = name
        .chars()
        .map(|c| match c {
            '/' | ':' => '_',
            c if c.is_whitespace() || c.is_control() => '_',
            c => c,
        })
        .collect();
    let end = taken.floor_char_boundary(MAX_INTERFACE_NAME);
    taken.truncate(end);
    taken
}

/// The kernel's limit for an altname, without its closing zero.
const MAX_INTERFACE_NAME: usize = 127;

/// The least that IPv4 runs on (RFC 791), and the least that the kernel takes.
const LEAST_MTU: u16 = 68;

#[cfg(test)]
mod tests;

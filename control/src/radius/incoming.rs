//! What RADIUS servers ask of us (RFC 5176): to end sessions, and to change what they may do.
//!
//! Sans-IO. Only servers that are configured are heard, and only with the secret they share with us;
//! what comes a second time gets the same answer and is not done again.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::access::{Call, Grant};
use super::attribute::{Attribute, Kind as AttributeKind, kind};
use super::packet::{self, Code, Packet};
use super::received::Received;
use crate::model::rate::RateLimit;
use crate::session::is_host;

/// How far the time of a request may be from ours (RFC 5176 §6.3).
const WINDOW: u64 = 300;

/// How long an answer is kept for a request that comes again: as long as its time may be right, by a
/// clock that is ahead of ours as far as may be.
const KEPT: Duration = Duration::from_secs(2 * WINDOW);

/// Answers kept at most.
const MAX_KEPT: usize = 65_536;

/// Who asks, and what is remembered of that.
#[derive(Debug, Default)]
pub struct Incoming {
    servers: BTreeMap<Ipv4Addr, Zeroizing<String>>,
    /// Answers by the requests they were given to: with the authenticator no two are the same.
    answers: BTreeMap<Key, Vec<u8>>,
    /// When each is no longer kept, the oldest first.
    ends: VecDeque<(Instant, Key)>,
    counters: Counters,
}

/// What a request is known by, whatever port it is sent from.
type Key = (Ipv4Addr, [u8; 16]);

/// What `monitor` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests of servers that are configured, with the right authenticator.
    pub requests: u64,
    /// What else came to the port.
    pub bad_requests: u64,
    /// Requests that were carried out.
    pub acks: u64,
    /// Requests that were not.
    pub naks: u64,
}

/// What came of a datagram.
#[derive(Debug)]
pub enum Heard {
    /// It was dropped.
    Nothing,
    /// Send this back: what was answered before, or why it cannot be.
    Answer(Vec<u8>),
    /// Carry this out, then ask [`Incoming::answer`] what to send back.
    Request(Box<Request>),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub kind: Kind,
    /// To which sessions.
    pub who: Selectors,
    from: SocketAddrV4,
    bytes: Vec<u8>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Disconnect-Request: they are to end.
    Disconnect,
    /// CoA-Request: this is to be other with them.
    Change(Box<Changes>),
}

/// Which sessions are meant: those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors {
    session_id: Option<String>,
    user: Option<String>,
    port: Option<u32>,
    port_id: Option<String>,
    address: Option<Ipv4Addr>,
    caller: Option<String>,
    nas_identifier: Option<String>,
    nas_address: Option<Ipv4Addr>,
}

/// What is to be other. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    group: Option<String>,
    rate_limit: Option<RateLimit>,
    recv_limit: Option<u64>,
    xmit_limit: Option<u64>,
    total_limit: Option<u64>,
    session_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    port_limit: Option<u32>,
}

/// Why a request is not carried out: Error-Cause (RFC 5176 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorCause {
    /// It wants something changed that cannot be while a session is up.
    UnsupportedAttribute = 401,
    /// It does not say which session is meant, or what is to be changed.
    MissingAttribute = 402,
    /// It is for another concentrator.
    NasIdentificationMismatch = 403,
    /// An attribute has a wrong length.
    InvalidRequest = 404,
    /// A value that is none.
    InvalidAttributeValue = 407,
    /// There is no such session.
    SessionContextNotFound = 503,
}

impl Incoming {
    /// Hears nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears these servers, each with what it shares with us.
    pub fn configure(&mut self, servers: Vec<(Ipv4Addr, Zeroizing<String>)>) {
        self.servers.clear();
        for (address, secret) in servers {
            // Of two entries for one server the first counts, as it does when users are asked about.
            self.servers.entry(address).or_insert(secret);
        }
    }

    /// A datagram came; `unix_time` is the time of day, in seconds.
    pub fn handle(
        &mut self,
        now: Instant,
        unix_time: u64,
        from: SocketAddrV4,
        bytes: &[u8],
    ) -> Heard {
        self.forget(now);
        let Some(packet) = self.verified(unix_time, from, bytes) else {
            self.counters.bad_requests += 1;
            return Heard::Nothing;
        };
        self.counters.requests += 1;
        let key = (*from.ip(), packet.authenticator());
        if let Some(answer) = self.answers.get(&key) {
            return Heard::Answer(answer.clone());
        }
        match read(&packet) {
            Ok((kind, who)) => Heard::Request(Box::new(Request {
                kind,
                who,
                from,
                bytes: bytes.to_vec(),
            })),
            Err(cause) => Heard::Answer(self.reply(now, from, bytes, Err(cause))),
        }
    }

    /// What to send back, now that it is known what came of a request.
    pub fn answer(
        &mut self,
        now: Instant,
        request: &Request,
        outcome: Result<(), ErrorCause>,
    ) -> Vec<u8> {
        self.reply(now, request.from, &request.bytes, outcome)
    }

    /// What `monitor` shows.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// A request that is what it says: of a server, with its secret, and of now.
    fn verified<'a>(
        &self,
        unix_time: u64,
        from: SocketAddrV4,
        bytes: &'a [u8],
    ) -> Option<Packet<'a>> {
        let secret = self.servers.get(from.ip())?;
        packet::verify_request(bytes, secret.as_bytes()).ok()?;
        let packet = Packet::new_checked(bytes).ok()?;
        if !matches!(packet.code(), Code::DisconnectRequest | Code::CoaRequest) {
            return None;
        }
        let received = Received::new(packet.attributes());
        let is_now = |time: u32| u64::from(time).abs_diff(unix_time) <= WINDOW;
        let time = received.integer(kind::EVENT_TIMESTAMP);
        time.is_none_or(is_now).then_some(packet)
    }

    fn reply(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        bytes: &[u8],
        outcome: Result<(), ErrorCause>,
    ) -> Vec<u8> {
        let secret = self.servers.get(from.ip()).cloned().unwrap_or_default();
        let Ok(packet) = Packet::new_checked(bytes) else {
            return Vec::new();
        };
        let is_change = packet.code() == Code::CoaRequest;
        let code = match (is_change, outcome) {
            (true, Ok(())) => Code::CoaAck,
            (true, Err(_)) => Code::CoaNak,
            (false, Ok(())) => Code::DisconnectAck,
            (false, Err(_)) => Code::DisconnectNak,
        };
        let cause = outcome.err().map(|cause| cause as u32);
        match cause {
            None => self.counters.acks += 1,
            Some(_) => self.counters.naks += 1,
        }
        let cause = cause.map(|cause| Attribute::integer(kind::ERROR_CAUSE, cause));
        let said: Vec<_> = cause.into_iter().collect();
        let answer = packet::build_response(code, &packet, &said, secret.as_bytes());
        let key = (*from.ip(), packet.authenticator());
        if self.ends.len() >= MAX_KEPT
            && let Some((_, oldest)) = self.ends.pop_front()
        {
            self.answers.remove(&oldest);
        }
        self.ends.push_back((now + KEPT, key));
        self.answers.insert(key, answer.clone());
        answer
    }

    /// Forgets answers that nobody will ask for again.
    fn forget(&mut self, now: Instant) {
        while let Some(&(end, key)) = self.ends.front()
            && end <= now
        {
            self.ends.pop_front();
            self.answers.remove(&key);
        }
    }
}

impl Selectors {
    /// Whether the concentrator is meant that is called so and has the addresses that `is_ours`.
    #[must_use]
    pub fn is_for(&self, identity: &str, is_ours: impl Fn(Ipv4Addr) -> bool) -> bool {
        let name = self.nas_identifier.as_ref();
        name.is_none_or(|name| name == identity) && self.nas_address.is_none_or(is_ours)
    }

    /// Whether a session is meant: its call, its user, its address inside the tunnel, its interface.
    #[must_use]
    pub fn fit(&self, call: &Call, user: &str, address: Ipv4Addr, interface: &str) -> bool {
        fn same<T: PartialEq + ?Sized>(wanted: Option<&T>, is: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        let is_id = |id: &String| {
            let digits = id.strip_prefix("0x").or_else(|| id.strip_prefix("0X"));
            let digits = digits.unwrap_or(id);
            digits.eq_ignore_ascii_case(&call.session_id)
        };
        let caller = call.caller.to_string();
        self.session_id.as_ref().is_none_or(is_id)
            && same(self.user.as_deref(), user)
            && same(self.port.as_ref(), &call.port)
            && same(self.port_id.as_deref(), interface)
            && same(self.address.as_ref(), &address)
            && same(self.caller.as_deref(), &*caller)
    }

    fn read(received: &Received<'_>) -> Result<Self, ErrorCause> {
        let who = Self {
            session_id: received.text(kind::ACCT_SESSION_ID),
            user: received.text(kind::USER_NAME),
            port: received.integer(kind::NAS_PORT),
            port_id: received.text(kind::NAS_PORT_ID),
            address: received
                .address(kind::FRAMED_IP_ADDRESS)
                .filter(|&address| is_host(address)),
            caller: received.text(kind::CALLING_STATION_ID),
            nas_identifier: received.text(kind::NAS_IDENTIFIER),
            nas_address: received.address(kind::NAS_IP_ADDRESS),
        };
        let names_one = who.session_id.is_some()
            || who.user.is_some()
            || who.port.is_some()
            || who.port_id.is_some()
            || who.address.is_some()
            || who.caller.is_some();
        names_one.then_some(who).ok_or(ErrorCause::MissingAttribute)
    }
}

impl Changes {
    /// Makes what a session was given by RADIUS what it is given from here on.
    pub fn apply(&self, grant: &mut Grant) {
        fn change<T: Clone>(given: &mut Option<T>, new: &Option<T>) {
            if new.is_some() {
                given.clone_from(new);
            }
        }
        change(&mut grant.group, &self.group);
        change(&mut grant.rate_limit, &self.rate_limit);
        change(&mut grant.recv_limit, &self.recv_limit);
        change(&mut grant.xmit_limit, &self.xmit_limit);
        change(&mut grant.total_limit, &self.total_limit);
        // As in an Access-Accept, 0 is none of RADIUS's: that of the profile counts again.
        let timeout = |given: &mut Option<Duration>, new: Option<Duration>| {
            if new.is_some() {
                *given = new.filter(|time| !time.is_zero());
            }
        };
        timeout(&mut grant.session_timeout, self.session_timeout);
        timeout(&mut grant.idle_timeout, self.idle_timeout);
        change(&mut grant.port_limit, &self.port_limit);
    }

    fn read(received: &Received<'_>) -> Result<Self, ErrorCause> {
        if received.kinds().any(|kind| FIXED.contains(&kind)) {
            return Err(ErrorCause::UnsupportedAttribute);
        }
        let rate_limit = received
            .rate_limit(kind::MIKROTIK_RATE_LIMIT)
            .map_err(|_| ErrorCause::InvalidAttributeValue)?;
        let changes = Self {
            group: received.text(kind::MIKROTIK_GROUP),
            rate_limit,
            recv_limit: received.bytes(
                kind::MIKROTIK_RECV_LIMIT,
                kind::MIKROTIK_RECV_LIMIT_GIGAWORDS,
            ),
            xmit_limit: received.bytes(
                kind::MIKROTIK_XMIT_LIMIT,
                kind::MIKROTIK_XMIT_LIMIT_GIGAWORDS,
            ),
            total_limit: received.bytes(
                kind::MIKROTIK_TOTAL_LIMIT,
                kind::MIKROTIK_TOTAL_LIMIT_GIGAWORDS,
            ),
            session_timeout: received.seconds(kind::SESSION_TIMEOUT),
            idle_timeout: received.seconds(kind::IDLE_TIMEOUT),
            port_limit: received.integer(kind::PORT_LIMIT),
        };
        let is_some = changes != Self::default();
        is_some
            .then_some(changes)
            .ok_or(ErrorCause::MissingAttribute)
    }
}

/// What a session keeps to its end.
const FIXED: [AttributeKind; 5] = [
    kind::FRAMED_IP_NETMASK,
    kind::FRAMED_POOL,
    kind::FRAMED_ROUTE,
    kind::FILTER_ID,
    kind::MIKROTIK_ADDRESS_LIST,
];

fn read(packet: &Packet<'_>) -> Result<(Kind, Selectors), ErrorCause> {
    let received = Received::new(packet.attributes());
    received.check().map_err(|_| ErrorCause::InvalidRequest)?;
    let who = Selectors::read(&received)?;
    let kind = if packet.code() == Code::CoaRequest {
        Kind::Change(Box::new(Changes::read(&received)?))
    } else {
        Kind::Disconnect
    };
    Ok((kind, who))
}

#[cfg(test)]
mod tests;

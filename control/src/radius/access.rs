//! Authentication: what is asked about a user, and what an answer gives.

use std::net::Ipv4Addr;
use std::time::Duration;

use greyhound_datapath::mppe::StartKey;
use zeroize::Zeroizing;

use super::attribute::{Attribute, Kind, Value, kind};
use super::packet::{Code, Reply};
use super::received::Received;
use crate::model::rate::RateLimit;
use crate::model::route::Route;
use crate::ppp::{AuthMethod, Encryption, GREETING, MppeKeys, Proof, Refusal, StartKeys};

/// A user who wants in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name as it came, a Windows domain included.
    pub user: String,
    /// What was sent.
    pub proof: Proof,
    /// The call.
    pub call: Call,
}

/// Whose call it is: what every packet about a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// NAS-Identifier: what we are called.
    pub identity: String,
    /// Acct-Session-Id.
    pub session_id: String,
    /// NAS-Port: the number of the session.
    pub port: u32,
    /// Calling-Station-Id: where the client connects from.
    pub caller: Ipv4Addr,
    /// Called-Station-Id: the address of ours that it connects to.
    pub called: Ipv4Addr,
}

/// What came of a [`Login`].
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Access-Accept.
    Accept(Box<Grant>),
    /// Access-Reject.
    Reject {
        /// What MS-CHAP-Error says, else that name or password are wrong.
        refusal: Refusal,
        /// Reply-Message, or the text of MS-CHAP-Error.
        message: Option<String>,
    },
    /// An answer that no session can be made of; says what is wrong or missing, in a line.
    Unusable(String),
}

/// What an Access-Accept gives. What is `None` or empty was not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// For the Success packet: MS-CHAP2-Success, or Reply-Message.
    pub message: String,
    /// Where encryption begins.
    pub keys: Option<MppeKeys>,
    /// MS-MPPE-Encryption-Policy.
    pub encryption: Option<Encryption>,
    /// MS-MPPE-Encryption-Types: bits of RFC 2548 §2.4.5, 0x2 is 40 bit, 0x4 128 bit, 0x8 56 bit.
    pub encryption_types: Option<u32>,
    /// Framed-IP-Address, if it is an address: 255.255.255.254 and the like are none.
    pub address: Option<Ipv4Addr>,
    /// Framed-Pool.
    pub pool: Option<String>,
    /// Framed-Route, and the network of Framed-IP-Netmask if that is not one address.
    pub routes: Vec<Route>,
    /// Session-Timeout.
    pub session_timeout: Option<Duration>,
    /// Idle-Timeout.
    pub idle_timeout: Option<Duration>,
    /// Acct-Interim-Interval, at least 60 s.
    pub interim: Option<Duration>,
    /// Class, each to be sent in all accounting.
    pub classes: Vec<Vec<u8>>,
    /// Port-Limit.
    pub port_limit: Option<u32>,
    /// Mikrotik-Group: the profile.
    pub group: Option<String>,
    /// Mikrotik-Rate-Limit.
    pub rate_limit: Option<RateLimit>,
    /// Mikrotik-Recv-Limit with its gigawords: bytes from the client.
    pub recv_limit: Option<u64>,
    /// Mikrotik-Xmit-Limit with its gigawords: bytes to the client.
    pub xmit_limit: Option<u64>,
    /// Mikrotik-Total-Limit with its gigawords: bytes in both directions.
    pub total_limit: Option<u64>,
    /// Mikrotik-Address-List.
    pub address_lists: Vec<String>,
    /// MS-Primary-DNS-Server and -Secondary.
    pub dns: [Option<Ipv4Addr>; 2],
    /// MS-Primary-NBNS-Server and -Secondary.
    pub wins: [Option<Ipv4Addr>; 2],
}

impl Login {
    /// What an Access-Request says, but for what signs it.
    ///
    /// MS-CHAP's identifier is 0, whatever it was on the link: nothing is computed from it, and what
    /// comes back is only ever compared with it.
    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![Attribute::text(kind::USER_NAME, &*self.user)];
        attributes.extend(of_proof(&self.proof));
        if let Some((domain, _)) = self.user.rsplit_once('\\') {
            attributes.push(Attribute::text(kind::MS_CHAP_DOMAIN, domain));
        }
        let call = &self.call;
        attributes.extend(of_call(
            &call.session_id,
            &call.identity,
            call.port,
            call.caller,
            call.called,
        ));
        attributes
    }
}

/// What proves who the user is.
fn of_proof(proof: &Proof) -> Vec<Attribute> {
    match proof {
        Proof::Pap { password } => vec![Attribute {
            kind: kind::USER_PASSWORD,
            value: Value::Password(password.clone()),
        }],
        Proof::Chap {
            identifier,
            challenge,
            response,
        } => vec![
            Attribute::octets(kind::CHAP_PASSWORD, [&[*identifier][..], response].concat()),
            Attribute::octets(kind::CHAP_CHALLENGE, &**challenge),
        ],
        // RFC 2548 §2.1.3: identifier, flags, LAN Manager response, NT response.
        Proof::MsChapV1 {
            challenge,
            nt_response,
        } => vec![
            Attribute::octets(kind::MS_CHAP_CHALLENGE, *challenge),
            Attribute::octets(
                kind::MS_CHAP_RESPONSE,
                [&[0, USE_NT_RESPONSE][..], &[0; 24], nt_response].concat(),
            ),
        ],
        // RFC 2548 §2.3.2: identifier, flags, the peer's challenge, 8 reserved bytes, response.
        Proof::MsChapV2 {
            challenge,
            peer_challenge,
            nt_response,
        } => vec![
            Attribute::octets(kind::MS_CHAP_CHALLENGE, *challenge),
            Attribute::octets(
                kind::MS_CHAP2_RESPONSE,
                [&[0, 0][..], peer_challenge, &[0; 8], nt_response].concat(),
            ),
        ],
    }
}

/// What every packet about a session says of its call.
pub(super) fn of_call(
    session_id: &str,
    identity: &str,
    port: u32,
    caller: Ipv4Addr,
    called: Ipv4Addr,
) -> [Attribute; 9] {
    [
        Attribute::integer(kind::SERVICE_TYPE, FRAMED),
        Attribute::integer(kind::FRAMED_PROTOCOL, PPP),
        Attribute::text(kind::NAS_IDENTIFIER, identity),
        Attribute::address(kind::NAS_IP_ADDRESS, called),
        Attribute::integer(kind::NAS_PORT, port),
        Attribute::integer(kind::NAS_PORT_TYPE, VIRTUAL),
        Attribute::text(kind::CALLING_STATION_ID, caller.to_string()),
        Attribute::text(kind::CALLED_STATION_ID, called.to_string()),
        Attribute::text(kind::ACCT_SESSION_ID, session_id),
    ]
}

/// What to make of the answer to a [`Login`]. `encryption` says which policy a user has here if it is
/// given that Mikrotik-Group, or none.
///
/// What is known and cannot be read makes an answer [`Decision::Unusable`], rather than a session
/// that is not what the server wanted; what is not known is ignored.
#[must_use]
pub fn decide(
    login: &Login,
    encryption: impl Fn(Option<&str>) -> Encryption,
    reply: &Reply,
) -> Decision {
    let attributes = reply.attributes.iter();
    let received = Received::new(attributes.map(|(kind, value)| (*kind, &**value)));
    if reply.code == Code::AccessAccept {
        match grant(login, encryption, &received, reply) {
            Ok(grant) => Decision::Accept(Box::new(grant)),
            Err(why) => Decision::Unusable(why),
        }
    } else if reply.code == Code::AccessReject {
        reject(&received)
    } else {
        Decision::Unusable("asks for more than PPP can: Access-Challenge".into())
    }
}

fn grant(
    login: &Login,
    local: impl Fn(Option<&str>) -> Encryption,
    received: &Received<'_>,
    reply: &Reply,
) -> Result<Grant, String> {
    received.check().map_err(|wrong| wrong.to_string())?;
    let address = received.address(kind::FRAMED_IP_ADDRESS).filter(is_address);
    let encryption_types = received.integer(kind::MS_MPPE_ENCRYPTION_TYPES);
    // 0 is what a server says that has nothing to say: what is set here counts.
    let limit = |low, gigawords| received.bytes(low, gigawords).filter(|&bytes| bytes > 0);
    let timeout = |kind| received.seconds(kind).filter(|time| !time.is_zero());
    let grant = Grant {
        message: message(login, received)?,
        keys: keys(login, received, reply, encryption_types)?,
        encryption: match received.integer(kind::MS_MPPE_ENCRYPTION_POLICY) {
            Some(1) => Some(Encryption::Yes),
            Some(2) => Some(Encryption::Required),
            Some(_) | None => None,
        },
        encryption_types,
        address,
        pool: received.text(kind::FRAMED_POOL),
        routes: routes(received, address)?,
        session_timeout: timeout(kind::SESSION_TIMEOUT),
        idle_timeout: timeout(kind::IDLE_TIMEOUT),
        interim: timeout(kind::ACCT_INTERIM_INTERVAL).map(|time| time.max(SHORTEST_INTERIM)),
        classes: received.all(kind::CLASS).map(<[u8]>::to_vec).collect(),
        port_limit: received.integer(kind::PORT_LIMIT).filter(|&most| most > 0),
        group: received.text(kind::MIKROTIK_GROUP),
        rate_limit: received
            .rate_limit(kind::MIKROTIK_RATE_LIMIT)
            .map_err(|text| format!("Mikrotik-Rate-Limit {text:?} is not a rate limit"))?,
        recv_limit: limit(
            kind::MIKROTIK_RECV_LIMIT,
            kind::MIKROTIK_RECV_LIMIT_GIGAWORDS,
        ),
        xmit_limit: limit(
            kind::MIKROTIK_XMIT_LIMIT,
            kind::MIKROTIK_XMIT_LIMIT_GIGAWORDS,
        ),
        total_limit: limit(
            kind::MIKROTIK_TOTAL_LIMIT,
            kind::MIKROTIK_TOTAL_LIMIT_GIGAWORDS,
        ),
        address_lists: received.texts(kind::MIKROTIK_ADDRESS_LIST),
        dns: [kind::MS_PRIMARY_DNS_SERVER, kind::MS_SECONDARY_DNS_SERVER]
            .map(|kind| received.address(kind).filter(is_server)),
        wins: [kind::MS_PRIMARY_NBNS_SERVER, kind::MS_SECONDARY_NBNS_SERVER]
            .map(|kind| received.address(kind).filter(is_server)),
    };
    let policy = grant
        .encryption
        .unwrap_or_else(|| local(grant.group.as_deref()));
    if policy == Encryption::Required && grant.keys.is_none() {
        return Err(match login.proof.method() {
            AuthMethod::Pap | AuthMethod::Chap => {
                "encryption is required, and the way the user logged in has no keys for it"
            }
            AuthMethod::MsChapV1 => "encryption is required, and it lacks MS-CHAP-MPPE-Keys",
            AuthMethod::MsChapV2 => {
                "encryption is required, and it lacks MS-MPPE-Send-Key and MS-MPPE-Recv-Key"
            }
        }
        .into());
    }
    Ok(grant)
}

/// 0.0.0.0 is what a server says that has none to name.
fn is_server(address: &Ipv4Addr) -> bool {
    !address.is_unspecified()
}

/// What the Success packet says.
fn message(login: &Login, received: &Received<'_>) -> Result<String, String> {
    match login.proof.method() {
        AuthMethod::Pap | AuthMethod::Chap | AuthMethod::MsChapV1 => {
            Ok(reply_message(received).unwrap_or_else(|| GREETING.to_owned()))
        }
        AuthMethod::MsChapV2 => {
            let success = received
                .first(kind::MS_CHAP2_SUCCESS)
                .ok_or("lacks MS-CHAP2-Success: the client would not believe it")?;
            // The identifier is first (RFC 2548 §2.3.3), and is whatever the server made of ours.
            let text = success.get(1..).unwrap_or_default();
            let is_proof = text.strip_prefix(b"S=").is_some_and(|digits| {
                digits.len() >= 40 && digits[..40].iter().all(u8::is_ascii_hexdigit)
            });
            match std::str::from_utf8(text) {
                Ok(text) if is_proof => Ok(text.to_owned()),
                Ok(_) | Err(_) => {
                    Err("MS-CHAP2-Success is not S= and 40 hexadecimal digits".into())
                }
            }
        }
    }
}

/// Every Reply-Message.
fn reply_message(received: &Received<'_>) -> Option<String> {
    let messages = received.texts(kind::REPLY_MESSAGE);
    (!messages.is_empty()).then(|| messages.join(" "))
}

/// The keys that go with the method; there are none for PAP and CHAP, whatever the server says.
fn keys(
    login: &Login,
    received: &Received<'_>,
    reply: &Reply,
    types: Option<u32>,
) -> Result<Option<MppeKeys>, String> {
    let challenge = match &login.proof {
        Proof::Pap { .. } | Proof::Chap { .. } => return Ok(None),
        Proof::MsChapV1 { challenge, .. } => Some(challenge),
        Proof::MsChapV2 { .. } => None,
    };
    let key = |kind| {
        received
            .first(kind)
            .map(|_| start_key(kind, reply.salted(kind), types))
            .transpose()
    };
    // The names are ours: what we send with, and what we receive with.
    match (key(kind::MS_MPPE_SEND_KEY)?, key(kind::MS_MPPE_RECV_KEY)?) {
        (Some(tx), Some(rx)) => {
            let keys = StartKeys { rx, tx };
            return Ok(Some(MppeKeys {
                bits128: keys.clone(),
                bits40: keys,
            }));
        }
        (Some(_), None) => return Err("has MS-MPPE-Send-Key, and lacks MS-MPPE-Recv-Key".into()),
        (None, Some(_)) => return Err("has MS-MPPE-Recv-Key, and lacks MS-MPPE-Send-Key".into()),
        (None, None) => {}
    }
    let Some(challenge) = challenge.filter(|_| received.first(kind::MS_CHAP_MPPE_KEYS).is_some())
    else {
        return Ok(None);
    };
    let keys = reply
        .mschap_mppe_keys()
        .ok_or("MS-CHAP-MPPE-Keys cannot be revealed")?;
    // RFC 2548 §2.4.1: 8 bytes of the LAN Manager hash, 16 of the hash of the NT hash, padding.
    let lm_key = std::array::from_fn(|at| keys[at]);
    let hash_hash = Zeroizing::new(std::array::from_fn(|at| keys[8 + at]));
    Ok(Some(MppeKeys::after_v1(&hash_hash, challenge, &lm_key)))
}

/// 16 bytes, or 8 where they are all that is used (RFC 3079 §3.3).
fn start_key(
    kind: Kind,
    revealed: Option<Zeroizing<Vec<u8>>>,
    types: Option<u32>,
) -> Result<StartKey, String> {
    let revealed = revealed.ok_or_else(|| format!("{kind} cannot be revealed"))?;
    let is_short = types.is_some_and(|types| types & SHORT != 0 && types & BITS128 == 0);
    if revealed.len() < 16 && !(is_short && revealed.len() >= 8) {
        return Err(format!(
            "{kind} has {} bytes, which is too short for a key",
            revealed.len()
        ));
    }
    let mut key = StartKey([0; 16]);
    for (byte, revealed) in key.0.iter_mut().zip(revealed.iter()) {
        *byte = *revealed;
    }
    Ok(key)
}

/// Framed-Route, each, after the network of Framed-IP-Netmask.
fn routes(received: &Received<'_>, address: Option<Ipv4Addr>) -> Result<Vec<Route>, String> {
    let mut routes = Vec::new();
    if let Some(mask) = received.address(kind::FRAMED_IP_NETMASK) {
        let bits = mask.to_bits();
        if bits.leading_ones() != bits.count_ones() {
            return Err(format!("Framed-IP-Netmask {mask} is not a netmask"));
        }
        // 0.0.0.0 is said by who has nothing to say: not everything is behind the client.
        let prefix_len = (1..32).find(|&length| u32::from(length) == bits.leading_ones());
        if let (Some(address), Some(prefix_len)) = (address, prefix_len) {
            routes.push(Route {
                destination: (address.to_bits() & bits).into(),
                prefix_len,
                gateway: None,
                metric: 1,
            });
        }
    }
    for text in received.texts(kind::FRAMED_ROUTE) {
        let route = framed_route(&text);
        routes.push(route.ok_or_else(|| format!("Framed-Route {text:?} is not a route"))?);
    }
    Ok(routes)
}

/// RFC 2865 §5.22: `DESTINATION[/LENGTH] [GATEWAY [METRIC..]]`, of which the first metric counts.
/// Without a length, the class of the network says it; an address inside of one is meant alone.
fn framed_route(text: &str) -> Option<Route> {
    let mut words = text.split_ascii_whitespace();
    let mut destination = words.next()?.to_owned();
    if !destination.contains('/') {
        let address: Ipv4Addr = destination.parse().ok()?;
        let class = match address.octets()[0] {
            0..128 => 8,
            128..192 => 16,
            192..224 => 24,
            224.. => 32,
        };
        let is_network = address.to_bits().trailing_zeros() >= 32 - class;
        let length = if is_network { class } else { 32 };
        destination = format!("{destination}/{length}");
    }
    let gateway = words.next().unwrap_or("0.0.0.0");
    let metric = words.next().unwrap_or("1");
    let are_metrics = words.all(|word| word.parse::<i64>().is_ok());
    are_metrics
        .then(|| Route::parse(&format!("{destination} {gateway} {metric}")))
        .flatten()
}

/// What a client can have: 255.255.255.254 and the like leave the choice to us.
fn is_address(address: &Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

fn reject(received: &Received<'_>) -> Decision {
    // The identifier is first (RFC 2548 §2.1.5), and some servers leave it out.
    let error = received.first(kind::MS_CHAP_ERROR).unwrap_or_default();
    let error = match error {
        [b'E', b'=', ..] | [] => error,
        [_, error @ ..] => error,
    };
    let said = String::from_utf8_lossy(error);
    let text = said.split_once(" M=").map(|(_, text)| text.trim_end());
    Decision::Reject {
        refusal: Refusal::of_failure(error).unwrap_or(Refusal::WrongLogin),
        message: text
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .or_else(|| reply_message(received)),
    }
}

/// The shortest time between two Interim-Updates.
const SHORTEST_INTERIM: Duration = Duration::from_secs(60);
/// Of MS-MPPE-Encryption-Types (RFC 2548 §2.4.5): 40 and 56 bit.
const SHORT: u32 = 0x2 | 0x8;
/// Of MS-MPPE-Encryption-Types.
const BITS128: u32 = 0x4;
/// RFC 2548 §2.1.3: the NT response counts.
const USE_NT_RESPONSE: u8 = 1;
/// Of Service-Type (RFC 2865 §5.6).
const FRAMED: u32 = 2;
/// Of Framed-Protocol (RFC 2865 §5.7).
const PPP: u32 = 1;
/// Of NAS-Port-Type (RFC 2865 §5.41).
const VIRTUAL: u32 = 5;

#[cfg(test)]
mod tests;

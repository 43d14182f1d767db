//! Authentication: what is asked about a user, and what an answer gives.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::attribute::{Attribute, Value, kind};
use crate::model::rate::RateLimit;
use crate::model::route::Route;
use crate::ppp::{Encryption, MppeKeys, Proof, Refusal};

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

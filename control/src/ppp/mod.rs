//! One PPP link (RFC 1661): LCP, authentication, CCP with MPPE (RFC 3078), IPCP (RFC 1332, 1877),
//! IPV6CP (RFC 5072).
//!
//! Sans-IO: frames and the time go into a [`Link`], [`Command`]s come out.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use greyhound_datapath::ipc::LinkOptions;
use greyhound_datapath::mppe::{Parameters, StartKey, Strength};
use zeroize::Zeroizing;

use crate::cause::Cause;

mod auth;
mod ccp;
mod chap;
mod describe;
mod fsm;
mod ipcp;
mod ipv6cp;
mod keepalive;
mod lcp;
mod link;
mod mschap;
mod negotiation;
mod packet;
mod strengths;
mod verify;

pub use describe::describe;
pub use link::Link;
pub use strengths::Strengths;
pub use verify::GREETING;

/// PPP protocol numbers.
pub mod protocol {
    /// Internet Protocol version 4.
    pub const IP: u16 = 0x0021;
    /// Internet Protocol version 6.
    pub const IPV6: u16 = 0x0057;
    /// IP Control Protocol, RFC 1332.
    pub const IPCP: u16 = 0x8021;
    /// IPv6 Control Protocol, RFC 5072.
    pub const IPV6CP: u16 = 0x8057;
    /// Compression Control Protocol, RFC 1962.
    pub const CCP: u16 = 0x80fd;
    /// Link Control Protocol, RFC 1661.
    pub const LCP: u16 = 0xc021;
    /// Password Authentication Protocol, RFC 1334.
    pub const PAP: u16 = 0xc023;
    /// Challenge Handshake Authentication Protocol, RFC 1994.
    pub const CHAP: u16 = 0xc223;
}

/// How one end proves who it is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthMethod {
    /// RFC 1334.
    Pap,
    /// RFC 1994 with MD5.
    Chap,
    /// RFC 2433.
    MsChapV1,
    /// RFC 2759.
    MsChapV2,
}

/// `use-encryption`, after the layers of profiles are resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// CCP is refused.
    No,
    /// Offered; a peer that refuses it stays connected without.
    #[default]
    Yes,
    /// A peer that refuses it is disconnected.
    Required,
}

/// `use-ipv6`, after the layers of profiles are resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UseIpv6 {
    /// IPV6CP is refused.
    No,
    /// Offered; a peer that refuses it stays connected without.
    #[default]
    Yes,
    /// A peer that refuses it is disconnected.
    Required,
}

/// Who we are on this link.
#[derive(Clone)]
pub enum Role {
    /// We authenticate the peer and tell it its address.
    Server {
        /// The name in our challenges.
        name: String,
        /// The methods we accept; the strongest is asked for first.
        methods: Vec<AuthMethod>,
    },
    /// We dialled: we prove who we are and ask for an address.
    Client {
        /// Our name, `DOMAIN\user` included.
        user: String,
        /// Our password.
        password: Zeroizing<String>,
        /// The methods we let the server use.
        allow: Vec<AuthMethod>,
    },
}

/// Without the password.
impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { name, methods } => f
                .debug_struct("Server")
                .field("name", name)
                .field("methods", methods)
                .finish(),
            Self::Client { user, allow, .. } => f
                .debug_struct("Client")
                .field("user", user)
                .field("allow", allow)
                .finish_non_exhaustive(),
        }
    }
}

/// What a link is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub role: Role,
    /// `max-mru`: what we ask the peer to limit itself to, in bytes.
    pub max_mru: u16,
    /// `mrru`: the largest packet that the peer may send in fragments, in bytes; `None` is without
    /// Multilink (RFC 1990).
    pub mrru: Option<u16>,
    /// Our encryption policy (a server may replace it by [`Accept::encryption`]).
    pub encryption: Encryption,
    /// Whether IPv6 is carried (a server may replace it by [`Accept::ipv6`]).
    pub ipv6: UseIpv6,
    /// `keepalive-timeout`: after that long with nothing received, five Echo-Requests, 1 s apart.
    pub keepalive: Option<Duration>,
    /// Server: how often the peer is to prove again who it is, by CHAP (RFC 1994 §1); PAP cannot.
    pub rechallenge: Option<Duration>,
}

/// What a peer sent to prove who it is; the caller checks it and answers with a [`Verdict`].
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// The password itself.
    Pap {
        /// As received.
        password: Zeroizing<Vec<u8>>,
    },
    /// RFC 1994 §4.1.
    Chap {
        /// The identifier, which is part of the hash.
        identifier: u8,
        /// Our challenge.
        challenge: Vec<u8>,
        /// MD5 of identifier, password, challenge.
        response: [u8; 16],
    },
    /// RFC 2433 §5.
    MsChapV1 {
        /// Our challenge.
        challenge: [u8; 8],
        /// The NT response; the LAN Manager one is never accepted.
        nt_response: [u8; 24],
    },
    /// RFC 2759 §4.
    MsChapV2 {
        /// Our challenge.
        challenge: [u8; 16],
        /// The peer's challenge.
        peer_challenge: [u8; 16],
        /// The NT response.
        nt_response: [u8; 24],
    },
}

impl Proof {
    /// The method that the proof belongs to.
    #[must_use]
    pub const fn method(&self) -> AuthMethod {
        match self {
            Self::Pap { .. } => AuthMethod::Pap,
            Self::Chap { .. } => AuthMethod::Chap,
            Self::MsChapV1 { .. } => AuthMethod::MsChapV1,
            Self::MsChapV2 { .. } => AuthMethod::MsChapV2,
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({:?}, ..)", self.method())
    }
}

/// The MPPE start keys, named as seen from our end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartKeys {
    /// For what the peer sends; 16 bytes, of which [`Strength::Bits40`] and 56 use 8.
    pub rx: StartKey,
    /// For what we send.
    pub tx: StartKey,
}

/// The peer is who it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// What Success carries: for MS-CHAPv2 `S=<40 hex digits> M=<text>`.
    pub message: String,
    /// MPPE keys for 128 bit and for 40 and 56 bit; `None` for methods that give none.
    pub keys: Option<MppeKeys>,
    /// The encryption policy of the user's profile.
    pub encryption: Encryption,
    /// Which strengths this user's encryption may have; `None` is all. A peer that offers none of
    /// them is as one that refuses encryption.
    pub strengths: Option<Strengths>,
    /// The same as [`Self::encryption`] about IPv6.
    pub ipv6: UseIpv6,
    /// The addresses; `None` ends the link with [`Cause::NoRemoteAddress`].
    pub network: Option<Network>,
}

/// Start keys by strength: MS-CHAPv1 derives them differently (RFC 3079 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MppeKeys {
    /// For 128 bit.
    pub bits128: StartKeys,
    /// For 40 and 56 bit: the first 8 bytes count.
    pub bits40: StartKeys,
}

/// What the caller found out about a [`Proof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it in.
    Accept(Box<Accept>),
    /// Turn it away.
    Reject {
        /// Why.
        refusal: Refusal,
        /// What the user is told, in place of our own words, as far as it is printable and the
        /// method has room for it: MS-CHAPv1 has none.
        message: Option<String>,
    },
}

/// Why a user is not let in; MS-CHAP has a code for each (RFC 2759 §6). All but the first may be
/// told only to who knows the password: else they would tell who exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 691: the name or the password is wrong.
    WrongLogin,
    /// 646: not at this time.
    RestrictedHours,
    /// 647: the account is disabled.
    Disabled,
    /// 648: the password is too old.
    PasswordExpired,
    /// 649: not from here, or not by this service.
    NoPermission,
}

impl Refusal {
    /// The code of RFC 2759 §6.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::WrongLogin => mschap::AUTHENTICATION_FAILURE,
            Self::RestrictedHours => mschap::RESTRICTED_LOGON_HOURS,
            Self::Disabled => mschap::ACCOUNT_DISABLED,
            Self::PasswordExpired => mschap::PASSWORD_EXPIRED,
            Self::NoPermission => mschap::NO_DIALIN_PERMISSION,
        }
    }

    /// What a Failure of MS-CHAP says, `E=691 ..`; a code that is none of those is a wrong login.
    /// `None` if there is no code.
    #[must_use]
    pub fn of_failure(message: &[u8]) -> Option<Self> {
        Some(match mschap::failure_code(message)? {
            mschap::RESTRICTED_LOGON_HOURS => Self::RestrictedHours,
            mschap::ACCOUNT_DISABLED => Self::Disabled,
            mschap::PASSWORD_EXPIRED | mschap::CHANGE_PASSWORD => Self::PasswordExpired,
            mschap::NO_DIALIN_PERMISSION => Self::NoPermission,
            _ => Self::WrongLogin,
        })
    }
}

/// The addresses inside the tunnel that a server gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Our address.
    pub ours: Ipv4Addr,
    /// The peer's address.
    pub peer: Ipv4Addr,
    /// DNS servers for the peer, RFC 1877.
    pub dns: [Option<Ipv4Addr>; 2],
    /// WINS servers for the peer, RFC 1877.
    pub wins: [Option<Ipv4Addr>; 2],
}

/// The link-local addresses that IPV6CP came to (RFC 5072).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Ours.
    pub ours: Ipv6Addr,
    /// The peer's.
    pub peer: Ipv6Addr,
}

/// What `print` shows as ENCODING: what each direction is encrypted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// What the peer sends: strength and whether stateless.
    pub rx: Option<(Strength, bool)>,
    /// What we send.
    pub tx: Option<(Strength, bool)>,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |side: Option<(Strength, bool)>| match side {
            None => String::new(),
            Some((strength, stateless)) => {
                let bits = match strength {
                    Strength::Bits40 => 40,
                    Strength::Bits56 => 56,
                    Strength::Bits128 => 128,
                };
                format!(
                    "MPPE{bits} {}",
                    if stateless { "stateless" } else { "stateful" }
                )
            }
        };
        let (rx, tx) = (one(self.rx), one(self.tx));
        if rx == tx {
            f.write_str(&rx)
        } else {
            write!(f, "{rx}/{tx}")
        }
    }
}

/// What a `Link` asks of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a PPP control frame.
    Send {
        /// The protocol number.
        protocol: u16,
        /// The information field.
        payload: Vec<u8>,
    },
    /// LCP opened, or left Opened (`opened` is then false): tell the datapath.
    SetLink(LinkOptions),
    /// Server: check this and call `Link::handle_verdict`.
    Authenticate {
        /// The name as received, lossily read as UTF-8, `DOMAIN\` included.
        user: String,
        /// What was sent.
        proof: Proof,
    },
    /// Both ends are who they say (client: the server accepted us and proved itself).
    Authenticated {
        /// Server: the peer's name; client: ours.
        user: String,
    },
    /// Client: the server turned us away, and said why.
    Refused {
        /// What its error code says (RFC 2759 §6), or the code.
        reason: String,
    },
    /// Encryption changed: tell the datapath. Before CCP opens comes one with `rx` alone, because
    /// the peer may encrypt as soon as it has our Configure-Ack; the one that follows with the
    /// same `rx` does not begin its keys anew.
    SetMppe {
        /// For what the peer sends.
        rx: Option<Parameters>,
        /// For what we send.
        tx: Option<Parameters>,
        /// The same for people; nothing until CCP is open.
        encoding: Encoding,
    },
    /// The peer lost its place in what we encrypt: tell the datapath.
    ResetMppe,
    /// IPCP opened.
    NetworkUp {
        /// The addresses (client: `dns` and `wins` as the server told them).
        network: Network,
        /// IPv6, if IPV6CP is open already.
        ipv6: Option<Ipv6>,
        /// The peer's MRU: the largest packet it takes, 1500 if it said nothing.
        peer_mru: u16,
        /// The MRU that the peer accepted of ours.
        our_mru: u16,
        /// Header compression that both sides will use on what we send: (ACFC, PFC).
        compression: (bool, bool),
    },
    /// While the network is up: IPV6CP opened, or left Opened.
    SetIpv6(Option<Ipv6>),
    /// IPCP left Opened.
    NetworkDown,
    /// Read the count of frames received and call `Link::handle_activity`.
    Sample,
    /// An echo went unanswered: a log line.
    MissedEcho,
    /// The link is finished; nothing follows. Sent once.
    Down(Cause),
}

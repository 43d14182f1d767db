//! Authentication, both roles: one end asks, the other proves who it is.
//!
//! PAP (RFC 1334), CHAP with MD5 (RFC 1994), MS-CHAPv1 (RFC 2433), MS-CHAPv2 (RFC 2759). Whether a
//! proof is right is the caller's to say.

use std::fmt;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::chap::{self, Credentials, Value, pap};
use super::mschap::{self, End};
use super::packet::Packet;
use super::{AuthMethod, MppeKeys, Proof, protocol, verify};
use crate::entropy::Entropy;

impl AuthMethod {
    /// The PPP protocol that carries it.
    pub(super) const fn protocol(self) -> u16 {
        match self {
            Self::Pap => protocol::PAP,
            Self::Chap | Self::MsChapV1 | Self::MsChapV2 => protocol::CHAP,
        }
    }
}

/// What time it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    Nothing,
    /// Send the packet of [`Authenticator::challenge`] or [`Claimant::request`] again.
    Resend,
    /// The other end had its time.
    TimedOut,
}

/// When to send again and when to give up.
#[derive(Clone, Copy, Debug)]
struct Timer {
    resend_at: Option<Instant>,
    deadline: Option<Instant>,
}

impl Timer {
    fn new(now: Instant, resends: bool) -> Self {
        Self {
            resend_at: resends.then(|| now + RESEND),
            deadline: Some(now + PATIENCE),
        }
    }

    const STOPPED: Self = Self {
        resend_at: None,
        deadline: None,
    };

    fn poll(self) -> Option<Instant> {
        self.resend_at.into_iter().chain(self.deadline).min()
    }

    fn handle(&mut self, now: Instant) -> Tick {
        if self.deadline.is_some_and(|at| at <= now) {
            *self = Self::STOPPED;
            Tick::TimedOut
        } else if self.resend_at.is_some_and(|at| at <= now) {
            self.resend_at = Some(now + RESEND);
            Tick::Resend
        } else {
            Tick::Nothing
        }
    }
}

/// The end that asks.
#[derive(Debug)]
pub(super) struct Authenticator {
    method: AuthMethod,
    name: String,
    id: u8,
    /// As many bytes as the method wants.
    challenge: Vec<u8>,
    stage: Stage,
    /// How often a peer that was wrong may still try again.
    retries: u8,
    /// The Failure that let it try again, and the identifier of the Response that led to it: it
    /// may be lost.
    failure: Option<(u8, Vec<u8>)>,
    timer: Timer,
}

#[derive(Debug)]
enum Stage {
    /// No answer yet.
    Asking,
    /// The caller checks the answer to `id`.
    Checking { user: String },
    /// It was checked; repeated answers get the same reply (RFC 1994 §4.1, RFC 1334 §2.2.1).
    Replied { code: u8, data: Vec<u8> },
}

/// What an [`Authenticator`] makes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing to do.
    Ignored,
    /// Check this.
    Check { user: String, proof: Proof },
    /// Send this.
    Repeat(Vec<u8>),
}

impl Authenticator {
    /// Asks for `method` under our `name`. The first thing to send is [`Self::challenge`].
    pub(super) fn new(
        now: Instant,
        method: AuthMethod,
        name: &str,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let challenge = draw_challenge(method, entropy);
        let mut id = [0];
        entropy.fill(&mut id);
        Self {
            method,
            name: name.to_owned(),
            id: id[0],
            challenge,
            stage: Stage::Asking,
            retries: RETRIES,
            failure: None,
            timer: Timer::new(now, true),
        }
    }

    /// An answer came.
    pub(super) fn handle_packet(&mut self, payload: &[u8]) -> Claim {
        let Some(packet) = Packet::parse(payload) else {
            return Claim::Ignored;
        };
        if let Some((id, failure)) = &self.failure
            && packet.code == chap::code::RESPONSE
            && packet.id == *id
        {
            return Claim::Repeat(failure.clone());
        }
        let expected = match self.method {
            AuthMethod::Pap => packet.code == pap::REQUEST,
            AuthMethod::Chap | AuthMethod::MsChapV1 | AuthMethod::MsChapV2 => {
                packet.code == chap::code::RESPONSE && packet.id == self.id
            }
        };
        if !expected {
            return Claim::Ignored;
        }
        match &self.stage {
            Stage::Checking { .. } => Claim::Ignored,
            Stage::Replied { code, data } => {
                let (code, id) = (*code, packet.id);
                Claim::Repeat(Packet { code, id, data }.emit())
            }
            Stage::Asking => {
                let Some((name, proof)) = self.proof(packet.data) else {
                    return Claim::Ignored;
                };
                let user = String::from_utf8_lossy(name).into_owned();
                self.id = packet.id;
                self.timer = Timer::STOPPED;
                self.stage = Stage::Checking { user: user.clone() };
                Claim::Check { user, proof }
            }
        }
    }

    /// The proof was right. The peer's name, and the packet to send, or `None` if none was due.
    pub(super) fn accept(&mut self, message: &str) -> Option<(String, Vec<u8>)> {
        self.failure = None;
        let code = match self.method {
            AuthMethod::Pap => pap::ACK,
            AuthMethod::Chap | AuthMethod::MsChapV1 | AuthMethod::MsChapV2 => chap::code::SUCCESS,
        };
        self.reply(code, message)
    }

    /// The proof was wrong, for the reason that this error code of RFC 2759 §6 names, and the user
    /// is told so in these words rather than ours; as [`Self::accept`], and whether the peer may
    /// try again.
    pub(super) fn reject(
        &mut self,
        now: Instant,
        error: u16,
        message: Option<&str>,
        entropy: &mut dyn Entropy,
    ) -> Option<(Vec<u8>, bool)> {
        let message = message.map(chap::displayable);
        let message = message.as_deref().filter(|text| !text.is_empty());
        let denied = message.unwrap_or(DENIED);
        let may_retry = error == mschap::AUTHENTICATION_FAILURE && self.retries > 0;
        match self.method {
            AuthMethod::Pap => Some((self.reply(pap::NAK, denied)?.1, false)),
            AuthMethod::Chap => Some((self.reply(chap::code::FAILURE, denied)?.1, false)),
            AuthMethod::MsChapV1 | AuthMethod::MsChapV2 => {
                let challenge = draw_challenge(self.method, entropy);
                let failure =
                    mschap::failure_message(self.method, error, may_retry, &challenge, message);
                let id = self.id;
                let (_, failure) = self.reply(chap::code::FAILURE, &failure)?;
                if may_retry {
                    self.retries -= 1;
                    self.failure = Some((id, failure.clone()));
                    // RFC 2759 §6: the next Response answers this challenge, under the next
                    // identifier.
                    self.id = id.wrapping_add(1);
                    self.challenge = challenge;
                    self.stage = Stage::Asking;
                    self.timer = Timer::new(now, false);
                }
                Some((failure, may_retry))
            }
        }
    }

    /// Says what it is time for.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Tick {
        self.timer.handle(now)
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timer.poll()
    }

    /// What to ask with, again and again; `None` for PAP, whose peer speaks first.
    pub(super) fn challenge(&self) -> Option<Vec<u8>> {
        if self.method == AuthMethod::Pap {
            return None;
        }
        let value = &self.challenge;
        let name = self.name.as_bytes();
        let packet = Packet {
            code: chap::code::CHALLENGE,
            id: self.id,
            data: &Value { value, name }.emit(),
        };
        Some(packet.emit())
    }

    pub(super) const fn method(&self) -> AuthMethod {
        self.method
    }

    /// Whether the peer was wrong and may try again.
    pub(super) const fn has_refused(&self) -> bool {
        self.failure.is_some()
    }

    fn proof<'a>(&self, data: &'a [u8]) -> Option<(&'a [u8], Proof)> {
        if self.method == AuthMethod::Pap {
            let Credentials { name, password } = Credentials::parse(data)?;
            let password = Zeroizing::new(password.to_vec());
            return Some((name, Proof::Pap { password }));
        }
        let Value { value, name } = Value::parse(data)?;
        let proof = match self.method {
            AuthMethod::Pap => return None,
            AuthMethod::Chap => Proof::Chap {
                identifier: self.id,
                challenge: self.challenge.clone(),
                response: value.try_into().ok()?,
            },
            AuthMethod::MsChapV1 => Proof::MsChapV1 {
                challenge: self.challenge.as_slice().try_into().ok()?,
                nt_response: mschap::parse_v1_response(value)?,
            },
            AuthMethod::MsChapV2 => {
                let response = mschap::Response::parse(value)?;
                Proof::MsChapV2 {
                    challenge: self.challenge.as_slice().try_into().ok()?,
                    peer_challenge: response.peer_challenge,
                    nt_response: response.nt_response,
                }
            }
        };
        Some((name, proof))
    }

    fn reply(&mut self, code: u8, message: &str) -> Option<(String, Vec<u8>)> {
        let Stage::Checking { user } = &mut self.stage else {
            return None;
        };
        let user = std::mem::take(user);
        let data = match self.method {
            AuthMethod::Pap => chap::pap_message(message),
            AuthMethod::Chap | AuthMethod::MsChapV1 | AuthMethod::MsChapV2 => message.into(),
        };
        let id = self.id;
        let packet = Packet {
            code,
            id,
            data: &data,
        }
        .emit();
        self.stage = Stage::Replied { code, data };
        Some((user, packet))
    }
}

/// The end that proves who it is.
pub(super) struct Claimant {
    method: AuthMethod,
    user: String,
    password: Zeroizing<String>,
    /// The last challenge we answered: the same one again gets the same answer.
    answered: Option<Answered>,
    timer: Timer,
}

struct Answered {
    challenge: Vec<u8>,
    response: Vec<u8>,
    id: u8,
    /// MS-CHAPv2: what Success must begin with.
    expected: Option<String>,
    keys: Option<MppeKeys>,
}

/// What a [`Claimant`] makes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing to do.
    Ignored,
    /// Send this.
    Answer(Vec<u8>),
    /// The server let us in and, where the method can tell, knows our password.
    Accepted(Option<MppeKeys>),
    /// It did not; with the error code of RFC 2759 §6 if it gave one.
    Refused(Option<u16>),
    /// It did, and does not know our password: it is not who it should be.
    Impostor,
}

impl Claimant {
    /// Waits to be asked. The first thing to send, if any, is [`Self::request`].
    pub(super) fn new(
        now: Instant,
        method: AuthMethod,
        user: &str,
        password: &Zeroizing<String>,
    ) -> Self {
        Self {
            method,
            user: user.to_owned(),
            password: password.clone(),
            answered: None,
            timer: Timer::new(now, method == AuthMethod::Pap),
        }
    }

    /// Something came from the server, which may ask again at any time (RFC 1994 §2).
    pub(super) fn handle_packet(
        &mut self,
        now: Instant,
        payload: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Heard {
        let Some(packet) = Packet::parse(payload) else {
            return Heard::Ignored;
        };
        let heard = match self.method {
            AuthMethod::Pap => match packet.code {
                pap::ACK => Heard::Accepted(None),
                pap::NAK => Heard::Refused(None),
                _ => Heard::Ignored,
            },
            AuthMethod::Chap | AuthMethod::MsChapV1 | AuthMethod::MsChapV2 => match packet.code {
                chap::code::CHALLENGE => self.answer(now, packet, entropy),
                chap::code::SUCCESS => self.on_success(packet),
                chap::code::FAILURE => match &self.answered {
                    // Interop: it may let us try again, but we have no other password.
                    Some(answered) if answered.id == packet.id => {
                        Heard::Refused(mschap::failure_code(packet.data))
                    }
                    Some(_) | None => Heard::Ignored,
                },
                _ => Heard::Ignored,
            },
        };
        if matches!(
            heard,
            Heard::Accepted(_) | Heard::Refused(_) | Heard::Impostor
        ) {
            self.timer = Timer::STOPPED;
        }
        heard
    }

    /// Says what it is time for.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Tick {
        self.timer.handle(now)
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timer.poll()
    }

    /// What to send again and again: PAP's Authenticate-Request, or CHAP's last Response, which
    /// is `None` until the server has asked.
    pub(super) fn request(&self) -> Option<Vec<u8>> {
        if self.method != AuthMethod::Pap {
            return self
                .answered
                .as_ref()
                .map(|answered| answered.response.clone());
        }
        let credentials = Credentials {
            name: self.user.as_bytes(),
            password: self.password.as_bytes(),
        };
        let packet = Packet {
            code: pap::REQUEST,
            id: 1,
            data: &credentials.emit(),
        };
        Some(packet.emit())
    }

    pub(super) const fn method(&self) -> AuthMethod {
        self.method
    }

    fn answer(&mut self, now: Instant, packet: Packet<'_>, entropy: &mut dyn Entropy) -> Heard {
        let Some(Value { value, .. }) = Value::parse(packet.data) else {
            return Heard::Ignored;
        };
        if let Some(answered) = &self.answered
            && answered.id == packet.id
            && answered.challenge == value
        {
            return Heard::Answer(answered.response.clone());
        }
        let hash = mschap::nt_password_hash(&self.password);
        let hash_hash = mschap::hash_nt_password_hash(&hash);
        let (response, expected, keys) = match self.method {
            AuthMethod::Pap => return Heard::Ignored,
            AuthMethod::Chap => {
                let response = verify::chap_response(packet.id, &self.password, value);
                (response.to_vec(), None, None)
            }
            AuthMethod::MsChapV1 => {
                let Ok(challenge) = value.try_into() else {
                    return Heard::Ignored;
                };
                let nt_response = mschap::challenge_response(challenge, &hash);
                let keys = mschap::v1_keys(&hash_hash, challenge, &self.password);
                let response = mschap::emit_v1_response(&nt_response).to_vec();
                (response, None, Some(keys))
            }
            AuthMethod::MsChapV2 => {
                let Ok(challenge) = value.try_into() else {
                    return Heard::Ignored;
                };
                let mut peer_challenge = [0; 16];
                entropy.fill(&mut peer_challenge);
                let short = mschap::challenge_hash(&peer_challenge, challenge, &self.user);
                let response = mschap::Response {
                    peer_challenge,
                    nt_response: mschap::challenge_response(&short, &hash),
                };
                let expected =
                    mschap::authenticator_response(&hash_hash, &response, challenge, &self.user);
                let keys = mschap::v2_keys(&hash_hash, &response.nt_response, End::Client);
                (response.emit().to_vec(), Some(expected), Some(keys))
            }
        };
        let data = Value {
            value: &response,
            name: self.user.as_bytes(),
        };
        let packet = Packet {
            code: chap::code::RESPONSE,
            id: packet.id,
            data: &data.emit(),
        };
        let response = packet.emit();
        // RFC 1994 §4.2: the reply may be lost, and only a repeated Response brings it again.
        if self.timer.deadline.is_some() {
            self.timer.resend_at = Some(now + RESEND);
        }
        self.answered = Some(Answered {
            challenge: value.to_vec(),
            response: response.clone(),
            id: packet.id,
            expected,
            keys,
        });
        Heard::Answer(response)
    }

    fn on_success(&mut self, packet: Packet<'_>) -> Heard {
        let Some(answered) = &mut self.answered else {
            return Heard::Ignored;
        };
        if answered.id != packet.id {
            return Heard::Ignored;
        }
        if let Some(expected) = &answered.expected {
            let proof = packet.data.get(..expected.len()).unwrap_or_default();
            // Servers write the digits in either case.
            let proof = proof.to_ascii_uppercase();
            if !bool::from(proof.ct_eq(expected.as_bytes())) {
                return Heard::Impostor;
            }
        }
        Heard::Accepted(answered.keys.take())
    }
}

impl fmt::Debug for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimant")
            .field("method", &self.method)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}

/// A challenge of the length that the method wants (RFC 1994 §4.1, RFC 2433 §3, RFC 2759 §3).
fn draw_challenge(method: AuthMethod, entropy: &mut dyn Entropy) -> Vec<u8> {
    let length = match method {
        AuthMethod::Pap => 0,
        AuthMethod::MsChapV1 => 8,
        AuthMethod::Chap | AuthMethod::MsChapV2 => 16,
    };
    let mut challenge = vec![0; length];
    entropy.fill(&mut challenge);
    challenge
}

/// What the peer is told where the method has no words of its own.
const DENIED: &str = "Access denied";
/// How often a peer may try again on one connection.
const RETRIES: u8 = 2;
/// RFC 1994 §4.1 leaves it open; as LCP's restart timer.
const RESEND: Duration = Duration::from_secs(3);
/// How long the other end has to say something.
const PATIENCE: Duration = Duration::from_secs(15);

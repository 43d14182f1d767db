//! Packets on the wire (RFC 2865 §3, RFC 2866 §3, RFC 5176 §2.3): a view of one that came, and what
//! makes and signs one that goes.
//!
//! A Message-Authenticator (RFC 2869 §5.14) stands before all else in what is sent, so that nobody
//! between the two ends can choose what MD5 begins with (CVE-2024-3596).

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::attribute::{Attribute, Kind, Value, kind};
use super::hide;

/// Bytes of the largest packet.
pub const MAX_PACKET: usize = 4096;

const HEADER: usize = 20;
/// The largest value of an attribute.
const MAX_VALUE: usize = 253;
const VENDOR_SPECIFIC: u8 = 26;
/// Vendor number, and number and length of the vendor's own attribute.
const VENDOR_HEADER: usize = 6;
const PROXY_STATE: Kind = Kind {
    vendor: 0,
    number: 33,
};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// May this user in?
    AccessRequest,
    /// Yes.
    AccessAccept,
    /// No.
    AccessReject,
    /// This is what happened.
    AccountingRequest,
    /// It is noted down.
    AccountingResponse,
    /// Yes, if the user can answer this.
    AccessChallenge,
    /// End sessions.
    DisconnectRequest,
    /// They end.
    DisconnectAck,
    /// They do not.
    DisconnectNak,
    /// Change what sessions may do.
    CoaRequest,
    /// It is changed.
    CoaAck,
    /// It is not.
    CoaNak,
}

impl Code {
    /// Every code, with its number.
    const ALL: [(Self, u8); 12] = [
        (Self::AccessRequest, 1),
        (Self::AccessAccept, 2),
        (Self::AccessReject, 3),
        (Self::AccountingRequest, 4),
        (Self::AccountingResponse, 5),
        (Self::AccessChallenge, 11),
        (Self::DisconnectRequest, 40),
        (Self::DisconnectAck, 41),
        (Self::DisconnectNak, 42),
        (Self::CoaRequest, 43),
        (Self::CoaAck, 44),
        (Self::CoaNak, 45),
    ];

    fn from_number(number: u8) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(code, of)| (of == number).then_some(code))
    }

    fn number(self) -> u8 {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(code, number)| (code == self).then_some(number))
            .unwrap_or_default()
    }
}

/// What came is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a RADIUS packet")]
pub struct Malformed;

/// What would go is too long, or has an attribute that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not fit into a RADIUS packet")]
pub struct TooLong;

/// Why a packet is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is none.
    #[error("not a RADIUS packet")]
    Malformed,
    /// It was made with another secret, or changed.
    #[error("wrong authenticator")]
    Authenticator,
    /// The same, told by the Message-Authenticator.
    #[error("wrong Message-Authenticator")]
    MessageAuthenticator,
    /// It has no Message-Authenticator where one is required.
    #[error("no Message-Authenticator")]
    NoMessageAuthenticator,
}

impl From<Malformed> for Fault {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// A view of a packet: its lengths are in order.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Without what may follow it in the datagram.
    bytes: &'a [u8],
    code: Code,
}

impl<'a> Packet<'a> {
    /// Looks at `bytes`, a datagram.
    ///
    /// # Errors
    /// [`Malformed`]: too short or too long, of a code that is not known, or an attribute's length
    /// leads out of it.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&[code, _, high, low], _) = bytes.split_first_chunk().ok_or(Malformed)?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER..=MAX_PACKET).contains(&len) {
            return Err(Malformed);
        }
        let bytes = bytes.get(..len).ok_or(Malformed)?;
        let code = Code::from_number(code).ok_or(Malformed)?;
        let packet = Self { bytes, code };
        let mut rest = &bytes[HEADER..];
        while !rest.is_empty() {
            rest = split(rest).ok_or(Malformed)?.2;
        }
        Ok(packet)
    }

    /// What it is.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// By which an answer belongs to its request.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.bytes[1]
    }

    /// Request or Response Authenticator.
    #[must_use]
    pub fn authenticator(&self) -> [u8; 16] {
        std::array::from_fn(|at| self.bytes[4 + at])
    }

    /// Its attributes in their order. Those of a vendor are taken out of what they stand in, if that
    /// is in order, else it is left out.
    pub fn attributes(&self) -> impl Iterator<Item = (Kind, &'a [u8])> + use<'a> {
        raw(&self.bytes[HEADER..]).flat_map(|(number, value)| {
            let of_vendor = number == VENDOR_SPECIFIC;
            let plain = (!of_vendor).then_some((Kind { vendor: 0, number }, value));
            let vendors = of_vendor.then(|| vendor_attributes(value));
            plain
                .into_iter()
                .chain(vendors.into_iter().flatten().flatten())
        })
    }

    /// Where the value of the Message-Authenticator begins, if there is one of the right length.
    fn message_authenticator(&self) -> Option<usize> {
        let mut at = HEADER;
        while let Some((number, value, _)) = split(&self.bytes[at..]) {
            if number == kind::MESSAGE_AUTHENTICATOR.number {
                return (value.len() == 16).then_some(at + 2);
            }
            at += 2 + value.len();
        }
        None
    }

    fn has_message_authenticator(&self) -> bool {
        let mut numbers = raw(&self.bytes[HEADER..]);
        numbers.any(|(number, _)| number == kind::MESSAGE_AUTHENTICATOR.number)
    }

    /// Checks a Message-Authenticator, which was made with `authenticator` in the header.
    fn check_message(&self, authenticator: &[u8; 16], secret: &[u8]) -> Result<(), Fault> {
        if !self.has_message_authenticator() {
            return Err(Fault::NoMessageAuthenticator);
        }
        let at = self.message_authenticator();
        let at = at.ok_or(Fault::MessageAuthenticator)?;
        let mut bytes = self.bytes.to_vec();
        bytes[4..HEADER].copy_from_slice(authenticator);
        bytes[at..at + 16].fill(0);
        let is_right = hmac(secret, &bytes).ct_eq(&self.bytes[at..at + 16]);
        if is_right.into() {
            Ok(())
        } else {
            Err(Fault::MessageAuthenticator)
        }
    }

    /// Checks the authenticator in the header, a digest of all with `before` in its place.
    fn check_digest(&self, before: &[u8; 16], secret: &[u8]) -> Result<(), Fault> {
        let expected = digest(self.bytes, before, secret);
        if expected.ct_eq(&self.bytes[4..HEADER]).into() {
            Ok(())
        } else {
            Err(Fault::Authenticator)
        }
    }
}

/// Number and value of the first attribute, and what is behind it.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[number, len], _) = bytes.split_first_chunk()?;
    let (attribute, rest) = bytes.split_at_checked(len.into())?;
    Some((number, attribute.get(2..)?, rest))
}

/// Attributes up to the first that is none.
fn raw(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (number, value, rest) = split(bytes)?;
        bytes = rest;
        Some((number, value))
    })
}

/// What stands in a Vendor-Specific (RFC 2865 §5.26), if it is made as the RFC proposes.
fn vendor_attributes(value: &[u8]) -> Option<impl Iterator<Item = (Kind, &[u8])>> {
    let (vendor, attributes) = value.split_first_chunk()?;
    let vendor = u32::from_be_bytes(*vendor);
    let mut rest = attributes;
    while !rest.is_empty() {
        rest = split(rest)?.2;
    }
    Some(raw(attributes).map(move |(number, value)| (Kind { vendor, number }, value)))
}

/// Makes a request, signed, and tells its Request Authenticator. `random` is that of an
/// Access-Request; the others have a digest for it. [`Value::Elapsed`] is as of `now`.
///
/// # Errors
/// [`TooLong`]. A text that is too long is cut.
pub fn build_request(
    code: Code,
    id: u8,
    attributes: &[Attribute],
    secret: &[u8],
    now: Instant,
    random: [u8; 16],
) -> Result<(Vec<u8>, [u8; 16]), TooLong> {
    let is_random = code == Code::AccessRequest;
    let first = if is_random { random } else { [0; 16] };
    let mut bytes = begin(code, id, &first);
    for attribute in attributes {
        push(&mut bytes, attribute, secret, &first, Some(now))?;
    }
    finish(&mut bytes)?;
    sign_message(&mut bytes, secret);
    if is_random {
        return Ok((bytes, random));
    }
    let authenticator = digest(&bytes, &first, secret);
    bytes[4..HEADER].copy_from_slice(&authenticator);
    Ok((bytes, authenticator))
}

/// Makes the answer to a request, signed, with the request's Proxy-State. What does not fit is left
/// out.
#[must_use]
pub fn build_response(
    code: Code,
    request: &Packet<'_>,
    attributes: &[Attribute],
    secret: &[u8],
) -> Vec<u8> {
    let authenticator = request.authenticator();
    let mut bytes = begin(code, request.id(), &authenticator);
    let proxies = request.attributes();
    let proxies = proxies.filter(|(kind, _)| *kind == PROXY_STATE);
    let proxies = proxies.map(|(kind, value)| Attribute {
        kind,
        value: Value::Octets(value.to_vec()),
    });
    for attribute in attributes.iter().cloned().chain(proxies) {
        let len = bytes.len();
        let pushed = push(&mut bytes, &attribute, secret, &authenticator, None);
        if pushed.is_err() || bytes.len() > MAX_PACKET {
            bytes.truncate(len);
        }
    }
    // What is too long was left out.
    let _ = finish(&mut bytes);
    sign_message(&mut bytes, secret);
    let response = digest(&bytes, &authenticator, secret);
    bytes[4..HEADER].copy_from_slice(&response);
    bytes
}

/// Checks the answer to a request that had this Request Authenticator. Who answers an
/// Access-Request may be required to sign it by a Message-Authenticator; one that is there is always
/// checked.
///
/// # Errors
/// Why it is not to be believed.
pub fn verify_response(
    bytes: &[u8],
    request_authenticator: &[u8; 16],
    secret: &[u8],
    requires_message_authenticator: bool,
) -> Result<(), Fault> {
    let packet = Packet::new_checked(bytes)?;
    packet.check_digest(request_authenticator, secret)?;
    let is_required = match packet.code {
        Code::AccessAccept | Code::AccessReject | Code::AccessChallenge => {
            requires_message_authenticator
        }
        Code::AccessRequest
        | Code::AccountingRequest
        | Code::AccountingResponse
        | Code::DisconnectRequest
        | Code::DisconnectAck
        | Code::DisconnectNak
        | Code::CoaRequest
        | Code::CoaAck
        | Code::CoaNak => false,
    };
    match packet.check_message(request_authenticator, secret) {
        Err(Fault::NoMessageAuthenticator) if !is_required => Ok(()),
        other => other,
    }
}

/// Checks a request that is signed by its authenticator: any but an Access-Request.
///
/// # Errors
/// Why it is not to be believed.
pub fn verify_request(bytes: &[u8], secret: &[u8]) -> Result<(), Fault> {
    let packet = Packet::new_checked(bytes)?;
    packet.check_digest(&[0; 16], secret)?;
    match packet.check_message(&[0; 16], secret) {
        Err(Fault::NoMessageAuthenticator) => Ok(()),
        other => other,
    }
}

/// An answer that was verified, with what it takes to find out what is hidden in it.
#[derive(Clone)]
pub struct Reply {
    /// What it is.
    pub code: Code,
    /// In their order, those of vendors taken out.
    pub attributes: Vec<(Kind, Vec<u8>)>,
    request_authenticator: [u8; 16],
    secret: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// The answer to a request that had this authenticator.
    #[must_use]
    pub fn new(
        code: Code,
        attributes: Vec<(Kind, Vec<u8>)>,
        request_authenticator: [u8; 16],
        secret: &[u8],
    ) -> Self {
        Self {
            code,
            attributes,
            request_authenticator,
            secret: Zeroizing::new(secret.to_vec()),
        }
    }

    fn first(&self, kind: Kind) -> Option<&[u8]> {
        let mut attributes = self.attributes.iter();
        attributes.find_map(|(one, value)| (*one == kind).then_some(&**value))
    }

    /// A key that is hidden with a salt: MS-MPPE-Send-Key, MS-MPPE-Recv-Key.
    #[must_use]
    pub fn salted(&self, kind: Kind) -> Option<Zeroizing<Vec<u8>>> {
        hide::reveal_key(self.first(kind)?, &self.secret, &self.request_authenticator)
    }

    /// MS-CHAP-MPPE-Keys: 8 bytes of the LAN Manager hash, 16 bytes of the hash of the NT hash, and 8
    /// that mean nothing.
    #[must_use]
    pub fn mschap_mppe_keys(&self) -> Option<Zeroizing<[u8; 32]>> {
        let value = self.first(kind::MS_CHAP_MPPE_KEYS)?;
        hide::reveal_chap_keys(value, &self.secret, &self.request_authenticator)
    }
}

/// Without what is hidden, and with what.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.attributes.iter().map(|(kind, _)| kind.to_string());
        f.debug_struct("Reply")
            .field("code", &self.code)
            .field("attributes", &kinds.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Header and an empty Message-Authenticator.
fn begin(code: Code, id: u8, authenticator: &[u8; 16]) -> Vec<u8> {
    let mut bytes = vec![code.number(), id, 0, 0];
    bytes.extend_from_slice(authenticator);
    bytes.extend([kind::MESSAGE_AUTHENTICATOR.number, 18]);
    bytes.extend([0; 16]);
    bytes
}

fn push(
    bytes: &mut Vec<u8>,
    attribute: &Attribute,
    secret: &[u8],
    authenticator: &[u8; 16],
    now: Option<Instant>,
) -> Result<(), TooLong> {
    let Kind { vendor, number } = attribute.kind;
    let most = MAX_VALUE - if vendor == 0 { 0 } else { VENDOR_HEADER };
    let value = match &attribute.value {
        Value::Text(text) => text.as_bytes()[..text.floor_char_boundary(most)].to_vec(),
        Value::Octets(octets) => octets.clone(),
        Value::Integer(number) => number.to_be_bytes().to_vec(),
        Value::Address(address) => address.octets().to_vec(),
        Value::Password(password) => {
            hide::hide_password(password, secret, authenticator).ok_or(TooLong)?
        }
        Value::Elapsed { at, before } => {
            let since = now.map_or(Duration::ZERO, |now| now.saturating_duration_since(*at));
            let elapsed = *before + since;
            let seconds = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX);
            seconds.to_be_bytes().to_vec()
        }
    };
    if value.len() > most {
        return Err(TooLong);
    }
    // The lengths are those of at most `MAX_VALUE` bytes and two more.
    let len = |len: usize| u8::try_from(len + 2).map_err(|_| TooLong);
    if vendor == 0 {
        bytes.extend([number, len(value.len())?]);
    } else {
        bytes.extend([VENDOR_SPECIFIC, len(value.len() + VENDOR_HEADER)?]);
        bytes.extend(vendor.to_be_bytes());
        bytes.extend([number, len(value.len())?]);
    }
    bytes.extend(value);
    Ok(())
}

/// Writes the length into the header.
fn finish(bytes: &mut [u8]) -> Result<(), TooLong> {
    let len = u16::try_from(bytes.len()).map_err(|_| TooLong)?;
    if bytes.len() > MAX_PACKET {
        return Err(TooLong);
    }
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Fills in the Message-Authenticator, which stands behind the header.
fn sign_message(bytes: &mut [u8], secret: &[u8]) {
    let signature = hmac(secret, bytes);
    bytes[HEADER + 2..HEADER + 18].copy_from_slice(&signature);
}

fn hmac(secret: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mac = <Hmac<Md5> as KeyInit>::new_from_slice(secret);
    let mac = mac.expect("a key of HMAC may have any length");
    mac.chain_update(bytes).finalize().into_bytes().into()
}

/// The digest that is an authenticator, of all with `before` in its place.
fn digest(bytes: &[u8], before: &[u8; 16], secret: &[u8]) -> [u8; 16] {
    Md5::new()
        .chain_update(&bytes[..4])
        .chain_update(before)
        .chain_update(&bytes[HEADER..])
        .chain_update(secret)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests;

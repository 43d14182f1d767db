//! The arithmetic of MS-CHAP: RFC 2433 (version 1), RFC 2759 (version 2), and the MPPE start keys
//! that come out of both (RFC 3079). Names are the RFCs'.

use std::fmt::Write as _;

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use greyhound_datapath::mppe::StartKey;
use md4::{Digest, Md4};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::{AuthMethod, MppeKeys, StartKeys};

/// MD4 of a password, or of that: enough to log in with, so as secret as the password.
pub(super) type Hash = Zeroizing<[u8; 16]>;

/// Which end of the link we are: MS-CHAPv2 has a key for each direction (RFC 3079 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Server,
    Client,
}

/// The value of an MS-CHAPv2 Response (RFC 2759 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) peer_challenge: [u8; 16],
    pub(super) nt_response: [u8; 24],
}

impl Response {
    /// `None` if it is not 49 bytes. The reserved bytes and the flags are not looked at.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let value: &[u8; RESPONSE_BYTES] = value.try_into().ok()?;
        Some(Self {
            peer_challenge: value[..16].try_into().ok()?,
            nt_response: value[24..48].try_into().ok()?,
        })
    }

    pub(super) fn emit(&self) -> [u8; RESPONSE_BYTES] {
        let mut value = [0; RESPONSE_BYTES];
        value[..16].copy_from_slice(&self.peer_challenge);
        value[24..48].copy_from_slice(&self.nt_response);
        value
    }
}

/// The NT response in the value of an MS-CHAPv1 Response (RFC 2433 §5). `None` if it is not
/// 49 bytes, or carries only the LAN Manager response, which gives the password away.
pub(super) fn parse_v1_response(value: &[u8]) -> Option<[u8; 24]> {
    let value: &[u8; RESPONSE_BYTES] = value.try_into().ok()?;
    if value[48] != USE_NT_RESPONSE {
        return None;
    }
    value[24..48].try_into().ok()
}

/// The value of an MS-CHAPv1 Response without a LAN Manager response.
pub(super) fn emit_v1_response(nt_response: &[u8; 24]) -> [u8; RESPONSE_BYTES] {
    let mut value = [0; RESPONSE_BYTES];
    value[24..48].copy_from_slice(nt_response);
    value[48] = USE_NT_RESPONSE;
    value
}

/// RFC 2759 §8.2, of the user's name without a Windows domain before it.
pub(super) fn challenge_hash(
    peer_challenge: &[u8; 16],
    challenge: &[u8; 16],
    user: &str,
) -> [u8; 8] {
    let digest = Sha1::new()
        .chain_update(peer_challenge)
        .chain_update(challenge)
        .chain_update(without_domain(user))
        .finalize();
    first(&digest.0)
}

/// RFC 2759 §8.3.
pub(super) fn nt_password_hash(password: &str) -> Hash {
    let unicode: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let unicode = Zeroizing::new(unicode);
    Zeroizing::new(Md4::digest(&*unicode).0)
}

/// RFC 2759 §8.4.
pub(super) fn hash_nt_password_hash(hash: &Hash) -> Hash {
    Zeroizing::new(Md4::digest(**hash).0)
}

/// RFC 2759 §8.5.
pub(super) fn challenge_response(challenge: &[u8; 8], hash: &Hash) -> [u8; 24] {
    let mut padded = Zeroizing::new([0; 21]);
    padded[..16].copy_from_slice(&**hash);
    let mut response = [0; 24];
    for (key, block) in padded.chunks_exact(7).zip(response.chunks_exact_mut(8)) {
        block.copy_from_slice(&des_encrypt(key, challenge));
    }
    response
}

/// RFC 2759 §8.7: what proves to the client that the server knows the password, as text.
pub(super) fn authenticator_response(
    hash_hash: &Hash,
    response: &Response,
    challenge: &[u8; 16],
    user: &str,
) -> String {
    let digest = Sha1::new()
        .chain_update(**hash_hash)
        .chain_update(response.nt_response)
        .chain_update(b"Magic server to client signing constant")
        .finalize();
    let digest = Sha1::new()
        .chain_update(digest)
        .chain_update(challenge_hash(&response.peer_challenge, challenge, user))
        .chain_update(b"Pad to make it do more than one iteration")
        .finalize();
    format!("S={}", hexadecimal(&digest))
}

/// RFC 3079 §3.3: the start keys after MS-CHAPv2. Those of 56 and 40 bit are the first 8 bytes.
pub(super) fn v2_keys(hash_hash: &Hash, nt_response: &[u8; 24], end: End) -> MppeKeys {
    let digest = Sha1::new()
        .chain_update(**hash_hash)
        .chain_update(nt_response)
        .chain_update(b"This is the MPPE Master Key")
        .finalize();
    let master = Zeroizing::new(first::<16>(&digest.0));
    let key = |magic: &[u8; 84]| {
        let digest = Sha1::new()
            .chain_update(*master)
            .chain_update([0; 40])
            .chain_update(magic)
            .chain_update([0xf2; 40])
            .finalize();
        StartKey(first(&digest.0))
    };
    let (from_client, from_server) = (key(CLIENT_SENDS), key(SERVER_SENDS));
    let keys = match end {
        End::Server => StartKeys {
            rx: from_client,
            tx: from_server,
        },
        End::Client => StartKeys {
            rx: from_server,
            tx: from_client,
        },
    };
    MppeKeys {
        bits128: keys.clone(),
        bits40: keys,
    }
}

/// RFC 3079 §2: the start keys after MS-CHAPv1, the same for both directions. Those of 56 and
/// 40 bit come from the LAN Manager hash.
pub(super) fn v1_keys(hash_hash: &Hash, challenge: &[u8; 8], password: &str) -> MppeKeys {
    let hash = lm_password_hash(password);
    MppeKeys::after_v1(hash_hash, challenge, &std::array::from_fn(|at| hash[at]))
}

impl MppeKeys {
    /// RFC 3079 §2: the start keys after MS-CHAPv1, of what a server that knows the password tells
    /// of it: MD4 of MD4 of the password, and the first 8 bytes of the LAN Manager hash.
    #[must_use]
    pub fn after_v1(hash_hash: &[u8; 16], challenge: &[u8; 8], lm_key: &[u8; 8]) -> Self {
        let digest = Sha1::new()
            .chain_update(hash_hash)
            .chain_update(hash_hash)
            .chain_update(challenge)
            .finalize();
        let both = |key: [u8; 16]| StartKeys {
            rx: StartKey(key),
            tx: StartKey(key),
        };
        let mut short = [0; 16];
        short[..8].copy_from_slice(lm_key);
        Self {
            bits128: both(first(&digest.0)),
            bits40: both(short),
        }
    }
}

/// The text of a Failure (RFC 2433 §7, RFC 2759 §6), with the challenge for another try. Version 2
/// has room for a message, else the code's meaning.
pub(super) fn failure_message(
    method: AuthMethod,
    code: u16,
    may_retry: bool,
    challenge: &[u8],
    message: Option<&str>,
) -> String {
    let retry = u8::from(may_retry);
    let challenge = hexadecimal(challenge);
    if method == AuthMethod::MsChapV1 {
        format!("E={code} R={retry} C={challenge} V=2")
    } else {
        let text = message
            .or_else(|| failure_text(code))
            .unwrap_or("Access denied");
        format!("E={code} R={retry} C={challenge} V=3 M={text}")
    }
}

/// The error code in a Failure, if there is one.
pub(super) fn failure_code(message: &[u8]) -> Option<u16> {
    let digits = message.strip_prefix(b"E=")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What an error code says (RFC 2759 §6).
pub(super) const fn failure_text(code: u16) -> Option<&'static str> {
    match code {
        RESTRICTED_LOGON_HOURS => Some("Restricted logon hours"),
        ACCOUNT_DISABLED => Some("Account disabled"),
        PASSWORD_EXPIRED => Some("Password expired"),
        NO_DIALIN_PERMISSION => Some("No dial-in permission"),
        AUTHENTICATION_FAILURE => Some("Authentication failed"),
        _ => None,
    }
}

/// RFC 2759 §6.
pub(super) const RESTRICTED_LOGON_HOURS: u16 = 646;
/// RFC 2759 §6.
pub(super) const ACCOUNT_DISABLED: u16 = 647;
/// RFC 2759 §6.
pub(super) const PASSWORD_EXPIRED: u16 = 648;
/// RFC 2759 §6.
pub(super) const NO_DIALIN_PERMISSION: u16 = 649;
/// RFC 2759 §6: a wrong name or password.
pub(super) const AUTHENTICATION_FAILURE: u16 = 691;
/// RFC 2759 §6: the password is to be changed first, which is not offered here.
pub(super) const CHANGE_PASSWORD: u16 = 709;

/// `DOMAIN\user` without the domain (RFC 2759 §8.2).
fn without_domain(user: &str) -> &str {
    user.rsplit_once('\\').map_or(user, |(_, user)| user)
}

/// RFC 2433 appendix A.3, the first half being all that MPPE uses.
fn lm_password_hash(password: &str) -> Hash {
    let mut upper = Zeroizing::new([0; 14]);
    for (byte, letter) in upper.iter_mut().zip(password.bytes()) {
        *byte = letter.to_ascii_uppercase();
    }
    let mut hash = Hash::default();
    for (key, block) in upper.chunks_exact(7).zip(hash.chunks_exact_mut(8)) {
        block.copy_from_slice(&des_encrypt(key, b"KGS!@#$%"));
    }
    hash
}

/// RFC 2759 §8.6: DES with seven key bytes, spread over eight with room for the parity bits.
fn des_encrypt(key: &[u8], clear: &[u8; 8]) -> [u8; 8] {
    let bits = key
        .iter()
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut spread = Zeroizing::new([0; 8]);
    for (at, byte) in spread.iter_mut().enumerate() {
        let [.., low] = (bits >> (49 - 7 * at)).to_be_bytes();
        *byte = low << 1;
    }
    let mut block = Array(*clear);
    Des::new(&Array(*spread)).encrypt_block(&mut block);
    block.0
}

fn first<const N: usize>(digest: &[u8; 20]) -> [u8; N] {
    std::array::from_fn(|at| digest[at])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// RFC 2433 §5, RFC 2759 §4.
const RESPONSE_BYTES: usize = 49;
/// RFC 2433 §5.
const USE_NT_RESPONSE: u8 = 1;
/// RFC 3079 §3.4, Magic2.
const CLIENT_SENDS: &[u8; 84] =
    b"On the client side, this is the send key; on the server side, it is the receive key.";
/// RFC 3079 §3.4, Magic3.
const SERVER_SENDS: &[u8; 84] =
    b"On the client side, this is the receive key; on the server side, it is the send key.";

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "User";
    const PASSWORD: &str = "clientPass";
    const RESPONSE: Response = Response {
        peer_challenge: *b"!@#$%^&*()_+:3|~",
        nt_response: [
            0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd,
            0x83, 0x54, 0x42, 0x33, 0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
        ],
    };
    const CHALLENGE: [u8; 16] = *b"[]|}{?/><,`!2&&(";

    fn hex(bytes: &[u8]) -> String {
        hexadecimal(bytes).to_ascii_lowercase()
    }

    /// RFC 2759 §9.2.
    #[test]
    fn the_sample_exchange_of_rfc_2759_comes_out() {
        let hash = nt_password_hash(PASSWORD);
        assert_eq!(hex(&*hash), "44ebba8d5312b8d611474411f56989ae");
        let hash_hash = hash_nt_password_hash(&hash);
        assert_eq!(hex(&*hash_hash), "41c00c584bd2d91c4017a2a12fa59f3f");
        let challenge = challenge_hash(&RESPONSE.peer_challenge, &CHALLENGE, USER);
        assert_eq!(hex(&challenge), "d02e4386bce91226");
        assert_eq!(challenge_response(&challenge, &hash), RESPONSE.nt_response);
        assert_eq!(
            authenticator_response(&hash_hash, &RESPONSE, &CHALLENGE, USER),
            "S=407A5589115FD0D6209F510FE9C04566932CDA56"
        );
    }

    /// RFC 3079 §3.5.3, and §3.5.1 for the first 8 bytes of it.
    #[test]
    fn the_sample_key_of_rfc_3079_comes_out() {
        let hash_hash = hash_nt_password_hash(&nt_password_hash(PASSWORD));
        let keys = v2_keys(&hash_hash, &RESPONSE.nt_response, End::Server);
        assert_eq!(hex(&keys.bits128.tx.0), "8b7cdc149b993a1ba118cb153f56dccb");
        assert_eq!(hex(&keys.bits40.tx.0[..8]), "8b7cdc149b993a1b");
    }

    /// RFC 3079 §2.5.1 and §2.5.3.
    #[test]
    fn the_sample_keys_after_ms_chapv1_come_out() {
        let hash_hash = hash_nt_password_hash(&nt_password_hash(PASSWORD));
        let challenge = [0x10, 0x2d, 0xb5, 0xdf, 0x08, 0x5d, 0x30, 0x41];
        let keys = v1_keys(&hash_hash, &challenge, PASSWORD);
        assert_eq!(hex(&keys.bits128.rx.0), "a8947850cfc0acc1d1789fb62ddcddb0");
        assert_eq!(keys.bits128.rx, keys.bits128.tx);
        assert_eq!(hex(&keys.bits40.rx.0[..8]), "76a152936096d783");
    }

    #[test]
    fn a_failure_says_what_each_version_of_the_method_wants() {
        let v1 = failure_message(AuthMethod::MsChapV1, 691, true, &[0xAB; 8], Some("Nobody"));
        assert_eq!(v1, "E=691 R=1 C=ABABABABABABABAB V=2");
        let v2 = failure_message(AuthMethod::MsChapV2, 647, false, &[1; 16], None);
        assert_eq!(
            v2,
            "E=647 R=0 C=01010101010101010101010101010101 V=3 M=Account disabled"
        );
        let v2 = failure_message(
            AuthMethod::MsChapV2,
            649,
            false,
            &[1; 16],
            Some("No credit"),
        );
        assert_eq!(
            v2,
            "E=649 R=0 C=01010101010101010101010101010101 V=3 M=No credit"
        );
        for code in [646, 647, 648, 649, 691] {
            let message = failure_message(AuthMethod::MsChapV2, code, false, &[0; 16], None);
            assert_eq!(failure_code(message.as_bytes()), Some(code));
            assert!(failure_text(code).is_some());
        }
        for odd in [&b""[..], b"E=", b"E=x", b"E=99999999", b"Access denied"] {
            assert_eq!(failure_code(odd), None);
        }
    }

    #[test]
    fn the_keys_of_both_ends_fit() {
        let hash_hash = hash_nt_password_hash(&nt_password_hash(PASSWORD));
        let server = v2_keys(&hash_hash, &RESPONSE.nt_response, End::Server).bits128;
        let client = v2_keys(&hash_hash, &RESPONSE.nt_response, End::Client).bits128;
        assert_eq!((server.rx, server.tx), (client.tx, client.rx));
    }

    #[test]
    fn a_domain_before_the_name_is_not_hashed() {
        let hash = |user| challenge_hash(&[1; 16], &[2; 16], user);
        assert_eq!(hash("DOMAIN\\User"), hash("User"));
        assert_ne!(hash("DOMAIN/User"), hash("User"));
    }

    #[test]
    fn only_the_nt_response_of_ms_chapv1_is_looked_at() {
        let mut value = emit_v1_response(&[7; 24]);
        assert_eq!(parse_v1_response(&value), Some([7; 24]));
        value[48] = 0;
        assert_eq!(parse_v1_response(&value), None);
        assert_eq!(parse_v1_response(&value[..48]), None);
    }

    #[test]
    fn a_response_survives_the_wire_and_no_other_length_is_one() {
        assert_eq!(Response::parse(&RESPONSE.emit()), Some(RESPONSE));
        assert_eq!(Response::parse(&[0; 48]), None);
        assert_eq!(Response::parse(&[0; 50]), None);
    }
}

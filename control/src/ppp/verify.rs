//! Checks a [`Proof`] against a password that is known, as the local user database does.

use md5::{Digest, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::mschap::{self, End};
use super::{AuthMethod, MppeKeys, Proof};

impl Proof {
    /// Whether `user` knows `password`: if so, the text of the Success packet and, where the
    /// method gives them, the MPPE start keys of a server.
    ///
    /// Takes the same time whether it is right or wrong. For a user that does not exist, check
    /// against any password and throw the result away, so that this too takes the same time.
    #[must_use]
    pub fn check(&self, user: &str, password: &str) -> Option<(String, Option<MppeKeys>)> {
        match self {
            Self::Pap { password: proof } => {
                // Of digests, whose length tells nothing.
                let digest = |password: &[u8]| Sha1::digest(password);
                let (given, kept) = (digest(proof), digest(password.as_bytes()));
                let right: bool = given.as_slice().ct_eq(kept.as_slice()).into();
                right.then(|| (GREETING.to_owned(), None))
            }
            Self::Chap {
                identifier,
                challenge,
                response,
            } => {
                let expected = chap_response(*identifier, password, challenge);
                let right: bool = expected.ct_eq(response).into();
                right.then(|| (GREETING.to_owned(), None))
            }
            Self::MsChapV1 {
                challenge,
                nt_response,
            } => {
                let hash = mschap::nt_password_hash(password);
                let expected = mschap::challenge_response(challenge, &hash);
                let keys =
                    mschap::v1_keys(&mschap::hash_nt_password_hash(&hash), challenge, password);
                let right: bool = expected.ct_eq(nt_response).into();
                right.then(|| (GREETING.to_owned(), Some(keys)))
            }
            Self::MsChapV2 {
                challenge,
                peer_challenge,
                nt_response,
            } => {
                let hash = mschap::nt_password_hash(password);
                let hash_hash = mschap::hash_nt_password_hash(&hash);
                let short = mschap::challenge_hash(peer_challenge, challenge, user);
                let expected = mschap::challenge_response(&short, &hash);
                let response = mschap::Response {
                    peer_challenge: *peer_challenge,
                    nt_response: *nt_response,
                };
                let proof = mschap::authenticator_response(&hash_hash, &response, challenge, user);
                let keys = mschap::v2_keys(&hash_hash, nt_response, End::Server);
                let right: bool = expected.ct_eq(nt_response).into();
                right.then(|| (format!("{proof} M={GREETING}"), Some(keys)))
            }
        }
    }
}

/// RFC 1994 §4.1: what proves the password to whoever sent the challenge.
pub(super) fn chap_response(identifier: u8, password: &str, challenge: &[u8]) -> [u8; 16] {
    Md5::new()
        .chain_update([identifier])
        .chain_update(password)
        .chain_update(challenge)
        .finalize()
        .into()
}

impl AuthMethod {
    /// Whether MPPE keys come out of it.
    #[must_use]
    pub const fn has_keys(self) -> bool {
        match self {
            Self::Pap | Self::Chap => false,
            Self::MsChapV1 | Self::MsChapV2 => true,
        }
    }
}

/// What a Success says, unless somebody else has something to say.
pub const GREETING: &str = "Access granted";

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    /// pppd's Response to pptpd's Challenge, from a capture: User1, StrongPass-1.
    fn captured_v2() -> Proof {
        Proof::MsChapV2 {
            challenge: 0x7d43_e14c_aa46_41ac_6dd4_9b00_aa40_82aa_u128.to_be_bytes(),
            peer_challenge: 0x8a0e_7bb0_444b_d50c_ce94_37b6_dfac_e037_u128.to_be_bytes(),
            nt_response: [
                0x18, 0x03, 0x99, 0xcd, 0x1d, 0xe4, 0x4f, 0xb1, 0x69, 0xd0, 0xf5, 0xbf, 0xc9, 0x56,
                0x4c, 0xf4, 0xb8, 0x6b, 0x41, 0x24, 0x33, 0x89, 0x48, 0x5c,
            ],
        }
    }

    /// The same with MS-CHAPv1.
    fn captured_v1() -> Proof {
        Proof::MsChapV1 {
            challenge: 0x6e00_5a7d_9ee3_a81e_u64.to_be_bytes(),
            nt_response: [
                0xdb, 0xe6, 0x38, 0x38, 0xda, 0xfe, 0x45, 0xd5, 0x74, 0x43, 0x6b, 0xa8, 0x2a, 0xb5,
                0x48, 0x59, 0xf5, 0x47, 0xdf, 0xa6, 0xda, 0x3e, 0x14, 0xbc,
            ],
        }
    }

    #[test]
    fn pppd_is_let_in_with_the_message_that_pptpd_sent_it() {
        let (message, keys) = captured_v2().check("User1", "StrongPass-1").unwrap();
        assert_eq!(
            message,
            "S=76A545E229AE9195C1C2796661C1E0D3FB6E6922 M=Access granted"
        );
        assert!(keys.is_some());
    }

    #[test]
    fn pppd_is_let_in_with_ms_chapv1() {
        let (message, keys) = captured_v1().check("User1", "StrongPass-1").unwrap();
        assert_eq!(message, "Access granted");
        assert!(keys.is_some());
    }

    #[test]
    fn a_wrong_password_or_name_is_turned_away() {
        for password in ["", "strongpass-1", "StrongPass-1 "] {
            assert_eq!(captured_v2().check("User1", password), None);
            assert_eq!(captured_v1().check("User1", password), None);
        }
        assert_eq!(captured_v2().check("User2", "StrongPass-1"), None);
    }

    #[test]
    fn pap_compares_the_whole_password() {
        let proof = Proof::Pap {
            password: Zeroizing::new(b"StrongPass-1".to_vec()),
        };
        assert!(proof.check("User1", "StrongPass-1").is_some());
        assert!(proof.check("User1", "StrongPass").is_none());
        assert!(proof.check("User1", "StrongPass-12").is_none());
    }

    #[test]
    fn nothing_secret_shows_in_debug_output() {
        assert_eq!(format!("{:?}", captured_v2()), "Proof(MsChapV2, ..)");
    }
}

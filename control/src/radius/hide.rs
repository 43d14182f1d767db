//! What RADIUS hides with the secret that both ends share, and finds again: passwords (RFC 2865 §5.2)
//! and keys (RFC 2548 §2.4).

use md5::{Digest, Md5};
use zeroize::Zeroizing;

/// Bytes that are hidden at once: those of an MD5 digest.
const BLOCK: usize = 16;

/// The longest password.
pub const MAX_PASSWORD: usize = 128;

/// User-Password: filled up with zeroes to whole blocks. `None` if it is longer than
/// [`MAX_PASSWORD`].
#[must_use]
pub fn hide_password(password: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Option<Vec<u8>> {
    if password.len() > MAX_PASSWORD {
        return None;
    }
    let mut padded = Zeroizing::new(password.to_vec());
    let whole = password.len().next_multiple_of(BLOCK).max(BLOCK);
    padded.resize(whole, 0);
    Some(hide(&padded, secret, authenticator))
}

/// MS-MPPE-Send-Key and MS-MPPE-Recv-Key (RFC 2548 §2.4.2): a salt, then the key behind its length.
/// `None` if the lengths do not fit together.
#[must_use]
pub fn reveal_key(
    value: &[u8],
    secret: &[u8],
    authenticator: &[u8; 16],
) -> Option<Zeroizing<Vec<u8>>> {
    let (salt, hidden) = value.split_at_checked(2)?;
    if hidden.is_empty() || !hidden.len().is_multiple_of(BLOCK) {
        return None;
    }
    let plain = reveal(hidden, secret, &[&authenticator[..], salt].concat());
    let (&len, rest) = plain.split_first()?;
    let key = rest.get(..len.into())?;
    Some(Zeroizing::new(key.to_vec()))
}

/// The value of a key, as [`reveal_key`] finds it again. `None` if it is longer than 255 bytes.
#[must_use]
pub fn hide_key(
    key: &[u8],
    salt: [u8; 2],
    secret: &[u8],
    authenticator: &[u8; 16],
) -> Option<Vec<u8>> {
    let mut plain = Zeroizing::new(vec![u8::try_from(key.len()).ok()?]);
    plain.extend_from_slice(key);
    let whole = plain.len().next_multiple_of(BLOCK);
    plain.resize(whole, 0);
    let hidden = hide(&plain, secret, &[&authenticator[..], &salt].concat());
    Some([&salt[..], &hidden].concat())
}

/// MS-CHAP-MPPE-Keys (RFC 2548 §2.4.1): the first 8 bytes of the LAN Manager hash, 16 bytes of the
/// hash of the NT hash, and padding, hidden as a password is. `None` if it is not 24 or 32 bytes.
#[must_use]
pub fn reveal_chap_keys(
    value: &[u8],
    secret: &[u8],
    authenticator: &[u8; 16],
) -> Option<Zeroizing<[u8; 32]>> {
    if value.len() != 24 && value.len() != 32 {
        return None;
    }
    let mut padded = [0; 32];
    padded[..value.len()].copy_from_slice(value);
    let plain = reveal(&padded, secret, authenticator);
    let mut keys = Zeroizing::new([0; 32]);
    // What a short one has no padding for comes out as noise.
    keys[..24].copy_from_slice(&plain[..24]);
    Some(keys)
}

/// The value of those keys, as [`reveal_chap_keys`] finds them again.
#[must_use]
pub fn hide_chap_keys(keys: &[u8; 32], secret: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
    hide(keys, secret, authenticator)
}

/// Each block is mixed with a digest of the hidden one before it, the first with one of `first`.
fn hide(plain: &[u8], secret: &[u8], first: &[u8]) -> Vec<u8> {
    let mut hidden: Vec<u8> = Vec::with_capacity(plain.len());
    for block in plain.chunks(BLOCK) {
        let before = hidden.len().checked_sub(BLOCK);
        let mask = mask(secret, before.map_or(first, |at| &hidden[at..]));
        hidden.extend(block.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    }
    hidden
}

fn reveal(hidden: &[u8], secret: &[u8], first: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(hidden.len()));
    let mut before = first;
    for block in hidden.chunks(BLOCK) {
        let mask = mask(secret, before);
        plain.extend(block.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        before = block;
    }
    plain
}

fn mask(secret: &[u8], before: &[u8]) -> [u8; BLOCK] {
    Md5::new()
        .chain_update(secret)
        .chain_update(before)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// RFC 2865 §7.1: the password of `nemo`.
    #[test]
    fn a_password_is_hidden_as_in_the_rfc() {
        let authenticator = 0x0f40_3f94_7397_8057_bd83_d5cb_98f4_227a_u128.to_be_bytes();
        let hidden = hide_password(b"arctangent", b"xyzzy5461", &authenticator);
        let expected = 0x0dbe_708d_93d4_13ce_3196_e43f_782a_0aee_u128.to_be_bytes();
        assert_eq!(hidden, Some(expected.to_vec()));
    }

    #[test]
    fn a_password_is_whole_blocks_and_not_too_long() {
        let len = |password: usize| {
            hide_password(&vec![b'x'; password], b"s", &[0; 16]).map(|hidden| hidden.len())
        };
        for (password, hidden) in [(0, 16), (1, 16), (16, 16), (17, 32), (128, 128)] {
            assert_eq!(len(password), Some(hidden), "{password}");
        }
        assert_eq!(len(129), None);
    }

    #[test]
    fn lengths_that_do_not_fit_are_no_key() {
        let value = hide_key(&[7; 16], [0x80, 1], b"s", &[0; 16]).unwrap();
        assert_eq!(value.len(), 2 + 32);
        for len in [0, 1, 2, 3, 17, 33] {
            assert_eq!(reveal_key(&value[..len], b"s", &[0; 16]), None, "{len}");
        }
        // The length is behind the end.
        let short = hide(&[16; 16], b"s", &[&[0; 16][..], &[0x80, 1]].concat());
        assert_eq!(
            reveal_key(&[&[0x80, 1][..], &short].concat(), b"s", &[0; 16]),
            None
        );
        for len in [0, 16, 23, 25, 31, 33] {
            assert_eq!(
                reveal_chap_keys(&vec![0; len], b"s", &[0; 16]),
                None,
                "{len}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_key_of_any_length_is_found_again(
            key in vec(any::<u8>(), 0..100), salt: [u8; 2], secret in vec(any::<u8>(), 0..40), authenticator: [u8; 16]
        ) {
            let value = hide_key(&key, salt, &secret, &authenticator).unwrap();
            prop_assert_eq!(reveal_key(&value, &secret, &authenticator).unwrap().to_vec(), key);
        }

        #[test]
        fn keys_of_ms_chap_are_found_again(keys: [u8; 32], authenticator: [u8; 16]) {
            let value = hide_chap_keys(&keys, b"s", &authenticator);
            let found = reveal_chap_keys(&value, b"s", &authenticator).unwrap();
            prop_assert_eq!(&found[..24], &keys[..24]);
            let short = reveal_chap_keys(&value[..24], b"s", &authenticator).unwrap();
            prop_assert_eq!(&short[..], &found[..]);
        }
    }
}

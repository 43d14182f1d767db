//! The attributes of a packet that came, read as what they are.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::attribute::{Kind, WrongLength};
use crate::model::rate::RateLimit;

/// The attributes of a packet, in its order; what is not known is never looked at.
#[derive(Clone, Debug)]
pub(super) struct Received<'a>(Vec<(Kind, &'a [u8])>);

impl<'a> Received<'a> {
    pub(super) fn new(attributes: impl IntoIterator<Item = (Kind, &'a [u8])>) -> Self {
        Self(attributes.into_iter().collect())
    }

    /// Finds numbers and addresses that are none.
    pub(super) fn check(&self) -> Result<(), WrongLength> {
        self.0
            .iter()
            .try_for_each(|(kind, value)| kind.check(value))
    }

    /// The values of each attribute of that kind.
    pub(super) fn all(&self, kind: Kind) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.0
            .iter()
            .filter(move |(found, _)| *found == kind)
            .map(|&(_, value)| value)
    }

    pub(super) fn first(&self, kind: Kind) -> Option<&'a [u8]> {
        self.all(kind).next()
    }

    /// The kinds of which there is one at least, each once or more.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.0.iter().map(|&(kind, _)| kind)
    }

    pub(super) fn integer(&self, kind: Kind) -> Option<u32> {
        self.first(kind)?.try_into().map(u32::from_be_bytes).ok()
    }

    pub(super) fn address(&self, kind: Kind) -> Option<Ipv4Addr> {
        self.integer(kind).map(Ipv4Addr::from_bits)
    }

    /// Seconds.
    pub(super) fn seconds(&self, kind: Kind) -> Option<Duration> {
        let seconds = self.integer(kind)?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// Bytes, of which the upper 32 bits are an attribute of their own.
    pub(super) fn bytes(&self, low: Kind, gigawords: Kind) -> Option<u64> {
        let (low, high) = (self.integer(low), self.integer(gigawords));
        (low.is_some() || high.is_some())
            .then(|| u64::from(high.unwrap_or(0)) << 32 | u64::from(low.unwrap_or(0)))
    }

    pub(super) fn text(&self, kind: Kind) -> Option<String> {
        self.first(kind).map(text)
    }

    pub(super) fn texts(&self, kind: Kind) -> Vec<String> {
        self.all(kind).map(text).collect()
    }

    /// A rate limit; what is none is given back.
    pub(super) fn rate_limit(&self, kind: Kind) -> Result<Option<RateLimit>, String> {
        self.text(kind)
            .map(|text| RateLimit::parse(&text).map_err(|_| text))
            .transpose()
    }
}

/// What is not UTF-8 is replaced: it fits no name, and is said as it can be. Some servers end texts
/// with a zero, against RFC 2865 §5.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .trim_end_matches('\0')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::attribute::kind;
    use super::*;

    #[test]
    fn both_halves_of_a_number_of_bytes_count() {
        let (low, high) = (7_u32.to_be_bytes(), 2_u32.to_be_bytes());
        let low = (kind::MIKROTIK_RECV_LIMIT, &low[..]);
        let high = (kind::MIKROTIK_RECV_LIMIT_GIGAWORDS, &high[..]);
        let bytes = |attributes: &[(Kind, &[u8])]| {
            Received::new(attributes.iter().copied()).bytes(
                kind::MIKROTIK_RECV_LIMIT,
                kind::MIKROTIK_RECV_LIMIT_GIGAWORDS,
            )
        };
        assert_eq!(bytes(&[low]), Some(7));
        assert_eq!(bytes(&[high]), Some(2 << 32));
        assert_eq!(bytes(&[low, high]), Some((2 << 32) + 7));
        assert_eq!(bytes(&[]), None);
    }

    #[test]
    fn a_text_is_read_without_the_zero_that_some_servers_put_behind_it() {
        let received = Received::new([
            (kind::FRAMED_POOL, &b"pool\0"[..]),
            (kind::MIKROTIK_GROUP, b"\xff"),
        ]);
        assert_eq!(received.text(kind::FRAMED_POOL).as_deref(), Some("pool"));
        assert_eq!(
            received.text(kind::MIKROTIK_GROUP).as_deref(),
            Some("\u{fffd}")
        );
    }
}

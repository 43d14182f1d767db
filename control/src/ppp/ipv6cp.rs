//! IPV6CP: the interface identifiers that link-local addresses are made of (RFC 5072 §4.1).
//!
//! Ours is random; either end may be asked for another one. Compression is rejected.

use std::net::Ipv6Addr;

use super::negotiation::{Extension, Judgement, Protocol};
use super::packet::{ConfigOption, Packet};
use super::{Ipv6, protocol};
use crate::entropy::Entropy;

/// An interface identifier; never zero once it is agreed on.
type Identifier = [u8; 8];

/// Our side of IPV6CP.
#[derive(Debug, Default)]
pub(super) struct Ipv6cp {
    /// What we ask for; `None` once the peer rejected it.
    ours: Option<Identifier>,
    /// What the peer asked for and got.
    peer: Option<Identifier>,
}

impl Ipv6cp {
    /// What was agreed on; `None` if an end is left without an identifier.
    pub(super) fn network(&self) -> Option<Ipv6> {
        Some(Ipv6 {
            ours: link_local(self.ours?),
            peer: link_local(self.peer?),
        })
    }

    /// An identifier that neither end has.
    fn draw(&self, entropy: &mut dyn Entropy) -> Identifier {
        loop {
            let mut identifier = Identifier::default();
            entropy.fill(&mut identifier);
            // RFC 5072 §4.1: not one that is known to be unique on earth.
            identifier[0] &= !UNIVERSAL;
            let taken = [self.ours, self.peer].contains(&Some(identifier));
            if !taken && identifier != NONE {
                return identifier;
            }
        }
    }
}

impl Protocol for Ipv6cp {
    const NUMBER: u16 = protocol::IPV6CP;

    fn begin(&mut self, entropy: &mut dyn Entropy) {
        self.peer = None;
        // The same again after a renegotiation: the interface has it.
        if self.ours.is_none() {
            self.ours = Some(self.draw(entropy));
        }
    }

    fn request(&self) -> Vec<ConfigOption> {
        let ours = self.ours.into_iter();
        ours.map(|ours| ConfigOption::new(INTERFACE_IDENTIFIER, ours))
            .collect()
    }

    fn nakked(&mut self, option: &ConfigOption, entropy: &mut dyn Entropy) {
        if let Some(suggested) = identifier(option) {
            let usable = suggested != NONE && self.peer != Some(suggested);
            self.ours = Some(if usable {
                suggested
            } else {
                self.draw(entropy)
            });
        }
    }

    fn rejected(&mut self, option: &ConfigOption) {
        if option.kind == INTERFACE_IDENTIFIER {
            self.ours = None;
        }
    }

    fn judge(&mut self, option: &ConfigOption, entropy: &mut dyn Entropy) -> Judgement {
        match identifier(option) {
            None => Judgement::Reject,
            Some(asked) if asked == NONE || self.ours == Some(asked) => {
                Judgement::Nak(self.draw(entropy).into())
            }
            Some(_) => Judgement::Ack,
        }
    }

    fn accepted(&mut self, options: &[ConfigOption]) {
        self.peer = options.iter().find_map(identifier);
    }

    fn extension(&mut self, _: Packet<'_>) -> Extension {
        Extension::Unknown
    }
}

fn identifier(option: &ConfigOption) -> Option<Identifier> {
    if option.kind != INTERFACE_IDENTIFIER {
        return None;
    }
    option.data.as_slice().try_into().ok()
}

/// RFC 5072 §5: fe80::/64 and the identifier.
fn link_local(identifier: Identifier) -> Ipv6Addr {
    const PREFIX: u128 = 0xfe80 << 112;
    Ipv6Addr::from_bits(PREFIX | u128::from(u64::from_be_bytes(identifier)))
}

const INTERFACE_IDENTIFIER: u8 = 1;
/// Stands for no identifier: its sender wants one suggested.
const NONE: Identifier = [0; 8];
/// The u bit.
const UNIVERSAL: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::CountingEntropy;

    const PEER: Identifier = [0x20, 0xde, 0xed, 0x39, 0xa4, 0xa1, 0xc3, 0xad];

    fn begun() -> Ipv6cp {
        let mut ipv6cp = Ipv6cp::default();
        ipv6cp.begin(&mut CountingEntropy(7));
        ipv6cp
    }

    fn option(identifier: Identifier) -> ConfigOption {
        ConfigOption::new(INTERFACE_IDENTIFIER, identifier)
    }

    fn judge(ipv6cp: &mut Ipv6cp, option: &ConfigOption) -> Judgement {
        ipv6cp.judge(option, &mut CountingEntropy(9))
    }

    #[test]
    fn the_identifiers_make_link_local_addresses() {
        let mut ipv6cp = begun();
        assert_eq!(judge(&mut ipv6cp, &option(PEER)), Judgement::Ack);
        ipv6cp.accepted(&[option(PEER)]);

        let network = ipv6cp.network().unwrap();

        assert_eq!(network.peer.to_string(), "fe80::20de:ed39:a4a1:c3ad");
        assert_eq!(network.ours.segments()[0], 0xfe80);
        assert_ne!(network.ours, network.peer);
    }

    #[test]
    fn a_peer_without_an_identifier_or_with_ours_is_given_another() {
        let mut ipv6cp = begun();
        let ours = ipv6cp.ours.unwrap();
        for asked in [NONE, ours] {
            let Judgement::Nak(other) = judge(&mut ipv6cp, &option(asked)) else {
                panic!("{asked:x?} was taken");
            };
            assert_ne!(other, ours);
            assert_ne!(other, NONE);
            assert_eq!(other[0] & UNIVERSAL, 0);
        }
    }

    #[test]
    fn ours_is_what_the_peer_suggests_unless_that_is_nothing_or_its_own() {
        let mut ipv6cp = begun();
        let mut suggest = |identifier| {
            ipv6cp.nakked(&option(identifier), &mut CountingEntropy(3));
            ipv6cp.ours
        };
        assert_eq!(suggest(PEER), Some(PEER));
        assert_ne!(suggest(NONE), Some(NONE));
        let mut ipv6cp = begun();
        ipv6cp.accepted(&[option(PEER)]);
        ipv6cp.nakked(&option(PEER), &mut CountingEntropy(3));
        assert_ne!(ipv6cp.ours, Some(PEER));
    }

    #[test]
    fn compression_and_broken_identifiers_are_rejected() {
        let mut ipv6cp = begun();
        for (kind, data) in [(2, vec![0, 0x4f]), (1, vec![1; 7]), (1, vec![1; 9])] {
            let option = ConfigOption::new(kind, data);
            assert_eq!(judge(&mut ipv6cp, &option), Judgement::Reject);
        }
    }

    #[test]
    fn an_end_without_an_identifier_has_no_network() {
        let mut ipv6cp = begun();
        assert_eq!(ipv6cp.network(), None);
        ipv6cp.accepted(&[option(PEER)]);
        ipv6cp.rejected(&option(PEER));
        assert_eq!(ipv6cp.network(), None);
        assert!(ipv6cp.request().is_empty());
    }
}

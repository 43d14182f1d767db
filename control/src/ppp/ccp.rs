//! CCP with the one algorithm MPPE (RFC 1962, RFC 3078 §2).
//!
//! The option in a Configure-Request says how its sender wants to *receive* (RFC 1962 §2): ours,
//! once acknowledged, is for our rx keys, and the peer's for our tx keys. We offer 128 bit,
//! stateless, and let the peer bring it down to 56 or 40 bit, never to stateful: a lost frame
//! would cost a round trip. Other compressors are rejected.

use greyhound_datapath::mppe::{Parameters, StartKey, Strength};

use super::negotiation::{Extension, Judgement, Protocol};
use super::packet::{ConfigOption, Packet};
use super::{Encoding, MppeKeys, StartKeys, protocol};
use crate::entropy::Entropy;

/// Our side of CCP.
#[derive(Debug)]
pub(super) struct Ccp {
    keys: MppeKeys,
    /// What we ask for: how we receive. `None` once the peer rejected it.
    rx: Option<Strength>,
    /// What the peer asked for and got: how we send.
    tx: Option<Strength>,
    /// How often the peer was told our wish instead of its own.
    naks_sent: u8,
}

impl Ccp {
    /// With the start keys that authentication gave.
    pub(super) const fn new(keys: MppeKeys) -> Self {
        Self {
            keys,
            rx: None,
            tx: None,
            naks_sent: 0,
        }
    }

    /// How to decrypt, if the peer does, or were to do, as we ask.
    pub(super) fn rx(&self) -> Option<Parameters> {
        self.parameters(self.rx, |keys| &keys.rx)
    }

    /// How to encrypt.
    pub(super) fn tx(&self) -> Option<Parameters> {
        self.parameters(self.tx, |keys| &keys.tx)
    }

    /// Both directions, for people.
    pub(super) fn encoding(&self) -> Encoding {
        Encoding {
            rx: self.rx.map(|strength| (strength, true)),
            tx: self.tx.map(|strength| (strength, true)),
        }
    }

    fn parameters(
        &self,
        strength: Option<Strength>,
        side: fn(&StartKeys) -> &StartKey,
    ) -> Option<Parameters> {
        let strength = strength?;
        let start_key = match strength {
            Strength::Bits128 => side(&self.keys.bits128),
            Strength::Bits56 | Strength::Bits40 => side(&self.keys.bits40),
        };
        Some(Parameters {
            start_key: start_key.clone(),
            strength,
            stateless: true,
        })
    }
}

impl Protocol for Ccp {
    const NUMBER: u16 = protocol::CCP;

    fn begin(&mut self, _: &mut dyn Entropy) {
        self.rx = Some(Strength::Bits128);
        self.tx = None;
        self.naks_sent = 0;
    }

    fn request(&self) -> Vec<ConfigOption> {
        self.rx.map(mppe).into_iter().collect()
    }

    fn nakked(&mut self, option: &ConfigOption, _: &mut dyn Entropy) {
        if option.kind == MPPE
            && let Some(strength) = option.u32().and_then(strongest)
            && self.rx.is_some()
        {
            self.rx = Some(strength);
        }
    }

    fn rejected(&mut self, option: &ConfigOption) {
        if option.kind == MPPE {
            self.rx = None;
        }
    }

    fn judge(&mut self, option: &ConfigOption, _: &mut dyn Entropy) -> Judgement {
        let (MPPE, Some(bits)) = (option.kind, option.u32()) else {
            return Judgement::Reject;
        };
        // A peer that asks for less even after it was told our wish has no better.
        let agreed = match strongest(bits) {
            Some(strength) if bits != STATELESS | strength_bit(strength) => false,
            Some(Strength::Bits128) => true,
            Some(Strength::Bits56 | Strength::Bits40) => self.naks_sent >= 2,
            None => false,
        };
        if agreed {
            Judgement::Ack
        } else {
            self.naks_sent = self.naks_sent.saturating_add(1);
            Judgement::Nak(mppe(Strength::Bits128).data)
        }
    }

    fn missing(&self, options: &[ConfigOption]) -> Vec<ConfigOption> {
        if options.iter().any(|option| option.kind == MPPE) {
            Vec::new()
        } else {
            vec![mppe(Strength::Bits128)]
        }
    }

    fn accepted(&mut self, options: &[ConfigOption]) {
        let bits = options.iter().find(|option| option.kind == MPPE);
        self.tx = bits.and_then(ConfigOption::u32).and_then(strongest);
    }

    fn extension(&mut self, packet: Packet<'_>) -> Extension {
        match packet.code {
            // Interop: pppd sends it in stateless mode too, for any frame it cannot decrypt, and
            // ends the link if CCP is rejected for it. There is nothing to reset.
            RESET_REQUEST => Extension::Reply(RESET_ACK, packet.data.to_vec()),
            RESET_ACK => Extension::Ignored,
            _ => Extension::Unknown,
        }
    }
}

/// The option that asks for stateless MPPE of this strength.
fn mppe(strength: Strength) -> ConfigOption {
    let bits = STATELESS | strength_bit(strength);
    ConfigOption::new(MPPE, bits.to_be_bytes())
}

/// The strongest that is on offer together with stateless mode.
fn strongest(bits: u32) -> Option<Strength> {
    [Strength::Bits128, Strength::Bits56, Strength::Bits40]
        .into_iter()
        .find(|strength| bits & STATELESS != 0 && bits & strength_bit(*strength) != 0)
}

const fn strength_bit(strength: Strength) -> u32 {
    match strength {
        Strength::Bits40 => 0x20,
        Strength::Bits56 => 0x80,
        Strength::Bits128 => 0x40,
    }
}

/// RFC 3078 §2: the option's type, shared with Microsoft's compression.
const MPPE: u8 = 18;
/// RFC 3078 §2.1: the H bit.
const STATELESS: u32 = 0x0100_0000;
/// RFC 1962 §3.
pub(super) const RESET_REQUEST: u8 = 14;
/// RFC 1962 §3.
const RESET_ACK: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::CountingEntropy;

    fn ccp() -> Ccp {
        let keys = |rx, tx| StartKeys {
            rx: StartKey([rx; 16]),
            tx: StartKey([tx; 16]),
        };
        let mut ccp = Ccp::new(MppeKeys {
            bits128: keys(1, 2),
            bits40: keys(3, 4),
        });
        ccp.begin(&mut CountingEntropy(0));
        ccp
    }

    fn judge(ccp: &mut Ccp, bits: u32) -> Judgement {
        let option = ConfigOption::new(MPPE, bits.to_be_bytes());
        ccp.judge(&option, &mut CountingEntropy(0))
    }

    fn our_wish() -> Judgement {
        Judgement::Nak(vec![0x01, 0, 0, 0x40])
    }

    #[test]
    fn stateless_128_bit_is_asked_for_in_the_bytes_that_pppd_sends() {
        assert_eq!(
            ConfigOption::emit_all(&ccp().request()),
            [0x12, 0x06, 0x01, 0, 0, 0x40]
        );
    }

    #[test]
    fn stateless_128_bit_is_agreed_to_at_once() {
        let mut ccp = ccp();
        assert_eq!(judge(&mut ccp, 0x0100_0040), Judgement::Ack);
        ccp.accepted(&[ConfigOption::new(MPPE, [1, 0, 0, 0x40])]);
        let tx = ccp.tx().unwrap();
        assert_eq!(tx.start_key, StartKey([2; 16]));
        assert_eq!(ccp.rx().unwrap().start_key, StartKey([1; 16]));
        assert_eq!(ccp.encoding().to_string(), "MPPE128 stateless");
    }

    #[test]
    fn every_other_wish_gets_ours_back() {
        let windows = 0x0100_00e1;
        for bits in [0, 0x40, 0x0100_0000, 0x0100_0041, 0x0100_0060, windows] {
            assert_eq!(judge(&mut ccp(), bits), our_wish(), "{bits:#x}");
        }
    }

    #[test]
    fn a_peer_that_has_only_40_bit_gets_it_after_it_heard_our_wish() {
        let mut ccp = ccp();
        assert_eq!(judge(&mut ccp, 0x0100_0020), our_wish());
        assert_eq!(judge(&mut ccp, 0x0100_0020), our_wish());
        assert_eq!(judge(&mut ccp, 0x0100_0020), Judgement::Ack);
        ccp.accepted(&[ConfigOption::new(MPPE, [1, 0, 0, 0x20])]);
        assert_eq!(ccp.tx().unwrap().start_key, StartKey([4; 16]));
    }

    #[test]
    fn stateful_is_never_agreed_to() {
        let mut ccp = ccp();
        for _ in 0..9 {
            assert_eq!(judge(&mut ccp, 0x40), our_wish());
        }
        ccp.nakked(
            &ConfigOption::new(MPPE, [0, 0, 0, 0x40]),
            &mut CountingEntropy(0),
        );
        assert!(ccp.rx().unwrap().stateless);
    }

    #[test]
    fn other_compressors_are_rejected() {
        let mut ccp = ccp();
        for (kind, data) in [(15, vec![0x78, 0]), (21, vec![0x2f]), (18, vec![1, 2, 3])] {
            let option = ConfigOption::new(kind, data);
            assert_eq!(
                ccp.judge(&option, &mut CountingEntropy(0)),
                Judgement::Reject
            );
        }
    }

    #[test]
    fn a_rejected_wish_leaves_nothing_to_decrypt() {
        let mut ccp = ccp();
        ccp.rejected(&ConfigOption::new(MPPE, [1, 0, 0, 0x40]));
        assert_eq!(ccp.rx(), None);
        assert!(ccp.request().is_empty());
    }

    #[test]
    fn a_reset_request_is_acknowledged_though_nothing_is_reset() {
        let packet = Packet {
            code: RESET_REQUEST,
            id: 3,
            data: &[],
        };
        assert_eq!(
            ccp().extension(packet),
            Extension::Reply(RESET_ACK, Vec::new())
        );
    }
}

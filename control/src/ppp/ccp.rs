//! CCP with the one algorithm MPPE (RFC 1962, RFC 3078 §2).
//!
//! The option in a Configure-Request says how its sender wants to *receive* (RFC 1962 §2): ours,
//! once acknowledged, is for our rx keys, and the peer's for our tx keys. We offer every strength,
//! stateless, and the peer chooses (RFC 3078 §2.1): pppd that has only 40 bit would end the link
//! over a wish for 128. A peer gets the strongest it offers, and stateful mode, in which a lost
//! frame costs a round trip, if it insists. Other compressors are rejected.

use greyhound_datapath::mppe::{Parameters, StartKey, Strength};

use super::negotiation::{Extension, Judgement, Protocol};
use super::packet::{ConfigOption, Packet, code};
use super::{Encoding, MppeKeys, StartKeys, protocol};
use crate::entropy::Entropy;

/// Our side of CCP.
#[derive(Debug)]
pub(super) struct Ccp {
    keys: MppeKeys,
    /// The bits that we ask for: how we receive. `None` once the peer rejected it.
    rx: Option<u32>,
    /// What the peer asked for and got: how we send.
    tx: Option<Mode>,
    /// How often the peer was told our wish instead of its own.
    naks_sent: u8,
}

/// How one direction is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    strength: Strength,
    stateless: bool,
}

impl Mode {
    const BEST: Self = Self {
        strength: Strength::Bits128,
        stateless: true,
    };

    /// The best one of those on offer; `None` if they have no strength.
    fn best_of(bits: u32) -> Option<Self> {
        [Strength::Bits128, Strength::Bits56, Strength::Bits40]
            .into_iter()
            .find(|strength| bits & strength_bit(*strength) != 0)
            .map(|strength| Self {
                strength,
                stateless: bits & STATELESS != 0,
            })
    }

    const fn bits(self) -> u32 {
        let mode = if self.stateless { STATELESS } else { 0 };
        mode | strength_bit(self.strength)
    }
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
        self.parameters(self.rx_mode(), |keys| &keys.rx)
    }

    /// How to encrypt.
    pub(super) fn tx(&self) -> Option<Parameters> {
        self.parameters(self.tx, |keys| &keys.tx)
    }

    /// Both directions, for people.
    pub(super) fn encoding(&self) -> Encoding {
        Encoding {
            rx: self.rx_mode().map(|mode| (mode.strength, mode.stateless)),
            tx: self.tx.map(|mode| (mode.strength, mode.stateless)),
        }
    }

    fn rx_mode(&self) -> Option<Mode> {
        self.rx.and_then(Mode::best_of)
    }

    fn parameters(
        &self,
        mode: Option<Mode>,
        side: fn(&StartKeys) -> &StartKey,
    ) -> Option<Parameters> {
        let Mode {
            strength,
            stateless,
        } = mode?;
        let start_key = match strength {
            Strength::Bits128 => side(&self.keys.bits128),
            Strength::Bits56 | Strength::Bits40 => side(&self.keys.bits40),
        };
        Some(Parameters {
            start_key: start_key.clone(),
            strength,
            stateless,
        })
    }
}

impl Protocol for Ccp {
    const NUMBER: u16 = protocol::CCP;

    fn begin(&mut self, _: &mut dyn Entropy) {
        self.rx = Some(EVERY_STRENGTH);
        self.tx = None;
        self.naks_sent = 0;
    }

    fn request(&self) -> Vec<ConfigOption> {
        self.rx.map(mppe).into_iter().collect()
    }

    fn nakked(&mut self, option: &ConfigOption, _: &mut dyn Entropy) {
        if option.kind == MPPE
            && let Some(mode) = option.u32().and_then(Mode::best_of)
            && self.rx.is_some()
        {
            self.rx = Some(mode.bits());
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
        // Interop: pppd ends the link if it is told a strength that it did not offer.
        let best = Mode::best_of(bits).unwrap_or(Mode::BEST);
        if bits == best.bits() && (best.stateless || self.naks_sent >= PATIENCE) {
            return Judgement::Ack;
        }
        self.naks_sent = self.naks_sent.saturating_add(1);
        let stateless = Mode {
            stateless: true,
            ..best
        };
        Judgement::Nak(stateless.bits().to_be_bytes().into())
    }

    fn missing(&self, options: &[ConfigOption]) -> Vec<ConfigOption> {
        if options.iter().any(|option| option.kind == MPPE) {
            Vec::new()
        } else {
            vec![mppe(Mode::BEST.bits())]
        }
    }

    fn accepted(&mut self, options: &[ConfigOption]) {
        let bits = options.iter().find(|option| option.kind == MPPE);
        self.tx = bits.and_then(ConfigOption::u32).and_then(Mode::best_of);
    }

    fn extension(&mut self, packet: Packet<'_>) -> Extension {
        match packet.code {
            // Interop: pppd sends it in stateless mode too, for any frame it cannot decrypt, and
            // ends the link if CCP is rejected for it. Then there is nothing to reset.
            RESET_REQUEST => Extension::Reply(RESET_ACK, packet.data.to_vec()),
            RESET_ACK => Extension::Ignored,
            _ => Extension::Unknown,
        }
    }
}

/// The option with these bits.
fn mppe(bits: u32) -> ConfigOption {
    ConfigOption::new(MPPE, bits.to_be_bytes())
}

const fn strength_bit(strength: Strength) -> u32 {
    match strength {
        Strength::Bits40 => 0x20,
        Strength::Bits56 => 0x80,
        Strength::Bits128 => 0x40,
    }
}

/// RFC 3078 §2: the option's type, shared with Microsoft's compression.
pub(super) const MPPE: u8 = 18;
/// RFC 3078 §2.1: the H bit.
const STATELESS: u32 = 0x0100_0000;
/// Stateless, 128, 56 and 40 bit.
const EVERY_STRENGTH: u32 = 0x0100_00e0;
/// How often a peer that asks for stateful mode is told to use stateless before it gets its wish.
const PATIENCE: u8 = 2;
/// RFC 1962 §3.
pub(super) const RESET_REQUEST: u8 = 14;
/// RFC 1962 §3.
pub(super) const RESET_ACK: u8 = 15;

/// Whether a packet of CCP is a Configure-Request for MPPE.
pub(super) fn asks_for_mppe(payload: &[u8]) -> bool {
    let request = Packet::parse(payload).filter(|packet| packet.code == code::CONFIGURE_REQUEST);
    let options = request.and_then(|request| ConfigOption::parse_all(request.data));
    options.is_some_and(|options| options.iter().any(|option| option.kind == MPPE))
}

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
    fn every_strength_is_offered_and_the_peer_chooses() {
        let mut ccp = ccp();
        assert_eq!(
            ConfigOption::emit_all(&ccp.request()),
            [0x12, 0x06, 0x01, 0, 0, 0xe0]
        );
        for (bits, strength) in [
            (0x40, Strength::Bits128),
            (0x80, Strength::Bits56),
            (0x20, Strength::Bits40),
        ] {
            let choice = ConfigOption::new(MPPE, [1, 0, 0, bits]);
            ccp.nakked(&choice, &mut CountingEntropy(0));
            assert_eq!(ccp.request(), [choice]);
            assert_eq!(ccp.rx().unwrap().strength, strength);
        }
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
    fn a_peer_that_offers_several_or_none_is_told_the_strongest() {
        let windows = 0x0100_00e1;
        for bits in [0, 0x40, 0x0100_0000, 0x0100_0041, 0x0100_0060, windows] {
            assert_eq!(judge(&mut ccp(), bits), our_wish(), "{bits:#x}");
        }
        let weaker = Judgement::Nak(vec![0x01, 0, 0, 0x80]);
        assert_eq!(judge(&mut ccp(), 0x0100_00a0), weaker);
    }

    #[test]
    fn a_peer_that_has_only_40_bit_gets_it_at_once() {
        let mut ccp = ccp();
        assert_eq!(judge(&mut ccp, 0x0100_0020), Judgement::Ack);
        ccp.accepted(&[ConfigOption::new(MPPE, [1, 0, 0, 0x20])]);
        assert_eq!(ccp.tx().unwrap().start_key, StartKey([4; 16]));
    }

    #[test]
    fn a_peer_that_insists_on_stateful_mode_gets_it_in_each_direction() {
        for (bits, strength) in [
            (0x40, Strength::Bits128),
            (0x80, Strength::Bits56),
            (0x20, Strength::Bits40),
        ] {
            let option = ConfigOption::new(MPPE, u32::to_be_bytes(bits));
            let mut ccp = ccp();
            let stateless = Judgement::Nak((bits | STATELESS).to_be_bytes().into());
            assert_eq!(judge(&mut ccp, bits), stateless);
            assert_eq!(judge(&mut ccp, bits), stateless);
            assert_eq!(judge(&mut ccp, bits), Judgement::Ack);
            ccp.accepted(std::slice::from_ref(&option));
            let tx = ccp.tx().unwrap();
            assert_eq!((tx.strength, tx.stateless), (strength, false));
            assert!(ccp.rx().unwrap().stateless, "each direction by itself");

            ccp.nakked(&option, &mut CountingEntropy(0));
            assert_eq!(ccp.request(), [option]);
            let rx = ccp.rx().unwrap();
            assert_eq!((rx.strength, rx.stateless), (strength, false));
        }
    }

    #[test]
    fn several_at_once_are_never_agreed_to() {
        let mut ccp = ccp();
        for _ in 0..9 {
            assert_eq!(judge(&mut ccp, 0x0100_0060), our_wish());
            assert_eq!(judge(&mut ccp, 0x60), our_wish());
        }
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
        ccp.rejected(&ConfigOption::new(MPPE, [1, 0, 0, 0xe0]));
        assert_eq!(ccp.rx(), None);
        assert!(ccp.request().is_empty());
    }

    #[test]
    fn a_reset_request_is_acknowledged() {
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

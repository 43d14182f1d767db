//! CCP with the one algorithm MPPE (RFC 1962, RFC 3078 §2).
//!
//! The option in a Configure-Request says how its sender wants to *receive* (RFC 1962 §2): ours,
//! once acknowledged, is for our rx keys, and the peer's for our tx keys. We offer every strength,
//! stateless, and the peer chooses (RFC 3078 §2.1): pppd that has only 40 bit would end the link
//! over a wish for 128. A peer gets the strongest it offers, and stateful mode, in which a lost
//! frame costs a round trip, if it insists. Other compressors are rejected.
//!
//! All this is among the [`Strengths`] that the user may have. A peer that has others only is
//! rejected, as it would be told if we had none of them: it may go on without, if we may.

use greyhound_datapath::mppe::{Parameters, StartKey, Strength};

use super::negotiation::{Extension, Judgement, Protocol};
use super::packet::{ConfigOption, Packet, code};
use super::strengths::{self, Strengths};
use super::{Encoding, MppeKeys, StartKeys, protocol};
use crate::entropy::Entropy;

/// Our side of CCP.
#[derive(Debug)]
pub(super) struct Ccp {
    keys: MppeKeys,
    /// What may be agreed on; not empty.
    strengths: Strengths,
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
    /// The best one of those on offer; `None` if they have no strength.
    fn best_of(bits: u32) -> Option<Self> {
        [Strength::Bits128, Strength::Bits56, Strength::Bits40]
            .into_iter()
            .find(|strength| bits & strengths::bit(*strength) != 0)
            .map(|strength| Self {
                strength,
                stateless: bits & STATELESS != 0,
            })
    }

    const fn bits(self) -> u32 {
        let mode = if self.stateless { STATELESS } else { 0 };
        mode | strengths::bit(self.strength)
    }
}

impl Ccp {
    /// With the start keys that authentication gave, in one of these strengths, of which there is
    /// one at least.
    pub(super) const fn new(keys: MppeKeys, strengths: Strengths) -> Self {
        Self {
            keys,
            strengths,
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

    /// Everything that may be agreed on, stateless.
    const fn offer(&self) -> u32 {
        STATELESS | self.strengths.bits()
    }

    /// The best mode that may be agreed on of those on offer.
    fn best_of(&self, bits: u32) -> Option<Mode> {
        Mode::best_of(bits & self.offer())
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
        self.rx = Some(self.offer());
        self.tx = None;
        self.naks_sent = 0;
    }

    fn request(&self) -> Vec<ConfigOption> {
        self.rx.map(mppe).into_iter().collect()
    }

    fn nakked(&mut self, option: &ConfigOption, _: &mut dyn Entropy) {
        if option.kind == MPPE
            && let Some(bits) = option.u32()
            && names_strength(bits)
            && self.rx.is_some()
        {
            self.rx = self.best_of(bits).map(Mode::bits);
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
        let offered = if names_strength(bits) {
            bits
        } else {
            self.offer()
        };
        let Some(best) = self.best_of(offered) else {
            return Judgement::Reject;
        };
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
            return Vec::new();
        }
        let best = self.best_of(self.offer());
        best.map(|best| mppe(best.bits())).into_iter().collect()
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

/// Whether the option says any strength at all.
const fn names_strength(bits: u32) -> bool {
    bits & Strengths::ALL.bits() != 0
}

/// RFC 3078 §2: the option's type, shared with Microsoft's compression.
pub(super) const MPPE: u8 = 18;
/// RFC 3078 §2.1: the H bit.
const STATELESS: u32 = 0x0100_0000;
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
        ccp_with(Strengths::ALL)
    }

    fn ccp_with(strengths: Strengths) -> Ccp {
        let keys = |rx, tx| StartKeys {
            rx: StartKey([rx; 16]),
            tx: StartKey([tx; 16]),
        };
        let keys = MppeKeys {
            bits128: keys(1, 2),
            bits40: keys(3, 4),
        };
        let mut ccp = Ccp::new(keys, strengths);
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
    fn only_what_the_user_may_have_is_offered_and_agreed_to() {
        for (strength, bit) in [
            (Strength::Bits40, 0x20),
            (Strength::Bits56, 0x80),
            (Strength::Bits128, 0x40),
        ] {
            let only = || ccp_with([strength].into_iter().collect());
            let wish = Judgement::Nak((STATELESS | bit).to_be_bytes().into());
            assert_eq!(only().request(), [mppe(STATELESS | bit)]);
            assert_eq!(only().missing(&[]), [mppe(STATELESS | bit)]);
            assert_eq!(judge(&mut only(), STATELESS | bit), Judgement::Ack);
            assert_eq!(judge(&mut only(), bit), wish, "stateless first, as ever");
            for without_strength in [0, STATELESS, STATELESS | 1] {
                assert_eq!(judge(&mut only(), without_strength), wish);
            }
            for several in [0xe0, 0x20 | bit, 0x40 | bit, 0x80 | bit] {
                if several != bit {
                    assert_eq!(judge(&mut only(), STATELESS | several), wish);
                }
            }
        }
    }

    #[test]
    fn of_two_that_the_user_may_have_the_peer_chooses() {
        let mut ccp = ccp_with([Strength::Bits40, Strength::Bits56].into_iter().collect());
        assert_eq!(ccp.request(), [mppe(0x0100_00a0)]);
        for bit in [0x20, 0x80] {
            assert_eq!(judge(&mut ccp, STATELESS | bit), Judgement::Ack);
            ccp.nakked(&mppe(STATELESS | bit), &mut CountingEntropy(0));
            assert_eq!(ccp.request(), [mppe(STATELESS | bit)]);
        }
    }

    #[test]
    fn a_peer_that_has_none_of_what_the_user_may_have_is_one_that_refuses() {
        for (strength, others) in [
            (Strength::Bits40, [0x40, 0x80, 0xc0]),
            (Strength::Bits56, [0x20, 0x40, 0x60]),
            (Strength::Bits128, [0x20, 0x80, 0xa0]),
        ] {
            for other in others {
                let mut ccp = ccp_with([strength].into_iter().collect());
                for _ in 0..=PATIENCE {
                    assert_eq!(judge(&mut ccp, other), Judgement::Reject);
                    assert_eq!(judge(&mut ccp, STATELESS | other), Judgement::Reject);
                }
                ccp.nakked(&mppe(STATELESS), &mut CountingEntropy(0));
                assert!(ccp.rx().is_some(), "a Nak without a strength says nothing");
                ccp.nakked(&mppe(STATELESS | other), &mut CountingEntropy(0));
                assert_eq!(ccp.rx(), None);
                assert!(ccp.request().is_empty());
            }
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

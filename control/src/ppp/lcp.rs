//! LCP: what is negotiated about the link itself (RFC 1661 §6, RFC 1662 §7.1).
//!
//! MRU, authentication protocol, magic number, the two header compressions and, where it is
//! configured, Multilink (RFC 1990 §5.1). The asynchronous control character map is accepted and
//! means nothing over GRE. The rest is rejected.

use greyhound_datapath::ipc::{LinkOptions, Multilink};

use super::negotiation::{Extension, Judgement, Protocol};
use super::packet::{ConfigOption, LEAST_MRU, Packet};
use super::{AuthMethod, protocol};
use crate::cause::Cause;
use crate::entropy::Entropy;

/// The codes of LCP beyond the common seven (RFC 1661 §5, RFC 1570 §2).
pub(super) mod code {
    pub(crate) const PROTOCOL_REJECT: u8 = 8;
    pub(crate) const ECHO_REQUEST: u8 = 9;
    pub(crate) const ECHO_REPLY: u8 = 10;
    pub(crate) const DISCARD_REQUEST: u8 = 11;
    pub(crate) const IDENTIFICATION: u8 = 12;
    pub(crate) const TIME_REMAINING: u8 = 13;
}

/// The types of LCP's options (RFC 1661 §6, RFC 1662 §7.1, RFC 1990 §5.1).
pub(super) mod option {
    pub(crate) const MRU: u8 = 1;
    pub(crate) const ACCM: u8 = 2;
    pub(crate) const AUTHENTICATION: u8 = 3;
    pub(crate) const MAGIC_NUMBER: u8 = 5;
    pub(crate) const PFC: u8 = 7;
    pub(crate) const ACFC: u8 = 8;
    pub(crate) const MRRU: u8 = 17;
    pub(crate) const SHORT_SEQUENCE_NUMBERS: u8 = 18;
    pub(crate) const ENDPOINT_DISCRIMINATOR: u8 = 19;
}

/// Which end proves who it is, by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    /// We ask the peer for one of these, strongest first.
    Ask(Vec<AuthMethod>),
    /// We let the peer ask us for one of these, strongest first.
    Allow(Vec<AuthMethod>),
}

/// Our side of LCP.
#[derive(Debug)]
pub(super) struct Lcp {
    max_mru: u16,
    /// What Multilink may make up, if it is configured.
    max_mrru: Option<u16>,
    authentication: Authentication,
    wish: Wish,
    peer: Peer,
    /// How often in a row the peer's magic number was ours.
    echoes_of_ours: u8,
    failure: Option<Cause>,
}

/// What we ask for; `None` or `false` once the peer rejected it.
#[derive(Debug)]
struct Wish {
    mru: Option<u16>,
    /// Methods not yet refused; the first one is asked for.
    methods: Vec<AuthMethod>,
    magic: Option<u32>,
    pfc: bool,
    acfc: bool,
    mrru: Option<u16>,
    endpoint: Option<Vec<u8>>,
}

/// What the peer asked for and got.
#[derive(Debug)]
struct Peer {
    mru: u16,
    method: Option<AuthMethod>,
    pfc: bool,
    acfc: bool,
    mrru: Option<u16>,
    short: bool,
}

impl Lcp {
    /// `max_mru` in bytes is asked for, and Multilink if there is a `max_mrru`.
    pub(super) const fn new(
        max_mru: u16,
        max_mrru: Option<u16>,
        authentication: Authentication,
    ) -> Self {
        Self {
            max_mru,
            max_mrru,
            authentication,
            wish: Wish {
                mru: None,
                methods: Vec::new(),
                magic: None,
                pfc: false,
                acfc: false,
                mrru: None,
                endpoint: None,
            },
            peer: Peer::SILENT,
            echoes_of_ours: 0,
            failure: None,
        }
    }

    /// The method that LCP agreed on, by which one end proves who it is to the other.
    pub(super) fn method(&self) -> Option<AuthMethod> {
        match self.authentication {
            Authentication::Ask(_) => self.wish.methods.first().copied(),
            Authentication::Allow(_) => self.peer.method,
        }
    }

    /// The largest packet that the peer takes, in bytes.
    pub(super) const fn peer_mru(&self) -> u16 {
        self.peer.mru
    }

    /// The largest packet that the peer may send, in bytes.
    pub(super) fn our_mru(&self) -> u16 {
        self.wish.mru.unwrap_or(DEFAULT_MRU)
    }

    /// Our magic number; 0 if the peer rejected it (RFC 1661 §6.4).
    pub(super) fn magic(&self) -> u32 {
        self.wish.magic.unwrap_or(0)
    }

    /// What the datapath needs to know of an open link.
    pub(super) fn link_options(&self) -> LinkOptions {
        // RFC 1990 §5.1.1: each end has to offer it.
        let multilink = self.wish.mrru.zip(self.peer.mrru);
        LinkOptions {
            acfc: self.peer.acfc,
            pfc: self.peer.pfc,
            magic: self.magic(),
            opened: true,
            rx_multilink: multilink.map(|(ours, _)| Multilink {
                mrru: ours,
                short: false,
            }),
            tx_multilink: multilink.map(|(_, peers)| Multilink {
                mrru: peers,
                short: self.peer.short,
            }),
            peer_mru: self.peer.mru,
        }
    }

    /// Why this negotiation cannot succeed, if so.
    pub(super) const fn failure(&self) -> Option<Cause> {
        self.failure
    }

    /// Takes a method off the list: the peer does not want it.
    fn give_up_method(&mut self, wanted: Option<AuthMethod>) {
        if self.wish.methods.len() <= 1 {
            if let Authentication::Ask(_) = self.authentication {
                self.failure = Some(Cause::NoCommonAuthentication);
            }
            return;
        }
        self.wish.methods.remove(0);
        // What the peer suggests goes first if we accept it too.
        if let Some(at) = self.wish.methods.iter().position(|m| Some(*m) == wanted) {
            let method = self.wish.methods.remove(at);
            self.wish.methods.insert(0, method);
        }
    }

    fn judge_magic(&mut self, theirs: u32, entropy: &mut dyn Entropy) -> Judgement {
        if theirs != 0 && self.wish.magic != Some(theirs) {
            self.echoes_of_ours = 0;
            return Judgement::Ack;
        }
        if theirs != 0 {
            self.echoes_of_ours += 1;
            if self.echoes_of_ours > MAX_ECHOES_OF_OURS {
                self.failure = Some(Cause::LcpFailed);
            }
        }
        Judgement::Nak(random_magic(entropy).to_be_bytes().into())
    }
}

impl Protocol for Lcp {
    const NUMBER: u16 = protocol::LCP;

    fn begin(&mut self, entropy: &mut dyn Entropy) {
        self.wish = Wish {
            mru: Some(self.max_mru),
            methods: match &self.authentication {
                Authentication::Ask(methods) => methods.clone(),
                Authentication::Allow(_) => Vec::new(),
            },
            magic: Some(random_magic(entropy)),
            pfc: true,
            acfc: true,
            mrru: self.max_mrru,
            endpoint: self.max_mrru.map(|_| local_endpoint(entropy)),
        };
        self.peer = Peer::SILENT;
        self.echoes_of_ours = 0;
    }

    fn request(&self) -> Vec<ConfigOption> {
        let mut options = Vec::new();
        // RFC 1661 §5.1: no option with its default value.
        if let Some(mru) = self.wish.mru.filter(|mru| *mru != DEFAULT_MRU) {
            options.push(ConfigOption::new(option::MRU, mru.to_be_bytes()));
        }
        if let Some(method) = self.wish.methods.first() {
            options.push(ConfigOption::new(
                option::AUTHENTICATION,
                method_bytes(*method),
            ));
        }
        if let Some(magic) = self.wish.magic {
            options.push(ConfigOption::new(option::MAGIC_NUMBER, magic.to_be_bytes()));
        }
        if self.wish.pfc {
            options.push(ConfigOption::new(option::PFC, []));
        }
        if self.wish.acfc {
            options.push(ConfigOption::new(option::ACFC, []));
        }
        if let Some(mrru) = self.wish.mrru {
            options.push(ConfigOption::new(option::MRRU, mrru.to_be_bytes()));
        }
        if let Some(endpoint) = &self.wish.endpoint {
            let kind = option::ENDPOINT_DISCRIMINATOR;
            options.push(ConfigOption::new(kind, endpoint.clone()));
        }
        options
    }

    fn nakked(&mut self, option: &ConfigOption, entropy: &mut dyn Entropy) {
        match option.kind {
            option::MRU => {
                let smaller = |&mru: &u16| (LEAST_MRU..self.max_mru).contains(&mru);
                if let Some(mru) = option.u16().filter(smaller) {
                    self.wish.mru = Some(mru);
                }
            }
            option::AUTHENTICATION => self.give_up_method(method_of(&option.data)),
            option::MAGIC_NUMBER => self.wish.magic = Some(random_magic(entropy)),
            option::MRRU => {
                let ours = self.max_mrru.unwrap_or(0);
                let smaller = |&mrru: &u16| (LEAST_MRU..ours).contains(&mrru);
                if let Some(mrru) = option.u16().filter(smaller) {
                    self.wish.mrru = Some(mrru);
                }
            }
            option::ENDPOINT_DISCRIMINATOR if self.wish.endpoint.is_some() => {
                self.wish.endpoint = Some(local_endpoint(entropy));
            }
            _ => {}
        }
    }

    fn rejected(&mut self, option: &ConfigOption) {
        match option.kind {
            option::MRU => self.wish.mru = None,
            option::AUTHENTICATION => self.failure = Some(Cause::NoCommonAuthentication),
            option::MAGIC_NUMBER => self.wish.magic = None,
            option::PFC => self.wish.pfc = false,
            option::ACFC => self.wish.acfc = false,
            option::MRRU => self.wish.mrru = None,
            option::ENDPOINT_DISCRIMINATOR => self.wish.endpoint = None,
            _ => {}
        }
    }

    fn judge(&mut self, option: &ConfigOption, entropy: &mut dyn Entropy) -> Judgement {
        match (option.kind, option.data.len()) {
            (option::MRU, 2) => match option.u16() {
                Some(mru) if mru < LEAST_MRU => Judgement::Nak(LEAST_MRU.to_be_bytes().into()),
                Some(_) | None => Judgement::Ack,
            },
            (option::ACCM, 4) | (option::PFC | option::ACFC, 0) => Judgement::Ack,
            (option::AUTHENTICATION, _) => match &self.authentication {
                // We are the one who asks; RFC 1661 would let the peer ask too.
                Authentication::Ask(_) => Judgement::Reject,
                Authentication::Allow(allowed) => match method_of(&option.data) {
                    Some(method) if allowed.contains(&method) => Judgement::Ack,
                    Some(_) | None => match allowed.first() {
                        Some(method) => Judgement::Nak(method_bytes(*method)),
                        None => Judgement::Reject,
                    },
                },
            },
            (option::MRRU, 2) if self.max_mrru.is_some() => match option.u16() {
                Some(mrru) if mrru < LEAST_MRU => Judgement::Nak(LEAST_MRU.to_be_bytes().into()),
                Some(_) | None => Judgement::Ack,
            },
            (option::SHORT_SEQUENCE_NUMBERS, 0)
            | (option::ENDPOINT_DISCRIMINATOR, 1..=MAX_ENDPOINT_LEN)
                if self.max_mrru.is_some() =>
            {
                Judgement::Ack
            }
            (option::MAGIC_NUMBER, 4) => self.judge_magic(option.u32().unwrap_or(0), entropy),
            // RFC 1661 §6: what has a length that it cannot have is told one that it can.
            (option::MRU, _) => Judgement::Nak(DEFAULT_MRU.to_be_bytes().into()),
            (option::ACCM, _) => Judgement::Nak(vec![0; 4]),
            (option::PFC | option::ACFC, _) => Judgement::Nak(Vec::new()),
            (option::MAGIC_NUMBER, _) => Judgement::Nak(random_magic(entropy).to_be_bytes().into()),
            _ => Judgement::Reject,
        }
    }

    fn accepted(&mut self, options: &[ConfigOption]) {
        self.peer = Peer::SILENT;
        for option in options {
            match option.kind {
                option::MRU => self.peer.mru = option.u16().unwrap_or(DEFAULT_MRU),
                option::AUTHENTICATION => self.peer.method = method_of(&option.data),
                option::PFC => self.peer.pfc = true,
                option::ACFC => self.peer.acfc = true,
                option::MRRU => self.peer.mrru = option.u16(),
                option::SHORT_SEQUENCE_NUMBERS => self.peer.short = true,
                _ => {}
            }
        }
    }

    /// The path is the same both ways: what the peer is asked not to exceed holds for us, too.
    fn room(&self) -> u16 {
        self.peer.mru.min(self.max_mru)
    }

    fn extension(&mut self, packet: Packet<'_>) -> Extension {
        match packet.code {
            code::PROTOCOL_REJECT => match packet.data {
                &[high, low, ..] => Extension::ProtocolReject(u16::from_be_bytes([high, low])),
                _ => Extension::Ignored,
            },
            code::ECHO_REQUEST => {
                // Our magic number in the peer's place means that we hear ourselves.
                let Some((theirs, rest)) = packet.data.split_at_checked(4) else {
                    return Extension::Ignored;
                };
                let ours = self.magic().to_be_bytes();
                if theirs == ours && ours != [0; 4] {
                    return Extension::Ignored;
                }
                let room = usize::from(self.peer.mru).saturating_sub(8);
                let mut data = ours.to_vec();
                data.extend(&rest[..rest.len().min(room)]);
                Extension::Reply(code::ECHO_REPLY, data)
            }
            code::ECHO_REPLY
            | code::DISCARD_REQUEST
            | code::IDENTIFICATION
            | code::TIME_REMAINING => Extension::Ignored,
            _ => Extension::Unknown,
        }
    }
}

impl Peer {
    /// RFC 1661 §6: what holds if an option is not asked for.
    const SILENT: Self = Self {
        mru: DEFAULT_MRU,
        method: None,
        pfc: false,
        acfc: false,
        mrru: None,
        short: false,
    };
}

/// The data of the Authentication-Protocol option (RFC 1334 §2.1, RFC 1994 §3, RFC 2433 §3,
/// RFC 2759 §3).
fn method_bytes(method: AuthMethod) -> Vec<u8> {
    match method {
        AuthMethod::Pap => vec![0xc0, 0x23],
        AuthMethod::Chap => vec![0xc2, 0x23, 0x05],
        AuthMethod::MsChapV1 => vec![0xc2, 0x23, 0x80],
        AuthMethod::MsChapV2 => vec![0xc2, 0x23, 0x81],
    }
}

pub(super) fn method_of(data: &[u8]) -> Option<AuthMethod> {
    match data {
        [0xc0, 0x23] => Some(AuthMethod::Pap),
        [0xc2, 0x23, 0x05] => Some(AuthMethod::Chap),
        [0xc2, 0x23, 0x80] => Some(AuthMethod::MsChapV1),
        [0xc2, 0x23, 0x81] => Some(AuthMethod::MsChapV2),
        _ => None,
    }
}

/// 0 says that there is no magic number (RFC 1661 §6.4).
fn random_magic(entropy: &mut dyn Entropy) -> u32 {
    entropy.next_u32().max(1)
}

/// An endpoint discriminator that means something to nobody but us (RFC 1990 §5.1.3, class 1): a
/// bundle has one link here.
fn local_endpoint(entropy: &mut dyn Entropy) -> Vec<u8> {
    const LOCALLY_ASSIGNED: u8 = 1;
    let mut endpoint = vec![0; 9];
    entropy.fill(&mut endpoint);
    endpoint[0] = LOCALLY_ASSIGNED;
    endpoint
}

/// RFC 1990 §5.1.3: a class and an address of up to 20 bytes.
const MAX_ENDPOINT_LEN: usize = 21;
/// RFC 1661 §6.1.
const DEFAULT_MRU: u16 = 1500;
/// Two random numbers of 32 bits are the same this often only in a loop.
const MAX_ECHOES_OF_OURS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::CountingEntropy;

    fn server(methods: &[AuthMethod]) -> Lcp {
        let mut lcp = Lcp::new(1460, None, Authentication::Ask(methods.to_vec()));
        lcp.begin(&mut CountingEntropy(1));
        lcp
    }

    fn client(methods: &[AuthMethod]) -> Lcp {
        let mut lcp = Lcp::new(1460, None, Authentication::Allow(methods.to_vec()));
        lcp.begin(&mut CountingEntropy(2));
        lcp
    }

    fn judge(lcp: &mut Lcp, kind: u8, data: &[u8]) -> Judgement {
        lcp.judge(&ConfigOption::new(kind, data), &mut CountingEntropy(3))
    }

    /// The Configure-Request of pptpd's pppd, from a capture.
    const PPTPD: [u8; 25] = [
        0x01, 0x04, 0x05, 0x78, 0x02, 0x06, 0, 0, 0, 0, 0x03, 0x05, 0xc2, 0x23, 0x81, 0x05, 0x06,
        0xb2, 0x6a, 0x06, 0x6e, 0x07, 0x02, 0x08, 0x02,
    ];

    #[test]
    fn what_pptpd_asks_for_is_agreed_to() {
        let mut lcp = client(&[AuthMethod::MsChapV2]);
        let options = ConfigOption::parse_all(&PPTPD).unwrap();
        for option in &options {
            assert_eq!(
                lcp.judge(option, &mut CountingEntropy(3)),
                Judgement::Ack,
                "{option:?}"
            );
        }
        lcp.accepted(&options);
        assert_eq!(lcp.peer_mru(), 1400);
        assert_eq!(lcp.method(), Some(AuthMethod::MsChapV2));
        let link = lcp.link_options();
        assert!(link.acfc && link.pfc && link.opened && link.magic != 0);
    }

    #[test]
    fn a_client_names_its_strongest_method_to_a_server_that_asks_for_another() {
        let mut lcp = client(&[AuthMethod::MsChapV2, AuthMethod::Pap]);
        let chap_md5 = [0xc2, 0x23, 0x05];
        assert_eq!(
            judge(&mut lcp, option::AUTHENTICATION, &chap_md5),
            Judgement::Nak(vec![0xc2, 0x23, 0x81])
        );
        assert_eq!(
            judge(&mut lcp, option::AUTHENTICATION, &[0xc0, 0x23]),
            Judgement::Ack
        );
    }

    #[test]
    fn a_server_goes_on_to_the_method_the_peer_suggests_and_then_gives_up() {
        let mut lcp = server(&[AuthMethod::MsChapV2, AuthMethod::MsChapV1, AuthMethod::Pap]);
        let suggest = |lcp: &mut Lcp, data: &[u8]| {
            let option = ConfigOption::new(option::AUTHENTICATION, data);
            lcp.nakked(&option, &mut CountingEntropy(9));
        };
        suggest(&mut lcp, &[0xc0, 0x23]);
        assert_eq!(lcp.method(), Some(AuthMethod::Pap));
        suggest(&mut lcp, &[0xc2, 0x27]);
        assert_eq!(lcp.method(), Some(AuthMethod::MsChapV1));
        assert_eq!(lcp.failure(), None);
        suggest(&mut lcp, &[0xc2, 0x27]);
        assert_eq!(lcp.failure(), Some(Cause::NoCommonAuthentication));
    }

    #[test]
    fn a_server_does_not_prove_itself() {
        let mut lcp = server(&[AuthMethod::MsChapV2]);
        assert_eq!(
            judge(&mut lcp, option::AUTHENTICATION, &[0xc2, 0x23, 0x81]),
            Judgement::Reject
        );
    }

    #[test]
    fn a_server_whose_question_is_rejected_fails() {
        let mut lcp = server(&[AuthMethod::MsChapV2]);
        lcp.rejected(&ConfigOption::new(
            option::AUTHENTICATION,
            [0xc2, 0x23, 0x81],
        ));
        assert_eq!(lcp.failure(), Some(Cause::NoCommonAuthentication));
    }

    #[test]
    fn the_magic_number_of_a_loop_is_noticed() {
        let mut lcp = client(&[]);
        for round in 0..4 {
            assert_eq!(lcp.failure(), None, "round {round}");
            let ours = lcp.magic().to_be_bytes();
            let Judgement::Nak(other) = judge(&mut lcp, option::MAGIC_NUMBER, &ours) else {
                panic!("our own magic number was accepted");
            };
            lcp.nakked(
                &ConfigOption::new(option::MAGIC_NUMBER, other),
                &mut CountingEntropy(round),
            );
        }
        assert_eq!(lcp.failure(), Some(Cause::LcpFailed));
    }

    #[test]
    fn no_magic_number_is_not_accepted_as_one() {
        let mut lcp = client(&[]);
        assert!(matches!(
            judge(&mut lcp, option::MAGIC_NUMBER, &[0; 4]),
            Judgement::Nak(_)
        ));
    }

    #[test]
    fn multilink_and_callback_are_rejected() {
        let mut lcp = server(&[AuthMethod::MsChapV2]);
        let options: [(u8, &[u8]); 4] =
            [(17, &[0x05, 0xdc]), (19, &[1, 2, 3]), (13, &[6]), (18, &[])];
        for (kind, data) in options {
            assert_eq!(judge(&mut lcp, kind, data), Judgement::Reject, "{kind}");
        }
    }

    #[test]
    fn multilink_is_in_force_where_both_ends_want_it() {
        let mut lcp = Lcp::new(1460, Some(1500), Authentication::Ask(vec![AuthMethod::Pap]));
        lcp.begin(&mut CountingEntropy(1));
        let kinds: Vec<_> = lcp.request().iter().map(|option| option.kind).collect();
        assert_eq!(kinds, [1, 3, 5, 7, 8, 17, 19]);
        assert_eq!(lcp.link_options().rx_multilink, None);
        let asked = [
            ConfigOption::new(option::MRRU, [0x06, 0x40]),
            ConfigOption::new(option::SHORT_SEQUENCE_NUMBERS, []),
            ConfigOption::new(option::ENDPOINT_DISCRIMINATOR, [1, 4, 5, 6]),
        ];
        for option in &asked {
            assert_eq!(
                lcp.judge(option, &mut CountingEntropy(3)),
                Judgement::Ack,
                "{option:?}"
            );
        }
        lcp.accepted(&asked);
        let link = lcp.link_options();
        let multilink = |mrru, short| Some(Multilink { mrru, short });
        assert_eq!(link.rx_multilink, multilink(1500, false));
        assert_eq!(link.tx_multilink, multilink(1600, true));

        lcp.rejected(&ConfigOption::new(option::MRRU, [0x05, 0xdc]));
        let link = lcp.link_options();
        assert_eq!((link.rx_multilink, link.tx_multilink), (None, None));
    }

    #[test]
    fn an_mru_too_small_for_anything_is_not_agreed_to() {
        let mut lcp = server(&[AuthMethod::MsChapV2]);
        assert_eq!(
            judge(&mut lcp, option::MRU, &[0, 64]),
            Judgement::Nak(vec![0, 128])
        );
        assert_eq!(judge(&mut lcp, option::MRU, &[2, 0]), Judgement::Ack);
    }

    #[test]
    fn our_mru_only_shrinks() {
        let mut lcp = client(&[]);
        let suggest = |lcp: &mut Lcp, mru: u16| {
            let option = ConfigOption::new(option::MRU, mru.to_be_bytes());
            lcp.nakked(&option, &mut CountingEntropy(9));
            lcp.our_mru()
        };
        assert_eq!(suggest(&mut lcp, 1500), 1460);
        assert_eq!(suggest(&mut lcp, 100), 1460);
        assert_eq!(suggest(&mut lcp, 1400), 1400);
    }

    #[test]
    fn an_echo_carries_our_magic_number_and_the_rest_of_the_request() {
        let mut lcp = client(&[]);
        let packet = Packet {
            code: code::ECHO_REQUEST,
            id: 7,
            data: &[1, 2, 3, 4, 0xaa, 0xbb],
        };
        let mut expected = lcp.magic().to_be_bytes().to_vec();
        expected.extend([0xaa, 0xbb]);
        assert_eq!(
            lcp.extension(packet),
            Extension::Reply(code::ECHO_REPLY, expected)
        );
    }
}

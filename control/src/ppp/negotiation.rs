//! Carries out what the automaton of [`super::fsm`] decides, for any control [`Protocol`]: packets,
//! identifiers, retransmission (RFC 1661 §4.6), and the exchange of options (§5, §6).
//!
//! Interop: an answer counts once. RFC 1661 §4.1 has a second Configure-Ack reopen the negotiation
//! ("crossed connections"); on a link that may duplicate frames that would take down what is up.
//! pppd ignores it too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::fsm::{Action, Event, State, transition};
use super::packet::{ConfigOption, HEADER_BYTES, LEAST_MRU, Packet, code};
use crate::entropy::Entropy;

/// What differs between LCP, CCP and IPCP.
pub(super) trait Protocol {
    /// The PPP protocol number.
    const NUMBER: u16;

    /// A negotiation begins, perhaps not the first: forget what the last one came to for us.
    fn begin(&mut self, entropy: &mut dyn Entropy);

    /// What we ask for, with what was learned from the peer's answers.
    fn request(&self) -> Vec<ConfigOption>;

    /// The peer would rather have this value.
    fn nakked(&mut self, option: &ConfigOption, entropy: &mut dyn Entropy);

    /// The peer does not want this option, which we asked for.
    fn rejected(&mut self, option: &ConfigOption);

    /// The peer agreed to [`Self::request`].
    fn acknowledged(&mut self) {}

    /// What we say to an option that the peer asks for.
    fn judge(&mut self, option: &ConfigOption, entropy: &mut dyn Entropy) -> Judgement;

    /// Options that we want the peer to ask for and that are not among `options`.
    fn missing(&self, _options: &[ConfigOption]) -> Vec<ConfigOption> {
        Vec::new()
    }

    /// We agreed to all the peer asks for, which is `options`.
    fn accepted(&mut self, options: &[ConfigOption]);

    /// Bytes of the largest packet that may be sent. A packet that is rejected is copied into one,
    /// and cut to fit it (RFC 1661 §5.6). What every peer takes, if nothing is known of it.
    fn room(&self) -> u16 {
        LEAST_MRU
    }

    /// A packet with a code beyond the common seven.
    fn extension(&mut self, packet: Packet<'_>) -> Extension;
}

/// What we say to one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Agreed.
    Ack,
    /// Rather with this data.
    Nak(Vec<u8>),
    /// Not at all.
    Reject,
}

/// What a packet with a code beyond the common seven is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// Nothing this protocol knows.
    Unknown,
    /// Known, and needs no answer.
    Ignored,
    /// To be answered, if this layer is open, with this code and data and the same identifier.
    Reply(u8, Vec<u8>),
    /// LCP's Protocol-Reject of this protocol.
    ProtocolReject(u16),
}

/// What a [`Negotiation`] tells the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this packet.
    Send(Vec<u8>),
    /// This-Layer-Up
    Up,
    /// This-Layer-Down
    Down,
    /// This-Layer-Finished
    Finished,
    /// The peer does not speak this protocol.
    ProtocolRejected(u16),
}

/// One control protocol of one link.
#[derive(Debug)]
pub(super) struct Negotiation<P> {
    protocol: P,
    state: State,
    /// When to send the last request again.
    restart_at: Option<Instant>,
    restart_count: u8,
    last_id: u8,
    /// The Configure-Request that has not been answered.
    outstanding: Option<Outstanding>,
    /// Configure-Naks sent since the last Configure-Ack.
    naks_sent: u8,
    /// Configure-Naks and -Rejects received since the negotiation began.
    naks_received: u8,
    /// What the peer is told in a Terminate-Request.
    farewell: Vec<u8>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Outstanding {
    id: u8,
    options: Vec<ConfigOption>,
}

/// The packet that an event is about, as far as its actions need it.
#[derive(Default)]
struct Answer {
    id: u8,
    /// Configure-Ack, -Nak or -Reject, or the reply to an echo.
    code: u8,
    data: Vec<u8>,
    /// The options to agree to.
    accepted: Vec<ConfigOption>,
}

impl<P: Protocol> Negotiation<P> {
    /// A protocol in the Initial state.
    pub(super) fn new(protocol: P) -> Self {
        Self {
            protocol,
            state: State::Initial,
            restart_at: None,
            restart_count: 0,
            last_id: 0,
            outstanding: None,
            naks_sent: 0,
            naks_received: 0,
            farewell: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// This protocol is wanted, and the layer below it is up.
    pub(super) fn start(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        self.begin(entropy);
        self.run(now, entropy, Event::Open, Answer::default());
        self.run(now, entropy, Event::Up, Answer::default());
    }

    /// This protocol is wanted no more; the peer is told so.
    pub(super) fn close(&mut self, now: Instant, entropy: &mut dyn Entropy, farewell: &str) {
        self.farewell = farewell.into();
        self.run(now, entropy, Event::Close, Answer::default());
    }

    /// The layer below is gone; back to Initial.
    pub(super) fn lower_down(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        self.run(now, entropy, Event::Down, Answer::default());
        self.run(now, entropy, Event::Close, Answer::default());
        // This-Layer-Finished is for the layer below, which went first.
        self.outputs.retain(|output| *output != Output::Finished);
    }

    /// The peer rejected this protocol, or what it cannot do without.
    pub(super) fn refused(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        self.run(now, entropy, Event::FatalReject, Answer::default());
    }

    /// A packet of this protocol came. What is malformed is discarded (RFC 1661 §5).
    pub(super) fn handle_packet(
        &mut self,
        now: Instant,
        entropy: &mut dyn Entropy,
        payload: &[u8],
    ) {
        let Some(packet) = Packet::parse(payload) else {
            return;
        };
        let answer = Answer {
            id: packet.id,
            ..Answer::default()
        };
        match packet.code {
            code::CONFIGURE_REQUEST => self.on_configure_request(now, entropy, packet),
            code::CONFIGURE_ACK | code::CONFIGURE_NAK | code::CONFIGURE_REJECT => {
                self.on_configure_answer(now, entropy, packet);
            }
            code::TERMINATE_REQUEST => self.run(now, entropy, Event::TerminateRequest, answer),
            code::TERMINATE_ACK => self.run(now, entropy, Event::TerminateAck, answer),
            code::CODE_REJECT => {
                let event = match packet.data.first() {
                    None => return,
                    Some(code::CONFIGURE_REQUEST..=code::CODE_REJECT) => Event::FatalReject,
                    Some(_) => Event::PermittedReject,
                };
                self.run(now, entropy, event, answer);
            }
            _ => match self.protocol.extension(packet) {
                Extension::Unknown => {
                    let mut data = packet.emit();
                    data.truncate(usize::from(self.protocol.room()).saturating_sub(HEADER_BYTES));
                    self.run(now, entropy, Event::UnknownCode, Answer { data, ..answer });
                }
                Extension::Ignored => {}
                Extension::Reply(code, data) => {
                    let answer = Answer {
                        code,
                        data,
                        ..answer
                    };
                    self.run(now, entropy, Event::Echo, answer);
                }
                // RFC 1661 §5.7: it comes from an end that is open, or is discarded.
                Extension::ProtocolReject(_) if self.state != State::Opened => {}
                Extension::ProtocolReject(number) if number == P::NUMBER => {
                    self.run(now, entropy, Event::FatalReject, answer);
                }
                Extension::ProtocolReject(number) => {
                    self.run(now, entropy, Event::PermittedReject, answer);
                    self.outputs.push_back(Output::ProtocolRejected(number));
                }
            },
        }
    }

    /// Sends again, or gives up, if it is time.
    pub(super) fn handle_timeout(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        if self.restart_at.is_none_or(|at| at > now) {
            return;
        }
        let event = if self.restart_count > 0 {
            Event::Timeout
        } else {
            Event::LastTimeout
        };
        self.run(now, entropy, event, Answer::default());
    }

    /// Sends a packet of a code beyond the common seven, with an identifier of its own.
    pub(super) fn send(&mut self, code: u8, data: &[u8]) {
        let id = self.next_id();
        self.push(code, id, data);
    }

    /// The next thing for the link to do; to be asked after each call of the above until `None`.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.restart_at
    }

    pub(super) const fn protocol(&self) -> &P {
        &self.protocol
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Configure-Requests are out, and the layer is not open.
    pub(super) const fn is_negotiating(&self) -> bool {
        matches!(self.state, State::ReqSent | State::AckRcvd | State::AckSent)
    }

    fn begin(&mut self, entropy: &mut dyn Entropy) {
        self.protocol.begin(entropy);
        self.outstanding = None;
        self.naks_sent = 0;
        self.naks_received = 0;
    }

    fn on_configure_request(
        &mut self,
        now: Instant,
        entropy: &mut dyn Entropy,
        packet: Packet<'_>,
    ) {
        let Some(options) = ConfigOption::parse_all(packet.data) else {
            return;
        };
        let (code, options) = match self.state {
            // Nothing is negotiated here: the answer, if any, is Terminate-Ack.
            State::Initial | State::Starting | State::Closed | State::Closing | State::Stopping => {
                (code::CONFIGURE_ACK, options)
            }
            State::Stopped | State::ReqSent | State::AckRcvd | State::AckSent | State::Opened => {
                self.judge_all(options, entropy)
            }
        };
        let event = match code {
            code::CONFIGURE_ACK => Event::GoodConfigureRequest,
            _ => Event::BadConfigureRequest,
        };
        let answer = Answer {
            id: packet.id,
            code,
            data: ConfigOption::emit_all(&options),
            accepted: options,
        };
        self.run(now, entropy, event, answer);
    }

    /// The code of the answer to a Configure-Request and the options in it (RFC 1661 §5.2-5.4).
    fn judge_all(
        &mut self,
        options: Vec<ConfigOption>,
        entropy: &mut dyn Entropy,
    ) -> (u8, Vec<ConfigOption>) {
        // Max-Failure: what does not converge is rejected (RFC 1661 §4.6).
        let patient = self.naks_sent < MAX_FAILURE;
        let mut naks: Vec<ConfigOption> = Vec::new();
        let mut rejects = Vec::new();
        for option in &options {
            match self.protocol.judge(option, entropy) {
                Judgement::Ack => {}
                Judgement::Nak(data) if patient => {
                    if naks.iter().all(|nak| nak.kind != option.kind) {
                        naks.push(ConfigOption::new(option.kind, data));
                    }
                }
                Judgement::Nak(_) | Judgement::Reject => rejects.push(option.clone()),
            }
        }
        if !rejects.is_empty() {
            return (code::CONFIGURE_REJECT, rejects);
        }
        if patient {
            naks.extend(self.protocol.missing(&options));
        }
        if naks.is_empty() {
            (code::CONFIGURE_ACK, options)
        } else {
            (code::CONFIGURE_NAK, naks)
        }
    }

    fn on_configure_answer(&mut self, now: Instant, entropy: &mut dyn Entropy, packet: Packet<'_>) {
        let Some(options) = ConfigOption::parse_all(packet.data) else {
            return;
        };
        if matches!(self.state, State::Closed | State::Stopped) {
            let answer = Answer {
                id: packet.id,
                ..Answer::default()
            };
            // Both answers are the same event here: Terminate-Ack is sent.
            self.run(now, entropy, Event::ConfigureAck, answer);
            return;
        }
        let Some(request) = &self.outstanding else {
            return;
        };
        // RFC 1661 §5.2-5.4: what does not match the request is discarded without a word.
        let matches = packet.id == request.id
            && match packet.code {
                code::CONFIGURE_ACK => options == request.options,
                code::CONFIGURE_REJECT => options.iter().all(|o| request.options.contains(o)),
                _ => true,
            };
        if !matches {
            return;
        }
        self.outstanding = None;
        let event = match packet.code {
            code::CONFIGURE_ACK => {
                self.protocol.acknowledged();
                Event::ConfigureAck
            }
            // Interop: a Yamaha RTX 1000 answers each MPPE request with the same Nak, for ever.
            _ if self.naks_received >= MAX_CONFIGURE => Event::FatalReject,
            code => {
                self.naks_received += 1;
                for option in &options {
                    if code == code::CONFIGURE_REJECT {
                        self.protocol.rejected(option);
                    } else {
                        self.protocol.nakked(option, entropy);
                    }
                }
                Event::ConfigureNak
            }
        };
        self.run(now, entropy, event, Answer::default());
    }

    fn run(&mut self, now: Instant, entropy: &mut dyn Entropy, event: Event, answer: Answer) {
        let (next, actions) = transition(self.state, event);
        self.state = next;
        for action in actions {
            self.act(now, entropy, *action, &answer);
        }
        if !self.state.has_timer() {
            self.restart_at = None;
        }
    }

    fn act(&mut self, now: Instant, entropy: &mut dyn Entropy, action: Action, answer: &Answer) {
        match action {
            Action::ThisLayerUp => self.outputs.push_back(Output::Up),
            Action::ThisLayerDown => {
                // What was agreed on is void: the next try starts from our first wishes.
                self.begin(entropy);
                self.outputs.push_back(Output::Down);
            }
            // The layer below is up before this one is started.
            Action::ThisLayerStarted => {}
            Action::ThisLayerFinished => self.outputs.push_back(Output::Finished),
            Action::InitializeRestartCount => {
                self.restart_count = match self.state {
                    State::Closing | State::Stopping => MAX_TERMINATE,
                    State::Initial
                    | State::Starting
                    | State::Closed
                    | State::Stopped
                    | State::ReqSent
                    | State::AckRcvd
                    | State::AckSent
                    | State::Opened => MAX_CONFIGURE,
                };
            }
            Action::ZeroRestartCount => {
                self.restart_count = 0;
                self.restart_at = Some(now + RESTART);
            }
            Action::SendConfigureRequest => self.send_configure_request(now),
            Action::SendConfigureAck => {
                self.naks_sent = 0;
                self.protocol.accepted(&answer.accepted);
                self.push(answer.code, answer.id, &answer.data);
            }
            Action::SendConfigureNak => {
                if answer.code == code::CONFIGURE_NAK {
                    self.naks_sent = self.naks_sent.saturating_add(1);
                }
                self.push(answer.code, answer.id, &answer.data);
            }
            Action::SendTerminateRequest => {
                self.restart_count = self.restart_count.saturating_sub(1);
                self.restart_at = Some(now + RESTART);
                let id = self.next_id();
                let farewell = std::mem::take(&mut self.farewell);
                self.push(code::TERMINATE_REQUEST, id, &farewell);
                self.farewell = farewell;
            }
            Action::SendTerminateAck => self.push(code::TERMINATE_ACK, answer.id, &[]),
            Action::SendCodeReject => {
                let id = self.next_id();
                self.push(code::CODE_REJECT, id, &answer.data);
            }
            Action::SendEchoReply => self.push(answer.code, answer.id, &answer.data),
        }
    }

    fn send_configure_request(&mut self, now: Instant) {
        self.restart_count = self.restart_count.saturating_sub(1);
        self.restart_at = Some(now + RESTART);
        let options = self.protocol.request();
        // A retransmission keeps its identifier, so that an answer to the first copy counts.
        let id = match &self.outstanding {
            Some(request) if request.options == options => request.id,
            Some(_) | None => self.next_id(),
        };
        self.push(
            code::CONFIGURE_REQUEST,
            id,
            &ConfigOption::emit_all(&options),
        );
        self.outstanding = Some(Outstanding { id, options });
    }

    fn next_id(&mut self) -> u8 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn push(&mut self, code: u8, id: u8, data: &[u8]) {
        let packet = Packet { code, id, data };
        self.outputs.push_back(Output::Send(packet.emit()));
    }
}

/// RFC 1661 §4.6: the restart timer.
const RESTART: Duration = Duration::from_secs(3);
/// RFC 1661 §4.6: Configure-Requests without an answer.
const MAX_CONFIGURE: u8 = 10;
/// RFC 1661 §4.6: Terminate-Requests without an answer.
const MAX_TERMINATE: u8 = 2;
/// RFC 1661 §4.6: Configure-Naks before we stop suggesting and reject.
const MAX_FAILURE: u8 = 5;

#[cfg(test)]
mod tests {
    use greyhound_datapath::mppe::StartKey;

    use super::*;
    use crate::entropy::CountingEntropy;
    use crate::ppp::ccp::Ccp;
    use crate::ppp::{MppeKeys, StartKeys, Strengths};

    /// CCP, because it is the smallest: one option, 12 06 01 00 00 40.
    struct Bench {
        ccp: Negotiation<Ccp>,
        now: Instant,
    }

    const MPPE: [u8; 6] = [0x12, 6, 1, 0, 0, 0x40];
    /// What CCP asks for first.
    const OFFER: [u8; 6] = [0x12, 6, 1, 0, 0, 0xe0];
    const STATEFUL: [u8; 6] = [0x12, 6, 0, 0, 0, 0x40];
    /// 128 and 40 bit at once, which nobody can agree to.
    const BOTH: [u8; 6] = [0x12, 6, 1, 0, 0, 0x60];

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
        fn started() -> Self {
            let keys = StartKeys {
                rx: StartKey([1; 16]),
                tx: StartKey([2; 16]),
            };
            let keys = MppeKeys {
                bits128: keys.clone(),
                bits40: keys,
            };
            let mut bench = Self {
                ccp: Negotiation::new(Ccp::new(keys, Strengths::ALL)),
                now: Instant::now(),
            };
            bench.ccp.start(bench.now, &mut CountingEntropy(0));
            assert_eq!(bench.outputs(), [send(1, 1, &OFFER)]);
            bench
        }

        fn opened() -> Self {
            let mut bench = Self::started();
            assert_eq!(bench.hear(2, 1, &OFFER), []);
            assert_eq!(bench.hear(1, 9, &MPPE), [send(2, 9, &MPPE), Output::Up]);
            bench
        }

        fn hear(&mut self, code: u8, id: u8, data: &[u8]) -> Vec<Output> {
            let packet = Packet { code, id, data }.emit();
            self.hear_bytes(&packet)
        }

        fn hear_bytes(&mut self, bytes: &[u8]) -> Vec<Output> {
            self.ccp
                .handle_packet(self.now, &mut CountingEntropy(0), bytes);
            self.outputs()
        }

        fn wait(&mut self) -> Vec<Output> {
            self.now = self.ccp.poll_timeout().unwrap();
            self.ccp.handle_timeout(self.now, &mut CountingEntropy(0));
            self.outputs()
        }

        fn outputs(&mut self) -> Vec<Output> {
            std::iter::from_fn(|| self.ccp.poll_output()).collect()
        }
    }

    fn send(code: u8, id: u8, data: &[u8]) -> Output {
        Output::Send(Packet { code, id, data }.emit())
    }

    #[test]
    fn an_answer_to_another_request_is_discarded() {
        let mut bench = Bench::started();
        for code in [2, 3, 4] {
            assert_eq!(bench.hear(code, 2, &MPPE), []);
        }
        assert_eq!(bench.ccp.state(), State::ReqSent);
    }

    #[test]
    fn an_answer_about_other_options_is_discarded() {
        let mut bench = Bench::started();
        assert_eq!(bench.hear(2, 1, &STATEFUL), []);
        assert_eq!(bench.hear(2, 1, &[]), []);
        assert_eq!(bench.hear(4, 1, &STATEFUL), []);
        assert_eq!(bench.hear(4, 1, &[21, 2]), []);
        assert_eq!(bench.ccp.state(), State::ReqSent);
    }

    #[test]
    fn an_answer_counts_once() {
        let mut bench = Bench::opened();
        assert_eq!(bench.hear(2, 1, &OFFER), []);
        assert_eq!(bench.hear(3, 1, &MPPE), []);
        assert_eq!(bench.ccp.state(), State::Opened);
    }

    #[test]
    fn malformed_packets_and_options_are_discarded() {
        let mut bench = Bench::started();
        for bytes in [
            &[][..],
            &[1, 1, 0],
            &[1, 1, 0, 3],
            &[1, 1, 0, 9, 18, 6, 1, 0],
            &[1, 1, 0, 6, 18, 1],
            &[1, 1, 0, 6, 18, 3],
            &[7, 1, 0, 4],
        ] {
            assert_eq!(bench.hear_bytes(bytes), [], "{bytes:?}");
        }
    }

    #[test]
    fn a_retransmission_keeps_its_identifier_and_a_changed_request_gets_another() {
        let mut bench = Bench::started();
        assert_eq!(bench.wait(), [send(1, 1, &OFFER)]);
        let weaker = [0x12, 6, 1, 0, 0, 0x20];
        assert_eq!(bench.hear(3, 1, &weaker), [send(1, 2, &weaker)]);
        assert_eq!(bench.hear(4, 2, &weaker), [send(1, 3, &[])]);
        assert_eq!(bench.wait(), [send(1, 3, &[])]);
    }

    #[test]
    fn ten_requests_go_out_and_then_it_is_over() {
        let mut bench = Bench::started();
        for _ in 1..10 {
            assert_eq!(bench.wait(), [send(1, 1, &OFFER)]);
        }
        assert_eq!(bench.wait(), [Output::Finished]);
        assert_eq!(bench.ccp.poll_timeout(), None);
        assert_eq!(bench.ccp.state(), State::Stopped);
    }

    #[test]
    fn what_does_not_converge_is_rejected_after_five_naks() {
        let mut bench = Bench::started();
        for id in 1..=5 {
            assert_eq!(bench.hear(1, id, &BOTH), [send(3, id, &MPPE)]);
        }
        assert_eq!(bench.hear(1, 6, &BOTH), [send(4, 6, &BOTH)]);
        assert_eq!(bench.hear(1, 7, &[]), [send(2, 7, &[])]);
        assert_eq!(bench.hear(1, 8, &BOTH), [send(3, 8, &MPPE)]);
    }

    #[test]
    fn what_is_rejected_comes_before_what_is_nakked() {
        let mut bench = Bench::started();
        let deflate = [26, 4, 0x78, 0];
        let both = [&deflate[..], &STATEFUL].concat();
        assert_eq!(bench.hear(1, 1, &both), [send(4, 1, &deflate)]);
    }

    #[test]
    fn an_unknown_code_is_rejected_with_a_copy_that_fits() {
        let mut bench = Bench::opened();
        let unknown = Packet {
            code: 99,
            id: 5,
            data: &[7; 600],
        }
        .emit();
        let [Output::Send(reject)] = &bench.hear_bytes(&unknown)[..] else {
            panic!("not one packet");
        };
        assert_eq!(reject.len(), 128);
        assert_eq!((reject[0], &reject[4..]), (7, &unknown[..124]));
    }

    #[test]
    fn a_code_that_is_essential_must_not_be_rejected() {
        let mut bench = Bench::opened();
        assert_eq!(bench.hear(7, 1, &[15, 1, 0, 4]), []);
        let outputs = bench.hear(7, 1, &[1, 1, 0, 4]);
        assert_eq!(outputs, [Output::Down, send(5, 2, &[])]);
    }

    #[test]
    fn a_new_negotiation_begins_with_the_first_wish() {
        let mut bench = Bench::started();
        assert_eq!(bench.hear(4, 1, &OFFER), [send(1, 2, &[])]);
        assert_eq!(bench.hear(2, 2, &[]), []);
        assert_eq!(bench.hear(1, 9, &MPPE), [send(2, 9, &MPPE), Output::Up]);
        assert_eq!(
            bench.hear(1, 10, &MPPE),
            [Output::Down, send(1, 3, &OFFER), send(2, 10, &MPPE)]
        );
    }

    #[test]
    fn a_timer_that_is_not_due_does_nothing() {
        let mut bench = Bench::started();
        bench
            .ccp
            .handle_timeout(bench.now + RESTART / 2, &mut CountingEntropy(0));
        assert_eq!(bench.outputs(), []);
        let mut bench = Bench::opened();
        bench
            .ccp
            .handle_timeout(bench.now + RESTART, &mut CountingEntropy(0));
        assert_eq!(bench.outputs(), []);
    }
}

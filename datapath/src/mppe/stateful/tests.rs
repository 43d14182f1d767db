use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MARK: &[u8] = b"sense";

/// What a sender does with its key when a reset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Ours: a flag packet.
    Flag,
    /// Fresh tables with the same key (RFC 3078 §7.2).
    SameKey,
    /// Fresh tables with the next key (Linux).
    NextKey,
}

/// A sender of another make, told apart from ours by its answer to a reset.
struct Peer {
    style: Style,
    sender: Sender,
    reset: bool,
}

impl Peer {
    fn new(style: Style) -> Self {
        Self {
            style,
            sender: Sender::new(parameters()),
            reset: false,
        }
    }

    fn reset(&mut self) {
        match self.style {
            Style::Flag => self.sender.reset(),
            Style::SameKey | Style::NextKey => self.reset = true,
        }
    }

    fn send(&mut self, len: usize) -> (mppe::Repr, Vec<u8>) {
        let mut header = self.sender.begin();
        if std::mem::take(&mut self.reset) && !header.flushed {
            header.flushed = true;
            if self.style == Style::NextKey {
                self.sender.keys.step();
            }
            self.sender.stream = self.sender.keys.stream();
        }
        let mut data = MARK.repeat(len.div_ceil(MARK.len()).max(1));
        self.sender.encrypt(&mut data);
        (header, data)
    }
}

/// A receiver, its peer, and the time.
struct Pair {
    peer: Peer,
    receiver: Receiver,
    seq: u32,
    now: Instant,
}

type Frame = (SeqNum, mppe::Repr, Vec<u8>);

impl Pair {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the origin"
    )]
    fn new(style: Style) -> Self {
        Self {
            peer: Peer::new(style),
            receiver: Receiver::new(parameters()),
            seq: 0,
            now: Instant::now(),
        }
    }

    fn frame(&mut self) -> Frame {
        let (header, data) = self.peer.send(usize::try_from(self.seq % 300).unwrap());
        self.seq += 1;
        (SeqNum(self.seq - 1), header, data)
    }

    fn lose(&mut self, frames: u32) {
        for _ in 0..frames {
            self.frame();
        }
    }

    fn get(&mut self, (seq, header, mut data): Frame) -> Result<(), DropReason> {
        let before = data.clone();
        let outcome = self
            .receiver
            .decrypt(seq, header, &mut data, self.now, judge);
        if outcome.is_err() {
            assert_eq!(data, before, "what does not decrypt is left as it was");
        }
        outcome
    }

    fn next(&mut self) -> Result<(), DropReason> {
        let frame = self.frame();
        self.get(frame)
    }
}

fn judge(data: &[u8]) -> Option<()> {
    data[..data.len().min(TRIAL_BYTES)]
        .iter()
        .zip(MARK.iter().cycle())
        .all(|(byte, mark)| byte == mark)
        .then_some(())
}

fn parameters() -> Parameters {
    Parameters {
        start_key: StartKey([7; 16]),
        strength: Strength::Bits128,
        stateless: false,
    }
}

#[test]
fn the_first_packet_has_no_a_bit_and_every_256th_has() {
    let mut sender = Sender::new(parameters());
    for number in 0..5000 {
        let header = sender.begin();
        assert!(header.encrypted);
        assert_eq!(header.flushed, number % 256 == 255, "{number}");
        assert_eq!(header.coherency.value(), number % 4096);
    }
}

#[test]
fn what_is_sent_is_received_past_flag_packets_and_the_wrap_of_the_count() {
    let mut pair = Pair::new(Style::Flag);
    for number in 0..10_000 {
        assert_eq!(pair.next(), Ok(()), "{number}");
    }
}

#[test]
fn keys_of_each_strength_follow_from_each_other() {
    for strength in [Strength::Bits40, Strength::Bits56, Strength::Bits128] {
        let parameters = Parameters {
            strength,
            ..parameters()
        };
        let mut chain = super::super::Chain::for_receiving(parameters.start_key.clone(), strength);
        let mut keys = Keys::new(&parameters);
        for position in 0..5 {
            let key = SessionKey::new(keys.current, strength);
            assert_eq!(chain.key(position), Some(key), "{strength:?} {position}");
            super::super::Engine::step(&mut super::super::Portable, &mut [&mut chain]);
            keys.step();
        }
    }
}

#[test]
fn a_gap_is_not_crossed_without_a_reset_whoever_answers_it() {
    for style in [Style::Flag, Style::SameKey, Style::NextKey] {
        for before in [0, 3, 254, 255, 256, 4095] {
            for lost in [1, 2, 255, 256, 300, 4096, 9000] {
                if before == 0 && lost >= 4096 {
                    // Nothing says how often the count wrapped before the first frame.
                    continue;
                }
                let mut pair = Pair::new(style);
                for _ in 0..before {
                    pair.next().unwrap();
                }
                pair.lose(lost);
                let frame = pair.frame();
                if !frame.1.flushed {
                    assert_eq!(pair.get(frame), Err(DropReason::OutOfSync));
                }
                assert_eq!(pair.receiver.ask(pair.now), Some(1));
                pair.peer.reset();
                for after in 0..600 {
                    let outcome = pair.next();
                    assert_eq!(outcome, Ok(()), "{style:?} {before} {lost} {after}");
                }
            }
        }
    }
}

#[test]
fn answers_to_a_reset_may_be_lost() {
    for style in [Style::Flag, Style::SameKey, Style::NextKey] {
        let mut pair = Pair::new(style);
        for _ in 0..100 {
            pair.next().unwrap();
        }
        pair.lose(1);
        for times in 1..=MAX_LOST_RESETS {
            assert_eq!(pair.next(), Err(DropReason::OutOfSync), "{style:?}");
            assert_eq!(pair.receiver.ask(pair.now), Some(times));
            pair.now += ASK_AGAIN;
            pair.peer.reset();
            // The one with fresh tables.
            pair.lose(1);
        }
        pair.peer.reset();
        assert_eq!(pair.next(), Ok(()), "{style:?}");
        assert_eq!(pair.next(), Ok(()), "{style:?}");
    }
}

#[test]
fn a_reset_is_asked_for_every_200_ms() {
    let mut pair = Pair::new(Style::NextKey);
    let ms = Duration::from_millis;

    assert_eq!(pair.receiver.ask(pair.now), Some(1));
    assert_eq!(pair.receiver.ask(pair.now + ms(199)), None);
    assert_eq!(pair.receiver.ask(pair.now + ms(200)), Some(2));

    pair.next().unwrap();
    assert_eq!(pair.receiver.ask(pair.now + ms(201)), Some(1));
}

#[test]
fn a_late_frame_is_dropped_and_costs_nothing() {
    let mut pair = Pair::new(Style::SameKey);
    let first = pair.frame();
    let second = pair.frame();

    assert_eq!(pair.get(second.clone()), Err(DropReason::OutOfSync));
    assert_eq!(pair.get(first.clone()), Ok(()));
    assert_eq!(pair.get(first), Err(DropReason::StaleKey));
    assert_eq!(pair.get(second), Ok(()), "it is in order again");
}

#[test]
fn forged_frames_do_not_disturb() {
    let mut pair = Pair::new(Style::SameKey);
    for _ in 0..50 {
        pair.next().unwrap();
    }
    for forged in 0..1000_u32 {
        let header = mppe::Repr {
            flushed: forged % 2 == 0,
            encrypted: true,
            coherency: Coherency::new(u16::try_from(50 + forged % 4000).unwrap()),
        };
        let seq = SeqNum(pair.seq + forged);
        let outcome = pair.get((seq, header, vec![0x17; 80]));
        assert!(outcome.is_err(), "{forged}");
    }
    assert_eq!(pair.next(), Ok(()));
}

#[test]
fn a_jump_of_sequence_numbers_costs_no_more_than_the_budget() {
    let mut pair = Pair::new(Style::SameKey);
    pair.next().unwrap();
    let header = mppe::Repr {
        flushed: true,
        encrypted: true,
        coherency: Coherency::new(17),
    };
    let far = SeqNum(0x7000_0000);

    let outcome = pair.get((far, header, vec![0x17; 80]));

    assert_eq!(outcome, Err(DropReason::KeyBudget));
    assert_eq!(pair.next(), Ok(()));
}

proptest! {
    /// Over a wire that loses, swaps and doubles frames, each frame that is accepted is right, and
    /// the session always finds in again.
    #[test]
    fn a_bad_wire_is_survived(
        style in prop_oneof![Just(Style::Flag), Just(Style::SameKey), Just(Style::NextKey)],
        fates in proptest::collection::vec(0..100_u8, 1..2000),
    ) {
        let mut pair = Pair::new(style);
        let mut wire = VecDeque::new();
        for fate in fates {
            pair.now += Duration::from_millis(20);
            let frame = pair.frame();
            match fate {
                0..5 => {}
                5..10 => wire.push_front(frame),
                10..15 => {
                    wire.push_back(frame.clone());
                    wire.push_back(frame);
                }
                _ => wire.push_back(frame),
            }
            while wire.len() > 2 {
                let frame = wire.pop_front().unwrap();
                let lost = pair.get(frame).is_err_and(|reason| reason != DropReason::StaleKey);
                if lost && pair.receiver.ask(pair.now).is_some() {
                    pair.peer.reset();
                }
            }
        }
        wire.clear();
        pair.peer.reset();
        prop_assert_eq!(pair.next(), Ok(()));
        for _ in 0..300 {
            prop_assert_eq!(pair.next(), Ok(()));
        }
    }
}

use std::time::Duration;

use super::*;
use crate::mppe::{Portable, StartKey, Strength};

const MS: Duration = Duration::from_millis(1);

/// A receiver and the chain of the peer that sends to it.
struct Pair {
    receiver: Receiver,
    peer: Chain,
    now: Instant,
}

impl Pair {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the origin"
    )]
    fn new() -> Self {
        let parameters = Parameters {
            start_key: StartKey([7; 16]),
            strength: Strength::Bits128,
            stateless: true,
        };
        Self {
            peer: Chain::for_sending(parameters.start_key.clone(), parameters.strength),
            receiver: Receiver::new(parameters),
            now: Instant::now(),
        }
    }

    /// The key that the peer uses for a position; positions only go up.
    fn peer_key(&mut self, position: u64) -> SessionKey {
        while self.peer.head() < position {
            Portable.step(&mut [&mut self.peer]);
        }
        self.peer.key(position).expect("positions only go up")
    }

    /// A frame of the peer's arrives; it decrypts if the receiver finds the peer's key.
    fn arrives(&mut self, seq: u32, position: u64) -> Result<Order, DropReason> {
        let key = self.peer_key(position);
        self.arrives_with(seq, position, &key)
    }

    fn arrives_with(
        &mut self,
        seq: u32,
        position: u64,
        key: &SessionKey,
    ) -> Result<Order, DropReason> {
        let (place, found) = self.open(seq, position)?;
        if found == *key {
            self.receiver.confirm(&place)
        } else {
            self.receiver.refuse(&place);
            Err(DropReason::Undecryptable)
        }
    }

    fn open(&mut self, seq: u32, position: u64) -> Result<(Place, SessionKey), DropReason> {
        let coherency = chain::coherency_of(position);
        let place = self.receiver.locate(SeqNum(seq), coherency)?;
        let key = self.receiver.key(&mut Portable, &place, self.now)?;
        Ok((place, key))
    }

    /// The peer's next frames arrive, 1 ms apart, until one decrypts; says how many that took.
    #[track_caller]
    fn recovers_within(&mut self, frames: u32, seq: u32, position: u64) -> u32 {
        for n in 0..frames {
            self.now += MS;
            if self.arrives(seq + n, position + u64::from(n)).is_ok() {
                return n + 1;
            }
        }
        panic!("no frame decrypted: {:?}", self.receiver);
    }
}

#[test]
fn frames_in_order_cost_one_step_each() {
    let mut pair = Pair::new();

    for n in 0..500 {
        let order = pair.arrives(n, u64::from(n) + 1);
        assert_eq!(order, Ok(Order::New { skipped: 0 }));
        assert_eq!(pair.receiver.chain.head(), u64::from(n) + 1);
    }
}

#[test]
fn a_packet_two_slots_late_costs_no_step_and_is_still_decrypted() {
    let mut pair = Pair::new();
    let key = pair.peer_key(9);
    pair.arrives(9, 10).unwrap();
    pair.arrives(10, 11).unwrap();
    let head = pair.receiver.chain.head();

    let order = pair.arrives_with(8, 9, &key);

    assert_eq!(order, Ok(Order::Late));
    assert_eq!(pair.receiver.chain.head(), head);
    assert_eq!(pair.receiver.chain.used(), 11);
    assert!(pair.receiver.scratch.is_none());
    assert!(pair.arrives(11, 12).is_ok());
}

#[test]
fn a_position_decrypts_once_whatever_its_sequence_number() {
    let mut pair = Pair::new();
    let key = pair.peer_key(1);
    pair.arrives(0, 1).unwrap();
    pair.arrives(1, 2).unwrap();

    for seq in [0, 2, 40, 1000] {
        let outcome = pair.arrives_with(seq, 1, &key);
        assert_eq!(outcome, Err(DropReason::DuplicateSeq), "{seq}");
    }
}

#[test]
fn two_copies_in_one_burst_are_confirmed_once() {
    let mut pair = Pair::new();
    let (one, _) = pair.open(0, 1).unwrap();
    let (two, _) = pair.open(0, 1).unwrap();

    assert!(pair.receiver.confirm(&one).is_ok());
    assert_eq!(pair.receiver.confirm(&two), Err(DropReason::DuplicateSeq));
}

#[test]
fn a_gap_inside_the_ring_is_free() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();

    let order = pair.arrives(192, 193);

    assert_eq!(order, Ok(Order::New { skipped: 191 }));
    assert_eq!(pair.receiver.budget.steps, Budget::CAPACITY);
}

#[test]
fn a_gap_beyond_the_ring_is_paid_for() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();

    let order = pair.arrives(1000, 1001);

    assert_eq!(order, Ok(Order::New { skipped: 999 }));
    assert_eq!(pair.receiver.budget.steps, Budget::CAPACITY - 1000);
    assert!(pair.receiver.scratch.is_none());
}

#[test]
fn late_packets_around_the_end_of_a_long_gap_are_decrypted() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    let late = pair.peer_key(1000);
    pair.arrives(1002, 1003).unwrap();

    assert_eq!(pair.arrives_with(999, 1000, &late), Ok(Order::Late));
}

#[test]
fn a_burst_beyond_the_ring_pays_for_the_gap_once() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();

    let places: Vec<_> = (0..64)
        .map(|n| pair.open(3000 + n, 3001 + u64::from(n)).unwrap().0)
        .collect();

    assert_eq!(pair.receiver.budget.steps, Budget::CAPACITY - 3063);
    for place in places {
        assert!(pair.receiver.confirm(&place).is_ok());
    }
}

#[test]
fn after_5000_lost_frames_the_session_recovers() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    assert_eq!(pair.arrives(5001, 5002), Err(DropReason::KeyBudget));

    let frames = pair.recovers_within(100, 5002, 5003);

    assert!(frames > 1, "the budget was not asked");
}

#[test]
fn a_loss_of_many_rounds_of_the_count_is_caught_up_with_in_time() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();

    pair.recovers_within(1000, 30_000, 30_001);
}

#[test]
fn a_forged_count_costs_at_most_the_budget() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();

    for n in 0..200 {
        let _ = pair.open(100_000 + n, 90_000 + 7 * u64::from(n));
    }

    assert_eq!(pair.receiver.budget.steps, 0);
    let scratch = pair.receiver.scratch.as_ref().unwrap();
    assert!(scratch.head() <= u64::from(Budget::CAPACITY) + 1 + AHEAD);
    assert!(pair.arrives(1, 2).is_ok());
}

#[test]
fn with_an_empty_budget_the_ring_still_serves() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    pair.receiver.budget.steps = 0;
    pair.receiver.budget.refilled = Some(pair.now);

    assert_eq!(pair.arrives(1000, 100).map(|_| ()), Ok(()));
    assert_eq!(
        pair.open(2000, 1000).map(|_| ()),
        Err(DropReason::KeyBudget)
    );
}

#[test]
fn an_empty_budget_keeps_what_was_reached() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    assert_eq!(pair.arrives(6000, 6001), Err(DropReason::KeyBudget));
    let reached = pair.receiver.scratch.as_ref().unwrap().head();

    let outcome = pair.open(2000, 300).map(|_| ());

    assert_eq!(outcome, Err(DropReason::KeyBudget));
    assert_eq!(pair.receiver.scratch.as_ref().unwrap().head(), reached);
}

#[test]
fn many_unencrypted_frames_between_do_not_hide_the_next_one() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    for _ in 0..10_000 {
        pair.receiver.note_unencrypted();
    }

    let order = pair.arrives(10_001, 2);

    assert_eq!(order, Ok(Order::New { skipped: 0 }));
}

#[test]
fn forged_unencrypted_frames_only_delay_the_recovery_from_a_long_loss() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    for _ in 0..3000 {
        pair.receiver.note_unencrypted();
    }

    pair.recovers_within(1000, 5001, 5002);
}

#[test]
fn a_burst_of_wrong_guesses_counts_as_one() {
    let mut pair = Pair::new();
    pair.arrives(0, 1).unwrap();
    for _ in 0..9000 {
        pair.receiver.note_unencrypted();
    }
    let burst: Vec<_> = (0..64)
        .map(|n| pair.open(9001 + n, 3 + u64::from(n)).unwrap().0)
        .collect();

    for place in &burst {
        pair.receiver.refuse(place);
    }

    assert_eq!(pair.receiver.guess, 1);
}

#[test]
fn sequence_numbers_that_jump_ahead_with_a_good_frame_leave_no_damage() {
    let mut pair = Pair::new();
    pair.arrives(10, 1).unwrap();
    // The second packet arrives under a sequence number that somebody changed.
    pair.arrives(4000, 2).unwrap();

    for n in 0..100 {
        assert!(pair.arrives(12 + n, 3 + u64::from(n)).is_ok(), "{n}");
    }
}

#[test]
fn each_impossible_place_has_its_reason() {
    let mut pair = Pair::new();
    for n in 0..200 {
        pair.arrives(10_000 + n, u64::from(n) + 1).unwrap();
    }
    for (seq, position, reason, what) in [
        (10_199, 200, DropReason::DuplicateSeq, "the newest again"),
        (10_100, 101, DropReason::StaleKey, "behind the ring"),
        (6_000, 200, DropReason::StaleSeq, "behind a whole round"),
        (
            10_199 + MAX_FORWARD + 1,
            300,
            DropReason::FutureSeq,
            "ahead",
        ),
        (10_200, 2000, DropReason::StaleKey, "ahead of its number"),
    ] {
        assert_eq!(
            pair.open(seq, position).map(|_| ()),
            Err(reason),
            "{what}: {seq} {position}"
        );
    }
}

#[test]
fn the_budget_refills_with_time() {
    let mut pair = Pair::new();
    let mut budget = Budget::full();
    budget.refill(pair.now);
    while budget.take() {}
    assert!(budget.is_empty());

    pair.now += 50 * MS;
    budget.refill(pair.now);
    assert_eq!(budget.steps, Budget::CAPACITY / 2);

    pair.now += 500 * MS;
    budget.refill(pair.now);
    assert_eq!(budget.steps, Budget::CAPACITY);
}

#[test]
fn a_burst_that_begins_inside_of_the_ring_and_ends_beyond_decrypts_as_a_whole() {
    let mut pair = Pair::new();
    // All that came before these was lost.
    let positions = [AHEAD, AHEAD + 1, AHEAD + 2];
    let burst = positions.map(|position| {
        let seq = u32::try_from(position).unwrap() - 1;
        pair.open(seq, position).unwrap()
    });

    for (position, (place, key)) in positions.into_iter().zip(burst) {
        assert_eq!(key, pair.peer_key(position));
        let order = pair.receiver.confirm(&place);
        assert!(matches!(order, Ok(Order::New { .. })), "{order:?}");
    }
}

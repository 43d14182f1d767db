use proptest::prelude::*;

use super::*;

const LONG: ipc::Multilink = ipc::Multilink {
    mrru: 1600,
    short: false,
};
const SHORT: ipc::Multilink = ipc::Multilink {
    short: true,
    ..LONG
};

#[expect(
    clippy::disallowed_methods,
    reason = "any instant serves as the origin"
)]
fn start() -> Instant {
    Instant::now()
}

/// The fragments of a frame, each behind its header.
fn fragments(fragmenter: &mut Fragmenter, frame: &[u8], room: usize) -> Vec<Vec<u8>> {
    fragmenter.begin(frame.len()).copy_from_slice(frame);
    std::iter::from_fn(|| {
        let mut out = vec![0; fragmenter.next_len(room)?];
        fragmenter.write_next(&mut out);
        Some(out)
    })
    .collect()
}

/// What becomes of a fragment: the frame that it completes.
fn get(
    reassembler: &mut Reassembler,
    fragment: &[u8],
    now: Instant,
) -> Result<Option<Vec<u8>>, DropReason> {
    let short = reassembler.terms.short;
    let header = Repr::parse(fragment, short).map_err(|_| DropReason::BadFragment)?;
    let data = &fragment[header.buffer_len()..];
    Ok(reassembler.insert(header, data, now)?.map(|length| {
        let mut frame = vec![0; length];
        assert!(reassembler.take(&mut frame));
        frame
    }))
}

fn frame(length: usize) -> Vec<u8> {
    (0..=250).cycle().step_by(7).take(length).collect()
}

#[test]
fn fragments_fill_the_link_and_make_up_the_frame_again() {
    for (terms, header) in [(LONG, 4), (SHORT, 2)] {
        let mut fragmenter = Fragmenter::new(terms);
        let mut reassembler = Reassembler::new(terms);
        let whole = frame(1500);

        let parts = fragments(&mut fragmenter, &whole, 700);

        let lengths: Vec<_> = parts.iter().map(Vec::len).collect();
        assert_eq!(lengths, [700, 700, 100 + 3 * header]);
        let got: Vec<_> = parts
            .iter()
            .map(|part| get(&mut reassembler, part, start()).unwrap())
            .collect();
        assert_eq!(got, [None, None, Some(whole)]);
        assert!(!fragmenter.is_pending());
    }
}

#[test]
fn what_fits_is_one_fragment_that_begins_and_ends() {
    let mut fragmenter = Fragmenter::new(LONG);
    let parts = fragments(&mut fragmenter, &frame(100), 104);
    assert_eq!(parts.len(), 1);
    assert!(Repr::parse(&parts[0], false).unwrap().is_whole());
}

#[test]
fn nothing_fits_where_there_is_no_room_behind_the_header() {
    let mut fragmenter = Fragmenter::new(LONG);
    fragmenter.begin(10);
    assert_eq!(fragmenter.next_len(4), None);
    assert_eq!(fragmenter.next_len(5), Some(5));
}

#[test]
fn fragments_in_any_order_make_up_the_frame() {
    let whole = frame(1000);
    let parts = fragments(&mut Fragmenter::new(LONG), &whole, 404);
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut reassembler = Reassembler::new(LONG);
        let got: Vec<_> = order
            .iter()
            .filter_map(|&at| get(&mut reassembler, &parts[at], start()).unwrap())
            .collect();
        assert_eq!(got, std::slice::from_ref(&whole), "{order:?}");
    }
}

#[test]
fn a_lost_fragment_loses_its_frame_and_no_other() {
    for lost in 0..3 {
        let mut fragmenter = Fragmenter::new(SHORT);
        let mut reassembler = Reassembler::new(SHORT);
        let mut got = 0;
        for number in 0..10_000 {
            for (at, part) in fragments(&mut fragmenter, &frame(1000), 402)
                .iter()
                .enumerate()
            {
                let is_lost = at == lost && number % 3 == 1;
                if !is_lost && get(&mut reassembler, part, start()).unwrap().is_some() {
                    got += 1;
                }
            }
        }
        assert_eq!(got, 10_000 - 3333, "fragment {lost} lost");
    }
}

#[test]
fn fragments_of_two_frames_are_not_mixed() {
    let mut fragmenter = Fragmenter::new(LONG);
    let mut reassembler = Reassembler::new(LONG);
    let one = fragments(&mut fragmenter, &frame(800), 404);
    let other = fragments(&mut fragmenter, &frame(700), 404);
    // The end of the first and the beginning of the second are lost.
    assert_eq!(get(&mut reassembler, &one[0], start()), Ok(None));
    assert_eq!(get(&mut reassembler, &other[1], start()), Ok(None));
}

#[test]
fn a_duplicate_is_dropped() {
    let mut reassembler = Reassembler::new(LONG);
    let parts = fragments(&mut Fragmenter::new(LONG), &frame(100), 54);
    get(&mut reassembler, &parts[0], start()).unwrap();
    assert_eq!(
        get(&mut reassembler, &parts[0], start()),
        Err(DropReason::DuplicateSeq)
    );
}

#[test]
fn a_forged_number_keeps_nothing_out() {
    for forged in [0, 1, 63, 64, 2048, 0x80_0000, 0xFF_FFFF] {
        let mut reassembler = Reassembler::new(LONG);
        let header = Repr {
            begin: true,
            end: false,
            seq: forged,
            short: false,
        };
        reassembler.insert(header, b"forged", start()).unwrap();
        let mut fragmenter = Fragmenter::new(LONG);
        fragments(&mut fragmenter, &frame(10), 6);
        let parts = fragments(&mut fragmenter, &frame(100), 54);
        get(&mut reassembler, &parts[0], start()).unwrap();
        let got = get(&mut reassembler, &parts[1], start()).unwrap();
        assert_eq!(got, Some(frame(100)), "{forged}");
    }
}

#[test]
fn what_waits_in_vain_is_counted() {
    let mut fragmenter = Fragmenter::new(SHORT);
    let mut reassembler = Reassembler::new(SHORT);
    let parts = fragments(&mut fragmenter, &frame(100), 52);
    get(&mut reassembler, &parts[0], start()).unwrap();
    for seq in 2..200 {
        reassembler.pass(seq);
    }
    assert_eq!(reassembler.lost(), 1);
    assert_eq!(get(&mut reassembler, &parts[1], start()), Ok(None));
}

#[test]
fn a_fragment_does_not_wait_for_ever() {
    let now = start();
    let parts = fragments(&mut Fragmenter::new(LONG), &frame(800), 504);
    for (wait, complete) in [(TIMEOUT - Duration::from_millis(1), true), (TIMEOUT, false)] {
        let mut reassembler = Reassembler::new(LONG);
        get(&mut reassembler, &parts[0], now).unwrap();
        let got = get(&mut reassembler, &parts[1], now + wait).unwrap();
        assert_eq!(got.is_some(), complete);
    }
}

#[test]
fn a_frame_beyond_our_mrru_is_dropped() {
    let mut fragmenter = Fragmenter::new(LONG);
    let mut reassembler = Reassembler::new(LONG);
    let most = fragments(&mut fragmenter, &frame(1606), 1000);
    get(&mut reassembler, &most[0], start()).unwrap();
    assert!(get(&mut reassembler, &most[1], start()).unwrap().is_some());
    let more = fragments(&mut fragmenter, &frame(1607), 1000);
    get(&mut reassembler, &more[0], start()).unwrap();
    assert_eq!(
        get(&mut reassembler, &more[1], start()),
        Err(DropReason::BadFragment)
    );
}

#[test]
fn what_is_abandoned_is_not_sent() {
    let mut fragmenter = Fragmenter::new(LONG);
    fragmenter.begin(100);
    assert!(fragmenter.is_pending());
    fragmenter.abandon();
    assert_eq!(fragmenter.next_len(50), None);
}

proptest! {
    #[test]
    fn arbitrary_fragments_take_bounded_memory_and_never_panic(
        short: bool,
        fragments in proptest::collection::vec((any::<u32>(), any::<bool>(), any::<bool>(), 0..3000_usize), 0..300),
    ) {
        let mut reassembler = Reassembler::new(ipc::Multilink { mrru: 1500, short });
        let now = start();
        for (seq, begin, end, length) in fragments {
            let seq = seq % 300 % sequence_space(short);
            let header = Repr { begin, end, seq, short };
            if let Ok(Some(length)) = reassembler.insert(header, &vec![0; length], now) {
                prop_assert!(length <= 1506);
                prop_assert!(reassembler.take(&mut vec![0; length]));
            }
        }
    }

    #[test]
    fn frames_survive_a_wire_that_swaps(
        lengths in proptest::collection::vec(1..1600_usize, 1..60),
        room in 200..1500_usize,
        short: bool,
        swaps in proptest::collection::vec(0..16_usize, 60),
    ) {
        let terms = ipc::Multilink { short, ..LONG };
        let mut fragmenter = Fragmenter::new(terms);
        let mut reassembler = Reassembler::new(terms);
        let mut wire: Vec<_> = lengths
            .iter()
            .flat_map(|&length| fragments(&mut fragmenter, &frame(length), room))
            .collect();
        for (block, swap) in wire.chunks_mut(16).zip(swaps) {
            let swap = swap % block.len();
            block.rotate_left(swap);
        }
        let mut got: Vec<_> = wire
            .iter()
            .filter_map(|part| get(&mut reassembler, part, start()).unwrap())
            .map(|frame| frame.len())
            .collect();
        let mut expected = lengths;
        got.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(got, expected);
    }
}

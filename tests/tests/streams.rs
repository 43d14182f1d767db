//! Merging and splitting change no byte of what two hosts say to each other through a tunnel, on a
//! wire that is good and on one that loses, delays and repeats frames.

use std::net::{IpAddr, SocketAddr};
use std::thread;

use anyhow::{Result, anyhow};
use greyhound_datapath::ipc::IoMode;
use greyhound_tests::datapath::{Between, End, Ended, Pair, Terms};
use greyhound_tests::exchange::{self, Arrived, Datagrams};
use greyhound_tests::relay::Faults;
use greyhound_tests::tcp::{self, Amount};

#[test]
#[ignore = "needs root: ./run test"]
fn tcp_arrives_as_it_was_sent() -> Result<()> {
    let pair = Pair::set_up(Between::Relay(GOOD, 1), NATIVE, NATIVE)?;
    assert_eq!(pair.io(), [IoMode::Native; 2]);

    tcp_both_ways(&pair)?;

    assert_sound(&pair.end()?, GOOD);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn tcp_over_a_bad_wire_arrives_as_it_was_sent() -> Result<()> {
    let pair = Pair::set_up(Between::Relay(BAD, 2), NATIVE, NATIVE)?;

    tcp_both_ways(&pair)?;

    assert_sound(&pair.end()?, BAD);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn tcp_arrives_where_one_end_merges_and_the_other_does_not() -> Result<()> {
    let pair = Pair::set_up(Between::Relay(BAD, 3), RAW, NO_OFFLOAD)?;
    // Another length of the TCP header.
    for end in [End::Near, End::Far] {
        pair.namespace(end).set("net/ipv4/tcp_timestamps", "0")?;
    }

    tcp_both_ways(&pair)?;

    assert_sound(&pair.end()?, BAD);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn datagrams_arrive_as_they_were_sent_and_in_order() -> Result<()> {
    for far in [NATIVE, NO_OFFLOAD] {
        let pair = Pair::set_up(Between::Relay(GOOD, 4), NATIVE, far)?;

        let flows = udp_both_ways(&pair)?;

        let ended = pair.end()?;
        assert_sound(&ended, GOOD);
        for Flow {
            to,
            sent,
            arrived:
                Arrived {
                    count,
                    late,
                    merged,
                },
        } in flows
        {
            assert_eq!((count, late), (sent, 0), "to {to:?}: {ended:?}");
            let merges = to == End::Near || far == NATIVE;
            assert_eq!(merged > 0, merges, "to {to:?}: {merged} times");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn datagrams_over_a_bad_wire_arrive_as_they_were_sent_or_not_at_all() -> Result<()> {
    for io in [NATIVE, SKB] {
        let pair = Pair::set_up(Between::Relay(BAD, 5), io, io)?;

        let flows = udp_both_ways(&pair)?;

        let ended = pair.end()?;
        assert_sound(&ended, BAD);
        let missing: usize = flows
            .iter()
            .map(|flow| flow.sent - flow.arrived.count)
            .sum();
        let lost = usize::try_from(ended.relayed.lost)?;
        // Some of the frames lost were acknowledgements.
        assert!((1..=lost).contains(&missing), "{missing}: {ended:?}");
        let late: usize = flows.iter().map(|flow| flow.arrived.late).sum();
        assert!(late > 0, "{ended:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn stateful_encryption_changes_no_byte() -> Result<()> {
    let stateful = Terms {
        stateless: false,
        ..Terms::USUAL
    };
    let pair = Pair::with_terms(Between::Relay(GOOD, 6), NATIVE, NO_OFFLOAD, stateful)?;

    tcp_both_ways(&pair)?;

    assert_sound(&pair.end()?, GOOD);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn packets_larger_than_the_wire_arrive_as_they_were_sent() -> Result<()> {
    for (faults, far) in [(GOOD, NATIVE), (BAD, NO_OFFLOAD), (BAD, RAW)] {
        let large = Terms {
            mrru: Some(4000),
            ..Terms::USUAL
        };
        let pair = Pair::with_terms(Between::Relay(faults, 7), NATIVE, far, large)?;

        tcp_both_ways(&pair)?;

        assert_sound(&pair.end()?, faults);
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn tcp_in_bulk_is_merged_and_split_unless_told_otherwise() -> Result<()> {
    for (arguments, offload) in [(NATIVE, true), (NO_OFFLOAD, false)] {
        let pair = Pair::set_up(Between::Cable, arguments, arguments)?;

        let (near, far) = (pair.namespace(End::Near), pair.namespace(End::Far));
        for host in hosts(End::Far) {
            let amount = Amount::Bytes(STREAM_BYTES as u64);
            tcp::transfer(near, far, SocketAddr::new(host, PORT), amount)?;
        }

        let ended = pair.end()?;
        assert_sound(&ended, GOOD);
        let (sender, receiver) = (ended.near.counters, ended.far.counters);
        if offload {
            assert!(sender.tun_read * 4 < sender.tx_xsk, "{ended:?}");
            assert!(receiver.tun_written * 4 < receiver.rx_xsk, "{ended:?}");
        } else {
            let packets = sender.tx_xsk - sender.lone_acks;
            assert!(sender.tun_read >= packets, "{ended:?}");
            let packets = receiver.rx_xsk - sender.lone_acks;
            assert!(receiver.tun_written >= packets, "{ended:?}");
        }
    }
    Ok(())
}

/// IPv4 and IPv6 at once, each one connection that is full in both directions.
fn tcp_both_ways(pair: &Pair) -> Result<()> {
    let (near, far) = (pair.namespace(End::Near), pair.namespace(End::Far));
    thread::scope(|scope| {
        let streams = hosts(End::Far).map(|host| {
            let address = SocketAddr::new(host, PORT);
            scope.spawn(move || exchange::tcp(near, far, address, STREAM_BYTES, 7))
        });
        for stream in streams {
            stream.join().map_err(|_| anyhow!("a stream panicked"))??;
        }
        Ok(())
    })
}

/// A flow of datagrams that ended.
struct Flow {
    to: End,
    sent: usize,
    arrived: Arrived,
}

/// IPv4 and IPv6 in both directions at once, two flows of each, which differ in their ports alone.
fn udp_both_ways(pair: &Pair) -> Result<Vec<Flow>> {
    let targets = [End::Near, End::Far].into_iter();
    let targets = targets.flat_map(|to| hosts(to).map(|host| (to, host)));
    let targets = targets
        .flat_map(|(to, host)| [PORT, PORT + 1].map(|port| (to, SocketAddr::new(host, port))));
    thread::scope(|scope| {
        let flows: Vec<_> = targets
            .zip(100..)
            .map(|((to, address), seed)| {
                scope.spawn(move || {
                    let datagrams = Datagrams::new(DATAGRAMS, seed);
                    let (source, target) = (pair.namespace(to.other()), pair.namespace(to));
                    let arrived = datagrams.exchange(source, target, address)?;
                    let sent = datagrams.count();
                    Ok(Flow { to, sent, arrived })
                })
            })
            .collect();
        flows
            .into_iter()
            .map(|flow| flow.join().map_err(|_| anyhow!("a flow panicked"))?)
            .collect()
    })
}

/// Checks that the wire was as bad as it should be, and that nothing else went wrong: what is
/// mended by sending it again must not hide.
fn assert_sound(ended: &Ended, faults: Faults) {
    let Faults { lost, late, twice } = faults;
    let tally = ended.relayed;
    assert_eq!(tally.lost > 0, lost > 0, "{tally:?}");
    assert_eq!(tally.late > 0, late > 0, "{tally:?}");
    assert_eq!(tally.twice > 0, twice > 0, "{tally:?}");
    assert_eq!(ended.wrong_checksums, 0, "{ended:?}");
    for totals in [&ended.near, &ended.far] {
        let mut reasons = totals.drops.keys();
        let expected = |reason: &String| twice > 0 && reason == "duplicate-seq";
        assert!(reasons.all(expected), "{ended:?}");
    }
}

/// The addresses of an end inside the tunnel.
fn hosts(end: End) -> [IpAddr; 2] {
    [end.inner().into(), end.inner_v6().into()]
}

const NATIVE: &[&str] = &["--io", "native"];
const SKB: &[&str] = &["--io", "skb"];
const RAW: &[&str] = &["--io", "raw"];
const NO_OFFLOAD: &[&str] = &["--io", "native", "--no-offload"];

const PORT: u16 = 5001;
const STREAM_BYTES: usize = 20 << 20;
const DATAGRAMS: usize = 5000;

const GOOD: Faults = Faults {
    lost: 0,
    late: 0,
    twice: 0,
};

const BAD: Faults = Faults {
    lost: 10,
    late: 10,
    twice: 5,
};

//! What a session may do, measured between two datapaths of which the near one keeps to limits.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use greyhound_datapath::ipc::{Burst, Limit, Limits, Rate};
use greyhound_tests::bulk::Bulk;
use greyhound_tests::datapath::{Between, End, Pair};
use greyhound_tests::ping::Ping;
use greyhound_tests::tcp;
use greyhound_tests::wait::{now, wait_until};
use nix::sys::socket::{getsockopt, sockopt};

#[test]
#[ignore = "needs root: ./run test"]
fn each_direction_has_its_rate() -> Result<()> {
    for (rx, tx) in [(2, 20), (20, 2)] {
        let mut pair = Pair::set_up(Between::Cable, NATIVE, NATIVE)?;
        pair.datapath(End::Near).limit(Limits {
            rx_rate: steady(rx),
            tx_rate: steady(tx),
            ..Limits::default()
        })?;

        // What the near end receives, the far one sends.
        for (from, expected) in [(End::Far, rx), (End::Near, tx)] {
            let stream = stream(&pair, from)?;
            thread::sleep(SETTLING);
            assert_settles(&stream, expected)?;
            stream.stop()?;
        }

        let drops = pair.end()?.near.drops;
        for reason in ["rate-limit-rx", "rate-limit-tx"] {
            assert!(drops.contains_key(reason), "no {reason}: {drops:?}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_rate_holds_until_it_is_changed_or_taken_away() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, NATIVE, NATIVE)?;
    let stream = stream(&pair, End::Near)?;
    for rate in [5, 15] {
        pair.datapath(End::Near).limit(Limits {
            tx_rate: steady(rate),
            ..Limits::default()
        })?;
        thread::sleep(SETTLING);
        assert_settles(&stream, rate)?;
    }

    pair.datapath(End::Near).limit(Limits::default())?;

    let before = stream.received();
    thread::sleep(WINDOW);
    let free = mbits(stream.received() - before, WINDOW);
    assert!(free > 30.0, "{free} Mbit/s without a limit");
    stream.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_burst_comes_first_and_then_the_rate() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, NATIVE, NATIVE)?;
    // 1 Mbit/s for 8 s is 16 Mbit/s for half a second.
    let mut rate = steady(2).context("a rate")?;
    rate.burst = Some(Burst {
        bits_per_second: bits(16),
        threshold: 1_000_000,
        time: Duration::from_secs(8),
    });
    for from in [End::Far, End::Near] {
        pair.datapath(End::Near).limit(Limits::default())?;
        pair.datapath(End::Near).limit(Limits {
            rx_rate: Some(rate),
            tx_rate: Some(rate),
            ..Limits::default()
        })?;
        let stream = stream(&pair, from)?;
        let second = Duration::from_secs(1);
        thread::sleep(second);
        let first = mbits(stream.received(), second);
        assert!(first > 5.0, "{first} Mbit/s from {from:?} at first");

        thread::sleep(SETTLING);
        assert_settles(&stream, 2)?;
        stream.stop()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_limit_of_bytes_is_told_once_when_it_is_reached() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, NATIVE, NATIVE)?;
    // A ping and its answer are one packet each way.
    for (limit, from, ways) in [
        (Limit::RxBytes, End::Far, 1),
        (Limit::TxBytes, End::Near, 1),
        (Limit::TotalBytes, End::Near, 2),
    ] {
        let moved = |pair: &mut Pair| -> Result<u64> {
            let counters = pair.datapath(End::Near).counters()?;
            Ok(match limit {
                Limit::RxBytes => counters.rx_bytes,
                Limit::TxBytes => counters.tx_bytes,
                Limit::TotalBytes => counters.rx_bytes + counters.tx_bytes,
                Limit::Idle => unreachable!("it has no bytes"),
            })
        };
        let most = moved(&mut pair)? + 20 * ways * PING_BYTES;
        let limits = Limits {
            rx_bytes: NonZeroU64::new(most).filter(|_| limit == Limit::RxBytes),
            tx_bytes: NonZeroU64::new(most).filter(|_| limit == Limit::TxBytes),
            total_bytes: NonZeroU64::new(most).filter(|_| limit == Limit::TotalBytes),
            ..Limits::default()
        };
        pair.datapath(End::Near).limit(limits)?;

        ping(&pair, from, 15)?;
        let before = moved(&mut pair)?;
        assert!(
            before < most,
            "{before} of {most}: too much besides the pings"
        );
        assert_eq!(pair.datapath(End::Near).limit_heard(), None, "{before}");

        // One at a time, so that it is told which one it was.
        let mut after = before;
        while after < most {
            assert_eq!(pair.datapath(End::Near).limit_heard(), None, "{after}");
            ping(&pair, from, 1)?;
            after = moved(&mut pair)?;
        }
        assert_eq!(pair.datapath(End::Near).limit_reached()?, limit);

        ping(&pair, from, 3)?;
        wait_until("it goes on all the same", tcp::PATIENCE, || {
            moved(&mut pair).is_ok_and(|moved| moved > most)
        })?;
        assert_eq!(
            pair.datapath(End::Near).limit_heard(),
            None,
            "a second time"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_is_idle_without_packets_and_echoes_are_none() -> Result<()> {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let mut pair = Pair::set_up(Between::Cable, NATIVE, NATIVE)?;
    for end in [End::Near, End::Far] {
        // It has something to say of its own.
        let namespace = pair.namespace(end);
        namespace.set("net/ipv6/conf/tunnel/disable_ipv6", "1")?;
    }
    pair.datapath(End::Near).limit(Limits {
        idle_timeout: Some(TIMEOUT),
        ..Limits::default()
    })?;

    for from in [End::Near, End::Far] {
        let end = now() + 2 * TIMEOUT;
        while now() < end {
            ping(&pair, from, 3)?;
        }
    }
    let idle_since = now();
    // What is on its way arrives.
    thread::sleep(TIMEOUT / 4);
    let active = pair.datapath(End::Near).counters()?;
    assert_eq!(pair.datapath(End::Near).limit_heard(), None, "data flowed");

    let limit = echo_until_reached(&mut pair, idle_since + 3 * TIMEOUT)?;
    assert_eq!(limit, Some(Limit::Idle));
    // The last packet may have been a little before.
    let waited = idle_since.elapsed();
    assert!(waited > TIMEOUT / 2, "{waited:?}");
    let idle = pair.datapath(End::Near).counters()?;
    let packets = |counters: &greyhound_datapath::stats::SessionCounters| {
        [counters.rx_packets, counters.tx_packets]
    };
    assert_eq!(packets(&idle), packets(&active));
    assert!(idle.rx_frames >= active.rx_frames + 2, "{idle:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn segments_fit_the_interface_whoever_opens_the_connection() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, NATIVE, NATIVE)?;
    for end in [End::Near, End::Far] {
        let namespace = pair.namespace(end);
        // As of hosts behind the tunnel, which know nothing of it.
        namespace.ip("link set tunnel mtu 1500")?;
        namespace.set("net/ipv4/tcp_timestamps", "0")?;
    }
    for (clamps, v4, v6) in [(false, 1460, 1440), (true, 1416, 1396)] {
        pair.datapath(End::Near).limit(Limits {
            clamp_mss: clamps,
            ..Limits::default()
        })?;
        for from in [End::Near, End::Far] {
            let to = from.other();
            for (address, expected) in [
                (IpAddr::from(to.inner()), v4),
                (IpAddr::from(to.inner_v6()), v6),
            ] {
                // Each end's is what the other one offered.
                let sizes = segment_sizes(&pair, from, SocketAddr::new(address, PORT))?;
                assert_eq!(sizes, [expected; 2], "{clamps}, from {from:?} to {address}");
            }
        }
    }
    let wrong = pair.end()?.wrong_checksums;
    assert_eq!(wrong, 0);
    Ok(())
}

/// Echoes both ways until the near end has reached a limit, or it is late.
fn echo_until_reached(pair: &mut Pair, late: Instant) -> Result<Option<Limit>> {
    while now() < late {
        for end in [End::Near, End::Far] {
            pair.datapath(end).echo()?;
        }
        let reached = pair.datapath(End::Near).limit_heard();
        if reached.is_some() {
            return Ok(reached);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(None)
}

/// How large segments the two ends of a new connection send, the one that opened it first.
fn segment_sizes(pair: &Pair, from: End, address: SocketAddr) -> Result<[u32; 2]> {
    let listener = tcp::listen(pair.namespace(from.other()), address)?;
    let near = pair
        .namespace(from)
        .inside(|| TcpStream::connect_timeout(&address, tcp::PATIENCE))??;
    let far = tcp::accept(&listener)?;
    Ok([
        getsockopt(&near, sockopt::TcpMaxSeg)?,
        getsockopt(&far, sockopt::TcpMaxSeg)?,
    ])
}

fn ping(pair: &Pair, from: End, count: u32) -> Result<()> {
    let (address, count_word) = (from.other().inner().to_string(), count.to_string());
    let size = (PING_BYTES - PING_HEADERS).to_string();
    let words = ["-q", "-c", &count_word, "-i", "0.02", "-s", &size, &address];
    let ping = Ping::run(pair.namespace(from), &words)?;
    // It does not wait long for its answers; what the datapath counted is what counts.
    ensure!(ping.sent == count, "{ping:?}");
    Ok(())
}

fn stream(pair: &Pair, from: End) -> Result<Bulk> {
    let to = from.other();
    let address = SocketAddr::new(to.inner().into(), PORT);
    Bulk::start(pair.namespace(from), pair.namespace(to), address, 1)
}

/// The stream has this rate, in Mbit/s: never more, and not less all the time.
fn assert_settles(stream: &Bulk, expected: u32) -> Result<()> {
    let expected = f64::from(expected);
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let (start, before) = (now(), stream.received());
        thread::sleep(WINDOW);
        let rate = mbits(stream.received() - before, start.elapsed());
        seen.push(rate);
        ensure!(rate <= 1.05 * expected, "{seen:.2?} of {expected} Mbit/s");
        if rate >= 0.85 * expected {
            return Ok(());
        }
    }
    ensure!(false, "{seen:.2?} of {expected} Mbit/s");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn mbits(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8e-6 / time.as_secs_f64()
}

fn bits(megabits: u32) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(u64::from(megabits) * 1_000_000 - 1)
}

#[expect(clippy::unnecessary_wraps, reason = "as limits have it")]
fn steady(megabits: u32) -> Option<Rate> {
    Some(Rate::steady(bits(megabits)))
}

const NATIVE: &[&str] = &["--io", "native"];

/// Where streams end.
const PORT: u16 = 5001;

/// Of one ping, its IP packet.
const PING_BYTES: u64 = 1000;

/// Those of IPv4 and ICMP.
const PING_HEADERS: u64 = 28;

/// Until a stream has found the rate.
const SETTLING: Duration = Duration::from_secs(1);

/// What a rate is measured over.
const WINDOW: Duration = Duration::from_secs(3);

/// How many of those: other work on the machine may take a stream's time away.
const TRIES: usize = 3;

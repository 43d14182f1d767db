//! The product's client and its concentrator, over each way that frames can take.

use anyhow::Result;
use greyhound_tests::demo::Demo;
use greyhound_tests::tcp::Amount;

#[test]
#[ignore = "needs root: ./run test"]
fn traffic_goes_through_af_xdp() -> Result<()> {
    let evidence = traffic_flows("auto")?;
    // veth has XDP in its driver: on it, the probe must not settle for less.
    assert_eq!(evidence.io, "native", "{evidence}");
    // Each of these arrived on a wire and was meant for a session.
    assert!(evidence.rx_xsk >= FRAMES, "{evidence}");
    assert!(evidence.redirected >= evidence.rx_xsk, "{evidence}");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn traffic_goes_through_generic_xdp() -> Result<()> {
    let evidence = traffic_flows("skb")?;
    assert_eq!(evidence.io, "skb", "{evidence}");
    assert!(evidence.rx_xsk >= FRAMES, "{evidence}");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn traffic_goes_through_the_raw_socket() -> Result<()> {
    let evidence = traffic_flows("raw")?;
    assert_eq!(evidence.io, "raw", "{evidence}");
    assert!(evidence.rx_raw >= FRAMES, "{evidence}");
    assert_eq!((evidence.redirected, evidence.tx_xsk), (0, 0), "{evidence}");
    Ok(())
}

/// Connects, moves ping and TCP both ways, and ends in order.
fn traffic_flows(io: &str) -> Result<greyhound_tests::demo::Evidence> {
    let demo = Demo::start(io)?;

    let ping = demo.ping(200)?;
    assert_eq!((ping.sent, ping.received), (200, 200));
    let upload = demo.upload(BULK)?;
    let download = demo.download(BULK)?;
    let evidence = demo.evidence()?;
    demo.stop()?;

    assert_eq!((upload.bytes, download.bytes), (BULK_BYTES, BULK_BYTES));
    Ok(evidence)
}

const BULK: Amount = Amount::Bytes(BULK_BYTES);
const BULK_BYTES: u64 = 10_000_000;

/// What the pings and the upload take at least, at 1460 bytes a packet.
const FRAMES: u64 = 200 + BULK_BYTES / 1460;

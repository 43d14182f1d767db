//! A process is killed: who watches it starts it again, and nothing of it stays behind.

use std::time::Duration;

use anyhow::Result;
use greyhound_tests::bpf::program_on;
use greyhound_tests::machine::{UPLINK, tunnels_in};
use greyhound_tests::process::send_signal;
use greyhound_tests::tunnel::{SERVER_CONFIG, Tunnel};
use greyhound_tests::wait::wait_until;
use rustix::process::Signal;

#[test]
#[ignore = "needs root: ./run test"]
fn clients_are_back_after_the_datapath_was_killed() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let killed = tunnel.server.greyhound.datapath()?;

    send_signal(killed, Signal::KILL)?;
    wait_until("another datapath runs", PATIENCE, || {
        tunnel
            .server
            .greyhound
            .datapath()
            .is_ok_and(|pid| pid != killed)
    })?;
    tunnel.recover()?;

    assert_eq!(tunnels_in(&tunnel.server.namespace)?, ["<pptp-User1>"]);
    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn clients_are_back_after_the_control_process_was_killed() -> Result<()> {
    let tunnel = Tunnel::open()?;
    let killed = tunnel.server.greyhound.control()?;

    send_signal(killed, Signal::KILL)?;
    wait_until("another control process runs", PATIENCE, || {
        tunnel
            .server
            .greyhound
            .control()
            .is_ok_and(|pid| pid != killed)
    })?;
    tunnel.recover()?;

    tunnel.close()
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_next_start_cleans_up_after_a_power_cut() -> Result<()> {
    let mut tunnel = Tunnel::open()?;

    tunnel.server.greyhound.kill_everything()?;
    tunnel.server.start_again(SERVER_CONFIG)?;
    tunnel.recover()?;

    assert_eq!(tunnels_in(&tunnel.server.namespace)?, ["<pptp-User1>"]);
    assert!(program_on(&tunnel.server.namespace, UPLINK)?.is_some());
    tunnel.close()
}

const PATIENCE: Duration = Duration::from_secs(15);

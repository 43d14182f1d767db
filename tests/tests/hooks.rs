//! The programs of the operator that run when sessions come up and end.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::scratch::Scratch;
use greyhound_tests::tunnel::{SERVER_CONFIG, Tunnel};
use greyhound_tests::wait::wait_until;

#[test]
#[ignore = "needs root: ./run test"]
fn hooks_run_as_nobody_with_the_session_in_their_environment() -> Result<()> {
    let folder = Scratch::new("hooks")?;
    // Those who run hooks write here.
    let said = folder.file("said");
    fs::create_dir(&said)?;
    fs::set_permissions(&said, fs::Permissions::from_mode(0o777))?;
    let script = folder.file("hook");
    let text = "#!/bin/sh\nenv > \"$1/$PPTP_HOOK.new\"\nmv \"$1/$PPTP_HOOK.new\" \"$1/$PPTP_HOOK\"\necho done\n";
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let hook = format!("\"{} {}\"", script.display(), said.display());
    let config = format!("{SERVER_CONFIG}\n/ppp profile set test on-up={hook} on-down={hook}\n");
    let tunnel = Tunnel::open_to(&config, &[])?;
    let Tunnel { client, server, .. } = tunnel;

    let (up, down) = (said.join("on-up"), said.join("on-down"));
    wait_until("on-up has run", PATIENCE, || up.exists())
        .with_context(|| server.greyhound.log())?;
    ensure!(fs::metadata(&up)?.uid() == 65_534, "not nobody's");
    let told = fs::read_to_string(&up)?;
    for line in [
        "PPTP_USER=User1",
        "PPTP_INTERFACE=<pptp-User1>",
        "PPTP_LOCAL_ADDRESS=10.0.0.1",
        "PPTP_REMOTE_ADDRESS=10.0.0.5",
        "PPTP_CALLER_ID=192.0.2.2",
        "PPTP_CALLED_ID=192.0.2.1",
    ] {
        ensure!(told.lines().any(|one| one == line), "no {line} in\n{told}");
    }
    let log = || server.greyhound.log();
    let line = "script,info <pptp-User1>: on-up: done";
    wait_until("its output is in the log", PATIENCE, || {
        log().contains(line)
    })
    .with_context(log)?;
    client.stop()?;
    wait_until("on-down has run", PATIENCE, || down.exists()).with_context(log)?;
    let told = fs::read_to_string(&down)?;
    for part in ["PPTP_CAUSE=hungup\n", "PPTP_RX_PACKETS="] {
        ensure!(told.contains(part), "no {part} in\n{told}");
    }
    server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_hooks_of_a_stop_run_before_everything_is_gone() -> Result<()> {
    let folder = Scratch::new("hooks")?;
    let said = folder.file("said");
    fs::create_dir(&said)?;
    fs::set_permissions(&said, fs::Permissions::from_mode(0o777))?;
    let hook = format!("on-down=\"/bin/touch {}/down\"", said.display());
    let config = format!("{SERVER_CONFIG}\n/ppp profile set test {hook}\n");
    let tunnel = Tunnel::open_to(&config, &[])?;
    let Tunnel { client, server, .. } = tunnel;

    server.stop()?;

    ensure!(said.join("down").exists(), "on-down has not run");
    client.stop()
}

const PATIENCE: Duration = Duration::from_secs(10);

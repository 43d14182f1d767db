//! The product's manual, word by word: two machines that know nothing at first are made a server
//! and a client by what is typed at their consoles.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_tests::machine::{Machine, UPLINK, plugged};
use greyhound_tests::namespace::Lan;
use greyhound_tests::ping::Ping;
use greyhound_tests::process::Up;
use greyhound_tests::tunnel::{CLIENT, SERVER};
use greyhound_tests::wait::wait_for;

#[test]
#[ignore = "needs root: ./run test"]
fn the_manual_is_walked_through_word_by_word() -> Result<()> {
    let lan = Lan::new()?;
    let mut server = empty(&lan, SERVER)?;
    let client = empty(&lan, CLIENT)?;

    // Enable the server, add the user.
    assert_eq!(
        typed(&server, "/interface/pptp-server/server/set enabled=yes")?,
        ""
    );
    assert_eq!(
        typed(&server, "/interface/pptp-server/server/print")?,
        "                enabled: yes\n                max-mtu: 1460\n                max-mru: 1460\n\
        \x20                  mrru: disabled\n         authentication: mschap1,mschap2\n      \
         keepalive-timeout: 30\n        default-profile: default-encryption\n           \
         max-sessions: unlimited\n   one-session-per-host: no\n"
    );
    let secret = "/ppp/secret/add name=MT-User password=StrongPass profile=default-encryption \
                  service=pptp local-address=10.0.0.1 remote-address=10.0.0.5";
    assert_eq!(typed(&server, secret)?, "");

    // Add the client.
    let add = format!(
        "/interface/pptp-client/add connect-to={SERVER} disabled=no max-mtu=1450 max-mru=1450 \
         name=pptp-out1 user=MT-User password=StrongPass"
    );
    assert_eq!(typed(&client, &add)?, "");
    client
        .wait_for_clients(1, CONNECT)
        .with_context(|| server.greyhound.log())?;

    // Print both.
    assert_eq!(
        typed(&client, "/interface/pptp-client/print")?,
        format!(
            "Flags: X - disabled; R - running\n 0  R name=\"pptp-out1\" max-mtu=1450 max-mru=1450 \
             mrru=disabled connect-to={SERVER} user=\"MT-User\" password=\"*****\" \
             profile=default-encryption keepalive-timeout=60 use-peer-dns=no \
             add-default-route=no dial-on-demand=no allow=pap,chap,mschap1,mschap2\n"
        )
    );
    let table = typed(&server, "/interface/pptp-server/print")?;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "Flags: D - dynamic; R - running",
            "Columns: NAME, USER, MTU, CLIENT-ADDRESS, UPTIME, ENCODING",
        ]
    );
    let cells: Vec<_> = lines[3].split_whitespace().collect();
    assert_eq!(cells[..5], ["0", "DR", "<pptp-MT-User>", "MT-User", "1450"]);
    assert_eq!(
        (cells[5], &cells[7..]),
        ("192.0.2.2", &["MPPE128", "stateless"][..])
    );
    let monitor = typed(&client, "/interface/pptp-client/monitor pptp-out1 once")?;
    for line in [
        "           status: connected\n",
        "         encoding: MPPE128 stateless\n",
        "    local-address: 10.0.0.5\n",
        "   remote-address: 10.0.0.1\n",
    ] {
        assert!(monitor.contains(line), "{monitor}");
    }
    check(&client)?;

    // What is changed beside a session leaves it alone; what concerns it marks it.
    let session = typed(&server, "/ppp active get 0 session-id")?;
    typed(&server, "/ppp secret add name=other password=x")?;
    typed(
        &server,
        "/interface pptp-server server set keepalive-timeout=10 max-sessions=50",
    )?;
    assert_eq!(
        typed(&server, "/ppp active print count-only where stale-profile")?,
        "0\n"
    );
    typed(&server, "/ppp profile set default-encryption only-one=yes")?;
    assert_eq!(
        typed(&server, "/ppp active print count-only where stale-profile")?,
        "1\n"
    );
    assert_eq!(typed(&server, "/ppp active get 0 session-id")?, session);
    check(&client)?;

    // What was typed survives a restart, with nothing else to remember it by.
    let kept = typed(&server, "/export show-sensitive")?;
    let folder = Arc::clone(server.greyhound.folder());
    ensure!(
        server.greyhound.stop()?.success(),
        "{}",
        server.greyhound.log()
    );
    server.greyhound = Up::keeping(UPLINK).start_in(&server.namespace, &folder)?;
    let again = typed(&server, "/export show-sensitive")?;
    assert_eq!(without_date(&again), without_date(&kept));
    let file = fs::metadata(folder.file("config.rsc"))?;
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777,
        0o600
    );
    wait_for_session(&server)?;
    client.wait_for_clients(1, CONNECT)?;
    check(&client)?;

    // An operator ends a session, and the client comes back to the name reserved for it.
    typed(
        &server,
        "/interface pptp-server add name=branch user=MT-User",
    )?;
    let before = typed(&server, "/ppp active get 0 session-id")?;
    typed(&server, "/ppp active remove [find name=MT-User]")?;
    wait_for("another session of the user", CONNECT, || {
        let now = typed(&server, "/ppp active get 0 session-id").ok()?;
        (now != before).then_some(())
    })?;
    wait_for("the reserved name is used", CONNECT, || {
        let running = typed(
            &server,
            "/interface pptp-server print count-only where running name=branch",
        );
        (running.ok()? == "1\n").then_some(())
    })?;
    let interfaces = server.namespace.interfaces()?;
    assert!(
        interfaces.iter().any(|(name, _)| name == "branch"),
        "{interfaces:?}"
    );
    client.wait_for_clients(1, CONNECT)?;
    check(&client)?;

    // The client is switched off and on, and the log tells all of it.
    typed(&client, "/interface pptp-client disable pptp-out1")?;
    client.wait_for_no_tunnels(CONNECT)?;
    server.wait_for_no_tunnels(CONNECT)?;
    typed(&client, "/interface pptp-client enable pptp-out1")?;
    client.wait_for_clients(1, CONNECT)?;
    check(&client)?;
    let log = typed(&server, "/log print where message~\"MT-User\"")?;
    assert!(
        log.contains("MT-User logged in, 10.0.0.5 from 192.0.2.2"),
        "{log}"
    );
    assert!(log.contains("MT-User logged out, "), "{log}");

    // What is wrong is said, with its place and an exit status, and changes nothing.
    let wrong = typed(&server, "/ppp secret add name=x profile=nix").unwrap_err();
    let said = format!("{wrong:#}");
    assert!(
        said.contains("input does not match any value of profile (line 1 column 32)"),
        "{said}"
    );
    assert_eq!(typed(&server, "/ppp secret print count-only")?, "2\n");
    client.stop()?;
    server.stop()
}

/// A machine that has never been configured.
fn empty(lan: &Lan, address: std::net::Ipv4Addr) -> Result<Machine> {
    let namespace = plugged(lan, address)?;
    Ok(Machine {
        greyhound: Up::keeping(UPLINK).start(&namespace)?,
        namespace,
    })
}

/// What a console answers to a line.
fn typed(machine: &Machine, line: &str) -> Result<String> {
    machine.typed(line)
}

fn check(client: &Machine) -> Result<()> {
    let ping = Ping::run(&client.namespace, &["-q", "-A", "-c", "20", "10.0.0.1"])?;
    ensure!(ping.sent == 20 && ping.received == 20, "{ping:?}");
    Ok(())
}

fn wait_for_session(server: &Machine) -> Result<()> {
    wait_for("the session is back", CONNECT, || {
        let count = typed(server, "/ppp active print count-only").ok()?;
        (count == "1\n").then_some(())
    })
}

fn without_date(export: &str) -> &str {
    export.split_once('\n').map_or("", |(_, rest)| rest)
}

const CONNECT: Duration = Duration::from_secs(20);

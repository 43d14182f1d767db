//! The control process is killed again and again while sessions come and go, and FreeRADIUS goes away
//! and comes back: afterwards it has been told of each session that was up, and nothing in two ways.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use greyhound_tests::process::send_signal;
use greyhound_tests::random::Random;
use rustix::process::Signal;

use super::*;

/// Clients that dial, each its own user.
const CLIENTS: usize = 20;
/// Starts and ends of sessions, together.
const CHANGES: usize = 200;
/// The control process is killed after so many of them on average.
const A_KILL: usize = 12;

#[test]
#[ignore = "needs root: ./run test"]
fn no_record_is_lost_whenever_the_control_process_is_killed() -> Result<()> {
    let seed = u64::from(std::process::id());
    let mut random = Random::new(seed);
    let mut below = |end: usize| random.between(0, end - 1);
    let users: Vec<_> = (0..CLIENTS)
        .map(|number| User::new(&format!("user{number}"), "secret", &[]))
        .collect();
    let mut clients = String::new();
    for number in 0..CLIENTS {
        let user = format!("user{number}");
        let line = dial(&user, &user, "secret", "allow=mschap2 keepalive-timeout=5");
        clients += &line.replace("disabled=no", "disabled=yes");
    }
    let mut world = World::new(&users, &clients)?;
    let console = world.client.greyhound.console()?;

    let (mut kills, mut outages): (usize, usize) = (0, 0);
    let mut is_away = false;
    let mut dials = BTreeSet::new();
    for _ in 0..CHANGES {
        let client = below(CLIENTS);
        let word = if dials.remove(&client) {
            "disable"
        } else {
            dials.insert(client);
            "enable"
        };
        console.text(&[&format!("/interface pptp-client {word} user{client}")])?;
        if below(A_KILL) == 0
            && let Ok(control) = world.server.greyhound.control()
        {
            send_signal(control, Signal::KILL)?;
            kills += 1;
        }
        if below(25) == 0 {
            is_away = !is_away;
            outages += usize::from(is_away);
            if is_away {
                world.radius.kill()?;
            } else {
                world.radius.start()?;
            }
        }
        std::thread::sleep(Duration::from_millis(below(250) as u64));
    }
    if is_away {
        world.radius.start()?;
    }
    for client in &dials {
        console.text(&[&format!("/interface pptp-client disable user{client}")])?;
    }
    wait_until("the control process answers", PATIENCE, || {
        world.server.greyhound.control().is_ok() && world.server.typed("/ppp active print").is_ok()
    })?;
    world.server.wait_for_sessions(0, Duration::from_secs(30))?;

    // Every session that was said to be connected.
    let log = world.server.greyhound.log();
    let was_up = log
        .lines()
        .filter(|line| line.ends_with(": connected"))
        .count();
    let mut story = String::new();
    write!(
        story,
        "{was_up} sessions, {kills} kills, {outages} outages, seed {seed}"
    )?;
    let patience = Duration::from_secs(90);
    let records = world
        .radius
        .wait_for_records("a Start and a Stop each", patience, |records| {
            let stops = check_pairs(records);
            stops.is_ok_and(|stops| stops.len() >= was_up)
        });
    let records = records.with_context(|| story.clone())?;
    assert!(kills >= 5 && was_up >= 20, "{story}");
    let sessions = check_pairs(&records)?.len();
    // One that was killed between the keeping and the saying is told of, and was not said to be up.
    assert!(
        sessions >= was_up && sessions <= was_up + kills * CLIENTS,
        "{story}"
    );
    world.client.stop()?;
    world.server.stop()
}

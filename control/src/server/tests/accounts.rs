//! What is kept of sessions, and what waits for it.

use super::*;
use crate::accounting::{Numbers, Opening, Unfinished};

fn counters() -> SessionCounters {
    SessionCounters {
        rx_bytes: 100,
        tx_bytes: 200,
        rx_packets: 3,
        tx_packets: 4,
        ..SessionCounters::default()
    }
}

fn numbers(seconds: u64) -> Numbers {
    Numbers {
        duration: Duration::from_secs(seconds),
        rx_bytes: 100,
        tx_bytes: 200,
        rx_packets: 3,
        tx_packets: 4,
    }
}

impl World {
    /// A user who is as far in as what is kept lets it.
    fn of_ann() -> Self {
        Self::new(SERVER, &[("out1", "ann", "secret")])
    }

    /// Says that all is kept.
    fn keep_all(&mut self) {
        let kept = self.server.changes.len() as u64;
        self.server.engine.handle_kept(self.now, kept);
        self.server.obey(self.now);
    }

    fn opening(&self) -> &Opening {
        match &self.server.changes[0] {
            Change::Began(opening) => opening,
            other @ (Change::Counted { .. } | Change::Ended { .. } | Change::Switched { .. }) => {
                panic!("{other:?}")
            }
        }
    }
}

#[test]
fn a_session_gets_its_interface_when_it_is_kept_that_it_is_up() {
    let mut world = World::of_ann();
    world.server.keeps = false;
    world.run_until(|world| !world.server.changes.is_empty());
    world.advance(Duration::from_secs(1));
    assert!(world.server.datapath.interfaces.is_empty());
    let opening = world.opening();
    assert_eq!(opening.user, "ann");
    assert_eq!(opening.address, Ipv4Addr::new(10, 0, 0, 5));
    assert_eq!(
        (opening.authentic, opening.is_told),
        (Authentic::Local, false)
    );
    world.keep_all();
    world.run_until(|world| world.is_connected(0));
    assert_eq!(world.server.datapath.interfaces.len(), 1);
    assert_eq!(world.server.changes.len(), 1, "once");
}

#[test]
fn a_session_is_gone_when_it_is_kept_that_it_has_ended() {
    let mut world = World::of_ann();
    world.run_until(|world| world.is_connected(0));
    let session_id = world.opening().session_id.clone();
    world.server.keeps = false;
    world.server.datapath.counters = counters();
    world.advance(Duration::from_secs(7));
    world.server.take_log();
    world.client.stop(world.now);
    world.run_until(|world| world.server.changes.len() == 2);
    let ended = Change::Ended {
        session_id,
        at: Some(world.now),
        numbers: Some(numbers(7)),
        cause: Cause::PeerRequest,
    };
    assert_eq!(world.server.changes[1], ended);
    world.advance(Duration::from_secs(1));
    assert_eq!(
        world.server.take_log(),
        ["pptp,ppp,info <pptp-ann>: terminating... - hungup"]
    );
    assert_eq!(
        world.server.datapath.removed.len(),
        1,
        "it is not forgotten"
    );
    world.keep_all();
    world.run_until(|world| world.server.sessions() == 0);
    let log = world.server.take_log();
    assert_eq!(log.len(), 2, "{log:?}");
    world.check_nothing_is_left();
}

#[test]
fn a_login_that_fails_is_not_kept() {
    let mut world = World::new(SERVER, &[("out1", "ann", "wrong")]);
    world.run_until(|world| {
        world
            .server
            .lines
            .iter()
            .any(|line| line.message == Some(Message::LoginFailed))
    });
    world.client.stop(world.now);
    world.run_until(|world| world.server.sessions() == 0);
    assert_eq!(world.server.changes, []);
}

#[test]
fn a_session_that_ends_before_it_is_kept_is_kept_to_have_ended() {
    let mut world = World::of_ann();
    world.server.keeps = false;
    world.run_until(|world| !world.server.changes.is_empty());
    world.client.stop(world.now);
    world.advance(Duration::from_secs(1));
    world.keep_all();
    world.advance(Duration::from_secs(1));
    world.keep_all();
    world.run_until(|world| world.server.sessions() == 0);
    assert_eq!(world.server.changes.len(), 2, "{:?}", world.server.changes);
    world.check_nothing_is_left();
}

#[test]
fn numbers_are_kept_from_time_to_time() {
    let mut world = World::of_ann();
    world.run_until(|world| world.is_connected(0));
    world.server.datapath.counters = counters();
    world.advance_alive(Duration::from_secs(900));
    let counted: Vec<_> = world.server.changes[1..]
        .iter()
        .map(|change| match change {
            Change::Counted {
                numbers,
                is_interim,
                ..
            } => (numbers.duration.as_secs(), numbers.rx_bytes, *is_interim),
            other @ (Change::Began(_) | Change::Ended { .. } | Change::Switched { .. }) => {
                panic!("{other:?}")
            }
        })
        .collect();
    assert!((3..=4).contains(&counted.len()), "{counted:?}");
    let [first, ..] = counted[..] else {
        unreachable!()
    };
    assert!((270..=300).contains(&first.0), "{counted:?}");
    assert_eq!((first.1, first.2), (100, false));
}

#[test]
fn without_the_datapath_a_session_has_ended_with_what_was_counted_last() {
    let mut world = World::of_ann();
    world.run_until(|world| world.is_connected(0));
    world.server.lose_datapath(world.now);
    world.advance(Duration::from_secs(1));
    assert!(matches!(
        &world.server.changes[1..],
        [Change::Ended {
            cause: Cause::PortError,
            ..
        }]
    ));
    assert_eq!(world.server.sessions(), 0);
}

/// A server whose predecessor was killed, and the datapath that outlived it.
fn successor(unfinished: &[(u32, [u8; 4])], held: &[(u32, Option<SessionCounters>)]) -> Host {
    let mut host = Host::new(SERVER, "192.0.2.2");
    let unfinished = unfinished.iter().map(|&(id, caller)| Unfinished {
        session_id: format!("session-{id}"),
        datapath: SessionId(id),
        caller: caller.into(),
        age: Duration::from_secs(60),
    });
    host.engine.resume(now(), unfinished.collect());
    for &(id, removed) in held {
        let tunnel = Tunnel {
            ours: host.address,
            peer: CLIENT,
            call_id: CallId(7),
            peer_call_id: PeerCallId(8),
        };
        match removed {
            Some(counters) => {
                let removed = (tunnel, counters);
                host.datapath.removed.insert(SessionId(id), removed);
            }
            None => {
                host.datapath.sessions.insert(SessionId(id), tunnel);
            }
        }
    }
    host.datapath.counters = counters();
    host
}

fn crashed(id: u32, at: Option<Instant>, numbers: Option<Numbers>) -> Change {
    Change::Ended {
        session_id: format!("session-{id}"),
        at,
        numbers,
        cause: Cause::Crash,
    }
}

#[test]
fn what_the_process_before_left_ends_with_the_numbers_that_the_datapath_has() {
    let caller = CLIENT.octets();
    let mut host = successor(
        &[(1, caller), (2, caller)],
        &[(1, None), (2, Some(counters()))],
    );
    host.keeps = false;
    let later = now() + Duration::from_secs(3);
    host.greet(later);
    let mut changes = host.changes.clone();
    changes.sort_by_key(|change| format!("{change:?}"));
    let ended = |id| crashed(id, Some(later), Some(numbers(63)));
    assert_eq!(changes, [ended(1), ended(2)]);
    assert_eq!(
        host.datapath.removed.len(),
        2,
        "the numbers are not forgotten before"
    );
    host.engine.handle_kept(later, 2);
    host.obey(later);
    assert!(host.datapath.removed.is_empty() && host.datapath.sessions.is_empty());
}

#[test]
fn what_nobody_holds_any_more_ends_with_what_was_counted_last() {
    let caller = CLIENT.octets();
    let mut host = successor(&[(1, caller), (2, [192, 0, 2, 9])], &[(2, None)]);
    host.greet(now());
    let mut changes = host.changes.clone();
    changes.sort_by_key(|change| format!("{change:?}"));
    assert_eq!(changes, [crashed(1, None, None), crashed(2, None, None)]);
    assert!(host.datapath.sessions.is_empty());
}

#[test]
fn what_the_datapath_takes_with_it_ends_too() {
    let mut host = successor(&[(1, CLIENT.octets())], &[(1, None)]);
    host.datapath.answers_removals = false;
    host.greet(now());
    assert_eq!(host.changes, []);
    host.lose_datapath(now());
    host.greet(now());
    assert_eq!(host.changes, [crashed(1, None, None)]);
}

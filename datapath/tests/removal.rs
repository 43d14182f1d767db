//! What a session moved in all, which outlives the session, the connection by which its removal was
//! asked for, and the control process, against the real program. Runs as root.

#![expect(clippy::unwrap_used, reason = "the helpers of a test")]

use std::net::Ipv4Addr;

use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::{Event, Held, LinkOptions, Request, Tunnel};
use greyhound_datapath::stats::SessionCounters;
use program::{Control, Program, wait_for};

#[expect(dead_code, reason = "shared with tests, which need more of it")]
mod program;

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const LCP: u16 = 0xc021;
/// Identifier 5, no magic number (RFC 1661 §5.8).
const ECHO_REQUEST: [u8; 8] = [9, 5, 0, 8, 0, 0, 0, 0];

fn start(name: &str) -> Program {
    Program::start(name, "true", "--interface lo --io raw")
}

/// Of a call whose two ends are both here.
fn tunnel(ours: u16, theirs: u16) -> Tunnel {
    Tunnel {
        ours: ADDRESS,
        peer: ADDRESS,
        call_id: CallId(ours),
        peer_call_id: PeerCallId(theirs),
    }
}

/// Installs both ends of a call, and has the first ask the second whether it is there.
fn install_and_ask(control: &mut Control, [one, other]: [SessionId; 2]) {
    for (session, tunnel) in [(one, tunnel(5, 6)), (other, tunnel(6, 5))] {
        control.say(&Request::Install { session, tunnel });
        let link = LinkOptions {
            opened: true,
            ..LinkOptions::default()
        };
        control.say(&Request::SetLink { session, link });
    }
    control.say(&Request::Send {
        session: one,
        protocol: LCP,
        payload: ECHO_REQUEST.to_vec(),
    });
    control.hear(|event| matches!(event, Event::Frame { session, .. } if *session == one));
}

fn remove(control: &mut Control, session: SessionId) -> SessionCounters {
    control.say(&Request::Remove { session });
    let of_it =
        |event: &Event| matches!(event, Event::Removed { session: of, .. } if *of == session);
    let Event::Removed { counters, .. } = control.hear(of_it) else {
        unreachable!("nothing else was wanted")
    };
    counters
}

#[test]
fn what_a_removed_session_moved_is_told_to_each_connection_until_it_is_forgotten() {
    let program = start("removal");
    let (gone, stays) = (SessionId(7), SessionId(9));
    let mut control = program.connect();
    assert_eq!(control.held, []);
    install_and_ask(&mut control, [gone, stays]);

    let counters = remove(&mut control, gone);

    assert_eq!(counters.rx_frames, 1, "the answer");
    let held = |removed| Held {
        session: gone,
        tunnel: tunnel(5, 6),
        removed,
    };
    let other = Held {
        session: stays,
        tunnel: tunnel(6, 5),
        removed: None,
    };
    // Whether it is noted down or not is all that counts, not who asks how often.
    for _ in 0..2 {
        drop(control);
        control = program.connect();
        assert_eq!(control.held, [held(Some(counters)), other]);
        control.say(&Request::Remove { session: gone });
    }
    for session in [gone, stays] {
        control.say(&Request::Forget { session });
    }
    drop(control);
    assert_eq!(program.connect().held, [other]);
}

#[test]
fn a_removal_whose_answer_nobody_heard_is_not_lost() {
    let program = start("unheard");
    let ends = [SessionId(1), SessionId(2)];
    let mut control = program.connect();
    install_and_ask(&mut control, ends);

    for session in ends {
        control.say(&Request::Remove { session });
    }
    drop(control);

    let held = wait_for("both are removed", || {
        let held = program.connect().held;
        held.iter().all(|one| one.removed.is_some()).then_some(held)
    });
    let frames = held.iter().map(|one| one.removed.unwrap().rx_frames);
    assert_eq!(frames.collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_number_is_free_when_it_is_forgotten_and_a_call_before() {
    let program = start("number");
    let [first, second] = [SessionId(1), SessionId(2)];
    let mut control = program.connect();
    install_and_ask(&mut control, [first, second]);
    remove(&mut control, first);

    let install = |control: &mut Control, session, tunnel| {
        control.say(&Request::Install { session, tunnel });
        control.hear(|event| matches!(event, Event::Failed { .. } | Event::Installed { .. }))
    };
    let refused = install(&mut control, first, tunnel(7, 8));
    let reason = "session 1 is removed and not forgotten".to_owned();
    let session = first;
    assert_eq!(refused, Event::Failed { session, reason });
    let other = install(&mut control, SessionId(3), tunnel(5, 6));
    assert!(matches!(other, Event::Installed { .. }), "{other:?}");
    control.say(&Request::Forget { session });
    let again = install(&mut control, first, tunnel(7, 8));
    assert!(matches!(again, Event::Installed { .. }), "{again:?}");
    assert_eq!(remove(&mut control, first), SessionCounters::default());
}

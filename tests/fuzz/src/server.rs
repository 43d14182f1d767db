//! The whole control process without its sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use greyhound_control::console::accounts::Found;
use greyhound_control::console::command::{Context, execute};
use greyhound_control::console::wire::{Numbers, Request as ConsoleRequest};
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::log::Recent;
use greyhound_control::model::Config;
use greyhound_control::ppp::{self as control_ppp, AuthMethod, Encryption, Link, Role, UseIpv6};
use greyhound_control::pptp::wire::Repr;
use greyhound_control::server::{Command, ConnId, STOP_TIMEOUT, Server};
use greyhound_datapath::ids::{SessionId, WorkerId};
use greyhound_datapath::ipc::{
    Event, Held, Interface, IoMode, Request, Tunnel, Uplink, WorkerTotals,
};
use greyhound_datapath::stats::{SessionCounters, WorkerCounters};
use zeroize::Zeroizing;

use crate::input::Input;
use crate::messages::message;
use crate::origin;
use crate::ppp;

/// A server with one client of its own configured. The script says what comes over TCP from several
/// peers, what comes through GRE (of its own making, or from a link that really logs in), what the
/// datapath says, and how time passes.
///
/// Checked: the datapath is asked for what makes sense; connections are closed once; what is sent
/// are messages; no two sessions have one address; log lines are lines; and when all have gone
/// nothing is left of them.
pub fn server(data: &[u8]) {
    World::run(data).end();
}

const CONFIGURATION: &str = "
    /interface pptp-server server
    set enabled=yes authentication=pap,chap,mschap1,mschap2
    /interface pptp-client
    add name=out1 user=ann password=secret connect-to=192.0.2.9 disabled=no
    /ip pool
    add name=guests ranges=10.0.1.10-10.0.1.11
    /ppp profile
    add name=pooled local-address=10.0.0.1 remote-address=guests
    add name=single local-address=10.0.0.1 remote-address=guests only-one=yes
    add name=nowhere
    /ppp secret
    add name=ann password=secret local-address=10.0.0.1 remote-address=10.0.0.5
    add name=bob password=secret profile=pooled
    add name=eve password=secret profile=single
    add name=off password=secret profile=pooled disabled=yes
    add name=lost password=secret profile=nowhere
";

const USERS: [&str; 7] = ["ann", "bob", "eve", "off", "lost", "O\\bob", "a\nb\u{7}"];

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

struct World {
    engine: Server<CountingEntropy>,
    now: Instant,
    conns: Vec<ConnId>,
    connecting: Vec<ConnId>,
    closed: BTreeSet<ConnId>,
    /// What the datapath holds.
    sessions: BTreeMap<SessionId, Far>,
    /// Removed, and not yet said to be.
    removing: Vec<(SessionId, Tunnel)>,
    /// Removed, and not forgotten.
    removed: BTreeMap<SessionId, (Tunnel, SessionCounters)>,
    /// Removed without being asked, so that the engine may still ask.
    lost: BTreeSet<SessionId>,
    slow_removals: bool,
    datapath: bool,
    stopped: bool,
}

/// A session in the datapath, and what is at its other end.
struct Far {
    tunnel: Tunnel,
    interface: Option<Interface>,
    last: BTreeMap<(u16, u8), Vec<u8>>,
    said: Vec<(u16, Vec<u8>)>,
    peer: Option<Link>,
}

impl World {
    fn run(data: &[u8]) -> Self {
        let mut input = Input::new(data);
        let mut world = Self::new(&mut input);
        for _ in 0..256 {
            if input.is_empty() {
                break;
            }
            world.step(&mut input);
        }
        world
    }

    fn new(input: &mut Input<'_>) -> Self {
        static CONFIG: LazyLock<Config> = LazyLock::new(|| {
            let (config, _) = Config::parse(CONFIGURATION).expect("it is right");
            config
        });
        let now = origin();
        let options = input.u8();
        let mut engine = Server::new(now, CONFIG.clone(), CountingEntropy(3), 0);
        engine.trace();
        let mut world = Self {
            engine,
            now,
            conns: Vec::new(),
            connecting: Vec::new(),
            closed: BTreeSet::new(),
            sessions: BTreeMap::new(),
            removing: Vec::new(),
            removed: BTreeMap::new(),
            lost: BTreeSet::new(),
            slow_removals: options & 1 != 0,
            datapath: false,
            stopped: false,
        };
        if options & 2 == 0 {
            world.greet();
        }
        world
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        match input.below(16) {
            0 => {
                let peer = Ipv4Addr::new(192, 0, 2, 10 + input.u8() % 4);
                let conn = self.engine.handle_accepted(now, OURS, peer);
                assert!(conn.is_none() || !self.stopped);
                self.conns.extend(conn);
            }
            1..4 => {
                let bytes = message(input);
                self.tell(input, &bytes);
            }
            4 => {
                let bytes = input.bytes();
                self.tell(input, bytes);
            }
            5 => {
                if !self.conns.is_empty() {
                    let conn = self.conns.remove(input.below(self.conns.len()));
                    self.engine.handle_closed(now, conn);
                }
            }
            6 | 7 => {
                if let Some(session) = self.session(input) {
                    let protocol = ppp::protocol(input);
                    let payload = ppp::packet(input, protocol, &self.sessions[&session].last);
                    self.hear(session, protocol, payload);
                }
            }
            8..11 => {
                if let Some(session) = self.session(input) {
                    self.log_in(session, input);
                }
            }
            11 => self.pass(Duration::from_secs(input.u8().into())),
            12 => {
                if let Some(at) = self.engine.poll_timeout() {
                    self.pass(at.saturating_duration_since(now));
                }
            }
            13 => self.datapath_says(input),
            14 => match input.u8() {
                0..8 => {
                    self.engine.stop(now);
                    self.stopped = true;
                }
                8..32 => self.lose_datapath(),
                32..96 => {
                    self.lose_datapath();
                    self.greet();
                }
                96..160 => self.connect(input),
                _ => self.look(input),
            },
            // One caller that knows how.
            _ => {
                let peer = Ipv4Addr::new(192, 0, 2, 10 + input.u8() % 4);
                if let Some(conn) = self.engine.handle_accepted(now, OURS, peer) {
                    self.conns.push(conn);
                    for script in [[1, 0, 0, 0], [7, 0, input.u8(), 0]] {
                        let bytes = message(&mut Input::new(&script));
                        self.engine.handle_data(now, conn, &bytes);
                    }
                }
            }
        }
        self.obey();
        self.check();
    }

    fn tell(&mut self, input: &mut Input<'_>, bytes: &[u8]) {
        if self.conns.is_empty() {
            return;
        }
        let conn = self.conns[input.below(self.conns.len())];
        self.engine.handle_data(self.now, conn, bytes);
    }

    /// The connection of our own client is made, or fails.
    fn connect(&mut self, input: &mut Input<'_>) {
        let Some(conn) = self.connecting.pop() else {
            return;
        };
        let peer = Ipv4Addr::new(192, 0, 2, 9);
        if input.flag() {
            self.engine.handle_connected(self.now, conn, OURS, peer);
            self.conns.push(conn);
        } else {
            self.engine.handle_closed(self.now, conn);
        }
    }

    fn session(&self, input: &mut Input<'_>) -> Option<SessionId> {
        let count = self.sessions.len();
        let which = input.u8();
        let index = usize::from(which).checked_rem(count)?;
        self.sessions.keys().nth(index).copied()
    }

    fn hear(&mut self, session: SessionId, protocol: u16, payload: Vec<u8>) {
        let frame = Event::Frame {
            session,
            protocol,
            payload,
        };
        self.engine.handle_datapath_event(self.now, frame);
        self.obey();
    }

    /// A real link at the other end of the session, which goes on for a number of turns.
    fn log_in(&mut self, session: SessionId, input: &mut Input<'_>) {
        let (user, how) = (input.below(USERS.len()), input.u8());
        let now = self.now;
        let Some(held) = self.sessions.get_mut(&session) else {
            return;
        };
        if held.peer.is_none() {
            let config = control_ppp::Config {
                role: Role::Client {
                    user: USERS[user].into(),
                    password: Zeroizing::new(if how & 1 == 0 { "secret" } else { "wrong" }.into()),
                    allow: if how & 2 == 0 {
                        vec![AuthMethod::Pap]
                    } else {
                        vec![AuthMethod::MsChapV2, AuthMethod::MsChapV1]
                    },
                },
                max_mru: 1460,
                mrru: None,
                encryption: Encryption::Yes,
                ipv6: if how & 4 == 0 {
                    UseIpv6::No
                } else {
                    UseIpv6::Yes
                },
                keepalive: None,
                rechallenge: None,
            };
            let mut link = Link::new(config, Box::new(CountingEntropy(9)));
            link.open(now);
            held.peer = Some(link);
        }
        for _ in 0..how >> 3 {
            // The session may end meanwhile.
            let Some(held) = self.sessions.get_mut(&session) else {
                return;
            };
            let said = std::mem::take(&mut held.said);
            let Some(link) = &mut held.peer else { return };
            for (protocol, payload) in said {
                link.handle_frame(now, protocol, &payload);
            }
            let commands: Vec<_> = std::iter::from_fn(|| link.poll_command()).collect();
            let mut quiet = true;
            for command in commands {
                if let control_ppp::Command::Send { protocol, payload } = command {
                    quiet = false;
                    self.hear(session, protocol, payload);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn datapath_says(&mut self, input: &mut Input<'_>) {
        if !self.datapath {
            return;
        }
        let session = if input.u8() < 240 {
            self.session(input).unwrap_or(SessionId(0))
        } else {
            SessionId(input.u32())
        };
        let counters = SessionCounters {
            rx_frames: input.u8().into(),
            ..SessionCounters::default()
        };
        let event = match input.u8() {
            0..64 => Event::Failed {
                session,
                reason: "no".into(),
            },
            64..80 => {
                // The datapath says so of its own accord only if it is so.
                let Some(far) = self.sessions.remove(&session) else {
                    return;
                };
                self.removed.insert(session, (far.tunnel, counters));
                self.lost.insert(session);
                Event::Removed { session, counters }
            }
            80..128 => Event::Counters { session, counters },
            128..160 => Event::MppeOutOfSync {
                session,
                times: u32::from(counters.rx_frames > 128),
            },
            160..192 => Event::MppeKeysDiffer { session },
            192..224 => {
                let Some((session, tunnel)) = self.removing.pop() else {
                    return;
                };
                self.removed.insert(session, (tunnel, counters));
                Event::Removed { session, counters }
            }
            _ => Event::Attached {
                session,
                kernel_name: "tun9".into(),
                ifindex: 9,
            },
        };
        self.engine.handle_datapath_event(self.now, event);
    }

    fn greet(&mut self) {
        self.datapath = true;
        self.engine.handle_datapath_connected(self.now);
        self.obey();
    }

    fn lose_datapath(&mut self) {
        self.datapath = false;
        self.sessions.clear();
        self.removing.clear();
        self.removed.clear();
        self.engine.handle_datapath_lost(self.now);
        self.obey();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for _ in 0..8 {
            self.engine.handle_timeout(self.now);
            self.obey();
            if self.engine.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
        }
        let due = self.engine.poll_timeout().is_some_and(|at| at <= self.now);
        // What is left of a program that has stopped is nobody's.
        assert!(
            !due || self.engine.is_stopped(self.now),
            "a deadline stays due"
        );
    }

    fn look(&mut self, input: &mut Input<'_>) {
        let _ = self.engine.refresh(self.now);
        self.obey();
        let snapshot = self.engine.snapshot(self.now);
        let commands = [
            "/interface pptp-server print",
            "/ppp active print detail",
            "/interface pptp-client monitor 0",
            "/datapath print",
            "/ip pool used print",
            "/ppp active remove 0",
            "/interface pptp-server remove [find dynamic]",
            "/interface pptp-server add user=ann",
            "/interface pptp-server remove [find !dynamic]",
            "/interface pptp-client disable 0",
            "/interface pptp-client enable 0",
            "/interface pptp-client set 0 max-mtu=1400",
            "/interface pptp-client remove 0",
            "/interface pptp-client add connect-to=192.0.2.2 user=ann disabled=no",
            "/interface pptp-server server set enabled=no",
            "/interface pptp-server server set enabled=yes one-session-per-host=yes",
            "/ppp profile set default only-one=yes",
            "/ppp secret disable [find]",
            "/ppp secret enable [find]",
            "/ip pool set 0 ranges=10.0.1.11-10.0.1.14",
        ];
        let request = ConsoleRequest {
            line: (*input.one_of(&commands)).to_owned(),
            menu: Vec::new(),
            numbers: Numbers::new(),
            json: input.flag(),
            width: 80,
        };
        let context = Context {
            config: self.engine.config(),
            snapshot: &snapshot,
            accounting: Found::default(),
            log: &Recent::default(),
            date: SystemTime::UNIX_EPOCH,
        };
        let outcome = execute(&request, &context);
        if let Some(config) = outcome.config {
            self.engine.reconfigure(self.now, config.into());
        }
        for number in outcome.disconnect {
            self.engine.disconnect(self.now, number);
        }
        self.obey();
    }

    /// Carries out what the engine asks for.
    fn obey(&mut self) {
        for count in 0.. {
            let Some(command) = self.engine.poll_command() else {
                break;
            };
            assert!(count < 20_000, "too much is said");
            match command {
                Command::Send { conn, bytes } => {
                    assert!(!self.closed.contains(&conn), "sent on a closed connection");
                    Repr::parse(&bytes).expect("what we send is a message");
                }
                Command::Close { conn } => {
                    assert!(self.closed.insert(conn), "closed twice");
                    self.conns.retain(|&one| one != conn);
                    self.connecting.retain(|&one| one != conn);
                }
                Command::Resolve { conn, .. } => {
                    let answer = Ok(vec![Ipv4Addr::new(192, 0, 2, 1)]);
                    self.engine.handle_resolved(self.now, conn, answer);
                }
                Command::Connect { conn, .. } => self.connecting.push(conn),
                Command::Datapath(request) => {
                    if self.datapath {
                        for event in self.answer(request) {
                            self.engine.handle_datapath_event(self.now, event);
                        }
                    }
                }
                Command::CloseDatapath => self.lose_datapath(),
                Command::Keep { number, .. } => self.engine.handle_kept(self.now, number),
                Command::LoadRecords { .. } => self.engine.handle_records(self.now, Vec::new()),
                Command::RunHook(_)
                | Command::SetDns { .. }
                | Command::RevertDns { .. }
                | Command::RecordDelivered(_)
                | Command::Retain { .. }
                | Command::OpenRadius { .. }
                | Command::CloseRadius { .. }
                | Command::SendRadius { .. }
                | Command::AnswerIncoming { .. } => {}
                Command::Log(line) => {
                    assert!(!line.text.contains(char::is_control), "{:?}", line.text);
                }
            }
        }
    }

    /// What a datapath would do.
    fn answer(&mut self, request: Request) -> Vec<Event> {
        match request {
            Request::Hello { version } => {
                let held = self.sessions.iter();
                let held = held.map(|(&session, held)| (session, held.tunnel, None));
                let removed = self.removed.iter();
                let removed = removed
                    .map(|(&session, &(tunnel, counters))| (session, tunnel, Some(counters)));
                let held = held.chain(removed).map(|(session, tunnel, removed)| Held {
                    session,
                    tunnel,
                    removed,
                });
                vec![
                    Event::Hello {
                        version,
                        uplinks: vec![Uplink {
                            name: "eth0".to_owned(),
                            mtu: 1500,
                            io: IoMode::Skb,
                        }],
                        workers: 1,
                    },
                    Event::Held {
                        sessions: held.collect(),
                        last: true,
                    },
                ]
            }
            Request::Install { session, tunnel } => {
                let is_removing = self.removing.iter().any(|(id, _)| *id == session);
                assert!(!is_removing, "still in use");
                assert!(!self.removed.contains_key(&session), "not forgotten");
                self.lost.remove(&session);
                let held = Far {
                    tunnel,
                    interface: None,
                    last: BTreeMap::new(),
                    said: Vec::new(),
                    peer: None,
                };
                let before = self.sessions.insert(session, held);
                assert!(before.is_none(), "{session:?} is in use");
                vec![]
            }
            Request::SetLink { session, .. }
            | Request::SetMppe { session, .. }
            | Request::SetIpv6 { session, .. }
            | Request::ResetMppe { session }
            | Request::SetLimits { session, .. } => {
                let known = self.sessions.contains_key(&session) || self.lost.contains(&session);
                assert!(known, "nobody knows it");
                vec![]
            }
            Request::Attach { session, interface } => {
                let held = self.sessions.get_mut(&session).expect("somebody knows it");
                assert!(held.interface.is_none(), "attached twice");
                held.interface = Some(interface);
                vec![Event::Attached {
                    session,
                    kernel_name: format!("tun{}", session.0),
                    ifindex: session.0 + 1,
                }]
            }
            Request::Detach { session } => {
                if let Some(held) = self.sessions.get_mut(&session) {
                    held.interface = None;
                }
                vec![]
            }
            Request::Send {
                session,
                protocol,
                payload,
            } => {
                assert!(payload.len() >= 4);
                let Some(held) = self.sessions.get_mut(&session) else {
                    assert!(self.lost.contains(&session), "nobody knows it");
                    return vec![];
                };
                held.last.insert((protocol, payload[0]), payload.clone());
                held.said.push((protocol, payload));
                if held.said.len() > 64 {
                    held.said.remove(0);
                }
                vec![]
            }
            Request::Read { session } => vec![Event::Counters {
                session,
                counters: SessionCounters::default(),
            }],
            Request::Remove { session } => {
                let Some(Far { tunnel, .. }) = self.sessions.remove(&session) else {
                    assert!(self.lost.contains(&session), "nobody knows it");
                    return vec![];
                };
                if self.slow_removals {
                    self.removing.push((session, tunnel));
                    return vec![];
                }
                let counters = SessionCounters::default();
                self.removed.insert(session, (tunnel, counters));
                vec![Event::Removed { session, counters }]
            }
            Request::Forget { session } => {
                let before = self.removed.remove(&session);
                assert!(before.is_some(), "there is nothing to forget");
                vec![]
            }
            Request::Stand { standing } => vec![Event::Stands {
                kernel_name: standing.name.clone(),
                name: standing.name,
                ifindex: 7,
                warnings: Vec::new(),
            }],
            Request::Pin { name, server } => vec![Event::Pinned {
                name,
                server,
                refused: None,
            }],
            Request::Await { name } => vec![Event::Demand { name }],
            Request::Dismiss { .. } | Request::DismissOthers | Request::Unpin { .. } => vec![],
            Request::ReadTotals => vec![Event::Totals {
                workers: vec![WorkerTotals {
                    worker: WorkerId(0),
                    core: 0,
                    sessions: 1,
                    counters: WorkerCounters::default(),
                    drops: vec![],
                }],
                xdp: vec![],
            }],
        }
    }

    fn check(&self) {
        let mut peers = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut calls = BTreeSet::new();
        for held in self.sessions.values() {
            assert!(calls.insert(held.tunnel.call_id), "two calls with one id");
            if let Some(interface) = &held.interface {
                assert!(names.insert(&interface.name), "two of one name");
                assert!(
                    !interface.check_source || peers.insert(interface.peer),
                    "two sessions have one address"
                );
            }
        }
    }

    fn end(mut self) {
        self.engine.stop(self.now);
        self.obey();
        for conn in std::mem::take(&mut self.conns) {
            self.engine.handle_closed(self.now, conn);
            self.obey();
        }
        for (session, tunnel) in std::mem::take(&mut self.removing) {
            let counters = SessionCounters::default();
            self.removed.insert(session, (tunnel, counters));
            let removed = Event::Removed { session, counters };
            self.engine.handle_datapath_event(self.now, removed);
            self.obey();
        }
        self.slow_removals = false;
        self.pass(STOP_TIMEOUT);
        assert!(self.engine.is_stopped(self.now));
        let snapshot = self.engine.snapshot(self.now);
        assert!(snapshot.server_sessions.is_empty(), "sessions are left");
        assert!(self.sessions.is_empty(), "the datapath holds more");
        assert!(self.removed.is_empty(), "the datapath keeps more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_logs_in_and_gets_an_interface() {
        // Begin, one caller, and its link until all is said.
        let script = [0, 15, 0, 7, 8, 0, 1, 0xf8];
        let world = World::run(&script);
        let attached = |held: &&Far| held.interface.is_some();
        assert_eq!(world.sessions.values().filter(attached).count(), 1);
        world.end();
    }
}

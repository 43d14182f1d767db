//! Users whom RADIUS lets in, and what it is told of them; requests of its own.

use std::net::SocketAddrV4;

use super::*;
use crate::accounting::{Numbers, Occasion, Pending, Told};
use crate::radius::attribute::{Attribute, Value, kind};
use crate::radius::packet::{self, Code, Packet};

const SECRET: &[u8] = b"radius-secret";
const RADIUS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

const SERVER_WITH_RADIUS: &str = "
    /interface pptp-server server
    set enabled=yes authentication=pap
    /ip pool
    add name=guests ranges=10.0.1.10-10.0.1.11
    add name=others ranges=10.0.2.10-10.0.2.11
    /ppp profile
    set default-encryption local-address=10.0.0.1 remote-address=guests use-encryption=no
    add name=gold local-address=10.0.0.2 remote-address=others rate-limit=2M session-timeout=1h
    /ppp secret
    add name=ann password=secret
    /ppp aaa
    set use-radius=yes interim-update=5m
    /radius
    add service=ppp address=192.0.2.77 secret=radius-secret
";

impl World {
    fn of_bob() -> Self {
        Self::new(SERVER_WITH_RADIUS, &[("out1", "bob", "secret")])
    }

    /// The next request to a RADIUS server that is none of those already taken.
    #[track_caller]
    fn request(&mut self) -> Asked {
        self.run_until(|world| !world.server.asked.is_empty());
        let (socket, to, bytes) = self.server.asked.pop_front().unwrap();
        Asked { socket, to, bytes }
    }

    /// Answers a request as the RADIUS server does.
    fn answer(&mut self, asked: &Asked, code: Code, attributes: &[Attribute]) {
        let request = Packet::new_checked(&asked.bytes).unwrap();
        let bytes = packet::build_response(code, &request, attributes, SECRET);
        let engine = &mut self.server.engine;
        engine.handle_radius(self.now, asked.socket, asked.to, &bytes);
        self.server.obey(self.now);
    }

    /// Lets bob in with these attributes.
    fn let_bob_in(&mut self, attributes: &[Attribute]) {
        let asked = self.request();
        assert_eq!(asked.code(), Code::AccessRequest);
        self.answer(&asked, Code::AccessAccept, attributes);
    }

    #[track_caller]
    fn run_until_logged(&mut self, what: &str) {
        self.run_until(|world| world.server.log.iter().any(|line| line.contains(what)));
    }
}

struct Asked {
    socket: SocketId,
    to: SocketAddrV4,
    bytes: Vec<u8>,
}

impl Asked {
    fn code(&self) -> Code {
        Packet::new_checked(&self.bytes).unwrap().code()
    }

    fn value(&self, kind: crate::radius::attribute::Kind) -> Vec<u8> {
        let packet = Packet::new_checked(&self.bytes).unwrap();
        let mut values = packet.attributes();
        let found = values.find(|(one, _)| *one == kind);
        found.expect("it is in it").1.to_vec()
    }
}

fn attribute(kind: crate::radius::attribute::Kind, value: Value) -> Attribute {
    Attribute { kind, value }
}

fn text(kind: crate::radius::attribute::Kind, text: &str) -> Attribute {
    attribute(kind, Value::Text(text.to_owned()))
}

#[test]
fn a_user_without_a_secret_comes_in_by_radius_and_gets_what_it_says() {
    let mut world = World::of_bob();
    world.let_bob_in(&[
        attribute(
            kind::FRAMED_IP_ADDRESS,
            Value::Address([10, 9, 9, 9].into()),
        ),
        attribute(kind::SESSION_TIMEOUT, Value::Integer(60)),
        text(kind::MIKROTIK_RATE_LIMIT, "1M/2M"),
        attribute(kind::CLASS, Value::Octets(b"one".to_vec())),
        attribute(kind::CLASS, Value::Octets(b"two".to_vec())),
    ]);
    world.run_until(|world| world.is_connected(0));
    let interface = world.server.datapath.interfaces.values().next().unwrap();
    assert_eq!(interface.peer, Ipv4Addr::new(10, 9, 9, 9));
    assert_eq!(interface.address, Ipv4Addr::new(10, 0, 0, 1));
    let limits = world.server.datapath.limits.values().next().unwrap();
    assert_eq!(limits.rx_rate.unwrap().bits_per_second.get(), 1_000_000);
    let opening = world.server.changes.iter().find_map(|change| match change {
        Change::Began(opening) => Some(opening),
        Change::Counted { .. } | Change::Ended { .. } | Change::Switched { .. } => None,
    });
    let opening = opening.unwrap();
    assert_eq!(opening.classes, [b"one", b"two"]);
    assert_eq!(
        (opening.authentic, opening.is_told),
        (Authentic::Radius, true)
    );
    let began = world.now;
    world.advance_alive(Duration::from_secs(59));
    assert_eq!(world.server.sessions(), 1);
    world.run_until(|world| world.server.sessions() == 0);
    assert_eq!((world.now - began).as_secs(), 60, "Session-Timeout");
}

#[test]
fn a_user_with_a_secret_is_not_asked_about() {
    let mut world = World::new(SERVER_WITH_RADIUS, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    assert!(world.server.asked.is_empty());
    let mut world = World::new(SERVER_WITH_RADIUS, &[("out1", "ann", "wrong")]);
    world.run_until_logged("authentication failed");
    assert!(world.server.asked.is_empty());
}

#[test]
fn a_request_says_whose_call_it_is() {
    let mut world = World::of_bob();
    let asked = world.request();
    assert_eq!(asked.value(kind::USER_NAME), b"bob");
    assert_eq!(asked.value(kind::CALLING_STATION_ID), b"192.0.2.1");
    assert_eq!(asked.value(kind::CALLED_STATION_ID), b"192.0.2.2");
    let session_id = asked.value(kind::ACCT_SESSION_ID);
    assert!(session_id.starts_with(b"81a00000"), "{session_id:?}");
    assert_eq!(*asked.to.ip(), RADIUS);
    world.answer(&asked, Code::AccessAccept, &[]);
    world.run_until(|world| world.is_connected(0));
    let began = world.server.changes.iter().find_map(|change| match change {
        Change::Began(opening) => Some(opening.session_id.clone().into_bytes()),
        Change::Counted { .. } | Change::Ended { .. } | Change::Switched { .. } => None,
    });
    assert_eq!(began, Some(session_id), "accounting has the same");
}

#[test]
fn a_user_whom_radius_rejects_is_told_why() {
    let mut world = World::of_bob();
    let asked = world.request();
    world.answer(
        &asked,
        Code::AccessReject,
        &[text(kind::REPLY_MESSAGE, "not paid")],
    );
    world.run_until_logged("user bob authentication failed");
    assert!(
        world
            .server
            .changes
            .iter()
            .all(|one| !matches!(one, Change::Began(_)))
    );
}

#[test]
fn servers_that_do_not_answer_let_nobody_in_and_are_named() {
    let mut world = World::of_bob();
    world.run_until_logged("user bob refused: no RADIUS server answers");
    assert!(world.server.asked.len() >= 3, "it was tried again");
}

#[test]
fn a_profile_of_the_servers_choice_is_what_the_user_gets() {
    let mut world = World::of_bob();
    world.let_bob_in(&[text(kind::MIKROTIK_GROUP, "gold")]);
    world.run_until(|world| world.is_connected(0));
    let interface = world.server.datapath.interfaces.values().next().unwrap();
    assert_eq!(interface.peer, Ipv4Addr::new(10, 0, 2, 10));
    let snapshot = world.server.engine.snapshot(world.now);
    let session = &snapshot.server_sessions[0];
    assert_eq!((&*session.profile, session.is_radius), ("gold", true));
}

#[test]
fn what_radius_names_and_is_not_there_is_said() {
    for (attribute, what) in [
        (
            text(kind::MIKROTIK_GROUP, "iron"),
            "Mikrotik-Group iron: there is no such profile",
        ),
        (
            text(kind::FRAMED_POOL, "pond"),
            "Framed-Pool pond: there is no such pool",
        ),
        (text(kind::MIKROTIK_RATE_LIMIT, "fast"), "Rate-Limit"),
    ] {
        let mut world = World::of_bob();
        world.let_bob_in(&[attribute]);
        world.run_until_logged(what);
        world.run_until_logged("user bob authentication failed");
    }
}

#[test]
fn a_user_has_no_more_sessions_than_port_limit() {
    let clients = [("out1", "bob", "secret"), ("out2", "bob", "secret")];
    let mut world = World::new(SERVER_WITH_RADIUS, &clients);
    let limit = [attribute(kind::PORT_LIMIT, Value::Integer(1))];
    world.let_bob_in(&limit);
    world.run_until(|world| !world.server.datapath.interfaces.is_empty());
    world.let_bob_in(&limit);
    world.run_until_logged("has 1 sessions already, and Port-Limit is 1");
    assert_eq!(world.server.datapath.interfaces.len(), 1);
}

#[test]
fn a_port_limit_that_radius_changes_holds_for_the_next_session() {
    let clients = [("out1", "bob", "secret"), ("out2", "bob", "secret")];
    let mut world = World::new(SERVER_WITH_RADIUS, &clients);
    world.let_bob_in(&[]);
    world.run_until(|world| !world.server.datapath.interfaces.is_empty());
    let limit = attribute(kind::PORT_LIMIT, Value::Integer(1));
    let changed = world.ask(Code::CoaRequest, &[text(kind::USER_NAME, "bob"), limit]);
    assert_eq!(changed, (Code::CoaAck, None));
    world.let_bob_in(&[]);
    world.run_until_logged("has 1 sessions already, and Port-Limit is 1");
}

#[test]
fn only_one_of_the_profile_holds_for_users_of_radius() {
    let clients = [("out1", "bob", "secret"), ("out2", "bob", "secret")];
    let config = SERVER_WITH_RADIUS.replace("name=gold", "name=gold only-one=yes");
    let mut world = World::new(&config, &clients);
    let gold = [text(kind::MIKROTIK_GROUP, "gold")];
    world.let_bob_in(&gold);
    world.run_until(|world| !world.server.datapath.interfaces.is_empty());
    world.server.take_log();
    world.let_bob_in(&gold);
    world.run_until_logged("<pptp-bob>: terminating... - administrator request");
    world.run_until_logged("<pptp-bob>: connected");
    assert_eq!(world.server.datapath.interfaces.len(), 1);
}

#[test]
fn a_session_that_ends_meanwhile_wants_no_answer() {
    let mut world = World::of_bob();
    let asked = world.request();
    world.client.stop(world.now);
    world.run_until(|world| world.server.sessions() == 0);
    world.answer(&asked, Code::AccessAccept, &[]);
    world.advance(Duration::from_secs(1));
    world.check_nothing_is_left();
}

#[test]
fn interims_come_as_often_as_is_configured_or_as_radius_says() {
    for (given, seconds) in [(None, 300), (Some(120), 120)] {
        let mut world = World::of_bob();
        let given =
            given.map(|given| attribute(kind::ACCT_INTERIM_INTERVAL, Value::Integer(given)));
        world.let_bob_in(&Vec::from_iter(given));
        world.run_until(|world| world.is_connected(0));
        world.advance_alive(Duration::from_secs(seconds));
        let interims = world.server.changes.iter().filter(|change| {
            matches!(
                change,
                Change::Counted {
                    is_interim: true,
                    ..
                }
            )
        });
        assert_eq!(interims.count(), 1, "every {seconds} s");
    }
}

fn record(id: i64, event: Occasion) -> (i64, Pending) {
    let pending = Pending {
        id,
        event,
        age: Duration::from_secs(9),
        timestamp: 1_700_000_000,
    };
    (id, pending)
}

fn told(session_id: &str) -> Box<Told> {
    Box::new(Told {
        session_id: session_id.to_owned(),
        identity: "nas".to_owned(),
        port: 1,
        user: "bob".to_owned(),
        caller: CLIENT,
        called: [192, 0, 2, 2].into(),
        address: [10, 0, 0, 5].into(),
        interface: "<pptp-bob>".to_owned(),
        authentic: Authentic::Radius,
        classes: Vec::new(),
    })
}

#[test]
fn what_is_kept_is_told_until_it_is_answered_in_the_order_of_the_session() {
    let mut world = World::new(SERVER_WITH_RADIUS, &[]);
    let numbers = Numbers::default();
    world.server.records = BTreeMap::from([
        record(1, Occasion::Start(told("one"))),
        record(2, Occasion::Stop(told("one"), numbers, Cause::HungUp)),
    ]);
    world.server.engine.handle_kept(world.now, 1);
    world.server.obey(world.now);
    let start = world.request();
    assert_eq!(start.code(), Code::AccountingRequest);
    assert_eq!(start.value(kind::ACCT_STATUS_TYPE), [0, 0, 0, 1]);
    assert_eq!(start.value(kind::ACCT_DELAY_TIME), [0, 0, 0, 9]);
    assert!(world.server.asked.is_empty(), "the Stop waits");
    // Nobody answers for a while.
    world.advance(Duration::from_secs(20));
    world.server.asked.clear();
    world.run_until(|world| !world.server.asked.is_empty());
    let again = world.request();
    assert_eq!(again.value(kind::ACCT_STATUS_TYPE), [0, 0, 0, 1]);
    assert!(
        again.value(kind::ACCT_DELAY_TIME)[3] > 20,
        "it says how late it is"
    );
    world.answer(&again, Code::AccountingResponse, &[]);
    assert_eq!(Vec::from_iter(world.server.records.keys()), [&2]);
    let stop = world.request();
    assert_eq!(stop.value(kind::ACCT_STATUS_TYPE), [0, 0, 0, 2]);
    world.answer(&stop, Code::AccountingResponse, &[]);
    assert!(world.server.records.is_empty());
}

#[test]
fn radius_is_told_that_accounting_begins_and_ends() {
    let mut world = World::new(SERVER_WITH_RADIUS, &[]);
    world.server.engine.resume(world.now, Vec::new());
    world.server.obey(world.now);
    world.server.stop(world.now);
    let switched = |change: &Change| match change {
        Change::Switched { is_on, .. } => *is_on,
        other @ (Change::Began(_) | Change::Counted { .. } | Change::Ended { .. }) => {
            panic!("{other:?}")
        }
    };
    let switched: Vec<_> = world.server.changes.iter().map(switched).collect();
    assert_eq!(switched, [true, false]);
}

// What RADIUS servers ask

impl World {
    /// A request of a RADIUS server, and the answer's code and Error-Cause.
    fn ask(&mut self, code: Code, attributes: &[Attribute]) -> (Code, Option<u32>) {
        let id = u8::try_from(self.server.answered.len()).unwrap();
        let request = packet::build_request(code, id, attributes, SECRET, self.now, [0; 16]);
        let (bytes, _) = request.unwrap();
        let from = SocketAddrV4::new(RADIUS, 4000);
        self.server
            .engine
            .handle_incoming(self.now, 1_700_000_000, from, &bytes);
        self.server.obey(self.now);
        let answer = self.server.answered.back().expect("it was answered");
        let answer = Packet::new_checked(answer).unwrap();
        let mut values = answer.attributes();
        let cause = values.find(|(one, _)| *one == kind::ERROR_CAUSE);
        let cause = cause.map(|(_, value)| u32::from_be_bytes(value.try_into().unwrap()));
        (answer.code(), cause)
    }
}

#[test]
fn a_radius_server_ends_a_session_that_it_names() {
    let mut world = World::of_bob();
    world.let_bob_in(&[]);
    world.run_until(|world| world.is_connected(0));
    let nobody = world.ask(Code::DisconnectRequest, &[text(kind::USER_NAME, "eve")]);
    assert_eq!(nobody, (Code::DisconnectNak, Some(503)));
    let bob = world.ask(Code::DisconnectRequest, &[text(kind::USER_NAME, "bob")]);
    assert_eq!(bob, (Code::DisconnectAck, None));
    world.run_until(|world| world.server.sessions() == 0);
    let log = world.server.take_log();
    let line = "pptp,ppp,radius,info <pptp-bob>: disconnected by RADIUS server 192.0.2.77";
    assert!(log.contains(&line.to_owned()), "{log:#?}");
    let line = "pptp,ppp,info <pptp-bob>: terminating... - administrator request";
    assert!(log.contains(&line.to_owned()), "{log:#?}");
}

#[test]
fn a_radius_server_changes_what_a_session_may_do() {
    let mut world = World::of_bob();
    world.let_bob_in(&[text(kind::MIKROTIK_RATE_LIMIT, "1M")]);
    world.run_until(|world| world.is_connected(0));
    let began = world.now;
    let user = || text(kind::USER_NAME, "bob");
    let changed = world.ask(
        Code::CoaRequest,
        &[
            user(),
            text(kind::MIKROTIK_RATE_LIMIT, "4M"),
            attribute(kind::SESSION_TIMEOUT, Value::Integer(90)),
        ],
    );
    assert_eq!(changed, (Code::CoaAck, None));
    let limits = world.server.datapath.limits.values().next().unwrap();
    assert_eq!(limits.rx_rate.unwrap().bits_per_second.get(), 4_000_000);
    let rate = |rate| [user(), text(kind::MIKROTIK_RATE_LIMIT, rate)];
    assert_eq!(
        world.ask(Code::CoaRequest, &rate("fast")),
        (Code::CoaNak, Some(407))
    );
    let pool = [user(), text(kind::FRAMED_POOL, "others")];
    assert_eq!(
        world.ask(Code::CoaRequest, &pool),
        (Code::CoaNak, Some(401))
    );
    let group = [user(), text(kind::MIKROTIK_GROUP, "iron")];
    assert_eq!(
        world.ask(Code::CoaRequest, &group),
        (Code::CoaNak, Some(407))
    );
    world.advance_alive(Duration::from_secs(89));
    assert_eq!(world.server.sessions(), 1);
    world.run_until(|world| world.server.sessions() == 0);
    assert_eq!((world.now - began).as_secs(), 90);
}

#[test]
fn a_session_of_a_local_user_keeps_what_its_secret_gives_through_a_change() {
    let config = SERVER_WITH_RADIUS.replace("name=ann", "name=ann profile=gold");
    let mut world = World::new(&config, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    let idle = attribute(kind::IDLE_TIMEOUT, Value::Integer(30));
    let changed = world.ask(Code::CoaRequest, &[text(kind::USER_NAME, "ann"), idle]);
    assert_eq!(changed, (Code::CoaAck, None));
    let limits = world.server.datapath.limits.values().next().unwrap();
    assert_eq!(limits.rx_rate.unwrap().bits_per_second.get(), 2_000_000);
    assert_eq!(limits.idle_timeout, Some(Duration::from_secs(30)));
    assert!(!world.server.engine.snapshot(world.now).server_sessions[0].is_stale);
}

#[test]
fn mschap_is_left_to_radius_with_all_that_was_sent() {
    let config = SERVER_WITH_RADIUS.replace("authentication=pap", "authentication=mschap2");
    let mut world = World::new(&config, &[("out1", "bob", "secret")]);
    let asked = world.request();
    assert_eq!(asked.value(kind::MS_CHAP_CHALLENGE).len(), 16);
    assert_eq!(asked.value(kind::MS_CHAP2_RESPONSE).len(), 50);
    world.answer(&asked, Code::AccessAccept, &[]);
    world.run_until_logged("MS-CHAP2-Success");
}

//! What a change does to what runs, and what it leaves alone.

use std::num::NonZeroU64;

use greyhound_datapath::ipc::{Lacking, Limit, Limits, Warning};

use super::*;
use crate::console::accounts::Found;
use crate::console::command::{Context, Outcome, execute};
use crate::console::wire::{Numbers, Request as ConsoleRequest};
use crate::log::Recent;

#[test]
fn what_does_not_concern_a_session_leaves_it_alone_and_what_does_marks_it() {
    let clients = [("out1", "ann", "secret"), ("out2", "bob", "secret")];
    let mut world = World::new(SERVER, &clients);
    world.run_until(|world| world.is_connected(0) && world.is_connected(1));
    for line in [
        "/ppp secret add name=new password=x",
        "/ppp secret set ann password=other",
        "/ip pool set guests ranges=10.0.1.10-10.0.1.40",
        "/interface pptp-server server set max-mtu=1400 keepalive-timeout=10",
        "/interface pptp-server add name=branch user=ann",
        "/system identity set name=other",
    ] {
        world.change_server(line);
        assert_eq!(world.server.sessions(), 2, "{line}");
    }
    assert_eq!(world.stale(), Vec::<String>::new());

    world.change_server("/ppp profile set pooled rate-limit=1M");
    assert_eq!(world.stale(), ["bob"]);
    world.change_server("/ppp secret disable ann");
    assert_eq!(world.stale(), ["ann", "bob"]);
    world.change_server("/ppp secret enable ann; /ppp profile unset pooled rate-limit");
    assert_eq!(world.stale(), Vec::<String>::new());
    world.run_until(|world| world.is_connected(0) && world.is_connected(1));
}

#[test]
fn a_new_password_counts_at_the_next_login() {
    let mut world = World::new(
        SERVER,
        &[("out1", "ann", "secret"), ("out2", "ann", "other")],
    );
    world.client.hold(1);
    world.run_until(|world| world.is_connected(0));
    world.change_server("/ppp secret set ann password=other remote-address=10.0.0.77");
    world.release(1);
    world.run_until(|world| world.is_connected(1));
}

#[test]
fn addresses_in_use_stay_in_use_when_their_pool_changes() {
    let mut world = World::new(
        SERVER,
        &[("out1", "bob", "secret"), ("out2", "bob", "secret")],
    );
    world.client.hold(1);
    world.run_until(|world| world.is_connected(0));
    let first = world.server.engine.snapshot(world.now).server_sessions[0].address;
    world.change_server("/ip pool set guests ranges=10.0.1.10-10.0.1.12");
    world.release(1);
    world.run_until(|world| world.is_connected(1));
    let snapshot = world.server.engine.snapshot(world.now);
    assert_ne!(snapshot.server_sessions[1].address, first);
    assert_eq!(snapshot.used.len(), 2);
    assert_eq!((snapshot.pools[0].total, snapshot.pools[0].free), (3, 1));
}

#[test]
fn a_client_that_is_added_changed_disabled_or_removed_alone_is_concerned() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    let before = world.server.engine.snapshot(world.now).server_sessions[0].session_id;
    world.change_client(
        "/interface pptp-client add name=out2 connect-to=192.0.2.2 user=bob password=secret \
         disabled=no",
    );
    world.run_until(|world| world.is_connected(1));
    world.change_client("/interface pptp-client comment out1 \"the first\"");
    world.change_client("/interface pptp-client set out2 profile=default");
    world.run_until(|world| world.is_connected(1) && world.server.sessions() == 2);
    let sessions = world.server.engine.snapshot(world.now).server_sessions;
    assert_eq!(sessions[0].session_id, before, "out1 was left alone");

    world.change_client("/interface pptp-client disable out2");
    world.run_until(|world| world.server.sessions() == 1 && world.client.sessions() == 1);
    let log = world.client.take_log();
    assert!(
        log.contains(&"pptp,ppp,info out2: terminating... - administrator request".to_owned()),
        "{log:#?}"
    );
    world.change_client("/interface pptp-client enable out2");
    world.run_until(|world| world.is_connected(1));
    world.change_client("/interface pptp-client remove out1");
    world.run_until(|world| world.server.sessions() == 1 && world.client.engine.clients.len() == 1);
    world.change_client("/interface pptp-client remove out2");
    world.run_until(|world| world.server.sessions() == 0 && world.client.engine.clients.is_empty());
}

#[test]
fn a_client_that_only_dials_is_given_up_when_it_is_removed() {
    let mut client = Host::new(&client_config(&[("out1", "ann", "secret")]), "192.0.2.1");
    client.greet(now());
    let conn = client.connects.pop_front().unwrap();
    client.command(now(), "/interface pptp-client remove out1");
    assert_eq!(client.closes.pop_front(), Some(conn));
    assert!(client.engine.clients.is_empty());
    assert_eq!(client.engine.poll_timeout(), None);
}

#[test]
fn a_binding_gives_its_name_keeps_it_across_sessions_and_ends_with_what_it_held() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.change_server("/interface pptp-server add name=branch user=ann");
    for _ in 0..2 {
        world.run_until(|world| world.is_connected(0));
        let sessions = world.server.engine.snapshot(world.now).server_sessions;
        assert_eq!(sessions[0].name, "branch");
        let number = sessions[0].session_id;
        assert!(world.server.engine.disconnect(world.now, number));
        world.server.obey(world.now);
        world.run_until(|world| world.server.sessions() == 0);
    }
    world.run_until(|world| world.is_connected(0));
    world.change_server("/interface pptp-server set branch user=bob");
    world.run_until(|world| world.server.sessions() == 0);
    world.run_until(|world| world.is_connected(0));
    let sessions = world.server.engine.snapshot(world.now).server_sessions;
    assert_eq!(sessions[0].name, "<pptp-ann>");
}

#[test]
fn a_server_that_is_switched_off_ends_its_sessions() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    world.change_server("/interface pptp-server server set enabled=no");
    world.run_until(|world| world.server.sessions() == 0);
    assert!(!world.server.engine.disconnect(world.now, 0x81a0_0000));
}

#[test]
fn one_session_per_host_ends_the_one_before() {
    let clients = [("out1", "ann", "secret"), ("out2", "bob", "secret")];
    let mut world = World::new(SERVER, &clients);
    world.change_server("/interface pptp-server server set one-session-per-host=yes");
    world.client.hold(1);
    world.run_until(|world| world.is_connected(0));
    world.release(1);
    world.client.hold(0);
    world.run_until(|world| world.is_connected(1) && world.server.sessions() == 1);
    let sessions = world.server.engine.snapshot(world.now).server_sessions;
    assert_eq!(sessions[0].user, "bob");
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.change_server("/ppp profile set default session-timeout=20s");
    world.run_until(|world| world.is_connected(0));
    world.client.hold(0);
    world.advance(Duration::from_secs(19));
    assert_eq!(world.server.sessions(), 1);
    world.advance(Duration::from_secs(2));
    world.run_until(|world| world.server.sessions() == 0);
    let log = world.server.take_log();
    assert!(
        log.contains(&"pptp,ppp,info <pptp-ann>: terminating... - session timeout".to_owned()),
        "{log:#?}"
    );
}

#[test]
fn an_interface_belongs_where_profile_and_secret_say() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.change_server(
        "/ppp profile set default address-list=customers,paid interface-list=tunnels \
         incoming-filter=in outgoing-filter=out\n\
         /ppp secret set ann routes=\"10.1.0.0/16 10.0.0.5 3,10.2.0.0/24\"",
    );
    world.change_client("/ppp profile set default-encryption address-list=ours");
    world.run_until(|world| world.is_connected(0));
    let membership = &world.server.datapath.interfaces[&SessionId(0)].membership;
    let routes: Vec<_> = membership.routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["10.1.0.0/16 10.0.0.5 3", "10.2.0.0/24 0.0.0.0 1"]);
    let peer = Ipv4Addr::new(10, 0, 0, 5);
    let lists: Vec<_> = membership.address_lists.iter().collect();
    assert_eq!(lists.len(), 2);
    assert!(lists.iter().all(|listed| listed.address == peer));
    assert_eq!(lists[0].list, "customers");
    assert_eq!(membership.interface_list.as_deref(), Some("tunnels"));
    assert_eq!(membership.incoming_filter.as_deref(), Some("in"));
    assert_eq!(membership.outgoing_filter.as_deref(), Some("out"));
    // A client's own address is what it was given.
    let ours = &world.client.datapath.interfaces[&SessionId(0)].membership;
    assert_eq!(ours.address_lists[0].address, peer);
    assert_eq!(ours.routes, []);
}

#[test]
fn limits_are_those_of_profile_and_secret_the_right_way_round() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.change_server(
        "/ppp profile set default rate-limit=\"1M/4M 2M/8M 512k/1M 8/16\" idle-timeout=5m \
         change-tcp-mss=yes\n\
         /ppp secret set ann limit-bytes-in=1000 limit-bytes-out=2000",
    );
    world.run_until(|world| world.is_connected(0));
    let limits = world.server.datapath.limits[&SessionId(0)];
    let rx = limits.rx_rate.unwrap();
    let tx = limits.tx_rate.unwrap();
    assert_eq!(
        (rx.bits_per_second.get(), tx.bits_per_second.get()),
        (1_000_000, 4_000_000)
    );
    let (rx, tx) = (rx.burst.unwrap(), tx.burst.unwrap());
    assert_eq!(
        (rx.bits_per_second.get(), tx.bits_per_second.get()),
        (2_000_000, 8_000_000)
    );
    assert_eq!((rx.threshold, tx.threshold), (512_000, 1_000_000));
    assert_eq!((rx.time.as_secs(), tx.time.as_secs()), (8, 16));
    assert_eq!(limits.rx_bytes.map(NonZeroU64::get), Some(1000));
    assert_eq!(limits.tx_bytes.map(NonZeroU64::get), Some(2000));
    assert_eq!(limits.idle_timeout, Some(Duration::from_secs(300)));
    assert!(limits.clamp_mss);
    // A client has the clamp of its own profile and nothing else.
    let ours = world.client.datapath.limits[&SessionId(0)];
    let expected = Limits {
        clamp_mss: true,
        ..Limits::default()
    };
    assert_eq!(ours, expected);
    // Whoever has no limits costs the datapath nothing.
    let mut world = World::new(SERVER, &[("out1", "bob", "secret")]);
    world.change_server("/ppp profile set default-encryption change-tcp-mss=no");
    world.run_until(|world| world.is_connected(0));
    assert!(world.server.datapath.limits.is_empty());
}

#[test]
fn a_secret_tells_how_its_last_session_ended() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    assert_eq!(world.server.engine.snapshot(world.now).last_ends, []);
    let number = world.server.engine.snapshot(world.now).server_sessions[0].session_id;
    world.client.hold(0);
    world.server.engine.disconnect(world.now, number);
    world.server.obey(world.now);
    world.run_until(|world| world.server.sessions() == 0);
    world.advance(Duration::from_secs(61));
    let text = world
        .server
        .ask(world.now, "/ppp secret print detail where name=ann");
    assert!(
        text.contains("last-logged-out=1970-01-01 00:00:0")
            && text.contains("last-caller-id=\"192.0.2.1\" last-disconnect-reason=\"reset\""),
        "{text}"
    );
    world.change_server("/ppp secret remove ann");
    assert_eq!(world.server.engine.snapshot(world.now).last_ends, []);
}

#[test]
fn a_limit_that_is_reached_ends_the_session_and_says_which() {
    for (limit, said) in [
        (Limit::Idle, "idle timeout"),
        (Limit::RxBytes, "traffic limit reached"),
        (Limit::TxBytes, "traffic limit reached"),
        (Limit::TotalBytes, "traffic limit reached"),
    ] {
        let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
        world.run_until(|world| world.is_connected(0));
        let session = SessionId(0);
        let event = Event::LimitReached { session, limit };
        world.server.engine.handle_datapath_event(world.now, event);
        world.server.obey(world.now);
        world.run_until(|world| world.server.sessions() == 0);
        let log = world.server.take_log();
        let expected = format!("pptp,ppp,info <pptp-ann>: terminating... - {said}");
        assert!(log.contains(&expected), "{log:#?}");
    }
}

#[test]
fn without_a_list_a_session_goes_on_and_without_its_filter_it_ends() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    for (lacking, left) in [
        (Lacking::InterfaceList("tunnels".to_owned()), 1),
        (Lacking::IncomingFilter("in".to_owned()), 0),
    ] {
        let warning = Warning {
            lacking,
            reason: "no room".to_owned(),
        };
        let session = SessionId(0);
        let event = Event::Warning { session, warning };
        world.server.engine.handle_datapath_event(world.now, event);
        world.server.obey(world.now);
        assert_eq!(
            world
                .server
                .engine
                .snapshot(world.now)
                .server_sessions
                .len(),
            left
        );
    }
    let log = world.server.take_log();
    let expected = "pptp,ppp,warning <pptp-ann>: no incoming filter \"in\": no room";
    assert!(log.contains(&expected.to_owned()), "{log:#?}");
}

#[test]
fn a_client_gets_what_its_profile_says_alone() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.change_client("/ppp profile set default-encryption session-timeout=30s");
    world.run_until(|world| world.is_connected(0));
    world.advance(Duration::from_secs(31));
    let log = world.client.take_log();
    assert!(
        log.contains(&"pptp,ppp,info out1: terminating... - session timeout".to_owned()),
        "{log:#?}"
    );
}

impl Host {
    /// What the console answers to a line.
    fn ask(&self, now: Instant, line: &str) -> String {
        self.outcome(now, line).reply.text
    }

    /// What the console does with a line.
    fn command(&mut self, now: Instant, line: &str) {
        let outcome = self.outcome(now, line);
        assert_eq!(outcome.reply.status, 0, "{}", outcome.reply.text);
        self.engine.reconfigure(now, outcome.config.unwrap().into());
        self.obey(now);
    }

    fn outcome(&self, now: Instant, line: &str) -> Outcome {
        let request = ConsoleRequest {
            line: line.to_owned(),
            menu: Vec::new(),
            numbers: Numbers::new(),
            json: false,
            width: 80,
        };
        let snapshot = self.engine.snapshot(now);
        let context = Context {
            config: self.engine.config(),
            snapshot: &snapshot,
            log: &Recent::default(),
            accounting: Found::default(),
            date: std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(61),
        };
        execute(&request, &context)
    }
}

impl World {
    fn change_server(&mut self, line: &str) {
        self.server.command(self.now, line);
    }

    pub(super) fn change_client(&mut self, line: &str) {
        self.client.command(self.now, line);
    }

    /// The users of sessions that are marked.
    fn stale(&self) -> Vec<String> {
        let sessions = self.server.engine.snapshot(self.now).server_sessions;
        let stale = sessions.into_iter().filter(|session| session.is_stale);
        let mut users: Vec<_> = stale.map(|session| session.user).collect();
        users.sort();
        users
    }
}

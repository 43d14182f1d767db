//! How a client finds its server, keeps its interface, and waits for packets.

use greyhound_datapath::ipc::{Limit, Placeholder, Standing};

use super::*;
use crate::dialer::{STEADY, STEP_TIMEOUT};

const NAMED: &str =
    "/interface pptp-client add name=out1 user=ann password=secret connect-to=vpn.test disabled=no";

/// A client's host, and what it asks for at first: the conn that is to be resolved.
fn host(config: &str) -> (Host, ConnId) {
    let mut host = Host::new(config, "192.0.2.1");
    host.engine.handle_datapath_connected(now());
    let mut conn = None;
    while let Some(command) = host.engine.poll_command() {
        if let Command::Resolve { conn: asked, .. } = command {
            conn = Some(asked);
        } else if let Command::Datapath(request) = command {
            for event in host.answer(request) {
                host.engine.handle_datapath_event(now(), event);
            }
        }
    }
    (host, conn.expect("it dials at once"))
}

fn addresses(last: &[u8]) -> Vec<Ipv4Addr> {
    last.iter()
        .map(|&last| Ipv4Addr::new(192, 0, 2, last))
        .collect()
}

/// Where it connects to next, if that was all it wants besides writing into the log.
fn connect(host: &mut Host) -> (ConnId, Ipv4Addr) {
    let commands = host.engine.drain().into_iter();
    let mut connects = commands.filter_map(|command| {
        if let Command::Connect { conn, address } = command {
            Some((conn, address))
        } else {
            None
        }
    });
    connects.next().expect("it connects")
}

#[test]
fn all_addresses_of_a_name_are_tried_in_one_dial() {
    let (mut host, conn) = host(NAMED);
    host.engine
        .handle_resolved(now(), conn, Ok(addresses(&[2, 3])));
    let (first, address) = connect(&mut host);
    assert_eq!(address, addresses(&[2])[0]);
    host.engine
        .handle_unreachable(now(), first, ErrorKind::HostUnreachable, "No route to host");
    let (second, address) = connect(&mut host);
    assert_eq!(address, addresses(&[3])[0]);
    // What comes too late of the first attempt is not taken for the second.
    host.engine
        .handle_unreachable(now(), first, ErrorKind::TimedOut, "late");
    host.engine
        .handle_connected(now(), second, CLIENT, addresses(&[3])[0]);
    assert_eq!(host.engine.snapshot(now()).clients[0].status, "connecting");
    host.obey(now());
    assert!(
        host.log
            .iter()
            .all(|line| !line.ends_with("late") && !line.contains("terminating"))
    );
}

#[test]
fn an_address_that_does_not_answer_is_given_up_for_the_next() {
    let (mut host, conn) = host(NAMED);
    host.engine
        .handle_resolved(now(), conn, Ok(addresses(&[2, 3])));
    let (first, _) = connect(&mut host);
    let later = now() + STEP_TIMEOUT;
    assert_eq!(host.engine.poll_timeout(), Some(later));
    host.engine.handle_timeout(later);
    let commands = host.engine.drain();
    assert!(commands.contains(&Command::Close { conn: first }));
    assert!(commands.iter().any(|command| matches!(
        command,
        Command::Connect { address, .. } if *address == addresses(&[3])[0]
    )));
}

#[test]
fn the_next_dial_begins_behind_an_address_of_which_nothing_came() {
    let (mut host, conn) = host(NAMED);
    // Whatever came of an earlier dial.
    for client in host.engine.clients.values_mut() {
        client.address = Some(Ipv4Addr::new(10, 0, 0, 5));
    }
    host.engine
        .handle_resolved(now(), conn, Ok(addresses(&[2, 3])));
    let (first, address) = connect(&mut host);
    host.engine.handle_connected(now(), first, CLIENT, address);
    host.engine.handle_closed(now(), first);
    let commands = host.engine.drain().into_iter();
    let mut asked = commands.filter_map(|command| {
        if let Command::Resolve { conn, .. } = command {
            Some(conn)
        } else {
            None
        }
    });
    let again = asked.next().expect("the first redial is at once");
    host.engine
        .handle_resolved(now(), again, Ok(addresses(&[2, 3])));
    assert_eq!(connect(&mut host).1, addresses(&[3])[0]);
}

#[test]
fn a_name_without_an_address_is_said_and_tried_again() {
    let (mut host, conn) = host(NAMED);
    let reason = "Name or service not known";
    host.engine
        .handle_resolved(now(), conn, Err(reason.to_owned()));
    let mut log = Vec::new();
    for command in host.engine.drain() {
        if let Command::Log(line) = command {
            log.push(format!("{} {}", line.topics, line.text));
        }
    }
    assert_eq!(
        log[log.len() - 4..],
        [
            "pptp,ppp,warning out1: cannot resolve vpn.test: Name or service not known",
            "pptp,ppp,info out1: terminating... - could not resolve the server's name",
            "pptp,ppp,info out1: disconnected",
            "pptp,ppp,info out1: initializing...",
        ]
    );
    let state = &host.engine.snapshot(now()).clients[0];
    assert_eq!(state.last_end, Some(Cause::NameNotResolved));
}

#[test]
fn an_interface_stands_before_the_first_dial_and_is_dismissed_with_its_client() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    let stand = Request::Stand {
        standing: Standing {
            name: "out1".to_owned(),
            mtu: 1460,
            placeholder: None,
        },
    };
    assert_eq!(
        world.client.datapath.standing,
        [stand.clone(), Request::DismissOthers]
    );
    let interfaces = &world.client.datapath.interfaces;
    assert!(interfaces.values().all(|interface| interface.stands));
    let interfaces = &world.server.datapath.interfaces;
    assert!(interfaces.values().all(|interface| !interface.stands));

    // A datapath that starts anew is told anew.
    world.client.datapath.standing.clear();
    world.client.lose_datapath(world.now);
    world.client.greet(world.now);
    assert_eq!(
        world.client.datapath.standing,
        [stand, Request::DismissOthers]
    );
    world.run_until(|world| world.is_connected(0));

    // One that was changed keeps it, and dials when the old session is gone.
    world.client.datapath.standing.clear();
    world.client.take_log();
    world.change_client("/interface pptp-client set out1 max-mtu=1400");
    world.run_until(|world| world.is_connected(0));
    assert_eq!(world.client.datapath.standing.len(), 1);
    let log = world.client.take_log();
    let place = |what: &str| log.iter().position(|line| line.ends_with(what)).unwrap();
    assert!(place("disconnected") < place("initializing..."), "{log:?}");

    world.client.datapath.standing.clear();
    world.change_client("/interface pptp-client remove out1");
    world.run_until(|world| !world.client.datapath.standing.is_empty());
    let dismiss = Request::Dismiss {
        name: "out1".to_owned(),
    };
    assert_eq!(world.client.datapath.standing, [dismiss]);
    assert_eq!(world.client.sessions(), 0);
}

#[test]
fn a_default_route_has_its_distance_and_the_way_to_the_server_is_pinned_first() {
    let mut world = World::new(SERVER, &[]);
    world.change_client(
        "/interface pptp-client add name=out1 user=ann password=secret connect-to=192.0.2.2 \
         add-default-route=yes default-route-distance=7 disabled=no",
    );
    let name = || "out1".to_owned();
    let server = world.server.address;
    world.run_until(|world| world.is_connected(0));
    let pin = Request::Pin {
        name: name(),
        server,
    };
    assert_eq!(world.client.datapath.standing.last(), Some(&pin));
    let interface = world.client.datapath.interfaces.values().next().unwrap();
    let routes = interface.membership.routes.iter().map(ToString::to_string);
    assert_eq!(routes.collect::<Vec<_>>(), ["0.0.0.0/0 0.0.0.0 7"]);

    world.client.datapath.standing.clear();
    world.change_client("/interface pptp-client disable out1");
    world.run_until(|world| world.client.datapath.standing.len() == 2);
    assert_eq!(
        world.client.datapath.standing,
        [
            Request::Unpin { name: name() },
            Request::Dismiss { name: name() }
        ]
    );
}

#[test]
fn a_server_to_which_there_is_no_way_is_said_and_tried_again() {
    let mut world = World::new(SERVER, &[]);
    let reason = "no route to 192.0.2.2".to_owned();
    let server = world.server.address;
    world.client.datapath.unreachable.insert(server, reason);
    world.change_client(
        "/interface pptp-client add name=out1 user=ann password=secret connect-to=192.0.2.2 \
         add-default-route=yes disabled=no",
    );
    world.advance(Duration::from_secs(2));
    assert_eq!(
        world.client.take_log()[1..4],
        [
            "pptp,ppp,warning out1: cannot connect to 192.0.2.2: no route to 192.0.2.2",
            "pptp,ppp,info out1: terminating... - no route to the server",
            "pptp,ppp,info out1: disconnected",
        ]
    );
    world.client.datapath.unreachable.clear();
    world.run_until(|world| world.is_connected(0));
}

const ON_DEMAND: &str = "/interface pptp-client add name=out1 user=ann password=secret \
     connect-to=192.0.2.2 dial-on-demand=yes add-default-route=yes disabled=no";

#[test]
fn a_client_on_demand_waits_for_a_packet_and_goes_back_to_that() {
    let mut world = World::new(SERVER, &[]);
    world.change_client(ON_DEMAND);
    world.advance(Duration::from_secs(3600));
    let standing = |address| Request::Stand {
        standing: Standing {
            name: "out1".to_owned(),
            mtu: 1460,
            placeholder: Some(Placeholder {
                address,
                peer: Ipv4Addr::new(10, 112, 112, 112),
                default_route: Some(1),
            }),
        },
    };
    let name = || "out1".to_owned();
    assert_eq!(
        world.client.datapath.standing[1..],
        [
            standing(Ipv4Addr::new(10, 64, 64, 64)),
            Request::Await { name: name() },
        ]
    );
    let status = |world: &World| world.client.engine.snapshot(world.now).clients[0].status;
    assert_eq!(status(&world), "waiting for packets...");
    assert!(world.client.log.is_empty(), "{:?}", world.client.log);

    world.client.datapath.standing.clear();
    world.demand();
    world.run_until(|world| world.is_connected(0));
    // It keeps the address that it was given.
    let given = Ipv4Addr::new(10, 0, 0, 5);
    assert_eq!(
        world.client.datapath.standing.last(),
        Some(&standing(given))
    );

    world.client.datapath.standing.clear();
    let session = *world.client.datapath.sessions.keys().next().unwrap();
    let idle = Event::LimitReached {
        session,
        limit: Limit::Idle,
    };
    world.client.engine.handle_datapath_event(world.now, idle);
    world.run_until(|world| status(world) == "waiting for packets...");
    world.advance(Duration::from_secs(3600));
    assert_eq!(
        world.client.datapath.standing,
        [
            Request::Unpin { name: name() },
            Request::Await { name: name() },
        ]
    );
    world.demand();
    world.run_until(|world| world.is_connected(0));
}

#[test]
fn a_datapath_that_starts_anew_waits_for_packets_again() {
    let mut world = World::new(SERVER, &[]);
    world.change_client(ON_DEMAND);
    world.advance(Duration::from_secs(1));
    world.client.datapath.standing.clear();
    world.client.lose_datapath(world.now);
    world.client.greet(world.now);
    let asked = &world.client.datapath.standing;
    assert!(matches!(
        asked[..],
        [
            Request::Stand { .. },
            Request::DismissOthers,
            Request::Await { .. }
        ]
    ));
}

#[test]
fn the_server_s_name_servers_are_asked_while_there_is_a_session() {
    let config = SERVER.replace(
        "add name=pooled ",
        "add name=pooled dns-server=10.0.0.53,10.0.0.54 ",
    );
    for (wanted, exclusively) in [("yes", false), ("exclusively", true)] {
        let mut world = World::new(&config, &[]);
        world.change_client(&format!(
            "/interface pptp-client add name=out1 user=bob password=secret connect-to=192.0.2.2 \
             use-peer-dns={wanted} disabled=no"
        ));
        world.run_until(|world| world.is_connected(0));
        world.advance(Duration::from_secs(10));
        let set = Command::SetDns {
            name: "out1".to_owned(),
            setting: dns::Setting {
                interface: "tun0".to_owned(),
                servers: vec![Ipv4Addr::new(10, 0, 0, 53), Ipv4Addr::new(10, 0, 0, 54)],
                exclusively,
            },
        };
        assert_eq!(world.client.dns, [set]);
        world.client.dns.clear();
        world.change_client("/interface pptp-client disable out1");
        world.run_until(|world| world.client.sessions() == 0);
        let interface = "tun0".to_owned();
        assert_eq!(world.client.dns, [Command::RevertDns { interface }]);
    }
    // One that gives none is told of, and one that does not want any asks nobody.
    let mut world = World::new(SERVER, &[("out2", "bob", "secret")]);
    world.change_client(
        "/interface pptp-client add name=out1 user=ann password=secret connect-to=192.0.2.2 \
         use-peer-dns=yes disabled=no",
    );
    world.run_until(|world| world.is_connected(0) && world.is_connected(1));
    assert_eq!(world.client.dns, []);
    let said = world.client.take_log();
    let why = "pptp,ppp,warning out1: use-peer-dns: the server gave no DNS servers";
    assert!(said.iter().any(|line| line == why), "{said:?}");
}

#[test]
fn placeholders_of_two_clients_differ() {
    let mut world = World::new(SERVER, &[]);
    for name in ["out1", "out2"] {
        world.change_client(&ON_DEMAND.replace("out1", name));
    }
    let gateways = world.client.datapath.standing.iter();
    let gateways = gateways.filter_map(|request| {
        if let Request::Stand { standing } = request {
            Some(standing.placeholder?.peer.octets()[3])
        } else {
            None
        }
    });
    assert_eq!(gateways.collect::<Vec<_>>(), [112, 113]);
}

#[test]
fn a_server_that_comes_and_goes_is_dialed_more_and_more_slowly() {
    let mut world = World::new(SERVER, &[("out1", "ann", "secret")]);
    let mut waits = Vec::new();
    for _ in 0..5 {
        world.run_until(|world| world.is_connected(0));
        world.disconnect();
        world.run_until(|world| !world.is_connected(0) && world.client.sessions() == 0);
        let snapshot = world.client.engine.snapshot(world.now);
        waits.push(snapshot.clients[0].redials_in.unwrap_or_default());
    }
    assert!(waits[4] >= Duration::from_secs(4), "{waits:?}");
    world.run_until(|world| world.is_connected(0));
    world.advance(STEADY);
    world.disconnect();
    let before = world.now;
    world.run_until(|world| !world.is_connected(0));
    world.run_until(|world| world.is_connected(0));
    assert!(world.now - before < Duration::from_secs(1));
}

#[test]
fn addresses_that_no_tunnel_can_have_end_the_session_with_the_cause() {
    let config = SERVER.replace(
        "local-address=10.0.0.1 remote-address=10.0.0.5",
        "local-address=10.0.0.5 remote-address=10.0.0.5",
    );
    let mut world = World::new(&config, &[("out1", "ann", "secret")]);
    world.run_until(|world| {
        let client = &world.client.engine.snapshot(world.now).clients[0];
        client.last_end == Some(Cause::UnusableAddress)
    });
    assert!(world.client.datapath.interfaces.is_empty());
    let said = world.client.take_log();
    let why = "out1: the server gave 10.0.0.5, which no tunnel can have";
    assert!(said.iter().any(|line| line.ends_with(why)), "{said:?}");
}

#[test]
fn a_server_whose_inner_address_is_its_outer_one_gets_no_route_to_itself() {
    let config = SERVER.replace(
        "local-address=10.0.0.1 remote-address=10.0.0.5",
        "local-address=192.0.2.2 remote-address=10.0.0.5",
    );
    let mut world = World::new(&config, &[("out1", "ann", "secret")]);
    world.run_until(|world| world.is_connected(0));
    let interface = world.client.datapath.interfaces.values().next().unwrap();
    let ours = Ipv4Addr::new(10, 0, 0, 5);
    assert_eq!((interface.address, interface.peer), (ours, ours));
    assert!(
        world
            .client
            .take_log()
            .iter()
            .any(|line| line.contains("server's own outside"))
    );
}

impl World {
    /// The server's operator ends its one session.
    fn disconnect(&mut self) {
        let sessions = self.server.engine.snapshot(self.now).server_sessions;
        let number = sessions[0].session_id;
        assert!(self.server.engine.disconnect(self.now, number));
    }

    /// A packet wants to go out at the client.
    fn demand(&mut self) {
        let demand = Event::Demand {
            name: "out1".to_owned(),
        };
        self.client.engine.handle_datapath_event(self.now, demand);
        self.client.obey(self.now);
    }
}

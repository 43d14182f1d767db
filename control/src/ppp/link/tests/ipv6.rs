//! IPv6 beside IPv4, for peers that know it and for those that do not.

use super::*;

fn with(config: Config, ipv6: UseIpv6) -> Config {
    Config { ipv6, ..config }
}

fn addresses(side: &Side) -> Option<Ipv6> {
    let last = side.log.iter().rev().find_map(|command| match command {
        Command::NetworkUp { ipv6, .. } | Command::SetIpv6(ipv6) => Some(*ipv6),
        _ => None,
    });
    last.flatten()
}

fn is_up(commands: &[Command]) -> bool {
    let up = |command: &Command| matches!(command, Command::NetworkUp { .. });
    commands.iter().any(up)
}

/// A server whose users may have IPv6: what its profile says decides.
fn server_link(policy: UseIpv6) -> Link {
    let mut link = Link::new(with(server(), policy), Box::new(CountingEntropy(5)));
    link.use_ipv6 = policy;
    link
}

#[test]
fn both_ends_have_link_local_addresses_at_once() {
    let mut pair = Pair::new(with(server(), UseIpv6::Yes), with(client(), UseIpv6::Yes));
    pair.open();
    pair.run(Duration::from_millis(900));
    assert!(pair.server.is_up() && pair.client.is_up());
    let (server, client) = (
        addresses(&pair.server).unwrap(),
        addresses(&pair.client).unwrap(),
    );
    assert_eq!((server.ours, server.peer), (client.peer, client.ours));
    assert_ne!(server.ours, server.peer);
    assert_eq!(pair.server.encoding(), "MPPE128 stateless");
}

#[test]
fn where_one_end_does_not_want_it_ipv4_comes_up_alone_and_soon() {
    for (server_wants, client_wants) in [
        (UseIpv6::No, UseIpv6::Yes),
        (UseIpv6::Yes, UseIpv6::No),
        (UseIpv6::No, UseIpv6::No),
    ] {
        let mut pair = Pair::new(with(server(), server_wants), with(client(), client_wants));
        pair.open();
        pair.run(Duration::from_millis(900));
        assert!(pair.server.is_up() && pair.client.is_up());
        assert_eq!(
            (addresses(&pair.server), addresses(&pair.client)),
            (None, None)
        );
    }
}

#[test]
fn where_it_is_required_a_peer_without_is_sent_away() {
    let mut pair = Pair::new(
        with(server(), UseIpv6::Required),
        with(client(), UseIpv6::No),
    );
    pair.open();
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.server.down(), Some(Cause::Ipv6NotNegotiated));
    let mut pair = Pair::new(
        with(server(), UseIpv6::Required),
        with(client(), UseIpv6::Required),
    );
    pair.open();
    pair.run(Duration::from_secs(10));
    assert!(pair.server.is_up() && pair.client.is_up());
}

#[test]
fn ipv4_does_not_wait_and_ipv6_joins_when_it_is_there() {
    let mut link = server_link(UseIpv6::Yes);
    let (now, mut request) = ipv4_up(&mut link);
    assert!(is_up(&drain(&mut link)));
    request[0] = 2;
    link.handle_frame(now, protocol::IPV6CP, &request);
    link.handle_frame(
        now,
        protocol::IPV6CP,
        &packet(1, 1, &hex("010a20deed39a4a1c3ad")),
    );
    let commands = drain(&mut link);
    let joined = commands.iter().find_map(|command| match command {
        Command::SetIpv6(ipv6) => *ipv6,
        _ => None,
    });
    assert_eq!(
        joined.unwrap().peer.to_string(),
        "fe80::20de:ed39:a4a1:c3ad"
    );

    link.handle_frame(now, protocol::IPV6CP, &packet(5, 2, &[]));
    assert!(drain(&mut link).contains(&Command::SetIpv6(None)));
    assert_eq!(link.cause(), None);
}

#[test]
fn where_it_is_required_silence_ends_the_link() {
    let mut link = server_link(UseIpv6::Required);
    let (now, _) = ipv4_up(&mut link);
    link.handle_timeout(now + Duration::from_secs(9));
    assert_eq!(link.cause(), None);
    link.handle_timeout(now + Duration::from_secs(10));
    assert_eq!(link.cause(), Some(Cause::Ipv6NotNegotiated));
}

/// A server link whose IPCP is open and whose peer said nothing on IPV6CP. The time, and our
/// Configure-Request.
fn ipv4_up(link: &mut Link) -> (Instant, Vec<u8>) {
    let policy = link.use_ipv6;
    let (now, ..) = authenticate_with(link, policy);
    let mut ack = sent_on(&drain(link), protocol::CCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::CCP, &ack);
    link.handle_frame(now, protocol::CCP, &packet(1, 1, &hex("120601000040")));
    let commands = drain(link);
    let request = sent_on(&commands, protocol::IPV6CP).remove(0);
    let mut ack = sent_on(&commands, protocol::IPCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::IPCP, &ack);
    link.handle_frame(now, protocol::IPCP, &packet(1, 1, &hex("03060a4d0164")));
    (now, request)
}

#[test]
fn refusals_of_every_kind_leave_ipv4() {
    let protocol_reject = |request: &[u8]| {
        let rejected = [&[0x80, 0x57][..], request].concat();
        (protocol::LCP, packet(8, 3, &rejected))
    };
    let terminate = |_: &[u8]| (protocol::IPV6CP, packet(5, 3, &[]));
    let reject = |request: &[u8]| (protocol::IPV6CP, packet(4, request[1], &request[4..]));
    let refusals: [&dyn Fn(&[u8]) -> (u16, Vec<u8>); 3] = [&protocol_reject, &terminate, &reject];
    for (number, refuse) in refusals.into_iter().enumerate() {
        let mut link = server_link(UseIpv6::Yes);
        let (now, request) = ipv4_up(&mut link);
        let (protocol, payload) = refuse(&request);
        link.handle_frame(now, protocol, &payload);
        for second in 0..60 {
            link.handle_timeout(now + Duration::from_secs(second));
        }
        assert!(is_up(&drain(&mut link)), "{number}");
        assert_eq!(link.cause(), None, "{number}");
    }
}

#[test]
fn what_comes_before_its_turn_waits_and_is_never_terminated() {
    let mut link = server_link(UseIpv6::Yes);
    let (now, ..) = authenticate_with(&mut link, UseIpv6::Yes);
    drain(&mut link);
    let request = packet(1, 1, &hex("010a20deed39a4a1c3ad"));
    link.handle_frame(now, protocol::IPV6CP, &request);
    assert_eq!(drain(&mut link), [], "CCP is being negotiated");

    let ccp = Negotiation::protocol(link.ccp.as_ref().unwrap());
    assert!(ccp.rx().is_some());
    // CCP is refused, and the networks begin: the answer goes out at once.
    let rejected = [&[0x80, 0xfd][..], &packet(1, 1, &[])].concat();
    link.handle_frame(now, protocol::LCP, &packet(8, 3, &rejected));
    let sent = sent_on(&drain(&mut link), protocol::IPV6CP);
    assert!(
        sent.contains(&packet(2, 1, &hex("010a20deed39a4a1c3ad"))),
        "{sent:x?}"
    );
}

#[test]
fn a_lossy_wire_does_not_cost_the_session() {
    for seed in 1..40 {
        let mut pair = Pair::new(with(server(), UseIpv6::Yes), with(client(), UseIpv6::Yes));
        pair.random = seed * 0x1234_5678_9abc;
        pair.faults = Faults {
            lost: 20,
            duplicated: 10,
            delayed: 20,
        };
        pair.open();
        pair.run(Duration::from_secs(40));
        pair.faults = Faults::default();
        pair.run(Duration::from_secs(20));
        let ended = pair.server.down().is_some() || pair.client.down().is_some();
        let up = pair.server.is_up() && pair.client.is_up();
        assert!(up || ended, "seed {seed}: neither up nor down");
    }
}

#[test]
fn without_a_policy_of_ours_the_peer_is_told_that_we_do_not_speak_it() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    link.handle_frame(
        now,
        protocol::IPV6CP,
        &packet(1, 1, &hex("010a20deed39a4a1c3ad")),
    );
    let sent = sent_on(&drain(&mut link), protocol::LCP);
    assert_eq!((sent[0][0], &sent[0][4..6]), (8, &[0x80, 0x57][..]));
}

//! Each is a habit of a program that is out there.

use super::*;

/// pppd's whole side of a session with MS-CHAPv2 and MPPE, and what pptpd said to it; from a
/// capture (User1, StrongPass-1).
const SERVER_LCP: &str = "01010019 010405780206000000000305c223810506b26a066e07020802";
const CHALLENGE: &str = "01d0001a 107d43e14caa4641ac6dd49b00aa4082aa7070747064";
const RESPONSE: &str = "02d0003b 318a0e7bb0444bd50cce9437b6dface0370000000000000000
    180399cd1de44fb169d0f5bfc9564cf4b86b41243389485c005573657231";
const SUCCESS: &[u8] = b"S=76A545E229AE9195C1C2796661C1E0D3FB6E6922 M=Access granted";

/// Random bytes that are known beforehand, then zeroes.
struct Scripted(VecDeque<u8>);

impl Entropy for Scripted {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.pop_front().unwrap_or(0);
        }
    }
}

#[test]
fn our_client_says_to_pptpd_what_pppd_said() {
    let random = hex("c1134218 8a0e7bb0444bd50cce9437b6dface037");
    let mut config = client();
    if let Role::Client { user, .. } = &mut config.role {
        *user = USER.into();
    }
    let mut link = Link::new(config, Box::new(Scripted(random.into())));
    let now = start();
    link.open(now);
    let mut ack = sent_on(&drain(&mut link), protocol::LCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::LCP, &hex(SERVER_LCP));
    link.handle_frame(now, protocol::LCP, &ack);
    link.handle_frame(now, protocol::LCP, &packet(9, 0, &hex("b26a066e")));
    link.handle_frame(now, protocol::CHAP, &hex(CHALLENGE));
    let commands = drain(&mut link);
    assert_eq!(sent_on(&commands, protocol::CHAP), [hex(RESPONSE)]);
    let lcp = sent_on(&commands, protocol::LCP);
    assert_eq!(lcp[0][0], code::CONFIGURE_ACK);
    assert_eq!(lcp[1][..2], [lcp::code::ECHO_REPLY, 0]);

    link.handle_frame(now, protocol::CHAP, &packet(3, 0xd0, SUCCESS));
    link.handle_frame(now, protocol::CCP, &packet(1, 1, &hex("120601000040")));
    link.handle_frame(now, protocol::CCP, &packet(3, 1, &hex("120601000040")));
    link.handle_frame(now, protocol::CCP, &packet(2, 2, &hex("120601000040")));
    link.handle_frame(now, protocol::IPCP, &packet(1, 1, &hex("03060a4d0101")));
    link.handle_frame(
        now,
        protocol::IPCP,
        &packet(
            4,
            1,
            &hex("810600000000 820600000000 830600000000 840600000000"),
        ),
    );
    link.handle_frame(now, protocol::IPCP, &packet(3, 2, &hex("03060a4d0164")));
    link.handle_frame(now, protocol::IPCP, &packet(2, 3, &hex("03060a4d0164")));
    let commands = drain(&mut link);
    assert!(commands.contains(&Command::Authenticated { user: USER.into() }));
    let up = commands.iter().find_map(|command| match command {
        Command::NetworkUp {
            network, peer_mru, ..
        } => Some((network.ours, *peer_mru)),
        _ => None,
    });
    assert_eq!(up, Some((Ipv4Addr::new(10, 77, 1, 100), 1400)));
}

#[test]
fn our_server_lets_pppd_in_with_the_success_that_pptpd_sent() {
    let random = hex("6e066ab2 7d43e14caa4641ac6dd49b00aa4082aa d0");
    let mut link = Link::new(server(), Box::new(Scripted(random.into())));
    let now = open_lcp(&mut link);
    drain(&mut link);
    link.handle_frame(now, protocol::CHAP, &hex(RESPONSE));
    let Some(Command::Authenticate { user, proof }) = link.poll_command() else {
        panic!("the response was not passed on");
    };
    link.handle_verdict(now, verdict(&user, &proof, Encryption::Yes));
    let sent = sent_on(&drain(&mut link), protocol::CHAP);
    assert_eq!(sent, [packet(3, 0xd0, SUCCESS)]);
}

#[test]
fn pppd_sends_an_echo_request_during_authentication() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = open_lcp(&mut link);
    drain(&mut link);
    link.handle_frame(now, protocol::LCP, &packet(9, 0, &hex("184213c1")));
    let sent = sent_on(&drain(&mut link), protocol::LCP);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0][..2], [lcp::code::ECHO_REPLY, 0]);
}

#[test]
fn an_early_ipcp_request_waits_for_ccp_and_is_not_answered_with_terminate_ack() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, ..) = authenticate(&mut link);
    let mut ack = sent_on(&drain(&mut link), protocol::CCP).remove(0);
    ack[0] = 2;
    link.handle_frame(now, protocol::IPCP, &packet(1, 1, &hex("030600000000")));
    assert_eq!(drain(&mut link), []);
    link.handle_frame(now, protocol::CCP, &ack);
    link.handle_frame(now, protocol::CCP, &packet(1, 1, &hex("120601000040")));
    let sent = sent_on(&drain(&mut link), protocol::IPCP);
    assert_eq!(
        sent,
        [
            packet(1, 1, &hex("03060a4d0101")),
            packet(3, 1, &hex("03060a4d0164")),
        ]
    );
}

#[test]
fn ipv6cp_is_protocol_rejected_and_the_link_stays() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = encrypt(&mut link);
    drain(&mut link);
    let request = packet(1, 1, &hex("010a0c94ed5172a71305"));
    link.handle_frame(now, protocol::IPV6CP, &request);
    let sent = sent_on(&drain(&mut link), protocol::LCP);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0][0], lcp::code::PROTOCOL_REJECT);
    assert_eq!(sent[0][4..], [&hex("8057")[..], &request].concat());
    assert_eq!(link.cause, None);
}

#[test]
fn a_multilink_frame_is_protocol_rejected() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    link.handle_frame(now, 0x003d, &[0xc0; 1400]);
    let sent = sent_on(&drain(&mut link), protocol::LCP);
    assert_eq!(sent[0][4..6], hex("003d"));
    assert_eq!(sent[0].len(), 1400, "the peer's MRU");
}

#[test]
fn pppd_resets_stateless_mppe_too_and_is_answered() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    link.handle_frame(now, protocol::CCP, &packet(14, 7, &[]));
    assert_eq!(
        drain(&mut link),
        [Command::Send {
            protocol: protocol::CCP,
            payload: packet(15, 7, &[]),
        }]
    );
}

#[test]
fn windows_code_rejects_reset_ack_and_stays() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    let reset_ack = packet(15, 7, &[]);
    link.handle_frame(now, protocol::CCP, &packet(7, 8, &reset_ack));
    assert_eq!(drain(&mut link), []);
    assert_eq!(link.cause, None);
}

#[test]
fn windows_offers_every_strength_and_compression_and_gets_128_bit() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, ..) = authenticate(&mut link);
    drain(&mut link);
    link.handle_frame(now, protocol::CCP, &packet(1, 4, &hex("1206010000e1")));
    assert_eq!(
        sent_on(&drain(&mut link), protocol::CCP),
        [packet(3, 4, &hex("120601000040"))]
    );
}

#[test]
fn a_router_that_naks_mppe_for_ever_is_taken_to_refuse_it() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, ..) = authenticate(&mut link);
    let starts_ipcp = (0..20).any(|_| {
        let commands = drain(&mut link);
        for request in sent_on(&commands, protocol::CCP) {
            let nak = packet(3, request[1], &hex("120600000040"));
            link.handle_frame(now, protocol::CCP, &nak);
        }
        !sent_on(&commands, protocol::IPCP).is_empty()
    });
    assert!(starts_ipcp);
    assert_eq!(link.cause, None);
}

#[test]
fn pppd_without_mppe_closes_ccp_or_asks_for_nothing_and_gets_plain_ip() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let (now, ..) = authenticate(&mut link);
    drain(&mut link);
    link.handle_frame(
        now,
        protocol::CCP,
        &packet(5, 3, b"No compression negotiated"),
    );
    let commands = drain(&mut link);
    assert_eq!(sent_on(&commands, protocol::IPCP).len(), 1);
    assert_eq!(link.cause, None);
}

#[test]
fn pppd_takes_the_link_down_with_two_terminate_requests() {
    let mut link = Link::new(server(), Box::new(CountingEntropy(5)));
    let now = bring_up(&mut link);
    let farewell = b"MPPE disabled";
    for id in [2, 3] {
        link.handle_frame(now, protocol::LCP, &packet(5, id, farewell));
    }
    let sent = sent_on(&drain(&mut link), protocol::LCP);
    assert_eq!(sent, [packet(6, 2, &[]), packet(6, 3, &[])]);
    link.lower_down(now, Cause::HungUp);
    assert_eq!(drain(&mut link), [Command::Down(Cause::PeerRequest)]);
}

#[test]
fn a_server_that_does_not_know_the_password_is_left() {
    let mut pair = Pair::new(server(), client());
    pair.open();
    pair.run_until(Duration::from_millis(1), |pair| {
        pair.server.sent(protocol::CHAP, 3) > 0
    });
    for (_, frame) in pair.in_flight.values_mut() {
        if let Frame::Control(protocol::CHAP, payload) = frame {
            // The first digit behind `S=`.
            payload[6] = if payload[6] == b'0' { b'1' } else { b'0' };
        }
    }
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.client.down(), Some(Cause::ServerUnproven));
    assert_eq!(
        pair.client
            .count(|c| matches!(c, Command::Authenticated { .. })),
        0
    );
}

//! RADIUS: what comes from a server, rightly signed so that it is looked into, and what comes from
//! anybody.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use greyhound_control::entropy::CountingEntropy;
use greyhound_control::ppp::{Encryption, Proof};
use greyhound_control::radius::access::{Call, Login, decide};
use greyhound_control::radius::client::{
    Answer, Client, Command, Purpose, Question, Server, SocketId, Ticket,
};
use greyhound_control::radius::incoming::{Heard, Incoming};
use greyhound_control::radius::packet::{self, Packet};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::input::Input;
use crate::origin;

const SECRET: &str = "secret";
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

/// A packet of any code whose attributes are the input, as an answer to a question that is under way
/// and as a request. A question is answered once; a request that is answered is answered the same
/// again.
pub fn radius(data: &[u8]) {
    unsigned(data);
    let mut input = Input::new(data);
    let (code, method) = (input.u8(), input.u8());
    let attributes = input.rest();
    let attributes = &attributes[..attributes.len().min(4000)];
    answer(code, method, attributes);
    request(code, attributes);
}

/// Nobody who does not know the secret is believed.
fn unsigned(data: &[u8]) {
    if let Ok(packet) = Packet::new_checked(data) {
        let bytes: usize = packet.attributes().map(|(_, value)| value.len()).sum();
        assert!(bytes <= data.len());
    }
    assert!(packet::verify_response(data, &[0; 16], SECRET.as_bytes(), true).is_err());
    assert!(packet::verify_request(data, SECRET.as_bytes()).is_err());
}

fn answer(code: u8, method: u8, attributes: &[u8]) {
    let now = origin();
    let mut client = Client::new(CountingEntropy(1));
    client.configure(now, vec![server()]);
    let login = login(method);
    let purpose = if code == 5 {
        Purpose::Accounting
    } else {
        Purpose::Authentication
    };
    let question = Question {
        purpose,
        user: login.user.clone(),
        called: Some(login.call.called),
        attributes: login.attributes(),
    };
    client.ask(now, Ticket(1), question);
    let (socket, to, sent) = sent(&mut client).expect("there is a server");
    let bytes = signed(code, sent[1], &sent[4..20], attributes);
    for _ in 0..2 {
        client.handle_datagram(now, socket, to, &bytes);
    }
    let mut answers = 0;
    let mut at = now;
    loop {
        while let Some(command) = client.poll_command() {
            if let Command::Answer { answer, .. } = command {
                answers += 1;
                if let Answer::Reply(reply) = answer {
                    let _ = decide(&login, |_| Encryption::Required, &reply);
                }
            }
        }
        let Some(next) = client.poll_timeout() else {
            break;
        };
        assert!(next >= at && next < now + Duration::from_secs(60));
        at = next;
        client.handle_timeout(next);
    }
    assert_eq!(answers, 1);
}

fn request(code: u8, attributes: &[u8]) {
    let (now, from) = (origin(), SocketAddrV4::new(SERVER, 4000));
    let mut incoming = Incoming::new();
    incoming.configure(vec![(SERVER, Zeroizing::new(SECRET.to_owned()))]);
    let bytes = signed(code, 7, &[0; 16], attributes);
    let mut hear = |now: Instant| incoming.handle(now, 1_700_000_000, from, &bytes);
    let answer = match hear(now) {
        Heard::Nothing => return assert!(matches!(hear(now), Heard::Nothing)),
        Heard::Answer(answer) => answer,
        Heard::Request(request) => {
            let call = login(0).call;
            let _ = request.who.is_for(&call.identity, |_| true);
            let _ = request.who.fit(&call, "ann", SERVER, "<pptp-ann>");
            incoming.answer(now, &request, Ok(()))
        }
    };
    assert!(Packet::new_checked(&answer).is_ok());
    let again = incoming.handle(now, 1_700_000_000, from, &bytes);
    assert!(matches!(again, Heard::Answer(again) if again == answer));
}

fn sent(client: &mut Client<CountingEntropy>) -> Option<(SocketId, SocketAddrV4, Vec<u8>)> {
    while let Some(command) = client.poll_command() {
        if let Command::Send { socket, to, bytes } = command {
            return Some((socket, to, bytes));
        }
    }
    None
}

/// A packet with the digest that the secret makes of it.
fn signed(code: u8, id: u8, authenticator: &[u8], attributes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + attributes.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![code, id];
    bytes.extend(len.to_be_bytes());
    bytes.extend(authenticator);
    bytes.extend(attributes);
    let digest = Md5::new()
        .chain_update(&bytes)
        .chain_update(SECRET)
        .finalize();
    bytes[4..20].copy_from_slice(&digest);
    bytes
}

fn login(method: u8) -> Login {
    let proof = match method % 4 {
        0 => Proof::Pap {
            password: Zeroizing::new(b"password".to_vec()),
        },
        1 => Proof::Chap {
            identifier: 1,
            challenge: vec![2; 16],
            response: [3; 16],
        },
        2 => Proof::MsChapV1 {
            challenge: [4; 8],
            nt_response: [5; 24],
        },
        _ => Proof::MsChapV2 {
            challenge: [6; 16],
            peer_challenge: [7; 16],
            nt_response: [8; 24],
        },
    };
    Login {
        user: "HOME\\ann".to_owned(),
        proof,
        call: Call {
            identity: "nas".to_owned(),
            session_id: "81a0000000000001".to_owned(),
            port: 1,
            caller: Ipv4Addr::new(198, 51, 100, 1),
            called: Ipv4Addr::new(192, 0, 2, 1),
        },
    }
}

fn server() -> Server {
    Server {
        key: 1,
        address: SERVER,
        authentication_port: 1812,
        accounting_port: 1813,
        secret: Zeroizing::new(SECRET.to_owned()),
        timeout: Duration::from_secs(1),
        realm: "home".to_owned(),
        src_address: None,
        require_message_auth: false,
        called_id: String::new(),
        domain: String::new(),
        accounting_backup: false,
    }
}

use super::*;
use crate::entropy::CountingEntropy;

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn server(key: u32, address: Ipv4Addr) -> Server {
    Server {
        key,
        address,
        authentication_port: 1812,
        accounting_port: 1813,
        secret: Zeroizing::new("secret".to_owned()),
        timeout: Duration::from_secs(1),
        realm: String::new(),
        src_address: None,
        require_message_auth: true,
        called_id: String::new(),
        domain: String::new(),
        accounting_backup: false,
    }
}

fn question(purpose: Purpose) -> Question {
    Question {
        purpose,
        user: "HOME\\ann".to_owned(),
        called: Some([10, 0, 0, 1].into()),
        attributes: vec![Attribute::text(kind::USER_NAME, "ann")],
    }
}

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Datagram {
    socket: SocketId,
    to: SocketAddrV4,
    bytes: Vec<u8>,
}

/// A client, what it said, and what time it is.
struct World {
    client: Client<CountingEntropy>,
    now: Instant,
    next: u64,
    opened: usize,
    closed: usize,
    sent: VecDeque<Datagram>,
    answers: Vec<(u64, String)>,
    log: Vec<String>,
}

impl World {
    fn new(servers: &[Server]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
        let now = Instant::now();
        let mut client = Client::new(CountingEntropy(1));
        client.configure(now, servers.to_vec());
        Self {
            client,
            now,
            next: 0,
            opened: 0,
            closed: 0,
            sent: VecDeque::new(),
            answers: Vec::new(),
            log: Vec::new(),
        }
    }

    fn obey(&mut self) {
        while let Some(command) = self.client.poll_command() {
            match command {
                Command::Open { .. } => self.opened += 1,
                Command::Close { .. } => self.closed += 1,
                Command::Send { socket, to, bytes } => {
                    self.sent.push_back(Datagram { socket, to, bytes });
                }
                Command::Answer { ticket, answer } => {
                    let what = match &answer {
                        Answer::Reply(reply) => format!("{:?}", reply.code),
                        Answer::Unanswered | Answer::NoServer => format!("{answer:?}"),
                    };
                    self.answers.push((ticket.0, what));
                }
                Command::Log(line) => self.log.push(line.text),
            }
        }
    }

    fn ask(&mut self, purpose: Purpose) -> u64 {
        self.ask_this(question(purpose))
    }

    fn ask_this(&mut self, question: Question) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.client.ask(self.now, Ticket(ticket), question);
        self.obey();
        ticket
    }

    fn take(&mut self) -> Datagram {
        self.sent.pop_front().expect("something was sent")
    }

    fn answer_with(&mut self, datagram: &Datagram, code: Code, secret: &[u8]) {
        let request = Packet::new_checked(&datagram.bytes).unwrap();
        let bytes = packet::build_response(code, &request, &[], secret);
        self.receive(datagram.socket, datagram.to, &bytes);
    }

    fn answer(&mut self, datagram: &Datagram) {
        let request = Packet::new_checked(&datagram.bytes).unwrap();
        let code = if request.code() == Code::AccessRequest {
            Code::AccessAccept
        } else {
            Code::AccountingResponse
        };
        self.answer_with(datagram, code, b"secret");
    }

    fn receive(&mut self, socket: SocketId, from: SocketAddrV4, bytes: &[u8]) {
        self.client.handle_datagram(self.now, socket, from, bytes);
        self.obey();
    }

    /// Lets time pass until the next deadline; how much that was, in seconds.
    fn pass(&mut self) -> f64 {
        let at = self.client.poll_timeout().expect("something is waited for");
        let passed = at - self.now;
        self.now = at;
        self.client.handle_timeout(at);
        self.obey();
        passed.as_secs_f64()
    }

    fn run_to_the_end(&mut self) {
        while self.client.poll_timeout().is_some() {
            self.pass();
        }
    }

    /// The address of each server that something was sent to, in order.
    fn asked(&mut self) -> Vec<Ipv4Addr> {
        self.sent.drain(..).map(|one| *one.to.ip()).collect()
    }

    fn counters(&self, place: usize) -> Counters {
        self.client.counters().nth(place).unwrap().2
    }
}

#[test]
fn a_question_goes_to_the_port_of_its_purpose_and_its_answer_comes_back() {
    for (purpose, port, code) in [
        (Purpose::Authentication, 1812, "AccessAccept"),
        (Purpose::Accounting, 1813, "AccountingResponse"),
    ] {
        let mut world = World::new(&[server(1, FIRST)]);
        let ticket = world.ask(purpose);
        let sent = world.take();
        assert_eq!(sent.to, SocketAddrV4::new(FIRST, port));
        assert_eq!(world.counters(0).pending, 1);
        world.now += Duration::from_millis(30);
        world.answer(&sent);
        assert_eq!(world.answers, [(ticket, code.to_owned())]);
        assert_eq!(world.client.poll_timeout(), None);
        let expected = Counters {
            requests: 1,
            accepts: 1,
            last_request_rtt: Some(Duration::from_millis(30)),
            ..Counters::default()
        };
        assert_eq!(world.counters(0), expected);
    }
}

#[test]
fn a_question_is_sent_three_times_as_it_was_and_then_to_the_next_server() {
    let mut world = World::new(&[server(1, FIRST), server(2, SECOND)]);
    let ticket = world.ask(Purpose::Authentication);
    let first = world.take();
    for _ in 0..2 {
        let waited = world.pass();
        assert!((0.9..=1.1).contains(&waited), "{waited}");
        assert_eq!(world.take(), first, "the same packet");
    }
    world.pass();
    let other = world.take();
    assert_eq!(other.to, SocketAddrV4::new(SECOND, 1812));
    assert_eq!(world.log, ["RADIUS server 192.0.2.1 does not answer"]);
    world.answer(&other);
    assert_eq!(world.answers, [(ticket, "AccessAccept".to_owned())]);
    let first = world.counters(0);
    assert_eq!((first.requests, first.resends, first.timeouts), (1, 2, 1));
}

#[test]
fn a_server_that_does_not_answer_is_passed_over_and_tried_again_by_one_question() {
    let mut world = World::new(&[server(1, FIRST), server(2, SECOND)]);
    world.ask(Purpose::Authentication);
    while world.sent.back().unwrap().to.ip() != &SECOND {
        world.pass();
    }
    let sent = world.sent.back().unwrap().clone();
    world.answer(&sent);
    world.asked();
    world.ask(Purpose::Authentication);
    assert_eq!(world.asked(), [SECOND]);
    world.now += DEAD_TIME;
    world.ask(Purpose::Authentication);
    world.ask(Purpose::Authentication);
    let tried = world.take();
    assert_eq!((*tried.to.ip(), world.asked()), (FIRST, vec![SECOND]));
    world.answer(&tried);
    world.ask(Purpose::Authentication);
    assert_eq!(world.asked(), [FIRST]);
    assert_eq!(
        world.log.last().unwrap(),
        "RADIUS server 192.0.2.1 answers again"
    );
}

#[test]
fn when_all_are_silent_all_are_tried_and_the_question_has_an_end() {
    let mut world = World::new(&[server(1, FIRST), server(2, SECOND)]);
    for _ in 0..2 {
        let ticket = world.ask(Purpose::Authentication);
        world.run_to_the_end();
        let answer = (ticket, "Unanswered".to_owned());
        assert_eq!(world.answers.pop(), Some(answer));
        assert_eq!(world.asked(), [[FIRST; 3], [SECOND; 3]].concat());
    }
    assert_eq!(world.log.len(), 2, "said once of each: {:?}", world.log);
}

#[test]
fn a_server_that_answers_others_meanwhile_is_there() {
    let mut world = World::new(&[server(1, FIRST)]);
    world.ask(Purpose::Authentication);
    world.sent.clear();
    world.now += Duration::from_millis(100);
    world.ask(Purpose::Authentication);
    let other = world.take();
    world.answer(&other);
    world.run_to_the_end();
    assert_eq!(world.answers.len(), 2);
    assert_eq!(world.log, [""; 0]);
}

#[test]
fn servers_are_asked_about_what_they_are_for() {
    let called = Server {
        called_id: "10.0.0.9".to_owned(),
        ..server(1, FIRST)
    };
    let domain = Server {
        domain: "home".to_owned(),
        ..server(2, SECOND)
    };
    let mut world = World::new(&[called.clone(), domain]);
    world.ask(Purpose::Authentication);
    assert_eq!(world.asked(), [SECOND]);
    let mut world = World::new(&[called]);
    let ticket = world.ask(Purpose::Authentication);
    assert_eq!(world.answers, [(ticket, "NoServer".to_owned())]);
}

#[test]
fn a_backup_is_told_what_users_did_only_if_the_others_do_not_answer() {
    let backup = Server {
        accounting_backup: true,
        ..server(1, FIRST)
    };
    let mut world = World::new(&[backup, server(2, SECOND)]);
    let ticket = world.ask(Purpose::Authentication);
    assert_eq!(world.asked(), [FIRST]);
    world.client.forget(Ticket(ticket));
    world.ask(Purpose::Accounting);
    world.run_to_the_end();
    assert_eq!(world.asked(), [[SECOND; 3], [FIRST; 3]].concat());
}

#[test]
fn a_realm_is_said_to_the_server_that_has_one() {
    let realm = Server {
        realm: "home".to_owned(),
        ..server(1, FIRST)
    };
    let mut world = World::new(&[realm]);
    world.ask(Purpose::Authentication);
    let sent = world.take();
    let packet = Packet::new_checked(&sent.bytes).unwrap();
    let realm = (kind::MIKROTIK_REALM, &b"home"[..]);
    assert_eq!(packet.attributes().last(), Some(realm));
}

#[test]
fn a_server_knows_us_by_the_address_that_it_is_asked_from() {
    let source = Ipv4Addr::new(10, 0, 0, 9);
    for (src_address, known) in [(None, [192, 0, 2, 9]), (Some(source), source.octets())] {
        let server = Server {
            src_address,
            ..server(1, FIRST)
        };
        let mut world = World::new(&[server]);
        let address = Attribute::address(kind::NAS_IP_ADDRESS, [192, 0, 2, 9].into());
        world.ask_this(Question {
            attributes: vec![address],
            ..question(Purpose::Authentication)
        });
        let sent = world.take();
        let packet = Packet::new_checked(&sent.bytes).unwrap();
        let said = packet.attributes().last();
        assert_eq!(said, Some((kind::NAS_IP_ADDRESS, &known[..])));
    }
}

#[test]
fn more_questions_than_numbers_take_another_socket_and_then_wait() {
    let mut world = World::new(&[server(1, FIRST)]);
    let most = MAX_SOCKETS * 256;
    for _ in 0..300 {
        world.ask(Purpose::Authentication);
    }
    assert_eq!(world.opened, 2);
    for _ in 300..most + 10 {
        world.ask(Purpose::Authentication);
    }
    assert_eq!((world.opened, world.sent.len()), (MAX_SOCKETS, most));
    let ways: BTreeSet<_> = world
        .sent
        .iter()
        .map(|one| (one.socket, one.bytes[1]))
        .collect();
    assert_eq!(ways.len(), most);
    // Ports have numbers of their own.
    world.ask(Purpose::Accounting);
    assert_eq!(world.sent.len(), most + 1);
    for sent in std::mem::take(&mut world.sent) {
        world.answer(&sent);
    }
    assert_eq!(world.sent.len(), 10, "those that waited");
    for sent in std::mem::take(&mut world.sent) {
        world.answer(&sent);
    }
    assert_eq!(world.answers.len(), most + 11);
    let in_order = world.answers[most + 1..].iter().map(|(ticket, _)| *ticket);
    let expected = most as u64..most as u64 + 10;
    assert_eq!(in_order.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn a_hundred_thousand_questions_need_no_more_sockets_than_the_first() {
    let mut world = World::new(&[server(1, FIRST)]);
    for _ in 0..100_000 {
        world.ask(Purpose::Authentication);
        let sent = world.take();
        world.answer(&sent);
    }
    assert_eq!((world.opened, world.closed), (1, 0));
    assert_eq!(world.answers.len(), 100_000);
    assert!(world.client.questions.is_empty() && world.client.under_way.is_empty());
}

#[test]
fn what_answers_nothing_or_is_not_to_be_believed_is_counted_and_the_question_goes_on() {
    let mut world = World::new(&[server(1, FIRST)]);
    world.ask(Purpose::Authentication);
    let sent = world.take();
    let elsewhere = SocketAddrV4::new(SECOND, 1812);
    let strange = Datagram {
        to: elsewhere,
        ..sent.clone()
    };
    world.answer(&strange);
    assert_eq!(world.counters(0).bad_replies, 0, "it is not from there");
    let mut other_id = sent.clone();
    other_id.bytes[1] ^= 1;
    world.answer(&other_id);
    world.answer_with(&sent, Code::AccessAccept, b"other");
    world.answer_with(&sent, Code::AccessAccept, b"other");
    world.answer_with(&sent, Code::AccountingResponse, b"secret");
    world.receive(sent.socket, sent.to, &[]);
    world.receive(sent.socket, sent.to, &[2, sent.bytes[1], 0, 20]);
    assert_eq!(world.counters(0).bad_replies, 6);
    let complaint = "RADIUS server 192.0.2.1 answered, and that is dropped: wrong authenticator - is the secret the same?";
    assert_eq!(world.log, [complaint], "once a minute");
    assert_eq!(world.answers, []);
    world.answer(&sent);
    assert_eq!(world.answers.len(), 1);
    world.answer(&sent);
    assert_eq!(
        world.counters(0).bad_replies,
        7,
        "an answer that comes twice"
    );
}

#[test]
fn nobody_wants_the_answer_to_what_is_forgotten() {
    let mut world = World::new(&[server(1, FIRST)]);
    let ticket = world.ask(Purpose::Authentication);
    let sent = world.take();
    world.client.forget(Ticket(ticket));
    world.answer(&sent);
    assert_eq!(world.answers, []);
    assert_eq!(world.client.poll_timeout(), None);
    assert_eq!(world.counters(0).pending, 0);
}

#[test]
fn questions_to_a_server_that_is_taken_away_go_to_the_next_and_the_others_stay() {
    let mut world = World::new(&[server(1, FIRST), server(2, SECOND)]);
    world.ask(Purpose::Authentication);
    world.sent.clear();
    world.client.configure(world.now, vec![server(2, SECOND)]);
    world.obey();
    assert_eq!(
        (world.asked(), world.opened, world.closed),
        (vec![SECOND], 1, 0)
    );
    world.ask(Purpose::Authentication);
    world
        .client
        .configure(world.now, vec![server(2, SECOND), server(3, FIRST)]);
    world.obey();
    assert_eq!(world.asked(), [SECOND], "as it was");
    world.client.configure(world.now, Vec::new());
    world.obey();
    assert_eq!(world.closed, 1);
    assert_eq!(world.answers.len(), 2);
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn each_source_address_has_sockets_of_its_own_and_one_that_cannot_be_had_is_told() {
    let from = |key, address, source: [u8; 4]| Server {
        src_address: Some(source.into()),
        ..server(key, address)
    };
    let mut world = World::new(&[
        from(1, FIRST, [10, 0, 0, 1]),
        from(2, SECOND, [10, 0, 0, 2]),
    ]);
    world.ask(Purpose::Authentication);
    let first = world.take();
    world
        .client
        .handle_open_failed(world.now, first.socket, "no such address");
    world.obey();
    assert_eq!(
        world.log,
        ["cannot ask RADIUS servers from 10.0.0.1: no such address"]
    );
    assert_eq!((world.asked(), world.opened), (vec![SECOND], 2));
}

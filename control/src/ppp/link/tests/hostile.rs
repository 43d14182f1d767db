//! Whatever a peer sends: no panic, no growth, an end.

use proptest::prelude::*;

use super::*;
use crate::ppp::packet::ConfigOption;
use crate::ppp::{MppeKeys, StartKeys};

#[derive(Clone, Debug)]
enum Input {
    Frame(u16, Vec<u8>),
    Pass(u16),
    Accept,
    Reject,
    Activity(u64),
    /// Send its own last packet back, with this code.
    Mirror(u8),
    Close,
}

fn input() -> impl Strategy<Value = Input> {
    let protocol = prop_oneof![
        4 => Just(protocol::LCP),
        2 => Just(protocol::CHAP),
        1 => Just(protocol::PAP),
        3 => Just(protocol::CCP),
        3 => Just(protocol::IPCP),
        1 => any::<u16>(),
    ];
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    let packets =
        (0..20_u8, any::<u8>(), options()).prop_map(|(code, id, data)| packet(code, id, &data));
    prop_oneof![
        8 => (protocol, prop_oneof![1 => bytes, 4 => packets]).prop_map(|(protocol, payload)| Input::Frame(protocol, payload)),
        2 => (0..40_000_u16).prop_map(Input::Pass),
        1 => Just(Input::Accept),
        1 => Just(Input::Reject),
        1 => any::<u64>().prop_map(Input::Activity),
        8 => (2..5_u8).prop_map(Input::Mirror),
        1 => Just(Input::Close),
    ]
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![3 => 0..20_u8, 1 => 129..133_u8];
    let option = (kind, proptest::collection::vec(any::<u8>(), 0..6));
    proptest::collection::vec(option, 0..5).prop_map(|options| {
        let options: Vec<_> = options
            .into_iter()
            .map(|(kind, data)| ConfigOption::new(kind, data))
            .collect();
        ConfigOption::emit_all(&options)
    })
}

fn replay(link: &mut Link, mut now: Instant, inputs: Vec<Input>) {
    let mut last: Option<(u16, Vec<u8>)> = None;
    let mut downs = 0;
    let mut ups = 0_i32;
    for input in inputs {
        match input {
            Input::Frame(protocol, payload) => link.handle_frame(now, protocol, &payload),
            Input::Pass(milliseconds) => {
                now += Duration::from_millis(milliseconds.into());
                link.handle_timeout(now);
            }
            Input::Accept => {
                link.handle_verdict(
                    now,
                    Verdict::Accept(Box::new(Accept {
                        message: String::new(),
                        keys: Some(any_keys()),
                        ipv6: UseIpv6::Yes,
                        encryption: Encryption::Yes,
                        strengths: None,
                        network: Some(NETWORK),
                    })),
                );
            }
            Input::Reject => link.handle_verdict(
                now,
                Verdict::Reject {
                    refusal: Refusal::WrongLogin,
                    message: None,
                },
            ),
            Input::Activity(frames) => link.handle_activity(now, frames),
            Input::Mirror(code) => {
                if let Some((protocol, mut payload)) = last.take() {
                    payload[0] = code;
                    link.handle_frame(now, protocol, &payload);
                }
            }
            Input::Close => link.close(now, Cause::AdministratorRequest),
        }
        let commands = drain(link);
        assert!(
            commands.len() < 32,
            "{} commands for one input",
            commands.len()
        );
        assert!(link.early.len() <= 4);
        for command in commands {
            assert_eq!(downs, 0, "{command:?} after Down");
            match command {
                Command::Send { protocol, payload } => {
                    assert!(payload.len() <= 1500);
                    last = Some((protocol, payload));
                }
                Command::NetworkUp { .. } => ups += 1,
                Command::NetworkDown => ups -= 1,
                Command::Down(_) => {
                    assert_eq!(ups, 0);
                    downs += 1;
                }
                _ => {}
            }
            assert!((0..=1).contains(&ups));
        }
        assert_eq!(downs == 1, link.phase == Phase::Finished);
    }
    // Whatever happened, it ends if the peer falls silent and is not up.
    for _ in 0..200 {
        let Some(at) = link.poll_timeout() else {
            break;
        };
        now = now.max(at);
        link.handle_timeout(now);
        for command in drain(link) {
            if command == Command::Sample {
                link.handle_activity(now, 0);
            }
        }
    }
    assert!(link.poll_timeout().is_none(), "{link:?}");
}

fn any_keys() -> MppeKeys {
    let key = || greyhound_datapath::mppe::StartKey([7; 16]);
    let keys = || StartKeys {
        rx: key(),
        tx: key(),
    };
    MppeKeys {
        bits128: keys(),
        bits40: keys(),
    }
}

fn watched(config: Config) -> Link {
    let keepalive = Some(Duration::from_secs(30));
    Link::new(
        Config {
            keepalive,
            ..config
        },
        Box::new(CountingEntropy(5)),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_a_peer_sends_breaks_a_server(inputs in proptest::collection::vec(input(), 0..60)) {
        let mut link = watched(server());
        let now = start();
        link.open(now);
        replay(&mut link, now, inputs);
    }

    #[test]
    fn nothing_a_peer_sends_breaks_a_client(inputs in proptest::collection::vec(input(), 0..60)) {
        let mut link = watched(client());
        let now = start();
        link.open(now);
        replay(&mut link, now, inputs);
    }

    #[test]
    fn nothing_a_peer_sends_during_authentication_breaks_a_server(
        inputs in proptest::collection::vec(input(), 0..60),
    ) {
        let mut link = watched(server());
        let now = open_lcp(&mut link);
        drain(&mut link);
        replay(&mut link, now, inputs);
    }

    #[test]
    fn nothing_a_peer_sends_breaks_a_link_that_negotiates_encryption(
        inputs in proptest::collection::vec(input(), 0..60),
    ) {
        let mut link = watched(server());
        let (now, ..) = authenticate(&mut link);
        drain(&mut link);
        replay(&mut link, now, inputs);
    }
}

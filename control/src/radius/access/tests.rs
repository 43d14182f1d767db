use zeroize::Zeroizing;

use super::*;

fn call() -> Call {
    Call {
        identity: "edge1".into(),
        session_id: "8f00c0de00000001".into(),
        port: 12,
        caller: Ipv4Addr::new(198, 51, 100, 7),
        called: Ipv4Addr::new(192, 0, 2, 1),
    }
}

fn login(proof: Proof) -> Login {
    Login {
        user: "User".into(),
        proof,
        call: call(),
    }
}

fn pap() -> Proof {
    Proof::Pap {
        password: Zeroizing::new(b"secret".to_vec()),
    }
}

fn v1() -> Proof {
    Proof::MsChapV1 {
        challenge: [1; 8],
        nt_response: [2; 24],
    }
}

fn v2() -> Proof {
    Proof::MsChapV2 {
        challenge: [1; 16],
        peer_challenge: [2; 16],
        nt_response: [3; 24],
    }
}

/// What a request says between User-Name and Service-Type.
fn proved(proof: Proof) -> Vec<Attribute> {
    let attributes = login(proof).attributes();
    let end = attributes
        .iter()
        .position(|attribute| attribute.kind == kind::SERVICE_TYPE)
        .unwrap();
    attributes[1..end].to_vec()
}

#[test]
fn a_request_says_who_asks_and_from_where() {
    let lines: Vec<String> = login(pap())
        .attributes()
        .iter()
        .map(|attribute| format!("{} {:?}", attribute.kind, attribute.value))
        .collect();
    assert_eq!(
        lines,
        [
            "User-Name \"User\"",
            "User-Password password",
            "Service-Type 2",
            "Framed-Protocol 1",
            "NAS-Identifier \"edge1\"",
            "NAS-IP-Address 192.0.2.1",
            "NAS-Port 12",
            "NAS-Port-Type 5",
            "Calling-Station-Id \"198.51.100.7\"",
            "Called-Station-Id \"192.0.2.1\"",
            "Acct-Session-Id \"8f00c0de00000001\"",
        ]
    );
}

#[test]
fn a_domain_is_said_by_itself_and_stays_in_the_name() {
    let login = Login {
        user: "CORP\\alice".into(),
        ..login(pap())
    };
    let attributes = login.attributes();
    let domain = Attribute::text(kind::MS_CHAP_DOMAIN, "CORP");
    assert!(attributes.contains(&domain));
    assert_eq!(
        attributes[0],
        Attribute::text(kind::USER_NAME, "CORP\\alice")
    );
}

#[test]
fn each_method_proves_with_its_own_attributes() {
    let password = Value::Password(Zeroizing::new(b"secret".to_vec()));
    assert_eq!(proved(pap())[0].value, password);

    let chap = Proof::Chap {
        identifier: 9,
        challenge: vec![4; 20],
        response: [5; 16],
    };
    let mut expected = vec![9];
    expected.extend([5; 16]);
    assert_eq!(
        proved(chap),
        [
            Attribute::octets(kind::CHAP_PASSWORD, expected),
            Attribute::octets(kind::CHAP_CHALLENGE, [4; 20]),
        ]
    );

    let mut expected = vec![0, 1];
    expected.extend([0; 24]);
    expected.extend([2; 24]);
    assert_eq!(
        proved(v1()),
        [
            Attribute::octets(kind::MS_CHAP_CHALLENGE, [1; 8]),
            Attribute::octets(kind::MS_CHAP_RESPONSE, expected),
        ]
    );

    let mut expected = vec![0, 0];
    expected.extend([2; 16]);
    expected.extend([0; 8]);
    expected.extend([3; 24]);
    assert_eq!(
        proved(v2()),
        [
            Attribute::octets(kind::MS_CHAP_CHALLENGE, [1; 16]),
            Attribute::octets(kind::MS_CHAP2_RESPONSE, expected),
        ]
    );
}

// What an answer means

const SECRET: &[u8] = b"radius-secret";
const AUTHENTICATOR: [u8; 16] = [9; 16];
const PROOF: &str = "S=0123456789ABCDEF0123456789ABCDEF01234567 M=Welcome";

type Said = (Kind, Vec<u8>);

fn decided(proof: Proof, code: Code, attributes: &[Said]) -> Decision {
    let reply = Reply::new(code, attributes.to_vec(), AUTHENTICATOR, SECRET);
    decide(&login(proof), |_| Encryption::Yes, &reply)
}

#[track_caller]
fn granted(proof: Proof, attributes: &[Said]) -> Grant {
    match decided(proof, Code::AccessAccept, attributes) {
        Decision::Accept(grant) => *grant,
        other @ (Decision::Reject { .. } | Decision::Unusable(_)) => panic!("{other:?}"),
    }
}

#[track_caller]
fn unusable(proof: Proof, attributes: &[Said]) -> String {
    match decided(proof, Code::AccessAccept, attributes) {
        Decision::Unusable(why) => why,
        other @ (Decision::Accept(_) | Decision::Reject { .. }) => panic!("{other:?}"),
    }
}

fn number(kind: Kind, number: u32) -> Said {
    (kind, number.to_be_bytes().to_vec())
}

fn address(kind: Kind, octets: [u8; 4]) -> Said {
    (kind, octets.to_vec())
}

fn said(kind: Kind, text: &str) -> Said {
    (kind, text.as_bytes().to_vec())
}

fn success() -> Said {
    (kind::MS_CHAP2_SUCCESS, [b"\x07", PROOF.as_bytes()].concat())
}

fn key(kind: Kind, key: &[u8]) -> Said {
    let hidden = crate::radius::hide::hide_key(key, [0x80, 1], SECRET, &AUTHENTICATOR);
    (kind, hidden.unwrap())
}

#[test]
fn an_empty_accept_gives_nothing_but_the_way_in() {
    let nothing = Grant {
        message: GREETING.to_owned(),
        ..Grant::default()
    };
    assert_eq!(granted(pap(), &[]), nothing);
    assert_eq!(
        granted(
            pap(),
            &[(
                Kind {
                    vendor: 9,
                    number: 1
                },
                vec![1]
            )]
        ),
        nothing
    );
}

#[test]
fn an_accept_gives_what_it_says() {
    let grant = granted(
        pap(),
        &[
            said(kind::REPLY_MESSAGE, "Hello,"),
            said(kind::REPLY_MESSAGE, "ann"),
            address(kind::FRAMED_IP_ADDRESS, [10, 5, 5, 5]),
            address(kind::FRAMED_IP_NETMASK, [255, 255, 255, 0]),
            said(kind::FRAMED_ROUTE, "10.77.0.0/16 0.0.0.0 3"),
            said(kind::FRAMED_POOL, "pool"),
            number(kind::SESSION_TIMEOUT, 60),
            number(kind::IDLE_TIMEOUT, 0),
            number(kind::ACCT_INTERIM_INTERVAL, 10),
            (kind::CLASS, b"one".to_vec()),
            (kind::CLASS, b"two".to_vec()),
            number(kind::PORT_LIMIT, 2),
            said(kind::MIKROTIK_GROUP, "gold"),
            said(kind::MIKROTIK_RATE_LIMIT, "1M/2M"),
            number(kind::MIKROTIK_RECV_LIMIT, 5),
            number(kind::MIKROTIK_RECV_LIMIT_GIGAWORDS, 1),
            number(kind::MIKROTIK_XMIT_LIMIT, 0),
            number(kind::MIKROTIK_TOTAL_LIMIT_GIGAWORDS, 2),
            said(kind::MIKROTIK_ADDRESS_LIST, "a"),
            said(kind::MIKROTIK_ADDRESS_LIST, "b"),
            address(kind::MS_PRIMARY_DNS_SERVER, [10, 0, 0, 53]),
            address(kind::MS_SECONDARY_DNS_SERVER, [0; 4]),
            address(kind::MS_SECONDARY_NBNS_SERVER, [10, 0, 0, 54]),
            number(kind::MS_MPPE_ENCRYPTION_POLICY, 1),
            number(kind::MS_MPPE_ENCRYPTION_TYPES, 6),
        ],
    );
    let route = |text| Route::parse(text).unwrap();
    let expected = Grant {
        message: "Hello, ann".to_owned(),
        keys: None,
        encryption: Some(Encryption::Yes),
        encryption_types: Some(6),
        address: Some([10, 5, 5, 5].into()),
        pool: Some("pool".to_owned()),
        routes: vec![route("10.5.5.0/24"), route("10.77.0.0/16 0.0.0.0 3")],
        session_timeout: Some(Duration::from_secs(60)),
        idle_timeout: None,
        interim: Some(Duration::from_secs(60)),
        classes: vec![b"one".to_vec(), b"two".to_vec()],
        port_limit: Some(2),
        group: Some("gold".to_owned()),
        rate_limit: RateLimit::parse("1M/2M").ok(),
        recv_limit: Some((1 << 32) + 5),
        xmit_limit: None,
        total_limit: Some(2 << 32),
        address_lists: vec!["a".to_owned(), "b".to_owned()],
        dns: [Some([10, 0, 0, 53].into()), None],
        wins: [None, Some([10, 0, 0, 54].into())],
    };
    assert_eq!(grant, expected);
}

#[test]
fn an_address_that_is_none_leaves_it_to_the_pool() {
    for octets in [
        [255, 255, 255, 254],
        [255; 4],
        [0; 4],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
    ] {
        let grant = granted(pap(), &[address(kind::FRAMED_IP_ADDRESS, octets)]);
        assert_eq!(grant.address, None, "{octets:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    for (attribute, what) in [
        (
            said(kind::FRAMED_ROUTE, "home"),
            "Framed-Route \"home\" is not a route",
        ),
        (
            said(kind::MIKROTIK_RATE_LIMIT, "fast"),
            "Mikrotik-Rate-Limit \"fast\" is not a rate limit",
        ),
        (
            address(kind::FRAMED_IP_NETMASK, [255, 0, 255, 0]),
            "is not a netmask",
        ),
        (
            (kind::SESSION_TIMEOUT, vec![1, 2]),
            "Session-Timeout has 2 bytes instead of 4",
        ),
    ] {
        let why = unusable(pap(), &[attribute]);
        assert!(why.contains(what), "{why}");
    }
}

#[test]
fn ms_chapv2_has_the_servers_proof_and_keys_the_right_way_round() {
    let send = key(kind::MS_MPPE_SEND_KEY, &[1; 16]);
    let receive = key(kind::MS_MPPE_RECV_KEY, &[2; 16]);
    let grant = granted(v2(), &[success(), send.clone(), receive.clone()]);
    assert_eq!(grant.message, PROOF);
    let keys = grant.keys.unwrap();
    assert_eq!(keys.bits128.tx, StartKey([1; 16]), "what we send with");
    assert_eq!(keys.bits128.rx, StartKey([2; 16]));
    assert_eq!(keys.bits40, keys.bits128);

    assert!(unusable(v2(), &[send.clone(), receive]).starts_with("lacks MS-CHAP2-Success"));
    let odd = (kind::MS_CHAP2_SUCCESS, b"\x07S=1234".to_vec());
    assert!(unusable(v2(), &[odd]).contains("40 hexadecimal digits"));
    assert!(unusable(v2(), &[success(), send]).contains("lacks MS-MPPE-Recv-Key"));
    let short = [
        key(kind::MS_MPPE_SEND_KEY, &[1; 8]),
        key(kind::MS_MPPE_RECV_KEY, &[2; 8]),
    ];
    let both = [&[success()], &short[..]].concat();
    assert!(unusable(v2(), &both).contains("too short"));
    let of_40_bit = [&both[..], &[number(kind::MS_MPPE_ENCRYPTION_TYPES, 2)]].concat();
    assert!(granted(v2(), &of_40_bit).keys.is_some());
    let broken = (kind::MS_MPPE_SEND_KEY, vec![0; 5]);
    let why = unusable(
        v2(),
        &[success(), broken, key(kind::MS_MPPE_RECV_KEY, &[2; 16])],
    );
    assert!(why.contains("MS-MPPE-Send-Key cannot be revealed"), "{why}");
}

#[test]
fn ms_chapv1_has_the_keys_that_the_password_gives() {
    use md4::{Digest, Md4};
    // The same as a local user with this password has: what pppd sent to pptpd.
    let proof = Proof::MsChapV1 {
        challenge: 0x6e00_5a7d_9ee3_a81e_u64.to_be_bytes(),
        nt_response: [
            0xdb, 0xe6, 0x38, 0x38, 0xda, 0xfe, 0x45, 0xd5, 0x74, 0x43, 0x6b, 0xa8, 0x2a, 0xb5,
            0x48, 0x59, 0xf5, 0x47, 0xdf, 0xa6, 0xda, 0x3e, 0x14, 0xbc,
        ],
    };
    let (_, local) = proof.check("User1", "StrongPass-1").unwrap();
    let local = local.unwrap();
    let mut keys = [0; 32];
    keys[..8].copy_from_slice(&local.bits40.rx.0[..8]);
    let unicode: Vec<u8> = "StrongPass-1".bytes().flat_map(|byte| [byte, 0]).collect();
    let hash_hash = Md4::digest(Md4::digest(unicode));
    keys[8..24].copy_from_slice(&hash_hash);
    let hidden = crate::radius::hide::hide_chap_keys(&keys, SECRET, &AUTHENTICATOR);
    let grant = granted(proof, &[(kind::MS_CHAP_MPPE_KEYS, hidden)]);
    assert_eq!(grant.keys, Some(local));
}

#[test]
fn encryption_that_is_required_needs_keys() {
    let required = number(kind::MS_MPPE_ENCRYPTION_POLICY, 2);
    let why = unusable(v2(), &[success(), required.clone()]);
    assert!(
        why.contains("lacks MS-MPPE-Send-Key and MS-MPPE-Recv-Key"),
        "{why}"
    );
    let why = unusable(v1(), std::slice::from_ref(&required));
    assert!(why.contains("lacks MS-CHAP-MPPE-Keys"), "{why}");
    let why = unusable(pap(), &[required]);
    assert!(why.contains("has no keys for it"), "{why}");
    // What the profile of the group wants counts too.
    let reply = Reply::new(
        Code::AccessAccept,
        vec![success(), said(kind::MIKROTIK_GROUP, "gold")],
        AUTHENTICATOR,
        SECRET,
    );
    let policy = |group: Option<&str>| match group {
        Some("gold") => Encryption::Required,
        Some(_) | None => Encryption::No,
    };
    let decision = decide(&login(v2()), policy, &reply);
    assert!(matches!(decision, Decision::Unusable(_)), "{decision:?}");
}

#[test]
fn a_reject_has_a_reason_and_words_for_the_user() {
    let rejected = |attributes: &[Said]| match decided(v2(), Code::AccessReject, attributes) {
        Decision::Reject { refusal, message } => (refusal, message.unwrap_or_default()),
        other @ (Decision::Accept(_) | Decision::Unusable(_)) => panic!("{other:?}"),
    };
    assert_eq!(rejected(&[]), (Refusal::WrongLogin, String::new()));
    let paid = said(kind::REPLY_MESSAGE, "not paid");
    assert_eq!(
        rejected(&[paid]),
        (Refusal::WrongLogin, "not paid".to_owned())
    );
    for (code, refusal) in [
        (646, Refusal::RestrictedHours),
        (647, Refusal::Disabled),
        (648, Refusal::PasswordExpired),
        (649, Refusal::NoPermission),
        (691, Refusal::WrongLogin),
        (709, Refusal::PasswordExpired),
        (999, Refusal::WrongLogin),
    ] {
        let text = format!("\u{7}E={code} R=0 C=00112233445566778899AABBCCDDEEFF V=3 M=No");
        let error = said(kind::MS_CHAP_ERROR, &text);
        assert_eq!(rejected(&[error]), (refusal, "No".to_owned()), "{code}");
    }
}

#[test]
fn a_challenge_is_more_than_ppp_can_carry() {
    let decision = decided(pap(), Code::AccessChallenge, &[]);
    assert!(matches!(decision, Decision::Unusable(why) if why.contains("Access-Challenge")));
}

proptest::proptest! {
    #[test]
    fn whatever_an_answer_says_does_no_harm(
        attributes in proptest::collection::vec((0..kind::ALL.len(), proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)), 0..12)
    ) {
        let attributes: Vec<_> = attributes.into_iter().map(|(at, value)| (kind::ALL[at].0, value)).collect();
        for code in [Code::AccessAccept, Code::AccessReject, Code::AccessChallenge] {
            for proof in [pap(), v1(), v2()] {
                let _ = decided(proof, code, &attributes);
            }
        }
    }
}

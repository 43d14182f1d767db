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

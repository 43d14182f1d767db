use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{AddressSource, DEMO, PptpServer, Running, Service};
use super::*;
use crate::ppp::{AuthMethod, Encryption, UseIpv6};

#[test]
fn a_compact_export_is_a_configuration() {
    let (config, warnings) = Config::parse(
        "# 2026-01-05 21:59:12 by RouterOS 7.18.2\n\
         # system id = x\n\
         #\n\
         /ip pool\n\
         add name=pptp-pool ranges=10.40.40.10-10.40.40.99\n\
         /ppp profile\n\
         add dns-server=8.8.8.8,1.1.1.1 local-address=10.40.40.1 \\\n    \
             name=pptp-profile only-one=yes remote-address=pptp-pool use-encryption=\\\n    \
             required\n\
         set *0 local-address=10.0.0.1\n\
         set *FFFFFFFE use-encryption=required\n\
         /interface pptp-client\n\
         add connect-to=vpn.example.net disabled=no name=pptp-out1 password=\\\n    \
             \"Strong \\\"Pass\" user=\"DOM\\\\MT-User\"\n\
         /interface pptp-server server\n\
         set authentication=mschap2 default-profile=pptp-profile enabled=yes\n\
         /ppp secret\n\
         add name=user2 profile=pptp-profile service=pptp\n\
         add comment=\"on \\C3\\A9t\\C3\\A9\" disabled=yes name=user3\n\
         /system identity\n\
         set name=gate\n",
    )
    .unwrap();

    assert_eq!(warnings, []);
    assert_eq!(config.identity.name, "gate");
    assert!(config.server.enabled);
    assert_eq!(config.server.authentication, [AuthMethod::MsChapV2]);
    assert_eq!(config.server.default_profile, "pptp-profile");
    assert_eq!(
        config.server.keepalive_timeout,
        Some(Duration::from_secs(30))
    );
    let profile = config.profile("pptp-profile").unwrap();
    assert_eq!(
        profile.remote_address,
        Some(AddressSource::Pool("pptp-pool".to_owned()))
    );
    assert_eq!(profile.only_one, Some(true));
    assert_eq!(profile.use_encryption, Some(Encryption::Required));
    assert_eq!(
        config.profile("default").unwrap().local_address,
        Some(AddressSource::Fixed(Ipv4Addr::new(10, 0, 0, 1)))
    );
    let strict = config.profile("default-encryption").unwrap();
    assert_eq!(strict.use_encryption, Some(Encryption::Required));
    let client = &config.clients[0];
    assert_eq!(client.user, "DOM\\MT-User");
    assert_eq!(client.password.as_str(), "Strong \"Pass");
    assert_eq!(client.profile, "default-encryption");
    assert!(!client.disabled);
    assert_eq!(config.secrets[0].service, Service::Pptp);
    assert_eq!(config.secrets[1].comment, "on été");
    assert!(Running::new(config).secret("user3").unwrap().disabled);
}

#[test]
fn the_demonstration_is_a_configuration() {
    let (config, warnings) = Config::parse(DEMO).unwrap();

    assert_eq!(warnings, []);
    let config = Running::new(config);
    let secret = config.secret("MT-User").unwrap();
    assert_eq!(secret.password.as_str(), "StrongPass");
    let resolved = config.resolve(secret);
    let fixed = |octets: [u8; 4]| Some(AddressSource::Fixed(octets.into()));
    assert_eq!(resolved.local, fixed([10, 0, 0, 1]));
    assert_eq!(resolved.remote, fixed([10, 0, 0, 5]));
    assert_eq!(resolved.encryption, Encryption::Required);
}

#[test]
fn an_empty_text_leaves_every_default() {
    assert_eq!(Config::parse("").unwrap(), (Config::default(), Vec::new()));
    assert_eq!(
        Config::parse("\u{feff}\r\n# no\r\n").unwrap().0,
        Config::default()
    );
}

#[test]
fn paths_take_slashes_or_spaces_and_a_full_path_leaves_the_menu_as_it_was() {
    let (config, _) = Config::parse(
        "/ip/pool\n\
         add name=a ranges=10.0.0.1\n\
         /interface/pptp-server/server/set enabled=yes\n\
         /interface pptp-server server set max-mtu=1400\n\
         add name=b ranges=10.0.0.2; add name=c ranges=10.0.0.3\n\
         ..\n\
         pool add name=d ranges=10.0.0.4\n\
         /\n\
         ppp secret add name=u\n",
    )
    .unwrap();

    let names: Vec<_> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert!(config.server.enabled);
    assert_eq!(config.server.max_mtu, 1400);
    assert_eq!(config.secrets.len(), 1);
}

#[test]
fn errors_are_told_in_the_words_of_the_product_with_their_place() {
    for (text, expected) in [
        ("foo", "bad command name foo (line 1 column 1)"),
        (
            "/ppp/foo add name=x",
            "bad command name foo (line 1 column 6)",
        ),
        (
            "/ip address\nadd x=1",
            "bad command name address (line 1 column 5)",
        ),
        ("/ppp secret remove 0", "no such item (line 1 column 20)"),
        (
            "/ppp active remove 0",
            "remove is only for the console (line 1 column 13)",
        ),
        (
            "/ppp secret print",
            "print is only for the console (line 1 column 13)",
        ),
        ("/ppp se\nfoo", "bad command name foo (line 2 column 1)"),
        (
            "/i p add name=x",
            "ambiguous command name i (line 1 column 2)",
        ),
        (
            "/ppp secret add/x name=u",
            "bad command name add (line 1 column 13)",
        ),
        (
            "/ppp secret\n\n  add name=u foo=1",
            "expected end of command (line 3 column 14)",
        ),
        (
            "/ppp secret add name=u foo",
            "expected end of command (line 1 column 24)",
        ),
        (
            "/ppp secret add name=u name=v",
            "expected end of command (line 1 column 24)",
        ),
        (
            "/ppp secret add !foo name=u",
            "expected end of command (line 1 column 17)",
        ),
        (
            "/ppp secret add name=u disabled=maybe",
            "syntax error (line 1 column 33)",
        ),
        (
            "/ppp secret add name=u service=http",
            "syntax error (line 1 column 32)",
        ),
        (
            "/ppp secret add name=\"u",
            "syntax error (line 1 column 22)",
        ),
        ("name=x", "syntax error (line 1 column 1)"),
        ("[find] x", "syntax error (line 1 column 1)"),
        (
            "/ppp secret add name=u \\\n    profile=nix",
            "input does not match any value of profile (line 2 column 13)",
        ),
        (
            "/ppp profile add name=p remote-address=nix",
            "input does not match any value of pool (line 1 column 40)",
        ),
        (
            "/ip pool add name=p ranges=10.0.0.1 next-pool=q",
            "input does not match any value of pool (line 1 column 47)",
        ),
        (
            "/interface pptp-server server set default-profile=*4",
            "input does not match any value of profile (line 1 column 51)",
        ),
        (
            "/interface pptp-client add connect-to=a",
            "missing value(s) of argument(s) user (line 1 column 24)",
        ),
        (
            "/interface/pptp-client/add",
            "missing value(s) of argument(s) connect-to user (line 1 column 24)",
        ),
        (
            "/interface pptp-client add user=u connect-to=10.0.0.256",
            "invalid value for argument connect-to (line 1 column 46)",
        ),
        (
            "/interface pptp-client add user=\"\" connect-to=a",
            "invalid value for argument user (line 1 column 33)",
        ),
        (
            "/interface pptp-server server set max-mtu=1501",
            "value of max-mtu out of range (128..1500) (line 1 column 43)",
        ),
        (
            "/interface pptp-server server set keepalive-timeout=x",
            "invalid value for argument keepalive-timeout (line 1 column 53)",
        ),
        (
            "/ip pool add name=p ranges=10.0.0.9-10.0.0.1",
            "value of range expects range of ip addresses (line 1 column 28)",
        ),
        (
            "/ip pool add name=p ranges=10.0.0.1,10.0.0.0/30",
            "failure: ranges overlap (line 1 column 28)",
        ),
        (
            "/ppp profile set x local-address=10.0.0.1",
            "no such item (line 1 column 18)",
        ),
        (
            "/ppp profile set 2 local-address=10.0.0.1",
            "no such item (line 1 column 18)",
        ),
        (
            "/ppp profile set [find foo=x] comment=a",
            "expected end of command (line 1 column 24)",
        ),
        (
            "/ppp profile remove 0",
            "failure: can not remove default profile (line 1 column 14)",
        ),
        (
            "/ppp profile set comment=a",
            "missing value(s) of argument(s) numbers (line 1 column 18)",
        ),
        (
            "/ppp profile set",
            "missing value(s) of argument(s) numbers (line 1 column 14)",
        ),
        (
            "/ppp profile set default name=x",
            "failure: can not rename default profile (line 1 column 14)",
        ),
        (
            "/ppp profile add name=default",
            "failure: already have such entry (line 1 column 14)",
        ),
        (
            "/ip pool\nadd name=p ranges=10.0.0.1\nadd name=p ranges=10.0.0.2",
            "failure: already have such entry (line 3 column 1)",
        ),
        (
            "/ppp secret\nadd name=u\nadd name=u",
            "failure: secret with the same name already exists (line 3 column 1)",
        ),
        (
            "/interface pptp-client\nadd name=a connect-to=a user=u\nadd name=a connect-to=b user=u",
            "failure: already have interface with such name (line 3 column 1)",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn the_lines_below_an_unknown_menu_are_not_errors_of_their_own() {
    assert_eq!(
        errors("/ip address\nadd x=1\nadd x=2\n/ppp secret\nadd foo"),
        [
            "bad command name address (line 1 column 5)",
            "missing value(s) of argument(s) name (line 5 column 1)",
            "expected end of command (line 5 column 5)",
        ]
    );
}

#[test]
fn columns_count_characters_not_bytes() {
    assert_eq!(
        errors("/ppp secret add name=\"été\" foo=1"),
        ["expected end of command (line 1 column 28)"]
    );
}

#[test]
fn multilink_ipv6_and_limits_are_read() {
    let (config, warnings) = Config::parse(
        "/interface pptp-server server set mrru=1600 max-sessions=100 authentication=chap\n\
         /interface pptp-client add connect-to=a user=u mrru=1500\n\
         /ppp profile add name=p use-ipv6=required\n\
         /ppp profile add name=q use-ipv6=no\n\
         /ppp profile add name=r",
    )
    .unwrap();
    assert_eq!(warnings, []);
    let PptpServer {
        mrru, max_sessions, ..
    } = config.server;
    assert_eq!((mrru, max_sessions), (Some(1600), Some(100)));
    assert_eq!(config.clients[0].mrru, Some(1500));
    let policies: Vec<_> = ["p", "q", "r"]
        .map(|name| config.profile(name).unwrap().use_ipv6)
        .into();
    let expected = [UseIpv6::Required, UseIpv6::No, UseIpv6::Yes].map(Some);
    assert_eq!(policies, expected);
    for (text, expected) in [
        ("mrru=511", "value of mrru out of range (512..65535)"),
        ("mrru=65536", "value of mrru out of range (512..65535)"),
        (
            "max-sessions=4294967296",
            "value of max-sessions out of range (0..4294967295)",
        ),
    ] {
        let all = errors(&format!("/interface pptp-server server set {text}"));
        assert!(all[0].starts_with(expected), "{}", all[0]);
    }
}

#[test]
fn what_this_program_does_not_do_is_refused_unless_it_is_the_default() {
    for (text, expected) in [
        ("/ppp profile add name=p use-upnp=maybe", "syntax error"),
        (
            "/ppp profile add name=p bridge=b",
            "bridge is not supported: carry Ethernet by VXLAN or GRETAP inside the tunnel",
        ),
        (
            "/interface pptp-client add connect-to=a user=u default-route-distance=256",
            "value of default-route-distance out of range (0..255)",
        ),
    ] {
        let all = errors(text);
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(
            all[0].starts_with(&format!("{expected} (line ")),
            "{}",
            all[0]
        );
    }
    let (_, warnings) = Config::parse(
        "/ppp profile add name=p rate-limit=\"\" idle-timeout=0s use-ipv6=yes use-mpls=no \
         use-compression=no use-upnp=default change-tcp-mss=default bridge-learning=default \
         !session-timeout\n\
         /ppp secret add name=u limit-bytes-in=0 routes=\"\"\n\
         /interface pptp-client add connect-to=a user=u add-default-route=no dial-on-demand=no \
         default-route-distance=1 use-peer-dns=no mrru=disabled",
    )
    .unwrap();
    assert_eq!(warnings, []);
}

#[test]
fn what_has_no_effect_is_accepted_with_a_warning() {
    let (_, warnings) = Config::parse(
        "/ppp profile add name=p use-compression=yes parent-queue=q\n\
         /ppp secret add name=u service=l2tp caller-id=00:11\n\
         /ppp profile add name=q address-list=\"a;b\" incoming-filter=c\n\
         /ppp aaa set use-radius=yes\n/radius incoming set accept=yes\n\
         /ppp profile add name=r rate-limit=\"1M 2M 1M 4 1\"\n\
         /ppp profile add name=s rate-limit=\"1M 2M 1M 4 8\"",
    )
    .unwrap();

    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "use-compression=yes has no effect (line 1 column 41)",
            "parent-queue has no effect (line 1 column 58)",
            "service: this service is not offered: nobody logs in (line 2 column 32)",
            "caller-id: not an IPv4 address: no PPTP client matches it (line 2 column 47)",
            "address-list: nftables cannot call anything so: it has no effect (line 3 column 38)",
            "use-radius=yes has no effect: no /radius is enabled with service=ppp and an address \
             (line 4 column 25)",
            "accept=yes has no effect: no /radius is enabled with an address, and requests of \
             others are not taken (line 5 column 29)",
            "rate-limit: priority and least rates have no effect: sessions share no queue \
             (line 6 column 36)",
        ]
    );
}

#[test]
fn radius_that_works_is_not_warned_of_and_what_it_lacks_is_said() {
    let warnings = |servers: &str| -> Vec<String> {
        let text =
            format!("/ppp aaa set use-radius=yes\n/radius incoming set accept=yes\n{servers}");
        let (_, warnings) = Config::parse(&text).unwrap();
        warnings.iter().map(|one| one.text.clone()).collect()
    };
    let unasked =
        "use-radius=yes has no effect: no /radius is enabled with service=ppp and an address";
    let unheard = "accept=yes has no effect: no /radius is enabled with an address, and requests of \
                   others are not taken";
    let open = "secret is empty: whoever is on the way can answer in the server's place";

    let complete = "/radius add service=ppp address=192.0.2.1 secret=s";
    assert!(warnings(complete).is_empty());
    assert_eq!(
        warnings(&format!("{complete} disabled=yes")),
        [unasked, unheard]
    );
    assert_eq!(
        warnings("/radius add service=ppp secret=s"),
        [unasked, unheard]
    );
    let of_others = "/radius add service=login address=192.0.2.1 secret=s";
    let of_others = warnings(of_others);
    assert!(
        of_others.iter().any(|text| text == unasked),
        "{of_others:?}"
    );
    assert!(
        !of_others.iter().any(|text| text == unheard),
        "{of_others:?}"
    );
    assert_eq!(
        warnings("/radius add service=ppp address=192.0.2.1"),
        [open]
    );
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_the_text() {
    assert_eq!(
        errors(
            "/ppp secret\n\
             add name=u profile=nix\n\
             add name=v foo=1 disabled=perhaps\n\
             add name=\"\n\
             remove 5\n"
        ),
        [
            "input does not match any value of profile (line 2 column 20)",
            "expected end of command (line 3 column 12)",
            "syntax error (line 3 column 27)",
            "syntax error (line 4 column 10)",
            "no such item (line 5 column 8)",
        ]
    );
    let nonsense = "nonsense\n".repeat(10_000);
    assert_eq!(errors(&nonsense).len(), MAX_ERRORS);
}

#[test]
fn a_reference_to_a_row_with_an_error_is_not_an_error_of_its_own() {
    assert_eq!(
        errors("/ppp profile add name=p foo=1\n/ppp secret add name=u profile=p"),
        ["expected end of command (line 1 column 25)"]
    );
}

#[test]
fn what_is_named_may_stand_further_down() {
    let text = "/interface pptp-server server set default-profile=p\n\
                /ppp profile add name=p remote-address=q\n\
                /ip pool add name=q ranges=10.0.0.0/24";
    assert!(Config::parse(text).is_ok());
}

#[test]
fn profiles_are_selected_by_name_id_or_find() {
    for selector in [
        "default-encryption",
        "\"default-encryption\"",
        "*FFFFFFFE",
        "[ find name=default-encryption ]",
        "[find default=yes name=default-encryption use-encryption=yes]",
        "*0,default-encryption",
        "1",
        "0,1",
        "[find name~\"enc\"]",
        "[find where use-encryption=yes or name=default]",
        "[ find default=yes ]",
        "[find]",
    ] {
        let text = format!("/ppp profile\nset {selector} use-encryption=no comment=seen");
        let (config, _) = Config::parse(&text).unwrap();
        let profile = config.profile("default-encryption").unwrap();
        assert_eq!(profile.use_encryption, Some(Encryption::No), "{selector}");
        assert_eq!(profile.comment, "seen");
    }
}

#[test]
fn an_exclamation_mark_puts_the_default_back() {
    let (config, _) = Config::parse(
        "/interface pptp-server server\nset max-mtu=1400 enabled=yes\nset !max-mtu !mrru",
    )
    .unwrap();

    assert_eq!(config.server.max_mtu, 1460);
    assert!(config.server.enabled);
}

#[test]
fn clients_without_a_name_get_the_first_free_one() {
    let (config, _) = Config::parse(
        "/interface pptp-client\n\
         add connect-to=a user=u\n\
         add connect-to=a user=u name=pptp-out1\n\
         add connect-to=a user=u\n",
    )
    .unwrap();

    let names: Vec<_> = config
        .clients
        .iter()
        .map(|client| client.name.as_str())
        .collect();
    assert_eq!(names, ["pptp-out2", "pptp-out1", "pptp-out3"]);
}

#[test]
fn a_name_may_have_a_secret_for_each_service() {
    let (config, _) = Config::parse(
        "/ppp secret\n\
         add name=u password=any\n\
         add name=u password=l2tp service=l2tp\n\
         add name=u password=pptp service=pptp\n",
    )
    .unwrap();

    let config = Running::new(config);
    assert_eq!(config.secret("u").unwrap().password.as_str(), "pptp");
}

#[test]
fn required_encryption_without_ms_chap_is_refused() {
    let refused = "use-encryption=required needs mschap1 or mschap2 in authentication";
    for text in [
        "/interface pptp-server server set authentication=pap,chap default-profile=p\n\
         /ppp profile add name=p use-encryption=required",
        "/interface pptp-server server set authentication=pap,chap\n\
         /ppp profile add name=p use-encryption=required\n\
         /ppp secret add name=u profile=p",
    ] {
        assert_eq!(errors(text), [format!("{refused} (line 1 column 50)")]);
    }
    assert!(Config::parse("/interface pptp-server server set authentication=pap,chap").is_ok());
    assert_eq!(
        errors(
            "/ppp profile set default-encryption use-encryption=required\n\
             /interface pptp-client add connect-to=a user=u allow=pap",
        ),
        ["use-encryption=required needs mschap1 or mschap2 in allow (line 2 column 24)"]
    );
}

#[test]
fn pools_in_a_circle_are_refused() {
    assert_eq!(
        errors(
            "/ip pool\n\
             add name=a ranges=10.0.0.1 next-pool=b\n\
             add name=b ranges=10.0.0.2 next-pool=c\n\
             add name=c ranges=10.0.0.3 next-pool=b\n",
        ),
        [
            "failure: next-pool leads from b back to b (line 3 column 1)",
            "failure: next-pool leads from c back to c (line 4 column 1)",
        ]
    );
}

#[test]
fn control_characters_of_a_text_are_not_repeated() {
    assert_eq!(errors("a\u{1b}[31m"), ["syntax error (line 1 column 3)"]);
    assert_eq!(
        errors("a\u{1b}b"),
        ["bad command name a?b (line 1 column 1)"]
    );
}

#[test]
fn passwords_are_not_in_what_is_printed_for_debugging() {
    let (config, _) = Config::parse(
        "/ppp secret add name=u password=StrongPass\n\
         /interface pptp-client add connect-to=a user=u password=StrongPass",
    )
    .unwrap();

    assert!(!format!("{config:?}").contains("StrongPass"));
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::parse(&text);
    }

    #[test]
    fn no_sequence_of_words_panics(words in proptest::collection::vec(word(), 0..30)) {
        let _ = Config::parse(&words.concat());
    }
}

/// Pieces of the language, so that what is put together gets past the lexer.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/ppp profile",
        "/ppp/secret ",
        "/ip pool",
        "/interface pptp-server server",
        "/interface pptp-client",
        "/system identity",
        "add ",
        "set ",
        "[find ",
        "]",
        " ",
        "\n",
        "\"",
        "\\\n",
        "name=",
        "default",
        "*0",
        "ranges=",
        "10.0.0.1",
        "/24",
        "-",
        ",",
        "profile=",
        "user=",
        "connect-to=",
        "next-pool=",
        "a",
        "remote-address=",
        "!",
        "authentication=",
        "pap",
        "yes",
        "enabled=",
        "use-encryption=",
        "required",
        "default-profile=",
        "..",
        "=",
        ";",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

fn errors(text: &str) -> Vec<String> {
    let errors = Config::parse(text).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn whatever_makes_changes_may_stand_in_a_file() {
    let (config, warnings) = Config::parse(
        "/ppp secret\n\
         add name=a; add name=b comment=x; add name=c; add name=d profile=default-encryption\n\
         remove b\n\
         disable [find name=c]\n\
         comment 0 \"the first\"\n\
         set a name=first\n\
         unset d profile\n\
         add copy-from=c name=e\n\
         /radius\n\
         add address=10.0.0.1 secret=s; add address=10.0.0.2 secret=s; move 1 0\n\
         remove [find address=10.0.0.9]\n",
    )
    .unwrap();

    let secret = |name| {
        config
            .secrets
            .iter()
            .find(|secret| secret.name == name)
            .unwrap()
    };
    assert_eq!(config.secrets.len(), 4);
    assert!(secret("c").disabled && secret("e").disabled && !secret("d").disabled);
    assert_eq!(secret("first").comment, "the first");
    assert_eq!(secret("d").profile, "default");
    let second = Ipv4Addr::new(10, 0, 0, 2);
    assert_eq!(config.radius[0].address, Some(second));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["no item was found: nothing is changed (line 11 column 1)"]
    );
}

#[test]
fn a_new_name_of_a_profile_or_pool_reaches_who_refers_to_it() {
    let (config, _) = Config::parse(
        "/ip pool add name=q ranges=10.0.0.0/24\n\
         /ppp profile add name=p remote-address=q\n\
         /ppp secret add name=u profile=p\n\
         /interface pptp-server server set default-profile=p\n\
         /ip pool set q name=pool\n\
         /ppp profile set p name=profile\n",
    )
    .unwrap();

    assert_eq!(config.secrets[0].profile, "profile");
    assert_eq!(config.server.default_profile, "profile");
    let pool = Some(AddressSource::Pool("pool".to_owned()));
    assert_eq!(config.profile("profile").unwrap().remote_address, pool);
}

//! Files of `/etc/ppp/peers`.

use greyhound_control::import::{Imported, Kind, detect, import};
use greyhound_control::model::{Config, PptpClient};
use greyhound_control::ppp::{AuthMethod, Encryption};

use crate::{take_over, written};

#[test]
fn a_tunnel_as_pptpsetup_writes_it() {
    let text = include_str!("sources/peers/provider");
    insta::assert_snapshot!(written(&take_over(
        "/etc/ppp/peers/provider",
        Kind::PppdPeer,
        text
    )));
}

#[test]
fn a_tunnel_with_most_of_what_there_is() {
    let text = include_str!("sources/peers/office");
    insta::assert_snapshot!(written(&take_over("office", Kind::PppdPeer, text)));
}

#[test]
fn a_tunnel_by_the_plugin_of_pppd() {
    let text = include_str!("sources/peers/by-kernel");
    insta::assert_snapshot!(written(&take_over("by-kernel", Kind::PppdPeer, text)));
}

#[test]
fn the_interface_is_called_as_the_file_is_unless_that_is_none() {
    for (path, options, name) in [
        ("/etc/ppp/peers/office", "", "office"),
        ("office", "", "office"),
        ("/etc/ppp/peers/office", "ifname vpn0", "vpn0"),
        ("", "", "pptp-out1"),
        ("/dev/stdin", "", "pptp-out1"),
        ("/proc/self/fd/9", "", "pptp-out1"),
        ("my office", "", "pptp-out1"),
    ] {
        let text = format!("{TUNNEL}{options}");
        let imported = import(Kind::PppdPeer, path, &text, "").unwrap();

        assert_eq!(client(&imported).name, name, "{path}");
    }
}

/// Who refuses nothing is not narrower here than in pppd, and who refuses all of it does not dial.
#[test]
fn we_prove_who_we_are_by_what_is_not_refused() {
    use AuthMethod::{Chap, MsChapV1, MsChapV2, Pap};

    for (options, allow) in [
        ("", vec![Pap, Chap, MsChapV1, MsChapV2]),
        ("refuse-pap refuse-eap", vec![Chap, MsChapV1, MsChapV2]),
        ("-pap -chap -mschap", vec![MsChapV2]),
        ("refuse-mschap-v2", vec![Pap, Chap, MsChapV1]),
    ] {
        let imported = imported(options);
        assert_eq!(client(&imported).allow, allow, "{options}");
    }
    let none = imported("-pap -chap -mschap -mschap-v2");
    assert!(tells(&none, "options refuse-*"), "{none:?}");
}

#[test]
fn a_tunnel_has_a_profile_of_its_own_only_if_an_option_needs_one() {
    for (options, encryption, idle) in [
        ("", None, None),
        ("idle 0 mtu 1400 nobsdcomp", None, None),
        ("require-mppe", Some(Encryption::Required), None),
        ("require-mppe-128", Some(Encryption::Required), None),
        ("mppe required,stateless", Some(Encryption::Required), None),
        ("nomppe", Some(Encryption::No), None),
        ("idle 600", Some(Encryption::Yes), Some(600)),
        ("idle 9 require-mppe", Some(Encryption::Required), Some(9)),
    ] {
        let imported = imported(options);
        let (config, _) = Config::parse(&imported.text()).unwrap();
        let client = &config.clients[0];

        let Some(encryption) = encryption else {
            assert_eq!(client.profile, "default-encryption", "{options}");
            assert_eq!(imported.statements.len(), 1, "{options}");
            continue;
        };
        assert_eq!(client.profile, "pppd-office", "{options}");
        let resolved = config.resolve_client(client);
        assert_eq!(resolved.encryption, encryption, "{options}");
        let seconds = resolved.idle_timeout.map(|timeout| timeout.as_secs());
        assert_eq!(seconds, idle, "{options}");
        // As tunnels without one have it.
        assert!(resolved.change_tcp_mss, "{options}");
    }
}

#[test]
fn that_keys_may_be_shorter_than_asked_for_is_told() {
    for options in ["require-mppe-128", "+mppe-128", "mppe required,no40,no56"] {
        assert!(tells(&imported(options), "strength"), "{options}");
    }
    for options in ["require-mppe", "mppe required,stateless"] {
        assert!(!tells(&imported(options), "strength"), "{options}");
    }
}

#[test]
fn we_are_called_what_user_says_and_else_what_name_says() {
    for (options, user) in [
        ("", "me"),
        ("name you", "you"),
        ("user you", "you"),
        ("user you name somebody", "you"),
        ("name one name two", "two"),
    ] {
        let text = if options.is_empty() {
            "name me"
        } else {
            options
        };
        let text = format!("{LINE}{text}\n");
        let imported = import(Kind::PppdPeer, "office", &text, "").unwrap();

        assert_eq!(client(&imported).user, user, "{options}");
    }
    let nobody = import(Kind::PppdPeer, "office", LINE, "").unwrap();
    assert!(nobody.statements.is_empty() && tells(&nobody, "user"));
}

#[test]
fn a_tunnel_without_a_password_is_told_to_need_one() {
    let without = imported("");
    assert!(tells(&without, "chap-secrets"), "{without:?}");
    let with = imported("password open-sesame");

    assert_eq!(client(&with).password.as_str(), "open-sesame");
    assert!(!tells(&with, "chap-secrets") && !tells(&with, "open-sesame"));
}

#[test]
fn a_tunnel_that_is_there_is_not_added_again() {
    let text = format!("{TUNNEL}require-mppe\n");
    let first = import(Kind::PppdPeer, "office", &text, "").unwrap();
    let again = import(Kind::PppdPeer, "office", &text, &first.text()).unwrap();

    assert_eq!(first.statements.len(), 2);
    assert!(again.statements.is_empty(), "{}", again.text().as_str());
}

/// For pppd that only says how `defaultroute` is done.
#[test]
fn a_default_route_is_added_if_that_itself_is_asked_for() {
    for (options, adds) in [
        ("", false),
        ("replacedefaultroute", false),
        ("defaultroute", true),
        ("replacedefaultroute defaultroute", true),
        ("defaultroute nodefaultroute", false),
    ] {
        let client = client(&imported(options));
        assert_eq!(client.add_default_route, adds, "{options}");
    }
}

/// What follows may be a secret, or look like an option.
#[test]
fn of_an_option_that_is_not_known_only_the_name_is_told() {
    let imported = imported("proxy-secret hunter22\nof-a-plugin defaultroute\n");

    assert!(tells(&imported, "proxy-secret") && !tells(&imported, "hunter22"));
    assert!(!client(&imported).add_default_route);
}

#[test]
fn two_tunnels_to_one_server_keep_their_own_encryption() {
    let [first, second] = ["nomppe", "require-mppe"].map(|option| format!("{TUNNEL}{option}\n"));
    let first = import(Kind::PppdPeer, "first", &first, "").unwrap();
    let second = import(Kind::PppdPeer, "second", &second, &first.text()).unwrap();
    let both = [first.text().as_str(), second.text().as_str()].concat();
    let (config, _) = Config::parse(&both).unwrap();

    let encryption = config
        .clients
        .iter()
        .map(|client| config.resolve_client(client).encryption);
    let encryption: Vec<_> = encryption.collect();
    assert_eq!(encryption, [Encryption::No, Encryption::Required]);
}

/// `pptpsetup` calls the server what it calls the file.
#[test]
fn chap_secrets_has_the_password_of_a_tunnel_that_lacks_one() {
    let text = include_str!("sources/peers/provider");
    let tunnel = import(Kind::PppdPeer, "provider", text, "").unwrap();
    let text =
        "you provider other *\nme elsewhere other *\nme provider out *\nme provider late *\n";
    let secrets = import(Kind::ChapSecrets, "", text, &tunnel.text()).unwrap();
    let both = [tunnel.text().as_str(), secrets.text().as_str()].concat();
    let (config, _) = Config::parse(&both).unwrap();

    assert_eq!(config.clients[0].password.as_str(), "out");
    assert!(config.clients[0].disabled);
    let users: Vec<_> = config.secrets.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(users, ["you", "me"]);
    assert!(config.secrets.iter().all(|secret| secret.disabled));
    // What has a password keeps it.
    let again = import(Kind::ChapSecrets, "", "me provider new *\n", &both).unwrap();
    assert!(
        !again.text().contains("pptp-client"),
        "{}",
        again.text().as_str()
    );
}

#[test]
fn a_secret_that_cannot_be_read_is_no_password_of_a_tunnel() {
    let tunnel = imported("");
    for secret in [
        "''",
        "@/etc/ppp/me",
        "\\377",
        "$6$salt$0123456789012345678901234",
    ] {
        let text = format!("me office {secret} *\n");
        let secrets = import(Kind::ChapSecrets, "", &text, &tunnel.text()).unwrap();

        assert!(!secrets.text().contains("pptp-client"), "{secret}");
        assert!(!secrets.left_out.is_empty(), "{secret}");
    }
}

#[test]
fn a_line_that_is_not_made_by_pptp_is_no_tunnel() {
    for text in [
        "pty \"pppoe -I eth0\"\nuser me\n",
        "plugin rp-pppoe.so eth0\nuser me\n",
        "plugin pptpd-logwtmp.so\nname pptpd\n",
        "connect \"chat -f pptp\"\nuser me\n",
        "pty pptpd\nuser me\n",
        "require-mschap-v2\nms-dns 10.0.0.1\n",
    ] {
        assert_ne!(detect("/etc/ppp/peers/x", text), Kind::PppdPeer, "{text}");
        assert!(import(Kind::PppdPeer, "x", text, "").is_err(), "{text}");
    }
}

const LINE: &str = "pty \"pptp vpn.example.net --nolaunchpppd\"\n";
const TUNNEL: &str = "pty \"pptp vpn.example.net --nolaunchpppd\"\nuser me\n";

/// What becomes of a tunnel with these options.
fn imported(options: &str) -> Imported {
    let text = format!("{TUNNEL}{options}\n");
    take_over("office", Kind::PppdPeer, &text)
}

fn client(imported: &Imported) -> PptpClient {
    let (mut config, _) = Config::parse(&imported.text()).unwrap();
    assert_eq!(config.clients.len(), 1);
    let client = config.clients.remove(0);
    assert!(client.disabled);
    client
}

fn tells(imported: &Imported, what: &str) -> bool {
    let mut told = imported.left_out.iter().map(ToString::to_string);
    told.any(|line| line.contains(what))
}

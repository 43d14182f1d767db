//! Exports of RouterOS.

use greyhound_control::import::{Kind, import};
use greyhound_control::model::Config;
use greyhound_control::model::export::{Options, WHOLE, export};

use crate::{take_over, written};

const V6_COMPACT: &str = include_str!("sources/v6-compact.rsc");
const V7_VERBOSE: &str = include_str!("sources/v7-verbose.rsc");
const V7_TERSE: &str = include_str!("sources/v7-terse.rsc");
const WHOLE_ROUTER: &str = include_str!("sources/whole-router.rsc");

#[test]
fn a_compact_export_of_version_6() {
    insta::assert_snapshot!(written(&take_over("v6.rsc", Kind::RouterOs, V6_COMPACT)));
}

#[test]
fn a_verbose_export_of_version_7_with_hidden_passwords() {
    insta::assert_snapshot!(written(&take_over("v7.rsc", Kind::RouterOs, V7_VERBOSE)));
}

#[test]
fn a_terse_export_of_version_7() {
    insta::assert_snapshot!(written(&take_over("terse", Kind::RouterOs, V7_TERSE)));
}

#[test]
fn the_export_of_a_whole_router() {
    insta::assert_snapshot!(written(&take_over(
        "backup.txt",
        Kind::RouterOs,
        WHOLE_ROUTER
    )));
}

#[test]
fn what_was_taken_over_is_taken_over_unchanged() {
    for source in [V6_COMPACT, V7_VERBOSE, V7_TERSE, WHOLE_ROUTER] {
        let first = import(Kind::RouterOs, "", source, "").unwrap();
        let text = first.text();
        let second = import(Kind::RouterOs, "", &text, "").unwrap();

        assert_eq!(second.text(), text);
        let is_password = |what: &str| what.starts_with("password of ");
        assert!(second.left_out.iter().all(|one| is_password(&one.what)));
    }
}

/// In each style of this program's own export.
#[test]
fn what_is_exported_again_is_the_same_configuration() {
    for source in [V6_COMPACT, V7_VERBOSE, V7_TERSE, WHOLE_ROUTER] {
        let first = import(Kind::RouterOs, "", source, "").unwrap();
        let (config, _) = Config::parse(&first.text()).unwrap();
        for (verbose, terse) in [(false, false), (true, false), (false, true), (true, true)] {
            let options = Options {
                verbose,
                terse,
                show_sensitive: true,
            };
            let exported = export(&config, &[], options);

            let second = import(Kind::RouterOs, "", &exported, "").unwrap();

            let (again, _) = Config::parse(&second.text()).unwrap();
            assert_eq!(export(&again, &[], WHOLE), export(&config, &[], WHOLE));
            let is_password = |what: &str| what.starts_with("password of ");
            let lost = second.left_out.iter().find(|one| !is_password(&one.what));
            assert_eq!(lost, None, "{exported}");
        }
    }
}

#[test]
fn a_secret_without_a_password_lets_nobody_in() {
    for text in [
        "/ppp secret add name=a",
        "/ppp secret add name=a password=\"\"",
        "/ppp secret add name=a password=\"\" disabled=no",
        "/ppp secret add name=a password=\"\\FF\"",
        "/ppp secret add name=a password=$pw",
        "/ppp secret\nadd name=a password=x\nset a password=\"\"",
        "/ppp secret add name=a password=x disabled=perhaps",
        "/ppp secret add name=a password=x service=carrier-pigeon",
        "/ppp secret add name=a password=x caller-id=$x",
    ] {
        let imported = import(Kind::RouterOs, "", text, "").unwrap();
        let (config, _) = Config::parse(&imported.text()).unwrap();

        assert!(config.secrets[0].disabled, "{text}");
        assert!(!imported.left_out.is_empty(), "{text}");
    }
}

#[test]
fn the_built_in_profiles_are_found_by_each_of_their_names() {
    for (selector, names) in [
        ("*0", &["default"][..]),
        ("*FFFFFFFE", &["default-encryption"]),
        ("0", &["default"]),
        ("1", &["default-encryption"]),
        ("numbers=default", &["default"]),
        ("default-encryption", &["default-encryption"]),
        ("[find default=yes]", &["default", "default-encryption"]),
        ("[ find name=default ]", &["default"]),
        ("7 name=default-encryption", &["default-encryption"]),
        ("[ find default=no ]", &[]),
        ("*7", &[]),
        ("[ find where name~\"d\" ]", &[]),
    ] {
        let text = format!("/ppp profile set {selector} comment=x");
        let imported = import(Kind::RouterOs, "", &text, "").unwrap();
        let (config, _) = Config::parse(&imported.text()).unwrap();

        let set: Vec<_> = config
            .profiles
            .iter()
            .filter(|profile| profile.comment == "x")
            .map(|profile| profile.name.as_str())
            .collect();
        assert_eq!(set, names, "{selector}");
        assert_eq!(
            imported.left_out.is_empty(),
            !names.is_empty(),
            "{selector}"
        );
    }
}

#[test]
fn what_is_there_already_can_be_referred_to_and_is_not_added_again() {
    let existing = "/ppp profile\nadd name=office\n/ppp secret add name=ann password=x";
    let text = "/ppp secret\nadd name=ann password=y\nadd name=bob password=z profile=office\n\
                add name=joe password=z profile=shop";

    let imported = import(Kind::RouterOs, "", text, existing).unwrap();

    insta::assert_snapshot!(written(&imported), @r"
      3  /ppp secret add name=bob password=z profile=office
      4  /ppp secret add name=joe password=z

    line 2: /ppp secret ann: secret with the same name already exists
    line 4: profile of /ppp secret joe: there is no such profile
    ");
}

#[test]
fn menus_are_found_however_they_are_written() {
    let text = "/ip/pool/add name=a ranges=10.0.0.1\n/ip pool\nadd name=b ranges=10.0.0.2\n\
                ..\npool add name=c ranges=10.0.0.3\n/ip\npool\nadd name=d ranges=10.0.0.4\n\
                nonsense\nadd name=e ranges=10.0.0.5\n/\nip pool add name=f ranges=10.0.0.6";

    let imported = import(Kind::RouterOs, "", text, "").unwrap();

    insta::assert_snapshot!(written(&imported), @r"
      1  /ip pool add name=a ranges=10.0.0.1
      3  /ip pool add name=b ranges=10.0.0.2
      5  /ip pool add name=c ranges=10.0.0.3
      8  /ip pool add name=d ranges=10.0.0.4
     12  /ip pool add name=f ranges=10.0.0.6

    line 9: unreadable text: neither a menu nor a command (2 lines)
    ");
}

#[test]
fn what_is_no_export_at_all_is_said_to_be_none() {
    for text in [
        "hello",
        "a b c\nd e f",
        "[ppp]\nmtu=1400",
        "add name=x",
        "\"",
        "{",
    ] {
        assert!(import(Kind::RouterOs, "", text, "").is_err(), "{text}");
    }
    for text in ["", "\n \n", "# 2026-01-05 21:59:12 by RouterOS 7.18.2\n"] {
        assert!(import(Kind::RouterOs, "", text, "").is_ok(), "{text:?}");
    }
}

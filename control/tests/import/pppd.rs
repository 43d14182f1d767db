//! Files of pppd and of pptpd.

use greyhound_control::import::{Imported, Kind, import};
use greyhound_control::model::Config;

use crate::{take_over, written};

#[test]
fn secrets_of_pppd() {
    let text = include_str!("sources/chap-secrets");
    insta::assert_snapshot!(written(&take_over("chap-secrets", Kind::ChapSecrets, text)));
}

#[test]
fn secrets_of_pppd_for_pap() {
    let text = include_str!("sources/pap-secrets");
    insta::assert_snapshot!(written(&take_over("pap-secrets", Kind::PapSecrets, text)));
}

#[test]
fn a_secret_is_not_good_for_more_than_it_was() {
    for line in [
        "ann pptpd x",
        "ann pptpd x -",
        "ann pptpd x - *",
        "ann pptpd x 10.0.0.0/8",
        "ann pptpd x host.example.net",
        "ann pptpd x !10.0.0.1 *",
        "ann pptpd x 10.0.0.1 !10.0.0.2 *",
        "ann elsewhere x *",
        "ann PPTPD x *",
        "ann '' x *",
        "ann pptpd '' *",
        "ann pptpd \"\" 10.0.0.1",
        "ann pptpd @/etc/ann *",
        "ann pptpd \\0 *",
        "ann pptpd \"open *",
    ] {
        let imported = import(Kind::ChapSecrets, "", line, "").unwrap();

        for secret in &parsed(&imported).secrets {
            assert!(secret.disabled, "{line}");
        }
        assert!(!imported.left_out.is_empty(), "{line}");
    }
    for line in ["* pptpd x *", "'' pptpd x *", "\\377 pptpd x *"] {
        let imported = import(Kind::ChapSecrets, "", line, "").unwrap();
        assert!(imported.statements.is_empty(), "{line}");
    }
}

#[test]
fn a_secret_does_not_let_in_by_what_was_hidden_behind_it() {
    for (text, disabled) in [
        ("ann pptpd x -\nann * y *", [true, true]),
        ("ann * y *\nann elsewhere x *", [true, true]),
        ("ann pptpd x -\nbob * y *", [true, false]),
        ("ann l2tpd x -\nann * y *", [true, false]),
        ("ann * x -\nann pptpd y *", [true, false]),
    ] {
        let imported = import(Kind::ChapSecrets, "", text, "").unwrap();

        let secrets = parsed(&imported).secrets;
        let given: Vec<_> = secrets.iter().map(|one| one.disabled).collect();
        assert_eq!(given, disabled, "{text}");
    }
}

#[test]
fn a_secret_for_everything_is_taken_over_whole() {
    for (line, address) in [
        ("ann * x *", None),
        ("ann pptpd x 10.0.0.1", Some([10, 0, 0, 1])),
        ("ann pptpd x 10.0.0.1 *", Some([10, 0, 0, 1])),
    ] {
        let imported = import(Kind::ChapSecrets, "", line, "").unwrap();

        let secret = &parsed(&imported).secrets[0];
        assert!(!secret.disabled, "{line}");
        assert_eq!(secret.remote_address, address.map(Into::into), "{line}");
    }
}

#[test]
fn a_secret_for_the_name_of_this_machine_is_one_for_this_server() {
    let line = "ann office x *\nbob shop x *\n";
    let imported = import(
        Kind::ChapSecrets,
        "",
        line,
        "/system identity set name=office",
    )
    .unwrap();

    let disabled: Vec<_> = parsed(&imported)
        .secrets
        .iter()
        .map(|one| one.disabled)
        .collect();
    assert_eq!(disabled, [false, true]);
}

#[test]
fn the_configuration_of_pptpd() {
    let text = include_str!("sources/pptpd.conf");
    insta::assert_snapshot!(written(&take_over("pptpd.conf", Kind::PptpdConf, text)));
}

#[test]
fn lists_of_addresses_of_pptpd() {
    let text = include_str!("sources/pptpd-lists.conf");
    insta::assert_snapshot!(written(&take_over("my.conf", Kind::PptpdConf, text)));
}

#[test]
fn pptpd_that_leaves_the_addresses_to_pppd() {
    let text = include_str!("sources/pptpd-delegate.conf");
    insta::assert_snapshot!(written(&take_over("pptpd.conf", Kind::PptpdConf, text)));
}

#[test]
fn options_of_pppd_as_the_packages_have_them() {
    let text = include_str!("sources/pptpd-options");
    insta::assert_snapshot!(written(&take_over(
        "pptpd-options",
        Kind::PppdOptions,
        text
    )));
}

#[test]
fn odd_options_of_pppd() {
    let text = include_str!("sources/options.pptpd");
    insta::assert_snapshot!(written(&take_over(
        "options.pptpd",
        Kind::PppdOptions,
        text
    )));
}

#[test]
fn an_argument_may_stand_in_the_next_line() {
    let text = "ms-dns\n10.0.0.1\nlcp-echo-interval\n30\nlcp-echo-failure 4\nmtu\n1400\n";
    let imported = import(Kind::PppdOptions, "", text, "").unwrap();

    let taken = imported.statements.iter().flat_map(|one| &one.lines);
    let left_out = imported.left_out.iter().flat_map(|one| &one.lines);
    let mut lines: Vec<_> = taken.chain(left_out).copied().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7], "{imported:?}");
}

#[test]
fn ways_to_log_in_are_those_that_the_options_leave() {
    for (text, methods) in [
        ("require-mschap-v2", "mschap2"),
        ("require-mschap-v2 +mschap", "mschap1,mschap2"),
        ("require-pap refuse-pap", "pap"),
        ("refuse-mschap", "mschap2"),
        ("refuse-pap", "mschap1,mschap2"),
        ("refuse-mschap refuse-mschap-v2", ""),
        ("auth", ""),
    ] {
        let imported = import(Kind::PppdOptions, "", text, "").unwrap();
        let text = imported.text();

        let given = text
            .split_once("authentication=")
            .map_or("", |found| found.1.trim_end());
        assert_eq!(given, methods, "{text:?}");
    }
}

/// The files of one server, one after the other, as `existing` has them.
#[test]
fn the_files_of_a_server_make_one_configuration() {
    let mut existing = String::new();
    for (kind, text) in [
        (Kind::PptpdConf, include_str!("sources/pptpd.conf")),
        (Kind::PppdOptions, include_str!("sources/pptpd-options")),
        (Kind::ChapSecrets, include_str!("sources/chap-secrets")),
    ] {
        let imported = import(kind, "", text, &existing).unwrap();
        existing.push_str(&imported.text());
    }
    let (config, warnings) = Config::parse(&existing).unwrap();

    assert_eq!(config.pools[0].name, "pptpd");
    let profile = config.profile("default-encryption").unwrap();
    assert!(profile.remote_address.is_some() && profile.local_address.is_some());
    let open = config.secrets.iter().filter(|secret| !secret.disabled);
    let open: Vec<_> = open.map(|secret| secret.name.as_str()).collect();
    assert_eq!(
        open,
        [
            "ann",
            "bob smith",
            "OFFICE\\carl",
            "dora",
            "jon",
            "nik",
            "Zoë"
        ]
    );
    let warnings: Vec<_> = warnings.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(
        warnings,
        ["service: this service is not offered: nobody logs in"]
    );
}

#[test]
fn a_file_of_another_kind_is_said_to_be_one() {
    for kind in [
        Kind::ChapSecrets,
        Kind::AccelSecrets,
        Kind::PptpdConf,
        Kind::PppdOptions,
        Kind::PppdPeer,
        Kind::AccelPpp,
    ] {
        assert!(import(kind, "", "hello\nworld\n", "").is_err(), "{kind}");
        assert!(import(kind, "", "# nothing\n\n", "").is_ok(), "{kind}");
    }
    assert!(import(Kind::Unknown, "", "", "").is_err());
}

fn parsed(imported: &Imported) -> Config {
    Config::parse(&imported.text()).unwrap().0
}

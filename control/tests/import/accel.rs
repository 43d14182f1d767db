//! Files of accel-ppp.

use greyhound_control::import::{Kind, import};
use greyhound_control::model::Config;

use crate::{take_over, written};

#[test]
fn the_configuration_of_accel_ppp() {
    let text = include_str!("sources/accel-ppp.conf");
    insta::assert_snapshot!(written(&take_over("accel-ppp.conf", Kind::AccelPpp, text)));
}

#[test]
fn a_server_that_not_everybody_may_call_is_not_turned_on() {
    let text = include_str!("sources/accel-restricted.conf");
    let imported = take_over("my.conf", Kind::AccelPpp, text);

    let (config, _) = Config::parse(&imported.text()).unwrap();
    assert!(!config.server.enabled);
    insta::assert_snapshot!(written(&imported));
}

#[test]
fn secrets_of_accel_ppp_with_pools_and_rates() {
    let text = include_str!("sources/accel-secrets");
    let pools = "/ip pool add name=pool1 ranges=10.1.0.0/24";

    let imported = import(Kind::AccelSecrets, "", text, pools).unwrap();

    insta::assert_snapshot!(written(&imported));
    // Without its configuration there is no such pool.
    let alone = take_over("secrets", Kind::AccelSecrets, text);
    let is_pool = |one: &&_| ToString::to_string(one).contains("no such pool");
    assert_eq!(alone.left_out.iter().filter(is_pool).count(), 2);
}

#[test]
fn users_whose_passwords_are_only_known_as_hashes_are_disabled() {
    let text = include_str!("sources/accel-hashes");
    let imported = import(Kind::AccelSecrets, "", text, "").unwrap();

    let (config, _) = Config::parse(&imported.text()).unwrap();
    assert!(config.secrets.iter().all(|secret| secret.disabled));
    insta::assert_snapshot!(written(&imported));
}

#[test]
fn a_file_without_a_list_of_modules_has_them_all() {
    let text = "[ip-pool]\n10.0.0.2-9\n[shaper]\nrate-limit=1000\n[pptp]\nmppe=require\n";
    let imported = take_over("accel-ppp.conf", Kind::AccelPpp, text);

    assert!(imported.left_out.is_empty());
    assert!(!imported.text().contains("enabled"));
}

#[test]
fn what_is_of_a_module_that_is_not_loaded_says_nothing() {
    let text = "[modules]\npptp\n[radius]\nserver=192.0.2.1,x\n[ip-pool]\n10.0.0.2-9\n";
    let imported = take_over("accel-ppp.conf", Kind::AccelPpp, text);

    insta::assert_snapshot!(written(&imported), @r"
      2  /interface pptp-server server set enabled=yes

    line 4: [radius] server: its module is not loaded
    line 6: [ip-pool] 10.0.0.2-9: its module is not loaded
    ");
}

/// However its line is written.
#[test]
fn what_is_left_out_does_not_tell_a_secret() {
    for line in [
        "server=host.example.net,geheim",
        "server=192.0.2.1,geheim,acct-port=0",
        "server = 192.0.2.1,gehe,geheim",
        "server 192.0.2.1,geheim",
        "server,192.0.2.1,geheim,geheim=1",
        "auth-server=192.0.2.1:1812,geheim",
        "dae-server=192.0.2.1:x,geheim",
        "dm_coa_secret=geheim",
    ] {
        let text = format!("[radius]\n{line}\n[cli]\npassword=geheim\n");
        let imported = take_over("accel-ppp.conf", Kind::AccelPpp, &text);

        let told: String = imported
            .left_out
            .iter()
            .map(|one| format!("{one}\n"))
            .collect();
        assert!(
            !told.contains("geheim") || line.starts_with("geheim"),
            "{told}"
        );
        let (config, _) = Config::parse(&imported.text()).unwrap();
        let asked = config
            .radius
            .iter()
            .filter(|server| !server.disabled)
            .count();
        assert_eq!(
            asked,
            usize::from(line.starts_with("server,") || line.starts_with("server =")),
            "{line}"
        );
    }
}

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use super::*;
use crate::engine::testing::{in_namespace, keep_capabilities};
use crate::ipc::{ListedAddress, Prefix};

/// Runs nft(8) in the calling thread's namespace.
fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split(' ')).output();
    let output = output.expect("nft, of package nftables");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Has nft(8) carry out a file.
fn nft_file(rules: &str) {
    use std::io::Write;
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(rules.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{rules}");
}

/// The table as nft(8) prints it, with its white space made even.
fn table() -> String {
    let table = nft("list table inet greyhound");
    table.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

/// In a list of addresses.
fn listed(list: &str, last: u8) -> Membership {
    Membership {
        address_lists: vec![ListedAddress {
            list: list.to_owned(),
            address: address(last),
        }],
        ..Membership::default()
    }
}

fn filtered(incoming: Option<&str>, outgoing: Option<&str>) -> Membership {
    Membership {
        incoming_filter: incoming.map(str::to_owned),
        outgoing_filter: outgoing.map(str::to_owned),
        ..Membership::default()
    }
}

fn said(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(Warning::to_string).collect()
}

#[test]
fn who_belongs_nowhere_does_not_touch_the_firewall() {
    let mut memberships = Memberships::default();
    assert_eq!(memberships.join(3, "tun0", &Membership::default()), []);
    memberships.leave([3]);
    assert!(memberships.nftables.is_none());
}

#[test]
fn the_kernel_takes_what_it_is_told_and_nft_shows_it_as_it_is_meant() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        let membership = Membership {
            routes: Vec::new(),
            interface_list: Some("LAN".to_owned()),
            incoming_filter: Some("from users".to_owned()),
            outgoing_filter: Some("to-users".to_owned()),
            ..listed("customers", 5)
        };
        assert_eq!(memberships.join(3, "<pptp-MT-User>", &membership), []);
        let expected = r#"table inet greyhound {
            set customers {
                type ipv4_addr
                elements = { 10.0.1.5 comment "greyhound" }
            }
            set LAN {
                type ifname
                elements = { "<pptp-MT-User>" comment "greyhound" }
            }
            map greyhound-incoming {
                type ifname : verdict
                elements = { "<pptp-MT-User>" comment "greyhound" : jump from_users }
            }
            map greyhound-outgoing {
                type ifname : verdict
                elements = { "<pptp-MT-User>" comment "greyhound" : jump to-users }
            }
            chain from_users { }
            chain greyhound-incoming-input {
                type filter hook input priority filter; policy accept;
                iifname vmap @greyhound-incoming
            }
            chain greyhound-incoming-forward {
                type filter hook forward priority filter; policy accept;
                iifname vmap @greyhound-incoming
            }
            chain to-users { }
            chain greyhound-outgoing-output {
                type filter hook output priority filter; policy accept;
                oifname vmap @greyhound-outgoing
            }
            chain greyhound-outgoing-forward {
                type filter hook forward priority filter; policy accept;
                oifname vmap @greyhound-outgoing
            }
        }"#;
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(table(), expected.join(" "));

        let before = nft("list ruleset");
        nft_file(&format!("flush ruleset\n{before}"));
        assert_eq!(nft("list ruleset"), before, "it can be saved and restored");

        memberships.leave([3]);
        assert!(!table().contains("elements"), "{}", table());
    });
}

#[test]
fn an_element_stays_until_the_last_who_shares_it_has_gone() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        for ifindex in [3, 4] {
            let warnings = memberships.join(ifindex, "tun", &listed("customers", 5));
            assert_eq!(warnings, []);
        }
        memberships.leave([3]);
        assert!(table().contains("10.0.1.5"), "{}", table());
        memberships.leave([4, 3, 99]);
        assert!(!table().contains("10.0.1.5"), "{}", table());
    });
}

#[test]
fn what_the_operator_put_there_stays() {
    in_namespace(|| {
        nft_file(
            "table inet greyhound {
                set customers { type ipv4_addr; elements = { 10.0.1.5, 10.0.1.9 comment \"mine\" }; }
                chain users { counter drop; }
            }",
        );
        let mut memberships = Memberships::start();
        for n in 5..8 {
            let warnings = memberships.join(n.into(), "tun", &listed("customers", n));
            assert_eq!(warnings, []);
        }
        let filter = filtered(Some("users"), None);
        assert_eq!(memberships.join(8, "tun8", &filter), []);
        drop(memberships);

        // As after a crash.
        let memberships = Memberships::start();

        let table = table();
        assert!(
            table.contains("elements = { 10.0.1.5, 10.0.1.9 comment \"mine\" }"),
            "{table}"
        );
        assert!(table.contains("drop"), "{table}");
        assert!(!table.contains("tun8"), "{table}");
        drop(memberships);
    });
}

#[test]
fn however_many_have_filters_each_hook_has_one_rule() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        for (ifindex, chain) in (3..).zip(["one", "two", "one", "three"]) {
            let name = format!("tun{ifindex}");
            let filter = filtered(Some(chain), Some(chain));
            assert_eq!(memberships.join(ifindex, &name, &filter), []);
        }
        assert_eq!(table().matches("vmap").count(), 4, "{}", table());
        assert_eq!(table().matches(": jump one").count(), 4, "{}", table());
    });
}

#[test]
fn what_is_impossible_is_a_warning_and_the_rest_is_done() {
    in_namespace(|| {
        nft_file(
            "table inet greyhound {
                set ranges { type ipv4_addr; flags interval; }
                set names { type ipv4_addr; }
                chain hooked { type filter hook input priority 0; }
            }",
        );
        let mut memberships = Memberships::start();
        let list = |list: &str| ListedAddress {
            list: list.to_owned(),
            address: address(5),
        };
        let membership = Membership {
            address_lists: vec![list("ranges"), list("Клиенты"), list("good"), list("good")],
            interface_list: Some("names".to_owned()),
            incoming_filter: Some("hooked".to_owned()),
            outgoing_filter: Some("fine".to_owned()),
            routes: Vec::new(),
        };
        let expected = [
            "10.0.1.5 is not in the address list \"Клиенты\": a name in nftables cannot have 'К' in it",
            "not in the interface list \"names\": the set names is not simply one of type ifname, \
             without flags",
            "10.0.1.5 is not in the address list \"ranges\": the set ranges is not simply one of \
             type ipv4_addr, without flags",
            "no incoming filter \"hooked\": nftables: Operation not supported (os error 95)",
        ];
        let warnings = memberships.join(3, "tun3", &membership);
        assert_eq!(said(&warnings), expected);
        let found = table();
        assert!(
            found.contains("set good { type ipv4_addr elements"),
            "{found}"
        );
        assert!(found.contains(": jump fine"), "{found}");

        memberships.leave([3]);
        assert!(!table().contains("elements"), "{}", table());
    });
}

#[test]
fn after_the_operator_has_flushed_everything_the_next_session_founds_it_anew() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        let membership = Membership {
            incoming_filter: Some("users".to_owned()),
            ..listed("customers", 5)
        };
        assert_eq!(memberships.join(3, "tun3", &membership), []);
        nft("flush ruleset");
        assert_eq!(memberships.join(4, "tun4", &membership), []);
        assert!(table().contains("\"tun4\" comment \"greyhound\" : jump users"));
        assert_eq!(table().matches("vmap").count(), 2, "{}", table());
        assert!(table().contains("10.0.1.5"), "the one that is shared too");
        memberships.leave_all();
        assert!(!table().contains("elements"), "{}", table());
    });
}

#[test]
fn thousands_leave_at_once() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        for n in 0..1000_u16 {
            let [high, low] = n.to_be_bytes();
            let mut membership = listed("customers", 0);
            membership.address_lists[0].address = Ipv4Addr::new(10, 1, high, low);
            membership.interface_list = Some("users".to_owned());
            let name = format!("<pptp-u{n}>");
            assert_eq!(memberships.join(n.into(), &name, &membership), []);
        }
        let elements = table().matches("comment").count();
        assert_eq!(elements, 2000);
        nft_file("delete element inet greyhound customers { 10.1.0.7, 10.1.2.7 }");
        memberships.leave(0..900);
        assert_eq!(table().matches("comment").count(), 200);
        drop(memberships);

        let _memberships = Memberships::start();

        assert_eq!(table().matches("comment").count(), 0);
    });
}

#[test]
fn a_thread_that_may_not_is_warned() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        keep_capabilities(&[]);
        let warnings = memberships.join(3, "tun3", &listed("customers", 5));
        let expected = "10.0.1.5 is not in the address list \"customers\": nf_tables: Operation \
                        not permitted (os error 1)";
        assert_eq!(said(&warnings), [expected]);
    });
}

#[test]
fn an_operator_who_reloads_the_firewall_does_not_lose_the_sessions() {
    in_namespace(|| {
        let mut memberships = Memberships::start();
        for ifindex in 3..103 {
            let membership = Membership {
                interface_list: Some("lan".to_owned()),
                incoming_filter: Some("users".to_owned()),
                outgoing_filter: Some(format!("users-{}", ifindex % 2)),
                ..listed("customers", u8::try_from(ifindex).unwrap())
            };
            let name = format!("tun{ifindex}");
            assert_eq!(memberships.join(ifindex, &name, &membership), []);
        }
        let elements = || table().matches("comment \"greyhound\"").count();
        assert_eq!(elements(), 400);
        memberships.repair();
        assert_eq!(elements(), 400, "nothing was lost");

        nft_file("flush ruleset\ntable inet greyhound {\nchain users { counter drop; }\n}");
        assert_eq!(elements(), 0);
        memberships.repair();
        assert_eq!(elements(), 400);
        assert_eq!(table().matches("vmap").count(), 4, "{}", table());
        assert!(table().contains("drop"), "{}", table());

        nft("flush table inet greyhound");
        assert_eq!(table().matches("vmap").count(), 0, "{}", table());
        memberships.repair();
        assert_eq!(table().matches("vmap").count(), 4, "{}", table());

        nft("delete element inet greyhound customers { 10.0.1.7 }");
        nft_file("table ip another {\n}\ndelete table ip another");
        memberships.repair();
        assert_eq!(elements(), 399, "what the operator took out stays out");

        memberships.leave_all();
        assert_eq!(elements(), 0);
    });
}

#[test]
fn the_documented_rules_are_ones_that_sessions_fit_into() {
    let page = include_str!("../../../../docs/interfaces.md");
    let (_, rules) = page.split_once("```nft\n").unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    in_namespace(move || {
        nft_file(rules);
        let mut memberships = Memberships::start();
        let membership = Membership {
            interface_list: Some("tunnels".to_owned()),
            incoming_filter: Some("from-customers".to_owned()),
            ..listed("customers", 5)
        };
        assert_eq!(memberships.join(3, "tun3", &membership), []);
        assert_eq!(table().matches("comment").count(), 3, "{}", table());
    });
}

#[test]
fn routes_beyond_the_most_there_can_be_are_refused() {
    in_namespace(|| {
        let routes: Vec<Route> = (0..=MAX_ROUTES)
            .map(|number| Route {
                destination: Prefix::new(Ipv4Addr::new(10, 0, 1, 0), 24).unwrap(),
                gateway: None,
                metric: u32::try_from(number).unwrap(),
            })
            .collect();
        let warnings = add_routes(1, &routes);
        let [warning] = warnings.as_slice() else {
            panic!("{:?}", said(&warnings));
        };
        let expected = "no route 10.0.1.0/24 0.0.0.0 64: a session has 64 at most";
        assert_eq!(warning.to_string(), expected);
    });
}

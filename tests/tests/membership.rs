//! Where a session's interface belongs while it is up: routes through it, the firewall's lists and
//! its filters, as the kernel sees them and as packets meet them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greyhound_datapath::ipc::membership::ROUTE_PROTOCOL;
use greyhound_datapath::ipc::{ListedAddress, Membership, Prefix, Route};
use greyhound_tests::datapath::{Between, Datapath, End, MTU, Pair, Terms};
use greyhound_tests::machine::{QUEUES, UPLINK};
use greyhound_tests::namespace::{Namespace, join};
use greyhound_tests::ping::Ping;
use greyhound_tests::wait::wait_until;
use serde_json::Value;

#[test]
#[ignore = "needs root: ./run test"]
fn what_lies_behind_a_peer_is_reached_while_its_session_is_up() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, &[], &[])?;
    pair.namespace(End::Far).ip("addr add 10.1.0.9/32 dev lo")?;
    let peer = End::Far.inner();
    let route = |destination, gateway| Route {
        destination,
        gateway,
        metric: 7,
    };
    let behind = route(prefix([10, 1, 0, 0], 24)?, Some(peer));
    // This gateway is on the uplink.
    let astray = route(prefix([10, 2, 0, 0], 24)?, Some(End::Far.outer()));
    let membership = Membership {
        routes: vec![astray, behind],
        ..Membership::default()
    };

    let warnings = attach_again(&mut pair, membership)?;

    let refused = format!("no route {astray}: Network is unreachable (os error 101)");
    assert_eq!(warnings, [refused]);
    let near = pair.namespace(End::Near);
    let shown: Value = serde_json::from_str(&near.ip("-json route show proto 112")?)?;
    let [shown] = shown.as_array().map_or(&[][..], Vec::as_slice) else {
        panic!("not one route: {shown}");
    };
    assert_eq!(ROUTE_PROTOCOL, 112);
    assert_eq!(shown["dst"], "10.1.0.0/24");
    assert_eq!(shown["gateway"], peer.to_string());
    assert_eq!(shown["metric"], 7);
    assert_eq!(shown["dev"], "tunnel");
    // The answers come from an address that is not the peer's.
    let ping = Ping::run(near, &["-q", "-c", "3", "-i", "0.1", "10.1.0.9"])?;
    assert_eq!((ping.sent, ping.received), (3, 3));

    pair.datapath(End::Near).detach()?;

    let near = pair.namespace(End::Near);
    wait_until("the route is gone", PATIENCE, || {
        near.ip("route show proto 112")
            .is_ok_and(|shown| shown.is_empty())
    })
}

#[test]
#[ignore = "needs root: ./run test"]
fn the_operators_rules_find_a_session_in_its_lists_while_it_is_up() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, &[], &[])?;
    let near = pair.namespace(End::Near);
    let tables = near.run("nft", &["list", "tables"])?;
    assert_eq!(tables, "", "whoever belongs nowhere does not touch it");
    // As the operator's file has it, which the machine reads before anybody dials in.
    rules(
        near,
        "set customers { type ipv4_addr; }
         set users { type ifname; }
         chain count {
             type filter hook input priority 0;
             ip saddr @customers iifname @users counter
         }",
    )?;
    let membership = Membership {
        address_lists: vec![ListedAddress {
            list: "customers".to_owned(),
            address: End::Far.inner(),
        }],
        interface_list: Some("users".to_owned()),
        ..Membership::default()
    };

    assert_eq!(attach_again(&mut pair, membership)?, NOTHING);

    let near = pair.namespace(End::Near);
    let listed = |set: &str| Ok::<_, anyhow::Error>(elements(near, "set", set)?.join(" "));
    assert_eq!(listed("customers")?, End::Far.inner().to_string());
    assert_eq!(listed("users")?, "tunnel");
    let far = End::Near.inner().to_string();
    let words = ["-q", "-c", "3", "-i", "0.1", &far];
    assert_eq!(Ping::run(pair.namespace(End::Far), &words)?.received, 3);
    assert!(counted(near, "count")? >= 3);

    near.run("nft", &["flush ruleset"])?;
    wait_until("it is in its lists again", PATIENCE, || {
        ["customers", "users"]
            .iter()
            .all(|set| elements(near, "set", set).is_ok_and(|elements| elements.len() == 1))
    })?;

    pair.datapath(End::Near).detach()?;

    let near = pair.namespace(End::Near);
    wait_until("it is in no list", PATIENCE, || {
        ["customers", "users"]
            .iter()
            .all(|set| elements(near, "set", set).is_ok_and(|elements| elements.is_empty()))
    })
}

#[test]
#[ignore = "needs root: ./run test"]
fn filters_are_obeyed_by_what_comes_out_of_a_tunnel_and_what_goes_into_it() -> Result<()> {
    let mut pair = Pair::set_up(Between::Cable, &[], &[])?;
    let near = pair.namespace(End::Near);
    near.set("net/ipv4/ip_forward", "1")?;
    near.ip(&format!("route add 10.9.0.0/24 dev {UPLINK}"))?;
    let far = pair.namespace(End::Far);
    far.ip("route add 10.9.0.0/24 dev tunnel")?;
    rules(
        near,
        "chain from-users { icmp type echo-request counter drop; }
         chain to-users { icmp type echo-request counter drop; }",
    )?;
    let ping = |pair: &Pair, from: End, to: Ipv4Addr| {
        let to = to.to_string();
        let words = ["-q", "-c", "2", "-i", "0.1", "-W", "1", &to];
        Ok::<_, anyhow::Error>(Ping::run(pair.namespace(from), &words)?.received)
    };
    let membership = |incoming: Option<&str>, outgoing: Option<&str>| Membership {
        incoming_filter: incoming.map(str::to_owned),
        outgoing_filter: outgoing.map(str::to_owned),
        ..Membership::default()
    };

    let incoming = membership(Some("from-users"), None);
    assert_eq!(attach_again(&mut pair, incoming)?, NOTHING);
    let near = |pair: &Pair, chain| counted(pair.namespace(End::Near), chain);
    assert_eq!(ping(&pair, End::Far, End::Near.inner())?, 0);
    assert_eq!(near(&pair, "from-users")?, 2, "to the machine itself");
    assert_eq!(ping(&pair, End::Far, Ipv4Addr::new(10, 9, 0, 1))?, 0);
    assert_eq!(near(&pair, "from-users")?, 4, "and beyond it");
    assert_eq!(ping(&pair, End::Near, End::Far.inner())?, 2);

    let outgoing = membership(None, Some("to-users"));
    assert_eq!(attach_again(&mut pair, outgoing)?, NOTHING);
    assert_eq!(ping(&pair, End::Near, End::Far.inner())?, 0);
    assert_eq!(near(&pair, "to-users")?, 2);
    assert_eq!(ping(&pair, End::Far, End::Near.inner())?, 2);

    assert_eq!(attach_again(&mut pair, Membership::default())?, NOTHING);
    assert_eq!(ping(&pair, End::Far, End::Near.inner())?, 2);
    assert_eq!(ping(&pair, End::Near, End::Far.inner())?, 2);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_start_removes_what_a_crash_left_and_an_orderly_end_leaves_nothing() -> Result<()> {
    let (machine, other) = (Namespace::new("near")?, Namespace::new("far")?);
    join(&machine, &other, UPLINK, QUEUES)?;
    machine.ip(&format!("addr add {}/24 dev {UPLINK}", End::Near.outer()))?;
    rules(
        &machine,
        "set customers { type ipv4_addr; elements = { 10.0.0.77 }; }
         chain from-users { counter drop; }",
    )?;
    let membership = Membership {
        routes: vec![Route {
            destination: prefix([10, 1, 0, 0], 24)?,
            gateway: None,
            metric: 1,
        }],
        address_lists: vec![ListedAddress {
            list: "customers".to_owned(),
            address: End::Far.inner(),
        }],
        interface_list: Some("users".to_owned()),
        incoming_filter: Some("from-users".to_owned()),
        outgoing_filter: Some("to-users".to_owned()),
    };
    let found = || -> Result<Vec<usize>> {
        let sets = [
            ("set", "customers"),
            ("set", "users"),
            ("map", "greyhound-incoming"),
            ("map", "greyhound-outgoing"),
        ];
        let count = |(kind, name)| Ok(elements(&machine, kind, name)?.len());
        sets.into_iter().map(count).collect()
    };
    let start = || -> Result<Datapath> {
        let mut datapath = Datapath::start(&machine, UPLINK, &[])?;
        datapath.establish(End::Near, Terms::USUAL)?;
        datapath.detach()?;
        let attached = datapath.attach(End::Near, MTU, membership.clone())?;
        ensure!(attached.warnings.is_empty(), "{:?}", attached.warnings);
        Ok(datapath)
    };

    let crashing = start()?;
    assert_eq!(found()?, [2, 1, 1, 1]);
    // Dropped, it is killed.
    drop(crashing);
    assert_eq!(found()?, [2, 1, 1, 1]);
    // Not of a session, and so of nobody.
    machine.ip(&format!("route add 10.8.0.0/16 dev {UPLINK} proto 112"))?;
    let datapath = Datapath::start(&machine, UPLINK, &[])?;
    assert_eq!(found()?, [1, 0, 0, 0]);
    assert_eq!(machine.ip("route show proto 112")?, "");
    let rules = machine.run("nft", &["list", "chain", "inet", "greyhound", "from-users"])?;
    assert!(rules.contains("drop"), "the operator's rules stay: {rules}");
    drop(datapath);

    let ending = start()?;
    assert_eq!(found()?, [2, 1, 1, 1]);
    ending.stop()?;
    assert_eq!(found()?, [1, 0, 0, 0]);
    assert_eq!(machine.ip("route show proto 112")?, "");
    Ok(())
}

/// Gives the near end an interface of another membership; says what it has to do without.
fn attach_again(pair: &mut Pair, membership: Membership) -> Result<Vec<String>> {
    pair.datapath(End::Near).detach()?;
    // A new one has the old one's name when that is free.
    let near = pair.namespace(End::Near);
    wait_until("the interface is gone", PATIENCE, || {
        near.interfaces()
            .is_ok_and(|interfaces| !interfaces.contains_key("tunnel"))
    })?;
    let attached = pair
        .datapath(End::Near)
        .attach(End::Near, MTU, membership)?;
    let warnings = attached.warnings.iter().map(ToString::to_string);
    Ok(warnings.collect())
}

fn prefix(address: [u8; 4], length: u8) -> Result<Prefix> {
    Prefix::new(address.into(), length).context("no such prefix")
}

/// Writes rules into our table, as an operator does.
fn rules(namespace: &Namespace, rules: &str) -> Result<()> {
    let table = format!("table inet greyhound {{\n{rules}\n}}");
    namespace.run("nft", &[&table]).map(drop)
}

/// What is in a set or a map, as nft prints it.
fn elements(namespace: &Namespace, kind: &str, name: &str) -> Result<Vec<String>> {
    let shown = namespace.run("nft", &["-j", "list", kind, "inet", "greyhound", name])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let all = shown["nftables"].as_array().context("no list")?;
    let found = all.iter().find_map(|entry| entry.get(kind));
    let elements = found.context("no such set")?["elem"].as_array().cloned();
    let keys = elements.into_iter().flatten().map(|element| {
        // With a comment it is an object; in a map it is the first of two.
        let key = element.get(0).unwrap_or(&element);
        let key = key.pointer("/elem/val").unwrap_or(key);
        key.as_str().unwrap_or_default().to_owned()
    });
    Ok(keys.collect())
}

/// The packets that the one counter in a chain has seen.
fn counted(namespace: &Namespace, chain: &str) -> Result<u64> {
    let shown = namespace.run("nft", &["-j", "list", "chain", "inet", "greyhound", chain])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let all = shown["nftables"].as_array().context("no list")?;
    let rules = all
        .iter()
        .filter_map(|entry| entry["rule"]["expr"].as_array());
    let counter = rules
        .flatten()
        .find_map(|expression| expression["counter"]["packets"].as_u64());
    counter.context("no counter")
}

const NOTHING: [String; 0] = [];

const PATIENCE: Duration = Duration::from_secs(10);

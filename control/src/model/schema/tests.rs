use std::collections::BTreeSet;

use super::super::table::{TABLES, Table};
use super::super::{
    Aaa, AccountingSettings, Binding, Identity, Pool, PptpClient, PptpServer, Profile, Radius,
    RadiusIncoming, Secret,
};
use super::*;

#[test]
fn every_property_has_a_name_of_its_own_and_help() {
    for table in TABLES {
        let mut names = BTreeSet::new();
        for property in table.properties() {
            assert!(names.insert(property.name), "{} twice", property.name);
            assert!(!property.help.is_empty(), "{} has no help", property.name);
        }
    }
}

#[test]
fn every_table_is_a_menu_and_every_menu_with_add_a_table() {
    for table in TABLES {
        assert!(
            MENUS.iter().any(|menu| menu.path == table.path()),
            "{table:?}"
        );
    }
    for menu in MENUS
        .iter()
        .filter(|menu| menu.commands.contains(&path::Command::Add))
    {
        assert!(
            TABLES.iter().any(|table| table.path() == menu.path),
            "{menu:?}"
        );
    }
}

/// Required properties have no default worth the name, and that of an interface is made up.
#[test]
fn every_default_reads_back_as_itself() {
    fn check<T: Item>() {
        for property in T::MENU.properties {
            let mut item = T::default();
            // Not one of the built-in ones.
            item.meta_mut().id = Id(1);
            match property.effect {
                Effect::Kept {
                    set, show, reset, ..
                } => {
                    let default = show(&item);
                    if default.is_empty() {
                        continue;
                    }
                    assert!(set(&mut item, &default).is_ok(), "{}", property.name);
                    assert_eq!(show(&item), default);
                    reset(&mut item);
                    assert_eq!(show(&item), default);
                }
                Effect::Inert {
                    default,
                    words,
                    others,
                } => {
                    let known = words.iter().find(|(word, _)| *word == default);
                    let treatment = known.map(|&(_, treatment)| treatment).or(others);
                    assert!(treatment.is_some(), "{}", property.name);
                    if !default.is_empty() {
                        assert_eq!(treatment, Some(Treatment::Fine), "{}", property.name);
                    }
                }
            }
        }
    }
    check::<Aaa>();
    check::<AccountingSettings>();
    check::<Binding>();
    check::<Identity>();
    check::<Pool>();
    check::<PptpClient>();
    check::<PptpServer>();
    check::<Profile>();
    check::<Radius>();
    check::<RadiusIncoming>();
    check::<Secret>();
}

/// Every property that the product's manual has, with the default that it has there.
#[test]
fn the_properties_and_defaults_are_those_of_the_product() {
    for (path, expected) in [
        (
            "/interface pptp-server server",
            "enabled=no max-mtu=1460 max-mru=1460 mrru=disabled authentication=mschap1,mschap2 \
             keepalive-timeout=30 default-profile=default-encryption max-sessions=unlimited \
             one-session-per-host=no",
        ),
        ("/interface pptp-server", "name= user= disabled=no comment="),
        (
            "/interface pptp-client",
            "name= max-mtu=1460 max-mru=1460 mrru=disabled connect-to= user= password= \
             profile=default-encryption keepalive-timeout=60 use-peer-dns=no \
             add-default-route=no default-route-distance=1 dial-on-demand=no \
             allow=pap,chap,mschap1,mschap2 disabled=yes comment=",
        ),
        (
            "/ppp profile",
            "name= local-address= remote-address= dns-server= wins-server= \
             use-encryption=default only-one=default change-tcp-mss=default \
             use-compression=default use-ipv6=yes use-mpls=default use-upnp=default \
             session-timeout= idle-timeout= rate-limit= incoming-filter= outgoing-filter= \
             address-list= interface-list= on-up= on-down= remote-ipv6-prefix-pool= \
             remote-ipv6-prefix-reuse=default dhcpv6-pd-pool= dhcpv6-lease-time= \
             dhcpv6-use-radius=default bridge= bridge-horizon= bridge-learning=default \
             bridge-path-cost= bridge-port-priority= bridge-port-trusted= bridge-port-vid= \
             parent-queue= queue-type=default insert-queue-before= comment=",
        ),
        (
            "/ppp secret",
            "name= password= service=any profile=default caller-id= local-address= \
             remote-address= routes= ipv6-routes= remote-ipv6-prefix= limit-bytes-in=0 \
             limit-bytes-out=0 disabled=no comment=",
        ),
        ("/ip pool", "name= ranges= next-pool=none comment="),
        (
            "/ppp aaa",
            "use-radius=no accounting=yes interim-update=0s use-circuit-id-in-nas-port-id=no \
             enable-ipv6-accounting=no",
        ),
        (
            "/ppp accounting settings",
            "keep-for=52w1d max-sessions=1000000",
        ),
        (
            "/radius",
            "service= called-id= domain= address= secret= authentication-port=1812 \
             accounting-port=1813 timeout=1s100ms accounting-backup=no realm= protocol=udp \
             certificate=none radsec-timeout=3300ms src-address= \
             require-message-auth=yes-for-request-resp disabled=no comment=",
        ),
        ("/radius incoming", "accept=no port=3799 vrf=main"),
        ("/system identity", "name=Greyhound"),
    ] {
        let is_it = |table: &&&dyn Table| format!("/{}", table.path().join(" ")) == path;
        let table = TABLES.iter().find(is_it).expect(path);
        let properties = table.properties();
        let texts: Vec<_> = properties
            .iter()
            .map(|property| format!("{}={}", property.name, property.default))
            .collect();
        assert_eq!(texts.join(" "), expected, "{path}");
    }
}

#[test]
fn the_built_in_profiles_are_those_of_the_product() {
    let config = Config::default();
    let profile = |name| config.profile(name).unwrap();
    assert_eq!(profile("default").change_tcp_mss, Some(true));
    assert_eq!(profile("default").use_encryption, None);
    let encrypted = profile("default-encryption");
    assert_eq!(encrypted.use_encryption, Some(crate::ppp::Encryption::Yes));
    assert_eq!(encrypted.change_tcp_mss, Some(true));
    let ids: Vec<_> = config
        .profiles
        .iter()
        .map(|one| one.meta.id.to_string())
        .collect();
    assert_eq!(ids, ["*0", "*FFFFFFFE"]);
}

#[test]
fn ids_read_back() {
    for id in [Id(0), Id(26), Id(u32::MAX)] {
        assert_eq!(Id::parse(&id.to_string()), Some(id));
    }
    for text in ["", "*", "1", "*+1", "*G", "*123456789"] {
        assert_eq!(Id::parse(text), None, "{text}");
    }
}

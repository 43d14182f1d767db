use super::*;

#[test]
fn the_overhead_is_what_the_headers_take() {
    // With MPPE and both headers compressed 1460 bytes fill an Ethernet frame exactly.
    assert_eq!(overhead((true, true), true), 40);
    assert_eq!(overhead((false, false), true), 44);
    assert_eq!(overhead((false, false), false), 40);
    assert_eq!(overhead((true, true), false), 37);
}

#[test]
fn an_interface_name_is_one_that_the_kernel_takes() {
    assert_eq!(interface_name("<pptp-MT-User>"), "<pptp-MT-User>");
    assert_eq!(interface_name("<pptp-a/b:c d\n>"), "<pptp-a_b_c_d_>");
    let long = interface_name(&format!("<pptp-{}>", "ü".repeat(100)));
    assert!(long.len() <= MAX_INTERFACE_NAME && long.starts_with("<pptp-üü"));
}

#[test]
fn an_address_of_a_tunnel_is_one_that_a_host_can_have() {
    let network = |ours: &str, peer: &str| Network {
        ours: ours.parse().unwrap(),
        peer: peer.parse().unwrap(),
        dns: [None; 2],
        wins: [None; 2],
    };
    for (ours, peer, bad) in [
        ("127.0.0.1", "10.0.0.1", "127.0.0.1"),
        ("10.0.0.5", "0.1.2.3", "0.1.2.3"),
        ("10.0.0.5", "224.0.0.1", "224.0.0.1"),
        ("255.255.255.255", "10.0.0.1", "255.255.255.255"),
        ("240.0.0.1", "10.0.0.1", "240.0.0.1"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
    ] {
        let found = unusable(&network(ours, peer));
        assert_eq!(found, Some(bad.parse().unwrap()), "{ours} {peer}");
    }
    assert_eq!(unusable(&network("10.0.0.5", "192.0.2.1")), None);
}

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

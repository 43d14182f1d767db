//! TUN interfaces: one for each session, gone when its descriptor is closed.
//!
//! An interface has at most 15 bytes of name in the kernel. A name that is longer, or that the
//! kernel would not take, becomes the alternative name of an interface with a shorter one.
#![allow(unsafe_code, reason = "takes over a descriptor")]

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use crate::engine::netlink::{self, MAX_ALT_NAME_BYTES, MAX_NAME_BYTES, Netlink};

/// An interface whose packets go through [`Self::fd`].
#[derive(Debug)]
pub struct Tun {
    /// What is read is what the kernel sends into the interface. Closing it deletes the interface.
    pub fd: OwnedFd,
    /// The name of at most 15 bytes.
    pub kernel_name: String,
    /// The interface's index.
    pub ifindex: u32,
}

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel did not make it.
    #[error("{name}: {source}{}", hint(.source))]
    Open {
        /// The name that was asked for.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel did not set it up.
    #[error(transparent)]
    Setup(#[from] netlink::Error),
}

impl Tun {
    /// Makes an interface for `display_name` in the network namespace of the calling thread: down,
    /// without addresses, and kept from giving itself any.
    ///
    /// # Errors
    /// [`Error`]. CAP_NET_ADMIN is needed.
    pub fn create(netlink: &mut Netlink, display_name: &str) -> Result<Self, Error> {
        let tun = Self::open(display_name).map_err(|source| Error::Open {
            name: display_name.to_owned(),
            source,
        })?;
        netlink.disable_ipv6_addresses(&tun.kernel_name, tun.ifindex)?;
        if tun.kernel_name != display_name {
            let alt_name = alt_name(display_name);
            if !alt_name.is_empty() {
                netlink.add_alt_name(&tun.kernel_name, tun.ifindex, &alt_name)?;
            }
        }
        Ok(tun)
    }

    /// Gives the interface its address, the peer's, and its MTU, and brings it up.
    ///
    /// # Errors
    /// [`netlink::Error`] with the step that failed.
    pub fn bring_up(
        &self,
        netlink: &mut Netlink,
        ours: Ipv4Addr,
        peer: Ipv4Addr,
        mtu: u32,
    ) -> Result<(), netlink::Error> {
        netlink.bring_up(&self.kernel_name, self.ifindex, ours, peer, mtu)
    }

    fn open(display_name: &str) -> io::Result<Self> {
        // Any socket will do to ask for an interface's index.
        let any = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
        let plain = usable_as_it_is(display_name).then(|| display_name.to_owned());
        // Counted up over all interfaces: where thousands of names begin alike, to count from 1 for
        // each would try as many names as there are.
        let numbered =
            (0..ATTEMPTS).map(|_| numbered(display_name, NUMBER.fetch_add(1, Ordering::Relaxed)));
        for kernel_name in plain.into_iter().chain(numbered) {
            // The kernel would hand out a persistent TUN of this name that somebody left there.
            if netdevice::name_to_index(&any, &kernel_name).is_ok() {
                continue;
            }
            match open(&kernel_name) {
                Ok(fd) => {
                    let ifindex = netdevice::name_to_index(&any, &kernel_name)?;
                    return Ok(Self {
                        fd,
                        kernel_name,
                        ifindex,
                    });
                }
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens the TUN of this name, without the four bytes in front of each packet.
fn open(kernel_name: &str) -> io::Result<OwnedFd> {
    let mut configuration = tun::configure();
    configuration
        .tun_name(kernel_name)
        .platform_config(|platform| {
            // It has nothing to configure that would need them.
            platform.ensure_root_privileges(false);
        });
    let fd = tun::create(&configuration)?.into_raw_fd();
    // SAFETY: given up by the device just above, so it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the kernel takes this name, and takes it literally.
fn usable_as_it_is(display_name: &str) -> bool {
    let length = display_name.len();
    (1..=MAX_NAME_BYTES).contains(&length)
        && display_name.chars().all(is_usable)
        && !matches!(display_name, "." | "..")
}

/// A name that the kernel takes for an interface with this display name, told apart by `number`
/// from others that begin alike: `<pptp-MT-User>7`.
fn numbered(display_name: &str, number: u32) -> String {
    let bracketed = display_name.starts_with('<');
    let end = format!("{}{number}", if bracketed { ">" } else { "" });
    let beginning = display_name.strip_suffix('>').filter(|_| bracketed);
    let beginning = beginning.unwrap_or(display_name).chars();
    let mut name = String::with_capacity(MAX_NAME_BYTES);
    for character in beginning {
        let character = if is_usable(character) { character } else { '_' };
        if name.len() + character.len_utf8() + end.len() > MAX_NAME_BYTES {
            break;
        }
        name.push(character);
    }
    name + &end
}

/// Whether a character may be in a name as it is.
fn is_usable(character: char) -> bool {
    // A percent sign would make the name a template. The kernel takes names byte by byte, and the
    // byte 0xa0 for a space, whatever character it is a part of.
    let mut bytes = [0; 4];
    let has_space = character
        .encode_utf8(&mut bytes)
        .bytes()
        .any(|byte| byte == 0xa0);
    !has_space
        && !character.is_control()
        && !character.is_whitespace()
        && !matches!(character, '/' | ':' | '%')
}

/// As much of the display name as fits, without what ends a string or a line.
fn alt_name(display_name: &str) -> String {
    let mut name = String::new();
    for character in display_name
        .chars()
        .filter(|character| !character.is_control())
    {
        if name.len() + character.len_utf8() > MAX_ALT_NAME_BYTES {
            break;
        }
        name.push(character);
    }
    name
}

/// The number for the next name that needs one.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// How many names to try. A number that is taken belongs to somebody else's interface.
const ATTEMPTS: u32 = 1000;

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => "; CAP_NET_ADMIN is needed",
        Some(libc::ENOENT | libc::ENODEV) => "; /dev/net/tun is needed (modprobe tun)",
        Some(libc::EBUSY) => "; no name like it is free",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::testing::{in_namespace, interfaces, ip, keep_capabilities};

    #[test]
    fn a_name_that_fits_is_the_kernels_name_too() {
        for name in [
            "<pptp-MT-User>",
            "<pptp-MT-Users>",
            "tun0",
            "a",
            "<pptp-müller>",
            "%",
        ] {
            assert_eq!(usable_as_it_is(name), name != "%", "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "a:b",
            "pp%d",
            "a\tb",
            "a\0b",
            "<pptp-MT-User12>",
            "à",
        ] {
            assert!(!usable_as_it_is(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_cut_and_numbered() {
        let cases = [
            ("<pptp-MT-User-with-a-long-name>", 7, "<pptp-MT-User>7"),
            ("<pptp-MT-User-with-a-long-name>", 1234, "<pptp-MT-U>1234"),
            (
                "<pptp-MT-User-with-a-long-name>",
                u32::MAX,
                "<ppt>4294967295",
            ),
            ("<pptp-a b>", 1, "<pptp-a_b>1"),
            ("<pptp-x/y:z%d>", 1, "<pptp-x_y_z_d>1"),
            ("<pptp-äöüÄÖÜ>", 1, "<pptp-äöü>1"),
            ("<pptp-à>", 1, "<pptp-_>1"),
            ("pptp-out-to-headquarters", 12, "pptp-out-to-h12"),
            ("<unclosed", 1, "<unclosed>1"),
            ("", 3, "3"),
            (".", 3, ".3"),
            ("\n\t ", 3, "___3"),
        ];
        for (display_name, number, expected) in cases {
            assert_eq!(numbered(display_name, number), expected);
        }
        assert_eq!(numbered(&"x".repeat(300), 5), "xxxxxxxxxxxxxx5");
    }

    #[test]
    fn the_full_name_is_cut_at_a_character() {
        assert_eq!(alt_name("<pptp-a b>"), "<pptp-a b>");
        assert_eq!(alt_name("a\0b\nc"), "abc");
        assert_eq!(alt_name(&"x".repeat(300)), "x".repeat(127));
        assert_eq!(alt_name(&"ä".repeat(100)), "ä".repeat(63));
    }

    proptest! {
        #[test]
        fn any_name_and_number_make_a_name_that_the_kernel_can_take(
            display_name in "\\PC{0,40}|.{0,40}",
            number: u32,
        ) {
            let name = numbered(&display_name, number);
            prop_assert!(usable_as_it_is(&name), "{:?}", name);
            prop_assert!(name.ends_with(&number.to_string()));
            prop_assert!(alt_name(&display_name).len() <= MAX_ALT_NAME_BYTES);
        }
    }

    #[test]
    fn the_kernel_takes_every_name() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let long = "<pptp-".to_owned() + &"x".repeat(300) + ">";
            let names = [
                "<pptp-MT-User>",
                "<pptp-MT-User-with-a-long-name>",
                "<pptp-a b>",
                "<pptp-x/y:z%d>",
                "<pptp-müller-lüdenscheidt>",
                "<pptp-à>",
                "",
                ".",
                "..",
                "%d",
                "\n",
                &long,
            ];
            for name in names {
                let tun = Tun::create(&mut netlink, name).unwrap();
                assert_eq!(tun.kernel_name == name, name == "<pptp-MT-User>");
                assert_eq!(
                    netlink.uplink(&tun.kernel_name).unwrap().ifindex,
                    tun.ifindex
                );
                let alt_name = alt_name(name);
                if !alt_name.is_empty() {
                    assert_eq!(netlink.uplink(&alt_name).unwrap().ifindex, tun.ifindex);
                }
                drop(tun);
            }
            assert!(interfaces().is_empty());
        });
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            ip("tuntap add mode tun name <pptp-left>");
            ip("link add <pptp-veth> type veth peer name vb");
            let mut seen = BTreeSet::new();
            for name in [
                "<pptp-left>",
                "<pptp-veth>",
                "<pptp-bob>",
                "<pptp-bob>",
                "<pptp-bob>",
            ] {
                let tun = Tun::create(&mut netlink, name).unwrap();
                assert!(tun.kernel_name.starts_with(name), "{}", tun.kernel_name);
                assert_eq!(
                    tun.kernel_name == name,
                    name == "<pptp-bob>" && seen.len() == 2
                );
                seen.insert(tun.kernel_name.clone());
                std::mem::forget(tun);
            }
            assert_eq!(seen.len(), 5);
        });
    }

    #[test]
    fn an_interface_is_set_up_as_told_and_says_nothing_by_itself() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let tun = Tun::create(&mut netlink, "<pptp-MT-User>").unwrap();
            let (ours, peer) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 5));
            tun.bring_up(&mut netlink, ours, peer, 1400).unwrap();
            let shown = ip("address show <pptp-MT-User>");
            for expected in ["mtu 1400", ",UP", "inet 10.0.0.1 peer 10.0.0.5/32"] {
                assert!(shown.contains(expected), "{expected}: {shown}");
            }
            assert!(!shown.contains("inet6"), "{shown}");
            if Path::new("/proc/sys/net/ipv6/conf").exists() {
                let shown = ip("-d link show <pptp-MT-User>");
                assert!(shown.contains(" addrgenmode none "), "{shown}");
            }
            rustix::io::ioctl_fionbio(&tun, true).unwrap();
            let packet = rustix::io::read(&tun, &mut [0; 2048]);
            assert_eq!(packet, Err(rustix::io::Errno::AGAIN));
            let twice = tun
                .bring_up(&mut netlink, ours, peer, 1400)
                .unwrap_err()
                .to_string();
            assert_eq!(
                twice,
                "<pptp-MT-User>: add its address: File exists (os error 17)"
            );
        });
    }

    #[test]
    fn an_mtu_below_that_of_ipv6_is_fine() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let tun = Tun::create(&mut netlink, "<pptp-a>").unwrap();
            let (ours, peer) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 5));
            tun.bring_up(&mut netlink, ours, peer, 576).unwrap();
            assert!(ip("link show <pptp-a>").contains("mtu 576"));
        });
    }

    #[test]
    fn without_the_capability_the_error_names_it() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            keep_capabilities(&[]);
            let error = Tun::create(&mut netlink, "<pptp-a>")
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("<pptp-a>: "), "{error}");
            assert!(error.ends_with("; CAP_NET_ADMIN is needed"), "{error}");
        });
    }
}

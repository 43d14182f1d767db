//! TUN interfaces: single queue, named as the operator knows it; one a session, or one that stands
//! from session to session.
//!
//! An interface is not persistent: when its descriptor is closed, by whatever end of the process,
//! the kernel deletes it.

#![expect(
    unsafe_code,
    reason = "takes over the descriptor that the tun crate gives up, and asks for offloads and a \
              carrier"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::netlink::Netlink;
use crate::ipc::Interface;

/// The kernel's limit for a name, without the terminating zero.
const NAME_BYTES: usize = 15;
/// The kernel's limit for an altname.
const ALTNAME_BYTES: usize = 127;
const DEVICE: &str = "/dev/net/tun";
const MISSING: &str = "/dev/net/tun is missing: load the kernel's tun module with: modprobe tun; in a container, \
     give it the device";
/// How many names are tried before creation fails: sessions of one user at the same time.
const NAMES_TRIED: u32 = 65_536;
/// How many of them are tried from the first on, so that few sessions have small numbers.
const NAMES_IN_ORDER: u32 = 4;
/// What stands behind a name of which there are many.
static NEXT_NUMBER: AtomicU32 = AtomicU32::new(NAMES_IN_ORDER);

/// A TUN interface that is up.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    /// The kernel's name.
    pub kernel_name: String,
    /// The kernel's index.
    pub ifindex: u32,
    /// What may be left to the kernel. Unless it is [`Offload::Off`], each packet has a
    /// virtio-net header in front of it, both ways.
    pub offload: Offload,
}

/// What the kernel and the worker may leave to each other on an interface: packets of up to 64 KB
/// in place of the many they stand for, and checksums. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offload {
    /// Nothing: one packet is one read or write.
    Off,
    /// A header in front of each packet, and nothing in it: the kernel refused all of it.
    Header,
    /// Checksums and TCP, IPv4 and IPv6.
    Tcp,
    /// UDP too (since Linux 6.2).
    Udp,
}

impl Tun {
    /// Says whether what is sent through the interface arrives anywhere. Without a carrier the
    /// kernel drops it; addresses and routes stay.
    ///
    /// # Errors
    /// What ioctl(2) says; EINVAL before Linux 5.0.
    pub fn set_carrier(&self, carrier: bool) -> io::Result<()> {
        let carrier = libc::c_int::from(carrier);
        // SAFETY: this ioctl reads one int, which outlives the call.
        if unsafe { libc::ioctl(self.fd.as_raw_fd(), TUNSETCARRIER, &raw const carrier) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Lets [`Self::read`] return without a packet, which a worker's ring must not see.
    ///
    /// # Errors
    /// What fcntl(2) says.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(&self.fd)?;
        flags.set(OFlags::NONBLOCK, nonblocking);
        Ok(fcntl_setfl(&self.fd, flags)?)
    }

    /// Reads a packet, if there is one, with its virtio-net header, if there are any. To be called
    /// while no worker has the interface.
    ///
    /// # Errors
    /// What read(2) says.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.fd, buffer) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Checks that interfaces can be created.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn check() -> Result<()> {
    let opened = File::options().read(true).write(true).open(DEVICE);
    match opened {
        Ok(_) => Ok(()),
        Err(error) if is_absent(error.raw_os_error()) => bail!(MISSING),
        Err(error) => Err(error).with_context(|| format!("opening {DEVICE}")),
    }
}

/// Creates an interface, gives it its addresses, and raises it. It has offloads as far as the
/// kernel takes them, if they are wanted.
///
/// # Errors
/// What the kernel says, with the interface's name.
pub fn create(interface: &Interface, offload: bool) -> Result<Tun> {
    create_prepared(interface, offload, |_, _| {})
}

/// The same; `prepare` is told its index and name before it is raised, while no packet passes.
///
/// # Errors
/// What the kernel says, with the interface's name.
pub fn create_prepared(
    interface: &Interface,
    offload: bool,
    prepare: impl FnOnce(u32, &str),
) -> Result<Tun> {
    let mut netlink = Netlink::open()?;
    let in_words = || format!("interface {}", interface.name);
    let tun = open(&mut netlink, &interface.name, offload).with_context(in_words)?;
    let configure = || {
        prepare(tun.ifindex, &tun.kernel_name);
        let (ours, peer) = (interface.address, interface.peer);
        netlink.raise(tun.ifindex, interface.mtu, ours, peer)?;
        if let Some(ours) = interface.ipv6
            && let Err(error) = netlink.add_link_local(tun.ifindex, ours)
        {
            // IPv4 works all the same.
            tracing::warn!(interface = %tun.kernel_name, "no IPv6: {error:#}");
        }
        name_fully(&mut netlink, &tun, &interface.name);
        Ok::<_, anyhow::Error>(())
    };
    configure().with_context(in_words)?;
    Ok(tun)
}

/// Creates an interface that has no address yet, and raises it without a carrier.
///
/// # Errors
/// What the kernel says, with the interface's name.
pub fn create_bare(netlink: &mut Netlink, name: &str, mtu: u16, offload: bool) -> Result<Tun> {
    let in_words = || format!("interface {name}");
    let tun = open(netlink, name, offload).with_context(in_words)?;
    tun.set_carrier(false).with_context(in_words)?;
    netlink
        .raise_bare(tun.ifindex, mtu)
        .with_context(in_words)?;
    name_fully(netlink, &tun, name);
    Ok(tun)
}

/// Gives an interface the operator's name as well, if the kernel's is a shortened one.
fn name_fully(netlink: &mut Netlink, tun: &Tun, name: &str) {
    let altname = altname(name);
    if altname != tun.kernel_name
        && let Err(error) = netlink.set_altname(tun.ifindex, &altname)
    {
        // Taken by another session of the user: the kernel's name still tells them apart.
        tracing::debug!(interface = %tun.kernel_name, "no altname: {error:#}");
    }
}

fn open(netlink: &mut Netlink, name: &str, offload: bool) -> Result<Tun> {
    let (fd, kernel_name) = open_device(name, offload)?;
    let offload = if offload {
        set_offload(&fd)
    } else {
        Offload::Off
    };
    Ok(Tun {
        fd,
        ifindex: netlink.ifindex(&kernel_name)?,
        kernel_name,
        offload,
    })
}

/// Opens a TUN under the first of the names that is free.
fn open_device(name: &str, vnet_header: bool) -> Result<(OwnedFd, String)> {
    for attempt in 0..NAMES_TRIED {
        // Where thousands of names begin the same way, the first free number is far away.
        let number = if attempt < NAMES_IN_ORDER {
            attempt
        } else {
            NEXT_NUMBER.fetch_add(1, Ordering::Relaxed) % NAMES_TRIED
        };
        let kernel_name = kernel_name(name, number);
        let mut configuration = tun::Configuration::default();
        configuration
            .tun_name(&kernel_name)
            .platform_config(|platform| {
                // The name alone is set here; addresses go by netlink, with the errors it gives.
                platform.ensure_root_privileges(false);
                platform.vnet_hdr(vnet_header);
            });
        match tun::create(&configuration) {
            Ok(device) => {
                let fd = device.into_raw_fd();
                // SAFETY: `into_raw_fd` gave up the descriptor, so nothing else closes it.
                return Ok((unsafe { OwnedFd::from_raw_fd(fd) }, kernel_name));
            }
            Err(tun::Error::Io(error)) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(tun::Error::Io(error)) if is_absent(error.raw_os_error()) => bail!(MISSING),
            Err(error) => {
                return Err(error).with_context(|| format!("creating interface {kernel_name}"));
            }
        }
    }
    bail!("interface {name}: every name like it is taken");
}

/// Asks for the most the kernel gives.
fn set_offload(fd: &OwnedFd) -> Offload {
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    for (offload, flags) in [
        (Offload::Udp, tcp | TUN_F_USO4 | TUN_F_USO6),
        (Offload::Tcp, tcp),
    ] {
        // SAFETY: this ioctl takes a number, and touches no memory of ours.
        let refused = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD, flags) } < 0;
        if !refused {
            return offload;
        }
        let error = io::Error::last_os_error();
        tracing::debug!(%error, ?offload, "refused by the kernel");
    }
    Offload::Header
}

/// <linux/if_tun.h>
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const TUNSETCARRIER: libc::c_ulong = 0x4004_54e2;
const TUN_F_CSUM: libc::c_ulong = 0x01;
const TUN_F_TSO4: libc::c_ulong = 0x02;
const TUN_F_TSO6: libc::c_ulong = 0x04;
const TUN_F_USO4: libc::c_ulong = 0x20;
const TUN_F_USO6: libc::c_ulong = 0x40;

/// There is no device file, or nothing behind it.
fn is_absent(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::ENOENT | libc::ENODEV | libc::ENXIO))
}

/// The kernel's name for an interface: the operator's where it is legal, else one as like it as 15
/// bytes allow. Attempts after the first add a number.
fn kernel_name(name: &str, attempt: u32) -> String {
    let legal: String = name.chars().map(legal).collect();
    let number = if attempt == 0 {
        String::new()
    } else {
        attempt.to_string()
    };
    let dynamic = legal.starts_with('<') && legal.ends_with('>') && legal.len() > 2;
    let (stem, end) = if dynamic {
        (&legal[..legal.len() - 1], format!(">{number}"))
    } else {
        (&legal[..], number)
    };
    let mut room = NAME_BYTES.saturating_sub(end.len()).min(stem.len());
    while !stem.is_char_boundary(room) {
        room -= 1;
    }
    let name = format!("{}{end}", &stem[..room]);
    if matches!(stem, "" | "." | "..") {
        format!("pptp{attempt}")
    } else {
        name
    }
}

/// What an operator looks an interface up by if the kernel's name is a shortened one.
fn altname(name: &str) -> String {
    let mut altname: String = name.chars().map(legal).collect();
    while altname.len() > ALTNAME_BYTES {
        altname.pop();
    }
    altname
}

/// The kernel refuses `/`, `:` and white space, for which it also takes the byte A0 wherever it
/// stands; it reads `%` as a template, and takes control characters, which a terminal should not
/// see.
fn legal(character: char) -> char {
    const NO_BREAK_SPACE_IN_LATIN_1: u8 = 0xa0;
    let mut bytes = [0; 4];
    match character {
        '/' | ':' | '%' => '_',
        _ if character.is_whitespace() || character.is_control() => '_',
        _ if character
            .encode_utf8(&mut bytes)
            .as_bytes()
            .contains(&NO_BREAK_SPACE_IN_LATIN_1) =>
        {
            '_'
        }
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_what_the_kernel_takes() {
        let cases = [
            ("<pptp-MT-User>", 0, "<pptp-MT-User>"),
            ("<pptp-MT-User>", 1, "<pptp-MT-User>1"),
            ("<pptp-MT-User>", 12, "<pptp-MT-Use>12"),
            ("<pptp-a-much-longer-user>", 0, "<pptp-a-much-l>"),
            ("<pptp-a-much-longer-user>", 3, "<pptp-a-much->3"),
            ("<pptp-a/b:c d%d>", 0, "<pptp-a_b_c_d_>"),
            ("pptp-out1", 0, "pptp-out1"),
            ("a-client-with-a-name", 0, "a-client-with-a"),
            ("a-client-with-a-name", 7, "a-client-with-7"),
            ("<pptp-ééééé>", 0, "<pptp-éééé>"),
            ("<pptp-voilà>", 0, "<pptp-voil_>"),
            ("", 2, "pptp2"),
            (".", 0, "pptp0"),
            ("..", 0, "pptp0"),
            ("<\u{1b}[2J>", 0, "<_[2J>"),
        ];
        for (name, attempt, expected) in cases {
            let actual = kernel_name(name, attempt);
            assert_eq!(actual, expected, "{name} {attempt}");
            assert!(actual.len() <= NAME_BYTES, "{name}");
        }
    }

    #[test]
    fn a_long_altname_is_cut_between_characters() {
        let name = format!("<pptp-{}>", "é".repeat(100));
        assert!(altname(&name).len() <= ALTNAME_BYTES);
        assert_eq!(altname("<pptp-MT-User>"), "<pptp-MT-User>");
    }
}

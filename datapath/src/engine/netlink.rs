//! What the datapath asks of the kernel about interfaces, over rtnetlink(7): one request at a time,
//! each waiting for its answer. Errors name the interface and what was tried.
//!
//! A socket belongs to the network namespace of the thread that opened it, and keeps working there
//! whatever its thread does later; changes need CAP_NET_ADMIN each time.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rtnetlink has dozens of messages and attributes, and grows"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage, Prop,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::engine::xsk;

/// The longest name of an interface, in bytes.
pub const MAX_NAME_BYTES: usize = 15;

/// The longest alternative name that an interface can have, in bytes.
pub const MAX_ALT_NAME_BYTES: usize = 127;

/// What an attempt to ask or change something came to.
#[derive(Debug, thiserror::Error)]
#[error("{interface}: {attempt}: {source}{}", hint(.source))]
pub struct Error {
    /// The interface's name.
    pub interface: String,
    /// What was tried.
    pub attempt: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// The interface that the tunnels arrive on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Its MTU.
    pub mtu: u32,
    /// Its RX queues in use: a socket can be bound to each of them.
    pub rx_queues: u32,
    /// Its MAC address; `None` if it is not Ethernet.
    pub mac: Option<[u8; 6]>,
    /// Its IPv4 addresses.
    pub addresses: Vec<Ipv4Addr>,
}

/// A socket for requests.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What socket(2) and bind(2) say.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Looks up an interface by its name or alternative name.
    ///
    /// # Errors
    /// [`Error`]: there is no such interface.
    pub fn uplink(&mut self, name: &str) -> Result<Uplink, Error> {
        let mut query = LinkMessage::default();
        query.attributes = vec![if name.len() <= MAX_NAME_BYTES {
            LinkAttribute::IfName(name.to_owned())
        } else {
            let terminated = [name.as_bytes(), b"\0"].concat();
            LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, terminated))
        }];
        let answers = self
            .request(RouteNetlinkMessage::GetLink(query), NLM_F_ACK)
            .map_err(in_attempt(name, "look it up"))?;
        let link = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        });
        let missing = || io::Error::from_raw_os_error(libc::ENODEV);
        let link = link.ok_or_else(|| in_attempt(name, "look it up")(missing()))?;
        let mut uplink = Uplink {
            name: name.to_owned(),
            ifindex: link.header.index,
            mtu: 0,
            rx_queues: 1,
            mac: None,
            addresses: Vec::new(),
        };
        for attribute in link.attributes {
            match attribute {
                LinkAttribute::IfName(name) => uplink.name = name,
                LinkAttribute::Mtu(mtu) => uplink.mtu = mtu,
                LinkAttribute::Address(mac) => uplink.mac = mac.try_into().ok(),
                _ => {}
            }
        }
        uplink.rx_queues =
            xsk::queues(&uplink.name).map_err(in_attempt(name, "count its queues"))?;
        uplink.addresses = self
            .addresses(uplink.ifindex)
            .map_err(in_attempt(name, "look up its addresses"))?;
        Ok(uplink)
    }

    /// Makes a point-to-point interface ready: address, address of the peer, MTU, and up.
    ///
    /// # Errors
    /// [`Error`] with the step that failed.
    pub fn bring_up(
        &mut self,
        name: &str,
        ifindex: u32,
        ours: Ipv4Addr,
        peer: Ipv4Addr,
        mtu: u32,
    ) -> Result<(), Error> {
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        link.attributes = vec![LinkAttribute::Mtu(mtu)];
        self.change(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(in_attempt(name, "set its MTU"))?;
        let mut address = AddressMessage::default();
        address.header.family = AddressFamily::Inet;
        address.header.prefix_len = 32;
        address.header.index = ifindex;
        address.attributes = vec![
            AddressAttribute::Local(IpAddr::V4(ours)),
            AddressAttribute::Address(IpAddr::V4(peer)),
        ];
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.change(RouteNetlinkMessage::NewAddress(address), flags)
            .map_err(in_attempt(name, "add its address"))?;
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(in_attempt(name, "bring it up"))?;
        Ok(())
    }

    /// Keeps the kernel from giving the interface an IPv6 address of its own, and so from sending
    /// anything that nobody asked for. Without IPv6 in the kernel there is nothing to do.
    ///
    /// # Errors
    /// [`Error`].
    pub fn disable_ipv6_addresses(&mut self, name: &str, ifindex: u32) -> Result<(), Error> {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        link.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(
            vec![mode],
        )])];
        let changed = self.change(RouteNetlinkMessage::SetLink(link), 0);
        match changed {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(()),
            result => result.map_err(in_attempt(name, "keep IPv6 addresses off it")),
        }
    }

    /// Gives the interface a second, longer name. That another one has it already is no error.
    ///
    /// # Errors
    /// [`Error`]: too long, for one.
    pub fn add_alt_name(&mut self, name: &str, ifindex: u32, alt_name: &str) -> Result<(), Error> {
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        let property = Prop::AltIfName(alt_name.to_owned());
        link.attributes = vec![LinkAttribute::PropList(vec![property])];
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
        match self.change(RouteNetlinkMessage::NewLinkProp(link), flags) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(in_attempt(name, "give it its full name")),
        }
    }

    /// Puts the interface into a group, by which [`Self::delete_group`] finds it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn set_group(&mut self, name: &str, ifindex: u32, group: u32) -> Result<(), Error> {
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        link.attributes = vec![LinkAttribute::Group(group)];
        self.change(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(in_attempt(name, "put it into a group"))
    }

    /// Deletes all interfaces of a group at once. That there are none is no error.
    ///
    /// # Errors
    /// What the kernel said; no interface has a name in it.
    pub fn delete_group(&mut self, group: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.attributes = vec![LinkAttribute::Group(group)];
        match self.change(RouteNetlinkMessage::DelLink(link), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            result => result,
        }
    }

    /// Deletes an interface.
    ///
    /// # Errors
    /// [`Error`].
    pub fn delete(&mut self, name: &str, ifindex: u32) -> Result<(), Error> {
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        self.change(RouteNetlinkMessage::DelLink(link), 0)
            .map_err(in_attempt(name, "delete it"))
    }

    fn addresses(&mut self, ifindex: u32) -> io::Result<Vec<Ipv4Addr>> {
        let mut query = AddressMessage::default();
        query.header.family = AddressFamily::Inet;
        let answers = self.request(RouteNetlinkMessage::GetAddress(query), NLM_F_DUMP)?;
        let messages = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        });
        Ok(messages
            .filter(|address| address.header.index == ifindex)
            .flat_map(|address| address.attributes)
            .filter_map(|attribute| match attribute {
                AddressAttribute::Local(IpAddr::V4(address)) => Some(address),
                _ => None,
            })
            .collect())
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.request(message, NLM_F_ACK | flags).map(drop)
    }

    /// Sends a request and takes all answers to it, up to the acknowledgement or the end of a dump.
    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = &datagram[..];
            while !rest.is_empty() {
                let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(io::Error::other)?;
                // Messages are padded to four bytes, but the last one need not be.
                let length = (answer.header.length as usize).next_multiple_of(4);
                rest = rest.get(length.max(4)..).unwrap_or_default();
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => answers.push(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    _ => {}
                }
            }
        }
    }
}

/// An alternative name to look for; in <linux/if_link.h>.
const IFLA_ALT_IFNAME: u16 = 53;

fn in_attempt(interface: &str, attempt: &'static str) -> impl FnOnce(io::Error) -> Error {
    let interface = interface.to_owned();
    move |source| Error {
        interface,
        attempt,
        source,
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => "; CAP_NET_ADMIN is needed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{in_namespace, interfaces, ip, keep_capabilities};

    #[test]
    fn an_uplink_is_described_as_it_is() {
        in_namespace(|| {
            ip(
                "link add va address 02:00:00:00:00:07 mtu 1400 numrxqueues 3 numtxqueues 3 \
                type veth peer name vb numrxqueues 2 numtxqueues 2",
            );
            ip("address add 192.0.2.1/24 dev va");
            ip("address add 198.51.100.9/32 dev va");
            ip("address add 203.0.113.1/24 dev vb");
            ip("link property add dev va altname uplink-to-the-world");
            let mut netlink = Netlink::open().unwrap();
            let va = netlink.uplink("va").unwrap();
            let expected = Uplink {
                name: "va".to_owned(),
                ifindex: va.ifindex,
                mtu: 1400,
                rx_queues: 3,
                mac: Some([2, 0, 0, 0, 0, 7]),
                addresses: vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 9)],
            };
            assert_eq!(va, expected);
            assert!(ip("-o link show va").starts_with(&format!("{}: ", va.ifindex)));
            let lo = netlink.uplink("lo").unwrap();
            assert_eq!((lo.ifindex, lo.rx_queues, lo.addresses.len()), (1, 1, 1));
        });
    }

    #[test]
    fn an_interface_that_is_missing_or_forbidden_is_named_in_the_error() {
        in_namespace(|| {
            ip("link add va type veth peer name vb");
            let mut netlink = Netlink::open().unwrap();
            let error = netlink.uplink("vc").unwrap_err().to_string();
            assert_eq!(error, "vc: look it up: No such device (os error 19)");
            let error = netlink.delete("vc", 4711).unwrap_err().to_string();
            assert_eq!(error, "vc: delete it: No such device (os error 19)");
            let ifindex = netlink.uplink("va").unwrap().ifindex;
            keep_capabilities(&[]);
            let error = netlink.delete("va", ifindex).unwrap_err().to_string();
            let expected = "va: delete it: Operation not permitted (os error 1); \
                            CAP_NET_ADMIN is needed";
            assert_eq!(error, expected);
        });
    }

    #[test]
    fn a_group_is_deleted_at_once_and_nothing_else() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            for name in ["a0", "b0", "c0"] {
                ip(&format!("link add {name} type veth peer name {name}-peer"));
            }
            for name in ["a0", "c0"] {
                let ifindex = netlink.uplink(name).unwrap().ifindex;
                netlink.set_group(name, ifindex, 4711).unwrap();
            }
            netlink.delete_group(4711).unwrap();
            netlink.delete_group(4711).unwrap();
            assert_eq!(interfaces(), ["b0-peer", "b0"]);
        });
    }
}

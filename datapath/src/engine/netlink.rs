//! What is asked of the kernel about interfaces, and what it is told: rtnetlink, one request at a
//! time, each acknowledged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkLayerType,
    LinkMessage, Prop,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::xsk;

pub mod lookup;
mod pins;
mod routes;

pub use pins::Pin;

/// Room for one answer: an interface with all its statistics takes about 2 KB.
const ANSWER_BYTES: usize = 32 * 1024;
/// How long the kernel may take to notice a carrier, which it does within a millisecond.
const RUNNING: Duration = Duration::from_millis(50);

/// A connection to the kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// # Errors
    /// What socket(2) says.
    pub fn open() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok::<_, std::io::Error>(socket)
        };
        Ok(Self {
            socket: open().context("opening rtnetlink")?,
            sequence: 0,
        })
    }

    /// Gives an interface its addresses and MTU and raises it. The kernel is to put no IPv6
    /// address on it by itself: what goes into a tunnel is negotiated with the peer.
    ///
    /// # Errors
    /// What the kernel says, with what was asked of it.
    pub fn raise(&mut self, ifindex: u32, mtu: u16, ours: Ipv4Addr, peer: Ipv4Addr) -> Result<()> {
        self.prepare(ifindex, mtu)?;
        self.add_address(ifindex, ours, peer)?;
        self.set_up(ifindex)
    }

    /// Raises an interface that has no address yet; else as [`Self::raise`].
    ///
    /// # Errors
    /// As [`Self::raise`].
    pub fn raise_bare(&mut self, ifindex: u32, mtu: u16) -> Result<()> {
        self.prepare(ifindex, mtu)?;
        self.set_up(ifindex)
    }

    /// Sets how many bytes the largest packet of an interface has.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_mtu(&mut self, ifindex: u32, mtu: u16) -> Result<()> {
        let mut link = link(ifindex);
        link.attributes.push(LinkAttribute::Mtu(mtu.into()));
        self.change(RouteNetlinkMessage::SetLink(link))
            .context("setting its MTU")
    }

    /// Gives an interface an address, and a route to the peer's, unless that is the same.
    ///
    /// # Errors
    /// What the kernel says; EEXIST if it has it already.
    pub fn add_address(&mut self, ifindex: u32, ours: Ipv4Addr, peer: Ipv4Addr) -> Result<()> {
        self.request(
            RouteNetlinkMessage::NewAddress(point_to_point(ifindex, ours, peer)),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("giving it the address {ours} with peer {peer}"))
    }

    /// Takes an address away. With the last one go all routes through the interface.
    ///
    /// # Errors
    /// What the kernel says; EADDRNOTAVAIL if it has no such address.
    pub fn delete_address(&mut self, ifindex: u32, ours: Ipv4Addr, peer: Ipv4Addr) -> Result<()> {
        let address = point_to_point(ifindex, ours, peer);
        self.request(RouteNetlinkMessage::DelAddress(address), 0)
            .with_context(|| format!("taking away the address {ours} with peer {peer}"))
    }

    /// Gives an interface a link-local address.
    ///
    /// # Errors
    /// What the kernel says: EACCES or EOPNOTSUPP where IPv6 is switched off.
    pub fn add_link_local(&mut self, ifindex: u32, ours: Ipv6Addr) -> Result<()> {
        self.request(
            RouteNetlinkMessage::NewAddress(link_local(ifindex, ours)),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("giving it the address {ours}"))
    }

    /// Takes a link-local address away.
    ///
    /// # Errors
    /// What the kernel says; EADDRNOTAVAIL if it has no such address.
    pub fn delete_link_local(&mut self, ifindex: u32, ours: Ipv6Addr) -> Result<()> {
        let address = link_local(ifindex, ours);
        self.request(RouteNetlinkMessage::DelAddress(address), 0)
            .with_context(|| format!("taking away the address {ours}"))
    }

    fn prepare(&mut self, ifindex: u32, mtu: u16) -> Result<()> {
        self.set_mtu(ifindex, mtu)?;
        // Refused by a kernel without IPv6, which needs no telling.
        let _ = self.disable_address_generation(ifindex);
        Ok(())
    }

    /// Raises an interface.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_up(&mut self, ifindex: u32) -> Result<()> {
        let mut up = link(ifindex);
        up.header.flags = LinkFlags::Up;
        up.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(up))
            .context("raising it")
    }

    /// Gives an interface a second name, of up to 127 bytes.
    ///
    /// # Errors
    /// EEXIST if another interface has it.
    pub fn set_altname(&mut self, ifindex: u32, name: &str) -> Result<()> {
        let mut link = link(ifindex);
        link.attributes
            .push(LinkAttribute::PropList(vec![Prop::AltIfName(
                name.to_owned(),
            )]));
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
        self.request(RouteNetlinkMessage::NewLinkProp(link), flags)
            .context("setting its altname")
    }

    /// Puts an interface into a group.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_group(&mut self, ifindex: u32, group: u32) -> Result<()> {
        let mut link = link(ifindex);
        link.attributes.push(LinkAttribute::Group(group));
        self.change(RouteNetlinkMessage::SetLink(link))
    }

    /// Deletes every interface of a group at once.
    ///
    /// # Errors
    /// What the kernel says; ENODEV if the group is empty.
    pub fn delete_group(&mut self, group: u32) -> Result<()> {
        let mut link = link(0);
        link.attributes.push(LinkAttribute::Group(group));
        self.change(RouteNetlinkMessage::DelLink(link))
    }

    /// Waits until the kernel has noticed that an interface has a carrier: before it drops what is
    /// sent. That is a moment; after 50 ms it is left to itself.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait_until_running(&mut self, ifindex: u32) -> Result<()> {
        for _ in 0..RUNNING.as_millis() {
            let link = self.link_by_index(ifindex)?;
            if link.header.flags.contains(LinkFlags::Running) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The index of an interface.
    ///
    /// # Errors
    /// ENODEV.
    pub fn ifindex(&mut self, name: &str) -> Result<u32> {
        Ok(self.link_by_name(name)?.header.index)
    }

    fn disable_address_generation(&mut self, ifindex: u32) -> Result<()> {
        let mut link = link(ifindex);
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let spec = vec![AfSpecUnspec::Inet6(vec![mode])];
        link.attributes.push(LinkAttribute::AfSpecUnspec(spec));
        self.change(RouteNetlinkMessage::SetLink(link))
    }

    fn link_by_name(&mut self, name: &str) -> Result<LinkMessage> {
        let mut request = LinkMessage::default();
        request
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        let message = RouteNetlinkMessage::GetLink(request);
        self.send(message, NLM_F_REQUEST)?;
        match self.answer()? {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(link),
            _ => bail!("the kernel answered something else than an interface"),
        }
    }

    fn change(&mut self, message: RouteNetlinkMessage) -> Result<()> {
        self.request(message, 0)
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.answer().map(drop)
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket
            .send(&bytes, 0)
            .context("sending to rtnetlink")?;
        Ok(())
    }

    /// One datagram's messages that answer what was sent last.
    fn receive(&mut self) -> Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES);
        self.socket
            .recv(&mut bytes, 0)
            .context("receiving from rtnetlink")?;
        let mut messages: Vec<NetlinkMessage<_>> =
            decode(&bytes).context("undecodable answer from rtnetlink")?;
        messages.retain(|message| message.header.sequence_number == self.sequence);
        Ok(messages)
    }

    /// The answer to what was sent last; `None` is an acknowledgement.
    fn answer(&mut self) -> Result<Option<RouteNetlinkMessage>> {
        loop {
            let Some(message) = self.receive()?.into_iter().next() else {
                continue;
            };
            return match message.payload {
                NetlinkPayload::Error(error) if error.code.is_none() => Ok(None),
                NetlinkPayload::Error(error) => Err(error.to_io().into()),
                NetlinkPayload::InnerMessage(inner) => Ok(Some(inner)),
                NetlinkPayload::Done(_) | NetlinkPayload::Noop | NetlinkPayload::Overrun(_) | _ => {
                    bail!("the kernel answered something else than was asked")
                }
            };
        }
    }
}

/// Every message of a datagram.
pub(super) fn decode<T: NetlinkDeserializable>(
    mut bytes: &[u8],
) -> Result<Vec<NetlinkMessage<T>>, DecodeError> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let message = NetlinkMessage::deserialize(bytes)?;
        let length = message.header.length as usize;
        // Each begins at a multiple of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        messages.push(message);
    }
    Ok(messages)
}

/// An interface that tunnels go through, as it is when the process starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// The kernel's index.
    pub ifindex: u32,
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Its frames have Ethernet headers, and not none or others, as those of a tunnel.
    pub is_ethernet: bool,
    /// How many RX queues it has in use.
    pub rx_queues: u16,
}

impl Uplink {
    /// Looks the interface up.
    ///
    /// # Errors
    /// When there is none of this name, or it is not up.
    pub fn by_name(name: &str) -> Result<Self> {
        let link = match Netlink::open()?.link_by_name(name) {
            Err(error) if is_missing(&error) => {
                bail!("--interface {name}: there is no such interface; see: ip link")
            }
            link => link.with_context(|| format!("--interface {name}"))?,
        };
        if !link.header.flags.contains(LinkFlags::Up) {
            bail!("--interface {name} is down; raise it with: ip link set {name} up");
        }
        // rtnetlink tells how many queues the driver could have; this, how many it has.
        let queues = xsk::queues(name).with_context(|| format!("the queues of {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            ifindex: link.header.index,
            mtu: mtu_of(&link),
            is_ethernet: matches!(
                link.header.link_layer_type,
                LinkLayerType::Ether | LinkLayerType::Loopback
            ),
            rx_queues: u16::try_from(queues).unwrap_or(u16::MAX),
        })
    }
}

/// The MTU of an interface in bytes.
fn mtu_of(link: &LinkMessage) -> u16 {
    let mtu = link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Mtu(bytes) = attribute {
            Some(*bytes)
        } else {
            None
        }
    });
    u16::try_from(mtu.unwrap_or(1500)).unwrap_or(u16::MAX)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let error = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error);
    error == Some(libc::ENODEV)
}

/// An address of one end of a tunnel, with that of the other.
fn point_to_point(ifindex: u32, ours: Ipv4Addr, peer: Ipv4Addr) -> AddressMessage {
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet;
    address.header.prefix_len = 32;
    address.header.scope = AddressScope::Universe;
    address.header.index = ifindex;
    address
        .attributes
        .push(AddressAttribute::Local(IpAddr::V4(ours)));
    address
        .attributes
        .push(AddressAttribute::Address(IpAddr::V4(peer)));
    address
}

fn link_local(ifindex: u32, ours: Ipv6Addr) -> AddressMessage {
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet6;
    address.header.prefix_len = 64;
    address.header.scope = AddressScope::Link;
    address.header.index = ifindex;
    // Nobody else can have it: IPV6CP made the two identifiers different.
    address.header.flags = AddressHeaderFlags::Nodad;
    address
        .attributes
        .push(AddressAttribute::Local(IpAddr::V6(ours)));
    address
        .attributes
        .push(AddressAttribute::Address(IpAddr::V6(ours)));
    address
}

fn link(ifindex: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = ifindex;
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_and_another_is_not() {
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.ifindex("lo").unwrap(), 1);
        let error = netlink.ifindex("greyhound-none").unwrap_err();
        assert!(error.to_string().contains("No such device"), "{error:#}");
        assert!(
            netlink.ifindex("lo").is_ok(),
            "an error does not disturb what follows"
        );
    }

    #[test]
    fn a_missing_uplink_is_named() {
        let error = Uplink::by_name("greyhound-none").unwrap_err();
        assert!(format!("{error:#}").contains("greyhound-none"), "{error:#}");
    }
}

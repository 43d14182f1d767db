//! Hears when somebody takes away what our table needs, such as a reload of the whole firewall.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context, Result};
use netlink_packet_core::{
    DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::messages::TABLE;
use super::{ANSWER_BYTES, SUBSYSTEM};
use crate::engine::netlink::decode;
use crate::ipc::membership::RESERVED;

/// The multicast group of what happens in nf_tables.
const GROUP: u32 = 7;

/// A socket that hears it.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    listening: bool,
}

impl Watch {
    /// Hears nothing yet.
    ///
    /// # Errors
    /// What socket(2) says; EPROTONOSUPPORT in a kernel without netfilter.
    pub fn open() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.set_non_blocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        Ok(Self {
            socket: open().context("opening nfnetlink")?,
            listening: false,
        })
    }

    /// Hears from now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(&mut self) -> Result<()> {
        if !self.listening {
            let joined = self.socket.add_membership(GROUP);
            joined.context("watching nf_tables")?;
            self.listening = true;
        }
        Ok(())
    }

    /// Whether somebody besides the socket of that address has taken away what our table needs, or
    /// may have, since this was asked last.
    ///
    /// # Errors
    /// What recv(2) says.
    pub fn heard_of_loss(&mut self, ours: u32) -> Result<bool> {
        let mut lost = false;
        loop {
            let mut bytes = Vec::with_capacity(ANSWER_BYTES);
            match self.socket.recv(&mut bytes, 0) {
                Ok(_) => {
                    let changes: Vec<NetlinkMessage<Change>> =
                        decode(&bytes).context("undecodable news from nfnetlink")?;
                    lost |= changes.into_iter().any(|message| {
                        let by_others = message.header.port_number != ours;
                        by_others
                            && matches!(message.payload, NetlinkPayload::InnerMessage(change) if change.is_loss())
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(lost),
                // It was more than the socket holds.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => lost = true,
                Err(error) => {
                    return Err(anyhow::Error::new(error).context("receiving from nfnetlink"));
                }
            }
        }
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A change of nf_tables, as far as it matters here: whatever others have in their rules cannot
/// make it undecodable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Change {
    kind: u16,
    family: u8,
    table: Vec<u8>,
    /// Of a rule, its chain; else something else.
    second: Vec<u8>,
}

impl Change {
    fn is_loss(&self) -> bool {
        let is = |name: &[u8], expected: &str| name.strip_suffix(&[0]) == Some(expected.as_bytes());
        let in_ours = self.family == FAMILY_INET && is(&self.table, TABLE);
        in_ours
            && match self.kind {
                DELETE_TABLE | DELETE_CHAIN | DELETE_SET => true,
                DELETE_RULE => self.second.starts_with(RESERVED.as_bytes()),
                _ => false,
            }
    }
}

impl NetlinkDeserializable for Change {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut change = Self {
            kind: header.message_type,
            family: payload.first().copied().unwrap_or_default(),
            ..Self::default()
        };
        let attributes = payload.get(NETFILTER_HEADER..).unwrap_or_default();
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            match attribute.kind() {
                FIRST => change.table = attribute.value().to_vec(),
                SECOND => change.second = attribute.value().to_vec(),
                _ => {}
            }
        }
        Ok(change)
    }
}

/// Bytes of what is before the attributes.
const NETFILTER_HEADER: usize = 4;
/// NFPROTO_INET.
const FAMILY_INET: u8 = 1;
/// The table's name, whatever the message is about.
const FIRST: u16 = 1;
/// NFTA_RULE_CHAIN.
const SECOND: u16 = 2;
/// NFT_MSG_DELTABLE and so on.
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const DELETE_CHAIN: u16 = SUBSYSTEM << 8 | 5;
const DELETE_RULE: u16 = SUBSYSTEM << 8 | 8;
const DELETE_SET: u16 = SUBSYSTEM << 8 | 11;

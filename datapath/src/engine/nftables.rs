//! The firewall: transactions of nf_tables, by netlink. It takes no program that would have to be
//! there and to be started by a process with privileges, and tells which step was refused and why.

use std::collections::BTreeMap;
use std::io;

use anyhow::{Context, Result, bail};
use messages::{Element, Step};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::nftables::NfTablesMessage;
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use super::netlink::decode;

pub mod messages;
pub mod watch;

/// The number of nf_tables among the parts of netfilter.
const SUBSYSTEM: u16 = 10;
/// Room for one datagram of an answer; the kernel fills 32 KB at most.
const ANSWER_BYTES: usize = 64 * 1024;
/// The flag of an answer that what it tells changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;
/// How often an answer is asked for that was interrupted.
const DUMPS: usize = 8;

/// A connection to the kernel.
#[derive(Debug)]
pub struct Nftables {
    socket: Socket,
    /// Its address.
    port: u32,
    sequence: u32,
}

impl Nftables {
    /// # Errors
    /// What socket(2) says; EPROTONOSUPPORT in a kernel without netfilter.
    pub fn open() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            let port = socket.bind_auto()?.port_number();
            socket.connect(&SocketAddr::new(0, 0))?;
            // What the kernel has to say is there when sending returns.
            socket.set_non_blocking(true)?;
            // Of what was refused the header is enough.
            socket.set_cap_ack(true)?;
            Ok::<_, io::Error>((socket, port))
        };
        let (socket, port) = open().context("opening nfnetlink")?;
        Ok(Self {
            socket,
            port,
            sequence: 0,
        })
    }

    /// The address of its socket, which the kernel names as the author of its changes.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Carries out all of the steps or none. If none, what was refused, by number of the step.
    ///
    /// # Errors
    /// When nf_tables as a whole refuses, or is not there.
    pub fn commit(&mut self, steps: &[Step]) -> Result<BTreeMap<usize, io::Error>> {
        let Some(last) = steps.len().checked_sub(1) else {
            return Ok(BTreeMap::new());
        };
        let mut batch = Vec::new();
        let begin = self.next();
        batch.extend(encode(control(ControlMessage::BatchBegin), begin, 0));
        let first = begin.wrapping_add(1);
        for (step, number) in steps.iter().zip(0..) {
            let sequence = self.next();
            // One says that all is done.
            let flags = if number == last { NLM_F_ACK } else { 0 };
            let message = of_table(step.message.clone());
            batch.extend(encode(message, sequence, step.flags | flags));
        }
        let end = self.next();
        batch.extend(encode(control(ControlMessage::BatchEnd), end, 0));
        self.socket
            .send(&batch, 0)
            .context("sending to nfnetlink")?;

        let (mut done, mut refused) = (false, BTreeMap::new());
        while let Some(messages) = self.receive()? {
            for message in messages {
                let NetlinkPayload::Error(answer) = message.payload else {
                    continue;
                };
                let number = message.header.sequence_number.wrapping_sub(first) as usize;
                let refusal = answer.code.map(|_| answer.to_io());
                match refusal {
                    None => done |= number == last,
                    Some(error) if number <= last => drop(refused.insert(number, error)),
                    // Not of a step but of the batch; others are of one before.
                    Some(error) if message.header.sequence_number == begin => {
                        return Err(anyhow::Error::new(error).context("nf_tables"));
                    }
                    Some(_) => {}
                }
            }
        }
        if !done && refused.is_empty() {
            bail!("nf_tables does not answer");
        }
        Ok(refused)
    }

    /// The elements in our table that carry our comment.
    ///
    /// # Errors
    /// What the kernel says. A table that is not there has none.
    pub fn elements_of_ours(&mut self) -> Result<Vec<Element>> {
        let mut found = Vec::new();
        for answer in self.dump(messages::get_sets())? {
            let NfTablesMessage::NewSet(set) = answer else {
                continue;
            };
            let Some(name) = messages::set_name(&set) else {
                continue;
            };
            for answer in self.dump(messages::get_elements(name))? {
                let NfTablesMessage::NewSetElement(elements) = answer else {
                    continue;
                };
                let keys = messages::keys_of_ours(&elements);
                found.extend(keys.into_iter().map(|key| Element {
                    set: name.to_owned(),
                    key,
                }));
            }
        }
        Ok(found)
    }

    /// Everything the kernel has to say to a question; nothing about what is not there.
    fn dump(&mut self, question: NfTablesMessage) -> Result<Vec<NfTablesMessage>> {
        for _ in 0..DUMPS {
            let sequence = self.next();
            let flags = NLM_F_DUMP;
            let question = encode(of_table(question.clone()), sequence, flags);
            self.socket
                .send(&question, 0)
                .context("sending to nfnetlink")?;
            if let Some(answers) = self.answers(sequence)? {
                return Ok(answers);
            }
        }
        bail!("others change the rules all the time");
    }

    /// `None` if what it tells changed meanwhile.
    fn answers(&mut self, sequence: u32) -> Result<Option<Vec<NfTablesMessage>>> {
        let (mut answers, mut interrupted) = (Vec::new(), false);
        while let Some(messages) = self.receive()? {
            for message in messages {
                if message.header.sequence_number != sequence {
                    continue;
                }
                interrupted |= message.header.flags & DUMP_INTERRUPTED != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(NetfilterMessage {
                        inner: NetfilterMessageInner::NfTables(answer),
                        ..
                    }) => answers.push(answer),
                    NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(answers)),
                    NetlinkPayload::Error(error) => {
                        let error = error.to_io();
                        if error.kind() == io::ErrorKind::NotFound {
                            return Ok(Some(Vec::new()));
                        }
                        return Err(anyhow::Error::new(error).context("nf_tables"));
                    }
                    NetlinkPayload::InnerMessage(_)
                    | NetlinkPayload::Noop
                    | NetlinkPayload::Overrun(_)
                    | _ => bail!("nf_tables answered something else than was asked"),
                }
            }
        }
        bail!("nf_tables does not answer");
    }

    /// The next datagram; `None` when there is no more.
    fn receive(&mut self) -> Result<Option<Vec<NetlinkMessage<NetfilterMessage>>>> {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES);
        match self.socket.recv(&mut bytes, 0) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(anyhow::Error::new(error).context("receiving from nfnetlink")),
        }
        let messages = decode(&bytes).context("undecodable answer from nfnetlink")?;
        Ok(Some(messages))
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

fn control(message: ControlMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
    NetfilterMessage::new(header, message)
}

fn of_table(message: NfTablesMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
    NetfilterMessage::new(header, message)
}

fn encode(message: NetfilterMessage, sequence: u32, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
    let len = message.buffer_len();
    message.serialize(&mut bytes[..len]);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use messages::{Direction, Member, delete};
    use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};

    use super::*;
    use crate::engine::testing::in_namespace;

    fn address() -> Member {
        Member::Address {
            set: "users".to_owned(),
            address: Ipv4Addr::new(10, 0, 1, 5),
        }
    }

    #[test]
    fn an_element_is_said_as_the_kernel_reads_it() {
        let step = address().add(false);
        assert_eq!(step.flags, NLM_F_CREATE | NLM_F_EXCL);
        let bytes = encode(of_table(step.message), 7, step.flags);
        let mut expected = vec![84, 0, 0, 0, 12, 10, 1, 6, 7, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([1, 0, 0, 0]);
        expected.extend(b"\x0e\0\x01\0greyhound\0\0\0");
        expected.extend(b"\x0a\0\x02\0users\0\0\0");
        // The list, its element, the key and its value, and then the comment.
        expected.extend([36, 0, 3, 0x80, 32, 0, 1, 0x80]);
        expected.extend([12, 0, 1, 0x80, 8, 0, 1, 0, 10, 0, 1, 5]);
        expected.extend(b"\x10\0\x06\0\0\x0agreyhound\0");
        expected.resize(expected.len().next_multiple_of(4), 0);
        if cfg!(target_endian = "little") {
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn every_step_is_aligned_and_read_back_as_it_was() {
        let filter = |direction| Member::Filter {
            direction,
            interface: "<pptp-user>".to_owned(),
            chain: "users".to_owned(),
        };
        let interface = Member::Interface {
            set: "lan".to_owned(),
            interface: "tun0".to_owned(),
        };
        let members = [
            address(),
            interface,
            filter(Direction::Incoming),
            filter(Direction::Outgoing),
        ];
        let mut batch = Vec::new();
        let mut said = Vec::new();
        for member in members {
            let mut steps = member.foundation();
            steps.extend([member.add(true), delete(&member.element())]);
            for step in steps {
                let message = of_table(step.message);
                batch.extend(encode(message.clone(), 1, step.flags));
                said.push(message);
            }
        }
        let read: Vec<NetlinkMessage<NetfilterMessage>> = decode(&batch).unwrap();
        let read = read.into_iter().filter_map(|message| {
            if let NetlinkPayload::InnerMessage(message) = message.payload {
                Some(message)
            } else {
                None
            }
        });
        let read: Vec<_> = read.collect();
        assert_eq!(read, said);
    }

    #[test]
    fn a_transaction_is_done_whole_or_names_all_that_was_refused() {
        in_namespace(|| {
            let mut nftables = Nftables::open().unwrap();
            assert!(nftables.commit(&[]).unwrap().is_empty());
            assert_eq!(nftables.elements_of_ours().unwrap(), []);
            let gone = delete(&address().element());
            let mut steps = vec![gone.clone()];
            steps.extend(address().foundation());
            steps.extend([address().add(false), gone.clone(), gone]);

            let refused = nftables.commit(&steps).unwrap();

            let numbers: Vec<_> = refused.keys().copied().collect();
            assert_eq!(numbers, [0, 5]);
            assert_eq!(nftables.elements_of_ours().unwrap(), []);
            steps.retain(|step| *step != delete(&address().element()));
            assert!(nftables.commit(&steps).unwrap().is_empty());
            let elements = nftables.elements_of_ours().unwrap();
            assert_eq!(elements, [address().element()]);
        });
    }
}

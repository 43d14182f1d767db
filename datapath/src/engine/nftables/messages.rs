//! What is said to nf_tables about the table `inet greyhound`: its sets, its maps from interfaces
//! to chains, and their elements. Pure.
//!
//! Whatever is created may be there already: the kernel then only compares it.

use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DataAttribute, Expressions, Hook, HookNumber, InetHookNumber,
    ListAttribute, Lookup, Meta, MetaKey, NfTablesMessage, Register, RuleAttribute, RuleMessage,
    SetAttribute, SetElementAttribute, SetElementList, SetElementMessage, SetFlags, SetMessage,
    TableAttribute, TableMessage, Verdict, VerdictAttribute,
};

use crate::ipc::membership::RESERVED;

/// The table, of the family `inet`.
pub const TABLE: &str = "greyhound";
/// What the elements that come and go with sessions have for a comment; those of the operator have
/// another one, or none.
pub const COMMENT: &str = "greyhound";

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is said.
    pub message: NfTablesMessage,
    /// How it is meant: NLM_F_CREATE and the like.
    pub flags: u16,
}

/// Something that an interface can be in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// An address in a set.
    Address {
        /// The set's name.
        set: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// An interface in a set.
    Interface {
        /// The set's name.
        set: String,
        /// The kernel's name of the interface.
        interface: String,
    },
    /// An interface whose packets go through a chain.
    Filter {
        /// Which of its packets.
        direction: Direction,
        /// The kernel's name of the interface.
        interface: String,
        /// The chain's name.
        chain: String,
    },
}

/// Which packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Those that come in by it.
    Incoming,
    /// Those that go out by it.
    Outgoing,
}

/// An element, by what it is deleted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The set or map it is in.
    pub set: String,
    /// What it is.
    pub key: Vec<u8>,
}

impl Member {
    /// The element that it is in the kernel.
    #[must_use]
    pub fn element(&self) -> Element {
        match self {
            Self::Address { set, address } => Element {
                set: set.clone(),
                key: address.octets().to_vec(),
            },
            Self::Interface { set, interface } => Element {
                set: set.clone(),
                key: padded(interface),
            },
            Self::Filter {
                direction,
                interface,
                ..
            } => Element {
                set: direction.map(),
                key: padded(interface),
            },
        }
    }

    /// Creates what has to be there before it: the table and the set, or the chain and the way
    /// to it.
    #[must_use]
    pub fn foundation(&self) -> Vec<Step> {
        let mut steps = vec![create(NfTablesMessage::NewTable(TableMessage {
            attributes: vec![TableAttribute::Name(TABLE.to_owned())],
        }))];
        match self {
            Self::Address { set, .. } => steps.push(new_set(set, Contents::Addresses)),
            Self::Interface { set, .. } => steps.push(new_set(set, Contents::Interfaces)),
            Self::Filter {
                direction, chain, ..
            } => {
                steps.push(new_set(&direction.map(), Contents::Jumps));
                steps.push(new_chain(chain, None));
                for (chain, hook) in direction.base_chains() {
                    steps.push(new_chain(&chain, Some(hook)));
                    // Exactly one rule, whatever was in it.
                    steps.push(flush(&chain));
                    steps.push(lookup(&chain, *direction));
                }
            }
        }
        steps
    }

    /// Adds it. Unless another session has it too, it must not be there yet: then it is the
    /// operator's.
    #[must_use]
    pub fn add(&self, shared: bool) -> Step {
        let Element { set, key } = self.element();
        let mut attributes = vec![
            SetElementAttribute::Key(DataAttribute::Value(key)),
            SetElementAttribute::UserData(comment()),
        ];
        if let Self::Filter { chain, .. } = self {
            let jump = vec![
                VerdictAttribute::Code(Verdict::Jump),
                VerdictAttribute::Chain(chain.clone()),
            ];
            attributes.push(SetElementAttribute::Data(DataAttribute::Verdict(jump)));
        }
        let exclusive = if shared { 0 } else { NLM_F_EXCL };
        Step {
            message: NfTablesMessage::NewSetElement(elements_of(&set, attributes)),
            flags: NLM_F_CREATE | exclusive,
        }
    }
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }

    /// The name of the map from interfaces to chains.
    fn map(self) -> String {
        format!("{RESERVED}{}", self.word())
    }

    /// The chains in which it is looked up. Each direction has its own, since an `accept` ends
    /// one: what may come in by one tunnel may still not go out by another.
    fn base_chains(self) -> [(String, InetHookNumber); 2] {
        let local = match self {
            Self::Incoming => ("input", InetHookNumber::LocalIn),
            Self::Outgoing => ("output", InetHookNumber::LocalOut),
        };
        let hooks = [local, ("forward", InetHookNumber::Forward)];
        hooks.map(|(name, hook)| (format!("{}-{name}", self.map()), hook))
    }
}

/// Deletes an element.
#[must_use]
pub fn delete(element: &Element) -> Step {
    let key = DataAttribute::Value(element.key.clone());
    let attributes = vec![SetElementAttribute::Key(key)];
    let elements = elements_of(&element.set, attributes);
    Step {
        message: NfTablesMessage::DeleteSetElement(elements),
        flags: 0,
    }
}

/// Asks for the sets and maps of the table.
#[must_use]
pub fn get_sets() -> NfTablesMessage {
    NfTablesMessage::GetSet(SetMessage {
        attributes: vec![SetAttribute::Table(TABLE.to_owned())],
    })
}

/// Asks for the elements of a set.
#[must_use]
pub fn get_elements(set: &str) -> NfTablesMessage {
    NfTablesMessage::GetSetElement(SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(set.to_owned()),
        ],
    })
}

/// The name of a set.
#[must_use]
pub fn set_name(set: &SetMessage) -> Option<&str> {
    set.attributes.iter().find_map(|attribute| {
        if let SetAttribute::Name(name) = attribute {
            Some(name.as_str())
        } else {
            None
        }
    })
}

/// The keys of those elements that carry our comment.
#[must_use]
pub fn keys_of_ours(elements: &SetElementMessage) -> Vec<Vec<u8>> {
    let lists = elements.attributes.iter().filter_map(|attribute| {
        if let SetElementList::Elements(list) = attribute {
            Some(list)
        } else {
            None
        }
    });
    let elements = lists.flatten().filter_map(|element| {
        if let ListAttribute::Element(attributes) = element {
            Some(attributes)
        } else {
            None
        }
    });
    let ours = SetElementAttribute::UserData(comment());
    let ours = elements.filter(|attributes| attributes.contains(&ours));
    let keys = ours.filter_map(|attributes| {
        attributes.iter().find_map(|attribute| {
            if let SetElementAttribute::Key(DataAttribute::Value(key)) = attribute {
                Some(key.clone())
            } else {
                None
            }
        })
    });
    keys.collect()
}

/// What a set consists of.
#[derive(Clone, Copy)]
enum Contents {
    Addresses,
    Interfaces,
    /// Interfaces, each with where its packets go.
    Jumps,
}

fn new_set(name: &str, contents: Contents) -> Step {
    let (key_type, key_len, byte_order) = match contents {
        Contents::Addresses => (TYPE_IPV4_ADDR, 4, BIG_ENDIAN),
        Contents::Interfaces | Contents::Jumps => (TYPE_IFNAME, NAME_FIELD, HOST_ENDIAN),
    };
    let mut attributes = vec![
        SetAttribute::Table(TABLE.to_owned()),
        SetAttribute::Name(name.to_owned()),
        SetAttribute::KeyType(key_type),
        SetAttribute::KeyLen(key_len),
        // Only tells sets of one transaction apart, and nothing in it refers to them.
        SetAttribute::Id(1),
    ];
    let mut user_data = Vec::new();
    user_data.extend(user_datum(KEY_BYTE_ORDER, &byte_order.to_ne_bytes()));
    if let Contents::Jumps = contents {
        attributes.push(SetAttribute::Flags(SetFlags::Map));
        attributes.push(SetAttribute::DataType(TYPE_VERDICT));
        user_data.extend(user_datum(DATA_BYTE_ORDER, &0_u32.to_ne_bytes()));
    }
    attributes.push(SetAttribute::UserData(user_data));
    create(NfTablesMessage::NewSet(SetMessage { attributes }))
}

/// A chain, or one that the packets at a hook begin in.
fn new_chain(name: &str, hook: Option<InetHookNumber>) -> Step {
    let mut attributes = vec![
        ChainAttribute::Table(TABLE.to_owned()),
        ChainAttribute::Name(name.to_owned()),
    ];
    if let Some(hook) = hook {
        attributes.push(ChainAttribute::Hook(vec![
            Hook::Number(HookNumber::Inet(hook)),
            Hook::Priority(PRIORITY_FILTER),
        ]));
        attributes.push(ChainAttribute::Type("filter".to_owned()));
    }
    create(NfTablesMessage::NewChain(ChainMessage { attributes }))
}

fn flush(chain: &str) -> Step {
    let attributes = vec![
        RuleAttribute::Table(TABLE.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
    ];
    Step {
        message: NfTablesMessage::DeleteRule(RuleMessage { attributes }),
        flags: 0,
    }
}

/// The rule `iifname vmap @greyhound-incoming`, or `oifname` and so on.
fn lookup(chain: &str, direction: Direction) -> Step {
    let name = match direction {
        Direction::Incoming => MetaKey::Iifname,
        Direction::Outgoing => MetaKey::Oifname,
    };
    let load = Expressions::Meta(vec![
        Meta::Key(name),
        Meta::DestinationRegister(Register::Reg1),
    ]);
    let jump = Expressions::Lookup(vec![
        Lookup::Set(direction.map()),
        Lookup::SourceRegister(Register::Reg1),
        Lookup::DestinationRegister(Register::Verdict),
    ]);
    let attributes = vec![
        RuleAttribute::Table(TABLE.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Expressions(vec![load.into(), jump.into()]),
    ];
    Step {
        message: NfTablesMessage::NewRule(RuleMessage { attributes }),
        flags: NLM_F_CREATE | NLM_F_APPEND,
    }
}

fn elements_of(set: &str, element: Vec<SetElementAttribute>) -> SetElementMessage {
    SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(set.to_owned()),
            SetElementList::Elements(vec![ListAttribute::Element(element)]),
        ],
    }
}

fn create(message: NfTablesMessage) -> Step {
    Step {
        message,
        flags: NLM_F_CREATE,
    }
}

/// An interface's name as a key: zeroes up to the field's end.
fn padded(interface: &str) -> Vec<u8> {
    let mut key = interface.as_bytes().to_vec();
    key.resize(NAME_FIELD as usize, 0);
    key
}

fn comment() -> Vec<u8> {
    user_datum(ELEMENT_COMMENT, format!("{COMMENT}\0").as_bytes())
}

/// What the kernel keeps for nft(8) beside a set or an element.
fn user_datum(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u8::try_from(value.len()).expect("a few bytes");
    [&[kind, len], value].concat()
}

/// The kernel's IFNAMSIZ.
const NAME_FIELD: u32 = 16;
/// NF_IP_PRI_FILTER.
const PRIORITY_FILTER: u32 = 0;

/// Data types as nft(8) numbers them; the kernel only keeps the numbers.
const TYPE_IPV4_ADDR: u32 = 7;
const TYPE_IFNAME: u32 = 41;
/// NFT_DATA_VERDICT, which the kernel knows.
const TYPE_VERDICT: u32 = 0xffff_ff00;

/// Kinds of user data of sets, and of their elements, as libnftnl numbers them.
const KEY_BYTE_ORDER: u8 = 0;
const DATA_BYTE_ORDER: u8 = 1;
const ELEMENT_COMMENT: u8 = 0;
const HOST_ENDIAN: u32 = 1;
const BIG_ENDIAN: u32 = 2;

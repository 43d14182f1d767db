//! Interfaces that outlive sessions: those of clients that dial out.
//!
//! One is there from [`super::Request::Stand`] to [`super::Request::Dismiss`], under one name and
//! one index. A session takes it by [`super::Request::Attach`] and gives it back when it ends; what
//! others have put on it in the meantime, routes above all, stays. It has a carrier while a session
//! has it or a packet is to bring one about.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// An interface that is there with or without a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The name an operator sees, as in [`super::Interface::name`]; what it is known by.
    pub name: String,
    /// Bytes of the largest packet until a session has said better.
    pub mtu: u16,
    /// What it has while there is no session, if packets are to bring one about.
    pub placeholder: Option<Placeholder>,
}

/// Addresses that stand in for those that a session would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholder {
    /// Our address.
    pub address: Ipv4Addr,
    /// The gateway.
    pub peer: Ipv4Addr,
    /// The metric of a default route through the gateway, if there is to be one.
    pub default_route: Option<u32>,
}

//! IPCP: the addresses inside the tunnel (RFC 1332), DNS and WINS servers (RFC 1877).
//!
//! Van Jacobson compression and the deprecated IP-Addresses option are rejected.

use std::net::Ipv4Addr;

use super::negotiation::{Extension, Judgement, Protocol};
use super::packet::{ConfigOption, Packet};
use super::{Network, protocol};
use crate::entropy::Entropy;

/// Our side of IPCP.
#[derive(Debug)]
pub(super) struct Ipcp {
    role: Role,
    wish: Wish,
    /// The address that the peer asked for and got.
    peer: Option<Ipv4Addr>,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    /// We tell the peer its address and servers.
    Server(Network),
    /// We ask for ours.
    Client,
}

/// What we ask for; `None` once the peer rejected it.
#[derive(Debug)]
struct Wish {
    address: Option<Ipv4Addr>,
    /// In the order of [`SERVERS`].
    servers: [Option<Ipv4Addr>; 4],
}

impl Ipcp {
    /// One that gives out `network`.
    pub(super) const fn server(network: Network) -> Self {
        Self::new(Role::Server(network))
    }

    /// One that asks for an address and servers.
    pub(super) const fn client() -> Self {
        Self::new(Role::Client)
    }

    /// What was agreed on; `None` if an end is left without an address.
    pub(super) fn network(&self) -> Option<Network> {
        match self.role {
            Role::Server(network) => Some(network),
            Role::Client => {
                let told =
                    |address: Option<Ipv4Addr>| address.filter(|address| !address.is_unspecified());
                let [dns1, wins1, dns2, wins2] = self.wish.servers.map(told);
                Some(Network {
                    ours: told(self.wish.address)?,
                    peer: told(self.peer)?,
                    dns: [dns1, dns2],
                    wins: [wins1, wins2],
                })
            }
        }
    }

    const fn new(role: Role) -> Self {
        Self {
            role,
            wish: Wish {
                address: None,
                servers: [None; 4],
            },
            peer: None,
        }
    }
}

impl Protocol for Ipcp {
    const NUMBER: u16 = protocol::IPCP;

    fn begin(&mut self, _: &mut dyn Entropy) {
        self.peer = None;
        self.wish = match self.role {
            Role::Server(network) => Wish {
                address: Some(network.ours),
                servers: [None; 4],
            },
            Role::Client => Wish {
                address: Some(Ipv4Addr::UNSPECIFIED),
                servers: [Some(Ipv4Addr::UNSPECIFIED); 4],
            },
        };
    }

    fn request(&self) -> Vec<ConfigOption> {
        let address = std::iter::once((IP_ADDRESS, self.wish.address));
        let servers = SERVERS.into_iter().zip(self.wish.servers);
        address
            .chain(servers)
            .filter_map(|(kind, value)| Some(ConfigOption::new(kind, value?.octets())))
            .collect()
    }

    fn nakked(&mut self, option: &ConfigOption, _: &mut dyn Entropy) {
        // A server keeps its address whatever the peer thinks of it.
        let (Role::Client, Some(value)) = (self.role, address(option)) else {
            return;
        };
        if option.kind == IP_ADDRESS {
            self.wish.address = Some(value);
        } else if let Some(slot) = SERVERS.iter().position(|kind| *kind == option.kind) {
            self.wish.servers[slot] = Some(value);
        }
    }

    fn rejected(&mut self, option: &ConfigOption) {
        if option.kind == IP_ADDRESS {
            self.wish.address = None;
        } else if let Some(slot) = SERVERS.iter().position(|kind| *kind == option.kind) {
            self.wish.servers[slot] = None;
        }
    }

    fn judge(&mut self, option: &ConfigOption, _: &mut dyn Entropy) -> Judgement {
        let Some(asked) = address(option) else {
            return Judgement::Reject;
        };
        let ours = match (self.role, option.kind) {
            (Role::Server(network), IP_ADDRESS) => Some(network.peer),
            (Role::Server(network), kind) => {
                let [dns, wins] = [network.dns, network.wins];
                let values = [dns[0], wins[0], dns[1], wins[1]];
                let slot = SERVERS.iter().position(|server| *server == kind);
                slot.and_then(|slot| values[slot])
            }
            // Any address will do for the server, but not none: we have no other to offer.
            (Role::Client, IP_ADDRESS) => Some(asked).filter(|asked| !asked.is_unspecified()),
            (Role::Client, _) => None,
        };
        match ours {
            Some(ours) if ours == asked => Judgement::Ack,
            Some(ours) => Judgement::Nak(ours.octets().into()),
            None => Judgement::Reject,
        }
    }

    fn missing(&self, options: &[ConfigOption]) -> Vec<ConfigOption> {
        match self.role {
            Role::Server(network) if options.iter().all(|o| o.kind != IP_ADDRESS) => {
                vec![ConfigOption::new(IP_ADDRESS, network.peer.octets())]
            }
            Role::Server(_) | Role::Client => Vec::new(),
        }
    }

    fn accepted(&mut self, options: &[ConfigOption]) {
        let option = options.iter().find(|option| option.kind == IP_ADDRESS);
        self.peer = option.and_then(address);
    }

    fn extension(&mut self, _: Packet<'_>) -> Extension {
        Extension::Unknown
    }
}

fn address(option: &ConfigOption) -> Option<Ipv4Addr> {
    option.u32().map(Ipv4Addr::from_bits)
}

/// RFC 1332 §3.3.
pub(super) const IP_ADDRESS: u8 = 3;
/// RFC 1877 §1.1-1.4: primary DNS, primary WINS, secondary DNS, secondary WINS.
const SERVERS: [u8; 4] = [129, 130, 131, 132];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::CountingEntropy;

    const NETWORK: Network = Network {
        ours: Ipv4Addr::new(10, 77, 1, 1),
        peer: Ipv4Addr::new(10, 77, 1, 100),
        dns: [Some(Ipv4Addr::new(9, 9, 9, 9)), None],
        wins: [None, None],
    };

    fn begun(mut ipcp: Ipcp) -> Ipcp {
        ipcp.begin(&mut CountingEntropy(0));
        ipcp
    }

    fn judge(ipcp: &mut Ipcp, kind: u8, data: [u8; 4]) -> Judgement {
        ipcp.judge(&ConfigOption::new(kind, data), &mut CountingEntropy(0))
    }

    #[test]
    fn a_server_tells_its_address_in_the_bytes_that_pppd_sends() {
        assert_eq!(
            ConfigOption::emit_all(&begun(Ipcp::server(NETWORK)).request()),
            [0x03, 0x06, 0x0a, 0x4d, 0x01, 0x01]
        );
    }

    #[test]
    fn a_server_insists_on_the_peer_s_address_and_names_the_servers_it_has() {
        let mut ipcp = begun(Ipcp::server(NETWORK));
        let nak = Judgement::Nak(vec![10, 77, 1, 100]);
        assert_eq!(judge(&mut ipcp, IP_ADDRESS, [0; 4]), nak);
        assert_eq!(
            judge(&mut ipcp, IP_ADDRESS, [10, 77, 1, 100]),
            Judgement::Ack
        );
        assert_eq!(judge(&mut ipcp, 129, [0; 4]), Judgement::Nak(vec![9; 4]));
        assert_eq!(judge(&mut ipcp, 129, [9; 4]), Judgement::Ack);
        for kind in [130, 131, 132] {
            assert_eq!(judge(&mut ipcp, kind, [0; 4]), Judgement::Reject);
        }
        assert_eq!(
            ipcp.missing(&[]),
            [ConfigOption::new(IP_ADDRESS, [10, 77, 1, 100])]
        );
    }

    #[test]
    fn header_compression_and_both_addresses_in_one_option_are_rejected() {
        for ipcp in [Ipcp::server(NETWORK), Ipcp::client()] {
            let mut ipcp = begun(ipcp);
            assert_eq!(judge(&mut ipcp, 2, [0, 0x2d, 0x0f, 1]), Judgement::Reject);
            let both = ConfigOption::new(1, [0; 8]);
            assert_eq!(
                ipcp.judge(&both, &mut CountingEntropy(0)),
                Judgement::Reject
            );
        }
    }

    #[test]
    fn a_client_takes_what_it_is_told() {
        let mut ipcp = begun(Ipcp::client());
        assert_eq!(ipcp.request().len(), 5);
        for (kind, value) in [(IP_ADDRESS, [10, 77, 1, 100]), (129, [9; 4])] {
            ipcp.nakked(&ConfigOption::new(kind, value), &mut CountingEntropy(0));
        }
        for kind in [130, 131, 132] {
            ipcp.rejected(&ConfigOption::new(kind, [0; 4]));
        }
        assert_eq!(judge(&mut ipcp, IP_ADDRESS, [10, 77, 1, 1]), Judgement::Ack);
        ipcp.accepted(&[ConfigOption::new(IP_ADDRESS, [10, 77, 1, 1])]);
        let mirrored = Network {
            ours: NETWORK.peer,
            peer: NETWORK.ours,
            ..NETWORK
        };
        assert_eq!(ipcp.network(), Some(mirrored));
    }

    #[test]
    fn a_client_without_both_addresses_has_no_network() {
        let mut ipcp = begun(Ipcp::client());
        ipcp.accepted(&[ConfigOption::new(IP_ADDRESS, [10, 77, 1, 1])]);
        assert_eq!(ipcp.network(), None);
        ipcp.nakked(
            &ConfigOption::new(IP_ADDRESS, [10, 77, 1, 100]),
            &mut CountingEntropy(0),
        );
        assert!(ipcp.network().is_some());
        ipcp.accepted(&[]);
        assert_eq!(ipcp.network(), None);
    }
}

//! The clients' interfaces, which stand whether or not there is a session, and what the datapath is
//! asked for with them: to hear of the first packet, and to keep the way to the server.

use std::net::Ipv4Addr;
use std::time::Instant;

use greyhound_datapath::ipc::{Placeholder, Prefix, Request, Route, Standing, Warning};

use super::{ClientId, Command, Datapath, Server, Timer};
use crate::dialer::Stage;
use crate::dns;
use crate::entropy::Entropy;
use crate::model::{PeerDns, PptpClient};
use crate::ppp::Network;
use crate::session::line::Message;
use crate::session::{interface_name, is_host};

/// How many clients have placeholders of their own.
const UNITS: u8 = 100;

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    /// The datapath is there: it is to have every client's interface, and no others.
    pub(super) fn stand_all(&mut self) {
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for &client in &clients {
            self.stand(client);
        }
        self.ask(Request::DismissOthers);
        for client in clients {
            let state = self.clients.get(&client);
            if state.is_some_and(|state| state.dialer.stage() == Stage::Idle) {
                self.await_packets(client);
            }
            self.touched.push_back(Timer::Client(client));
        }
    }

    /// Has a client's interface as it is to be.
    pub(super) fn stand(&mut self, client: ClientId) {
        let Some(state) = self.clients.get(&client) else {
            return;
        };
        let config = &state.config;
        // Who was given an address once is given the same as a rule: what is sent from it while
        // there is no session has the right source.
        let address = state.address.unwrap_or_else(|| our_placeholder(state.unit));
        let placeholder = config.dial_on_demand.then(|| Placeholder {
            address,
            peer: gateway_placeholder(state.unit),
            default_route: default_metric(config),
        });
        let standing = Standing {
            name: interface_name(&config.name),
            mtu: config.max_mtu,
            placeholder,
        };
        self.ask(Request::Stand { standing });
    }

    /// Wants to hear of the next packet.
    pub(super) fn await_packets(&mut self, client: ClientId) {
        if let Some(state) = self.clients.get(&client) {
            let name = interface_name(&state.config.name);
            self.ask(Request::Await { name });
        }
    }

    /// A packet wants to go out through an interface without a session.
    pub(super) fn on_demand(&mut self, now: Instant, name: &str) {
        for (&id, state) in &mut self.clients {
            if !state.is_retired && interface_name(&state.config.name) == name {
                state.dialer.handle_demand(now);
                self.touched.push_back(Timer::Client(id));
            }
        }
    }

    /// An interface stands, but not all that belongs to it is there.
    pub(super) fn on_stands(&mut self, name: &str, warnings: &[Warning]) {
        for warning in warnings {
            self.say_of_interface(name, Message::Lacking, &warning.to_string());
        }
    }

    /// An interface does not stand: each session that wants it will fail.
    pub(super) fn on_cannot_stand(&mut self, name: &str, reason: &str) {
        self.say_of_interface(name, Message::SessionFailed, reason);
    }

    /// A session of a client has come up.
    pub(super) fn note_client_up(
        &mut self,
        now: Instant,
        client: ClientId,
        network: &Network,
        kernel_name: &str,
    ) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        state.dialer.handle_up(now);
        let ours = Some(network.ours);
        if std::mem::replace(&mut state.address, ours) != ours && state.config.dial_on_demand {
            self.stand(client);
        }
        self.use_peer_dns(client, network, kernel_name);
    }

    /// Has the system's resolver ask the server's name servers, once, if that is wanted.
    fn use_peer_dns(&mut self, client: ClientId, network: &Network, kernel_name: &str) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        let how = state.config.use_peer_dns;
        if how == PeerDns::No || state.resolves_by.is_some() {
            return;
        }
        state.resolves_by = Some(kernel_name.to_owned());
        let name = state.config.name.clone();
        let told = network.dns.into_iter().flatten();
        let servers: Vec<_> = told.filter(|server| is_host(*server)).collect();
        if servers.is_empty() {
            let text = "use-peer-dns: the server gave no DNS servers";
            let line = self.client_line(client, Message::DnsFailed, text);
            return self.log(line);
        }
        self.commands.push_back(Command::SetDns {
            name,
            setting: dns::Setting {
                interface: kernel_name.to_owned(),
                servers,
                exclusively: how == PeerDns::Exclusively,
            },
        });
    }

    /// Lets go of the way to the server.
    pub(super) fn unpin(&mut self, client: ClientId) {
        if let Some(state) = self.clients.get(&client)
            && state.config.add_default_route
        {
            let name = interface_name(&state.config.name);
            self.ask(Request::Unpin { name });
        }
    }

    /// Nobody has this interface any more.
    pub(super) fn dismiss(&mut self, name: &str) {
        let name = interface_name(name);
        self.ask(Request::Dismiss { name });
    }

    /// A number that no other client has, from which placeholders are made.
    pub(super) fn free_unit(&self) -> u8 {
        let is_free = |unit: &u8| self.clients.values().all(|one| one.unit != *unit);
        (0..UNITS).find(is_free).unwrap_or(UNITS)
    }

    fn ask(&mut self, request: Request) {
        if matches!(self.datapath, Datapath::Ready(_)) {
            self.commands.push_back(Command::Datapath(request));
        }
    }

    fn say_of_interface(&mut self, name: &str, message: Message, text: &str) {
        let is_it = |config: &PptpClient| interface_name(&config.name) == name;
        let mut clients = self.clients.iter();
        if let Some((&client, _)) = clients.find(|(_, state)| is_it(&state.config)) {
            let line = self.client_line(client, message, text);
            self.log(line);
        }
    }
}

/// The route through a client that is to carry all that has no better one.
pub(super) fn default_route(config: &PptpClient) -> Option<Route> {
    Some(Route {
        destination: Prefix::new(Ipv4Addr::UNSPECIFIED, 0)?,
        gateway: None,
        metric: default_metric(config)?,
    })
}

fn default_metric(config: &PptpClient) -> Option<u32> {
    let metric = u32::from(config.default_route_distance);
    config.add_default_route.then_some(metric)
}

/// The gateway of an interface that has no session.
const fn gateway_placeholder(unit: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 112, 112, 112 + unit)
}

/// Our address on it, if no session has given one: pppd's customary one.
const fn our_placeholder(unit: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 64, 64, 64 + unit)
}

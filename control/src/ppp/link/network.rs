//! The Network phase of a [`Link`]: CCP, then IPCP with IPV6CP beside it, and the order in which the datapath hears.

use std::time::{Duration, Instant};

use greyhound_datapath::mppe::Parameters;

use super::{Link, Phase, SETUP, is_terminate_request};
use crate::cause::Cause;
use crate::ppp::ccp::{self, Ccp};
use crate::ppp::fsm::State;
use crate::ppp::ipcp::Ipcp;
use crate::ppp::ipv6cp::Ipv6cp;
use crate::ppp::negotiation::{Negotiation, Output};
use crate::ppp::packet::code;
use crate::ppp::{Command, Encoding, Encryption, Ipv6, MppeKeys, Role, UseIpv6, protocol};

impl Link {
    /// Both ends are who they say.
    pub(super) fn enter_network(&mut self, now: Instant, keys: Option<MppeKeys>) {
        self.phase = Phase::Network;
        let keys = keys.filter(|_| !self.strengths.is_empty());
        match (self.encryption, keys) {
            (Encryption::No, _) | (Encryption::Yes, None) => self.start_networks(now),
            (Encryption::Required, None) => self.close(now, Cause::EncryptionNotNegotiated),
            (Encryption::Yes | Encryption::Required, Some(keys)) => {
                let mut ccp = Negotiation::new(Ccp::new(keys, self.strengths));
                ccp.start(now, &mut *self.entropy);
                self.ccp = Some(ccp);
            }
        }
        self.pump(now);
        self.replay(now, protocol::CCP);
    }

    pub(super) fn on_network_frame(&mut self, now: Instant, protocol: u16, payload: &[u8]) {
        match self.phase {
            Phase::Authenticate => self.keep_early(protocol, payload),
            Phase::Network => self.on_negotiation_frame(now, protocol, payload),
            Phase::Dead | Phase::Establish | Phase::Terminate | Phase::Finished => {}
        }
    }

    fn on_negotiation_frame(&mut self, now: Instant, protocol: u16, payload: &[u8]) {
        match (protocol, &mut self.ccp, &mut self.ipcp) {
            (protocol::CCP, Some(ccp), _) => {
                let was_negotiating = ccp.is_negotiating();
                ccp.handle_packet(now, &mut *self.entropy, payload);
                // A peer that closes CCP before it is open does not want it: no use asking on.
                if was_negotiating && is_terminate_request(payload) {
                    ccp.refused(now, &mut *self.entropy);
                }
            }
            (protocol::IPCP, _, Some(ipcp)) => {
                ipcp.handle_packet(now, &mut *self.entropy, payload);
            }
            (protocol::IPV6CP, ..) if self.use_ipv6 == UseIpv6::No => {
                self.reject_protocol(protocol, payload);
            }
            (protocol::IPV6CP, _, Some(_)) => match &mut self.ipv6cp {
                Some(ipv6cp) => {
                    ipv6cp.handle_packet(now, &mut *self.entropy, payload);
                }
                None => self.reject_protocol(protocol, payload),
            },
            // Interop: a Terminate-Ack while CCP negotiates costs pppd 3 s; so it waits its turn.
            (protocol::IPCP | protocol::IPV6CP, Some(_), None) => {
                self.keep_early(protocol, payload);
            }
            _ => {
                self.refused_mppe |= protocol == protocol::CCP && ccp::asks_for_mppe(payload);
                self.reject_protocol(protocol, payload);
            }
        }
    }

    pub(super) fn on_ccp(&mut self, now: Instant, output: Output) {
        let Some(ccp) = &self.ccp else {
            return;
        };
        let (rx, tx) = (ccp.protocol().rx(), ccp.protocol().tx());
        match output {
            Output::Send(payload) => {
                // The peer may encrypt as soon as it has our Configure-Ack, and its own, which
                // makes CCP open there, may still be on its way to us.
                if payload.first() == Some(&code::CONFIGURE_ACK) && self.mppe.0 != rx {
                    self.set_mppe(rx, None, Encoding::default());
                }
                let resets = payload.first() == Some(&ccp::RESET_ACK);
                self.send(protocol::CCP, payload);
                // Behind the Reset-Ack: until it has that, Linux drops what is encrypted.
                if resets && self.mppe.1.as_ref().is_some_and(|tx| !tx.stateless) {
                    self.commands.push_back(Command::ResetMppe);
                }
            }
            Output::Up => {
                let encoding = ccp.protocol().encoding();
                let required = self.encrypted || self.encryption == Encryption::Required;
                if required && (rx.is_none() || tx.is_none()) {
                    self.close(now, Cause::EncryptionNotNegotiated);
                    return;
                }
                self.encrypted = rx.is_some() || tx.is_some();
                self.set_mppe(rx, tx, encoding);
                self.start_networks(now);
            }
            Output::Down => {
                // Nothing may be sent in clear while this is negotiated again.
                if self.network_is_up {
                    self.setup_deadline = Some(now + SETUP);
                }
                self.stop_networks();
                self.set_mppe(None, None, Encoding::default());
            }
            Output::Finished => {
                self.ccp = None;
                self.set_mppe(None, None, Encoding::default());
                if self.encrypted || self.encryption == Encryption::Required {
                    self.close(now, Cause::EncryptionNotNegotiated);
                } else {
                    self.start_networks(now);
                }
            }
            Output::ProtocolRejected(_) => {}
        }
    }

    fn start_networks(&mut self, now: Instant) {
        let mut ipcp = match (&self.config.role, self.network) {
            (Role::Server { .. }, Some(network)) => Negotiation::new(Ipcp::server(network)),
            (Role::Server { .. }, None) => return self.close(now, Cause::NoRemoteAddress),
            (Role::Client { .. }, _) => Negotiation::new(Ipcp::client()),
        };
        ipcp.start(now, &mut *self.entropy);
        self.ipcp = Some(ipcp);
        if self.use_ipv6 != UseIpv6::No {
            let mut ipv6cp = Negotiation::new(Ipv6cp::default());
            ipv6cp.start(now, &mut *self.entropy);
            self.ipv6cp = Some(ipv6cp);
        }
        self.pump(now);
        self.replay(now, protocol::IPCP);
        self.replay(now, protocol::IPV6CP);
    }

    pub(super) fn stop_networks(&mut self) {
        self.take_network_down();
        self.ipcp = None;
        self.ipv6cp = None;
        self.ipv6_deadline = None;
    }

    pub(super) fn on_ipcp(&mut self, now: Instant, output: Output) {
        match output {
            Output::Send(payload) => self.send(protocol::IPCP, payload),
            Output::Up => self.take_network_up(now),
            Output::Down => {
                self.setup_deadline = Some(now + SETUP);
                self.ipv6_deadline = None;
                self.take_network_down();
            }
            Output::Finished => self.close(now, Cause::NoNetworkProtocols),
            Output::ProtocolRejected(_) => {}
        }
    }

    pub(super) fn on_ipv6cp(&mut self, now: Instant, output: Output) {
        match output {
            Output::Send(payload) => return self.send(protocol::IPV6CP, payload),
            Output::Up => self.ipv6_deadline = None,
            Output::Down => {}
            Output::Finished => {
                self.ipv6cp = None;
                if self.use_ipv6 == UseIpv6::Required {
                    return self.close(now, Cause::Ipv6NotNegotiated);
                }
            }
            Output::ProtocolRejected(_) => return,
        }
        if self.network_is_up {
            let ipv6 = self.ipv6();
            self.commands.push_back(Command::SetIpv6(ipv6));
        }
    }

    /// What IPV6CP came to, while it is open.
    fn ipv6(&self) -> Option<Ipv6> {
        let open = |ipv6cp: &&Negotiation<Ipv6cp>| ipv6cp.state() == State::Opened;
        let ipv6cp = self.ipv6cp.as_ref().filter(open);
        ipv6cp.and_then(|ipv6cp| ipv6cp.protocol().network())
    }

    fn take_network_up(&mut self, now: Instant) {
        let network = self.ipcp.as_ref();
        let Some(network) = network.and_then(|ipcp| ipcp.protocol().network()) else {
            return self.close(now, Cause::NoRemoteAddress);
        };
        let ipv6 = self.ipv6();
        if ipv6.is_none() && self.use_ipv6 == UseIpv6::Required {
            self.ipv6_deadline = Some(now + IPV6CP_PATIENCE);
        }
        let lcp = self.lcp.protocol();
        let options = lcp.link_options();
        self.commands.push_back(Command::NetworkUp {
            network,
            ipv6,
            peer_mru: lcp.peer_mru(),
            our_mru: lcp.our_mru(),
            compression: (options.acfc, options.pfc),
        });
        self.network_is_up = true;
        self.setup_deadline = None;
    }

    pub(super) fn take_network_down(&mut self) {
        if std::mem::take(&mut self.network_is_up) {
            self.commands.push_back(Command::NetworkDown);
        }
    }

    pub(super) fn set_mppe(
        &mut self,
        rx: Option<Parameters>,
        tx: Option<Parameters>,
        encoding: Encoding,
    ) {
        let nothing =
            |(rx, tx): &(Option<Parameters>, Option<Parameters>)| rx.is_none() && tx.is_none();
        let mppe = (rx, tx);
        if nothing(&mppe) && nothing(&self.mppe) {
            return;
        }
        self.mppe = mppe.clone();
        let (rx, tx) = mppe;
        self.commands
            .push_back(Command::SetMppe { rx, tx, encoding });
    }
}

/// How long IPV6CP may take once IPCP is open, where it is required: a packet that was lost is sent
/// again after 3 s.
const IPV6CP_PATIENCE: Duration = Duration::from_secs(10);

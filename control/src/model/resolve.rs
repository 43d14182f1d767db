//! Who gets what: the server's default profile, the user's profile and the secret, laid over one
//! another.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::rate::RateLimit;
use super::route::Route;
use super::{AddressSource, Config, PptpClient, Profile, Secret};
use crate::ppp::{Encryption, UseIpv6};

/// What a user gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where our address inside the tunnel comes from.
    pub local: Option<AddressSource>,
    /// Where the user's address inside the tunnel comes from.
    pub remote: Option<AddressSource>,
    /// DNS servers.
    pub dns: [Option<Ipv4Addr>; 2],
    /// WINS servers.
    pub wins: [Option<Ipv4Addr>; 2],
    /// The encryption policy.
    pub encryption: Encryption,
    /// The policy about IPv6.
    pub ipv6: UseIpv6,
    /// A second login ends the first.
    pub only_one: bool,
    /// TCP connections are told a segment size that fits into the tunnel.
    pub change_tcp_mss: bool,
    /// How long a session may last.
    pub session_timeout: Option<Duration>,
    /// How long a session may carry no data.
    pub idle_timeout: Option<Duration>,
    /// How fast a session may be.
    pub rate_limit: Option<RateLimit>,
    /// Bytes that the user may send in a session; 0 is no limit.
    pub limit_bytes_in: u64,
    /// Bytes that the user may get in a session; 0 is no limit.
    pub limit_bytes_out: u64,
    /// Bytes that the user may send and get in a session, together; 0 is no limit. No menu has it.
    pub limit_bytes_total: u64,
    /// Networks behind the user.
    pub routes: Vec<Route>,
    /// The firewall chain for what the user sends.
    pub incoming_filter: Option<String>,
    /// The firewall chain for what the user gets.
    pub outgoing_filter: Option<String>,
    /// Lists that the user's address joins.
    pub address_list: Vec<String>,
    /// The list that the interface joins.
    pub interface_list: Option<String>,
    /// The program that runs after connecting, with its arguments; empty if there is none.
    pub on_up: String,
    /// The program that runs after disconnecting.
    pub on_down: String,
}

impl Config {
    /// What the user of `secret` gets. The secret counts before its profile, that before the
    /// server's default profile; but a fixed address counts before any pool.
    #[must_use]
    pub fn resolve(&self, secret: &Secret) -> Resolved {
        let base = self.layers(self.profile(&secret.profile));
        let fixed = |address: Option<Ipv4Addr>| address.map(AddressSource::Fixed);
        Resolved {
            local: fixed(secret.local_address).or(base.local),
            remote: fixed(secret.remote_address).or(base.remote),
            limit_bytes_in: secret.limit_bytes_in,
            limit_bytes_out: secret.limit_bytes_out,
            routes: secret.routes.clone(),
            ..base
        }
    }

    /// What a user without a profile gets: what the server's default profile says.
    #[must_use]
    pub fn resolve_default(&self) -> Resolved {
        self.layers(None)
    }

    /// What a user with this profile gets, if there is one.
    #[must_use]
    pub fn resolve_profile(&self, profile: &str) -> Option<Resolved> {
        Some(self.layers(Some(self.profile(profile)?)))
    }

    /// The encryption policy of users with this profile.
    #[must_use]
    pub fn profile_encryption(&self, profile: &str) -> Encryption {
        self.layers(self.profile(profile)).encryption
    }

    /// What a client gets, which is what its profile says and nothing else.
    #[must_use]
    pub fn resolve_client(&self, client: &PptpClient) -> Resolved {
        of_layers([self.profile(&client.profile), None])
    }

    fn layers(&self, profile: Option<&Profile>) -> Resolved {
        of_layers([profile, self.profile(&self.server.default_profile)])
    }
}

/// What the first of two layers says that says something, property by property.
fn of_layers(layers: [Option<&Profile>; 2]) -> Resolved {
    let layers = || layers.into_iter().flatten();
    let text = |of: fn(&Profile) -> &String| {
        let texts = layers().map(of);
        texts
            .clone()
            .find(|text| !text.is_empty())
            .cloned()
            .unwrap_or_default()
    };
    Resolved {
        local: address(layers().map(|layer| layer.local_address.as_ref())),
        remote: address(layers().map(|layer| layer.remote_address.as_ref())),
        dns: servers(layers().map(|layer| layer.dns_server.as_slice())),
        wins: servers(layers().map(|layer| layer.wins_server.as_slice())),
        encryption: layers()
            .find_map(|layer| layer.use_encryption)
            .unwrap_or(Encryption::No),
        ipv6: layers()
            .find_map(|layer| layer.use_ipv6)
            .unwrap_or_default(),
        only_one: layers().find_map(|layer| layer.only_one).unwrap_or(false),
        change_tcp_mss: layers()
            .find_map(|layer| layer.change_tcp_mss)
            .unwrap_or(false),
        session_timeout: layers().find_map(|layer| layer.session_timeout),
        idle_timeout: layers().find_map(|layer| layer.idle_timeout),
        rate_limit: layers().find_map(|layer| layer.rate_limit),
        limit_bytes_in: 0,
        limit_bytes_out: 0,
        limit_bytes_total: 0,
        routes: Vec::new(),
        incoming_filter: layers().find_map(|layer| layer.incoming_filter.clone()),
        outgoing_filter: layers().find_map(|layer| layer.outgoing_filter.clone()),
        address_list: layers()
            .map(|layer| &layer.address_list)
            .find(|list| !list.is_empty())
            .cloned()
            .unwrap_or_default(),
        interface_list: layers().find_map(|layer| layer.interface_list.clone()),
        on_up: text(|layer| &layer.on_up),
        on_down: text(|layer| &layer.on_down),
    }
}

/// A fixed address counts before any pool.
fn address<'a>(layers: impl Iterator<Item = Option<&'a AddressSource>>) -> Option<AddressSource> {
    let sources: Vec<_> = layers.flatten().collect();
    sources
        .iter()
        .find(|source| matches!(source, AddressSource::Fixed(_)))
        .or_else(|| sources.first())
        .map(|&source| source.clone())
}

fn servers<'a>(mut layers: impl Iterator<Item = &'a [Ipv4Addr]>) -> [Option<Ipv4Addr>; 2] {
    let addresses = layers.find(|layer| !layer.is_empty()).unwrap_or_default();
    [addresses.first().copied(), addresses.get(1).copied()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

    #[test]
    fn the_secret_counts_before_its_profile_and_that_before_the_default_profile() {
        let config = config(
            "/ppp profile
             add name=low local-address=10.0.0.1 remote-address=10.0.0.2 use-encryption=yes \
                only-one=yes dns-server=1.1.1.1,8.8.8.8 wins-server=10.9.9.9
             add name=high remote-address=10.0.0.3 use-encryption=required dns-server=9.9.9.9
             /interface pptp-server server set default-profile=low
             /ppp secret
             add name=u profile=high remote-address=10.0.0.5
             add name=v profile=high
             add name=w",
        );
        let named = |user| config.secrets.iter().find(|secret| secret.name == user);
        let of = |user| config.resolve(named(user).unwrap());

        let top = of("u");
        assert_eq!(top.local, fixed([10, 0, 0, 1]));
        assert_eq!(top.remote, fixed(USER.octets()));
        assert_eq!(top.dns, [Some(Ipv4Addr::new(9, 9, 9, 9)), None]);
        assert_eq!(top.wins, [Some(Ipv4Addr::new(10, 9, 9, 9)), None]);
        assert_eq!(top.encryption, Encryption::Required);
        assert!(top.only_one);
        assert_eq!(of("v").remote, fixed([10, 0, 0, 3]));
        assert_eq!(of("w").remote, fixed([10, 0, 0, 2]));
        assert_eq!(of("w").encryption, Encryption::Yes);
        // The profile `default` says one thing by itself.
        let without = Resolved {
            change_tcp_mss: false,
            ..of("w")
        };
        assert_eq!(config.resolve_default(), without);
    }

    #[test]
    fn a_fixed_address_counts_before_a_pool_of_a_higher_layer() {
        let config = config(
            "/ip pool add name=p ranges=10.0.0.10-10.0.0.20
             /ip pool add name=q ranges=10.0.1.10-10.0.1.20
             /ppp profile add name=low remote-address=10.0.0.2 local-address=q
             /ppp profile add name=high remote-address=p local-address=p
             /interface pptp-server server set default-profile=low
             /ppp secret add name=u profile=high",
        );

        let resolved = config.resolve(&config.secrets[0]);

        assert_eq!(resolved.remote, fixed([10, 0, 0, 2]));
        assert_eq!(resolved.local, Some(AddressSource::Pool("p".to_owned())));
    }

    #[test]
    fn a_user_without_anything_gets_the_encryption_of_the_default_profile() {
        let config = config("/ppp secret add name=u");

        let resolved = config.resolve(&config.secrets[0]);

        assert_eq!(resolved.encryption, Encryption::Yes);
        assert_eq!(resolved.remote, None);
        assert!(!resolved.only_one);
    }

    #[test]
    fn a_client_has_the_encryption_of_its_profile_alone() {
        let config = config(
            "/interface pptp-client add connect-to=a user=u
             /interface pptp-client add connect-to=a user=u profile=default",
        );

        let policies: Vec<_> = config
            .clients
            .iter()
            .map(|client| config.resolve_client(client).encryption)
            .collect();

        assert_eq!(policies, [Encryption::Yes, Encryption::No]);
    }

    fn fixed(octets: [u8; 4]) -> Option<AddressSource> {
        Some(AddressSource::Fixed(octets.into()))
    }

    fn config(text: &str) -> Config {
        Config::parse(text).unwrap().0
    }
}

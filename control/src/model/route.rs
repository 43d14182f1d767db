//! `routes` of a secret: networks behind a user.

use std::fmt;
use std::net::Ipv4Addr;

/// A network that is reached through a user's tunnel: `10.1.0.0/24 10.0.0.5 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network, its host bits 0.
    pub destination: Ipv4Addr,
    /// How many bits of it count, 0 to 32.
    pub prefix_len: u8,
    /// The next hop; `None` is whoever is at the other end.
    pub gateway: Option<Ipv4Addr>,
    /// Which of several routes to the network counts: the lowest. Default 1.
    pub metric: u32,
}

impl Route {
    /// Reads `DESTINATION[/LENGTH] [GATEWAY [METRIC]]`; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_ascii_whitespace();
        let network = parts.next()?;
        let (address, prefix_len) = match network.split_once('/') {
            Some((address, length)) => (address, length.parse().ok().filter(|&bits| bits <= 32)?),
            None => (network, 32),
        };
        let address: Ipv4Addr = address.parse().ok()?;
        let mask = u32::MAX
            .checked_shl(32 - u32::from(prefix_len))
            .unwrap_or(0);
        let gateway: Ipv4Addr = parts
            .next()
            .map_or(Some(Ipv4Addr::UNSPECIFIED), |text| text.parse().ok())?;
        let metric = parts.next().map_or(Some(1), |text| text.parse().ok())?;
        parts.next().is_none().then_some(Self {
            destination: (address.to_bits() & mask).into(),
            prefix_len,
            gateway: Some(gateway).filter(|gateway| !gateway.is_unspecified()),
            metric,
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gateway = self.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED);
        write!(
            f,
            "{}/{} {gateway} {}",
            self.destination, self.prefix_len, self.metric
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_with_what_may_be_left_out() {
        for (text, written) in [
            ("10.1.0.0/24 10.0.0.1 1", Some("10.1.0.0/24 10.0.0.1 1")),
            ("10.1.0.7/24", Some("10.1.0.0/24 0.0.0.0 1")),
            ("10.1.0.7 0.0.0.0 5", Some("10.1.0.7/32 0.0.0.0 5")),
            ("0.0.0.0/0", Some("0.0.0.0/0 0.0.0.0 1")),
            ("10.1.0.0/33", None),
            ("10.1.0.0/24 x", None),
            ("10.1.0.0/24 10.0.0.1 -1", None),
            ("10.1.0.0/24 10.0.0.1 1 2", None),
            ("", None),
        ] {
            let route = Route::parse(text).map(|route| route.to_string());
            assert_eq!(route.as_deref(), written, "{text}");
        }
    }
}

//! What an option is in a tunnel out, where that is not what it is for a server.

use self::Meaning::{
    Anyway, As, Interface, Is, Plugin, Pty, Redials, Server, Strong, User, Without,
};

/// What an option is in a tunnel out.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// The command whose output is the line.
    Pty,
    /// A part of pppd, which may be the one that makes the line.
    Plugin,
    /// Where to call.
    Server,
    /// What we call ourselves there.
    User,
    /// What the interface is called.
    Interface,
    /// This property of the tunnel, with the same value.
    As(&'static str),
    /// This property of the tunnel, with this value.
    Is(&'static str, &'static str),
    /// Encryption, and by no less than 128 bits.
    Strong,
    /// When it is dialed again, which has rules of its own here.
    Redials,
    /// Nothing else is done here.
    Anyway,
    /// Why there is no such thing.
    Without(&'static str),
}

/// What is done in place of what [`Meaning::Redials`] says.
pub(super) const REDIALS: &str = "it is dialed again here anyway: at once, and then later and \
                                  later, up to a minute, without an end";
/// What was to be proved by whoever is called.
pub(super) const PROOF: &str = "the server is not asked to prove who it is: with allow=mschap2 \
                                it does";
/// Only who calls is told addresses.
pub(super) const ADDRESSES: &str = "the server says which addresses there are";

const FOLLOW: &str = "other files are not followed: put its lines here, and import this file again";
const NONE: &str = "has no equivalent";

const OPTIONS: &[(&str, Meaning)] = &[
    ("pty", Pty),
    ("plugin", Plugin),
    ("pptp_server", Server),
    (
        "pptp_client",
        Without("the way to the server says which address is ours"),
    ),
    ("pptp_phone", Without("there are no numbers to call")),
    ("pptp_sock", Without(NONE)),
    ("pptp_window", Without(NONE)),
    ("user", User),
    ("password", As("password")),
    (
        "remotename",
        Without("only says which line of chap-secrets has the password"),
    ),
    (
        "usehostname",
        Without("our name there is set with user of /interface pptp-client"),
    ),
    ("ifname", Interface),
    ("unit", Without("interfaces have the names of the tunnels")),
    ("defaultroute", Is("add-default-route", "yes")),
    ("nodefaultroute", Is("add-default-route", "no")),
    ("defaultroute-metric", As("default-route-distance")),
    (
        "replacedefaultroute",
        Without(
            "no route is replaced: of two default routes that with the smaller metric counts, \
             which is default-route-distance here",
        ),
    ),
    (
        "defaultroute6",
        Without("there is no default route of IPv6"),
    ),
    ("usepeerdns", Is("use-peer-dns", "yes")),
    ("demand", Is("dial-on-demand", "yes")),
    ("persist", Redials),
    ("nopersist", Redials),
    ("maxfail", Redials),
    ("holdoff", Redials),
    ("require-mppe-128", Strong),
    ("+mppe-128", Strong),
    ("noauth", Anyway),
    ("auth", Without(PROOF)),
    ("require-eap", Without(PROOF)),
    ("ipcp-accept-local", Anyway),
    ("ipcp-accept-remote", Anyway),
    ("proxyarp", Without("ARP is not answered for the server")),
    ("file", Without(FOLLOW)),
    ("call", Without(FOLLOW)),
];

impl Meaning {
    /// That of the option with this name, if it has one of its own in a tunnel out.
    pub(super) fn find(name: &str) -> Option<Self> {
        let (_, meaning) = OPTIONS.iter().find(|(known, _)| *known == name)?;
        Some(*meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::table::Known;
    use super::*;

    /// How many words belong to an option is said there.
    #[test]
    fn every_option_is_one_that_the_server_knows_too() {
        for &(name, meaning) in OPTIONS {
            let known = Known::find(name);
            let arguments = known.map(|known| known.arguments);
            let takes_one = matches!(meaning, Pty | Plugin | Server | User | Interface | As(_));
            assert!(arguments.is_some(), "{name}");
            assert!(!takes_one || arguments == Some(1), "{name}");
        }
    }
}

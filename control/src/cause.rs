//! Why a session ended: one table, from which the log, `monitor`, `last-disconnect-reason`, RADIUS
//! and the accounting on disk take their words and numbers.

use std::fmt;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $terminate:ident, $text:literal;)+) => {
        /// Why a session ended. The first cause stays; what follows from it does not replace it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$doc])* $variant,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What it is kept as: stays the same from version to version.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The cause of that [`name`](Self::name).
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            const fn terminate(self) -> Terminate {
                match self {
                    $(Self::$variant => Terminate::$terminate,)+
                }
            }
        }

        /// What stands behind `terminating... - ` in the log.
        impl fmt::Display for Cause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }
    };
}

causes! {
    /// The peer ended it: LCP Terminate-Request, Call-Clear-Request, Stop-Control-Connection.
    PeerRequest = "peer-request", UserRequest, "hungup";
    /// The control connection was reset or closed without a word.
    HungUp = "hung-up", LostCarrier, "hungup";
    /// Echo-Requests went unanswered.
    PeerNotResponding = "peer-not-responding", LostCarrier, "peer is not responding";
    /// No data for the idle timeout.
    IdleTimeout = "idle-timeout", IdleTimeout, "idle timeout";
    /// The session timeout passed.
    SessionTimeout = "session-timeout", SessionTimeout, "session timeout";
    /// As many bytes were moved as may be.
    TrafficLimit = "traffic-limit", SessionTimeout, "traffic limit reached";
    /// The operator removed it.
    AdministratorRequest = "administrator-request", AdminReset, "administrator request";
    /// This program stops.
    Reboot = "reboot", AdminReboot, "reboot";
    /// The program died, and the session with it.
    Crash = "crash", NasReboot, "crash";
    /// The two ends do not have the same MPPE keys.
    KeysDisagree = "keys-disagree", PortError, "MPPE keys disagree";
    /// Stateful MPPE lost its place, and Reset-Requests did not help.
    MppeOutOfSync = "mppe-out-of-sync", PortError, "MPPE out of sync";
    /// The datapath or the kernel failed.
    PortError = "port-error", PortError, "datapath failed";
    /// No address could be found for the peer.
    NoRemoteAddress = "no-remote-address", NasError, "could not determine remote address";
    /// Every network protocol was refused or closed.
    NoNetworkProtocols = "no-network-protocols", NasError, "no network protocols running";
    /// Encryption is required and the peer refused it.
    EncryptionNotNegotiated = "encryption-not-negotiated", NasRequest, "encryption not negotiated";
    /// IPv6 is required and the peer refused it.
    Ipv6NotNegotiated = "ipv6-not-negotiated", NasRequest, "IPv6 not negotiated";
    /// The two ends found no authentication method both allow.
    NoCommonAuthentication = "no-common-authentication", NasRequest, "no common authentication method";
    /// The peer did not prove who it is.
    AuthenticationFailed = "authentication-failed", UserError, "authentication failed";
    /// The server did not accept us.
    FailedToAuthenticateOurselves = "failed-to-authenticate-ourselves", NasRequest, "failed to authenticate ourselves to peer";
    /// The server accepted us, and did not prove that it knows our password (RFC 2759 §5).
    ServerUnproven = "server-unproven", NasRequest, "the server did not prove that it knows our password";
    /// LCP did not open: no answer to Configure-Request, or no agreement.
    LcpFailed = "lcp-failed", PortError, "LCP not negotiated";
    /// The peer said nothing where it should have, in the time it had.
    Timeout = "timeout", LostCarrier, "timeout";
    /// The peer broke the protocol of the control connection.
    ProtocolError = "protocol-error", PortError, "protocol error";
    /// There are too many already.
    NoResource = "no-resource", NasError, "no resource";
    /// The server refused the call.
    CallRefused = "call-refused", NasRequest, "call refused";
    /// The server's name has no address.
    NameNotResolved = "name-not-resolved", LostCarrier, "could not resolve the server's name";
    /// The kernel knows no way to the server.
    NoRoute = "no-route", LostCarrier, "no route to the server";
    /// Nothing at the server listens.
    ConnectRefused = "connect-refused", LostCarrier, "connection refused";
    /// The other end could not be reached.
    ConnectFailed = "connect-failed", LostCarrier, "could not connect";
    /// The server gave an address that no interface can have.
    UnusableAddress = "unusable-address", PortError, "unusable address";
}

impl Cause {
    /// Acct-Terminate-Cause (RFC 2866 §5.10).
    #[must_use]
    pub const fn acct_terminate_cause(self) -> u32 {
        self.terminate() as u32
    }

    /// The word of `last-disconnect-reason` of a secret: those of the product, which are the causes
    /// of RADIUS.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.terminate() {
            Terminate::UserRequest => "peer-request",
            Terminate::LostCarrier => "hung-up",
            Terminate::IdleTimeout => "idle-timeout",
            Terminate::SessionTimeout => "session-timeout",
            Terminate::AdminReset => "reset",
            Terminate::AdminReboot | Terminate::NasReboot => "reboot",
            Terminate::PortError => "port-error",
            Terminate::NasError => "nas-error",
            Terminate::NasRequest | Terminate::UserError => "nas-request",
        }
    }
}

/// The values of Acct-Terminate-Cause (RFC 2866 §5.10) that a session can end with.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Terminate {
    UserRequest = 1,
    LostCarrier = 2,
    IdleTimeout = 4,
    SessionTimeout = 5,
    AdminReset = 6,
    AdminReboot = 7,
    PortError = 8,
    NasError = 9,
    NasRequest = 10,
    NasReboot = 11,
    UserError = 17,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_number_its_word_and_its_text() {
        let table = [
            (Cause::PeerRequest, 1, "peer-request", "hungup"),
            (Cause::HungUp, 2, "hung-up", "hungup"),
            (
                Cause::PeerNotResponding,
                2,
                "hung-up",
                "peer is not responding",
            ),
            (Cause::IdleTimeout, 4, "idle-timeout", "idle timeout"),
            (
                Cause::SessionTimeout,
                5,
                "session-timeout",
                "session timeout",
            ),
            (
                Cause::TrafficLimit,
                5,
                "session-timeout",
                "traffic limit reached",
            ),
            (
                Cause::AdministratorRequest,
                6,
                "reset",
                "administrator request",
            ),
            (Cause::Reboot, 7, "reboot", "reboot"),
            (Cause::Crash, 11, "reboot", "crash"),
            (Cause::KeysDisagree, 8, "port-error", "MPPE keys disagree"),
            (Cause::MppeOutOfSync, 8, "port-error", "MPPE out of sync"),
            (Cause::PortError, 8, "port-error", "datapath failed"),
            (
                Cause::NoRemoteAddress,
                9,
                "nas-error",
                "could not determine remote address",
            ),
            (
                Cause::NoNetworkProtocols,
                9,
                "nas-error",
                "no network protocols running",
            ),
            (
                Cause::EncryptionNotNegotiated,
                10,
                "nas-request",
                "encryption not negotiated",
            ),
            (
                Cause::Ipv6NotNegotiated,
                10,
                "nas-request",
                "IPv6 not negotiated",
            ),
            (
                Cause::NoCommonAuthentication,
                10,
                "nas-request",
                "no common authentication method",
            ),
            (
                Cause::AuthenticationFailed,
                17,
                "nas-request",
                "authentication failed",
            ),
            (
                Cause::FailedToAuthenticateOurselves,
                10,
                "nas-request",
                "failed to authenticate ourselves to peer",
            ),
            (
                Cause::ServerUnproven,
                10,
                "nas-request",
                "the server did not prove that it knows our password",
            ),
            (Cause::LcpFailed, 8, "port-error", "LCP not negotiated"),
            (Cause::Timeout, 2, "hung-up", "timeout"),
            (Cause::ProtocolError, 8, "port-error", "protocol error"),
            (Cause::NoResource, 9, "nas-error", "no resource"),
            (Cause::CallRefused, 10, "nas-request", "call refused"),
            (
                Cause::NameNotResolved,
                2,
                "hung-up",
                "could not resolve the server's name",
            ),
            (Cause::NoRoute, 2, "hung-up", "no route to the server"),
            (Cause::ConnectRefused, 2, "hung-up", "connection refused"),
            (Cause::ConnectFailed, 2, "hung-up", "could not connect"),
            (Cause::UnusableAddress, 8, "port-error", "unusable address"),
        ];
        assert!(Cause::ALL.iter().eq(table.iter().map(|(cause, ..)| cause)));
        for (cause, number, word, text) in table {
            assert_eq!(cause.acct_terminate_cause(), number, "{cause:?}");
            assert_eq!(cause.reason(), word, "{cause:?}");
            assert_eq!(cause.to_string(), text, "{cause:?}");
        }
    }

    #[test]
    fn a_cause_reads_back_from_its_name_which_is_that_of_the_variant() {
        for &cause in Cause::ALL {
            assert_eq!(Cause::parse(cause.name()), Some(cause));
            let plain = cause.name().replace('-', "");
            assert_eq!(plain, format!("{cause:?}").to_ascii_lowercase());
        }
        assert_eq!(Cause::parse("no-cause"), None);
    }
}

//! Why a session ended: one enum, from which the log and `monitor` take their words.

use std::fmt;

/// Why a session ended. The first cause stays; what follows from it does not replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The peer ended it: LCP Terminate-Request, Call-Clear-Request, Stop-Control-Connection.
    PeerRequest,
    /// The control connection was reset or closed without a word.
    HungUp,
    /// Echo-Requests went unanswered.
    PeerNotResponding,
    /// No data for the idle timeout.
    IdleTimeout,
    /// The session timeout passed.
    SessionTimeout,
    /// As many bytes were moved as may be.
    TrafficLimit,
    /// The operator removed it.
    AdministratorRequest,
    /// This program stops.
    Reboot,
    /// The program died, and the session with it.
    Crash,
    /// The two ends do not have the same MPPE keys.
    KeysDisagree,
    /// Stateful MPPE lost its place, and Reset-Requests did not help.
    MppeOutOfSync,
    /// The datapath or the kernel failed.
    PortError,
    /// No address could be found for the peer.
    NoRemoteAddress,
    /// Every network protocol was refused or closed.
    NoNetworkProtocols,
    /// Encryption is required and the peer refused it.
    EncryptionNotNegotiated,
    /// IPv6 is required and the peer refused it.
    Ipv6NotNegotiated,
    /// The two ends found no authentication method both allow.
    NoCommonAuthentication,
    /// The peer did not prove who it is.
    AuthenticationFailed,
    /// The server did not accept us.
    FailedToAuthenticateOurselves,
    /// The server accepted us, and did not prove that it knows our password (RFC 2759 §5).
    ServerUnproven,
    /// LCP did not open: no answer to Configure-Request, or no agreement.
    LcpFailed,
    /// The peer said nothing where it should have, in the time it had.
    Timeout,
    /// The peer broke the protocol of the control connection.
    ProtocolError,
    /// There are too many already.
    NoResource,
    /// The server refused the call.
    CallRefused,
    /// The server's name has no address.
    NameNotResolved,
    /// The kernel knows no way to the server.
    NoRoute,
    /// Nothing at the server listens.
    ConnectRefused,
    /// The other end could not be reached.
    ConnectFailed,
    /// The server gave an address that no interface can have.
    UnusableAddress,
}

impl Cause {
    /// The word of `last-disconnect-reason` of a secret: those of the product, which are the causes
    /// of RADIUS (RFC 2866 §5.10).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::PeerRequest => "peer-request",
            Self::HungUp
            | Self::PeerNotResponding
            | Self::Timeout
            | Self::NameNotResolved
            | Self::NoRoute
            | Self::ConnectRefused
            | Self::ConnectFailed => "hung-up",
            Self::IdleTimeout => "idle-timeout",
            Self::SessionTimeout | Self::TrafficLimit => "session-timeout",
            Self::AdministratorRequest => "reset",
            Self::Reboot | Self::Crash => "reboot",
            Self::KeysDisagree
            | Self::MppeOutOfSync
            | Self::PortError
            | Self::ProtocolError
            | Self::UnusableAddress
            | Self::LcpFailed => "port-error",
            Self::NoRemoteAddress | Self::NoNetworkProtocols | Self::NoResource => "nas-error",
            Self::EncryptionNotNegotiated
            | Self::Ipv6NotNegotiated
            | Self::NoCommonAuthentication
            | Self::AuthenticationFailed
            | Self::FailedToAuthenticateOurselves
            | Self::ServerUnproven
            | Self::CallRefused => "nas-request",
        }
    }
}

/// What stands behind `terminating... - ` in the log.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerRequest | Self::HungUp => "hungup",
            Self::PeerNotResponding => "peer is not responding",
            Self::IdleTimeout => "idle timeout",
            Self::SessionTimeout => "session timeout",
            Self::TrafficLimit => "traffic limit reached",
            Self::AdministratorRequest => "administrator request",
            Self::Reboot => "reboot",
            Self::Crash => "crash",
            Self::KeysDisagree => "MPPE keys disagree",
            Self::MppeOutOfSync => "MPPE out of sync",
            Self::PortError => "datapath failed",
            Self::NoRemoteAddress => "could not determine remote address",
            Self::NoNetworkProtocols => "no network protocols running",
            Self::EncryptionNotNegotiated => "encryption not negotiated",
            Self::Ipv6NotNegotiated => "IPv6 not negotiated",
            Self::NoCommonAuthentication => "no common authentication method",
            Self::AuthenticationFailed => "authentication failed",
            Self::FailedToAuthenticateOurselves => "failed to authenticate ourselves to peer",
            Self::ServerUnproven => "the server did not prove that it knows our password",
            Self::LcpFailed => "LCP not negotiated",
            Self::Timeout => "timeout",
            Self::ProtocolError => "protocol error",
            Self::NoResource => "no resource",
            Self::CallRefused => "call refused",
            Self::NameNotResolved => "could not resolve the server's name",
            Self::NoRoute => "no route to the server",
            Self::ConnectRefused => "connection refused",
            Self::ConnectFailed => "could not connect",
            Self::UnusableAddress => "unusable address",
        })
    }
}

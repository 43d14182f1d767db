//! The fields of a line: what a program need not find in the text.

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident => $journal:literal, $syslog:literal;)+) => {
        /// What a value of a line is. There is none for a password: a line has no place for one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $($(#[$doc])* $variant,)+
        }

        impl Field {
            /// Every field.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in the journal.
            #[must_use]
            pub const fn journal_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $journal,)+
                }
            }

            /// Its name in the structured data of syslog.
            #[must_use]
            pub const fn syslog_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $syslog,)+
                }
            }
        }
    };
}

fields! {
    /// The login, as the peer said it.
    User => "PPTP_USER", "user";
    /// `session-id` of `/ppp active print`.
    Session => "PPTP_SESSION", "session-id";
    /// The name of the interface, as `print` shows it.
    Interface => "PPTP_INTERFACE", "interface";
    /// The kernel's name of the interface.
    KernelName => "PPTP_KERNEL_NAME", "kernel-name";
    /// The address that the peer's tunnel comes from.
    Caller => "PPTP_CALLER", "caller";
    /// The peer's address in the tunnel.
    Address => "PPTP_ADDRESS", "address";
    /// What each direction is encrypted with.
    Encoding => "PPTP_ENCODING", "encoding";
    /// Why the session ended.
    Cause => "PPTP_CAUSE", "cause";
    /// How long packets flowed, in seconds.
    Duration => "PPTP_DURATION", "duration";
    /// Bytes from the peer.
    RxBytes => "PPTP_RX_BYTES", "rx-bytes";
    /// Bytes to the peer.
    TxBytes => "PPTP_TX_BYTES", "tx-bytes";
    /// Packets from the peer.
    RxPackets => "PPTP_RX_PACKETS", "rx-packets";
    /// Packets to the peer.
    TxPackets => "PPTP_TX_PACKETS", "tx-packets";
    /// The RADIUS server that it is about.
    RadiusServer => "PPTP_RADIUS_SERVER", "radius-server";
    /// `on-up` or `on-down`.
    Hook => "PPTP_HOOK", "hook";
    /// The program that a hook runs.
    Program => "PPTP_PROGRAM", "program";
    /// How many there were of what the text is about.
    Count => "PPTP_COUNT", "count";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_are_ones_that_the_journal_and_syslog_take() {
        for &field in Field::ALL {
            let name = field.journal_name();
            let is_taken = |b: u8| b.is_ascii_uppercase() || b == b'_';
            assert!(name.starts_with("PPTP_") && name.len() <= 64 && name.bytes().all(is_taken));
            let name = field.syslog_name();
            let is_taken = |b: u8| b.is_ascii_lowercase() || b == b'-';
            assert!((1..=32).contains(&name.len()) && name.bytes().all(is_taken));
        }
        let journal: BTreeSet<_> = Field::ALL.iter().map(|one| one.journal_name()).collect();
        let syslog: BTreeSet<_> = Field::ALL.iter().map(|one| one.syslog_name()).collect();
        assert_eq!(
            (journal.len(), syslog.len()),
            (Field::ALL.len(), Field::ALL.len())
        );
    }

    #[test]
    fn the_documentation_lists_every_field() {
        const PAGE: &str = include_str!("../../../docs/logs.md");
        for field in Field::ALL {
            let row = format!("| `{}` | `{}` |", field.journal_name(), field.syslog_name());
            assert!(PAGE.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }
}

//! What a hook is told of its session: variables, of which those that the log has as fields too
//! have the same names there.

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::When;
use crate::cause::Cause;
use crate::log::{Field, text};

/// The session that a hook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The login.
    pub user: String,
    /// `session-id`.
    pub session: u32,
    /// The interface, as `print` names it.
    pub interface: String,
    /// The kernel's name of the interface.
    pub kernel_name: String,
    /// The kernel's index of the interface.
    pub ifindex: u32,
    /// Our address in the tunnel.
    pub local_address: Ipv4Addr,
    /// The peer's address in the tunnel.
    pub remote_address: Ipv4Addr,
    /// The address that the call came from.
    pub caller_id: Ipv4Addr,
    /// The address that was called.
    pub called_id: Ipv4Addr,
    /// What is known once the session has ended.
    pub accounting: Option<Accounting>,
}

/// What is known once a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounting {
    /// Why it ended.
    pub cause: Cause,
    /// How long packets flowed.
    pub duration: Duration,
    /// Bytes from the peer.
    pub rx_bytes: u64,
    /// Bytes to the peer.
    pub tx_bytes: u64,
    /// Packets from the peer.
    pub rx_packets: u64,
    /// Packets to the peer.
    pub tx_packets: u64,
}

/// The variables of a hook. A control character in a value is a question mark, so that a value is
/// one line wherever a hook may write it.
#[must_use]
pub fn environment(when: When, subject: &Subject) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let mut put = |name: &str, value: &dyn Display| {
        variables.push((name.to_owned(), text::printable(&value.to_string())));
    };
    put(Field::Hook.journal_name(), &when.name());
    put(Field::User.journal_name(), &subject.user);
    put(
        Field::Session.journal_name(),
        &format_args!("0x{:08x}", subject.session),
    );
    put(Field::Interface.journal_name(), &subject.interface);
    put(Field::KernelName.journal_name(), &subject.kernel_name);
    put("PPTP_IFINDEX", &subject.ifindex);
    put("PPTP_LOCAL_ADDRESS", &subject.local_address);
    put("PPTP_REMOTE_ADDRESS", &subject.remote_address);
    put("PPTP_CALLER_ID", &subject.caller_id);
    put("PPTP_CALLED_ID", &subject.called_id);
    if let Some(accounting) = &subject.accounting {
        put(Field::Cause.journal_name(), &accounting.cause);
        put(
            Field::Duration.journal_name(),
            &accounting.duration.as_secs(),
        );
        put(Field::RxBytes.journal_name(), &accounting.rx_bytes);
        put(Field::TxBytes.journal_name(), &accounting.tx_bytes);
        put(Field::RxPackets.journal_name(), &accounting.rx_packets);
        put(Field::TxPackets.journal_name(), &accounting.tx_packets);
    }
    variables
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::hooks) fn subject() -> Subject {
        Subject {
            user: "ann".to_owned(),
            session: 0x81a0_0000,
            interface: "<pptp-ann>".to_owned(),
            kernel_name: "tun0".to_owned(),
            ifindex: 7,
            local_address: Ipv4Addr::new(10, 0, 0, 1),
            remote_address: Ipv4Addr::new(10, 0, 0, 5),
            caller_id: Ipv4Addr::new(192, 0, 2, 1),
            called_id: Ipv4Addr::new(192, 0, 2, 254),
            accounting: None,
        }
    }

    pub(in crate::hooks) fn accounting() -> Accounting {
        Accounting {
            cause: Cause::HungUp,
            duration: Duration::from_millis(306_900),
            rx_bytes: 81_234,
            tx_bytes: 901_234,
            rx_packets: 512,
            tx_packets: 799,
        }
    }

    #[test]
    fn the_documentation_lists_every_variable() {
        const PAGE: &str = include_str!("../../../docs/hooks.md");
        let subject = Subject {
            accounting: Some(accounting()),
            ..subject()
        };
        for (name, _) in environment(When::Down, &subject) {
            let row = format!("| `{name}` |");
            assert!(PAGE.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }

    #[test]
    fn a_user_cannot_begin_another_line() {
        let subject = Subject {
            user: "ann\nroot\0".to_owned(),
            ..subject()
        };
        let variables = environment(When::Up, &subject);
        assert!(variables.contains(&("PPTP_USER".to_owned(), "ann?root?".to_owned())));
    }
}

//! What the log says of DNS servers.

use std::net::Ipv4Addr;

use super::{By, Event, Setting};
use crate::log::{Field, Line, Message};

/// What happened, under the name that `print` has for the interface, where that is known.
pub(super) fn of(event: &Event, name: Option<&str>) -> Line {
    match event {
        Event::Set { setting, by } => set(setting, *by, name),
        Event::NotSet { setting, reason } => not_set(setting, reason, name),
        Event::NotReverted { interface, reason } => {
            let name = name.unwrap_or(interface);
            let text = format!("{name}: its DNS servers are still used: {reason}");
            about(Line::new(Message::DnsFailed, text), name, interface)
        }
    }
}

/// Servers are not used, and why.
pub(super) fn not_set(setting: &Setting, reason: &str, name: Option<&str>) -> Line {
    let name = name.unwrap_or(&setting.interface);
    let servers = list(&setting.servers);
    let text = format!("{name}: not using DNS servers {servers}: {reason}");
    about(
        Line::new(Message::DnsFailed, text),
        name,
        &setting.interface,
    )
}

fn set(setting: &Setting, by: By, name: Option<&str>) -> Line {
    let name = name.unwrap_or(&setting.interface);
    let servers = list(&setting.servers);
    let how = match (setting.exclusively, by) {
        (false, _) => "",
        (true, By::Resolved | By::Openresolv) => " exclusively",
        (true, By::Resolvconf) => " first: Debian's resolvconf cannot use them exclusively",
    };
    let text = format!("{name}: using DNS servers {servers}{how}");
    about(Line::new(Message::DnsUsed, text), name, &setting.interface)
}

fn list(servers: &[Ipv4Addr]) -> String {
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    servers.join(",")
}

fn about(line: Line, name: &str, kernel_name: &str) -> Line {
    line.with(Field::Interface, name)
        .with(Field::KernelName, kernel_name)
}

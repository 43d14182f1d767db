//! Looks names up without holding up the loop: one short-lived thread for each.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::server::ConnId;

/// What a lookup found: at least one IPv4 address, or why there is none, as one line.
pub(super) type Found = (ConnId, Result<Vec<Ipv4Addr>, String>);

/// Looks names up.
#[derive(Debug)]
pub(super) struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<Found>,
    receiver: Receiver<Found>,
}

impl Resolver {
    /// Answers by waking the loop up, which then asks [`Self::found`].
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, receiver) = channel();
        Self {
            waker,
            sender,
            receiver,
        }
    }

    /// Looks `host` up. An address needs no thread; a thread that cannot be had finds nothing.
    pub(super) fn look_up(&self, conn: ConnId, host: &str) {
        if let Ok(address) = host.parse() {
            self.answer((conn, Ok(vec![address])));
            return;
        }
        let host = host.to_owned();
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let thread = thread::Builder::new().name("resolve".to_owned());
        let spawned = thread.spawn(move || {
            // The loop may be gone by now, and nobody waits for the answer.
            let _ = sender.send((conn, addresses(&host)));
            let _ = waker.wake();
        });
        if let Err(error) = spawned {
            self.answer((conn, Err(error.to_string())));
        }
    }

    /// The next answer.
    pub(super) fn found(&self) -> Option<Found> {
        self.receiver.try_recv().ok()
    }

    fn answer(&self, found: Found) {
        // The receiver lives as long as the sender: both are ours.
        let _ = self.sender.send(found);
        let _ = self.waker.wake();
    }
}

/// The IPv4 addresses of `host`, in the resolver's order: GRE has no other here.
fn addresses(host: &str) -> Result<Vec<Ipv4Addr>, String> {
    let found = (host, 0).to_socket_addrs();
    // The resolver's own words are behind those of the library.
    let words = |error: std::io::Error| {
        let text = error.to_string();
        let (_, words) = text.rsplit_once(": ").unwrap_or(("", &text));
        words.to_owned()
    };
    let mut addresses = Vec::new();
    for address in found.map_err(words)? {
        if let IpAddr::V4(address) = address.ip()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err("it has no IPv4 address".to_owned());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn addresses_names_and_nonsense_are_all_answered() {
        let mut poll = Poll::new().unwrap();
        let resolver = Resolver::new(Arc::new(Waker::new(poll.registry(), Token(0)).unwrap()));
        resolver.look_up(ConnId(1), "192.0.2.1");
        let address = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(resolver.found(), Some((ConnId(1), Ok(vec![address]))));
        for (conn, host, expected) in [
            (ConnId(2), "localhost", Some(vec![Ipv4Addr::LOCALHOST])),
            (ConnId(3), "no such name", None),
        ] {
            resolver.look_up(conn, host);
            let (found, addresses) = loop {
                let mut events = Events::with_capacity(4);
                let patience = Some(Duration::from_secs(30));
                poll.poll(&mut events, patience).unwrap();
                if let Some(found) = resolver.found() {
                    break found;
                }
            };
            assert_eq!(found, conn);
            match (addresses, expected) {
                (addresses, Some(expected)) => assert_eq!(addresses, Ok(expected)),
                (Ok(addresses), None) => panic!("{addresses:?}"),
                (Err(reason), None) => {
                    assert!(!reason.contains("failed to lookup"), "{reason}");
                    assert!(!reason.is_empty());
                }
            }
        }
    }
}

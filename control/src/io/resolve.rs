//! Looks names up without holding up the loop: one short-lived thread for each.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::server::ConnId;

/// What a lookup found: `None` if there is no IPv4 address of that name.
pub(super) type Found = (ConnId, Option<Ipv4Addr>);

/// Looks names up.
#[derive(Debug)]
pub(super) struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<Found>,
    receiver: Receiver<Found>,
}

impl Resolver {
    /// Answers by waking the loop up, which then asks [`Self::found`].
    pub(super) fn new(waker: Waker) -> Self {
        let (sender, receiver) = channel();
        Self {
            waker: Arc::new(waker),
            sender,
            receiver,
        }
    }

    /// Looks `host` up. An address needs no thread; a thread that cannot be had finds nothing.
    pub(super) fn look_up(&self, conn: ConnId, host: &str) {
        if let Ok(address) = host.parse() {
            self.answer((conn, Some(address)));
            return;
        }
        let host = host.to_owned();
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let thread = thread::Builder::new().name("resolve".to_owned());
        let spawned = thread.spawn(move || {
            // The loop may be gone by now, and nobody waits for the answer.
            let _ = sender.send((conn, first_address(&host)));
            let _ = waker.wake();
        });
        if spawned.is_err() {
            self.answer((conn, None));
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

/// The first IPv4 address of `host`: GRE has no other here.
fn first_address(host: &str) -> Option<Ipv4Addr> {
    let addresses = (host, 0).to_socket_addrs().ok()?;
    addresses
        .map(|address| address.ip())
        .find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn addresses_names_and_nonsense_are_all_answered() {
        let mut poll = Poll::new().unwrap();
        let resolver = Resolver::new(Waker::new(poll.registry(), Token(0)).unwrap());
        resolver.look_up(ConnId(1), "192.0.2.1");
        let address = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(resolver.found(), Some((ConnId(1), Some(address))));
        for (conn, host, address) in [
            (ConnId(2), "localhost", Some(Ipv4Addr::LOCALHOST)),
            (ConnId(3), "no such name", None),
        ] {
            resolver.look_up(conn, host);
            let found = loop {
                let mut events = Events::with_capacity(4);
                let patience = Some(Duration::from_secs(30));
                poll.poll(&mut events, patience).unwrap();
                if let Some(found) = resolver.found() {
                    break found;
                }
            };
            assert_eq!(found, (conn, address));
        }
    }
}

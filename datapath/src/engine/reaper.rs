//! Takes interfaces away, off everybody's path: the kernel takes some 20 ms for each that is simply
//! closed, because it waits until no processor can be looking at it any more. Those that wait to go
//! are put into one group and deleted together, so that it waits once for all of them.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use crate::engine::netlink::Netlink;
use crate::engine::tun::Tun;

/// A thread that deletes interfaces. Dropping it waits until all are gone.
#[derive(Debug)]
pub struct Reaper {
    /// `None` only while it is dropped, which is what tells the thread to end.
    graves: Option<Sender<Tun>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Starts the thread, in the network namespace and with the capabilities of the calling thread.
    ///
    /// # Errors
    /// No thread, or no netlink socket.
    pub fn start() -> io::Result<Self> {
        let netlink = Netlink::open()?;
        let (graves, buried) = channel();
        let thread = Builder::new()
            .name("reaper".to_owned())
            .spawn(move || reap(&buried, netlink))?;
        Ok(Self {
            graves: Some(graves),
            thread: Some(thread),
        })
    }

    /// Deletes an interface, soon. Reads of it must have ended: who still reads it keeps nothing
    /// but gets an error.
    pub fn bury(&self, tun: Tun) {
        // Without a thread to take it, it is closed here and now.
        let _ = self.graves.as_ref().map(|graves| graves.send(tun));
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.graves.take());
        // A panic of the thread has been reported by itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn reap(buried: &Receiver<Tun>, mut netlink: Netlink) {
    while let Ok(first) = buried.recv() {
        let batch: Vec<Tun> = [first].into_iter().chain(buried.try_iter()).collect();
        delete(&mut netlink, batch);
    }
}

fn delete(netlink: &mut Netlink, batch: Vec<Tun>) {
    // An interface that somebody has deleted already is in no group; closing it costs nothing. If
    // the group cannot be deleted, closing does it too, only more slowly. So errors change nothing.
    for tun in &batch {
        let _ = netlink.set_group(&tun.kernel_name, tun.ifindex, GROUP);
    }
    let _ = netlink.delete_group(GROUP);
    drop(batch);
}

/// The group of interfaces that are about to go: "PPTP" in ASCII, a number that nobody else uses.
const GROUP: u32 = 0x5050_5450;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{in_namespace, interfaces, keep_capabilities, wait_for};

    #[test]
    fn buried_interfaces_are_gone_when_the_reaper_is() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let reaper = Reaper::start().unwrap();
            for tun in create(&mut netlink, 100) {
                reaper.bury(tun);
            }
            drop(reaper);
            assert!(interfaces().is_empty());
        });
    }

    #[test]
    fn a_buried_interface_goes_without_waiting_for_another() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let reaper = Reaper::start().unwrap();
            let kept = create(&mut netlink, 1);
            create(&mut netlink, 1)
                .into_iter()
                .for_each(|tun| reaper.bury(tun));
            wait_for("one to go", || (interfaces().len() == 1).then_some(()));
            drop(reaper);
            assert!(netlink.uplink(&kept[0].kernel_name).is_ok());
        });
    }

    #[test]
    fn interfaces_that_are_gone_already_stop_nothing() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let reaper = Reaper::start().unwrap();
            let tuns = create(&mut netlink, 3);
            netlink
                .delete(&tuns[1].kernel_name, tuns[1].ifindex)
                .unwrap();
            tuns.into_iter().for_each(|tun| reaper.bury(tun));
            drop(reaper);
            assert!(interfaces().is_empty());
        });
    }

    #[test]
    fn a_reaper_keeps_its_capabilities_when_its_creator_gives_them_up() {
        in_namespace(|| {
            let mut netlink = Netlink::open().unwrap();
            let reaper = Reaper::start().unwrap();
            let tuns = create(&mut netlink, 3);
            keep_capabilities(&[]);
            tuns.into_iter().for_each(|tun| reaper.bury(tun));
            drop(reaper);
            assert!(interfaces().is_empty());
        });
    }

    fn create(netlink: &mut Netlink, count: u32) -> Vec<Tun> {
        (0..count)
            .map(|index| Tun::create(netlink, &format!("<pptp-{index}>")).unwrap())
            .collect()
    }
}

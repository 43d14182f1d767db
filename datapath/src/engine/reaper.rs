//! Deletes interfaces. The kernel takes about 20 ms for one, most of it waiting, so a thread of its
//! own does it, and many at a time: those that wait are put into a group, which is deleted as one.

use std::thread::JoinHandle;

use anyhow::{Context, Result};
use crossbeam::channel::{Receiver, Sender, unbounded};

use super::netlink::Netlink;
use super::privileges;
use super::tun::Tun;

/// The group that interfaces are put into to be deleted together.
const GROUP: u32 = 0x7070_7470;
/// The most deleted at once; the kernel's network lock is held meanwhile.
const BATCH: usize = 256;

/// The thread that deletes interfaces. Dropping it waits until all are gone.
#[derive(Debug)]
pub struct Reaper {
    graves: Option<Sender<Tun>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Starts the thread.
    ///
    /// # Errors
    /// What creating a thread and opening rtnetlink say.
    pub fn start() -> Result<Self> {
        let (graves, waiting) = unbounded();
        let netlink = Netlink::open()?;
        let thread = std::thread::Builder::new()
            .name("reaper".to_owned())
            .spawn(move || reap(netlink, &waiting))
            .context("thread")?;
        Ok(Self {
            graves: Some(graves),
            thread: Some(thread),
        })
    }

    /// Deletes an interface, soon.
    pub fn bury(&self, tun: Tun) {
        if let Some(graves) = &self.graves {
            // Without the thread the descriptor is closed here, which deletes the interface too.
            let _ = graves.send(tun);
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.graves = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed; the interfaces go with their descriptors.
            let _ = thread.join();
        }
    }
}

fn reap(mut netlink: Netlink, waiting: &Receiver<Tun>) {
    if let Err(error) = privileges::keep_interfaces_only() {
        tracing::error!("{error:#}");
        return;
    }
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(BATCH - 1));
        // One alone goes as fast by closing its descriptor.
        if batch.len() > 1
            && let Err(error) = delete(&mut netlink, &batch)
        {
            tracing::debug!("interfaces are deleted one by one: {error:#}");
        }
        drop(batch);
    }
}

fn delete(netlink: &mut Netlink, batch: &[Tun]) -> Result<()> {
    for tun in batch {
        netlink.set_group(tun.ifindex, GROUP)?;
    }
    netlink.delete_group(GROUP)
}

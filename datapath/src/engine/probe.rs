//! Which way frames can be moved through an interface: native XDP, else generic XDP, else the raw
//! socket alone. Says which one it is, and why not a better one.

use anyhow::{Context, Result, ensure};
use greyhound_bpf::{Mode, Steering};

use super::netlink::Uplink;
use super::options::IoChoice;
use super::xsk::{self, Queue};
use crate::ipc::IoMode;

/// How frames are moved, and what moves them.
#[derive(Debug)]
pub struct Io {
    /// The way chosen.
    pub mode: IoMode,
    /// The XDP program at work; `None` in raw mode. Dropping it detaches the program.
    pub steering: Option<Steering>,
    /// One for each worker of the interface; none in raw mode.
    pub queues: Vec<Queue>,
}

/// Tries the ways that `choice` allows, best first, with `rings` for each queue.
///
/// # Errors
/// When none of them works: what the last one said.
pub fn open(choice: IoChoice, uplink: &Uplink, workers: u16, rings: &xsk::Config) -> Result<Io> {
    let modes: &[IoMode] = match choice {
        IoChoice::Auto => &[IoMode::Native, IoMode::Skb, IoMode::Raw],
        IoChoice::Native => &[IoMode::Native],
        IoChoice::Skb => &[IoMode::Skb],
        IoChoice::Raw => &[IoMode::Raw],
    };
    let (last, better) = modes
        .split_last()
        .context("no way to move frames is allowed")?;
    for &mode in better {
        match attempt(mode, uplink, workers, rings) {
            Ok(io) => return Ok(io),
            Err(error) => {
                tracing::warn!(interface = %uplink.name, io = %mode, "not possible: {error:#}");
            }
        }
    }
    attempt(*last, uplink, workers, rings)
        .with_context(|| format!("--io {last} on {}", uplink.name))
}

fn attempt(mode: IoMode, uplink: &Uplink, workers: u16, rings: &xsk::Config) -> Result<Io> {
    let xdp = match mode {
        IoMode::Native => Mode::Native,
        IoMode::Skb => Mode::Skb,
        IoMode::Raw => {
            return Ok(Io {
                mode,
                steering: None,
                queues: Vec::new(),
            });
        }
    };
    ensure!(
        uplink.is_ethernet,
        "its frames have no Ethernet headers, which XDP needs"
    );
    let mut steering = Steering::load().map_err(in_words)?;
    steering.attach(uplink.ifindex, xdp).map_err(in_words)?;
    let queues = xsk::open(&uplink.name, workers.into(), rings).map_err(in_words)?;
    for (queue, number) in queues.iter().zip(0u32..) {
        steering.set_socket(number, queue).map_err(in_words)?;
    }
    Ok(Io {
        mode,
        steering: Some(steering),
        queues,
    })
}

/// These errors tell their source themselves, with what to do about it.
fn in_words(error: impl std::error::Error) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

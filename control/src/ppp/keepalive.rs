//! `keepalive-timeout`: whether the peer is still there, judged by what the datapath received.
//!
//! Any frame is a sign of life. After a silence come five Echo-Requests, one second apart.

use std::time::{Duration, Instant};

/// Watches one open link.
#[derive(Debug)]
pub(super) struct Keepalive {
    /// Silence that is not worth an Echo-Request.
    silence: Duration,
    /// The count of received frames at the last look.
    rx_frames: Option<u64>,
    /// The time of the last look that found more of them.
    heard_at: Instant,
    /// Echo-Requests sent since.
    echoes: u8,
    /// The next look; `None` while the caller looks.
    look_at: Option<Instant>,
}

/// What is to be done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// All is well.
    Alive,
    /// Too quiet: send an Echo-Request.
    Silent,
    /// The last Echo-Request brought nothing: say so, and send another.
    Missed,
    /// The last of five Echo-Requests brought nothing: say so, and give up.
    Dead,
}

impl Keepalive {
    /// Begins with a look: the caller reads the count and calls [`Self::handle_activity`].
    pub(super) const fn new(now: Instant, silence: Duration) -> Self {
        Self {
            silence,
            rx_frames: None,
            heard_at: now,
            echoes: 0,
            look_at: None,
        }
    }

    /// Whether it is time to look, at most once for each answer.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.look_at.take_if(|at| *at <= now).is_some()
    }

    /// The answer to a look; one that was not asked for is ignored.
    pub(super) fn handle_activity(&mut self, now: Instant, rx_frames: u64) -> Finding {
        if self.look_at.is_some() {
            return Finding::Alive;
        }
        if self.rx_frames != Some(rx_frames) {
            self.rx_frames = Some(rx_frames);
            self.heard_at = now;
            self.echoes = 0;
        }
        let quiet_at = self.heard_at + self.silence;
        if now < quiet_at {
            self.look_at = Some(quiet_at.min(now + self.silence / LOOKS_PER_SILENCE));
            return Finding::Alive;
        }
        let finding = match self.echoes {
            0 => Finding::Silent,
            ECHOES => return Finding::Dead,
            _ => Finding::Missed,
        };
        self.echoes += 1;
        self.look_at = Some(now + ECHO_INTERVAL);
        finding
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }
}

/// How late a silence may be noticed, as a part of it.
const LOOKS_PER_SILENCE: u32 = 4;
const ECHOES: u8 = 5;
const ECHO_INTERVAL: Duration = Duration::from_secs(1);

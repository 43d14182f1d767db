//! The two modes of MPPE, and what a session makes of frames that do not decrypt.

use std::time::{Duration, Instant};

use crate::mppe::{Chain, Engine, Parameters, Receiver, SessionKey, stateful};
use crate::stats::DropReason;

/// Frames that have to be senseless from the first on before the keys are said to differ: what
/// comes late from before, or is forged, is not that much.
const SENSELESS_FRAMES: u32 = 8;
/// And for how long.
const SENSELESS_TIME: Duration = Duration::from_secs(1);

/// The receiving end.
#[derive(Debug)]
pub(super) enum Rx {
    Stateless(Receiver),
    Stateful(Box<stateful::Receiver>),
}

impl Rx {
    pub(super) fn new(parameters: Parameters) -> Self {
        if parameters.stateless {
            Self::Stateless(Receiver::new(parameters))
        } else {
            Self::Stateful(Box::new(stateful::Receiver::new(parameters)))
        }
    }

    pub(super) fn parameters(&self) -> &Parameters {
        match self {
            Self::Stateless(receiver) => receiver.parameters(),
            Self::Stateful(receiver) => receiver.parameters(),
        }
    }

    pub(super) fn chain(&self) -> Option<&Chain> {
        match self {
            Self::Stateless(receiver) => Some(receiver.chain()),
            Self::Stateful(_) => None,
        }
    }

    pub(super) fn chain_mut(&mut self) -> Option<&mut Chain> {
        match self {
            Self::Stateless(receiver) => Some(receiver.chain_mut()),
            Self::Stateful(_) => None,
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub(super) enum Tx {
    Stateless(Sender),
    Stateful(Box<stateful::Sender>),
}

impl Tx {
    pub(super) fn new(parameters: Parameters) -> Self {
        if parameters.stateless {
            Self::Stateless(Sender::new(parameters))
        } else {
            Self::Stateful(Box::new(stateful::Sender::new(parameters)))
        }
    }

    pub(super) fn parameters(&self) -> &Parameters {
        match self {
            Self::Stateless(sender) => &sender.parameters,
            Self::Stateful(sender) => sender.parameters(),
        }
    }

    pub(super) fn chain(&self) -> Option<&Chain> {
        match self {
            Self::Stateless(sender) => Some(&sender.chain),
            Self::Stateful(_) => None,
        }
    }

    pub(super) fn chain_mut(&mut self) -> Option<&mut Chain> {
        match self {
            Self::Stateless(sender) => Some(&mut sender.chain),
            Self::Stateful(_) => None,
        }
    }
}

/// The sending end in stateless mode.
#[derive(Debug)]
pub(super) struct Sender {
    parameters: Parameters,
    pub(super) chain: Chain,
}

impl Sender {
    fn new(parameters: Parameters) -> Self {
        Self {
            chain: Chain::for_sending(parameters.start_key.clone(), parameters.strength),
            parameters,
        }
    }

    /// Position and key of the next packet; they stay the same until the position is marked used.
    pub(super) fn next_key<E: Engine + ?Sized>(
        &mut self,
        engine: &mut E,
    ) -> Option<(u64, SessionKey)> {
        let position = self.chain.used() + 1;
        while self.chain.head() < position {
            engine.step(&mut [&mut self.chain]);
        }
        Some((position, self.chain.key(position)?))
    }
}

/// What the control process should know about the encryption of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// See [`crate::ipc::Event::MppeOutOfSync`].
    OutOfSync {
        /// How often that was said since the last frame that decrypted.
        times: u32,
    },
    /// See [`crate::ipc::Event::MppeKeysDiffer`].
    KeysDiffer,
}

/// Whether what is received makes sense once it is decrypted.
#[derive(Debug, Default)]
pub(super) struct Sense {
    /// One frame did: from here on, what does not is forged or broken.
    found: bool,
    senseless: u32,
    since: Option<Instant>,
    said: bool,
    notice: Option<Notice>,
}

impl Sense {
    /// Takes note of what became of an encrypted frame that came at `now`.
    pub(super) fn note<T>(&mut self, outcome: &Result<T, DropReason>, now: Instant) {
        if self.found || self.said {
            return;
        }
        match outcome {
            Err(DropReason::Undecryptable | DropReason::OutOfSync) => {
                self.senseless += 1;
                let since = *self.since.get_or_insert(now);
                let long = now.saturating_duration_since(since) >= SENSELESS_TIME;
                if self.senseless >= SENSELESS_FRAMES && long {
                    self.said = true;
                    self.notice = Some(Notice::KeysDiffer);
                }
            }
            Err(
                DropReason::StaleKey
                | DropReason::DuplicateSeq
                | DropReason::KeyBudget
                | DropReason::TruncatedPpp,
            ) => {}
            // Whatever became of its packet, the frame was decrypted.
            Ok(_) | Err(_) => self.found = true,
        }
    }

    /// Takes note that the receiver lost its place and wants a reset.
    pub(super) fn lost(&mut self, times: u32) {
        self.notice = Some(Notice::OutOfSync { times });
    }

    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }
}

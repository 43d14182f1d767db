//! Session keys made ahead of the packets that need them.
//!
//! A key follows from the one before, so the keys of one session are made one after the other; but
//! the engine makes those of eight sessions in little more time than those of one. So a session
//! whose keys run short waits here until there are enough of its kind, or until it needs them.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::{BURST, Entry, Worker};
use crate::ids::SessionId;
use crate::mppe::chain::{AHEAD, AHEAD_SENDING};
use crate::mppe::{Chain, Engine};

/// Sessions whose keys are made together: as many as the engine has lanes.
const WAVE: usize = 8;
/// How many keys a session is given in one go, so that no other waits for long.
const STEPS: usize = 32;
/// How many keys are made ready in each direction; chains have room for as many.
const READY: u64 = 2 * BURST as u64;
const _: () = assert!(READY <= AHEAD && READY <= AHEAD_SENDING);
/// With fewer than these, a session waits for its turn.
const SHORT: u64 = READY - STEPS as u64;
/// With fewer than these, the next burst might use them up, and the session waits no longer.
const LOW: u64 = BURST as u64;

/// The sessions whose keys run short, in the order in which they did.
#[derive(Debug)]
pub(super) struct Keys {
    short: VecDeque<SessionId>,
}

/// With room for all that a burst may add to what waits for a wave, so that none is allocated among
/// packets.
impl Default for Keys {
    fn default() -> Self {
        Self {
            short: VecDeque::with_capacity(WAVE + 2 * BURST),
        }
    }
}

impl Keys {
    /// Takes note of a session that just used a key.
    pub(super) fn note(&mut self, id: SessionId, entry: &mut Entry) {
        if !entry.keys_wanted
            && entry
                .session
                .keys_ready()
                .is_some_and(|ready| ready < SHORT)
        {
            entry.keys_wanted = true;
            self.short.push_back(id);
        }
    }
}

impl Worker {
    /// Makes the keys that the next burst may need, and those that come cheap because there are
    /// enough sessions to share the work. An `idle` worker makes some of whatever is wanted. True if
    /// there was something to make.
    pub(super) fn make_keys(&mut self, idle: bool) -> bool {
        let mut made = false;
        while !self.keys.short.is_empty()
            && (idle || self.keys.short.len() >= WAVE || self.is_any_low())
        {
            self.make_wave();
            made = true;
            if idle {
                break;
            }
        }
        made
    }

    fn is_any_low(&self) -> bool {
        self.keys.short.iter().any(|id| {
            let entry = self.sessions.get(id.0 as usize).and_then(Option::as_deref);
            entry
                .and_then(|entry| entry.session.keys_ready())
                .is_some_and(|ready| ready < LOW)
        })
    }

    fn make_wave(&mut self) {
        // Taken out for as long as their chains are lent to the engine.
        let mut wave = ArrayVec::<(SessionId, Box<Entry>), WAVE>::new();
        while !wave.is_full()
            && let Some(id) = self.keys.short.pop_front()
        {
            if let Some(entry) = self.sessions.get_mut(id.0 as usize).and_then(Option::take) {
                wave.push((id, entry));
            }
        }
        for _ in 0..STEPS {
            let mut chains: ArrayVec<&mut Chain, { 2 * WAVE }> = wave
                .iter_mut()
                .flat_map(|(_, entry)| entry.session.short_chains(READY))
                .collect();
            if chains.is_empty() {
                break;
            }
            self.engine.step(&mut chains);
        }
        for (id, mut entry) in wave {
            entry.keys_wanted = false;
            self.keys.note(id, &mut entry);
            self.sessions[id.0 as usize] = Some(entry);
        }
    }
}

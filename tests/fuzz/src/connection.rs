//! PPTP's control connection.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use greyhound_control::cause::Cause;
use greyhound_control::pptp::connection::MAX_CALLS;
use greyhound_control::pptp::wire::{GeneralError, MIN_LEN, OutgoingCallResult, Repr};
use greyhound_control::pptp::{Command, Connection};
use greyhound_datapath::ids::{CallId, PeerCallId};

use crate::input::Input;
use crate::messages::message;
use crate::origin;

/// A connection in either role, with a script of what the peer sends, what our side wants, and how
/// time passes. Checked: each call ends once, nothing follows the end, what is sent are messages,
/// what is said is in proportion to what was heard, and no deadline stays due.
pub fn pptp_connection(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(input.flag());
    for _ in 0..256 {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.end();
}

struct World {
    connection: Connection,
    is_client: bool,
    now: Instant,
    /// What the peer has written and TCP not delivered.
    stream: VecDeque<u8>,
    /// Calls that the caller of the connection knows, and whether each was connected.
    calls: BTreeMap<CallId, bool>,
    requested: VecDeque<PeerCallId>,
    next_call: u16,
    closed: bool,
}

impl World {
    fn new(is_client: bool) -> Self {
        let now = origin();
        let mut world = Self {
            connection: if is_client {
                Connection::client(now, "greyhound")
            } else {
                Connection::server(now, "greyhound")
            },
            is_client,
            now,
            stream: VecDeque::new(),
            calls: BTreeMap::new(),
            requested: VecDeque::new(),
            next_call: 1,
            closed: false,
        };
        if is_client {
            world.connection.start(now);
            world.obey(0, None);
        }
        world
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        match input.below(16) {
            // Written and delivered.
            0..6 => {
                self.stream.extend(message(input));
                self.deliver(usize::MAX);
            }
            6 => self.stream.extend(message(input)),
            7 => {
                self.stream.extend(input.bytes());
                self.deliver(usize::MAX);
            }
            8 => self.deliver(usize::from(input.u8())),
            9 => self.pass(Duration::from_secs(input.u8().into())),
            10 => {
                if let Some(at) = self.connection.poll_timeout() {
                    self.pass(at.saturating_duration_since(now));
                }
            }
            11 => {
                if let Some(peer) = self.requested.pop_front() {
                    let call_id = CallId(self.next_call);
                    self.next_call += 1;
                    if self.connection.accept_call(now, peer, call_id) {
                        self.calls.insert(call_id, true);
                    }
                    self.obey(0, None);
                }
            }
            12 => {
                if let Some(peer) = self.requested.pop_front() {
                    let (result, error) = (OutgoingCallResult::Busy, GeneralError::None);
                    self.connection.refuse_call(now, peer, result, error);
                    self.obey(0, None);
                }
            }
            13 if self.is_client => {
                let call_id = CallId(self.next_call);
                self.next_call += 1;
                self.connection.request_call(now, call_id);
                self.obey(0, Some(call_id));
            }
            13 | 14 => {
                let call_id = CallId(input.u8().into());
                self.connection
                    .clear_call(now, call_id, Cause::AdministratorRequest);
                self.obey(0, None);
            }
            _ => match input.u8() {
                0..64 => {
                    self.connection.stop(now, Cause::Reboot);
                    self.obey(0, None);
                }
                64..96 => {
                    self.connection.handle_hangup(now);
                    self.obey(0, None);
                }
                _ => self.pass(Duration::from_millis(1)),
            },
        }
    }

    fn deliver(&mut self, len: usize) {
        let len = len.min(self.stream.len());
        let bytes: Vec<_> = self.stream.drain(..len).collect();
        self.connection.handle_data(self.now, &bytes);
        // What was held back of a message that is whole now.
        self.obey(len / MIN_LEN + 1, None);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for _ in 0..4 {
            self.connection.handle_timeout(self.now);
            self.obey(1, None);
            if self
                .connection
                .poll_timeout()
                .is_none_or(|at| at > self.now)
            {
                return;
            }
        }
        panic_with("a deadline stays due");
    }

    /// Takes the commands of an event that brought at most so many messages, or a request.
    fn obey(&mut self, messages: usize, requested: Option<CallId>) {
        let most = 4 * messages + 3 * self.calls.len() + 2 * MAX_CALLS + 8;
        let mut count = 0;
        while let Some(command) = self.connection.poll_command() {
            assert!(!self.closed, "{command:?} after the end");
            count += 1;
            assert!(count <= most, "too much is said");
            match command {
                Command::Send(bytes) => {
                    let message = Repr::parse(&bytes).expect("what we send is a message");
                    if let (Repr::OutgoingCallRequest(request), Some(call)) = (message, requested) {
                        assert_eq!(request.call_id, call.0);
                        self.calls.insert(call, false);
                    }
                }
                Command::Close(_) => {
                    self.closed = true;
                    assert!(self.calls.is_empty(), "calls survive their connection");
                }
                Command::Started { .. } | Command::Traced(..) => {}
                Command::CallRequested { peer_call_id, .. } => {
                    assert!(!self.is_client);
                    self.requested.push_back(peer_call_id);
                }
                Command::CallConnected { call_id, .. } => {
                    let before = self.calls.insert(call_id, true);
                    assert!(
                        !self.is_client || before == Some(false),
                        "connected out of nothing"
                    );
                }
                Command::CallEnded { call_id, .. } => {
                    let known = self.calls.remove(&call_id).is_some();
                    assert!(known, "{call_id:?} ended that nobody knows");
                }
            }
        }
        assert!(self.requested.len() <= 4096);
        assert!(self.is_client || self.calls.len() <= MAX_CALLS);
    }

    fn end(mut self) {
        self.connection.handle_hangup(self.now);
        self.obey(0, None);
        assert!(self.closed);
        assert_eq!(self.connection.poll_timeout(), None);
        let misbehaviours = format!("{:?}", self.connection.misbehaviours());
        assert!(!misbehaviours.is_empty());
    }
}

#[expect(
    clippy::panic,
    reason = "that is how a target says that something is wrong"
)]
fn panic_with(what: &str) -> ! {
    panic!("{what}")
}

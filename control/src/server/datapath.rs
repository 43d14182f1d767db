//! What the datapath says about itself, and its end.

use std::time::Instant;

use greyhound_datapath::ids::SessionId;
use greyhound_datapath::ipc::{self, Request};

use super::{Command, Datapath, Hello, Server, Timer};
use crate::cause::Cause;
use crate::entropy::Entropy;
use crate::session::Session;
use crate::session::line::{Line, Message};

impl<E: Entropy + Clone + Send + 'static> Server<E> {
    pub(super) fn on_hello(&mut self, now: Instant, version: u16, hello: Hello) {
        if version == ipc::VERSION {
            self.datapath = Datapath::Telling(hello);
            return;
        }
        let ours = ipc::VERSION;
        let text = format!("the datapath speaks version {version}, this program version {ours}");
        self.log(Line::new(Message::DatapathMismatch, text));
        self.lose_datapath(now);
        self.commands.push_back(Command::CloseDatapath);
    }

    /// What it holds from before is nobody's any more. What was up then is kept to have ended.
    pub(super) fn on_held(&mut self, now: Instant, held: &[ipc::Held], last: bool) {
        for held in held {
            let session = held.session;
            self.session_ids.take(session);
            self.note_held(held);
            match held.removed {
                Some(counters) => self.on_removed(now, session, counters),
                None => self
                    .commands
                    .push_back(Command::Datapath(Request::Remove { session })),
            }
        }
        if last && let Datapath::Telling(hello) = &self.datapath {
            self.datapath = Datapath::Ready(hello.clone());
            self.end_lost();
            self.stand_all();
        }
    }

    pub(super) fn lose_datapath(&mut self, now: Instant) {
        self.datapath = Datapath::Absent;
        self.refresh.abandon();
        self.end_accounts(now);
        for (&id, entry) in &mut self.sessions {
            entry.session.handle_datapath_lost(now);
            self.touched.push_back(Timer::Session(id));
        }
        // Calls that wait for their reply have session numbers too.
        for (&id, conn) in &mut self.conns {
            if conn.client.is_some() {
                conn.pptp.stop(now, Cause::PortError);
                self.touched.push_back(Timer::Conn(id));
            }
        }
        self.settle(now);
        self.session_ids.release_all();
    }

    pub(super) fn with_session(&mut self, id: SessionId, handle: impl FnOnce(&mut Session)) {
        if let Some(entry) = self.sessions.get_mut(&id) {
            handle(&mut entry.session);
            self.touched.push_back(Timer::Session(id));
        }
    }

    pub(super) fn on_refreshed(&mut self, session: SessionId) {
        if self.refresh.note_answer(session) {
            self.read_on();
        }
    }

    pub(super) fn read_on(&mut self) {
        while let Some(request) = self.refresh.next_request() {
            self.commands.push_back(Command::Datapath(request));
        }
    }
}

//! Two PPP links, a server and a client, and a wire that does with their frames what the script
//! wants.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use greyhound_control::cause::Cause;

use crate::input::Input;
use crate::origin;
use crate::ppp::{self, Watched};

/// Two links that mean well, with passwords that are really checked. The script delivers, loses,
/// doubles, swaps and damages their frames and adds some. Checked: all of [`crate::ppp_link`]; that
/// two links do not talk without end while no time passes; and that on a wire which does no harm
/// they agree on what both want.
pub fn ppp_pair(data: &[u8]) {
    Pair::run(data).end();
}

struct Pair {
    ends: [Watched; 2],
    /// Frames on the way to each end.
    wires: [VecDeque<(u16, Vec<u8>)>; 2],
    now: Instant,
    /// Of the user.
    policy: u8,
    /// Nobody has touched the wire or ended anything.
    innocent: bool,
}

impl Pair {
    fn run(data: &[u8]) -> Self {
        let mut input = Input::new(data);
        let mut pair = Self::new(&mut input);
        for _ in 0..200 {
            if input.is_empty() {
                break;
            }
            pair.step(&mut input);
        }
        pair
    }

    fn new(input: &mut Input<'_>) -> Self {
        let server = ppp::config(false, input);
        let client = ppp::config(true, input);
        let policy = input.u8();
        let mut pair = Self {
            ends: [Watched::new(server, 1), Watched::new(client, 2)],
            wires: [VecDeque::new(), VecDeque::new()],
            now: origin(),
            policy,
            innocent: true,
        };
        for end in 0..2 {
            pair.ends[end].open(pair.now);
        }
        pair.collect();
        pair
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.u8();
        let to = usize::from(choice >> 7);
        match choice & 0xf {
            0..5 => {
                self.deliver(to);
            }
            5 => {
                self.settle(usize::from(choice >> 4));
            }
            6 => self.pass(Duration::from_secs(input.u8().into())),
            7 => self.pass_to_next(),
            harm => {
                self.innocent = false;
                self.harm(harm, to, input);
            }
        }
    }

    fn harm(&mut self, harm: u8, to: usize, input: &mut Input<'_>) {
        let now = self.now;
        let wire = &mut self.wires[to];
        match harm {
            8 => {
                wire.pop_front();
            }
            9 => wire.extend(wire.front().cloned()),
            10 => {
                if wire.len() > 1 {
                    wire.swap(0, 1);
                }
            }
            11 | 12 => {
                if let Some((_, frame)) = wire.front_mut()
                    && !frame.is_empty()
                {
                    let at = input.below(frame.len());
                    frame[at] = input.u8();
                }
            }
            13 => {
                let protocol = ppp::protocol(input);
                // As if from the other end.
                let packet = ppp::packet(input, protocol, &self.ends[to].last);
                self.ends[to].hear(now, protocol, &packet);
                self.collect();
            }
            14 => {
                let protocol = ppp::protocol(input);
                let packet = ppp::packet(input, protocol, &self.ends[to].last);
                wire.push_front((protocol, packet));
            }
            _ => {
                let link = &mut self.ends[to].link;
                match input.u8() {
                    0..16 => link.close(now, Cause::AdministratorRequest),
                    16..20 => link.lower_down(now, Cause::HungUp),
                    times @ 20..40 => link.handle_mppe_out_of_sync(now, times.into()),
                    _ => link.handle_mppe_out_of_sync(now, 1),
                }
                self.ends[to].obey(now);
                self.collect();
            }
        }
    }

    fn deliver(&mut self, to: usize) -> bool {
        let Some((protocol, packet)) = self.wires[to].pop_front() else {
            return false;
        };
        self.ends[to].hear(self.now, protocol, &packet);
        self.collect();
        true
    }

    /// Delivers so many frames, or those that there are.
    fn settle(&mut self, frames: usize) -> bool {
        let mut quiet = false;
        for _ in 0..frames {
            quiet = !self.deliver(0) & !self.deliver(1);
            if quiet {
                break;
            }
        }
        quiet
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for end in 0..2 {
            self.ends[end].time_out(self.now);
        }
        self.collect();
    }

    fn pass_to_next(&mut self) {
        let deadlines = self.ends.iter().filter_map(|end| end.link.poll_timeout());
        if let Some(at) = deadlines.min() {
            self.pass(at.saturating_duration_since(self.now));
        }
    }

    /// Takes what both ends said, and answers the server's questions.
    fn collect(&mut self) {
        while let Some((user, proof)) = self.ends[0].asks.first() {
            let verdict = ppp::honest_verdict(user, proof, self.policy);
            self.ends[0].judge(self.now, verdict);
        }
        assert!(self.ends[1].asks.is_empty(), "clients judge nobody");
        for end in 0..2 {
            let sent = self.ends[end].sent.drain(..);
            self.wires[1 - end].extend(sent);
            // A wire holds what it can.
            self.wires[1 - end].truncate(256);
        }
    }

    fn end(mut self) {
        let before = self.now;
        for _ in 0..40 {
            assert!(self.settle(1000), "they talk without end");
            let done = |end: &Watched| end.down.is_some() || end.up.is_some();
            if self.ends.iter().all(done) {
                break;
            }
            self.pass_to_next();
        }
        for end in &self.ends {
            let waited = self.now.saturating_duration_since(before);
            assert!(
                end.down.is_some() || end.up.is_some(),
                "neither up nor down after {waited:?}"
            );
        }
        if self.innocent
            && let [Some(server), Some(client)] = [self.ends[0].up, self.ends[1].up]
        {
            assert_eq!((server.ours, server.peer), (client.peer, client.ours));
        }
        self.ends[0].link.close(self.now, Cause::Reboot);
        self.ends[0].obey(self.now);
        self.collect();
        for _ in 0..80 {
            assert!(self.settle(1000), "they talk without end");
            if self.ends[0].down.is_some() {
                return;
            }
            self.pass_to_next();
        }
        assert!(self.ends[0].down.is_some(), "it does not end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deliver what there is.
    const SETTLE: u8 = 0x75;

    #[test]
    fn a_pair_left_alone_comes_up_with_each_method() {
        for methods in [1, 2, 4, 8] {
            let script = [5, methods, 0, 5, methods, 0, 5, SETTLE, SETTLE, SETTLE];
            let pair = Pair::run(&script);
            assert!(pair.ends.iter().all(|end| end.up.is_some()), "{methods}");
            pair.end();
        }
    }
}

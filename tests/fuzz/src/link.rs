//! One PPP link against a peer that says what the script wants.

use std::time::{Duration, Instant};

use greyhound_control::cause::Cause;
use greyhound_control::ppp::{Proof, protocol};

use crate::input::Input;
use crate::origin;
use crate::ppp::{self, CONFIGURE_ACK, CONFIGURE_REQUEST, USER, Watched};

/// A link in either role. The script chooses packets, with right answers to be had cheaply, what the
/// authenticator says whatever was proved, and how time passes. Checked: what a link may say in which
/// state, that nothing is up unauthenticated or, where it has to be, unencrypted, that it ends once,
/// says nothing after, and always does.
pub fn ppp_link(data: &[u8]) {
    let (link, now) = run(data);
    end(link, now);
}

fn run(data: &[u8]) -> (Watched, Instant) {
    let mut input = Input::new(data);
    let is_client = input.flag();
    let mut now = origin();
    let mut one = Watched::new(ppp::config(is_client, &mut input), 7);
    one.open(now);
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        match input.below(16) {
            0..5 => {
                let protocol = ppp::protocol(&mut input);
                let packet = ppp::packet(&mut input, protocol, &one.last);
                one.hear(now, protocol, &packet);
            }
            // Agrees to what was asked last.
            5 | 6 => {
                let protocol = ppp::protocol(&mut input);
                agree(&mut one, now, protocol);
            }
            // Asks for little, and agrees, as far as one gets with that.
            7 => {
                for protocol in [
                    protocol::LCP,
                    protocol::CCP,
                    protocol::IPCP,
                    protocol::IPV6CP,
                ] {
                    let options = input.bytes();
                    let len = u8::try_from(4 + options.len()).unwrap_or(u8::MAX);
                    let request = [&[CONFIGURE_REQUEST, 9, 0, len], options].concat();
                    one.hear(now, protocol, &request);
                    // A client has to be told its address first.
                    if !is_client || protocol != protocol::IPCP {
                        agree(&mut one, now, protocol);
                    }
                    if protocol == protocol::LCP {
                        authenticate(&mut one, now, is_client, &mut input);
                    }
                }
            }
            8 => authenticate(&mut one, now, is_client, &mut input),
            9 => {
                let verdict = ppp::verdict(&mut input);
                one.judge(now, verdict);
            }
            10 => now = pass(&mut one, now, Duration::from_secs(input.u8().into())),
            11 => {
                if let Some(at) = one.link.poll_timeout() {
                    now = pass(&mut one, now, at.saturating_duration_since(now));
                }
            }
            12 => {
                let frames = input.u8();
                one.rx_frames += u64::from(frames);
                one.link.handle_activity(now, one.rx_frames);
                one.obey(now);
            }
            13 => {
                one.link.handle_mppe_out_of_sync(now, input.u8().into());
                one.obey(now);
            }
            14 => {
                let protocol = ppp::protocol(&mut input);
                one.hear(now, protocol, input.bytes());
            }
            _ => {
                match input.u8() {
                    0..32 => one.link.close(now, Cause::AdministratorRequest),
                    32..40 => one.link.lower_down(now, Cause::HungUp),
                    _ => now = pass(&mut one, now, Duration::from_millis(100)),
                }
                one.obey(now);
            }
        }
    }
    (one, now)
}

/// From here on the peer is silent.
fn end(mut one: Watched, mut now: Instant) {
    one.link.close(now, Cause::Reboot);
    one.obey(now);
    for _ in 0..16 {
        let Some(at) = one.link.poll_timeout() else {
            break;
        };
        now = pass(&mut one, now, at.saturating_duration_since(now));
    }
    assert!(one.down.is_some(), "it does not end");
    one.link.lower_down(now, Cause::HungUp);
    one.obey(now);
}

fn pass(one: &mut Watched, now: Instant, time: Duration) -> Instant {
    let now = now + time;
    one.time_out(now);
    now
}

fn agree(one: &mut Watched, now: Instant, protocol: u16) {
    if let Some(asked) = one.last.get(&(protocol, CONFIGURE_REQUEST)) {
        let mut answer = asked.clone();
        answer[0] = CONFIGURE_ACK;
        one.hear(now, protocol, &answer);
    }
}

/// The peer's part in authentication, as well as it can without knowing a password; as a server it
/// does know it.
fn authenticate(one: &mut Watched, now: Instant, is_client: bool, input: &mut Input<'_>) {
    const CHALLENGE: u8 = 1;
    const RESPONSE: u8 = 2;
    const SUCCESS: u8 = 3;
    const AUTHENTICATE_ACK: u8 = 2;

    let long = input.flag();
    if is_client {
        if let Some(request) = one.last.get(&(protocol::PAP, 1)) {
            let ack = [AUTHENTICATE_ACK, request[1], 0, 5, 0];
            return one.hear(now, protocol::PAP, &ack);
        }
        let size = if long { 16 } else { 8 };
        let mut challenge = vec![CHALLENGE, 3, 0, 4 + 1 + size + 1, size];
        challenge.extend(vec![0x5a; size.into()]);
        challenge.push(b's');
        one.hear(now, protocol::CHAP, &challenge);
        let Some(response) = one.last.get(&(protocol::CHAP, RESPONSE)) else {
            return;
        };
        let message = message(&response[4..]).unwrap_or_default();
        let len = u8::try_from(4 + message.len()).unwrap_or(u8::MAX);
        let success = [&[SUCCESS, response[1], 0, len], message.as_bytes()].concat();
        one.hear(now, protocol::CHAP, &success);
    } else {
        let id = one.last.get(&(protocol::CHAP, CHALLENGE)).map(|it| it[1]);
        if let Some(id) = id {
            let size = if long { 49 } else { 16 };
            let name = USER.as_bytes();
            let mut response = vec![RESPONSE, id, 0, 4 + 1 + size + 5, size];
            response.extend(vec![1; size.into()]);
            response.extend(name);
            one.hear(now, protocol::CHAP, &response);
        } else {
            let mut request = vec![1, 1, 0, 12, 5];
            request.extend(USER.as_bytes());
            request.extend([1, b'x']);
            one.hear(now, protocol::PAP, &request);
        }
        let verdict = ppp::verdict(input);
        one.judge(now, verdict);
    }
}

/// What Success says to this response, which was made for the challenge above.
fn message(response: &[u8]) -> Option<String> {
    let (&size, rest) = response.split_first()?;
    let (value, name) = rest.split_at_checked(size.into())?;
    let proof = Proof::MsChapV2 {
        challenge: [0x5a; 16],
        peer_challenge: value.get(..16)?.try_into().ok()?,
        nt_response: value.get(24..48)?.try_into().ok()?,
    };
    let (message, _) = proof.check(str::from_utf8(name).ok()?, ppp::PASSWORD)?;
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    #[test]
    fn the_seeds_bring_a_link_up_in_either_role() {
        for role in [0, 1] {
            let seeds = seeds::seeds();
            let up = seeds.iter().filter(|seed| {
                let is_script = seed.target == "ppp_link" && seed.input[0] == role;
                is_script && run(&seed.input).0.up.is_some()
            });
            assert!(up.count() > 4, "role {role}");
        }
    }
}

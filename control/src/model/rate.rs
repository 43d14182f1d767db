//! `rate-limit` of a profile, and the attribute Mikrotik-Rate-Limit: how fast a session may be.
//!
//! `rx[/tx] [rx-burst[/tx-burst] [rx-threshold[/tx-threshold] [rx-time[/tx-time] [priority
//! [rx-min[/tx-min]]]]]]`, where rx is what the client sends and tx what it gets, in bits a second.

use std::fmt;
use std::time::Duration;

use super::time;

/// How fast a session may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// From the client.
    pub rx: Rate,
    /// To the client.
    pub tx: Rate,
    /// 1, the best, to 8: kept, without effect here.
    pub priority: Option<u8>,
    /// What is promised, from and to the client, in bits a second: kept, without effect here.
    pub least: Option<(u64, u64)>,
}

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits a second; 0 is no limit.
    pub limit: u64,
    /// More for a while.
    pub burst: Option<Burst>,
}

/// More for a while: this rate as long as the average over `time` is below `threshold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Bits a second.
    pub limit: u64,
    /// Bits a second.
    pub threshold: u64,
    /// What the average is over.
    pub time: Duration,
}

/// What is wrong with a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a rate limit")]
pub struct Malformed;

impl RateLimit {
    /// Reads one.
    ///
    /// # Errors
    /// [`Malformed`]: a fraction, a sign, a promise above the limit, too much.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.split_ascii_whitespace();
        let (rx, tx) = pair(parts.next().ok_or(Malformed)?, bits)?;
        let bursts = parts.next().map(|part| pair(part, bits)).transpose()?;
        let thresholds = parts.next().map(|part| pair(part, bits)).transpose()?;
        let times = parts.next().map(|part| pair(part, seconds)).transpose()?;
        let priority = parts.next().map(priority).transpose()?;
        let least = parts.next().map(|part| pair(part, bits)).transpose()?;
        if parts.next().is_some() {
            return Err(Malformed);
        }
        let exceeds = |least: u64, limit: u64| limit > 0 && least > limit;
        if least.is_some_and(|(least_rx, least_tx)| exceeds(least_rx, rx) || exceeds(least_tx, tx))
        {
            return Err(Malformed);
        }
        let (rx_threshold, tx_threshold) = thresholds.unwrap_or((rx, tx));
        let (rx_time, tx_time) = times.unwrap_or((DEFAULT_TIME, DEFAULT_TIME));
        let rate = |limit, burst: Option<u64>, threshold, time| Rate {
            limit,
            // 0/0 stands where only what follows is to be said.
            burst: burst.filter(|&burst| burst > 0).map(|limit| Burst {
                limit,
                threshold,
                time,
            }),
        };
        Ok(Self {
            rx: rate(rx, bursts.map(|(rx, _)| rx), rx_threshold, rx_time),
            tx: rate(tx, bursts.map(|(_, tx)| tx), tx_threshold, tx_time),
            priority,
            least,
        })
    }
}

/// What the average of a burst is over unless it is said.
const DEFAULT_TIME: Duration = Duration::from_secs(1);

/// `a/b`, or `a` for both.
fn pair<T: Copy>(text: &str, read: fn(&str) -> Result<T, Malformed>) -> Result<(T, T), Malformed> {
    match text.split_once('/') {
        Some((rx, tx)) => Ok((read(rx)?, read(tx)?)),
        None => read(text).map(|both| (both, both)),
    }
}

/// A whole number of bits a second, with `k`, `M` or `G` for thousands, millions and so on.
fn bits(text: &str) -> Result<u64, Malformed> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        Some(_) | None => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    let number: u64 = digits.parse().map_err(|_| Malformed)?;
    number.checked_mul(unit).ok_or(Malformed)
}

fn seconds(text: &str) -> Result<Duration, Malformed> {
    let time = time::parse(text).ok_or(Malformed)?;
    (time <= Duration::from_secs(3600))
        .then_some(time)
        .ok_or(Malformed)
}

/// Whole seconds by themselves, as the product writes them.
fn span(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => time.as_secs().to_string(),
        _ => time::text(time),
    }
}

fn priority(text: &str) -> Result<u8, Malformed> {
    // The product writes it once, or once for each direction.
    let (rx, _) = pair(text, |text| text.parse::<u8>().map_err(|_| Malformed))?;
    (1..=8).contains(&rx).then_some(rx).ok_or(Malformed)
}

/// As it is read: what need not be said is left out.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |bits: u64| match bits {
            0 => "0".to_owned(),
            bits if bits.is_multiple_of(1_000_000_000) => format!("{}G", bits / 1_000_000_000),
            bits if bits.is_multiple_of(1_000_000) => format!("{}M", bits / 1_000_000),
            bits if bits.is_multiple_of(1000) => format!("{}k", bits / 1000),
            bits => bits.to_string(),
        };
        let both = |rx, tx| format!("{}/{}", rate(rx), rate(tx));
        write!(f, "{}", both(self.rx.limit, self.tx.limit))?;
        let rest = self.priority.is_some() || self.least.is_some();
        if self.rx.burst.is_some() || self.tx.burst.is_some() || rest {
            let none = |limit| Burst {
                limit: 0,
                threshold: limit,
                time: DEFAULT_TIME,
            };
            let rx = self.rx.burst.unwrap_or_else(|| none(self.rx.limit));
            let tx = self.tx.burst.unwrap_or_else(|| none(self.tx.limit));
            write!(f, " {}", both(rx.limit, tx.limit))?;
            write!(f, " {}", both(rx.threshold, tx.threshold))?;
            write!(f, " {}/{}", span(rx.time), span(tx.time))?;
        }
        if rest {
            write!(f, " {}", self.priority.unwrap_or(8))?;
        }
        if let Some((rx, tx)) = self.least {
            write!(f, " {}", both(rx, tx))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_rate_is_what_the_client_sends() {
        let limit = RateLimit::parse("64k/128M").unwrap();
        assert_eq!((limit.rx.limit, limit.tx.limit), (64_000, 128_000_000));
        let both = RateLimit::parse("128k").unwrap();
        assert_eq!((both.rx.limit, both.tx.limit), (128_000, 128_000));
        assert_eq!(both.rx.burst, None);
    }

    #[test]
    fn a_burst_has_the_rate_as_threshold_and_a_second_unless_it_is_said() {
        let burst = RateLimit::parse("64k 256k").unwrap().rx.burst.unwrap();
        assert_eq!(burst.limit, 256_000);
        assert_eq!(burst.threshold, 64_000);
        assert_eq!(burst.time, Duration::from_secs(1));

        let all = RateLimit::parse("64k/64k 256k/512k 128k/128k 10/20 8 32k/16k").unwrap();
        let (rx, tx) = (all.rx.burst.unwrap(), all.tx.burst.unwrap());
        assert_eq!((rx.limit, tx.limit), (256_000, 512_000));
        assert_eq!((rx.threshold, rx.time), (128_000, Duration::from_secs(10)));
        assert_eq!(tx.time, Duration::from_secs(20));
        assert_eq!((all.priority, all.least), (Some(8), Some((32_000, 16_000))));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "x",
            "1.5M",
            "-1",
            "+1",
            "1M/",
            "/1M",
            "1M/2M/3M",
            "1k 2k 3k 4 9",
            "1k 2k 3k 4 0",
            "1k 2k 3k 4 5 6k",
            "1k 2k 3k 4 5 1k 7",
            "99999999999G",
            "1T",
            "1M 2M 3M forever",
        ] {
            assert_eq!(RateLimit::parse(text), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            rates in prop::array::uniform4(0_u64..5_000_000),
            burst in any::<bool>(),
            priority in prop::option::of(1_u8..9),
        ) {
            let [rx, tx, a, b] = rates;
            let mut text = format!("{rx}/{tx}");
            if burst || priority.is_some() {
                text += &format!(" {a}/{b} {b}k/{a} 3/1m");
            }
            if let Some(priority) = priority {
                text += &format!(" {priority}");
            }
            let limit = RateLimit::parse(&text).unwrap();
            prop_assert_eq!(RateLimit::parse(&limit.to_string()), Ok(limit), "{}", limit);
        }

        #[test]
        fn no_text_panics(text in "[0-9kMG/ .x-]{0,40}") {
            let _ = RateLimit::parse(&text);
        }
    }
}

//! Durations as the product writes them: `1w2d3h4m5s`, zero parts left out; read also as
//! `HH:MM:SS` and as bare seconds.

use std::fmt::Write as _;
use std::time::Duration;

/// Reads a duration; `None` if `text` is not one.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text.contains(':') {
        parse_clock(text)
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok().map(Duration::from_secs)
    } else {
        parse_units(text)
    }
}

/// Writes a duration down to the millisecond: `44m8s`, `1s100ms`, `0s`.
#[must_use]
pub fn text(duration: Duration) -> String {
    let mut out = String::new();
    let mut rest = duration.as_millis();
    for &(unit, milliseconds) in UNITS {
        let count = rest / u128::from(milliseconds);
        rest %= u128::from(milliseconds);
        if count > 0 {
            write!(out, "{count}{unit}").expect("a String takes what is written to it");
        }
    }
    if out.is_empty() {
        out.push_str("0s");
    }
    out
}

/// Writes a duration down to the second, as uptimes are shown.
#[must_use]
pub fn whole_seconds(duration: Duration) -> String {
    text(Duration::from_secs(duration.as_secs()))
}

/// `HH:MM:SS`.
fn parse_clock(text: &str) -> Option<Duration> {
    let mut parts = text.split(':').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten()
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let whole = hours
        .checked_mul(3600)?
        .checked_add(minutes * 60 + seconds)?;
    Some(Duration::from_secs(whole))
}

/// `1w2d3h4m5s6ms`: each unit at most once, the larger one first.
fn parse_units(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut rest = text;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (unit, after) = rest.split_at(letters);
        rest = after;
        let &(_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(count.checked_mul(milliseconds)?)?;
    }
    Some(Duration::from_millis(total))
}

/// The units, largest first, in milliseconds.
const UNITS: &[(&str, u64)] = &[
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_spelling_reads_as_the_same_time() {
        for (text, seconds) in [
            ("1w2d3h4m5s", 788_645),
            ("44m8s", 2648),
            ("00:44:08", 2648),
            ("30", 30),
            ("30s", 30),
            ("100:00:00", 360_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s100ms"), Some(Duration::from_millis(1100)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "s",
            "5x",
            "1s2m",
            "1s1s",
            "-5",
            "1.5s",
            "10:61:00",
            "10:10",
            "1:2:3:4",
            ":::",
            "99999999999999999999",
            "99999999999999999w",
            "5s ",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn zero_parts_are_left_out() {
        for (seconds, expected) in [
            (0, "0s"),
            (51, "51s"),
            (2648, "44m8s"),
            (24_023, "6h40m23s"),
            (777_600, "1w2d"),
        ] {
            assert_eq!(text(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(text(Duration::from_millis(1100)), "1s100ms");
        assert_eq!(whole_seconds(Duration::from_millis(1100)), "1s");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(milliseconds in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&text(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}

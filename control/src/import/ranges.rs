//! Lists of addresses, in the ways in which they are written.

use std::net::Ipv4Addr;

/// The first and the last address of each range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// What pptpd has: addresses of which each part may be a range, between commas:
    /// `192.168.0.234-238,10.0-1.0.1`. `None` if it is not that, or makes more ranges than a pool
    /// is for.
    pub(super) fn of_pptpd(text: &str) -> Option<Self> {
        let mut ranges = Vec::new();
        for one in text.split(',') {
            let parts = one
                .split('.')
                .map(part)
                .collect::<Option<Vec<_>>>()
                .and_then(|parts| <[(u8, u8); 4]>::try_from(parts).ok())?;
            let [a, b, c, d] = parts;
            for a in a.0..=a.1 {
                for b in b.0..=b.1 {
                    for c in c.0..=c.1 {
                        let ends = [d.0, d.1].map(|d| u32::from(Ipv4Addr::new(a, b, c, d)));
                        ranges.push((ends[0], ends[1]));
                        if ranges.len() > MOST {
                            return None;
                        }
                    }
                }
            }
        }
        Some(Self(ranges))
    }

    /// What accel-ppp has: `10.0.0.2-254` in the last part only, or `10.0.0.0/24`, which begins with
    /// the address as it stands.
    pub(super) fn of_accel(text: &str) -> Option<Self> {
        if let Some((address, length)) = text.split_once('/') {
            let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
            let length = length
                .parse::<u32>()
                .ok()
                .filter(|length| (1..=32).contains(length))?;
            let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
            return Some(Self(vec![(first, first | hosts)]));
        }
        let (address, last) = text.split_once('-')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let [a, b, c, d] = address.octets();
        let last = last.parse::<u8>().ok().filter(|&last| last >= d)?;
        let last = Ipv4Addr::new(a, b, c, last);
        Some(Self(vec![(address.into(), last.into())]))
    }

    /// Adds these behind.
    pub(super) fn extend(&mut self, more: &Self) {
        self.0.extend(&more.0);
    }

    /// The address, if it is only one.
    pub(super) fn single(&self) -> Option<Ipv4Addr> {
        match self.0[..] {
            [(first, last)] if first == last => Some(Ipv4Addr::from(first)),
            _ => None,
        }
    }

    /// As the configuration has them: ranges that meet are one, in the order of the addresses.
    pub(super) fn text(&self) -> String {
        let mut ranges = self.0.clone();
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                Some(_) | None => joined.push((first, last)),
            }
        }
        let range = |(first, last): (u32, u32)| {
            let (first, last) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        };
        joined.into_iter().map(range).collect::<Vec<_>>().join(",")
    }
}

/// `7` or `1-7`.
fn part(text: &str) -> Option<(u8, u8)> {
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| is_plain)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// More ranges than anybody wrote down one by one.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_address_of_pptpd_may_be_a_range() {
        for (text, expected) in [
            ("192.168.0.1", "192.168.0.1"),
            (
                "192.168.0.234-238,192.168.0.245",
                "192.168.0.234-192.168.0.238,192.168.0.245",
            ),
            ("192.168.0-2.9", "192.168.0.9,192.168.1.9,192.168.2.9"),
            ("10.0.0-1.0-255", "10.0.0.0-10.0.1.255"),
            (
                "10.0.0.9,10.0.0.1-5,10.0.0.4-7,10.0.0.8",
                "10.0.0.1-10.0.0.9",
            ),
            ("255.255.255.255,255.255.255.255", "255.255.255.255"),
        ] {
            let ranges = Ranges::of_pptpd(text).map(|ranges| ranges.text());
            assert_eq!(ranges.as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.5-1",
            "10.0.0.256",
            "10.0.0.1,",
            "10.0.0.1-10.0.0.9",
            "10.0-255.0-255.1",
            "10.0.0.+1",
            "a",
        ] {
            assert_eq!(Ranges::of_pptpd(text), None, "{text}");
        }
    }

    #[test]
    fn accel_ppp_has_ranges_in_the_last_part_and_lengths() {
        for (text, expected) in [
            ("192.168.0.2-255", "192.168.0.2-192.168.0.255"),
            ("192.168.4.0/24", "192.168.4.0-192.168.4.255"),
            ("192.168.4.9/24", "192.168.4.9-192.168.4.255"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("10.0.0.1-1", "10.0.0.1"),
            ("0.0.0.0/1", "0.0.0.0-127.255.255.255"),
        ] {
            let ranges = Ranges::of_accel(text).map(|ranges| ranges.text());
            assert_eq!(ranges.as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "10.0.0.9-1",
            "10.0.0.1-x",
        ] {
            assert_eq!(Ranges::of_accel(text), None, "{text}");
        }
    }
}

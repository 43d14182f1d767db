//! Rates as the shaper of accel-ppp has them: `2048/1024`, to the client and from it, in kbit/s; or
//! one for both.

/// Bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// To the client.
    down: u64,
    /// From the client.
    up: u64,
}

impl Rate {
    /// Reads one; `multiplier` is that of the file. `None` if it is none, or names a class of
    /// traffic, or is written as Cisco does.
    pub(super) fn parse(text: &str, multiplier: f64) -> Option<Self> {
        let (down, up) = text.split_once(['/', '\\', ':']).unwrap_or((text, text));
        let bits = |text: &str| bits(text.trim(), multiplier);
        Some(Self {
            down: bits(down)?,
            up: bits(up)?,
        })
    }

    /// As a profile has it: from the client first.
    pub(super) fn text(self) -> String {
        let one = |bits: u64| match bits {
            0 => "0".to_owned(),
            _ if bits.is_multiple_of(1_000_000) => format!("{}M", bits / 1_000_000),
            _ if bits.is_multiple_of(1000) => format!("{}k", bits / 1000),
            _ => bits.to_string(),
        };
        format!("{}/{}", one(self.up), one(self.down))
    }
}

fn bits(text: &str, multiplier: f64) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = match unit {
        "" | "k" | "K" => 1000,
        "b" | "B" => 1,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ => return None,
    };
    let bits = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    scaled(bits, multiplier)
}

/// `bits * multiplier`, to the thousandth of the multiplier and in whole numbers.
fn scaled(bits: u64, multiplier: f64) -> Option<u64> {
    let thousandths = format!("{:.0}", multiplier * 1000.0).parse::<u64>().ok()?;
    Some(bits.checked_mul(thousandths)? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kilobits_to_and_from_the_client() {
        for (text, multiplier, expected) in [
            ("2048/1024", 1.0, "1024k/2048k"),
            ("5000", 1.0, "5M/5M"),
            ("10M\\512", 1.0, "512k/10M"),
            ("1500B:0", 1.0, "0/1500"),
            ("1g/1K", 1.0, "1k/1000M"),
            ("1000/2000", 1.5, "3M/1500k"),
        ] {
            let rate = Rate::parse(text, multiplier).map(Rate::text);
            assert_eq!(rate.as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "/",
            "1/",
            "x",
            "1,2/3",
            "-1",
            "1k5",
            "99999999999999999999",
        ] {
            assert_eq!(Rate::parse(text, 1.0), None, "{text}");
        }
        assert_eq!(Rate::parse("18446744073709551", 1000.0), None);
    }
}

//! `chap-secrets` of accel-ppp: name, server (which says nothing), secret, address or pool, and the
//! rate of the session.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use zeroize::Zeroizing;

use super::rate::Rate;
use crate::import::draft::{Draft, Item, PROFILES, SECRETS};

/// What `text` says; `None` if no line of it has a secret.
pub(in crate::import) fn read(text: &str) -> Option<Draft> {
    let lines: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty())
        .map(|(number, line)| (number, words(line)))
        .collect();
    if !lines.is_empty() && !lines.iter().any(|(_, words)| words.len() >= 3) {
        return None;
    }
    // Whether they are hashes is said in another file: it looks so if all of them do.
    let mut secrets = lines
        .iter()
        .filter_map(|(_, words)| words.get(2))
        .peekable();
    let is_hashed = secrets.peek().is_some() && secrets.all(|secret| is_hash(secret));
    let mut reader = Reader {
        draft: Draft::default(),
        profiles: BTreeMap::new(),
        is_hashed,
    };
    for (line, words) in &lines {
        reader.entry(words, *line);
    }
    Some(reader.draft)
}

/// Whether a fifth column is a rate, which only accel-ppp has.
pub(in crate::import) fn has_rate(line: &str) -> bool {
    let words = words(line);
    words
        .get(4)
        .is_some_and(|rate| Rate::parse(rate, 1.0).is_some())
}

struct Reader {
    draft: Draft,
    /// The names of the profiles for a pool and a rate.
    profiles: BTreeMap<(String, String), String>,
    is_hashed: bool,
}

impl Reader {
    fn entry(&mut self, words: &[Zeroizing<String>], line: usize) {
        let [name, _, secret, address, rest @ ..] = words else {
            let why = "accel-ppp passes over lines with less than four columns";
            return self.draft.leave_out([line], "entry", why);
        };
        if name.is_empty() {
            return self.draft.leave_out([line], "entry", "its name is empty");
        }
        let mut item = Item::add(SECRETS, [line]);
        item.put("name", name, []);
        if self.is_hashed {
            item.hide_secret("looks like a hash, as all of this file");
        } else {
            item.put("password", secret, []);
        }
        let mut pool = "";
        if let Ok(address) = address.parse::<Ipv4Addr>() {
            item.put("remote-address", &address.to_string(), []);
        } else if !address.is_empty() && !address.starts_with(['*', '-', '!']) {
            pool = address;
        }
        let mut rate = String::new();
        if let Some(text) = rest.first() {
            match Rate::parse(text, 1.0) {
                Some(parsed) => rate = parsed.text(),
                None => {
                    let why = "is not a plain rate: the session is not limited";
                    self.draft
                        .leave_out([line], item.title_of("rate-limit"), why);
                }
            }
        }
        if rest.len() > 1 {
            let why = "more columns than accel-ppp has";
            self.draft.leave_out([line], item.title(), why);
        }
        if !pool.is_empty() || !rate.is_empty() {
            let profile = self.profile(pool, &rate, line);
            item.put("profile", &profile, []);
        }
        self.draft.push(item);
    }

    /// The profile for users with this pool and rate, each of which may be empty.
    fn profile(&mut self, pool: &str, rate: &str, line: usize) -> String {
        let key = (pool.to_owned(), rate.to_owned());
        if let Some(name) = self.profiles.get(&key) {
            return name.clone();
        }
        let parts = [pool, rate].into_iter().filter(|part| !part.is_empty());
        let name = format!("accel-{}", parts.collect::<Vec<_>>().join("-"));
        let mut item = Item::add(PROFILES, [line]);
        item.put("name", &name, []);
        for (property, value) in [("remote-address", pool), ("rate-limit", rate)] {
            if !value.is_empty() {
                item.put(property, value, []);
            }
        }
        self.draft.push(item);
        self.profiles.insert(key, name.clone());
        name
    }
}

/// An NT hash in hexadecimal digits.
fn is_hash(secret: &str) -> bool {
    secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The columns. Quotes only count at the beginning of one, and a backslash only in quotes.
fn words(line: &str) -> Vec<Zeroizing<String>> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r');
    let mut words = Vec::new();
    let mut rest = line.trim_matches(blank);
    while let Some(first) = rest.chars().next() {
        if !matches!(first, '"' | '\'') {
            let end = rest.find(blank).unwrap_or(rest.len());
            words.push(Zeroizing::new(rest[..end].to_owned()));
            rest = rest[end..].trim_start_matches(blank);
            continue;
        }
        let mut word = Zeroizing::new(String::with_capacity(rest.len()));
        let mut chars = rest[1..].chars();
        while let Some(next) = chars.next() {
            match next {
                '\\' => word.extend(chars.next()),
                _ if next == first => break,
                _ => word.push(next),
            }
        }
        words.push(word);
        rest = chars.as_str().trim_start_matches(blank);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_count_where_accel_ppp_lets_them() {
        for (line, expected) in [
            ("a\t* b\\c *  2048", "a|*|b\\c|*|2048"),
            (r#""a b" 'c"d' "e\"f\\" x'y'"#, "a b|c\"d|e\"f\\|x'y'"),
            ("'open a", "open a"),
            ("\"\" ''\r", "|"),
            ("\"a\"b", "a|b"),
            ("\"\\", ""),
        ] {
            let words: Vec<_> = words(line).iter().map(|word| word.to_string()).collect();
            assert_eq!(words.join("|"), expected, "{line}");
        }
    }
}

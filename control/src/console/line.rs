//! A command as the words of a shell, made one line of the language.

use crate::language::write;

/// The line that `words` stand for. A shell has taken the quotes away: what needs some gets them
/// back. What is given as one word, or in brackets or quotes of its own, stays as it is.
#[must_use]
pub fn from_words(words: &[String]) -> String {
    if let [line] = words {
        return line.clone();
    }
    let mut is_inside = false;
    let mut out = Vec::new();
    for word in words {
        let begins = is_inside || word.starts_with('[');
        out.push(if begins { word.clone() } else { quoted(word) });
        is_inside = begins && !word.ends_with(']');
    }
    out.join(" ")
}

fn quoted(word: &str) -> String {
    let is_written_so = word.contains(['"', '[', ']', '(', ')', '~', '<', '>', '!', ';']);
    let is_plain = !word.is_empty()
        && !word.contains(|c: char| c.is_whitespace() || c == '\\' || c == '#' || c == '$');
    match word.split_once('=') {
        Some((name, value)) if is_name(name) && !value.starts_with(['"', '[']) => {
            format!("{name}={}", write::value(value))
        }
        _ if is_plain || is_written_so || word.starts_with('/') => word.to_owned(),
        _ => write::quoted(word),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_took_the_quotes_from_gets_them_back() {
        for (words, expected) in [
            (&["ppp", "active", "print"][..], "ppp active print"),
            (&["/ppp secret", "print"], "/ppp secret print"),
            (
                &["/ppp secret add name=\"a b\""],
                "/ppp secret add name=\"a b\"",
            ),
            (
                &[
                    "/ppp",
                    "secret",
                    "add",
                    "name=a b",
                    "password=x\"y$",
                    "comment=",
                ],
                "/ppp secret add name=\"a b\" password=\"x\\\"y\\$\" comment=\"\"",
            ),
            (
                &["add", "user=DOM\\u", "name=<x>"],
                "add user=\"DOM\\\\u\" name=\"<x>\"",
            ),
            (
                &["set", "[find name=a]", "disabled=yes"],
                "set [find name=a] disabled=yes",
            ),
            (&["set", "[find", "name=a]", "x=1"], "set [find name=a] x=1"),
            (&["comment", "0", "two words"], "comment 0 \"two words\""),
            (&["comment", "0", ""], "comment 0 \"\""),
            (
                &["print", "where", "name~\"^a\""],
                "print where name~\"^a\"",
            ),
            (&["print", "where", "mtu>1400"], "print where mtu>1400"),
            (&["remove", "<pptp-a>"], "remove <pptp-a>"),
        ] {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(from_words(&words), expected);
        }
    }
}

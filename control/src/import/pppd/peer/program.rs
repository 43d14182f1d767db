//! The command line of pptp, as it stands behind `pty`.

use super::super::words::lines;

/// A call of pptp.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The server, if it is given.
    pub(super) host: Option<String>,
    /// Options that are something else here, and why.
    pub(super) left_out: Vec<(String, &'static str)>,
}

/// Reads a command of the shell; `None` if it does not call pptp.
pub(super) fn read(command: &str) -> Option<Call> {
    let words: Vec<_> = lines(command)
        .into_iter()
        .flat_map(|line| line.words)
        .collect();
    // Before it may stand `exec`, or `sudo` with options.
    let program = words.iter().position(|word| is_pptp(word.text(), "pptp"))?;
    let mut call = Call {
        host: None,
        left_out: Vec::new(),
    };
    let mut rest = words[program + 1..].iter().map(|word| word.text());
    while let Some(word) = rest.next() {
        let Some(option) = word.strip_prefix("--") else {
            // Behind the server stand options for a pppd that pptp would start itself.
            if !word.starts_with('-') && call.host.is_none() {
                call.host = Some(word.to_owned());
            }
            continue;
        };
        let (name, value) = option
            .split_once('=')
            .map_or((option, None), |(name, value)| (name, Some(value)));
        let known = OPTIONS.iter().find(|one| one.0 == name);
        let (takes_value, why) = known.map_or((false, Some(UNKNOWN)), |one| (one.1, one.2));
        if takes_value && value.is_none() {
            rest.next();
        }
        if let Some(why) = why {
            call.left_out
                .push((format!("option --{name} of pptp"), why));
        }
    }
    Some(call)
}

/// Whether a path leads to what pptp calls `name`.
pub(super) fn is_pptp(path: &str, name: &str) -> bool {
    path.rsplit('/').next() == Some(name)
}

const UNKNOWN: &str = "not an option that is known here";
const NONE: &str = "has no equivalent";
const LOG: &str = "what is logged is said on the command line";

/// The options, whether a word belongs to them, and why there is no such thing, if that matters.
const OPTIONS: &[(&str, bool, Option<&str>)] = &[
    ("nolaunchpppd", false, None),
    ("sync", false, None),
    ("debug", false, Some(LOG)),
    ("loglevel", true, Some(LOG)),
    ("logstring", true, Some(LOG)),
    ("phone", true, Some("there are no numbers to call")),
    (
        "localbind",
        true,
        Some("the way to the server says which address is ours"),
    ),
    (
        "nohostroute",
        false,
        Some("the way to the server is always pinned"),
    ),
    ("rtmark", true, Some("packets are not marked")),
    ("quirks", true, Some(NONE)),
    ("timeout", true, Some(NONE)),
    ("nobuffer", false, Some(NONE)),
    ("idle-wait", true, Some(NONE)),
    ("max-echo-wait", true, Some(NONE)),
    ("missing-window", true, Some(NONE)),
    ("test-type", true, Some(NONE)),
    ("test-rate", true, Some(NONE)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_the_first_word_that_no_option_takes() {
        for (command, host) in [
            (
                "pptp vpn.example.net --nolaunchpppd",
                Some("vpn.example.net"),
            ),
            ("/usr/sbin/pptp --nolaunchpppd 192.0.2.1", Some("192.0.2.1")),
            ("exec pptp --loglevel 0 --sync 192.0.2.1", Some("192.0.2.1")),
            ("pptp --loglevel=0 192.0.2.1 debug", Some("192.0.2.1")),
            (
                "sudo -n '/opt/my tools/pptp' \"192.0.2.1\"",
                Some("192.0.2.1"),
            ),
            ("pptp --phone 5", None),
            ("pptp", None),
        ] {
            let call = read(command).unwrap();
            assert_eq!(call.host.as_deref(), host, "{command}");
        }
        for command in [
            "",
            "pppoe -I eth0",
            "pptpd 192.0.2.1",
            "ssh pptp.example.net",
        ] {
            assert_eq!(read(command), None, "{command}");
        }
    }

    #[test]
    fn options_that_are_something_else_here_are_told_without_their_values() {
        let call = read("pptp --localbind 192.0.2.7 h --nolaunchpppd --rtmark=5 --own x").unwrap();
        let told: Vec<_> = call.left_out.iter().map(|one| one.0.as_str()).collect();

        assert_eq!(
            told,
            [
                "option --localbind of pptp",
                "option --rtmark of pptp",
                "option --own of pptp"
            ]
        );
    }
}

//! What holds for every text.

use std::collections::BTreeSet;

use greyhound_control::import::{Imported, Kind, detect, import};
use greyhound_control::model::Config;
use proptest::prelude::*;

/// The lines of `source` that say something, and of which nothing was said: neither blank, nor a
/// comment, nor a menu line, nor in a statement or in what was left out.
pub(crate) fn lost_lines(source: &str, imported: &Imported) -> Vec<usize> {
    let statements = imported.statements.iter().flat_map(|one| &one.lines);
    let left_out = imported.left_out.iter().flat_map(|one| &one.lines);
    let told: BTreeSet<usize> = statements.chain(left_out).copied().collect();
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    source
        .lines()
        .enumerate()
        .filter(|(index, line)| says_something(line) && !told.contains(&(index + 1)))
        .map(|(index, _)| index + 1)
        .collect()
}

fn says_something(line: &str) -> bool {
    let line = line.trim();
    let is_menu = line.starts_with('/') && !line.contains(['=', '"']);
    let is_section = line.starts_with('[') && line.ends_with(']');
    // Alone, it only joins the lines around it.
    let is_join = line == "\\";
    !(line.is_empty() || is_join || line.starts_with('#') || is_menu || is_section)
}

/// Pieces that sources are made of, put together at random.
fn source() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[ -~]{1,8}",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&str] = &[
    " ",
    " ",
    " ",
    "\n",
    "\n",
    "\n",
    "\t",
    "\"",
    "'",
    "\\",
    "\\\n",
    "#",
    "=",
    ",",
    "/",
    "*",
    "-",
    "[",
    "]",
    "{",
    "}",
    "$",
    ";",
    "!",
    "--",
    "\\0",
    "\\377",
    "@/",
    "0",
    "1500",
    "99999999999999999999",
    "10.0.0.1",
    "10.0.0.0/24",
    "10.0.0.2-99",
    "10.0-9.0.1",
    "/ppp secret",
    "/ppp profile",
    "/ip pool",
    "/radius",
    "add ",
    "set ",
    "name=",
    "password=",
    "ranges=",
    "next-pool=",
    "profile=",
    "disabled=no",
    "[ find default=yes ]",
    "ann",
    "pptpd",
    "secret",
    "ms-dns ",
    "mtu ",
    "idle ",
    "require-mschap-v2",
    "refuse-pap",
    "name ",
    "pty \"pptp 10.0.0.1 --nolaunchpppd\"\n",
    "plugin pptp.so ",
    "pptp_server ",
    "user ",
    "password ",
    "ifname ",
    "require-mppe-128\n",
    "mppe required,no40",
    "defaultroute",
    "holdoff ",
    "localip ",
    "remoteip ",
    "connections ",
    "delegate\n",
    "[modules]\n",
    "[ppp]\n",
    "[pptp]\n",
    "[ip-pool]\n",
    "[radius]\n",
    "[shaper]\n",
    "[dns]\n",
    "server=",
    "rate-limit=",
    "dns1=",
    "gw-ip-address=",
    "mppe=require\n",
    "lcp-echo-interval=",
    "1024/512",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// No text ends the program; the model takes what is made of it, no line gets lost, and nobody
    /// gets in without a password.
    #[test]
    fn every_text_is_taken_over_or_left_out(text in source()) {
        for kind in KINDS {
            let Ok(imported) = import(kind, "", &text, "") else {
                continue;
            };
            let parsed = Config::parse(&imported.text());
            prop_assert!(parsed.is_ok(), "{kind}: {:?}\n{}", parsed, imported.text().as_str());
            // In an export a menu line may look like anything.
            let lost = lost_lines(&text, &imported);
            let is_whole = kind == Kind::RouterOs || lost.is_empty();
            prop_assert!(is_whole, "{kind}: {lost:?} of {text:?} got lost");
            let (config, _) = parsed.unwrap();
            for secret in &config.secrets {
                prop_assert!(secret.disabled || !secret.password.is_empty(), "{kind}");
            }
            if kind == Kind::PppdPeer {
                prop_assert!(config.clients.len() <= 1, "{text:?}");
                prop_assert!(config.clients.iter().all(|client| client.disabled), "{text:?}");
            }
        }
        let _ = detect("", &text);
    }
}

const KINDS: [Kind; 8] = [
    Kind::RouterOs,
    Kind::ChapSecrets,
    Kind::PapSecrets,
    Kind::AccelSecrets,
    Kind::PptpdConf,
    Kind::PppdOptions,
    Kind::PppdPeer,
    Kind::AccelPpp,
];

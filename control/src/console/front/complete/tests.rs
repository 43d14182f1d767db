use std::fmt::Write as _;

use super::*;
use crate::console::front::reading::Reading;

#[test]
fn tab_offers_what_may_follow() {
    for (line, expected) in [
        // Menus and commands, joined as the path is.
        (
            "",
            "datapath interface ip log ppp radius system export import quit",
        ),
        ("i", "interface ip import"),
        ("int", "interface"),
        (
            "/ppp ",
            "aaa accounting active profile secret export import quit",
        ),
        (
            "/ppp/",
            "aaa accounting active profile secret export import quit",
        ),
        ("/ppp/s", "secret"),
        ("/ppp/secret/../a", "aaa accounting active"),
        ("/nonsense/", ""),
        ("ppp active ", "export find get print remove import quit"),
        (".", ""),
        ("ppp .", ".."),
        // What a command takes, without what was given.
        ("/ip pool add ", "comment copy-from name next-pool ranges"),
        (
            "/ip pool add name=a ranges=10.0.0.1 ",
            "comment copy-from next-pool",
        ),
        ("/ppp/secret add c", "caller-id comment copy-from"),
        ("/ppp secret print det", "detail"),
        ("/ppp secret print w", "without-paging where"),
        ("/ppp secret print where na", "name"),
        ("/ppp secret set 0 !ro", "routes"),
        // Values: words of the property, of lists one by one, or names of items.
        ("/ppp secret add service=p", "pptp pppoe"),
        (
            "/int pptp-server server set auth=",
            "pap chap mschap1 mschap2",
        ),
        ("/int pptp-server server set auth=pap,ms", "mschap1 mschap2"),
        ("/ppp secret add profile=", "default staff two words"),
        ("/ppp secret add profile=\"two", "two words"),
        ("/ppp profile set 0 local-address=", "clients"),
        ("/ppp secret add password=", ""),
        ("/ppp secret add nonsense=", ""),
        // Items.
        ("/ppp profile set ", "default staff two words"),
        ("/ppp profile set default,s", "staff"),
        ("/ppp profile remove [find na", "name"),
        ("/ppp profile remove [find name=s", "staff"),
        ("/ppp profile print where !def", "default"),
        ("/ppp secret print where (name=a or dis", "disabled"),
        ("/ppp profile set numbers=st", "staff"),
        ("/ppp profile print proplist=name,only", "only-one"),
        ("/ip pool unset clients ", "comment name next-pool ranges"),
        ("/ip pool unset [find] n", "name next-pool"),
        ("/ppp active print where enc", "encoding"),
        ("/ppp profile set [find name=default] only", "only-one"),
        ("/ppp profile set [find name=default] only-one=y", "yes"),
        // Behind a statement, a line end or a comment.
        ("/ppp active; pr", "print"),
        ("/ppp secret\nad", "add"),
        ("/ppp secret \\\n ad", "add"),
        ("# in", ""),
    ] {
        let shown: Vec<_> = offered(line).into_iter().map(|one| one.shown).collect();
        assert_eq!(shown.join(" "), expected, "{line}");
    }
}

#[test]
fn tab_puts_in_what_is_left_and_what_comes_behind_it() {
    for (line, expected) in [
        ("int", "interface "),
        ("/int", "/interface/"),
        ("/ppp/sec", "/ppp/secret/"),
        ("/ppp/secret/pri", "/ppp/secret/print "),
        ("ppp .", "ppp .. "),
        ("/ppp secret add pro", "/ppp secret add profile="),
        ("/ppp secret print det", "/ppp secret print detail "),
        (
            "/ppp secret add disabled=y",
            "/ppp secret add disabled=yes ",
        ),
        (
            "/int pptp-server server set auth=pap,c",
            "/int pptp-server server set auth=pap,chap",
        ),
        (
            "/ppp secret add profile=t",
            "/ppp secret add profile=\"two words\" ",
        ),
        ("/ppp profile set \"st", "/ppp profile set \"staff\""),
    ] {
        let guide = Guide::new();
        let next = Reading::new(&guide, &[], line).next;
        let offered = candidates(&guide, &next, &names);
        let [one] = &offered[..] else {
            panic!("{line}: {offered:?}");
        };
        let completed = format!("{}{}", &line[..next.start], one.replacement);
        assert_eq!(completed, expected);
    }
}

#[test]
fn the_question_mark_tells_what_it_means() {
    for (line, expected) in [
        (
            "/ip/",
            "pool: addresses to give to clients\n\
             export: write the commands that make this configuration\n\
             import: take over a file of this or of another program\nquit: leave the console\n",
        ),
        (
            "/ip pool add ",
            "comment: free text (text)\n\
             copy-from: the item to begin with (an item of /ip pool)\n\
             name: what others refer to it by (required; text)\n\
             next-pool: where to look when it is exhausted \
             (none | an item of /ip pool; default none)\n\
             ranges: its addresses: a-b, a/len or single ones \
             (required; first-last,address/length,...)\n",
        ),
        (
            "/int pptp-server server set max-mtu=",
            "<128..1500>: the largest packet that is sent, in bytes (default 1460)\n",
        ),
        (
            "/int pptp-server server set a",
            "authentication: how clients may prove who they are; the strongest is asked for first \
             (pap,chap,mschap1,mschap2; default mschap1,mschap2)\n",
        ),
        ("/ppp secret add disabled=", "yes: \nno: \n"),
        (
            "/ppp profile set staff use-upnp",
            "use-upnp: show the interface to UPnP (default | no | yes; default default; has no effect)\n",
        ),
        ("/ppp secret unset ann comm", "comment: free text\n"),
        ("/interface pptp-client monitor out1 ", "once: only now\n"),
        (
            "/ip pool remove ",
            "clients: \n<numbers>: numbers of the last print, names, ids, or [find ...]\n",
        ),
        ("nonsense ", ""),
    ] {
        let guide = Guide::new();
        let next = Reading::new(&guide, &[], line).next;
        let mut told = String::new();
        for row in help(&guide, &next, &names) {
            let _ = writeln!(told, "{}: {}", row.shown, row.help);
        }
        assert_eq!(told, expected, "{line}");
    }
}

#[test]
fn a_value_is_quoted_when_it_has_to_be() {
    for (text, expected) in [
        ("staff", "staff"),
        ("10.0.0.1/8", "10.0.0.1/8"),
        ("", "\"\""),
        ("two words", "\"two words\""),
        ("DOM\\user", "\"DOM\\\\user\""),
        ("a\"$\n", "\"a\\\"\\$\\n\""),
        // One name, not two.
        ("a,b", "\"a,b\""),
    ] {
        assert_eq!(quoted(text, false), expected);
    }
    assert_eq!(quoted("staff", true), "\"staff\"");
}

/// Who named it is not who reads the list.
#[test]
fn a_name_does_nothing_to_the_terminal() {
    let guide = Guide::new();
    let next = Reading::new(&guide, &[], "/ip pool remove ").next;
    let names = |_: &[&str]| vec!["a\u{1b}[2Jb".to_owned()];
    let [one] = &candidates(&guide, &next, &names)[..] else {
        panic!("one name is one candidate");
    };
    assert_eq!(one.shown, "a?[2Jb");
    assert_eq!(one.replacement, "\"a\\1B[2Jb\"");
}

fn offered(line: &str) -> Vec<Candidate> {
    let guide = Guide::new();
    let next = Reading::new(&guide, &[], line).next;
    candidates(&guide, &next, &names)
}

fn names(menu: &[&str]) -> Vec<String> {
    let names: &[&str] = match menu {
        ["ppp", "profile"] => &["default", "staff", "two words"],
        ["ip", "pool"] => &["clients"],
        _ => &[],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

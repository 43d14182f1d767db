use proptest::prelude::*;

use super::*;

#[test]
fn every_word_has_its_class() {
    for (line, expected) in [
        (
            "/ppp/secret/print detail",
            "m:ppp m:secret c:print p:detail",
        ),
        ("ppp secret pr det", "m:ppp m:secret c:pr p:det"),
        (
            "ip pool add name=a ranges=10.0.0.1-10.0.0.9; print",
            "m:ip m:pool c:add p:name v:a p:ranges v:10.0.0.1-10.0.0.9 e:print",
        ),
        (
            "/ppp secret set [find name=\"a b\"] !comment disabled=yes",
            "m:ppp m:secret c:set c:find p:name v:\"a b\" p:comment p:disabled v:yes",
        ),
        (
            "/ppp/secret set 0,1 profile=default",
            "m:ppp m:secret c:set v:0,1 p:profile v:default",
        ),
        (
            "/ppp active print where caller-id~\"^10\" uptime>1h",
            "m:ppp m:active c:print p:where p:caller-id v:\"^10\" p:uptime v:1h",
        ),
        ("# all of it\n/export", "#:# all of it c:export"),
        ("/ppp/secret/../active", "m:ppp m:secret m:.. m:active"),
        ("ppp nonsense print", "m:ppp e:nonsense"),
        ("print/detail", "e:print"),
        (
            "/ppp secret add nix=5 ]",
            "m:ppp m:secret c:add e:nix v:5 e:]",
        ),
        ("/ppp secret \\\n  print", "m:ppp m:secret c:print"),
        ("/ppp secret\nprint\n..", "m:ppp m:secret c:print m:.."),
        ("", ""),
    ] {
        assert_eq!(classes(&[], line), expected, "{line}");
    }
    assert_eq!(classes(&["ppp", "secret"], "add l"), "c:add");
}

/// While it is being typed, only what cannot become right any more is wrong.
#[test]
fn an_unfinished_word_is_wrong_when_nothing_begins_with_it() {
    for (line, expected) in [
        ("i", ""),
        ("interface pptp-", "m:interface"),
        ("interface pptp- ", "m:interface e:pptp-"),
        ("interface ppx", "m:interface e:ppx"),
        ("/ppp/secret add l", "m:ppp m:secret c:add"),
        ("/ppp/secret add x", "m:ppp m:secret c:add e:x"),
        ("/ppp/secret print whe", "m:ppp m:secret c:print"),
    ] {
        assert_eq!(classes(&[], line), expected, "{line}");
    }
}

#[test]
fn a_path_alone_enters_a_menu() {
    let guide = Guide::new();
    for (line, expected) in [
        ("/ppp secret", "ppp secret"),
        ("..", "interface"),
        ("/", ""),
        ("/int pptp-s", "interface pptp-server"),
        ("/ppp/secret print", "interface pptp-client"),
        ("/ppp nonsense", "interface pptp-client"),
        ("../..; ip; pool", "ip pool"),
    ] {
        let reading = Reading::new(&guide, &["interface", "pptp-client"], line);
        assert_eq!(reading.menu.join(" "), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn no_line_panics_and_the_words_keep_their_order(
        line in r#"(/|ppp|secret|add|set|print|where|name=|"|\[find |\]|;|\\\n| |,|\.\.|#|é|\PC){0,30}"#,
    ) {
        let guide = Guide::new();
        let reading = Reading::new(&guide, &["ip"], &line);
        let mut end = 0;
        for span in &reading.spans {
            prop_assert!(span.range.start >= end && !span.range.is_empty());
            prop_assert!(line.get(span.range.clone()).is_some());
            end = span.range.end;
        }
        prop_assert!(line.get(reading.next.start..).is_some());
    }
}

fn classes(home: &[&'static str], line: &str) -> String {
    let guide = Guide::new();
    let spans = Reading::new(&guide, home, line).spans;
    let one = |span: Span| {
        let letter = match span.class {
            Class::Menu => 'm',
            Class::Command => 'c',
            Class::Property => 'p',
            Class::Value => 'v',
            Class::Comment => '#',
            Class::Error => 'e',
        };
        format!("{letter}:{}", &line[span.range])
    };
    spans.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

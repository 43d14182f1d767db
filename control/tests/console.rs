//! The console before a person: a terminal, keys, and what is then to be seen.
//!
//! The console runs in a process of its own, which is this test started once more, and asks a
//! control process that follows a script.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use greyhound_control::console::front;

use self::script::{CONSOLE, Script, console};
use self::terminal::Terminal;

#[path = "console/script.rs"]
mod script;
#[path = "console/terminal.rs"]
mod terminal;

/// Not a test but what the tests start: without the variable it has nothing to do.
#[test]
fn the_console_that_is_tested() {
    if std::env::var_os(CONSOLE).is_some() {
        script::wait_for_size();
        let status = front::run(&mut Script::default()).unwrap();
        std::process::exit(i32::from(status == front::Status::Refused));
    }
}

#[test]
fn the_prompt_tells_where_one_is() {
    let mut terminal = Terminal::new(&[]);
    terminal.shows("[admin@Lab] > ");
    terminal.types("/ppp secret\r");
    terminal.shows("[admin@Lab] > /ppp secret\n[admin@Lab] /ppp/secret> ");
    terminal.types("print x\r");
    terminal.shows("ran `print x` in /ppp/secret\n[admin@Lab] /ppp/secret> ");
    terminal.types("..\r");
    terminal.shows("..\n[admin@Lab] /ppp> ");
    terminal.types("/\r");
    terminal.shows("/\n[admin@Lab] > ");
    terminal.types("/system identity set name=Attic\r");
    terminal.shows("name=Attic\n[admin@Attic] > ");
    terminal.types("bad\r");
    terminal.shows("bad command name bad (line 1 column 1)\n[admin@Attic] > ");
    terminal.types("gone\r");
    terminal.shows("nobody answers\n[admin@Attic] > ");
}

#[test]
fn tab_completes_and_a_second_one_lists() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("/pp\tsec\tad\tprof\t");
    terminal.shows("[admin@Lab] > /ppp/secret/add profile=");
    terminal.types("st\t");
    terminal.shows("add profile=staff ");
    terminal.types("service=p\t\t");
    terminal
        .shows("service=pp\npppoe  pptp\n[admin@Lab] > /ppp/secret/add profile=staff service=pp");
    terminal.types("t\tdis\tn\t\r");
    terminal.shows("service=pptp disabled=no` in /\n[admin@Lab] >");
}

#[test]
fn the_question_mark_and_f1_help_at_once() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("/ppp secret add ser?");
    let help = "what it may log in to (any | async | l2tp | ovpn | pppoe | pptp | sstp;\n         default any)\n";
    terminal.shows(&format!(
        "add ser\nservice  {help}[admin@Lab] > /ppp secret add ser"
    ));
    // The cursor stays where it was.
    terminal.types("\x1b[D\x1b[D\x1bOP");
    terminal.types("X");
    terminal.shows("[admin@Lab] > /ppp secret add sXer");
    terminal.types("\x03add comment=\"why?\r\"\r");
    terminal.shows("ran `add comment=\"why?\\n\"` in /\n[admin@Lab] > ");
}

#[test]
fn control_c_abandons_the_line_and_control_d_leaves() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("/ppp secret remove 0\x03");
    terminal.shows("remove 0\n[admin@Lab] > ");
    terminal.types("set [find\r\x03");
    terminal.shows("[... \n[admin@Lab] > ");
    terminal.types("\x04");
    assert_eq!(terminal.status(), 0);
    assert!(!terminal.text().contains("ran"));

    let mut terminal = Terminal::new(&[]);
    terminal.types("quit\r");
    assert_eq!(terminal.status(), 0);
}

#[test]
fn a_statement_may_take_several_lines() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("set [find\r");
    terminal.shows("> set [find\n[... ");
    terminal.types("name=a] \\\r");
    terminal.shows("\n\\... ");
    terminal.types("comment=\"a\r");
    terminal.shows("\n\"... ");
    terminal.types("b\"\r");
    terminal.shows("ran `set [find \\|name=a] \\|comment=\"a\\nb\"` in /\n[admin@Lab] > ");
    // As much as that comes back as one.
    terminal.types("\x1b[A\r");
    terminal
        .shows("b\"` in /\n[admin@Lab] > set [find \\\nname=a] \\\ncomment=\"a\\nb\"\nran `set");
}

#[test]
fn a_monitor_is_drawn_again_in_its_place_until_a_key_ends_it() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("monitor 0\r");
    terminal.shows("> monitor 0\n  status: connected\n  looked: 3\n-- [Q quit|D dump]");
    terminal.types("q");
    terminal.shows("[admin@Lab] > ");
    let text = terminal.text();
    assert_eq!(text.matches("looked").count(), 1, "{text}");
    assert!(!text.contains("-- ["), "{text}");

    terminal.types("monitor 0\r");
    terminal.shows("looked: 5\n-- [Q quit|D dump]");
    terminal.types("d");
    terminal.shows("looked: 9\n-- [Q quit|D dump]");
    terminal.types("\x03");
    terminal.shows("\n[admin@Lab] > ");
    let text = terminal.text();
    assert_eq!(text.matches("looked").count(), 3, "{text}");
}

#[test]
fn a_long_print_stops_when_the_screen_is_full() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("/ppp secret print\r");
    terminal.shows("row 23\n-- [Q quit|D dump|down]");
    terminal.types("\r");
    terminal.shows("row 24\n-- [Q quit|D dump|down]");
    terminal.types(" ");
    terminal.shows("row 47\n-- [Q quit|D dump|down]");
    terminal.types("q");
    terminal.shows("row 47\n[admin@Lab] > ");
    terminal.types("/ppp secret print without-paging\r");
    terminal.shows("row 60\n[admin@Lab] > ");
    terminal.types("/ppp secret print\r");
    terminal.shows("row 23\n-- [Q quit|D dump|down]");
    terminal.types("d");
    terminal.shows("row 60\n[admin@Lab] > ");
}

#[test]
fn what_was_typed_is_remembered_without_passwords() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("print first\rset 0 password=\"not this\"\rprint last\r\x04");
    assert_eq!(terminal.status(), 0);
    let file = terminal.home().join(".local/state/greyhound/history");
    let history = std::fs::read_to_string(&file).unwrap();
    assert!(history.contains("print first\nprint last\n"), "{history}");
    assert!(!history.contains("not this"), "{history}");

    let mut terminal = terminal.again(&[]);
    terminal.types("\x1b[A\x1b[A\r");
    terminal.shows("ran `print first` in /\n[admin@Lab] > ");
    terminal.types("\x04");
    terminal.status();
}

#[test]
fn there_are_colours_unless_nobody_wants_them() {
    let mut terminal = Terminal::new(&[]);
    terminal.types("/ppp secret nonsense\r");
    terminal.shows("ran `/ppp secret nonsense` in /\n[admin@Lab] > ");
    assert_eq!(terminal.colour_of("/ppp", 1), vt100::Color::Idx(6));
    assert_eq!(terminal.colour_of("nonsense", 0), vt100::Color::Idx(1));

    let mut terminal = Terminal::new(&[("NO_COLOR", "1")]);
    terminal.types("/ppp secret nonsense\rbad\r");
    terminal.shows("(line 1 column 1)\n[admin@Lab] > ");
    assert!(terminal.is_uncoloured());
}

#[test]
fn a_pipe_has_no_prompt_and_ends_with_the_first_error() {
    let (status, out, errors) = piped("/ppp secret\nprint x\nquit\nprint y\n");
    assert_eq!(status, 0);
    assert!(out.ends_with("ran `print x` in /ppp/secret\n"), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
    assert_eq!(errors, "");

    let (status, out, errors) = piped("print x\nbad\nprint y\n");
    assert_eq!(status, 1);
    assert!(out.ends_with("ran `print x` in /\n"), "{out}");
    assert_eq!(errors, "bad command name bad (line 1 column 1)\n");
}

fn piped(input: &str) -> (i32, String, String) {
    let mut child = console(Path::new("/nonexistent"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

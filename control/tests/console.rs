//! The console before a person: a terminal, keys, and what is then to be seen. It is the program
//! itself, which asks a control process.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "what holds for tests holds for their helpers"
)]

use std::io::Write;
use std::process::Stdio;

use self::server::Server;
use self::terminal::Terminal;

#[path = "console/server.rs"]
mod server;
#[path = "console/terminal.rs"]
mod terminal;

#[test]
fn the_prompt_tells_where_one_is() {
    let mut server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret\r");
    terminal.shows("[admin@Lab] > /ppp secret\n[admin@Lab] /ppp/secret> ");
    terminal.types("print count-only\r");
    terminal.shows("print count-only\n1\n[admin@Lab] /ppp/secret> ");
    terminal.types("..\r");
    terminal.shows("..\n[admin@Lab] /ppp> ");
    terminal.types("/\r");
    terminal.shows("/\n[admin@Lab] > ");
    terminal.types("/system identity set name=Attic\r");
    terminal.shows("name=Attic\n[admin@Attic] > ");
    terminal.types("bad\r");
    terminal.shows("bad\nbad command name bad (line 1 column 1)\n[admin@Attic] > ");
    server.stop();
    terminal.types("print\r");
    terminal.shows("start it with `greyhound up`\n[admin@] > ");
}

#[test]
fn what_was_printed_last_is_meant_by_its_number() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ip pool\radd name=office ranges=10.0.2.1\r");
    terminal.shows("ranges=10.0.2.1\n[admin@Lab] /ip/pool> ");
    terminal.types("print where name=office\r");
    terminal.shows("0  office  10.0.2.1  none       1      0     1\n[admin@Lab] /ip/pool> ");
    // Another menu has numbers of its own, and Tab asks without a word about it.
    terminal.types("/ppp profile print count-only\r");
    terminal.shows("\n[admin@Lab] /ip/pool> ");
    terminal.types("set 0 next-pool=gu\t");
    terminal.shows("set 0 next-pool=guests ");
    terminal.types("\r");
    terminal.shows("next-pool=guests\n[admin@Lab] /ip/pool> ");
    terminal.types("get office next-pool\r");
    terminal.shows("get office next-pool\nguests\n[admin@Lab] /ip/pool> ");
}

#[test]
fn tab_completes_and_a_second_one_lists() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/pp\tsec\tad\tprof\t");
    terminal.shows("[admin@Lab] > /ppp/secret/add profile=");
    terminal.types("st\t");
    terminal.shows("add profile=staff ");
    terminal.types("service=p\t\t");
    terminal
        .shows("service=pp\npptp   pppoe\n[admin@Lab] > /ppp/secret/add profile=staff service=pp");
    terminal.types("t\tname=b disabled=n\t\r");
    terminal.shows("service=pptp name=b disabled=no\n[admin@Lab] > ");
    terminal.types("/ppp secret remove b\t\r/ppp secret print count-only\r");
    terminal.shows("print count-only\n1\n[admin@Lab] > ");
}

#[test]
fn the_question_mark_and_f1_help_at_once() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret add ser?");
    terminal.shows(
        "add ser\n\
         service  the protocol that the user may come by (any | pptp | async | isdn |\n\
         \x20        l2tp | ovpn | pppoe | sstp; default any)\n\
         [admin@Lab] > /ppp secret add ser",
    );
    // The cursor stays where it was, and what is typed in the meantime is not lost.
    terminal.types("\x1b[D\x1b[D\x1bOPX");
    terminal.shows("[admin@Lab] > /ppp secret add sXer");
    terminal.types("\x03");
    terminal.shows("sXer\n[admin@Lab] > ");
    terminal.types("/ppp secret comment ann \"why?\"\r/ppp secret get ann comment\r");
    terminal.shows("get ann comment\nwhy?\n[admin@Lab] > ");
}

#[test]
fn control_c_abandons_the_line_and_control_d_leaves() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret remove 0\x03");
    terminal.shows("remove 0\n[admin@Lab] > ");
    terminal.types("/ppp secret remove [find\r\x03");
    terminal.shows("[... \n[admin@Lab] > ");
    terminal.types("/ppp secret print count-only\r");
    terminal.shows("\n1\n[admin@Lab] > ");
    terminal.types("\x04");
    assert_eq!(terminal.status(), 0);

    let mut terminal = Terminal::new(&server);
    terminal.types("quit\r");
    assert_eq!(terminal.status(), 0);
}

#[test]
fn a_statement_may_take_several_lines() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret set [find\r");
    terminal.shows("> /ppp secret set [find\n[... ");
    terminal.types("name=ann] \\\r");
    terminal.shows("\n\\... ");
    terminal.types("comment=\"a\r");
    terminal.shows("\n\"... ");
    terminal.types("b\"\r");
    terminal.shows("\n\"... b\"\n[admin@Lab] > ");
    terminal.types("/ppp secret get ann comment\r");
    terminal.shows("get ann comment\na\nb\n[admin@Lab] > ");
    // As much as that comes back as one.
    terminal.types("\x1b[A\x1b[A");
    terminal.shows("> /ppp secret set [find \\\nname=ann] \\\ncomment=\"a\\nb\"");
}

#[test]
fn what_is_pasted_is_carried_out_as_one() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    let paste = |text: &str| format!("\x1b[200~{text}\x1b[201~\r");
    terminal.types(&paste(
        "/ip pool\nadd name=a ranges=10.0.3.1\nadd name=b ranges=nonsense",
    ));
    terminal.shows("(line 3 column 19)\n[admin@Lab] > ");
    terminal.types("/ip pool print count-only\r");
    terminal.shows("count-only\n2\n[admin@Lab] > ");
    terminal.types(&paste("/ip pool\r\nadd name=a \\\r\n  ranges=10.0.3.1\r\n"));
    terminal.shows("\n[admin@Lab] /ip/pool> ");
    terminal.types("print count-only\r");
    terminal.shows("print count-only\n3\n[admin@Lab] /ip/pool> ");
}

#[test]
fn a_monitor_is_drawn_again_in_its_place_until_a_key_ends_it() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/interface pptp-client monitor out1\r");
    terminal.shows("monitor out1\n   status: disabled\n-- [Q quit|D dump]");
    let enabled = server.asked(&["interface", "pptp-client", "enable", "out1"]);
    assert!(enabled.status.success());
    terminal.shows_no_more("status: disabled");
    terminal.types("q");
    terminal.shows("[admin@Lab] > ");
    let text = terminal.text();
    assert_eq!(text.matches("status:").count(), 1, "{text}");
    assert!(!text.contains("-- ["), "{text}");

    terminal.types("/interface pptp-client disable out1\r");
    terminal.types("/interface pptp-client monitor out1\r");
    terminal.shows("   status: disabled\n-- [Q quit|D dump]");
    terminal.types("d");
    terminal.shows("   status: disabled\n   status: disabled\n-- [Q quit|D dump]");
    terminal.types("\x03");
    terminal.shows("\n[admin@Lab] > ");
    terminal.types("/interface pptp-client monitor out1 once\r");
    terminal.shows("monitor out1 once\n   status: disabled\n[admin@Lab] > ");
}

#[test]
fn a_long_print_stops_when_the_screen_is_full() {
    let users: String = (1..=40)
        .map(|user| format!("/ppp secret add name=user{user} password=p\n"))
        .collect();
    let server = Server::with(&users);
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret print proplist=name\r");
    terminal.shows("user20\n-- [Q quit|D dump|down]");
    terminal.types("\r");
    terminal.shows("user21\n-- [Q quit|D dump|down]");
    terminal.types("q");
    terminal.shows("user21\n[admin@Lab] > ");
    terminal.types("/ppp secret print proplist=name without-paging\r");
    terminal.shows("user40\n[admin@Lab] > ");
    terminal.types("/ppp secret print proplist=name\r");
    terminal.shows("user20\n-- [Q quit|D dump|down]");
    terminal.types("d");
    terminal.shows("user40\n[admin@Lab] > ");
}

#[test]
fn what_was_typed_is_remembered_without_passwords() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret print count-only\r");
    terminal.types("/ppp secret set 0 password=\"not this\"\r");
    terminal.types("/ip pool print count-only\r\x04");
    assert_eq!(terminal.status(), 0);
    let file = server.home().join(".local/state/greyhound/history");
    let history = std::fs::read_to_string(&file).unwrap();
    assert!(
        history.contains("/ppp secret print count-only\n/ip pool print count-only\n"),
        "{history}"
    );
    assert!(!history.contains("not this"), "{history}");

    let mut terminal = Terminal::new(&server);
    terminal.types("\x1b[A\x1b[A\r");
    terminal.shows("> /ppp secret print count-only\n1\n[admin@Lab] > ");
}

#[test]
fn there_are_colours_unless_nobody_wants_them() {
    let server = Server::start();
    let mut terminal = Terminal::new(&server);
    terminal.types("/ppp secret nonsense\r");
    terminal.shows("bad command name nonsense (line 1 column 13)\n[admin@Lab] > ");
    assert_eq!(terminal.colour_of("/ppp", 1), vt100::Color::Idx(6));
    assert_eq!(terminal.colour_of("nonsense", 0), vt100::Color::Idx(1));

    let mut terminal = Terminal::with(&server, &[("NO_COLOR", "1")]);
    terminal.types("/ppp secret nonsense\r");
    terminal.shows("(line 1 column 13)\n[admin@Lab] > ");
    assert!(terminal.is_uncoloured());
}

#[test]
fn nobody_sits_down_where_nothing_runs() {
    let mut server = Server::start();
    server.stop();
    let mut terminal = Terminal::of(server.greyhound());
    terminal.shows("start it with `greyhound up`");
    assert_eq!(terminal.status(), 1);
}

#[test]
fn a_pipe_has_no_prompt_and_ends_with_the_first_error() {
    let server = Server::start();
    let input = "/ppp secret\nprint count-only\n\n# more\nset 0 \\\n  comment=x\nquit\nprint\n";
    assert_eq!(
        piped(&server, &[], input),
        (0, "1\n".to_owned(), String::new())
    );

    let (status, out, errors) = piped(&server, &[], "/ppp secret get ann comment\nbad\n/quit\n");
    assert_eq!((status, &*out), (1, "x\n"));
    assert_eq!(errors, "bad command name bad (line 1 column 1)\n");

    let (status, out, errors) = piped(&server, &["--json"], "/system identity get name\nbad\n");
    assert_eq!((status, &*errors), (1, ""));
    assert!(out.starts_with("\"Lab\"\n{\n  \"error\":"), "{out}");
}

fn piped(server: &Server, options: &[&str], input: &str) -> (i32, String, String) {
    let mut child = server
        .greyhound()
        .args(options)
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

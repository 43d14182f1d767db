//! Commands from a pipe or a file: no prompt, and nothing is carried out behind an error.

use std::io::{self, BufRead, Write};
use std::thread;

use super::guide::Guide;
use super::own::{self, Own};
use super::session::{Session, is_empty};
use super::statement::Statement;
use super::{Exchange, told};
use crate::console::wire::REPEAT_INTERVAL;

/// Has the commands of `input` carried out up to the first one that is refused. What they answer
/// is written to `out`, why one was refused to `errors`, or if `json` is set to `out` as well.
/// Returns the exit status.
pub(super) fn run(
    exchange: &mut Exchange<'_>,
    json: bool,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    match commands(exchange, json, input, out, errors) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        ended => ended,
    }
}

fn commands(
    exchange: &mut Exchange<'_>,
    json: bool,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let guide = Guide::new();
    let mut session = Session::new(json);
    while let Some(text) = statement(input)? {
        let (text, own) = own::split(&guide, session.home(&guide), &text);
        if !is_empty(text) {
            let status = carry_out(exchange, &mut session, text, out, errors)?;
            if status != 0 {
                return Ok(status);
            }
        }
        match own {
            Some(Own::Quit) => break,
            None => {}
        }
    }
    Ok(0)
}

/// The next statement, or line of them; `None` at the end.
fn statement(input: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut statement = Statement::default();
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let end = line.trim_end_matches('\n').trim_end_matches('\r').len();
        if statement.push(&line[..end]) {
            return Ok(Some(statement.text().to_owned()));
        }
        line.clear();
    }
    // What has no end is refused by the control process, which says where it begins.
    Ok((!is_empty(statement.text())).then(|| statement.text().to_owned()))
}

/// Has `text` carried out, again and again if that is what it is for. Returns its status.
fn carry_out(
    exchange: &mut Exchange<'_>,
    session: &mut Session,
    text: &str,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let request = session.request(text, u16::MAX);
    loop {
        let reply = match exchange(&request) {
            Ok(reply) => reply,
            Err(error) => {
                writeln!(errors, "greyhound: {}", told(error))?;
                return Ok(1);
            }
        };
        session.note(&reply);
        let to: &mut dyn Write = if reply.status == 0 || request.json {
            out
        } else {
            errors
        };
        to.write_all(reply.text.as_bytes())?;
        to.flush()?;
        if reply.status != 0 || !reply.repeats {
            return Ok(reply.status);
        }
        thread::sleep(REPEAT_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::wire::{Error, Numbers, Reply, Request};

    /// Answers a line with itself, `bad` with a refusal, and `gone` not at all.
    fn echo(seen: &mut Vec<Request>, request: &Request) -> Result<Reply, Error> {
        seen.push(request.clone());
        let (text, status) = match request.line.as_str() {
            "gone" => return Err(Error::NotRunning("/run/nobody".into())),
            "bad" => ("bad command name bad (line 1 column 1)", 1),
            line => (line, 0),
        };
        let looks = seen.iter().filter(|one| one.line == request.line).count();
        Ok(Reply {
            text: format!("{text}\n"),
            status,
            menu: vec!["ppp".to_owned()],
            numbers: Numbers::from([("ppp secret".to_owned(), vec![7])]),
            repeats: request.line.starts_with("monitor") && looks < 2,
        })
    }

    #[test]
    fn commands_are_carried_out_one_after_the_other() {
        let input = "print\r\n\n# nothing\nadd \\\n name=a\nquit\nprint\n";
        let (seen, status, out, errors) = run_on(input);
        assert_eq!((status, &*errors), (0, ""));
        assert_eq!(out, "print\nadd \\\n name=a\n");
        let [first, second] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert!(first.menu.is_empty() && first.numbers.is_empty());
        assert_eq!(second.menu, ["ppp"]);
        assert_eq!(second.numbers["ppp secret"], [7]);
        assert_eq!(second.width, u16::MAX);
    }

    #[test]
    fn the_first_error_ends_it() {
        let (_, status, out, errors) = run_on("print\nbad\nprint\n");
        assert_eq!((status, &*out), (1, "print\n"));
        assert_eq!(errors, "bad command name bad (line 1 column 1)\n");

        let (_, status, _, errors) = run_on("gone");
        assert_eq!(status, 1);
        assert!(
            errors.starts_with("greyhound: no greyhound runs with"),
            "{errors}"
        );
    }

    #[test]
    fn what_has_no_end_is_asked_all_the_same() {
        assert_eq!(run_on("set [find").2, "set [find \\\n\n");
    }

    #[test]
    fn a_monitor_is_asked_until_it_ends_from_where_it_began() {
        let (seen, status, out, _) = run_on("monitor 0");
        assert_eq!((status, &*out), (0, "monitor 0\nmonitor 0\n"));
        assert_eq!(seen[0], seen[1]);
    }

    #[test]
    fn nobody_has_to_read_to_the_end() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut seen = Vec::new();
        let ended = run(
            &mut |request| echo(&mut seen, request),
            false,
            &mut "print".as_bytes(),
            &mut Closed,
            &mut Vec::new(),
        );
        assert_eq!(ended.unwrap(), 0);
    }

    fn run_on(input: &str) -> (Vec<Request>, u8, String, String) {
        let (mut seen, mut out, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let mut exchange = |request: &Request| echo(&mut seen, request);
        let mut input = input.as_bytes();
        let status = run(&mut exchange, false, &mut input, &mut out, &mut errors).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (seen, status, text(out), text(errors))
    }
}

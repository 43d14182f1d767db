//! Commands from a pipe or a file: no prompt, and nothing is carried out behind an error.

use std::io::{self, BufRead, Write};
use std::thread;

use super::guide::Guide;
use super::session::{Session, is_empty, without_quit};
use super::statement::Statement;
use super::{Exchange, Status};

/// Has the commands of `input` carried out up to the first one that is refused. What they answer
/// is written to `out`, why one was refused to `errors`.
pub(super) fn run(
    exchange: &mut dyn Exchange,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<Status> {
    match commands(exchange, input, out, errors) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Status::Done),
        ended => ended,
    }
}

fn commands(
    exchange: &mut dyn Exchange,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<Status> {
    let guide = Guide::new();
    let mut session = Session::default();
    while let Some(text) = statement(input)? {
        let (text, leaves) = without_quit(&guide, &session.home(&guide), &text);
        if !is_empty(text) && !carried_out(exchange, &mut session, text, out, errors)? {
            return Ok(Status::Refused);
        }
        if leaves {
            break;
        }
    }
    Ok(Status::Done)
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

/// Whether `text` could be carried out.
fn carried_out(
    exchange: &mut dyn Exchange,
    session: &mut Session,
    text: &str,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<bool> {
    loop {
        let reply = match session.ask(exchange, text, u16::MAX) {
            Ok(reply) => reply,
            Err(error) => {
                writeln!(errors, "{error}")?;
                return Ok(false);
            }
        };
        let to: &mut dyn Write = match reply.status {
            Status::Done => out,
            Status::Refused => errors,
        };
        to.write_all(reply.text.as_bytes())?;
        if !reply.text.is_empty() && !reply.text.ends_with('\n') {
            to.write_all(b"\n")?;
        }
        to.flush()?;
        match (reply.status, reply.again) {
            (Status::Refused, _) => return Ok(false),
            (Status::Done, None) => return Ok(true),
            (Status::Done, Some(pause)) => thread::sleep(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Reply, Request};
    use super::*;

    /// Answers each line with itself, `bad` with a refusal, and what `seen` has once more.
    #[derive(Default)]
    struct Echo {
        seen: Vec<Request>,
    }

    impl Exchange for Echo {
        fn run(&mut self, request: &Request) -> io::Result<Reply> {
            self.seen.push(request.clone());
            let rounds = self
                .seen
                .iter()
                .filter(|seen| seen.line == "monitor 0")
                .count();
            let (text, status) = match &*request.line {
                "bad" => ("bad command name bad (line 1 column 1)", Status::Refused),
                "gone" => return Err(io::Error::other("nobody answers")),
                line => (line, Status::Done),
            };
            Ok(Reply {
                text: text.to_owned(),
                status,
                menu: Some(vec!["ppp".to_owned()]),
                numbers: vec![7],
                again: (rounds == 1).then_some(Duration::from_millis(1)),
            })
        }

        fn names(&mut self, _: &[&str]) -> Vec<String> {
            Vec::new()
        }

        fn identity(&mut self) -> String {
            String::new()
        }
    }

    #[test]
    fn commands_are_carried_out_one_after_the_other() {
        let mut echo = Echo::default();
        let input = "print\r\n\n# nothing\nadd \\\n name=a\nquit\nprint\n";
        assert_eq!(
            run_on(&mut echo, input),
            (
                Status::Done,
                "print\nadd \\\n name=a\n".to_owned(),
                String::new()
            )
        );
        let [first, second] = &echo.seen[..] else {
            panic!("{:?}", echo.seen);
        };
        assert!(first.menu.is_empty() && first.numbers.is_empty());
        assert_eq!(
            (&*second.menu, &*second.numbers),
            (&["ppp".to_owned()][..], &[7][..])
        );
        assert_eq!(second.width, u16::MAX);
    }

    #[test]
    fn the_first_error_ends_it() {
        let (status, out, errors) = run_on(&mut Echo::default(), "print\nbad\nprint\n");
        assert_eq!((status, &*out), (Status::Refused, "print\n"));
        assert_eq!(errors, "bad command name bad (line 1 column 1)\n");

        let (status, _, errors) = run_on(&mut Echo::default(), "gone");
        assert_eq!((status, &*errors), (Status::Refused, "nobody answers\n"));
    }

    #[test]
    fn what_has_no_end_is_asked_all_the_same() {
        let (_, out, _) = run_on(&mut Echo::default(), "set [find");
        assert_eq!(out, "set [find \\\n");
    }

    #[test]
    fn a_monitor_is_asked_until_it_ends() {
        let (status, out, _) = run_on(&mut Echo::default(), "monitor 0");
        assert_eq!((status, &*out), (Status::Done, "monitor 0\nmonitor 0\n"));
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
        let mut errors = Vec::new();
        let ended = run(
            &mut Echo::default(),
            &mut "print".as_bytes(),
            &mut Closed,
            &mut errors,
        );
        assert_eq!(ended.unwrap(), Status::Done);
    }

    fn run_on(echo: &mut Echo, input: &str) -> (Status, String, String) {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let status = run(echo, &mut input.as_bytes(), &mut out, &mut errors).unwrap();
        (
            status,
            String::from_utf8(out).unwrap(),
            String::from_utf8(errors).unwrap(),
        )
    }
}

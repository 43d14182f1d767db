//! The console on a terminal: the prompt, the line editor, and what comes of a line.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use rustyline::config::{BellStyle, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Editor, Event, EventHandler, KeyCode, KeyEvent, Modifiers};

use super::assistant::{Assistant, HelpKey, Typing};
use super::colour::Colours;
use super::complete::Candidate;
use super::keys::Keys;
use super::monitor::{self, Size, View};
use super::own::{self, Own};
use super::pager;
use super::reading::{Class, Reading};
use super::session::{self, Session, is_empty, lines_of};
use super::statement::{Open, Statement};
use super::{Exchange, Reply, Request, history, told};
use crate::console::wire::{self, REPEAT_INTERVAL};

/// Runs the console on the terminal that standard input and output are. Returns the exit status.
pub(super) fn run(exchange: &mut Exchange<'_>, json: bool) -> anyhow::Result<u8> {
    // Nobody sits down where nothing runs.
    exchange(&Session::new(true).request("", u16::MAX))?;
    converse(exchange, json).context("the terminal")?;
    Ok(0)
}

fn converse(exchange: &mut Exchange<'_>, json: bool) -> io::Result<()> {
    // Also what is typed between two lines is for the editor, Ctrl-C included.
    let _keys = Keys::of(io::stdin())?;
    let assistant = Assistant::new(exchange, Colours::for_output(&io::stdout()));
    let mut console = Console::new(&assistant, Session::new(json))?;
    while let Some(text) = console.read()? {
        if console.carry_out(&text)? {
            break;
        }
    }
    Ok(())
}

struct Console<'a, 'e> {
    assistant: &'a Assistant<'e>,
    editor: Editor<&'a Assistant<'e>, DefaultHistory>,
    session: Session,
    history: Option<PathBuf>,
}

impl<'a, 'e> Console<'a, 'e> {
    fn new(assistant: &'a Assistant<'e>, session: Session) -> io::Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .completion_prompt_limit(200)
            .bell_style(BellStyle::None)
            .max_history_size(history::MAX_LINES)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(io_error)?
            .build();
        let mut editor = Editor::with_config(config).map_err(io_error)?;
        editor.set_helper(Some(assistant));
        for (key, is_character) in [(KeyCode::Char('?'), true), (KeyCode::F(1), false)] {
            let handler = HelpKey {
                typing: Arc::clone(&assistant.typing),
                is_character,
            };
            let key = Event::from(KeyEvent(key, Modifiers::NONE));
            editor.bind_sequence(key, EventHandler::Conditional(Box::new(handler)));
        }
        // Who has no place to keep it does without.
        let history = history::file(|name| std::env::var_os(name)).unwrap_or_default();
        if let Some(file) = &history {
            let _ = editor.load_history(file);
        }
        Ok(Self {
            assistant,
            editor,
            session,
            history,
        })
    }

    /// What the user types, up to the line that ends it; `None` if the user leaves.
    fn read(&mut self) -> io::Result<Option<String>> {
        let home = self.session.home(&self.assistant.guide);
        self.assistant.home.set(home);
        let mut statement = Statement::default();
        let mut prompt = self.prompt();
        let mut edited = (String::new(), String::new());
        loop {
            let before = statement.text().to_owned();
            Typing::with(&self.assistant.typing, |typing| typing.before = before);
            let (left, right) = std::mem::take(&mut edited);
            let line = self.editor.readline_with_initial(&prompt, (&left, &right));
            let asked = Typing::with(&self.assistant.typing, |typing| typing.asked.take());
            match line {
                Ok(line) if let Some(at) = asked => {
                    let (left, right) = line.split_at(at);
                    self.help(left)?;
                    edited = (left.to_owned(), right.to_owned());
                }
                Ok(line) if statement.push(&line) => {
                    self.remember(statement.text());
                    return Ok(Some(statement.text().to_owned()));
                }
                Ok(_) => {
                    let open = statement.open().map(Open::prompt).unwrap_or_default();
                    prompt = (open.clone(), open);
                }
                Err(ReadlineError::Interrupted) => {
                    statement = Statement::default();
                    prompt = self.prompt();
                }
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(io_error(error)),
            }
        }
    }

    /// Carries out what was typed; answers whether the user leaves.
    fn carry_out(&mut self, text: &str) -> io::Result<bool> {
        let guide = &self.assistant.guide;
        let home = self.session.home(guide);
        let (text, own) = own::split(guide, home, text);
        if !is_empty(text) && !self.ask(text)? {
            return Ok(false);
        }
        Ok(match own {
            Some(Own::Quit) => true,
            None => false,
        })
    }

    /// Has `text` carried out and shows what is answered; answers whether it was done.
    fn ask(&mut self, text: &str) -> io::Result<bool> {
        let guide = &self.assistant.guide;
        let home = self.session.home(guide);
        let invocation = Reading::new(guide, home, text).invocation;
        let is_paged = invocation.is_some_and(|invocation| {
            let mut given = invocation.given.iter();
            invocation.command.name == "print" && !given.any(|one| one.name == "without-paging")
        });
        let request = self.session.request(text, size().width);
        let reply = self.answer(&request);
        self.session.note(&reply);
        if reply.repeats {
            self.watch(&request, &reply)?;
        } else {
            self.show(&reply, is_paged)?;
        }
        Ok(reply.status == 0)
    }

    /// Asks the control process. If it does not answer, that is what the answer says.
    fn answer(&self, request: &Request) -> Reply {
        let mut exchange = self.assistant.exchange.borrow_mut();
        exchange(request).unwrap_or_else(|error| Reply {
            text: told(error),
            status: 1,
            menu: request.menu.clone(),
            numbers: wire::Numbers::new(),
            repeats: false,
        })
    }

    fn show(&self, reply: &Reply, is_paged: bool) -> io::Result<()> {
        let text = lines_of(&reply.text);
        let mut out = io::stdout().lock();
        if is_paged && pager::is_long(&text, size()) {
            return pager::show(&Keys::of(io::stdin())?, &mut out, size(), &text);
        }
        write!(out, "{}", self.coloured(reply.status, &text))?;
        out.flush()
    }

    /// Shows what `request` answers, now `reply`, until it ends or the user has seen enough.
    fn watch(&self, request: &Request, reply: &Reply) -> io::Result<()> {
        let view = |reply: &Reply| View {
            text: lines_of(&reply.text).into_owned(),
            again: reply.repeats.then_some(REPEAT_INTERVAL),
        };
        let keys = Keys::of(io::stdin())?;
        let mut next = || view(&self.answer(request));
        monitor::watch(
            &keys,
            &mut io::stdout().lock(),
            &size,
            view(reply),
            &mut next,
        )
    }

    /// What may stand at the end of `line`, with its meaning.
    fn help(&self, line: &str) -> io::Result<()> {
        let rows = self.assistant.help(line);
        let table = help_table(&rows, self.assistant.colours, size().width);
        let mut out = io::stdout().lock();
        out.write_all(table.as_bytes())?;
        out.flush()
    }

    /// The prompt, bare and in colours.
    fn prompt(&self) -> (String, String) {
        let identity = session::identity(&mut **self.assistant.exchange.borrow_mut());
        let identity: String = identity.chars().filter(|c| !c.is_control()).collect();
        let path = self.session.path();
        let painted = self.assistant.colours.paint(Class::Menu, &path);
        let prompt = |path: &str| format!("[admin@{identity}] {path}> ");
        (prompt(&path), prompt(&painted))
    }

    /// Keeps what was typed for the up arrow, and for the next time.
    fn remember(&mut self, text: &str) {
        let guide = &self.assistant.guide;
        if is_empty(text) || !history::may_keep(guide, self.session.home(guide), text) {
            return;
        }
        // A console works without.
        let is_new = self.editor.add_history_entry(text).unwrap_or(false);
        if let Some(file) = self.history.as_ref().filter(|_| is_new) {
            let _ = self.editor.append_history(file);
        }
    }

    fn coloured<'t>(&self, status: u8, text: &'t str) -> Cow<'t, str> {
        if status == 0 {
            Cow::Borrowed(text)
        } else {
            self.assistant.colours.paint(Class::Error, text)
        }
    }
}

/// The names with their meaning beside them.
fn help_table(rows: &[Candidate], colours: Colours, width: u16) -> String {
    let name_width = rows.iter().map(|row| row.shown.chars().count()).max();
    let name_width = name_width.unwrap_or(0).min(MAX_NAME_WIDTH);
    let room = usize::from(width)
        .saturating_sub(name_width + 2)
        .max(MIN_HELP_WIDTH);
    let mut table = String::new();
    for row in rows {
        let gap = name_width.saturating_sub(row.shown.chars().count()) + 2;
        let mut lines = wrapped(&row.help, room).into_iter();
        table += &colours.paint(row.class, &row.shown);
        if let Some(first) = lines.next() {
            table += &format!("{:gap$}{first}", "");
        }
        for line in lines {
            table += &format!("\n{:1$}{line}", "", name_width + 2);
        }
        table.push('\n');
    }
    table
}

const MAX_NAME_WIDTH: usize = 30;
const MIN_HELP_WIDTH: usize = 20;

/// `text` in lines of at most `width` characters, if its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The size of the terminal; that of the first ones if it does not tell.
fn size() -> Size {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size {
            width: size.ws_col,
            height: size.ws_row,
        },
        Ok(_) | Err(_) => Size {
            width: 80,
            height: 24,
        },
    }
}

fn io_error(error: ReadlineError) -> io::Error {
    if let ReadlineError::Io(error) = error {
        error
    } else {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests;

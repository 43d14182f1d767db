//! The commands of the console: a request in, what it answers and what it changes out.
//!
//! A request is statements, one or many. They are carried out one after the other on a draft of the
//! configuration; if one of them is wrong, or what comes out of them does not fit together, nothing
//! of all that happens. Errors have the words of the product, with their place in the request.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::json;

use super::accounts::{self, Found};
use super::print::View;
use super::show;
use super::snapshot::Snapshot;
use super::views::{self, Content, Facts};
use super::wire::{Numbers, Reply, Request};
use crate::language::lex::{self, Malformed, Word, WordKind};
use crate::language::path::{Command, Invocation, Path, Resolved, resolve};
use crate::log::Recent;
use crate::model::export::export;
use crate::model::schema::MENUS;
use crate::model::table::{self, Table};
use crate::model::{COPY_FROM, Config, Draft, Error, Id, change, selected};

/// What a request is answered from.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What is configured.
    pub config: &'a Config,
    /// What runs.
    pub snapshot: &'a Snapshot,
    /// The last lines of the log.
    pub log: &'a Recent,
    /// What was looked up of accounts for the request.
    pub accounting: Found<'a>,
    /// The time of day.
    pub date: SystemTime,
}

/// What comes of a request.
#[derive(Debug)]
pub struct Outcome {
    /// For who asked.
    pub reply: Reply,
    /// The configuration to go on with, if it has changed.
    pub config: Option<Config>,
    /// `session-id` of each session to be ended.
    pub disconnect: Vec<u32>,
    /// What the log is to say about it.
    pub said: Vec<String>,
}

/// Carries out a request. Nothing has happened until its outcome is put into effect.
#[must_use]
pub fn execute(request: &Request, context: &Context<'_>) -> Outcome {
    let mut console = Console::new(request, context);
    let outcome = console.run(&request.line);
    let (result, warnings) = match outcome {
        Ok(()) => console.finish(),
        Err(error) => (Err(vec![error]), Vec::new()),
    };
    match result {
        Ok(config) => {
            if request.json && !warnings.is_empty() {
                let _ = writeln!(console.out, "{:#}", json!({ "warnings": warnings }));
            } else {
                for warning in warnings {
                    let _ = writeln!(console.out, "warning: {warning}");
                }
            }
            Outcome {
                reply: Reply {
                    text: console.out,
                    status: 0,
                    menu: console.menu.iter().map(|&name| name.to_owned()).collect(),
                    numbers: console.numbers,
                    repeats: console.repeats,
                },
                config,
                disconnect: console.disconnect,
                said: console.said,
            }
        }
        Err(errors) => Outcome {
            reply: refusal(&errors, request),
            config: None,
            disconnect: Vec::new(),
            said: Vec::new(),
        },
    }
}

/// Says why nothing was done.
fn refusal(errors: &[Error], request: &Request) -> Reply {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    refused(&texts, request)
}

/// The reply to a request that came to nothing.
#[must_use]
pub fn refused(texts: &[String], request: &Request) -> Reply {
    let text = texts.join("\n");
    Reply {
        text: if request.json {
            format!("{:#}\n", json!({ "error": text }))
        } else {
            text + "\n"
        },
        status: 1,
        menu: request.menu.clone(),
        numbers: Numbers::new(),
        repeats: false,
    }
}

/// A request being carried out.
struct Console<'a> {
    context: &'a Context<'a>,
    request: &'a Request,
    /// Once something has changed.
    draft: Option<Draft>,
    menu: Vec<&'static str>,
    /// What the rows of the last prints were.
    numbers: Numbers,
    out: String,
    disconnect: Vec<u32>,
    said: Vec<String>,
    /// What is to be known besides.
    warnings: Vec<String>,
    repeats: bool,
}

impl<'a> Console<'a> {
    fn new(request: &'a Request, context: &'a Context<'a>) -> Self {
        // A menu that is none is the root: another program's mistake.
        let words = request.menu.iter().map(String::as_str).collect::<Vec<_>>();
        let known = MENUS.iter().find(|menu| menu.path.starts_with(&words));
        let menu = known.map_or_else(Vec::new, |menu| menu.path[..words.len()].to_vec());
        Self {
            context,
            request,
            draft: None,
            menu,
            numbers: Numbers::new(),
            out: String::new(),
            disconnect: Vec::new(),
            said: Vec::new(),
            warnings: Vec::new(),
            repeats: false,
        }
    }

    fn run(&mut self, line: &str) -> Result<(), Error> {
        for statement in lex::statements(line) {
            let words = statement.map_err(|Malformed(at)| Error::new(at, "syntax error"))?;
            match resolve(MENUS, &self.menu, &words)? {
                Resolved::Enter(menu) => self.menu = menu,
                Resolved::Run(invocation) => self.carry_out(&invocation)?,
            }
            // Errors of values are all told, those of what follows from them are not.
            if self.draft.as_ref().is_some_and(|draft| draft.errors() > 0) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The configuration that came out, or all that is wrong with it.
    fn finish(&mut self) -> (Result<Option<Config>, Vec<Error>>, Vec<String>) {
        let mut said = std::mem::take(&mut self.warnings);
        let Some(draft) = self.draft.take() else {
            return (Ok(None), said);
        };
        match draft.finish() {
            Ok((config, warnings)) => {
                said.extend(warnings.into_iter().map(|warning| warning.text));
                let is_new = config != *self.context.config;
                (Ok(is_new.then_some(config)), said)
            }
            Err(errors) => (Err(errors), Vec::new()),
        }
    }

    fn carry_out(&mut self, invocation: &Invocation<'_>) -> Result<(), Error> {
        match invocation.command {
            Command::Export => self.export(invocation),
            Command::Print => self.print(invocation),
            Command::Find => self.find(invocation),
            Command::Get => self.get(invocation),
            Command::Monitor => self.monitor(invocation),
            Command::Add
            | Command::Comment
            | Command::Disable
            | Command::Enable
            | Command::Move
            | Command::Remove
            | Command::Reset
            | Command::Set
            | Command::Unset => {
                let table = table::at(&invocation.path);
                let is_remove = invocation.command == Command::Remove;
                match table {
                    Some(table) if !is_remove || !is_mixed(&invocation.path) => {
                        self.change(table, invocation)
                    }
                    // Only sessions can be removed where nothing is configured.
                    Some(_) | None => self.remove(table, invocation),
                }
            }
        }
    }

    fn change(
        &mut self,
        table: &'static dyn Table,
        invocation: &Invocation<'_>,
    ) -> Result<(), Error> {
        // Very many items may be added by one request, and very many may have been printed.
        let is_new = invocation.command == Command::Add && !copies(invocation.arguments);
        let ids = if is_new {
            None
        } else {
            self.last_print(&invocation.path)
        };
        let rewritten;
        let mut invocation = Invocation {
            path: invocation.path.clone(),
            ..*invocation
        };
        if is_mixed(&invocation.path) && invocation.command != Command::Add {
            // Here numbers count rows that are not configured, too.
            rewritten = self.only_configured(&invocation)?;
            invocation.arguments = &rewritten;
        }
        let draft = self
            .draft
            .get_or_insert_with(|| Draft::new(self.context.config.clone()));
        change(draft, table, &invocation, ids.as_deref())?;
        let path = invocation.path.join(" ");
        let what = if invocation.command == Command::Add {
            format!("{path} added")
        } else if invocation.command == Command::Remove {
            format!("{path} removed")
        } else if invocation.path == ["interface", "pptp-server", "server"] {
            "PPTP Server settings changed".to_owned()
        } else {
            format!("{path} changed")
        };
        self.say(what);
        Ok(())
    }

    /// `remove` where rows come and go: a configured one is taken away, of others the session ends.
    fn remove(
        &mut self,
        table: Option<&'static dyn Table>,
        invocation: &Invocation<'_>,
    ) -> Result<(), Error> {
        let (chosen, rest) = self.choose(invocation)?;
        if let Some(word) = rest.first() {
            return Err(Error::new(word.at, "expected end of command"));
        }
        let path = invocation.path.join(" ");
        let (sessions, items): (Vec<_>, Vec<_>) =
            chosen.into_iter().partition(|id| is_session(*id));
        if let Some(table) = table.filter(|_| !items.is_empty()) {
            let draft = self
                .draft
                .get_or_insert_with(|| Draft::new(self.context.config.clone()));
            draft.remove(table, invocation.at, &items);
            self.say(format!("{path} removed"));
        }
        if !sessions.is_empty() {
            self.say(format!("{path} removed"));
            self.disconnect.extend(sessions.iter().map(|id| id.0));
        }
        Ok(())
    }

    /// The arguments with the selector in front replaced by ids, all of them of configured items.
    fn only_configured(&self, invocation: &Invocation<'_>) -> Result<Vec<Word>, Error> {
        let (chosen, rest) = self.choose(invocation)?;
        let at = invocation
            .arguments
            .first()
            .map_or(invocation.at, |word| word.at);
        if chosen.iter().any(|&id| is_session(id)) {
            return Err(Error::new(at, "failure: can not change dynamic interface"));
        }
        let ids: Vec<_> = chosen.iter().map(Id::to_string).collect();
        let selector = if ids.is_empty() {
            // Nothing was found, and nothing is to be done.
            let find = Word {
                at,
                kind: WordKind::Bare("find".to_owned()),
            };
            let never = Word {
                at,
                kind: WordKind::Argument {
                    name: "name".to_owned(),
                    value: String::new().into(),
                    value_at: at,
                },
            };
            WordKind::Brackets(vec![find, never])
        } else {
            WordKind::Bare(ids.join(","))
        };
        let mut words = vec![Word { at, kind: selector }];
        words.extend_from_slice(rest);
        Ok(words)
    }

    /// The rows that the first argument means, and the arguments behind it.
    fn choose<'w>(&self, invocation: &Invocation<'w>) -> Result<(Vec<Id>, &'w [Word]), Error> {
        let Some((selector, rest)) = invocation.arguments.split_first() else {
            let text = "missing value(s) of argument(s) numbers";
            return Err(Error::new(invocation.at, text));
        };
        let numbers = self.last_print(&invocation.path);
        let view = self.view(&invocation.path, false);
        let rows: Vec<_> = view.rows().collect();
        Ok((selected(&rows, selector, numbers.as_deref())?, rest))
    }

    /// What the rows of the last print of a menu were.
    fn last_print(&self, path: &Path) -> Option<Vec<Id>> {
        let menu = path.join(" ");
        let numbers = self.numbers.get(&menu);
        let numbers = numbers.or_else(|| self.request.numbers.get(&menu))?;
        Some(numbers.iter().map(|&id| Id(id)).collect())
    }

    fn config(&self) -> &Config {
        let draft = self.draft.as_ref().map(Draft::config);
        draft.unwrap_or(self.context.config)
    }

    fn facts(&self, show_sensitive: bool) -> Facts<'_> {
        Facts {
            config: self.config(),
            snapshot: self.context.snapshot,
            log: self.context.log,
            accounting: self.context.accounting,
            date: self.context.date,
            show_sensitive,
            only_columns: false,
        }
    }

    /// The rows of a menu; none if it has no rows.
    fn view(&self, path: &Path, show_sensitive: bool) -> View {
        match views::content(path, &self.facts(show_sensitive)) {
            Ok(Content::Rows(view)) => view,
            Ok(Content::Single(_) | Content::Page { .. }) | Err(_) => View::default(),
        }
    }

    fn export(&mut self, invocation: &Invocation<'_>) -> Result<(), Error> {
        let options = show::export_options(invocation.arguments)?;
        let text = export(self.config(), &invocation.path, options);
        let date = show::date(self.context.date);
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("# {date} by Greyhound {version}\n#\n{text}");
        if self.request.json {
            let _ = writeln!(self.out, "{}", json!(text));
        } else {
            self.out.push_str(&text);
        }
        Ok(())
    }

    fn print(&mut self, invocation: &Invocation<'_>) -> Result<(), Error> {
        let options = show::Options::parse(invocation)?;
        let mut facts = self.facts(options.show_sensitive);
        // With very many rows it shows what is not looked at.
        let table = table::at(&invocation.path).filter(|table| !table.is_single());
        let is_plain = table.is_some_and(|table| options.is_plain_table(table.blocks()));
        facts.only_columns = is_plain && !self.request.json;
        let content = views::content(&invocation.path, &facts)
            .map_err(|text| Error::new(invocation.at, text))?;
        let shown = options.show(content, self.request)?;
        if invocation.path == accounts::PATH && self.context.accounting.is_cut {
            let most = accounts::MOST;
            self.warnings.push(format!(
                "only the newest {most} are shown: choose with where, or see greyhound accounting"
            ));
        }
        self.out.push_str(&shown.text);
        if let Some(ids) = shown.numbers {
            let ids = ids.iter().map(|id| id.0).collect();
            self.numbers.insert(invocation.path.join(" "), ids);
        }
        Ok(())
    }

    fn find(&mut self, invocation: &Invocation<'_>) -> Result<(), Error> {
        let view = self.view(&invocation.path, false);
        let found = show::find(&view, invocation)?;
        let ids: Vec<_> = found.iter().map(Id::to_string).collect();
        if self.request.json {
            let _ = writeln!(self.out, "{:#}", json!(ids));
        } else if !ids.is_empty() {
            let _ = writeln!(self.out, "{}", ids.join(";"));
        }
        Ok(())
    }

    fn get(&mut self, invocation: &Invocation<'_>) -> Result<(), Error> {
        let content = views::content(&invocation.path, &self.facts(true))
            .map_err(|text| Error::new(invocation.at, text))?;
        let (view, record, rest) = match content {
            Content::Single(view) => {
                let record = view.records.first().cloned().unwrap_or_default();
                (view, record, invocation.arguments)
            }
            Content::Rows(view) => {
                let (ids, rest) = self.choose(invocation)?;
                let [id] = ids[..] else {
                    return Err(Error::new(invocation.at, "no such item"));
                };
                let record = view.records.iter().find(|record| record.id == id);
                (view.clone(), record.cloned().unwrap_or_default(), rest)
            }
            Content::Page { .. } => return Err(Error::new(invocation.at, "no such item")),
        };
        self.out += &show::get(&view, &record, rest, self.request.json)?;
        Ok(())
    }

    fn monitor(&mut self, invocation: &Invocation<'_>) -> Result<(), Error> {
        let is_single = table::at(&invocation.path).is_some_and(Table::is_single);
        let (chosen, rest) = if is_single {
            (vec![Id::default()], invocation.arguments)
        } else {
            self.choose(invocation)?
        };
        self.repeats = !show::is_once(rest)?;
        let facts = self.facts(false);
        let records: Vec<_> = chosen
            .iter()
            .filter_map(|&id| views::monitor(&invocation.path, id, &facts))
            .collect();
        let text = if self.request.json {
            let rows: Vec<_> = records.iter().map(|record| record.json(&[])).collect();
            match rows.as_slice() {
                [one] => format!("{one:#}\n"),
                rows => format!("{:#}\n", json!(rows)),
            }
        } else {
            let texts: Vec<_> = records.iter().map(|record| record.lines()).collect();
            texts.join("\n")
        };
        self.out += &text;
        Ok(())
    }

    /// Who it was is not known: whoever may open the socket.
    fn say(&mut self, what: String) {
        let text = format!("{what} by admin");
        if !self.said.contains(&text) {
            self.said.push(text);
        }
    }
}

/// Whether an item is made from another one.
fn copies(arguments: &[Word]) -> bool {
    let is_it =
        |word: &Word| matches!(&word.kind, WordKind::Argument { name, .. } if name == COPY_FROM);
    arguments.iter().any(is_it)
}

/// Whether the rows of a menu are configured ones and others.
fn is_mixed(path: &Path) -> bool {
    path == ["interface", "pptp-server"]
}

/// Whether a row is a session: `session-id` is its id.
const fn is_session(id: Id) -> bool {
    id.0 >= FIRST_SESSION && id.0 < LAST_SESSION
}

/// The first `session-id` there can be, and the first number that is none any more.
const FIRST_SESSION: u32 = 0x8100_0000;
const LAST_SESSION: u32 = 0x8200_0000;

#[cfg(test)]
mod tests;

//! `/ppp accounting`: the sessions that are kept on the disk, as rows, and which of them a command is
//! about. They are looked up by a thread of their own, before the command is carried out.

use std::fmt;
use std::time::SystemTime;

use super::print::{Flag, Record, Value, View};
use super::show;
use super::wire::Request;
use crate::accounting::Authentic;
use crate::accounting::reader::Row;
use crate::language::lex;
use crate::language::path::{Command, Invocation, Resolved, resolve};
use crate::model::Id;
use crate::model::schema::MENUS;

/// The menu.
pub(super) const PATH: &[&str] = &["ppp", "accounting"];

/// Sessions that are looked at, at most: what is older is for `greyhound accounting`, which does not
/// hold up the server.
pub const MOST: usize = 10_000;

/// Which sessions to look up for a request.
pub struct Wanted {
    /// How many, the newest first.
    pub limit: usize,
    /// Of which.
    pub filter: Box<dyn Fn(&Row) -> bool + Send>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The sessions that were looked up for a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    /// The newest first.
    pub rows: &'a [Row],
    /// There are more.
    pub is_cut: bool,
    /// The time of day.
    pub date: Option<SystemTime>,
}

/// What is to be looked up before a request is carried out, if it is about this menu.
#[must_use]
pub fn wanted(request: &Request) -> Option<Wanted> {
    let menu: Vec<&str> = request.menu.iter().map(String::as_str).collect();
    let mut menu = MENUS
        .iter()
        .find(|one| one.path.starts_with(&menu))
        .map_or_else(Vec::new, |one| one.path[..menu.len()].to_vec());
    let mut conditions = Vec::new();
    for statement in lex::statements(&request.line) {
        let Ok(words) = statement else { break };
        match resolve(MENUS, &menu, &words) {
            Ok(Resolved::Enter(entered)) => menu = entered,
            Ok(Resolved::Run(invocation)) if invocation.path == PATH => {
                conditions.push(condition(&invocation));
            }
            // What is wrong is said when it is carried out.
            Ok(Resolved::Run(_)) => {}
            Err(_) => break,
        }
    }
    // Two commands look at the same rows.
    let [only] = &conditions[..] else {
        return (!conditions.is_empty()).then(|| Wanted {
            limit: MOST,
            filter: Box::new(|_| true),
        });
    };
    let condition = only.clone();
    Some(Wanted {
        limit: MOST,
        filter: Box::new(move |row| {
            condition.is_empty() || show::fits(&view(std::slice::from_ref(row), None), &condition)
        }),
    })
}

/// The words behind `where`, or those of `find`.
fn condition(invocation: &Invocation<'_>) -> Vec<lex::Word> {
    if invocation.command == Command::Find {
        return show::condition_of_find(invocation).to_vec();
    }
    let options = show::Options::parse(invocation);
    options.map_or_else(|_| Vec::new(), |options| options.condition_words().to_vec())
}

/// What the menu shows.
pub(super) fn view(rows: &[Row], date: Option<SystemTime>) -> View {
    let records = (1..)
        .zip(rows)
        .map(|(number, row)| record(number, row, date));
    View {
        flags: &[RADIUS, ACTIVE, PENDING],
        columns: &[
            "began",
            "user",
            "caller-id",
            "address",
            "uptime",
            "bytes",
            "reason",
        ],
        names: NAMES.iter().map(|&(name, _)| name).collect(),
        records: records.collect(),
        ..View::default()
    }
}

fn record(number: u32, row: &Row, date: Option<SystemTime>) -> Record {
    let numbers = row.numbers;
    let mut flags = String::new();
    if row.authentic == Authentic::Radius {
        flags.push('R');
    }
    if row.ended.is_none() {
        flags.push('A');
    }
    if row.is_pending {
        flags.push('P');
    }
    let quoted = |text: &str| Value::Quoted(text.to_owned());
    let word = |text: String| Value::Word(text);
    // Of a session that is up, what was counted last is some minutes old; since when it is up is not.
    let since = || date?.duration_since(row.began).ok();
    let uptime = match row.ended {
        Some(_) => numbers.duration,
        None => since().unwrap_or(numbers.duration),
    };
    let mut fields = vec![
        ("began", word(show::date(row.began))),
        ("user", quoted(&row.user)),
        ("service", word("pptp".to_owned())),
        ("interface", quoted(&row.interface)),
        ("caller-id", word(row.caller.to_string())),
        ("called-id", word(row.called.to_string())),
        ("address", word(row.address.to_string())),
        ("uptime", Value::Uptime(uptime)),
        (
            "bytes",
            Value::Traffic {
                tx: numbers.tx_bytes,
                rx: numbers.rx_bytes,
            },
        ),
        ("bytes-in", Value::Number(numbers.rx_bytes)),
        ("bytes-out", Value::Number(numbers.tx_bytes)),
        ("packets-in", Value::Number(numbers.rx_packets)),
        ("packets-out", Value::Number(numbers.tx_packets)),
    ];
    if let Some(ended) = row.ended {
        fields.push(("ended", word(show::date(ended))));
    }
    if let Some(cause) = row.cause {
        fields.push(("cause", quoted(&cause.to_string())));
        fields.push(("reason", word(cause.reason().to_owned())));
    }
    fields.push(("session-id", word(row.session_id.clone())));
    Record {
        id: Id(number),
        flags,
        fields,
        ..Record::default()
    }
}

/// The properties of a row, with what they mean.
pub const NAMES: &[(&str, &str)] = &[
    ("began", "when it came up, in UTC"),
    ("user", "the login"),
    ("service", "pptp"),
    ("interface", "the name of the interface"),
    ("caller-id", "where the client connected from"),
    ("called-id", "the address of ours that it connected to"),
    ("address", "the client's address in the tunnel"),
    ("uptime", "how long it was up"),
    ("bytes", "to and from the client"),
    ("bytes-in", "from the client"),
    ("bytes-out", "to the client"),
    ("packets-in", "from the client"),
    ("packets-out", "to the client"),
    ("ended", "when it ended, in UTC"),
    ("cause", "why it ended, in the words of the log"),
    ("reason", "the same, in those of last-disconnect-reason"),
    ("session-id", "Acct-Session-Id"),
];

const RADIUS: Flag = Flag {
    letter: 'R',
    word: "radius",
};
const ACTIVE: Flag = Flag {
    letter: 'A',
    word: "active",
};
const PENDING: Flag = Flag {
    letter: 'P',
    word: "pending",
};

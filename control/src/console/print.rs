//! The layouts of `print`: a table of columns, blocks of properties (`detail`), the aligned lines
//! of `monitor`, and JSON. What is shown is a [`View`]; it knows nothing of what it shows.
//!
//! Tables: index, two spaces, one character for each flag, two spaces, the columns two spaces
//! apart. A column is as wide as its widest value or its heading; one without any value is left
//! out. The legend of a table names the flags that occur, that of blocks all flags of the menu.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::language::condition::Subject;
use crate::language::path::{Found, shortened};
use crate::language::write;
use crate::model::{Choice, Id, time};

/// What a menu shows.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Flags of the menu, one character wide each, in their order.
    pub(super) flags: &'static [Flag],
    /// Properties that are columns of a table.
    pub(super) columns: &'static [&'static str],
    /// The columns with what was moved.
    pub(super) stats: &'static [&'static str],
    /// Every property that a row may have.
    pub(super) names: Vec<&'static str>,
    /// The rows.
    pub(super) records: Vec<Record>,
    /// Blocks are shown unless a table is asked for.
    pub(super) blocks: bool,
    /// The rows are lines of the log.
    pub(super) is_log: bool,
    /// Ids stand where numbers would.
    pub(super) with_ids: bool,
    /// The properties that were asked for, if not all.
    pub(super) chosen: Option<Vec<&'static str>>,
}

/// A flag of a menu.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// What stands in the row.
    pub(super) letter: char,
    /// What it means; its key in JSON.
    pub(super) word: &'static str,
}

/// One row.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Who it is.
    pub(super) id: Id,
    /// The letters of the flags that are set.
    pub(super) flags: String,
    /// Shown above the row.
    pub(super) comment: String,
    /// Name and value of each property, in the order of `detail`.
    pub(super) fields: Vec<(&'static str, Value)>,
    /// What was moved, shown if it is asked for.
    pub(super) stats: Vec<(&'static str, Value)>,
}

/// A row to be chosen by its properties and flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    view: &'a View,
    record: &'a Record,
}

impl Subject for Row<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let flags = self.view.flags.iter().map(|flag| flag.word);
        let names = self.view.names.iter().copied().chain(flags);
        let Found::One(name) = shortened(name, names.map(|name| (name, name))) else {
            return None;
        };
        Some(self.record.value(name, self.view.flags))
    }
}

impl Choice for Row<'_> {
    fn id(&self) -> Id {
        self.record.id
    }
}

/// A value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Text that stands in quotes in a block.
    Quoted(String),
    /// A word, address or number that needs no quotes.
    Word(String),
    /// A number.
    Number(u64),
    /// A number that grows; in a table, digits stand under one another.
    Count(u64),
    /// A number that is written in hexadecimal.
    Hexadecimal(u32),
    /// A time since something.
    Uptime(Duration),
    /// Sent and received: `tx/rx`, as the router sees it.
    Traffic {
        /// To the peer.
        tx: u64,
        /// From the peer.
        rx: u64,
    },
}

impl View {
    /// The table.
    pub(super) fn table(&self) -> String {
        if self.records.is_empty() {
            return String::new();
        }
        let occurs = |flag: &&Flag| self.records.iter().any(|row| row.has(flag));
        let flags: Vec<_> = self.flags.iter().filter(occurs).collect();
        let columns = self.chosen.as_deref().unwrap_or(self.columns).iter();
        let columns: Vec<_> = columns
            .filter(|&&name| name != "comment")
            .map(|name| Column::new(name, &self.records))
            .filter(|column| !column.is_empty)
            .collect();
        let indexes = self.records.iter().enumerate();
        let indexes: Vec<_> = indexes.map(|(index, row)| self.index(index, row)).collect();
        let index_width = indexes.iter().map(String::len).max().unwrap_or(1);
        let slots = if flags.is_empty() {
            String::new()
        } else {
            " ".repeat(flags.len() + GAP)
        };

        let mut out = legend(&flags);
        let headings: Vec<_> = columns
            .iter()
            .map(|column| column.heading.as_str())
            .collect();
        let _ = writeln!(out, "Columns: {}", headings.join(", "));
        let _ = write!(out, "{:<index_width$}  {slots}", '#');
        out += &line(&columns, |column| column.heading.clone());
        for (index, row) in indexes.iter().zip(&self.records) {
            if !row.comment.is_empty() {
                let _ = writeln!(out, ";;; {}", one_line(&row.comment));
            }
            let mut set: String = flags.iter().map(|flag| row.slot(flag)).collect();
            if !flags.is_empty() {
                set.push_str("  ");
            }
            let _ = write!(out, "{index:<index_width$}  {set}");
            out += &line(&columns, |column| row.text(column.name));
        }
        out
    }

    /// A block for each row, wrapped at `width` characters.
    pub(super) fn blocks(&self, width: usize) -> String {
        if self.records.is_empty() {
            return String::new();
        }
        let all: Vec<_> = self.flags.iter().collect();
        let mut out = legend(&all);
        for (index, row) in self.records.iter().enumerate() {
            let slots: String = self.flags.iter().map(|flag| row.slot(flag)).collect();
            let index = self.index(index, row);
            let mut head = format!("{index:>2} {slots}");
            if !slots.is_empty() {
                head.push(' ');
            }
            let hang = head.chars().count();
            if !row.comment.is_empty() {
                let _ = writeln!(out, "{head};;; {}", one_line(&row.comment));
                head = " ".repeat(hang);
            }
            let fields = row.fields.iter().filter(|(name, _)| self.is_chosen(name));
            let properties = fields.filter_map(|(name, value)| {
                let value = value.in_block();
                (!value.is_empty()).then(|| format!("{name}={value}"))
            });
            out += &wrap(head, hang, width, properties);
        }
        out
    }

    /// A line for each row, which ends where the row does.
    pub(super) fn terse(&self) -> String {
        let mut out = String::new();
        for (index, row) in self.records.iter().enumerate() {
            let index = self.index(index, row);
            let slots: String = self.flags.iter().map(|flag| row.slot(flag)).collect();
            let _ = write!(out, "{index:>2} {slots}");
            if !row.comment.is_empty() && self.is_chosen("comment") {
                let _ = write!(out, " comment={}", write::value(&row.comment));
            }
            for (name, value) in &row.fields {
                let value = value.raw();
                if !value.is_empty() && self.is_chosen(name) {
                    let _ = write!(out, " {name}={}", write::value(&value));
                }
            }
            out.push('\n');
        }
        out
    }

    /// A line for each property, with the values of all rows in columns.
    pub(super) fn value_list(&self) -> String {
        let names = self.names.iter().filter(|name| self.is_chosen(name));
        let names: Vec<_> = names.collect();
        let widths: Vec<_> = self
            .records
            .iter()
            .map(|row| {
                let widths = names.iter().map(|name| row.text(name).chars().count());
                widths.max().unwrap_or(0)
            })
            .collect();
        let widest = names.iter().map(|name| name.len()).max().unwrap_or(0) + 3;
        let mut out = String::new();
        for name in names {
            let values = self.records.iter().zip(&widths);
            let values: Vec<_> = values
                .map(|(row, width)| format!("{:<width$}", row.text(name)))
                .collect();
            let line = format!("{name:>widest$}: {}", values.join(" "));
            out += line.trim_end();
            out.push('\n');
        }
        out
    }

    /// All in one line, each row begun by its id.
    pub(super) fn as_value(&self) -> String {
        let mut words = Vec::new();
        for row in &self.records {
            words.push(format!(".id={}", row.id));
            for name in self.names.iter().filter(|name| self.is_chosen(name)) {
                let value = row.value(name, self.flags);
                if !value.is_empty() {
                    words.push(format!("{name}={}", one_line(&value)));
                }
            }
        }
        if words.is_empty() {
            return String::new();
        }
        words.join(";") + "\n"
    }

    /// Lines of the log: time, topics and text.
    pub(super) fn log(&self) -> String {
        let mut out = String::new();
        for row in &self.records {
            let fields = row.fields.iter().filter(|(name, _)| self.is_chosen(name));
            let texts: Vec<_> = fields.map(|(_, value)| value.text()).collect();
            out += &texts.join(" ");
            out.push('\n');
        }
        out
    }

    /// The rows with every property and flag, for programs.
    pub(super) fn json(&self) -> Json {
        let rows = self.records.iter().map(|row| {
            let mut row = row.clone();
            row.fields.retain(|(name, _)| self.is_chosen(name));
            row.json(self.flags)
        });
        Json::Array(rows.collect())
    }

    /// The rows, to choose some.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|record| self.row(record))
    }

    /// A row, to be chosen or not.
    pub(super) const fn row<'a>(&'a self, record: &'a Record) -> Row<'a> {
        Row { view: self, record }
    }

    /// Leaves the rows with these ids.
    pub(super) fn keep(&mut self, ids: &[Id]) {
        let ids: HashSet<_> = ids.iter().collect();
        self.records.retain(|record| ids.contains(&record.id));
    }

    /// Leaves these properties.
    pub(super) fn choose(&mut self, names: &[&'static str]) {
        for record in &mut self.records {
            record.fields.retain(|(name, _)| names.contains(name));
        }
        self.chosen = Some(names.to_vec());
    }

    /// Shows what was moved.
    pub(super) fn show_stats(&mut self) {
        if !self.stats.is_empty() {
            self.columns = self.stats;
        }
        for record in &mut self.records {
            let stats = std::mem::take(&mut record.stats);
            record.fields.extend(stats);
        }
    }

    fn is_chosen(&self, name: &str) -> bool {
        let chosen = self.chosen.as_ref();
        chosen.is_none_or(|names| names.contains(&name))
    }

    fn index(&self, index: usize, row: &Record) -> String {
        if self.with_ids {
            row.id.to_string()
        } else {
            index.to_string()
        }
    }
}

impl Record {
    /// One property a line, the colons under one another.
    pub(super) fn lines(&self) -> String {
        // Three spaces stand before the longest name.
        let names = self.fields.iter().map(|(name, _)| name.len());
        let width = names.max().unwrap_or(0) + 3;
        let mut out = String::new();
        for (name, value) in &self.fields {
            let _ = writeln!(out, "{name:>width$}: {}", value.text());
        }
        out
    }

    /// Every property and flag, for programs.
    pub(super) fn json(&self, flags: &[Flag]) -> Json {
        let mut object = Map::new();
        for (name, value) in &self.fields {
            value.add_json(name, &mut object);
        }
        if self.id != Id::default() {
            object.insert(".id".to_owned(), json!(self.id.to_string()));
        }
        for flag in flags {
            object.insert(flag.word.to_owned(), Json::Bool(self.has(flag)));
        }
        if !self.comment.is_empty() {
            object.insert("comment".to_owned(), json!(self.comment));
        }
        Json::Object(object)
    }

    fn has(&self, flag: &Flag) -> bool {
        self.flags.contains(flag.letter)
    }

    fn slot(&self, flag: &Flag) -> char {
        if self.has(flag) { flag.letter } else { ' ' }
    }

    /// The value of a property, `yes` or `no` for a flag; empty if it has none.
    pub(super) fn value(&self, name: &str, flags: &[Flag]) -> String {
        if name == "comment" {
            return self.comment.clone();
        }
        if let Some(flag) = flags.iter().find(|flag| flag.word == name) {
            return if self.has(flag) { "yes" } else { "no" }.to_owned();
        }
        let field = self.fields.iter().find(|(field, _)| *field == name);
        field.map_or_else(String::new, |(_, value)| value.raw())
    }

    /// The value of a property in a table.
    fn text(&self, name: &str) -> String {
        let field = self.fields.iter().find(|(field, _)| *field == name);
        field.map_or_else(String::new, |(_, value)| value.text())
    }
}

impl Value {
    /// As a table or a line shows it.
    fn text(&self) -> String {
        match self {
            Self::Quoted(text) | Self::Word(text) => one_line(text),
            Self::Number(number) | Self::Count(number) => number.to_string(),
            Self::Hexadecimal(number) => format!("0x{number:08X}"),
            Self::Uptime(uptime) => time::whole_seconds(*uptime),
            Self::Traffic { tx, rx } => format!("{}/{}", grouped(*tx), grouped(*rx)),
        }
    }

    /// As it is.
    fn raw(&self) -> String {
        match self {
            Self::Quoted(text) | Self::Word(text) => text.clone(),
            Self::Traffic { tx, rx } => format!("{tx}/{rx}"),
            Self::Number(_) | Self::Count(_) | Self::Hexadecimal(_) | Self::Uptime(_) => {
                self.text()
            }
        }
    }

    /// As a block shows it.
    fn in_block(&self) -> String {
        match self {
            Self::Quoted(text) => write::quoted(text),
            Self::Traffic { tx, rx } => format!("{tx}/{rx}"),
            Self::Word(_)
            | Self::Number(_)
            | Self::Count(_)
            | Self::Hexadecimal(_)
            | Self::Uptime(_) => self.text(),
        }
    }

    fn add_json(&self, name: &str, object: &mut Map<String, Json>) {
        match self {
            Self::Quoted(text) | Self::Word(text) => {
                object.insert(name.to_owned(), json!(text));
            }
            Self::Number(number) | Self::Count(number) => {
                object.insert(name.to_owned(), json!(number));
            }
            Self::Hexadecimal(_) => {
                object.insert(name.to_owned(), json!(self.text()));
            }
            Self::Uptime(uptime) => {
                object.insert(name.to_owned(), json!(self.text()));
                object.insert(format!("{name}-seconds"), json!(uptime.as_secs()));
            }
            Self::Traffic { tx, rx } => {
                object.insert(format!("tx-{name}"), json!(tx));
                object.insert(format!("rx-{name}"), json!(rx));
            }
        }
    }

    const fn is_count(&self) -> bool {
        matches!(self, Self::Count(_) | Self::Traffic { .. })
    }
}

/// A column of a table.
struct Column {
    name: &'static str,
    heading: String,
    width: usize,
    is_empty: bool,
    /// Digits under one another.
    is_right: bool,
}

impl Column {
    fn new(name: &'static str, records: &[Record]) -> Self {
        let heading = name.to_uppercase();
        let widest = records.iter().map(|row| row.text(name).chars().count());
        let widest = widest.max().unwrap_or(0);
        let is_right = records
            .iter()
            .flat_map(|row| &row.fields)
            .any(|(field, value)| *field == name && value.is_count());
        Self {
            name,
            width: widest.max(heading.len()),
            heading,
            is_empty: widest == 0,
            is_right,
        }
    }
}

/// Spaces between columns.
const GAP: usize = 2;

/// The legend, and nothing if there are no flags.
fn legend(flags: &[&Flag]) -> String {
    if flags.is_empty() {
        return String::new();
    }
    let words: Vec<_> = flags
        .iter()
        .map(|flag| format!("{} - {}", flag.letter, flag.word))
        .collect();
    format!("Flags: {}\n", words.join("; "))
}

/// The columns of one line, each padded to its width, the last one too.
fn line(columns: &[Column], text: impl Fn(&Column) -> String) -> String {
    let cells: Vec<_> = columns
        .iter()
        .map(|column| {
            let (text, width) = (text(column), column.width);
            if column.is_right {
                format!("{text:>width$}")
            } else {
                format!("{text:<width$}")
            }
        })
        .collect();
    cells.join(&" ".repeat(GAP)) + "\n"
}

/// Puts `words` behind `head`; a line that would be wider than `width` goes on below, behind
/// `hang` spaces.
fn wrap(head: String, hang: usize, width: usize, words: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    let mut line = head;
    let mut is_begun = false;
    for word in words {
        if is_begun && line.chars().count() + 1 + word.chars().count() > width {
            out += &line;
            out.push('\n');
            line = " ".repeat(hang);
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line += &word;
        is_begun = true;
    }
    out + &line + "\n"
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Text that cannot break a line or steer a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag {
            letter: 'X',
            word: "disabled",
        },
        Flag {
            letter: 'R',
            word: "running",
        },
    ];

    #[test]
    fn a_column_without_values_and_a_flag_that_does_not_occur_are_left_out() {
        let view = view(vec![
            row("R", &[("name", "a"), ("user", ""), ("distance", "1")]),
            row("", &[("name", "long-name"), ("user", ""), ("distance", "")]),
        ]);

        assert_eq!(
            view.table(),
            "Flags: R - running\n\
             Columns: NAME, DISTANCE\n\
             #     NAME       DISTANCE\n\
             0  R  a          1       \n\
             1     long-name          \n"
        );
    }

    #[test]
    fn the_index_is_as_wide_as_the_last_one() {
        let view = view(vec![row("", &[("name", "a")]); 11]);

        let table = view.table();

        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[..3], ["Columns: NAME", "#   NAME", "0   a   "]);
        assert_eq!(lines[12], "10  a   ");
    }

    #[test]
    fn a_comment_stands_above_its_row_in_one_line() {
        let mut commented = row("", &[("name", "a")]);
        commented.comment = "x\ny".to_owned();

        assert_eq!(
            view(vec![commented]).table(),
            "Columns: NAME\n#  NAME\n;;; x?y\n0  a   \n"
        );
    }

    #[test]
    fn blocks_name_every_flag_and_hang_below_their_properties() {
        let mut second = row("X", &[("name", "a\"\\$\u{1b}")]);
        second.comment = "spare".to_owned();
        let view = view(vec![
            row(
                "R",
                &[("name", "pptp-out1"), ("user", "MT-User"), ("distance", "")],
            ),
            second,
        ]);

        assert_eq!(
            view.blocks(30),
            "Flags: X - disabled; R - running\n \
             0  R name=\"pptp-out1\"\n      \
             user=\"MT-User\"\n      \
             distance=\"\"\n \
             1 X  ;;; spare\n      \
             name=\"a\\\"\\\\\\$\\1B\"\n"
        );
    }

    #[test]
    fn the_other_forms_have_a_line_for_each_row_or_property_or_for_all() {
        let mut second = row("", &[("name", "b c"), ("user", ""), ("distance", "10")]);
        second.comment = "x y".to_owned();
        second.id = Id(2);
        let view = view(vec![row("R", &[("name", "a"), ("user", "u")]), second]);

        assert_eq!(
            view.terse(),
            " 0  R name=a user=u\n 1    comment=\"x y\" name=\"b c\" distance=10\n"
        );
        assert_eq!(
            view.value_list(),
            "       name: a b c\n       user: u\n   distance:   10\n    comment:\n"
        );
        assert_eq!(
            view.as_value(),
            ".id=*0;name=a;user=u;.id=*2;name=b c;distance=10;comment=x y\n"
        );
    }

    #[test]
    fn no_rows_print_nothing() {
        assert_eq!(view(Vec::new()).table(), "");
        assert_eq!(view(Vec::new()).blocks(80), "");
        assert_eq!(view(Vec::new()).json(), json!([]));
    }

    #[test]
    fn traffic_is_grouped_and_stands_right() {
        let traffic = |tx, rx| Record {
            fields: vec![("bytes", Value::Traffic { tx, rx })],
            ..Record::default()
        };
        let view = View {
            columns: &["bytes"],
            records: vec![traffic(1_234_567, 0), traffic(999, 1000)],
            ..View::default()
        };

        assert_eq!(
            view.table(),
            "Columns: BYTES\n#        BYTES\n0  1 234 567/0\n1    999/1 000\n"
        );
        assert_eq!(
            view.json()[0],
            json!({"tx-bytes": 1_234_567, "rx-bytes": 0})
        );
    }

    fn view(records: Vec<Record>) -> View {
        View {
            flags: FLAGS,
            columns: &["name", "user", "distance"],
            names: vec!["name", "user", "distance", "comment"],
            records,
            ..View::default()
        }
    }

    fn row(flags: &'static str, fields: &[(&'static str, &str)]) -> Record {
        Record {
            flags: flags.to_owned(),
            fields: fields
                .iter()
                .map(|&(name, text)| (name, Value::Quoted(text.to_owned())))
                .collect(),
            ..Record::default()
        }
    }
}

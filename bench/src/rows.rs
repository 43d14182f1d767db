//! Where every benchmark puts its results: printed at once, and kept for the report.

use std::fmt::Debug;
use std::io::Write;

use anyhow::{Context, Result};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

/// The keys of one row in their order.
pub(crate) type Row = IndexMap<String, Value>;

/// The rows of one run.
///
/// A row is anything that serializes to a JSON object whose first key is `bench`. For programs it is
/// printed as one line of JSON; for people as a line of a table whose columns are its keys.
pub(crate) struct Rows {
    out: Box<dyn Write>,
    json: bool,
    all: Vec<Row>,
    /// Of the table that is being printed.
    columns: Vec<Column>,
}

struct Column {
    key: String,
    width: usize,
    is_words: bool,
}

impl Rows {
    /// Prints to `out`: JSON, or tables for people.
    pub(crate) fn new(json: bool, out: impl Write + 'static) -> Self {
        Self {
            out: Box::new(out),
            json,
            all: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// Prints a row and keeps it.
    ///
    /// # Errors
    /// It is no JSON object, or cannot be printed.
    pub(crate) fn push(&mut self, row: &impl Serialize) -> Result<()> {
        self.push_all(std::slice::from_ref(row))
    }

    /// The same with rows that are known together, whose columns are made wide enough for them all.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(crate) fn push_all(&mut self, rows: &[impl Serialize]) -> Result<()> {
        let mut read = Vec::new();
        for row in rows {
            // As text, because a `Value` would forget the order of the keys.
            let line = serde_json::to_string(row)?;
            let row: Row = serde_json::from_str(&line).context("a row that is no object")?;
            if self.json {
                writeln!(self.out, "{line}")?;
            }
            read.push(row);
        }
        if !self.json {
            for same in read.chunk_by(|a, b| a.keys().eq(b.keys())) {
                self.print(same).context("print rows")?;
            }
        }
        self.out.flush()?;
        self.all.append(&mut read);
        Ok(())
    }

    /// Says something to people; programs do not see it.
    ///
    /// # Errors
    /// It cannot be printed.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        if !self.json {
            writeln!(self.out, "{text}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Every row so far, in order.
    pub(crate) fn all(&self) -> &[Row] {
        &self.all
    }

    /// Prints rows that have the same keys.
    fn print(&mut self, rows: &[Row]) -> std::io::Result<()> {
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let open = self.columns.iter().map(|column| &column.key);
        if !open.eq(first.keys()) {
            self.columns = first.keys().map(|key| Column::new(key, rows)).collect();
            let titles = self.columns.iter().map(|column| {
                let title = column.key.to_uppercase();
                (title, column)
            });
            writeln!(self.out, "\n{}", line(titles))?;
        }
        for row in rows {
            let cells = self.columns.iter().map(|column| {
                let value = row.get(&column.key).unwrap_or(&Value::Null);
                (text(value), column)
            });
            writeln!(self.out, "{}", line(cells))?;
        }
        Ok(())
    }
}

impl Column {
    /// Wide enough for these rows; in a later one a longer text shifts what follows in its line.
    fn new(key: &str, rows: &[Row]) -> Self {
        let values = || rows.iter().filter_map(|row| row.get(key));
        let widest = values().map(|value| text(value).chars().count()).max();
        let width = widest.unwrap_or_default().max(key.len()).max(MIN_WIDTH);
        let is_words = values().any(|value| value.is_string() || value.is_object());
        Self {
            key: key.to_owned(),
            width,
            is_words,
        }
    }
}

impl Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("json", &self.json)
            .field("all", &self.all)
            .finish_non_exhaustive()
    }
}

/// A value as people read it: no quotes, and no more digits than the measurement has.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => short(float),
            _ => number.to_string(),
        },
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| format!("{key} {}", text(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// About three significant digits.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// Words start at the left of their column, numbers end at its right.
fn line<'a>(cells: impl Iterator<Item = (String, &'a Column)>) -> String {
    let cells: Vec<String> = cells
        .map(
            |(
                text,
                &Column {
                    width, is_words, ..
                },
            )| {
                if is_words {
                    format!("{text:<width$}")
                } else {
                    format!("{text:>width$}")
                }
            },
        )
        .collect();
    cells.join("  ").trim_end().to_owned()
}

const MIN_WIDTH: usize = 6;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut paper = self.0.lock().map_err(|_| std::io::ErrorKind::Other)?;
            paper.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn printed(json: bool, rows: &[impl Serialize]) -> String {
        let paper = Paper::default();
        let mut sink = Rows::new(json, paper.clone());
        for row in rows {
            sink.push(row).unwrap();
        }
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Serialize)]
    struct Example {
        bench: &'static str,
        b: u32,
        a: f64,
    }

    #[test]
    fn programs_get_an_object_a_line_with_its_keys_in_order() {
        let row = Example {
            bench: "x",
            b: 1,
            a: 0.123_456_789,
        };
        let text = "{\"bench\":\"x\",\"b\":1,\"a\":0.123456789}\n";
        assert_eq!(printed(true, &[row]), text);
    }

    #[test]
    fn people_get_a_table_for_each_kind_of_row() {
        let row = |ns, b| Example {
            bench: "x",
            b,
            a: ns,
        };
        let text = "\n\
                    BENCH        B       A\n\
                    x           64    1234\n\
                    x         1400    1.00\n";
        assert_eq!(printed(false, &[row(1234.25, 64), row(1.0, 1400)]), text);

        let rows = [
            json!({"bench": "x"}),
            json!({"bench": "y", "met": true, "why": null}),
        ];
        let text = "\nBENCH\nx\n\nBENCH      MET     WHY\ny          yes       -\n";
        assert_eq!(printed(false, &rows), text);
    }

    #[test]
    fn rows_that_are_known_together_stand_in_line() {
        let paper = Paper::default();
        let mut sink = Rows::new(false, paper.clone());
        let rows = [
            json!({"bench": "x", "who": null}),
            json!({"bench": "a long name", "who": "me"}),
        ];
        sink.push_all(&rows).unwrap();
        let bytes = paper.0.lock().unwrap().clone();
        let text = "\nBENCH        WHO\nx            -\na long name  me\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }

    #[test]
    fn every_row_is_kept() {
        let mut rows = Rows::new(true, std::io::sink());
        rows.push(&json!({"bench": "x"})).unwrap();
        rows.push(&json!({"bench": "y"})).unwrap();
        assert_eq!(rows.all()[1]["bench"], "y");
        assert!(rows.push(&json!([1])).is_err());
    }
}

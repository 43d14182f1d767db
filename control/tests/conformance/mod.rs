//! A table of cases, each run by itself: one that fails does not keep the next from running.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The cases of one document.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The name of the file that the table can be written to, without `.md`.
    file: &'static str,
    title: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    section: &'static str,
    case: String,
    /// What went wrong, if something did.
    failure: Option<String>,
}

impl Suite {
    /// A suite without cases.
    pub(crate) const fn new(file: &'static str, title: &'static str) -> Self {
        Self {
            file,
            title,
            rows: Vec::new(),
        }
    }

    /// Runs one case. It fails if it panics.
    pub(crate) fn case(
        &mut self,
        section: &'static str,
        case: impl Into<String>,
        run: impl FnOnce(),
    ) {
        let failure = catch_unwind(AssertUnwindSafe(run)).err().map(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("panicked").to_owned()
        });
        let case = case.into();
        assert!(
            self.rows
                .iter()
                .all(|row| (row.section, &row.case) != (section, &case)),
            "two cases of {section} are called {case:?}"
        );
        self.rows.push(Row {
            section,
            case,
            failure,
        });
    }

    /// Prints the table, and writes it to `GREYHOUND_CONFORMANCE`, a directory, if that is set.
    ///
    /// # Panics
    /// A case failed, or there are fewer than `at_least`.
    pub(crate) fn finish(self, at_least: usize) {
        let table = self.table();
        println!("{table}");
        if let Some(folder) = std::env::var_os("GREYHOUND_CONFORMANCE") {
            let path = Path::new(&folder).join(format!("{}.md", self.file));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(path, &table).unwrap();
        }
        let failures: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.failure.is_some())
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
        assert!(self.rows.len() >= at_least, "{} cases", self.rows.len());
    }

    fn table(&self) -> String {
        let passed = self.rows.iter().filter(|row| row.failure.is_none()).count();
        let deviations = self
            .rows
            .iter()
            .filter(|row| row.case.starts_with("deviation"))
            .count();
        let mut table = format!(
            "# {}\n\n{passed} of {} cases pass; {deviations} of them are deliberate deviations.\n\n\
             | nr | section | case | result |\n|---:|---|---|---|\n",
            self.title,
            self.rows.len(),
        );
        for (nr, row) in self.rows.iter().enumerate() {
            let result = match &row.failure {
                None => "pass".to_owned(),
                Some(failure) => format!("FAIL: {}", one_line(failure)),
            };
            let (section, case) = (row.section, row.case.replace('|', "\\|"));
            writeln!(table, "| {} | {section} | {case} | {result} |", nr + 1).unwrap();
        }
        table
    }
}

/// The beginning of a message, as it fits a cell of the table.
fn one_line(message: &str) -> String {
    message
        .replace(['\n', '|'], " ")
        .chars()
        .take(200)
        .collect()
}

//! A table of what a standard says and whether the product does it: each row a case of its own.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The cases of one standard.
pub(crate) struct Suite {
    /// The name of the file that the table can be written to, without its extension.
    file: &'static str,
    rows: Vec<Row>,
}

struct Row {
    section: &'static str,
    case: &'static str,
    passed: bool,
}

impl Suite {
    pub(crate) fn new(file: &'static str) -> Self {
        let rows = Vec::new();
        Self { file, rows }
    }

    /// Runs a case; it fails by a panic, and the others run all the same.
    pub(crate) fn case(&mut self, section: &'static str, case: &'static str, run: impl FnOnce()) {
        let passed = catch_unwind(AssertUnwindSafe(run)).is_ok();
        self.rows.push(Row {
            section,
            case,
            passed,
        });
    }

    /// Prints the table, writes it to `$GREYHOUND_CONFORMANCE/FILE.md` if that is set, and fails
    /// if a case failed or there are fewer than `at_least`.
    pub(crate) fn finish(self, at_least: usize) {
        let table = self.table();
        {
            println!("{table}");
        }
        if let Some(folder) = std::env::var_os("GREYHOUND_CONFORMANCE") {
            let file = Path::new(&folder).join(self.file).with_extension("md");
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(file, &table).expect("the table can be written");
        }
        let failed: Vec<_> = self.rows.iter().filter(|row| !row.passed).collect();
        let names: Vec<_> = failed.iter().map(|row| (row.section, row.case)).collect();
        assert!(names.is_empty(), "failed: {names:#?}");
        assert!(self.rows.len() >= at_least, "{} cases", self.rows.len());
    }

    fn table(&self) -> String {
        let mut table = String::from("| nr | section | case | result |\n|---|---|---|---|\n");
        for (nr, row) in (1..).zip(&self.rows) {
            let result = if row.passed { "ok" } else { "FAILED" };
            let Row { section, case, .. } = row;
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {nr} | {section} | {case} | {result} |");
        }
        table
    }
}

//! What a program writes, cut into lines: so many, so long, and the rest counted.

use std::collections::VecDeque;

use super::Source;
use crate::log::text;

/// The lines of a program. What it writes may be anything.
#[derive(Debug, Default)]
pub(crate) struct Output {
    lines: VecDeque<(Source, String)>,
    begun: [Vec<u8>; 2],
    /// Lines passed on.
    passed: usize,
    left_out: u64,
}

impl Output {
    /// The most lines of one program that are passed on.
    pub(crate) const LINES: usize = 100;

    /// Takes bytes that were written.
    pub(crate) fn take(&mut self, source: Source, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let begun = &mut self.begun[index(source)];
            // A line that is too long is cut where it is passed on: one byte more says that it was.
            let room = (text::LONGEST + 1).saturating_sub(begun.len());
            begun.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line(source);
            }
        }
    }

    /// Nothing more comes: what has no line end is a line as well.
    pub(crate) fn finish(&mut self) {
        for source in [Source::Stdout, Source::Stderr] {
            self.end_line(source);
        }
    }

    /// The next line.
    pub(crate) fn pop(&mut self) -> Option<(Source, String)> {
        self.lines.pop_front()
    }

    /// A line could not be passed on after all.
    pub(crate) const fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Lines that were not passed on.
    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn end_line(&mut self, source: Source) {
        let line = std::mem::take(&mut self.begun[index(source)]);
        let mut line = text::printable(String::from_utf8_lossy(&line).trim_end());
        if line.is_empty() {
            return;
        }
        if self.passed == Self::LINES {
            return self.leave_out();
        }
        self.passed += 1;
        text::cut(&mut line, text::LONGEST);
        self.lines.push_back((source, line));
    }
}

const fn index(source: Source) -> usize {
    match source {
        Source::Stdout => 0,
        Source::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(output: &mut Output) -> Vec<(Source, String)> {
        std::iter::from_fn(|| output.pop()).collect()
    }

    fn line(source: Source, text: &str) -> (Source, String) {
        (source, text.to_owned())
    }

    #[test]
    fn a_line_is_whole_whatever_it_came_in_and_beside() {
        let mut output = Output::default();
        output.take(Source::Stdout, b"one\n\ntw");
        output.take(Source::Stderr, b"no\x1b[31m\xff\r\n");
        output.take(Source::Stdout, b"o");
        output.finish();
        let expected = [
            line(Source::Stdout, "one"),
            line(Source::Stderr, "no?[31m\u{fffd}"),
            line(Source::Stdout, "two"),
        ];
        assert_eq!(lines(&mut output), expected);
        assert_eq!(output.left_out(), 0);
    }

    #[test]
    fn a_hook_that_talks_too_much_is_cut_short_and_that_is_counted() {
        let mut output = Output::default();
        output.take(Source::Stdout, "x".repeat(1_000_000).as_bytes());
        output.take(Source::Stdout, "\ny\n".repeat(Output::LINES + 6).as_bytes());
        output.finish();
        let lines = lines(&mut output);
        assert_eq!(lines.len(), Output::LINES);
        assert_eq!(lines[0].1.len(), text::LONGEST);
        assert!(lines[0].1.ends_with("x..."));
        assert_eq!(output.left_out(), 7);
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_takes_more_room_than_there_is(
            parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..5000)), 0..50),
        ) {
            let mut output = Output::default();
            for (is_error, bytes) in parts {
                output.take(if is_error { Source::Stderr } else { Source::Stdout }, &bytes);
                prop_assert!(output.begun.iter().all(|begun| begun.len() <= text::LONGEST + 1));
            }
            output.finish();
            let lines = lines(&mut output);
            prop_assert!(lines.len() <= Output::LINES);
            prop_assert!(lines.iter().all(|(_, line)| line.len() <= text::LONGEST));
        }
    }
}

//! The results of a check, one line each.

use std::io::{self, Write};

use crate::core::text::escaped;

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works.
    Ok,
    /// The agent works, but not fully, or not for long.
    Warning,
    /// The agent cannot work.
    Failure,
}

/// Writes the lines and remembers whether one of them was a failure.
pub(super) struct Report<'w> {
    out: &'w mut dyn Write,
    failed: bool,
    /// The first write error (closed pipe, full disk), returned at the end so that no check has to handle it.
    broken: io::Result<()>,
}

impl<'w> Report<'w> {
    /// Creates a report without results.
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { out, failed: false, broken: Ok(()) }
    }

    /// Reports that this works.
    pub(super) fn ok(&mut self, subject: &str, text: &str) {
        self.say(Verdict::Ok, subject, text);
    }

    /// Reports that a part of the agent's work is affected; the text ends with what to do.
    pub(super) fn warning(&mut self, subject: &str, text: &str) {
        self.say(Verdict::Warning, subject, text);
    }

    /// Reports that the agent cannot work like this; the text ends with what to do.
    pub(super) fn failure(&mut self, subject: &str, text: &str) {
        self.say(Verdict::Failure, subject, text);
    }

    /// Writes one line. Harmful characters are escaped, since the text may come from servers and files.
    pub(super) fn say(&mut self, verdict: Verdict, subject: &str, text: &str) {
        let word = match verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Failure => "failure",
        };
        self.failed |= verdict == Verdict::Failure;
        let (subject, text) = (escaped(subject), escaped(text));
        let line = format!("{word}  {subject:<13}  {text}\n");
        if self.broken.is_ok() {
            self.broken = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        }
    }

    /// Returns true if nothing failed.
    ///
    /// # Errors
    /// If the lines could not be written.
    pub(super) fn end(self) -> io::Result<bool> {
        self.broken.map(|()| !self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_it_says_and_only_a_failure_is_one() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.ok("clock", "0 s from the API server's");
        report.warning("node", "a\nb\u{1b}[31m\u{202e}c");
        assert!(report.end().unwrap());
        let said = "ok       clock          0 s from the API server's\nwarning  node           a\\x0ab\\x1b[31m\\u{202e}c\n";
        assert_eq!(String::from_utf8(out).unwrap(), said);
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.failure("node", "no");
        report.ok("clock", "yes");
        assert!(!report.end().unwrap());
    }
}

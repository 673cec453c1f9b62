//! The results of a check, one line each.

use std::io::{self, Write};

use serde_json::Value;

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

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// In columns, for a person.
    Text,
    /// As a JSON object with the members `item`, `verdict` and `text`.
    Json,
}

/// Writes the lines and remembers whether one of them was a failure.
pub(super) struct Report<'w> {
    out: &'w mut dyn Write,
    format: Format,
    failed: bool,
    /// The first write error (closed pipe, full disk), returned at the end so that no check has to handle it.
    broken: io::Result<()>,
}

impl<'w> Report<'w> {
    /// Creates a report without results.
    pub(super) fn new(out: &'w mut dyn Write, format: Format) -> Self {
        Self { out, format, failed: false, broken: Ok(()) }
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
        self.failed |= verdict == Verdict::Failure;
        let (subject, text) = (escaped(subject), escaped(text));
        let word = verdict.name();
        let line = match self.format {
            Format::Text => format!("{word:<7}  {subject:<13}  {text}\n"),
            Format::Json => {
                let item = subject.to_ascii_lowercase().replace(" ", "_");
                let text = Value::from(&*text);
                format!("{{\"item\":\"{item}\",\"verdict\":\"{word}\",\"text\":{text}}}\n")
            }
        };
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_it_says_and_only_a_failure_is_one() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, Format::Text);
        report.ok("clock", "0 s from the API server's");
        report.warning("node", "a\nb\u{1b}[31m\u{202e}c");
        assert!(report.end().unwrap());
        let said = "ok       clock          0 s from the API server's\nwarning  node           a\\x0ab\\x1b[31m\\u{202e}c\n";
        assert_eq!(String::from_utf8(out).unwrap(), said);
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, Format::Text);
        report.failure("node", "no");
        report.ok("clock", "yes");
        assert!(!report.end().unwrap());
    }

    #[test]
    fn a_program_reads_the_same_words_as_a_person() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, Format::Json);
        report.ok("API server", "v1.36 \"x\"");
        report.failure("node", "a\nb\u{202e}c");
        assert!(!report.end().unwrap());
        let said = String::from_utf8(out).unwrap();
        let lines: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines,
            [
                json!({"item": "api_server", "verdict": "ok", "text": "v1.36 \"x\""}),
                json!({"item": "node", "verdict": "failure", "text": "a\\x0ab\\u{202e}c"}),
            ]
        );
    }
}

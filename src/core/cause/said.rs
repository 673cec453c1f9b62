//! The lines of a log, and what lies between two of them.

use crate::core::cause::frame::row;
use crate::core::cause::phrases::{ends_something, is_noise, tells_failure};
use crate::core::cause::prefix::{Level, Spoken};
use crate::core::cause::{Entry, Line, record};
use crate::core::logs::cri::LogStream;
use crate::limits::{CAUSE_LINE_BYTES_MAX, CAUSE_MOMENT_MS};

/// The lines of both streams. What is written to one can stand between the lines of the other.
pub(super) struct Said<'a> {
    pub(super) streams: [Vec<Entry<'a>>; 2],
    /// When each line was written.
    at_ms: Vec<Option<i64>>,
    /// True if the lines of both streams are in the second one.
    pub(super) is_mixed: bool,
}

impl<'a> Said<'a> {
    pub(super) fn new(lines: &[Line<'a>], is_mixed: bool) -> Self {
        let mut streams = [Vec::new(), Vec::new()];
        for (n, line) in lines.iter().enumerate() {
            let text = &line.text[..line.text.floor_char_boundary(CAUSE_LINE_BYTES_MAX)];
            let text = text.trim_end();
            let (spoken, is_record) = match record::level(text) {
                Some(level) => (
                    Spoken {
                        body: text,
                        level: Some(level),
                        has_prefix: true,
                        ..Spoken::default()
                    },
                    true,
                ),
                None => (Spoken::new(text), false),
            };
            streams[usize::from(line.stream == LogStream::Stderr)].push(Entry {
                n,
                text,
                spoken,
                is_record,
                row: row(text),
            });
        }
        Self { streams, at_ms: lines.iter().map(|line| line.at_ms).collect(), is_mixed }
    }

    /// Returns how many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.at_ms.len()
    }

    /// Returns the time from one line to a later one; `None` if nothing tells.
    pub(super) fn gap_ms(&self, from: usize, to: usize) -> Option<i64> {
        let at_ms = |n: usize| self.at_ms.get(n).copied().flatten();
        Some(at_ms(to)?.saturating_sub(at_ms(from)?))
    }

    /// Returns true if so much time passed from one line to a later one that they tell of different things.
    pub(super) fn is_apart(&self, from: usize, to: usize) -> bool {
        self.gap_ms(from, to).is_some_and(|gap| gap > CAUSE_MOMENT_MS)
    }

    /// Returns true if the program went on after a line: it said something in at least so many lines, and not in the moment of
    /// its end, in which a program writes what it has kept for one of its streams.
    pub(super) fn goes_on(&self, n: usize, lines: usize) -> bool {
        let is_moment = self
            .gap_ms(n, self.lines().saturating_sub(1))
            .is_some_and(|gap| gap <= CAUSE_MOMENT_MS);
        // What it has kept is all of the other stream. A busy program writes hundreds of lines in a moment.
        let is_same = |stream: &&Vec<Entry<'a>>| {
            !is_moment || stream.binary_search_by_key(&n, |entry| entry.n).is_ok()
        };
        says_more(self.streams.iter().filter(is_same), n, lines)
    }

    /// Returns true if at least so many lines behind a line say something. Usage and other help do not.
    pub(super) fn is_followed(&self, n: usize, lines: usize) -> bool {
        says_more(self.streams.iter(), n, lines)
    }
}

fn says_more<'s, 'a: 's>(
    streams: impl Iterator<Item = &'s Vec<Entry<'a>>>,
    n: usize,
    lines: usize,
) -> bool {
    let later = streams.flat_map(|stream| stream.iter().rev().take_while(|entry| entry.n > n));
    later.filter(|entry| !is_noise(entry.spoken.body)).nth(lines - 1).is_some()
}

/// Returns true for a line in which a program tells that it works: of a quiet level or of none, and neither about its end, nor
/// about a failure, nor about the line before it.
pub(super) fn is_progress(entry: &Entry<'_>) -> bool {
    let is_about_another = || {
        ["hint", "detail", "statement", "context"]
            .iter()
            .any(|label| entry.spoken.label.eq_ignore_ascii_case(label))
    };
    let is_quiet = match entry.spoken.level {
        // Go's logger writes a time and no level.
        None => entry.spoken.has_prefix,
        level => level == Some(Level::Quiet),
    };
    let body = entry.spoken.body;
    is_quiet
        && !is_about_another()
        && !tells_failure(body)
        && !ends_something(entry.text)
        && !is_noise(body)
}

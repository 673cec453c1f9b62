//! Chooses among everything that a log says.

use crate::core::cause::phrases::{is_vague, tells_signal};
use crate::core::cause::prefix::Level;
use crate::core::cause::said::{Said, is_progress};
use crate::core::cause::speech::speech;
use crate::core::cause::{End, Entry, Rank, Told, block, record, words};
use crate::limits::{
    CAUSE_CRASH_WITHIN_LINES, CAUSE_OWN_SIGNAL_MS, CAUSE_RECORD_BYTES_MAX, CAUSE_RECORD_LINES_MAX,
    CAUSE_RECORDS_MAX, CAUSE_TRACE_WITHIN_LINES, CAUSE_WORK_LINES,
};

impl<'a> Said<'a> {
    /// Returns what tells best why the program ended.
    pub(super) fn choose(&self, end: End) -> Option<Told<'a>> {
        if end == End::Killed {
            let mut killed = self.streams.iter().filter_map(|stream| words::killed_child(stream));
            return killed.next_back();
        }
        let mut traces: Vec<Told<'a>> = Vec::new();
        // What the records say.
        let mut told: Vec<Told<'a>> = Vec::new();
        let mut is_part = vec![false; self.lines()];
        for stream in &self.streams {
            let blocks = block::blocks(stream);
            mark(stream, &blocks, &mut is_part);
            traces.extend(blocks);
            traces.extend(words::words(stream));
            let first = told.len();
            told.extend(records(stream));
            // An error with a type.
            let typed = told[first..].iter().filter(|told| !told.error_type.is_empty());
            traces.extend(typed.cloned());
        }
        // What was logged as a warning and ends the log was not got over.
        let is_end = |told: &Told<'_>| !self.is_followed(told.last, 2);
        traces.retain(|told| told.rank != Rank::GotOver || is_end(told));
        if traces.iter().any(|told| told.rank != Rank::Untyped) {
            traces.retain(|told| told.rank != Rank::Untyped);
        }
        if end == End::Fault {
            traces.retain(|told| told.rank == Rank::Crash);
            return traces.into_iter().max_by_key(|told| told.last);
        }
        let spoken = speech(self, &is_part, &told);
        let trace = traces.into_iter().max_by_key(|told| told.last);
        let chosen = match (trace, spoken) {
            (Some(trace), Some(spoken)) if self.is_outlived(&trace, &spoken) => spoken,
            (Some(trace), None) if self.is_survived(&trace) => return None,
            (Some(trace), _) => trace,
            (None, spoken) => spoken?,
        };
        (!self.is_asked_after(&chosen)).then_some(chosen)
    }

    /// Returns true if the program went on for so long after a stack trace, about which nothing else is said, that it cannot be
    /// why the program ended.
    fn is_survived(&self, trace: &Told<'_>) -> bool {
        match trace.rank < Rank::Fatal {
            true => trace.last + CAUSE_TRACE_WITHIN_LINES < self.lines(),
            false => self.goes_on(trace.last, CAUSE_CRASH_WITHIN_LINES),
        }
    }

    /// Returns true if the program went on after a stack trace, so that its last words are about something else.
    fn is_outlived(&self, trace: &Told<'_>, spoken: &Told<'_>) -> bool {
        let is_logged = trace.rank < Rank::Fatal;
        let is_far = trace.last + CAUSE_TRACE_WITHIN_LINES < spoken.line;
        let is_other =
            is_logged || spoken.rank >= Rank::Fatal || self.is_apart(trace.last, spoken.line);
        (is_far && is_other)
            || (is_logged && !is_vague(&spoken.message) && self.works_between(trace, spoken))
    }

    /// Returns true if the program told of its progress between two errors.
    fn works_between(&self, first: &Told<'_>, second: &Told<'_>) -> bool {
        let at_least = match self.is_apart(first.last, second.line) {
            true => 1,
            false => CAUSE_WORK_LINES,
        };
        let between = self.streams.iter().flat_map(|stream| {
            let from = stream.partition_point(|entry| entry.n <= first.last);
            stream[from..].iter().take_while(|entry| entry.n < second.line)
        });
        between.filter(|entry| is_progress(entry)).nth(at_least - 1).is_some()
    }

    /// Returns true if somebody asked the program to stop after it said this, and not in the same moment: a program that handles
    /// its own errors may send the signal to itself.
    fn is_asked_after(&self, told: &Told<'_>) -> bool {
        let later = self
            .streams
            .iter()
            .flat_map(|stream| stream.iter().rev().take_while(|entry| entry.n > told.last));
        let mut asked = later.filter(|entry| {
            entry.spoken.level < Some(Level::Error) && tells_signal(entry.spoken.body)
        });
        asked.any(|entry| match self.gap_ms(told.last, entry.n) {
            Some(gap) => gap > CAUSE_OWN_SIGNAL_MS,
            None => told.rank < Rank::Fatal,
        })
    }
}

/// Returns what the newest records of a stream say that tell of an error.
fn records<'a>(stream: &[Entry<'a>]) -> Vec<Told<'a>> {
    let records = stream
        .iter()
        .rev()
        .filter(|entry| entry.is_record && entry.spoken.level >= Some(Level::Error));
    let mut left = CAUSE_RECORD_BYTES_MAX;
    let records = records.take(CAUSE_RECORDS_MAX).take_while(|entry| {
        left = left.saturating_sub(entry.text.len());
        left > 0
    });
    let mut lines_left = CAUSE_RECORD_LINES_MAX;
    records.filter_map(|entry| record::told(entry, &mut lines_left)).collect()
}

/// Marks the lines that belong to a block.
fn mark(stream: &[Entry<'_>], blocks: &[Told<'_>], is_part: &mut [bool]) {
    let mut entries = stream.iter().peekable();
    for told in blocks {
        while let Some(entry) = entries.next_if(|entry| entry.n <= told.last) {
            is_part[entry.n] = is_part[entry.n] || entry.n >= told.line;
        }
    }
}

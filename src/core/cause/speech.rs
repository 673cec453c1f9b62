//! What a program says about its end in a log line: by the line's level, or as the last line on stderr.

use crate::core::cause::frame::Row;
use crate::core::cause::headline::{Headline, is_certain_type, place_in_words, without_place};
use crate::core::cause::phrases::{gives_up, is_noise, is_of_wrapper, is_vague, tells_failure};
use crate::core::cause::prefix::{Level, level_of};
use crate::core::cause::said::{Said, is_progress};
use crate::core::cause::search::{COLON, Words, split};
use crate::core::cause::{Entry, Location, Rank, Told, record};
use crate::limits::{
    CAUSE_CLUSTER_LINES, CAUSE_ERROR_WITHIN_LINES, CAUSE_PREFIX_BYTES_MAX, CAUSE_TRACE_WITHIN_LINES,
};

/// Returns the line that tells why the program ended. `is_part` marks the lines of stack traces, `records` is what the newest
/// records say.
pub(super) fn speech<'a>(
    said: &Said<'a>,
    is_part: &[bool],
    records: &[Told<'a>],
) -> Option<Told<'a>> {
    let [stdout, stderr] = [0, 1].map(|n| Stream::new(said, n, is_part, records));
    let of = |level| {
        stderr.cluster(level).into_iter().chain(stdout.cluster(level)).max_by_key(|told| told.last)
    };
    if let Some(fatal) = of(Level::Fatal) {
        // What was logged as an error just before is why, unless the fatal line has its own reason behind a colon.
        let [before_out, before_err] = [&stdout, &stderr].map(|stream| stream.just_before(&fatal));
        return Some(before_err.or(before_out).unwrap_or(fatal));
    }
    // What a program says before it goes on is not why it ended.
    let is_near = |told: &Told<'_>| !said.goes_on(told.last, CAUSE_ERROR_WITHIN_LINES);
    let error = of(Level::Error).filter(is_near);
    let last = stderr.last_words(said.is_mixed).filter(is_near);
    match (error, last) {
        (Some(error), Some(last)) if gives_up(&error.message) && !gives_up(&last.message) => {
            Some(last)
        }
        (Some(error), Some(last)) if last.line > error.last + CAUSE_CLUSTER_LINES => Some(last),
        (Some(error), _) => Some(error),
        (None, Some(last)) => Some(last),
        // Redis ends with a warning.
        (None, None) => of(Level::Warn)
            .filter(|told| told.last + CAUSE_CLUSTER_LINES >= said.lines())
            // A sentence on stdout counts only if it speaks of a failure and nothing follows it.
            .or_else(|| stdout.last_words(true).filter(|told| !said.is_followed(told.last, 1))),
    }
}

/// The lines of one stream that are not part of a stack trace.
struct Stream<'s, 'a> {
    said: &'s Said<'a>,
    entries: Vec<&'s Entry<'a>>,
    /// Their levels.
    levels: Vec<Option<Level>>,
    all: &'s [Entry<'a>],
    /// What the newest records say.
    records: &'s [Told<'a>],
}

impl<'s, 'a> Stream<'s, 'a> {
    /// `n`: 0 is stdout, 1 is stderr.
    fn new(said: &'s Said<'a>, n: usize, is_part: &[bool], records: &'s [Told<'a>]) -> Self {
        let all = said.streams[n].as_slice();
        let entries: Vec<_> = all.iter().filter(|entry| !is_part[entry.n]).collect();
        let levels = entries.iter().map(|entry| level_in(entry, n == 1)).collect();
        Self { said, entries, levels, all, records }
    }

    /// Returns the first line of the last cluster of this level: later ones mostly say that the program gives up.
    fn cluster(&self, level: Level) -> Option<Told<'a>> {
        let is_wanted = |at: usize| {
            self.levels[at] == Some(level)
                // At a fatal level these words are about something else.
                && (level == Level::Fatal || !is_harmless(self.entries[at]))
                // The names of a record's members may say anything.
                && (level > Level::Warn
                    || !self.entries[at].is_record && tells_failure(self.entries[at].spoken.body))
        };
        let last = (0..self.entries.len()).rfind(|at| is_wanted(*at))?;
        let mut first = last;
        while let Some(at) = (self.cluster_from(first)..first).find(|at| is_wanted(*at)) {
            first = at;
        }
        if gives_up(self.entries[first].spoken.body)
            && let Some(next) = (first + 1..=last)
                .find(|at| is_wanted(*at) && !gives_up(self.entries[*at].spoken.body))
        {
            first = next;
        }
        let told = self.told(self.entries[first], Rank::of(level));
        Some(Told { last: self.entries[last].n, ..told })
    }

    /// Returns where the lines begin that tell one thing with a line: few, in one moment, and none of the program's progress
    /// between them.
    fn cluster_from(&self, at: usize) -> usize {
        let entry = self.entries[at];
        let before = self.entries[..at].iter().rev().take(CAUSE_CLUSTER_LINES);
        let near = before
            .take_while(|before| !is_progress(before) && !self.said.is_apart(before.n, entry.n));
        at - near.count()
    }

    /// Returns the error that was logged just before a fatal line of this stream.
    fn just_before(&self, fatal: &Told<'a>) -> Option<Told<'a>> {
        let at = self.entries.iter().position(|entry| entry.n == fatal.line)?;
        let from = self.cluster_from(at);
        let is_error =
            |entry: &Entry<'a>| level_in(entry, true) == Some(Level::Error) && !is_harmless(entry);
        let placed = self.entries[from..at].iter().find(|entry| starts_with_place(entry));
        let is_vague = is_vague(&fatal.message);
        let logged = || self.entries[from..at].iter().find(|entry| is_vague && is_error(entry));
        let first = placed.or_else(logged)?;
        Some(self.told(first, Rank::Fatal))
    }

    /// Returns the line without a level that tells most at the end of stderr: one that begins with a place, otherwise the first
    /// that speaks of a failure, otherwise the last. Hints and words of leave-taking do not count; in a log that mixes both
    /// streams (`is_mixed`) nor does any line that speaks of no failure.
    fn last_words(&self, is_mixed: bool) -> Option<Told<'a>> {
        // A term in braces is more than that: Erlang's `init terminating in do_boot ({badmatch,…})`.
        let is_leave = |body: &str| gives_up(body) && inner_error(body).is_none();
        let is_empty_leave = |body: &str| is_leave(body) && !body.contains('{');
        self.last_words_but(is_mixed, |body| is_of_wrapper(body) || is_leave(body))
            .or_else(|| self.last_words_but(is_mixed, is_empty_leave))
    }

    /// The same, without the lines of some kind.
    fn last_words_but(
        &self,
        is_mixed: bool,
        is_left_out: impl Fn(&str) -> bool,
    ) -> Option<Told<'a>> {
        const LINES_MAX: usize = 40;
        let mut last: Option<&Entry<'a>> = None;
        let mut best: Option<&Entry<'a>> = None;
        for (at, entry) in self.entries.iter().enumerate().rev().take(LINES_MAX) {
            match entry.spoken.level {
                None => {}
                Some(Level::Quiet) if entry.spoken.label.eq_ignore_ascii_case("hint") => continue,
                Some(Level::Quiet) => break,
                Some(_) => continue,
            }
            let is_apart = |last: &Entry<'_>| {
                entry.n + CAUSE_CLUSTER_LINES < last.n || self.said.is_apart(entry.n, last.n)
            };
            if last.is_some_and(is_apart) {
                break;
            }
            let body = entry.spoken.body;
            // Go's logger writes a time and no level, whatever the line says.
            let is_chatter = (is_mixed || entry.spoken.has_prefix)
                && !(tells_failure(body) || starts_with_place(entry) || gives_up(body));
            let is_warning = at > 0 && self.entries[at - 1].text.starts_with("Warning message");
            let is_part = !matches!(entry.row, Row::Other) && !starts_with_place(entry);
            if is_noise(body)
                || is_left_out(body)
                || is_harmless(entry)
                || is_chatter
                || is_warning
                || is_part
            {
                continue;
            }
            last = last.or(Some(entry));
            let is_placed = best.is_some_and(starts_with_place);
            if starts_with_place(entry) || (tells_failure(body) && !is_placed) {
                best = Some(entry);
            }
        }
        best.or(last).map(|entry| self.told(entry, Rank::LoggedTrace))
    }

    /// Returns what a record says.
    fn record(&self, entry: &Entry<'a>) -> Option<Told<'a>> {
        let known = self.records.iter().find(|told| told.line == entry.n).cloned();
        known.or_else(|| record::told(entry, &mut { CAUSE_TRACE_WITHIN_LINES }))
    }

    /// Returns what one line says.
    fn told(&self, entry: &'s Entry<'a>, rank: Rank) -> Told<'a> {
        if entry.is_record
            && let Some(told) = self.record(entry)
        {
            return Told { rank, ..told };
        }
        let (body, placed) = without_place(entry.spoken.body);
        let mut told = Told {
            error_type: entry.spoken.label.into(),
            message: body.into(),
            context: None,
            location: placed.map(|found| Location::of_words(found.place)),
            line: entry.n,
            last: entry.n,
            rank,
        };
        if let Some(found) = place_in_words(body).filter(|_| told.location.is_none()) {
            told.location = Some(Location::of_words(found.place));
        }
        if let Some((name, message)) = named_error(body) {
            told.error_type = name.into();
            told.message = message.into();
        } else if let Some((message, value)) = with_error(body) {
            told.message = format!("{message}: {value}").into();
        } else if let Some((context, headline)) = inner_error(body) {
            told.error_type = headline.error_type.into();
            told.message = headline.message.into();
            told.context = context.map(str::to_owned);
        }
        self.complete(entry, body, &mut told);
        // What is logged at a fatal level ends the program there: glog's CHECK.
        let logged = if entry.spoken.level == Some(Level::Fatal) {
            Location::of_place
        } else {
            Location::of_logger
        };
        told.location = told.location.or_else(|| entry.spoken.place.map(logged));
        told
    }

    /// Adds what stands in the lines around: behind a colon at the end, and before the message.
    fn complete(&self, entry: &Entry<'a>, body: &'a str, told: &mut Told<'a>) {
        let Ok(at) = self.all.binary_search_by_key(&entry.n, |entry| entry.n) else { return };
        let is_drawn = |text: &str| !text.chars().any(char::is_lowercase);
        let mut is_open = body.ends_with(':') || is_drawn(body);
        for next in self.all[at + 1..].iter().take(8) {
            if !is_open || next.spoken.level.is_some() {
                break;
            }
            let text = next.text.trim();
            // A list may be one of names in capital letters.
            let item = text.trim_start_matches(['-', '*', ' ']);
            if !is_drawn(text) || !item.is_empty() && !item.contains(' ') {
                told.message = format!("{} {text}", told.message).into();
                told.last = next.n;
                is_open = text.ends_with(':');
            }
        }
        if told.location.is_some() {
            return;
        }
        // `Syntax error on line 4 of /app/a.conf:` before, `BEGIN failed … at app.pl line 2.` behind.
        let before = at.checked_sub(1).map(|before| &self.all[before]);
        let headline =
            before.filter(|before| before.text.ends_with(':') && before.spoken.level.is_none());
        // Ruby's logger prints the trace below its line.
        let traced = self.all.get(at + 1).and_then(Entry::own_place);
        if entry.spoken.place.is_some() {
            told.location = traced;
            return;
        }
        let behind = self.all.get(at + 1).filter(|next| !starts_with_place(next)).filter(|next| {
            gives_up(next.text)
                || (next.spoken.level.is_some() && next.spoken.level == entry.spoken.level)
                || (level_in(next, true).is_some() && level_in(next, true) == level_in(entry, true))
        });
        // Terraform draws a line beside its words.
        let drawn = self.all[at + 1..].iter().take(CAUSE_CLUSTER_LINES);
        let drawn =
            drawn.take_while(|next| entry.text.starts_with('│') && next.text.starts_with('│'));
        let around = headline.into_iter().chain(behind).chain(drawn);
        let found = around.into_iter().find_map(|entry| place_in_words(entry.spoken.body));
        told.location = found.map(|found| Location::of_words(found.place)).or(traced);
    }
}

/// Returns the level of a line: the prefix's, or the one that stands behind the program's name: `awk: fatal: …`.
fn level_in(entry: &Entry<'_>, is_stderr: bool) -> Option<Level> {
    if entry.spoken.level.is_some() {
        return entry.spoken.level;
    }
    let body = entry.spoken.body;
    let is_error = body.starts_with("Error") && Headline::read(body, false).error_type == "Error";
    if is_error || named_error(body).is_some() {
        return Some(Level::Error);
    }
    if is_stderr && body.starts_with("Error ") {
        return Some(Level::Error);
    }
    let (program, rest) = split(body, &COLON)?;
    if program.contains(' ') || program.len() > 64 {
        return None;
    }
    let word = rest.split_once([':', ' ']).map_or(rest, |(word, _)| word);
    let is_marked = rest[word.len()..].starts_with(':') || word.starts_with('[');
    let word = word.trim_matches(['[', ']']);
    let level = level_of(word)?;
    // On stdout the word may be one of a sentence.
    let is_level = is_stderr || word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase());
    (is_marked && is_level && level >= Level::Error).then_some(level)
}

/// `Options error: …`, `Configuration error: …`: the words before the colon are the type.
fn named_error(body: &str) -> Option<(&str, &str)> {
    let (name, message) = split(body, &COLON)?;
    let is_short = name.len() <= 32 && (2..=3).contains(&name.split(' ').count());
    let is_word = name.bytes().all(|b| b.is_ascii_alphabetic() || b == b' ');
    let is_error = name.ends_with(" error") || name.ends_with(" Error");
    (is_short && is_word && is_error).then_some((name, message))
}

/// Returns true for a line that begins with a place in a file, as compilers and parsers of configurations write it.
fn starts_with_place(entry: &Entry<'_>) -> bool {
    without_place(entry.spoken.body).1.is_some()
}

/// klog's `"message" err="…"`, and `message error="…"`: the message and the error.
fn with_error(body: &str) -> Option<(&str, String)> {
    let at = [" err=", " error=", " err: ", " exception="]
        .iter()
        .find_map(|key| Some((body.find(key)?, key.len())))?;
    let value = &body[at.0 + at.1..];
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted[..record::closing_quote(quoted)]
            .replace("\\\"", "\"")
            .replace("\\n", " ")
            .replace("\\t", " "),
        None => value.to_owned(),
    };
    let message = body[..at.0].trim().trim_end_matches(':');
    let message =
        message.strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or(message);
    (!value.is_empty()).then_some((message, value))
}

/// Returns the innermost error that the line names, and what stands before it.
fn inner_error(body: &str) -> Option<(Option<&str>, Headline<'_>)> {
    let whole = Headline::read(body, false);
    if whole.is_certain() && !whole.error_type.is_empty() {
        return Some((None, whole));
    }
    let mut from = 0;
    for _ in 0..6 {
        let end = body[from..].find(": ").map_or(body.len(), |at| from + at);
        // `… failed due to java.lang.OutOfMemoryError: …`.
        let at = match body[from..end].rfind(' ') {
            Some(blank) if end < body.len() => from + blank + 1,
            _ => from,
        };
        if at > 0 && is_certain_type(&body[at..end]) && &body[at..end] != "Error" {
            let headline = Headline::read(&body[at..], false);
            return Some((Some(body[..at].trim_end_matches([':', ' '])), headline));
        }
        from = (end < body.len()).then_some(end + 2)?;
    }
    None
}

/// Returns true for `0 errors`, but not for `10 errors`.
fn counts_none(body: &str) -> bool {
    const NONE: [&str; 3] = ["0 errors", "0 failed", "0 failures"];
    static ANY: Words = Words::exact(&NONE);
    let is_none = |at: usize| !body[..at].ends_with(|c: char| c.is_ascii_digit());
    ANY.is_in(body) && NONE.iter().any(|none| body.match_indices(none).any(|(at, _)| is_none(at)))
}

/// Returns true for `retry 3/5` and `attempt 3 of 5`, but not for the last of the tries.
fn has_tries_left(body: &str) -> bool {
    static TRIES: Words = Words::new(&["retry ", "attempt ", "try "]);
    let Some(at) = TRIES.find(body) else { return false };
    let numbers = body[at..].split_once(' ').map_or("", |(_, numbers)| numbers);
    let number = |text: &str| -> Option<u32> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        text[..digits].parse().ok()
    };
    let rest = numbers.trim_start_matches(|c: char| c.is_ascii_digit());
    let of = rest.strip_prefix('/').or_else(|| rest.strip_prefix(" of "));
    matches!((number(numbers), of.and_then(number)), (Some(n), Some(of)) if n < of)
}

/// Returns true for an error-level line that says that there is no error, or that it does not matter.
fn is_harmless(entry: &Entry<'_>) -> bool {
    static WORDS: Words = Words::new(&[
        "errors: 0",
        "fatal: 0",
        "panic: 0",
        "exception: 0",
        "errors=0",
        "error=0",
        "error: 0",
        "without error",
        "will retry",
        "trying again",
        "retrying",
        "going on without",
        ", ignoring",
        "; ignoring",
        ": ignoring",
        "(ignoring",
        "- ignoring",
        "handler installed",
        "reporter ready",
        "no error",
        "failed=0",
        "failed: 0",
        "failures=0",
        "failures: 0",
        "starting cold",
    ]);
    let body = &entry.spoken.body[..entry.spoken.body.floor_char_boundary(CAUSE_PREFIX_BYTES_MAX)];
    let is_ignored = body.trim_end_matches([')', '.']).ends_with("ignored")
        || body.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("ignoring"));
    WORDS.is_in(body) || is_ignored || counts_none(body) || has_tries_left(body)
}

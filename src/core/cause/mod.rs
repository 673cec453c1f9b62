//! Finds the cause of a crash in the application's own words.
//!
//! The rules are few and know no program. They know forms: a prefix of a log line, a stack trace, a chain of errors, a
//! structured record, the last words on stderr. They are tried in the order of what they prove:
//!
//! 1. The end itself must ask for a cause: nobody asked the program to stop, and nothing killed it from outside.
//! 2. A crash with a stack trace or in the words of a language's runtime. The latest one counts, and of a chain its root.
//! 3. A line or record of a fatal level.
//! 4. A line or record of an error level near the end.
//! 5. The last line on stderr that is no hint, or on stdout if it speaks of a failure.
//! 6. Otherwise nothing: a wrong cause costs more than none.
//!
//! What the program got over does not count, whatever its form: it told of its progress since then, or was asked to stop
//! (`choice`).

mod block;
mod choice;
mod frame;
mod headline;
mod phrases;
mod place;
mod prefix;
mod record;
mod said;
mod search;
mod speech;
mod template;
mod words;

use std::borrow::Cow;

use serde::Serialize;

use crate::core::cause::frame::{Frame, Row, row};
use crate::core::cause::place::Place;
use crate::core::cause::prefix::{Level, Spoken};
use crate::core::cause::said::Said;
use crate::core::logs::cri::LogStream;
use crate::core::logs::last_words::{LogEnd, LogText};
use crate::core::logs::mask::Mask;
use crate::core::text::{cut, escaped};
use crate::limits::{
    CAUSE_ENDS_BYTES_MAX, CAUSE_LINE_BYTES_MAX, CAUSE_LINE_QUOTE_BYTES_MAX, CAUSE_LINES_MAX,
    CAUSE_LOCATION_BYTES_MAX, CAUSE_MESSAGE_BYTES_MAX, CAUSE_TEXT_BYTES_MAX, CAUSE_TYPE_BYTES_MAX,
};

pub use self::template::Signature;
use self::template::signature;

/// Where a cause was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The container's last log lines.
    Log,
    /// The container's termination message.
    TerminationMessage,
    /// The kubelet's or the runtime's message in the container's status.
    Status,
}

/// The cause of a crash, in the words of the application, its runtime or the kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The type of the error as the program names it: `KeyError`, `java.io.IOException`, `panic`, `FATAL`. `None` if it names
    /// none.
    pub error_type: Option<String>,
    /// The message; of a chain of errors that of the first one, at most [`CAUSE_MESSAGE_BYTES_MAX`] bytes. Of a message in several lines it is
    /// the first.
    pub message: String,
    /// What the program was doing, where the log tells it apart: the outermost error of a chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The innermost place in the application's own code: `app.py:12 in charge`. `None` if the log has none.
    pub location: Option<String>,
    /// Where the cause was found.
    pub source: Source,
    /// The line that says it, cut to [`CAUSE_LINE_QUOTE_BYTES_MAX`] bytes.
    pub line: String,
    /// The parts of the location, for the fingerprint.
    #[serde(skip)]
    signature: Signature,
}

impl Cause {
    /// Returns a cause that the kubelet's status tells in a sentence.
    pub fn of_status(reason: &str, message: &str) -> Option<Self> {
        let line = one_line(message);
        let told = Told {
            error_type: reason.into(),
            message: line.as_str().into(),
            context: None,
            location: None,
            line: 0,
            last: 0,
            rank: Rank::Fatal,
        };
        (!line.is_empty()).then(|| told.cause(Source::Status, &line))
    }

    /// Returns the type and the message in one line: `KeyError: 'DATABASE_URL'`.
    pub fn text(&self) -> String {
        joined(self.error_type.as_deref().unwrap_or(""), &self.message)
    }

    /// Returns what the cause is recognized by in another pod, another run and another release.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Cuts every text to so many bytes.
    pub fn shorten(&mut self, bytes: usize) {
        let texts = [&mut self.error_type, &mut self.context, &mut self.location];
        for text in texts.into_iter().flatten().chain([&mut self.message, &mut self.line]) {
            *text = cut(text, bytes);
        }
    }

    /// Returns a cause in which every text has its maximum length. `text` makes one with so many bytes.
    #[cfg(test)]
    pub fn largest_of_test(text: impl Fn(usize) -> String) -> Option<Self> {
        Some(Self {
            error_type: Some(text(CAUSE_TYPE_BYTES_MAX)),
            message: text(CAUSE_MESSAGE_BYTES_MAX),
            context: Some(text(CAUSE_MESSAGE_BYTES_MAX / 2)),
            location: Some(text(CAUSE_LOCATION_BYTES_MAX)),
            source: Source::TerminationMessage,
            line: text(CAUSE_LINE_QUOTE_BYTES_MAX),
            signature: Signature::default(),
        })
    }
}

/// Returns an error's type and message in one line; either may be empty.
fn joined(error_type: &str, message: &str) -> String {
    match (error_type, message) {
        ("", text) | (text, "") => text.to_owned(),
        (name, message) => format!("{name}: {message}"),
    }
}

/// One log line: the stream and the readable text.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The stream to which the container wrote.
    pub stream: LogStream,
    /// When the container wrote it, in milliseconds of the Unix time; `None` if nothing tells.
    pub at_ms: Option<i64>,
    /// The text without colour codes.
    pub text: &'a str,
}

/// A line and what is known about it.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    /// The number of the line in the whole log.
    n: usize,
    text: &'a str,
    spoken: Spoken<'a>,
    is_record: bool,
    /// What the line is within a stack trace.
    row: Row<'a>,
}

impl<'a> Entry<'a> {
    /// Returns what the line, or a text that is the line without what is drawn around it, is within a stack trace.
    fn row_of(&self, text: &'a str) -> Row<'a> {
        if text.len() == self.text.len() { self.row } else { row(text) }
    }

    /// Returns the place of a frame in the application's own code, if the line is one.
    fn own_place(&self) -> Option<Location> {
        match self.row {
            Row::Frame(frame) if !frame.is_foreign => Some(Location::of_frame(&frame)),
            _ => None,
        }
    }
}

/// What a candidate proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The program went on.
    GotOver,
    /// A stack trace whose headline names no error.
    Untyped,
    /// An error that was logged with its stack trace or type.
    LoggedTrace,
    /// A line of a fatal level.
    Fatal,
    /// The words of a language's runtime at the end of a program.
    Crash,
}

impl Rank {
    /// Returns what a line or record of this level proves, which is an error or worse.
    fn of(level: Level) -> Self {
        if level == Level::Fatal { Self::Fatal } else { Self::LoggedTrace }
    }
}

/// A place in the application.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    file: String,
    line: u32,
    function: String,
    origin: Origin,
}

/// What a place was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A stack trace, or the words of a runtime: the place of the error.
    Trace,
    /// The words of the message: often a place in a configuration file, where anything may be wrong.
    Words,
    /// The prefix of a log line: the call that logged the error.
    Logger,
}

impl Location {
    fn of_frame(frame: &Frame<'_>) -> Self {
        Self { function: frame.function.to_owned(), ..Self::of_place(frame.place) }
    }

    fn of_place(place: Place<'_>) -> Self {
        Self {
            file: short_file(place.file).to_owned(),
            line: place.line,
            function: String::new(),
            origin: Origin::Trace,
        }
    }

    fn of_logger(place: Place<'_>) -> Self {
        Self { origin: Origin::Logger, ..Self::of_place(place) }
    }

    fn of_words(place: Place<'_>) -> Self {
        Self { origin: Origin::Words, ..Self::of_place(place) }
    }

    fn text(&self) -> String {
        let Self { file, line, function, .. } = self;
        match function.is_empty() {
            true => format!("{file}:{line}"),
            false => format!("{file}:{line} in {function}"),
        }
    }
}

/// Returns the file without the folder in which images have their application.
fn short_file(file: &str) -> &str {
    let file = file.strip_prefix("file://").unwrap_or(file);
    ["/app/", "/src/", "/usr/src/app/", "/srv/", "/workspace/", "/code/", "./"]
        .iter()
        .find_map(|folder| file.strip_prefix(folder))
        .unwrap_or(file)
}

/// A candidate.
#[derive(Clone, Debug)]
struct Told<'a> {
    error_type: Cow<'a, str>,
    message: Cow<'a, str>,
    context: Option<String>,
    location: Option<Location>,
    /// The number of the line that says it.
    line: usize,
    /// The number of the last line that belongs to it.
    last: usize,
    rank: Rank,
}

impl Told<'_> {
    fn cause(&self, source: Source, line: &str) -> Cause {
        let message = one_line(&self.message);
        let error_type = Some(one_line(&self.error_type)).filter(|name| !name.is_empty());
        let signature = signature(error_type.as_deref(), &message, self.location.as_ref());
        Cause {
            error_type: error_type.map(|name| cut(&name, CAUSE_TYPE_BYTES_MAX)),
            message: head_and_tail(&masked(&message), CAUSE_MESSAGE_BYTES_MAX),
            context: self
                .context
                .as_deref()
                .map(|text| head_and_tail(&masked(&one_line(text)), CAUSE_MESSAGE_BYTES_MAX / 2)),
            location: self
                .location
                .as_ref()
                .map(|place| cut(&escaped(&place.text()), CAUSE_LOCATION_BYTES_MAX)),
            source,
            line: quote(line),
            signature,
        }
    }
}

/// Returns a line of a log as [`Cause::line`] quotes it.
pub fn quote(line: &str) -> String {
    cut(&one_line(line), CAUSE_LINE_QUOTE_BYTES_MAX)
}

/// Masks a text again: a record's member is decoded, and two lines are joined, only after their lines were masked.
fn masked(text: &str) -> String {
    Mask::default().line(text).into_owned()
}

/// Returns the text in one line, with each harmful character escaped.
fn one_line(text: &str) -> String {
    let text = text.trim();
    // What is in the middle of a long text is not kept.
    let (head, tail) = match text.len() > 2 * CAUSE_ENDS_BYTES_MAX {
        true => (
            &text[..text.floor_char_boundary(CAUSE_ENDS_BYTES_MAX)],
            &text[text.ceil_char_boundary(text.len() - CAUSE_ENDS_BYTES_MAX)..],
        ),
        false => (text, ""),
    };
    let words: Vec<&str> = head.split_whitespace().chain(tail.split_whitespace()).collect();
    escaped(&words.join(" ")).into_owned()
}

/// Returns a text without its middle: the subject stands at the start, and Go's cause at the end.
fn head_and_tail(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(bytes / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - (bytes / 2 - " … ".len()))..];
    format!("{head} … {tail}")
}

/// How a container's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was asked to stop, or had nothing more to do: whatever the log says, it is not why.
    Asked,
    /// SIGKILL: only a shell whose child was killed can tell.
    Killed,
    /// A fault: only a handler of the fault can tell.
    Fault,
    /// It ended itself.
    Own,
}

fn end(exit_code: i32) -> End {
    match exit_code {
        // 128 + SIGHUP, SIGINT, SIGTERM.
        0 | 129 | 130 | 143 => End::Asked,
        137 => End::Killed,
        // SIGABRT is how programs end themselves; SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS are faults.
        132 | 133 | 135 | 136 | 139 | 159 => End::Fault,
        _ => End::Own,
    }
}

/// Finds the cause of an end with this exit code in the end of a log.
pub fn find_in(end: &LogEnd, exit_code: i32, source: Source) -> Option<Cause> {
    let at_ms = |line: &LogText| (!end.is_plain()).then(|| line.time.as_millisecond());
    let lines: Vec<Line<'_>> = end
        .lines()
        .map(|line| Line { stream: line.stream, at_ms: at_ms(line), text: &line.text })
        .collect();
    // A termination message is plain text as well, but a program writes one for this purpose only.
    search(&lines, exit_code, source, end.is_plain() && source == Source::Log)
}

/// Finds the cause of an end with this exit code in the last log lines, the newest last.
///
/// The time is linear in the bytes of the newest [`CAUSE_LINES_MAX`] lines, at most [`CAUSE_TEXT_BYTES_MAX`] in all.
pub fn find(lines: &[Line<'_>], exit_code: i32, source: Source) -> Option<Cause> {
    search(lines, exit_code, source, false)
}

/// The same. `is_mixed`: nothing tells the lines of both streams apart.
fn search(lines: &[Line<'_>], exit_code: i32, source: Source, is_mixed: bool) -> Option<Cause> {
    let end = end(exit_code);
    if end == End::Asked {
        return None;
    }
    let lines = newest(lines);
    let said = Said::new(lines, is_mixed);
    let told = said.choose(end)?;
    let line = lines.get(told.line).map_or("", |line| line.text);
    let cause = told.cause(source, line);
    (!cause.message.is_empty() || cause.error_type.is_some()).then_some(cause)
}

/// Returns the lines that are searched.
fn newest<'l, 'a>(lines: &'l [Line<'a>]) -> &'l [Line<'a>] {
    let mut left = CAUSE_TEXT_BYTES_MAX;
    let fits = lines.iter().rev().take(CAUSE_LINES_MAX).take_while(|line| {
        let bytes = line.text.len().min(CAUSE_LINE_BYTES_MAX) + 1;
        left = left.saturating_sub(bytes);
        left > 0
    });
    let count = fits.count();
    &lines[lines.len() - count..]
}

#[cfg(test)]
mod tests;

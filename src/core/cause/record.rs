//! Structured log records: JSON, and `key=value` (logfmt).

mod members;

use std::borrow::Cow;

use serde_json::Value;

use crate::core::cause::frame::{Frame, Row, is_foreign, row};
use crate::core::cause::headline::{Headline, is_certain_type};
use crate::core::cause::place::{Place, place_at_start};
use crate::core::cause::prefix::{Level, Spoken, level_of};
use crate::core::cause::{Entry, Location, Origin, Rank, Told, block};
use crate::limits::{
    CAUSE_LOGGING_CALL_LINES_MAX, CAUSE_RECORD_DEPTH_MAX, CAUSE_RECORD_MEMBERS_MAX,
};

/// Names of the member that holds the level.
const LEVEL: &[&str] = &[
    "level",
    "lvl",
    "severity",
    "levelname",
    "log.level",
    "loglevel",
    "log_level",
    "@l",
    "@level",
    "l",
    "s",
    "severity_text",
    "priority",
];
/// Names of the member that holds the sentence.
const MESSAGE: &[&str] = &[
    "msg",
    "message",
    "event",
    "@m",
    "@message",
    "errmsg",
    "exc_value",
    "@mt",
    "text",
    "description",
    "short_message",
    "errormessage",
    "error_message",
    "exception.message",
    "error.message",
    "reason",
    "detail",
];
/// Names of the member that holds an error.
const ERROR: &[&str] = &[
    "err",
    "error",
    "exception",
    "exc",
    "throwable",
    "thrown",
    "cause",
    "exc_info",
    "errors",
    "@x",
    "exceptions",
    "stack_trace",
    "stacktrace",
    "stack",
    "frames",
    "extendedstacktrace",
    "extra",
    "context",
    "exception.stacktrace",
    "error.stack",
    "error.stack_trace",
    "error_verbose",
    "errorverbose",
    "backtrace",
    "attr",
    "fields",
    "data",
];
/// Names of the member that holds an error, where there is no level, and nothing else.
const HAS_ERROR: &[&str] = &["err", "error", "exception", "exc_info"];
/// Names of the member that holds an error's type.
const TYPE: &[&str] = &[
    "type",
    "name",
    "class",
    "kind",
    "classname",
    "exception.type",
    "error.type",
    "error_type",
    "errortype",
    "exc_type",
    "exception_class",
    "error.kind",
];
/// Names of the member that holds the place of the call that logged the record.
const CALLER: &[&str] = &["source", "caller", "logger.location", "location", "src"];
/// Names of the members that a frame has.
const FRAME: &[&str] = &[
    "file",
    "filename",
    "line",
    "lineno",
    "linenumber",
    "class",
    "classname",
    "method",
    "methodname",
    "function",
    "name",
];
/// Names of the member that holds a stack trace.
const STACK: &[&str] = &[
    "stack",
    "stack_trace",
    "stacktrace",
    "frames",
    "extendedstacktrace",
    "exception",
    "exc_info",
    "traceback",
    "trace",
    "@x",
    "exception.stacktrace",
    "error.stack",
    "error.stack_trace",
    "stacktracestring",
    "backtrace",
    "error_verbose",
    "errorverbose",
    "error",
];

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns the level of a record; `None` if the line is no record.
pub(super) fn level(text: &str) -> Option<Level> {
    if text.starts_with('{') && text.ends_with('}') {
        return json_level(text);
    }
    logfmt_level(text)
}

/// Reads only the level: most records are of no interest.
fn json_level(text: &str) -> Option<Level> {
    members::severity(text).map(|severity| level_without(severity.level, severity.has_error))
}

/// Returns the level of a record, which may name none: bunyan's friends and Go's kit write only the error.
fn level_without(level: Option<Level>, has_error: bool) -> Level {
    level.unwrap_or(if has_error { Level::Error } else { Level::Quiet })
}

fn level_value(value: &Value) -> Option<Level> {
    match value {
        Value::String(word) => level_of(word),
        Value::Number(number) => Some(match number.as_i64()? {
            // Syslog's severities, as GELF has them.
            0..=2 => Level::Fatal,
            3 => Level::Error,
            4 => Level::Warn,
            // Bunyan's and pino's 50 and 60; Python's 40 is pino's warning.
            50..=59 => Level::Error,
            60..=69 => Level::Fatal,
            40..=49 => Level::Warn,
            _ => Level::Quiet,
        }),
        _ => None,
    }
}

/// The pairs of a logfmt line.
struct Pairs<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start();
            let end = self.rest.find(['=', ' '])?;
            if self.rest.as_bytes()[end] == b' ' {
                self.rest = &self.rest[end..];
                continue;
            }
            let key = &self.rest[..end];
            let value = &self.rest[end + 1..];
            let (value, length) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let end = closing_quote(quoted);
                    (&quoted[..end], end + 2)
                }
                None => {
                    let end = value.find(' ').unwrap_or(value.len());
                    (&value[..end], end)
                }
            };
            self.rest = self.rest.get(end + 1 + length..).unwrap_or("");
            return Some((key, value));
        }
    }
}

/// Returns where a quoted value ends.
pub(super) fn closing_quote(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => return at,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

fn unescaped(text: &str) -> Cow<'_, str> {
    match text.contains('\\') {
        true => text
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("\\\"", "\"")
            .replace("\\\\", "\\")
            .into(),
        false => text.into(),
    }
}

fn logfmt_level(text: &str) -> Option<Level> {
    let head = &text[..text.floor_char_boundary(256)];
    let first = head.split(' ').next()?;
    if !first.contains('=') || first.starts_with(['"', '=', '{', '[']) {
        return None;
    }
    let pairs = || Pairs { rest: head }.take(12);
    let level = pairs().find(|(name, _)| is_one_of(name, LEVEL)).map(|(_, value)| level_of(value));
    let error = || pairs().find(|(name, _)| is_one_of(name, HAS_ERROR));
    level.unwrap_or_else(|| error().map(|(_, value)| level_without(None, !value.is_empty())))
}

type Members = serde_json::Map<String, Value>;

/// What a record says about an error.
#[derive(Debug, Default)]
struct Error {
    error_type: Option<String>,
    message: Option<String>,
    stack: Option<String>,
    location: Option<Location>,
}

/// Reads a frame that is an object, if it is one of the application.
fn frame_of(value: &Value) -> Option<Location> {
    let text = |names: &[&str]| names.iter().find_map(|name| value.get(name)?.as_str());
    let file = text(&["file", "filename", "fileName"])?;
    let line =
        ["line", "lineno", "lineNumber"].iter().find_map(|name| value.get(name)?.as_u64())?;
    let class = text(&["class", "className"]);
    let method = text(&["method", "methodName", "function", "name"]).unwrap_or("");
    let function = class.map_or_else(|| method.to_owned(), |class| format!("{class}.{method}"));
    let place = Place { file, line: u32::try_from(line).ok()? };
    let is_foreign = is_foreign(file, &function);
    (!is_foreign).then(|| Location::of_frame(&Frame { place, function: &function, is_foreign }))
}

/// Returns what a record says. `left` bounds the lines of stack traces.
pub(super) fn told<'a>(entry: &Entry<'a>, left: &mut usize) -> Option<Told<'a>> {
    let rank = Rank::of(entry.spoken.level?);
    let members = &match entry.text.starts_with('{') {
        true => members::known(entry.text)?,
        false => logfmt(entry.text),
    };
    let sentence = sentence(members);
    let mut error = Error::default();
    let mut members_left = CAUSE_RECORD_MEMBERS_MAX;
    for (name, member) in members {
        if is_one_of(name, ERROR) {
            error.read(name, member, CAUSE_RECORD_DEPTH_MAX, &mut members_left);
        } else if is_one_of(name, TYPE) && name.contains(['.', '_']) {
            error.error_type = member.as_str().map(str::to_owned).or(error.error_type);
        } else if is_one_of(name, &["exception.message", "error.message", "error_message"]) {
            error.message = member.as_str().map(str::to_owned).or(error.message);
        }
    }
    let mut base = Told {
        error_type: "".into(),
        message: "".into(),
        context: None,
        location: error.location.take().or_else(|| logged_at(members)),
        line: entry.n,
        last: entry.n,
        rank,
    };
    if let Some(location) = error.stack.as_deref().and_then(logging_call) {
        (base.location, error.stack) = (Some(location), None);
    }
    // The sentence itself may be a whole stack trace.
    let stack =
        error.stack.take().or_else(|| sentence.clone().filter(|text| block::has_trace(text)));
    if let Some(place) = stack.as_deref().and_then(bare_frames) {
        base.location = Some(place);
    } else if let Some(told) = stack.as_deref().and_then(|stack| from_stack(stack, left)) {
        let context = told.context.clone().or_else(|| sentence.filter(|text| !text.contains('\n')));
        let location = told.location.or_else(|| base.location.clone());
        return Some(Told {
            error_type: told.error_type.into_owned().into(),
            message: told.message.into_owned().into(),
            context,
            location,
            ..base
        });
    }
    Some(from_members(error, sentence, base))
}

/// Puts together what a record says without a stack trace.
fn from_members<'a>(error: Error, sentence: Option<String>, base: Told<'a>) -> Told<'a> {
    let Error { error_type, message, .. } = error;
    let message = message.filter(|message| Some(message) != sentence.as_ref());
    let (said, context) = match message {
        Some(message) => (message, sentence),
        None => (sentence.unwrap_or_default(), None),
    };
    if let Some(error_type) = error_type.filter(|name| !name.contains(' ')) {
        return Told { error_type: error_type.into(), message: said.into(), context, ..base };
    }
    let headline = Headline::read(&said, false);
    if headline.is_certain() {
        let (error_type, message) = (headline.error_type.to_owned(), headline.message.to_owned());
        return Told { error_type: error_type.into(), message: message.into(), context, ..base };
    }
    // Nothing tells the type: what was tried, and why it failed.
    let message = match context {
        Some(context) if !said.starts_with(&context) => format!("{context}: {said}"),
        _ => said,
    };
    Told { message: message.into(), ..base }
}

fn logfmt(text: &str) -> Members {
    let mut known = Members::new();
    for (name, value) in (Pairs { rest: text }).take(CAUSE_RECORD_MEMBERS_MAX) {
        if members::is_known(name) {
            known.insert(name.to_owned(), Value::String(unescaped(value).into_owned()));
        }
    }
    known
}

/// Returns the record's own sentence, under the first of its usual names.
fn sentence(members: &Members) -> Option<String> {
    let said = members.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let said = said.filter(|(_, text)| !text.trim().is_empty());
    let rank = |name: &str| MESSAGE.iter().position(|known| known.eq_ignore_ascii_case(name));
    let ranked = said.filter_map(|(name, text)| Some((rank(name)?, text)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, text)| text.to_owned())
}

/// The place of the call that logged the record: slog's `source`, zap's and logrus' `caller`.
fn logged_at(members: &Members) -> Option<Location> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for (name, value) in members {
        if is_one_of(name, CALLER) {
            if let Value::Object(source) = value {
                let file = source.get("file").and_then(text)?;
                let line = source
                    .get("line")
                    .and_then(Value::as_u64)
                    .and_then(|line| u32::try_from(line).ok())?;
                let function = source.get("function").and_then(text).unwrap_or_default();
                return Some(Location {
                    file: super::short_file(&file).to_owned(),
                    line,
                    function,
                    origin: Origin::Logger,
                });
            }
            let caller = text(value)?;
            return place_at_start(&caller).map(|found| Location::of_logger(found.place));
        }
    }
    None
}

/// Returns the place of the call that logged a record, if the stack trace is one of Go's: functions and places by turns, and no
/// error.
fn logging_call(stack: &str) -> Option<Location> {
    let mut lines = stack.lines().take(CAUSE_LOGGING_CALL_LINES_MAX);
    let (mut function, mut place) = (lines.next()?, lines.next()?);
    if function.contains(' ') || !place.starts_with('\t') {
        return None;
    }
    loop {
        let found = place_at_start(place.trim())?;
        let name = function.rsplit_once('(').map_or(function, |(name, _)| name);
        if !is_foreign(found.place.file, name) && !name.contains("/zap") {
            let name = name.rsplit('/').next().unwrap_or(name);
            let frame = Frame { place: found.place, function: name, is_foreign: false };
            return Some(Location { origin: Origin::Logger, ..Location::of_frame(&frame) });
        }
        (function, place) = (lines.next()?, lines.next()?);
    }
}

/// Returns the place in the application in a stack trace without a headline, as Python's formatters for Elastic write it: the
/// newest call is the last one.
fn bare_frames(stack: &str) -> Option<Location> {
    if !stack.starts_with("  File \"") {
        return None;
    }
    let frames = stack.lines().take(CAUSE_LOGGING_CALL_LINES_MAX).map(row);
    let own = frames.filter_map(|row| match row {
        Row::Frame(frame) if !frame.is_foreign => Some(Location::of_frame(&frame)),
        _ => None,
    });
    own.last()
}

/// Finds the error in a stack trace that a record holds in one member.
fn from_stack(stack: &str, left: &mut usize) -> Option<Told<'static>> {
    let entries: Vec<Entry<'_>> = stack
        .lines()
        .take(*left)
        .enumerate()
        .map(|(n, text)| Entry {
            n,
            text,
            spoken: Spoken { body: text.trim_end(), ..Spoken::default() },
            is_record: false,
            row: row(text),
        })
        .collect();
    *left -= entries.len();
    let told = block::blocks(&entries)
        .into_iter()
        .rfind(|told| told.rank > Rank::Untyped)
        .or_else(|| {
            let headline = Headline::read(entries.first()?.text, false);
            headline.is_certain().then(|| Told {
                error_type: headline.error_type.into(),
                message: headline.message.into(),
                context: None,
                location: None,
                line: 0,
                last: 0,
                rank: Rank::LoggedTrace,
            })
        })?;
    Some(Told {
        error_type: told.error_type.into_owned().into(),
        message: told.message.into_owned().into(),
        ..told
    })
}

impl Error {
    /// Searches a member for the error. What is found first stays, but of nested errors the innermost one tells the type and the
    /// message. `left` bounds the members of a record.
    fn read(&mut self, name: &str, value: &Value, depth: usize, left: &mut usize) {
        if depth == 0 || *left == 0 {
            return;
        }
        *left -= 1;
        match value {
            Value::String(text) => self.text(name, text),
            Value::Array(items) => self.items(name, items, depth, left),
            Value::Object(members) => self.members(members, depth, left),
            _ => {}
        }
    }

    fn members(&mut self, members: &Members, depth: usize, left: &mut usize) {
        let is_cause =
            |name: &str, value: &Value| name.eq_ignore_ascii_case("cause") && value.is_object();
        for (inner, value) in members {
            match value.as_str() {
                _ if is_cause(inner, value) => {}
                Some(text) if is_one_of(inner, TYPE) => self.name(text),
                Some(text) if is_one_of(inner, MESSAGE) => self.message = Some(text.to_owned()),
                _ if is_one_of(inner, STACK) || is_one_of(inner, ERROR) => {
                    self.read(inner, value, depth - 1, left);
                }
                _ => {}
            }
        }
        // The error that caused this one tells more, wherever it stands among the members.
        for (inner, value) in members.iter().filter(|(name, value)| is_cause(name, value)) {
            let mut cause = Self::default();
            cause.read(inner, value, depth - 1, left);
            if cause.error_type.is_some() {
                cause.stack = cause.stack.or_else(|| self.stack.take());
                cause.location = cause.location.or_else(|| self.location.take());
                *self = cause;
            }
        }
    }

    /// Reads a list: the frames of a stack trace, its lines, or several errors.
    fn items(&mut self, name: &str, items: &[Value], depth: usize, left: &mut usize) {
        const ITEMS_MAX: usize = 8;
        let mut frames = items.iter().filter_map(frame_of).peekable();
        if frames.peek().is_some() {
            // Python's newest call is the last one.
            let own =
                if name.eq_ignore_ascii_case("frames") { frames.last() } else { frames.next() };
            self.location = self.location.take().or(own);
        } else if items.len() > 1 && items.iter().all(Value::is_string) {
            let lines: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            self.text(name, &lines.join("\n"));
        } else {
            for item in items.iter().take(ITEMS_MAX) {
                self.read(name, item, depth - 1, left);
            }
        }
    }

    fn name(&mut self, text: &str) {
        let is_word = self.error_type.is_none() && !text.contains(' ');
        if is_word || is_certain_type(text) {
            self.error_type = Some(text.to_owned());
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        // These hold a trace, or nothing of interest.
        const NO_MESSAGE: &[&str] =
            &["stack", "stack_trace", "stacktrace", "backtrace", "extra", "context", "data"];
        let place = match block::has_trace(text) {
            true => &mut self.stack,
            false if is_one_of(name, NO_MESSAGE) || text.trim().is_empty() => return,
            false => &mut self.message,
        };
        if place.is_none() {
            *place = Some(text.to_owned());
        }
    }
}

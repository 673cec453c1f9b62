//! Extracts the last log lines of a terminated container from the end of its log file.
//!
//! The result is meant for readers: a line that the runtime split into parts is one line again, colour codes
//! are removed, and each byte that could harm a terminal or a JSON reader appears as `\xNN`. (A backslash that
//! the container wrote stays as it is, so `\x1b` in a text may also be literally that.) Text that looks like a
//! credential is masked ([`crate::core::logs::mask`]) unless masking is turned off.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

use jiff::Timestamp;
use memchr::memchr;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::core::logs::cri::{self, LogStream};
use crate::core::logs::mask::Mask;
use crate::core::order::sort_by;
use crate::core::text::{cut, is_harmful, push_escaped};
use crate::core::wire::json::{self, Text, members};
use crate::limits::{
    CAUSE_LINE_BYTES_MAX, CAUSE_LINES_MAX, CAUSE_TEXT_BYTES_MAX, LOG_BYTES_MAX, LOG_JOIN_BYTES_MAX,
    LOG_LINE_BYTES_MAX,
};

/// Bytes of JSON around the text of a line, including the comma after it and the longest possible year.
const AROUND_BYTES: usize =
    r#"{"at":"-009999-12-31T23:59:59.999Z","stream":"stdout","text":""},"#.len();

/// The end of a log file.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a> {
    /// The bytes of the end.
    pub bytes: &'a [u8],
    /// True if the file begins before these bytes, so that the first line is incomplete.
    pub is_cut: bool,
}

/// One log line of a container, as an incident shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogText {
    /// When the runtime read the line; for a line in parts, the time of the first part that was found.
    pub time: Timestamp,
    /// The stream to which the container wrote.
    pub stream: LogStream,
    /// The readable text. In an incident it has at most [`LOG_LINE_BYTES_MAX`] bytes. Of a longer line it is the start and an
    /// ellipsis: the start has the level and the message, and what follows is a trace or a dump.
    pub text: String,
}

impl LogText {
    /// Returns the line's bytes in the incident line, or a few more. Every character of the text that JSON
    /// escapes takes one extra backslash and no more.
    fn json_bytes(&self) -> usize {
        let escaped = self.text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\t'));
        AROUND_BYTES + self.text.len() + escaped.count()
    }
}

impl Serialize for LogText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("LogText", 3)?;
        // Milliseconds are enough: the order of the lines says more than smaller fractions would.
        line.serialize_field("at", &format_args!("{:.3}", self.time))?;
        line.serialize_field("stream", self.stream.name())?;
        line.serialize_field("text", &self.text)?;
        line.end()
    }
}

/// Why there are fewer lines than requested, although the container wrote more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// The incident has no room for more lines ([`LOG_BYTES_MAX`], or [`LastWords::fit`]).
    Bytes,
    /// Only a limited part of a file's end is read.
    Tail,
    /// The other lines are in rotated files that are compressed, or could not be read.
    Rotated,
}

/// The last log lines of a container, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LastWords {
    /// The lines, in the order in which they ended.
    pub lines: Vec<LogText>,
    /// The newest file from which lines were read, relative to the pod's log folder: `app/3.log`. Empty if no
    /// file was read.
    pub file: String,
    /// Number of lines in the file that have neither CRI's format nor Docker's.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// `None` if these are all lines, or as many as requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Truncation>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl LastWords {
    /// Returns the bytes of the lines in the incident line, or a few more.
    pub fn json_bytes(&self) -> usize {
        self.lines.iter().map(LogText::json_bytes).sum()
    }

    /// Drops all but the newest `lines` lines.
    pub fn keep_newest(&mut self, lines: usize) {
        let excess = self.lines.len().saturating_sub(lines);
        if excess > 0 {
            self.lines.drain(..excess);
            self.truncated = Some(Truncation::Bytes);
        }
    }

    /// Drops the oldest lines until the others take at most `bytes` bytes in the incident line.
    pub fn fit(&mut self, bytes: usize) {
        let mut left = self.json_bytes();
        let mut oldest = self.lines.iter();
        while left > bytes
            && let Some(line) = oldest.next()
        {
            left -= line.json_bytes();
            self.truncated = Some(Truncation::Bytes);
        }
        let gone = self.lines.len() - oldest.len();
        self.lines.drain(..gone);
    }
}

/// The end of a container's log: the lines that an incident shows, and those before them in which its cause may stand.
#[derive(Debug)]
pub struct LogEnd {
    lines: VecDeque<LogText>,
    /// The bytes of the lines' texts.
    bytes: usize,
    stdout: Channel,
    stderr: Channel,
    skipped: usize,
    /// True if there are older lines, which were dropped.
    is_partial: bool,
    /// True if the oldest file begins before the bytes that were read.
    is_cut: bool,
    is_plain: bool,
}

/// State of one of the container's streams.
#[derive(Debug)]
struct Channel {
    under_way: Option<UnderWay>,
    /// The state of masking. A private key spans lines, and only lines of the same stream belong to it.
    mask: Option<Mask>,
}

/// A line whose last part has not been read.
#[derive(Debug)]
struct UnderWay {
    time: Timestamp,
    content: Vec<u8>,
    is_cut: bool,
}

impl UnderWay {
    fn append(&mut self, content: &[u8]) {
        let room = LOG_JOIN_BYTES_MAX - self.content.len();
        self.is_cut |= content.len() > room;
        self.content.extend_from_slice(&content[..content.len().min(room)]);
    }
}

impl LogEnd {
    fn new(is_masked: bool) -> Self {
        let channel = || Channel { under_way: None, mask: is_masked.then(Mask::default) };
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            stdout: channel(),
            stderr: channel(),
            skipped: 0,
            is_partial: false,
            is_cut: false,
            is_plain: false,
        }
    }

    /// Reads the lines of one log. `tails` are the ends of its files, the oldest file first; a line may continue from one file
    /// to the next. At most [`CAUSE_LINES_MAX`] lines and [`CAUSE_TEXT_BYTES_MAX`] bytes of text are kept, the newest.
    ///
    /// A line without its last part is included as well, after all others, since it may be the very last output.
    /// In a tail that is cut, the first line of each stream may lack its start.
    pub fn read(tails: &[Tail<'_>], is_masked: bool) -> Self {
        let mut end = Self::new(is_masked);
        for tail in tails {
            end.tail(*tail);
        }
        end.is_cut = tails.first().is_some_and(|tail| tail.is_cut);
        end.finish();
        end
    }

    /// Reads a log that is plain text, as `kubectl logs` prints it. It does not tell the streams apart, so all of it counts as
    /// stderr, and it has no times.
    pub fn read_plain(text: &[u8], is_masked: bool) -> Self {
        let mut end = Self { is_plain: true, ..Self::new(is_masked) };
        if text.is_empty() {
            return end;
        }
        // The last newline ends a line and begins none.
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
            end.part(Timestamp::UNIX_EPOCH, LogStream::Stderr, false, line);
        }
        end
    }

    /// Returns true if the first line has CRI's format or Docker's.
    pub fn has_format(text: &[u8]) -> bool {
        let first = memchr(b'\n', text).map_or(text, |end| &text[..end]);
        cri::parse(first).is_some() || DockerLine::parse(first).is_some()
    }

    /// Returns the last lines for an incident: at most `lines_max` lines, and at most [`LOG_BYTES_MAX`] bytes in the incident
    /// line. [`LastWords::file`] is left empty.
    pub fn last_words(&self, lines_max: usize) -> LastWords {
        let mut left = LOG_BYTES_MAX;
        let mut lines: Vec<LogText> = Vec::new();
        for line in self.lines.iter().rev().take(lines_max) {
            let shown = LogText { text: cut(&line.text, LOG_LINE_BYTES_MAX), ..*line };
            match left.checked_sub(shown.json_bytes()) {
                Some(rest) => left = rest,
                None => break,
            }
            lines.push(shown);
        }
        lines.reverse();
        let truncated = if lines.len() >= lines_max {
            None
        } else if lines.len() < self.lines.len() || self.is_partial {
            Some(Truncation::Bytes)
        } else {
            self.is_cut.then_some(Truncation::Tail)
        };
        LastWords { lines, file: String::new(), skipped: self.skipped, truncated }
    }

    /// Returns true if the log does not tell the streams apart.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Returns all lines that were kept, the oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &LogText> {
        self.lines.iter()
    }

    fn tail(&mut self, tail: Tail<'_>) {
        let mut rest = tail.bytes;
        if tail.is_cut {
            // The first line is dropped even if it looks whole: a container can write text that looks like the
            // start of a line.
            rest = memchr(b'\n', rest).map_or(&[], |end| &rest[end + 1..]);
        }
        while let Some(end) = memchr(b'\n', rest) {
            if end > 0 && !self.line(&rest[..end]) {
                self.skipped += 1;
            }
            rest = &rest[end + 1..];
        }
        // The runtime may be writing this line right now: what is there is used, and a line that is too short to
        // be parsed does not count as skipped.
        self.line(rest);
    }

    /// Adds a line of the file. Returns false if the line has neither format.
    fn line(&mut self, line: &[u8]) -> bool {
        if let Some(part) = cri::parse(line) {
            self.part(part.time, part.stream, part.partial, part.content);
        } else if let Some(part) = DockerLine::parse(line) {
            let (is_partial, content) = part.content();
            self.part(part.time, part.stream, is_partial, content.as_bytes());
        } else {
            return false;
        }
        true
    }

    fn part(&mut self, time: Timestamp, stream: LogStream, is_partial: bool, content: &[u8]) {
        let channel = self.channel(stream);
        let start = || UnderWay { time, content: Vec::new(), is_cut: false };
        let mut line = channel.under_way.take().unwrap_or_else(start);
        line.append(content);
        if is_partial {
            channel.under_way = Some(line);
        } else {
            self.whole(stream, &line);
        }
    }

    fn channel(&mut self, stream: LogStream) -> &mut Channel {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }

    fn whole(&mut self, stream: LogStream, line: &UnderWay) {
        let mut text = readable(&line.content);
        if let Some(mask) = &mut self.channel(stream).mask
            && let Cow::Owned(masked) = mask.line(&text)
        {
            text = masked;
        }
        // The line is cut only after masking: the first half of a token cannot be recognized as one.
        if line.is_cut {
            text.push('…');
        }
        let text = cut(&text, CAUSE_LINE_BYTES_MAX);
        self.bytes += text.len();
        self.lines.push_back(LogText { time: line.time, stream, text });
        while self.lines.len() > CAUSE_LINES_MAX || self.bytes > CAUSE_TEXT_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
            self.is_partial = true;
        }
    }

    /// Adds the lines whose last part is missing.
    fn finish(&mut self) {
        let under_way = [LogStream::Stdout, LogStream::Stderr]
            .map(|stream| (stream, self.channel(stream).under_way.take()));
        let mut under_way: Vec<_> =
            under_way.into_iter().filter_map(|(stream, line)| Some((stream, line?))).collect();
        sort_by(&mut under_way, |(_, a), (_, b)| a.time.cmp(&b.time));
        for (stream, line) in under_way {
            self.whole(stream, &line);
        }
    }
}

/// A line of Docker's log driver `json-file`, which is used on nodes with cri-dockerd.
struct DockerLine<'a> {
    log: Text<'a>,
    stream: LogStream,
    time: Timestamp,
}

/// The line as Docker writes it.
#[derive(Default)]
struct DockerWire<'a> {
    log: Option<Text<'a>>,
    stream: Text<'a>,
    time: Text<'a>,
}

members! { DockerWire<'a> {
    b"log" => log,
    b"stream" => stream,
    b"time" => time,
} }

impl<'a> DockerLine<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        if line.first() != Some(&b'{') {
            return None;
        }
        let wire: DockerWire<'a> = json::from_slice(line).ok()?;
        let stream = match &*wire.stream {
            "stdout" => LogStream::Stdout,
            "stderr" => LogStream::Stderr,
            _ => return None,
        };
        Some(Self { log: wire.log?, stream, time: wire.time.time()? })
    }

    /// Returns whether the line continues, and its text: Docker keeps the newline of a whole line.
    fn content(&self) -> (bool, &str) {
        match self.log.strip_suffix('\n') {
            Some(whole) => (false, whole),
            None => (true, &self.log),
        }
    }
}

/// Converts the bytes to readable text. ANSI control sequences (colours, cursor movements) and carriage
/// returns at the end are removed. Bytes that are not UTF-8, and control characters other than the tab, become
/// `\xNN`; characters that would change the order or the lines of the text around them become `\u{NNNN}`.
fn readable(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    let mut out = String::with_capacity(end);
    for chunk in bytes[..end].utf8_chunks() {
        push_readable(chunk.valid(), &mut out);
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push_readable(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| is_harmful(c) && c != '\t') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = behind_sequence(rest) {
            rest = behind;
            continue;
        }
        let mut chars = rest.chars();
        if let Some(c) = chars.next() {
            push_escaped(c, out);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Returns the text after a control sequence (ECMA-48, 5.4: `ESC [`, parameters, intermediates, a final byte).
/// `None`: the text does not begin with one.
fn behind_sequence(text: &str) -> Option<&str> {
    let sequence = text.strip_prefix("\x1b[").or_else(|| text.strip_prefix('\u{9b}'))?;
    let behind = sequence.trim_start_matches(|c| matches!(c, '0'..='?'));
    let behind = behind.trim_start_matches(|c| matches!(c, ' '..='/'));
    behind.strip_prefix(|c| matches!(c, '@'..='~'))
}

#[cfg(test)]
mod tests;

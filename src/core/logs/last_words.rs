//! The last lines of a dead container, from the end of its log file.
//!
//! What is told is made to be read: a line that the runtime cut into parts is one line again, colour
//! codes are gone, and each byte that no terminal and no JSON reader should meet stands there as
//! `\xNN`. (A backslash that the container wrote stays as it is, so `\x1b` in a text may also be
//! just that.) What looks like a credential is masked ([`crate::core::logs::mask`]) unless that is turned off.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

use jiff::Timestamp;
use memchr::memchr;
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::core::logs::cri::{self, LogStream};
use crate::core::logs::mask::Mask;
use crate::core::text::cut;
use crate::limits::{LOG_BYTES_MAX, LOG_JOIN_BYTES_MAX, LOG_LINE_BYTES_MAX};

/// What stands around the text of a line in JSON, in bytes, with the comma behind it and the year
/// as long as it gets.
const AROUND_BYTES: usize =
    r#"{"at":"-009999-12-31T23:59:59.999Z","stream":"stdout","text":""},"#.len();

/// The end of a log file.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The file begins before them, so that the first line of them is none.
    pub is_cut: bool,
}

/// One line of a container, as an incident shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogText {
    /// When the runtime read it; of a line in parts, the first of those that were found.
    pub time: Timestamp,
    /// Where the container wrote it.
    pub stream: LogStream,
    /// In readable form, at most [`LOG_LINE_BYTES_MAX`] bytes. Of a longer line it is the start, and
    /// an ellipsis: there stand the level and the message, and what follows is a trace or a dump.
    pub text: String,
}

impl LogText {
    /// Bytes in the incident line, or a few more than that. The text has no byte that takes more
    /// than a backslash in JSON.
    fn json_bytes(&self) -> usize {
        let escaped = self.text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\t'));
        AROUND_BYTES + self.text.len() + escaped.count()
    }
}

impl Serialize for LogText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("LogText", 3)?;
        // The order of the lines tells more than a millisecond's parts would.
        line.serialize_field("at", &format_args!("{:.3}", self.time))?;
        line.serialize_field("stream", self.stream.name())?;
        line.serialize_field("text", &self.text)?;
        line.end()
    }
}

/// Why there are fewer lines than were asked for, though the container wrote more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// An incident has no room for more ([`LOG_BYTES_MAX`], or [`LastWords::fit`]).
    Bytes,
    /// Only so much of a file's end is read.
    Tail,
    /// They are in rotated files that are compressed, or could not be read.
    Rotated,
}

/// The last lines of a container, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LastWords {
    /// In the order in which they ended.
    pub lines: Vec<LogText>,
    /// The newest file that they are from, below the pod's log folder: `app/3.log`. Empty: none was
    /// read.
    pub file: String,
    /// Lines of the file that are none: neither CRI's form nor Docker's.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// `None`: these are all lines, or as many as were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Truncation>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl LastWords {
    /// Bytes of the lines in the incident line, or a few more than that.
    pub fn json_bytes(&self) -> usize {
        self.lines.iter().map(LogText::json_bytes).sum()
    }

    /// Drops all but the newest lines.
    pub fn keep_newest(&mut self, lines: usize) {
        let excess = self.lines.len().saturating_sub(lines);
        if excess > 0 {
            self.lines.drain(..excess);
            self.truncated = Some(Truncation::Bytes);
        }
    }

    /// Drops the oldest lines until the others take at most so many bytes in the incident line.
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

/// The last lines of one log, given the ends of its files, the oldest file first; a line may go on
/// from one file to the next. At most `lines_max`, and [`LOG_BYTES_MAX`] bytes in the incident line;
/// the newest stay. [`LastWords::file`] is left empty.
///
/// A line whose end never came is told as well, after all others: it may be the very last word. In a
/// tail that is cut, the first line of each stream may lack its start.
pub fn last_words(tails: &[Tail<'_>], lines_max: usize, is_masked: bool) -> LastWords {
    let mut collected = Collected::new(lines_max, is_masked);
    for tail in tails {
        collected.tail(*tail);
    }
    collected.finish(tails.first().is_some_and(|tail| tail.is_cut))
}

/// The lines so far. However long the tails are, it holds what fits into an incident, and two lines
/// under way.
struct Collected {
    lines: VecDeque<LogText>,
    json_bytes: usize,
    lines_max: usize,
    stdout: Channel,
    stderr: Channel,
    skipped: usize,
    /// Lines went because the newer ones left no room, few as they are.
    overflowed: bool,
}

/// What is known of one of the container's streams.
struct Channel {
    under_way: Option<UnderWay>,
    /// A private key has lines of its own, and only this stream's are its.
    mask: Option<Mask>,
}

/// A line whose end has not come.
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

impl Collected {
    fn new(lines_max: usize, is_masked: bool) -> Self {
        let channel = || Channel { under_way: None, mask: is_masked.then(Mask::default) };
        Self {
            lines: VecDeque::new(),
            json_bytes: 0,
            lines_max,
            stdout: channel(),
            stderr: channel(),
            skipped: 0,
            overflowed: false,
        }
    }

    fn tail(&mut self, tail: Tail<'_>) {
        let mut rest = tail.bytes;
        if tail.is_cut {
            // Whatever it looks like: a container can write what looks like the start of a line.
            rest = memchr(b'\n', rest).map_or(&[], |end| &rest[end + 1..]);
        }
        while let Some(end) = memchr(b'\n', rest) {
            if end > 0 && !self.line(&rest[..end]) {
                self.skipped += 1;
            }
            rest = &rest[end + 1..];
        }
        // The runtime may be writing this one right now: what is there counts, and what is too short
        // to be read is nobody's fault.
        self.line(rest);
    }

    /// Takes a line of the file; whether it is one.
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
        // Only now: of a token's first half nothing could tell that it is one.
        if line.is_cut {
            text.push('…');
        }
        let text = LogText { time: line.time, stream, text: cut(&text, LOG_LINE_BYTES_MAX) };
        self.json_bytes += text.json_bytes();
        self.lines.push_back(text);
        while self.lines.len() > self.lines_max || self.json_bytes > LOG_BYTES_MAX {
            self.overflowed |= self.lines.len() <= self.lines_max;
            let Some(oldest) = self.lines.pop_front() else { break };
            self.json_bytes -= oldest.json_bytes();
        }
    }

    fn finish(mut self, is_cut: bool) -> LastWords {
        let under_way = [LogStream::Stdout, LogStream::Stderr]
            .map(|stream| (stream, self.channel(stream).under_way.take()));
        let mut under_way: Vec<_> =
            under_way.into_iter().filter_map(|(stream, line)| Some((stream, line?))).collect();
        under_way.sort_by_key(|(_, line)| line.time);
        for (stream, line) in under_way {
            self.whole(stream, &line);
        }
        let truncated = if self.lines.len() >= self.lines_max {
            None
        } else if self.overflowed {
            Some(Truncation::Bytes)
        } else {
            is_cut.then_some(Truncation::Tail)
        };
        let (lines, skipped) = (self.lines.into(), self.skipped);
        LastWords { lines, file: String::new(), skipped, truncated }
    }
}

/// A line of Docker's log driver `json-file`, which nodes with cri-dockerd have.
struct DockerLine<'a> {
    log: Cow<'a, str>,
    stream: LogStream,
    time: Timestamp,
}

/// As it is written.
#[derive(Deserialize)]
struct DockerWire<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl<'a> DockerLine<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        if line.first() != Some(&b'{') {
            return None;
        }
        let wire: DockerWire<'a> = serde_json::from_slice(line).ok()?;
        let stream = match &*wire.stream {
            "stdout" => LogStream::Stdout,
            "stderr" => LogStream::Stderr,
            _ => return None,
        };
        Some(Self { log: wire.log, stream, time: wire.time.parse().ok()? })
    }

    /// Whether the line goes on, and what there is of it: Docker keeps the newline of a whole one.
    fn content(&self) -> (bool, &str) {
        match self.log.strip_suffix('\n') {
            Some(whole) => (false, whole),
            None => (true, &self.log),
        }
    }
}

/// The bytes as text: ANSI control sequences (colours, moves of the cursor) and a carriage return at
/// the end go; what is not UTF-8, and each control character but the tab, becomes `\xNN`, and a
/// character that would change the order or the lines of the text around it `\u{NNNN}`.
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
    while let Some(at) = rest.find(is_harmful) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = behind_sequence(rest) {
            rest = behind;
            continue;
        }
        let mut chars = rest.chars();
        let code = chars.next().map_or(0, u32::from);
        let _ = match code {
            0..0x80 => write!(out, "\\x{code:02x}"),
            _ => write!(out, "\\u{{{code:x}}}"),
        };
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Control characters, line ends that are not ASCII, and what turns the direction of writing
/// (Unicode's bidirectional formatting characters, with which a text can be made to show another).
fn is_harmful(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}') || turns
}

/// What stands behind a control sequence (ECMA-48, 5.4: `ESC [`, parameters, intermediates, a final
/// byte). `None`: the text begins with none.
fn behind_sequence(text: &str) -> Option<&str> {
    let sequence = text.strip_prefix("\x1b[").or_else(|| text.strip_prefix('\u{9b}'))?;
    let behind = sequence.trim_start_matches(|c| matches!(c, '0'..='?'));
    let behind = behind.trim_start_matches(|c| matches!(c, ' '..='/'));
    behind.strip_prefix(|c| matches!(c, '@'..='~'))
}

#[cfg(test)]
mod tests;

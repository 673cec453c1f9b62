//! Crashes of several lines: a headline with a stack trace, and the chain of errors behind it.

mod go;
mod python;
mod rust;

use std::borrow::Cow;

use self::go::{go, is_go, without_arguments};
use self::python::python;
use self::rust::rust;

use crate::core::cause::frame::{Frame, Row, is_foreign, is_go_call, row, undecorated};
use crate::core::cause::headline::{Headline, is_certain_type, of_ruby, without_place};
use crate::core::cause::place::{Place, find, place_at_start};
use crate::core::cause::prefix::Level;
use crate::core::cause::search::{Text, Words, text};
use crate::core::cause::{Entry, Location, Rank, Told, joined};
use crate::limits::{CAUSE_HEADLINE_LINES_MAX, CAUSE_LINE_QUOTE_BYTES_MAX};

/// What begins Python's tracebacks.
static TRACEBACK: Text = text!("Traceback (most recent call last)");
/// What Rust's panics say.
static PANICKED: Text = text!("panicked at ");

/// One error of a chain.
#[derive(Clone, Copy, Debug)]
struct Link<'a> {
    headline: Headline<'a>,
    /// The index of its headline in the stream.
    at: usize,
    /// The innermost frame in the application's own code.
    own: Option<Frame<'a>>,
    /// The innermost frame of all.
    any: Option<Frame<'a>>,
    /// How it relates to the error before it in the log.
    relation: Relation,
}

/// How an error relates to the error before it in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// It has nothing to do with it, or it is the first.
    None,
    /// It caused the error before it (JVM, .NET, Node, Ruby).
    CausedIt,
    /// The error before it caused it (Python: "direct cause").
    CausedByIt,
    /// It came up while the error before it was handled (Python). The error before was got over.
    Later,
    /// It is one of the group that the error before it is.
    PartOfIt,
}

/// Returns the crashes of one stream, in the order of the log.
pub(super) fn blocks<'a>(lines: &[Entry<'a>]) -> Vec<Told<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    // Where the last block ended: no headline is looked for before it.
    let mut free = 0;
    while at < lines.len() {
        let parsed = opening(lines, at).or_else(|| framed(lines, at, free));
        match parsed {
            Some((told, end)) => {
                found.extend(told);
                at = end.max(at + 1);
                free = at;
            }
            None => at += 1,
        }
    }
    found
}

/// A crash, if the lines tell one, and the index behind its lines.
type Parsed<'a> = Option<(Option<Told<'a>>, usize)>;

/// Parses a block that its first line announces.
fn opening<'a>(lines: &[Entry<'a>], at: usize) -> Parsed<'a> {
    let text = undecorated(lines[at].text);
    if TRACEBACK.find(text.as_bytes()).is_some() || text.starts_with("Traceback (innermost last)") {
        return Some(python(lines, at));
    }
    if PANICKED.find(text.as_bytes()).is_some() {
        return rust(lines, at);
    }
    if is_go(lines[at].text) {
        return Some(go(lines, at));
    }
    if let Some(told) = traced_before(lines, at) {
        return Some((Some(told), at + 1));
    }
    if text.trim_end() == "Caused by:" {
        let head = previous_words(lines, at)?;
        let (told, end) = chain_from(lines, head, at, None, rank_of(&lines[head]));
        return Some((Some(told), end.max(at + 1)));
    }
    careted(lines, at)
}

/// Parses Nim's form: the frames first, the newest last, then the words that nobody caught the error.
fn traced_before<'a>(lines: &[Entry<'a>], at: usize) -> Option<Told<'a>> {
    static UNCAUGHT: Words = Words::new(&["uncaught", "unhandled", "exception in thread "]);
    let before = lines.get(at.checked_sub(1)?)?;
    let is_frame = |entry: &Entry<'_>| matches!(entry.row, Row::Frame(_));
    // With frames behind it the headline is theirs.
    if !is_frame(before) || lines.get(at + 1).is_some_and(is_frame) {
        return None;
    }
    // Most lines behind frames say nothing of the kind.
    let text = lines[at].text;
    if !UNCAUGHT.is_in(&text[..text.floor_char_boundary(CAUSE_LINE_QUOTE_BYTES_MAX)]) {
        return None;
    }
    let headline = Headline::read(text, false);
    if !headline.is_uncaught {
        return None;
    }
    let frames = lines[..at].iter().rev().take(CAUSE_HEADLINE_LINES_MAX).map_while(|entry| {
        match entry.row {
            Row::Frame(frame) => Some(frame),
            _ => None,
        }
    });
    let own = frames.clone().find(|frame| !frame.is_foreign);
    let link = Link { headline, at, own, any: None, relation: Relation::None };
    Some(told(lines, &[link], 0, at, Rank::Crash))
}

/// Describes the error at the end of a chain.
fn told<'a>(
    lines: &[Entry<'a>],
    chain: &[Link<'a>],
    root: usize,
    last: usize,
    rank: Rank,
) -> Told<'a> {
    let link = &chain[root];
    let outermost = outermost(chain, root);
    let own = link.own.or_else(|| chain.iter().find_map(|link| link.own));
    let place = own.map(|frame| Location::of_frame(&frame));
    let mut message: Cow<'a, str> = link.headline.message.into();
    let mut said = said_place(lines, link.at);
    let is_open = match link.headline.message {
        "" => link.headline.error_type.is_empty() || lines[link.at].text.trim_end().ends_with(':'),
        message => message.ends_with(':'),
    };
    if is_open
        && let Some(next) =
            lines[link.at + 1..].iter().take(2).find(|next| !next.text.trim().is_empty())
        && (next.row == Row::Other && !next.spoken.has_prefix)
        && (indent_of(next.text) == 0 || !message.is_empty())
    {
        let next = next.text.trim();
        message = format!("{message} {next}").trim_start().to_owned().into();
        said = said.or_else(|| find(next).map(|found| Location::of_place(found.place)));
    }
    // PHP's message ends with the place, and its first frame with the function that was called there.
    let thrown = thrown_in(link.headline.message);
    if let Some((bare, place)) = thrown {
        message = bare.into();
        let function = link.own.or(link.any).map_or("", |frame| frame.function);
        said = Some(Location::of_frame(&Frame { place, function, is_foreign: false }));
    }
    let context = outermost
        .filter(|outer| outer.at != link.at)
        .map(|outer| joined(outer.headline.error_type, outer.headline.message));
    Told {
        error_type: link.headline.error_type.into(),
        message,
        context,
        location: if thrown.is_some() { said } else { place.or(said) },
        line: lines[link.at].n,
        last: lines[last.min(lines.len() - 1)].n,
        rank,
    }
}

/// Takes `in /app/app.php:8` off the end of a message.
fn thrown_in(message: &str) -> Option<(&str, Place<'_>)> {
    // Perl: `… at app.pl line 4.`
    if let Some((bare, place)) =
        message.strip_suffix('.').and_then(|message| message.rsplit_once(" at "))
    {
        let found = place_at_start(place).filter(|found| found.length == place.len())?;
        return Some((bare, found.place));
    }
    let (bare, place) = message.rsplit_once(" in ")?;
    let found = place_at_start(place).filter(|found| found.length == place.trim_end().len())?;
    place.starts_with('/').then_some((bare, found.place))
}

/// The place that the headline itself tells.
fn said_place(lines: &[Entry<'_>], at: usize) -> Option<Location> {
    let (_, found) = without_place(lines[at].spoken.body);
    let place = found.map(|found| found.place).or(lines[at].spoken.place)?;
    Some(Location::of_place(place))
}

fn outermost<'c, 'a>(chain: &'c [Link<'a>], root: usize) -> Option<&'c Link<'a>> {
    match chain[root].relation {
        Relation::CausedIt | Relation::PartOfIt => {
            let first = (0..root).rev().take_while(|at| {
                matches!(chain[at + 1].relation, Relation::CausedIt | Relation::PartOfIt)
            });
            first.last().map(|at| &chain[at])
        }
        _ => {
            let later = (root + 1..chain.len())
                .take_while(|at| chain[*at].relation == Relation::CausedByIt);
            later.last().map(|at| &chain[at])
        }
    }
}

/// Returns what a headline's log line says about whether the program got over the error.
fn rank_of(entry: &Entry<'_>) -> Rank {
    match entry.spoken.level {
        _ if entry.spoken.is_of_runtime() => Rank::Crash,
        // Go's HTTP server ends the request and goes on.
        _ if entry.spoken.body.contains("panic serving ") => Rank::GotOver,
        // No runtime writes the time before its words.
        None if entry.spoken.has_prefix && !Headline::read(entry.spoken.body, true).is_uncaught => {
            Rank::LoggedTrace
        }
        None => Rank::Crash,
        Some(Level::Warn | Level::Quiet) => Rank::GotOver,
        Some(level) => Rank::of(level),
    }
}

/// Returns true if a log record announces the trace that begins at `start`: it is the line just before. Nobody logs an error as
/// information, so a line of that kind is about something else.
fn is_announcement(lines: &[Entry<'_>], n: usize, start: usize) -> bool {
    n + 3 >= start && lines[n].spoken.level >= Some(Level::Warn)
}

/// Returns the last line with words before `at`.
fn previous_words(lines: &[Entry<'_>], at: usize) -> Option<usize> {
    (at.saturating_sub(3)..at).rev().find(|n| {
        let text = lines[*n].text.trim();
        !text.is_empty() && text != "\"\"\"" && !text.starts_with("future: ")
    })
}

fn indent_of(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Parses Node's head: a place, the source text, a mark below it, the headline.
fn careted<'a>(lines: &[Entry<'a>], at: usize) -> Parsed<'a> {
    let text = lines[at].text.trim_start_matches("file://");
    let internal = text.starts_with("node:");
    let place = match lines[at].row_of(text) {
        // Python's SyntaxError.
        Row::Frame(frame) if text.starts_with("  File \"") && frame.function.is_empty() => {
            Some(frame.place)
        }
        _ => place_at_start(text)
            .filter(|found| found.length == text.trim_end().len())
            .map(|found| found.place),
    };
    if place.is_none() && !internal {
        return None;
    }
    let mark = (at + 1..lines.len().min(at + 4)).find(|n| {
        let text = lines[*n].text.trim();
        !text.is_empty() && text.bytes().all(|b| matches!(b, b'^' | b'~' | b' '))
    })?;
    let head = (mark + 1..lines.len().min(mark + 4)).find(|n| !lines[*n].text.trim().is_empty())?;
    let own = place.filter(|place| !is_foreign(place.file, "")).map(|place| Frame {
        place,
        function: "",
        is_foreign: false,
    });
    let (told, end) = chain_from(lines, head, head, own, Rank::Crash);
    Some((Some(told), end))
}

/// Parses a stack trace whose first frame is at `at`, with the headline before it.
fn framed<'a>(lines: &[Entry<'a>], at: usize, free: usize) -> Parsed<'a> {
    // A headline may have the place in it: ``app.rb:4:in `post': … (LedgerClosed)``.
    if let Some(parsed) = placed(lines, at) {
        return Some(parsed);
    }
    let is_frame = |at: usize| matches!(lines[at].row, Row::Frame(_));
    if lines[at].spoken.has_prefix || !is_frame(at) || (at > free && is_frame(at - 1)) {
        // Frames without a headline are looked at once.
        return None;
    }
    let head = head_before(lines, at, free)?;
    let entry = &lines[head];
    let headline = headline_of(entry);
    let announced = previous_words(lines, head).filter(|n| *n >= free);
    let announced = announced.filter(|n| is_announcement(lines, *n, head));
    let rank = match (entry.spoken.level, announced) {
        (None, Some(n)) => rank_of(&lines[n]),
        (None, None) if headline.error_type.is_empty() && !headline.is_certain() => {
            rank_of(entry).min(Rank::Untyped)
        }
        _ => rank_of(entry),
    };
    let (told, end) = chain_from(lines, head, at, None, rank);
    Some((Some(told), end.max(at + 1)))
}

/// Returns the headline of the stack trace that begins at `at`: the nearest line that names an error, otherwise the log record
/// before the trace, otherwise the nearest line.
fn head_before(lines: &[Entry<'_>], at: usize, free: usize) -> Option<usize> {
    // Indented lines continue the headline: Lua lists every file that it looked for.
    let from = at.saturating_sub(4 * CAUSE_HEADLINE_LINES_MAX).max(free);
    let plain = (from..at).rev().filter(|n| indent_of(lines[*n].text) == 0);
    let mut nearest = None;
    for n in plain.take(CAUSE_HEADLINE_LINES_MAX) {
        let Entry { text, spoken, row, .. } = &lines[n];
        // Tcl quotes its commands between the words that lead to them.
        let is_quoted = || n > 0 && lines[n - 1].row == Row::Filler;
        // The function of a Go frame stands in the line before its place.
        let is_row = matches!(row, Row::Filler | Row::Function(_));
        if spoken.body.is_empty() && spoken.level.is_some() {
            // .NET's logger writes the message in the lines below.
            return Some(n);
        }
        if spoken.body.is_empty() || is_row || (text.starts_with('"') && is_quoted()) {
            continue;
        }
        if spoken.is_of_runtime() || Headline::read(spoken.body, false).is_certain() {
            return Some(n);
        }
        if spoken.level.is_some() {
            // A plain line between the two may be source text, unless it names a type with its package.
            let is_typed = |n: &usize| {
                Headline::read(lines[*n].spoken.body, true).error_type.contains(['.', '$', '\\'])
            };
            return nearest
                .filter(|n| spoken.level < Some(Level::Error) || is_typed(n))
                .or(Some(n));
        }
        let is_function = !spoken.body.contains(' ') && !spoken.body.ends_with(':');
        nearest = nearest.or_else(|| (!is_function).then_some(n));
    }
    nearest
}

/// Parses Ruby's headline, which has the place in it, and what follows.
fn placed<'a>(lines: &[Entry<'a>], at: usize) -> Parsed<'a> {
    let link = link_of_ruby(lines, at)?;
    let (told, end) = chain_from(lines, at, at, link.own, rank_of(&lines[at]));
    Some((Some(told), end))
}

/// Reads Ruby's headline: ``app.rb:4:in `post': period is closed (LedgerClosed)``.
fn link_of_ruby<'a>(lines: &[Entry<'a>], at: usize) -> Option<Link<'a>> {
    let body = lines[at].spoken.body;
    let (rest, found) = without_place(body);
    let found = found?;
    let headline = of_ruby(rest);
    let function = body[found.length..].strip_prefix(":in ")?.trim_start_matches(['`', '\'']);
    let function = function.split_once("': ").map_or("", |(function, _)| function);
    let function = function.strip_prefix("rescue in ").unwrap_or(function);
    let is_foreign = is_foreign(found.place.file, function);
    let frame = Frame { place: found.place, function, is_foreign };
    let own = Some(frame).filter(|frame| !frame.is_foreign);
    let relation = Relation::CausedIt;
    (!headline.error_type.is_empty()).then_some(Link {
        headline,
        at,
        own,
        any: Some(frame),
        relation,
    })
}

/// Reads the headline of a line; the prefix may have taken `Fatal Python error: ` for a level.
fn headline_of<'a>(entry: &Entry<'a>) -> Headline<'a> {
    match entry.spoken.is_of_runtime() {
        true => Headline {
            error_type: entry.spoken.label,
            message: entry.spoken.body,
            is_uncaught: true,
        },
        false => Headline::read(entry.spoken.body, true),
    }
}

/// Follows a chain from its first headline, which is that of the outermost error. `framed`: where its first frame is known to be.
/// Returns the crash and the index behind it.
fn chain_from<'a>(
    lines: &[Entry<'a>],
    head: usize,
    framed: usize,
    own: Option<Frame<'a>>,
    rank: Rank,
) -> (Told<'a>, usize) {
    let headline = headline_of(&lines[head]);
    let first = Link { headline, at: head, own, any: None, relation: Relation::None };
    let mut walk = Walk {
        chain: vec![first],
        current: 0,
        is_suppressed: false,
        has_frames: own.is_some(),
        called: "",
    };
    let mut at = head + 1;
    while at < lines.len() {
        let Entry { text, spoken, .. } = &lines[at];
        let text = undecorated(text);
        let is_record = spoken.level.is_some() && indent_of(lines[at].text) == 0;
        let trimmed = text.trim_start();
        let is_nested = walk.is_suppressed && indent_of(text) > 0;
        if is_record {
            break;
        } else if trimmed.starts_with("Suppressed: ") {
            walk.is_suppressed = true;
        } else if trimmed.starts_with("--- End of ") {
            walk.current = walk.current.saturating_sub(1);
        } else if let Some(cause) = caused(trimmed).filter(|_| !is_nested) {
            if cause.is_empty() {
                return listed(lines, &walk.chain[0], at, rank);
            }
            let headline = Headline::read(cause, true);
            walk.push(Link { headline, at, own: None, any: None, relation: Relation::CausedIt });
        } else if walk.has_frames
            && let Some(link) = link_of_ruby(lines, at)
        {
            walk.push(link);
        } else if walk.is_without_headline() && walk.begin(trimmed, at) {
            // The message of .NET's logger stands before the error.
        } else if !walk.row(lines[at].row_of(text))
            || at > framed.max(head + CAUSE_HEADLINE_LINES_MAX) && !walk.has_frames
        {
            break;
        }
        at += 1;
    }
    let root = walk.chain.len() - 1;
    (told(lines, &walk.chain, root, at - 1, rank), at)
}

/// The state of reading a chain.
struct Walk<'a> {
    chain: Vec<Link<'a>>,
    /// The error whose frames are read: .NET prints the frames of the innermost error first.
    current: usize,
    /// True within a suppressed exception of the JVM, which is none of the chain.
    is_suppressed: bool,
    has_frames: bool,
    /// The function whose place stands in the next line.
    called: &'a str,
}

impl<'a> Walk<'a> {
    /// Returns true if the first line of the chain named no error, and no frame came yet.
    fn is_without_headline(&self) -> bool {
        let first = &self.chain[0].headline;
        first.error_type.is_empty() && first.message.is_empty() && !self.has_frames
    }

    /// Begins the chain with this line if it names an error.
    fn begin(&mut self, text: &'a str, at: usize) -> bool {
        let headline = Headline::read(text, true);
        let is_error = headline.is_certain();
        if is_error {
            self.chain[0] = Link { headline, at, ..self.chain[0] };
        }
        is_error
    }

    fn push(&mut self, link: Link<'a>) {
        self.is_suppressed = false;
        self.chain.push(link);
        self.current = self.chain.len() - 1;
    }

    /// Reads one line. Returns false if it is behind the trace.
    fn row(&mut self, row: Row<'a>) -> bool {
        match row {
            Row::Frame(frame) => {
                self.has_frames = true;
                if !self.is_suppressed {
                    let frame = called(frame, std::mem::take(&mut self.called));
                    self.chain[self.current].see(frame);
                }
                true
            }
            Row::Function(function) => {
                self.has_frames = true;
                self.called = if is_go_call(function) { without_arguments(function) } else { "" };
                if self.called == "panic" {
                    // The frames above are those of deferred functions.
                    self.chain[self.current].own = None;
                }
                true
            }
            Row::Filler => true,
            // A message may have several lines.
            Row::Other => !self.has_frames,
        }
    }
}

impl<'a> Link<'a> {
    /// Notes a frame; the newest call comes first.
    fn see(&mut self, frame: Frame<'a>) {
        self.any = self.any.or(Some(frame));
        let is_better = self.own.is_none() || same_place(self.own, &frame);
        if !frame.is_foreign && is_better {
            self.own = Some(frame);
        }
    }
}

/// Returns the frame with the function that the line before it names, if it names none itself.
fn called<'a>(frame: Frame<'a>, function: &'a str) -> Frame<'a> {
    match frame.function.is_empty() && !function.is_empty() {
        true => {
            let is_foreign = frame.is_foreign || function == "panic" || is_foreign("", function);
            Frame { function, is_foreign, ..frame }
        }
        false => frame,
    }
}

/// Two frames of one place: the second one tells the function.
fn same_place(known: Option<Frame<'_>>, frame: &Frame<'_>) -> bool {
    known.is_some_and(|known| known.function.is_empty() && known.place.line == frame.place.line)
}

/// Returns what follows the word for a cause; empty if the causes are listed below it.
fn caused(trimmed: &str) -> Option<&str> {
    if !trimmed.starts_with(['C', '*', '[', '-']) {
        return None;
    }
    if trimmed.trim_end() == "Caused by:" {
        return Some("");
    }
    // Elixir indents the errors of a supervisor's child.
    if trimmed.starts_with("** (") {
        return Some(trimmed);
    }
    ["Caused by: ", "[cause]: ", "---> ", "[errors]: [", "Cause: "]
        .iter()
        .find_map(|lead| trimmed.strip_prefix(lead))
}

/// Parses the list that anyhow and eyre print below `Caused by:`. All of it is one message: the outer parts say what was
/// tried, the last one why it failed.
fn listed<'a>(lines: &[Entry<'a>], head: &Link<'a>, at: usize, rank: Rank) -> (Told<'a>, usize) {
    let first = &head.headline;
    let mut message = first.message.to_owned();
    let mut end = at + 1;
    while end < lines.len() && end < at + 12 {
        let text = lines[end].text;
        if indent_of(text) == 0 || text.trim().is_empty() {
            break;
        }
        let item = text.trim();
        let item = item
            .split_once(": ")
            .filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()))
            .map_or(item, |(_, item)| item);
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(item);
        end += 1;
    }
    let told = Told {
        error_type: first.error_type.into(),
        message: message.into(),
        context: None,
        location: head.own.map(|frame| Location::of_frame(&frame)),
        line: lines[end - 1].n,
        last: lines[end - 1].n,
        rank,
    };
    (told, end)
}

/// Returns true if the text has a sign of a stack trace: the text of a record's member is examined only then.
pub(super) fn has_trace(text: &str) -> bool {
    static SIGNS: Words = Words::exact(&["\tat ", "   at ", "goroutine "]);
    static TRACE: Words = Words::new(&["traceback"]);
    text.contains('\n')
        && (SIGNS.is_in(text)
            || TRACE.is_in(text)
            || text.lines().skip(1).take(4).any(|line| matches!(row(line), Row::Frame(_)))
            || is_certain_type(Headline::read(text.lines().next().unwrap_or(""), false).error_type))
}

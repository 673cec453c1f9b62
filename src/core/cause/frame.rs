//! Frames of a stack trace, as languages print them.

use crate::core::cause::place::{Found, Place, find, place_at_start};
use crate::core::cause::search::{COLON, Text, Words, begins_with, behind_lead, split, text};

use crate::limits::CAUSE_FILE_BYTES_MAX;

/// One line of a stack trace that tells a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The file and the line.
    pub place: Place<'a>,
    /// The function; empty if the line does not name it.
    pub function: &'a str,
    /// True if the code belongs to the language, its runtime or a package, not to the application.
    pub is_foreign: bool,
}

/// What a line is within a stack trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// A frame without a place, or the name of the function whose place stands in the next line.
    Function(&'a str),
    /// Something else that stands between frames: source text, marks below it, blank lines, counts of omitted frames.
    Filler,
    /// No part of a stack trace.
    Other,
}

/// Takes off the lines that Python draws around groups of exceptions, and Rich around everything.
pub(super) fn undecorated(text: &str) -> &str {
    const DRAWN: [char; 7] = ['|', '+', '│', '╭', '╰', '❱', '┃'];
    let mut inner = text.trim_start_matches(' ');
    // Most lines begin with a letter.
    if inner.bytes().next().is_none_or(|b| b.is_ascii_alphanumeric()) {
        return text;
    }
    if !inner.starts_with(DRAWN) {
        return text;
    }
    while inner.starts_with(DRAWN) {
        inner = inner.trim_start_matches(DRAWN);
        let behind = inner.trim_start_matches(' ');
        // The space behind the line belongs to it, further ones indent the text.
        inner = if behind.starts_with(DRAWN) {
            behind
        } else {
            inner.strip_prefix(' ').unwrap_or(inner)
        };
    }
    inner.trim_end_matches([' ', '│', '╮', '╯', '┃', '─'])
}

/// Returns what a line is within a stack trace.
pub(super) fn row(text: &str) -> Row<'_> {
    static CALLED: Text = text!(" called at ");
    let text = &text[..text.floor_char_boundary(CAUSE_FILE_BYTES_MAX)];
    let trimmed = text.trim();
    let indent = text.len() - text.trim_start().len();
    if trimmed.is_empty() {
        return Row::Filler;
    }
    if let Some(row) = led(trimmed, indent) {
        return row;
    }
    if let Some(found) = place_at_start(trimmed)
        && let Some(function) = behind_place(trimmed, found, indent)
    {
        return frame(found.place, function);
    }
    // `    (app 0.1.0) lib/x.ex:3: X.f/1`.
    if indent > 0
        && let Some((library, behind)) =
            trimmed.strip_prefix('(').and_then(|rest| rest.split_once(") "))
        && let Some(found) = place_at_start(behind)
        && let Some(function) = behind_place(behind, found, indent)
    {
        let library = library.split(' ').next().unwrap_or("");
        let is_foreign = ["elixir", "stdlib", "kernel", "mix", "logger"].contains(&library);
        return match frame(found.place, function) {
            Row::Frame(frame) => {
                Row::Frame(Frame { is_foreign: is_foreign || frame.is_foreign, ..frame })
            }
            row => row,
        };
    }
    if indent > 0
        && (trimmed.starts_with('(')
            || CALLED.find(trimmed.as_bytes()).is_some()
            || trimmed.starts_with("error, called"))
        && let Some(found) = find(trimmed)
    {
        return with_function(trimmed.trim_start_matches('('), place_again(trimmed, found));
    }
    if indent == 0 && is_go_call(trimmed) {
        return Row::Function(trimmed);
    }
    if is_filler(trimmed, indent) { Row::Filler } else { Row::Other }
}

/// Returns true for a function with its arguments, as Go prints them above the place: `main.(*Server).handle({0x75d0a8, 0xc000140000})`.
pub(super) fn is_go_call(text: &str) -> bool {
    const ARGUMENTS: &[&str] = &["(0x", "({", "(...)"];
    let is_name = |text: &str| text.split('(').next().is_some_and(|name| !name.contains(' '));
    text.ends_with(')')
        && is_name(text)
        && ARGUMENTS.iter().any(|arguments| text.contains(arguments))
}

/// Moves the place to where it is in a text without the parentheses at its start.
fn place_again<'a>(trimmed: &str, found: Found<'a>) -> Found<'a> {
    let gone = trimmed.len() - trimmed.trim_start_matches('(').len();
    Found { start: found.start.saturating_sub(gone), ..found }
}

fn frame<'a>(place: Place<'a>, function: &'a str) -> Row<'a> {
    let function = plain_function(function);
    Row::Frame(Frame { place, function, is_foreign: is_foreign(place.file, function) })
}

/// Reads a row that begins with a word or a number of frames.
fn led(trimmed: &str, indent: usize) -> Option<Row<'_>> {
    // Most lines begin with a byte that begins none of the words below.
    let first = trimmed.bytes().next()?;
    if !matches!(
        first,
        b'F' | b'a' | b'f' | b'@' | b'i' | b'c' | b'R' | b'C' | b'-' | b'$' | b'#' | b'[' | b'0'
            ..=b'9'
    ) {
        return None;
    }
    if let Some(rest) = trimmed.strip_prefix("File \"") {
        let (file, behind) = rest.split_once("\", line ")?;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let line = behind[..digits].parse().ok()?;
        let function = behind[digits..].trim_start_matches([',', ' ']);
        let function = function.strip_prefix("in ").unwrap_or("");
        return Some(frame(Place { file, line }, function));
    }
    const LEADS: &[&str] = &[
        "at ",
        "from ",
        "@ ",
        "in ",
        "called from ",
        "Raised at ",
        "Called from ",
        "Re-raised at ",
        "--> ",
    ];
    if let Some((lead, rest)) = behind_lead(trimmed, LEADS) {
        // An unindented `in …` is prose.
        if indent == 0 && matches!(lead, "in " | "at " | "--> ") && find(rest).is_none() {
            return None;
        }
        return Some(match place_in_frame(rest) {
            Some(found) => with_function(rest, found),
            None if lead == "at " || lead == "from " => Row::Function(rest),
            None => return None,
        });
    }
    if let Some(address) = trimmed.strip_prefix('$').or_else(|| trimmed.strip_prefix("0x")) {
        let digits = address.bytes().take_while(u8::is_ascii_hexdigit).count();
        let rest = address[digits..].trim_start();
        return (digits >= 6)
            .then(|| find(rest).map_or(Row::Function(rest), |found| with_function(rest, found)));
    }
    // `#0 0x55… in fill /app/ledgerd.c:10`, `  3: std::panicking::…`, ` [1] f(x)`.
    let rest = numbered(trimmed)?;
    let rest = match rest.strip_prefix("0x").and_then(|rest| rest.split_once(' ')) {
        Some((_, rest)) => rest.strip_prefix("in ").unwrap_or(rest).trim_start_matches("- "),
        None => rest,
    };
    Some(match place_in_frame(rest) {
        Some(found) => with_function(rest, found),
        None => Row::Function(rest),
    })
}

/// Takes off the number of a frame.
fn numbered(trimmed: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some(rest) = trimmed.strip_prefix('#') {
        let n = digits(rest);
        return (n > 0 && rest[n..].starts_with(' ')).then(|| rest[n..].trim_start());
    }
    if let Some(rest) = trimmed.strip_prefix('[') {
        let n = digits(rest);
        return (n > 0 && rest[n..].starts_with("] ")).then(|| rest[n + 2..].trim_start());
    }
    let n = digits(trimmed);
    (1..4).contains(&n).then_some(&trimmed[n..])?.strip_prefix(": ").map(str::trim_start)
}

/// Finds the last place of a frame: `f (/app/a.js:2:3)`, `F() in /src/P.cs:line 12`, `node:net:1908:16`.
fn place_in_frame(rest: &str) -> Option<Found<'_>> {
    static NET: Text = text!(":line ");
    static SCHEMES: Words = Words::exact(&["node:", "file://", "ext:", "dart:"]);
    if NET.find(rest.as_bytes()).is_some()
        && let Some(at) = rest.rfind(":line ")
    {
        // .NET.
        let file_at = rest[..at].rfind(" in ").map_or(0, |at| at + 4);
        let digits = rest[at + 6..].bytes().take_while(u8::is_ascii_digit).count();
        let line = rest[at + 6..at + 6 + digits].parse().ok()?;
        let place = Place { file: &rest[file_at..at], line };
        return Some(Found { place, start: file_at, length: at + 6 + digits - file_at });
    }
    if SCHEMES.is_in(rest)
        && let Some(at) =
            ["node:", "file://", "ext:", "dart:"].iter().find_map(|scheme| scheme_at(rest, scheme))
    {
        let end = rest[at..].find([')', ' ']).map_or(rest.len(), |end| at + end);
        let mut parts = rest[at..end].rsplitn(3, ':');
        let (_, line, file) = (parts.next()?, parts.next()?, parts.next()?);
        let line = line.parse().ok()?;
        let file = file.strip_prefix("file://").unwrap_or(file);
        return Some(Found { place: Place { file, line }, start: at, length: end - at });
    }
    find(rest)
}

/// Returns where a word of the text begins with this scheme.
fn scheme_at(text: &str, scheme: &str) -> Option<usize> {
    text.find(scheme).filter(|at| *at == 0 || text[..*at].ends_with(['(', ' ']))
}

/// Takes the function from before the place, or from behind it.
fn with_function<'a>(rest: &'a str, found: Found<'a>) -> Row<'a> {
    let before = rest[..found.start].trim_end_matches(['(', ' ', '"']);
    let before =
        before.strip_suffix(" in file").or_else(|| before.strip_suffix(" in")).unwrap_or(before);
    let before =
        before.strip_suffix(" called at").or_else(|| before.strip_suffix(" at")).unwrap_or(before);
    let before = if before == "file" { "" } else { before };
    let before = before.strip_suffix(",  line").unwrap_or(before).trim_end_matches([',', ' ']);
    let function = if before.is_empty() || before == "async" {
        behind_place(rest, found, 1).unwrap_or("")
    } else {
        before.strip_prefix("async ").unwrap_or(before)
    };
    static JAR: Text = text!(".jar!/");
    match frame(found.place, function) {
        // Logback names the archive that the class is from.
        Row::Frame(frame) if JAR.find(rest.as_bytes()).is_some() => {
            Row::Frame(Frame { is_foreign: true, ..frame })
        }
        row => row,
    }
}

/// Reads the function behind a place; `None` if the place is not a frame's.
fn behind_place<'a>(text: &'a str, found: Found<'_>, indent: usize) -> Option<&'a str> {
    let behind = &text[found.start + found.length..];
    for lead in [":in ", ": in function ", ": in ", " in "] {
        if let Some(function) = behind.strip_prefix(lead) {
            return Some(function);
        }
    }
    // PHP: `/app/app.php(13): Shop\reserve()`. A compiler's message looks alike, but for its blanks.
    if let Some(function) = behind.strip_prefix("): ") {
        return Some(function).filter(|function| !function.contains(' ') || indent > 0);
    }
    let is_end =
        matches!(behind, "" | ")" | "," | ":" | ")," | "\")") || behind.starts_with(" +0x");
    if is_end && indent > 0 {
        return Some("");
    }
    if let Some(function) = behind.strip_prefix(": ").filter(|_| indent > 0) {
        // Elixir: `lib/x.ex:3: X.f/1`, `app.exs:3: (file)`.
        let is_function =
            function.starts_with('(') || function.contains('/') && !function.contains(' ');
        return is_function.then_some(function);
    }
    // Nim: `/app/app.nim(3) f`.
    if let Some(function) = behind.strip_prefix(") ") {
        return Some(function.trim()).filter(|function| !function.contains(' '));
    }
    // D: `/app/app.d:5 void app.renew(…) [0x5591]`.
    let function = behind.strip_prefix(' ')?.strip_suffix(']')?;
    let (function, address) = function.rsplit_once(" [")?;
    address.starts_with("0x").then_some(function)
}

/// Returns the function's name without quotes, arguments and what stands before it.
fn plain_function(function: &str) -> &str {
    let quoted = |c: char| matches!(c, '`' | '\'' | '"');
    let function = match function.find(quoted) {
        // Ruby: `` `post' ``, and Lua: `function 'f'`.
        Some(at) if at <= 9 => {
            let inner = &function[at + 1..];
            inner.find(quoted).map_or(inner, |end| &inner[..end])
        }
        _ => function,
    };
    let function = function.strip_prefix("function ").unwrap_or(function);
    let end = function
        .char_indices()
        .find(|(at, c)| *c == '(' && *at > 0 && !function[..*at].ends_with(['.', '*']));
    let function = end.map_or(function, |(at, _)| &function[..at]);
    // `java.base/java.util.X.f`, `app//com.x.Y.z`.
    let function = match function.rsplit_once('/') {
        Some((module, rest))
            if module.starts_with("java.")
                || module.starts_with("jdk.")
                || module.ends_with('/') =>
        {
            rest
        }
        _ => function,
    };
    let function = function
        .strip_prefix("rescue in ")
        .or_else(|| function.strip_prefix("block in "))
        .unwrap_or(function);
    // `async f`, `Server.<anonymous>`, `Object.<anonymous>` say nothing.
    let function = function.trim_end_matches([',', ' ', ':']);
    if function.ends_with("<anonymous>") || function.len() > 160 { "" } else { function }
}

/// Returns true for code of the language, its runtime, its standard library or a package.
pub(super) fn is_foreign(file: &str, function: &str) -> bool {
    static FOLDERS: Words = Words::exact(&[
        "/node_modules/",
        "site-packages/",
        "dist-packages/",
        "/vendor/",
        "/.cargo/",
        "/rustc/",
        "/gems/",
        "/usr/lib/",
        "/usr/local/lib/",
        "/usr/local/go/",
        "/go/pkg/mod/",
        "/usr/share/",
        "/opt/",
        "../sysdeps/",
        "../csu/",
        "libsanitizer/",
        "/deps/",
        "/toolchains/",
        "/.rustup/",
        "/lib/python",
        "/library/std/",
        "/nix/store/",
    ]);
    const FILES: &[&str] = &[
        "node:",
        "internal/",
        "<",
        "<internal:",
        "ext:",
        "dart:",
        "stdlib.",
        "./nptl/",
        "./stdlib/",
        "../sysdeps",
    ];
    const FUNCTIONS: &[&str] = &[
        "java.",
        "javax.",
        "jdk.",
        "sun.",
        "com.sun.",
        "kotlin.",
        "kotlinx.",
        "scala.",
        "clojure.",
        "groovy.lang.",
        "org.springframework.",
        "org.apache.",
        "org.eclipse.",
        "io.netty.",
        "reactor.",
        "System.",
        "Microsoft.",
        "runtime.",
        "std::",
        "core::",
        "alloc::",
        "__",
        "Base.",
        "org.junit.",
    ];
    FOLDERS.is_in(file) || begins_with(file, FILES) || begins_with(function, FUNCTIONS)
}

/// Returns true for lines that stand between frames.
fn is_filler(trimmed: &str, indent: usize) -> bool {
    const STARTS: &[&str] = &[
        "... ",
        "goroutine ",
        "created by ",
        "stack backtrace:",
        "stack traceback:",
        "Stack trace:",
        "Stack backtrace:",
        "Stacktrace:",
        "Backtrace:",
        "note: ",
        "[Previous line repeated",
        "[C]:",
        "Require stack:",
        "- /",
        "Emitted '",
        "while executing",
        "invoked from within",
        "runtime stack:",
        "[signal ",
        "Current thread",
        "CallStack (",
        "thrown in ",
        "Thrown at:",
        "(...tail calls",
        "exit status ",
        "Traceback (most recent call",
    ];
    let is_start = || begins_with(trimmed, STARTS);
    let is_mark = trimmed
        .bytes()
        .all(|b| matches!(b, b'^' | b'~' | b'|' | b' ' | b'}' | b'{' | b'-' | b'=' | b'*'));
    let is_register = indent == 0
        && trimmed.split_once(' ').is_some_and(|(name, value)| {
            name.len() <= 6
                && value.trim_start().starts_with("0x")
                && value.trim_start().len() <= 20
        });
    let is_property = indent > 0
        && split(trimmed, &COLON).is_some_and(|(name, _)| {
            !name.is_empty()
                && name.len() <= 32
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        });
    is_start() || is_mark || is_register || is_property
}

//! The line that names an error: its type and its message.

use crate::core::cause::place::{Found, find, place_at_start};
use crate::core::cause::search::{COLON, Text, Words, behind, split, text};
use crate::limits::{CAUSE_FILE_BYTES_MAX, CAUSE_PREFIX_BYTES_MAX, CAUSE_TYPE_BYTES_MAX};

/// What a headline says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Headline<'a> {
    /// The type of the error; empty if the line names none.
    pub error_type: &'a str,
    /// The message; may be empty.
    pub message: &'a str,
    /// True if the words say that nobody caught the error.
    pub is_uncaught: bool,
}

impl<'a> Headline<'a> {
    /// Reads a headline. `is_sure`: a stack trace follows, so any name before a colon is a type.
    pub(super) fn read(body: &'a str, is_sure: bool) -> Self {
        let (rest, is_uncaught) = behind_leads(behind_bracket(body.trim()));
        let rest = behind_program(rest);
        let (rest, _) = without_place(rest);
        let typed = fatal_error(rest)
            .or_else(|| elixir(rest))
            .or_else(|| before_colon(rest, is_sure || is_uncaught))
            .or_else(|| in_parentheses(rest));
        match typed {
            Some((error_type, message)) => {
                // `Error: uncaught: TypeError: …`: the innermost name is the type.
                if matches!(error_type, "Error" | "error" | "Uncaught")
                    && let Some((inner, message)) =
                        before_colon(message, false).filter(|(name, _)| is_certain_type(name))
                {
                    return Self { error_type: inner, message, is_uncaught };
                }
                Self { error_type, message, is_uncaught }
            }
            None => Self { error_type: "", message: rest, is_uncaught },
        }
    }

    /// Returns true if the line names an error without any doubt.
    pub(super) fn is_certain(&self) -> bool {
        self.is_uncaught || is_certain_type(self.error_type) || self.error_type.contains(' ')
    }
}

/// Takes off a bracket that opens a list of errors, or a module's name: `[ioredis] Unhandled error event: …`.
fn behind_bracket(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('[') else { return text };
    match inner.split_once("] ") {
        Some((name, rest)) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => rest,
        _ => inner.trim_start_matches('['),
    }
}

/// Takes off the interpreter before a place: `lua5.4: app.lua:3: attempt to …`.
fn behind_program(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_lowercase() || c == '/') {
        return text;
    }
    match split(text, &COLON) {
        Some((program, rest)) if !program.contains(' ') && without_place(rest).1.is_some() => rest,
        _ => text,
    }
}

/// Takes off the words before the type.
fn behind_leads(text: &str) -> (&str, bool) {
    let mut rest = text;
    let mut is_uncaught = false;
    for _ in 0..4 {
        let before = rest;
        const LEADS: &[&str] =
            &["Caused by: ", "[cause]: ", "---> ", "Error in process ", "ERROR: LoadError: "];
        if rest.starts_with(['C', '[', '-', 'E']) {
            for lead in LEADS {
                rest = rest.strip_prefix(lead).unwrap_or(rest);
            }
        }
        if let Some(behind) = rest.strip_prefix("Exception in thread ") {
            is_uncaught = true;
            rest = match behind.strip_prefix('"').and_then(|behind| behind.split_once("\" ")) {
                Some((_, behind)) => behind,
                None => behind,
            };
        }
        // `==1==ERROR: AddressSanitizer: …`.
        if let Some((number, behind)) =
            rest.strip_prefix("==").and_then(|rest| rest.split_once("=="))
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            rest = behind.trim_start_matches("ERROR: ").trim_start_matches("WARNING: ");
        }
        if let Some(behind) = behind_uncaught(rest) {
            is_uncaught = true;
            rest = behind;
        }
        if rest.len() == before.len() {
            break;
        }
    }
    (rest, is_uncaught)
}

/// `Unhandled exception. `, `PHP Fatal error:  Uncaught `, `error: Uncaught (in promise) `, `uncaughtException: `.
fn behind_uncaught(text: &str) -> Option<&str> {
    static EITHER: Words = Words::new(&["uncaught", "unhandled"]);
    static UNCAUGHT: Words = Words::new(&["uncaught"]);
    static UNHANDLED: Words = Words::new(&["unhandled"]);
    let head = &text[..text.floor_char_boundary(64)];
    if !EITHER.is_in(head) {
        return None;
    }
    let at = UNCAUGHT.find(head).or_else(|| UNHANDLED.find(head))?;
    // Only a few words without a sense of their own may stand before it.
    let before = head[..at].trim_end();
    if !(before.is_empty() || before.ends_with(':') && before.len() <= 24) {
        return None;
    }
    let mut rest = &text[at..];
    let word = rest.find([' ', ':', '.']).unwrap_or(rest.len());
    // `UnhandledPromiseRejection` is a type.
    if !["uncaught", "unhandled", "uncaughtexception", "unhandledrejection"]
        .contains(&rest[..word].to_ascii_lowercase().as_str())
    {
        return None;
    }
    rest = &rest[word..];
    const NOISE: &[&str] = &[
        "(in promise)",
        "exception",
        "Exception",
        "promise rejection",
        "Promise Rejection",
        "rejection",
        "Rejection",
        "error:",
        "Error event",
        "error event",
    ];
    for _ in 0..3 {
        rest = rest.trim_start_matches([' ', ':', '.']);
        for noise in NOISE {
            if rest.bytes().next() == noise.bytes().next()
                && let Some(behind) = rest
                    .strip_prefix(noise)
                    .filter(|behind| behind.is_empty() || behind.starts_with([' ', ':', '.']))
            {
                rest = behind;
            }
        }
    }
    Some(rest)
}

/// Takes off a place before the message: ``app.rb:4:in `post': ``, `ledgerd.c:9:14: `, `/app/start.sh: line 3: `.
pub(super) fn without_place(text: &str) -> (&str, Option<Found<'_>>) {
    static QUOTE: Text = text!("': ");
    let Some(found) = place_at_start(text) else { return (text, None) };
    let rest = &text[found.length..];
    if let Some(function) = rest.strip_prefix(":in ")
        && let Some(rest) = behind(function, &QUOTE)
    {
        return (rest, Some(found));
    }
    match rest.strip_prefix(": ").or_else(|| rest.strip_prefix("): ")) {
        Some(rest) => (rest, Some(found)),
        None => (text, None),
    }
}

/// `Fatal Python error: …`, `fatal runtime error: …`, `FATAL ERROR: …`: the words before the colon are the type.
pub(super) fn fatal_error(text: &str) -> Option<(&str, &str)> {
    let head = &text[..text.floor_char_boundary(CAUSE_PREFIX_BYTES_MAX)];
    // The name is short.
    let at = COLON.find(&head.as_bytes()[..head.len().min(32 + 2)])?;
    let (name, message) = (&head[..at], &head[at + 2..]);
    // Anything but words belongs to a prefix: `unbound[8:0] fatal error: …`.
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'_' | b'-');
    if !name.ends_with(['r', 'R']) || !name.bytes().all(is_word) {
        return None;
    }
    let words = name.split(' ').count();
    let is_error = name.get(name.len().saturating_sub(5)..)?.eq_ignore_ascii_case("error");
    let is_fatal = name
        .split(' ')
        .any(|word| word.eq_ignore_ascii_case("fatal") || word.eq_ignore_ascii_case("runtime"));
    let fits = (2..=4).contains(&words) && is_error && is_fatal;
    let fits = fits && !message.trim_start().starts_with("Uncaught");
    fits.then(|| (name, text[text.len().min(name.len() + 2)..].trim_start()))
        .filter(|_| !message.is_empty())
}

/// `** (RuntimeError) message`.
fn elixir(text: &str) -> Option<(&str, &str)> {
    let (name, message) = text.strip_prefix("** (")?.split_once(')')?;
    Some((name, message.trim_start()))
}

/// `Type: message`, or a type alone.
fn before_colon(text: &str, is_sure: bool) -> Option<(&str, &str)> {
    let end = COLON.find(text.as_bytes()).unwrap_or(text.len());
    let name = text[..end].trim_end_matches(':');
    let message = text.get(end + 2..).unwrap_or("").trim();
    // Node adds a code: `TypeError [ERR_INVALID_ARG_TYPE]: …`.
    let name = Some(name)
        .filter(|name| name.ends_with(']'))
        .and_then(|name| name.split_once(" ["))
        .map_or(name, |(name, _)| name);
    // D: `app.StaleLease@app.d(5): …`.
    let name = name
        .split_once('@')
        .filter(|(_, place)| place_at_start(place).is_some())
        .map_or(name, |(name, _)| name);
    let is_alone = message.is_empty() && !text[..end].ends_with(':');
    let fits = is_certain_type(name)
        || (is_sure && !is_alone && is_type(name))
        || (is_sure && is_alone && is_type(name) && name.contains(['.', ':', '\\']));
    fits.then_some((name, message))
}

/// Reads Ruby's headline behind the place: `message (Type)`.
pub(super) fn of_ruby(text: &str) -> Headline<'_> {
    let typed = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" ("))
        .filter(|(_, name)| is_type(name));
    match typed {
        Some((message, error_type)) => Headline { error_type, message, is_uncaught: true },
        None => Headline::read(text, false),
    }
}

/// Ruby's `message (Type)` and Nim's `message [Type]`.
fn in_parentheses(text: &str) -> Option<(&str, &str)> {
    let (rest, open) = match text.strip_suffix(')') {
        Some(rest) => (rest, " ("),
        None => (text.strip_suffix(']')?, " ["),
    };
    // A type is short.
    let from = rest.ceil_char_boundary(rest.len().saturating_sub(CAUSE_TYPE_BYTES_MAX + 2));
    let at = from + rest[from..].rfind(open)?;
    let (message, name) = (&rest[..at], &rest[at + 2..]);
    let is_known =
        is_certain_type(name) || (is_type(name) && (name.contains("::") || is_camel(name)));
    is_known.then_some((name, message))
}

fn is_camel(name: &str) -> bool {
    let humps = name.bytes().filter(u8::is_ascii_uppercase).count();
    humps >= 2 && name.bytes().any(|b| b.is_ascii_lowercase())
}

/// Returns true for names that can be those of a class: one word, with parts joined by dots, colons or backslashes, the
/// last of them with a capital letter at its start.
fn is_type(name: &str) -> bool {
    let is_word = (2..=CAUSE_TYPE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'_' | b'.' | b':' | b'$' | b'\\' | b'`' | b'<' | b'>' | b'/' | b'+')
        });
    if !is_word {
        return false;
    }
    let last = last_part(name);
    last.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase())
        && !name.contains("//")
}

/// Returns the last part of a name: of `a.b.C`, `a::b::C`, `A\B\C` and `Outer$C` the `C`.
pub(super) fn last_part(name: &str) -> &str {
    name.rsplit(['.', ':', '\\', '$', '/']).next().unwrap_or(name)
}

/// Returns true for names that only errors have.
pub(super) fn is_certain_type(name: &str) -> bool {
    const ENDS: &[&str] = &[
        "Error",
        "Exception",
        "Failure",
        "Fault",
        "Throwable",
        "Sanitizer",
        "Interrupt",
        "ExceptionGroup",
        "Panic",
        "Abort",
        "Warning",
        "Overflow",
        "Violation",
        "Rejection",
    ];
    if !is_type(name) {
        return false;
    }
    let last = last_part(name);
    let is_errno = name.starts_with("Errno::");
    is_errno || ends_with_any(last, ENDS) && !last.ends_with("Warning")
}

fn ends_with_any(name: &str, ends: &[&str]) -> bool {
    let last = name.bytes().next_back();
    ends.iter().any(|end| end.bytes().next_back() == last && name.ends_with(end))
}

/// Returns the place in a line that is no frame: `in /app/nginx.conf:8`, `at app.pl line 2.`, `on line 4 of /app/a.conf`.
pub(super) fn place_in_words(text: &str) -> Option<Found<'_>> {
    let head = &text[..text.floor_char_boundary(CAUSE_FILE_BYTES_MAX)];
    find(head).filter(|found| !found.place.file.starts_with("//"))
}

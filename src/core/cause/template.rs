//! What a cause is recognized by again: the parts that stay the same in another pod, another run, another release.

use crate::core::cause::headline::last_part;
use crate::core::cause::{Location, Origin};
use crate::core::text::cut;
use crate::limits::{
    CAUSE_LOCATION_BYTES_MAX, CAUSE_TYPE_BYTES_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_WORDS_MAX,
};

/// The parts of a fingerprint that the cause gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The type of the error; empty if it has none.
    pub error_type: String,
    /// File and function of the place, or file and line if the place has no function; empty if there is none.
    pub place: String,
    /// The message without the parts that differ from run to run; empty if type and place are enough.
    pub template: String,
}

/// Returns the signature of a cause.
///
/// A type at a place is enough: names and values in the message would make two crashes of one. Where the type is missing, or the
/// place is that of a logging call or in a configuration file, the message counts as well.
pub(super) fn signature(
    error_type: Option<&str>,
    message: &str,
    location: Option<&Location>,
) -> Signature {
    let own = location.filter(|location| location.origin != Origin::Logger);
    let place = own.map(|Location { file, line, function, .. }| {
        // The folder differs between images and build machines.
        let file = steady_file(file.rsplit(['/', '\\']).next().unwrap_or(file));
        match function.is_empty() || is_top_level(function) {
            true => format!("{file}:{line}"),
            false => format!("{file} {}", steady_function(function)),
        }
    });
    // Go's panics have one type, and its runtime's own words tell them apart.
    let is_go_runtime = message.starts_with("runtime error: ");
    let is_enough =
        own.is_some_and(|Location { origin, .. }| *origin == Origin::Trace && error_type.is_some());
    let is_enough = is_enough && !is_go_runtime;
    Signature {
        // A record's names can be as long as the record.
        error_type: cut(error_type.map_or("", last_part), CAUSE_TYPE_BYTES_MAX),
        place: cut(&place.unwrap_or_default(), CAUSE_LOCATION_BYTES_MAX),
        template: if is_enough { String::new() } else { template(message) },
    }
}

/// Returns true for what interpreters call the code of a file that is in no function.
fn is_top_level(function: &str) -> bool {
    matches!(function, "<module>" | "<main>" | "main chunk")
        || function.starts_with("<top (required)")
}

/// Returns a function's name without the numbers that compilers give: `lambda$main$0`, `main.main.func1.2`, `Main.<Run>b__0_1`.
fn steady_function(function: &str) -> String {
    let mut out = String::new();
    let mut rest = function;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let digits = number.len() - number.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        out.push_str(before);
        // A digit behind a letter is part of a name: `decode2`.
        let is_given = ["func", "lambda"].iter().any(|word| out.ends_with(word))
            || out.ends_with(['$', '.', '#', '_']) && out.contains(['$', '.', '#', '<']);
        out.push_str(if is_given { "#" } else { &number[..digits] });
        rest = &number[digits..];
    }
    out + rest
}

/// Returns a file's name without the hash that bundlers give it: `main.4f3c2b1a.js`.
fn steady_file(file: &str) -> String {
    let is_hash = |part: &str| {
        part.len() >= 6
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_alphabetic())
    };
    let parts = file.split_inclusive(['.', '-', '_']).enumerate();
    let steady = parts.map(|(n, part)| {
        let bare = part.trim_end_matches(['.', '-', '_']);
        match n > 0 && is_hash(bare) {
            true => format!("#{}", &part[bare.len()..]),
            false => part.to_owned(),
        }
    });
    steady.collect()
}

/// Returns a message without what differs from run to run: numbers, addresses (of mail as well), paths, quoted text.
///
/// The text is split at blanks and punctuation. A word with a digit or a path becomes `#`, quoted text `*`; runs of them become
/// one. At most [`TEMPLATE_WORDS_MAX`] words of the first [`TEMPLATE_BYTES_MAX`] bytes count.
pub(super) fn template(message: &str) -> String {
    let text = &message[..message.floor_char_boundary(TEMPLATE_BYTES_MAX)];
    let mut out = String::new();
    let mut words = 0;
    let mut rest = text;
    while words < TEMPLATE_WORDS_MAX {
        rest = rest.trim_start_matches(is_separator);
        let Some(first) = rest.chars().next() else { break };
        let (word, length) = match first {
            '"' | '\'' | '`' => match closing(&rest[1..], first) {
                Some(end) => ("*", end + 2),
                None => ("", 1),
            },
            _ => {
                let end = rest
                    .find(|c: char| is_separator(c) || matches!(c, '"' | '`'))
                    .unwrap_or(rest.len());
                // A host, if a port follows.
                let is_host = rest[end..]
                    .strip_prefix(':')
                    .is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
                (if is_host || differs(&rest[..end]) { "#" } else { &rest[..end] }, end)
            }
        };
        rest = &rest[length.min(rest.len())..];
        if word.is_empty() || (matches!(word, "#" | "*") && out.ends_with(word)) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        words += 1;
    }
    out
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            ',' | ';' | '=' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ':' | '|' | '!'
        )
}

/// Returns where a quotation ends; an apostrophe within a word opens none.
fn closing(text: &str, quote: char) -> Option<usize> {
    let end = if quote == '`' { text.find(['`', '\'']) } else { text.find(quote) };
    end.filter(|end| *end <= TEMPLATE_BYTES_MAX)
}

/// Returns true for words that differ from run to run.
fn differs(word: &str) -> bool {
    let is_hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    let is_path = word.contains('/') && word.len() > 1;
    let is_name = word.contains('.') && word.split('.').count() >= 3;
    has_digit || is_hex || is_path || is_name || word.contains('@')
}

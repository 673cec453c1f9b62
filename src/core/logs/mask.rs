//! Masks text that looks like a credential in a log line: the value becomes [`MASK`], and every other byte
//! stays. docs/configuration.md ("What is masked in log lines") gives operators the same list.
//!
//! The rules, in the order in which they are applied:
//!
//! 1. Private keys (`keys`): the text after `-----BEGIN … PRIVATE KEY-----` up to its `-----END`, on the same line
//!    or in the following ones.
//! 2. Tokens (`tokens`): what has the documented form of a provider's token, anywhere.
//! 3. Places (`places`): the password in `scheme://user:password@host` and in other connection strings, parameters
//!    of a URL's query, the flags of `curl`, `mysql` and others, SQL.
//! 4. Names (`names`, `joins`, `values`): what follows the name of a credential, in the forms `name=value`,
//!    `name: value`, `"name":"value"` (also with escaped quotes, as in JSON within JSON), `name => value`,
//!    `--name value`, `<name>value</name>`, `{"name":"…","value":"…"}` and `the name is value`. The values of
//!    `Authorization` and of cookies have rules of their own (`headers`).
//!
//! A value stays if it looks like a word of a sentence, a number, a path or a placeholder (`words`): such values
//! often name the cause of a crash. The less certain it is that a credential follows, the more random it has to
//! look.
//!
//! The run time is linear in the length of the line: whoever decides about a value reads a bounded part of it, and
//! only what is masked is read to its end. Masking a line twice gives the same result as once: a mask counts as the
//! credential that it replaced, and a changed line is read again, a few times at most, until nothing else changes.

use std::borrow::Cow;
use std::ops::Range;

use self::keys::Keys;
use self::values::Walk;
use crate::limits::MASK_ROUNDS_MAX;

mod chains;
mod extent;
mod headers;
mod joins;
mod keys;
mod names;
mod places;
mod tokens;
mod values;
mod words;

/// The text that replaces a credential.
pub const MASK: &str = "***";

/// Masks the lines of one stream, given in order, since a private key spans several lines.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    keys: Keys,
}

impl Mask {
    /// Returns the line with its credentials masked; borrowed if it has none.
    pub fn line<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let before = self.keys;
        let Cow::Owned(mut masked) = once(&mut self.keys, text) else {
            return Cow::Borrowed(text);
        };
        // A mask may change how the text around it is read, in rare and mostly broken lines.
        for _ in 1..MASK_ROUNDS_MAX {
            let mut keys = before;
            match once(&mut keys, &masked) {
                Cow::Borrowed(_) => break,
                Cow::Owned(again) => masked = again,
            }
        }
        Cow::Owned(masked)
    }
}

/// Masks what is found when the line is read from its start to its end.
fn once<'t>(keys: &mut Keys, text: &'t str) -> Cow<'t, str> {
    // Keys and tokens are masked first: the `***` that replaces a token could otherwise change how a name next to it
    // is parsed.
    let mut hits = Vec::new();
    keys.line(text, &mut hits);
    match replace(text, &hits) {
        Cow::Borrowed(text) => replace(text, &Walk::new(text).hits),
        Cow::Owned(text) => Cow::Owned(replace(&text, &Walk::new(&text).hits).into_owned()),
    }
}

/// Appends a hit unless it is empty. A hit that touches the previous one extends it.
fn push(hits: &mut Vec<Range<usize>>, hit: Range<usize>) {
    match hits.last_mut() {
        Some(last) if last.end == hit.start => last.end = hit.end,
        _ if hit.is_empty() => {}
        _ => hits.push(hit),
    }
}

fn replace<'t>(text: &'t str, hits: &[Range<usize>]) -> Cow<'t, str> {
    if hits.iter().all(|hit| text.get(hit.clone()) == Some(MASK)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + hits.len() * MASK.len());
    let mut at = 0;
    for hit in hits {
        out.push_str(text.get(at..hit.start).unwrap_or_default());
        match is_bare_in_json(text, hit) {
            true => out.extend(["\"", MASK, "\""]),
            false => out.push_str(MASK),
        }
        at = hit.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

/// Returns true for a value of a JSON member that has no quotes, such as a number: without them, the mask would be no JSON.
fn is_bare_in_json(text: &str, hit: &Range<usize>) -> bool {
    let before = text.get(..hit.start).unwrap_or_default().trim_end();
    let behind = text.get(hit.end..).unwrap_or_default().trim_start();
    // Within a text that is JSON itself, the quotes would end the text.
    let is_member = before.ends_with("\":") && !before.ends_with("\\\":");
    is_member && behind.starts_with([',', '}', ']'])
}

/// Returns true for the characters of names, tokens and words.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns the end of the run of matching bytes that begins at `at`.
fn run(bytes: &[u8], at: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| is_part(**byte)).count()
}

#[cfg(test)]
mod tests;

//! Finds credentials in the values of HTTP headers, wherever the headers are printed.

use std::ops::Range;

use super::extent::{Opened, bare_end, open, quoted_end, value_end};
use super::words::{Look, is_random, is_sentence_word, is_state, look};
use super::{is_blank, run};
use crate::limits::{MASK_VALUE_BYTES_MAX, MASK_WORD_BYTES_MAX};

/// Words before the credential itself (RFC 9110, 11.4, and some that servers use in addition).
const SCHEMES: [&str; 19] = [
    "bearer",
    "basic",
    "token",
    "negotiate",
    "apikey",
    "digest",
    "ntlm",
    "aws4-hmac-sha256",
    "aws",
    "sharedkey",
    "hawk",
    "oauth",
    "splunk",
    "bot",
    "ssws",
    "geniekey",
    "api-token",
    "dpop",
    "key",
];

/// Names in `Set-Cookie` that are no cookies (RFC 6265, 5.2).
const ATTRIBUTES: [&str; 9] = [
    "path",
    "domain",
    "expires",
    "max-age",
    "samesite",
    "httponly",
    "secure",
    "priority",
    "partitioned",
];

fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

/// Skips a scheme such as `Bearer ` and returns where the credential begins.
pub(super) fn behind_scheme(bytes: &[u8], start: usize) -> usize {
    let longest = &bytes[..bytes.len().min(start + MASK_WORD_BYTES_MAX)];
    let word = run(longest, start, |b| b.is_ascii_alphanumeric() || b == b'-');
    let behind = run(bytes, word, is_blank);
    let is_scheme =
        behind > word && behind < bytes.len() && is_one_of(&bytes[start..word], &SCHEMES);
    if is_scheme { behind } else { start }
}

/// Returns the credential in the value of `Authorization`. `outer` is the quote around the whole header, if any.
pub(super) fn authorization(bytes: &[u8], start: usize, outer: Option<u8>) -> Option<Range<usize>> {
    let value = open(bytes, start);
    if bytes.get(value.start) == Some(&b'{') {
        return None;
    }
    let first = value.start;
    let behind = behind_scheme(bytes, first);
    let window = &bytes[..bytes.len().min(behind + MASK_VALUE_BYTES_MAX)];
    if behind == first {
        return without_scheme(bytes, window, &value);
    }
    // A quote may also be behind the scheme.
    let inner = open(bytes, behind);
    let credential = if inner.quote.is_some() && inner.start < bytes.len() {
        inner
    } else {
        Opened { start: behind, quote: value.quote }
    };
    let word_end = bare_end(window, credential.start);
    let word = &bytes[credential.start..word_end];
    let is_in_quotes = value.quote.or_else(|| outer.map(|quote| (quote, 0)));
    let is_opening = match window.get(word_end) {
        Some(b'"') => is_in_quotes.is_none_or(|(quote, _)| quote != b'"'),
        Some(b'\\') => is_in_quotes.is_some_and(|(_, slashes)| slashes == 0),
        _ => false,
    };
    let is_parameters = word.iter().position(|b| *b == b'=').is_some_and(|at| {
        word[..at].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
            && !word[at..].iter().all(|b| *b == b'=')
    }) || word.ends_with(b"=") && is_opening;
    if is_parameters && credential.start == behind {
        // All parameters of `Digest` and the like: the response and the nonce are as good as a password.
        let end = is_in_quotes
            .map_or(bytes.len(), |(quote, slashes)| quoted_end(bytes, behind, quote, slashes));
        return Some(behind..end);
    }
    if !is_credential(word) || is_sentence(window, word, word_end) {
        return None;
    }
    let end = match inner.quote {
        Some((quote, slashes)) if inner.start < bytes.len() => {
            quoted_end(bytes, inner.start, quote, slashes)
        }
        _ => bare_end(bytes, credential.start),
    };
    Some(credential.start..end)
}

fn is_credential(word: &[u8]) -> bool {
    let word = &word[..word.len().min(MASK_WORD_BYTES_MAX)];
    let is_name = is_one_of(
        word,
        &["token", "auth", "authentication", "scheme", "header", "credentials", "realm"],
    );
    !word.is_empty() && !is_name && !matches!(look(word), Look::Nothing | Look::Prose)
}

/// Returns true if the plain word is followed by the words of a sentence.
fn is_sentence(window: &[u8], word: &[u8], end: usize) -> bool {
    let rest = window.get(end..).unwrap_or_default();
    let next = rest.split(|b| is_blank(*b)).find(|word| !word.is_empty());
    look(word) == Look::Plain
        && rest.first().is_some_and(|b| is_blank(*b))
        && next.is_some_and(is_sentence_word)
}

/// Returns the credential of a value that begins with no known scheme: the second word, if the first may be a
/// scheme, or else the first.
fn without_scheme(bytes: &[u8], window: &[u8], value: &Opened) -> Option<Range<usize>> {
    let end = bare_end(window, value.start);
    let word = &window[value.start..end];
    let next = run(window, end, is_blank);
    let second = next..bare_end(window, next);
    let is_scheme = next > end && matches!(look(word), Look::Plain | Look::Label);
    if is_scheme && is_random(&window[second.clone()], 6, 2) {
        return Some(next..bare_end(bytes, next));
    }
    let is_credential = match look(word) {
        Look::Opaque | Look::Uuid => true,
        Look::Plain => value.quote.is_some() && second.is_empty() && !is_state(word),
        _ => false,
    };
    is_credential.then(|| value.start..value_end(bytes, value))
}

/// Returns the values of the cookies in a header, and where the last of them ends.
pub(super) fn cookies(bytes: &[u8], start: usize) -> (Vec<Range<usize>>, usize) {
    let mut at = open(bytes, start).start;
    let mut values = Vec::new();
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&*+-.^_|~".contains(&b);
    loop {
        let name = at..run(bytes, at, is_name);
        let is_attribute = is_one_of(&bytes[name.clone()], &ATTRIBUTES);
        let is_pair = bytes.get(name.end) == Some(&b'=');
        if name.is_empty() || !is_pair && !is_attribute {
            break;
        }
        let value = name.end + usize::from(is_pair);
        let is_inside = |b: u8| {
            !matches!(b, b';' | b'"' | b'\'' | b'\\' | b'`' | b']')
                && (is_attribute || !is_blank(b) && b != b',')
        };
        let end = run(bytes, value, is_inside);
        let shown = &bytes[value..end.min(value + MASK_WORD_BYTES_MAX)];
        if is_pair && !is_attribute && look(shown) != Look::Nothing {
            values.push(value..end);
        }
        at = end;
        if bytes.get(end) != Some(&b';') {
            break;
        }
        at = run(bytes, end + 1, is_blank);
    }
    (values, at)
}

//! Finds private keys in PEM (RFC 7468) and PGP armour, on one line or over several.

use std::ops::Range;

use memchr::memmem;

use super::tokens::tokens;
use super::words::{Look, look};
use super::{is_blank, push, run};
use crate::limits::MASK_KEY_LINES_MAX;

const KEY_BEGIN: &[u8] = b"-----BEGIN ";
const KEY_END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Maximum length of a key's label, such as `RSA PRIVATE KEY`.
const KEY_LABEL_BYTES_MAX: usize = 64;

/// Minimum length of base64 that is text of a key, whatever is around it. A whole line has 64, 70 or 76.
const KEY_TEXT_BYTES_MIN: usize = 32;

/// Minimum length of base64 that is text of a key if it is a word of its own: the last line is shorter.
const KEY_REST_BYTES_MIN: usize = 16;

/// Finds the private keys of one stream, whose lines are given in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys {
    /// Number of further lines that may belong to the private key whose first line was seen.
    lines_left: usize,
}

impl Keys {
    /// Finds the text of private keys, and tokens outside of it.
    pub(super) fn line(&mut self, text: &str, hits: &mut Vec<Range<usize>>) {
        let bytes = text.as_bytes();
        let mut at = 0;
        if self.lines_left > 0 {
            self.lines_left -= 1;
            let marker = next_marker(bytes, 0);
            at = key_words(text, 0..marker.unwrap_or(bytes.len()), hits);
            if marker.is_some_and(|at| bytes[at..].starts_with(KEY_END)) {
                self.lines_left = 0;
            }
        }
        while let Some((begin, body)) = key_begin(text, at) {
            tokens(text, at..begin, hits);
            let marker = next_marker(bytes, body);
            let end = marker.unwrap_or(bytes.len());
            at = if marker.is_none_or(|at| bytes[at..].starts_with(KEY_BEGIN)) {
                // If other words follow the marker, it is a sentence about keys, and the next line is no key.
                if !is_sentence(&bytes[body..end]) {
                    self.lines_left = MASK_KEY_LINES_MAX;
                }
                key_words(text, body..end, hits)
            } else if is_key_text(&bytes[body..end]) {
                self.lines_left = 0;
                push(hits, body..end);
                end
            } else {
                // A sentence about the markers of a key.
                self.lines_left = 0;
                body
            };
        }
        tokens(text, at..text.len(), hits);
    }
}

/// Returns true for the characters of base64, without padding.
fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// Returns where the next first or last line of PEM begins.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let mut from = from;
    while let Some(at) = memmem::find(bytes.get(from..)?, DASHES) {
        // The run of dashes may be longer than the marker's. It is read once.
        let end = run(bytes, from + at, |b| b == b'-');
        let marker = end - DASHES.len();
        let rest = &bytes[marker..];
        if rest.starts_with(KEY_BEGIN) || rest.starts_with(KEY_END) {
            return Some(marker);
        }
        from = end;
    }
    None
}

/// Returns true if the text between the markers of one line is that of a key.
fn is_key_text(body: &[u8]) -> bool {
    let is_body = |b: &u8| is_key_byte(*b) || matches!(b, b'=' | b'\\');
    let mut runs = body.split(|b| !is_key_byte(*b));
    body.iter().all(is_body) || runs.any(|run| run.len() >= KEY_REST_BYTES_MIN)
}

/// Returns true if a sentence goes on behind the marker. Behind a quote, a logger may have further fields.
fn is_sentence(rest: &[u8]) -> bool {
    let before = run(rest, 0, |b| is_blank(b) || matches!(b, b'"' | b'\'' | b'`' | b'\\'));
    let end = run(rest, before, |b| b.is_ascii_lowercase());
    let is_word = end > before && end - before < KEY_REST_BYTES_MIN;
    before > 0 && rest[before - 1] != b'\\' && is_word && rest.get(end).is_none_or(|b| is_blank(*b))
}

/// Finds the words of a key's text, in a line that may have other words: of a logger, or of other threads. Returns
/// where the last of them ends.
fn key_words(text: &str, part: Range<usize>, hits: &mut Vec<Range<usize>>) -> usize {
    let bytes = text.as_bytes();
    let mut rest = part.start;
    let mut at = part.start;
    while at < part.end {
        let is_escape =
            at > part.start && bytes[at - 1] == b'\\' && matches!(bytes[at], b'n' | b'r' | b't');
        let start = at + usize::from(is_escape);
        let end = run(&bytes[..part.end], start, is_key_byte);
        // One or two `=` fill the last word; one is before the checksum of PGP.
        let padded = run(&bytes[..part.end.min(end + 2)], end, |b| b == b'=');
        let padded = if bytes.get(padded).is_some_and(|b| is_key_byte(*b)) { end } else { padded };
        if end > start && is_key_word(bytes, &part, start..padded) {
            tokens(text, rest..start, hits);
            push(hits, start..padded);
            rest = padded;
        }
        at = padded.max(at + 1);
    }
    rest
}

fn is_key_word(bytes: &[u8], part: &Range<usize>, word: Range<usize>) -> bool {
    let text = &bytes[word.clone()];
    let has = |is_kind: fn(&u8) -> bool| text.iter().any(is_kind);
    // Of hexadecimal digits, it is a hash; without capital letters, it is a path.
    let is_mixed =
        has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    if text.len() >= KEY_TEXT_BYTES_MIN {
        return is_mixed;
    }
    let is_edge = |b: &u8| is_blank(*b) || b"\"'`\\,=".contains(b);
    let before = (word.start > part.start).then(|| bytes[word.start - 1]);
    let is_first = before.is_none_or(|b| is_edge(&b) || matches!(b, b'n' | b'r' | b't'));
    let is_last = word.end == part.end || is_edge(&bytes[word.end]);
    if !is_first || !is_last {
        return false;
    }
    if text.len() >= KEY_REST_BYTES_MIN {
        // A few of sixteen characters in a row have no digit.
        return is_mixed || has(u8::is_ascii_uppercase) && look(text) == Look::Opaque;
    }
    // A shorter one is a line of its own, in quotes, or behind an escaped end of line.
    let is_escaped = word.start >= part.start + 2 && bytes[word.start - 2] == b'\\';
    let is_quoted = before.is_some_and(|b| !is_blank(b))
        && word.end < part.end
        && matches!(bytes[word.end], b'"' | b'\'' | b'\\');
    let is_line = word.start <= part.start + 1 && word.end == part.end;
    // Or it is the last word behind those of a logger.
    let is_last = word.end == part.end && (text.ends_with(b"=") || text.len() >= 8);
    (is_quoted || is_line || is_escaped || is_last)
        && (text.len().is_multiple_of(4) || before == Some(b'=') || is_escaped)
        && (text.ends_with(b"=") || look(text) == Look::Opaque)
}

/// Finds the next private key at or after `from`. Returns where its first line and where its text begins.
fn key_begin(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    memmem::find_iter(&bytes[from..], KEY_BEGIN).find_map(|at| {
        let label = from + at + KEY_BEGIN.len();
        let longest = &bytes[..bytes.len().min(label + KEY_LABEL_BYTES_MAX)];
        let is_label = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ';
        let end = run(longest, label, is_label);
        let ends_with = |word: &[u8]| bytes[label..end].ends_with(word);
        let is_key = bytes[end..].starts_with(DASHES)
            && (ends_with(b"PRIVATE KEY") || ends_with(b"PRIVATE KEY BLOCK"));
        is_key.then_some((from + at, end + DASHES.len()))
    })
}

//! Masks text that looks like a credential in a log line: the value becomes [`MASK`], and every other byte
//! stays. docs/configuration.md ("What is masked in log lines") gives operators the same list:
//!
//! * the value after a name that ends with one of [`NAMES`], in any case, with or without `_`, `-` and `.`
//!   in it, and also with a number at its end (`DB_PASSWORD_2`): in the forms `key=value`, `key: value`,
//!   `"key":"value"` (also with escaped quotes, as in JSON within JSON), `key => value`, `key=[value`,
//!   `--key value` and `"--key", "value"`. The word in `Bearer …`, `Basic …` and similar values stays;
//! * the password in `scheme://user:password@host`;
//! * JSON web tokens, AWS access key ids and GitHub tokens, anywhere in the line;
//! * the text after `-----BEGIN … PRIVATE KEY-----`, up to its `-----END`, also in the following lines.
//!
//! It does not find a secret under another name, or the rest of a password that contains a blank and is not
//! quoted. Values that are no credentials (empty, `null`, `true`, …) stay, since they help to explain a crash.
//!
//! The run time is linear in the length of the line. Masking a line twice gives the same result as once.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::limits::{MASK_KEY_LINES_MAX, MASK_USERINFO_BYTES_MAX};

/// The text that replaces a credential.
pub const MASK: &str = "***";

/// Endings of the names whose values are masked, in lower case without separators.
pub const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
];

/// Words before the credential itself (RFC 9110, 11.4, and some that servers use in addition).
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "negotiate", "apikey", "digest"];

/// Values that are not credentials.
const NO_VALUES: [&str; 8] = ["null", "nil", "<nil>", "none", "undefined", "true", "false", "-"];

/// Words that follow `--password` in a sentence about the flag.
const PROSE: [&str; 16] = [
    "is", "was", "must", "not", "and", "or", "to", "flag", "option", "cannot", "requires",
    "required", "needs", "missing", "has", "for",
];

const KEY_BEGIN: &[u8] = b"-----BEGIN ";
const KEY_END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Maximum length of a key's label, such as `RSA PRIVATE KEY`.
const KEY_LABEL_BYTES_MAX: usize = 64;

/// Masks the lines of one stream, given in order, since a private key spans several lines.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// Number of further lines that may belong to the private key whose first line was seen.
    key_lines_left: usize,
}

impl Mask {
    /// Returns the line with its credentials masked; borrowed if it has none.
    pub fn line<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        // Keys and tokens are masked first: the `***` that replaces a token could otherwise change how a name next to it is parsed.
        match self.forms(text) {
            Cow::Borrowed(text) => values(text),
            Cow::Owned(text) => Cow::Owned(values(&text).into_owned()),
        }
    }

    /// Masks private keys and tokens.
    fn forms<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let mut hits = Vec::new();
        let mut at = 0;
        if self.key_lines_left > 0 {
            self.key_lines_left -= 1;
            at = self.key_goes_on(text, &mut hits);
        }
        while let Some((begin, body)) = key_begin(text, at) {
            tokens(text, at..begin, &mut hits);
            at = self.key_body(text, body, &mut hits);
        }
        tokens(text, at..text.len(), &mut hits);
        replace(text, &hits)
    }

    /// Masks a key's text up to its end or the end of the line. Returns where the rest begins.
    fn key_body(&mut self, text: &str, body: usize, hits: &mut Vec<Range<usize>>) -> usize {
        let rest = &text.as_bytes()[body..];
        let end = memmem::find(rest, KEY_END).map(|at| body + at);
        // If other words follow the marker, the line is a sentence about keys. Then the next line has no key text in the next line.
        let goes_on = end.is_none() && rest.iter().all(|b| is_key_byte(*b) || b" \t\\".contains(b));
        if goes_on {
            self.key_lines_left = MASK_KEY_LINES_MAX;
        } else if end.is_some() {
            self.key_lines_left = 0;
        }
        let end = end.unwrap_or(text.len());
        push(hits, body..end);
        end
    }

    /// Masks the last word of a line within a key, if it can be part of the key: a program may write its own words
    /// before it, or other lines in between. Returns where the rest begins.
    fn key_goes_on(&mut self, text: &str, hits: &mut Vec<Range<usize>>) -> usize {
        if let Some(end) = memmem::find(text.as_bytes(), KEY_END) {
            self.key_lines_left = 0;
            push(hits, 0..end);
            return end;
        }
        if key_begin(text, 0).is_some() {
            return 0;
        }
        let is_wrapping = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '\\');
        let trimmed = text.trim_end_matches(is_wrapping);
        let start = trimmed.rfind(is_wrapping).map_or(0, |at| text.ceil_char_boundary(at + 1));
        let word = &trimmed[start..];
        if word.is_empty() || !word.len().is_multiple_of(4) || !word.bytes().all(is_key_byte) {
            return 0;
        }
        tokens(text, 0..start, hits);
        push(hits, start..trimmed.len());
        trimmed.len()
    }
}

/// Returns true for the characters of base64.
fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
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
        out.push_str(MASK);
        at = hit.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
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

/// Masks the values of credential names, and passwords in URLs.
fn values(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut hits = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let name = at..run(bytes, at, is_name_byte);
        at = name.end.max(at + 1);
        if name.is_empty() {
            continue;
        }
        if let Some(value) = url_password(bytes, name.end).or_else(|| value(bytes, &name)) {
            at = value.end;
            push(&mut hits, value);
        }
    }
    replace(text, &hits)
}

/// Returns true for the characters of names, tokens and words.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Returns the end of the run of matching bytes that begins at `at`.
fn run(bytes: &[u8], at: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| is_part(**byte)).count()
}

/// Finds tokens that are recognized by their form, in a part of the text.
fn tokens(text: &str, part: Range<usize>, hits: &mut Vec<Range<usize>>) {
    let bytes = &text.as_bytes()[..part.end];
    let mut at = part.start;
    // No web token begins before this position: if a run has none at its start, it has none later.
    let mut barren = at;
    while at < bytes.len() {
        let is_start = at == part.start || !bytes[at - 1].is_ascii_alphanumeric();
        let end = if !is_start {
            None
        } else if at >= barren && bytes[at..].starts_with(b"eyJ") {
            barren = run(bytes, at, is_base64url_byte);
            web_token_end(bytes, at, barren)
        } else {
            key_id_end(bytes, at)
        };
        if let Some(end) = end {
            push(hits, at..end);
        }
        at = end.unwrap_or(at + 1);
    }
}

/// Returns the end of the AWS access key id or the GitHub token that begins at `at`.
fn key_id_end(bytes: &[u8], at: usize) -> Option<usize> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let (end, bytes_min) = match &bytes[at..] {
        [b'A', b'K' | b'S', b'I', b'A', ..] => {
            let end = run(bytes, at, |b| b.is_ascii_alphanumeric());
            let is_id = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
            return (end - at == 20 && bytes[at..end].iter().all(is_id)).then_some(end);
        }
        [b'g', b'h', b'p' | b'o' | b'u' | b's' | b'r', b'_', ..] => (run(bytes, at, is_token), 24),
        rest if rest.starts_with(b"github_pat_") => (run(bytes, at, is_token), 32),
        _ => return None,
    };
    (end - at >= bytes_min).then_some(end)
}

fn is_base64url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Returns the end of the JSON web token (RFC 7519) whose header ends at `header_end`. At least a payload must
/// follow; the signature may be empty, or cut off.
fn web_token_end(bytes: &[u8], at: usize, header_end: usize) -> Option<usize> {
    if header_end - at < 10 || bytes.get(header_end) != Some(&b'.') {
        return None;
    }
    let payload_end = run(bytes, header_end + 1, is_base64url_byte);
    (payload_end - header_end > 4).then(|| run(bytes, payload_end, is_name_byte))
}

/// Returns the password of a URL (RFC 3986, 3.2.1) whose scheme ends at `at`.
///
/// A password with an unescaped `/` makes the URL invalid, but programs print such URLs when they cannot
/// connect. So unless a port number stands after the colon, the `@` is also searched for after the `/`.
fn url_password(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 3;
    if bytes.get(at..start) != Some(b"://") {
        return None;
    }
    let longest = &bytes[..bytes.len().min(start + MASK_USERINFO_BYTES_MAX)];
    let word =
        run(longest, start, |b| !is_blank(b) && !matches!(b, b'"' | b'\'' | b'`' | b'<' | b'>'));
    let authority = run(&longest[..word], start, |b| !matches!(b, b'/' | b'?' | b'#'));
    let colon = start + memchr::memchr(b':', &longest[start..authority])?;
    let at_sign = match memchr::memrchr(b'@', &longest[colon..authority]) {
        Some(at) => colon + at,
        None if longest[colon + 1..authority].iter().all(u8::is_ascii_digit) => return None,
        None => colon + memchr::memrchr(b'@', &longest[colon..word])?,
    };
    Some(colon + 1..at_sign)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns the value that belongs to a name, if the name is a credential name.
fn value(bytes: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    if !is_credential_name(&bytes[name.clone()]) {
        return None;
    }
    let behind = behind_name(bytes, name)?;
    if behind.is_apart && another_name_follows(bytes, behind.start) {
        return None;
    }
    let value = credential(bytes, behind.start);
    let text = &bytes[value.clone()];
    let is_one_of =
        |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    let is_prose = behind.is_flag && is_one_of(&PROSE);
    (!text.is_empty() && !is_one_of(&NO_VALUES) && !is_prose).then_some(value)
}

/// Returns true if the value is itself a credential name, as in `invalid token: password: x`: then the second
/// name is the one whose value is masked.
fn another_name_follows(bytes: &[u8], at: usize) -> bool {
    let name = at..run(bytes, at, is_name_byte);
    is_credential_name(&bytes[name.clone()])
        && behind_name(bytes, &name).is_some_and(|behind| behind.is_apart)
}

/// Returns true if the name ends with one of [`NAMES`].
fn is_credential_name(name: &[u8]) -> bool {
    let is_letter = |byte: &u8| !matches!(byte, b'_' | b'-' | b'.');
    let number = name.iter().rev().take_while(|b| b.is_ascii_digit() || !is_letter(b)).count();
    let name = &name[..name.len() - number];
    NAMES.iter().any(|end| {
        let mut letters = name.iter().rev().filter(|byte| is_letter(byte));
        end.bytes().rev().all(|want| letters.next().is_some_and(|b| b.to_ascii_lowercase() == want))
    })
}

/// The text after a name.
struct Behind {
    /// Where the value begins, including its quotes.
    start: usize,
    /// True if there is a blank before the value.
    is_apart: bool,
    /// True if the value is the next word of a command line.
    is_flag: bool,
}

fn behind_name(bytes: &[u8], name: &Range<usize>) -> Option<Behind> {
    let is_closing = |b: u8| matches!(b, b'"' | b'\'' | b'`' | b'\\' | b']');
    let closed = run(bytes, name.end, is_closing);
    let at = run(bytes, closed, is_blank);
    let separator = run(&bytes[..bytes.len().min(at + 3)], at, |b| matches!(b, b'=' | b':' | b'>'));
    let before = &bytes[..name.start];
    let (start, is_flag) = match &bytes[at..separator] {
        // In a path of modules: `auth::token::parse`, `auth::token: expired`.
        [b':', b':', ..] => return None,
        [b':'] if before.ends_with(b"::") => return None,
        [b'=' | b':', ..] => (separator, false),
        [] => (behind_flag(bytes, before, name, closed)?, true),
        _ => return None,
    };
    let value = run(bytes, start, is_blank);
    Some(Behind { start: value, is_apart: value > start, is_flag })
}

/// Returns where the blanks after a flag begin: `--password hunter2`, `"--password", "hunter2"`.
fn behind_flag(bytes: &[u8], before: &[u8], name: &Range<usize>, closed: usize) -> Option<usize> {
    let is_first = before.last().is_none_or(|b| b" \t\"'`\\[(,=".contains(b));
    if !is_first || !bytes[name.clone()].starts_with(b"--") {
        return None;
    }
    let comma = run(bytes, closed, |b| b == b',');
    let value = run(bytes, comma, is_blank);
    // The next word may be another flag, or there is none.
    let next = run(bytes, value, |b| matches!(b, b'"' | b'\'' | b'\\'));
    let is_value = bytes.get(next).is_some_and(|b| *b != b'-');
    (value > closed && is_value).then_some(comma)
}

/// Returns the credential in a value, without its quotes and without `Bearer` before it.
fn credential(bytes: &[u8], start: usize) -> Range<usize> {
    // A value may be a list, or HTTP headers as Go prints them: `Authorization:[Bearer …]`.
    let start = run(bytes, start, |b| b == b'[' || is_blank(b));
    // An object has names of its own, which are checked one by one.
    if bytes.get(start) == Some(&b'{') {
        return start..start;
    }
    let start = behind_scheme(bytes, start);
    let slashes = run(bytes, start, |b| b == b'\\');
    let Some(quote) = bytes.get(slashes).copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'))
    else {
        return start..bare_end(bytes, start);
    };
    let inner = slashes + 1;
    let end = quoted_end(bytes, inner, quote, slashes - start);
    let credential = behind_scheme(&bytes[..end], inner);
    credential..end
}

/// Skips a scheme such as `Bearer ` and returns where the credential begins.
fn behind_scheme(bytes: &[u8], start: usize) -> usize {
    let word = run(bytes, start, |b| b.is_ascii_alphabetic());
    let is_scheme = SCHEMES.iter().any(|s| bytes[start..word].eq_ignore_ascii_case(s.as_bytes()));
    let behind = run(bytes, word, is_blank);
    if is_scheme && behind > word && behind < bytes.len() { behind } else { start }
}

/// Returns where a quoted value ends: at the same quote with as many backslashes before it. A quote with more
/// backslashes is part of the value.
fn quoted_end(bytes: &[u8], start: usize, quote: u8, slashes: usize) -> usize {
    let mut run_of_slashes = 0;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match *byte {
            b'\\' => run_of_slashes += 1,
            byte if byte == quote => {
                let closes = match slashes {
                    0 => run_of_slashes % 2 == 0,
                    _ => run_of_slashes <= slashes,
                };
                if closes {
                    return at - if slashes > 0 { run_of_slashes } else { 0 };
                }
                run_of_slashes = 0;
            }
            _ => run_of_slashes = 0,
        }
    }
    bytes.len()
}

/// Returns where an unquoted value ends: at a blank or a quote. Some punctuation may end a value or be part of
/// it; it ends the value only if something else begins after it.
fn bare_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b' ' | b'\t' => break,
            b'"' | b'\'' | b'`' => {
                // Backslashes before a quote belong to the quote.
                return at - bytes[start..at].iter().rev().take_while(|b| **b == b'\\').count();
            }
            b',' | b';' | b'&' | b')' | b']' | b'}' => {
                let name = run(bytes, at + 1, is_name_byte);
                let ends = match bytes.get(at + 1) {
                    None => true,
                    Some(next) if is_blank(*next) || b"\"'`,;&)]}".contains(next) => true,
                    Some(_) => matches!(bytes.get(name), Some(b'=' | b':')) && name > at + 1,
                };
                if ends {
                    break;
                }
                // No name byte is one of the bytes matched here, so none is missed.
                at = name.max(at + 1);
            }
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests;

//! Says how a value is joined to its name.

use std::ops::Range;

use super::{is_blank, is_name_byte, names, run};
use crate::limits::MASK_WORD_BYTES_MAX;

/// How a value is joined to its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// `name=value`, `name:value`, `"name": value`, `name = value`.
    Close,
    /// `name: value`.
    Apart,
    /// `--name value`.
    Flag,
}

/// The text after a name.
pub(super) struct Behind {
    /// Where the value begins, including its quotes.
    pub(super) start: usize,
    pub(super) join: Join,
}

/// Returns true if the value is itself a credential name, as in `invalid token: password: x`: then the second
/// name is the one whose value is masked.
pub(super) fn another_name_follows(bytes: &[u8], at: usize) -> bool {
    let longest = &bytes[..bytes.len().min(at + MASK_WORD_BYTES_MAX)];
    let name = at..run(longest, at, is_name_byte);
    !name.is_empty()
        && is_blank(bytes[at - 1])
        && names::kind(bytes, at, name.start, name.end).is_some()
        && behind_name(bytes, &name)
            .is_some_and(|behind| behind.join != Join::Flag && is_blank(bytes[behind.start - 1]))
}

fn is_closing(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']')
}

/// Returns what is behind a name, if a value may be.
pub(super) fn behind_name(bytes: &[u8], name: &Range<usize>) -> Option<Behind> {
    let closed = run(bytes, name.end, is_closing);
    let mut at = run(bytes, closed, is_blank);
    // `Unseal Key 1: …`
    if at == name.end + 1 && bytes[name.clone()].eq_ignore_ascii_case(b"key") {
        let number = run(&bytes[..bytes.len().min(at + 2)], at, |b| b.is_ascii_digit());
        at = if bytes.get(number) == Some(&b':') { number } else { at };
    }
    let separator = run(&bytes[..bytes.len().min(at + 3)], at, |b| matches!(b, b'=' | b':' | b'>'));
    let before = &bytes[..name.start];
    let is_verdict = &bytes[name.clone()] == b"PASS";
    let (start, mut join) = match &bytes[at..separator] {
        // In a path of modules: `auth::token::parse`, `auth::token: expired`.
        [b':', b':', ..] => return None,
        // In a path of files, or of a test: `open /run/password: no such file`, `PASS: Test`.
        [b':'] if before.ends_with(b"::") || before.ends_with(b"/") || is_verdict => return None,
        // In an identifier of several parts: `arn:aws:secretsmanager:…:secret:db`.
        [b':']
            if before.ends_with(b":")
                && at == name.end
                && !bytes.get(separator).is_some_and(|b| is_blank(*b)) =>
        {
            return None;
        }
        [b':'] if closed == name.end => (separator, Join::Apart),
        [b'=' | b':', ..] => (separator, Join::Close),
        [] => return behind_other(bytes, before, name, closed),
        _ => return None,
    };
    let value = run(bytes, start, is_blank);
    if value == start {
        join = Join::Close;
    }
    Some(Behind { start: value, join })
}

/// Returns what is behind a name without a separator: `--password x`, `{"name":"PASSWORD","value":"x"}`,
/// `{password,"x"}`, `setPassword("x")`.
fn behind_other(bytes: &[u8], before: &[u8], name: &Range<usize>, closed: usize) -> Option<Behind> {
    if let Some(start) = behind_flag(bytes, before, name, closed) {
        return Some(Behind { start: run(bytes, start, is_blank), join: Join::Flag });
    }
    let start = name.end + 1;
    match bytes.get(name.end) {
        Some(b',') if before.ends_with(b"{") => {
            return Some(Behind { start: run(bytes, start, is_blank), join: Join::Close });
        }
        // A function that takes the credential, and not one that returns it.
        Some(b'(')
            if matches!(bytes.get(start), Some(b'"' | b'\''))
                && !bytes[name.clone()].starts_with(b"get") =>
        {
            return Some(Behind { start, join: Join::Close });
        }
        // A function that takes a name and a value: `define('DB_PASSWORD', 'x')`.
        Some(quote @ (b'"' | b'\'')) if before.ends_with(&[b'(', *quote]) => {
            let comma = run(bytes, start, |b| b == b',');
            let value = run(bytes, comma, is_blank);
            let is_value = comma == start + 1 && matches!(bytes.get(value), Some(b'"' | b'\''));
            return is_value.then_some(Behind { start: value, join: Join::Close });
        }
        _ => {}
    }
    let longest = &bytes[..bytes.len().min(name.end + MASK_WORD_BYTES_MAX)];
    let other = run(longest, name.end, |b| is_closing(b) || is_blank(b) || b == b',');
    let other = other..run(longest, other, is_name_byte);
    let word = &longest[other.clone()];
    let is_value = other.start > name.end
        && word.len() >= 5
        && word[word.len() - 5..].eq_ignore_ascii_case(b"value");
    let closed = run(bytes, other.end, is_closing);
    let at = run(bytes, closed, is_blank);
    let separator = run(&bytes[..bytes.len().min(at + 2)], at, |b| matches!(b, b'=' | b':' | b'>'));
    (is_value && separator > at)
        .then(|| Behind { start: run(bytes, separator, is_blank), join: Join::Close })
}

/// Returns where the blanks after a flag begin: `--password hunter2`, `"--password", "hunter2"`.
fn behind_flag(bytes: &[u8], before: &[u8], name: &Range<usize>, closed: usize) -> Option<usize> {
    let is_first = before.last().is_none_or(|b| b" \t\"'`\\[(,=".contains(b));
    if !is_first || bytes[name.start] != b'-' {
        return None;
    }
    let comma = run(bytes, closed, |b| b == b',');
    let value = run(bytes, comma, is_blank);
    // The next word may be another flag, or there is none.
    let next = run(bytes, value, |b| matches!(b, b'"' | b'\'' | b'\\'));
    let is_value = bytes.get(next).is_some_and(|b| *b != b'-');
    (value > closed && is_value).then_some(comma)
}

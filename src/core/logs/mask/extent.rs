//! Says where a value begins and ends.

use super::{is_blank, is_name_byte, run};

/// Short words that programs print between a name and the quotes of its value: `Some("x")`, `b'x'`, `string(1) "x"`.
const WRAPPERS: [&str; 14] = [
    "Some(",
    "Ok(",
    "Just(",
    "Secret(",
    "SecretStr(",
    "String(",
    "b",
    "u",
    "r",
    "N",
    "E",
    "@",
    "<<",
    "string(",
];

/// Where a value begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// Behind the quote, if there is one.
    pub(super) start: usize,
    /// The quote, and how many backslashes are before it.
    pub(super) quote: Option<(u8, usize)>,
}

/// Opens the value at `start`, which may be a list, or wrapped.
pub(super) fn open(bytes: &[u8], start: usize) -> Opened {
    let start = run(bytes, start, |b| b == b'[' || is_blank(b));
    if let Some(opened) = open_quote(bytes, start) {
        return opened;
    }
    let wrapper = WRAPPERS
        .iter()
        .find(|wrapper| bytes.get(start..).unwrap_or_default().starts_with(wrapper.as_bytes()));
    let wrapped = wrapper.and_then(|wrapper| {
        let mut at = start + wrapper.len();
        if *wrapper == "string(" {
            at = run(bytes, at, |b| b.is_ascii_digit() || matches!(b, b')' | b' '));
        }
        open_quote(bytes, at)
    });
    wrapped.unwrap_or(Opened { start, quote: None })
}

fn open_quote(bytes: &[u8], start: usize) -> Option<Opened> {
    let slashes = run(bytes, start, |b| b == b'\\');
    let quote = bytes.get(slashes).copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'))?;
    Some(Opened { start: slashes + 1, quote: Some((quote, slashes - start)) })
}

/// Returns where the opened value ends.
pub(super) fn value_end(bytes: &[u8], value: &Opened) -> usize {
    match value.quote {
        Some((quote, slashes)) => quoted_end(bytes, value.start, quote, slashes),
        None => bare_end(bytes, value.start),
    }
}

/// Returns where a quoted value ends: at the same quote with as many backslashes before it. A quote with more
/// backslashes is part of the value.
pub(super) fn quoted_end(bytes: &[u8], start: usize, quote: u8, slashes: usize) -> usize {
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
pub(super) fn bare_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b' ' | b'\t' => break,
            b'<' if bytes.get(at + 1) == Some(&b'/') => break,
            b'"' | b'\'' | b'`' => return at - slashes_before(bytes, start, at),
            b',' | b';' | b'&' | b')' | b']' | b'}' => {
                let name = run(bytes, at + 1, is_name_byte);
                if is_end(bytes, at + 1)
                    || matches!(bytes.get(name), Some(b'=' | b':')) && name > at + 1
                {
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

/// Returns where the words of an unquoted phrase end whose first word ends at `start`: at a quote, at the end of a list's item, or with the line.
pub(super) fn phrase_end(bytes: &[u8], start: usize) -> usize {
    let is_last = |at: &usize| match bytes[*at] {
        b'"' | b'`' | b'<' | b'|' => true,
        b'\'' | b',' | b';' | b')' | b']' | b'}' => is_end(bytes, at + 1),
        _ => false,
    };
    let end = (start..bytes.len()).find(is_last).unwrap_or(bytes.len());
    let end = end - slashes_before(bytes, start, end);
    end - bytes[start..end].iter().rev().take_while(|b| is_blank(**b)).count()
}

/// Backslashes before a quote belong to the quote.
fn slashes_before(bytes: &[u8], start: usize, at: usize) -> usize {
    bytes[start..at].iter().rev().take_while(|b| **b == b'\\').count()
}

fn is_end(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|b| is_blank(*b) || b"\"'`,;&)]}".contains(b))
}

//! Texts as an incident line has them: cut at a bound, and times.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serializer;

/// A time as the line has it: RFC 3339, UTC, whole seconds where it has no more.
pub fn time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// The same, where there may be none.
pub fn time_or_null<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// `text` cut to at most `bytes` bytes at a character's border, with an ellipsis where it was cut.
pub fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let ellipsis = '…';
    let end = text.floor_char_boundary(bytes.saturating_sub(ellipsis.len_utf8()));
    let mut out = String::with_capacity(bytes);
    let _ = write!(out, "{}{ellipsis}", &text[..end]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_characters() {
        for (text, bytes, want) in
            [("abc", 3, "abc"), ("abcdef", 5, "ab…"), ("äöü", 5, "ä…"), ("ä", 1, "…"), ("", 0, "")]
        {
            assert_eq!(cut(text, bytes), want, "{text} {bytes}");
        }
    }
}

//! Texts as an incident line has them: cut at a bound, and times. Also the rule for text from outside: which characters
//! no reader and no terminal should meet.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serializer;

use crate::limits::PLAIN_WORD_BYTES_MAX;

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

/// Returns true for characters that a terminal obeys, or that make a text look like another one: control characters,
/// line ends that are not ASCII, Unicode's formatting characters for the writing direction, the byte order mark, and
/// code points that are no characters. Every outlet for text from outside uses this rule.
pub fn is_harmful(c: char) -> bool {
    match c {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    }
}

/// Returns the text in one line, in which each harmful character appears as `\xNN` or `\u{NNNN}`. (A backslash stays as
/// it is, so `\x1b` in the result may also be literally that.)
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) { push_escaped(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Appends a harmful character as [`escaped`] writes it.
pub fn push_escaped(c: char, out: &mut String) {
    let code = u32::from(c);
    let _ = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{{{code:x}}}"),
    };
}

/// Returns a duration in two units at most.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    let ((major, unit), (minor, smaller)) = match s {
        0..120 => return format!("{s} s"),
        120..7200 => ((s / 60, "min"), (s % 60, "s")),
        7200..172_800 => ((s / 3600, "h"), (s / 60 % 60, "min")),
        _ => ((s / 86_400, "d"), (s / 3600 % 24, "h")),
    };
    match minor {
        0 => format!("{major} {unit}"),
        _ => format!("{major} {unit} {minor} {smaller}"),
    }
}

/// Returns bytes as Kubernetes writes them: in the largest binary unit, with one decimal if there is a remainder.
pub fn bytes(n: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| n >> shift > 0) {
        None => format!("{n} B"),
        Some((shift, unit)) => {
            let tenths = n.saturating_mul(10).saturating_add(1 << (shift - 1)) >> shift;
            match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {unit}"),
                (whole, tenth) => format!("{whole}.{tenth} {unit}"),
            }
        }
    }
}

/// Returns true for a text of letters, digits and dashes only: UIDs, hashes, names of namespaces. Nothing else may
/// become part of a request or a path.
pub fn is_plain(text: &str) -> bool {
    (1..=PLAIN_WORD_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Returns the known word that `word` probably stands for: at most two letters are wrong, and at least half are right.
pub fn nearest<'k>(word: &str, known: &mut dyn Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (distance(word, known), known));
    let near = near.filter(|(wrong, known)| *wrong <= 2 && 2 * wrong <= known.len());
    near.min_by_key(|(wrong, _)| *wrong).map(|(_, known)| known)
}

/// Counts the letters to insert, remove or replace that turn one word into the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, wanted) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_recognised_and_another_word_is_not() {
        let known = ["check", "show", "explain", "replay", "help"];
        for (word, wanted) in [
            ("check", Some("check")),
            ("chek", Some("check")),
            ("checks", Some("check")),
            ("shwo", Some("show")),
            ("hlep", Some("help")),
            ("explian", Some("explain")),
            ("relay", Some("replay")),
            ("fly", None),
            ("", None),
            ("s", None),
            ("explanation", None),
        ] {
            assert_eq!(nearest(word, &mut known.into_iter()), wanted, "{word:?}");
        }
        for (one, other, wrong) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!((distance(one, other), distance(other, one)), (wrong, wrong));
        }
    }

    #[test]
    fn durations_are_written_in_two_units_at_most() {
        for (s, want) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (125, "2 min 5 s"),
            (7260, "2 h 1 min"),
            (200_000, "2 d 7 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(s)), want);
        }
    }

    #[test]
    fn what_a_terminal_obeys_or_a_reader_misreads_is_escaped_and_nothing_else() {
        for (text, want) in [
            ("plain äöü 漢字 עברית 👩\u{200d}🚒", "plain äöü 漢字 עברית 👩\u{200d}🚒"),
            ("a\0b\x1b[31mc\r\n\td\x7f\u{9b}2J", "a\\x00b\\x1b[31mc\\x0d\\x0a\\x09d\\x7f\\u{9b}2J"),
            ("gnp\u{202e}exe.\u{2066}\u{2069}", "gnp\\u{202e}exe.\\u{2066}\\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
            ("\u{feff}a\u{2028}b\u{2029}", "\\u{feff}a\\u{2028}b\\u{2029}"),
            ("C:\\x1b", "C:\\x1b"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), want);
        }
    }

    #[test]
    fn text_is_cut_at_characters() {
        for (text, bytes, want) in
            [("abc", 3, "abc"), ("abcdef", 5, "ab…"), ("äöü", 5, "ä…"), ("ä", 1, "…"), ("", 0, "")]
        {
            assert_eq!(cut(text, bytes), want, "{text} {bytes}");
        }
    }
}

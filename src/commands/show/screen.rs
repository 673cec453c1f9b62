//! Text on a terminal: safe characters, width, bars, colours.

use crate::core::text::is_harmful;

/// Returns true for characters that a terminal would interpret or does not show: those that are harmful anywhere, and
/// those that take no column.
fn is_special(c: char) -> bool {
    is_harmful(c)
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the number of columns that a character takes. Never too few: characters that may be wide count as wide.
fn width_of(c: char) -> usize {
    let is_wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x231a..=0x2bff | 0x2e80..=0xa4cf | 0xa960..=0xa97c | 0xac00..=0xd7ff
        | 0xf900..=0xfaff | 0xfe10..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1_0000..);
    if is_wide { 2 } else { 1 }
}

/// Returns the number of columns that [`fit`] takes for a text if it has the room.
pub(super) fn width(text: &str) -> usize {
    text.trim_end().chars().map(|c| if is_special(c) { 1 } else { width_of(c) }).sum()
}

/// Appends as much of a text as fits into this many columns; a text that is cut ends with `…`. Special characters are
/// replaced, so the terminal interprets nothing in it. Returns the number of columns used.
pub(super) fn fit(out: &mut String, text: &str, columns: usize) -> usize {
    let start = out.len();
    let (mut taken, mut whole) = (0, (start, 0));
    for c in text.trim_end().chars() {
        // The columns of a tab depend on where it stands.
        let c = if c == '\t' { ' ' } else { c };
        let c = if is_special(c) { '\u{b7}' } else { c };
        if taken + width_of(c) > columns {
            out.truncate(whole.0);
            if columns > 0 {
                out.push('\u{2026}');
            }
            return whole.1 + columns.min(1);
        }
        out.push(c);
        taken += width_of(c);
        if taken < columns {
            whole = (out.len(), taken);
        }
    }
    taken
}

/// Appends a whole text, which begins where `taken` columns of the present line are used. What does not fit goes on in
/// further lines, behind `indent` spaces. Lines are broken between words where that is possible.
pub(super) fn wrap(out: &mut String, text: &str, columns: usize, taken: usize, indent: usize) {
    let whole = columns.saturating_sub(indent).max(2);
    let (mut left, mut rest) = (columns.saturating_sub(taken), text.trim());
    loop {
        let mut end = break_at(rest, left);
        // A word that fits into a line of its own is not broken.
        let is_broken = rest[end..].starts_with(|c| c != ' ');
        if is_broken && left < whole {
            let word = rest.split(' ').next().unwrap_or_default();
            end = if width(word) <= whole { 0 } else { end };
        }
        fit(out, &rest[..end], left);
        rest = rest[end..].trim_start();
        if rest.is_empty() {
            return;
        }
        out.push('\n');
        spaces(out, indent);
        left = whole;
    }
}

/// Returns how much of a text fits: whole words, or if the first one does not, a part of it. At least one character
/// in a line of two columns or more.
fn break_at(text: &str, columns: usize) -> usize {
    let (mut taken, mut word) = (0, 0);
    for (at, c) in text.char_indices() {
        if c == ' ' {
            word = at;
        }
        taken += if is_special(c) { 1 } else { width_of(c) };
        if taken > columns {
            return if word > 0 { word } else { at };
        }
    }
    text.len()
}

pub(super) fn spaces(out: &mut String, columns: usize) {
    out.extend(std::iter::repeat_n(' ', columns));
}

/// Like [`fit`], padded with spaces.
pub(super) fn cell(out: &mut String, text: &str, columns: usize) {
    let taken = fit(out, text, columns);
    spaces(out, columns.saturating_sub(taken));
}

/// Appends a row of bars, one per value, or one for the largest of several values if there are more values than
/// columns. `top` is the value of a full bar; unknown values are blank. Returns the number of columns used.
pub(super) fn bars(out: &mut String, values: &[Option<f64>], top: f64, columns: usize) -> usize {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let each = values.len().div_ceil(columns.max(1)).max(1);
    for some in values.chunks(each) {
        let most = some.iter().flatten().copied().fold(f64::NAN, f64::max);
        out.push(if most.is_nan() || top <= 0.0 {
            ' '
        } else {
            // The conversion to a whole number clamps.
            BARS[((most / top * 7.0 + 0.5) as usize).min(7)]
        });
    }
    values.len().div_ceil(each)
}

/// True if the terminal shows colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colours(pub(super) bool);

impl Colours {
    /// Writes in the style of an SGR sequence if there are colours, else plain.
    pub(super) fn paint(self, out: &mut String, style: &str, write: &mut dyn FnMut(&mut String)) {
        if !self.0 || style.is_empty() {
            return write(out);
        }
        out.push_str("\u{1b}[");
        out.push_str(style);
        out.push('m');
        write(out);
        out.push_str("\u{1b}[0m");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(text: &str, columns: usize) -> (String, usize) {
        let mut out = String::new();
        let taken = fit(&mut out, text, columns);
        (out, taken)
    }

    #[test]
    fn a_text_is_cut_at_its_columns_and_never_wider() {
        for (text, columns, want, taken) in [
            ("abc", 3, "abc", 3),
            ("abcd", 3, "ab…", 3),
            ("漢字", 4, "漢字", 4),
            ("漢字x", 4, "漢…", 3),
            ("漢", 1, "…", 1),
            ("abc", 0, "", 0),
            ("", 3, "", 0),
            ("ab  \n", 3, "ab", 2),
        ] {
            assert_eq!(fitted(text, columns), (want.to_owned(), taken), "{text:?} in {columns}");
            assert_eq!(width(text) <= columns, taken == width(text), "{text:?}");
        }
        for columns in 0..12 {
            for text in ["a漢b字c", "漢漢漢漢漢漢漢", "e\u{301}\u{301}x", "🔥🔥🔥"] {
                assert!(fitted(text, columns).1 <= columns);
            }
        }
    }

    #[test]
    fn a_text_that_is_wrapped_is_whole_and_never_wider() {
        let wrapped = |text: &str, columns, taken, indent| {
            let mut out = "x".repeat(taken);
            wrap(&mut out, text, columns, taken, indent);
            out[taken..].to_owned()
        };
        for (text, columns, taken, indent, want) in [
            ("ab cd ef", 5, 0, 0, "ab cd\nef"),
            ("ab cd ef", 5, 0, 2, "ab cd\n  ef"),
            ("ab cd", 6, 4, 2, "ab\n  cd"),
            ("abc", 6, 4, 2, "\n  abc"),
            ("abcdefgh", 6, 4, 2, "ab\n  cdef\n  gh"),
            ("漢字漢", 5, 0, 0, "漢字\n漢"),
            ("ab   cd ", 3, 0, 0, "ab\ncd"),
            ("", 5, 0, 0, ""),
        ] {
            assert_eq!(wrapped(text, columns, taken, indent), want, "{text:?}");
        }
        let text = "漢漢 a\u{1b}[31m漢b漢漢c 🔥🔥🔥 abcdefghijklmnopqrst";
        for columns in 6..40 {
            let out = wrapped(text, columns, 0, 4);
            assert!(out.lines().all(|line| width(line) <= columns), "{out}");
            let letters = |text: &str| text.replace([' ', '\n', '\u{b7}', '\u{1b}'], "");
            assert_eq!(letters(&out), letters(text));
        }
    }

    #[test]
    fn nothing_of_a_text_is_an_order_to_the_terminal() {
        let hostile = "a\u{1b}[31mb\rc\nd\u{9b}2Je\u{202e}f\u{200b}g\u{7}h\u{2066}i\u{e0041}";
        let shown = fitted(hostile, 80).0;
        assert_eq!(shown, "a·[31mb·c·d·2Je·f·g·h·i·");
    }

    #[test]
    fn a_tab_is_a_space() {
        assert_eq!(fitted("\tat Main.java:3", 80), (" at Main.java:3".to_owned(), 15));
        assert_eq!(fitted("a\tb\t", 80), ("a b".to_owned(), 3));
    }

    #[test]
    fn bars_show_the_largest_of_several_values_against_the_top() {
        let drawn = |values: &[Option<f64>], top, columns| {
            let mut out = String::new();
            let width = bars(&mut out, values, top, columns);
            assert_eq!(width, out.chars().count());
            out
        };
        let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(drawn(&some(&[0.0, 50.0, 100.0, 300.0]), 100.0, 10), "▁▅██");
        assert_eq!(drawn(&some(&[0.0, 100.0, 0.0, 0.0]), 100.0, 2), "█▁");
        assert_eq!(drawn(&[Some(1.0), None, Some(f64::NAN), Some(1.0)], 1.0, 10), "█  █");
        assert_eq!(drawn(&some(&[1.0]), 0.0, 10), " ");
        assert_eq!(drawn(&some(&[-5.0]), 1.0, 10), "▁");
        assert_eq!(drawn(&[], 1.0, 10), "");
        assert_eq!(drawn(&some(&[1.0]), 1.0, 0), "█");
    }
}

//! Writes text into HTML. Every value of an incident may come from a pod, an image or a label, so it goes through
//! [`text`]; everything else on the page is a constant of this program.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::core::display::units::date_time;
use crate::core::text::is_harmful;
use crate::serve::query;

/// Appends a value as text. Characters that could begin or end a tag or an attribute are escaped. Control characters
/// (except line feed and tab, which are white space) and characters that change the reading direction become
/// `\uNNNN`, as in JSON, so that a copied line keeps its meaning.
pub(super) fn text(out: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(is_special) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&#34;"),
            Some('\'') => out.push_str("&#39;"),
            // None of these characters is beyond U+FFFF.
            Some(other) => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

fn is_special(c: char) -> bool {
    match c {
        '&' | '<' | '>' | '"' | '\'' => true,
        '\n' | '\t' => false,
        c => is_harmful(c),
    }
}

/// The start of a table whose columns need no heads for those who see them.
pub(super) const TABLE: &str = "<table class=\"t\"><thead class=\"v\"><tr><th scope=\"col\">time</th>\
    <th scope=\"col\">from the incident</th><th scope=\"col\">source</th><th scope=\"col\">text</th>\
    </tr></thead><tbody>";

/// Appends constant markup. Not inlined, like the functions below: there are about a hundred calls.
pub(super) fn put(out: &mut String, markup: &'static str) {
    out.push_str(markup);
}

/// Appends a value as text between constant markup.
pub(super) fn element(out: &mut String, open: &'static str, value: &str, close: &'static str) {
    out.push_str(open);
    text(out, value);
    out.push_str(close);
}

/// Appends how often something happened, if more than once.
pub(super) fn times(out: &mut String, count: f64) {
    if count > 1.0 {
        put(out, " <span class=\"dim\">(");
        number(out, clamped(count));
        put(out, " times)</span>");
    }
}

/// Appends a whole number.
pub(super) fn number(out: &mut String, n: u64) {
    let _ = write!(out, "{n}");
}

/// Appends a number of tenths as a decimal; the positions in a chart are such percentages.
pub(super) fn tenths(out: &mut String, n: u64) {
    let _ = write!(out, "{}.{}", n / 10, n % 10);
}

/// Converts a number from a line to a whole number in a range that is safe for the arithmetic.
pub(super) fn clamped(value: f64) -> u64 {
    const MOST: u64 = 1 << 52;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "NaN and what is negative becomes 0, what is too large the largest"
    )]
    let whole = value.round() as u64;
    whole.min(MOST)
}

pub(super) fn time_tag(out: &mut String, at: Timestamp, shown: &str) {
    element(out, "<time datetime=\"", &at.to_string(), "\">");
    element(out, "", shown, "</time>");
}

/// Appends date and time.
pub(super) fn date_tag(out: &mut String, at: Timestamp) {
    time_tag(out, at, &date_time(at));
}

/// Appends the start of a link to the page with these parameters.
pub(super) fn link(out: &mut String, pairs: &[(&'static str, &str)]) {
    element(out, "<a href=\"", &query::page(pairs), "\">");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_is_markup_and_nothing_turns_the_text_around() {
        for (value, want) in [
            ("plain äöü 漢字 עברית", "plain äöü 漢字 עברית"),
            ("\"><script>", "&#34;&gt;&lt;script&gt;"),
            ("a&amp;'b'", "a&amp;amp;&#39;b&#39;"),
            ("a\0b\x1b[31mc\r\n\td\x7f\u{85}", "a\\u0000b\\u001b[31mc\\u000d\n\td\\u007f\\u0085"),
            ("gnp\u{202e}exe.\u{2066}\u{200f}", "gnp\\u202eexe.\\u2066\\u200f"),
            ("\u{2028}\u{feff}\u{ffff}", "\\u2028\\ufeff\\uffff"),
            ("", ""),
        ] {
            let mut out = String::new();
            text(&mut out, value);
            assert_eq!(out, want);
        }
    }
}

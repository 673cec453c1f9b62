//! Renders groups of incidents as a table: a row with the numbers, then the newest sentence.
//!
//! A key is a whole word to search for or to copy. So what does not fit into its column stands on a line of its own
//! and is not cut off.

use jiff::Timestamp;

use crate::commands::show::render::{BOLD, DIM, Style};
use crate::commands::show::screen::{cell, fit, spaces, width};
use crate::core::display::groups::{OTHERS, Span, Table};
use crate::core::display::units::date_time;

/// The headings of the numbers, which stand on the right of their columns.
const NUMBERS: [&str; 3] = ["COUNT", "PODS", "NODES"];
/// Width of a time, without year and zone.
const WHEN: usize = 14;

/// The cells of a row.
struct Row<'a> {
    numbers: [String; 3],
    span: Span,
    key: &'a str,
    detail: &'a str,
    sentence: &'a str,
}

impl Style {
    /// Writes the table; nothing if there are no incidents.
    pub(super) fn table(self, out: &mut String, table: &Table) {
        let rows = rows(table);
        if rows.is_empty() {
            return;
        }
        let mut widths = NUMBERS.map(str::len);
        for row in &rows {
            for (width, number) in widths.iter_mut().zip(&row.numbers) {
                *width = number.len().max(*width);
            }
        }
        self.colours.paint(out, DIM, &mut |out| {
            numbers(out, widths, NUMBERS);
            cell(out, "FIRST (UTC)", WHEN + 2);
            cell(out, "LAST (UTC)", WHEN + 2);
            out.push_str("KEY");
        });
        out.push('\n');
        for row in &rows {
            self.row(out, widths, row);
        }
    }

    fn row(self, out: &mut String, widths: [usize; 3], row: &Row<'_>) {
        let [count, pods, nodes] = &row.numbers;
        let start = out.len();
        numbers(out, widths, [count, pods, nodes]);
        cell(out, &when(row.span.first), WHEN + 2);
        cell(out, &when(row.span.last), WHEN + 2);
        let taken = widths.iter().sum::<usize>() + 2 * widths.len() + 2 * (WHEN + 2);
        let room = self.columns.saturating_sub(taken);
        let gap = if row.detail.is_empty() { "" } else { "  " };
        let whole = format!("{}{gap}{}", row.key, row.detail);
        let (beside, below) = if width(&whole) <= room {
            (whole.as_str(), "")
        } else if width(row.key) <= room {
            (row.key, row.detail)
        } else {
            ("", whole.as_str())
        };
        if beside.is_empty() {
            out.truncate(start + out[start..].trim_end().len());
        }
        self.colours.paint(out, if beside.is_empty() { "" } else { BOLD }, &mut |out| {
            fit(out, beside, room);
        });
        out.push('\n');
        if !below.is_empty() {
            self.wrap(out, BOLD, below);
        }
        self.wrap(out, "", row.sentence);
    }
}

fn rows(table: &Table) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = table
        .rows
        .iter()
        .map(|group| Row {
            numbers: [group.count(), group.pods.to_string(), group.nodes.to_string()],
            span: group.span,
            key: &group.key,
            detail: &group.detail,
            sentence: &group.sentence,
        })
        .collect();
    if table.others.count > 0 {
        rows.push(Row {
            // Nobody knows how many of their pods are the same.
            numbers: [table.others.count.to_string(), "-".to_owned(), "-".to_owned()],
            span: table.others.span,
            key: OTHERS,
            detail: "",
            sentence: "all other groups together; --since, --type and more options select fewer",
        });
    }
    rows
}

fn numbers(out: &mut String, widths: [usize; 3], texts: [&str; 3]) {
    for (width, text) in widths.into_iter().zip(texts) {
        spaces(out, width.saturating_sub(text.len()));
        out.push_str(text);
        out.push_str("  ");
    }
}

/// Returns date and time as the list of incidents has them.
fn when(at: Option<Timestamp>) -> String {
    let text = at.map(date_time).unwrap_or_default();
    text.get(5..19).unwrap_or("-").to_owned()
}

//! The last lines of the log, in full, with the line that tells the cause marked.

use crate::core::cause;
use crate::core::display::parsed::Value;
use crate::core::display::units::{clock_time, offset};
use crate::serve::page::html::{TABLE, element, number, put, text, time_tag};

/// Writes the section; nothing if the incident has no log.
pub(super) fn write(out: &mut String, incident: &Value) {
    let log = incident.at(&["telemetry", "logs"]);
    let lines = log.at(&["lines"]).items();
    if lines.is_empty() {
        return;
    }
    put(out, "<h3>Log: the last ");
    if lines.len() > 1 {
        number(out, lines.len() as u64);
        put(out, " lines");
    } else {
        put(out, "line");
    }
    element(out, " of <span class=\"f\">", log.text("file"), "</span></h3>");
    let why = match log.text("truncated") {
        "" => "",
        "rotated" => "Older lines are in rotated files that were not read.",
        "tail" => "Older lines are in the file; only its end is read.",
        _ => "Older lines had no room in the incident.",
    };
    element(out, "<p class=\"dim\">", why, "</p>");
    put(out, TABLE);
    let told = incident.at(&["cause"]).text("line");
    // A line that was repeated is marked where it was written last.
    let is_told = |line: &Value| !told.is_empty() && cause::quote(line.text("text")) == told;
    let marked = lines.iter().rposition(is_told);
    let end = incident.time("occurred_at");
    for (n, line) in lines.iter().enumerate() {
        let is_marked = Some(n) == marked;
        put(
            out,
            if is_marked { "<tr class=\"now\"><td class=\"n\">" } else { "<tr><td class=\"n\">" },
        );
        if let Some(at) = line.time("at") {
            time_tag(out, at, &clock_time(at));
            put(out, "</td><td class=\"n dim\">");
            text(out, &end.map(|end| offset(at, end)).unwrap_or_default());
        } else {
            put(out, "</td><td>");
        }
        element(out, "</td><td class=\"dim\">", line.text("stream"), "</td><td>");
        put(out, if is_marked { "<mark>cause</mark>" } else { "" });
        element(out, "<div class=\"log\">", line.text("text"), "</div></td></tr>");
    }
    put(out, "</tbody></table>");
}
